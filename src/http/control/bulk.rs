//! `POST /v1/activations/bulk`: several roles or scopes asked for in one call. Each item is a command of its own, with its own outcome and its
//! own record; they are submitted in order and together, so that they share a commit. Lost: one command with many parts, which would have
//! to be refused whole for one of them, or be half done.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;

use serde_json::{Value, json};

use crate::domain::id::IdempotencyKey;
use crate::domain::text::Digest;
use crate::http::asker::{Asker, Done, Params, Sent};
use crate::http::limits::MAX_BULK_ITEMS;
use crate::http::problem::{self, Problem};
use crate::http::reply::Answer;
use crate::http::strict::{Members, malformed_member};
use crate::http::views;

use super::activations::{concerned, left_by, request};

/// `POST /v1/activations/bulk`.
pub(super) async fn create(asker: Asker, params: Params, sent: Sent) -> Result<Answer, Problem> {
    params.finish()?;
    let mut members = sent.members()?;
    let items: Vec<Value> = members.required("items")?;
    let dry_run = members.dry_run()?;
    members.finish(&[])?;
    if items.is_empty() || items.len() > MAX_BULK_ITEMS {
        return Err(malformed_member("items", format_args!("it has {} items; send 1 to {MAX_BULK_ITEMS}", items.len())));
    }
    // The call itself was counted; each further item is a command like any other.
    let further = u32::try_from(items.len().saturating_sub(1)).unwrap_or(u32::MAX);
    asker.server.spend(&asker.door, &asker.caller, further)?;
    let mut submitted = Vec::with_capacity(items.len());
    for (place, item) in (0_u64..).zip(items) {
        submitted.push(one(&asker, &sent, place, item, dry_run));
    }
    let outcomes = together(submitted).await;
    let seq = asker.seq.max(outcomes.iter().flatten().map(|done| done.reply.seq).max().unwrap_or(0));
    let items = asker.read(move |asker| Ok(outcomes.into_iter().map(|outcome| shown(asker, outcome)).collect::<Vec<_>>())).await?;
    let mut body = json!({ "items": items });
    if dry_run {
        views::put(&mut body, "dry_run", true.into());
    }
    Ok(Answer::ok(seq, body))
}

async fn one(asker: &Asker, sent: &Sent, place: u64, item: Value, dry_run: bool) -> Result<Done, Problem> {
    let command = request(&asker.caller.principal, Members::of_item(item)?)?;
    let key = sent.idempotency().map(|(key, body)| Ok::<_, Problem>((key_of(key, place)?, *body))).transpose()?;
    asker.submit_as(key, command, dry_run).await
}

/// The key of an item: no two pairs of a caller's key and a place give the same.
fn key_of(key: &IdempotencyKey, place: u64) -> Result<IdempotencyKey, Problem> {
    let digest = Digest::of_fields([b"elevon-bulk-item".as_slice(), key.as_str().as_bytes(), &place.to_be_bytes()]);
    IdempotencyKey::new(&digest.to_string()).map_err(|error| {
        tracing::error!(%error, "a digest is no idempotency key");
        problem::internal()
    })
}

fn shown(asker: &Asker, outcome: Result<Done, Problem>) -> Value {
    match outcome.and_then(|done| seen(asker, &done)) {
        Ok(shown) => shown,
        Err(problem) => json!({ "status": problem.status().as_u16(), "problem": problem.to_json() }),
    }
}

fn seen(asker: &Asker, done: &Done) -> Result<Value, Problem> {
    let (id, created) = concerned(done)?;
    let mut activation = left_by(asker, done, &id)?;
    if created {
        done.unname(&mut activation);
    }
    Ok(json!({ "status": if created { 201 } else { 200 }, "activation": activation, "repeated": done.reply.repeated }))
}

/// Waits for all of them. Each is begun in its turn, so that they reach the queue in order.
async fn together<T>(futures: Vec<impl Future<Output = T>>) -> Vec<T> {
    let mut waiting: Vec<(Pin<Box<_>>, Option<T>)> = futures.into_iter().map(|future| (Box::pin(future), None)).collect();
    poll_fn(|context| {
        let mut pending = false;
        for (future, outcome) in waiting.iter_mut().filter(|(_, outcome)| outcome.is_none()) {
            match future.as_mut().poll(context) {
                Poll::Ready(found) => *outcome = Some(found),
                Poll::Pending => pending = true,
            }
        }
        if pending { Poll::Pending } else { Poll::Ready(()) }
    })
    .await;
    waiting.into_iter().filter_map(|(_, outcome)| outcome).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_items_share_a_key() {
        let key = |key: &str, place| key_of(&IdempotencyKey::new(key).unwrap(), place).unwrap();
        assert_eq!(key("a", 1), key("a", 1));
        let all = [key("a", 1), key("a", 2), key("a1", 2), key("b", 1), key("a", 12), key("a1", 0)];
        let mut distinct = all.to_vec();
        distinct.sort();
        distinct.dedup();
        assert_eq!(distinct.len(), all.len());
    }
}
