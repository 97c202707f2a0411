//! How long one check takes inside the process: by the number of policies, of principals and of active roles, and by how deep groups and
//! resources are nested.
//!
//! A check goes the whole way: engine, view, the principal's row, standing, slice, evaluation. Every check asks for another user, at random
//! among all, so that a large set of principals is not answered from a warm cache. Each figure is of one thread, in nanoseconds, and stands in a
//! line of JSON of its own; those to compare come from one run, each measured in several turns that alternate, so that whatever else the
//! machine does meets all of them alike.
//!
//! Run it with `make bench`; `BENCH_CHECKS` sets how many checks one turn has. The folders are on the disk of `TMPDIR`.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::panic,
    reason = "a bench that cannot go on has nothing else to do"
)]

mod kit;

use std::sync::Arc;
use std::time::{Duration, Instant};

use elevon::engine::Engine;
use elevon::policy::Ask;
use kit::world::Shape;
use kit::{Dice, engine, number, quantile, report};
use serde_json::json;
use tempfile::TempDir;

/// Turns of each figure, and checks of a turn.
const TURNS: usize = 5;
const CHECKS: usize = 20_000;
/// How long an engine has to read rows ahead before its first turn.
const AHEAD: Duration = Duration::from_secs(5);

/// What is measured together.
struct Figure {
    set: &'static str,
    shape: Shape,
    engine: Arc<Engine>,
    folder: TempDir,
    dice: Dice,
    allow: Vec<u128>,
    deny: Vec<u128>,
}

impl Figure {
    fn new(set: &'static str, shape: Shape) -> Self {
        let folder = tempfile::tempdir().unwrap();
        shape.load(folder.path());
        let engine = engine(folder.path(), shape.bundle("bench"));
        Self { set, shape, engine, folder, dice: Dice(0x9E37_79B9_7F4A_7C15), allow: Vec::new(), deny: Vec::new() }
    }

    fn one(&self, ask: &Ask) -> (u128, bool) {
        let began = Instant::now();
        let checked = self.engine.check(ask).unwrap();
        let elapsed = began.elapsed().as_nanos();
        (elapsed, checked.verdict.allowed)
    }

    fn turn(&mut self, checks: usize, counts: bool) {
        let allowed = self.shape.roles > 0;
        let (mut allow, mut deny) = (Vec::with_capacity(checks), Vec::with_capacity(checks));
        for (right_place, times) in [(true, &mut allow), (false, &mut deny)] {
            for _ in 0..checks {
                let ask = self.shape.ask(self.dice.below(self.shape.principals), right_place);
                let (elapsed, answer) = self.one(&ask);
                assert_eq!(answer, allowed && right_place, "{ask:?}");
                times.push(elapsed);
            }
        }
        if counts {
            self.allow.append(&mut allow);
            self.deny.append(&mut deny);
        }
    }

    fn report(mut self) {
        self.allow.sort_unstable();
        self.deny.sort_unstable();
        let Shape { policies, conditions, principals, roles, group_depth, resource_depth } = self.shape;
        report(&json!({
            "bench": "check",
            "set": self.set,
            "policies": policies,
            "conditions": conditions,
            "principals": principals,
            "roles": roles,
            "group_depth": group_depth,
            "resource_depth": resource_depth,
            // of somebody without a role nothing is allowed: both are denials then
            "allow_p50_ns": quantile(&self.allow, 50),
            "allow_p99_ns": quantile(&self.allow, 99),
            "deny_p50_ns": quantile(&self.deny, 50),
            "deny_p99_ns": quantile(&self.deny, 99),
        }));
        self.engine.stop();
        drop(self.folder);
    }
}

fn compare(set: &'static str, shapes: impl IntoIterator<Item = Shape>) {
    if std::env::var("BENCH_SETS").is_ok_and(|sets| !sets.split(',').any(|one| one == set)) {
        return;
    }
    let mut figures: Vec<Figure> = shapes.into_iter().map(|shape| Figure::new(set, shape)).collect();
    let checks = number("BENCH_CHECKS", CHECKS);
    if figures.iter().any(|figure| figure.shape.principals > 100_000) {
        std::thread::sleep(AHEAD);
    }
    figures.iter_mut().for_each(|figure| figure.turn(checks / 4, false));
    for _ in 0..TURNS {
        figures.iter_mut().for_each(|figure| figure.turn(checks, true));
    }
    figures.into_iter().for_each(Figure::report);
}

fn main() {
    // `cargo test --benches` starts it as a test: that it builds is enough then.
    if std::env::args().any(|argument| argument == "--test") {
        return;
    }
    let usual = Shape::default();
    compare("policies", [10, 100, 1_000, 10_000].map(|policies| Shape { policies, ..usual }));
    compare("conditions", [10, 100, 1_000, 10_000].map(|policies| Shape { policies, conditions: true, ..usual }));
    compare("principals", [1_000, 10_000, 100_000, 1_000_000].map(|principals| Shape { principals, ..usual }));
    compare("roles", [0, 1, 20].map(|roles| Shape { roles, policies: 101, ..usual }));
    compare("group_depth", [1, 5, 20].map(|group_depth| Shape { group_depth, ..usual }));
    compare("resource_depth", [1, 5, 20].map(|resource_depth| Shape { resource_depth, ..usual }));
}
