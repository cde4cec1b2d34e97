use std::collections::BTreeSet;

use minijinja::Value;
use serde_json::json;

use super::super::super::event::change::{Media, Progress, RoomChange, Visitor};
use super::super::super::plan::Decision;
use super::super::super::stored::{self, StoredState};
use super::super::super::testing::media;
use super::*;
use crate::names::Username;

/// A room where films play, and who is there.
fn room(over: serde_json::Value) -> OneRoom {
    let mut room = OneRoom::new(over);
    let items = json!([
        {"media": {"title": "Alien \"1979\"", "seconds": 6_000, "type": "yt", "id": "a"}, "queueby": "eve"},
        {"media": {"title": "Aliens\n2", "seconds": 65, "type": "vi", "id": "b"}, "queueby": "bob"},
    ]);
    let items = stored::items(items.to_string().as_bytes()).expect("a list");
    room.decider.load_state(at(0.5), &room.room, StoredState { items, ..StoredState::default() });
    let visitor = |name: &str, is_away| Visitor { user: Username::new(name), rank: 1.0, is_away };
    let users = vec![visitor("ann", false), visitor("bob", true)];
    room.decider.on_event(at(1.0), &room.room, RoomChange::Users(users), &|_| None);
    room.silence(1.0, "ann", "what's next?");
    plays(&mut room, 3.0, media("Jaws", 5_000));
    room
}

fn alien() -> Media {
    Media {
        id: "a".into(),
        progress: Progress { position: 4.9, is_paused: false },
        ..media("Alien \"1979\"", 6_000)
    }
}

fn plays(room: &mut OneRoom, seconds: f64, media: Media) -> Option<Decision> {
    room.decider.on_event(at(seconds), &room.room, RoomChange::Media(media), &|_| None)?.decision
}

/// A comment on a film that has just begun.
fn comment(over: serde_json::Value) -> Box<ReplyPlan> {
    let mut settings =
        json!({"media_change": {"enabled": true, "transition_explanation": "A new film begins."}});
    super::super::super::testing::merge(&mut settings, over);
    match plays(&mut room(settings), 40.0, alien()) {
        Some(Decision::Reply(plan)) => plan,
        other => panic!("{other:?}"),
    }
}

/// A mention while a film plays.
fn mention(over: serde_json::Value) -> Box<ReplyPlan> {
    let mut room = room(over);
    plays(&mut room, 40.0, alien());
    room.reply(45.0, "bob", "Vera, is it good?")
}

#[test]
fn the_built_in_template_says_what_plays_and_what_comes_next() {
    let user = built_in(&mention(json!({}))).user;
    assert_eq!(
        user,
        "Now playing: \"Alien \\\"1979\\\"\" (9s of 1h, 40m, 0s)\nNext: \"Aliens 2\"\n\n\
         The recent conversation, oldest line first:\nann: \"what's next?\"\nbob: \"Vera, is it good?\"\n\n\
         bob says to you: \"is it good\""
    );
    let user = built_in(&mention(json!({"context": {"include_video_context": false}}))).user;
    assert!(user.starts_with("The recent conversation"), "{user}");
    let over = json!({"context": {"include_chat_history": false}});
    let user = built_in(&mention(over)).user;
    assert!(user.ends_with("Next: \"Aliens 2\"\n\nbob says to you: \"is it good\""), "{user}");
}

#[test]
fn the_built_in_comment_names_both_films() {
    assert_eq!(
        built_in(&comment(json!({}))).user,
        "The recent conversation, oldest line first:\nann: \"what's next?\"\n\nA new film begins.\n\
         Before it was \"Jaws\".\nNow it is \"Alien \\\"1979\\\"\" (1h, 40m, 0s).\n\
         Nobody has asked you. Say something about what plays now."
    );
}

