//! Asking for a role.

use super::begin::{Begun, begin, foundation_gone, over_budget};
use super::quorum::quorum_is_reachable;
use super::reviews::run;
use super::terms::{self, Brought};
use super::{Case, Decision, Outcome};
use crate::domain::command::Term;
use crate::domain::event::Event;
use crate::domain::facts::{Action, Object, Unavailable};
use crate::domain::grant::{Activation, ActivationState, ActivationStatus, Basis, TicketDigest};
use crate::domain::id::{ActivationId, RoleName, Uid};
use crate::domain::rejection::Rejection;
use crate::domain::settings::{Emergency, RoleSettings};
use crate::domain::standing::{Holding, Via, eligible_for, path, standing};
use crate::domain::text::{Text, Ticket};
use crate::domain::time::{Duration, Timestamp, Window};

/// Most requests of one beneficiary that may wait for votes, or for their start, at a time.
pub const MAX_PENDING: usize = 100;

/// What is asked for.
pub(super) struct Asked<'a> {
    pub(super) id: &'a ActivationId,
    pub(super) principal: &'a Uid,
    pub(super) role: &'a RoleName,
    pub(super) scope: Option<&'a Uid>,
    pub(super) term: Term,
    pub(super) why: Brought<'a>,
    pub(super) emergency: bool,
}

/// Asks for a role; grants it at once where the role has no stages of approval, or where the glass is broken.
pub(super) fn request(case: &Case<'_>, asked: &Asked<'_>) -> Result<Decision, Rejection> {
    let settings = terms::role(case.facts.definitions(), asked.role)?;
    terms::scope(case, settings, asked.scope)?;
    if !case.facts.definitions().is_principal(asked.principal) {
        return Err(Rejection::NotAHolder { uid: asked.principal.clone() });
    }
    case.known(asked.principal)?;
    let emergency = offered(case, settings, asked)?;
    let times = Times::of(case.now(), settings, emergency, asked.term)?;
    let permitted = case.ask(
        action(case, asked),
        Object::RoleGrant {
            role: asked.role.clone(),
            scope: asked.scope.cloned(),
            beneficiary: asked.principal.clone(),
            duration: Some(times.duration),
        },
    )?;
    terms::duration_in_order(settings, times.duration, emergency.map_or(settings.max_duration, |limits| limits.max_duration))?;
    if times.start.is_some_and(|start| start > case.now().plus(settings.activate_within)) {
        return Err(Rejection::StartTooFar { role: asked.role.clone(), within: settings.activate_within });
    }
    terms::requirements(case, settings, asked.why, asked.emergency)?;
    let eligible = eligible_for(case.facts, asked.principal, asked.role, asked.scope, case.now())?.ok_or_else(|| {
        let (principal, role, scope) = (asked.principal.clone(), asked.role.clone(), asked.scope.cloned());
        Rejection::NotEligible { principal, role, scope }
    })?;
    let basis = Basis { eligibility: eligible.grant.id.clone(), holder: eligible.holder.clone() };
    let activation = drafted(case, settings, asked, &times, basis)?;
    if let Some(id) = ensure(case, &activation, settings)? {
        return Ok(Decision::nothing(Outcome::ActivationExists(id)));
    }
    let id = asked.id.clone();
    let mut events = vec![Event::ActivationRequested { activation: Box::new(activation.clone()) }];
    if let Some(limits) = emergency {
        within_day(case, asked, limits)?;
        let begun = begun(begin(case, &activation, settings)?)?;
        let review_by = case.now().plus(limits.review_within);
        let review = run::of_emergency(case.now(), &activation, &begun, review_by)?;
        events.extend(begun);
        events.push(Event::EmergencyUsed { id: id.clone(), review_by });
        events.extend(review);
        return Ok(Decision::permitted(permitted, events, Outcome::ActivationCreated(id)));
    }
    quorum_is_reachable(case, settings, &activation)?;
    if settings.stages.is_empty() {
        events.extend(begun(begin(case, &activation, settings)?)?);
    } else if let Some(over) = over_budget(case, &activation, settings, activation.window_from(times.from(case.now())))? {
        return Err(over.rejection);
    }
    Ok(Decision::permitted(permitted, events, Outcome::ActivationCreated(id)))
}

