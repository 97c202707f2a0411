//! Access reviews, by rows, and whole lives of them against a plain reckoning of what has to become of each item.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::kit::*;
use crate::domain::calendar::{Date, Every, Schedule, TimeOfDay, Zone};
use crate::domain::command::Due;
use crate::domain::event::MAX_EVENTS;
use crate::domain::facts::Action;
use crate::domain::grant::GrantRef;
use crate::domain::id::{ReviewDefinitionId, ReviewId, ReviewName};
use crate::domain::review::*;
use crate::domain::*;

const DAY: u64 = 24 * 60;
/// The definition that most rows use, and its first review.
const DEFINED: &str = "rvd_1";
const FIRST: &str = "rev_1_1";

fn plan(stages: &[(Reviewers, &[&str], u32)]) -> ReviewPlan {
    let stage = |(reviewers, fallback, days): &(Reviewers, &[&str], u32)| ReviewStage {
        reviewers: reviewers.clone(),
        fallback: fallback.iter().map(|name| uid(name)).collect(),
        days: *days,
    };
    ReviewPlan {
        name: ReviewName::new("who may").unwrap(),
        roles: Vec::new(),
        scopes: Vec::new(),
        covers: Covers::Both,
        inactive_days: None,
        stages: stages.iter().map(stage).collect(),
        no_answer: NoAnswer::NoChange,
        auto_apply: true,
        confirm_above: CONFIRM_ABOVE,
        reminders: false,
    }
}

fn selected(names: &[&str]) -> Reviewers {
    Reviewers::Selected(names.iter().map(|name| uid(name)).collect())
}

/// By dan, within ten days.
fn by_dan() -> ReviewPlan {
    plan(&[(selected(&["User:dan"]), &[], 10)])
}

fn once(world: &World) -> Schedule {
    schedule(world, Every::Once)
}

fn schedule(world: &World, every: Every) -> Schedule {
    Schedule { every, first: Date::of(world.now), at: TimeOfDay::MIDNIGHT, zone: Zone::utc() }
}

fn definition() -> ReviewDefinitionId {
    ReviewDefinitionId::new(DEFINED).unwrap()
}

fn rev(id: &str) -> ReviewId {
    ReviewId::new(id).unwrap()
}

fn elig(id: &str) -> Subject {
    Subject::Eligibility(elg(id))
}

impl World {
    fn define(&mut self, plan: ReviewPlan, schedule: Schedule) -> Result<Outcome, Rejection> {
        self.run("root", Command::DefineReview { id: definition(), change: false, plan: Box::new(plan), schedule })
    }

    /// Defines a review that begins at once, and lets it begin.
    fn review(&mut self, plan: ReviewPlan) {
        let schedule = once(self);
        self.define(plan, schedule).unwrap();
        self.settle(Due::ReviewOpening(definition())).unwrap();
        self.step_all(FIRST);
    }

    /// Lets time do all that it has to do to a review by now. How many records that took.
    fn step_all(&mut self, id: &str) -> usize {
        let before = self.records.len();
        while self.settle(Due::ReviewStep(rev(id))).unwrap() == Outcome::Settled {}
        self.records.len() - before
    }

    fn says(&mut self, who: &str, subject: Subject, decided: Decided) -> Result<Outcome, Rejection> {
        let reason = text("looked at it");
        self.run(who, Command::DecideReview { id: rev(FIRST), subjects: vec![subject], decided, reason })
    }

    fn of_review(&self, id: &str) -> Review {
        self.rows.all.reviews[&rev(id)].clone()
    }

    fn items(&self, id: &str) -> BTreeSet<String> {
        let all = self.rows.all.review_entries.get(&rev(id)).cloned().unwrap_or_default();
        all.into_keys().map(|subject| subject.id().to_owned()).collect()
    }

    fn entry(&self, subject: &Subject) -> ReviewEntry {
        self.rows.all.review_entries[&rev(FIRST)][subject].clone()
    }

    fn stands(&self, id: &str) -> bool {
        self.rows.all.eligibilities.get(&elg(id)).is_some_and(|found| found.ended.is_none())
    }
}

/// ann, bob, ops and eve may activate `free`, ann on a database, too; eve holds `two`.
fn granted() -> World {
    let mut world = company();
    for (id, holder, role, scope) in [
        ("e-ann", "User:ann", "free", None),
        ("e-bob", "User:bob", "free", None),
        ("e-ops", "Group:ops", "free", None),
        ("e-eve", "User:eve", "one", Some("Db:orders")),
    ] {
        world.eligible(id, holder, role, scope, None).unwrap();
    }
    world.run("root", Command::CreateAssignment { id: asg("a-dan"), grant: grant("User:dan", "two", None, None) }).unwrap();
    world
}

