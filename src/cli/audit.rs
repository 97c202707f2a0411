//! Lists what happened.

use serde_json::Value;

use super::args::AuditList;
use super::client::Client;
use super::output::{Cell, Look, Output, looking, plain};
use super::reply::{entity, list, text};
use super::{Done, Outcome};

/// Lists records of the journal, oldest first: one line for each event.
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
    ];
    query.extend(others.into_iter().filter_map(|(name, value)| value.map(|value| (name, value))));
    let reply = client.get("/v1/audit/events", &query)?;
    if out.json {
        out.value(&reply)?;
        return Ok(Done::Yes);
    }
    let rows = list(&reply, "/items").iter().flat_map(record).collect();
    out.table(&["seq", "when", "who", "what", "about", "why"], rows, "Nothing happened that matches.")?;
    let next = text(&reply, "/next");
    if !next.is_empty() {
        out.remark(&format!("There is more: go on with --cursor {next}"))?;
    }
    Ok(Done::Yes)
}

fn record(record: &Value) -> Vec<Vec<Cell>> {
    let line = |event: &Value| {
        vec![
            looking(Look::Quiet, text(record, "/seq")),
            plain(text(record, "/at")),
            plain(actor(record)),
            plain(text(event, "/kind").replace('_', " ")),
            plain(about(event)),
            plain(why(event)),
        ]
    };
    list(record, "/events").iter().map(line).collect()
}

fn actor(record: &Value) -> String {
    let caller = entity(record, "/actor/caller/principal");
    if caller.is_empty() { "elevon".to_owned() } else { caller }
}

/// What an event is about, from whichever members it has.
fn about(event: &Value) -> String {
    let nested = ["/activation", "/eligibility", "/assignment", "/entity", ""];
    let first = |pointers: &[&str], read: &dyn Fn(&Value, &str) -> String| {
        nested
            .iter()
            .flat_map(|outer| pointers.iter().map(move |inner| format!("{outer}{inner}")))
            .map(|pointer| read(event, &pointer))
            .find(|text| !text.is_empty())
    };
    let parts = [
        first(&["/principal", "/holder", "/uid"], &entity),
        first(&["/role"], &|value, pointer| text(value, pointer)),
        first(&["/scope"], &entity).map(|scope| format!("on {scope}")),
        first(&["/id"], &|value, pointer| text(value, pointer)),
        first(&["/rule"], &|value, pointer| text(value, pointer)),
        first(&["/revision"], &|value, pointer| text(value, pointer).chars().take(12).collect()),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(" ")
}

/// The reason given, where one was and it was not erased.
fn why(event: &Value) -> String {
    let pointers = ["/texts/reason", "/texts/justification", "/reason", "/justification", "/activation/justification", "/detail"];
    pointers.iter().map(|pointer| text(event, pointer)).find(|text| !text.is_empty()).unwrap_or_default()
}