#[test]
fn an_operators_comment_template_has_the_originals_variables() {
    let plan = comment(json!({}));
    for (template, expected) in [
        ("{{ event.transition_explanation }}|{{ event.previous_media_title }}", "A new film begins.|Jaws"),
        ("{{ current_media.title }}|{{ current_media.duration_str }}", "Alien \"1979\"|1h, 40m, 0s"),
        ("{{ meta.time }}", "09:00:50"),
        (
            "{% for line in chat_history %}{{ line.username }}|{{ line.msg }}|{{ line.message }}|{{ line.time }}{% endfor %}",
            "ann|what's next?|what's next?|09:00:01",
        ),
        ("{{ trigger.type }}{{ user.username is none }}", "media_changeTrue"),
    ] {
        let files = [("media_change.j2", template), ("trigger.j2", "no"), ("trigger-media_change.j2", "no")];
        assert_eq!(
            by(&files, &plan),
            (Prompt { user: expected.to_owned(), ..built_in(&plan) }, vec![]),
            "{template}"
        );
    }
}

#[test]
fn media_and_users_have_the_originals_names_and_forms() {
    let plan = mention(json!({}));
    for (template, expected) in [
        ("{{ current_media.title }}|{{ current_media.type }}", "Alien \"1979\"|yt"),
        ("{{ current_media.duration }}|{{ current_media.duration_str }}", "6000|1h, 40m, 0s"),
        ("{{ current_media.position }}|{{ current_media.position_str }}", "9|9s"),
        ("{{ current_media.remaining }}|{{ current_media.remaining_str }}", "5991|1h, 39m, 51s"),
        ("{{ current_media.queued_by }}", "eve"),
        ("{{ next_media.title }}|{{ next_media.type }}|{{ next_media.queued_by }}", "Aliens 2|vi|bob"),
        ("{{ next_media.duration }}|{{ next_media.duration_str }}", "65|1m, 5s"),
        ("{{ channel_users }}|{{ active_users | join(',') }}", "2|ann"),
    ] {
        assert_eq!(user_by(template, &plan), expected, "{template}");
    }
    let plan = mention(json!({"context": {"include_video_context": false}}));
    assert_eq!(user_by("{{ current_media is none }} {{ next_media is none }}", &plan), "True True");
}

#[test]
fn what_is_worth_the_least_goes_first_when_the_window_is_small() {
    let window = |video: i64| {
        json!({"context": {"context_window_chars": 1000, "providers": [
            {"type": "video", "priority": video}, {"type": "chat_history", "priority": 50}]}})
    };
    let filler = "x".repeat(950);
    let template = format!(
        "{{{{ user.message }}}} {{% for line in chat_history %}}{{{{ line.message }}}} {{% endfor %}}\
         {{{{ current_media.title }}}} {filler}"
    );
    let with_video = user_by(&template, &mention(window(60)));
    assert!(with_video.starts_with("is it good Vera, is it good? Alien"), "{with_video}");
    let with_chat = user_by(&template, &mention(window(40)));
    assert!(with_chat.starts_with("is it good what's next? Vera, is it good? "), "{with_chat}");
    assert!(!with_chat.contains("Alien"), "{with_chat}");
    let crowd = format!(
        "{{% for name in active_users %}}{{{{ name }}}}{filler}{{% endfor %}}{{{{ channel_users }}}} {filler}"
    );
    assert!(user_by(&crowd, &mention(json!({"context": {"context_window_chars": 1000}}))).starts_with("2 x"));
}

#[test]
fn the_samples_that_templates_are_tried_with_have_all_variables() {
    let keys = |value: &Value| -> BTreeSet<String> {
        value.try_iter().expect("a map").map(|key| key.to_string()).collect()
    };
    let plan = mention(json!({}));
    let scene = Scene::new(&plan, &occasion());
    let all = scene.with(scene.all());
    let bot = variables::of_the_bot(&plan, &occasion());
    for part in ["current_media", "next_media"] {
        let part = |value: &Value| keys(&value.get_attr(part).expect("a part"));
        assert_eq!(part(&samples::rich()), part(&all));
    }
    let names = keys(&all).union(&keys(&bot)).cloned().collect();
    for sample in [samples::rich(), samples::bare()] {
        assert_eq!(keys(&sample), names);
        for (real, part) in
            [(&bot, "bot"), (&all, "user"), (&all, "trigger"), (&all, "meta"), (&all, "event")]
        {
            let part = |value: &Value| keys(&value.get_attr(part).expect("a part"));
            assert_eq!(part(&sample), part(real));
        }
        let line = |value: &Value| {
            keys(&value.get_attr("chat_history").and_then(|lines| lines.get_item(&0.into())).expect("a line"))
        };
        assert_eq!(line(&sample), line(&all));
    }
}
