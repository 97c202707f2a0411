//! Lists for people: filtered, in pages, as of one moment. A call looks at a bounded number of rows and then hands back a cursor, so that no
//! filter, however rare its matches, holds a thread for long.

use std::sync::Arc;

use super::Store;
use super::family::{
    ACTIVATIONS, ACTIVATIONS_BY_PRINCIPAL, ACTIVATIONS_BY_TIME, ASSIGNMENTS, ASSIGNMENTS_BY_HOLDER, At, ELIGIBILITIES,
    ELIGIBILITIES_BY_HOLDER, Family, GRANT_REQUESTS, GRANT_REQUESTS_BY_TIME, INCIDENTS, INCIDENTS_BY_TIME, INCIDENTS_LASTING, JOURNAL,
    OPEN_BY_TIME, Order, PENDING, REVIEW_DEFINITIONS, REVIEW_ENTRIES, REVIEW_ENTRIES_BY_HOLDER, REVIEWS, REVIEWS_BY_TIME, ROWS, Span,
};
use super::filter::{Matcher, decided_at};
use super::key::{Key, Label, Seq};
use super::value::{Raw, Value};
use crate::audit;
use crate::domain::alert::{Incident, IncidentStatus};
use crate::domain::grant::{ActivationStatus, EntityRow};
use crate::domain::review::{ReviewOf, Subject};
use crate::domain::{
    Activation, ActivationId, Assignment, Eligibility, GrantRequest, GrantRequestId, IncidentId, Review, ReviewDefinition,
    ReviewDefinitionId, ReviewEntry, ReviewId, RoleName, Timestamp, Uid, Unavailable,
};
use crate::engine::ports::{
    ActivationFilter, AuditFilter, GrantFilter, GrantRequestFilter, IncidentFilter, Listing, MAX_EXAMINED, Page, ReviewFilter, Sealed,
    subject_cursor,
};

/// Records in one page, in bytes: more than this ends it early.
const PAGE_BYTES: usize = 8 << 20;

/// One page: walks rows in order, keeps those that are wanted, and stops at its bounds.
pub(super) fn gather<P, V, T>(
    rows: impl Iterator<Item = Result<(P, V), Unavailable>>,
    page: &Page,
    cursor: impl Fn(&P) -> String,
    weigh: impl Fn(&T) -> usize,
    mut keep: impl FnMut(&P, V) -> Result<Option<T>, Unavailable>,
) -> Result<Listing<T>, Unavailable> {
    let (mut items, mut bytes, mut last) = (Vec::new(), 0_usize, None);
    for (examined, row) in rows.enumerate() {
        if examined == MAX_EXAMINED || items.len() == page.bounded() || bytes >= PAGE_BYTES {
            return Ok(Listing { items, next: last.as_ref().map(cursor) });
        }
        let (position, value) = row?;
        if let Some(item) = keep(&position, value)? {
            bytes = bytes.saturating_add(weigh(&item));
            items.push(item);
        }
        last = Some(position);
    }
    Ok(Listing { items, next: None })
}

/// Most kinds of item are small.
fn light<T>(_: &T) -> usize {
    0
}

fn cursor_of<T: std::fmt::Display>((at, id): &(Timestamp, T)) -> String {
    format!("{}.{id}", at.millis())
}

/// The row that an index entry points to.
fn pointed<K: Key + std::fmt::Debug, V: Value>(at: &At<'_>, family: &Family<K, V>, id: &K) -> Result<V, Unavailable> {
    family.get(at, id)?.ok_or_else(|| {
        Unavailable(format!("an index names {id:?} and `{}` does not hold it; run `elevon rebuild` to see what else differs", family.name))
    })
}

