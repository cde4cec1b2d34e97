//! The private nats-server does what its methods say, seen by a plain client.

use std::time::Duration;

use async_nats::{Client, ConnectOptions, Event};
use futures_util::StreamExt as _;
use kryten_testkit::nats::{Auth, NKEY_SEED, Server, Settings, TOKEN, USER, round_trip};
use kryten_testkit::process::Exit;
use kryten_testkit::{Context as _, Result, within};
use tokio::sync::mpsc;

const SOON: Duration = Duration::from_secs(10);

/// A client whose events can be awaited.
async fn watched(options: ConnectOptions, server: &Server) -> Result<(Client, mpsc::Receiver<Event>)> {
    let (sender, events) = mpsc::channel(1024);
    let client = options
        .reconnect_delay_callback(|_| Duration::from_millis(5))
        .event_callback(move |event| {
            let _ = sender.try_send(event);
            async {}
        })
        .connect(server.url())
        .await
        .context("connecting a plain client")?;
    Ok((client, events))
}

async fn event(events: &mut mpsc::Receiver<Event>, what: &str, wanted: impl Fn(&Event) -> bool) -> Result {
    let search = async {
        loop {
            if wanted(&events.recv().await.expect("the client lives as long as the test")) {
                return;
            }
        }
    };
    within(SOON, what, search).await
}

#[tokio::test]
async fn two_servers_carry_messages_and_do_not_meet() -> Result {
    let (one, other) = tokio::try_join!(Server::start(), Server::start())?;
    assert_ne!(one.address(), other.address());
    let (here, there) = (one.client().await?, other.client().await?);
    let mut heard = here.subscribe("word").await.context("subscribing")?;
    round_trip(&here, SOON).await?;
    there.publish("word", "from the other".into()).await.context("publishing")?;
    round_trip(&there, SOON).await?;
    here.publish("word", "from here".into()).await.context("publishing")?;
    let message = within(SOON, "the word", heard.next()).await?.expect("still subscribed");
    assert_eq!(message.payload, "from here");
    Ok(())
}

#[tokio::test]
async fn a_stopped_or_killed_server_comes_back_on_its_port_with_its_jetstream_data() -> Result {
    let mut server = Server::start_with(Settings { jetstream: true, ..Settings::default() }).await?;
    let address = server.address();
    let client = server.client().await?;
    let folder = server.file("jetstream");
    client
        .request("$JS.API.STREAM.CREATE.kept", r#"{"name":"kept","subjects":["kept"]}"#.into())
        .await
        .context("creating a stream")?;
    assert_eq!(server.stop().await?, Exit::Code(0));
    server.restart().await?;
    assert_eq!(server.kill().await?, Exit::Signal(9));
    server.restart().await?;
    assert_eq!(server.address(), address);
    round_trip(&client, SOON).await?;
    let info =
        client.request("$JS.API.STREAM.INFO.kept", "".into()).await.context("asking for the stream")?;
    assert!(String::from_utf8_lossy(&info.payload).contains(r#""subjects":["kept"]"#), "{info:?}");
    drop(server);
    assert!(!folder.exists(), "a dropped server leaves its folder behind");
    Ok(())
}

#[tokio::test]
async fn a_paused_server_is_mute_but_keeps_its_connections() -> Result {
    let server = Server::start().await?;
    let client = server.client().await?;
    round_trip(&client, SOON).await?;
    server.pause()?;
    assert!(round_trip(&client, Duration::from_millis(300)).await.is_err(), "a paused server answered");
    assert_eq!(client.connection_state(), async_nats::connection::State::Connected);
    server.resume()?;
    round_trip(&client, SOON).await
}

#[tokio::test]
async fn a_lame_duck_says_so_to_its_clients_and_ends() -> Result {
    let server = Server::start().await?;
    let (_client, mut events) = watched(ConnectOptions::new(), &server).await?;
    server.lame_duck().await?;
    event(&mut events, "the lame duck event", |event| matches!(event, Event::LameDuckMode)).await?;
    event(&mut events, "the end of the connection", |event| matches!(event, Event::Disconnected)).await
}

#[tokio::test]
async fn each_kind_of_sign_in_is_asked_for_and_accepted() -> Result {
    let credentials = [
        (Auth::UserPassword, ConnectOptions::with_user_and_password(USER.0.to_owned(), USER.1.to_owned())),
        (Auth::Token, ConnectOptions::with_token(TOKEN.to_owned())),
        (Auth::Nkey, ConnectOptions::with_nkey(NKEY_SEED.to_owned())),
    ];
    for (auth, options) in credentials {
        let server = Server::start_with(Settings { auth, ..Settings::default() }).await?;
        let refused = ConnectOptions::new().connect(server.url()).await;
        assert!(refused.is_err(), "{auth:?} let somebody in without credentials");
        let client = options.connect(server.url()).await.context(format!("signing in with {auth:?}"))?;
        round_trip(&client, SOON).await?;
        round_trip(&server.client().await?, SOON).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_reload_takes_a_subject_away_or_refuses_the_password() -> Result {
    let mut server = Server::start_with(Settings { auth: Auth::UserPassword, ..Settings::default() }).await?;
    let options = ConnectOptions::with_user_and_password(USER.0.to_owned(), USER.1.to_owned());
    let (client, mut events) = watched(options, &server).await?;
    server.reload(|settings| settings.deny_publish = vec!["secret.>".to_owned()]).await?;
    round_trip(&client, SOON).await?;
    client.publish("secret.word", "hush".into()).await.context("publishing")?;
    let named = |event: &Event| {
        event.to_string().to_lowercase().contains(r#"permissions violation for publish to "secret.word""#)
    };
    event(&mut events, "the permissions violation", named).await?;
    server.reload(|settings| settings.password = "another".to_owned()).await?;
    let refused = |event: &Event| event.to_string().to_lowercase().contains("authorization violation");
    event(&mut events, "the refused credentials", refused).await
}

#[tokio::test]
async fn subjects_are_denied_to_everybody_but_the_kit() -> Result {
    let settings = Settings { deny_subscribe: vec!["kryten.llm.command".to_owned()], ..Settings::default() };
    let server = Server::start_with(settings).await?;
    let (client, mut events) = watched(ConnectOptions::new(), &server).await?;
    let _never = client.subscribe("kryten.llm.command").await.context("subscribing")?;
    let named =
        |event: &Event| event.to_string().to_lowercase().contains("permissions violation for subscription");
    event(&mut events, "the permissions violation", named).await?;
    let neighbour = server.client().await?;
    let mut heard = neighbour.subscribe("kryten.llm.command").await.context("subscribing")?;
    round_trip(&neighbour, SOON).await?;
    neighbour.publish("kryten.llm.command", "ping".into()).await.context("publishing")?;
    within(SOON, "the kit's own message", heard.next()).await.map(drop)
}

#[tokio::test]
async fn tls_wants_a_certificate_of_the_servers_own_authority() -> Result {
    let server = Server::start_with(Settings { tls: true, ..Settings::default() }).await?;
    assert!(server.url().starts_with("tls://"));
    round_trip(&server.client().await?, SOON).await?;
    let without = ConnectOptions::new().add_root_certificates(server.file("ca.pem")).require_tls(true);
    assert!(without.connect(server.url()).await.is_err(), "no client certificate was asked for");
    let unknown = ConnectOptions::new()
        .add_client_certificate(server.file("client.pem"), server.file("client.key"))
        .require_tls(true);
    assert!(unknown.connect(server.url()).await.is_err(), "the server's authority was trusted unasked");
    Ok(())
}
