//! The proxy freezes, cuts, delays and refuses, seen from both of its ends.

use std::io::ErrorKind;
use std::time::{Duration, Instant};

use kryten_testkit::nats::{Server, round_trip};
use kryten_testkit::{Context as _, Direction, Proxy, Result, within};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

const SOON: Duration = Duration::from_secs(10);
/// Long enough for a byte on the loopback that should not have come.
const A_WHILE: Duration = Duration::from_millis(150);

/// A proxy in front of a plain listener.
struct Pair {
    proxy: Proxy,
    listener: TcpListener,
}

impl Pair {
    async fn new() -> Result<Pair> {
        let listener = TcpListener::bind("127.0.0.1:0").await.context("listening")?;
        let proxy = Proxy::start(listener.local_addr().context("listening")?).await?;
        Ok(Pair { proxy, listener })
    }

    /// Both ends of one connection.
    async fn connection(&self) -> Result<(TcpStream, TcpStream)> {
        let client = TcpStream::connect(self.proxy.address()).await.context("connecting")?;
        let (server, _) = within(SOON, "the connection behind the proxy", self.listener.accept())
            .await?
            .context("accepting")?;
        Ok((client, server))
    }
}

async fn pass(from: &mut TcpStream, to: &mut TcpStream, byte: u8) -> Result {
    from.write_u8(byte).await.context("sending")?;
    let seen = within(SOON, "a byte through the proxy", to.read_u8()).await?.context("receiving")?;
    assert_eq!(seen, byte);
    Ok(())
}

async fn stalls(from: &mut TcpStream, to: &mut TcpStream, byte: u8) -> Result {
    from.write_u8(byte).await.context("sending")?;
    let seen = tokio::time::timeout(A_WHILE, to.read_u8()).await;
    assert!(seen.is_err(), "a frozen proxy let something through: {seen:?}");
    Ok(())
}

async fn arrives(to: &mut TcpStream, byte: u8) -> Result {
    let seen = within(SOON, "the byte that was held", to.read_u8()).await?.context("receiving")?;
    assert_eq!(seen, byte);
    Ok(())
}

#[tokio::test]
async fn each_direction_freezes_alone_and_thaws_with_nothing_lost() -> Result {
    let pair = Pair::new().await?;
    let (mut client, mut server) = pair.connection().await?;
    pair.proxy.freeze(Direction::Up);
    stalls(&mut client, &mut server, b'1').await?;
    pass(&mut server, &mut client, b'2').await?;
    pair.proxy.thaw();
    arrives(&mut server, b'1').await?;
    pair.proxy.freeze(Direction::Down);
    stalls(&mut server, &mut client, b'3').await?;
    pass(&mut client, &mut server, b'4').await?;
    pair.proxy.thaw();
    arrives(&mut client, b'3').await
}

#[tokio::test]
async fn while_frozen_new_connections_are_mute_and_ends_are_not_passed_on() -> Result {
    let pair = Pair::new().await?;
    let (client, mut server) = pair.connection().await?;
    pair.proxy.freeze(Direction::Both);
    drop(client);
    let seen = tokio::time::timeout(A_WHILE, server.read_u8()).await;
    assert!(seen.is_err(), "the end of the client was seen: {seen:?}");
    let (mut late_client, mut late_server) = pair.connection().await?;
    stalls(&mut late_client, &mut late_server, b'1').await?;
    stalls(&mut late_server, &mut late_client, b'2').await?;
    pair.proxy.thaw();
    arrives(&mut late_server, b'1').await?;
    arrives(&mut late_client, b'2').await?;
    let end = within(SOON, "the end of the first client", server.read_u8()).await?;
    assert_eq!(end.map_err(|error| error.kind()), Err(ErrorKind::UnexpectedEof));
    Ok(())
}

#[tokio::test]
async fn a_frozen_proxy_stops_reading_so_that_senders_pile_up() -> Result {
    let pair = Pair::new().await?;
    let (mut client, _server) = pair.connection().await?;
    pair.proxy.freeze(Direction::Up);
    // Far more than the systems' buffers hold.
    let much = vec![0; 64 << 20];
    let written = tokio::time::timeout(A_WHILE, client.write_all(&much)).await;
    assert!(written.is_err(), "64 MiB went into a frozen proxy");
    Ok(())
}

