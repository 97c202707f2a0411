//! Conditions of a role: asked at every check, and never part of the policies.

use serde_json::{Value, json};

use crate::common::Server;
use crate::common::edges::{Edges, id_of, merged};
use crate::common::names::{ALICE, CAROL, PROD_DB};

fn asked(edges: &Edges, managed: Value) -> Value {
    let mut question = Server::question(ALICE, "write", PROD_DB);
    if !managed.is_null() {
        question["subject"] = merged(question["subject"].clone(), json!({"properties": {"device_managed": managed}}));
    }
    let verdict = edges.server.post(CAROL, "/access/v1/evaluation", question.clone(), 200);
    let explained = edges.server.post(CAROL, "/v1/explain", question, 200);
    assert_eq!(verdict["decision"], explained["decision"], "{verdict} {explained}");
    explained
}

#[test]
fn a_role_counts_where_its_conditions_hold_for_this_very_check() {
    let edges = Edges::start();
    let id = edges.begun(ALICE, "guarded", json!({}));
    assert_eq!(edges.status(&id), "active");
    for _ in 0..2 {
        for (managed, expected) in [(json!(true), true), (json!(false), false), (Value::Null, false)] {
            let explained = asked(&edges, managed.clone());
            assert_eq!(explained["decision"], json!(expected), "{managed}: {explained}");
            let holding = &explained["holdings"][0];
            assert_eq!((&holding["id"], &holding["counts"]), (&json!(id), &json!(expected)), "{explained}");
            assert_eq!(holding["why_not"].is_null(), expected, "{explained}");
        }
    }
    // nothing was revoked by it
    assert_eq!(edges.history(&id), ["alice activation_requested", "alice activation_started"]);
    assert_eq!(edges.status(&id), "active");

    // where there is no request there is no answer either
    let path = "/v1/elevated?principal_type=User&principal_id=alice&role=guarded";
    let elevated = edges.server.get(ALICE, path);
    assert_eq!(elevated["elevated"], json!(false), "{elevated}");
    assert!(elevated.to_string().contains("needs_context"), "{elevated}");
}

#[test]
fn a_condition_permits_nothing_by_itself() {
    let edges = Edges::start();
    // eligible and not active: the condition would permit everything from a managed device
    edges.eligible(ALICE, "guarded");
    assert_eq!(asked(&edges, json!(true))["decision"], json!(false));
    let id = id_of(&edges.asked(ALICE, "guarded", json!({})));
    assert_eq!(asked(&edges, json!(true))["decision"], json!(true));
    // one that fails to evaluate is as one that says no, in the role and nowhere else
    let other = edges.begun(ALICE, "plain", json!({"scope": {"type": "Database", "id": "orders"}}));
    assert!(edges.writes(ALICE));
    assert_eq!(edges.act(ALICE, &other, "deactivate", json!({})).0, 200);
    edges.home.edit("conditions/guarded.cedar", |text| {
        format!("{text}@id(\"overflow\")\nforbid(principal, action, resource) when {{ 9223372036854775807 + context.now.toTime().toSeconds() > 0 }};\n")
    });
    edges.reload();
    assert_eq!(asked(&edges, json!(true))["decision"], json!(false));
    assert_eq!(edges.status(&id), "active");
}

#[test]
fn the_bundle_holds_roles_and_conditions_together() {
    let edges = Edges::start();
    let path = edges.home.policies().join("conditions/guarded.cedar");
    let text = std::fs::read_to_string(&path).unwrap();
    let id = edges.begun(ALICE, "guarded", json!({}));
    // promised and not there; there and not promised; of a role that nobody knows
    let broken: [&dyn Fn(); 3] = [
        &|| std::fs::remove_file(&path).unwrap(),
        &|| std::fs::write(edges.home.policies().join("conditions/plain.cedar"), &text).unwrap(),
        &|| std::fs::write(edges.home.policies().join("conditions/plane.cedar"), &text).unwrap(),
    ];
    for (number, breaks) in broken.into_iter().enumerate() {
        breaks();
        let (status, reply) = edges.server.call(CAROL, "POST", "/v1/policies/reload", Value::Null);
        assert_eq!((status, &reply["rule"]), (422, &json!("bundle_invalid")), "{number}: {reply}");
        assert_eq!(asked(&edges, json!(true))["decision"], json!(true), "{number}");
        for file in ["plain.cedar", "plane.cedar"] {
            let _ = std::fs::remove_file(edges.home.policies().join("conditions").join(file));
        }
        std::fs::write(&path, &text).unwrap();
    }
    assert_eq!(edges.status(&id), "active");
}
