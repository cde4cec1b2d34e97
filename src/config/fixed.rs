//! What only a restart changes.

/// The places whose values are taken up at the start and never again.
const FIXED: [&str; 17] = [
    "nats",
    "channels",
    "state_dir",
    "log_level",
    "logging",
    "limits",
    "history",
    "templates",
    "metrics",
    "outbox.max_lines",
    "testing.log_responses",
    "testing.log_file",
    "service_metadata.service_name",
    "service_metadata.enable_service_discovery",
    "service_metadata.enable_heartbeats",
    "service_metadata.graceful_shutdown_timeout_seconds",
    "group_restart",
];

/// Whether the value at a place is taken up at the start and never again.
pub fn is_fixed(place: &str) -> bool {
    is_at(place, &FIXED)
}

/// Whether a place is one of these, or within one.
pub fn is_at(place: &str, places: &[&str]) -> bool {
    places.iter().any(|known| {
        let rest = place.strip_prefix(known);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_readme_names_them_all() {
        let readme = include_str!("../../README.md");
        let told = readme.split_once("what only a restart takes up:").map_or("", |(_, rest)| rest);
        let told = told.split_once("docs/CONFIGURATION.md").map_or("", |(told, _)| told);
        for place in FIXED {
            // Of this section all but one field is fixed.
            let name = if place.starts_with("service_metadata.") { "service_metadata" } else { place };
            assert!(told.contains(&format!("`{name}`")), "{place}: {told}");
        }
    }

    #[test]
    fn a_place_is_fixed_with_all_that_is_in_it_and_no_other() {
        for place in ["nats", "nats.servers", "channels[0].domain", "outbox.max_lines"] {
            assert!(is_fixed(place), "{place}");
        }
        for place in
            ["nats_too", "outbox", "outbox.max_lines_more", "service_metadata.heartbeat_interval_seconds"]
        {
            assert!(!is_fixed(place), "{place}");
        }
    }
}
