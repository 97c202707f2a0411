//! Voting on a request.
//!
//! A vote is checked when it is cast, and again at every commit that would complete a stage: who lost the right in between does not
//! count. Then the first stage that lacks its quorum is asked next, which may be an earlier one; where none lacks it, the window begins.
//! Everything is decided under the settings of now. Lost: keeping the settings of the request, under which a role that was made
//! stricter would still be given as before.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use super::activation::{in_state, object};
use super::people::{is_among, person};
use super::{Case, Decision, Outcome, not_found, terms};
use crate::domain::event::Event;
use crate::domain::facts::{Action, Permitted, Unavailable};
use crate::domain::grant::{Activation, ActivationState, ActivationStatus, Cause, Vote};
use crate::domain::id::{ActivationId, Uid};
use crate::domain::rejection::Rejection;
use crate::domain::settings::{Definitions, RoleSettings, Stage};
use crate::domain::standing::{Presence, ancestors, definition, eligibilities, presence, still_stands};
use crate::domain::text::{Digest, Text};
use crate::domain::time::Window;

/// The stage whose approvers a recorded stage is asked of, under the settings of now: the last one, where a bundle took stages away.
/// Nothing where it took all of them away: then nobody can vote, and the request is cancelled and made again, or times out.
#[must_use]
pub fn asked_stage(settings: &RoleSettings, recorded: u32) -> Option<(u32, &Stage)> {
    let last = u32::try_from(settings.stages.len()).unwrap_or(u32::MAX).checked_sub(1)?;
    let index = recorded.min(last);
    settings.stages.get(usize::try_from(index).ok()?).map(|stage| (index, stage))
}

/// What a vote on a request has to carry now; nothing where it is not pending, or its role is gone.
#[must_use]
pub fn voted_hash(definitions: &Definitions, activation: &Activation) -> Option<Digest> {
    let settings = definitions.roles.get(&activation.role)?;
    stage_of(activation).map(|stage| activation.request_hash(stage, &settings.digest))
}

/// Votes for a request.
pub(super) fn approve(case: &Case<'_>, id: &ActivationId, hash: &Digest, reason: Option<&Text>) -> Result<Decision, Rejection> {
    let ballot = Ballot::open(case, id)?;
    let permitted = ballot.may_vote(Action::ApproveActivation)?;
    let voted = |vote: &Vote| vote.voter.principal() == Some(&ballot.voter) || vote.person == ballot.person;
    if ballot.activation.votes.iter().any(voted) {
        return Err(Rejection::AlreadyVoted { voter: ballot.voter });
    }
    ballot.is_about(hash)?;
    let vote = Vote {
        voter: case.actor.clone(),
        person: ballot.person.clone(),
        stage: ballot.stage,
        at: case.now(),
        justification: reason.map(Text::digest),
    };
    let mut events = vec![Event::ApprovalGiven { id: id.clone(), vote: vote.clone() }];
    events.extend(ballot.count(vote)?);
    Ok(Decision::permitted(permitted, events, Outcome::ActivationChanged(id.clone())))
}

/// Votes against a request, which ends it. Who voted for it before may still say no.
pub(super) fn deny(case: &Case<'_>, id: &ActivationId, hash: &Digest, reason: Option<&Text>) -> Result<Decision, Rejection> {
    let ballot = Ballot::open(case, id)?;
    let permitted = ballot.may_vote(Action::DenyActivation)?;
    ballot.is_about(hash)?;
    let events = vec![Event::ActivationDenied { id: id.clone(), reason: reason.map(Text::digest) }];
    Ok(Decision::permitted(permitted, events, Outcome::ActivationChanged(id.clone())))
}

/// The persons who asked for a request or benefit from it, and so have no vote.
pub(super) fn involved(case: &Case<'_>, activation: &Activation) -> Result<HashSet<String>, Unavailable> {
    [Some(&activation.principal), activation.requester.principal()].into_iter().flatten().map(|uid| person(case.facts, uid)).collect()
}

