//! Names: what counts as one, who owns it, and what becomes of it when it comes back.

use std::fs;

use serde_json::{Value, json};

use crate::common::edges::{DAVE, Edges, HOLDERS, VOTERS, id_of, rule, rule_of};
use crate::common::names::{ALICE, CAROL, PROD_DB};
use crate::common::uid;

#[test]
fn case_tells_no_two_users_apart() {
    let edges = Edges::start();
    assert_eq!(edges.store(CAROL, "zoe", &[], json!({})).0, 201);
    // no second one, whoever owns the first
    for name in ["Zoe", "ZOE", "Alice"] {
        assert_eq!(rule_of(edges.store(CAROL, name, &[], json!({}))), rule(409, "fold_exists"), "{name}");
    }
    edges.eligible("zoe", "plain");
    // a credential is mapped to the spelling that is known, and a check is not
    let id = id_of(&edges.asked("ZOE", "plain", json!({})));
    assert_eq!(edges.shown(&id)["principal"], uid(("User", "zoe")));
    assert_eq!(edges.server.get("Zoe", "/v1/me")["principal"], uid(("User", "zoe")));
    assert!(edges.writes("zoe"));
    assert_eq!(edges.server.check("Zoe", "write", PROD_DB), (false, "unknown_principal".to_owned()));
    // groups are told apart
    for name in ["night-shift", "Night-Shift"] {
        let put = json!({"uid": uid(("Group", name)), "parents": [], "attrs": {}});
        assert_eq!(edges.server.call(CAROL, "PUT", "/v1/entities", put).0, 201, "{name}");
    }
    // text that is not normalised is nobody's name
    let (status, reply) = edges.store(CAROL, "zoe\u{308}", &[], json!({}));
    assert_eq!(status, 400, "{reply}");
}

#[test]
fn two_accounts_are_one_person() {
    let edges = Edges::start();
    for who in ["yara", "yara-two"] {
        assert_eq!(edges.store(CAROL, who, &[VOTERS], json!({"person": "yara"})).0, 201);
    }
    let id = edges.begun(ALICE, "paired", json!({}));
    edges.approve("yara", &id, "pending");
    assert_eq!(rule_of(edges.vote("yara-two", &id, "approve", json!({}))), rule(409, "already_voted"));
    // nor does one grant to the other
    assert_eq!(edges.store("erin", "zed", &[("Group", "security")], json!({"person": "alice"})).0, 201);
    assert_eq!(edges.store(CAROL, "zed-two", &[], json!({"person": "alice"})).0, 201);
    let body = json!({"principal": uid(("User", "zed-two")), "role": "plain", "justification": "x"});
    assert_eq!(rule_of(edges.server.call("zed", "POST", "/v1/eligibilities", body)), rule(403, "self_grant"));
}

#[test]
fn names_that_come_back_revive_nothing() {
    let edges = Edges::start();
    let delete = |kind: &str, id: &str| {
        let (status, reply) = edges.server.call(CAROL, "DELETE", &format!("/v1/entities?type={kind}&id={id}"), Value::Null);
        assert_eq!(status, 200, "{reply}");
    };
    // a principal
    assert_eq!(edges.store(CAROL, "zoe", &[], json!({})).0, 201);
    let id = edges.begun("zoe", "plain", json!({}));
    let assignment = edges.grant("/v1/assignments", ("User", "zoe"), "assigned", json!({"end": edges.later(600)}));
    assert!(edges.writes("zoe"));
    delete("User", "zoe");
    assert_eq!(edges.server.check("zoe", "write", PROD_DB), (false, "unknown_principal".to_owned()));
    assert_eq!(edges.one_event(&id, "activation_revoked")["cause"], json!({"principal_deleted": uid(("User", "zoe"))}));
    assert_eq!(edges.store(CAROL, "zoe", &[], json!({})).0, 201);
    assert!(!edges.writes("zoe"));
    assert_eq!(edges.refused("zoe", "plain", json!({})), rule(403, "not_eligible"));
    assert_eq!(edges.server.get(CAROL, &format!("/v1/assignments/{assignment}"))["in_force"], json!(false));

    // a group, and who was in it
    let shift = ("Group", "shift");
    let put = json!({"uid": uid(shift), "parents": [], "attrs": {}});
    assert_eq!(edges.server.call(CAROL, "PUT", "/v1/entities", put.clone()).0, 201);
    assert_eq!(edges.store(CAROL, "yara", &[shift], json!({})).0, 201);
    edges.grant("/v1/eligibilities", shift, "plain", json!({}));
    let id = id_of(&edges.asked("yara", "plain", json!({})));
    assert!(edges.writes("yara"));
    delete("Group", "shift");
    assert!(!edges.writes("yara"));
    assert_eq!(edges.one_event(&id, "activation_revoked")["cause"], json!({"group_left": uid(shift)}));
    assert_eq!(edges.server.call(CAROL, "PUT", "/v1/entities", put).0, 201);
    assert!(!edges.writes("yara"));
    assert_eq!(edges.server.get("yara", "/v1/me")["groups"], json!([]));
}

