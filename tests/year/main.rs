//! A year of a company: hundreds of people, forty roles and tens of thousands of activations, drawn from a seed and driven through the real binary
//! over HTTP with a clock that is moved; beside it an oracle that keeps its own books, by the documents and with its own calendar. Whatever
//! Elevon says or does otherwise than the oracle is told in a line of its own, and fails the test.
//!
//! `ELEVON_YEAR_SEED`, `ELEVON_YEAR_PEOPLE` and `ELEVON_YEAR_ACTIVATIONS` make it another year.

#![allow(
    unreachable_pub,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::wildcard_enum_match_arm,
    reason = "a test fails by panicking, in its helpers too"
)]

mod alerts;
mod books;
mod calendar;
#[path = "../common/mod.rs"]
mod common;
mod company;
mod definitions;
mod journal;
mod plants;
mod reviews;
mod rng;
mod wire;
mod work;
mod year;

use std::time::Instant;

use common::elevon;
use year::Year;

fn from_environment(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name} is no number: {text}")))
}

#[test]
fn a_year_of_a_company_is_as_an_oracle_says() {
    let seed = from_environment("ELEVON_YEAR_SEED", 1);
    let people = usize::try_from(from_environment("ELEVON_YEAR_PEOPLE", 500)).unwrap();
    let activations = usize::try_from(from_environment("ELEVON_YEAR_ACTIVATIONS", 60_000)).unwrap();
    println!("ELEVON_YEAR_SEED={seed} ELEVON_YEAR_PEOPLE={people} ELEVON_YEAR_ACTIVATIONS={activations}");
    let began = Instant::now();
    let mut year = Year::new(seed, people);
    year.found();
    println!("founded after {:.1} s", began.elapsed().as_secs_f64());
    year.live(activations);
    let lived = began.elapsed();

    let figures = &year.figures;
    println!(
        "{} commands and {} reads in {:.1} s, {:.1} s of them for answers in {} rounds: {} activations, {} grants; {} joined, {} moved, {} left",
        year.wire.commands,
        year.wire.reads,
        lived.as_secs_f64(),
        year.wire.waited.as_secs_f64(),
        year.wire.rounds,
        figures.activations,
        figures.grants,
        figures.joined,
        figures.moved,
        figures.left
    );
    println!(
        "{} reviews of {} items: {} decisions, {} taken away, {} gone before, {} confirmed; asked {} times who is elevated, {} checks",
        figures.reviews,
        figures.items,
        figures.decisions,
        figures.removed,
        figures.gone,
        figures.confirmed,
        figures.elevated,
        figures.evaluations
    );
    println!("incidents: {:?}", figures.alerts);
    println!("refused, as expected: {:?}", figures.refused);
    assert!(year.faults.is_empty(), "differences (seed {seed}):\n{}", year.faults.join("\n"));
    assert!(figures.activations >= activations, "fewer activations than there should be: {}", figures.activations);

    let began = Instant::now();
    let (records, bytes) = year.journal(if std::env::var_os("ELEVON_LONG").is_some() { 1 } else { 8 });
    println!(
        "the journal: {records} records of about {} KiB, each with the hash of the one before; read in {:.1} s",
        bytes / 1024,
        began.elapsed().as_secs_f64()
    );
    let Year { server, home, .. } = year;
    server.kill();
    let data = home.data();
    let began = Instant::now();
    let rebuilt = elevon(&["rebuild", "--data", data.to_str().unwrap()]);
    assert_eq!(rebuilt.code, 0, "{rebuilt:?}");
    println!("{} after {:.1} s more", rebuilt.stdout.trim(), began.elapsed().as_secs_f64());
}
