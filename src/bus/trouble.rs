//! What the client says about a connection besides its end: told to the log and to health.

use std::collections::BTreeMap;
use std::time::Duration;

use async_nats::{Event, ServerError};
use tracing::{debug, error, info, warn};

use super::proof::{ECHO_INTERVAL, Proof};
use crate::clock::{Clock, Moment};
use crate::health::{Component, HealthMonitor};

/// How long a slow consumer or a server's announced shutdown keeps the component unhealthy.
const TROUBLE_LASTS: Duration = Duration::from_secs(60);
/// The same for a refused publish: longer than the longest time between two beats, so that it
/// doesn't heal between one and the next.
const DENIED_PUBLISH_LASTS: Duration = Duration::from_secs(75);
/// The same trouble is logged again after so long.
const LOG_AGAIN: Duration = Duration::from_secs(30);
/// Denied subjects told apart; they are our own, so there are never that many.
const DENIED_KEPT: usize = 64;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Action {
    Subscribe,
    Publish,
}

impl Action {
    fn as_str(self) -> &'static str {
        match self {
            Self::Subscribe => "subscribe",
            Self::Publish => "publish",
        }
    }
}

#[derive(Debug)]
struct Denial {
    logged_at: Duration,
    /// When a denied subscription was last tried again, while nothing has come of it yet.
    tried_again: Option<Duration>,
}

/// The troubles of the present connection.
pub(super) struct Troubles {
    clock: Clock,
    health: HealthMonitor,
    /// What we may not do, and to which subject.
    denied: BTreeMap<(Action, String), Denial>,
    /// Subjects that we can do without, and whether it was told that one was denied.
    dispensable: BTreeMap<String, bool>,
    overflow_logged_at: Option<Duration>,
}

impl Troubles {
    pub(super) fn new(clock: Clock, health: HealthMonitor) -> Self {
        Self {
            clock,
            health,
            denied: BTreeMap::new(),
            dispensable: BTreeMap::new(),
            overflow_logged_at: None,
        }
    }

    /// A denial of this subject is logged once and is no trouble.
    pub(super) fn do_without(&mut self, subject: String) {
        self.dispensable.insert(subject, false);
    }

    /// A new connection: it may be to another server, with other permissions.
    pub(super) fn begin(&mut self) {
        let now = self.clock.now();
        self.health.condition(now, Component::Nats, "lame duck", None, None);
        for (action, subject) in std::mem::take(&mut self.denied).into_keys() {
            self.heal(now, action, &subject);
        }
    }

    /// The client says something.
    pub(super) fn hear(&mut self, event: Event) {
        let now = self.clock.now();
        match event {
            Event::SlowConsumer(_) => self.overflowed(now),
            Event::LameDuckMode => {
                warn!("the NATS server announces its shutdown (lame duck mode)");
                let why = "the server is shutting down".to_owned();
                self.health.condition(now, Component::Nats, "lame duck", Some(why), Some(TROUBLE_LASTS));
            }
            Event::ServerError(ServerError::Other(text)) => match denied_subject(&text) {
                Some((subject, action)) => self.denied(now, subject, action),
                None => warn!(error = %text, "NATS reports an error"),
            },
            Event::ServerError(error) => warn!(%error, "NATS reports an error"),
            Event::ClientError(error) => debug!(%error, "the NATS client reports an error"),
            Event::Connected | Event::Disconnected | Event::Draining | Event::Closed => {}
        }
    }

    /// The client's own queue overflowed; one event for each message that was dropped.
    fn overflowed(&mut self, now: Moment) {
        let is_due = self.overflow_logged_at.is_none_or(|at| now.elapsed.saturating_sub(at) >= TROUBLE_LASTS);
        if is_due {
            self.overflow_logged_at = Some(now.elapsed);
            warn!(
                "messages from NATS came faster than they could be taken: some were dropped (slow consumer)"
            );
        }
        let why = "slow consumer: messages dropped".to_owned();
        self.health.condition(now, Component::Nats, "slow client", Some(why), Some(TROUBLE_LASTS));
    }

