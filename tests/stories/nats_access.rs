//! Getting to NATS: server lists, credentials, TLS, permissions, and what happens without.

use std::time::Duration;

use kryten_testkit::nats::{Auth, NKEY_SEED, Server, Settings, TOKEN, USER};
use kryten_testkit::world::{SOON, World};
use kryten_testkit::{Exit, Mark, Proxy, Result, ports};
use serde_json::{Value, json};

use crate::BINARY;

/// A heartbeat that says what is wrong with the component `nats`.
async fn trouble_with_nats(world: &World, words: &str) -> Result<Value> {
    let healthy = |beat: &Value| beat.pointer("/status/components/nats/healthy") == Some(&Value::from(true));
    let message = |beat: &Value| {
        beat.pointer("/status/components/nats/message").and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    let wanted = |beat: &Value| !healthy(beat) && message(beat).contains(words);
    Ok(world.wait_for_beat(Mark::START, SOON, |beat| wanted(&beat.json)).await?.json)
}

#[tokio::test]
async fn a_dead_server_in_the_list_is_passed_over() -> Result {
    let world = World::of(BINARY).start_at_once().await?;
    world.wait_until_up(Mark::START).await?;
    let dead = format!("nats://127.0.0.1:{}", ports::free()?);
    let servers = json!({"nats": {"servers": [dead, world.server.url()]}, "service_metadata": {"service_name": "second"}});
    let mut config = world.config.clone();
    kryten_testkit::config::merge(&mut config, servers);
    let _second = kryten_testkit::Launch::new(BINARY).start(&config)?;
    world.recorder.wait_since(Mark::START, "kryten.service.heartbeat.second", SOON, |_| true).await?;
    Ok(())
}

#[tokio::test]
async fn every_way_of_signing_in_is_understood() -> Result {
    for auth in [Auth::Anybody, Auth::UserPassword, Auth::Token, Auth::Nkey] {
        let settings = Settings { auth, ..Settings::default() };
        let world = World::of(BINARY).server(settings).start().await?;
        assert_eq!(world.stop().await?, Exit::Code(0), "{auth:?}");
    }
    Ok(())
}

#[tokio::test]
async fn secrets_may_stand_in_files_and_the_user_in_the_url() -> Result {
    let (user, password) = USER;
    for (auth, nats) in [
        (Auth::UserPassword, json!({"password": null, "password_file": "secret"})),
        (Auth::Token, json!({"token": null, "token_file": "secret"})),
        (Auth::Nkey, json!({"nkey_seed_file": "secret"})),
    ] {
        let secret = match auth {
            Auth::Token => TOKEN,
            Auth::Nkey => NKEY_SEED,
            _ => password,
        };
        let world = World::of(BINARY)
            .server(Settings { auth, ..Settings::default() })
            .config(json!({ "nats": nats }))
            .launch(|launch| launch.file("secret", format!("{secret}\n")))
            .start()
            .await?;
        assert_eq!(world.stop().await?, Exit::Code(0), "{auth:?}");
    }
    let server = Server::start_with(Settings { auth: Auth::UserPassword, ..Settings::default() }).await?;
    let recorder = kryten_testkit::recorder::Recorder::start(&server).await?;
    let mut config =
        kryten_testkit::config::base(&server, &[kryten_testkit::Room::new("cytu.be", "Lounge")], &[]);
    let url = format!("nats://{user}:{password}@{}", server.address());
    config["nats"] = json!({ "servers": [url] });
    config["llm_providers"]["first"] =
        kryten_testkit::config::provider_section("first", "http://127.0.0.1:9/v1");
    config["default_provider"] = json!("first");
    let daemon = kryten_testkit::Launch::new(BINARY).start(&config)?;
    recorder.wait_for("kryten.service.heartbeat.llm", SOON, |_| true).await?;
    assert!(
        !daemon.log().all().iter().any(|line| line.text.contains(password)),
        "the log keeps the password"
    );
    Ok(())
}

#[tokio::test]
async fn tls_with_a_private_authority_and_a_client_certificate_works() -> Result {
    let settings = Settings { tls: true, ..Settings::default() };
    let world = World::of(BINARY).server(settings).start().await?;
    world.ask("bob", "are you there?").await?;
    assert_eq!(world.ledger().await?["sent"], 1);
    assert_eq!(world.stop().await?, Exit::Code(0));
    Ok(())
}

#[tokio::test]
async fn a_server_whose_certificate_nobody_vouches_for_is_not_trusted() -> Result {
    let settings = Settings { tls: true, ..Settings::default() };
    let world = World::of(BINARY)
        .server(settings)
        .config(json!({"nats": {"tls_ca": null, "max_reconnect_attempts": 2, "reconnect_time_wait": 1}}))
        .start_at_once()
        .await?;
    assert_eq!(world.daemon.wait_exit(SOON).await?, Exit::Code(69));
    assert!(world.recorder.all("kryten.service.heartbeat.llm").is_empty());
    Ok(())
}

#[tokio::test]
async fn without_nats_at_start_it_waits_says_so_once_and_is_there_within_a_second() -> Result {
    let server = Server::start().await?;
    let away = Proxy::start(server.address()).await?;
    away.refuse().await?;
    let elsewhere = json!({"nats": {"servers": [format!("nats://{}", away.address())]}});
    let world = World::of(BINARY).config(elsewhere).start_at_once().await?;
    let recorder = kryten_testkit::recorder::Recorder::start(&server).await?;
    world.daemon.wait_for_log(Mark::START, SOON, |line| line.contains("no connection to NATS")).await?;
    world.wait_for_health(SOON, |health| health["status"] == "failing").await?;
    let admitted = tokio::time::Instant::now();
    away.admit().await?;
    let beat = recorder.wait_for("kryten.service.heartbeat.llm", SOON, |_| true).await?;
    let waited = beat.at.saturating_duration_since(admitted.into_std());
    assert!(waited < Duration::from_secs(1), "{waited:?}");
    let said =
        world.daemon.log().all().iter().filter(|line| line.text.contains("no connection to NATS")).count();
    assert!((1..=3).contains(&said), "logged on change, not at each attempt: {said}");
    Ok(())
}

#[tokio::test]
async fn attempts_used_up_at_start_or_later_end_it_with_69() -> Result {
    let limited = json!({"nats": {"max_reconnect_attempts": 2, "reconnect_time_wait": 1}});
    let nobody = json!({"nats": {"servers": [format!("nats://127.0.0.1:{}", ports::free()?)]}});
    let world = World::of(BINARY).config(limited.clone()).config(nobody).start_at_once().await?;
    assert_eq!(world.daemon.wait_exit(SOON).await?, Exit::Code(69));

    let world = World::of(BINARY).config(limited).start().await?;
    world.server.stop().await?;
    assert_eq!(world.daemon.wait_exit(SOON).await?, Exit::Code(69));
    world.daemon.wait_for_log(Mark::START, SOON, |line| line.contains("max_reconnect_attempts")).await?;
    Ok(())
}

#[tokio::test]
async fn refused_credentials_end_it_with_77_and_the_fields_to_check() -> Result {
    let world = World::of(BINARY)
        .server(Settings { auth: Auth::UserPassword, ..Settings::default() })
        .config(json!({"nats": {"password": "another one"}}))
        .start_at_once()
        .await?;
    assert_eq!(world.daemon.wait_exit(SOON).await?, Exit::Code(77));
    world.daemon.wait_for_log(Mark::START, SOON, |line| line.contains("nats.user")).await?;
    assert!(!world.daemon.log().all().iter().any(|line| line.text.contains("another one")));
    Ok(())
}

#[tokio::test]
async fn credentials_refused_later_are_borne_for_a_minute() -> Result {
    let mut world = World::of(BINARY)
        .server(Settings { auth: Auth::UserPassword, ..Settings::default() })
        .start()
        .await?;
    let refused = tokio::time::Instant::now();
    world.server.reload(|settings| settings.password = "changed behind our back".to_owned()).await?;
    let exit = world.daemon.wait_exit(Duration::from_secs(90)).await?;
    assert_eq!(exit, Exit::Code(77));
    let borne = refused.elapsed();
    assert!((Duration::from_secs(60)..Duration::from_secs(65)).contains(&borne), "{borne:?}");
    Ok(())
}

#[tokio::test]
async fn a_denied_subscription_is_named_and_heals_when_it_is_allowed_again() -> Result {
    let denied = "kryten.lifecycle.group.restart";
    let mut world = World::of(BINARY)
        .server(Settings {
            auth: Auth::UserPassword,
            deny_subscribe: vec![denied.to_owned()],
            ..Settings::default()
        })
        .start()
        .await?;
    world.daemon.wait_for_log(Mark::START, SOON, |line| line.contains(denied)).await?;
    let beat = trouble_with_nats(&world, "may not subscribe").await?;
    assert_eq!(beat["health"], "degraded");
    world.server.reload(|settings| settings.deny_subscribe.clear()).await?;
    let healthy = |beat: &kryten_testkit::recorder::Message| beat.text("/health") == "healthy";
    world.wait_for_beat(world.recorder.mark(), Duration::from_secs(60), healthy).await?;
    world.robot.publish(denied, json!({"delay_seconds": 0, "reason": "heard again"})).await?;
    assert_eq!(world.daemon.wait_exit(SOON).await?, Exit::Code(0));
    Ok(())
}

#[tokio::test]
async fn a_denied_publish_is_named_and_makes_it_degraded() -> Result {
    let denied = "kryten.lifecycle.llm.heartbeat";
    let world = World::of(BINARY)
        .server(Settings {
            auth: Auth::UserPassword,
            deny_publish: vec![denied.to_owned()],
            ..Settings::default()
        })
        .start()
        .await?;
    world.daemon.wait_for_log(Mark::START, SOON, |line| line.contains(denied)).await?;
    let beat = trouble_with_nats(&world, "may not publish").await?;
    assert_eq!(beat["health"], "degraded");
    Ok(())
}

#[tokio::test]
async fn a_server_that_goes_away_by_degrees_is_heard() -> Result {
    let world = World::of(BINARY).start().await?;
    world.server.lame_duck().await?;
    trouble_with_nats(&world, "shutting down").await?;
    world.daemon.wait_for_log(Mark::START, SOON, |line| line.contains("lame duck")).await?;
    Ok(())
}
