//! How long it takes from revoke to deny: over HTTP, against the real binary, with its data on a disk.
//!
//! Each round lets somebody begin, revokes it, and checks until it is denied. What counts is the time from the acknowledgement of the revoke to
//! the answer of the first check that denies, and how many checks allowed in between: there may be none, and the bench fails where there is one.
//! Half of the rounds are run while nobody else asks anything, and half while others check the same person all the time.
//!
//! Run it with `make bench`.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::panic,
    clippy::wildcard_enum_match_arm,
    reason = "a bench that cannot go on has nothing else to do"
)]

#[path = "../tests/common/mod.rs"]
mod common;

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use common::Home;
use common::edges::{Edges, id_of, with_roles};
use common::names::{ALICE, CAROL};
use serde_json::json;

/// Rounds of each half.
const ROUNDS: usize = 500;
/// Rounds that are not counted, before a half begins.
const WARM_UP: usize = 20;
/// Who checks meanwhile, in the second half.
const CHECKERS: usize = 4;
/// Most checks of a round that may allow before the bench gives up.
const MAX_CHECKS: usize = 1_000;

fn main() {
    // `cargo test --benches` starts it as a test: that it builds is enough then.
    if std::env::args().any(|argument| argument == "--test") {
        return;
    }
    let edges = Edges::on(with_roles(Home::below(Path::new(env!("CARGO_TARGET_TMPDIR")))));
    edges.eligible(ALICE, "plain");
    println!(
        "{:>8}  {:>7}  {:>15}  {:>15}  {:>15}  {:>14}  {:>14}",
        "checkers", "rounds", "to deny p50 µs", "to deny p99 µs", "to deny max µs", "revoke p50 µs", "allowed after"
    );
    let mut wrong = 0;
    for checkers in [0, CHECKERS] {
        wrong += half(&edges, checkers);
    }
    assert!(wrong == 0, "{wrong} checks allowed after the acknowledgement");
}

/// One half of the rounds; how many checks allowed that may not have.
fn half(edges: &Edges, checkers: usize) -> usize {
    let (stop, checks) = (AtomicBool::new(false), AtomicU64::new(0));
    let (mut to_deny, mut revoke, mut allowed) = (Vec::new(), Vec::new(), 0);
    thread::scope(|scope| {
        for _ in 0..checkers {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    edges.writes(ALICE);
                    checks.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        for number in 0..WARM_UP + ROUNDS {
            let (asked, denied, wrong) = round(edges);
            if number >= WARM_UP {
                revoke.push(asked);
                to_deny.push(denied);
            }
            allowed += wrong;
        }
        stop.store(true, Ordering::Relaxed);
    });
    let (to_deny, revoke) = (sorted(to_deny), sorted(revoke));
    println!(
        "{checkers:>8}  {ROUNDS:>7}  {:>15}  {:>15}  {:>15}  {:>14}  {allowed:>14}",
        at(&to_deny, 50),
        at(&to_deny, 99),
        at(&to_deny, 100),
        at(&revoke, 50),
    );
    allowed
}

/// Begins, revokes and checks: how long the revoke took, how long it was from there to a denial, and how many checks allowed in between.
fn round(edges: &Edges) -> (Duration, Duration, usize) {
    let id = id_of(&edges.asked(ALICE, "plain", json!({})));
    assert!(edges.writes(ALICE), "it has just begun");
    let began = Instant::now();
    let (status, reply) = edges.act(CAROL, &id, "revoke", json!({"reason": "an incident"}));
    let acknowledged = Instant::now();
    assert!(status == 200, "{reply}");
    let mut allowed = 0;
    while edges.writes(ALICE) {
        allowed += 1;
        assert!(allowed < MAX_CHECKS, "it is never denied");
    }
    (acknowledged - began, acknowledged.elapsed(), allowed)
}

fn sorted(mut times: Vec<Duration>) -> Vec<u128> {
    times.sort_unstable();
    times.iter().map(Duration::as_micros).collect()
}

fn at(sorted: &[u128], percent: usize) -> u128 {
    sorted[(sorted.len() * percent / 100).min(sorted.len() - 1)]
}
