//! The table of column families: the type of key and of value stand here once, and nothing else reads or writes a family.
//!
//! A family per index, not one family with a tag in front of each key: each is typed, each is scanned on its own, and one batch
//! covers all of them just the same.

use std::fmt::Write as _;
use std::marker::PhantomData;

use rocksdb::{ColumnFamily, DB, DBIteratorWithThreadMode, Direction, IteratorMode, ReadOptions, Snapshot, WriteBatch};

use super::key::{Key, Label, MetaKey, Seq};
use super::value::{Raw, Value};
use crate::domain::alert::{AlertKind, AlertSubject, AlertTally, Incident, Severity};
use crate::domain::command::Due;
use crate::domain::event::Remembered;
use crate::domain::grant::{Cause, DayUse, EntityRow, GrantRef, RoleRow};
use crate::domain::id::{GrantRequestId, IdempotencyKey, IncidentId};
use crate::domain::review::Subject;
use crate::domain::{
    Activation, ActivationId, Assignment, AssignmentId, Day, Detectors, Eligibility, EligibilityId, GrantRequest, Review, ReviewDefinition,
    ReviewDefinitionId, ReviewEntry, ReviewId, Revision, RoleName, Text, TextDigest, Timestamp, Uid, Unavailable,
};
use crate::engine::outbox::{Letter, Position};

/// The truth: canonical records by sequence.
pub(super) const JOURNAL: Family<Seq, Raw> = Family::new("journal");
/// What a check reads: one value for each name.
pub(super) const ROWS: Family<Uid, EntityRow> = Family::new("rows");
/// What is kept of roles.
pub(super) const ROLES: Family<RoleName, RoleRow> = Family::new("roles");
/// Activations.
pub(super) const ACTIVATIONS: Family<ActivationId, Activation> = Family::new("activations");
/// Eligibilities.
pub(super) const ELIGIBILITIES: Family<EligibilityId, Eligibility> = Family::new("eligibilities");
/// Assignments.
pub(super) const ASSIGNMENTS: Family<AssignmentId, Assignment> = Family::new("assignments");
/// Requests to extend or renew grants.
pub(super) const GRANT_REQUESTS: Family<GrantRequestId, GrantRequest> = Family::new("grant_requests");
/// What principals have had of roles, by day.
pub(super) const DAY_USES: Family<(Uid, RoleName, Day), DayUse> = Family::new("day_uses");
/// When an activation last began, by the eligibility that it rests on.
pub(super) const LAST_ACTIVATIONS: Family<EligibilityId, Timestamp> = Family::new("last_activations");
/// When a role, held by a grant, last decided a check. Not truth: it follows from no record, and may be lost.
pub(super) const LAST_CHECKS: Family<GrantRef, Timestamp> = Family::new("last_checks");
/// What is reviewed, and when.
pub(super) const REVIEW_DEFINITIONS: Family<ReviewDefinitionId, ReviewDefinition> = Family::new("review_definitions");
/// Reviews.
pub(super) const REVIEWS: Family<ReviewId, Review> = Family::new("reviews");
/// Their items.
pub(super) const REVIEW_ENTRIES: Family<(ReviewId, Subject), ReviewEntry> = Family::new("review_entries");
/// Incidents of alerts.
pub(super) const INCIDENTS: Family<IncidentId, Incident> = Family::new("incidents");
/// The latest incident of a kind about something.
pub(super) const LATEST_INCIDENTS: Family<(AlertKind, AlertSubject), IncidentId> = Family::new("latest_incidents");
/// How many incidents last, by kind and severity.
pub(super) const ALERT_TALLIES: Family<(AlertKind, Severity), AlertTally> = Family::new("alert_tallies");
/// How far detectors have come, and what they know by then. Not truth: it follows from the journal, and may be lost.
pub(super) const DETECTION: Family<Label, Detectors> = Family::new("detection");
/// Cascades that wait to go on, and since when.
pub(super) const CASCADES: Family<Cause, Timestamp> = Family::new("cascades");
/// What repeated commands get. Not truth: the journal holds it too, and it goes after a day.
pub(super) const REMEMBERED: Family<(Uid, IdempotencyKey), (Timestamp, Remembered)> = Family::new("remembered");
/// Free texts by salted digest. Erasable: the journal holds the digest only.
pub(super) const TEXTS: Family<TextDigest, Text> = Family::new("texts");
/// Archives of bundles that were live once.
pub(super) const BUNDLES: Family<Revision, Raw> = Family::new("bundles");
/// What time will do, by when.
pub(super) const TIMERS: Family<(Timestamp, Due), ()> = Family::new("timers");
/// How far destinations of notifications have got. Not truth: it follows from no record.
pub(super) const POSITIONS: Family<Label, Position> = Family::new("notify_positions");
/// What could not be delivered to them. Not truth, either.
pub(super) const LETTERS: Family<(Label, Seq), Letter> = Family::new("notify_letters");
/// What this folder is, and where the journal ends.
pub(super) const META: Family<MetaKey, Raw> = Family::new("meta");

