//! Secrets come from three places, and are shown nowhere.

use std::fs;

use secrecy::{ExposeSecret, SecretString};
use serde_json::json;

use super::super::testing::{make_pipe, problems, text};
use super::super::{Config, load};

fn exposed(secret: &Option<SecretString>) -> Option<&str> {
    secret.as_ref().map(ExposeSecret::expose_secret)
}

fn load_in(credentials: &std::path::Path, over: serde_json::Value) -> super::super::Loaded {
    let folder = credentials.to_str().unwrap().to_owned();
    let environment = move |name: &str| (name == "CREDENTIALS_DIRECTORY").then(|| folder.clone());
    load(&text(over), &environment).unwrap_or_else(|problems| panic!("{problems:?}"))
}

#[test]
fn req_009_secrets_are_read_from_files_and_systemds_credentials() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    for name in ["api", "password", "token", "bearer", "hook", "seed.nk"] {
        fs::write(path(name), format!("{name}-secret\r\n")).unwrap();
    }
    let loaded = load_in(
        folder.path(),
        json!({
            "nats": {"password_file": path("password"), "token_file": "token", "nkey_seed_file": "seed.nk"},
            "llm_providers": {"local": {"api_key_file": "api"}},
            "metrics": {"token_file": "bearer"},
            "alerts": {"webhook_token_file": "hook"},
        }),
    );
    assert_eq!(loaded.warnings, []);
    let Config { nats, llm_providers, metrics, alerts, .. } = loaded.config;
    assert_eq!(exposed(&nats.password), Some("password-secret"));
    assert_eq!(exposed(&nats.token), Some("token-secret"));
    assert_eq!(nats.nkey_seed_file, Some(folder.path().join("seed.nk")));
    assert_eq!(exposed(&llm_providers[0].api_key), Some("api-secret"));
    assert_eq!(exposed(&metrics.token), Some("bearer-secret"));
    assert_eq!(exposed(&alerts.webhook_token), Some("hook-secret"));
}

#[test]
fn a_file_wins_over_the_text_beside_it_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("key"), "from-file").unwrap();
    let over = json!({"llm_providers": {"local": {"api_key": "from-text", "api_key_file": "key"}}});
    let loaded = load_in(folder.path(), over);
    assert_eq!(exposed(&loaded.config.llm_providers[0].api_key), Some("from-file"));
    assert_eq!(loaded.warnings.len(), 1);
    assert_eq!(loaded.warnings[0].place, "llm_providers.local.api_key");
}

#[test]
fn a_file_that_holds_no_secret_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    fs::write(path("empty"), "\n").unwrap();
    fs::write(path("large"), "x".repeat(70_000)).unwrap();
    fs::write(path("binary"), b"\xff\xfe").unwrap();
    make_pipe(&folder.path().join("pipe"));
    fs::write(path("two words"), "two words\n").unwrap();
    for (name, found) in [
        ("empty", "an empty file"),
        ("two words", "a file with another text"),
        ("large", "a file larger than"),
        ("binary", "a file that can't be read"),
        ("absent", "a file that can't be read"),
        ("", "a file that can't be read (it is no regular file)"),
        ("pipe", "a file that can't be read (it is no regular file)"),
    ] {
        let problems = problems(json!({"metrics": {"token_file": path(name)}}));
        assert_eq!(problems.len(), 1, "{name}");
        assert!(problems[0].found.starts_with(found), "{}", problems[0]);
    }
}

/// A file with a secret in every place that can hold one.
fn secretive() -> serde_json::Value {
    json!({
        "nats": {
            "servers": ["nats://SECRET:SECRET@a:4222", "SECRET@b", "tls://SECRET:p@SECRET@c", "nats://SECRET/SECRET@d"],
            "password": "SECRET", "token": "SECRET",
        },
        "llm_providers": {"local": {
            "api_key": "SECRET", "base_url": "http://SECRET:SECRET@a/v1",
            "custom_headers": {"X-Key": "SECRET", "Authorization": "Bearer SECRET"},
        }},
        "metrics": {"token": "SECRET"},
        "alerts": {"webhook_url": "https://hooks.example/SECRET"},
    })
}

#[test]
fn req_009_no_secret_is_shown() {
    let loaded = load(&text(secretive()), &|_| None).unwrap();
    assert_eq!(loaded.config.nats.servers[0], "nats://SECRET:SECRET@a:4222");
    let shown = format!("{loaded:?}");
    assert!(!shown.contains("SECRET"), "{shown}");
    for masked in
        ["nats.password", "nats.token", "llm_providers.local.api_key", "metrics.token", "alerts.webhook_url"]
    {
        let field = loaded.effective.iter().find(|field| field.place == masked);
        assert_eq!(field.map(|field| field.value.as_str()), Some("****"), "{masked}");
    }
}

#[test]
fn req_009_no_problem_shows_a_secret() {
    for over in [
        json!({"nats": {"password": 424242, "token": [424242], "servers": ["http://424242"]}}),
        json!({"llm_providers": {"local": {"api_key": 424242, "custom_headers": {"A": 424242}}}}),
        json!({"llm_providers": {"local": {"api_key": {"a": "424242"}, "base_url": "424242"}}}),
        json!({"llm_providers": {"local": {"custom_headers": {"A": "42\n4242424242"}}}}),
        json!({"metrics": {"token": 424242}, "alerts": {"webhook_url": 424242}}),
    ] {
        let problems = problems(over);
        assert!(!problems.is_empty());
        assert!(!format!("{problems:?}").contains("424242"), "{problems:?}");
    }
}
