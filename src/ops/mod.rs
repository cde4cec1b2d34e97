//! What operators and their tools ask us over HTTP.

mod document;
mod guard;
pub mod http;
mod server;

#[cfg(test)]
mod http_tests;
