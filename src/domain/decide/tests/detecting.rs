//! Each alert, planted and not planted: just below its numbers and right at them, when it begins and when it ends.

use std::sync::Arc;

use super::kit::*;
use crate::domain::alert::{AlertKind, AlertRule, Incident, IncidentStatus, Limit, Remedy};
use crate::domain::command::Due;
use crate::domain::detect::{Detectors, Observed};
use crate::domain::grant::GrantRef;
use crate::domain::settings::Requirement;
use crate::domain::*;

/// The company, with its roles `top` (privileged, and as well guarded as it gets) and `free`, its rules as `change` makes them.
pub(super) fn watched_bundle(revision: &str, change: impl Fn(&mut Definitions)) -> Arc<Definitions> {
    let definitions = company_bundle(revision, |roles| {
        roles.retain(|role| role.name.as_str() == "free");
        roles.push(role("top", |role| {
            role.privileged = true;
            role.require = [Requirement::Mfa, Requirement::Justification].into();
            role.stages = vec![stage(&["Group:staff"], 1, 600)];
            role.assignment.allow_permanent = true;
            role.emergency = emergency(9);
        }));
        // as `top`, but to be had at once
        roles.push(role("open", |role| {
            role.privileged = true;
            role.assignment.allow_permanent = true;
            role.emergency = emergency(9);
        }));
    });
    let mut definitions = Arc::unwrap_or_clone(definitions);
    // what `open` lacks is looked at on its own
    set(&mut definitions, AlertKind::WeakSettings, |rule| rule.enabled = false);
    change(&mut definitions);
    Arc::new(definitions)
}

pub(super) fn set(definitions: &mut Definitions, kind: AlertKind, change: impl FnOnce(&mut AlertRule)) {
    let mut rule = definitions.alerts.of(kind);
    change(&mut rule);
    definitions.alerts.set(kind, rule);
}

pub(super) fn limits(definitions: &mut Definitions, kind: AlertKind, limits: &[(Limit, u64)]) {
    set(definitions, kind, |rule| rule.limits.extend(limits.iter().copied()));
}

/// A world with detectors beside it.
pub(super) struct Watched {
    pub(super) world: World,
    pub(super) detectors: Detectors,
    fed: usize,
}

impl Watched {
    pub(super) fn new(change: impl Fn(&mut Definitions)) -> Self {
        Self::over(World::with(watched_bundle("one", change)))
    }

    pub(super) fn over(world: World) -> Self {
        let mut watched = Self { world, detectors: Detectors::default(), fed: 0 };
        watched.look();
        watched
    }

    /// Does something, and looks.
    pub(super) fn run(&mut self, actor: &str, command: Command) -> Result<Outcome, Rejection> {
        let done = self.world.run(actor, command);
        self.look();
        done
    }

    pub(super) fn feed(&mut self) {
        while let Some(record) = self.world.records.get(self.fed) {
            self.detectors.advance(&self.world.rows, record.at).unwrap();
            self.detectors.feed(&self.world.rows, record).unwrap();
            self.fed += 1;
        }
        self.detectors.advance(&self.world.rows, self.world.now).unwrap();
    }

    /// Feeds what came, lets time come up to now, and has recorded what was found, as the engine does.
    pub(super) fn look(&mut self) {
        loop {
            self.feed();
            let changes: Vec<_> = self.detectors.changes().iter().take(decide::MAX_NOTED).cloned().collect();
            if changes.is_empty() {
                return;
            }
            let number = changes.len();
            self.world.run("elevon", Command::NoteAlerts { changes }).unwrap();
            self.detectors.recorded(number);
        }
    }

    pub(super) fn wait(&mut self, minutes: u64) {
        self.world.wait(minutes);
        self.look();
    }

    /// Incidents of a kind, oldest first.
    pub(super) fn of(&self, kind: AlertKind) -> Vec<Incident> {
        let mut found: Vec<_> = self.world.rows.all.incidents.values().filter(|incident| incident.finding.kind == kind).cloned().collect();
        found.sort_by_key(|incident| incident.finding.began());
        found
    }

