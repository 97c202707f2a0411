//! Asking for a role, and ending what was asked for: cancel, deactivate, revoke.

use super::people::Members;
use super::{Case, Decision, Outcome, not_found, terms};
use crate::domain::command::Actor;
use crate::domain::event::Event;
use crate::domain::facts::{Action, Object, Unavailable};
use crate::domain::grant::{Activation, ActivationState, ActivationStatus, Basis, TicketDigest};
use crate::domain::id::{ActivationId, RoleName, Uid};
use crate::domain::rejection::{Missing, Rejection};
use crate::domain::settings::{Requirement, RoleSettings, Stage};
use crate::domain::standing::{Holding, Presence, Via, eligible_for, path, presence, standing};
use crate::domain::text::{Text, Ticket};
use crate::domain::time::{Duration, Timestamp, Window};

/// Most requests of one beneficiary that may wait for votes at a time.
pub const MAX_PENDING: usize = 100;

/// What is asked for.
pub(super) struct Asked<'a> {
    pub(super) id: &'a ActivationId,
    pub(super) principal: &'a Uid,
    pub(super) role: &'a RoleName,
    pub(super) scope: Option<&'a Uid>,
    pub(super) duration: Option<Duration>,
    pub(super) justification: &'a Option<Text>,
    pub(super) ticket: &'a Option<Ticket>,
}

/// Asks for a role; grants it at once where the role has no stages of approval.
pub(super) fn request(case: &Case<'_>, asked: &Asked<'_>) -> Result<Decision, Rejection> {
    let settings = terms::role(case.facts.definitions(), asked.role)?;
    terms::scope(case, settings, asked.scope)?;
    if !case.facts.definitions().is_principal(asked.principal) {
        return Err(Rejection::NotAHolder { uid: asked.principal.clone() });
    }
    case.known(asked.principal)?;
    let duration = asked.duration.unwrap_or(settings.default_duration);
    let for_oneself = case.actor.principal() == Some(asked.principal);
    let action = if for_oneself { Action::ActivateRole } else { Action::ActivateRoleFor };
    let permitted = case.ask(
        action,
        Object::RoleGrant {
            role: asked.role.clone(),
            scope: asked.scope.cloned(),
            beneficiary: asked.principal.clone(),
            duration: Some(duration),
        },
    )?;
    duration_in_order(settings, duration)?;
    requirements(case, settings, asked)?;
    let eligible = eligible_for(case.facts, asked.principal, asked.role, asked.scope, case.now())?.ok_or_else(|| {
        let (principal, role, scope) = (asked.principal.clone(), asked.role.clone(), asked.scope.cloned());
        Rejection::NotEligible { principal, role, scope }
    })?;
    let activation = Activation {
        id: asked.id.clone(),
        principal: asked.principal.clone(),
        requester: case.actor.clone(),
        role: asked.role.clone(),
        scope: asked.scope.cloned(),
        requested_at: case.now(),
        duration,
        justification: asked.justification.as_ref().map(Text::digest),
        ticket: asked.ticket.as_ref().map(|ticket| TicketDigest { system: ticket.system.digest(), number: ticket.number.digest() }),
        basis: Basis { eligibility: eligible.grant.id.clone(), holder: eligible.holder.clone() },
        under: case.under(asked.principal, asked.role, asked.scope)?,
        basis_incarnation: case.incarnation(&eligible.holder)?,
        votes: Vec::new(),
        state: ActivationState::Pending {
            stage: 0,
            timeout_at: settings.stages.first().map_or(case.now(), |stage| case.now().plus(stage.timeout)),
        },
    };
    if let Some(id) = ensure(case, &activation)? {
        return Ok(Decision::nothing(Outcome::ActivationExists(id)));
    }
    for (number, stage) in (1_u32..).zip(&settings.stages) {
        quorum_is_reachable(case, settings, number, stage, &activation)?;
    }
    let id = asked.id.clone();
    let mut events = vec![Event::ActivationRequested { activation }];
    if settings.stages.is_empty() {
        events.push(Event::ActivationStarted { id: id.clone(), window: Window::lasting(case.now(), duration), clamped: false });
    }
    Ok(Decision::permitted(permitted, events, Outcome::ActivationCreated(id)))
}

