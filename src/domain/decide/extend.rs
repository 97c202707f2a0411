//! Letting an activation run longer. An extension is a request of its own, with its own votes; the activation that it extends runs on while
//! it waits, and has one window all along. Lost: a second activation that begins where the first ends, with a gap between the two as wide as
//! a timer is late, and two things to revoke.

use super::activation::{object, ticket_digest};
use super::begin::{Begun, NotBegun, begin, over_budget};
use super::ending::in_state;
use super::quorum::quorum_is_reachable;
use super::terms::{self, Brought};
use super::{Case, Decision, Outcome, not_found};
use crate::domain::event::Event;
use crate::domain::facts::{Action, Unavailable};
use crate::domain::grant::{Activation, ActivationState, ActivationStatus, Cause};
use crate::domain::id::ActivationId;
use crate::domain::rejection::Rejection;
use crate::domain::settings::RoleSettings;
use crate::domain::standing::{Holding, Via, cap, path, standing};
use crate::domain::text::Text;
use crate::domain::time::{Duration, Timestamp, Window};

/// Asks for more time; grants it at once where the role has no stages of approval.
pub(super) fn extend(
    case: &Case<'_>,
    id: &ActivationId,
    of: &ActivationId,
    duration: Option<Duration>,
    why: Brought<'_>,
) -> Result<Decision, Rejection> {
    let parent = case.facts.activation(of)?.ok_or_else(|| not_found("activation", of))?;
    let permitted = case.ask(Action::ExtendActivation, object(&parent))?;
    in_state(case, &parent, ActivationStatus::Active)?;
    let settings = terms::role(case.facts.definitions(), &parent.role)?;
    let window = extendable(case, &parent, settings)?;
    let duration = duration.unwrap_or(settings.default_duration);
    terms::duration_in_order(settings, duration, settings.max_duration)?;
    terms::requirements(case, settings, why, false)?;
    if let Some(waiting) = waiting(case, &parent)? {
        return if waiting.duration >= duration {
            Ok(Decision::nothing(Outcome::ActivationExists(waiting.id)))
        } else {
            Err(Rejection::ExtensionWaits { id: parent.id.clone(), pending: waiting.id })
        };
    }
    let timeout_at = settings.stages.first().map_or(case.now(), |stage| case.now().plus(stage.timeout));
    let activation = Activation {
        id: id.clone(),
        requester: case.actor.clone(),
        requested_at: case.now(),
        duration,
        start: None,
        end: None,
        extends: Some(parent.id.clone()),
        asked: None,
        extensions: 0,
        extension: None,
        review_by: None,
        seq: 0,
        justification: why.justification.map(Text::digest),
        ticket: why.ticket.map(ticket_digest),
        votes: Vec::new(),
        state: ActivationState::Pending { stage: 0, timeout_at, since: case.now() },
        ..(*parent).clone()
    };
    quorum_is_reachable(case, settings, &activation)?;
    let mut events = vec![Event::ActivationRequested { activation: Box::new(activation.clone()) }];
    if settings.stages.is_empty() {
        events.extend(begin(case, &activation, settings)?.map_err(|not| not.rejection)?);
    } else if let Some(over) = over_budget(case, &activation, settings, Window::lasting(window.end.unwrap_or(case.now()), duration))? {
        return Err(over.rejection);
    }
    Ok(Decision::permitted(permitted, events, Outcome::ActivationCreated(id.clone())))
}

