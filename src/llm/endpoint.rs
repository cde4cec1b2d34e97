//! A provider as it is called: where, with which headers, in which wire format.

use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{
    AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, InvalidHeaderValue, RETRY_AFTER,
};
use reqwest::{Client, Response};
use secrecy::ExposeSecret;
use serde_json::{Map, Value};

use super::failure::{Failure, Kind, error_of};
use super::rate_limit::RateLimit;
use super::retry::retry_after;
use super::secrets::Secrets;
use super::unsupported::cure;
use super::{Completion, Request, anthropic, openai};
use crate::clock::Clock;
use crate::config::{ProviderConfig, ProviderKind};

/// The largest body that is read, in bytes.
pub const LARGEST_BODY: usize = 1024 * 1024;

/// How long the words behind an error status may take; the status itself says enough.
const ERROR_WORDS: Duration = Duration::from_secs(1);

/// The longest correlation id that is sent along, in characters.
const REQUEST_ID_CHARACTERS: usize = 128;

/// A provider, ready to be called.
#[derive(Debug)]
pub struct Endpoint {
    config: ProviderConfig,
    url: String,
    models_url: String,
    own_headers: HeaderMap,
    custom_headers: HeaderMap,
    /// Of all providers. Some quote the key that they refuse; it goes neither into a log nor into
    /// chat.
    secrets: Arc<Secrets>,
}

/// What came of a call.
#[derive(Debug)]
pub struct Outcome {
    /// The answer, or what went wrong; no secret in its words.
    pub result: Result<Completion, Failure>,
    /// What the answer's headers say of the provider's limits.
    pub rate_limit: Option<RateLimit>,
}

impl From<Failure> for Outcome {
    /// A call without an answer.
    fn from(failure: Failure) -> Self {
        Self { result: Err(failure), rate_limit: None }
    }
}

impl Endpoint {
    /// Prepares what is the same for every call. `secrets` are those of all providers.
    ///
    /// # Errors
    /// When the key or a custom header can't stand in HTTP; never with its value.
    pub fn new(config: &ProviderConfig, secrets: Arc<Secrets>) -> Result<Self, String> {
        let mut own_headers = HeaderMap::new();
        own_headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let anthropic = config.kind == ProviderKind::Anthropic;
        if anthropic {
            own_headers.insert("anthropic-version", HeaderValue::from_static(anthropic::VERSION));
        }
        if let Some(key) = &config.api_key {
            let (name, value) = match anthropic {
                true => (HeaderName::from_static("x-api-key"), secret_value(key.expose_secret())),
                false => (AUTHORIZATION, secret_value(&format!("Bearer {}", key.expose_secret()))),
            };
            own_headers.insert(
                name,
                value.map_err(|_| "its api_key holds characters that HTTP forbids".to_owned())?,
            );
        }
        let mut custom_headers = HeaderMap::new();
        for (name, value) in &config.custom_headers {
            let header = HeaderName::from_bytes(name.as_bytes());
            let value = secret_value(value.expose_secret());
            let (Ok(header), Ok(value)) = (header, value) else {
                return Err(format!("its custom header {name:?} holds characters that HTTP forbids"));
            };
            custom_headers.insert(header, value);
        }
        let (url, models_url) = match anthropic {
            true => (anthropic::url(&config.base_url), anthropic::models_url(&config.base_url)),
            false => (openai::url(&config.base_url), openai::models_url(&config.base_url)),
        };
        Ok(Self { config: config.clone(), url, models_url, own_headers, custom_headers, secrets })
    }

    /// The provider as configured.
    pub fn config(&self) -> &ProviderConfig {
        &self.config
    }

    /// The most tokens that an answer may take, as far as we say so: `extra_body` wins over our own
    /// field, and with `max_tokens_field` "none" the provider is not told.
    pub fn max_tokens(&self) -> u64 {
        let overrides =
            ["max_tokens", "max_completion_tokens"].map(|field| self.config.extra_body.get(field));
        let overrides = overrides.into_iter().flatten().filter_map(Value::as_u64);
        overrides.chain([self.config.max_tokens.into()]).max().unwrap_or_default()
    }

    /// Whether calls go through TLS.
    pub fn is_encrypted(&self) -> bool {
        self.url.get(..6).is_some_and(|scheme| scheme.eq_ignore_ascii_case("https:"))
    }

    /// The body of a call.
    pub fn body(&self, request: &Request) -> Map<String, Value> {
        match self.config.kind {
            ProviderKind::Anthropic => anthropic::body(&self.config, request),
            _ => openai::body(&self.config, request),
        }
    }

