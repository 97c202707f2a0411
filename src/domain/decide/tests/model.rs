//! The rules once more, in the plainest way: a list of what was done, a picture of all names after each step, and every question
//! answered by going through the whole list again. It shares no code with `decide`, `apply` or `standing`; it keeps no incarnations,
//! no grants by row and no recorded states.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::kit::{role_name, user};
use crate::domain::decide::Outcome;
use crate::domain::facts::Action;
use crate::domain::*;

/// What is asked, with grants and activations by number.
#[derive(Debug, Clone)]
pub(super) enum Op {
    Request { principal: Uid, role: &'static str, scope: Option<Uid>, minutes: Option<u64>, reason: bool },
    Vote { target: usize, yes: bool, hash: Shown },
    Cancel(usize),
    Deactivate(usize),
    Revoke(usize),
    Grant { eligible: bool, holder: Uid, role: &'static str, scope: Option<Uid>, start: u64, end: Option<u64> },
    Take { eligible: bool, target: usize },
    Put { uid: Uid, parents: Vec<Uid>, person: Option<&'static str> },
    Delete(Uid),
    Disable { uid: Uid, disabled: bool },
    Swap(usize),
    SettleActivation { target: usize, timeout: bool },
    SettleGrant { eligible: bool, target: usize },
    Right { uid: Uid, action: Action, denied: bool },
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
    parents: BTreeSet<Uid>,
    person: Option<&'static str>,
    put: usize,
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

#[derive(Debug, Clone)]
struct Given {
    step: usize,
    eligible: bool,
    holder: Uid,
    role: &'static str,
    scope: Option<Uid>,
    start: i64,
    end: i64,
}

#[derive(Debug, Clone)]
struct Asked {
    step: usize,
    at: i64,
    requester: Uid,
    principal: Uid,
    role: &'static str,
    scope: Option<Uid>,
    seconds: u64,
    /// The number of the eligibility.
    basis: usize,
    bundle: usize,
}

#[derive(Debug, Clone)]
enum Life {
    Pending { stage: usize, timeout: i64, votes: Vec<(Uid, String, usize)> },
    Active { start: i64, end: i64 },
    Over(&'static str),
}

pub(super) struct Model {
    bundles: Vec<Arc<Definitions>>,
    names: Vec<Uid>,
    pictures: Vec<Picture>,
    done: Vec<Done>,
    given: Vec<Given>,
    asked: Vec<Asked>,
}

const FOREVER: i64 = i64::MAX;

impl Model {
    pub(super) fn new(bundles: Vec<Arc<Definitions>>, names: Vec<Uid>) -> Self {
        let mut first = Picture::default();
        let op = Op::Swap(0);
        let mut model = Self {
            bundles,
            names,
            pictures: Vec::new(),
            done: vec![Done { at: 0, actor: None, op }],
            given: Vec::new(),
            asked: Vec::new(),
        };
        first.above = model.all_above(&first);
        model.pictures.push(first);
        model
    }

    fn last(&self) -> usize {
        self.pictures.len() - 1
    }

    // ---- names -------------------------------------------------------------------------------------------------------------------

    fn owned(&self, picture: &Picture, uid: &Uid) -> Option<(BTreeSet<Uid>, Option<String>)> {
        let def = self.bundles[picture.bundle].entities.get(uid)?;
        Some((def.parents.iter().map(|edge| edge.parent.clone()).collect(), def.person()))
    }

    fn exists(&self, picture: &Picture, uid: &Uid) -> bool {
        self.owned(picture, uid).is_some() || picture.stored.contains_key(uid)
    }

    /// Whether a name left after step `from`, up to and with this picture's own step.
    fn left_since(&self, picture: &Picture, uid: &Uid, from: usize) -> bool {
        picture.left.contains(uid) || self.pictures.iter().skip(from + 1).any(|picture| picture.left.contains(uid))
    }

    fn parents(&self, picture: &Picture, uid: &Uid) -> BTreeSet<Uid> {
        if let Some((parents, _)) = self.owned(picture, uid) {
            return parents;
        }
        let Some(stored) = picture.stored.get(uid) else { return BTreeSet::new() };
        let counts = |parent: &&Uid| self.exists(picture, parent) && !self.left_since(picture, parent, stored.put);
        stored.parents.iter().filter(counts).cloned().collect()
    }

    fn all_above(&self, picture: &Picture) -> BTreeMap<Uid, Vec<Uid>> {
        let above = |uid: &Uid| {
            let mut found: Vec<Uid> = Vec::new();
            let mut level = self.parents(picture, uid);
            while !level.is_empty() {
                found.extend(level.iter().cloned());
                let next = level.iter().flat_map(|uid| self.parents(picture, uid));
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
            Some((_, person)) => person,
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

    // ---- grants ------------------------------------------------------------------------------------------------------------------

    fn was_done(&self, step: usize, wanted: impl Fn(&Op) -> bool) -> bool {
        self.done.iter().take(step + 1).any(|done| wanted(&done.op))
    }

    fn taken(&self, number: usize, step: usize) -> bool {
        let eligible = self.given[number].eligible;
        self.was_done(step, |op| matches!(op, Op::Take { eligible: of, target } if *of == eligible && *target == number))
    }

    fn settled(&self, number: usize, step: usize) -> bool {
        let eligible = self.given[number].eligible;
        self.was_done(step, |op| matches!(op, Op::SettleGrant { eligible: of, target } if *of == eligible && *target == number))
    }

    /// Whether a grant is that of the names of this step, whatever the time.
    fn stands(&self, number: usize, step: usize) -> bool {
        let given = &self.given[number];
        !self.taken(number, step)
            && !self.name_left(&given.holder, given.step, step)
            && !self.role_left(given.role, given.step, step)
            && !given.scope.as_ref().is_some_and(|scope| self.name_left(scope, given.step, step))
    }

    fn in_force(&self, number: usize, step: usize, now: i64) -> bool {
        let given = &self.given[number];
        self.stands(number, step) && given.start <= now && now < given.end
    }

    /// Whether it is recorded as ended.
    fn recorded(&self, number: usize) -> bool {
        let step = self.last();
        self.taken(number, step) || self.settled(number, step) || self.name_left(&self.given[number].holder, self.given[number].step, step)
    }

    fn covers(&self, step: usize, scope: Option<&Uid>, resource: Option<&Uid>) -> bool {
        let Some(scope) = scope else { return true };
        resource.is_some_and(|resource| resource == scope || self.above(step, resource).contains(scope))
    }

    fn basis(&self, principal: &Uid, role: &str, scope: Option<&Uid>, now: i64) -> Option<usize> {
        let step = self.last();
        let groups = self.above(step, principal);
        let distance = |holder: &Uid| {
            if holder == principal { Some(0) } else { groups.iter().position(|group| group == holder).map(|place| place + 1) }
        };
        let candidates = self.given.iter().enumerate().filter(|(number, given)| {
            given.eligible && given.role == role && self.in_force(*number, step, now) && self.covers(step, given.scope.as_ref(), scope)
        });
        let near = candidates.filter_map(|(number, given)| distance(&given.holder).map(|near| (FOREVER - given.end, near, number)));
        near.min().map(|(_, _, number)| number)
    }

    // ---- activations -------------------------------------------------------------------------------------------------------------

    /// Why a step ends an open activation by the way, if it does.
    fn ends(&self, asked: &Asked, step: usize) -> bool {
        let holder = &self.given[asked.basis].holder;
        let basis = asked.basis;
        self.works(step, &asked.principal).is_err()
            || self.pictures[step].left.contains(&asked.principal)
            || asked.scope.as_ref().is_some_and(|scope| self.pictures[step].left.contains(scope))
            || self.settings(step, asked.role).is_none()
            || self.pictures[step].left.contains(holder)
            || (*holder != asked.principal && !self.above(step, &asked.principal).contains(holder))
            || matches!(self.done[step].op, Op::Take { eligible: true, target } | Op::SettleGrant { eligible: true, target } if target == basis)
    }

    /// What became of an activation up to a step; and whether that is recorded, so that a timer finds nothing to do.
    fn life(&self, number: usize, step: usize, now: i64) -> (Life, bool) {
        let asked = &self.asked[number];
        let mut life = self.born(asked);
        for k in asked.step + 1..=step {
            let done = &self.done[k];
            let by_time = over_by_time(&life, done.at);
            if self.ends(asked, k) {
                let over = by_time.unwrap_or(if matches!(life, Life::Pending { .. }) { "failed" } else { "revoked" });
                return (Life::Over(over), true);
            }
            life = match (&done.op, life) {
                (Op::SettleActivation { target, .. }, _) if *target == number => return (Life::Over(by_time.unwrap_or("?")), true),
                (Op::Cancel(target), _) if *target == number => return (Life::Over("cancelled"), true),
                (Op::Deactivate(target), _) if *target == number => return (Life::Over("deactivated"), true),
                (Op::Revoke(target), _) if *target == number => return (Life::Over("revoked"), true),
                (Op::Vote { target, yes: false, .. }, _) if *target == number => return (Life::Over("denied"), true),
                (Op::Vote { target, yes: true, .. }, Life::Pending { stage, timeout, votes }) if *target == number => {
                    self.voted(asked, k, stage, timeout, votes)
                }
                (_, life) => life,
            };
            if matches!(life, Life::Over(_)) {
                return (life, true);
            }
        }
        match over_by_time(&life, now) {
            Some(over) => (Life::Over(over), false),
            None => (life, false),
        }
    }

    fn born(&self, asked: &Asked) -> Life {
        match self.settings(asked.step, asked.role).and_then(|settings| settings.stages.first()) {
            Some(stage) => Life::Pending { stage: 0, timeout: asked.at + stage.timeout.millis(), votes: Vec::new() },
            None => Life::Active { start: asked.at, end: asked.at + asked.seconds as i64 * 1000 },
        }
    }

    fn voted(&self, asked: &Asked, step: usize, stage: usize, timeout: i64, mut votes: Vec<(Uid, String, usize)>) -> Life {
        let (at, voter) = (self.done[step].at, self.done[step].actor.clone().unwrap());
        let settings = self.settings(step, asked.role).unwrap();
        let last = settings.stages.len() - 1;
        votes.push((voter.clone(), self.person(step, &voter), stage));
        let cast = |wanted: usize, votes: &[(Uid, String, usize)]| votes.iter().filter(|vote| vote.2.min(last) == wanted).count();
        if cast(stage.min(last), &votes) < settings.stages[stage.min(last)].quorum as usize {
            return Life::Pending { stage, timeout, votes };
        }
        let mut persons = vec![self.person(step, &asked.principal), self.person(step, &asked.requester)];
        votes.retain(|(voter, _, of)| {
            let person = self.person(step, voter);
            let fresh = !persons.contains(&person);
            let valid = fresh
                && self.works(step, voter).is_ok()
                && self.may(step, voter, Action::ApproveActivation)
                && self.among(step, voter, &settings.stages[(*of).min(last)].approvers);
            if valid {
                persons.push(person);
            }
            valid
        });
        let lacking = (0..=last).find(|wanted| cast(*wanted, &votes) < settings.stages[*wanted].quorum as usize);
        match lacking {
            Some(same) if same == stage.min(last) => Life::Pending { stage, timeout, votes },
            Some(other) => Life::Pending { stage: other, timeout: at + settings.stages[other].timeout.millis(), votes },
            None if !self.in_force(asked.basis, step, at) => Life::Over("failed"),
            None if !self.exists(&self.pictures[step], &asked.requester) => Life::Over("failed"),
            None => Life::Active { start: at, end: at + asked.seconds.min(settings.max_duration.secs()) as i64 * 1000 },
        }
    }

    pub(super) fn status(&self, number: usize, now: i64) -> &'static str {
        match self.life(number, self.last(), now).0 {
            Life::Pending { .. } => "pending",
            Life::Active { .. } => "active",
            Life::Over(how) => how,
        }
    }

    pub(super) fn activations(&self) -> usize {
        self.asked.len()
    }

    pub(super) fn grants(&self) -> usize {
        self.given.len()
    }

    /// The end in effect of an activation that counts.
    fn counts_until(&self, number: usize, now: i64) -> Option<i64> {
        let step = self.last();
        let asked = &self.asked[number];
        let (Life::Active { start, end }, _) = self.life(number, step, now) else { return None };
        let cap = start + self.settings(step, asked.role)?.max_duration.millis();
        let end = end.min(cap).min(self.given[asked.basis].end);
        let counts = now < end && self.in_force(asked.basis, step, now);
        counts.then_some(end)
    }

    /// What a principal holds for a resource: each role with what gives it.
    pub(super) fn holds(&self, principal: &Uid, resource: Option<&Uid>, now: i64, trusted: bool) -> BTreeSet<(String, String)> {
        let step = self.last();
        let mut held = BTreeSet::new();
        if self.works(step, principal).is_err() {
            return held;
        }
        for (number, asked) in self.asked.iter().enumerate() {
            let mine = trusted && asked.principal == *principal && self.covers(step, asked.scope.as_ref(), resource);
            if mine && self.counts_until(number, now).is_some() {
                held.insert((asked.role.to_owned(), activation_id(number)));
            }
        }
        for (number, given) in self.given.iter().enumerate() {
            let mine = given.holder == *principal || self.above(step, principal).contains(&given.holder);
            let believed = trusted || given.end == FOREVER;
            if !given.eligible && mine && believed && self.in_force(number, step, now) && self.covers(step, given.scope.as_ref(), resource)
            {
                held.insert((given.role.to_owned(), grant_id(number)));
            }
        }
        held
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
        if !trusted {
            return Err("time_untrusted");
        }
        let by_elevon = matches!(op, Op::Swap(_) | Op::SettleActivation { .. } | Op::SettleGrant { .. });
        if !by_elevon {
            self.works(self.last(), actor)?;
        }
        let (outcome, picture) = self.judge(actor, op, now)?;
        if !matches!(outcome, Outcome::Unchanged | Outcome::ActivationExists(_)) {
            self.note((!by_elevon).then(|| actor.clone()), op, now, picture);
        }
        Ok(outcome)
    }

    fn note(&mut self, actor: Option<Uid>, op: &Op, at: i64, mut picture: Picture) {
        // What an edge was written to may leave in this very step; the steps before are in the list already.
        picture.above = self.all_above(&picture);
        self.pictures.push(picture);
        self.done.push(Done { at, actor, op: op.clone() });
    }

    fn judge(&mut self, actor: &Uid, op: &Op, now: i64) -> Result<(Outcome, Picture), &'static str> {
        let mut picture = self.pictures[self.last()].clone();
        picture.left.clear();
        let outcome = match op {
            Op::Request { principal, role, scope, minutes, reason } => {
                self.request(actor, principal, role, scope.as_ref(), *minutes, *reason, now)?
            }
            Op::Vote { target, yes, hash } => self.vote(actor, *target, *yes, *hash, now)?,
            Op::Cancel(target) => {
                let asked = self.asked.get(*target).ok_or("not_found")?;
                if asked.principal != *actor && asked.requester != *actor {
                    self.permitted(actor, Action::CancelActivation)?;
                }
                self.must_be(*target, "pending", now)?
            }
            Op::Deactivate(target) => {
                let asked = self.asked.get(*target).ok_or("not_found")?;
                if asked.principal != *actor {
                    return Err("not_the_holder");
                }
                self.must_be(*target, "active", now)?
            }
            Op::Revoke(target) => {
                self.asked.get(*target).ok_or("not_found")?;
                self.permitted(actor, Action::RevokeActivation)?;
                self.must_be(*target, "active", now)?
            }
            Op::Grant { eligible, holder, role, scope, start, end } => {
                let window = (now + *start as i64 * 60_000, end.map_or(FOREVER, |end| now + end as i64 * 60_000));
                self.grant(actor, *eligible, holder, role, scope.as_ref(), window, now)?
            }
            Op::Take { eligible, target } => self.take(actor, *eligible, *target, now)?,
            Op::Put { uid, parents, person } => self.put(actor, uid, parents, *person, now, &mut picture)?,
            Op::Delete(uid) => {
                self.permitted(actor, Action::ManageEntity)?;
                if self.owned(&picture, uid).is_some() {
                    return Err("owned_by_bundle");
                }
                if !picture.stored.contains_key(uid) {
                    return Err("not_found");
                }
                if !self.parents(&picture, uid).is_empty() {
                    self.permitted(actor, Action::ManageMembership)?;
                }
                picture.stored.remove(uid);
                picture.left.insert(uid.clone());
                Outcome::EntityDeleted(uid.clone())
            }
            Op::Disable { uid, disabled } => {
                self.permitted(actor, Action::ManageEntity)?;
                if uid.kind() != "User" {
                    return Err("not_a_holder");
                }
                if !self.exists(&picture, uid) {
                    return Err("not_found");
                }
                let changed = if *disabled { picture.disabled.insert(uid.clone()) } else { picture.disabled.remove(uid) };
                if changed { Outcome::EntityChanged(uid.clone()) } else { Outcome::Unchanged }
            }
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
            Op::SettleActivation { target, timeout } => {
                let due = self.asked.get(*target).is_some_and(|_| {
                    let (life, recorded) = self.life(*target, self.last(), now);
                    let wanted = if *timeout { "timed_out" } else { "expired" };
                    !recorded && matches!(life, Life::Over(how) if how == wanted)
                });
                if due { Outcome::Settled } else { Outcome::Unchanged }
            }
            Op::SettleGrant { eligible, target } => {
                let due =
                    self.given.get(*target).is_some_and(|given| given.eligible == *eligible && given.end <= now && !self.recorded(*target));
                if due { Outcome::Settled } else { Outcome::Unchanged }
            }
            Op::Right { .. } => Outcome::Unchanged,
        };
        Ok((outcome, picture))
    }

    fn must_be(&self, target: usize, wanted: &str, now: i64) -> Result<Outcome, &'static str> {
        if self.status(target, now) == wanted {
            Ok(Outcome::ActivationChanged(super::kit::act(&activation_id(target))))
        } else {
            Err("not_in_state")
        }
    }

    fn scope_fits(&self, settings: &RoleSettings, scope: Option<&Uid>) -> Result<(), &'static str> {
        let Some(scope) = scope else { return if settings.scope_required { Err("scope_required") } else { Ok(()) } };
        if settings.scopes.as_ref().is_some_and(|kinds| !kinds.contains(scope.kind())) {
            return Err("scope_not_allowed");
        }
        if self.exists(&self.pictures[self.last()], scope) { Ok(()) } else { Err("unknown_scope") }
    }

    #[allow(clippy::too_many_arguments)]
    fn request(
        &mut self,
        actor: &Uid,
        principal: &Uid,
        role: &'static str,
        scope: Option<&Uid>,
        minutes: Option<u64>,
        reason: bool,
        now: i64,
    ) -> Result<Outcome, &'static str> {
        let step = self.last();
        let settings = self.settings(step, role).ok_or("unknown_role")?.clone();
        self.scope_fits(&settings, scope)?;
        if principal.kind() != "User" {
            return Err("not_a_holder");
        }
        self.works(step, principal)?;
        self.permitted(actor, if actor == principal { Action::ActivateRole } else { Action::ActivateRoleFor })?;
        let seconds = minutes.map_or(settings.default_duration.secs(), |minutes| minutes * 60);
        if seconds == 0 {
            return Err("duration_zero");
        }
        if seconds > settings.max_duration.secs() {
            return Err("duration_too_long");
        }
        if !settings.require.is_empty() && !reason {
            return Err("requirements_missing");
        }
        let basis = self.basis(principal, role, scope, now).ok_or("not_eligible")?;
        let same = |asked: &Asked| asked.principal == *principal && asked.role == role && asked.scope.as_ref() == scope;
        let alike: Vec<usize> = (0..self.asked.len()).filter(|number| same(&self.asked[*number])).collect();
        let longest = alike.iter().filter_map(|number| self.counts_until(*number, now).map(|end| (FOREVER - end, *number))).min();
        if let Some((rest, number)) = longest {
            let enough = FOREVER - rest >= now + seconds as i64 * 1000;
            return if enough { Ok(Outcome::ActivationExists(super::kit::act(&activation_id(number)))) } else { Err("already_active") };
        }
        let waiting = |number: &&usize| {
            let other = &self.asked[**number];
            self.status(**number, now) == "pending" && other.seconds == seconds && other.requester == *actor
        };
        if let Some(number) = alike.iter().find(waiting) {
            return Ok(Outcome::ActivationExists(super::kit::act(&activation_id(*number))));
        }
        let involved = [self.person(step, actor), self.person(step, principal)];
        for stage in &settings.stages {
            let able = self.names.iter().filter(|uid| uid.kind() == "User" && self.works(step, uid).is_ok());
            let persons = able.filter(|uid| self.among(step, uid, &stage.approvers)).map(|uid| self.person(step, uid));
            let persons: BTreeSet<String> = persons.filter(|person| !involved.contains(person)).collect();
            if persons.len() < stage.quorum as usize {
                return Err("quorum_unreachable");
            }
        }
        let number = self.asked.len();
        self.asked.push(Asked {
            step: step + 1,
            at: now,
            requester: actor.clone(),
            principal: principal.clone(),
            role,
            scope: scope.cloned(),
            seconds,
            basis,
            bundle: self.pictures[step].bundle,
        });
        Ok(Outcome::ActivationCreated(super::kit::act(&activation_id(number))))
    }

    fn vote(&self, actor: &Uid, target: usize, yes: bool, hash: Shown, now: i64) -> Result<Outcome, &'static str> {
        let step = self.last();
        let asked = self.asked.get(target).ok_or("not_found")?;
        let (Life::Pending { stage, votes, .. }, _) = self.life(target, step, now) else { return Err("not_in_state") };
        let settings = self.settings(step, asked.role).ok_or("unknown_role")?;
        let person = self.person(step, actor);
        if person == self.person(step, &asked.principal) || person == self.person(step, &asked.requester) {
            return Err("separation_of_duties");
        }
        let in_list = settings.stages.get(stage).or(settings.stages.last()).is_some_and(|stage| self.among(step, actor, &stage.approvers));
        if !in_list {
            return Err("not_an_approver");
        }
        self.permitted(actor, if yes { Action::ApproveActivation } else { Action::DenyActivation })?;
        if yes && votes.iter().any(|(voter, then, _)| voter == actor || *then == person) {
            return Err("already_voted");
        }
        let then = self.bundles[asked.bundle].roles.get(&role_name(asked.role)).map(|settings| settings.digest);
        let unchanged = stage == 0 && then == Some(settings.digest);
        match hash {
            Shown::Now => {}
            Shown::AtFirst if unchanged => {}
            Shown::AtFirst | Shown::Never => return Err("request_changed"),
        }
        Ok(Outcome::ActivationChanged(super::kit::act(&activation_id(target))))
    }

    #[allow(clippy::too_many_arguments)]
    fn grant(
        &mut self,
        actor: &Uid,
        eligible: bool,
        holder: &Uid,
        role: &'static str,
        scope: Option<&Uid>,
        (start, end): (i64, i64),
        now: i64,
    ) -> Result<Outcome, &'static str> {
        let step = self.last();
        let settings = self.settings(step, role).ok_or("unknown_role")?.clone();
        self.scope_fits(&settings, scope)?;
        if !["User", "Group"].contains(&holder.kind()) {
            return Err("not_a_holder");
        }
        self.works(step, holder)?;
        if self.reaches(actor, holder) {
            return Err("self_grant");
        }
        self.permitted(actor, Action::AssignRole)?;
        let limits = if eligible { settings.eligibility } else { settings.assignment };
        if end == FOREVER {
            if !limits.allow_permanent {
                return Err("permanent_not_allowed");
            }
        } else if end <= start {
            return Err("window_empty");
        } else if end - start > limits.max_duration.millis() {
            return Err("duration_too_long");
        }
        let clashes = self.given.iter().enumerate().any(|(number, other)| {
            let same = other.eligible == eligible && other.holder == *holder && other.role == role && other.scope.as_ref() == scope;
            same && other.start < end && start < other.end && other.end > now && self.stands(number, step)
        });
        if clashes {
            return Err("already_granted");
        }
        let number = self.given.len();
        self.given.push(Given { step: step + 1, eligible, holder: holder.clone(), role, scope: scope.cloned(), start, end });
        let id = grant_id(number);
        Ok(if eligible { Outcome::EligibilityCreated(super::kit::elg(&id)) } else { Outcome::AssignmentCreated(super::kit::asg(&id)) })
    }

    fn take(&self, actor: &Uid, eligible: bool, target: usize, now: i64) -> Result<Outcome, &'static str> {
        let given = self.given.get(target).filter(|given| given.eligible == eligible).ok_or("not_found")?;
        self.permitted(actor, Action::AssignRole)?;
        if self.recorded(target) || given.end <= now {
            return Err("not_in_state");
        }
        let id = grant_id(target);
        Ok(if eligible { Outcome::EligibilityRemoved(super::kit::elg(&id)) } else { Outcome::AssignmentRemoved(super::kit::asg(&id)) })
    }

