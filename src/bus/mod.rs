//! To come.

pub mod subjects;
pub mod wire;
