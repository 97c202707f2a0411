//! Rows as they stand in the database, in memory: a check of somebody who was asked about before reads no file and takes no lock of RocksDB.
//!
//! What is held is the row's bytes, and that nothing stands there is held, too. It is told apart from what is on disk by nothing but this: the
//! one who writes forgets what it wrote, after it is in the database and before anybody is told; and what somebody else read meanwhile is
//! not taken, for each part counts how often it was written to. So a row that is held is the one in the database, except between a write and
//! its publication, when it may be the row of before, which is the one that the published view stands on.
//!
//! Lost: decoded rows, which are three times the size, so that a million principals would not fit; RocksDB's own row cache, which still goes
//! through its memtables, versions and reference counts.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, BuildHasherDefault, Hasher};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use foldhash::quality::RandomState;

use crate::domain::Uid;

/// What all rows together take, in bytes, with what it costs to keep them apart.
const BYTES: usize = 384 << 20;
/// Parts, so that readers meet seldom and making room is short.
const SHARDS: usize = 1024;
/// What keeping one row costs beside its bytes: its place in the table, the counts before its bytes, what the allocator rounds up.
const OVERHEAD: usize = 72;
/// Rows that are longer are not held: they are few, and kept decoded elsewhere.
const LONGEST: usize = 16 * 1024;

/// A name and the bytes of its row: two lengths of two bytes, the type, the id, the row. No bytes: nothing stands there.
type Bytes = Arc<[u8]>;

struct Held {
    bytes: Bytes,
    /// Whether it was asked for since room was last made.
    asked: bool,
}

#[derive(Default)]
struct Shard {
    /// How often something was written.
    written: u64,
    bytes: usize,
    /// By the hash of the name. Two names with one hash take turns.
    rows: HashMap<u64, Held, BuildHasherDefault<AsItIs>>,
}

/// The rows of names.
pub(super) struct Image {
    hasher: RandomState,
    shards: Vec<Mutex<Shard>>,
    bound: usize,
}

/// What is known of a name's row.
pub(super) enum Known {
    /// Its bytes are held.
    Row(Row),
    /// Nothing stands there.
    Nothing,
    /// It has to be read. What was read is taken with this.
    Unknown(Ticket),
}

/// The bytes of a row.
pub(super) struct Row {
    bytes: Bytes,
    from: usize,
}

impl Row {
    pub(super) fn bytes(&self) -> &[u8] {
        self.bytes.get(self.from..).unwrap_or_default()
    }
}

/// When somebody began to read.
pub(super) struct Ticket {
    hash: u64,
    written: u64,
}

impl Default for Image {
    fn default() -> Self {
        Self::bounded(BYTES)
    }
}

impl Image {
    /// One that takes so many bytes.
    fn bounded(bytes: usize) -> Self {
        Self { hasher: RandomState::default(), shards: (0..SHARDS).map(|_| Mutex::default()).collect(), bound: bytes / SHARDS }
    }

