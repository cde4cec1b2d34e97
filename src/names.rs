//! Names that are parsed once, at the edge, and are right everywhere behind it.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// The longest token that may stand in a subject, in characters.
const TOKEN_CHARACTERS: usize = 100;

/// Why a text can't be a token of a subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("nothing of it can stand in a subject")]
pub struct EmptyToken;

/// Turns a channel's or an event's name into a token of a subject: lower case, without dots
/// and special characters, spaces as `-`, at most 100 characters.
///
/// # Errors
/// When nothing is left.
pub fn token(name: &str) -> Result<String, EmptyToken> {
    let token: String = name
        .to_lowercase()
        .chars()
        .filter_map(|character| match character {
            ' ' => Some('-'),
            '.' => None,
            _ if "!@#$%^&*()+=[]{}|\\:;\"'<>,?/".contains(character) => None,
            _ if character.is_control() || character.is_whitespace() => None,
            _ => Some(character),
        })
        .take(TOKEN_CHARACTERS)
        .collect();
    if token.is_empty() { Err(EmptyToken) } else { Ok(token) }
}

/// Turns the configured service name into the one on every subject: trimmed, lower case,
/// `.` as `-`, then as for any token.
///
/// # Errors
/// When nothing is left.
pub fn service_token(name: &str) -> Result<String, EmptyToken> {
    token(&name.trim().to_lowercase().replace('.', "-"))
}

/// A CyTube account's name: shown as written, compared in any case.
#[derive(Clone)]
pub struct Username {
    shown: Arc<str>,
    folded: Arc<str>,
}

impl Username {
    /// Takes the name as it came.
    pub fn new(name: &str) -> Self {
        let folded = name.to_lowercase();
        let shown: Arc<str> = name.into();
        let folded = if *folded == *shown { shown.clone() } else { folded.into() };
        Self { shown, folded }
    }

    /// The name as it was written.
    pub fn as_str(&self) -> &str {
        &self.shown
    }

    /// The name as it is compared: in lower case.
    pub fn folded(&self) -> &str {
        &self.folded
    }
}

impl PartialEq for Username {
    fn eq(&self, other: &Self) -> bool {
        self.folded == other.folded
    }
}
impl Eq for Username {}
impl Hash for Username {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.folded.hash(state);
    }
}
impl fmt::Display for Username {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.shown)
    }
}
impl fmt::Debug for Username {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:?}", self.shown)
    }
}

/// A room: the domain and channel as configured, and the token by which it is told apart.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RoomName(Arc<RoomParts>);

#[derive(Debug, PartialEq, Eq, Hash)]
struct RoomParts {
    domain: String,
    channel: String,
    token: String,
}

impl RoomName {
    /// Whether an operator means this room: by its domain and channel, or by a name of the same token.
    pub fn is_called(&self, name: &str) -> bool {
        self.to_string() == name || token(name).is_ok_and(|token| token == self.token())
    }

    /// Takes the domain and channel as configured (already trimmed).
    ///
    /// # Errors
    /// When nothing of the channel's name can stand in a subject.
    pub fn new(domain: &str, channel: &str) -> Result<Self, EmptyToken> {
        let token = token(channel)?;
        Ok(Self(Arc::new(RoomParts { domain: domain.to_owned(), channel: channel.to_owned(), token })))
    }

    /// The domain as configured; what the robot compares exactly.
    pub fn domain(&self) -> &str {
        &self.0.domain
    }

    /// The channel as configured.
    pub fn channel(&self) -> &str {
        &self.0.channel
    }

    /// Whether a domain is the room's: in any case, and without space round it.
    pub fn is_on(&self, domain: &str) -> bool {
        self.0.domain.eq_ignore_ascii_case(domain.trim())
    }

    /// The channel as it stands in subjects.
    pub fn token(&self) -> &str {
        &self.0.token
    }
}

impl fmt::Display for RoomName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.0.domain, self.0.channel)
    }
}

