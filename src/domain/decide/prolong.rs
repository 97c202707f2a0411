//! Extending a grant before its end, and renewing it after: its holder asks, and an administrator decides, who may not be on the receiving
//! end. Lost: a command that an administrator gives alone, which is what granting anew is there for.

use super::grants::{Kind, granted_once, object, window_in_order};
use super::people::{is_among, person, reaches_actor};
use super::{Case, Decision, Outcome, not_found, terms};
use crate::domain::command::NewGrant;
use crate::domain::event::Event;
use crate::domain::facts::{Action, Permitted, Unavailable};
use crate::domain::grant::{Assignment, Eligibility, GrantEnd, GrantRef, GrantRequest, GrantRequestState, Under};
use crate::domain::id::{GrantRequestId, RoleName, Uid};
use crate::domain::rejection::Rejection;
use crate::domain::standing::still_stands;
use crate::domain::text::Text;
use crate::domain::time::{Duration, Timestamp, Window};

/// For how many days after its end a grant can be renewed, and a request about it decided.
pub const RENEWABLE_DAYS: u64 = 30;

/// A grant of either kind, as far as prolonging it goes.
struct Grant {
    kind: Kind,
    id: String,
    holder: Uid,
    role: RoleName,
    scope: Option<Uid>,
    window: Window,
    under: Under,
    removed: bool,
}

impl Grant {
    fn load(case: &Case<'_>, of: &GrantRef) -> Result<Self, Rejection> {
        let removed = |ended: &Option<GrantEnd>| matches!(ended, Some(GrantEnd::Removed { .. }));
        Ok(match of {
            GrantRef::Eligibility(id) => {
                let found = case.facts.eligibility(id)?.ok_or_else(|| not_found("eligibility", id))?;
                let Eligibility { holder, role, scope, window, under, ended, .. } = (*found).clone();
                Self { kind: Kind::Eligibility, id: id.to_string(), holder, role, scope, window, under, removed: removed(&ended) }
            }
            GrantRef::Assignment(id) => {
                let found = case.facts.assignment(id)?.ok_or_else(|| not_found("assignment", id))?;
                let Assignment { holder, role, scope, window, under, ended, .. } = (*found).clone();
                Self { kind: Kind::Assignment, id: id.to_string(), holder, role, scope, window, under, removed: removed(&ended) }
            }
        })
    }

    fn cannot(&self, what: &str, why: String) -> Rejection {
        Rejection::NotProlongable { id: self.id.clone(), what: what.to_owned(), why }
    }

    /// Its end, where it can be prolonged in this way now.
    fn prolongable(&self, case: &Case<'_>, renew: bool) -> Result<Timestamp, Rejection> {
        let what = if renew { "renewed" } else { "extended" };
        if self.removed {
            return Err(self.cannot(what, "it was removed; have it granted anew".to_owned()));
        }
        let Some(end) = self.window.end else { return Err(self.cannot(what, "it has no end".to_owned())) };
        if self.window.ended(case.now()) != renew {
            let why =
                if renew { format!("it runs until {end}; extend it instead") } else { format!("it ended at {end}; renew it instead") };
            return Err(self.cannot(what, why));
        }
        if renew && last_moment(end) <= case.now() {
            return Err(self.cannot(what, format!("it ended at {end}, more than {RENEWABLE_DAYS} days ago; have it granted anew")));
        }
        if still_stands(case.facts, &self.holder, &self.role, self.scope.as_ref(), &self.under)?.is_err() {
            return Err(self.cannot(what, "a name that it was given under is gone, or came back; have it granted anew".to_owned()));
        }
        Ok(end)
    }

    /// Asks whether somebody may grant it for so long from now, who neither asked for it nor gets it.
    fn may_decide(&self, case: &Case<'_>, request: &GrantRequest, end: Timestamp) -> Result<Permitted, Rejection> {
        if let Some(actor) = case.actor.principal() {
            let same = |uid: &Uid| Ok::<_, Unavailable>(person(case.facts, uid)? == person(case.facts, actor)?);
            let asked = request.requester.principal().map(same).transpose()?.unwrap_or(false);
            if asked || reaches_actor(case, actor, &self.holder)? {
                return Err(Rejection::SelfGrant { actor: actor.clone(), holder: self.holder.clone() });
            }
        }
        case.ask(Action::AssignRole, object(&self.role, self.scope.as_ref(), &self.holder, Window { start: case.now(), end: Some(end) }))
    }
}

