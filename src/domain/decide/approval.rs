//! Voting on a request.
//!
//! A vote is checked when it is cast, and again at every commit that would complete a stage: who lost the right in between does not
//! count. Then the first stage that lacks its quorum is asked next, which may be an earlier one; where none lacks it, the window begins.
//! Everything is decided under the settings of now. Lost: keeping the settings of the request, under which a role that was made
//! stricter would still be given as before.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use super::activation::object;
use super::begin::begin;
use super::ending::in_state;
use super::people::{is_among, person};
use super::quorum::quorum;
use super::{Case, Decision, Outcome, not_found, terms};
use crate::domain::event::Event;
use crate::domain::facts::{Action, Facts, Records, Unavailable};
use crate::domain::grant::{Activation, ActivationState, ActivationStatus, Narrowed, Vote};
use crate::domain::id::{ActivationId, Uid};
use crate::domain::rejection::Rejection;
use crate::domain::settings::{Definitions, RoleSettings, Stage};
use crate::domain::standing::{Presence, path, presence};
use crate::domain::text::{Digest, Text};
use crate::domain::time::{Duration, Timestamp};

/// The stage whose approvers a recorded stage is asked of, under the settings of now: the last one, where a bundle took stages away.
/// Nothing where it took all of them away: then nobody can vote, and the request is cancelled and made again, or times out.
#[must_use]
pub fn asked_stage(settings: &RoleSettings, recorded: u32) -> Option<(u32, &Stage)> {
    let last = u32::try_from(settings.stages.len()).unwrap_or(u32::MAX).checked_sub(1)?;
    let index = recorded.min(last);
    settings.stages.get(usize::try_from(index).ok()?).map(|stage| (index, stage))
}

/// How long the stage that is asked has waited.
#[must_use]
pub fn waited(activation: &Activation, now: Timestamp) -> Duration {
    match activation.state {
        ActivationState::Pending { since, .. } => now.since(since.max(activation.requested_at)),
        ActivationState::Scheduled { .. }
        | ActivationState::Approved { .. }
        | ActivationState::Active { .. }
        | ActivationState::Denied { .. }
        | ActivationState::Cancelled { .. }
        | ActivationState::TimedOut { .. }
        | ActivationState::Failed { .. }
        | ActivationState::Deactivated { .. }
        | ActivationState::Revoked { .. }
        | ActivationState::Expired { .. } => Duration::default(),
    }
}

/// Whether somebody is among the approvers of a stage that has waited so long: its own, and after a while those who step in.
///
/// # Errors
/// The store cannot be read.
pub fn may_vote_in(facts: &dyn Facts, stage: &Stage, voter: &Uid, waited: Duration) -> Result<bool, Unavailable> {
    if is_among(facts, voter, &stage.approvers)? {
        return Ok(true);
    }
    match &stage.fallback {
        Some(fallback) if waited >= fallback.after => is_among(facts, voter, &fallback.approvers),
        Some(_) | None => Ok(false),
    }
}

/// What a vote on a request has to carry now; nothing where it is not pending, or its role is gone.
#[must_use]
pub fn voted_hash(definitions: &Definitions, activation: &Activation) -> Option<Digest> {
    let settings = definitions.roles.get(&activation.role)?;
    stage_of(activation).map(|stage| activation.request_hash(stage, &settings.digest))
}

/// What an approver would rather give.
#[derive(Clone, Copy)]
pub(super) struct Less<'a> {
    pub(super) scope: Option<&'a Uid>,
    pub(super) duration: Option<Duration>,
}

/// Votes for a request, or for less than it asks. What a voter takes away stays away, whatever becomes of the vote: those who vote after it
/// see what is left, and vote on that.
pub(super) fn approve(
    case: &Case<'_>,
    id: &ActivationId,
    hash: &Digest,
    less: Less<'_>,
    reason: Option<&Text>,
) -> Result<Decision, Rejection> {
    let mut ballot = Ballot::open(case, id)?;
    ballot.has_a_vote()?;
    let narrowed = ballot.narrow(less)?;
    let permitted = case.ask(Action::ApproveActivation, object(&ballot.activation))?;
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
        waited: ballot.waited,
        narrowed,
        justification: reason.map(Text::digest),
    };
    let mut events = vec![Event::ApprovalGiven { id: id.clone(), vote: vote.clone() }];
    events.extend(ballot.count(vote)?);
    Ok(Decision::permitted(permitted, events, Outcome::ActivationChanged(id.clone())))
}