#[test]
fn a_review_takes_what_its_plan_names_as_it_stands() {
    type Change = fn(&mut ReviewPlan);
    let rows: [(&str, Change, &[&str]); 8] = [
        ("everything", |_| {}, &["a-dan", "e-ann", "e-bob", "e-eve", "e-ops"]),
        ("a role", |plan| plan.roles = vec![role_name("free")], &["e-ann", "e-bob", "e-ops"]),
        ("roles, twice named", |plan| plan.roles = ["two", "one", "two"].map(role_name).into(), &["a-dan", "e-eve"]),
        ("below a scope", |plan| plan.scopes = vec![uid("Db:prod")], &["e-eve"]),
        ("another scope", |plan| plan.scopes = vec![uid("Db:test")], &[]),
        ("eligibilities", |plan| plan.covers = Covers::Eligibilities, &["e-ann", "e-bob", "e-eve", "e-ops"]),
        ("assignments", |plan| plan.covers = Covers::Assignments, &["a-dan"]),
        ("unused", |plan| plan.inactive_days = Some(20), &["a-dan", "e-ann", "e-ops"]),
    ];
    for (what, change, expected) in rows {
        let mut world = granted();
        world.wait(40 * DAY);
        // bob activates what is his; somebody used eve's; what ended, or is new, is none of it
        world.request("r", "bob", "free", None, 5).unwrap();
        world.rows.last_checks.insert(GrantRef::Eligibility(elg("e-eve")), world.now);
        world.eligible("e-gone", "User:cat", "free", None, None).unwrap();
        world.run("root", Command::RemoveEligibility { id: elg("e-gone"), reason: None }).unwrap();
        let mut plan = by_dan();
        change(&mut plan);
        let schedule = once(&world);
        world.define(plan, schedule).unwrap();
        world.settle(Due::ReviewOpening(definition())).unwrap();
        world.wait(1);
        world.eligible("e-late", "User:cat", "free", None, None).unwrap();
        world.step_all(FIRST);
        assert_eq!(world.items(FIRST), expected.iter().map(|id| (*id).to_owned()).collect(), "{what}");
        // nobody is asked about nothing
        let status = if expected.is_empty() { ReviewStatus::Applied } else { ReviewStatus::InProgress };
        assert_eq!(world.of_review(FIRST).status(), status, "{what}");
        assert_eq!(world.replayed(true), world.rows.all, "{what}");
    }
}

#[test]
fn a_recommendation_rests_on_use_and_says_on_which() {
    let mut world = granted();
    world.wait(40 * DAY);
    world.request("r", "ann", "free", None, 5).unwrap();
    let used = world.now;
    world.rows.last_checks.insert(GrantRef::Assignment(asg("a-dan")), used);
    world.eligible("e-new", "User:cat", "one", None, None).unwrap();
    world.wait(10 * DAY);
    world.review(by_dan());
    let told = |subject: Subject| {
        let item = world.entry(&subject).item;
        (item.recommendation, item.last_activation, item.last_check)
    };
    use Recommendation::{Approve, Deny};
    assert_eq!(told(elig("e-ann")), (Some(Approve), Some(used), None));
    assert_eq!(told(elig("e-bob")), (Some(Deny), None, None));
    assert_eq!(told(elig("e-new")), (Some(Approve), None, None));
    assert_eq!(told(Subject::Assignment(asg("a-dan"))), (Some(Approve), None, Some(used)));
    // what was forgotten since changes nothing: the record holds it
    world.rows.last_checks.clear();
    assert_eq!(world.replayed(true), world.rows.all);
}

