//! Requests to extend a grant before its end, and to renew it after.

use super::kit::*;
use crate::domain::command::{Due, NewGrant};
use crate::domain::decide::{Outcome, RENEWABLE_DAYS};
use crate::domain::facts::{Action, Tables as _};
use crate::domain::grant::GrantRef;
use crate::domain::*;

const MONTH: u64 = RENEWABLE_DAYS * 24 * 60;

fn wish(id: &str) -> GrantRequestId {
    GrantRequestId::new(id).unwrap()
}

impl World {
    fn prolong(&mut self, actor: &str, id: &str, grant: &str, renew: bool, minutes: u64) -> Result<Outcome, Rejection> {
        let grant = if grant.starts_with('s') { GrantRef::Assignment(asg(grant)) } else { GrantRef::Eligibility(elg(grant)) };
        let end = self.now.plus(mins(minutes));
        self.run(actor, Command::RequestGrant { id: wish(id), grant, renew, end, justification: None })
    }

    fn grant_it(&mut self, actor: &str, id: &str, minutes: Option<u64>) -> Result<Outcome, Rejection> {
        let new = NewGrant { eligibility: elg("e-new"), assignment: asg("s-new") };
        let end = minutes.map(|minutes| self.now.plus(mins(minutes)));
        self.run(actor, Command::ApproveGrant { id: wish(id), new, end, reason: None })
    }

    fn wish(&self, id: &str) -> &'static str {
        self.rows.grant_request(&wish(id)).unwrap().unwrap().status(self.now).0
    }
}

/// `e1` makes `ops` eligible for `free` for an hour; `s1` assigns it to `dan` for an hour; `e2` makes `eve` eligible for ever.
fn set_up() -> World {
    let mut world = company();
    world.eligible("e1", "Group:ops", "free", None, Some(60)).unwrap();
    world.eligible("e2", "User:eve", "free", None, None).unwrap();
    let grant = grant("User:dan", "free", None, Some(world.now.plus(mins(60))));
    world.run("root", Command::CreateAssignment { id: asg("s1"), grant }).unwrap();
    world
}

#[test]
fn a_grant_that_runs_gets_a_later_end() {
    let mut world = set_up();
    world.request("a", "ann", "free", None, 240).unwrap();
    world.wait(30);
    assert_eq!(world.prolong("ann", "w", "e1", false, 300), Ok(Outcome::GrantRequestCreated(wish("w"))));
    assert_eq!((world.last(), world.wish("w")), (vec!["grant_requested"], "pending"));
    assert_eq!(world.grant_it("root", "w", None), Ok(Outcome::GrantRequestChanged(wish("w"))));
    assert_eq!((world.last(), world.wish("w")), (vec!["eligibility_extended", "grant_request_approved"], "approved"));
    world.wait(100);
    assert_eq!(world.roles("User:ann", None), ["free"], "and so does what rests on it");
    assert_eq!(world.settle(Due::EligibilityEnd(elg("e1"))), Ok(Outcome::Unchanged), "the timer of before finds nothing");

    let mut world = set_up();
    world.prolong("dan", "w", "s1", false, 300).unwrap();
    world.grant_it("root", "w", Some(200)).unwrap();
    assert_eq!(world.last(), ["assignment_extended", "grant_request_approved"]);
    world.wait(199);
    assert_eq!(world.roles("User:dan", None), ["free"]);
    world.wait(1);
    assert!(world.roles("User:dan", None).is_empty());
}

#[test]
fn one_that_ended_begins_anew_and_revives_nothing() {
    let mut world = set_up();
    world.request("a", "ann", "free", None, 240).unwrap();
    world.wait(100);
    world.prolong("ann", "w", "e1", true, 300).unwrap();
    world.grant_it("root", "w", None).unwrap();
    assert_eq!(world.last(), ["eligibility_created", "grant_request_approved"]);
    let renewed = world.rows.eligibility(&elg("e-new")).unwrap().unwrap();
    assert_eq!((renewed.renews.clone(), renewed.window.start), (Some(elg("e1")), world.now));
    assert!(world.roles("User:ann", None).is_empty(), "what rested on the old one ended with it");
    assert_eq!(rule(world.request("b", "ann", "free", None, 60)), "accepted");
    // asked for while it ran, and decided when it was over
    let mut world = set_up();
    world.prolong("ann", "w", "e1", false, 300).unwrap();
    world.wait(60);
    world.grant_it("root", "w", None).unwrap();
    assert_eq!(world.last(), ["eligibility_created", "grant_request_approved"]);
}

