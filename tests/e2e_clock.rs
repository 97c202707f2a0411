//! A clock that jumps ahead, through the whole program: what is bound to time stops counting, and somebody on the machine says what to believe.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::wildcard_enum_match_arm,
    reason = "a test fails by panicking, in its helpers too"
)]

mod common;

use common::names::{ALICE, BOB, CAROL, PROD, PROD_DB, ROLE};
use common::{Home, Server, elevon, eventually, uid};
use serde_json::{Value, json};

/// alice is active as a database administrator of prod.
fn active(server: &Server) {
    let request = json!({"role": ROLE, "scope": uid(PROD), "justification": "restore"});
    let request = server.post(ALICE, "/v1/activations", request, 201);
    let id = request["id"].as_str().unwrap();
    let hash = server.get(BOB, &format!("/v1/activations/{id}"))["request_hash"].clone();
    server.post(BOB, &format!("/v1/activations/{id}/approve"), json!({"request_hash": hash}), 200);
    assert!(server.check(ALICE, "write", PROD_DB).0);
}

fn accept(data: &str, wait: &str) -> (i32, Value) {
    let ran = elevon(&["clock", "accept", "--data", data, "--wait", wait, "--output", "json"]);
    (ran.code, serde_json::from_str(&ran.stdout).unwrap_or(Value::String(ran.stderr)))
}

#[test]
fn a_clock_that_jumped_is_believed_once_somebody_on_the_machine_says_so() {
    let home = Home::new();
    let data = home.data().to_str().unwrap().to_owned();
    let server = home.serve();
    let grant = json!({"principal": uid(("User", ALICE)), "role": ROLE, "scope": uid(PROD), "justification": "on call"});
    server.post(CAROL, "/v1/eligibilities", grant, 201);
    active(&server);

    let (code, answer) = accept(&data, "PT15S");
    assert_eq!((code, &answer["answer"]), (0, &json!("believed")), "{answer}");
    assert!(server.check(ALICE, "write", PROD_DB).0, "nothing was ended");

    server.jump("PT10M");
    assert_eq!(server.check(ALICE, "write", PROD_DB), (false, "time_untrusted".to_owned()));
    let (status, ready) = server.call(ALICE, "GET", "/readyz", Value::Null);
    assert_eq!((status, &ready["time_trusted"]), (503, &json!(false)), "{ready}");
    let (status, refused) = server.call(ALICE, "POST", "/v1/activations", json!({"role": ROLE, "scope": uid(PROD), "justification": "x"}));
    assert_eq!((status, &refused["rule"]), (503, &json!("time_untrusted")), "{refused}");
    eventually("the log says so", || server.log().contains("elevon clock accept"));

    let (code, answer) = accept(&data, "PT15S");
    assert_eq!((code, &answer["answer"]), (0, &json!("accepted")), "{answer}");
    assert_eq!(server.check(ALICE, "write", PROD_DB), (false, "no_permit".to_owned()));
    let (status, ready) = server.call(ALICE, "GET", "/readyz", Value::Null);
    assert_eq!((status, &ready["time_trusted"]), (200, &json!(true)), "{ready}");
    active(&server);
    let found = server.get(CAROL, "/v1/audit/events?kind=clock_accepted");
    assert!(found.to_string().contains("clock_accepted"), "{found}");
    assert!(!home.data().join("clock-accept").exists());
    server.kill();

    let rebuilt = elevon(&["rebuild", "--data", &data]);
    assert_eq!(rebuilt.code, 0, "{rebuilt:?}");
}

#[test]
fn a_word_that_no_server_takes_waits_for_the_next_one() {
    let home = Home::new();
    let data = home.data().to_str().unwrap().to_owned();
    let (code, answer) = accept(&data, "PT0S");
    assert!(code == 1 && answer.to_string().contains("there is no data in"), "{answer}");
    home.serve().kill();
    let (code, answer) = accept(&data, "PT0S");
    assert_eq!((code, &answer["answer"]), (1, &json!("waiting")), "{answer}");
    assert!(home.data().join("clock-accept").exists());
    let server = home.serve();
    eventually("the next server takes it", || !home.data().join("clock-accept").exists());
    server.kill();
}
