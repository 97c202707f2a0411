//! What else a change ends: the open activations that can no longer count after it.
//!
//! A cascade only records. Whether a holding counts is compared at every check (windows, incarnations, membership), so nothing is lost
//! where a cascade is cut at its bounds, or goes on in a later record.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use crate::domain::event::Event;
use crate::domain::facts::{Facts, Records, Rows, Unavailable};
use crate::domain::grant::{Activation, ActivationStatus, Cause, EntityRow};
use crate::domain::id::{ActivationId, Incarnation, RoleName, Uid};
use crate::domain::settings::Definitions;
use crate::domain::standing::ancestors;
use crate::domain::text::{Text, TextDigest};
use crate::domain::time::Timestamp;

/// Most activations that one record ends; the rest is left to follow-up commands.
pub const MAX_CASCADE_EVENTS: usize = 900;
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
    roles_removed: BTreeSet<RoleName>,
}

impl<'a> After<'a> {
    pub(super) fn new(before: &'a dyn Records) -> Self {
        Self { definitions: before.definitions(), before, rows: BTreeMap::new(), roles_removed: BTreeSet::new() }
    }

    /// With another bundle, in which these roles are no more.
    pub(super) fn with_bundle(mut self, definitions: &'a Definitions, roles_removed: &[RoleName]) -> Self {
        self.definitions = definitions;
        self.roles_removed = roles_removed.iter().cloned().collect();
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

    fn role_incarnation(&self, role: &RoleName) -> Result<Incarnation, Unavailable> {
        let before = self.before.role_incarnation(role)?;
        Ok(if self.roles_removed.contains(role) { before.next() } else { before })
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
}

impl<'a> Cascade<'a> {
    pub(super) fn new(facts: &'a dyn Records, after: &'a dyn Facts, now: Timestamp) -> Self {
        Self { facts, after, now, ended: HashSet::new(), events: Vec::new(), bytes: 0, continued: Vec::new() }
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
            let event = ending(&activation, &cause, self.now);
            let bytes = serde_json::to_string(&event).map_or(MAX_CASCADE_BYTES, |text| text.len());
            if self.events.len() >= MAX_CASCADE_EVENTS || (!self.events.is_empty() && self.bytes + bytes > MAX_CASCADE_BYTES) {
                if self.continued.len() < MAX_CONTINUED {
                    self.continued.push(cause);
                }
                return Ok(());
            }
            self.bytes += bytes;
            self.events.push(event);
            self.ended.insert(id);
        }
        Ok(())
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
            Cause::PrincipalDisabled(uid) | Cause::PrincipalDeleted(uid) => {
                let Some(row) = self.facts.row(uid)? else { return Ok(Vec::new()) };
                let mut ids: Vec<_> = row.grants.activations.iter().map(|grant| grant.id.clone()).collect();
                ids.extend(row.grants.pending.iter().cloned());
                ids.sort();
                Ok(ids)
            }
            Cause::GroupLeft(group) => self.facts.open_through(group, MAX_LOOK),
            Cause::ScopeDeleted(scope) => self.facts.open_at_scope(scope, MAX_LOOK),
            Cause::RoleRemoved(role) => self.facts.open_for_role(role, MAX_LOOK),
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
        }
    }
}

/// How an open activation ends for a cause; by time, where time was first and is not recorded yet.
pub(super) fn ending(activation: &Activation, cause: &Cause, now: Timestamp) -> Event {
    let id = activation.id.clone();
    match activation.status(now) {
        ActivationStatus::TimedOut => Event::ActivationTimedOut { id },
        ActivationStatus::Expired => Event::ActivationExpired { id },
        ActivationStatus::Pending => Event::ActivationFailed { id, cause: cause.clone() },
        ActivationStatus::Active
        | ActivationStatus::Denied
        | ActivationStatus::Cancelled
        | ActivationStatus::Failed
        | ActivationStatus::Deactivated
        | ActivationStatus::Revoked => Event::ActivationRevoked { id, reason: None, cause: Some(cause.clone()) },
    }
}
