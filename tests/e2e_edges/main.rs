//! Every row of the table of edges in the rules of an activation, over HTTP against the real binary, with a clock that the test moves: what each
//! caller is told, what the journal holds afterwards, and what the very next check says. A test has the name of its row.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::wildcard_enum_match_arm,
    reason = "a test fails by panicking, in its helpers too"
)]

#[path = "../common/mod.rs"]
mod common;

mod approving;
mod asking;
mod budgets;
mod bundles;
mod clock;
mod conditions;
mod emergencies;
mod ending;
mod extending;
mod feed;
mod journal;
mod prolonging;
mod revoking;
mod who_is_who;
