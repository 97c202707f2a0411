//! A small world: what the tests' bundle says, and engines over a journal in memory.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::domain::command::{GrantRequest, Term};
use crate::domain::id::{CommandId, IdempotencyKey};
use crate::domain::settings::{EdgeSource, JsonObject};
use crate::domain::text::Digest;
use crate::domain::{
    ActivationId, Actor, AssignmentId, Caller, Command, CredentialKind, Duration, EligibilityId, Envelope, Outcome, Rejection, RoleName,
    Text, Timestamp, Uid,
};
use crate::engine::ports::{Clock as _, ClockAnswer, ClockAsked};
use crate::engine::{Engine, EngineConfig, Parts, StartError, SubmitError, TestClock};
use crate::policy::{Ask, Bundle};

use super::memory::Memory;

/// When the tests begin.
pub(super) const START: i64 = 1_900_000_000_000;

const SCHEMA: &str = r#"
entity Group in [Group];
entity User in [Group, Role] { note?: String };
entity Site in [Site];
entity Db in [Site];
action read, write appliesTo { principal: [User], resource: [Db, Site], context: { mfa?: Bool } };
"#;

const ROLES: &str = r#"
[elevon]
principal_types = ["User"]
group_types = ["Group"]
[roles."writer"]
require = []
assignment.allow_permanent = true
[roles."reader"]
require = []
assignment.allow_permanent = true
[roles."keeper"]
require = []
assignment.allow_permanent = true
conditions = true
"#;

/// When `keeper` counts.
const CONDITIONS: &str = "permit(principal, action, resource) when { context has mfa && context.mfa };";

const POLICIES: &str = r#"
@id("root")
permit(principal == User::"root", action, resource);
@id("ask")
permit(principal, action == Elevon::Action::"activateRole", resource);
@id("keep")
permit(principal in Role::"keeper", action == Action::"write", resource);
@id("ask others")
permit(principal in Role::"reader", action == Elevon::Action::"checkAccess", resource == Elevon::SubjectKind::"User");
"#;

const GUARD: &str = r#"
[[test]]
name = "root keeps the bundle"
guard = true
ask = { principal = 'User::"root"', action = "manageBundle" }
expect = "allow"
"#;

/// A bundle in which `writer` may write what is on a site: another policy id and another site for every name.
pub(super) fn bundle(name: &str) -> Bundle {
    bundle_with(name, "")
}

/// The same with more policies.
pub(super) fn bundle_with(name: &str, more: &str) -> Bundle {
    let entities = format!(
        r#"[
            {{"uid": {{"type": "User", "id": "root"}}, "attrs": {{}}, "parents": []}},
            {{"uid": {{"type": "User", "id": "alice"}}, "attrs": {{}}, "parents": []}},
            {{"uid": {{"type": "User", "id": "bob"}}, "attrs": {{}}, "parents": []}},
            {{"uid": {{"type": "Site", "id": "{name}"}}, "attrs": {{}}, "parents": []}},
            {{"uid": {{"type": "Db", "id": "orders"}}, "attrs": {{}}, "parents": [{{"type": "Site", "id": "{name}"}}]}}
        ]"#
    );
    let policy = format!(
        "{POLICIES}{more}@id(\"write-{name}\")\npermit(principal in Role::\"writer\", action == Action::\"write\", resource in Site::\"{name}\");\n"
    );
    let files = [
        ("schema.cedarschema", SCHEMA.to_owned()),
        ("roles.toml", ROLES.to_owned()),
        ("main.cedar", policy),
        ("entities.json", entities),
        ("conditions/keeper.cedar", CONDITIONS.to_owned()),
        ("tests/guard.toml", GUARD.to_owned()),
    ];
    let files: BTreeMap<_, _> = files.into_iter().map(|(path, text)| (path.to_owned(), text.into_bytes())).collect();
    Bundle::from_files(files).unwrap()
}

pub(super) fn user(id: &str) -> Uid {
    Uid::new("User", id).unwrap()
}

pub(super) fn group(id: &str) -> Uid {
    Uid::new("Group", id).unwrap()
}

pub(super) fn role(name: &str) -> RoleName {
    RoleName::new(name).unwrap()
}

pub(super) fn orders() -> Uid {
    Uid::new("Db", "orders").unwrap()
}

pub(super) fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(START + millis)
}

pub(super) fn write(principal: &Uid) -> Ask {
    Ask {
        subject: principal.clone(),
        subject_properties: serde_json::Map::new(),
        action: "write".to_owned(),
        resource: orders(),
        resource_properties: serde_json::Map::new(),
        context: serde_json::Map::new(),
    }
}

fn unique() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// A command of somebody's.
pub(super) fn envelope(who: &Uid, command: Command) -> Envelope {
    let caller = Caller { principal: who.clone(), credential: CredentialKind::Dev, amr: Vec::new(), auth_time: None, groups: Vec::new() };
    let id = CommandId::new(&format!("cmd-{}", unique())).unwrap();
    Envelope { id, actor: Actor::Caller(caller), idempotency: None, dry_run: false, command }
}

pub(super) fn keyed(mut envelope: Envelope, key: &str, body: &str) -> Envelope {
    envelope.idempotency = Some((IdempotencyKey::new(key).unwrap(), Digest::of_bytes(body.as_bytes())));
    envelope
}

