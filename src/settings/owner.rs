//! What is in force, and where it comes from: the file, then the command line, then commands. No I/O.

use std::collections::HashMap;
use std::sync::Arc;

use crate::config::{self, Config, Effective, Environment, Loaded, LogLevel, Problem, Warning, Written};

use super::change::{Change, Refused};
use super::fixed;

/// The places that a command can change; see [`Change`].
const CHANGED_BY_COMMAND: [&str; 3] = ["personality", "triggers", "rate_limits"];

/// What the command line puts over the file, for as long as the service runs.
#[derive(Debug, Clone, Copy, Default)]
pub struct Overrules {
    /// `--log-level`.
    pub log_level: Option<LogLevel>,
    /// `--dry-run`.
    pub dry_run: bool,
}

impl Overrules {
    /// Puts them over a file that was loaded.
    pub fn put_over(self, loaded: &mut Loaded) {
        if let Some(level) = self.log_level {
            loaded.config.log_level = level;
            loaded.overrule("log_level", format!("\"{level}\""));
        }
        if self.dry_run {
            loaded.config.testing.dry_run = true;
            loaded.overrule("testing.dry_run", "true".to_owned());
        }
    }
}

/// A value that is another now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangedValue {
    /// Its JSON path.
    pub place: String,
    /// As JSON, or `****`; none when it wasn't there.
    pub from: Option<String>,
    /// As JSON, or `****`; none when it isn't there any more.
    pub to: Option<String>,
}

/// What was taken up.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Taken {
    /// The values that are others now.
    pub changes: Vec<ChangedValue>,
    /// The places where the file says something that only a restart takes up.
    pub needs_restart: Vec<String>,
    /// What else an operator should know of the file.
    pub warnings: Vec<Warning>,
    /// Whether values that were changed by command are the file's again.
    pub commands_undone: bool,
}

/// The one owner of the settings.
#[derive(Debug)]
pub struct Owner {
    overrules: Overrules,
    /// What the service started with.
    started: Loaded,
    /// The file as it was parsed when it was read last, with the changes by command on top.
    written: Written,
    has_changes: bool,
    config: Arc<Config>,
    effective: Vec<Effective>,
}

impl Owner {
    /// Begins with what was loaded and overruled.
    pub fn new(started: Loaded, overrules: Overrules) -> Self {
        Self {
            overrules,
            written: started.written.clone(),
            has_changes: false,
            config: Arc::new(started.config.clone()),
            effective: started.effective.clone(),
            started,
        }
    }

    /// The configuration in force.
    pub fn config(&self) -> &Arc<Config> {
        &self.config
    }

    /// Takes up the file as it was loaded anew. What was changed by command is gone with that.
    pub fn reload(&mut self, loaded: Loaded) -> Taken {
        let commands_undone = std::mem::take(&mut self.has_changes);
        self.written.clone_from(&loaded.written);
        Taken { commands_undone, ..self.take_up(loaded) }
    }

    /// Changes some values until the next reload or start.
    ///
    /// # Errors
    /// Why it can't be; then nothing is changed.
    pub fn change(&mut self, change: &Change, environment: &Environment) -> Result<Taken, Refused> {
        let mut written = self.written.clone();
        change.put_over(&mut written, &self.config)?;
        let loaded = config::read_changed(written, environment)
            .map_err(|problems| Refused::Invalid(problems.iter().map(Problem::to_string).collect()))?;
        self.written = loaded.written;
        self.has_changes = true;
        // Everything else stays as it was loaded, the secrets above all: their files may be gone.
        let of_change = |field: &Effective| config::is_at(&field.place, &CHANGED_BY_COMMAND);
        let kept = self.effective.iter().filter(|field| !of_change(field)).cloned();
        let effective: Vec<_> = kept.chain(loaded.effective.into_iter().filter(of_change)).collect();
        let changes = differences(&self.effective, &effective);
        let Config { personality, triggers, rate_limits, .. } = loaded.config;
        let config = Config { personality, triggers, rate_limits, ..Config::clone(&self.config) };
        (self.effective, self.config) = (effective, Arc::new(config));
        Ok(Taken { changes, ..Taken::default() })
    }

    fn take_up(&mut self, mut loaded: Loaded) -> Taken {
        self.overrules.put_over(&mut loaded);
        let is_fixed = |field: &Effective| config::is_fixed(&field.place);
        let (fixed, free): (Vec<_>, Vec<_>) = loaded.effective.into_iter().partition(is_fixed);
        let as_started: Vec<_> =
            self.started.effective.iter().filter(|field| is_fixed(field)).cloned().collect();
        let needs_restart =
            differences(&as_started, &fixed).into_iter().map(|changed| changed.place).collect();
        let effective: Vec<_> = as_started.into_iter().chain(free).collect();
        let changes = differences(&self.effective, &effective);
        self.effective = effective;
        self.config = Arc::new(fixed::as_started(loaded.config, &self.started.config));
        Taken { changes, needs_restart, warnings: loaded.warnings, commands_undone: false }
    }
}

/// Where two lists of values differ.
fn differences(before: &[Effective], after: &[Effective]) -> Vec<ChangedValue> {
    let mut old: HashMap<&str, &Effective> = before.iter().map(|field| (&*field.place, field)).collect();
    let mut changed = Vec::new();
    for new in after {
        let old = old.remove(&*new.place);
        if !old.is_some_and(|old| old.is_same(new)) {
            changed.push(ChangedValue {
                place: new.place.clone(),
                from: old.map(|old| old.value.clone()),
                to: Some(new.value.clone()),
            });
        }
    }
    let gone = before.iter().filter(|field| old.contains_key(&*field.place));
    changed.extend(gone.map(|old| ChangedValue {
        place: old.place.clone(),
        from: Some(old.value.clone()),
        to: None,
    }));
    changed
}

#[cfg(test)]
mod tests;