    fn denied(&mut self, now: Moment, subject: &str, action: Action) {
        if let Some(was_told) = self.dispensable.get_mut(subject) {
            if !std::mem::replace(was_told, true) {
                let verb = action.as_str();
                info!(subject, "NATS does not let us {verb} to a subject that we can do without");
            }
            return;
        }
        let denial = (action, subject.to_owned());
        let known = self.denied.get_mut(&denial);
        let is_due =
            known.as_ref().is_none_or(|known| now.elapsed.saturating_sub(known.logged_at) >= LOG_AGAIN);
        if let Some(known) = known {
            known.tried_again = None;
            if is_due {
                known.logged_at = now.elapsed;
            }
        } else if self.denied.len() < DENIED_KEPT {
            self.denied.insert(denial, Denial { logged_at: now.elapsed, tried_again: None });
        } else {
            return;
        }
        let verb = action.as_str();
        if is_due {
            error!(subject, "NATS does not let us {verb} to a subject; check the account's permissions");
        }
        let why = format!("may not {verb} to {subject}");
        let lasts = (action == Action::Publish).then_some(DENIED_PUBLISH_LASTS);
        self.health.condition(now, Component::Nats, denied_key(action, subject), Some(why), lasts);
    }

    /// The subscriptions that were denied, to be tried again now: permissions can be given back.
    pub(super) fn try_again(&mut self) -> Vec<String> {
        let now = self.clock.now().elapsed;
        self.denied
            .iter_mut()
            .filter(|((action, _), _)| *action == Action::Subscribe)
            .map(|((_, subject), denial)| {
                denial.tried_again = Some(now);
                subject.clone()
            })
            .collect()
    }

    /// An echo came back. A subscription that was tried again well before it, and not denied since,
    /// is in force.
    pub(super) fn proven(&mut self, proof: Proof) {
        let now = self.clock.now();
        let is_in_force =
            |denial: &Denial| denial.tried_again.is_some_and(|tried| proof.began >= tried + ECHO_INTERVAL);
        let healed: Vec<(Action, String)> = self
            .denied
            .iter()
            .filter(|(_, denial)| is_in_force(denial))
            .map(|(denied, _)| denied.clone())
            .collect();
        for denied in healed {
            self.denied.remove(&denied);
            let (action, subject) = denied;
            warn!(subject, "NATS lets us {} again", action.as_str());
            self.heal(now, action, &subject);
        }
    }

    fn heal(&self, now: Moment, action: Action, subject: &str) {
        self.health.condition(now, Component::Nats, denied_key(action, subject), None, None);
    }
}

fn denied_key(action: Action, subject: &str) -> String {
    format!("denied {} {subject}", action.as_str())
}

