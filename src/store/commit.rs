//! The one way in: a batch of records, and everything that follows from it, in one synced write.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

use rocksdb::WriteBatch;

use super::family::{
    ACTIVATIONS, ALERT_TALLIES, ASSIGNMENTS, At, BUNDLES, CASCADES, DAY_USES, DETECTION, ELIGIBILITIES, Entry, Family, GRANT_REQUESTS,
    INCIDENTS, JOURNAL, LAST_ACTIVATIONS, LAST_CHECKS, LATEST_INCIDENTS, Order, REMEMBERED, REMEMBERED_BY_TIME, REVIEW_DEFINITIONS,
    REVIEW_ENTRIES, REVIEWS, ROLES, ROWS, Span, TEXTS,
};
use super::key::{Key, Label, MetaKey, Seq};
use super::value::{HeadRow, Raw, Value};
use super::{Store, entries, put_entry, put_meta};
use crate::audit;
use crate::domain::decide::IDEMPOTENCY_HOURS;
use crate::domain::grant::GrantRef;
use crate::domain::{Changes, Detectors, Duration, Tables, Timestamp, Unavailable};
use crate::engine::ports::{Batch, Committed, Head, Journal};

/// Most remembered results that one commit forgets. Each command adds one at most, so they do not pile up.
const FORGOTTEN_PER_COMMIT: usize = 256;

/// The writing half of a data folder. There is one.
pub struct StoreJournal {
    store: Arc<Store>,
}

impl StoreJournal {
    pub(super) fn new(store: Arc<Store>) -> Self {
        Self { store }
    }
}

impl Journal for StoreJournal {
    fn head(&self) -> Head {
        Head::clone(&self.store.head.load())
    }

    fn tables(&self) -> &dyn Tables {
        &*self.store
    }

    fn commit(&mut self, expected: &Head, batch: Batch) -> Committed {
        if let Some(why) = self.store.failed.get() {
            return Committed::Failed(why.clone());
        }
        let head = self.head();
        if head != *expected {
            return Committed::Conflict(head);
        }
        match self.store.append(&head, batch) {
            Ok(head) => Committed::Done(head),
            Err(why) => Committed::Failed(self.store.failed.get_or_init(|| why).clone()),
        }
    }
}

impl Store {
    fn append(&self, head: &Head, batch: Batch) -> Result<Head, String> {
        let next = next_head(head, &batch)?;
        if batch.records.is_empty() {
            return Ok(next);
        }
        let _held = self.mark.lock().unwrap_or_else(PoisonError::into_inner);
        let mark = batch.mark.max(self.current_mark());
        let mut writing = Writing { at: self.at(), batch: WriteBatch::default(), opened: 0, closed: 0 };
        let active = writing.all(&batch, &next, mark, self.active.load(Ordering::Acquire)).map_err(|unavailable| unavailable.0)?;
        let Writing { batch: write, .. } = writing;
        self.write_synced(write)?;
        batch.changes.rows.keys().for_each(|uid| self.image.forget(uid));
        self.mark_millis.store(mark.millis(), Ordering::Release);
        self.active.store(active, Ordering::Release);
        self.head.store(Arc::new(next.clone()));
        Ok(next)
    }

    /// Forgets, when the folder is opened, every remembered result that is older than it is kept.
    pub(super) fn forget_expired(&self) -> Result<(), Unavailable> {
        let before = forget_before(self.head.load().at);
        loop {
            let mut writing = Writing { at: self.at(), batch: WriteBatch::default(), opened: 0, closed: 0 };
            if writing.forget(before)? == 0 {
                return Ok(());
            }
            let Writing { batch, .. } = writing;
            self.write_synced(batch).map_err(Unavailable)?;
        }
    }
}

impl Store {
    /// Notes when roles, held by grants, last decided checks. Not synced: what a crash takes was not truth.
    pub(super) fn note_checks(&self, checks: &[(GrantRef, Timestamp)]) -> Result<(), Unavailable> {
        if let Some(why) = self.failed.get() {
            return Err(Unavailable(why.clone()));
        }
        let mut writing = Writing { at: self.at(), batch: WriteBatch::default(), opened: 0, closed: 0 };
        for (grant, at) in checks {
            if writing.get(&LAST_CHECKS, grant)?.is_none_or(|known| known < *at) {
                writing.put(&LAST_CHECKS, grant, at)?;
            }
        }
        let Writing { batch, .. } = writing;
        self.db.write(batch).map_err(|error| Unavailable(format!("marks of use cannot be written: {error}")))
    }
}

/// Under which the state of the detectors stands.
const DETECTORS: &str = "state";

