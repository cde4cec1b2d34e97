//! `llm_providers`, their order, and how they are retried.

use std::fmt;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value, json};
use url::Url;

use super::environment::WhenUnset;
use super::fields::duration;
use super::nats::without_userinfo;
use super::reader::{Fault, Item};
use super::secret::{MASK, Secret};
use super::section::Section;
use super::survey::Kind;
use crate::names::ProviderName;

/// One provider. `Debug` masks what is secret.
#[derive(Clone)]
pub struct ProviderConfig {
    /// Its key under `llm_providers`.
    pub name: ProviderName,
    pub kind: ProviderKind,
    /// Without a slash at its end.
    pub base_url: String,
    pub api_key: Option<SecretString>,
    /// Why it can't be asked, if so.
    pub usable: Result<(), String>,
    pub model: String,
    /// 1–4096: the longest answer.
    pub max_tokens: u32,
    pub max_tokens_field: MaxTokensField,
    /// 0–2; `None` isn't sent.
    pub temperature: Option<f64>,
    /// For each try.
    pub timeout: Duration,
    /// 0–10 tries after the first.
    pub max_retries: u32,
    /// At least 1; lower ones are asked first.
    pub priority: i64,
    /// They override our own headers.
    pub custom_headers: Vec<(String, SecretString)>,
    /// Merged into each request.
    pub extra_body: Map<String, Value>,
    /// `None` is free.
    pub price: Option<Price>,
    /// `None` is off.
    pub health_check: Option<HealthCheck>,
    /// After this long the next provider is asked too; `None` is off.
    pub hedge_after: Option<Duration>,
    /// Deprecated and without effect; only shown.
    pub fallback: Option<String>,
}

/// Which API a provider speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProviderKind {
    OpenAi,
    OpenAiCompatible,
    OpenRouter,
    Anthropic,
}

impl ProviderKind {
    /// The word in the file.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OpenAi => "openai",
            Self::OpenAiCompatible => "openai_compatible",
            Self::OpenRouter => "openrouter",
            Self::Anthropic => "anthropic",
        }
    }

    /// Every kind.
    pub const ALL: [Self; 4] = [Self::OpenAi, Self::OpenAiCompatible, Self::OpenRouter, Self::Anthropic];
}

/// Under which name a model takes the longest answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MaxTokensField {
    MaxTokens,
    MaxCompletionTokens,
    /// It isn't sent.
    None,
}

/// What a million tokens cost.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Price {
    pub input_per_million: f64,
    pub output_per_million: f64,
}

/// How a provider is checked between calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthCheck {
    /// At least 10 s.
    pub interval: Duration,
    pub kind: HealthCheckKind,
}

/// What a check asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HealthCheckKind {
    /// The list of models, which costs nothing.
    Models,
    Completion,
}

/// Reads every provider, in the file's order.
pub(super) fn read(s: &mut Section<'_>) -> Vec<ProviderConfig> {
    let there = s.required("llm_providers", "an object with at least one provider");
    s.never_empty("llm_providers");
    let providers = s.section("llm_providers", |s| s.named(ProviderConfig::read));
    if there && names(s).is_some_and(|names| names.is_empty()) {
        let allowed = "at least one provider";
        s.problem("llm_providers", "an object without a provider", allowed, "add one");
    }
    providers
}

/// The names under `llm_providers`, also of those with problems.
pub(super) fn names<'a>(s: &mut Section<'a>) -> Option<Vec<&'a str>> {
    let members = s.raw("llm_providers")?.as_object()?;
    Some(members.keys().map(String::as_str).filter(|key| !key.starts_with('_')).collect())
}

impl ProviderConfig {
    /// `base_url` as it may be shown: without user, password and query.
    pub fn shown_url(&self) -> String {
        without_userinfo(&self.base_url)
    }

