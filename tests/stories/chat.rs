//! The straight path: from a mention to lines in the room, and every silence on the way.

use std::time::Duration;

use chrono::Utc;
use kryten_testkit::chat::{escape, line};
use kryten_testkit::provider::Request;
use kryten_testkit::world::{BOT, Builder, SOON, World};
use kryten_testkit::{Behaviour, Mark, Result, Room};
use serde_json::{Value, json};

use crate::BINARY;

fn world(config: Value) -> Builder {
    World::of(BINARY).config(config)
}

/// A mention that nobody could object to: when its answer is asked for, whatever came before it is
/// decided.
async fn fence(world: &World) -> Result {
    let mark = world.provider().requests().mark();
    world.mention("fence", "are you still there?").await?;
    let is_fence = |request: &Request| request.prompt().contains("fence says to you");
    world.provider().wait_for_request(mark, SOON, is_fence).await.map(drop)
}

fn texts(world: &World) -> Vec<String> {
    world.robot.says.all().into_iter().map(|said| said.text).collect()
}

#[tokio::test]
async fn a_mention_is_answered_in_the_room_it_came_from() -> Result {
    let world = world(json!({})).start().await?;
    world.provider().next([Behaviour::answer("Anything with swords in it.")]);
    let said = world.ask("bob", "what should we watch?").await?;
    assert_eq!(said.text, "Anything with swords in it.");
    assert_eq!(said.room, world.rooms[0]);
    let request = &world.provider().requests().all()[0];
    assert!(request.prompt().contains(r#"bob says to you: "what should we watch""#), "{request}");
    // Chat without the name is for others.
    world.robot.chat("bob", "what would cynthiax watch?").await?;
    fence(&world).await?;
    assert_eq!(world.provider().requests().count(), 2);
    assert_eq!(world.daemon.health().await?["ignored"]["no_trigger"], 1);
    assert_eq!(world.ledger().await?["sent"], 2);
    Ok(())
}

#[tokio::test]
async fn html_is_decoded_before_anything_looks_at_it() -> Result {
    let world = world(json!({})).start().await?;
    for (html, heard) in [
        ("Cynthia &amp; friends: 1 &lt; 2, isn&#39;t it?", r#""& friends: 1 < 2, isn't it""#),
        ("<strong>Cyn</strong>thia, <em>hello</em>", r#""hello""#),
        (
            r#"Cynthia look<img class="channel-emote" src="/x.png" title=":kick:">here"#,
            r#""look :kick: here""#,
        ),
        ("&#67;ynthia &amp;lt;b&amp;gt; is it", r#""&lt;b&gt; is it""#),
    ] {
        let mark = world.provider().requests().mark();
        world.robot.chat("bob", html).await?;
        let request = world.provider().wait_for_request(mark, SOON, |_| true).await?;
        assert!(request.prompt().contains(&format!("bob says to you: {heard}")), "{html}: {request}");
    }
    // A command is one also when its mark came as an entity, and a name in a tag mentions nobody.
    world.robot.chat("bob", "&#33;kick Cynthia").await?;
    world.robot.chat("bob", r#"<a href="https://x.y/cynthia">look</a>"#).await?;
    fence(&world).await?;
    let ignored = &world.daemon.health().await?["ignored"];
    assert_eq!((&ignored["listener"], &ignored["no_trigger"]), (&json!(1), &json!(1)), "{ignored}");
    assert_eq!(world.ledger().await?["sent"], 5);
    Ok(())
}

#[tokio::test]
async fn it_never_answers_its_own_lines_under_a_name_that_it_knows() -> Result {
    let world = world(json!({})).launch(|launch| launch.arg("--log-level").arg("debug")).start().await?;
    world.daemon.wait_for_log(Mark::START, SOON, |line| line.contains("says who we are")).await?;
    // The robot's answer, and the character's name, in any case.
    for name in [BOT, &BOT.to_uppercase(), "Cynthia", "CYNTHIA"] {
        world.mention(name, &format!("says {name} to herself")).await?;
    }
    fence(&world).await?;
    assert_eq!(world.provider().requests().count(), 1);
    // The fence's answer came back as well.
    world.wait_for_health(SOON, |health| health["ignored"]["own"] == 5).await?;
    assert_eq!(world.ledger().await?["fired"], 1);
    Ok(())
}

#[tokio::test]
async fn the_configured_bot_username_is_its_own() -> Result {
    let world = world(json!({ "bot_username": "Rothbot" })).start().await?;
    for name in ["rothBOT", "Cynthia"] {
        world.mention(name, "I am talking to myself").await?;
    }
    // The configured name wins over what the robot says.
    world.mention(BOT, "are you me?").await?;
    world.robot.wait_for_say(Mark::START, SOON, |_| true).await?;
    assert_eq!(world.daemon.health().await?["ignored"]["own"], 2);
    assert_eq!(world.ledger().await?["sent"], 1);
    Ok(())
}

#[tokio::test]
async fn while_nobody_tells_its_name_it_knows_itself_by_the_echo() -> Result {
    // The robot knows the room under another spelling, so nobody answers who we are.
    let spelled = json!({ "channels": [{ "domain": "cytu.be", "channel": "LOUNGE" }] });
    let world = world(spelled).start().await?;
    let talkative = "Well, Cynthia thinks: ask cynthia again!";
    world.provider().next([Behaviour::answer(talkative)]);
    let said = world.ask("bob", "who are you?").await?;
    assert_eq!(said.text, talkative);
    world.wait_for_health(SOON, |health| health["ignored"]["own"] == 1).await?;
    // Its user is taken as our name from then on.
    world.mention(BOT, "and what do I think?").await?;
    fence(&world).await?;
    assert_eq!(world.provider().requests().count(), 2);
    assert_eq!(world.ledger().await?["sent"], 2);
    Ok(())
}

/// Nothing is said, each is counted, and the limits (one reply a minute) are not used up.
async fn nothing_is_said(world: World) -> Result {
    for number in 1..=2 {
        let mark = world.provider().requests().mark();
        world.mention("bob", "what should we watch?").await?;
        world.provider().wait_for_request(mark, SOON, |_| true).await?;
        world.wait_for_health(SOON, |health| health["ledger"]["silenced"]["dry_run"] == number).await?;
    }
    world.daemon.wait_for_log(Mark::START, SOON, |line| line.contains("would have been said")).await?;
    assert_eq!(texts(&world), Vec::<String>::new());
    let ledger = world.ledger().await?;
    assert_eq!((&ledger["fired"], &ledger["sent"]), (&json!(2), &json!(0)));
    Ok(())
}

fn one_a_minute() -> Value {
    json!({ "rate_limits": { "global_max_per_minute": 1 } })
}

#[tokio::test]
async fn a_dry_run_by_config_says_nothing() -> Result {
    nothing_is_said(world(one_a_minute()).config(json!({ "testing": { "dry_run": true } })).start().await?)
        .await
}

#[tokio::test]
async fn a_dry_run_by_flag_says_nothing() -> Result {
    nothing_is_said(world(one_a_minute()).launch(|launch| launch.arg("--dry-run")).start().await?).await
}

#[tokio::test]
async fn a_dry_run_by_environment_says_nothing() -> Result {
    let dry = |launch: kryten_testkit::Launch| launch.env("KRYTEN_LLM_DRY_RUN", "true");
    nothing_is_said(world(one_a_minute()).launch(dry).start().await?).await
}

#[tokio::test]
async fn no_dry_run_by_environment_speaks() -> Result {
    let world = world(json!({})).launch(|launch| launch.env("KRYTEN_LLM_DRY_RUN", "false")).start().await?;
    world.ask("bob", "what should we watch?").await?;
    assert_eq!(world.ledger().await?["sent"], 1);
    Ok(())
}

#[tokio::test]
async fn without_send_to_chat_it_says_nothing() -> Result {
    let config = json!({ "testing": { "send_to_chat": false } });
    nothing_is_said(world(one_a_minute()).config(config).start().await?).await
}

#[tokio::test]
async fn stale_messages_are_not_answered_but_remembered() -> Result {
    let world = world(json!({})).start().await?;
    let room = &world.rooms[0];
    let minutes_ago = Utc::now().timestamp_millis() - 120_000;
    let mut payload = line("bob", "Cynthia, an old question about dragons");
    payload["time"] = json!(minutes_ago);
    world.robot.event(room, "chatmsg", payload).await?;
    // Without a time of CyTube's, the envelope's counts.
    let mut envelope = room.envelope("chatmsg", json!({ "username": "eve", "msg": "Cynthia, another" }));
    envelope["timestamp"] = json!("2020-01-01T00:00:00+00:00");
    world.robot.publish(&room.subject("chatmsg"), envelope).await?;
    fence(&world).await?;
    let requests = world.provider().requests().all();
    assert_eq!(requests.len(), 1);
    assert!(requests[0].prompt().contains("an old question about dragons"), "{}", requests[0]);
    assert_eq!(world.daemon.health().await?["ignored"]["stale"], 2);
    assert_eq!(world.ledger().await?["sent"], 1);
    Ok(())
}

#[tokio::test]
async fn a_message_that_comes_again_is_answered_once() -> Result {
    let world = world(json!({})).start().await?;
    let room = &world.rooms[0];
    let payload = line("bob", "Cynthia, do you hear me twice?");
    let envelope = room.envelope("chatmsg", payload.clone());
    world.robot.publish(&room.subject("chatmsg"), envelope.clone()).await?;
    // The same again; and the same line under another correlation id.
    world.robot.publish(&room.subject("chatmsg"), envelope).await?;
    world.robot.event(room, "chatmsg", payload).await?;
    fence(&world).await?;
    assert_eq!(world.daemon.health().await?["ignored"]["duplicate"], 2);
    assert_eq!(world.ledger().await?["sent"], 2);
    // Somebody who says the same later means it.
    world.robot.chat("bob", "Cynthia, do you hear me twice?").await?;
    world.wait_for_health(SOON, |health| health["ledger"]["sent"] == 3).await?;
    Ok(())
}

#[tokio::test]
async fn what_the_listener_drops_is_counted_and_not_answered() -> Result {
    let world = world(json!({ "ignored_users": ["SpamBot"] })).start().await?;
    let room = &world.rooms[0];
    for (user, text) in [
        ("spambot", "Cynthia hello"),
        ("[server]", "Cynthia hello"),
        ("[BOT]", "Cynthia hello"),
        ("bob", "!ask Cynthia"),
        ("bob", "/me greets Cynthia"),
        ("bob", ".ask Cynthia"),
        ("bob", "eve joined (aliases: eve,cynthia)"),
        ("", "Cynthia hello"),
        ("bob", ""),
    ] {
        world.robot.chat(user, &escape(text)).await?;
    }
    let mut muted = line("bob", "Cynthia hello");
    muted["meta"] = json!({ "shadow": true });
    world.robot.event(room, "chatmsg", muted).await?;
    world.robot.event(room, "usercount", json!({ "count": 7 })).await?;
    fence(&world).await?;
    let health = world.daemon.health().await?;
    assert_eq!(health["ignored"]["listener"], 10);
    assert_eq!(world.provider().requests().count(), 1);
    // Every well-formed chat message counts, dropped or not, and nothing else does.
    world.wait_for_health(SOON, |health| health["messages_processed"] == 12).await?;
    assert_eq!(world.ledger().await?["sent"], 1);
    Ok(())
}

#[tokio::test]
async fn an_open_reservation_counts_as_a_reply() -> Result {
    let world = world(one_a_minute()).start().await?;
    world.provider().next([Behaviour::Hold("Patience is a virtue.".to_owned())]);
    world.mention("bob", "the first").await?;
    world.provider().wait_for_request(Mark::START, SOON, |_| true).await?;
    world.mention("eve", "the second, while the first is being thought about").await?;
    world.wait_for_health(SOON, |health| health["ledger"]["silenced"]["global_minute"] == 1).await?;
    world.provider().release();
    world.robot.wait_for_say(Mark::START, SOON, |said| said.text == "Patience is a virtue.").await?;
    assert_eq!(world.ledger().await?["sent"], 1);
    Ok(())
}

#[tokio::test]
async fn the_conversation_reaches_the_prompt_with_its_own_lines_under_its_name() -> Result {
    let world = world(json!({})).start().await?;
    world.robot.chat("eve", "I like the one with the dragon").await?;
    world.provider().next([Behaviour::answer("Dragons, yes. Many of them.")]);
    world.ask("bob", "which one?").await?;
    // The line comes back as an echo before it is remembered.
    world.wait_for_health(SOON, |health| health["ignored"]["own"] == 1).await?;
    world.ask("bob", "why?").await?;
    let prompt = world.provider().requests().all()[1].prompt();
    let at = |text: &str| prompt.find(text).unwrap_or_else(|| panic!("no {text} in {prompt}"));
    let conversation = [
        r#"eve: "I like the one with the dragon""#,
        r#"bob: "Cynthia which one?""#,
        r#"Cynthia: "Dragons, yes. Many of them.""#,
        r#"bob: "Cynthia why?""#,
        r#"bob says to you: "why""#,
    ];
    assert!(conversation.map(at).is_sorted(), "{prompt}");
    assert_eq!(world.ledger().await?["sent"], 2);
    Ok(())
}

#[tokio::test]
async fn chat_that_is_not_for_this_room_is_not_heard() -> Result {
    let world = world(json!({})).start().await?;
    let other = Room::new("cytu.be", "Elsewhere");
    world.robot.chat_in(&other, "bob", "Cynthia, over here").await?;
    fence(&world).await?;
    let health = world.wait_for_health(SOON, |health| health["ignored"]["own"] == 1).await?;
    assert_eq!(health["messages_processed"], 2, "the fence and the echo of its answer");
    assert_eq!(world.ledger().await?["sent"], 1);
    Ok(())
}

/// A daemon that stood still does not answer what it missed long ago: messages carry their time.
#[tokio::test]
async fn what_was_said_before_the_start_is_not_answered() -> Result {
    let world = world(json!({})).start().await?;
    let mut payload = line("bob", "Cynthia, were you there before?");
    payload["time"] = json!((Utc::now() - world.daemon.started().elapsed()).timestamp_millis() - 2_000);
    world.robot.event(&world.rooms[0], "chatmsg", payload).await?;
    fence(&world).await?;
    assert_eq!(world.daemon.health().await?["ignored"]["stale"], 1);
    assert_eq!(world.ledger().await?["sent"], 1);
    assert!(world.daemon.started().elapsed() < Duration::from_secs(60), "else it proves nothing");
    Ok(())
}
