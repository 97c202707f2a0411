//! Wrong input at every endpoint: the right status, a stable type, and no change.

use serde_json::{Value, json};

use crate::help::{Api, PROD, call, user};

/// Method, path, content type, body, status, rule, member or parameter that is named.
type Row = (&'static str, &'static str, &'static str, String, u16, &'static str, &'static str);

const JSON: &str = "application/json";

fn rows() -> Vec<Row> {
    let activation = |more: Value| {
        let mut body = json!({ "role": "db-admin", "scope": PROD(), "justification": "x" });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body.to_string()
    };
    let ask = "/v1/activations";
    let vote = "/v1/activations/act_none/approve";
    let grant = json!({ "principal": user("alice"), "role": "reader" });
    let entity = json!({ "uid": user("new") });
    let with = |base: &Value, name: &str, value: Value| {
        let mut body = base.clone();
        body[name] = value;
        body.to_string()
    };
    let deep = format!("{{\"role\": {}1{}}}", "[".repeat(40), "]".repeat(40));
    let long = format!("{{\"role\": \"{}\"}}", "x".repeat(300 * 1024));
    vec![
        ("POST", ask, JSON, String::new(), 400, "malformed", ""),
        ("POST", ask, JSON, "[]".into(), 400, "malformed", ""),
        ("POST", ask, JSON, "{".into(), 400, "malformed", ""),
        ("POST", ask, JSON, r#"{"role": "a", "role": "b"}"#.into(), 400, "malformed", ""),
        ("POST", ask, JSON, deep, 400, "malformed", ""),
        ("POST", ask, JSON, long, 413, "too_large", ""),
        ("POST", ask, "text/plain", activation(json!({})), 415, "not_json", ""),
        ("POST", ask, "", activation(json!({})), 415, "not_json", ""),
        ("POST", ask, JSON, "{}".into(), 400, "missing_member", "role"),
        ("POST", ask, JSON, activation(json!({ "role": 7 })), 400, "malformed_member", "role"),
        ("POST", ask, JSON, activation(json!({ "role": "" })), 400, "malformed_member", "role"),
        ("POST", ask, JSON, activation(json!({ "scope": "prod" })), 400, "malformed_member", "scope"),
        ("POST", ask, JSON, activation(json!({ "scope": ["Environment", "prod"] })), 400, "malformed_member", "scope"),
        (
            "POST",
            ask,
            JSON,
            activation(json!({ "scope": { "type": "Environment", "id": "prod", "x": 1 } })),
            400,
            "malformed_member",
            "scope",
        ),
        ("POST", ask, JSON, activation(json!({ "duration": "1h" })), 400, "malformed_member", "duration"),
        ("POST", ask, JSON, activation(json!({ "duration": "P1M" })), 400, "malformed_member", "duration"),
        ("POST", ask, JSON, activation(json!({ "justification": 1 })), 400, "malformed_member", "justification"),
        ("POST", ask, JSON, activation(json!({ "justification": "x".repeat(5000) })), 400, "malformed_member", "justification"),
        ("POST", ask, JSON, activation(json!({ "justification": "\u{1b}[2J" })), 400, "malformed_member", "justification"),
        ("POST", ask, JSON, activation(json!({ "ticket": { "system": "jira" } })), 400, "missing_member", "ticket.number"),
        ("POST", ask, JSON, activation(json!({ "ticket": "OPS-1" })), 400, "malformed_member", "ticket"),
        ("POST", ask, JSON, activation(json!({ "start": "tomorrow" })), 400, "malformed_member", "start"),
        ("POST", ask, JSON, activation(json!({ "start": "2100-01-01T00:00:00Z" })), 422, "start_too_far", ""),
        ("POST", ask, JSON, activation(json!({ "end": "2000-01-01T00:00:00Z" })), 422, "window_empty", ""),
        ("POST", ask, JSON, activation(json!({ "end": 7 })), 400, "malformed_member", "end"),
        (
            "POST",
            ask,
            JSON,
            activation(json!({ "end": "2030-01-01T00:00:00Z", "duration": "PT1H" })),
            400,
            "conflicting_members",
            "duration end",
        ),
        (
            "POST",
            ask,
            JSON,
            activation(json!({ "emergency": true, "start": "2030-01-01T00:00:00Z" })),
            400,
            "conflicting_members",
            "emergency start",
        ),
        ("POST", ask, JSON, activation(json!({ "emergency": true })), 422, "no_emergency", ""),
        ("POST", ask, JSON, activation(json!({ "emergency": true, "principal": user("alice") })), 403, "emergency_for_others", ""),
        ("POST", ask, JSON, activation(json!({ "emergency": "yes" })), 400, "malformed_member", "emergency"),
        ("POST", ask, JSON, activation(json!({ "dry_run": "yes" })), 400, "malformed_member", "dry_run"),
        ("POST", ask, JSON, activation(json!({ "duration": "PT0S" })), 422, "duration_zero", ""),
        ("POST", "/v1/activations/bulk", JSON, "{}".into(), 400, "missing_member", "items"),
        ("POST", "/v1/activations/bulk", JSON, r#"{"items": []}"#.into(), 400, "malformed_member", "items"),
        ("POST", "/v1/activations/bulk", JSON, json!({ "items": vec![0; 101] }).to_string(), 400, "malformed_member", "items"),
        ("POST", "/v1/activations/bulk", JSON, r#"{"items": {}}"#.into(), 400, "malformed_member", "items"),
        ("POST", "/v1/activations/bulk", JSON, r#"{"items": [1], "role": "x"}"#.into(), 400, "unknown_member", "role"),
        ("POST", "/v1/activations/revoke", JSON, "{}".into(), 400, "missing_member", "principal"),
        (
            "POST",
            "/v1/activations/revoke",
            JSON,
            json!({ "principal": user("alice"), "role": "reader" }).to_string(),
            400,
            "conflicting_members",
            "principal role",
        ),
        ("POST", "/v1/activations/revoke", JSON, r#"{"principal": "alice"}"#.into(), 400, "malformed_member", "principal"),
        ("POST", "/v1/activations/revoke", JSON, r#"{"role": "none"}"#.into(), 422, "unknown_role", ""),
        ("POST", "/v1/activations/revoke", JSON, json!({ "principal": user("none") }).to_string(), 404, "not_found", ""),
        ("POST", "/v1/activations/revoke", JSON, json!({ "principal": PROD() }).to_string(), 422, "not_a_holder", ""),
        ("GET", "/v1/activations/revoke", "", String::new(), 405, "method_not_allowed", ""),
        ("POST", ask, JSON, activation(json!({ "reason": "x" })), 400, "unknown_member", "reason"),
        ("POST", ask, JSON, activation(json!({ "role": "db-amdin" })), 422, "unknown_role", ""),
        ("POST", vote, JSON, "{}".into(), 400, "missing_member", "request_hash"),
        ("POST", vote, JSON, r#"{"request_hash": "abc"}"#.into(), 400, "malformed_member", "request_hash"),
        ("POST", vote, JSON, format!("{{\"request_hash\": \"{}\", \"reason\": \"x\"}}", "0".repeat(64)), 400, "unknown_member", "reason"),
        ("POST", vote, JSON, format!("{{\"request_hash\": \"{}\"}}", "0".repeat(64)), 404, "not_found", ""),
        ("POST", "/v1/activations/act_none/deny", JSON, "{}".into(), 400, "missing_member", "request_hash"),
        ("POST", "/v1/activations/act_none/cancel", JSON, r#"{"why": 1}"#.into(), 400, "unknown_member", "why"),
        ("POST", "/v1/activations/act_none/cancel", JSON, String::new(), 404, "not_found", ""),
        ("POST", "/v1/activations/act_none/deactivate", JSON, r#"{"reason": "x"}"#.into(), 404, "not_found", ""),
        ("POST", "/v1/activations/act_none/revoke", JSON, r#"{"reason": []}"#.into(), 400, "malformed_member", "reason"),
        ("POST", "/v1/activations/act_none/extend", JSON, "{}".into(), 404, "not_found", ""),
        ("POST", "/v1/activations/act_none/extend", JSON, r#"{"end": "2030-01-01T00:00:00Z"}"#.into(), 400, "unknown_member", "end"),
        ("POST", "/v1/activations/act_none/extend", JSON, r#"{"duration": 5}"#.into(), 400, "malformed_member", "duration"),
        ("POST", vote, JSON, format!("{{\"request_hash\": \"{}\", \"scope\": \"x\"}}", "0".repeat(64)), 400, "malformed_member", "scope"),
        (
            "POST",
            "/v1/activations/act_none/deny",
            JSON,
            format!("{{\"request_hash\": \"{}\", \"duration\": \"PT1H\"}}", "0".repeat(64)),
            400,
            "unknown_member",
            "duration",
        ),
        ("GET", "/v1/activations/act_none", "", String::new(), 404, "not_found", ""),
        ("GET", "/v1/activations/%ff", "", String::new(), 400, "bad_parameter", ""),
        ("GET", "/v1/activations/a%00b", "", String::new(), 400, "bad_parameter", "id"),
        ("GET", "/v1/activations?status=open", "", String::new(), 400, "bad_parameter", "status"),
        ("GET", "/v1/activations?limit=0", "", String::new(), 400, "bad_parameter", "limit"),
        ("GET", "/v1/activations?limit=1001", "", String::new(), 400, "bad_parameter", "limit"),
        ("GET", "/v1/activations?limit=5&limit=6", "", String::new(), 400, "bad_parameter", "limit"),
        ("GET", "/v1/activations?who=alice", "", String::new(), 400, "bad_parameter", "who"),
        ("GET", "/v1/activations?principal_id=alice", "", String::new(), 400, "bad_parameter", "principal_type"),
        ("GET", "/v1/activations?from=yesterday", "", String::new(), 400, "bad_parameter", "from"),
        ("GET", "/v1/activations?cursor=%00", "", String::new(), 400, "bad_parameter", "cursor"),
        ("GET", "/v1/approvals?status=x", "", String::new(), 400, "bad_parameter", "status"),
        ("GET", "/v1/me?x=1", "", String::new(), 400, "bad_parameter", "x"),
        ("GET", "/v1/roles/none", "", String::new(), 404, "not_found", ""),
        ("POST", "/v1/eligibilities", JSON, "{}".into(), 400, "missing_member", "principal"),
        ("POST", "/v1/eligibilities", JSON, with(&grant, "end", json!("soon")), 400, "malformed_member", "end"),
        ("POST", "/v1/eligibilities", JSON, with(&grant, "dry_run", json!(1)), 400, "malformed_member", "dry_run"),
        ("POST", "/v1/eligibilities", JSON, with(&grant, "duration", json!("P1D")), 400, "unknown_member", "duration"),
        ("POST", "/v1/eligibilities", JSON, with(&grant, "end", json!("2000-01-01T00:00:00Z")), 422, "window_empty", ""),
        ("POST", "/v1/eligibilities", JSON, with(&grant, "role", json!("none")), 422, "unknown_role", ""),
        ("GET", "/v1/eligibilities/elg_none", "", String::new(), 404, "not_found", ""),
        ("GET", "/v1/eligibilities?include_ended=yes", "", String::new(), 400, "bad_parameter", "include_ended"),
        ("DELETE", "/v1/eligibilities/elg_none", "", String::new(), 404, "not_found", ""),
        ("DELETE", "/v1/eligibilities/elg_none?dry_run=yes", "", String::new(), 400, "bad_parameter", "dry_run"),
        ("POST", "/v1/eligibilities/elg_none/extend", JSON, "{}".into(), 400, "missing_member", "end"),
        ("POST", "/v1/eligibilities/elg_none/extend", JSON, r#"{"duration": "P1D"}"#.into(), 404, "not_found", ""),
        (
            "POST",
            "/v1/eligibilities/elg_none/renew",
            JSON,
            r#"{"duration": "P1D", "end": "2100-01-01T00:00:00Z"}"#.into(),
            400,
            "conflicting_members",
            "duration end",
        ),
        ("POST", "/v1/assignments/asg_none/renew", JSON, r#"{"end": "soon"}"#.into(), 400, "malformed_member", "end"),
        ("POST", "/v1/assignments/asg_none/extend", JSON, r#"{"end": "2100-01-01T00:00:00Z"}"#.into(), 404, "not_found", ""),
        ("GET", "/v1/grant-requests?status=open", "", String::new(), 400, "bad_parameter", "status"),
        ("GET", "/v1/grant-requests?cursor=x", "", String::new(), 400, "bad_parameter", "cursor"),
        ("GET", "/v1/grant-requests/grq_none", "", String::new(), 404, "not_found", ""),
        ("POST", "/v1/grant-requests/grq_none/approve", JSON, r#"{"end": 1}"#.into(), 400, "malformed_member", "end"),
        ("POST", "/v1/grant-requests/grq_none/approve", JSON, String::new(), 404, "not_found", ""),
        ("POST", "/v1/grant-requests/grq_none/deny", JSON, r#"{"why": "x"}"#.into(), 400, "unknown_member", "why"),
        ("POST", "/v1/grant-requests/grq_none/cancel", JSON, String::new(), 404, "not_found", ""),
        ("PUT", "/v1/entities", JSON, with(&entity, "source", json!("bundle")), 400, "malformed_member", "source"),
        ("GET", "/v1/events?after=x", "", String::new(), 400, "bad_parameter", "after"),
        ("GET", "/v1/events?after=1000000", "", String::new(), 400, "bad_parameter", "after"),
        ("GET", "/v1/events?since=1", "", String::new(), 400, "bad_parameter", "since"),
        ("POST", "/v1/assignments", JSON, with(&grant, "role", json!("auditor")), 422, "permanent_not_allowed", ""),
        ("GET", "/v1/assignments/asg_none", "", String::new(), 404, "not_found", ""),
        ("DELETE", "/v1/assignments/asg_none", JSON, r#"{"reason": 1}"#.into(), 400, "malformed_member", "reason"),
        ("GET", "/v1/entities?id=alice", "", String::new(), 400, "bad_parameter", "type"),
        ("GET", "/v1/entities?type=User&id=nobody", "", String::new(), 404, "not_found", ""),
        ("GET", "/v1/entities?type=U%20ser", "", String::new(), 400, "bad_parameter", "type"),
        ("POST", "/v1/activations?dry_run=true", JSON, r#"{"role": "db-admin"}"#.into(), 400, "bad_parameter", "dry_run"),
        ("POST", "/v1/activations/x/cancel?reason=y", "", String::new(), 400, "bad_parameter", "reason"),
        ("PUT", "/v1/entities", JSON, "{}".into(), 400, "missing_member", "uid"),
        ("PUT", "/v1/entities", JSON, with(&entity, "tags", json!({})), 400, "not_available_yet", "tags"),
        ("PUT", "/v1/entities", JSON, with(&entity, "parents", json!("x")), 400, "malformed_member", "parents"),
        ("PUT", "/v1/entities", JSON, r#"{"uid": {"type": "User", "id": "new"}, "attrs": {"a": 1, "a": 2}}"#.into(), 400, "malformed", ""),
        ("PUT", "/v1/entities", JSON, with(&entity, "attrs", json!({ "unheard_of": 1 })), 422, "entity_invalid", ""),
        ("PUT", "/v1/entities", JSON, with(&entity, "parents", json!([{ "type": "Role", "id": "db-admin" }])), 422, "role_as_parent", ""),
        ("PUT", "/v1/entities", JSON, with(&entity, "parents", json!([{ "type": "Group", "id": "none" }])), 422, "unknown_parent", ""),
        ("PUT", "/v1/entities", JSON, json!({ "uid": user("alice") }).to_string(), 409, "owned_by_bundle", ""),
        ("PUT", "/v1/entities", JSON, json!({ "uid": user("ALICE") }).to_string(), 409, "fold_exists", ""),
        ("DELETE", "/v1/entities", "", String::new(), 400, "bad_parameter", "type"),
        ("DELETE", "/v1/entities?type=User&id=nobody", "", String::new(), 404, "not_found", ""),
        ("DELETE", "/v1/entities?type=User&id=alice", "", String::new(), 409, "owned_by_bundle", ""),
        ("POST", "/v1/entities/disable", JSON, r#"{"type": "User"}"#.into(), 400, "missing_member", "id"),
        ("POST", "/v1/entities/enable", JSON, r#"{"type": "U ser", "id": "x"}"#.into(), 400, "malformed_member", "id"),
        ("POST", "/v1/policies/reload", JSON, r#"{"dry_run": true}"#.into(), 400, "not_available_yet", "dry_run"),
        ("POST", "/v1/policies/validate", JSON, "{}".into(), 400, "missing_member", "files"),
        ("POST", "/v1/policies/validate", JSON, r#"{"files": {"a": 1}}"#.into(), 400, "malformed_member", "files"),
        ("GET", "/v1/policies?x", "", String::new(), 400, "bad_parameter", "x"),
        ("POST", "/v1/explain", JSON, "[]".into(), 400, "malformed", ""),
        ("GET", "/v1/audit/events?kind=a&kind=b", "", String::new(), 400, "bad_parameter", "kind"),
        ("GET", "/v1/audit/events?order=newest", "", String::new(), 400, "bad_parameter", "order"),
        ("GET", "/v1/audit/tip?limit=1", "", String::new(), 400, "bad_parameter", "limit"),
        ("GET", "/v1/notifications/dead-letters?destination=Ops%20Room", "", String::new(), 400, "bad_parameter", "destination"),
        ("GET", "/v1/audit/events?cursor=x", "", String::new(), 400, "bad_parameter", "cursor"),
        ("GET", "/v1/elevated", "", String::new(), 400, "bad_parameter", "principal_type"),
        ("GET", "/v1/elevated?principal_type=User&principal_id=alice", "", String::new(), 400, "bad_parameter", "role"),
        ("GET", "/v1/elevated?principal_type=User&principal_id=alice&role=none", "", String::new(), 422, "unknown_role", ""),
        ("GET", "/v1/nothing", "", String::new(), 404, "no_such_endpoint", ""),
        ("GET", "/", "", String::new(), 404, "no_such_endpoint", ""),
        ("PATCH", "/v1/activations", JSON, "{}".into(), 405, "method_not_allowed", ""),
        ("GET", "/access/v1/evaluation", "", String::new(), 405, "method_not_allowed", ""),
    ]
}

#[test]
fn wrong_input_is_named_and_changes_nothing() {
    let api = Api::start();
    let revision = api.get("carol", "/v1/policies")["revision"].clone();
    for (method, path, kind, body, status, rule, names) in rows() {
        let before = api.seq();
        let mut asked = call(method, path).by("carol");
        if !kind.is_empty() {
            asked = asked.header("content-type", kind);
        }
        if !body.is_empty() {
            asked = asked.raw(body.as_bytes());
        }
        let answer = api.send(&asked);
        let row = format!("{method} {path} {}: {}", body.chars().take(120).collect::<String>(), answer.text);
        assert_eq!((answer.status, answer.rule().as_str()), (status, rule), "{row}");
        assert_eq!(answer.header("content-type"), "application/problem+json", "{row}");
        let told = answer.json();
        for member in ["title", "detail", "seq", "request_id", "rule"] {
            assert!(!told[member].is_null(), "{member} is missing: {row}");
        }
        assert_eq!(told["status"], json!(status), "{row}");
        if !names.is_empty() {
            let several = told["members"].as_array().map(|names| names.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" "));
            let named = told.get("member").or_else(|| told.get("parameter")).and_then(Value::as_str).map(str::to_owned);
            assert_eq!(named.or(several).as_deref(), Some(names), "{row}");
        }
        // A refusal by a rule of the domain is itself recorded; what the edge refuses is not. That there are so many may raise an alert.
        let records = api.get("carol", &format!("/v1/audit/events?cursor={before}&limit=1000"))["items"].clone();
        let is_alert = |record: &&Value| record["record"]["events"][0]["kind"] == "alert";
        let after = before + records.as_array().unwrap().iter().filter(|record| !is_alert(record)).count() as u64;
        let recorded =
            if status >= 403 && !["too_large", "not_json", "no_such_endpoint", "method_not_allowed"].contains(&rule) { 1 } else { 0 };
        assert!(after <= before + recorded, "{row}: {before} -> {after}");
    }
    assert_eq!(api.get("carol", "/v1/activations")["items"], json!([]));
    assert_eq!(api.get("carol", "/v1/eligibilities")["items"], json!([]));
    assert_eq!(api.get("carol", "/v1/policies")["revision"], revision);
}

#[test]
fn a_wrong_method_is_told_the_right_ones() {
    let api = Api::start();
    let answer = api.send(&call("DELETE", "/v1/me").by("alice"));
    assert_eq!((answer.status, answer.header("allow")), (405, "GET, HEAD"));
    let head = api.send(&call("HEAD", "/healthz"));
    assert_eq!((head.status, head.text.as_str()), (200, ""));
}

#[test]
fn hosts_that_are_not_loopback_are_refused() {
    let api = Api::start();
    let rows = [("evil.example", 421), ("localhost", 200), ("127.0.0.1:1", 200), ("[::1]:80", 200), ("localhost.evil.example", 421)];
    for (host, status) in rows {
        for path in ["/healthz", "/.well-known/authzen-configuration"] {
            let answer = api.send(&call("GET", path).header("host", host));
            assert_eq!(answer.status, status, "{host} {path}");
        }
    }
}

#[test]
fn whatever_is_no_endpoint_or_no_method_is_a_problem_document() {
    let api = Api::start();
    let rows = [
        ("TRACE", "/v1/me", 405, "method_not_allowed"),
        ("OPTIONS", "/v1/me", 405, "method_not_allowed"),
        ("FOO", "/healthz", 405, "method_not_allowed"),
        ("POST", "/readyz", 405, "method_not_allowed"),
        ("DELETE", "/metrics", 405, "method_not_allowed"),
        ("POST", "/openapi.json", 405, "method_not_allowed"),
        ("POST", "/v1/events", 405, "method_not_allowed"),
        ("PUT", "/access/v1/evaluation", 405, "method_not_allowed"),
        ("GET", "/v1/me/", 404, "no_such_endpoint"),
        ("GET", "//v1/me", 404, "no_such_endpoint"),
        ("GET", "/%00", 404, "no_such_endpoint"),
        ("GET", "/v1/roles/%ff", 400, "bad_parameter"),
        ("GET", "/v1/roles/a%2fb", 404, "not_found"),
    ];
    for (method, path, status, rule) in rows {
        // `send` holds that a problem has its members, and a row in docs/problems.md
        let answer = api.send(&call(method, path).by("carol"));
        assert_eq!((answer.status, answer.rule().as_str()), (status, rule), "{method} {path}: {}", answer.text);
        assert_eq!(answer.header("content-type"), "application/problem+json", "{method} {path}");
    }
}

#[cfg(feature = "test-clock")]
#[test]
fn a_server_that_is_not_ready_says_so_as_a_problem_with_what_it_lacks() {
    let api = Api::start();
    let before = api.now();
    api.later(elevon::domain::Duration::from_hours(1));
    api.alice_is_eligible();
    api.running().clock().unwrap().set(before);
    let answer = api.send(&call("GET", "/readyz"));
    let told = answer.json();
    assert_eq!((answer.status, answer.rule().as_str()), (503, "not_ready"), "{}", answer.text);
    assert_eq!((&told["ready"], &told["journal"], &told["time_trusted"]), (&json!(false), &json!(true), &json!(false)), "{told}");
}
