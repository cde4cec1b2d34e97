//! How the service is.

use crate::bus::Link;
use crate::bus::wire::Identity;
use crate::health::{Component, Snapshot, State};
use crate::metrics::moment::Moment;

pub(super) fn tell(moment: &Moment, identity: &Identity, snapshot: &Snapshot, link: &Link) {
    let uptime = snapshot.at.elapsed.saturating_sub(identity.started.elapsed);
    moment.gauge("llm_uptime_seconds", &[], uptime.as_secs_f64());
    let (level, status) = match snapshot.state {
        State::Healthy => (0.0, 1.0),
        State::Degraded => (1.0, 0.5),
        State::Failing => (2.0, 0.0),
    };
    moment.gauge("llm_health_state", &[], level);
    moment.gauge("llm_service_status", &[], status);
    for to in [State::Healthy, State::Degraded, State::Failing] {
        let into = snapshot.transitions.iter().filter(|((_, into), _)| *into == to);
        let times = into.map(|(_, times)| times).sum();
        moment.counter("llm_health_transitions_total", &[("to", to.as_str())], times);
    }
    for health in &snapshot.components {
        let name = health.component.as_str();
        moment.is("llm_component_healthy", &[("component", name)], health.unhealthy.is_none());
    }
    moment.is("llm_other_instances", &[], snapshot.unhealthy(Component::Instances).is_some());
    moment.is("llm_nats_connected", &[], snapshot.nats_connected);
    moment.is("llm_link_up", &[], snapshot.nats_connected);
    moment.counter("llm_link_reconnects_total", &[], link.connection.saturating_sub(1));
    moment.gauge("llm_build_info", &[("version", &identity.version)], 1.0);
    let alerts = snapshot.alerts;
    moment.counter("llm_alerts_total", &[("event", "alert")], alerts.alerts);
    moment.counter("llm_alerts_total", &[("event", "alert_end")], alerts.ends);
    moment.counter("llm_alerts_undelivered_total", &[], alerts.undelivered);
    moment.count("llm_rooms_paused", snapshot.paused.len());
}
