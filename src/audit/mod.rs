//! The journal as evidence: pure functions over the bytes of its records, which need no store and no running Elevon.

mod chain;
mod walk;

pub use chain::{Break, Tip, Why, canonical, follow, hash, verify};
pub use walk::{BadNote, Noted, Standing, Walk};
