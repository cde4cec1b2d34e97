//! Alerts to an address of the operator's. It works without the bus, and nothing waits for it. Many services
//! put a key into the address, so it is a secret as a whole: neither logged nor in any error.

use std::error::Error;
use std::time::Duration;

use rand::SeedableRng;
use rand::rngs::StdRng;
use reqwest::StatusCode;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER};
use secrecy::{ExposeSecret, SecretString};
use tokio::time::{sleep, timeout};
use tracing::{debug, warn};

use super::{AlertParts, Waiting};
use crate::bus::wire::Alert;
use crate::llm::client::LazyClient;
use crate::llm::failure::{Failure, Kind};
use crate::llm::retry;

/// How often one alert is posted at most.
const TRIES: u32 = 4;
/// How long one try may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// The longest wait between two tries, whatever the webhook asks for.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// Posts alerts.
pub(super) struct Webhook {
    parts: AlertParts,
    random: StdRng,
}

/// Why one try came to nothing.
#[derive(Debug)]
struct Unheard {
    why: String,
    /// What to wait for before another try; none when that would change nothing.
    again: Option<Failure>,
}

impl Unheard {
    fn for_good(why: String) -> Self {
        Self { why, again: None }
    }
}

impl Webhook {
    pub(super) fn new(parts: &AlertParts) -> Self {
        Self { parts: parts.clone(), random: StdRng::from_rng(&mut rand::rng()) }
    }

    /// Posts what waits, for ever.
    pub(super) async fn tell(mut self, mut waiting: Waiting) {
        loop {
            let alert = waiting.next().await;
            if let Err(why) = self.post(&alert).await {
                warn!(%why, "the webhook (alerts.webhook_url) did not take an alert");
                self.parts.health.alerts_undelivered(1);
            }
        }
    }

    /// Posts one, a few times if need be.
    async fn post(&mut self, alert: &Alert) -> Result<(), String> {
        let body = alert.to_bytes(&self.parts.identity, self.parts.clock.now());
        // Made for each alert, and let go behind it: alerts are rare, and certificates take memory.
        let mut client = None;
        let mut tries = 0;
        loop {
            let (url, token, strategy) = {
                let rules = self.parts.in_force.borrow();
                let config = rules.config();
                let Some(url) = config.alerts.webhook_url.clone() else { return Ok(()) };
                (url, config.alerts.webhook_token.clone(), config.retry_strategy.clone())
            };
            tries += 1;
            let is_encrypted = !url.expose_secret().trim_start().to_ascii_lowercase().starts_with("http:");
            let client: &LazyClient = match &client {
                Some(known) => known,
                None => client.insert(LazyClient::new(is_encrypted)),
            };
            let unheard = match timeout(PATIENCE, self.try_once(client, &url, token.as_ref(), &body)).await {
                Ok(Ok(())) => return Ok(()),
                Ok(Err(unheard)) => unheard,
                Err(_) => Unheard {
                    why: format!("no answer within {} s", PATIENCE.as_secs()),
                    again: Some(Failure::new(Kind::Timeout, "")),
                },
            };
            let Some(failure) = unheard.again.filter(|_| tries < TRIES) else {
                return Err(format!("{} ({tries} of {TRIES} tries)", unheard.why));
            };
            debug!(why = unheard.why, tries, "the webhook did not take an alert; trying again");
            sleep(retry::delay(&strategy, tries, &failure, &mut self.random).min(LONGEST_WAIT)).await;
        }
    }

    async fn try_once(
        &self,
        client: &LazyClient,
        url: &SecretString,
        token: Option<&SecretString>,
        body: &[u8],
    ) -> Result<(), Unheard> {
        let client = client.get().await.map_err(|failure| Unheard::for_good(failure.detail))?;
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(token) = token {
            let Ok(mut bearer) = HeaderValue::from_str(&format!("Bearer {}", token.expose_secret())) else {
                return Err(Unheard::for_good("its token holds characters that HTTP forbids".to_owned()));
            };
            bearer.set_sensitive(true);
            headers.insert(AUTHORIZATION, bearer);
        }
        let sent = client.post(url.expose_secret()).headers(headers).body(body.to_vec()).send().await;
        match sent {
            Ok(response) if response.status().is_success() => Ok(()),
            Ok(response) => {
                let asked = response.headers().get(RETRY_AFTER).and_then(|asked| asked.to_str().ok());
                Err(refused(
                    response.status(),
                    asked.and_then(|asked| retry::retry_after(asked, self.parts.clock.now().wall)),
                ))
            }
            Err(error) => {
                Err(Unheard { why: words(&error), again: Some(Failure::new(Kind::Connection, "")) })
            }
        }
    }
}

/// What a status that is no success means. Nothing that the webhook says is quoted.
fn refused(status: StatusCode, retry_after: Option<Duration>) -> Unheard {
    let kind = match status.as_u16() {
        429 => Some(Kind::RateLimited),
        408 | 425 | 500.. => Some(Kind::Server),
        _ => None,
    };
    let why = match status.is_redirection() {
        true => format!("status {}: a redirect, which is not followed", status.as_u16()),
        false => format!("status {}", status.as_u16()),
    };
    Unheard { why, again: kind.map(|kind| Failure { retry_after, ..Failure::new(kind, "") }) }
}

/// A failure in words of ours and of the system's. A library's words may quote the address.
fn words(error: &reqwest::Error) -> String {
    let mut cause = error.source();
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<std::io::Error>()
            && error.raw_os_error().is_some()
        {
            return format!("can't be reached: {error}");
        }
        cause = error.source();
    }
    match error.is_connect() {
        true => "can't be reached: no such host, or no certificate that is trusted",
        false => "the connection broke off",
    }
    .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_may_pass_is_tried_again() {
        for (status, again) in [
            (301, None),
            (400, None),
            (401, None),
            (404, None),
            (408, Some(Kind::Server)),
            (410, None),
            (425, Some(Kind::Server)),
            (429, Some(Kind::RateLimited)),
            (500, Some(Kind::Server)),
            (503, Some(Kind::Server)),
        ] {
            let asked = Some(Duration::from_secs(3));
            let unheard = refused(StatusCode::from_u16(status).expect("a status"), asked);
            assert_eq!(unheard.again.as_ref().map(|failure| failure.kind), again, "{status}");
            assert!(unheard.again.is_none_or(|failure| failure.retry_after == asked), "{status}");
            assert!(unheard.why.contains(&status.to_string()), "{}", unheard.why);
        }
    }

    #[tokio::test]
    async fn the_address_is_in_no_error() {
        for url in ["http://127.0.0.1:1/planted", "http://planted.invalid/", "https://127.0.0.1:1/planted"] {
            let client = LazyClient::new(false);
            let client = client.get().await.expect("a client");
            let error = client.post(url).send().await.expect_err("nobody is there");
            assert!(!words(&error).contains("planted"), "{}", words(&error));
        }
    }
}
