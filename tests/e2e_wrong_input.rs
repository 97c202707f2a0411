//! Wrong input at each door: a clear message, the right code, and no change.

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
use std::net::TcpListener;
use std::process::Command;

use common::names::{ALICE, BOB, CAROL, PROD, PROD_DB, ROLE};
use common::{ELEVON, Home, Ran, Server, elevon, run, uid};
use serde_json::{Value, json};

/// That a command refused: its code, and words of what it said.
fn refused(ran: &Ran, code: i32, words: &[&str]) {
    assert_eq!(ran.code, code, "{ran:?}");
    let said = format!("{}{}", ran.stdout, ran.stderr);
    for word in words {
        assert!(said.contains(word), "`{word}` is not in: {said}");
    }
    assert!(!said.contains("panicked"), "{said}");
}

/// Starts a server that is expected to refuse.
fn serve(arguments: &[&str]) -> Ran {
    run(Command::new(ELEVON).arg("serve").args(arguments))
}

#[test]
fn the_command_line_says_what_is_wrong_with_it() {
    let rows: &[(&[&str], &[&str])] = &[
        (&[], &["Usage"]),
        (&["frobnicate"], &["frobnicate", "--help"]),
        (&["activate"], &["<ROLE>"]),
        (&["activate", "db-admin", "--for", "an hour"], &["`an hour`", "PT1H30M"]),
        (&["activate", "db-admin", "--scope", "prod"], &["`prod`", "User::\"alice\""]),
        (&["activate", "db-admin", "--ticket", "OPS-7"], &["SYSTEM:ID"]),
        (&["activate", "db-admin", "--start", "tonight"], &["`tonight`", "RFC 3339"]),
        (&["activate", "db-admin", "--for", "PT1H", "--until", "2030-01-31T09:00:00Z"], &["--for", "--until"]),
        (&["extend"], &["<ID>"]),
        (&["revoke"], &["--principal", "--role"]),
        (&["revoke", "--role", "db-admin"], &["--reason"]),
        (&["eligibility", "extend", "elg_1", "--reason", "x"], &["--until"]),
        (&["grant-requests", "approve"], &["<ID>"]),
        (&["events", "--after", "yesterday"], &["'yesterday'", "--after"]),
        (&["status", "--watch", "--url", "http://127.0.0.1:1"], &["no Elevon answers"]),
        (&["approve", "act_1", "--hash", "abc"], &["64 hexadecimal digits"]),
        (&["check", "alice", "write", "Database::\"orders\""], &["`alice`"]),
        (&["check", "User::\"alice\"", "write", "Database::\"orders\"", "--context", "{"], &["JSON object"]),
        (&["audit", "list", "--from", "yesterday"], &["RFC 3339"]),
        (&["status", "--url", "ftp://127.0.0.1:1"], &["http://", "https://", "unix:"]),
        (&["status", "--url", "http://127.0.0.1:1"], &["no Elevon answers", "ELEVON_URL"]),
        (&["serve", "--policies", "policies"], &["--data"]),
        (&["serve"], &["--config <FILE>", "--dev"]),
    ];
    for (arguments, words) in rows {
        refused(&elevon(arguments), 2, words);
    }
}

#[test]
fn a_server_that_cannot_start_says_why() {
    let home = Home::new();
    let (policies, data) = (home.policies(), home.data());
    let (policies, data) = (policies.to_str().unwrap(), data.to_str().unwrap());
    let folders = ["--policies", policies, "--data", data];
    let with = |more: &[&str]| serve(&[folders.as_slice(), more].concat());
    refused(&with(&["--listen", "127.0.0.1:0"]), 2, &["--dev"]);
    refused(&with(&["--dev", "--listen", "0.0.0.0:0"]), 2, &["loopback"]);
    refused(&with(&["--dev", "--listen", "127.0.0.1:0", "--log", "elevon=loud=louder"]), 2, &["loud"]);

    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    refused(&with(&["--dev", "--listen", &address]), 2, &[&address, "in use"]);
    assert!(!home.data().exists(), "nothing is made by a server that does not start");

    let nowhere = home.path().join("nowhere");
    let ran = serve(&[
        "--policies",
        nowhere.to_str().unwrap(),
        "--data",
        home.path().join("other").to_str().unwrap(),
        "--dev",
        "--listen",
        "127.0.0.1:0",
    ]);
    refused(&ran, 2, &["nowhere"]);
}

