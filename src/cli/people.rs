//! What people do with activations: ask, look, vote, end.

use serde_json::{Map, Value, json};

use super::args::{Activate, Ending, Vote};
use super::client::{Client, Failure, encode};
use super::output::{Cell, Look, Output, looking, plain};
use super::reply::{at, entity, instant, list, now, scope, status, text, wire};
use super::words::{ago, left};
use super::{Done, Outcome};

/// Asks for a role.
pub(super) fn activate(client: &Client, out: &Output, asked: &Activate) -> Outcome {
    let mut body = Map::new();
    body.insert("role".to_owned(), json!(asked.role.as_str()));
    let mut put = |name: &str, value: Option<Value>| value.map(|value| body.insert(name.to_owned(), value));
    put("scope", asked.scope.as_ref().map(wire));
    put("duration", asked.duration.map(|duration| json!(duration)));
    put("justification", asked.reason.as_ref().map(|reason| json!(reason)));
    put("ticket", asked.ticket.as_ref().map(|(system, number)| json!({"system": system, "number": number})));
    put("principal", asked.principal.as_ref().map(wire));
    let reply = client.post("/v1/activations", &Value::Object(body))?;
    show(out, &reply)
}

/// What the caller may activate, holds, and waits for.
pub(super) fn status_of_me(client: &Client, out: &Output) -> Outcome {
    let me = client.get("/v1/me", &[])?;
    if out.json {
        out.value(&me)?;
        return Ok(Done::Yes);
    }
    let now = now(&me);
    out.cells(&[looking(Look::Quiet, "You are "), plain(entity(&me, "/principal"))])?;
    out.line("")?;
    out.line("Active")?;
    let active = list(&me, "/active").iter().map(|one| {
        let end = left(instant(one, "/end"), now);
        vec![plain(text(one, "/role")), scope(one), looking(Look::Good, end), via(one), plain(text(one, "/id"))]
    });
    out.table(&["role", "scope", "time", "how", "id"], active.collect(), "  nothing is active")?;
    out.line("")?;
    out.line("Waiting")?;
    let pending = list(&me, "/pending").iter().map(|one| {
        let until = left(instant(one, "/approval/expires_at"), now);
        vec![plain(text(one, "/role")), scope(one), looking(Look::Waiting, progress(one)), plain(until), plain(text(one, "/id"))]
    });
    out.table(&["role", "scope", "approval", "time", "id"], pending.collect(), "  nothing waits")?;
    out.line("")?;
    out.line("You may activate")?;
    let eligible = list(&me, "/eligible")
        .iter()
        .map(|one| vec![plain(text(one, "/role")), scope(one), plain(left(instant(one, "/end"), now)), plain(through(one, &me))]);
    out.table(&["role", "scope", "time", "through"], eligible.collect(), "  nothing; an administrator grants eligibilities")?;
    Ok(Done::Yes)
}

fn via(one: &Value) -> Cell {
    let how = text(one, "/via");
    if how.is_empty() { plain("activation") } else { plain(how) }
}

/// The group through which somebody is eligible; nothing where it is their own.
fn through(one: &Value, me: &Value) -> String {
    let holder = entity(one, "/principal");
    if holder == entity(me, "/principal") { "yourself".to_owned() } else { holder }
}

/// `stage 1 of 2, 0 of 1 approved`.
fn progress(one: &Value) -> String {
    let stages = list(one, "/approval/stages");
    let number = at(one, "/approval/stage").and_then(Value::as_u64).and_then(|number| usize::try_from(number).ok()).unwrap_or(1);
    let Some(stage) = stages.get(number.saturating_sub(1)) else { return String::new() };
    let votes = list(stage, "/votes").len();
    let quorum = at(stage, "/quorum").and_then(Value::as_u64).unwrap_or(1);
    match stages.len() {
        1 => format!("{votes} of {quorum} approved"),
        stages => format!("stage {number} of {stages}, {votes} of {quorum} approved"),
    }
}

