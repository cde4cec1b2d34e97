use proptest::prelude::*;
use serde_json::json;

use super::*;

fn read(request: &Value) -> Result<(&'static str, Command), BadRequest> {
    parse(request.to_string().as_bytes(), "llm-two")
}

fn command(request: Value) -> Command {
    read(&request).unwrap_or_else(|bad| panic!("{request}: {bad:?}")).1
}

fn error(request: Value) -> String {
    read(&request).expect_err("a bad request").error
}

fn fields(value: Value) -> Map<String, Value> {
    value.as_object().cloned().expect("an object")
}

#[test]
fn every_command_is_read() {
    let bob = || Username::new("bob");
    let style = || fields(json!({"response_style": "dry"}));
    for (request, expected) in [
        (json!({"command": "system.ping"}), Command::Ping),
        (json!({"command": "system.health", "args": null}), Command::Health),
        (json!({"command": "system.reload"}), Command::Reload),
        (json!({"command": "context.recent"}), Command::RecentContexts(10)),
        (json!({"command": "context.recent", "limit": 51}), Command::RecentContexts(50)),
        (json!({"command": "context.recent", "limit": "5"}), Command::RecentContexts(5)),
        (json!({"command": "context.recent", "limit": " 5.0 "}), Command::RecentContexts(5)),
        (json!({"command": "context.recent", "limit": 5.0}), Command::RecentContexts(5)),
        (json!({"command": "context.get", "index": 0}), Command::Context(WhichContext::Index(0))),
        (
            json!({"command": "context.get", "args": {"correlation_id": "a"}}),
            Command::Context(WhichContext::CorrelationId("a".into())),
        ),
        (json!({"command": "personality.get"}), Command::Personality),
        (json!({"command": "triggers.list"}), Command::Triggers),
        (json!({"command": "rate_limits.get"}), Command::RateLimits),
        (json!({"command": "providers.list"}), Command::Providers),
        (
            json!({"command": "personality.update", "response_style": "dry", "source": "panel"}),
            Command::Change(Change::Personality(style())),
        ),
        (
            json!({"command": "personality.update", "args": {"response_style": "dry"}}),
            Command::Change(Change::Personality(style())),
        ),
        (
            json!({"command": "personality.update", "args": {}, "response_style": "dry"}),
            Command::Change(Change::Personality(style())),
        ),
        (
            json!({"command": "triggers.update", "args": {"name": "x"}, "response_style": "dry"}),
            Command::Change(Change::Trigger("x".into(), style())),
        ),
        (
            json!({"command": "triggers.update", "name": "x", "fields": {"response_style": "dry"}}),
            Command::Change(Change::Trigger("x".into(), style())),
        ),
        (
            json!({"command": "triggers.update", "args": {"name": "x", "response_style": "dry"}}),
            Command::Change(Change::Trigger("x".into(), style())),
        ),
        (
            json!({"command": "triggers.update", "name": "x", "response_style": "dry", "request_id": 1}),
            Command::Change(Change::Trigger("x".into(), style())),
        ),
        (
            json!({"command": "triggers.toggle", "name": " x "}),
            Command::Change(Change::ToggleTrigger("x".into())),
        ),
        (
            json!({"command": "rate_limits.update", "user_max_per_hour": 3}),
            Command::Change(Change::RateLimits(fields(json!({"user_max_per_hour": 3})))),
        ),
        (json!({"command": "rate_limits.reset"}), Command::ResetRateLimits(None)),
        (json!({"command": "rate_limits.reset", "user": "BOB"}), Command::ResetRateLimits(Some(bob()))),
        (json!({"command": "spam.pardon", "user": "bob"}), Command::Pardon(bob())),
        (json!({"command": "chat.pause"}), Command::Pause { channel: None, duration: None }),
        (
            json!({"command": "chat.pause", "args": {"channel": "Lounge", "duration_seconds": 1.5}}),
            Command::Pause { channel: Some("Lounge".into()), duration: Some(Duration::from_millis(1_500)) },
        ),
        (json!({"command": "chat.resume"}), Command::Resume { channel: None }),
        (
            json!({"command": "decisions.recent", "user": "bob", "limit": 10_000}),
            Command::Decisions { user: Some(bob()), channel: None, limit: 500 },
        ),
        (json!({"command": "forget.user", "username": "bob"}), Command::ForgetUser(bob())),
        (json!({"command": "inspect.user", "username": "bob"}), Command::InspectUser(bob())),
    ] {
        assert_eq!(command(request.clone()), expected, "{request}");
    }
}

