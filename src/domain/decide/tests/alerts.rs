//! What people do about incidents, and what is recorded once however often it is found.

use super::detecting::{Watched, watched_bundle};
use super::kit::*;
use crate::domain::alert::{AlertChange, AlertEvent, AlertKind, AlertTally, Severity};
use crate::domain::detect::Detectors;
use crate::domain::facts::{Action, Tables as _};
use crate::domain::*;

const KIND: AlertKind = AlertKind::RoleHeldOutside;

fn held() -> (Watched, IncidentId) {
    let mut world = Watched::new(|_| {});
    assign(&mut world, "asg_1", "User:ann");
    let id = world.of(KIND)[0].id.clone();
    (world, id)
}

fn assign(world: &mut Watched, id: &str, holder: &str) {
    world.run("root", Command::CreateAssignment { id: asg(id), grant: grant(holder, "top", None, None) }).unwrap();
}

fn dismiss(world: &mut Watched, id: &IncidentId) -> Result<Outcome, Rejection> {
    world.run("root", Command::DismissAlert { id: id.clone(), reason: text("meant") })
}

fn rearm(world: &mut Watched, id: &IncidentId) -> Result<Outcome, Rejection> {
    world.run("root", Command::RearmAlert { id: id.clone() })
}

fn tally(world: &Watched) -> AlertTally {
    world.world.rows.alert_tally(KIND, Severity::High).unwrap()
}

/// Everything that was said of incidents, by its word.
fn said(world: &Watched) -> Vec<&'static str> {
    let events = world.world.records.iter().flat_map(|record| &record.events);
    let word = |event: &Event| {
        let Event::Alert(event) = event else { return None };
        Some(match event {
            AlertEvent::Raised { .. } => "raised",
            AlertEvent::Cleared { .. } => "cleared",
            AlertEvent::Dismissed { .. } => "dismissed",
            AlertEvent::Rearmed { .. } => "rearmed",
        })
    };
    events.filter_map(word).collect()
}

#[test]
fn what_was_put_aside_stays_so_while_it_lasts() {
    let (mut world, id) = held();
    assert_eq!(tally(&world), AlertTally { open: 1, dismissed: 0 });
    assert_eq!(dismiss(&mut world, &id), Ok(Outcome::AlertChanged(id.clone())));
    assert_eq!(tally(&world), AlertTally { open: 0, dismissed: 1 });
    assert_eq!(rule(dismiss(&mut world, &id)), "not_in_state");
    // another bundle, another detector that looks at all of it anew, a longer while: it lasts, and nobody is told again
    world.world.swap(&watched_bundle("two", |_| {})).unwrap();
    world.wait(600);
    world.detectors.say_again();
    world.look();
    assert_eq!(said(&world), ["raised", "dismissed"]);
    assert_eq!(rearm(&mut world, &id), Ok(Outcome::AlertChanged(id.clone())));
    assert_eq!(rule(rearm(&mut world, &id)), "not_in_state");
    assert_eq!((tally(&world).open, said(&world)), (1, vec!["raised", "dismissed", "rearmed"]));
    // once it is over, it is over; and what comes then is another incident
    dismiss(&mut world, &id).unwrap();
    world.run("root", Command::RemoveAssignment { id: asg("asg_1"), reason: None }).unwrap();
    assert_eq!(rule(rearm(&mut world, &id)), "not_in_state");
    assert_eq!(tally(&world), AlertTally::default());
    assign(&mut world, "asg_2", "User:ann");
    assert_eq!(tally(&world).open, 1);
    assert_eq!(world.world.replayed(true), world.world.rows.all, "all of it follows from the journal");
}

#[test]
fn a_remedy_is_the_ordinary_change_with_its_own_right() {
    let (mut world, id) = held();
    world.wait(1);
    let remedy = |world: &mut Watched| world.run("root", Command::RemedyAlert { id: id.clone(), reason: Some(text("why not")) });
    world.world.lose("root", Action::AssignRole);
    assert_eq!(rule(remedy(&mut world)), "not_permitted");
    world.world.law.denied.clear();
    world.world.lose("root", Action::ManageAlerts);
    assert_eq!(rule(remedy(&mut world)), "not_permitted");
    world.world.law.denied.clear();
    assert_eq!(remedy(&mut world), Ok(Outcome::AlertChanged(id.clone())));
    let record = world.world.records.iter().find(|record| record.command == "remedy_alert").unwrap();
    let [Event::Alert(AlertEvent::Cleared { id: cleared, remedied: true }), Event::AssignmentRemoved { id: removed, .. }] =
        &record.events[..]
    else {
        panic!("{:?}", record.events)
    };
    assert_eq!((cleared, removed), (&id, &asg("asg_1")));
    let incident = &world.of(KIND)[0];
    assert_eq!(incident.cleared.as_ref().and_then(|end| end.by.clone()), Some(by("root")));
    assert_eq!(rule(remedy(&mut world)), "not_in_state");
    assert_eq!(said(&world), ["raised", "cleared"], "the detectors have nothing to add");
}

#[test]
fn what_no_single_change_ends_says_what_to_do_instead() {
    let kind = AlertKind::WeakSettings;
    let mut world = Watched::new(|definitions| super::detecting::set(definitions, kind, |rule| rule.enabled = true));
    let id = world.of(kind)[0].id.clone();
    let refused = world.run("root", Command::RemedyAlert { id: id.clone(), reason: None }).unwrap_err();
    assert!(refused.to_string().contains("roles.toml"), "{refused}");
    assert_eq!(refused.rule(), "no_remedy");
    let nobody = IncidentId::new("inc_0").unwrap();
    assert_eq!(rule(dismiss(&mut world, &nobody)), "not_found");
}

