//! What Elevon takes with a million active principals and ten thousand policies: memory, the time from start to the first correct answer, what a
//! swap of the bundle costs the checks beside it, and how many commands a second become durable.
//!
//! Memory and start are measured in a process of its own, which does nothing but open the folder and answer. Every figure stands in a line of
//! JSON of its own. Run it with `make bench`; `BENCH_PRINCIPALS`, `BENCH_POLICIES` and `BENCH_SECONDS` make it smaller. The folders are on the disk
//! of `TMPDIR`, and that disk is what commands wait for.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::panic,
    reason = "a bench that cannot go on has nothing else to do"
)]

mod kit;

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use elevon::domain::command::{BundleSource, GrantRequest, Term};
use elevon::domain::id::CommandId;
use elevon::domain::settings::{EdgeSource, JsonObject};
use elevon::domain::{ActivationId, Actor, Caller, Command as Asked, CredentialKind, EligibilityId, Envelope, Uid};
use elevon::engine::Engine;
use kit::world::{Shape, role, user};
use kit::{Dice, engine, engine_with, number, quantile, report, status_kib};
use serde_json::json;

/// Names the folder to the process that only answers.
const FOLDER: &str = "ELEVON_BENCH_FOLDER";
const CLIENTS: usize = 64;

fn main() {
    // `cargo test --benches` starts it as a test: that it builds is enough then.
    if std::env::args().any(|argument| argument == "--test") {
        return;
    }
    let shape = Shape { principals: number("BENCH_PRINCIPALS", 1_000_000), ..Shape::default() };
    if let Some(folder) = std::env::var_os(FOLDER) {
        serve(Path::new(&folder), shape);
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    shape.load(folder.path());
    engine(folder.path(), shape.bundle("live")).stop();
    for _ in 0..3 {
        let served = Command::new(std::env::current_exe().unwrap()).env(FOLDER, folder.path()).status().unwrap();
        assert!(served.success());
    }
    drop(folder);
    swap();
    commands();
}

/// Answers from a folder that is there already: the first question at once, and then about everybody.
fn serve(folder: &Path, shape: Shape) {
    let began = Instant::now();
    let engine = engine_with(folder, None);
    let opened = began.elapsed();
    let first = engine.check(&shape.ask(shape.principals / 2, true)).unwrap();
    let answered = began.elapsed();
    assert!(first.verdict.allowed, "{:?}", first.verdict);
    let at_first = status_kib("VmRSS");
    let mut dice = Dice(0x9E37_79B9_7F4A_7C15);
    for _ in 0..shape.principals.max(10_000) * 2 {
        assert!(engine.check(&shape.ask(dice.below(shape.principals), true)).unwrap().verdict.allowed);
    }
    report(&json!({
        "bench": "start",
        "principals": shape.principals,
        "policies": shape.policies,
        "open_ms": opened.as_secs_f64() * 1e3,
        "first_answer_ms": answered.as_secs_f64() * 1e3,
        "resident_at_first_answer_mib": at_first / 1024,
        "resident_mib": status_kib("VmRSS") / 1024,
        "most_resident_mib": status_kib("VmHWM") / 1024,
    }));
    engine.stop();
}

/// Checks while nothing happens, and while another bundle is read and goes live.
fn swap() {
    let shape = Shape { policies: number("BENCH_POLICIES", 10_000), ..Shape::default() };
    let folder = tempfile::tempdir().unwrap();
    shape.load(folder.path());
    let engine = engine(folder.path(), shape.bundle("first"));
    let swapping = AtomicBool::new(false);
    let done = AtomicBool::new(false);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    std::thread::scope(|scope| {
        let checks = scope.spawn(|| {
            let (mut dice, mut calm, mut meanwhile) = (Dice(7), Vec::new(), Vec::new());
            while !done.load(Ordering::Acquire) {
                let ask = shape.ask(dice.below(shape.principals), true);
                let during = swapping.load(Ordering::Acquire);
                let began = Instant::now();
                let checked = engine.check(&ask).unwrap();
                let elapsed = began.elapsed().as_nanos();
                assert!(checked.verdict.allowed);
                if during { &mut meanwhile } else { &mut calm }.push(elapsed);
            }
            (calm, meanwhile)
        });
        let (mut read, mut live) = (Vec::new(), Vec::new());
        for turn in 0..3 {
            std::thread::sleep(Duration::from_secs(1));
            swapping.store(true, Ordering::Release);
            let began = Instant::now();
            let bundle = Arc::new(shape.bundle(&format!("turn {turn}")));
            read.push(began.elapsed().as_micros());
            let began = Instant::now();
            runtime.block_on(engine.propose(bundle, BundleSource::Reload, Actor::System)).unwrap();
            live.push(began.elapsed().as_micros());
            swapping.store(false, Ordering::Release);
        }
        std::thread::sleep(Duration::from_secs(1));
        done.store(true, Ordering::Release);
        let (mut calm, mut meanwhile) = checks.join().unwrap();
        for times in [&mut calm, &mut meanwhile, &mut read, &mut live] {
            times.sort_unstable();
        }
        let (normal, during) = (quantile(&calm, 99), quantile(&meanwhile, 99));
        report(&json!({
            "bench": "swap",
            "policies": shape.policies,
            "read_ms": quantile(&read, 50) as f64 / 1e3,
            "live_ms": quantile(&live, 50) as f64 / 1e3,
            "check_p50_ns": quantile(&calm, 50),
            "check_p99_ns": normal,
            "check_p50_during_ns": quantile(&meanwhile, 50),
            "check_p99_during_ns": during,
            "check_longest_ns": calm.last(),
            "check_longest_during_ns": meanwhile.last(),
            "ratio": during as f64 / normal as f64,
        }));
    });
    engine.stop();
}

/// Commands of so many clients, each of which waits until its own is durable before it sends the next.
fn commands() {
    let shape = Shape { roles: 0, ..Shape::default() };
    let folder = tempfile::tempdir().unwrap();
    shape.load(folder.path());
    let engine = engine(folder.path(), shape.bundle("live"));
    let seconds = Duration::from_secs(u64::try_from(number("BENCH_SECONDS", 5)).unwrap());
    flood(&engine, "put_entity", seconds, usize::MAX, put_entity);
    let eligible = flood(&engine, "create_eligibility", seconds, usize::MAX, make_eligible);
    flood(&engine, "request_activation", seconds, eligible, activate);
    engine.stop();
}

/// The number of the first user that is stored by command.
const FIRST: usize = 1_000_000;

fn flood(engine: &Arc<Engine>, name: &'static str, seconds: Duration, most: usize, command: fn(usize) -> Asked) -> usize {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let next = Arc::new(AtomicUsize::new(0));
    let began = Instant::now();
    let client = |engine: Arc<Engine>, next: Arc<AtomicUsize>| async move {
        let mut taken = Vec::new();
        while began.elapsed() < seconds {
            let nth = next.fetch_add(1, Ordering::Relaxed);
            if nth >= most {
                break;
            }
            let envelope = envelope(name, nth, command(nth));
            let sent = Instant::now();
            engine.submit(envelope).await.unwrap_or_else(|error| panic!("{name} {nth}: {error}"));
            taken.push(sent.elapsed().as_micros());
        }
        taken
    };
    let clients: Vec<_> = (0..CLIENTS).map(|_| runtime.spawn(client(Arc::clone(engine), Arc::clone(&next)))).collect();
    let mut taken: Vec<u128> = clients.into_iter().flat_map(|client| runtime.block_on(client).unwrap()).collect();
    let elapsed = began.elapsed();
    taken.sort_unstable();
    report(&json!({
        "bench": "commands",
        "command": name,
        "clients": CLIENTS,
        "per_second": taken.len() as f64 / elapsed.as_secs_f64(),
        "p50_ms": quantile(&taken, 50) as f64 / 1e3,
        "p99_ms": quantile(&taken, 99) as f64 / 1e3,
        "commands": taken.len(),
    }));
    taken.len()
}

fn envelope(name: &str, nth: usize, command: Asked) -> Envelope {
    let root = Uid::new("User", "root").unwrap();
    let caller = Caller { principal: root, credential: CredentialKind::Dev, amr: Vec::new(), auth_time: None, groups: Vec::new() };
    let id = CommandId::new(&format!("{name}-{nth}")).unwrap();
    Envelope { id, actor: Actor::Caller(caller), idempotency: None, dry_run: false, command }
}

fn put_entity(nth: usize) -> Asked {
    Asked::PutEntity { uid: user(FIRST + nth), parents: Vec::new(), attrs: JsonObject::empty(), source: EdgeSource::Api }
}

fn make_eligible(nth: usize) -> Asked {
    let grant = GrantRequest { holder: user(FIRST + nth), role: role(0), scope: None, start: None, end: None, justification: None };
    Asked::CreateEligibility { id: EligibilityId::new(&format!("elg_{nth}")).unwrap(), grant }
}

fn activate(nth: usize) -> Asked {
    Asked::RequestActivation {
        id: ActivationId::new(&format!("act_{nth}")).unwrap(),
        principal: user(FIRST + nth),
        role: role(0),
        scope: None,
        term: Term::default(),
        justification: None,
        ticket: None,
        emergency: false,
    }
}
