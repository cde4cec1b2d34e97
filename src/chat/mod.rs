//! The bot's decisions: from a message in a room to a reply, or to a silence with a name.
//!
//! Nothing here waits, sends, or looks at a clock: time and chance come in as arguments.

pub mod event;
pub mod format;
pub mod html;
