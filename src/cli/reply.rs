//! Reads replies. A member that is missing or of another shape reads as absent: an older or newer server costs a column, not the command.

use serde_json::Value;

use super::output::{Cell, Look, looking, plain};
use crate::domain::id::Uid;
use crate::domain::time::Timestamp;

/// A member of an object, at any depth: `at(reply, "/approval/stages")`.
pub(super) fn at<'a>(value: &'a Value, pointer: &str) -> Option<&'a Value> {
    value.pointer(pointer).filter(|found| !found.is_null())
}

/// A text member; empty where it is absent.
pub(super) fn text(value: &Value, pointer: &str) -> String {
    match at(value, pointer) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Number(number)) => number.to_string(),
        Some(Value::Bool(yes)) => yes.to_string(),
        _ => String::new(),
    }
}

/// A list member; empty where it is absent.
pub(super) fn list<'a>(value: &'a Value, pointer: &str) -> &'a [Value] {
    at(value, pointer).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

/// An instant.
pub(super) fn instant(value: &Value, pointer: &str) -> Option<Timestamp> {
    at(value, pointer).and_then(Value::as_str).and_then(|text| Timestamp::parse(text).ok())
}

/// An entity in Cedar's spelling; empty where it is absent.
pub(super) fn entity(value: &Value, pointer: &str) -> String {
    let Some(found) = at(value, pointer) else { return String::new() };
    if let Some(text) = found.as_str() {
        return text.to_owned();
    }
    let part = |name: &str| found.get(name).and_then(Value::as_str).unwrap_or_default();
    match Uid::new(part("type"), part("id")) {
        Ok(uid) => uid.to_string(),
        Err(_) => format!("{}::{:?}", part("type"), part("id")),
    }
}

/// A scope: an entity, or everywhere.
pub(super) fn scope(value: &Value) -> Cell {
    match at(value, "/scope") {
        Some(_) => plain(entity(value, "/scope")),
        None => looking(Look::Quiet, "everywhere"),
    }
}

/// A status word in the look it deserves.
pub(super) fn status(value: &Value) -> Cell {
    let word = text(value, "/status");
    let look = match word.as_str() {
        "active" | "approved" => Look::Good,
        "pending" | "scheduled" => Look::Waiting,
        "denied" | "revoked" | "failed" | "timed_out" | "removed" => Look::Bad,
        _ => Look::Quiet,
    };
    looking(look, word.replace('_', " "))
}

/// The server's own time, where it says it; this machine's otherwise.
pub(super) fn now(value: &Value) -> Timestamp {
    instant(value, "/now").unwrap_or_else(|| chrono::Utc::now().into())
}

/// An entity as requests write it.
pub(super) fn wire(uid: &Uid) -> Value {
    serde_json::json!({"type": uid.kind(), "id": uid.id()})
}