/// The window in effect of an activation that can be extended now.
fn extendable(case: &Case<'_>, parent: &Activation, settings: &RoleSettings) -> Result<Window, Rejection> {
    let never = |why: String| Rejection::NotExtendable { id: parent.id.clone(), why };
    if parent.emergency {
        return Err(never("it is an emergency activation; ask for the role without `emergency`".to_owned()));
    }
    if parent.extensions >= settings.max_extensions {
        let most = settings.max_extensions;
        return Err(never(format!(
            "role `{}` allows {most} extensions and it had {}; ask for it anew at its end",
            parent.role, parent.extensions
        )));
    }
    let holding =
        in_force(case, parent)?.ok_or_else(|| never("it does not count at the moment; `POST /v1/explain` says why".to_owned()))?;
    let recorded = parent.window().and_then(|window| window.end);
    if holding.end < recorded {
        let end = holding.end.map(|end| end.to_string()).unwrap_or_default();
        return Err(never(format!("what it rests on ends at {end}; have that extended first")));
    }
    let window = Window { start: holding.start, end: holding.end };
    let earliest = share_of(window, settings.extendable_after);
    if case.now() < earliest {
        return Err(Rejection::TooEarlyToExtend { id: parent.id.clone(), earliest });
    }
    Ok(window)
}

/// The instant at which so many percent of a window are over.
fn share_of(window: Window, percent: u32) -> Timestamp {
    let length = window.end.unwrap_or(window.start).millis().saturating_sub(window.start.millis());
    Timestamp::from_millis(window.start.millis().saturating_add(length.saturating_mul(i64::from(percent)) / 100))
}

/// An activation as a holding that counts on its own scope.
fn in_force(case: &Case<'_>, activation: &Activation) -> Result<Option<Holding>, Unavailable> {
    let path = activation.scope.as_ref().map(|scope| path(case.facts, scope)).transpose()?;
    let standing = standing(case.facts, &activation.principal, path.as_deref(), case.moment)?;
    let via = Via::Activation(activation.id.clone());
    Ok(standing.holdings.into_iter().find(|holding| holding.via == via && holding.counts.is_ok()))
}

/// The extension that waits for votes, where one does.
fn waiting(case: &Case<'_>, parent: &Activation) -> Result<Option<Activation>, Unavailable> {
    let Some(id) = &parent.extension else { return Ok(None) };
    let found = case.facts.activation(id)?.filter(|found| found.status(case.now()) == ActivationStatus::Pending);
    Ok(found.map(|found| (*found).clone()))
}

/// An extension was granted: the activation that it extends runs on, unless that is over.
pub(super) fn grow(case: &Case<'_>, extension: &Activation, settings: &RoleSettings) -> Result<Begun, Rejection> {
    let over = |parent: &ActivationId| NotBegun {
        cause: Cause::ParentEnded(parent.clone()),
        rejection: Rejection::NotExtendable { id: parent.clone(), why: "it is over; ask for the role anew".to_owned() },
    };
    let Some(of) = &extension.extends else { return Ok(Ok(Vec::new())) };
    let Some(parent) = case.facts.activation(of)? else { return Ok(Err(over(of))) };
    let (Some(_), Some(from)) = (in_force(case, &parent)?, parent.window().and_then(|window| window.end)) else { return Ok(Err(over(of))) };
    if parent.extensions >= settings.max_extensions {
        let why = format!("role `{}` allows {} extensions by now", parent.role, settings.max_extensions);
        let rejection = Rejection::NotExtendable { id: parent.id.clone(), why };
        return Ok(Err(NotBegun { cause: Cause::CapLowered(parent.role.clone()), rejection }));
    }
    let duration = extension.duration.min(cap(settings, false, 0));
    let window = Window::lasting(from, duration);
    if let Some(over) = over_budget(case, extension, settings, window)? {
        return Ok(Err(over));
    }
    let (id, by, end) = (parent.id.clone(), extension.id.clone(), from.plus(duration));
    Ok(Ok(vec![Event::ActivationExtended { id, by, end, clamped: duration < extension.duration }]))
}

/// What becomes of an extension that waits when the activation that it was to extend ends.
pub(super) fn left_behind(case: &Case<'_>, parent: &Activation) -> Result<Option<Event>, Unavailable> {
    let waiting = waiting(case, parent)?;
    Ok(waiting.map(|waiting| Event::ActivationFailed { id: waiting.id, cause: Cause::ParentEnded(parent.id.clone()) }))
}
