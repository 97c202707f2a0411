//! Carries out what was decided. It cannot refuse: replaying the journal meets no business errors.

mod alerts;
mod reviews;

use std::sync::Arc;

use super::command::{Actor, Everything};
use super::event::{Event, Record};
use super::facts::{Rows as _, Tables as _, Unavailable};
use super::grant::{
    Activation, ActivationGrant, ActivationState, Asked, Assignment, AssignmentGrant, Cause, Eligibility, EligibilityGrant, EntityRow,
    GrantEnd, GrantRequest, GrantRequestState, Narrowed, Vote,
};
use super::id::{ActivationId, AssignmentId, EligibilityId, GrantRequestId, Uid};
use super::overlay::Overlay;
use super::text::TextDigest;
use super::time::{Timestamp, Window};

/// Applies a record to what stands. An event about something that is not there changes nothing.
/// The definitions of a bundle that goes live are not in its event: whoever keeps them calls [`Overlay::switch`].
///
/// # Errors
/// The store below cannot be read.
pub fn apply(state: &mut Overlay<'_>, record: &Record) -> Result<(), Unavailable> {
    let mut applying = Applying { state, seq: record.seq, at: record.at, actor: &record.actor };
    for event in &record.events {
        applying.event(event)?;
    }
    if let (Some(remembered), Some(caller)) = (&record.idempotency, record.actor.principal()) {
        let key = (caller.clone(), remembered.key.clone());
        state.changes.remembered.insert(key, (record.at, remembered.clone()));
    }
    Ok(())
}

struct Applying<'s, 'base, 'r> {
    state: &'s mut Overlay<'base>,
    seq: u64,
    at: Timestamp,
    actor: &'r Actor,
}