impl Store {
    pub(super) fn list_activations(&self, filter: &ActivationFilter, page: &Page) -> Result<Listing<Arc<Activation>>, Unavailable> {
        let after = page.after_request::<ActivationId>()?;
        let at = At::pinned(&self.db);
        let keep = |(_, id): &(Timestamp, ActivationId), ()| {
            let activation = pointed(&at, &ACTIVATIONS, id)?;
            let wanted = filter.principal.as_ref().is_none_or(|principal| activation.principal == *principal)
                && filter.role.as_ref().is_none_or(|role| activation.role == *role)
                && filter.status.is_none_or(|status| activation.status(filter.now) == status)
                && filter.from.is_none_or(|from| activation.requested_at >= from)
                && filter.to.is_none_or(|to| activation.requested_at < to);
            Ok(wanted.then(|| Arc::new(activation)))
        };
        if let Some(principal) = &filter.principal {
            let mut span = Span::beginning(principal);
            if let Some(from) = filter.from {
                span = span.starting(&(principal.clone(), from));
            }
            if let Some(to) = filter.to {
                span = span.before(&(principal.clone(), to));
            }
            if let Some((when, id)) = after {
                span = span.before(&(principal.clone(), when, id));
            }
            let rows = ACTIVATIONS_BY_PRINCIPAL.scan(&at, span, Order::Down)?;
            return gather(rows.map(|row| row.map(|((_, when, id), ())| ((when, id), ()))), page, cursor_of, light, keep);
        }
        let index = match filter.status {
            Some(ActivationStatus::Pending) => &PENDING,
            Some(ActivationStatus::Active | ActivationStatus::Scheduled) => &OPEN_BY_TIME,
            Some(
                ActivationStatus::Approved
                | ActivationStatus::Denied
                | ActivationStatus::Cancelled
                | ActivationStatus::TimedOut
                | ActivationStatus::Failed
                | ActivationStatus::Deactivated
                | ActivationStatus::Revoked
                | ActivationStatus::Expired,
            )
            | None => &ACTIVATIONS_BY_TIME,
        };
        let mut span = Span::all();
        if let Some(from) = filter.from {
            span = span.starting(&from);
        }
        if let Some(to) = filter.to {
            span = span.before(&to);
        }
        if let Some(after) = after {
            span = span.before(&after);
        }
        gather(index.scan(&at, span, Order::Down)?, page, cursor_of, light, keep)
    }

    pub(super) fn list_grant_requests(&self, filter: &GrantRequestFilter, page: &Page) -> Result<Listing<Arc<GrantRequest>>, Unavailable> {
        let at = At::pinned(&self.db);
        let keep = |(_, id): &(Timestamp, GrantRequestId), ()| {
            let request = pointed(&at, &GRANT_REQUESTS, id)?;
            let wanted = filter.holder.as_ref().is_none_or(|holder| request.holder == *holder)
                && filter.role.as_ref().is_none_or(|role| request.role == *role)
                && filter.status.as_ref().is_none_or(|status| request.status(filter.now).0 == status);
            Ok(wanted.then(|| Arc::new(request)))
        };
        let span = page.after_request::<GrantRequestId>()?.map_or_else(Span::all, |after| Span::all().before(&after));
        gather(GRANT_REQUESTS_BY_TIME.scan(&at, span, Order::Down)?, page, cursor_of, light, keep)
    }

    pub(super) fn list_pending(&self, page: &Page) -> Result<Listing<Arc<Activation>>, Unavailable> {
        let at = At::pinned(&self.db);
        let span = page.after_request::<ActivationId>()?.map_or_else(Span::all, |after| Span::all().after(&after));
        let rows = PENDING.scan(&at, span, Order::Up)?;
        gather(rows, page, cursor_of, light, |(_, id), ()| pointed(&at, &ACTIVATIONS, id).map(|found| Some(Arc::new(found))))
    }

    pub(super) fn list_eligibilities(&self, filter: &GrantFilter, page: &Page) -> Result<Listing<Arc<Eligibility>>, Unavailable> {
        let wanted = |found: &Eligibility| wanted(filter, &found.role, found.ended.is_some());
        self.list_grants(&ELIGIBILITIES, &ELIGIBILITIES_BY_HOLDER, filter.holder.as_ref(), page, wanted)
    }

    pub(super) fn list_assignments(&self, filter: &GrantFilter, page: &Page) -> Result<Listing<Arc<Assignment>>, Unavailable> {
        let wanted = |found: &Assignment| wanted(filter, &found.role, found.ended.is_some());
        self.list_grants(&ASSIGNMENTS, &ASSIGNMENTS_BY_HOLDER, filter.holder.as_ref(), page, wanted)
    }

