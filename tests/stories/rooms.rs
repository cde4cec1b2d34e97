//! Several rooms in one daemon: answers go where the question was asked.

use kryten_testkit::chat::line;
use kryten_testkit::robot::Said;
use kryten_testkit::world::{SOON, World};
use kryten_testkit::{Behaviour, Exit, Mark, Result, Room};
use serde_json::json;

use crate::BINARY;

/// Somebody asks in a room, and the next line there is awaited.
async fn ask_in(world: &World, room: &Room, text: &str) -> Result<Said> {
    let mark = world.robot.says.mark();
    world.robot.chat_in(room, "bob", &format!("Cynthia, {text}")).await?;
    world.robot.wait_for_say(mark, SOON, |said| said.room == *room).await
}

#[tokio::test]
async fn three_rooms_each_get_their_own_answers() -> Result {
    let rooms =
        [Room::new("cytu.be", "Lounge"), Room::new("cytu.be", "Attic"), Room::new("other.tv", "Cellar")];
    let world = World::of(BINARY).rooms(rooms.clone()).start().await?;
    // All at once: each answer repeats the question, so that none can be taken for another's.
    world.provider().always(Behaviour::choose(|request| {
        let prompt = request.prompt();
        let room = ["Lounge", "Attic", "Cellar"]
            .into_iter()
            .find(|room| prompt.ends_with(&format!("of the {room}\"")));
        Behaviour::answer(format!("Greetings to the {}.", room.unwrap_or("void")))
    }));
    for number in 0..5 {
        for room in &rooms {
            let text = format!("Cynthia, number {number} speaks of the {}", room.channel);
            world.robot.chat_in(room, "bob", &text).await?;
        }
    }
    world.wait_for_health(SOON, |health| health["ledger"]["fired"] == 15).await?;
    assert_eq!(world.ledger().await?["sent"], 15);
    let says = world.robot.says.all();
    assert_eq!(says.len(), 15);
    for said in says {
        assert!(rooms.contains(&said.room) && said.text.contains(&said.room.channel), "{said}");
    }
    // What is said in one room is not remembered in another.
    let last = world.provider().requests().all().pop().expect("a request").prompt();
    assert_eq!(
        rooms.iter().filter(|room| last.contains(&format!("of the {}", room.channel))).count(),
        1,
        "{last}"
    );
    Ok(())
}

#[tokio::test]
async fn rooms_whose_names_are_equal_share_a_subscription_and_the_domain_decides() -> Result {
    let rooms = [Room::new("cytu.be", "Movie.Night"), Room::new("other.tv", "movienight")];
    let world = World::of(BINARY).rooms(rooms.clone()).start().await?;
    assert_eq!(rooms[0].subject("chatmsg"), rooms[1].subject("chatmsg"));
    for room in &rooms {
        assert_eq!(ask_in(&world, room, "who is here?").await?.room, *room);
    }
    // The domain in another case is the same one.
    let room = &rooms[0];
    let mut envelope = room.envelope("chatmsg", line("eve", "Cynthia, and now?"));
    envelope["domain"] = json!(" CYTU.BE ");
    let mark = world.robot.says.mark();
    world.robot.publish(&room.subject("chatmsg"), envelope).await?;
    assert_eq!(world.robot.wait_for_say(mark, SOON, |_| true).await?.room, *room);
    // A domain that is none of ours, or none at all: nobody knows where to answer.
    for domain in [json!("third.tv"), json!("third.tv"), json!(null)] {
        let mut envelope = room.envelope("chatmsg", line("eve", "Cynthia, not here"));
        envelope["domain"] = domain;
        world.robot.publish(&room.subject("chatmsg"), envelope).await?;
    }
    ask_in(&world, &rooms[1], "still here?").await?;
    assert_eq!(world.ledger().await?["sent"], 4);
    assert_eq!(world.provider().requests().count(), 4, "each message was heard once");
    let echoes = 4;
    let health = world.wait_for_health(SOON, |health| health["ignored"]["own"] == echoes).await?;
    assert_eq!(health["messages_processed"], 4 + echoes);
    assert_eq!(health["malformed"], json!({ "no_domain": 1 }));
    assert_eq!(world.stop().await?, Exit::Code(0));
    assert_eq!(world.daemon.wait_for_lines("another domain", 1).await?.len(), 1);
    Ok(())
}

