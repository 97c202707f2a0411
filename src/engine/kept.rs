//! What a view keeps of its principals: which groups each is in and what those were given, so that a check of somebody in two hundred nested
//! groups does not walk them again.
//!
//! Nothing here is an answer. What is kept follows from a principal's own row, from the inner names of the view and from its bundle: the row is
//! told by the sequence that changed it last, and a view in which anything of the rest changed begins with nothing kept.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher as _;
use std::sync::{Arc, Mutex, PoisonError};

use crate::domain::Uid;
use crate::domain::standing::Memberships;

use super::bounds::{KEPT, KEPT_FROM, KEPT_SHARDS};

type Shard = Mutex<HashMap<Uid, (u64, Arc<Memberships>)>>;

pub(super) struct Kept {
    hasher: RandomState,
    shards: Vec<Shard>,
}

impl Default for Kept {
    fn default() -> Self {
        Self { hasher: RandomState::new(), shards: (0..KEPT_SHARDS).map(|_| Shard::default()).collect() }
    }
}

impl Kept {
    fn shard(&self, uid: &Uid) -> Option<&Shard> {
        self.shards.get(usize::try_from(self.hasher.hash_one(uid) % KEPT_SHARDS as u64).unwrap_or(0))
    }

    /// The memberships of a principal whose row last changed at `changed`.
    pub(super) fn get(&self, uid: &Uid, changed: u64) -> Option<Arc<Memberships>> {
        let shard = self.shard(uid)?.lock().unwrap_or_else(PoisonError::into_inner);
        shard.get(uid).filter(|(at, _)| *at == changed).map(|(_, kept)| Arc::clone(kept))
    }

    /// Keeps memberships that take a while to find; few groups are found again as fast as they are looked up.
    pub(super) fn put(&self, uid: &Uid, changed: u64, memberships: &Arc<Memberships>) {
        if memberships.groups.len() < KEPT_FROM {
            return;
        }
        let Some(shard) = self.shard(uid) else { return };
        let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
        if shard.len() >= KEPT / KEPT_SHARDS && !shard.contains_key(uid) {
            // Whoever is asked about often is back at once.
            shard.clear();
        }
        shard.insert(uid.clone(), (changed, Arc::clone(memberships)));
    }
}
