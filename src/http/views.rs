//! How what is kept reads on the wire. One function a thing, so that a list, a single answer and `/v1/me` cannot differ.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::domain::decide::{asked_stage, voted_hash};
use crate::domain::grant::{ActivationState, ActivationStatus, Cause, EntityRow, GrantEnd, Vote};
use crate::domain::settings::{EdgeSource, Requirement};
use crate::domain::standing::{self, Holding, Moment, Via};
use crate::domain::{
    Activation, Actor, Assignment, Eligibility, EntityDef, Facts, RoleSettings, TextDigest, Timestamp, Uid, Unavailable, Window,
};

/// The principal of an actor; nothing for Elevon itself.
fn who(actor: &Actor) -> Value {
    json!(actor.principal())
}

/// An erasable text: nothing where none was given or it was erased.
fn text(facts: &dyn Facts, digest: Option<&TextDigest>) -> Result<Value, Unavailable> {
    let Some(digest) = digest else { return Ok(Value::Null) };
    Ok(facts.text(digest)?.map_or(Value::Null, |text| Value::String(text.value)))
}

/// A change that another change followed from, as a word and what it was about.
fn cause(cause: &Cause) -> Value {
    match cause {
        Cause::EligibilityRemoved(id) => json!({ "kind": "eligibility_removed", "eligibility": id }),
        Cause::EligibilityEnded(id) => json!({ "kind": "eligibility_ended", "eligibility": id }),
        Cause::PrincipalDisabled(uid) => json!({ "kind": "principal_disabled", "entity": uid }),
        Cause::PrincipalDeleted(uid) => json!({ "kind": "principal_deleted", "entity": uid }),
        Cause::GroupLeft(uid) => json!({ "kind": "group_left", "entity": uid }),
        Cause::ScopeDeleted(uid) => json!({ "kind": "scope_deleted", "entity": uid }),
        Cause::RoleRemoved(role) => json!({ "kind": "role_removed", "role": role }),
        Cause::CapLowered(role) => json!({ "kind": "cap_lowered", "role": role }),
        Cause::PrincipalRevoked(uid) => json!({ "kind": "principal_revoked", "entity": uid }),
        Cause::RoleRevoked(role) => json!({ "kind": "role_revoked", "role": role }),
        Cause::ClockAccepted => json!({ "kind": "clock_accepted" }),
        Cause::NotPermitted(uid) => json!({ "kind": "not_permitted", "entity": uid }),
        Cause::WindowPast(at) => json!({ "kind": "window_past", "end": at }),
        Cause::StartMissed(at) => json!({ "kind": "start_missed", "begin_by": at }),
        Cause::BudgetExhausted(role) => json!({ "kind": "budget_exhausted", "role": role }),
        Cause::ParentEnded(id) => json!({ "kind": "parent_ended", "activation": id }),
    }
}

/// How an activation ended: by whom, when, why, and what it followed from.
fn ended(facts: &dyn Facts, state: &ActivationState) -> Result<Value, Unavailable> {
    let by = |actor: &Actor, at: &Timestamp, reason: &Option<TextDigest>, because: Option<&Cause>| {
        Ok(json!({ "by": who(actor), "at": at, "reason": text(facts, reason.as_ref())?, "cause": because.map(cause) }))
    };
    match state {
        ActivationState::Pending { .. }
        | ActivationState::Scheduled { .. }
        | ActivationState::Approved { .. }
        | ActivationState::Active { .. } => Ok(Value::Null),
        ActivationState::Denied { by: actor, at, reason }
        | ActivationState::Cancelled { by: actor, at, reason }
        | ActivationState::Deactivated { by: actor, at, reason, .. } => by(actor, at, reason, None),
        ActivationState::Revoked { by: actor, at, reason, cause, .. } => by(actor, at, reason, cause.as_ref()),
        ActivationState::Failed { at, cause } => by(&Actor::System, at, &None, Some(cause)),
        ActivationState::TimedOut { at } => by(&Actor::System, at, &None, None),
        ActivationState::Expired { window } => by(&Actor::System, &window.end.unwrap_or(window.start), &None, None),
    }
}

/// A holding of a principal as it stands for its own scope, so that the scope is not what it is judged by.
pub(super) fn holding_at_home(
    facts: &dyn Facts,
    principal: &Uid,
    scope: Option<&Uid>,
    via: &Via,
    moment: Moment,
) -> Result<Option<Holding>, Unavailable> {
    let path = scope.map(|scope| standing::path(facts, scope)).transpose()?;
    let standing = standing::standing(facts, principal, path.as_deref(), moment)?;
    Ok(standing.holdings.into_iter().find(|holding| holding.via == *via))
}

