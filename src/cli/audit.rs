//! Lists what happened.

use serde_json::Value;

use super::args::AuditList;
use super::client::{Client, Failure};
use super::output::{Cell, Look, Output, looking, plain};
use super::reply::{at, entity, list, text};
use super::{Done, Outcome};

/// Lists records of the journal: one line for each event.
pub(super) fn listed(client: &Client, out: &Output, filter: &AuditList) -> Outcome {
    let mut query = vec![("limit", filter.limit.to_string())];
    if let Some(principal) = &filter.principal {
        query.push(("principal_type", principal.kind().to_owned()));
        query.push(("principal_id", principal.id().to_owned()));
    }
    let others = [
        ("role", filter.role.as_ref().map(ToString::to_string)),
        ("activation", filter.activation.as_ref().map(ToString::to_string)),
        ("kind", filter.kind.clone()),
        ("from", filter.from.map(|from| from.to_string())),
        ("to", filter.to.map(|to| to.to_string())),
        ("cursor", filter.cursor.clone()),
        ("order", filter.newest_first.then(|| "desc".to_owned())),
    ];
    query.extend(others.into_iter().filter_map(|(name, value)| value.map(|value| (name, value))));
    let reply = client.get("/v1/audit/events", &query)?;
    if out.json {
        out.value(&reply)?;
        return Ok(Done::Yes);
    }
    let record = |item: &Value| match at(item, "/record").filter(|record| !record.is_null()) {
        Some(record) => cells(&text(item, "/seq"), record, at(item, "/texts")),
        None => vec![vec![
            looking(Look::Quiet, text(item, "/seq")),
            plain(""),
            plain(""),
            looking(Look::Bad, "cannot be read"),
            plain(""),
            plain(""),
        ]],
    };
    let rows = list(&reply, "/items").iter().flat_map(record).collect();
    out.table(&["seq", "when", "who", "what", "about", "why"], rows, "Nothing happened that matches.")?;
    let next = text(&reply, "/next");
    if !next.is_empty() {
        out.remark(&format!("There is more: go on with --cursor {next}"))?;
    }
    Ok(Done::Yes)
}

/// A record that came by itself, one line for each of its events.
pub(super) fn lines(out: &Output, record: &Value) -> Result<(), Failure> {
    for cells in cells(&text(record, "/seq"), record, at(record, "/texts")) {
        let filled = cells.into_iter().filter(|cell| !cell.text().is_empty());
        let spaced: Vec<Cell> = filled.flat_map(|cell| [cell, plain("  ")]).collect();
        out.cells(spaced.split_last().map_or(&[], |(_, cells)| cells))?;
    }
    Ok(())
}

/// A record's events, each as what is shown of it.
fn cells(seq: &str, record: &Value, texts: Option<&Value>) -> Vec<Vec<Cell>> {
    let line = |event: &Value| {
        vec![
            looking(Look::Quiet, seq),
            plain(text(record, "/at")),
            plain(actor(record)),
            plain(kind(event)),
            plain(about(event)),
            plain(why(event, texts)),
        ]
    };
    list(record, "/events").iter().map(line).collect()
}

fn actor(record: &Value) -> String {
    let caller = entity(record, "/actor/caller/principal");
    if caller.is_empty() { "elevon".to_owned() } else { caller }
}

/// `alert raised`: what happened, in words.
fn kind(event: &Value) -> String {
    let words = [text(event, "/kind"), text(event, "/what")];
    words.into_iter().filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ").replace('_', " ")
}

/// Where the parts of an event's subject stand: in the event itself, or in what it carries.
const CARRIERS: [&str; 13] = [
    "",
    "/activation",
    "/eligibility",
    "/assignment",
    "/entity",
    "/vote",
    "/request",
    "/of",
    "/grant",
    "/incident",
    "/incident/finding",
    "/review",
    "/definition",
];

