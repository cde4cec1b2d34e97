//! Logs: events with fields, to standard error.

mod hold_back;
mod line;
mod repeats;

use std::io::IsTerminal;

use tracing::level_filters::LevelFilter;
use tracing::{Subscriber, warn};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;

use crate::config::{Config, LogFormat, LogLevel};
use line::Lines;

pub use hold_back::Summaries;

/// Starts logging as configured. Of libraries only warnings are shown; the NATS client's own
/// words are left out, since the link's keeper says the same with its cause.
///
/// Equal warnings are summed up, but for whoever wants to see all: with the level DEBUG. What comes
/// back tells the sums, the last ones when it is dropped.
pub fn start(config: &Config) -> Option<Summaries> {
    let level = match config.log_level {
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Warning => LevelFilter::WARN,
        LogLevel::Error => LevelFilter::ERROR,
    };
    let targets = Targets::new()
        .with_default(level.min(LevelFilter::WARN))
        .with_target("kryten_llm", level)
        .with_target("async_nats", LevelFilter::OFF);
    let (hold_back, summaries, failed) =
        match (config.log_level != LogLevel::Debug).then(hold_back::hold_back) {
            Some(Ok((hold_back, summaries))) => (Some(hold_back), Some(summaries), None),
            Some(Err(error)) => (None, None, Some(error)),
            None => (None, None, None),
        };
    tracing_subscriber::registry().with(targets).with(hold_back).with(writer(config.logging.format)).init();
    if let Some(error) = failed {
        warn!(%error, "equal warnings are not summed up: no thread can be had for that");
    }
    summaries
}

/// How the lines look. The journal has times, priorities and no colours of its own.
fn writer<S>(format: LogFormat) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    let to_journal = line::goes_to_journal();
    let layer = tracing_subscriber::fmt::layer()
        .with_writer(Lines { priorities: to_journal })
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false);
    match (format, to_journal) {
        (LogFormat::Text, false) => layer.boxed(),
        (LogFormat::Text, true) => layer.without_time().boxed(),
        (LogFormat::Json, _) => layer.json().boxed(),
    }
}
