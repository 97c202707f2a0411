//! What detectors are given: every record once, in order, whichever way it comes.

use std::sync::Arc;

use crate::domain::alert::{AlertKind, AlertSubject};
use crate::domain::event::Record;
use crate::domain::text::Digest;
use crate::engine::{Engine, EngineConfig};

use super::many;
use super::sample::{World, eventually, start_as, user};

/// An engine over the same journal that looks for alerts.
fn watching(world: &World) -> Arc<Engine> {
    world.engine.stop();
    let config = EngineConfig { alerts: true, ..EngineConfig::default() };
    start_as(&world.memory, &world.clock, None, config).unwrap()
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
