//! alice and bob, from no to yes and back to no.

use serde_json::json;

use crate::help::{Api, PROD, call, user};

const ORDERS: (&str, &str) = ("Database", "orders");
const STAGING: (&str, &str) = ("Database", "orders-staging");

#[test]
fn alice_is_elevated_with_bobs_approval_and_no_longer_than_that() {
    let api = Api::start();
    assert!(!api.decides("alice", "write", ORDERS).0);
    let refused =
        api.send(&call("POST", "/v1/activations").by("alice").json(&json!({ "role": "db-admin", "scope": PROD(), "justification": "x" })));
    assert_eq!((refused.status, refused.rule().as_str()), (403, "not_eligible"), "{}", refused.text);

    let eligibility = api.alice_is_eligible();
    assert_eq!(
        (&eligibility["status"], &eligibility["in_force"], &eligibility["justification"]),
        (&json!("active"), &json!(true), &json!("on call"))
    );
    let bare = api.send(&call("POST", "/v1/activations").by("alice").json(&json!({ "role": "db-admin", "scope": PROD() })));
    assert_eq!((bare.status, bare.rule().as_str()), (422, "requirements_missing"));
    assert_eq!(bare.json()["missing"][0]["requirement"], "justification");

    let asked = api.alice_asks();
    assert_eq!((&asked["status"], &asked["approval"]["stage"]), (&json!("pending"), &json!(1)), "{asked}");
    assert_eq!(asked["approval"]["stages"][0]["approvers"], json!([{ "type": "Group", "id": "dba-leads" }]));
    let path = format!("/v1/activations/{}", asked["id"].as_str().unwrap());
    assert!(!api.decides("alice", "write", ORDERS).0);
    assert_eq!(api.get("alice", "/v1/me")["pending"][0]["id"], asked["id"]);
    assert_eq!(api.get("carol", "/v1/approvals")["items"], json!([]));
    let waiting = api.get("bob", "/v1/approvals");
    assert_eq!(waiting["items"][0]["request_hash"], asked["request_hash"]);
    assert_eq!(waiting["items"][0]["justification"], "restore the orders table");

    let vote = json!({ "request_hash": asked["request_hash"], "justification": "agreed" });
    let own = api.send(&call("POST", &format!("{path}/approve")).by("alice").json(&vote));
    assert_eq!((own.status, own.rule().as_str()), (403, "separation_of_duties"));
    let wrong = api.send(&call("POST", &format!("{path}/approve")).by("bob").json(&json!({ "request_hash": "0".repeat(64) })));
    assert_eq!((wrong.status, wrong.rule().as_str(), &wrong.json()["expected"]), (409, "request_changed", &asked["request_hash"]));

    let active = api.post("bob", &format!("{path}/approve"), &vote, 200);
    assert_eq!((&active["status"], &active["counts"]), (&json!("active"), &json!(true)), "{active}");
    assert_eq!(active["approval"]["stages"][0]["votes"][0]["principal"], user("bob"));
    assert_eq!(active["approval"]["stages"][0]["votes"][0]["justification"], "agreed");
    assert_eq!(api.decides("alice", "write", ORDERS), (true, "permitted".to_owned()));
    assert!(!api.decides("alice", "write", STAGING).0);
    assert!(!api.decides("bob", "write", ORDERS).0);

    let elevated = |query: &str| api.get("alice", &format!("/v1/elevated?principal_type=User&principal_id=alice&role=db-admin{query}"));
    let on = elevated("&resource_type=Database&resource_id=orders");
    assert_eq!((&on["elevated"], &on["until"], &on["holdings"][0]["id"]), (&json!(true), &active["end"], &asked["id"]), "{on}");
    assert_eq!(elevated("&resource_type=Database&resource_id=orders-staging")["elevated"], json!(false));
    let everywhere = elevated("");
    assert_eq!((&everywhere["elevated"], everywhere["holdings"].as_array().unwrap().len()), (&json!(false), 1), "{everywhere}");

    let late = api.send(&call("POST", &format!("{path}/deny")).by("bob-admin").json(&vote));
    assert_eq!((late.status, late.rule().as_str(), &late.json()["outcome"]), (409, "not_in_state", &json!("active")));
    let again = api.send(
        &call("POST", "/v1/activations")
            .by("alice")
            .json(&json!({ "role": "db-admin", "scope": PROD(), "duration": "PT1M", "justification": "again" })),
    );
    assert_eq!((again.status, &again.json()["id"]), (200, &asked["id"]), "{}", again.text);

    let me = api.get("alice", "/v1/me");
    assert_eq!((&me["active"][0]["id"], &me["active"][0]["counts"]), (&asked["id"], &json!(true)), "{me}");
    let ended = api.post("alice", &format!("{path}/deactivate"), &json!({ "reason": "done" }), 200);
    assert_eq!((&ended["status"], &ended["ended"]["reason"]), (&json!("deactivated"), &json!("done")));
    assert!(!api.decides("alice", "write", ORDERS).0);

    let record = api.get("grace", &format!("/v1/audit/events?activation={}", asked["id"].as_str().unwrap()));
    let kinds: Vec<&str> = record["items"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|item| item["record"]["events"].as_array().unwrap())
        .map(|event| event["kind"].as_str().unwrap())
        .collect();
    assert_eq!(kinds, ["activation_requested", "approval_given", "activation_started", "activation_deactivated"]);
    assert!(record.to_string().contains("restore the orders table"));
}

