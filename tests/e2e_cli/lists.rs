//! Lists are read to their end: a page may hold nothing, or be full, and still not be the last.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use crate::common::names::{BOB, CAROL, PROD, ROLE};
use crate::common::{Home, uid};
use crate::stub::{Asked, Stub};

/// Each command that lists something, where it reads, and what it says where there is nothing.
const LISTS: [(&[&str], &str, &str); 10] = [
    (&["approvals"], "/v1/approvals", "Nothing waits for your vote."),
    (&["eligibility", "list"], "/v1/eligibilities", "No eligibilities match."),
    (&["assignment", "list", "--role", "reader"], "/v1/assignments", "No assignments match."),
    (&["grant-requests"], "/v1/grant-requests", "No requests to extend or renew."),
    (&["grant-requests", "list", "--status", "pending"], "/v1/grant-requests", "No requests to extend or renew."),
    (&["review", "list"], "/v1/reviews", "No reviews that you take part in."),
    (&["review", "items", "rev_1"], "/v1/reviews/rev_1/items", "Nothing in it waits for your decision."),
    (&["review", "definitions"], "/v1/reviews/definitions", "No reviews are defined yet."),
    (&["alerts"], "/v1/alerts/incidents", "No incidents."),
    (&["notifications", "dead"], "/v1/notifications/dead-letters", "No dead letters."),
];

fn item(id: &str) -> Value {
    json!({ "id": id, "subject": { "id": id }, "status": "pending" })
}

/// Two items on four pages, two of which hold nothing.
fn four_pages(asked: &Asked) -> Value {
    let (items, next) = match asked.parameter("cursor") {
        None => (vec![], json!("a b")),
        Some("a%20b") => (vec![item("the-first")], json!("c")),
        Some("c") => (vec![], json!("d")),
        Some("d") => (vec![item("the-last")], Value::Null),
        Some(other) => panic!("the cursor `{other}` was never given"),
    };
    json!({ "items": items, "next": next, "now": "2030-01-31T09:00:00Z", "seq": 7 })
}

#[test]
fn every_list_is_read_to_its_end() {
    for (command, path, empty) in LISTS {
        let stub = Stub::answering(move |asked| {
            assert_eq!((asked.method.as_str(), asked.path.as_str()), ("GET", path));
            (200, four_pages(asked))
        });
        let shown = stub.cli(command);
        assert_eq!(shown.code, 0, "{command:?}: {shown:?}");
        for word in ["the-first", "the-last"] {
            assert!(shown.stdout.contains(word), "{command:?}: {shown:?}");
        }
        assert!(!shown.stdout.contains(empty) && !shown.stderr.contains("too long"), "{command:?}: {shown:?}");
        let read = stub.cli(&[command, &["--output", "json"]].concat());
        let read: Value = serde_json::from_str(&read.stdout).unwrap();
        assert_eq!(read["items"], json!([item("the-first"), item("the-last")]), "{command:?}");
        assert_eq!((&read["next"], &read["seq"]), (&Value::Null, &json!(7)), "{command:?}");

        let none = Stub::answering(|_| (200, json!({ "items": [], "next": null })));
        let shown = none.cli(command);
        assert_eq!((shown.code, shown.stdout.trim_end()), (0, empty), "{command:?}: {shown:?}");
    }
}

#[test]
fn a_list_without_an_end_is_cut_and_says_so() {
    for (command, path, empty) in LISTS {
        for size in [1000, 0] {
            let asked = Arc::new(AtomicUsize::new(0));
            let count = Arc::clone(&asked);
            let stub = Stub::answering(move |asked| {
                assert_eq!(asked.path, path);
                count.fetch_add(1, Ordering::Relaxed);
                (200, json!({ "items": vec![item("an-item"); size], "next": "more" }))
            });
            let shown = stub.cli(command);
            assert_eq!(shown.code, 0, "{command:?}: {shown:?}");
            assert!(shown.stderr.contains("too long to be read to its end"), "{command:?}: {}", shown.stderr);
            assert!(!shown.stdout.contains(empty), "{command:?} says that there is nothing");
            assert_eq!(shown.stdout.lines().filter(|line| line.contains("an-item")).count(), size * 10, "{command:?}");
            assert!(asked.load(Ordering::Relaxed) <= 200, "{command:?}: {asked:?}");
            if size > 0 {
                let read = stub.cli(&[command, &["--output", "json"]].concat());
                assert!(read.stderr.contains("too long to be read to its end"), "{command:?}: {}", read.stderr);
                let read: Value = serde_json::from_str(&read.stdout).unwrap();
                assert_eq!((read["items"].as_array().map(Vec::len), &read["next"]), (Some(10_000), &json!("more")), "{command:?}");
            }
        }
    }
}

/// More wait than the server puts on a page where nothing is said.
#[test]
fn approvals_are_all_shown() {
    let home = Home::new();
    let server = home.serve();
    let grant = json!({ "principal": uid(("Group", "dba")), "role": ROLE, "scope": uid(PROD), "justification": "on call" });
    server.post(CAROL, "/v1/eligibilities", grant, 201);
    for number in 0..105 {
        let who = format!("new-{number}");
        let entity = json!({ "uid": uid(("User", &who)), "parents": [uid(("Group", "dba"))], "attrs": { "name": who } });
        let (status, stored) = server.call(CAROL, "PUT", "/v1/entities", entity);
        assert_eq!(status, 201, "{stored}");
        let request = json!({ "role": ROLE, "scope": uid(PROD), "justification": "restore orders" });
        server.post(&who, "/v1/activations", request, 201);
    }
    let waiting = server.cli(BOB, &["approvals"]);
    assert_eq!(waiting.stdout.matches("User::\"new-").count(), 105, "{waiting:?}");
    let (_, read) = server.cli_json(BOB, &["approvals"]);
    assert_eq!((read["items"].as_array().map(Vec::len), &read["next"]), (Some(105), &Value::Null));
    let nobody = server.cli("new-1", &["approvals"]);
    assert_eq!(nobody.stdout.trim_end(), "Nothing waits for your vote.", "{nobody:?}");
}
