//! Takes over a folder of an earlier format. The journal is the truth in every format, so nothing else of the old layout is read: what follows from the
//! journal is written anew, and then the number of the format. A crash in between leaves the old number, and the next start begins again.
//!
//! Lost: reading each value of the old layout and writing it as one of the new, which has to be right for every type that ever changed, and
//! cannot be proved to be.

use rocksdb::{DB, WriteBatch};

use super::family::{At, handle, raw_rows};
use super::key::MetaKey;
use super::rebuild::{projections, replay};
use super::value::{HeadRow, Raw};
use super::{META, entries, meta, open, options, put_meta};
use crate::domain::Unavailable;
use crate::engine::ports::Head;

/// Most entries of one batch.
const BATCH: usize = 10_000;
/// A batch is written once it is this large, in bytes.
const BATCH_BYTES: usize = 4 << 20;

/// Brings an open database of an earlier format to this one. Why its journal does not hold together, where it does not: then nothing changed.
pub(super) fn take_over(db: &DB) -> Result<Result<(), String>, Unavailable> {
    let at = At::latest(db);
    let head: Head = meta::<HeadRow>(&at, MetaKey::Head)?.into();
    if let Err(why) = open::whole(&at, &head)? {
        return Ok(Err(why));
    }
    let replayed = replay(&at)?;
    if let Some(why) = replayed.broken {
        return Ok(Err(why));
    }
    let mut writing = Writing { db, batch: WriteBatch::default() };
    for (family, rows) in projections(&replayed.rows.all, head.at)? {
        let family_handle = handle(db, family)?;
        for row in raw_rows(&at, family, &[])? {
            writing.batch.delete_cf(family_handle, row?.0);
            writing.flush_if_large()?;
        }
        for (key, value) in rows {
            writing.batch.put_cf(family_handle, key, value);
            writing.flush_if_large()?;
        }
    }
    writing.flush()?;
    let active = replayed.rows.all.activations.values().filter(|activation| entries::is_active(activation)).count() as u64;
    let mut last = WriteBatch::default();
    put_meta(db, &mut last, MetaKey::Active, &active)?;
    put_meta(db, &mut last, MetaKey::TimeVoid, &replayed.rows.all.time_void_before.unwrap_or_default())?;
    META.put(db, &mut last, &MetaKey::Format, &Raw(open::FORMAT.to_be_bytes().to_vec()))?;
    db.write_opt(last, &options::synced()).map_err(|error| unwritten(&error))?;
    tracing::warn!(
        records = head.seq,
        format = open::FORMAT,
        "the data folder was of an earlier format, and was taken over from its journal"
    );
    Ok(Ok(()))
}

fn unwritten(error: &rocksdb::Error) -> Unavailable {
    Unavailable(format!("it cannot be taken over: {error}"))
}

/// Batches on their way. Not synced one by one: the log keeps their order, so that the synced one at the end brings all of them.
struct Writing<'a> {
    db: &'a DB,
    batch: WriteBatch,
}

impl Writing<'_> {
    fn flush_if_large(&mut self) -> Result<(), Unavailable> {
        if self.batch.len() >= BATCH || self.batch.size_in_bytes() >= BATCH_BYTES { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), Unavailable> {
        self.db.write(std::mem::take(&mut self.batch)).map_err(|error| unwritten(&error))
    }
}
