//! Everything that stops loading is told at once, one line each (REQ-009).

use serde_json::{Value, json};

use super::super::testing::{problems, text};
use super::super::{load, load_file};
use super::{lines, places};

#[test]
fn req_009_five_kinds_of_mistakes_are_five_lines() {
    let file = r#"{
        "nats": {"servers": ["nats://127.0.0.1:4222"]},
        "channels": [{"domain": "cytu.be", "channel": "MovieNight"}],
        "llm_providers": {
            "alpha": {"type": "openai_compatible", "base_url": "http://127.0.0.1:1/v1", "max_tokens": 5000}
        },
        "default_provider": "beta",
        "personality": "friendly",
        "triggers": [{"name": "noir", "regex": ["film", "(noir"]}]
    }"#;
    let problems = load(file, &|_| None).unwrap_err();
    let mut places = places(&problems);
    places.sort_unstable();
    assert_eq!(
        places,
        [
            "default_provider",
            "llm_providers.alpha.max_tokens",
            "llm_providers.alpha.model",
            "personality",
            "triggers[0].regex[1]",
        ]
    );
    let mut lines = lines(&problems);
    lines.sort_unstable();
    for (line, part) in lines.iter().zip([
        "a text that is no provider's name; allowed: one of alpha; ",
        "the number 5000; allowed: a whole number, 1 to 4096; change it, or remove it for the default (256)",
        "missing; allowed: a text such as \"gpt-4o-mini\"; add it",
        "a text; allowed: an object; ",
        "a text that is no regular expression (",
    ]) {
        assert!(line.contains(part), "{line}");
    }
}

