//! More time for what is active.

use serde_json::{Value, json};

use crate::common::edges::{DAVE, Edges, id_of, minutes, rule, rule_of};
use crate::common::names::{ALICE, BOB, CAROL};

fn extend(edges: &Edges, id: &str, duration: &str) -> (u16, Value) {
    edges.act(ALICE, id, "extend", json!({"duration": duration, "justification": "not done yet"}))
}

/// An activation of an hour that half an hour is left of.
fn half_over(edges: &Edges) -> String {
    let id = edges.begun(ALICE, "longer", json!({"duration": "PT1H"}));
    edges.approve(BOB, &id, "active");
    edges.server.advance("PT30M");
    id
}

#[test]
fn the_activation_runs_on_while_it_waits() {
    let edges = Edges::start();
    let id = edges.begun(ALICE, "longer", json!({"duration": "PT1H"}));
    edges.approve(BOB, &id, "active");
    edges.server.advance("PT29M59S");
    let (status, early) = extend(&edges, &id, "PT1H");
    assert_eq!((status, &early["rule"]), (409, &json!("too_early_to_extend")), "{early}");
    edges.server.advance("PT1S");
    let (status, more) = extend(&edges, &id, "PT1H");
    assert_eq!((status, &more["status"], &more["extends"]), (201, &json!("pending"), &json!(id)), "{more}");
    let extension = id_of(&more);
    // asked again: the one that waits; for more: that first
    assert_eq!(extend(&edges, &id, "PT30M").1["id"], json!(extension));
    assert_eq!(rule_of(extend(&edges, &id, "PT2H")), rule(409, "extension_waits"));
    assert!(edges.writes(ALICE));
    // bob voted on the first and may vote on this one; alice may not
    assert_eq!(rule_of(edges.vote(ALICE, &extension, "approve", json!({}))), rule(403, "separation_of_duties"));
    edges.approve(BOB, &extension, "approved");
    let shown = edges.shown(&id);
    assert_eq!((&shown["extensions"], minutes(&shown["start"], &shown["end"])), (&json!(1), 120), "{shown}");
    assert_eq!(edges.one_event(&id, "activation_extended")["by"], json!(extension));
    edges.server.advance("PT30M");
    assert!(edges.writes(ALICE), "past its first end");
    edges.server.advance("PT59M59S");
    assert!(edges.writes(ALICE));
    // once is what the role allows
    assert_eq!(rule_of(extend(&edges, &id, "PT1H")), rule(409, "not_extendable"));
    edges.server.advance("PT1S");
    assert!(!edges.writes(ALICE));
    assert_eq!(rule_of(extend(&edges, &id, "PT1H")), rule(409, "not_in_state"));
}

#[test]
fn it_is_void_when_the_activation_is_over_first() {
    let edges = Edges::start();
    let id = half_over(&edges);
    let extension = id_of(&extend(&edges, &id, "PT1H").1);
    edges.server.advance("PT30M");
    assert!(!edges.writes(ALICE));
    edges.one_event(&id, "activation_expired");
    assert_eq!(edges.one_event(&extension, "activation_failed")["cause"], json!({"parent_ended": id}));
    assert_eq!(rule_of(edges.vote(BOB, &extension, "approve", json!({}))), rule(409, "not_in_state"));
    assert!(!edges.writes(ALICE));

    // or it is ended by hand, or revoked
    for (who, verb) in [(ALICE, "deactivate"), (CAROL, "revoke")] {
        let id = id_of(&edges.asked(ALICE, "longer", json!({"duration": "PT1H"})));
        edges.approve(BOB, &id, "active");
        edges.server.advance("PT30M");
        let extension = id_of(&extend(&edges, &id, "PT1H").1);
        assert_eq!(edges.act(who, &id, verb, json!({})).0, 200);
        assert_eq!(edges.status(&extension), "failed");
        assert!(!edges.writes(ALICE));
    }
}

#[test]
fn less_can_be_given_and_it_can_be_denied() {
    let edges = Edges::start();
    let id = half_over(&edges);
    let extension = id_of(&extend(&edges, &id, "PT1H").1);
    let (status, denied) = edges.vote(DAVE, &extension, "deny", json!({}));
    assert_eq!((status, &denied["status"]), (200, &json!("denied")), "{denied}");
    assert!(edges.writes(ALICE), "what runs is not touched");
    let extension = id_of(&extend(&edges, &id, "PT1H").1);
    let (status, given) = edges.vote(BOB, &extension, "approve", json!({"duration": "PT15M"}));
    assert_eq!((status, &given["status"]), (200, &json!("approved")), "{given}");
    assert_eq!(minutes(&edges.shown(&id)["start"], &edges.shown(&id)["end"]), 75);
    edges.server.advance("PT44M59S");
    assert!(edges.writes(ALICE));
    edges.server.advance("PT1S");
    assert!(!edges.writes(ALICE));
}

#[test]
fn by_the_command_line() {
    let edges = Edges::start();
    let id = half_over(&edges);
    let (code, more) = edges.server.cli_json(ALICE, &["extend", &id, "--for", "PT20M", "--reason", "not done"]);
    assert_eq!((code, &more["status"]), (0, &json!("pending")), "{more}");
    let approvals = edges.server.cli(BOB, &["approvals"]);
    assert!(approvals.stdout.contains("PT20M more"), "{approvals:?}");
    let approved = edges.server.cli(BOB, &["approve", &id_of(&more)]);
    assert!(approved.code == 0 && approved.stdout.contains("extends"), "{approved:?}");
    assert_eq!(minutes(&edges.shown(&id)["start"], &edges.shown(&id)["end"]), 80);
}
