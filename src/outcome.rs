//! What became of a message: a line, or a silence with a name.

use crate::chat::spend::Denied;
use crate::clock::Moment;
use crate::timings::Waits;

/// Why no line (or no proven line) came of a message. The names are the same in the log, the
/// metrics, the preview and the response log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reason {
    /// The listener dropped it: no name, no text, a command, an ignored user, …
    Listener,
    /// Seen before.
    Duplicate,
    /// Our own line.
    Own,
    /// Too old on arrival, or a line that waited too long to be sent.
    Stale,
    /// An operator paused the room.
    Paused,
    /// Nobody asked for an answer.
    NoTrigger,
    /// Answers to one user alone, too many in a row.
    LoopGuard,
    /// The user is under a penalty.
    Spam,
    /// `rate_limits.global_max_per_minute`.
    GlobalMinute,
    /// `rate_limits.global_max_per_hour`.
    GlobalHour,
    /// `rate_limits.global_cooldown_seconds`.
    GlobalCooldown,
    /// `rate_limits.user_max_per_hour`.
    UserHour,
    /// `rate_limits.user_cooldown_seconds`.
    UserCooldown,
    /// `rate_limits.mention_cooldown_seconds`.
    MentionCooldown,
    /// A trigger's `max_responses_per_hour`.
    TriggerHour,
    /// A trigger's `cooldown_seconds`.
    TriggerCooldown,
    /// Unasked replies stop: `spend.soft_percent` of a limit is used up.
    SpendSoft,
    /// `spend.max_calls_per_minute` or `spend.max_calls_per_day`.
    SpendCalls,
    /// `spend.max_tokens_per_day`.
    SpendTokens,
    /// `spend.max_tokens_per_user_per_day`.
    SpendUser,
    /// `spend.max_cost_per_day`.
    SpendCost,
    /// Every provider and every try failed.
    Exhausted,
    /// The same, and a fallback message was said instead.
    Fallback,
    /// Every provider refused the content.
    Refused,
    /// A fault of ours.
    Internal,
    /// The answer was shorter than `validation.min_length`.
    RejectedShort,
    /// The answer was longer than `validation.max_length`.
    RejectedLong,
    /// The answer was said before.
    RejectedRepetition,
    /// The answer matched one of `validation.inappropriate_patterns`.
    RejectedInappropriate,
    /// The answer had too little to do with the question.
    RejectedRelevance,
    /// Nothing was left of the answer after formatting.
    Empty,
    /// `testing.dry_run`, or `testing.send_to_chat` false.
    DryRun,
    /// Handed to the bus, but nothing proves that the robot got it.
    InDoubt,
    /// The robot said no.
    SendFailed,
    /// Given up at shutdown.
    Abandoned,
    /// A queue or `max_concurrent_handlers` was full.
    Overload,
}

impl Reason {
    /// All of them, in their order.
    pub const ALL: [Self; 36] = [
        Self::Listener,
        Self::Duplicate,
        Self::Own,
        Self::Stale,
        Self::Paused,
        Self::NoTrigger,
        Self::LoopGuard,
        Self::Spam,
        Self::GlobalMinute,
        Self::GlobalHour,
        Self::GlobalCooldown,
        Self::UserHour,
        Self::UserCooldown,
        Self::MentionCooldown,
        Self::TriggerHour,
        Self::TriggerCooldown,
        Self::SpendSoft,
        Self::SpendCalls,
        Self::SpendTokens,
        Self::SpendUser,
        Self::SpendCost,
        Self::Exhausted,
        Self::Fallback,
        Self::Refused,
        Self::Internal,
        Self::RejectedShort,
        Self::RejectedLong,
        Self::RejectedRepetition,
        Self::RejectedInappropriate,
        Self::RejectedRelevance,
        Self::Empty,
        Self::DryRun,
        Self::InDoubt,
        Self::SendFailed,
        Self::Abandoned,
        Self::Overload,
    ];

