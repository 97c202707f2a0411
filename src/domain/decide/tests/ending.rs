//! Ending everything at once, by command or by a bundle, also where it is too much for one record.

use super::kit::*;
use crate::domain::command::{Due, Everything, Term};
use crate::domain::decide::{MAX_CASCADE_EVENTS, Outcome};
use crate::domain::facts::{Action, Tables as _};
use crate::domain::grant::Cause;
use crate::domain::*;

fn all_of(who: &str) -> Command {
    Command::RevokeAll { of: Everything::Principal(uid(who)), reason: Some(text("left the company")) }
}

fn all_of_role(role: &str) -> Command {
    Command::RevokeAll { of: Everything::Role(role_name(role)), reason: None }
}

/// `ann` has `free`, waits for `one`, and has `free` for later; `dan` has `free`.
fn set_up() -> World {
    let mut world = company();
    for (id, role) in [("e1", "free"), ("e2", "one")] {
        world.eligible(id, "Group:staff", role, None, None).unwrap();
    }
    world.request("a", "ann", "free", None, 60).unwrap();
    world.request("d", "dan", "free", None, 60).unwrap();
    world.request("p", "ann", "one", None, 60).unwrap();
    let term = Term { start: Some(world.now.plus(mins(100))), end: None, duration: Some(mins(60)) };
    world.run("ann", ask_for("s", "ann", "free", None, term)).unwrap();
    world
}

fn statuses(world: &World) -> [&'static str; 4] {
    ["a", "d", "p", "s"].map(|id| world.status(id))
}

#[test]
fn everything_of_a_principal_or_of_a_role_ends_in_one_record() {
    let mut world = set_up();
    assert_eq!(world.run("root", all_of("User:ann")), Ok(Outcome::AllRevoked(Everything::Principal(user("ann")))));
    assert_eq!(statuses(&world), ["revoked", "active", "failed", "revoked"]);
    assert!(world.roles("User:ann", None).is_empty());
    assert_eq!(world.roles("User:dan", None), ["free"]);
    let reason = Some(text("left the company").digest());
    let ActivationState::Revoked { by: who, reason: found, cause, .. } = world.activation("a").state else { panic!() };
    assert_eq!((who, found, cause), (by("root"), reason, Some(Cause::PrincipalRevoked(user("ann")))));
    assert_eq!(world.run("root", all_of("User:ann")), Ok(Outcome::Unchanged), "there is nothing left");
    assert_eq!(rule(world.request("b", "ann", "free", None, 60)), "accepted", "what is asked for afterwards is another thing");
    assert_eq!(world.roles("User:ann", None), ["free"]);

    let mut world = set_up();
    world.run("root", all_of_role("free")).unwrap();
    assert_eq!(statuses(&world), ["revoked", "revoked", "pending", "revoked"]);
    assert_eq!(world.last(), ["activations_voided", "activation_revoked", "activation_revoked", "activation_revoked"]);
}

#[test]
fn everything_is_ended_by_who_may_end_all_of_it() {
    let rows = [
        (all_of("User:ann"), None, "accepted"),
        (all_of("User:ann"), Some(Action::RevokePrincipal), "not_permitted"),
        (all_of("User:ann"), Some(Action::RevokeActivation), "accepted"),
        (all_of("User:bob"), Some(Action::RevokePrincipal), "not_permitted"),
        (all_of("User:who"), Some(Action::RevokePrincipal), "not_permitted"),
        (all_of("User:ann"), Some(Action::RevokeRole), "accepted"),
        (all_of_role("free"), Some(Action::RevokeActivation), "accepted"),
        (all_of_role("free"), Some(Action::RevokeRole), "not_permitted"),
        (all_of("Group:ops"), None, "not_a_holder"),
        (all_of("User:who"), None, "not_found"),
        (all_of_role("fre"), None, "unknown_role"),
    ];
    for (command, lost, expected) in rows {
        let mut world = set_up();
        world.law.denied.extend(lost.map(|action| (user("eve"), action)));
        let said = format!("{command:?} without {lost:?}");
        assert_eq!(rule(world.run("eve", command)), expected, "{said}");
    }
}

/// More than fits into two records: `ann`'s requests for `one` that wait, and as many who have `free`.
fn many(waiting: usize, running: usize) -> World {
    let mut world = company();
    world.eligible("e1", "Group:staff", "free", None, None).unwrap();
    world.eligible("e2", "Group:staff", "one", None, None).unwrap();
    for number in 0..running.max(waiting) {
        let name = format!("u{number:05}");
        world.put("root", &format!("User:{name}"), &["Group:staff"]).unwrap();
        if number < running {
            world.request(&format!("r-{name}"), &name, "free", None, 60).unwrap();
        }
        if number < waiting {
            world.request(&format!("w-{name}"), &name, "one", None, 60).unwrap();
        }
    }
    world
}

fn go_on(world: &mut World, cause: &Cause) -> usize {
    let mut pieces = 1;
    while world.rows.cascade_waits(cause).unwrap() {
        assert_eq!(world.settle(Due::Cascade(cause.clone())), Ok(Outcome::Settled));
        pieces += 1;
    }
    pieces
}

