//! Proof that what is on disk follows from the journal: replays it from empty and compares every family row by row.
//!
//! The expected rows go through the same encoding as a commit's and are held against the bytes on disk, so that a row that reads the same
//! but is written otherwise is found too. Texts and archives are no part of it: the journal holds their digests only, and texts
//! may have been erased.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::commit::forget_before;
use super::family::{
    ACTIVATIONS, ALERT_TALLIES, ASSIGNMENTS, At, CASCADES, DAY_USES, DERIVED, ELIGIBILITIES, Entry, Family, GRANT_REQUESTS, INCIDENTS,
    JOURNAL, LAST_ACTIVATIONS, LATEST_INCIDENTS, Order, REMEMBERED, REMEMBERED_BY_TIME, REVIEW_DEFINITIONS, REVIEW_ENTRIES, REVIEWS, ROLES,
    ROWS, Span, hex, raw_rows,
};
use super::key::{Key, MetaKey};
use super::open::{OpenError, Purpose, open};
use super::value::{HeadRow, Raw, Value};
use super::{Store, entries, meta};
use crate::audit::{self, Tip};
use crate::domain::{Changes, Definitions, MemoryRows, Overlay, Revision, Timestamp, Unavailable, apply};
use crate::engine::ports::Head;

/// Records that are replayed before their changes are taken over.
const CHUNK: usize = 1000;

/// What a rebuild found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RebuildReport {
    /// How many records hold together and were replayed.
    pub records: u64,
    /// The head by the replayed records.
    pub head: Head,
    /// Every family that was compared: its name, how many rows the journal gives it, and whether those on disk are the same.
    pub families: Vec<(&'static str, u64, bool)>,
    /// For each family that is not the same, its first key that differs and how; and where the journal itself does not hold together.
    pub differences: Vec<String>,
    /// Whether everything is the same.
    pub equal: bool,
}

/// Replays the journal of a data folder and compares. Nothing that is stored changes. The folder must not be in use.
///
/// # Errors
/// The folder cannot be opened or read. What differs is no error: the report says it.
pub fn rebuild(dir: &Path) -> Result<RebuildReport, OpenError> {
    let store = open(dir, Purpose::Inspect)?;
    compare(&store).map_err(|unavailable| OpenError::Unreadable { dir: dir.to_owned(), why: unavailable.0 })
}

/// What the journal gives.
pub(super) struct Replayed {
    pub(super) rows: MemoryRows,
    tip: Tip,
    /// Where it does not hold together.
    pub(super) broken: Option<String>,
}

fn compare(store: &Store) -> Result<RebuildReport, Unavailable> {
    let at = At::pinned(&store.db);
    let replayed = replay(&at)?;
    let head = Head { seq: replayed.tip.seq, hash: replayed.tip.hash, at: replayed.tip.at, revision: replayed.rows.all.revision.clone() };
    let mut report = RebuildReport { records: head.seq, head, families: Vec::new(), differences: Vec::new(), equal: true };
    report.differences.extend(replayed.broken);
    report.projections(&at, &replayed.rows)?;
    report.meta(&at, &replayed.rows)?;
    report.equal = report.differences.is_empty();
    Ok(report)
}

/// Applies every record, in order, up to the first that does not belong.
pub(super) fn replay(at: &At<'_>) -> Result<Replayed, Unavailable> {
    let nothing = Revision::new("none").map_err(|bad| Unavailable(bad.to_string()))?;
    let definitions = Arc::new(Definitions::none(nothing));
    let mut replayed = Replayed { rows: MemoryRows::new(Arc::clone(&definitions)), tip: Tip::before_first(), broken: None };
    let mut journal = JOURNAL.scan(at, Span::all(), Order::Up)?;
    loop {
        let mut overlay = Overlay::new(&replayed.rows, Arc::clone(&definitions));
        let mut taken = 0;
        for row in journal.by_ref().take(CHUNK) {
            let (seq, Raw(bytes)) = row?;
            taken += 1;
            let (tip, record) = match audit::follow(&replayed.tip, &bytes) {
                Ok(step) if step.0.seq == seq.0 => step,
                Ok(_) => {
                    replayed.broken = Some(format!("journal: record {} stands at the key {}", replayed.tip.seq + 1, seq.0));
                    break;
                }
                Err(broken) => {
                    replayed.broken = Some(format!("journal: {broken}"));
                    break;
                }
            };
            apply(&mut overlay, &record)?;
            replayed.tip = tip;
        }
        let changes = overlay.changes;
        replayed.rows.all.absorb(changes);
        if taken < CHUNK || replayed.broken.is_some() {
            return Ok(replayed);
        }
    }
}

