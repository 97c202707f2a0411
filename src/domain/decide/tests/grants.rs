//! Who may grant, to whom, and for how long.

use super::kit::*;
use crate::domain::command::Due;
use crate::domain::facts::Action;
use crate::domain::*;

fn create(world: &mut World, actor: &str, eligible: bool, holder: &str, role: &str, end: Option<u64>) -> &'static str {
    let grant = grant(holder, role, None, end.map(|end| world.now.plus(mins(end))));
    let number = world.records.len();
    rule(if eligible {
        world.run(actor, Command::CreateEligibility { id: elg(&format!("e{number}")), grant })
    } else {
        world.run(actor, Command::CreateAssignment { id: asg(&format!("s{number}")), grant })
    })
}

#[test]
fn nobody_grants_to_oneself() {
    let rows = [
        ("ann", "User:ann", "self_grant"),
        ("ann", "Group:ops", "self_grant"),
        ("ann", "Group:staff", "self_grant"),
        ("kat", "User:cat", "self_grant"),
        ("kat", "Group:ops", "self_grant"),
        ("kat", "Group:staff", "self_grant"),
        ("eve", "Group:staff", "accepted"),
        ("ann", "User:bob", "accepted"),
        ("elevon", "User:ann", "accepted"),
    ];
    for (actor, holder, expected) in rows {
        for eligible in [true, false] {
            assert_eq!(create(&mut company(), actor, eligible, holder, "free", Some(60)), expected, "{actor} to {holder}");
        }
    }
}

#[test]
fn grants_keep_to_what_the_role_allows() {
    let rows = [
        (true, "User:ann", None, "accepted"),
        (false, "User:ann", None, "permanent_not_allowed"),
        (true, "User:ann", Some(1440), "accepted"),
        (true, "User:ann", Some(1441), "duration_too_long"),
        (false, "User:ann", Some(0), "window_empty"),
        (true, "User:who", None, "unknown_principal"),
        (true, "Group:who", None, "unknown_principal"),
        (true, "Db:prod", None, "not_a_holder"),
    ];
    for (eligible, holder, end, expected) in rows {
        assert_eq!(create(&mut company(), "root", eligible, holder, "free", end), expected, "{holder} until {end:?}");
    }
    let mut world = company();
    world.law.denied.insert((user("root"), Action::AssignRole));
    assert_eq!(create(&mut world, "root", true, "User:ann", "free", None), "not_permitted");
}

#[test]
fn the_same_is_granted_once_at_a_time() {
    let mut world = company();
    assert_eq!(create(&mut world, "root", true, "User:ann", "free", Some(60)), "accepted");
    assert_eq!(create(&mut world, "root", true, "User:ann", "free", None), "already_granted");
    assert_eq!(create(&mut world, "root", false, "User:ann", "free", Some(60)), "accepted", "an assignment is another thing");
    world.wait(60);
    assert_eq!(create(&mut world, "root", true, "User:ann", "free", None), "accepted");
}

#[test]
fn what_rests_on_an_eligibility_ends_with_it() {
    let set_up = || {
        let mut world = company();
        world.eligible("e1", "Group:ops", "free", None, Some(60)).unwrap();
        world.eligible("e2", "Group:ops", "one", None, Some(60)).unwrap();
        world.request("a", "ann", "free", None, 180).unwrap();
        world.request("p", "ann", "one", None, 180).unwrap();
        world
    };
    let mut world = set_up();
    for (id, kinds) in [("e1", "activation_revoked"), ("e2", "activation_failed")] {
        world.run("root", Command::RemoveEligibility { id: elg(id), reason: None }).unwrap();
        assert_eq!(world.last(), ["eligibility_removed", kinds]);
        assert_eq!(rule(world.run("root", Command::RemoveEligibility { id: elg(id), reason: None })), "not_in_state");
    }
    assert!(world.row("User:ann").grants.is_empty() && world.row("Group:ops").grants.is_empty());

    let mut world = set_up();
    world.wait(60);
    assert!(world.roles("User:ann", None).is_empty(), "before any timer");
    let due = || Command::Settle(Due::EligibilityEnd(elg("e1")));
    world.run("elevon", due()).unwrap();
    assert_eq!(world.last(), ["eligibility_expired", "activation_revoked"]);
    assert_eq!(world.run("elevon", due()), Ok(Outcome::Unchanged));
}

#[test]
fn an_assignment_holds_without_activation_until_it_is_taken_back() {
    let mut world = company();
    let command = Command::CreateAssignment { id: asg("s"), grant: grant("Group:staff", "two", Some("Db:prod"), None) };
    world.run("root", command).unwrap();
    assert_eq!(world.roles("User:ann", Some("Db:orders")), ["two"]);
    world.run("ann", Command::RemoveAssignment { id: asg("s"), reason: None }).unwrap();
    assert!(world.roles("User:ann", Some("Db:orders")).is_empty());
    assert_eq!(rule(world.run("ann", Command::RemoveAssignment { id: asg("s"), reason: None })), "not_in_state");
    assert_eq!(rule(world.run("ann", Command::RemoveAssignment { id: asg("zz"), reason: None })), "not_found");
}
