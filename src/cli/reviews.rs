//! Access reviews: what is reviewed, what waits for one's decision, and what became of it.

use std::fs;

use serde_json::{Map, Value, json};

use super::args::{ReportFormat, ReviewDecide, ReviewPlan, ReviewReport, Reviews};
use super::client::{Client, Failure, encode};
use super::describe::flag;
use super::ending::{because, confirmed};
use super::entities::json_of;
use super::output::{Cell, Look, Output, looking, plain};
use super::pages::Listing;
use super::reply::{entity, instant, list, scope, status, text, wire};
use super::{Done, Outcome};

fn at(id: &str, what: &str) -> String {
    format!("/v1/reviews/{}{what}", encode(id))
}

fn defined(id: &str, what: &str) -> String {
    format!("/v1/reviews/definitions/{}{what}", encode(id))
}

/// Everything about reviews.
pub(super) fn reviews(client: &Client, out: &Output, what: &Reviews) -> Outcome {
    match what {
        Reviews::List { status } => listed(client, out, status.as_deref()),
        Reviews::Show { id } => show(out, &client.get(&at(id, ""), &[])?),
        Reviews::Items { id } => items(client, out, id),
        Reviews::Decide(asked) => decide(client, out, asked),
        Reviews::Complete { id, reason } => show(out, &client.post(&at(id, "/complete"), &because(reason.as_deref()))?),
        Reviews::Apply { id, yes } => apply(client, out, id, *yes),
        Reviews::Report(asked) => report(client, out, asked),
        Reviews::Definitions => definitions(client, out),
        Reviews::Define(plan) => show_definition(out, &client.post("/v1/reviews/definitions", &body(plan)?)?),
        Reviews::Change { id, plan } => show_definition(out, &client.put(&defined(id, ""), &body(plan)?)?),
        Reviews::End { id, reason } => {
            let query: Vec<(&str, String)> = reason.iter().map(|reason| ("reason", reason.clone())).collect();
            show_definition(out, &client.delete(&defined(id, ""), &query)?)
        }
        Reviews::Start { id } => show(out, &client.post(&defined(id, "/start"), &json!({}))?),
    }
}

/// The definition that was typed, or that stands in a file.
fn body(plan: &ReviewPlan) -> Result<Value, Failure> {
    if let Some(file) = &plan.from {
        return json_of(file);
    }
    let mut stage = Map::new();
    if plan.holders {
        stage.insert("self".to_owned(), json!(true));
    } else {
        stage.insert("reviewers".to_owned(), plan.reviewer.iter().map(wire).collect());
    }
    stage.insert("fallback".to_owned(), plan.fallback.iter().map(wire).collect());
    stage.insert("days".to_owned(), plan.days.into());
    let recurrence = json!({ "every": plan.every, "first": plan.first, "at": plan.at, "time_zone": plan.time_zone });
    Ok(json!({
        "name": plan.name, "roles": plan.role, "scopes": plan.scope.iter().map(wire).collect::<Vec<_>>(), "covers": plan.covers,
        "inactive_days": plan.inactive, "stages": [stage], "recurrence": recurrence, "no_answer": plan.no_answer, "auto_apply": plan.auto_apply,
    }))
}

fn count(review: &Value, of: &str) -> String {
    text(review, &format!("/items/{of}"))
}

fn listed(client: &Client, out: &Output, wanted: Option<&str>) -> Outcome {
    let row = |one: &Value, _| -> Vec<Cell> {
        vec![
            plain(text(one, "/name")),
            status(one),
            plain(text(one, "/ends_at")),
            plain(count(one, "total")),
            plain(count(one, "open")),
            plain(count(one, "removals")),
            plain(text(one, "/id")),
        ]
    };
    let reviews = Listing {
        path: "/v1/reviews",
        query: wanted.iter().map(|wanted| ("status", (*wanted).to_owned())).collect(),
        header: &["name", "status", "until", "items", "open", "to remove", "id"],
        empty: "No reviews that you take part in.",
        rest: "Narrow it with --status.",
    };
    if !reviews.show(client, out, row)?.is_empty() {
        out.remark("List the items of one with `elevon review items ID`.")?;
    }
    Ok(Done::Yes)
}

fn show(out: &Output, review: &Value) -> Outcome {
    if out.json {
        out.value(review)?;
        return Ok(Done::Yes);
    }
    out.cells(&[plain(text(review, "/id")), plain("  "), status(review)])?;
    let mut rows = vec![("name", plain(text(review, "/name"))), ("opened", plain(text(review, "/opened_at")))];
    let mut put = |name: &'static str, text: String| {
        if !text.is_empty() {
            rows.push((name, plain(text)));
        }
    };
    let stages = list(review, "/stages").len();
    let stage = text(review, "/stage");
    put("stage", if stage.is_empty() { stage } else { format!("{stage} of {stages}") });
    put("until", text(review, "/ends_at"));
    put(
        "items",
        format!(
            "{}: {} approved, {} denied, {} undecided",
            count(review, "total"),
            count(review, "approved"),
            count(review, "denied"),
            count(review, "undecided")
        ),
    );
    put("to remove", format!("{} ({} done)", count(review, "removals"), count(review, "removed")));
    out.fields(&rows)?;
    if instant(review, "/completed_at").is_some() && text(review, "/status") == "completed" {
        out.remark(&format!("It is ready to be applied: `elevon review apply {}`.", text(review, "/id")))?;
    }
    Ok(Done::Yes)
}

