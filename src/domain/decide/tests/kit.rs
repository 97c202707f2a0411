//! A small world to decide in: everything in memory, an authority with switches, and short names.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::domain::command::{GrantRequest, Term};
use crate::domain::event::{RECORD_VERSION, Remembered};
use crate::domain::facts::{Action, Question, Refusal, Rows as _, Tables as _};
use crate::domain::grant::EntityRow;
use crate::domain::id::{CommandId, IdempotencyKey};
use crate::domain::settings::{EdgeSource, Emergency, Fallback, GrantLimits, JsonObject, ParentEdge, Requirement, Stage, TypeSettings};
use crate::domain::standing::{Moment, path, standing};
use crate::domain::text::Digest;
use crate::domain::*;

pub(super) const START: i64 = 1_900_000_000_000;

pub(super) fn uid(text: &str) -> Uid {
    let (kind, id) = text.split_once(':').unwrap();
    Uid::new(kind, id).unwrap()
}

pub(super) fn user(id: &str) -> Uid {
    Uid::new("User", id).unwrap()
}

pub(super) fn role_name(name: &str) -> RoleName {
    RoleName::new(name).unwrap()
}

pub(super) fn act(id: &str) -> ActivationId {
    ActivationId::new(id).unwrap()
}

pub(super) fn elg(id: &str) -> EligibilityId {
    EligibilityId::new(id).unwrap()
}

pub(super) fn asg(id: &str) -> AssignmentId {
    AssignmentId::new(id).unwrap()
}

pub(super) fn text(value: &str) -> Text {
    Text { salt: [7; 16], value: value.to_owned() }
}

pub(super) fn mins(minutes: u64) -> Duration {
    Duration::from_mins(minutes)
}

pub(super) fn caller(id: &str) -> Caller {
    Caller { principal: user(id), credential: CredentialKind::Dev, amr: vec!["pwd".to_owned()], auth_time: None, groups: Vec::new() }
}

pub(super) fn by(id: &str) -> Actor {
    if id == "elevon" { Actor::System } else { Actor::Caller(caller(id)) }
}

/// A role that asks for nothing and lasts up to four hours.
pub(super) fn role(name: &str, change: impl FnOnce(&mut RoleSettings)) -> RoleSettings {
    let mut settings = RoleSettings {
        name: role_name(name),
        description: String::new(),
        scopes: None,
        scope_required: false,
        max_duration: mins(240),
        default_duration: mins(60),
        require: BTreeSet::new(),
        ticket_pattern: None,
        mfa_max_age: None,
        stages: Vec::new(),
        max_extensions: 1,
        extendable_after: 50,
        max_active_per_day: None,
        activate_within: Duration::from_hours(24),
        emergency: None,
        conditions: false,
        eligibility: GrantLimits { max_duration: Duration::from_days(1), allow_permanent: true },
        assignment: GrantLimits { max_duration: Duration::from_days(1), allow_permanent: false },
        privileged: false,
        digest: Digest([0; 32]),
        notify: crate::domain::notice::Hearers::new(),
    };
    change(&mut settings);
    settings
}

pub(super) fn stage(approvers: &[&str], quorum: u32, timeout: u64) -> Stage {
    Stage { approvers: approvers.iter().map(|name| uid(name)).collect(), quorum, timeout: mins(timeout), fallback: None }
}

/// A stage that others may vote in, too, once it has waited for a while.
pub(super) fn with_fallback(mut stage: Stage, approvers: &[&str], after: u64) -> Stage {
    stage.fallback = Some(Fallback { approvers: approvers.iter().map(|name| uid(name)).collect(), after: mins(after) });
    stage
}

/// Break-glass for up to an hour.
pub(super) fn emergency(max_per_day: u32) -> Option<Emergency> {
    Some(Emergency { max_duration: mins(60), max_per_day, review_within: Duration::from_hours(72) })
}

pub(super) fn attrs(person: Option<&str>) -> JsonObject {
    let mut map = serde_json::Map::new();
    if let Some(person) = person {
        map.insert("person".to_owned(), person.into());
    }
    JsonObject::new(&map).unwrap()
}

pub(super) fn entity(name: &str, parents: &[&str], person: Option<&str>) -> EntityDef {
    let edge = |parent: &&str| ParentEdge { parent: uid(parent), incarnation: Incarnation(0), source: EdgeSource::Bundle };
    EntityDef { uid: uid(name), parents: parents.iter().map(edge).collect(), attrs: attrs(person) }
}

