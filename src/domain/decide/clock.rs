//! Believing a clock again that jumped ahead.

use super::cascade::{After, Cascade};
use super::{Case, Decision, Outcome};
use crate::domain::event::Event;
use crate::domain::grant::Cause;
use crate::domain::rejection::Rejection;

/// Ends everything that is bound to time: what the clock says now may have been so all along, or may be a mistake that is being confirmed,
/// and nobody can tell which windows were meant. Asked by Elevon itself, on behalf of somebody on the machine.
pub(super) fn accept(case: &Case<'_>) -> Result<Decision, Rejection> {
    if let Some(principal) = case.actor.principal() {
        return Err(Rejection::NotPermitted { principal: principal.clone(), action: "accept_clock".to_owned(), policies: Vec::new() });
    }
    let after = After::new(case.facts).with_time_void();
    let mut cascade = Cascade::new(case.facts, &after, case.now());
    cascade.follow(Cause::ClockAccepted)?;
    let events = std::iter::once(Event::ClockAccepted {}).chain(cascade.into_events()).collect();
    Ok(Decision::unasked(events, Outcome::ClockAccepted))
}
