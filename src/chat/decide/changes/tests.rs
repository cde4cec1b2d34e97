use serde_json::{Value, json};

use super::*;
use crate::chat::event::change::{Progress, Visitor};
use crate::chat::spend::Near;
use crate::chat::stored;
use crate::chat::testing::{OneRoom, at, media, message};
use crate::chat::triggers::TriggerKind;

fn comments() -> Value {
    json!({"media_change": {"enabled": true, "min_duration_minutes": 10}})
}

fn plays(room: &mut OneRoom, second: f64, title: &str) -> Option<MediaChanged> {
    room.decider.on_event(at(second), &room.room, RoomChange::Media(media(title, 6_000)), &|_| None)
}

fn comment(changed: Option<MediaChanged>) -> Box<ReplyPlan> {
    match changed.expect("a change").decision {
        Some(Decision::Reply(plan)) => plan,
        decision => panic!("no comment: {decision:?}"),
    }
}

fn silence(changed: Option<MediaChanged>) -> Silence {
    match changed.expect("a change").decision {
        Some(Decision::Silence(silence)) => silence,
        decision => panic!("no silence: {decision:?}"),
    }
}

fn title(changed: Option<MediaChanged>) -> Option<String> {
    Some(changed?.memory?.title)
}

#[test]
fn a_new_film_is_commented_on_in_its_room_with_what_the_template_needs() {
    let mut room = OneRoom::new(json!({
        "media_change": {"enabled": true, "chat_context_depth": 2}, "context": {"include_video_context": false}
    }));
    let first = plays(&mut room, 1.0, "A").expect("a change");
    assert!(first.decision.is_none(), "what plays when we come is taken as commented on");
    assert_eq!(first.memory, Some(MediaMemory { title: "A".to_owned(), duration: 6_000 }));
    for (second, text) in [(2.0, "one"), (3.0, "two"), (4.0, "three")] {
        room.silence(second, "ann", text);
    }
    let second = plays(&mut room, 100.0, "B");
    let plan = comment(second);
    assert_eq!((plan.trigger.kind, plan.trigger.priority), (TriggerKind::MediaChange, 5));
    assert_eq!((&plan.room, &plan.user), (&room.room, &None));
    assert_eq!(plan.previous_title.as_deref(), Some("A"));
    assert_eq!(plan.scene.current_media.as_ref().map(|media| &*media.title), Some("B"));
    let history: Vec<&str> = plan.history.iter().map(|line| &*line.text).collect();
    assert_eq!(history, ["two", "three"]);
    assert!(uuid::Uuid::parse_str(&plan.correlation_id).is_ok());
    room.decider.settle(plan.ticket, Some(at(101.0)));
    assert!(plays(&mut room, 120.0, "B").is_none(), "the same media again is no change");
    let again = plays(&mut room, 200.0, "b ").expect("a change");
    assert!(again.decision.is_none() && again.memory.is_none(), "the same title again is no new film");
}

#[test]
fn a_comment_has_no_rate_limits_and_takes_none_from_others() {
    let mut room = OneRoom::new(json!({
        "media_change": {"enabled": true},
        "rate_limits": {"global_cooldown_seconds": 60, "mention_cooldown_seconds": 0}
    }));
    plays(&mut room, 0.0, "A");
    room.answers(1.0, "bob", "vera, one");
    for (second, title) in [(2.0, "B"), (3.0, "C"), (4.0, "D")] {
        let plan = comment(plays(&mut room, second, title));
        room.decider.settle(plan.ticket, Some(at(second)));
    }
    room.answers(61.0, "ann", "vera, two");
}

#[test]
fn pause_and_spend_hold_a_comment_back_by_name() {
    let mut room = OneRoom::new(comments());
    plays(&mut room, 0.0, "A");
    room.decider.pause(at(1.0), &room.room, None);
    let held = plays(&mut room, 2.0, "B");
    assert_eq!(held.as_ref().and_then(|changed| changed.memory.as_ref()).map(|last| &*last.title), Some("B"));
    let held = silence(held);
    assert_eq!(held.reason, Reason::Paused);
    assert_eq!(held.fired.map(|fired| fired.trigger.kind), Some(TriggerKind::MediaChange));
    room.decider.resume(&room.room);
    let near = |user: Option<&Username>| {
        assert_eq!(user, None);
        Some(Near { limit: Reason::SpendCost, percent: 81 })
    };
    let film = RoomChange::Media(media("C", 6_000));
    let held = silence(room.decider.on_event(at(3.0), &room.room, film, &near));
    assert_eq!(
        (held.reason, held.detail.to_string()),
        (Reason::SpendSoft, "81 % of spend_cost is used up".into())
    );
    assert_eq!(comment(plays(&mut room, 4.0, "D")).previous_title.as_deref(), Some("C"));
}

