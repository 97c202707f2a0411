//! What detectors know over time: what is over and has to be told so, what begins late, what is forgotten, and what comes again.

use std::sync::Arc;

use super::detecting::{Watched, limits, set, watched_bundle};
use super::kit::*;
use crate::domain::alert::{AlertKind, Limit};
use crate::domain::command::Due;
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