    /// Where the incidents of a kind stand, oldest first.
    fn stand(&self, kind: AlertKind) -> Vec<&'static str> {
        self.of(kind).iter().map(|incident| incident.status().as_str()).collect()
    }

    fn numbers(&self, kind: AlertKind) -> Vec<(String, i64)> {
        self.of(kind).last().unwrap().finding.numbers.clone().into_iter().collect()
    }

    pub(super) fn eligible(&mut self, id: &str, holder: &str, role: &str, scope: Option<&str>, minutes: Option<u64>) {
        self.world.eligible(id, holder, role, scope, minutes).unwrap();
        self.look();
    }

    fn assigned(&mut self, id: &str, holder: &str, role: &str, scope: Option<&str>, minutes: Option<u64>) {
        let end = minutes.map(|minutes| self.world.now.plus(mins(minutes)));
        self.run("root", Command::CreateAssignment { id: asg(id), grant: grant(holder, role, scope, end) }).unwrap();
    }

    /// Activates a role that needs no approval for some minutes, and gives it back.
    fn activates(&mut self, id: &str, who: &str, role: &str, scope: Option<&str>) {
        self.run(who, ask(id, who, role, scope, Some(30))).unwrap();
        self.run(who, Command::Deactivate { id: act(id), reason: None }).unwrap();
    }
}

const DAY: u64 = 24 * 60;

fn number(name: &str, value: i64) -> (String, i64) {
    (name.to_owned(), value)
}

#[test]
fn an_assigned_privileged_role_is_held_outside() {
    let kind = AlertKind::RoleHeldOutside;
    let mut world = Watched::new(|definitions| limits(definitions, kind, &[(Limit::LongerThan, 3600)]));
    world.assigned("asg_1", "User:ann", "top", None, Some(60));
    world.assigned("asg_2", "User:ann", "free", None, Some(61));
    assert_eq!(world.stand(kind), [""; 0], "as long as it may be, and a role that is not privileged");
    world.assigned("asg_3", "User:bob", "top", None, Some(61));
    assert_eq!(world.stand(kind), ["open"]);
    assert_eq!(world.numbers(kind), [number("lasts_seconds", 3660), number("permanent", 0)]);
    world.assigned("asg_4", "User:cat", "top", None, None);
    assert_eq!(world.of(kind)[1].finding.numbers["permanent"], 1);
    world.wait(61);
    world.world.settle(Due::AssignmentEnd(asg("asg_3"))).unwrap();
    world.look();
    assert_eq!(world.stand(kind), ["cleared", "open"]);
    world.run("root", Command::RemoveAssignment { id: asg("asg_4"), reason: None }).unwrap();
    assert_eq!(world.stand(kind), ["cleared", "cleared"]);
}

#[test]
fn holders_are_counted_through_groups_and_never_twice() {
    let kind = AlertKind::TooManyHolders;
    let rule = [(Limit::Count, 3), (Limit::Share, 100)];
    let mut world = Watched::new(|definitions| limits(definitions, kind, &rule));
    // three of seven
    world.eligible("elg_1", "Group:ops", "top", None, None);
    world.eligible("elg_2", "User:ann", "top", Some("Db:prod"), None);
    assert_eq!(world.stand(kind), [""; 0]);
    world.eligible("elg_3", "User:eve", "top", None, None);
    assert_eq!(world.stand(kind), ["open"]);
    assert_eq!(world.of(kind)[0].finding.numbers["holders"], 4);
    assert_eq!(world.of(kind)[0].finding.numbers["share_percent"], 57);
    // somebody new in the group changes nothing; who is disabled does not count
    world.run("root", Command::SetDisabled { uid: user("bob"), disabled: true, reason: None }).unwrap();
    assert_eq!(world.stand(kind), ["cleared"]);
    world.world.put("root", "User:new", &["Group:ops"]).unwrap();
    world.look();
    assert_eq!(world.stand(kind), ["cleared", "open"]);
    world.run("root", Command::DeleteEntity { uid: user("new"), reason: None }).unwrap();
    assert_eq!(world.stand(kind), ["cleared", "cleared"]);
}

