//! The templates in force: the built-in ones, and the operator's own in front of them.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use minijinja::{Environment, Value};

use super::engine;
use super::failure::Failure;
use crate::config::Templates as Names;

/// Templates by their path inside the operator's folder, `/` between its parts.
pub type Files = BTreeMap<String, Arc<str>>;

/// What a template is for, with the one that is built in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// Who the bot is.
    System,
    /// What it is asked.
    Trigger,
    /// Which film has begun.
    MediaChange,
}

impl Role {
    const ALL: [Self; 3] = [Self::System, Self::Trigger, Self::MediaChange];

    fn built_in(self) -> &'static str {
        match self {
            Self::System => include_str!("built_in/system.j2"),
            Self::Trigger => include_str!("built_in/trigger.j2"),
            Self::MediaChange => include_str!("built_in/media_change.j2"),
        }
    }

    /// The file that an operator may have for it.
    fn file(self, names: &Names) -> &str {
        match self {
            Self::System => &names.system,
            Self::Trigger => &names.default_trigger,
            Self::MediaChange => &names.media_change,
        }
    }
}

/// The templates that prompts are rendered with. They reach no file: what is included or extended
/// is looked up among the texts that are here.
pub struct Templates {
    names: Names,
    files: Arc<Files>,
    own: Environment<'static>,
    built_in: Environment<'static>,
}

impl Templates {
    /// The operator's templates under the configured names, and the built-in ones where one is
    /// missing. Whether they are any good is for [`Self::failures`] to say.
    pub fn new(names: Names, files: Files) -> Self {
        let files = Arc::new(files);
        let (mut own, mut built_in) = (engine::environment(), engine::environment());
        let (of_operator, of_names) = (files.clone(), names.clone());
        own.set_loader(move |name| {
            let built_in =
                || Role::ALL.into_iter().find(|role| role.file(&of_names) == name).map(Role::built_in);
            Ok(of_operator.get(name).map(|text| &**text).or_else(built_in).map(str::to_owned))
        });
        let of_names = names.clone();
        built_in.set_loader(move |name| {
            let role = Role::ALL.into_iter().find(|role| role.file(&of_names) == name);
            Ok(role.map(|role| role.built_in().to_owned()))
        });
        Self { names, files, own, built_in }
    }

    /// The operator's templates.
    pub fn files(&self) -> &Files {
        &self.files
    }

    /// The operator's templates that prompts begin with, by name.
    pub fn entries(&self) -> impl Iterator<Item = &str> {
        let is_entry = |name: &&str| {
            Role::ALL.iter().any(|role| role.file(&self.names) == *name)
                || (name.starts_with("trigger-") && name.ends_with(".j2"))
        };
        self.files.keys().map(String::as_str).filter(is_entry)
    }

    /// What can be said to be wrong with the operator's templates before they are used: each that
    /// looks like one is read, and those that prompts begin with are rendered with `samples`.
    pub(super) fn failures(&self, samples: &[Value]) -> Vec<Failure> {
        let mut failures: Vec<Failure> = Vec::new();
        let mut note = |failure: Failure| {
            if failures.iter().all(|known| known.file != failure.file) {
                failures.push(failure);
            }
        };
        for name in self.files.keys().filter(|name| looks_like_a_template(name)) {
            if let Err(error) = self.own.get_template(name) {
                note(Failure::of(name, &error));
            }
        }
        for name in self.entries() {
            for sample in samples {
                if let Err(error) = self.render_with(&self.own, name, sample)
                    && error.is_the_templates_own
                {
                    note(error);
                }
            }
        }
        failures
    }

    /// Makes a text of the first of these templates that the operator has and that works; else of
    /// the built-in one. `make` gets the template's name and what renders it. What fails on the way
    /// is put into `failures`.
    pub(super) fn first_that_works<T>(
        &self,
        role: Role,
        special: &[String],
        failures: &mut Vec<Failure>,
        make: impl Fn(&str, &dyn Fn(&Value) -> Result<String, Failure>) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let file = role.file(&self.names);
        for name in special.iter().map(String::as_str).chain([file]) {
            if self.files.contains_key(name) {
                match make(name, &|variables| self.render_with(&self.own, name, variables)) {
                    Ok(made) => return Ok(made),
                    Err(failure) => failures.push(failure),
                }
            }
        }
        make(file, &|variables| self.render_with(&self.built_in, file, variables))
    }

    fn render_with(
        &self,
        environment: &Environment<'_>,
        name: &str,
        variables: &Value,
    ) -> Result<String, Failure> {
        environment
            .get_template(name)
            .and_then(|template| template.render(variables))
            .map_err(|error| Failure::of(name, &error))
    }
}

impl fmt::Debug for Templates {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Templates").field("files", &self.files.keys()).finish_non_exhaustive()
    }
}

/// Others in the folder are only read when a template includes them.
fn looks_like_a_template(name: &str) -> bool {
    [".j2", ".jinja", ".jinja2"].iter().any(|ending| name.ends_with(ending))
}

#[cfg(test)]
mod tests;
