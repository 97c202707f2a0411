//! What people do with activations: ask, look, vote.

use serde_json::{Map, Value, json};

use super::args::{Activate, Approve, Extend, Vote};
use super::client::{Client, Failure, encode};
use super::describe::{flag, in_full, one_line, progress, refused_line, show};
use super::output::{Cell, Look, Output, looking, plain};
use super::pages::Listing;
use super::reply::{at, entity, instant, list, now, scope, text, wire};
use super::words::{left, until};
use super::{Done, Outcome};
use crate::domain::id::{RoleName, Uid};
use crate::domain::time::Timestamp;

/// Asks for a role, or for several at once.
pub(super) fn activate(client: &Client, out: &Output, asked: &Activate) -> Outcome {
    let scopes: Vec<Option<&Uid>> = if asked.scopes.is_empty() { vec![None] } else { asked.scopes.iter().map(Some).collect() };
    let mut wanted: Vec<(&RoleName, Option<&Uid>)> = Vec::new();
    for pair in asked.roles.iter().flat_map(|role| scopes.iter().map(move |scope| (role, *scope))) {
        if !wanted.contains(&pair) {
            wanted.push(pair);
        }
    }
    if let [(role, scope)] = wanted.as_slice() {
        let mut body = request(asked, role, *scope);
        if asked.dry_run {
            body.insert("dry_run".to_owned(), json!(true));
        }
        let reply = client.post("/v1/activations", &Value::Object(body))?;
        return show(out, &reply);
    }
    let items: Vec<Value> = wanted.iter().map(|(role, scope)| Value::Object(request(asked, role, *scope))).collect();
    let mut body = json!({"items": items});
    if let (true, Some(members)) = (asked.dry_run, body.as_object_mut()) {
        members.insert("dry_run".to_owned(), json!(true));
    }
    let reply = client.post("/v1/activations/bulk", &body)?;
    outcomes(out, &wanted, &reply)
}

fn request(asked: &Activate, role: &RoleName, scope: Option<&Uid>) -> Map<String, Value> {
    let mut body = Map::new();
    body.insert("role".to_owned(), json!(role.as_str()));
    let mut put = |name: &str, value: Option<Value>| value.map(|value| body.insert(name.to_owned(), value));
    put("scope", scope.map(wire));
    put("duration", asked.duration.map(|duration| json!(duration)));
    put("start", asked.start.map(|start| json!(start)));
    put("end", asked.until.map(|end| json!(end)));
    put("justification", asked.reason.as_ref().map(|reason| json!(reason)));
    put("ticket", asked.ticket.as_ref().map(ticket));
    put("emergency", asked.emergency.then_some(json!(true)));
    put("principal", asked.principal.as_ref().map(wire));
    body
}

fn ticket((system, number): &(String, String)) -> Value {
    json!({"system": system, "number": number})
}

/// What became of several requests, each on its own line, in the order they were asked for.
fn outcomes(out: &Output, wanted: &[(&RoleName, Option<&Uid>)], reply: &Value) -> Outcome {
    let items = list(reply, "/items");
    let granted = |item: &Value| at(item, "/activation").is_some();
    let done = if items.len() == wanted.len() && items.iter().all(granted) { Done::Yes } else { Done::No };
    if out.json {
        out.value(reply)?;
        return Ok(done);
    }
    for ((role, scope), item) in wanted.iter().zip(items) {
        match at(item, "/activation") {
            Some(activation) => one_line(out, activation)?,
            None => {
                let on = scope.map_or_else(|| "everywhere".to_owned(), ToString::to_string);
                let code = at(item, "/status").and_then(Value::as_u64).and_then(|code| u16::try_from(code).ok()).unwrap_or(0);
                refused_line(out, &format!("{role} on {on}"), code, at(item, "/problem").unwrap_or(&Value::Null))?;
            }
        }
    }
    Ok(done)
}

