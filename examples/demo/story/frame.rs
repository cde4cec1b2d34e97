//! How it begins and how it ends.

use std::time::{Duration, Instant};

use kryten_testkit::{Behaviour, Context as _, Error, Exit, Mark, Result};
use serde_json::{Value, json};

use super::{BEAT, DISCOVERY, PATIENCE, SHUTDOWN, STARTUP, Story, is};

impl Story {
    pub(super) async fn start(&self) -> Result {
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
        let address = self.world.daemon.http_address().await?;
        self.teller.note(Instant::now(), "the dashboard", &format!("http://{address}/"));
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

    pub(super) async fn a_mention(&self) -> Result {
        self.teller.chapter("Somebody mentions the bot. The first provider answers, the robot says it:");
        self.first().next([Behaviour::answer("Enter the Dragon. Bring popcorn, and leave room for kicks.")]);
        self.ask("alice", "Cynthia, what should we watch tonight?").await?;
        self.hear_beat(is("healthy")).await
    }

    /// What the dashboard shows of the story: the same that was told here.
    pub(super) async fn a_look_at_the_dashboard(&self) -> Result {
        self.teller.chapter("The dashboard has been telling all this too, and why somebody got no answer:");
        let (_, page) = self.world.daemon.get("/").await?;
        same("the dashboard is there", &json!(page.contains("dashboard.js")), &json!(true))?;
        for (user, reason) in
            [("carol", "exhausted"), ("erin", "user_hour"), ("quizbot", "loop_guard"), ("judy", "paused")]
        {
            let path = format!("/api/decisions?user={user}&fired=true");
            let (_, body) = self.world.daemon.get(&path).await?;
            let body: Value = serde_json::from_str(&body).context(&path)?;
            let decisions = body["decisions"].as_array().cloned().unwrap_or_default();
            if !decisions.iter().any(|decision| decision["reason"] == reason) {
                return Err(Error::new(format!("the dashboard does not say {reason} of {user}: {body}")));
            }
            self.teller.note(Instant::now(), "the dashboard", &format!("{user}: silent, {reason}"));
        }
        Ok(())
    }

    pub(super) async fn the_end(&self) -> Result {
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
        same("replies sent", &bye.json["responses_sent"], &json!(14))?;
        same("replies abandoned", &bye.json["metrics"]["replies_abandoned"], &json!(0))?;
        match self.world.daemon.wait_exit(PATIENCE).await? {
            Exit::Code(0) => self.teller.chapter("It ended with exit code 0, and nothing is left behind."),
            other => return Err(Error::new(format!("the daemon ended with {other:?}, not with code 0"))),
        }
        Ok(())
    }
}

fn same(what: &str, seen: &Value, expected: &Value) -> Result {
    if seen == expected { Ok(()) } else { Err(Error::new(format!("{what}: {seen}, not {expected}"))) }
}
