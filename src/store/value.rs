//! Values as bytes: a version byte, then postcard. Whatever cannot be read says why; nothing panics.
//!
//! A change to a type that is kept changes these bytes, which the layout test shows: then the type's version here and
//! [`super::open::FORMAT`] rise together, and the older form is read on.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::domain::alert::{AlertTally, Incident};
use crate::domain::event::Remembered;
use crate::domain::grant::{DayUse, EntityRow, RoleRow};
use crate::domain::id::IncidentId;
use crate::domain::text::Digest;
use crate::domain::{
    Activation, Assignment, Detectors, Eligibility, GrantRequest, Review, ReviewDefinition, ReviewEntry, Revision, Text, Timestamp,
};
use crate::engine::outbox::{Letter, Position};
use crate::engine::ports::{Anchor, Head};

/// A value of a family.
pub(super) trait Value: Sized {
    /// Its bytes.
    ///
    /// # Errors
    /// It has no such form.
    fn encode(&self) -> Result<Vec<u8>, String>;

    /// Reads it back.
    ///
    /// # Errors
    /// The bytes are not one.
    fn decode(bytes: &[u8]) -> Result<Self, String>;
}

/// Nothing: in an index, the key says all.
impl Value for () {
    fn encode(&self) -> Result<Vec<u8>, String> {
        Ok(Vec::new())
    }

    fn decode(bytes: &[u8]) -> Result<Self, String> {
        if bytes.is_empty() { Ok(()) } else { Err(format!("{} bytes where none belong", bytes.len())) }
    }
}

/// Bytes that have a form of their own: canonical records, bundle archives, the oldest items of `meta`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Raw(pub Vec<u8>);

impl Value for Raw {
    fn encode(&self) -> Result<Vec<u8>, String> {
        Ok(self.0.clone())
    }

    fn decode(bytes: &[u8]) -> Result<Self, String> {
        Ok(Self(bytes.to_vec()))
    }
}

fn encode_versioned(version: u8, value: &impl Serialize) -> Result<Vec<u8>, String> {
    postcard::to_extend(value, vec![version]).map_err(|error| error.to_string())
}

/// What follows the version byte.
fn body(known: u8, bytes: &[u8]) -> Result<&[u8], String> {
    match bytes.split_first() {
        None => Err("nothing stands there".to_owned()),
        Some((version, body)) if *version == known => Ok(body),
        Some((version, _)) => Err(format!("version {version} of a value of which this Elevon knows {known}")),
    }
}

fn decode_versioned<T: DeserializeOwned>(known: u8, bytes: &[u8]) -> Result<T, String> {
    match postcard::take_from_bytes(body(known, bytes)?) {
        Ok((value, [])) => Ok(value),
        Ok((_, rest)) => Err(format!("{} bytes too many", rest.len())),
        Err(error) => Err(error.to_string()),
    }
}

macro_rules! versioned {
    ($($name:ty = $version:literal),* $(,)?) => {$(
        impl Value for $name {
            fn encode(&self) -> Result<Vec<u8>, String> {
                encode_versioned($version, self)
            }

            fn decode(bytes: &[u8]) -> Result<Self, String> {
                decode_versioned($version, bytes)
            }
        }
    )*};
}

versioned! {
    EntityRow = 2,
    RoleRow = 2,
    DayUse = 1,
    Activation = 2,
    Eligibility = 2,
    Assignment = 2,
    GrantRequest = 1,
    ReviewDefinition = 1,
    Review = 1,
    ReviewEntry = 1,
    Incident = 1,
    IncidentId = 1,
    AlertTally = 1,
    // what an older one wrote is found anew in the journal
    Detectors = 2,
    Timestamp = 1,
    Text = 1,
    HeadRow = 1,
    AnchorRow = 1,
    u64 = 1,
    Position = 1,
    Letter = 1,
}

/// The version of remembered results. Their body is JSON, as in the journal: what a caller was told has many forms, and none of them is
/// read often enough for a compact one to pay for telling them apart by number.
const REMEMBERED_VERSION: u8 = 1;

impl Value for (Timestamp, Remembered) {
    fn encode(&self) -> Result<Vec<u8>, String> {
        let mut bytes = vec![REMEMBERED_VERSION];
        serde_json::to_writer(&mut bytes, self).map_err(|error| error.to_string())?;
        Ok(bytes)
    }

    fn decode(bytes: &[u8]) -> Result<Self, String> {
        serde_json::from_slice(body(REMEMBERED_VERSION, bytes)?).map_err(|error| error.to_string())
    }
}

/// Where the journal ends, as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct HeadRow {
    seq: u64,
    hash: [u8; 32],
    at: Timestamp,
    revision: Option<Revision>,
}

impl From<&Head> for HeadRow {
    fn from(head: &Head) -> Self {
        Self { seq: head.seq, hash: head.hash.0, at: head.at, revision: head.revision.clone() }
    }
}

impl From<HeadRow> for Head {
    fn from(row: HeadRow) -> Self {
        Self { seq: row.seq, hash: Digest(row.hash), at: row.at, revision: row.revision }
    }
}

/// What the clock is held against, as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct AnchorRow {
    machine_start: String,
    running: i64,
    wall: Timestamp,
}

impl From<&Anchor> for AnchorRow {
    fn from(anchor: &Anchor) -> Self {
        Self { machine_start: anchor.machine_start.clone(), running: anchor.running, wall: anchor.wall }
    }
}

impl From<AnchorRow> for Anchor {
    fn from(row: AnchorRow) -> Self {
        Self { machine_start: row.machine_start, running: row.running, wall: row.wall }
    }
}
