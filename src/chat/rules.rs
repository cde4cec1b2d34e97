//! A configuration, with everything compiled from it that deciding needs.

use std::sync::Arc;

use crate::config::Config;
use crate::names::Username;
use crate::outcome::Reason;

use super::format::Formatter;
use super::identity::Names;
use super::trace::Trace;
use super::triggers::Found;
use super::triggers::mention::Mentions;
use super::triggers::words::TriggerWords;

/// What decisions are made by. Compiling takes time, so it is done elsewhere and swapped in with
/// [`super::decide::Decider::adopt`].
#[derive(Debug)]
pub struct Rules {
    config: Arc<Config>,
    character_name: Username,
    mentions: Mentions,
    trigger_words: TriggerWords,
    pub(super) formatter: Formatter,
}

impl Rules {
    /// Compiles a configuration.
    pub fn new(config: Arc<Config>) -> Arc<Self> {
        let personality = &config.personality;
        let mentions = Mentions::new(personality.names());
        let trigger_words = TriggerWords::new(&config.triggers);
        let formatter = Formatter::new(&config.formatting, &personality.character_name);
        let character_name = Username::new(personality.character_name.trim());
        Arc::new(Self { config, character_name, mentions, trigger_words, formatter })
    }

    /// The configuration, to be kept.
    pub fn shared_config(&self) -> &Arc<Config> {
        &self.config
    }

    /// The configuration itself.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// What makes the bot answer a text: its name, else a trigger word whose chance falls right.
    pub(super) fn trigger(
        &self,
        text: &str,
        roll: impl FnMut() -> f64,
        trace: &mut impl Trace,
    ) -> Option<Found> {
        let Some(found) = self.mentions.find(text) else {
            return self.trigger_words.find(text, roll, trace);
        };
        trace.note(Reason::NoTrigger, true, || format!("\"{}\" is mentioned", found.trigger.name));
        Some(found)
    }

    /// Whether a text says one of the bot's names.
    pub(super) fn is_mention(&self, text: &str) -> bool {
        self.mentions.find(text).is_some()
    }

    /// The names that the configuration gives us.
    pub(super) fn names(&self) -> Names<'_> {
        Names { bot_username: self.config.bot_username.as_ref(), character_name: &self.character_name }
    }
}
