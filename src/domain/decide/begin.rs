//! The moment at which an approved request begins, or is put off until its start: everything that it rests on is asked again.

use super::activation::object;
use super::{Case, extend};
use crate::domain::event::Event;
use crate::domain::facts::{Action, Object, Unavailable};
use crate::domain::grant::{Activation, Cause};
use crate::domain::rejection::Rejection;
use crate::domain::settings::RoleSettings;
use crate::domain::standing::{Presence, ancestors, cap, definition, eligibilities, is_void, presence, still_stands};
use crate::domain::time::{Duration, Timestamp, Window};

/// What happens when a request is let begin, or why it cannot.
pub(super) type Begun = Result<Vec<Event>, NotBegun>;

/// Why a request cannot begin: as it is recorded of a request that waited, and as it is told of one that would begin at once.
pub(super) struct NotBegun {
    pub(super) cause: Cause,
    pub(super) rejection: Rejection,
}

impl NotBegun {
    fn for_cause(activation: &Activation, cause: Cause) -> Self {
        let rejection = Rejection::NotExtendable { id: activation.id.clone(), why: "what it rests on is no longer there".to_owned() };
        Self { cause, rejection }
    }
}

/// Lets a request begin now, or puts it off until the start that it asked for.
pub(super) fn begin(case: &Case<'_>, activation: &Activation, settings: &RoleSettings) -> Result<Begun, Rejection> {
    if let Some(cause) = cannot_begin(case, activation)? {
        return Ok(Err(NotBegun::for_cause(activation, cause)));
    }
    if activation.extends.is_some() {
        return extend::grow(case, activation, settings);
    }
    let Some(start) = activation.start.filter(|start| *start > case.now()) else {
        return start_now(case, activation, settings);
    };
    let asked = activation.window_from(start);
    let most = start.plus(cap(settings, activation.emergency, 0));
    let window = Window { start, end: asked.end.map(|end| end.min(most)) };
    if let Some(over) = over_budget(case, activation, settings, window)? {
        return Ok(Err(over));
    }
    let (id, begin_by) = (activation.id.clone(), case.now().plus(settings.activate_within).max(start));
    let scheduled = Event::ActivationScheduled { id: id.clone(), start, begin_by };
    // No more of a day is reserved than the role gives by now.
    let clamped = (window != asked).then(|| Event::ActivationClamped { id, end: most, cause: Cause::CapLowered(activation.role.clone()) });
    Ok(Ok(std::iter::once(scheduled).chain(clamped).collect()))
}

/// Lets a scheduled activation begin. Its time was reserved when it was approved; one that begins so late that it reaches into another day
/// than was reserved needs that day's, too.
pub(super) fn begin_scheduled(
    case: &Case<'_>,
    activation: &Activation,
    settings: &RoleSettings,
    begin_by: Timestamp,
) -> Result<Begun, Rejection> {
    if let Some(cause) = cannot_begin(case, activation)? {
        return Ok(Err(NotBegun::for_cause(activation, cause)));
    }
    if case.now() > begin_by {
        return Ok(Err(NotBegun::for_cause(activation, Cause::StartMissed(begin_by))));
    }
    start_now(case, activation, settings)
}

fn start_now(case: &Case<'_>, activation: &Activation, settings: &RoleSettings) -> Result<Begun, Rejection> {
    let asked = activation.window_from(case.now());
    if let Some(end) = activation.end.filter(|end| *end <= case.now()) {
        return Ok(Err(NotBegun { cause: Cause::WindowPast(end), rejection: Rejection::WindowEmpty { end, after: case.now() } }));
    }
    let most = case.now().plus(cap(settings, activation.emergency, 0));
    let window = Window { start: case.now(), end: asked.end.map(|end| end.min(most)) };
    if !activation.emergency
        && let Some(over) = over_budget(case, activation, settings, window)?
    {
        return Ok(Err(over));
    }
    let clamped = window != asked;
    Ok(Ok(vec![Event::ActivationStarted { id: activation.id.clone(), window, clamped }]))
}

/// Whether a window would take more of the role's time than its beneficiary has left on some day, and than the activation has of it already.
pub(super) fn over_budget(
    case: &Case<'_>,
    activation: &Activation,
    settings: &RoleSettings,
    window: Window,
) -> Result<Option<NotBegun>, Unavailable> {
    let Some(most) = settings.max_active_per_day else { return Ok(None) };
    let seconds = |millis: u64| Duration::from_secs(millis / 1000);
    let in_full = |millis: u64| Duration::from_secs(millis.div_ceil(1000));
    let has =
        |day| activation.used().into_iter().flat_map(Window::by_day).filter(|(of, _)| *of == day).map(|(_, millis)| millis).sum::<u64>();
    for (day, asked) in window.by_day() {
        let has = has(day);
        let used = case.facts.day_use(&activation.principal, &activation.role, day)?.millis.saturating_sub(has);
        let left = most.secs().saturating_mul(1000).saturating_sub(used);
        if asked > left && asked > has {
            let (principal, role) = (activation.principal.clone(), activation.role.clone());
            let (asked, left) = (in_full(asked), seconds(left));
            let rejection = Rejection::BudgetExhausted { principal, role, day: day.to_string(), asked, left };
            return Ok(Some(NotBegun { cause: Cause::BudgetExhausted(activation.role.clone()), rejection }));
        }
    }
    Ok(None)
}

