//! The clock: no grace at an end, no belief in one that goes back or jumps ahead.

use chrono::{DateTime, Duration, Utc};
use serde_json::{Value, json};

use crate::common::edges::{DAVE, Edges, rule, text};
use crate::common::names::{ALICE, CAROL};

/// alice holds a role for an hour by activating it, and dave holds one for ever.
fn stage(edges: &Edges) -> String {
    edges.home.edit_role("assigned", "assignment.max_duration = \"P180D\"", "assignment.allow_permanent = true");
    edges.reload();
    edges.grant("/v1/assignments", ("User", DAVE), "assigned", json!({}));
    edges.begun(ALICE, "plain", json!({"duration": "PT1H"}))
}

/// What time alone allows is denied, commands are refused, and what has no end counts as before.
fn is_not_believed(edges: &Edges) {
    assert!(!edges.writes(ALICE));
    assert!(edges.writes(DAVE));
    assert_eq!(edges.refused(ALICE, "plain", json!({})), rule(503, "time_untrusted"));
    assert_eq!(edges.server.get(ALICE, "/v1/me")["time_trusted"], json!(false));
    let ready = edges.server.send("GET", "/readyz", &[], None);
    assert_eq!(ready.0, 503, "{}", ready.1);
}

fn set(edges: &Edges, at: DateTime<Utc>) {
    assert_eq!(edges.server.call(ALICE, "POST", "/dev/clock", json!({"set": text(at)})).0, 200);
}

#[test]
fn clock() {
    let edges = Edges::start();
    let id = stage(&edges);
    let began = edges.now();

    // back: nothing bound to time counts until it has caught up; then all is as before
    set(&edges, began + Duration::minutes(2));
    assert!(edges.writes(ALICE));
    set(&edges, began + Duration::minutes(1));
    is_not_believed(&edges);
    set(&edges, began + Duration::minutes(2));
    assert!(edges.writes(ALICE));

    // five minutes ahead is a clock that is set; more is one that jumped
    edges.server.jump("PT5M");
    assert!(edges.writes(ALICE));
    edges.server.jump("PT1S");
    is_not_believed(&edges);
    assert_eq!(edges.history(&id), ["alice activation_requested", "alice activation_started"]);

    // somebody on the machine says that it is right: what was bound to time is over, what has no end is not
    let data = edges.home.data();
    let accepted = edges.server.cli(CAROL, &["clock", "accept", "--data", data.to_str().unwrap()]);
    assert_eq!(accepted.code, 0, "{accepted:?}");
    assert!(!edges.writes(ALICE));
    assert!(edges.writes(DAVE));
    assert_eq!(edges.one_event(&id, "activation_revoked")["cause"], json!("clock_accepted"));
    assert_eq!(edges.status(&id), "revoked");
    assert_eq!(edges.all_of_kind("clock_accepted").len(), 1);
    assert_eq!(edges.server.get(ALICE, "/v1/me")["time_trusted"], json!(true));
    edges.asked(ALICE, "plain", json!({"duration": "PT1H"}));
    assert!(edges.writes(ALICE));
    assert_eq!(edges.server.call(ALICE, "GET", "/readyz", Value::Null).0, 200);
}

#[test]
fn there_is_no_grace_at_an_end() {
    let edges = Edges::start();
    let id = stage(&edges);
    let began = edges.now();
    set(&edges, began + Duration::milliseconds(3_599_999));
    assert!(edges.writes(ALICE));
    set(&edges, began + Duration::milliseconds(3_600_000));
    assert!(!edges.writes(ALICE));
    assert!(edges.writes(DAVE));
    edges.one_event(&id, "activation_expired");
}
