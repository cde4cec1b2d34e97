//! The socket that systemd listens at.

use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram as Datagram};
use std::time::Duration;

use tokio::net::UnixDatagram;
use tokio::time::timeout;

/// How long systemd may keep a message waiting.
const PATIENCE: Duration = Duration::from_secs(1);

/// Where systemd wants to be told.
#[derive(Debug)]
pub(super) struct NotifySocket(SocketAddr);

impl NotifySocket {
    /// `address` is a path, or the name of an abstract socket behind an `@`.
    pub(super) fn new(address: OsString) -> io::Result<Self> {
        match address.as_bytes() {
            [b'@', name @ ..] => abstract_socket(name),
            [b'/', ..] => SocketAddr::from_pathname(&address),
            _ => Err(io::Error::new(io::ErrorKind::Unsupported, "neither a path nor an abstract socket")),
        }
        .map(Self)
    }

    /// Each message goes out on a socket of its own, so that a systemd that has started itself anew
    /// is reached too. An empty one is none.
    pub(super) async fn send(&self, message: &str) -> io::Result<()> {
        if message.is_empty() {
            return Ok(());
        }
        let socket = Datagram::unbound()?;
        socket.connect_addr(&self.0)?;
        socket.set_nonblocking(true)?;
        let socket = UnixDatagram::from_std(socket)?;
        timeout(PATIENCE, socket.send(message.as_bytes())).await??;
        Ok(())
    }
}

#[cfg(target_os = "linux")]
fn abstract_socket(name: &[u8]) -> io::Result<SocketAddr> {
    <SocketAddr as std::os::linux::net::SocketAddrExt>::from_abstract_name(name)
}

#[cfg(not(target_os = "linux"))]
fn abstract_socket(_: &[u8]) -> io::Result<SocketAddr> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "only Linux has abstract sockets"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_path_and_an_abstract_name_are_both_reached_and_anything_else_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("notify");
        let name = format!("kryten-llm-test-{}", std::process::id());
        let listener = |address: &SocketAddr| Datagram::bind_addr(address).expect("a listener");
        for (address, listener) in [
            (path.clone().into_os_string(), listener(&SocketAddr::from_pathname(&path).expect("a path"))),
            (format!("@{name}").into(), listener(&abstract_socket(name.as_bytes()).expect("a name"))),
        ] {
            NotifySocket::new(address).expect("an address").send("READY=1\n").await.expect("sent");
            let mut buffer = [0; 64];
            let length = listener.recv(&mut buffer).expect("received");
            assert_eq!(&buffer[..length], b"READY=1\n");
        }
        for wrong in ["", "relative", "vsock:2:1234"] {
            assert!(NotifySocket::new(wrong.into()).is_err(), "{wrong}");
        }
    }

    #[tokio::test]
    async fn a_listener_that_is_gone_or_full_holds_up_nobody() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("notify");
        let socket = NotifySocket::new(path.clone().into_os_string()).expect("an address");
        assert!(socket.send("READY=1\n").await.is_err(), "nobody listens");
        let _listener = Datagram::bind(&path).expect("a listener");
        let full = async { while socket.send("WATCHDOG=1\n").await.is_ok() {} };
        timeout(10 * PATIENCE, full).await.expect("a full queue is an error, in time");
    }
}
