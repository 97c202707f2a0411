//! What is noted of use beside checks, and what is not.

use super::sample::{World, activate, assign, eventually, make_eligible, put, user, write};
use crate::domain::grant::GrantRef;
use crate::domain::{AssignmentId, Duration, EligibilityId, Outcome, Tables as _, Timestamp};

fn last(world: &World, grant: &GrantRef) -> Option<Timestamp> {
    world.memory.last_check(grant).unwrap()
}

async fn eligible(world: &World, who: &str) -> GrantRef {
    let Outcome::EligibilityCreated(id) = world.done(&user("root"), make_eligible(&user(who), "writer")).await else { panic!() };
    GrantRef::Eligibility(EligibilityId::clone(&id))
}

async fn assigned(world: &World, who: &str, role: &str) -> GrantRef {
    let Outcome::AssignmentCreated(id) = world.done(&user("root"), assign(&user(who), role)).await else { panic!() };
    GrantRef::Assignment(AssignmentId::clone(&id))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_is_of_use_where_a_policy_that_names_it_permits_a_check() {
    let world = World::new();
    let eligibility = eligible(&world, "alice").await;
    let other = assigned(&world, "alice", "reader").await;
    let conditioned = assigned(&world, "alice", "keeper").await;
    // of no use yet: nothing is activated, and what root may do is no role's doing
    assert!(!world.allowed(&user("alice")) && world.allowed(&user("root")));
    world.done(&user("alice"), activate(&user("alice"), "writer", 60)).await;
    let used = world.engine.moment().now;
    assert!(world.allowed(&user("alice")));
    eventually("the check is noted", || last(&world, &eligibility) == Some(used)).await;
    assert_eq!([last(&world, &other), last(&world, &conditioned)], [None, None]);

    // once an hour, however often it is asked
    world.clock.advance(Duration::from_mins(1));
    assert!(world.allowed(&user("alice")));
    let bob = assigned(&world, "bob", "writer").await;
    let later = world.engine.moment().now;
    assert!(world.allowed(&user("bob")));
    eventually("what was asked after it is noted", || last(&world, &bob) == Some(later)).await;
    assert_eq!(last(&world, &eligibility), Some(used));
    world.clock.advance(Duration::from_mins(45));
    assert!(world.allowed(&user("alice")));
    world.clock.advance(Duration::from_mins(59));
    // it has ended by now, and what ended is of no use
    assert!(!world.allowed(&user("alice")) && world.allowed(&user("bob")));
    let again = world.engine.moment().now;
    eventually("the next hour's is noted", || last(&world, &bob) == Some(again)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn checks_do_not_wait_for_notes_that_nobody_writes() {
    let world = World::with(false);
    let mut names = Vec::new();
    for number in 0..40 {
        let name = format!("user-{number}");
        world.done(&user("root"), put(&user(&name), &[])).await;
        world.done(&user("root"), assign(&user(&name), "writer")).await;
        names.push(name);
    }
    // far more in all hours than wait to be written at a time
    for _ in 0..150 {
        for name in &names {
            assert!(world.engine.check(&write(&user(name))).unwrap().verdict.allowed);
        }
        world.clock.advance(Duration::from_hours(1));
    }
}
