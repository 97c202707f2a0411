//! What the command line advises can be done with the command line.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::common::names::{ALICE, CAROL};
use crate::common::{ELEVON, Home, elevon, run};
use crate::stub::Stub;

/// The examples of a command's help.
fn examples(command: &str) -> Vec<String> {
    let help = elevon(&[command, "--help"]);
    assert_eq!(help.code, 0, "{help:?}");
    help.stdout.lines().filter_map(|line| line.strip_prefix("  elevon ")).map(str::to_owned).collect()
}

#[test]
fn the_example_of_a_route_has_a_route() {
    let shown = examples("route");
    assert!(!shown.is_empty());
    for example in shown {
        let ran = run(Command::new(ELEVON).args(example.split(' ')).current_dir(env!("CARGO_MANIFEST_DIR")));
        assert!(ran.code == 0 && ran.stdout.contains("Database::\"orders\""), "{example}: {ran:?}");
    }
}

#[test]
fn a_folder_without_routes_is_named() {
    let policies = Path::new(env!("CARGO_MANIFEST_DIR")).join("policies");
    let told = elevon(&["route", "GET", "https://db.example/", "--policies", policies.to_str().unwrap()]);
    assert!(told.code == 1 && told.stdout.contains("has no `routes.toml`"), "{told:?}");
}

#[test]
fn refusals_name_options_and_commands() {
    let home = Home::new();
    let server = home.serve();
    let group = "nobody grants to themselves (it would reach User::\"carol\" through Group::\"security\")";
    let rows: [(&str, &[&str], &str); 5] = [
        (ALICE, &["activate", "readr", "--reason", "x"], "`elevon roles` lists the roles."),
        (ALICE, &["activate", "db-admin"], "Name the scope with --scope."),
        (ALICE, &["status", "--token", "nonsense"], "Set ELEVON_TOKEN"),
        (CAROL, &["eligibility", "add", "User::\"carol\"", "reader", "--reason", "x"], "nobody grants to themselves; somebody else"),
        (CAROL, &["eligibility", "add", "Group::\"security\"", "reader", "--reason", "x"], group),
    ];
    for (who, command, words) in rows {
        let ran = server.cli(who, command);
        assert!(ran.code == 1 && ran.stderr.contains(words), "{command:?}: {ran:?}");
    }
    let nobody = elevon(&["status", "--url", "http://127.0.0.1:1"]);
    assert!(nobody.code == 2 && nobody.stderr.contains("elevon serve"), "{nobody:?}");
}

/// Nobody waits in silence for a server that does not run.
#[test]
fn a_clock_is_confirmed_without_a_server() {
    let home = Home::new();
    home.serve().kill();
    let data = home.data();
    let ran = elevon(&["clock", "accept", "--data", data.to_str().unwrap(), "--wait", "PT3S"]);
    assert!(ran.code == 1 && ran.stdout.contains("one that starts within the hour takes it"), "{ran:?}");
    assert!(ran.stderr.contains("waiting up to PT3S for a running server"), "{ran:?}");
    let ran = elevon(&["clock", "accept", "--data", data.to_str().unwrap(), "--wait", "PT0S", "--output", "json"]);
    let told: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!((ran.code, &told["answer"], ran.stderr.as_str()), (1, &json!("waiting"), ""));
}

#[test]
fn only_a_server_that_is_not_ready_is_called_so() {
    for (rule, advised) in [("not_ready", true), ("time_untrusted", true), ("busy", false), ("seq_not_reached", false)] {
        let stub = Stub::answering(move |_| (503, json!({ "rule": rule, "detail": "no" })));
        let ran = stub.cli(&["status"]);
        assert_eq!((ran.code, ran.stderr.contains("/readyz")), (2, advised), "{rule}: {ran:?}");
    }
}

#[test]
fn what_stands_in_the_environment_is_not_shown_as_typed() {
    let stub = Stub::answering(|_| (200, json!({ "items": [], "next": null })));
    let wrong = stub.cli(&["activate"]);
    assert!(wrong.code == 2 && wrong.stderr.contains("<ROLE>"), "{wrong:?}");
    for option in ["--url", "--token"] {
        assert!(!wrong.stderr.contains(option), "{wrong:?}");
    }
    // and what is typed counts before it
    let elsewhere = stub.cli(&["approvals", "--url", "http://127.0.0.1:1"]);
    assert!(elsewhere.code == 2 && elsewhere.stderr.contains("127.0.0.1:1:"), "{elsewhere:?}");
    let file = stub.cli(&["approvals", "--token-file", "/nowhere/at/all"]);
    assert!(file.code == 2 && file.stderr.contains("/nowhere/at/all"), "{file:?}");
}
