//! The heartbeats (REQ-002) and the farewell (REQ-007): health as it is.

use std::borrow::Cow;
use std::time::Duration;

use serde::{Serialize, Serializer};

use super::announce::{About, Metadata, metadata};
use super::base::{Base, Identity, bytes, rounded};
use crate::clock::iso;
use crate::health::{ComponentHealth, ProviderHealth, Snapshot, State, shortened};

/// The longest text about a component in a heartbeat, in bytes (REQ-010).
const COMPONENT_MESSAGE_BYTES: usize = 60;

/// What a heartbeat says besides the snapshot.
#[derive(Debug, Clone)]
pub struct Beat {
    /// Whether rate limits hold and the decider answers.
    pub rate_limiter_active: bool,
    /// Whether spam detection is on and the decider answers.
    pub spam_detector_active: bool,
    /// What proves that we work.
    pub proof: Proof,
}

/// How fast we answered ourselves just before a beat; what did not answer is left out.
#[derive(Debug, Clone, Copy, Default)]
pub struct Proof {
    /// How long the decider took to answer.
    pub decider: Option<Duration>,
    /// The link's latest round trip.
    pub link: Option<Duration>,
}

#[derive(Serialize)]
struct Heartbeat<'a> {
    #[serde(flatten)]
    base: Base<'a>,
    health: State,
    #[serde(skip_serializing_if = "Option::is_none")]
    health_reason: Option<&'a str>,
    health_since: String,
    status: Status<'a>,
}

#[derive(Serialize)]
struct Status<'a> {
    nats_connected: bool,
    #[serde(serialize_with = "provider_statuses")]
    llm_providers: &'a [ProviderHealth],
    rate_limiter_active: bool,
    spam_detector_active: bool,
    messages_processed: u64,
    responses_sent: u64,
    errors: u64,
    errors_last_5min: u64,
    errors_last_hour: u64,
    error_rate: f64,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    paused: &'a [String],
    proof: Milliseconds,
    #[serde(serialize_with = "components")]
    components: &'a [ComponentHealth],
}

#[derive(Serialize)]
struct Milliseconds {
    #[serde(skip_serializing_if = "Option::is_none")]
    decider_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    link_ms: Option<f64>,
}

/// The beat on [`crate::bus::subjects::heartbeat`] (REQ-002).
pub fn heartbeat(identity: &Identity, snapshot: &Snapshot, beat: &Beat) -> Vec<u8> {
    let milliseconds = |duration: Duration| rounded(duration.as_secs_f64() * 1000.0, 1);
    bytes(&Heartbeat {
        base: Base::new(identity, snapshot.at),
        health: snapshot.state,
        health_reason: snapshot.reason.as_deref(),
        health_since: iso(snapshot.since),
        status: Status {
            nats_connected: snapshot.nats_connected,
            llm_providers: &snapshot.providers,
            rate_limiter_active: beat.rate_limiter_active,
            spam_detector_active: beat.spam_detector_active,
            messages_processed: snapshot.messages_processed,
            responses_sent: snapshot.responses_sent,
            errors: snapshot.errors,
            errors_last_5min: snapshot.errors_last_5min,
            errors_last_hour: snapshot.errors_last_hour,
            error_rate: rounded(snapshot.error_rate, 4),
            paused: &snapshot.paused,
            proof: Milliseconds {
                decider_ms: beat.proof.decider.map(milliseconds),
                link_ms: beat.proof.link.map(milliseconds),
            },
            components: &snapshot.components,
        },
    })
}

#[derive(Serialize)]
struct LifecycleHeartbeat<'a> {
    #[serde(flatten)]
    base: Base<'a>,
    health: State,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<Metadata<'a>>,
}

/// The beat on [`crate::bus::subjects::lifecycle_heartbeat`], which registries read.
pub fn lifecycle_heartbeat(identity: &Identity, about: &About, snapshot: &Snapshot) -> Vec<u8> {
    bytes(&LifecycleHeartbeat {
        base: Base::new(identity, snapshot.at),
        health: snapshot.state,
        metadata: metadata(&about.endpoints),
    })
}

#[derive(Serialize)]
struct Shutdown<'a> {
    #[serde(flatten)]
    base: Base<'a>,
    event: &'static str,
    reason: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    initiator: Option<&'a str>,
    messages_processed: u64,
    responses_sent: u64,
    metrics: FinalFigures,
}

#[derive(Serialize)]
struct FinalFigures {
    messages_processed: u64,
    responses_sent: u64,
    errors: u64,
    uptime_seconds: f64,
    replies_abandoned: u64,
    replies_in_doubt: u64,
}

/// The farewell on [`crate::bus::subjects::lifecycle_shutdown`] (REQ-007). `initiator`: who
/// ordered a group restart, when it is one and says so (REQ-008).
pub fn shutdown(identity: &Identity, snapshot: &Snapshot, reason: &str, initiator: Option<&str>) -> Vec<u8> {
    let base = Base::new(identity, snapshot.at);
    let metrics = FinalFigures {
        messages_processed: snapshot.messages_processed,
        responses_sent: snapshot.responses_sent,
        errors: snapshot.errors,
        uptime_seconds: base.uptime_seconds,
        replies_abandoned: snapshot.ledger.abandoned + snapshot.ledger.in_flight,
        replies_in_doubt: snapshot.ledger.in_doubt,
    };
    bytes(&Shutdown {
        base,
        event: "shutdown",
        reason,
        initiator,
        messages_processed: snapshot.messages_processed,
        responses_sent: snapshot.responses_sent,
        metrics,
    })
}

fn provider_statuses<S: Serializer>(providers: &&[ProviderHealth], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(providers.iter().map(|provider| (provider.name.as_str(), provider.status)))
}

fn components<S: Serializer>(components: &&[ComponentHealth], serializer: S) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct Entry<'a> {
        healthy: bool,
        #[serde(skip_serializing_if = "Option::is_none")]
        message: Option<Cow<'a, str>>,
    }
    serializer.collect_map(components.iter().map(|ComponentHealth { component, unhealthy }| {
        let message = unhealthy.as_deref().map(|message| shortened(message, COMPONENT_MESSAGE_BYTES));
        (component.as_str(), Entry { healthy: message.is_none(), message })
    }))
}
