//! `/v1/eligibilities` and `/v1/assignments`: who may activate what, and who holds what without activating.

use axum::extract::Path;
use http::StatusCode;
use serde_json::Value;

use crate::domain::command::GrantRequest;
use crate::domain::facts::{Action, Object};
use crate::domain::{Assignment, AssignmentId, Command, Eligibility, EligibilityId, Outcome, Rejection, RoleName, Text, Uid, Window};
use crate::engine::Reply;
use crate::engine::ports::{GrantFilter, Page};
use crate::http::asker::{Asker, Params, Sent};
use crate::http::ids::{self, take_text};
use crate::http::problem::{self, Problem};
use crate::http::reply::Answer;
use crate::http::views;

use super::activations::{listed, through};

fn grant(sent: &Sent) -> Result<GrantRequest, Problem> {
    let mut members = sent.members()?;
    let grant = GrantRequest {
        holder: members.entity("principal")?,
        role: members.required("role")?,
        scope: members.optional_entity("scope")?,
        start: members.optional("start")?,
        end: members.optional("end")?,
        justification: take_text(&mut members, "justification")?,
    };
    members.finish(&["dry_run"])?;
    Ok(grant)
}

/// The reason for taking a grant back: in the body or, for clients that send no body with DELETE, in the query.
pub(super) fn reason(sent: &Sent, mut params: Params) -> Result<Option<Text>, Problem> {
    let in_query = ids::text("reason", params.optional("reason")?)?;
    params.finish()?;
    let mut members = sent.members_or_none()?;
    let in_body = take_text(&mut members, "reason")?;
    members.finish(&["dry_run"])?;
    if in_query.is_some() && in_body.is_some() {
        return Err(problem::bad_parameter("reason", "it stands in the query and in the body; give it once"));
    }
    Ok(in_body.or(in_query))
}

fn not_found(what: &str, id: &impl ToString) -> Problem {
    Rejection::NotFound { what: what.to_owned(), id: id.to_string() }.into()
}

/// The two kinds of grant are read, asked about and shown alike.
trait Grant: Sized + Send + Sync + 'static {
    const WHAT: &'static str;
    const PATH: &'static str;
    fn parts(&self) -> (&Uid, &RoleName, Option<&Uid>, Window);
    fn load(asker: &Asker, id: &str) -> Result<std::sync::Arc<Self>, Problem>;
    fn view(&self, asker: &Asker) -> Result<Value, Problem>;
    fn page(
        asker: &Asker,
        filter: &GrantFilter,
        page: &Page,
    ) -> Result<crate::engine::ports::Listing<std::sync::Arc<Self>>, crate::domain::Unavailable>;
}

impl Grant for Eligibility {
    const WHAT: &'static str = "eligibility";
    const PATH: &'static str = "/v1/eligibilities";

    fn parts(&self) -> (&Uid, &RoleName, Option<&Uid>, Window) {
        (&self.holder, &self.role, self.scope.as_ref(), self.window)
    }

    fn load(asker: &Asker, id: &str) -> Result<std::sync::Arc<Self>, Problem> {
        let id = EligibilityId::new(id).map_err(|bad| problem::bad_parameter("id", bad))?;
        asker.server.engine.reader().eligibility(&id)?.ok_or_else(|| not_found(Self::WHAT, &id))
    }

    fn view(&self, asker: &Asker) -> Result<Value, Problem> {
        Ok(asker.server.engine.facts(|facts, _, moment| views::eligibility(facts, self, moment))?)
    }

    fn page(
        asker: &Asker,
        filter: &GrantFilter,
        page: &Page,
    ) -> Result<crate::engine::ports::Listing<std::sync::Arc<Self>>, crate::domain::Unavailable> {
        asker.server.engine.reader().eligibilities(filter, page)
    }
}

impl Grant for Assignment {
    const WHAT: &'static str = "assignment";
    const PATH: &'static str = "/v1/assignments";

    fn parts(&self) -> (&Uid, &RoleName, Option<&Uid>, Window) {
        (&self.holder, &self.role, self.scope.as_ref(), self.window)
    }

    fn load(asker: &Asker, id: &str) -> Result<std::sync::Arc<Self>, Problem> {
        let id = AssignmentId::new(id).map_err(|bad| problem::bad_parameter("id", bad))?;
        asker.server.engine.reader().assignment(&id)?.ok_or_else(|| not_found(Self::WHAT, &id))
    }

    fn view(&self, asker: &Asker) -> Result<Value, Problem> {
        Ok(asker.server.engine.facts(|facts, _, moment| views::assignment(facts, self, moment))?)
    }

    fn page(
        asker: &Asker,
        filter: &GrantFilter,
        page: &Page,
    ) -> Result<crate::engine::ports::Listing<std::sync::Arc<Self>>, crate::domain::Unavailable> {
        asker.server.engine.reader().assignments(filter, page)
    }
}

async fn granted<G: Grant>(asker: Asker, id: String, reply: &Reply, created: bool) -> Result<Answer, Problem> {
    let location = format!("{}/{id}", G::PATH);
    let body = asker.read(move |asker| G::load(asker, &id)?.view(asker)).await?;
    let answer = Answer::ok(reply.seq, body).repeated(reply.repeated);
    Ok(if created { answer.created(location) } else { answer })
}