/// Open activations by the eligibility that they rest on.
pub(super) const OPEN_BY_ELIGIBILITY: Family<(EligibilityId, ActivationId), ()> = Family::new("open_by_eligibility");
/// Open activations by role.
pub(super) const OPEN_BY_ROLE: Family<(RoleName, ActivationId), ()> = Family::new("open_by_role");
/// Open activations by scope.
pub(super) const OPEN_BY_SCOPE: Family<(Uid, ActivationId), ()> = Family::new("open_by_scope");
/// Open activations by the holder of the eligibility that they rest on.
pub(super) const OPEN_BY_HOLDER: Family<(Uid, ActivationId), ()> = Family::new("open_by_holder");
/// Open activations by when they were asked for.
pub(super) const OPEN_BY_TIME: Family<(Timestamp, ActivationId), ()> = Family::new("open_by_time");
/// Pending requests by when they were made.
pub(super) const PENDING: Family<(Timestamp, ActivationId), ()> = Family::new("pending");
/// All activations by when they were asked for.
pub(super) const ACTIVATIONS_BY_TIME: Family<(Timestamp, ActivationId), ()> = Family::new("activations_by_time");
/// All activations by beneficiary and when they were asked for.
pub(super) const ACTIVATIONS_BY_PRINCIPAL: Family<(Uid, Timestamp, ActivationId), ()> = Family::new("activations_by_principal");
/// All eligibilities by holder.
pub(super) const ELIGIBILITIES_BY_HOLDER: Family<(Uid, EligibilityId), ()> = Family::new("eligibilities_by_holder");
/// All assignments by holder.
pub(super) const ASSIGNMENTS_BY_HOLDER: Family<(Uid, AssignmentId), ()> = Family::new("assignments_by_holder");
/// All requests to extend or renew, by when they were made.
pub(super) const GRANT_REQUESTS_BY_TIME: Family<(Timestamp, GrantRequestId), ()> = Family::new("grant_requests_by_time");
/// Pending requests to extend or renew, by the grant that they are about.
pub(super) const GRANT_REQUESTS_PENDING: Family<(GrantRef, GrantRequestId), ()> = Family::new("grant_requests_pending");
/// Grants that are not recorded as ended, by role.
pub(super) const GRANTS_BY_ROLE: Family<(RoleName, GrantRef), ()> = Family::new("grants_by_role");
/// All reviews, by when they were opened.
pub(super) const REVIEWS_BY_TIME: Family<(Timestamp, ReviewId), ()> = Family::new("reviews_by_time");
/// Items of reviews by holder.
pub(super) const REVIEW_ENTRIES_BY_HOLDER: Family<(ReviewId, Uid, Subject), ()> = Family::new("review_entries_by_holder");
/// All incidents, by when they were raised.
pub(super) const INCIDENTS_BY_TIME: Family<(Timestamp, IncidentId), ()> = Family::new("incidents_by_time");
/// Those that last.
pub(super) const INCIDENTS_LASTING: Family<(Timestamp, IncidentId), ()> = Family::new("incidents_lasting");
/// Stored entities by parent.
pub(super) const CHILDREN: Family<(Uid, Uid), ()> = Family::new("children");
/// Stored entities by type and folded id.
pub(super) const FOLDS: Family<(Label, Label, Uid), ()> = Family::new("folds");
/// What repeated commands get, by when it was said: what goes first.
pub(super) const REMEMBERED_BY_TIME: Family<(Timestamp, Uid, IdempotencyKey), ()> = Family::new("remembered_by_time");

