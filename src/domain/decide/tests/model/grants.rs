//! Eligibilities and assignments, and requests to extend or renew them.

use super::{FOREVER, Model, Op, grant_id, wish_id};
use crate::domain::decide::Outcome;
use crate::domain::facts::Action;
use crate::domain::*;

const MONTH: i64 = 30 * 86_400_000;

/// An eligibility or an assignment; its end as it was last extended.
#[derive(Debug, Clone)]
pub(super) struct Given {
    pub(super) step: usize,
    pub(super) eligible: bool,
    pub(super) holder: Uid,
    pub(super) role: &'static str,
    pub(super) scope: Option<Uid>,
    pub(super) start: i64,
    pub(super) end: i64,
}

/// A request to extend or renew one.
#[derive(Debug, Clone)]
pub(super) struct Wish {
    grant: usize,
    requester: Uid,
    end: i64,
    /// When it is too late to decide.
    until: i64,
    over: Option<&'static str>,
}

impl Model {
    pub(in super::super) fn grants(&self) -> usize {
        self.given.len()
    }

    pub(in super::super) fn wishes(&self) -> usize {
        self.wishes.len()
    }

    pub(in super::super) fn wish_status(&self, number: usize, now: i64) -> &'static str {
        let wish = &self.wishes[number];
        wish.over.unwrap_or(if wish.until <= now { "timed_out" } else { "pending" })
    }

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

    /// When an assignment that has an end was ended by the word that the clock is right.
    fn clocked(&self, number: usize, step: usize) -> Option<i64> {
        let given = &self.given[number];
        let timed = !given.eligible && given.end != FOREVER;
        let accepted = self.done.iter().take(step + 1).skip(given.step + 1).find(|done| timed && matches!(done.op, Op::AcceptClock));
        accepted.map(|done| done.at)
    }

    /// Whether a grant is that of the names of this step, whatever the time.
    pub(super) fn stands(&self, number: usize, step: usize) -> bool {
        !self.taken(number, step) && self.clocked(number, step).is_none() && self.names_stand(number, step)
    }

    fn names_stand(&self, number: usize, step: usize) -> bool {
        let given = &self.given[number];
        !self.name_left(&given.holder, given.step, step)
            && !self.role_left(given.role, given.step, step)
            && !given.scope.as_ref().is_some_and(|scope| self.name_left(scope, given.step, step))
    }

    pub(super) fn in_force(&self, number: usize, step: usize, now: i64) -> bool {
        let given = &self.given[number];
        given.start <= now && now < given.end && self.stands(number, step)
    }

    /// Whether it is recorded as ended.
    pub(super) fn recorded(&self, number: usize) -> bool {
        let step = self.last();
        self.taken(number, step)
            || self.settled(number, step)
            || self.clocked(number, step).is_some()
            || self.name_left(&self.given[number].holder, self.given[number].step, step)
    }

    /// The eligibility that lasts longest, then the nearest.
    pub(super) fn basis(&self, principal: &Uid, role: &str, scope: Option<&Uid>, now: i64) -> Option<usize> {
        let step = self.last();
        let groups = self.above(step, principal);
        let distance = |holder: &Uid| {
            if holder == principal { Some(0) } else { groups.iter().position(|group| group == holder).map(|place| place + 1) }
        };
        let candidates = self.given.iter().enumerate().filter(|(number, given)| {
            given.eligible && given.role == role && self.covers(step, given.scope.as_ref(), scope) && self.in_force(*number, step, now)
        });
        let near = candidates.filter_map(|(number, given)| distance(&given.holder).map(|near| (FOREVER - given.end, near, number)));
        near.min().map(|(_, _, number)| number)
    }

    fn long_enough(settings: &RoleSettings, eligible: bool, start: i64, end: i64) -> Result<(), &'static str> {
        let limits = if eligible { settings.eligibility } else { settings.assignment };
        if end == FOREVER {
            return if limits.allow_permanent { Ok(()) } else { Err("permanent_not_allowed") };
        }
        if end <= start {
            return Err("window_empty");
        }
        if end - start > limits.max_duration.millis() { Err("duration_too_long") } else { Ok(()) }
    }

    /// Whether the holder would have the same twice at a time.
    fn twice(&self, but: Option<usize>, like: &Given) -> bool {
        let step = self.last();
        self.given.iter().enumerate().any(|(number, other)| {
            Some(number) != but
                && (other.eligible, &other.holder, other.role, &other.scope) == (like.eligible, &like.holder, like.role, &like.scope)
                && other.start < like.end
                && like.start < other.end
                && self.stands(number, step)
        })
    }

    pub(super) fn grant(
        &mut self,
        actor: &Uid,
        eligible: bool,
        holder: &Uid,
        role: &'static str,
        scope: Option<&Uid>,
        (start, end): (i64, i64),
    ) -> Result<Outcome, &'static str> {
        let step = self.last();
        let settings = self.settings(step, role).ok_or("unknown_role")?;
        self.scope_fits(settings, scope)?;
        if !["User", "Group"].contains(&holder.kind()) {
            return Err("not_a_holder");
        }
        self.works(step, holder)?;
        if self.reaches(actor, holder) {
            return Err("self_grant");
        }
        self.permitted(actor, Action::AssignRole)?;
        Self::long_enough(settings, eligible, start, end)?;
        let given = Given { step: step + 1, eligible, holder: holder.clone(), role, scope: scope.cloned(), start, end };
        if self.twice(None, &given) {
            return Err("already_granted");
        }
        let id = grant_id(self.given.len());
        self.given.push(given);
        let (eligibility, assignment) = (super::super::kit::elg(&id), super::super::kit::asg(&id));
        Ok(if eligible { Outcome::EligibilityCreated(eligibility) } else { Outcome::AssignmentCreated(assignment) })
    }

    pub(super) fn take(&self, actor: &Uid, eligible: bool, target: usize, now: i64) -> Result<Outcome, &'static str> {
        let given = self.given.get(target).filter(|given| given.eligible == eligible).ok_or("not_found")?;
        self.permitted(actor, Action::AssignRole)?;
        if self.recorded(target) || given.end <= now {
            return Err("not_in_state");
        }
        let (eligibility, assignment) = (super::super::kit::elg(&grant_id(target)), super::super::kit::asg(&grant_id(target)));
        Ok(if eligible { Outcome::EligibilityRemoved(eligibility) } else { Outcome::AssignmentRemoved(assignment) })
    }

    // ---- extending and renewing --------------------------------------------------------------------------------------------------

    /// Whether a grant can be prolonged in this way: it has an end, which is to come, or is past for less than a month.
    fn prolongable(&self, number: usize, renew: bool, now: i64) -> Result<(), &'static str> {
        let (step, given) = (self.last(), &self.given[number]);
        let clocked_late = self.clocked(number, step).is_some_and(|at| given.end <= at);
        let expired = !self.taken(number, step) && (self.settled(number, step) || clocked_late);
        let removed = self.recorded(number) && !expired;
        let time = if renew { given.end <= now && now < given.end + MONTH } else { now < given.end };
        if removed || given.end == FOREVER || !time || !self.names_stand(number, step) { Err("not_prolongable") } else { Ok(()) }
    }

    pub(super) fn prolong(
        &mut self,
        actor: &Uid,
        eligible: bool,
        target: usize,
        renew: bool,
        end: i64,
        now: i64,
    ) -> Result<Outcome, &'static str> {
        let step = self.last();
        let given = self.given.get(target).filter(|given| given.eligible == eligible).ok_or("not_found")?;
        if !self.among(step, actor, std::slice::from_ref(&given.holder)) {
            self.permitted(actor, Action::AssignRole)?;
        }
        self.prolongable(target, renew, now)?;
        if end <= given.end {
            return Err("window_empty");
        }
        Self::long_enough(self.settings(step, given.role).ok_or("unknown_role")?, eligible, now, end)?;
        if (0..self.wishes.len()).any(|number| self.wishes[number].grant == target && self.wish_status(number, now) == "pending") {
            return Err("grant_request_waits");
        }
        let until = given.end + MONTH;
        self.wishes.push(Wish { grant: target, requester: actor.clone(), end, until, over: None });
        Ok(Outcome::GrantRequestCreated(wish_id(self.wishes.len() - 1)))
    }

    pub(super) fn decide(&mut self, actor: &Uid, target: usize, yes: bool, end: Option<i64>, now: i64) -> Result<Outcome, &'static str> {
        let step = self.last();
        let wish = self.wishes.get(target).ok_or("not_found")?.clone();
        let given = self.given[wish.grant].clone();
        if self.person(step, &wish.requester) == self.person(step, actor) || self.reaches(actor, &given.holder) {
            return Err("self_grant");
        }
        self.permitted(actor, Action::AssignRole)?;
        if self.wish_status(target, now) != "pending" {
            return Err("not_in_state");
        }
        if !yes {
            self.wishes[target].over = Some("denied");
            return Ok(Outcome::GrantRequestChanged(wish_id(target)));
        }
        let end = end.unwrap_or(wish.end);
        if end > wish.end {
            return Err("wider_than_asked");
        }
        let renew = given.end <= now;
        self.prolongable(wish.grant, renew, now)?;
        let from = if renew { now } else { given.end };
        if end <= from {
            return Err("window_empty");
        }
        let settings = self.settings(step, given.role).ok_or("unknown_role")?;
        Self::long_enough(settings, given.eligible, now, end)?;
        self.scope_fits(settings, given.scope.as_ref())?;
        let longer = Given { step: step + 1, start: from, end, ..given };
        if self.twice(Some(wish.grant), &longer) {
            return Err("already_granted");
        }
        if renew {
            self.given.push(longer);
        } else {
            self.given[wish.grant].end = end;
        }
        self.wishes[target].over = Some("approved");
        Ok(Outcome::GrantRequestChanged(wish_id(target)))
    }

    pub(super) fn withdraw(&mut self, actor: &Uid, target: usize, now: i64) -> Result<Outcome, &'static str> {
        let wish = self.wishes.get(target).ok_or("not_found")?;
        if wish.requester != *actor && self.given[wish.grant].holder != *actor {
            self.permitted(actor, Action::AssignRole)?;
        }
        if self.wish_status(target, now) != "pending" {
            return Err("not_in_state");
        }
        self.wishes[target].over = Some("cancelled");
        Ok(Outcome::GrantRequestChanged(wish_id(target)))
    }

    pub(super) fn settle_wish(&mut self, target: usize, now: i64) -> bool {
        let Some(wish) = self.wishes.get_mut(target).filter(|wish| wish.over.is_none() && wish.until <= now) else { return false };
        wish.over = Some("timed_out");
        true
    }
}
