//! Lists: what is in them, in which order, page by page.

use super::*;
use crate::domain::command::Due;
use crate::domain::grant::{ActivationStatus, Cause, RoleRow};
use crate::domain::{Rows as _, Tables as _};
use crate::engine::ports::{ActivationFilter, AuditFilter, GrantFilter, MAX_EXAMINED};
use crate::store::family::JOURNAL;
use crate::store::key::Seq;

fn ids(found: &[Arc<Activation>]) -> Vec<&str> {
    found.iter().map(|activation| activation.id.as_str()).collect()
}

#[test]
fn activations_come_newest_first_in_pages() {
    let mut desk = Desk::new();
    // Ids say nothing about the order, and two of one moment keep an order too.
    for (id, principal, name, asked) in [
        ("b", "User Alice", "x", 10),
        ("a", "User Bob", "x", 20),
        ("d", "User Alice", "y", 30),
        ("c", "User Alice", "x", 30),
        ("e", "User Alicea", "x", 40),
    ] {
        desk.say(vec![requested(activation(id, principal, name, None, START + asked))]);
    }
    desk.say(vec![started("b", START, START + 1_000_000)]);
    desk.say(vec![started("d", START, START + 20)]);
    let filter = ActivationFilter { now: at(START + 50), ..ActivationFilter::default() };
    let alice = Some(uid("User Alice"));
    let rows: [(&str, ActivationFilter, &[&str]); 10] = [
        ("all", filter.clone(), &["e", "d", "c", "a", "b"]),
        ("of one", ActivationFilter { principal: alice.clone(), ..filter.clone() }, &["d", "c", "b"]),
        ("of a role", ActivationFilter { role: Some(role("y")), ..filter.clone() }, &["d"]),
        ("pending", ActivationFilter { status: Some(ActivationStatus::Pending), ..filter.clone() }, &["e", "c", "a"]),
        ("active", ActivationFilter { status: Some(ActivationStatus::Active), ..filter.clone() }, &["b"]),
        ("expired, not recorded yet", ActivationFilter { status: Some(ActivationStatus::Expired), ..filter.clone() }, &["d"]),
        ("from", ActivationFilter { from: Some(at(START + 30)), ..filter.clone() }, &["e", "d", "c"]),
        ("to", ActivationFilter { to: Some(at(START + 30)), ..filter.clone() }, &["a", "b"]),
        (
            "of one, between",
            ActivationFilter { principal: alice, from: Some(at(START + 10)), to: Some(at(START + 30)), ..filter.clone() },
            &["b"],
        ),
        ("an empty range", ActivationFilter { from: Some(at(START + 30)), to: Some(at(START + 10)), ..filter }, &[]),
    ];
    for (what, filter, expected) in rows {
        for limit in [1, 2, 100] {
            let pages = all_pages(limit, |page| desk.store().activations(&filter, page).unwrap());
            assert!(pages.iter().all(|page| page.len() <= limit), "{what}");
            assert_eq!(ids(&pages.concat()), expected, "{what} by {limit}");
        }
    }
    let pages = all_pages(2, |page| desk.store().pending(page).unwrap());
    assert_eq!(ids(&pages.concat()), ["a", "c", "e"]);
}

#[test]
fn grants_come_by_id_in_pages() {
    let mut desk = Desk::new();
    for (id, holder, name) in
        [("elg_3", "User Alice", "x"), ("elg_1", "Group all", "x"), ("elg_2", "User Alice", "y"), ("elg_4", "User Alicea", "x")]
    {
        desk.say(vec![Event::EligibilityCreated { eligibility: eligibility(id, holder, name, None) }]);
        let id = id.replace("elg", "asg");
        desk.say(vec![Event::AssignmentCreated { assignment: assignment(&id, holder, name, None) }]);
    }
    desk.say(vec![Event::EligibilityRemoved { id: EligibilityId::new("elg_2").unwrap(), reason: None }]);
    desk.say(vec![Event::AssignmentExpired { id: AssignmentId::new("asg_2").unwrap() }]);
    let none = GrantFilter::default();
    let alice = Some(uid("User Alice"));
    let rows: [(GrantFilter, &[&str]); 5] = [
        (none.clone(), &["1", "3", "4"]),
        (GrantFilter { include_ended: true, ..none.clone() }, &["1", "2", "3", "4"]),
        (GrantFilter { holder: alice.clone(), ..none.clone() }, &["3"]),
        (GrantFilter { holder: alice, include_ended: true, ..none.clone() }, &["2", "3"]),
        (GrantFilter { role: Some(role("y")), include_ended: true, ..none }, &["2"]),
    ];
    for (filter, expected) in rows {
        for limit in [1, 3] {
            let found = all_pages(limit, |page| desk.store().eligibilities(&filter, page).unwrap()).concat();
            assert_eq!(found.iter().map(|found| found.id.as_str()[4..].to_owned()).collect::<Vec<_>>(), expected, "{filter:?}");
            let found = all_pages(limit, |page| desk.store().assignments(&filter, page).unwrap()).concat();
            assert_eq!(found.iter().map(|found| found.id.as_str()[4..].to_owned()).collect::<Vec<_>>(), expected, "{filter:?}");
        }
    }
}

