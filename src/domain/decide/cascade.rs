//! What else a change ends: the open activations that can no longer count after it.
//!
//! A cascade only records. Whether a holding counts is compared at every check (windows, incarnations, membership), so nothing is lost
//! where a cascade is cut at its bounds, or goes on in a later record.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use crate::domain::event::Event;
use crate::domain::facts::{Facts, Records, Rows, Unavailable};
use crate::domain::grant::{Activation, ActivationState, ActivationStatus, Cause, EntityRow, RoleRow};
use crate::domain::id::{ActivationId, RoleName, Uid};
use crate::domain::settings::Definitions;
use crate::domain::standing::{ancestors, cap};
use crate::domain::text::{Text, TextDigest};
use crate::domain::time::Timestamp;

/// Most activations that one record ends; the rest is left to follow-up commands.
pub const MAX_CASCADE_EVENTS: usize = 800;
/// Most bytes of JSON that they take in one record.
pub const MAX_CASCADE_BYTES: usize = 128 * 1024;
/// Most causes that one record leaves to follow-up commands. What lies beyond is void all the same, and expires in the record.
pub const MAX_CONTINUED: usize = 90;
/// Most open activations that are looked at for one cause in one record.
pub const MAX_LOOK: usize = 10_000;

/// The facts as they will be after a change that is being decided.
pub(super) struct After<'a> {
    before: &'a dyn Facts,
    definitions: &'a Definitions,
    rows: BTreeMap<Uid, Arc<EntityRow>>,
    roles: BTreeMap<RoleName, RoleRow>,
    time_void: bool,
}

impl<'a> After<'a> {
    pub(super) fn new(before: &'a dyn Records) -> Self {
        Self { definitions: before.definitions(), before, rows: BTreeMap::new(), roles: BTreeMap::new(), time_void: false }
    }

    /// With another bundle, in which these roles are no more.
    pub(super) fn with_bundle(mut self, definitions: &'a Definitions, roles_removed: &[RoleName]) -> Result<Self, Unavailable> {
        self.definitions = definitions;
        for role in roles_removed {
            self = self.with_role(role, |row| row.incarnation = row.incarnation.next())?;
        }
        Ok(self)
    }

    /// With something else kept of a role.
    pub(super) fn with_role(mut self, role: &RoleName, change: impl FnOnce(&mut RoleRow)) -> Result<Self, Unavailable> {
        let mut row = self.role_row(role)?;
        change(&mut row);
        self.roles.insert(role.clone(), row);
        Ok(self)
    }

    /// With every holding void that is bound to time.
    pub(super) fn with_time_void(mut self) -> Self {
        self.time_void = true;
        self
    }

    /// With another row for a name.
    pub(super) fn with_row(mut self, uid: &Uid, change: impl FnOnce(&mut EntityRow)) -> Result<Self, Unavailable> {
        let mut row = self.row(uid)?.map(|row| (*row).clone()).unwrap_or_default();
        change(&mut row);
        self.rows.insert(uid.clone(), Arc::new(row));
        Ok(self)
    }
}

impl Rows for After<'_> {
    fn row(&self, uid: &Uid) -> Result<Option<Arc<EntityRow>>, Unavailable> {
        match self.rows.get(uid) {
            Some(row) => Ok(Some(Arc::clone(row))),
            None => self.before.row(uid),
        }
    }

    fn role_row(&self, role: &RoleName) -> Result<RoleRow, Unavailable> {
        self.roles.get(role).map_or_else(|| self.before.role_row(role), |row| Ok(*row))
    }

    fn time_void_before(&self) -> Result<u64, Unavailable> {
        if self.time_void { Ok(u64::MAX) } else { self.before.time_void_before() }
    }

    fn text(&self, digest: &TextDigest) -> Result<Option<Text>, Unavailable> {
        self.before.text(digest)
    }
}

impl Facts for After<'_> {
    fn definitions(&self) -> &Definitions {
        self.definitions
    }
}

/// Groups (and containers) that a name would no longer be in.
pub(super) fn left(before: &dyn Facts, after: &dyn Facts, uid: &Uid) -> Result<Vec<Uid>, Unavailable> {
    let kept = ancestors(after, uid)?;
    let mut left = ancestors(before, uid)?;
    left.retain(|above| !kept.contains(above));
    Ok(left)
}

