//! Recording what time has done. Nothing waits for it, and doing it twice changes nothing.

use std::sync::Arc;

use super::begin::begin_scheduled;
use super::cascade::{After, Cascade};
use super::extend::left_behind;
use super::grants::resting_on;
use super::{Case, Decision, Outcome, reviews};
use crate::domain::command::Due;
use crate::domain::event::Event;
use crate::domain::grant::{Activation, ActivationState, Cause, GrantRequestState};
use crate::domain::id::ActivationId;
use crate::domain::rejection::Rejection;

/// Records what is due. Only Elevon itself asks for it.
pub(super) fn settle(case: &Case<'_>, due: &Due) -> Result<Decision, Rejection> {
    if let Some(principal) = case.actor.principal() {
        return Err(Rejection::NotPermitted { principal: principal.clone(), action: "settle".to_owned(), policies: Vec::new() });
    }
    let now = case.now();
    let events = match due {
        Due::ActivationEnd(id) => {
            let over = |found: &Arc<Activation>| matches!(found.state, ActivationState::Active { window } if window.ended(now));
            match case.facts.activation(id)?.filter(over) {
                Some(found) => {
                    let mut events = vec![Event::ActivationExpired { id: id.clone() }];
                    events.extend(left_behind(case, &found)?);
                    events
                }
                None => Vec::new(),
            }
        }
        Due::ActivationStart(id) => start(case, id)?,
        Due::GrantRequestTimeout(id) => {
            let found = case.facts.grant_request(id)?;
            let over = found.is_some_and(|found| found.state == GrantRequestState::Pending && found.expires_at <= now);
            one(over, Event::GrantRequestTimedOut { id: id.clone() })
        }
        Due::StageTimeout(id) => {
            let found = case.facts.activation(id)?;
            let over = found.is_some_and(|found| matches!(found.state, ActivationState::Pending { timeout_at, .. } if timeout_at <= now));
            one(over, Event::ActivationTimedOut { id: id.clone() })
        }
        Due::EligibilityEnd(id) => {
            let found = case.facts.eligibility(id)?;
            if found.is_some_and(|found| found.ended.is_none() && found.window.ended(now)) {
                let mut events = vec![Event::EligibilityExpired { id: id.clone() }];
                events.extend(resting_on(case, Cause::EligibilityEnded(id.clone()))?);
                events
            } else {
                Vec::new()
            }
        }
        Due::AssignmentEnd(id) => {
            let found = case.facts.assignment(id)?;
            let over = found.is_some_and(|found| found.ended.is_none() && found.window.ended(now));
            one(over, Event::AssignmentExpired { id: id.clone() })
        }
        Due::Cascade(cause) => go_on(case, cause)?,
        Due::ReviewOpening(id) => reviews::due(case, id)?,
        Due::ReviewStep(id) => reviews::run::step(case, id)?,
    };
    let outcome = if events.is_empty() { Outcome::Unchanged } else { Outcome::Settled };
    Ok(Decision::unasked(events, outcome))
}

fn one(happened: bool, event: Event) -> Vec<Event> {
    happened.then_some(event).into_iter().collect()
}

/// Lets a scheduled activation begin, or says why it cannot.
fn start(case: &Case<'_>, id: &ActivationId) -> Result<Vec<Event>, Rejection> {
    let Some(found) = case.facts.activation(id)? else { return Ok(Vec::new()) };
    let ActivationState::Scheduled { start, begin_by, .. } = found.state else { return Ok(Vec::new()) };
    if start > case.now() {
        return Ok(Vec::new());
    }
    let failed = |cause| vec![Event::ActivationFailed { id: id.clone(), cause }];
    let Some(settings) = case.facts.definitions().roles.get(&found.role) else {
        return Ok(failed(Cause::RoleRemoved(found.role.clone())));
    };
    Ok(begin_scheduled(case, &found, settings, begin_by)?.unwrap_or_else(|not| failed(not.cause)))
}

/// The next piece of a cascade that was too large for one record.
fn go_on(case: &Case<'_>, cause: &Cause) -> Result<Vec<Event>, Rejection> {
    if !case.facts.cascade_waits(cause)? {
        return Ok(Vec::new());
    }
    let after = After::new(case.facts);
    let mut cascade = Cascade::new(case.facts, &after, case.now());
    cascade.follow(cause.clone())?;
    let complete = cascade.is_complete();
    let mut events = cascade.into_events();
    if complete {
        events.push(Event::CascadeCompleted { cause: cause.clone() });
    }
    Ok(events)
}