#[test]
fn a_large_share_is_too_many_but_never_a_few() {
    for (few, share, wanted) in [(2, 42, true), (2, 43, false), (3, 0, false)] {
        let kind = AlertKind::TooManyHolders;
        let rule = [(Limit::Count, 100), (Limit::Share, share), (Limit::Few, few)];
        let mut world = Watched::new(|definitions| limits(definitions, kind, &rule));
        // three of seven are 42.8 percent
        world.eligible("elg_1", "Group:ops", "top", None, None);
        assert_eq!(!world.of(kind).is_empty(), wanted, "{few} {share}");
    }
}

#[test]
fn only_what_is_assigned_without_an_end_is_permanent() {
    let kind = AlertKind::TooManyPermanent;
    let mut world = Watched::new(|definitions| limits(definitions, kind, &[(Limit::Count, 1), (Limit::Share, 100)]));
    world.assigned("asg_1", "User:ann", "top", None, None);
    world.assigned("asg_2", "User:bob", "top", None, Some(60));
    world.eligible("elg_1", "User:cat", "top", None, None);
    assert_eq!(world.stand(kind), [""; 0]);
    world.assigned("asg_3", "User:dan", "top", None, None);
    assert_eq!(world.stand(kind), ["open"]);
    world.run("root", Command::RemoveAssignment { id: asg("asg_1"), reason: None }).unwrap();
    assert_eq!(world.stand(kind), ["cleared"]);
}

#[test]
fn activating_often_is_counted_within_its_time() {
    let kind = AlertKind::ActivatedOften;
    for (gap, wanted) in [(30, vec!["open"]), (31, vec![])] {
        let mut world = Watched::new(|definitions| limits(definitions, kind, &[(Limit::Times, 3), (Limit::Within, 3601)]));
        world.eligible("elg_1", "User:ann", "free", None, None);
        world.eligible("elg_2", "User:bob", "free", None, None);
        for place in 0..3 {
            world.activates(&format!("act_{place}"), "ann", "free", None);
            if place < 2 {
                world.activates(&format!("act_b{place}"), "bob", "free", None);
                world.wait(gap);
            }
        }
        assert_eq!(world.stand(kind), wanted, "every {gap} minutes");
        if !wanted.is_empty() {
            assert_eq!(world.numbers(kind), [number("activations", 3), number("limit", 3), number("within_seconds", 3601)]);
            world.wait(1);
            // the first of them lies an hour and a second back by then
            assert_eq!(world.stand(kind), ["cleared"]);
            world.activates("act_9", "ann", "free", None);
            assert_eq!(world.stand(kind), ["cleared", "open"]);
        }
    }
}

#[test]
fn bursts_are_told_by_who_asks_who_is_refused_and_who_activates() {
    let rule = [(Limit::Times, 3), (Limit::Within, 600)];
    let plant = |definitions: &mut Definitions| {
        for kind in [AlertKind::RequestBurst, AlertKind::DenialBurst, AlertKind::ActivationBurst] {
            limits(definitions, kind, &rule);
        }
    };
    let mut world = Watched::new(plant);
    world.eligible("elg_1", "User:ann", "free", None, None);
    world.activates("act_1", "ann", "free", None);
    world.activates("act_2", "ann", "free", None);
    assert!(world.of(AlertKind::ActivationBurst).is_empty() && world.of(AlertKind::RequestBurst).is_empty());
    world.activates("act_3", "ann", "free", None);
    let burst = &world.of(AlertKind::ActivationBurst)[0];
    assert_eq!(burst.finding.remedy, Some(Remedy::RevokePrincipal(user("ann"))));
    assert_eq!(world.of(AlertKind::RequestBurst)[0].finding.remedy, Some(Remedy::DisablePrincipal(user("ann"))));
    world.wait(10);
    assert_eq!((world.stand(AlertKind::ActivationBurst), world.stand(AlertKind::RequestBurst)), (vec!["cleared"], vec!["cleared"]));

    // a refusal that stands for two counts as two
    let refused = |count| Command::CoalesceRefusals { rule: "not_eligible".to_owned(), count };
    world.run("eve", refused(2)).unwrap();
    assert_eq!(world.stand(AlertKind::DenialBurst), [""; 0]);
    world.run("eve", refused(1)).unwrap();
    assert_eq!(world.stand(AlertKind::DenialBurst), ["open"]);
}

