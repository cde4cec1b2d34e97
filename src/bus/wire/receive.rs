//! What we read of others. None of it can be trusted to be there, or to be of the kind that it
//! should be.

use std::time::Duration;

use serde_json::{Map, Value};

use crate::health::cut;

/// A longer id of an instance is none: ids are remembered.
const ID_BYTES: usize = 128;
/// The longest text kept of another instance's host, in bytes.
const HOSTNAME_BYTES: usize = 64;
/// The longest text kept of who restarts the group and why, in bytes.
const RESTART_TEXT_BYTES: usize = 200;
const DEFAULT_RESTART_DELAY: Duration = Duration::from_secs(5);
const LONGEST_RESTART_DELAY_SECONDS: f64 = 3600.0;

/// What the robot says of its connections.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RobotLifecycle {
    /// What it is connected to, or no longer: "CyTube", "NATS".
    pub target: Option<String>,
    /// The room's domain; absent when all its rooms are meant.
    pub domain: Option<String>,
    /// The room's channel; absent when all its rooms are meant.
    pub channel: Option<String>,
    /// Why.
    pub reason: Option<String>,
}

impl RobotLifecycle {
    /// Reads whatever there is.
    pub fn parse(body: &[u8]) -> Self {
        let mut fields = object(body).unwrap_or_default();
        Self {
            target: text(&mut fields, "target"),
            domain: text(&mut fields, "domain"),
            channel: text(&mut fields, "channel"),
            reason: text(&mut fields, "reason"),
        }
    }

    /// Whether it is about the connection to CyTube.
    pub fn is_about_cytube(&self) -> bool {
        self.target.as_deref().is_some_and(|target| target.eq_ignore_ascii_case("cytube"))
    }
}

/// A beat of some service, as far as it concerns us.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ForeignBeat {
    /// Which run of which process.
    pub instance_id: Option<String>,
    /// On which host.
    pub hostname: Option<String>,
}

impl ForeignBeat {
    /// Reads whatever there is.
    pub fn parse(body: &[u8]) -> Self {
        let mut fields = object(body).unwrap_or_default();
        Self {
            instance_id: text(&mut fields, "instance_id").filter(|id| !id.is_empty() && id.len() <= ID_BYTES),
            hostname: text(&mut fields, "hostname").map(|name| one_line(&name, HOSTNAME_BYTES)),
        }
    }
}

/// The order to restart (REQ-008).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupRestart {
    /// Who ordered it.
    pub initiator: Option<String>,
    /// Why; a notice without a reason is given one that says so.
    pub reason: String,
    /// How long to wait before.
    pub delay: Duration,
    /// What is wrong with the delay that was asked for, if something is.
    pub warning: Option<String>,
}

impl GroupRestart {
    /// Reads whatever there is. A delay that is no number from 0 to 3600 seconds is five.
    pub fn parse(body: &[u8]) -> Self {
        let fields = object(body);
        let (delay, warning) = match delay(fields.as_ref()) {
            Ok(delay) => (delay, None),
            Err(wrong) => {
                let seconds = DEFAULT_RESTART_DELAY.as_secs();
                (DEFAULT_RESTART_DELAY, Some(format!("{wrong}; waiting {seconds} seconds")))
            }
        };
        let mut fields = fields.unwrap_or_default();
        let mut line = |key| {
            let line = text(&mut fields, key).map(|text| one_line(&text, RESTART_TEXT_BYTES));
            line.filter(|line| !line.is_empty())
        };
        let (initiator, reason) = (line("initiator"), line("reason"));
        Self { initiator, reason: reason.unwrap_or_else(|| "no reason given".to_owned()), delay, warning }
    }
}

fn delay(fields: Option<&Map<String, Value>>) -> Result<Duration, String> {
    let fields = fields.ok_or("the body is not a JSON object")?;
    let kind = match fields.get("delay_seconds") {
        None => return Err("delay_seconds is absent".to_owned()),
        Some(Value::Number(number)) => {
            let seconds =
                number.as_f64().filter(|seconds| (0.0..=LONGEST_RESTART_DELAY_SECONDS).contains(seconds));
            return seconds
                .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
                .ok_or_else(|| format!("delay_seconds is {number}, which is not from 0 to 3600"));
        }
        Some(Value::Null) => "null",
        Some(Value::Bool(_)) => "true or false",
        Some(Value::String(_)) => "a text",
        Some(Value::Array(_)) => "a list",
        Some(Value::Object(_)) => "an object",
    };
    Err(format!("delay_seconds is {kind}, not a number"))
}

pub(super) fn object(body: &[u8]) -> Option<Map<String, Value>> {
    serde_json::from_slice(body).ok()
}

pub(super) fn text(fields: &mut Map<String, Value>, key: &str) -> Option<String> {
    match fields.remove(key) {
        Some(Value::String(text)) => Some(text),
        _ => None,
    }
}

pub(super) fn id(fields: &mut Map<String, Value>, key: &str) -> Option<String> {
    text(fields, key).filter(|id| !id.is_empty() && id.len() <= ID_BYTES)
}

pub(super) fn one_line(text: &str, bytes: usize) -> String {
    cut(text.trim(), bytes).replace(char::is_control, " ")
}
