//! From start to stop on a good day.

use kryten_testkit::world::{SOON, World};
use kryten_testkit::{Exit, Mark, Result};

use crate::BINARY;

#[tokio::test]
async fn a_mention_is_answered_and_the_stop_is_graceful() -> Result {
    let world = World::of(BINARY).start().await?;
    let said = world.ask("bob", "what should we watch?").await?;
    assert!(!said.text.is_empty());
    assert_eq!(world.ledger().await?["sent"], 1);
    let exit = world.stop().await?;
    assert_eq!(exit, Exit::Code(0));
    let bye = world.recorder.wait_since(Mark::START, "kryten.lifecycle.*.shutdown", SOON, |_| true).await?;
    assert_eq!(bye.text("/reason"), "SIGTERM");
    Ok(())
}
