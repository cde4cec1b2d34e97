//! Which of a room's lines are our own, so that we never answer ourselves.

use std::collections::VecDeque;
use std::time::Duration;

use crate::clock::Moment;
use crate::names::Username;

/// How long a line of ours is waited for in the room.
const ECHO_WINDOW: Duration = Duration::from_secs(10);
/// The most lines waited for at once.
const ECHOES: usize = 32;

/// Who we are in one room.
#[derive(Debug, Default)]
pub struct Identity {
    /// What the robot said.
    told: Option<Username>,
    /// Under which name a line of ours came back.
    guessed: Option<Username>,
    /// What we sent a moment ago, without white space.
    sent: VecDeque<(Duration, String)>,
}

impl Identity {
    /// Takes the robot's answer to "who am I"; `None` when it had none.
    pub fn told(&mut self, name: Option<Username>) {
        if name.is_some() {
            self.guessed = None;
        }
        self.told = name;
    }

    /// Remembers what we sent to the room.
    pub fn sent(&mut self, now: Moment, text: &str) {
        self.forget(now);
        if self.sent.len() == ECHOES {
            self.sent.pop_front();
        }
        self.sent.push_back((now.elapsed, without_space(text)));
    }

    /// Our name in the room: the configured one, else the robot's answer, else what we guessed, else
    /// the character's.
    pub fn name<'own>(&'own self, names: &Names<'own>) -> &'own Username {
        names.bot_username.or(self.told.as_ref()).or(self.guessed.as_ref()).unwrap_or(names.character_name)
    }

    /// Whether a line is ours: by its user, or, while nobody has told us our name, by its text being
    /// what we sent within the last 10 seconds. Its user is then taken as our name.
    pub fn is_own(&mut self, now: Moment, names: &Names, user: &Username, text: &str) -> bool {
        let is_known = names.bot_username.is_some() || self.told.is_some();
        let is_echo = !is_known && self.take_echo(now, text);
        if is_echo {
            self.guessed = Some(user.clone());
        }
        is_echo || user == self.name(names) || user == names.character_name
    }

    /// The same, of a line that decides nothing: nothing is learned from it.
    pub fn seems_own(&self, now: Moment, names: &Names, user: &Username, text: &str) -> bool {
        let is_known = names.bot_username.is_some() || self.told.is_some();
        let text = without_space(text);
        let is_recent = |at: Duration| now.elapsed.saturating_sub(at) <= ECHO_WINDOW;
        user == self.name(names)
            || user == names.character_name
            || (!is_known && self.sent.iter().any(|(at, sent)| is_recent(*at) && *sent == text))
    }

    /// Each line of ours comes back once, so that whoever repeats it is somebody else.
    fn take_echo(&mut self, now: Moment, text: &str) -> bool {
        self.forget(now);
        if self.sent.is_empty() {
            return false;
        }
        let text = without_space(text);
        match self.sent.iter().position(|(_, sent)| *sent == text) {
            Some(at) => self.sent.remove(at).is_some(),
            None => false,
        }
    }

    fn forget(&mut self, now: Moment) {
        while let Some((at, _)) = self.sent.front()
            && now.elapsed.saturating_sub(*at) > ECHO_WINDOW
        {
            self.sent.pop_front();
        }
    }
}

/// The names that the configuration gives us.
#[derive(Debug, Clone, Copy)]
pub struct Names<'config> {
    /// `bot_username`.
    pub bot_username: Option<&'config Username>,
    /// `personality.character_name`.
    pub character_name: &'config Username,
}

