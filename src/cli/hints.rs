//! What to do about a refusal on the command line. What a server says of one is meant for everybody who calls it: it names members and
//! paths of the API, and these are the options and commands that are the same.

use serde_json::Value;

use super::reply::{entity, list, text};

/// What to type, in whole sentences; nothing, where what the server said is enough.
pub(super) fn of(status: u16, problem: &Value) -> Option<String> {
    let hint = match (status, text(problem, "/rule").as_str()) {
        (401, _) => "Set ELEVON_TOKEN to a token. For a server started with --dev: export ELEVON_TOKEN='Dev User::\"alice\"'".to_owned(),
        (_, "requirements_missing") => return missing(problem),
        (_, "unknown_role") => "`elevon roles` lists the roles.".to_owned(),
        (_, "unknown_principal") => "`elevon entity put` stores a principal.".to_owned(),
        (_, "unknown_scope" | "unknown_parent") => "`elevon entity put` stores it.".to_owned(),
        (_, "principal_disabled") => {
            format!("An administrator enables it with `elevon entity enable '{}'`.", entity(problem, "/principal"))
        }
        (_, "scope_required") => "Name the scope with --scope.".to_owned(),
        (_, "permanent_not_allowed") => "Give an end with --for or --until.".to_owned(),
        (_, "already_active") => {
            format!("`elevon extend {id}` asks for more time; `elevon deactivate {id}` ends it.", id = text(problem, "/id"))
        }
        (_, "extension_waits" | "grant_request_waits") => match text(problem, "/pending") {
            id if id.starts_with("grq_") => format!("`elevon grant-requests cancel {id}` cancels it."),
            id => format!("`elevon cancel {id}` cancels it."),
        },
        (_, "not_the_holder") => format!("`elevon revoke {}` ends it.", text(problem, "/id")),
        (_, "request_changed") => "Look at it again with `elevon approvals`.".to_owned(),
        (_, "time_untrusted" | "not_ready" | "journal_failed") => "`GET /readyz` and the server's log say more.".to_owned(),
        _ => return None,
    };
    Some(hint)
}

/// The options by which to bring what a role requires.
fn missing(problem: &Value) -> Option<String> {
    let option = |one: &Value| match text(one, "/requirement").as_str() {
        "justification" => Some("--reason TEXT"),
        "ticket" => Some("--ticket SYSTEM:ID"),
        _ => None,
    };
    let options: Vec<&str> = list(problem, "/missing").iter().filter_map(option).collect();
    if options.is_empty() { None } else { Some(format!("Add {}.", options.join(" and "))) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_refusal_says_what_to_type() {
        let lacks = |these: &[&str]| {
            let missing: Vec<Value> = these.iter().map(|one| json!({ "requirement": one, "hint": "x" })).collect();
            json!({ "rule": "requirements_missing", "missing": missing })
        };
        let rows = [
            (401, json!({}), Some("ELEVON_TOKEN")),
            (422, lacks(&["justification"]), Some("Add --reason TEXT.")),
            (422, lacks(&["justification", "ticket", "mfa"]), Some("Add --reason TEXT and --ticket SYSTEM:ID.")),
            (422, lacks(&["mfa"]), None),
            (422, json!({ "rule": "unknown_role" }), Some("elevon roles")),
            (409, json!({ "rule": "already_active", "id": "act_1" }), Some("elevon extend act_1")),
            (409, json!({ "rule": "grant_request_waits", "pending": "grq_1" }), Some("elevon grant-requests cancel grq_1")),
            (409, json!({ "rule": "extension_waits", "pending": "act_2" }), Some("elevon cancel act_2")),
            (403, json!({ "rule": "principal_disabled", "principal": { "type": "User", "id": "a" } }), Some("enable 'User::\"a\"'")),
            (503, json!({ "rule": "not_ready" }), Some("/readyz")),
            (503, json!({ "rule": "busy" }), None),
            (503, json!({ "rule": "seq_not_reached" }), None),
            (500, json!("a text"), None),
        ];
        for (status, problem, expected) in rows {
            match (of(status, &problem), expected) {
                (Some(said), Some(expected)) => assert!(said.contains(expected), "{problem}: {said}"),
                (said, expected) => assert_eq!(said.as_deref(), expected, "{problem}"),
            }
        }
    }
}