fn stage_of(activation: &Activation) -> Option<u32> {
    match activation.state {
        ActivationState::Pending { stage, .. } => Some(stage),
        ActivationState::Active { .. }
        | ActivationState::Denied { .. }
        | ActivationState::Cancelled { .. }
        | ActivationState::TimedOut { .. }
        | ActivationState::Failed { .. }
        | ActivationState::Deactivated { .. }
        | ActivationState::Revoked { .. }
        | ActivationState::Expired { .. } => None,
    }
}

/// A request that waits for a vote, and who is about to cast one.
struct Ballot<'a> {
    case: &'a Case<'a>,
    activation: Activation,
    settings: &'a RoleSettings,
    /// As it is recorded.
    stage: u32,
    voter: Uid,
    person: String,
    involved: HashSet<String>,
}

impl<'a> Ballot<'a> {
    fn open(case: &'a Case<'a>, id: &ActivationId) -> Result<Self, Rejection> {
        let voter = case.caller()?.principal.clone();
        let activation = (*case.facts.activation(id)?.ok_or_else(|| not_found("activation", id))?).clone();
        in_state(case, &activation, ActivationStatus::Pending)?;
        let stage = stage_of(&activation).unwrap_or_default();
        let settings = terms::role(case.facts.definitions(), &activation.role)?;
        let person = person(case.facts, &voter)?;
        let involved = involved(case, &activation)?;
        Ok(Self { case, activation, settings, stage, voter, person, involved })
    }

    /// Separation of duties comes first and is nobody's to switch off; then the stage's list; then Cedar.
    fn may_vote(&self, action: Action) -> Result<Permitted, Rejection> {
        if self.involved.contains(&self.person) {
            return Err(Rejection::SeparationOfDuties { voter: self.voter.clone() });
        }
        if !self.is_approver(&self.voter, self.stage)? {
            let stage = asked_stage(self.settings, self.stage).map_or(self.stage, |(stage, _)| stage) + 1;
            return Err(Rejection::NotAnApprover { voter: self.voter.clone(), stage });
        }
        self.case.ask(action, object(&self.activation))
    }

    fn is_approver(&self, voter: &Uid, stage: u32) -> Result<bool, Unavailable> {
        match asked_stage(self.settings, stage) {
            Some((_, stage)) => is_among(self.case.facts, voter, &stage.approvers),
            None => Ok(false),
        }
    }

    fn is_about(&self, hash: &Digest) -> Result<(), Rejection> {
        let expected = self.activation.request_hash(self.stage, &self.settings.digest);
        if expected == *hash { Ok(()) } else { Err(Rejection::RequestChanged { expected }) }
    }

    /// What one more vote comes to.
    fn count(&self, vote: Vote) -> Result<Vec<Event>, Rejection> {
        let Some((asked, stage)) = asked_stage(self.settings, self.stage) else { return Ok(Vec::new()) };
        let votes: Vec<&Vote> = self.activation.votes.iter().chain([&vote]).collect();
        let of_stage = votes.iter().filter(|vote| asked_stage(self.settings, vote.stage).is_some_and(|(stage, _)| stage == asked));
        if of_stage.count() < quorum(stage) {
            return Ok(Vec::new());
        }
        let (counted, void) = self.asked_again(&votes)?;
        let id = self.activation.id.clone();
        let mut events = Vec::new();
        if !void.is_empty() {
            events.push(Event::VotesVoided { id: id.clone(), voters: void });
        }
        let lacking = (0_u32..).zip(&self.settings.stages).find(|(index, stage)| counted.get(index).copied().unwrap_or(0) < quorum(stage));
        match lacking {
            Some((index, _)) if index == asked => {}
            Some((index, stage)) => {
                events.push(Event::StageReached { id, stage: index, timeout_at: self.case.now().plus(stage.timeout) });
            }
            None => events.push(self.begin()?),
        }
        Ok(events)
    }

