//! Lists, cursors, entities, idempotency and sequences.

use serde_json::{Value, json};

use crate::help::{Api, PROD, call, user};

fn put(api: &Api, name: &str, parents: Value) -> (u16, Value) {
    let body = json!({ "uid": user(name), "parents": parents, "attrs": { "name": name } });
    let answer = api.send(&call("PUT", "/v1/entities").by("carol").json(&body));
    (answer.status, answer.json())
}

/// Every page of a list, by its cursors; the ids of the items in order.
fn walk(api: &Api, who: &str, path: &str, limit: usize, id: &str) -> Vec<String> {
    let (mut found, mut cursor) = (Vec::new(), None::<String>);
    for _ in 0..100 {
        let after = cursor.map(|cursor| format!("&cursor={}", cursor.bytes().map(|byte| format!("%{byte:02X}")).collect::<String>()));
        let page = api.get(who, &format!("{path}{}limit={limit}{}", if path.contains('?') { "&" } else { "?" }, after.unwrap_or_default()));
        let items = page["items"].as_array().unwrap();
        assert!(items.len() <= limit, "{page}");
        found.extend(items.iter().map(|item| item.pointer(id).unwrap().to_string()));
        match page["next"].as_str() {
            Some(next) => cursor = Some(next.to_owned()),
            None => return found,
        }
    }
    panic!("{path} never ends")
}

#[test]
fn pages_put_together_are_the_whole_list() {
    let api = Api::start();
    for number in 0..5 {
        assert_eq!(put(&api, &format!("new-{number}"), json!([])).0, 201);
        let grant = json!({ "principal": user(&format!("new-{number}")), "role": "reader", "justification": "x" });
        api.post("carol", "/v1/eligibilities", &grant, 201);
        let asked =
            call("POST", "/v1/activations").by(&format!("new-{number}")).json(&json!({ "role": "reader", "justification": "look" }));
        let answer = api.send(&asked);
        assert_eq!(answer.status, 201, "{}", answer.text);
    }
    for (path, id) in [
        ("/v1/entities", "/uid"),
        ("/v1/entities?type=User", "/uid"),
        ("/v1/eligibilities", "/id"),
        ("/v1/activations", "/id"),
        ("/v1/audit/events", "/seq"),
        ("/v1/audit/events?order=desc", "/seq"),
        ("/v1/audit/events?order=desc&kind=eligibility_created", "/seq"),
    ] {
        let whole = walk(&api, "carol", path, 1000, id);
        assert!(whole.len() >= 5, "{path}: {whole:?}");
        for limit in [1, 2, 3, 7] {
            assert_eq!(walk(&api, "carol", path, limit, id), whole, "{path} by {limit}");
        }
    }
    let mut seqs = walk(&api, "carol", "/v1/audit/events", 1000, "/seq");
    assert_eq!(seqs.len() as u64, api.seq());
    seqs.dedup();
    assert_eq!(seqs.len() as u64, api.seq());
    seqs.reverse();
    assert_eq!(walk(&api, "carol", "/v1/audit/events?order=desc", 1000, "/seq"), seqs);
    // a cursor is the number of the last record, in either order
    for (order, expected) in [("asc", 4), ("desc", 2)] {
        let page = api.get("carol", &format!("/v1/audit/events?order={order}&cursor=3&limit=1"));
        assert_eq!((&page["items"][0]["seq"], &page["next"]), (&json!(expected), &json!(expected.to_string())), "{page}");
    }
    assert_eq!(walk(&api, "new-1", "/v1/eligibilities", 100, "/id").len(), 1);
    assert_eq!(walk(&api, "new-1", "/v1/entities", 100, "/uid").len(), 1);
    let of_one = api.get("carol", "/v1/activations?principal_type=User&principal_id=new-2&role=reader&status=active");
    assert_eq!(of_one["items"].as_array().unwrap().len(), 1);
    assert_eq!(api.get("carol", "/v1/activations?status=pending")["items"], json!([]));
    assert_eq!(api.get("carol", "/v1/activations?to=2001-01-01T00:00:00Z")["items"], json!([]));
}

#[test]
fn an_entity_lives_is_disabled_and_is_gone() {
    let api = Api::start();
    let dba = json!([{ "type": "Group", "id": "engineering" }]);
    let (status, stored) = put(&api, "zoe", dba.clone());
    assert_eq!((status, &stored["owner"], &stored["disabled"], &stored["parents"]), (201, &json!("api"), &json!(false), &dba), "{stored}");
    assert_eq!(put(&api, "zoe", json!([])).0, 200);
    assert_eq!(api.get("zoe", "/v1/entities?type=User&id=zoe")["attrs"]["name"], "zoe");
    let disabled = api.post("carol", "/v1/entities/disable", &json!({ "type": "User", "id": "zoe", "reason": "left" }), 200);
    assert_eq!(disabled["disabled"], json!(true), "{disabled}");
    assert_eq!(api.decides("zoe", "list", ("Database", "orders")).1, "principal_disabled");
    api.post("carol", "/v1/entities/disable", &json!({ "type": "User", "id": "zoe" }), 200);
    let enabled = api.post("carol", "/v1/entities/enable", &json!({ "type": "User", "id": "zoe" }), 200);
    assert_eq!(enabled["disabled"], json!(false), "{enabled}");
    let gone = api.send(&call("DELETE", "/v1/entities?type=User&id=zoe&reason=left").by("carol"));
    assert_eq!((gone.status, &gone.json()["deleted"]), (200, &json!(true)), "{}", gone.text);
    assert_eq!(api.send(&call("GET", "/v1/entities?type=User&id=zoe").by("carol")).status, 404);
    assert_eq!(api.decides("zoe", "list", ("Database", "orders")).1, "unknown_principal");
}

