//! The engine over RocksDB with the sample policies: what was answered is there after a restart, and the rows follow from the journal.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::wildcard_enum_match_arm,
    reason = "a test fails by panicking, in its helpers too"
)]

use std::path::Path;
use std::sync::Arc;

use elevon::domain::command::{GrantRequest, Term};
use elevon::domain::decide::voted_hash;
use elevon::domain::id::CommandId;
use elevon::domain::{
    ActivationId, Actor, Caller, Command, CredentialKind, Duration, EligibilityId, Envelope, Outcome, RoleName, Text, Uid,
};
use elevon::engine::{Engine, EngineConfig, Parts, SystemClock};
use elevon::policy::{Ask, Bundle, Reason};
use elevon::store::{Mode, Store, rebuild};

fn uid(text: &str) -> Uid {
    Uid::parse(text).unwrap()
}

fn start(dir: &Path) -> Arc<Engine> {
    let opened = Store::open(dir, Mode::Dev).unwrap();
    let proposed = Some(Bundle::load(Path::new("policies")).unwrap());
    let (journal, reader) = (Box::new(opened.journal), opened.store);
    Engine::start(Parts { journal, reader, clock: Arc::new(SystemClock::new()), proposed, config: EngineConfig::default() }).unwrap()
}

async fn submit(engine: &Engine, who: &str, command: Command) -> Outcome {
    let caller = Caller { principal: uid(who), credential: CredentialKind::Dev, amr: Vec::new(), auth_time: None, groups: Vec::new() };
    let id = CommandId::new(&format!("{who} {}", command.name())).unwrap();
    engine.submit(Envelope { id, actor: Actor::Caller(caller), idempotency: None, dry_run: false, command }).await.unwrap().outcome
}

fn reason(text: &str) -> Option<Text> {
    Some(Text { salt: [1; 16], value: text.to_owned() })
}

fn alice_writes(engine: &Engine) -> (bool, Reason) {
    let verdict = engine.check(&Ask::new(uid("User::\"alice\""), "write", uid("Database::\"orders\""))).unwrap().verdict;
    (verdict.allowed, verdict.reason)
}

async fn activate(engine: &Engine, seconds: u64) -> ActivationId {
    let id = ActivationId::new(&format!("act_{seconds}")).unwrap();
    let request = Command::RequestActivation {
        id: id.clone(),
        principal: uid("User::\"alice\""),
        role: RoleName::new("db-admin").unwrap(),
        scope: Some(uid("Environment::\"prod\"")),
        term: Term { duration: Some(Duration::from_secs(seconds)), ..Term::default() },
        justification: reason("the orders are stuck"),
        ticket: None,
        emergency: false,
    };
    assert_eq!(submit(engine, "User::\"alice\"", request).await, Outcome::ActivationCreated(id.clone()));
    let activation = engine.reader().activation(&id).unwrap().unwrap();
    let request_hash = voted_hash(engine.view().bundle.definitions(), &activation).unwrap();
    let approve = Command::Approve { id: id.clone(), request_hash, scope: None, duration: None, justification: reason("go ahead") };
    submit(engine, "User::\"bob\"", approve).await;
    id
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_is_held_over_a_restart_and_for_its_time_only() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let engine = start(&data);
    let grant = GrantRequest {
        holder: uid("Group::\"dba\""),
        role: RoleName::new("db-admin").unwrap(),
        scope: Some(uid("Environment::\"prod\"")),
        start: None,
        end: None,
        justification: reason("they run the databases"),
    };
    submit(&engine, "User::\"carol\"", Command::CreateEligibility { id: EligibilityId::new("elg_1").unwrap(), grant }).await;
    assert_eq!(alice_writes(&engine), (false, Reason::NoPermit));

    let short = activate(&engine, 1).await;
    assert_eq!(alice_writes(&engine), (true, Reason::Permitted));
    tokio::time::sleep(std::time::Duration::from_millis(1010)).await;
    assert_eq!(alice_writes(&engine), (false, Reason::NoPermit));

    let long = activate(&engine, 3600).await;
    let before = engine.health().head;
    drop(engine);
    let engine = start(&data);
    assert!(engine.health().head.seq >= before.seq);
    assert_eq!(alice_writes(&engine), (true, Reason::Permitted));
    for (id, open) in [(&short, false), (&long, true)] {
        let activation = engine.reader().activation(id).unwrap().unwrap();
        assert_eq!(activation.is_open(), open, "{activation:?}");
    }
    drop(engine);

    let report = rebuild(&data).unwrap();
    assert!(report.equal, "{report:?}");
}
