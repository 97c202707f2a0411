//! The table of activation's edges, a test for each row of it, under the row's name.

use super::kit::*;
use crate::domain::command::{Due, Everything, Term};
use crate::domain::decide::{self, Outcome};
use crate::domain::facts::Action;
use crate::domain::grant::Cause;
use crate::domain::standing::{Moment, Via, standing};
use crate::domain::*;

/// `ann`, who is in `ops`, waits for one of `ops`.
fn waiting() -> World {
    let mut world = company();
    world.eligible("e1", "User:ann", "one", None, Some(600)).unwrap();
    world.request("a", "ann", "one", None, 180).unwrap();
    world
}

/// `ann` has the role for three hours.
fn running() -> World {
    let mut world = company();
    world.eligible("e1", "User:ann", "free", None, Some(600)).unwrap();
    world.request("a", "ann", "free", None, 180).unwrap();
    world
}

fn is_told(lost: Result<Outcome, Rejection>, status: &str) {
    match lost {
        Err(Rejection::NotInState { status: found, .. }) => assert_eq!(found, status),
        other => panic!("{other:?}, and not that it is {status}"),
    }
}

fn without_free(roles: &mut Vec<RoleSettings>) {
    roles.remove(0);
}

#[test]
fn two_approvers_at_once() {
    let mut world = waiting();
    assert_eq!(rule(world.approve("bob", "a")), "accepted");
    is_told(world.approve("cat", "a"), "active");
    is_told(world.deny("cat", "a"), "active");
    let started = world.records.iter().flat_map(|record| &record.events).filter(|event| event.kind() == "activation_started");
    assert_eq!(started.count(), 1);
}

#[test]
fn approve_against_cancel_or_timeout() {
    let cancel = || Command::Cancel { id: act("a"), reason: None };
    let mut world = waiting();
    world.run("ann", cancel()).unwrap();
    is_told(world.approve("bob", "a"), "cancelled");
    let mut world = waiting();
    world.approve("bob", "a").unwrap();
    is_told(world.run("ann", cancel()), "active");
    let mut world = waiting();
    world.wait(120);
    is_told(world.approve("bob", "a"), "timed_out");
    is_told(world.run("ann", cancel()), "timed_out");
    assert_eq!(world.records.last().unwrap().command, "request_activation", "and no timer has run");
}

#[test]
fn who_may_vote() {
    for (voter, expected) in [("bob", "accepted"), ("eve", "not_an_approver"), ("ann", "separation_of_duties")] {
        assert_eq!(rule(waiting().approve(voter, "a")), expected, "{voter}");
    }
    let mut world = waiting();
    world.law.denied.insert((user("bob"), Action::ApproveActivation));
    assert_eq!(rule(world.approve("bob", "a")), "not_permitted");
    // not through another account, nor by having asked for what is extended
    let mut world = company();
    world.eligible("e1", "User:kat", "one", None, None).unwrap();
    world.run("bob", ask("a", "kat", "one", None, Some(60))).unwrap();
    assert_eq!(rule(world.approve("cat", "a")), "separation_of_duties", "kat is cat");
    assert_eq!(rule(world.approve("bob", "a")), "separation_of_duties", "bob asked");
    world.approve("ann", "a").unwrap();
    world.wait(40);
    world.extend("x", "kat", "a", 60).unwrap();
    assert_eq!(rule(world.approve("bob", "x")), "separation_of_duties", "bob asked for what is extended");
    assert_eq!(rule(world.approve("ann", "x")), "accepted");
}

#[test]
fn who_may_grant() {
    let mut world = company();
    world.put("root", "Group:rich", &[]).unwrap();
    world.put("root", "User:x", &[]).unwrap();
    let give = |holder: &str| Command::CreateEligibility { id: elg(holder), grant: grant(holder, "free", None, None) };
    assert_eq!(rule(world.run("ann", give("User:ann"))), "self_grant");
    assert_eq!(rule(world.run("ann", give("Group:staff"))), "self_grant");
    assert_eq!(rule(world.run("eve", give("Group:rich"))), "accepted");
    assert_eq!(rule(world.put("x", "User:x", &["Group:rich"])), "self_grant");
    assert_eq!(rule(world.put("root", "User:x", &["Group:rich"])), "accepted");
}

