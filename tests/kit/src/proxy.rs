//! A TCP proxy that can freeze, cut, delay and refuse what passes through it.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::error::{Context, Error, Result, within};
use crate::ports::{self, Port};

const PATIENCE: Duration = Duration::from_secs(10);
/// How many chunks may be under way in one direction of a slow connection.
const UNDER_WAY: usize = 1024;
const CHUNK: usize = 16 * 1024;

/// Which way bytes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From the client to the server.
    Up,
    /// From the server to the client.
    Down,
    /// Either way.
    Both,
}

/// What holds for all connections.
#[derive(Debug, Clone, Copy, Default)]
struct Controls {
    up: Way,
    down: Way,
    refusing: bool,
    /// How often all connections were cut.
    cuts: u64,
}

/// What holds for one direction.
#[derive(Debug, Clone, Copy, Default)]
struct Way {
    frozen: bool,
    delay: Duration,
}

impl Controls {
    /// What holds for `direction`, which is one of the two.
    fn way(&self, direction: Direction) -> Way {
        if direction == Direction::Up { self.up } else { self.down }
    }

    fn ways(&mut self, direction: Direction) -> impl Iterator<Item = &mut Way> {
        let up = (direction != Direction::Down).then_some(&mut self.up);
        let down = (direction != Direction::Up).then_some(&mut self.down);
        up.into_iter().chain(down)
    }
}

/// What the proxy's own task has come to.
#[derive(Debug, Clone, Copy, Default)]
struct Progress {
    accepted: u64,
    open: usize,
    refusing: bool,
    cuts: u64,
}

/// The proxy. Dropping it closes its port and its connections.
#[derive(Debug)]
pub struct Proxy {
    port: Port,
    controls: watch::Sender<Controls>,
    progress: watch::Receiver<Progress>,
    _task: JoinSet<()>,
}

impl Proxy {
    /// A proxy in front of `target`, on a port of its own that stays the same.
    pub async fn start(target: SocketAddr) -> Result<Proxy> {
        let what = "starting a proxy";
        let port = ports::free()?;
        let address = port.address();
        let listener = TcpListener::bind(address).await.context(what)?;
        let (controls, controlled) = watch::channel(Controls::default());
        let (progress_made, progress) = watch::channel(Progress::default());
        let mut task = JoinSet::new();
        task.spawn(serve(listener, address, target, controlled, progress_made));
        Ok(Proxy { port, controls, progress, _task: task })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.port.address()
    }

    /// Stops moving bytes: both ends see a stall, not an end, and what they send piles up in front
    /// of the proxy. New connections are accepted and meet the same.
    pub fn freeze(&self, direction: Direction) {
        self.controls.send_modify(|controls| controls.ways(direction).for_each(|way| way.frozen = true));
    }

    /// Moves bytes again, those that piled up first.
    pub fn thaw(&self) {
        self.controls
            .send_modify(|controls| controls.ways(Direction::Both).for_each(|way| way.frozen = false));
    }

    /// Everything arrives this much later, in order and without being thinned out.
    pub fn delay(&self, direction: Direction, delay: Duration) {
        self.controls.send_modify(|controls| controls.ways(direction).for_each(|way| way.delay = delay));
    }

    /// Resets all connections, on both sides. New ones are welcome.
    pub async fn cut(&self) -> Result {
        self.controls.send_modify(|controls| controls.cuts += 1);
        let cuts = self.controls.borrow().cuts;
        self.reached("all connections to be cut", |progress| progress.cuts >= cuts).await
    }

    /// Refuses new connections, as a port where nobody listens, until [`Proxy::admit`]. Those that
    /// are there stay.
    pub async fn refuse(&self) -> Result {
        self.controls.send_modify(|controls| controls.refusing = true);
        self.reached("the proxy to refuse connections", |progress| progress.refusing).await
    }

    /// Accepts connections again.
    pub async fn admit(&self) -> Result {
        self.controls.send_modify(|controls| controls.refusing = false);
        self.reached("the proxy to accept connections", |progress| !progress.refusing).await
    }

    /// How many connections are open now.
    pub fn open(&self) -> usize {
        self.progress.borrow().open
    }

    /// How many connections were accepted so far.
    pub fn accepted(&self) -> u64 {
        self.progress.borrow().accepted
    }