/// What a file says, and where the only problem is.
fn one_problem_each() -> Vec<(Value, &'static str, &'static str)> {
    vec![
        (json!({"nats": null}), "nats", "null"),
        (json!({"nats": {"servers": null}}), "nats.servers", "null"),
        (json!({"nats": {"servers": []}}), "nats.servers", "an empty list"),
        (json!({"nats": {"servers": "nats://a"}}), "nats.servers", "a text"),
        (json!({"nats": {"servers": [""]}}), "nats.servers[0]", "an empty text"),
        (json!({"nats": {"servers": ["http://a"]}}), "nats.servers[0]", "a text"),
        (json!({"nats": {"servers": ["nats://a:70000"]}}), "nats.servers[0]", "a text"),
        (json!({"nats": {"servers": ["a:4222", 5]}}), "nats.servers[1]", "a number"),
        (json!({"nats": {"user": 5}}), "nats.user", "a number"),
        (json!({"nats": {"tls_cert": "cert.pem"}}), "nats.tls_key", "missing"),
        (json!({"nats": {"tls_key": "key.pem"}}), "nats.tls_cert", "missing"),
        (json!({"nats": {"password_file": "/nowhere"}}), "nats.password_file", "a file that can't be read"),
        (json!({"channels": []}), "channels", "an empty list"),
        (json!({"channels": null}), "channels", "null"),
        (json!({"channels": ["MovieNight"]}), "channels[0]", "a text"),
        (json!({"channels": [{"domain": "cytu.be"}]}), "channels[0].channel", "missing"),
        (json!({"channels": [{"domain": " ", "channel": "a"}]}), "channels[0].domain", "an empty text"),
        (json!({"channels": [{"domain": "a", "channel": 5}]}), "channels[0].channel", "a number"),
        (json!({"channels": [{"domain": "a", "channel": "!!"}]}), "channels[0].channel", "a text of special"),
        (json!({"llm_providers": []}), "llm_providers", "an empty list"),
        (json!({"llm_providers": {"local": null}}), "llm_providers.local", "null"),
        (json!({"llm_providers": {"local": {"type": null}}}), "llm_providers.local.type", "null"),
        (json!({"llm_providers": {"local": {"base_url": "a"}}}), "llm_providers.local.base_url", "a text"),
        (json!({"llm_providers": {"local": {"base_url": 5}}}), "llm_providers.local.base_url", "a number"),
        (json!({"llm_providers": {"local": {"api_key": 5}}}), "llm_providers.local.api_key", "a number"),
        (json!({"llm_providers": {"local": {"max_tokens": null}}}), "llm_providers.local.max_tokens", "null"),
        (
            json!({"llm_providers": {"local": {"max_tokens": "a"}}}),
            "llm_providers.local.max_tokens",
            "a text",
        ),
        (
            json!({"llm_providers": {"local": {"max_tokens_field": "x"}}}),
            "llm_providers.local.max_tokens_field",
            "a text",
        ),
        (
            json!({"llm_providers": {"local": {"custom_headers": {"X-A": 5}}}}),
            "llm_providers.local.custom_headers.X-A",
            "a number",
        ),
        (
            json!({"llm_providers": {"local": {"custom_headers": {"X A": "a"}}}}),
            "llm_providers.local.custom_headers[\"X A\"]",
            "a name that no header can have",
        ),
        (
            json!({"llm_providers": {"local": {"custom_headers": {"X-A": "a\nb"}}}}),
            "llm_providers.local.custom_headers.X-A",
            "a text with characters that no header can have",
        ),
        (
            json!({"llm_providers": {"local": {"extra_body": []}}}),
            "llm_providers.local.extra_body",
            "an empty list",
        ),
        (
            json!({"llm_providers": {"local": {"price": {"input_per_million": 1}}}}),
            "llm_providers.local.price.output_per_million",
            "missing",
        ),
        (json!({"llm_providers": {"a.b": {}}, "default_provider": 5}), "default_provider", "a number"),
        (json!({"default_provider": "nobody"}), "default_provider", "a text that is no provider's name"),
        (json!({"default_provider_priority": [5]}), "default_provider_priority[0]", "a number"),
        (json!({"triggers": {}}), "triggers", "an object"),
        (json!({"triggers": [{}]}), "triggers[0].name", "missing"),
        (json!({"triggers": [{"name": "a"}, {"name": "a"}]}), "triggers[1].name", "a name that another"),
        (json!({"triggers": [{"name": "a", "patterns": "b"}]}), "triggers[0].patterns", "a text"),
        (json!({"triggers": [{"name": "a", "patterns": ["b", 5]}]}), "triggers[0].patterns[1]", "a number"),
        (
            json!({"triggers": [{"name": "a", "regex": ["[", "b"]}]}),
            "triggers[0].regex[0]",
            "a text that is no",
        ),
        (
            json!({"formatting": {"artifact_patterns": ["*"]}}),
            "formatting.artifact_patterns[0]",
            "a text that is",
        ),
        (
            json!({"validation": {"check_inappropriate": true, "inappropriate_patterns": ["("]}}),
            "validation.inappropriate_patterns[0]",
            "a text that is no regular expression",
        ),
        (
            json!({"formatting": {"continuation_indicator": ".".repeat(200)}}),
            "formatting.continuation_indicator",
            "a text that is too long",
        ),
        (json!({"context": {"providers": {}}}), "context.providers", "an object"),
        (json!({"context": {"providers": ["video"]}}), "context.providers[0]", "a text"),
        (
            json!({"spam_detection": {"message_windows": [{"seconds": 5}]}}),
            "spam_detection.message_windows[0].max_messages",
            "missing",
        ),
        (json!({"testing": {"dry_run": "maybe"}}), "testing.dry_run", "a text"),
        (json!({"testing": {"log_file": ""}}), "testing.log_file", "an empty text"),
        (json!({"log_level": null}), "log_level", "null"),
        (json!({"retry_attempts": "often"}), "retry_attempts", "a text"),
        (
            json!({"message_processing": {"filter_emoji": []}}),
            "message_processing.filter_emoji",
            "an empty list",
        ),
        (json!({"metrics": {"host": "[::1]"}}), "metrics.host", "a text"),
        (json!({"metrics": {"host": "127.0.0.1:80"}}), "metrics.host", "a text"),
        (json!({"metrics": {"host": " "}}), "metrics.host", "an empty text"),
        (json!({"metrics": {"token": ""}}), "metrics.token", "an empty text"),
        (json!({"metrics": {"token": "  "}}), "metrics.token", "an empty text"),
        (json!({"metrics": {"token": "t\u{f6}ken"}}), "metrics.token", "a text"),
        (json!({"metrics": {"token": "to ken"}}), "metrics.token", "a text"),
        (json!({"metrics": {"port": 65536}}), "metrics.port", "the number 65536"),
        (json!({"metrics": {"port": 1e30}}), "metrics.port", "a number too large"),
        (json!({"metrics": {"port": 30.5}}), "metrics.port", "the number 30.5"),
        (json!({"metrics": {"health_path": "health"}}), "metrics.health_path", "a text"),
        (json!({"metrics": {"health_path": "/livez"}}), "metrics.health_path", "a text"),
        (json!({"metrics": {"health_path": "/api/status"}}), "metrics.health_path", "a text"),
        (json!({"metrics": {"metrics_path": "/dashboard.css"}}), "metrics.metrics_path", "a text"),
        (json!({"metrics": {"metrics_path": "/"}}), "metrics.metrics_path", "a text"),
        (json!({"metrics": {"metrics_path": "/{all}"}}), "metrics.metrics_path", "a text"),
        (json!({"metrics": {"metrics_path": "/health"}}), "metrics.metrics_path", "the path of health_path"),
        (json!({"metrics": {"advertise": "host"}}), "metrics.advertise", "a text"),
        (json!({"metrics": {"advertise": "host:0"}}), "metrics.advertise", "a text"),
        (json!({"logging": {"format": "xml"}}), "logging.format", "a text"),
        (json!({"history": {"file": "spend.json"}}), "history.file", "a text"),
        (json!({"history": {"file": "history"}}), "history.file", "a text"),
        (json!({"history": {"file": "../history.db"}}), "history.file", "a text"),
        (json!({"history": {"file": "/tmp/history.db"}}), "history.file", "a text"),
        (json!({"history": {"file": "folder/history.db"}}), "history.file", "a text"),
        (json!({"history": {"file": "history.db/"}}), "history.file", "a text"),
        (json!({"history": {"file": ".db"}}), "history.file", "a text"),
        (json!({"alerts": {"webhook_url": "ftp://a"}}), "alerts.webhook_url", "a text"),
        (
            json!({"alerts": {"webhook_token_file": "/nowhere"}}),
            "alerts.webhook_token_file",
            "a file that can't",
        ),
    ]
}

