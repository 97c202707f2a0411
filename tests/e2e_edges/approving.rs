//! Votes: who may cast them, when they are too late, and what they are about.

use serde_json::{Value, json};

use crate::common::edges::{BOB_ADMIN, DAVE, ERIN, Edges, FRANK, VOTERS, id_of, minutes, rule, rule_of};
use crate::common::names::{ALICE, BOB, CAROL, OTHER_DB, PROD, PROD_DB};
use crate::common::uid;

#[test]
fn two_approvers_at_once() {
    let edges = Edges::start();
    let id = edges.begun(ALICE, "voted", json!({}));
    // both have seen the same request
    let hash = edges.shown(&id)["request_hash"].clone();
    let (status, first) = edges.act(BOB, &id, "approve", json!({"request_hash": hash}));
    assert_eq!((status, &first["status"]), (200, &json!("active")), "{first}");
    let (status, second) = edges.act(DAVE, &id, "approve", json!({"request_hash": hash}));
    assert_eq!((status, &second["rule"], &second["outcome"]), (409, &json!("not_in_state"), &json!("active")), "{second}");
    let (status, third) = edges.act(ERIN, &id, "deny", json!({"request_hash": hash}));
    assert_eq!((status, &third["outcome"]), (409, &json!("active")), "{third}");
    assert_eq!(edges.history(&id), ["alice activation_requested", "bob approval_given", "bob activation_started"]);
    assert!(edges.writes(ALICE));
}

#[test]
fn approve_against_cancel_or_timeout() {
    let edges = Edges::start();

    // cancelled first
    let id = edges.begun(ALICE, "voted", json!({}));
    let hash = edges.shown(&id)["request_hash"].clone();
    let (status, cancelled) = edges.act(ALICE, &id, "cancel", json!({"reason": "not needed"}));
    assert_eq!((status, &cancelled["status"]), (200, &json!("cancelled")), "{cancelled}");
    let (status, late) = edges.act(BOB, &id, "approve", json!({"request_hash": hash}));
    assert_eq!((status, &late["outcome"]), (409, &json!("cancelled")), "{late}");
    assert_eq!(edges.history(&id), ["alice activation_requested", "alice activation_cancelled"]);

    // approved first
    let id = id_of(&edges.asked(ALICE, "voted", json!({})));
    edges.approve(BOB, &id, "active");
    let (status, late) = edges.act(ALICE, &id, "cancel", json!({}));
    assert_eq!((status, &late["outcome"]), (409, &json!("active")), "{late}");
    assert!(edges.writes(ALICE));
    let (status, ended) = edges.act(ALICE, &id, "deactivate", json!({}));
    assert_eq!(status, 200, "{ended}");

    // just in time, and too late: no timer is waited for
    let id = id_of(&edges.asked(ALICE, "voted", json!({})));
    edges.server.advance("PT7H59M50S");
    edges.approve(BOB, &id, "active");
    let (status, ended) = edges.act(ALICE, &id, "deactivate", json!({}));
    assert_eq!(status, 200, "{ended}");
    let id = id_of(&edges.asked(ALICE, "voted", json!({})));
    let hash = edges.shown(&id)["request_hash"].clone();
    edges.server.advance("PT8H");
    let (status, late) = edges.act(BOB, &id, "approve", json!({"request_hash": hash}));
    assert_eq!((status, &late["outcome"]), (409, &json!("timed_out")), "{late}");
    assert!(!edges.writes(ALICE));
    edges.one_event(&id, "activation_timed_out");
    assert_eq!(edges.history(&id), ["alice activation_requested", "elevon activation_timed_out"]);
}

#[test]
fn who_may_vote() {
    let edges = Edges::start();
    edges.home.edit("edges.cedar", |text| {
        format!(
            "{text}@id(\"not-erin\")\nforbid(principal == User::\"erin\", action == Elevon::Action::\"approveActivation\", resource);\n"
        )
    });
    edges.reload();
    // zoe comes to vote through a group
    assert_eq!(edges.store(CAROL, "zoe", &[VOTERS], json!({})).0, 201);
    for who in [ALICE, BOB] {
        edges.eligible(who, "voted");
    }
    let approve = |who: &str, id: &str| rule_of(edges.vote(who, id, "approve", json!({})));

    // dave asks for alice
    let (status, asked) = edges.ask(DAVE, "voted", json!({"principal": uid(("User", ALICE))}));
    assert_eq!((status, &asked["requester"]), (201, &uid(("User", DAVE))), "{asked}");
    let id = id_of(&asked);
    let rows = [
        (DAVE, "separation_of_duties", "asked for it"),
        (ALICE, "separation_of_duties", "benefits from it"),
        (FRANK, "not_an_approver", "is not in the list"),
        (CAROL, "not_an_approver", "is not in the list, whatever it may do otherwise"),
        (ERIN, "not_permitted", "is in the list, and no policy permits it"),
    ];
    for (who, expected, why) in rows {
        assert_eq!(approve(who, &id), rule(403, expected), "{who} {why}");
        if who != ERIN {
            assert_eq!(rule_of(edges.vote(who, &id, "deny", json!({}))), rule(403, expected), "{who} {why}");
        }
    }
    assert_eq!(edges.history(&id), ["dave activation_requested"]);
    assert!(!edges.writes(ALICE));
    edges.approve("zoe", &id, "active");
    assert!(edges.writes(ALICE));

    // what one account of a person asks for, another does not vote on
    let id = id_of(&edges.asked(BOB, "voted", json!({})));
    assert_eq!(approve(BOB_ADMIN, &id), rule(403, "separation_of_duties"));
    assert_eq!(rule_of(edges.vote(BOB_ADMIN, &id, "deny", json!({}))), rule(403, "separation_of_duties"));
    // nor through a group that one joins meanwhile
    assert_eq!(edges.store(CAROL, "bobby", &[VOTERS], json!({"person": "bob.baker"})).0, 201);
    assert_eq!(approve("bobby", &id), rule(403, "separation_of_duties"));
    edges.approve("zoe", &id, "active");
}

