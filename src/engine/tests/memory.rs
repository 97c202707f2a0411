//! A journal in memory that can be made to fail.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, RwLock};
use std::time::Duration;

use crate::domain::alert::{AlertKind, AlertSubject, AlertTally, Incident, Severity};
use crate::domain::command::Due;
use crate::domain::event::{Record, Remembered, Timer};
use crate::domain::grant::{Cause, DayUse, EntityRow, GrantRef, RoleRow};
use crate::domain::id::{GrantRequestId, IdempotencyKey, IncidentId};
use crate::domain::overlay::{
    activation_timer, assignment_timer, eligibility_timer, grant_request_timer, review_definition_timer, review_timer,
};
use crate::domain::review::Subject;
use crate::domain::{
    Activation, ActivationId, Assignment, AssignmentId, Changes, Day, Definitions, Detectors, Eligibility, EligibilityId, GrantRequest,
    MemoryRows, Review, ReviewDefinition, ReviewDefinitionId, ReviewEntry, ReviewId, Revision, RoleName, Rows, Tables, Text, TextDigest,
    Timestamp, Uid, Unavailable,
};
use crate::engine::ports::{
    ActivationFilter, Anchor, AuditFilter, Batch, ClockAnswer, ClockAsked, ClockDesk, Committed, GrantFilter, GrantRequestFilter, Head,
    IncidentFilter, InnerRow, Journal, Listing, Page, Reader, ReviewFilter, Sealed,
};

/// What the next commit does instead of committing.
#[derive(Debug, Clone, Copy)]
pub(super) enum Fault {
    Conflict,
    Failed,
    Unknown,
    Panic,
}

/// A door that commits pass through: closed, they wait.
#[derive(Default)]
pub(super) struct Gate {
    closed: Mutex<bool>,
    opened: Condvar,
    /// How many wait, or ever did.
    pub(super) reached: AtomicUsize,
}

impl Gate {
    pub(super) fn close(&self) {
        *self.closed.lock().unwrap() = true;
    }

    pub(super) fn open(&self) {
        *self.closed.lock().unwrap() = false;
        self.opened.notify_all();
    }

    fn pass(&self) {
        self.reached.fetch_add(1, Ordering::SeqCst);
        let closed = self.closed.lock().unwrap();
        let (_passed, timeout) = self.opened.wait_timeout_while(closed, Duration::from_secs(20), |closed| *closed).unwrap();
        assert!(!timeout.timed_out(), "a gate stayed closed");
    }

