//! What commands, checks and timers read: points and short lists, as of now.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::family::{
    ACTIVATIONS, ALERT_TALLIES, ASSIGNMENTS, At, BUNDLES, CASCADES, CHILDREN, DAY_USES, ELIGIBILITIES, FOLDS, Family, GRANT_REQUESTS,
    GRANT_REQUESTS_PENDING, GRANTS_BY_ROLE, INCIDENTS, LAST_ACTIVATIONS, LAST_CHECKS, LATEST_INCIDENTS, OPEN_BY_ELIGIBILITY,
    OPEN_BY_HOLDER, OPEN_BY_ROLE, OPEN_BY_SCOPE, OPEN_BY_TIME, Order, PENDING, REMEMBERED, REVIEW_DEFINITIONS, REVIEW_ENTRIES, REVIEWS,
    ROLES, ROWS, Span, TEXTS, TIMERS, raw_rows,
};
use super::image::Known;
use super::key::{Key, Label, MetaKey};
use super::value::{AnchorRow, Raw};
use super::{Store, maybe_meta, meta};
use crate::domain::alert::{AlertKind, AlertSubject, AlertTally, Incident, Severity};
use crate::domain::command::Due;
use crate::domain::event::Remembered;
use crate::domain::grant::{Cause, DayUse, EntityRow, GrantRef, RoleRow};
use crate::domain::id::{GrantRequestId, IdempotencyKey, IncidentId, fold};
use crate::domain::overlay::is_timed;
use crate::domain::review::Subject;
use crate::domain::{
    Activation, ActivationId, Assignment, AssignmentId, Day, Detectors, Eligibility, EligibilityId, GrantRequest, Review, ReviewDefinition,
    ReviewDefinitionId, ReviewEntry, ReviewId, Revision, RoleName, Rows, Tables, Text, TextDigest, Timestamp, Uid, Unavailable,
};
use crate::engine::ports::{
    ActivationFilter, Anchor, AuditFilter, GrantFilter, GrantRequestFilter, Head, IncidentFilter, InnerRow, Listing, Page, Reader,
    ReviewFilter, Sealed,
};

impl Rows for Store {
    fn row(&self, uid: &Uid) -> Result<Option<Arc<EntityRow>>, Unavailable> {
        let ticket = match self.image.get(uid) {
            Known::Nothing => return Ok(None),
            Known::Row(row) => {
                return self.rows.decode(uid, row.bytes()).map(Some).map_err(|why| ROWS.damaged(uid, &why));
            }
            Known::Unknown(ticket) => ticket,
        };
        let found = ROWS.get_with(&self.at(), uid, |bytes| {
            let row = self.rows.decode(uid, bytes)?;
            self.image.take(&ticket, uid, Some(bytes));
            Ok(row)
        })?;
        if found.is_none() {
            self.image.take(&ticket, uid, None);
        }
        Ok(found)
    }

    fn role_row(&self, role: &RoleName) -> Result<RoleRow, Unavailable> {
        Ok(ROLES.get(&self.at(), role)?.unwrap_or_default())
    }

    fn time_void_before(&self) -> Result<u64, Unavailable> {
        meta(&self.at(), MetaKey::TimeVoid)
    }

    fn text(&self, digest: &TextDigest) -> Result<Option<Text>, Unavailable> {
        TEXTS.get(&self.at(), digest)
    }
}

/// How many rows are read ahead in one go, and the pause after it, so that whoever asks meanwhile is not kept waiting.
const AHEAD: usize = 2048;
const BREATH: std::time::Duration = std::time::Duration::from_millis(1);

impl Store {
    /// Reads some rows ahead, from a key on, which is moved; whether there may be more.
    fn warm_some(&self, from: &mut Vec<u8>) -> Result<bool, Unavailable> {
        // before the database is looked at: what is written after this is not taken from there
        let tickets = self.image.tickets();
        let at = self.at();
        let mut read = 0;
        for row in raw_rows(&at, ROWS.name, from)?.take(AHEAD) {
            let (key, value) = row?;
            read += 1;
            if let Some(uid) = <Uid as Key>::parse(&key) {
                self.image.take_ahead(&tickets, &uid, &value);
            }
            from.clear();
            from.extend_from_slice(&key);
            // the next key that there can be
            from.push(0);
        }
        Ok(read == AHEAD)
    }