#[test]
fn what_one_record_does_not_hold_is_void_all_the_same() {
    let many_of = MAX_CASCADE_EVENTS * 2 + 10;
    let mut world = many(0, many_of);
    let last = format!("u{:05}", many_of - 1);
    let (who, id) = (format!("User:{last}"), format!("r-{last}"));
    world.wait(40);
    world.run("root", all_of_role("free")).unwrap();
    assert_eq!(world.last().last(), Some(&"cascade_continues"));
    assert_eq!(world.status(&id), "active", "it is not recorded yet");
    assert!(world.roles(&who, None).is_empty(), "and does not count");
    assert_eq!(rule(world.extend("x", &last, &id, 10)), "not_extendable");
    assert_eq!(world.request("new", &last, "free", None, 20), Ok(Outcome::ActivationCreated(act("new"))), "it is nothing that exists");
    let cause = Cause::RoleRevoked(role_name("free"));
    assert!(go_on(&mut world, &cause) >= 3);
    assert_eq!((world.status(&id), world.status("new")), ("revoked", "active"));
    assert_eq!(world.roles(&who, None), ["free"]);
    assert_eq!(world.settle(Due::Cascade(cause)), Ok(Outcome::Unchanged));
}

#[test]
fn what_waits_for_votes_and_is_void_is_not_begun_by_a_vote() {
    let many_of = MAX_CASCADE_EVENTS + 10;
    let id = format!("w-u{:05}", many_of - 1);
    let mut world = many(many_of, 0);
    world.run("root", all_of_role("one")).unwrap();
    assert_eq!(world.status(&id), "pending", "the cascade has not got there");
    let who = id.trim_start_matches("w-");
    assert_eq!(world.request("again", who, "one", None, 60), Ok(Outcome::ActivationCreated(act("again"))), "what is void gives nothing");
    world.approve("bob", &id).unwrap();
    assert!(matches!(world.activation(&id).state, ActivationState::Failed { cause: Cause::RoleRevoked(_), .. }));

    let mut world = many(many_of, 0);
    world.run("elevon", Command::AcceptClock).unwrap();
    assert_eq!(world.status(&id), "pending");
    world.approve("bob", &id).unwrap();
    assert!(matches!(world.activation(&id).state, ActivationState::Failed { cause: Cause::ClockAccepted, .. }));
    go_on(&mut world, &Cause::ClockAccepted);
    assert_eq!(world.rows.open_at_all(10).unwrap(), []);
}

#[test]
fn a_lower_cap_is_recorded_in_as_many_records_as_it_takes() {
    let many_of = MAX_CASCADE_EVENTS + 10;
    let mut world = many(0, many_of);
    world.wait(40);
    let last = format!("r-u{:05}", many_of - 1);
    let lower = |revision, minutes| company_bundle(revision, move |roles| roles[0].max_duration = mins(minutes));
    world.swap(&lower("x", 50)).unwrap();
    assert_eq!((world.last().last(), world.left(&last)), (Some(&"cascade_continues"), 20));
    world.wait(10);
    assert!(world.roles(&format!("User:u{:05}", many_of - 1), None).is_empty(), "a check does not wait for it");
    // by the time the cascade gets there, the cap has passed
    go_on(&mut world, &Cause::CapLowered(role_name("free")));
    assert_eq!((world.status(&last), world.status("r-u00000")), ("revoked", "expired"));
}

#[test]
fn a_clock_that_is_believed_again_ends_what_is_bound_to_time() {
    let mut world = set_up();
    let assign = |id: &str, end| Command::CreateAssignment { id: asg(id), grant: grant("User:eve", "two", Some(id), end) };
    let at = |world: &World, minutes| Some(world.now.plus(mins(minutes)));
    for (id, end) in [("Db:prod", at(&world, 60)), ("Db:orders", at(&world, 30)), ("Db:test", None)] {
        world.run("root", assign(id, end)).unwrap();
    }
    world.wait(40);
    world.run("elevon", Command::AcceptClock).unwrap();
    assert_eq!(statuses(&world), ["revoked", "revoked", "failed", "revoked"]);
    let ended = |world: &World, id: &str| world.rows.assignment(&asg(id)).unwrap().unwrap().ended.clone();
    assert!(matches!(ended(&world, "Db:prod"), Some(grant::GrantEnd::Removed { .. })));
    assert!(matches!(ended(&world, "Db:orders"), Some(grant::GrantEnd::Expired { .. })), "time was first");
    assert_eq!(ended(&world, "Db:test"), None);
    assert_eq!(world.roles("User:eve", Some("Db:test")), ["two"]);
}

#[test]
fn a_group_is_not_joined_again_before_what_rested_on_it_has_ended() {
    let many_of = MAX_CASCADE_EVENTS + 10;
    let mut world = company();
    world.put("root", "Group:g", &["Group:staff"]).unwrap();
    world.eligible("e1", "Group:staff", "free", None, None).unwrap();
    for number in 0..many_of {
        let name = format!("u{number:05}");
        world.put("root", &format!("User:{name}"), &["Group:g"]).unwrap();
        world.request(&name, &name, "free", None, 60).unwrap();
    }
    let last = format!("u{:05}", many_of - 1);
    world.put("root", "Group:g", &[]).unwrap();
    assert_eq!((world.last().last(), world.status(&last)), (Some(&"cascade_continues"), "active"));
    assert!(world.roles(&format!("User:{last}"), None).is_empty());
    assert_eq!(rule(world.put("root", "Group:g", &["Group:staff"])), "not_in_state");
    assert_eq!(rule(world.put("root", "Group:g", &["Group:ops"])), "not_in_state", "which is in it");
    go_on(&mut world, &Cause::GroupLeft(uid("Group:staff")));
    assert_eq!(rule(world.put("root", "Group:g", &["Group:staff"])), "accepted");
    assert!(world.roles(&format!("User:{last}"), None).is_empty(), "coming back revives nothing");
}
