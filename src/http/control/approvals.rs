//! `/v1/approvals` and the votes.

use axum::extract::Path;

use crate::domain::text::Digest;
use crate::domain::{ActivationId, Command};
use crate::engine::ports::Page;
use crate::http::asker::{Asker, Params, Sent};
use crate::http::ids::take_text;
use crate::http::problem::Problem;
use crate::http::reply::Answer;
use crate::http::views;

use super::activations::{id_of, load, shown, view};
use super::paging::{listed, through};

/// `GET /v1/approvals`: what waits for the caller's vote, oldest first.
pub(super) async fn list(asker: Asker, mut params: Params) -> Result<Answer, Problem> {
    let page = params.page()?;
    params.finish()?;
    let seq = asker.seq;
    let body = asker
        .read(move |asker| {
            let read = |page: &Page| asker.server.engine.reader().pending(page);
            let found = through(&page, read, |waiting| Ok(if asker.may_vote(waiting)? { Some(view(asker, waiting)?) } else { None }))?;
            let mut body = listed(found);
            views::put(&mut body, "now", serde_json::json!(asker.server.engine.moment().now));
            Ok(body)
        })
        .await?;
    Ok(Answer::ok(seq, body))
}

/// `POST /v1/activations/{id}/approve`: gives what was asked for, or less.
pub(super) async fn approve(asker: Asker, Path(id): Path<String>, sent: Sent) -> Result<Answer, Problem> {
    let id = id_of(&id)?;
    let mut members = sent.members()?;
    let request_hash: Digest = members.required("request_hash")?;
    let justification = take_text(&mut members, "justification")?;
    let (scope, duration) = (members.optional_entity("scope")?, members.optional("duration")?);
    let dry_run = members.dry_run()?;
    members.finish(&[])?;
    voted(asker, &sent, id.clone(), Command::Approve { id, request_hash, scope, duration, justification }, dry_run).await
}

/// `POST /v1/activations/{id}/deny`.
pub(super) async fn deny(asker: Asker, Path(id): Path<String>, sent: Sent) -> Result<Answer, Problem> {
    let id = id_of(&id)?;
    let mut members = sent.members()?;
    let request_hash: Digest = members.required("request_hash")?;
    let justification = take_text(&mut members, "justification")?;
    let dry_run = members.dry_run()?;
    members.finish(&[])?;
    voted(asker, &sent, id.clone(), Command::Deny { id, request_hash, justification }, dry_run).await
}

async fn voted(asker: Asker, sent: &Sent, id: ActivationId, command: Command, dry_run: bool) -> Result<Answer, Problem> {
    match asker.submit(sent, command, dry_run).await {
        Ok(done) => shown(asker, done).await,
        Err(error) => Err(refused(asker, id, error).await),
    }
}

/// A refusal of a vote: who may read the request is told the hash to vote on.
async fn refused(asker: Asker, id: ActivationId, problem: Problem) -> Problem {
    if !problem.withholds() {
        return problem;
    }
    let readable = asker.read(move |asker| Ok(asker.may_read(&*load(asker, &id)?)?)).await;
    if matches!(readable, Ok(true)) { problem.revealed() } else { problem }
}
