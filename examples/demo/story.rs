//! The story. Every line of it is what a second NATS client heard; an event that does not come ends it.

use std::fmt::Display;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use kryten_testkit::chat::escape;
use kryten_testkit::world::{BOT, World};
use kryten_testkit::{Behaviour, Context as _, Direction, Error, Exit, Mark, Message, Provider, Result};
use serde_json::{Value, json};

use crate::teller::Teller;

const STARTUP: &str = "kryten.lifecycle.llm.startup";
const SHUTDOWN: &str = "kryten.lifecycle.llm.shutdown";
const DISCOVERY: &str = "kryten.service.discovery";
const BEAT: &str = "kryten.service.heartbeat.llm";
const CHAT: &str = "kryten.events.cytube.lounge.chatmsg";
/// How long an event may take; on a quiet machine each comes within a second or three.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long the link stays frozen: by then the daemon has noticed.
const FROZEN: Duration = Duration::from_secs(3);

/// Tells the whole story.
///
/// # Errors
/// When something is missing, or something that should have been heard was not.
pub async fn tell(binary: Result<PathBuf>) -> Result {
    let world = World::of(binary?).providers(2).proxied().start_at_once().await?;
    let story = Story { teller: Teller::new(world.daemon.started()), world };
    story.start().await.context("at the start")?;
    story.a_mention().await.context("when the bot was mentioned")?;
    story.one_provider_breaks().await.context("when one provider broke")?;
    story.both_providers_break().await.context("when both providers broke")?;
    story.the_providers_recover().await.context("when the providers were well again")?;
    story.the_link_freezes().await.context("when the link froze")?;
    story.the_end().await.context("at the end")
}

struct Story {
    world: World,
    teller: Teller,
}

impl Story {
    async fn start(&self) -> Result {
        let url = self.world.server.url();
        self.teller
            .chapter(&format!("A NATS server runs at {url}, and kryten-llm starts. It says who it is:"));
        self.hear(
            Mark::START,
            STARTUP,
            |_| true,
            |event| {
                let (version, name) = (event.text("/version"), event.text("/personality"));
                format!("version {version}, as {name}, {} providers", event.json["providers_configured"])
            },
        )
        .await?;
        self.hear(
            Mark::START,
            DISCOVERY,
            |_| true,
            |event| {
                let (domain, room) = (event.text("/channels/0/domain"), event.text("/channels/0/channel"));
                let models = [event.text("/providers/0/model"), event.text("/providers/1/model")].join(", ");
                format!("in {domain}/{room}, with {models}")
            },
        )
        .await?;
        self.teller.chapter("It beats once a second, and each beat proves that its loops and its link work:");
        let mut after = Mark::START;
        for _ in 0..3 {
            self.hear(after, BEAT, is("healthy"), |beat| {
                let [decider, link] = ["decider_ms", "link_ms"].map(|key| &beat.json["status"]["proof"][key]);
                let (health, bytes) = (self.health_of(beat), beat.bytes.len());
                format!("{health}; decider answers in {decider} ms, link in {link} ms; {bytes} bytes")
            })
            .await?;
            after = self.world.recorder.mark();
        }
        Ok(())
    }

    async fn a_mention(&self) -> Result {
        self.teller.chapter("Somebody mentions the bot. The first provider answers, the robot says it:");
        self.first().next([Behaviour::answer("Enter the Dragon. Bring popcorn, and leave room for kicks.")]);
        self.ask("alice", "Cynthia, what should we watch tonight?").await?;
        self.hear_beat(is("healthy")).await
    }

    async fn one_provider_breaks(&self) -> Result {
        self.teller.chapter("The first provider breaks: status 500 from now on. The second takes over:");
        self.first().always(broken());
        self.second().next([Behaviour::answer("Only the butler survives, and he never liked the sequel.")]);
        self.ask("bob", "cynthia: does anybody survive that film?").await?;
        self.hear_beat(|beat| providers(beat) == ["failed", "ok"]).await
    }

    async fn both_providers_break(&self) -> Result {
        self.teller.chapter("The second breaks too. Nothing can be answered, and the bot does not pretend:");
        self.second().always(broken());
        self.say("carol", "Cynthia, and who dies first?").await?;
        self.hear_beat(|beat| is("failing")(beat) && providers(beat) == ["failed", "failed"]).await.map(drop)
    }

    async fn the_providers_recover(&self) -> Result {
        self.teller.chapter("The providers are well again. One answer ends the outage:");
        self.first().always(Behaviour::AnswerAnew);
        self.second().always(Behaviour::AnswerAnew);
        self.first().next([Behaviour::answer("The one who says he will be right back. It is always him.")]);
        self.ask("carol", "Cynthia, once more: who dies first?").await?;
        self.hear_beat(is("degraded")).await?;
        self.teller.chapter("One error among so few messages is still a lot. The room chats on:");
        for film in ["Drunken Master", "Police Story", "Lady Dragon", "Fist of Legend"] {
            self.say("dave", &format!("{film} was better")).await?;
        }
        self.hear_beat(is("healthy")).await
    }

    async fn the_link_freezes(&self) -> Result {
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

    async fn the_end(&self) -> Result {
        self.teller
            .chapter("It is asked to stop (SIGTERM) while a reply is in the making. The reply goes first:");
        let slowly = Duration::from_millis(1_500);
        let text = "Good night. And mind the ninja behind the curtain.".to_owned();
        self.first().next([Behaviour::AnswerAfter(slowly, text)]);
        let (before, requests) = (self.world.recorder.mark(), self.first().requests().mark());
        self.say("alice", "good night, Cynthia").await?;
        self.first().wait_for_request(requests, PATIENCE, |_| true).await?;
        self.world.daemon.terminate()?;
        self.hear_the_bot(before).await?;
        let bye = self
            .hear(
                before,
                SHUTDOWN,
                |_| true,
                |event| {
                    let figure = |name: &str| event.json["metrics"][name].to_string();
                    format!(
                        "{}: {} messages, {} replies, {} error, {} abandoned, {} s",
                        event.text("/reason"),
                        figure("messages_processed"),
                        figure("responses_sent"),
                        figure("errors"),
                        figure("replies_abandoned"),
                        figure("uptime_seconds"),
                    )
                },
            )
            .await?;
        same("replies sent", &bye.json["responses_sent"], &json!(4))?;
        same("replies abandoned", &bye.json["metrics"]["replies_abandoned"], &json!(0))?;
        match self.world.daemon.wait_exit(PATIENCE).await? {
            Exit::Code(0) => self.teller.chapter("It ended with exit code 0, and nothing is left behind."),
            other => return Err(Error::new(format!("the daemon ended with {other:?}, not with code 0"))),
        }
        Ok(())
    }

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

fn broken() -> Behaviour {
    Behaviour::Status(500, json!({ "error": { "message": "the stand-in is told to fail" } }).to_string())
}

fn same(what: &str, seen: &Value, expected: &Value) -> Result {
    if seen == expected { Ok(()) } else { Err(Error::new(format!("{what}: {seen}, not {expected}"))) }
}
