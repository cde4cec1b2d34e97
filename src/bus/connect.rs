//! One attempt to connect, with everything that `nats` configures.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_nats::{Client, ConnectErrorKind, ConnectOptions, Event, ServerAddr};
use secrecy::ExposeSecret;

use crate::config::NatsConfig;

/// Messages that one subscription may hold for a task that is busy. What comes on top is dropped
/// by the client, which tells (slow consumer).
const SUBSCRIPTION_CAPACITY: usize = 4096;
/// When a connection is lost, its client tries each server once more, after this long, finds
/// that nobody holds it any longer, and ends. The link's keeper has made a new client by then.
const RETIRED_CLIENT_DELAY: Duration = Duration::from_millis(250);

/// Why there is no connection.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConnectFailure {
    /// The server is there and doesn't want us.
    #[error(
        "NATS refused the credentials ({0}); check nats.user, password, token, creds_file and nkey_seed_file"
    )]
    Refused(String),
    /// A file that the configuration names can't be used.
    #[error("{0}")]
    Settings(String),
    /// Nobody there, no answer in time, or no TLS.
    #[error("{0}")]
    Unreachable(String),
}

/// Connects to the first server that answers: each one is tried once, for at most `patience`.
///
/// `on_event` hears what the client says about this connection; it must not wait.
///
/// # Errors
/// See [`ConnectFailure`].
pub async fn connect(
    settings: &NatsConfig,
    service: &str,
    patience: Duration,
    on_event: impl Fn(Event) + Send + Sync + 'static,
) -> Result<Client, ConnectFailure> {
    let servers = servers(settings)?;
    let connected = Arc::new(AtomicBool::new(false));
    let was_connected = connected.clone();
    let options = ConnectOptions::new()
        .name(format!("kryten-{service}"))
        .connection_timeout(patience)
        .ping_interval(settings.ping_interval)
        .request_timeout(None)
        .subscription_capacity(SUBSCRIPTION_CAPACITY)
        .max_reconnects(servers.len())
        .reconnect_delay_callback(move |_| {
            if was_connected.load(Ordering::Relaxed) { RETIRED_CLIENT_DELAY } else { Duration::ZERO }
        })
        .event_callback(move |event| {
            on_event(event);
            std::future::ready(())
        });
    let options = with_tls(options, settings);
    let options = with_credentials(options, settings, &servers).await?;
    let client = options.connect(servers).await.map_err(failure)?;
    connected.store(true, Ordering::Relaxed);
    Ok(client)
}

fn servers(settings: &NatsConfig) -> Result<Vec<ServerAddr>, ConnectFailure> {
    settings
        .servers
        .iter()
        .enumerate()
        .map(|(index, server)| {
            server
                .parse()
                .map_err(|error| ConnectFailure::Settings(format!("nats.servers[{index}]: {error}")))
        })
        .collect()
}

/// Whoever names certificates wants TLS, and no silent fall-back to plain text.
fn with_tls(mut options: ConnectOptions, settings: &NatsConfig) -> ConnectOptions {
    if let Some(authority) = &settings.tls_ca {
        options = options.add_root_certificates(authority.clone()).require_tls(true);
    }
    if let (Some(certificate), Some(key)) = (&settings.tls_cert, &settings.tls_key) {
        options = options.add_client_certificate(certificate.clone(), key.clone()).require_tls(true);
    }
    options
}

/// The files are read at each attempt, so that rotated credentials are taken up.
async fn with_credentials(
    mut options: ConnectOptions,
    settings: &NatsConfig,
    servers: &[ServerAddr],
) -> Result<ConnectOptions, ConnectFailure> {
    let password = || settings.password.as_ref().map(|secret| secret.expose_secret().to_owned());
    if let Some(user) = &settings.user {
        options = options.user_and_password(user.clone(), password().unwrap_or_default());
    } else if let Some(server) = servers.iter().find(|server| server.has_user_pass()) {
        // The client library reads no credentials from URLs.
        let user = server.username().unwrap_or_default().to_owned();
        options = options.user_and_password(user, server.password().unwrap_or_default().to_owned());
    }
    if let Some(token) = &settings.token {
        options = options.token(token.expose_secret().to_owned());
    }
    if let Some(path) = &settings.nkey_seed_file {
        let seed = tokio::fs::read_to_string(path).await.map_err(unusable("nats.nkey_seed_file", path))?;
        options = options.nkey(seed.trim().to_owned());
    }
    if let Some(path) = &settings.creds_file {
        options = options.credentials_file(path).await.map_err(unusable("nats.creds_file", path))?;
    }
    Ok(options)
}

fn unusable(field: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> ConnectFailure {
    let path = path.display().to_string();
    move |error| ConnectFailure::Settings(format!("{field}: {path} can't be used: {error}"))
}

fn failure(error: async_nats::ConnectError) -> ConnectFailure {
    match error.kind() {
        ConnectErrorKind::AuthorizationViolation | ConnectErrorKind::Authentication => {
            ConnectFailure::Refused(error.to_string())
        }
        _ => ConnectFailure::Unreachable(error.to_string()),
    }
}
