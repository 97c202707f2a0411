//! Random commands and times against the naive model: every answer, every status, the ledger of days, and who holds what where and until
//! when.
//!
//! `ELEVON_HISTORIES` sets how many histories are tried. One that fails is shrunk, and kept in `failures.txt` beside this file: it is tried
//! first by the next run, and belongs into the repository until what it found is mended.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use proptest::prelude::*;
use proptest::test_runner::{Config, FileFailurePersistence, TestRunner};

use super::history::{Aim, Step, any_step, bundles, names, openings, prelude, scopes};
use super::kit::*;
use super::model::{Model, Op, Shown, Timer, activation_id, grant_id, users, wish_id};
use crate::domain::command::{BundleSource, Due, GrantRequest, NewGrant, Term};
use crate::domain::decide::Outcome;
use crate::domain::facts::Tables as _;
use crate::domain::grant::{Cause, GrantRef};
use crate::domain::settings::EdgeSource;
use crate::domain::standing::{Moment, Via, path, standing};
use crate::domain::text::Digest;
use crate::domain::*;

const HISTORIES: u32 = 10_000;

/// How often each of [`TO_MEET`] has to come up in so many histories.
const LEAST: usize = 10;

/// Rules, events and causes without which the comparison would be of little worth.
const TO_MEET: &[&str] = &[
    "activation_cancelled",
    "activation_clamped",
    "activation_deactivated",
    "activation_denied",
    "activation_expired",
    "activation_extended",
    "activation_failed",
    "activation_revoked",
    "activation_scheduled",
    "activation_started",
    "activation_timed_out",
    "activations_voided",
    "already_active",
    "already_granted",
    "already_voted",
    "assignment_expired",
    "assignment_extended",
    "assignment_removed",
    "budget_exhausted",
    "by budget_exhausted",
    "by cap_lowered",
    "by clock_accepted",
    "by eligibility_ended",
    "by eligibility_removed",
    "by group_left",
    "by not_permitted",
    "by parent_ended",
    "by principal_deleted",
    "by principal_disabled",
    "by principal_revoked",
    "by role_removed",
    "by role_revoked",
    "by scope_deleted",
    "by start_missed",
    "by window_past",
    "clamped",
    "clock_accepted",
    "cycle",
    "duration_too_long",
    "duration_zero",
    "eligibility_expired",
    "eligibility_extended",
    "emergency_for_others",
    "emergency_limit",
    "emergency_used",
    "exists",
    "extension clamped",
    "extension_waits",
    "fallback voted",
    "grant_request_approved",
    "grant_request_cancelled",
    "grant_request_denied",
    "grant_request_timed_out",
    "grant_request_waits",
    "grant_requested",
    "narrowed duration",
    "narrowed scope",
    "no_emergency",
    "not_an_approver",
    "not_eligible",
    "not_extendable",
    "not_in_state",
    "not_permitted",
    "not_prolongable",
    "not_the_holder",
    "owned_by_bundle",
    "quorum_unreachable",
    "renewed",
    "request_changed",
    "requirements_missing",
    "self_grant",
    "separation_of_duties",
    "stage_reached",
    "start_too_far",
    "started later",
    "time_untrusted",
    "too_early_to_extend",
    "two edges to one parent",
    "unreachable after a swap",
    "votes_voided",
    "wider_than_asked",
    "window_empty",
];

/// The real thing and the model, side by side.
#[derive(Clone)]
pub(super) struct Both {
    pub(super) world: World,
    pub(super) model: Model,
    bundles: Vec<Arc<Definitions>>,
    first_hashes: Vec<Digest>,
    met: BTreeMap<&'static str, usize>,
    steps: usize,
}

impl Both {
    fn new() -> Self {
        let bundles = bundles();
        let world = World::with(Arc::clone(&bundles[0]));
        let model = Model::new(bundles.clone(), names());
        let mut both = Self { world, model, bundles, first_hashes: Vec::new(), met: BTreeMap::new(), steps: 0 };
        for (actor, op) in prelude() {
            both.step(&Step { wait: 0, actor: user(actor), trusted: true, op, aim: Aim::AsDrawn }).unwrap();
        }
        both
    }

