//! How `limits.users_bytes` is shared out among all that is remembered of users.

use crate::config::Config;

/// Which part of it the spam detection of all rooms may take.
const SPAM: usize = 2;
/// Which part the rate limits may take.
const RATE_LIMITS: usize = 4;
/// Which part the people of all rooms may take.
const PEOPLE: usize = 8;
/// Which part the users' spending may take.
const SPEND: usize = 8;

/// What a room's spam detection may take.
pub fn spam_of_a_room(config: &Config) -> usize {
    config.limits.users_bytes / SPAM / config.rooms.len().max(1)
}

/// What the rate limits may take.
pub fn rate_limits(config: &Config) -> usize {
    config.limits.users_bytes / RATE_LIMITS
}

/// What the people of a room may take.
pub fn people_of_a_room(config: &Config) -> usize {
    config.limits.users_bytes / PEOPLE / config.rooms.len().max(1)
}

/// What the users' spending may take.
pub fn spend(config: &Config) -> usize {
    config.limits.users_bytes / SPEND
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::config::testing::config;

    #[test]
    fn all_shares_of_all_rooms_together_are_within_the_whole() {
        let rooms = json!([{"domain": "cytu.be", "channel": "a"}, {"domain": "cytu.be", "channel": "b"}]);
        let config = config(json!({"limits": {"users_bytes": 1 << 20}, "channels": rooms}));
        let of_rooms = 2 * (spam_of_a_room(&config) + people_of_a_room(&config));
        assert_eq!(of_rooms + rate_limits(&config) + spend(&config), 1 << 20);
    }
}