    /// Waits until so many came to it.
    pub(super) fn wait_for(&self, number: usize) {
        for _ in 0..10_000 {
            if self.reached.load(Ordering::SeqCst) >= number {
                return;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        panic!("nothing came to the gate");
    }
}

pub(super) struct Stored {
    pub(super) rows: MemoryRows,
    pub(super) records: Vec<Sealed>,
    pub(super) bundles: HashMap<Revision, Vec<u8>>,
    pub(super) head: Head,
    pub(super) mark: Timestamp,
    pub(super) anchor: Option<Anchor>,
}

/// What is stored, shared between the journal, the reader and the test.
pub(super) struct Memory {
    pub(super) stored: RwLock<Stored>,
    pub(super) faults: Mutex<VecDeque<Fault>>,
    /// Commits that were done.
    pub(super) commits: AtomicUsize,
    /// Before anything is written.
    pub(super) before: Gate,
    /// Whether single rows cannot be read.
    pub(super) broken: AtomicBool,
    /// Timers that are due and never become anything.
    pub(super) never: Mutex<Vec<Timer>>,
    /// What somebody says of the clock, and what became of it.
    pub(super) word: Mutex<Option<ClockAsked>>,
    pub(super) answers: Mutex<Vec<ClockAnswer>>,
    /// What detectors know, as it was saved.
    pub(super) detection: Mutex<Option<Detectors>>,
    /// Between what is written and what is published.
    pub(super) after: Gate,
}

impl Memory {
    pub(super) fn new() -> Arc<Self> {
        let nothing = Definitions::none(Revision::new("none").unwrap());
        let stored = Stored {
            rows: MemoryRows::new(Arc::new(nothing)),
            records: Vec::new(),
            bundles: HashMap::new(),
            head: Head::empty(),
            mark: Timestamp::default(),
            anchor: None,
        };
        Arc::new(Self {
            stored: RwLock::new(stored),
            faults: Mutex::default(),
            commits: AtomicUsize::new(0),
            before: Gate::default(),
            after: Gate::default(),
            broken: AtomicBool::new(false),
            never: Mutex::default(),
            word: Mutex::default(),
            answers: Mutex::default(),
            detection: Mutex::default(),
        })
    }

    pub(super) fn journal(self: &Arc<Self>) -> Box<MemoryJournal> {
        Box::new(MemoryJournal { rows: self.stored.read().unwrap().rows.clone(), memory: Arc::clone(self) })
    }

    pub(super) fn commits(&self) -> usize {
        self.commits.load(Ordering::SeqCst)
    }

    /// The records so far, read back.
    pub(super) fn records(&self) -> Vec<Record> {
        self.stored.read().unwrap().records.iter().map(|sealed| serde_json::from_slice(&sealed.bytes).unwrap()).collect()
    }

    /// The kinds of all events so far.
    pub(super) fn kinds(&self) -> Vec<&'static str> {
        self.records().iter().flat_map(|record| record.events.iter().map(crate::domain::Event::kind).collect::<Vec<_>>()).collect()
    }

    fn timers(&self) -> Vec<Timer> {
        let stored = self.stored.read().unwrap();
        let all = &stored.rows.all;
        let mut timers: Vec<Timer> = all.activations.values().filter_map(activation_timer).collect();
        timers.extend(all.eligibilities.values().filter_map(eligibility_timer));
        timers.extend(all.assignments.values().filter_map(assignment_timer));
        timers.extend(all.grant_requests.values().filter_map(grant_request_timer));
        timers.extend(all.review_definitions.values().filter_map(review_definition_timer));
        timers.extend(all.reviews.values().filter_map(review_timer));
        timers.extend(all.cascades.iter().filter_map(|(cause, since)| Some(Timer { at: (*since)?, due: Due::Cascade(cause.clone()) })));
        timers.extend(self.never.lock().unwrap().iter().cloned());
        timers.sort_by_key(|timer| timer.at);
        timers
    }

    fn read<T>(&self, read: impl FnOnce(&MemoryRows) -> T) -> T {
        read(&self.stored.read().unwrap().rows)
    }
}

pub(super) struct MemoryJournal {
    rows: MemoryRows,
    memory: Arc<Memory>,
}

impl Journal for MemoryJournal {
    fn head(&self) -> Head {
        self.memory.stored.read().unwrap().head.clone()
    }

    fn tables(&self) -> &dyn Tables {
        &self.rows
    }

    fn commit(&mut self, expected: &Head, batch: Batch) -> Committed {
        self.memory.before.pass();
        let fault = self.memory.faults.lock().unwrap().pop_front();
        match fault {
            Some(Fault::Conflict) => return Committed::Conflict(self.head()),
            Some(Fault::Failed) => return Committed::Failed("the disk is full".to_owned()),
            Some(Fault::Unknown) => return Committed::Unknown("no answer came".to_owned()),
            Some(Fault::Panic) => panic!("a fault in the journal, on purpose"),
            None => {}
        }
        let head = self.head();
        assert_eq!(head, *expected, "the writer wrote somewhere else");
        assert!(!batch.records.is_empty());
        let last = batch.records.last().unwrap();
        let revision = batch.changes.revision.clone().or(head.revision);
        let head = Head { seq: last.seq, hash: last.hash, at: last.at, revision };
        self.rows.all.absorb(batch.changes.clone());
        {
            let mut stored = self.memory.stored.write().unwrap();
            stored.rows.all.absorb(batch.changes);
            stored.records.extend(batch.records);
            stored.bundles.extend(batch.bundles);
            stored.mark = stored.mark.max(batch.mark);
            stored.head = head.clone();
        }
        self.memory.commits.fetch_add(1, Ordering::SeqCst);
        self.memory.after.pass();
        Committed::Done(head)
    }
}

impl Rows for Memory {
    fn row(&self, uid: &Uid) -> Result<Option<Arc<EntityRow>>, Unavailable> {
        if self.broken.load(Ordering::SeqCst) {
            return Err(Unavailable("the disk is on fire".to_owned()));
        }
        self.read(|rows| rows.row(uid))
    }

