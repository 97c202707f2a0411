//! JSON bodies, read as every endpoint reads its own.

#![no_main]

use elevon::http::strict::{Members, too_deep};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

fuzz_target!(|data: &[u8]| {
    let taken = elevon::http::decoded(data);
    let read = Members::read(data);
    if too_deep(data) {
        assert_eq!(taken, 0, "what nests too deep is not read");
        assert!(read.is_err());
    }
    // what is read as a body is JSON for everybody else, too: an object
    if read.is_ok() {
        assert!(matches!(serde_json::from_slice::<Value>(data), Ok(Value::Object(_))));
    }
});
