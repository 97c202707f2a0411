//! Everything of a principal, or of a role, ended by one command.

use serde_json::json;

use crate::common::edges::{BOB_ADMIN, DAVE, Edges, FRANK, id_of, on_prod, rule, rule_of};
use crate::common::names::{ALICE, BOB, CAROL};
use crate::common::uid;

#[test]
fn everything_of_a_principal() {
    let edges = Edges::start();
    let first = edges.begun(ALICE, "plain", json!({}));
    let second = id_of(&edges.asked(ALICE, "plain", on_prod()));
    let pending = edges.begun(ALICE, "voted", json!({}));
    let scheduled = id_of(&edges.asked(ALICE, "plain", json!({"start": edges.later(90)})));
    let of_dave = edges.begun(DAVE, "plain", json!({}));
    let revoke = |who: &str| {
        edges.server.call(who, "POST", "/v1/activations/revoke", json!({"principal": uid(("User", ALICE)), "reason": "stolen"}))
    };

    assert_eq!(rule_of(revoke(BOB)), rule(403, "not_permitted"));
    assert!(edges.writes(ALICE));
    let (status, done) = revoke(CAROL);
    assert_eq!(status, 200, "{done}");
    assert!(!edges.writes(ALICE));
    assert!(edges.writes(DAVE));
    let cause = json!({"principal_revoked": uid(("User", ALICE))});
    for id in [&first, &second, &scheduled] {
        let event = edges.one_event(id, "activation_revoked");
        assert_eq!(event["cause"], cause, "{event}");
        assert_eq!(edges.status(id), "revoked");
    }
    assert_eq!(edges.one_event(&pending, "activation_failed")["cause"], cause);
    assert_eq!(rule_of(edges.vote(BOB, &pending, "approve", json!({}))), rule(409, "not_in_state"));
    assert_eq!(edges.shown(&first)["ended"]["reason"], json!("stolen"));
    assert_eq!(edges.all_of_kind("activations_voided").len(), 1);
    // again there is nothing to revoke; and she is as eligible as before
    assert_eq!(revoke(CAROL).0, 200);
    assert_eq!(edges.all_of_kind("activations_voided").len(), 1);
    assert_eq!(edges.ask(ALICE, "plain", json!({})).0, 201);
    assert!(edges.writes(ALICE));
    assert_eq!(edges.status(&of_dave), "active");
}

#[test]
fn everything_of_a_role() {
    let edges = Edges::start();
    let people = [ALICE, DAVE, FRANK];
    let ids = people.map(|who| edges.begun(who, "plain", json!({})));
    let other = edges.begun(BOB, "voted", json!({}));
    edges.approve(DAVE, &other, "active");
    let pending = edges.begun(BOB_ADMIN, "voted", json!({}));
    let revoke =
        |who: &str, role: &str| edges.server.call(who, "POST", "/v1/activations/revoke", json!({"role": role, "reason": "leaked"}));
    assert_eq!(rule_of(revoke(BOB, "plain")), rule(403, "not_permitted"));
    assert_eq!(rule_of(revoke(CAROL, "plane")), rule(422, "unknown_role"));
    let (status, done) = revoke(CAROL, "plain");
    assert_eq!(status, 200, "{done}");
    for (who, id) in people.iter().zip(&ids) {
        assert!(!edges.writes(who), "{who}");
        assert_eq!(edges.one_event(id, "activation_revoked")["cause"], json!({"role_revoked": "plain"}));
    }
    assert!(edges.writes(BOB));
    assert_eq!(edges.status(&pending), "pending");
    // what is asked for from now on counts again
    assert_eq!(edges.ask(ALICE, "plain", json!({})).0, 201);
    assert!(edges.writes(ALICE));

    // neither, or both
    for body in [json!({}), json!({"role": "plain", "principal": uid(("User", ALICE))})] {
        let (status, reply) = edges.server.call(CAROL, "POST", "/v1/activations/revoke", body);
        assert_eq!(status, 400, "{reply}");
    }
}
