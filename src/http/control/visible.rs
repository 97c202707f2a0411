//! Who sees what. One's own is free; the rest is asked of Cedar, item by item.

use crate::domain::decide::{asked_stage, may_vote_in, object, person, waited};
use crate::domain::facts::{Action, Object};
use crate::domain::grant::{ActivationState, ActivationStatus};
use crate::domain::standing::{self, Moment, Presence};
use crate::domain::{Activation, Duration, Facts, GrantRequest, RoleName, Timestamp, Uid, Unavailable, Window};

use super::super::asker::Asker;

/// Whether a request waits for a caller's vote, as far as the stage's list and the separation of duties go: for an extension, whoever asked
/// for what it extends (`parent`) has no vote either. The command decides again.
pub(super) fn waits_for(
    facts: &dyn Facts,
    caller: &Uid,
    activation: &Activation,
    parent: Option<&Activation>,
    moment: Moment,
) -> Result<bool, Unavailable> {
    let (ActivationStatus::Pending, ActivationState::Pending { stage, .. }) = (activation.status(moment.now), &activation.state) else {
        return Ok(false);
    };
    let settings = facts.definitions().roles.get(&activation.role);
    let Some((_, stage)) = settings.and_then(|settings| asked_stage(settings, *stage)) else { return Ok(false) };
    if standing::presence(facts, caller)? != Presence::Known {
        return Ok(false);
    }
    let mine = person(facts, caller)?;
    let involved = [Some(&activation.principal), activation.requester.principal(), parent.and_then(|parent| parent.requester.principal())];
    for uid in involved.into_iter().flatten() {
        if person(facts, uid)? == mine {
            return Ok(false);
        }
    }
    if activation.votes.iter().any(|vote| vote.person == mine || vote.voter.principal() == Some(caller)) {
        return Ok(false);
    }
    may_vote_in(facts, stage, caller, waited(activation, moment.now))
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
        self.is_asked(activation)
    }

    /// Whether a request waits for the caller's vote, before Cedar is asked.
    fn is_asked(&self, activation: &Activation) -> Result<bool, Unavailable> {
        let parent = match &activation.extends {
            Some(parent) => self.server.engine.reader().activation(parent)?,
            None => None,
        };
        let caller = &self.caller.principal;
        self.server.engine.facts(|facts, _, moment| waits_for(facts, caller, activation, parent.as_deref(), moment))
    }

    /// Whether the caller may vote for, or against, a request that waits.
    pub(super) fn may_vote(&self, activation: &Activation) -> Result<bool, Unavailable> {
        Ok(self.is_asked(activation)?
            && (self.may(Action::ApproveActivation, object(activation))? || self.may(Action::DenyActivation, object(activation))?))
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

    /// Whether a request to extend or renew a grant is the caller's own: it asked, or the grant is its own or one of its groups'.
    pub(super) fn owns_request(&self, request: &GrantRequest, selves: &[Uid]) -> bool {
        request.requester.principal().is_some_and(|requester| self.is(requester)) || selves.contains(&request.holder)
    }

    /// Whether the caller may see a request to extend or renew a grant: its own, or one that it could decide, or everything.
    pub(super) fn may_see_request(&self, request: &GrantRequest, selves: &[Uid], audits: bool) -> Result<bool, Unavailable> {
        if audits || self.owns_request(request, selves) {
            return Ok(true);
        }
        let window = Window { start: self.server.engine.moment().now, end: Some(request.end) };
        self.may_grant(&request.holder, &request.role, request.scope.as_ref(), window)
    }
}
