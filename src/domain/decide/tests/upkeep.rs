//! Bundles that go live, cascades beyond one record, and refusals that are counted.

use super::kit::*;
use crate::domain::command::{BundleSource, Due};
use crate::domain::decide::{self, MAX_CASCADE_EVENTS, Outcome};
use crate::domain::facts::{Action, Tables as _};
use crate::domain::grant::Cause;
use crate::domain::*;

#[test]
fn a_role_that_leaves_takes_everything_with_it() {
    let mut world = company();
    world.eligible("e1", "User:ann", "free", None, None).unwrap();
    world.request("a", "ann", "free", None, 60).unwrap();
    assert_eq!(world.swap(&company_bundle("one", |_| {})), Ok(Outcome::Unchanged), "the same revision");
    world.swap(&company_bundle("two", |roles| drop(roles.remove(0)))).unwrap();
    assert_eq!((world.last(), world.status("a")), (vec!["bundle_activated", "activation_revoked"], "revoked"));
    world.swap(&company_bundle("three", |_| {})).unwrap();
    assert!(world.roles("User:ann", None).is_empty());
    assert_eq!(rule(world.request("b", "ann", "free", None, 60)), "not_eligible");
    assert_eq!(rule(world.eligible("e2", "User:ann", "free", None, None)), "accepted", "what is void is not in the way");
}

#[test]
fn the_event_names_what_the_bundle_takes_and_claims() {
    let mut world = company();
    world.put("root", "User:x", &["Group:staff"]).unwrap();
    world.eligible("e1", "Group:staff", "free", None, None).unwrap();
    world.request("a", "x", "free", None, 60).unwrap();
    world.request("b", "dan", "free", None, 60).unwrap();
    let next = |claimed: &[&str]| {
        let mut entities = vec![entity("User:root", &[], None), entity("Group:staff", &[], None), entity("User:dan", &[], None)];
        entities.extend(claimed.iter().map(|name| entity(name, &[], None)));
        bundle(&format!("next{}", claimed.len()), vec![role("free", |_| {})], entities)
    };
    world.swap(&next(&["User:x"])).unwrap();
    let Event::BundleActivated { previous, entities_removed, entities_shadowed, roles_removed, .. } =
        &world.records.last().unwrap().events[0]
    else {
        panic!("{:?}", world.last())
    };
    assert_eq!(previous.as_ref().map(Revision::as_str), Some("one"));
    assert_eq!(roles_removed.len(), 3);
    assert!(entities_removed.contains(&uid("Db:prod")) && !entities_removed.contains(&uid("User:x")));
    assert_eq!(*entities_shadowed, [uid("User:x")]);
    assert_eq!(["a", "b"].map(|id| world.status(id)), ["revoked", "revoked"], "both left the group by the bundle's edges");
    world.swap(&next(&[])).unwrap();
    assert_eq!(world.roles("User:x", None), Vec::<String>::new());
}

#[test]
fn a_caller_needs_leave_to_reload() {
    let mut world = company();
    world.law.denied.insert((user("ann"), Action::ManageBundle));
    let reload = || Command::ActivateBundle { definitions: company_bundle("two", |_| {}), source: BundleSource::Reload };
    assert_eq!(rule(world.run("ann", reload())), "not_permitted");
    assert_eq!(rule(world.run("bob", reload())), "accepted");
}

#[test]
fn a_large_cascade_goes_on_until_it_is_through() {
    let many = 2 * MAX_CASCADE_EVENTS + 10;
    let mut world = company();
    world.eligible("e1", "Group:staff", "free", None, None).unwrap();
    for number in 0..many {
        let name = format!("u{number:05}");
        world.put("root", &format!("User:{name}"), &["Group:staff"]).unwrap();
        world.request(&name, &name, "free", None, 60).unwrap();
    }
    world.run("root", Command::RemoveEligibility { id: elg("e1"), reason: None }).unwrap();
    assert_eq!(world.last().last(), Some(&"cascade_continues"));
    assert!(world.last().len() <= event::MAX_EVENTS);
    assert!(world.roles("User:u01809", None).is_empty(), "void before the cascade gets there");
    let cause = Cause::EligibilityRemoved(elg("e1"));
    let mut pieces = 1;
    while world.rows.cascade_waits(&cause).unwrap() {
        assert_eq!(world.run("elevon", Command::Settle(Due::Cascade(cause.clone()))), Ok(Outcome::Settled));
        pieces += 1;
    }
    assert_eq!(world.last().last(), Some(&"cascade_completed"));
    assert!(pieces >= 3 && world.records.iter().all(|record| record.to_canonical().unwrap().len() <= 256 * 1024));
    assert!((0..many).all(|number| world.status(&format!("u{number:05}")) == "revoked"));
    assert_eq!(world.run("elevon", Command::Settle(Due::Cascade(cause))), Ok(Outcome::Unchanged));
}

#[test]
fn refusals_are_counted_even_of_who_is_unknown() {
    let mut world = company();
    let command = Command::CoalesceRefusals { rule: "unknown_principal".to_owned(), count: 7 };
    assert_eq!(world.run("who", command), Ok(Outcome::Settled));
    assert_eq!(world.last(), ["command_refused"]);
    let refused = world.request("a", "who", "free", None, 60).unwrap_err();
    assert!(matches!(decide::refusal_event(&refused), Some(Event::CommandRefused { count: 1, detail: Some(_), .. })));
}

#[test]
fn an_event_about_nothing_changes_nothing() {
    let mut world = company();
    let before = world.rows.all.clone();
    let mut record = world.records[0].clone();
    let id = act("none");
    record.events = vec![
        Event::ActivationStarted { id: id.clone(), window: Window::lasting(world.now, mins(1)), clamped: false },
        Event::ActivationExpired { id: id.clone() },
        Event::VotesVoided { id, voters: vec![user("ann")] },
        Event::EligibilityExpired { id: elg("none") },
        Event::AssignmentRemoved { id: asg("none"), reason: None },
    ];
    let mut overlay = Overlay::new(&world.rows, world.rows.definitions.clone());
    apply(&mut overlay, &record).unwrap();
    assert!(overlay.changes.is_empty());
    world.wait(1);
    assert_eq!(world.rows.all, before);
}
