//! The network freezes and thaws.

use std::time::{Duration, Instant};

use kryten_testkit::{Direction, Message, Result};

use super::{BEAT, DISCOVERY, Story, is, uptime};

/// How long the link stays frozen: by then the daemon has noticed.
const FROZEN: Duration = Duration::from_secs(3);

impl Story {
    pub(super) async fn the_link_freezes(&self) -> Result {
        self.teller.chapter("The network freezes: no end of connection, no error, just nothing any more:");
        let proxy = self.world.proxy()?;
        self.next_beat(|_| true).await?;
        let thawed = self.world.recorder.mark();
        proxy.freeze(Direction::Both);
        self.world.recorder.none_within(FROZEN, BEAT).await?;
        let silence = FROZEN.as_secs();
        self.teller.line(Instant::now(), &format!("{silence} s of silence: no beat that claims to be well"));
        self.teller.chapter("It thaws. The daemon had noticed, and is back at once:");
        proxy.thaw();
        let is_back = |event: &Message| event.json["re_announcement"] == true;
        let back = self
            .hear(thawed, DISCOVERY, is_back, |event| {
                format!("announced again, after an outage of {} s", event.json["outage_seconds"])
            })
            .await?;
        let is_later = |beat: &Message| uptime(beat) >= uptime(&back);
        self.hear(thawed, BEAT, |beat| is_later(beat) && is("healthy")(beat), |beat| self.state_of(beat))
            .await
            .map(drop)
    }
}
