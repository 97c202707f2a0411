//! `/v1/activations`: asking for a role, asking for more time, and reading what became of it.

use std::sync::Arc;

use axum::extract::Path;
use serde_json::{Value, json};

use crate::domain::command::Term;
use crate::domain::grant::ActivationStatus;
use crate::domain::id::BadName;
use crate::domain::{Activation, ActivationId, Command, Duration, Outcome, Rejection, RoleName, Ticket, Timestamp, Uid, Unavailable};
use crate::engine::ports::{ActivationFilter, Page};
use crate::http::asker::{Asker, Done, Params, Sent};
use crate::http::ids::{self, take_line, take_text};
use crate::http::problem::{self, Problem};
use crate::http::reply::Answer;
use crate::http::strict::{Members, conflicting, missing};
use crate::http::views;

use super::paging::{listed, through};

/// An activation's id out of a path.
pub(super) fn id_of(text: &str) -> Result<ActivationId, Problem> {
    ActivationId::new(text).map_err(|bad: BadName| problem::bad_parameter("id", bad))
}

/// `POST /v1/activations`.
pub(super) async fn create(asker: Asker, sent: Sent) -> Result<Answer, Problem> {
    let mut members = sent.members()?;
    let dry_run = members.dry_run()?;
    let command = request(&asker.caller.principal, members)?;
    let done = asker.submit(&sent, command, dry_run).await?;
    shown(asker, done).await
}

/// What a caller asks for, out of the members of a command.
pub(super) fn request(caller: &Uid, mut members: Members) -> Result<Command, Problem> {
    let role: RoleName = members.required("role")?;
    let scope = members.optional_entity("scope")?;
    let (start, end): (Option<Timestamp>, Option<Timestamp>) = (members.optional("start")?, members.optional("end")?);
    let duration: Option<Duration> = members.optional("duration")?;
    let justification = take_text(&mut members, "justification")?;
    let ticket = members.optional_object("ticket")?.map(ticket).transpose()?;
    let emergency = members.optional("emergency")?.unwrap_or(false);
    let principal = members.optional_entity("principal")?.unwrap_or_else(|| caller.clone());
    members.finish(&[])?;
    if duration.is_some() && end.is_some() {
        return Err(conflicting(&["duration", "end"], "they say the same in two ways; give one of them"));
    }
    if emergency && start.is_some() {
        return Err(conflicting(&["emergency", "start"], "an emergency begins at once; leave `start` out"));
    }
    let id = ids::activation()?;
    let term = Term { start, end, duration };
    Ok(Command::RequestActivation { id, principal, role, scope, term, justification, ticket, emergency })
}

fn ticket(mut members: Members) -> Result<Ticket, Problem> {
    let blank = |member: &'static str| {
        move || missing(member, format!("`{member}` is missing or blank; a ticket is `{{\"system\": …, \"number\": …}}`"))
    };
    let system = take_line(&mut members, "system")?.ok_or_else(blank("ticket.system"))?;
    let number = take_line(&mut members, "number")?.ok_or_else(blank("ticket.number"))?;
    members.finish(&[])?;
    Ok(Ticket { system, number })
}

/// `POST /v1/activations/{id}/extend`: the answer is the request to extend, which is an activation of its own kind.
pub(super) async fn extend(asker: Asker, Path(id): Path<String>, sent: Sent) -> Result<Answer, Problem> {
    let of = id_of(&id)?;
    let mut members = sent.members_or_none()?;
    let duration: Option<Duration> = members.optional("duration")?;
    let justification = take_text(&mut members, "justification")?;
    let ticket = members.optional_object("ticket")?.map(ticket).transpose()?;
    let dry_run = members.dry_run()?;
    members.finish(&[])?;
    let command = Command::Extend { id: ids::activation()?, of, duration, justification, ticket };
    let done = asker.submit(&sent, command, dry_run).await?;
    shown(asker, done).await
}

/// What became of a command about an activation: the activation, as far as the caller may see it.
pub(super) async fn shown(asker: Asker, done: Done) -> Result<Answer, Problem> {
    let (id, created) = concerned(&done)?;
    let location = format!("/v1/activations/{id}");
    let (body, done) = asker.read(move |asker| Ok((left_by(asker, &done, &id)?, done))).await?;
    Ok(if created { done.created(body, location) } else { done.answer(body) })
}

/// Which activation a command was about, and whether it is new.
pub(super) fn concerned(done: &Done) -> Result<(ActivationId, bool), Problem> {
    let outcome = &done.reply.outcome;
    if let Outcome::ActivationCreated(id) = outcome {
        return Ok((id.clone(), true));
    }
    let (Outcome::ActivationExists(id) | Outcome::ActivationChanged(id)) = outcome else { return Err(problem::unforeseen(outcome)) };
    Ok((id.clone(), false))
}

/// An activation as a command left it.
pub(super) fn left_by(asker: &Asker, done: &Done, id: &ActivationId) -> Result<Value, Problem> {
    let activation = asker.after(done, |_, tables, _| tables.activation(id))?.ok_or_else(|| not_found(id))?;
    if asker.may_read(&activation)? {
        return Ok(asker.after(done, |facts, _, moment| views::activation(facts, &activation, moment))?);
    }
    Ok(json!({ "id": activation.id, "status": activation.status(asker.server.engine.moment().now) }))
}

fn not_found(id: &ActivationId) -> Problem {
    Rejection::NotFound { what: "activation".to_owned(), id: id.to_string() }.into()
}

/// An activation by its id.
pub(super) fn load(asker: &Asker, id: &ActivationId) -> Result<Arc<Activation>, Problem> {
    asker.server.engine.reader().activation(id)?.ok_or_else(|| not_found(id))
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
    let known = ActivationStatus::ALL.into_iter().find(|status| status.as_str() == text);
    known.ok_or_else(|| format!("write {}", one_of(&ActivationStatus::ALL.map(ActivationStatus::as_str))))
}

/// Words to choose from, as a sentence says them.
pub(super) fn one_of(words: &[&str]) -> String {
    match words.split_last() {
        Some((last, [])) => (*last).to_owned(),
        Some((last, rest)) => format!("{} or {last}", rest.join(", ")),
        None => String::new(),
    }
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
