use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::*;
use crate::config::testing::{loaded, text};

fn owner(over: Value) -> Owner {
    Owner::new(loaded(over), Overrules::default())
}

fn fields(value: Value) -> Map<String, Value> {
    value.as_object().cloned().expect("an object")
}

fn places(taken: &Taken) -> Vec<&str> {
    taken.changes.iter().map(|changed| &*changed.place).collect()
}

#[test]
fn a_reload_takes_up_what_can_change_and_names_it() {
    let mut owner = owner(json!({"chat_min_delay": 1.0}));
    let taken = owner.reload(loaded(json!({"chat_min_delay": 2.5, "ignored_users": ["bob"]})));
    let expected = |place: &str, from: &str, to: &str| ChangedValue {
        place: place.to_owned(),
        from: Some(from.to_owned()),
        to: Some(to.to_owned()),
    };
    assert_eq!(
        taken.changes,
        [expected("chat_min_delay", "1", "2.5"), expected("ignored_users", "[]", "[\"bob\"]")]
    );
    assert_eq!((taken.needs_restart.len(), taken.commands_undone), (0, false));
    assert_eq!(owner.config().chat_min_delay.as_secs_f64(), 2.5);
    assert_eq!(
        owner.reload(loaded(json!({"chat_min_delay": 2.5, "ignored_users": ["bob"]}))),
        Taken::default()
    );
}

#[test]
fn what_needs_a_restart_is_named_and_stays() {
    for (over, place) in [
        (json!({"nats": {"connect_timeout": 7}}), "nats.connect_timeout"),
        (json!({"nats": {"password": "another"}}), "nats.password"),
        (json!({"channels": [{"domain": "cytu.be", "channel": "Else"}]}), "channels[0].channel"),
        (json!({"service_metadata": {"service_name": "other"}}), "service_metadata.service_name"),
        (json!({"service_metadata": {"enable_heartbeats": false}}), "service_metadata.enable_heartbeats"),
        (json!({"metrics": {"port": 1234}}), "metrics.port"),
        (json!({"state_dir": "elsewhere"}), "state_dir"),
        (json!({"log_level": "DEBUG"}), "log_level"),
        (json!({"logging": {"format": "json"}}), "logging.format"),
        (json!({"limits": {"max_event_bytes": 5000}}), "limits.max_event_bytes"),
        (json!({"outbox": {"max_lines": 5}}), "outbox.max_lines"),
        (json!({"testing": {"log_file": "other"}}), "testing.log_file"),
        (json!({"templates": {"dir": "other"}}), "templates.dir"),
    ] {
        let mut owner = owner(json!({"nats": {"password": "secret"}}));
        let before = format!("{:?}", owner.config());
        let base = json!({"nats": {"password": "secret"}});
        let mut wanted = base.as_object().cloned().expect("an object");
        for (key, value) in over.as_object().expect("an object") {
            match (wanted.get_mut(key), value) {
                (Some(Value::Object(known)), Value::Object(new)) => known.extend(new.clone()),
                _ => _ = wanted.insert(key.clone(), value.clone()),
            }
        }
        let taken = owner.reload(loaded(wanted.into()));
        assert_eq!((taken.needs_restart, taken.changes), (vec![place.to_owned()], vec![]), "{over}");
        assert_eq!(format!("{:?}", owner.config()), before, "{over}");
    }
}

#[test]
fn a_heartbeat_interval_needs_no_restart() {
    let mut owner = owner(json!({}));
    let taken = owner.reload(loaded(json!({"service_metadata": {"heartbeat_interval_seconds": 5}})));
    assert_eq!(places(&taken), ["service_metadata.heartbeat_interval_seconds"]);
    assert_eq!(owner.config().service.heartbeat_interval.as_secs(), 5);
}

#[test]
fn another_secret_is_a_change_that_is_shown_masked() {
    let with = |key: &str| json!({"llm_providers": {"local": {"api_key": key}}});
    let mut owner = owner(with("first"));
    let taken = owner.reload(loaded(with("second")));
    let masked = Some("****".to_owned());
    let place = "llm_providers.local.api_key".to_owned();
    assert_eq!(taken.changes, [ChangedValue { place, from: masked.clone(), to: masked }]);
    assert_eq!(owner.reload(loaded(with("second"))), Taken::default());
    for body in [json!({"extra_body": {"a": "one!"}}), json!({"custom_headers": {"a": "one!"}})] {
        let taken = owner.reload(loaded(json!({"llm_providers": {"local": body}})));
        assert!(!format!("{taken:?}").contains("one!"), "{taken:?}");
        let mut other = body.clone();
        other.as_object_mut().and_then(|body| body.values_mut().next()).expect("a field")["a"] =
            json!("two!");
        assert_eq!(owner.reload(loaded(json!({"llm_providers": {"local": other}}))).changes.len(), 1);
    }
}

