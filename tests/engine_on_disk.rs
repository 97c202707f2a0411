//! The engine over RocksDB with the sample policies: what was answered is there after a restart, and the rows follow from the journal.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::wildcard_enum_match_arm,
    reason = "a test fails by panicking, in its helpers too"
)]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use elevon::domain::command::{Everything, GrantRequest, Term};
use elevon::domain::decide::voted_hash;
use elevon::domain::id::CommandId;
use elevon::domain::settings::{EdgeSource, JsonObject};
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
    start_with(dir, Bundle::load(Path::new("policies")).unwrap(), true)
}

fn start_with(dir: &Path, bundle: Bundle, timers: bool) -> Arc<Engine> {
    let opened = Store::open(dir, Mode::Dev).unwrap();
    let (proposed, config) = (Some(bundle), EngineConfig { timers, ..EngineConfig::default() });
    let (journal, reader) = (Box::new(opened.journal), opened.store);
    Engine::start(Parts { journal, reader, clock: Arc::new(SystemClock::new()), proposed, config }).unwrap()
}

async fn submit(engine: &Engine, who: &str, command: Command) -> Outcome {
    engine.submit(envelope(who, command)).await.unwrap().outcome
}

fn envelope(who: &str, command: Command) -> Envelope {
    let caller = Caller { principal: uid(who), credential: CredentialKind::Dev, amr: Vec::new(), auth_time: None, groups: Vec::new() };
    let id = CommandId::new(&format!("{who} {}", command.name())).unwrap();
    Envelope { id, actor: Actor::Caller(caller), idempotency: None, dry_run: false, command }
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

/// A bundle in which everybody who is eligible takes the role `writer` without asking anybody.
fn plain_bundle() -> Bundle {
    let schema = "entity Group in [Group];\nentity User in [Group, Role];\nentity Db;\naction write appliesTo { principal: [User], resource: [Db] };\n";
    let roles = "[elevon]\nprincipal_types = [\"User\"]\ngroup_types = [\"Group\"]\n[roles.\"writer\"]\nrequire = []\n";
    let policies = r#"
@id("root") permit(principal == User::"root", action, resource);
@id("ask") permit(principal, action == Elevon::Action::"activateRole", resource);
@id("write") permit(principal in Role::"writer", action == Action::"write", resource);
"#;
    let entities = r#"[{"uid": {"type": "User", "id": "root"}, "attrs": {}, "parents": []}, {"uid": {"type": "Db", "id": "orders"}, "attrs": {}, "parents": []}]"#;
    let guard =
        "[[test]]\nname = \"root\"\nguard = true\nask = { principal = 'User::\"root\"', action = \"manageBundle\" }\nexpect = \"allow\"\n";
    let files = [
        ("schema.cedarschema", schema),
        ("roles.toml", roles),
        ("main.cedar", policies),
        ("entities.json", entities),
        ("tests/guard.toml", guard),
    ];
    let files: BTreeMap<_, _> = files.into_iter().map(|(path, text)| (path.to_owned(), text.as_bytes().to_vec())).collect();
    Bundle::from_files(files).unwrap()
}

async fn all_at_once(engine: &Arc<Engine>, envelopes: Vec<Envelope>) {
    for some in envelopes.chunks(500) {
        let submit = |envelope: &Envelope| {
            let (engine, envelope) = (Arc::clone(engine), envelope.clone());
            tokio::spawn(async move { engine.submit(envelope).await })
        };
        let tasks: Vec<_> = some.iter().map(submit).collect();
        for task in tasks {
            task.await.unwrap().unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_of_a_role_is_over_at_once_and_recorded_in_several_records() {
    const CROWD: usize = 3000;
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let engine = start_with(&data, plain_bundle(), false);
    let writer = RoleName::new("writer").unwrap();
    let people: Vec<String> = (0..CROWD).map(|n| format!("User::\"p{n}\"")).collect();
    let put =
        |name: &str, parents: Vec<Uid>| Command::PutEntity { uid: uid(name), parents, attrs: JsonObject::empty(), source: EdgeSource::Api };
    submit(&engine, "User::\"root\"", put("Group::\"all\"", Vec::new())).await;
    let grant =
        GrantRequest { holder: uid("Group::\"all\""), role: writer.clone(), scope: None, start: None, end: None, justification: None };
    submit(&engine, "User::\"root\"", Command::CreateEligibility { id: EligibilityId::new("elg_1").unwrap(), grant }).await;
    let stored = people.iter().map(|who| envelope("User::\"root\"", put(who, vec![uid("Group::\"all\"")]))).collect();
    all_at_once(&engine, stored).await;
    let ask = |(number, who): (usize, &String)| {
        let request = Command::RequestActivation {
            id: ActivationId::new(&format!("act_{number}")).unwrap(),
            principal: uid(who),
            role: writer.clone(),
            scope: None,
            term: Term::default(),
            justification: None,
            ticket: None,
            emergency: false,
        };
        envelope(who, request)
    };
    all_at_once(&engine, people.iter().enumerate().map(ask).collect()).await;
    let allowed = |engine: &Engine| {
        let allows = |who: &&String| engine.check(&Ask::new(uid(who), "write", uid("Db::\"orders\""))).unwrap().verdict.allowed;
        people.iter().filter(allows).count()
    };
    assert_eq!((allowed(&engine), engine.reader().active_count()), (CROWD, CROWD as u64));

    submit(&engine, "User::\"root\"", Command::RevokeAll { of: Everything::Role(writer.clone()), reason: None }).await;
    assert_eq!(allowed(&engine), 0, "the next check of each denies");
    assert!(engine.reader().active_count() > 0, "although most are not recorded as ended yet");
    drop(engine);
    assert!(rebuild(&data).unwrap().equal, "in the middle of it");

    let engine = start_with(&data, plain_bundle(), true);
    assert_eq!(allowed(&engine), 0);
    for _ in 0..2000 {
        if engine.reader().active_count() == 0 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    assert_eq!((engine.reader().active_count(), allowed(&engine)), (0, 0));
    drop(engine);
    let report = rebuild(&data).unwrap();
    assert!(report.equal, "{:?}", report.differences);
}
