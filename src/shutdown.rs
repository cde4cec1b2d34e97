//! Stopping: the two signals, why, and how long there is.

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::bus::Bus;
use crate::clock::Clock;

/// How long a stop hopes for a link that is away.
pub const LINK_HOPE: Duration = Duration::from_secs(2);
/// What of the deadline is kept for the farewell: the last beat, the event, its round trip.
const FAREWELL_RESERVE: Duration = Duration::from_secs(1);
/// What anything gets that should end at once, because there is no time left for it.
pub const LAST_MOMENT: Duration = Duration::from_millis(500);

/// Why the service stops; its words stand in the log and in the shutdown event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StopReason {
    /// The service manager asked.
    Sigterm,
    /// Somebody pressed Ctrl-C.
    Sigint,
    /// The group is restarted (REQ-008).
    GroupRestart {
        /// Why, as the notice says.
        reason: String,
        /// Who ordered it, when the notice says so.
        initiator: Option<String>,
    },
    /// Something that can't be mended from inside.
    Error(String),
}

impl fmt::Display for StopReason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sigterm => formatter.write_str("SIGTERM"),
            Self::Sigint => formatter.write_str("SIGINT"),
            Self::GroupRestart { reason, .. } => write!(formatter, "Group restart: {reason}"),
            Self::Error(error) => write!(formatter, "error: {error}"),
        }
    }
}

/// The two signals. They are not the same: whoever takes work hangs on the first, whoever owes a
/// reply on the second.
#[derive(Debug, Clone, Default)]
pub struct Shutdown {
    /// Take no more work; finish what is in hand.
    pub stop_taking: CancellationToken,
    /// Finish nothing more; count what is left as abandoned.
    pub give_up: CancellationToken,
    asked: Arc<OnceLock<(StopReason, Instant)>>,
    panicked: Arc<OnceLock<&'static str>>,
}

/// What the process is told by signals.
pub struct Signals {
    /// To stop.
    pub stop: StopSignals,
    /// To take up the configuration anew (SIGHUP).
    pub hang_up: Signal,
}

/// The signals that ask for a stop.
pub struct StopSignals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// From here on no signal ends the process by itself.
    ///
    /// # Errors
    /// When the process can't listen to signals.
    pub fn install() -> std::io::Result<Self> {
        let (terminate, interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        let stop = StopSignals { terminate, interrupt };
        Ok(Self { stop, hang_up: signal(SignalKind::hangup())? })
    }
}

impl Shutdown {
    /// Asks for a stop. The first reason stays.
    pub fn request(&self, reason: StopReason) {
        if self.asked.set((reason, Instant::now())).is_ok() {
            self.stop_taking.cancel();
        }
    }

    /// Why the service stops, once it does.
    pub fn reason(&self) -> Option<&StopReason> {
        self.asked.get().map(|(reason, _)| reason)
    }

    /// What is left of the deadline for the farewell; a moment in any case, and no more than that
    /// once the rest was given up.
    pub fn left_of(&self, deadline: Duration) -> Duration {
        if self.give_up.is_cancelled() {
            LAST_MOMENT
        } else {
            deadline.saturating_sub(self.asked_ago()).max(LAST_MOMENT)
        }
    }

    /// How long ago the stop was asked for.
    pub fn asked_ago(&self) -> Duration {
        self.asked.get().map(|(_, at)| at.elapsed()).unwrap_or_default()
    }

    /// A long-lived task panicked: the service has to stop, and must not call that a success.
    pub fn task_panicked(&self, name: &'static str) {
        let _ = self.panicked.set(name);
        self.request(StopReason::Error(format!("the task {name} panicked")));
    }

