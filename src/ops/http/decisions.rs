//! `/api/decisions`: the last ones and their reasons.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum::response::Response;

use super::query::parameters;
use super::{HttpState, error_page, json_page};
use crate::chat::decisions::Wanted;
use crate::names::Username;
use crate::ops::commands::{Pauses, documents};

/// The most decisions in one answer.
const MOST: usize = 500;
/// How many there are unless told.
const USUAL: usize = 50;
/// What may be asked.
const ALLOWED: &str = "there are: limit (1 to 500), user, channel, fired (true or false)";

/// Those that are wanted, newest first; 400 for what can't be wanted.
pub(super) async fn page(State(state): State<Arc<HttpState>>, uri: Uri) -> Response {
    let wanted = match wanted(uri.query().unwrap_or_default(), &state.rooms) {
        Ok(wanted) => wanted,
        Err(error) => return error_page(StatusCode::BAD_REQUEST, &error),
    };
    match state.figures.asking.ask(move |_, _, decisions| decisions.recent(&wanted)).await {
        Some(recent) => json_page(StatusCode::OK, &documents::decisions(&recent)),
        None => error_page(StatusCode::SERVICE_UNAVAILABLE, "the decider does not answer"),
    }
}

fn wanted(query: &str, rooms: &Pauses) -> Result<Wanted, String> {
    let mut wanted = Wanted { limit: USUAL, ..Wanted::default() };
    for parameter in parameters(query, ALLOWED) {
        let parameter = parameter?;
        let bad = |what| parameter.bad(what);
        match (&*parameter.name, &*parameter.value) {
            ("limit", value) => {
                let limit = value.parse().ok().filter(|limit| (1..=MOST).contains(limit));
                wanted.limit = limit.ok_or_else(|| bad("must be a whole number from 1 to 500"))?;
            }
            ("fired", "true") => wanted.fired = true,
            ("fired", "false") => {}
            ("fired", _) => return Err(bad("must be true or false")),
            ("user" | "channel", "") => {}
            ("user", user) => wanted.user = Some(Username::new(user)),
            ("channel", channel) => wanted.rooms = Some(rooms.named(channel)?),
            _ => return Err(bad("is unknown")),
        }
    }
    Ok(wanted)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::names::RoomName;

    #[test]
    fn what_can_be_wanted_is_understood_and_all_else_is_told() {
        let room = RoomName::new("cytu.be", "Movie Night").expect("a room");
        let rooms = Pauses::new(vec![room.clone()], Path::new("/nowhere"));
        for (query, limit, user, is_of_room, fired) in [
            ("", 50, None, false, false),
            ("limit=1", 1, None, false, false),
            ("limit=500&fired=true", 500, None, false, true),
            ("user=B%c3%b6b&channel=movie-night", 50, Some("Böb"), true, false),
            ("channel=Movie+Night&fired=false", 50, None, true, false),
            ("user=&channel=", 50, None, false, false),
        ] {
            let wanted = wanted(query, &rooms).expect(query);
            assert_eq!((wanted.limit, wanted.fired), (limit, fired), "{query}");
            assert_eq!(wanted.user, user.map(Username::new), "{query}");
            assert_eq!(wanted.rooms, is_of_room.then(|| vec![room.clone()]), "{query}");
        }
        for (query, error) in [
            ("limit=0", "limit: must be a whole number from 1 to 500"),
            ("limit=501", "limit: must be"),
            ("limit=", "limit: must be"),
            ("limit=-1", "limit: must be"),
            ("limit=99999999999999999999", "limit: must be"),
            ("fired=yes", "fired: must be true or false"),
            ("limit=1&limit=2", "limit: is there twice"),
            ("since=1", "since: is unknown; there are: limit (1 to 500), user, channel, fired"),
            ("channel=Other", "Channel not found: Other; there are: "),
        ] {
            let told = wanted(query, &rooms).expect_err(query);
            assert!(told.starts_with(error), "{query}: {told}");
        }
    }
}