#[test]
fn nobody_votes_on_an_extension_of_ones_own() {
    let edges = Edges::start();
    edges.eligible(BOB, "longer");
    let id = id_of(&edges.asked(BOB, "longer", json!({})));
    edges.approve(DAVE, &id, "active");
    edges.server.advance("PT40M");
    let (status, more) = edges.act(BOB, &id, "extend", json!({"justification": "not done"}));
    assert_eq!(status, 201, "{more}");
    assert_eq!(rule_of(edges.vote(BOB, &id_of(&more), "approve", json!({}))), rule(403, "separation_of_duties"));
    edges.approve(DAVE, &id_of(&more), "approved");
}

#[test]
fn one_person_in_two_stages() {
    let edges = Edges::start();
    let id = edges.begun(ALICE, "staged", json!({}));
    let waiting = edges.approve(BOB, &id, "pending");
    assert_eq!(waiting["approval"]["stage"], json!(2), "{waiting}");
    for who in [BOB, BOB_ADMIN] {
        assert_eq!(rule_of(edges.vote(who, &id, "approve", json!({}))), rule(409, "already_voted"), "{who}");
    }
    assert!(!edges.writes(ALICE));
    edges.approve(ERIN, &id, "active");
    assert!(edges.writes(ALICE));
    let expected =
        ["alice activation_requested", "bob approval_given", "bob stage_reached", "erin approval_given", "erin activation_started"];
    assert_eq!(edges.history(&id), expected);
}

#[test]
fn each_stage_times_out_on_its_own() {
    let edges = Edges::start();
    let id = edges.begun(ALICE, "staged", json!({}));
    edges.server.advance("PT1H50M");
    edges.approve(DAVE, &id, "pending");
    edges.server.advance("PT1H50M");
    assert_eq!(edges.status(&id), "pending");
    edges.server.advance("PT10M");
    assert_eq!(edges.status(&id), "timed_out");
    assert_eq!(rule_of(edges.vote(ERIN, &id, "approve", json!({}))), rule(409, "not_in_state"));
    edges.one_event(&id, "activation_timed_out");
}

#[test]
fn those_who_step_in_may_vote_after_a_while() {
    let edges = Edges::start();
    let id = edges.begun(ALICE, "stand-in", json!({}));
    assert_eq!(rule_of(edges.vote(ERIN, &id, "approve", json!({}))), rule(403, "not_an_approver"));
    edges.server.advance("PT1H");
    edges.approve(ERIN, &id, "active");
    assert!(edges.writes(ALICE));
}

#[test]
fn an_approver_lost_the_right_before_quorum() {
    // by leaving the group, by being disabled, or by a policy
    let leave = |edges: &Edges| assert_eq!(edges.store(CAROL, "yara", &[], json!({})).0, 200);
    let disable = |edges: &Edges| edges.set_disabled("yara", true);
    let forbid = |edges: &Edges| {
        edges.home.edit("edges.cedar", |text| {
            format!("{text}@id(\"no\")\nforbid(principal == User::\"yara\", action == Elevon::Action::\"approveActivation\", resource);\n")
        });
        edges.reload();
    };
    let ways: [&dyn Fn(&Edges); 3] = [&leave, &disable, &forbid];
    for (number, lose) in ways.into_iter().enumerate() {
        let edges = Edges::start();
        assert_eq!(edges.store(CAROL, "yara", &[VOTERS], json!({})).0, 201);
        let id = edges.begun(ALICE, "paired", json!({}));
        edges.approve("yara", &id, "pending");
        lose(&edges);
        // the second vote decides, and finds that the first is void
        edges.approve(BOB, &id, "pending");
        assert!(!edges.writes(ALICE), "way {number}");
        let void = edges.one_event(&id, "votes_voided");
        assert_eq!(void["voters"], json!([uid(("User", "yara"))]), "way {number}: {void}");
        edges.approve(DAVE, &id, "active");
        assert!(edges.writes(ALICE), "way {number}");
    }
}