impl Applying<'_, '_, '_> {
    fn event(&mut self, event: &Event) -> Result<(), Unavailable> {
        match event {
            Event::ActivationRequested { activation } => self.requested(activation),
            Event::ApprovalGiven { id, vote } => self.pending(id, |activation, _| voted(activation, vote)),
            Event::VotesVoided { id, voters } => self.pending(id, |activation, _| {
                activation.votes.retain(|vote| vote.voter.principal().is_none_or(|voter| !voters.contains(voter)));
            }),
            Event::StageReached { id, stage, timeout_at } => {
                let since = self.at;
                self.pending(id, |activation, _| {
                    activation.state = ActivationState::Pending { stage: *stage, timeout_at: *timeout_at, since };
                })
            }
            Event::QuorumUnreachable { .. } | Event::CommandRefused { .. } => Ok(()),
            Event::ActivationScheduled { id, start, begin_by } => {
                let state = ActivationState::Scheduled { start: *start, approved_at: self.at, begin_by: *begin_by };
                self.pending(id, |activation, row| {
                    activation.state = state;
                    put(&mut row.grants.starts, (id.clone(), *start), |(id, _)| id.clone());
                })
            }
            Event::ActivationStarted { id, window, clamped: _ } => self.started(id, *window),
            Event::ActivationExtended { id, by, end: until, clamped: _ } => {
                let state = ActivationState::Approved { at: self.at, end: *until };
                self.pending(by, |activation, row| end(activation, row, state))?;
                self.runs_until(id, *until, 1)
            }
            Event::ActivationClamped { id, end, cause: _ } => self.runs_until(id, *end, 0),
            Event::EmergencyUsed { id, review_by } => self.emergency(id, *review_by),
            Event::ActivationsVoided { of: Everything::Principal(uid), reason: _ } => {
                let seq = self.seq;
                self.row(uid, |row| row.void_before = seq)
            }
            Event::ActivationsVoided { of: Everything::Role(role), reason: _ } => {
                let mut row = self.state.role_row(role)?;
                row.void_before = self.seq;
                self.state.changes.roles.insert(role.clone(), row);
                Ok(())
            }
            Event::ClockAccepted {} => {
                self.state.changes.time_void_before = Some(self.seq);
                Ok(())
            }
            Event::ActivationDenied { id, reason } => {
                let (by, at, reason) = self.ending(*reason);
                self.pending(id, |activation, row| end(activation, row, ActivationState::Denied { by, at, reason }))
            }
            Event::ActivationCancelled { id, reason } => {
                let (by, at, reason) = self.ending(*reason);
                self.not_begun(id, |activation, row| end(activation, row, ActivationState::Cancelled { by, at, reason }))
            }
            Event::ActivationTimedOut { id } => self.pending(id, |activation, row| {
                if let ActivationState::Pending { timeout_at, .. } = activation.state {
                    end(activation, row, ActivationState::TimedOut { at: timeout_at });
                }
            }),
            Event::ActivationFailed { id, cause } => {
                let state = ActivationState::Failed { at: self.at, cause: cause.clone() };
                self.not_begun(id, |activation, row| end(activation, row, state))
            }
            Event::ActivationDeactivated { id, reason } => {
                let (by, at, reason) = self.ending(*reason);
                self.active(id, |window| ActivationState::Deactivated { window, by, at, reason })
            }
            Event::ActivationRevoked { id, reason, cause } => self.revoked(id, *reason, cause.as_ref()),
            Event::ActivationExpired { id } => self.active(id, |window| ActivationState::Expired { window }),
            Event::EligibilityCreated { eligibility } => self.eligible(eligibility),
            Event::EligibilityRemoved { id, reason } => self.eligibility_ended(id, |_, by, at| removed(by, at, *reason)),
            Event::EligibilityExpired { id } => self.eligibility_ended(id, |window, _, at| expired(window, at)),
            Event::EligibilityExtended { id, end } => self.eligibility_runs_until(id, *end),
            Event::AssignmentExtended { id, end } => self.assignment_runs_until(id, *end),
            Event::GrantRequested { request } => {
                self.state.changes.grant_requests.insert(request.id.clone(), request.clone());
                Ok(())
            }
            Event::GrantRequestApproved { id, grant, reason } => {
                let (by, at, reason) = self.ending(*reason);
                self.grant_request(id, |_| GrantRequestState::Approved { by, at, reason, grant: grant.clone() })
            }
            Event::GrantRequestDenied { id, reason } => {
                let (by, at, reason) = self.ending(*reason);
                self.grant_request(id, |_| GrantRequestState::Denied { by, at, reason })
            }
            Event::GrantRequestCancelled { id, reason } => {
                let (by, at, reason) = self.ending(*reason);
                self.grant_request(id, |_| GrantRequestState::Cancelled { by, at, reason })
            }
            Event::GrantRequestTimedOut { id } => self.grant_request(id, |request| GrantRequestState::TimedOut { at: request.expires_at }),
            Event::AssignmentCreated { assignment } => self.assigned(assignment),
            Event::AssignmentRemoved { id, reason } => self.assignment_ended(id, |_, by, at| removed(by, at, *reason)),
            Event::AssignmentExpired { id } => self.assignment_ended(id, |window, _, at| expired(window, at)),
            Event::EntityStored { entity } => self.row(&entity.uid, |row| row.stored = Some(Arc::new(entity.clone()))),
            Event::EntityDeleted { uid, reason } => {
                self.row(uid, |row| row.stored = None)?;
                self.name_goes(uid, *reason)
            }
            Event::EntityDisabled { uid, reason: _ } => self.row(uid, |row| row.disabled = true),
            Event::EntityEnabled { uid, reason: _ } => self.row(uid, |row| row.disabled = false),
            Event::BundleActivated { revision, roles_removed, entities_removed, .. } => {
                for role in roles_removed {
                    let mut row = self.state.role_row(role)?;
                    row.incarnation = row.incarnation.next();
                    self.state.changes.roles.insert(role.clone(), row);
                }
                self.state.changes.revision = Some(revision.clone());
                entities_removed.iter().try_for_each(|uid| self.name_goes(uid, None))
            }
            Event::ReviewDefined { .. }
            | Event::ReviewsEnded { .. }
            | Event::ReviewOpened { .. }
            | Event::ReviewItemsTaken { .. }
            | Event::ReviewStageBegan { .. }
            | Event::ReviewReminded { .. }
            | Event::ReviewItemDecided { .. }
            | Event::ReviewCompleted { .. }
            | Event::ReviewApplying { .. }
            | Event::ReviewItemApplied { .. }
            | Event::ReviewApplied { .. } => self.review_event(event),
            Event::Alert(event) => self.alert_event(event),
            Event::CascadeContinues { cause } => {
                self.state.changes.cascades.insert(cause.clone(), Some(self.at));
                Ok(())
            }
            Event::CascadeCompleted { cause } => {
                self.state.changes.cascades.insert(cause.clone(), None);
                Ok(())
            }
        }
    }

    fn ending(&self, reason: Option<TextDigest>) -> (Actor, Timestamp, Option<TextDigest>) {
        (self.actor.clone(), self.at, reason)
    }

    fn row(&mut self, uid: &Uid, change: impl FnOnce(&mut EntityRow)) -> Result<(), Unavailable> {
        let row = self.state.row_mut(uid)?;
        row.changed = self.seq;
        change(row);
        Ok(())
    }

    /// Changes an activation, and the row of its principal with it, as long as `wanted` takes the state it is in. What it has of its role's
    /// time follows: whatever changes its window changes that in the same commit.
    fn activation(
        &mut self,
        id: &ActivationId,
        wanted: impl FnOnce(&ActivationState) -> bool,
        change: impl FnOnce(&mut Activation, &mut EntityRow),
    ) -> Result<(), Unavailable> {
        let Some(found) = self.state.activation(id)?.filter(|activation| wanted(&activation.state)) else { return Ok(()) };
        let mut activation = (*found).clone();
        let row = self.state.row_mut(&activation.principal)?;
        row.changed = self.seq;
        change(&mut activation, row);
        self.account(&activation, found.used(), activation.used())?;
        self.state.changes.activations.insert(id.clone(), activation);
        Ok(())
    }

    /// Moves what an activation has of its role's time from one window to another.
    fn account(&mut self, activation: &Activation, before: Option<Window>, after: Option<Window>) -> Result<(), Unavailable> {
        if before == after {
            return Ok(());
        }
        let key = |day| (activation.principal.clone(), activation.role.clone(), day);
        for (day, millis) in before.into_iter().flat_map(Window::by_day) {
            let mut used = self.state.day_use(&activation.principal, &activation.role, day)?;
            used.millis = used.millis.saturating_sub(millis);
            self.state.changes.day_uses.insert(key(day), used);
        }
        for (day, millis) in after.into_iter().flat_map(Window::by_day) {
            let mut used = self.state.day_use(&activation.principal, &activation.role, day)?;
            used.millis = used.millis.saturating_add(millis);
            self.state.changes.day_uses.insert(key(day), used);
        }
        Ok(())
    }

    fn pending(&mut self, id: &ActivationId, change: impl FnOnce(&mut Activation, &mut EntityRow)) -> Result<(), Unavailable> {
        self.activation(id, |state| matches!(state, ActivationState::Pending { .. }), change)
    }

    /// Pending, or approved for later.
    fn not_begun(&mut self, id: &ActivationId, change: impl FnOnce(&mut Activation, &mut EntityRow)) -> Result<(), Unavailable> {
        let wanted = |state: &ActivationState| matches!(state, ActivationState::Pending { .. } | ActivationState::Scheduled { .. });
        self.activation(id, wanted, change)
    }

    fn active(&mut self, id: &ActivationId, ended: impl FnOnce(Window) -> ActivationState) -> Result<(), Unavailable> {
        let wanted = |state: &ActivationState| matches!(state, ActivationState::Active { .. });
        self.activation(id, wanted, |activation, row| {
            if let ActivationState::Active { window } = activation.state {
                end(activation, row, ended(window));
            }
        })
    }

    /// An activation that is active, or approved for later.
    fn revoked(&mut self, id: &ActivationId, reason: Option<TextDigest>, cause: Option<&Cause>) -> Result<(), Unavailable> {
        let (by, at, reason) = self.ending(reason);
        let wanted = |state: &ActivationState| matches!(state, ActivationState::Scheduled { .. } | ActivationState::Active { .. });
        self.activation(id, wanted, |activation, row| {
            if let Some(mut window) = activation.window() {
                if matches!(activation.state, ActivationState::Scheduled { .. }) {
                    // It never began, so nothing of it was used, however late the timer is that would have let it begin.
                    window.start = window.start.max(at);
                }
                end(activation, row, ActivationState::Revoked { window, by, at, reason, cause: cause.cloned() });
            }
        })
    }

    fn requested(&mut self, activation: &Activation) -> Result<(), Unavailable> {
        self.row(&activation.principal, |row| {
            put(&mut row.grants.waiting, activation.id.clone(), Clone::clone);
        })?;
        let activation = Activation { seq: self.seq, ..activation.clone() };
        if let Some(parent) = &activation.extends {
            let by = activation.id.clone();
            self.activation(parent, |_| true, |parent, _| parent.extension = Some(by))?;
        }
        self.state.changes.activations.insert(activation.id.clone(), activation);
        Ok(())
    }

    fn started(&mut self, id: &ActivationId, window: Window) -> Result<(), Unavailable> {
        let mut rests_on = None;
        self.not_begun(id, |activation, row| {
            rests_on = Some(activation.basis.eligibility.clone());
            end(activation, row, ActivationState::Active { window });
            let grant = ActivationGrant {
                id: id.clone(),
                role: activation.role.clone(),
                scope: activation.scope.clone(),
                window,
                under: activation.under,
                basis: activation.basis.clone(),
                basis_incarnation: activation.basis_incarnation,
                approvals: u32::try_from(activation.votes.len()).unwrap_or(u32::MAX),
                extensions: 0,
                emergency: activation.emergency,
                ticket: activation.ticket,
                seq: activation.seq,
            };
            put(&mut row.grants.activations, grant, |grant| grant.id.clone());
        })?;
        if let Some(eligibility) = rests_on {
            let last = self.state.last_activation(&eligibility)?.max(Some(window.start));
            self.state.changes.last_activations.extend(last.map(|last| (eligibility, last)));
        }
        Ok(())
    }

    /// An activation gets another end, and so much of it by extensions.
    fn runs_until(&mut self, id: &ActivationId, end: Timestamp, extensions: u32) -> Result<(), Unavailable> {
        let wanted = |state: &ActivationState| matches!(state, ActivationState::Scheduled { .. } | ActivationState::Active { .. });
        self.activation(id, wanted, |activation, row| {
            if let ActivationState::Active { window } = &mut activation.state {
                window.end = Some(end);
            }
            if let ActivationState::Scheduled { start, .. } = activation.state {
                activation.duration = end.since(start);
            }
            activation.extensions = activation.extensions.saturating_add(extensions);
            if let Some(grant) = row.grants.activations.iter_mut().find(|grant| grant.id == *id) {
                grant.window.end = Some(end);
                grant.extensions = activation.extensions;
            }
        })
    }

    fn emergency(&mut self, id: &ActivationId, review_by: Timestamp) -> Result<(), Unavailable> {
        self.activation(id, |_| true, |activation, _| activation.review_by = Some(review_by))?;
        let Some(activation) = self.state.activation(id)? else { return Ok(()) };
        let key = (activation.principal.clone(), activation.role.clone(), self.at.day());
        let mut used = self.state.day_use(&key.0, &key.1, key.2)?;
        used.emergencies = used.emergencies.saturating_add(1);
        self.state.changes.day_uses.insert(key, used);
        Ok(())
    }

    fn grant_request(&mut self, id: &GrantRequestId, ended: impl FnOnce(&GrantRequest) -> GrantRequestState) -> Result<(), Unavailable> {
        let Some(found) = self.state.grant_request(id)?.filter(|found| found.state == GrantRequestState::Pending) else { return Ok(()) };
        let request = GrantRequest { state: ended(&found), ..(*found).clone() };
        self.state.changes.grant_requests.insert(id.clone(), request);
        Ok(())
    }

    fn eligibility_runs_until(&mut self, id: &EligibilityId, end: Timestamp) -> Result<(), Unavailable> {
        let Some(found) = self.state.eligibility(id)?.filter(|found| found.ended.is_none()) else { return Ok(()) };
        let mut eligibility = (*found).clone();
        eligibility.window.end = Some(end);
        self.row(&eligibility.holder, |row| {
            row.grants.eligibilities.iter_mut().filter(|grant| grant.id == *id).for_each(|grant| grant.window.end = Some(end));
        })?;
        self.state.changes.eligibilities.insert(id.clone(), eligibility);
        Ok(())
    }

    fn assignment_runs_until(&mut self, id: &AssignmentId, end: Timestamp) -> Result<(), Unavailable> {
        let Some(found) = self.state.assignment(id)?.filter(|found| found.ended.is_none()) else { return Ok(()) };
        let mut assignment = (*found).clone();
        assignment.window.end = Some(end);
        self.row(&assignment.holder, |row| {
            row.grants.assignments.iter_mut().filter(|grant| grant.id == *id).for_each(|grant| grant.window.end = Some(end));
        })?;
        self.state.changes.assignments.insert(id.clone(), assignment);
        Ok(())
    }

    fn eligible(&mut self, eligibility: &Eligibility) -> Result<(), Unavailable> {
        let Eligibility { id, role, scope, window, under, .. } = eligibility.clone();
        self.row(&eligibility.holder, |row| {
            put(&mut row.grants.eligibilities, EligibilityGrant { id, role, scope, window, under }, |grant| grant.id.clone());
        })?;
        self.state.changes.eligibilities.insert(eligibility.id.clone(), eligibility.clone());
        Ok(())
    }

    fn assigned(&mut self, assignment: &Assignment) -> Result<(), Unavailable> {
        let seq = self.seq;
        let Assignment { id, role, scope, window, under, .. } = assignment.clone();
        self.row(&assignment.holder, |row| {
            put(&mut row.grants.assignments, AssignmentGrant { id, role, scope, window, under, seq }, |grant| grant.id.clone());
        })?;
        self.state.changes.assignments.insert(assignment.id.clone(), Assignment { seq, ..assignment.clone() });
        Ok(())
    }

    fn eligibility_ended(
        &mut self,
        id: &EligibilityId,
        ended: impl FnOnce(Window, &Actor, Timestamp) -> GrantEnd,
    ) -> Result<(), Unavailable> {
        let Some(found) = self.state.eligibility(id)?.filter(|found| found.ended.is_none()) else { return Ok(()) };
        let mut eligibility = (*found).clone();
        eligibility.ended = Some(ended(eligibility.window, self.actor, self.at));
        self.row(&eligibility.holder, |row| row.grants.eligibilities.retain(|grant| grant.id != *id))?;
        self.state.changes.eligibilities.insert(id.clone(), eligibility);
        Ok(())
    }

    fn assignment_ended(
        &mut self,
        id: &AssignmentId,
        ended: impl FnOnce(Window, &Actor, Timestamp) -> GrantEnd,
    ) -> Result<(), Unavailable> {
        let Some(found) = self.state.assignment(id)?.filter(|found| found.ended.is_none()) else { return Ok(()) };
        let mut assignment = (*found).clone();
        assignment.ended = Some(ended(assignment.window, self.actor, self.at));
        self.row(&assignment.holder, |row| row.grants.assignments.retain(|grant| grant.id != *id))?;
        self.state.changes.assignments.insert(id.clone(), assignment);
        Ok(())
    }

    /// A name was deleted: what it was given ends, and its incarnation rises, so that what others were given on it is void.
    /// Whether it was disabled stays: a name that comes back is not trusted more than the one that went.
    fn name_goes(&mut self, uid: &Uid, reason: Option<TextDigest>) -> Result<(), Unavailable> {
        self.row(uid, |row| row.incarnation = row.incarnation.next())?;
        let grants = self.state.row_mut(uid)?.grants.clone();
        for grant in grants.eligibilities {
            self.eligibility_ended(&grant.id, |_, by, at| removed(by, at, reason))?;
        }
        for grant in grants.assignments {
            self.assignment_ended(&grant.id, |_, by, at| removed(by, at, reason))?;
        }
        Ok(())
    }
}