#[test]
fn the_command_line_wins_over_every_reload() {
    let overrules = Overrules { log_level: Some(LogLevel::Error), dry_run: true };
    let mut started = loaded(json!({}));
    overrules.put_over(&mut started);
    let mut owner = Owner::new(started, overrules);
    let taken = owner.reload(loaded(json!({"testing": {"dry_run": false}, "log_level": "DEBUG"})));
    assert_eq!(taken, Taken::default());
    assert!(owner.config().testing.dry_run);
    assert_eq!(owner.config().log_level, LogLevel::Error);
}

#[test]
fn a_command_changes_values_until_the_next_reload() {
    let triggers = json!([{"name": "one", "patterns": ["a"]}, {"name": "two", "patterns": ["b"]}]);
    let mut owner = owner(json!({"triggers": triggers, "rate_limits": {"global_max_per_hour": 7}}));
    let environment = |_: &str| None;
    for (change, place) in [
        (Change::Personality(fields(json!({"response_style": "dry"}))), "personality.response_style"),
        (Change::Trigger("two".into(), fields(json!({"probability": 0.5}))), "triggers[1].probability"),
        (Change::ToggleTrigger("one".into()), "triggers[0].enabled"),
        (
            Change::RateLimits(fields(json!({"global_max_per_minute": 9}))),
            "rate_limits.global_max_per_minute",
        ),
    ] {
        let taken = owner.change(&change, &environment).expect("a change");
        assert_eq!(places(&taken), [place], "{change:?}");
    }
    let config = owner.config();
    assert_eq!(config.personality.response_style, "dry");
    assert_eq!((config.triggers[0].enabled, config.triggers[1].probability), (false, 0.5));
    let limits = &config.rate_limits;
    assert_eq!((limits.global_max_per_minute, limits.global_max_per_hour), (9, 7), "they add up");
    owner.change(&Change::ToggleTrigger("one".into()), &environment).expect("on again");
    assert!(owner.config().triggers[0].enabled);

    let file = loaded(json!({"triggers": triggers, "rate_limits": {"global_max_per_hour": 7}}));
    let taken = owner.reload(file);
    assert!(taken.commands_undone);
    assert_eq!(owner.config().personality.response_style, "short and punchy");
    assert!(!owner.reload(loaded(json!({}))).commands_undone, "said once");
}

#[test]
fn a_change_that_can_not_be_made_changes_nothing_and_says_why() {
    for (change, expected) in [
        (Change::Personality(fields(json!({}))), "No personality fields provided to update"),
        (Change::Trigger("one".into(), fields(json!({}))), "No trigger fields provided to update"),
        (Change::RateLimits(fields(json!({}))), "No rate limit fields provided to update"),
        (Change::Trigger("three".into(), fields(json!({}))), "Trigger not found: three"),
        (Change::ToggleTrigger("three".into()), "Trigger not found: three"),
        (Change::Personality(fields(json!({"character": "x"}))), "Unknown field: character; there are: "),
        (Change::Trigger("one".into(), fields(json!({"name": "x"}))), "Unknown field: name; there are: "),
        (
            Change::RateLimits(fields(json!({"global_max_per_minute": -1}))),
            "rate_limits.global_max_per_minute: ",
        ),
        (Change::RateLimits(fields(json!({"user_max_per_hour": null}))), "rate_limits.user_max_per_hour: "),
        (Change::Trigger("one".into(), fields(json!({"regex": ["("]}))), "triggers[0].regex[0]: "),
        (Change::Trigger("one".into(), fields(json!({"patterns": "a"}))), "triggers[0].patterns: "),
        (
            Change::Personality(fields(json!({"character_name": "a ${SECRET} b"}))),
            "character_name: variables (${NAME}) are only replaced in the file",
        ),
        (Change::Personality(fields(json!({"expertise": ["\u{7f}{SECRET}"]}))), "expertise: variables"),
    ] {
        let mut owner = owner(json!({"triggers": [{"name": "one", "patterns": ["a"]}]}));
        let before = format!("{:?}", owner.config());
        let environment = |name: &str| (name == "SECRET").then(|| "hunter2".to_owned());
        let refused = owner.change(&change, &environment).expect_err("a refusal").to_string();
        assert!(refused.starts_with(expected), "{change:?}: {refused}");
        assert_eq!(format!("{:?}", owner.config()), before);
        assert_eq!(
            owner.reload(loaded(json!({"triggers": [{"name": "one", "patterns": ["a"]}]}))),
            Taken::default()
        );
    }
}

