//! Ports for listeners that go away and come back.

use std::net::{Ipv4Addr, TcpListener};
use std::sync::atomic::{AtomicU16, Ordering};

use crate::error::{Error, Result};

/// Below the range from which systems take ports for outgoing connections. A client that tries again
/// and again to reach a closed port of that range can end up connected to itself, and then the
/// server can't have its port back.
const FIRST: u16 = 20_000;
const COUNT: u16 = 12_000;

static NEXT: AtomicU16 = AtomicU16::new(0);

/// A loopback port on which nobody listens at the moment. Somebody else may still take it before
/// the caller does: try again then.
pub fn free() -> Result<u16> {
    // Processes begin far from each other: a server that is stopped for a moment wants its port back.
    let start = (std::process::id().wrapping_mul(7919) % u32::from(COUNT)) as u16;
    for _ in 0..COUNT {
        let step = NEXT.fetch_add(1, Ordering::Relaxed) % COUNT;
        let port = FIRST + (start + step) % COUNT;
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return Ok(port);
        }
    }
    Err(Error::new(format!("no free port between {FIRST} and {}", FIRST + COUNT)))
}
