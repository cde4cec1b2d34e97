use std::fs;

use serde_json::json;
use tempfile::TempDir;

use super::*;
use crate::config::testing;

/// A keeper with a folder.
struct World {
    folder: TempDir,
    keeper: Keeper,
}

impl World {
    fn new() -> Self {
        let folder = TempDir::new().expect("a folder");
        let settings = testing::config(json!({"templates": {"dir": folder.path()}})).templates;
        Self { folder, keeper: Keeper::new(settings) }
    }

    /// Puts a new file in the place of the old one.
    fn write(&self, name: &str, text: &str) {
        let (new, path) = (self.folder.path().join(".new"), self.folder.path().join(name));
        fs::write(&new, text).expect("a file");
        fs::rename(&new, path).expect("a file");
    }

    /// What a look says is wrong; none when nothing has changed.
    fn look(&mut self) -> Option<Vec<String>> {
        let news = self.keeper.look()?;
        Some(news.failures.iter().map(ToString::to_string).collect())
    }

    fn text(&self, name: &str) -> Option<String> {
        self.keeper.current().files().get(name).map(|text| text.to_string())
    }
}

#[test]
fn only_a_change_is_news() {
    let mut world = World::new();
    assert_eq!(world.look(), Some(vec![]));
    assert_eq!(world.look(), None);
    world.write("trigger.j2", "one");
    assert_eq!(world.look(), Some(vec![]));
    assert_eq!(world.text("trigger.j2").as_deref(), Some("one"));
    assert_eq!(world.look(), None);
    fs::remove_file(world.folder.path().join("trigger.j2")).expect("no file");
    assert_eq!(world.look(), Some(vec![]));
    assert_eq!(world.text("trigger.j2"), None);
}

#[test]
fn a_broken_file_keeps_its_last_good_version_until_it_is_mended() {
    let mut world = World::new();
    world.write("trigger.j2", "one");
    world.write("system.j2", "sys");
    world.look();
    world.write("trigger.j2", "two {{ x | nosuch }}");
    world.write("system.j2", "sys two");
    let failures = world.look().expect("news");
    assert!(
        failures.len() == 1 && failures[0].starts_with("trigger.j2 line 1: unknown filter"),
        "{failures:?}"
    );
    assert_eq!(world.text("trigger.j2").as_deref(), Some("one"));
    assert_eq!(world.text("system.j2").as_deref(), Some("sys two"));
    world.write("trigger.j2", "still {{");
    assert_eq!(world.look().expect("news").len(), 1);
    assert_eq!(world.text("trigger.j2").as_deref(), Some("one"));
    world.write("trigger.j2", "three");
    assert_eq!(world.look(), Some(vec![]));
    assert_eq!(world.text("trigger.j2").as_deref(), Some("three"));
}

#[test]
fn a_file_that_was_never_good_is_left_out() {
    let mut world = World::new();
    world.write("trigger.j2", "{% if %}");
    assert_eq!(world.look().expect("news").len(), 1);
    assert_eq!(world.text("trigger.j2"), None);
}

#[test]
fn a_broken_include_keeps_its_last_good_version_under_whoever_includes_it() {
    let mut world = World::new();
    world.write("trigger.j2", "{% include 'part.txt' %}");
    world.write("part.txt", "fine");
    assert_eq!(world.look(), Some(vec![]));
    world.write("part.txt", "{% broken %}");
    let failures = world.look().expect("news");
    assert!(failures.len() == 1 && failures[0].starts_with("part.txt line 1: syntax error"), "{failures:?}");
    assert_eq!(world.text("part.txt").as_deref(), Some("fine"));
    assert!(world.text("trigger.j2").is_some());
}

#[test]
fn without_what_it_includes_a_template_is_left_out_too() {
    let mut world = World::new();
    world.write("trigger.j2", "{% include 'part.j2' %}");
    world.write("part.j2", "{% broken %}");
    let failures = world.look().expect("news");
    assert_eq!(failures.len(), 2, "{failures:?}");
    assert!(world.keeper.current().files().is_empty());
}

#[test]
fn a_file_that_can_not_be_read_keeps_its_last_good_version_too() {
    let mut world = World::new();
    world.write("trigger.j2", "one");
    world.look();
    fs::write(world.folder.path().join("trigger.j2"), b"\xff\xfe").expect("a file");
    let failures = world.look().expect("news");
    assert_eq!(failures, ["trigger.j2 line 1: has bytes that are no UTF-8"]);
    assert_eq!(world.text("trigger.j2").as_deref(), Some("one"));
}

#[test]
fn a_folder_that_can_not_be_read_any_more_leaves_all_as_it_was() {
    let mut world = World::new();
    world.write("trigger.j2", "one");
    world.look();
    fs::remove_dir_all(world.folder.path()).expect("no folder");
    fs::write(world.folder.path(), "a file in its place").expect("a file");
    let failures = world.look().expect("news");
    assert!(failures[0].contains("the templates' folder can't be read"), "{failures:?}");
    assert_eq!(world.text("trigger.j2").as_deref(), Some("one"));
    assert_eq!(world.look(), None, "it is said once");
    fs::remove_file(world.folder.path()).expect("no file");
}
