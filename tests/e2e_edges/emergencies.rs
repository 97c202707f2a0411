//! Break-glass.

use serde_json::json;

use crate::common::edges::{DAVE, Edges, id_of, minutes, rule, rule_of};
use crate::common::names::{ALICE, BOB};
use crate::common::uid;

#[test]
fn at_once_short_alerted_and_reviewed() {
    let edges = Edges::start();
    edges.eligible(ALICE, "few");
    // nobody could approve it, and so it could not be asked for
    assert_eq!(edges.refused(ALICE, "few", json!({})), rule(409, "quorum_unreachable"));
    let (status, glass) = edges.ask(ALICE, "few", json!({"emergency": true}));
    assert_eq!((status, &glass["status"], &glass["emergency"]), (201, &json!("active"), &json!(true)), "{glass}");
    assert!(edges.writes(ALICE));
    let id = id_of(&glass);
    assert_eq!(minutes(&glass["start"], &glass["end"]), 30, "{glass}");
    assert_eq!(minutes(&glass["start"], &glass["review_by"]), 72 * 60, "{glass}");
    assert_eq!(edges.one_event(&id, "emergency_used")["review_by"], glass["review_by"]);
    assert_eq!(edges.history(&id), ["alice activation_requested", "alice activation_started", "alice emergency_used"]);
    // it is not extended, and over when it is over
    edges.server.advance("PT20M");
    assert_eq!(rule_of(edges.act(ALICE, &id, "extend", json!({"justification": "more"}))), rule(409, "not_extendable"));
    edges.server.advance("PT10M");
    assert!(!edges.writes(ALICE));
    // what is owed is owed still
    assert_eq!(edges.shown(&id)["review_by"], glass["review_by"]);
}

#[test]
fn only_so_much_of_it() {
    let edges = Edges::start();
    edges.eligible(ALICE, "voted");
    edges.eligible(ALICE, "plain");
    let glass = |more| crate::common::edges::merged(json!({"emergency": true}), more);
    let rows = [
        ("plain", glass(json!({})), rule(422, "no_emergency"), "the role offers none"),
        ("voted", glass(json!({"justification": ""})), rule(422, "requirements_missing"), "without a reason"),
        ("voted", glass(json!({"duration": "PT31M"})), rule(422, "duration_too_long"), "longer than it may be"),
        ("few", glass(json!({})), rule(403, "not_eligible"), "without an eligibility"),
    ];
    for (role, more, expected, why) in rows {
        assert_eq!(edges.refused(ALICE, role, more), expected, "{why}");
    }
    // never for others, whoever may ask for others
    let for_alice = glass(json!({"principal": uid(("User", ALICE))}));
    assert_eq!(edges.refused(DAVE, "voted", for_alice), rule(403, "emergency_for_others"));
    assert!(!edges.writes(ALICE));

    // twice a day
    for _ in 0..2 {
        let id = id_of(&edges.asked(ALICE, "voted", glass(json!({}))));
        assert_eq!(edges.act(ALICE, &id, "deactivate", json!({})).0, 200);
    }
    assert_eq!(edges.refused(ALICE, "voted", glass(json!({}))), rule(409, "emergency_limit"));
    edges.server.advance("PT24H");
    assert_eq!(edges.ask(ALICE, "voted", glass(json!({}))).0, 201);

    // and only where a policy permits it
    edges.home.edit("edges.cedar", |text| {
        format!(
            "{text}@id(\"no-glass\")\nforbid(principal == User::\"bob\", action == Elevon::Action::\"activateInEmergency\", resource);\n"
        )
    });
    edges.reload();
    edges.eligible(BOB, "voted");
    assert_eq!(edges.refused(BOB, "voted", glass(json!({}))), rule(403, "not_permitted"));
}
