//! What detectors are given: every record once, in order, whichever way it comes. And what becomes of what they found.

use std::sync::Arc;
use std::time::Duration as Wait;

use tokio::sync::mpsc;

use crate::domain::alert::{AlertChange, AlertKind, AlertSubject};
use crate::domain::command::Due;
use crate::domain::detect::Detectors;
use crate::domain::event::{self, Record};
use crate::domain::id::ReviewId;
use crate::domain::text::Digest;
use crate::domain::{Actor, Command, Duration, Outcome, Rejection};
use crate::engine::bounds::{ASKED, QUEUE};
use crate::engine::ports::ClockAnswer;
use crate::engine::sentry::Sentry;
use crate::engine::timer::Timer;
use crate::engine::writer::Message;
use crate::engine::{Engine, EngineConfig, Reply, SubmitError};

use super::many;
use super::memory::Memory;
use super::sample::{World, activate, at, eventually, make_eligible, start_as, user};

/// An engine over the same journal that looks for alerts.
fn watching(world: &World) -> Arc<Engine> {
    world.engine.stop();
    let desk: Arc<Memory> = Arc::clone(&world.memory);
    let config = EngineConfig { alerts: true, clock_desk: Some(desk), ..EngineConfig::default() };
    start_as(&world.memory, &world.clock, None, config).unwrap()
}

/// How many incidents of a kind were ever recorded.
fn incidents(world: &World, kind: AlertKind) -> usize {
    let stored = world.memory.stored.read().unwrap();
    stored.rows.all.incidents.values().filter(|incident| incident.finding.kind == kind).count()
}

async fn looked(engine: &Engine) {
    eventually("all was looked at", || engine.detected().seq > 0 && engine.detected().seq == engine.reader().head().seq).await;
}