/// What waits for the caller's vote.
pub(super) fn approvals(client: &Client, out: &Output) -> Outcome {
    let waiting = client.get("/v1/approvals", &[])?;
    if out.json {
        out.value(&waiting)?;
        return Ok(Done::Yes);
    }
    let now = now(&waiting);
    let items = list(&waiting, "/items");
    let rows = items.iter().map(|one| {
        vec![
            plain(entity(one, "/principal")),
            plain(text(one, "/role")),
            scope(one),
            plain(text(one, "/duration")),
            plain(text(one, "/justification")),
            looking(Look::Waiting, left(instant(one, "/approval/expires_at"), now)),
            plain(text(one, "/id")),
        ]
    });
    out.table(&["who", "role", "scope", "for", "why", "time", "id"], rows.collect(), "Nothing waits for your vote.")?;
    if !items.is_empty() {
        out.remark("Vote with `elevon approve ID` or `elevon deny ID --reason TEXT`.")?;
    }
    Ok(Done::Yes)
}

/// Votes on a request, after showing it.
pub(super) fn vote(client: &Client, out: &Output, verb: &str, vote: &Vote) -> Outcome {
    let path = format!("/v1/activations/{}", encode(vote.id.as_str()));
    let request = client.get(&path, &[])?;
    let shown = text(&request, "/request_hash");
    let hash = match &vote.hash {
        Some(pinned) => pinned.to_string(),
        None if shown.is_empty() => {
            return Err(Failure::Local(format!("`{}` is {}; only what is pending can be voted on", vote.id, text(&request, "/status"))));
        }
        None => shown,
    };
    if !out.json {
        describe(out, &request)?;
        out.line("")?;
    }
    let mut body = json!({"request_hash": hash});
    if let (Some(reason), Some(members)) = (&vote.reason, body.as_object_mut()) {
        members.insert("justification".to_owned(), json!(reason));
    }
    let reply = client.post(&format!("{path}/{verb}"), &body)?;
    show(out, &reply)
}

/// Cancels, deactivates or revokes.
pub(super) fn end(client: &Client, out: &Output, verb: &str, ending: &Ending) -> Outcome {
    let path = format!("/v1/activations/{}/{verb}", encode(ending.id.as_str()));
    let body = ending.reason.as_ref().map_or_else(|| json!({}), |reason| json!({"reason": reason}));
    let reply = client.post(&path, &body)?;
    show(out, &reply)
}

fn show(out: &Output, activation: &Value) -> Outcome {
    if out.json {
        out.value(activation)?;
        return Ok(Done::Yes);
    }
    describe(out, activation)?;
    let id = text(activation, "/id");
    match text(activation, "/status").as_str() {
        "pending" => {
            out.remark(&format!("It waits for approval. `elevon status` shows how it stands; `elevon cancel {id}` takes it back."))?
        }
        "active" => out.remark(&format!("`elevon deactivate {id}` gives it up early."))?,
        _ => {}
    }
    Ok(Done::Yes)
}

fn describe(out: &Output, activation: &Value) -> Result<(), Failure> {
    let now = now(activation);
    out.cells(&[plain(text(activation, "/id")), plain("  "), status(activation)])?;
    let mut rows =
        vec![("role", plain(text(activation, "/role"))), ("scope", scope(activation)), ("who", plain(entity(activation, "/principal")))];
    let requester = entity(activation, "/requester");
    if !requester.is_empty() && requester != entity(activation, "/principal") {
        rows.push(("asked by", plain(requester)));
    }
    if let Some(end) = instant(activation, "/end") {
        rows.push(("until", plain(format!("{end}, {}", left(Some(end), now)))));
    } else if !text(activation, "/duration").is_empty() {
        rows.push(("for", plain(text(activation, "/duration"))));
    }
    if let Some(asked) = instant(activation, "/requested_at") {
        rows.push(("asked", plain(ago(asked, now))));
    }
    for (name, pointer) in [("why", "/justification"), ("ticket", "/ticket/number")] {
        let text = text(activation, pointer);
        if !text.is_empty() {
            rows.push((name, plain(text)));
        }
    }
    let stages = list(activation, "/approval/stages");
    if !stages.is_empty() && text(activation, "/status") == "pending" {
        rows.push(("approval", looking(Look::Waiting, progress(activation))));
        for stage in stages {
            let approvers: Vec<String> = list(stage, "/approvers").iter().map(|one| entity(one, "")).collect();
            rows.push(("by", plain(approvers.join(" or "))));
        }
    }
    for vote in stages.iter().flat_map(|stage| list(stage, "/votes")) {
        rows.push(("approved by", plain(entity(vote, "/principal"))));
    }
    out.fields(&rows)?;
    Ok(())
}
