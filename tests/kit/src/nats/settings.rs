//! What a private nats-server is told, and its configuration file.

use std::path::Path;

use serde_json::{Value, json};

use super::operator::CONFIGURATION;
use crate::ports::Port;

/// The account with all rights that the kit's own clients use.
pub(super) const NEIGHBOUR: (&str, &str) = ("neighbour", "neighbour-password");
/// The account of a recorder. What is asked of the robot is denied to it: who listens to a subject
/// counts as a responder, and nobody could see any more that no robot is there.
pub(super) const LISTENER: (&str, &str) = ("listener", "listener-password");
/// What nobody who listens to everything may listen to.
pub(super) const NOT_FOR_LISTENERS: [&str; 2] = ["kryten.robot.command", "kryten.user_level.>"];
/// What a daemon signs in with under [`Auth::UserPassword`].
pub const USER: (&str, &str) = ("kryten", "kryten-password");
/// What everybody signs in with under [`Auth::Token`].
pub const TOKEN: &str = "kryten-token";
/// The seed of the key that a daemon signs in with under [`Auth::Nkey`]: the pair that NATS's own
/// manual prints, no secret of anybody.
pub const NKEY_SEED: &str = "SUACSSL3UAHUDXKFSNVUZRF5UHPMWZ6BFDTJ7M6USDXIEDNPPQYYYCU3VY";
const NKEY: &str = "UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4";

/// How a daemon signs in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Auth {
    /// Anybody may connect.
    Anybody,
    /// With [`USER`].
    UserPassword,
    /// With [`TOKEN`]. A server with a token has one account for all, so no subject can be denied.
    Token,
    /// With [`NKEY_SEED`].
    Nkey,
    /// With a creds file, on a server in operator mode. No subject can be denied there.
    Creds,
}

/// What a server is started, or reloaded, with.
#[derive(Debug, Clone)]
pub struct Settings {
    /// How a daemon signs in.
    pub auth: Auth,
    /// The password of [`USER`]; another one here refuses a daemon that had been let in.
    pub password: String,
    /// Subjects that a daemon may not publish to.
    pub deny_publish: Vec<String>,
    /// Subjects that a daemon may not subscribe to.
    pub deny_subscribe: Vec<String>,
    /// Whether there is JetStream. Cannot be changed by a reload.
    pub jetstream: bool,
    /// Whether clients must come with TLS and a certificate of the server's own authority. Cannot be
    /// changed by a reload.
    pub tls: bool,
    /// The largest message, in bytes.
    pub max_payload: u32,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            auth: Auth::Anybody,
            password: USER.1.to_owned(),
            deny_publish: Vec::new(),
            deny_subscribe: Vec::new(),
            jetstream: false,
            tls: false,
            max_payload: 1_048_576,
        }
    }
}

impl Settings {
    /// The configuration file. Its values are JSON, which nats-server reads as well as its own form.
    pub(super) fn file(&self, port: &Port, folder: &Path) -> String {
        let mut file = json!({
            "listen": format!("127.0.0.1:{port}"),
            "max_payload": self.max_payload,
            // The shortest that the server takes; with few clients it is over in seconds.
            "lame_duck_duration": "30s",
            "lame_duck_grace_period": "1s",
            "logtime": true,
        });
        let neighbour = json!({ "user": NEIGHBOUR.0, "password": NEIGHBOUR.1 });
        let listener = json!({
            "user": LISTENER.0,
            "password": LISTENER.1,
            "permissions": { "subscribe": { "deny": NOT_FOR_LISTENERS } },
        });
        let daemon = |mut account: Value| {
            account["permissions"] = json!({
                "publish": { "deny": self.deny_publish },
                "subscribe": { "deny": self.deny_subscribe },
            });
            account
        };
        match self.auth {
            Auth::Anybody => {
                let anybody = daemon(json!({ "user": "anybody", "password": "anybody-password" }));
                file["authorization"] = json!({ "users": [neighbour, listener, anybody] });
                file["no_auth_user"] = json!("anybody");
            }
            Auth::UserPassword => {
                let user = daemon(json!({ "user": USER.0, "password": self.password }));
                file["authorization"] = json!({ "users": [neighbour, listener, user] });
            }
            Auth::Token => file["authorization"] = json!({ "token": TOKEN }),
            // What comes in with a creds file is in the operator's configuration.
            Auth::Creds => {}
            Auth::Nkey => {
                file["authorization"] =
                    json!({ "users": [neighbour, listener, daemon(json!({ "nkey": NKEY }))] });
            }
        }
        if let Ok(operator) = std::fs::read_to_string(folder.join(CONFIGURATION)) {
            crate::config::merge(&mut file, serde_json::from_str(&operator).unwrap_or_default());
        }
        if self.jetstream {
            file["jetstream"] = json!({
                "store_dir": folder.join("jetstream"),
                "max_memory_store": 64 << 20,
                "max_file_store": 256 << 20,
            });
        }
        if self.tls {
            file["tls"] = json!({
                "ca_file": folder.join("ca.pem"),
                "cert_file": folder.join("server.pem"),
                "key_file": folder.join("server.key"),
                "verify": true,
                "timeout": 5,
            });
        }
        format!("{file:#}\n")
    }
}
