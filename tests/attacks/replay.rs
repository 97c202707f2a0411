//! Approvals sent again, or sent for something else.

use serde_json::json;

use crate::common::edges::{DAVE, ERIN, Edges, id_of, rule, rule_of};
use crate::common::names::{ALICE, BOB};

/// Approval replay: one vote counts once, however often it is sent.
#[test]
fn a_vote_that_is_sent_twice_counts_once() {
    let edges = Edges::start();
    let id = edges.begun(ALICE, "paired", json!({}));
    let hash = edges.shown(&id)["request_hash"].clone();
    let vote = json!({ "request_hash": hash });
    assert_eq!(edges.act(BOB, &id, "approve", vote.clone()).0, 200);
    for _ in 0..3 {
        assert_eq!(rule_of(edges.act(BOB, &id, "approve", vote.clone())), rule(409, "already_voted"));
    }
    // the same bytes under an idempotency key are answered again, and count no more for that
    let body = json!({ "request_hash": edges.shown(&id)["request_hash"] });
    let path = format!("/v1/activations/{id}/approve");
    let headers = [("authorization", "Dev User::\"bob\""), ("idempotency-key", "once")];
    for _ in 0..2 {
        let (status, reply) = edges.server.send("POST", &path, &headers, Some(&body));
        assert_eq!((status, &reply["rule"]), (409, &json!("already_voted")), "{reply}");
    }
    assert_eq!(edges.status(&id), "pending");
    assert!(!edges.writes(ALICE));
    edges.approve(DAVE, &id, "active");
}

/// Approval replay: a hash that was good once is not good after a deny, after an end, or for the next request that reads just the same.
#[test]
fn a_vote_for_one_request_is_none_for_another() {
    let edges = Edges::start();
    let first = edges.begun(ALICE, "voted", json!({}));
    let vote = json!({ "request_hash": edges.shown(&first)["request_hash"] });
    assert_eq!(edges.act(DAVE, &first, "deny", vote.clone()).0, 200);
    assert_eq!(rule_of(edges.act(BOB, &first, "approve", vote.clone())), rule(409, "not_in_state"));

    let second = id_of(&edges.asked(ALICE, "voted", json!({})));
    assert_ne!(edges.shown(&second)["request_hash"], vote["request_hash"]);
    assert_eq!(rule_of(edges.act(BOB, &second, "approve", vote.clone())), rule(409, "request_changed"));
    let active = edges.approve(BOB, &second, "active");
    assert_eq!(edges.act(ALICE, &second, "deactivate", json!({})).0, 200);
    let used = json!({ "request_hash": active["request_hash"] });
    let used = if used["request_hash"].is_null() { vote } else { used };
    assert_eq!(rule_of(edges.act(ERIN, &second, "approve", used)), rule(409, "not_in_state"));
    assert!(!edges.writes(ALICE));
}

/// Approval replay after a change: what was seen before the role's settings changed, or before another approver took something away, is not what
/// is voted on now.
#[test]
fn a_vote_on_what_has_changed_since_is_refused() {
    let edges = Edges::start();
    let id = edges.begun(ALICE, "paired", json!({ "duration": "PT2H" }));
    let seen = json!({ "request_hash": edges.shown(&id)["request_hash"] });
    // an approver gives less: the next one has to see that
    assert_eq!(edges.vote(BOB, &id, "approve", json!({ "duration": "PT30M" })).0, 200);
    assert_eq!(rule_of(edges.act(DAVE, &id, "approve", seen.clone())), rule(409, "request_changed"));
    assert_eq!(edges.status(&id), "pending");

    // the settings change, and with them what the hash is over
    let seen = json!({ "request_hash": edges.shown(&id)["request_hash"] });
    edges.home.edit_role("paired", "max_duration = \"PT4H\"", "max_duration = \"PT10M\"");
    edges.reload();
    assert_eq!(rule_of(edges.act(DAVE, &id, "approve", seen)), rule(409, "request_changed"));
    assert!(!edges.writes(ALICE));
}
