//! Bends random steps to what there is: random commands alone hardly get past the first refusal.

use super::history::{Aim, Step};
use super::kit::*;
use super::model::{Op, Span, Timer, activation_id, grant_id};
use super::property::Both;
use crate::domain::facts::Action;
use crate::domain::*;

/// What a history is steered by: a grant as it stands.
struct Seen {
    eligible: bool,
    number: usize,
    holder: Uid,
    role: RoleName,
    scope: Option<Uid>,
    timed: bool,
    over: bool,
    recorded: bool,
}

impl Both {
    /// Numbers that were drawn, brought into the range of what there is.
    pub(super) fn aimed(&self, step: &Step) -> Op {
        let mut op = step.op.clone();
        let waiting = (0..self.model.activations()).any(|number| self.model.status(number, self.world.now.millis()) == "pending");
        if step.aim != Aim::AsDrawn && !waiting && matches!(op, Op::Vote { .. }) {
            // Nothing to vote on: ask for something instead.
            let drawn = if let Aim::Open(drawn) | Aim::Again(drawn) = step.aim { drawn } else { 0 };
            let span = Span { minutes: [60, 180, 180, 240].get(drawn / 16).copied(), ..Span::default() };
            op = Op::Request { principal: step.actor.clone(), role: "r1", scope: None, span, reason: true, emergency: false };
        }
        if let (Aim::Open(drawn), Op::Right { uid, action, denied: true }) = (step.aim, &mut op) {
            // Rights are lost by who made use of them, or nobody would notice.
            let open = || self.world.rows.all.activations.values().filter(|found| found.is_open());
            let voter =
                || open().find_map(|found| found.votes.last()?.voter.principal().cloned()).map(|who| (who, Action::ApproveActivation));
            let requester = || {
                let found = open().next_back()?;
                let what = if found.extends.is_some() { Action::ExtendActivation } else { Action::ActivateRole };
                Some((found.requester.principal()?.clone(), what))
            };
            let used = if drawn % 2 == 0 { voter().or_else(requester) } else { requester().or_else(voter) };
            if let Some((who, what)) = used {
                (*uid, *action) = (who, what);
            }
        }
        if let (Aim::Open(_), Op::Disable { uid, disabled: false }) = (step.aim, &mut op) {
            let rows = &self.world.rows.all.rows;
            *uid = rows.iter().find(|(_, row)| row.disabled).map_or(uid.clone(), |(uid, _)| uid.clone());
        }
        match &mut op {
            Op::Vote { target, .. } => *target = self.pick(*target, step.aim, &["pending"]),
            Op::Cancel(target) => *target = self.pick(*target, step.aim, &["pending", "scheduled"]),
            Op::Deactivate(target) | Op::Extend { target, .. } => *target = self.pick(*target, step.aim, &["active"]),
            Op::Revoke(target) => *target = self.pick(*target, step.aim, &["active", "scheduled"]),
            Op::SettleActivation { target, what } => {
                let wanted = match what {
                    Timer::Start => "scheduled",
                    Timer::Timeout => "timed_out",
                    Timer::End => "expired",
                };
                *target = self.pick(*target, step.aim, &[wanted]);
            }
            Op::Take { eligible, target } => self.pick_grant(eligible, target, step.aim, |seen| !seen.over && !seen.recorded),
            Op::SettleGrant { eligible, target } => self.pick_grant(eligible, target, step.aim, |seen| seen.over && !seen.recorded),
            Op::Prolong { eligible, target, renew, .. } => {
                self.pick_grant(eligible, target, step.aim, |seen| seen.timed);
                let found = self.granted().into_iter().find(|seen| seen.number == *target && step.aim != Aim::AsDrawn);
                *renew = found.map_or(*renew, |seen| seen.over);
            }
            Op::Decide { target, .. } | Op::Withdraw(target) => *target = self.pick_wish(*target, step.aim, "pending"),
            Op::SettleWish(target) => *target = self.pick_wish(*target, step.aim, "timed_out"),
            Op::Grant { eligible, holder, role, scope, .. } => {
                if let Aim::Again(number) = step.aim {
                    let earlier = self.granted();
                    let seen = &earlier[number % earlier.len()];
                    (*eligible, *holder, *scope) = (seen.eligible, seen.holder.clone(), seen.scope.clone());
                    *role = ["r0", "r1", "r2"].into_iter().find(|name| *name == seen.role.as_str()).unwrap();
                }
            }
            Op::Request { principal, role, scope, .. } => match step.aim {
                Aim::AsDrawn => {}
                Aim::Open(drawn) => {
                    let likely = [
                        ("u1", "r0", "s1"),
                        ("u1", "r1", "s2"),
                        ("u2", "r1", "s0"),
                        ("u3", "r1", "s1"),
                        ("u4", "r2", "s2"),
                        ("u1", "r2", "s0"),
                        ("u3", "r0", "s0"),
                    ];
                    let (who, what, place) = likely[drawn % likely.len()];
                    (*principal, *role, *scope) = (user(who), what, Some(uid(&format!("Db:{place}"))));
                }
                Aim::Again(number) => {
                    let id = act(&activation_id(number % self.model.activations().max(1)));
                    if let Some(earlier) = self.world.rows.all.activations.get(&id) {
                        (*principal, *scope) = (earlier.principal.clone(), earlier.scope.clone());
                        *role = ["r0", "r1", "r2"].into_iter().find(|name| *name == earlier.role.as_str()).unwrap();
                    }
                }
            },
            Op::RevokeAll(_) | Op::Put { .. } | Op::Delete(_) | Op::Disable { .. } | Op::Swap(_) | Op::AcceptClock | Op::Right { .. } => {}
        }
        op
    }

