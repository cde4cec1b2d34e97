//! Who is in a room.

use std::collections::HashMap;

use crate::names::Username;

use super::event::change::Visitor;

/// What an entry takes besides the texts of its name: the map may be half empty, and each text has a
/// header.
const ENTRY_BYTES: usize = 2 * size_of::<(Username, Presence)>() + 64;

/// The most names told of those who are active; more would help no prompt.
const NAMES: usize = 500;

/// The people of one room. Bounded in bytes: who doesn't fit is not taken.
#[derive(Debug, Default)]
pub struct People {
    present: HashMap<Username, Presence>,
    bytes: usize,
}

#[derive(Debug, Clone, Copy, Default)]
struct Presence {
    rank: f64,
    is_away: bool,
}

impl People {
    /// Takes everybody who is there, in place of what was known.
    pub fn replace(&mut self, max_bytes: usize, visitors: &[Visitor]) {
        *self = Self::default();
        for visitor in visitors {
            self.joined(max_bytes, visitor);
        }
    }

    /// Somebody came.
    pub fn joined(&mut self, max_bytes: usize, visitor: &Visitor) {
        if let Some(presence) = self.presence(max_bytes, &visitor.user) {
            *presence = Presence { rank: visitor.rank, is_away: visitor.is_away };
        }
    }

    /// Somebody went.
    pub fn left(&mut self, user: &Username) {
        if let Some((name, _)) = self.present.remove_entry(user) {
            self.bytes -= entry_bytes(&name);
        }
    }

    /// Somebody has another rank; whoever has one is there.
    pub fn ranked(&mut self, max_bytes: usize, user: &Username, rank: f64) {
        if let Some(presence) = self.presence(max_bytes, user) {
            presence.rank = rank;
        }
    }

    /// Somebody is away from the keyboard, or back; either way they are there.
    pub fn away(&mut self, max_bytes: usize, user: &Username, is_away: bool) {
        if let Some(presence) = self.presence(max_bytes, user) {
            presence.is_away = is_away;
        }
    }

    /// The rank of somebody who is there.
    pub fn rank_of(&self, user: &Username) -> Option<f64> {
        self.present.get(user).map(|presence| presence.rank)
    }

    /// How many are there.
    pub fn count(&self) -> usize {
        self.present.len()
    }

    /// Those who are not away from the keyboard, by name; of a huge crowd some.
    pub fn active(&self) -> Vec<Username> {
        let here = self.present.iter().filter(|(_, presence)| !presence.is_away).take(NAMES);
        let mut names: Vec<Username> = here.map(|(name, _)| name.clone()).collect();
        names.sort_unstable_by(|a, b| a.folded().cmp(b.folded()));
        names
    }

    fn presence(&mut self, max_bytes: usize, user: &Username) -> Option<&mut Presence> {
        if !self.present.contains_key(user) {
            let bytes = self.bytes + entry_bytes(user);
            if bytes > max_bytes {
                return None;
            }
            self.bytes = bytes;
        }
        Some(self.present.entry(user.clone()).or_default())
    }
}

fn entry_bytes(name: &Username) -> usize {
    ENTRY_BYTES + name.as_str().len() + name.folded().len()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PLENTY: usize = 1 << 20;

    fn visitor(name: &str, rank: f64, is_away: bool) -> Visitor {
        Visitor { user: Username::new(name), rank, is_away }
    }

    fn active(people: &People) -> Vec<String> {
        people.active().iter().map(|name| name.as_str().to_owned()).collect()
    }

    #[test]
    fn people_come_and_go_under_their_names_in_any_case() {
        let mut people = People::default();
        people.replace(PLENTY, &[visitor("bob", 1.0, false), visitor("Ann", 2.5, true)]);
        assert_eq!((people.count(), active(&people)), (2, vec!["bob".to_owned()]));
        people.joined(PLENTY, &visitor("Zoe", 0.0, false));
        people.away(PLENTY, &Username::new("ann"), false);
        people.ranked(PLENTY, &Username::new("BOB"), 3.0);
        assert_eq!(active(&people), ["Ann", "bob", "Zoe"]);
        assert_eq!(people.rank_of(&Username::new("Bob")), Some(3.0));
        assert_eq!(people.rank_of(&Username::new("ann")), Some(2.5));
        people.left(&Username::new("bOb"));
        people.left(&Username::new("nobody"));
        assert_eq!(people.rank_of(&Username::new("bob")), None);
        assert_eq!(active(&people), ["Ann", "Zoe"]);
        people.replace(PLENTY, &[visitor("eve", 0.0, false)]);
        assert_eq!(active(&people), ["eve"]);
    }

    #[test]
    fn who_is_ranked_or_away_is_there() {
        let mut people = People::default();
        people.ranked(PLENTY, &Username::new("bob"), 2.0);
        people.away(PLENTY, &Username::new("ann"), true);
        assert_eq!((people.count(), active(&people)), (2, vec!["bob".to_owned()]));
    }

    #[test]
    fn who_does_not_fit_is_not_taken_until_somebody_goes() {
        let mut people = People::default();
        let two = 2 * entry_bytes(&Username::new("a"));
        for name in ["a", "b", "c"] {
            people.joined(two, &visitor(name, 1.0, false));
        }
        assert_eq!(active(&people), ["a", "b"]);
        people.joined(two, &visitor("b", 2.0, false));
        assert_eq!(people.rank_of(&Username::new("b")), Some(2.0));
        people.left(&Username::new("a"));
        people.joined(two, &visitor("c", 1.0, false));
        assert_eq!(active(&people), ["b", "c"]);
    }

    #[test]
    fn of_a_huge_crowd_some_are_named() {
        let mut people = People::default();
        for number in 0..2_000 {
            people.joined(PLENTY, &visitor(&format!("user{number}"), 0.0, false));
        }
        assert_eq!((people.count(), people.active().len()), (2_000, NAMES));
    }

    proptest! {
        #[test]
        fn the_bytes_are_those_of_who_is_there(changes in prop::collection::vec((0..3u8, "[a-cA-C]{1,2}"), 0..60)) {
            let mut people = People::default();
            let max_bytes = 4 * entry_bytes(&Username::new("ab"));
            for (change, name) in changes {
                match change {
                    0 => people.left(&Username::new(&name)),
                    1 => people.away(max_bytes, &Username::new(&name), true),
                    _ => people.joined(max_bytes, &visitor(&name, 0.0, false)),
                }
                let bytes: usize = people.present.keys().map(entry_bytes).sum();
                prop_assert_eq!(people.bytes, bytes);
                prop_assert!(bytes <= max_bytes);
            }
        }
    }
}
