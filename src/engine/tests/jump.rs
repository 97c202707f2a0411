//! A clock that jumps ahead, and somebody who says that it is right.

use super::super::ports::{Clock as _, ClockAnswer, ClockAsked, Reader as _};
use super::sample::{World, activate, assign, at, bundle, eventually, make_eligible, put, role, user, write};
use crate::domain::{Command, Duration, Uid};
use crate::policy::Reason;

/// alice holds for an hour, bob without an end, and dan by an assignment that has one.
async fn furnished(timers: bool) -> World {
    let world = World::with(timers);
    let (root, alice, bob, dan) = (user("root"), user("alice"), user("bob"), user("dan"));
    world.done(&root, put(&dan, &[])).await;
    world.done(&root, make_eligible(&alice, "writer")).await;
    world.done(&alice, activate(&alice, "writer", 60)).await;
    world.done(&root, assign(&bob, "writer")).await;
    let mut assigned = assign(&dan, "writer");
    if let Command::CreateAssignment { grant, .. } = &mut assigned {
        grant.end = Some(at(30 * 86_400_000));
    }
    world.done(&root, assigned).await;
    world
}

fn holds(world: &World) -> [bool; 3] {
    ["alice", "bob", "dan"].map(|who| world.allowed(&user(who)))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_set_by_minutes_is_believed() {
    let world = furnished(true).await;
    for _ in 0..3 {
        world.clock.jump(Duration::from_mins(4));
        assert_eq!(holds(&world), [true; 3]);
        assert!(world.engine.health().time_trusted);
        world.clock.skew(-240_000);
        world.clock.advance(Duration::from_mins(5));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_jumped_is_not_believed_until_it_is_set_right() {
    let mut world = furnished(true).await;
    let (root, alice) = (user("root"), user("alice"));
    let (records, mark) = (world.memory.records().len(), world.memory.mark());
    world.clock.jump(Duration::from_mins(6));
    for _ in 0..3 {
        assert_eq!(holds(&world), [false, true, false]);
        assert_eq!(world.engine.check(&write(&alice)).unwrap().verdict.reason, Reason::TimeUntrusted);
        assert!(!world.elevated(&alice, "writer"));
        assert_eq!(world.refused(&root, put(&user("zoe"), &[])).await, "time_untrusted");
        let health = world.engine.health();
        assert!(!health.time_trusted && !health.ready());
        // neither a restart nor a long wait makes it any better
        world.restart(Some(bundle("two")), true).unwrap();
        world.clock.advance(Duration::from_mins(3));
    }
    assert_eq!(world.memory.records().len(), records, "nothing is journaled of it, and no bundle went live");
    assert_eq!(world.memory.mark(), mark, "the mark did not rise");
    world.clock.skew(-360_000);
    assert_eq!(holds(&world), [true; 3], "set right, it is believed, and nothing was lost");
    assert!(world.submit(&root, put(&user("zoe"), &[])).await.is_ok());
    assert!(matches!(world.accept_clock().await, ClockAnswer::Believed { .. }));
    assert_eq!(holds(&world), [true; 3]);
}

#[tokio::test(flavor = "multi_thread")]
async fn once_it_is_accepted_what_was_bound_to_time_is_over() {
    let mut world = furnished(true).await;
    let alice = user("alice");
    world.clock.jump(Duration::from_mins(6));
    world.restart(None, true).unwrap();
    assert_eq!(holds(&world), [false, true, false]);
    let answer = world.accept_clock().await;
    assert!(matches!(answer, ClockAnswer::Accepted { now, .. } if now == world.clock.now()), "{answer:?}");
    assert_eq!(holds(&world), [false, true, false]);
    assert_eq!(world.engine.check(&write(&alice)).unwrap().verdict.reason, Reason::NoPermit);
    assert!(world.engine.health().ready());
    let kinds = world.memory.kinds();
    assert_eq!(kinds.iter().filter(|kind| **kind == "clock_accepted").count(), 1, "{kinds:?}");
    assert!(kinds.contains(&"activation_revoked") && kinds.contains(&"assignment_removed"), "{kinds:?}");
    // asked again in the same hour of the same day, on the same eligibility
    world.done(&alice, activate(&alice, "writer", 5)).await;
    assert_eq!(holds(&world), [true, true, false]);
    world.restart(None, true).unwrap();
    assert_eq!(holds(&world), [true, true, false], "a restart holds the clock against what was accepted");
    assert!(world.memory.mark() >= at(360_000), "the mark follows");
    assert!(matches!(world.accept_clock().await, ClockAnswer::Believed { .. }));
    assert_eq!(holds(&world), [true, true, false]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_word_about_another_time_is_not_taken() {
    let world = furnished(true).await;
    world.clock.jump(Duration::from_mins(20));
    let shown = world.clock.now();
    for wall in [shown.plus(Duration::from_mins(10)), at(-3_600_000)] {
        *world.memory.word.lock().unwrap() = Some(ClockAsked { id: "word".to_owned(), wall });
        eventually("the word is answered", || world.memory.word.lock().unwrap().is_none()).await;
        let answer = world.memory.answers.lock().unwrap().last().cloned();
        assert!(matches!(&answer, Some(ClockAnswer::Refused(why)) if why.contains("accept it again")), "{answer:?}");
    }
    world.clock.set(at(-1));
    world.clock.skew(-1_200_000);
    let answer = world.accept_clock().await;
    assert!(matches!(&answer, ClockAnswer::Refused(why) if why.contains("already seen")), "{answer:?}");
    assert!(!world.engine.health().time_trusted);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_caller_accepts_the_clock() {
    let world = furnished(true).await;
    world.clock.jump(Duration::from_mins(6));
    assert_eq!(world.refused(&user("root"), Command::AcceptClock).await, "not_permitted");
    assert_eq!(holds(&world), [false, true, false]);
}

/// So many principals, each with the role for an hour.
async fn crowd(world: &World, number: usize) -> Vec<Uid> {
    let (root, people) = (user("root"), (0..number).map(|n| user(&format!("p{n}"))).collect::<Vec<_>>());
    let everybody = super::sample::group("everybody");
    world.done(&root, put(&everybody, &[])).await;
    world.done(&root, make_eligible(&everybody, "writer")).await;
    for some in people.chunks(500) {
        let stored = some.iter().map(|who| put(who, std::slice::from_ref(&everybody))).collect();
        assert!(super::at_once(world, stored).await.iter().all(Result::is_ok));
        let asked = some.iter().map(|who| super::sample::envelope(who, activate(who, "writer", 60))).collect();
        assert!(super::all_at_once(world, asked).await.iter().all(Result::is_ok));
    }
    people
}

fn ended(world: &World) -> usize {
    world.memory.kinds().iter().filter(|kind| **kind == "activation_revoked").count()
}

/// Denied at the next check although they are not recorded as ended; and recorded all, once timers run.
async fn ends_for_all(mut world: World, people: &[Uid]) {
    assert!(people.iter().all(|who| !world.allowed(who) && !world.elevated(who, "writer")));
    let recorded = ended(&world);
    assert!(recorded > 0 && recorded < people.len(), "{recorded} of {} in one record", people.len());
    world.restart(None, true).unwrap();
    assert!(people.iter().all(|who| !world.allowed(who)), "nor after a restart");
    eventually("the cascade is complete", || world.memory.kinds().contains(&"cascade_completed")).await;
    assert_eq!(ended(&world), people.len());
    let largest = world.memory.records().iter().map(|record| record.events.len()).max();
    assert!(largest.is_some_and(|most| most <= crate::domain::event::MAX_EVENTS), "{largest:?}");
    let again = people.first().unwrap();
    world.done(again, activate(again, "writer", 5)).await;
    assert!(world.allowed(again), "what is asked for afterwards counts");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cascade_of_many_records_lets_no_check_through() {
    let world = World::with(false);
    let people = crowd(&world, 1700).await;
    world.clock.jump(Duration::from_mins(6));
    assert!(matches!(world.accept_clock().await, ClockAnswer::Accepted { .. }));
    ends_for_all(world, &people).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_of_a_role_is_over_at_the_next_check() {
    let world = World::with(false);
    let people = crowd(&world, 3000).await;
    assert!(people.iter().all(|who| world.allowed(who)));
    let of = crate::domain::command::Everything::Role(role("writer"));
    world.done(&user("root"), Command::RevokeAll { of, reason: None }).await;
    ends_for_all(world, &people).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_of_a_principal_is_over_at_the_next_check() {
    let mut world = World::with(false);
    let (root, alice) = (user("root"), user("alice"));
    world.done(&root, make_eligible(&alice, "writer")).await;
    let sites: Vec<_> = (0..480).map(|n| Uid::new("Site", &format!("s{n}")).unwrap()).collect();
    assert!(super::at_once(&world, sites.iter().map(|site| put(site, &[])).collect()).await.iter().all(Result::is_ok));
    let asked = |site: &Uid| {
        let mut asked = activate(&alice, "writer", 60);
        if let Command::RequestActivation { id, scope, .. } = &mut asked {
            // so long that they do not all fit into one record
            *id = crate::domain::ActivationId::new(&format!("act_{}_{}", site.id(), "x".repeat(100))).unwrap();
            *scope = Some(site.clone());
        }
        super::sample::envelope(&alice, asked)
    };
    assert!(super::all_at_once(&world, sites.iter().map(asked).collect()).await.iter().all(Result::is_ok));
    let looked_at: Vec<_> = sites.iter().step_by(60).collect();
    let counting = |world: &World| {
        let holds = |site: &&&Uid| world.engine.elevated(&alice, &role("writer"), Some(site)).unwrap().elevated;
        looked_at.iter().filter(holds).count()
    };
    assert_eq!(counting(&world), 8);
    let of = crate::domain::command::Everything::Principal(alice.clone());
    world.done(&root, Command::RevokeAll { of, reason: Some(super::sample::text("they left")) }).await;
    assert_eq!(counting(&world), 0);
    assert!((1..480).contains(&ended(&world)), "{}", ended(&world));
    world.restart(None, true).unwrap();
    assert_eq!(counting(&world), 0);
    eventually("the cascade is complete", || world.memory.kinds().contains(&"cascade_completed")).await;
    assert_eq!(ended(&world), 480);
    world.done(&alice, activate(&alice, "writer", 5)).await;
    assert!(world.allowed(&alice));
}
