//! All that there is to see of the service now, as one JSON document. No I/O.

use std::cmp::Reverse;
use std::time::Duration;

use serde_json::{Value, json};

use super::commands::{documents, pauses};
use super::document::Facts;
use crate::bus::wire::{Identity, rounded};
use crate::chat::pause::Pause;
use crate::chat::rate_limits::InUse;
use crate::chat::spend::SpendInUse;
use crate::clock::{Moment, iso};
use crate::config::Config;
use crate::group::ServiceRow;
use crate::health::{ComponentHealth, Snapshot};
use crate::names::RoomName;

/// What is said instead of what only the decider knows.
const NO_ANSWER: &str = "no answer";

/// Keys whose values change by themselves as time goes on.
const CLOCKS: [&str; 6] =
    ["at", "uptime_seconds", "link_ms", "frees_in_seconds", "seconds_left", "beat_age_seconds"];

/// What the document is made of: all of it as of the snapshot's moment.
pub(super) struct Seen<'seen> {
    /// Who we are.
    pub identity: &'seen Identity,
    /// What is in force.
    pub config: &'seen Config,
    /// What of that is shown.
    pub facts: &'seen Facts,
    /// How we are.
    pub snapshot: &'seen Snapshot,
    /// The latest round trip to the bus, while the link is up.
    pub round_trip: Option<Duration>,
    /// The rooms and their pauses.
    pub rooms: Vec<(RoomName, Pause)>,
    /// The providers, as `providers.list` shows them.
    pub providers: Value,
    /// Every service on the bus that was heard of; it is shown the worst first.
    pub services: Vec<ServiceRow>,
    /// The rate limits; none when the decider doesn't answer.
    pub limits: Option<Vec<InUse>>,
    /// The limits on what the providers cost.
    pub spend: Vec<SpendInUse>,
    /// Messages that wait to be decided on.
    pub queued_messages: usize,
    /// Lines that wait to be said.
    pub queued_lines: usize,
}

/// The document. Keys without a value are left out.
pub(super) fn document(seen: &Seen<'_>) -> Value {
    let Seen { identity, config, facts, snapshot, .. } = seen;
    let uptime = snapshot.at.elapsed.saturating_sub(identity.started.elapsed);
    let mut document = json!({
        "at": iso(snapshot.at.wall),
        "service": identity.service,
        "version": identity.version,
        "instance_id": identity.instance_id,
        "hostname": identity.hostname,
        "uptime_seconds": rounded(uptime.as_secs_f64(), 3),
        "personality": facts.personality,
        "dry_run": facts.dry_run,
        "health": {
            "state": snapshot.state,
            "reason": snapshot.reason,
            "since": iso(snapshot.since),
        },
        "nats_connected": snapshot.nats_connected,
        "link_ms": seen.round_trip.map(|time| rounded(time.as_secs_f64() * 1000.0, 3)),
        "components": snapshot.components.iter().map(component).collect::<Vec<_>>(),
        "rooms": seen.rooms.iter().map(|(name, pause)| room(snapshot.at, name, *pause)).collect::<Vec<_>>(),
        "providers": seen.providers,
        "limits": seen.limits.as_ref().map(|limits| limits.iter().map(limit).collect::<Vec<_>>()),
        "decider": seen.limits.is_none().then_some(NO_ANSWER),
        "spend": seen.spend.iter().map(spend).collect::<Vec<_>>(),
        "figures": {
            "messages_processed": snapshot.messages_processed,
            "responses_sent": snapshot.responses_sent,
            "errors": snapshot.errors,
            "errors_last_5min": snapshot.errors_last_5min,
            "errors_last_hour": snapshot.errors_last_hour,
            "error_rate": rounded(snapshot.error_rate, 4),
            "in_flight": snapshot.ledger.in_flight,
            "queued_messages": seen.queued_messages,
            "queued_lines": seen.queued_lines,
        },
        "services": worst_first(&seen.services).into_iter().map(service).collect::<Vec<_>>(),
        "history": {
            "enabled": config.history.enabled,
            "retention_days": config.history.retention.as_secs() / (24 * 60 * 60),
        },
    });
    leave_out(&mut document, &|_, value| value.is_null());
    document
}

/// The document without what changes by itself as time goes on.
pub(super) fn without_clocks(mut document: Value) -> Value {
    leave_out(&mut document, &|key, _| CLOCKS.contains(&key));
    document
}

/// Takes members out of all objects in a value.
fn leave_out(value: &mut Value, goes: &impl Fn(&str, &Value) -> bool) {
    match value {
        Value::Object(fields) => {
            fields.retain(|key, value| !goes(key, value));
            fields.values_mut().for_each(|value| leave_out(value, goes));
        }
        Value::Array(items) => items.iter_mut().for_each(|item| leave_out(item, goes)),
        _ => {}
    }
}

fn component(health: &ComponentHealth) -> Value {
    json!({
        "name": health.component.as_str(),
        "healthy": health.unhealthy.is_none(),
        "message": health.unhealthy,
        "critical": health.component.is_critical(),
    })
}

fn room(now: Moment, name: &RoomName, pause: Pause) -> Value {
    let is_on = pause.is_on(now);
    let until = pauses::until(now, pause).filter(|_| is_on);
    json!({
        "channel": name.channel(),
        "domain": name.domain(),
        "paused": is_on,
        "paused_until": until.map(iso),
    })
}

fn limit(limit: &InUse) -> Value {
    json!({
        "name": limit.limit.as_str(),
        "trigger": limit.trigger.as_deref(),
        "users": limit.users,
        "used": limit.used,
        "max": limit.max,
        "frees_in_seconds": limit.frees_in.map(|wait| rounded(wait.as_secs_f64(), 1)),
    })
}

fn spend(spend: &SpendInUse) -> Value {
    json!({
        "name": spend.name,
        "used": documents::number(rounded(spend.used, 6)),
        "max": documents::number(spend.max),
        "soft": spend.soft,
        "frees_in_seconds": spend.frees_in.map(|wait| rounded(wait.as_secs_f64(), 1)),
    })
}

/// Services that are equally well keep their order.
fn worst_first(services: &[ServiceRow]) -> Vec<&ServiceRow> {
    let mut sorted: Vec<&ServiceRow> = services.iter().collect();
    sorted.sort_by_key(|service| Reverse(service.row.standing));
    sorted
}

fn service(ServiceRow { row, is_us }: &ServiceRow) -> Value {
    json!({
        "service": row.service,
        "standing": row.standing.as_str(),
        "beat_age_seconds": row.beat_age.map(|age| rounded(age.as_secs_f64(), 1)),
        "version": row.report.version,
        "hostname": row.report.hostname,
        "reason": row.report.reason,
        "instance_id": row.report.instance_id,
        "is_us": is_us,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bus::wire::ServiceReport;
    use crate::group::{Row, Standing};

    #[test]
    fn the_worst_service_comes_first_and_equals_keep_their_order() {
        let services = [
            ("alerts", Standing::Healthy),
            ("economy", Standing::Announced),
            ("films", Standing::Failing),
            ("llm", Standing::Healthy),
            ("robot", Standing::Missing),
        ]
        .map(|(service, standing)| {
            let (service, report) = (service.to_owned(), ServiceReport::default());
            ServiceRow {
                row: Row { service, standing, beat_age: None, report, is_expected: false },
                is_us: false,
            }
        });
        let names: Vec<&str> = worst_first(&services).iter().map(|service| &*service.row.service).collect();
        assert_eq!(names, ["robot", "films", "economy", "alerts", "llm"]);
    }
}