#[test]
fn who_decides() {
    let rows: [(&str, ReviewPlan, &str, Subject, &str); 16] = [
        ("a selected one", by_dan(), "dan", elig("e-ann"), "accepted"),
        ("somebody else", by_dan(), "eve", elig("e-ann"), "not_a_reviewer"),
        ("through a group", plan(&[(selected(&["Group:ops"]), &[], 5)]), "bob", elig("e-ann"), "accepted"),
        ("the own", plan(&[(selected(&["Group:ops"]), &[], 5)]), "ann", elig("e-ann"), "separation_of_duties"),
        ("the own group's", plan(&[(selected(&["Group:ops"]), &[], 5)]), "ann", elig("e-ops"), "separation_of_duties"),
        ("by another account of a member", plan(&[(selected(&["User:kat"]), &[], 5)]), "kat", elig("e-ops"), "separation_of_duties"),
        ("oneself, where that is meant", plan(&[(Reviewers::Holder, &[], 5)]), "ann", elig("e-ann"), "accepted"),
        ("somebody else, where that is meant", plan(&[(Reviewers::Holder, &[], 5)]), "dan", elig("e-ann"), "not_a_reviewer"),
        ("a member, where that is meant", plan(&[(Reviewers::Holder, &[], 5)]), "ann", elig("e-ops"), "not_a_reviewer"),
        ("fallback for a group", plan(&[(Reviewers::Holder, &["User:dan"], 5)]), "dan", elig("e-ops"), "accepted"),
        ("no fallback while there is somebody", plan(&[(Reviewers::Holder, &["User:dan"], 5)]), "dan", elig("e-ann"), "not_a_reviewer"),
        ("fallback for the own", plan(&[(selected(&["User:ann"]), &["User:dan"], 5)]), "dan", elig("e-ann"), "accepted"),
        (
            "fallback, where another account of a member is all there is",
            plan(&[(selected(&["User:kat"]), &["User:dan"], 5)]),
            "dan",
            elig("e-ops"),
            "accepted",
        ),
        (
            "no fallback beside somebody",
            plan(&[(selected(&["User:ann", "User:bob"]), &["User:dan"], 5)]),
            "dan",
            elig("e-ann"),
            "not_a_reviewer",
        ),
        ("fallback is not for oneself", plan(&[(selected(&["User:ann"]), &["User:ann"], 5)]), "ann", elig("e-ann"), "separation_of_duties"),
        ("no such item", by_dan(), "dan", elig("e-none"), "not_found"),
    ];
    for (what, plan, who, subject, expected) in rows {
        let mut world = granted();
        world.review(plan);
        assert_eq!(rule(world.says(who, subject, Decided::Approve)), expected, "{what}");
    }
    // those whose turn it would be are gone
    let mut world = granted();
    world.review(plan(&[(selected(&["User:bob"]), &["User:dan"], 5)]));
    assert_eq!(rule(world.says("dan", elig("e-ann"), Decided::Deny)), "not_a_reviewer");
    world.run("root", Command::SetDisabled { uid: uid("User:bob"), disabled: true, reason: None }).unwrap();
    assert_eq!(rule(world.says("dan", elig("e-ann"), Decided::Deny)), "accepted");
    world.lose("dan", Action::ReviewAccess);
    assert_eq!(rule(world.says("dan", elig("e-ann"), Decided::Deny)), "not_permitted");
    assert_eq!(rule(world.says("bob", elig("e-ann"), Decided::Deny)), "principal_disabled");
}

#[test]
fn a_decision_can_be_changed_until_its_time_is_over() {
    let mut world = granted();
    world.review(plan(&[(selected(&["User:dan", "User:bob"]), &[], 2), (selected(&["User:root"]), &[], 2)]));
    let stands = |world: &World| world.entry(&elig("e-ann")).standing().map(|decision| decision.decided);
    assert_eq!(rule(world.says("root", elig("e-ann"), Decided::Deny)), "not_a_reviewer");
    world.says("dan", elig("e-ann"), Decided::Deny).unwrap();
    world.says("bob", elig("e-ann"), Decided::Approve).unwrap();
    assert_eq!(stands(&world), Some(Decided::Approve));
    assert_eq!((world.of_review(FIRST).tally.open, world.of_review(FIRST).tally.approved), (4, 1));
    world.says("dan", elig("e-ann"), Decided::Deny).unwrap();
    world.wait(2 * DAY);
    // over, whether or not a timer has said so
    assert_eq!(rule(world.says("bob", elig("e-ann"), Decided::Approve)), "not_in_state");
    world.step_all(FIRST);
    assert_eq!(rule(world.says("bob", elig("e-ann"), Decided::Approve)), "not_a_reviewer");
    assert_eq!(world.of_review(FIRST).tally.open, 5);
    // who does not know says nothing against what was said before
    world.says("root", elig("e-ann"), Decided::DontKnow).unwrap();
    assert_eq!(stands(&world), Some(Decided::Deny));
    world.says("root", elig("e-ann"), Decided::Approve).unwrap();
    assert_eq!(stands(&world), Some(Decided::Approve));
    world.wait(2 * DAY);
    world.step_all(FIRST);
    assert_eq!(world.of_review(FIRST).status(), ReviewStatus::Applied);
    assert_eq!(rule(world.says("root", elig("e-ann"), Decided::Deny)), "not_in_state");
    assert!(world.stands("e-ann"));
    assert_eq!(world.replayed(true), world.rows.all);
}