#[test]
fn it_is_asked_for_in_time_and_once() {
    type Change = fn(&mut World);
    let rows: [(&str, Change, &str, bool, u64, &str); 16] = [
        ("e1", |_| {}, "ann", false, 61, "accepted"),
        ("e1", |_| {}, "ann", false, 60, "window_empty"),
        ("e1", |_| {}, "ann", false, 1441, "duration_too_long"),
        ("e1", |_| {}, "ann", true, 300, "not_prolongable"),
        ("e1", |world| world.wait(60), "ann", false, 300, "not_prolongable"),
        ("e1", |world| world.wait(60), "ann", true, 300, "accepted"),
        ("e1", |world| world.wait(59 + MONTH), "ann", true, 300, "accepted"),
        ("e1", |world| world.wait(60 + MONTH), "ann", true, 300, "not_prolongable"),
        ("e2", |_| {}, "eve", false, 300, "not_prolongable"),
        ("e3", |_| {}, "eve", false, 300, "not_found"),
        ("s1", |_| {}, "dan", false, 300, "accepted"),
        ("s1", |_| {}, "eve", false, 300, "accepted"),
        ("s1", |world| world.lose("eve", Action::AssignRole), "eve", false, 300, "not_permitted"),
        ("e1", |world| world.lose("ann", Action::AssignRole), "ann", false, 300, "accepted"),
        (
            "e1",
            |world| drop(world.run("root", Command::RemoveEligibility { id: elg("e1"), reason: None }).unwrap()),
            "ann",
            false,
            300,
            "not_prolongable",
        ),
        ("e1", |world| drop(world.prolong("bob", "w", "e1", false, 100).unwrap()), "ann", false, 300, "grant_request_waits"),
    ];
    for (grant, change, actor, renew, minutes, expected) in rows {
        let mut world = set_up();
        change(&mut world);
        assert_eq!(rule(world.prolong(actor, "x", grant, renew, minutes)), expected, "{grant} by {actor}, {renew}, {minutes}");
    }
    // what a timer recorded as over can be renewed, too
    let mut world = set_up();
    world.wait(60);
    world.settle(Due::EligibilityEnd(elg("e1"))).unwrap();
    assert_eq!(rule(world.prolong("ann", "w", "e1", true, 300)), "accepted");
    // a name that came back is another one
    let mut world = set_up();
    world.put("root", "User:x", &[]).unwrap();
    world.eligible("e4", "User:x", "free", None, Some(60)).unwrap();
    world.run("root", Command::DeleteEntity { uid: uid("User:x"), reason: None }).unwrap();
    world.put("root", "User:x", &[]).unwrap();
    assert_eq!(rule(world.prolong("x", "w", "e4", false, 300)), "not_prolongable");
}

#[test]
fn an_administrator_decides_who_is_on_neither_side() {
    let rows = [
        ("root", "accepted"),
        ("ann", "self_grant"),
        ("bob", "self_grant"),
        ("kat", "self_grant"),
        ("eve", "not_permitted"),
        ("dan", "accepted"),
    ];
    for (actor, expected) in rows {
        let mut world = set_up();
        world.law.denied.insert((user("eve"), Action::AssignRole));
        world.prolong("ann", "w", "e1", false, 300).unwrap();
        assert_eq!(rule(world.grant_it(actor, "w", None)), expected, "{actor}");
        let mut world = set_up();
        world.law.denied.insert((user("eve"), Action::AssignRole));
        world.prolong("ann", "w", "e1", false, 300).unwrap();
        assert_eq!(rule(world.run(actor, Command::DenyGrant { id: wish("w"), reason: None })), expected, "{actor}");
    }
    let mut world = set_up();
    world.prolong("root", "w", "e1", false, 300).unwrap();
    assert_eq!(rule(world.grant_it("root", "w", None)), "self_grant", "who asked does not decide");
}