#[test]
fn a_name_that_comes_back_revives_nothing_over_http() {
    let api = Api::start();
    put(&api, "zoe", json!([]));
    let grant = json!({ "principal": user("zoe"), "role": "reader", "justification": "x" });
    let eligibility = api.post("carol", "/v1/eligibilities", &grant, 201);
    api.send(&call("DELETE", "/v1/entities?type=User&id=zoe").by("carol"));
    put(&api, "zoe", json!([]));
    assert_eq!(api.get("zoe", "/v1/me")["eligible"], json!([]));
    let seen = api.get("carol", &format!("/v1/eligibilities/{}", eligibility["id"].as_str().unwrap()));
    assert_eq!(seen["in_force"], json!(false), "{seen}");
}

#[test]
fn a_command_with_a_key_happens_once() {
    let api = Api::start();
    let grant = json!({ "principal": user("alice"), "role": "db-admin", "scope": PROD(), "justification": "x" });
    let send =
        |who: &str, key: &str, body: &Value| api.send(&call("POST", "/v1/eligibilities").by(who).header("idempotency-key", key).json(body));
    let first = send("carol", "k-1", &grant);
    let again = send("carol", "k-1", &grant);
    assert_eq!((first.status, again.status), (201, 201), "{} {}", first.text, again.text);
    assert_eq!(first.json()["id"], again.json()["id"]);
    assert_eq!((first.header("elevon-repeated"), again.header("elevon-repeated")), ("", "true"));
    let mut other = grant.clone();
    other["principal"] = user("dave");
    let reused = send("carol", "k-1", &other);
    assert_eq!((reused.status, reused.rule().as_str()), (409, "idempotency_key_reused"));
    assert_eq!(send("erin", "k-1", &other).status, 201);
    let refused = send("carol", "k-2", &grant);
    assert_eq!((refused.status, refused.rule().as_str()), (409, "already_granted"));
    assert_eq!(send("carol", "k-2", &grant).rule(), "already_granted");
    for key in ["", "a\tb", &"x".repeat(600)] {
        let answer = send("carol", key, &grant);
        assert_eq!((answer.status, answer.rule().as_str()), (400, "bad_parameter"), "{key:?}");
    }
}

#[test]
fn a_request_can_wait_for_a_sequence_and_not_for_ever() {
    let api = Api::start();
    let seq = api.seq();
    let ask = |path: &str, wanted: &str| api.send(&call("GET", path).by("alice").header("elevon-min-seq", wanted));
    for path in ["/v1/me", "/v1/elevated?principal_type=User&principal_id=alice&role=reader"] {
        assert_eq!(ask(path, &seq.to_string()).status, 200, "{path}");
        let late = ask(path, &(seq + 1).to_string());
        assert_eq!((late.status, late.rule().as_str(), late.header("retry-after")), (503, "seq_not_reached", "1"), "{path}");
        assert_eq!(ask(path, "soon").rule(), "bad_parameter", "{path}");
    }
    let granted = api.send(
        &call("POST", "/v1/eligibilities").by("carol").json(&json!({ "principal": user("alice"), "role": "reader", "justification": "x" })),
    );
    assert_eq!((granted.seq(), &granted.json()["seq"]), (seq + 1, &json!(seq + 1)));
    assert_eq!(granted.header("location"), format!("/v1/eligibilities/{}", granted.json()["id"].as_str().unwrap()));
    assert!(ask("/v1/me", &(seq + 1).to_string()).seq() > seq);
}

#[test]
fn grants_begin_end_and_are_never_for_oneself() {
    let api = Api::start();
    let grant = json!({ "principal": user("alice"), "role": "auditor", "end": "2100-01-01T00:00:00Z", "justification": "year end" });
    let long = api.send(&call("POST", "/v1/assignments").by("carol").json(&grant));
    assert_eq!((long.status, long.rule().as_str()), (422, "duration_too_long"), "{}", long.text);
    let own = json!({ "principal": user("carol"), "role": "reader", "justification": "x" });
    let refused = api.send(&call("POST", "/v1/eligibilities").by("carol").json(&own));
    assert_eq!((refused.status, refused.rule().as_str()), (403, "self_grant"), "{}", refused.text);
    let made = api.alice_is_eligible();
    let path = format!("/v1/eligibilities/{}", made["id"].as_str().unwrap());
    for (who, status) in [("alice", 200), ("carol", 200), ("grace", 200), ("dave", 403)] {
        assert_eq!(api.send(&call("GET", &path).by(who)).status, status, "{who}");
    }
    let denied = api.send(&call("DELETE", &path).by("dave"));
    assert_eq!((denied.status, denied.rule().as_str()), (403, "not_permitted"));
    let removed = api.send(&call("DELETE", &path).by("carol").json(&json!({ "reason": "off call" })));
    assert_eq!(
        (removed.status, &removed.json()["status"], &removed.json()["ended"]["reason"]),
        (200, &json!("removed"), &json!("off call"))
    );
    assert_eq!(api.get("carol", "/v1/eligibilities")["items"], json!([]));
    assert_eq!(api.get("carol", "/v1/eligibilities?include_ended=true")["items"].as_array().unwrap().len(), 1);
}
