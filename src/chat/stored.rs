//! What is known of a room when we come into it, as others and we wrote it down: JSON texts that
//! may hold anything, read without keeping more of them than is wanted.

use serde::de::{DeserializeSeed, Deserializer, SeqAccess, Visitor as Visit};
use serde_json::Value;

use super::event::change::{self, Media, Visitor};
use super::films::MediaMemory;

/// What is known of a room when we come into it. Everything may be absent.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct StoredState {
    /// What plays.
    pub current: Option<Media>,
    /// The playlist; empty when it is unknown.
    pub items: Vec<Media>,
    /// Who is there; `None` when that is unknown.
    pub users: Option<Vec<Visitor>>,
    /// The last film that the room was told about.
    pub memory: Option<MediaMemory>,
}

/// Reads what plays; `None` without a title.
///
/// # Errors
/// When it is not JSON.
pub fn current(text: &[u8]) -> serde_json::Result<Option<Media>> {
    Ok(change::media(&serde_json::from_slice(text)?))
}

/// Reads a playlist; items without a title are left out.
///
/// # Errors
/// When it is not a list in JSON.
pub fn items(text: &[u8]) -> serde_json::Result<Vec<Media>> {
    list(text, change::playlist_item)
}

/// Reads who is there; those without a name are left out.
///
/// # Errors
/// When it is not a list in JSON.
pub fn users(text: &[u8]) -> serde_json::Result<Vec<Visitor>> {
    list(text, change::visitor)
}

/// Reads what we wrote down; `None` without a title.
///
/// # Errors
/// When it is not JSON.
pub fn memory(text: &[u8]) -> serde_json::Result<Option<MediaMemory>> {
    Ok(MediaMemory::read(&serde_json::from_slice(text)?))
}

fn list<T>(text: &[u8], read: fn(&Value) -> Option<T>) -> serde_json::Result<Vec<T>> {
    let mut json = serde_json::Deserializer::from_slice(text);
    let list = Elements(read).deserialize(&mut json)?;
    json.end()?;
    Ok(list)
}

/// A list whose elements are read one by one and then forgotten: a huge one costs no more than what
/// is taken of it.
struct Elements<T>(fn(&Value) -> Option<T>);

impl<'text, T> DeserializeSeed<'text> for Elements<T> {
    type Value = Vec<T>;

    fn deserialize<D: Deserializer<'text>>(self, deserializer: D) -> Result<Vec<T>, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'text, T> Visit<'text> for Elements<T> {
    type Value = Vec<T>;

    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'text>>(self, mut elements: A) -> Result<Vec<T>, A::Error> {
        let mut taken = Vec::new();
        while let Some(element) = elements.next_element::<Value>()? {
            taken.extend(self.0(&element));
        }
        Ok(taken)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn only_those_elements_of_a_list_are_taken_that_say_what_they_are_about() {
        let text = json!([
            {"media": {"id": "a", "title": "A", "seconds": 6000}, "uid": 7, "queueby": "bob"},
            {"media": {"seconds": 5}}, {"title": "B"}, null, 5, "x", [], {"media": {"title": "C"}}
        ]);
        let titles: Vec<String> = items(text.to_string().as_bytes())
            .expect("a list")
            .into_iter()
            .map(|media| format!("{} {:?} {:?}", media.title, media.uid, media.queued_by))
            .collect();
        assert_eq!(titles, ["A Some(7) Some(\"bob\")", "C None None"]);
        let text =
            json!([{"name": "Bob", "rank": 2.5, "meta": {"afk": true}}, {"rank": 3}, {"name": " "}, 7]);
        let users = users(text.to_string().as_bytes()).expect("a list");
        assert_eq!(users.iter().map(|user| (user.rank, user.is_away)).collect::<Vec<_>>(), [(2.5, true)]);
    }

    #[test]
    fn what_is_no_list_or_no_json_is_told() {
        for text in ["", "{", "[1", "[] []", "{}", "null", "7", "\"x\"", "[\"\u{1}\"]"] {
            assert!(items(text.as_bytes()).is_err() && users(text.as_bytes()).is_err(), "{text}");
        }
        for text in ["", "{", "x", "{} {}"] {
            assert!(current(text.as_bytes()).is_err() && memory(text.as_bytes()).is_err(), "{text}");
        }
        for text in ["{}", "null", "7", "[]", r#"{"title": 5}"#, r#"{"title": " "}"#] {
            assert!(current(text.as_bytes()).is_ok_and(|media| media.is_none()), "{text}");
            assert!(memory(text.as_bytes()).is_ok_and(|memory| memory.is_none()), "{text}");
        }
        let title = r#"{"title": "A"}"#.as_bytes();
        assert_eq!(current(title).expect("JSON").map(|media| media.title), Some("A".to_owned()));
        assert_eq!(memory(title).expect("JSON").map(|memory| memory.title), Some("A".to_owned()));
    }

    proptest! {
        #[test]
        fn no_text_is_a_panic(text in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = (current(&text), items(&text), users(&text), memory(&text));
        }
    }
}
