//! Health: what happened, what state that makes, and one snapshot of it (REQ-003, REQ-010).
//!
//! Everything reports to the [`HealthMonitor`]; nothing else computes health. It knows neither
//! the runtime nor the bus nor HTTP, and gets the time as an argument.

mod books;
mod component;
mod ledger;
mod monitor;
mod news;
mod progress;
mod reply_times;
mod snapshot;
mod state;
mod text;
mod transition;
mod window;

#[cfg(test)]
mod tests;

pub use component::{Component, ComponentSet};
pub use ledger::{Ledger, LineCounts, LineFate, ReasonCounts, TokenCounts};
pub use monitor::{HealthMonitor, LinkHealth};
pub use news::{Change, News, missed};
pub use progress::Progress;
pub use snapshot::{AlertCounts, ComponentHealth, PausedRoom, ProviderHealth, Snapshot};
pub use state::{ProviderStatus, State};
pub use text::{cut, listed, shortened};
pub use transition::Transition;
