//! Totals become minutes: the pure part of keeping the history.

use std::mem;
use std::time::Duration;

use super::minute::{Figures, Latency, Minute};
use crate::clock::Moment;
use crate::health::{Change, News, Snapshot, State};
use crate::outcome::Reason;

/// So many of a minute's replies are measured; of more, the latest.
const MEASURED: usize = 4096;

const MINUTE: Duration = Duration::from_secs(60);

/// Keeps the minute that runs. It is shown health about once a second, and what was counted since the time
/// before counts in the minute in which it is shown.
#[derive(Debug)]
pub struct MinuteBook {
    open: Minute,
    /// How long the replies of the open minute took: the latest [`MEASURED`].
    times: Vec<Duration>,
    /// How many replies of the open minute were measured in all.
    measured: u64,
    /// What was counted before, by which the next is a difference.
    before: Totals,
}

/// All that only grows.
#[derive(Debug, Default)]
struct Totals {
    elapsed: Duration,
    figures: Figures,
}

impl MinuteBook {
    /// A book of the service that starts now, in which nothing has been counted.
    pub fn new(now: Moment) -> Self {
        Self {
            open: Minute::new(now, now.wall.timestamp_millis()),
            times: Vec::new(),
            measured: 0,
            before: Totals { elapsed: now.elapsed, figures: Figures::default() },
        }
    }

    /// Takes in health at this moment, what changed since the time before, and how long the replies took that
    /// were sent since then. Returns the minute that is over, if this moment lies in another one.
    ///
    /// Minutes are those of the wall clock. One that is set back begins a new part of a minute that was.
    pub fn show(&mut self, snapshot: &Snapshot, news: &[News], reply_times: Vec<Duration>) -> Option<Minute> {
        let now = snapshot.at;
        let over = (self.open.at != begin_of_minute(now)).then(|| self.so_far());
        if over.is_some() {
            self.open = Minute::new(now, self.open.part.saturating_add(1));
            self.times = Vec::new();
            self.measured = 0;
        }
        self.count(snapshot);
        self.measure(reply_times);
        let went_through = news.iter().filter_map(|news| match &news.change {
            Change::State(transition) => Some(transition.to),
            Change::Provider { .. } => None,
        });
        self.open.state = went_through.chain([snapshot.state]).fold(self.open.state, State::max);
        over
    }

    /// The minute that runs, so far.
    pub fn so_far(&self) -> Minute {
        let mut minute = self.open.clone();
        minute.figures.latency =
            Latency::of(&self.times).map(|latency| Latency { replies: self.measured, ..latency });
        minute
    }

    fn count(&mut self, snapshot: &Snapshot) {
        let totals = totals(snapshot);
        let before =
            mem::replace(&mut self.before, Totals { elapsed: snapshot.at.elapsed, figures: totals.clone() });
        let grown = |now: u64, before: u64| now.saturating_sub(before);
        let mut new = Figures {
            ran: snapshot.at.elapsed.saturating_sub(before.elapsed),
            messages: grown(totals.messages, before.figures.messages),
            replies: grown(totals.replies, before.figures.replies),
            errors: grown(totals.errors, before.figures.errors),
            ..Figures::default()
        };
        let (tokens, tokens_before) = (totals.tokens, before.figures.tokens);
        new.tokens.add(
            grown(tokens.prompt, tokens_before.prompt),
            grown(tokens.completion, tokens_before.completion),
        );
        for (reason, count) in &totals.silences {
            let count = grown(*count, before.figures.silences.get(reason).copied().unwrap_or_default());
            if count > 0 {
                new.silence(reason, count);
            }
        }
        self.open.figures.add(new);
        self.open.figures.ran = self.open.figures.ran.min(MINUTE);
    }

    fn measure(&mut self, reply_times: Vec<Duration>) {
        for time in reply_times {
            match usize::try_from(self.measured % MEASURED as u64) {
                Ok(oldest) if self.times.len() == MEASURED => self.times[oldest] = time,
                _ => self.times.push(time),
            }
            self.measured += 1;
        }
    }
}

impl Minute {
    fn new(now: Moment, part: i64) -> Self {
        Self { at: begin_of_minute(now), part, state: State::Healthy, figures: Figures::default() }
    }
}

fn begin_of_minute(now: Moment) -> i64 {
    now.wall.timestamp().div_euclid(60) * 60
}

fn totals(snapshot: &Snapshot) -> Figures {
    let mut figures = Figures {
        messages: snapshot.messages_processed,
        replies: snapshot.responses_sent,
        errors: snapshot.errors,
        tokens: snapshot.tokens,
        ..Figures::default()
    };
    let silences = snapshot.ignored.iter().chain(snapshot.ledger.silenced.iter());
    silences.for_each(|(reason, count): (Reason, u64)| figures.silence(reason.as_str(), count));
    figures
}

#[cfg(test)]
mod tests;
