//! `personality`: who speaks, and whom it doesn't listen to.

use super::section::Section;
use crate::names::Username;

/// Who speaks.
#[derive(Debug, Clone)]
pub struct Personality {
    pub character_name: String,
    pub character_description: String,
    pub personality_traits: Vec<String>,
    pub expertise: Vec<String>,
    pub response_style: String,
    /// Names that count as a mention, besides `character_name`.
    pub name_variations: Vec<String>,
}

impl Personality {
    /// The names that count as a mention.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.name_variations.iter().chain([&self.character_name]).map(String::as_str)
    }

    pub(super) fn read(s: &mut Section<'_>) -> Self {
        Self {
            character_name: s.text("character_name", "CynthiaRothbot"),
            character_description: s.text("character_description", "legendary martial artist and actress"),
            personality_traits: s.texts(
                "personality_traits",
                &["confident", "action-oriented", "pithy", "martial arts expert"],
            ),
            expertise: s.texts("expertise", &["kung fu", "action movies", "martial arts", "B-movies"]),
            response_style: s.text("response_style", "short and punchy"),
            name_variations: s.texts("name_variations", &["cynthia", "rothrock", "cynthiarothbot"]),
        }
    }
}

/// `ignored_users`, in any case.
pub(super) fn ignored_users(s: &mut Section<'_>) -> Vec<Username> {
    let names = s.texts("ignored_users", &[]);
    names.iter().map(|name| name.trim()).filter(|name| !name.is_empty()).map(Username::new).collect()
}
