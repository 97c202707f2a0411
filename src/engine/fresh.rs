//! Records as they were committed, for whoever looks at every one of them: so that they are not read and parsed again right after they were made.
//!
//! It is no second journal. What finds no place here, or was committed by somebody else, is read from the journal like what came before the start.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::domain::Record;
use crate::domain::text::Digest;

use super::bounds::{FRESH_BYTES, FRESH_RECORDS};

/// A record that was committed.
pub(super) struct Fresh {
    pub(super) record: Record,
    pub(super) hash: Digest,
    /// Its length in the journal.
    pub(super) bytes: usize,
}

#[derive(Default)]
struct Held {
    records: VecDeque<Fresh>,
    bytes: usize,
}

/// Those that were not taken yet.
pub(super) struct FreshRecords {
    /// Whether anybody takes them.
    wanted: bool,
    held: Mutex<Held>,
}

impl FreshRecords {
    pub(super) fn new(wanted: bool) -> Self {
        Self { wanted, held: Mutex::default() }
    }

    fn locked(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Holds records, in their order, as far as there is room.
    pub(super) fn put(&self, records: Vec<Fresh>) {
        if !self.wanted {
            return;
        }
        let mut held = self.locked();
        for fresh in records {
            if held.records.len() >= FRESH_RECORDS || held.bytes >= FRESH_BYTES {
                return;
            }
            held.bytes = held.bytes.saturating_add(fresh.bytes);
            held.records.push_back(fresh);
        }
    }

    /// Takes all that are held, in their order; there may be gaps.
    pub(super) fn take(&self) -> VecDeque<Fresh> {
        std::mem::take(&mut *self.locked()).records
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::id::{CommandId, Revision};
    use crate::domain::{Actor, Timestamp};

    fn fresh(seq: u64, bytes: usize) -> Fresh {
        let record = Record {
            v: crate::domain::event::RECORD_VERSION,
            seq,
            prev: Digest::of_bytes(b""),
            at: Timestamp::from_millis(0),
            actor: Actor::System,
            revision: Revision::new("r").unwrap(),
            command_id: CommandId::new("c").unwrap(),
            command: "put_entity".to_owned(),
            events: Vec::new(),
            idempotency: None,
        };
        Fresh { record, hash: Digest::of_bytes(b""), bytes }
    }

    fn taken(of: &FreshRecords) -> Vec<u64> {
        of.take().into_iter().map(|fresh| fresh.record.seq).collect()
    }

    #[test]
    fn what_is_put_is_taken_once_in_its_order_and_within_bounds() {
        let of = FreshRecords::new(true);
        of.put(vec![fresh(1, 1), fresh(2, 1)]);
        of.put(vec![fresh(3, FRESH_BYTES), fresh(4, 1)]);
        assert_eq!(taken(&of), [1, 2, 3]);
        assert_eq!(taken(&of), Vec::<u64>::new());
        of.put((0..2 * FRESH_RECORDS as u64).map(|seq| fresh(seq, 1)).collect());
        assert_eq!(taken(&of).len(), FRESH_RECORDS);
        of.put(vec![fresh(9, 1)]);
        assert_eq!(taken(&of), [9]);
        let unwanted = FreshRecords::new(false);
        unwanted.put(vec![fresh(1, 1)]);
        assert_eq!(taken(&unwanted), Vec::<u64>::new());
    }
}
