//! `max_active_per_day`: reserved when it is approved, given back by an early end.

use serde_json::json;

use crate::common::edges::{DAVE, Edges, id_of, minutes, rule, rule_of};
use crate::common::names::{ALICE, BOB, CAROL};

#[test]
fn the_time_of_a_day_is_reserved_and_given_back() {
    let edges = Edges::start();
    edges.at_one_in_the_morning();
    edges.eligible(ALICE, "metered");
    let first = id_of(&edges.asked(ALICE, "metered", json!({"duration": "PT40M"})));
    let more = json!({"duration": "PT30M", "scope": {"type": "Environment", "id": "prod"}});
    let (status, refused) = edges.ask(ALICE, "metered", more.clone());
    assert_eq!((status, &refused["rule"], &refused["left"]), (409, &json!("budget_exhausted"), &json!("PT20M")), "{refused}");

    // ended after ten minutes: thirty are given back, in the same commit
    edges.server.advance("PT10M");
    assert_eq!(edges.act(ALICE, &first, "deactivate", json!({})).0, 200);
    let second = id_of(&edges.asked(ALICE, "metered", json!({"duration": "PT50M"})));
    assert!(edges.writes(ALICE));
    assert_eq!(
        edges.refused(ALICE, "metered", json!({"scope": {"type": "Environment", "id": "prod"}, "duration": "PT1M"})),
        rule(409, "budget_exhausted")
    );
    // revoked is given back as well
    edges.server.advance("PT20M");
    assert_eq!(edges.act(CAROL, &second, "revoke", json!({"reason": "x"})).0, 200);
    assert_eq!(edges.ask(ALICE, "metered", json!({"duration": "PT30M"})).0, 201);
    // dave has time of his own, and another day is another day
    edges.eligible(DAVE, "metered");
    assert_eq!(edges.ask(DAVE, "metered", json!({"duration": "PT1H"})).0, 201);
    edges.server.advance("PT24H");
    assert_eq!(edges.ask(ALICE, "metered", json!({"duration": "PT1H"})).0, 201);
}

#[test]
fn what_is_approved_takes_the_time_and_what_waits_does_not() {
    let edges = Edges::start();
    edges.at_one_in_the_morning();
    edges.eligible(ALICE, "metered-voted");
    let first = id_of(&edges.asked(ALICE, "metered-voted", json!({"duration": "PT40M"})));
    let scope = json!({"type": "Environment", "id": "prod"});
    let second = id_of(&edges.asked(ALICE, "metered-voted", json!({"duration": "PT40M", "scope": scope})));
    edges.approve(BOB, &first, "active");
    // the other no longer fits in: its approval says so, and nothing is given
    edges.approve(DAVE, &second, "failed");
    assert_eq!(edges.one_event(&second, "activation_failed")["cause"], json!({"budget_exhausted": "metered-voted"}));
    let refused = edges.refused(ALICE, "metered-voted", json!({"duration": "PT40M", "scope": scope}));
    assert_eq!(refused, rule(409, "budget_exhausted"));
    // an approver can give what is left
    let third = id_of(&edges.asked(ALICE, "metered-voted", json!({"duration": "PT20M", "scope": scope})));
    let (status, given) = edges.vote(BOB, &third, "approve", json!({"duration": "PT15M"}));
    assert_eq!((status, minutes(&given["start"], &given["end"])), (200, 15), "{given}");
    assert_eq!(
        rule_of(edges.ask(ALICE, "metered-voted", json!({"duration": "PT10M", "scope": {"type": "Database", "id": "orders"}}))),
        rule(409, "budget_exhausted")
    );
}

#[test]
fn what_is_put_off_is_reserved_for_its_day() {
    let edges = Edges::start();
    edges.at_one_in_the_morning();
    edges.eligible(ALICE, "metered");
    let later = id_of(&edges.asked(ALICE, "metered", json!({"start": edges.later(120), "duration": "PT50M"})));
    assert_eq!(edges.status(&later), "scheduled");
    assert_eq!(edges.refused(ALICE, "metered", json!({"duration": "PT20M"})), rule(409, "budget_exhausted"));
    // taken back before it began: all of it is there again
    assert_eq!(edges.act(ALICE, &later, "cancel", json!({})).0, 200);
    let id = id_of(&edges.asked(ALICE, "metered", json!({"duration": "PT20M"})));
    // more time is taken from the same day
    let extend = |duration: &str| edges.act(ALICE, &id, "extend", json!({"duration": duration, "justification": "more"}));
    assert_eq!(rule_of(extend("PT41M")), rule(409, "budget_exhausted"));
    assert_eq!(extend("PT40M").0, 201);
    assert_eq!(minutes(&edges.shown(&id)["start"], &edges.shown(&id)["end"]), 60);
}
