//! The detectors, fed record by record, against a naive model that looks at all of history and at everything that stands, anew after each step.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use proptest::prelude::*;

use super::detecting::{Watched, limits, set, watched_bundle};
use super::kit::*;
use crate::domain::alert::{AlertKind, AlertSubject, Limit};
use crate::domain::grant::GrantRef;
use crate::domain::settings::Requirement;
use crate::domain::standing::{Presence, ancestors, path, presence, still_stands};
use crate::domain::*;

const USERS: [&str; 6] = ["ann", "bob", "cat", "eve", "new", "nel"];
const HOLDERS: [&str; 7] = ["User:ann", "User:bob", "User:eve", "User:new", "Group:ops", "Group:staff", "Group:more"];
const ROLES: [&str; 3] = ["free", "open", "top"];
const SCOPES: [Option<&str>; 4] = [None, Some("Db:prod"), Some("Db:orders"), Some("Db:stored")];
const DAY: u64 = 24 * 60;

type Found = BTreeSet<(AlertKind, AlertSubject)>;

/// Rules small enough that a short history meets all of them. The second bundle wants other numbers of what stands, and the same of what is counted.
fn rules(second: bool) -> Arc<Definitions> {
    watched_bundle(if second { "two" } else { "one" }, |definitions| {
        let either = |one: u64, two: u64| if second { two } else { one };
        limits(definitions, AlertKind::RoleHeldOutside, &[(Limit::LongerThan, either(7200, 0))]);
        limits(definitions, AlertKind::TooManyHolders, &[(Limit::Count, either(4, 3)), (Limit::Share, 60), (Limit::Few, 2)]);
        limits(definitions, AlertKind::TooManyPermanent, &[(Limit::Count, either(1, 0)), (Limit::Share, 20), (Limit::Few, 1)]);
        limits(definitions, AlertKind::ActivatedOften, &[(Limit::Times, 3), (Limit::Within, 86_400)]);
        limits(definitions, AlertKind::NeverUsed, &[(Limit::Days, either(2, 1))]);
        limits(definitions, AlertKind::StalePrincipal, &[(Limit::Days, either(3, 2))]);
        limits(definitions, AlertKind::SmallCircle, &[(Limit::Persons, either(3, 5))]);
        limits(
            definitions,
            AlertKind::FirstActivation,
            &[(Limit::Known, 2), (Limit::Days, 1), (Limit::Principal, 0), (Limit::OpenFor, 172_800)],
        );
        limits(definitions, AlertKind::UnusualHour, &[(Limit::Known, 3), (Limit::Share, 20), (Limit::OpenFor, 172_800)]);
        for kind in [AlertKind::RequestBurst, AlertKind::DenialBurst, AlertKind::ActivationBurst] {
            limits(definitions, kind, &[(Limit::Times, 3), (Limit::Within, 172_800)]);
        }
        set(definitions, AlertKind::WeakSettings, |rule| rule.enabled = second);
        set(definitions, AlertKind::DuplicateHoldings, |rule| rule.enabled = true);
    })
}

/// In how many minutes something begins, where it does not at once, and for how many it lasts.
type Times = (Option<u64>, Option<u64>);

#[derive(Debug, Clone)]
enum Op {
    Eligible(usize, usize, usize, Times),
    Assigned(usize, usize, usize, Times),
    Taken(usize),
    Activates(usize, usize, usize),
    Emergency(usize),
    Refused(usize, u64),
    Put(usize, usize),
    Deleted(usize),
    Disabled(usize, bool),
    Swapped(bool),
    Nothing,
}