pub(super) fn bundle(revision: &str, roles: Vec<RoleSettings>, entities: Vec<EntityDef>) -> Arc<Definitions> {
    let mut definitions = Definitions::none(Revision::new(revision).unwrap());
    definitions.principal_types = ["User".to_owned()].into();
    definitions.group_types = ["Group".to_owned()].into();
    definitions.types = ["User", "Group", "Db"]
        .map(|kind| {
            (kind.to_owned(), TypeSettings { can_have_parents: true, case_insensitive: kind == "Group", ..TypeSettings::default() })
        })
        .into();
    let digested = |role: RoleSettings| RoleSettings { digest: Digest::of_bytes(format!("{role:?}").as_bytes()), ..role };
    definitions.roles = roles.into_iter().map(digested).map(|role| (role.name.clone(), Arc::new(role))).collect();
    Arc::new(definitions.with_entities(entities))
}

/// Permits everything but what is switched off, and keeps what it was asked.
#[derive(Default, Clone)]
pub(super) struct Law {
    pub(super) denied: BTreeSet<(Uid, Action)>,
    pub(super) misfits: BTreeMap<Uid, String>,
    pub(super) asked: RefCell<Vec<Question>>,
}

impl Authority for Law {
    fn permits(&self, _: &dyn Facts, question: &Question) -> Result<(), Refusal> {
        self.asked.borrow_mut().push(question.clone());
        let principal = question.actor.principal().expect("Elevon itself is never asked about").clone();
        if self.denied.contains(&(principal, question.action)) { Err(Refusal::Denied(vec!["p0".to_owned()])) } else { Ok(()) }
    }

    fn conforms(&self, uid: &Uid, _: &[Uid], _: &JsonObject) -> Result<(), String> {
        self.misfits.get(uid).map_or(Ok(()), |problem| Err(problem.clone()))
    }
}

#[derive(Clone)]
pub(super) struct World {
    pub(super) rows: MemoryRows,
    pub(super) law: Law,
    pub(super) now: Timestamp,
    pub(super) trusted: bool,
    pub(super) records: Vec<Record>,
    pub(super) bundles: BTreeMap<Revision, Arc<Definitions>>,
}

impl World {
    /// Nothing but a live bundle.
    pub(super) fn with(definitions: Arc<Definitions>) -> Self {
        let none = Arc::new(Definitions::none(Revision::new("none").unwrap()));
        let mut world = Self {
            rows: MemoryRows::new(none),
            law: Law::default(),
            now: Timestamp::from_millis(START),
            trusted: true,
            records: Vec::new(),
            bundles: BTreeMap::new(),
        };
        world.run("elevon", Command::ActivateBundle { definitions, source: command::BundleSource::Start }).unwrap();
        world
    }

    pub(super) fn moment(&self) -> Moment {
        Moment { now: self.now, trusted: self.trusted }
    }

    pub(super) fn run(&mut self, actor: &str, command: Command) -> Result<Outcome, Rejection> {
        self.run_as(by(actor), command)
    }

    pub(super) fn run_as(&mut self, actor: Actor, command: Command) -> Result<Outcome, Rejection> {
        self.submit(&Envelope { id: CommandId::new("c").unwrap(), actor, idempotency: None, dry_run: false, command })
    }

    /// What the writer does: the remembered result, or a decision that is recorded and applied.
    pub(super) fn submit(&mut self, envelope: &Envelope) -> Result<Outcome, Rejection> {
        if let Some(result) = decide::remembered(&self.rows, envelope, self.now)? {
            return result;
        }
        let decided = decide(&self.rows, &self.law, envelope, self.moment());
        let result = decided.as_ref().map(|decision| decision.outcome.clone()).map_err(Clone::clone);
        let events = match decided {
            Ok(decision) => decision.events,
            Err(_) if envelope.idempotency.is_some() => Vec::new(),
            Err(rejection) => return Err(rejection),
        };
        let idempotency = envelope.idempotency.clone().map(|(key, body)| Remembered { key, body, result: result.clone() });
        if events.is_empty() && idempotency.is_none() {
            return result;
        }
        if let Command::ActivateBundle { definitions, .. } = &envelope.command {
            self.bundles.insert(definitions.revision.clone(), Arc::clone(definitions));
        }
        let record = Record {
            v: RECORD_VERSION,
            seq: self.records.len() as u64 + 1,
            prev: Digest([0; 32]),
            at: self.now,
            actor: envelope.actor.clone(),
            revision: self.rows.definitions.revision.clone(),
            command_id: envelope.id.clone(),
            command: envelope.command.name().to_owned(),
            events,
            idempotency,
        };
        let mut overlay = Overlay::new(&self.rows, Arc::clone(&self.rows.definitions));
        apply(&mut overlay, &record).unwrap();
        let changes = overlay.changes;
        self.rows.all.absorb(changes);
        if let Some(live) = self.rows.all.revision.as_ref().and_then(|revision| self.bundles.get(revision)) {
            self.rows.definitions = Arc::clone(live);
        }
        self.records.push(record);
        result
    }

