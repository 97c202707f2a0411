//! What the benches share.

#![allow(dead_code, unreachable_pub, clippy::indexing_slicing, clippy::print_stdout, reason = "each bench uses a part of it")]

pub mod world;

/// That of the binary.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

use std::path::Path;
use std::sync::Arc;

use elevon::audit;
use elevon::domain::event::{RECORD_VERSION, Record};
use elevon::domain::id::CommandId;
use elevon::domain::{Actor, Changes, Event, Revision, Timestamp, Uid};
use elevon::engine::ports::{Batch, Committed, Head, Journal, Sealed};
use elevon::engine::{Engine, EngineConfig, Parts, SystemClock};
use elevon::policy::Bundle;
use elevon::store::{Mode, Store};

/// The policy test that every bundle needs: somebody may manage it.
pub const GUARD: &str = r#"
[[test]]
name = "root manages the bundle"
guard = true
ask = { principal = 'User::"root"', action = 'Elevon::Action::"manageBundle"' }
expect = "allow"
"#;

/// An engine over a data folder, without timers.
pub fn engine(folder: &Path, bundle: Bundle) -> Arc<Engine> {
    engine_with(folder, Some(bundle))
}

/// The same with the bundle that is live, where none is proposed.
pub fn engine_with(folder: &Path, proposed: Option<Bundle>) -> Arc<Engine> {
    let opened = Store::open(folder, Mode::Dev).unwrap();
    let parts = Parts {
        journal: Box::new(opened.journal),
        reader: opened.store,
        clock: Arc::new(SystemClock::default()),
        proposed,
        config: EngineConfig { timers: false, ..EngineConfig::default() },
    };
    Engine::start(parts).unwrap()
}

/// Writes rows through the store's own port, under a record that stands for all of them.
pub fn commit(journal: &mut impl Journal, head: &Head, changes: Changes, now: Timestamp) -> Head {
    let seq = head.seq + 1;
    let record = Record {
        v: RECORD_VERSION,
        seq,
        prev: head.hash,
        at: now,
        actor: Actor::System,
        revision: Revision::new("none").unwrap(),
        command_id: CommandId::new(&format!("load-{seq}")).unwrap(),
        command: "put_entity".to_owned(),
        events: vec![Event::EntityDisabled { uid: Uid::new("User", "nobody").unwrap(), reason: None }],
        idempotency: None,
    };
    let bytes = record.to_canonical().unwrap();
    let sealed = Sealed { seq, at: now, hash: audit::hash(&bytes), bytes };
    let batch = Batch { records: vec![sealed], changes, bundles: Vec::new(), mark: now };
    match journal.commit(head, batch) {
        Committed::Done(head) => head,
        other @ (Committed::Conflict(_) | Committed::Failed(_) | Committed::Unknown(_)) => panic!("{other:?}"),
    }
}

/// One figure, as one line of JSON: whoever makes tables and plots of it reads lines that begin with a brace.
pub fn report(row: &serde_json::Value) {
    println!("{row}");
}

/// Numbers that an environment variable sets, separated by commas, or the usual ones.
pub fn numbers(name: &str, usual: &[usize]) -> Vec<usize> {
    std::env::var(name).map_or_else(|_| usual.to_vec(), |text| text.split(',').map(|number| number.parse().unwrap()).collect())
}

/// The same for one number.
pub fn number(name: &str, usual: usize) -> usize {
    numbers(name, &[usual])[0]
}

/// A line of `/proc/self/status`, in kibibytes; 0, where there is no such thing.
pub fn status_kib(name: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).unwrap_or_default();
    line.split_whitespace().next().and_then(|number| number.parse().ok()).unwrap_or_default()
}

/// A quantile, in percent, of times that are sorted.
pub fn quantile(times: &[u128], percent: usize) -> u128 {
    times.get(times.len() * percent / 100).copied().unwrap_or_default()
}

/// Numbers that look random and are the same in every run (xorshift).
pub struct Dice(pub u64);

impl Dice {
    pub fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 1).unwrap() % limit
    }
}
