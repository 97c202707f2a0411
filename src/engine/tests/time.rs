//! Time: what ends by itself, and what happens when the clock goes back.

use crate::domain::Duration;

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
