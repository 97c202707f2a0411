//! The store by behaviour, on folders of its own. Everything is written as the engine writes it: records through `apply`, in batches.

mod alerts;
mod format1;
mod lists;
mod model;
mod opening;
mod proof;
mod reviews;
mod writing;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use rocksdb::{DB, WriteBatch};

use super::family::{Family, handle};
use super::key::Key;
use super::value::Value;
use super::{Mode, Opened, Store, options};
use crate::audit;
use crate::domain::event::{RECORD_VERSION, Remembered};
use crate::domain::grant::{ActivationState, Basis, Under};
use crate::domain::id::{CommandId, IdempotencyKey};
use crate::domain::settings::{EdgeSource, JsonObject, ParentEdge};
use crate::domain::text::Digest;
use crate::domain::{
    Activation, ActivationId, Actor, Assignment, AssignmentId, Caller, CredentialKind, Definitions, Duration, Eligibility, EligibilityId,
    EntityDef, Event, Incarnation, MemoryRows, Outcome, Overlay, Record, Revision, RoleName, Text, Timestamp, Uid, Window, apply,
};
use crate::engine::ports::{Batch, Committed, Head, Journal as _, Page, Reader as _, Sealed};

/// A data folder being written to, and the plain picture of what it has to hold.
struct Desk {
    dir: tempfile::TempDir,
    opened: Option<Opened>,
    memory: MemoryRows,
    now: i64,
}

/// What one command says.
struct Said {
    events: Vec<Event>,
    actor: Actor,
    idempotency: Option<Remembered>,
}

impl Said {
    fn by_elevon(events: Vec<Event>) -> Self {
        Self { events, actor: Actor::System, idempotency: None }
    }
}

const START: i64 = 1_900_000_000_000;

impl Desk {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let opened = Some(Store::open(dir.path(), Mode::Normal).unwrap());
        Self { dir, opened, memory: MemoryRows::new(nothing()), now: START }
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    fn store(&self) -> &Arc<Store> {
        &self.opened.as_ref().unwrap().store
    }

    /// One command a second, each a commit of its own.
    fn say(&mut self, events: Vec<Event>) -> Head {
        self.commit(vec![Said::by_elevon(events)])
    }

    /// Several commands in one commit.
    fn commit(&mut self, said: Vec<Said>) -> Head {
        let batch = self.batch(said);
        let changes = batch.changes.clone();
        let journal = &mut self.opened.as_mut().unwrap().journal;
        let head = journal.head();
        let Committed::Done(head) = journal.commit(&head, batch) else { panic!("not committed") };
        self.memory.all.absorb(changes);
        head
    }

    fn batch(&mut self, said: Vec<Said>) -> Batch {
        let journal = &self.opened.as_ref().unwrap().journal;
        let mut overlay = Overlay::new(journal.tables(), nothing());
        let (Head { mut seq, mut hash, .. }, mut records) = (journal.head(), Vec::new());
        for Said { events, actor, idempotency } in said {
            self.now += 1000;
            seq += 1;
            let record = Record {
                v: RECORD_VERSION,
                seq,
                prev: hash,
                at: at(self.now),
                actor,
                revision: Revision::new("none").unwrap(),
                command_id: CommandId::new(&format!("command-{seq}")).unwrap(),
                command: "test".to_owned(),
                events,
                idempotency,
            };
            apply(&mut overlay, &record).unwrap();
            let bytes = record.to_canonical().unwrap();
            hash = audit::hash(&bytes);
            records.push(Sealed { seq, at: record.at, hash, bytes });
        }
        Batch { records, changes: overlay.changes, bundles: Vec::new(), mark: at(self.now) }
    }

    /// Stops without a word, as a crash would, and opens again.
    fn reopen(&mut self) {
        self.opened = None;
        self.opened = Some(Store::open(self.path(), Mode::Normal).unwrap());
    }

    /// Changes the closed folder behind the store's back.
    fn tamper(&mut self, harm: impl FnOnce(&DB, &mut WriteBatch)) {
        self.opened = None;
        let db = DB::open_cf_descriptors(&options::database(), self.path(), options::families()).unwrap();
        let mut batch = WriteBatch::default();
        harm(&db, &mut batch);
        db.write(batch).unwrap();
    }
}

/// Writes raw bytes into a family.
fn poke<K: Key, V: Value>(db: &DB, batch: &mut WriteBatch, family: &Family<K, V>, key: &K, bytes: &[u8]) {
    batch.put_cf(handle(db, family.name).unwrap(), key.bytes(), bytes);
}

fn nothing() -> Arc<Definitions> {
    Arc::new(Definitions::none(Revision::new("none").unwrap()))
}

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

fn uid(text: &str) -> Uid {
    let (kind, id) = text.split_once(' ').unwrap();
    Uid::new(kind, id).unwrap()
}

fn role(name: &str) -> RoleName {
    RoleName::new(name).unwrap()
}

fn text(value: &str) -> Text {
    Text { salt: [7; 16], value: value.to_owned() }
}

fn caller(text: &str) -> Actor {
    Actor::Caller(Caller {
        principal: uid(text),
        credential: CredentialKind::Dev,
        amr: vec!["pwd".to_owned()],
        auth_time: Some(at(START)),
        groups: vec!["claimed".to_owned()],
    })
}

fn under() -> Under {
    Under { holder: Incarnation(0), role: Incarnation(1), scope: None }
}

