//! Which messages nobody should look at.

use crate::names::Username;

use super::event::ChatMessage;

/// CyTube's own voices.
const SYSTEM_NAMES: [&str; 3] = ["[server]", "[bot]", "[system]"];
/// How commands of the room and of other bots begin.
const COMMAND_MARKS: [char; 3] = ['!', '/', '.'];
/// What the server says when somebody joins.
const JOIN_NOTICE: &str = " joined (aliases: ";

/// Why a message is dropped before anything else looks at it; `None` when it isn't.
pub fn drop_reason(ignored_users: &[Username], message: &ChatMessage) -> Option<&'static str> {
    if message.user.as_str().is_empty() {
        Some("no name")
    } else if message.text.is_empty() {
        Some("no text")
    } else if SYSTEM_NAMES.contains(&message.user.folded()) {
        Some("a system name")
    } else if ignored_users.contains(&message.user) {
        Some("an ignored user")
    } else if message.is_shadow_muted {
        Some("shadow-muted")
    } else if message.text.starts_with(COMMAND_MARKS) {
        Some("a command")
    } else if message.text.contains(JOIN_NOTICE) {
        Some("a join notice")
    } else {
        None
    }
}

/// Whether a text is dropped whoever says it.
pub fn is_unheeded(text: &str) -> bool {
    text.is_empty() || text.starts_with(COMMAND_MARKS) || text.contains(JOIN_NOTICE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_dropped_for_the_first_reason_that_holds() {
        let ignored = [Username::new("Spambot")];
        for (user, text, is_shadow_muted, reason) in [
            ("", "", false, Some("no name")),
            ("bob", "", true, Some("no text")),
            ("[Server]", "!x", false, Some("a system name")),
            ("[bot]", "x", false, Some("a system name")),
            ("[SYSTEM]", "x", false, Some("a system name")),
            ("spamBOT", "!x", true, Some("an ignored user")),
            ("bob", "!x", true, Some("shadow-muted")),
            ("bob", "!x", false, Some("a command")),
            ("bob", "/me joined (aliases: x", false, Some("a command")),
            ("bob", ".x", false, Some("a command")),
            ("bob", "eve joined (aliases: x)", false, Some("a join notice")),
            ("bob", "$5 for x! a/b", false, None),
            ("bob", "joined (aliases: x)", false, None),
        ] {
            let message = ChatMessage {
                user: Username::new(user),
                text: text.to_owned(),
                posted: None,
                relayed: None,
                correlation_id: None,
                rank: None,
                is_shadow_muted,
            };
            assert_eq!(drop_reason(&ignored, &message), reason, "{user}: {text}");
            if user == "bob" && !is_shadow_muted {
                assert_eq!(is_unheeded(text), reason.is_some(), "{text}");
            }
        }
    }
}
