//! What systemd is to be told next. Pure: it knows neither the socket nor the clock.

use std::fmt::Write;
use std::time::Duration;

use crate::health::{State, cut};

/// How often the time for the start is extended.
const EXTEND_EVERY: Duration = Duration::from_secs(5);
/// By how much. Longer than the pause between two, so that one may be late.
const EXTEND_BY: Duration = Duration::from_secs(20);
/// The longest status, in bytes.
const STATUS_BYTES: usize = 400;

/// How far the service has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Phase {
    /// Not announced yet: NATS is awaited.
    Starting,
    Running,
    /// Asked to stop, for this reason.
    Stopping(String),
}

/// What systemd knows, and what it is told when.
#[derive(Debug, Clone)]
pub(super) struct Teller {
    watchdog: Option<Duration>,
    knows_ready: bool,
    knows_stopping: bool,
    status: String,
    feed_at: Duration,
    extend_at: Duration,
}

impl Teller {
    /// The time that systemd waits for a sign of life, if it does.
    pub(super) fn new(watchdog: Option<Duration>) -> Self {
        Self {
            watchdog,
            knows_ready: false,
            knows_stopping: false,
            status: String::new(),
            feed_at: Duration::ZERO,
            extend_at: Duration::ZERO,
        }
    }

    /// The message for this moment; empty when there is nothing to say. `moves` says whether every
    /// loop got on since the last time it said so, and is asked only when that matters.
    pub(super) fn tell(
        &mut self,
        now: Duration,
        phase: &Phase,
        state: State,
        reason: Option<&str>,
        moves: impl FnOnce() -> bool,
    ) -> String {
        let mut message = String::new();
        if *phase == Phase::Running && !self.knows_ready {
            self.knows_ready = true;
            message.push_str("READY=1\n");
        }
        if matches!(phase, Phase::Stopping(_)) && !self.knows_stopping {
            self.knows_stopping = true;
            message.push_str("STOPPING=1\n");
        }
        let status = status(phase, state, reason);
        if status != self.status {
            push(&mut message, format_args!("STATUS={status}"));
            self.status = status;
        }
        let extend = *phase == Phase::Starting && now >= self.extend_at;
        let feed = self.watchdog.filter(|_| now >= self.feed_at);
        // A start that hangs is not extended, a loop that hangs is not covered up.
        if (extend || feed.is_some()) && moves() {
            if extend {
                self.extend_at = now + EXTEND_EVERY;
                push(&mut message, format_args!("EXTEND_TIMEOUT_USEC={}", EXTEND_BY.as_micros()));
            }
            if let Some(watchdog) = feed {
                self.feed_at = now + watchdog / 4;
                message.push_str("WATCHDOG=1\n");
            }
        }
        message
    }
}

/// One line for `systemctl status`. A reason may come from the bus: it must not become a line of its own.
fn status(phase: &Phase, state: State, reason: Option<&str>) -> String {
    let mut status = match phase {
        Phase::Starting => "starting; ".to_owned(),
        Phase::Running => String::new(),
        Phase::Stopping(why) => format!("stopping ({why}); "),
    };
    status.push_str(state.as_str());
    if let Some(reason) = reason {
        status.push_str(": ");
        status.push_str(reason);
    }
    cut(&status, STATUS_BYTES).replace(char::is_control, " ")
}

fn push(message: &mut String, line: std::fmt::Arguments<'_>) {
    // Writing to a text can't fail.
    let _ = writeln!(message, "{line}");
}