#[test]
fn one_person_in_two_stages() {
    let mut world = company();
    world.eligible("e1", "User:ann", "two", None, None).unwrap();
    world.request("a", "ann", "two", None, 60).unwrap();
    world.approve("dan", "a").unwrap();
    world.approve("bob", "a").unwrap();
    assert_eq!(rule(world.approve("dan", "a")), "already_voted");
    assert_eq!(rule(world.approve("eve", "a")), "accepted");
    assert_eq!(world.status("a"), "active");
}

#[test]
fn an_approver_lost_the_right_before_quorum() {
    let mut world = company();
    world.eligible("e1", "User:ann", "two", None, None).unwrap();
    world.request("a", "ann", "two", None, 60).unwrap();
    world.approve("bob", "a").unwrap();
    world.law.denied.insert((user("bob"), Action::ApproveActivation));
    world.approve("cat", "a").unwrap();
    assert_eq!(world.last(), ["approval_given", "votes_voided"]);
    assert_eq!(world.status("a"), "pending");
}

#[test]
fn no_quorum_is_reachable() {
    let mut world = company();
    world.eligible("e1", "Group:staff", "two", None, None).unwrap();
    // dan and eve are the second stage: who is dan has eve alone, and without eve nobody
    assert_eq!(rule(world.request("a", "dan", "two", None, 60)), "accepted");
    world.run("root", Command::SetDisabled { uid: user("eve"), disabled: true, reason: None }).unwrap();
    assert_eq!(
        world.request("b", "dan", "two", None, 90),
        Err(Rejection::QuorumUnreachable { role: role_name("two"), stage: 2, needed: 1, available: 0 })
    );
    // found again at every swap, and told
    let less =
        |revision, people: &'static [&'static str]| company_bundle(revision, move |roles| roles[2].stages = vec![stage(people, 1, 120)]);
    world.swap(&less("x", &["User:dan"])).unwrap();
    assert_eq!(world.last(), ["bundle_activated", "quorum_unreachable"]);
    assert_eq!(world.status("a"), "pending", "an administrator may add approvers");
    world.swap(&less("y", &["User:dan", "User:eve"])).unwrap();
    assert_eq!(world.last(), ["bundle_activated", "quorum_unreachable"]);
    world.swap(&less("z", &["User:dan", "User:bob"])).unwrap();
    assert_eq!(world.last(), ["bundle_activated"]);
}

