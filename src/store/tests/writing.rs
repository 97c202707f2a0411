//! Commits: all or nothing, at the expected head only, and never again after a failure.

use rocksdb::DB;

use std::sync::atomic::Ordering;

use super::*;
use crate::domain::{Changes, Rows as _, Tables as _};
use crate::engine::ports::Anchor;
use crate::store::StoreJournal;
use crate::store::family::ROWS;

#[test]
fn a_commit_elsewhere_than_at_the_head_is_a_conflict_and_writes_nothing() {
    let mut desk = Desk::new();
    let head = desk.say(vec![stored("User Alice", &[])]);
    let stale = [Head::empty(), Head { hash: Digest([9; 32]), ..head.clone() }, Head { seq: 2, ..head.clone() }];
    for expected in stale {
        let batch = desk.batch(vec![Said::by_elevon(vec![stored("User Bob", &[])])]);
        let before = dump(desk.store());
        let outcome = desk.opened.as_mut().unwrap().journal.commit(&expected, batch);
        assert_eq!(outcome, Committed::Conflict(head.clone()));
        assert_eq!(dump(desk.store()), before);
    }
}

#[test]
fn a_group_of_commands_is_one_commit() {
    let mut desk = Desk::new();
    let said = ["User Alice", "User Bob", "User Carol"].map(|name| Said::by_elevon(vec![stored(name, &["Group all"])]));
    let head = desk.commit(said.into());
    assert_eq!((head.seq, desk.store().head()), (3, head.clone()));
    assert_eq!(desk.store().stored_children(&uid("Group all"), Some(&uid("User Alice")), 9).unwrap(), [uid("User Bob"), uid("User Carol")]);
}

#[test]
fn what_does_not_hold_together_is_not_written() {
    type Harm = fn(&mut Batch);
    let rows: [(&str, Harm); 4] = [
        ("a gap", |batch| batch.records[0].seq = 3),
        ("another hash", |batch| batch.records[0].hash = Digest([1; 32])),
        ("other bytes", |batch| batch.records[0].bytes.push(b' ')),
        ("changes without a record", |batch| batch.records.clear()),
    ];
    for (what, harm) in rows {
        let mut desk = Desk::new();
        let head = desk.say(vec![stored("User Alice", &[])]);
        let mut batch = desk.batch(vec![Said::by_elevon(vec![stored("User Bob", &[])])]);
        let whole = batch.clone();
        harm(&mut batch);
        let before = dump(desk.store());
        let journal = &mut desk.opened.as_mut().unwrap().journal;
        assert!(matches!(journal.commit(&head, batch), Committed::Failed(_)), "{what}");
        assert!(matches!(journal.commit(&head, whole), Committed::Failed(_)), "{what}: the writer goes on");
        assert_eq!(dump(desk.store()), before, "{what}");
    }
}

#[test]
fn after_a_failed_write_nothing_is_written() {
    let mut desk = Desk::new();
    let head = desk.say(vec![stored("User Alice", &[])]);
    let batch = desk.batch(vec![Said::by_elevon(vec![stored("User Bob", &[])])]);
    desk.opened = None;
    // A database that is open for reading refuses every write, as a disk that turned read-only does.
    let db = DB::open_cf_descriptors_read_only(&options::database(), desk.path(), options::families(), false).unwrap();
    let store = Arc::new(Store::over(db).unwrap());
    let mut journal = StoreJournal::new(Arc::clone(&store));
    let Committed::Failed(why) = journal.commit(&head, batch.clone()) else { panic!("written") };
    assert!(why.contains("cannot be written"), "{why}");
    assert_eq!(journal.commit(&head, batch), Committed::Failed(why.clone()));
    assert_eq!(journal.commit(&Head::empty(), Batch::default()), Committed::Failed(why));
    assert!(store.save_mark(at(START * 2), &anchor()).is_err());
    assert_eq!((store.head(), store.row(&uid("User Bob")).unwrap()), (head, None));
}