    fn list_grants<K, V>(
        &self,
        family: &Family<K, V>,
        by_holder: &Family<(Uid, K), ()>,
        holder: Option<&Uid>,
        page: &Page,
        wanted: impl Fn(&V) -> bool,
    ) -> Result<Listing<Arc<V>>, Unavailable>
    where
        K: Key + Clone + std::fmt::Debug + std::fmt::Display + TryFrom<String>,
        V: Value,
    {
        let after = page.after_id::<K>()?;
        let at = At::pinned(&self.db);
        let keep = |found: V| wanted(&found).then(|| Arc::new(found));
        match holder {
            None => {
                let span = after.map_or_else(Span::all, |after| Span::all().after(&after));
                let rows = family.scan(&at, span, Order::Up)?;
                gather(rows, page, K::to_string, light, |_, found| Ok(keep(found)))
            }
            Some(holder) => {
                let mut span = Span::beginning(holder);
                if let Some(after) = after {
                    span = span.after(&(holder.clone(), after));
                }
                let rows = by_holder.scan(&at, span, Order::Up)?;
                let rows = rows.map(|row| row.map(|((_, id), ())| (id, ())));
                gather(rows, page, K::to_string, light, |id, ()| pointed(&at, family, id).map(keep))
            }
        }
    }

    pub(super) fn list_review_definitions(&self, page: &Page) -> Result<Listing<Arc<ReviewDefinition>>, Unavailable> {
        let span = page.after_id::<ReviewDefinitionId>()?.map_or_else(Span::all, |after| Span::all().after(&after));
        let at = At::pinned(&self.db);
        let rows = REVIEW_DEFINITIONS.scan(&at, span, Order::Up)?;
        gather(rows, page, ReviewDefinitionId::to_string, light, |_, found| Ok(Some(Arc::new(found))))
    }

    pub(super) fn list_reviews(&self, filter: &ReviewFilter, page: &Page) -> Result<Listing<Arc<Review>>, Unavailable> {
        let at = At::pinned(&self.db);
        let of = |review: &Review, id: &ReviewDefinitionId| matches!(&review.of, ReviewOf::Definition(of) if of == id);
        let keep = |(_, id): &(Timestamp, ReviewId), ()| {
            let review = pointed(&at, &REVIEWS, id)?;
            let wanted = filter.status.is_none_or(|status| review.status() == status)
                && filter.definition.as_ref().is_none_or(|definition| of(&review, definition));
            Ok(wanted.then(|| Arc::new(review)))
        };
        let span = page.after_request::<ReviewId>()?.map_or_else(Span::all, |after| Span::all().before(&after));
        gather(REVIEWS_BY_TIME.scan(&at, span, Order::Down)?, page, cursor_of, light, keep)
    }

    pub(super) fn list_review_items(
        &self,
        id: &ReviewId,
        holder: Option<&Uid>,
        page: &Page,
    ) -> Result<Listing<Arc<ReviewEntry>>, Unavailable> {
        let after = page.after_subject()?;
        let at = At::pinned(&self.db);
        let cursor = |(_, subject): &(ReviewId, Subject)| subject_cursor(subject);
        let Some(holder) = holder else {
            let mut span = Span::beginning(id);
            if let Some(after) = after {
                span = span.after(&(id.clone(), after));
            }
            return gather(REVIEW_ENTRIES.scan(&at, span, Order::Up)?, page, cursor, light, |_, found| Ok(Some(Arc::new(found))));
        };
        let mut span = Span::beginning(&(id.clone(), holder.clone()));
        if let Some(after) = after {
            span = span.after(&(id.clone(), holder.clone(), after));
        }
        let rows = REVIEW_ENTRIES_BY_HOLDER.scan(&at, span, Order::Up)?;
        let rows = rows.map(|row| row.map(|((id, _, subject), ())| ((id, subject), ())));
        gather(rows, page, cursor, light, |key, ()| pointed(&at, &REVIEW_ENTRIES, key).map(|found| Some(Arc::new(found))))
    }