fn last_moment(end: Timestamp) -> Timestamp {
    end.plus(Duration::from_days(RENEWABLE_DAYS))
}

/// Asks for it: the holder, somebody in the group that holds it, or somebody who may grant it.
pub(super) fn request(
    case: &Case<'_>,
    id: &GrantRequestId,
    of: &GrantRef,
    renew: bool,
    end: Timestamp,
    why: Option<&Text>,
) -> Result<Decision, Rejection> {
    let grant = Grant::load(case, of)?;
    let window = Window { start: case.now(), end: Some(end) };
    let holds = case.actor.principal().map(|actor| is_among(case.facts, actor, std::slice::from_ref(&grant.holder))).transpose()?;
    let permitted = match holds {
        Some(true) => None,
        Some(false) | None => Some(case.ask(Action::AssignRole, object(&grant.role, grant.scope.as_ref(), &grant.holder, window))?),
    };
    let before = grant.prolongable(case, renew)?;
    let settings = terms::role(case.facts.definitions(), &grant.role)?;
    if end <= before {
        return Err(Rejection::WindowEmpty { end, after: before });
    }
    window_in_order(grant.kind, settings, window)?;
    for other in case.facts.pending_about(of, 10)? {
        let waits = case.facts.grant_request(&other)?.is_some_and(|other| other.status(case.now()).0 == "pending");
        if waits {
            return Err(Rejection::GrantRequestWaits { pending: other });
        }
    }
    let request = GrantRequest {
        id: id.clone(),
        grant: of.clone(),
        holder: grant.holder,
        role: grant.role,
        scope: grant.scope,
        requester: case.actor.clone(),
        requested_at: case.now(),
        end,
        expires_at: last_moment(before),
        justification: why.map(Text::digest),
        state: GrantRequestState::Pending,
    };
    let (events, outcome) = (vec![Event::GrantRequested { request }], Outcome::GrantRequestCreated(id.clone()));
    Ok(match permitted {
        Some(permitted) => Decision::permitted(permitted, events, outcome),
        None => Decision::unasked(events, outcome),
    })
}

/// A request that waits, and its grant.
fn waiting(case: &Case<'_>, id: &GrantRequestId) -> Result<(GrantRequest, Grant), Rejection> {
    let request = case.facts.grant_request(id)?.ok_or_else(|| not_found("grant request", id))?;
    let grant = Grant::load(case, &request.grant)?;
    Ok(((*request).clone(), grant))
}

fn still_pending(case: &Case<'_>, request: &GrantRequest) -> Result<(), Rejection> {
    match request.status(case.now()) {
        ("pending", _) => Ok(()),
        (status, at) => Err(Rejection::NotInState { id: request.id.to_string(), status: status.to_owned(), at: Some(at) }),
    }
}

/// Grants it: a grant that still runs gets a later end; for one that ended since, a new one begins now, so that nothing that rested on the old
/// one comes back.
pub(super) fn approve(
    case: &Case<'_>,
    id: &GrantRequestId,
    new: &NewGrant,
    end: Option<Timestamp>,
    reason: Option<&Text>,
) -> Result<Decision, Rejection> {
    let (request, grant) = waiting(case, id)?;
    let end = end.unwrap_or(request.end);
    let permitted = grant.may_decide(case, &request, end)?;
    still_pending(case, &request)?;
    if end > request.end {
        return Err(Rejection::WiderThanAsked { what: format!("{end} is later than {}", request.end) });
    }
    let renew = grant.window.ended(case.now());
    let before = grant.prolongable(case, renew)?;
    let settings = terms::role(case.facts.definitions(), &grant.role)?;
    let after = if renew { case.now() } else { before };
    if end <= after {
        return Err(Rejection::WindowEmpty { end, after });
    }
    let window = Window { start: case.now(), end: Some(end) };
    window_in_order(grant.kind, settings, window)?;
    terms::scope(case, settings, grant.scope.as_ref())?;
    let added = Window { start: after, end: Some(end) };
    granted_once(case, grant.kind, &grant.holder, &grant.role, grant.scope.as_ref(), added, Some(&grant.id))?;
    let (becomes, event) = prolonged(case, &request, grant, new, renew, window)?;
    let approved = Event::GrantRequestApproved { id: id.clone(), grant: becomes, reason: reason.map(Text::digest) };
    Ok(Decision::permitted(permitted, vec![event, approved], Outcome::GrantRequestChanged(id.clone())))
}