/// The denied subject in the server's `Permissions Violation for Subscription to "…"`.
fn denied_subject(text: &str) -> Option<(&str, Action)> {
    let (what, rest) = text.split_once('"')?;
    let what = what.to_lowercase();
    let (subject, _) = rest.split_once('"')?;
    if !what.contains("permissions violation") {
        return None;
    }
    Some((subject, if what.contains("subscription") { Action::Subscribe } else { Action::Publish }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::State;

    fn troubles() -> Troubles {
        let clock = Clock::start();
        let health = HealthMonitor::new(clock.now(), [], []);
        health.link(clock.now(), crate::health::LinkHealth::Up);
        Troubles::new(clock, health)
    }

    fn denial(subject: &str) -> Event {
        let text = format!("Permissions Violation for Subscription to \"{subject}\"");
        Event::ServerError(ServerError::Other(text))
    }

    fn state(troubles: &Troubles) -> State {
        troubles.health.snapshot(troubles.clock.now()).state
    }

    fn proof_began(troubles: &Troubles, after: Duration) -> Proof {
        let now = troubles.clock.now().elapsed;
        Proof { began: now + after, answered: now + after }
    }

    #[test]
    fn the_denied_subject_is_read_from_the_servers_words() {
        for (text, expected) in [
            ("Permissions Violation for Subscription to \"a.>\"", Some(("a.>", Action::Subscribe))),
            ("Permissions Violation for Publish to \"a.b\"", Some(("a.b", Action::Publish))),
            (
                "permissions violation for subscription to \"a\" using queue \"q\"",
                Some(("a", Action::Subscribe)),
            ),
            ("Stale Connection", None),
            ("say \"hello\"", None),
            ("Permissions Violation for Publish to \"a", None),
        ] {
            assert_eq!(denied_subject(text), expected, "{text}");
        }
    }

    #[test]
    fn a_denied_subscription_heals_when_it_was_tried_again_and_an_echo_behind_it_says_nothing_else() {
        let mut troubles = troubles();
        troubles.hear(denial("a"));
        assert_eq!(state(&troubles), State::Degraded);
        troubles.proven(proof_began(&troubles, Duration::from_secs(9)));
        assert_eq!(state(&troubles), State::Degraded, "it was not tried again");
        assert_eq!(troubles.try_again(), ["a"]);
        troubles.proven(proof_began(&troubles, Duration::ZERO));
        assert_eq!(state(&troubles), State::Degraded, "the refusal may still be on its way");
        troubles.proven(proof_began(&troubles, 2 * ECHO_INTERVAL));
        assert_eq!(state(&troubles), State::Healthy);
        assert!(troubles.try_again().is_empty());
    }

    #[test]
    fn a_subscription_that_is_denied_again_stays_denied() {
        let mut troubles = troubles();
        troubles.hear(denial("a"));
        troubles.try_again();
        troubles.hear(denial("a"));
        troubles.proven(proof_began(&troubles, 2 * ECHO_INTERVAL));
        assert_eq!(state(&troubles), State::Degraded);
    }

    #[test]
    fn publishing_and_subscribing_to_one_subject_are_denied_and_heal_apart() {
        let mut troubles = troubles();
        troubles.hear(denial("a"));
        let publish = "Permissions Violation for Publish to \"a\"".to_owned();
        troubles.hear(Event::ServerError(ServerError::Other(publish)));
        let nats = |troubles: &Troubles| {
            let snapshot = troubles.health.snapshot(troubles.clock.now());
            snapshot.unhealthy(Component::Nats).map(str::to_owned)
        };
        let told = nats(&troubles).expect("trouble");
        assert!(told.contains("may not subscribe to a") && told.contains("may not publish to a"), "{told}");
        assert_eq!(troubles.try_again(), ["a"]);
        troubles.proven(proof_began(&troubles, 2 * ECHO_INTERVAL));
        assert_eq!(nats(&troubles).as_deref(), Some("may not publish to a"));
    }

    #[test]
    fn a_new_connection_begins_without_the_old_ones_troubles() {
        let mut troubles = troubles();
        troubles.hear(denial("a"));
        troubles.hear(Event::LameDuckMode);
        troubles.begin();
        assert_eq!(state(&troubles), State::Healthy);
        assert!(troubles.try_again().is_empty());
    }

    #[test]
    fn a_denied_subject_that_we_can_do_without_is_no_trouble() {
        let mut troubles = troubles();
        troubles.do_without("a".to_owned());
        troubles.hear(denial("a"));
        let publish = "Permissions Violation for Publish to \"a\"".to_owned();
        troubles.hear(Event::ServerError(ServerError::Other(publish)));
        assert_eq!(state(&troubles), State::Healthy);
        assert!(troubles.try_again().is_empty());
        troubles.hear(denial("b"));
        assert_eq!(state(&troubles), State::Degraded);
    }

    #[test]
    fn denials_without_end_stay_bounded() {
        let mut troubles = troubles();
        (0..1_000).for_each(|number| troubles.hear(denial(&number.to_string())));
        assert_eq!(troubles.denied.len(), DENIED_KEPT);
    }
}
