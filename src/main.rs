//! Elevon.
fn main() {}
