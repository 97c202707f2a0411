//! Alerts over the life of a server: found, put aside, armed again and remedied, over kills in between; each incident once, and none lost.

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

/// `reader` is privileged here, so that assigning it is something; and what nobody uses is found after a month.
fn home() -> Home {
    let home = Home::new();
    let roles = home.policies().join("roles.toml");
    let text = std::fs::read_to_string(&roles).unwrap();
    let text = text.replace("[roles.\"reader\"]\n", "[roles.\"reader\"]\nprivileged = true\nassignment.allow_permanent = true\n");
    std::fs::write(&roles, text).unwrap();
    let alerts = "[never_used]\ndays = 30\n[weak_settings]\nenabled = false\n[role_held_outside]\nseverity = \"medium\"\n";
    std::fs::write(home.policies().join("alerts.toml"), alerts).unwrap();
    let permit = "@id(\"e2e-entities\")\npermit(principal == User::\"carol\", action == Elevon::Action::\"manageEntity\", resource);\n";
    std::fs::write(home.policies().join("e2e.cedar"), permit).unwrap();
    home
}

/// Waits until everything was looked at that there is, up to the instant that the clock shows.
fn looked(server: &Server) -> Value {
    let began = Instant::now();
    let (now, seq) = (server.get(CAROL, "/v1/me")["now"].clone(), server.get(CAROL, "/v1/me")["seq"].clone());
    loop {
        let alerts = server.get(CAROL, "/v1/alerts");
        let detected = &alerts["detected"];
        if detected["now"].as_str() >= now.as_str() && detected["seq"].as_u64() >= seq.as_u64() {
            return alerts;
        }
        assert!(began.elapsed() < Duration::from_secs(30), "not looked at within half a minute: {detected}, {now}, {seq}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn advance(server: &Server, by: &str) {
    server.post(CAROL, "/dev/clock", json!({ "advance": by }), 200);
}

fn incidents(server: &Server, filter: &str) -> Vec<Value> {
    looked(server);
    server.get(CAROL, &format!("/v1/alerts/incidents?limit=1000{filter}"))["items"].as_array().unwrap().clone()
}

fn eligible(server: &Server, who: &str) -> String {
    let grant = json!({ "principal": uid(("User", who)), "role": "reader", "justification": "x" });
    server.post(CAROL, "/v1/eligibilities", grant, 201)["id"].as_str().unwrap().to_owned()
}

fn act(server: &Server, id: &Value, verb: &str, body: Value, status: u16) -> Value {
    server.post(CAROL, &format!("/v1/alerts/incidents/{}/{verb}", id.as_str().unwrap()), body, status)
}

/// How often each incident was raised, by the journal.
fn raised(server: &Server) -> BTreeMap<String, usize> {
    let (mut found, mut next) = (BTreeMap::new(), String::new());
    loop {
        let page = server.get(CAROL, &format!("/v1/audit/events?kind=alert&limit=500{next}"));
        let events = page["items"].as_array().unwrap().iter().flat_map(|item| item["record"]["events"].as_array().unwrap());
        for event in events.filter(|event| event["what"] == "raised") {
            let finding = &event["incident"]["finding"];
            *found.entry(format!("{} {} {}", finding["kind"], finding["subject"], finding["began_at"])).or_default() += 1;
        }
        let Some(cursor) = page["next"].as_str() else { return found };
        next = format!("&cursor={cursor}");
    }
}

fn rebuilt(server: Server, home: &Home) {
    server.kill();
    let rebuilt = elevon(&["rebuild", "--data", home.data().to_str().unwrap()]);
    assert_eq!(rebuilt.code, 0, "{} {}", rebuilt.stdout, rebuilt.stderr);
}

#[test]
fn an_incident_from_raised_to_remedied_over_kills() {
    let home = home();
    let mut server = home.serve();
    let used = eligible(&server, "alice");
    let unused = eligible(&server, "dave");
    server.post("alice", "/v1/activations", json!({ "role": "reader", "justification": "x" }), 201);
    assert_eq!(incidents(&server, "&kind=never_used"), [Value::Null; 0]);
    advance(&server, "P30D");
    let found = incidents(&server, "&kind=never_used");
    assert_eq!(found.len(), 1, "{found:?}");
    let incident = &found[0];
    assert_eq!((&incident["subject"]["id"], &incident["numbers"]["days"]), (&json!(unused), &json!(30)), "{incident}");
    assert_eq!((&incident["status"], &incident["severity"]), (&json!("open"), &json!("low")));
    assert_ne!(incident["subject"]["id"], json!(used));

    // put aside, it stays so over a kill, a month and another bundle
    act(&server, &incident["id"], "dismiss", json!({ "reason": "he comes back in spring" }), 200);
    assert_eq!(act(&server, &incident["id"], "dismiss", json!({ "reason": "again" }), 409)["rule"], "not_in_state");
    server.kill();
    std::fs::write(
        home.policies().join("more.cedar"),
        "@id(\"more\")\npermit(principal == User::\"carol\", action == Elevon::Action::\"manageBundle\", resource);\n",
    )
    .unwrap();
    server = home.serve_ahead("P31D");
    advance(&server, "P30D");
    let found = incidents(&server, "&kind=never_used");
    assert_eq!((found.len(), &found[0]["status"]), (1, &json!("dismissed")), "{found:?}");
    assert_eq!(found[0]["dismissed"]["reason"], "he comes back in spring");

    // armed again, it is open as it was; tried first, the remedy changes nothing
    assert_eq!(act(&server, &incident["id"], "rearm", json!({}), 200)["status"], "open");
    let tried = act(&server, &incident["id"], "remedy", json!({ "dry_run": true }), 200);
    assert_eq!((&tried["status"], &tried["dry_run"]), (&json!("cleared"), &json!(true)), "{tried}");
    assert_eq!(server.get(CAROL, &format!("/v1/eligibilities/{unused}"))["status"], "active");
    let done = act(&server, &incident["id"], "remedy", json!({ "reason": "he does not" }), 200);
    assert_eq!((&done["status"], &done["cleared"]["by"]["id"]), (&json!("cleared"), &json!("carol")), "{done}");
    assert_eq!(server.get(CAROL, &format!("/v1/eligibilities/{unused}"))["status"], "removed");
    server.kill();
    server = home.serve_ahead("P62D");
    advance(&server, "P1D");
    assert_eq!(incidents(&server, "&kind=never_used&status=open").len(), 0);
    assert!(raised(&server).values().all(|times| *times == 1), "{:?}", raised(&server));
    rebuilt(server, &home);
}

#[test]
fn incidents_without_number_are_raised_once_each_over_kills_at_any_moment() {
    const MANY: usize = 300;
    let home = home();
    let mut server = home.serve();
    for number in 0..MANY {
        let who = uid(("User", &format!("u{number}")));
        assert_eq!(server.call(CAROL, "PUT", "/v1/entities", json!({ "uid": who })).0, 201);
        let grant = json!({ "principal": who, "role": "reader", "justification": "x" });
        server.post(CAROL, "/v1/assignments", grant, 201);
        if number % 100 == 50 {
            // killed while what was done just now is being looked at
            server.kill();
            server = home.serve();
        }
    }
    server.kill();
    server = home.serve();
    let found = incidents(&server, "&kind=role_held_outside");
    assert_eq!(found.len(), MANY);
    assert!(found.iter().all(|one| one["status"] == "open" && one["severity"] == "medium"));
    let kinds = looked(&server);
    let kind = |word: &str| kinds["items"].as_array().unwrap().iter().find(|one| one["kind"] == word).unwrap().clone();
    assert_eq!((&kind("role_held_outside")["open"], &kind("too_many_permanent")["open"]), (&json!(MANY), &json!(1)));
    for one in found.iter().take(MANY / 2) {
        act(&server, &one["id"], "remedy", json!({}), 200);
    }
    server.kill();
    server = home.serve();
    let left = incidents(&server, "&kind=role_held_outside&status=open");
    assert_eq!(left.len(), MANY - MANY / 2);
    let raised = raised(&server);
    assert_eq!(raised.keys().filter(|key| key.starts_with("\"role_held_outside")).count(), MANY);
    assert!(raised.values().all(|times| *times == 1));
    let (_, metrics) = server.try_call(Some(CAROL), "GET", "/metrics", None).unwrap();
    let line = format!("elevon_alert_incidents{{kind=\"role_held_outside\",severity=\"medium\"}} {}", MANY - MANY / 2);
    assert!(metrics.as_str().unwrap().lines().any(|told| told == line), "{line} is not in {metrics}");
    rebuilt(server, &home);
}

#[test]
fn the_command_line_tells_what_waits_and_what_can_be_done() {
    let home = home();
    let server = home.serve();
    let held = ["alerts", "list", "--kind", "role_held_outside"];
    let none = server.cli(CAROL, &held);
    assert_eq!(none.code, 0, "{none:?}");
    assert!(none.stdout.contains("No incidents."), "{none:?}");
    let grant = json!({ "principal": uid(("User", "dave")), "role": "reader", "justification": "x" });
    server.post(CAROL, "/v1/assignments", grant, 201);
    looked(&server);
    let (code, found) = server.cli_json(CAROL, &held);
    let id = found["items"][0]["id"].as_str().unwrap().to_owned();
    assert_eq!((code, found["items"].as_array().unwrap().len()), (0, 1), "{found}");
    let shown = server.cli(CAROL, &["alerts", "show", &id]);
    for said in ["medium", "open", "User::\"dave\" as reader", "permanent yes", "remove the assignment"] {
        assert!(shown.stdout.contains(said) || shown.stderr.contains(said), "{said} is not in {shown:?}");
    }
    let told = server.cli(CAROL, &["alerts"]);
    assert!(told.stdout.contains("role_held_outside") && told.stdout.contains(&id), "{told:?}");
    assert!(server.cli(CAROL, &["alerts", "kinds"]).stdout.contains("days 30"));
    // tried, refused to who may not, put aside, armed again, done
    let tried = server.cli(CAROL, &["alerts", "remedy", &id, "--dry-run"]);
    assert!(tried.code == 0 && tried.stdout.contains("cleared"), "{tried:?}");
    let refused = server.cli("alice", &["alerts", "dismiss", &id, "--reason", "mine"]);
    assert_eq!(refused.code, 1, "{refused:?}");
    let aside = server.cli(CAROL, &["alerts", "dismiss", &id, "--reason", "he is meant to"]);
    assert!(aside.stdout.contains("he is meant to"), "{aside:?}");
    assert!(server.cli(CAROL, &["alerts", "list", "--status", "dismissed"]).stdout.contains(&id));
    assert_eq!(server.cli(CAROL, &["alerts", "rearm", &id]).code, 0);
    let (code, done) = server.cli_json(CAROL, &["alerts", "remedy", &id, "--reason", "no longer"]);
    assert_eq!((code, &done["status"], &done["cleared"]["by"]["id"]), (0, &json!("cleared"), &json!("carol")), "{done}");
}