#[test]
fn entities_come_by_name_and_of_one_type() {
    let mut desk = Desk::new();
    desk.say(["User Bob", "User Alice", "Group all", "UserAgent x", "Db orders"].iter().map(|name| stored(name, &[])).collect());
    for (kind, expected) in [
        (None, vec!["Db orders", "Group all", "User Alice", "User Bob", "UserAgent x"]),
        (Some("User"), vec!["User Alice", "User Bob"]),
        (Some("Use"), vec![]),
        (Some("User\0Al"), vec![]),
    ] {
        for limit in [1, 2, 10] {
            let found = all_pages(limit, |page| desk.store().entities(kind, page).unwrap()).concat();
            let found: Vec<_> = found.iter().map(|(uid, row)| (uid.clone(), row.stored.is_some())).collect();
            assert_eq!(found, expected.iter().map(|name| (uid(name), true)).collect::<Vec<_>>(), "{kind:?}");
        }
    }
}

#[test]
fn the_journal_is_searched_by_whom_and_what_it_is_about() {
    let mut desk = Desk::new();
    furnish(&mut desk);
    let none = AuditFilter::default();
    let start = desk.now - 9000;
    let rows: [(&str, AuditFilter, &[u64]); 11] = [
        ("all", none.clone(), &[1, 2, 3, 4, 5, 6, 7, 8, 9]),
        (
            "of Alice: her start names the activation only",
            AuditFilter { principal: Some(uid("User Alice")), ..none.clone() },
            &[1, 3, 4, 5],
        ),
        ("by root", AuditFilter { principal: Some(uid("User root")), ..none.clone() }, &[2, 3, 7]),
        ("of a resource", AuditFilter { principal: Some(uid("Env prod")), ..none.clone() }, &[1, 4]),
        ("of a role", AuditFilter { role: Some(role("db-admin")), ..none.clone() }, &[2, 4, 5]),
        ("of a role that went", AuditFilter { role: Some(role("old-role")), ..none.clone() }, &[9]),
        ("of an activation", AuditFilter { activation: Some(ActivationId::new("act_1").unwrap()), ..none.clone() }, &[4, 5]),
        ("of a kind", AuditFilter { kind: Some("entity_stored".to_owned()), ..none.clone() }, &[1]),
        (
            "of a kind and a role",
            AuditFilter { kind: Some("activation_requested".to_owned()), role: Some(role("reader")), ..none.clone() },
            &[6],
        ),
        ("from", AuditFilter { from: Some(at(start + 8000)), ..none.clone() }, &[8, 9]),
        ("to", AuditFilter { to: Some(at(start + 2000)), ..none }, &[1]),
    ];
    for (what, filter, expected) in rows {
        for limit in [1, 2, 100] {
            let found = all_pages(limit, |page| desk.store().journal(&filter, page).unwrap()).concat();
            assert_eq!(found.iter().map(|record| record.seq).collect::<Vec<_>>(), expected, "{what}");
            assert!(found.iter().all(|record| record.hash == audit::hash(&record.bytes)));
            let filter = AuditFilter { newest_first: true, ..filter.clone() };
            let found = all_pages(limit, |page| desk.store().journal(&filter, page).unwrap()).concat();
            assert!(found.iter().map(|record| record.seq).eq(expected.iter().rev().copied()), "{what}, newest first");
        }
    }
}

#[test]
fn a_call_looks_at_a_bounded_number_of_rows() {
    let mut desk = Desk::new();
    let last = MAX_EXAMINED + 5;
    let said = (0..=last).map(|n| stored(&format!("User u{n:06}"), &[])).collect::<Vec<_>>();
    for part in said.chunks(1000) {
        desk.say(part.to_vec());
    }
    let marker = format!("u{last:06}");
    desk.say(vec![Event::EntityDisabled { uid: Uid::new("User", &marker).unwrap(), reason: None }]);
    let (id, holder) = (|n: usize| format!("act_{n:06}"), "User Alice");
    let said = (0..=last).map(|n| requested(activation(&id(n), holder, if n == 0 { "rare" } else { "common" }, None, START + n as i64)));
    for part in said.collect::<Vec<_>>().chunks(1000) {
        desk.say(part.to_vec());
    }
    let filter = ActivationFilter { role: Some(role("rare")), ..ActivationFilter::default() };
    let first = desk.store().activations(&filter, &Page::first(10)).unwrap();
    assert!(first.items.is_empty() && first.next.is_some());
    let second = desk.store().activations(&filter, &Page { after: first.next, limit: 10 }).unwrap();
    assert_eq!((ids(&second.items), second.next), (vec![id(0).as_str()], None));
    let capped = desk.store().entities(None, &Page::first(usize::MAX)).unwrap();
    assert_eq!(capped.items.len(), crate::engine::ports::MAX_PAGE);
}

