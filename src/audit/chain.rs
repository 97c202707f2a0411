//! The hash chain: every record holds the SHA-256 of the bytes of the one before, so that nothing in the middle can be changed, left out
//! or put in without everything after it telling so. What was cut off at the end shows against a tip that was noted elsewhere.
//!
//! Bytes are checked to be canonical (RFC 8785) too: there is one way to write a record, and an auditor can repeat it without Elevon.

use serde_json::Value;

use crate::domain::Timestamp;
use crate::domain::event::{RECORD_VERSION, Record};
use crate::domain::text::Digest;

/// Where a chain ends: its last record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tip {
    /// The record's sequence; 0 before the first.
    pub seq: u64,
    /// SHA-256 over its bytes; zeros before the first.
    pub hash: Digest,
    /// When it was decided.
    pub at: Timestamp,
}

impl Tip {
    /// Before the first record.
    #[must_use]
    pub fn before_first() -> Self {
        Self { seq: 0, hash: Digest([0; 32]), at: Timestamp::default() }
    }
}

/// Where a chain does not hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the journal does not hold together at record {seq}: {why}")]
pub struct Break {
    /// The place at which a good record was expected.
    pub seq: u64,
    /// What is wrong with what stands there.
    pub why: Why,
}

/// What is wrong with a record.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Why {
    /// Not a record at all.
    #[error("it cannot be read: {0}")]
    Unreadable(String),
    /// Of a form that this Elevon does not know.
    #[error("it is of version {found}, and this Elevon knows up to {known}; use the Elevon that wrote it")]
    Newer {
        /// Its version.
        found: u32,
        /// The newest that is known.
        known: u32,
    },
    /// Another record's number.
    #[error("it says that it is record {found}")]
    OutOfOrder {
        /// The number that it gives.
        found: u64,
    },
    /// It follows something else.
    #[error("it follows a record with the hash {found}, and the one before it has {expected}")]
    NotLinked {
        /// The hash of the record before.
        expected: Digest,
        /// The hash that it names.
        found: Digest,
    },
    /// The same content, written in another way.
    #[error("its bytes are not in canonical form")]
    NotCanonical,
    /// Older than the one before.
    #[error("it was decided at {at}, before the record that it follows ({before})")]
    BackInTime {
        /// When it says that it was decided.
        at: Timestamp,
        /// When the record before was decided.
        before: Timestamp,
    },
}

/// SHA-256 over the bytes of a record: what the next one names as `prev`.
#[must_use]
pub fn hash(bytes: &[u8]) -> Digest {
    Digest::of_bytes(bytes)
}

/// Takes one step: reads the record that follows a tip.
///
/// # Errors
/// The bytes are not the canonical form of a record that follows the tip.
pub fn follow(tip: &Tip, bytes: &[u8]) -> Result<(Tip, Record), Break> {
    let record = read(bytes).map_err(|why| Break { seq: tip.seq.saturating_add(1), why })?;
    Ok((link(tip, &record, bytes)?, record))
}

/// The same, where the record before it is not at hand: what it follows is as it says, and nothing else of it is believed.
pub(super) fn follow_unknown(bytes: &[u8]) -> Result<(Tip, Tip, Record), Break> {
    let record = read(bytes).map_err(|why| Break { seq: 1, why })?;
    let before = match record.seq {
        0 | 1 => Tip::before_first(),
        seq => Tip { seq: seq.saturating_sub(1), hash: record.prev, at: record.at },
    };
    Ok((before, link(&before, &record, bytes)?, record))
}

fn link(tip: &Tip, record: &Record, bytes: &[u8]) -> Result<Tip, Break> {
    let seq = tip.seq.saturating_add(1);
    let broken = |why| Break { seq, why };
    if record.seq != seq {
        return Err(broken(Why::OutOfOrder { found: record.seq }));
    }
    if record.prev != tip.hash {
        return Err(broken(Why::NotLinked { expected: tip.hash, found: record.prev }));
    }
    if record.at < tip.at && tip.seq > 0 {
        return Err(broken(Why::BackInTime { at: record.at, before: tip.at }));
    }
    Ok(Tip { seq, hash: hash(bytes), at: record.at })
}

/// A record that came as JSON, in the bytes that it was hashed as.
///
/// # Errors
/// A number in it has no canonical form.
pub fn canonical(record: &Value) -> Result<Vec<u8>, String> {
    serde_json_canonicalizer::to_vec(record).map_err(|error| error.to_string())
}

/// Reads a record and checks that its bytes are the only way to write what they say.
fn read(bytes: &[u8]) -> Result<Record, Why> {
    #[derive(serde::Deserialize)]
    struct Version {
        v: u32,
    }
    let unreadable = |error: serde_json::Error| Why::Unreadable(error.to_string());
    let Version { v } = serde_json::from_slice(bytes).map_err(unreadable)?;
    if v > RECORD_VERSION {
        return Err(Why::Newer { found: v, known: RECORD_VERSION });
    }
    let record: Record = serde_json::from_slice(bytes).map_err(unreadable)?;
    let written: Value = serde_json::from_slice(bytes).map_err(unreadable)?;
    let canonical = canonical(&written).map_err(Why::Unreadable)?;
    let read = serde_json::to_value(&record).map_err(unreadable)?;
    if canonical == bytes && says_all_of(&read, &written) { Ok(record) } else { Err(Why::NotCanonical) }
}