#[tokio::test]
async fn a_cut_resets_both_sides_even_while_frozen_and_new_ones_are_welcome() -> Result {
    let pair = Pair::new().await?;
    for freeze in [false, true] {
        let (mut client, mut server) = pair.connection().await?;
        if freeze {
            pair.proxy.freeze(Direction::Both);
        }
        pair.proxy.cut().await?;
        for (side, stream) in [("client", &mut client), ("server", &mut server)] {
            let seen = within(SOON, format!("the cut on the {side}'s side"), stream.read_u8()).await?;
            assert_eq!(
                seen.map_err(|error| error.kind()),
                Err(ErrorKind::ConnectionReset),
                "{side}, frozen: {freeze}"
            );
        }
        pair.proxy.thaw();
    }
    let (mut client, mut server) = pair.connection().await?;
    pass(&mut client, &mut server, b'!').await?;
    assert_eq!((pair.proxy.open(), pair.proxy.accepted()), (1, 3));
    Ok(())
}

#[tokio::test]
async fn it_refuses_new_connections_keeps_the_old_and_admits_again_on_its_port() -> Result {
    let pair = Pair::new().await?;
    let (mut client, mut server) = pair.connection().await?;
    pair.proxy.refuse().await?;
    let refused = TcpStream::connect(pair.proxy.address()).await.map(drop).map_err(|error| error.kind());
    assert_eq!(refused, Err(ErrorKind::ConnectionRefused));
    pass(&mut client, &mut server, b'!').await?;
    pair.proxy.admit().await?;
    let (mut client, mut server) = pair.connection().await?;
    pass(&mut server, &mut client, b'!').await?;
    pair.proxy.wait_for_accepted(2, SOON).await
}

#[tokio::test]
async fn a_delay_holds_each_way_without_thinning_out_the_stream() -> Result {
    let pair = Pair::new().await?;
    let (mut client, mut server) = pair.connection().await?;
    let delay = Duration::from_millis(200);
    pair.proxy.delay(Direction::Up, delay);
    let started = Instant::now();
    pass(&mut server, &mut client, b'1').await?;
    assert!(started.elapsed() < delay, "the other way was delayed as well");
    let started = Instant::now();
    let writer = async {
        for byte in 0..20 {
            client.write_u8(byte).await.context("sending")?;
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Ok(())
    };
    let reader = async {
        for byte in 0..20 {
            arrives(&mut server, byte).await?;
            assert!(started.elapsed() >= delay, "byte {byte} came after {:?}", started.elapsed());
        }
        Result::Ok(started.elapsed())
    };
    let (_, took) = tokio::try_join!(writer, reader)?;
    assert!(took < delay * 5, "each byte waited for the one before: {took:?}");
    Ok(())
}

#[tokio::test]
async fn a_target_that_is_away_shows_as_a_connection_that_breaks_at_once() -> Result {
    let pair = Pair::new().await?;
    drop(pair.listener);
    let mut client = TcpStream::connect(pair.proxy.address()).await.context("connecting")?;
    let seen = within(SOON, "the break", client.read_u8()).await?;
    assert_eq!(seen.map_err(|error| error.kind()), Err(ErrorKind::ConnectionReset));
    Ok(())
}

#[tokio::test]
async fn a_client_of_a_real_server_hangs_through_a_frozen_proxy_and_goes_on_after() -> Result {
    let server = Server::start().await?;
    let proxy = Proxy::start(server.address()).await?;
    let client = async_nats::connect(server.url_at(proxy.address())).await.context("connecting")?;
    round_trip(&client, SOON).await?;
    for direction in [Direction::Up, Direction::Down, Direction::Both] {
        proxy.freeze(direction);
        assert!(round_trip(&client, A_WHILE).await.is_err(), "frozen {direction:?}, but an echo came back");
        assert_eq!(client.connection_state(), async_nats::connection::State::Connected);
        proxy.thaw();
        round_trip(&client, SOON).await?;
    }
    assert_eq!(proxy.accepted(), 1);
    Ok(())
}
