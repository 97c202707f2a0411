//! `dry_run`: every command says what would become of it, with the status and the body of the real one, and leaves no trace.

use elevon::domain::Duration;
use serde_json::{Value, json};

use crate::help::{Answer, Api, PROD, call, id, user};

/// Takes away what a real answer has and one that is only tried has not: names of what is new, and where the journal stood after it.
fn same(mut body: Value, created: bool) -> Value {
    let members = body.as_object_mut().unwrap();
    for name in ["seq", "dry_run", "request_id"] {
        members.remove(name);
    }
    if created {
        members.remove("id");
        members.remove("request_hash");
    }
    body
}

fn send(api: &Api, who: &str, method: &str, path: &str, body: &Value) -> Answer {
    api.send(&call(method, path).by(who).json(body))
}

/// Tries a command, and then does it: both say the same.
fn tried_and_done(api: &Api, who: &str, method: &str, path: &str, body: Value) -> Value {
    let before = (api.seq(), api.get("carol", "/v1/activations"), api.get("carol", "/v1/eligibilities?include_ended=true"));
    let mut dry = body.clone();
    dry["dry_run"] = json!(true);
    let tried = send(api, who, method, path, &dry);
    let row = format!("{method} {path} {body}: {}", tried.text);
    let now = (api.seq(), api.get("carol", "/v1/activations"), api.get("carol", "/v1/eligibilities?include_ended=true"));
    assert_eq!(before, now, "{row}");
    let done = send(api, who, method, path, &body);
    assert_eq!(tried.status, done.status, "{row} against {}", done.text);
    assert_eq!(tried.header("location"), "", "{row}");
    let (tried, done) = (tried.json(), done.json());
    if tried.get("rule").is_none() {
        assert_eq!(tried["dry_run"], json!(true), "{row}");
    }
    let created = done.get("rule").is_none() && tried.get("id") == Some(&Value::Null);
    assert_eq!(same(tried, created), same(done.clone(), created), "{row}");
    done
}

#[test]
fn what_is_tried_is_answered_as_what_is_done() {
    let api = Api::start();
    let grant = json!({ "principal": user("alice"), "role": "db-admin", "scope": PROD(), "justification": "on call" });
    tried_and_done(&api, "dave", "POST", "/v1/eligibilities", grant.clone());
    let eligibility = tried_and_done(&api, "carol", "POST", "/v1/eligibilities", grant.clone());
    tried_and_done(&api, "carol", "POST", "/v1/eligibilities", grant);
    let end = api.now().plus(Duration::from_days(9));
    let assigned = json!({ "principal": user("dave"), "role": "auditor", "end": end, "justification": "x" });
    let assignment = tried_and_done(&api, "carol", "POST", "/v1/assignments", assigned);

    let ask = json!({ "role": "db-admin", "scope": PROD(), "duration": "PT1H", "justification": "restore",
                      "ticket": { "system": "ops", "number": "OPS-7" } });
    tried_and_done(&api, "frank", "POST", "/v1/activations", ask.clone());
    let asked = tried_and_done(&api, "alice", "POST", "/v1/activations", ask.clone());
    assert_eq!(id(&tried_and_done(&api, "alice", "POST", "/v1/activations", ask)), id(&asked));
    let path = |what: &str| format!("/v1/activations/{}/{what}", id(&asked));
    let vote = json!({ "request_hash": asked["request_hash"], "justification": "go on", "duration": "PT50M" });
    tried_and_done(&api, "alice", "POST", &path("approve"), vote.clone());
    let active = tried_and_done(&api, "bob", "POST", &path("approve"), vote.clone());
    assert_eq!((&active["status"], &active["counts"]), (&json!("active"), &json!(true)), "{active}");
    tried_and_done(&api, "bob", "POST", &path("deny"), json!({ "request_hash": asked["request_hash"] }));
    api.later(Duration::from_mins(40));
    let longer = tried_and_done(&api, "alice", "POST", &path("extend"), json!({ "justification": "not done" }));
    tried_and_done(&api, "alice", "POST", &format!("/v1/activations/{}/cancel", id(&longer)), json!({ "reason": "done" }));
    tried_and_done(&api, "alice", "POST", &path("deactivate"), json!({ "reason": "done" }));
    tried_and_done(&api, "carol", "POST", &path("revoke"), json!({}));

    let longer = json!({ "duration": "P3D" });
    let request = tried_and_done(&api, "dave", "POST", &format!("/v1/assignments/{}/extend", id(&assignment)), longer);
    let request = |what: &str| format!("/v1/grant-requests/{}/{what}", id(&request));
    tried_and_done(&api, "dave", "POST", &request("approve"), json!({}));
    tried_and_done(&api, "carol", "POST", &request("approve"), json!({ "reason": "fine" }));
    tried_and_done(&api, "carol", "POST", &request("deny"), json!({}));

    let zoe = json!({ "uid": user("zoe"), "attrs": { "name": "Zoe" }, "parents": [{ "type": "Group", "id": "sre" }] });
    tried_and_done(&api, "carol", "PUT", "/v1/entities", zoe);
    tried_and_done(&api, "carol", "POST", "/v1/entities/disable", json!({ "type": "User", "id": "zoe", "reason": "left" }));
    tried_and_done(&api, "carol", "POST", "/v1/entities/disable", json!({ "type": "User", "id": "zoe" }));
    tried_and_done(&api, "carol", "DELETE", "/v1/entities?type=User&id=zoe", json!({ "reason": "left" }));
    tried_and_done(&api, "carol", "DELETE", &format!("/v1/eligibilities/{}", id(&eligibility)), json!({ "reason": "off call" }));
    tried_and_done(&api, "carol", "DELETE", &format!("/v1/assignments/{}", id(&assignment)), json!({}));
}

#[test]
fn what_is_tried_in_a_query_or_among_several_leaves_no_trace_either() {
    let api = Api::start();
    let eligibility = api.alice_is_eligible();
    let path = format!("/v1/eligibilities/{}", id(&eligibility));
    let before = api.seq();
    let tried = api.send(&call("DELETE", &format!("{path}?dry_run=true")).by("carol"));
    assert_eq!((tried.status, tried.json()["status"].clone()), (200, json!("removed")), "{}", tried.text);
    let items = json!({ "dry_run": true, "items": [
        { "role": "db-admin", "scope": PROD(), "justification": "x" }, { "role": "reader", "justification": "x" },
    ]});
    let tried = api.post("alice", "/v1/activations/bulk", &items, 200);
    assert_eq!((&tried["dry_run"], &tried["items"][0]["status"]), (&json!(true), &json!(201)), "{tried}");
    assert_eq!((&tried["items"][0]["activation"]["id"], &tried["items"][1]["problem"]["rule"]), (&Value::Null, &json!("not_eligible")));
    assert_eq!(api.get("alice", &path)["status"], "active");
    assert_eq!(api.seq(), before);
    let policies = api.send(&call("POST", "/v1/policies/reload").by("carol").json(&json!({ "dry_run": true })));
    assert_eq!(policies.rule(), "not_available_yet", "{}", policies.text);
}
