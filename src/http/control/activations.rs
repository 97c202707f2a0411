//! `/v1/activations`: asking for a role, and giving it up.

use std::sync::Arc;

use axum::extract::Path;
use http::StatusCode;
use serde_json::{Value, json};

use crate::domain::grant::ActivationStatus;
use crate::domain::id::BadName;
use crate::domain::{Activation, ActivationId, Command, Duration, Outcome, Rejection, RoleName, Text, Ticket, Unavailable};
use crate::engine::Reply;
use crate::engine::ports::{ActivationFilter, Listing, Page};
use crate::http::asker::{Asker, Params, Sent};
use crate::http::ids::{self, take_text};
use crate::http::limits::MAX_PAGES_READ;
use crate::http::problem::{self, Problem};
use crate::http::reply::Answer;
use crate::http::views;

/// An activation's id out of a path.
pub(super) fn id_of(text: &str) -> Result<ActivationId, Problem> {
    ActivationId::new(text).map_err(|bad: BadName| problem::bad_parameter("id", bad))
}

/// `POST /v1/activations`.
pub(super) async fn create(asker: Asker, sent: Sent) -> Result<Answer, Problem> {
    let mut members = sent.members()?;
    let role: RoleName = members.required("role")?;
    let scope = members.optional_entity("scope")?;
    let duration: Option<Duration> = members.optional("duration")?;
    let justification = take_text(&mut members, "justification")?;
    let ticket = members.optional_object("ticket")?.map(ticket).transpose()?;
    let principal = members.optional_entity("principal")?.unwrap_or_else(|| asker.caller.principal.clone());
    members.finish(&["start", "end", "emergency", "dry_run"])?;
    let id = ids::activation()?;
    let term = crate::domain::command::Term { start: None, end: None, duration };
    let command = Command::RequestActivation { id, principal, role, scope, term, justification, ticket, emergency: false };
    let reply = asker.submit(&sent, command).await?;
    shown(asker, reply).await
}

fn ticket(mut members: crate::http::strict::Members) -> Result<Ticket, Problem> {
    let missing = |member| {
        move || Problem::new(StatusCode::BAD_REQUEST, "missing_member", "a member is missing", blank(member)).with("member", member)
    };
    let system = take_text(&mut members, "system")?.ok_or_else(missing("ticket.system"))?;
    let number = take_text(&mut members, "number")?.ok_or_else(missing("ticket.number"))?;
    members.finish(&[])?;
    Ok(Ticket { system, number })
}

fn blank(member: &str) -> String {
    format!("`{member}` is missing or blank; a ticket is `{{\"system\": …, \"number\": …}}`")
}

/// What became of a command about an activation: the activation, as far as the caller may see it.
pub(super) async fn shown(asker: Asker, reply: Reply) -> Result<Answer, Problem> {
    let created = matches!(reply.outcome, Outcome::ActivationCreated(_));
    let (Outcome::ActivationCreated(id) | Outcome::ActivationExists(id) | Outcome::ActivationChanged(id)) = reply.outcome else {
        return Err(problem::unforeseen(&reply.outcome));
    };
    let (seq, repeated) = (reply.seq, reply.repeated);
    let location = format!("/v1/activations/{id}");
    let body = asker
        .read(move |asker| {
            let activation = load(asker, &id)?;
            if !asker.may_read(&activation)? {
                let now = asker.server.engine.moment().now;
                return Ok(json!({ "id": activation.id, "status": activation.status(now) }));
            }
            Ok(view(asker, &activation)?)
        })
        .await?;
    let answer = Answer::ok(seq, body).repeated(repeated);
    Ok(if created { answer.created(location) } else { answer })
}

/// An activation by its id.
pub(super) fn load(asker: &Asker, id: &ActivationId) -> Result<Arc<Activation>, Problem> {
    let found = asker.server.engine.reader().activation(id)?;
    found.ok_or_else(|| Rejection::NotFound { what: "activation".to_owned(), id: id.to_string() }.into())
}

/// An activation as it stands.
pub(super) fn view(asker: &Asker, activation: &Activation) -> Result<Value, Unavailable> {
    asker.server.engine.facts(|facts, _, moment| views::activation(facts, activation, moment))
}

/// `GET /v1/activations/{id}`.
pub(super) async fn one(asker: Asker, Path(id): Path<String>, params: Params) -> Result<Answer, Problem> {
    params.finish()?;
    let id = id_of(&id)?;
    let seq = asker.seq;
    let body = asker
        .read(move |asker| {
            let activation = load(asker, &id)?;
            if !asker.may_read(&activation)? {
                asker.demand(crate::domain::facts::Action::ReadActivation, crate::domain::decide::object(&activation))?;
            }
            Ok(view(asker, &activation)?)
        })
        .await?;
    Ok(Answer::ok(seq, body))
}

