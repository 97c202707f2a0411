//! `/v1/explain`: a check with its reasons. It needs a right of its own, for it tells what the subject holds and which policies there are.

use serde_json::{Value, json};

use crate::domain::facts::{Action, Object};
use crate::domain::standing::Presence;
use crate::http::asker::{Asker, Params, Sent};
use crate::http::data;
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
    let checked = asker.clone().read(move |asker| Ok(asker.server.engine.check(&ask)?)).await?;
    let verdict = checked.verdict;
    let holdings: Vec<Value> = verdict.holdings.iter().map(views::holding).collect();
    let body = json!({
        "decision": verdict.allowed,
        "reason": verdict.reason,
        "detail": verdict.detail,
        "policies": verdict.policies,
        "errors": verdict.errors,
        "subject": presence(verdict.presence),
        "resource": presence(verdict.resource_presence),
        "groups": verdict.groups,
        "holdings": holdings,
        "context_dropped": verdict.context_dropped,
        "valid_until": verdict.valid_until,
        "revision": verdict.revision,
        "now": asker.server.engine.moment().now,
    });
    Ok(Answer::ok(checked.seq, body))
}