    /// Calls once, to the last byte of the body. Takes as long as the provider likes.
    pub async fn call(&self, client: &Client, request: &Request, clock: &Clock) -> Outcome {
        self.post(client, self.body(request), &request.correlation_id, clock).await
    }

    /// Like [`Endpoint::call`], with a body of one's own.
    pub async fn post(
        &self,
        client: &Client,
        body: Map<String, Value>,
        correlation_id: &str,
        clock: &Clock,
    ) -> Outcome {
        let sent = client.post(&self.url).headers(self.headers(correlation_id));
        let sent = sent.body(Value::Object(body).to_string());
        let response = match sent.send().await {
            Ok(response) => response,
            Err(error) => return Outcome::from(self.connection_failure(error)),
        };
        let header = |name: &str| response.headers().get(name)?.to_str().ok();
        let rate_limit = RateLimit::of(header, clock.now().wall);
        let result = match response.status().is_success() {
            true => self.completion(response).await,
            false => Err(self.refusal(response, clock).await),
        };
        Outcome { result, rate_limit }
    }

    /// Asks for the list of models, which costs nothing: its body, which may be anything. Takes as long
    /// as the provider likes.
    ///
    /// # Errors
    /// When there is no list; no secret in its words.
    pub async fn models(&self, client: &Client, clock: &Clock) -> Result<String, Failure> {
        let sent = client.get(&self.models_url).headers(self.headers("")).send().await;
        let response = sent.map_err(|error| self.connection_failure(error))?;
        if !response.status().is_success() {
            return Err(self.refusal(response, clock).await);
        }
        Ok(String::from_utf8_lossy(&self.read(response).await?).into_owned())
    }

    fn headers(&self, correlation_id: &str) -> HeaderMap {
        let mut headers = self.own_headers.clone();
        if let Some(id) = request_id(correlation_id) {
            headers.insert("x-request-id", id);
        }
        for (name, value) in &self.custom_headers {
            headers.insert(name, value.clone());
        }
        headers
    }

    /// What is said may quote a title; what is wrong goes into logs, so it may quote nothing of ours.
    async fn completion(&self, response: Response) -> Result<Completion, Failure> {
        let body = self.read(response).await?;
        let body = String::from_utf8_lossy(&body);
        let understood = |body: &str| match self.config.kind {
            ProviderKind::Anthropic => anthropic::completion(body),
            _ => openai::completion(body),
        };
        let said = understood(&self.secrets.without_keys(&body));
        said.or_else(|_| understood(&self.secrets.without_any(&body)))
    }

    async fn refusal(&self, response: Response, clock: &Clock) -> Failure {
        let status = response.status().as_u16();
        let wait = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
        let wait = wait.and_then(|value| retry_after(value, clock.now().wall));
        let words = tokio::time::timeout(ERROR_WORDS, self.read(response)).await;
        let words = words.ok().and_then(Result::ok).unwrap_or_default();
        let words = self.secrets.without_any(&String::from_utf8_lossy(&words));
        let mut failure = Failure::of_status(status, wait, &words);
        if matches!(status, 400 | 422) {
            let answer = serde_json::from_str(&words).unwrap_or_default();
            failure.setting = cure(&self.config, error_of(&answer));
        }
        failure
    }

    /// Reads the body as far as it may go.
    async fn read(&self, mut response: Response) -> Result<Vec<u8>, Failure> {
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| self.connection_failure(error))? {
            if body.len() + chunk.len() > LARGEST_BODY {
                return Err(openai::unusable("the body is larger than 1 MiB"));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }

    /// A failure of the connection with its whole chain of causes, but without the URL, which
    /// may hold a secret.
    fn connection_failure(&self, error: reqwest::Error) -> Failure {
        let not_sent = error.is_connect();
        let error = error.without_url();
        let mut words = error.to_string();
        let mut cause = std::error::Error::source(&error);
        while let Some(error) = cause {
            words.push_str(": ");
            words.push_str(&error.to_string());
            cause = error.source();
        }
        Failure { not_sent, ..Failure::new(Kind::Connection, &words) }
    }
}

fn secret_value(value: &str) -> Result<HeaderValue, InvalidHeaderValue> {
    let mut value = HeaderValue::from_str(value)?;
    value.set_sensitive(true);
    Ok(value)
}

/// The correlation id comes from the bus: only what a header may hold is taken of it.
fn request_id(correlation_id: &str) -> Option<HeaderValue> {
    let id: String =
        correlation_id.chars().filter(char::is_ascii_graphic).take(REQUEST_ID_CHARACTERS).collect();
    if id.is_empty() { None } else { HeaderValue::from_str(&id).ok() }
}