/// CyTube turns words into pictures and links, with white space of its own round them.
fn without_space(text: &str) -> String {
    text.split_whitespace().collect()
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;

    fn at(seconds: u64) -> Moment {
        Moment { elapsed: Duration::from_secs(seconds), wall: DateTime::UNIX_EPOCH }
    }

    struct Bot {
        identity: Identity,
        bot_username: Option<Username>,
        character_name: Username,
    }

    impl Bot {
        fn new(bot_username: Option<&str>) -> Self {
            Self {
                identity: Identity::default(),
                bot_username: bot_username.map(Username::new),
                character_name: Username::new("Vera"),
            }
        }

        fn owns(&mut self, seconds: u64, user: &str, text: &str) -> bool {
            let names =
                Names { bot_username: self.bot_username.as_ref(), character_name: &self.character_name };
            self.identity.is_own(at(seconds), &names, &Username::new(user), text)
        }
    }

    #[test]
    fn a_line_is_ours_by_the_configured_name_or_the_characters_in_any_case() {
        let mut bot = Bot::new(Some("TheBot"));
        bot.identity.told(Some(Username::new("Other")));
        for (user, own) in [("thebot", true), ("VERA", true), ("Other", false), ("bob", false)] {
            assert_eq!(bot.owns(0, user, "hi"), own, "{user}");
        }
    }

    #[test]
    fn without_a_configured_name_the_robots_answer_counts() {
        let mut bot = Bot::new(None);
        assert!(!bot.owns(0, "Robo", "hi"));
        bot.identity.told(Some(Username::new("Robo")));
        assert!(bot.owns(0, "robo", "hi"));
    }

    #[test]
    fn while_nobody_told_us_our_name_what_we_just_sent_is_ours_and_tells_it() {
        let mut bot = Bot::new(None);
        bot.identity.sent(at(0), "Hello  there :smile:");
        assert!(!bot.owns(1, "bob", "hello there :smile:"), "another text");
        assert!(bot.owns(10, "Robo", "Hello there  :smile: "));
        assert!(bot.owns(60, "robo", "anything"), "its user is our name now");
        assert!(!bot.owns(60, "bob", "Hello there :smile:"), "each line comes back once");
    }

    #[test]
    fn a_line_of_ours_is_not_waited_for_longer_than_10_seconds() {
        let mut bot = Bot::new(None);
        bot.identity.sent(at(0), "Hello");
        assert!(!bot.owns(11, "Robo", "Hello"));
    }

    #[test]
    fn once_the_name_is_known_repeating_our_words_makes_nobody_us() {
        for mut bot in [Bot::new(Some("TheBot")), Bot::new(None)] {
            bot.identity.told(Some(Username::new("TheBot")));
            bot.identity.sent(at(0), "Hello");
            assert!(!bot.owns(1, "bob", "Hello"));
        }
    }

    #[test]
    fn a_line_that_decides_nothing_seems_ours_by_the_same_rules_and_teaches_nothing() {
        let mut bot = Bot::new(None);
        bot.identity.sent(at(0), "Hello  there");
        let names = Names { bot_username: None, character_name: &bot.character_name };
        for (seconds, user, text, expected) in [
            (1, "bob", "Hello there", true),
            (1, "bob", "hello there", false),
            (11, "bob", "Hello there", false),
            (60, "vera", "anything", true),
        ] {
            let seems = bot.identity.seems_own(at(seconds), &names, &Username::new(user), text);
            assert_eq!(seems, expected, "{seconds}: {user}: {text}");
        }
        assert!(bot.owns(1, "Robo", "Hello there"), "the line is still waited for");
        bot.identity.told(Some(Username::new("Robo")));
        bot.identity.sent(at(2), "Hello");
        let names = Names { bot_username: None, character_name: &bot.character_name };
        let seems = |user: &str| bot.identity.seems_own(at(3), &names, &Username::new(user), "Hello");
        assert_eq!((seems("bob"), seems("ROBO")), (false, true));
    }

    #[test]
    fn the_robots_answer_replaces_a_guess() {
        let mut bot = Bot::new(None);
        bot.identity.sent(at(0), "Hello");
        assert!(bot.owns(1, "mallory", "Hello"));
        bot.identity.told(Some(Username::new("Robo")));
        assert!(!bot.owns(2, "mallory", "hi"));
        assert!(bot.owns(2, "Robo", "hi"));
    }

    #[test]
    fn what_is_waited_for_is_bounded() {
        let mut bot = Bot::new(None);
        for line in 0..1_000 {
            bot.identity.sent(at(0), &format!("line {line}"));
        }
        assert_eq!(bot.identity.sent.len(), ECHOES);
    }
}
