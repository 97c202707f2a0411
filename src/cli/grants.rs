//! Who may activate what.

use serde_json::{Map, Value, json};

use super::args::{Eligibility, EligibilityAdd, EligibilityList};
use super::client::{Client, encode};
use super::output::{Cell, Look, Output, looking, plain};
use super::reply::{entity, instant, list, now, scope, text, wire};
use super::words::left;
use super::{Done, Outcome};
use crate::domain::time::Timestamp;

/// Adds, lists or removes.
pub(super) fn eligibility(client: &Client, out: &Output, what: &Eligibility) -> Outcome {
    match what {
        Eligibility::Add(asked) => add(client, out, asked),
        Eligibility::List(filter) => listed(client, out, filter),
        Eligibility::Remove { id, reason } => {
            let query: Vec<(&str, String)> = reason.iter().map(|reason| ("reason", reason.clone())).collect();
            let reply = client.delete(&format!("/v1/eligibilities/{}", encode(id)), &query)?;
            if out.json {
                out.value(&reply)?;
            } else {
                out.line(&format!("{id} is removed; what rested on it is over."))?;
            }
            Ok(Done::Yes)
        }
    }
}

fn add(client: &Client, out: &Output, asked: &EligibilityAdd) -> Outcome {
    let mut body = Map::new();
    body.insert("principal".to_owned(), wire(&asked.holder));
    body.insert("role".to_owned(), json!(asked.role.as_str()));
    let mut put = |name: &str, value: Option<Value>| value.map(|value| body.insert(name.to_owned(), value));
    put("scope", asked.scope.as_ref().map(wire));
    let until = asked.until.or_else(|| asked.duration.map(|duration| Timestamp::from(chrono::Utc::now()).plus(duration)));
    put("end", until.map(|until| json!(until)));
    put("justification", asked.reason.as_ref().map(|reason| json!(reason)));
    let reply = client.post("/v1/eligibilities", &Value::Object(body))?;
    if out.json {
        out.value(&reply)?;
        return Ok(Done::Yes);
    }
    let end = left(instant(&reply, "/end"), now(&reply));
    out.cells(&[plain(text(&reply, "/id")), plain("  "), looking(Look::Good, "eligible")])?;
    out.fields(&[
        ("who", plain(entity(&reply, "/principal"))),
        ("role", plain(text(&reply, "/role"))),
        ("scope", scope(&reply)),
        ("time", plain(end)),
    ])?;
    Ok(Done::Yes)
}

fn listed(client: &Client, out: &Output, filter: &EligibilityList) -> Outcome {
    let mut query = Vec::new();
    if let Some(principal) = &filter.principal {
        query.push(("principal_type", principal.kind().to_owned()));
        query.push(("principal_id", principal.id().to_owned()));
    }
    if let Some(role) = &filter.role {
        query.push(("role", role.to_string()));
    }
    let reply = client.get("/v1/eligibilities", &query)?;
    if out.json {
        out.value(&reply)?;
        return Ok(Done::Yes);
    }
    let now = now(&reply);
    let row = |one: &Value| -> Vec<Cell> {
        vec![
            plain(entity(one, "/principal")),
            plain(text(one, "/role")),
            scope(one),
            plain(left(instant(one, "/end"), now)),
            plain(entity(one, "/granted_by")),
            plain(text(one, "/id")),
        ]
    };
    let rows = list(&reply, "/items").iter().map(row).collect();
    out.table(&["who", "role", "scope", "time", "granted by", "id"], rows, "No eligibility matches.")?;
    Ok(Done::Yes)
}
