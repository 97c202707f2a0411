//! Looks at the facts, asks for permission, and either refuses a command or says what happens.
//!
//! Pure: the same facts, authority, envelope and moment give the same decision. What a command ends by the way (a cascade) is in the
//! same decision as its cause, up to the bounds of [`cascade`]; a check never waits for it, for it compares windows and incarnations.

mod activation;
mod alerts;
mod approval;
mod begin;
mod bundle;
mod cascade;
mod clock;
mod ending;
mod entities;
mod extend;
mod grants;
mod people;
mod prolong;
mod quorum;
mod reviews;
mod settle;
mod terms;

#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

pub use activation::{MAX_PENDING, object};
pub use alerts::MAX_NOTED;
pub use approval::{asked_stage, may_vote_in, voted_hash, waited};
pub use cascade::{MAX_CASCADE_BYTES, MAX_CASCADE_EVENTS, MAX_CONTINUED, MAX_LOOK};
pub use people::{MAX_WALK, is_among, members, person};
pub use prolong::RENEWABLE_DAYS;
pub use quorum::can_be_approved;
pub use reviews::who;

use super::command::{Actor, Caller, Command, Envelope, Everything};
use super::event::Event;
use super::facts::{Action, Authority, Object, Permitted, Question, Records, Unavailable};
use super::grant::Under;
use super::id::{
    ActivationId, AssignmentId, EligibilityId, GrantRequestId, Incarnation, IncidentId, ReviewDefinitionId, ReviewId, Revision, RoleName,
    Uid,
};
use super::rejection::Rejection;
use super::standing::{Moment, Presence, presence};
use super::time::{Duration, Timestamp};

/// How long the result of a command with an idempotency key is kept, in hours.
pub const IDEMPOTENCY_HOURS: u64 = 24;

/// What a command came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// A request was made, and granted at once where no approval is needed.
    ActivationCreated(ActivationId),
    /// What was asked for is there already.
    ActivationExists(ActivationId),
    /// An activation changed.
    ActivationChanged(ActivationId),
    /// Everything of a principal or of a role was revoked.
    AllRevoked(Everything),
    /// Somebody asked to extend or renew a grant.
    GrantRequestCreated(GrantRequestId),
    /// A request to extend or renew a grant was decided, or taken back.
    GrantRequestChanged(GrantRequestId),
    /// A clock that had jumped ahead is believed again.
    ClockAccepted,
    /// An eligibility was created.
    EligibilityCreated(EligibilityId),
    /// An eligibility was removed.
    EligibilityRemoved(EligibilityId),
    /// An assignment was created.
    AssignmentCreated(AssignmentId),
    /// An assignment was removed.
    AssignmentRemoved(AssignmentId),
    /// An entity was stored for the first time.
    EntityCreated(Uid),
    /// A stored entity was replaced, disabled or enabled.
    EntityChanged(Uid),
    /// A stored entity was deleted.
    EntityDeleted(Uid),
    /// A bundle went live.
    BundleActivated(Revision),
    /// What is reviewed was said.
    ReviewsDefined(ReviewDefinitionId),
    /// It was said anew, or ended.
    ReviewsChanged(ReviewDefinitionId),
    /// A review was opened.
    ReviewOpened(ReviewId),
    /// Something about a review was decided.
    ReviewChanged(ReviewId),
    /// An incident was put aside, armed again or remedied.
    AlertChanged(IncidentId),
    /// What time had done already, or how often a rule refused a caller, was recorded.
    Settled,
    /// Nothing had to change; nothing is journaled.
    Unchanged,
}

/// A decision: what happens, and what the caller is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// What happens, in order. Nothing for [`Outcome::Unchanged`] and [`Outcome::ActivationExists`].
    pub events: Vec<Event>,
    /// What the caller is told.
    pub outcome: Outcome,
}

impl Decision {
    /// What the authority permitted.
    fn permitted(_by: Permitted, events: Vec<Event>, outcome: Outcome) -> Self {
        Self { events, outcome }
    }

    /// What needs nobody's permission: one's own to end, or what time has done already.
    fn unasked(events: Vec<Event>, outcome: Outcome) -> Self {
        Self { events, outcome }
    }

