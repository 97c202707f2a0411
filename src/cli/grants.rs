//! Who may activate what, and who holds what without activating: eligibilities and assignments, which are alike, and requests to prolong them.

use serde_json::{Map, Value, json};

use super::args::{GrantAdd, GrantList, GrantProlong, GrantRequests, Grants};
use super::client::{Client, encode};
use super::output::{Cell, Look, Output, looking, plain};
use super::pages::Listing;
use super::reply::{entity, instant, now, scope, status, text, wire};
use super::words::left;
use super::{Done, Outcome};
use crate::domain::time::Timestamp;

/// Which kind of grant is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Eligibility,
    Assignment,
}

impl Kind {
    fn path(self) -> &'static str {
        match self {
            Self::Eligibility => "/v1/eligibilities",
            Self::Assignment => "/v1/assignments",
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Eligibility => "eligible",
            Self::Assignment => "assigned",
        }
    }

    fn none(self) -> &'static str {
        match self {
            Self::Eligibility => "No eligibilities match.",
            Self::Assignment => "No assignments match.",
        }
    }
}

/// Adds, lists, removes, or asks to extend or renew.
pub(super) fn grants(client: &Client, out: &Output, kind: Kind, what: &Grants) -> Outcome {
    match what {
        Grants::Add(asked) => add(client, out, kind, asked),
        Grants::List(filter) => listed(client, out, kind, filter),
        Grants::Remove { id, reason } => {
            let query: Vec<(&str, String)> = reason.iter().map(|reason| ("reason", reason.clone())).collect();
            let reply = client.delete(&format!("{}/{}", kind.path(), encode(id)), &query)?;
            if out.json {
                out.value(&reply)?;
            } else {
                out.line(&format!("{id} is removed; whatever rested on it has ended."))?;
            }
            Ok(Done::Yes)
        }
        Grants::Extend(asked) => prolong(client, out, kind, "extend", asked),
        Grants::Renew(asked) => prolong(client, out, kind, "renew", asked),
    }
}

fn add(client: &Client, out: &Output, kind: Kind, asked: &GrantAdd) -> Outcome {
    let mut body = Map::new();
    body.insert("principal".to_owned(), wire(&asked.holder));
    body.insert("role".to_owned(), json!(asked.role.as_str()));
    let mut put = |name: &str, value: Option<Value>| value.map(|value| body.insert(name.to_owned(), value));
    put("scope", asked.scope.as_ref().map(wire));
    put("start", asked.start.map(|start| json!(start)));
    let until = asked.until.or_else(|| asked.duration.map(|duration| Timestamp::from(chrono::Utc::now()).plus(duration)));
    put("end", until.map(|until| json!(until)));
    put("justification", asked.reason.as_ref().map(|reason| json!(reason)));
    let reply = client.post(kind.path(), &Value::Object(body))?;
    if out.json {
        out.value(&reply)?;
        return Ok(Done::Yes);
    }
    let begins = text(&reply, "/status") == "scheduled";
    let word = if begins { looking(Look::Waiting, format!("{} later", kind.word())) } else { looking(Look::Good, kind.word()) };
    out.cells(&[plain(text(&reply, "/id")), plain("  "), word])?;
    let mut rows = vec![("who", plain(entity(&reply, "/principal"))), ("role", plain(text(&reply, "/role"))), ("scope", scope(&reply))];
    if let Some(start) = instant(&reply, "/start").filter(|_| begins) {
        rows.push(("from", plain(start.to_string())));
    }
    rows.push(("time", plain(left(instant(&reply, "/end"), now(&reply)))));
    out.fields(&rows)?;
    Ok(Done::Yes)
}

fn listed(client: &Client, out: &Output, kind: Kind, filter: &GrantList) -> Outcome {
    let mut query = Vec::new();
    if let Some(principal) = &filter.principal {
        query.push(("principal_type", principal.kind().to_owned()));
        query.push(("principal_id", principal.id().to_owned()));
    }
    if let Some(role) = &filter.role {
        query.push(("role", role.to_string()));
    }
    let row = |one: &Value, now: Timestamp| -> Vec<Cell> {
        vec![
            plain(entity(one, "/principal")),
            plain(text(one, "/role")),
            scope(one),
            status(one),
            plain(left(instant(one, "/end"), now)),
            plain(entity(one, "/granted_by")),
            plain(text(one, "/id")),
        ]
    };
    let grants = Listing {
        path: kind.path(),
        query,
        header: &["who", "role", "scope", "status", "time", "granted by", "id"],
        empty: kind.none(),
        rest: "Narrow it with --principal or --role.",
    };
    grants.show(client, out, row)?;
    Ok(Done::Yes)
}