fn op() -> impl Strategy<Value = Op> {
    let n = || 0_usize..64;
    let times = || (prop::option::weighted(0.2, 60..4 * DAY), prop::option::of(30_u64..DAY));
    prop_oneof![
        4 => (n(), n(), n(), times()).prop_map(|(a, b, c, d)| Op::Eligible(a, b, c, d)),
        2 => (n(), n(), n(), times()).prop_map(|(a, b, c, d)| Op::Assigned(a, b, c, d)),
        2 => n().prop_map(Op::Taken),
        8 => (n(), n(), n()).prop_map(|(a, b, c)| Op::Activates(a, b, c)),
        1 => n().prop_map(Op::Emergency),
        1 => (n(), 1_u64..4).prop_map(|(a, b)| Op::Refused(a, b)),
        2 => (n(), n()).prop_map(|(a, b)| Op::Put(a, b)),
        1 => n().prop_map(Op::Deleted),
        2 => (n(), any::<bool>()).prop_map(|(a, b)| Op::Disabled(a, b)),
        1 => any::<bool>().prop_map(Op::Swapped),
        1 => Just(Op::Nothing),
    ]
}

fn pick<T: Copy>(from: &[T], number: usize) -> T {
    from[number % from.len()]
}

/// Both sides, and what the naive one has to remember: who has had anything since when, and when they last gave a sign of life.
struct Both {
    watched: Watched,
    signs: BTreeMap<Uid, Timestamp>,
    made: usize,
    seen: usize,
}

impl Both {
    fn new() -> Self {
        let watched = Watched::over(World::with(rules(false)));
        let mut both = Self { watched, signs: BTreeMap::new(), made: 0, seen: 0 };
        both.world().put("root", "Group:more", &["Group:ops"]).unwrap();
        both.world().put("root", "Db:stored", &["Db:prod"]).unwrap();
        both.notice();
        both
    }

    fn world(&mut self) -> &mut World {
        &mut self.watched.world
    }

    fn step(&mut self, wait: u64, op: &Op) {
        self.watched.world.wait(wait);
        // what timers record comes first, as it would
        self.settle();
        self.made += 1;
        let made = self.made;
        let world = &mut self.watched.world;
        let given = |holder: usize, role: usize, scope: usize, (from, length): Times| {
            let start = from.map(|minutes| world.now.plus(mins(minutes)));
            let end = length.map(|minutes| start.unwrap_or(world.now).plus(mins(minutes)));
            command::GrantRequest { start, ..grant(pick(&HOLDERS, holder), pick(&ROLES, role), pick(&SCOPES, scope), end) }
        };
        let done = match *op {
            Op::Eligible(a, b, c, d) => {
                let grant = given(a, b, c, d);
                world.run("root", Command::CreateEligibility { id: elg(&format!("elg_{made}")), grant })
            }
            Op::Assigned(a, b, c, d) => {
                let grant = given(a, b, c, d);
                world.run("root", Command::CreateAssignment { id: asg(&format!("asg_{made}")), grant })
            }
            Op::Taken(a) => {
                let elg = elg(&format!("elg_{}", a % made.max(1)));
                match world.run("root", Command::RemoveEligibility { id: elg, reason: None }) {
                    Ok(done) => Ok(done),
                    Err(_) => world.run("root", Command::RemoveAssignment { id: asg(&format!("asg_{}", a % made.max(1))), reason: None }),
                }
            }
            Op::Activates(a, b, c) => {
                let (who, id) = (pick(&USERS, a), format!("act_{made}"));
                let done = world.run(who, ask(&id, who, pick(&ROLES[..2], b), pick(&SCOPES, c), Some(20)));
                if done.is_ok() {
                    drop(world.run(who, Command::Deactivate { id: act(&id), reason: None }));
                }
                done
            }
            Op::Emergency(a) => {
                let who = pick(&USERS, a);
                world.run(who, break_glass(&format!("act_{made}"), who, "open", Some(20)))
            }
            Op::Refused(a, count) => world.run(pick(&USERS, a), Command::CoalesceRefusals { rule: "not_eligible".to_owned(), count }),
            Op::Put(a, b) => {
                let parents: &[&str] = pick(&[&[] as &[&str], &["Group:ops"], &["Group:more"], &["Group:staff", "Group:more"]], b);
                world.put("root", &format!("User:{}", pick(&["new", "nel"], a)), parents)
            }
            Op::Deleted(a) => {
                let name = pick(&["User:new", "User:nel", "Group:more", "Db:stored"], a);
                world.run("root", Command::DeleteEntity { uid: uid(name), reason: None })
            }
            Op::Disabled(a, disabled) => world.run("root", Command::SetDisabled { uid: user(pick(&USERS, a)), disabled, reason: None }),
            Op::Swapped(second) => {
                let definitions = rules(second);
                world.swap(&definitions)
            }
            Op::Nothing => Ok(Outcome::Unchanged),
        };
        drop(done);
        self.notice();
        self.watched.look();
    }

