//! What becomes of requests and activations when another bundle goes live.

use serde_json::json;

use crate::common::edges::{Edges, minutes, rule, rule_of};
use crate::common::names::{ALICE, BOB};

const HOURS: (&str, &str) = ("max_duration = \"PT4H\"", "max_duration = \"PT2H\"");

#[test]
fn bundle_changed_while_pending() {
    let edges = Edges::start();
    let id = edges.begun(ALICE, "voted", json!({"duration": "PT4H"}));
    let before = edges.shown(&id)["request_hash"].clone();
    edges.home.edit_role("voted", HOURS.0, HOURS.1);
    edges.reload();
    assert_eq!(rule_of(edges.act(BOB, &id, "approve", json!({"request_hash": before}))), rule(409, "request_changed"));
    let active = edges.approve(BOB, &id, "active");
    assert_eq!(minutes(&active["start"], &active["end"]), 120, "{active}");
    assert_eq!(edges.one_event(&id, "activation_started")["clamped"], json!(true));
    assert!(edges.writes(ALICE));
    edges.server.advance("PT2H");
    assert!(!edges.writes(ALICE));
}

#[test]
fn bundle_that_asks_for_more_while_pending() {
    let edges = Edges::start();
    let id = edges.begun(ALICE, "voted", json!({}));
    edges.home.edit_role("voted", "timeout = \"PT8H\"", "quorum = 2\ntimeout = \"PT8H\"");
    edges.reload();
    edges.approve(BOB, &id, "pending");
    assert!(!edges.writes(ALICE));
    edges.approve("dave", &id, "active");
    assert!(edges.writes(ALICE));
}

#[test]
fn bundle_changed_while_active() {
    let edges = Edges::start();
    let id = edges.begun(ALICE, "plain", json!({"duration": "PT4H"}));
    edges.server.advance("PT1H");
    edges.home.edit_role("plain", HOURS.0, HOURS.1);
    edges.reload();
    let shown = edges.shown(&id);
    assert_eq!((&shown["status"], minutes(&shown["start"], &shown["end"])), (&json!("active"), 120), "{shown}");
    let clamped = edges.one_event(&id, "activation_clamped");
    assert_eq!(clamped["cause"], json!({"cap_lowered": "plain"}), "{clamped}");
    assert!(edges.writes(ALICE));
    edges.server.advance("PT1H");
    assert!(!edges.writes(ALICE));
    edges.one_event(&id, "activation_expired");

    // what has had more than the new cap already is over at once
    let id = edges.begun("dave", "plain", json!({"duration": "PT2H"}));
    edges.server.advance("PT1H30M");
    assert!(edges.writes("dave"));
    edges.home.edit_role("plain", HOURS.1, "max_duration = \"PT1H\"");
    edges.reload();
    assert!(!edges.writes("dave"));
    assert_eq!(edges.one_event(&id, "activation_revoked")["cause"], json!({"cap_lowered": "plain"}));
}

#[test]
fn a_policy_that_goes_takes_the_permission_with_it() {
    let edges = Edges::start();
    let id = edges.begun(ALICE, "plain", json!({}));
    assert!(edges.writes(ALICE));
    edges.home.edit("edges.cedar", |text| text.replace("principal in Role::\"plain\" ||", ""));
    edges.reload();
    assert!(!edges.writes(ALICE));
    assert_eq!(edges.status(&id), "active");
}
