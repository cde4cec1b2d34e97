//! Holds equal warnings back, and says how many they were.

use std::fmt::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id};
use tracing::{Event, Level, Subscriber, error, warn};
use tracing_subscriber::layer::{Context, Layer};
use tracing_subscriber::registry::LookupSpan;

use super::repeats::{Repeats, Summary};
use crate::health::cut;

/// Where the summaries come from: they are never held back themselves.
const OWN: &str = module_path!();
/// The longest text that is compared, and that a summary shows, in bytes.
const TEXT_BYTES: usize = 300;
/// Who asked, and in which message, does not make it another warning.
const OF_NO_MATTER: [&str; 2] = ["correlation_id", "user"];

/// Lets through what is told. It stands before all that writes events, so that it decides for them
/// all.
pub(super) struct HoldBack(Arc<Shared>);

/// Tells the summaries; dropping it tells what is left.
pub struct Summaries {
    shared: Arc<Shared>,
    teller: Option<JoinHandle<()>>,
}

struct Shared {
    books: Mutex<Books>,
    changed: Condvar,
    began: Instant,
}

#[derive(Default)]
struct Books {
    repeats: Repeats,
    is_over: bool,
}

/// What holds back, and who tells what it held back.
///
/// # Errors
/// When no thread can be had.
pub(super) fn hold_back() -> std::io::Result<(HoldBack, Summaries)> {
    let shared = Arc::new(Shared { books: Mutex::default(), changed: Condvar::new(), began: Instant::now() });
    let own = shared.clone();
    let teller = std::thread::Builder::new().name("summaries".to_owned()).spawn(move || own.tell(tell))?;
    Ok((HoldBack(shared.clone()), Summaries { shared, teller: Some(teller) }))
}

impl Shared {
    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells what is due when it is due, until the end. Sleeps while nothing is held back.
    fn tell(&self, say: impl Fn(&Summary)) {
        loop {
            let mut books = self.books();
            let now = self.began.elapsed();
            let is_over = books.is_over;
            let summaries = if is_over { books.repeats.take_all(now) } else { books.repeats.take_due(now) };
            if summaries.is_empty() && !is_over {
                let pause = books.repeats.due().map_or(Duration::MAX, |due| due.saturating_sub(now));
                drop(self.changed.wait_timeout(books, pause));
                continue;
            }
            // Telling them comes by here again, and must not find the books locked.
            drop(books);
            summaries.iter().for_each(&say);
            if is_over {
                return;
            }
        }
    }
}

fn tell(summary: &Summary) {
    let Summary { line, more, within, is_error } = summary;
    let within = match within.as_secs() {
        60.. => "minute".to_owned(),
        seconds => format!("{} s", seconds.max(1)),
    };
    if *is_error {
        error!("… {more} more in the last {within}: {line}");
    } else {
        warn!("… {more} more in the last {within}: {line}");
    }
}

impl Drop for Summaries {
    fn drop(&mut self) {
        self.shared.books().is_over = true;
        self.shared.changed.notify_one();
        let _ = self.teller.take().map(JoinHandle::join);
    }
}

/// What a span adds to the texts of the warnings in it.
struct SpanTexts(String);

impl<S: Subscriber + for<'span> LookupSpan<'span>> Layer<S> for HoldBack {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut texts = Texts::default();
        attributes.record(&mut texts);
        if let Some(span) = context.span(id) {
            span.extensions_mut().replace(SpanTexts(texts.0));
        }
    }

    fn event_enabled(&self, event: &Event<'_>, context: Context<'_, S>) -> bool {
        let metadata = event.metadata();
        if *metadata.level() > Level::WARN || metadata.target() == OWN {
            return true;
        }
        let mut texts = Texts::default();
        event.record(&mut texts);
        for span in context.event_scope(event).into_iter().flatten() {
            if let Some(SpanTexts(own)) = span.extensions().get() {
                texts.0.push_str(own);
            }
        }
        let texts = cut(texts.0.trim_end(), TEXT_BYTES).to_owned();
        let sentence = std::ptr::from_ref(metadata).addr();
        let is_error = *metadata.level() == Level::ERROR;
        let line = || texts.clone();
        let is_told =
            self.0.books().repeats.is_told(self.0.began.elapsed(), sentence, texts.clone(), line, is_error);
        if !is_told {
            self.0.changed.notify_one();
        }
        is_told
    }
}

/// The message and the texts among the fields. Figures are left out.
#[derive(Default)]
struct Texts(String);

impl Visit for Texts {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // Writing to a text can't fail.
        let _ = match field.name() {
            "message" => write!(self.0, "{value:?} "),
            name if OF_NO_MATTER.contains(&name) => Ok(()),
            name => write!(self.0, "{name}={value:?} "),
        };
    }

    fn record_f64(&mut self, _: &Field, _: f64) {}

    fn record_i64(&mut self, _: &Field, _: i64) {}

    fn record_u64(&mut self, _: &Field, _: u64) {}
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn what_was_held_back_is_told_when_its_minute_is_over_and_the_rest_at_the_end() {
        // Its minute is over in a moment.
        let began = Instant::now().checked_sub(Duration::from_millis(59_500)).expect("a clock that runs");
        let shared = Arc::new(Shared { books: Mutex::default(), changed: Condvar::new(), began });
        let hold = |now: Duration, sentence: usize| {
            for _ in 0..12 {
                let line = || format!("sentence {sentence}");
                shared.books().repeats.is_told(now, sentence, String::new(), line, false);
            }
            shared.changed.notify_one();
        };
        let (say, said) = mpsc::channel();
        let own = shared.clone();
        let teller =
            std::thread::spawn(move || own.tell(|summary| say.send(summary.clone()).expect("heard")));
        hold(Duration::ZERO, 1);
        hold(Duration::from_secs(30), 2);
        let first = said.recv_timeout(Duration::from_secs(10)).expect("the minute is over");
        assert_eq!((first.line.as_str(), first.more, first.within.as_secs()), ("sentence 1", 7, 60));
        assert!(began.elapsed() >= Duration::from_secs(60));
        assert!(said.try_recv().is_err(), "the other has half a minute");
        drop(Summaries { shared, teller: Some(teller) });
        let last = said.recv().expect("the end tells the rest");
        assert_eq!((last.line.as_str(), last.more), ("sentence 2", 7));
        assert!(said.recv().is_err());
    }
}