    /// The journal applied in one go to nothing; `read_back`: from its bytes.
    pub(super) fn replayed(&self, read_back: bool) -> Changes {
        let none = MemoryRows::new(Arc::new(Definitions::none(Revision::new("none").unwrap())));
        let mut overlay = Overlay::new(&none, Arc::clone(&none.definitions));
        for record in &self.records {
            if read_back {
                let read: Record = serde_json::from_slice(&record.to_canonical().unwrap()).unwrap();
                assert_eq!(read, *record);
            }
            apply(&mut overlay, record).unwrap();
        }
        overlay.changes
    }

    pub(super) fn wait(&mut self, minutes: u64) {
        self.now = self.now.plus(mins(minutes));
    }

    pub(super) fn last(&self) -> Vec<&'static str> {
        self.records.last().unwrap().events.iter().map(Event::kind).collect()
    }

    pub(super) fn row(&self, name: &str) -> EntityRow {
        self.rows.row(&uid(name)).unwrap().map(|row| (*row).clone()).unwrap_or_default()
    }

    pub(super) fn activation(&self, id: &str) -> Activation {
        (*self.rows.activation(&act(id)).unwrap().unwrap()).clone()
    }

    pub(super) fn status(&self, id: &str) -> &'static str {
        self.activation(id).status(self.now).as_str()
    }

    /// Roles that count for a resource, or for none.
    pub(super) fn roles(&self, principal: &str, resource: Option<&str>) -> Vec<String> {
        let path = resource.map(|resource| path(&self.rows, &uid(resource)).unwrap());
        let standing = standing(&self.rows, &uid(principal), path.as_deref(), self.moment()).unwrap();
        standing.roles().iter().map(ToString::to_string).collect()
    }

    pub(super) fn put(&mut self, actor: &str, name: &str, parents: &[&str]) -> Result<Outcome, Rejection> {
        self.put_person(actor, name, parents, None)
    }

    pub(super) fn put_person(&mut self, actor: &str, name: &str, parents: &[&str], person: Option<&str>) -> Result<Outcome, Rejection> {
        let parents = parents.iter().map(|name| uid(name)).collect();
        self.run(actor, Command::PutEntity { uid: uid(name), parents, attrs: attrs(person), source: EdgeSource::Api })
    }

    pub(super) fn eligible(
        &mut self,
        id: &str,
        holder: &str,
        role: &str,
        scope: Option<&str>,
        end: Option<u64>,
    ) -> Result<Outcome, Rejection> {
        let grant = grant(holder, role, scope, end.map(|end| self.now.plus(mins(end))));
        self.run("root", Command::CreateEligibility { id: elg(id), grant })
    }

    pub(super) fn request(&mut self, id: &str, actor: &str, role: &str, scope: Option<&str>, minutes: u64) -> Result<Outcome, Rejection> {
        self.run(actor, ask(id, actor, role, scope, Some(minutes)))
    }

    pub(super) fn approve(&mut self, actor: &str, id: &str) -> Result<Outcome, Rejection> {
        self.approve_less(actor, id, None, None)
    }

    /// Approves for less than what stands there.
    pub(super) fn approve_less(&mut self, actor: &str, id: &str, scope: Option<&str>, minutes: Option<u64>) -> Result<Outcome, Rejection> {
        let request_hash = self.hash(id);
        let (scope, duration) = (scope.map(uid), minutes.map(mins));
        self.run(actor, Command::Approve { id: act(id), request_hash, scope, duration, justification: None })
    }

    /// Asks for more time, so many minutes of it.
    pub(super) fn extend(&mut self, id: &str, actor: &str, of: &str, minutes: u64) -> Result<Outcome, Rejection> {
        let (id, of, duration) = (act(id), act(of), Some(mins(minutes)));
        self.run(actor, Command::Extend { id, of, duration, justification: None, ticket: None })
    }

    /// Takes a right away.
    pub(super) fn lose(&mut self, who: &str, action: Action) {
        self.law.denied.insert((user(who), action));
    }

    /// Records what time has done.
    pub(super) fn settle(&mut self, due: command::Due) -> Result<Outcome, Rejection> {
        self.run("elevon", Command::Settle(due))
    }

    /// The day ledger: minutes and emergencies of a principal and a role on the day of now.
    pub(super) fn used(&self, principal: &str, role: &str) -> (u64, u32) {
        let used = self.rows.day_use(&user(principal), &role_name(role), self.now.day()).unwrap();
        (used.millis / 60_000, used.emergencies)
    }

    /// The end of an activation that is recorded as active, in minutes from now.
    pub(super) fn left(&self, id: &str) -> i64 {
        (self.activation(id).window().unwrap().end.unwrap().millis() - self.now.millis()) / 60_000
    }

    pub(super) fn deny(&mut self, actor: &str, id: &str) -> Result<Outcome, Rejection> {
        let request_hash = self.hash(id);
        self.run(actor, Command::Deny { id: act(id), request_hash, justification: None })
    }

    pub(super) fn hash(&self, id: &str) -> Digest {
        let activation = self.rows.activation(&act(id)).unwrap();
        activation.and_then(|activation| decide::voted_hash(&self.rows.definitions, &activation)).unwrap_or(Digest([9; 32]))
    }

    pub(super) fn swap(&mut self, definitions: &Arc<Definitions>) -> Result<Outcome, Rejection> {
        let command = Command::ActivateBundle { definitions: Arc::clone(definitions), source: command::BundleSource::Watch };
        self.run("elevon", command)
    }
}

