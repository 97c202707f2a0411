//! What becomes of what was asked for, step by step, and what it gives.

use std::collections::{BTreeMap, BTreeSet};

use super::asking::Asked;
use super::{FOREVER, Model, Op, Timer, activation_id, grant_id};
use crate::domain::command::Everything;
use crate::domain::facts::Action;
use crate::domain::*;

const DAY: i64 = 86_400_000;

/// Where a request stands.
#[derive(Debug, Clone)]
pub(super) struct Life {
    pub(super) phase: Phase,
    pub(super) votes: Vec<Cast>,
    /// As narrow as its approvers made it.
    pub(super) scope: Option<Uid>,
    pub(super) seconds: u64,
    pub(super) extended: u32,
}

#[derive(Debug, Clone)]
pub(super) enum Phase {
    Pending {
        stage: usize,
        since: i64,
        timeout: i64,
    },
    Scheduled {
        start: i64,
        begin_by: i64,
    },
    /// An extension that was granted.
    Approved,
    Active {
        start: i64,
        end: i64,
    },
    /// It ended, which is recorded, and had this time.
    Over {
        how: &'static str,
        had: Option<(i64, i64)>,
    },
}

#[derive(Debug, Clone)]
pub(super) struct Cast {
    pub(super) voter: Uid,
    pub(super) person: String,
    stage: usize,
    /// How many seconds the stage had waited.
    waited: i64,
}

/// What an approved request comes to.
enum Fate {
    Failed,
    Later { start: i64, begin_by: i64 },
    Begins { start: i64, end: i64 },
    Extends { end: i64 },
}

impl Life {
    pub(super) fn is_open(&self) -> bool {
        !matches!(self.phase, Phase::Over { .. } | Phase::Approved)
    }

    /// The window that an active one has.
    pub(super) fn runs(&self) -> Option<(i64, i64)> {
        if let Phase::Active { start, end } = self.phase { Some((start, end)) } else { None }
    }

    fn by_time(&self, now: i64) -> Option<&'static str> {
        match self.phase {
            Phase::Pending { timeout, .. } if timeout <= now => Some("timed_out"),
            Phase::Active { end, .. } if end <= now => Some("expired"),
            Phase::Pending { .. } | Phase::Scheduled { .. } | Phase::Approved | Phase::Active { .. } | Phase::Over { .. } => None,
        }
    }

    fn ends(&mut self, how: &'static str, at: i64) {
        let had = self.runs().map(|(start, end)| (start, if how == "expired" { end } else { end.min(at) }));
        self.phase = Phase::Over { how, had };
    }
}

impl Model {
    // ---- what happens in a step --------------------------------------------------------------------------------------------------

    /// Takes the last step into account.
    pub(super) fn live_on(&mut self) {
        let step = self.last();
        let (at, op) = (self.done[step].at, self.done[step].op.clone());
        let before: Vec<bool> = self.lives.iter().map(Life::is_open).collect();
        for number in 0..self.lives.len() {
            if self.lives[number].is_open() {
                self.swept_away(number, step, at, &op);
            }
        }
        if self.asked.len() > self.lives.len() {
            self.is_born(step, at);
        }
        self.happens(&op, step, at);
        // What waited to extend something that is over fails with it.
        for number in 0..before.len() {
            let waited_in_vain = |of: usize| before[of] && !self.lives[of].is_open();
            let waits = matches!(self.lives[number].phase, Phase::Pending { timeout, .. } if timeout > at);
            if waits && self.asked[number].extends.is_some_and(waited_in_vain) {
                self.lives[number].ends("failed", at);
            }
        }
    }

    /// What the step does to the one that it is about.
    fn happens(&mut self, op: &Op, step: usize, at: i64) {
        match op {
            Op::SettleActivation { target, what: Timer::Start } => self.begins(*target, step, at),
            Op::SettleActivation { target, what: Timer::Timeout } => self.lives[*target].ends("timed_out", at),
            Op::SettleActivation { target, what: Timer::End } => self.lives[*target].ends("expired", at),
            Op::Cancel(target) => self.lives[*target].ends("cancelled", at),
            Op::Deactivate(target) => self.lives[*target].ends("deactivated", at),
            Op::Revoke(target) => self.lives[*target].ends("revoked", at),
            Op::Vote { target, yes: false, .. } => self.lives[*target].ends("denied", at),
            Op::Vote { target, yes: true, scope, minutes, .. } => {
                let life = &mut self.lives[*target];
                life.scope = scope.clone().or(life.scope.take());
                life.seconds = minutes.map_or(life.seconds, |minutes| minutes * 60);
                self.voted(*target, step, at);
            }
            Op::Request { .. } | Op::Extend { .. } | Op::RevokeAll(_) | Op::AcceptClock | Op::Right { .. } => {}
            Op::Grant { .. } | Op::Take { .. } | Op::SettleGrant { .. } => {}
            Op::Prolong { .. } | Op::Decide { .. } | Op::Withdraw(_) | Op::SettleWish(_) => {}
            Op::Put { .. } | Op::Delete(_) | Op::Disable { .. } | Op::Swap(_) => {}
        }
    }