/// How a family is mostly read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Use {
    /// One key at a time, often one that is not there: a Bloom filter pays.
    Points,
    /// In order.
    Ranges,
}

/// Every family, and how it is read.
pub(super) const ALL: [(&str, Use); 45] = [
    (JOURNAL.name, Use::Ranges),
    (ROWS.name, Use::Points),
    (ROLES.name, Use::Points),
    (ACTIVATIONS.name, Use::Points),
    (ELIGIBILITIES.name, Use::Points),
    (ASSIGNMENTS.name, Use::Points),
    (GRANT_REQUESTS.name, Use::Points),
    (DAY_USES.name, Use::Points),
    (LAST_ACTIVATIONS.name, Use::Points),
    (LAST_CHECKS.name, Use::Points),
    (REVIEW_DEFINITIONS.name, Use::Points),
    (REVIEWS.name, Use::Points),
    (REVIEW_ENTRIES.name, Use::Ranges),
    (INCIDENTS.name, Use::Points),
    (LATEST_INCIDENTS.name, Use::Points),
    (ALERT_TALLIES.name, Use::Points),
    (DETECTION.name, Use::Points),
    (CASCADES.name, Use::Points),
    (REMEMBERED.name, Use::Points),
    (TEXTS.name, Use::Points),
    (BUNDLES.name, Use::Ranges),
    (TIMERS.name, Use::Ranges),
    (POSITIONS.name, Use::Points),
    (LETTERS.name, Use::Ranges),
    (META.name, Use::Ranges),
    (OPEN_BY_ELIGIBILITY.name, Use::Ranges),
    (OPEN_BY_ROLE.name, Use::Ranges),
    (OPEN_BY_SCOPE.name, Use::Ranges),
    (OPEN_BY_HOLDER.name, Use::Ranges),
    (OPEN_BY_TIME.name, Use::Ranges),
    (PENDING.name, Use::Ranges),
    (ACTIVATIONS_BY_TIME.name, Use::Ranges),
    (ACTIVATIONS_BY_PRINCIPAL.name, Use::Ranges),
    (ELIGIBILITIES_BY_HOLDER.name, Use::Ranges),
    (ASSIGNMENTS_BY_HOLDER.name, Use::Ranges),
    (GRANT_REQUESTS_BY_TIME.name, Use::Ranges),
    (GRANT_REQUESTS_PENDING.name, Use::Ranges),
    (GRANTS_BY_ROLE.name, Use::Ranges),
    (REVIEWS_BY_TIME.name, Use::Ranges),
    (REVIEW_ENTRIES_BY_HOLDER.name, Use::Ranges),
    (INCIDENTS_BY_TIME.name, Use::Ranges),
    (INCIDENTS_LASTING.name, Use::Ranges),
    (CHILDREN.name, Use::Ranges),
    (FOLDS.name, Use::Ranges),
    (REMEMBERED_BY_TIME.name, Use::Ranges),
];

/// The indexes and timers: families that follow from others row by row.
pub(super) const DERIVED: [&str; 21] = [
    TIMERS.name,
    OPEN_BY_ELIGIBILITY.name,
    OPEN_BY_ROLE.name,
    OPEN_BY_SCOPE.name,
    OPEN_BY_HOLDER.name,
    OPEN_BY_TIME.name,
    PENDING.name,
    ACTIVATIONS_BY_TIME.name,
    ACTIVATIONS_BY_PRINCIPAL.name,
    ELIGIBILITIES_BY_HOLDER.name,
    ASSIGNMENTS_BY_HOLDER.name,
    GRANT_REQUESTS_BY_TIME.name,
    GRANT_REQUESTS_PENDING.name,
    GRANTS_BY_ROLE.name,
    REVIEWS_BY_TIME.name,
    REVIEW_ENTRIES_BY_HOLDER.name,
    INCIDENTS_BY_TIME.name,
    INCIDENTS_LASTING.name,
    CHILDREN.name,
    FOLDS.name,
    REMEMBERED_BY_TIME.name,
];

