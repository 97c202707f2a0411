//! The journal as evidence: pure functions over the bytes of its records, which need no store and no running Elevon.

mod chain;

pub use chain::{Break, Tip, Why, follow, hash, verify};
