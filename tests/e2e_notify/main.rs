//! Who is told of what happened: through the real binary, to real receivers.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test fails by panicking, in its helpers too"
)]
#![allow(dead_code, reason = "helpers are shared with other tests")]

#[path = "../common/mod.rs"]
mod common;
#[path = "../e2e_secure/help.rs"]
mod help;

mod digest;
mod mail_server;
mod mails;
mod people;
mod receiver;
mod sets;
mod webhooks;
mod world;