fn duration_in_order(settings: &RoleSettings, duration: Duration) -> Result<(), Rejection> {
    if duration == Duration::default() {
        return Err(Rejection::DurationZero);
    }
    if duration > settings.max_duration {
        return Err(Rejection::DurationTooLong { role: settings.name.clone(), asked: duration, max: settings.max_duration });
    }
    Ok(())
}

/// Names everything that is missing at once, so that nobody has to ask again for each.
fn requirements(case: &Case<'_>, settings: &RoleSettings, asked: &Asked<'_>) -> Result<(), Rejection> {
    let blank = |text: &Text| text.value.trim().is_empty();
    let hint = |requirement: Requirement| match requirement {
        Requirement::Justification => asked.justification.as_ref().is_none_or(blank).then(|| "say why in `justification`".to_owned()),
        Requirement::Ticket => match asked.ticket.as_ref().filter(|ticket| !blank(&ticket.number)) {
            None => Some("name the ticket in `ticket.number`".to_owned()),
            Some(ticket) => {
                let pattern = settings.ticket_pattern.as_ref().filter(|pattern| !pattern.matches(&ticket.number.value));
                pattern.map(|pattern| format!("the ticket number has to match `{}`", pattern.as_str()))
            }
        },
        Requirement::Mfa => mfa_hint(case.actor, settings.mfa_max_age, case.now()),
    };
    let missing: Vec<_> = settings
        .require
        .iter()
        .filter_map(|requirement| hint(*requirement).map(|hint| Missing { requirement: *requirement, hint }))
        .collect();
    if missing.is_empty() { Ok(()) } else { Err(Rejection::RequirementsMissing { role: settings.name.clone(), missing }) }
}

fn mfa_hint(actor: &Actor, max_age: Option<Duration>, now: Timestamp) -> Option<String> {
    let caller = match actor {
        Actor::Caller(caller) if caller.has_mfa() => caller,
        Actor::Caller(_) | Actor::System => return Some("sign in with a second factor".to_owned()),
    };
    let max_age = max_age?;
    let fresh = caller.auth_time.is_some_and(|at| now <= at.plus(max_age));
    (!fresh).then(|| format!("sign in again: the second factor may be {max_age} old at most"))
}

/// The activation or request that already gives what is asked for, where there is one.
fn ensure(case: &Case<'_>, asked: &Activation) -> Result<Option<ActivationId>, Rejection> {
    if let Some((id, end)) = active_now(case, asked)? {
        if end >= case.now().plus(asked.duration) {
            return Ok(Some(id));
        }
        return Err(Rejection::AlreadyActive { id, end });
    }
    let mut pending = 0;
    let row = case.facts.row(&asked.principal)?;
    for id in row.iter().flat_map(|row| &row.grants.pending) {
        let Some(other) = case.facts.activation(id)?.filter(|other| other.status(case.now()) == ActivationStatus::Pending) else {
            continue;
        };
        pending += 1;
        let same_terms = other.role == asked.role && other.scope == asked.scope && other.duration == asked.duration;
        if same_terms && other.under == asked.under && other.requester.principal() == asked.requester.principal() {
            return Ok(Some(id.clone()));
        }
    }
    if pending >= MAX_PENDING {
        let pending = u32::try_from(pending).unwrap_or(u32::MAX);
        return Err(Rejection::TooManyPending { principal: asked.principal.clone(), pending });
    }
    Ok(None)
}

/// The activation of the same role at the same scope that counts now and lasts longest, with its end in effect.
fn active_now(case: &Case<'_>, asked: &Activation) -> Result<Option<(ActivationId, Timestamp)>, Unavailable> {
    let path = asked.scope.as_ref().map(|scope| path(case.facts, scope)).transpose()?;
    let standing = standing(case.facts, &asked.principal, path.as_deref(), case.moment)?;
    let same = |holding: &&Holding| holding.role == asked.role && holding.scope == asked.scope;
    let found = standing.in_force().filter(same).filter_map(|holding| match (&holding.via, holding.end) {
        (Via::Activation(id), Some(end)) => Some((id.clone(), end)),
        (Via::Activation(_), None) | (Via::Assignment(_), _) => None,
    });
    Ok(found.min_by(|(id, end), (other, other_end)| other_end.cmp(end).then_with(|| id.cmp(other))))
}

