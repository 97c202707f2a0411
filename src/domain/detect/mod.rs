//! Finds what alerts are about: from the records of the journal, one at a time and in order, and from the time.
//!
//! Pure: the same records, facts and instants give the same findings. Nothing is scanned when time goes on: what time alone makes true waits in a
//! list of deadlines, and what a record can have changed is looked at when that record comes. What is known by then is no truth. It is saved with the
//! place in the journal that it follows from, and whatever is lost of it is found again there; each finding says the same however often it is found.
//!
//! Lost: a query for each alert every so often, which costs the more the less happens, and sees nothing of what came and went in between.

mod circles;
mod findings;
mod habits;
mod holdings;
mod rates;

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use super::alert::{AlertChange, AlertEvent, AlertKind, AlertRules, AlertSubject, Incident, Limit, Remedy};
use super::event::{Event, Record};
use super::facts::{Records, Unavailable};
use super::grant::GrantRef;
use super::id::{ActivationId, Revision};
use super::review::ReviewOf;
use super::time::{Duration, Timestamp};

use circles::Circles;
use findings::{Deadline, Findings, Found};
use habits::Habits;
use holdings::Holdings;
use rates::Rates;

/// What detectors look at: the facts, and the instant that they speak of.
#[derive(Clone, Copy)]
struct Look<'a> {
    facts: &'a dyn Records,
    /// The instant at which something became so.
    at: Timestamp,
    /// The instant up to which time has come.
    now: Timestamp,
    /// The record with which it did; 0, where time alone made it so.
    record: u64,
}

impl Look<'_> {
    fn rules(&self) -> &AlertRules {
        &self.facts.definitions().alerts
    }

    fn is_privileged(&self, role: &super::id::RoleName) -> bool {
        self.facts.definitions().roles.get(role).is_some_and(|settings| settings.privileged)
    }

    /// A number of a kind's rule, as a length of time.
    fn time(&self, kind: AlertKind, limit: Limit) -> Duration {
        let number = self.rules().of(kind).of(limit);
        match limit {
            Limit::Days => Duration::from_days(number),
            Limit::Hours => Duration::from_hours(number),
            Limit::LongerThan
            | Limit::Count
            | Limit::Share
            | Limit::Few
            | Limit::Times
            | Limit::Within
            | Limit::Mfa
            | Limit::Approval
            | Limit::Justification
            | Limit::Persons
            | Limit::Known
            | Limit::Privileged
            | Limit::Principal
            | Limit::Role
            | Limit::Scope
            | Limit::OpenFor => Duration::from_secs(number),
        }
    }
}

/// Most emergencies that wait for their review and are kept in mind. One more is told, and not told again when its kind is looked for anew.
const MAX_UNREVIEWED: usize = 10_000;

/// A number for people.
fn shown(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// What no record says, and whoever runs the detectors saw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Observed {
    /// The clock was not believed for a while, after a record.
    ClockDistrusted {
        /// The last record before.
        seq: u64,
        /// For how long, by the machine's running time, in seconds.
        seconds: u64,
        /// How far it was ahead at most, in seconds; 0, where it stood before what was already seen.
        lead: u64,
    },
    /// A record does not belong to the one before it.
    JournalBroken {
        /// Which.
        seq: u64,
    },
}

/// Everything that detectors know.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Detectors {
    /// The last record that was looked at.
    seq: u64,
    /// The instant up to which time has come.
    now: Timestamp,
    /// The bundle by whose rules things are looked at.
    revision: Option<Revision>,
    /// Whether what was recorded before the first look is still being read.
    learning: bool,
    /// Emergencies that wait for their review, and by when it has to be done.
    unreviewed: BTreeMap<ActivationId, Timestamp>,
    findings: Findings,
    holdings: Holdings,
    rates: Rates,
    habits: Habits,
    circles: Circles,
}

impl Detectors {
    /// The last record that was looked at.
    #[must_use]
    pub fn seq(&self) -> u64 {
        self.seq
    }