fn prolong(client: &Client, out: &Output, kind: Kind, verb: &str, asked: &GrantProlong) -> Outcome {
    let mut body = Map::new();
    let mut put = |name: &str, value: Option<Value>| value.map(|value| body.insert(name.to_owned(), value));
    put("duration", asked.duration.map(|duration| json!(duration)));
    put("end", asked.until.map(|until| json!(until)));
    put("justification", asked.reason.as_ref().map(|reason| json!(reason)));
    let reply = client.post(&format!("{}/{}/{verb}", kind.path(), encode(&asked.id)), &Value::Object(body))?;
    show(out, &reply)
}

/// Lists requests to prolong grants, or decides on one.
pub(super) fn requests(client: &Client, out: &Output, what: Option<&GrantRequests>) -> Outcome {
    let (verb, id, end, reason) = match what {
        None => return requests_listed(client, out, None),
        Some(GrantRequests::List { status }) => return requests_listed(client, out, status.as_deref()),
        Some(GrantRequests::Approve { id, until, reason }) => ("approve", id, *until, reason),
        Some(GrantRequests::Deny { id, reason }) => ("deny", id, None, reason),
        Some(GrantRequests::Cancel { id, reason }) => ("cancel", id, None, reason),
    };
    let mut body = Map::new();
    let mut put = |name: &str, value: Option<Value>| value.map(|value| body.insert(name.to_owned(), value));
    put("end", end.map(|end| json!(end)));
    put("reason", reason.as_ref().map(|reason| json!(reason)));
    let reply = client.post(&format!("/v1/grant-requests/{}/{verb}", encode(id)), &Value::Object(body))?;
    show(out, &reply)
}

fn requests_listed(client: &Client, out: &Output, wanted: Option<&str>) -> Outcome {
    let row = |one: &Value, now: Timestamp| -> Vec<Cell> {
        let open = text(one, "/status") == "pending";
        vec![
            plain(entity(one, "/principal")),
            plain(text(one, "/role")),
            scope(one),
            plain(what_for(one)),
            status(one),
            plain(if open { left(instant(one, "/expires_at"), now) } else { String::new() }),
            plain(text(one, "/justification")),
            plain(text(one, "/id")),
        ]
    };
    let requests = Listing {
        path: "/v1/grant-requests",
        query: wanted.iter().map(|wanted| ("status", (*wanted).to_owned())).collect(),
        header: &["who", "role", "scope", "asks for", "status", "time", "why", "id"],
        empty: "No requests to extend or renew.",
        rest: "Narrow it with `elevon grant-requests list --status pending`.",
    };
    if requests.show(client, out, row)?.iter().any(|one| text(one, "/status") == "pending") {
        out.remark("Decide with `elevon grant-requests approve ID` or `elevon grant-requests deny ID --reason TEXT`.")?;
    }
    Ok(Done::Yes)
}

/// `eligibility until 2030-12-31T00:00:00Z`.
fn what_for(request: &Value) -> String {
    format!("{} until {}", text(request, "/kind"), text(request, "/end"))
}

fn show(out: &Output, request: &Value) -> Outcome {
    if out.json {
        out.value(request)?;
        return Ok(Done::Yes);
    }
    out.cells(&[plain(text(request, "/id")), plain("  "), status(request)])?;
    let mut rows = vec![
        ("who", plain(entity(request, "/principal"))),
        ("role", plain(text(request, "/role"))),
        ("scope", scope(request)),
        ("asks for", plain(what_for(request))),
    ];
    let mut put = |name: &'static str, text: String| {
        if !text.is_empty() {
            rows.push((name, plain(text)));
        }
    };
    put("asked by", entity(request, "/requester"));
    put("why", text(request, "/justification"));
    put("decided by", entity(request, "/decided/by"));
    put("because", text(request, "/decided/reason"));
    out.fields(&rows)?;
    if text(request, "/status") == "pending" {
        let id = text(request, "/id");
        out.remark(&format!("It waits for an administrator. `elevon grant-requests cancel {id}` cancels it."))?;
    }
    Ok(Done::Yes)
}
