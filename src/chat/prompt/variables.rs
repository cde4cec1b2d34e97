//! What templates may speak of.
//!
//! Texts of others come without line breaks and invisible characters; whether they are quoted is up
//! to the template.

use std::time::Duration;

use chrono::{DateTime, Utc};
use minijinja::{Value, context};

use super::super::context::Line;
use super::super::format::speakable;
use super::super::plan::ReplyPlan;
use super::super::screen::{CurrentMedia, NextMedia};
use super::window::Share;
use super::{Occasion, rules};

/// The most names of users that a template gets.
const ACTIVE_USERS: usize = 1_000;

/// For the system template.
pub(super) fn of_the_bot(plan: &ReplyPlan, occasion: &Occasion) -> Value {
    let personality = &plan.config().personality;
    let style = plan.trigger.response_style.as_deref().unwrap_or(&personality.response_style);
    context! {
        bot => context! {
            name => personality.character_name.clone(),
            description => personality.character_description.clone(),
            traits => personality.personality_traits.clone(),
            expertise => personality.expertise.clone(),
            style => style,
            rules => rules(plan.config()),
        },
        meta => context! {
            time => occasion.local.format("%I:%M %p").to_string(),
            date => occasion.local.format("%A, %B %d, %Y").to_string(),
        },
        RAND_SEED => occasion.seed,
    }
}

/// For the templates of what is asked: made once, and shown with more or less in it.
pub(super) struct Scene {
    /// What no prompt goes without.
    fixed: Value,
    /// The lines before the message, oldest first.
    earlier: Vec<Value>,
    /// The message as a line. It always ends the conversation, since operators' templates may
    /// print the question nowhere else; `None` for a comment on a film.
    asked: Option<Value>,
    current_media: Value,
    next_media: Value,
    active_users: Value,
}

impl Scene {
    pub(super) fn new(plan: &ReplyPlan, occasion: &Occasion) -> Self {
        let (asked, earlier) = match (&plan.user, plan.history.split_last()) {
            (None, _) => (None, &*plan.history),
            (Some(_), Some((asked, earlier))) => (Some(chat_line(plan, occasion, asked)), earlier),
            (Some(user), None) => {
                (Some(line(occasion, user.as_str(), &plan.original, occasion.local.to_utc())), &[][..])
            }
        };
        let scene = &plan.scene;
        let names = scene.active_users.iter().take(ACTIVE_USERS).map(|user| speakable(user.as_str()));
        Self {
            fixed: fixed(plan, occasion),
            earlier: earlier.iter().map(|line| chat_line(plan, occasion, line)).collect(),
            asked,
            current_media: scene.current_media.as_ref().map(current_media).into(),
            next_media: scene.next_media.as_ref().map(next_media).into(),
            active_users: names.collect(),
        }
    }

    /// All that there is.
    pub(super) fn all(&self) -> Share {
        Share { lines: self.earlier.len(), has_media: true, has_users: true }
    }

    /// With so much in it.
    pub(super) fn with(&self, share: Share) -> Value {
        let earlier = &self.earlier[self.earlier.len() - share.lines.min(self.earlier.len())..];
        let chat_history: Vec<Value> = earlier.iter().chain(&self.asked).cloned().collect();
        let when = |is_wanted: bool, value: &Value| if is_wanted { value.clone() } else { Value::from(()) };
        context! {
            chat_history => chat_history,
            current_media => when(share.has_media, &self.current_media),
            next_media => when(share.has_media, &self.next_media),
            active_users => if share.has_users { self.active_users.clone() } else { Value::from_iter([(); 0]) },
            ..self.fixed.clone()
        }
    }
}

fn fixed(plan: &ReplyPlan, occasion: &Occasion) -> Value {
    context! {
        user => context! {
            username => plan.user.as_ref().map(|user| speakable(user.as_str())),
            message => speakable(&plan.message),
        },
        trigger => context! {
            context => plan.trigger.context.trim(),
            type => plan.trigger.kind.as_str(),
            name => &*plan.trigger.name,
        },
        event => context! {
            transition_explanation => plan.config().media_change.transition_explanation.clone(),
            previous_media_title => plan.previous_title.as_deref().map(speakable),
        },
        meta => context! {
            time => occasion.local.format("%H:%M:%S").to_string(),
            date => occasion.local.format("%Y-%m-%d").to_string(),
        },
        channel_users => plan.scene.channel_users,
        RAND_SEED => occasion.seed,
        ..without_memory()
    }
}

fn chat_line(plan: &ReplyPlan, occasion: &Occasion, said: &Line) -> Value {
    let own_name = &plan.config().personality.character_name;
    let user = if said.is_own { own_name.as_str() } else { said.user.as_str() };
    line(occasion, user, &said.text, said.time)
}

fn line(occasion: &Occasion, user: &str, text: &str, time: DateTime<Utc>) -> Value {
    let text = Value::from(speakable(text));
    let time = time.with_timezone(occasion.local.offset()).format("%H:%M:%S").to_string();
    context! { username => speakable(user), message => text.clone(), msg => text, time => time }
}

fn current_media(media: &CurrentMedia) -> Value {
    context! {
        title => speakable(&media.title),
        duration => media.duration.as_secs(),
        duration_str => in_words(media.duration),
        position => media.position.as_secs(),
        position_str => in_words(media.position),
        remaining => media.remaining().as_secs(),
        remaining_str => in_words(media.remaining()),
        type => speakable(&media.kind),
        queued_by => media.queued_by.as_deref().map(speakable),
    }
}

fn next_media(media: &NextMedia) -> Value {
    context! {
        title => speakable(&media.title),
        duration => media.duration.as_secs(),
        duration_str => in_words(media.duration),
        type => speakable(&media.kind),
        queued_by => media.queued_by.as_deref().map(speakable),
    }
}

/// "1h, 40m, 0s", "1m, 5s", "5s".
fn in_words(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    match (hours, minutes) {
        (0, 0) => format!("{seconds}s"),
        (0, _) => format!("{minutes}m, {seconds}s"),
        _ => format!("{hours}h, {minutes}m, {seconds}s"),
    }
}

/// Of the long-term memory, which is not available: what the Python original says without it.
pub(super) fn without_memory() -> Value {
    context! {
        user_memory => (),
        confidence => (),
        hedge_enabled => false,
        hedge_above => 0.7,
        temporal_hedge_enabled => false,
        temporal_recent_threshold => 7,
        temporal_old_threshold => 90,
        recency_days => (),
        proactive_memory => (),
        proactive_memory_active => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_in_the_originals_words() {
        for (seconds, words) in [
            (0, "0s"),
            (5, "5s"),
            (60, "1m, 0s"),
            (65, "1m, 5s"),
            (3600, "1h, 0m, 0s"),
            (6000, "1h, 40m, 0s"),
            (90_061, "25h, 1m, 1s"),
        ] {
            assert_eq!(in_words(Duration::from_secs(seconds)), words);
        }
    }
}
