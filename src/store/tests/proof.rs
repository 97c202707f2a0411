//! A rebuild finds whatever was changed behind the store's back, and says where.

use super::*;
use crate::domain::grant::{EntityRow, RoleRow};
use crate::store::family::{ACTIVATIONS, CHILDREN, JOURNAL, META, PENDING, REMEMBERED, ROLES, ROWS, TEXTS, TIMERS};
use crate::store::key::{MetaKey, Seq};
use crate::store::{OpenError, RebuildReport, read_journal, rebuild};

/// What a walk over the closed folder finds: how many records hold, and what is said where they do not.
fn walked(desk: &mut Desk) -> Result<(u64, Option<String>), OpenError> {
    desk.opened = None;
    let mut walk = audit::Walk::from_first(None);
    let said = read_journal(desk.path(), 0, |seq, bytes| match walk.take(bytes) {
        Ok(record) if record.seq == seq => std::ops::ControlFlow::Continue(()),
        Ok(record) => std::ops::ControlFlow::Break(format!("{} stands at {seq}", record.seq)),
        Err(broken) => std::ops::ControlFlow::Break(broken.to_string()),
    })?;
    Ok((walk.records(), said))
}

#[test]
fn a_folder_is_read_record_by_record_and_tells_what_was_done_to_its_journal() {
    let mut desk = Desk::new();
    furnish(&mut desk);
    let (head, reason) = (desk.store().head(), Text { salt: [3; 16], value: "restore".to_owned() });
    desk.tamper(|db, batch| TEXTS.put(db, batch, &reason.digest(), &reason).unwrap());
    assert_eq!(walked(&mut desk).unwrap(), (head.seq, None));
    // texts are beside the records: without them everything holds as before
    desk.tamper(|db, batch| TEXTS.delete(db, batch, &reason.digest()).unwrap());
    assert_eq!(walked(&mut desk).unwrap(), (head.seq, None));
    let mut part = Vec::new();
    read_journal(desk.path(), 8, |seq, bytes| {
        part.push((seq, audit::hash(bytes)));
        std::ops::ControlFlow::<()>::Continue(())
    })
    .unwrap();
    assert_eq!((part.len(), part[0].0, part[1]), (2, 8, (9, head.hash)));
    assert_eq!(read_journal(desk.path(), 0, |seq, _| std::ops::ControlFlow::Break(seq)).unwrap(), Some(1));
    desk.tamper(|db, batch| JOURNAL.delete(db, batch, &Seq(4)).unwrap());
    let (records, said) = walked(&mut desk).unwrap();
    assert!(records == 3 && said.unwrap().contains("at record 4: it says that it is record 5"));
    desk.tamper(|db, batch| JOURNAL.delete(db, batch, &Seq(9)).unwrap());
    assert!(matches!(walked(&mut desk), Err(OpenError::Torn { .. })));
}

fn rebuilt(desk: &mut Desk) -> RebuildReport {
    desk.opened = None;
    rebuild(desk.path()).unwrap()
}

#[test]
fn what_was_written_is_what_the_journal_gives() {
    let mut desk = Desk::new();
    assert!(rebuilt(&mut desk).equal);
    desk.reopen();
    furnish(&mut desk);
    let head = desk.store().head();
    let report = rebuilt(&mut desk);
    assert_eq!((report.records, &report.head, report.equal), (9, &head, true), "{:?}", report.differences);
    assert_eq!(report.families.len(), 16 + 21 + 1);
    assert!(report.families.iter().all(|(_, _, same)| *same));
    let rows = |name: &str| report.families.iter().find(|(family, ..)| *family == name).map(|(_, rows, _)| *rows);
    assert_eq!([rows("rows"), rows("activations"), rows("pending"), rows("timers"), rows("remembered")], [4, 2, 1, 4, 1].map(Some));
    desk.reopen();
    assert_eq!(desk.store().head(), head);
}

#[test]
fn more_records_than_a_chunk_are_replayed_whole() {
    let mut desk = Desk::new();
    for group in 0..21 {
        let said = (0..100).map(|n| Said::by_elevon(vec![stored(&format!("User u{}", (group * 100 + n) % 137), &["Group all"])]));
        desk.commit(said.collect());
    }
    let report = rebuilt(&mut desk);
    assert_eq!((report.records, report.equal), (2100, true), "{:?}", report.differences);
}

