//! Rows of names that were read before, so that a long one is not decoded again for each check.
//!
//! The database is read all the same, and decides: a row begins with the sequence that changed it last, and what is kept counts only while that
//! is still the same. Whatever changes a row changes that number with it, so a kept row is never another than the one on disk.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher as _;
use std::sync::{Arc, Mutex, PoisonError};

use super::value::Value as _;
use crate::domain::Uid;
use crate::domain::grant::EntityRow;

/// From how many bytes on a row is kept: shorter ones are decoded as fast as they are found here.
const LONG: usize = 512;
/// Rows that are kept at most, and the parts that they are kept in.
const ROWS: usize = 16 * 1024;
const SHARDS: usize = 64;

pub(super) struct KeptRows {
    hasher: RandomState,
    shards: Vec<Mutex<HashMap<Uid, Arc<EntityRow>>>>,
}

impl Default for KeptRows {
    fn default() -> Self {
        Self { hasher: RandomState::new(), shards: (0..SHARDS).map(|_| Mutex::default()).collect() }
    }
}

impl KeptRows {
    /// The row that these bytes are.
    ///
    /// # Errors
    /// The bytes are no row.
    pub(super) fn decode(&self, uid: &Uid, bytes: &[u8]) -> Result<Arc<EntityRow>, String> {
        let shard = usize::try_from(self.hasher.hash_one(uid) % SHARDS as u64).unwrap_or(0);
        let (Some(changed), Some(shard)) = (changed_in(bytes), self.shards.get(shard)) else {
            return EntityRow::decode(bytes).map(Arc::new);
        };
        let held = || shard.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(row) = held().get(uid).filter(|row| row.changed == changed) {
            return Ok(Arc::clone(row));
        }
        let row = Arc::new(EntityRow::decode(bytes)?);
        let mut held = held();
        if held.len() >= ROWS / SHARDS && !held.contains_key(uid) {
            held.clear();
        }
        held.insert(uid.clone(), Arc::clone(&row));
        Ok(row)
    }
}

/// The sequence that changed a long row last: the first field behind the version byte, a number in groups of seven bits.
fn changed_in(bytes: &[u8]) -> Option<u64> {
    if bytes.len() < LONG {
        return None;
    }
    postcard::take_from_bytes::<u64>(bytes.get(1..)?).ok().map(|(changed, _)| changed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::grant::Grants;
    use crate::domain::{ActivationId, Incarnation};

    fn row(changed: u64, incarnation: u32, waiting: usize) -> EntityRow {
        let waiting = (0..waiting).map(|number| ActivationId::new(&format!("act_{number:020}")).unwrap()).collect();
        let grants = Grants { waiting, ..Grants::default() };
        EntityRow { changed, incarnation: Incarnation(incarnation), grants, ..EntityRow::default() }
    }

    #[test]
    fn a_row_that_changed_is_never_answered_from_what_was_kept() {
        let kept = KeptRows::default();
        let uid = Uid::new("User", "ann").unwrap();
        for (changed, incarnation, waiting) in [(7, 0, 40), (7, 0, 40), (300, 1, 40), (301, 2, 1), (1 << 40, 3, 60), (u64::MAX, 4, 60)] {
            let row = row(changed, incarnation, waiting);
            assert_eq!(*kept.decode(&uid, &row.encode().unwrap()).unwrap(), row);
        }
        let long = row(9, 1, 40).encode().unwrap();
        assert!(Arc::ptr_eq(&kept.decode(&uid, &long).unwrap(), &kept.decode(&uid, &long).unwrap()));
    }
}
