//! Time of a day, break-glass, and how late something may begin.

use super::kit::*;
use crate::domain::command::{Due, Everything, Term};
use crate::domain::decide::Outcome;
use crate::domain::facts::Action;
use crate::domain::grant::Cause;
use crate::domain::*;

type Change = fn(&mut World);

/// `free` and `one` for three hours a day; the day of the beginning has 373 minutes left.
fn with_budget() -> World {
    let mut world = World::with(company_bundle("budget", |roles| {
        for role in roles.iter_mut() {
            role.max_active_per_day = Some(mins(180));
            role.emergency = emergency(2);
        }
    }));
    for (id, role) in [("e1", "free"), ("e2", "one")] {
        world.eligible(id, "User:ann", role, None, None).unwrap();
    }
    world
}

fn ask_later(world: &World, id: &str, role: &str, scope: Option<&str>, start: u64, minutes: u64) -> Command {
    ask_for(id, "ann", role, scope, Term { start: Some(world.now.plus(mins(start))), end: None, duration: Some(mins(minutes)) })
}

fn cause(world: &World, id: &str) -> Option<Cause> {
    if let ActivationState::Failed { cause, .. } = world.activation(id).state { Some(cause) } else { None }
}

#[test]
fn all_activations_of_a_day_share_its_time() {
    let mut world = with_budget();
    world.request("a", "ann", "free", Some("Db:prod"), 120).unwrap();
    assert_eq!(world.used("ann", "free"), (120, 0), "reserved as a whole");
    let Err(Rejection::BudgetExhausted { left, asked, .. }) = world.request("b", "ann", "free", Some("Db:test"), 61) else { panic!() };
    assert_eq!((left, asked), (mins(60), mins(61)));
    assert_eq!(rule(world.request("b", "ann", "free", Some("Db:test"), 60)), "accepted");
    assert_eq!(rule(world.request("c", "ann", "free", None, 1)), "budget_exhausted");
    assert_eq!(rule(world.request("o", "ann", "one", None, 180)), "accepted", "another role has its own");
    // what is given back can be had again
    world.wait(30);
    world.run("ann", Command::Deactivate { id: act("a"), reason: None }).unwrap();
    assert_eq!(world.used("ann", "free"), (90, 0));
    assert_eq!(rule(world.request("c", "ann", "free", None, 91)), "budget_exhausted");
    assert_eq!(rule(world.request("c", "ann", "free", None, 90)), "accepted");
}

#[test]
fn time_is_reserved_at_the_approval_and_the_loser_is_told() {
    let mut world = with_budget();
    world.request("a", "ann", "one", Some("Db:prod"), 120).unwrap();
    world.request("b", "ann", "one", Some("Db:test"), 120).unwrap();
    assert_eq!(world.used("ann", "one"), (0, 0), "votes have to come first");
    world.approve("bob", "a").unwrap();
    world.approve("bob", "b").unwrap();
    assert_eq!((world.status("a"), world.status("b"), world.used("ann", "one")), ("active", "failed", (120, 0)));
    assert_eq!(cause(&world, "b"), Some(Cause::BudgetExhausted(role_name("one"))));
}

#[test]
fn a_window_is_split_at_midnight() {
    let mut world = with_budget();
    world.wait(373 - 60);
    world.request("a", "ann", "free", None, 240).unwrap();
    assert_eq!(world.used("ann", "free"), (60, 0));
    world.wait(61);
    assert_eq!(world.used("ann", "free"), (179, 0), "the seconds before midnight count by the millisecond");
    assert_eq!(rule(world.request("b", "ann", "free", Some("Db:prod"), 2)), "budget_exhausted");
    assert_eq!(rule(world.request("b", "ann", "free", Some("Db:prod"), 0)), "duration_zero");
    world.run("root", Command::Revoke { id: act("a"), reason: None }).unwrap();
    assert_eq!(world.used("ann", "free"), (0, 0));
    assert_eq!(rule(world.request("b", "ann", "free", Some("Db:prod"), 179)), "accepted");
}

#[test]
fn extensions_take_of_the_day_too() {
    let mut world = with_budget();
    world.request("a", "ann", "free", None, 120).unwrap();
    world.wait(60);
    assert_eq!(rule(world.extend("x", "ann", "a", 61)), "budget_exhausted");
    world.extend("x", "ann", "a", 60).unwrap();
    assert_eq!(world.used("ann", "free"), (180, 0));
}

