//! What holds for the whole configuration. Tables are typed from the requirements, never taken
//! from the code.

mod defaults;
mod files;
mod never_panics;
mod problems;
mod ranges;
mod schema;
mod secrets;
mod variables;
mod warnings;

use super::Problem;

/// The text of each problem.
fn lines(problems: &[Problem]) -> Vec<String> {
    problems.iter().map(ToString::to_string).collect()
}

/// The place of each problem.
fn places(problems: &[Problem]) -> Vec<&str> {
    problems.iter().map(|problem| problem.place.as_str()).collect()
}