    /// Every grant that was made.
    fn granted(&self) -> Vec<Seen> {
        let now = self.world.now;
        let number = |id: &str| id.trim_start_matches('g').parse::<usize>().unwrap();
        let rows = &self.world.rows.all;
        let eligible = rows.eligibilities.values().map(|grant| Seen {
            eligible: true,
            number: number(grant.id.as_str()),
            holder: grant.holder.clone(),
            role: grant.role.clone(),
            scope: grant.scope.clone(),
            timed: grant.window.end.is_some(),
            over: grant.window.ended(now),
            recorded: grant.ended.is_some(),
        });
        let assigned = rows.assignments.values().map(|grant| Seen {
            eligible: false,
            number: number(grant.id.as_str()),
            holder: grant.holder.clone(),
            role: grant.role.clone(),
            scope: grant.scope.clone(),
            timed: grant.window.end.is_some(),
            over: grant.window.ended(now),
            recorded: grant.ended.is_some(),
        });
        eligible.chain(assigned).collect()
    }

    fn pick_grant(&self, eligible: &mut bool, target: &mut usize, aim: Aim, fits: impl Fn(&Seen) -> bool) {
        let fitting: Vec<_> = self.granted().into_iter().filter(|seen| aim != Aim::AsDrawn && fits(seen)).collect();
        if fitting.is_empty() {
            *target %= self.model.grants().max(1);
        } else {
            (*eligible, *target) = (fitting[*target % fitting.len()].eligible, fitting[*target % fitting.len()].number);
        }
    }

    fn pick_wish(&self, drawn: usize, aim: Aim, wanted: &str) -> usize {
        let now = self.world.now.millis();
        let fits = |number: &usize| aim != Aim::AsDrawn && self.model.wish_status(*number, now) == wanted;
        let fitting: Vec<usize> = (0..self.model.wishes()).filter(fits).collect();
        if fitting.is_empty() { drawn % self.model.wishes().max(1) } else { fitting[drawn % fitting.len()] }
    }

    /// One of the activations; where it is aimed, one that is where the command wants it.
    fn pick(&self, drawn: usize, aim: Aim, wanted: &[&str]) -> usize {
        let now = self.world.now.millis();
        let fits = |number: &usize| aim != Aim::AsDrawn && wanted.contains(&self.model.status(*number, now));
        let fitting: Vec<usize> = (0..self.model.activations()).filter(fits).collect();
        if fitting.is_empty() { drawn % self.model.activations().max(1) } else { fitting[drawn % fitting.len()] }
    }

    /// Who acts: where it is aimed, who asks for a role or gives it up is whose it is, and who votes may mostly vote.
    pub(super) fn acting(&self, step: &Step, op: &Op) -> Uid {
        let rows = &self.world.rows.all;
        let theirs = if let Op::Request { principal, .. } = op {
            Some(principal.clone())
        } else if let Op::Deactivate(target) | Op::Extend { target, .. } = op {
            rows.activations.get(&act(&activation_id(*target))).map(|found| found.principal.clone())
        } else if let Op::Prolong { target, .. } = op {
            rows.eligibilities.get(&elg(&grant_id(*target))).map(|found| found.holder.clone())
        } else if let Op::Decide { .. } = op {
            Some(user("u0"))
        } else if let Op::Vote { target, .. } = op {
            let voters = self.model.voters(*target, self.world.now.millis());
            let chosen = if let Aim::Open(drawn) = step.aim { drawn } else { 0 };
            // Two of three come from somebody who may.
            voters.get(chosen % (voters.len() * 3 / 2).max(1)).cloned()
        } else {
            None
        };
        theirs.filter(|uid| step.aim != Aim::AsDrawn && uid.kind() == "User").unwrap_or_else(|| step.actor.clone())
    }
}