#[test]
fn those_who_have_not_answered_are_reminded() {
    let mut world = granted();
    world.review(ReviewPlan { reminders: true, ..by_dan() });
    let told = |world: &mut World, minutes: u64| {
        world.wait(minutes);
        let records = world.step_all(FIRST);
        (records, world.records.last().unwrap().events.last().unwrap().clone())
    };
    assert_eq!(told(&mut world, 5 * DAY - 1).0, 0);
    let (records, event) = told(&mut world, 1);
    assert!(records == 1 && matches!(event, Event::ReviewReminded { open: 5, stage: 0, .. }), "{event:?}");
    world.says("dan", elig("e-ann"), Decided::Approve).unwrap();
    let (records, event) = told(&mut world, 4 * DAY);
    assert!(records == 1 && matches!(event, Event::ReviewReminded { open: 4, remind_at: None, .. }), "{event:?}");
    assert_eq!(told(&mut world, DAY - 1).0, 0);
    assert!(told(&mut world, 1).0 > 0);
}

#[test]
fn a_mass_removal_is_asked_about_once_more() {
    let mut world = company();
    for number in 0..30 {
        world.put("root", &format!("User:w{number}"), &[]).unwrap();
        world.eligible(&format!("e-{number}"), &format!("User:w{number}"), "free", None, None).unwrap();
    }
    world.wait(60 * DAY);
    world.review(ReviewPlan { no_answer: NoAnswer::TakeRecommendation, ..by_dan() });
    for number in 0..20 {
        world.says("dan", elig(&format!("e-{number}")), Decided::Approve).unwrap();
    }
    world.wait(10 * DAY);
    world.step_all(FIRST);
    // it would have been carried out by itself, but for that
    assert_eq!(world.of_review(FIRST).status(), ReviewStatus::Completed);
    assert!(matches!(
        world.records.last().unwrap().events.last(),
        Some(Event::ReviewCompleted { removals: 10, items: 30, confirm: true, .. })
    ));
    let apply = |world: &mut World, confirm| world.run("root", Command::ApplyReview { id: rev(FIRST), confirm });
    for confirm in [None, Some(0), Some(9), Some(30)] {
        assert_eq!(rule(apply(&mut world, confirm)), "confirmation_needed", "{confirm:?}");
    }
    world.lose("ann", Action::ManageReviews);
    assert_eq!(rule(world.run("ann", Command::ApplyReview { id: rev(FIRST), confirm: Some(10) })), "not_permitted");
    apply(&mut world, Some(10)).unwrap();
    assert_eq!(rule(apply(&mut world, Some(10))), "not_in_state");
    // one record for each that goes, and none once it is done
    assert_eq!(world.step_all(FIRST), 11);
    assert_eq!(world.step_all(FIRST), 0);
    let left: Vec<_> = (0..30).filter(|number| world.stands(&format!("e-{number}"))).collect();
    assert_eq!(left, (0..20).collect::<Vec<_>>());
    assert_eq!(world.of_review(FIRST).tally, Tally { items: 30, approved: 20, denied: 0, advised: 10, open: 10, applied: 30, removed: 10 });
    assert_eq!(world.replayed(true), world.rows.all);
}

#[test]
fn what_goes_takes_with_it_what_rests_on_it_and_what_is_gone_is_said_to_be() {
    let mut world = granted();
    world.review(by_dan());
    world.request("r", "ann", "free", None, 200).unwrap();
    for id in ["e-ann", "e-bob"] {
        world.says("dan", elig(id), Decided::Deny).unwrap();
    }
    world.run("root", Command::RemoveEligibility { id: elg("e-bob"), reason: None }).unwrap();
    world.run("root", Command::CompleteReview { id: rev(FIRST), reason: Some(text("all said")) }).unwrap();
    assert_eq!(world.last(), ["review_completed", "review_applying"]);
    world.step_all(FIRST);
    assert_eq!(world.status("r"), "revoked");
    let applied = |id: &str| world.entry(&elig(id)).applied.map(|(_, applied)| applied);
    assert_eq!(["e-ann", "e-bob", "e-ops"].map(applied), [Applied::Removed, Applied::Gone, Applied::Kept].map(Some));
    // the reason of the decision is the reason of the removal
    let removed = world.rows.all.eligibilities[&elg("e-ann")].ended.clone();
    assert_eq!(removed, Some(grant::GrantEnd::Removed { by: Actor::System, at: world.now, reason: Some(text("looked at it").digest()) }));
}

