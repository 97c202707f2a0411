//! An activation's life over HTTP: planned, narrowed, extended, asked for many at once, and revoked with everything else.

use elevon::domain::Duration;
use serde_json::{Value, json};

use crate::help::{Api, PROD, call, id, user};

const ORDERS: (&str, &str) = ("Database", "orders");

fn asks(api: &Api, more: Value) -> Value {
    let mut body = json!({ "role": "db-admin", "scope": PROD(), "justification": "restore the orders table" });
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    api.post("alice", "/v1/activations", &body, 201)
}

fn read(api: &Api, shown: &Value) -> Value {
    api.get("alice", &format!("/v1/activations/{}", id(shown)))
}

#[test]
fn a_planned_activation_waits_for_its_start_and_begins_by_itself() {
    let api = Api::start();
    api.alice_is_eligible();
    let (start, end) = (api.now().plus(Duration::from_hours(2)), api.now().plus(Duration::from_hours(3)));
    let asked = asks(&api, json!({ "start": start, "end": end }));
    assert_eq!((&asked["status"], &asked["start"], &asked["end"]), (&json!("pending"), &json!(start), &json!(end)), "{asked}");
    assert_eq!((&asked["not_before"], &asked["fixed_end"], &asked["duration"]), (&json!(start), &json!(end), &json!("PT1H")));
    let scheduled = api.bob_approves(&asked, json!({}));
    assert_eq!((&scheduled["status"], &scheduled["start"]), (&json!("scheduled"), &json!(start)), "{scheduled}");
    assert!(scheduled["begin_by"].is_string() && scheduled.get("request_hash").is_none(), "{scheduled}");
    assert!(!api.decides("alice", "write", ORDERS).0);
    let me = api.get("alice", "/v1/me");
    assert_eq!((me["scheduled"][0]["id"].clone(), me["pending"].clone()), (asked["id"].clone(), json!([])), "{me}");
    let listed = api.get("alice", "/v1/activations?status=scheduled");
    assert_eq!(listed["items"].as_array().unwrap().len(), 1, "{listed}");
    let explained = api.post("carol", "/v1/explain", &crate::help::question("alice", "write", ORDERS), 200);
    assert_eq!(explained["holdings"][0]["why_not"]["reason"], "scheduled", "{explained}");

    api.later(Duration::from_hours(2));
    let began = std::time::Instant::now();
    while read(&api, &asked)["status"] != "active" {
        assert!(began.elapsed() < std::time::Duration::from_secs(20), "{}", read(&api, &asked));
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    assert!(api.decides("alice", "write", ORDERS).0);
    api.later(Duration::from_hours(1));
    assert!(!api.decides("alice", "write", ORDERS).0);
    assert_eq!(read(&api, &asked)["status"], "expired");
}

#[test]
fn an_approver_gives_less_and_never_more() {
    let api = Api::start();
    api.alice_is_eligible();
    let asked = asks(&api, json!({ "duration": "PT2H" }));
    let vote = |more: Value| {
        let mut body = json!({ "request_hash": asked["request_hash"] });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        api.send(&call("POST", &format!("/v1/activations/{}/approve", id(&asked))).by("bob").json(&body))
    };
    for wider in [json!({ "duration": "PT3H" }), json!({ "scope": { "type": "Environment", "id": "staging" } })] {
        let refused = vote(wider);
        assert_eq!((refused.status, refused.rule().as_str()), (422, "wider_than_asked"), "{}", refused.text);
    }
    let given = vote(json!({ "duration": "PT1H", "scope": { "type": "Database", "id": "orders" } })).json();
    assert_eq!(
        (&given["status"], &given["duration"], &given["scope"]["id"]),
        (&json!("active"), &json!("PT1H"), &json!("orders")),
        "{given}"
    );
    assert_eq!(given["requested"], json!({ "scope": PROD(), "duration": "PT2H" }));
    let gave = &given["approval"]["stages"][0]["votes"][0]["gave"];
    assert_eq!(*gave, json!({ "scope": { "type": "Database", "id": "orders" }, "duration": "PT1H" }));
    assert!(api.decides("alice", "write", ORDERS).0);
}

#[test]
fn more_time_is_a_request_of_its_own_and_the_parent_runs_on() {
    let api = Api::start();
    api.alice_is_eligible();
    let parent = asks(&api, json!({ "duration": "PT1H" }));
    api.bob_approves(&parent, json!({}));
    let path = format!("/v1/activations/{}/extend", id(&parent));
    let more = json!({ "duration": "PT30M", "justification": "not done yet" });
    let early = api.send(&call("POST", &path).by("alice").json(&more));
    assert_eq!((early.status, early.rule().as_str()), (409, "too_early_to_extend"), "{}", early.text);
    assert!(early.json()["earliest"].is_string());
    let again = api.send(
        &call("POST", "/v1/activations")
            .by("alice")
            .json(&json!({ "role": "db-admin", "scope": PROD(), "duration": "PT2H", "justification": "x" })),
    );
    assert_eq!((again.status, again.json()["extend"].clone()), (409, json!(path)), "{}", again.text);

    api.later(Duration::from_mins(40));
    let asked = api.post("alice", &path, &more, 201);
    assert_eq!((&asked["status"], &asked["extends"]), (&json!("pending"), &parent["id"]), "{asked}");
    assert_eq!(id(&api.post("alice", &path, &more, 200)), id(&asked));
    let longer = api.send(&call("POST", &path).by("alice").json(&json!({ "duration": "PT1H", "justification": "x" })));
    assert_eq!((longer.status, longer.rule().as_str()), (409, "extension_waits"), "{}", longer.text);
    assert_eq!(api.get("bob", "/v1/approvals")["items"][0]["id"], asked["id"]);
    let before = read(&api, &parent);
    assert_eq!((&before["status"], &before["extension"]), (&json!("active"), &asked["id"]), "{before}");
    let approved = api.bob_approves(&asked, json!({}));
    assert_eq!(approved["status"], "approved", "{approved}");
    let after = read(&api, &parent);
    assert_eq!((&after["extensions"], &after["status"], &after["end"]), (&json!(1), &json!("active"), &approved["end"]), "{after}");
    api.later(Duration::from_mins(40));
    assert!(api.decides("alice", "write", ORDERS).0);
    // twice, and no more
    let second = api.post("alice", &path, &more, 201);
    api.bob_approves(&second, json!({}));
    api.later(Duration::from_mins(30));
    let third = api.send(&call("POST", &path).by("alice").json(&more));
    assert_eq!((third.status, third.rule().as_str()), (409, "not_extendable"), "{}", third.text);
}

#[test]
fn whoever_asked_for_the_parent_has_no_vote_on_its_extension() {
    let api = Api::start();
    api.alice_is_eligible();
    // bob leads, and asks for alice
    let body = json!({ "role": "db-admin", "scope": PROD(), "principal": user("alice"), "justification": "x", "duration": "PT1H" });
    let put = call("PUT", "/v1/entities")
        .by("erin")
        .json(&json!({ "uid": user("lena"), "attrs": { "name": "Lena" }, "parents": [{ "type": "Group", "id": "dba-leads" }] }));
    assert_eq!(api.send(&put).status, 201);
    let parent = api.post("bob", "/v1/activations", &body, 201);
    let vote = json!({ "request_hash": parent["request_hash"] });
    api.post("lena", &format!("/v1/activations/{}/approve", id(&parent)), &vote, 200);
    api.later(Duration::from_mins(40));
    let asked = api.post("alice", &format!("/v1/activations/{}/extend", id(&parent)), &json!({ "justification": "x" }), 201);
    assert_eq!(api.get("bob", "/v1/approvals")["items"], json!([]));
    assert_eq!(api.get("lena", "/v1/approvals")["items"][0]["id"], asked["id"]);
    let own = api.send(
        &call("POST", &format!("/v1/activations/{}/approve", id(&asked))).by("bob").json(&json!({ "request_hash": asked["request_hash"] })),
    );
    assert_eq!((own.status, own.rule().as_str()), (403, "separation_of_duties"), "{}", own.text);
}

#[test]
fn several_are_asked_for_at_once_and_each_has_its_own_outcome() {
    let api = Api::start();
    api.alice_is_eligible();
    let grant = json!({ "principal": user("alice"), "role": "reader", "justification": "x" });
    api.post("carol", "/v1/eligibilities", &grant, 201);
    let items = json!({ "items": [
        { "role": "reader", "justification": "look" },
        { "role": "db-admin", "scope": PROD(), "justification": "restore" },
        { "role": "reader", "justification": "look" },
        { "role": "cluster-admin", "scope": PROD(), "justification": "x" },
        { "role": "reader", "duration": "PT1H", "end": "2100-01-01T00:00:00Z" },
        7,
        { "role": "reader", "dry_run": true },
        { "role": "db-admn", "justification": "x" },
    ]});
    let before = api.seq();
    let ask = || api.send(&call("POST", "/v1/activations/bulk").by("alice").header("idempotency-key", "k").json(&items));
    let answer = ask().json();
    let told = |answer: &Value| {
        let items = answer["items"].as_array().unwrap().clone();
        items
            .iter()
            .map(|item| (item["status"].as_u64().unwrap(), item["problem"]["rule"].as_str().unwrap_or("").to_owned()))
            .collect::<Vec<_>>()
    };
    let expected = [
        (201, ""),
        (201, ""),
        (200, ""),
        (422, "requirements_missing"),
        (400, "conflicting_members"),
        (400, "malformed"),
        (400, "unknown_member"),
        (422, "unknown_role"),
    ];
    assert_eq!(told(&answer), expected.map(|(status, rule)| (status, rule.to_owned())), "{answer}");
    assert_eq!(answer["items"][0]["activation"]["status"], "active");
    assert_eq!(answer["items"][1]["activation"]["status"], "pending");
    assert_eq!(answer["items"][2]["activation"]["id"], answer["items"][0]["activation"]["id"]);
    assert!(answer["seq"].as_u64().unwrap() > before && answer["seq"].as_u64().unwrap() <= api.seq());

    let standing = api.get("alice", "/v1/activations")["items"].as_array().unwrap().len();
    let again = ask().json();
    assert_eq!(told(&again), told(&answer));
    assert_eq!(again["items"][1]["activation"]["id"], answer["items"][1]["activation"]["id"]);
    assert_eq!((&again["items"][0]["repeated"], &answer["items"][0]["repeated"]), (&json!(true), &json!(false)));
    assert_eq!(api.get("alice", "/v1/activations")["items"].as_array().unwrap().len(), standing);
}

#[test]
fn everything_of_somebody_or_of_a_role_ends_in_one_command() {
    let api = Api::start();
    api.alice_is_eligible();
    for (who, role) in [("alice", "reader"), ("dave", "reader"), ("alice", "db-operator")] {
        let grant = json!({ "principal": user(who), "role": role, "justification": "x" });
        api.post("carol", "/v1/eligibilities", &grant, 201);
    }
    let activate = |who: &str, role: &str| {
        let body = json!({ "role": role, "justification": "x" });
        id(&api.post(who, "/v1/activations", &body, 201)).to_owned()
    };
    let (alices, daves) = (activate("alice", "reader"), activate("dave", "reader"));
    let (other, waiting) = (activate("alice", "db-operator"), api.alice_asks());
    let status = |id: &str| api.get("carol", &format!("/v1/activations/{id}"))["status"].clone();

    let of_alice = json!({ "principal": user("alice"), "reason": "laptop stolen" });
    let refused = api.send(&call("POST", "/v1/activations/revoke").by("dave").json(&of_alice));
    assert_eq!((refused.status, refused.rule().as_str()), (403, "not_permitted"), "{}", refused.text);
    let tried = api.post("carol", "/v1/activations/revoke", &json!({ "principal": user("alice"), "dry_run": true }), 200);
    assert_eq!((&tried["outcome"], &tried["dry_run"], status(&alices)), (&json!("revoked"), &json!(true), json!("active")), "{tried}");
    let revoked = api.post("carol", "/v1/activations/revoke", &of_alice, 200);
    assert_eq!((&revoked["outcome"], &revoked["principal"]), (&json!("revoked"), &user("alice")), "{revoked}");
    assert_eq!((status(&alices), status(&other), status(id(&waiting))), (json!("revoked"), json!("revoked"), json!("failed")));
    let ended = api.get("alice", &format!("/v1/activations/{alices}"))["ended"].clone();
    assert_eq!((&ended["reason"], &ended["cause"]["kind"]), (&json!("laptop stolen"), &json!("principal_revoked")), "{ended}");
    assert_eq!(status(&daves), "active");
    assert_eq!(api.post("carol", "/v1/activations/revoke", &of_alice, 200)["outcome"], "unchanged");

    let of_role = json!({ "role": "reader" });
    assert_eq!(api.send(&call("POST", "/v1/activations/revoke").by("dave").json(&of_role)).status, 403);
    let revoked = api.post("carol", "/v1/activations/revoke", &of_role, 200);
    assert_eq!((&revoked["outcome"], &revoked["role"], status(&daves)), (&json!("revoked"), &json!("reader"), json!("revoked")));
}

#[test]
fn each_source_of_memberships_keeps_its_own() {
    let api = Api::start();
    let put = |source: &str, parents: Value| {
        let body = json!({ "uid": user("zoe"), "attrs": { "name": "Zoe" }, "parents": parents, "source": source });
        let answer = api.send(&call("PUT", "/v1/entities").by("carol").json(&body));
        assert!(answer.status < 300, "{}", answer.text);
        answer.json()
    };
    let group = |id: &str| json!({ "type": "Group", "id": id });
    put("api", json!([group("engineering")]));
    let both = put("scim", json!([group("engineering"), group("sre")]));
    let edge = |id: &str, source: &str| json!({ "parent": group(id), "source": source });
    assert_eq!(both["edges"], json!([edge("engineering", "api"), edge("engineering", "scim"), edge("sre", "scim")]), "{both}");
    assert_eq!(both["parents"], json!([group("engineering"), group("sre")]));
    let left = put("scim", json!([]));
    assert_eq!((&left["edges"], &left["parents"]), (&json!([edge("engineering", "api")]), &json!([group("engineering")])), "{left}");
}

#[test]
fn what_a_bundle_hides_is_named() {
    let api = Api::start();
    let body = json!({ "uid": user("yuri"), "attrs": { "name": "Yuri" } });
    assert_eq!(api.send(&call("PUT", "/v1/entities").by("carol").json(&body)).status, 201);
    assert_eq!(api.get("carol", "/v1/policies")["shadowed"], json!({ "count": 0, "entities": [] }));
    let path = api.policies().join("entities.json");
    let mut entities: Vec<Value> = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    entities.push(json!({ "uid": user("yuri"), "attrs": { "name": "Yuri of the bundle" } }));
    std::fs::write(&path, serde_json::to_vec(&entities).unwrap()).unwrap();
    let reloaded = api.send(&call("POST", "/v1/policies/reload").by("carol").json(&json!({})));
    assert_eq!(reloaded.status, 200, "{}", reloaded.text);
    assert_eq!(api.get("carol", "/v1/policies")["shadowed"], json!({ "count": 1, "entities": [user("yuri")] }));
    assert_eq!(api.get("yuri", "/v1/entities?type=User&id=yuri")["owner"], "bundle");
}