#[test]
fn one_name_has_one_owner() {
    let edges = Edges::start();
    // what the bundle defines is not written by API, and can be disabled all the same
    assert_eq!(rule_of(edges.store(CAROL, DAVE, &[], json!({}))), rule(409, "owned_by_bundle"));
    let (status, refused) = edges.server.call(CAROL, "DELETE", "/v1/entities?type=User&id=dave", Value::Null);
    assert_eq!((status, &refused["rule"]), (409, &json!("owned_by_bundle")), "{refused}");

    // a bundle that claims a stored name shadows it whole: attributes, groups and what follows from them
    assert_eq!(edges.store(CAROL, "zoe", &[HOLDERS], json!({"name": "Zoe"})).0, 201);
    edges.grant("/v1/eligibilities", HOLDERS, "plain", json!({}));
    let id = id_of(&edges.asked("zoe", "plain", json!({})));
    assert!(edges.writes("zoe"));
    let entities = edges.home.policies().join("entities.json");
    let before = fs::read_to_string(&entities).unwrap();
    edges.home.edit("entities.json", |text| {
        let mut all: Vec<Value> = serde_json::from_str(&text).unwrap();
        all.push(json!({"uid": uid(("User", "zoe")), "attrs": {"name": "Zoe of the bundle"}, "parents": [uid(("Group", "dba"))]}));
        serde_json::to_string(&all).unwrap()
    });
    edges.reload();
    let shown = edges.server.get(CAROL, "/v1/entities?type=User&id=zoe");
    assert_eq!((&shown["owner"], &shown["attrs"]["name"]), (&json!("bundle"), &json!("Zoe of the bundle")), "{shown}");
    assert!(!edges.writes("zoe"));
    assert_eq!(edges.one_event(&id, "activation_revoked")["cause"], json!({"group_left": uid(HOLDERS)}));
    assert_eq!(edges.all_of_kind("bundle_activated").last().unwrap()["entities_shadowed"], json!([uid(("User", "zoe"))]));
    assert!(edges.server.log().contains("hides entities that were stored"), "the log warns:\n{}", edges.server.log());
    assert_eq!(rule_of(edges.store(CAROL, "zoe", &[], json!({}))), rule(409, "owned_by_bundle"));

    // it claims it no longer: what was stored is there again, as another incarnation
    fs::write(&entities, before).unwrap();
    edges.reload();
    let shown = edges.server.get(CAROL, "/v1/entities?type=User&id=zoe");
    assert_eq!(shown["attrs"]["name"], json!("Zoe"), "{shown}");
    assert!(!edges.writes("zoe"));
}

#[test]
fn a_sync_takes_back_its_own_edges_only() {
    let edges = Edges::start();
    let put = |source: Option<&str>, groups: &[(&str, &str)]| {
        let parents: Vec<Value> = groups.iter().map(|group| uid(*group)).collect();
        let mut body = json!({"uid": uid(("User", "zoe")), "parents": parents, "attrs": {}});
        if let Some(source) = source {
            body["source"] = json!(source);
        }
        let (status, reply) = edges.server.call(CAROL, "PUT", "/v1/entities", body);
        assert!(status == 200 || status == 201, "{status} {reply}");
    };
    let groups = || -> Vec<String> {
        let me = edges.server.get("zoe", "/v1/me");
        let mut names: Vec<String> =
            me["groups"].as_array().unwrap().iter().map(|group| group["id"].as_str().unwrap().to_owned()).collect();
        names.sort();
        names
    };
    put(None, &[HOLDERS]);
    put(Some("scim"), &[VOTERS]);
    assert_eq!(groups(), ["holders", "voters"]);
    put(Some("scim"), &[]);
    assert_eq!(groups(), ["holders"]);
    // both say so: it takes both to take it back
    put(Some("scim"), &[HOLDERS]);
    put(None, &[]);
    assert_eq!(groups(), ["holders"]);
    put(Some("scim"), &[]);
    assert!(groups().is_empty());
    let (status, reply) =
        edges.server.call(CAROL, "PUT", "/v1/entities", json!({"uid": uid(("User", "zoe")), "parents": [], "source": "bundle"}));
    assert_eq!(status, 400, "{reply}");
}
