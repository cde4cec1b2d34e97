//! The texts in labels that today's dashboards know.

use crate::outcome::Reason;

/// A rate limit as the label of a hit; none for another reason. `trigger` is the name of the trigger
/// that fired.
pub fn rate_limit(reason: Reason, trigger: &str) -> Option<String> {
    let text = match reason {
        Reason::GlobalMinute => "global per-minute limit reached",
        Reason::GlobalHour => "global per-hour limit reached",
        Reason::GlobalCooldown => "global cooldown active",
        Reason::UserHour => "user per-hour limit reached",
        Reason::UserCooldown => "user cooldown active",
        Reason::MentionCooldown => "mention cooldown active",
        Reason::TriggerHour => return Some(format!("trigger '{trigger}' per-hour limit reached")),
        Reason::TriggerCooldown => return Some(format!("trigger '{trigger}' cooldown active")),
        _ => return None,
    };
    Some(text.to_owned())
}

/// Every such label, for these triggers.
pub fn rate_limits<'trigger>(triggers: impl IntoIterator<Item = &'trigger str>) -> Vec<String> {
    let is_triggers = |reason: &Reason| matches!(reason, Reason::TriggerHour | Reason::TriggerCooldown);
    let (of_triggers, others): (Vec<Reason>, Vec<Reason>) =
        Reason::ALL.into_iter().filter(|reason| reason.is_rate_limit()).partition(is_triggers);
    let mut labels: Vec<String> = others.into_iter().filter_map(|reason| rate_limit(reason, "")).collect();
    for trigger in triggers {
        labels.extend(of_triggers.iter().filter_map(|reason| rate_limit(*reason, trigger)));
    }
    labels
}

/// The kinds of cooldowns, each with its reason.
pub const COOLDOWNS: [(&str, Reason); 4] = [
    ("global", Reason::GlobalCooldown),
    ("user", Reason::UserCooldown),
    ("mention", Reason::MentionCooldown),
    ("trigger", Reason::TriggerCooldown),
];

/// What the exporter has to be given so that a label comes out as `value`: it takes a backslash for the
/// beginning of an escape, and would drop some and mistake one name for another.
pub fn escaped(value: &str) -> String {
    value.replace('\\', r"\\")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_texts_are_those_that_dashboards_know() {
        let expected = [
            "global per-minute limit reached",
            "global per-hour limit reached",
            "global cooldown active",
            "user per-hour limit reached",
            "user cooldown active",
            "mention cooldown active",
            "trigger 'toddy' per-hour limit reached",
            "trigger 'toddy' cooldown active",
        ];
        assert_eq!(rate_limits(["toddy"]), expected);
        for reason in Reason::ALL {
            assert_eq!(rate_limit(reason, "toddy").is_some(), reason.is_rate_limit(), "{reason:?}");
        }
    }
}
