//! What a request on the command subject asks for. No I/O.

use std::time::Duration;

use serde_json::{Map, Value};

use crate::names::Username;
use crate::settings::{Change, PERSONALITY_FIELDS, RATE_LIMIT_FIELDS, TRIGGER_FIELDS};

/// The longest pause with an end: a year.
const LONGEST_PAUSE_SECONDS: f64 = 31_536_000.0;
/// The most contexts in one answer, and how many unless told.
const CONTEXTS: (usize, usize) = (50, 10);
/// The most decisions in one answer, and how many unless told.
const DECISIONS: (usize, usize) = (500, 20);
/// The most characters of a request's own words in an answer.
const SHOWN: usize = 100;

/// What to do.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    Ping,
    Health,
    Reload,
    /// The last so many contexts.
    RecentContexts(usize),
    Context(WhichContext),
    Personality,
    Triggers,
    RateLimits,
    Providers,
    /// Takes new values until the next reload or start.
    Change(Change),
    /// Of one user, or of everybody.
    ResetRateLimits(Option<Username>),
    Pardon(Username),
    /// One room or all; for so long, or until it is resumed.
    Pause {
        channel: Option<String>,
        duration: Option<Duration>,
    },
    Resume {
        channel: Option<String>,
    },
    Decisions {
        user: Option<Username>,
        channel: Option<String>,
        limit: usize,
    },
    ForgetUser(Username),
    InspectUser(Username),
}

/// By what a context is found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WhichContext {
    CorrelationId(String),
    /// 0 is the oldest.
    Index(usize),
}

/// Every command by its name.
pub const NAMES: [&str; 20] = [
    "system.ping",
    "system.health",
    "system.reload",
    "context.recent",
    "context.get",
    "personality.get",
    "personality.update",
    "triggers.list",
    "triggers.update",
    "triggers.toggle",
    "rate_limits.get",
    "rate_limits.update",
    "rate_limits.reset",
    "providers.list",
    "chat.pause",
    "chat.resume",
    "decisions.recent",
    "spam.pardon",
    "forget.user",
    "inspect.user",
];

/// A request that can't be followed, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadRequest {
    /// The command's name, where there is one.
    pub command: Option<String>,
    /// What is wrong, in words.
    pub error: String,
}

impl Command {
    /// Whether it may take seconds: it reads files or compiles patterns.
    pub fn may_take_long(&self) -> bool {
        matches!(self, Self::Reload | Self::Change(_))
    }

    /// Whether it changes something.
    pub fn changes(&self) -> bool {
        match self {
            Self::Reload
            | Self::Change(_)
            | Self::ResetRateLimits(_)
            | Self::Pardon(_)
            | Self::Pause { .. }
            | Self::Resume { .. }
            | Self::ForgetUser(_) => true,
            Self::Ping
            | Self::Health
            | Self::RecentContexts(_)
            | Self::Context(_)
            | Self::Personality
            | Self::Triggers
            | Self::RateLimits
            | Self::Providers
            | Self::Decisions { .. }
            | Self::InspectUser(_) => false,
        }
    }
}

/// Reads a request to the service called `own_service`: the command's name, and what it asks for.
///
/// # Errors
/// What is wrong with it.
pub fn parse(payload: &[u8], own_service: &str) -> Result<(&'static str, Command), BadRequest> {
    let bad = |error: &str| BadRequest { command: None, error: error.to_owned() };
    let Ok(Value::Object(request)) = serde_json::from_slice(payload) else { return Err(bad("Invalid JSON")) };
    let Some(command) = request.get("command").and_then(Value::as_str).filter(|name| !name.is_empty()) else {
        return Err(bad("Missing 'command' field"));
    };
    let command = command.trim();
    let refuse = |error: String| BadRequest { command: Some(shown(command)), error };
    if let Some(service) = request.get("service").filter(|service| !service.is_null()) {
        let name = service.as_str().unwrap_or_default().trim().to_lowercase();
        if !["llm", "system", own_service].contains(&&*name) {
            return Err(refuse(format!("Command intended for '{}', not 'llm'", shown(&name))));
        }
    }
    let Some(name) = NAMES.into_iter().find(|name| *name == command) else {
        return Err(refuse(format!("Unknown command: {}; there are: {}", shown(command), NAMES.join(", "))));
    };
    let command = Arguments::of(&request).read(name).map_err(refuse)?;
    Ok((name, command))
}

/// The arguments: members of `args`, else of the request itself.
struct Arguments<'a> {
    args: Option<&'a Map<String, Value>>,
    request: &'a Map<String, Value>,
}

impl<'a> Arguments<'a> {
    fn of(request: &'a Map<String, Value>) -> Self {
        Self { args: request.get("args").and_then(Value::as_object), request }
    }

