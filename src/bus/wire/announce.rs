//! The announcements (REQ-001): who we are, what we can do, where we are reached.

use std::time::Duration;

use serde::{Serialize, Serializer};

use super::base::{Base, Identity, bytes, rounded};
use crate::clock::Moment;
use crate::names::{ProviderName, RoomName};

/// What an announcement says of us.
#[derive(Debug, Clone)]
pub struct About {
    /// The character's name.
    pub personality: String,
    /// The providers, in the order of the configuration.
    pub providers: Vec<Model>,
    /// How many triggers are loaded.
    pub triggers_loaded: usize,
    /// The rooms we are in.
    pub channels: Vec<RoomName>,
    /// What we can do, a word each.
    pub features: Vec<&'static str>,
    /// The time between two heartbeats, in seconds.
    pub heartbeat_interval_seconds: u64,
    /// Where others reach our HTTP server; `None` when they can't.
    pub endpoints: Option<Endpoints>,
}

/// A provider, as announced: no key, no URL.
#[derive(Debug, Clone, Serialize)]
pub struct Model {
    /// The provider's name.
    #[serde(serialize_with = "provider_name")]
    pub name: ProviderName,
    /// The model that it is asked for.
    pub model: String,
}

/// Where others reach our HTTP server.
#[derive(Debug, Clone, Serialize)]
pub struct Endpoints {
    /// The health snapshot.
    pub health: Endpoint,
    /// The metrics, where there are any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metrics: Option<Endpoint>,
}

/// One address on our HTTP server. Registries put our host name before it.
#[derive(Debug, Clone, Serialize)]
pub struct Endpoint {
    /// Another host than ours, where others reach us only there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// The port.
    pub port: u16,
    /// The path, with its leading slash.
    pub path: String,
}

/// Why an announcement is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Occasion {
    /// We are ready for the first time.
    Start,
    /// Somebody asked.
    Asked,
    /// The link is back after having been away so long.
    LinkBack(Duration),
}

#[derive(Serialize)]
pub(super) struct Metadata<'a> {
    endpoints: &'a Endpoints,
}

pub(super) fn metadata(endpoints: &Option<Endpoints>) -> Option<Metadata<'_>> {
    endpoints.as_ref().map(|endpoints| Metadata { endpoints })
}

/// How an announcement says what it is made for.
#[derive(Serialize)]
struct Again {
    #[serde(skip_serializing_if = "Option::is_none")]
    re_announcement: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    outage_seconds: Option<f64>,
}

impl From<Occasion> for Again {
    fn from(occasion: Occasion) -> Self {
        let outage = match occasion {
            Occasion::LinkBack(outage) => Some(rounded(outage.as_secs_f64(), 3)),
            Occasion::Start | Occasion::Asked => None,
        };
        Self { re_announcement: (occasion != Occasion::Start).then_some(true), outage_seconds: outage }
    }
}

#[derive(Serialize)]
struct Discovery<'a> {
    #[serde(flatten)]
    base: Base<'a>,
    event: &'static str,
    features: &'a [&'static str],
    providers_configured: usize,
    providers: &'a [Model],
    triggers_loaded: usize,
    personality: &'a str,
    #[serde(serialize_with = "rooms")]
    channels: &'a [RoomName],
    heartbeat_interval_seconds: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<Metadata<'a>>,
    #[serde(flatten)]
    again: Again,
}

/// The announcement on [`crate::bus::subjects::DISCOVERY`] (REQ-001).
pub fn discovery(identity: &Identity, about: &About, now: Moment, occasion: Occasion) -> Vec<u8> {
    bytes(&Discovery {
        base: Base::new(identity, now),
        event: "discovery",
        features: &about.features,
        providers_configured: about.providers.len(),
        providers: &about.providers,
        triggers_loaded: about.triggers_loaded,
        personality: &about.personality,
        channels: &about.channels,
        heartbeat_interval_seconds: about.heartbeat_interval_seconds,
        metadata: metadata(&about.endpoints),
        again: occasion.into(),
    })
}

#[derive(Serialize)]
struct Startup<'a> {
    #[serde(flatten)]
    base: Base<'a>,
    event: &'static str,
    personality: &'a str,
    providers_configured: usize,
    triggers_loaded: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<Metadata<'a>>,
    #[serde(flatten)]
    again: Again,
}

/// The announcement on [`crate::bus::subjects::lifecycle_startup`], which registries read
/// (REQ-001).
pub fn startup(identity: &Identity, about: &About, now: Moment, occasion: Occasion) -> Vec<u8> {
    bytes(&Startup {
        base: Base::new(identity, now),
        event: "startup",
        personality: &about.personality,
        providers_configured: about.providers.len(),
        triggers_loaded: about.triggers_loaded,
        metadata: metadata(&about.endpoints),
        again: occasion.into(),
    })
}

fn provider_name<S: Serializer>(name: &ProviderName, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(name.as_str())
}

fn rooms<S: Serializer>(rooms: &&[RoomName], serializer: S) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct Entry<'a> {
        domain: &'a str,
        channel: &'a str,
    }
    serializer.collect_seq(rooms.iter().map(|room| Entry { domain: room.domain(), channel: room.channel() }))
}