fn removed(by: &Actor, at: Timestamp, reason: Option<TextDigest>) -> GrantEnd {
    GrantEnd::Removed { by: by.clone(), at, reason }
}

fn expired(window: Window, recorded_at: Timestamp) -> GrantEnd {
    GrantEnd::Expired { at: window.end.unwrap_or(recorded_at) }
}

/// Takes a vote, and with it what the voter gave less than was asked for.
fn voted(activation: &mut Activation, vote: &Vote) {
    let Narrowed { scope, duration } = &vote.narrowed;
    if scope.is_some() || duration.is_some() {
        activation.asked.get_or_insert(Asked { scope: activation.scope.clone(), duration: activation.duration });
    }
    if let Some((scope, incarnation)) = scope {
        activation.scope = Some(scope.clone());
        activation.under.scope = Some(*incarnation);
    }
    if let Some(duration) = duration {
        activation.duration = *duration;
    }
    activation.votes.push(vote.clone());
}

/// Moves an activation on and takes it out of its principal's row.
fn end(activation: &mut Activation, row: &mut EntityRow, state: ActivationState) {
    activation.state = state;
    row.grants.waiting.retain(|id| *id != activation.id);
    row.grants.starts.retain(|(id, _)| *id != activation.id);
    row.grants.activations.retain(|grant| grant.id != activation.id);
}

/// Keeps a list sorted by id, each id once.
fn put<T, K: Ord>(list: &mut Vec<T>, item: T, id: impl Fn(&T) -> K) {
    let key = id(&item);
    list.retain(|other| id(other) != key);
    let place = list.partition_point(|other| id(other) < key);
    list.insert(place, item);
}
