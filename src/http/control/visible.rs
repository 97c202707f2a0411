//! Who sees what. One's own is free; the rest is asked of Cedar, item by item.

use crate::domain::decide::{asked_stage, object, person};
use crate::domain::facts::{Action, Object};
use crate::domain::grant::{ActivationState, ActivationStatus};
use crate::domain::standing::{self, Moment, Presence};
use crate::domain::{Activation, Duration, Facts, RoleName, Timestamp, Uid, Unavailable, Window};

use super::super::asker::Asker;

/// Whether a request waits for a caller's vote, as far as the stage's list and the separation of duties go. The command decides again.
pub(super) fn waits_for(facts: &dyn Facts, caller: &Uid, activation: &Activation, moment: Moment) -> Result<bool, Unavailable> {
    let (ActivationStatus::Pending, ActivationState::Pending { stage, .. }) = (activation.status(moment.now), &activation.state) else {
        return Ok(false);
    };
    let settings = facts.definitions().roles.get(&activation.role);
    let Some((_, stage)) = settings.and_then(|settings| asked_stage(settings, *stage)) else { return Ok(false) };
    if standing::presence(facts, caller)? != Presence::Known {
        return Ok(false);
    }
    let mine = person(facts, caller)?;
    let involved = [Some(&activation.principal), activation.requester.principal()];
    for uid in involved.into_iter().flatten() {
        if person(facts, uid)? == mine {
            return Ok(false);
        }
    }
    if activation.votes.iter().any(|vote| vote.person == mine || vote.voter.principal() == Some(caller)) {
        return Ok(false);
    }
    Ok(stage.approvers.contains(caller) || standing::ancestors(facts, caller)?.iter().any(|group| stage.approvers.contains(group)))
}

impl Asker {
    /// Whether an activation is the caller's own: it gets the role, or asked for it.
    pub(super) fn owns(&self, activation: &Activation) -> bool {
        self.is(&activation.principal) || activation.requester.principal().is_some_and(|requester| self.is(requester))
    }

    /// Whether the caller may read an activation.
    pub(super) fn may_read(&self, activation: &Activation) -> Result<bool, Unavailable> {
        if self.owns(activation) || self.may(Action::ReadActivation, object(activation))? {
            return Ok(true);
        }
        self.server.engine.facts(|facts, _, moment| waits_for(facts, &self.caller.principal, activation, moment))
    }

    /// Whether the caller may vote for, or against, a request that waits.
    pub(super) fn may_vote(&self, activation: &Activation) -> Result<bool, Unavailable> {
        let waits = self.server.engine.facts(|facts, _, moment| waits_for(facts, &self.caller.principal, activation, moment))?;
        Ok(waits && (self.may(Action::ApproveActivation, object(activation))? || self.may(Action::DenyActivation, object(activation))?))
    }

    /// Whether the caller may read the whole history, and so everything that it is about.
    pub(super) fn may_audit(&self) -> Result<bool, Unavailable> {
        self.may(Action::ReadAudit, Object::Sidecar)
    }

    /// The caller and every group it is in: whose grants are its own.
    pub(super) fn selves(&self) -> Result<Vec<Uid>, Unavailable> {
        self.server.engine.facts(|facts, _, _| {
            let mut selves = vec![self.caller.principal.clone()];
            selves.extend(standing::ancestors(facts, &self.caller.principal)?);
            Ok(selves)
        })
    }

    /// Whether the caller may grant, and so read, what somebody else was granted.
    pub(super) fn may_grant(&self, holder: &Uid, role: &RoleName, scope: Option<&Uid>, window: Window) -> Result<bool, Unavailable> {
        let duration = window.end.map(|end: Timestamp| -> Duration { end.since(window.start) });
        let object = Object::RoleGrant { role: role.clone(), scope: scope.cloned(), beneficiary: holder.clone(), duration };
        self.may(Action::AssignRole, object)
    }
}
