//! `kryten-llm preview`: what the bot would make of a message, by the service's own code, without
//! a bus and without a word in chat.

use std::fmt::Write;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;
use tokio::runtime::Runtime;

use super::terminal::{visible, visible_lines};
use super::{exit, rooms, say, say_error};
use crate::bus::wire;
use crate::chat::answer;
use crate::chat::decide::Decider;
use crate::chat::event::{self, ChatEvent, ChatMessage};
use crate::chat::plan::{Decision, ReplyPlan, Silence};
use crate::chat::prompt::{self, Prompt};
use crate::chat::rules::Rules;
use crate::chat::trace::{Step, Steps};
use crate::clock::{Clock, Moment};
use crate::config::Config;
use crate::health::HealthMonitor;
use crate::llm::{Answer, GaveUp, Router};
use crate::names::RoomName;
use crate::outcome::Reason;
use crate::reply::{occasion, request};
use crate::spend_book::SpendBook;
use crate::templates::keeper::Keeper;

/// The most answers that are asked for at once: each costs.
const MOST_ANSWERS: i64 = 100;

/// The message, and how far to go.
#[derive(Debug, Args)]
pub struct PreviewArguments {
    /// Who says it
    #[arg(long, value_name = "NAME")]
    user: String,

    /// In which room; the first one when left out
    #[arg(long, value_name = "CHANNEL")]
    room: Option<String>,

    /// The user's rank
    #[arg(long, value_name = "NUMBER")]
    rank: Option<f64>,

    /// Ask the provider too, and show what would be said
    #[arg(long)]
    ask: bool,

    /// Ask so many times
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..=MOST_ANSWERS))]
    repeat: Option<u32>,

    /// What is said, as people type it
    #[arg(allow_hyphen_values = true)]
    message: String,
}

/// Shows what a service that has just started would make of the message.
pub fn run(config: Config, arguments: &PreviewArguments) -> ExitCode {
    let Some(room) = rooms::find(&config, arguments.room.as_deref()) else { return rooms::unknown() };
    let clock = Clock::start();
    let now = clock.now();
    let Some(message) = message(now, &room, arguments) else {
        say_error("this can't be a chat message");
        return exit::code(exit::USAGE);
    };
    let config = Arc::new(config);
    let mut decider = Decider::new(Rules::new(config.clone()), now, rand::random());
    // What the service has spent counts; what is spent here, it does not learn.
    let spend = SpendBook::open_to_look(&config, clock);
    let mut steps = Steps::default();
    let decision = decider.on_chat_traced(now, &room, &message, &|user| spend.near(now, user), &mut steps);
    say(&heading(&room, &message));
    say(&in_words(&steps.0));
    let plan = match decision {
        Decision::Reply(plan) => plan,
        Decision::Silence(silence) => {
            say(&format!("Silence: {}", of_silence(&silence)));
            return exit::code(exit::OK);
        }
    };
    say(&format!("Reply: {}\n", of_plan(&plan)));
    let Some(prompt) = prompt(&config, now, &plan) else { return exit::code(exit::UNEXPECTED) };
    let times = arguments.repeat.unwrap_or(u32::from(arguments.ask));
    let done = if times == 0 {
        look_ahead(&config, clock, &plan, &prompt)
    } else {
        ask(&config, spend, clock, &plan, &prompt, times)
    };
    match done {
        Ok(()) => exit::code(exit::OK),
        Err(failure) => {
            say_error(&failure);
            exit::code(exit::UNEXPECTED)
        }
    }
}

/// The message as it would come from the bus.
fn message(now: Moment, room: &RoomName, arguments: &PreviewArguments) -> Option<ChatMessage> {
    let PreviewArguments { user, rank, message, .. } = arguments;
    let line = wire::chat_line(room, user, *rank, message, "preview", now);
    match event::parse("chatmsg", &line).ok()?.event {
        ChatEvent::Chat(message) => Some(message),
        _ => None,
    }
}

fn heading(room: &RoomName, message: &ChatMessage) -> String {
    let (user, text) = (visible(message.user.as_str()), visible(&message.text));
    format!("In {room}, {user} says: {text}\nDecided as by a service that has just started.\n")
}

/// A line for each check.
fn in_words(steps: &[Step]) -> String {
    let width = steps.iter().map(|step| step.check.as_str().len()).max().unwrap_or_default();
    let mut text = String::new();
    for Step { check, has_passed, words } in steps {
        let mark = if *has_passed { "ok" } else { "NO" };
        // Writing to a text can't fail.
        let _ = writeln!(text, "  {mark}  {:width$}  {}", check.as_str(), visible(words));
    }
    text
}