/// The events of a cascade, collected cause by cause.
pub(super) struct Cascade<'a> {
    facts: &'a dyn Records,
    after: &'a dyn Facts,
    now: Timestamp,
    ended: HashSet<ActivationId>,
    events: Vec<Event>,
    bytes: usize,
    continued: Vec<Cause>,
    reason: Option<TextDigest>,
}

impl<'a> Cascade<'a> {
    pub(super) fn new(facts: &'a dyn Records, after: &'a dyn Facts, now: Timestamp) -> Self {
        Self { facts, after, now, ended: HashSet::new(), events: Vec::new(), bytes: 0, continued: Vec::new(), reason: None }
    }

    /// With the reason that was given for all of it.
    pub(super) fn because(mut self, reason: Option<TextDigest>) -> Self {
        self.reason = reason;
        self
    }

    /// Ends what follows from a cause.
    pub(super) fn follow(&mut self, cause: Cause) -> Result<(), Unavailable> {
        for id in self.candidates(&cause)? {
            if self.ended.contains(&id) {
                continue;
            }
            let Some(activation) = self.facts.activation(&id)?.filter(|activation| activation.is_open()) else { continue };
            if !self.is_affected(&cause, &activation)? {
                continue;
            }
            let event = self.ending(&activation, &cause);
            // An activation that only got shorter may still be ended by another cause.
            let over = !matches!(event, Event::ActivationClamped { .. });
            if !self.take(event) {
                self.go_on_later(cause);
                return Ok(());
            }
            if over {
                self.ended.insert(id);
            }
        }
        if cause == Cause::ClockAccepted {
            let void = self.after.time_void_before()?;
            for id in self.facts.timed_assignments(MAX_LOOK)? {
                let Some(assignment) = self.facts.assignment(&id)?.filter(|assignment| assignment.seq <= void) else { continue };
                let over = assignment.window.ended(self.now);
                let event = if over { Event::AssignmentExpired { id } } else { Event::AssignmentRemoved { id, reason: None } };
                if !self.take(event) {
                    self.go_on_later(cause);
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Takes an event, unless there is no room for it.
    fn take(&mut self, event: Event) -> bool {
        let bytes = serde_json::to_string(&event).map_or(MAX_CASCADE_BYTES, |text| text.len());
        if self.events.len() >= MAX_CASCADE_EVENTS || (!self.events.is_empty() && self.bytes + bytes > MAX_CASCADE_BYTES) {
            return false;
        }
        self.bytes += bytes;
        self.events.push(event);
        true
    }

    fn go_on_later(&mut self, cause: Cause) {
        if self.continued.len() < MAX_CONTINUED {
            self.continued.push(cause);
        }
    }

    /// Whether it ended this activation.
    pub(super) fn ends(&self, id: &ActivationId) -> bool {
        self.ended.contains(id)
    }

    /// Its events, and one for each cause that waits to go on.
    pub(super) fn into_events(self) -> Vec<Event> {
        let waiting = self.continued.into_iter().map(|cause| Event::CascadeContinues { cause });
        self.events.into_iter().chain(waiting).collect()
    }

    /// Whether every cause was followed to its end.
    pub(super) fn is_complete(&self) -> bool {
        self.continued.is_empty()
    }

    fn candidates(&self, cause: &Cause) -> Result<Vec<ActivationId>, Unavailable> {
        match cause {
            Cause::EligibilityRemoved(id) | Cause::EligibilityEnded(id) => self.facts.open_resting_on(id, MAX_LOOK),
            Cause::PrincipalDisabled(uid) | Cause::PrincipalDeleted(uid) | Cause::PrincipalRevoked(uid) => {
                let Some(row) = self.facts.row(uid)? else { return Ok(Vec::new()) };
                let mut ids: Vec<_> = row.grants.activations.iter().map(|grant| grant.id.clone()).collect();
                ids.extend(row.grants.waiting.iter().cloned());
                ids.sort();
                Ok(ids)
            }
            Cause::GroupLeft(group) => self.facts.open_through(group, MAX_LOOK),
            Cause::ScopeDeleted(scope) => self.facts.open_at_scope(scope, MAX_LOOK),
            Cause::RoleRemoved(role) | Cause::CapLowered(role) | Cause::RoleRevoked(role) => self.facts.open_for_role(role, MAX_LOOK),
            Cause::ClockAccepted => self.facts.open_at_all(MAX_LOOK),
            // These end one request each, where it is decided.
            Cause::NotPermitted(_) | Cause::WindowPast(_) | Cause::StartMissed(_) | Cause::BudgetExhausted(_) | Cause::ParentEnded(_) => {
                Ok(Vec::new())
            }
        }
    }

    /// Whether an activation is void for this cause; one that was asked for after a name came back is not.
    fn is_affected(&self, cause: &Cause, activation: &Activation) -> Result<bool, Unavailable> {
        let incarnation = |uid: &Uid| Ok::<_, Unavailable>(self.after.row(uid)?.map(|row| row.incarnation).unwrap_or_default());
        match cause {
            Cause::EligibilityRemoved(_) | Cause::EligibilityEnded(_) | Cause::PrincipalDisabled(_) => Ok(true),
            Cause::PrincipalDeleted(uid) => Ok(incarnation(uid)? != activation.under.holder),
            Cause::GroupLeft(group) => {
                Ok(incarnation(group)? != activation.basis_incarnation || !ancestors(self.after, &activation.principal)?.contains(group))
            }
            Cause::ScopeDeleted(scope) => Ok(activation.under.scope != Some(incarnation(scope)?)),
            Cause::RoleRemoved(role) => Ok(self.after.role_incarnation(role)? != activation.under.role),
            Cause::CapLowered(_) => Ok(self.capped(activation).is_some() || self.is_left_behind(activation)?),
            Cause::PrincipalRevoked(uid) => Ok(self.after.row(uid)?.is_some_and(|row| activation.seq <= row.void_before)),
            Cause::RoleRevoked(role) => Ok(activation.seq <= self.after.role_row(role)?.void_before),
            Cause::ClockAccepted => Ok(activation.seq <= self.after.time_void_before()?),
            Cause::NotPermitted(_) | Cause::WindowPast(_) | Cause::StartMissed(_) | Cause::BudgetExhausted(_) | Cause::ParentEnded(_) => {
                Ok(false)
            }
        }
    }

    /// The earlier end that the settings to come give an active activation, where they do.
    fn capped(&self, activation: &Activation) -> Option<Timestamp> {
        let ActivationState::Active { window } = activation.state else { return None };
        let settings = self.after.definitions().roles.get(&activation.role)?;
        let most = window.start.plus(cap(settings, activation.emergency, activation.extensions));
        window.end.is_none_or(|end| most < end).then_some(most)
    }

    /// Whether an extension waits for the votes on something that is over, or will be by the settings to come.
    fn is_left_behind(&self, extension: &Activation) -> Result<bool, Unavailable> {
        let Some(parent) = extension.extends.as_ref().filter(|_| extension.status(self.now) == ActivationStatus::Pending) else {
            return Ok(false);
        };
        let parent = self.facts.activation(parent)?;
        Ok(parent.is_none_or(|parent| !parent.is_open() || self.capped(&parent).is_some_and(|end| end <= self.now)))
    }

    /// How an open activation ends for a cause; by time, where time was first and is not recorded yet.
    fn ending(&self, activation: &Activation, cause: &Cause) -> Event {
        let id = activation.id.clone();
        match (activation.status(self.now), cause) {
            (ActivationStatus::TimedOut, _) => Event::ActivationTimedOut { id },
            (ActivationStatus::Expired, _) => Event::ActivationExpired { id },
            (ActivationStatus::Active, Cause::CapLowered(_)) => match self.capped(activation).filter(|end| *end > self.now) {
                Some(end) => Event::ActivationClamped { id, end, cause: cause.clone() },
                None => self.revoked(id, cause),
            },
            // What somebody ends is revoked; what can no longer begin has failed.
            (ActivationStatus::Scheduled, Cause::PrincipalRevoked(_) | Cause::RoleRevoked(_) | Cause::ClockAccepted) => {
                self.revoked(id, cause)
            }
            (ActivationStatus::Pending | ActivationStatus::Scheduled, _) => {
                let cause = match (cause, &activation.extends) {
                    // Its own time is not the matter; that of what it was to extend is.
                    (Cause::CapLowered(_), Some(parent)) => Cause::ParentEnded(parent.clone()),
                    _ => cause.clone(),
                };
                Event::ActivationFailed { id, cause }
            }
            (
                ActivationStatus::Active
                | ActivationStatus::Approved
                | ActivationStatus::Denied
                | ActivationStatus::Cancelled
                | ActivationStatus::Failed
                | ActivationStatus::Deactivated
                | ActivationStatus::Revoked,
                _,
            ) => self.revoked(id, cause),
        }
    }

    fn revoked(&self, id: ActivationId, cause: &Cause) -> Event {
        Event::ActivationRevoked { id, reason: self.reason, cause: Some(cause.clone()) }
    }
}
