//! The Kryten services on the bus, and how each is.

mod table;

pub use table::{Row, SILENT_AFTER_SECONDS, Standing, Table, Verdict, verdict};