/// Refuses a request that nobody could ever approve: counts different persons among the stage's approvers of now, less requester and
/// beneficiary, until there are enough.
fn quorum_is_reachable(
    case: &Case<'_>,
    settings: &RoleSettings,
    number: u32,
    stage: &Stage,
    activation: &Activation,
) -> Result<(), Rejection> {
    let involved = super::approval::involved(case, activation)?;
    let mut persons = std::collections::HashSet::new();
    let mut available = 0;
    let mut members = Members::of(case.facts, &stage.approvers);
    while let Some(member) = members.next()? {
        if presence(case.facts, &member)? != Presence::Known {
            continue;
        }
        let person = super::people::person(case.facts, &member)?;
        if !involved.contains(&person) && persons.insert(person) {
            available += 1;
        }
        if available >= stage.quorum {
            return Ok(());
        }
    }
    if members.cut {
        return Ok(());
    }
    Err(Rejection::QuorumUnreachable { role: settings.name.clone(), stage: number, needed: stage.quorum, available })
}

/// Takes a request back before it begins.
pub(super) fn cancel(case: &Case<'_>, id: &ActivationId, reason: Option<&Text>) -> Result<Decision, Rejection> {
    let activation = case.facts.activation(id)?.ok_or_else(|| not_found("activation", id))?;
    let own = |actor: &Uid| *actor == activation.principal || activation.requester.principal() == Some(actor);
    let own = case.actor.principal().is_some_and(own);
    let permitted = if own { None } else { Some(case.ask(Action::CancelActivation, object(&activation))?) };
    in_state(case, &activation, ActivationStatus::Pending)?;
    let events = vec![Event::ActivationCancelled { id: id.clone(), reason: reason.map(Text::digest) }];
    let outcome = Outcome::ActivationChanged(id.clone());
    Ok(match permitted {
        Some(permitted) => Decision::permitted(permitted, events, outcome),
        None => Decision::unasked(events, outcome),
    })
}

/// Ends one's own activation.
pub(super) fn deactivate(case: &Case<'_>, id: &ActivationId, reason: Option<&Text>) -> Result<Decision, Rejection> {
    let activation = case.facts.activation(id)?.ok_or_else(|| not_found("activation", id))?;
    if case.actor.principal() != Some(&activation.principal) {
        return Err(Rejection::NotTheHolder { id: id.clone(), holder: activation.principal.clone() });
    }
    in_state(case, &activation, ActivationStatus::Active)?;
    let events = vec![Event::ActivationDeactivated { id: id.clone(), reason: reason.map(Text::digest) }];
    Ok(Decision::unasked(events, Outcome::ActivationChanged(id.clone())))
}

/// Ends somebody's activation.
pub(super) fn revoke(case: &Case<'_>, id: &ActivationId, reason: Option<&Text>) -> Result<Decision, Rejection> {
    let activation = case.facts.activation(id)?.ok_or_else(|| not_found("activation", id))?;
    let permitted = case.ask(Action::RevokeActivation, object(&activation))?;
    in_state(case, &activation, ActivationStatus::Active)?;
    let events = vec![Event::ActivationRevoked { id: id.clone(), reason: reason.map(Text::digest), cause: None }];
    Ok(Decision::permitted(permitted, events, Outcome::ActivationChanged(id.clone())))
}

/// What the authority is asked about a request or an activation.
#[must_use]
pub fn object(activation: &Activation) -> Object {
    Object::RoleActivation {
        id: activation.id.clone(),
        role: activation.role.clone(),
        scope: activation.scope.clone(),
        beneficiary: activation.principal.clone(),
        requester: activation.requester.principal().cloned(),
    }
}

/// Refuses an activation that is not where the command needs it, and says where it is instead.
pub(super) fn in_state(case: &Case<'_>, activation: &Activation, wanted: ActivationStatus) -> Result<(), Rejection> {
    let status = activation.status(case.now());
    if status == wanted { Ok(()) } else { Err(Rejection::activation_is(&activation.id, status, activation.since(case.now()))) }
}
