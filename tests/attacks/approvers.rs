//! What an approver is shown: from the server, and looking like what it is.

use serde_json::{Value, json};

use crate::common::Home;
use crate::common::names::{ALICE, BOB, CAROL};
use crate::help::{Api, PROD, call, user};
use crate::raw::{request, send};

/// Letters that turn the direction of reading, have no width, or are blanks that look like others.
const UNSEEN: [char; 12] = [
    '\u{202a}',
    '\u{202d}',
    '\u{202e}',
    '\u{2066}',
    '\u{2069}',
    '\u{200b}',
    '\u{200d}',
    '\u{feff}',
    '\u{ad}',
    '\u{a0}',
    '\u{e0061}',
    '\u{3164}',
];

/// Client-supplied labels shown to approvers (CVE-2025-1969): who asks, what for and for how long is what the server knows, and a request that
/// brings its own version of any of it is refused.
#[test]
fn nothing_that_an_approver_is_shown_is_taken_from_the_request() {
    let api = Api::start();
    api.alice_is_eligible();
    let ask = json!({ "role": "db-admin", "scope": PROD(), "duration": "PT5M", "justification": "restore" });
    let claims = [
        ("requester", user("bob")),
        ("requester_name", json!("Bob Baker")),
        ("email", json!("bob@acme.example")),
        ("name", json!("Bob Baker")),
        ("label", json!("harmless")),
        ("description", json!("Look at anything, change nothing")),
        ("status", json!("approved")),
        ("approval", json!({ "stages": [] })),
        ("approvers", json!([user("alice")])),
        ("quorum", json!(0)),
        ("request_hash", json!("0".repeat(64))),
        ("requested_at", json!("2020-01-01T00:00:00Z")),
        ("id", json!("act_mine")),
    ];
    for (name, value) in claims {
        let mut body = ask.clone();
        body[name] = value;
        let answer = api.send(&call("POST", "/v1/activations").by("alice").json(&body));
        assert_eq!((answer.status, answer.rule().as_str()), (400, "unknown_member"), "{name}: {}", answer.text);
    }
    let asked = api.post("alice", "/v1/activations", &ask, 201);
    let waiting = api.get("bob", "/v1/approvals")["items"][0].clone();
    assert_eq!((&waiting["id"], &waiting["request_hash"]), (&asked["id"], &asked["request_hash"]));
    assert_eq!((&waiting["requester"], &waiting["principal"], &waiting["role"]), (&user("alice"), &user("alice"), &json!("db-admin")));
}

/// Client-supplied labels (CVE-2025-1969): no id that anything is known by holds what is not seen, whichever way it comes in.
#[test]
fn ids_that_look_like_others_are_refused_at_every_door() {
    let api = Api::start();
    let before = api.seq();
    for letter in UNSEEN {
        let name = format!("ali{letter}ce");
        let bodies = [
            ("PUT", "/v1/entities", json!({ "uid": user(&name) })),
            ("PUT", "/v1/entities", json!({ "uid": user("zoe"), "parents": [{ "type": "Group", "id": name }] })),
            ("POST", "/v1/eligibilities", json!({ "principal": user(&name), "role": "reader" })),
            ("POST", "/v1/eligibilities", json!({ "principal": user("alice"), "role": format!("read{letter}er") })),
            ("POST", "/v1/activations", json!({ "role": "reader", "scope": { "type": "Environment", "id": name }, "justification": "x" })),
            ("POST", "/v1/activations", json!({ "role": "reader", "principal": user(&name), "justification": "x" })),
            ("POST", "/v1/activations/revoke", json!({ "principal": user(&name) })),
            ("POST", "/v1/entities/disable", json!({ "type": "User", "id": name })),
        ];
        for (method, path, body) in bodies {
            let answer = api.send(&call(method, path).by("carol").json(&body));
            assert_eq!((answer.status, answer.rule().as_str()), (400, "malformed_member"), "{method} {path} {body}: {}", answer.text);
            assert!(!answer.text.contains(letter), "the refusal spells it out: {}", answer.text);
        }
        let credential = format!("authorization: Dev User::\"{name}\"");
        let reply = send(api.port(), &request("GET", b"/v1/me", &[credential.as_bytes()], b""));
        assert_eq!(reply.status, 401, "a credential for U+{:04X}: {reply:?}", u32::from(letter));
        let check = json!({ "subject": user(&name), "action": { "name": "read" }, "resource": { "type": "Database", "id": "orders" } });
        let answer = api.send(&call("POST", "/access/v1/evaluation").by("carol").json(&check));
        assert_eq!(answer.status, 400, "{}", answer.text);
    }
    assert_eq!(api.seq(), before);
}

/// Client-supplied labels (CVE-2025-1969): a ticket's number is compared with another system by eye, and is one line of letters that are seen.
#[test]
fn a_ticket_looks_like_no_other_ticket() {
    let api = Api::start();
    api.alice_is_eligible();
    for (system, number) in
        [("jira", "OPS-1\u{202e}2"), ("jira", "OPS\u{200b}-1"), ("ji\u{2066}ra", "OPS-1"), ("jira", "OPS-1\napproved: yes")]
    {
        let mut ask = json!({ "role": "db-admin", "scope": PROD(), "justification": "restore" });
        ask["ticket"] = json!({ "system": system, "number": number });
        let answer = api.send(&call("POST", "/v1/activations").by("alice").json(&ask));
        assert_eq!((answer.status, answer.rule().as_str()), (400, "malformed_member"), "{number:?}: {}", answer.text);
    }
}

/// Client-supplied labels (CVE-2025-1969): a reason is free text in anybody's language, kept as it was written and part of what is voted on.
/// Where people read it on a screen it can neither turn a line round, nor begin another one, nor hide; for programs it is the same text.
#[test]
fn a_reason_cannot_change_what_the_screen_says() {
    let home = Home::new();
    let server = home.serve();
    let grant = json!({ "principal": user(ALICE), "role": "db-admin", "scope": PROD(), "justification": "on call" });
    server.post(CAROL, "/v1/eligibilities", grant, 201);
    let reason = "restore\u{202e}nimda\u{2066}\u{200b}\n  role       reader\u{e0041}";
    let ask = json!({ "role": "db-admin", "scope": PROD(), "duration": "PT5M", "justification": reason });
    let asked = server.post(ALICE, "/v1/activations", ask, 201);
    assert_eq!(asked["justification"], json!(reason), "kept as it was written");
    let seen = |text: &str| text.chars().any(|letter| elevon::domain::text::misleads(letter) || (letter.is_control() && letter != '\n'));
    for arguments in [vec!["approvals"], vec!["status"], vec!["approvals", "--output", "json"]] {
        let shown = server.cli(BOB, &arguments);
        if shown.code == 2 {
            panic!("{arguments:?}: {}", shown.stderr);
        }
        assert!(!seen(&shown.stdout) && !seen(&shown.stderr), "{arguments:?}: {}", shown.stdout);
        assert!(!shown.stdout.lines().any(|line| line.trim_start().starts_with("role       reader")), "{}", shown.stdout);
    }
    let (code, listed) = server.cli_json(BOB, &["approvals"]);
    assert_eq!(code, 0);
    let text = listed.to_string();
    assert!(serde_json::from_str::<Value>(&text).is_ok() && text.contains('\u{202e}'), "programs read the very text");
}