    fn role_row(&self, role: &RoleName) -> Result<RoleRow, Unavailable> {
        self.read(|rows| rows.role_row(role))
    }

    fn time_void_before(&self) -> Result<u64, Unavailable> {
        self.read(Rows::time_void_before)
    }

    fn text(&self, digest: &TextDigest) -> Result<Option<Text>, Unavailable> {
        self.read(|rows| rows.text(digest))
    }
}

impl Tables for Memory {
    fn activation(&self, id: &ActivationId) -> Result<Option<Arc<Activation>>, Unavailable> {
        self.read(|rows| rows.activation(id))
    }

    fn eligibility(&self, id: &EligibilityId) -> Result<Option<Arc<Eligibility>>, Unavailable> {
        self.read(|rows| rows.eligibility(id))
    }

    fn assignment(&self, id: &AssignmentId) -> Result<Option<Arc<Assignment>>, Unavailable> {
        self.read(|rows| rows.assignment(id))
    }

    fn open_resting_on(&self, eligibility: &EligibilityId, limit: usize) -> Result<Vec<ActivationId>, Unavailable> {
        self.read(|rows| rows.open_resting_on(eligibility, limit))
    }

    fn open_for_role(&self, role: &RoleName, limit: usize) -> Result<Vec<ActivationId>, Unavailable> {
        self.read(|rows| rows.open_for_role(role, limit))
    }

    fn open_at_scope(&self, scope: &Uid, limit: usize) -> Result<Vec<ActivationId>, Unavailable> {
        self.read(|rows| rows.open_at_scope(scope, limit))
    }

    fn open_through(&self, holder: &Uid, limit: usize) -> Result<Vec<ActivationId>, Unavailable> {
        self.read(|rows| rows.open_through(holder, limit))
    }

    fn open_at_all(&self, limit: usize) -> Result<Vec<ActivationId>, Unavailable> {
        self.read(|rows| rows.open_at_all(limit))
    }

    fn pending_requests(&self, limit: usize) -> Result<Vec<ActivationId>, Unavailable> {
        self.read(|rows| rows.pending_requests(limit))
    }

    fn timed_assignments(&self, limit: usize) -> Result<Vec<AssignmentId>, Unavailable> {
        self.read(|rows| rows.timed_assignments(limit))
    }

    fn grant_request(&self, id: &GrantRequestId) -> Result<Option<Arc<GrantRequest>>, Unavailable> {
        self.read(|rows| rows.grant_request(id))
    }

    fn pending_about(&self, grant: &GrantRef, limit: usize) -> Result<Vec<GrantRequestId>, Unavailable> {
        self.read(|rows| rows.pending_about(grant, limit))
    }

    fn day_use(&self, principal: &Uid, role: &RoleName, day: Day) -> Result<DayUse, Unavailable> {
        self.read(|rows| rows.day_use(principal, role, day))
    }

    fn stored_children(&self, parent: &Uid, after: Option<&Uid>, limit: usize) -> Result<Vec<Uid>, Unavailable> {
        self.read(|rows| rows.stored_children(parent, after, limit))
    }

    fn stored_by_fold(&self, kind: &str, fold: &str) -> Result<Option<Uid>, Unavailable> {
        self.read(|rows| rows.stored_by_fold(kind, fold))
    }

    fn cascade_waits(&self, cause: &Cause) -> Result<bool, Unavailable> {
        self.read(|rows| rows.cascade_waits(cause))
    }

    fn standing_grants(
        &self,
        role: Option<&RoleName>,
        after: Option<&(RoleName, GrantRef)>,
        limit: usize,
    ) -> Result<Vec<(RoleName, GrantRef)>, Unavailable> {
        self.read(|rows| rows.standing_grants(role, after, limit))
    }

    fn last_activation(&self, eligibility: &EligibilityId) -> Result<Option<Timestamp>, Unavailable> {
        self.read(|rows| rows.last_activation(eligibility))
    }

    fn last_check(&self, grant: &GrantRef) -> Result<Option<Timestamp>, Unavailable> {
        self.read(|rows| rows.last_check(grant))
    }

    fn review_definition(&self, id: &ReviewDefinitionId) -> Result<Option<Arc<ReviewDefinition>>, Unavailable> {
        self.read(|rows| rows.review_definition(id))
    }

