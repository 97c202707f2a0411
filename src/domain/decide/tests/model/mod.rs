//! The rules once more, in the plainest way: a list of what was done, a picture of all names after each step, and for every question a walk
//! through the whole list. It shares no code with `decide`, `apply` or `standing`; it keeps no incarnations, no marks, no ledger and no
//! rows by name. Here: names, and what is said to each command; `grants`: eligibilities, assignments and requests to prolong them;
//! `asking`: what may be asked for; `lives`: what becomes of it.

mod asking;
mod grants;
mod lives;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::kit::{role_name, user};
use crate::domain::command::Everything;
use crate::domain::decide::Outcome;
use crate::domain::facts::Action;
use crate::domain::*;
use asking::Asked;
use grants::{Given, Wish};
use lives::Life;

/// When a role is asked for, in minutes from now.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Span {
    pub(super) start: Option<u64>,
    pub(super) end: Option<u64>,
    pub(super) minutes: Option<u64>,
}

/// What is asked, with grants, activations and requests to prolong by number.
#[derive(Debug, Clone)]
pub(super) enum Op {
    Request { principal: Uid, role: &'static str, scope: Option<Uid>, span: Span, reason: bool, emergency: bool },
    Extend { target: usize, minutes: Option<u64>, reason: bool },
    Vote { target: usize, yes: bool, hash: Shown, scope: Option<Uid>, minutes: Option<u64> },
    Cancel(usize),
    Deactivate(usize),
    Revoke(usize),
    RevokeAll(Everything),
    Grant { eligible: bool, holder: Uid, role: &'static str, scope: Option<Uid>, start: u64, end: Option<u64> },
    Take { eligible: bool, target: usize },
    Prolong { eligible: bool, target: usize, renew: bool, end: u64 },
    Decide { target: usize, yes: bool, end: Option<u64> },
    Withdraw(usize),
    Put { uid: Uid, parents: Vec<Uid>, person: Option<&'static str>, synced: bool },
    Delete(Uid),
    Disable { uid: Uid, disabled: bool },
    Swap(usize),
    AcceptClock,
    SettleActivation { target: usize, what: Timer },
    SettleGrant { eligible: bool, target: usize },
    SettleWish(usize),
    Right { uid: Uid, action: Action, denied: bool },
}

/// What a timer of an activation is for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Timer {
    Start,
    Timeout,
    End,
}

/// Which hash a voter sends.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Shown {
    Now,
    AtFirst,
    Never,
}

#[derive(Debug, Clone)]
struct Stored {
    /// Each parent with whether a sync named it, and the step in which that was.
    parents: BTreeMap<(Uid, bool), usize>,
    person: Option<&'static str>,
}

/// All names after a step.
#[derive(Debug, Clone, Default)]
struct Picture {
    bundle: usize,
    stored: BTreeMap<Uid, Stored>,
    disabled: BTreeSet<Uid>,
    denied: BTreeSet<(Uid, Action)>,
    /// What left in this step.
    left: BTreeSet<Uid>,
    /// What stands above each name, nearest first.
    above: BTreeMap<Uid, Vec<Uid>>,
}

/// An accepted step.
#[derive(Debug, Clone)]
struct Done {
    at: i64,
    actor: Option<Uid>,
    op: Op,
}

#[derive(Clone)]
pub(super) struct Model {
    bundles: Vec<Arc<Definitions>>,
    names: Vec<Uid>,
    pictures: Vec<Picture>,
    done: Vec<Done>,
    given: Vec<Given>,
    wishes: Vec<Wish>,
    asked: Vec<Asked>,
    /// Where each activation stands after the last step.
    lives: Vec<Life>,
}

const FOREVER: i64 = i64::MAX;
const MINUTE: i64 = 60_000;

impl Model {
    pub(super) fn new(bundles: Vec<Arc<Definitions>>, names: Vec<Uid>) -> Self {
        let mut first = Picture::default();
        let mut model = Self {
            bundles,
            names,
            pictures: Vec::new(),
            done: vec![Done { at: 0, actor: None, op: Op::Swap(0) }],
            given: Vec::new(),
            wishes: Vec::new(),
            asked: Vec::new(),
            lives: Vec::new(),
        };
        first.above = model.all_above(&first);
        model.pictures.push(first);
        model
    }

    fn last(&self) -> usize {
        self.pictures.len() - 1
    }

    // ---- names -------------------------------------------------------------------------------------------------------------------

    fn owned(&self, picture: &Picture, uid: &Uid) -> Option<&Arc<EntityDef>> {
        self.bundles[picture.bundle].entities.get(uid)
    }

    fn exists(&self, picture: &Picture, uid: &Uid) -> bool {
        self.owned(picture, uid).is_some() || picture.stored.contains_key(uid)
    }