    /// Ids of open activations under one name of an index, in order.
    fn open_under<K: Key>(&self, index: &Family<(K, ActivationId), ()>, name: &K, limit: usize) -> Result<Vec<ActivationId>, Unavailable> {
        let at = self.at();
        let found = index.scan(&at, Span::beginning(name), Order::Up)?;
        found.take(limit).map(|row| row.map(|((_, id), ())| id)).collect()
    }
}

impl Store {
    /// The first ids of an index by time, sorted as ids.
    fn first_ids(&self, index: &Family<(Timestamp, ActivationId), ()>, limit: usize) -> Result<Vec<ActivationId>, Unavailable> {
        let at = self.at();
        let found = index.scan(&at, Span::all(), Order::Up)?.take(limit);
        let mut ids = found.map(|row| row.map(|((_, id), ())| id)).collect::<Result<Vec<_>, _>>()?;
        ids.sort();
        Ok(ids)
    }
}

impl Tables for Store {
    fn activation(&self, id: &ActivationId) -> Result<Option<Arc<Activation>>, Unavailable> {
        Ok(ACTIVATIONS.get(&self.at(), id)?.map(Arc::new))
    }

    fn eligibility(&self, id: &EligibilityId) -> Result<Option<Arc<Eligibility>>, Unavailable> {
        Ok(ELIGIBILITIES.get(&self.at(), id)?.map(Arc::new))
    }

    fn assignment(&self, id: &AssignmentId) -> Result<Option<Arc<Assignment>>, Unavailable> {
        Ok(ASSIGNMENTS.get(&self.at(), id)?.map(Arc::new))
    }

    fn open_resting_on(&self, eligibility: &EligibilityId, limit: usize) -> Result<Vec<ActivationId>, Unavailable> {
        self.open_under(&OPEN_BY_ELIGIBILITY, eligibility, limit)
    }

    fn open_for_role(&self, role: &RoleName, limit: usize) -> Result<Vec<ActivationId>, Unavailable> {
        self.open_under(&OPEN_BY_ROLE, role, limit)
    }

    fn open_at_scope(&self, scope: &Uid, limit: usize) -> Result<Vec<ActivationId>, Unavailable> {
        self.open_under(&OPEN_BY_SCOPE, scope, limit)
    }

    fn open_through(&self, holder: &Uid, limit: usize) -> Result<Vec<ActivationId>, Unavailable> {
        self.open_under(&OPEN_BY_HOLDER, holder, limit)
    }

    fn open_at_all(&self, limit: usize) -> Result<Vec<ActivationId>, Unavailable> {
        self.first_ids(&OPEN_BY_TIME, limit)
    }

    fn pending_requests(&self, limit: usize) -> Result<Vec<ActivationId>, Unavailable> {
        self.first_ids(&PENDING, limit)
    }

    fn timed_assignments(&self, limit: usize) -> Result<Vec<AssignmentId>, Unavailable> {
        let at = self.at();
        let timed = |row: Result<(AssignmentId, Assignment), Unavailable>| {
            row.map(|(id, assignment)| is_timed(&assignment).then_some(id)).transpose()
        };
        ASSIGNMENTS.scan(&at, Span::all(), Order::Up)?.filter_map(timed).take(limit).collect()
    }

    fn grant_request(&self, id: &GrantRequestId) -> Result<Option<Arc<GrantRequest>>, Unavailable> {
        Ok(GRANT_REQUESTS.get(&self.at(), id)?.map(Arc::new))
    }

    fn pending_about(&self, grant: &GrantRef, limit: usize) -> Result<Vec<GrantRequestId>, Unavailable> {
        let at = self.at();
        let found = GRANT_REQUESTS_PENDING.scan(&at, Span::beginning(grant), Order::Up)?;
        found.take(limit).map(|row| row.map(|((_, id), ())| id)).collect()
    }

    fn day_use(&self, principal: &Uid, role: &RoleName, day: Day) -> Result<DayUse, Unavailable> {
        Ok(DAY_USES.get(&self.at(), &(principal.clone(), role.clone(), day))?.unwrap_or_default())
    }

    fn stored_children(&self, parent: &Uid, after: Option<&Uid>, limit: usize) -> Result<Vec<Uid>, Unavailable> {
        let mut span = Span::beginning(parent);
        if let Some(after) = after {
            span = span.after(&(parent.clone(), after.clone()));
        }
        let at = self.at();
        let found = CHILDREN.scan(&at, span, Order::Up)?;
        found.take(limit).map(|row| row.map(|((_, child), ())| child)).collect()
    }

