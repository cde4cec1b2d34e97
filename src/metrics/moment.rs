//! Figures in the exporter's hands: those that last, and those of one moment.

use std::num::NonZeroU32;
use std::time::Duration;

use metrics::{Counter, Gauge, Histogram, Key, Label, Level, Metadata, Recorder};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder};

use super::catalogue::{self, Kind, Metric, QUANTILES};
use super::labels::escaped;

/// Quantiles are those of so many spans of this length.
const SPAN: Duration = Duration::from_secs(300);
const SPANS: NonZeroU32 = NonZeroU32::new(2).unwrap();

/// What goes with every metric that is registered; our own recorders look at none of it.
const METADATA: Metadata<'static> = Metadata::new(module_path!(), Level::INFO, None);

/// Labels and their values.
pub type Labels<'label> = [(&'static str, &'label str)];

/// A recorder of our own, which knows the catalogue; not the global one, so that each service, and each
/// test, has its figures to itself.
#[derive(Debug)]
pub(super) struct Recording {
    recorder: PrometheusRecorder,
    handle: PrometheusHandle,
}

impl Recording {
    pub(super) fn new() -> Self {
        let recorder = builder().expect("the catalogue's bounds and our spans are not empty");
        let recorder = recorder.set_bucket_count(SPANS).build_recorder();
        for Metric { name, kind, help, .. } in catalogue::ALL {
            match kind {
                Kind::Counter => recorder.describe_counter((*name).into(), None, (*help).into()),
                Kind::Gauge => recorder.describe_gauge((*name).into(), None, (*help).into()),
                Kind::Histogram(_) | Kind::Summary => {
                    recorder.describe_histogram((*name).into(), None, (*help).into());
                }
            }
        }
        Self { handle: recorder.handle(), recorder }
    }

    pub(super) fn counter(&self, name: &'static str, labels: &Labels) -> Counter {
        self.recorder.register_counter(&key(name, labels), &METADATA)
    }

    pub(super) fn gauge(&self, name: &'static str, labels: &Labels) -> Gauge {
        self.recorder.register_gauge(&key(name, labels), &METADATA)
    }

    pub(super) fn histogram(&self, name: &'static str, labels: &Labels) -> Histogram {
        self.recorder.register_histogram(&key(name, labels), &METADATA)
    }

    /// Sorts samples into their buckets.
    pub(super) fn tidy(&self) {
        self.handle.run_upkeep();
    }

    pub(super) fn render(&self) -> String {
        self.handle.render()
    }
}

fn builder() -> Result<PrometheusBuilder, metrics_exporter_prometheus::BuildError> {
    let builder = PrometheusBuilder::new().set_quantiles(&QUANTILES)?.set_bucket_duration(SPAN)?;
    catalogue::ALL.iter().try_fold(builder, |builder, Metric { name, kind, .. }| match kind {
        Kind::Histogram(bounds) => builder.set_buckets_for_metric(Matcher::Full((*name).to_owned()), bounds),
        Kind::Counter | Kind::Gauge | Kind::Summary => Ok(builder),
    })
}

fn key(name: &'static str, labels: &Labels) -> Key {
    let labels: Vec<Label> = labels.iter().map(|(name, value)| Label::new(*name, escaped(value))).collect();
    Key::from_parts(name, labels)
}

/// The figures that are true at one moment. Made anew for each scrape, so that nothing is left in it of
/// what is no longer configured.
#[derive(Debug)]
pub struct Moment {
    recording: Recording,
    /// Counters that are no whole numbers, which the exporter does not know.
    fractions: Vec<(&'static str, f64)>,
}

impl Default for Moment {
    fn default() -> Self {
        Self { recording: Recording::new(), fractions: Vec::new() }
    }
}

impl Moment {
    /// A gauge stands at this value.
    pub fn gauge(&self, name: &'static str, labels: &Labels, value: f64) {
        self.recording.gauge(name, labels).set(value);
    }

    /// A gauge counts so many things.
    pub fn count(&self, name: &'static str, count: usize) {
        self.gauge(name, &[], count as f64);
    }

    /// A gauge stands at 1 or 0.
    pub fn is(&self, name: &'static str, labels: &Labels, is_so: bool) {
        self.gauge(name, labels, f64::from(u8::from(is_so)));
    }

    /// A counter has come to this value.
    pub fn counter(&self, name: &'static str, labels: &Labels, value: u64) {
        self.recording.counter(name, labels).absolute(value);
    }

    /// A counter without labels has come to this value, which is no whole number.
    pub fn fraction(&mut self, name: &'static str, value: f64) {
        self.fractions.push((name, value));
    }

    pub(super) fn render(&self) -> String {
        let mut text = self.recording.render();
        for (name, value) in &self.fractions {
            if let Some(metric) = catalogue::ALL.iter().find(|metric| metric.name == *name) {
                let (kind, help) = (metric.kind.as_str(), metric.help);
                text += &format!("# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}\n\n");
            }
        }
        text
    }
}