    /// Whether a name left after step `from`, up to and with this picture's own step.
    fn left_since(&self, picture: &Picture, uid: &Uid, from: usize) -> bool {
        picture.left.contains(uid) || self.pictures.iter().skip(from + 1).any(|picture| picture.left.contains(uid))
    }

    fn parents(&self, picture: &Picture, uid: &Uid) -> BTreeSet<Uid> {
        if let Some(def) = self.owned(picture, uid) {
            return def.parents.iter().map(|edge| edge.parent.clone()).collect();
        }
        let Some(stored) = picture.stored.get(uid) else { return BTreeSet::new() };
        let counts = |(parent, put): (&Uid, usize)| self.exists(picture, parent) && !self.left_since(picture, parent, put);
        let edges = stored.parents.iter().map(|((parent, _), put)| (parent, *put));
        edges.filter(|edge| counts(*edge)).map(|(parent, _)| parent.clone()).collect()
    }

    fn all_above(&self, picture: &Picture) -> BTreeMap<Uid, Vec<Uid>> {
        let direct: BTreeMap<&Uid, BTreeSet<Uid>> = self.names.iter().map(|uid| (uid, self.parents(picture, uid))).collect();
        let above = |uid: &Uid| {
            let mut found: Vec<Uid> = Vec::new();
            let mut level = direct[uid].clone();
            while !level.is_empty() {
                found.extend(level.iter().cloned());
                let next = level.iter().flat_map(|uid| direct[uid].iter().cloned());
                level = next.filter(|uid| !found.contains(uid)).collect();
            }
            found
        };
        self.names.iter().map(|uid| (uid.clone(), above(uid))).collect()
    }

    fn above(&self, step: usize, uid: &Uid) -> &[Uid] {
        self.pictures[step].above.get(uid).map_or(&[], Vec::as_slice)
    }

    fn person(&self, step: usize, uid: &Uid) -> String {
        let picture = &self.pictures[step];
        let person = match self.owned(picture, uid) {
            Some(def) => def.person(),
            None => picture.stored.get(uid).and_then(|stored| stored.person).map(str::to_owned),
        };
        person.unwrap_or_else(|| uid.to_string())
    }

    fn works(&self, step: usize, uid: &Uid) -> Result<(), &'static str> {
        let picture = &self.pictures[step];
        if !self.exists(picture, uid) {
            Err("unknown_principal")
        } else if picture.disabled.contains(uid) {
            Err("principal_disabled")
        } else {
            Ok(())
        }
    }

    fn may(&self, step: usize, uid: &Uid, action: Action) -> bool {
        !self.pictures[step].denied.contains(&(uid.clone(), action))
    }

