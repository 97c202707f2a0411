//! What detectors know over time: what is over and has to be told so, what begins late, what is forgotten, and what comes again.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::sync::Arc;

use proptest::prelude::*;

use super::detecting::{Watched, limits, set, watched_bundle};
use super::kit::*;
use crate::domain::alert::{AlertKind, Limit};
use crate::domain::command::Due;
use crate::domain::grant::ActivationStatus;
use crate::domain::standing::{Presence, ancestors, presence};
use crate::domain::*;

const DAY: u64 = 24 * 60;

/// A bundle with a role `asked`, which so many of staff have to agree to; ann, bob, cat and dan are staff.
fn asked(revision: &str, quorum: u32) -> Arc<Definitions> {
    watched_bundle(revision, |definitions| {
        let asked = role("asked", |role| role.stages = vec![stage(&["Group:staff"], quorum, 9 * DAY)]);
        definitions.roles.insert(role_name("asked"), Arc::new(asked));
    })
}

fn swap(watched: &mut Watched, definitions: &Arc<Definitions>) {
    watched.world.swap(definitions).unwrap();
    watched.look();
}

fn put(watched: &mut Watched, name: &str, parents: &[&str]) {
    watched.world.put("root", name, parents).unwrap();
    watched.look();
}

fn delete(watched: &mut Watched, name: &str) {
    watched.run("root", Command::DeleteEntity { uid: uid(name), reason: None }).unwrap();
}

/// Where the incidents of a kind stand that are about activations, oldest first.
fn of_requests(watched: &Watched, kind: AlertKind) -> Vec<&'static str> {
    let about = |found: &alert::Incident| matches!(found.finding.subject, alert::AlertSubject::Activation(_));
    watched.of(kind).iter().filter(|found| about(found)).map(|found| found.status().as_str()).collect()
}

/// ann holds `asked`, and asks for more of it.
fn extending() -> Watched {
    let mut watched = Watched::over(World::with(asked("one", 2)));
    watched.world.eligible("elg_1", "User:ann", "asked", None, None).unwrap();
    watched.world.request("act_1", "ann", "asked", None, 60).unwrap();
    watched.world.approve("bob", "act_1").unwrap();
    watched.world.approve("cat", "act_1").unwrap();
    watched.wait(40);
    watched.world.extend("act_2", "ann", "act_1", 30).unwrap();
    watched.look();
    watched
}

#[test]
fn a_request_for_more_time_waits_no_more_once_it_is_approved() {
    let kind = AlertKind::SmallCircle;
    let mut watched = extending();
    // all of staff but ann are three
    swap(&mut watched, &asked("two", 4));
    assert_eq!(of_requests(&watched, kind), ["open"]);
    put(&mut watched, "User:new", &["Group:staff"]);
    for who in ["bob", "cat", "dan", "new"] {
        watched.world.approve(who, "act_2").unwrap();
    }
    assert_eq!(watched.world.status("act_2"), "approved");
    watched.look();
    assert_eq!(of_requests(&watched, kind), ["cleared"]);
}

#[test]
fn a_request_that_can_be_approved_again_is_told_to_be() {
    let kind = AlertKind::SmallCircle;
    type Change = fn(&mut Watched);
    let rows: [(&str, Change, bool); 7] = [
        ("a lower quorum", |watched| swap(watched, &asked("three", 3)), true),
        ("another bundle that asks as many", |watched| swap(watched, &asked("three", 4)), false),
        ("another member", |watched| put(watched, "User:new", &["Group:staff"]), true),
        ("another member of a group below", |watched| put(watched, "User:new", &["Group:ops"]), true),
        (
            "a group that comes below",
            |watched| {
                put(watched, "Group:more", &[]);
                put(watched, "User:new", &["Group:more"]);
                assert_eq!(of_requests(watched, AlertKind::SmallCircle), ["open"]);
                put(watched, "Group:more", &["Group:staff"]);
            },
            true,
        ),
        ("somebody else", |watched| put(watched, "User:new", &[]), false),
        (
            "a second account of who asks",
            |watched| drop(watched.world.put_person("root", "User:new", &["Group:staff"], Some("User::\"ann\"")).unwrap()),
            false,
        ),
    ];
    for (what, change, again) in rows {
        let mut watched = extending();
        swap(&mut watched, &asked("two", 4));
        assert_eq!(of_requests(&watched, kind), ["open"], "{what}");
        change(&mut watched);
        watched.look();
        assert_eq!(of_requests(&watched, kind), [if again { "cleared" } else { "open" }], "{what}");
        // too few once more, as the next bundle finds: another incident
        swap(&mut watched, &asked("four", 9));
        let wanted: &[&str] = if again { &["cleared", "open"] } else { &["open"] };
        assert_eq!(of_requests(&watched, kind), wanted, "{what}");
        watched.run("ann", Command::Cancel { id: act("act_2"), reason: None }).unwrap();
        assert!(of_requests(&watched, kind).iter().all(|status| *status == "cleared"), "{what}");
    }
}

