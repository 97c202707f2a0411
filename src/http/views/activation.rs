//! Requests and activations, from being asked for to their end.

use serde_json::{Value, json};

use crate::domain::decide::{asked_stage, voted_hash};
use crate::domain::grant::{ActivationState, ActivationStatus, Asked, Cause, Narrowed, Vote};
use crate::domain::settings::{Fallback, RoleSettings, Stage};
use crate::domain::standing::{Moment, Via};
use crate::domain::{Activation, Actor, Facts, TextDigest, Timestamp, Unavailable, Window};

use super::holding::why_not;
use super::{cause, holding_at_home, put, text, who};

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

/// What a voter took away.
fn gave(narrowed: &Narrowed) -> Option<Value> {
    if *narrowed == Narrowed::default() {
        return None;
    }
    let mut shown = json!({});
    if let Some((scope, _)) = &narrowed.scope {
        put(&mut shown, "scope", json!(scope));
    }
    if let Some(duration) = narrowed.duration {
        put(&mut shown, "duration", json!(duration));
    }
    Some(shown)
}

fn vote(facts: &dyn Facts, vote: &Vote) -> Result<Value, Unavailable> {
    let mut shown = json!({ "principal": who(&vote.voter), "at": vote.at, "justification": text(facts, vote.justification.as_ref())? });
    if let Some(gave) = gave(&vote.narrowed) {
        put(&mut shown, "gave", gave);
    }
    Ok(shown)
}

/// Who steps in; `from` is the instant from which they may vote, where their stage is the one that is asked.
fn fallback(fallback: &Fallback, asked_since: Option<Timestamp>) -> Value {
    json!({
        "approvers": fallback.approvers,
        "after": fallback.after,
        "from": asked_since.map(|since| since.plus(fallback.after)),
    })
}

fn stage(settings: Option<&Stage>, asked_since: Option<Timestamp>, votes: Vec<Value>) -> Value {
    json!({
        "quorum": settings.map(|stage| stage.quorum),
        "approvers": settings.map(|stage| stage.approvers.as_slice()).unwrap_or_default(),
        "timeout": settings.map(|stage| stage.timeout),
        "fallback": settings.and_then(|stage| stage.fallback.as_ref()).map(|one| fallback(one, asked_since)),
        "votes": votes,
    })
}

fn approval(facts: &dyn Facts, activation: &Activation, settings: Option<&RoleSettings>) -> Result<Value, Unavailable> {
    // Nobody is asked in an emergency, whatever stages the role has.
    let stages = settings.filter(|_| !activation.emergency).map(|settings| settings.stages.as_slice()).unwrap_or_default();
    let voted = activation.votes.iter().map(|vote| vote.stage as usize + 1).max().unwrap_or(0);
    let count = stages.len().max(voted);
    if count == 0 {
        return Ok(Value::Null);
    }
    let (mut asked, mut since, mut expires_at) = (None, None, None);
    if let ActivationState::Pending { stage: recorded, timeout_at, since: asked_since } = &activation.state {
        let number = settings.and_then(|settings| asked_stage(settings, *recorded)).map_or(*recorded, |(asked, _)| asked);
        (asked, expires_at) = (Some(number), Some(*timeout_at));
        since = Some((*asked_since).max(activation.requested_at));
    }
    let mut shown = Vec::with_capacity(count);
    for number in 0..count {
        let of_stage = activation.votes.iter().filter(|vote| vote.stage as usize == number);
        let votes = of_stage.map(|one| vote(facts, one)).collect::<Result<Vec<_>, _>>()?;
        let since = since.filter(|_| asked.is_some_and(|asked| asked as usize == number));
        shown.push(stage(stages.get(number), since, votes));
    }
    Ok(json!({ "stages": shown, "stage": asked.map(|asked| asked.saturating_add(1)), "expires_at": expires_at }))
}

fn requested(asked: &Asked) -> Value {
    json!({ "scope": asked.scope, "duration": asked.duration })
}

/// When it begins and ends, as far as that is known: what it was given, or what it is to get once it is approved.
fn times(activation: &Activation) -> (Option<Timestamp>, Option<Timestamp>) {
    if let ActivationState::Approved { end, .. } = &activation.state {
        return (None, Some(*end));
    }
    match activation.window() {
        Some(Window { start, end }) => (Some(start), end),
        None => match activation.start {
            Some(start) => (Some(start), activation.window_from(start).end),
            None => (None, activation.end),
        },
    }
}