    fn stored_by_fold(&self, kind: &str, folded: &str) -> Result<Option<Uid>, Unavailable> {
        let at = self.at();
        let prefix = (Label(kind.to_owned()), Label(folded.to_owned()));
        let found = FOLDS.scan(&at, Span::beginning(&prefix), Order::Up)?.next().transpose()?;
        // What was asked for is not a name yet and may hold anything, a zero byte too.
        Ok(found.map(|((_, _, uid), ())| uid).filter(|uid| uid.kind() == kind && fold(uid.id()) == folded))
    }

    fn cascade_waits(&self, cause: &Cause) -> Result<bool, Unavailable> {
        Ok(CASCADES.get(&self.at(), cause)?.is_some())
    }

    fn standing_grants(
        &self,
        role: Option<&RoleName>,
        after: Option<&(RoleName, GrantRef)>,
        limit: usize,
    ) -> Result<Vec<(RoleName, GrantRef)>, Unavailable> {
        let mut span = role.map_or_else(Span::all, Span::beginning);
        if let Some(after) = after {
            span = span.after(after);
        }
        let at = self.at();
        let found = GRANTS_BY_ROLE.scan(&at, span, Order::Up)?;
        found.take(limit).map(|row| row.map(|(key, ())| key)).collect()
    }

    fn last_activation(&self, eligibility: &EligibilityId) -> Result<Option<Timestamp>, Unavailable> {
        LAST_ACTIVATIONS.get(&self.at(), eligibility)
    }

    fn last_check(&self, grant: &GrantRef) -> Result<Option<Timestamp>, Unavailable> {
        LAST_CHECKS.get(&self.at(), grant)
    }

    fn review_definition(&self, id: &ReviewDefinitionId) -> Result<Option<Arc<ReviewDefinition>>, Unavailable> {
        Ok(REVIEW_DEFINITIONS.get(&self.at(), id)?.map(Arc::new))
    }

    fn review(&self, id: &ReviewId) -> Result<Option<Arc<Review>>, Unavailable> {
        Ok(REVIEWS.get(&self.at(), id)?.map(Arc::new))
    }

    fn review_entry(&self, id: &ReviewId, subject: &Subject) -> Result<Option<Arc<ReviewEntry>>, Unavailable> {
        Ok(REVIEW_ENTRIES.get(&self.at(), &(id.clone(), subject.clone()))?.map(Arc::new))
    }

    fn review_entries(&self, id: &ReviewId, after: Option<&Subject>, limit: usize) -> Result<Vec<Arc<ReviewEntry>>, Unavailable> {
        let mut span = Span::beginning(id);
        if let Some(after) = after {
            span = span.after(&(id.clone(), after.clone()));
        }
        let at = self.at();
        let found = REVIEW_ENTRIES.scan(&at, span, Order::Up)?;
        found.take(limit).map(|row| row.map(|(_, entry)| Arc::new(entry))).collect()
    }

    fn incident(&self, id: &IncidentId) -> Result<Option<Arc<Incident>>, Unavailable> {
        Ok(INCIDENTS.get(&self.at(), id)?.map(Arc::new))
    }

    fn latest_incident(&self, kind: AlertKind, subject: &AlertSubject) -> Result<Option<IncidentId>, Unavailable> {
        LATEST_INCIDENTS.get(&self.at(), &(kind, subject.clone()))
    }

    fn alert_tally(&self, kind: AlertKind, severity: Severity) -> Result<AlertTally, Unavailable> {
        Ok(ALERT_TALLIES.get(&self.at(), &(kind, severity))?.unwrap_or_default())
    }

    fn remembered(&self, caller: &Uid, key: &IdempotencyKey) -> Result<Option<(Timestamp, Remembered)>, Unavailable> {
        REMEMBERED.get(&self.at(), &(caller.clone(), key.clone()))
    }
}

impl Reader for Store {
    fn head(&self) -> Head {
        Head::clone(&self.head.load())
    }

    fn mark(&self) -> Timestamp {
        self.current_mark()
    }

    fn anchor(&self) -> Result<Option<Anchor>, Unavailable> {
        Ok(maybe_meta::<AnchorRow>(&self.at(), MetaKey::Anchor)?.map(Anchor::from))
    }

    fn save_mark(&self, mark: Timestamp, anchor: &Anchor) -> Result<(), Unavailable> {
        self.raise_mark(mark, anchor).map_err(Unavailable)
    }

    fn inner_rows(&self) -> Result<Vec<InnerRow>, Unavailable> {
        let at = At::pinned(&self.db);
        let mut inner = Vec::new();
        let mut span = Span::all();
        // One step for each parent, however many children it has.
        while let Some(row) = CHILDREN.scan(&at, span.clone(), Order::Up)?.next() {
            let ((parent, _), ()) = row?;
            span = span.past(&parent);
            let row = ROWS.get(&at, &parent)?.map(Arc::new);
            inner.push((parent, row));
        }
        Ok(inner)
    }

