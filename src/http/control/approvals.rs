//! `/v1/approvals` and the votes.

use axum::extract::Path;

use crate::domain::text::Digest;
use crate::domain::{Command, Text};
use crate::engine::ports::Page;
use crate::http::asker::{Asker, Params, Sent};
use crate::http::ids::take_text;
use crate::http::problem::Problem;
use crate::http::reply::Answer;

use super::activations::{id_of, listed, refused, shown, through, view};

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
            if let serde_json::Value::Object(members) = &mut body {
                members.insert("now".to_owned(), serde_json::json!(asker.server.engine.moment().now));
            }
            Ok(body)
        })
        .await?;
    Ok(Answer::ok(seq, body))
}

fn vote(sent: &Sent) -> Result<(Digest, Option<Text>), Problem> {
    let mut members = sent.members()?;
    let hash: Digest = members.required("request_hash")?;
    let justification = take_text(&mut members, "justification")?;
    members.finish(&["dry_run"])?;
    Ok((hash, justification))
}

/// `POST /v1/activations/{id}/approve`.
pub(super) async fn approve(asker: Asker, Path(id): Path<String>, sent: Sent) -> Result<Answer, Problem> {
    let (id, (request_hash, justification)) = (id_of(&id)?, vote(&sent)?);
    match asker.submit(&sent, Command::Approve { id: id.clone(), request_hash, scope: None, duration: None, justification }).await {
        Ok(reply) => shown(asker, reply).await,
        Err(error) => Err(refused(asker, id, error).await),
    }
}

/// `POST /v1/activations/{id}/deny`.
pub(super) async fn deny(asker: Asker, Path(id): Path<String>, sent: Sent) -> Result<Answer, Problem> {
    let (id, (request_hash, justification)) = (id_of(&id)?, vote(&sent)?);
    match asker.submit(&sent, Command::Deny { id: id.clone(), request_hash, justification }).await {
        Ok(reply) => shown(asker, reply).await,
        Err(error) => Err(refused(asker, id, error).await),
    }
}
