//! Getting in: servers, credentials, certificates; and what is said when there is no way in.

use std::time::{Duration, Instant};

use kryten_testkit::nats::{Auth, Server, Settings, TOKEN, USER};
use kryten_testkit::process::Line;
use kryten_testkit::world::{SOON, World};
use kryten_testkit::{Context as _, Exit, Mark, Result, ports};
use serde_json::{Value, json};

use crate::BINARY;
use crate::outage::{BACK_WITHIN, STARTUPS};

/// What is logged when NATS can't be reached.
const NO_CONNECTION: &str = "no connection to NATS";

async fn starts_and_answers(settings: Settings) -> Result<World> {
    let world = World::of(BINARY).server(settings).start().await?;
    answers(&world).await?;
    Ok(world)
}

async fn answers(world: &World) -> Result {
    world.ask("bob", "are you in?").await?;
    let ledger = world.ledger().await?;
    assert_eq!(ledger["sent"], ledger["fired"], "{ledger}");
    Ok(())
}

/// Starts the daemon again with another `nats` section.
fn restart_with(world: &mut World, nats: Value) -> Result<Mark> {
    world.daemon.kill();
    let mut config = world.config.clone();
    config["nats"] = nats;
    world.daemon.write_config(&config)?;
    let mark = world.recorder.mark();
    world.daemon.restart()?;
    Ok(mark)
}

async fn restarts_and_answers(world: &mut World, nats: Value) -> Result {
    let mark = restart_with(world, nats)?;
    world.wait_until_up(mark).await?;
    answers(world).await
}

fn logged(world: &World, text: &str) -> Vec<Line> {
    world.daemon.log().all().into_iter().filter(|line| line.text.contains(text)).collect()
}

#[tokio::test]
async fn a_token_is_taken_from_the_config_or_a_file_of_its_own() -> Result {
    let mut world = starts_and_answers(Settings { auth: Auth::Token, ..Settings::default() }).await?;
    std::fs::write(world.daemon.folder().join("token"), format!("{TOKEN}\n")).context("a file")?;
    let from_file = json!({ "servers": [world.server.url()], "token_file": "token" });
    restarts_and_answers(&mut world, from_file).await?;
    let in_url = json!({ "servers": [format!("nats://{TOKEN}@{}", world.server.address())] });
    restarts_and_answers(&mut world, in_url).await
}

#[tokio::test]
async fn the_seed_of_a_key_is_signed_in_with() -> Result {
    starts_and_answers(Settings { auth: Auth::Nkey, ..Settings::default() }).await.map(drop)
}

#[tokio::test]
async fn a_creds_file_is_signed_in_with() -> Result {
    starts_and_answers(Settings { auth: Auth::Creds, ..Settings::default() }).await.map(drop)
}

#[tokio::test]
async fn user_and_password_are_taken_from_the_file_the_url_or_a_file_of_their_own() -> Result {
    const PASSWORD: &str = "p@ss:w/rd %41";
    let settings =
        Settings { auth: Auth::UserPassword, password: PASSWORD.to_owned(), ..Settings::default() };
    let password = json!({ "nats": { "password": PASSWORD } });
    let mut world = World::of(BINARY).server(settings).config(password).start().await?;
    answers(&world).await?;
    let address = world.server.address();

    let url = format!("nats://{}:p%40ss%3Aw%2Frd%20%2541@{address}", USER.0);
    restarts_and_answers(&mut world, json!({ "servers": [url] })).await?;

    std::fs::write(world.daemon.folder().join("password"), format!("{PASSWORD}\n")).context("a file")?;
    let from_file = json!({ "servers": [world.server.url()], "user": USER.0, "password_file": "password" });
    restarts_and_answers(&mut world, from_file).await?;
    assert!(
        logged(&world, "p@ss").is_empty() && logged(&world, "p%40ss").is_empty(),
        "a secret is in the log"
    );
    Ok(())
}

#[tokio::test]
async fn a_server_that_is_dead_is_passed_over() -> Result {
    let mut world = World::of(BINARY).start().await?;
    let nobody = ports::free()?;
    let servers = json!([format!("nats://127.0.0.1:{nobody}"), world.server.url()]);
    // Which one is tried first is drawn anew each time.
    for _ in 0..4 {
        restarts_and_answers(&mut world, json!({ "servers": servers, "max_reconnect_attempts": 1 })).await?;
    }
    Ok(())
}

#[tokio::test]
async fn certificates_are_shown_and_checked_and_a_wrong_authority_is_not_given_up_on() -> Result {
    let mut world = starts_and_answers(Settings { tls: true, ..Settings::default() }).await?;
    let other = Server::start_with(Settings { tls: true, ..Settings::default() }).await?;
    let authority = world.daemon.folder().join("authority.pem");
    std::fs::copy(other.file("ca.pem"), &authority).context("another authority")?;
    let mut nats = world.config["nats"].clone();
    nats["tls_ca"] = json!("authority.pem");
    let mark = restart_with(&mut world, nats)?;
    let told = world.daemon.wait_for_log(Mark::START, SOON, |line| line.contains(NO_CONNECTION)).await?;
    assert!(told.text.contains("certificate"), "{told}");
    world.wait_for_health(SOON, |health| health["nats_connected"] == false).await?;
    world.recorder.none_since(mark, STARTUPS).await?;

    // Files are read at each attempt: the right one is taken up without a restart.
    std::fs::copy(world.server.file("ca.pem"), &authority).context("the right authority")?;
    world.wait_until_up(mark).await?;
    answers(&world).await
}