/// The store as of now, or as of one moment that stays.
pub(super) struct At<'a> {
    pub(super) db: &'a DB,
    snapshot: Option<Snapshot<'a>>,
}

impl<'a> At<'a> {
    /// As it is at each read.
    pub(super) fn latest(db: &'a DB) -> Self {
        Self { db, snapshot: None }
    }

    /// As it is now, for all reads.
    pub(super) fn pinned(db: &'a DB) -> Self {
        Self { db, snapshot: Some(db.snapshot()) }
    }

    fn options(&self) -> ReadOptions {
        let mut options = ReadOptions::default();
        if let Some(snapshot) = &self.snapshot {
            options.set_snapshot(snapshot);
        }
        options
    }
}

/// A range of keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Span {
    lower: Vec<u8>,
    upper: Option<Vec<u8>>,
}

impl Span {
    /// All keys.
    pub(super) fn all() -> Self {
        Self { lower: Vec::new(), upper: None }
    }

    /// Keys that begin with these parts.
    pub(super) fn beginning(prefix: &impl Key) -> Self {
        let lower = prefix.bytes();
        let upper = successor(&lower);
        Self { lower, upper }
    }

    /// Keys from this one, or from those that begin with it, on.
    pub(super) fn starting(mut self, key: &impl Key) -> Self {
        self.lower = self.lower.max(key.bytes());
        self
    }

    /// Keys after this one.
    pub(super) fn after(mut self, key: &impl Key) -> Self {
        let mut next = key.bytes();
        next.push(0);
        self.lower = self.lower.max(next);
        self
    }

    /// Keys after all that begin with this one.
    pub(super) fn past(mut self, prefix: &impl Key) -> Self {
        if let Some(next) = successor(&prefix.bytes()) {
            self.lower = self.lower.max(next);
        }
        self
    }

    /// Keys before this one, and before those that begin with it.
    pub(super) fn before(mut self, key: &impl Key) -> Self {
        let key = key.bytes();
        self.upper = Some(self.upper.map_or_else(|| key.clone(), |upper| upper.min(key.clone())));
        self
    }

    fn is_empty(&self) -> bool {
        self.upper.as_ref().is_some_and(|upper| *upper <= self.lower)
    }
}

/// The first bytes after all that begin with these; nothing where there are none.
fn successor(prefix: &[u8]) -> Option<Vec<u8>> {
    let mut next = prefix.to_vec();
    while let Some(last) = next.pop() {
        if let Some(higher) = last.checked_add(1) {
            next.push(higher);
            return Some(next);
        }
    }
    None
}

/// In which order a range is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// Smallest key first.
    Up,
    /// Largest key first.
    Down,
}

/// A column family with its types.
pub(super) struct Family<K, V> {
    pub(super) name: &'static str,
    types: PhantomData<fn() -> (K, V)>,
}

impl<K, V> Family<K, V> {
    const fn new(name: &'static str) -> Self {
        Self { name, types: PhantomData }
    }
}

/// The family of this name in an open store.
pub(super) fn handle<'a>(db: &'a DB, name: &str) -> Result<&'a ColumnFamily, Unavailable> {
    db.cf_handle(name).ok_or_else(|| Unavailable(format!("the family `{name}` is not open")))
}

fn unreadable(family: &str, error: &rocksdb::Error) -> Unavailable {
    Unavailable(format!("the family `{family}` cannot be read: {error}"))
}

fn damaged(family: &str, key: &[u8], why: &str) -> Unavailable {
    Unavailable(format!(
        "the family `{family}` is damaged at the key {}: {why}; run `elevon rebuild` to see what else is, and restore a backup",
        hex(key)
    ))
}

/// Lower-case hexadecimal.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

impl<K: Key, V: Value> Family<K, V> {
    /// One value.
    pub(super) fn get(&self, at: &At<'_>, key: &K) -> Result<Option<V>, Unavailable> {
        self.get_with(at, key, V::decode)
    }

    /// That what stands under a key cannot be read.
    pub(super) fn damaged(&self, key: &K, why: &str) -> Unavailable {
        damaged(self.name, &key.bytes(), why)
    }