#[tokio::test]
async fn another_domain_in_a_single_room_is_answered_and_warned_of_once() -> Result {
    let world = World::of(BINARY).start().await?;
    let room = &world.rooms[0];
    for number in 1..=3 {
        let mut envelope = room.envelope("chatmsg", line("bob", &format!("Cynthia, question {number}")));
        envelope["domain"] = json!(format!("mirror{number}.cytu.be"));
        let mark = world.robot.says.mark();
        world.robot.publish(&room.subject("chatmsg"), envelope).await?;
        // It answers where it is configured to be, since the robot knows no other name.
        assert_eq!(world.robot.wait_for_say(mark, SOON, |_| true).await?.room, *room);
    }
    assert_eq!(world.ledger().await?["sent"], 3);
    assert_eq!(world.stop().await?, Exit::Code(0));
    assert_eq!(world.daemon.wait_for_lines("another domain", 1).await?.len(), 1);
    Ok(())
}

#[tokio::test]
async fn an_envelope_may_leave_out_all_but_its_payload() -> Result {
    let world = World::of(BINARY).start().await?;
    let mark = world.robot.says.mark();
    let bare =
        json!({ "payload": { "user": { "name": "bob", "rank": 1.5 }, "message": "Cynthia, who am I?" } });
    world.robot.publish(&world.rooms[0].subject("chatmsg"), bare).await?;
    world.robot.wait_for_say(mark, SOON, |_| true).await?;
    assert!(world.provider().requests().all()[0].prompt().contains("bob says to you"));
    assert_eq!(world.ledger().await?["sent"], 1);
    Ok(())
}

#[tokio::test]
async fn one_rooms_trouble_with_the_robot_leaves_the_others_alone() -> Result {
    let rooms = [Room::new("cytu.be", "Lounge"), Room::new("cytu.be", "Attic")];
    let world = World::of(BINARY).rooms(rooms.clone()).start().await?;
    let away = json!({ "target": "CyTube", "domain": "cytu.be", "channel": "Lounge", "reason": "kicked" });
    let mark = world.recorder.mark();
    world.robot.lifecycle("disconnected", away).await?;
    world
        .wait_for_beat(mark, SOON, |beat| beat.text("/status/components/robot/message").contains("Lounge"))
        .await?;
    world.robot.chat_in(&rooms[0], "bob", "Cynthia, can you speak?").await?;
    world.provider().wait_for_request(Mark::START, SOON, |_| true).await?;
    ask_in(&world, &rooms[1], "can you speak?").await?;
    assert_eq!(world.robot.says.count(), 1);
    world.robot.connected(&rooms[1]).await?;
    ask_in(&world, &rooms[1], "can you still speak?").await?;
    assert_eq!(world.robot.says.count(), 2, "the other room's robot is still away");
    let mark = world.robot.says.mark();
    world.robot.connected(&rooms[0]).await?;
    assert_eq!(world.robot.wait_for_say(mark, SOON, |_| true).await?.room, rooms[0]);
    assert_eq!(world.ledger().await?["sent"], 3);
    Ok(())
}

#[tokio::test]
async fn the_robots_notices_mean_a_room_by_the_same_rule_as_its_chat() -> Result {
    let world = World::of(BINARY).start().await?;
    let room = world.rooms[0].clone();
    // The only room of its name is meant whatever its domain is called, and by its channel alone.
    for names in [
        json!({ "domain": "www.cytu.be", "channel": room.channel }),
        json!({ "channel": room.channel.to_uppercase() }),
    ] {
        let mark = world.recorder.mark();
        let away = |beat: &kryten_testkit::Message| {
            beat.text("/status/components/robot/message").contains("away from CyTube")
        };
        let mut notice = json!({ "target": "CyTube" });
        kryten_testkit::config::merge(&mut notice, names);
        world.robot.lifecycle("disconnected", notice.clone()).await?;
        world.wait_for_beat(mark, SOON, away).await?;
        world.robot.lifecycle("connected", notice).await?;
        world.wait_for_beat(world.recorder.mark(), SOON, |beat| !away(beat)).await?;
    }
    // Another channel alone means none of ours.
    let mark = world.recorder.mark();
    let elsewhere = json!({ "target": "CyTube", "channel": "Elsewhere" });
    world.robot.lifecycle("disconnected", elsewhere).await?;
    ask_in(&world, &room, "can you speak?").await?;
    world.wait_for_beat(mark, SOON, |beat| beat.text("/status/components/robot/message").is_empty()).await?;
    assert_eq!(world.ledger().await?["sent"], 1);
    Ok(())
}