/// ann is given a role from so many minutes on.
fn given_from(watched: &mut Watched, id: &str, role: &str, from: u64) {
    let start = watched.world.now.plus(mins(from));
    let grant = command::GrantRequest { start: Some(start), ..grant("User:ann", role, None, None) };
    watched.run("root", Command::CreateEligibility { id: elg(id), grant }).unwrap();
}

fn stale(watched: &Watched) -> Vec<&'static str> {
    watched.of(AlertKind::StalePrincipal).iter().map(|found| found.status().as_str()).collect()
}

#[test]
fn nobody_is_silent_with_what_has_not_begun() {
    let quiet = || Watched::new(|definitions| limits(definitions, AlertKind::StalePrincipal, &[(Limit::Days, 2)]));
    let mut watched = quiet();
    given_from(&mut watched, "elg_1", "free", 3 * DAY);
    watched.wait(3 * DAY);
    assert_eq!(stale(&watched), [""; 0], "it begins now");
    watched.wait(2 * DAY - 1);
    assert_eq!(stale(&watched), [""; 0]);
    watched.wait(1);
    assert_eq!(stale(&watched), ["open"], "two days of silence since it began");

    // what begins earlier, and is given later, counts from where it begins
    let mut watched = quiet();
    given_from(&mut watched, "elg_1", "free", 30 * DAY);
    watched.wait(DAY);
    given_from(&mut watched, "elg_2", "open", DAY);
    watched.wait(3 * DAY - 1);
    assert_eq!(stale(&watched), [""; 0]);
    watched.wait(1);
    assert_eq!(stale(&watched), ["open"]);
    // and once it is gone there is nothing to be silent with, until the other one begins
    watched.run("root", Command::RemoveEligibility { id: elg("elg_2"), reason: None }).unwrap();
    assert_eq!(stale(&watched), ["cleared"]);
    watched.wait(26 * DAY + 2 * DAY - 1);
    assert_eq!(stale(&watched), ["cleared"]);
    watched.wait(1);
    assert_eq!(stale(&watched), ["cleared", "open"]);

    // another bundle looks at it in the same way
    let mut watched = quiet();
    given_from(&mut watched, "elg_1", "free", 3 * DAY);
    watched.wait(4 * DAY);
    for (number, days, wanted) in [("two", 1, vec!["open"]), ("three", 2, vec!["cleared"])] {
        swap(&mut watched, &watched_bundle(number, |definitions| limits(definitions, AlertKind::StalePrincipal, &[(Limit::Days, days)])));
        assert_eq!(stale(&watched), wanted);
    }
}

#[test]
fn who_could_not_begin_earlier_did_not_wait() {
    let kind = AlertKind::FirstActivation;
    for (days, wanted) in [(4, 0), (5, 1)] {
        let mut watched = Watched::new(|definitions| limits(definitions, kind, &[(Limit::Days, 2)]));
        given_from(&mut watched, "elg_1", "open", 3 * DAY);
        watched.wait(days * DAY);
        watched.run("ann", ask("act_1", "ann", "open", None, Some(30))).unwrap();
        assert_eq!(watched.of(kind).len(), wanted, "{days}");
    }
}

#[test]
fn a_name_that_comes_back_has_no_habits() {
    let kind = AlertKind::FirstActivation;
    let rules = |definitions: &mut Definitions| limits(definitions, kind, &[(Limit::Known, 3), (Limit::Days, 2)]);
    for comes_back in [false, true] {
        let mut watched = Watched::new(rules);
        let given = |watched: &mut Watched, number: usize| {
            put(watched, "User:new", &[]);
            for (place, scope) in ["Db:prod", "Db:test"].into_iter().enumerate() {
                watched.world.eligible(&format!("elg_{number}{place}"), "User:new", "open", Some(scope), None).unwrap();
            }
            watched.look();
        };
        let activates = |watched: &mut Watched, id: &str, scope: &str| {
            watched.run("new", ask(id, "new", "open", Some(scope), Some(30))).unwrap();
            watched.run("new", Command::Deactivate { id: act(id), reason: None }).unwrap();
        };
        given(&mut watched, 1);
        for place in 0..3 {
            activates(&mut watched, &format!("act_{place}"), "Db:prod");
        }
        watched.wait(3 * DAY);
        if comes_back {
            delete(&mut watched, "User:new");
            given(&mut watched, 2);
        }
        activates(&mut watched, "act_9", "Db:test");
        // what is new to who was there before is nothing new to a newcomer
        assert_eq!(watched.of(kind).len(), usize::from(!comes_back));
    }
}

