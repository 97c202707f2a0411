//! Who may vote, what a vote is about, and when votes count.

use super::kit::*;
use crate::domain::command::Due;
use crate::domain::facts::Action;
use crate::domain::*;

type Change = fn(&mut World);

/// `ann`, who is in `ops`, asks for a role. `one` needs one of `ops`; `two` needs two of `staff` and then `eve` or `dan`.
fn asked(role: &str) -> World {
    let mut world = company();
    world.eligible("e1", "User:ann", role, None, Some(600)).unwrap();
    world.run("ann", ask("a", "ann", role, None, Some(180))).unwrap();
    world
}

#[test]
fn only_others_in_the_list_who_are_permitted_vote() {
    let rows = [
        ("bob", "accepted"),
        ("cat", "accepted"),
        ("ann", "separation_of_duties"),
        ("dan", "not_an_approver"),
        ("who", "unknown_principal"),
        ("elevon", "not_found"),
    ];
    for (voter, expected) in rows {
        assert_eq!(rule(asked("one").approve(voter, "a")), expected, "{voter}");
        assert_eq!(rule(asked("one").deny(voter, "a")), expected, "{voter}");
    }
    let mut world = asked("one");
    world.law.denied.insert((user("bob"), Action::ApproveActivation));
    assert_eq!(rule(world.approve("bob", "a")), "not_permitted");
    assert_eq!(rule(world.deny("bob", "a")), "accepted");
}

#[test]
fn no_account_of_requester_or_beneficiary_votes() {
    for (requester, beneficiary, voter) in [("kat", "ann", "cat"), ("bob", "cat", "bob"), ("ann", "kat", "cat")] {
        let mut world = company();
        world.eligible("e1", &format!("User:{beneficiary}"), "one", None, None).unwrap();
        world.run(requester, ask("a", beneficiary, "one", None, None)).unwrap();
        assert_eq!(rule(world.approve(voter, "a")), "separation_of_duties", "{requester} for {beneficiary}, {voter} votes");
    }
}

#[test]
fn a_vote_is_about_what_was_shown() {
    let mut world = asked("one");
    let shown = world.hash("a");
    world.swap(&company_bundle("two", |roles| roles[1] = role("one", |role| role.stages = vec![stage(&["Group:ops"], 1, 10)]))).unwrap();
    let vote = |request_hash| Command::Approve { id: act("a"), request_hash, scope: None, duration: None, justification: None };
    let expected = world.hash("a");
    assert_eq!(world.run("bob", vote(shown)), Err(Rejection::RequestChanged { expected }));
    assert_eq!(rule(world.run("bob", vote(expected))), "accepted");
}

#[test]
fn the_loser_of_a_race_is_told_how_it_ended() {
    let ends: [(&str, Change); 4] = [
        ("active", |world| drop(world.approve("bob", "a").unwrap())),
        ("denied", |world| drop(world.deny("bob", "a").unwrap())),
        ("cancelled", |world| drop(world.run("ann", Command::Cancel { id: act("a"), reason: None }).unwrap())),
        ("timed_out", |world| world.wait(120)),
    ];
    for (status, end) in ends {
        let mut world = asked("one");
        world.wait(0);
        end(&mut world);
        let lost = world.approve("cat", "a").unwrap_err();
        assert!(matches!(&lost, Rejection::NotInState { status: found, .. } if found == status), "{lost}");
    }
    let mut world = asked("one");
    world.wait(119);
    assert_eq!(rule(world.approve("bob", "a")), "accepted", "in the last minute");
    let mut world = asked("one");
    world.wait(120);
    world.run("elevon", Command::Settle(Due::StageTimeout(act("a")))).unwrap();
    assert_eq!(world.last(), ["activation_timed_out"]);
}

