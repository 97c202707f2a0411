//! What the engine promises, each promise with a test that can fail.

mod jump;
mod kept;
mod memory;
mod reading;
mod right;
mod sample;
mod time;
mod tried;
mod uses;
mod watched;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::domain::command::BundleSource;
use crate::domain::settings::EdgeSource;
use crate::domain::text::Digest;
use crate::domain::{Actor, Command, Envelope, Event, Outcome, Rejection, Timestamp};

use super::bounds::QUEUE;
use super::ports::Reader as _;
use super::{Reply, StartError, SubmitError};
use memory::{Fault, Memory};
use sample::{World, activate, assign, at, bundle, envelope, eventually, group, keyed, make_eligible, put, start, user, write};

/// Submits many commands at once and gives what became of each.
async fn at_once(world: &World, commands: Vec<Command>) -> Vec<Result<Reply, SubmitError>> {
    let root = user("root");
    all_at_once(world, commands.into_iter().map(|command| envelope(&root, command)).collect()).await
}

async fn all_at_once(world: &World, envelopes: Vec<Envelope>) -> Vec<Result<Reply, SubmitError>> {
    let tasks: Vec<_> = envelopes
        .into_iter()
        .map(|envelope| {
            let engine = Arc::clone(&world.engine);
            tokio::spawn(async move { engine.submit(envelope).await })
        })
        .collect();
    let mut answers = Vec::new();
    for task in tasks {
        answers.push(task.await.unwrap());
    }
    answers
}

/// Holds the next commit back until commands had that many milliseconds to queue up behind it.
fn hold_commits(world: &World, millis: u64) -> std::thread::JoinHandle<()> {
    let memory = Arc::clone(&world.memory);
    memory.before.close();
    let reached = memory.before.reached.load(Ordering::SeqCst);
    std::thread::spawn(move || {
        memory.before.wait_for(reached + 1);
        std::thread::sleep(std::time::Duration::from_millis(millis));
        memory.before.open();
    })
}

