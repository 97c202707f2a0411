//! A review of ten thousand grants, killed while it is being carried out: afterwards each of them was taken away once.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::wildcard_enum_match_arm,
    reason = "a test fails by panicking, in its helpers too"
)]

mod common;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use common::names::CAROL;
use common::{Home, Server, elevon, uid};
use serde_json::{Value, json};

const HOLDERS: usize = 100;
const GROUPS: usize = 100;
const ITEMS: u64 = (HOLDERS * GROUPS) as u64;

fn each(server: &Server, count: usize, call: impl Fn(&Server, usize) + Sync) {
    const WORKERS: usize = 16;
    std::thread::scope(|scope| {
        for worker in 0..WORKERS {
            let call = &call;
            scope.spawn(move || (worker..count).step_by(WORKERS).for_each(|number| call(server, number)));
        }
    });
}

fn holder(number: usize) -> Value {
    uid(("User", &format!("holder-{number}")))
}

fn scope(number: usize) -> Value {
    uid(("ResourceGroup", &format!("group-{number}")))
}

fn furnish(server: &Server) {
    let put = |server: &Server, body: Value| assert_eq!(server.call(CAROL, "PUT", "/v1/entities", body).0, 201);
    each(server, HOLDERS, |server, number| put(server, json!({"uid": holder(number)})));
    each(server, GROUPS, |server, number| put(server, json!({"uid": scope(number)})));
    each(server, HOLDERS * GROUPS, |server, number| {
        let (holder, scope) = (holder(number / GROUPS), scope(number % GROUPS));
        let grant = json!({"principal": holder, "role": "reader", "scope": scope, "justification": "x"});
        server.post(CAROL, "/v1/eligibilities", grant, 201);
    });
}

