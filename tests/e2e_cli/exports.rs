//! What is exported is what was checked: a server that does not tell the truth about its journal is not believed.

use serde_json::{Value, json};

use crate::common::Home;
use crate::common::names::CAROL;
use crate::stub::Stub;

/// Some records, as a real server shows them.
fn records() -> Vec<Value> {
    let home = Home::new();
    let server = home.serve();
    for name in ["zoe", "yan", "xia"] {
        let body = json!({"uid": {"type": "User", "id": name}, "parents": [], "attrs": {}});
        assert_eq!(server.call(CAROL, "PUT", "/v1/entities", body).0, 201);
    }
    let page = server.get(CAROL, "/v1/audit/events");
    page["items"].as_array().unwrap().clone()
}

#[test]
fn a_server_that_lies_about_its_journal_is_not_believed() {
    let whole = records();
    assert!(whole.len() >= 4, "{whole:?}");
    type Lie = fn(&mut Vec<Value>, &mut Value);
    // (what it says, what is said of it, how many lines are written before)
    let rows: [(&str, Lie, &str, usize); 8] = [
        ("the truth", |_, _| (), "", whole.len()),
        ("another record", |items, _| items[1]["record"]["events"][0]["entity"]["uid"]["id"] = json!("zoo"), "record 2 has the hash", 1),
        ("another hash", |items, _| items[1]["hash"] = json!("ab".repeat(32)), "record 2 has the hash", 1),
        ("a record is missing", |items, _| drop(items.remove(2)), "at record 3", 2),
        ("it begins later", |items, _| drop(items.remove(0)), "has no record 1", 0),
        ("one stands twice", |items, _| items.insert(1, items[0].clone()), "at record 2", 1),
        ("one cannot be read", |items, _| items[2]["record"] = Value::Null, "cannot read record 3", 2),
        ("it never ends", |_, next| *next = json!("0"), "never ends", whole.len()),
    ];
    for (what, lie, said, lines) in rows {
        let (mut items, mut next) = (whole.clone(), Value::Null);
        lie(&mut items, &mut next);
        let stub = Stub::answering(move |_| (200, json!({ "items": items, "next": next, "seq": 9 })));
        let ran = stub.cli(&["audit", "export"]);
        assert_eq!((ran.code, ran.stdout.lines().count()), (i32::from(!said.is_empty()), lines), "{what}: {ran:?}");
        assert!(ran.stderr.contains(said), "{what}: {ran:?}");
    }
}

#[test]
fn an_export_that_is_refused_leaves_no_file_and_takes_none_away() {
    let home = Home::new();
    let (new, there) = (home.path().join("new.jsonl"), home.path().join("there.jsonl"));
    std::fs::write(&there, "").unwrap();
    let stub = Stub::answering(|_| (403, json!({ "rule": "not_permitted", "detail": "no policy permits it", "seq": 9 })));
    for file in [&new, &there] {
        let ran = stub.cli(&["audit", "export", "--file", file.to_str().unwrap()]);
        assert_eq!((ran.code, ran.stderr.contains("no policy permits it")), (1, true), "{ran:?}");
    }
    assert_eq!((new.exists(), there.exists()), (false, true));
}
