//! What detectors of alerts cost: commands a second with them and without, against real folders on a disk.
//!
//! Two engines run over folders of their own, one with detectors and one without. They take turns, and each turn is the same work: many callers at once
//! who activate a role and give it back. What counts is the ratio of turns that lie beside each other, so that what else the machine does meets both.
//! A turn of the engine with detectors is over when these have looked at all of it: what they put off is paid for, too.
//!
//! Run it with `make bench`; `ELEVON_TURNS` and `ELEVON_COMMANDS` set how much of it.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::panic,
    clippy::wildcard_enum_match_arm,
    reason = "a bench that cannot go on has nothing else to do"
)]

mod kit;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use elevon::domain::command::{GrantRequest, Term};
use elevon::domain::id::CommandId;
use elevon::domain::settings::{EdgeSource, JsonObject};
use elevon::domain::{ActivationId, Actor, Caller, Command, CredentialKind, EligibilityId, Envelope, RoleName, Uid};
use elevon::engine::{Engine, EngineConfig, Parts, SystemClock};
use elevon::policy::Bundle;
use elevon::store::{Mode, Store};
use tokio::runtime::Runtime;

use kit::{GUARD, number, report};

const SCHEMA: &str = "
entity Group in [Group];
entity User in [Group, Role];
entity Database;
action \"read\" appliesTo { principal: [User], resource: [Database] };
";
const PEOPLE: usize = 500;
const ROLES: usize = 40;
/// Who asks at once.
const CALLERS: usize = 64;