async fn one<G: Grant>(asker: Asker, id: String, params: Params) -> Result<Answer, Problem> {
    params.finish()?;
    let seq = asker.seq;
    let body = asker
        .read(move |asker| {
            let grant = G::load(asker, &id)?;
            let (holder, role, scope, window) = grant.parts();
            if !asker.selves()?.contains(holder) && !asker.may_audit()? && !asker.may_grant(holder, role, scope, window)? {
                asker.demand(Action::ReadAudit, Object::Sidecar)?;
            }
            grant.view(asker)
        })
        .await?;
    Ok(Answer::ok(seq, body))
}

async fn list<G: Grant>(asker: Asker, mut params: Params) -> Result<Answer, Problem> {
    let page = params.page()?;
    let filter = GrantFilter {
        holder: params.entity("principal_type", "principal_id")?,
        role: params.read("role", RoleName::new)?,
        include_ended: params.flag("include_ended")?,
    };
    params.finish()?;
    let seq = asker.seq;
    let body = asker
        .read(move |asker| {
            let (selves, audits) = (asker.selves()?, asker.may_audit()?);
            let found = through(
                &page,
                |page| G::page(asker, &filter, page),
                |grant| {
                    let (holder, role, scope, window) = grant.parts();
                    let visible = audits || selves.contains(holder) || asker.may_grant(holder, role, scope, window)?;
                    if visible { grant.view(asker).map(Some) } else { Ok(None) }
                },
            )?;
            Ok(listed(found))
        })
        .await?;
    Ok(Answer::ok(seq, body))
}

/// `POST /v1/eligibilities`.
pub(super) async fn create_eligibility(asker: Asker, sent: Sent) -> Result<Answer, Problem> {
    let command = Command::CreateEligibility { id: ids::eligibility()?, grant: grant(&sent)? };
    let reply = asker.submit(&sent, command).await?;
    let Outcome::EligibilityCreated(id) = &reply.outcome else { return Err(problem::unforeseen(&reply.outcome)) };
    granted::<Eligibility>(asker, id.to_string(), &reply, true).await
}

/// `GET /v1/eligibilities`.
pub(super) async fn eligibilities(asker: Asker, params: Params) -> Result<Answer, Problem> {
    list::<Eligibility>(asker, params).await
}

/// `GET /v1/eligibilities/{id}`.
pub(super) async fn eligibility(asker: Asker, Path(id): Path<String>, params: Params) -> Result<Answer, Problem> {
    one::<Eligibility>(asker, id, params).await
}

/// `DELETE /v1/eligibilities/{id}`.
pub(super) async fn remove_eligibility(asker: Asker, Path(id): Path<String>, params: Params, sent: Sent) -> Result<Answer, Problem> {
    let id = EligibilityId::new(&id).map_err(|bad| problem::bad_parameter("id", bad))?;
    let reply = asker.submit(&sent, Command::RemoveEligibility { id, reason: reason(&sent, params)? }).await?;
    let Outcome::EligibilityRemoved(id) = &reply.outcome else { return Err(problem::unforeseen(&reply.outcome)) };
    granted::<Eligibility>(asker, id.to_string(), &reply, false).await
}

/// `POST /v1/assignments`.
pub(super) async fn create_assignment(asker: Asker, sent: Sent) -> Result<Answer, Problem> {
    let command = Command::CreateAssignment { id: ids::assignment()?, grant: grant(&sent)? };
    let reply = asker.submit(&sent, command).await?;
    let Outcome::AssignmentCreated(id) = &reply.outcome else { return Err(problem::unforeseen(&reply.outcome)) };
    granted::<Assignment>(asker, id.to_string(), &reply, true).await
}

/// `GET /v1/assignments`.
pub(super) async fn assignments(asker: Asker, params: Params) -> Result<Answer, Problem> {
    list::<Assignment>(asker, params).await
}

/// `GET /v1/assignments/{id}`.
pub(super) async fn assignment(asker: Asker, Path(id): Path<String>, params: Params) -> Result<Answer, Problem> {
    one::<Assignment>(asker, id, params).await
}

/// `DELETE /v1/assignments/{id}`.
pub(super) async fn remove_assignment(asker: Asker, Path(id): Path<String>, params: Params, sent: Sent) -> Result<Answer, Problem> {
    let id = AssignmentId::new(&id).map_err(|bad| problem::bad_parameter("id", bad))?;
    let reply = asker.submit(&sent, Command::RemoveAssignment { id, reason: reason(&sent, params)? }).await?;
    let Outcome::AssignmentRemoved(id) = &reply.outcome else { return Err(problem::unforeseen(&reply.outcome)) };
    granted::<Assignment>(asker, id.to_string(), &reply, false).await
}

/// A status for a thing that is new, or not.
pub(super) fn created_or_ok(created: bool) -> StatusCode {
    if created { StatusCode::CREATED } else { StatusCode::OK }
}