#[test]
fn where_comments_are_off_films_are_followed_but_nothing_is_said_or_written_down() {
    let mut room = OneRoom::new(json!({}));
    for (second, name) in [(0.0, "A"), (1.0, "B")] {
        let changed = plays(&mut room, second, name).expect("a change");
        assert!(changed.memory.is_none() && changed.decision.is_none());
    }
    let plan = room.reply(2.0, "bob", "vera?");
    assert_eq!(plan.scene.current_media.as_ref().map(|media| &*media.title), Some("B"));
}

#[test]
fn what_a_robot_tells_again_when_it_is_back_is_no_change() {
    let mut room = OneRoom::new(comments());
    plays(&mut room, 0.0, "A");
    assert!(plays(&mut room, 60.0, "A").is_some(), "after half a minute it is");
    room.decider.robot_reconnected(at(200.0), &room.room);
    assert!(plays(&mut room, 210.0, "A").is_none());
    assert_eq!(comment(plays(&mut room, 220.0, "B")).previous_title.as_deref(), Some("A"));
}

#[test]
fn rooms_have_films_of_their_own() {
    let mut room = OneRoom::new(comments());
    let other = RoomName::new("cytu.be", "Other").expect("a name");
    plays(&mut room, 0.0, "A");
    let film = |title| RoomChange::Media(media(title, 6_000));
    assert!(
        room.decider.on_event(at(1.0), &other, film("X"), &|_| None).is_some_and(|c| c.decision.is_none())
    );
    let plan = comment(room.decider.on_event(at(2.0), &other, film("A"), &|_| None));
    assert_eq!((&plan.room, plan.previous_title.as_deref()), (&other, Some("X")));
}

fn known() -> StoredState {
    let current = json!({
        "id": "a", "title": "A", "seconds": 6000, "duration": "01:40:00", "type": "yt", "meta": {},
        "currentTime": 90, "paused": false, "uid": 7
    });
    let items = json!([
        {"media": {"id": "a", "title": "A", "seconds": 6000, "type": "yt"}, "uid": 7, "queueby": "bob"},
        {"media": {"id": "b", "title": "B", "seconds": 65, "type": "fi"}, "uid": 8, "queueby": "ann"}
    ]);
    let users =
        json!([{"name": "Bob", "rank": 3, "meta": {"afk": true}}, {"name": "ann", "rank": 1, "meta": {}}]);
    StoredState {
        current: stored::current(current.to_string().as_bytes()).expect("JSON"),
        items: stored::items(items.to_string().as_bytes()).expect("a list"),
        users: Some(stored::users(users.to_string().as_bytes()).expect("a list")),
        memory: None,
    }
}

#[test]
fn what_the_robot_wrote_down_is_known_at_our_start_and_needs_no_comment() {
    let mut room = OneRoom::new(comments());
    let memory = room.decider.load_state(at(0.0), &room.room, known());
    assert_eq!(memory, Some(MediaMemory { title: "A".to_owned(), duration: 6_000 }));
    assert!(plays(&mut room, 60.0, "A").is_some_and(|changed| changed.decision.is_none()));
    let plan = room.reply(61.0, "eve", "vera?");
    let media = plan.scene.current_media.as_ref().expect("something plays");
    assert_eq!((&*media.title, media.queued_by.as_deref()), ("A", Some("bob")));
    let next = plan.scene.next_media.as_ref().expect("something comes next");
    assert_eq!((&*next.title, next.duration.as_secs(), next.queued_by.as_deref()), ("B", 65, Some("ann")));
    assert_eq!(plan.scene.channel_users, 2);
    assert_eq!(plan.scene.active_users, [Username::new("ann")]);
    assert_eq!(comment(plays(&mut room, 100.0, "C")).previous_title.as_deref(), Some("A"));
}

