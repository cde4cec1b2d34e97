//! `nats`: where the bus is, and who we are there.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;
use serde_json::json;
use url::Url;

use super::environment::WhenUnset;
use super::reader::{Fault, Item};
use super::secret::MASK;
use super::section::Section;

/// How to reach NATS. URLs may hold passwords: `Debug` masks them.
#[derive(Clone)]
pub struct NatsConfig {
    /// At least one, each `host`, `host:port` or a URL; may hold user and password.
    pub servers: Vec<String>,
    pub user: Option<String>,
    pub password: Option<SecretString>,
    pub token: Option<SecretString>,
    pub creds_file: Option<PathBuf>,
    pub nkey_seed_file: Option<PathBuf>,
    /// Our certificate, for servers that ask for one. Comes with `tls_key`.
    pub tls_cert: Option<PathBuf>,
    pub tls_key: Option<PathBuf>,
    /// Whom to trust, instead of those in the system's store.
    pub tls_ca: Option<PathBuf>,
    /// For the first connection.
    pub connect_timeout: Duration,
    pub reconnect_time_wait: Duration,
    pub ping_interval: Duration,
    /// `None` tries for ever.
    pub max_reconnect_attempts: Option<u64>,
}

impl NatsConfig {
    pub(super) fn read(s: &mut Section<'_>) -> Self {
        s.when_unset(|_| WhenUnset::Refuse);
        s.hint("url", "the servers stand in nats.servers, a list");
        let nats = Self {
            servers: servers(s),
            user: s.optional_text("user"),
            password: s.required_secret("password", "password_file"),
            token: s.required_secret("token", "token_file"),
            creds_file: s.file("creds_file"),
            nkey_seed_file: s.file("nkey_seed_file"),
            tls_cert: s.file("tls_cert"),
            tls_key: s.file("tls_key"),
            tls_ca: s.file("tls_ca"),
            connect_timeout: s.whole_seconds("connect_timeout", 10, 1..),
            reconnect_time_wait: s.whole_seconds("reconnect_time_wait", 2, 1..),
            ping_interval: s.whole_seconds("ping_interval", 120, 1..),
            max_reconnect_attempts: u64::try_from(s.integer("max_reconnect_attempts", -1_i64, -1..)).ok(),
        };
        match (&nats.tls_cert, &nats.tls_key) {
            (Some(_), None) => s.problem("tls_key", "missing", "the key of tls_cert", "add it"),
            (None, Some(_)) => s.problem("tls_cert", "missing", "the certificate of tls_key", "add it"),
            _ => {}
        }
        nats
    }
}

impl fmt::Debug for NatsConfig {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let servers: Vec<String> = self.servers.iter().map(|server| without_userinfo(server)).collect();
        formatter
            .debug_struct("NatsConfig")
            .field("servers", &servers)
            .field("user", &self.user)
            .field("password", &self.password)
            .field("token", &self.token)
            .field("creds_file", &self.creds_file)
            .field("nkey_seed_file", &self.nkey_seed_file)
            .field("tls_cert", &self.tls_cert)
            .field("tls_key", &self.tls_key)
            .field("tls_ca", &self.tls_ca)
            .field("connect_timeout", &self.connect_timeout)
            .field("reconnect_time_wait", &self.reconnect_time_wait)
            .field("ping_interval", &self.ping_interval)
            .field("max_reconnect_attempts", &self.max_reconnect_attempts)
            .finish()
    }
}

/// What may stand in `servers`, in words.
const ALLOWED: &str = "a list of URLs such as \"nats://127.0.0.1:4222\", at least one";

fn servers(s: &mut Section<'_>) -> Vec<String> {
    let show = |servers: &Vec<String>| {
        json!(servers.iter().map(|server| without_userinfo(server)).collect::<Vec<_>>()).to_string()
    };
    s.required_field("servers", ALLOWED, show, |item| {
        item.reader.learn(&item.path, |field| field.is_never_empty = true);
        if item.value.as_array().is_some_and(Vec::is_empty) {
            return Err(item.wrong(ALLOWED));
        }
        Ok(item.list()?.iter().filter_map(|item| item.or_report(server(item))).collect())
    })
}

fn server(item: &Item<'_>) -> Result<String, Fault> {
    let text = item.filled_text()?;
    if is_server(&text) { Ok(text) } else { Err(item.wrong("a URL such as \"nats://127.0.0.1:4222\"")) }
}

/// Whether a text names a server: a URL, or a host with or without a port.
fn is_server(text: &str) -> bool {
    let with_scheme = if text.contains("://") { text.to_owned() } else { format!("nats://{text}") };
    Url::parse(&with_scheme).is_ok_and(|url| {
        matches!(url.scheme(), "nats" | "tls") && url.host_str().is_some_and(|host| !host.is_empty())
    })
}

/// An address as it may be shown: without user and password, wherever they may end.
pub(super) fn without_userinfo(address: &str) -> String {
    // A query can hold a key as well.
    if let Some((address, _)) = address.split_once('?') {
        return format!("{}?{MASK}", without_userinfo(address));
    }
    let start = address.find("://").map_or(0, |at| at + 3);
    match address[start..].rfind('@') {
        Some(at) => format!("{}{MASK}{}", &address[..start], &address[start + at..]),
        None => address.to_owned(),
    }
}
