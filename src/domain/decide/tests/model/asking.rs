//! What may be asked for, voted on and ended, and by whom.

use std::collections::BTreeSet;

use super::lives::{Life, Phase};
use super::{MINUTE, Model, Op, Shown, activation_id, changed};
use crate::domain::command::Everything;
use crate::domain::decide::Outcome;
use crate::domain::facts::Action;
use crate::domain::settings::Stage;
use crate::domain::*;

/// A request as it was made.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    pub(super) at: i64,
    pub(super) requester: Uid,
    pub(super) principal: Uid,
    pub(super) role: &'static str,
    pub(super) scope: Option<Uid>,
    pub(super) seconds: u64,
    pub(super) start: Option<i64>,
    pub(super) end: Option<i64>,
    pub(super) emergency: bool,
    pub(super) extends: Option<usize>,
    /// The number of the eligibility.
    pub(super) basis: usize,
    pub(super) bundle: usize,
}

impl Asked {
    /// The window that it would have from an instant on.
    pub(super) fn window(&self, from: i64, seconds: u64) -> (i64, i64) {
        let end = from + seconds as i64 * 1000;
        (from, self.end.map_or(end, |fixed| end.min(fixed)))
    }
}

fn overlap(one: (i64, i64), other: (i64, i64)) -> bool {
    one.0 < other.1 && other.0 < one.1
}

impl Model {
    pub(in super::super) fn activations(&self) -> usize {
        self.asked.len()
    }

