//! The data plane as AuthZEN 1.0 wants it.

use serde_json::{Value, json};

use crate::help::{Api, Call, call, question};

fn gateway(method: &str, path: &str) -> Call {
    call(method, path).header("authorization", "Dev Service::\"gateway\"")
}

const EVALUATION: &str = "/access/v1/evaluation";

#[test]
fn the_form_of_a_request_decides_its_status() {
    let api = Api::start();
    let good = question("alice", "write", ("Database", "orders"));
    let with = |name: &str, value: Value| {
        let mut body = good.clone();
        body[name] = value;
        body.to_string()
    };
    let without = |name: &str| {
        let mut body = good.clone();
        body.as_object_mut().unwrap().remove(name);
        body.to_string()
    };
    let json = "application/json";
    let rows: Vec<(&str, String, u16)> = vec![
        (json, good.to_string(), 200),
        ("application/json; charset=utf-8", good.to_string(), 200),
        (json, with("context", json!({ "now": "2000-01-01T00:00:00Z", "x": 1 })), 200),
        (json, with("options", json!({ "evaluations_semantic": "x" })), 200),
        (json, with("unheard_of", json!([1, { "a": 2 }])), 200),
        (json, with("context", Value::Null), 200),
        ("text/plain", good.to_string(), 400),
        ("", good.to_string(), 400),
        (json, format!("[{good}]"), 400),
        (json, String::new(), 400),
        (json, "nonsense".into(), 400),
        (json, "{}".into(), 400),
        (json, without("subject"), 400),
        (json, without("action"), 400),
        (json, without("resource"), 400),
        (json, without("context"), 200),
        (json, with("subject", json!("alice")), 400),
        (json, with("subject", json!(["User", "alice"])), 400),
        (json, with("subject", json!({ "type": "User" })), 400),
        (json, with("subject", json!({ "id": "alice" })), 400),
        (json, with("subject", json!({ "type": "User", "id": 1 })), 400),
        (json, with("subject", json!({ "type": "User", "id": "alice", "properties": [] })), 400),
        (json, with("action", json!("write")), 400),
        (json, with("action", json!({ "name": 1 })), 400),
        (json, with("action", json!({})), 400),
        (json, with("resource", json!({ "type": "Database" })), 400),
        (json, with("context", json!([])), 400),
        (json, with("context", json!("x")), 400),
        (json, with("context", json!({ "pad": "x".repeat(300 * 1024) })), 413),
    ];
    for (kind, body, status) in rows {
        let mut asked = gateway("POST", EVALUATION).header("x-request-id", "row-1");
        if !kind.is_empty() {
            asked = asked.header("content-type", kind);
        }
        let answer = api.send(&asked.raw(body.as_bytes()));
        let row = format!("{kind} {}: {} {}", body.chars().take(120).collect::<String>(), answer.status, answer.text);
        assert_eq!(answer.status, status, "{row}");
        assert_eq!(answer.header("x-request-id"), "row-1", "{row}");
        if status == 200 {
            assert!(answer.json()["decision"].is_boolean(), "{row}");
            assert_eq!(answer.header("content-type"), "application/json", "{row}");
        } else {
            assert_eq!(answer.header("content-type"), "text/plain; charset=utf-8", "{row}");
            assert!(!answer.text.is_empty() && answer.json().is_null(), "{row}");
        }
    }
}

#[test]
fn a_deny_is_an_answer_with_its_reason() {
    let api = Api::start();
    let rows = [
        ("alice", "list", ("Database", "orders-staging"), true, "permitted"),
        ("alice", "write", ("Database", "orders"), false, "no_permit"),
        ("nobody", "list", ("Database", "orders"), false, "unknown_principal"),
        ("alice", "list", ("Database", "none"), false, "unknown_resource"),
        ("alice", "frobnicate", ("Database", "orders"), false, "unknown_action"),
        ("alice", "list", ("User", "bob"), false, "not_applicable"),
    ];
    for (user, action, resource, allowed, reason) in rows {
        assert_eq!(api.decides(user, action, resource), (allowed, reason.to_owned()), "{user} {action} {resource:?}");
    }
    let bodies: Vec<String> =
        (0..3).map(|_| api.send(&gateway("POST", EVALUATION).json(&question("alice", "write", ("Database", "orders")))).text).collect();
    assert!(bodies.iter().all(|body| *body == bodies[0]), "{bodies:?}");
    let body: Value = serde_json::from_str(&bodies[0]).unwrap();
    assert_eq!(body["context"]["revision"].as_str().map(str::len), Some(64));
    assert!(body["context"]["seq"].is_u64() && body["context"].get("policies").is_none());
}

#[test]
fn who_may_ask_is_asked_of_cedar() {
    let api = Api::start();
    let asked = question("alice", "write", ("Database", "orders"));
    let rows = [
        (Some("Dev Service::\"gateway\""), 200),
        (Some("Dev User::\"carol\""), 200),
        (Some("Dev User::\"dave\""), 403),
        (Some("Dev User::\"nobody\""), 403),
        (Some("Dev alice"), 401),
        (Some("Bearer x"), 401),
        (None, 401),
    ];
    for (credential, status) in rows {
        let mut call = call("POST", EVALUATION).json(&asked);
        if let Some(credential) = credential {
            call = call.header("authorization", credential);
        }
        let answer = api.send(&call);
        assert_eq!(answer.status, status, "{credential:?}: {}", answer.text);
        assert_eq!(answer.header("www-authenticate").is_empty(), status != 401, "{credential:?}");
        assert_eq!(answer.header("cache-control"), "no-store");
    }
}

#[test]
fn only_what_is_served_is_advertised() {
    let api = Api::start();
    let answer = api.send(&call("GET", "/.well-known/authzen-configuration"));
    let base = format!("http://127.0.0.1:{}", api.port());
    let body = json!({ "policy_decision_point": base, "access_evaluation_endpoint": format!("{base}{EVALUATION}") });
    assert_eq!((answer.status, answer.json()), (200, body));
    for path in ["/access/v1/evaluations", "/access/v1/search/subject"] {
        assert_eq!(api.send(&gateway("POST", path).json(&json!({}))).status, 404, "{path}");
    }
}
