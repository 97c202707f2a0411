//! Gateways: every dialect against the real server, by one table of requests and answers; and real gateways in front of an upstream.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::wildcard_enum_match_arm,
    reason = "a test fails by panicking"
)]

mod calls;
#[path = "../common/mod.rs"]
mod common;
mod grpc;
mod mutual;
mod real;
mod route;
mod vectors;
mod world;