#[test]
fn what_is_found_again_after_a_crash_is_recorded_once() {
    let (mut world, id) = held();
    dismiss(&mut world, &id).unwrap();
    assign(&mut world, "asg_2", "User:bob");
    world.wait(5);
    world.run("root", Command::RemoveAssignment { id: asg("asg_2"), reason: None }).unwrap();
    let (before, so_far) = (said(&world), world.detectors.clone());
    // from nothing, record by record: everything comes again, and changes nothing
    let mut again = Watched::over(world.world.clone());
    assert_eq!(said(&again), before);
    again.feed();
    assert_eq!(again.detectors.changes().len(), 0);
    // and what is known then is what was known before
    assert_eq!(again.detectors.next_due(), so_far.next_due());
    let lasting: Vec<_> = again.world.rows.all.incidents.values().filter(|incident| incident.lasts()).cloned().collect();
    lasting.iter().for_each(|incident| again.detectors.align(&again.world.rows, incident));
    assert_eq!(again.detectors.changes().len(), 0, "what lasts is so");
    // where detectors know of nothing any more, what was recorded is over
    let mut blank = Detectors::default();
    lasting.iter().for_each(|incident| blank.align(&again.world.rows, incident));
    assert!(blank.changes().iter().all(|change| matches!(change, AlertChange::Clear { .. })));
    assert_eq!(blank.changes().len(), 1);
}

#[test]
fn only_elevon_itself_says_what_was_found() {
    let (mut world, id) = held();
    let again = world.world.rows.all.incidents[&id].finding.clone();
    let command = |changes| Command::NoteAlerts { changes };
    let raise = vec![AlertChange::Raise(Box::new(again.clone()))];
    assert_eq!(rule(world.run("root", command(raise.clone()))), "not_permitted");
    assert_eq!(world.run("elevon", command(raise.clone())), Ok(Outcome::Unchanged));
    // over and begun anew within one command
    let clear = AlertChange::Clear { kind: KIND, subject: again.subject.clone(), began: again.began() };
    let later = alert::Finding { record: again.record + 1, ..again };
    let changes = vec![clear.clone(), AlertChange::Raise(Box::new(later)), clear, raise[0].clone()];
    assert_eq!(world.world.run("elevon", command(changes)), Ok(Outcome::Settled));
    assert_eq!(said(&world), ["raised", "cleared", "raised"]);
}

#[test]
fn what_was_only_observed_lasts_over_a_loss_of_what_was_known() {
    use crate::domain::detect::Observed;
    for disabled in [false, true] {
        let mut world = Watched::new(|_| {});
        world.wait(1);
        let (rows, now) = (world.world.rows.clone(), world.world.now);
        world.detectors.observe(&rows, now, &Observed::ClockDistrusted { seq: 1, seconds: 90, lead: 400 });
        world.detectors.observe(&rows, now, &Observed::JournalBroken { seq: 1 });
        world.look();
        world.wait(24 * 60);
        if disabled {
            let off = watched_bundle("two", |definitions| {
                super::detecting::set(definitions, AlertKind::ClockTrouble, |rule| rule.enabled = false);
                super::detecting::set(definitions, AlertKind::JournalTrouble, |rule| rule.enabled = false);
            });
            world.world.swap(&off).unwrap();
        }
        // all that was known is lost, and found again as far as the journal says it
        let mut again = Watched::over(world.world.clone());
        let lasting: Vec<_> = again.world.rows.all.incidents.values().filter(|incident| incident.lasts()).cloned().collect();
        assert_eq!(lasting.len(), 2);
        lasting.iter().for_each(|incident| again.detectors.align(&again.world.rows, incident));
        again.detectors.say_again();
        again.look();
        let last = |watched: &Watched| watched.world.rows.all.incidents.values().filter(|incident| incident.lasts()).count();
        assert_eq!(last(&again), if disabled { 0 } else { 2 });
        // for as long as ever, and no longer
        again.wait(29 * 24 * 60 - 1);
        assert_eq!(last(&again), if disabled { 0 } else { 2 });
        again.wait(1);
        assert_eq!((last(&again), again.detectors.changes().len()), (0, 0));
        assert_eq!(said(&again), ["raised", "raised", "cleared", "cleared"]);
    }
}

#[test]
fn what_came_and_went_before_the_first_look_is_not_told() {
    let (mut world, _) = held();
    world.run("root", Command::RemoveAssignment { id: asg("asg_1"), reason: None }).unwrap();
    assign(&mut world, "asg_2", "User:bob");
    let mut first = Detectors::default();
    first.learn();
    for record in &world.world.records {
        first.advance(&world.world.rows, record.at).unwrap();
        first.feed(&world.world.rows, record).unwrap();
        assert!(first.is_learning() && first.changes().is_empty(), "nothing piles up meanwhile");
    }
    first.learned();
    let [AlertChange::Raise(found)] = &first.changes().iter().cloned().collect::<Vec<_>>()[..] else { panic!("{:?}", first.changes()) };
    assert_eq!(found.subject, alert::AlertSubject::Assignment(asg("asg_2")));
    assert!(!first.is_learning());
}