/// Whether what was read says everything that was written, in the same way. It may say more: a member that was not yet known when the record was
/// written reads as what it stands for when it is missing.
fn says_all_of(read: &Value, written: &Value) -> bool {
    match (read, written) {
        (Value::Object(read), Value::Object(written)) => {
            written.iter().all(|(name, member)| read.get(name).is_some_and(|read| says_all_of(read, member)))
        }
        (Value::Array(read), Value::Array(written)) => {
            read.len() == written.len() && read.iter().zip(written).all(|(read, written)| says_all_of(read, written))
        }
        (
            Value::Object(_) | Value::Array(_) | Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_),
            Value::Object(_) | Value::Array(_) | Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_),
        ) => read == written,
    }
}

/// Walks a chain from its first record and says where it ends.
///
/// # Errors
/// The first place at which it does not hold.
pub fn verify<B: AsRef<[u8]>>(records: impl IntoIterator<Item = B>) -> Result<Tip, Break> {
    records.into_iter().try_fold(Tip::before_first(), |tip, bytes| follow(&tip, bytes.as_ref()).map(|(tip, _)| tip))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::domain::event::Event;
    use crate::domain::id::CommandId;
    use crate::domain::{Actor, Revision, Uid};

    pub(in crate::audit) fn records(count: u64) -> Vec<Vec<u8>> {
        let mut prev = Digest([0; 32]);
        (1..=count)
            .map(|seq| {
                let uid = Uid::new("User", &format!("user-{seq}")).unwrap();
                let record = Record {
                    v: RECORD_VERSION,
                    seq,
                    prev,
                    at: Timestamp::from_millis(1000 + i64::try_from(seq).unwrap()),
                    actor: Actor::System,
                    revision: Revision::new("r1").unwrap(),
                    command_id: CommandId::new(&format!("c{seq}")).unwrap(),
                    command: "set_disabled".to_owned(),
                    events: vec![Event::EntityDisabled { uid, reason: None }],
                    idempotency: None,
                };
                let bytes = record.to_canonical().unwrap();
                prev = hash(&bytes);
                bytes
            })
            .collect()
    }

    pub(in crate::audit) fn changed(bytes: &[u8], from: &str, to: &str) -> Vec<u8> {
        let text = std::str::from_utf8(bytes).unwrap();
        assert!(text.contains(from), "{text}");
        text.replacen(from, to, 1).into_bytes()
    }

    #[test]
    fn a_whole_chain_ends_at_its_last_record() {
        let chain = records(5);
        let tip = verify(&chain).unwrap();
        assert_eq!((tip.seq, tip.hash, tip.at.millis()), (5, hash(&chain[4]), 1005));
        assert_eq!(verify(Vec::<Vec<u8>>::new()).unwrap(), Tip::before_first());
    }

    #[test]
    fn whatever_is_done_to_a_chain_shows() {
        type Harm = fn(&mut Vec<Vec<u8>>);
        type Expected = fn(&Why) -> bool;
        let rows: [(&str, Harm, u64, Expected); 9] = [
            ("a record is left out", |c| drop(c.remove(2)), 3, |why| matches!(why, Why::OutOfOrder { found: 4 })),
            ("two change places", |c| c.swap(1, 2), 2, |why| matches!(why, Why::OutOfOrder { found: 3 })),
            ("one stands twice", |c| c.insert(2, c[1].clone()), 3, |why| matches!(why, Why::OutOfOrder { found: 2 })),
            ("a name is changed", |c| c[1] = changed(&c[1], "user-2", "user-9"), 3, |why| matches!(why, Why::NotLinked { .. })),
            ("a blank is put in", |c| c[3] = changed(&c[3], ":", ": "), 4, |why| *why == Why::NotCanonical),
            ("an unknown member", |c| c[0] = changed(&c[0], "\"v\":1", "\"v\":1,\"x\":2"), 1, |why| matches!(why, Why::Unreadable(_))),
            ("a newer form", |c| c[0] = changed(&c[0], "\"v\":1", "\"v\":2"), 1, |why| matches!(why, Why::Newer { found: 2, known: 1 })),
            ("bytes that are no text", |c| c[2] = vec![0xff, 0xfe], 3, |why| matches!(why, Why::Unreadable(_))),
            ("an earlier time", |c| c[4] = changed(&c[4], "01.005Z", "00.005Z"), 5, |why| matches!(why, Why::BackInTime { .. })),
        ];
        for (what, harm, seq, expected) in rows {
            let mut chain = records(5);
            harm(&mut chain);
            let broken = verify(&chain).unwrap_err();
            assert!(broken.seq == seq && expected(&broken.why), "{what}: {broken:?}");
        }
    }
}