    fn read(name: &str, s: &mut Section<'_>) -> Self {
        s.when_unset(|key| match key {
            "base_url" => WhenUnset::Refuse,
            "api_key" => WhenUnset::Tell,
            _ => WhenUnset::Keep,
        });
        let show = |name: &String| json!(name).to_string();
        let written = s.nullable("name", Some(name.to_owned()), show, Item::text);
        if written.is_some_and(|written| written != name) {
            s.warning("name", "has no effect; a provider's name is its key under llm_providers");
        }
        let kind = kind(s);
        let mut usable = kind.map(|_| ()).ok_or_else(|| "its type is unknown".to_owned());
        let base_url = base_url(s);
        let custom_headers = custom_headers(s);
        let api_key = api_key(s, kind, &custom_headers).unwrap_or_else(|reason| {
            usable = usable.clone().and(Err(reason));
            None
        });
        let kinds = [
            ("max_tokens", MaxTokensField::MaxTokens),
            ("max_completion_tokens", MaxTokensField::MaxCompletionTokens),
            ("none", MaxTokensField::None),
        ];
        Self {
            name: ProviderName::new(name),
            kind: kind.unwrap_or(ProviderKind::OpenAiCompatible),
            base_url,
            api_key,
            usable,
            model: s.required_text("model", "\"gpt-4o-mini\""),
            max_tokens: s.integer("max_tokens", 256, 1..=4096),
            max_tokens_field: s.choice("max_tokens_field", MaxTokensField::MaxTokens, &kinds),
            temperature: s
                .nullable("temperature", Some(0.8), f64::to_string, |item| item.number(&(0.0..=2.0))),
            timeout: s.whole_seconds("timeout_seconds", 30, 1..=120),
            max_retries: s.integer("max_retries", 3, 0..=10),
            priority: s.integer("priority", 99, 1..),
            custom_headers,
            extra_body: extra_body(s),
            price: s.optional_section("price", Price::read),
            health_check: s.optional_section("health_check", HealthCheck::read),
            hedge_after: s.optional_number("hedge_after_seconds", 0.0..).map(duration),
            fallback: s.deprecated_text("fallback", "has no effect; the order of providers says who is next"),
        }
    }
}

/// The kind, or none with a warning.
fn kind(s: &mut Section<'_>) -> Option<ProviderKind> {
    let word = s.required_text("type", "\"openai_compatible\"");
    s.known_words("type", &ProviderKind::ALL.map(ProviderKind::as_str));
    let kind = ProviderKind::ALL.into_iter().find(|kind| kind.as_str() == word.to_ascii_lowercase());
    if kind.is_none() && !word.is_empty() {
        let known = ProviderKind::ALL.map(ProviderKind::as_str).join(", ");
        s.warning("type", &format!("is unknown, so this provider is not used; known are {known}"));
    }
    kind
}

fn base_url(s: &mut Section<'_>) -> String {
    let show = |url: &String| json!(without_userinfo(url)).to_string();
    let allowed = "a URL such as \"https://api.openai.com/v1\"";
    s.required_field("base_url", allowed, show, |item| Ok(http_url(item)?.trim_end_matches('/').to_owned()))
}

/// A URL that HTTP can reach.
pub(super) fn http_url(item: &Item<'_>) -> Result<String, Fault> {
    let text = item.filled_text()?;
    let is_http = Url::parse(&text).is_ok_and(|url| matches!(url.scheme(), "http" | "https"));
    if is_http { Ok(text) } else { Err(item.wrong("a URL that begins with http:// or https://")) }
}

/// The key, or why the provider can't be used without one.
fn api_key(
    s: &mut Section<'_>,
    kind: Option<ProviderKind>,
    headers: &[(String, SecretString)],
) -> Result<Option<SecretString>, String> {
    let (key, reason) = match s.secret("api_key", "api_key_file") {
        Secret::Known(secret) if is_header_value(&secret) => return Ok(Some(secret)),
        Secret::Known(_) => ("api_key", "the key holds characters that no key has".to_owned()),
        Secret::Unavailable { key, reason } => (key, reason),
        Secret::Absent => {
            let own_key = |(name, _): &(String, SecretString)| {
                name.eq_ignore_ascii_case("authorization") || name.eq_ignore_ascii_case("x-api-key")
            };
            if kind.is_none_or(|kind| kind == ProviderKind::OpenAiCompatible) || headers.iter().any(own_key) {
                return Ok(None);
            }
            ("api_key", "no key is configured".to_owned())
        }
    };
    s.warning(key, &format!("{reason}; this provider is not used"));
    Err(reason)
}