/// A request or an activation. `end` is the end in effect: what it rests on and the settings of now may end it earlier than was granted.
pub(in crate::http) fn activation(facts: &dyn Facts, activation: &Activation, moment: Moment) -> Result<Value, Unavailable> {
    let settings = facts.definitions().roles.get(&activation.role);
    let status = activation.status(moment.now);
    let (start, end) = times(activation);
    let mut shown = json!({
        "id": activation.id,
        "status": status,
        "role": activation.role,
        "scope": activation.scope,
        "principal": activation.principal,
        "requester": who(&activation.requester),
        "requested_at": activation.requested_at,
        "duration": activation.duration,
        "start": start,
        "end": end,
        "not_before": activation.start,
        "fixed_end": activation.end,
        "emergency": activation.emergency,
        "review_by": activation.review_by,
        "extends": activation.extends,
        "extensions": activation.extensions,
        "extension": activation.extension,
        "justification": text(facts, activation.justification.as_ref())?,
        "ticket": Value::Null,
        "eligibility": { "id": activation.basis.eligibility, "principal": activation.basis.holder },
        "approval": approval(facts, activation, settings.map(|settings| &**settings))?,
        "ended": ended(facts, &activation.state)?,
        "revision": facts.definitions().revision,
    });
    if let Some(ticket) = &activation.ticket {
        let ticket = json!({ "system": text(facts, Some(&ticket.system))?, "number": text(facts, Some(&ticket.number))? });
        put(&mut shown, "ticket", ticket);
    }
    if let Some(asked) = &activation.asked {
        put(&mut shown, "requested", requested(asked));
    }
    if let (ActivationStatus::Scheduled, ActivationState::Scheduled { begin_by, .. }) = (status, &activation.state) {
        put(&mut shown, "begin_by", json!(begin_by));
    }
    if let (ActivationStatus::Pending, Some(hash)) = (status, voted_hash(facts.definitions(), activation)) {
        put(&mut shown, "request_hash", json!(hash));
    }
    if status == ActivationStatus::Active {
        whether_it_counts(facts, activation, moment, &mut shown)?;
    }
    Ok(shown)
}

fn whether_it_counts(facts: &dyn Facts, activation: &Activation, moment: Moment, shown: &mut Value) -> Result<(), Unavailable> {
    let via = Via::Activation(activation.id.clone());
    let found = holding_at_home(facts, &activation.principal, activation.scope.as_ref(), &via, moment)?;
    put(shown, "counts", json!(found.as_ref().is_some_and(|holding| holding.counts.is_ok())));
    if let Some(holding) = &found {
        put(shown, "end", json!(holding.end));
        put(shown, "why_not", why_not(holding));
    } else {
        put(shown, "why_not", json!({ "reason": "holder_unknown_or_disabled", "detail": "its holder is not known, or is disabled" }));
    }
    Ok(())
}

/// A request or an activation that is no holding, or no longer one, and so does not count.
pub(in crate::http) fn not_held(activation: &Activation, now: Timestamp) -> Value {
    let status = activation.status(now);
    let (start, end) = times(activation);
    let since = || match activation.since(now) {
        Some(at) => format!("it is {} since {at}", status.as_str().replace('_', " ")),
        None => format!("it is {}", status.as_str().replace('_', " ")),
    };
    let detail = match status {
        ActivationStatus::Pending => "it waits for approval".to_owned(),
        ActivationStatus::Scheduled => start.map_or_else(since, |start| format!("it begins at {start}")),
        ActivationStatus::Approved => "it let another activation run longer, and is no holding of its own".to_owned(),
        ActivationStatus::Active => "its holder is not known, or is disabled".to_owned(),
        ActivationStatus::Denied
        | ActivationStatus::Cancelled
        | ActivationStatus::TimedOut
        | ActivationStatus::Failed
        | ActivationStatus::Deactivated
        | ActivationStatus::Revoked
        | ActivationStatus::Expired => since(),
    };
    json!({
        "id": activation.id,
        "via": "activation",
        "principal": activation.principal,
        "role": activation.role,
        "scope": activation.scope,
        "start": start,
        "end": end,
        "approvals": activation.votes.len(),
        "counts": false,
        "why_not": { "reason": status, "detail": detail },
    })
}
