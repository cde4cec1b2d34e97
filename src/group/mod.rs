//! The Kryten services on the bus, and how each is.

mod listen;
mod table;

pub use listen::{GroupTask, ServiceRow, ServicesView};
pub use table::{Row, SILENT_AFTER_SECONDS, Standing, Table, Verdict, verdict};
