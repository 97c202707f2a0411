//! Approving one's own request by being somebody else.

use serde_json::{Value, json};

use crate::common::edges::{DAVE, ERIN, Edges, VOTERS, id_of, rule, rule_of};
use crate::common::names::{ALICE, BOB, CAROL};
use crate::common::uid;
use crate::raw::{request, send};

/// Self-approval through a second account: two accounts of one person are one, for asking, benefiting and voting.
#[test]
fn a_second_account_of_the_same_person_does_not_approve() {
    let edges = Edges::start();
    let id = edges.begun(BOB, "voted", json!({}));
    assert_eq!(rule_of(edges.vote("bob-admin", &id, "approve", json!({}))), rule(403, "separation_of_duties"));
    assert_eq!(edges.act(BOB, &id, "cancel", json!({})).0, 200);
    // nor when somebody else asks on behalf of the first
    let (status, asked) = edges.ask(DAVE, "voted", json!({ "principal": uid(("User", BOB)) }));
    assert_eq!((status, &asked["requester"]), (201, &uid(("User", DAVE))), "{asked}");
    for who in [BOB, "bob-admin", DAVE] {
        assert_eq!(rule_of(edges.vote(who, &id_of(&asked), "approve", json!({}))), rule(403, "separation_of_duties"), "{who}");
    }
    // nor with a third account that is made for it, and put among the approvers
    assert_eq!(edges.store(CAROL, "bobby", &[VOTERS], json!({ "person": "bob.baker" })).0, 201);
    assert_eq!(rule_of(edges.vote("bobby", &id_of(&asked), "approve", json!({}))), rule(403, "separation_of_duties"));
    assert_eq!(edges.status(&id_of(&asked)), "pending");
    assert!(!edges.writes(BOB));
}

/// Self-approval through a case or Unicode variant of an id: where a type's ids may not differ by case only, every spelling is the one account,
/// and no second one can be made. Compatibility letters, compositions and letters of no width make no second account of the same name.
#[test]
fn another_spelling_of_ones_own_name_is_oneself() {
    let edges = Edges::start();
    assert_eq!(edges.store(CAROL, "strasse", &[VOTERS], json!({})).0, 201);
    let id = edges.begun("strasse", "voted", json!({}));
    let body = json!({ "request_hash": edges.shown(&id)["request_hash"] }).to_string();
    let vote = |name: &str| {
        let credential = format!("authorization: Dev User::\"{name}\"");
        let headers = [credential.as_bytes(), b"content-type: application/json"];
        let path = format!("/v1/activations/{id}/approve");
        let reply = send(edges.server.port(), &request("POST", path.as_bytes(), &headers, body.as_bytes()));
        (reply.status, reply.rule())
    };
    for name in ["strasse", "Strasse", "STRASSE", "straße", "STRAẞE", "\u{17f}trasse"] {
        assert_eq!(vote(name), rule(403, "separation_of_duties"), "{name}");
        if name != "strasse" {
            assert_eq!(rule_of(edges.store(CAROL, name, &[VOTERS], json!({}))), rule(409, "fold_exists"), "{name}");
        }
    }
    for name in ["strasse\u{200b}", "\u{feff}strasse", "stra\u{ad}sse", "strasse ", "stra\u{2060}sse"] {
        assert_eq!(edges.store(CAROL, name, &[VOTERS], json!({})).0, 400, "{name:?}");
        assert_eq!(vote(name), rule(401, "bad_credential"), "{name:?}");
    }
    assert_eq!(edges.status(&id), "pending");
    // another name is another name, and may vote
    edges.approve(DAVE, &id, "active");
}

/// Self-approval through a group: being in the list of approvers by a group, joining it later, or benefiting by a group's eligibility gives nobody
/// a vote on one's own request.
#[test]
fn a_group_does_not_approve_for_its_member() {
    let edges = Edges::start();
    assert_eq!(edges.store(CAROL, "zoe", &[VOTERS], json!({})).0, 201);
    edges.grant("/v1/eligibilities", VOTERS, "voted", json!({}));
    let id = id_of(&edges.asked("zoe", "voted", json!({})));
    assert_eq!(rule_of(edges.vote("zoe", &id, "approve", json!({}))), rule(403, "separation_of_duties"));
    // a group, or a service, is nobody who votes
    for credential in ["Dev Group::\"voters\"", "Dev Role::\"voted\""] {
        let path = format!("/v1/activations/{id}/approve");
        let body = json!({ "request_hash": edges.shown(&id)["request_hash"] });
        let (status, reply) = edges.server.send("POST", &path, &[("authorization", credential)], Some(&body));
        assert!(status == 401 || status == 403, "{credential}: {status} {reply}");
    }
    // who joins the group meanwhile does not get a vote on what it asked for itself
    assert_eq!(edges.store(CAROL, "yan", &[], json!({})).0, 201);
    let id = edges.begun("yan", "voted", json!({}));
    assert_eq!(edges.store(CAROL, "yan", &[VOTERS], json!({})).0, 200);
    assert_eq!(rule_of(edges.vote("yan", &id, "approve", json!({}))), rule(403, "separation_of_duties"));
    assert_eq!(edges.status(&id), "pending");
}

/// Self-grant: nobody gives oneself an eligibility or an assignment, directly, through a second account, or through a group one is in.
#[test]
fn nobody_grants_to_oneself() {
    let edges = Edges::start();
    assert_eq!(edges.store(ERIN, "carol-two", &[], json!({ "person": "carol" })).0, 201);
    let give = |holder: Value| {
        let body = json!({ "principal": holder, "role": "plain", "justification": "x" });
        rule_of(edges.server.call(CAROL, "POST", "/v1/eligibilities", body))
    };
    assert_eq!(give(uid(("User", CAROL))), rule(403, "self_grant"));
    assert_eq!(give(uid(("Group", "security"))), rule(403, "self_grant"));
    assert_eq!(edges.refused(CAROL, "plain", json!({})), rule(403, "not_eligible"));
    assert_eq!(edges.refused(ALICE, "plain", json!({})), rule(403, "not_eligible"));
}
