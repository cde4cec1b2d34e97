//! Which version of each template is in force: the newest that is any good.

use std::sync::Arc;

use super::folder::{self, Listing};
use crate::chat::prompt::{Failure, Files, Templates};
use crate::config::Templates as Settings;

/// The owner of the operator's templates.
pub struct Keeper {
    settings: Settings,
    /// As the folder was when it was last read.
    seen: Listing,
    current: Arc<Templates>,
    has_looked: bool,
}

/// What a look at the folder has brought.
pub struct News {
    /// The templates in force from now on.
    pub templates: Arc<Templates>,
    /// What can't be used of what is in the folder.
    pub failures: Vec<Failure>,
}

impl Keeper {
    /// A keeper that knows only the built-in templates.
    pub fn new(settings: Settings) -> Self {
        let current = Arc::new(Templates::new(settings.clone(), Files::new()));
        Self { settings, seen: Listing::default(), current, has_looked: false }
    }

    /// The templates in force.
    pub fn current(&self) -> Arc<Templates> {
        self.current.clone()
    }

    /// Looks at the folder; blocks. `None` when nothing has changed in it.
    pub fn look(&mut self) -> Option<News> {
        let listing = folder::list(&self.settings.dir).unwrap_or_else(|error| {
            let failure = Failure::of_file(".", format!("the templates' folder can't be read: {error}"));
            // What was there is taken as still there.
            Listing { stamps: self.seen.stamps.clone(), failures: vec![failure] }
        });
        if self.has_looked && listing == self.seen {
            return None;
        }
        let (files, unread) = folder::read(&self.settings.dir, listing.stamps.keys());
        let failures = listing.failures.iter().cloned().chain(unread).collect();
        let news = self.take(files, failures);
        self.seen = listing;
        self.has_looked = true;
        Some(news)
    }

    /// Puts new files in force. One that is broken, or is there but could not be read, keeps its
    /// last good version; without one it is left out, as if it were missing.
    fn take(&mut self, mut files: Files, mut failures: Vec<Failure>) -> News {
        for failure in &failures {
            if let Some(good) = self.current.files().get(&failure.file) {
                files.insert(failure.file.clone(), good.clone());
            }
        }
        // Each round takes back or leaves out at least one file, so the rounds come to an end.
        let templates = loop {
            let templates = Templates::new(self.settings.clone(), files.clone());
            let found = templates.check();
            if !self.replace(&mut files, &found) {
                break templates;
            }
            for failure in found {
                if failures.iter().all(|known| known.file != failure.file) {
                    failures.push(failure);
                }
            }
        };
        self.current = Arc::new(templates);
        News { templates: self.current(), failures }
    }

    /// Takes broken files back to their last good version, or leaves them out. Whether any was.
    fn replace(&self, files: &mut Files, broken: &[Failure]) -> bool {
        let mut replaced = false;
        for failure in broken {
            let Some(text) = files.remove(&failure.file) else { continue };
            replaced = true;
            if let Some(good) = self.current.files().get(&failure.file).filter(|good| **good != text) {
                files.insert(failure.file.clone(), good.clone());
            }
        }
        replaced
    }
}

#[cfg(test)]
mod tests;