    /// Whether it is one of `rate_limits`, or of a trigger's own limits.
    pub fn is_rate_limit(self) -> bool {
        matches!(
            self,
            Self::GlobalMinute
                | Self::GlobalHour
                | Self::GlobalCooldown
                | Self::UserHour
                | Self::UserCooldown
                | Self::MentionCooldown
                | Self::TriggerHour
                | Self::TriggerCooldown
        )
    }

    /// Whether an answer was rejected by `validation`.
    pub fn is_rejection(self) -> bool {
        self.as_str().starts_with("rejected_")
    }

    /// Whether it is one of the limits of `spend`, which are known only when a provider is to be called.
    pub fn is_spend_limit(self) -> bool {
        matches!(self, Self::SpendCalls | Self::SpendTokens | Self::SpendUser | Self::SpendCost)
    }

    /// The name as it is written everywhere.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Listener => "listener",
            Self::Duplicate => "duplicate",
            Self::Own => "own",
            Self::Stale => "stale",
            Self::Paused => "paused",
            Self::NoTrigger => "no_trigger",
            Self::LoopGuard => "loop_guard",
            Self::Spam => "spam",
            Self::GlobalMinute => "global_minute",
            Self::GlobalHour => "global_hour",
            Self::GlobalCooldown => "global_cooldown",
            Self::UserHour => "user_hour",
            Self::UserCooldown => "user_cooldown",
            Self::MentionCooldown => "mention_cooldown",
            Self::TriggerHour => "trigger_hour",
            Self::TriggerCooldown => "trigger_cooldown",
            Self::SpendSoft => "spend_soft",
            Self::SpendCalls => "spend_calls",
            Self::SpendTokens => "spend_tokens",
            Self::SpendUser => "spend_user",
            Self::SpendCost => "spend_cost",
            Self::Exhausted => "exhausted",
            Self::Fallback => "fallback",
            Self::Refused => "refused",
            Self::Internal => "internal",
            Self::RejectedShort => "rejected_short",
            Self::RejectedLong => "rejected_long",
            Self::RejectedRepetition => "rejected_repetition",
            Self::RejectedInappropriate => "rejected_inappropriate",
            Self::RejectedRelevance => "rejected_relevance",
            Self::Empty => "empty",
            Self::DryRun => "dry_run",
            Self::InDoubt => "in_doubt",
            Self::SendFailed => "send_failed",
            Self::Abandoned => "abandoned",
            Self::Overload => "overload",
        }
    }
}

/// How one fired reply ended. Exactly one comes back for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReplyOutcome {
    /// The robot took every line, or a round trip behind the last one says that the bus has it.
    Sent,
    /// Nothing was said, on purpose. (What went out in part has failed.)
    Silenced(Reason),
    /// A reply that should have gone out and did not.
    Failed(Reason),
    /// Handed to the bus without proof.
    InDoubt,
    /// Given up at shutdown.
    Abandoned,
}

impl ReplyOutcome {
    /// Whether health counts it as an error.
    pub fn is_error(self) -> bool {
        matches!(self, Self::Failed(_) | Self::InDoubt | Self::Abandoned)
    }
}

/// The end of one reply, as it comes back to the decider.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ReplyEnd {
    /// How it ended.
    pub outcome: ReplyOutcome,
    /// When its first line was handed to the bus; none when nothing went out.
    pub spoken: Option<Moment>,
    /// How many of its lines are known to have gone out.
    pub parts_sent: usize,
    /// What its lines waited for.
    pub waits: Waits,
    /// The spend limit that kept it from being made, with its figures.
    pub denied: Option<Denied>,
}

impl ReplyEnd {
    /// An end without a line.
    pub fn silent(outcome: ReplyOutcome) -> Self {
        Self { outcome, spoken: None, parts_sent: 0, waits: Waits::default(), denied: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_reasons_are_listed_with_a_name_of_their_own() {
        for (place, reason) in Reason::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, place, "{reason:?}");
        }
        assert_eq!(Reason::ALL.last(), Some(&Reason::Overload), "the last one that there is");
        let names: std::collections::BTreeSet<&str> = Reason::ALL.into_iter().map(Reason::as_str).collect();
        assert_eq!(names.len(), Reason::ALL.len());
    }
}