#[test]
fn what_was_acknowledged_is_there_after_a_restart() {
    let api = Api::start();
    api.alice_is_eligible();
    let asked = api.alice_asks();
    let path = format!("/v1/activations/{}", asked["id"].as_str().unwrap());
    api.post("bob", &format!("{path}/approve"), &json!({ "request_hash": asked["request_hash"] }), 200);
    let seq = api.seq();
    let api = api.again();
    assert!(api.seq() >= seq);
    assert_eq!(api.get("alice", &path)["status"], "active");
    assert!(api.decides("alice", "write", ORDERS).0);
    let revoked = api.post("carol", &format!("{path}/revoke"), &json!({ "reason": "incident over" }), 200);
    assert_eq!((&revoked["status"], &revoked["ended"]["by"]), (&json!("revoked"), &user("carol")));
    assert!(!api.decides("alice", "write", ORDERS).0);
}

#[cfg(feature = "test-clock")]
#[test]
fn time_ends_it_with_no_request_in_between() {
    let api = Api::start();
    api.alice_is_eligible();
    let asked = api.alice_asks();
    let path = format!("/v1/activations/{}", asked["id"].as_str().unwrap());
    api.post("bob", &format!("{path}/approve"), &json!({ "request_hash": asked["request_hash"] }), 200);
    let move_on = |by: &str| api.post("alice", "/dev/clock", &json!({ "advance": by }), 200);
    move_on("PT4M59S");
    assert!(api.decides("alice", "write", ORDERS).0);
    move_on("PT1S");
    assert!(!api.decides("alice", "write", ORDERS).0);
    assert_eq!(api.get("alice", &path)["status"], "expired");

    let before = api.post("alice", "/dev/clock", &json!({ "advance": "PT0S" }), 200)["now"].clone();
    let asked = api.alice_asks();
    move_on("PT8H");
    let late = api.send(
        &call("POST", &format!("/v1/activations/{}/approve", asked["id"].as_str().unwrap()))
            .by("bob")
            .json(&json!({ "request_hash": asked["request_hash"] })),
    );
    assert_eq!((late.status, &late.json()["outcome"]), (409, &json!("timed_out")), "{}", late.text);
    api.post("alice", "/dev/clock", &json!({ "set": before }), 200);
    let ready = api.send(&call("GET", "/readyz"));
    assert_eq!((ready.status, &ready.json()["time_trusted"]), (503, &json!(false)));
}

#[test]
fn denied_and_cancelled_requests_stay_so() {
    let api = Api::start();
    api.alice_is_eligible();
    let asked = api.alice_asks();
    let path = format!("/v1/activations/{}", asked["id"].as_str().unwrap());
    let denied =
        api.post("bob", &format!("{path}/deny"), &json!({ "request_hash": asked["request_hash"], "justification": "not now" }), 200);
    assert_eq!((&denied["status"], &denied["ended"]["reason"]), (&json!("denied"), &json!("not now")), "{denied}");
    let other = api.alice_asks();
    let path = format!("/v1/activations/{}", other["id"].as_str().unwrap());
    let cancelled = api.send(&call("POST", &format!("{path}/cancel")).by("alice"));
    assert_eq!((cancelled.status, &cancelled.json()["status"]), (200, &json!("cancelled")));
    let again = api.send(&call("POST", &format!("{path}/cancel")).by("alice"));
    assert_eq!((again.status, &again.json()["outcome"]), (409, &json!("cancelled")));
}
