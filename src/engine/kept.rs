//! What a view keeps of what stands above names: which groups a principal is in and what those were given, and what a resource lies in, so that
//! a check of somebody in two hundred nested groups does not walk them again.
//!
//! Nothing here is an answer. What stands above a name follows from the edges that it has itself, from the inner names of the view and from
//! its bundle. A view in which anything of the latter changed begins with nothing kept. Of the former, few edges are the key themselves, so
//! that all who have the same share what follows; many are told by the sequence that changed their name's row last.

use std::collections::HashMap;
use std::hash::BuildHasher as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use foldhash::fast::RandomState;

use crate::domain::Uid;
use crate::domain::settings::ParentEdge;
use crate::domain::standing::Memberships;

use super::bounds::{KEPT, KEPT_SHARDS};

/// Both ways to keep memberships: by name and the sequence that changed its row last, and by edges.
#[derive(Default)]
struct Shard {
    by_name: HashMap<Uid, (u64, Arc<Memberships>), RandomState>,
    by_edges: HashMap<Vec<ParentEdge>, Arc<Memberships>, RandomState>,
}

pub(super) struct Kept {
    hasher: RandomState,
    shards: Vec<Mutex<Shard>>,
    nothing: Arc<Memberships>,
}

impl Default for Kept {
    fn default() -> Self {
        let shards = (0..KEPT_SHARDS).map(|_| Mutex::default()).collect();
        Self { hasher: RandomState::default(), shards, nothing: Arc::default() }
    }
}

impl Kept {
    fn shard(&self, hash: u64) -> Option<MutexGuard<'_, Shard>> {
        let shard = self.shards.get(usize::try_from(hash % KEPT_SHARDS as u64).unwrap_or(0))?;
        Some(shard.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// What stands above a name without edges.
    pub(super) fn nothing(&self) -> &Arc<Memberships> {
        &self.nothing
    }

    /// What stands above a name with these edges.
    pub(super) fn below(&self, edges: &[ParentEdge]) -> Option<Arc<Memberships>> {
        self.shard(self.hasher.hash_one(edges))?.by_edges.get(edges).map(Arc::clone)
    }

    /// Keeps what stands above a name with these edges.
    pub(super) fn put_below(&self, edges: &[ParentEdge], memberships: &Arc<Memberships>) {
        let Some(mut shard) = self.shard(self.hasher.hash_one(edges)) else { return };
        if shard.by_edges.len() >= KEPT / KEPT_SHARDS {
            shard.by_edges.clear();
        }
        shard.by_edges.insert(edges.to_vec(), Arc::clone(memberships));
    }

    /// What stands above a name whose row last changed at `changed`.
    pub(super) fn get(&self, uid: &Uid, changed: u64) -> Option<Arc<Memberships>> {
        let shard = self.shard(self.hasher.hash_one(uid))?;
        shard.by_name.get(uid).filter(|(at, _)| *at == changed).map(|(_, kept)| Arc::clone(kept))
    }

    /// Keeps what stands above a name whose row last changed at `changed`.
    pub(super) fn put(&self, uid: &Uid, changed: u64, memberships: &Arc<Memberships>) {
        let Some(mut shard) = self.shard(self.hasher.hash_one(uid)) else { return };
        if shard.by_name.len() >= KEPT / KEPT_SHARDS && !shard.by_name.contains_key(uid) {
            // Whoever is asked about often is back at once.
            shard.by_name.clear();
        }
        shard.by_name.insert(uid.clone(), (changed, Arc::clone(memberships)));
    }
}
