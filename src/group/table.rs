//! Every service that was heard of, and how each is at a moment. No I/O: `now` is an argument.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::bus::subjects::Sign;
use crate::bus::wire::ServiceReport;
use crate::health::{State, cut};

/// After so many seconds without a beat a service that has beaten is silent, if nobody says otherwise.
pub const SILENT_AFTER_SECONDS: u64 = 30;
/// The most instances that are kept. A new one takes the place of one that is over, or else of one that never
/// beat; the newest are left out where all beat.
const MOST_INSTANCES: usize = 200;
/// The longest name of a service that is kept, in bytes.
const SERVICE_BYTES: usize = 64;

/// How a service is, from the best to the worst.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    /// It says so.
    Healthy,
    /// It beats, but says nothing of its health.
    Beating,
    /// It is there, but has not beaten yet. Some services never beat.
    Announced,
    /// It said goodbye.
    Stopped,
    /// It says so.
    Degraded,
    /// It says so.
    Failing,
    /// It has beaten, and beats no longer.
    Silent,
    /// It should be there, and nobody has heard of it.
    Missing,
}

impl Standing {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Beating => "beating",
            Self::Announced => "announced",
            Self::Stopped => "stopped",
            Self::Degraded => "degraded",
            Self::Failing => "failing",
            Self::Silent => "silent",
            Self::Missing => "missing",
        }
    }

    fn has_ended(self) -> bool {
        matches!(self, Self::Stopped | Self::Silent)
    }
}

/// One instance of a service, as it is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// The service's name.
    pub service: String,
    /// How it is.
    pub standing: Standing,
    /// How long ago its latest beat came.
    pub beat_age: Option<Duration>,
    /// What it says of itself.
    pub report: ServiceReport,
    /// Whether it was asked for by name.
    pub is_expected: bool,
}

/// What all rows together mean for whoever asks with a script.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// All is well.
    Healthy,
    /// Something is degraded.
    Degraded,
    /// Something is failing, silent or missing, or there is nobody at all.
    Failing,
}

/// Every service that was heard of.
#[derive(Debug)]
pub struct Table {
    silent_after: Duration,
    expected: Vec<String>,
    instances: Vec<Instance>,
    /// Since when we hear anything; `None` while the link is down.
    listening_since: Option<Duration>,
    /// When somebody was left out, the last time.
    left_out: Option<Duration>,
}

#[derive(Debug)]
struct Instance {
    service: String,
    report: ServiceReport,
    first_sign: Duration,
    latest_sign: Duration,
    latest_beat: Option<Duration>,
    has_stopped: bool,
}

impl Table {
    /// An empty table. A service that has beaten and does so no longer is silent after
    /// `silent_after`. The `expected` services have a row even when nobody hears of them.
    pub fn new(silent_after: Duration, expected: Vec<String>) -> Self {
        Self { silent_after, expected, instances: Vec::new(), listening_since: None, left_out: None }
    }

    /// The link is up or down. While it is down nobody can be called silent.
    pub fn link(&mut self, now: Duration, is_up: bool) {
        self.listening_since = is_up.then(|| self.listening_since.unwrap_or(now));
    }

    /// Whether somebody of whom we should tell has no row. Who was left out gives another sign, if alive.
    pub fn is_full(&self, now: Duration) -> bool {
        self.left_out.is_some_and(|left_out| now.saturating_sub(left_out) <= self.silent_after)
    }

    /// A service gave a sign of life, or said goodbye.
    pub fn hear(&mut self, now: Duration, service: &str, sign: Sign, report: ServiceReport) {
        let Some(at) = self.place(now, cut(service, SERVICE_BYTES), &report) else {
            self.left_out = Some(now);
            return;
        };
        let instance = &mut self.instances[at];
        // Its last beat may overtake its goodbye. A run that is over does not come back.
        if instance.has_stopped && report.instance_id.is_some() && sign != Sign::Shutdown {
            return;
        }
        instance.latest_sign = now;
        instance.has_stopped = sign == Sign::Shutdown;
        if matches!(sign, Sign::Beat | Sign::ShortBeat) {
            instance.latest_beat = Some(now);
        }
        let known = &mut instance.report;
        known.instance_id = report.instance_id.or(known.instance_id.take());
        known.hostname = report.hostname.or(known.hostname.take());
        known.version = report.version.or(known.version.take());
        match sign {
            Sign::Beat => {
                (known.health, known.reason, known.providers) =
                    (report.health, report.reason, report.providers);
            }
            Sign::ShortBeat if report.health != known.health => {
                (known.health, known.reason) = (report.health, report.reason);
            }
            Sign::Shutdown => known.reason = report.reason,
            Sign::ShortBeat | Sign::Startup => {}
        }
    }

