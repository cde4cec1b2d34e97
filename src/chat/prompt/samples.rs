//! Made-up variables that templates are tried with before they are used.

use minijinja::{Value, context};

use super::Failure;
use super::templates::Templates;
use super::variables::without_memory;

impl Templates {
    /// What can be said to be wrong with the operator's templates before they are used.
    pub fn check(&self) -> Vec<Failure> {
        self.failures(&[rich(), bare()])
    }
}

/// Every variable of every template, with something in it.
pub(super) fn rich() -> Value {
    let line = |name: &str, text: &str| context! { username => name, message => text, msg => text, time => "20:15:00" };
    context! {
        bot => context! {
            name => "Vera", description => "keeper of the booth", traits => ["dry"], expertise => ["film"],
            style => "short", rules => ["Be kind."],
        },
        user => context! { username => "bob", message => "what is on?" },
        trigger => context! { context => "It is Friday.", type => "mention", name => "vera" },
        meta => context! { time => "20:15:00", date => "2026-11-23" },
        event => context! { transition_explanation => "A new film.", previous_media_title => "Alien" },
        current_media => context! {
            title => "Aliens", duration => 8_220, duration_str => "2h, 17m, 0s", position => 65,
            position_str => "1m, 5s", remaining => 8_155, remaining_str => "2h, 15m, 55s", type => "yt",
            queued_by => "ann",
        },
        next_media => context! {
            title => "Alien 3", duration => 6_900, duration_str => "1h, 55m, 0s", type => "yt", queued_by => "bob",
        },
        channel_users => 2,
        active_users => ["ann", "bob"],
        chat_history => [line("ann", "hello"), line("bob", "vera, what is on?")],
        RAND_SEED => 1,
        ..without_memory()
    }
}

/// What there is when a room has just come to life.
pub(super) fn bare() -> Value {
    context! {
        bot => context! {
            name => "Vera", description => "", traits => (), expertise => (), style => "", rules => (),
        },
        user => context! { username => "bob", message => "hello" },
        trigger => context! { context => "", type => "trigger_word", name => "hello" },
        meta => context! { time => "20:15:00", date => "2026-11-23" },
        event => context! { transition_explanation => "", previous_media_title => () },
        current_media => (),
        next_media => (),
        channel_users => 0,
        active_users => Vec::<Value>::new(),
        chat_history => [context! { username => "bob", message => "hello", msg => "hello", time => "20:15:00" }],
        RAND_SEED => 1,
        ..without_memory()
    }
}