    pub(super) fn asks(&mut self, actor: &Uid, op: &Op, now: i64) -> Result<Outcome, &'static str> {
        let made = if matches!(op, Op::Request { .. }) { self.request(actor, op, now)? } else { self.extension(actor, op, now)? };
        match made {
            Ok(exists) => Ok(Outcome::ActivationExists(super::super::kit::act(&activation_id(exists)))),
            Err(asked) => {
                self.asked.push(asked);
                Ok(Outcome::ActivationCreated(super::super::kit::act(&activation_id(self.asked.len() - 1))))
            }
        }
    }

    /// The one that exists already, or the one that is made.
    fn request(&self, actor: &Uid, op: &Op, now: i64) -> Result<Result<usize, Asked>, &'static str> {
        let Op::Request { principal, role, scope, span, reason, emergency } = op else { unreachable!() };
        let (step, emergency) = (self.last(), *emergency);
        let settings = self.settings(step, role).ok_or("unknown_role")?;
        self.scope_fits(settings, scope.as_ref())?;
        if principal.kind() != "User" {
            return Err("not_a_holder");
        }
        self.works(step, principal)?;
        if emergency && actor != principal {
            return Err("emergency_for_others");
        }
        if emergency && settings.emergency.is_none() {
            return Err("no_emergency");
        }
        let glass = settings.emergency.filter(|_| emergency);
        let start = span.start.filter(|start| *start > 0 && !emergency).map(|start| now + start as i64 * MINUTE);
        let end = span.end.map(|end| now + end as i64 * MINUTE);
        let from = start.unwrap_or(now);
        if end.is_some_and(|end| end <= from) {
            return Err("window_empty");
        }
        self.permitted(
            actor,
            match (emergency, actor == principal) {
                (true, _) => Action::ActivateInEmergency,
                (false, true) => Action::ActivateRole,
                (false, false) => Action::ActivateRoleFor,
            },
        )?;
        let most = glass.map_or(settings.max_duration, |glass| glass.max_duration).secs();
        let usual = settings.default_duration.secs().min(if emergency { most } else { u64::MAX });
        let seconds = end.map_or(span.minutes.map_or(usual, |minutes| minutes * 60), |end| ((end - from) / 1000) as u64);
        Self::length_fits(seconds, most)?;
        if start.is_some_and(|start| start - now > settings.activate_within.millis()) {
            return Err("start_too_far");
        }
        if (emergency || !settings.require.is_empty()) && !reason {
            return Err("requirements_missing");
        }
        let basis = self.basis(principal, role, scope.as_ref(), now).ok_or("not_eligible")?;
        let asked = Asked {
            at: now,
            requester: actor.clone(),
            principal: principal.clone(),
            role,
            scope: scope.clone(),
            seconds,
            start,
            end,
            emergency,
            extends: None,
            basis,
            bundle: self.pictures[step].bundle,
        };
        let wanted = asked.window(from, seconds);
        if let Some(exists) = self.ensured(&asked, wanted, now)? {
            return Ok(Ok(exists));
        }
        if let Some(glass) = glass {
            if self.emergencies(principal, role, now) >= glass.max_per_day as usize {
                return Err("emergency_limit");
            }
        } else {
            self.enough_approvers(&asked, &settings.stages)?;
            if !self.has_time(principal, role, wanted, None) {
                return Err("budget_exhausted");
            }
        }
        Ok(Err(asked))
    }

    fn length_fits(seconds: u64, most: u64) -> Result<(), &'static str> {
        match seconds {
            0 => Err("duration_zero"),
            more if more > most => Err("duration_too_long"),
            _ => Ok(()),
        }
    }

    /// The activation or request that gives what is asked for: what counts now first, then what waits.
    fn ensured(&self, asked: &Asked, wanted: (i64, i64), now: i64) -> Result<Option<usize>, &'static str> {
        let theirs = |number: &usize| self.asked[*number].principal == asked.principal && self.asked[*number].role == asked.role;
        let alike: Vec<usize> = (0..self.asked.len())
            .filter(theirs)
            .filter(|number| self.lives[*number].scope == asked.scope && self.asked[*number].emergency == asked.emergency)
            .filter(|number| self.asked[*number].extends.is_none())
            .collect();
        let counting = |number: &usize| {
            let (start, _) = self.lives[*number].runs()?;
            let end = self.counts_until(*number, now)?;
            overlap((start, end), wanted).then_some((end, *number))
        };
        let active: Vec<(i64, usize)> = alike.iter().filter_map(counting).collect();
        let longest = active.iter().filter(|(end, _)| *end >= wanted.1).min_by_key(|(end, number)| (-end, *number));
        if let Some((_, number)) = longest {
            return Ok(Some(*number));
        }
        let waits = |number: &&usize| {
            let other = &self.asked[**number];
            let window = other.window(other.start.unwrap_or(now).max(now), self.lives[**number].seconds);
            ["pending", "scheduled"].contains(&self.status(**number, now))
                && overlap(window, wanted)
                && window.1 >= wanted.1
                && self.in_force(other.basis, self.last(), now)
                && self.works(self.last(), &other.requester).is_ok()
        };
        if let Some(number) = alike.iter().find(waits) {
            return Ok(Some(*number));
        }
        if active.is_empty() { Ok(None) } else { Err("already_active") }
    }

    fn extension(&self, actor: &Uid, op: &Op, now: i64) -> Result<Result<usize, Asked>, &'static str> {
        let Op::Extend { target, minutes, reason } = op else { unreachable!() };
        let (step, of) = (self.last(), *target);
        let parent = self.asked.get(of).ok_or("not_found")?;
        self.permitted(actor, Action::ExtendActivation)?;
        let Some((start, end)) = self.lives[of].runs().filter(|_| self.status(of, now) == "active") else { return Err("not_in_state") };
        let settings = self.settings(step, parent.role).ok_or("unknown_role")?;
        if parent.emergency || self.lives[of].extended >= settings.max_extensions || self.counts_until(of, now) != Some(end) {
            return Err("not_extendable");
        }
        if (now - start) * 100 < (end - start) * i64::from(settings.extendable_after) {
            return Err("too_early_to_extend");
        }
        let seconds = minutes.map_or(settings.default_duration.secs(), |minutes| minutes * 60);
        Self::length_fits(seconds, settings.max_duration.secs())?;
        if !settings.require.is_empty() && !reason {
            return Err("requirements_missing");
        }
        let waits = |number: &usize| self.asked[*number].extends == Some(of) && self.status(*number, now) == "pending";
        if let Some(waiting) = (0..self.asked.len()).find(waits) {
            return if self.lives[waiting].seconds >= seconds { Ok(Ok(waiting)) } else { Err("extension_waits") };
        }
        let asked = Asked {
            at: now,
            requester: actor.clone(),
            scope: self.lives[of].scope.clone(),
            seconds,
            start: None,
            end: None,
            extends: Some(of),
            bundle: self.pictures[step].bundle,
            ..parent.clone()
        };
        self.enough_approvers(&asked, &settings.stages)?;
        if !self.has_time(&asked.principal, asked.role, (end, end + seconds as i64 * 1000), None) {
            return Err("budget_exhausted");
        }
        Ok(Err(asked))
    }

    /// Who has no vote: whoever asked, benefits, or asked for what is extended.
    pub(super) fn involved(&self, asked: &Asked, step: usize) -> Vec<String> {
        let parents = asked.extends.map(|of| self.asked[of].requester.clone());
        [asked.requester.clone(), asked.principal.clone()].iter().chain(&parents).map(|uid| self.person(step, uid)).collect()
    }

    /// Tries every way of seating one person on each vote that is needed.
    fn enough_approvers(&self, asked: &Asked, stages: &[Stage]) -> Result<(), &'static str> {
        let step = self.last();
        let involved = self.involved(asked, step);
        let able = |stage: &Stage| {
            let listed = |uid: &&Uid| {
                let fallback = stage.fallback.as_ref().is_some_and(|fallback| self.among(step, uid, &fallback.approvers));
                fallback || self.among(step, uid, &stage.approvers)
            };
            let able = self.names.iter().filter(|uid| uid.kind() == "User" && self.works(step, uid).is_ok()).filter(listed);
            able.map(|uid| self.person(step, uid)).filter(|person| !involved.contains(person)).collect::<BTreeSet<String>>()
        };
        let seats: Vec<BTreeSet<String>> =
            stages.iter().flat_map(|stage| std::iter::repeat_n(able(stage), stage.quorum as usize)).collect();
        fn seated(seats: &[BTreeSet<String>], taken: &mut Vec<String>) -> bool {
            let Some((seat, rest)) = seats.split_first() else { return true };
            seat.iter().any(|person| {
                let free = !taken.contains(person);
                taken.push(person.clone());
                let all = free && seated(rest, taken);
                taken.pop();
                all
            })
        }
        if seated(&seats, &mut Vec::new()) { Ok(()) } else { Err("quorum_unreachable") }
    }

    /// Requests that wait for more approvers than there are.
    pub(in super::super) fn unreachable(&self, now: i64) -> BTreeSet<String> {
        let lacks = |number: &usize| {
            let asked = &self.asked[*number];
            let stages = self.settings(self.last(), asked.role).map(|settings| settings.stages.as_slice()).unwrap_or_default();
            self.status(*number, now) == "pending" && self.enough_approvers(asked, stages).is_err()
        };
        (0..self.asked.len()).filter(lacks).map(activation_id).collect()
    }

    /// Whether somebody is asked in a stage that has waited so many seconds.
    pub(super) fn is_asked(&self, step: usize, stage: &Stage, voter: &Uid, waited: i64) -> bool {
        let fallback = stage.fallback.as_ref().filter(|fallback| waited >= fallback.after.secs() as i64);
        self.among(step, voter, &stage.approvers) || fallback.is_some_and(|fallback| self.among(step, voter, &fallback.approvers))
    }

    pub(super) fn vote(
        &self,
        actor: &Uid,
        target: usize,
        yes: bool,
        hash: Shown,
        (scope, minutes): (Option<&Uid>, Option<u64>),
        now: i64,
    ) -> Result<(), &'static str> {
        let step = self.last();
        let (asked, life) = (self.asked.get(target).ok_or("not_found")?, self.lives.get(target).ok_or("not_found")?);
        let Life { phase: Phase::Pending { stage, since, timeout }, .. } = life else { return Err("not_in_state") };
        if *timeout <= now {
            return Err("not_in_state");
        }
        let settings = self.settings(step, asked.role).ok_or("unknown_role")?;
        let person = self.person(step, actor);
        if self.involved(asked, step).contains(&person) {
            return Err("separation_of_duties");
        }
        let stage_now = settings.stages.get(*stage).or(settings.stages.last());
        if !stage_now.is_some_and(|stage| self.is_asked(step, stage, actor, (now - since) / 1000)) {
            return Err("not_an_approver");
        }
        if yes {
            self.narrower(asked, life, settings, scope, minutes)?;
        }
        self.permitted(actor, if yes { Action::ApproveActivation } else { Action::DenyActivation })?;
        if yes && life.votes.iter().any(|vote| vote.voter == *actor || vote.person == person) {
            return Err("already_voted");
        }
        let digest = |bundle: usize| self.bundles[bundle].roles.get(&super::role_name(asked.role)).map(|settings| settings.digest);
        let unchanged = *stage == 0
            && (&life.scope, life.seconds) == (&asked.scope, asked.seconds)
            && digest(asked.bundle) == digest(self.pictures[step].bundle);
        match hash {
            Shown::Now => Ok(()),
            Shown::AtFirst if unchanged => Ok(()),
            Shown::AtFirst | Shown::Never => Err("request_changed"),
        }
    }

    /// Who may vote for a request.
    pub(in super::super) fn voters(&self, target: usize, now: i64) -> Vec<Uid> {
        let may = |uid: &&Uid| self.works(self.last(), uid).is_ok() && self.vote(uid, target, true, Shown::Now, (None, None), now).is_ok();
        self.names.iter().filter(|uid| uid.kind() == "User").filter(may).cloned().collect()
    }

    /// An approver gives less, or the same.
    fn narrower(
        &self,
        asked: &Asked,
        life: &Life,
        settings: &RoleSettings,
        scope: Option<&Uid>,
        minutes: Option<u64>,
    ) -> Result<(), &'static str> {
        match minutes {
            Some(0) => return Err("duration_zero"),
            Some(minutes) if minutes * 60 > life.seconds => return Err("wider_than_asked"),
            _ => {}
        }
        let Some(scope) = scope.filter(|scope| life.scope.as_ref() != Some(*scope)) else { return Ok(()) };
        if asked.extends.is_some() {
            return Err("wider_than_asked");
        }
        self.scope_fits(settings, Some(scope))?;
        if self.covers(self.last(), life.scope.as_ref(), Some(scope)) { Ok(()) } else { Err("wider_than_asked") }
    }

    pub(super) fn end_one(&self, actor: &Uid, op: &Op, now: i64) -> Result<Outcome, &'static str> {
        let (Op::Cancel(target) | Op::Deactivate(target) | Op::Revoke(target)) = op else { unreachable!() };
        let asked = self.asked.get(*target).ok_or("not_found")?;
        let wanted: &[&str] = if let Op::Deactivate(_) = op {
            if asked.principal != *actor {
                return Err("not_the_holder");
            }
            &["active"]
        } else if let Op::Revoke(_) = op {
            self.permitted(actor, Action::RevokeActivation)?;
            &["active", "scheduled"]
        } else {
            if asked.principal != *actor && asked.requester != *actor {
                self.permitted(actor, Action::CancelActivation)?;
            }
            &["pending", "scheduled"]
        };
        if wanted.contains(&self.status(*target, now)) { Ok(changed(*target)) } else { Err("not_in_state") }
    }

    pub(super) fn end_all(&self, actor: &Uid, of: &Everything) -> Result<Outcome, &'static str> {
        let step = self.last();
        let any = |of: &dyn Fn(&Asked) -> bool| self.asked.iter().zip(&self.lives).any(|(asked, life)| of(asked) && life.is_open());
        if matches!(of, Everything::Principal(_)) {
            self.permitted(actor, Action::RevokePrincipal)?;
        }
        let any = match of {
            Everything::Principal(uid) if uid.kind() != "User" => return Err("not_a_holder"),
            Everything::Principal(uid) if !self.exists(&self.pictures[step], uid) => return Err("not_found"),
            Everything::Principal(uid) => any(&|asked| asked.principal == *uid),
            Everything::Role(role) => {
                self.settings(step, role.as_str()).ok_or("unknown_role")?;
                self.permitted(actor, Action::RevokeRole)?;
                any(&|asked| asked.role == role.as_str())
            }
        };
        Ok(if any { Outcome::AllRevoked(of.clone()) } else { Outcome::Unchanged })
    }
}