#[test]
fn a_snapshot_goes_on_over_records_of_bounded_size_and_takes_each_grant_once() {
    let mut world = company();
    let long = "x".repeat(300);
    for number in 0..1100 {
        let holder = format!("User:{long}{number}");
        world.put("root", &holder, &[]).unwrap();
        world.eligible(&format!("e-{number:04}"), &holder, if number % 2 == 0 { "free" } else { "one" }, None, None).unwrap();
    }
    let schedule = once(&world);
    world.define(ReviewPlan { no_answer: NoAnswer::Remove, confirm_above: 100, ..by_dan() }, schedule).unwrap();
    world.settle(Due::ReviewOpening(definition())).unwrap();
    let taken = world.step_all(FIRST);
    assert!(taken >= 3, "{taken}");
    assert_eq!((world.items(FIRST).len(), world.of_review(FIRST).tally.items), (1100, 1100));
    world.wait(10 * DAY);
    world.step_all(FIRST);
    assert_eq!(world.of_review(FIRST).tally.removed, 1100);
    for record in &world.records {
        assert!(record.events.len() <= MAX_EVENTS && record.to_canonical().unwrap().len() <= 256 * 1024);
    }
    assert_eq!(world.replayed(false), world.rows.all);
}

#[test]
fn reviews_come_by_the_calendar_and_those_that_were_missed_come_once() {
    let mut world = granted();
    let start = world.now;
    let monthly = schedule(&world, Every::Monthly);
    let at = |number| monthly.occurrence(number).unwrap();
    let plan = || plan(&[(selected(&["User:dan"]), &[], 5)]);
    world.define(plan(), monthly.clone()).unwrap();
    let next = |world: &World| world.rows.all.review_definitions[&definition()].next;
    // the first day began before now
    assert_eq!(next(&world), Some(Upcoming { number: 1, at: at(1) }));
    assert_eq!(world.settle(Due::ReviewOpening(definition())).unwrap(), Outcome::Unchanged);
    world.run("root", Command::OpenReview { id: definition() }).unwrap();
    assert_eq!((next(&world).map(|next| next.number), world.of_review(FIRST).number), (Some(1), 1));
    world.now = at(1);
    world.settle(Due::ReviewOpening(definition())).unwrap();
    assert_eq!((next(&world), world.of_review("rev_1_2").opened_at), (Some(Upcoming { number: 2, at: at(2) }), at(1)));
    // nobody was there for half a year
    world.now = at(8).plus(mins(3));
    world.settle(Due::ReviewOpening(definition())).unwrap();
    assert_eq!(world.settle(Due::ReviewOpening(definition())).unwrap(), Outcome::Unchanged);
    assert_eq!((next(&world), world.rows.all.reviews.len()), (Some(Upcoming { number: 9, at: at(9) }), 3));
    // another plan changes nothing about when, and another schedule begins anew
    let change = |world: &mut World, plan: ReviewPlan, schedule: Schedule| {
        world.run("root", Command::DefineReview { id: definition(), change: true, plan: Box::new(plan), schedule })
    };
    change(&mut world, ReviewPlan { no_answer: NoAnswer::Remove, ..plan() }, monthly.clone()).unwrap();
    assert_eq!(next(&world), Some(Upcoming { number: 9, at: at(9) }));
    assert_eq!(world.of_review("rev_1_2").plan.no_answer, NoAnswer::NoChange);
    let weekly = Schedule { every: Every::Weekly, ..schedule(&world, Every::Weekly) };
    change(&mut world, plan(), weekly.clone()).unwrap();
    assert_eq!(next(&world).map(|next| next.at), weekly.occurrence(1));
    world.run("root", Command::EndReviews { id: definition(), reason: None }).unwrap();
    assert_eq!(next(&world), None);
    for command in [
        Command::OpenReview { id: definition() },
        Command::EndReviews { id: definition(), reason: None },
        Command::DefineReview { id: definition(), change: true, plan: Box::new(plan()), schedule: weekly },
    ] {
        assert_eq!(rule(world.run("root", command)), "not_in_state");
    }
    assert!(start < world.now);
    assert_eq!(world.replayed(true), world.rows.all);
}

#[test]
fn what_has_come_for_longer_than_a_year_can_be_changed_and_not_begun() {
    let mut world = granted();
    let monthly = schedule(&world, Every::Monthly);
    world.define(by_dan(), monthly.clone()).unwrap();
    world.now = monthly.occurrence(14).unwrap();
    world.settle(Due::ReviewOpening(definition())).unwrap();
    let next = |world: &World| world.rows.all.review_definitions[&definition()].next;
    let due = next(&world);
    let change = |world: &mut World, plan: ReviewPlan, schedule: Schedule| {
        rule(world.run("root", Command::DefineReview { id: definition(), change: true, plan: Box::new(plan), schedule }))
    };
    let by_eve = || plan(&[(selected(&["User:eve"]), &[], 10)]);
    assert_eq!(change(&mut world, by_eve(), monthly.clone()), "accepted");
    assert_eq!(next(&world), due, "it comes as it did");
    assert_eq!(world.rows.all.review_definitions[&definition()].plan, by_eve());
    // what is wrong with a plan, or with another schedule, is wrong as ever
    assert_eq!(change(&mut world, plan(&[(selected(&["User:eve"]), &[], 29)]), monthly.clone()), "review_invalid");
    assert_eq!(change(&mut world, by_eve(), Schedule { every: Every::Quarterly, ..monthly.clone() }), "review_invalid");
    assert_eq!(change(&mut world, by_eve(), Schedule { zone: Zone::new("Berlin"), ..monthly }), "review_invalid");
}

