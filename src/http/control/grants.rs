//! `/v1/eligibilities` and `/v1/assignments`: who may activate what, and who holds what without activating.

use std::sync::Arc;

use axum::extract::Path;
use http::StatusCode;
use serde_json::Value;

use crate::domain::command::GrantRequest;
use crate::domain::facts::{Action, Object};
use crate::domain::standing::Moment;
use crate::domain::{
    Assignment, AssignmentId, Command, Eligibility, EligibilityId, Facts, Outcome, Rejection, RoleName, Tables, Text, Uid, Unavailable,
    Window,
};
use crate::engine::ports::{GrantFilter, Listing, Page};
use crate::http::asker::{Asker, Done, Params, Sent, SentWithQuery};
use crate::http::ids::{self, take_text};
use crate::http::problem::{self, Problem};
use crate::http::reply::Answer;
use crate::http::views;

use super::paging::{listed, through};

pub(super) fn grant(sent: &Sent) -> Result<(GrantRequest, bool), Problem> {
    let mut members = sent.members()?;
    let dry_run = members.dry_run()?;
    let grant = GrantRequest {
        holder: members.entity("principal")?,
        role: members.required("role")?,
        scope: members.optional_entity("scope")?,
        start: members.optional("start")?,
        end: members.optional("end")?,
        justification: take_text(&mut members, "justification")?,
    };
    members.finish(&[])?;
    Ok((grant, dry_run))
}

/// The reason for taking something back, and whether that is only tried: in the body or, for clients that send no body with DELETE, in the
/// query.
pub(super) fn reason(sent: &Sent, mut params: Params) -> Result<(Option<Text>, bool), Problem> {
    let (in_query, tried) = (ids::text("reason", params.optional("reason")?)?, params.flag("dry_run")?);
    params.finish()?;
    let mut members = sent.members_or_none()?;
    let (in_body, dry_run) = (take_text(&mut members, "reason")?, members.dry_run()?);
    members.finish(&[])?;
    if in_query.is_some() && in_body.is_some() {
        return Err(problem::bad_parameter("reason", "it stands in the query and in the body; give it once"));
    }
    Ok((in_body.or(in_query), dry_run || tried))
}

pub(super) fn not_found(what: &str, id: &impl ToString) -> Problem {
    Rejection::NotFound { what: what.to_owned(), id: id.to_string() }.into()
}

/// The two kinds of grant are read, asked about and shown alike.
pub(super) trait Grant: Sized + Send + Sync + 'static {
    const WHAT: &'static str;
    const PATH: &'static str;
    type Id: std::fmt::Display + Send + Sync + 'static;
    fn id_of(text: &str) -> Result<Self::Id, Problem>;
    fn parts(&self) -> (&Uid, &RoleName, Option<&Uid>, Window);
    fn find(tables: &dyn Tables, id: &Self::Id) -> Result<Option<Arc<Self>>, Unavailable>;
    fn seen(&self, facts: &dyn Facts, moment: Moment) -> Result<Value, Unavailable>;
    fn page(asker: &Asker, filter: &GrantFilter, page: &Page) -> Result<Listing<Arc<Self>>, Unavailable>;

    fn load(asker: &Asker, id: &Self::Id) -> Result<Arc<Self>, Problem> {
        Self::find(&**asker.server.engine.reader(), id)?.ok_or_else(|| not_found(Self::WHAT, id))
    }

    fn view(&self, asker: &Asker) -> Result<Value, Problem> {
        Ok(asker.server.engine.facts(|facts, _, moment| self.seen(facts, moment))?)
    }
}

impl Grant for Eligibility {
    const WHAT: &'static str = "eligibility";
    const PATH: &'static str = "/v1/eligibilities";
    type Id = EligibilityId;

    fn id_of(text: &str) -> Result<EligibilityId, Problem> {
        EligibilityId::new(text).map_err(|bad| problem::bad_parameter("id", bad))
    }

    fn parts(&self) -> (&Uid, &RoleName, Option<&Uid>, Window) {
        (&self.holder, &self.role, self.scope.as_ref(), self.window)
    }

    fn find(tables: &dyn Tables, id: &EligibilityId) -> Result<Option<Arc<Self>>, Unavailable> {
        tables.eligibility(id)
    }

    fn seen(&self, facts: &dyn Facts, moment: Moment) -> Result<Value, Unavailable> {
        views::eligibility(facts, self, moment)
    }