/// What begins. A request that would begin at once and cannot is refused, and not kept as failed.
fn begun(begun: Begun) -> Result<Vec<Event>, Rejection> {
    begun.map_err(|not| not.rejection)
}

fn action(case: &Case<'_>, asked: &Asked<'_>) -> Action {
    if asked.emergency {
        Action::ActivateInEmergency
    } else if case.actor.principal() == Some(asked.principal) {
        Action::ActivateRole
    } else {
        Action::ActivateRoleFor
    }
}

/// The limits of break-glass, where it is asked for: offered by the role, and for oneself.
fn offered<'s>(case: &Case<'_>, settings: &'s RoleSettings, asked: &Asked<'_>) -> Result<Option<&'s Emergency>, Rejection> {
    if !asked.emergency {
        return Ok(None);
    }
    if case.actor.principal() != Some(asked.principal) {
        return Err(Rejection::EmergencyForOthers { principal: asked.principal.clone() });
    }
    settings.emergency.as_ref().map(Some).ok_or_else(|| Rejection::NoEmergency { role: asked.role.clone() })
}

fn within_day(case: &Case<'_>, asked: &Asked<'_>, limits: &Emergency) -> Result<(), Rejection> {
    if case.facts.day_use(asked.principal, asked.role, case.now().day())?.emergencies < limits.max_per_day {
        return Ok(());
    }
    Err(Rejection::EmergencyLimit { principal: asked.principal.clone(), role: asked.role.clone(), max: limits.max_per_day })
}

/// When a request is to begin and end.
struct Times {
    start: Option<Timestamp>,
    end: Option<Timestamp>,
    duration: Duration,
}

impl Times {
    fn of(now: Timestamp, settings: &RoleSettings, emergency: Option<&Emergency>, term: Term) -> Result<Self, Rejection> {
        // A start that is past is a start at once, and break-glass knows no other.
        let start = term.start.filter(|start| *start > now && emergency.is_none());
        let from = start.unwrap_or(now);
        let Some(end) = term.end else {
            let default = emergency.map_or(settings.default_duration, |limits| settings.default_duration.min(limits.max_duration));
            return Ok(Self { start, end: None, duration: term.duration.unwrap_or(default) });
        };
        if end <= from {
            return Err(Rejection::WindowEmpty { end, after: from });
        }
        Ok(Self { start, end: Some(end), duration: end.since_in_full(from) })
    }

    fn from(&self, now: Timestamp) -> Timestamp {
        self.start.unwrap_or(now)
    }
}

fn drafted(case: &Case<'_>, settings: &RoleSettings, asked: &Asked<'_>, times: &Times, basis: Basis) -> Result<Activation, Unavailable> {
    let timeout_at = settings.stages.first().map_or(case.now(), |stage| case.now().plus(stage.timeout));
    Ok(Activation {
        id: asked.id.clone(),
        principal: asked.principal.clone(),
        requester: case.actor.clone(),
        role: asked.role.clone(),
        scope: asked.scope.cloned(),
        requested_at: case.now(),
        duration: times.duration,
        start: times.start,
        end: times.end,
        emergency: asked.emergency,
        extends: None,
        asked: None,
        extensions: 0,
        extension: None,
        review_by: None,
        seq: 0,
        justification: asked.why.justification.map(Text::digest),
        ticket: asked.why.ticket.map(ticket_digest),
        under: case.under(asked.principal, asked.role, asked.scope)?,
        basis_incarnation: case.incarnation(&basis.holder)?,
        basis,
        votes: Vec::new(),
        state: ActivationState::Pending { stage: 0, timeout_at, since: case.now() },
    })
}