#[test]
fn a_decision_gives_what_was_asked_or_less_and_once() {
    let asked = || {
        let mut world = set_up();
        world.prolong("ann", "w", "e1", false, 300).unwrap();
        world
    };
    for (minutes, expected) in [(300, "accepted"), (61, "accepted"), (60, "window_empty"), (301, "wider_than_asked")] {
        assert_eq!(rule(asked().grant_it("root", "w", Some(minutes))), expected, "{minutes}");
    }
    let ends: [(&str, Command); 2] = [
        ("denied", Command::DenyGrant { id: wish("w"), reason: None }),
        ("cancelled", Command::CancelGrant { id: wish("w"), reason: None }),
    ];
    for (status, command) in ends {
        let mut world = asked();
        let actor = if status == "denied" { "root" } else { "ann" };
        world.run(actor, command).unwrap();
        assert_eq!(world.wish("w"), status);
        assert!(matches!(world.grant_it("root", "w", None), Err(Rejection::NotInState { status: found, .. }) if found == status));
        assert_eq!(rule(world.prolong("ann", "v", "e1", false, 300)), "accepted", "and it may be asked for again");
    }
    // nobody decided
    let mut world = asked();
    world.wait(59 + MONTH);
    assert_eq!(world.settle(Due::GrantRequestTimeout(wish("w"))), Ok(Outcome::Unchanged));
    world.wait(1);
    assert_eq!(world.wish("w"), "timed_out");
    assert_eq!(rule(world.grant_it("root", "w", None)), "not_in_state");
    assert_eq!(world.settle(Due::GrantRequestTimeout(wish("w"))), Ok(Outcome::Settled));
}

#[test]
fn a_decision_is_about_what_there_is_now() {
    type Change = fn(&mut World);
    let removed: Change = |world| drop(world.run("root", Command::RemoveEligibility { id: elg("e1"), reason: None }).unwrap());
    let anew: Change = |world| {
        world.wait(60);
        world.eligible("e4", "Group:ops", "free", None, Some(600)).unwrap();
    };
    let beside: Change = |world| {
        let grant = command::GrantRequest {
            start: Some(world.now.plus(mins(100))),
            ..grant("Group:ops", "free", None, Some(world.now.plus(mins(200))))
        };
        world.run("root", Command::CreateEligibility { id: elg("e4"), grant }).unwrap();
    };
    let shorter: Change = |world| {
        let limits = |roles: &mut Vec<RoleSettings>| roles[0].eligibility.max_duration = mins(100);
        world.swap(&company_bundle("x", limits)).unwrap();
    };
    let scoped: Change = |world| {
        world.swap(&company_bundle("x", |roles| roles[0].scope_required = true)).unwrap();
    };
    let rows = [
        (removed, "not_prolongable"),
        (anew, "already_granted"),
        (beside, "already_granted"),
        (shorter, "duration_too_long"),
        (scoped, "scope_required"),
    ];
    for (number, (change, expected)) in rows.into_iter().enumerate() {
        let mut world = set_up();
        world.prolong("ann", "w", "e1", false, 300).unwrap();
        change(&mut world);
        assert_eq!(rule(world.grant_it("root", "w", None)), expected, "{number}");
    }
    // what lies between, and is over before the new end begins, is not in the way
    let mut world = set_up();
    let later = command::GrantRequest {
        start: Some(world.now.plus(mins(200))),
        ..grant("Group:ops", "free", None, Some(world.now.plus(mins(300))))
    };
    world.run("root", Command::CreateEligibility { id: elg("e4"), grant: later }).unwrap();
    world.prolong("ann", "w", "e4", false, 400).unwrap();
    assert_eq!(rule(world.grant_it("root", "w", None)), "accepted");
}
