//! What the bot answers in a room, and what it leaves alone.

use std::time::Instant;

use kryten_testkit::{Behaviour, Context as _, Error, Message, Result, within};
use serde_json::{Value, json};

use super::{MEDIA, PATIENCE, Story};

/// What the scenes below need of the config: limits that are met soon.
pub(super) fn config() -> Value {
    json!({
        "triggers": [{ "name": "popcorn", "patterns": ["popcorn"], "context": "Somebody is hungry.",
            "response_style": "like a snack bar", "cooldown_seconds": 600 }],
        "rate_limits": { "user_max_per_hour": 2 },
        "spam_detection": { "enabled": true, "identical_message_threshold": 1, "mention_spam_threshold": 100,
            "initial_penalty": 30 },
        "loop_guard": { "max_replies_in_a_row": 2 },
        "media_change": { "enabled": true, "min_duration_minutes": 10 },
    })
}

impl Story {
    pub(super) async fn a_trigger_word(&self) -> Result {
        self.teller
            .chapter("Nobody calls the bot, but somebody says a word that it has something to say about:");
        self.first().next([Behaviour::answer("Salted, buttered, and gone before the villain is.")]);
        self.ask("grace", "is there any popcorn left?").await?;
        let asked = self.first().requests().all().pop().map(|request| request.prompt()).unwrap_or_default();
        for part in ["like a snack bar", "Keep in mind: Somebody is hungry."] {
            if !asked.contains(part) {
                return Err(Error::new(format!("the prompt does not say {part:?}: {asked}")));
            }
        }
        self.say_in_vain("grace", "and some popcorn for the cat?", "trigger_cooldown").await
    }

    pub(super) async fn a_rate_limit(&self) -> Result {
        self.teller
            .chapter("Two answers an hour are what this config has for a user. The third has to wait:");
        self.first().next([
            Behaviour::answer("The one with the staircase. You will know it when they fall."),
            Behaviour::answer("Because gravity is the only critic I trust."),
        ]);
        self.ask("erin", "Cynthia, which fight is the best?").await?;
        self.say("frank", "the one with the ladder").await?;
        self.ask("erin", "Cynthia, why that one?").await?;
        self.say("frank", "it is the ladder").await?;
        self.say_in_vain("erin", "Cynthia, and the ladder?", "user_hour").await
    }

    pub(super) async fn a_spam_penalty(&self) -> Result {
        self.teller
            .chapter("The same words again are spam, and then nothing of that user helps for a while:");
        self.first().next([Behaviour::answer("I heard you. So did the neighbours.")]);
        self.ask("mallory", "CYNTHIA SAY SOMETHING").await?;
        self.say_in_vain("mallory", "Cynthia say something", "spam").await?;
        self.say_in_vain("mallory", "all right then, Cynthia, how are you?", "spam").await
    }

    pub(super) async fn a_loop(&self) -> Result {
        self.teller.chapter("Another bot answers whatever ours says. Two bots must not talk for ever:");
        self.first().next([
            Behaviour::answer("I collect fine furniture, in pieces."),
            Behaviour::answer("Only if you bring the breakaway chairs."),
        ]);
        self.ask("quizbot", "hello Cynthia, what is your hobby?").await?;
        self.ask("quizbot", "great, Cynthia! shall we trade?").await?;
        self.say_in_vain("quizbot", "great, Cynthia! what is your hobby again?", "loop_guard").await?;
        self.first().next([Behaviour::answer("Gladly. You, I can see, are no bot.")]);
        self.ask("heidi", "Cynthia, talk to me instead?").await
    }

    pub(super) async fn a_new_film(&self) -> Result {
        self.teller.chapter(
            "What plays already and what is short need no comment. When the next film begins, the bot has one:",
        );
        self.first().next([Behaviour::answer("Finally, somebody who kicks first and asks later.")]);
        let before = self.world.recorder.mark();
        for (title, seconds) in [("The Big Boss", 6_000), ("A trailer", 90), ("Lady Dragon", 5_400)] {
            self.play(title, seconds).await?;
        }
        self.hear_the_bot(before).await?;
        let asked = self.first().requests().all().pop().map(|request| request.prompt()).unwrap_or_default();
        match ["Before it was \"The Big Boss\".", "Now it is \"Lady Dragon\""]
            .iter()
            .all(|part| asked.contains(part))
        {
            true => Ok(()),
            false => Err(Error::new(format!("the prompt does not name both films: {asked}"))),
        }
    }

    /// Something else plays in the room.
    async fn play(&self, title: &str, seconds: u64) -> Result {
        let before = self.world.recorder.mark();
        let media = json!({ "id": title, "title": title, "seconds": seconds, "type": "yt" });
        self.world.robot.event(self.world.robot.first_room()?, "changemedia", media).await?;
        let words = |event: &Message| format!("now playing: {}", event.text("/payload/title"));
        self.hear(before, MEDIA, |_| true, words).await.map(drop)
    }

    /// Somebody says something, and the response log says why the bot does not answer.
    async fn say_in_vain(&self, user: &str, text: &str, reason: &str) -> Result {
        self.say(user, text).await?;
        let record = within(PATIENCE, "a record in the response log", self.record_of(user, text)).await??;
        let part = |path: &str| record.pointer(path).and_then(Value::as_str).unwrap_or_default();
        let detail = part("/rate_limit/details/detail");
        self.teller.note(
            Instant::now(),
            "the response log",
            &format!("no answer to {user}: {}, {detail}", part("/reason")),
        );
        match part("/reason") == reason {
            true => Ok(()),
            false => Err(Error::new(format!("the reason should have been {reason}: {record}"))),
        }
    }

    /// What the response log says of a message, as soon as it says something.
    async fn record_of(&self, user: &str, text: &str) -> Result<Value> {
        let file = self.world.daemon.folder().join("logs/llm-responses.jsonl");
        loop {
            let log = std::fs::read_to_string(&file).context("reading the response log")?;
            let mut records = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
            if let Some(record) = records.find(|one| one["username"] == user && one["input_message"] == text)
            {
                return Ok(record);
            }
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    }
}