    fn step(&mut self, step: &Step) -> Result<(), String> {
        self.world.wait(step.wait);
        self.world.trusted = step.trusted;
        let op = self.aimed(step);
        let actor = self.acting(step, &op);
        let now = self.world.now.millis();
        let (before, records) = (self.model.activations(), self.world.records.len());
        let expected = self.model.answer(&actor, &op, now, step.trusted);
        let real = self.act(&actor, &op);
        let real = real.map_err(|rejection| rejection.rule());
        if real != expected {
            return Err(format!("{op:?} by {actor}: {real:?}, and the model says {expected:?}"));
        }
        self.take_note(&real, records);
        if let (Op::Swap(_), Ok(Outcome::BundleActivated(_))) = (&op, &real) {
            self.compare_unreachable()?;
        }
        if self.model.activations() > before {
            self.first_hashes.push(self.world.hash(&activation_id(before)));
        }
        self.steps += 1;
        let same = self.compare_statuses().and_then(|()| self.compare_ledgers());
        // One place of four in turn, and all of them at the end.
        let same = same.and_then(|()| self.compare_holdings(self.steps % 4, step.trusted));
        same.map_err(|problem| format!("{op:?} by {actor}: {problem}"))
    }

    /// Counts what was met: refusals by rule, events by kind, and the outcomes that have none.
    fn take_note(&mut self, answer: &Result<Outcome, &'static str>, records: usize) {
        let mut met = |what: &'static str| *self.met.entry(what).or_default() += 1;
        match answer {
            Err(rule) => met(rule),
            Ok(Outcome::ActivationExists(_)) => met("exists"),
            Ok(_) => {}
        }
        for event in self.world.records.iter().skip(records).flat_map(|record| &record.events) {
            met(event.kind());
            met_in(event, &self.world, &mut met);
        }
    }

    fn act(&mut self, actor: &Uid, op: &Op) -> Result<Outcome, Rejection> {
        if let Op::Right { uid, action, denied } = op {
            let right = (uid.clone(), *action);
            if *denied {
                self.world.law.denied.insert(right)
            } else {
                self.world.law.denied.remove(&right)
            };
            return Ok(Outcome::Unchanged);
        }
        let by = if op.is_elevons() { "elevon" } else { actor.id() };
        let command = self.command(op);
        self.world.law.asked.borrow_mut().clear();
        self.world.run(by, command)
    }