#[test]
fn the_files_variables_are_still_replaced_under_a_change() {
    let environment = |name: &str| (name == "DELAY").then(|| "2.5".to_owned());
    let file = text(json!({"chat_min_delay": "DELAY_HERE"})).replace("\"DELAY_HERE\"", "${DELAY}");
    let mut owner = Owner::new(config::load(&file, &environment).expect("valid"), Overrules::default());
    let style = Change::Personality(fields(json!({"response_style": "costs $5"})));
    owner.change(&style, &environment).expect("a change");
    assert_eq!(owner.config().chat_min_delay.as_secs_f64(), 2.5);
    assert_eq!(owner.config().personality.response_style, "costs $5");
}

#[test]
fn a_change_keeps_the_secrets_of_the_last_load_though_their_files_are_gone() {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, secret: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, secret).expect("written");
        path
    };
    let (key, password) = (write("key", "the key"), write("password", "the password"));
    let file =
        json!({"llm_providers": {"local": {"api_key_file": key}}, "nats": {"password_file": password}});
    let mut owner = owner(file.clone());
    std::fs::remove_file(&key).expect("removed");
    std::fs::remove_file(&password).expect("removed");
    let limits = Change::RateLimits(fields(json!({"global_max_per_minute": 9})));
    let taken = owner.change(&limits, &|_| None).expect("a change");
    assert_eq!(places(&taken), ["rate_limits.global_max_per_minute"]);
    let key = |owner: &Owner| {
        let provider = &owner.config().llm_providers[0];
        assert_eq!(provider.usable, Ok(()));
        provider.api_key.as_ref().map(|key| secrecy::ExposeSecret::expose_secret(key).to_owned())
    };
    assert_eq!(key(&owner).as_deref(), Some("the key"));

    write("key", "another key");
    write("password", "the password");
    let taken = owner.reload(loaded(file));
    assert_eq!(
        places(&taken),
        ["llm_providers.local.api_key_file", "rate_limits.global_max_per_minute"],
        "another secret in the same file"
    );
    assert_eq!(key(&owner).as_deref(), Some("another key"));
    assert!(!format!("{taken:?}").contains("another key"));
}

#[test]
fn five_thousand_triggers_are_compared_at_once() {
    let triggers = |probability: f64| {
        let one = |number: u32| json!({"name": number.to_string(), "probability": probability});
        json!({"triggers": (0..5_000).map(one).collect::<Vec<_>>()})
    };
    let (mut owner, other) = (owner(triggers(0.5)), loaded(triggers(0.25)));
    let begun = std::time::Instant::now();
    let taken = owner.reload(other);
    assert_eq!(taken.changes.len(), 5_000);
    // Comparing each with each took 54 s; this takes a moment, with room for a busy machine.
    assert!(begun.elapsed().as_secs() < 30, "{:?}", begun.elapsed());
}

proptest! {
    #[test]
    fn no_change_by_command_makes_a_panic_or_a_config_that_no_file_could_hold(
        key in prop::sample::select(vec!["character_name", "personality_traits", "name_variations"]),
        value in prop_oneof![
            any::<String>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            prop::collection::vec(any::<String>(), 0..5).prop_map(Value::from),
            Just(Value::Null),
            Just(json!({"a": [1]})),
        ],
    ) {
        let mut owner = owner(json!({}));
        let change = Change::Personality(fields(json!({key: value.clone()})));
        if owner.change(&change, &|_| Some("hunter2".to_owned())).is_ok() {
            let file = text(json!({"personality": {key: value}}));
            prop_assert!(config::load(&file, &|_| None).is_ok(), "{}", file);
            let shown = format!("{:?}", owner.config().personality);
            prop_assert!(!shown.contains("hunter2"), "{}", shown);
        }
    }
}
