use proptest::prelude::*;
use serde_json::json;

use super::super::event::change;
use super::super::testing::{at, media, rules};
use super::*;

fn settings(context: serde_json::Value) -> Settings {
    rules(json!({"context": context})).config().context.clone()
}

fn item(title: &str, uid: u64, queued_by: &str) -> Media {
    Media { uid: Some(uid), queued_by: Some(queued_by.to_owned()), ..media(title, 100) }
}

fn next(screen: &Screen) -> Option<String> {
    screen.next(&settings(json!({}))).map(|media| media.title)
}

fn position(screen: &Screen, second: f64) -> u64 {
    screen.current(at(second), &settings(json!({}))).expect("something plays").position.as_secs()
}

#[test]
fn the_same_media_again_is_no_change_for_a_while() {
    let shorter = media("A", 99);
    let other_kind = Media { kind: "fi".to_owned(), ..media("A", 100) };
    for (context, is_in_grace, second, again, expected) in [
        (json!({}), false, 30.0, media("A", 100), false),
        (json!({}), false, 30.1, media("A", 100), true),
        (json!({}), true, 3_000.0, media("A", 100), false),
        (json!({}), true, 1.0, media("B", 100), true),
        (json!({}), false, 1.0, shorter, true),
        (json!({}), false, 1.0, other_kind, true),
        (json!({"enable_enhanced_deduplication": false}), true, 1.0, media("A", 100), true),
    ] {
        let settings = settings(context);
        let mut screen = Screen::default();
        assert!(screen.changed(at(0.0), &settings, true, media("A", 100)), "the first is a change");
        assert_eq!(screen.changed(at(second), &settings, is_in_grace, again.clone()), expected, "{again:?}");
    }
}

#[test]
fn media_that_is_announced_again_and_again_stays_the_same() {
    let settings = settings(json!({}));
    let mut screen = Screen::default();
    let changes = [0.0, 25.0, 50.0, 75.0, 106.0]
        .map(|second| screen.changed(at(second), &settings, false, media("A", 100)));
    assert_eq!(changes, [true, false, false, false, true]);
}

#[test]
fn the_position_goes_on_by_itself_unless_it_is_paused() {
    let mut screen = Screen::default();
    screen.load(at(10.0), Some(media("A", 100)), Vec::new());
    assert_eq!([10.0, 15.9, 110.0, 9_999.0].map(|second| position(&screen, second)), [0, 5, 100, 100]);
    screen.progressed(at(20.0), Progress { position: 60.5, is_paused: true });
    assert_eq!([20.0, 50.0].map(|second| position(&screen, second)), [60, 60]);
    screen.progressed(at(50.0), Progress { position: -3.0, is_paused: false });
    assert_eq!([50.0, 52.0, 54.5].map(|second| position(&screen, second)), [0, 0, 1]);
    let current = screen.current(at(54.5), &settings(json!({}))).expect("something plays");
    assert_eq!(current.remaining(), Duration::from_secs(99));
}

#[test]
fn a_stream_has_no_end() {
    let mut screen = Screen::default();
    screen.load(at(0.0), Some(media("Live", 0)), Vec::new());
    assert_eq!(position(&screen, 5_000.0), 5_000);
    let current = screen.current(at(9.0), &settings(json!({}))).expect("something plays");
    assert_eq!(current.remaining(), Duration::ZERO);
}

#[test]
fn where_nothing_plays_nothing_progresses() {
    let mut screen = Screen::default();
    screen.progressed(at(1.0), Progress { position: 5.0, is_paused: false });
    assert_eq!(screen.current(at(1.0), &settings(json!({}))), None);
    assert_eq!(next(&screen), None);
}

#[test]
fn the_playlist_tells_who_queued_what_and_what_comes_next() {
    let settings = settings(json!({}));
    let mut screen = Screen::default();
    let playlist = vec![item("Old", 1, "eve"), item("A", 2, "bob"), item("B", 3, "ann"), item("C", 4, "bob")];
    screen.load(at(0.0), Some(Media { uid: Some(2), ..media("A", 100) }), playlist);
    let queued_by = |screen: &Screen| screen.current(at(0.0), &settings).and_then(|media| media.queued_by);
    assert_eq!((queued_by(&screen).as_deref(), next(&screen).as_deref()), (Some("bob"), Some("B")));
    assert_eq!(screen.next(&settings).and_then(|media| media.queued_by).as_deref(), Some("ann"));
    screen.changed(at(1.0), &settings, false, media("B", 100));
    assert_eq!((queued_by(&screen).as_deref(), next(&screen).as_deref()), (Some("ann"), Some("C")));
    let told = Media { queued_by: Some("zoe".to_owned()), ..media("C", 100) };
    screen.changed(at(2.0), &settings, false, told);
    assert_eq!((queued_by(&screen).as_deref(), next(&screen)), (Some("zoe"), None));
    screen.changed(at(3.0), &settings, false, media("Unlisted", 100));
    assert_eq!((queued_by(&screen), next(&screen)), (None, None));
}

#[test]
fn a_place_in_the_playlist_is_found_by_number_then_id_then_title() {
    let playlist =
        [item("A", 1, "x"), item("A", 2, "x"), Media { id: "other".to_owned(), ..item("B", 3, "x") }];
    for (wanted, expected) in [
        (item("A", 2, "x"), Some(1)),
        (media("A", 100), Some(0)),
        (Media { uid: Some(9), ..media("A", 100) }, Some(0)),
        (Media { id: String::new(), ..media("B", 100) }, Some(2)),
        (media("B", 100), Some(2)),
        (media("C", 100), None),
    ] {
        assert_eq!(place(&playlist, &wanted), expected, "{wanted:?}");
    }
}

#[test]
fn titles_are_cut_and_a_playlist_is_kept_from_what_plays_on() {
    let settings = settings(json!({"max_video_title_length": 50}));
    let mut screen = Screen::default();
    let playlist: Vec<Media> = (0..2_000).map(|uid| item(&"é".repeat(400), uid, "bob")).collect();
    screen.load(at(0.0), Some(Media { uid: Some(1_000), ..media("A", 100) }), playlist);
    assert_eq!((screen.playlist.len(), screen.playlist[0].uid), (ITEMS, Some(1_000)));
    assert_eq!(screen.next(&settings).map(|media| media.title), Some("é".repeat(50)));
    screen.changed(at(0.0), &settings, false, media(&"é".repeat(400), 1));
    let current = screen.current(at(0.0), &settings).expect("something plays");
    assert_eq!(current.title, "é".repeat(50));
}

#[test]
fn a_playlist_may_come_without_what_plays() {
    let mut screen = Screen::default();
    screen.load(at(0.0), None, vec![item("A", 1, "bob"), item("B", 2, "bob")]);
    assert_eq!(next(&screen), None);
    screen.changed(at(0.0), &settings(json!({})), false, media("A", 100));
    assert_eq!(next(&screen).as_deref(), Some("B"));
}

proptest! {
    #[test]
    fn no_progress_makes_a_position_beyond_the_end(position in any::<f64>(), is_paused: bool, second in 0.0..1e6f64) {
        let mut screen = Screen::default();
        screen.load(at(0.0), change::media(&json!({"title": "A", "seconds": 60})), Vec::new());
        screen.progressed(at(0.0), Progress { position, is_paused });
        prop_assert!(super::tests::position(&screen, second) <= 60);
    }
}