#[test]
fn a_request_may_name_us_in_several_ways() {
    for service in [json!(null), json!("llm"), json!("LLM"), json!("system"), json!("llm-two")] {
        let request = json!({"command": "system.ping", "service": service});
        assert_eq!(command(request.clone()), Command::Ping, "{request}");
    }
    for service in [json!("robot"), json!(7), json!("")] {
        let error = error(json!({"command": "system.ping", "service": service}));
        assert!(error.starts_with("Command intended for '"), "{error}");
        assert!(error.ends_with("', not 'llm'"), "{error}");
    }
}

#[test]
fn what_is_wrong_is_said_as_ever() {
    for payload in [&b""[..], b"{", b"[]", b"\"system.ping\"", b"\xff"] {
        let expected = BadRequest { command: None, error: "Invalid JSON".to_owned() };
        assert_eq!(parse(payload, "llm"), Err(expected));
    }
    for (request, expected) in [
        (json!({}), "Missing 'command' field"),
        (json!({"command": 7}), "Missing 'command' field"),
        (json!({"command": ""}), "Missing 'command' field"),
        (json!({"command": "system.halt"}), "Unknown command: system.halt; there are: system.ping, "),
        (json!({"command": "triggers.toggle"}), "Missing required field: name"),
        (json!({"command": "triggers.toggle", "name": null}), "Missing required field: name"),
        (json!({"command": "triggers.toggle", "name": 5}), "name: must be a text"),
        (json!({"command": "triggers.update", "fields": {}}), "Missing required field: name"),
        (json!({"command": "triggers.toggle", "name": " "}), "Missing required field: name"),
        (json!({"command": "spam.pardon", "user": ""}), "Missing required field: user"),
        (json!({"command": "rate_limits.reset", "user": ""}), "user: must be a text"),
        (json!({"command": "context.recent", "limit": 5.5}), "limit: must be"),
        (json!({"command": "context.recent", "limit": -1.0}), "limit: must be"),
        (json!({"command": "context.recent", "limit": "NaN"}), "limit: must be"),
        (json!({"command": "context.recent", "limit": true}), "limit: must be"),
        (json!({"command": "spam.pardon"}), "Missing required field: user"),
        (json!({"command": "forget.user", "user": "bob"}), "Missing required field: username"),
        (json!({"command": "context.get"}), "Missing required field: correlation_id or index"),
        (json!({"command": "context.get", "index": -1}), "index: must be"),
        (json!({"command": "context.recent", "limit": 0}), "limit: must be"),
        (json!({"command": "context.recent", "limit": "ten"}), "limit: must be"),
        (json!({"command": "chat.pause", "duration_seconds": 0}), "duration_seconds: must be"),
        (json!({"command": "chat.pause", "duration_seconds": 1e300}), "duration_seconds: must be"),
        (json!({"command": "chat.pause", "channel": ["a"]}), "channel: must be"),
    ] {
        let error = error(request.clone());
        assert!(error.starts_with(expected), "{request}: {error}");
    }
}

#[test]
fn reading_changes_nothing_and_every_other_command_does() {
    let reading = [
        "system.ping",
        "system.health",
        "context.recent",
        "context.get",
        "personality.get",
        "triggers.list",
        "rate_limits.get",
        "providers.list",
        "decisions.recent",
        "inspect.user",
    ];
    for name in NAMES {
        let request = json!({
            "command": name, "name": "x", "user": "x", "username": "x", "index": 1, "probability": 1
        });
        assert_eq!(command(request).changes(), !reading.contains(&name), "{name}");
    }
}

proptest! {
    #[test]
    fn whatever_is_asked_the_answer_is_short_and_there_is_no_panic(
        name in prop_oneof![prop::sample::select(NAMES.to_vec()).prop_map(str::to_owned), any::<String>()],
        key in prop::sample::select(vec!["name", "user", "channel", "limit", "index", "duration_seconds", "args", "fields"]),
        value in prop_oneof![
            any::<String>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            Just(json!({"name": ["x"], "fields": 7})),
        ],
        payload in prop::collection::vec(any::<u8>(), 0..100),
    ) {
        let _ = parse(&payload, "llm");
        if let Err(bad) = read(&json!({"command": name, key: value})) {
            prop_assert!(bad.error.chars().count() < 600, "{}", bad.error);
            prop_assert!(!bad.error.contains(|character: char| character.is_control()), "{:?}", bad.error);
        }
    }
}
