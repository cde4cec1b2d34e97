//! Every reason for a silence is told in plain words.

use std::collections::BTreeSet;

use kryten_llm::outcome::Reason;

const WORDS: &str = include_str!("../../src/ops/dashboard/words.js");

#[test]
fn the_page_explains_every_reason_and_no_other() {
    let list = WORDS.split_once("export const REASONS = {").and_then(|(_, rest)| rest.split_once("\n};"));
    let (list, _) = list.expect("the list of reasons");
    let explained: Vec<(&str, &str)> =
        list.lines().filter_map(|line| line.trim().trim_end_matches(',').split_once(": ")).collect();
    let names: BTreeSet<&str> = explained.iter().map(|(name, _)| *name).collect();
    let reasons: BTreeSet<&str> = Reason::ALL.into_iter().map(Reason::as_str).collect();
    assert_eq!(names, reasons);
    assert_eq!(explained.len(), reasons.len(), "one is there twice");
    for (name, meaning) in explained {
        assert!(meaning.len() > 20 && meaning.ends_with(".\""), "{name}: {meaning}");
    }
}
