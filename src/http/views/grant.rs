//! Eligibilities and assignments, and requests to let one run longer.

use serde_json::{Value, json};

use crate::domain::grant::{GrantEnd, GrantRef, GrantRequestState};
use crate::domain::standing::{self, Moment, Via};
use crate::domain::{Actor, Assignment, Eligibility, Facts, GrantRequest, TextDigest, Timestamp, Unavailable, Window};

use super::{holding_at_home, text, who};

fn status(window: Window, ended: Option<&GrantEnd>, now: Timestamp) -> &'static str {
    match ended {
        Some(GrantEnd::Removed { .. }) => "removed",
        Some(GrantEnd::Expired { .. }) => "expired",
        None if window.ended(now) => "expired",
        None if window.start > now => "scheduled",
        None => "active",
    }
}

fn end(facts: &dyn Facts, ended: Option<&GrantEnd>) -> Result<Value, Unavailable> {
    Ok(match ended {
        None => Value::Null,
        Some(GrantEnd::Expired { at }) => json!({ "by": Value::Null, "at": at, "reason": Value::Null }),
        Some(GrantEnd::Removed { by, at, reason }) => json!({ "by": who(by), "at": at, "reason": text(facts, reason.as_ref())? }),
    })
}

/// An eligibility, and whether it is in force: its names are still those that it was given under.
pub(in crate::http) fn eligibility(facts: &dyn Facts, grant: &Eligibility, moment: Moment) -> Result<Value, Unavailable> {
    let status = status(grant.window, grant.ended.as_ref(), moment.now);
    let in_force =
        status == "active" && standing::eligibilities(facts, &grant.holder, moment.now)?.iter().any(|one| one.grant.id == grant.id);
    Ok(json!({
        "id": grant.id,
        "status": status,
        "in_force": in_force,
        "principal": grant.holder,
        "role": grant.role,
        "scope": grant.scope,
        "start": grant.window.start,
        "end": grant.window.end,
        "granted_by": who(&grant.granted_by),
        "granted_at": grant.granted_at,
        "justification": text(facts, grant.justification.as_ref())?,
        "renews": grant.renews,
        "ended": end(facts, grant.ended.as_ref())?,
    }))
}

/// An assignment, and whether it is in force on its scope.
pub(in crate::http) fn assignment(facts: &dyn Facts, grant: &Assignment, moment: Moment) -> Result<Value, Unavailable> {
    let status = status(grant.window, grant.ended.as_ref(), moment.now);
    let via = Via::Assignment(grant.id.clone());
    let in_force = status == "active"
        && holding_at_home(facts, &grant.holder, grant.scope.as_ref(), &via, moment)?.is_some_and(|holding| holding.counts.is_ok());
    Ok(json!({
        "id": grant.id,
        "status": status,
        "in_force": in_force,
        "principal": grant.holder,
        "role": grant.role,
        "scope": grant.scope,
        "start": grant.window.start,
        "end": grant.window.end,
        "granted_by": who(&grant.granted_by),
        "granted_at": grant.granted_at,
        "justification": text(facts, grant.justification.as_ref())?,
        "renews": grant.renews,
        "ended": end(facts, grant.ended.as_ref())?,
    }))
}

fn kind_and_id(grant: &GrantRef) -> (&'static str, &str) {
    match grant {
        GrantRef::Eligibility(id) => ("eligibility", id.as_str()),
        GrantRef::Assignment(id) => ("assignment", id.as_str()),
    }
}

fn decided(facts: &dyn Facts, request: &GrantRequest, now: Timestamp) -> Result<Value, Unavailable> {
    let by = |by: &Actor, at: &Timestamp, reason: &Option<TextDigest>, grant: Option<&GrantRef>| {
        let grant = grant.map(|grant| kind_and_id(grant).1);
        Ok(json!({ "by": who(by), "at": at, "reason": text(facts, reason.as_ref())?, "grant": grant }))
    };
    match &request.state {
        GrantRequestState::Pending if request.expires_at <= now => by(&Actor::System, &request.expires_at, &None, None),
        GrantRequestState::Pending => Ok(Value::Null),
        GrantRequestState::Approved { by: actor, at, reason, grant } => by(actor, at, reason, Some(grant)),
        GrantRequestState::Denied { by: actor, at, reason } | GrantRequestState::Cancelled { by: actor, at, reason } => {
            by(actor, at, reason, None)
        }
        GrantRequestState::TimedOut { at } => by(&Actor::System, at, &None, None),
    }
}

/// A request to extend or renew a grant, and what became of it.
pub(in crate::http) fn grant_request(facts: &dyn Facts, request: &GrantRequest, moment: Moment) -> Result<Value, Unavailable> {
    let (kind, grant) = kind_and_id(&request.grant);
    Ok(json!({
        "id": request.id,
        "status": request.status(moment.now).0,
        "kind": kind,
        "grant": grant,
        "principal": request.holder,
        "role": request.role,
        "scope": request.scope,
        "requester": who(&request.requester),
        "requested_at": request.requested_at,
        "end": request.end,
        "expires_at": request.expires_at,
        "justification": text(facts, request.justification.as_ref())?,
        "decided": decided(facts, request, moment.now)?,
        "revision": facts.definitions().revision,
    }))
}
