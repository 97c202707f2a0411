//! What follows from a row: its entries in the indexes and among the timers. Pure, so that a commit and a rebuild cannot differ.

use std::collections::BTreeSet;

use super::family::{
    ACTIVATIONS_BY_PRINCIPAL, ACTIVATIONS_BY_TIME, ASSIGNMENTS_BY_HOLDER, CHILDREN, ELIGIBILITIES_BY_HOLDER, Entry, FOLDS,
    GRANT_REQUESTS_BY_TIME, GRANT_REQUESTS_PENDING, GRANTS_BY_ROLE, INCIDENTS_BY_TIME, INCIDENTS_LASTING, OPEN_BY_ELIGIBILITY,
    OPEN_BY_HOLDER, OPEN_BY_ROLE, OPEN_BY_SCOPE, OPEN_BY_TIME, PENDING, REMEMBERED_BY_TIME, REVIEW_ENTRIES_BY_HOLDER, REVIEWS_BY_TIME,
    TIMERS,
};
use super::key::Label;
use crate::domain::alert::Incident;
use crate::domain::command::Due;
use crate::domain::event::Timer;
use crate::domain::grant::{ActivationState, Cause, GrantRef, GrantRequestState};
use crate::domain::id::IdempotencyKey;
use crate::domain::overlay::{
    activation_timer, assignment_timer, eligibility_timer, grant_request_timer, is_pending, review_definition_timer, review_timer,
};
use crate::domain::settings::EntityDef;
use crate::domain::{Activation, Assignment, Eligibility, GrantRequest, Review, ReviewDefinition, ReviewEntry, RoleName, Timestamp, Uid};

fn timer(timer: Timer) -> Entry {
    TIMERS.entry(&(timer.at, timer.due))
}

/// Of what the API stored under a name.
pub(super) fn of_stored(def: &EntityDef) -> Vec<Entry> {
    let uid = &def.uid;
    let fold = FOLDS.entry(&(Label(uid.kind().to_owned()), Label(uid.fold()), uid.clone()));
    // two sources may have written the same edge
    let parents: BTreeSet<&Uid> = def.parents.iter().map(|edge| &edge.parent).collect();
    let parents = parents.into_iter().map(|parent| CHILDREN.entry(&(parent.clone(), uid.clone())));
    std::iter::once(fold).chain(parents).collect()
}

/// Of an activation.
pub(super) fn of_activation(activation: &Activation) -> Vec<Entry> {
    let id = || activation.id.clone();
    let by_time = (activation.requested_at, id());
    let mut entries = vec![
        ACTIVATIONS_BY_TIME.entry(&by_time),
        ACTIVATIONS_BY_PRINCIPAL.entry(&(activation.principal.clone(), activation.requested_at, id())),
    ];
    if activation.is_open() {
        entries.push(OPEN_BY_TIME.entry(&by_time));
        entries.push(OPEN_BY_ELIGIBILITY.entry(&(activation.basis.eligibility.clone(), id())));
        entries.push(OPEN_BY_ROLE.entry(&(activation.role.clone(), id())));
        entries.push(OPEN_BY_HOLDER.entry(&(activation.basis.holder.clone(), id())));
        entries.extend(activation.scope.clone().map(|scope| OPEN_BY_SCOPE.entry(&(scope, id()))));
    }
    if is_pending(activation) {
        entries.push(PENDING.entry(&by_time));
    }
    entries.extend(activation_timer(activation).map(timer));
    entries
}

/// Of an eligibility.
pub(super) fn of_eligibility(eligibility: &Eligibility) -> Vec<Entry> {
    let by_holder = ELIGIBILITIES_BY_HOLDER.entry(&(eligibility.holder.clone(), eligibility.id.clone()));
    let by_role = by_role(&eligibility.role, GrantRef::Eligibility(eligibility.id.clone()), eligibility.ended.is_none());
    std::iter::once(by_holder).chain(by_role).chain(eligibility_timer(eligibility).map(timer)).collect()
}

/// Of an assignment.
pub(super) fn of_assignment(assignment: &Assignment) -> Vec<Entry> {
    let by_holder = ASSIGNMENTS_BY_HOLDER.entry(&(assignment.holder.clone(), assignment.id.clone()));
    let by_role = by_role(&assignment.role, GrantRef::Assignment(assignment.id.clone()), assignment.ended.is_none());
    std::iter::once(by_holder).chain(by_role).chain(assignment_timer(assignment).map(timer)).collect()
}

fn by_role(role: &RoleName, grant: GrantRef, stands: bool) -> Option<Entry> {
    stands.then(|| GRANTS_BY_ROLE.entry(&(role.clone(), grant)))
}

/// Of a review definition.
pub(super) fn of_review_definition(definition: &ReviewDefinition) -> Vec<Entry> {
    review_definition_timer(definition).map(timer).into_iter().collect()
}

/// Of a review.
pub(super) fn of_review(review: &Review) -> Vec<Entry> {
    let by_time = REVIEWS_BY_TIME.entry(&(review.opened_at, review.id.clone()));
    std::iter::once(by_time).chain(review_timer(review).map(timer)).collect()
}

/// Of an item of a review.
pub(super) fn of_review_entry(entry: &ReviewEntry) -> Vec<Entry> {
    vec![REVIEW_ENTRIES_BY_HOLDER.entry(&(entry.review.clone(), entry.item.holder.clone(), entry.item.subject.clone()))]
}

/// Of an incident.
pub(super) fn of_incident(incident: &Incident) -> Vec<Entry> {
    let by_time = (incident.raised_at, incident.id.clone());
    let lasting = incident.lasts().then(|| INCIDENTS_LASTING.entry(&by_time));
    std::iter::once(INCIDENTS_BY_TIME.entry(&by_time)).chain(lasting).collect()
}

/// Of a request to extend or renew.
pub(super) fn of_grant_request(request: &GrantRequest) -> Vec<Entry> {
    let mut entries = vec![GRANT_REQUESTS_BY_TIME.entry(&(request.requested_at, request.id.clone()))];
    if request.state == GrantRequestState::Pending {
        entries.push(GRANT_REQUESTS_PENDING.entry(&(request.grant.clone(), request.id.clone())));
    }
    entries.extend(grant_request_timer(request).map(timer));
    entries
}

/// Of a cascade that waits to go on.
pub(super) fn of_cascade(cause: &Cause, since: Timestamp) -> Vec<Entry> {
    vec![timer(Timer { at: since, due: Due::Cascade(cause.clone()) })]
}

/// Of what a repeated command gets.
pub(super) fn of_remembered(caller: &Uid, key: &IdempotencyKey, at: Timestamp) -> Vec<Entry> {
    vec![REMEMBERED_BY_TIME.entry(&(at, caller.clone(), key.clone()))]
}

/// Whether it is recorded as active.
pub(super) fn is_active(activation: &Activation) -> bool {
    matches!(activation.state, ActivationState::Active { .. })
}
