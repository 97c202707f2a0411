//! The story of the README against the real binary, over HTTP and by the command line, with a clock that the test moves.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::wildcard_enum_match_arm,
    reason = "a test fails by panicking, in its helpers too"
)]

mod common;

use std::fs;

use common::names::{ALICE, BOB, CAROL, OTHER_DB, PROD, PROD_DB, ROLE};
use common::{Home, Server, eventually, uid};
use serde_json::{Value, json};

fn who(item: &Value) -> &str {
    item.pointer("/record/actor/caller/principal/id").and_then(Value::as_str).unwrap_or("elevon")
}

/// Makes alice eligible as carol, and lets her ask; the id of her request.
fn ask(server: &Server) -> String {
    let grant = json!({"principal": uid(("User", ALICE)), "role": ROLE, "scope": uid(PROD), "justification": "on call"});
    let (status, reply) = server.call(CAROL, "POST", "/v1/eligibilities", grant);
    assert!(status == 201, "{reply}");
    let request = json!({"role": ROLE, "scope": uid(PROD), "duration": "PT5M", "justification": "restore the orders table"});
    let request = server.post(ALICE, "/v1/activations", request, 201);
    assert_eq!(request["status"], "pending", "{request}");
    request["id"].as_str().unwrap().to_owned()
}

fn approve(server: &Server, id: &str) {
    let request = server.get(BOB, &format!("/v1/activations/{id}"));
    let vote = json!({"request_hash": request["request_hash"], "justification": "seen with alice"});
    let approved = server.post(BOB, &format!("/v1/activations/{id}/approve"), vote, 200);
    assert_eq!(approved["status"], "active", "{approved}");
}

#[test]
fn alice_is_denied_then_allowed_on_prod_and_denied_when_her_time_is_over() {
    let home = Home::new();
    let server = home.serve();

    // denied, and not eligible
    assert_eq!(server.check(ALICE, "write", PROD_DB), (false, "no_permit".to_owned()));
    let request = json!({"role": ROLE, "scope": uid(PROD), "justification": "restore"});
    let (status, refused) = server.call(ALICE, "POST", "/v1/activations", request);
    assert_eq!((status, &refused["rule"]), (403, &json!("not_eligible")), "{refused}");

    // eligible is not active, and asked for is not approved
    let id = ask(&server);
    assert!(!server.check(ALICE, "write", PROD_DB).0);
    let waiting = server.get(BOB, "/v1/approvals");
    assert_eq!(waiting["items"][0]["id"], json!(id), "{waiting}");

    // alice does not approve herself, whatever she knows
    let hash = waiting["items"][0]["request_hash"].clone();
    let (status, refused) = server.call(ALICE, "POST", &format!("/v1/activations/{id}/approve"), json!({"request_hash": hash}));
    assert_eq!(status, 403, "{refused}");
    assert!(!server.check(ALICE, "write", PROD_DB).0);

    // bob approves: allowed on prod, not elsewhere
    approve(&server, &id);
    assert_eq!(server.check(ALICE, "write", PROD_DB), (true, "permitted".to_owned()));
    assert!(!server.check(ALICE, "write", OTHER_DB).0);
    let query =
        format!("/v1/elevated?principal_type=User&principal_id={ALICE}&role={ROLE}&resource_type={}&resource_id={}", PROD_DB.0, PROD_DB.1);
    let elevated = server.get(ALICE, &query);
    assert_eq!((&elevated["elevated"], &elevated["holdings"][0]["id"]), (&json!(true), &json!(id)), "{elevated}");

    // one instant before the end, and at the end: the check right after the clock moved is what decides, no timer
    server.advance("PT4M59S");
    assert!(server.check(ALICE, "write", PROD_DB).0);
    server.advance("PT1S");
    assert_eq!(server.check(ALICE, "write", PROD_DB), (false, "no_permit".to_owned()));

    // what happened, by whom, when and why
    eventually("the expiry is recorded", || {
        let events = server.get(CAROL, &format!("/v1/audit/events?activation={id}"));
        kinds(&events).contains(&"activation_expired".to_owned())
    });
    let events = server.get(CAROL, &format!("/v1/audit/events?activation={id}"));
    let items = events["items"].as_array().unwrap();
    let changes: Vec<String> = kinds(&events).into_iter().filter(|kind| kind != "command_refused").collect();
    assert_eq!(changes, ["activation_requested", "approval_given", "activation_started", "activation_expired"]);
    let asked = items.iter().find(|item| item.to_string().contains("activation_requested")).unwrap();
    assert_eq!(who(asked), ALICE);
    assert!(asked["texts"].to_string().contains("restore the orders table"), "{asked}");
    assert!(asked.pointer("/record/at").is_some_and(Value::is_string));
    let approved = items.iter().find(|item| item.to_string().contains("approval_given")).unwrap();
    assert_eq!(who(approved), BOB);
    assert!(approved["texts"].to_string().contains("seen with alice"), "{approved}");
    let expired = items.iter().find(|item| item.to_string().contains("activation_expired")).unwrap();
    assert_eq!(who(expired), "elevon");
}

