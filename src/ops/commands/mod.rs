//! The command subject: what a person or a panel asks of the running service.

pub mod request;
