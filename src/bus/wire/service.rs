//! What any service says of itself, as far as whoever watches it wants to know.

use serde_json::{Map, Value};

use super::receive::{id, object, one_line, text};
use crate::health::State;

/// The longest text that is kept of a service, in bytes: why it is unwell.
pub const LONGEST_TEXT_BYTES: usize = 200;
/// The longest name that is kept: of a host, a version, a provider, a status.
const NAME_BYTES: usize = 64;
/// The most providers of one service that are kept.
const MOST_PROVIDERS: usize = 16;

/// A beat, a start or a farewell of some service. Everything may be absent.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ServiceReport {
    /// Which run of which process.
    pub instance_id: Option<String>,
    /// On which host.
    pub hostname: Option<String>,
    /// Of which version.
    pub version: Option<String>,
    /// How it says it is. A word that nobody knows counts as degraded.
    pub health: Option<State>,
    /// Why it is not healthy, or why it stopped.
    pub reason: Option<String>,
    /// Its providers with their status, in its order.
    pub providers: Vec<(String, String)>,
}

impl ServiceReport {
    /// Reads whatever there is.
    pub fn parse(body: &[u8]) -> Self {
        let mut fields = object(body).unwrap_or_default();
        let mut line = |key: &str, bytes| {
            let line = text(&mut fields, key).map(|text| one_line(&text, bytes));
            line.filter(|line| !line.is_empty())
        };
        let word = line("health", NAME_BYTES);
        let mut reason = line("health_reason", LONGEST_TEXT_BYTES).or(line("reason", LONGEST_TEXT_BYTES));
        let health = word.map(|word| {
            state(&word).unwrap_or_else(|| {
                reason.get_or_insert(format!("calls itself {word:?}"));
                State::Degraded
            })
        });
        let (hostname, version) = (line("hostname", NAME_BYTES), line("version", NAME_BYTES));
        Self {
            instance_id: id(&mut fields, "instance_id"),
            hostname,
            version,
            health,
            reason,
            providers: providers(&fields).unwrap_or_default(),
        }
    }
}

fn state(word: &str) -> Option<State> {
    [State::Healthy, State::Degraded, State::Failing].into_iter().find(|state| state.as_str() == word)
}

fn providers(fields: &Map<String, Value>) -> Option<Vec<(String, String)>> {
    let providers = fields.get("status")?.get("llm_providers")?.as_object()?;
    let providers = providers.iter().filter_map(|(name, status)| {
        Some((one_line(name, NAME_BYTES), one_line(status.as_str()?, NAME_BYTES)))
    });
    Some(providers.take(MOST_PROVIDERS).collect())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn our_own_beat_is_read_whole() {
        let report = ServiceReport::parse(include_bytes!("../../../tests/golden/heartbeat_degraded.json"));
        assert_eq!(report.instance_id.as_deref(), Some("7f9c24e8-3b12-4c5d-9a6f-0d1e2f3a4b5c"));
        assert_eq!(report.hostname.as_deref(), Some("vera.example.org"));
        assert_eq!(report.version.as_deref(), Some("1.2.3"));
        assert_eq!(report.health, Some(State::Degraded));
        assert_eq!(report.reason.as_deref(), Some("error rate 66.7 % over 5 minutes"));
        let status = |name: &str, status: &str| (name.to_owned(), status.to_owned());
        assert_eq!(report.providers, [status("local", "failed"), status("openrouter", "ok")]);
        let bye = ServiceReport::parse(include_bytes!("../../../tests/golden/shutdown.json"));
        assert_eq!((bye.health, bye.reason.as_deref()), (None, Some("SIGTERM")));
    }

    #[test]
    fn what_is_not_there_or_of_another_kind_is_absent() {
        for body in [json!(null), json!([]), json!({"health": 5, "hostname": null, "status": []})] {
            assert_eq!(ServiceReport::parse(body.to_string().as_bytes()), ServiceReport::default());
        }
    }

    #[test]
    fn a_word_that_nobody_knows_is_no_good_health() {
        let report = ServiceReport::parse(br#"{"health": "so la la"}"#);
        assert_eq!(
            (report.health, report.reason.as_deref()),
            (Some(State::Degraded), Some("calls itself \"so la la\""))
        );
    }

    proptest! {
        #[test]
        fn whatever_is_said_little_of_it_is_kept(
            text in "\\PC*", names in proptest::collection::vec("\\PC{0,200}", 0..40)
        ) {
            let long = text.repeat(20);
            let providers: Map<String, Value> = names.into_iter().map(|name| (name, json!(long))).collect();
            let body = json!({"health": long, "reason": long, "hostname": long, "version": long,
                "instance_id": long, "status": {"llm_providers": providers}});
            let report = ServiceReport::parse(body.to_string().as_bytes());
            let kept = report.reason.iter().chain(&report.hostname).chain(&report.version)
                .chain(&report.instance_id).chain(report.providers.iter().flat_map(|(name, status)| [name, status]));
            for text in kept {
                // A quoted word may grow by its escapes.
                prop_assert!(text.len() <= 10 * LONGEST_TEXT_BYTES, "{text}");
                prop_assert!(!text.chars().any(char::is_control));
            }
            prop_assert!(report.providers.len() <= MOST_PROVIDERS);
        }
    }
}