    fn put(
        &self,
        actor: &Uid,
        uid: &Uid,
        parents: &[Uid],
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
        let parents: BTreeSet<Uid> = parents.iter().cloned().collect();
        for parent in &parents {
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
        let before = picture.stored.get(uid);
        let fresh = |stored: &Stored| parents.iter().all(|parent| !self.name_left(parent, stored.put, step));
        if before.is_some_and(|stored| stored.parents == parents && stored.person == person && fresh(stored)) {
            return Ok(Outcome::Unchanged);
        }
        let had = self.parents(picture, uid);
        let added: Vec<&Uid> = parents.difference(&had).collect();
        if had != parents {
            self.permitted(actor, Action::ManageMembership)?;
        }
        let becomes = person.map_or_else(|| uid.to_string(), str::to_owned);
        let oneself = self.reaches(actor, uid) || becomes == self.person(step, actor);
        let rich = |group: &Uid| {
            let held = |(number, given): (usize, &Given)| given.holder == *group && given.end > now && self.stands(number, step);
            self.given.iter().enumerate().any(held)
        };
        if oneself && added.iter().any(|parent| rich(parent) || self.above(step, parent).iter().any(rich)) {
            return Err("self_grant");
        }
        let outcome = if before.is_none() { Outcome::EntityCreated(uid.clone()) } else { Outcome::EntityChanged(uid.clone()) };
        picture.stored.insert(uid.clone(), Stored { parents, person, put: step + 1 });
        Ok(outcome)
    }
}

fn over_by_time(life: &Life, now: i64) -> Option<&'static str> {
    match life {
        Life::Pending { timeout, .. } if *timeout <= now => Some("timed_out"),
        Life::Active { end, .. } if *end <= now => Some("expired"),
        Life::Over(how) => Some(how),
        Life::Pending { .. } | Life::Active { .. } => None,
    }
}

pub(super) fn activation_id(number: usize) -> String {
    format!("a{number:03}")
}

pub(super) fn grant_id(number: usize) -> String {
    format!("g{number:03}")
}

/// Short names of the universe.
pub(super) fn users() -> Vec<Uid> {
    ["u0", "u1", "u2", "u3", "u4"].map(user).to_vec()
}