#[test]
fn a_restart_does_not_comment_again() {
    let mut room = OneRoom::new(comments());
    let memory = Some(MediaMemory { title: "A".to_owned(), duration: 6_000 });
    let state = StoredState { memory: memory.clone(), ..known() };
    assert_eq!(room.decider.load_state(at(0.0), &room.room, state), None, "nothing new to write down");
    let mut room = OneRoom::new(comments());
    room.decider.load_state(at(0.0), &room.room, StoredState { memory, ..StoredState::default() });
    assert!(plays(&mut room, 1.0, "A").is_some_and(|changed| changed.decision.is_none()));
    assert_eq!(title(plays(&mut room, 2.0, "B")).as_deref(), Some("B"));
}

#[test]
fn without_any_state_nothing_is_known() {
    let mut room = OneRoom::new(comments());
    assert_eq!(room.decider.load_state(at(0.0), &room.room, StoredState::default()), None);
    let plan = room.reply(1.0, "bob", "vera?");
    assert_eq!((&plan.scene.current_media, plan.scene.channel_users), (&None, 0));
}

#[test]
fn the_people_of_a_room_come_go_and_change() {
    let mut room = OneRoom::new(json!({}));
    let visitor = |name: &str, rank| Visitor { user: Username::new(name), rank, is_away: false };
    for change in [
        RoomChange::Users(vec![visitor("ann", 1.0), visitor("bob", 2.0)]),
        RoomChange::Joined(visitor("eve", 0.0)),
        RoomChange::Left(Username::new("ANN")),
        RoomChange::Ranked(Username::new("Bob"), 3.0),
        RoomChange::Away(Username::new("eve"), true),
        RoomChange::Progress(Progress { position: 1.0, is_paused: false }),
    ] {
        assert!(room.decider.on_event(at(0.0), &room.room, change, &|_| None).is_none());
    }
    let plan = room.reply(1.0, "bob", "vera?");
    assert_eq!((plan.scene.channel_users, plan.scene.active_users), (2, vec![Username::new("bob")]));
}

#[test]
fn a_rank_is_the_messages_else_the_user_lists_else_0() {
    let mut room = OneRoom::new(json!({"rate_limits": {
        "global_cooldown_seconds": 0, "mention_cooldown_seconds": 0, "user_cooldown_seconds": 0
    }}));
    let list = vec![Visitor { user: Username::new("bob"), rank: 4.0, is_away: false }];
    room.decider.on_event(at(0.0), &room.room, RoomChange::Users(list), &|_| None);
    for (user, told, expected) in
        [("Bob", None, 4.0), ("bob", Some(1.5), 1.5), ("bob", Some(0.0), 0.0), ("eve", None, 0.0)]
    {
        let mut said = message(at(1.0), user, &format!("vera, {told:?}"));
        said.rank = told;
        let Decision::Reply(plan) = room.hears(at(1.0), &said) else { panic!("{user} {told:?}") };
        assert_eq!(plan.rank, expected, "{user} {told:?}");
        room.decider.settle(plan.ticket, None);
    }
}

#[test]
fn a_paused_room_is_silent_until_its_pause_ends() {
    let mut room = OneRoom::new(json!({}));
    room.decider.pause(at(0.0), &room.room, Some(Duration::from_secs(10)));
    let paused: Vec<RoomName> = room.decider.paused(at(1.0)).map(|(name, _)| name.clone()).collect();
    assert_eq!(paused, [room.room.clone()]);
    assert_eq!(room.silence(9.9, "bob", "vera, one"), Some(Reason::Paused));
    let plan = room.reply(10.0, "bob", "vera, two");
    assert_eq!(plan.history.len(), 2, "what was said in a pause is remembered");
    assert_eq!(room.decider.paused(at(10.0)).count(), 0);
    room.decider.settle(plan.ticket, None);
    room.decider.pause(at(11.0), &room.room, None);
    assert_eq!(room.silence(9_999.0, "bob", "vera, three"), Some(Reason::Paused));
    room.decider.resume(&room.room);
    room.answers(10_000.0, "bob", "vera, four");
}