    fn role_rows(&self) -> Result<HashMap<RoleName, RoleRow>, Unavailable> {
        ROLES.scan(&self.at(), Span::all(), Order::Up)?.collect()
    }

    fn bundle(&self, revision: &Revision) -> Result<Option<Vec<u8>>, Unavailable> {
        Ok(BUNDLES.get(&self.at(), revision)?.map(|Raw(bytes)| bytes))
    }

    fn live_since(&self) -> Result<Option<Timestamp>, Unavailable> {
        let since = meta(&self.at(), MetaKey::LiveSince)?;
        Ok(self.head.load().revision.as_ref().map(|_| since))
    }

    fn next_due(&self) -> Result<Option<Timestamp>, Unavailable> {
        let at = self.at();
        let first = TIMERS.scan(&at, Span::all(), Order::Up)?.next().transpose()?;
        Ok(first.map(|((at, _), ())| at))
    }

    fn due(&self, now: Timestamp, limit: usize) -> Result<Vec<Due>, Unavailable> {
        let at = self.at();
        let timers = TIMERS.scan(&at, Span::all(), Order::Up)?.take(limit);
        let due = timers.take_while(|row| row.as_ref().map_or(true, |((at, _), ())| *at <= now));
        due.map(|row| row.map(|((_, due), ())| due)).collect()
    }

    fn activations(&self, filter: &ActivationFilter, page: &Page) -> Result<Listing<Arc<Activation>>, Unavailable> {
        self.list_activations(filter, page)
    }

    fn pending(&self, page: &Page) -> Result<Listing<Arc<Activation>>, Unavailable> {
        self.list_pending(page)
    }

    fn eligibilities(&self, filter: &GrantFilter, page: &Page) -> Result<Listing<Arc<Eligibility>>, Unavailable> {
        self.list_eligibilities(filter, page)
    }

    fn assignments(&self, filter: &GrantFilter, page: &Page) -> Result<Listing<Arc<Assignment>>, Unavailable> {
        self.list_assignments(filter, page)
    }

    fn grant_requests(&self, filter: &GrantRequestFilter, page: &Page) -> Result<Listing<Arc<GrantRequest>>, Unavailable> {
        self.list_grant_requests(filter, page)
    }

    fn review_definitions(&self, page: &Page) -> Result<Listing<Arc<ReviewDefinition>>, Unavailable> {
        self.list_review_definitions(page)
    }

    fn reviews(&self, filter: &ReviewFilter, page: &Page) -> Result<Listing<Arc<Review>>, Unavailable> {
        self.list_reviews(filter, page)
    }

    fn review_items(&self, id: &ReviewId, holder: Option<&Uid>, page: &Page) -> Result<Listing<Arc<ReviewEntry>>, Unavailable> {
        self.list_review_items(id, holder, page)
    }

    fn incidents(&self, filter: &IncidentFilter, page: &Page) -> Result<Listing<Arc<Incident>>, Unavailable> {
        self.list_incidents(filter, page)
    }

    fn detection(&self) -> Result<Option<Detectors>, Unavailable> {
        self.kept_detection()
    }

    fn save_detection(&self, state: &Detectors) -> Result<(), Unavailable> {
        self.keep_detection(state)
    }

    fn save_checks(&self, checks: &[(GrantRef, Timestamp)]) -> Result<(), Unavailable> {
        self.note_checks(checks)
    }

    fn entities(&self, kind: Option<&str>, page: &Page) -> Result<Listing<(Uid, Arc<EntityRow>)>, Unavailable> {
        self.list_entities(kind, page)
    }

    fn journal(&self, filter: &AuditFilter, page: &Page) -> Result<Listing<Sealed>, Unavailable> {
        self.list_journal(filter, page)
    }

    fn warm(&self, stop: &dyn Fn() -> bool) {
        let mut from = Vec::new();
        while !stop() && self.image.has_room() {
            match self.warm_some(&mut from) {
                Ok(true) => std::thread::sleep(BREATH),
                Ok(false) => return,
                Err(error) => {
                    // whoever asks for a row that cannot be read is told so then
                    tracing::warn!(%error, "rows could not be read ahead");
                    return;
                }
            }
        }
    }

    fn active_count(&self) -> u64 {
        self.active.load(Ordering::Acquire)
    }
}