fn until(server: &Server, path: &str, what: &str, holds: impl Fn(&Value) -> bool) -> Value {
    let began = Instant::now();
    loop {
        let shown = server.get(CAROL, path);
        if holds(&shown) {
            return shown;
        }
        assert!(began.elapsed() < Duration::from_secs(180), "not within three minutes: {what}: {shown}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// How often each id is named by events of a kind in the journal.
fn named(server: &Server, kind: &str, pointer: &str) -> BTreeMap<String, usize> {
    let (mut found, mut next) = (BTreeMap::new(), String::new());
    loop {
        let page = server.get(CAROL, &format!("/v1/audit/events?kind={kind}&limit=500{next}"));
        let events = page["items"].as_array().unwrap().iter().flat_map(|item| item["record"]["events"].as_array().unwrap());
        for event in events.filter(|event| event["kind"] == kind) {
            *found.entry(event.pointer(pointer).unwrap().as_str().unwrap().to_owned()).or_default() += 1;
        }
        let Some(cursor) = page["next"].as_str() else { return found };
        next = format!("&cursor={cursor}");
    }
}

#[test]
fn a_kill_in_the_middle_of_carrying_out_does_each_item_once() {
    let home = Home::new();
    let permit = "@id(\"e2e-entities\")\npermit(principal == User::\"carol\", action == Elevon::Action::\"manageEntity\", resource);\n";
    std::fs::write(home.policies().join("e2e.cedar"), permit).unwrap();
    let server = home.serve();
    furnish(&server);
    let plan = json!({
        "name": "Readers", "roles": ["reader"], "stages": [{"reviewers": [uid(("User", "bob"))], "days": 7}],
        "recurrence": {"every": "once", "first": "9999-01-31"}, "no_answer": "remove", "auto_apply": true,
    });
    let definition = server.post(CAROL, "/v1/reviews/definitions", plan, 201)["id"].as_str().unwrap().to_owned();
    let opened = server.post(CAROL, &format!("/v1/reviews/definitions/{definition}/start"), json!({}), 201);
    let path = format!("/v1/reviews/{}", opened["id"].as_str().unwrap());
    let begun = until(&server, &path, "its items are taken", |shown| shown["status"] == "in_progress");
    assert_eq!(begun["items"]["total"], ITEMS, "{begun}");

    // bob keeps one; all others would go, which is asked about once more
    let kept = server.get("bob", &format!("{path}/items?limit=1"))["items"][0]["subject"].clone();
    server.post("bob", &format!("{path}/decide"), json!({"items": [kept], "decision": "approve", "reason": "he reads"}), 200);
    let complete = server.post(CAROL, &format!("{path}/complete"), json!({}), 200);
    assert_eq!((&complete["status"], &complete["confirm"]), (&json!("completed"), &json!(ITEMS - 1)), "{complete}");
    server.post(CAROL, &format!("{path}/apply"), json!({"confirm": ITEMS - 1}), 200);
    let mut server = server;
    for share in [10, 3] {
        let applied = |shown: &Value| shown["items"]["applied"].as_u64().unwrap();
        let before = until(&server, &path, "part of it is done", |shown| applied(shown) >= ITEMS / share);
        assert!(applied(&before) < ITEMS, "it was over before it could be killed");
        server.kill();
        server = home.serve();
        assert!(applied(&server.get(CAROL, &path)) >= applied(&before), "what was shown as done is no longer");
    }
    let done = until(&server, &path, "all of it is done", |shown| shown["status"] == "applied");
    assert_eq!((&done["items"]["applied"], &done["items"]["removed"]), (&json!(ITEMS), &json!(ITEMS - 1)), "{done}");

    let (applied, removed) = (named(&server, "review_item_applied", "/subject/eligibility"), named(&server, "eligibility_removed", "/id"));
    assert_eq!((applied.len() as u64, removed.len() as u64), (ITEMS, ITEMS - 1));
    assert!(applied.values().chain(removed.values()).all(|times| *times == 1));
    assert!(!removed.contains_key(kept["id"].as_str().unwrap()));
    server.kill();
    let rebuilt = elevon(&["rebuild", "--data", home.data().to_str().unwrap()]);
    assert_eq!(rebuilt.code, 0, "{rebuilt:?}");
}

#[test]
fn a_review_by_the_command_line() {
    let home = Home::new();
    let server = home.serve();
    let grant = json!({"principal": uid(("User", "alice")), "role": "reader", "justification": "x"});
    let eligibility = server.post(CAROL, "/v1/eligibilities", grant, 201)["id"].as_str().unwrap().to_owned();
    let define = ["review", "define", "--name", "Readers", "--role", "reader", "--reviewer", "User::\"bob\"", "--first", "9999-01-31"];
    let (code, definition) = server.cli_json(CAROL, &define);
    assert_eq!((code, &definition["stages"][0]["days"]), (0, &json!(14)), "{definition}");
    let definition = definition["id"].as_str().unwrap();
    assert!(server.cli(CAROL, &["review", "definitions"]).stdout.contains("9999-01-31T00:00:00.000Z"));
    let (code, opened) = server.cli_json(CAROL, &["review", "start", definition]);
    assert_eq!(code, 0, "{opened}");
    let id = opened["id"].as_str().unwrap();
    until(&server, &format!("/v1/reviews/{id}"), "its items are taken", |shown| shown["status"] == "in_progress");

    assert!(server.cli("bob", &["review", "list"]).stdout.contains("in progress"));
    let items = server.cli("bob", &["review", "items", id]);
    assert!(items.stdout.contains("alice") && items.stdout.contains(&eligibility) && items.stdout.contains("never"), "{items:?}");
    let refused = server.cli("dave", &["review", "decide", id, &eligibility, "--deny", "--reason", "x"]);
    assert_eq!((refused.code, refused.stderr.contains("is not a reviewer")), (1, true), "{refused:?}");
    let decided = server.cli("bob", &["review", "decide", id, &eligibility, "--deny", "--reason", "=1+1"]);
    assert!(decided.code == 0 && decided.stdout.contains("1 denied"), "{decided:?}");
    let complete = server.cli(CAROL, &["review", "complete", id]);
    assert!(complete.code == 0 && complete.stderr.contains("elevon review apply"), "{complete:?}");
    assert_eq!(server.cli(CAROL, &["review", "apply", id]).code, 0);
    until(&server, &format!("/v1/reviews/{id}"), "it is carried out", |shown| shown["status"] == "applied");
    for (format, holds) in [("json", "\"removed\""), ("csv", "\"'=1+1\""), ("html", "<td><bdi>removed</bdi></td>")] {
        let file = home.path().join(format);
        let ran = server.cli(CAROL, &["review", "report", id, "--format", format, "--file", file.to_str().unwrap()]);
        assert_eq!(ran.code, 0, "{ran:?}");
        let printed = server.cli(CAROL, &["review", "report", id, "--format", format]).stdout;
        assert!(std::fs::read_to_string(&file).unwrap().contains(holds) && printed.contains(holds), "{format}: {printed}");
    }
    let denied = server.cli("alice", &["review", "report", id, "--format", "html"]);
    assert_eq!(denied.code, 1, "{denied:?}");

    // all of it from a file, and changed
    let file = home.path().join("plan.json");
    let plan = json!({"name": "Mine", "stages": [{"self": true, "days": 3}, {"reviewers": [uid(("Group", "security"))], "days": 4}],
                      "recurrence": {"every": "weekly", "first": "9998-01-01", "time_zone": "Europe/Berlin"}});
    std::fs::write(&file, plan.to_string()).unwrap();
    let (code, changed) = server.cli_json(CAROL, &["review", "change", definition, "--from", file.to_str().unwrap()]);
    assert_eq!((code, &changed["next"]), (0, &json!("9997-12-31T23:00:00.000Z")), "{changed}");
    assert!(server.cli(CAROL, &["review", "end", definition, "--reason", "enough"]).stdout.contains("ended"));
    assert_eq!(server.cli(CAROL, &["review", "decide", id, "nonsense", "--deny", "--reason", "x"]).code, 2);
}
