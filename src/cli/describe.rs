//! How a request or an activation reads: in full, in a line, and in a word or two.

use serde_json::Value;

use super::client::Failure;
use super::output::{Cell, Look, Output, looking, plain};
use super::reply::{at, entity, instant, list, now, scope, status, text};
use super::words::{ago, left, until};
use super::{Done, Outcome};
use crate::domain::time::Timestamp;

/// Prints one in full, and what can be done about it.
pub(super) fn show(out: &Output, activation: &Value) -> Outcome {
    if out.json {
        out.value(activation)?;
        return Ok(Done::Yes);
    }
    in_full(out, activation)?;
    if flag(activation, "/dry_run") {
        out.remark("This is what would happen; nothing was changed.")?;
        return Ok(Done::Yes);
    }
    let id = text(activation, "/id");
    match text(activation, "/status").as_str() {
        "pending" => out.remark(&format!("It waits for approval. `elevon status` shows its progress; `elevon cancel {id}` cancels it."))?,
        "scheduled" => out.remark(&format!("It starts by itself. `elevon cancel {id}` cancels it."))?,
        "active" => out.remark(&format!("`elevon deactivate {id}` ends it early."))?,
        _ => {}
    }
    Ok(Done::Yes)
}

/// Everything that there is to say of one.
pub(super) fn in_full(out: &Output, activation: &Value) -> Result<(), Failure> {
    let now = now(activation);
    let id = text(activation, "/id");
    let mut first = if id.is_empty() { Vec::new() } else { vec![plain(id), plain("  ")] };
    first.push(status(activation));
    first.extend(marks(activation));
    out.cells(&first)?;
    let mut rows: Vec<(&str, Cell)> =
        vec![("role", plain(text(activation, "/role"))), ("scope", scope(activation)), ("who", plain(entity(activation, "/principal")))];
    let requester = entity(activation, "/requester");
    if !requester.is_empty() && requester != entity(activation, "/principal") {
        rows.push(("asked by", plain(requester)));
    }
    rows.extend(times(activation, now));
    for (name, pointer) in [("extends", "/extends"), ("why", "/justification"), ("ticket", "/ticket/number")] {
        let text = text(activation, pointer);
        if !text.is_empty() {
            rows.push((name, plain(text)));
        }
    }
    if let Some(asked) = at(activation, "/requested") {
        rows.push(("narrowed", plain(format!("requested for {} on {}", text(asked, "/duration"), scope(asked).text()))));
    }
    if let Some(by) = instant(activation, "/review_by") {
        rows.push(("review", looking(Look::Waiting, format!("due by {by}"))));
    }
    rows.extend(votes(activation));
    rows.extend(ending(activation));
    out.fields(&rows)?;
    Ok(())
}

fn times(activation: &Value, now: Timestamp) -> Vec<(&'static str, Cell)> {
    let mut rows = Vec::new();
    let start = instant(activation, "/start");
    if let Some(start) = start.filter(|start| *start > now) {
        rows.push(("starts", plain(format!("{start}, {}", until(start, now)))));
    }
    if let Some(end) = instant(activation, "/end") {
        let word = if text(activation, "/status") == "active" { format!("{end}, {}", left(Some(end), now)) } else { end.to_string() };
        rows.push(("until", plain(word)));
    } else if !text(activation, "/duration").is_empty() {
        rows.push(("for", plain(text(activation, "/duration"))));
    }
    if let Some(asked) = instant(activation, "/requested_at").filter(|_| !flag(activation, "/dry_run")) {
        rows.push(("asked", plain(ago(asked, now))));
    }
    if let Some(times) = at(activation, "/extensions").and_then(Value::as_u64).filter(|times| *times > 0) {
        rows.push(("extended", plain(if times == 1 { "once".to_owned() } else { format!("{times} times") })));
    }
    rows
}

fn votes(activation: &Value) -> Vec<(&'static str, Cell)> {
    let mut rows = Vec::new();
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
    rows
}

fn ending(activation: &Value) -> Vec<(&'static str, Cell)> {
    let mut rows = Vec::new();
    let cause = text(activation, "/ended/cause/kind");
    let reason = text(activation, "/ended/reason");
    let by = entity(activation, "/ended/by");
    if !by.is_empty() {
        rows.push(("ended by", plain(by)));
    }
    if !cause.is_empty() {
        rows.push(("cause", plain(cause.replace('_', " "))));
    }
    if !reason.is_empty() {
        rows.push(("because", plain(reason)));
    }
    rows
}

/// What is special about one.
pub(super) fn marks(activation: &Value) -> Vec<Cell> {
    let mut marks = Vec::new();
    if flag(activation, "/emergency") {
        marks.extend([plain("  "), looking(Look::Bad, "emergency")]);
    }
    if flag(activation, "/dry_run") {
        marks.extend([plain("  "), looking(Look::Quiet, "dry run")]);
    }
    marks
}

/// One in a line, among others.
pub(super) fn one_line(out: &Output, activation: &Value) -> Result<(), Failure> {
    let mut cells = Vec::new();
    let id = text(activation, "/id");
    if !id.is_empty() {
        cells.extend([plain(id), plain("  ")]);
    }
    cells.push(status(activation));
    cells.extend(marks(activation));
    cells.push(plain(format!("  {} on {}", text(activation, "/role"), scope(activation).text())));
    if let (Some(end), "active") = (instant(activation, "/end"), text(activation, "/status").as_str()) {
        cells.push(looking(Look::Quiet, format!("  {}", left(Some(end), now(activation)))));
    }
    out.cells(&cells)?;
    Ok(())
}

/// One that was refused, in a line among others.
pub(super) fn refused_line(out: &Output, what: &str, code: u16, problem: &Value) -> Result<(), Failure> {
    let detail = if problem.is_string() { text(problem, "") } else { text(problem, "/detail") };
    let rule = text(problem, "/rule");
    let rule = if rule.is_empty() { rule } else { format!(", {rule}") };
    out.cells(&[looking(Look::Bad, "refused"), plain(format!("  {what}: {detail} ({code}{rule})"))])?;
    Ok(())
}

/// `stage 1 of 2, 0 of 1 approved`.
pub(super) fn progress(one: &Value) -> String {
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

/// A member that says yes or no; absent is no.
pub(super) fn flag(value: &Value, pointer: &str) -> bool {
    at(value, pointer).and_then(Value::as_bool) == Some(true)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_special_is_marked() {
        let rows = [
            (json!({"emergency": true}), vec!["  ", "emergency"]),
            (json!({"emergency": false}), vec![]),
            (json!({"emergency": true, "dry_run": true}), vec!["  ", "emergency", "  ", "dry run"]),
            (json!({}), vec![]),
        ];
        for (activation, expected) in rows {
            let shown: Vec<String> = marks(&activation).iter().map(|cell| cell.text().to_owned()).collect();
            assert_eq!(shown, expected, "{activation}");
        }
    }

    #[test]
    fn stages_are_counted_as_people_do() {
        let stage = |quorum: u64, votes: usize| json!({"quorum": quorum, "votes": vec![json!({}); votes]});
        let rows = [
            (json!({"approval": {"stages": [stage(2, 1)], "stage": 1}}), "1 of 2 approved"),
            (json!({"approval": {"stages": [stage(1, 1), stage(1, 0)], "stage": 2}}), "stage 2 of 2, 0 of 1 approved"),
            (json!({"approval": null}), ""),
        ];
        for (request, expected) in rows {
            assert_eq!(progress(&request), expected, "{request}");
        }
    }
}