fn is_header_value(secret: &SecretString) -> bool {
    secret.expose_secret().chars().all(|c| c.is_ascii_graphic() || c == ' ')
}

/// `custom_headers`: a map, or null.
fn custom_headers(s: &mut Section<'_>) -> Vec<(String, SecretString)> {
    let show = |headers: &Vec<(String, SecretString)>| {
        json!(headers.iter().map(|(name, _)| (name.clone(), json!(MASK))).collect::<Map<_, _>>()).to_string()
    };
    let headers = s.nullable("custom_headers", None, show, |item| {
        let mut headers = Vec::new();
        for name in item.members(Kind::Texts, "an object of texts, or null")? {
            if let Some(value) = item.member(name).and_then(|member| header(name, &member)) {
                headers.push((name.to_owned(), value));
            }
        }
        Ok(headers)
    });
    let headers = headers.unwrap_or_default();
    if !headers.is_empty() {
        let values: Vec<&str> = headers.iter().map(|(_, value)| value.expose_secret()).collect();
        s.reader.effective_secret(&values.join("\n"));
    }
    headers
}

fn header(name: &str, item: &Item<'_>) -> Option<SecretString> {
    let token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    if name.is_empty() || !name.chars().all(token) {
        let allowed = "a header's name of letters, digits and dashes";
        item.reader.problem(&item.path, "a name that no header can have", allowed, "rename it");
        return None;
    }
    let value: SecretString = item.or_report(item.text())?.into();
    if is_header_value(&value) {
        return Some(value);
    }
    let found = "a text with characters that no header can have";
    item.reader.problem(&item.path, found, "printable ASCII characters", "change it");
    None
}

fn extra_body(s: &mut Section<'_>) -> Map<String, Value> {
    // Some services want a secret in the body.
    let show = |members: &Map<String, Value>| masked_texts(&Value::from(members.clone())).to_string();
    let body = s.nullable("extra_body", None, show, |item| {
        item.members(Kind::Object, "an object, or null")?;
        Ok(item.substituted().as_object().cloned().unwrap_or_default())
    });
    let body = body.unwrap_or_default();
    if !body.is_empty() {
        s.reader.effective_secret(&Value::from(body.clone()).to_string());
    }
    body
}

/// Shows numbers and structure, and no text.
fn masked_texts(value: &Value) -> Value {
    match value {
        Value::String(_) => json!(MASK),
        Value::Array(values) => values.iter().map(masked_texts).collect(),
        Value::Object(members) => members
            .iter()
            .map(|(name, value)| (name.clone(), masked_texts(value)))
            .collect::<Map<_, _>>()
            .into(),
        plain => plain.clone(),
    }
}

impl Price {
    fn read(s: &mut Section<'_>) -> Self {
        s.required("input_per_million", "a number, 0 or more");
        s.required("output_per_million", "a number, 0 or more");
        Self {
            input_per_million: s.number("input_per_million", 0.0, 0.0..),
            output_per_million: s.number("output_per_million", 0.0, 0.0..),
        }
    }
}

impl HealthCheck {
    fn read(s: &mut Section<'_>) -> Self {
        let kinds = [("models", HealthCheckKind::Models), ("completion", HealthCheckKind::Completion)];
        Self {
            interval: s.seconds("interval_seconds", 60.0, 10.0..),
            kind: s.choice("kind", HealthCheckKind::Models, &kinds),
        }
    }
}

impl fmt::Debug for ProviderConfig {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("ProviderConfig")
            .field("name", &self.name)
            .field("kind", &self.kind)
            .field("base_url", &without_userinfo(&self.base_url))
            .field("api_key", &self.api_key)
            .field("usable", &self.usable)
            .field("model", &self.model)
            .field("max_tokens", &self.max_tokens)
            .field("max_tokens_field", &self.max_tokens_field)
            .field("temperature", &self.temperature)
            .field("timeout", &self.timeout)
            .field("max_retries", &self.max_retries)
            .field("priority", &self.priority)
            .field("custom_headers", &self.custom_headers)
            .field("extra_body", &masked_texts(&Value::from(self.extra_body.clone())))
            .field("price", &self.price)
            .field("health_check", &self.health_check)
            .field("hedge_after", &self.hedge_after)
            .field("fallback", &self.fallback)
            .finish()
    }
}