    /// One value, made of its bytes in another way.
    pub(super) fn get_with<T>(
        &self,
        at: &At<'_>,
        key: &K,
        decode: impl FnOnce(&[u8]) -> Result<T, String>,
    ) -> Result<Option<T>, Unavailable> {
        let bytes = key.bytes();
        let family = handle(at.db, self.name)?;
        let found = match &at.snapshot {
            None => at.db.get_pinned_cf(family, &bytes),
            Some(_) => at.db.get_pinned_cf_opt(family, &bytes, &at.options()),
        };
        match found.map_err(|error| unreadable(self.name, &error))? {
            None => Ok(None),
            Some(found) => decode(&found).map(Some).map_err(|why| damaged(self.name, &bytes, &why)),
        }
    }

    /// Puts a value into a batch.
    pub(super) fn put(&self, db: &DB, batch: &mut WriteBatch, key: &K, value: &V) -> Result<(), Unavailable> {
        let bytes = key.bytes();
        let value = value.encode().map_err(|why| Unavailable(format!("a value of `{}` cannot be written: {why}", self.name)))?;
        batch.put_cf(handle(db, self.name)?, bytes, value);
        Ok(())
    }

    /// Puts the deletion of a key into a batch.
    pub(super) fn delete(&self, db: &DB, batch: &mut WriteBatch, key: &K) -> Result<(), Unavailable> {
        batch.delete_cf(handle(db, self.name)?, key.bytes());
        Ok(())
    }

    /// The keys and values of a range.
    pub(super) fn scan<'a>(&self, at: &'a At<'_>, span: Span, order: Order) -> Result<Scan<'a, K, V>, Unavailable> {
        // RocksDB leaves a range whose end lies before its start undefined: such a range is read as an empty one.
        let span = if span.is_empty() { Span { upper: Some(span.lower.clone()), ..span } } else { span };
        let mut options = at.options();
        options.set_iterate_lower_bound(span.lower);
        if let Some(upper) = span.upper {
            options.set_iterate_upper_bound(upper);
        }
        let mode = match order {
            Order::Up => IteratorMode::Start,
            Order::Down => IteratorMode::End,
        };
        let rows = at.db.iterator_cf_opt(handle(at.db, self.name)?, options, mode);
        Ok(Scan { family: self.name, rows, types: PhantomData })
    }
}

/// An entry of a derived family.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Entry {
    pub(super) family: &'static str,
    pub(super) key: Vec<u8>,
}

impl<K: Key> Family<K, ()> {
    /// The entry of this family with this key.
    pub(super) fn entry(&self, key: &K) -> Entry {
        Entry { family: self.name, key: key.bytes() }
    }
}

/// A range being read. It ends at the first error.
pub(super) struct Scan<'a, K, V> {
    family: &'static str,
    rows: DBIteratorWithThreadMode<'a, DB>,
    types: PhantomData<fn() -> (K, V)>,
}

impl<K: Key, V: Value> Iterator for Scan<'_, K, V> {
    type Item = Result<(K, V), Unavailable>;

    fn next(&mut self) -> Option<Self::Item> {
        let row = self.rows.next()?.map_err(|error| unreadable(self.family, &error));
        Some(row.and_then(|(key, value)| {
            let read = K::parse(&key).ok_or_else(|| damaged(self.family, &key, "the key cannot be read"))?;
            let value = V::decode(&value).map_err(|why| damaged(self.family, &key, &why))?;
            Ok((read, value))
        }))
    }
}

/// A key and its value as they stand on disk.
pub(super) type RawRow = (Box<[u8]>, Box<[u8]>);

/// The keys and values of a family as they stand on disk, from a key on.
pub(super) fn raw_rows<'a>(
    at: &'a At<'_>,
    family: &'static str,
    from: &[u8],
) -> Result<impl Iterator<Item = Result<RawRow, Unavailable>> + 'a, Unavailable> {
    let rows = at.db.iterator_cf_opt(handle(at.db, family)?, at.options(), IteratorMode::From(from, Direction::Forward));
    Ok(rows.map(move |row| row.map_err(|error| unreadable(family, &error))))
}
