//! What holds for the whole configuration.

use serde_json::json;

use super::testing::{config, text};
use super::*;

#[test]
fn a_minimal_file_loads_without_a_warning() {
    let loaded = load(&text(json!({})), &|_| None).unwrap();
    assert_eq!(loaded.warnings, []);
    assert_eq!(loaded.config.rooms.len(), 1);
    assert_eq!(config(json!({"metrics": {"port": 0}})).metrics.port, 0);
}