pub(super) fn many(number: usize) -> Vec<Command> {
    (0..number).map(|n| put(&user(&format!("u{n}")), &[])).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_that_wait_together_share_a_commit() {
    let world = World::new();
    let before = world.memory.commits();
    let opener = hold_commits(&world, 100);
    let answers = at_once(&world, many(64)).await;
    opener.join().unwrap();
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    let commits = world.memory.commits() - before;
    assert!(commits <= 8, "64 commands took {commits} commits");
    let mut seqs: Vec<u64> = answers.iter().map(|answer| answer.as_ref().unwrap().seq).collect();
    seqs.sort_unstable();
    seqs.dedup();
    assert_eq!(seqs.len(), 64, "each command has a record of its own");
}

#[tokio::test(flavor = "multi_thread")]
async fn records_are_chained_by_hash_and_name_their_bundle() {
    let world = World::new();
    for answer in at_once(&world, many(20)).await {
        answer.unwrap();
    }
    let stored = world.memory.stored.read().unwrap();
    let mut prev = Digest([0; 32]);
    for (place, (sealed, record)) in stored.records.iter().zip(world.memory.records()).enumerate() {
        assert_eq!((record.seq, record.prev, sealed.hash), (place as u64 + 1, prev, Digest::of_bytes(&sealed.bytes)));
        assert_eq!(record.at, at(0));
        assert!(place == 0 || record.revision == *world.engine.view().bundle.revision());
        prev = sealed.hash;
    }
    assert_eq!(stored.head.hash, prev);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_sees_those_before_it_in_its_own_commit() {
    let world = World::new();
    let (root, before) = (user("root"), world.memory.commits());
    world.memory.before.close();
    let reached = world.memory.before.reached.load(Ordering::SeqCst);
    let submit = |command| {
        let (engine, envelope) = (Arc::clone(&world.engine), envelope(&root, command));
        tokio::spawn(async move { engine.submit(envelope).await })
    };
    let first = submit(put(&user("first"), &[]));
    world.memory.before.wait_for(reached + 1);
    let mut rest = Vec::new();
    // each needs what the one before did: the group, who is in it, and the role that it holds
    for command in [put(&group("ops"), &[]), put(&user("zoe"), &[group("ops")]), assign(&group("ops"), "writer")] {
        rest.push(submit(command));
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    world.memory.before.open();
    first.await.unwrap().unwrap();
    for command in rest {
        command.await.unwrap().unwrap();
    }
    assert_eq!(world.memory.commits() - before, 2);
    assert!(world.allowed(&user("zoe")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conflict_runs_all_of_it_again() {
    let world = World::new();
    let before = world.memory.records().len();
    world.memory.faults.lock().unwrap().extend([Fault::Conflict, Fault::Conflict]);
    let answers = at_once(&world, many(10)).await;
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    assert_eq!(world.memory.records().len() - before, 10);
    assert!(world.engine.health().writer_ok);
}

#[tokio::test(flavor = "multi_thread")]
async fn conflicts_without_end_stop_the_writer() {
    let world = World::new();
    world.memory.faults.lock().unwrap().extend([Fault::Conflict; 8]);
    let answer = world.submit(&user("root"), put(&user("zoe"), &[])).await;
    assert!(matches!(answer, Err(SubmitError::Poisoned(_))), "{answer:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_failed_commit_nothing_is_said_to_be_done() {
    for fault in [Fault::Failed, Fault::Unknown, Fault::Panic] {
        let world = World::new();
        world.done(&user("root"), assign(&user("alice"), "writer")).await;
        let before = world.memory.records().len();
        world.memory.faults.lock().unwrap().push_back(fault);
        let answers = at_once(&world, many(16)).await;
        let failed = |answer: &Result<Reply, SubmitError>| matches!(answer, Err(SubmitError::Poisoned(_) | SubmitError::Unknown(_)));
        assert!(answers.iter().all(failed), "{fault:?}: {answers:?}");
        let unknown = answers.iter().any(|answer| matches!(answer, Err(SubmitError::Unknown(_))));
        assert_eq!(unknown, matches!(fault, Fault::Unknown));
        let later = world.submit(&user("root"), put(&user("zoe"), &[])).await;
        assert!(matches!(later, Err(SubmitError::Poisoned(_))), "{fault:?}: {later:?}");
        assert_eq!(world.memory.records().len(), before);
        let health = world.engine.health();
        assert!(!health.writer_ok && !health.ready());
        assert!(world.allowed(&user("alice")), "checks go on over what was published last");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_queue_is_said_to_be_busy() {
    let world = World::new();
    let opener = hold_commits(&world, 300);
    let answers = at_once(&world, many(QUEUE + 600)).await;
    opener.join().unwrap();
    let busy = answers.iter().filter(|answer| **answer == Err(SubmitError::Busy)).count();
    assert!(busy > 0);
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count() + busy, QUEUE + 600);
    world.done(&user("root"), put(&user("zoe"), &[])).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_of_a_minute_become_one_record_and_a_number() {
    let world = World::new();
    let before = world.memory.records().len();
    for _ in 0..5 {
        assert_eq!(world.refused(&user("alice"), put(&user("zoe"), &[])).await, "not_permitted");
    }
    assert_eq!(world.refused(&user("bob"), put(&user("zoe"), &[])).await, "not_permitted");
    assert_eq!(world.refused(&user("alice"), activate(&user("alice"), "writer", 5)).await, "not_eligible");
    let counts = || {
        let records = world.memory.records();
        let mut found = Vec::new();
        for record in records.into_iter().skip(before) {
            for event in &record.events {
                if let Event::CommandRefused { rule, count, .. } = event {
                    found.push((record.actor.to_string(), rule.clone(), *count));
                }
            }
        }
        found
    };
    let row = |who: &str, rule: &str, count| (user(who).to_string(), rule.to_owned(), count);
    let at_once = vec![row("alice", "not_permitted", 1), row("bob", "not_permitted", 1), row("alice", "not_eligible", 1)];
    assert_eq!(counts(), at_once);
    world.clock.advance(crate::domain::Duration::from_mins(1));
    eventually("the rest of the minute is journaled", || counts().len() == 4).await;
    assert_eq!(counts()[3], row("alice", "not_permitted", 4));
    // the minute after is a minute of its own
    assert_eq!(world.refused(&user("alice"), put(&user("zoe"), &[])).await, "not_permitted");
    assert_eq!(counts()[4], row("alice", "not_permitted", 1));
    world.refused(&user("alice"), put(&user("zoe"), &[])).await;
    world.engine.stop();
    assert_eq!(counts()[5], row("alice", "not_permitted", 1), "stopping loses no refusal");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_command_gets_what_the_first_got() {
    let world = World::new();
    let (root, alice) = (user("root"), user("alice"));
    let first = world.engine.submit(keyed(envelope(&root, put(&user("zoe"), &[])), "k1", "body")).await.unwrap();
    let records = world.memory.records().len();
    let again = world.engine.submit(keyed(envelope(&root, put(&user("zoe"), &[])), "k1", "body")).await.unwrap();
    assert_eq!((again.outcome, again.repeated), (first.outcome, true));
    let other = world.engine.submit(keyed(envelope(&root, put(&user("yan"), &[])), "k1", "another")).await;
    assert!(matches!(other, Err(SubmitError::Rejected { rejection: Rejection::IdempotencyKeyReused { .. }, .. })), "{other:?}");
    assert_eq!(world.memory.records().len(), records + 1, "the reused key is journaled as a refusal and stands for what it stood for");
    let again = world.engine.submit(keyed(envelope(&root, put(&user("zoe"), &[])), "k1", "body")).await.unwrap();
    assert!(again.repeated);

    let refused = world.engine.submit(keyed(envelope(&alice, put(&user("mia"), &[])), "k2", "body")).await.unwrap_err();
    world.done(&root, put(&group("ops"), &[])).await;
    let again = world.engine.submit(keyed(envelope(&alice, put(&user("mia"), &[])), "k2", "body")).await.unwrap_err();
    match (refused, again) {
        (SubmitError::Rejected { rejection: one, .. }, SubmitError::Rejected { rejection: other, .. }) => assert_eq!(one, other),
        other => panic!("{other:?}"),
    }
    // a key is the caller's own
    assert!(!world.engine.submit(keyed(envelope(&root, put(&user("mia"), &[])), "k2", "body")).await.unwrap().repeated);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_keyed_refusal_is_remembered_and_only_the_first_is_an_event() {
    let world = World::new();
    let before = world.memory.records().len();
    for key in ["k1", "k2", "k3"] {
        let refused = world.engine.submit(keyed(envelope(&user("alice"), put(&user("zoe"), &[])), key, "body")).await;
        assert!(matches!(refused, Err(SubmitError::Rejected { .. })), "{refused:?}");
    }
    let events: Vec<usize> = world.memory.records()[before..].iter().map(|record| record.events.len()).collect();
    assert_eq!(events, [1, 0, 0]);
    assert_eq!(memory::rows_of(&world.memory).remembered.len(), 3);
    world.clock.advance(crate::domain::Duration::from_mins(1));
    eventually("the other two are counted", || {
        world.memory.kinds().last() == Some(&"command_refused") && world.memory.records().len() == before + 4
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_changes_nothing_is_not_journaled() {
    let world = World::new();
    let root = user("root");
    world.done(&root, put(&user("zoe"), &[])).await;
    let records = world.memory.records().len();
    assert_eq!(world.done(&root, put(&user("zoe"), &[])).await, Outcome::Unchanged);
    assert_eq!(world.memory.records().len(), records);
    let kept = world.engine.submit(keyed(envelope(&root, put(&user("zoe"), &[])), "k", "b")).await.unwrap();
    assert_eq!((kept.outcome, world.memory.records().len()), (Outcome::Unchanged, records + 1));
    assert!(world.memory.records().last().unwrap().events.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn texts_are_kept_beside_the_record_that_names_them() {
    let world = World::new();
    let (root, alice) = (user("root"), user("alice"));
    world.refused(&alice, activate(&alice, "writer", 5)).await;
    world.done(&root, make_eligible(&alice, "writer")).await;
    let texts = |world: &World| memory::rows_of(&world.memory).texts.into_values().map(|text| text.value).collect::<Vec<_>>();
    assert_eq!(texts(&world), ["needed"], "a refused command leaves no text behind");
    world.done(&alice, activate(&alice, "writer", 5)).await;
    assert!(texts(&world).contains(&"the orders are stuck".to_owned()));
    let journal = world.memory.stored.read().unwrap().records.iter().any(|record| String::from_utf8_lossy(&record.bytes).contains("stuck"));
    assert!(!journal, "free text is never in the journal");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_would_be_too_large_is_refused() {
    let world = World::new();
    let mut attrs = serde_json::Map::new();
    attrs.insert("note".to_owned(), "x".repeat(300 * 1024).into());
    let attrs = crate::domain::settings::JsonObject::new(&attrs).unwrap();
    let command = Command::PutEntity { uid: user("zoe"), parents: Vec::new(), attrs, source: EdgeSource::Api };
    let records = world.memory.records().len();
    assert_eq!(world.refused(&user("root"), command).await, "unavailable");
    assert_eq!(world.memory.records().len(), records);
    assert!(world.engine.health().writer_ok);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_journal_says_which_bundle_is_live() {
    let mut world = World::new();
    let one = world.engine.view().bundle.revision().clone();
    world.clock.set(at(60_000));
    // nothing proposed: what was live is live
    world.restart(None, true).unwrap();
    let health = world.engine.health();
    assert_eq!((health.revision, health.bundle_age), (one.clone(), crate::domain::Duration::from_mins(1)));
    // the same proposed: nothing happens
    let records = world.memory.records().len();
    world.restart(Some(bundle("one")), true).unwrap();
    assert_eq!(world.memory.records().len(), records);
    // another one: it goes live
    world.restart(Some(bundle("two")), true).unwrap();
    let two = world.engine.view();
    assert_ne!(*two.bundle.revision(), one);
    assert_eq!((two.activated_at, world.memory.records().len()), (at(60_000), records + 1));
    match world.memory.records().last().unwrap().events.first() {
        Some(Event::BundleActivated { revision, previous, source, .. }) => {
            assert_eq!((revision, previous, *source), (two.bundle.revision(), &Some(one), BundleSource::Start));
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_bundle_there_is_no_start() {
    let clock = Arc::new(super::TestClock::new(at(0)));
    let nothing = start(&Memory::new(), &clock, None, true);
    assert!(matches!(nothing, Err(StartError::NoBundle)));

    let mut world = World::new();
    let revision = world.engine.view().bundle.revision().clone();
    world.memory.stored.write().unwrap().bundles.insert(revision.clone(), b"not a bundle".to_vec());
    assert!(matches!(world.restart(Some(bundle("two")), true), Err(StartError::BundleUnreadable { .. })));
    world.memory.stored.write().unwrap().bundles.clear();
    assert!(matches!(world.restart(Some(bundle("two")), true), Err(StartError::BundleMissing { .. })));

    let memory = Memory::new();
    memory.faults.lock().unwrap().push_back(Fault::Failed);
    assert!(matches!(start(&memory, &clock, Some(bundle("one")), true), Err(StartError::NotCommitted(_))));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proposal_goes_live_or_is_noted() {
    let world = World::new();
    let propose = |bundle, actor| world.engine.propose(Arc::new(bundle), BundleSource::Reload, actor);
    let unchanged = propose(bundle("one"), Actor::System).await.unwrap();
    assert_eq!(unchanged.outcome, Outcome::Unchanged);
    let alice = envelope(&user("alice"), put(&user("zoe"), &[])).actor;
    assert!(propose(bundle("two"), alice).await.is_err());
    assert!(world.engine.bundle_error().is_some() && world.engine.health().degraded);
    assert!(world.engine.health().ready(), "a bundle that cannot go live leaves the one that is");
    let reply = propose(bundle("two"), Actor::System).await.unwrap();
    assert_eq!(world.engine.bundle_error(), None);
    assert_eq!(reply.outcome, Outcome::BundleActivated(world.engine.view().bundle.revision().clone()));
    // back to the first one
    propose(bundle("one"), Actor::System).await.unwrap();
    assert_eq!(world.engine.view().bundle.revision(), bundle("one").revision());
    world.engine.set_bundle_error(Some("a brace is missing".to_owned()));
    assert_eq!(world.engine.health().last_error.unwrap().message, "a brace is missing");
}

#[tokio::test(flavor = "multi_thread")]
async fn stopping_answers_everybody_who_waits() {
    let world = World::new();
    let opener = hold_commits(&world, 100);
    let stopped = AtomicBool::new(false);
    let (answers, ()) = tokio::join!(at_once(&world, many(300)), async {
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        tokio::task::block_in_place(|| world.engine.stop());
        stopped.store(true, Ordering::SeqCst);
    });
    opener.join().unwrap();
    assert!(stopped.load(Ordering::SeqCst));
    assert_eq!(answers.len(), 300);
    let done = answers.iter().filter(|answer| answer.is_ok()).count();
    assert!(done > 0);
    let stored = memory::rows_of(&world.memory).rows.keys().filter(|uid| uid.id().starts_with('u')).count();
    assert_eq!(stored, done, "what is said to be done is stored, and nothing else");
    assert!(matches!(world.submit(&user("root"), put(&user("zoe"), &[])).await, Err(SubmitError::Poisoned(_))));
    assert!(world.memory.mark() >= Timestamp::from_millis(sample::START));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sequence_can_be_waited_for() {
    let world = World::new();
    let seq = world.engine.view().seq;
    assert!(world.engine.reached(seq).await);
    let (reached, reply) =
        tokio::join!(world.engine.reached(seq + 1), world.engine.submit(envelope(&user("root"), put(&user("zoe"), &[]))));
    assert!(reached);
    assert_eq!(reply.unwrap().seq, seq + 1);
    assert!(world.engine.check(&write(&user("alice"))).unwrap().seq > seq);
}