/// The first of some members that is there, wherever it stands.
fn first(event: &Value, members: &[&str], read: impl Fn(&Value, &str) -> String) -> Option<String> {
    let pointers = CARRIERS.iter().flat_map(|carrier| members.iter().map(move |member| format!("{carrier}/{member}")));
    pointers.map(|pointer| read(event, &pointer)).find(|found| !found.is_empty())
}

/// What an event is about, from whichever members it has.
fn about(event: &Value) -> String {
    let parts = [
        Some(text(event, "/incident/finding/kind")).filter(|kind| !kind.is_empty()),
        first(event, &["principal", "holder", "uid"], entity),
        first(event, &["role"], text),
        first(event, &["scope"], entity).map(|scope| format!("on {scope}")),
        first(event, &["id"], text),
        first(event, &["rule"], text),
        first(event, &["revision"], text).map(|revision| revision.chars().take(12).collect()),
        first(event, &["window/end"], text).map(|end| format!("until {end}")),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(" ")
}

/// The reason given, where one was, or what it followed from. The journal holds a reason's digest, and the text lies beside it until it is erased.
fn why(event: &Value, texts: Option<&Value>) -> String {
    let Some(digest) = first(event, &["reason", "justification"], text) else {
        return first(event, &["detail"], text).or_else(|| at(event, "/cause").map(cause)).unwrap_or_default();
    };
    match texts.and_then(|texts| texts.get(&digest)) {
        Some(Value::String(written)) => written.clone(),
        Some(_) => "(erased)".to_owned(),
        None => String::new(),
    }
}

/// `principal disabled`: what an event followed from, in words.
fn cause(cause: &Value) -> String {
    let word = cause.as_object().and_then(|members| members.keys().next().cloned()).unwrap_or_else(|| text(cause, ""));
    word.replace('_', " ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_event_says_what_it_is_about_and_why() {
        let digest = "ab".repeat(32);
        let activation = json!({
            "id": "act_1", "principal": {"type": "User", "id": "alice"}, "role": "db-admin",
            "scope": {"type": "Environment", "id": "prod"}, "justification": digest,
        });
        let rows = [
            (
                json!({"kind": "activation_requested", "activation": activation}),
                "User::\"alice\" db-admin on Environment::\"prod\" act_1",
                "restore orders",
            ),
            (json!({"kind": "activation_expired", "id": "act_1"}), "act_1", ""),
            (
                json!({"kind": "activation_revoked", "id": "act_1", "reason": null, "cause": {"role_removed": "reader"}}),
                "act_1",
                "role removed",
            ),
            (json!({"kind": "activation_revoked", "id": "act_1", "cause": "clock_accepted"}), "act_1", "clock accepted"),
            (json!({"kind": "activation_revoked", "id": "act_1", "reason": "cd".repeat(32)}), "act_1", "(erased)"),
            (
                json!({"kind": "activation_started", "id": "act_1", "window": {"end": "2030-01-01T00:00:00Z"}}),
                "act_1 until 2030-01-01T00:00:00Z",
                "",
            ),
            (
                json!({"kind": "alert", "what": "raised", "incident": {
                    "id": "inc_1", "finding": {"kind": "weak_settings", "role": "db-admin", "principal": null, "scope": null},
                }}),
                "weak_settings db-admin inc_1",
                "",
            ),
            (json!({"kind": "alert", "what": "cleared", "id": "inc_1", "remedied": false}), "inc_1", ""),
            (json!({"kind": "review_opened", "review": {"id": "rev_1"}, "next": null}), "rev_1", ""),
            (json!({"kind": "command_refused", "rule": "self_grant", "count": 1, "detail": "no"}), "self_grant", "no"),
        ];
        let texts = json!({digest.as_str(): "restore orders", "cd".repeat(32): null});
        for (event, subject, reason) in rows {
            assert_eq!((about(&event).as_str(), why(&event, Some(&texts)).as_str()), (subject, reason), "{event}");
        }
        assert_eq!(kind(&json!({"kind": "alert", "what": "raised"})), "alert raised");
        assert_eq!(kind(&json!({"kind": "activation_started"})), "activation started");
    }
}
