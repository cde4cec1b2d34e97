//! What each user has made us spend today, bounded in bytes.

use std::collections::HashMap;

use crate::names::Username;

/// What an entry takes besides the texts of its name: the map may be half empty, and each text has a
/// header.
const ENTRY_BYTES: usize = 2 * size_of::<(Username, u64)>() + 64;

/// Tokens by user.
#[derive(Debug, Default)]
pub struct UserTokens {
    tokens: HashMap<Username, u64>,
    bytes: usize,
}

impl UserTokens {
    /// What a user has spent.
    pub fn of(&self, user: &Username) -> u64 {
        self.tokens.get(user).copied().unwrap_or_default()
    }

    /// What the user has spent who spent most.
    pub fn most(&self) -> u64 {
        self.tokens.values().copied().max().unwrap_or_default()
    }

    /// Replaces a part of what a user has spent.
    pub fn change(&mut self, user: &Username, less: u64, more: u64) {
        if !self.tokens.contains_key(user) {
            self.bytes += entry_bytes(user);
        }
        let tokens = self.tokens.entry(user.clone()).or_default();
        *tokens = tokens.saturating_sub(less).saturating_add(more);
    }

    /// When there are too many bytes, forgets the half of the users who spent least: whoever is near
    /// the limit is never among them before others.
    pub fn tidy(&mut self, max_bytes: usize) {
        if self.bytes <= max_bytes {
            return;
        }
        let mut spent: Vec<u64> = self.tokens.values().copied().collect();
        spent.sort_unstable();
        let mut to_go = spent.len().div_ceil(2);
        let most = spent[to_go - 1];
        self.tokens.retain(|_, tokens| {
            let goes = *tokens <= most && to_go > 0;
            to_go -= usize::from(goes);
            !goes
        });
        self.bytes = self.tokens.keys().map(entry_bytes).sum();
    }

    /// All users and what they have spent.
    pub fn iter(&self) -> impl Iterator<Item = (&Username, u64)> {
        self.tokens.iter().map(|(user, tokens)| (user, *tokens))
    }
}

fn entry_bytes(name: &Username) -> usize {
    ENTRY_BYTES + name.as_str().len() + name.folded().len()
}
