//! Providers break, one after the other, and are well again.

use kryten_testkit::{Behaviour, Result};
use serde_json::json;

use super::{Story, is, providers};

impl Story {
    pub(super) async fn one_provider_breaks(&self) -> Result {
        self.teller.chapter("The first provider breaks: status 500 from now on. The second takes over:");
        self.first().always(broken());
        self.second().next([Behaviour::answer("Only the butler survives, and he never liked the sequel.")]);
        self.ask("bob", "cynthia: does anybody survive that film?").await?;
        self.hear_beat(|beat| providers(beat) == ["failed", "ok"]).await
    }

    pub(super) async fn both_providers_break(&self) -> Result {
        self.teller.chapter("The second breaks too. Nothing can be answered, and the bot does not pretend:");
        self.second().always(broken());
        self.say("carol", "Cynthia, and who dies first?").await?;
        self.hear_beat(|beat| is("failing")(beat) && providers(beat) == ["failed", "failed"]).await.map(drop)
    }

    pub(super) async fn the_providers_recover(&self) -> Result {
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
}

fn broken() -> Behaviour {
    Behaviour::Status(500, json!({ "error": { "message": "the stand-in is told to fail" } }).to_string())
}