    fn command(&self, op: &Op) -> Command {
        let now = self.world.now;
        let later = |minutes: u64| now.plus(mins(minutes));
        let why = |reason: bool| reason.then(|| text("because"));
        let nth = |number: usize| act(&activation_id(number));
        let next = || nth(self.world.rows.all.activations.len());
        let next_grant = || grant_id(self.world.rows.all.eligibilities.len() + self.world.rows.all.assignments.len());
        match op.clone() {
            Op::Request { principal, role, scope, span, reason, emergency } => Command::RequestActivation {
                id: next(),
                principal,
                role: role_name(role),
                scope,
                term: Term { start: span.start.map(later), end: span.end.map(later), duration: span.minutes.map(mins) },
                justification: why(reason),
                ticket: None,
                emergency,
            },
            Op::Extend { target, minutes, reason } => {
                let (duration, justification) = (minutes.map(mins), why(reason));
                Command::Extend { id: next(), of: nth(target), duration, justification, ticket: None }
            }
            Op::Vote { target, yes, hash, scope, minutes } => {
                let id = nth(target);
                let request_hash = match hash {
                    Shown::Now => self.world.hash(id.as_str()),
                    Shown::AtFirst => self.first_hashes.get(target).copied().unwrap_or(Digest([1; 32])),
                    Shown::Never => Digest([1; 32]),
                };
                if yes {
                    Command::Approve { id, request_hash, scope, duration: minutes.map(mins), justification: None }
                } else {
                    Command::Deny { id, request_hash, justification: None }
                }
            }
            Op::Cancel(target) => Command::Cancel { id: nth(target), reason: None },
            Op::Deactivate(target) => Command::Deactivate { id: nth(target), reason: None },
            Op::Revoke(target) => Command::Revoke { id: nth(target), reason: None },
            Op::RevokeAll(of) => Command::RevokeAll { of, reason: None },
            Op::Grant { eligible, holder, role, scope, start, end } => {
                let (start, end) = (Some(later(start)), end.map(later));
                let grant = GrantRequest { holder, role: role_name(role), scope, start, end, justification: None };
                let id = next_grant();
                if eligible {
                    Command::CreateEligibility { id: elg(&id), grant }
                } else {
                    Command::CreateAssignment { id: asg(&id), grant }
                }
            }
            Op::Take { eligible: true, target } => Command::RemoveEligibility { id: elg(&grant_id(target)), reason: None },
            Op::Take { eligible: false, target } => Command::RemoveAssignment { id: asg(&grant_id(target)), reason: None },
            Op::Prolong { eligible, target, renew, end } => {
                let id = grant_id(target);
                let grant = if eligible { GrantRef::Eligibility(elg(&id)) } else { GrantRef::Assignment(asg(&id)) };
                Command::RequestGrant {
                    id: wish_id(self.world.rows.all.grant_requests.len()),
                    grant,
                    renew,
                    end: later(end),
                    justification: None,
                }
            }
            Op::Decide { target, yes: true, end } => {
                let id = next_grant();
                let new = NewGrant { eligibility: elg(&id), assignment: asg(&id) };
                Command::ApproveGrant { id: wish_id(target), new, end: end.map(later), reason: None }
            }
            Op::Decide { target, yes: false, .. } => Command::DenyGrant { id: wish_id(target), reason: None },
            Op::Withdraw(target) => Command::CancelGrant { id: wish_id(target), reason: None },
            Op::Put { uid, parents, person, synced } => {
                let source = if synced { EdgeSource::Scim } else { EdgeSource::Api };
                Command::PutEntity { uid, parents, attrs: attrs(person), source }
            }
            Op::Delete(uid) => Command::DeleteEntity { uid, reason: None },
            Op::Disable { uid, disabled } => Command::SetDisabled { uid, disabled, reason: None },
            Op::Swap(next) => Command::ActivateBundle { definitions: Arc::clone(&self.bundles[next]), source: BundleSource::Watch },
            Op::AcceptClock => Command::AcceptClock,
            Op::SettleActivation { target, what } => Command::Settle(match what {
                Timer::Start => Due::ActivationStart(nth(target)),
                Timer::Timeout => Due::StageTimeout(nth(target)),
                Timer::End => Due::ActivationEnd(nth(target)),
            }),
            Op::SettleGrant { eligible, target } => {
                let id = grant_id(target);
                Command::Settle(if eligible { Due::EligibilityEnd(elg(&id)) } else { Due::AssignmentEnd(asg(&id)) })
            }
            Op::SettleWish(target) => Command::Settle(Due::GrantRequestTimeout(wish_id(target))),
            Op::Right { .. } => unreachable!("rights are no command"),
        }
    }

    /// Where every request stands, by both.
    fn compare_statuses(&self) -> Result<(), String> {
        let now = self.world.now;
        for number in 0..self.model.activations() {
            let (real, expected) = (self.world.status(&activation_id(number)), self.model.status(number, now.millis()));
            if real != expected {
                return Err(format!("activation {number} is {real}, and the model says {expected}"));
            }
        }
        for number in 0..self.model.wishes() {
            let found = self.world.rows.grant_request(&wish_id(number)).unwrap().unwrap();
            let (real, expected) = (found.status(now).0, self.model.wish_status(number, now.millis()));
            if real != expected {
                return Err(format!("request to prolong {number} is {real}, and the model says {expected}"));
            }
        }
        Ok(())
    }