    /// Asks for every vote again whether it may still be cast, and counts those that may by stage. The void ones' voters.
    fn asked_again(&self, votes: &[&Vote]) -> Result<(BTreeMap<u32, usize>, Vec<Uid>), Rejection> {
        let mut counted = BTreeMap::new();
        let mut persons = BTreeSet::new();
        let mut void = Vec::new();
        for vote in votes {
            let (Some(voter), Some((stage, _))) = (vote.voter.principal(), asked_stage(self.settings, vote.stage)) else { continue };
            let person = person(self.case.facts, voter)?;
            let stands = presence(self.case.facts, voter)? == Presence::Known
                && !self.involved.contains(&person)
                && self.is_approver(voter, vote.stage)?
                && self.still_permitted(vote)?
                && persons.insert(person);
            if stands {
                *counted.entry(stage).or_insert(0) += 1;
            } else {
                void.push(voter.clone());
            }
        }
        Ok((counted, void))
    }

    fn still_permitted(&self, vote: &Vote) -> Result<bool, Rejection> {
        match self.case.ask_for(&vote.voter, Action::ApproveActivation, object(&self.activation)) {
            Ok(_) => Ok(true),
            Err(Rejection::NotPermitted { .. }) => Ok(false),
            Err(other) => Err(other),
        }
    }

    /// The window begins, or the request fails for what became of it while it waited.
    fn begin(&self) -> Result<Event, Rejection> {
        let id = self.activation.id.clone();
        if let Some(cause) = self.cannot_begin()? {
            return Ok(Event::ActivationFailed { id, cause });
        }
        let duration = self.activation.duration.min(self.settings.max_duration);
        let window = Window::lasting(self.case.now(), duration);
        Ok(Event::ActivationStarted { id, window, clamped: duration < self.activation.duration })
    }

    fn cannot_begin(&self) -> Result<Option<Cause>, Unavailable> {
        let (facts, activation) = (self.case.facts, &self.activation);
        let principal = &activation.principal;
        match presence(facts, principal)? {
            Presence::Known => {}
            Presence::Disabled => return Ok(Some(Cause::PrincipalDisabled(principal.clone()))),
            Presence::Unknown(_) => return Ok(Some(Cause::PrincipalDeleted(principal.clone()))),
        }
        if self.case.incarnation(principal)? != activation.under.holder {
            return Ok(Some(Cause::PrincipalDeleted(principal.clone())));
        }
        // Whose person nobody knows any more cannot be told from an approver's.
        if let Some(requester) = activation.requester.principal()
            && definition(facts, requester)?.is_none()
        {
            return Ok(Some(Cause::PrincipalDeleted(requester.clone())));
        }
        if facts.role_incarnation(&activation.role)? != activation.under.role {
            return Ok(Some(Cause::RoleRemoved(activation.role.clone())));
        }
        if still_stands(facts, principal, &activation.role, activation.scope.as_ref(), &activation.under)?.is_err() {
            return Ok(activation.scope.clone().map(Cause::ScopeDeleted));
        }
        let holder = &activation.basis.holder;
        if holder != principal
            && (self.case.incarnation(holder)? != activation.basis_incarnation || !ancestors(facts, principal)?.contains(holder))
        {
            return Ok(Some(Cause::GroupLeft(holder.clone())));
        }
        let rests_on = |through: &_| is_basis(through, activation);
        let in_force = eligibilities(facts, principal, self.case.now())?.iter().any(rests_on);
        Ok((!in_force).then(|| Cause::EligibilityEnded(activation.basis.eligibility.clone())))
    }
}

fn is_basis(through: &crate::domain::standing::EligibleThrough, activation: &Activation) -> bool {
    through.grant.id == activation.basis.eligibility && through.holder == activation.basis.holder
}

fn quorum(stage: &Stage) -> usize {
    usize::try_from(stage.quorum).unwrap_or(usize::MAX)
}