fn of_silence(silence: &Silence) -> String {
    let detail = silence.detail.to_string();
    let reason = silence.reason.as_str();
    if detail.is_empty() { reason.to_owned() } else { format!("{reason} ({})", visible(&detail)) }
}

fn of_plan(plan: &ReplyPlan) -> String {
    let trigger = &plan.trigger;
    let provider = trigger.preferred_provider.as_ref();
    format!(
        "{} {:?}, priority {}{}; the message without its trigger: {}",
        trigger.kind.as_str(),
        trigger.name,
        trigger.priority,
        provider.map(|provider| format!(", first asks {provider}")).unwrap_or_default(),
        visible(&plan.message)
    )
}

/// Makes the prompt and shows it; says what is wrong with the templates.
fn prompt(config: &Config, now: Moment, plan: &ReplyPlan) -> Option<Prompt> {
    let mut keeper = Keeper::new(config.templates.clone());
    for failure in keeper.look().into_iter().flat_map(|news| news.failures) {
        say_error(&format!("template {}", visible(&failure.to_string())));
    }
    match prompt::build(plan, &keeper.current(), &occasion(now)) {
        Ok((prompt, failures)) => {
            failures
                .iter()
                .for_each(|failure| say_error(&format!("template {}", visible(&failure.to_string()))));
            say(&format!("--- system prompt ---\n{}", visible_lines(&prompt.system)));
            say(&format!("--- user prompt ---\n{}\n---", visible_lines(&prompt.user)));
            Some(prompt)
        }
        Err(failure) => {
            say_error(&format!("built-in template {failure}"));
            None
        }
    }
}

/// Says what would come of asking, as far as that is known without it.
fn look_ahead(config: &Config, clock: Clock, plan: &ReplyPlan, prompt: &Prompt) -> Result<(), String> {
    let router = router(config, SpendBook::open_to_look(config, clock), clock);
    if router.states().is_empty() {
        say(&format!("Silence: {} (no provider can be used)", Reason::Exhausted.as_str()));
    } else if let Some(denied) = runtime()?.block_on(router.denied(&request(plan, prompt))) {
        say(&format!("Silence: {} (no provider may be asked: {denied})", denied.limit.as_str()));
    } else if config.testing.is_silent() {
        say(&format!("The answer would not be said: {}", Reason::DryRun.as_str()));
    }
    Ok(())
}

fn runtime() -> Result<Runtime, String> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("the runtime can't be started: {error}"))
}

/// Says who can't be asked.
fn router(config: &Config, spend: SpendBook, clock: Clock) -> Router {
    for provider in &config.llm_providers {
        if let Err(why) = &provider.usable {
            say_error(&format!("{} can't be asked: {why}", provider.name));
        }
    }
    let providers = config.llm_providers.iter().map(|provider| provider.name.clone());
    Router::new(config, spend, HealthMonitor::new(clock.now(), providers, []), clock)
}

/// Asks so many times, and shows each answer with what would be said of it.
fn ask(
    config: &Config,
    spend: SpendBook,
    clock: Clock,
    plan: &ReplyPlan,
    prompt: &Prompt,
    times: u32,
) -> Result<(), String> {
    let (runtime, router) = (runtime()?, router(config, spend, clock));
    let request = request(plan, prompt);
    for number in 1..=times {
        let answer = runtime.block_on(router.ask(&request, config.handler_timeout));
        let answer = answer.map_err(|gave_up: GaveUp| visible(&gave_up.to_string()))?;
        say(&of_answer(number, times, plan, &answer));
    }
    Ok(())
}

fn of_answer(number: u32, times: u32, plan: &ReplyPlan, answer: &Answer) -> String {
    let seconds = answer.latency.as_secs_f64();
    let mut text = if times == 1 { "\nAnswer".to_owned() } else { format!("\nAnswer {number} of {times}") };
    let _ = write!(text, " by {} ({}) in {seconds:.1} s", answer.provider, visible(&answer.model));
    if let Some(tokens) = answer.tokens {
        let _ = write!(text, ", {} + {} tokens", tokens.prompt, tokens.completion);
    }
    if answer.cut_by_token_limit {
        text.push_str(", cut by the token limit");
    }
    let _ = write!(text, ":\n{}\n", visible_lines(&answer.text));
    match answer::lines(plan, &answer.text, answer.cut_by_token_limit) {
        Ok(lines) => {
            let is_dry_run = plan.config().testing.is_silent();
            text.push_str(if is_dry_run { "Would be said but for dry_run:" } else { "Would be said:" });
            lines.iter().for_each(|line| _ = write!(text, "\n  < {}", visible(line)));
        }
        Err(reason) => _ = write!(text, "Would not be said: {}", reason.as_str()),
    }
    text
}
