//! Alerts on the bus. While the link is away they wait, and are told in their order when it is back, also
//! those that are over by then: who listens there learns of the outage.

use std::sync::Arc;

use tracing::warn;

use super::{Alerts, Waiting};
use crate::bus::wire::Identity;
use crate::bus::{Bus, PublishError};
use crate::clock::Clock;
use crate::health::HealthMonitor;

/// Publishes what waits, for ever. What may not have arrived, because the link was lost behind it, is
/// published again.
pub(super) async fn tell(
    mut waiting: Waiting,
    identity: Arc<Identity>,
    bus: Bus,
    clock: Clock,
    health: HealthMonitor,
) {
    let subject = Alerts::subject(&identity);
    loop {
        let alert = waiting.next().await;
        loop {
            bus.proven_since(clock.now().elapsed).await;
            let connection = bus.link().connection;
            match bus.publish(&subject, alert.to_bytes(&identity, clock.now())).await {
                Ok(()) if bus.proves(connection, clock.now().elapsed).await => break,
                Ok(()) | Err(PublishError::LinkDown | PublishError::Stuck) => {}
                Err(error @ PublishError::Refused) => {
                    warn!(%error, "an alert could not be published");
                    health.alerts_undelivered(1);
                    break;
                }
            }
        }
    }
}
