//! `/v1/explain`: a check with its reasons. It needs a right of its own, for it tells what the subject holds and which policies there are.

use serde_json::{Value, json};

use crate::domain::ActivationId;
use crate::domain::facts::{Action, Object};
use crate::domain::standing::{Presence, Via};
use crate::engine::ports::{ActivationFilter, Page};
use crate::http::asker::{Asker, Params, Sent};
use crate::http::data;
use crate::http::limits::EXPLAINED_ACTIVATIONS;
use crate::http::problem::Problem;
use crate::http::reply::Answer;
use crate::http::views;

fn presence(presence: Presence) -> &'static str {
    match presence {
        Presence::Known => "known",
        Presence::Disabled => "disabled",
        Presence::Unknown(_) => "unknown",
    }
}

/// `POST /v1/explain`: the body of an evaluation, read just as leniently, so that what was asked can be explained as it was asked.
pub(super) async fn explain(asker: Asker, params: Params, sent: Sent) -> Result<Answer, Problem> {
    params.finish()?;
    let ask = data::question(sent.bytes())?;
    asker.demand(Action::ExplainAccess, Object::Subject(ask.subject.clone()))?;
    let (checked, recent) = asker
        .clone()
        .read(move |asker| {
            let checked = asker.server.engine.check(&ask)?;
            let now = asker.server.engine.moment().now;
            let filter = ActivationFilter { principal: Some(ask.subject), role: None, status: None, from: None, to: None, now };
            let recent = asker.server.engine.reader().activations(&filter, &Page::first(EXPLAINED_ACTIVATIONS))?;
            Ok((
                checked,
                recent.items.iter().map(|activation| (activation.id.clone(), views::not_held(activation, now))).collect::<Vec<_>>(),
            ))
        })
        .await?;
    let verdict = checked.verdict;
    let held = |id: &ActivationId| verdict.holdings.iter().any(|holding| matches!(&holding.via, Via::Activation(held) if held == id));
    let not_held = recent.into_iter().filter(|(id, _)| !held(id)).map(|(_, shown)| shown);
    let holdings: Vec<Value> = verdict.holdings.iter().map(views::holding).chain(not_held).collect();
    let body = json!({
        "decision": verdict.allowed,
        "reason": verdict.reason,
        "detail": verdict.detail,
        "policies": verdict.policies,
        "errors": verdict.errors,
        "subject": presence(verdict.presence),
        "resource": presence(verdict.resource_presence),
        "groups": verdict.memberships.groups,
        "holdings": holdings,
        "context_dropped": verdict.context_dropped,
        "valid_until": verdict.valid_until,
        "revision": verdict.revision,
        "now": asker.server.engine.moment().now,
    });
    Ok(Answer::ok(checked.seq, body))
}
