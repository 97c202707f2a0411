//! The edge against clients that are slow, many, hostile or broken: real sockets to a server in this process, with bounds that are small enough
//! to be met. What is asserted is what becomes of a client and that the others are served, never how long it took.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::wildcard_enum_match_arm,
    reason = "a test fails by panicking, in its helpers too"
)]

mod ending;
mod heads;
mod help;
mod lane;
mod many;
mod planes;
mod raw_two;
mod secured;
mod slow;
mod two;