    pub(super) fn list_incidents(&self, filter: &IncidentFilter, page: &Page) -> Result<Listing<Arc<Incident>>, Unavailable> {
        let at = At::pinned(&self.db);
        let keep = |(_, id): &(Timestamp, IncidentId), ()| {
            let incident = pointed(&at, &INCIDENTS, id)?;
            Ok(filter.means(&incident).then(|| Arc::new(incident)))
        };
        let index = match filter.status {
            Some(IncidentStatus::Open | IncidentStatus::Dismissed) => &INCIDENTS_LASTING,
            Some(IncidentStatus::Cleared) | None => &INCIDENTS_BY_TIME,
        };
        let mut span = Span::all();
        if let Some(from) = filter.from {
            span = span.starting(&from);
        }
        if let Some(to) = filter.to {
            span = span.before(&to);
        }
        if let Some(after) = page.after_request::<IncidentId>()? {
            span = span.before(&after);
        }
        gather(index.scan(&at, span, Order::Down)?, page, cursor_of, light, keep)
    }

    pub(super) fn list_entities(&self, kind: Option<&str>, page: &Page) -> Result<Listing<(Uid, Arc<EntityRow>)>, Unavailable> {
        let mut span = kind.map_or_else(Span::all, |kind| Span::beginning(&Label(kind.to_owned())));
        if let Some(after) = page.after_uid()? {
            span = span.after(&after);
        }
        let at = At::pinned(&self.db);
        gather(ROWS.scan(&at, span, Order::Up)?, page, Uid::to_string, light, |uid, row| {
            Ok(kind.is_none_or(|kind| uid.kind() == kind).then(|| (uid.clone(), Arc::new(row))))
        })
    }

    pub(super) fn list_journal(&self, filter: &AuditFilter, page: &Page) -> Result<Listing<Sealed>, Unavailable> {
        // A record is there for nobody before what it changed is: a commit is in the database before rows that are held in memory follow it.
        let mut span = Span::all().before(&Seq(self.head.load().seq.saturating_add(1)));
        let at = At::pinned(&self.db);
        if let Some(from) = filter.from {
            span = span.starting(&first_decided(&at, from)?);
        }
        if let Some(to) = filter.to {
            span = span.before(&first_decided(&at, to)?);
        }
        if let Some(after) = page.after_record()? {
            span = if filter.newest_first { span.before(&Seq(after)) } else { span.after(&Seq(after)) };
        }
        let matcher = Matcher::new(&at, filter);
        let rows = JOURNAL.scan(&at, span, if filter.newest_first { Order::Down } else { Order::Up })?;
        let mut last = None;
        let keep = |seq: &Seq, Raw(bytes): Raw| {
            let when = match decided_at(&bytes).or(last.filter(|_| !filter.newest_first)) {
                Some(when) => when,
                None => decided_by(&at, seq.0)?.unwrap_or_default(),
            };
            last = Some(when);
            let meant = matcher.matches(when, &bytes)?;
            Ok(meant.then(|| Sealed { seq: seq.0, at: when, hash: audit::hash(&bytes), bytes }))
        };
        gather(rows, page, |seq| seq.0.to_string(), |record: &Sealed| record.bytes.len(), keep)
    }
}

/// Where the records begin that were decided at an instant or later. No record is older than the one before it, so that the place is found by
/// halving: a journal of a million records costs twenty reads, and no walk.
fn first_decided(at: &At<'_>, instant: Timestamp) -> Result<Seq, Unavailable> {
    let last = JOURNAL.scan(at, Span::all(), Order::Down)?.next().transpose()?.map_or(0, |(seq, _)| seq.0);
    let (mut low, mut high) = (1, last.saturating_add(1));
    while low < high {
        let middle = low.midpoint(high);
        match decided_by(at, middle)? {
            Some(when) if when >= instant => high = middle,
            Some(_) | None => low = middle.saturating_add(1),
        }
    }
    Ok(Seq(low))
}

/// When a record was decided. One of which that cannot be read counts as decided with the one before it.
fn decided_by(at: &At<'_>, seq: u64) -> Result<Option<Timestamp>, Unavailable> {
    for row in JOURNAL.scan(at, Span::all().before(&Seq(seq.saturating_add(1))), Order::Down)? {
        let (_, Raw(bytes)) = row?;
        if let Some(when) = decided_at(&bytes) {
            return Ok(Some(when));
        }
    }
    Ok(None)
}

fn wanted(filter: &GrantFilter, role: &RoleName, ended: bool) -> bool {
    (filter.include_ended || !ended) && filter.role.as_ref().is_none_or(|wanted| wanted == role)
}