#[test]
fn a_late_from_and_an_early_to_cost_no_walk_over_the_journal() {
    let mut desk = Desk::new();
    let start = desk.now;
    let last = MAX_EXAMINED as u64 + 50;
    for n in 0..last {
        desk.say(vec![stored(&format!("User u{}", n % 10), &[])]);
    }
    let when = |seq: u64| at(start + seq.cast_signed() * 1000);
    assert_eq!(desk.store().journal(&AuditFilter::default(), &Page::first(1)).unwrap().items[0].at, when(1));
    for (from, to, expected) in [
        (Some(when(last - 1)), None, vec![last - 1, last]),
        (Some(at(desk.now + 1)), None, vec![]),
        (None, Some(when(3)), vec![1, 2]),
        (None, Some(when(1)), vec![]),
        (Some(when(last - 40)), Some(when(last - 38)), vec![last - 40, last - 39]),
        (Some(when(9)), Some(when(8)), vec![]),
    ] {
        let filter = AuditFilter { from, to, kind: Some("entity_stored".to_owned()), ..AuditFilter::default() };
        let found = desk.store().journal(&filter, &Page::first(10)).unwrap();
        assert_eq!((found.items.iter().map(|record| record.seq).collect::<Vec<_>>(), found.next), (expected, None), "{from:?} {to:?}");
    }
}

#[test]
fn a_record_that_cannot_be_read_is_handed_over_and_ends_no_list() {
    let mut desk = Desk::new();
    let start = desk.now;
    for n in 0..9 {
        desk.say(vec![stored(&format!("User u{n}"), &[])]);
    }
    desk.tamper(|db, batch| {
        for seq in [1, 5, 6] {
            poke(db, batch, &JOURNAL, &Seq(seq), b"not a record");
        }
    });
    desk.reopen();
    let when = |seq: u64| at(start + seq.cast_signed() * 1000);
    let listed = |filter: &AuditFilter, after: u64| -> Vec<(u64, Timestamp)> {
        let page = Page::after_seq(after, 100);
        desk.store().journal(filter, &page).unwrap().items.iter().map(|record| (record.seq, record.at)).collect()
    };
    let whole = [
        (1, Timestamp::default()),
        (2, when(2)),
        (3, when(3)),
        (4, when(4)),
        (5, when(4)),
        (6, when(4)),
        (7, when(7)),
        (8, when(8)),
        (9, when(9)),
    ];
    for after in 0..9 {
        assert_eq!(listed(&AuditFilter::default(), after), whole[usize::try_from(after).unwrap()..]);
    }
    // each counts as decided with the one before it, wherever a search begins and ends
    for (from, to) in (0..=10).flat_map(|from| (0..=10).map(move |to| (from, to))) {
        let filter = AuditFilter { from: Some(when(from)), to: Some(when(to)), ..AuditFilter::default() };
        let wanted: Vec<_> = whole.iter().copied().filter(|(_, at)| when(from) <= *at && *at < when(to)).collect();
        assert_eq!(listed(&filter, 0), wanted, "{from} {to}");
    }
    // what it is about nobody can say: whoever looks for something sees that it is there
    let seqs = |filter: AuditFilter| listed(&filter, 0).into_iter().map(|(seq, _)| seq).collect::<Vec<_>>();
    assert_eq!(seqs(AuditFilter { principal: Some(uid("User u7")), ..AuditFilter::default() }), [1, 5, 6, 8]);
    assert_eq!(seqs(AuditFilter { kind: Some("entity_deleted".to_owned()), ..AuditFilter::default() }), [1, 5, 6]);
    assert_eq!(seqs(AuditFilter { role: Some(role("x")), from: Some(when(5)), ..AuditFilter::default() }), [] as [u64; 0]);
}

#[test]
fn a_record_is_there_for_nobody_before_what_it_changed_is() {
    let mut desk = Desk::new();
    furnish(&mut desk);
    let store = Arc::clone(desk.store());
    let seqs = || {
        let found = store.journal(&AuditFilter::default(), &Page::first(100)).unwrap().items;
        found.into_iter().map(|record| record.seq).collect::<Vec<_>>()
    };
    let before = seqs();
    // as in the middle of a commit: it is in the database, and what is held in memory does not follow it yet
    let last = *before.last().unwrap();
    let bytes = store.journal(&AuditFilter::default(), &Page::after_seq(last - 1, 1)).unwrap().items[0].bytes.clone();
    let mut batch = WriteBatch::default();
    poke(&store.db, &mut batch, &JOURNAL, &Seq(last + 1), &bytes);
    store.db.write(batch).unwrap();
    assert_eq!(seqs(), before);
}

