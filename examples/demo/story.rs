//! The story. Every line of it is what a second NATS client heard, or what the daemon wrote into its
//! response log; an event that does not come ends it.

mod frame;
mod link;
mod operate;
mod providers;
mod room;

use std::fmt::Display;
use std::path::PathBuf;
use std::time::Duration;

use kryten_testkit::chat::escape;
use kryten_testkit::world::{BOT, World};
use kryten_testkit::{Context as _, Mark, Message, Provider, Result};

use crate::teller::Teller;

const STARTUP: &str = "kryten.lifecycle.llm.startup";
const SHUTDOWN: &str = "kryten.lifecycle.llm.shutdown";
const DISCOVERY: &str = "kryten.service.discovery";
const BEAT: &str = "kryten.service.heartbeat.llm";
const CHAT: &str = "kryten.events.cytube.lounge.chatmsg";
const MEDIA: &str = "kryten.events.cytube.lounge.changemedia";
/// How long an event may take; on a quiet machine each comes within a second or three.
const PATIENCE: Duration = Duration::from_secs(10);

/// Tells the whole story.
///
/// # Errors
/// When something is missing, or something that should have been heard was not.
pub async fn tell(binary: Result<PathBuf>) -> Result {
    let world = World::of(binary?).config(room::config()).providers(2).proxied().start_at_once().await?;
    let story = Story { teller: Teller::new(world.daemon.started()), world };
    story.start().await.context("at the start")?;
    story.a_mention().await.context("when the bot was mentioned")?;
    story.one_provider_breaks().await.context("when one provider broke")?;
    story.both_providers_break().await.context("when both providers broke")?;
    story.the_providers_recover().await.context("when the providers were well again")?;
    story.a_trigger_word().await.context("when a trigger word was said")?;
    story.a_rate_limit().await.context("when somebody asked too often")?;
    story.a_spam_penalty().await.context("when somebody spammed")?;
    story.a_loop().await.context("when another bot talked to ours")?;
    story.a_new_film().await.context("when a film began")?;
    story.a_reload().await.context("when the config was changed")?;
    story.a_pause().await.context("when the room was paused")?;
    story.a_look_at_the_dashboard().await.context("when the dashboard was looked at")?;
    story.the_link_freezes().await.context("when the link froze")?;
    story.the_end().await.context("at the end")
}

struct Story {
    world: World,
    teller: Teller,
}

impl Story {
    /// Waits for a message behind `mark` and tells it.
    async fn hear(
        &self,
        mark: Mark,
        subject: &str,
        wanted: impl FnMut(&Message) -> bool,
        words: impl Fn(&Message) -> String,
    ) -> Result<Message> {
        let message = self.world.recorder.wait_since(mark, subject, PATIENCE, wanted).await?;
        self.teller.saw(&message, &words(&message));
        Ok(message)
    }

    async fn next_beat(&self, wanted: impl FnMut(&Message) -> bool) -> Result<Message> {
        self.world.wait_for_beat(self.world.recorder.mark(), PATIENCE, wanted).await
    }

    /// Waits for a beat of now and tells how everything is.
    async fn hear_beat(&self, wanted: impl FnMut(&Message) -> bool) -> Result {
        let beat = self.next_beat(wanted).await?;
        self.teller.saw(&beat, &self.state_of(&beat));
        Ok(())
    }

    /// How everything is, by a beat.
    fn state_of(&self, beat: &Message) -> String {
        let reason = match beat.text("/health_reason") {
            "" => String::new(),
            reason => format!(", {reason}"),
        };
        let [first, second] = providers(beat);
        format!("{}{reason}; first {first}, second {second}", self.health_of(beat))
    }

    /// Somebody says something to the bot, and the bot answers.
    async fn ask(&self, user: &str, text: &str) -> Result {
        let before = self.world.recorder.mark();
        self.say(user, text).await?;
        self.hear_the_bot(before).await.map(drop)
    }

    /// Somebody says something in the room.
    async fn say(&self, user: &str, text: &str) -> Result {
        let before = self.world.recorder.mark();
        self.world.robot.chat(user, &escape(text)).await?;
        self.hear(before, CHAT, |event| event.text("/payload/username") == user, spoken).await.map(drop)
    }

    async fn hear_the_bot(&self, before: Mark) -> Result<Message> {
        self.hear(before, CHAT, |event| event.text("/payload/username") == BOT, spoken).await
    }

    fn health_of(&self, beat: &Message) -> impl Display + use<> {
        self.teller.health(beat.text("/health"))
    }

    fn first(&self) -> &Provider {
        &self.world.providers[0]
    }

    fn second(&self) -> &Provider {
        &self.world.providers[1]
    }
}

fn is(health: &str) -> impl Fn(&Message) -> bool {
    move |beat| beat.text("/health") == health
}

fn providers(beat: &Message) -> [&str; 2] {
    ["first", "second"].map(|name| beat.json["status"]["llm_providers"][name].as_str().unwrap_or("missing"))
}

fn uptime(message: &Message) -> f64 {
    message.json["uptime_seconds"].as_f64().unwrap_or_default()
}

fn spoken(event: &Message) -> String {
    format!("{}: {}", event.text("/payload/username"), event.text("/payload/msg"))
}