#[test]
fn no_quorum_is_reachable() {
    let edges = Edges::start();
    // alice is one of the two who have to vote
    edges.eligible(ALICE, "few");
    let (status, refused) = edges.ask(ALICE, "few", json!({}));
    assert_eq!((status, &refused["rule"]), (409, &json!("quorum_unreachable")), "{refused}");
    assert_eq!((&refused["needed"], &refused["available"]), (&json!(2), &json!(1)), "{refused}");
    assert!(!edges.writes(ALICE));

    // for dave there are enough, until one of them is disabled
    let id = edges.begun(DAVE, "few", json!({}));
    assert_eq!(edges.status(&id), "pending");
    edges.set_disabled(BOB, true);
    edges.eligible(FRANK, "few");
    assert_eq!(edges.refused(FRANK, "few", json!({})), rule(409, "quorum_unreachable"));
    edges.set_disabled(BOB, false);
    assert_eq!(edges.ask(FRANK, "few", json!({})).0, 201);

    // found again when a bundle goes live
    edges.home.edit_role("few", "quorum = 2", "quorum = 3");
    edges.home.edit_role("few", "'User::\"bob\"'", "'User::\"bob\"', 'Group::\"voters\"'");
    edges.reload();
    let alert = edges.one_event(&id, "quorum_unreachable");
    assert_eq!((&alert["needed"], &alert["available"]), (&json!(3), &json!(2)), "{alert}");
    assert_eq!(edges.status(&id), "pending");
}

#[test]
fn what_is_voted_on() {
    let edges = Edges::start();
    let id = edges.begun(ALICE, "paired", json!({"duration": "PT2H"}));
    let shown = edges.shown(&id)["request_hash"].clone();
    let approve = |who: &str, hash: &Value| edges.act(who, &id, "approve", json!({"request_hash": hash}));

    // not without it, and not with another
    let (status, reply) = edges.act(BOB, &id, "approve", json!({}));
    assert_eq!(status, 400, "{reply}");
    assert_eq!(rule_of(approve(BOB, &json!("0".repeat(64)))), rule(409, "request_changed"));

    // what a first approver takes away, the second has to have seen
    let (status, narrowed) = edges.act(BOB, &id, "approve", json!({"request_hash": shown, "duration": "PT30M"}));
    assert_eq!((status, &narrowed["status"]), (200, &json!("pending")), "{narrowed}");
    assert_eq!(rule_of(approve(DAVE, &shown)), rule(409, "request_changed"));
    let now = edges.shown(&id)["request_hash"].clone();
    assert_ne!(now, shown);

    // and the settings that it is decided under
    edges.home.edit_role("paired", "max_duration = \"PT4H\"", "max_duration = \"PT3H\"");
    edges.reload();
    assert_eq!(rule_of(approve(DAVE, &now)), rule(409, "request_changed"));
    assert!(!edges.writes(ALICE));
    let active = edges.approve(DAVE, &id, "active");
    assert_eq!(minutes(&active["start"], &active["end"]), 30, "{active}");
    assert!(edges.writes(ALICE));
}

#[test]
fn an_approver_gives_less_and_never_more() {
    let edges = Edges::start();
    let id = edges.begun(ALICE, "voted", json!({"duration": "PT2H", "scope": uid(PROD)}));
    let rows = [json!({"duration": "PT3H"}), json!({"scope": uid(("Organization", "acme"))}), json!({"scope": uid(OTHER_DB)})];
    for more in rows {
        assert_eq!(rule_of(edges.vote(BOB, &id, "approve", more.clone())), rule(422, "wider_than_asked"), "{more}");
    }
    let (status, given) = edges.vote(BOB, &id, "approve", json!({"duration": "PT20M", "scope": uid(PROD_DB)}));
    assert_eq!((status, &given["status"], &given["scope"]), (200, &json!("active"), &uid(PROD_DB)), "{given}");
    assert_eq!(minutes(&given["start"], &given["end"]), 20, "{given}");
    assert_eq!(given["requested"], json!({"duration": "PT2H", "scope": uid(PROD)}), "{given}");
    assert!(edges.writes(ALICE));
    assert!(!edges.server.check(ALICE, "write", ("Database", "customers")).0);
    edges.server.advance("PT20M");
    assert!(!edges.writes(ALICE));
}

#[test]
fn a_denial_ends_it() {
    let edges = Edges::start();
    let id = edges.begun(ALICE, "paired", json!({}));
    edges.approve(BOB, &id, "pending");
    let (status, denied) = edges.vote(DAVE, &id, "deny", json!({"justification": "not today"}));
    assert_eq!((status, &denied["status"]), (200, &json!("denied")), "{denied}");
    assert_eq!(rule_of(edges.vote(ERIN, &id, "approve", json!({}))), rule(409, "not_in_state"));
    assert!(!edges.writes(ALICE));
    assert_eq!(edges.history(&id), ["alice activation_requested", "bob approval_given", "dave activation_denied"]);
}