    fn settle(&mut self) {
        use crate::domain::overlay::{activation_timer, assignment_timer, eligibility_timer};
        let all = &self.watched.world.rows.all;
        let timers = all.activations.values().filter_map(activation_timer).chain(all.eligibilities.values().filter_map(eligibility_timer));
        let mut due: Vec<_> = timers.chain(all.assignments.values().filter_map(assignment_timer)).collect();
        due.retain(|timer| timer.at <= self.watched.world.now);
        due.sort_by(|one, other| (one.at, &one.due).cmp(&(other.at, &other.due)));
        for timer in due {
            drop(self.watched.world.settle(timer.due));
            self.notice();
            // before anybody does something else: detectors ask who is in which group, and are told how it is when they ask
            self.watched.look();
        }
    }

    fn rows(&self) -> &MemoryRows {
        &self.watched.world.rows
    }

    /// Grants that stand, as they reach a name.
    fn reaching(&self, who: &Uid) -> Vec<(GrantRef, Uid, RoleName, Option<Uid>, Window)> {
        let rows = self.rows();
        if matches!(presence(rows, who).unwrap(), Presence::Unknown(_)) {
            return Vec::new();
        }
        let mut holders = ancestors(rows, who).unwrap();
        holders.push(who.clone());
        let all = self.standing();
        all.into_iter().filter(|(_, holder, ..)| holders.contains(holder)).collect()
    }

    fn standing(&self) -> Vec<(GrantRef, Uid, RoleName, Option<Uid>, Window)> {
        let rows = self.rows();
        let mut found = Vec::new();
        for of in rows.all.eligibilities.values().filter(|of| of.ended.is_none()) {
            if still_stands(rows, &of.holder, &of.role, of.scope.as_ref(), &of.under).unwrap().is_ok() {
                found.push((GrantRef::Eligibility(of.id.clone()), of.holder.clone(), of.role.clone(), of.scope.clone(), of.window));
            }
        }
        for of in rows.all.assignments.values().filter(|of| of.ended.is_none()) {
            if still_stands(rows, &of.holder, &of.role, of.scope.as_ref(), &of.under).unwrap().is_ok() {
                found.push((GrantRef::Assignment(of.id.clone()), of.holder.clone(), of.role.clone(), of.scope.clone(), of.window));
            }
        }
        found
    }

    fn people(&self) -> Vec<Uid> {
        let rows = self.rows();
        let stored = rows.all.rows.iter().filter(|(_, row)| row.stored.is_some()).map(|(uid, _)| uid.clone());
        let all: BTreeSet<Uid> = stored.chain(rows.definitions.entities.keys().cloned()).collect();
        all.into_iter().filter(|uid| rows.definitions.is_principal(uid)).collect()
    }

    /// Takes note of what the naive side cannot read off what stands.
    fn notice(&mut self) {
        let mut active = BTreeSet::new();
        for record in &self.watched.world.records[self.seen..] {
            for event in &record.events {
                if let Event::ActivationStarted { id, .. } = event {
                    active.insert(self.rows().all.activations[id].principal.clone());
                }
            }
        }
        self.seen = self.watched.world.records.len();
        let (now, mut signs) = (self.watched.world.now, BTreeMap::new());
        for who in self.people() {
            let enabled = presence(self.rows(), &who).unwrap() == Presence::Known;
            if enabled && !self.reaching(&who).is_empty() {
                let before = self.signs.get(&who).copied();
                let sign = if active.contains(&who) { Some(now) } else { before };
                signs.insert(who, sign.unwrap_or(now));
            }
        }
        self.signs = signs;
    }