    fn shard(&self, hash: u64) -> Option<MutexGuard<'_, Shard>> {
        // the table inside a part goes by the other bits
        let shard = self.shards.get(usize::try_from(hash % SHARDS as u64).unwrap_or(0))?;
        Some(shard.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// What is known of a name's row.
    pub(super) fn get(&self, uid: &Uid) -> Known {
        let hash = self.hasher.hash_one(uid);
        let Some(mut shard) = self.shard(hash) else { return Known::Unknown(Ticket { hash, written: u64::MAX }) };
        let written = shard.written;
        let found = shard.rows.get_mut(&hash).filter(|held| row_in(&held.bytes, uid).is_some());
        let Some(held) = found else { return Known::Unknown(Ticket { hash, written }) };
        held.asked = true;
        let bytes = Arc::clone(&held.bytes);
        drop(shard);
        match row_in(&bytes, uid) {
            Some(from) if from < bytes.len() => Known::Row(Row { bytes, from }),
            Some(_) => Known::Nothing,
            None => Known::Unknown(Ticket { hash, written }),
        }
    }

    /// Takes what was read from the database, unless something was written since reading began.
    pub(super) fn take(&self, ticket: &Ticket, uid: &Uid, row: Option<&[u8]>) {
        let Some(bytes) = named(uid, row.unwrap_or_default()) else { return };
        let Some(mut shard) = self.shard(ticket.hash) else { return };
        if shard.written != ticket.written {
            return;
        }
        let size = bytes.len().saturating_add(OVERHEAD);
        if shard.bytes.saturating_add(size) > self.bound {
            shard.make_room(self.bound);
        }
        if let Some(before) = shard.rows.insert(ticket.hash, Held { bytes, asked: false }) {
            shard.bytes = shard.bytes.saturating_sub(before.bytes.len().saturating_add(OVERHEAD));
        }
        shard.bytes = shard.bytes.saturating_add(size);
    }

    /// When reading of whatever it may be begins.
    pub(super) fn tickets(&self) -> Vec<u64> {
        let written = |shard: &Mutex<Shard>| shard.lock().unwrap_or_else(PoisonError::into_inner).written;
        self.shards.iter().map(written).collect()
    }

    /// Whether it is far from full.
    pub(super) fn has_room(&self) -> bool {
        self.shards.iter().all(|shard| shard.lock().unwrap_or_else(PoisonError::into_inner).bytes < self.bound / 8 * 7)
    }

    /// Takes a row that nobody asked for yet, where there is room and it is not held.
    pub(super) fn take_ahead(&self, tickets: &[u64], uid: &Uid, row: &[u8]) {
        let hash = self.hasher.hash_one(uid);
        let Some(written) = usize::try_from(hash % SHARDS as u64).ok().and_then(|place| tickets.get(place)) else { return };
        let room = |shard: &Shard| shard.bytes < self.bound / 8 * 7 && !shard.rows.contains_key(&hash);
        if self.shard(hash).is_some_and(|shard| room(&shard)) {
            self.take(&Ticket { hash, written: *written }, uid, Some(row));
        }
    }

    /// Forgets a name's row, which was written. Nobody may have been told of it yet.
    pub(super) fn forget(&self, uid: &Uid) {
        let hash = self.hasher.hash_one(uid);
        let Some(mut shard) = self.shard(hash) else { return };
        shard.written = shard.written.wrapping_add(1);
        if let Some(before) = shard.rows.remove(&hash) {
            shard.bytes = shard.bytes.saturating_sub(before.bytes.len().saturating_add(OVERHEAD));
        }
    }

    #[cfg(test)]
    fn len(&self) -> (usize, usize) {
        let shards = self.shards.iter().map(|shard| shard.lock().unwrap());
        shards.fold((0, 0), |(rows, bytes), shard| (rows + shard.rows.len(), bytes + shard.bytes))
    }
}

impl Shard {
    /// Lets go of what was not asked for since this was last done, and of every other row where all were.
    fn make_room(&mut self, bound: usize) {
        self.rows.retain(|_, held| std::mem::take(&mut held.asked));
        if self.size() > bound / 4 * 3 {
            let mut stays = false;
            self.rows.retain(|_, _| {
                stays = !stays;
                stays
            });
        }
        self.bytes = self.size();
    }

