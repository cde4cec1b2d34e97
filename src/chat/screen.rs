//! What plays in a room, and what comes next.

use std::time::Duration;

use crate::clock::Moment;
use crate::config::Context as Settings;

use super::event::change::{Media, Progress};

/// The same media again within this time is no change.
const REPEATED: Duration = Duration::from_secs(30);
/// The most items kept of a playlist, from what plays on.
const ITEMS: usize = 500;

/// What plays in a room, as a prompt tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CurrentMedia {
    /// Its title, at most `context.max_video_title_length` characters.
    pub title: String,
    /// How long it is, in whole seconds; zero for a stream.
    pub duration: Duration,
    /// How far it is, in whole seconds; never beyond a duration that is known.
    pub position: Duration,
    /// Where it comes from, as CyTube calls it; may be empty.
    pub kind: String,
    /// Who put it into the playlist, if that is known.
    pub queued_by: Option<String>,
}

impl CurrentMedia {
    /// How long it still plays; zero for a stream.
    pub fn remaining(&self) -> Duration {
        self.duration.saturating_sub(self.position)
    }
}

/// What comes next in a room, as a prompt tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NextMedia {
    /// Its title, at most `context.max_video_title_length` characters.
    pub title: String,
    /// How long it is, in whole seconds; zero for a stream.
    pub duration: Duration,
    /// Where it comes from, as CyTube calls it; may be empty.
    pub kind: String,
    /// Who put it into the playlist, if that is known.
    pub queued_by: Option<String>,
}

/// What is known of one room's screen.
#[derive(Debug, Default)]
pub struct Screen {
    current: Option<Current>,
    playlist: Vec<Media>,
}

#[derive(Debug)]
struct Current {
    media: Media,
    /// When it was last announced.
    announced: Duration,
    /// When its progress was true.
    measured: Duration,
}

impl Screen {
    /// Takes the playlist as the robot has written it down, and what plays, if that is known.
    pub fn load(&mut self, now: Moment, current: Option<Media>, playlist: Vec<Media>) {
        if let Some(media) = current {
            self.show(now, media);
        }
        let first = self.current.as_ref().and_then(|current| place(&playlist, &current.media));
        self.playlist = playlist.into_iter().skip(first.unwrap_or_default()).take(ITEMS).collect();
    }

    /// Takes what plays now, and says whether that is a change. The same again within 30 seconds,
    /// or while a robot that came back tells what it missed, is none.
    pub fn changed(&mut self, now: Moment, settings: &Settings, is_in_grace: bool, media: Media) -> bool {
        let is_repeated = settings.enable_enhanced_deduplication
            && self.current.as_ref().is_some_and(|current| {
                let since = now.elapsed.saturating_sub(current.announced);
                is_same(&current.media, &media) && (is_in_grace || since <= REPEATED)
            });
        self.show(now, media);
        !is_repeated
    }

    fn show(&mut self, now: Moment, media: Media) {
        self.current = Some(Current { media, announced: now.elapsed, measured: now.elapsed });
    }

    /// Takes how far it is.
    pub fn progressed(&mut self, now: Moment, progress: Progress) {
        if let Some(current) = &mut self.current {
            current.media.progress = progress;
            current.measured = now.elapsed;
        }
    }

    /// What plays.
    pub fn current(&self, now: Moment, settings: &Settings) -> Option<CurrentMedia> {
        let current = self.current.as_ref()?;
        let media = &current.media;
        let listed = || self.place_of_current().and_then(|at| self.playlist[at].queued_by.clone());
        Some(CurrentMedia {
            title: cut(&media.title, settings),
            duration: media.duration,
            position: current.position(now),
            kind: media.kind.clone(),
            queued_by: media.queued_by.clone().or_else(listed),
        })
    }

    /// What comes after it in the playlist, as far as that is known.
    pub fn next(&self, settings: &Settings) -> Option<NextMedia> {
        let media = self.playlist.get(self.place_of_current()? + 1)?;
        Some(NextMedia {
            title: cut(&media.title, settings),
            duration: media.duration,
            kind: media.kind.clone(),
            queued_by: media.queued_by.clone(),
        })
    }

    fn place_of_current(&self) -> Option<usize> {
        place(&self.playlist, &self.current.as_ref()?.media)
    }
}

impl Current {
    /// Between two measurements it goes on by itself.
    fn position(&self, now: Moment) -> Duration {
        let Progress { position, is_paused } = self.media.progress;
        let since = now.elapsed.saturating_sub(self.measured).as_secs_f64();
        let position = if is_paused { position } else { position + since };
        let longest = if self.media.duration.is_zero() { Duration::MAX } else { self.media.duration };
        // The cast saturates: nothing is before the start.
        Duration::from_secs(position as u64).min(longest)
    }
}

/// Where something stands in a playlist: by its place's number, else by its id, else by its title.
fn place(playlist: &[Media], media: &Media) -> Option<usize> {
    let by_uid = |item: &Media| item.uid == media.uid;
    let by_id = |item: &Media| item.kind == media.kind && item.id == media.id;
    let by_title = |item: &Media| item.title == media.title;
    let found = if media.uid.is_some() { playlist.iter().position(by_uid) } else { None };
    let or_by_id = || if media.id.is_empty() { None } else { playlist.iter().position(by_id) };
    found.or_else(or_by_id).or_else(|| playlist.iter().position(by_title))
}

fn is_same(media: &Media, other: &Media) -> bool {
    media.title == other.title && media.duration == other.duration && media.kind == other.kind
}

fn cut(title: &str, settings: &Settings) -> String {
    title.chars().take(settings.max_video_title_length).collect()
}

#[cfg(test)]
mod tests;
