//! Attacks, each named after its class, and the CVE that made it known: what somebody tries, and that it comes to nothing. What is inside one
//! room is tried there; `docs/threat-model.md` names every test, and `threat_model.rs` holds it to that.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::wildcard_enum_match_arm,
    reason = "a test fails by panicking, in its helpers too"
)]

#[path = "../common/mod.rs"]
mod common;
#[allow(dead_code, reason = "these tests use a part of it")]
#[path = "../api/help.rs"]
mod help;
#[allow(dead_code, reason = "these tests use a part of it")]
#[path = "../api/schema.rs"]
mod schema;

mod approvers;
mod bombs;
mod keys;
mod paths;
mod policy_text;
mod raw;
mod replay;
mod secrets;
mod selves;
mod threat_model;
mod writes;