#[test]
fn what_cannot_be_reviewed_like_that_is_refused() {
    type Change = fn(&mut ReviewPlan, &mut Schedule);
    let rows: [(&str, Change, &str); 14] = [
        ("in order", |_, _| {}, "accepted"),
        ("no stage", |plan, _| plan.stages.clear(), "review_invalid"),
        ("four stages", |plan, _| plan.stages = vec![plan.stages[0].clone(); 4], "review_invalid"),
        ("no time", |plan, _| plan.stages[0].days = 0, "review_invalid"),
        ("longer than until the next", |_, schedule| schedule.every = Every::Weekly, "review_invalid"),
        ("no reviewers", |plan, _| plan.stages[0].reviewers = selected(&[]), "review_invalid"),
        ("whoever is permitted", |plan, _| plan.stages[0].reviewers = Reviewers::Permitted, "review_invalid"),
        ("an unknown reviewer", |plan, _| plan.stages[0].reviewers = selected(&["User:nobody"]), "unknown_principal"),
        ("a reviewer of no type", |plan, _| plan.stages[0].fallback = vec![uid("Db:prod")], "not_a_holder"),
        ("an unknown role", |plan, _| plan.roles = vec![role_name("none")], "unknown_role"),
        ("an unknown scope", |plan, _| plan.scopes = vec![uid("Db:none")], "unknown_scope"),
        ("an unknown zone", |_, schedule| schedule.zone = Zone::new("Berlin"), "review_invalid"),
        ("long ago", |_, schedule| schedule.first = Date::try_from("1999-01-01".to_owned()).unwrap(), "review_invalid"),
        ("no share", |plan, _| plan.confirm_above = 0, "review_invalid"),
    ];
    for (what, change, expected) in rows {
        let mut world = granted();
        let (mut plan, mut schedule) = (by_dan(), once(&world));
        change(&mut plan, &mut schedule);
        assert_eq!(rule(world.define(plan, schedule)), expected, "{what}");
    }
    let mut world = granted();
    world.lose("root", Action::ManageReviews);
    let schedule = once(&world);
    assert_eq!(rule(world.define(by_dan(), schedule)), "not_permitted");
}

#[test]
fn an_emergency_opens_a_review_of_itself() {
    let bundle = company_bundle("two", |roles| {
        for role in roles.iter_mut().filter(|role| role.name == role_name("free")) {
            role.emergency = emergency(2);
        }
    });
    let mut world = World::with(bundle);
    world.eligible("e-ann", "User:ann", "free", None, None).unwrap();
    world.run("ann", break_glass("act_9", "ann", "free", Some(30))).unwrap();
    let id = rev("rev_9");
    let review = world.of_review("rev_9");
    assert_eq!((review.status(), review.of), (ReviewStatus::InProgress, ReviewOf::Emergency(act("act_9"))));
    let subject = Subject::Activation(act("act_9"));
    let decide = |world: &mut World, who: &str, decided| {
        let (id, subjects, reason) = (id.clone(), vec![subject.clone()], text("no fire"));
        world.run(who, Command::DecideReview { id, subjects, decided, reason })
    };
    assert_eq!(rule(decide(&mut world, "ann", Decided::Approve)), "separation_of_duties");
    world.lose("bob", Action::ReviewAccess);
    assert_eq!(rule(decide(&mut world, "bob", Decided::Deny)), "not_permitted");
    decide(&mut world, "dan", Decided::Deny).unwrap();
    let mut later = world.clone();
    world.run("root", Command::CompleteReview { id: id.clone(), reason: None }).unwrap();
    world.step_all("rev_9");
    assert_eq!((world.status("act_9"), world.of_review("rev_9").status()), ("revoked", ReviewStatus::Applied));
    assert_eq!(world.replayed(true), world.rows.all);
    // by the time that it has to be done, there is nothing left to revoke
    later.wait(72 * 60);
    later.step_all("rev_9");
    assert_eq!((later.of_review("rev_9").status(), later.of_review("rev_9").tally.removed), (ReviewStatus::Applied, 0));
}

/// What somebody says about an item in a stage.
type Said = (usize, usize, usize);

