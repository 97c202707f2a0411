//! `/v1/grant-requests`: asking an administrator to extend a grant that runs, or to renew one that ended, and the answer.

use std::sync::Arc;

use axum::extract::Path;
use serde_json::Value;

use crate::domain::command::NewGrant;
use crate::domain::facts::{Action, Object};
use crate::domain::grant::{GrantRef, GrantRequestState};
use crate::domain::{Assignment, Command, Duration, Eligibility, GrantRequest, GrantRequestId, Outcome, RoleName, Text, Timestamp};
use crate::engine::ports::{GrantRequestFilter, Page};
use crate::http::asker::{Asker, Done, Params, Sent};
use crate::http::ids::{self, take_text};
use crate::http::problem::{self, Problem};
use crate::http::reply::Answer;
use crate::http::strict::{conflicting, missing};
use crate::http::views;

use super::activations::one_of;
use super::endings::ending;
use super::grants::{Grant, not_found};
use super::paging::{listed, through};

/// Where a request can stand.
const STATUSES: [&str; 5] = ["pending", "approved", "denied", "cancelled", "timed_out"];

/// A kind of grant that can be prolonged.
trait Prolongable: Grant {
    fn named(id: Self::Id) -> GrantRef;
}

impl Prolongable for Eligibility {
    fn named(id: Self::Id) -> GrantRef {
        GrantRef::Eligibility(id)
    }
}

impl Prolongable for Assignment {
    fn named(id: Self::Id) -> GrantRef {
        GrantRef::Assignment(id)
    }
}

/// Until when a grant is to run, as the caller says it.
pub(super) enum Until {
    At(Timestamp),
    For(Duration),
}

impl Until {
    /// A duration counts from the grant's end, where it is to be extended, and from now, where it is to be renewed.
    fn end(&self, before: Option<Timestamp>, renew: bool, now: Timestamp) -> Timestamp {
        match self {
            Self::At(end) => *end,
            Self::For(duration) => before.filter(|_| !renew).unwrap_or(now).plus(*duration),
        }
    }
}

pub(super) fn body(sent: &Sent) -> Result<(Until, Option<Text>, bool), Problem> {
    let mut members = sent.members()?;
    let (end, duration) = (members.optional("end")?, members.optional("duration")?);
    let (why, dry_run) = (take_text(&mut members, "justification")?, members.dry_run()?);
    members.finish(&[])?;
    match (end, duration) {
        (Some(end), None) => Ok((Until::At(end), why, dry_run)),
        (None, Some(duration)) => Ok((Until::For(duration), why, dry_run)),
        (Some(_), Some(_)) => Err(conflicting(&["duration", "end"], "they say the same in two ways; give one of them")),
        (None, None) => Err(missing("end", "`end` or `duration` is missing; say until when, or for how long, it is to run")),
    }
}

async fn prolong<G: Prolongable>(asker: Asker, id: String, sent: Sent, renew: bool) -> Result<Answer, Problem> {
    let grant = G::id_of(&id)?;
    let (until, justification, dry_run) = body(&sent)?;
    let now = asker.server.engine.moment().now;
    let (end, grant) = asker
        .clone()
        .read(move |asker| {
            let found = G::find(&**asker.server.engine.reader(), &grant)?;
            Ok((until.end(found.and_then(|found| found.parts().3.end), renew, now), grant))
        })
        .await?;
    let id = ids::grant_request()?;
    let command = Command::RequestGrant { id, grant: G::named(grant), renew, end, justification };
    let done = asker.submit(&sent, command, dry_run).await?;
    shown(asker, done).await
}

/// `POST /v1/eligibilities/{id}/extend`.
pub(super) async fn extend_eligibility(asker: Asker, Path(id): Path<String>, sent: Sent) -> Result<Answer, Problem> {
    prolong::<Eligibility>(asker, id, sent, false).await
}

/// `POST /v1/eligibilities/{id}/renew`.
pub(super) async fn renew_eligibility(asker: Asker, Path(id): Path<String>, sent: Sent) -> Result<Answer, Problem> {
    prolong::<Eligibility>(asker, id, sent, true).await
}

/// `POST /v1/assignments/{id}/extend`.
pub(super) async fn extend_assignment(asker: Asker, Path(id): Path<String>, sent: Sent) -> Result<Answer, Problem> {
    prolong::<Assignment>(asker, id, sent, false).await
}

/// `POST /v1/assignments/{id}/renew`.
pub(super) async fn renew_assignment(asker: Asker, Path(id): Path<String>, sent: Sent) -> Result<Answer, Problem> {
    prolong::<Assignment>(asker, id, sent, true).await
}

fn id_of(text: &str) -> Result<GrantRequestId, Problem> {
    GrantRequestId::new(text).map_err(|bad| problem::bad_parameter("id", bad))
}

