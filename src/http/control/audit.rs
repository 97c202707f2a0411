//! `/v1/audit`: the journal, record by record, with the texts that were not erased; and where it ends.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use crate::domain::facts::{Action, Object};
use crate::domain::text::Digest;
use crate::domain::{ActivationId, RoleName, TextDigest};
use crate::engine::ports::{AuditFilter, Sealed};
use crate::http::asker::{Asker, Params};
use crate::http::problem::Problem;
use crate::http::reply::Answer;

use super::paging::{cursor_or, listed};

/// Members of events that hold the digest of an erasable text.
const TEXT_MEMBERS: [&str; 4] = ["justification", "reason", "system", "number"];

/// `GET /v1/audit/events`.
pub(super) async fn events(asker: Asker, mut params: Params) -> Result<Answer, Problem> {
    asker.demand(Action::ReadAudit, Object::Sidecar)?;
    let page = params.page()?;
    let filter = AuditFilter {
        principal: params.entity("principal_type", "principal_id")?,
        role: params.read("role", RoleName::new)?,
        activation: params.read("activation", ActivationId::new)?,
        kind: params.optional("kind")?,
        from: params.instant("from")?,
        to: params.instant("to")?,
        newest_first: params.read("order", newest_first)?.unwrap_or_default(),
    };
    params.finish()?;
    let seq = asker.seq;
    let body = asker
        .read(move |asker| {
            let found = asker.server.engine.reader().journal(&filter, &page).map_err(|error| cursor_or(&page, error))?;
            let items = found.items.iter().map(|sealed| record(asker, sealed)).collect::<Result<Vec<_>, _>>()?;
            Ok(listed(crate::engine::ports::Listing { items, next: found.next }))
        })
        .await?;
    Ok(Answer::ok(seq, body))
}

fn newest_first(order: &str) -> Result<bool, &'static str> {
    match order {
        "asc" => Ok(false),
        "desc" => Ok(true),
        _ => Err("write `asc`, the oldest first, or `desc`, the newest first"),
    }
}

/// `GET /v1/audit/tip`: the newest record's number, hash and time, to be noted where nobody who could change the journal can write.
pub(super) async fn tip(asker: Asker, params: Params) -> Result<Answer, Problem> {
    asker.demand(Action::ReadAudit, Object::Sidecar)?;
    params.finish()?;
    let head = asker.server.engine.reader().head();
    Ok(Answer::ok(head.seq, json!({ "hash": head.hash, "at": head.at })))
}

/// A record as it stands in the journal, the hash of its bytes, and its texts by digest: nothing for an erased one. One that cannot be read is told
/// to be there, so that an auditor sees where it is missing and what came after it.
fn record(asker: &Asker, sealed: &Sealed) -> Result<Value, Problem> {
    let Ok(record) = serde_json::from_slice::<Value>(&sealed.bytes) else {
        tracing::error!(seq = sealed.seq, "a journal record is not JSON");
        return Ok(json!({ "seq": sealed.seq, "hash": sealed.hash, "record": null, "texts": {} }));
    };
    let texts = texts(asker, &record)?;
    Ok(json!({ "seq": sealed.seq, "hash": sealed.hash, "record": record, "texts": texts }))
}

/// The free texts that something in the journal names, by digest: nothing for an erased one.
pub(super) fn texts(asker: &Asker, value: &Value) -> Result<Map<String, Value>, Problem> {
    let mut digests = BTreeSet::new();
    collect_digests(value, &mut digests);
    let mut texts = Map::new();
    for digest in digests {
        let text = asker.server.engine.reader().text(&TextDigest(digest))?;
        texts.insert(digest.to_string(), text.map_or(Value::Null, |text| Value::String(text.value)));
    }
    Ok(texts)
}

fn collect_digests(value: &Value, into: &mut BTreeSet<Digest>) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                match member.as_str().filter(|_| TEXT_MEMBERS.contains(&name.as_str())).and_then(Digest::parse) {
                    Some(digest) => drop(into.insert(digest)),
                    None => collect_digests(member, into),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| collect_digests(item, into)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_a_record_are_found_wherever_they_stand() {
        let (one, two, other) = (Digest::of_bytes(b"1"), Digest::of_bytes(b"2"), Digest::of_bytes(b"3"));
        let record = json!({
            "prev": other,
            "events": [{ "activation": { "justification": one, "ticket": { "number": two } } }, { "reason": "not a digest" }],
        });
        let mut found = BTreeSet::new();
        collect_digests(&record, &mut found);
        assert_eq!(found, BTreeSet::from([one, two]));
    }
}
