//! What systemd is told (sd_notify): that we are ready, how we are, and that the loops get on.
//!
//! Without `NOTIFY_SOCKET`, nobody is told anything and nothing here runs.

mod socket;
mod teller;

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::sleep;
use tracing::{info, warn};

use crate::clock::Clock;
use crate::health::HealthMonitor;
use crate::shutdown::Shutdown;
use socket::NotifySocket;
use teller::{Phase, Teller};

/// How often health is looked at, when no watchdog is shorter.
const LOOK: Duration = Duration::from_secs(1);
/// However short the watchdog is.
const SHORTEST_LOOK: Duration = Duration::from_millis(10);

/// Tells systemd. See [`Systemd::run`].
#[derive(Debug)]
pub struct Systemd {
    socket: NotifySocket,
    watchdog: Option<Duration>,
}

impl Systemd {
    /// The systemd that started us and wants to be told, if there is one.
    pub fn from_environment() -> Option<Self> {
        let socket = NotifySocket::new(std::env::var_os("NOTIFY_SOCKET")?)
            .inspect_err(|error| warn!(%error, "NOTIFY_SOCKET can't be used: systemd is not told how we are"))
            .ok()?;
        let variable = |name| std::env::var(name).ok();
        let watchdog =
            teller::watchdog(variable("WATCHDOG_USEC"), variable("WATCHDOG_PID"), std::process::id());
        Some(Self { socket, watchdog })
    }

    /// Tells the state at each change, readiness and the stop at once, and feeds the watchdog.
    /// Never returns.
    pub async fn run(
        self,
        health: HealthMonitor,
        clock: Clock,
        mut ready: watch::Receiver<bool>,
        shutdown: Shutdown,
    ) {
        info!(
            watchdog_seconds = self.watchdog.map(|every| every.as_secs_f64()),
            "systemd is told how we are"
        );
        let pause = self.watchdog.map_or(LOOK, |watchdog| (watchdog / 8).clamp(SHORTEST_LOOK, LOOK));
        let mut teller = Teller::new(self.watchdog);
        let (mut is_ready, mut stops, mut is_heard) = (false, false, true);
        loop {
            let now = clock.now();
            let phase = match shutdown.reason() {
                Some(reason) if stops => Phase::Stopping(reason.to_string()),
                _ if is_ready => Phase::Running,
                _ => Phase::Starting,
            };
            let snapshot = health.snapshot(now);
            let moves = || health.standing_still(now).is_empty();
            let mut next = teller.clone();
            let message = next.tell(now.elapsed, &phase, snapshot.state, snapshot.reason.as_deref(), moves);
            // What systemd has not heard is told again.
            match self.socket.send(&message).await {
                Ok(()) => {
                    teller = next;
                    is_heard = true;
                }
                Err(error) if std::mem::replace(&mut is_heard, false) => {
                    warn!(%error, "systemd does not hear how we are; trying on");
                }
                Err(_) => {}
            }
            tokio::select! {
                biased;
                () = shutdown.stop_taking.cancelled(), if !stops => stops = true,
                Ok(_) = ready.wait_for(|ready| *ready), if !is_ready => is_ready = true,
                () = sleep(pause) => {}
            }
        }
    }
}