/// Rows as they should stand on disk.
pub(super) type Expected = BTreeMap<Vec<u8>, Vec<u8>>;

fn expected<'r, K: Key + 'r, V: Value + 'r>(
    family: &Family<K, V>,
    rows: impl IntoIterator<Item = (&'r K, &'r V)>,
) -> Result<Expected, Unavailable> {
    let encode = |(key, value): (&K, &V)| {
        let value = value.encode().map_err(|why| Unavailable(format!("a value of `{}` cannot be written: {why}", family.name)))?;
        Ok((key.bytes(), value))
    };
    rows.into_iter().map(encode).collect()
}

/// Every family that follows from the journal, as it should stand on disk when the last record is of `at`. Without what has to be remembered
/// no longer by then.
pub(super) fn projections(all: &Changes, at: Timestamp) -> Result<Vec<(&'static str, Expected)>, Unavailable> {
    let before = forget_before(at);
    let remembered = || all.remembered.iter().filter(|(_, (when, _))| *when >= before);
    let waiting = || all.cascades.iter().filter_map(|(cause, since)| since.as_ref().map(|since| (cause, since)));
    let reviewed: BTreeMap<_, _> =
        all.review_entries.values().flatten().map(|(subject, entry)| ((entry.review.clone(), subject.clone()), entry.clone())).collect();
    let mut families = vec![
        (ROWS.name, expected(&ROWS, all.rows.iter().map(|(uid, row)| (uid, &**row)))?),
        (ROLES.name, expected(&ROLES, &all.roles)?),
        (ACTIVATIONS.name, expected(&ACTIVATIONS, &all.activations)?),
        (ELIGIBILITIES.name, expected(&ELIGIBILITIES, &all.eligibilities)?),
        (ASSIGNMENTS.name, expected(&ASSIGNMENTS, &all.assignments)?),
        (GRANT_REQUESTS.name, expected(&GRANT_REQUESTS, &all.grant_requests)?),
        (DAY_USES.name, expected(&DAY_USES, &all.day_uses)?),
        (LAST_ACTIVATIONS.name, expected(&LAST_ACTIVATIONS, &all.last_activations)?),
        (REVIEW_DEFINITIONS.name, expected(&REVIEW_DEFINITIONS, &all.review_definitions)?),
        (REVIEWS.name, expected(&REVIEWS, &all.reviews)?),
        (REVIEW_ENTRIES.name, expected(&REVIEW_ENTRIES, &reviewed)?),
        (INCIDENTS.name, expected(&INCIDENTS, &all.incidents)?),
        (LATEST_INCIDENTS.name, expected(&LATEST_INCIDENTS, &all.latest_incidents)?),
        (ALERT_TALLIES.name, expected(&ALERT_TALLIES, &all.alert_tallies)?),
        (CASCADES.name, expected(&CASCADES, waiting())?),
        (REMEMBERED.name, expected(&REMEMBERED, remembered())?),
    ];
    let mut derived: BTreeMap<&'static str, Expected> = DERIVED.iter().map(|name| (*name, Expected::new())).collect();
    let mut take = |entries: Vec<Entry>| {
        for entry in entries {
            derived.entry(entry.family).or_default().insert(entry.key, Vec::new());
        }
    };
    all.rows.values().filter_map(|row| row.stored.as_deref()).map(entries::of_stored).for_each(&mut take);
    all.activations.values().map(entries::of_activation).for_each(&mut take);
    all.eligibilities.values().map(entries::of_eligibility).for_each(&mut take);
    all.assignments.values().map(entries::of_assignment).for_each(&mut take);
    all.grant_requests.values().map(entries::of_grant_request).for_each(&mut take);
    all.review_definitions.values().map(entries::of_review_definition).for_each(&mut take);
    all.reviews.values().map(entries::of_review).for_each(&mut take);
    reviewed.values().map(entries::of_review_entry).for_each(&mut take);
    all.incidents.values().map(entries::of_incident).for_each(&mut take);
    waiting().map(|(cause, since)| entries::of_cascade(cause, *since)).for_each(&mut take);
    remembered().map(|((caller, key), (when, _))| entries::of_remembered(caller, key, *when)).for_each(&mut take);
    families.extend(derived);
    Ok(families)
}

