//! Time: what ends by itself, and what happens when the clock goes back.

use crate::domain::command::{Due, Term};
use crate::domain::event::Timer;
use crate::domain::grant::{ActivationState, GrantRef, GrantRequestState};
use crate::domain::id::GrantRequestId;
use crate::domain::{ActivationId, Command, Duration, Outcome, Tables as _};

use super::super::ports::Reader as _;
use super::sample::{World, activate, assign, at, bundle, eventually, make_eligible, put, role, user, write};
use crate::policy::Reason;

async fn alice_active(world: &World, minutes: u64) {
    let (root, alice) = (user("root"), user("alice"));
    world.done(&root, make_eligible(&alice, "writer")).await;
    world.done(&alice, activate(&alice, "writer", minutes)).await;
    assert!(world.elevated(&alice, "writer") && world.allowed(&alice));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_activation_ends_at_its_instant_whatever_timers_do() {
    let world = World::with(false);
    alice_active(&world, 5).await;
    let alice = user("alice");
    let records = world.memory.records().len();
    for (millis, holds) in [(299_999, true), (300_000, false), (300_001, false)] {
        world.clock.set(at(millis));
        assert_eq!((world.elevated(&alice, "writer"), world.allowed(&alice)), (holds, holds), "{millis} ms");
    }
    assert_eq!(world.memory.records().len(), records, "no timer ran");
    let elevated = world.engine.elevated(&alice, &role("writer"), None).unwrap();
    assert_eq!((elevated.until, elevated.holdings), (None, Vec::new()));
}

#[tokio::test(flavor = "multi_thread")]
async fn timers_record_what_time_has_done_and_catch_up_at_start() {
    let mut world = World::new();
    alice_active(&world, 5).await;
    world.clock.advance(Duration::from_mins(5));
    eventually("the end is recorded", || world.memory.kinds().contains(&"activation_expired")).await;

    alice_active_again(&world).await;
    world.engine.stop();
    world.clock.advance(Duration::from_mins(30));
    world.restart(None, true).unwrap();
    let ended = || world.memory.kinds().iter().filter(|kind| **kind == "activation_expired").count();
    eventually("what ended meanwhile is recorded", || ended() == 2).await;
    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    assert_eq!(ended(), 2, "each end is recorded once");
}

async fn alice_active_again(world: &World) {
    let alice = user("alice");
    world.done(&alice, activate(&alice, "writer", 5)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_goes_back_revives_nothing() {
    let mut world = World::with(false);
    alice_active(&world, 5).await;
    let (root, alice, bob) = (user("root"), user("alice"), user("bob"));
    world.done(&root, assign(&bob, "writer")).await;
    world.clock.set(at(1000));
    assert!(world.allowed(&alice));
    let records = world.memory.records().len();
    for _ in 0..2 {
        world.clock.set(at(999));
        let verdict = world.engine.check(&write(&alice)).unwrap().verdict;
        assert_eq!((verdict.allowed, verdict.reason), (false, Reason::TimeUntrusted));
        assert!(!world.elevated(&alice, "writer"));
        assert!(world.allowed(&bob), "an assignment without an end is not bound to time");
        assert_eq!(world.refused(&root, put(&user("zoe"), &[])).await, "time_untrusted");
        assert!(!world.engine.health().time_trusted);
        // what was seen is remembered over a restart
        world.restart(None, false).unwrap();
    }
    assert_eq!(world.memory.records().len(), records, "nothing is journaled of it");
    world.clock.set(at(1000));
    assert!(world.allowed(&alice) && world.engine.health().time_trusted);
    assert!(world.submit(&root, put(&user("zoe"), &[])).await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_with_a_clock_behind_serves_what_was_live() {
    let mut world = World::new();
    let one = world.engine.view().bundle.revision().clone();
    world.clock.set(at(5000));
    assert!(world.engine.moment().trusted);
    world.engine.stop();
    world.clock.set(at(4000));
    world.restart(Some(bundle("two")), true).unwrap();
    let health = world.engine.health();
    assert_eq!((&health.revision, health.time_trusted, health.degraded), (&one, false, true));
    assert!(!health.ready());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_latest_time_seen_is_saved_without_any_commit() {
    let world = World::new();
    world.clock.set(at(777));
    assert!(world.engine.moment().trusted);
    world.engine.stop();
    assert_eq!(world.memory.mark(), at(777));
}

/// Asks for the role from an instant on, and gives the request's id.
async fn scheduled(world: &World, from: i64) -> ActivationId {
    let (root, alice) = (user("root"), user("alice"));
    world.done(&root, make_eligible(&alice, "writer")).await;
    let mut asked = activate(&alice, "writer", 5);
    if let Command::RequestActivation { term, .. } = &mut asked {
        *term = Term { start: Some(at(from)), ..*term };
    }
    let outcome = world.done(&alice, asked).await;
    let Outcome::ActivationCreated(id) = outcome else { panic!("{outcome:?}") };
    id
}

fn state(world: &World, id: &ActivationId) -> ActivationState {
    world.memory.activation(id).unwrap().unwrap().state.clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scheduled_start_begins_at_its_instant() {
    let world = World::new();
    let id = scheduled(&world, 60_000).await;
    let alice = user("alice");
    world.clock.set(at(59_999));
    assert!(!world.allowed(&alice) && matches!(state(&world, &id), ActivationState::Scheduled { .. }));
    world.clock.set(at(60_000));
    eventually("it begins", || world.allowed(&alice)).await;
    let ActivationState::Active { window } = state(&world, &id) else { panic!("{:?}", state(&world, &id)) };
    assert_eq!((window.start, window.end), (at(60_000), Some(at(360_000))));
    world.clock.set(at(360_000));
    assert!(!world.allowed(&alice));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_that_is_recorded_late_begins_late() {
    let mut world = World::with(false);
    let id = scheduled(&world, 60_000).await;
    let alice = user("alice");
    world.clock.set(at(100_000));
    assert!(!world.allowed(&alice) && !world.elevated(&alice, "writer"), "it has not begun for as long as that is not recorded");
    world.restart(None, true).unwrap();
    eventually("it begins", || world.allowed(&alice)).await;
    let ActivationState::Active { window } = state(&world, &id) else { panic!("{:?}", state(&world, &id)) };
    assert_eq!((window.start, window.end), (at(100_000), Some(at(400_000))));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_nobody_decides_is_over_in_time() {
    let world = World::new();
    let (root, alice) = (user("root"), user("alice"));
    let mut granted = make_eligible(&alice, "writer");
    let Command::CreateEligibility { id: eligibility, grant } = &mut granted else { panic!("{granted:?}") };
    grant.end = Some(at(86_400_000));
    let (eligibility, id) = (eligibility.clone(), GrantRequestId::new("grq_1").unwrap());
    world.done(&root, granted).await;
    let grant = GrantRef::Eligibility(eligibility);
    world.done(&alice, Command::RequestGrant { id: id.clone(), grant, renew: false, end: at(2 * 86_400_000), justification: None }).await;
    let found = || world.memory.grant_request(&id).unwrap().unwrap();
    assert_eq!(found().state, GrantRequestState::Pending);
    world.clock.set(found().expires_at);
    eventually("that is recorded", || matches!(found().state, GrantRequestState::TimedOut { .. })).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_recorded_keeps_nobody_else_waiting() {
    let world = World::new();
    let never = (0..500).map(|n| Timer { at: at(-1000), due: Due::ActivationEnd(ActivationId::new(&format!("act_none_{n}")).unwrap()) });
    world.memory.never.lock().unwrap().extend(never);
    alice_active(&world, 5).await;
    world.clock.advance(Duration::from_mins(5));
    eventually("the end is recorded", || world.memory.kinds().contains(&"activation_expired")).await;
}