    /// Which requests have too few approvers left under the bundle that just went live, by both.
    fn compare_unreachable(&self) -> Result<(), String> {
        let told = self.world.records.last().unwrap().events.iter();
        let told = told.filter_map(|event| if let Event::QuorumUnreachable { id, .. } = event { Some(id.to_string()) } else { None });
        let (real, expected) = (told.collect::<BTreeSet<_>>(), self.model.unreachable(self.world.now.millis()));
        if real == expected { Ok(()) } else { Err(format!("{real:?} have too few approvers, and the model says {expected:?}")) }
    }

    /// Who holds what on one of the resources or on none, and until when, by both.
    fn compare_holdings(&self, place: usize, trusted: bool) -> Result<(), String> {
        let now = self.world.now;
        let resource = scopes().get(place).cloned();
        let path = resource.as_ref().map(|resource| path(&self.world.rows, resource).unwrap());
        for principal in users() {
            let standing = standing(&self.world.rows, &principal, path.as_deref(), Moment { now, trusted }).unwrap();
            let until = |end: Option<Timestamp>| end.map_or(i64::MAX, Timestamp::millis);
            let held = standing.in_force().map(|holding| (holding.role.to_string(), via(&holding.via), until(holding.end)));
            let (real, expected) = (held.collect::<BTreeSet<_>>(), self.model.holds(&principal, resource.as_ref(), now.millis(), trusted));
            if real != expected {
                return Err(format!("{principal} holds {real:?} on {resource:?}, and the model says {expected:?}"));
            }
        }
        Ok(())
    }

    /// What everybody had of every role on every day, by both.
    fn compare_ledgers(&self) -> Result<(), String> {
        let uses = self.world.rows.all.day_uses.iter().filter(|(_, used)| **used != Default::default());
        let real: BTreeMap<_, _> = uses
            .map(|((principal, role, day), used)| {
                ((principal.clone(), role.to_string(), i64::from(day.0)), (used.millis as i64, used.emergencies as usize))
            })
            .collect();
        let expected: BTreeMap<_, _> =
            self.model.ledger().into_iter().map(|((principal, role, day), used)| ((principal, role.to_owned(), day), used)).collect();
        if real == expected { Ok(()) } else { Err(format!("the ledger says {real:?}, and the model {expected:?}")) }
    }

    /// Everything that stands at the end, and that the journal gives the same.
    fn compare_all(&self, read_back: bool) -> Result<(), String> {
        for place in 0..4 {
            for trusted in [true, false] {
                self.compare_holdings(place, trusted)?;
            }
        }
        self.compare_ledgers()?;
        if self.world.replayed(read_back) != self.world.rows.all {
            return Err("the journal gives something else than what stands".to_owned());
        }
        Ok(())
    }
}