/// Why an approved request may no longer begin, if it may not.
fn cannot_begin(case: &Case<'_>, activation: &Activation) -> Result<Option<Cause>, Rejection> {
    if let Some(cause) = foundation_gone(case, activation)? {
        return Ok(Some(cause));
    }
    let Some(requester) = activation.requester.principal() else { return Ok(None) };
    let action = match &activation.extends {
        Some(_) => Action::ExtendActivation,
        None if activation.emergency => Action::ActivateInEmergency,
        None if *requester == activation.principal => Action::ActivateRole,
        None => Action::ActivateRoleFor,
    };
    let asked_about = if activation.extends.is_some() {
        object(activation)
    } else {
        Object::RoleGrant {
            role: activation.role.clone(),
            scope: activation.scope.clone(),
            beneficiary: activation.principal.clone(),
            duration: Some(activation.duration),
        }
    };
    match case.ask_for(&activation.requester, action, asked_about) {
        Ok(_) => Ok(None),
        Err(Rejection::NotPermitted { .. }) => Ok(Some(Cause::NotPermitted(requester.clone()))),
        Err(other) => Err(other),
    }
}

/// Why what a request rests on is no longer there, if it is not, whether or not that is recorded.
pub(super) fn foundation_gone(case: &Case<'_>, activation: &Activation) -> Result<Option<Cause>, Unavailable> {
    let facts = case.facts;
    let principal = &activation.principal;
    if let Some(cause) = people_gone(case, activation)? {
        return Ok(Some(cause));
    }
    if facts.role_incarnation(&activation.role)? != activation.under.role {
        return Ok(Some(Cause::RoleRemoved(activation.role.clone())));
    }
    // One that is decided on in the very command that makes it has no place in the journal yet, and nothing can have voided it.
    if activation.seq != 0 && is_void(facts, principal, &activation.role, activation.seq)? {
        let of_role = facts.role_row(&activation.role)?.void_before >= activation.seq;
        let of_time = facts.time_void_before()? >= activation.seq;
        return Ok(Some(match (of_time, of_role) {
            (true, _) => Cause::ClockAccepted,
            (false, true) => Cause::RoleRevoked(activation.role.clone()),
            (false, false) => Cause::PrincipalRevoked(principal.clone()),
        }));
    }
    if still_stands(facts, principal, &activation.role, activation.scope.as_ref(), &activation.under)?.is_err() {
        return Ok(activation.scope.clone().map(Cause::ScopeDeleted));
    }
    let holder = &activation.basis.holder;
    if holder != principal && (case.incarnation(holder)? != activation.basis_incarnation || !ancestors(facts, principal)?.contains(holder))
    {
        return Ok(Some(Cause::GroupLeft(holder.clone())));
    }
    let rests_on =
        |through: &crate::domain::standing::EligibleThrough| through.grant.id == activation.basis.eligibility && through.holder == *holder;
    let in_force = eligibilities(facts, principal, case.now())?.iter().any(rests_on);
    Ok((!in_force).then(|| Cause::EligibilityEnded(activation.basis.eligibility.clone())))
}

fn people_gone(case: &Case<'_>, activation: &Activation) -> Result<Option<Cause>, Unavailable> {
    let facts = case.facts;
    let principal = &activation.principal;
    match presence(facts, principal)? {
        Presence::Known => {}
        Presence::Disabled => return Ok(Some(Cause::PrincipalDisabled(principal.clone()))),
        Presence::Unknown(_) => return Ok(Some(Cause::PrincipalDeleted(principal.clone()))),
    }
    if case.incarnation(principal)? != activation.under.holder {
        return Ok(Some(Cause::PrincipalDeleted(principal.clone())));
    }
    let Some(requester) = activation.requester.principal() else { return Ok(None) };
    // Whose person nobody knows any more cannot be told from an approver's.
    if definition(facts, requester)?.is_none() {
        return Ok(Some(Cause::PrincipalDeleted(requester.clone())));
    }
    let disabled = presence(facts, requester)? == Presence::Disabled;
    Ok(disabled.then(|| Cause::PrincipalDisabled(requester.clone())))
}
