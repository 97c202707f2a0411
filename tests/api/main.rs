//! The HTTP API, asked over real connections to a server in this process.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::wildcard_enum_match_arm,
    reason = "a test fails by panicking, in its helpers too"
)]

mod alerts;
mod authzen;
mod help;
mod life;
mod links;
mod lists;
mod matrix;
mod openapi;
mod operations;
mod prolong;
mod reviews;
mod schema;
mod settings;
mod story;
mod tried;
mod watch;
mod wrong;