#[test]
fn req_009_each_mistake_is_named_where_it_stands() {
    for (over, place, found) in one_problem_each() {
        let mut over = over;
        if place.starts_with("default_provider") {
            // An entry without anything in it would add its own problems.
            over.as_object_mut().unwrap().remove("llm_providers");
        }
        let problems = problems(over.clone());
        assert_eq!(places(&problems), [place], "{over}");
        assert!(problems[0].found.starts_with(found), "{}", problems[0]);
    }
}

#[test]
fn req_009_names_whose_subjects_belong_to_others_are_refused() {
    for name in ["robot", "group", "system", "service", " Robot ", "SYSTEM!", "ser!vice", "", "!!"] {
        let problems = problems(json!({"service_metadata": {"service_name": name}}));
        assert_eq!(places(&problems), ["service_metadata.service_name"], "{name}");
    }
}

#[test]
fn an_empty_file_misses_what_must_be_there_and_nothing_else() {
    let problems = load("{}", &|_| None).unwrap_err();
    assert_eq!(places(&problems), ["nats.servers", "channels", "llm_providers"]);
    assert!(problems.iter().all(|problem| problem.found == "missing"));
}

#[test]
fn a_section_of_the_wrong_kind_is_one_problem() {
    for section in ["nats", "llm_providers", "channels", "metrics", "spam_detection", "context"] {
        let problems = problems(json!({section: 5}));
        assert_eq!(places(&problems), [section]);
    }
}

#[test]
fn broken_syntax_is_told_with_line_and_column() {
    for (file, place) in [
        ("{\n  \"a\": 1,\n}", "line 3, column 1"),
        ("{\"a\": \"b", "line 1, column 8"),
        ("", "line 1, column 0"),
        ("{\n \"a\": ${A} ${B}\n}", "line 2, column 12"),
        ("{\"a\": 1e999}", "line 1, column 11"),
    ] {
        let problems = load(file, &|_| None).unwrap_err();
        assert_eq!(places(&problems), [place], "{file}");
    }
    assert_eq!(places(&load("[]", &|_| None).unwrap_err()), ["line 1"]);
    assert!(load(&"[".repeat(100_000), &|_| None).is_err());
}

#[test]
fn a_file_that_is_not_there_or_no_text_is_told_in_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let absent = load_file(&folder.path().join("none.json")).unwrap_err().to_string();
    assert!(absent.contains("none.json: the file can't be read: "), "{absent}");
    assert_eq!(absent.lines().count(), 1);

    let path = folder.path().join("config.json");
    std::fs::write(&path, b"{\n\"a\": \"\xff\"}").unwrap();
    let binary = load_file(&path).unwrap_err().to_string();
    assert!(binary.contains("line 2: bytes that are no UTF-8"), "{binary}");

    std::fs::write(&path, text(json!({"log_level": 5, "handler_timeout": 0}))).unwrap();
    let invalid = load_file(&path).unwrap_err().to_string();
    assert_eq!(invalid.lines().count(), 2, "{invalid}");

    std::fs::write(&path, text(json!({}))).unwrap();
    assert!(load_file(&path).is_ok());
}