#[test]
fn denied_requests_count_as_denials_of_who_asked() {
    let kind = AlertKind::DenialBurst;
    let mut world = Watched::new(|definitions| limits(definitions, kind, &[(Limit::Times, 2), (Limit::Within, 600)]));
    // without what `top` wants of a request
    let lax = watched_bundle("two", |definitions| {
        limits(definitions, kind, &[(Limit::Times, 2), (Limit::Within, 600)]);
        let mut top = (*definitions.roles[&role_name("top")]).clone();
        top.require.clear();
        definitions.roles.insert(role_name("top"), Arc::new(top));
    });
    world.world.swap(&lax).unwrap();
    world.look();
    world.eligible("elg_1", "User:eve", "top", None, None);
    for (id, wanted) in [("act_1", 0), ("act_2", 1)] {
        world.run("eve", ask(id, "eve", "top", None, Some(30))).unwrap();
        world.world.deny("ann", id).unwrap();
        world.look();
        assert_eq!(world.of(kind).len(), wanted, "{id}");
    }
    assert_eq!(world.of(kind)[0].finding.principal, Some(user("eve")));
}

#[test]
fn an_eligibility_that_nobody_uses_is_found_on_its_day() {
    let kind = AlertKind::NeverUsed;
    let mut world = Watched::new(|definitions| limits(definitions, kind, &[(Limit::Days, 2)]));
    world.eligible("elg_1", "User:ann", "free", None, None);
    world.eligible("elg_2", "User:bob", "free", None, None);
    world.eligible("elg_3", "Group:ops", "top", None, None);
    world.activates("act_1", "bob", "free", None);
    world.wait(2 * DAY - 1);
    assert_eq!(world.stand(kind), [""; 0]);
    world.wait(1);
    assert_eq!(world.stand(kind), ["open", "open"], "one of a group, too");
    assert_eq!(world.numbers(kind), [number("days", 2), number("limit_days", 2)]);
    world.activates("act_2", "ann", "free", None);
    assert_eq!(world.of(kind).iter().filter(|incident| incident.status() == IncidentStatus::Open).count(), 1);
    world.run("root", Command::RemoveEligibility { id: elg("elg_3"), reason: None }).unwrap();
    assert!(world.stand(kind).iter().all(|status| *status == "cleared"));
}

#[test]
fn who_gives_no_sign_of_life_is_stale_and_a_check_is_one() {
    let kind = AlertKind::StalePrincipal;
    let mut world = Watched::new(|definitions| limits(definitions, kind, &[(Limit::Days, 2)]));
    world.eligible("elg_1", "User:ann", "free", None, None);
    world.assigned("asg_1", "User:dan", "free", None, Some(DAY - 1));
    world.assigned("asg_2", "User:eve", "open", None, None);
    world.wait(DAY);
    world.activates("act_1", "ann", "free", None);
    world.world.rows.last_checks.insert(GrantRef::Assignment(asg("asg_2")), world.world.now);
    world.world.settle(Due::AssignmentEnd(asg("asg_1"))).unwrap();
    world.look();
    world.wait(DAY);
    assert_eq!(world.stand(kind), [""; 0], "used, checked, and without anything to use");
    world.wait(DAY - 1);
    assert_eq!(world.stand(kind), [""; 0]);
    world.wait(1);
    assert_eq!(world.stand(kind), ["open", "open"]);
    assert_eq!(world.numbers(kind), [number("days", 2), number("grants", 1), number("limit_days", 2)]);
    world.activates("act_2", "ann", "free", None);
    // a check is in no record: it is looked up once a day
    world.world.rows.last_checks.insert(GrantRef::Assignment(asg("asg_2")), world.world.now);
    world.wait(DAY);
    assert_eq!(world.stand(kind), ["cleared", "cleared"]);
    world.wait(2 * DAY);
    assert_eq!(world.of(kind).len(), 4, "and again, when both are quiet for as long");
    world.run("root", Command::SetDisabled { uid: user("eve"), disabled: true, reason: None }).unwrap();
    assert_eq!(world.of(kind).iter().filter(|incident| incident.lasts()).count(), 1);
}