/// Who keeps what, reckoned from what was said alone: the last stage in which somebody knew, or the rule.
fn keeps(said: &[Said], item: usize, used: bool, stages: usize, no_answer: NoAnswer) -> bool {
    let last_in = |stage: usize| said.iter().rfind(|(at, of, _)| *at == stage && *of == item).map(|(_, _, word)| Decided::ALL[word % 3]);
    let known = (0..stages).rev().filter_map(last_in).find(|word| *word != Decided::DontKnow);
    match known {
        Some(word) => word == Decided::Approve,
        None => match no_answer {
            NoAnswer::NoChange | NoAnswer::Approve => true,
            NoAnswer::Remove => false,
            NoAnswer::TakeRecommendation => used,
        },
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 120, ..ProptestConfig::default() })]
    #[test]
    fn who_keeps_and_who_loses_what_is_as_reckoned(
        said in prop::collection::vec((0..3_usize, 0..8_usize, 0..3_usize), 0..40),
        used in prop::collection::vec(any::<bool>(), 8),
        stages in 1..=3_usize, no_answer in 0..4_usize, group in any::<bool>(),
    ) {
        let no_answer = NoAnswer::ALL[no_answer];
        let mut world = company();
        for number in 0..8 {
            world.put("root", &format!("User:w{number}"), &[]).unwrap();
            world.eligible(&format!("e-{number}"), &format!("User:w{number}"), "free", None, None).unwrap();
        }
        world.wait(60 * DAY);
        for number in (0..8).filter(|number| used[*number]) {
            world.request(&format!("r{number}"), &format!("w{number}"), "free", None, 5).unwrap();
        }
        world.wait(DAY);
        let reviewers = || if group { selected(&["Group:staff"]) } else { selected(&["User:dan"]) };
        let all: Vec<(Reviewers, &[&str], u32)> = (0..stages).map(|_| (reviewers(), &[][..], 3)).collect();
        world.review(ReviewPlan { no_answer, ..plan(&all) });
        for stage in 0..stages {
            for (at, item, word) in &said {
                if *at == stage {
                    world.says("dan", elig(&format!("e-{item}")), Decided::ALL[word % 3]).unwrap();
                }
            }
            // a timer that comes late changes nothing about what stands
            world.wait(3 * DAY + 7);
            world.step_all(FIRST);
        }
        let goes: Vec<usize> = (0..8).filter(|item| !keeps(&said, *item, used[*item], stages, no_answer)).collect();
        let review = world.of_review(FIRST);
        prop_assert_eq!(review.removals() as usize, goes.len());
        if review.is_mass() {
            prop_assert!(goes.len() > 5);
            world.run("root", Command::ApplyReview { id: rev(FIRST), confirm: Some(goes.len() as u32) }).unwrap();
            world.step_all(FIRST);
        }
        prop_assert_eq!(world.of_review(FIRST).status(), ReviewStatus::Applied);
        for item in 0..8 {
            prop_assert_eq!(world.stands(&format!("e-{item}")), !goes.contains(&item), "{}", item);
        }
        let mut counts: BTreeMap<&str, u32> = BTreeMap::new();
        for (_, applied) in world.rows.all.review_entries[&rev(FIRST)].values().filter_map(|entry| entry.applied) {
            *counts.entry(applied.as_str()).or_default() += 1;
        }
        prop_assert_eq!(counts.values().sum::<u32>(), 8);
        prop_assert_eq!(world.of_review(FIRST).tally.removed as usize, goes.len());
        prop_assert_eq!(world.replayed(true), world.rows.all);
    }
}

/// What else happens while a review goes on; numbers are taken modulo what there is.
#[derive(Debug, Clone)]
enum Next {
    Say { who: usize, item: usize, word: usize },
    Take(usize),
    Join { who: usize, group: bool },
    Disable { who: usize, disabled: bool },
    Delete(usize),
    Ask(usize),
    Wait(u64),
    Step,
    Complete,
    Apply,
}

