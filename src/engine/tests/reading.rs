//! A check reads one bundle and one moment, whatever is committed or swapped meanwhile.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use crate::domain::command::BundleSource;
use crate::domain::{Actor, Uid};

use super::sample::{World, activate, assign, bundle, envelope, group, make_eligible, orders, put, role, user, write};
use crate::policy::{Bundle, Reason};

#[tokio::test(flavor = "multi_thread")]
async fn the_next_check_sees_what_was_answered() {
    let world = World::new();
    let (root, zoe, ops, all) = (user("root"), user("zoe"), group("ops"), group("all"));
    // each step changes another kind of row: a leaf, a group that has members, a group above it, the membership
    world.done(&root, put(&all, &[])).await;
    world.done(&root, put(&ops, &[])).await;
    world.done(&root, put(&zoe, std::slice::from_ref(&ops))).await;
    assert!(!world.allowed(&zoe));
    world.done(&root, assign(&all, "writer")).await;
    assert!(!world.allowed(&zoe));
    world.done(&root, put(&ops, std::slice::from_ref(&all))).await;
    assert!(world.allowed(&zoe), "through a group of a group");
    world.done(&root, put(&zoe, &[])).await;
    assert!(!world.allowed(&zoe), "no longer a member");
    world.done(&root, put(&zoe, std::slice::from_ref(&ops))).await;
    assert!(world.allowed(&zoe));
    world.done(&root, crate::domain::Command::DeleteEntity { uid: all.clone(), reason: None }).await;
    assert!(!world.allowed(&zoe), "the group is gone");
    world.done(&root, put(&all, &[])).await;
    assert!(!world.allowed(&zoe), "a name that comes back revives nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_start_reads_the_same_as_the_one_before() {
    let mut world = World::new();
    let (root, zoe) = (user("root"), user("zoe"));
    world.done(&root, put(&group("ops"), &[])).await;
    world.done(&root, put(&zoe, &[group("ops")])).await;
    world.done(&root, assign(&group("ops"), "writer")).await;
    let before = world.engine.check(&write(&zoe)).unwrap();
    world.restart(None, true).unwrap();
    let after = world.engine.check(&write(&zoe)).unwrap();
    assert!(after.verdict.allowed);
    assert_eq!((before.seq, before.verdict), (after.seq, after.verdict));
}

/// Leaves a commit written and not published, and checks meanwhile. Why the check came out as it did, and whether it
/// was answered as of that commit.
async fn check_while_unpublished(publish_after: Duration) -> (Reason, bool) {
    let world = World::new();
    let (root, zoe) = (user("root"), user("zoe"));
    world.done(&root, put(&zoe, &[])).await;
    let reached = world.memory.after.reached.load(Ordering::SeqCst);
    world.memory.after.close();
    let submit = {
        let (engine, envelope) = (Arc::clone(&world.engine), envelope(&root, assign(&zoe, "writer")));
        tokio::spawn(async move { engine.submit(envelope).await })
    };
    world.memory.after.wait_for(reached + 1);
    let opener = {
        let memory = Arc::clone(&world.memory);
        std::thread::spawn(move || {
            std::thread::sleep(publish_after);
            memory.after.open();
        })
    };
    let checked = tokio::task::block_in_place(|| world.engine.check(&write(&zoe))).unwrap();
    opener.join().unwrap();
    let committed = submit.await.unwrap().unwrap().seq;
    assert!(world.allowed(&zoe));
    assert_eq!(checked.verdict.allowed, checked.verdict.reason == Reason::Permitted);
    (checked.verdict.reason, checked.seq == committed)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_that_meets_a_newer_row_starts_over() {
    assert_eq!(check_while_unpublished(Duration::from_millis(10)).await, (Reason::Permitted, true));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_whose_view_stays_too_old_denies() {
    assert_eq!(check_while_unpublished(Duration::from_millis(400)).await, (Reason::Stale, false));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_move_from_one_group_to_another_is_never_seen_half_done() {
    let world = World::new();
    let (root, zoe, groups) = (user("root"), user("zoe"), [group("days"), group("nights")]);
    for group in &groups {
        world.done(&root, put(group, &[])).await;
        world.done(&root, assign(group, "writer")).await;
    }
    world.done(&root, put(&zoe, &groups[..1])).await;
    let stop = Arc::new(AtomicBool::new(false));
    let checkers: Vec<_> = (0..2)
        .map(|_| {
            let (engine, stop, zoe) = (Arc::clone(&world.engine), Arc::clone(&stop), zoe.clone());
            std::thread::spawn(move || {
                let mut last = 0;
                while !stop.load(Ordering::Relaxed) {
                    let checked = engine.check(&write(&zoe)).unwrap();
                    assert!(checked.verdict.allowed && checked.seq >= last, "{checked:?}");
                    last = checked.seq;
                }
            })
        })
        .collect();
    for round in 0..500 {
        world.done(&root, put(&zoe, std::slice::from_ref(&groups[(round + 1) % 2]))).await;
    }
    stop.store(true, Ordering::Relaxed);
    for checker in checkers {
        checker.join().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn facts_that_cannot_be_read_are_not_guessed() {
    let world = World::new();
    let (root, zoe) = (user("root"), user("zoe"));
    let (site, db) = (Uid::new("Site", "far").unwrap(), Uid::new("Db", "logs").unwrap());
    world.done(&root, put(&zoe, &[])).await;
    world.done(&root, put(&site, &[])).await;
    world.memory.broken.store(true, Ordering::SeqCst);
    assert!(world.engine.check(&write(&zoe)).is_err());
    assert!(world.engine.elevated(&zoe, &role("writer"), None).is_err());
    // what would have to be read to publish the next view cannot be
    let records = world.memory.records().len();
    assert_eq!(world.refused(&root, put(&db, std::slice::from_ref(&site))).await, "unavailable");
    assert_eq!(world.memory.records().len(), records);
    world.memory.broken.store(false, Ordering::SeqCst);
    world.done(&root, put(&db, std::slice::from_ref(&site))).await;
    assert!(!world.allowed(&zoe));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_swap_never_mixes_two_bundles() {
    let world = World::new();
    let (root, alice) = (user("root"), user("alice"));
    world.done(&root, assign(&alice, "writer")).await;
    let one = Arc::new(bundle("one"));
    let two = Arc::new(bundle("two"));
    let stop = Arc::new(AtomicBool::new(false));
    let checks = Arc::new(AtomicUsize::new(0));
    let checkers: Vec<_> = (0..3)
        .map(|_| {
            let (engine, stop, checks, alice) = (Arc::clone(&world.engine), Arc::clone(&stop), Arc::clone(&checks), alice.clone());
            let known = [(one.revision().clone(), "write-one"), (two.revision().clone(), "write-two")];
            std::thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    let verdict = engine.check(&write(&alice)).unwrap().verdict;
                    let (_, policy) = known.iter().find(|(revision, _)| *revision == verdict.revision).unwrap();
                    // the policy names the site that the same bundle puts the database on: any mixture denies
                    assert!(verdict.allowed, "{verdict:?}");
                    assert_eq!(verdict.policies, [*policy]);
                    checks.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    for round in 0..200 {
        let next: &Arc<Bundle> = if round % 2 == 0 { &two } else { &one };
        world.engine.propose(Arc::clone(next), BundleSource::Watch, Actor::System).await.unwrap();
    }
    stop.store(true, Ordering::Relaxed);
    for checker in checkers {
        checker.join().unwrap();
    }
    assert!(checks.load(Ordering::Relaxed) > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn elevated_lists_scoped_holdings_and_counts_them_where_they_hold() {
    let world = World::new();
    let (root, alice, site) = (user("root"), user("alice"), Uid::new("Site", "one").unwrap());
    world.done(&root, make_eligible(&alice, "writer")).await;
    let mut scoped = activate(&alice, "writer", 5);
    if let crate::domain::Command::RequestActivation { scope, .. } = &mut scoped {
        *scope = Some(site.clone());
    }
    world.done(&alice, scoped).await;
    let ask = |resource: Option<&Uid>| {
        let elevated = world.engine.elevated(&alice, &role("writer"), resource).unwrap();
        (elevated.elevated, elevated.holdings.len(), elevated.until.is_some())
    };
    let elsewhere = Uid::new("Site", "elsewhere").unwrap();
    world.done(&root, put(&elsewhere, &[])).await;
    let unknown = Uid::new("Db", "unknown").unwrap();
    for (resource, expected) in [
        (None, (false, 1, false)),
        (Some(&site), (true, 1, true)),
        (Some(&orders()), (true, 1, true)),
        (Some(&elsewhere), (false, 0, false)),
        (Some(&unknown), (false, 0, false)),
    ] {
        assert_eq!(ask(resource), expected, "{resource:?}");
    }
    let reader = world.engine.elevated(&alice, &role("reader"), None).unwrap();
    assert!(!reader.elevated && reader.holdings.is_empty());
}

/// Whether a role with conditions counts, only a check can say, which brings a context.
#[tokio::test(flavor = "multi_thread")]
async fn elevated_says_of_a_role_with_conditions_that_it_needs_a_context() {
    let world = World::new();
    let (root, alice) = (user("root"), user("alice"));
    let ask = |name: &str| {
        let elevated = world.engine.elevated(&alice, &role(name), Some(&orders())).unwrap();
        (elevated.elevated, elevated.needs_context, elevated.until.is_some(), elevated.holdings.len())
    };
    assert_eq!(ask("keeper"), (false, true, false, 0));
    for name in ["keeper", "writer"] {
        world.done(&root, make_eligible(&alice, name)).await;
        world.done(&alice, activate(&alice, name, 5)).await;
    }
    assert_eq!(ask("keeper"), (false, true, false, 1));
    assert_eq!(ask("writer"), (true, false, true, 1));
    let mut check = write(&alice);
    check.resource = Uid::new("Site", "elsewhere").unwrap();
    world.done(&root, put(&check.resource, &[])).await;
    assert!(!world.engine.check(&check).unwrap().verdict.allowed);
    check.context.insert("mfa".to_owned(), true.into());
    assert!(world.engine.check(&check).unwrap().verdict.allowed, "the very same holding");
}

#[tokio::test(flavor = "multi_thread")]
async fn reads_of_elevons_own_are_asked_of_the_same_policies() {
    use crate::domain::facts::{Action, Object, Question, Refusal};
    let world = World::new();
    let question = |who: &str| Question {
        actor: envelope(&user(who), put(&user("x"), &[])).actor,
        action: Action::ReadAudit,
        object: Object::Sidecar,
        now: super::sample::at(0),
    };
    assert_eq!(world.engine.permits(&question("root")), Ok(()));
    assert_eq!(world.engine.permits(&question("alice")), Err(Refusal::Denied(Vec::new())));
    world.clock.set(super::sample::at(-1));
    assert_eq!(world.engine.permits(&question("root")), Ok(()), "a right that no time-bound holding gives outlives the clock");
    assert_eq!(world.engine.permits(&question("alice")), Err(Refusal::Denied(Vec::new())));
}