    fn review(&self, id: &ReviewId) -> Result<Option<Arc<Review>>, Unavailable> {
        self.read(|rows| rows.review(id))
    }

    fn review_entry(&self, id: &ReviewId, subject: &Subject) -> Result<Option<Arc<ReviewEntry>>, Unavailable> {
        self.read(|rows| rows.review_entry(id, subject))
    }

    fn review_entries(&self, id: &ReviewId, after: Option<&Subject>, limit: usize) -> Result<Vec<Arc<ReviewEntry>>, Unavailable> {
        self.read(|rows| rows.review_entries(id, after, limit))
    }

    fn incident(&self, id: &IncidentId) -> Result<Option<Arc<Incident>>, Unavailable> {
        self.read(|rows| rows.incident(id))
    }

    fn latest_incident(&self, kind: AlertKind, subject: &AlertSubject) -> Result<Option<IncidentId>, Unavailable> {
        self.read(|rows| rows.latest_incident(kind, subject))
    }

    fn alert_tally(&self, kind: AlertKind, severity: Severity) -> Result<AlertTally, Unavailable> {
        self.read(|rows| rows.alert_tally(kind, severity))
    }

    fn remembered(&self, caller: &Uid, key: &IdempotencyKey) -> Result<Option<(Timestamp, Remembered)>, Unavailable> {
        self.read(|rows| rows.remembered(caller, key))
    }
}

impl ClockDesk for Memory {
    fn asked(&self) -> Result<Option<ClockAsked>, Unavailable> {
        Ok(self.word.lock().unwrap().clone())
    }

    fn answer(&self, _: &ClockAsked, answer: &ClockAnswer) -> Result<(), Unavailable> {
        self.answers.lock().unwrap().push(answer.clone());
        *self.word.lock().unwrap() = None;
        Ok(())
    }
}

fn all<T>(items: Vec<T>) -> Result<Listing<T>, Unavailable> {
    Ok(Listing { items, next: None })
}

/// Lists are the store's to filter; these are whole.
impl Reader for Memory {
    fn head(&self) -> Head {
        self.stored.read().unwrap().head.clone()
    }

    fn mark(&self) -> Timestamp {
        self.stored.read().unwrap().mark
    }

    fn anchor(&self) -> Result<Option<Anchor>, Unavailable> {
        Ok(self.stored.read().unwrap().anchor.clone())
    }

    fn save_mark(&self, mark: Timestamp, anchor: &Anchor) -> Result<(), Unavailable> {
        let mut stored = self.stored.write().unwrap();
        stored.anchor = Some(anchor.clone());
        stored.mark = stored.mark.max(mark);
        Ok(())
    }

    fn inner_rows(&self) -> Result<Vec<InnerRow>, Unavailable> {
        let stored = self.stored.read().unwrap();
        let defs = stored.rows.all.rows.values().filter_map(|row| row.stored.as_ref());
        let parents = defs.flat_map(|def| def.parents.iter().map(|edge| edge.parent.clone()));
        Ok(parents.map(|uid| (uid.clone(), stored.rows.all.rows.get(&uid).cloned())).collect())
    }

    fn role_rows(&self) -> Result<HashMap<RoleName, RoleRow>, Unavailable> {
        Ok(self.read(|rows| rows.all.roles.clone().into_iter().collect()))
    }

    fn bundle(&self, revision: &Revision) -> Result<Option<Vec<u8>>, Unavailable> {
        Ok(self.stored.read().unwrap().bundles.get(revision).cloned())
    }

    fn live_since(&self) -> Result<Option<Timestamp>, Unavailable> {
        let swapped = |record: &&Record| record.events.iter().any(|event| event.kind() == "bundle_activated");
        let stored = self.stored.read().unwrap();
        // of a journal that a test broke, what can be read
        let mut records = stored.records.iter().filter_map(|sealed| serde_json::from_slice::<Record>(&sealed.bytes).ok());
        Ok(records.rfind(|record| swapped(&record)).map(|record| record.at))
    }

    fn next_due(&self) -> Result<Option<Timestamp>, Unavailable> {
        Ok(self.timers().first().map(|timer| timer.at))
    }

    fn due(&self, now: Timestamp, limit: usize) -> Result<Vec<Due>, Unavailable> {
        Ok(self.timers().into_iter().filter(|timer| timer.at <= now).map(|timer| timer.due).take(limit).collect())
    }

