//! What an operator does to a running bot.

use std::time::Instant;

use kryten_testkit::{Behaviour, Context as _, Error, Result, config};
use serde_json::{Value, json};

use super::{BEAT, PATIENCE, Story};

const COMMAND: &str = "kryten.llm.command";

impl Story {
    pub(super) async fn a_reload(&self) -> Result {
        self.teller.chapter("Somebody edits config.json and sends SIGHUP. What is safe changes at once:");
        let mut changed = self.world.config.clone();
        config::merge(&mut changed, json!({"personality": {"response_style": "like a pirate"}}));
        self.world.daemon.write_config(&changed)?;
        let before = self.world.daemon.log().mark();
        self.world.daemon.hang_up()?;
        let names_it = |line: &str| line.contains("personality.response_style");
        let line = self
            .world
            .daemon
            .log()
            .wait_since(before, "a changed value in the log", PATIENCE, |line| names_it(&line.to_string()))
            .await?
            .to_string();
        let words = line.split_once("personality").map_or("", |(_, words)| words);
        self.teller.note(Instant::now(), "the log", &format!("personality{words}"));
        self.first().next([Behaviour::answer("Arr. The one with the parrot, ye landlubber.")]);
        self.ask("ivan", "Cynthia, which film has the best sidekick?").await?;
        let asked = self.first().requests().all().pop().map(|request| request.prompt()).unwrap_or_default();
        if asked.contains("like a pirate") {
            Ok(())
        } else {
            Err(Error::new(format!("the prompt does not have the new style: {asked}")))
        }
    }

    pub(super) async fn a_pause(&self) -> Result {
        self.teller.chapter("A moderator wants silence. It is silent at once, asks nobody, and says so:");
        let asked = self.first().requests().count();
        self.command("chat.pause", json!({"channel": "Lounge"})).await?;
        self.say("judy", "Cynthia, are you asleep?").await?;
        let is_paused = |beat: &kryten_testkit::Message| !beat.json["status"]["paused"].is_null();
        let before = self.world.recorder.mark();
        let words = |beat: &kryten_testkit::Message| format!("paused: {}", beat.json["status"]["paused"]);
        self.hear(before, BEAT, is_paused, words).await?;
        let data = self.command("decisions.recent", json!({"user": "judy"})).await?;
        let reason = data.pointer("/decisions/0/reason").and_then(Value::as_str).unwrap_or_default();
        self.teller.note(Instant::now(), "decisions.recent", &format!("why judy got no answer: {reason}"));
        if reason != "paused" || self.first().requests().count() != asked {
            return Err(Error::new(format!("not silent for the pause: {data}")));
        }
        self.command("chat.resume", json!({})).await?;
        self.first().next([Behaviour::answer("Resting my eyes between two fights.")]);
        self.ask("judy", "Cynthia, and now?").await
    }

    /// Gives a command, and tells its name.
    async fn command(&self, command: &str, arguments: Value) -> Result<Value> {
        let request = json!({"command": command, "args": arguments});
        let answer = self.world.robot.ask(COMMAND, request).await.context(command.to_owned())?;
        if answer["success"] != true {
            return Err(Error::new(format!("{command} was refused: {answer}")));
        }
        self.teller.note(Instant::now(), COMMAND, &format!("{command} {arguments}"));
        Ok(answer["data"].clone())
    }
}