#[test]
fn a_bundle_that_is_not_in_order_is_shown_with_its_place() {
    let rows: &[(&str, &str, &[&str])] = &[
        ("broken.cedar", "permit(principal, action, resource", &["broken.cedar:1:"]),
        ("role.cedar", "\npermit(principal in Role::\"db-admim\", action, resource);", &["role.cedar:2:", "db-admin"]),
        ("type.cedar", "permit(principal, action, resource) when { principal.age > 3 };", &["type.cedar:1:", "age"]),
        ("roles.toml", "[roles.\"reader\"]\nmax_durations = \"PT1H\"\n", &["roles.toml:2:", "max_duration"]),
        (
            "entities.json",
            "[{\"uid\": {\"type\": \"User\", \"id\": \"x\"}, \"parents\": [{\"type\": \"Role\", \"id\": \"reader\"}]}]",
            &["entities.json", "role"],
        ),
        ("entities.json", "{", &["entities.json"]),
        ("tests/more.toml", "[[test]]\nname = \"x\"\n", &["more.toml"]),
        ("schema.cedarschema", "entity User", &["schema.cedarschema"]),
    ];
    for (file, text, words) in rows {
        let home = Home::new();
        fs::write(home.policies().join(file), text).unwrap();
        let policies = home.policies();
        refused(&elevon(&["policy", "validate", policies.to_str().unwrap()]), 1, words);
        let data = home.data();
        let ran = serve(&["--dev", "--listen", "127.0.0.1:0", "--policies", policies.to_str().unwrap(), "--data", data.to_str().unwrap()]);
        refused(&ran, 2, words);
    }
    refused(&elevon(&["policy", "validate", "/nowhere/at/all"]), 1, &["/nowhere/at/all"]);
}

#[test]
fn the_sample_is_in_order() {
    let sample = common::sample();
    let sample = sample.to_str().unwrap();
    let valid = elevon(&["policy", "validate", sample]);
    assert_eq!(valid.code, 0, "{valid:?}");
    let tested = elevon(&["policy", "test", sample, "--output", "json"]);
    assert_eq!(tested.code, 0, "{tested:?}");
    let report: Value = serde_json::from_str(&tested.stdout).unwrap();
    assert!(report["passed"].as_u64().unwrap() >= 10 && report["failed"] == json!(0), "{report}");
    let schema = elevon(&["policy", "schema", sample]);
    assert!(schema.stdout.contains("namespace Elevon") && schema.stdout.contains("entity Role enum"), "{schema:?}");
}

#[test]
fn a_data_folder_that_is_not_elevons_is_left_alone() {
    let home = Home::new();
    let (policies, data) = (home.policies(), home.data());
    let start = |data: &str| serve(&["--dev", "--listen", "127.0.0.1:0", "--policies", policies.to_str().unwrap(), "--data", data]);

    // somebody's folder
    let photos = home.path().join("photos");
    fs::create_dir(&photos).unwrap();
    fs::write(photos.join("summer.jpg"), "not really").unwrap();
    refused(&start(photos.to_str().unwrap()), 2, &["photos"]);
    let left: Vec<_> = fs::read_dir(&photos).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["summer.jpg"]);
    refused(&elevon(&["rebuild", "--data", photos.to_str().unwrap()]), 1, &["photos"]);
    refused(&elevon(&["rebuild", "--data", home.path().join("nothing").to_str().unwrap()]), 1, &["nothing"]);
    assert!(!home.path().join("nothing").exists());

    // a file
    let file = home.path().join("file");
    fs::write(&file, "x").unwrap();
    refused(&start(file.to_str().unwrap()), 2, &["file"]);

    // one that is in use
    let server = home.serve();
    refused(&start(data.to_str().unwrap()), 2, &["in use"]);
    refused(&elevon(&["rebuild", "--data", data.to_str().unwrap()]), 1, &["in use"]);
    assert!(!server.check(ALICE, "write", PROD_DB).0);
}

/// How many records the journal has.
fn records(server: &Server) -> u64 {
    server.get(CAROL, "/v1/me")["seq"].as_u64().unwrap()
}