    /// What the step ends by the way.
    fn swept_away(&mut self, number: usize, step: usize, at: i64, op: &Op) {
        let (asked, life) = (&self.asked[number], &self.lives[number]);
        let holder = &self.given[asked.basis].holder;
        let left = &self.pictures[step].left;
        let of_all = |of: &Everything| match of {
            Everything::Principal(uid) => *uid == asked.principal,
            Everything::Role(role) => role.as_str() == asked.role,
        };
        let all_at_once = matches!(op, Op::AcceptClock) || matches!(op, Op::RevokeAll(of) if of_all(of));
        let ends = all_at_once
            || self.works(step, &asked.principal).is_err()
            || left.contains(&asked.principal)
            || left.contains(holder)
            || life.scope.as_ref().is_some_and(|scope| left.contains(scope))
            || self.settings(step, asked.role).is_none()
            || (*holder != asked.principal && !self.above(step, &asked.principal).contains(holder))
            || matches!(op, Op::Take { eligible: true, target } | Op::SettleGrant { eligible: true, target } if *target == asked.basis);
        let cap = matches!(op, Op::Swap(_)).then(|| self.latest_end(number, step)).flatten();
        let life = &mut self.lives[number];
        let by_time = life.by_time(at);
        if ends {
            let otherwise = match life.phase {
                Phase::Active { .. } => "revoked",
                Phase::Scheduled { .. } if all_at_once => "revoked",
                Phase::Pending { .. } | Phase::Scheduled { .. } | Phase::Approved | Phase::Over { .. } => "failed",
            };
            return life.ends(by_time.unwrap_or(otherwise), at);
        }
        if let (Phase::Active { end, .. }, Some(cap)) = (&mut life.phase, cap)
            && cap < *end
        {
            if by_time.is_none() && cap > at {
                *end = cap;
            } else {
                life.ends(by_time.unwrap_or("revoked"), at);
            }
        }
    }

    /// The latest that an active one may last by the settings of a step.
    fn latest_end(&self, number: usize, step: usize) -> Option<i64> {
        let (asked, life) = (&self.asked[number], &self.lives[number]);
        let settings = self.settings(step, asked.role)?;
        let once = settings.emergency.filter(|_| asked.emergency).map_or(settings.max_duration, |glass| glass.max_duration).millis();
        life.runs().map(|(start, _)| start + once * i64::from(1 + life.extended))
    }

    fn is_born(&mut self, step: usize, at: i64) {
        let number = self.lives.len();
        let asked = &self.asked[number];
        let stage = self.settings(step, asked.role).and_then(|settings| settings.stages.first()).filter(|_| !asked.emergency);
        let phase = Phase::Pending { stage: 0, since: at, timeout: at + stage.map_or(0, |stage| stage.timeout.millis()) };
        let at_once = stage.is_none();
        let life = Life { phase, votes: Vec::new(), scope: asked.scope.clone(), seconds: asked.seconds, extended: 0 };
        self.lives.push(life);
        if at_once {
            self.begins(number, step, at);
            assert!(!matches!(self.lives[number].phase, Phase::Over { .. }), "accepted, and could not begin");
        }
    }

    fn begins(&mut self, number: usize, step: usize, at: i64) {
        let life = |model: &mut Self, phase| model.lives[number].phase = phase;
        match self.fate(number, step, at) {
            Fate::Failed => self.lives[number].ends("failed", at),
            Fate::Later { start, begin_by } => {
                let most = self.settings(step, self.asked[number].role).map_or(0, |settings| settings.max_duration.secs());
                self.lives[number].seconds = self.lives[number].seconds.min(most);
                life(self, Phase::Scheduled { start, begin_by });
            }
            Fate::Begins { start, end } => life(self, Phase::Active { start, end }),
            Fate::Extends { end } => {
                life(self, Phase::Approved);
                if let Some(parent) = self.asked[number].extends.map(|of| &mut self.lives[of])
                    && let Phase::Active { end: until, .. } = &mut parent.phase
                {
                    *until = end;
                    parent.extended += 1;
                }
            }
        }
    }

