//! What the decider keeps of one room.

use super::context::Context;
use super::duplicates::Duplicates;
use super::identity::Identity;
use super::loop_guard::LoopGuard;
use super::spam::Spam;

/// The state of one room. Limits that hold for the whole service are kept elsewhere.
#[derive(Debug, Default)]
pub struct Room {
    pub(super) context: Context,
    pub(super) identity: Identity,
    pub(super) duplicates: Duplicates,
    pub(super) loop_guard: LoopGuard,
    pub(super) spam: Spam,
}