#[test]
fn what_never_begins_gives_its_time_back() {
    let ends: [(&str, Change); 6] = [
        ("cancelled", |world| drop(world.run("ann", Command::Cancel { id: act("a"), reason: None }).unwrap())),
        ("revoked", |world| drop(world.run("root", Command::Revoke { id: act("a"), reason: None }).unwrap())),
        ("revoked", |world| {
            // its start is past, and the timer is late
            world.wait(75);
            world.run("root", Command::Revoke { id: act("a"), reason: None }).unwrap();
        }),
        ("revoked", |world| {
            let of = Everything::Role(role_name("free"));
            world.run("root", Command::RevokeAll { of, reason: None }).unwrap();
        }),
        ("failed", |world| drop(world.run("root", Command::RemoveEligibility { id: elg("e1"), reason: None }).unwrap())),
        ("failed", |world| {
            world.law.denied.insert((user("ann"), Action::ActivateRole));
            world.wait(60);
            world.settle(Due::ActivationStart(act("a"))).unwrap();
        }),
    ];
    for (number, (status, end)) in ends.into_iter().enumerate() {
        let mut world = with_budget();
        let command = ask_later(&world, "a", "free", None, 60, 120);
        world.run("ann", command).unwrap();
        assert_eq!((world.status("a"), world.used("ann", "free")), ("scheduled", (120, 0)));
        end(&mut world);
        assert_eq!((world.status("a"), world.used("ann", "free")), (status, (0, 0)), "{number}");
    }
}

#[test]
fn what_begins_late_may_need_the_time_of_another_day() {
    let late = |with_other: bool| {
        let mut world = with_budget();
        let first = ask_later(&world, "a", "free", None, 310, 60);
        world.run("ann", first).unwrap();
        if with_other {
            let other = ask_later(&world, "b", "free", Some("Db:prod"), 380, 180);
            world.run("ann", other).unwrap();
        }
        world.wait(360);
        world.settle(Due::ActivationStart(act("a"))).unwrap();
        world
    };
    let mut world = late(false);
    assert_eq!((world.status("a"), world.used("ann", "free")), ("active", (13, 0)));
    world.wait(20);
    assert_eq!(world.used("ann", "free"), (46, 0));
    let world = late(true);
    assert_eq!(cause(&world, "a"), Some(Cause::BudgetExhausted(role_name("free"))), "that day's time is given away");
    assert_eq!(world.used("ann", "free"), (0, 0));
}

#[test]
fn no_more_is_reserved_than_the_role_gives_by_now() {
    let mut world = with_budget();
    let command = ask_later(&world, "a", "one", None, 60, 180);
    world.run("ann", command).unwrap();
    let lower = |revision, most| {
        company_bundle(revision, move |roles| {
            roles[1].max_duration = mins(most);
            roles[1].max_active_per_day = Some(mins(100));
        })
    };
    world.swap(&lower("x", 90)).unwrap();
    world.approve("bob", "a").unwrap();
    assert_eq!(world.last(), ["approval_given", "activation_scheduled", "activation_clamped"]);
    assert_eq!(world.used("ann", "one"), (90, 0));
    world.swap(&lower("y", 240)).unwrap();
    world.wait(60);
    world.settle(Due::ActivationStart(act("a"))).unwrap();
    assert_eq!((world.status("a"), world.left("a"), world.used("ann", "one")), ("active", 90, (90, 0)));
}

#[test]
fn an_approved_activation_begins_in_time_or_not_at_all() {
    let set_up = || {
        let mut world = World::with(company_bundle("soon", |roles| roles.iter_mut().for_each(|role| role.activate_within = mins(60))));
        world.eligible("e1", "User:ann", "one", None, None).unwrap();
        world
    };
    let mut world = set_up();
    let command = ask_later(&world, "a", "one", None, 61, 60);
    assert_eq!(rule(world.run("ann", command)), "start_too_far");
    for (late, status) in [(60, "active"), (61, "failed")] {
        let mut world = set_up();
        let command = ask_later(&world, "a", "one", None, 60, 60);
        world.run("ann", command).unwrap();
        world.wait(10);
        world.approve("bob", "a").unwrap();
        world.wait(late);
        world.settle(Due::ActivationStart(act("a"))).unwrap();
        assert_eq!(world.status("a"), status, "{late} minutes after the approval");
        let missed = Some(Cause::StartMissed(Timestamp::from_millis(START).plus(mins(70))));
        assert_eq!(cause(&world, "a"), missed.filter(|_| status == "failed"));
    }
}

#[test]
fn what_is_scheduled_is_asked_again_at_its_start() {
    let changes: [(Change, Cause); 3] = [
        (|world| world.lose("bob", Action::ActivateRoleFor), Cause::NotPermitted(user("bob"))),
        (
            |world| drop(world.run("root", Command::SetDisabled { uid: user("bob"), disabled: true, reason: None }).unwrap()),
            Cause::PrincipalDisabled(user("bob")),
        ),
        (|_| {}, Cause::EligibilityEnded(elg("e"))),
    ];
    for (change, expected) in changes {
        let mut world = company();
        let end = if expected == Cause::EligibilityEnded(elg("e")) { 60 } else { 600 };
        world.eligible("e", "User:ann", "free", None, Some(end)).unwrap();
        let command = ask_later(&world, "a", "free", None, 60, 60);
        world.run("bob", command).unwrap();
        change(&mut world);
        assert_eq!(world.status("a"), "scheduled");
        world.wait(60);
        world.settle(Due::ActivationStart(act("a"))).unwrap();
        assert_eq!(cause(&world, "a"), Some(expected));
        assert!(world.roles("User:ann", None).is_empty());
    }
}

