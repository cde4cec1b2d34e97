use serde_json::{Value, json};

use super::super::testing::{at, rules};
use super::super::trace::Untraced;
use super::*;

const BYTES: usize = 1 << 20;

struct Room {
    spam: Spam,
    settings: Settings,
    tickets: u64,
}

impl Room {
    fn new(spam_detection: Value) -> Self {
        let settings = rules(json!({"spam_detection": spam_detection})).config().spam_detection.clone();
        Self { spam: Spam::default(), settings, tickets: 0 }
    }

    /// A message at a second; when it is no spam it gets a reply. Says the rule and the seconds left.
    fn asks(&mut self, second: f64, asked: &Asked) -> Option<(Rule, u64)> {
        match self.spam.check(at(second), &self.settings, BYTES, asked, &mut Untraced) {
            Ok(()) => {
                self.tickets += 1;
                self.spam.reserve(at(second), &self.settings, BYTES, asked, Ticket(self.tickets));
                None
            }
            Err(caught) => Some((caught.rule, caught.remaining.as_secs())),
        }
    }

    /// Messages of different texts at these seconds, by a trigger word.
    fn words(&mut self, user: &str, seconds: &[f64]) -> Vec<Option<(Rule, u64)>> {
        let user = Username::new(user);
        let ask = |second: &f64| {
            let text = format!("text {second}");
            self.asks(*second, &Asked { user: &user, rank: 0.0, text: &text, is_mention: false })
        };
        seconds.iter().map(ask).collect()
    }
}

#[test]
fn too_many_messages_in_a_window_are_an_offence() {
    let mut room = Room::new(json!({"message_windows": [{"seconds": 60, "max_messages": 2}]}));
    let offence = Some((Rule::Messages, 30));
    assert_eq!(room.words("bob", &[0.0, 59.9, 60.0, 60.1]), [None, None, None, offence]);
    let mut room = Room::new(json!({"message_windows": [
        {"seconds": 10, "max_messages": 5}, {"seconds": 100, "max_messages": 2}
    ]}));
    assert_eq!(room.words("bob", &[0.0, 50.0, 99.0]), [None, None, offence], "any window");
    assert_eq!(room.words("ann", &[99.0]), [None], "others are not punished");
}

#[test]
fn too_many_mentions_are_an_offence() {
    let mut room = Room::new(json!({"mention_spam_threshold": 2, "mention_spam_window": 30}));
    let bob = Username::new("bob");
    let texts: Vec<String> = (0..5).map(|number| format!("vera {number}")).collect();
    let mention = |index: usize| Asked { user: &bob, rank: 0.0, text: &texts[index], is_mention: true };
    assert_eq!(room.asks(0.0, &mention(0)), None);
    assert_eq!(room.asks(1.0, &mention(1)), None);
    assert_eq!(room.asks(2.0, &Asked { is_mention: false, ..mention(2) }), None, "no mention");
    assert_eq!(room.asks(30.0, &mention(3)), None, "the first has left the window");
    assert_eq!(room.asks(30.5, &mention(4)), Some((Rule::Mentions, 30)));
}

#[test]
fn the_same_text_again_and_again_is_an_offence() {
    let bob = Username::new("bob");
    let ask = |text| Asked { user: &bob, rank: 0.0, text, is_mention: false };
    let no_windows = json!([]);
    let mut room = Room::new(json!({"message_windows": no_windows, "identical_message_threshold": 2}));
    assert_eq!(room.asks(0.0, &ask("Popcorn ")), None);
    assert_eq!(room.asks(100.0, &ask("other")), None);
    assert_eq!(room.asks(200.0, &ask("popcorn")), None);
    assert_eq!(room.asks(300.0, &ask(" POPCORN")), Some((Rule::Identical, 30)));

    let mut room = Room::new(json!({"message_windows": no_windows, "identical_message_threshold": 1}));
    room.asks(0.0, &ask("popcorn"));
    let others: Vec<f64> = (1..=20).map(f64::from).collect();
    room.words("bob", &others);
    assert_eq!(room.asks(300.0, &ask("popcorn")), None, "not among the last 20");
}

