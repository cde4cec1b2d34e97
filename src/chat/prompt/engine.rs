//! How templates are read and rendered: as Jinja does it for operators, but within bounds.

use std::borrow::Cow;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::Kwargs;
use minijinja::{AutoEscape, Environment, Error, UndefinedBehavior};
use minijinja_contrib::pycompat;

use super::quote;

/// What one rendering may cost: about one unit for each instruction and for each 64 bytes made. A
/// conversation of fifty lines takes a hundredth of it.
const FUEL: u64 = 200_000;
/// How deep includes, blocks and macros may nest, in the engine's units: ten macros, or so.
const DEPTH: usize = 120;

/// An environment without templates: blocks leave no blank lines, nothing is escaped, what is
/// undefined is empty, and a rendering ends when its fuel is used up.
pub(super) fn environment() -> Environment<'static> {
    let mut environment = Environment::new();
    let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
    environment.set_syntax(syntax.expect("a syntax of ours"));
    environment.set_auto_escape_callback(|_| AutoEscape::None);
    environment.set_undefined_behavior(UndefinedBehavior::Chainable);
    environment.set_fuel(Some(FUEL));
    environment.set_recursion_limit(DEPTH);
    environment.set_unknown_method_callback(pycompat::unknown_method_callback);
    minijinja_contrib::add_to_environment(&mut environment);
    environment.add_filter("truncate", truncate);
    environment.add_filter("wordcount", wordcount);
    environment.add_filter("quoted", |text: Cow<'_, str>| quote::quoted(&text));
    environment.add_filter("speaker", |name: Cow<'_, str>| quote::speaker(&name));
    environment
}

/// Jinja's `truncate`, whose arguments come with or without their names (`leeway` always with it).
fn truncate(
    text: Cow<'_, str>,
    length: Option<usize>,
    killwords: Option<bool>,
    end: Option<String>,
    named: Kwargs,
) -> Result<String, Error> {
    let length = length.or(named.get("length")?).unwrap_or(255);
    let killwords = killwords.or(named.get("killwords")?).unwrap_or(false);
    let end = end.or(named.get("end")?).unwrap_or_else(|| "...".to_owned());
    let leeway = named.get::<Option<usize>>("leeway")?.unwrap_or(5);
    named.assert_all_used()?;
    if text.chars().count() <= length.saturating_add(leeway) {
        return Ok(text.into_owned());
    }
    let kept: String = text.chars().take(length.saturating_sub(end.chars().count())).collect();
    let kept =
        if killwords { kept.as_str() } else { kept.rsplit_once(' ').map_or(&*kept, |(words, _)| words) };
    Ok(format!("{kept}{end}"))
}

/// Jinja's `wordcount`.
fn wordcount(text: Cow<'_, str>) -> usize {
    text.split_whitespace().count()
}

#[cfg(test)]
mod tests;