#[test]
fn a_check_of_one_member_is_no_sign_of_life_of_another() {
    let kind = AlertKind::StalePrincipal;
    let mut world = Watched::new(|definitions| limits(definitions, kind, &[(Limit::Days, 2)]));
    world.eligible("elg_1", "Group:ops", "free", None, None);
    world.wait(DAY);
    world.activates("act_1", "ann", "free", None);
    world.world.rows.last_checks.insert(GrantRef::Eligibility(elg("elg_1")), world.world.now);
    world.wait(DAY);
    let stale: Vec<_> = world.of(kind).into_iter().filter_map(|incident| incident.finding.principal).collect();
    assert!(stale.contains(&user("bob")) && !stale.contains(&user("ann")), "{stale:?}");
}

#[test]
fn weak_settings_are_told_by_what_is_lacking() {
    let kind = AlertKind::WeakSettings;
    let mut world = Watched::new(|definitions| set(definitions, kind, |rule| rule.enabled = true));
    assert_eq!(world.of(kind).len(), 1, "`top` has all of it, and `free` is not privileged");
    assert_eq!(world.numbers(kind), [number("lacks_approval", 1), number("lacks_justification", 1), number("lacks_mfa", 1)]);
    let lax = watched_bundle("two", |definitions| {
        set(definitions, kind, |rule| rule.enabled = true);
        limits(definitions, kind, &[(Limit::Mfa, 0), (Limit::Approval, 0), (Limit::Justification, 0)]);
    });
    world.world.swap(&lax).unwrap();
    world.look();
    assert_eq!(world.stand(kind), ["cleared"]);
}