impl Store {
    /// Keeps how far detectors have come. Not synced: what a crash takes is found again in the journal.
    pub(super) fn keep_detection(&self, state: &Detectors) -> Result<(), Unavailable> {
        if let Some(why) = self.failed.get() {
            return Err(Unavailable(why.clone()));
        }
        let mut batch = WriteBatch::default();
        DETECTION.put(&self.db, &mut batch, &Label(DETECTORS.to_owned()), state)?;
        self.db.write(batch).map_err(|error| Unavailable(format!("what detectors know cannot be written: {error}")))
    }

    /// How far detectors had come, where that was kept and can be read: what cannot is found anew.
    pub(super) fn kept_detection(&self) -> Result<Option<Detectors>, Unavailable> {
        let kept = DETECTION.get_with(&self.at(), &Label(DETECTORS.to_owned()), |bytes| Ok(Detectors::decode(bytes).ok()))?;
        Ok(kept.flatten())
    }
}

/// Results remembered before this instant are forgotten, when the last record is of `at`. It hangs on the journal alone and on no clock, so
/// that a rebuild can tell what has to be there.
pub(super) fn forget_before(at: Timestamp) -> Timestamp {
    Timestamp::from_millis(at.millis().saturating_sub(Duration::from_hours(IDEMPOTENCY_HOURS).millis()))
}

/// The head after a batch.
fn next_head(head: &Head, batch: &Batch) -> Result<Head, String> {
    let mut next = head.clone();
    for record in &batch.records {
        if record.seq != next.seq.saturating_add(1) {
            return Err(format!("record {} was to be written after record {}", record.seq, next.seq));
        }
        if record.hash != audit::hash(&record.bytes) {
            return Err(format!("record {} does not have the hash that it is said to have", record.seq));
        }
        next = Head { seq: record.seq, hash: record.hash, at: record.at, revision: next.revision };
    }
    if batch.records.is_empty() && !(batch.changes.is_empty() && batch.bundles.is_empty()) {
        return Err("changes without a record were to be written".to_owned());
    }
    next.revision = batch.changes.revision.clone().or(next.revision);
    Ok(next)
}

/// A batch being put together.
struct Writing<'a> {
    at: At<'a>,
    batch: WriteBatch,
    /// How many activations became active.
    opened: u64,
    /// How many were and no longer are.
    closed: u64,
}

