//! One connection: who is on it, and for how long.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep};

use super::server::REQUEST_TIME;

/// For how long a connection may last. Goes with each request.
#[derive(Debug, Clone, Default)]
pub(super) struct Patience(Arc<Standing>);

/// How far a client is.
#[derive(Debug, Default)]
struct Standing {
    is_answered: AtomicBool,
    is_listener: AtomicBool,
}

impl Patience {
    /// From now on the client listens to events.
    pub(super) fn listens(&self) {
        self.0.is_listener.store(true, Ordering::Relaxed);
    }

    /// Whether it does.
    pub(super) fn is_listener(&self) -> bool {
        self.0.is_listener.load(Ordering::Relaxed)
    }

    /// Whether the client has asked, and an answer has begun.
    pub(super) fn is_answered(&self) -> bool {
        self.0.is_answered.load(Ordering::Relaxed)
    }
}

/// The bytes from and to a client. Some of an answer has to be taken within each [`REQUEST_TIME`]. Of what
/// listeners are sent, all that there is at a time has to be, however many bytes of it go now and then: so one
/// that was let go, or falls behind, does not hold its place any longer.
pub(super) struct Client {
    stream: TcpStream,
    patience: Patience,
    /// By when it must have been taken, once that is counted.
    deadline: Pin<Box<Sleep>>,
    /// Whether something waits to be taken, so that the deadline stands.
    is_due: bool,
}

impl Client {
    /// On this connection.
    pub(super) fn new(stream: TcpStream, patience: Patience) -> Self {
        Self { stream, patience, deadline: Box::pin(sleep(REQUEST_TIME)), is_due: false }
    }

    /// What became of a write, unless what is being sent has been so for too long.
    fn in_time(
        &mut self,
        context: &mut Context<'_>,
        written: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        self.patience.0.is_answered.store(true, Ordering::Relaxed);
        if !self.is_due {
            self.is_due = true;
            self.deadline.as_mut().reset(Instant::now() + REQUEST_TIME);
        }
        if written.is_ready() {
            self.is_due = self.patience.is_listener();
        } else if self.deadline.as_mut().poll(context).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        written
    }

    /// Whether a listener has hung up. Wakes the task when it does: nobody else reads what a client
    /// sends behind its request, and its place should be free at once.
    fn has_hung_up(&self, context: &mut Context<'_>) -> bool {
        let mut byte = [0];
        let mut behind_the_request = ReadBuf::new(&mut byte);
        match self.stream.poll_peek(context, &mut behind_the_request) {
            Poll::Pending => false,
            Poll::Ready(Ok(bytes)) => bytes == 0,
            Poll::Ready(Err(_)) => true,
        }
    }
}

impl AsyncRead for Client {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Client {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.in_time(context, written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.patience.is_listener() && self.has_hung_up(context) {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        // Asked for once nothing is left to write.
        self.is_due = false;
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, buffers);
        self.in_time(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