#[test]
fn whatever_was_changed_is_found_and_named() {
    type Harm = fn(&DB, &mut WriteBatch);
    let rows: [(&str, Harm, &str); 12] = [
        ("a row is another", |db, b| ROWS.put(db, b, &uid("User Alice"), &EntityRow::default()).unwrap(), "rows: at the key `User.Alice.`"),
        ("a row is gone", |db, b| ROWS.delete(db, b, &uid("Db orders")).unwrap(), "rows: at the key `Db.orders.`"),
        ("a row too many", |db, b| ROWS.put(db, b, &uid("User Zoe"), &EntityRow::default()).unwrap(), "follows from no record"),
        ("bytes that are no row", |db, b| poke(db, b, &ROWS, &uid("User Alice"), b"\xff\xff"), "rows: at the key `User.Alice.`"),
        (
            "a role's incarnation",
            |db, b| ROLES.put(db, b, &role("old-role"), &RoleRow { incarnation: Incarnation(4), void_before: 0 }).unwrap(),
            "roles: at the key `old-role.`",
        ),
        (
            "an activation is longer",
            |db, b| {
                let id = ActivationId::new("act_1").unwrap();
                let mut found = ACTIVATIONS.get(&crate::store::family::At::latest(db), &id).unwrap().unwrap();
                found.state = ActivationState::Active { window: Window { start: at(START), end: None } };
                ACTIVATIONS.put(db, b, &id, &found).unwrap();
            },
            "activations: at the key `act_1.`",
        ),
        (
            "an index entry is gone",
            |db, b| PENDING.delete(db, b, &(at(START + 6000), ActivationId::new("act_2").unwrap())).unwrap(),
            "pending: at the key",
        ),
        (
            "an index entry too many",
            |db, b| CHILDREN.put(db, b, &(uid("Group admins"), uid("User Mallory")), &()).unwrap(),
            "children: at the key `Group.admins.User.Mallory.`",
        ),
        (
            "a timer is later",
            |db, b| {
                let due = crate::domain::command::Due::ActivationEnd(ActivationId::new("act_1").unwrap());
                TIMERS.delete(db, b, &(at(START + 3_605_000), due.clone())).unwrap();
                TIMERS.put(db, b, &(at(START * 2), due), &()).unwrap();
            },
            "timers: at the key",
        ),
        (
            "what was remembered is gone",
            |db, b| REMEMBERED.delete(db, b, &(uid("User root"), IdempotencyKey::new("key-1").unwrap())).unwrap(),
            "remembered: at the key `User.root.key-1.`",
        ),
        (
            "the count of active ones",
            |db, b| poke(db, b, &META, &MetaKey::Active, b"\x01\x07"),
            "meta: 7 activations are counted as active",
        ),
        (
            "up to where time-bound holdings are void",
            |db, b| poke(db, b, &META, &MetaKey::TimeVoid, b"\x01\x07"),
            "meta: holdings bound to time are void up to record 7",
        ),
    ];
    for (what, harm, says) in rows {
        let mut desk = Desk::new();
        furnish(&mut desk);
        desk.tamper(harm);
        let report = rebuilt(&mut desk);
        let family = says.split(':').next().unwrap_or_default();
        assert!(!report.equal && report.differences.iter().any(|text| text.contains(says)), "{what}: {:?}", report.differences);
        assert!(report.families.iter().all(|(name, _, same)| *name != family || !same), "{what}: {:?}", report.families);
    }
}

#[test]
fn a_byte_flipped_in_the_journal_is_found() {
    for seq in [1_u64, 4, 8] {
        let mut desk = Desk::new();
        furnish(&mut desk);
        let mut bytes = dump(desk.store())["journal"][usize::try_from(seq).unwrap() - 1].1.to_vec();
        let place = bytes.iter().position(|byte| *byte == b'U' || *byte == b'B').unwrap();
        bytes[place] ^= 0x01;
        desk.tamper(|db, batch| poke(db, batch, &JOURNAL, &Seq(seq), &bytes));
        let report = rebuilt(&mut desk);
        assert!(!report.equal && report.differences[0].starts_with("journal: "), "{seq}: {:?}", report.differences);
        assert!(report.records < 9);
    }
}

#[test]
fn a_row_that_cannot_be_read_is_unavailable_and_names_family_and_key() {
    use crate::domain::{Rows as _, Tables as _};
    let mut desk = Desk::new();
    furnish(&mut desk);
    let key = uid("User Alice");
    desk.tamper(|db, batch| {
        poke(db, batch, &ROWS, &key, b"\x01\xff\xff\xff");
        poke(db, batch, &ACTIVATIONS, &ActivationId::new("act_1").unwrap(), b"\x09");
    });
    desk.reopen();
    let row = desk.store().row(&key).unwrap_err().to_string();
    assert!(row.contains("`rows`") && row.contains("5573657200416c69636500"), "{row}");
    let activation = desk.store().activation(&ActivationId::new("act_1").unwrap()).unwrap_err().to_string();
    assert!(activation.contains("`activations`") && activation.contains("version 9"), "{activation}");
}