/// What an event says beyond its kind.
fn met_in(event: &Event, world: &World, met: &mut impl FnMut(&'static str)) {
    if let Event::ActivationStarted { clamped, id, .. } = event {
        if *clamped {
            met("clamped");
        }
        let activation = &world.rows.all.activations[id];
        if activation.requested_at < world.now && activation.start == Some(world.now) {
            met("started later");
        }
    }
    if matches!(event, Event::QuorumUnreachable { .. }) {
        met("unreachable after a swap");
    }
    if matches!(event, Event::ActivationExtended { clamped: true, .. }) {
        met("extension clamped");
    }
    if let Event::ActivationRevoked { cause: Some(cause), .. }
    | Event::ActivationFailed { cause, .. }
    | Event::ActivationClamped { cause, .. } = event
    {
        met(cause_word(cause));
    }
    if let Event::ApprovalGiven { vote, .. } = event {
        if vote.waited >= mins(30) && vote.voter.principal() == Some(&user("u3")) {
            met("fallback voted");
        }
        if vote.narrowed.scope.is_some() {
            met("narrowed scope");
        }
        if vote.narrowed.duration.is_some() {
            met("narrowed duration");
        }
    }
    if matches!(event, Event::EligibilityCreated { eligibility } if eligibility.renews.is_some()) {
        met("renewed");
    }
    if let Event::EntityStored { entity } = event {
        let twice = |uid: &Uid| entity.parents.iter().filter(|edge| edge.parent == *uid).count() > 1;
        if entity.parents.iter().any(|edge| twice(&edge.parent)) {
            met("two edges to one parent");
        }
    }
}

fn cause_word(cause: &Cause) -> &'static str {
    match cause {
        Cause::EligibilityRemoved(_) => "by eligibility_removed",
        Cause::EligibilityEnded(_) => "by eligibility_ended",
        Cause::PrincipalDisabled(_) => "by principal_disabled",
        Cause::PrincipalDeleted(_) => "by principal_deleted",
        Cause::GroupLeft(_) => "by group_left",
        Cause::ScopeDeleted(_) => "by scope_deleted",
        Cause::RoleRemoved(_) => "by role_removed",
        Cause::CapLowered(_) => "by cap_lowered",
        Cause::PrincipalRevoked(_) => "by principal_revoked",
        Cause::RoleRevoked(_) => "by role_revoked",
        Cause::ClockAccepted => "by clock_accepted",
        Cause::NotPermitted(_) => "by not_permitted",
        Cause::WindowPast(_) => "by window_past",
        Cause::StartMissed(_) => "by start_missed",
        Cause::BudgetExhausted(_) => "by budget_exhausted",
        Cause::ParentEnded(_) => "by parent_ended",
    }
}

fn via(via: &Via) -> String {
    match via {
        Via::Activation(id) => id.to_string(),
        Via::Assignment(id) => id.to_string(),
    }
}

fn told(mut both: Both, opening: &[(u64, &'static str, Op)], steps: &[Step]) -> Result<BTreeMap<&'static str, usize>, String> {
    for (wait, actor, op) in opening.iter().cloned() {
        both.step(&Step { wait, actor: user(actor), trusted: true, op, aim: Aim::AsDrawn })
            .map_err(|problem| format!("opening: {problem}"))?;
    }
    for (place, step) in steps.iter().enumerate() {
        both.step(step).map_err(|problem| format!("step {place}: {problem}"))?;
    }
    // Reading every record back from its bytes costs more than all the rest, so only some histories do.
    both.compare_all(steps.len().is_multiple_of(8))?;
    Ok(both.met)
}

#[test]
fn every_history_goes_as_the_model_says() {
    let histories = std::env::var("ELEVON_HISTORIES").ok().and_then(|count| count.parse().ok()).unwrap_or(HISTORIES);
    let kept = FileFailurePersistence::Direct("src/domain/decide/tests/failures.txt");
    let config = Config { cases: histories, failure_persistence: Some(Box::new(kept)), max_shrink_iters: 20_000, ..Config::default() };
    let mut runner = TestRunner::new(config);
    let met = std::cell::RefCell::new(BTreeMap::<&'static str, usize>::new());
    let (beginning, openings) = (Both::new(), openings());
    let result = runner.run(&(0..openings.len(), prop::collection::vec(any_step(), 1..40)), |(opening, steps)| {
        let met_here = told(beginning.clone(), &openings[opening], &steps).map_err(TestCaseError::fail)?;
        for (what, times) in met_here {
            *met.borrow_mut().entry(what).or_default() += times;
        }
        Ok(())
    });
    if let Err(failure) = result {
        panic!("{failure}");
    }
    // A comparison that hardly ever meets a rule proves little about it.
    let met = met.into_inner();
    let seldom: Vec<_> = TO_MEET.iter().filter(|what| met.get(**what).copied().unwrap_or(0) < LEAST).collect();
    assert!(histories < HISTORIES || seldom.is_empty(), "hardly met: {seldom:?} of {met:#?}");
}