    /// Where the instance that a report comes from stands; a place of its own when it is new.
    fn place(&mut self, now: Duration, service: &str, report: &ServiceReport) -> Option<usize> {
        let of_service = |instance: &Instance| instance.service == service;
        let known = match &report.instance_id {
            Some(id) => self.instances.iter().position(|instance| {
                // One that gave no id so far is the same.
                of_service(instance) && instance.report.instance_id.as_ref().is_none_or(|known| known == id)
            }),
            None => {
                let of_service = self.instances.iter().enumerate().filter(|(_, known)| of_service(known));
                of_service.max_by_key(|(_, known)| known.latest_sign).map(|(at, _)| at)
            }
        };
        if known.is_some() {
            return known;
        }
        if self.instances.len() >= MOST_INSTANCES {
            let without_beat = self.instances.iter().enumerate().filter_map(|(at, instance)| {
                let is_over = self.is_over(now, instance);
                let never_beat = instance.latest_beat.is_none();
                (is_over || never_beat).then_some((!is_over, instance.latest_sign, at))
            });
            let (is_there, _, oldest) = without_beat.min()?;
            let gone = self.instances.remove(oldest);
            let is_missed = self.standing(now, &gone) == Standing::Silent
                && !self.instances.iter().any(|other| other.service == gone.service);
            if is_there || is_missed {
                self.left_out = Some(now);
            }
        }
        self.instances.push(Instance {
            service: service.to_owned(),
            report: ServiceReport::default(),
            first_sign: now,
            latest_sign: now,
            latest_beat: None,
            has_stopped: false,
        });
        Some(self.instances.len() - 1)
    }

    fn standing(&self, now: Duration, instance: &Instance) -> Standing {
        if instance.has_stopped {
            return Standing::Stopped;
        }
        let Some(beat) = instance.latest_beat else { return Standing::Announced };
        let is_silent =
            self.listening_since.is_some_and(|since| now.saturating_sub(beat.max(since)) > self.silent_after);
        match instance.report.health {
            _ if is_silent => Standing::Silent,
            Some(State::Healthy) => Standing::Healthy,
            Some(State::Degraded) => Standing::Degraded,
            Some(State::Failing) => Standing::Failing,
            None => Standing::Beating,
        }
    }

    /// Whether it has ended. Who never beats and says no goodbye, as when it crashes at each start, is taken
    /// for ended when another of the same service came so much later that it should be a start after it.
    fn is_over(&self, now: Duration, instance: &Instance) -> bool {
        let standing = self.standing(now, instance);
        let is_followed = || {
            let came_later = |other: &Instance| {
                let later = other.first_sign.saturating_sub(instance.latest_sign);
                later > self.silent_after && other.service == instance.service
            };
            self.instances.iter().any(came_later)
        };
        standing.has_ended() || (standing == Standing::Announced && is_followed())
    }

    /// How everything is now, by name: of each service all who live, or where nobody does, the one whose
    /// latest sign came last.
    pub fn rows(&self, now: Duration) -> Vec<Row> {
        let (over, mut shown): (Vec<&Instance>, Vec<&Instance>) =
            self.instances.iter().partition(|instance| self.is_over(now, instance));
        let mut latest_over = BTreeMap::new();
        for instance in over {
            let latest = latest_over.entry(&instance.service).or_insert(instance);
            if instance.latest_sign >= latest.latest_sign {
                *latest = instance;
            }
        }
        latest_over.retain(|service, _| !shown.iter().any(|living| living.service == **service));
        shown.extend(latest_over.into_values());
        let mut rows: Vec<Row> = shown
            .into_iter()
            .map(|instance| Row {
                service: instance.service.clone(),
                standing: self.standing(now, instance),
                beat_age: instance.latest_beat.map(|beat| now.saturating_sub(beat)),
                report: instance.report.clone(),
                is_expected: self.expected.contains(&instance.service),
            })
            .collect();
        for service in &self.expected {
            if !rows.iter().any(|row| row.service == *service) {
                rows.push(Row {
                    service: service.clone(),
                    standing: Standing::Missing,
                    beat_age: None,
                    report: ServiceReport::default(),
                    is_expected: true,
                });
            }
        }
        rows.sort_by(|a, b| (&a.service, &a.report.instance_id).cmp(&(&b.service, &b.report.instance_id)));
        rows
    }
}

/// What the rows mean. A service that said goodbye is no trouble, unless it was expected.
pub fn verdict(rows: &[Row]) -> Verdict {
    let of_row = |row: &Row| match row.standing {
        Standing::Healthy | Standing::Beating | Standing::Announced => Verdict::Healthy,
        Standing::Stopped if !row.is_expected => Verdict::Healthy,
        Standing::Degraded => Verdict::Degraded,
        Standing::Stopped | Standing::Failing | Standing::Silent | Standing::Missing => Verdict::Failing,
    };
    rows.iter().map(of_row).max().unwrap_or(Verdict::Failing)
}

#[cfg(test)]
mod tests;
