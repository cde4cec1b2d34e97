use proptest::prelude::*;
use serde_json::json;

use super::*;

fn chat(event: serde_json::Value) -> ChatMessage {
    match parse("chatmsg", event.to_string().as_bytes()).expect("well-formed").event {
        ChatEvent::Chat(message) => message,
        event => panic!("not a chat message: {event:?}"),
    }
}

#[test]
fn a_chat_message_as_the_robot_sends_it() {
    let message = chat(json!({
        "event_name": "chatMsg", "channel": "Movies", "domain": "cytu.be",
        "timestamp": "2026-11-24T05:00:00.250000+00:00", "correlation_id": "abc-1",
        "payload": {"username": "Bob", "msg": "<b>hi</b> &amp; bye", "meta": {}, "time": 1764000000123u64}
    }));
    assert_eq!(message.user.as_str(), "Bob");
    assert_eq!(message.text, "hi & bye");
    assert_eq!(message.posted.map(|time| time.timestamp_millis()), Some(1_764_000_000_123));
    assert_eq!(message.time(), message.posted);
    assert_eq!(message.correlation_id.as_deref(), Some("abc-1"));
    assert_eq!(message.rank, None);
    assert!(!message.is_shadow_muted);
}

#[test]
fn fields_have_second_places_in_this_order() {
    for (payload, user, text, rank) in [
        (
            json!({"user": {"name": "a", "rank": 3}, "username": "b", "msg": "m", "message": "n", "rank": 1}),
            "a",
            "m",
            Some(3.0),
        ),
        (json!({"username": "b", "message": "n", "rank": 1.5, "meta": {"rank": 2}}), "b", "n", Some(1.5)),
        (json!({"username": "b", "message": "n", "meta": {"rank": 2}}), "b", "n", Some(2.0)),
        (json!({"user": null, "username": 7, "msg": ["x"], "rank": "high", "meta": 3}), "", "", None),
        (json!({"user": {}, "username": " b ", "msg": null, "message": "n"}), "b", "n", None),
        (json!({}), "", "", None),
    ] {
        let message = chat(json!({"payload": payload}));
        assert_eq!((message.user.as_str(), &*message.text, message.rank), (user, text, rank), "{payload}");
    }
}

#[test]
fn a_time_of_nothing_or_nonsense_falls_back_to_the_envelope() {
    for time in ["0", "-5", "0.5", "1e300", "9223372036854775807", "\"soon\"", "null", "{}"] {
        let event = format!("{{\"timestamp\":\"2026-11-24T05:00:00Z\",\"payload\":{{\"time\":{time}}}}}");
        let Ok(RoomEvent { event: ChatEvent::Chat(message), .. }) = parse("chatmsg", event.as_bytes()) else {
            panic!("{time}");
        };
        assert_eq!(message.posted, None, "{time}");
        assert_eq!(message.time().map(|time| time.timestamp()), Some(1_795_496_400), "{time}");
    }
}

#[test]
fn an_envelope_time_is_read_with_and_without_an_offset() {
    for (timestamp, seconds) in [
        ("2026-11-24T05:00:00+00:00", Some(1_795_496_400)),
        ("2026-11-24T07:00:00.5+02:00", Some(1_795_496_400)),
        ("2026-11-24T05:00:00.123456", Some(1_795_496_400)),
        ("yesterday", None),
        ("", None),
    ] {
        let message = chat(json!({"timestamp": timestamp, "payload": {}}));
        assert_eq!(message.relayed.map(|time| time.timestamp()), seconds, "{timestamp}");
    }
}

#[test]
fn only_what_has_no_payload_is_malformed() {
    for (bytes, kind) in [
        (&b""[..], Malformed::NotAnObject),
        (b"\xff\xfe", Malformed::NotAnObject),
        (b"{\"payload\":{}", Malformed::NotAnObject),
        (b"[{\"payload\":{}}]", Malformed::NotAnObject),
        (b"\"text\"", Malformed::NotAnObject),
        (b"{}", Malformed::MissingPayload),
        (b"{\"payload\":null}", Malformed::PayloadNotAnObject),
        (b"{\"payload\":[1]}", Malformed::PayloadNotAnObject),
        (b"{\"payload\":\"x\"}", Malformed::PayloadNotAnObject),
    ] {
        assert_eq!(parse("chatmsg", bytes), Err(kind), "{}", String::from_utf8_lossy(bytes));
    }
    assert_eq!(parse("chatmsg", "[".repeat(60_000).as_bytes()), Err(Malformed::NotAnObject));
}

#[test]
fn of_a_key_that_comes_twice_the_last_counts() {
    let Ok(RoomEvent { event: ChatEvent::Chat(message), .. }) =
        parse("chatmsg", br#"{"payload":{"msg":"a","msg":"b","\u006dsg":"c"}}"#)
    else {
        panic!("well-formed");
    };
    assert_eq!(message.text, "c");
}

#[test]
fn a_shadow_muted_line_and_the_domain_are_told() {
    let event = br#"{"domain":"cytu.be","payload":{"meta":{"shadow":true}}}"#;
    let parsed = parse("chatmsg", event).expect("well-formed");
    assert_eq!(parsed.domain.as_deref(), Some("cytu.be"));
    assert!(matches!(parsed.event, ChatEvent::Chat(message) if message.is_shadow_muted));
}

#[test]
fn a_strange_correlation_id_counts_as_absent() {
    for id in ["", "a\r\nb: c", "é", &"x".repeat(129)] {
        assert_eq!(chat(json!({"correlation_id": id, "payload": {}})).correlation_id, None, "{id}");
    }
}

#[test]
fn other_kinds_are_taken_and_say_nothing() {
    assert_eq!(parse("usercount", b"{\"payload\":{}}").map(|parsed| parsed.event), Ok(ChatEvent::Other));
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = parse("chatmsg", &bytes);
    }

    #[test]
    fn no_payload_makes_it_panic(payload in "[\\[\\]{}\":,a-z0-9eE.+\\-\\\\u]{0,80}") {
        let _ = parse("chatmsg", format!("{{\"payload\":{{\"username\":\"a\",\"msg\":{payload}}}}}").as_bytes());
    }
}
