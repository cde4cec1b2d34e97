//! The robot stand-in and the recorder, seen by a plain client on the bus.

use std::time::Duration;

use async_nats::{Client, RequestErrorKind};
use kryten_testkit::nats::Server;
use kryten_testkit::{Context as _, Manner, Mark, Recorder, Result, Robot, Room};
use serde_json::{Value, json};

const SOON: Duration = Duration::from_secs(10);
const SAY: &str = "kryten.robot.command";
const ECHO: &str = "kryten.events.cytube.lounge.chatmsg";

struct Bus {
    client: Client,
    recorder: Recorder,
    robot: Robot,
    _server: Server,
}

fn lounge() -> Room {
    Room::new("cytu.be", "Lounge")
}

async fn bus(manner: Manner) -> Result<Bus> {
    let server = Server::start().await?;
    let recorder = Recorder::start(&server).await?;
    let robot = Robot::start(server.client().await?, &[lounge()], "CynthiaBot", manner).await?;
    Ok(Bus { client: server.client().await?, recorder, robot, _server: server })
}

fn say(text: &str, room: &Room) -> String {
    let meta = json!({ "source": "llm", "domain": room.domain, "channel": room.channel });
    json!({ "command": "say", "args": { "message": text }, "meta": meta }).to_string()
}

/// Long enough for an answer that should not have come.
const A_WHILE: Duration = Duration::from_millis(200);

/// What somebody gets for a line; none when there was no answer in time.
async fn asked(client: &Client, text: &str, room: &Room, time: Duration) -> Result<Option<Value>> {
    let request = async_nats::Request::new().payload(say(text, room).into()).timeout(Some(time));
    match client.send_request(SAY, request).await {
        Ok(answer) => serde_json::from_slice(&answer.payload).context("parsing the answer").map(Some),
        Err(error) if error.kind() == RequestErrorKind::TimedOut => Ok(None),
        Err(error) => Err(error).context("asking the robot"),
    }
}

#[tokio::test]
async fn an_echoing_robot_answers_and_the_room_hears_the_line_escaped() -> Result {
    let bus = bus(Manner::Echoes).await?;
    let answer = asked(&bus.client, "it's <b>me</b> & you", &Room::new("cytu.be", "lounge"), SOON).await?;
    let success =
        json!({ "service": "robot", "command": "say", "success": true, "data": { "success": true } });
    assert_eq!(answer, Some(success));
    let echo = bus.recorder.wait_for(ECHO, SOON, |_| true).await?;
    assert_eq!(echo.text("/payload/username"), "CynthiaBot");
    assert_eq!(echo.text("/payload/msg"), "it&#39;s &lt;b&gt;me&lt;/b&gt; &amp; you");
    assert_eq!((echo.text("/channel"), echo.text("/domain")), ("Lounge", "cytu.be"));
    assert!(!echo.text("/correlation_id").is_empty());
    let said = bus.robot.wait_for_say(Mark::START, SOON, |_| true).await?;
    assert_eq!((said.text.as_str(), said.taken), ("it's <b>me</b> & you", true));
    Ok(())
}

#[tokio::test]
async fn each_manner_is_seen_by_who_asks_and_by_the_room() -> Result {
    let refusal =
        json!({ "service": "robot", "success": false, "error": "Not connected or sender not available" });
    let success =
        json!({ "service": "robot", "command": "say", "success": true, "data": { "success": true } });
    let table = [
        (Manner::Mute, Some(success), false),
        (Manner::Refuses("Not connected or sender not available".to_owned()), Some(refusal), false),
        (Manner::Silent, None, false),
        (Manner::SilentButEchoes, None, true),
    ];
    let bus = bus(Manner::Echoes).await?;
    for (manner, answer, heard) in table {
        bus.robot.behave(manner.clone()).await?;
        let mark = bus.recorder.mark();
        let time = if answer.is_some() { SOON } else { A_WHILE };
        assert_eq!(asked(&bus.client, "a line", &lounge(), time).await?, answer, "{manner:?}");
        bus.robot.settle(SOON).await?;
        bus.recorder.settle(SOON).await?;
        assert_eq!(!bus.recorder.since(mark, ECHO).is_empty(), heard, "{manner:?}");
    }
    Ok(())
}

