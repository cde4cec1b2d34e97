//! What operators and their tools ask us over HTTP, and what systemd is told.

pub mod commands;
mod document;
mod guard;
pub mod http;
mod server;
pub mod systemd;

#[cfg(test)]
mod http_tests;