fn vote(facts: &dyn Facts, vote: &Vote) -> Result<Value, Unavailable> {
    Ok(json!({ "principal": who(&vote.voter), "at": vote.at, "justification": text(facts, vote.justification.as_ref())? }))
}

fn approval(facts: &dyn Facts, activation: &Activation, settings: Option<&RoleSettings>) -> Result<Value, Unavailable> {
    let stages = settings.map(|settings| settings.stages.as_slice()).unwrap_or_default();
    let voted = activation.votes.iter().map(|vote| vote.stage as usize + 1).max().unwrap_or(0);
    let count = stages.len().max(voted);
    if count == 0 {
        return Ok(Value::Null);
    }
    let mut shown = Vec::with_capacity(count);
    for number in 0..count {
        let of_stage = activation.votes.iter().filter(|vote| vote.stage as usize == number);
        let votes = of_stage.map(|one| vote(facts, one)).collect::<Result<Vec<_>, _>>()?;
        let stage = stages.get(number);
        shown.push(json!({
            "quorum": stage.map(|stage| stage.quorum),
            "approvers": stage.map(|stage| stage.approvers.as_slice()).unwrap_or_default(),
            "timeout": stage.map(|stage| stage.timeout),
            "votes": votes,
        }));
    }
    let (mut stage, mut expires_at) = (None, None);
    if let ActivationState::Pending { stage: recorded, timeout_at, .. } = &activation.state {
        let asked = settings.and_then(|settings| asked_stage(settings, *recorded)).map_or(*recorded, |(asked, _)| asked);
        (stage, expires_at) = (Some(asked.saturating_add(1)), Some(*timeout_at));
    }
    Ok(json!({ "stages": shown, "stage": stage, "expires_at": expires_at }))
}

/// A request or an activation. `end` is the end in effect: what it rests on and the settings of now may end it earlier than was granted.
pub(super) fn activation(facts: &dyn Facts, activation: &Activation, moment: Moment) -> Result<Value, Unavailable> {
    let settings = facts.definitions().roles.get(&activation.role);
    let status = activation.status(moment.now);
    let window = activation.window();
    let mut shown = json!({
        "id": activation.id,
        "status": status,
        "role": activation.role,
        "scope": activation.scope,
        "principal": activation.principal,
        "requester": who(&activation.requester),
        "requested_at": activation.requested_at,
        "duration": activation.duration,
        "start": window.map(|window| window.start),
        "end": window.and_then(|window| window.end),
        "justification": text(facts, activation.justification.as_ref())?,
        "ticket": Value::Null,
        "eligibility": { "id": activation.basis.eligibility, "principal": activation.basis.holder },
        "approval": approval(facts, activation, settings.map(|settings| &**settings))?,
        "ended": ended(facts, &activation.state)?,
        "revision": facts.definitions().revision,
    });
    let mut put = |name: &str, value: Value| {
        if let Value::Object(members) = &mut shown {
            members.insert(name.to_owned(), value);
        }
    };
    if let Some(ticket) = &activation.ticket {
        put("ticket", json!({ "system": text(facts, Some(&ticket.system))?, "number": text(facts, Some(&ticket.number))? }));
    }
    if let (ActivationStatus::Pending, Some(hash)) = (status, voted_hash(facts.definitions(), activation)) {
        put("request_hash", json!(hash));
    }
    if status == ActivationStatus::Active {
        let via = Via::Activation(activation.id.clone());
        let found = holding_at_home(facts, &activation.principal, activation.scope.as_ref(), &via, moment)?;
        put("counts", json!(found.as_ref().is_some_and(|holding| holding.counts.is_ok())));
        if let Some(holding) = &found {
            put("end", json!(holding.end));
            put("why_not", why_not(holding));
        } else {
            put("why_not", json!({ "reason": "holder_unknown_or_disabled", "detail": "its holder is not known, or is disabled" }));
        }
    }
    Ok(shown)
}

/// Why a holding does not count: nothing where it does.
pub(super) fn why_not(holding: &Holding) -> Value {
    match &holding.counts {
        Ok(()) => Value::Null,
        Err(why) => {
            let mut shown = serde_json::to_value(why).unwrap_or_default();
            if let Value::Object(members) = &mut shown {
                members.insert("detail".to_owned(), why.to_string().into());
            }
            shown
        }
    }
}

/// A holding, and why it does not count.
pub(super) fn holding(holding: &Holding) -> Value {
    let (via, id) = match &holding.via {
        Via::Activation(id) => ("activation", id.as_str()),
        Via::Assignment(id) => ("assignment", id.as_str()),
    };
    json!({
        "id": id,
        "via": via,
        "principal": holding.holder,
        "role": holding.role,
        "scope": holding.scope,
        "start": holding.start,
        "end": holding.end,
        "approvals": holding.approvals,
        "counts": holding.counts.is_ok(),
        "why_not": why_not(holding),
    })
}