/// How long systemd waits for a sign of life, if it waits for ours: `WATCHDOG_USEC`, unless
/// `WATCHDOG_PID` names another process.
pub(super) fn watchdog(microseconds: Option<String>, pid: Option<String>, own: u32) -> Option<Duration> {
    let is_ours = pid.is_none_or(|pid| pid.trim().parse() == Ok(own));
    let microseconds = microseconds.filter(|_| is_ours)?.trim().parse().ok();
    microseconds.filter(|microseconds| *microseconds > 0).map(Duration::from_micros)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_day_is_told_line_by_line() {
        let mut teller = Teller::new(Some(seconds(20)));
        let stopping = Phase::Stopping("SIGTERM".into());
        let table = [
            (
                0,
                &Phase::Starting,
                State::Failing,
                Some("NATS disconnected"),
                true,
                "STATUS=starting; failing: NATS disconnected\nEXTEND_TIMEOUT_USEC=20000000\nWATCHDOG=1\n",
            ),
            (1, &Phase::Starting, State::Failing, Some("NATS disconnected"), true, ""),
            (
                5,
                &Phase::Starting,
                State::Failing,
                Some("NATS disconnected"),
                true,
                "EXTEND_TIMEOUT_USEC=20000000\nWATCHDOG=1\n",
            ),
            (6, &Phase::Running, State::Healthy, None, true, "READY=1\nSTATUS=healthy\n"),
            (7, &Phase::Running, State::Healthy, None, true, ""),
            (
                10,
                &Phase::Running,
                State::Degraded,
                Some("unhealthy: robot"),
                true,
                "STATUS=degraded: unhealthy: robot\nWATCHDOG=1\n",
            ),
            (
                15,
                &Phase::Running,
                State::Failing,
                Some("stalled: decider"),
                false,
                "STATUS=failing: stalled: decider\n",
            ),
            (16, &Phase::Running, State::Failing, Some("stalled: decider"), false, ""),
            (17, &Phase::Running, State::Healthy, None, true, "STATUS=healthy\nWATCHDOG=1\n"),
            (18, &stopping, State::Healthy, None, true, "STOPPING=1\nSTATUS=stopping (SIGTERM); healthy\n"),
            (22, &stopping, State::Healthy, None, true, "WATCHDOG=1\n"),
        ];
        for (at, phase, state, reason, moves, told) in table {
            assert_eq!(teller.tell(seconds(at), phase, state, reason, || moves), told, "at {at} s");
        }
    }

    #[test]
    fn a_start_that_hangs_gets_no_more_time() {
        let mut teller = Teller::new(None);
        let told = teller.tell(seconds(0), &Phase::Starting, State::Failing, None, || false);
        assert_eq!(told, "STATUS=starting; failing\n");
    }

    #[test]
    fn without_a_watchdog_it_is_not_fed_and_the_loops_are_not_asked() {
        let mut teller = Teller::new(None);
        let told = teller.tell(seconds(0), &Phase::Running, State::Healthy, None, || panic!("asked"));
        assert_eq!(told, "READY=1\nSTATUS=healthy\n");
    }

    #[test]
    fn a_stop_before_the_announcement_never_says_ready() {
        let mut teller = Teller::new(None);
        let stopping = Phase::Stopping("SIGINT".into());
        let told = teller.tell(seconds(0), &stopping, State::Failing, None, || true);
        assert_eq!(told, "STOPPING=1\nSTATUS=stopping (SIGINT); failing\n");
    }

    #[test]
    fn the_watchdog_is_ours_when_it_names_us_or_nobody() {
        let some = |text: &str| Some(text.to_owned());
        let table = [
            (some("30000000"), None, Some(seconds(30))),
            (some("30000000"), some("7"), Some(seconds(30))),
            (some("30000000"), some("8"), None),
            (some("30000000"), some("x"), None),
            (some("0"), None, None),
            (some("-1"), None, None),
            (some("soon"), None, None),
            (None, some("7"), None),
        ];
        for (microseconds, pid, expected) in table {
            assert_eq!(watchdog(microseconds.clone(), pid.clone(), 7), expected, "{microseconds:?} {pid:?}");
        }
    }

    proptest! {
        #[test]
        fn no_reason_becomes_a_line_of_its_own(why in any::<String>(), reason in any::<String>()) {
            let mut teller = Teller::new(None);
            let phase = Phase::Stopping(why + "\nMAINPID=1\n");
            let told = teller.tell(seconds(0), &phase, State::Failing, Some(&reason), || true);
            let lines: Vec<&str> = told.split('\n').collect();
            prop_assert_eq!(lines.len(), 3, "{:?}", told);
            prop_assert!(lines[1].starts_with("STATUS=stopping (") && lines[1].len() <= 2 * STATUS_BYTES);
        }
    }
}
