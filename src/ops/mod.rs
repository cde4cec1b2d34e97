//! What operators and their tools ask us over HTTP.

pub mod commands;
mod document;
mod guard;
pub mod http;
mod server;

#[cfg(test)]
mod http_tests;