#[test]
fn stages_are_asked_in_order_and_a_person_counts_once() {
    let mut world = asked("two");
    assert_eq!(rule(world.approve("bob", "a")), "accepted");
    assert_eq!(rule(world.approve("bob", "a")), "already_voted");
    assert_eq!(rule(world.approve("eve", "a")), "not_an_approver", "the second stage is not asked yet");
    world.wait(100);
    assert_eq!(rule(world.approve("dan", "a")), "accepted");
    assert_eq!(world.last(), ["approval_given", "stage_reached"]);
    assert_eq!(rule(world.approve("dan", "a")), "already_voted", "dan is in both stages");
    world.wait(59);
    assert_eq!(rule(world.approve("eve", "a")), "accepted");
    let window = Window::lasting(world.now, mins(180));
    assert_eq!(world.activation("a").state, ActivationState::Active { window }, "it begins with the last vote");
    assert_eq!(world.row("User:ann").grants.activations[0].approvals, 3);
    assert_eq!(world.roles("User:ann", None), ["two"]);
}

#[test]
fn a_vote_counts_only_while_its_voter_may_still_cast_it() {
    let lost: [(&str, Change); 4] = [
        ("permission", |world| world.law.denied.extend([(user("bob"), Action::ApproveActivation)])),
        ("disabled", |world| drop(world.run("root", Command::SetDisabled { uid: user("bob"), disabled: true, reason: None }).unwrap())),
        ("the list", |world| {
            world.swap(&company_bundle("x", |roles| roles[2].stages[0] = stage(&["User:cat", "User:dan", "User:eve"], 2, 120))).unwrap();
        }),
        ("nothing", |_| {}),
    ];
    for (what, lose) in lost {
        let mut world = asked("two");
        world.approve("bob", "a").unwrap();
        lose(&mut world);
        world.approve("cat", "a").unwrap();
        let expected: &[&str] = if what == "nothing" { &["approval_given", "stage_reached"] } else { &["approval_given", "votes_voided"] };
        assert_eq!(world.last(), expected, "{what}");
    }
}

#[test]
fn a_stage_that_falls_below_its_quorum_is_asked_again() {
    let mut world = asked("two");
    world.approve("bob", "a").unwrap();
    world.approve("cat", "a").unwrap();
    world.law.denied.insert((user("bob"), Action::ApproveActivation));
    world.approve("dan", "a").unwrap();
    assert_eq!(world.last(), ["approval_given", "votes_voided", "stage_reached"]);
    assert!(matches!(world.activation("a").state, ActivationState::Pending { stage: 0, .. }));
    world.law.denied.clear();
    world.approve("bob", "a").unwrap();
    assert_eq!(world.last(), ["approval_given", "activation_started"], "the vote of the second stage still stands");
}

#[test]
fn what_changed_while_it_waited_is_decided_as_it_is_now() {
    let mut world = asked("one");
    world
        .swap(&company_bundle("x", |roles| {
            roles[1] = role("one", |role| {
                role.stages = vec![stage(&["Group:ops"], 1, 120)];
                role.max_duration = mins(30);
            });
        }))
        .unwrap();
    world.approve("bob", "a").unwrap();
    assert!(
        matches!(world.records.last().unwrap().events[1], Event::ActivationStarted { clamped: true, window, .. } if window.end == Some(world.now.plus(mins(30))))
    );

    let mut world = company();
    world.eligible("e1", "User:ann", "one", None, Some(60)).unwrap();
    world.request("a", "ann", "one", None, 180).unwrap();
    world.wait(60);
    assert_eq!(rule(world.approve("bob", "a")), "accepted");
    assert_eq!((world.last(), world.status("a")), (vec!["approval_given", "activation_failed"], "failed"));
}

#[test]
fn a_request_whose_stages_are_gone_is_nobodys_to_approve() {
    let mut world = asked("one");
    world.swap(&company_bundle("x", |roles| roles[1] = role("one", |_| {}))).unwrap();
    assert_eq!(rule(world.approve("bob", "a")), "not_an_approver");
    let mut world = asked("two");
    world.approve("bob", "a").unwrap();
    world.approve("cat", "a").unwrap();
    world.swap(&company_bundle("x", |roles| roles[2].stages = vec![stage(&["Group:staff"], 3, 120)])).unwrap();
    assert_eq!(rule(world.approve("eve", "a")), "not_an_approver");
    assert_eq!(rule(world.approve("dan", "a")), "accepted");
    assert_eq!(world.status("a"), "active");
}

