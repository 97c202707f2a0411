//! Taking the items of a review: a piece in each record, from the first grant to the last, with the marks of use as they stand.

use std::collections::HashMap;

use crate::domain::decide::Case;
use crate::domain::event::Event;
use crate::domain::facts::Unavailable;
use crate::domain::grant::{Assignment, Eligibility, GrantRef, Under};
use crate::domain::id::{RoleName, Uid};
use crate::domain::review::{MAX_ITEMS, Recommendation, Review, ReviewItem, Subject, Taken};
use crate::domain::standing::{path, still_stands};
use crate::domain::time::{Duration, Timestamp, Window};

/// Most items that one record takes.
const MAX_TAKEN: usize = 400;
/// Most bytes of JSON that they take.
const MAX_TAKEN_BYTES: usize = 128 * 1024;
/// Most grants that are looked at for one record.
const MAX_LOOKED_AT: usize = 2000;
/// Grants that are read at a time.
const PAGE: usize = 500;

/// A piece of a snapshot, and whether it was the last one.
pub(super) struct Piece {
    pub(super) event: Event,
    pub(super) done: bool,
}

/// The next piece.
pub(super) fn piece(case: &Case<'_>, review: &Review, after: Option<&Taken>) -> Result<Piece, Unavailable> {
    let mut taking = Taking { case, review, scopes: HashMap::new(), items: Vec::new(), bytes: 0, full: false };
    let mut last = after.map(|taken| (taken.role.clone(), taken.grant.clone()));
    let mut looked_at = 0;
    let mut done = false;
    while !done && !taking.is_full() && looked_at < MAX_LOOKED_AT {
        let page = next_grants(case, review, last.as_ref())?;
        done = page.is_empty();
        for (role, grant) in page {
            if taking.is_full() {
                break;
            }
            looked_at += 1;
            if review.plan.covers.includes(&grant) {
                taking.look_at(&grant)?;
            }
            last = Some((role, grant));
        }
    }
    let truncated = taking.full;
    let after = last.map(|(role, grant)| Taken { role, grant });
    let event = Event::ReviewItemsTaken { id: review.id.clone(), items: taking.items, after, truncated };
    Ok(Piece { event, done: done || truncated })
}

/// Grants that come next, of the roles that are reviewed.
fn next_grants(case: &Case<'_>, review: &Review, last: Option<&(RoleName, GrantRef)>) -> Result<Vec<(RoleName, GrantRef)>, Unavailable> {
    if review.plan.roles.is_empty() {
        return case.facts.standing_grants(None, last, PAGE);
    }
    let mut roles: Vec<&RoleName> = review.plan.roles.iter().collect();
    roles.sort();
    roles.dedup();
    for role in roles {
        if last.is_some_and(|(last, _)| role < last) {
            continue;
        }
        let found = case.facts.standing_grants(Some(role), last.filter(|(last, _)| last == role), PAGE)?;
        if !found.is_empty() {
            return Ok(found);
        }
    }
    Ok(Vec::new())
}

struct Taking<'a> {
    case: &'a Case<'a>,
    review: &'a Review,
    /// Whether a scope is one that is reviewed, or below one.
    scopes: HashMap<Uid, bool>,
    items: Vec<ReviewItem>,
    bytes: usize,
    /// Whether the review takes no more items at all.
    full: bool,
}

/// What both kinds of grants have.
struct Grant {
    holder: Uid,
    role: RoleName,
    scope: Option<Uid>,
    window: Window,
    under: Under,
    granted_at: Timestamp,
    last_activation: Option<Timestamp>,
}

impl Taking<'_> {
    fn is_full(&self) -> bool {
        self.full || self.items.len() >= MAX_TAKEN || self.bytes >= MAX_TAKEN_BYTES
    }

    fn look_at(&mut self, of: &GrantRef) -> Result<(), Unavailable> {
        let (facts, opened_at) = (self.case.facts, self.review.opened_at);
        let Some(grant) = self.load(of)? else { return Ok(()) };
        // What was given while the snapshot was being taken is not part of it.
        let there = grant.granted_at <= opened_at && !grant.window.ended(self.case.now());
        let stands = there && still_stands(facts, &grant.holder, &grant.role, grant.scope.as_ref(), &grant.under)?.is_ok();
        if !stands || !self.in_scope(grant.scope.as_ref())? {
            return Ok(());
        }
        let last_check = facts.last_check(of)?;
        let unused = Duration::from_days(u64::from(self.review.plan.unused_days()));
        let recent = |at: Option<Timestamp>| at.is_some_and(|at| at.plus(unused) > opened_at);
        let used = recent(grant.last_activation) || recent(last_check) || recent(Some(grant.granted_at.max(grant.window.start)));
        if used && self.review.plan.inactive_days.is_some() {
            return Ok(());
        }
        let taken = u32::try_from(self.items.len()).unwrap_or(MAX_ITEMS);
        if self.review.tally.items.saturating_add(taken) >= MAX_ITEMS {
            self.full = true;
            return Ok(());
        }
        let recommendation = Some(if used { Recommendation::Approve } else { Recommendation::Deny });
        let Grant { holder, role, scope, window, granted_at, last_activation, under: _ } = grant;
        let subject = Subject::from(of.clone());
        let item = ReviewItem { subject, holder, role, scope, window, granted_at, last_activation, last_check, recommendation };
        self.bytes += serde_json::to_string(&item).map_or(MAX_TAKEN_BYTES, |text| text.len());
        self.items.push(item);
        Ok(())
    }

    /// A grant that is not recorded as ended.
    fn load(&self, of: &GrantRef) -> Result<Option<Grant>, Unavailable> {
        let facts = self.case.facts;
        Ok(match of {
            GrantRef::Eligibility(id) => {
                let last_activation = facts.last_activation(id)?;
                let found = facts.eligibility(id)?.filter(|found| found.ended.is_none());
                found.map(|found| {
                    let Eligibility { holder, role, scope, window, under, granted_at, .. } = (*found).clone();
                    Grant { holder, role, scope, window, under, granted_at, last_activation }
                })
            }
            GrantRef::Assignment(id) => {
                let found = facts.assignment(id)?.filter(|found| found.ended.is_none());
                found.map(|found| {
                    let Assignment { holder, role, scope, window, under, granted_at, .. } = (*found).clone();
                    Grant { holder, role, scope, window, under, granted_at, last_activation: None }
                })
            }
        })
    }

    fn in_scope(&mut self, scope: Option<&Uid>) -> Result<bool, Unavailable> {
        let wanted = &self.review.plan.scopes;
        if wanted.is_empty() {
            return Ok(true);
        }
        let Some(scope) = scope else { return Ok(false) };
        if let Some(known) = self.scopes.get(scope) {
            return Ok(*known);
        }
        let within = path(self.case.facts, scope)?.iter().any(|above| wanted.contains(above));
        self.scopes.insert(scope.clone(), within);
        Ok(within)
    }
}
