//! Entities and roles by the command line: what administrators do when something is wrong at night.

use std::fs;

use serde_json::json;

use crate::common::Home;
use crate::common::names::{ALICE, CAROL};

const ZOE: &str = "User::\"zoe\"";

#[test]
fn a_principal_is_stored_disabled_enabled_and_deleted() {
    let home = Home::new();
    let server = home.serve();

    // nobody has heard of zoe, and she is told so
    let status = server.cli("zoe", &["status"]);
    assert!(status.code == 0 && status.stdout.contains("You are not known here"), "{status:?}");
    let grant = server.cli(CAROL, &["eligibility", "add", ZOE, "reader", "--reason", "look"]);
    assert!(grant.code == 1 && grant.stderr.contains("elevon entity put"), "{grant:?}");

    // tried, then done
    let put = ["entity", "put", ZOE, "--parent", "Group::\"dba\"", "--attrs", "{\"name\": \"Zoe Zhang\"}"];
    let tried = server.cli(CAROL, &[&put[..], &["--dry-run"]].concat());
    assert!(tried.code == 0 && tried.stderr.contains("nothing was changed"), "{tried:?}");
    assert_eq!(server.cli(CAROL, &["entity", "get", ZOE]).code, 1);
    let stored = server.cli(CAROL, &put);
    assert_eq!(stored.code, 0, "{stored:?}");
    for part in [ZOE, "Group::\"dba\" (by api)", "name = \"Zoe Zhang\""] {
        assert!(stored.stdout.contains(part), "{part}: {stored:?}");
    }
    let status = server.cli("zoe", &["status"]);
    assert!(!status.stdout.contains("not known"), "{status:?}");

    // at once, with one command
    let disabled = server.cli(CAROL, &["entity", "disable", ZOE, "--reason", "her laptop was stolen"]);
    assert!(disabled.code == 0 && disabled.stdout.contains("disabled"), "{disabled:?}");
    assert_eq!(server.check("zoe", "list", ("Database", "orders")).1, "principal_disabled");
    let status = server.cli("zoe", &["status"]);
    assert!(status.stdout.contains("You are disabled"), "{status:?}");
    let listed = server.cli(CAROL, &["entity", "list", "--type", "User"]);
    let line = listed.stdout.lines().find(|line| line.contains(ZOE)).unwrap();
    assert!(line.ends_with("disabled") && listed.stdout.contains("User::\"alice\""), "{listed:?}");
    let (code, shown) = server.cli_json(CAROL, &["entity", "enable", ZOE]);
    assert_eq!((code, &shown["disabled"]), (0, &json!(false)), "{shown}");

    let tried = server.cli(CAROL, &["entity", "delete", ZOE, "--dry-run"]);
    assert!(tried.code == 0 && tried.stderr.contains("nothing was changed"), "{tried:?}");
    assert_eq!(server.cli(CAROL, &["entity", "get", ZOE]).code, 0);
    let deleted = server.cli(CAROL, &["entity", "delete", ZOE, "--reason", "left"]);
    assert!(deleted.code == 0 && deleted.stdout.contains("deleted"), "{deleted:?}");
    assert_eq!(server.cli(CAROL, &["entity", "get", ZOE]).code, 1);

    // who may not is told so
    let refused = server.cli(ALICE, &["entity", "disable", "User::\"bob\""]);
    assert!(refused.code == 1 && refused.stderr.contains("not_permitted"), "{refused:?}");
}

#[test]
fn an_entity_comes_from_a_file() {
    let home = Home::new();
    let server = home.serve();
    let file = home.path().join("zoe.json");
    let from = ["entity", "put", "--from", file.to_str().unwrap()];
    fs::write(&file, json!({ "uid": { "type": "User", "id": "zoe" }, "attrs": { "name": "Zoe" } }).to_string()).unwrap();
    let (code, stored) = server.cli_json(CAROL, &from);
    assert_eq!((code, &stored["attrs"]["name"]), (0, &json!("Zoe")), "{stored}");
    for (text, words) in [("{", "is not JSON"), ("{\"uid\": 1}", "`uid`"), (&" ".repeat((1 << 20) + 1), "is longer than")] {
        fs::write(&file, text).unwrap();
        let refused = server.cli(CAROL, &from);
        assert!(refused.code == 2 && refused.stderr.contains(words), "{words}: {refused:?}");
    }
    fs::remove_file(&file).unwrap();
    let refused = server.cli(CAROL, &from);
    assert!(refused.code == 2 && refused.stderr.contains("zoe.json"), "{refused:?}");
}

#[test]
fn roles_say_what_they_take() {
    let home = Home::new();
    let server = home.serve();
    let listed = server.cli(ALICE, &["roles"]);
    let line = listed.stdout.lines().find(|line| line.contains("db-admin")).unwrap();
    for part in ["Environment", "PT4H", "justification", "1 of Group::\"dba-leads\""] {
        assert!(line.contains(part), "{part}: {listed:?}");
    }
    let shown = server.cli(ALICE, &["roles", "db-admin"]);
    assert!(shown.code == 0 && shown.stdout.contains("PT1H by default, PT4H at most"), "{shown:?}");
    let unknown = server.cli(ALICE, &["roles", "db-admim"]);
    assert!(unknown.code == 1 && unknown.stderr.contains("not_found"), "{unknown:?}");
}