#[test]
fn who_counts_once_cannot_fill_two_stages() {
    let stages = |stages: &[(&[&str], u32)]| {
        let stages: Vec<_> = stages.iter().map(|(people, quorum)| stage(people, *quorum, 60)).collect();
        company_bundle("x", move |roles| roles[0].stages.clone_from(&stages))
    };
    type Row = (&'static [(&'static [&'static str], u32)], Option<(u32, u32, u32)>);
    let rows: [Row; 6] = [
        (&[(&["User:bob"], 1), (&["User:bob"], 1)], Some((2, 1, 0))),
        (&[(&["User:bob", "User:cat"], 1), (&["User:bob"], 1)], None),
        (&[(&["User:cat"], 1), (&["User:kat"], 1)], Some((2, 1, 0))),
        (&[(&["User:bob", "User:cat"], 1), (&["User:bob", "User:cat"], 1), (&["User:cat", "User:bob"], 1)], Some((3, 1, 0))),
        (&[(&["User:bob", "User:cat", "User:dan"], 2), (&["User:bob", "User:cat"], 2)], Some((2, 2, 1))),
        (&[(&["Group:staff"], 2), (&["User:ann"], 1)], Some((2, 1, 0))),
    ];
    for (settings, expected) in rows {
        let mut world = World::with(stages(settings));
        world.eligible("e1", "User:ann", "free", None, None).unwrap();
        let found = match world.request("a", "ann", "free", None, 60) {
            Err(Rejection::QuorumUnreachable { stage, needed, available, .. }) => Some((stage, needed, available)),
            other => other.map(|_| None).unwrap(),
        };
        assert_eq!(found, expected, "{settings:?}");
    }
}

#[test]
fn who_becomes_the_beneficiary_by_a_bundle_is_no_approver_of_it() {
    let mut world = waiting();
    let mut same = (*company_bundle("same", |roles| roles[1].stages = vec![stage(&["User:ann", "User:bob"], 1, 120)])).clone();
    let mut entities: Vec<EntityDef> = same.entities.values().map(|def| (**def).clone()).collect();
    for def in &mut entities {
        if [user("ann"), user("bob")].contains(&def.uid) {
            def.attrs = attrs(Some("p"));
        }
    }
    same = same.with_entities(entities);
    world.swap(&std::sync::Arc::new(same)).unwrap();
    assert_eq!(world.last(), ["bundle_activated", "quorum_unreachable"]);
    assert_eq!(rule(world.approve("bob", "a")), "separation_of_duties");
}

#[test]
fn what_is_voted_on() {
    let mut world = waiting();
    let shown = world.hash("a");
    let vote = |request_hash| Command::Approve { id: act("a"), request_hash, scope: None, duration: None, justification: None };
    type Change = fn(&mut Activation);
    let changes: [(&str, Change); 9] = [
        ("principal", |a| a.principal = user("eve")),
        ("requester", |a| a.requester = by("eve")),
        ("role", |a| a.role = role_name("two")),
        ("scope", |a| a.scope = Some(uid("Db:prod"))),
        ("duration", |a| a.duration = mins(1)),
        ("start", |a| a.start = Some(a.requested_at)),
        ("end", |a| a.end = Some(a.requested_at)),
        ("reason", |a| a.justification = Some(text("x").digest())),
        ("parent", |a| a.extends = Some(act("z"))),
    ];
    let digest = world.rows.definitions.roles[&role_name("one")].digest;
    for (what, change) in changes {
        let mut changed = world.activation("a");
        assert_eq!(changed.request_hash(0, &digest), shown);
        change(&mut changed);
        assert_ne!(changed.request_hash(0, &digest), shown, "{what}");
    }
    assert_ne!(world.activation("a").request_hash(1, &digest), shown, "the stage");
    world.swap(&company_bundle("x", |roles| roles[1].stages = vec![stage(&["Group:ops"], 1, 60)])).unwrap();
    assert_eq!(world.run("bob", vote(shown)), Err(Rejection::RequestChanged { expected: world.hash("a") }));
}

#[test]
fn bundle_changed_while_pending() {
    let mut world = waiting();
    let lower = |roles: &mut Vec<RoleSettings>| {
        roles[1] = role("one", |role| {
            role.stages = vec![stage(&["User:dan"], 1, 120)];
            role.max_duration = mins(30);
        });
    };
    world.swap(&company_bundle("x", lower)).unwrap();
    assert_eq!(world.last(), ["bundle_activated"]);
    assert_eq!(rule(world.approve("bob", "a")), "not_an_approver", "decided under the current bundle");
    world.approve("dan", "a").unwrap();
    let started = Event::ActivationStarted { id: act("a"), window: Window::lasting(world.now, mins(30)), clamped: true };
    assert_eq!(world.records.last().unwrap().events[1], started, "and the event says that it is less");
}

#[test]
fn bundle_changed_while_active() {
    let lower = |minutes| company_bundle("x", move |roles| roles[0].max_duration = mins(minutes));
    let mut world = running();
    world.wait(30);
    world.swap(&lower(60)).unwrap();
    assert_eq!(world.last(), ["bundle_activated", "activation_clamped"]);
    assert_eq!((world.left("a"), world.used("ann", "free").0), (30, 60), "and the rest of its time is given back");
    world.wait(30);
    assert!(world.roles("User:ann", None).is_empty());

    let mut world = running();
    world.wait(90);
    world.swap(&lower(60)).unwrap();
    assert_eq!((world.last(), world.status("a")), (vec!["bundle_activated", "activation_revoked"], "revoked"));

    let mut world = running();
    world.swap(&lower(200)).unwrap();
    assert_eq!((world.last(), world.left("a")), (vec!["bundle_activated"], 180));
}

#[test]
fn eligibility_ends_or_is_removed() {
    let mut world = running();
    world.wait(10);
    world.run("root", Command::RemoveEligibility { id: elg("e1"), reason: None }).unwrap();
    assert!(world.roles("User:ann", None).is_empty());
    assert!(matches!(world.activation("a").state, ActivationState::Revoked { cause: Some(Cause::EligibilityRemoved(_)), .. }));

    let mut world = company();
    world.eligible("e1", "User:ann", "free", None, Some(60)).unwrap();
    world.request("a", "ann", "free", None, 180).unwrap();
    let held = standing(&world.rows, &user("ann"), None, world.moment()).unwrap();
    assert_eq!(held.holdings[0].end, Some(world.now.plus(mins(60))), "the earlier end is the one in effect");
    world.wait(59);
    assert_eq!(world.roles("User:ann", None), ["free"]);
    world.wait(1);
    assert!(world.roles("User:ann", None).is_empty(), "before any timer");
    world.settle(Due::EligibilityEnd(elg("e1"))).unwrap();
    assert_eq!(world.last(), ["eligibility_expired", "activation_revoked"]);
}

#[test]
fn principal_disabled_or_role_gone_from_the_bundle() {
    let mut world = running();
    world.run("root", Command::SetDisabled { uid: user("ann"), disabled: true, reason: None }).unwrap();
    assert!(world.roles("User:ann", None).is_empty());
    assert!(matches!(world.activation("a").state, ActivationState::Revoked { cause: Some(Cause::PrincipalDisabled(_)), .. }));
    let mut world = running();
    world.swap(&company_bundle("x", without_free)).unwrap();
    assert!(world.roles("User:ann", None).is_empty());
    assert!(matches!(world.activation("a").state, ActivationState::Revoked { cause: Some(Cause::RoleRemoved(_)), .. }));
}

#[test]
fn two_activations_overlap() {
    let mut world = company();
    world.eligible("e1", "User:ann", "free", None, None).unwrap();
    for (id, scope, minutes) in [("b", "Db:prod", 60), ("a", "Db:orders", 60), ("c", "Db:test", 240), ("d", "Db:orders", 90)] {
        world.request(id, "ann", "free", Some(scope), minutes).ok();
    }
    assert_eq!(world.roles("User:ann", Some("Db:orders")), ["free"]);
    let shown = |world: &World, place: &str| {
        let path = standing::path(&world.rows, &uid(place)).unwrap();
        let standing = standing(&world.rows, &user("ann"), Some(&path), world.moment()).unwrap();
        standing.shown_for(&role_name("free")).map(|holding| holding.via.clone())
    };
    assert_eq!(shown(&world, "Db:orders"), Some(Via::Activation(act("a"))), "of those with the latest end, the lowest id");
    world.run("ann", Command::Deactivate { id: act("a"), reason: None }).unwrap();
    assert_eq!(world.roles("User:ann", Some("Db:orders")), ["free"], "ending one ends no other");
    assert_eq!(shown(&world, "Db:orders"), Some(Via::Activation(act("b"))));
}

/// When `ann` asks, at 10 past the beginning of what there is: from when, until when, in minutes from then.
#[test]
fn asked_twice_ensure() {
    // what there is runs, waits for votes, or waits for its start; from 0 to 60
    let there_is = |what: &str| {
        let mut world = company();
        world.swap(&company_bundle("glass", |roles| roles.iter_mut().for_each(|role| role.emergency = emergency(9)))).unwrap();
        let role = if what == "pending" { "one" } else { "free" };
        world.eligible("e1", "User:ann", role, None, None).unwrap();
        let start = (what == "scheduled").then(|| world.now.plus(mins(100)));
        world.run("ann", ask_for("a", "ann", role, None, Term { start, end: None, duration: Some(mins(60)) })).unwrap();
        assert_eq!(world.status("a"), what);
        (world, role)
    };
    let rows = [
        ("active", None, 50, "exists"),
        ("active", None, 51, "already_active"),
        ("active", Some(49), 50, "exists"),
        ("active", Some(49), 51, "already_active"),
        ("active", Some(50), 60, "created"),
        ("pending", None, 60, "exists"),
        ("pending", None, 61, "created"),
        ("pending", Some(59), 60, "exists"),
        ("pending", Some(60), 70, "created"),
        ("scheduled", Some(90), 150, "exists"),
        ("scheduled", Some(90), 151, "created"),
        ("scheduled", Some(150), 160, "created"),
        ("scheduled", None, 90, "created"),
        ("scheduled", None, 91, "exists"),
    ];
    for (what, start, end, expected) in rows {
        for actor in ["ann", "bob"] {
            let (mut world, role) = there_is(what);
            world.wait(10);
            let term = Term { start: start.map(|start| world.now.plus(mins(start))), end: Some(world.now.plus(mins(end))), duration: None };
            let found = match world.run(actor, ask_for("b", "ann", role, None, term)) {
                Ok(Outcome::ActivationExists(id)) if id == act("a") => "exists",
                Ok(Outcome::ActivationCreated(_)) => "created",
                other => rule(other),
            };
            assert_eq!(found, expected, "{what}, asked by {actor} from {start:?} to {end}");
            let glass = world.run("ann", break_glass("c", "ann", role, Some(5)));
            assert_eq!(glass, Ok(Outcome::ActivationCreated(act("c"))), "nothing blocks an emergency");
            let again = world.run("ann", break_glass("d", "ann", role, Some(5)));
            assert_eq!(again, Ok(Outcome::ActivationExists(act("c"))));
            assert_eq!(rule(world.run("ann", break_glass("e", "ann", role, Some(6)))), "already_active");
        }
    }
}

#[test]
fn what_is_asked_again_finds_one_whose_start_is_due() {
    let mut world = company();
    world.eligible("e1", "User:ann", "free", None, None).unwrap();
    let term = Term { start: Some(world.now.plus(mins(10))), end: None, duration: Some(mins(60)) };
    world.run("ann", ask_for("a", "ann", "free", None, term)).unwrap();
    world.wait(15);
    assert_eq!(world.request("b", "ann", "free", None, 60), Ok(Outcome::ActivationExists(act("a"))), "it begins now");
    world.settle(Due::ActivationStart(act("a"))).unwrap();
    assert_eq!(world.left("a"), 60);
}

#[test]
fn start() {
    // not when it was asked for, but when it becomes active
    let mut world = waiting();
    world.wait(30);
    world.approve("bob", "a").unwrap();
    assert_eq!(world.activation("a").state, ActivationState::Active { window: Window::lasting(world.now, mins(180)) });

    let later = |world: &World, start: u64, end: Option<u64>| {
        let at = |minutes: u64| world.now.plus(mins(minutes));
        let duration = end.is_none().then(|| mins(60));
        ask_for("a", "ann", "one", None, Term { start: Some(at(start)), end: end.map(at), duration })
    };
    let set_up = |start, end| {
        let mut world = company();
        world.eligible("e1", "User:ann", "one", None, None).unwrap();
        let command = later(&world, start, end);
        world.run("ann", command).unwrap();
        world
    };
    // a start that is to come is waited for
    let mut world = set_up(60, None);
    world.wait(30);
    world.approve("bob", "a").unwrap();
    assert_eq!((world.last(), world.status("a")), (vec!["approval_given", "activation_scheduled"], "scheduled"));
    assert_eq!(world.settle(Due::ActivationStart(act("a"))), Ok(Outcome::Unchanged));
    world.wait(30);
    assert!(world.roles("User:ann", None).is_empty());
    world.settle(Due::ActivationStart(act("a"))).unwrap();
    assert_eq!((world.status("a"), world.left("a")), ("active", 60));
    assert_eq!(world.settle(Due::ActivationStart(act("a"))), Ok(Outcome::Unchanged));
    // one that was missed while it waited for votes is the moment of the approval
    let mut world = set_up(60, None);
    world.wait(90);
    world.approve("bob", "a").unwrap();
    assert_eq!((world.status("a"), world.left("a")), ("active", 60));
    // a fixed end does not move
    let mut world = set_up(60, Some(100));
    world.wait(90);
    world.approve("bob", "a").unwrap();
    assert_eq!((world.status("a"), world.left("a")), ("active", 10));
    let mut world = set_up(60, Some(100));
    world.wait(100);
    world.approve("bob", "a").unwrap();
    assert!(matches!(world.activation("a").state, ActivationState::Failed { cause: Cause::WindowPast(_), .. }));
}

#[test]
fn idempotency() {
    let mut world = running();
    let envelope = |actor: &str, key| Envelope {
        id: id::CommandId::new("c").unwrap(),
        actor: by(actor),
        idempotency: key,
        dry_run: false,
        command: Command::RevokeAll { of: Everything::Principal(user("ann")), reason: None },
    };
    let done = Ok(Outcome::AllRevoked(Everything::Principal(user("ann"))));
    assert_eq!(world.submit(&envelope("root", key("k", 1))), done);
    let records = world.records.len();
    world.wait(24 * 60 - 1);
    assert_eq!((world.submit(&envelope("root", key("k", 1))), world.records.len()), (done, records));
    assert_eq!(rule(world.submit(&envelope("root", key("k", 2)))), "idempotency_key_reused");
    assert_eq!(world.submit(&envelope("bob", key("k", 2))), Ok(Outcome::Unchanged), "a key is its caller's");
    world.wait(1);
    assert_eq!(world.submit(&envelope("root", key("k", 1))), Ok(Outcome::Unchanged), "for a day");
}

#[test]
fn refusals() {
    let mut world = running();
    let refused = world.request("b", "ann", "free", None, 240).unwrap_err();
    let Some(Event::CommandRefused { rule: word, count: 1, detail: Some(detail) }) = decide::refusal_event(&refused) else { panic!() };
    assert_eq!((word.as_str(), detail), ("already_active", refused.to_string()));
    assert!(detail_says_how(&refused), "{refused}");
    for transient in [Rejection::TimeUntrusted, Rejection::Unavailable("x".to_owned())] {
        assert_eq!(decide::refusal_event(&transient), None);
    }
    let many = Command::CoalesceRefusals { rule: "already_active".to_owned(), count: 7 };
    assert_eq!((world.run("ann", many), world.last()), (Ok(Outcome::Settled), vec!["command_refused"]));
}

fn detail_says_how(refused: &Rejection) -> bool {
    refused.to_string().contains("extend it")
}

#[test]
fn clock() {
    let mut world = running();
    world.eligible("e2", "User:bob", "one", None, Some(600)).unwrap();
    world.request("p", "bob", "one", None, 60).unwrap();
    let assign = |id: &str, end| Command::CreateAssignment { id: asg(id), grant: grant("User:dan", "two", None, end) };
    world.run("root", assign("timed", Some(world.now.plus(mins(60))))).unwrap();
    let permanent = Command::CreateAssignment { id: asg("for-ever"), grant: grant("User:eve", "two", None, None) };
    world.run("root", permanent).unwrap();
    // zero grace
    let mut exact = running();
    exact.now = Timestamp::from_millis(exact.now.millis() + mins(180).millis() - 1);
    assert_eq!(exact.roles("User:ann", None), ["free"]);
    exact.now = Timestamp::from_millis(exact.now.millis() + 1);
    assert!(exact.roles("User:ann", None).is_empty());
    // a clock that is not believed
    world.trusted = false;
    let holds = |world: &World| ["ann", "dan", "eve"].map(|id| world.roles(&format!("User:{id}"), None).len());
    assert_eq!(holds(&world), [0, 0, 1]);
    assert_eq!(rule(world.request("b", "ann", "free", None, 60)), "time_untrusted");
    assert_eq!(rule(world.run("root", Command::AcceptClock)), "not_permitted", "only somebody on the machine");
    assert_eq!(world.run("elevon", Command::AcceptClock), Ok(Outcome::ClockAccepted));
    assert_eq!(world.last(), ["clock_accepted", "activation_revoked", "activation_failed", "assignment_removed"]);
    world.trusted = true;
    assert_eq!(holds(&world), [0, 0, 1], "every holding that was bound to time has ended");
    assert_eq!(rule(world.request("b", "ann", "free", None, 60)), "accepted", "and another may begin");
    assert_eq!(standing(&world.rows, &user("ann"), None, Moment::trusted(world.now)).unwrap().roles(), [role_name("free")]);
}
