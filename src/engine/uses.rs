//! When roles were last of use: noted beside checks, and never in their way. A check that a role decided puts a word into a bounded queue, once
//! an hour for each holding, and the timer thread writes what is in it. What does not fit, or is lost in a crash, is missing from the next
//! review's recommendations and from nothing else: it is no truth, and a review journals the marks that it rests on.
//!
//! Lost: a record for each, which would let anybody who asks fill the journal.

use std::collections::BTreeMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Mutex, PoisonError};

use crate::domain::grant::GrantRef;
use crate::domain::standing::Via;
use crate::domain::{Timestamp, Unavailable};
use crate::policy::{Bundle, Verdict};

use super::bounds::{USE_SLOTS, USES};
use super::ports::Reader;

/// How finely use is told.
const HOUR_MILLIS: i64 = 3_600_000;

/// Where checks say that a role was of use, and what was said.
pub(super) struct Uses {
    hasher: RandomState,
    /// What was said last of those that share a slot, and in which hour.
    slots: Vec<AtomicU64>,
    said: SyncSender<(Via, Timestamp)>,
    heard: Mutex<Receiver<(Via, Timestamp)>>,
}

impl Default for Uses {
    fn default() -> Self {
        let (said, heard) = sync_channel(USES);
        let slots = std::iter::repeat_with(AtomicU64::default).take(USE_SLOTS).collect();
        Self { hasher: RandomState::new(), slots, said, heard: Mutex::new(heard) }
    }
}

impl Uses {
    /// Notes which roles decided a check.
    pub(super) fn note(&self, bundle: &Bundle, verdict: &Verdict, now: Timestamp) {
        if !verdict.allowed {
            return;
        }
        for holding in verdict.holdings.iter().filter(|holding| holding.counts.is_ok()) {
            let Some((slot, stamp)) = self.place(&holding.via, now) else { continue };
            if slot.load(Ordering::Relaxed) == stamp || !bundle.decided_by(verdict, &holding.role) {
                continue;
            }
            if self.said.try_send((holding.via.clone(), now)).is_ok() {
                slot.store(stamp, Ordering::Relaxed);
            }
        }
    }

    /// Where it stands that something was said of a holding, and what stands there if it was said in this hour.
    fn place(&self, via: &Via, now: Timestamp) -> Option<(&AtomicU64, u64)> {
        let (kind, id) = match via {
            Via::Activation(id) => (0_u8, id.as_str()),
            Via::Assignment(id) => (1_u8, id.as_str()),
        };
        let hash = self.hasher.hash_one((kind, id));
        let slot = usize::try_from(hash % USE_SLOTS as u64).ok()?;
        let hour = u64::from(u32::try_from(now.millis().div_euclid(HOUR_MILLIS)).unwrap_or(0));
        Some((self.slots.get(slot)?, (hash & !u64::from(u32::MAX)) | hour))
    }

    /// Writes what was said since, a bounded number of it: of an activation, to the eligibility that it rests on.
    pub(super) fn save(&self, reader: &dyn Reader) -> Result<(), Unavailable> {
        let said: Vec<_> = self.heard.lock().unwrap_or_else(PoisonError::into_inner).try_iter().take(USES).collect();
        if said.is_empty() {
            return Ok(());
        }
        let mut last: BTreeMap<GrantRef, Timestamp> = BTreeMap::new();
        for (via, at) in said {
            let grant = match via {
                Via::Assignment(id) => Some(GrantRef::Assignment(id)),
                Via::Activation(id) => reader.activation(&id)?.map(|found| GrantRef::Eligibility(found.basis.eligibility.clone())),
            };
            if let Some(grant) = grant {
                let known = last.entry(grant).or_insert(at);
                *known = at.max(*known);
            }
        }
        reader.save_checks(&last.into_iter().collect::<Vec<_>>())
    }
}