#[test]
fn a_row_that_is_held_in_memory_is_the_one_that_was_written() {
    let mut desk = Desk::new();
    let store = Arc::clone(desk.store());
    let names: Vec<String> = (0..20).map(|number| format!("User u{number}")).collect();
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        // those who ask for the same rows all the time, and one who reads ahead
        for _ in 0..3 {
            scope.spawn(|| {
                while !stop.load(Ordering::Acquire) {
                    names.iter().for_each(|name| drop(store.row(&uid(name)).unwrap()));
                }
            });
        }
        scope.spawn(|| {
            while !stop.load(Ordering::Acquire) {
                store.warm(&|| stop.load(Ordering::Acquire));
            }
        });
        for round in 0..40 {
            let name = &names[round % names.len()];
            let head = desk.say(vec![stored(name, &["Group all"])]);
            for other in &names {
                let row = store.row(&uid(other)).unwrap();
                let read = ROWS.get(&store.at(), &uid(other)).unwrap();
                assert_eq!(row.as_deref(), read.as_ref(), "{other} after {name}");
            }
            assert_eq!(store.row(&uid(name)).unwrap().unwrap().changed, head.seq);
        }
        stop.store(true, Ordering::Release);
    });
    drop(store);
}

#[test]
fn an_empty_batch_changes_nothing() {
    let mut desk = Desk::new();
    let head = desk.say(vec![stored("User Alice", &[])]);
    let before = dump(desk.store());
    assert_eq!(desk.opened.as_mut().unwrap().journal.commit(&head, Batch::default()), Committed::Done(head));
    assert_eq!(dump(desk.store()), before);
}

fn anchor() -> Anchor {
    Anchor { machine_start: "m".to_owned(), running: 7, wall: at(START) }
}

#[test]
fn the_mark_of_time_never_falls() {
    let mut desk = Desk::new();
    let store = Arc::clone(desk.store());
    assert_eq!(store.anchor().unwrap(), None);
    store.save_mark(at(START + 500_000), &anchor()).unwrap();
    store.save_mark(at(START), &Anchor { running: 8, ..anchor() }).unwrap();
    assert_eq!(store.mark(), at(START + 500_000));
    desk.say(vec![stored("User Alice", &[])]);
    assert_eq!(store.mark(), at(START + 500_000));
    drop(store);
    desk.reopen();
    assert_eq!(desk.store().mark(), at(START + 500_000));
    assert_eq!(desk.store().anchor().unwrap(), Some(Anchor { running: 8, ..anchor() }), "what the clock is held against may be anything");
}

#[test]
fn texts_and_archives_are_kept_beside_the_journal() {
    let mut desk = Desk::new();
    let mut batch = desk.batch(vec![Said::by_elevon(vec![stored("User Alice", &[])])]);
    let (reason, revision) = (text("the disk is full"), Revision::new("r1").unwrap());
    batch.changes = Changes { texts: [(reason.digest(), reason.clone())].into(), ..batch.changes };
    batch.bundles = vec![(revision.clone(), b"archive".to_vec())];
    assert!(matches!(desk.opened.as_mut().unwrap().journal.commit(&Head::empty(), batch), Committed::Done(_)));
    desk.reopen();
    assert_eq!(desk.store().text(&reason.digest()).unwrap(), Some(reason));
    assert_eq!(desk.store().bundle(&revision).unwrap(), Some(b"archive".to_vec()));
    assert_eq!(desk.store().bundle(&Revision::new("r2").unwrap()).unwrap(), None);
}

#[test]
fn remembered_results_are_forgotten_after_a_day() {
    let mut desk = Desk::new();
    let say = |desk: &mut Desk, key: &str| {
        let (events, actor) = (vec![Event::EntityEnabled { uid: uid("User x"), reason: None }], caller("User Alice"));
        desk.commit(vec![Said { events, actor, idempotency: Some(remembered(key)) }]);
    };
    let has = |desk: &Desk, key: &str| desk.store().remembered(&uid("User Alice"), &IdempotencyKey::new(key).unwrap()).unwrap().is_some();
    say(&mut desk, "old");
    say(&mut desk, "again");
    desk.now += 23 * 3_600_000;
    say(&mut desk, "young");
    assert!(has(&desk, "old"));
    desk.now += 2 * 3_600_000;
    say(&mut desk, "again");
    assert_eq!(["old", "again", "young"].map(|key| has(&desk, key)), [false, true, true]);
    assert_eq!(dump(desk.store())["remembered_by_time"].len(), 2);
    desk.reopen();
    assert_eq!(["old", "again", "young"].map(|key| has(&desk, key)), [false, true, true]);
    let dir = desk.path().to_owned();
    desk.opened = None;
    assert_eq!(crate::store::rebuild(&dir).unwrap().differences, Vec::<String>::new());
}
