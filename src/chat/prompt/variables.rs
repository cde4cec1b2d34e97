//! What templates may speak of.
//!
//! Texts of others come without line breaks and invisible characters; whether they are quoted is up
//! to the template.

use minijinja::{Value, context};

use super::super::context::Line;
use super::super::format::speakable;
use super::super::plan::ReplyPlan;
use super::window::Share;
use super::{Occasion, rules};

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

/// For the templates of what is asked. The triggering message always ends the conversation, since
/// operators' templates may print the question nowhere else.
pub(super) fn of_the_message(plan: &ReplyPlan, occasion: &Occasion, share: Share) -> Value {
    let line = |line: &Line| {
        let own_name = &plan.config().personality.character_name;
        let user = if line.is_own { own_name.as_str() } else { line.user.as_str() };
        chat_line(occasion, user, &line.text, line.time)
    };
    let before = earlier(plan);
    let before = &before[before.len() - share.lines.min(before.len())..];
    let asked = match plan.history.last() {
        Some(asked) => line(asked),
        None => chat_line(occasion, plan.user.as_str(), &plan.original, occasion.local.to_utc()),
    };
    let chat_history: Vec<Value> = before.iter().map(line).chain([asked]).collect();
    context! {
        user => context! {
            username => speakable(plan.user.as_str()),
            message => speakable(&plan.message),
        },
        trigger => context! {
            context => plan.trigger.context.trim(),
            type => plan.trigger.kind.as_str(),
            name => &*plan.trigger.name,
        },
        meta => context! {
            time => occasion.local.format("%H:%M:%S").to_string(),
            date => occasion.local.format("%Y-%m-%d").to_string(),
        },
        chat_history => chat_history,
        RAND_SEED => occasion.seed,
        ..without_memory()
    }
}

/// The conversation before the message, oldest line first.
pub(super) fn earlier(plan: &ReplyPlan) -> &[Line] {
    plan.history.split_last().map_or(&[], |(_, earlier)| earlier)
}

fn chat_line(occasion: &Occasion, user: &str, text: &str, time: chrono::DateTime<chrono::Utc>) -> Value {
    let text = Value::from(speakable(text));
    let time = time.with_timezone(occasion.local.offset()).format("%H:%M:%S").to_string();
    context! { username => speakable(user), message => text.clone(), msg => text, time => time }
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