/// The records that incidents of a broken journal are about.
fn broken(world: &World) -> Vec<u64> {
    let stored = world.memory.stored.read().unwrap();
    let of_journal = stored.rows.all.incidents.values().filter(|incident| incident.finding.kind == AlertKind::JournalTrouble);
    let mut found: Vec<u64> = of_journal
        .map(|incident| {
            let AlertSubject::Record(seq) = incident.finding.subject else { panic!("{incident:?}") };
            seq
        })
        .collect();
    found.sort_unstable();
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn a_journal_that_does_not_hold_together_is_told_once_for_each_record() {
    let world = World::new();
    for command in many(12) {
        world.done(&user("root"), command).await;
    }
    let whole = {
        let mut stored = world.memory.stored.write().unwrap();
        let whole = stored.records.clone();
        // somebody changed the fourth, so that the fifth does not belong to it; the eighth is lost, and the ninth belongs to nothing that can be read
        let mut fourth: Record = serde_json::from_slice(&stored.records[3].bytes).unwrap();
        fourth.command = "something_else".to_owned();
        stored.records[3].bytes = fourth.to_canonical().unwrap();
        stored.records[3].hash = Digest::of_bytes(&stored.records[3].bytes);
        stored.records[7].bytes = b"not a record".to_vec();
        whole
    };
    let engine = watching(&world);
    looked(&engine).await;
    assert_eq!(broken(&world), [5, 8, 9]);
    engine.stop();
    let again = watching(&world);
    looked(&again).await;
    assert_eq!(broken(&world), [5, 8, 9], "once each, over a start");
    again.stop();
    // as it was, for whoever replays it at the end
    world.memory.stored.write().unwrap().records[..whole.len()].clone_from_slice(&whole);
}

#[tokio::test(flavor = "multi_thread")]
async fn records_that_are_handed_over_and_those_that_are_read_make_one_journal() {
    let world = World::new();
    let engine = watching(&world);
    for number in 0..300 {
        let command = many(number + 1).pop().unwrap();
        engine.submit(super::envelope(&user("root"), command)).await.unwrap();
        if number == 150 {
            // what was handed over is lost: it stands in the journal
            drop(engine.shared.fresh.take());
        }
    }
    looked(&engine).await;
    assert_eq!(broken(&world), Vec::<u64>::new());
    engine.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_jump_that_was_accepted_is_told_once() {
    let mut world = World::new();
    world.engine = watching(&world);
    looked(&world.engine).await;
    world.clock.jump(Duration::from_hours(3));
    assert!(!world.engine.moment().trusted);
    // the detectors have their looks meanwhile
    for _ in 0..5 {
        world.engine.shared.sentry_bell.ring();
        tokio::time::sleep(Wait::from_millis(40)).await;
    }
    let answer = world.accept_clock().await;
    assert!(matches!(answer, ClockAnswer::Accepted { .. }), "{answer:?}");
    looked(&world.engine).await;
    world.clock.advance(Duration::from_mins(1));
    eventually("time went on", || world.engine.detected().now >= at(3 * 3_600_000 + 60_000)).await;
    assert_eq!(incidents(&world, AlertKind::ClockTrouble), 1);
    // one that nobody accepted is told all the same
    world.clock.jump(Duration::from_hours(3));
    for _ in 0..5 {
        world.engine.shared.sentry_bell.ring();
        tokio::time::sleep(Wait::from_millis(40)).await;
    }
    world.clock.skew(-3 * 3_600_000);
    eventually("it is told", || incidents(&world, AlertKind::ClockTrouble) == 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_look_that_was_cut_short_goes_on_as_one() {
    let world = World::new();
    let (root, alice) = (user("root"), user("alice"));
    world.done(&root, make_eligible(&alice, "writer")).await;
    let before = world.memory.records().len();
    for _ in 0..25 {
        let Outcome::ActivationCreated(id) = world.done(&alice, activate(&alice, "writer", 5)).await else { panic!() };
        world.done(&alice, Command::Deactivate { id, reason: None }).await;
    }
    // by now that was long ago
    world.clock.advance(Duration::from_hours(9));
    // whoever looked first was stopped in the middle
    let mut first = Detectors::default();
    first.learn();
    {
        let stored = world.memory.stored.read().unwrap();
        let records: Vec<Record> = stored.records.iter().map(|sealed| serde_json::from_slice(&sealed.bytes).unwrap()).collect();
        for record in &records[..before + 3] {
            first.advance(&stored.rows, record.at).unwrap();
            first.feed(&stored.rows, record).unwrap();
        }
    }
    *world.memory.detection.lock().unwrap() = Some(first);
    let engine = watching(&world);
    looked(&engine).await;
    engine.stop();
    assert_eq!((incidents(&world, AlertKind::RequestBurst), incidents(&world, AlertKind::ActivationBurst)), (0, 0));
    let saved = world.memory.detection.lock().unwrap().clone().unwrap();
    assert!(!saved.is_learning() && saved.seq() > before as u64 + 3, "it has learned, and that is kept");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_passing_fault_did_not_let_be_recorded_is_tried_again() {
    let world = World::new();
    for command in many(3) {
        world.done(&user("root"), command).await;
    }
    let whole = {
        let mut stored = world.memory.stored.write().unwrap();
        let whole = stored.records.clone();
        stored.records[2].bytes = b"not a record".to_vec();
        whole
    };
    // a writer of the test's own
    let (queue, mut messages) = mpsc::channel(8);
    let shared = Arc::clone(&world.engine.shared);
    let sentry = std::thread::spawn(move || Sentry::new(shared, queue).run());
    let mut tried = Vec::new();
    while tried.len() < 4 {
        let message = tokio::time::timeout(Wait::from_secs(20), messages.recv()).await.expect("it is tried again").unwrap();
        let Message::Job(job) = message else { continue };
        let (Command::NoteAlerts { changes }, Actor::System) = (&job.envelope.command, &job.envelope.actor) else { panic!() };
        tried.push(changes.clone());
        let answer = match tried.len() {
            1..=3 => Err(SubmitError::Rejected { rejection: Rejection::Unavailable("a read failed".to_owned()), seq: 0 }),
            _ => Ok(Reply { outcome: Outcome::Settled, seq: 0, repeated: false, preview: None }),
        };
        let _ = job.reply.send(answer);
    }
    let about = |changes: &Vec<AlertChange>| -> Vec<AlertSubject> {
        let raised = changes.iter().map(|change| match change {
            AlertChange::Raise(finding) => finding.subject.clone(),
            AlertChange::Clear { subject, .. } => panic!("{subject:?}"),
        });
        raised.collect()
    };
    let both: Vec<AlertSubject> = [3, 4].map(AlertSubject::Record).into();
    assert_eq!(tried.iter().map(about).collect::<Vec<_>>(), [both.clone(), both[..1].to_vec(), both.clone(), both[..1].to_vec()]);
    world.engine.stop();
    drop(messages);
    sentry.join().unwrap();
    world.memory.stored.write().unwrap().records[..whole.len()].clone_from_slice(&whole);
}

#[tokio::test(flavor = "multi_thread")]
async fn records_are_held_for_those_only_who_look_at_them() {
    let world = World::new();
    world.engine.stop();
    let config = EngineConfig { alerts: true, timers: false, ..EngineConfig::default() };
    let engine = start_as(&world.memory, &world.clock, None, config).unwrap();
    for command in many(5) {
        engine.submit(super::envelope(&user("root"), command)).await.unwrap();
    }
    assert_eq!(engine.shared.fresh.take().len(), 0, "nobody takes them");
    engine.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn timers_leave_room_for_those_who_call() {
    let world = World::with(false);
    let reviews = (0..300).map(|n| event::Timer { at: at(-1000), due: Due::ReviewStep(ReviewId::new(&format!("rev_{n}")).unwrap()) });
    world.memory.never.lock().unwrap().extend(reviews);
    let (queue, messages) = mpsc::channel(QUEUE);
    let (shared, asks) = (Arc::clone(&world.engine.shared), queue.clone());
    let timer = std::thread::spawn(move || Timer::new(shared, asks, true).run());
    eventually("timers ask for what is due", || QUEUE - queue.capacity() >= ASKED).await;
    tokio::time::sleep(Wait::from_millis(50)).await;
    assert_eq!(QUEUE - queue.capacity(), ASKED);
    world.engine.stop();
    drop(messages);
    timer.join().unwrap();
}