    fn nothing(outcome: Outcome) -> Self {
        Self { events: Vec::new(), outcome }
    }
}

/// Decides a command at a moment. Whoever submits it asks [`remembered`] first.
///
/// # Errors
/// It is refused; nothing happens.
pub fn decide(facts: &dyn Records, authority: &dyn Authority, envelope: &Envelope, moment: Moment) -> Result<Decision, Rejection> {
    let case = Case { facts, authority, actor: &envelope.actor, moment };
    if matches!(envelope.command, Command::AcceptClock) {
        return clock::accept(&case);
    }
    if !moment.trusted {
        return Err(Rejection::TimeUntrusted);
    }
    if let Command::CoalesceRefusals { rule, count } = &envelope.command {
        // Asked by Elevon in the caller's name, who may be refused for being unknown in the first place.
        let event = Event::CommandRefused { rule: rule.clone(), count: *count, detail: None };
        return Ok(Decision::unasked(vec![event], Outcome::Settled));
    }
    case.actor_is_known()?;
    match &envelope.command {
        Command::RequestActivation { id, principal, role, scope, term, justification, ticket, emergency } => {
            let why = terms::Brought { justification: justification.as_ref(), ticket: ticket.as_ref() };
            let scope = scope.as_ref();
            activation::request(&case, &activation::Asked { id, principal, role, scope, term: *term, why, emergency: *emergency })
        }
        Command::Extend { id, of, duration, justification, ticket } => {
            let why = terms::Brought { justification: justification.as_ref(), ticket: ticket.as_ref() };
            extend::extend(&case, id, of, *duration, why)
        }
        Command::Approve { id, request_hash, scope, duration, justification } => approval::approve(
            &case,
            id,
            request_hash,
            approval::Less { scope: scope.as_ref(), duration: *duration },
            justification.as_ref(),
        ),
        Command::Deny { id, request_hash, justification } => approval::deny(&case, id, request_hash, justification.as_ref()),
        Command::Cancel { id, reason } => ending::cancel(&case, id, reason.as_ref()),
        Command::Deactivate { id, reason } => ending::deactivate(&case, id, reason.as_ref()),
        Command::Revoke { id, reason } => ending::revoke(&case, id, reason.as_ref()),
        Command::RevokeAll { of, reason } => ending::revoke_all(&case, of, reason.as_ref()),
        Command::RequestGrant { id, grant, renew, end, justification } => {
            prolong::request(&case, id, grant, *renew, *end, justification.as_ref())
        }
        Command::ApproveGrant { id, new, end, reason } => prolong::approve(&case, id, new, *end, reason.as_ref()),
        Command::DenyGrant { id, reason } => prolong::deny(&case, id, reason.as_ref()),
        Command::CancelGrant { id, reason } => prolong::cancel(&case, id, reason.as_ref()),
        Command::CreateEligibility { id, grant } => grants::create_eligibility(&case, id, grant),
        Command::RemoveEligibility { id, reason } => grants::remove_eligibility(&case, id, reason.as_ref()),
        Command::CreateAssignment { id, grant } => grants::create_assignment(&case, id, grant),
        Command::RemoveAssignment { id, reason } => grants::remove_assignment(&case, id, reason.as_ref()),
        Command::PutEntity { uid, parents, attrs, source } => entities::put(&case, uid, parents, attrs, *source),
        Command::DeleteEntity { uid, reason } => entities::delete(&case, uid, reason.as_ref()),
        Command::SetDisabled { uid, disabled, reason } => entities::set_disabled(&case, uid, *disabled, reason.as_ref()),
        Command::ActivateBundle { definitions, source } => bundle::activate(&case, definitions, *source),
        Command::DefineReview { id, change, plan, schedule } => reviews::define(&case, id, *change, plan, schedule),
        Command::EndReviews { id, reason } => reviews::end(&case, id, reason.as_ref()),
        Command::OpenReview { id } => reviews::open(&case, id),
        Command::DecideReview { id, subjects, decided, reason } => reviews::decide_on(&case, id, subjects, *decided, reason),
        Command::CompleteReview { id, reason } => reviews::complete(&case, id, reason.as_ref()),
        Command::ApplyReview { id, confirm } => reviews::apply(&case, id, *confirm),
        Command::NoteAlerts { changes } => alerts::note(&case, changes),
        Command::DismissAlert { id, reason } => alerts::dismiss(&case, id, reason),
        Command::RearmAlert { id } => alerts::rearm(&case, id),
        Command::RemedyAlert { id, reason } => alerts::remedy(&case, id, reason.as_ref()),
        Command::Settle(due) => settle::settle(&case, due),
        Command::AcceptClock | Command::CoalesceRefusals { .. } => Ok(Decision::nothing(Outcome::Unchanged)),
    }
}

