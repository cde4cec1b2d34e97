//! Many messages at once.

use std::time::Duration;

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

/// The same, `per_second` of them each second.
pub async fn steady_flood(
    world: &World,
    count: u64,
    per_second: u64,
    message: impl Fn(u64) -> (String, String),
) -> Result {
    const TICKS_PER_SECOND: u64 = 100;
    let client = world.server.client().await?;
    let mut ticks = tokio::time::interval(Duration::from_millis(1_000 / TICKS_PER_SECOND));
    for number in 0..count {
        if number % (per_second / TICKS_PER_SECOND).max(1) == 0 {
            ticks.tick().await;
        }
        let (subject, body) = message(number);
        client.publish(subject, body.into()).await.context("publishing a flood")?;
    }
    round_trip(&client, SOON).await
}
