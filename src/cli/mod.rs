//! To come.

pub mod check_config;