    /// The first long-lived task that panicked.
    pub fn panicked_task(&self) -> Option<&'static str> {
        self.panicked.get().copied()
    }

    /// Turns SIGTERM and SIGINT into a stop, and a second one into giving up. Never returns.
    pub async fn heed(self, mut signals: StopSignals) {
        loop {
            let reason = tokio::select! {
                _ = signals.terminate.recv() => StopReason::Sigterm,
                _ = signals.interrupt.recv() => StopReason::Sigint,
            };
            if self.stop_taking.is_cancelled() {
                warn!(signal = %reason, "asked a second time: giving up what is in hand");
                self.give_up.cancel();
            } else {
                info!(signal = %reason, "asked to stop");
                self.request(reason);
            }
        }
    }

    /// Returns when what was given up has had its last moment.
    pub async fn overdue(self) {
        self.give_up.cancelled().await;
        sleep(LAST_MOMENT).await;
    }

    /// After a stop was asked for: gives up at the deadline, or when the link has been away for
    /// as long as there is hope for it.
    pub async fn give_up_in_time(self, bus: Bus, clock: Clock, deadline: Duration) {
        self.stop_taking.cancelled().await;
        let until = deadline.saturating_sub(FAREWELL_RESERVE);
        tokio::select! {
            () = self.give_up.cancelled() => {}
            () = sleep(until) => {
                warn!(deadline_seconds = deadline.as_secs_f64(), "the deadline cuts off what is in hand");
                self.give_up.cancel();
            }
            () = without_hope(bus, clock) => {
                warn!("NATS is away while stopping: giving up what is in hand");
                self.give_up.cancel();
            }
        }
    }
}

/// Returns when the link has been down for [`LINK_HOPE`] on end.
async fn without_hope(mut bus: Bus, clock: Clock) {
    let mut down_since = None;
    loop {
        let now = clock.now().elapsed;
        if bus.link().is_up() {
            down_since = None;
        } else if now.saturating_sub(*down_since.get_or_insert(now)) >= LINK_HOPE {
            return;
        }
        let left = down_since.map_or(LINK_HOPE, |since| (since + LINK_HOPE).saturating_sub(now));
        tokio::select! {
            alive = bus.changed() => if !alive {
                // We are closing, or whoever saw the link fail for good has given up already.
                std::future::pending::<()>().await;
            },
            () = sleep(left) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn the_reasons_words_are_those_of_the_wire() {
        for (reason, words) in [
            (StopReason::Sigterm, "SIGTERM"),
            (StopReason::Sigint, "SIGINT"),
            (
                StopReason::GroupRestart { reason: "update".into(), initiator: Some("admin".into()) },
                "Group restart: update",
            ),
            (StopReason::Error("x".into()), "error: x"),
        ] {
            assert_eq!(reason.to_string(), words);
        }
    }

    #[test]
    fn the_first_reason_stays_and_a_stop_is_not_giving_up() {
        let shutdown = Shutdown::default();
        assert!(shutdown.reason().is_none());
        shutdown.request(StopReason::Sigterm);
        shutdown.request(StopReason::Sigint);
        assert_eq!(shutdown.reason(), Some(&StopReason::Sigterm));
        assert!(shutdown.stop_taking.is_cancelled());
        assert!(!shutdown.give_up.is_cancelled());
    }

    #[test]
    fn the_farewell_has_what_is_left_and_a_moment_in_any_case() {
        let deadline = Duration::from_secs(5);
        let shutdown = Shutdown::default();
        shutdown.request(StopReason::Sigterm);
        assert!(shutdown.left_of(deadline) > Duration::from_secs(4));
        assert_eq!(shutdown.left_of(Duration::ZERO), LAST_MOMENT);
        shutdown.give_up.cancel();
        assert_eq!(shutdown.left_of(deadline), LAST_MOMENT);
    }

    #[tokio::test]
    async fn what_was_given_up_has_one_more_moment() {
        let shutdown = Shutdown::default();
        let mut overdue = Box::pin(shutdown.clone().overdue());
        assert!((&mut overdue).now_or_never().is_none(), "nothing was given up");
        let given_up = Instant::now();
        shutdown.give_up.cancel();
        overdue.await;
        assert!(given_up.elapsed() >= LAST_MOMENT);
    }
}