/// What a repeated command gets without being decided, or journaled, again: the result of the first, for [`IDEMPOTENCY_HOURS`].
///
/// # Errors
/// The key came with another body before, or the facts could not be read.
pub fn remembered(facts: &dyn Records, envelope: &Envelope, now: Timestamp) -> Result<Option<Result<Outcome, Rejection>>, Rejection> {
    let (Some((key, body)), Some(caller)) = (&envelope.idempotency, envelope.actor.principal()) else { return Ok(None) };
    let Some((at, remembered)) = facts.remembered(caller, key)? else { return Ok(None) };
    if at.plus(Duration::from_hours(IDEMPOTENCY_HOURS)) <= now {
        return Ok(None);
    }
    if remembered.body != *body {
        return Err(Rejection::IdempotencyKeyReused { key: key.clone() });
    }
    Ok(Some(remembered.result))
}

/// The event by which a refusal is journaled; nothing for what says more about the moment than about the command.
#[must_use]
pub fn refusal_event(rejection: &Rejection) -> Option<Event> {
    let event = || Event::CommandRefused { rule: rejection.rule().to_owned(), count: 1, detail: Some(rejection.to_string()) };
    (!rejection.is_transient()).then(event)
}

/// What every decision looks at.
#[derive(Clone, Copy)]
struct Case<'a> {
    facts: &'a dyn Records,
    authority: &'a dyn Authority,
    actor: &'a Actor,
    moment: Moment,
}

impl Case<'_> {
    fn now(&self) -> Timestamp {
        self.moment.now
    }

    fn ask(&self, action: Action, object: Object) -> Result<Permitted, Rejection> {
        self.ask_for(self.actor, action, object)
    }

    fn ask_for(&self, actor: &Actor, action: Action, object: Object) -> Result<Permitted, Rejection> {
        Permitted::ask(self.authority, self.facts, &Question { actor: actor.clone(), action, object, now: self.now() })
    }

    fn actor_is_known(&self) -> Result<(), Rejection> {
        self.actor.principal().map_or(Ok(()), |principal| self.known(principal))
    }

    /// Refuses names that are unknown or disabled.
    fn known(&self, principal: &Uid) -> Result<(), Rejection> {
        match presence(self.facts, principal)? {
            Presence::Known => Ok(()),
            Presence::Disabled => Err(Rejection::PrincipalDisabled { principal: principal.clone() }),
            Presence::Unknown(_) => Err(Rejection::UnknownPrincipal { principal: principal.clone() }),
        }
    }

    /// Who votes: somebody, for Elevon itself has no voice in an approval.
    fn caller(&self) -> Result<&Caller, Rejection> {
        match self.actor {
            Actor::Caller(caller) => Ok(caller),
            Actor::System => Err(Rejection::NotFound { what: "approver".to_owned(), id: self.actor.to_string() }),
        }
    }

    fn incarnation(&self, uid: &Uid) -> Result<Incarnation, Unavailable> {
        Ok(self.facts.row(uid)?.map(|row| row.incarnation).unwrap_or_default())
    }

    /// The incarnations of now.
    fn under(&self, holder: &Uid, role: &RoleName, scope: Option<&Uid>) -> Result<Under, Unavailable> {
        Ok(Under {
            holder: self.incarnation(holder)?,
            role: self.facts.role_incarnation(role)?,
            scope: scope.map(|scope| self.incarnation(scope)).transpose()?,
        })
    }
}

fn not_found(what: &str, id: &dyn std::fmt::Display) -> Rejection {
    Rejection::NotFound { what: what.to_owned(), id: id.to_string() }
}
