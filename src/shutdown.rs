//! Stopping: the two signals, why, and how long there is.

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::bus::Bus;
use crate::clock::Clock;

/// How long a stop hopes for a link that is away.
pub const LINK_HOPE: Duration = Duration::from_secs(2);
/// What of the deadline is kept for the farewell: the last beat, the event, its round trip.
const FAREWELL_RESERVE: Duration = Duration::from_secs(1);

/// Why the service stops; its words stand in the log and in the shutdown event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StopReason {
    /// The service manager asked.
    Sigterm,
    /// Somebody pressed Ctrl-C.
    Sigint,
    /// The group is restarted (REQ-008), for the reason that the notice gave.
    GroupRestart(String),
    /// Something that can't be mended from inside.
    Error(String),
}

impl fmt::Display for StopReason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sigterm => formatter.write_str("SIGTERM"),
            Self::Sigint => formatter.write_str("SIGINT"),
            Self::GroupRestart(reason) => write!(formatter, "Group restart: {reason}"),
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

    /// How long ago the stop was asked for.
    pub fn asked_ago(&self) -> Duration {
        self.asked.get().map(|(_, at)| at.elapsed()).unwrap_or_default()
    }

    /// Turns SIGTERM and SIGINT into a stop, and a second one into giving up. Never returns.
    ///
    /// # Errors
    /// When the process can't listen to signals.
    pub async fn listen(self) -> std::io::Result<()> {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut hang_up = signal(SignalKind::hangup())?;
        loop {
            let reason = tokio::select! {
                _ = terminate.recv() => StopReason::Sigterm,
                _ = interrupt.recv() => StopReason::Sigint,
                _ = hang_up.recv() => {
                    warn!("SIGHUP changes nothing: restart the service to take up a changed configuration");
                    continue;
                }
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

    /// After a stop was asked for: gives up at the deadline, or when the link has been away for
    /// as long as there is hope for it.
    pub async fn give_up_in_time(self, bus: Bus, clock: Clock, deadline: Duration) {
        self.stop_taking.cancelled().await;
        let until = deadline.saturating_sub(FAREWELL_RESERVE);
        tokio::select! {
            () = self.give_up.cancelled() => {}
            () = tokio::time::sleep(until) => {
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
            alive = bus.changed() => if !alive { return },
            () = tokio::time::sleep(left) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reasons_words_are_those_of_the_wire() {
        for (reason, words) in [
            (StopReason::Sigterm, "SIGTERM"),
            (StopReason::Sigint, "SIGINT"),
            (StopReason::GroupRestart("update".into()), "Group restart: update"),
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
}
