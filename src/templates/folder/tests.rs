use std::os::unix::fs::{PermissionsExt, symlink};

use tempfile::TempDir;

use super::*;

fn folder(files: &[(&str, &[u8])]) -> TempDir {
    let folder = TempDir::new().expect("a folder");
    for (name, bytes) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        fs::write(path, bytes).expect("a file");
    }
    folder
}

/// What is read, and what is wrong.
fn seen(folder: &Path) -> (Vec<(String, String)>, Vec<String>) {
    let listing = list(folder).expect("a listing");
    let (files, unread) = read(folder, listing.stamps.keys());
    let failures = listing.failures.iter().chain(&unread).map(ToString::to_string).collect();
    (files.into_iter().map(|(name, text)| (name, text.to_string())).collect(), failures)
}

fn names(folder: &Path) -> Vec<String> {
    seen(folder).0.into_iter().map(|(name, _)| name).collect()
}

#[test]
fn files_are_read_by_their_paths_inside_the_folder() {
    let folder = folder(&[
        ("trigger.j2", b"hello"),
        ("parts/deep/x.txt", "\u{feff}caf\u{e9}".as_bytes()),
        (".trigger.j2.swp", b"\xff"),
        (".git/config", b"x"),
    ]);
    let (files, failures) = seen(folder.path());
    assert_eq!(
        files,
        [("parts/deep/x.txt".into(), "caf\u{e9}".into()), ("trigger.j2".into(), "hello".into())]
    );
    assert!(failures.is_empty(), "{failures:?}");
}

#[test]
fn a_missing_folder_is_empty_and_a_file_in_its_place_is_an_error() {
    let folder = folder(&[("file", b"x")]);
    assert_eq!(list(&folder.path().join("nowhere")).expect("a listing"), Listing::default());
    assert!(list(&folder.path().join("file")).is_err());
}

#[test]
fn links_are_followed_inside_the_folder_only() {
    let outside = folder(&[("secret", b"secret"), ("more/secret.j2", b"secret")]);
    let folder = folder(&[("..data/trigger.j2", b"linked")]);
    let at = |name: &str| folder.path().join(name);
    symlink("..data/trigger.j2", at("trigger.j2")).expect("a link");
    symlink(outside.path().join("secret"), at("secret.j2")).expect("a link");
    symlink(outside.path().join("more"), at("more")).expect("a link");
    symlink("nowhere", at("broken.j2")).expect("a link");
    symlink(".", at("again")).expect("a link");
    let (files, failures) = seen(folder.path());
    assert!(files.iter().all(|(name, text)| name.ends_with("trigger.j2") && text == "linked"), "{files:?}");
    assert!(files.iter().any(|(name, _)| name == "trigger.j2"), "{files:?}");
    for expected in
        ["broken.j2: can't be read", "more: is a link that leads out", "secret.j2: is a link that leads out"]
    {
        assert!(failures.iter().any(|failure| failure.starts_with(expected)), "{expected} {failures:?}");
    }
}

#[test]
fn what_is_no_text_of_a_fair_size_is_refused() {
    let folder = folder(&[
        ("a.j2", b"one\ntwo \xff"),
        ("big.j2", &vec![b'x'; 256 * 1024 + 1]),
        ("fits.j2", &vec![b'x'; 256 * 1024]),
    ]);
    let (files, failures) = seen(folder.path());
    assert_eq!(files.len(), 1);
    assert_eq!(failures, ["big.j2: is larger than 262144 bytes", "a.j2 line 2: has bytes that are no UTF-8"]);
}

#[test]
fn files_and_folders_are_bounded_in_number() {
    let many = folder(&[]);
    for number in 0..258 {
        fs::write(many.path().join(format!("{number}.j2")), "x").expect("a file");
    }
    let (files, failures) = seen(many.path());
    assert_eq!((files.len(), failures.len()), (256, 2), "{failures:?}");
    let deep = folder(&[("1/2/3/4/5/6/7/8/x", b"x"), ("1/2/3/4/5/6/7/8/9/x", b"x")]);
    assert_eq!(names(deep.path()), ["1/2/3/4/5/6/7/8/x"]);
}

#[test]
fn every_change_of_a_file_shows_in_its_stamp() {
    let folder = folder(&[("a.j2", b"one")]);
    let path = folder.path().join("a.j2");
    let mut stamps = vec![list(folder.path()).expect("a listing")];
    let mut changed = |what: &str| {
        let now = list(folder.path()).expect("a listing");
        assert!(!stamps.contains(&now), "{what}");
        stamps.push(now);
    };
    fs::write(&path, "three").expect("a file");
    changed("another length");
    fs::write(folder.path().join("b.j2"), "other").expect("a file");
    changed("a new file");
    fs::rename(folder.path().join("b.j2"), &path).expect("a file");
    changed("another file in its place");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("a file");
    changed("other rights");
    fs::remove_file(&path).expect("no file");
    changed("it is gone");
}