#[test]
fn what_is_given_twice_is_found_and_what_is_not_is_not() {
    let kind = AlertKind::DuplicateHoldings;
    type Row = (&'static str, &'static str, Option<&'static str>, Option<u64>);
    let free = "free";
    let rows: [(&str, Row, Row, Option<Option<&str>>); 8] = [
        // direct and through a group: the own one can go
        ("group", ("elg", "Group:ops", None, None), ("elg", "User:ann", None, None), Some(Some("two"))),
        ("wider", ("elg", "User:ann", Some("Db:orders"), None), ("elg", "User:ann", Some("Db:prod"), None), Some(Some("one"))),
        ("everywhere", ("elg", "User:ann", Some("Db:test"), None), ("elg", "User:ann", None, None), Some(Some("one"))),
        ("two groups", ("elg", "Group:ops", None, None), ("elg", "Group:staff", None, None), Some(None)),
        ("beside", ("elg", "User:ann", Some("Db:test"), None), ("elg", "User:ann", Some("Db:prod"), None), None),
        ("held and eligible", ("elg", "User:ann", None, None), ("asg", "User:ann", None, Some(60)), Some(Some("one"))),
        ("held on less", ("elg", "User:ann", None, None), ("asg", "User:ann", Some("Db:test"), Some(60)), None),
        ("of others", ("elg", "User:eve", None, None), ("elg", "User:ann", None, None), None),
    ];
    for (what, one, two, wanted) in rows {
        let mut world = Watched::new(|definitions| {
            let mut free = (*definitions.roles[&role_name("free")]).clone();
            free.assignment.max_duration = Duration::from_days(9);
            definitions.roles.insert(role_name("free"), Arc::new(free));
        });
        for (id, (sort, holder, scope, minutes)) in [("one", one), ("two", two)] {
            if sort == "elg" { world.eligible(id, holder, free, scope, minutes) } else { world.assigned(id, holder, free, scope, minutes) }
        }
        let found: Vec<_> = world.of(kind).into_iter().filter(|found| found.finding.principal == Some(user("ann"))).collect();
        assert_eq!(found.len(), usize::from(wanted.is_some()), "{what}");
        if let Some(own) = wanted {
            let remedy = own.map(|id| Remedy::RemoveEligibility(elg(id)));
            assert_eq!(found[0].finding.remedy, remedy, "{what}");
            world.run("root", Command::RemoveEligibility { id: elg("one"), reason: None }).unwrap();
            assert!(world.of(kind).iter().all(|found| !found.lasts()), "{what}");
        }
    }
}

#[test]
fn an_emergency_stands_until_it_is_reviewed() {
    let kind = AlertKind::EmergencyUsed;
    let mut world = Watched::new(|_| {});
    world.eligible("elg_1", "User:ann", "open", None, None);
    world.run("ann", break_glass("act_1", "ann", "open", Some(30))).unwrap();
    assert_eq!(world.stand(kind), ["open"]);
    let incident = &world.of(kind)[0];
    assert_eq!((incident.finding.severity.as_str(), incident.finding.numbers["duration_seconds"]), ("high", 1800));
    let review = world.world.rows.all.reviews.keys().next().unwrap().clone();
    world.run("root", Command::CompleteReview { id: review.clone(), reason: None }).unwrap();
    for _ in 0..3 {
        world.world.settle(Due::ReviewStep(review.clone())).unwrap();
    }
    world.look();
    assert_eq!(world.stand(kind), ["cleared"]);
}

#[test]
fn a_circle_is_counted_by_persons_who_are_enabled() {
    let kind = AlertKind::SmallCircle;
    let circle = |definitions: &mut Definitions| {
        limits(definitions, kind, &[(Limit::Persons, 3)]);
        let mut top = (*definitions.roles[&role_name("top")]).clone();
        // ann, bob and cat, whose second account kat is no other person
        top.stages = vec![stage(&["Group:ops", "User:kat"], 1, 600)];
        definitions.roles.insert(role_name("top"), Arc::new(top));
    };
    let mut world = Watched::new(circle);
    assert_eq!(world.stand(kind), [""; 0]);
    world.run("root", Command::SetDisabled { uid: user("ann"), disabled: true, reason: None }).unwrap();
    assert_eq!(world.stand(kind), ["open"]);
    assert_eq!(world.numbers(kind), [number("persons", 2), number("quorum", 1), number("stage", 1), number("wanted", 3)]);
    world.world.put("root", "User:new", &["Group:ops"]).unwrap();
    world.look();
    assert_eq!(world.stand(kind), ["cleared"]);
    world.run("root", Command::DeleteEntity { uid: user("new"), reason: None }).unwrap();
    assert_eq!(world.stand(kind), ["cleared", "open"]);
    world.run("root", Command::SetDisabled { uid: user("ann"), disabled: false, reason: None }).unwrap();
    assert_eq!(world.stand(kind), ["cleared", "cleared"]);
}

#[test]
fn a_first_time_counts_for_those_whose_habits_are_known() {
    let kind = AlertKind::FirstActivation;
    // (activations before, days since the first of them), role, scope; what is new
    let rows = [
        (3, 2, "open", Some("Db:prod"), None),
        (2, 2, "open", Some("Db:test"), None),
        (3, 1, "open", Some("Db:test"), None),
        (3, 2, "open", Some("Db:test"), Some((0, 1))),
        (3, 2, "wide", Some("Db:prod"), Some((1, 0))),
        (3, 2, "free", Some("Db:test"), None),
    ];
    for (before, days, role_name_of, scope, wanted) in rows {
        let mut world = Watched::new(|definitions| {
            limits(definitions, kind, &[(Limit::Known, 3), (Limit::Days, 2)]);
            let wide = role("wide", |role| role.privileged = true);
            definitions.roles.insert(role_name("wide"), Arc::new(wide));
        });
        for (id, role) in [("elg_1", "open"), ("elg_2", "wide"), ("elg_3", "free")] {
            world.eligible(id, "User:ann", role, None, None);
        }
        for place in 0..before {
            world.activates(&format!("act_{place}"), "ann", "open", Some("Db:prod"));
        }
        world.wait(days * DAY);
        world.activates("act_9", "ann", role_name_of, scope);
        let found = world.of(kind);
        let new = found.first().map(|found| (found.finding.numbers["new_role"], found.finding.numbers["new_scope"]));
        assert_eq!(new, wanted, "{before} {days} {role_name_of}");
        if wanted.is_some() {
            assert_eq!(found[0].finding.numbers["activations"], 3);
            assert_eq!(found[0].finding.remedy, Some(Remedy::RevokeActivation(act("act_9"))));
            world.wait(30 * DAY - 1);
            assert_eq!(world.stand(kind), ["open"]);
            world.wait(1);
            assert_eq!(world.stand(kind), ["cleared"], "what has no end of its own is open for a month");
        }
    }
}

#[test]
fn who_wakes_up_after_long_is_told() {
    let kind = AlertKind::FirstActivation;
    for (minutes, wanted) in [(2 * DAY - 1, 0), (2 * DAY, 1)] {
        let mut world = Watched::new(|definitions| limits(definitions, kind, &[(Limit::Days, 2)]));
        world.eligible("elg_1", "User:ann", "open", None, None);
        world.wait(minutes);
        world.activates("act_1", "ann", "open", None);
        assert_eq!(world.of(kind).len(), wanted, "{minutes}");
    }
}

#[test]
fn an_hour_is_unusual_by_the_share_around_it() {
    let kind = AlertKind::UnusualHour;
    // hours after the usual one; activations before; the most that is rare, in percent
    let rows = [
        (2, 10, 0, false),
        (3, 10, 0, true),
        (3, 9, 0, false),
        (14, 10, 0, true),
        (22, 10, 0, false),
        (72, 10, 0, true),
        (3, 10, 99, true),
    ];
    for (later, before, share, wanted) in rows {
        let mut world = Watched::new(|definitions| {
            limits(definitions, kind, &[(Limit::Known, 10), (Limit::Hours, 2), (Limit::Share, share)]);
        });
        world.eligible("elg_1", "User:ann", "free", None, None);
        // a Wednesday, at 17:46
        assert_eq!(world.world.now.to_string(), "2030-03-17T17:46:40.000Z");
        world.wait(3 * DAY);
        for place in 0..before {
            world.activates(&format!("act_{place}"), "ann", "free", None);
        }
        world.wait(later * 60);
        world.activates("act_x", "ann", "free", None);
        let found = world.of(kind);
        assert_eq!(!found.is_empty(), wanted, "{later} hours later, {before} before");
        if let Some(found) = found.first() {
            assert_eq!((found.finding.numbers["activations"], found.finding.numbers["near_this_hour"]), (10, 0));
        }
    }
}

#[test]
fn a_clock_that_was_accepted_or_not_believed_is_told() {
    let mut world = Watched::new(|_| {});
    world.run("elevon", Command::AcceptClock).unwrap();
    assert_eq!(world.stand(AlertKind::ClockTrouble), ["open"]);
    let seen = Observed::ClockDistrusted { seq: 7, seconds: 90, lead: 400 };
    world.detectors.observe(&world.world.rows, world.world.now, &seen);
    world.detectors.observe(&world.world.rows, world.world.now, &Observed::JournalBroken { seq: 3 });
    world.look();
    assert_eq!(world.numbers(AlertKind::ClockTrouble).len(), 2);
    assert_eq!((world.stand(AlertKind::ClockTrouble), world.stand(AlertKind::JournalTrouble)), (vec!["open", "open"], vec!["open"]));
}

#[test]
fn a_kind_that_is_switched_off_is_over_and_one_that_matters_more_says_so() {
    let kind = AlertKind::RoleHeldOutside;
    let mut world = Watched::new(|_| {});
    world.assigned("asg_1", "User:ann", "top", None, None);
    let off = watched_bundle("two", |definitions| set(definitions, kind, |rule| rule.enabled = false));
    world.world.swap(&off).unwrap();
    world.look();
    assert_eq!(world.stand(kind), ["cleared"]);
    let on = watched_bundle("three", |definitions| set(definitions, kind, |rule| rule.severity = alert::Severity::Low));
    world.wait(1);
    world.world.swap(&on).unwrap();
    world.look();
    assert_eq!(world.stand(kind), ["cleared", "open"]);
    assert_eq!(world.of(kind)[1].finding.severity, alert::Severity::Low);
}