#[test]
fn a_request_that_nobody_could_approve_is_refused() {
    let mut world = company();
    world.eligible("e1", "Group:staff", "one", None, None).unwrap();
    let disable = |id: &str| Command::SetDisabled { uid: user(id), disabled: true, reason: None };
    world.run("root", disable("bob")).unwrap();
    let refused = world.run("kat", ask("a", "ann", "one", None, None)).unwrap_err();
    assert_eq!(refused, Rejection::QuorumUnreachable { role: role_name("one"), stage: 1, needed: 1, available: 0 }, "cat is kat");
    world.put("root", "User:new", &["Group:ops"]).unwrap();
    assert_eq!(rule(world.run("kat", ask("a", "ann", "one", None, None))), "accepted", "stored members count");
}

#[test]
fn who_steps_in_votes_after_a_while() {
    let bundle = |revision, people: &'static [&'static str], after| {
        company_bundle(revision, move |roles| {
            roles[1].stages = vec![with_fallback(stage(&["User:bob"], 1, 120), people, after)];
        })
    };
    let asked = || {
        let mut world = World::with(bundle("fallback", &["Group:staff"], 30));
        world.eligible("e1", "User:ann", "one", None, Some(600)).unwrap();
        world.run("ann", ask("a", "ann", "one", None, Some(60))).unwrap();
        world
    };
    for (waited, voter, expected) in
        [(29, "dan", "not_an_approver"), (30, "dan", "accepted"), (0, "bob", "accepted"), (30, "eve", "not_an_approver")]
    {
        let mut world = asked();
        world.wait(waited);
        assert_eq!(rule(world.deny(voter, "a")), expected, "{voter} after {waited}");
        let mut world = asked();
        world.wait(waited);
        assert_eq!(rule(world.approve(voter, "a")), expected, "{voter} after {waited}");
    }
    // they count among who could vote at all
    let mut world = asked();
    world.run("root", Command::SetDisabled { uid: user("bob"), disabled: true, reason: None }).unwrap();
    assert_eq!(rule(world.run("ann", ask("b", "ann", "one", None, Some(90)))), "accepted");
}

#[test]
fn a_vote_of_who_stepped_in_is_asked_again_by_how_long_it_had_waited() {
    let bundle = |revision, people: &'static [&'static str], after| {
        company_bundle(revision, move |roles| {
            roles[1].stages = vec![with_fallback(stage(&["User:bob", "User:cat"], 2, 120), people, after)];
        })
    };
    let rows: [(&'static [&'static str], u64, &[&str]); 4] = [
        (&["User:dan"], 30, &["approval_given", "activation_started"]),
        (&["User:dan"], 20, &["approval_given", "activation_started"]),
        (&["User:dan"], 50, &["approval_given", "votes_voided"]),
        (&["User:eve"], 30, &["approval_given", "votes_voided"]),
    ];
    for (people, after, expected) in rows {
        let mut world = World::with(bundle("before", &["User:dan"], 30));
        world.eligible("e1", "User:ann", "one", None, Some(600)).unwrap();
        world.run("ann", ask("a", "ann", "one", None, Some(60))).unwrap();
        world.wait(40);
        world.approve("dan", "a").unwrap();
        world.swap(&bundle("after", people, after)).unwrap();
        world.wait(20);
        world.approve("bob", "a").unwrap();
        assert_eq!(world.last(), expected, "{people:?} after {after}");
    }
}