/// Asks for more time.
pub(super) fn extend(client: &Client, out: &Output, asked: &Extend) -> Outcome {
    let mut body = Map::new();
    let mut put = |name: &str, value: Option<Value>| value.map(|value| body.insert(name.to_owned(), value));
    put("duration", asked.duration.map(|duration| json!(duration)));
    put("justification", asked.reason.as_ref().map(|reason| json!(reason)));
    put("ticket", asked.ticket.as_ref().map(ticket));
    let reply = client.post(&format!("/v1/activations/{}/extend", encode(asked.id.as_str())), &Value::Object(body))?;
    show(out, &reply)
}

/// What the caller may activate, holds, and waits for.
pub(super) fn status_of_me(client: &Client, out: &Output) -> Outcome {
    let me = client.get("/v1/me", &[])?;
    if out.json {
        out.value(&me)?
    } else {
        standing(out, &me)?
    }
    Ok(Done::Yes)
}

/// The same as a page of tables.
pub(super) fn standing(out: &Output, me: &Value) -> Result<(), Failure> {
    let now = now(me);
    out.cells(&[looking(Look::Quiet, "You are "), plain(entity(me, "/principal"))])?;
    let presence = match text(me, "/presence").as_str() {
        "disabled" => "You are disabled: nothing that you hold counts.",
        "unknown" => "You are not known here: no role counts for you until an administrator stores you with `elevon entity put`.",
        _ => "",
    };
    if !presence.is_empty() {
        out.cells(&[looking(Look::Bad, presence)])?;
    }
    if at(me, "/time_trusted").and_then(Value::as_bool) == Some(false) {
        out.cells(&[looking(Look::Bad, "The server does not trust its clock: nothing that is bound to time counts.")])?;
    }
    out.line("")?;
    out.line("Active")?;
    let active = list(me, "/active").iter().map(|one| {
        let end = left(instant(one, "/end"), now);
        let time = if counts(one) { looking(Look::Good, end) } else { looking(Look::Bad, text(one, "/why_not/detail")) };
        vec![plain(text(one, "/role")), scope(one), time, via(one), plain(text(one, "/id"))]
    });
    out.table(&["role", "scope", "time", "how", "id"], active.collect(), "  nothing is active")?;
    out.line("")?;
    out.line("Waiting")?;
    let pending = ["/pending", "/scheduled"].iter().flat_map(|what| list(me, what)).map(|one| waiting(one, now));
    out.table(&["role", "scope", "waits for", "time", "id"], pending.collect(), "  nothing waits")?;
    out.line("")?;
    out.line("You may activate")?;
    let eligible = list(me, "/eligible")
        .iter()
        .map(|one| vec![plain(text(one, "/role")), scope(one), plain(left(instant(one, "/end"), now)), plain(through(one, me))]);
    out.table(&["role", "scope", "time", "through"], eligible.collect(), "  nothing; an administrator grants eligibilities")?;
    Ok(())
}

/// A request that waits for votes, or an activation that waits for its start.
fn waiting(one: &Value, now: Timestamp) -> Vec<Cell> {
    let begins = instant(one, "/start").filter(|_| text(one, "/status") == "scheduled");
    let (what, time) = match begins {
        Some(start) => ("its start".to_owned(), until(start, now)),
        None => (progress(one), left(instant(one, "/approval/expires_at"), now)),
    };
    let what = if text(one, "/extends").is_empty() { what } else { format!("{what}, to extend {}", text(one, "/extends")) };
    vec![plain(text(one, "/role")), scope(one), looking(Look::Waiting, what), plain(time), plain(text(one, "/id"))]
}

fn via(one: &Value) -> Cell {
    let how = text(one, "/via");
    match (flag(one, "/emergency"), how.is_empty()) {
        (true, _) => looking(Look::Bad, "emergency"),
        (false, true) => plain("activation"),
        (false, false) => plain(how),
    }
}

/// Whether a holding counts, as far as the reply says.
fn counts(one: &Value) -> bool {
    at(one, "/counts").and_then(Value::as_bool) != Some(false)
}

