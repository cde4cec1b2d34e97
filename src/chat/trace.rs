//! The way of a decision, for an operator who asks why.

use crate::outcome::Reason;

/// Notes each check as it is made. The service takes no notes, and pays nothing for them.
pub trait Trace {
    /// A check was made: what its failing would be called, whether it passed, and its figures in
    /// words.
    fn note(&mut self, check: Reason, has_passed: bool, words: impl FnOnce() -> String);
}

/// Takes no notes.
#[derive(Debug, Default, Clone, Copy)]
pub struct Untraced;

impl Trace for Untraced {
    fn note(&mut self, _: Reason, _: bool, _: impl FnOnce() -> String) {}
}

/// One check of a decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// What its failing would be called.
    pub check: Reason,
    /// Whether it passed.
    pub has_passed: bool,
    /// Its figures in words that an operator understands.
    pub words: String,
}

/// Every check of a decision, in order.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Steps(pub Vec<Step>);

impl Trace for Steps {
    fn note(&mut self, check: Reason, has_passed: bool, words: impl FnOnce() -> String) {
        self.0.push(Step { check, has_passed, words: words() });
    }
}