    /// The instant up to which time has come.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// The bundle by whose rules things are looked at.
    #[must_use]
    pub fn revision(&self) -> Option<&Revision> {
        self.revision.as_ref()
    }

    /// When time alone may make something true.
    #[must_use]
    pub fn next_due(&self) -> Option<Timestamp> {
        self.findings.next_due()
    }

    /// What is to be recorded, in order.
    #[must_use]
    pub fn changes(&self) -> &VecDeque<AlertChange> {
        self.findings.changes()
    }

    /// Notes that the first so many of them are.
    pub fn recorded(&mut self, number: usize) {
        self.findings.recorded(number);
    }

    /// Looks at a journal for the first time: what came and went in it is not to be recorded.
    pub fn learn(&mut self) {
        self.learning = true;
    }

    /// Whether that is not done yet.
    #[must_use]
    pub fn is_learning(&self) -> bool {
        self.learning
    }

    /// Has everything recorded that is so now, and from here on what comes: all of the journal was looked at.
    pub fn learned(&mut self) {
        self.learning = false;
        self.findings.hush();
        self.findings.say_again();
    }

    /// Whether as much is known as is kept in mind, so that somebody or something new is not looked at.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.habits.is_full() || self.rates.is_full()
    }

    /// Holds an incident that lasts, as far as is recorded, against what is so. Of what is not so any more it is to be recorded that it is over.
    pub fn align(&mut self, facts: &dyn Records, incident: &Incident) {
        let look = Look { facts, at: self.now, now: self.now, record: self.seq };
        let found = &incident.finding;
        // what was only observed stands in no record, and what is recorded of it is all that there is
        let observed = matches!(found.kind, AlertKind::ClockTrouble | AlertKind::JournalTrouble) && look.rules().of(found.kind).enabled;
        if observed && !self.findings.stands(found.kind, &found.subject) {
            self.findings.adopt(found);
            self.close_in_time(&look, found.kind, &found.subject, found.began_at);
        } else {
            self.findings.align(incident);
        }
    }

    /// Has everything recorded that is so, once more: what is recorded already changes nothing.
    pub fn say_again(&mut self) {
        self.findings.say_again();
    }

    /// Lets time come up to an instant.
    ///
    /// # Errors
    /// The facts cannot be read; what is known here is then not to be relied on any more.
    pub fn advance(&mut self, facts: &dyn Records, now: Timestamp) -> Result<(), Unavailable> {
        while let Some((at, deadline)) = self.findings.due(now) {
            let look = Look { facts, at, now, record: 0 };
            match deadline {
                Deadline::Rate(kind, subject) => self.rates.due(&look, &mut self.findings, kind, &subject),
                Deadline::Unused(id) => self.holdings.unused_due(&look, &mut self.findings, &id)?,
                Deadline::Stale(uid) => self.holdings.stale_due(&look, &mut self.findings, &uid)?,
                Deadline::Close(kind, subject) => self.findings.end(kind, &subject),
            }
        }
        self.now = self.now.max(now);
        Ok(())
    }

    /// Looks at the next record. `facts` are those of then or later, under the bundle that is live after it; whoever calls lets time come up to
    /// the record first.
    ///
    /// # Errors
    /// The facts cannot be read; what is known here is then not to be relied on any more.
    pub fn feed(&mut self, facts: &dyn Records, record: &Record) -> Result<(), Unavailable> {
        let look = Look { facts, at: record.at, now: record.at, record: record.seq };
        for event in &record.events {
            self.event(&look, record, event)?;
        }
        self.holdings.settle(&look, &mut self.findings)?;
        self.circles.settle(&look, &mut self.findings)?;
        if self.learning {
            self.findings.hush();
        }
        self.seq = record.seq;
        self.now = self.now.max(record.at);
        Ok(())
    }

    /// Leaves a record out that cannot be read.
    pub fn pass_over(&mut self, seq: u64) {
        self.seq = seq;
    }

    /// Takes in what no record says.
    pub fn observe(&mut self, facts: &dyn Records, at: Timestamp, seen: &Observed) {
        let look = Look { facts, at, now: at, record: self.seq };
        let (kind, seq, numbers) = match seen {
            Observed::ClockDistrusted { seq, seconds, lead } => {
                (AlertKind::ClockTrouble, *seq, vec![("distrusted_seconds", shown(*seconds)), ("lead_seconds", shown(*lead))])
            }
            Observed::JournalBroken { seq } => (AlertKind::JournalTrouble, *seq, Vec::new()),
        };
        self.once(&look, Found { numbers, ..Found::of(kind, AlertSubject::Record(seq)) });
    }

    /// Something that happened and has no end of its own: it is open for as long as the rule says.
    fn once(&mut self, look: &Look<'_>, found: Found) {
        let (kind, subject) = (found.kind, found.subject.clone());
        if self.findings.begin(look, found) {
            self.close_in_time(look, kind, &subject, look.at);
        }
    }

    fn close_in_time(&mut self, look: &Look<'_>, kind: AlertKind, subject: &AlertSubject, began: Timestamp) {
        let until = began.plus(look.time(kind, Limit::OpenFor));
        self.findings.schedule(until, Deadline::Close(kind, subject.clone()));
    }

    fn event(&mut self, look: &Look<'_>, record: &Record, event: &Event) -> Result<(), Unavailable> {
        let (holdings, findings) = (&mut self.holdings, &mut self.findings);
        match event {
            Event::EligibilityCreated { eligibility: of } => {
                let since = of.granted_at.max(of.window.start);
                holdings.granted(
                    look,
                    findings,
                    GrantRef::Eligibility(of.id.clone()),
                    &of.holder,
                    &of.role,
                    of.scope.as_ref(),
                    of.window,
                )?;
                holdings.is_unused(look, findings, &of.id, since);
            }
            Event::AssignmentCreated { assignment: of } => {
                holdings.granted(
                    look,
                    findings,
                    GrantRef::Assignment(of.id.clone()),
                    &of.holder,
                    &of.role,
                    of.scope.as_ref(),
                    of.window,
                )?;
            }
            Event::EligibilityRemoved { id, .. } | Event::EligibilityExpired { id } => {
                holdings.ended(look, findings, &GrantRef::Eligibility(id.clone()))?;
            }
            Event::AssignmentRemoved { id, .. } | Event::AssignmentExpired { id } => {
                holdings.ended(look, findings, &GrantRef::Assignment(id.clone()))?;
            }
            Event::EligibilityExtended { id, end } => {
                holdings.runs_until(look, findings, &GrantRef::Eligibility(id.clone()), *end)?;
            }
            Event::AssignmentExtended { id, end } => {
                holdings.runs_until(look, findings, &GrantRef::Assignment(id.clone()), *end)?;
            }
            Event::EntityStored { entity } => {
                holdings.stored(look, &entity.uid)?;
                self.circles.changed(look, &entity.uid)?;
            }
            Event::EntityDeleted { uid, .. } => {
                holdings.deleted(look, findings, uid)?;
                self.habits.forget(uid);
                self.circles.changed(look, uid)?;
            }
            Event::EntityDisabled { uid, .. } | Event::EntityEnabled { uid, .. } => {
                holdings.toggled(uid, matches!(event, Event::EntityEnabled { .. }));
                self.circles.changed(look, uid)?;
            }
            Event::BundleActivated { revision, roles_removed, entities_removed, .. } => {
                self.revision = Some(revision.clone());
                for role in roles_removed {
                    holdings.role_gone(look, findings, role)?;
                }
                for uid in entities_removed {
                    holdings.voided(look, findings, uid)?;
                    self.habits.forget(uid);
                }
                self.rules_changed(look)?;
            }
            Event::ActivationRequested { activation } => {
                if let Some(by) = activation.requester.principal() {
                    self.rates.add(look, findings, AlertKind::RequestBurst, AlertSubject::Principal(by.clone()), 1);
                }
            }
            Event::ActivationDenied { id, .. } => {
                let by = look.facts.activation(id)?.and_then(|found| found.requester.principal().cloned());
                if let Some(by) = by {
                    self.rates.add(look, findings, AlertKind::DenialBurst, AlertSubject::Principal(by), 1);
                }
                self.waits_no_more(id);
            }
            Event::CommandRefused { count, .. } => {
                if let Some(by) = record.actor.principal() {
                    self.rates.add(look, findings, AlertKind::DenialBurst, AlertSubject::Principal(by.clone()), *count);
                }
            }
            Event::ActivationStarted { id, .. } => self.started(look, id)?,
            Event::EmergencyUsed { id, review_by } => {
                if self.unreviewed.len() < MAX_UNREVIEWED {
                    self.unreviewed.insert(id.clone(), *review_by);
                }
                self.emergency(look, id, *review_by)?;
            }
            Event::ReviewApplied { id, .. } => {
                if let Some(ReviewOf::Emergency(id)) = look.facts.review(id)?.map(|review| review.of.clone()) {
                    self.unreviewed.remove(&id);
                    self.findings.end(AlertKind::EmergencyUsed, &AlertSubject::Activation(id));
                }
            }
            Event::QuorumUnreachable { id, stage, needed, available } => {
                let Some(found) = look.facts.activation(id)? else { return Ok(()) };
                let numbers = vec![("stage", i64::from(*stage) + 1), ("quorum", i64::from(*needed)), ("persons", i64::from(*available))];
                let told = Found {
                    principal: Some(found.principal.clone()),
                    role: Some(found.role.clone()),
                    scope: found.scope.clone(),
                    numbers,
                    ..Found::of(AlertKind::SmallCircle, AlertSubject::Activation(id.clone()))
                };
                self.findings.begin(look, told);
                self.circles.waits_in_vain(look, &found);
            }
            Event::ActivationScheduled { id, .. }
            | Event::ActivationCancelled { id, .. }
            | Event::ActivationTimedOut { id }
            | Event::ActivationFailed { id, .. }
            // what waited is the request for more time
            | Event::ActivationExtended { by: id, .. } => self.waits_no_more(id),
            Event::ClockAccepted {} => {
                let found = Found::of(AlertKind::ClockTrouble, AlertSubject::Record(record.seq));
                self.once(look, Found { numbers: vec![("accepted", 1)], ..found });
            }
            Event::Alert(AlertEvent::Cleared { id, remedied: true }) => {
                if let Some(incident) = look.facts.incident(id)? {
                    let (kind, subject) = (incident.finding.kind, &incident.finding.subject);
                    self.findings.forget(kind, subject);
                    self.rates.forget(kind, subject);
                    if let (AlertKind::EmergencyUsed, AlertSubject::Activation(id)) = (kind, subject) {
                        self.unreviewed.remove(id);
                    }
                }
            }
            Event::Alert(
                AlertEvent::Raised { .. }
                | AlertEvent::Cleared { remedied: false, .. }
                | AlertEvent::Dismissed { .. }
                | AlertEvent::Rearmed { .. },
            )
            | Event::ApprovalGiven { .. }
            | Event::VotesVoided { .. }
            | Event::StageReached { .. }
            | Event::ActivationClamped { .. }
            | Event::ActivationsVoided { .. }
            | Event::ActivationDeactivated { .. }
            | Event::ActivationRevoked { .. }
            | Event::ActivationExpired { .. }
            | Event::GrantRequested { .. }
            | Event::GrantRequestApproved { .. }
            | Event::GrantRequestDenied { .. }
            | Event::GrantRequestCancelled { .. }
            | Event::GrantRequestTimedOut { .. }
            | Event::CascadeContinues { .. }
            | Event::CascadeCompleted { .. }
            | Event::ReviewDefined { .. }
            | Event::ReviewsEnded { .. }
            | Event::ReviewOpened { .. }
            | Event::ReviewItemsTaken { .. }
            | Event::ReviewStageBegan { .. }
            | Event::ReviewReminded { .. }
            | Event::ReviewItemDecided { .. }
            | Event::ReviewCompleted { .. }
            | Event::ReviewApplying { .. }
            | Event::ReviewItemApplied { .. } => {}
        }
        Ok(())
    }

    /// Another bundle is live: everything that its rules, roles or entities say is looked at anew.
    fn rules_changed(&mut self, look: &Look<'_>) -> Result<(), Unavailable> {
        self.findings.switched_off(look);
        self.rates.rules_changed(look, &mut self.findings);
        self.holdings.rules_changed(look, &mut self.findings)?;
        self.circles.rules_changed(look, &mut self.findings);
        let unreviewed: Vec<_> = self.unreviewed.iter().map(|(id, review_by)| (id.clone(), *review_by)).collect();
        unreviewed.into_iter().try_for_each(|(id, review_by)| self.emergency(look, &id, review_by))
    }

    fn waits_no_more(&mut self, id: &ActivationId) {
        self.circles.waits_no_more(id);
        self.findings.end(AlertKind::SmallCircle, &AlertSubject::Activation(id.clone()));
    }

    fn started(&mut self, look: &Look<'_>, id: &ActivationId) -> Result<(), Unavailable> {
        self.waits_no_more(id);
        let Some(activation) = look.facts.activation(id)? else { return Ok(()) };
        let (principal, role) = (&activation.principal, &activation.role);
        let holding = AlertSubject::Holding { principal: principal.clone(), role: role.clone() };
        self.rates.add(look, &mut self.findings, AlertKind::ActivatedOften, holding, 1);
        self.rates.add(look, &mut self.findings, AlertKind::ActivationBurst, AlertSubject::Principal(principal.clone()), 1);
        let first_granted = self.holdings.reached_since(principal);
        for found in self.habits.started(look, &activation, first_granted) {
            self.once(look, found);
        }
        self.holdings.used(look, &mut self.findings, principal, &activation.basis.eligibility);
        Ok(())
    }

    fn emergency(&mut self, look: &Look<'_>, id: &ActivationId, review_by: Timestamp) -> Result<(), Unavailable> {
        let Some(activation) = look.facts.activation(id)? else { return Ok(()) };
        let numbers = vec![
            ("duration_seconds", shown(activation.duration.secs())),
            ("review_within_seconds", shown(review_by.since_in_full(look.at).secs())),
        ];
        let found = Found {
            principal: Some(activation.principal.clone()),
            role: Some(activation.role.clone()),
            scope: activation.scope.clone(),
            numbers,
            remedy: Some(Remedy::RevokeActivation(id.clone())),
            ..Found::of(AlertKind::EmergencyUsed, AlertSubject::Activation(id.clone()))
        };
        self.findings.begin(look, found);
        Ok(())
    }
}

#[cfg(test)]
mod sample {
    //! Detectors that know something of everything: a layout on disk is told by them, and a field more or less does not compile here.

    use super::*;
    use crate::domain::id::{EligibilityId, RoleName, Uid};

    pub(super) fn alice() -> Uid {
        Uid::new("User", "alice").unwrap()
    }

    pub(super) fn prod() -> Uid {
        Uid::new("Env", "prod").unwrap()
    }

    pub(super) fn dba() -> RoleName {
        RoleName::new("dba").unwrap()
    }

    pub(super) fn elg() -> EligibilityId {
        EligibilityId::new("elg_1").unwrap()
    }

    impl Detectors {
        /// With something of everything.
        pub(crate) fn filled() -> Self {
            Self {
                seq: 310,
                now: Timestamp::from_millis(311),
                revision: Some(Revision::new("r").unwrap()),
                learning: true,
                unreviewed: [(ActivationId::new("act_1").unwrap(), Timestamp::from_millis(312))].into(),
                findings: Findings::filled(),
                holdings: Holdings::filled(),
                rates: Rates::filled(),
                habits: Habits::filled(),
                circles: Circles::filled(),
            }
        }
    }
}
