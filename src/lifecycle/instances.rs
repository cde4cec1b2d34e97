//! Is there another service under our name? The rule, without any I/O.

use std::time::Duration;

/// So many beats of one other instance make it a live one, not the last word of a predecessor.
const BEATS: u32 = 2;
/// The other one is taken for gone after so many of its intervals without a beat.
const INTERVALS_MISSED: u32 = 3;
/// Bounds on what is taken for its interval.
const SHORTEST_INTERVAL: Duration = Duration::from_secs(1);
const LONGEST_INTERVAL: Duration = Duration::from_secs(60);
/// So many others are told apart; more would not make the warning any louder.
const OTHERS_KEPT: usize = 16;

/// Another live instance under our name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OtherInstance {
    /// Its `instance_id`.
    pub instance_id: String,
    /// How long to believe in it without another beat.
    pub believed_for: Duration,
    /// Whether this is news.
    pub is_new: bool,
}

#[derive(Debug)]
struct Other {
    instance_id: String,
    beats: u32,
    last_beat: Duration,
}

/// Listens to the heartbeats on our own subject.
#[derive(Debug)]
pub struct Instances {
    own: String,
    others: Vec<Other>,
}

impl Instances {
    /// `own`: our `instance_id`.
    pub fn new(own: String) -> Self {
        Self { own, others: Vec::new() }
    }

    /// A beat on our subject. Some when it proves that another instance is alive.
    pub fn beat(&mut self, now: Duration, instance_id: &str) -> Option<OtherInstance> {
        if instance_id == self.own {
            return None;
        }
        self.others
            .retain(|other| now.saturating_sub(other.last_beat) <= LONGEST_INTERVAL * INTERVALS_MISSED);
        let known = self.others.iter().position(|other| other.instance_id == instance_id);
        let index = match known {
            Some(index) => index,
            None => {
                if self.others.len() >= OTHERS_KEPT {
                    self.others.remove(0);
                }
                self.others.push(Other { instance_id: instance_id.to_owned(), beats: 0, last_beat: now });
                self.others.len() - 1
            }
        };
        let other = &mut self.others[index];
        let interval = now.saturating_sub(other.last_beat).clamp(SHORTEST_INTERVAL, LONGEST_INTERVAL);
        other.beats = other.beats.saturating_add(1);
        other.last_beat = now;
        (other.beats >= BEATS).then(|| OtherInstance {
            instance_id: other.instance_id.clone(),
            believed_for: interval * INTERVALS_MISSED,
            is_new: other.beats == BEATS,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn our_own_beats_are_nobody_else() {
        let mut instances = Instances::new("me".into());
        assert!((0..10).all(|second| instances.beat(at(second), "me").is_none()));
    }

    #[test]
    fn a_second_instance_is_believed_at_its_second_beat_for_three_of_its_intervals() {
        let mut instances = Instances::new("me".into());
        assert_eq!(instances.beat(at(0), "other"), None);
        let other = instances.beat(at(10), "other").expect("two beats");
        assert_eq!(other.believed_for, at(30));
        assert!(other.is_new);
        assert!(!instances.beat(at(20), "other").expect("still there").is_new);
    }

    #[test]
    fn a_predecessors_last_beat_is_no_second_instance() {
        let mut instances = Instances::new("me".into());
        assert_eq!(instances.beat(at(0), "predecessor"), None);
        assert_eq!(instances.beat(at(500), "predecessor"), None, "long gone in between");
    }

    #[test]
    fn a_crowd_of_ids_stays_bounded() {
        let mut instances = Instances::new("me".into());
        for number in 0..10_000 {
            instances.beat(at(0), &number.to_string());
        }
        assert_eq!(instances.others.len(), OTHERS_KEPT);
    }
}