/// All items that the server lets the caller see.
fn items(client: &Client, out: &Output, id: &str) -> Outcome {
    let row = |one: &Value, _| -> Vec<Cell> {
        let used = [text(one, "/last_activation"), text(one, "/last_check")].into_iter().max().unwrap_or_default();
        let goes = text(one, "/outcome") == "remove";
        vec![
            plain(entity(one, "/principal")),
            plain(text(one, "/role")),
            scope(one),
            plain(if used.is_empty() { "never".to_owned() } else { used }),
            plain(text(one, "/recommendation")),
            plain(text(one, "/decision")),
            if goes { looking(Look::Waiting, "remove") } else { plain("keep") },
            plain(text(one, "/subject/id")),
        ]
    };
    let items = Listing {
        path: &at(id, "/items"),
        query: Vec::new(),
        header: &["who", "role", "scope", "last used", "recommended", "decided", "outcome", "item"],
        empty: "Nothing in it waits for your decision.",
        rest: &format!("`elevon review report {id}` has every item."),
    };
    items.show(client, out, row)?;
    Ok(Done::Yes)
}

/// The kind of an item by the beginning of its id, as Elevon makes them.
fn named(id: &str) -> Result<Value, Failure> {
    let kind = match id.split_once('_') {
        Some(("elg", _)) => "eligibility",
        Some(("asg", _)) => "assignment",
        Some(("act", _)) => "activation",
        Some(_) | None => {
            return Err(Failure::Usage(format!("`{id}` is not an item of a review; `elevon review items` lists them in the last column")));
        }
    };
    Ok(json!({ "kind": kind, "id": id }))
}

fn decide(client: &Client, out: &Output, asked: &ReviewDecide) -> Outcome {
    let items = asked.items.iter().map(|id| named(id)).collect::<Result<Vec<_>, _>>()?;
    let decision = match (asked.approve, asked.deny) {
        (true, _) => "approve",
        (false, true) => "deny",
        (false, false) => "dont_know",
    };
    let body = json!({ "items": items, "decision": decision, "reason": asked.reason });
    show(out, &client.post(&at(&asked.id, "/decide"), &body)?)
}

fn apply(client: &Client, out: &Output, id: &str, yes: bool) -> Outcome {
    let review = client.get(&at(id, ""), &[])?;
    let confirm = review.get("confirm").and_then(Value::as_u64);
    let mut body = json!({});
    if let Some(removals) = confirm {
        let what = format!("removes {removals} of {} items", count(&review, "total"));
        if !yes && !confirmed(out, &what)? {
            out.remark("Nothing was applied.")?;
            return Ok(Done::No);
        }
        body = json!({ "confirm": removals });
    }
    show(out, &client.post(&at(id, "/apply"), &body)?)
}

fn report(client: &Client, out: &Output, asked: &ReviewReport) -> Outcome {
    let bytes = match asked.format {
        ReportFormat::Json => {
            let mut text = client.get(&at(&asked.id, "/report"), &[])?.to_string();
            text.push('\n');
            text.into_bytes()
        }
        ReportFormat::Csv => client.text(&at(&asked.id, "/report.csv"), "text/csv")?,
        ReportFormat::Html => client.text(&at(&asked.id, "/report.html"), "text/html")?,
    };
    let Some(file) = &asked.file else {
        out.raw(&bytes)?;
        return Ok(Done::Yes);
    };
    fs::write(file, &bytes).map_err(|error| Failure::Local(format!("`{}` cannot be written: {error}", file.display())))?;
    if !out.json {
        out.line(&format!("The report is in {}.", file.display()))?;
    }
    Ok(Done::Yes)
}

fn definitions(client: &Client, out: &Output) -> Outcome {
    let row = |one: &Value, _| -> Vec<Cell> {
        let next = text(one, "/next");
        vec![
            plain(text(one, "/name")),
            plain(text(one, "/recurrence/every")),
            plain(if next.is_empty() { "none".to_owned() } else { next }),
            plain(text(one, "/opened")),
            plain(text(one, "/id")),
        ]
    };
    let definitions = Listing {
        path: "/v1/reviews/definitions",
        query: Vec::new(),
        header: &["name", "every", "next", "reviews", "id"],
        empty: "No reviews are defined yet.",
        rest: "`GET /v1/reviews/definitions` has the rest, page by page.",
    };
    definitions.show(client, out, row)?;
    Ok(Done::Yes)
}

fn show_definition(out: &Output, definition: &Value) -> Outcome {
    if out.json {
        out.value(definition)?;
        return Ok(Done::Yes);
    }
    let ended = definition.get("ended").is_some_and(|ended| !ended.is_null());
    let word = if ended { looking(Look::Quiet, "ended") } else { looking(Look::Good, "defined") };
    out.cells(&[plain(text(definition, "/id")), plain("  "), word])?;
    let every = format!(
        "{} from {} {} {}",
        text(definition, "/recurrence/every"),
        text(definition, "/recurrence/first"),
        text(definition, "/recurrence/at"),
        text(definition, "/recurrence/time_zone")
    );
    let mut rows = vec![("name", plain(text(definition, "/name"))), ("recurs", plain(every))];
    if !ended {
        rows.push(("next", plain(text(definition, "/next"))));
        rows.push(("no answer", plain(text(definition, "/no_answer"))));
        rows.push(("applied", plain(if flag(definition, "/auto_apply") { "automatically" } else { "with `elevon review apply`" })));
    }
    out.fields(&rows)?;
    Ok(Done::Yes)
}