fn prolonged(
    case: &Case<'_>,
    request: &GrantRequest,
    grant: Grant,
    new: &NewGrant,
    renew: bool,
    window: Window,
) -> Result<(GrantRef, Event), Unavailable> {
    let end = window.end.unwrap_or(window.start);
    let under = case.under(&grant.holder, &grant.role, grant.scope.as_ref())?;
    let Grant { holder, role, scope, .. } = grant;
    let (granted_by, granted_at, justification) = (case.actor.clone(), case.now(), request.justification);
    Ok(match (&request.grant, renew) {
        (GrantRef::Eligibility(id), false) => (request.grant.clone(), Event::EligibilityExtended { id: id.clone(), end }),
        (GrantRef::Assignment(id), false) => (request.grant.clone(), Event::AssignmentExtended { id: id.clone(), end }),
        (GrantRef::Eligibility(id), true) => {
            let (renews, id) = (Some(id.clone()), new.eligibility.clone());
            let eligibility = Eligibility {
                id: id.clone(),
                holder,
                role,
                scope,
                window,
                under,
                granted_by,
                granted_at,
                justification,
                renews,
                ended: None,
            };
            (GrantRef::Eligibility(id), Event::EligibilityCreated { eligibility })
        }
        (GrantRef::Assignment(id), true) => {
            let (renews, id) = (Some(id.clone()), new.assignment.clone());
            let assignment = Assignment {
                id: id.clone(),
                holder,
                role,
                scope,
                window,
                under,
                granted_by,
                granted_at,
                justification,
                renews,
                seq: 0,
                ended: None,
            };
            (GrantRef::Assignment(id), Event::AssignmentCreated { assignment })
        }
    })
}

/// Refuses it.
pub(super) fn deny(case: &Case<'_>, id: &GrantRequestId, reason: Option<&Text>) -> Result<Decision, Rejection> {
    let (request, grant) = waiting(case, id)?;
    let permitted = grant.may_decide(case, &request, request.end)?;
    still_pending(case, &request)?;
    let events = vec![Event::GrantRequestDenied { id: id.clone(), reason: reason.map(Text::digest) }];
    Ok(Decision::permitted(permitted, events, Outcome::GrantRequestChanged(id.clone())))
}

/// Takes it back: whoever asked, or holds the grant; or somebody who may grant it.
pub(super) fn cancel(case: &Case<'_>, id: &GrantRequestId, reason: Option<&Text>) -> Result<Decision, Rejection> {
    let (request, grant) = waiting(case, id)?;
    let own = case.actor.principal().is_some_and(|actor| request.requester.principal() == Some(actor) || grant.holder == *actor);
    let window = Window { start: case.now(), end: Some(request.end) };
    let ask = || case.ask(Action::AssignRole, object(&grant.role, grant.scope.as_ref(), &grant.holder, window));
    let permitted = if own { None } else { Some(ask()?) };
    still_pending(case, &request)?;
    let events = vec![Event::GrantRequestCancelled { id: id.clone(), reason: reason.map(Text::digest) }];
    let outcome = Outcome::GrantRequestChanged(id.clone());
    Ok(match permitted {
        Some(permitted) => Decision::permitted(permitted, events, outcome),
        None => Decision::unasked(events, outcome),
    })
}
