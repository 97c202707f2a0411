//! Keys that collide: two different things under one key, where the second is answered with what belongs to the first.

use elevon::domain::Uid;
use elevon::domain::id::fold;
use elevon::domain::text::Digest;
use proptest::prelude::*;
use serde_json::json;

use crate::help::{Api, PROD, call, id, user};

/// Ids of the letters that separate things elsewhere.
fn ids() -> impl Strategy<Value = String> {
    "[a:\"\\\\/|,#%é]{1,6}"
}

fn uids() -> impl Strategy<Value = Uid> {
    ("[A-Z][a-z]{0,2}(::[A-Z]){0,2}", ids()).prop_map(|(kind, id)| Uid::new(&kind, &id).unwrap())
}

proptest! {
    /// Colliding cache keys (CVE-2024-56323): a name in print is one name.
    #[test]
    #[test]
    fn two_names_never_print_the_same(one in uids(), other in uids()) {
        prop_assert_eq!(one == other, one.to_string() == other.to_string());
        prop_assert_eq!(Uid::parse(&one.to_string()).unwrap(), one);
    }

    /// Colliding cache keys (CVE-2024-56323): a digest over fields says where each of them ends, so that no text moves from one to the next.
    #[test]
    #[test]
    fn two_lists_of_fields_never_share_a_digest(one in prop::collection::vec("[a\\x00:]{0,3}", 0..4), other in prop::collection::vec("[a\\x00:]{0,3}", 0..4)) {
        let digest = |fields: &[String]| Digest::of_fields(fields.iter().map(String::as_bytes));
        prop_assert_eq!(one == other, digest(&one) == digest(&other));
    }

    /// Names that differ by case only have one fold, and a fold is folded: no third spelling comes of it.
    #[test]
    #[test]
    fn a_fold_is_folded(name in "[a-zA-ZßẞſİıΣςσǅŉΐᾳﬁĳKÅ]{1,8}") {
        let once = fold(&name);
        prop_assert_eq!(fold(&once), once.clone());
        prop_assert_eq!(fold(&name.to_uppercase()), fold(&fold(&name.to_uppercase())));
    }
}

/// Colliding idempotency keys (CVE-2024-56323): a key is of a caller, a method, a path and a body. What one caller sent is never the answer to
/// another, nor to another question.
#[test]
fn an_idempotency_key_answers_its_own_caller_and_command_only() {
    let api = Api::start();
    api.alice_is_eligible();
    let grant = json!({ "principal": user("dave"), "role": "db-admin", "scope": PROD(), "justification": "on call" });
    api.post("carol", "/v1/eligibilities", &grant, 201);
    let ask = json!({ "role": "db-admin", "scope": PROD(), "duration": "PT5M", "justification": "restore" });
    let send =
        |who: &str, path: &str, body: &serde_json::Value| api.send(&call("POST", path).by(who).header("idempotency-key", "k").json(body));
    let first = send("alice", "/v1/activations", &ask);
    assert_eq!(first.status, 201, "{}", first.text);
    assert_eq!(id(&send("alice", "/v1/activations", &ask).json()), id(&first.json()), "repeated");
    // another caller's is its own
    let other = send("dave", "/v1/activations", &ask);
    assert_eq!((other.status, &other.json()["principal"]), (201, &user("dave")), "{}", other.text);
    assert_ne!(id(&other.json()), id(&first.json()));
    // another body, another path, and the same body elsewhere are conflicts, never answers
    let mut longer = ask.clone();
    longer["duration"] = json!("PT6M");
    let cancel = format!("/v1/activations/{}/cancel", id(&first.json()));
    for (path, body) in [("/v1/activations", &longer), (cancel.as_str(), &json!({}))] {
        let answer = send("alice", path, body);
        assert_eq!((answer.status, answer.rule().as_str()), (409, "idempotency_key_reused"), "{path}: {}", answer.text);
    }
    assert_eq!(api.get("alice", &format!("/v1/activations/{}", id(&first.json())))["status"], "pending");
}

/// Colliding cache keys (CVE-2024-56323): what is kept of one principal's memberships is never taken for another's, whatever their names hold,
/// and however the two are asked about in turn.
#[test]
fn what_is_kept_of_one_principal_is_not_answered_for_another() {
    let api = Api::start();
    let group = |name: &str| json!({ "type": "Group", "id": name });
    let parents: Vec<_> = (0..40).map(|number| group(&format!("g{number}"))).collect();
    for parent in &parents {
        let answer = api.send(&call("PUT", "/v1/entities").by("carol").json(&json!({ "uid": parent })));
        assert_eq!(answer.status, 201, "{}", answer.text);
    }
    let names = ["zoe", "zoe:g1", "zoe\"", "zoe\\", "zoe\\\"", "User::\"zoe\"", "zoe/g1", "zoe|1"];
    for (place, name) in names.iter().enumerate() {
        let own = &parents[place * 5..place * 5 + 5];
        let answer = api.send(&call("PUT", "/v1/entities").by("carol").json(&json!({ "uid": user(name), "parents": own })));
        assert_eq!(answer.status, 201, "{name}: {}", answer.text);
        api.post("carol", "/v1/eligibilities", &json!({ "principal": own[0], "role": "reader", "justification": "x" }), 201);
    }
    for _ in 0..2 {
        for (place, name) in names.iter().enumerate() {
            let credential = format!("Dev User::\"{}\"", name.replace('\\', "\\\\").replace('"', "\\\""));
            let me = api.send(&call("GET", "/v1/me").header("authorization", &credential));
            let mut groups: Vec<String> =
                me.json()["groups"].as_array().unwrap().iter().map(|group| group["id"].as_str().unwrap().to_owned()).collect();
            groups.sort();
            let mut own: Vec<String> = (place * 5..place * 5 + 5).map(|number| format!("g{number}")).collect();
            own.sort();
            assert_eq!(groups, own, "{name}");
            let through = me.json()["eligible"][0]["holder"].clone();
            assert!(through.is_null() || through == parents[place * 5], "{name}: {}", me.text);
        }
    }
}