    fn fate(&self, number: usize, step: usize, at: i64) -> Fate {
        let (asked, life) = (&self.asked[number], &self.lives[number]);
        let Asked { requester, principal, role, .. } = asked;
        let right = match (asked.extends, asked.emergency) {
            (Some(_), _) => Action::ExtendActivation,
            (None, true) => Action::ActivateInEmergency,
            (None, false) if requester == principal => Action::ActivateRole,
            (None, false) => Action::ActivateRoleFor,
        };
        let Some(settings) = self.settings(step, role) else { return Fate::Failed };
        if self.works(step, requester).is_err() || !self.may(step, requester, right) || !self.in_force(asked.basis, step, at) {
            return Fate::Failed;
        }
        if let Some(of) = asked.extends {
            let Some((_, until)) = self.lives[of].runs().filter(|_| self.counts_until(of, at).is_some()) else { return Fate::Failed };
            if self.lives[of].extended >= settings.max_extensions {
                return Fate::Failed;
            }
            let end = until + life.seconds.min(settings.max_duration.secs()) as i64 * 1000;
            return if self.has_time(principal, role, (until, end), None) { Fate::Extends { end } } else { Fate::Failed };
        }
        if let Some(start) = asked.start.filter(|start| *start > at) {
            let begin_by = start.max(at + settings.activate_within.millis());
            let window = asked.window(start, life.seconds.min(settings.max_duration.secs()));
            let has_time = self.has_time(principal, role, window, None);
            return if has_time { Fate::Later { start, begin_by } } else { Fate::Failed };
        }
        let too_late = matches!(life.phase, Phase::Scheduled { begin_by, .. } if begin_by < at);
        if too_late || asked.end.is_some_and(|end| end <= at) {
            return Fate::Failed;
        }
        let glass = settings.emergency.filter(|_| asked.emergency);
        let most = glass.map_or(settings.max_duration, |glass| glass.max_duration).secs();
        let (start, end) = asked.window(at, life.seconds.min(most));
        let has_time = asked.emergency || self.has_time(principal, role, (start, end), self.had(number));
        if has_time { Fate::Begins { start, end } } else { Fate::Failed }
    }

    /// What one more vote comes to: where it completes a stage, every vote is asked again.
    fn voted(&mut self, number: usize, step: usize, at: i64) {
        let (asked, life) = (&self.asked[number], &self.lives[number]);
        let Phase::Pending { stage, since, .. } = life.phase else { unreachable!("only what is pending is voted on") };
        let voter = self.done[step].actor.clone().unwrap();
        let settings = self.settings(step, asked.role).unwrap();
        let last = settings.stages.len() - 1;
        let mut votes = life.votes.clone();
        votes.push(Cast { person: self.person(step, &voter), voter, stage, waited: (at - since) / 1000 });
        let cast = |wanted: usize, votes: &[Cast]| votes.iter().filter(|vote| vote.stage.min(last) == wanted).count();
        let lacks = |wanted: usize, votes: &[Cast]| cast(wanted, votes) < settings.stages[wanted].quorum as usize;
        let asked_now = stage.min(last);
        if lacks(asked_now, &votes) {
            self.lives[number].votes = votes;
            return;
        }
        let mut persons = self.involved(asked, step);
        votes.retain(|vote| {
            let person = self.person(step, &vote.voter);
            let valid = !persons.contains(&person)
                && self.works(step, &vote.voter).is_ok()
                && self.may(step, &vote.voter, Action::ApproveActivation)
                && self.is_asked(step, &settings.stages[vote.stage.min(last)], &vote.voter, vote.waited);
            if valid {
                persons.push(person);
            }
            valid
        });
        let lacking = (0..=last).find(|wanted| lacks(*wanted, &votes));
        let next = lacking.filter(|other| *other != asked_now);
        let phase = next.map(|stage| Phase::Pending { stage, since: at, timeout: at + settings.stages[stage].timeout.millis() });
        let life = &mut self.lives[number];
        life.votes = votes;
        match (lacking, phase) {
            (None, _) => self.begins(number, step, at),
            (Some(_), Some(phase)) => life.phase = phase,
            (Some(_), None) => {}
        }
    }

    /// Whether time has done what a timer is there to record.
    pub(super) fn due(&self, target: usize, what: Timer, now: i64) -> bool {
        let Some(life) = self.lives.get(target) else { return false };
        match what {
            Timer::Start => matches!(life.phase, Phase::Scheduled { start, .. } if start <= now),
            Timer::Timeout => life.by_time(now) == Some("timed_out"),
            Timer::End => life.by_time(now) == Some("expired"),
        }
    }

    // ---- how it stands -----------------------------------------------------------------------------------------------------------