impl RebuildReport {
    /// Holds a family against what is expected of it. `counts` leaves out rows that need not be there.
    fn family(
        &mut self,
        at: &At<'_>,
        name: &'static str,
        mut expected: Expected,
        counts: impl Fn(&[u8], &[u8]) -> bool,
    ) -> Result<(), Unavailable> {
        let rows = expected.len() as u64;
        let mut first: Option<(Vec<u8>, &str)> = None;
        for row in raw_rows(at, name, &[])? {
            let (key, value) = row?;
            if !counts(&key, &value) {
                continue;
            }
            let differs = match expected.remove(&*key) {
                Some(expected) if *expected == *value => continue,
                Some(_) => "the row on disk is another than the journal gives",
                None => "the row on disk follows from no record",
            };
            first.get_or_insert((key.into_vec(), differs));
        }
        if let Some(key) = expected.into_keys().next()
            && first.as_ref().is_none_or(|(earlier, _)| key < *earlier)
        {
            first = Some((key, "the row that the journal gives is not on disk"));
        }
        self.families.push((name, rows, first.is_none()));
        self.differences.extend(first.map(|(key, differs)| format!("{name}: at the key {}: {differs}", shown(&key))));
        Ok(())
    }

    fn projections(&mut self, at: &At<'_>, replayed: &MemoryRows) -> Result<(), Unavailable> {
        // What is older than a day may have been forgotten already or not.
        let before = forget_before(self.head.at);
        let oldest = before.bytes();
        for (name, expected) in projections(&replayed.all, self.head.at)? {
            let young = |value: &[u8]| <(Timestamp, _)>::decode(value).map_or(true, |(when, _)| when >= before);
            let counts = |key: &[u8], value: &[u8]| {
                (name != REMEMBERED.name || young(value)) && (name != REMEMBERED_BY_TIME.name || key >= oldest.as_slice())
            };
            self.family(at, name, expected, counts)?;
        }
        Ok(())
    }

    fn meta(&mut self, at: &At<'_>, replayed: &MemoryRows) -> Result<(), Unavailable> {
        let head: Head = meta::<HeadRow>(at, MetaKey::Head)?.into();
        let active: u64 = meta(at, MetaKey::Active)?;
        let expected = replayed.all.activations.values().filter(|activation| entries::is_active(activation)).count() as u64;
        let mut same = true;
        if head != self.head {
            same = false;
            self.differences.push(format!("meta: the head is record {} ({}), and the journal gives another", head.seq, head.hash));
        }
        if active != expected {
            same = false;
            self.differences.push(format!("meta: {active} activations are counted as active, and the journal gives {expected}"));
        }
        let void: u64 = meta(at, MetaKey::TimeVoid)?;
        let expected = replayed.all.time_void_before.unwrap_or_default();
        if void != expected {
            same = false;
            self.differences.push(format!("meta: holdings bound to time are void up to record {void}, and the journal gives {expected}"));
        }
        self.families.push(("meta", 3, same));
        Ok(())
    }
}

/// A key for people: its text where it is one, with dots for the bytes between, and its bytes.
fn shown(key: &[u8]) -> String {
    let text: String = String::from_utf8_lossy(key).chars().map(|letter| if letter.is_control() { '.' } else { letter }).collect();
    format!("`{text}` ({})", hex(key))
}