fn status(text: &str) -> Result<ActivationStatus, String> {
    serde_json::from_value(Value::String(text.to_owned()))
        .map_err(|_| "write pending, active, denied, cancelled, timed_out, failed, deactivated, revoked or expired".to_owned())
}

/// `GET /v1/activations`.
pub(super) async fn list(asker: Asker, mut params: Params) -> Result<Answer, Problem> {
    let page = params.page()?;
    let filter = ActivationFilter {
        principal: params.entity("principal_type", "principal_id")?,
        role: params.read("role", RoleName::new)?,
        status: params.read("status", status)?,
        from: params.instant("from")?,
        to: params.instant("to")?,
        now: asker.server.engine.moment().now,
    };
    params.finish()?;
    let seq = asker.seq;
    let body = asker
        .read(move |asker| {
            let read = |page: &Page| asker.server.engine.reader().activations(&filter, page);
            let found =
                through(&page, read, |activation| Ok(if asker.may_read(activation)? { Some(view(asker, activation)?) } else { None }))?;
            Ok(listed(found))
        })
        .await?;
    Ok(Answer::ok(seq, body))
}

/// A page of what a caller may see: reads the store's pages, a bounded number of them, until the page is full.
pub(super) fn through<T, U>(
    page: &Page,
    read: impl Fn(&Page) -> Result<Listing<T>, Unavailable>,
    show: impl Fn(&T) -> Result<Option<U>, Problem>,
) -> Result<Listing<U>, Problem> {
    let mut items = Vec::new();
    let mut next = page.after.clone();
    for _ in 0..MAX_PAGES_READ {
        let part = Page { after: next.take(), limit: page.bounded().saturating_sub(items.len()) };
        let found = read(&part).map_err(|error| cursor_or(&part, error))?;
        for item in &found.items {
            items.extend(show(item)?);
        }
        next = found.next;
        if next.is_none() || items.len() >= page.bounded() {
            break;
        }
    }
    Ok(Listing { items, next })
}

/// A list that cannot be read with a cursor that came from outside, and can without one, has a bad cursor.
pub(super) fn cursor_or(page: &Page, error: Unavailable) -> Problem {
    if page.after.is_some() && error.0.contains("cursor") {
        problem::bad_parameter("cursor", "it is not a cursor of this list; begin again without one")
    } else {
        error.into()
    }
}

/// A list on the wire.
pub(super) fn listed(found: Listing<Value>) -> Value {
    json!({ "items": found.items, "next": found.next })
}

fn ending(sent: &Sent) -> Result<Option<Text>, Problem> {
    let mut members = sent.members_or_none()?;
    let reason = take_text(&mut members, "reason")?;
    members.finish(&["dry_run"])?;
    Ok(reason)
}

/// `POST /v1/activations/{id}/cancel`.
pub(super) async fn cancel(asker: Asker, Path(id): Path<String>, sent: Sent) -> Result<Answer, Problem> {
    let command = Command::Cancel { id: id_of(&id)?, reason: ending(&sent)? };
    let reply = asker.submit(&sent, command).await?;
    shown(asker, reply).await
}

/// `POST /v1/activations/{id}/deactivate`.
pub(super) async fn deactivate(asker: Asker, Path(id): Path<String>, sent: Sent) -> Result<Answer, Problem> {
    let command = Command::Deactivate { id: id_of(&id)?, reason: ending(&sent)? };
    let reply = asker.submit(&sent, command).await?;
    shown(asker, reply).await
}

/// `POST /v1/activations/{id}/revoke`.
pub(super) async fn revoke(asker: Asker, Path(id): Path<String>, sent: Sent) -> Result<Answer, Problem> {
    let command = Command::Revoke { id: id_of(&id)?, reason: ending(&sent)? };
    let reply = asker.submit(&sent, command).await?;
    shown(asker, reply).await
}

/// A refusal of a vote: who may read the request is told the hash to vote on.
pub(super) async fn refused(asker: Asker, id: ActivationId, problem: Problem) -> Problem {
    if !problem.withholds() {
        return problem;
    }
    let readable = asker.read(move |asker| Ok(asker.may_read(&*load(asker, &id)?)?)).await;
    if matches!(readable, Ok(true)) { problem.revealed() } else { problem }
}
