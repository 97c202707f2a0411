//! Alerts: what is looked for, what was found, and what to do about it.

use serde_json::{Map, Value, json};

use super::args::Alerts;
use super::client::{Client, encode};
use super::describe::flag;
use super::ending::because;
use super::output::{Cell, Look, Output, looking, plain};
use super::pages::Listing;
use super::reply::{at, entity, list, scope, text};
use super::words::span;
use super::{Done, Outcome};
use crate::domain::time::Duration;

fn path(id: &str, what: &str) -> String {
    format!("/v1/alerts/incidents/{}{what}", encode(id))
}

/// Everything about alerts.
pub(super) fn alerts(client: &Client, out: &Output, what: Option<&Alerts>) -> Outcome {
    match what {
        None => incidents(client, out, vec![("status", "open".to_owned())]),
        Some(Alerts::List { kind, severity, status, principal, role }) => {
            let mut query: Vec<(&'static str, String)> = Vec::new();
            let given = [("kind", kind.clone()), ("severity", severity.clone()), ("role", role.as_ref().map(ToString::to_string))];
            query.extend(given.into_iter().filter_map(|(name, value)| Some((name, value?))));
            if status != "all" {
                query.push(("status", status.clone()));
            }
            if let Some(principal) = principal {
                query.push(("principal_type", principal.kind().to_owned()));
                query.push(("principal_id", principal.id().to_owned()));
            }
            incidents(client, out, query)
        }
        Some(Alerts::Kinds) => kinds(client, out),
        Some(Alerts::Show { id }) => show(out, &client.get(&path(id, ""), &[])?),
        Some(Alerts::Dismiss { id, reason }) => show(out, &client.post(&path(id, "/dismiss"), &json!({ "reason": reason }))?),
        Some(Alerts::Rearm { id }) => show(out, &client.post(&path(id, "/rearm"), &json!({}))?),
        Some(Alerts::Remedy { id, reason, dry_run }) => {
            let mut body = because(reason.as_deref());
            if let Some(body) = body.as_object_mut().filter(|_| *dry_run) {
                body.insert("dry_run".to_owned(), true.into());
            }
            show(out, &client.post(&path(id, "/remedy"), &body)?)
        }
    }
}

fn severity(of: &Value) -> Cell {
    let word = text(of, "/severity");
    let look = match word.as_str() {
        "high" => Look::Bad,
        "medium" => Look::Waiting,
        _ => Look::Plain,
    };
    looking(look, word)
}

fn standing(of: &Value) -> Cell {
    let word = text(of, "/status");
    let look = if word == "open" { Look::Waiting } else { Look::Quiet };
    looking(look, word)
}

/// The numbers of incidents that say yes or no.
const FLAGS: [&str; 9] =
    ["accepted", "lacks_approval", "lacks_justification", "lacks_mfa", "new_principal", "new_role", "new_scope", "own", "permanent"];

/// The numbers of a rule or of an incident, in a line.
fn numbers(of: &Value, pointer: &str) -> String {
    let none = Map::new();
    let all = at(of, pointer).and_then(Value::as_object).unwrap_or(&none);
    all.iter().map(|(name, value)| number(name, value)).collect::<Vec<_>>().join(", ")
}

/// A number with its unit: `lasts 30 days`, `share 10%`, `permanent no`. What stands in a rule reads as `alerts.toml` takes it.
fn number(name: &str, value: &Value) -> String {
    let words = |name: &str| name.replace('_', " ");
    let Some(number) = value.as_u64() else {
        return format!("{name} {}", value.as_str().map_or_else(|| value.to_string(), str::to_owned));
    };
    if let Some(what) = name.strip_suffix("_seconds") {
        return format!("{} {}", words(what), span(Duration::from_secs(number)));
    }
    if let Some(what) = name.strip_suffix("_percent").or_else(|| Some(name).filter(|name| *name == "share")) {
        return format!("{} {number}%", words(what));
    }
    if FLAGS.contains(&name) {
        return format!("{} {}", words(name), if number == 0 { "no" } else { "yes" });
    }
    if let Some(what) = name.strip_suffix("_days") {
        return format!("{} {number} {}", words(what), if number == 1 { "day" } else { "days" });
    }
    format!("{} {number}", words(name))
}

/// What an incident is about, in a few words.
fn about(incident: &Value) -> String {
    let (who, role, id) = (entity(incident, "/principal"), text(incident, "/role"), text(incident, "/subject/id"));
    let kind = text(incident, "/subject/kind");
    match (who.is_empty(), role.is_empty()) {
        (false, false) => format!("{who} as {role}"),
        (false, true) => who,
        (true, false) => format!("role {role}"),
        (true, true) => format!("{kind} {id}"),
    }
}

fn incidents(client: &Client, out: &Output, query: Vec<(&'static str, String)>) -> Outcome {
    let row = |one: &Value, _| -> Vec<Cell> {
        vec![
            severity(one),
            plain(text(one, "/kind")),
            standing(one),
            plain(about(one)),
            scope(one),
            plain(text(one, "/raised_at")),
            plain(text(one, "/id")),
        ]
    };
    let incidents = Listing {
        path: "/v1/alerts/incidents",
        query,
        header: &["severity", "kind", "status", "about", "scope", "raised", "id"],
        empty: "No incidents.",
        rest: "Narrow it with `elevon alerts list` and --kind, --severity, --principal or --role.",
    };
    if !incidents.show(client, out, row)?.is_empty() {
        out.remark("`elevon alerts show ID` shows the numbers behind one, and what to do about it.")?;
    }
    Ok(Done::Yes)
}

fn kinds(client: &Client, out: &Output) -> Outcome {
    let reply = client.get("/v1/alerts", &[])?;
    if out.json {
        out.value(&reply)?;
        return Ok(Done::Yes);
    }
    let row = |one: &Value| -> Vec<Cell> {
        let enabled = flag(one, "/enabled");
        vec![
            plain(text(one, "/kind")),
            if enabled { severity(one) } else { looking(Look::Quiet, "off") },
            plain(text(one, "/open")),
            plain(text(one, "/dismissed")),
            plain(numbers(one, "/thresholds")),
        ]
    };
    let rows = list(&reply, "/items").iter().map(row).collect();
    out.table(&["kind", "severity", "open", "dismissed", "rule"], rows, "There are no alerts.")?;
    for (pointer, what) in [
        ("/trouble/clock", "The clock is not trusted: until it is, nothing is found and nothing is recorded."),
        ("/trouble/journal", "The journal accepts nothing: until it does, nothing is recorded."),
    ] {
        if flag(&reply, pointer) {
            out.remark(what)?;
        }
    }
    Ok(Done::Yes)
}

fn show(out: &Output, incident: &Value) -> Outcome {
    if out.json {
        out.value(incident)?;
        return Ok(Done::Yes);
    }
    let id = text(incident, "/id");
    out.cells(&[plain(id.clone()), plain("  "), severity(incident), plain("  "), standing(incident)])?;
    let mut rows = vec![("kind", plain(text(incident, "/kind"))), ("about", plain(about(incident)))];
    let mut put = |name: &'static str, text: String| {
        if !text.is_empty() {
            rows.push((name, plain(text)));
        }
    };
    put("scope", scope(incident).text().to_owned());
    put("since", text(incident, "/began_at"));
    put("numbers", numbers(incident, "/numbers"));
    put("means", text(incident, "/means"));
    put("to do", text(incident, "/advice"));
    if at(incident, "/dismissed").is_some() {
        let (by, when) = (entity(incident, "/dismissed/by"), text(incident, "/dismissed/at"));
        put("dismissed", format!("by {by} {when}: {}", text(incident, "/dismissed/reason")));
    }
    if at(incident, "/cleared").is_some() {
        let by = entity(incident, "/cleared/by");
        let how = if by.is_empty() { String::new() } else { format!(", remedied by {by}") };
        put("cleared", format!("{}{how}", text(incident, "/cleared/at")));
    }
    out.fields(&rows)?;
    if flag(incident, "/dry_run") {
        out.remark("This is what would happen; nothing was changed.")?;
        return Ok(Done::Yes);
    }
    let lasts = at(incident, "/cleared").is_none();
    let action = text(incident, "/remedy/action").replacen('_', " the ", 1);
    if lasts && !action.is_empty() {
        out.remark(&format!("`elevon alerts remedy {id}` would {action}."))?;
    }
    Ok(Done::Yes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_their_units() {
        let rows = [
            (json!({ "lasts_seconds": 2_592_000, "permanent": 0 }), "lasts 30 days, permanent no"),
            (json!({ "lacks_mfa": 1, "lacks_approval": 0 }), "lacks mfa yes, lacks approval no"),
            (json!({ "count": 20, "share": 10, "few": 5 }), "count 20, share 10%, few 5"),
            (json!({ "holders": 9, "limit_percent": 10, "share_percent": 60 }), "holders 9, limit 10%, share 60%"),
            (json!({ "days": 91, "limit_days": 90 }), "days 91, limit 90 days"),
            (json!({ "times": 20, "within": "PT10M", "privileged": true }), "times 20, within PT10M, privileged true"),
            (json!({}), ""),
        ];
        for (of, expected) in rows {
            assert_eq!(numbers(&of, ""), expected, "{of}");
        }
    }
}