    fn permitted(&self, uid: &Uid, action: Action) -> Result<(), &'static str> {
        if self.may(self.last(), uid, action) { Ok(()) } else { Err("not_permitted") }
    }

    fn name_left(&self, uid: &Uid, after: usize, step: usize) -> bool {
        (after + 1..=step).any(|k| self.pictures[k].left.contains(uid))
    }

    fn settings(&self, step: usize, role: &str) -> Option<&RoleSettings> {
        self.bundles[self.pictures[step].bundle].roles.get(&role_name(role)).map(AsRef::as_ref)
    }

    fn role_left(&self, role: &str, after: usize, step: usize) -> bool {
        (after..=step).any(|k| self.settings(k, role).is_none())
    }

    fn among(&self, step: usize, uid: &Uid, list: &[Uid]) -> bool {
        list.contains(uid) || self.above(step, uid).iter().any(|above| list.contains(above))
    }

    /// Whether what `holder` gets reaches `actor`: itself, its groups, its other accounts and their groups.
    fn reaches(&self, actor: &Uid, holder: &Uid) -> bool {
        let step = self.last();
        let person = self.person(step, actor);
        let mine = |uid: &Uid| uid == actor || self.person(step, uid) == person;
        self.names.iter().filter(|uid| mine(uid)).any(|uid| uid == holder || self.above(step, uid).contains(holder))
    }

    fn covers(&self, step: usize, scope: Option<&Uid>, resource: Option<&Uid>) -> bool {
        let Some(scope) = scope else { return true };
        resource.is_some_and(|resource| resource == scope || self.above(step, resource).contains(scope))
    }

    fn scope_fits(&self, settings: &RoleSettings, scope: Option<&Uid>) -> Result<(), &'static str> {
        let Some(scope) = scope else { return if settings.scope_required { Err("scope_required") } else { Ok(()) } };
        if settings.scopes.as_ref().is_some_and(|kinds| !kinds.contains(scope.kind())) {
            return Err("scope_not_allowed");
        }
        if self.exists(&self.pictures[self.last()], scope) { Ok(()) } else { Err("unknown_scope") }
    }

    // ---- answers -----------------------------------------------------------------------------------------------------------------

    /// Answers, and takes note of what was accepted.
    pub(super) fn answer(&mut self, actor: &Uid, op: &Op, now: i64, trusted: bool) -> Result<Outcome, &'static str> {
        if let Op::Right { uid, action, denied } = op {
            let mut picture = self.pictures[self.last()].clone();
            picture.left.clear();
            let right = (uid.clone(), *action);
            if *denied {
                picture.denied.insert(right)
            } else {
                picture.denied.remove(&right)
            };
            self.note(None, op, now, picture);
            return Ok(Outcome::Unchanged);
        }
        if !trusted && !matches!(op, Op::AcceptClock) {
            return Err("time_untrusted");
        }
        if !op.is_elevons() {
            self.works(self.last(), actor)?;
        }
        let (outcome, picture) = self.judge(actor, op, now)?;
        if !matches!(outcome, Outcome::Unchanged | Outcome::ActivationExists(_)) {
            self.note((!op.is_elevons()).then(|| actor.clone()), op, now, picture);
        }
        Ok(outcome)
    }

    fn note(&mut self, actor: Option<Uid>, op: &Op, at: i64, mut picture: Picture) {
        // What an edge was written to may leave in this very step; the steps before are in the list already.
        if matches!(op, Op::Put { .. } | Op::Delete(_) | Op::Swap(_)) {
            picture.above = self.all_above(&picture);
        }
        self.pictures.push(picture);
        self.done.push(Done { at, actor, op: op.clone() });
        self.live_on();
    }

    fn judge(&mut self, actor: &Uid, op: &Op, now: i64) -> Result<(Outcome, Picture), &'static str> {
        let mut picture = self.pictures[self.last()].clone();
        picture.left.clear();
        let outcome = match op {
            Op::Request { .. } | Op::Extend { .. } => self.asks(actor, op, now)?,
            Op::Vote { target, yes, hash, scope, minutes } => {
                self.vote(actor, *target, *yes, *hash, (scope.as_ref(), *minutes), now)?;
                changed(*target)
            }
            Op::Cancel(_) | Op::Deactivate(_) | Op::Revoke(_) => self.end_one(actor, op, now)?,
            Op::RevokeAll(of) => self.end_all(actor, of)?,
            Op::Grant { eligible, holder, role, scope, start, end } => {
                let window = (now + *start as i64 * MINUTE, end.map_or(FOREVER, |end| now + end as i64 * MINUTE));
                self.grant(actor, *eligible, holder, role, scope.as_ref(), window)?
            }
            Op::Take { eligible, target } => self.take(actor, *eligible, *target, now)?,
            Op::Prolong { eligible, target, renew, end } => {
                self.prolong(actor, *eligible, *target, *renew, now + *end as i64 * MINUTE, now)?
            }
            Op::Decide { target, yes, end } => self.decide(actor, *target, *yes, end.map(|end| now + end as i64 * MINUTE), now)?,
            Op::Withdraw(target) => self.withdraw(actor, *target, now)?,
            Op::Put { uid, parents, person, synced } => self.put(actor, uid, (parents, *synced), *person, now, &mut picture)?,
            Op::Delete(uid) => self.delete(actor, uid, &mut picture)?,
            Op::Disable { uid, disabled } => self.disable(actor, uid, *disabled, &mut picture)?,
            Op::Swap(next) => {
                if *next == picture.bundle {
                    Outcome::Unchanged
                } else {
                    let (old, new) = (&self.bundles[picture.bundle], &self.bundles[*next]);
                    picture.left = old.entities.keys().filter(|uid| !new.entities.contains_key(*uid)).cloned().collect();
                    picture.bundle = *next;
                    Outcome::BundleActivated(new.revision.clone())
                }
            }
            Op::AcceptClock => Outcome::ClockAccepted,
            Op::SettleActivation { target, what } => settled(self.due(*target, *what, now)),
            Op::SettleGrant { eligible, target } => {
                let due = |given: &Given| given.eligible == *eligible && given.end <= now && !self.recorded(*target);
                settled(self.given.get(*target).is_some_and(due))
            }
            Op::SettleWish(target) => settled(self.settle_wish(*target, now)),
            Op::Right { .. } => Outcome::Unchanged,
        };
        Ok((outcome, picture))
    }

    fn delete(&self, actor: &Uid, uid: &Uid, picture: &mut Picture) -> Result<Outcome, &'static str> {
        self.permitted(actor, Action::ManageEntity)?;
        if self.owned(picture, uid).is_some() {
            return Err("owned_by_bundle");
        }
        if !picture.stored.contains_key(uid) {
            return Err("not_found");
        }
        if !self.parents(picture, uid).is_empty() {
            self.permitted(actor, Action::ManageMembership)?;
        }
        picture.stored.remove(uid);
        picture.left.insert(uid.clone());
        Ok(Outcome::EntityDeleted(uid.clone()))
    }

    fn disable(&self, actor: &Uid, uid: &Uid, disabled: bool, picture: &mut Picture) -> Result<Outcome, &'static str> {
        self.permitted(actor, Action::ManageEntity)?;
        if uid.kind() != "User" {
            return Err("not_a_holder");
        }
        if !self.exists(picture, uid) {
            return Err("not_found");
        }
        let changed = if disabled { picture.disabled.insert(uid.clone()) } else { picture.disabled.remove(uid) };
        Ok(if changed { Outcome::EntityChanged(uid.clone()) } else { Outcome::Unchanged })
    }

    fn put(
        &self,
        actor: &Uid,
        uid: &Uid,
        (parents, synced): (&[Uid], bool),
        person: Option<&'static str>,
        now: i64,
        picture: &mut Picture,
    ) -> Result<Outcome, &'static str> {
        let step = self.last();
        if uid.kind() == "Role" {
            return Err("type_not_storable");
        }
        if self.owned(picture, uid).is_some() {
            return Err("owned_by_bundle");
        }
        self.permitted(actor, Action::ManageEntity)?;
        if parents.iter().any(|parent| parent.kind() == "Role") {
            return Err("role_as_parent");
        }
        let wanted: BTreeSet<Uid> = parents.iter().cloned().collect();
        for parent in &wanted {
            if parent == uid {
                return Err("cycle");
            }
            if !self.exists(picture, parent) {
                return Err("unknown_parent");
            }
            if self.above(step, parent).contains(uid) {
                return Err("cycle");
            }
        }
        let before = picture.stored.get(uid).cloned();
        let mine = |stored: &Stored| {
            let mine = stored.parents.iter().filter(|((_, of), _)| *of == synced);
            mine.map(|((parent, _), put)| (parent.clone(), *put)).collect::<BTreeMap<_, _>>()
        };
        let fresh = |stored: &Stored| mine(stored).iter().all(|(parent, put)| !self.name_left(parent, *put, step));
        let as_it_is =
            |stored: &Stored| mine(stored).into_keys().collect::<BTreeSet<_>>() == wanted && stored.person == person && fresh(stored);
        if before.as_ref().is_some_and(as_it_is) {
            return Ok(Outcome::Unchanged);
        }
        let had = self.parents(picture, uid);
        let mut becoming = Stored { parents: before.as_ref().map(|stored| stored.parents.clone()).unwrap_or_default(), person };
        becoming.parents.retain(|(_, of), _| *of != synced);
        becoming.parents.extend(wanted.into_iter().map(|parent| ((parent, synced), step + 1)));
        picture.stored.insert(uid.clone(), becoming);
        let have = self.parents(picture, uid);
        if had != have {
            self.permitted(actor, Action::ManageMembership)?;
        }
        let becomes = person.map_or_else(|| uid.to_string(), str::to_owned);
        let oneself = self.reaches(actor, uid) || becomes == self.person(step, actor);
        let rich = |group: &Uid| {
            let held = |(number, given): (usize, &Given)| given.holder == *group && given.end > now && self.stands(number, step);
            self.given.iter().enumerate().any(held)
        };
        if oneself && have.difference(&had).any(|parent| rich(parent) || self.above(step, parent).iter().any(rich)) {
            return Err("self_grant");
        }
        Ok(if before.is_none() { Outcome::EntityCreated(uid.clone()) } else { Outcome::EntityChanged(uid.clone()) })
    }
}

impl Op {
    /// Whether only Elevon itself asks for it.
    pub(super) fn is_elevons(&self) -> bool {
        matches!(self, Self::Swap(_) | Self::AcceptClock | Self::SettleActivation { .. } | Self::SettleGrant { .. } | Self::SettleWish(_))
    }
}

fn settled(due: bool) -> Outcome {
    if due { Outcome::Settled } else { Outcome::Unchanged }
}

fn changed(number: usize) -> Outcome {
    Outcome::ActivationChanged(super::kit::act(&activation_id(number)))
}

pub(super) fn activation_id(number: usize) -> String {
    format!("a{number:03}")
}

pub(super) fn grant_id(number: usize) -> String {
    format!("g{number:03}")
}

pub(super) fn wish_id(number: usize) -> GrantRequestId {
    GrantRequestId::new(&format!("w{number:03}")).unwrap()
}

/// Short names of the universe.
pub(super) fn users() -> Vec<Uid> {
    ["u0", "u1", "u2", "u3", "u4"].map(user).to_vec()
}
