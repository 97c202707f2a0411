//! Policy text built from requests (CVE-2025-46569): nothing that came with a request becomes Cedar's text. Ids that are written like policies go through
//! a whole story, and stay ids.

use serde_json::{Value, json};

use crate::help::{Api, PROD, call, id, user};

/// Ids that would end a quote, a condition or a policy, if they ever stood in one.
const HOSTILE: [&str; 10] = [
    "\"",
    "\\",
    "\\\"",
    "zoe\" || true || principal == User::\"zoe",
    "\"); permit(principal, action, resource); //",
    "zoe\"} in [Role::\"global-admin\"]",
    "Role::\"global-admin\"",
    "?principal",
    "@id(\"x\") permit(principal,action,resource);",
    "${principal} {{role}} '; DROP TABLE --",
];

fn credential(name: &str) -> String {
    format!("Dev User::\"{}\"", name.replace('\\', "\\\\").replace('"', "\\\""))
}

#[test]
fn an_id_written_like_a_policy_is_an_id() {
    let api = Api::start();
    let policies = api.get("carol", "/v1/policies");
    for (place, name) in HOSTILE.iter().enumerate() {
        let by = |method: &str, path: &str| call(method, path).header("authorization", &credential(name));
        let group = json!({ "type": "Group", "id": name });
        let scope = json!({ "type": "ResourceGroup", "id": name });
        for body in [
            json!({ "uid": group }),
            json!({ "uid": user(name), "attrs": { "name": name, "person": name }, "parents": [group] }),
            json!({ "uid": scope, "parents": [PROD()] }),
        ] {
            let answer = api.send(&call("PUT", "/v1/entities").by("carol").json(&body));
            assert_eq!(answer.status, 201, "{name}: {}", answer.text);
        }
        let question = |action: &str, resource: &Value| {
            let body = json!({
                "subject": { "type": "User", "id": name, "properties": { "x": name } },
                "action": { "name": action, "properties": { "x": name } },
                "resource": resource,
                "context": { "reason": name, "\"] || true": name },
            });
            let gateway = call("POST", "/access/v1/evaluation").header("authorization", "Dev Service::\"gateway\"");
            api.send(&gateway.json(&body))
        };
        let database = json!({ "type": "Database", "id": "orders" });
        for action in ["write", name] {
            let denied = question(action, &database);
            assert_ne!(denied.json()["decision"], json!(true), "{name} may not {action}: {}", denied.text);
            assert!(denied.status < 500, "{}", denied.text);
        }
        // who may do nothing by name gets nothing by it
        for (method, path, body) in [
            ("POST", "/v1/eligibilities", json!({ "principal": user("alice"), "role": "db-admin", "scope": PROD() })),
            ("PUT", "/v1/entities", json!({ "uid": user("mallory") })),
            ("POST", "/v1/policies/reload", json!({})),
        ] {
            let answer = api.send(&by(method, path).json(&body));
            assert_eq!((answer.status, answer.rule().as_str()), (403, "not_permitted"), "{name}: {path}: {}", answer.text);
        }
        // a role of that name is none
        let ask = json!({ "role": name, "justification": name });
        let answer = api.send(&by("POST", "/v1/activations").json(&ask));
        assert_eq!((answer.status, answer.rule().as_str()), (422, "unknown_role"), "{name}: {}", answer.text);

        // and the story of a right one: granted, asked for, approved, used on its own scope, ended
        let more = json!({ "scope": scope, "justification": name });
        let mut grant = json!({ "principal": user(name), "role": "db-admin" });
        grant.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        api.post("carol", "/v1/eligibilities", &grant, 201);
        let ask = json!({ "role": "db-admin", "scope": scope, "justification": name, "ticket": { "system": name, "number": name } });
        let key = format!("k{place}");
        let asked = api.send(&by("POST", "/v1/activations").header("idempotency-key", &key).json(&ask));
        assert_eq!(asked.status, 201, "{name}: {}", asked.text);
        let asked = asked.json();
        assert_eq!((&asked["principal"], &asked["scope"], &asked["justification"]), (&user(name), &scope, &json!(name)));
        let active = api.bob_approves(&asked, json!({ "justification": name }));
        assert_eq!(active["status"], "active", "{active}");
        let on_scope = question("write", &database);
        assert_ne!(on_scope.json()["decision"], json!(true), "the role is on {name} and not on prod: {}", on_scope.text);
        let ended = by("POST", &format!("/v1/activations/{}/deactivate", id(&asked)));
        let ended = api.send(&ended.json(&json!({ "reason": name })));
        assert_eq!((ended.status, ended.json()["status"].clone()), (200, json!("deactivated")), "{}", ended.text);
    }
    let after = api.get("carol", "/v1/policies");
    assert_eq!((&after["revision"], &after["files"]), (&policies["revision"], &policies["files"]));
    // all of it is in the journal, reads back, and the same server comes up on it
    let before = api.seq();
    let again = api.again();
    assert!(again.seq() >= before);
    let shown = again.get("carol", "/v1/eligibilities?include_ended=true");
    assert_eq!(shown["items"].as_array().unwrap().len(), HOSTILE.len());
}
