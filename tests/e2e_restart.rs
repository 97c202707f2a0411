//! What was acknowledged is there after `kill -9`, and replaying the journal gives exactly what is stored.

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
use common::{Home, elevon, uid};
use serde_json::json;

#[test]
fn an_approval_that_was_acknowledged_survives_a_kill() {
    let home = Home::new();
    let server = home.serve();
    let grant = json!({"principal": uid(("User", ALICE)), "role": ROLE, "scope": uid(PROD), "justification": "on call"});
    server.post(CAROL, "/v1/eligibilities", grant, 201);
    let request = json!({"role": ROLE, "scope": uid(PROD), "justification": "restore"});
    let request = server.post(ALICE, "/v1/activations", request, 201);
    let id = request["id"].as_str().unwrap().to_owned();
    let hash = server.get(BOB, &format!("/v1/activations/{id}"))["request_hash"].clone();
    let approved = server.post(BOB, &format!("/v1/activations/{id}/approve"), json!({"request_hash": hash}), 200);
    server.kill();

    let rebuilt = elevon(&["rebuild", "--data", home.data().to_str().unwrap()]);
    assert_eq!(rebuilt.code, 0, "{rebuilt:?}");

    let server = home.serve();
    let there = server.get(ALICE, &format!("/v1/activations/{id}"));
    assert_eq!((&there["status"], &there["end"]), (&json!("active"), &approved["end"]), "{there}");
    assert!(server.check(ALICE, "write", PROD_DB).0);
    // asked for again, it is the one that is there
    let again = server.post(BOB, &format!("/v1/activations/{id}/approve"), json!({"request_hash": hash}), 409);
    assert_eq!(again["rule"], "not_in_state", "{again}");
    server.kill();
}

#[test]
fn many_acknowledged_commands_survive_a_kill_in_the_middle() {
    let home = Home::new();
    let server = home.serve();
    let stored: Vec<String> = (0..40).map(|number| format!("temp-{number}")).collect();
    let acknowledged: Vec<&String> = std::thread::scope(|scope| {
        let workers: Vec<_> = stored
            .chunks(10)
            .map(|chunk| {
                let server = &server;
                let put = move |name: &&String| {
                    let body = json!({"uid": {"type": "User", "id": name}, "parents": [], "attrs": {}});
                    server.call(CAROL, "PUT", "/v1/entities", body).0 == 201
                };
                scope.spawn(move || chunk.iter().filter(put).collect::<Vec<_>>())
            })
            .collect();
        workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
    });
    assert_eq!(acknowledged.len(), 40);
    server.kill();
    let server = home.serve();
    for name in acknowledged {
        let found = server.get(CAROL, &format!("/v1/entities?type=User&id={name}"));
        assert!(found.to_string().contains(name.as_str()), "{found}");
    }
    server.kill();
    let (data, out) = (home.data(), ["rebuild", "--output", "json", "--data"]);
    let rebuilt = elevon(&[out.as_slice(), &[data.to_str().unwrap()]].concat());
    assert_eq!(rebuilt.code, 0, "{rebuilt:?}");
    let report: serde_json::Value = serde_json::from_str(&rebuilt.stdout).unwrap();
    assert_eq!(report["equal"], json!(true), "{report}");
    assert!(report["records"].as_u64().unwrap() >= 41, "{report}");
}