/// Which of the rooms that share a token is meant by a domain: of several its own, while a single one
/// takes what comes.
pub fn by_domain<'room>(
    mut rooms: impl ExactSizeIterator<Item = &'room RoomName>,
    domain: Option<&str>,
) -> Option<usize> {
    let only = (rooms.len() == 1).then_some(0);
    domain.and_then(|domain| rooms.position(|room| room.is_on(domain))).or(only)
}

/// The places of the rooms that somebody means who names a domain, a channel, both, or neither: then
/// all of them.
pub fn meant(rooms: &[RoomName], domain: Option<&str>, channel: Option<&str>) -> Vec<usize> {
    let places = |is_meant: &dyn Fn(&RoomName) -> bool| -> Vec<usize> {
        (0..rooms.len()).filter(|place| is_meant(&rooms[*place])).collect()
    };
    let Some(channel) = channel else {
        return places(&|room| domain.is_none_or(|domain| room.is_on(domain)));
    };
    let Ok(token) = token(channel) else { return Vec::new() };
    let sharing = places(&|room| room.token() == token);
    if domain.is_none() {
        return sharing;
    }
    let named = by_domain(sharing.iter().map(|place| &rooms[*place]), domain);
    named.map(|index| sharing[index]).into_iter().collect()
}

/// A provider's name: its key under `llm_providers`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ProviderName(Arc<str>);

impl ProviderName {
    /// Takes the key as configured.
    pub fn new(name: &str) -> Self {
        Self(name.into())
    }

    /// The key as configured.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ProviderName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_lower_case_without_dots_and_special_characters() {
        for (name, expected) in [
            ("MovieNight", "movienight"),
            ("movie night", "movie-night"),
            ("a.b.c", "abc"),
            ("!@#$%^&*()+=x[]{}|\\:;\"'<>,?/", "x"),
            ("snake_case-1", "snake_case-1"),
            ("Émile", "émile"),
        ] {
            assert_eq!(token(name).as_deref(), Ok(expected), "{name}");
        }
        assert_eq!(token("..!"), Err(EmptyToken));
        assert_eq!(token(&"x".repeat(300)).map(|token| token.len()), Ok(100));
    }

    #[test]
    fn a_service_name_keeps_its_dots_as_dashes() {
        assert_eq!(service_token("  LLM.Vera ").as_deref(), Ok("llm-vera"));
        assert_eq!(service_token(" ! "), Err(EmptyToken));
    }

    #[test]
    fn rooms_are_meant_by_channel_and_where_several_share_it_by_domain() {
        let rooms = [("cytu.be", "Lounge"), ("other.tv", "lounge"), ("cytu.be", "Movie Night")]
            .map(|(domain, channel)| RoomName::new(domain, channel).expect("a room"));
        for (domain, channel, expected) in [
            (None, None, vec![0, 1, 2]),
            (None, Some("LOUNGE"), vec![0, 1]),
            (None, Some("movie.night"), vec![]),
            (None, Some("movie night"), vec![2]),
            (Some(" CYTU.BE "), Some("lounge"), vec![0]),
            (Some("other.tv"), Some("Lounge"), vec![1]),
            (Some("www.cytu.be"), Some("Lounge"), vec![]),
            (Some("www.cytu.be"), Some("Movie-Night"), vec![2]),
            (Some("cytu.be"), None, vec![0, 2]),
            (Some("www.cytu.be"), None, vec![]),
            (Some("cytu.be"), Some("..."), vec![]),
            (Some("cytu.be"), Some("attic"), vec![]),
        ] {
            assert_eq!(meant(&rooms, domain, channel), expected, "{domain:?} {channel:?}");
        }
    }

    #[test]
    fn usernames_compare_in_any_case() {
        assert_eq!(Username::new("Bob"), Username::new("bOB"));
        assert_eq!(Username::new("Bob").as_str(), "Bob");
    }
}
