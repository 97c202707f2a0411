//! Ending what was asked for: cancel, deactivate, revoke one or several, and revoke everything of a principal or of a role.

use std::io::{self, BufRead as _, IsTerminal as _};

use serde_json::{Map, Value, json};

use super::args::{Ending, Revoke};
use super::client::{Client, Failure, encode};
use super::describe::{one_line, refused_line, show};
use super::output::{Look, Output, looking, plain};
use super::reply::{at, text, wire};
use super::{Done, Outcome};

/// Longest answer to a question that is read, in bytes.
const MAX_ANSWER: u64 = 100;

/// Cancels or deactivates.
pub(super) fn end(client: &Client, out: &Output, verb: &str, ending: &Ending) -> Outcome {
    let path = format!("/v1/activations/{}/{verb}", encode(ending.id.as_str()));
    let reply = client.post(&path, &because(ending.reason.as_deref()))?;
    show(out, &reply)
}

pub(super) fn because(reason: Option<&str>) -> Value {
    reason.map_or_else(|| json!({}), |reason| json!({"reason": reason}))
}

/// Revokes activations one by one, or everything of a principal or of a role at once.
pub(super) fn revoke(client: &Client, out: &Output, asked: &Revoke) -> Outcome {
    match asked.ids.as_slice() {
        [] => everything(client, out, asked),
        [id] => {
            let path = format!("/v1/activations/{}/revoke", encode(id.as_str()));
            let reply = client.post(&path, &because(asked.reason.as_deref()))?;
            show(out, &reply)
        }
        _ => several(client, out, asked),
    }
}

/// Each has its own outcome; one that is refused does not keep the others.
fn several(client: &Client, out: &Output, asked: &Revoke) -> Outcome {
    let mut done = Done::Yes;
    let mut items = Vec::with_capacity(asked.ids.len());
    for id in &asked.ids {
        let path = format!("/v1/activations/{}/revoke", encode(id.as_str()));
        match client.post(&path, &because(asked.reason.as_deref())) {
            Ok(activation) if out.json => items.push(json!({"status": 200, "activation": activation})),
            Ok(activation) => one_line(out, &activation)?,
            Err(Failure::Refused(problem)) if !problem.is_fault() => {
                done = Done::No;
                if out.json {
                    items.push(json!({"status": problem.status, "id": id, "problem": problem.body}));
                } else {
                    refused_line(out, id.as_str(), problem.status, &problem.body)?;
                }
            }
            Err(failure) => return Err(failure),
        }
    }
    if out.json {
        out.value(&json!({"items": items}))?;
    }
    Ok(done)
}

fn everything(client: &Client, out: &Output, asked: &Revoke) -> Outcome {
    let mut body = Map::new();
    let whose = match (&asked.principal, &asked.role) {
        (Some(principal), _) => {
            body.insert("principal".to_owned(), wire(principal));
            format!("that {principal} has active or has requested")
        }
        (None, Some(role)) => {
            body.insert("role".to_owned(), json!(role));
            format!("of role `{role}` that is active or requested")
        }
        (None, None) => return Err(Failure::Usage("name what to revoke: ids, --principal or --role".to_owned())),
    };
    if !asked.yes && !confirmed(out, &format!("revokes everything {whose}"))? {
        out.remark("Nothing was revoked.")?;
        return Ok(Done::No);
    }
    if let Some(reason) = &asked.reason {
        body.insert("reason".to_owned(), json!(reason));
    }
    let reply = client.post("/v1/activations/revoke", &Value::Object(body))?;
    if out.json {
        out.value(&reply)?;
    } else if at(&reply, "/outcome").is_some() && text(&reply, "/outcome") == "unchanged" {
        out.cells(&[looking(Look::Quiet, "unchanged"), plain("  there was nothing to revoke")])?;
    } else {
        out.cells(&[looking(Look::Good, "revoked"), plain(format!("  everything {whose}"))])?;
    }
    Ok(Done::Yes)
}

/// Asks once more. Only a person at a terminal is asked: a script says `--yes`.
pub(super) fn confirmed(out: &Output, what: &str) -> Result<bool, Failure> {
    if !io::stdin().is_terminal() {
        return Err(Failure::Usage(format!("this {what}; confirm it with --yes, as there is no terminal to ask on")));
    }
    out.remark(&format!("This {what}. Continue? [y/N]"))?;
    let mut answer = String::new();
    io::Read::take(io::stdin().lock(), MAX_ANSWER).read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}