    pub(in super::super) fn status(&self, number: usize, now: i64) -> &'static str {
        let life = &self.lives[number];
        life.by_time(now).unwrap_or(match life.phase {
            Phase::Pending { .. } => "pending",
            Phase::Scheduled { .. } => "scheduled",
            Phase::Approved => "approved",
            Phase::Active { .. } => "active",
            Phase::Over { how, .. } => how,
        })
    }

    /// The end in effect of an activation that counts.
    pub(super) fn counts_until(&self, number: usize, now: i64) -> Option<i64> {
        let step = self.last();
        let asked = &self.asked[number];
        let (_, end) = self.lives[number].runs()?;
        let end = end.min(self.latest_end(number, step)?).min(self.given[asked.basis].end);
        (now < end && self.in_force(asked.basis, step, now)).then_some(end)
    }

    /// What a principal holds for a resource: each role with what gives it, and until when.
    pub(in super::super) fn holds(
        &self,
        principal: &Uid,
        resource: Option<&Uid>,
        now: i64,
        trusted: bool,
    ) -> BTreeSet<(String, String, i64)> {
        let step = self.last();
        let mut held = BTreeSet::new();
        if self.works(step, principal).is_err() {
            return held;
        }
        for (number, asked) in self.asked.iter().enumerate() {
            let mine = trusted && asked.principal == *principal && self.covers(step, self.lives[number].scope.as_ref(), resource);
            if let Some(end) = self.counts_until(number, now).filter(|_| mine) {
                held.insert((asked.role.to_owned(), activation_id(number), end));
            }
        }
        for (number, given) in self.given.iter().enumerate() {
            let mine = given.holder == *principal || self.above(step, principal).contains(&given.holder);
            let believed = trusted || given.end == FOREVER;
            if !given.eligible && mine && believed && self.covers(step, given.scope.as_ref(), resource) && self.in_force(number, step, now)
            {
                held.insert((given.role.to_owned(), grant_id(number), given.end));
            }
        }
        held
    }

    // ---- budgets -----------------------------------------------------------------------------------------------------------------

    /// The time that a request has, or had, of its role.
    fn had(&self, number: usize) -> Option<(i64, i64)> {
        let life = &self.lives[number];
        match life.phase {
            Phase::Scheduled { start, .. } => Some(self.asked[number].window(start, life.seconds)),
            Phase::Active { start, end } => Some((start, end)),
            Phase::Over { had, .. } => had,
            Phase::Pending { .. } | Phase::Approved => None,
        }
    }

    /// How often somebody broke the glass for a role on the day of an instant.
    pub(super) fn emergencies(&self, principal: &Uid, role: &str, at: i64) -> usize {
        let same_day = |asked: &&Asked| asked.at.div_euclid(DAY) == at.div_euclid(DAY);
        let theirs = self.asked.iter().filter(|asked| asked.emergency && asked.principal == *principal && asked.role == role);
        theirs.filter(same_day).count()
    }

    /// Whether somebody has time left for a window of a role on each of its days, where `own` is what the window has of it already.
    pub(super) fn has_time(&self, principal: &Uid, role: &str, window: (i64, i64), own: Option<(i64, i64)>) -> bool {
        let Some(most) = self.settings(self.last(), role).and_then(|settings| settings.max_active_per_day) else { return true };
        (window.0.div_euclid(DAY)..=window.1.div_euclid(DAY)).all(|day| {
            let theirs =
                (0..self.lives.len()).filter(|number| self.asked[*number].principal == *principal && self.asked[*number].role == role);
            let used: i64 = theirs.filter_map(|number| self.had(number)).map(|had| on_day(had, day)).sum();
            let (asked, own) = (on_day(window, day), own.map_or(0, |own| on_day(own, day)));
            asked <= own || used - own + asked <= most.millis()
        })
    }

    /// What every principal had of every role on every day: milliseconds, and emergencies.
    pub(in super::super) fn ledger(&self) -> BTreeMap<(Uid, &'static str, i64), (i64, usize)> {
        let mut ledger = BTreeMap::<_, (i64, usize)>::new();
        for (number, asked) in self.asked.iter().enumerate() {
            let key = |day: i64| (asked.principal.clone(), asked.role, day);
            if let Some(had) = self.had(number) {
                for day in had.0.div_euclid(DAY)..=had.1.div_euclid(DAY) {
                    ledger.entry(key(day)).or_default().0 += on_day(had, day);
                }
            }
            if asked.emergency {
                ledger.entry(key(asked.at.div_euclid(DAY))).or_default().1 += 1;
            }
        }
        ledger.retain(|_, used| *used != (0, 0));
        ledger
    }
}

/// How much of a window is on a day.
fn on_day((start, end): (i64, i64), day: i64) -> i64 {
    (end.min((day + 1) * DAY) - start.max(day * DAY)).max(0)
}
