//! Revoke to deny: the check that follows an acknowledged ending denies. Always, whatever ended it, and whoever else checks meanwhile.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::wildcard_enum_match_arm,
    reason = "a test fails by panicking, in its helpers too"
)]

mod common;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use common::edges::{Edges, HOLDERS, id_of};
use common::names::{ALICE, CAROL};
use common::uid;
use serde_json::{Value, json};

/// How often each way is gone.
fn rounds() -> usize {
    if std::env::var_os("ELEVON_LONG").is_some() { 2_000 } else { 200 }
}

/// Who checks at the same time.
const CHECKERS: usize = 8;

/// How something that is active is ended. Each leaves everything ready for the next round.
struct Way {
    name: &'static str,
    who: &'static str,
    end: fn(&Edges, &str) -> u16,
    again: fn(&Edges),
}

fn nothing(_: &Edges) {}

fn everything(edges: &Edges, of: Value) -> u16 {
    edges.server.call(CAROL, "POST", "/v1/activations/revoke", common::edges::merged(of, json!({"reason": "an incident"}))).0
}

/// The one eligibility of zoe that is in force.
fn eligibility_of_zoe(edges: &Edges) -> String {
    let listed = edges.server.get(CAROL, "/v1/eligibilities?principal_type=User&principal_id=zoe&role=plain");
    let items = listed["items"].as_array().unwrap();
    id_of(items.iter().find(|one| one["status"] == "active").unwrap())
}

const WAYS: [Way; 7] = [
    Way { name: "given up", who: ALICE, end: |edges, id| edges.act(ALICE, id, "deactivate", json!({})).0, again: nothing },
    Way { name: "revoked", who: ALICE, end: |edges, id| edges.act(CAROL, id, "revoke", json!({"reason": "x"})).0, again: nothing },
    Way {
        name: "everything of the principal",
        who: ALICE,
        end: |edges, _| everything(edges, json!({"principal": uid(("User", ALICE))})),
        again: nothing,
    },
    Way { name: "everything of the role", who: ALICE, end: |edges, _| everything(edges, json!({"role": "plain"})), again: nothing },
    Way {
        name: "disabled",
        who: ALICE,
        end: |edges, _| {
            edges.set_disabled(ALICE, true);
            200
        },
        again: |edges| edges.set_disabled(ALICE, false),
    },
    Way {
        name: "its eligibility removed",
        who: "zoe",
        end: |edges, _| {
            let path = format!("/v1/eligibilities/{}", eligibility_of_zoe(edges));
            edges.server.call(CAROL, "DELETE", &path, Value::Null).0
        },
        again: |edges| drop(edges.eligible("zoe", "plain")),
    },
    Way {
        name: "its group left",
        who: "yara",
        end: |edges, _| edges.store(CAROL, "yara", &[], json!({})).0,
        again: |edges| assert_eq!(edges.store(CAROL, "yara", &[HOLDERS], json!({})).0, 200),
    },
];

/// alice and zoe are eligible themselves, and yara through a group.
fn stage() -> Edges {
    let edges = Edges::start();
    edges.eligible(ALICE, "plain");
    assert_eq!(edges.store(CAROL, "zoe", &[], json!({})).0, 201);
    edges.eligible("zoe", "plain");
    assert_eq!(edges.store(CAROL, "yara", &[HOLDERS], json!({})).0, 201);
    edges.grant("/v1/eligibilities", HOLDERS, "plain", json!({}));
    edges
}

fn begin(edges: &Edges, who: &str) -> String {
    let id = id_of(&edges.asked(who, "plain", json!({})));
    assert!(edges.writes(who), "{who} has just begun");
    id
}

#[test]
fn the_very_next_check_denies() {
    let edges = stage();
    for way in WAYS {
        for round in 0..rounds() / WAYS.len() {
            let id = begin(&edges, way.who);
            assert_eq!((way.end)(&edges, &id), 200, "{}", way.name);
            assert!(!edges.writes(way.who), "{}, round {round}: the next check allowed", way.name);
            (way.again)(&edges);
            assert!(!edges.writes(way.who), "{}, round {round}: it came back", way.name);
        }
    }
}

#[test]
fn revoked_two_hundred_times() {
    let edges = stage();
    for round in 0..rounds() {
        let id = begin(&edges, ALICE);
        assert_eq!(edges.act(CAROL, &id, "revoke", json!({"reason": "x"})).0, 200);
        assert!(!edges.writes(ALICE), "round {round}: the next check allowed");
    }
}

/// Whom the checkers ask about: whose ending was acknowledged last, or who is about to begin.
fn asked_about(round: usize) -> &'static str {
    let number = if round.is_multiple_of(2) { round / 2 + WAYS.len() - 1 } else { round / 2 };
    WAYS[number % WAYS.len()].who
}

/// A check says nothing about an ending that was acknowledged while it was on its way. So each notes what was acknowledged before it was sent: the
/// round is odd from before something begins until its ending is acknowledged, and even from then until the next begins.
#[test]
fn while_others_check_none_that_is_sent_after_the_acknowledgement_allows() {
    let edges = stage();
    let (round, stop) = (AtomicUsize::new(0), AtomicBool::new(false));
    let (denied, allowed) = (AtomicUsize::new(0), AtomicUsize::new(0));
    thread::scope(|scope| {
        for _ in 0..CHECKERS {
            scope.spawn(|| {
                while !stop.load(Ordering::SeqCst) {
                    let before = round.load(Ordering::SeqCst);
                    let allows = edges.writes(asked_about(before));
                    let after = round.load(Ordering::SeqCst);
                    if before == after && before.is_multiple_of(2) {
                        assert!(!allows, "round {before}: a check that was sent after the acknowledgement allowed");
                        denied.fetch_add(1, Ordering::Relaxed);
                    } else if allows {
                        allowed.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
        let stops = Stops(&stop);
        for number in 0..rounds() / 2 {
            let way = &WAYS[number % WAYS.len()];
            round.fetch_add(1, Ordering::SeqCst);
            let id = begin(&edges, way.who);
            assert_eq!((way.end)(&edges, &id), 200, "{}", way.name);
            round.fetch_add(1, Ordering::SeqCst);
            // this one's own next checks, and some time for those of the others
            for _ in 0..CHECKERS {
                assert!(!edges.writes(way.who), "{}", way.name);
            }
            (way.again)(&edges);
        }
        drop(stops);
    });
    let (denied, allowed) = (denied.into_inner(), allowed.into_inner());
    println!("{denied} checks after an acknowledgement denied, {allowed} before it allowed");
    assert!(denied > 0 && allowed > 0, "{denied} {allowed}");
}

/// Lets the others stop, even where this one panics.
struct Stops<'a>(&'a AtomicBool);

impl Drop for Stops<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}