#[test]
fn what_stood_below_a_container_that_goes_is_given_twice_no_more() {
    let kind = AlertKind::DuplicateHoldings;
    let mut watched = Watched::new(|_| {});
    put(&mut watched, "Db:room", &["Db:prod"]);
    put(&mut watched, "Db:shelf", &["Db:room"]);
    put(&mut watched, "Db:box", &["Db:shelf"]);
    watched.world.eligible("elg_1", "User:ann", "free", Some("Db:prod"), None).unwrap();
    watched.world.eligible("elg_2", "User:ann", "free", Some("Db:box"), None).unwrap();
    watched.world.eligible("elg_3", "User:bob", "free", Some("Db:shelf"), None).unwrap();
    watched.world.eligible("elg_4", "User:bob", "free", Some("Db:box"), None).unwrap();
    watched.look();
    let lasting = |watched: &Watched| -> Vec<Option<Uid>> {
        watched.of(kind).into_iter().filter(alert::Incident::lasts).map(|found| found.finding.principal).collect()
    };
    assert_eq!(lasting(&watched), [Some(user("ann")), Some(user("bob"))]);
    delete(&mut watched, "Db:room");
    assert_eq!(lasting(&watched), [Some(user("bob"))], "nothing of hers stands below anything else any more");
}

#[test]
fn an_emergency_that_waits_for_its_review_is_told_when_its_kind_is_looked_for_again() {
    let kind = AlertKind::EmergencyUsed;
    let mut watched = Watched::new(|_| {});
    let switch = |watched: &mut Watched, name: &str, on: bool| {
        swap(watched, &watched_bundle(name, |definitions| set(definitions, kind, |rule| rule.enabled = on)));
    };
    watched.world.eligible("elg_1", "User:ann", "open", None, None).unwrap();
    watched.world.eligible("elg_2", "User:bob", "open", None, None).unwrap();
    watched.run("ann", break_glass("act_1", "ann", "open", Some(30))).unwrap();
    switch(&mut watched, "two", false);
    watched.run("bob", break_glass("act_2", "bob", "open", Some(30))).unwrap();
    assert_eq!(of_requests(&watched, kind), ["cleared"]);
    watched.wait(1);
    switch(&mut watched, "three", true);
    assert_eq!(of_requests(&watched, kind), ["cleared", "open", "open"], "one of them was never told");
    // what somebody remedied is not told again, and neither is what was looked into
    let remedied =
        watched.of(kind).into_iter().find(|found| found.lasts() && found.finding.subject == alert::AlertSubject::Activation(act("act_2")));
    watched.run("root", Command::RemedyAlert { id: remedied.unwrap().id, reason: None }).unwrap();
    let review = watched.world.rows.all.reviews.keys().find(|id| id.as_str().ends_with("_1")).unwrap().clone();
    watched.run("root", Command::CompleteReview { id: review.clone(), reason: None }).unwrap();
    for _ in 0..3 {
        watched.world.settle(Due::ReviewStep(review.clone())).unwrap();
    }
    watched.look();
    switch(&mut watched, "four", false);
    switch(&mut watched, "five", true);
    assert_eq!(of_requests(&watched, kind), ["cleared", "cleared", "cleared"]);
}

#[derive(Debug, Clone)]
enum Step {
    Asks(usize),
    TakesBack(usize),
    Approves(usize, usize),
    Put(usize, usize, bool),
    Deleted(usize),
    Disabled(usize, bool),
    Swapped(u32),
}

fn step() -> impl Strategy<Value = Step> {
    let n = || 0_usize..64;
    prop_oneof![
        3 => n().prop_map(Step::Asks),
        1 => n().prop_map(Step::TakesBack),
        3 => (n(), n()).prop_map(|(who, what)| Step::Approves(who, what)),
        3 => (n(), n(), any::<bool>()).prop_map(|(who, parents, person)| Step::Put(who, parents, person)),
        1 => n().prop_map(Step::Deleted),
        3 => (n(), any::<bool>()).prop_map(|(who, disabled)| Step::Disabled(who, disabled)),
        3 => (1_u32..6).prop_map(Step::Swapped),
    ]
}