#[test]
fn an_emergency_is_at_once_and_short_and_owes_a_review() {
    let mut world = with_budget();
    for id in ["bob", "cat"] {
        world.run("root", Command::SetDisabled { uid: user(id), disabled: true, reason: None }).unwrap();
    }
    assert_eq!(rule(world.request("a", "ann", "one", None, 30)), "quorum_unreachable");
    assert_eq!(rule(world.run("ann", break_glass("a", "ann", "one", Some(30)))), "accepted", "it works when no approver exists");
    let owed = ["review_opened", "review_items_taken", "review_stage_began"];
    assert_eq!(world.last(), [&["activation_requested", "activation_started", "emergency_used"], &owed[..]].concat());
    assert_eq!(world.activation("a").review_by, Some(world.now.plus(Duration::from_hours(72))));
    assert_eq!((world.used("ann", "one"), world.left("a")), ((30, 1), 30));
    assert_eq!(world.roles("User:ann", None), ["one"]);
    world.wait(20);
    assert_eq!(rule(world.extend("x", "ann", "a", 10)), "not_extendable");
}

#[test]
fn an_emergency_keeps_to_its_own_limits() {
    type ChangeBoth = fn(&mut World, &mut Command);
    let rows: [(&str, ChangeBoth, &str); 9] = [
        ("as it should be", |_, _| {}, "accepted"),
        ("for somebody else", |_, command| with(command, |principal, _, _| *principal = user("bob")), "emergency_for_others"),
        ("too long", |_, command| with(command, |_, term, _| term.duration = Some(mins(61))), "duration_too_long"),
        ("without a reason", |_, command| with(command, |_, _, why| *why = None), "requirements_missing"),
        ("with an empty reason", |_, command| with(command, |_, _, why| *why = Some(text("  "))), "requirements_missing"),
        ("of a role without it", |world, _| drop(world.swap(&company_bundle("x", |_| {})).unwrap()), "no_emergency"),
        ("without the right", |world, _| world.lose("ann", Action::ActivateInEmergency), "not_permitted"),
        ("without the usual right", |world, _| world.lose("ann", Action::ActivateRole), "accepted"),
        (
            "without an eligibility",
            |world, _| drop(world.run("root", Command::RemoveEligibility { id: elg("e2"), reason: None }).unwrap()),
            "not_eligible",
        ),
    ];
    for (what, change, expected) in rows {
        let mut world = with_budget();
        let mut command = break_glass("a", "ann", "one", Some(60));
        change(&mut world, &mut command);
        assert_eq!(rule(world.run("ann", command)), expected, "{what}");
    }
    let mut world = with_budget();
    world.run("ann", break_glass("a", "ann", "one", None)).unwrap();
    assert_eq!(world.left("a"), 60, "the role's default, and no more than an emergency may last");
}

fn with(command: &mut Command, change: impl FnOnce(&mut Uid, &mut Term, &mut Option<Text>)) {
    if let Command::RequestActivation { principal, term, justification, .. } = command {
        change(principal, term, justification);
    }
}

#[test]
fn emergencies_are_counted_by_day() {
    let mut world = with_budget();
    for id in ["a", "b"] {
        world.run("ann", break_glass(id, "ann", "one", Some(10))).unwrap();
        world.run("ann", Command::Deactivate { id: act(id), reason: None }).unwrap();
    }
    assert_eq!(rule(world.run("ann", break_glass("c", "ann", "one", Some(10)))), "emergency_limit", "however soon they ended");
    assert_eq!(world.run("ann", break_glass("c", "ann", "free", Some(10))), Ok(Outcome::ActivationCreated(act("c"))), "another role");
    world.wait(374);
    assert_eq!(rule(world.run("ann", break_glass("d", "ann", "one", Some(10)))), "accepted", "another day");
    // a bundle that lowers what an emergency may last ends it earlier
    let lower = |roles: &mut Vec<RoleSettings>| roles[1].emergency.as_mut().unwrap().max_duration = mins(5);
    world
        .swap(&company_bundle("x", |roles| {
            roles.iter_mut().for_each(|role| role.emergency = emergency(2));
            lower(roles);
        }))
        .unwrap();
    assert_eq!((world.last(), world.left("d")), (vec!["bundle_activated", "activation_clamped"], 5));
}
