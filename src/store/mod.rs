//! The truth on disk: RocksDB, named in this folder and nowhere else.
//!
//! One synced batch carries the records of a group of commands, everything that they change, every index that follows, and the head; so
//! whatever is read after a crash is as of some commit, whole. The journal is the truth, the rest follows from it: [`rebuild`]
//! proves that it does. Lost: rows updated in place with an audit table beside them, two truths that drift.
//!
//! Indexes and timers are never written by hand. A row's entries are a pure function of the row (`entries`); a commit writes the
//! difference between those of the old row and those of the new one, and a rebuild compares the sum with what stands there.

mod commit;
mod desk;
mod entries;
mod evidence;
mod family;
mod filter;
mod image;
mod kept;
mod key;
#[cfg(test)]
mod layout;
mod list;
mod open;
mod options;
mod outbox;
mod read;
mod rebuild;
mod takeover;
#[cfg(test)]
mod tests;
mod value;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use arc_swap::ArcSwap;
use rocksdb::{DB, WriteBatch};

use self::family::{At, META, handle};
use self::key::MetaKey;
use self::value::{AnchorRow, HeadRow, Raw, Value};
use crate::domain::{Timestamp, Unavailable};
use crate::engine::ports::{Anchor, Head};

pub use self::commit::StoreJournal;
pub use self::desk::{ClockWord, DeskError, FolderDesk};
pub use self::evidence::read_journal;
pub use self::open::{FORMAT, Mode, OpenError};
pub use self::rebuild::{RebuildReport, rebuild};

/// An open data folder, to read from any thread. Writing goes through the one [`StoreJournal`] that was opened with it.
pub struct Store {
    db: DB,
    head: ArcSwap<Head>,
    /// Held while the mark is written, so that it never falls.
    mark: Mutex<()>,
    mark_millis: AtomicI64,
    /// Held while letters are written, so that none comes back that was taken away; the highest number that one had of each destination.
    letters: Mutex<BTreeMap<String, u64>>,
    active: AtomicU64,
    rows: kept::KeptRows,
    image: image::Image,
    /// Why a write failed. From then on nothing is written: what is on disk is no longer known.
    failed: OnceLock<String>,
}

/// A data folder as it was opened: who reads, and the one who writes.
pub struct Opened {
    /// For reading.
    pub store: Arc<Store>,
    /// For writing.
    pub journal: StoreJournal,
}

impl std::fmt::Debug for Opened {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "Opened({})", self.store.db.path().display())
    }
}

impl Store {
    /// Opens a data folder; an empty one, or one that is not there, is made.
    ///
    /// # Errors
    /// The folder is not Elevon's, is of a newer format or another mode, is in use, is damaged, or cannot be read or written.
    pub fn open(dir: &Path, mode: Mode) -> Result<Opened, OpenError> {
        let store = Arc::new(open::open(dir, open::Purpose::Serve(mode))?);
        store.forget_expired().map_err(|unavailable| OpenError::Unreadable { dir: dir.to_owned(), why: unavailable.0 })?;
        Ok(Opened { journal: StoreJournal::new(Arc::clone(&store)), store })
    }

    /// Takes an open database whose `meta` was checked.
    fn over(db: DB) -> Result<Self, Unavailable> {
        let (head, mark, active): (HeadRow, Timestamp, u64) = {
            let at = At::latest(&db);
            (meta(&at, MetaKey::Head)?, meta(&at, MetaKey::Mark)?, meta(&at, MetaKey::Active)?)
        };
        Ok(Self {
            head: ArcSwap::from_pointee(head.into()),
            mark: Mutex::new(()),
            mark_millis: AtomicI64::new(mark.millis()),
            letters: Mutex::default(),
            active: AtomicU64::new(active),
            rows: kept::KeptRows::default(),
            image: image::Image::default(),
            failed: OnceLock::new(),
            db,
        })
    }

    fn at(&self) -> At<'_> {
        At::latest(&self.db)
    }

    fn current_mark(&self) -> Timestamp {
        Timestamp::from_millis(self.mark_millis.load(Ordering::Acquire))
    }

    /// Writes a batch and waits until it is on disk. A failure is remembered, and nothing is written after it: what an fsync
    /// that failed left behind is not known, and asking again would report success for pages that were dropped.
    fn write_synced(&self, batch: WriteBatch) -> Result<(), String> {
        if let Some(why) = self.failed.get() {
            return Err(why.clone());
        }
        self.db.write_opt(batch, &options::synced()).map_err(|error| {
            let why = format!("the data folder `{}` cannot be written: {error}", self.db.path().display());
            self.failed.get_or_init(|| why).clone()
        })
    }

    fn raise_mark(&self, mark: Timestamp, anchor: &Anchor) -> Result<(), String> {
        let _held = self.mark.lock().unwrap_or_else(PoisonError::into_inner);
        let mark = mark.max(self.current_mark());
        let mut batch = WriteBatch::default();
        let put = put_meta(&self.db, &mut batch, MetaKey::Mark, &mark)
            .and_then(|()| put_meta(&self.db, &mut batch, MetaKey::Anchor, &AnchorRow::from(anchor)));
        put.map_err(|unavailable| unavailable.0)?;
        self.write_synced(batch)?;
        self.mark_millis.store(mark.millis(), Ordering::Release);
        Ok(())
    }
}

fn bad_meta(key: MetaKey, why: &str) -> Unavailable {
    Unavailable(format!("the family `meta` is damaged at {key:?}: {why}"))
}

/// An item of `meta` that has to be there.
fn meta<V: Value>(at: &At<'_>, key: MetaKey) -> Result<V, Unavailable> {
    maybe_meta(at, key)?.ok_or_else(|| bad_meta(key, "nothing stands there"))
}

/// An item of `meta`, where it stands there.
fn maybe_meta<V: Value>(at: &At<'_>, key: MetaKey) -> Result<Option<V>, Unavailable> {
    let Some(Raw(bytes)) = META.get(at, &key)? else { return Ok(None) };
    V::decode(&bytes).map(Some).map_err(|why| bad_meta(key, &why))
}

fn put_meta(db: &DB, batch: &mut WriteBatch, key: MetaKey, value: &impl Value) -> Result<(), Unavailable> {
    let bytes = value.encode().map_err(|why| Unavailable(format!("{key:?} of the family `meta` cannot be written: {why}")))?;
    META.put(db, batch, &key, &Raw(bytes))
}

/// Puts an entry of a derived family into a batch, or its deletion.
fn put_entry(db: &DB, batch: &mut WriteBatch, entry: &family::Entry, present: bool) -> Result<(), Unavailable> {
    let family = handle(db, entry.family)?;
    if present {
        batch.put_cf(family, &entry.key, []);
    } else {
        batch.delete_cf(family, &entry.key);
    }
    Ok(())
}