pub(super) fn grant(holder: &str, role: &str, scope: Option<&str>, end: Option<Timestamp>) -> GrantRequest {
    GrantRequest { holder: uid(holder), role: role_name(role), scope: scope.map(uid), start: None, end, justification: None }
}

pub(super) fn ask(id: &str, principal: &str, role: &str, scope: Option<&str>, minutes: Option<u64>) -> Command {
    ask_for(id, principal, role, scope, Term { start: None, end: None, duration: minutes.map(mins) })
}

pub(super) fn ask_for(id: &str, principal: &str, role: &str, scope: Option<&str>, term: Term) -> Command {
    Command::RequestActivation {
        id: act(id),
        principal: user(principal),
        role: role_name(role),
        scope: scope.map(uid),
        term,
        justification: None,
        ticket: None,
        emergency: false,
    }
}

/// The same as break-glass, for a reason.
pub(super) fn break_glass(id: &str, principal: &str, role: &str, minutes: Option<u64>) -> Command {
    Command::RequestActivation {
        id: act(id),
        principal: user(principal),
        role: role_name(role),
        scope: None,
        term: Term { start: None, end: None, duration: minutes.map(mins) },
        justification: Some(text("fire")),
        ticket: None,
        emergency: true,
    }
}

pub(super) fn key(name: &str, body: u8) -> Option<(IdempotencyKey, Digest)> {
    Some((IdempotencyKey::new(name).unwrap(), Digest([body; 32])))
}

pub(super) fn rule(result: Result<Outcome, Rejection>) -> &'static str {
    result.map_or_else(|rejection| rejection.rule(), |_| "accepted")
}

/// The company that most rows stand in: `root` administers; `ann`, `bob`, `cat` are in `ops`, which is in `staff`; `cat` has a second
/// account `kat`; `eve` is in nothing.
pub(super) fn company() -> World {
    World::with(company_bundle("one", |_| {}))
}

pub(super) fn company_bundle(revision: &str, change: impl Fn(&mut Vec<RoleSettings>)) -> Arc<Definitions> {
    let mut roles = vec![
        role("free", |_| {}),
        role("one", |role| role.stages = vec![stage(&["Group:ops"], 1, 120)]),
        role("two", |role| {
            role.stages = vec![stage(&["Group:staff"], 2, 120), stage(&["User:eve", "User:dan"], 1, 60)];
            role.assignment.allow_permanent = true;
        }),
        role("strict", |role| {
            role.scopes = Some(["Db".to_owned()].into());
            role.scope_required = true;
            role.require = [Requirement::Justification, Requirement::Ticket, Requirement::Mfa].into();
            role.ticket_pattern = Some(settings::TicketPattern::new("OPS-[0-9]+").unwrap());
            role.mfa_max_age = Some(mins(10));
        }),
    ];
    change(&mut roles);
    let entities = vec![
        entity("User:root", &[], None),
        entity("User:ann", &["Group:ops"], None),
        entity("User:bob", &["Group:ops"], None),
        entity("User:cat", &["Group:ops"], Some("cat")),
        entity("User:kat", &[], Some("cat")),
        entity("User:dan", &["Group:staff"], None),
        entity("User:eve", &[], None),
        entity("Group:ops", &["Group:staff"], None),
        entity("Group:staff", &[], None),
        entity("Db:prod", &[], None),
        entity("Db:orders", &["Db:prod"], None),
        entity("Db:test", &[], None),
    ];
    bundle(revision, roles, entities)
}