fn kinds(events: &Value) -> Vec<String> {
    let records = events["items"].as_array().unwrap();
    let of = |item: &Value| item.pointer("/record/events").and_then(Value::as_array).cloned().unwrap_or_default();
    records.iter().flat_map(of).map(|event| event["kind"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn an_edited_policy_changes_the_next_answer() {
    let home = Home::new();
    let server = home.serve();
    assert_eq!(server.check(ALICE, "list", PROD_DB), (false, "no_permit".to_owned()));

    let added = home.policies().join("dba.cedar");
    let permit = "@id(\"dba-list\")\npermit(principal in Group::\"dba\", action == Action::\"list\", resource is Database);\n";
    fs::write(&added, permit).unwrap();
    eventually("the edited folder is live", || server.check(ALICE, "list", PROD_DB).0);
    let explained = server.post(CAROL, "/v1/explain", Server::question(ALICE, "list", PROD_DB), 200);
    assert_eq!(explained["policies"], json!(["dba-list"]), "{explained}");

    // what is not in order changes nothing
    fs::write(&added, permit.replace("Group::", "Grup::")).unwrap();
    eventually("the server says what is wrong", || server.log().contains("dba.cedar"));
    assert!(server.check(ALICE, "list", PROD_DB).0);

    fs::remove_file(&added).unwrap();
    eventually("the folder is as it was", || !server.check(ALICE, "list", PROD_DB).0);
}

#[test]
fn the_same_by_the_command_line() {
    let home = Home::new();
    let server = home.serve();
    let (alice, prod, orders) = (format!("User::\"{ALICE}\""), named(PROD), named(PROD_DB));
    let check = ["check", &alice, "Action::\"write\"", &orders];

    let denied = server.cli(ALICE, &check);
    assert_eq!(denied.code, 1, "{denied:?}");
    assert!(denied.stdout.starts_with("denied"), "{denied:?}");

    let refused = server.cli(ALICE, &["activate", ROLE, "--scope", &prod, "--reason", "restore"]);
    assert_eq!(refused.code, 1, "{refused:?}");
    assert!(refused.stderr.contains("not eligible"), "{refused:?}");

    let added = server.cli(CAROL, &["eligibility", "add", &alice, ROLE, "--scope", &prod, "--for", "P30D", "--reason", "on call"]);
    assert_eq!(added.code, 0, "{added:?}");
    let (code, request) =
        server.cli_json(ALICE, &["activate", ROLE, "--scope", &prod, "--for", "PT5M", "--reason", "restore the orders table"]);
    assert_eq!((code, &request["status"]), (0, &json!("pending")), "{request}");
    let id = request["id"].as_str().unwrap();

    let waiting = server.cli(BOB, &["approvals"]);
    assert!(waiting.stdout.contains(id) && waiting.stdout.contains("restore the orders table"), "{waiting:?}");
    let wrong = server.cli(BOB, &["approve", id, "--hash", &"0".repeat(64)]);
    assert_eq!(wrong.code, 1, "{wrong:?}");
    let approved = server.cli(BOB, &["approve", id, "--reason", "seen with alice"]);
    assert_eq!(approved.code, 0, "{approved:?}");
    assert!(approved.stdout.contains("restore the orders table") && approved.stdout.contains("active"), "{approved:?}");

    let allowed = server.cli(ALICE, &check);
    assert_eq!(allowed.code, 0, "{allowed:?}");
    assert!(allowed.stdout.starts_with("allowed") && allowed.stdout.contains("left"), "{allowed:?}");
    let status = server.cli(ALICE, &["status"]);
    assert!(status.stdout.contains(ROLE) && status.stdout.contains("min left"), "{status:?}");
    assert!(!status.stdout.contains('\u{1b}'), "no colour where there is no terminal: {status:?}");
    let explained = server.cli(CAROL, &["explain", &alice, "write", &named(OTHER_DB)]);
    assert_eq!(explained.code, 1, "{explained:?}");
    assert!(explained.stdout.contains("the resource is not there"), "{explained:?}");

    let audit = server.cli(CAROL, &["audit", "list", "--activation", id]);
    assert!(audit.stdout.contains(ALICE) && audit.stdout.contains(BOB) && audit.stdout.contains("seen with alice"), "{audit:?}");
    let secret = server.cli(ALICE, &["audit", "list"]);
    assert_eq!(secret.code, 1, "{secret:?}");

    let given_up = server.cli(ALICE, &["deactivate", id]);
    assert_eq!(given_up.code, 0, "{given_up:?}");
    assert_eq!(server.cli(ALICE, &check).code, 1);
    let again = server.cli(ALICE, &["deactivate", id]);
    assert_eq!(again.code, 1, "{again:?}");
}

fn named(entity: (&str, &str)) -> String {
    format!("{}::\"{}\"", entity.0, entity.1)
}

#[test]
fn names_that_nobody_stored_and_names_that_come_back() {
    let home = Home::new();
    let server = home.serve();
    assert_eq!(server.check("nobody", "write", PROD_DB), (false, "unknown_principal".to_owned()));
    assert_eq!(server.check(ALICE, "write", (PROD_DB.0, "nothing")), (false, "unknown_resource".to_owned()));

    // a role is never a stored parent
    let zoe = uid(("User", "zoe"));
    let put = |parents: Value| json!({"uid": zoe, "parents": parents, "attrs": {}});
    let (status, refused) = server.call(CAROL, "PUT", "/v1/entities", put(json!([{"type": "Role", "id": ROLE}])));
    assert_eq!((status, &refused["rule"]), (422, &json!("role_as_parent")), "{refused}");

    // a principal that is deleted and comes back has none of what it had
    let (status, stored) = server.call(CAROL, "PUT", "/v1/entities", put(json!([])));
    assert_eq!(status, 201, "{stored}");
    let grant = json!({"principal": zoe, "role": ROLE, "scope": uid(PROD), "justification": "on call"});
    server.post(CAROL, "/v1/eligibilities", grant, 201);
    let request = json!({"role": ROLE, "scope": uid(PROD), "justification": "restore"});
    let id = server.post("zoe", "/v1/activations", request, 201)["id"].as_str().unwrap().to_owned();
    approve(&server, &id);
    assert!(server.check("zoe", "write", PROD_DB).0);
    let (status, gone) = server.call(CAROL, "DELETE", "/v1/entities?type=User&id=zoe", Value::Null);
    assert_eq!(status, 200, "{gone}");
    assert_eq!(server.check("zoe", "write", PROD_DB), (false, "unknown_principal".to_owned()));
    let (status, stored) = server.call(CAROL, "PUT", "/v1/entities", put(json!([])));
    assert_eq!(status, 201, "{stored}");
    assert!(!server.check("zoe", "write", PROD_DB).0);
    let me = server.get("zoe", "/v1/me");
    assert_eq!((&me["eligible"], &me["pending"]), (&json!([]), &json!([])), "{me}");
}