fn main() {
    // `cargo test --benches` starts it as a test: that it builds is enough then.
    if std::env::args().any(|argument| argument == "--test") {
        return;
    }
    let (turns, commands) = (number("ELEVON_TURNS", 15), number("ELEVON_COMMANDS", 8_000));
    let runtime = Runtime::new().unwrap();
    let folders = [(); 2].map(|()| tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap());
    let sides = [start(folders[0].path(), false), start(folders[1].path(), true)];
    sides.iter().for_each(|engine| furnish(&runtime, engine));
    // not counted: what comes first is slow
    for engine in &sides {
        turn(&runtime, engine, commands / 4);
    }
    let mut ratios = Vec::new();
    let mut rates = [Vec::new(), Vec::new()];
    for turn_number in 0..turns {
        // whoever comes first in one turn comes last in the next
        let order = if turn_number % 2 == 0 { [0, 1] } else { [1, 0] };
        let mut took = [Duration::ZERO; 2];
        for side in order {
            took[side] = turn(&runtime, &sides[side], commands);
            rates[side].push(commands as f64 / took[side].as_secs_f64());
        }
        ratios.push(took[1].as_secs_f64() / took[0].as_secs_f64());
    }
    let median = |mut values: Vec<f64>| {
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    let [without, with] = rates.map(median);
    let ratio = median(ratios);
    println!("{:>14}  {:>14}  {:>16}", "without, 1/s", "with, 1/s", "time with/without");
    println!("{without:>14.0}  {with:>14.0}  {ratio:>16.3}");
    report(
        &serde_json::json!({ "bench": "alerts", "without": without, "with": with, "ratio": ratio, "turns": turns, "commands": commands }),
    );
}

fn bundle() -> Bundle {
    let mut roles = "[elevon]\nprincipal_types = [\"User\"]\ngroup_types = [\"Group\"]\n".to_owned();
    for role in 0..ROLES {
        roles.push_str(&format!("[roles.\"role-{role}\"]\nrequire = []\nprivileged = {}\n", role % 4 == 0));
    }
    let files = [
        ("schema.cedarschema", SCHEMA),
        ("main.cedar", "permit(principal, action, resource);\n"),
        ("roles.toml", &roles),
        ("entities.json", "[{\"uid\": {\"type\": \"User\", \"id\": \"root\"}, \"attrs\": {}, \"parents\": []}]"),
        // as many activations as a bench makes are no work day
        (
            "alerts.toml",
            "[activation_burst]\ntimes = 1000\nwithin = \"PT1S\"\n[request_burst]\ntimes = 1000\nwithin = \"PT1S\"\n[activated_often]\ntimes = 1000\nwithin = \"PT1S\"\n",
        ),
        ("tests/guard.toml", GUARD),
    ];
    let files: BTreeMap<_, _> = files.into_iter().map(|(path, text)| (path.to_owned(), text.as_bytes().to_vec())).collect();
    Bundle::from_files(files).unwrap_or_else(|error| panic!("{error}"))
}

fn start(folder: &Path, alerts: bool) -> Arc<Engine> {
    let opened = Store::open(folder, Mode::Dev).unwrap();
    let config = EngineConfig { alerts, ..EngineConfig::default() };
    let (journal, reader) = (Box::new(opened.journal), opened.store);
    Engine::start(Parts { journal, reader, clock: Arc::new(SystemClock::new()), proposed: Some(bundle()), config }).unwrap()
}

fn user(number: usize) -> Uid {
    Uid::new("User", &format!("user-{number}")).unwrap()
}

fn role(number: usize) -> RoleName {
    RoleName::new(&format!("role-{}", number % ROLES)).unwrap()
}

async fn submit(engine: &Engine, who: Uid, id: String, command: Command) {
    let caller = Caller { principal: who, credential: CredentialKind::Dev, amr: Vec::new(), auth_time: None, groups: Vec::new() };
    let id = CommandId::new(&id).unwrap();
    engine.submit(Envelope { id, actor: Actor::Caller(caller), idempotency: None, dry_run: false, command }).await.unwrap();
}

/// Everybody is eligible for two roles.
fn furnish(runtime: &Runtime, engine: &Arc<Engine>) {
    let root = Uid::new("User", "root").unwrap();
    runtime.block_on(async {
        for number in 0..PEOPLE {
            let uid = user(number);
            let put = Command::PutEntity { uid: uid.clone(), parents: Vec::new(), attrs: JsonObject::empty(), source: EdgeSource::Api };
            submit(engine, root.clone(), format!("put-{number}"), put).await;
            for of in [number, number + 7] {
                let grant = GrantRequest { holder: uid.clone(), role: role(of), scope: None, start: None, end: None, justification: None };
                let id = EligibilityId::new(&format!("elg_{number}_{of}")).unwrap();
                submit(engine, root.clone(), format!("grant-{number}-{of}"), Command::CreateEligibility { id, grant }).await;
            }
        }
    });
}

/// How long so many commands take, and until all that was done was looked at, where somebody does.
fn turn(runtime: &Runtime, engine: &Arc<Engine>, commands: usize) -> Duration {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let began = Instant::now();
    let pairs = commands / 2 / CALLERS;
    runtime.block_on(async {
        let callers: Vec<_> = (0..CALLERS)
            .map(|caller| {
                let engine = Arc::clone(engine);
                tokio::spawn(async move {
                    for pair in 0..pairs {
                        let number = NEXT.fetch_add(1, Ordering::Relaxed);
                        // each caller has people of its own, so that nobody is in anybody's way
                        let of = (caller + pair * CALLERS) % PEOPLE;
                        let (who, id) = (user(of), ActivationId::new(&format!("act_{number}")).unwrap());
                        let ask = Command::RequestActivation {
                            id: id.clone(),
                            principal: who.clone(),
                            role: role(if pair % 2 == 0 { of } else { of + 7 }),
                            scope: None,
                            term: Term::default(),
                            justification: None,
                            ticket: None,
                            emergency: false,
                        };
                        submit(&engine, who.clone(), format!("ask-{number}"), ask).await;
                        submit(&engine, who, format!("end-{number}"), Command::Deactivate { id, reason: None }).await;
                    }
                })
            })
            .collect();
        for caller in callers {
            caller.await.unwrap();
        }
    });
    // the one without detectors stays where it is
    let looks = engine.detected().seq > 0;
    while looks && engine.detected().seq < engine.reader().head().seq {
        std::thread::sleep(Duration::from_millis(1));
    }
    began.elapsed()
}
