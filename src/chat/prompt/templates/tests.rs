use minijinja::context;
use serde_json::json;

use super::*;

fn templates(files: &[(&str, &str)]) -> Templates {
    let files = files.iter().map(|(name, text)| ((*name).to_owned(), (*text).into())).collect();
    Templates::new(crate::config::testing::config(json!({})).templates, files)
}

fn checked(files: &[(&str, &str)]) -> Vec<String> {
    templates(files).check().iter().map(ToString::to_string).collect()
}

#[test]
fn what_is_wrong_is_told_with_file_and_line() {
    for (files, expected) in [
        (&[("trigger.j2", "ok\n{% if x %}\n")][..], "trigger.j2 line 2: syntax error"),
        (
            &[("trigger-mention-vera.j2", "\n{{ x | nosuch }}")],
            "trigger-mention-vera.j2 line 2: unknown filter",
        ),
        (&[("system.j2", "{% if bot is nosuch %}{% endif %}")], "system.j2 line 1: unknown test"),
        (&[("system.j2", "\n\n{{ now() }}")], "system.j2 line 3: unknown function"),
        (&[("trigger.j2", "\n{% include 'no.j2' %}")], "trigger.j2 line 2: template not found"),
        (&[("unused.j2", "{{")], "unused.j2 line 1: syntax error"),
        (
            &[("trigger.j2", "{% include 'a/b.txt' %}"), ("a/b.txt", "\n{{ x | no }}")],
            "a/b.txt line 2: unknown filter",
        ),
        (
            &[("trigger.j2", "{% for a in range(99999) %}{% for b in range(99) %}{% endfor %}{% endfor %}")],
            "trigger.j2 line 1: engine ran out of fuel",
        ),
        (
            &[("trigger.j2", "{% if trigger.context == '' %}{{ x | no }}{% endif %}")],
            "trigger.j2 line 1: unknown filter",
        ),
    ] {
        let failures = checked(files);
        assert_eq!(failures.len(), 1, "{failures:?}");
        assert!(failures[0].starts_with(expected), "{failures:?}");
    }
}

#[test]
fn what_only_some_messages_meet_is_no_reason_to_refuse_a_template() {
    for text in [
        "{{ chat_history[5].username.upper() }}",
        "{{ user.username + 1 }}",
        "{% include 'no.j2' ignore missing %}",
        "{{ current_media.title.upper() }}",
    ] {
        assert!(checked(&[("trigger.j2", text)]).is_empty(), "{text}");
    }
    assert!(checked(&[("README.md", "{% not a template")]).is_empty());
}

#[test]
fn templates_include_and_extend_each_other_and_the_built_in_ones_but_nothing_else() {
    let files = [
        ("base.j2", "<{% block middle %}base{% endblock %}>"),
        ("trigger.j2", "{% extends 'base.j2' %}{% block middle %}{% include 'parts/x.j2' %}{% endblock %}"),
        ("parts/x.j2", "x{% import 'macros.j2' as m %}{{ m.twice('y') }}"),
        ("macros.j2", "{% macro twice(a) %}{{ a }}{{ a }}{% endmacro %}"),
        ("trigger-mention.j2", "mine, {% include 'system.j2' %}"),
    ];
    let templates = templates(&files);
    let render =
        |name| templates.render_with(&templates.own, name, &context! { bot => context! { name => "Vera" } });
    assert_eq!(render("trigger.j2"), Ok("<xyy>".to_owned()));
    assert!(render("trigger-mention.j2").is_ok_and(|text| text.starts_with("mine, You are Vera.")));
    for path in ["../secret.j2", "/etc/passwd", "parts/../../secret.j2", "./base.j2", ""] {
        let failures = checked(&[("trigger.j2", &format!("{{% include '{path}' %}}"))]);
        assert!(
            failures.iter().any(|failure| failure.contains("template not found")),
            "{path}: {failures:?}"
        );
    }
}

#[test]
fn the_built_in_templates_are_fine_under_any_name() {
    let names =
        crate::config::testing::config(json!({"templates": {"system": "a b", "default_trigger": "a/../b"}}));
    let templates = Templates::new(names.templates, Files::new());
    let mut failures = Vec::new();
    for role in Role::ALL {
        let made = templates.first_that_works(role, &[], &mut failures, |_, render| render(&context! {}));
        assert!(made.is_ok(), "{made:?}");
    }
    assert!(failures.is_empty());
}
