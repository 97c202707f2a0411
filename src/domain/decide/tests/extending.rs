//! Extensions: requests of their own, while the activation that they extend runs on.

use super::kit::*;
use crate::domain::command::Due;
use crate::domain::decide::Outcome;
use crate::domain::facts::Action;
use crate::domain::grant::Cause;
use crate::domain::*;

type Change = fn(&mut World);

/// `ann` has `one` for an hour, by the vote of `bob`; what is extended waits for votes, too.
fn running() -> World {
    let mut world = company();
    world.eligible("e1", "User:ann", "one", None, Some(600)).unwrap();
    world.request("a", "ann", "one", None, 60).unwrap();
    world.approve("bob", "a").unwrap();
    world
}

fn extension_waits() -> World {
    let mut world = running();
    world.wait(30);
    assert_eq!(world.extend("x", "ann", "a", 60), Ok(Outcome::ActivationCreated(act("x"))));
    world
}

fn cause(world: &World, id: &str) -> Option<Cause> {
    if let ActivationState::Failed { cause, .. } = world.activation(id).state { Some(cause) } else { None }
}

#[test]
fn the_parent_runs_on_while_its_extension_waits() {
    let mut world = extension_waits();
    assert_eq!((world.status("a"), world.status("x"), world.left("a")), ("active", "pending", 30));
    world.wait(20);
    world.approve("cat", "x").unwrap();
    assert_eq!(world.last(), ["approval_given", "activation_extended"]);
    assert_eq!((world.status("a"), world.status("x"), world.left("a")), ("active", "approved", 70), "one window, and a longer one");
    assert_eq!(world.activation("a").extensions, 1);
    assert_eq!(world.row("User:ann").grants.waiting, []);
    world.wait(69);
    assert_eq!(world.roles("User:ann", None), ["one"], "past what one activation may last");
    world.wait(1);
    assert!(world.roles("User:ann", None).is_empty());
}

#[test]
fn it_is_granted_at_once_where_nobody_is_asked() {
    let mut world = company();
    world.eligible("e1", "User:ann", "free", None, None).unwrap();
    world.request("a", "ann", "free", None, 240).unwrap();
    world.wait(120);
    world.extend("x", "ann", "a", 240).unwrap();
    assert_eq!(world.last(), ["activation_requested", "activation_extended"]);
    assert_eq!((world.status("x"), world.left("a")), ("approved", 360));
    world.wait(359);
    assert_eq!(world.roles("User:ann", None), ["free"], "each extension may last as long as one activation");
}

#[test]
fn it_is_asked_for_within_limits() {
    let rows: [(&str, u64, Change, &str); 8] = [
        ("in time", 30, |_| {}, "accepted"),
        ("too early", 29, |_| {}, "too_early_to_extend"),
        ("too late", 60, |_| {}, "not_in_state"),
        ("without the right", 30, |world| world.lose("ann", Action::ExtendActivation), "not_permitted"),
        ("with one that waits", 30, |world| drop(world.extend("w", "ann", "a", 30).unwrap()), "extension_waits"),
        (
            "without approvers",
            30,
            |world| {
                for id in ["bob", "cat"] {
                    world.run("root", Command::SetDisabled { uid: user(id), disabled: true, reason: None }).unwrap();
                }
            },
            "quorum_unreachable",
        ),
        (
            "once more",
            30,
            |world| {
                world.extend("w", "ann", "a", 30).unwrap();
                world.approve("bob", "w").unwrap();
                world.wait(30);
            },
            "not_extendable",
        ),
        (
            "under a bundle that allows none",
            30,
            |world| drop(world.swap(&company_bundle("x", |roles| roles[1].max_extensions = 0)).unwrap()),
            "not_extendable",
        ),
    ];
    for (what, wait, change, expected) in rows {
        let mut world = running();
        world.wait(wait);
        change(&mut world);
        assert_eq!(rule(world.extend("x", "ann", "a", 60)), expected, "{what}");
    }
    let mut world = extension_waits();
    assert_eq!(world.extend("y", "ann", "a", 60), Ok(Outcome::ActivationExists(act("x"))), "one that waits and gives as much");
    assert_eq!(rule(world.extend("y", "ann", "x", 60)), "not_in_state", "an extension is not extended itself");
    let mut world = company();
    world.eligible("e1", "User:ann", "free", None, Some(60)).unwrap();
    world.request("a", "ann", "free", None, 120).unwrap();
    world.wait(59);
    assert_eq!(rule(world.extend("x", "ann", "a", 60)), "not_extendable", "what it rests on ends before it");
}