/// Votes against a request, which ends it. Who voted for it before may still say no.
pub(super) fn deny(case: &Case<'_>, id: &ActivationId, hash: &Digest, reason: Option<&Text>) -> Result<Decision, Rejection> {
    let ballot = Ballot::open(case, id)?;
    ballot.has_a_vote()?;
    let permitted = case.ask(Action::DenyActivation, object(&ballot.activation))?;
    ballot.is_about(hash)?;
    let events = vec![Event::ActivationDenied { id: id.clone(), reason: reason.map(Text::digest) }];
    Ok(Decision::permitted(permitted, events, Outcome::ActivationChanged(id.clone())))
}

/// The persons, by the facts of `facts`, who asked for a request or benefit from it, and so have no vote; for an extension, those of what it
/// extends, too.
pub(super) fn involved(tables: &dyn Records, facts: &dyn Facts, activation: &Activation) -> Result<HashSet<String>, Unavailable> {
    let mut people = vec![activation.principal.clone()];
    people.extend(activation.requester.principal().cloned());
    if let Some(parent) = activation.extends.as_ref().map(|parent| tables.activation(parent)).transpose()?.flatten() {
        people.extend(parent.requester.principal().cloned());
    }
    people.iter().map(|uid| person(facts, uid)).collect()
}

fn stage_of(activation: &Activation) -> Option<u32> {
    match activation.state {
        ActivationState::Pending { stage, .. } => Some(stage),
        ActivationState::Scheduled { .. }
        | ActivationState::Approved { .. }
        | ActivationState::Active { .. }
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
    /// As it would be given: as narrow as the voter wants it.
    activation: Activation,
    /// What it stands for as it was shown.
    shown: Digest,
    settings: &'a RoleSettings,
    /// As it is recorded.
    stage: u32,
    /// How long that stage has waited.
    waited: Duration,
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
        let involved = involved(case.facts, case.facts, &activation)?;
        let (shown, waited) = (activation.request_hash(stage, &settings.digest), waited(&activation, case.now()));
        Ok(Self { case, activation, shown, settings, stage, waited, voter, person, involved })
    }

    /// Takes away what the voter does not want to give. Nothing is ever added.
    fn narrow(&mut self, less: Less<'_>) -> Result<Narrowed, Rejection> {
        let mut narrowed = Narrowed::default();
        if let Some(duration) = less.duration.filter(|duration| *duration != self.activation.duration) {
            if duration == Duration::default() {
                return Err(Rejection::DurationZero);
            }
            if duration > self.activation.duration {
                return Err(Rejection::WiderThanAsked {
                    what: format!("{duration} is longer than the {} asked for", self.activation.duration),
                });
            }
            narrowed.duration = Some(duration);
            self.activation.duration = duration;
        }
        let Some(scope) = less.scope.filter(|scope| self.activation.scope.as_ref() != Some(*scope)) else { return Ok(narrowed) };
        if self.activation.extends.is_some() {
            return Err(Rejection::WiderThanAsked { what: "an extension keeps the scope of what it extends".to_owned() });
        }
        terms::scope(self.case, self.settings, Some(scope))?;
        if let Some(asked) = &self.activation.scope
            && !path(self.case.facts, scope)?.contains(asked)
        {
            return Err(Rejection::WiderThanAsked { what: format!("{scope} is not below {asked}") });
        }
        let incarnation = self.case.incarnation(scope)?;
        narrowed.scope = Some((scope.clone(), incarnation));
        self.activation.scope = Some(scope.clone());
        self.activation.under.scope = Some(incarnation);
        Ok(narrowed)
    }

    /// Separation of duties comes first and is nobody's to switch off; then the stage's list. Cedar is asked after both.
    fn has_a_vote(&self) -> Result<(), Rejection> {
        if self.involved.contains(&self.person) {
            return Err(Rejection::SeparationOfDuties { voter: self.voter.clone() });
        }
        if !self.is_approver(&self.voter, self.stage, self.waited)? {
            let stage = asked_stage(self.settings, self.stage).map_or(self.stage, |(stage, _)| stage) + 1;
            return Err(Rejection::NotAnApprover { voter: self.voter.clone(), stage });
        }
        Ok(())
    }

    fn is_approver(&self, voter: &Uid, stage: u32, waited: Duration) -> Result<bool, Unavailable> {
        match asked_stage(self.settings, stage) {
            Some((_, stage)) => may_vote_in(self.case.facts, stage, voter, waited),
            None => Ok(false),
        }
    }

    fn is_about(&self, hash: &Digest) -> Result<(), Rejection> {
        if self.shown == *hash { Ok(()) } else { Err(Rejection::RequestChanged { expected: self.shown }) }
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
            None => match begin(self.case, &self.activation, self.settings)? {
                Ok(begun) => events.extend(begun),
                Err(not) => events.push(Event::ActivationFailed { id, cause: not.cause }),
            },
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
                && self.is_approver(voter, vote.stage, vote.waited)?
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
}
