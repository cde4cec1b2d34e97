//! What every outage has in common: when it was told, and how the daemon came back.

use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use kryten_testkit::world::{SOON, World};
use kryten_testkit::{Mark, Message, Result, Stopwatch};

/// However the link dies, health says so within this time.
pub const TOLD_WITHIN: Duration = Duration::from_secs(3);
/// A server can be reached: the daemon is back, announced and beating within this time.
pub const BACK_WITHIN: Duration = Duration::from_secs(1);
/// The link is trusted for so long after its latest proof: what was said then can be held back by
/// the network, and arrive late.
const TRUSTED: Duration = Duration::from_secs(1);
/// Between two moments that two processes take.
const BLUR: Duration = Duration::from_millis(100);

pub const STARTUPS: &str = "kryten.lifecycle.llm.startup";
pub const DISCOVERIES: &str = "kryten.service.discovery";
pub const BEATS: &str = "kryten.service.heartbeat.llm";
const LIFECYCLE_BEATS: &str = "kryten.lifecycle.llm.heartbeat";

/// A link that has just died.
pub struct Outage {
    since: Stopwatch,
    died_wall: DateTime<Utc>,
}

/// The moment before a server can be reached again.
pub struct Healed {
    since: Stopwatch,
    wall: DateTime<Utc>,
    mark: Mark,
}

impl Outage {
    /// The link is about to die.
    pub fn begins(world: &World) -> Self {
        Self { since: world.stopwatch(), died_wall: Utc::now() }
    }

    /// Waits until `/health` says so. Returns how long it took.
    pub async fn is_told(&self, world: &World) -> Result<Duration> {
        let health = world.wait_for_health(SOON, |health| health["nats_connected"] == false).await?;
        let took = self.since.fair_time(Instant::now());
        assert!(took <= TOLD_WITHIN, "told after {took:?}");
        assert_eq!(health["status"], "failing", "{health}");
        assert_eq!(health["reason"], "NATS disconnected", "{health}");
        Ok(took)
    }

    /// Waits until the daemon is back, and checks that it came back in order and in time, and that
    /// nothing of the outage came with it.
    pub async fn is_over(&self, world: &World, healed: &Healed) -> Result<Duration> {
        let recorder = &world.recorder;
        let startup = recorder.wait_since(healed.mark, STARTUPS, SOON, |_| true).await?;
        let discovery = recorder.wait_since(healed.mark, DISCOVERIES, SOON, |_| true).await?;
        let first_beat = |message: &Message| stamp(message) >= healed.wall;
        let beat = recorder.wait_since(healed.mark, BEATS, SOON, first_beat).await?;
        for (what, message) in [("announced", &startup), ("discovered", &discovery), ("beating", &beat)] {
            let took = healed.since.fair_time(message.at);
            assert!(took <= BACK_WITHIN, "{what} {took:?} after a server could be reached");
        }
        assert!(startup.at <= beat.at && discovery.at <= beat.at, "the beat came before the announcement");
        for announcement in [&startup, &discovery] {
            assert_eq!(announcement.json["re_announcement"], true, "{announcement}");
            let said = announcement.json["outage_seconds"].as_f64().unwrap_or_default();
            let was = self.since.time(announcement.at).as_secs_f64();
            let least = self.since.fair_time(announcement.at).as_secs_f64();
            // The latest proof before the death is at most half a second older.
            assert!((least - 0.3..=was + 0.7).contains(&said), "an outage of {was} s is told as {said} s");
        }
        // Two later beats: what was to come late has come by then, and no burst with it.
        let mark = recorder.mark();
        recorder.wait_since(mark, BEATS, SOON, |_| true).await?;
        let mark = recorder.mark();
        recorder.wait_since(mark, BEATS, SOON, |_| true).await?;
        self.nothing_came_late(world, healed);
        Ok(healed.since.time(startup.at))
    }

    fn nothing_came_late(&self, world: &World, healed: &Healed) {
        let trusted_until = self.died_wall + TRUSTED + BLUR;
        for subject in [BEATS, LIFECYCLE_BEATS, STARTUPS, DISCOVERIES] {
            let came = world.recorder.since(healed.mark, subject);
            let late = came.iter().filter(|message| stamp(message) < healed.wall);
            for message in late {
                assert!(stamp(message) <= trusted_until, "said while the link was dead: {message}");
            }
            let fresh: Vec<&Message> = came.iter().filter(|message| stamp(message) >= healed.wall).collect();
            // A beat each second, and one more for the return.
            let most = healed.since.time(Instant::now()).as_secs() + 2;
            assert!(fresh.len() as u64 <= most, "a burst on {subject}: {} messages", fresh.len());
        }
        let announced = world.recorder.since(healed.mark, STARTUPS).len();
        assert_eq!(announced, 1, "one outage, one announcement");
    }
}

impl Healed {
    /// The server is about to be reachable.
    pub fn now(world: &World) -> Self {
        Self { since: world.stopwatch(), wall: Utc::now(), mark: world.recorder.mark() }
    }
}

/// When a message says that it was made.
pub fn stamp(message: &Message) -> DateTime<Utc> {
    message.text("/timestamp").parse().expect("a time stamp in everything that the daemon says")
}