    /// Everything that should be found.
    fn expected(&self) -> Found {
        let mut found = Found::new();
        self.given(&mut found);
        self.counted(&mut found);
        self.unusual(&mut found);
        self.of_roles(&mut found);
        let rules = &self.rows().definitions.alerts;
        found.retain(|(kind, _)| rules.of(*kind).enabled);
        found
    }

    fn rule(&self, kind: AlertKind, limit: Limit) -> u64 {
        self.rows().definitions.alerts.of(kind).of(limit)
    }

    fn privileged(&self, role: &RoleName) -> bool {
        self.rows().definitions.roles[role].privileged
    }

    fn given(&self, found: &mut Found) {
        let now = self.watched.world.now;
        let days = |kind| Duration::from_days(self.rule(kind, Limit::Days));
        for (grant, _, role, _, window) in self.standing() {
            match grant {
                GrantRef::Assignment(id) => {
                    let lasts = window.end.map_or(u64::MAX, |end| end.since_in_full(window.start).secs());
                    if self.privileged(&role) && lasts > self.rule(AlertKind::RoleHeldOutside, Limit::LongerThan) {
                        found.insert((AlertKind::RoleHeldOutside, AlertSubject::Assignment(id)));
                    }
                }
                GrantRef::Eligibility(id) => {
                    let of = &self.rows().all.eligibilities[&id];
                    let used = self.started().iter().any(|(_, activation)| activation.basis.eligibility == id);
                    if !used && of.granted_at.max(of.window.start).plus(days(AlertKind::NeverUsed)) <= now {
                        found.insert((AlertKind::NeverUsed, AlertSubject::Eligibility(id)));
                    }
                }
            }
        }
        for (who, sign) in &self.signs {
            // nobody is silent with what has not begun
            let begins = self.reaching(who).iter().map(|(.., window)| window.start).min();
            if begins.max(Some(*sign)).unwrap().plus(days(AlertKind::StalePrincipal)) <= now {
                found.insert((AlertKind::StalePrincipal, AlertSubject::Principal(who.clone())));
            }
        }
        for who in self.people() {
            let reaching = self.reaching(&who);
            for (one, _, role, scope, window) in &reaching {
                let above = scope.as_ref().map(|scope| path(self.rows(), scope).unwrap());
                let covered = reaching.iter().any(|(other, _, of, wider, by)| {
                    other != one
                        && of == role
                        && by.overlaps(window)
                        && !matches!((other, one), (GrantRef::Eligibility(_), GrantRef::Assignment(_)))
                        && wider.as_ref().is_none_or(|wider| above.as_ref().is_some_and(|above| above.contains(wider)))
                });
                if covered {
                    let subject = AlertSubject::Holding { principal: who.clone(), role: role.clone() };
                    found.insert((AlertKind::DuplicateHoldings, subject));
                }
            }
        }
    }

    fn of_roles(&self, found: &mut Found) {
        let people = self.people();
        for (name, settings) in &self.rows().definitions.roles {
            let role = AlertSubject::Role(name.clone());
            let has = |permanent: bool| {
                let enabled = people.iter().filter(|who| presence(self.rows(), who).unwrap() == Presence::Known);
                let one = |(grant, _, of, _, window): &(GrantRef, Uid, RoleName, Option<Uid>, Window)| {
                    of == name && (!permanent || (matches!(grant, GrantRef::Assignment(_)) && window.end.is_none()))
                };
                enabled.filter(|who| self.reaching(who).iter().any(one)).count() as u64
            };
            for (kind, number) in [(AlertKind::TooManyHolders, has(false)), (AlertKind::TooManyPermanent, has(true))] {
                let share = number * 100 > self.rule(kind, Limit::Share) * people.len() as u64;
                let many = number > self.rule(kind, Limit::Count) || (number > self.rule(kind, Limit::Few) && share);
                if settings.privileged && many {
                    found.insert((kind, role.clone()));
                }
            }
            let lacks = [Requirement::Mfa, Requirement::Justification].iter().any(|wanted| !settings.require.contains(wanted));
            if settings.privileged && (lacks || settings.stages.is_empty()) {
                found.insert((AlertKind::WeakSettings, role.clone()));
            }
            for stage in &settings.stages {
                let listed = |who: &Uid| {
                    let above = ancestors(self.rows(), who).unwrap();
                    stage.approvers.iter().any(|approver| approver == who || above.contains(approver))
                };
                let able = people.iter().filter(|who| listed(who) && presence(self.rows(), who).unwrap() == Presence::Known);
                let persons: BTreeSet<String> = able.map(|who| decide::person(self.rows(), who).unwrap()).collect();
                if (persons.len() as u64) < self.rule(AlertKind::SmallCircle, Limit::Persons).max(stage.quorum.into()) {
                    found.insert((AlertKind::SmallCircle, role.clone()));
                }
            }
        }
    }

