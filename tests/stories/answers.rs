//! From a provider's answer to lines: what is taken off, what is rejected, and where it is cut.

use kryten_testkit::provider::Request;
use kryten_testkit::world::{Builder, SOON, World};
use kryten_testkit::{Behaviour, Manner, Mark, Result, Room};
use serde_json::{Value, json};

use crate::BINARY;

fn world(config: Value) -> Builder {
    World::of(BINARY).config(config)
}

/// Whether CyTube or another bot would take a line for a command, or it is no single line.
fn is_unspeakable(line: &str) -> bool {
    let mut first = line.chars();
    let is_command = match (first.next(), first.next()) {
        (Some('/' | '!'), _) => true,
        (Some('.' | '$'), Some(next)) => next.is_alphabetic(),
        _ => false,
    };
    let is_invisible = |letter: char| {
        letter.is_control()
            || matches!(letter, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
    };
    is_command || line.chars().any(is_invisible)
}

#[tokio::test]
async fn no_line_begins_as_a_command_or_holds_what_is_no_text() -> Result {
    let world = world(json!({})).start().await?;
    for (answer, line) in [
        ("/clear the whole room", "clear the whole room"),
        ("!kick all of them", "kick all of them"),
        (".x marks the spot", "x marks the spot"),
        ("$y costs a lot of money", "y costs a lot of money"),
        ("\u{200b}/clear the room now", "clear the room now"),
        ("\u{feff} \u{200b}! / .kick bob at once", "kick bob at once"),
        ("\u{202e}/clear it from the right", "clear it from the right"),
        ("one line\n/clear\r\n!kick all", "one line /clear !kick all"),
        ("a\u{0}\u{7} bell\u{1b}[31m and a\ttab", "a bell[31m and a tab"),
        ("\n\n  /\n/  /me is here again", "me is here again"),
        ("  \t /kick everyone at once", "kick everyone at once"),
        ("\u{2060}\u{200d}/kick \u{200b}everyone", "kick everyone"),
        // The room knows commands by the plain mark alone.
        ("\u{ff0f}kick everyone at once", "\u{ff0f}kick everyone at once"),
        ("$5 and ...so on, that is fine", "$5 and ...so on, that is fine"),
    ] {
        world.provider().next([Behaviour::answer(answer)]);
        let said = world.ask("bob", "say something").await?;
        assert_eq!(said.text, line, "{answer:?}");
        assert!(!is_unspeakable(&said.text), "{:?}", said.text);
    }
    assert_eq!(world.ledger().await?["sent"], 14);
    Ok(())
}

#[tokio::test]
async fn long_answers_are_split_within_the_limit_and_no_part_begins_as_a_command() -> Result {
    let config = json!({ "formatting": { "max_message_length": 100 }, "validation": { "max_length": 5000 } });
    let world = world(config).start().await?;
    let words: Vec<String> = (0..250).map(|number| format!("word{number}")).collect();
    world.provider().next([Behaviour::answer(words.join(" "))]);
    world.ask("bob", "tell me a long story").await?;
    world.ledger().await?;
    let parts: Vec<String> = world.robot.says.all().into_iter().map(|said| said.text).collect();
    assert!(parts.len() > 15, "{parts:?}");
    assert!(parts.iter().all(|part| part.chars().count() <= 100), "{parts:?}");
    let (last, others) = parts.split_last().expect("parts");
    let said: Vec<&str> = others
        .iter()
        .map(|part| part.strip_suffix(" ...").expect("goes on"))
        .chain([last.as_str()])
        .collect();
    assert_eq!(said.join(" "), words.join(" "), "no word is lost, none is out of its order");

    // Wherever it is cut, a command mark is near.
    let mark = world.robot.says.mark();
    let commands = "Well then. /clear it. !kick all. .x it. $y it. \u{200b}/quit it. ! ! /me. ".repeat(20);
    world.provider().next([Behaviour::answer(commands)]);
    world.ask("bob", "tell me about commands").await?;
    assert_eq!(world.ledger().await?["sent"], 2);
    let parts = world.robot.says.since(mark);
    assert!(parts.len() > 5);
    for part in parts {
        assert!(!is_unspeakable(&part.text) && part.text.chars().count() <= 100, "{:?}", part.text);
    }
    Ok(())
}

#[tokio::test]
async fn an_answer_that_is_rejected_is_silence_and_no_error() -> Result {
    let config = json!({ "validation": { "max_length": 100, "check_inappropriate": true,
        "inappropriate_patterns": ["\\bforbidden\\b"] } });
    let world = world(config).start().await?;
    for (answer, reason) in [
        ("short", "rejected_short"),
        (&*"long ".repeat(50), "rejected_long"),
        ("this is FORBIDDEN here", "rejected_inappropriate"),
        ("```\nonly code in here\n```", "empty"),
    ] {
        world.provider().next([Behaviour::answer(answer)]);
        world.mention("bob", "say something").await?;
        world.wait_for_health(SOON, |health| health["ledger"]["silenced"][reason] == 1).await?;
    }
    world.ask("bob", "say something sane").await?;
    world.ledger().await?;
    assert_eq!(world.robot.says.count(), 1);
    let health = world.daemon.health().await?;
    assert_eq!((&health["errors_count"], &health["validation_failures"]), (&json!(0), &json!(3)));
    assert_eq!(world.ledger().await?["fired"], 5);
    Ok(())
}

#[tokio::test]
async fn the_answer_goes_out_without_thoughts_and_in_character() -> Result {
    let world = world(json!({})).start().await?;
    for (answer, line) in [
        ("<think>They want a film.</think>Watch something old.", "Watch something old."),
        ("a thought without a beginning</think>Watch something new.", "Watch something new."),
        ("Cynthia: Watch something good.", "Watch something good."),
        ("Sure! Watch something bad.", "Watch something bad."),
    ] {
        world.provider().next([Behaviour::answer(answer)]);
        assert_eq!(world.ask("bob", "what should we watch?").await?.text, line, "{answer}");
    }
    world.provider().next([Behaviour::CutByTokens("A whole sentence. And then it".to_owned())]);
    assert_eq!(world.ask("bob", "and?").await?.text, "A whole sentence.");
    assert_eq!(world.ledger().await?["sent"], 5);
    Ok(())
}

const SAME: &str = "The same old story, again and again.";

/// A world in which every answer is the same, and repetitions are looked for.
async fn of_few_words(config: Value, rooms: &[Room]) -> Result<World> {
    let checks = json!({ "validation": { "check_repetition": true } });
    let world = world(config).config(checks).rooms(rooms.to_vec()).start().await?;
    world.provider().always(Behaviour::answer(SAME));
    Ok(world)
}

#[tokio::test]
async fn an_answer_that_a_room_had_before_is_rejected_in_that_room_only() -> Result {
    let rooms = [Room::new("cytu.be", "Lounge"), Room::new("cytu.be", "Attic")];
    // What is rejected gives back what it had reserved, or the other room would get nothing.
    let world = of_few_words(json!({ "rate_limits": { "global_max_per_hour": 2 } }), &rooms).await?;
    world.ask("bob", "tell me a story").await?;
    for (number, answer) in [(1, "<think>Hm.</think>the SAME old story, again and again!"), (2, SAME)] {
        world.provider().next([Behaviour::answer(answer)]);
        world.mention("bob", "tell me another").await?;
        world
            .wait_for_health(SOON, |health| health["ledger"]["silenced"]["rejected_repetition"] == number)
            .await?;
    }
    let mark = world.robot.says.mark();
    world.robot.chat_in(&rooms[1], "ann", "Cynthia, tell me a story").await?;
    let said = world.robot.wait_for_say(mark, SOON, |_| true).await?;
    assert_eq!((&said.room, &*said.text), (&rooms[1], SAME));
    let ledger = world.ledger().await?;
    assert_eq!((&ledger["fired"], &ledger["sent"]), (&json!(4), &json!(2)), "{ledger}");
    assert_eq!(world.robot.says.count(), 2);
    let health = world.daemon.health().await?;
    assert_eq!((&health["validation_failures"], &health["errors_count"]), (&json!(2), &json!(0)));
    Ok(())
}

#[tokio::test]
async fn of_equal_answers_at_once_one_is_said() -> Result {
    let world = of_few_words(json!({}), &[Room::new("cytu.be", "Lounge")]).await?;
    world.provider().next((0..4).map(|_| Behaviour::Hold(SAME.to_owned())));
    for user in ["ann", "bob", "eve", "joe"] {
        world.mention(user, "tell me a story").await?;
    }
    let mut asked = 0;
    let fourth = |_: &Request| {
        asked += 1;
        asked == 4
    };
    world.provider().wait_for_request(Mark::START, SOON, fourth).await?;
    world.provider().release();
    let ledger = world.ledger().await?;
    let silenced = json!({ "rejected_repetition": 3 });
    assert_eq!((&ledger["fired"], &ledger["sent"], &ledger["silenced"]), (&json!(4), &json!(1), &silenced));
    assert_eq!(world.robot.says.count(), 1);
    Ok(())
}

#[tokio::test]
async fn an_answer_that_the_room_never_had_may_be_said_later() -> Result {
    let world =
        of_few_words(json!({ "outbox": { "stale_seconds": 1 } }), &[Room::new("cytu.be", "Lounge")]).await?;
    world.robot.behave(Manner::Refuses("no".to_owned())).await?;
    world.ask("bob", "tell me a story").await?;
    world.wait_for_health(SOON, |health| health["ledger"]["failed"] == 1).await?;
    world.robot.behave(Manner::Absent).await?;
    world.mention("bob", "tell me a story").await?;
    world.wait_for_health(SOON, |health| health["ledger"]["silenced"]["stale"] == 1).await?;
    world.robot.behave(Manner::Echoes).await?;
    assert_eq!(world.ask("bob", "tell me a story").await?.text, SAME);
    assert_eq!(world.ledger().await?["sent"], 1);
    Ok(())
}
