//! Incidents among what happens in any order, what is asked about them of the store and of the plain picture, and what detectors know.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::domain::Tables as _;
use crate::domain::alert::{AlertEvent, AlertKind, AlertSubject, Finding, Incident, IncidentStatus, Remedy, Severity};
use crate::domain::detect::Detectors;
use crate::engine::ports::{AuditFilter, IncidentFilter};

/// How many kinds of events [`event`] makes.
pub(super) const KINDS: u8 = 4;

fn subject(number: usize) -> AlertSubject {
    match number % 7 {
        0 => AlertSubject::Principal(uid("User alice")),
        1 => AlertSubject::Role(role("admin")),
        2 => AlertSubject::Holding { principal: uid("User alice"), role: role("admin") },
        3 => AlertSubject::Eligibility(EligibilityId::new("elg_1").unwrap()),
        4 => AlertSubject::Assignment(AssignmentId::new("asg_1").unwrap()),
        5 => AlertSubject::Activation(ActivationId::new("act_1").unwrap()),
        _ => AlertSubject::Record(7),
    }
}

fn incident(number: usize, who: &str, moment: i64) -> Incident {
    let finding = Finding {
        kind: AlertKind::ALL[number % 3],
        severity: Severity::ALL[number % 2],
        subject: subject(number),
        principal: Some(uid(who)),
        role: Some(role("admin")),
        scope: None,
        numbers: BTreeMap::from([("days".to_owned(), 3)]),
        began_at: at(moment),
        record: number as u64,
        remedy: Some(Remedy::DisablePrincipal(uid(who))),
    };
    // so few of them that many are said of again
    let id = crate::domain::IncidentId::new(&format!("inc_{}", number % 5)).unwrap();
    Incident { id, finding, raised_at: at(moment), dismissed: None, cleared: None }
}

/// An event about incidents, by its number.
pub(super) fn event(what: u8, number: usize, who: &str, moment: i64) -> Event {
    let incident = incident(number, who, moment);
    let id = incident.id.clone();
    Event::Alert(match what {
        0 => AlertEvent::Raised { incident: Box::new(incident) },
        1 => AlertEvent::Cleared { id, remedied: number.is_multiple_of(2) },
        2 => AlertEvent::Dismissed { id, reason: text("r").digest() },
        _ => AlertEvent::Rearmed { id },
    })
}

/// Asks both every question about incidents.
pub(super) fn compare(store: &Store, memory: &MemoryRows, people: &[&str]) -> Result<(), TestCaseError> {
    let mut all: Vec<_> = memory.all.incidents.values().cloned().map(Arc::new).collect();
    all.sort_by_key(|found| std::cmp::Reverse((found.raised_at, found.id.clone())));
    for found in &all {
        prop_assert_eq!(store.incident(&found.id), memory.incident(&found.id));
    }
    for kind in AlertKind::ALL {
        for number in 0..7 {
            prop_assert_eq!(store.latest_incident(kind, &subject(number)), memory.latest_incident(kind, &subject(number)));
        }
        for severity in Severity::ALL {
            let tally = store.alert_tally(kind, severity).unwrap();
            prop_assert_eq!(tally, memory.alert_tally(kind, severity).unwrap());
            let of = all.iter().filter(|found| (found.finding.kind, found.finding.severity) == (kind, severity));
            let count = |status| of.clone().filter(|found| found.status() == status).count() as u64;
            prop_assert_eq!((tally.open, tally.dismissed), (count(IncidentStatus::Open), count(IncidentStatus::Dismissed)));
        }
    }
    let mut filters =
        vec![IncidentFilter::default(), IncidentFilter { kind: Some(AlertKind::TooManyHolders), ..IncidentFilter::default() }];
    filters.extend(IncidentStatus::ALL.map(|status| IncidentFilter { status: Some(status), ..IncidentFilter::default() }));
    filters.extend(Severity::ALL.map(|severity| IncidentFilter { severity: Some(severity), ..IncidentFilter::default() }));
    filters.extend(people.iter().map(|who| IncidentFilter { principal: Some(uid(who)), ..IncidentFilter::default() }));
    filters.push(IncidentFilter { role: Some(role("reader")), ..IncidentFilter::default() });
    filters.push(IncidentFilter { from: Some(at(START + 9000)), to: Some(at(START + 30_000)), ..IncidentFilter::default() });
    for filter in filters {
        let wanted: Vec<_> = all.iter().filter(|found| filter.means(found)).cloned().collect();
        let pages = all_pages(2, |page| store.incidents(&filter, page).unwrap());
        prop_assert_eq!(pages.concat(), wanted, "{:?}", filter);
    }
    Ok(())
}

#[test]
fn what_detectors_know_is_kept_and_is_no_part_of_what_the_journal_proves() {
    let mut desk = Desk::new();
    furnish(&mut desk);
    assert_eq!(desk.store().detection().unwrap(), None);
    let mut known = Detectors::default();
    known.advance(&desk.memory, at(START)).unwrap();
    desk.store().save_detection(&known).unwrap();
    desk.reopen();
    assert_eq!(desk.store().detection().unwrap(), Some(known));
    // what another version wrote is found anew
    desk.tamper(|db, batch| {
        batch.put_cf(handle(db, "detection").unwrap(), b"state\0", [9, 9, 9]);
    });
    desk.reopen();
    assert_eq!(desk.store().detection().unwrap(), None);
    desk.opened = None;
    let report = crate::store::rebuild(desk.path()).unwrap();
    assert!(report.equal && report.families.iter().all(|(name, ..)| *name != "detection"), "{:?}", report.differences);
}

#[test]
fn what_is_said_of_an_incident_is_found_by_whom_it_concerns() {
    let mut desk = Desk::new();
    furnish(&mut desk);
    let id = incident(3, "User bob", START).id;
    desk.say(vec![event(0, 3, "User bob", START)]);
    desk.say(vec![event(2, 3, "User bob", START)]);
    let seqs = |filter: AuditFilter| desk.store().journal(&filter, &Page::first(100)).unwrap().items.len();
    let kind = || Some("alert".to_owned());
    assert_eq!(seqs(AuditFilter { kind: kind(), ..AuditFilter::default() }), 2);
    assert_eq!(seqs(AuditFilter { kind: kind(), principal: Some(uid("User bob")), ..AuditFilter::default() }), 2, "{id}");
    assert_eq!(seqs(AuditFilter { kind: kind(), role: Some(role("admin")), ..AuditFilter::default() }), 2);
    assert_eq!(seqs(AuditFilter { kind: kind(), role: Some(role("reader")), ..AuditFilter::default() }), 0);
}