impl Writing<'_> {
    fn all(&mut self, batch: &Batch, head: &Head, mark: Timestamp, active: u64) -> Result<u64, Unavailable> {
        // First what is forgotten, then what is remembered: a key that is used again is deleted and put in one batch.
        self.forget(forget_before(head.at))?;
        for record in &batch.records {
            self.put(&JOURNAL, &Seq(record.seq), &Raw(record.bytes.clone()))?;
        }
        for (revision, archive) in &batch.bundles {
            self.put(&BUNDLES, revision, &Raw(archive.clone()))?;
        }
        self.changes(&batch.changes)?;
        let active = active.saturating_add(self.opened).saturating_sub(self.closed);
        put_meta(self.at.db, &mut self.batch, MetaKey::Head, &HeadRow::from(head))?;
        put_meta(self.at.db, &mut self.batch, MetaKey::Mark, &mark)?;
        put_meta(self.at.db, &mut self.batch, MetaKey::Active, &active)?;
        if batch.changes.revision.is_some() {
            put_meta(self.at.db, &mut self.batch, MetaKey::LiveSince, &head.at)?;
        }
        Ok(active)
    }

    fn changes(&mut self, changes: &Changes) -> Result<(), Unavailable> {
        for (uid, row) in &changes.rows {
            let old = self.get(&ROWS, uid)?.and_then(|old| old.stored);
            if old != row.stored {
                self.derive(old.as_deref().map(entries::of_stored), row.stored.as_deref().map(entries::of_stored))?;
            }
            self.put(&ROWS, uid, row)?;
        }
        for (role, row) in &changes.roles {
            self.put(&ROLES, role, row)?;
        }
        for (key, used) in &changes.day_uses {
            self.put(&DAY_USES, key, used)?;
        }
        for (id, request) in &changes.grant_requests {
            let old = self.get(&GRANT_REQUESTS, id)?;
            self.derive(old.as_ref().map(entries::of_grant_request), Some(entries::of_grant_request(request)))?;
            self.put(&GRANT_REQUESTS, id, request)?;
        }
        self.reviews(changes)?;
        self.alerts(changes)?;
        if let Some(before) = changes.time_void_before {
            put_meta(self.at.db, &mut self.batch, MetaKey::TimeVoid, &before)?;
        }
        for (id, activation) in &changes.activations {
            let old = self.get(&ACTIVATIONS, id)?;
            self.closed += u64::from(old.as_ref().is_some_and(entries::is_active));
            self.opened += u64::from(entries::is_active(activation));
            self.derive(old.as_ref().map(entries::of_activation), Some(entries::of_activation(activation)))?;
            self.put(&ACTIVATIONS, id, activation)?;
        }
        for (id, eligibility) in &changes.eligibilities {
            let old = self.get(&ELIGIBILITIES, id)?;
            self.derive(old.as_ref().map(entries::of_eligibility), Some(entries::of_eligibility(eligibility)))?;
            self.put(&ELIGIBILITIES, id, eligibility)?;
        }
        for (id, assignment) in &changes.assignments {
            let old = self.get(&ASSIGNMENTS, id)?;
            self.derive(old.as_ref().map(entries::of_assignment), Some(entries::of_assignment(assignment)))?;
            self.put(&ASSIGNMENTS, id, assignment)?;
        }
        for (cause, since) in &changes.cascades {
            let old = self.get(&CASCADES, cause)?;
            self.derive(old.map(|old| entries::of_cascade(cause, old)), since.map(|since| entries::of_cascade(cause, since)))?;
            match since {
                Some(since) => self.put(&CASCADES, cause, since)?,
                None => CASCADES.delete(self.at.db, &mut self.batch, cause)?,
            }
        }
        for (id, remembered) in &changes.remembered {
            let (caller, key) = id;
            let old = self.get(&REMEMBERED, id)?;
            let of = |at| entries::of_remembered(caller, key, at);
            self.derive(old.map(|(at, _)| of(at)), Some(of(remembered.0)))?;
            self.put(&REMEMBERED, id, remembered)?;
        }
        for (digest, text) in &changes.texts {
            self.put(&TEXTS, digest, text)?;
        }
        Ok(())
    }

    fn reviews(&mut self, changes: &Changes) -> Result<(), Unavailable> {
        for (id, at) in &changes.last_activations {
            self.put(&LAST_ACTIVATIONS, id, at)?;
        }
        for (id, definition) in &changes.review_definitions {
            let old = self.get(&REVIEW_DEFINITIONS, id)?;
            self.derive(old.as_ref().map(entries::of_review_definition), Some(entries::of_review_definition(definition)))?;
            self.put(&REVIEW_DEFINITIONS, id, definition)?;
        }
        for (id, review) in &changes.reviews {
            let old = self.get(&REVIEWS, id)?;
            self.derive(old.as_ref().map(entries::of_review), Some(entries::of_review(review)))?;
            self.put(&REVIEWS, id, review)?;
        }
        for (subject, entry) in changes.review_entries.values().flatten() {
            let key = (entry.review.clone(), subject.clone());
            let old = self.get(&REVIEW_ENTRIES, &key)?;
            self.derive(old.as_ref().map(entries::of_review_entry), Some(entries::of_review_entry(entry)))?;
            self.put(&REVIEW_ENTRIES, &key, entry)?;
        }
        Ok(())
    }

    fn alerts(&mut self, changes: &Changes) -> Result<(), Unavailable> {
        for (id, incident) in &changes.incidents {
            let old = self.get(&INCIDENTS, id)?;
            self.derive(old.as_ref().map(entries::of_incident), Some(entries::of_incident(incident)))?;
            self.put(&INCIDENTS, id, incident)?;
        }
        for (key, id) in &changes.latest_incidents {
            self.put(&LATEST_INCIDENTS, key, id)?;
        }
        for (key, tally) in &changes.alert_tallies {
            self.put(&ALERT_TALLIES, key, tally)?;
        }
        Ok(())
    }

    fn get<K: Key, V: Value>(&self, family: &Family<K, V>, key: &K) -> Result<Option<V>, Unavailable> {
        family.get(&self.at, key)
    }

    fn put<K: Key, V: Value>(&mut self, family: &Family<K, V>, key: &K, value: &V) -> Result<(), Unavailable> {
        family.put(self.at.db, &mut self.batch, key, value)
    }

    /// Writes the difference between the entries of an old row and those of a new one.
    fn derive(&mut self, old: Option<Vec<Entry>>, new: Option<Vec<Entry>>) -> Result<(), Unavailable> {
        let (old, new) = (old.unwrap_or_default(), new.unwrap_or_default());
        for entry in old.iter().filter(|entry| !new.contains(entry)) {
            put_entry(self.at.db, &mut self.batch, entry, false)?;
        }
        for entry in new.iter().filter(|entry| !old.contains(entry)) {
            put_entry(self.at.db, &mut self.batch, entry, true)?;
        }
        Ok(())
    }

    /// Forgets remembered results of before an instant, a bounded number of them; says how many.
    fn forget(&mut self, before: Timestamp) -> Result<usize, Unavailable> {
        let old = REMEMBERED_BY_TIME.scan(&self.at, Span::all().before(&before), Order::Up)?;
        let old = old.take(FORGOTTEN_PER_COMMIT).collect::<Result<Vec<_>, _>>()?;
        for ((at, caller, key), ()) in &old {
            for entry in entries::of_remembered(caller, key, *at) {
                put_entry(self.at.db, &mut self.batch, &entry, false)?;
            }
            REMEMBERED.delete(self.at.db, &mut self.batch, &(caller.clone(), key.clone()))?;
        }
        Ok(old.len())
    }
}