/// What became of a command about a request: the request, for whoever was permitted the command may see it.
async fn shown(asker: Asker, done: Done) -> Result<Answer, Problem> {
    let outcome = &done.reply.outcome;
    let (Outcome::GrantRequestCreated(id) | Outcome::GrantRequestChanged(id)) = outcome else { return Err(problem::unforeseen(outcome)) };
    let (id, created) = (id.clone(), matches!(outcome, Outcome::GrantRequestCreated(_)));
    let location = format!("/v1/grant-requests/{id}");
    let (body, done) = asker
        .read(move |asker| {
            let found = asker.after(&done, |_, tables, _| tables.grant_request(&id))?.ok_or_else(|| not_found("grant request", &id))?;
            let mut body = asker.after(&done, |facts, _, moment| views::grant_request(facts, &found, moment))?;
            if let GrantRequestState::Approved { grant, .. } = &found.state
                && *grant != found.grant
            {
                done.unname_at(&mut body, "/decided/grant");
            }
            Ok((body, done))
        })
        .await?;
    Ok(if created { done.created(body, location) } else { done.answer(body) })
}

fn view(asker: &Asker, request: &GrantRequest) -> Result<Value, Problem> {
    Ok(asker.server.engine.facts(|facts, _, moment| views::grant_request(facts, request, moment))?)
}

fn load(asker: &Asker, id: &GrantRequestId) -> Result<Arc<GrantRequest>, Problem> {
    asker.server.engine.reader().grant_request(id)?.ok_or_else(|| not_found("grant request", id))
}

/// `GET /v1/grant-requests`.
pub(super) async fn list(asker: Asker, mut params: Params) -> Result<Answer, Problem> {
    let page = params.page()?;
    let status = |text: &str| {
        let known = STATUSES.contains(&text).then(|| text.to_owned());
        known.ok_or_else(|| format!("write {}", one_of(&STATUSES)))
    };
    let filter = GrantRequestFilter {
        holder: params.entity("principal_type", "principal_id")?,
        role: params.read("role", RoleName::new)?,
        status: params.read("status", status)?,
        now: asker.server.engine.moment().now,
    };
    params.finish()?;
    let seq = asker.seq;
    let body = asker
        .read(move |asker| {
            let (selves, audits) = (asker.selves()?, asker.may_audit()?);
            let read = |page: &Page| asker.server.engine.reader().grant_requests(&filter, page);
            let found = through(&page, read, |request| {
                if asker.may_see_request(request, &selves, audits)? { view(asker, request).map(Some) } else { Ok(None) }
            })?;
            Ok(listed(found))
        })
        .await?;
    Ok(Answer::ok(seq, body))
}

/// `GET /v1/grant-requests/{id}`.
pub(super) async fn one(asker: Asker, Path(id): Path<String>, params: Params) -> Result<Answer, Problem> {
    params.finish()?;
    let id = id_of(&id)?;
    let seq = asker.seq;
    let body = asker
        .read(move |asker| {
            let request = load(asker, &id)?;
            if !asker.may_see_request(&request, &asker.selves()?, asker.may_audit()?)? {
                asker.demand(Action::ReadAudit, Object::Sidecar)?;
            }
            view(asker, &request)
        })
        .await?;
    Ok(Answer::ok(seq, body))
}

/// `POST /v1/grant-requests/{id}/approve`: until when was asked, or earlier.
pub(super) async fn approve(asker: Asker, Path(id): Path<String>, sent: Sent) -> Result<Answer, Problem> {
    let id = id_of(&id)?;
    let mut members = sent.members_or_none()?;
    let end = members.optional("end")?;
    let (reason, dry_run) = (take_text(&mut members, "reason")?, members.dry_run()?);
    members.finish(&[])?;
    let new = NewGrant { eligibility: ids::eligibility()?, assignment: ids::assignment()? };
    let done = asker.submit(&sent, Command::ApproveGrant { id, new, end, reason }, dry_run).await?;
    shown(asker, done).await
}

/// `POST /v1/grant-requests/{id}/deny`.
pub(super) async fn deny(asker: Asker, Path(id): Path<String>, sent: Sent) -> Result<Answer, Problem> {
    let (id, (reason, dry_run)) = (id_of(&id)?, ending(&sent)?);
    let done = asker.submit(&sent, Command::DenyGrant { id, reason }, dry_run).await?;
    shown(asker, done).await
}

/// `POST /v1/grant-requests/{id}/cancel`.
pub(super) async fn cancel(asker: Asker, Path(id): Path<String>, sent: Sent) -> Result<Answer, Problem> {
    let (id, (reason, dry_run)) = (id_of(&id)?, ending(&sent)?);
    let done = asker.submit(&sent, Command::CancelGrant { id, reason }, dry_run).await?;
    shown(asker, done).await
}
