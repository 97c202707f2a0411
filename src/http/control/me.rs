//! `/v1/me` and `/v1/roles`: what the caller may activate, holds and waits for, and how roles may be held.

use axum::extract::Path;
use serde_json::{Value, json};

use crate::domain::standing::{self, Holding, Moment, Presence, WhyNot};
use crate::domain::{Facts, Rejection, RoleName, Uid, Unavailable};
use crate::http::asker::{Asker, Params};
use crate::http::problem::{self, Problem};
use crate::http::reply::Answer;
use crate::http::views;

use super::activations::{load, view};

/// Most requests that wait, for votes or for their start, which `/v1/me` shows; the list of activations shows all.
const MAX_WAITING_SHOWN: usize = 100;

/// `GET /v1/me`.
pub(super) async fn me(asker: Asker, params: Params) -> Result<Answer, Problem> {
    params.finish()?;
    let seq = asker.seq;
    let body = asker.read(own_standing).await?;
    Ok(Answer::ok(seq, body))
}

fn own_standing(asker: &Asker) -> Result<Value, Problem> {
    let principal = &asker.caller.principal;
    let (mut shown, waiting) = asker.server.engine.facts(|facts, _, moment| {
        let standing = standing::standing(facts, principal, None, moment)?;
        let eligible = standing::eligibilities(facts, principal, moment.now)?;
        let eligible: Vec<Value> = eligible
            .iter()
            .map(|through| {
                json!({
                    "id": through.grant.id,
                    "role": through.grant.role,
                    "scope": through.grant.scope,
                    "principal": through.holder,
                    "start": through.grant.window.start,
                    "end": through.grant.window.end,
                    "emergency": facts.definitions().roles.get(&through.grant.role).is_some_and(|settings| settings.emergency.is_some()),
                    "settings": facts.definitions().roles.get(&through.grant.role).map(|settings| views::role_summary(settings)),
                })
            })
            .collect();
        let mut active = Vec::with_capacity(standing.holdings.len());
        for holding in standing.holdings {
            let conditions = facts.definitions().roles.get(&holding.role).is_some_and(|settings| settings.conditions);
            let mut shown = views::holding(&at_home(facts, principal, holding, moment)?);
            views::put(&mut shown, "conditions", conditions.into());
            active.push(shown);
        }
        let presence = match standing.presence {
            Presence::Known => "known",
            Presence::Disabled => "disabled",
            Presence::Unknown(_) => "unknown",
        };
        let waiting = facts.row(principal)?.map(|row| row.grants.waiting.clone()).unwrap_or_default();
        let revision = &facts.definitions().revision;
        Ok((
            json!({
                "principal": principal,
                "presence": presence,
                "groups": standing.memberships.groups,
                "eligible": eligible,
                "active": active,
                "revision": revision,
                "now": moment.now,
                "time_trusted": moment.trusted,
            }),
            waiting,
        ))
    })?;
    let (mut pending, mut scheduled) = (Vec::new(), Vec::new());
    for id in waiting.iter().take(MAX_WAITING_SHOWN) {
        let seen = view(asker, &*load(asker, id)?)?;
        match seen.get("status").and_then(Value::as_str) {
            Some("pending") => pending.push(seen),
            Some("scheduled") => scheduled.push(seen),
            Some(_) | None => {}
        }
    }
    views::put(&mut shown, "pending", pending.into());
    views::put(&mut shown, "scheduled", scheduled.into());
    Ok(shown)
}

/// A holding judged on its own scope: without a resource, a scoped one would only say that it is out of scope.
fn at_home(facts: &dyn Facts, principal: &Uid, holding: Holding, moment: Moment) -> Result<Holding, Unavailable> {
    if !matches!(holding.counts, Err(WhyNot::OutOfScope { .. })) {
        return Ok(holding);
    }
    let judged = views::holding_at_home(facts, principal, holding.scope.as_ref(), &holding.via, moment)?;
    Ok(judged.unwrap_or(holding))
}

/// `GET /v1/roles`.
pub(super) async fn roles(asker: Asker, params: Params) -> Result<Answer, Problem> {
    params.finish()?;
    let view = asker.server.engine.view();
    let definitions = view.bundle.definitions();
    let items: Vec<Value> = definitions.roles.values().map(|settings| views::role(settings)).collect();
    Ok(Answer::ok(asker.seq, json!({ "items": items, "next": Value::Null, "revision": definitions.revision })))
}

/// `GET /v1/roles/{role}`.
pub(super) async fn role(asker: Asker, Path(name): Path<String>, params: Params) -> Result<Answer, Problem> {
    params.finish()?;
    let name = RoleName::new(&name).map_err(|bad| problem::bad_parameter("role", bad))?;
    let view = asker.server.engine.view();
    let definitions = view.bundle.definitions();
    let Some(settings) = definitions.roles.get(&name) else {
        return Err(Rejection::NotFound { what: "role".to_owned(), id: name.to_string() }.into());
    };
    let mut shown = views::role(settings);
    views::put(&mut shown, "revision", json!(definitions.revision));
    Ok(Answer::ok(asker.seq, shown))
}
