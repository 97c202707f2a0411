//! Every folder that must not be opened is refused with what to do, and left as it is.

use std::fs;
use std::path::PathBuf;

use rocksdb::Options;

use super::*;
use crate::store::OpenError;
use crate::store::family::{JOURNAL, META};
use crate::store::key::{MetaKey, Seq};
use crate::store::value::Raw;

fn refusal(dir: &Path, mode: Mode) -> (OpenError, String) {
    let error = Store::open(dir, mode).err().unwrap_or_else(|| panic!("{} was opened", dir.display()));
    let text = error.to_string();
    (error, text)
}

#[test]
fn an_empty_or_missing_folder_is_made_for_its_owner_only() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("new/data");
    drop(Store::open(&path, Mode::Dev).unwrap());
    assert!(path.join("ELEVON").exists());
    #[cfg(unix)]
    assert_eq!(std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&path).unwrap().permissions()) & 0o777, 0o700);
    drop(Store::open(&path, Mode::Dev).unwrap());
    let volume = dir.path().join("volume");
    fs::create_dir_all(volume.join("lost+found")).unwrap();
    drop(Store::open(&volume, Mode::Normal).unwrap());
}

#[test]
fn a_creation_that_was_cut_short_is_finished() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("ELEVON"), "half a li").unwrap();
    let mut options = Options::default();
    options.create_if_missing(true);
    options.create_missing_column_families(true);
    drop(DB::open_cf(&options, dir.path(), ["journal", "meta"]).unwrap());
    assert_eq!(Store::open(dir.path(), Mode::Normal).unwrap().store.head(), Head::empty());
}

#[test]
fn what_is_not_elevons_is_refused_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    fs::write(path("file"), "x").unwrap();
    fs::create_dir(path("photos")).unwrap();
    fs::write(path("photos/cat.jpg"), "x").unwrap();
    let other = |name: &str, families: &[&str]| {
        let mut options = Options::default();
        options.create_if_missing(true);
        options.create_missing_column_families(true);
        drop(DB::open_cf(&options, path(name), families).unwrap());
    };
    other("other", &["things"]);
    other("alike", &["journal", "meta"]);
    type Expected = fn(&OpenError) -> bool;
    let rows: [(&str, Expected, &str); 4] = [
        ("file", |error| matches!(error, OpenError::NotAFolder { .. }), "is not a folder"),
        ("photos", |error| matches!(error, OpenError::NotEmpty { .. }), "`cat.jpg`"),
        ("other", |error| matches!(error, OpenError::Foreign { .. }), "another program"),
        ("alike", |error| matches!(error, OpenError::Foreign { .. }), "another program"),
    ];
    for (name, expected, says) in rows {
        let before = names(&path(name));
        let (error, text) = refusal(&path(name), Mode::Normal);
        assert!(expected(&error) && text.contains(says), "{name}: {text}");
        assert_eq!(names(&path(name)), before, "{name}");
        assert!(crate::store::rebuild(&path(name)).is_err(), "{name}");
    }
    assert!(matches!(crate::store::rebuild(&path("nowhere")), Err(OpenError::Nothing { .. })));
    assert!(!path("nowhere").exists());
}

fn names(dir: &Path) -> Vec<PathBuf> {
    let mut names: Vec<_> = fs::read_dir(dir).into_iter().flatten().map(|entry| entry.unwrap().path()).collect();
    names.sort();
    names
}

#[test]
fn a_newer_format_is_refused_and_names_both() {
    let mut desk = Desk::new();
    furnish(&mut desk);
    desk.tamper(|db, batch| poke(db, batch, &META, &MetaKey::Format, &7_u32.to_be_bytes()));
    let (error, text) = refusal(desk.path(), Mode::Normal);
    assert!(matches!(error, OpenError::Newer { found: 7, known: 4, .. }), "{text}");
    assert!(text.contains("format 7") && text.contains("up to 4") && text.contains("run the Elevon that wrote it"), "{text}");
    assert!(matches!(crate::store::rebuild(desk.path()), Err(OpenError::Newer { .. })));
}

#[test]
fn a_newer_format_is_told_from_its_families_too() {
    let mut desk = Desk::new();
    desk.opened = None;
    let mut names: Vec<_> = crate::store::family::ALL.iter().map(|(name, _)| *name).collect();
    names.push("of_tomorrow");
    let mut options = options::database();
    options.create_missing_column_families(true);
    let db = DB::open_cf(&options, desk.path(), names).unwrap();
    assert!(matches!(refusal(desk.path(), Mode::Normal).0, OpenError::Unreadable { .. }));
    let mut batch = WriteBatch::default();
    META.put(&db, &mut batch, &MetaKey::Format, &Raw(9_u32.to_be_bytes().to_vec())).unwrap();
    db.write(batch).unwrap();
    drop(db);
    assert!(matches!(refusal(desk.path(), Mode::Normal).0, OpenError::Newer { found: 9, .. }));
}

