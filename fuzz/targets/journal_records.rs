//! Bytes that say that they are a record of the journal: what is taken has one canonical form, and is linked to what it follows.

#![no_main]

use elevon::audit::{self, Tip};
use elevon::domain::Record;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    // as the first of a journal
    if let Ok((tip, record)) = audit::follow(&Tip::before_first(), data) {
        assert_eq!((tip.seq, tip.hash, tip.at), (1, audit::hash(data), record.at));
        assert_eq!(record.seq, 1);
    }
    // as a record on its own: written again, it reads as the same, and its chain begins and ends with it
    if let Ok(mut record) = serde_json::from_slice::<Record>(data) {
        let Ok(first) = record.to_canonical() else { return };
        let again: Record = serde_json::from_slice(&first).expect("what was written is read");
        assert_eq!(again.to_canonical().expect("it was written once"), first);
        record.seq = 1;
        record.v = elevon::domain::event::RECORD_VERSION;
        record.prev = Tip::before_first().hash;
        let bytes = record.to_canonical().expect("it was written once");
        let (tip, read) = audit::follow(&Tip::before_first(), &bytes).expect("what Elevon writes, it takes");
        assert_eq!(read, record);
        // and what was changed by a byte is not the same record
        assert!(audit::follow(&tip, &bytes).is_err(), "a record cannot follow itself");
    }
    // as a journal of several lines
    let _ = audit::verify(data.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()));
});