    fn page(asker: &Asker, filter: &GrantFilter, page: &Page) -> Result<Listing<Arc<Self>>, Unavailable> {
        asker.server.engine.reader().eligibilities(filter, page)
    }
}

impl Grant for Assignment {
    const WHAT: &'static str = "assignment";
    const PATH: &'static str = "/v1/assignments";
    type Id = AssignmentId;

    fn id_of(text: &str) -> Result<AssignmentId, Problem> {
        AssignmentId::new(text).map_err(|bad| problem::bad_parameter("id", bad))
    }

    fn parts(&self) -> (&Uid, &RoleName, Option<&Uid>, Window) {
        (&self.holder, &self.role, self.scope.as_ref(), self.window)
    }

    fn find(tables: &dyn Tables, id: &AssignmentId) -> Result<Option<Arc<Self>>, Unavailable> {
        tables.assignment(id)
    }

    fn seen(&self, facts: &dyn Facts, moment: Moment) -> Result<Value, Unavailable> {
        views::assignment(facts, self, moment)
    }

    fn page(asker: &Asker, filter: &GrantFilter, page: &Page) -> Result<Listing<Arc<Self>>, Unavailable> {
        asker.server.engine.reader().assignments(filter, page)
    }
}

async fn granted<G: Grant>(asker: Asker, id: G::Id, done: Done, created: bool) -> Result<Answer, Problem> {
    let location = format!("{}/{id}", G::PATH);
    let (body, done) = asker
        .read(move |asker| {
            let grant = asker.after(&done, |_, tables, _| G::find(tables, &id))?.ok_or_else(|| not_found(G::WHAT, &id))?;
            Ok((asker.after(&done, |facts, _, moment| grant.seen(facts, moment))?, done))
        })
        .await?;
    Ok(if created { done.created(body, location) } else { done.answer(body) })
}

async fn one<G: Grant>(asker: Asker, id: String, params: Params) -> Result<Answer, Problem> {
    params.finish()?;
    let id = G::id_of(&id)?;
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
    let (grant, dry_run) = grant(&sent)?;
    let done = asker.submit(&sent, Command::CreateEligibility { id: ids::eligibility()?, grant }, dry_run).await?;
    let Outcome::EligibilityCreated(id) = done.reply.outcome.clone() else { return Err(problem::unforeseen(&done.reply.outcome)) };
    granted::<Eligibility>(asker, id, done, true).await
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
pub(super) async fn remove_eligibility(
    asker: Asker,
    Path(id): Path<String>,
    params: Params,
    SentWithQuery(sent): SentWithQuery,
) -> Result<Answer, Problem> {
    let id = Eligibility::id_of(&id)?;
    let (reason, dry_run) = reason(&sent, params)?;
    let done = asker.submit(&sent, Command::RemoveEligibility { id, reason }, dry_run).await?;
    let Outcome::EligibilityRemoved(id) = done.reply.outcome.clone() else { return Err(problem::unforeseen(&done.reply.outcome)) };
    granted::<Eligibility>(asker, id, done, false).await
}

/// `POST /v1/assignments`.
pub(super) async fn create_assignment(asker: Asker, sent: Sent) -> Result<Answer, Problem> {
    let (grant, dry_run) = grant(&sent)?;
    let done = asker.submit(&sent, Command::CreateAssignment { id: ids::assignment()?, grant }, dry_run).await?;
    let Outcome::AssignmentCreated(id) = done.reply.outcome.clone() else { return Err(problem::unforeseen(&done.reply.outcome)) };
    granted::<Assignment>(asker, id, done, true).await
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
pub(super) async fn remove_assignment(
    asker: Asker,
    Path(id): Path<String>,
    params: Params,
    SentWithQuery(sent): SentWithQuery,
) -> Result<Answer, Problem> {
    let id = Assignment::id_of(&id)?;
    let (reason, dry_run) = reason(&sent, params)?;
    let done = asker.submit(&sent, Command::RemoveAssignment { id, reason }, dry_run).await?;
    let Outcome::AssignmentRemoved(id) = done.reply.outcome.clone() else { return Err(problem::unforeseen(&done.reply.outcome)) };
    granted::<Assignment>(asker, id, done, false).await
}

/// A status for a thing that is new, or not.
pub(super) fn created_or_ok(created: bool) -> StatusCode {
    if created { StatusCode::CREATED } else { StatusCode::OK }
}