#[test]
fn a_cursor_of_another_list_is_refused() {
    let mut desk = Desk::new();
    furnish(&mut desk);
    let page = |cursor: &str| Page { after: Some(cursor.to_owned()), limit: 5 };
    let store = desk.store();
    let texts = [
        store.activations(&ActivationFilter::default(), &page("act_1")).map(drop),
        store.pending(&page("x.act_1")).map(drop),
        store.eligibilities(&GrantFilter::default(), &page("")).map(drop),
        store.entities(None, &page("alice")).map(drop),
        store.journal(&AuditFilter::default(), &page("-1")).map(drop),
    ];
    for text in texts {
        assert!(text.unwrap_err().to_string().contains("is not a cursor of this list"));
    }
}

#[test]
fn timers_follow_the_rows() {
    let mut desk = Desk::new();
    assert_eq!((desk.store().next_due().unwrap(), desk.store().due(at(i64::MAX), 9).unwrap()), (None, vec![]));
    furnish(&mut desk);
    let end = Due::ActivationEnd(ActivationId::new("act_1").unwrap());
    let timeout = Due::StageTimeout(ActivationId::new("act_2").unwrap());
    let eligibility = Due::EligibilityEnd(EligibilityId::new("elg_1").unwrap());
    let bob = Cause::PrincipalDisabled(uid("User Bob"));
    let cascade = Due::Cascade(bob.clone());
    assert_eq!(desk.store().next_due().unwrap(), Some(at(START + 8000)));
    let due = |desk: &Desk, now, limit| desk.store().due(at(START + now), limit).unwrap();
    assert_eq!(due(&desk, 7999, 9), []);
    assert_eq!(due(&desk, 3_604_999, 9), std::slice::from_ref(&cascade));
    assert_eq!(due(&desk, 3_605_000, 9), [cascade.clone(), end.clone()]);
    assert_eq!(due(&desk, 90_000_000, 9), [cascade.clone(), end.clone(), eligibility.clone(), timeout.clone()]);
    assert_eq!(due(&desk, 90_000_000, 1), [cascade]);
    desk.say(vec![Event::ActivationExpired { id: ActivationId::new("act_1").unwrap() }, Event::CascadeCompleted { cause: bob }]);
    desk.say(vec![Event::EligibilityRemoved { id: EligibilityId::new("elg_1").unwrap(), reason: None }]);
    assert_eq!(due(&desk, 90_000_000, 9), [timeout]);
}

#[test]
fn inner_rows_are_those_of_parents() {
    let mut desk = Desk::new();
    furnish(&mut desk);
    desk.say(vec![stored("Env prod", &["Org acme"]), stored("Group nobody", &[]), stored("Db users", &["Env prod", "Group admins"])]);
    let inner = desk.store().inner_rows().unwrap();
    let names: Vec<_> = inner.iter().map(|(uid, _)| uid.clone()).collect();
    assert_eq!(names, [uid("Env prod"), uid("Group admins"), uid("Org acme")]);
    for (uid, row) in inner {
        assert_eq!(desk.store().row(&uid).unwrap(), row);
    }
    desk.say(vec![stored("User Alice", &[]), stored("Db users", &["Env prod"])]);
    assert_eq!(desk.store().inner_rows().unwrap().len(), 2);
    assert_eq!(desk.store().stored_children(&uid("Group admins"), None, 9).unwrap(), []);
    assert_eq!(desk.store().role_rows().unwrap(), [(role("old-role"), RoleRow { incarnation: Incarnation(1), void_before: 0 })].into());
}

#[test]
fn the_journal_is_followed_from_any_sequence() {
    let mut desk = Desk::new();
    furnish(&mut desk);
    let after = |desk: &Desk, seq, limit| {
        let page = desk.store().journal(&AuditFilter::default(), &Page::after_seq(seq, limit)).unwrap();
        (page.items.iter().map(|record| record.seq).collect::<Vec<_>>(), page.next)
    };
    assert_eq!(after(&desk, 0, 3), (vec![1, 2, 3], Some("3".to_owned())));
    assert_eq!(after(&desk, 7, 3), (vec![8, 9], None));
    assert_eq!(after(&desk, 9, 3), (vec![], None));
    assert_eq!(after(&desk, 99, 3), (vec![], None));
    desk.say(vec![stored("User Carol", &[])]);
    assert_eq!(after(&desk, 9, 3), (vec![10], None));
}