    fn read(&self, command: &str) -> Result<Command, String> {
        Ok(match command {
            "system.ping" => Command::Ping,
            "system.health" => Command::Health,
            "system.reload" => Command::Reload,
            "context.recent" => Command::RecentContexts(self.limit(CONTEXTS)?),
            "context.get" => Command::Context(self.which_context()?),
            "personality.get" => Command::Personality,
            "personality.update" => Command::Change(Change::Personality(self.fields(&PERSONALITY_FIELDS))),
            "triggers.list" => Command::Triggers,
            "triggers.update" => {
                Command::Change(Change::Trigger(self.required("name")?, self.fields(&TRIGGER_FIELDS)))
            }
            "triggers.toggle" => Command::Change(Change::ToggleTrigger(self.required("name")?)),
            "rate_limits.get" => Command::RateLimits,
            "rate_limits.update" => Command::Change(Change::RateLimits(self.fields(&RATE_LIMIT_FIELDS))),
            "rate_limits.reset" => Command::ResetRateLimits(self.user("user")?),
            "providers.list" => Command::Providers,
            "chat.pause" => Command::Pause { channel: self.text("channel")?, duration: self.duration()? },
            "chat.resume" => Command::Resume { channel: self.text("channel")? },
            "decisions.recent" => Command::Decisions {
                user: self.user("user")?,
                channel: self.text("channel")?,
                limit: self.limit(DECISIONS)?,
            },
            "spam.pardon" => Command::Pardon(Username::new(&self.required("user")?)),
            "forget.user" => Command::ForgetUser(Username::new(&self.required("username")?)),
            "inspect.user" => Command::InspectUser(Username::new(&self.required("username")?)),
            unknown => return Err(format!("Unknown command: {unknown}")),
        })
    }

    /// Null is as good as nothing.
    fn get(&self, key: &str) -> Option<&'a Value> {
        let from = |members: &'a Map<String, Value>| members.get(key).filter(|value| !value.is_null());
        self.args.and_then(from).or_else(|| from(self.request))
    }

    fn text(&self, key: &str) -> Result<Option<String>, String> {
        match self.get(key) {
            None => Ok(None),
            Some(Value::String(text)) if !text.trim().is_empty() => Ok(Some(text.trim().to_owned())),
            Some(_) => Err(format!("{key}: must be a text that says something")),
        }
    }

    fn required(&self, key: &str) -> Result<String, String> {
        let is_empty = self.get(key).and_then(Value::as_str).is_some_and(|text| text.trim().is_empty());
        let text = if is_empty { None } else { self.text(key)? };
        text.ok_or_else(|| format!("Missing required field: {key}"))
    }

    fn user(&self, key: &str) -> Result<Option<Username>, String> {
        Ok(self.text(key)?.map(|name| Username::new(&name)))
    }

    fn limit(&self, (most, usual): (usize, usize)) -> Result<usize, String> {
        let Some(value) = self.get("limit") else { return Ok(usual) };
        match whole_number(value).filter(|limit| *limit > 0) {
            Some(limit) => Ok(usize::try_from(limit).unwrap_or(most).min(most)),
            None => Err("limit: must be a whole number, 1 or more".to_owned()),
        }
    }

    fn duration(&self) -> Result<Option<Duration>, String> {
        let Some(value) = self.get("duration_seconds") else { return Ok(None) };
        let seconds = value.as_f64().filter(|seconds| *seconds > 0.0 && *seconds <= LONGEST_PAUSE_SECONDS);
        let error = "duration_seconds: must be a number above 0, at most 31536000 (a year)";
        Ok(Some(Duration::from_secs_f64(seconds.ok_or(error)?)))
    }

    fn which_context(&self) -> Result<WhichContext, String> {
        if let Some(id) = self.text("correlation_id")? {
            return Ok(WhichContext::CorrelationId(id));
        }
        let index = self.get("index").ok_or("Missing required field: correlation_id or index")?;
        let index = whole_number(index).and_then(|index| usize::try_from(index).ok());
        Ok(WhichContext::Index(index.ok_or("index: must be a whole number; 0 is the oldest")?))
    }

    /// The new values: under `fields` or `args` whatever is there, in the request itself those that are
    /// known, for others stand there too.
    fn fields(&self, known: &[&str]) -> Map<String, Value> {
        let own = |key: &&String| !["name", "fields"].contains(&key.as_str());
        let of = |members: &Map<String, Value>| {
            let fields = members.iter().filter(|(key, _)| own(key));
            fields.map(|(key, value)| (key.clone(), value.clone())).collect()
        };
        let nested = |members: Option<&Map<String, Value>>| {
            members.and_then(|members| members.get("fields")).and_then(Value::as_object).map(of)
        };
        let args = self.args.map(of).filter(|fields: &Map<String, Value>| !fields.is_empty());
        nested(self.args).or_else(|| nested(Some(self.request))).or(args).unwrap_or_else(|| {
            let known = self.request.iter().filter(|(key, _)| known.contains(&key.as_str()));
            known.map(|(key, value)| (key.clone(), value.clone())).collect()
        })
    }
}

/// A whole number, also as a text or with a point, as in the configuration.
fn whole_number(value: &Value) -> Option<u64> {
    let of_float = |number: f64| {
        // Beyond this, floats skip whole numbers.
        let is_whole = number.fract() == 0.0 && (0.0..9_007_199_254_740_992.0).contains(&number);
        is_whole.then_some(number as u64)
    };
    match value {
        Value::String(text) => text.trim().parse().ok().or_else(|| of_float(text.trim().parse().ok()?)),
        number => number.as_u64().or_else(|| of_float(number.as_f64()?)),
    }
}

/// A request's own word, as it may stand in an answer.
fn shown(text: &str) -> String {
    text.chars().filter(|character| !character.is_control()).take(SHOWN).collect()
}

#[cfg(test)]
mod tests;