/// A request or an activation that is no holding, or no longer one, and so does not count.
pub(super) fn not_held(activation: &Activation, now: Timestamp) -> Value {
    let status = activation.status(now);
    let window = activation.window();
    let detail = match (status, activation.since(now)) {
        (ActivationStatus::Pending, _) => "it waits for approval".to_owned(),
        (ActivationStatus::Active, _) => "its holder is not known, or is disabled".to_owned(),
        (_ended, Some(at)) => format!("it is {} since {at}", status.as_str().replace('_', " ")),
        (_ended, None) => format!("it is {}", status.as_str().replace('_', " ")),
    };
    json!({
        "id": activation.id,
        "via": "activation",
        "principal": activation.principal,
        "role": activation.role,
        "scope": activation.scope,
        "start": window.map(|window| window.start),
        "end": window.and_then(|window| window.end),
        "approvals": activation.votes.len(),
        "counts": false,
        "why_not": { "reason": status, "detail": detail },
    })
}

fn grant_status(window: Window, ended: Option<&GrantEnd>, now: Timestamp) -> &'static str {
    match ended {
        Some(GrantEnd::Removed { .. }) => "removed",
        Some(GrantEnd::Expired { .. }) => "expired",
        None if window.ended(now) => "expired",
        None if window.start > now => "scheduled",
        None => "active",
    }
}

fn grant_end(facts: &dyn Facts, ended: Option<&GrantEnd>) -> Result<Value, Unavailable> {
    Ok(match ended {
        None => Value::Null,
        Some(GrantEnd::Expired { at }) => json!({ "by": Value::Null, "at": at, "reason": Value::Null }),
        Some(GrantEnd::Removed { by, at, reason }) => json!({ "by": who(by), "at": at, "reason": text(facts, reason.as_ref())? }),
    })
}

/// An eligibility, and whether it is in force: its names are still those that it was given under.
pub(super) fn eligibility(facts: &dyn Facts, grant: &Eligibility, moment: Moment) -> Result<Value, Unavailable> {
    let status = grant_status(grant.window, grant.ended.as_ref(), moment.now);
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
        "ended": grant_end(facts, grant.ended.as_ref())?,
    }))
}

/// An assignment, and whether it is in force on its scope.
pub(super) fn assignment(facts: &dyn Facts, grant: &Assignment, moment: Moment) -> Result<Value, Unavailable> {
    let status = grant_status(grant.window, grant.ended.as_ref(), moment.now);
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
        "ended": grant_end(facts, grant.ended.as_ref())?,
    }))
}

/// The settings of a role.
pub(super) fn role(settings: &RoleSettings) -> Value {
    let stages: Vec<Value> = settings
        .stages
        .iter()
        .map(|stage| json!({ "quorum": stage.quorum, "approvers": stage.approvers, "timeout": stage.timeout }))
        .collect();
    let limits = |limits: &crate::domain::settings::GrantLimits| json!({ "max_duration": limits.max_duration, "allow_permanent": limits.allow_permanent });
    json!({
        "role": settings.name,
        "description": settings.description,
        "scopes": settings.scopes,
        "scope_required": settings.scope_required,
        "max_duration": settings.max_duration,
        "default_duration": settings.default_duration,
        "require": requirements(settings),
        "ticket_pattern": settings.ticket_pattern.as_ref().map(|pattern| pattern.as_str().to_owned()),
        "mfa_max_age": settings.mfa_max_age,
        "approval": { "stages": stages },
        "eligibility": limits(&settings.eligibility),
        "assignment": limits(&settings.assignment),
        "digest": settings.digest,
    })
}

/// The settings of a role as somebody who is eligible for it needs them.
pub(super) fn role_summary(settings: &RoleSettings) -> Value {
    json!({
        "description": settings.description,
        "scopes": settings.scopes,
        "scope_required": settings.scope_required,
        "max_duration": settings.max_duration,
        "default_duration": settings.default_duration,
        "require": requirements(settings),
        "approval_stages": settings.stages.len(),
    })
}

fn requirements(settings: &RoleSettings) -> Vec<String> {
    settings.require.iter().map(Requirement::to_string).collect()
}

/// An entity in Cedar's JSON, with who owns it and whether it is disabled. Only parents that count are shown.
pub(super) fn entity(facts: &dyn Facts, def: &Arc<EntityDef>, row: Option<&EntityRow>) -> Result<Value, Unavailable> {
    let owner = if facts.definitions().entities.contains_key(&def.uid) { EdgeSource::Bundle } else { EdgeSource::Api };
    Ok(json!({
        "uid": def.uid,
        "attrs": def.attrs,
        "parents": standing::parents(facts, &def.uid)?,
        "owner": owner,
        "disabled": row.is_some_and(|row| row.disabled),
    }))
}