fn activation(id: &str, principal: &str, name: &str, scope: Option<&str>, asked: i64) -> Activation {
    Activation {
        id: ActivationId::new(id).unwrap(),
        principal: uid(principal),
        requester: caller(principal),
        role: role(name),
        scope: scope.map(uid),
        requested_at: at(asked),
        duration: Duration::from_hours(1),
        start: None,
        end: None,
        emergency: false,
        extends: None,
        asked: None,
        extensions: 0,
        extension: None,
        review_by: None,
        seq: 0,
        justification: Some(text("because").digest()),
        ticket: None,
        basis: Basis { eligibility: EligibilityId::new("elg_1").unwrap(), holder: uid("Group admins") },
        under: under(),
        basis_incarnation: Incarnation(0),
        votes: Vec::new(),
        state: ActivationState::Pending { stage: 0, timeout_at: at(asked + 86_400_000), since: at(asked) },
    }
}

fn requested(activation: Activation) -> Event {
    Event::ActivationRequested { activation: Box::new(activation) }
}

fn started(id: &str, from: i64, to: i64) -> Event {
    Event::ActivationStarted { id: ActivationId::new(id).unwrap(), window: Window { start: at(from), end: Some(at(to)) }, clamped: false }
}

fn eligibility(id: &str, holder: &str, name: &str, end: Option<i64>) -> Eligibility {
    Eligibility {
        id: EligibilityId::new(id).unwrap(),
        holder: uid(holder),
        role: role(name),
        scope: None,
        window: Window { start: at(START), end: end.map(at) },
        under: under(),
        granted_by: caller("User root"),
        granted_at: at(START),
        justification: None,
        renews: None,
        ended: None,
    }
}

fn assignment(id: &str, holder: &str, name: &str, end: Option<i64>) -> Assignment {
    let Eligibility { holder, role, scope, window, under, granted_by, granted_at, justification, ended, .. } =
        eligibility("elg_0", holder, name, end);
    let id = AssignmentId::new(id).unwrap();
    Assignment { id, holder, role, scope, window, under, granted_by, granted_at, justification, renews: None, seq: 0, ended }
}

fn stored(name: &str, parents: &[&str]) -> Event {
    let edge = |parent: &&str| ParentEdge { parent: uid(parent), incarnation: Incarnation(0), source: EdgeSource::Api };
    let attrs = serde_json::json!({"person": name}).as_object().cloned().unwrap();
    Event::EntityStored {
        entity: EntityDef { uid: uid(name), parents: parents.iter().map(edge).collect(), attrs: JsonObject::new(&attrs).unwrap() },
    }
}

fn remembered(key: &str) -> Remembered {
    Remembered {
        key: IdempotencyKey::new(key).unwrap(),
        body: Digest([3; 32]),
        result: Ok(Outcome::ActivationCreated(ActivationId::new("act_1").unwrap())),
    }
}

/// A little of everything.
fn furnish(desk: &mut Desk) {
    desk.say(vec![stored("Group admins", &[]), stored("User Alice", &["Group admins"]), stored("Db orders", &["Env prod"])]);
    desk.say(vec![Event::EligibilityCreated { eligibility: eligibility("elg_1", "Group admins", "db-admin", Some(START + 86_400_000)) }]);
    desk.say(vec![Event::AssignmentCreated { assignment: assignment("asg_1", "User Alice", "reader", None) }]);
    desk.say(vec![requested(activation("act_1", "User Alice", "db-admin", Some("Env prod"), START))]);
    desk.say(vec![started("act_1", START + 5000, START + 3_605_000)]);
    desk.say(vec![requested(activation("act_2", "User Bob", "reader", None, START + 6000))]);
    let idempotency = Some(remembered("key-1"));
    desk.commit(vec![Said {
        events: vec![Event::EntityDisabled { uid: uid("User Bob"), reason: None }],
        actor: caller("User root"),
        idempotency,
    }]);
    desk.say(vec![Event::CascadeContinues { cause: crate::domain::grant::Cause::PrincipalDisabled(uid("User Bob")) }]);
    desk.say(vec![Event::BundleActivated {
        revision: Revision::new("r2").unwrap(),
        previous: None,
        source: crate::domain::command::BundleSource::Start,
        roles_removed: vec![role("old-role")],
        entities_removed: Vec::new(),
        entities_shadowed: Vec::new(),
    }]);
}

/// Every page of a list, one after the other.
fn all_pages<T>(limit: usize, mut page: impl FnMut(&Page) -> crate::engine::ports::Listing<T>) -> Vec<Vec<T>> {
    let (mut pages, mut next) = (Vec::new(), Page::first(limit));
    loop {
        let listing = page(&next);
        pages.push(listing.items);
        match listing.next {
            Some(after) => next.after = Some(after),
            None => return pages,
        }
    }
}

/// Everything on disk, by family.
fn dump(store: &Store) -> BTreeMap<&'static str, Vec<super::family::RawRow>> {
    let families = super::family::ALL.iter();
    families.map(|(name, _)| (*name, super::family::raw_rows(&store.at(), name, &[]).unwrap().map(Result::unwrap).collect())).collect()
}

#[test]
fn the_table_of_families_names_each_once() {
    let mut names: Vec<_> = super::family::ALL.iter().map(|(name, _)| *name).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), super::family::ALL.len());
    assert!(super::family::DERIVED.iter().all(|name| names.contains(name)));
}

#[test]
fn reopening_keeps_everything() {
    let mut desk = Desk::new();
    furnish(&mut desk);
    let (before, head, mark, active) = (dump(desk.store()), desk.store().head(), desk.store().mark(), desk.store().active_count());
    desk.reopen();
    assert_eq!(dump(desk.store()), before);
    assert_eq!((desk.store().head(), desk.store().mark(), desk.store().active_count()), (head.clone(), mark, active));
    assert_eq!((head.seq, active, head.revision), (9, 1, Some(Revision::new("r2").unwrap())));
    desk.say(vec![stored("User Carol", &[])]);
    assert_eq!(desk.store().head().seq, 10);
}
