//! Ports for listeners that go away and come back, or that never come.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicU16, Ordering};

use crate::error::{Error, Result};

/// Below the range from which systems take ports for outgoing connections. A client that tries again
/// and again to reach a closed port of that range can end up connected to itself, and then the
/// server can't have its port back.
const FIRST: u16 = 20_000;
const COUNT: u16 = 12_000;

static NEXT: AtomicU16 = AtomicU16::new(0);

/// A loopback port for TCP that nobody else gets from [`free`], in this process or another, while it is
/// held: whether a listener uses it at the moment or not.
#[derive(Debug)]
pub struct Port {
    number: u16,
    // The UDP port of the same number, which nothing here uses, stands for the claim: the system gives
    // it to one process only, and takes it back however that ends.
    _claim: UdpSocket,
}

impl Port {
    /// Its number.
    pub fn number(&self) -> u16 {
        self.number
    }

    /// Where to listen on it.
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.number))
    }
}

impl fmt::Display for Port {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.number.fmt(formatter)
    }
}

/// A loopback port on which nobody listens.
///
/// # Errors
/// When none of the range is free.
pub fn free() -> Result<Port> {
    // Processes begin far from each other, so that few meet.
    let start = (std::process::id().wrapping_mul(7919) % u32::from(COUNT)) as u16;
    for _ in 0..COUNT {
        let step = NEXT.fetch_add(1, Ordering::Relaxed) % COUNT;
        if let Some(port) = claim(FIRST + (start + step) % COUNT) {
            return Ok(port);
        }
    }
    Err(Error::new(format!("no free port between {FIRST} and {}", FIRST + COUNT)))
}

/// The port of this number, when nobody has claimed it and nobody listens on it.
///
/// To find that out we don't listen ourselves: a process that is started meanwhile would have the listener
/// too, for a moment, and keep the holder of the port from it.
fn claim(number: u16) -> Option<Port> {
    let claim = UdpSocket::bind((Ipv4Addr::LOCALHOST, number)).ok()?;
    let is_refused = TcpStream::connect((Ipv4Addr::LOCALHOST, number)).is_err();
    is_refused.then_some(Port { number, _claim: claim })
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn a_port_is_nobody_elses_while_it_is_held_though_nobody_listens_on_it() {
        let held = free().unwrap();
        TcpListener::bind(held.address()).expect("its holder can listen");
        assert!(claim(held.number()).is_none());
    }

    #[test]
    fn a_port_on_which_somebody_listens_is_passed_over() {
        let held = free().unwrap();
        let number = held.number();
        let _listener = TcpListener::bind(held.address()).unwrap();
        drop(held);
        assert!(claim(number).is_none());
    }
}