    /// Every activation that began, in order, and when.
    fn started(&self) -> Vec<(Timestamp, &Activation)> {
        let events = self.watched.world.records.iter().flat_map(|record| record.events.iter().map(|event| (record.at, event)));
        events
            .filter_map(|(at, event)| {
                let Event::ActivationStarted { id, .. } = event else { return None };
                Some((at, &self.rows().all.activations[id]))
            })
            .collect()
    }

    /// When a name went last before an instant, so that whoever has it came then or later.
    fn came(&self, who: &Uid, by: Timestamp) -> Timestamp {
        let gone = |record: &&Record| record.events.iter().any(|event| matches!(event, Event::EntityDeleted { uid, .. } if uid == who));
        let records = self.watched.world.records.iter().filter(|record| record.at <= by);
        records.filter(gone).map(|record| record.at).max().unwrap_or_default()
    }

    fn counted(&self, found: &mut Found) {
        let now = self.watched.world.now;
        let mut sums: BTreeMap<(AlertKind, AlertSubject), u64> = BTreeMap::new();
        for record in &self.watched.world.records {
            for event in &record.events {
                let mut add = |kind, subject, times| {
                    if record.at.plus(Duration::from_secs(self.rule(kind, Limit::Within))) > now {
                        *sums.entry((kind, subject)).or_default() += times;
                    }
                };
                if let Event::ActivationRequested { activation } = event {
                    add(AlertKind::RequestBurst, AlertSubject::Principal(activation.requester.principal().unwrap().clone()), 1);
                }
                if let Event::CommandRefused { count, .. } = event {
                    add(AlertKind::DenialBurst, AlertSubject::Principal(record.actor.principal().unwrap().clone()), *count);
                }
                if let Event::ActivationStarted { id, .. } = event {
                    let of = &self.rows().all.activations[id];
                    let holding = AlertSubject::Holding { principal: of.principal.clone(), role: of.role.clone() };
                    add(AlertKind::ActivationBurst, AlertSubject::Principal(of.principal.clone()), 1);
                    add(AlertKind::ActivatedOften, holding, 1);
                }
                if let Event::EmergencyUsed { id, .. } = event {
                    found.insert((AlertKind::EmergencyUsed, AlertSubject::Activation(id.clone())));
                }
            }
        }
        found.extend(sums.into_iter().filter(|((kind, _), sum)| *sum >= self.rule(*kind, Limit::Times)).map(|(key, _)| key));
    }

    fn unusual(&self, found: &mut Found) {
        let (now, started) = (self.watched.world.now, self.started());
        for (place, (at, of)) in started.iter().enumerate() {
            // who had the name before is somebody else
            let came = self.came(&of.principal, *at);
            let before: Vec<_> = started[..place].iter().filter(|(at, known)| known.principal == of.principal && *at >= came).collect();
            let open = |kind| at.plus(Duration::from_secs(self.rule(kind, Limit::OpenFor))) > now;
            let subject = || AlertSubject::Activation(of.id.clone());
            let Some((first, _)) = before.first() else { continue };
            let kind = AlertKind::FirstActivation;
            let settled = before.len() as u64 >= self.rule(kind, Limit::Known)
                && first.plus(Duration::from_days(self.rule(kind, Limit::Days))) <= *at;
            let new_role = before.iter().all(|(_, known)| known.role != of.role);
            let new_scope = of.scope.is_some() && before.iter().all(|(_, known)| known.scope != of.scope);
            if open(kind) && settled && self.privileged(&of.role) && (new_role || new_scope) {
                found.insert((kind, subject()));
            }
            let kind = AlertKind::UnusualHour;
            // the hour of the day, and whether it is on a weekend: 1970 began on a Thursday
            let place_of = |at: Timestamp| {
                (at.millis().rem_euclid(86_400_000) / 3_600_000, (at.millis().div_euclid(86_400_000) + 3).rem_euclid(7) >= 5)
            };
            let (hour, weekend) = place_of(*at);
            let near = before.iter().filter(|(at, _)| {
                let (other, on_weekend) = place_of(*at);
                let apart = (hour - other).abs();
                on_weekend == weekend && apart.min(24 - apart) <= 2
            });
            let (near, all) = (near.count() as u64, before.len() as u64);
            if open(kind) && all >= self.rule(kind, Limit::Known) && near * 100 <= self.rule(kind, Limit::Share) * all {
                found.insert((kind, subject()));
            }
        }
    }

