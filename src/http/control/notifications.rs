//! `/v1/notifications`: how destinations fare, what could not be delivered to them, and the keys that what is delivered is verified by.

use std::sync::Arc;

use axum::extract::{Path, State};
use serde_json::{Value, json};

use crate::domain::facts::{Action, Object};
use crate::engine::outbox::{DestinationStatus, Letter, LetterId, Matter};
use crate::engine::ports::Listing;
use crate::http::Server;
use crate::http::asker::{Asker, Params, Sent};
use crate::http::problem::Problem;
use crate::http::reply::Answer;
use crate::policy::is_destination_name;

use super::grants::not_found;
use super::paging::{cursor_or, listed};

fn destination(status: &DestinationStatus) -> Value {
    json!({
        "name": status.name,
        "kind": status.kind,
        "state": status.state.as_str(),
        "after": status.after,
        "lag": status.lag,
        "attempts": status.attempts,
        "failing_since": status.failing_since,
        "next_attempt": status.next_attempt,
        "last_error": status.last_error.as_ref().map(|(at, message)| json!({ "at": at, "message": message })),
        "last_delivered": status.last_delivered,
        "dead_letters": status.dead_letters,
        "delivered": status.counts.delivered,
        "failed": status.counts.failed,
        "given_up": status.counts.given_up,
        "dropped": status.counts.dropped,
    })
}

fn letter(id: &LetterId, letter: &Letter) -> Value {
    let (seq, event, person) = match &letter.matter {
        Matter::Event { seq, event, person } => (Some(seq), Some(event), person.as_ref()),
        Matter::Digest { .. } => (None, None, None),
    };
    json!({
        "id": id.to_string(),
        "destination": id.destination,
        "kind": letter.kind,
        "record": seq,
        "event": event,
        "person": person,
        "at": letter.at,
        "given_up": letter.given_up,
        "attempts": letter.attempts,
        "error": letter.error,
        "waits": letter.again,
    })
}

fn demand(asker: &Asker) -> Result<(), Problem> {
    asker.demand(Action::ManageNotifications, Object::Sidecar)
}

/// An id as it was answered. What is none names nothing that is there.
fn letter_id(text: &str) -> Result<LetterId, Problem> {
    LetterId::parse(text).ok_or_else(|| not_found("dead letter", &text))
}

/// `GET /v1/notifications/destinations`.
pub(super) async fn destinations(asker: Asker, params: Params) -> Result<Answer, Problem> {
    demand(&asker)?;
    params.finish()?;
    let seq = asker.seq;
    let found = asker.read(|asker| Ok(asker.server.notifications.destinations()?)).await?;
    let items = found.iter().map(destination).collect();
    Ok(Answer::ok(seq, listed(Listing { items, next: None })))
}

/// `POST /v1/notifications/destinations/{name}/test`: waits for what comes of it.
pub(super) async fn test(asker: Asker, Path(name): Path<String>, sent: Sent) -> Result<Answer, Problem> {
    demand(&asker)?;
    sent.members_or_none()?.finish(&[])?;
    let (seq, actor) = (asker.seq, asker.actor());
    let tested = asker.read(move |asker| asker.server.notifications.test(&name).ok_or_else(|| not_found("destination", &name))).await?;
    tracing::info!(%actor, delivered = tested.is_ok(), "a destination of notifications was tested");
    Ok(Answer::ok(seq, json!({ "delivered": tested.is_ok(), "error": tested.err() })))
}

/// `GET /v1/notifications/dead-letters`.
pub(super) async fn letters(asker: Asker, mut params: Params) -> Result<Answer, Problem> {
    demand(&asker)?;
    let page = params.page()?;
    let destination = params.read("destination", |text| {
        is_destination_name(text).then(|| text.to_owned()).ok_or("such a name has 1 to 32 lower-case letters, digits, `-` and `_`")
    })?;
    params.finish()?;
    let seq = asker.seq;
    let body = asker
        .read(move |asker| {
            let found = asker.server.notifications.letters(destination.as_deref(), &page).map_err(|error| cursor_or(&page, error))?;
            let items = found.items.iter().map(|(id, found)| letter(id, found)).collect();
            Ok(listed(Listing { items, next: found.next }))
        })
        .await?;
    Ok(Answer::ok(seq, body))
}

/// `POST /v1/notifications/dead-letters/{id}/retry`: it is tried once more, soon.
pub(super) async fn retry(asker: Asker, Path(id): Path<String>, sent: Sent) -> Result<Answer, Problem> {
    demand(&asker)?;
    sent.members_or_none()?.finish(&[])?;
    let (seq, actor, id) = (asker.seq, asker.actor(), letter_id(&id)?);
    let body = asker
        .read(move |asker| {
            let found = asker.server.notifications.retry(&id)?.ok_or_else(|| not_found("dead letter", &id))?;
            tracing::info!(%actor, %id, "a dead letter is tried again");
            Ok(letter(&id, &found))
        })
        .await?;
    Ok(Answer::ok(seq, body))
}

/// `DELETE /v1/notifications/dead-letters/{id}`.
pub(super) async fn discard(asker: Asker, Path(id): Path<String>, params: Params) -> Result<Answer, Problem> {
    demand(&asker)?;
    params.finish()?;
    let (seq, actor, id) = (asker.seq, asker.actor(), letter_id(&id)?);
    let body = asker
        .read(move |asker| {
            if !asker.server.notifications.discard(&id)? {
                return Err(not_found("dead letter", &id));
            }
            tracing::info!(%actor, %id, "a dead letter was taken away");
            Ok(json!({ "id": id.to_string() }))
        })
        .await?;
    Ok(Answer::ok(seq, body))
}

/// `GET /.well-known/jwks.json`: the keys of this server's Security Event Tokens, for everybody.
pub(super) async fn keys(State(server): State<Arc<Server>>) -> Answer {
    Answer::bare(server.engine.view().seq, json!({ "keys": server.notifications.public_keys() }))
}