#[tokio::test]
async fn an_absent_robot_is_no_responder_until_it_comes_back() -> Result {
    let bus = bus(Manner::Absent).await?;
    for manner in [Manner::Absent, Manner::Echoes, Manner::Absent] {
        bus.robot.behave(manner.clone()).await?;
        let answer = bus.client.request(SAY, say("anybody?", &lounge()).into()).await;
        match manner {
            Manner::Absent => {
                let kind = answer.expect_err("somebody answered").kind();
                assert_eq!(kind, RequestErrorKind::NoResponders);
            }
            _ => drop(answer.context("asking the robot")?),
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_robot_of_another_room_takes_notice_but_does_not_answer() -> Result {
    let bus = bus(Manner::Echoes).await?;
    assert_eq!(asked(&bus.client, "hello", &Room::new("cytu.BE", "Lounge"), A_WHILE).await?, None);
    assert_eq!(asked(&bus.client, "hello", &Room::new("cytu.be", "Bar"), A_WHILE).await?, None);
    let said = bus.robot.says.all();
    assert_eq!(said.iter().map(|said| said.taken).collect::<Vec<_>>(), [false, false]);
    bus.recorder.none_since(Mark::START, ECHO).await
}

#[tokio::test]
async fn the_robot_says_who_it_is_by_the_rooms_raw_names() -> Result {
    let bus = bus(Manner::Echoes).await?;
    let answer = bus.robot.ask("kryten.user_level.cytu.be.Lounge", json!({})).await?;
    assert_eq!(answer, json!({ "success": true, "rank": 2, "username": "CynthiaBot" }));
    Ok(())
}

#[tokio::test]
async fn chat_and_lifecycle_have_the_shape_of_the_robots() -> Result {
    let bus = bus(Manner::Echoes).await?;
    bus.robot.chat("bob", "hi &amp; hello").await?;
    bus.robot.startup().await?;
    bus.robot.connected(&lounge()).await?;
    bus.robot.disconnected().await?;
    let line = bus.recorder.wait_for(ECHO, SOON, |_| true).await?;
    assert_eq!((line.text("/payload/username"), line.text("/payload/msg")), ("bob", "hi &amp; hello"));
    assert_eq!(line.text("/event_name"), "chatmsg");
    let connected = bus.recorder.wait_for("kryten.lifecycle.robot.connected", SOON, |_| true).await?;
    assert_eq!((connected.text("/target"), connected.text("/channel")), ("CyTube", "Lounge"));
    let gone = bus.recorder.wait_for("kryten.lifecycle.robot.disconnected", SOON, |_| true).await?;
    assert_eq!(gone.json.get("channel"), None);
    assert_eq!(bus.recorder.all("kryten.lifecycle.robot.*").len(), 3);
    Ok(())
}

#[tokio::test]
async fn the_recorder_keeps_bodies_headers_and_order() -> Result {
    let bus = bus(Manner::Absent).await?;
    let mark = bus.recorder.mark();
    let mut headers = async_nats::HeaderMap::new();
    headers.insert("Kryten-Correlation-Id", "abc");
    bus.client.publish_with_headers("kryten.one", headers, "not json".into()).await.context("publishing")?;
    bus.client.publish("other.subject", "".into()).await.context("publishing")?;
    bus.client.publish("kryten.two", r#"{"a":{"b":"c"}}"#.into()).await.context("publishing")?;
    let two =
        bus.recorder.wait_since(mark, "kryten.two", SOON, |message| message.text("/a/b") == "c").await?;
    let recorded = bus.recorder.since(mark, ">");
    assert_eq!(
        recorded.iter().map(|message| message.subject.as_str()).collect::<Vec<_>>(),
        ["kryten.one", "kryten.two"]
    );
    assert_eq!(recorded[0].header("kryten-correlation-id"), Some("abc"));
    assert_eq!((recorded[0].bytes.as_slice(), &recorded[0].json), (b"not json".as_slice(), &Value::Null));
    assert!(two.at >= recorded[0].at);
    Ok(())
}

#[tokio::test]
async fn silence_is_found_out_and_so_is_its_end() -> Result {
    let bus = bus(Manner::Absent).await?;
    let mark = bus.recorder.mark();
    bus.recorder.none_since(mark, "kryten.word").await?;
    bus.recorder.none_within(Duration::from_millis(50), "kryten.word").await?;
    bus.robot.publish("kryten.word", json!("hush")).await?;
    bus.robot.settle(SOON).await?;
    let error = bus.recorder.none_since(mark, "kryten.word").await.expect_err("the word was not seen");
    assert!(error.to_string().contains("hush"), "{error}");
    let (silence, spoken) = tokio::join!(
        bus.recorder.none_within(SOON, "kryten.again"),
        bus.robot.publish("kryten.again", json!("loud")),
    );
    spoken?;
    assert!(silence.is_err(), "the word was not seen");
    Ok(())
}