fn next() -> impl Strategy<Value = Next> {
    prop_oneof![
        8 => (0..8_usize, 0..8_usize, 0..3_usize).prop_map(|(who, item, word)| Next::Say { who, item, word }),
        2 => (0..8_usize).prop_map(Next::Take),
        2 => (0..8_usize, any::<bool>()).prop_map(|(who, group)| Next::Join { who, group }),
        1 => (0..8_usize, any::<bool>()).prop_map(|(who, disabled)| Next::Disable { who, disabled }),
        1 => (0..8_usize).prop_map(Next::Delete),
        2 => (0..8_usize).prop_map(Next::Ask),
        2 => (1..5 * DAY).prop_map(Next::Wait),
        4 => Just(Next::Step),
        1 => Just(Next::Complete),
        1 => Just(Next::Apply),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]
    #[test]
    fn whatever_else_happens_each_item_is_done_once_and_as_decided(steps in prop::collection::vec(next(), 1..60), no_answer in 0..4_usize) {
        let mut world = company();
        let name = |number: usize| format!("w{number}");
        world.put("root", "Group:team", &[]).unwrap();
        for number in 0..8 {
            world.put("root", &format!("User:w{number}"), &[]).unwrap();
            let holder = if number == 7 { "Group:team".to_owned() } else { format!("User:w{number}") };
            world.eligible(&format!("e-{number}"), &holder, "free", None, None).unwrap();
        }
        world.wait(40 * DAY);
        let reviewers = selected(&["User:w0", "User:w1", "Group:team"]);
        let no_answer = NoAnswer::ALL[no_answer];
        world.review(ReviewPlan { no_answer, confirm_above: 100, ..plan(&[(reviewers, &["User:w2"], 4), (Reviewers::Holder, &["User:w3"], 4)]) });
        let mut asked = 0;
        for step in steps {
            let review = world.of_review(FIRST);
            match step {
                Next::Say { who, item, word } => {
                    let (who, holder) = (name(who), world.entry(&elig(&format!("e-{item}"))).item.holder);
                    let in_team = world.rows.all.rows[&user(&who)].stored.as_ref().is_some_and(|def| def.parents.iter().any(|edge| edge.parent == uid("Group:team")));
                    let own = holder == user(&who) || (holder == uid("Group:team") && in_team);
                    let said = world.says(&who, elig(&format!("e-{item}")), Decided::ALL[word]);
                    // the one rule that no reviewer gets around, and the one stage that is made for the contrary
                    let holders_decide = review.asked(world.now).is_some_and(|(_, stage)| stage.reviewers == Reviewers::Holder);
                    prop_assert!(said.is_err() || !own || (holders_decide && holder == user(&who)), "{who} on {item}: {said:?}");
                    prop_assert!(said.is_err() || review.asked(world.now).is_some());
                }
                Next::Take(item) => drop(world.run("root", Command::RemoveEligibility { id: elg(&format!("e-{item}")), reason: None })),
                Next::Join { who, group } => drop(world.put("root", &format!("User:{}", name(who)), if group { &["Group:team"] } else { &[] })),
                Next::Disable { who, disabled } => drop(world.run("root", Command::SetDisabled { uid: user(&name(who)), disabled, reason: None })),
                Next::Delete(who) => drop(world.run("root", Command::DeleteEntity { uid: user(&name(who)), reason: None })),
                Next::Ask(who) => {
                    asked += 1;
                    drop(world.request(&format!("r{asked}"), &name(who), "free", None, 200));
                }
                Next::Wait(minutes) => world.wait(minutes),
                Next::Step => drop(world.settle(Due::ReviewStep(rev(FIRST)))),
                Next::Complete => drop(world.run("root", Command::CompleteReview { id: rev(FIRST), reason: None })),
                Next::Apply => drop(world.run("root", Command::ApplyReview { id: rev(FIRST), confirm: None })),
            }
        }
        for _ in 0..3 {
            world.wait(5 * DAY);
            world.step_all(FIRST);
        }
        prop_assert_eq!(world.of_review(FIRST).status(), ReviewStatus::Applied);
        let events = || world.records.iter().flat_map(|record| record.events.iter().map(move |event| (record, event)));
        for (subject, entry) in &world.rows.all.review_entries[&rev(FIRST)] {
            let times = events().filter(|(_, event)| matches!(event, Event::ReviewItemApplied { subject: of, .. } if of == subject)).count();
            prop_assert_eq!(times, 1);
            let goes = entry.is_removed(no_answer);
            let applied = entry.applied.map(|(_, applied)| applied);
            prop_assert_eq!(goes, applied != Some(Applied::Kept));
            // what it took away it took away in the same record, and nothing else
            let taken = |record: &Record| record.events.iter().any(|event| matches!(event, Event::EligibilityRemoved { id, .. } if id.as_str() == subject.id()));
            let record = events().find(|(_, event)| matches!(event, Event::ReviewItemApplied { subject: of, .. } if of == subject)).unwrap().0;
            prop_assert_eq!(taken(record), applied == Some(Applied::Removed));
            prop_assert!(!goes || !world.stands(subject.id()));
        }
        // nobody holds what rests on something that went
        for activation in world.rows.all.activations.values().filter(|activation| activation.is_open()) {
            prop_assert!(world.stands(activation.basis.eligibility.as_str()) || activation.status(world.now) != grant::ActivationStatus::Active);
        }
        prop_assert_eq!(world.replayed(true), world.rows.all);
    }
}