#[test]
fn a_folder_of_one_mode_is_refused_in_the_other() {
    let dir = tempfile::tempdir().unwrap();
    for (name, made, asked, says) in
        [("a", Mode::Dev, Mode::Normal, "it serves with `--dev` only"), ("b", Mode::Normal, Mode::Dev, "leave `--dev` out")]
    {
        let path = dir.path().join(name);
        drop(Store::open(&path, made).unwrap());
        let (error, text) = refusal(&path, asked);
        assert!(matches!(error, OpenError::WrongMode { is, .. } if is == made), "{text}");
        assert!(text.contains(says), "{text}");
        drop(Store::open(&path, made).unwrap());
    }
}

#[test]
fn a_folder_in_use_is_refused() {
    let mut desk = Desk::new();
    furnish(&mut desk);
    let (error, text) = refusal(desk.path(), Mode::Normal);
    assert!(matches!(error, OpenError::Locked { .. }), "{text}");
    assert!(text.contains("in use by another process"), "{text}");
    assert!(matches!(crate::store::rebuild(desk.path()), Err(OpenError::Locked { .. })));
    desk.say(vec![stored("User Carol", &[])]);
}

#[test]
fn a_head_that_is_not_the_journals_end_is_refused() {
    type Harm = fn(&DB, &mut WriteBatch);
    let rows: [(&str, Harm, &str); 5] = [
        ("the last record is gone", |db, batch| JOURNAL.delete(db, batch, &Seq(9)).unwrap(), "its head is record 9, and its last one is 8"),
        ("a record follows", |db, batch| poke(db, batch, &JOURNAL, &Seq(10), b"{}"), "its last one is 10"),
        ("the last record is another", |db, batch| poke(db, batch, &JOURNAL, &Seq(9), b"{}"), "record 9 is not the one that was written"),
        (
            "the journal is gone",
            |db, batch| (1..=9).for_each(|seq| JOURNAL.delete(db, batch, &Seq(seq)).unwrap()),
            "its head is record 9, and it holds none",
        ),
        ("the head was reset", |db, batch| poke(db, batch, &META, &MetaKey::Head, &head_bytes(&Head::empty())), "its head is record 0"),
    ];
    for (what, harm, says) in rows {
        let mut desk = Desk::new();
        furnish(&mut desk);
        desk.tamper(harm);
        let (error, text) = refusal(desk.path(), Mode::Normal);
        assert!(matches!(error, OpenError::Torn { .. }) && text.contains(says), "{what}: {text}");
    }
}

fn head_bytes(head: &Head) -> Vec<u8> {
    crate::store::value::HeadRow::from(head).encode().unwrap()
}

#[test]
fn damaged_meta_is_refused_and_named() {
    let rows: [(MetaKey, &[u8], &str); 6] = [
        (MetaKey::Head, b"\x01\xff", "Head"),
        (MetaKey::Head, b"\x02", "version 2"),
        (MetaKey::Mark, b"", "Mark"),
        (MetaKey::Active, b"\x01\x01\x01", "too many"),
        (MetaKey::Format, b"one", "format version"),
        (MetaKey::Mode, b"prod", "mode"),
    ];
    for (key, bytes, says) in rows {
        let mut desk = Desk::new();
        desk.tamper(|db, batch| poke(db, batch, &META, &key, bytes));
        let (error, text) = refusal(desk.path(), Mode::Normal);
        assert!(matches!(error, OpenError::Unreadable { .. }) && text.contains(says), "{key:?}: {text}");
    }
}

/// The write-ahead log that holds the commits since the folder was opened last.
fn log_file(dir: &Path) -> PathBuf {
    let logs = names(dir).into_iter().filter(|path| path.extension().is_some_and(|ending| ending == "log"));
    logs.max_by_key(|path| fs::metadata(path).unwrap().len()).unwrap()
}

#[test]
fn a_torn_end_of_the_log_loses_the_commit_that_nobody_was_told_of_and_no_other() {
    let mut desk = Desk::new();
    furnish(&mut desk);
    desk.opened = None;
    let log = log_file(desk.path());
    let length = fs::metadata(&log).unwrap().len();
    fs::OpenOptions::new().write(true).open(&log).unwrap().set_len(length - 3).unwrap();
    desk.opened = Some(Store::open(desk.path(), Mode::Normal).unwrap());
    assert_eq!(desk.store().head().seq, 8);
    desk.opened = None;
    assert!(crate::store::rebuild(desk.path()).unwrap().equal);
}

#[test]
fn damage_in_the_middle_of_the_log_is_refused() {
    let mut desk = Desk::new();
    furnish(&mut desk);
    desk.opened = None;
    let log = log_file(desk.path());
    let mut bytes = fs::read(&log).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x55;
    fs::write(&log, bytes).unwrap();
    let (error, text) = refusal(desk.path(), Mode::Normal);
    assert!(matches!(error, OpenError::Unreadable { .. }), "{text}");
}
