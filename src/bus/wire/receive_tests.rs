//! What we read of others, in good and in bad shape.

use std::time::Duration;

use proptest::prelude::*;
use serde_json::json;

use super::*;

#[test]
fn the_robot_names_a_room_or_none() {
    let named = RobotLifecycle::parse(
        br#"{"service": "robot", "target": "CyTube", "domain": "cytu.be", "channel": "MovieNight", "reason": "x"}"#,
    );
    assert!(named.is_about_cytube());
    assert_eq!(named.domain.as_deref(), Some("cytu.be"));
    assert_eq!(named.channel.as_deref(), Some("MovieNight"));
    assert_eq!(named.reason.as_deref(), Some("x"));
    let nats = RobotLifecycle::parse(br#"{"target": "NATS", "servers": ["nats://x"], "channel": 7}"#);
    assert!(!nats.is_about_cytube());
    assert_eq!(nats.channel, None);
    for body in ["", "[1]", "null", "\"CyTube\"", "\u{0}"] {
        assert_eq!(RobotLifecycle::parse(body.as_bytes()), RobotLifecycle::default(), "{body}");
    }
}

#[test]
fn a_foreign_beat_is_known_by_its_instance() {
    let beat = ForeignBeat::parse(br#"{"instance_id": "abc", "hostname": "elsewhere", "health": 3}"#);
    assert_eq!(beat.instance_id.as_deref(), Some("abc"));
    assert_eq!(beat.hostname.as_deref(), Some("elsewhere"));
    assert_eq!(ForeignBeat::parse(br#"{"instance_id": 1}"#), ForeignBeat::default());
    let (id, host) = ("i".repeat(129), "h\n".repeat(500));
    let long = ForeignBeat::parse(json!({"instance_id": id, "hostname": host}).to_string().as_bytes());
    assert_eq!(long, ForeignBeat { instance_id: None, hostname: Some("h ".repeat(32)) });
    assert_eq!(ForeignBeat::parse(b"nonsense"), ForeignBeat::default());
}

#[test]
fn req_008_a_delay_from_0_to_3600_is_honoured() {
    for (delay, expected) in [
        ("0", 0),
        ("-0.0", 0),
        ("0.1", 100),
        ("5", 5_000),
        ("12.5", 12_500),
        ("1e2", 100_000),
        ("3600", 3_600_000),
        ("3600.0", 3_600_000),
    ] {
        let restart = GroupRestart::parse(format!(r#"{{"delay_seconds": {delay}}}"#).as_bytes());
        assert_eq!(restart.delay, Duration::from_millis(expected), "{delay}");
        assert_eq!(restart.warning, None, "{delay}");
    }
}

#[test]
fn req_008_any_other_delay_is_five_seconds_with_a_warning() {
    for (body, wrong) in [
        ("", "the body is not a JSON object"),
        ("nonsense", "the body is not a JSON object"),
        ("null", "the body is not a JSON object"),
        ("5", "the body is not a JSON object"),
        ("[{\"delay_seconds\": 1}]", "the body is not a JSON object"),
        (r#"{"delay_seconds": 1e999}"#, "the body is not a JSON object"),
        (r#"{"delay_seconds": NaN}"#, "the body is not a JSON object"),
        ("{}", "delay_seconds is absent"),
        (r#"{"delay_seconds": -0.001}"#, "delay_seconds is -0.001, which is not from 0 to 3600"),
        (r#"{"delay_seconds": 3600.001}"#, "delay_seconds is 3600.001, which is not from 0 to 3600"),
        (r#"{"delay_seconds": 1e300}"#, "delay_seconds is 1e+300, which is not from 0 to 3600"),
        (
            r#"{"delay_seconds": 18446744073709551615}"#,
            "delay_seconds is 18446744073709551615, which is not from 0 to 3600",
        ),
        (r#"{"delay_seconds": null}"#, "delay_seconds is null, not a number"),
        (r#"{"delay_seconds": true}"#, "delay_seconds is true or false, not a number"),
        (r#"{"delay_seconds": "30"}"#, "delay_seconds is a text, not a number"),
        (r#"{"delay_seconds": [30]}"#, "delay_seconds is a list, not a number"),
        (r#"{"delay_seconds": {}}"#, "delay_seconds is an object, not a number"),
    ] {
        let restart = GroupRestart::parse(body.as_bytes());
        assert_eq!(restart.delay, Duration::from_secs(5), "{body}");
        assert_eq!(restart.warning, Some(format!("{wrong}; waiting 5 seconds")), "{body}");
    }
}

#[test]
fn req_008_the_reason_is_one_line_of_bounded_length() {
    for (body, initiator, reason) in [
        (r#"{"initiator": "ops", "reason": "new build"}"#, Some("ops"), "new build"),
        ("{}", None, "no reason given"),
        (r#"{"initiator": 1, "reason": "  "}"#, None, "no reason given"),
        (r#"{"reason": "a\nb"}"#, None, "a b"),
    ] {
        let restart = GroupRestart::parse(body.as_bytes());
        assert_eq!(restart.initiator.as_deref(), initiator, "{body}");
        assert_eq!(restart.reason, reason, "{body}");
    }
    let long = GroupRestart::parse(format!(r#"{{"reason": "{}"}}"#, "é".repeat(5000)).as_bytes());
    assert_eq!(long.reason.len(), 200);
}

proptest! {
    #[test]
    fn no_body_is_too_strange_to_be_read(body in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = RobotLifecycle::parse(&body);
        let _ = ForeignBeat::parse(&body);
        prop_assert!(GroupRestart::parse(&body).delay <= Duration::from_secs(3600));
    }

    #[test]
    fn no_value_is_too_strange_to_be_read(
        key in "(target|instance_id|delay_seconds|reason)",
        value in r#"(-?[0-9]{1,400}(\.[0-9]{1,9})?(e-?[0-9]{1,4})?|"[^"\\]{0,40}"|\[\]|\{\}|null|true)"#,
    ) {
        let body = format!("{{\"{key}\": {value}}}").into_bytes();
        let _ = RobotLifecycle::parse(&body);
        let _ = ForeignBeat::parse(&body);
        prop_assert!(GroupRestart::parse(&body).delay <= Duration::from_secs(3600));
    }
}