    fn size(&self) -> usize {
        self.rows.values().map(|held| held.bytes.len().saturating_add(OVERHEAD)).sum()
    }
}

/// A name and its row in one piece; nothing, where they are too long to be held.
fn named(uid: &Uid, row: &[u8]) -> Option<Bytes> {
    if row.len() > LONGEST {
        return None;
    }
    let (kind, id) = (uid.kind().as_bytes(), uid.id().as_bytes());
    let lengths = [u16::try_from(kind.len()).ok()?.to_le_bytes(), u16::try_from(id.len()).ok()?.to_le_bytes()];
    let parts = [lengths.as_flattened(), kind, id, row];
    let mut bytes = Vec::with_capacity(parts.iter().map(|part| part.len()).sum());
    parts.iter().for_each(|part| bytes.extend_from_slice(part));
    Some(bytes.into())
}

/// Where the row begins, if it is that of this name.
fn row_in(bytes: &[u8], uid: &Uid) -> Option<usize> {
    let (lengths, rest) = bytes.split_first_chunk::<4>()?;
    let [a, b, c, d] = *lengths;
    let (kind, id) = (usize::from(u16::from_le_bytes([a, b])), usize::from(u16::from_le_bytes([c, d])));
    let end = kind.checked_add(id)?;
    let same = kind == uid.kind().len()
        && id == uid.id().len()
        && rest.get(kind..end)? == uid.id().as_bytes()
        && rest.get(..kind)? == uid.kind().as_bytes();
    same.then_some(end.checked_add(lengths.len())?)
}

/// Numbers that are hashes already.
#[derive(Default)]
struct AsItIs(u64);

impl Hasher for AsItIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.0 = self.0.rotate_left(8) ^ u64::from(*byte));
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = number;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uid(number: usize) -> Uid {
        Uid::new("User", &format!("u{number}")).unwrap()
    }

    fn known(image: &Image, uid: &Uid) -> Option<Option<Vec<u8>>> {
        match image.get(uid) {
            Known::Row(row) => Some(Some(row.bytes().to_vec())),
            Known::Nothing => Some(None),
            Known::Unknown(_) => None,
        }
    }

    fn read(image: &Image, uid: &Uid) -> Ticket {
        match image.get(uid) {
            Known::Unknown(ticket) => ticket,
            Known::Row(_) | Known::Nothing => panic!("{uid} is held"),
        }
    }

    #[test]
    fn what_was_read_is_held_until_it_is_written() {
        let image = Image::default();
        let (ann, bob) = (uid(1), Uid::new("Group", "u1").unwrap());
        image.take(&read(&image, &ann), &ann, Some(b"row"));
        image.take(&read(&image, &bob), &bob, None);
        assert_eq!((known(&image, &ann), known(&image, &bob)), (Some(Some(b"row".to_vec())), Some(None)));
        image.forget(&ann);
        assert_eq!((known(&image, &ann), known(&image, &bob)), (None, Some(None)));
        assert_eq!(image.len().0, 1);
    }

    #[test]
    fn what_was_read_before_a_write_is_not_taken_after_it() {
        let image = Image::default();
        let ann = uid(1);
        let before = read(&image, &ann);
        image.forget(&ann);
        image.take(&before, &ann, Some(b"old"));
        assert_eq!(known(&image, &ann), None);
        image.take(&read(&image, &ann), &ann, Some(b"new"));
        assert_eq!(known(&image, &ann), Some(Some(b"new".to_vec())));
    }

    #[test]
    fn what_is_read_ahead_yields_to_what_was_written() {
        let image = Image::default();
        let tickets = image.tickets();
        image.forget(&uid(1));
        image.take(&read(&image, &uid(2)), &uid(2), Some(b"newer"));
        for number in [1, 2, 3] {
            image.take_ahead(&tickets, &uid(number), b"ahead");
        }
        assert_eq!(known(&image, &uid(1)), None);
        assert_eq!(known(&image, &uid(2)), Some(Some(b"newer".to_vec())));
        assert_eq!(known(&image, &uid(3)), Some(Some(b"ahead".to_vec())));
        assert!(image.has_room());
    }

    #[test]
    fn names_with_one_hash_are_told_apart() {
        let bytes = named(&uid(1), b"row").unwrap();
        assert_eq!(row_in(&bytes, &uid(1)), Some(bytes.len() - 3));
        for other in ["u2", "u", "u11", "User"] {
            assert_eq!(row_in(&bytes, &Uid::new("User", other).unwrap()), None, "{other}");
        }
        // the same letters, split elsewhere
        assert_eq!(row_in(&bytes, &Uid::new("Use", "ru1").unwrap()), None);
        assert!(named(&uid(1), &vec![0; LONGEST + 1]).is_none());
    }

    #[test]
    fn it_takes_no_more_than_it_may_and_keeps_what_is_asked_for() {
        let bound = SHARDS * 4096;
        let image = Image::bounded(bound);
        let often: Vec<Uid> = (0..100).map(uid).collect();
        for number in 0..200_000 {
            let name = uid(number);
            if let Known::Unknown(ticket) = image.get(&name) {
                image.take(&ticket, &name, Some(&[7; 200]));
            }
            if number >= 100 && number % 100 == 0 {
                for name in &often {
                    if let Known::Unknown(ticket) = image.get(name) {
                        image.take(&ticket, name, Some(&[7; 200]));
                    }
                }
            }
        }
        let (rows, bytes) = image.len();
        assert!(bytes <= bound && rows > SHARDS, "{rows} rows in {bytes} bytes");
        let held = often.iter().filter(|name| known(&image, name).is_some()).count();
        assert!(held > 80, "{held} of those asked for often are held");
        // what is counted is what is there
        for shard in &image.shards {
            let shard = shard.lock().unwrap();
            assert_eq!(shard.bytes, shard.size());
        }
    }
}
