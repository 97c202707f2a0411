//! Eligibilities and assignments that are to run longer: asked for by who holds them, decided by somebody else.

use elevon::domain::Duration;
use serde_json::{Value, json};

use crate::help::{Api, call, id, user};

fn grant(api: &Api, kind: &str, who: &Value, role: &str, days: u64) -> Value {
    let end = api.now().plus(Duration::from_days(days));
    let body = json!({ "principal": who, "role": role, "end": end, "justification": "for the quarter" });
    api.post("carol", &format!("/v1/{kind}"), &body, 201)
}

#[test]
fn a_grant_is_extended_by_somebody_else() {
    let api = Api::start();
    let granted = grant(&api, "eligibilities", &user("alice"), "reader", 10);
    let path = format!("/v1/eligibilities/{}", id(&granted));
    let end = api.now().plus(Duration::from_days(40));
    let renew = api.send(&call("POST", &format!("{path}/renew")).by("alice").json(&json!({ "duration": "P30D" })));
    assert_eq!((renew.status, renew.rule().as_str()), (409, "not_prolongable"), "{}", renew.text);
    let created = api
        .send(&call("POST", &format!("{path}/extend")).by("alice").json(&json!({ "duration": "P30D", "justification": "still on call" })));
    let asked = created.json();
    assert_eq!((created.status, created.header("location")), (201, format!("/v1/grant-requests/{}", id(&asked)).as_str()));
    for (member, value) in [
        ("status", json!("pending")),
        ("kind", json!("eligibility")),
        ("grant", granted["id"].clone()),
        ("principal", user("alice")),
        ("requester", user("alice")),
        ("role", json!("reader")),
        ("scope", Value::Null),
        ("end", json!(end)),
        ("justification", json!("still on call")),
        ("decided", Value::Null),
    ] {
        assert_eq!(asked[member], value, "{member} in {asked}");
    }
    let again = api.send(&call("POST", &format!("{path}/extend")).by("alice").json(&json!({ "end": end })));
    assert_eq!((again.status, again.json()["pending"].clone()), (409, asked["id"].clone()), "{}", again.text);

    let decide = |who: &str, what: &str, body: Value| {
        api.send(&call("POST", &format!("/v1/grant-requests/{}/{what}", id(&asked))).by(who).json(&body))
    };
    assert_eq!(decide("alice", "approve", json!({})).rule(), "self_grant");
    assert_eq!(decide("dave", "approve", json!({})).rule(), "not_permitted");
    let later = api.now().plus(Duration::from_days(50));
    assert_eq!(decide("carol", "approve", json!({ "end": later })).rule(), "wider_than_asked");
    let earlier = api.now().plus(Duration::from_days(20));
    let approved = decide("carol", "approve", json!({ "end": earlier, "reason": "until the handover" })).json();
    assert_eq!(approved["status"], "approved", "{approved}");
    let decided = &approved["decided"];
    assert_eq!(
        (&decided["by"], &decided["reason"], &decided["grant"]),
        (&user("carol"), &json!("until the handover"), &granted["id"]),
        "{approved}"
    );
    let after = api.get("alice", &path);
    assert_eq!((&after["end"], &after["status"], &after["renews"]), (&json!(earlier), &json!("active"), &Value::Null), "{after}");
    let late = decide("carol", "deny", json!({}));
    assert_eq!((late.status, late.json()["outcome"].clone()), (409, json!("approved")), "{}", late.text);
}

#[test]
fn a_grant_that_ended_is_renewed_as_a_new_one() {
    let api = Api::start();
    let granted = grant(&api, "assignments", &user("dave"), "auditor", 10);
    let path = format!("/v1/assignments/{}", id(&granted));
    api.later(Duration::from_days(12));
    let extend = api.send(&call("POST", &format!("{path}/extend")).by("dave").json(&json!({ "duration": "P30D" })));
    assert_eq!((extend.status, extend.rule().as_str()), (409, "not_prolongable"), "{}", extend.text);
    let asked = api.post("dave", &format!("{path}/renew"), &json!({ "duration": "P30D" }), 201);
    assert_eq!(asked["end"], json!(api.now().plus(Duration::from_days(30))), "{asked}");
    let tried = api.post("carol", &format!("/v1/grant-requests/{}/approve", id(&asked)), &json!({ "dry_run": true }), 200);
    assert_eq!((&tried["status"], &tried["decided"]["grant"]), (&json!("approved"), &Value::Null), "{tried}");
    let approved = api.post("carol", &format!("/v1/grant-requests/{}/approve", id(&asked)), &json!({}), 200);
    let new = approved["decided"]["grant"].as_str().unwrap();
    assert_ne!(granted["id"], new);
    let renewed = api.get("dave", &format!("/v1/assignments/{new}"));
    assert_eq!((&renewed["renews"], &renewed["status"]), (&granted["id"], &json!("active")), "{renewed}");
    assert_eq!(api.get("dave", &path)["status"], "expired");
}

#[test]
fn requests_are_seen_by_those_they_concern() {
    let api = Api::start();
    let own = grant(&api, "eligibilities", &user("alice"), "reader", 10);
    let groups = grant(&api, "eligibilities", &json!({ "type": "Group", "id": "sre" }), "reader", 10);
    let prolong = |who: &str, granted: &Value| {
        api.post(who, &format!("/v1/eligibilities/{}/extend", id(granted)), &json!({ "duration": "P1D" }), 201)
    };
    let (alices, daves) = (prolong("alice", &own), prolong("dave", &groups));
    let seen = |who: &str, more: &str| {
        let items = api.get(who, &format!("/v1/grant-requests{more}"))["items"].as_array().unwrap().clone();
        items.iter().map(|item| item["id"].clone()).collect::<Vec<_>>()
    };
    // dave is in the group, alice holds her own, carol may grant, grace may audit
    assert_eq!(seen("alice", ""), [alices["id"].clone()]);
    assert_eq!(seen("dave", ""), [daves["id"].clone()]);
    assert_eq!(seen("frank", ""), Vec::<Value>::new());
    for who in ["carol", "grace"] {
        assert_eq!(seen(who, ""), [daves["id"].clone(), alices["id"].clone()], "{who}");
    }
    let page = api.get("carol", "/v1/grant-requests?limit=1");
    let rest = format!("?limit=1&cursor={}", page["next"].as_str().unwrap());
    assert_eq!((&page["items"][0]["id"], seen("carol", &rest)), (&daves["id"], vec![alices["id"].clone()]));
    assert_eq!(seen("carol", "?principal_type=User&principal_id=alice"), [alices["id"].clone()]);
    assert_eq!(seen("carol", "?status=approved"), Vec::<Value>::new());
    assert_eq!(api.send(&call("GET", &format!("/v1/grant-requests/{}", id(&alices))).by("frank")).status, 403);
    let cancelled = api.post("dave", &format!("/v1/grant-requests/{}/cancel", id(&daves)), &json!({ "reason": "no need" }), 200);
    assert_eq!((&cancelled["status"], &cancelled["decided"]["reason"]), (&json!("cancelled"), &json!("no need")), "{cancelled}");
    let denied = api.post("carol", &format!("/v1/grant-requests/{}/deny", id(&alices)), &json!({}), 200);
    assert_eq!((&denied["status"], &denied["decided"]["by"]), (&json!("denied"), &user("carol")), "{denied}");
    assert_eq!(seen("carol", "?status=denied"), [alices["id"].clone()]);
}
