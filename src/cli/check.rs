//! Asks for decisions.

use serde_json::{Value, json};

use super::args::Check;
use super::client::{Client, Failure};
use super::output::{Cell, Look, Output, looking, plain};
use super::reply::{at, entity, instant, list, now, text, wire};
use super::words::left;
use super::{Done, Outcome};

fn body(asked: &Check) -> Value {
    let mut body = json!({
        "subject": wire(&asked.principal),
        "action": {"name": action_name(&asked.action)},
        "resource": wire(&asked.resource),
    });
    if let (Some(context), Some(members)) = (&asked.context, body.as_object_mut()) {
        members.insert("context".to_owned(), Value::Object(context.clone()));
    }
    body
}

/// `Action::"write"` is the name `write`; an action of a namespace keeps its whole name.
fn action_name(text: &str) -> &str {
    text.strip_prefix("Action::\"").and_then(|rest| rest.strip_suffix('"')).unwrap_or(text)
}

/// Asks whether something is allowed; denied is exit code 1.
pub(super) fn check(client: &Client, out: &Output, asked: &Check) -> Outcome {
    let reply = client.post("/access/v1/evaluation", &body(asked))?;
    let allowed = at(&reply, "/decision").and_then(Value::as_bool) == Some(true);
    if out.json {
        out.value(&reply)?;
    } else {
        headline(out, asked, allowed, &text(&reply, "/context/reason"))?;
        if let (true, Some(until)) = (allowed, instant(&reply, "/context/valid_until")) {
            out.fields(&[("until", plain(format!("{until}, {}", left(Some(until), now(&reply)))))])?;
        }
    }
    Ok(if allowed { Done::Yes } else { Done::No })
}

fn headline(out: &Output, asked: &Check, allowed: bool, reason: &str) -> Result<(), Failure> {
    let verdict = if allowed { looking(Look::Good, "allowed") } else { looking(Look::Bad, "denied") };
    let what = format!("  {} {} {}", asked.principal, action_name(&asked.action), asked.resource);
    out.cells(&[verdict, plain(what), looking(Look::Quiet, format!("  ({})", reason.replace('_', " ")))])?;
    Ok(())
}

/// Asks for a decision with its reasons; denied is exit code 1.
pub(super) fn explain(client: &Client, out: &Output, asked: &Check) -> Outcome {
    let reply = client.post("/v1/explain", &body(asked))?;
    let allowed = at(&reply, "/decision").and_then(Value::as_bool) == Some(true);
    let done = if allowed { Done::Yes } else { Done::No };
    if out.json {
        out.value(&reply)?;
        return Ok(done);
    }
    headline(out, asked, allowed, &text(&reply, "/reason"))?;
    let policies: Vec<String> = list(&reply, "/policies").iter().map(|one| text(one, "")).collect();
    let mut rows = Vec::new();
    if let Some(detail) = at(&reply, "/detail") {
        rows.push(("detail", plain(text(detail, ""))));
    }
    rows.push(("policies", if policies.is_empty() { looking(Look::Quiet, "none matched") } else { plain(policies.join(", ")) }));
    let groups: Vec<String> = list(&reply, "/groups").iter().map(|one| entity(one, "")).collect();
    rows.push(("groups", if groups.is_empty() { looking(Look::Quiet, "none") } else { plain(groups.join(", ")) }));
    rows.push(("revision", plain(text(&reply, "/revision").chars().take(12).collect::<String>())));
    for dropped in list(&reply, "/context_dropped") {
        rows.push(("left out", plain(format!("`{}` of the context: the schema does not declare it for this action", text(dropped, "")))));
    }
    for error in list(&reply, "/errors") {
        rows.push(("error", looking(Look::Bad, format!("{}: {}", text(error, "/policy"), text(error, "/message")))));
    }
    out.fields(&rows)?;
    out.line("")?;
    let now = now(&reply);
    let holdings = list(&reply, "/holdings").iter().map(|one| holding(one, now));
    out.table(&["counts", "role", "scope", "time", "why not", "id"], holdings.collect(), "  no activation and no assignment")?;
    Ok(done)
}

fn holding(one: &Value, now: crate::domain::time::Timestamp) -> Vec<Cell> {
    let counts = at(one, "/counts").and_then(Value::as_bool) == Some(true);
    vec![
        if counts { looking(Look::Good, "yes") } else { looking(Look::Bad, "no") },
        plain(text(one, "/role")),
        super::reply::scope(one),
        plain(left(instant(one, "/end"), now)),
        plain(text(one, "/why_not/detail")),
        plain(text(one, "/id")),
    ]
}