pub(super) fn text(value: &str) -> Text {
    Text { salt: [7; 16], value: value.to_owned() }
}

pub(super) fn put(uid: &Uid, parents: &[Uid]) -> Command {
    Command::PutEntity { uid: uid.clone(), parents: parents.to_vec(), attrs: JsonObject::empty(), source: EdgeSource::Api }
}

fn grant(holder: &Uid, role_name: &str) -> GrantRequest {
    GrantRequest { holder: holder.clone(), role: role(role_name), scope: None, start: None, end: None, justification: Some(text("needed")) }
}

pub(super) fn assign(holder: &Uid, role: &str) -> Command {
    let id = AssignmentId::new(&format!("asg_{}", unique())).unwrap();
    Command::CreateAssignment { id, grant: grant(holder, role) }
}

pub(super) fn make_eligible(holder: &Uid, role: &str) -> Command {
    let id = EligibilityId::new(&format!("elg_{}", unique())).unwrap();
    Command::CreateEligibility { id, grant: grant(holder, role) }
}

pub(super) fn activate(principal: &Uid, role_name: &str, minutes: u64) -> Command {
    Command::RequestActivation {
        id: ActivationId::new(&format!("act_{}", unique())).unwrap(),
        principal: principal.clone(),
        role: role(role_name),
        scope: None,
        term: Term { duration: Some(Duration::from_mins(minutes)), ..Term::default() },
        justification: Some(text("the orders are stuck")),
        ticket: None,
        emergency: false,
    }
}

/// An engine over a journal in memory, and everything by which a test moves it.
pub(super) struct World {
    pub(super) engine: Arc<Engine>,
    pub(super) memory: Arc<Memory>,
    pub(super) clock: Arc<TestClock>,
}

impl World {
    /// A new world with the bundle `one`, whose timers run.
    pub(super) fn new() -> Self {
        Self::with(true)
    }

    pub(super) fn with(timers: bool) -> Self {
        let (memory, clock) = (Memory::new(), Arc::new(TestClock::new(at(0))));
        let engine = start(&memory, &clock, Some(bundle("one")), timers).unwrap();
        Self { engine, memory, clock }
    }

    /// Stops the engine and starts another over the same journal.
    pub(super) fn restart(&mut self, proposed: Option<Bundle>, timers: bool) -> Result<(), StartError> {
        self.engine.stop();
        self.engine = start(&self.memory, &self.clock, proposed, timers)?;
        Ok(())
    }

    pub(super) async fn submit(&self, who: &Uid, command: Command) -> Result<Outcome, SubmitError> {
        self.engine.submit(envelope(who, command)).await.map(|reply| reply.outcome)
    }

    /// Submits what has to be done.
    pub(super) async fn done(&self, who: &Uid, command: Command) -> Outcome {
        self.submit(who, command).await.unwrap()
    }

    /// Submits what has to be refused, and gives the rule.
    pub(super) async fn refused(&self, who: &Uid, command: Command) -> &'static str {
        match self.submit(who, command).await {
            Err(SubmitError::Rejected { rejection, .. }) => Rejection::rule(&rejection),
            other => panic!("this was to be refused, and came to {other:?}"),
        }
    }

    pub(super) fn elevated(&self, who: &Uid, role_name: &str) -> bool {
        self.engine.elevated(who, &role(role_name), None).unwrap().elevated
    }

    /// Says that the clock is to be believed, as it shows now, and gives what became of it.
    pub(super) async fn accept_clock(&self) -> ClockAnswer {
        let answered = self.memory.answers.lock().unwrap().len();
        *self.memory.word.lock().unwrap() = Some(ClockAsked { id: "word".to_owned(), wall: self.clock.now() });
        eventually("the word about the clock is answered", || self.memory.answers.lock().unwrap().len() > answered).await;
        self.memory.answers.lock().unwrap()[answered].clone()
    }

    pub(super) fn allowed(&self, who: &Uid) -> bool {
        self.engine.check(&write(who)).unwrap().verdict.allowed
    }
}

pub(super) fn start(
    memory: &Arc<Memory>,
    clock: &Arc<TestClock>,
    proposed: Option<Bundle>,
    timers: bool,
) -> Result<Arc<Engine>, StartError> {
    let desk: Arc<Memory> = Arc::clone(memory);
    let config = EngineConfig { timers, clock_desk: Some(desk), ..EngineConfig::default() };
    start_as(memory, clock, proposed, config)
}

pub(super) fn start_as(
    memory: &Arc<Memory>,
    clock: &Arc<TestClock>,
    proposed: Option<Bundle>,
    config: EngineConfig,
) -> Result<Arc<Engine>, StartError> {
    let reader: Arc<Memory> = Arc::clone(memory);
    let clock: Arc<TestClock> = Arc::clone(clock);
    Engine::start(Parts { journal: memory.journal(), reader, clock, proposed, config })
}

/// Waits, for a moment, until something holds.
pub(super) async fn eventually(what: &str, holds: impl Fn() -> bool) {
    for _ in 0..2000 {
        if holds() {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    panic!("it never came to this: {what}");
}
