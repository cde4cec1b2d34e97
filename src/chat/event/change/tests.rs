use proptest::prelude::*;
use serde_json::json;

use super::super::{ChatEvent, Malformed, RoomEvent, parse};
use super::*;

fn change(kind: &str, payload: &Value) -> Option<RoomChange> {
    let event = json!({"domain": "cytu.be", "payload": payload}).to_string();
    match parse(kind, event.as_bytes()).expect("well-formed") {
        RoomEvent { event: ChatEvent::Room(change), domain } => {
            assert_eq!(domain.as_deref(), Some("cytu.be"));
            Some(change)
        }
        _ => None,
    }
}

fn user(name: &str) -> Username {
    Username::new(name)
}

#[test]
fn a_media_change_as_the_robot_sends_it() {
    let payload = json!({
        "id": "dQw4", "title": " A  Film\n", "seconds": 6000, "duration": "01:40:00", "type": "yt",
        "meta": {}, "currentTime": -3, "paused": false
    });
    let expected = Media {
        title: "A Film".to_owned(),
        duration: Duration::from_secs(6000),
        kind: "yt".to_owned(),
        id: "dQw4".to_owned(),
        uid: None,
        queued_by: None,
        progress: Progress { position: -3.0, is_paused: false },
    };
    assert_eq!(change("changemedia", &payload), Some(RoomChange::Media(expected)));
}

#[test]
fn of_media_only_the_title_is_needed() {
    let bare = Media {
        title: "A".to_owned(),
        duration: Duration::ZERO,
        kind: String::new(),
        id: String::new(),
        uid: None,
        queued_by: None,
        progress: Progress { position: 0.0, is_paused: false },
    };
    for (payload, expected) in [
        (json!({"title": "A"}), Some(bare.clone())),
        (
            json!({"title": "A", "seconds": "x", "type": 7, "id": null, "uid": -1, "queueby": 3}),
            Some(bare.clone()),
        ),
        (json!({"title": "A", "seconds": -5, "queueby": " ", "paused": "yes"}), Some(bare.clone())),
        (
            json!({"title": "A", "seconds": 61.9, "uid": 7, "queueby": "Bob", "paused": true, "currentTime": 5.5}),
            Some(Media {
                duration: Duration::from_secs(61),
                uid: Some(7),
                queued_by: Some("Bob".to_owned()),
                progress: Progress { position: 5.5, is_paused: true },
                ..bare
            }),
        ),
        (json!({"title": "  "}), None),
        (json!({"title": 5, "seconds": 60}), None),
        (json!({}), None),
        (json!([{"title": "A"}]), None),
    ] {
        assert_eq!(change("changemedia", &payload), expected.map(RoomChange::Media), "{payload}");
    }
}

#[test]
fn the_other_changes_are_read_with_what_they_are_about() {
    let visitor = |name: &str, rank, is_away| Visitor { user: user(name), rank, is_away };
    let progress = |position, is_paused| RoomChange::Progress(Progress { position, is_paused });
    for (kind, payload, expected) in [
        ("mediaupdate", json!({"currentTime": 12.5, "paused": true}), Some(progress(12.5, true))),
        ("mediaupdate", json!({"currentTime": 3}), Some(progress(3.0, false))),
        ("mediaupdate", json!({"paused": true}), None),
        (
            "userlist",
            json!([{"name": "Bob", "rank": 2.5, "meta": {"afk": true}}, {"name": ""}, 7, {"name": "ann"}]),
            Some(RoomChange::Users(vec![visitor("bob", 2.5, true), visitor("ann", 0.0, false)])),
        ),
        ("userlist", json!({"name": "bob"}), None),
        (
            "adduser",
            json!({"name": " Bob ", "rank": 1, "meta": 5}),
            Some(RoomChange::Joined(visitor("Bob", 1.0, false))),
        ),
        ("adduser", json!({"rank": 1}), None),
        ("userleave", json!({"name": "Bob"}), Some(RoomChange::Left(user("bob")))),
        ("userleave", json!({"name": null}), None),
        ("setuserrank", json!({"name": "Bob", "rank": 1.5}), Some(RoomChange::Ranked(user("bob"), 1.5))),
        ("setuserrank", json!({"name": "Bob"}), None),
        ("setafk", json!({"name": "Bob", "afk": true}), Some(RoomChange::Away(user("bob"), true))),
        ("setafk", json!({"name": "Bob", "afk": "no"}), None),
        ("usercount", json!({"name": "Bob"}), None),
    ] {
        assert_eq!(change(kind, &payload), expected, "{kind} {payload}");
    }
}

#[test]
fn what_has_no_payload_is_malformed_here_too() {
    for (bytes, kind) in [
        (&b"{"[..], Malformed::NotAnObject),
        (b"[]", Malformed::NotAnObject),
        (b"{}", Malformed::MissingPayload),
        (b"{\"payload\":null}", Malformed::PayloadNotAnObject),
        (b"{\"payload\":\"x\"}", Malformed::PayloadNotAnObject),
    ] {
        assert_eq!(parse("userlist", bytes), Err(kind), "{}", String::from_utf8_lossy(bytes));
    }
    assert_eq!(parse("userlist", "[".repeat(60_000).as_bytes()), Err(Malformed::NotAnObject));
}

#[test]
fn absurd_texts_and_numbers_are_bounded() {
    let media = media(&json!({
        "title": "🎬".repeat(20_000), "type": "y".repeat(20_000), "id": "i".repeat(20_000),
        "queueby": "q".repeat(20_000), "seconds": 1e300
    }));
    let media = media.expect("a title");
    let lengths = [&media.title, &media.kind, &media.id].map(|text| text.chars().count());
    assert_eq!(lengths, [500, 100, 100]);
    assert_eq!(media.queued_by.map(|name| name.len()), Some(100));
    assert_eq!(media.duration.as_secs(), u64::from(u32::MAX));
}

proptest! {
    #[test]
    fn no_payload_makes_it_panic(
        kind in prop::sample::select(vec!["changemedia", "mediaupdate", "userlist", "adduser", "setuserrank", "setafk"]),
        payload in "[\\[\\]{}\":,a-z0-9eE.+\\-\\\\u]{0,80}",
    ) {
        let _ = parse(kind, format!("{{\"payload\":{payload}}}").as_bytes());
        let _ = parse(kind, format!("{{\"payload\":{{\"name\":\"a\",\"title\":\"b\",\"seconds\":{payload}}}}}").as_bytes());
    }
}