/// Requests that wait and have fewer voters than they need, counted over everybody there is.
fn in_vain(watched: &Watched) -> BTreeSet<ActivationId> {
    let rows = &watched.world.rows;
    let person = |uid: &Uid| decide::person(rows, uid).unwrap();
    let stored = rows.all.rows.iter().filter(|(_, row)| row.stored.is_some()).map(|(uid, _)| uid);
    let people: BTreeSet<&Uid> = rows.definitions.entities.keys().chain(stored).filter(|uid| rows.definitions.is_principal(uid)).collect();
    let staff = uid("Group:staff");
    let votes = |uid: &&&Uid| presence(rows, uid).unwrap() == Presence::Known && ancestors(rows, uid).unwrap().contains(&staff);
    let voters: BTreeSet<String> = people.iter().filter(votes).map(|uid| person(uid)).collect();
    let quorum = rows.definitions.roles[&role_name("asked")].stages[0].quorum as usize;
    let pending = rows.all.activations.values().filter(|of| of.status(watched.world.now) == ActivationStatus::Pending);
    let short = |of: &&Activation| voters.iter().filter(|voter| **voter != person(&of.principal)).count() < quorum;
    pending.filter(short).map(|of| of.id.clone()).collect()
}

fn in_order(steps: &[Step], met: &Cell<(usize, usize)>) -> Result<(), TestCaseError> {
    let mut watched = Watched::over(World::with(asked("0", 2)));
    put(&mut watched, "Group:more", &["Group:staff"]);
    let who = |number: usize| ["ann", "bob", "cat", "dan", "eve", "new", "nel"][number % 7];
    for number in 0..5 {
        watched.eligible(&format!("elg_{number}"), &format!("User:{}", who(number)), "asked", None, None);
    }
    let mut expected = BTreeSet::new();
    for (number, step) in steps.iter().enumerate() {
        let id = |of: usize| format!("act_{}", of % steps.len());
        let world = &mut watched.world;
        match *step {
            Step::Asks(who_asks) => drop(world.request(&format!("act_{number}"), who(who_asks), "asked", None, 30)),
            Step::TakesBack(of) => {
                let by = world.rows.all.activations.get(&act(&id(of))).map(|of| of.principal.id().to_owned());
                drop(by.map(|by| world.run(&by, Command::Cancel { id: act(&id(of)), reason: None })));
            }
            Step::Approves(voter, of) => drop(world.approve(who(voter), &id(of))),
            Step::Put(of, parents, second) => {
                let parents: &[&str] = [&[] as &[&str], &["Group:staff"], &["Group:more"], &["Group:ops"]][parents % 4];
                drop(world.put_person("root", &format!("User:{}", who(5 + of % 2)), parents, second.then_some("cat")));
            }
            Step::Deleted(of) => {
                let uid = uid(["User:new", "User:nel", "Group:more"][of % 3]);
                drop(world.run("root", Command::DeleteEntity { uid, reason: None }));
            }
            Step::Disabled(of, disabled) => {
                drop(world.run("root", Command::SetDisabled { uid: user(who(of)), disabled, reason: None }));
            }
            Step::Swapped(quorum) => world.swap(&asked(&number.to_string(), quorum)).map(drop).unwrap(),
        }
        watched.look();
        let now = in_vain(&watched);
        let (raised, again) = met.get();
        let pending = |id: &ActivationId| watched.world.status(id.as_str()) == "pending";
        let over = expected.iter().filter(|id| !now.contains(*id) && pending(id)).count();
        expected.retain(|id| now.contains(id));
        if matches!(step, Step::Swapped(_)) {
            expected.extend(now);
        }
        met.set((raised + usize::from(matches!(step, Step::Swapped(_))) * expected.len(), again + over));
        let lasting = watched.of(AlertKind::SmallCircle).into_iter().filter(alert::Incident::lasts);
        let lasting: BTreeSet<ActivationId> = lasting
            .filter_map(|found| if let alert::AlertSubject::Activation(id) = found.finding.subject { Some(id) } else { None })
            .collect();
        prop_assert_eq!(&lasting, &expected, "after step {} {:?}", number, step);
    }
    Ok(())
}

#[test]
fn requests_that_wait_in_vain_are_those_that_a_bundle_left_so() {
    let config = proptest::test_runner::Config { cases: 300, failure_persistence: None, ..Default::default() };
    let met = Cell::new((0, 0));
    let mut runner = proptest::test_runner::TestRunner::new(config);
    runner.run(&prop::collection::vec(step(), 1..40), |steps| in_order(&steps, &met)).unwrap_or_else(|error| panic!("{error}"));
    let (in_vain, again) = met.get();
    assert!(in_vain > 20 && again > 20, "what was never met shows nothing: {in_vain} waited in vain, {again} did not any more");
}
