//! The one HTTP client.

use reqwest::Client;
use tokio::sync::OnceCell;

use super::failure::Failure;

/// The client, made at its first use: reading the system's certificates takes longer than the
/// service may take to start.
#[derive(Debug)]
pub struct LazyClient {
    encrypted: bool,
    client: OnceCell<Client>,
}

impl LazyClient {
    /// Without an `encrypted` provider the system's certificates are not needed, and may be
    /// missing.
    pub fn new(encrypted: bool) -> Self {
        Self { encrypted, client: OnceCell::new() }
    }

    /// Whether it can be used for encrypted providers.
    pub fn is_encrypted(&self) -> bool {
        self.encrypted
    }

    /// The client. It is made in a thread that may block; after a failure the next call tries
    /// again.
    ///
    /// # Errors
    /// When the system's certificates can't be read.
    pub async fn get(&self) -> Result<&Client, Failure> {
        let encrypted = self.encrypted;
        let make = || async move {
            match tokio::task::spawn_blocking(move || build(encrypted)).await {
                Ok(Ok(client)) => Ok(client),
                Ok(Err(error)) => Err(Failure::not_sent(&format!("no HTTP client: {error:?}"))),
                Err(_) => Err(Failure::not_sent("no HTTP client: the runtime is stopping")),
            }
        };
        self.client.get_or_try_init(make).await
    }
}

/// Redirects are not followed: the key is meant for the configured host only. The one retry loop
/// is ours.
fn build(encrypted: bool) -> Result<Client, reqwest::Error> {
    // Somebody else may have installed it before, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let builder = Client::builder()
        .user_agent(concat!("kryten-llm/", env!("CARGO_PKG_VERSION")))
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never());
    let builder = if encrypted { builder } else { builder.tls_certs_only([]) };
    builder.build()
}
