//! Made-up variables that templates are tried with before they are used.

use minijinja::{Value, context};

use super::Failure;
use super::templates::Templates;
use super::variables::without_memory;

impl Templates {
    /// What can be said to be wrong with the operator's templates before they are used.
    pub fn check(&self) -> Vec<Failure> {
        self.failures(&[rich(), bare()])
    }
}

/// Every variable of every template, with something in it.
pub(super) fn rich() -> Value {
    let line = |name: &str, text: &str| context! { username => name, message => text, msg => text, time => "20:15:00" };
    context! {
        bot => context! {
            name => "Vera", description => "keeper of the booth", traits => ["dry"], expertise => ["film"],
            style => "short", rules => ["Be kind."],
        },
        user => context! { username => "bob", message => "what is on?" },
        trigger => context! { context => "It is Friday.", type => "mention", name => "vera" },
        meta => context! { time => "20:15:00", date => "2026-11-23" },
        chat_history => [line("ann", "hello"), line("bob", "vera, what is on?")],
        RAND_SEED => 1,
        ..without_memory()
    }
}

/// What there is when a room has just come to life.
pub(super) fn bare() -> Value {
    context! {
        bot => context! {
            name => "Vera", description => "", traits => (), expertise => (), style => "", rules => (),
        },
        user => context! { username => "bob", message => "hello" },
        trigger => context! { context => "", type => "trigger_word", name => "hello" },
        meta => context! { time => "20:15:00", date => "2026-11-23" },
        chat_history => [context! { username => "bob", message => "hello", msg => "hello", time => "20:15:00" }],
        RAND_SEED => 1,
        ..without_memory()
    }
}