pub(super) fn ticket_digest(ticket: &Ticket) -> TicketDigest {
    TicketDigest { system: ticket.system.digest(), number: ticket.number.digest() }
}

/// The activation or request that already gives what is asked for, where there is one: of the same role on the same scope and of the same
/// kind, at a time that overlaps, and not ending earlier. One that is active and does end earlier is to be extended instead.
fn ensure(case: &Case<'_>, asked: &Activation, settings: &RoleSettings) -> Result<Option<ActivationId>, Rejection> {
    let wanted = asked.window_from(asked.start.unwrap_or(case.now()));
    let lasts = |window: &Window| window.overlaps(&wanted) && window.end >= wanted.end;
    let active: Vec<_> = active_now(case, asked)?.into_iter().filter(|(_, window)| window.overlaps(&wanted)).collect();
    if let Some((id, _)) = active.iter().find(|(_, window)| lasts(window)) {
        return Ok(Some(id.clone()));
    }
    let mut waiting = 0;
    let row = if asked.emergency { None } else { case.facts.row(&asked.principal)? };
    for id in row.iter().flat_map(|row| &row.grants.waiting) {
        let Some(other) = case.facts.activation(id)? else { continue };
        match other.status(case.now()) {
            ActivationStatus::Pending | ActivationStatus::Scheduled => {}
            ActivationStatus::Approved
            | ActivationStatus::Active
            | ActivationStatus::Denied
            | ActivationStatus::Cancelled
            | ActivationStatus::TimedOut
            | ActivationStatus::Failed
            | ActivationStatus::Deactivated
            | ActivationStatus::Revoked
            | ActivationStatus::Expired => continue,
        }
        waiting += 1;
        // One whose start is past, and which nobody let begin yet, begins now.
        let begins = other.start.unwrap_or(case.now()).max(case.now());
        let same = other.role == asked.role && other.scope == asked.scope && other.under == asked.under && other.extends.is_none();
        // One that can no longer begin gives nothing, though nobody has recorded that yet.
        if same && lasts(&other.window_from(begins)) && foundation_gone(case, &other)?.is_none() {
            return Ok(Some(id.clone()));
        }
    }
    if let Some((id, window)) = active.into_iter().next() {
        return Err(Rejection::AlreadyActive { id, end: window.end.unwrap_or(window.start) });
    }
    let would_wait = asked.start.is_some() || !settings.stages.is_empty();
    if would_wait && waiting >= MAX_PENDING {
        let pending = u32::try_from(waiting).unwrap_or(u32::MAX);
        return Err(Rejection::TooManyPending { principal: asked.principal.clone(), pending });
    }
    Ok(None)
}

/// The activations of the same role on the same scope and of the same kind that count now, with their windows in effect: the one that lasts
/// longest first.
fn active_now(case: &Case<'_>, asked: &Activation) -> Result<Vec<(ActivationId, Window)>, Unavailable> {
    let path = asked.scope.as_ref().map(|scope| path(case.facts, scope)).transpose()?;
    let standing = standing(case.facts, &asked.principal, path.as_deref(), case.moment)?;
    let row = case.facts.row(&asked.principal)?;
    let grants = row.as_ref().map(|row| row.grants.activations.as_slice()).unwrap_or_default();
    let kind = |id: &ActivationId| grants.iter().any(|grant| grant.id == *id && grant.emergency == asked.emergency);
    let same = |holding: &&Holding| holding.role == asked.role && holding.scope == asked.scope;
    let mut found: Vec<_> = standing
        .in_force()
        .filter(same)
        .filter_map(|holding| match &holding.via {
            Via::Activation(id) if kind(id) => Some((id.clone(), Window { start: holding.start, end: holding.end })),
            Via::Activation(_) | Via::Assignment(_) => None,
        })
        .collect();
    found.sort_by(|(id, window), (other, than)| than.end.cmp(&window.end).then_with(|| id.cmp(other)));
    Ok(found)
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