    fn activations(&self, _: &ActivationFilter, _: &Page) -> Result<Listing<Arc<Activation>>, Unavailable> {
        all(self.read(|rows| rows.all.activations.values().cloned().map(Arc::new).collect()))
    }

    fn pending(&self, _: &Page) -> Result<Listing<Arc<Activation>>, Unavailable> {
        all(Vec::new())
    }

    fn eligibilities(&self, _: &GrantFilter, _: &Page) -> Result<Listing<Arc<Eligibility>>, Unavailable> {
        all(self.read(|rows| rows.all.eligibilities.values().cloned().map(Arc::new).collect()))
    }

    fn assignments(&self, _: &GrantFilter, _: &Page) -> Result<Listing<Arc<Assignment>>, Unavailable> {
        all(self.read(|rows| rows.all.assignments.values().cloned().map(Arc::new).collect()))
    }

    fn grant_requests(&self, _: &GrantRequestFilter, _: &Page) -> Result<Listing<Arc<GrantRequest>>, Unavailable> {
        all(self.read(|rows| rows.all.grant_requests.values().cloned().map(Arc::new).collect()))
    }

    fn review_definitions(&self, _: &Page) -> Result<Listing<Arc<ReviewDefinition>>, Unavailable> {
        all(self.read(|rows| rows.all.review_definitions.values().cloned().map(Arc::new).collect()))
    }

    fn reviews(&self, _: &ReviewFilter, _: &Page) -> Result<Listing<Arc<Review>>, Unavailable> {
        all(self.read(|rows| rows.all.reviews.values().cloned().map(Arc::new).collect()))
    }

    fn review_items(&self, id: &ReviewId, _: Option<&Uid>, _: &Page) -> Result<Listing<Arc<ReviewEntry>>, Unavailable> {
        all(self.review_entries(id, None, usize::MAX)?)
    }

    fn incidents(&self, filter: &IncidentFilter, _: &Page) -> Result<Listing<Arc<Incident>>, Unavailable> {
        all(self.read(|rows| rows.all.incidents.values().filter(|incident| filter.means(incident)).cloned().map(Arc::new).collect()))
    }

    fn detection(&self) -> Result<Option<Detectors>, Unavailable> {
        Ok(self.detection.lock().unwrap().clone())
    }

    fn save_detection(&self, state: &Detectors) -> Result<(), Unavailable> {
        *self.detection.lock().unwrap() = Some(state.clone());
        Ok(())
    }

    fn save_checks(&self, checks: &[(GrantRef, Timestamp)]) -> Result<(), Unavailable> {
        self.stored.write().unwrap().rows.last_checks.extend(checks.iter().cloned());
        Ok(())
    }

    fn entities(&self, _: Option<&str>, _: &Page) -> Result<Listing<(Uid, Arc<EntityRow>)>, Unavailable> {
        all(self.read(|rows| rows.all.rows.iter().map(|(uid, row)| (uid.clone(), Arc::clone(row))).collect()))
    }

    fn journal(&self, filter: &AuditFilter, page: &Page) -> Result<Listing<Sealed>, Unavailable> {
        assert!(!filter.newest_first, "nothing in the engine reads backwards");
        let after = page.after_record().unwrap().unwrap_or_default();
        let (stored, mut found, mut at) = (self.stored.read().unwrap(), Vec::new(), Timestamp::default());
        for sealed in &stored.records {
            // as the store does: from the bytes, and what cannot be read counts with the one before it
            let record = serde_json::from_slice::<Record>(&sealed.bytes);
            at = record.as_ref().map_or(at, |record| record.at);
            if sealed.seq <= after || found.len() >= page.limit {
                continue;
            }
            let of_kind = |kind: &String| record.as_ref().map_or(true, |record| record.events.iter().any(|event| event.kind() == kind));
            let meant = filter.kind.as_ref().is_none_or(of_kind);
            if meant {
                found.push(Sealed { at, ..sealed.clone() });
            }
        }
        all(found)
    }

    fn active_count(&self) -> u64 {
        0
    }
}

/// What a batch changed, for tests that hold rows against each other.
pub(super) fn rows_of(memory: &Memory) -> Changes {
    memory.read(|rows| rows.all.clone())
}
