//! Many messages at once.

use kryten_testkit::nats::round_trip;
use kryten_testkit::world::{SOON, World};
use kryten_testkit::{Context as _, Result};

/// Publishes `count` messages as fast as the server takes them, and waits until it has them all.
pub async fn flood(world: &World, count: u64, message: impl Fn(u64) -> (String, String)) -> Result {
    let client = world.server.client().await?;
    for number in 0..count {
        let (subject, body) = message(number);
        client.publish(subject, body.into()).await.context("publishing a flood")?;
    }
    round_trip(&client, SOON).await
}