    /// Waits until `count` connections were accepted since the start.
    pub async fn wait_for_accepted(&self, count: u64, deadline: Duration) -> Result {
        let mut progress = self.progress.clone();
        let what = format!("connection {count} to the proxy");
        let reached = within(deadline, &what, progress.wait_for(|progress| progress.accepted >= count)).await;
        match reached {
            Ok(_) => Ok(()),
            Err(error) => Err(Error::new(format!("{error}, {} were accepted", self.accepted()))),
        }
    }

    async fn reached(&self, what: &str, wanted: impl FnMut(&Progress) -> bool) -> Result {
        let mut progress = self.progress.clone();
        within(PATIENCE, what, progress.wait_for(wanted)).await?.context(what)?;
        Ok(())
    }
}

async fn serve(
    listener: TcpListener,
    address: SocketAddr,
    target: SocketAddr,
    mut controls: watch::Receiver<Controls>,
    progress: watch::Sender<Progress>,
) {
    let mut listener = Some(listener);
    let mut connections = JoinSet::new();
    loop {
        let wanted = *controls.borrow_and_update();
        if wanted.refusing {
            listener = None;
        } else if listener.is_none() {
            listener = TcpListener::bind(address).await.ok();
        }
        if wanted.cuts != progress.borrow().cuts {
            // They see the cut too, and end.
            while connections.join_next().await.is_some() {}
        }
        progress.send_modify(|progress| {
            progress.open = connections.len();
            progress.refusing = listener.is_none();
            progress.cuts = wanted.cuts;
        });
        tokio::select! {
            changed = controls.changed() => if changed.is_err() { return },
            stream = accept(listener.as_ref()) => {
                connections.spawn(carry(stream, target, controls.clone(), wanted.cuts));
                progress.send_modify(|progress| progress.accepted += 1);
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

/// The next connection; never one when there is no listener.
async fn accept(listener: Option<&TcpListener>) -> TcpStream {
    let Some(listener) = listener else { return std::future::pending().await };
    loop {
        if let Ok((stream, _)) = listener.accept().await {
            return stream;
        }
    }
}

/// Carries one connection until both sides are done, one of them breaks off, or it is cut.
async fn carry(mut client: TcpStream, target: SocketAddr, controls: watch::Receiver<Controls>, cuts: u64) {
    let Ok(mut server) = TcpStream::connect(target).await else {
        let _ = client.set_zero_linger();
        return;
    };
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let proper_end = {
        let (client_reader, client_writer) = client.split();
        let (server_reader, server_writer) = server.split();
        let mut cut = controls.clone();
        let carrying = async {
            tokio::try_join!(
                pump(client_reader, server_writer, Direction::Up, controls.clone()),
                pump(server_reader, client_writer, Direction::Down, controls),
            )
        };
        tokio::select! {
            result = carrying => result.is_ok(),
            () = until(&mut cut, |controls| controls.cuts != cuts) => false,
        }
    };
    if !proper_end {
        let _ = (client.set_zero_linger(), server.set_zero_linger());
    }
}

/// Moves bytes one way until their source ends, and passes the end on.
async fn pump(
    mut from: ReadHalf<'_>,
    mut to: WriteHalf<'_>,
    direction: Direction,
    controls: watch::Receiver<Controls>,
) -> io::Result<()> {
    let (queue, mut queued) = mpsc::channel::<(Instant, Vec<u8>)>(UNDER_WAY);
    let mut reading = controls.clone();
    let read = async move {
        let mut chunk = vec![0; CHUNK];
        loop {
            until(&mut reading, |controls| !controls.way(direction).frozen).await;
            let mut freezing = reading.clone();
            let length = tokio::select! {
                // First the freeze: once it is asked for, nothing more is read.
                biased;
                () = until(&mut freezing, |controls| controls.way(direction).frozen) => continue,
                length = from.read(&mut chunk) => length?,
            };
            let due = Instant::now() + reading.borrow().way(direction).delay;
            if length == 0 || queue.send((due, chunk[..length].to_vec())).await.is_err() {
                return io::Result::Ok(());
            }
        }
    };
    let mut writing = controls;
    let write = async move {
        while let Some((due, bytes)) = queued.recv().await {
            tokio::time::sleep_until(due).await;
            until(&mut writing, |controls| !controls.way(direction).frozen).await;
            to.write_all(&bytes).await?;
        }
        to.shutdown().await
    };
    tokio::try_join!(read, write).map(drop)
}

async fn until(controls: &mut watch::Receiver<Controls>, wanted: impl FnMut(&Controls) -> bool) {
    if controls.wait_for(wanted).await.is_err() {
        // The proxy is gone, and this connection is about to be.
        std::future::pending::<()>().await;
    }
}