    /// What lasts by what is recorded.
    fn lasting(&self) -> Found {
        let lasting = self.rows().all.incidents.values().filter(|incident| incident.lasts());
        lasting.map(|incident| (incident.finding.kind, incident.finding.subject.clone())).collect()
    }
}

fn run(steps: &[(u64, Op)], met: &mut BTreeSet<AlertKind>) -> Result<(), TestCaseError> {
    let mut both = Both::new();
    for (number, (wait, op)) in steps.iter().enumerate() {
        both.step(*wait, op);
        let (lasting, expected) = (both.lasting(), both.expected());
        let missing: Vec<_> = expected.difference(&lasting).collect();
        let wrong: Vec<_> = lasting.difference(&expected).collect();
        prop_assert!(missing.is_empty() && wrong.is_empty(), "after step {number} {op:?}: missing {missing:?}, wrong {wrong:?}");
        met.extend(lasting.into_iter().map(|(kind, _)| kind));
    }
    let before = both.rows().all.incidents.clone();
    // another one looks at all of it at once, when the facts are newer than the records
    let mut again = Watched::over(both.watched.world.clone());
    let lasting: Vec<_> = before.values().filter(|incident| incident.lasts()).cloned().collect();
    lasting.iter().for_each(|incident| again.detectors.align(&again.world.rows, incident));
    again.look();
    let of = |found: Found| -> Found {
        // whether somebody was in a group then is asked of the facts of now
        found.into_iter().filter(|(kind, _)| *kind != AlertKind::StalePrincipal).collect()
    };
    let lasts = again.world.rows.all.incidents.values().filter(|found| found.lasts());
    let now: Found = lasts.map(|found| (found.finding.kind, found.finding.subject.clone())).collect();
    prop_assert_eq!(of(now), of(both.lasting()), "looked at all at once, the same is so");
    prop_assert_eq!(both.watched.world.replayed(false), both.rows().all.clone(), "all of it follows from the journal");
    Ok(())
}

const HISTORIES: u32 = 600;
/// How often so many histories are drawn at most, until every kind of alert came up in one.
const DRAWS: usize = 6;

#[test]
fn what_is_found_is_what_a_look_at_everything_finds() {
    let config = proptest::test_runner::Config { cases: HISTORIES, failure_persistence: None, ..Default::default() };
    let met = std::cell::RefCell::new(BTreeSet::new());
    let wait = prop_oneof![4 => 0_u64..90, 2 => 60_u64..600, 1 => DAY / 2..2 * DAY];
    let steps = prop::collection::vec((wait, op()), 1..60);
    let untold = [AlertKind::ClockTrouble, AlertKind::JournalTrouble];
    let never = || AlertKind::ALL.into_iter().filter(|kind| !met.borrow().contains(kind)).collect::<Vec<_>>();
    for _ in 0..DRAWS {
        let mut runner = proptest::test_runner::TestRunner::new(config.clone());
        runner.run(&steps, |steps| run(&steps, &mut met.borrow_mut())).unwrap_or_else(|error| panic!("{error}"));
        if never() == untold {
            break;
        }
    }
    assert_eq!(never(), untold, "what was never met shows nothing");
}