#[test]
fn an_approver_gives_less_and_never_more() {
    let rows: [(Option<&str>, Option<u64>, &str); 12] = [
        (None, None, "accepted"),
        (Some("Db:prod"), Some(180), "accepted"),
        (Some("Db:orders"), None, "accepted"),
        (None, Some(30), "accepted"),
        (Some("Db:orders"), Some(30), "accepted"),
        (None, Some(181), "wider_than_asked"),
        (None, Some(0), "duration_zero"),
        (Some("Db:test"), None, "wider_than_asked"),
        (Some("Db:none"), None, "unknown_scope"),
        (Some("Group:ops"), None, "scope_not_allowed"),
        (Some("Db:orders"), Some(181), "wider_than_asked"),
        (Some("Db:test"), Some(0), "duration_zero"),
    ];
    for (scope, minutes, expected) in rows {
        let mut world = World::with(company_bundle("dbs", |roles| roles[1].scopes = Some(["Db".to_owned()].into())));
        world.eligible("e1", "User:ann", "one", None, None).unwrap();
        world.request("a", "ann", "one", Some("Db:prod"), 180).unwrap();
        assert_eq!(rule(world.approve_less("bob", "a", scope, minutes)), expected, "{scope:?} {minutes:?}");
        if expected == "accepted" {
            let given = world.activation("a");
            assert_eq!(given.scope, scope.or(Some("Db:prod")).map(uid));
            assert_eq!(world.left("a"), minutes.unwrap_or(180) as i64);
            let less = scope == Some("Db:orders") || minutes == Some(30);
            let asked = grant::Asked { scope: Some(uid("Db:prod")), duration: mins(180) };
            assert_eq!(given.asked, less.then_some(asked), "what was asked for is not forgotten");
            let held = |place| !world.roles("User:ann", Some(place)).is_empty();
            assert_eq!((held("Db:orders"), held("Db:prod")), (true, scope != Some("Db:orders")));
        }
    }
}

#[test]
fn who_votes_after_it_votes_on_less() {
    let mut world = asked("two");
    let shown = world.hash("a");
    world.approve_less("bob", "a", Some("Db:prod"), Some(60)).unwrap();
    let vote = |request_hash, scope: Option<&str>| Command::Approve {
        id: act("a"),
        request_hash,
        scope: scope.map(uid),
        duration: None,
        justification: None,
    };
    let expected = world.hash("a");
    assert_ne!(expected, shown);
    assert_eq!(world.run("cat", vote(shown, None)), Err(Rejection::RequestChanged { expected }));
    assert_eq!(rule(world.run("cat", vote(expected, Some("Db:test")))), "wider_than_asked", "less than is left, not than was asked for");
    assert_eq!(rule(world.run("cat", vote(expected, None))), "accepted");
    // what a voter took away stays away, whatever becomes of the vote
    world.law.denied.insert((user("bob"), Action::ApproveActivation));
    world.approve("eve", "a").unwrap();
    assert_eq!(world.last(), ["approval_given", "votes_voided", "stage_reached"]);
    let left = world.activation("a");
    assert_eq!((left.scope, left.duration), (Some(uid("Db:prod")), mins(60)));
    world.approve("dan", "a").unwrap();
    assert_eq!((world.status("a"), world.left("a")), ("active", 60));
}

#[test]
fn a_scope_that_was_narrowed_to_and_came_back_is_another_one() {
    let on_prod = || {
        let mut world = company();
        world.eligible("e1", "User:ann", "two", None, None).unwrap();
        world.request("a", "ann", "two", Some("Db:prod"), 60).unwrap();
        world
    };
    let mut world = on_prod();
    world.put("root", "Db:x", &["Db:prod"]).unwrap();
    world.run("root", Command::DeleteEntity { uid: uid("Db:x"), reason: None }).unwrap();
    world.put("root", "Db:x", &["Db:prod"]).unwrap();
    world.approve_less("bob", "a", Some("Db:x"), None).unwrap();
    world.approve("cat", "a").unwrap();
    world.approve("eve", "a").unwrap();
    assert_eq!(world.roles("User:ann", Some("Db:x")), ["two"], "it is the one of now");
    let mut world = on_prod();
    world.put("root", "Db:x", &["Db:prod"]).unwrap();
    world.approve_less("bob", "a", Some("Db:x"), None).unwrap();
    world.run("root", Command::DeleteEntity { uid: uid("Db:x"), reason: None }).unwrap();
    assert_eq!(world.last(), ["entity_deleted", "activation_failed"]);
}