#[test]
fn the_api_refuses_and_changes_nothing() {
    let home = Home::new();
    let server = home.serve();
    let before = records(&server);
    let ask = |more: Value| {
        let mut body = json!({"role": ROLE, "scope": uid(PROD), "justification": "restore"});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    };
    // what cannot be read never reaches the journal
    let rows: Vec<(&str, &str, Value, u16)> = vec![
        ("POST", "/v1/activations", ask(json!({"dry_run": "yes"})), 400),
        ("POST", "/v1/activations", ask(json!({"emergency": 1})), 400),
        ("POST", "/v1/activations", ask(json!({"start": "tomorrow"})), 400),
        ("POST", "/v1/activations", ask(json!({"end": "2030-01-31T09:00:00Z", "duration": "PT1H"})), 400),
        ("POST", "/v1/activations/bulk", json!({"items": []}), 400),
        ("POST", "/v1/activations/revoke", json!({"reason": "x"}), 400),
        ("POST", "/v1/eligibilities/elg_nothing/extend", json!({"justification": "x"}), 400),
        ("GET", "/v1/events?after=yesterday", Value::Null, 400),
        ("POST", "/v1/activations", ask(json!({"emergency": true, "start": "2030-01-01T00:00:00Z"})), 400),
        ("POST", "/v1/activations", ask(json!({"colour": "red"})), 400),
        ("POST", "/v1/activations", ask(json!({"duration": "an hour"})), 400),
        ("POST", "/v1/activations", ask(json!({"scope": "prod"})), 400),
        ("POST", "/v1/activations", json!([]), 400),
        ("POST", "/v1/eligibilities", json!({"role": ROLE}), 400),
        ("GET", "/v1/activations?colour=red", Value::Null, 400),
        ("GET", "/v1/activations?limit=0", Value::Null, 400),
        ("GET", "/v1/audit/events?from=yesterday", Value::Null, 403),
        ("GET", "/v1/nothing", Value::Null, 404),
        ("PUT", "/v1/activations", json!({}), 405),
        ("POST", "/access/v1/evaluation", json!({"subject": {"type": "User"}}), 400),
    ];
    for (method, path, body, expected) in rows {
        let (status, reply) = server.call(ALICE, method, path, body.clone());
        assert_eq!(status, expected, "{method} {path} {body}: {reply}");
    }
    let (status, reply) = server.try_call(None, "GET", "/v1/me", None).unwrap();
    assert_eq!(status, 401, "{reply}");
    assert_eq!(records(&server), before);

    // what is refused is noted, and changes nothing else
    let rows: Vec<(&str, &str, Value, u16, &str)> = vec![
        (ALICE, "/v1/activations", ask(json!({"role": "db-admim"})), 422, "unknown_role"),
        (ALICE, "/v1/activations", ask(json!({})), 403, "not_eligible"),
        (ALICE, "/v1/eligibilities", json!({"principal": uid(("User", ALICE)), "role": ROLE, "scope": uid(PROD)}), 403, ""),
        (CAROL, "/v1/eligibilities", json!({"principal": uid(("User", CAROL)), "role": ROLE, "scope": uid(PROD)}), 403, "self_grant"),
        (
            CAROL,
            "/v1/eligibilities",
            json!({"principal": uid(("User", "nobody")), "role": ROLE, "scope": uid(PROD)}),
            422,
            "unknown_principal",
        ),
        (
            CAROL,
            "/v1/eligibilities",
            json!({"principal": uid(("User", ALICE)), "role": ROLE, "scope": uid(("Environment", "moon"))}),
            422,
            "unknown_scope",
        ),
        (BOB, "/v1/activations/act_nothing/revoke", json!({}), 404, "not_found"),
        (ALICE, "/v1/activations", ask(json!({"emergency": true})), 422, "no_emergency"),
        (BOB, "/v1/activations/act_nothing/extend", json!({"justification": "x"}), 404, "not_found"),
        (CAROL, "/v1/grant-requests/grq_nothing/approve", json!({}), 404, "not_found"),
        (CAROL, "/v1/activations/revoke", json!({"role": "db-admim", "reason": "x"}), 422, "unknown_role"),
    ];
    for (caller, path, body, expected, rule) in rows {
        let (status, reply) = server.call(caller, "POST", path, body.clone());
        assert_eq!(status, expected, "{path} {body}: {reply}");
        assert!(rule.is_empty() || reply["rule"] == json!(rule), "{path} {body}: {reply}");
        assert!(reply["detail"].as_str().is_some_and(|detail| !detail.is_empty()), "{reply}");
    }
    let events = server.get(CAROL, "/v1/audit/events?limit=1000");
    let kinds: Vec<String> = events["items"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|item| item["record"]["events"].as_array().unwrap().clone())
        .map(|event| event["kind"].as_str().unwrap().to_owned())
        .collect();
    assert!(kinds.iter().all(|kind| kind == "bundle_activated" || kind == "command_refused"), "{kinds:?}");
    assert!(!server.check(ALICE, "write", PROD_DB).0);
}
