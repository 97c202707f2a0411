//! What must not be in the log, at any level.

use serde_json::json;

use crate::common::names::{ALICE, BOB, CAROL};
use crate::common::{Home, Server};
use crate::help::{PROD, id, user};

/// Secrets never in logs: a whole story at the most talkative level, with a mark in every text that a person wrote and in every credential; the log
/// holds none of them.
#[test]
fn no_text_and_no_credential_is_logged_at_any_level() {
    let home = Home::new();
    home.let_carol_manage_the_bundle();
    let server = home.serve_with(&[("ELEVON_LOG", "trace"), ("RUST_BACKTRACE", "1")]);
    let send = |who: &str, method: &str, path: &str, body: serde_json::Value| {
        let headers = [("authorization", format!("Dev User::\"{who}\"; mfa=pwd,otp"))];
        let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        server.send(method, path, &headers, Some(&body))
    };
    let grant = json!({ "principal": user(ALICE), "role": "db-admin", "scope": PROD(), "justification": "MARK-grant" });
    assert_eq!(send(CAROL, "POST", "/v1/eligibilities", grant).0, 201);
    let ask = json!({ "role": "db-admin", "scope": PROD(), "duration": "PT5M", "justification": "MARK-reason",
                      "ticket": { "system": "MARK-system", "number": "MARK-number" } });
    let (status, asked) = send(ALICE, "POST", "/v1/activations", ask.clone());
    assert_eq!(status, 201, "{asked}");
    let path = |verb: &str| format!("/v1/activations/{}/{verb}", id(&asked));
    let vote = |hash: &serde_json::Value| json!({ "request_hash": hash, "justification": "MARK-vote" });
    // refused, malformed, repeated, and done
    assert_eq!(send(ALICE, "POST", &path("approve"), vote(&asked["request_hash"])).0, 403);
    assert_eq!(send(BOB, "POST", &path("approve"), vote(&json!("0".repeat(64)))).0, 409);
    assert_eq!(send(BOB, "POST", &path("approve"), vote(&json!("MARK-hash"))).0, 400);
    assert_eq!(send(ALICE, "POST", "/v1/activations", json!({ "MARK-member": "MARK-value", "role": "MARK\u{1b}" })).0, 400);
    assert_eq!(send(BOB, "POST", &path("approve"), vote(&asked["request_hash"])).0, 200);
    assert_eq!(send(ALICE, "POST", &path("deactivate"), json!({ "reason": "MARK-end" })).0, 200);
    let stored = json!({ "uid": user("zoe"), "attrs": { "name": "MARK-attribute", "person": "MARK-person" } });
    assert_eq!(send(CAROL, "PUT", "/v1/entities", stored).0, 201);
    assert_eq!(send(CAROL, "POST", "/v1/entities/disable", json!({ "type": "User", "id": "zoe", "reason": "MARK-left" })).0, 200);
    assert_eq!(send(CAROL, "PUT", "/v1/entities", json!({ "uid": user("yan"), "attrs": { "none": "MARK-invalid" } })).0, 422);
    let check = json!({ "subject": { "type": "User", "id": ALICE, "properties": { "x": "MARK-property" } }, "action": { "name": "write" },
                        "resource": { "type": "Database", "id": "orders" }, "context": { "x": "MARK-context" } });
    assert_eq!(send(CAROL, "POST", "/access/v1/evaluation", check.clone()).0, 200);
    assert_eq!(send(CAROL, "POST", "/v1/explain", check).0, 200);
    credentials_that_are_refused(&server);
    assert_eq!(server.send("GET", "/v1/activations?MARK-parameter=MARK-query", &[("authorization", "Dev User::\"alice\"")], None).0, 400);
    assert_eq!(server.send("GET", "/MARK-path", &[("authorization", "Dev User::\"alice\"")], None).0, 404);
    let log = server.log();
    let lines = log.lines().count();
    assert!(log.contains("answered") && log.contains("DEBUG") && lines > 20, "the log is at its most talkative: {lines} lines");
    let told: Vec<&str> = log.lines().filter(|line| line.contains("MARK")).collect();
    assert!(told.is_empty(), "{} lines tell: {:#?}", told.len(), &told[..told.len().min(10)]);
    assert!(!log.contains("Dev User::"), "nor is a credential there");
    assert!(
        log.chars().all(|letter| !letter.is_control() || letter == '\n' || letter == '\u{1b}'),
        "and nothing that was sent moves a terminal"
    );
}

fn credentials_that_are_refused(server: &Server) {
    let rows = [
        "Bearer elv_MARKMARKMARKMARKMARKMARKMARKMARKMARKMARKMARK",
        "Bearer eyJhbGciOiJub25lIiwia2lkIjoiTUFSSyJ9.eyJzdWIiOiJNQVJLIn0.MARK",
        "Basic TUFSSzpNQVJL-MARK",
        "Dev User::\"MARK",
        "Dev User::\"alice\"; mfa=MARK; auth_time=MARK",
        "MARK",
    ];
    for credential in rows {
        let (status, reply) = server.send("GET", "/v1/me", &[("authorization", credential)], None);
        assert_eq!(status, 401, "{credential}: {reply}");
        // a development header is no secret, and is told what is wrong with it
        assert!(credential.starts_with("Dev ") || !reply.to_string().contains("MARK"), "what was sent is not said back: {reply}");
    }
}
