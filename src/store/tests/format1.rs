//! A folder that Elevon 0.1 wrote, byte by byte, is taken over when it is opened, and nothing of its truth changes.

use std::collections::BTreeSet;
use std::fs;

use super::*;
use crate::domain::{Rows as _, Tables as _};
use crate::policy::Bundle;
use crate::store::family::{ACTIVATIONS, JOURNAL, META, ROWS};
use crate::store::key::{MetaKey, Seq};
use crate::store::{OpenError, rebuild};

const JOURNAL_LINES: &str = include_str!("format1/journal.jsonl");
const FAMILY_LINES: &str = include_str!("format1/families.txt");

fn bytes(hex: &str) -> Vec<u8> {
    let pairs = hex.as_bytes().chunks(2).filter(|pair| pair.len() == 2);
    pairs.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

/// The rows that are no part of the journal: family, key, value.
fn rows() -> impl Iterator<Item = (&'static str, Vec<u8>, Vec<u8>)> {
    FAMILY_LINES.lines().map(|line| {
        let mut parts = line.split(' ');
        let mut part = || parts.next().unwrap();
        (part(), bytes(part()), bytes(part()))
    })
}

/// The folder as it was left.
fn left() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("ELEVON"), "").unwrap();
    let mut options = options::database();
    options.create_if_missing(true);
    options.create_missing_column_families(true);
    let families: BTreeSet<&str> = rows().map(|(family, ..)| family).chain(["journal"]).collect();
    let db = DB::open_cf(&options, dir.path(), families).unwrap();
    let mut batch = WriteBatch::default();
    for (family, key, value) in rows() {
        batch.put_cf(handle(&db, family).unwrap(), key, value);
    }
    for (number, line) in JOURNAL_LINES.lines().enumerate() {
        poke(&db, &mut batch, &JOURNAL, &Seq(number as u64 + 1), line.as_bytes());
    }
    db.write(batch).unwrap();
    dir
}

fn harm(dir: &Path, harm: impl FnOnce(&DB, &mut WriteBatch)) {
    let names = DB::list_cf(&options::database(), dir).unwrap();
    let db = DB::open_cf(&options::database(), dir, names).unwrap();
    let mut batch = WriteBatch::default();
    harm(&db, &mut batch);
    db.write(batch).unwrap();
}

/// It stands there as the journal says, and the journal, the texts and the archives as they were.
fn is_taken_over(dir: &Path) {
    let opened = Store::open(dir, Mode::Normal).unwrap();
    let all = dump(&opened.store);
    let journal: Vec<_> = all["journal"].iter().map(|(_, bytes)| String::from_utf8(bytes.to_vec()).unwrap()).collect();
    assert_eq!(journal, JOURNAL_LINES.lines().collect::<Vec<_>>());
    for kept in ["texts", "bundles"] {
        let then: Vec<_> = rows().filter(|(family, ..)| *family == kept).map(|(_, key, value)| (key, value)).collect();
        assert!(!then.is_empty());
        assert_eq!(all[kept].iter().map(|(key, value)| (key.to_vec(), value.to_vec())).collect::<Vec<_>>(), then, "{kept}");
    }
    let revision = opened.store.head().revision.unwrap();
    assert!(Bundle::from_archive(&opened.store.bundle(&revision).unwrap().unwrap()).is_ok());
    assert!(opened.store.live_since().unwrap().is_some() && opened.store.mark() >= opened.store.head().at);
    drop(opened);
    let report = rebuild(dir).unwrap();
    assert!(report.equal, "{:?}", report.differences);
    assert_eq!(report.records, JOURNAL_LINES.lines().count() as u64);
}

#[test]
fn a_folder_of_format_1_is_taken_over_from_its_journal() {
    let dir = left();
    is_taken_over(dir.path());
    // what could be asked of it before can be asked now, and what is new is there
    let opened = Store::open(dir.path(), Mode::Normal).unwrap();
    let state = |id: &str| opened.store.activation(&ActivationId::new(id).unwrap()).unwrap().unwrap().state.clone();
    assert!(matches!(state("act_1"), ActivationState::Expired { .. }));
    assert!(matches!(state("act_2"), ActivationState::Failed { .. }));
    assert!(matches!(state("act_4"), ActivationState::Revoked { .. }));
    assert!(matches!(state("act_10"), ActivationState::Pending { .. }));
    assert!(matches!(state("act_11"), ActivationState::Active { .. }));
    assert_eq!(opened.store.active_count(), 1);
    let used = |who: &str, name: &str| opened.store.day_use(&uid(who), &role(name), at(START).day()).unwrap().millis;
    assert_eq!(used("User dan", "dba"), 30 * 60_000);
    assert_eq!(used("User alice", "reader"), (1 + 30) * 60_000, "a minute, nothing of what was revoked at once, and half an hour reserved");
    assert_eq!(opened.store.pending_requests(9).unwrap(), [ActivationId::new("act_10").unwrap()]);
    let row = opened.store.row(&uid("User alice")).unwrap().unwrap();
    assert!(row.grants.activations.iter().all(|grant| grant.seq > 0), "{row:?}");
}

#[test]
fn a_takeover_that_was_cut_short_begins_again() {
    type Harm = fn(&DB, &mut WriteBatch);
    let cuts: [Harm; 3] = [
        |_, _| {},
        // what had been written already is written again, and what had not is not missed
        |db, batch| ROWS.delete(db, batch, &uid("User alice")).unwrap(),
        |db, batch| {
            poke(db, batch, &ACTIVATIONS, &ActivationId::new("act_1").unwrap(), b"\x02half");
            poke(db, batch, &ROWS, &uid("User nobody"), b"\x01\x00");
        },
    ];
    for cut in cuts {
        let dir = left();
        drop(Store::open(dir.path(), Mode::Normal).unwrap());
        harm(dir.path(), |db, batch| {
            poke(db, batch, &META, &MetaKey::Format, &1_u32.to_be_bytes());
            cut(db, batch);
        });
        is_taken_over(dir.path());
    }
}

#[test]
fn a_look_at_a_folder_of_format_1_says_what_to_do_and_changes_nothing() {
    let dir = left();
    let error = rebuild(dir.path()).unwrap_err();
    assert!(matches!(error, OpenError::Older { found: 1, known: 4, .. }), "{error}");
    assert!(error.to_string().contains("start `elevon serve` on it once"), "{error}");
    assert!(matches!(Store::open(dir.path(), Mode::Dev), Err(OpenError::WrongMode { .. })));
    is_taken_over(dir.path());
}

#[test]
fn a_journal_of_format_1_that_does_not_hold_together_is_not_taken_over() {
    type Harm = fn(&DB, &mut WriteBatch);
    let rows: [(Harm, &str); 3] = [
        (|db, batch| JOURNAL.delete(db, batch, &Seq(41)).unwrap(), "its last one is 40"),
        (|db, batch| JOURNAL.delete(db, batch, &Seq(7)).unwrap(), "record 7"),
        (
            |db, batch| {
                let line = JOURNAL_LINES.lines().nth(6).unwrap().replacen("elg_1", "elg_9", 1);
                poke(db, batch, &JOURNAL, &Seq(7), line.as_bytes());
            },
            "record 8",
        ),
    ];
    for (harmed, says) in rows {
        let dir = left();
        harm(dir.path(), harmed);
        let error = Store::open(dir.path(), Mode::Normal).unwrap_err();
        assert!(matches!(error, OpenError::Torn { .. }) && error.to_string().contains(says), "{error}");
        assert!(matches!(rebuild(dir.path()), Err(OpenError::Older { .. })), "it is as it was");
    }
}
