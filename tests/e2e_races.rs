//! Two who want the same at the same moment, over two connections, again and again: exactly one gets it, and the other is told what became of it.
//! A hundred times each, and a thousand where the long tests run (`ELEVON_LONG`).

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::wildcard_enum_match_arm,
    reason = "a test fails by panicking, in its helpers too"
)]

mod common;

use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use common::edges::{DAVE, Edges, id_of};
use common::names::{ALICE, BOB};
use serde_json::{Value, json};

/// Longest time for all the rounds of a test.
const WITHIN: Duration = Duration::from_secs(300);

fn rounds() -> usize {
    if std::env::var_os("ELEVON_LONG").is_some() { 1_000 } else { 100 }
}

type Said = (u16, Value);

/// Does two things at once, each on a thread and a connection of its own.
fn at_once(one: impl FnOnce() -> Said + Send, other: impl FnOnce() -> Said + Send) -> (Said, Said) {
    let barrier = Barrier::new(2);
    thread::scope(|scope| {
        let first = scope.spawn(|| {
            barrier.wait();
            one()
        });
        barrier.wait();
        let second = other();
        (first.join().unwrap(), second)
    })
}

/// Runs the rounds, and says how often each of the two won.
fn race(mut round: impl FnMut(usize) -> bool) {
    let began = Instant::now();
    let mut first = 0;
    for number in 0..rounds() {
        assert!(began.elapsed() < WITHIN, "{number} rounds took more than {WITHIN:?}");
        first += usize::from(round(number));
    }
    println!("the first won {first} of {} rounds", rounds());
}

fn kinds(edges: &Edges, id: &str) -> Vec<String> {
    edges.events(id).iter().map(|(_, event)| event["kind"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn two_approvers_of_one_vote() {
    let edges = Edges::start();
    edges.eligible(ALICE, "voted");
    race(|_| {
        let id = id_of(&edges.asked(ALICE, "voted", json!({})));
        let vote = json!({"request_hash": edges.shown(&id)["request_hash"]});
        let approve = |who: &'static str| edges.act(who, &id, "approve", vote.clone());
        let (bob, dave) = at_once(|| approve(BOB), || approve(DAVE));
        let bob_won = bob.0 == 200;
        let (winner, loser) = if bob_won { (&bob, &dave) } else { (&dave, &bob) };
        assert_eq!((winner.0, &winner.1["status"]), (200, &json!("active")), "{bob:?} {dave:?}");
        assert_eq!((loser.0, &loser.1["rule"], &loser.1["outcome"]), (409, &json!("not_in_state"), &json!("active")), "{loser:?}");
        assert_eq!(kinds(&edges, &id), ["activation_requested", "approval_given", "activation_started"]);
        assert!(edges.writes(ALICE));
        assert_eq!(edges.act(ALICE, &id, "deactivate", json!({})).0, 200);
        bob_won
    });
}

#[test]
fn an_approval_against_a_cancellation() {
    let edges = Edges::start();
    edges.eligible(ALICE, "voted");
    race(|_| {
        let id = id_of(&edges.asked(ALICE, "voted", json!({})));
        let vote = json!({"request_hash": edges.shown(&id)["request_hash"]});
        let (approved, cancelled) = at_once(|| edges.act(BOB, &id, "approve", vote), || edges.act(ALICE, &id, "cancel", json!({})));
        let stands = edges.writes(ALICE);
        if approved.0 == 200 {
            assert_eq!((approved.1["status"].as_str(), cancelled.0), (Some("active"), 409), "{approved:?} {cancelled:?}");
            assert_eq!(cancelled.1["outcome"], json!("active"), "{cancelled:?}");
            assert_eq!(kinds(&edges, &id), ["activation_requested", "approval_given", "activation_started"]);
            assert!(stands);
            assert_eq!(edges.act(ALICE, &id, "deactivate", json!({})).0, 200);
        } else {
            assert_eq!(
                (cancelled.0, cancelled.1["status"].as_str(), approved.0),
                (200, Some("cancelled"), 409),
                "{approved:?} {cancelled:?}"
            );
            assert_eq!(approved.1["outcome"], json!("cancelled"), "{approved:?}");
            assert_eq!(kinds(&edges, &id), ["activation_requested", "activation_cancelled"]);
            assert!(!stands);
        }
        approved.0 == 200
    });
}

/// Two databases, so that the two requests are not the same one.
const PLACES: [&str; 2] = ["orders", "customers"];

fn on(database: &str) -> Value {
    json!({"duration": "PT40M", "scope": {"type": "Database", "id": database}})
}

#[test]
fn two_requests_for_the_last_minutes() {
    let edges = Edges::start();
    edges.at_one_in_the_morning();
    edges.eligible(ALICE, "metered");
    race(|_| {
        let ask = |place: &'static str| edges.ask(ALICE, "metered", on(place));
        let (first, second) = at_once(|| ask(PLACES[0]), || ask(PLACES[1]));
        let first_won = first.0 == 201;
        let (winner, loser) = if first_won { (&first, &second) } else { (&second, &first) };
        assert_eq!((winner.0, &winner.1["status"]), (201, &json!("active")), "{first:?} {second:?}");
        assert_eq!((loser.0, &loser.1["rule"], &loser.1["left"]), (409, &json!("budget_exhausted"), &json!("PT20M")), "{loser:?}");
        // given up at once, all of it is given back for the next round
        assert_eq!(edges.act(ALICE, &id_of(&winner.1), "deactivate", json!({})).0, 200);
        first_won
    });
}

#[test]
fn two_approvals_for_the_last_minutes() {
    let edges = Edges::start();
    edges.at_one_in_the_morning();
    edges.eligible(ALICE, "metered-voted");
    race(|_| {
        let ids = PLACES.map(|place| id_of(&edges.asked(ALICE, "metered-voted", on(place))));
        let votes = [0, 1].map(|index: usize| json!({"request_hash": edges.shown(&ids[index])["request_hash"]}));
        let (first, second) =
            at_once(|| edges.act(BOB, &ids[0], "approve", votes[0].clone()), || edges.act(DAVE, &ids[1], "approve", votes[1].clone()));
        assert_eq!((first.0, second.0), (200, 200), "{first:?} {second:?}");
        let first_won = first.1["status"] == "active";
        let (winner, loser) = if first_won { (&first.1, &second.1) } else { (&second.1, &first.1) };
        assert_eq!((&winner["status"], &loser["status"]), (&json!("active"), &json!("failed")), "{first:?} {second:?}");
        assert_eq!(loser["ended"]["cause"]["kind"], json!("budget_exhausted"), "{loser}");
        assert_eq!(kinds(&edges, &id_of(loser)), ["activation_requested", "approval_given", "activation_failed"]);
        assert_eq!(edges.act(ALICE, &id_of(winner), "deactivate", json!({})).0, 200);
        first_won
    });
}
