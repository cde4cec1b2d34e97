//! One attempt to connect to one server, with everything that `nats` configures.

use std::path::Path;
use std::time::Duration;

use async_nats::{Client, ConnectErrorKind, ConnectOptions, Event, ServerAddr};
use percent_encoding::percent_decode_str;
use secrecy::ExposeSecret;

use crate::config::NatsConfig;

/// Messages of one subscription that may wait in the client until they are moved on; see
/// [`super::subscription`].
const SUBSCRIPTION_CAPACITY: usize = 4096;
/// Where a client that lost its connection is sent instead of back: the link's keeper makes a new
/// client. Nobody can listen there, so the old one ends at once, and nothing that it still holds
/// arrives late.
const NOWHERE: &str = "nats://127.0.0.1:0";

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

/// Connects to `server`, for at most `limit`.
///
/// `on_event` hears what the client says about this connection; it must not wait. The client never
/// connects anew: after [`Event::Disconnected`] it ends.
///
/// # Errors
/// See [`ConnectFailure`].
pub async fn connect(
    settings: &NatsConfig,
    service: &str,
    server: &ServerAddr,
    limit: Duration,
    on_event: impl Fn(Event) + Send + Sync + 'static,
) -> Result<Client, ConnectFailure> {
    let options = ConnectOptions::new()
        .name(format!("kryten-{service}"))
        .connection_timeout(limit)
        .ping_interval(settings.ping_interval)
        .request_timeout(None)
        .subscription_capacity(SUBSCRIPTION_CAPACITY)
        .max_reconnects(1)
        .reconnect_delay_callback(|_| Duration::ZERO)
        .event_callback(move |event| {
            on_event(event);
            std::future::ready(())
        });
    let options = with_tls(options, settings).await?;
    let options = with_credentials(options, settings, server).await?;
    let connecting = async {
        let client = options.connect(server.clone()).await.map_err(|error| failure(server, &error))?;
        match client.set_server_pool(NOWHERE).await {
            Ok(()) => Ok(client),
            Err(_) => Err(ConnectFailure::Unreachable(format!("{}: closed at once", address(server)))),
        }
    };
    // The client's own limit counts for each of the addresses that a name stands for.
    match tokio::time::timeout(limit, connecting).await {
        Ok(connected) => connected,
        Err(_) => Err(ConnectFailure::Unreachable(format!("{}: timed out", address(server)))),
    }
}

/// A server as it may be shown: without user and password.
fn address(server: &ServerAddr) -> String {
    format!("{}:{}", server.host(), server.port())
}

/// Whoever names certificates wants TLS, and no silent fall-back to plain text.
async fn with_tls(
    mut options: ConnectOptions,
    settings: &NatsConfig,
) -> Result<ConnectOptions, ConnectFailure> {
    if let Some(authority) = &settings.tls_ca {
        read("nats.tls_ca", authority).await?;
        options = options.add_root_certificates(authority.clone()).require_tls(true);
    }
    if let (Some(certificate), Some(key)) = (&settings.tls_cert, &settings.tls_key) {
        read("nats.tls_cert", certificate).await?;
        read("nats.tls_key", key).await?;
        options = options.add_client_certificate(certificate.clone(), key.clone()).require_tls(true);
    }
    Ok(options)
}

/// The files are read at each attempt, so that rotated credentials are taken up.
async fn with_credentials(
    mut options: ConnectOptions,
    settings: &NatsConfig,
    server: &ServerAddr,
) -> Result<ConnectOptions, ConnectFailure> {
    let password = || settings.password.as_ref().map(|secret| secret.expose_secret().to_owned());
    // The client library reads no credentials from URLs. A name alone is a token, as elsewhere.
    let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    let in_url = (server.username().map(decoded), server.password().map(decoded));
    if let Some(user) = &settings.user {
        options = options.user_and_password(user.clone(), password().unwrap_or_default());
    } else {
        options = match in_url {
            (Some(user), Some(password)) => options.user_and_password(user, password),
            (Some(token), None) => options.token(token),
            (None, _) => options,
        };
    }
    if let Some(token) = &settings.token {
        options = options.token(token.expose_secret().to_owned());
    }
    if let Some(path) = &settings.nkey_seed_file {
        let seed = read("nats.nkey_seed_file", path).await?;
        options = options.nkey(seed.trim().to_owned());
    }
    if let Some(path) = &settings.creds_file {
        let credentials = read("nats.creds_file", path).await?;
        options =
            options.credentials(&credentials).map_err(|error| unusable("nats.creds_file", path, &error))?;
    }
    Ok(options)
}

async fn read(field: &str, path: &Path) -> Result<String, ConnectFailure> {
    tokio::fs::read_to_string(path).await.map_err(|error| unusable(field, path, &error))
}

fn unusable(field: &str, path: &Path, error: &std::io::Error) -> ConnectFailure {
    ConnectFailure::Settings(format!("{field}: {} can't be used: {error}", path.display()))
}

fn failure(server: &ServerAddr, error: &async_nats::ConnectError) -> ConnectFailure {
    let text = format!("{}: {error}", address(server));
    match error.kind() {
        ConnectErrorKind::AuthorizationViolation | ConnectErrorKind::Authentication => {
            ConnectFailure::Refused(text)
        }
        _ => ConnectFailure::Unreachable(text),
    }
}
