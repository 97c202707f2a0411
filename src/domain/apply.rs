//! Carries out what was decided. It cannot refuse: replaying the journal meets no business errors.

use super::command::Actor;
use super::event::{Event, Record};
use super::facts::{Rows as _, Tables as _, Unavailable};
use super::grant::{Activation, ActivationGrant, ActivationState, AssignmentGrant, EligibilityGrant, EntityRow, GrantEnd};
use super::grant::{Assignment, Eligibility};
use super::id::{ActivationId, AssignmentId, EligibilityId, Uid};
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
            Event::ApprovalGiven { id, vote } => self.pending(id, |activation, _| activation.votes.push(vote.clone())),
            Event::VotesVoided { id, voters } => self.pending(id, |activation, _| {
                activation.votes.retain(|vote| vote.voter.principal().is_none_or(|voter| !voters.contains(voter)));
            }),
            Event::StageReached { id, stage, timeout_at } => self.pending(id, |activation, _| {
                activation.state = ActivationState::Pending { stage: *stage, timeout_at: *timeout_at };
            }),
            Event::ActivationStarted { id, window, clamped: _ } => self.started(id, *window),
            Event::ActivationDenied { id, reason } => {
                let (by, at, reason) = self.ending(*reason);
                self.pending(id, |activation, row| end(activation, row, ActivationState::Denied { by, at, reason }))
            }
            Event::ActivationCancelled { id, reason } => {
                let (by, at, reason) = self.ending(*reason);
                self.pending(id, |activation, row| end(activation, row, ActivationState::Cancelled { by, at, reason }))
            }
            Event::ActivationTimedOut { id } => self.pending(id, |activation, row| {
                if let ActivationState::Pending { timeout_at, .. } = activation.state {
                    end(activation, row, ActivationState::TimedOut { at: timeout_at });
                }
            }),
            Event::ActivationFailed { id, cause } => {
                let state = ActivationState::Failed { at: self.at, cause: cause.clone() };
                self.pending(id, |activation, row| end(activation, row, state))
            }
            Event::ActivationDeactivated { id, reason } => {
                let (by, at, reason) = self.ending(*reason);
                self.active(id, |window| ActivationState::Deactivated { window, by, at, reason })
            }
            Event::ActivationRevoked { id, reason, cause } => {
                let (by, at, reason) = self.ending(*reason);
                self.active(id, |window| ActivationState::Revoked { window, by, at, reason, cause: cause.clone() })
            }
            Event::ActivationExpired { id } => self.active(id, |window| ActivationState::Expired { window }),
            Event::EligibilityCreated { eligibility } => self.eligible(eligibility),
            Event::EligibilityRemoved { id, reason } => self.eligibility_ended(id, |_, by, at| removed(by, at, *reason)),
            Event::EligibilityExpired { id } => self.eligibility_ended(id, |window, _, at| expired(window, at)),
            Event::AssignmentCreated { assignment } => self.assigned(assignment),
            Event::AssignmentRemoved { id, reason } => self.assignment_ended(id, |_, by, at| removed(by, at, *reason)),
            Event::AssignmentExpired { id } => self.assignment_ended(id, |window, _, at| expired(window, at)),
            Event::EntityStored { entity } => self.row(&entity.uid, |row| row.stored = Some(entity.clone())),
            Event::EntityDeleted { uid, reason } => {
                self.row(uid, |row| row.stored = None)?;
                self.name_goes(uid, *reason)
            }
            Event::EntityDisabled { uid, reason: _ } => self.row(uid, |row| row.disabled = true),
            Event::EntityEnabled { uid, reason: _ } => self.row(uid, |row| row.disabled = false),
            Event::BundleActivated { revision, roles_removed, entities_removed, .. } => {
                for role in roles_removed {
                    let next = self.state.role_incarnation(role)?.next();
                    self.state.changes.roles.insert(role.clone(), next);
                }
                self.state.changes.revision = Some(revision.clone());
                entities_removed.iter().try_for_each(|uid| self.name_goes(uid, None))
            }
            Event::CascadeContinues { cause } => {
                self.state.changes.cascades.insert(cause.clone(), Some(self.at));
                Ok(())
            }
            Event::CascadeCompleted { cause } => {
                self.state.changes.cascades.insert(cause.clone(), None);
                Ok(())
            }
            Event::CommandRefused { .. } => Ok(()),
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

    /// Changes an activation, and the row of its principal with it, as long as `wanted` takes the state it is in.
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
        self.state.changes.activations.insert(id.clone(), activation);
        Ok(())
    }

    fn pending(&mut self, id: &ActivationId, change: impl FnOnce(&mut Activation, &mut EntityRow)) -> Result<(), Unavailable> {
        self.activation(id, |state| matches!(state, ActivationState::Pending { .. }), change)
    }

    fn active(&mut self, id: &ActivationId, ended: impl FnOnce(Window) -> ActivationState) -> Result<(), Unavailable> {
        let wanted = |state: &ActivationState| matches!(state, ActivationState::Active { .. });
        self.activation(id, wanted, |activation, row| {
            if let ActivationState::Active { window } = activation.state {
                end(activation, row, ended(window));
            }
        })
    }

    fn requested(&mut self, activation: &Activation) -> Result<(), Unavailable> {
        self.row(&activation.principal, |row| {
            put(&mut row.grants.pending, activation.id.clone(), Clone::clone);
        })?;
        self.state.changes.activations.insert(activation.id.clone(), activation.clone());
        Ok(())
    }

    fn started(&mut self, id: &ActivationId, window: Window) -> Result<(), Unavailable> {
        self.pending(id, |activation, row| {
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
                ticket: activation.ticket,
            };
            put(&mut row.grants.activations, grant, |grant| grant.id.clone());
        })
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
        let Assignment { id, role, scope, window, under, .. } = assignment.clone();
        self.row(&assignment.holder, |row| {
            put(&mut row.grants.assignments, AssignmentGrant { id, role, scope, window, under }, |grant| grant.id.clone());
        })?;
        self.state.changes.assignments.insert(assignment.id.clone(), assignment.clone());
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

/// Moves an activation on and takes it out of its principal's row.
fn end(activation: &mut Activation, row: &mut EntityRow, state: ActivationState) {
    activation.state = state;
    row.grants.pending.retain(|id| *id != activation.id);
    row.grants.activations.retain(|grant| grant.id != activation.id);
}

/// Keeps a list sorted by id, each id once.
fn put<T, K: Ord>(list: &mut Vec<T>, item: T, id: impl Fn(&T) -> K) {
    let key = id(&item);
    list.retain(|other| id(other) != key);
    let place = list.partition_point(|other| id(other) < key);
    list.insert(place, item);
}