#[tokio::test]
async fn a_file_that_cannot_be_read_is_a_bad_config() -> Result {
    let mut world = World::of(BINARY).start().await?;
    for (field, more) in [
        ("tls_ca", json!({})),
        ("nkey_seed_file", json!({})),
        ("creds_file", json!({})),
        ("tls_key", json!({ "tls_cert": "config.json" })),
    ] {
        let mut nats = world.config["nats"].clone();
        nats[field] = json!("nowhere.pem");
        kryten_testkit::config::merge(&mut nats, more);
        restart_with(&mut world, nats)?;
        assert_eq!(world.daemon.wait_exit(SOON).await?, Exit::Code(78), "{field}");
        let named = |line: &Line| line.text.contains(field) && line.text.contains("nowhere.pem");
        assert!(world.daemon.log().all().iter().any(named), "{field} is not named");
    }
    Ok(())
}

#[tokio::test]
async fn nats_absent_at_start_is_waited_for_told_every_half_minute_and_taken_up_at_once() -> Result {
    let mut world = World::of(BINARY).proxied().start().await?;
    world.daemon.kill();
    world.proxy()?.refuse().await?;
    let mark = world.recorder.mark();
    world.daemon.restart()?;
    let is_told = |line: &str| line.contains(NO_CONNECTION);
    let first = world.daemon.wait_for_log(Mark::START, SOON, is_told).await?;
    assert_eq!(world.daemon.get("/livez").await?.0, 200);
    assert_eq!(world.daemon.get("/readyz").await?.0, 503);
    let again = Duration::from_secs(30);
    let second = world
        .daemon
        .log()
        .wait("the second line", again + SOON, |line| is_told(&line.text) && line.at > first.at)
        .await?;
    let gap = second.at - first.at;
    assert!(gap >= again && gap <= again + Duration::from_secs(2), "told again after {gap:?}");
    world.recorder.none_since(mark, STARTUPS).await?;

    let reachable = world.stopwatch();
    world.proxy()?.admit().await?;
    world.wait_until_up(mark).await?;
    let startup = world.recorder.wait_since(mark, STARTUPS, SOON, |_| true).await?;
    let took = reachable.fair_time(startup.at);
    assert!(took <= BACK_WITHIN, "announced after {took:?}");
    assert!(startup.json.get("re_announcement").is_none(), "the first announcement: {startup}");
    assert_eq!(logged(&world, NO_CONNECTION).len(), 2);
    answers(&world).await
}

#[tokio::test]
async fn attempts_that_are_used_up_end_it_with_69_at_start_and_later() -> Result {
    let attempts = json!({ "nats": { "max_reconnect_attempts": 3, "reconnect_time_wait": 1 } });
    let mut world = World::of(BINARY).proxied().config(attempts).start().await?;
    for at_start in [false, true] {
        let gone = Instant::now();
        if at_start {
            world.daemon.restart()?;
        } else {
            world.proxy()?.refuse().await?;
            world.proxy()?.cut().await?;
        }
        assert_eq!(world.daemon.wait_exit(SOON).await?, Exit::Code(69));
        // Three attempts, each worth a second.
        let took = gone.elapsed();
        assert!(took >= Duration::from_secs(2) && took < Duration::from_secs(6), "ended after {took:?}");
        assert!(!logged(&world, "max_reconnect_attempts").is_empty(), "the log does not say why");
    }
    Ok(())
}

#[tokio::test]
async fn refused_credentials_at_start_end_it_with_77_and_a_clear_error() -> Result {
    let settings = Settings { auth: Auth::UserPassword, ..Settings::default() };
    let wrong = json!({ "nats": { "password": "not-this-one" } });
    let world = World::of(BINARY).server(settings).config(wrong).start_at_once().await?;
    assert_eq!(world.daemon.wait_exit(SOON).await?, Exit::Code(77));
    assert!(!logged(&world, "NATS refused the credentials").is_empty(), "the log does not say why");
    assert!(logged(&world, "not-this-one").is_empty(), "a secret is in the log");
    Ok(())
}

#[tokio::test]
async fn refused_credentials_later_end_it_with_77_after_a_minute_of_nothing_else() -> Result {
    let settings = Settings { auth: Auth::UserPassword, ..Settings::default() };
    let mut world = World::of(BINARY).server(settings).start().await?;
    let changed = Instant::now();
    world.server.reload(|settings| settings.password = "another".to_owned()).await?;
    let told = world
        .daemon
        .wait_for_log(Mark::START, SOON, |line| line.contains("NATS refused the credentials"))
        .await?;
    assert!(told.at - changed < Duration::from_secs(6), "told after {:?}", told.at - changed);
    let minute = Duration::from_secs(60);
    assert_eq!(world.daemon.wait_exit(minute + SOON).await?, Exit::Code(77));
    let took = changed.elapsed();
    assert!(took >= minute && took <= minute + Duration::from_secs(5), "ended after {took:?}");
    Ok(())
}

#[tokio::test]
async fn credentials_that_are_refused_for_a_while_are_no_end() -> Result {
    let settings = Settings { auth: Auth::UserPassword, ..Settings::default() };
    let mut world = World::of(BINARY).server(settings).start().await?;
    world.server.reload(|settings| settings.password = "another".to_owned()).await?;
    world.wait_for_health(SOON, |health| health["nats_connected"] == false).await?;
    let mark = world.recorder.mark();
    world.server.reload(|settings| settings.password = USER.1.to_owned()).await?;
    let startup = world.recorder.wait_since(mark, STARTUPS, SOON, |_| true).await?;
    assert_eq!(startup.json["re_announcement"], true);
    answers(&world).await
}