#[test]
fn a_window_for_identical_texts_overrides_the_threshold() {
    let window = json!({"seconds": 10, "max_messages": 1});
    let mut room = Room::new(json!({"identical_message_threshold": 9, "identical_message_window": window}));
    let bob = Username::new("bob");
    let ask = Asked { user: &bob, rank: 0.0, text: "popcorn", is_mention: false };
    assert_eq!(room.asks(0.0, &ask), None);
    assert_eq!(room.asks(10.0, &ask), None);
    assert_eq!(room.asks(19.9, &ask), Some((Rule::Identical, 30)));
}

#[test]
fn a_penalty_runs_grows_and_is_forgiven() {
    let mut room = Room::new(json!({
        "message_windows": [{"seconds": 1, "max_messages": 1}], "initial_penalty": 30,
        "penalty_multiplier": 2, "max_penalty": 100, "clean_period": 600
    }));
    let mut second_of = |second: f64| room.words("bob", &[second, second + 0.5])[1];
    assert_eq!(second_of(0.0), Some((Rule::Messages, 30)));
    assert_eq!(second_of(20.0), Some((Rule::Penalty, 10)), "10 whole seconds left after 20.5");
    assert_eq!(second_of(40.0), Some((Rule::Messages, 60)));
    assert_eq!(second_of(110.0), Some((Rule::Messages, 100)), "never more than max_penalty");
    assert_eq!(second_of(310.0), Some((Rule::Messages, 100)));
    assert_eq!(second_of(910.5), Some((Rule::Messages, 30)), "clean_period after the last offence");
}

#[test]
fn durations_given_one_by_one_override_the_formula_and_the_last_repeats() {
    let room = Room::new(json!({"penalty_durations": [5, 50]}));
    let penalties = [1, 2, 3, u32::MAX].map(|offences| penalty(&room.settings, offences).as_secs());
    assert_eq!(penalties, [5, 50, 50, 50]);
}

#[test]
fn no_number_of_offences_breaks_the_formula() {
    let room = Room::new(json!({"penalty_multiplier": 1e300}));
    let penalties = [1, 2, 3, u32::MAX].map(|offences| penalty(&room.settings, offences).as_secs());
    assert_eq!(penalties, [30, 600, 600, 600]);
}

#[test]
fn messages_under_a_penalty_count_in_the_windows() {
    let mut room = Room::new(json!({
        "message_windows": [{"seconds": 40, "max_messages": 3}], "initial_penalty": 10
    }));
    let caught = room.words("bob", &[0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 41.0]);
    assert_eq!(caught[3], Some((Rule::Messages, 10)));
    assert_eq!(caught[4], Some((Rule::Penalty, 9)));
    assert_eq!(caught[7], Some((Rule::Messages, 20)));
}

#[test]
fn a_message_whose_reply_is_not_said_does_not_count() {
    let mut room = Room::new(json!({"message_windows": [{"seconds": 60, "max_messages": 1}]}));
    room.words("bob", &[0.0]);
    room.spam.give_back(&Username::new("BOB"), Ticket(1));
    assert_eq!(room.words("bob", &[1.0, 2.0]), [None, Some((Rule::Messages, 30))]);
}

#[test]
fn a_message_that_was_only_checked_does_not_count() {
    let mut room = Room::new(json!({"message_windows": [{"seconds": 60, "max_messages": 1}]}));
    let bob = Username::new("bob");
    let ask = Asked { user: &bob, rank: 0.0, text: "popcorn", is_mention: false };
    for second in 0..10 {
        assert_eq!(
            room.spam.check(at(f64::from(second)), &room.settings, BYTES, &ask, &mut Untraced),
            Ok(())
        );
    }
}

#[test]
fn exempt_ranks_and_a_switched_off_detection_pass() {
    let bob = Username::new("bob");
    for (enabled, rank, is_caught) in
        [(true, 0.0, true), (true, 2.5, true), (true, 3.0, false), (true, 3.5, true), (false, 0.0, false)]
    {
        let mut room =
            Room::new(json!({"enabled": enabled, "message_windows": [{"seconds": 60, "max_messages": 1}]}));
        let ask = Asked { user: &bob, rank, text: "popcorn", is_mention: false };
        room.asks(0.0, &ask);
        assert_eq!(room.asks(1.0, &ask).is_some(), is_caught, "{enabled} {rank}");
    }
}
