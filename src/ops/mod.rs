//! What operators and their tools ask us over HTTP, and what systemd is told.

pub mod commands;
mod document;
pub mod figures;
pub mod http;
pub mod providers;
pub mod remembered;
mod status;
pub mod systemd;
