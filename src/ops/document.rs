//! The health snapshot as a JSON document.

use serde_json::{Map, Value, json};

use crate::bus::wire::{Identity, rounded};
use crate::clock::iso;
use crate::config::Config;
use crate::health::{ComponentHealth, ProviderStatus, Snapshot};
use crate::outcome::Reason;

/// What the configuration says, as far as it is shown.
#[derive(Debug, Clone)]
pub struct Facts {
    /// The character's name.
    pub personality: String,
    /// The provider that is asked first.
    pub default_provider: String,
    /// Whether nothing is sent to chat.
    pub dry_run: bool,
    /// How many triggers are loaded.
    pub triggers_configured: usize,
    /// How many contexts are remembered.
    pub context_log_size: usize,
}

impl Facts {
    /// What is in force.
    pub fn of(config: &Config, context_log_size: usize) -> Self {
        Self {
            personality: config.personality.character_name.clone(),
            default_provider: config.default_provider.to_string(),
            dry_run: config.testing.dry_run,
            triggers_configured: config.triggers.len(),
            context_log_size,
        }
    }
}

/// The document: every key that there has ever been, and what came later.
pub(super) fn health(identity: &Identity, facts: &Facts, snapshot: &Snapshot) -> Value {
    let uptime = snapshot.at.elapsed.saturating_sub(identity.started.elapsed);
    let mut document = json!({
        "service": identity.service,
        "status": snapshot.state,
        "reason": snapshot.reason,
        "since": iso(snapshot.since),
        "version": identity.version,
        "hostname": identity.hostname,
        "instance_id": identity.instance_id,
        "timestamp": iso(snapshot.at.wall),
        "uptime_seconds": rounded(uptime.as_secs_f64(), 3),
        "nats_connected": snapshot.nats_connected,
        "personality": facts.personality,
        "default_provider": facts.default_provider,
        "dry_run": facts.dry_run,
        "messages_processed": snapshot.messages_processed,
        "responses_sent": snapshot.responses_sent,
        "errors_count": snapshot.errors,
        "errors_last_5min": snapshot.errors_last_5min,
        "errors_last_hour": snapshot.errors_last_hour,
        "error_rate": rounded(snapshot.error_rate, 4),
        "providers_configured": snapshot.providers.len(),
        "providers_ok": snapshot.providers_with(ProviderStatus::Ok),
        "providers_failed": snapshot.providers_with(ProviderStatus::Failed),
        "llm_providers": providers(snapshot),
        "trigger_fires": snapshot.ledger.fired,
        "rate_limit_hits": snapshot.silences(Reason::is_rate_limit),
        "spam_detected": snapshot.silences(|reason| reason == Reason::Spam),
        "validation_failures": snapshot.silences(Reason::is_rejection),
        "media_changes": snapshot.media_changes,
        "unique_users": snapshot.unique_users,
        "triggers_configured": facts.triggers_configured,
        "context_log_size": facts.context_log_size,
        "paused": snapshot.paused,
        "components": components(snapshot),
        "conditions_dropped": snapshot.conditions_dropped,
        "ledger": snapshot.ledger,
        "lines": snapshot.lines,
        "ignored": snapshot.ignored,
        "malformed": snapshot.malformed,
        "changes_dropped": snapshot.changes_dropped,
    });
    if let (None, Some(fields)) = (&snapshot.reason, document.as_object_mut()) {
        fields.shift_remove("reason");
    }
    document
}

fn providers(snapshot: &Snapshot) -> Map<String, Value> {
    let entry = |name: &str, status: ProviderStatus| (name.to_owned(), json!(status));
    snapshot.providers.iter().map(|provider| entry(provider.name.as_str(), provider.status)).collect()
}

fn components(snapshot: &Snapshot) -> Map<String, Value> {
    let entry = |health: &ComponentHealth| {
        let state = match &health.unhealthy {
            None => json!({"healthy": true}),
            Some(message) => json!({"healthy": false, "message": message}),
        };
        (health.component.as_str().to_owned(), state)
    };
    snapshot.components.iter().map(entry).collect()
}
