//! `kryten-llm send`: a chat line into a room, as if the robot had passed it on.

use kryten_testkit::world::{BOT, SOON, World};
use kryten_testkit::{Exit, Mark, Result, Room};

use crate::BINARY;

#[tokio::test]
async fn a_line_is_taken_for_a_real_one_and_the_answer_is_shown() -> Result {
    let world = World::of(BINARY).start().await?;
    let text = "Cynthia, is 2 < 3 (really) & so on?";
    let send = world.daemon.beside(&["send", "--user", "bob", "--rank", "2", "--wait", "3", text])?;
    let asked = world.provider().wait_for_request(Mark::START, SOON, |_| true).await?;
    assert!(asked.prompt().contains("\"is 2 < 3 (really) & so on\""), "{}", asked.prompt());
    let said = world.robot.wait_for_say(Mark::START, SOON, |_| true).await?;
    assert_eq!(send.wait_exit(SOON).await?, Exit::Code(0));
    let shown = send.stdout();
    let lines: Vec<&str> = shown.lines().collect();
    assert_eq!(lines, [format!("sent to cytu.be/Lounge: bob: {text}"), format!("{BOT}: {}", said.text)]);
    let line = world.recorder.wait_for("kryten.events.cytube.lounge.chatmsg", SOON, |_| true).await?;
    assert_eq!(line.json["payload"]["rank"], 2.0);
    assert!(
        line.text("/payload/msg").contains("2 &lt; 3") && !line.text("/payload/msg").contains('<'),
        "{line}"
    );
    assert_eq!(world.ledger().await?["sent"], 1);
    Ok(())
}

#[tokio::test]
async fn the_room_is_chosen_by_name_and_others_are_not_shown() -> Result {
    let rooms = [Room::new("cytu.be", "Lounge"), Room::new("cytu.be", "Movie.Night")];
    let world = World::of(BINARY).rooms(rooms.clone()).start().await?;
    for wanted in ["Movie.Night", "movienight", "cytu.be/Movie.Night"] {
        let mark = world.recorder.mark();
        let send = world.daemon.beside(&["send", "--room", wanted, "hello"])?;
        assert_eq!(send.wait_exit(SOON).await?, Exit::Code(0), "{wanted}: {:?}", send.lines.all());
        assert_eq!(send.stdout(), "sent to cytu.be/Movie.Night: tester: hello\n");
        let subject = rooms[1].subject("chatmsg");
        let line = world.recorder.wait_since(mark, &subject, SOON, |_| true).await?;
        assert_eq!(line.text("/payload/username"), "tester");
    }
    let send = world.daemon.beside(&["send", "--wait", "2", "hello"])?;
    world.recorder.wait_for(&rooms[0].subject("chatmsg"), SOON, |_| true).await?;
    world.robot.chat_in(&rooms[1], "carol", "elsewhere").await?;
    world.robot.chat_in(&rooms[0], "carol", "\u{1b}[2Jhere &amp; now").await?;
    assert_eq!(send.wait_exit(SOON).await?, Exit::Code(0));
    assert_eq!(send.stdout(), "sent to cytu.be/Lounge: tester: hello\ncarol: \\u{1b}[2Jhere & now\n");
    Ok(())
}

#[tokio::test]
async fn an_unknown_room_is_a_bad_command_line() -> Result {
    let world = World::of(BINARY).start().await?;
    for arguments in
        [&["send", "--room", "elsewhere", "hello"][..], &["send"], &["send", "--wait", "0", "hello"]]
    {
        let send = world.daemon.beside(arguments)?;
        assert_eq!(send.wait_exit(SOON).await?, Exit::Code(2), "{arguments:?}");
        assert_eq!(send.stdout(), "", "{arguments:?}");
    }
    world.recorder.none_since(Mark::START, "kryten.events.>").await
}