/// The group through which somebody is eligible; nothing where it is their own.
fn through(one: &Value, me: &Value) -> String {
    let holder = entity(one, "/principal");
    if holder == entity(me, "/principal") { "yourself".to_owned() } else { holder }
}

/// What waits for the caller's vote.
pub(super) fn approvals(client: &Client, out: &Output) -> Outcome {
    let row = |one: &Value, now: Timestamp| {
        let kind = if text(one, "/extends").is_empty() { "" } else { " more" };
        vec![
            plain(entity(one, "/principal")),
            plain(text(one, "/role")),
            scope(one),
            plain(format!("{}{kind}", text(one, "/duration"))),
            plain(text(one, "/justification")),
            looking(Look::Waiting, left(instant(one, "/approval/expires_at"), now)),
            plain(text(one, "/id")),
        ]
    };
    let waiting = Listing {
        path: "/v1/approvals",
        query: Vec::new(),
        header: &["who", "role", "scope", "for", "why", "time", "id"],
        empty: "Nothing waits for your vote.",
        rest: "Vote on some of these first.",
    };
    if !waiting.show(client, out, row)?.is_empty() {
        out.remark("Vote with `elevon approve ID` or `elevon deny ID --reason TEXT`.")?;
    }
    Ok(Done::Yes)
}

/// Votes for a request, or for less than it asks.
pub(super) fn approve(client: &Client, out: &Output, asked: &Approve) -> Outcome {
    let mut less = Map::new();
    let mut put = |name: &str, value: Option<Value>| value.map(|value| less.insert(name.to_owned(), value));
    put("scope", asked.scope.as_ref().map(wire));
    put("duration", asked.duration.map(|duration| json!(duration)));
    vote(client, out, "approve", &asked.vote, less)
}

/// Votes against a request, which ends it.
pub(super) fn deny(client: &Client, out: &Output, asked: &Vote) -> Outcome {
    vote(client, out, "deny", asked, Map::new())
}

/// Votes by a link from a message, after showing what it was made for.
fn by_link(client: &Client, out: &Output, verb: &str, link: &str, reason: Option<&str>) -> Outcome {
    // of an address, what stands behind the `#`, up to what the page's button was
    let link = link.rsplit_once('#').map_or(link, |(_, link)| link);
    let link = link.split_once('&').map_or(link, |(link, _)| link);
    let opened = client.post("/v1/approval-links/open", &json!({ "link": link }))?;
    if !out.json {
        in_full(out, opened.get("activation").unwrap_or(&Value::Null))?;
        out.line("")?;
    }
    let mut body = json!({ "link": link, "decision": verb });
    if let (Some(reason), Value::Object(body)) = (reason, &mut body) {
        body.insert("justification".to_owned(), json!(reason));
    }
    let reply = client.post("/v1/approval-links/use", &body)?;
    show(out, &reply)
}

/// Votes on a request, after showing it.
fn vote(client: &Client, out: &Output, verb: &str, vote: &Vote, mut body: Map<String, Value>) -> Outcome {
    if let Some(link) = &vote.link {
        return by_link(client, out, verb, link, vote.reason.as_deref());
    }
    let Some(id) = &vote.id else { return Err(Failure::Local("name the request or give its link".to_owned())) };
    let path = format!("/v1/activations/{}", encode(id.as_str()));
    let request = client.get(&path, &[])?;
    let shown = text(&request, "/request_hash");
    let hash = match &vote.hash {
        Some(pinned) => pinned.to_string(),
        None if shown.is_empty() => {
            return Err(Failure::Local(format!("`{id}` is {}; only pending requests can be voted on", text(&request, "/status"))));
        }
        None => shown,
    };
    if !out.json {
        in_full(out, &request)?;
        out.line("")?;
    }
    body.insert("request_hash".to_owned(), json!(hash));
    if let Some(reason) = &vote.reason {
        body.insert("justification".to_owned(), json!(reason));
    }
    let reply = client.post(&format!("{path}/{verb}"), &Value::Object(body))?;
    show(out, &reply)
}
