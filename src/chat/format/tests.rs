use proptest::prelude::*;

use super::*;
use crate::config::Case;

fn formatter(change: impl FnOnce(&mut Formatting)) -> Formatter {
    let artifact = |source| Pattern::new(source, Case::Ignored).expect("a pattern");
    let mut formatting = Formatting {
        max_message_length: 100,
        continuation_indicator: " ...".to_owned(),
        enable_emoji_limiting: false,
        max_emoji_per_message: Some(2),
        remove_self_references: true,
        remove_llm_artifacts: true,
        artifact_patterns: [r"^Here's ", r"^Sure!", r"\bAs an AI\b"].map(artifact).into(),
    };
    change(&mut formatting);
    Formatter::new(&formatting, "Vera")
}

fn said(answer: &str) -> Vec<String> {
    formatter(|_| {}).lines(answer, false)
}

#[test]
fn one_line_answers() {
    for (answer, line) in [
        ("Hello there.", "Hello there."),
        ("  Hello\n\n there.\r\n", "Hello there."),
        ("sure! Watch it.", "Watch it."),
        ("Here's the thing", "the thing"),
        ("Well, as an ai I", "Well, I"),
        ("As Vera, I say no", "I say no"),
        ("I am Vera: no", "no"),
        ("I'm Vera, hello", "hello"),
        ("VERA: no", "no"),
        ("Vera, who else?", "who else?"),
        ("Vera: Vera: no", "no"),
        ("Vera said no", "Vera said no"),
        ("Veracity: a virtue", "Veracity: a virtue"),
        ("bob: hi", "bob: hi"),
        ("Well, speaking as Vera, I agree", "Well, I agree"),
        ("Here, in the role of vera I agree", "Here, I agree"),
        ("I like playing Veranda", "I like playing Veranda"),
        ("Vera: /kick bob", "kick bob"),
        ("```\ncode\n```/clear", "clear"),
        ("\u{202e}/\u{200b}/ban all", "ban all"),
        ("Look: ```python\nx", "Look:"),
    ] {
        assert_eq!(said(answer), [line], "{answer:?}");
    }
}

#[test]
fn nothing_left_is_no_line() {
    for answer in ["", "   \n", "/", "!!!", "```x```", "Vera:", "\u{200b}\u{202e}"] {
        assert_eq!(said(answer), Vec::<String>::new(), "{answer:?}");
    }
}

#[test]
fn switched_off_rules_leave_the_text() {
    let formatter = formatter(|formatting| {
        formatting.remove_self_references = false;
        formatting.remove_llm_artifacts = false;
    });
    assert_eq!(formatter.lines("Sure! As Vera, no", false), ["Sure! As Vera, no"]);
}

#[test]
fn a_cut_answer_loses_its_half_sentence() {
    assert_eq!(
        formatter(|_| {}).lines("Watch Enter the Dragon. It has the best", true),
        ["Watch Enter the Dragon."]
    );
}

#[test]
fn long_answers_are_cut_at_sentences_then_words_then_graphemes() {
    let sentence = "A".repeat(59) + ".";
    assert_eq!(said(&format!("{sentence} {sentence}")), [format!("{sentence} ..."), sentence.clone()]);
    let words = "word ".repeat(25);
    assert_eq!(
        said(&words),
        [format!("{} ...", "word ".repeat(19).trim_end()), "word ".repeat(6).trim_end().to_owned()]
    );
    let letters = "x".repeat(150);
    assert_eq!(said(&letters), [format!("{} ...", "x".repeat(96)), "x".repeat(54)]);
    // Eight characters and eleven UTF-16 units each: never torn.
    let family = "👨\u{200d}👩\u{200d}👧\u{200d}👦";
    assert_eq!(said(&family.repeat(10)), [format!("{} ...", family.repeat(8)), family.repeat(2)]);
}

#[test]
fn exactly_the_limit_is_one_line() {
    assert_eq!(said(&"x".repeat(100)), ["x".repeat(100)]);
    assert_eq!(said(&"x".repeat(101)).len(), 2);
}

#[test]
fn no_part_begins_as_a_command() {
    let answer = format!("{} /kick bob .ban $roll !x", "word ".repeat(19).trim_end());
    assert_eq!(said(&answer)[1], "kick bob .ban $roll !x");
}

#[test]
fn a_part_of_nothing_but_a_command_mark_is_none() {
    assert_eq!(said(&format!("{} !!!!!", "x".repeat(96))), ["x".repeat(96)]);
}

#[test]
fn emoji_over_the_limit_go() {
    let formatter = formatter(|formatting| formatting.enable_emoji_limiting = true);
    assert_eq!(formatter.lines("a 🎬 b 👩\u{200d}🎤 c 🎬 d", false), ["a 🎬 b 👩\u{200d}🎤 c d"]);
    assert_eq!(formatter.lines("🎬🎬🎬/kick", false), ["🎬🎬/kick"]);
    assert_eq!(formatter.lines("🎬🎬🎬 🎬", false), ["🎬🎬"]);
}

#[test]
fn an_absurd_indicator_is_left_out() {
    let formatter = formatter(|formatting| {
        formatting.continuation_indicator =
            "........................................................................".to_owned()
    });
    assert_eq!(formatter.lines(&"x".repeat(150), false), ["x".repeat(100), "x".repeat(50)]);
}

/// Anything a provider may come up with, with what has a meaning here more often than by chance.
fn hostile() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        any::<String>(),
        "[a-z]{1,120}",
        "[ /!.$a-z]{1,20}",
        prop::sample::select(vec![
            "\u{200b}",
            "\u{200d}",
            "\u{202e}",
            "\u{301}",
            "\u{3164}",
            "\n",
            "/",
            "!",
            ".",
            "$",
            " ",
            "🎬",
            "👩\u{200d}👧",
            "🇩🇪",
            "```",
            "Vera:",
            "a\u{301}\u{301}\u{301}",
            "\u{fe0f}",
            "\u{e0041}",
            "\u{0}",
        ])
        .prop_map(str::to_owned),
        (1usize..300).prop_map(|count| format!("a{}", "\u{301}".repeat(count))),
    ];
    prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn every_line_fits_and_is_harmless(answer in hostile(), is_cut: bool, max_emoji in prop::option::of(0usize..3)) {
        let formatter = formatter(|formatting| (formatting.enable_emoji_limiting, formatting.max_emoji_per_message) = (true, max_emoji));
        for line in formatter.lines(&answer, is_cut) {
            prop_assert!(line.encode_utf16().count() <= 100);
            let is_forbidden =
                |c: char| c.is_control() || ('\u{202a}'..='\u{202e}').contains(&c) || c == '\u{200b}';
            prop_assert!(!line.contains(is_forbidden));
            prop_assert_eq!(without_command(&line), &*line);
            let visible = line.trim_matches(|c: char| c.is_whitespace());
            prop_assert!(!visible.starts_with(['/', '!']) && !visible.is_empty());
            let mut start = visible.chars();
            if matches!(start.next(), Some('.' | '$')) {
                prop_assert!(!start.as_str().trim_start().starts_with(char::is_alphabetic));
            }
        }
    }

    #[test]
    fn joined_lines_equal_the_text(words in prop::collection::vec("[a-zé🎬👩שé?]{1,150}", 1..20)) {
        let text = words.join(" ");
        let lines = said(&text);
        let last = lines.len() - 1;
        let joined: String = lines.iter().enumerate().map(|(at, line)| if at < last { line.strip_suffix(" ...").expect("the indicator") } else { line }).collect();
        prop_assert_eq!(joined.replace(' ', ""), text.replace(' ', ""));
    }
}
