//! The command line at its outside edge: the real binary against the real server, and against answers that a real one gives only after
//! thousands of commands.

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

mod advice;
mod entities;
mod exports;
mod lists;
mod stub;