#[test]
fn it_fails_when_its_parent_ends() {
    let lower = |world: &mut World| drop(world.swap(&company_bundle("x", |roles| roles[1].max_duration = mins(20))).unwrap());
    let ends: [(&str, Change); 3] = [
        ("deactivated", |world| drop(world.run("ann", Command::Deactivate { id: act("a"), reason: None }).unwrap())),
        ("revoked", |world| drop(world.run("root", Command::Revoke { id: act("a"), reason: None }).unwrap())),
        ("expired", |world| {
            world.wait(30);
            world.settle(Due::ActivationEnd(act("a"))).unwrap();
        }),
    ];
    for (status, end) in ends.into_iter().chain([("revoked", lower as Change)]) {
        let mut world = extension_waits();
        end(&mut world);
        assert_eq!((world.status("a"), world.status("x")), (status, "failed"));
        assert_eq!(cause(&world, "x"), Some(Cause::ParentEnded(act("a"))));
        assert_eq!(world.row("User:ann").grants.waiting, []);
    }
    // what ends both names its own cause for both
    let mut world = extension_waits();
    world.run("root", Command::RemoveEligibility { id: elg("e1"), reason: None }).unwrap();
    assert_eq!((world.status("a"), cause(&world, "x")), ("revoked", Some(Cause::EligibilityRemoved(elg("e1")))));
}

#[test]
fn it_is_voted_on_after_its_parent_ended_and_no_timer_ran() {
    let mut world = extension_waits();
    world.wait(30);
    world.approve("bob", "x").unwrap();
    assert_eq!(world.last(), ["approval_given", "activation_failed"]);
    assert_eq!(cause(&world, "x"), Some(Cause::ParentEnded(act("a"))));
    assert!(world.roles("User:ann", None).is_empty());
    // and after the eligibility of both ended
    let mut world = company();
    world.eligible("e1", "User:ann", "one", None, Some(60)).unwrap();
    world.request("a", "ann", "one", None, 60).unwrap();
    world.approve("bob", "a").unwrap();
    world.wait(40);
    world.extend("x", "ann", "a", 60).unwrap();
    world.wait(20);
    world.approve("bob", "x").unwrap();
    assert_eq!(cause(&world, "x"), Some(Cause::EligibilityEnded(elg("e1"))));
    assert_eq!(world.activation("a").window().unwrap().end, Some(world.now));
}

#[test]
fn it_gives_what_the_settings_of_now_give() {
    let mut world = running();
    world.wait(30);
    world.extend("x", "ann", "a", 120).unwrap();
    world.swap(&company_bundle("x", |roles| roles[1].max_duration = mins(60))).unwrap();
    world.approve("bob", "x").unwrap();
    let extended = Event::ActivationExtended { id: act("a"), by: act("x"), end: world.now.plus(mins(90)), clamped: true };
    assert_eq!(world.records.last().unwrap().events[1], extended);
    // none, where a bundle has come to allow none
    let mut other = extension_waits();
    other.swap(&company_bundle("x", |roles| roles[1].max_extensions = 0)).unwrap();
    other.approve("cat", "x").unwrap();
    assert_eq!((cause(&other, "x"), other.left("a")), (Some(Cause::CapLowered(role_name("one"))), 30));
    // the cap counts each extension once
    world.swap(&company_bundle("y", |roles| roles[1].max_duration = mins(50))).unwrap();
    assert_eq!(world.left("a"), 70);
}
