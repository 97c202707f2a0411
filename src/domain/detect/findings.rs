//! What is so, what of it is to be recorded, and when time alone may change it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde::{Deserialize, Serialize};

use super::Look;
use crate::domain::alert::{AlertChange, AlertKind, AlertSubject, Finding, Incident, Remedy};
use crate::domain::id::{EligibilityId, RoleName, Uid};
use crate::domain::time::Timestamp;

/// What time may make true.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) enum Deadline {
    /// The oldest of what was counted lies too far back by then.
    Rate(AlertKind, AlertSubject),
    /// An eligibility was not used for long by then.
    Unused(EligibilityId),
    /// Somebody gave no sign of life for long by then.
    Stale(Uid),
    /// What has no end of its own was open for long enough.
    Close(AlertKind, AlertSubject),
}

/// What was found, before the rule that it is found by says how much it matters.
#[derive(Debug, Clone)]
pub(super) struct Found {
    pub(super) kind: AlertKind,
    pub(super) subject: AlertSubject,
    pub(super) principal: Option<Uid>,
    pub(super) role: Option<RoleName>,
    pub(super) scope: Option<Uid>,
    pub(super) numbers: Vec<(&'static str, i64)>,
    pub(super) remedy: Option<Remedy>,
}

impl Found {
    /// Nothing but what it is about.
    pub(super) fn of(kind: AlertKind, subject: AlertSubject) -> Self {
        let (principal, role) = match &subject {
            AlertSubject::Principal(uid) => (Some(uid.clone()), None),
            AlertSubject::Role(role) => (None, Some(role.clone())),
            AlertSubject::Holding { principal, role } => (Some(principal.clone()), Some(role.clone())),
            AlertSubject::Eligibility(_) | AlertSubject::Assignment(_) | AlertSubject::Activation(_) | AlertSubject::Record(_) => {
                (None, None)
            }
        };
        Self { kind, subject, principal, role, scope: None, numbers: Vec::new(), remedy: None }
    }
}

/// What is so, and what is to be recorded of it.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(super) struct Findings {
    standing: BTreeMap<(AlertKind, AlertSubject), Finding>,
    changes: VecDeque<AlertChange>,
    deadlines: BTreeSet<(Timestamp, Deadline)>,
}

impl Findings {
    pub(super) fn next_due(&self) -> Option<Timestamp> {
        self.deadlines.first().map(|(at, _)| *at)
    }

    /// The earliest deadline up to an instant; it is taken out.
    pub(super) fn due(&mut self, now: Timestamp) -> Option<(Timestamp, Deadline)> {
        if self.next_due()? > now { None } else { self.deadlines.pop_first() }
    }

    pub(super) fn schedule(&mut self, at: Timestamp, deadline: Deadline) {
        self.deadlines.insert((at, deadline));
    }

    pub(super) fn unschedule(&mut self, at: Timestamp, deadline: Deadline) {
        self.deadlines.remove(&(at, deadline));
    }

    pub(super) fn changes(&self) -> &VecDeque<AlertChange> {
        &self.changes
    }

    pub(super) fn recorded(&mut self, number: usize) {
        self.changes.drain(..number.min(self.changes.len()));
    }

    /// Whoever looks at what was does not have all of it recorded.
    pub(super) fn hush(&mut self) {
        self.changes.clear();
    }

    pub(super) fn say_again(&mut self) {
        // what waits to be said need not be said twice
        let standing = &self.standing;
        self.changes.retain(|change| match change {
            AlertChange::Raise(found) => standing.get(&(found.kind, found.subject.clone())) != Some(&**found),
            AlertChange::Clear { .. } => true,
        });
        self.changes.extend(self.standing.values().map(|finding| AlertChange::Raise(Box::new(finding.clone()))));
    }

    pub(super) fn align(&mut self, incident: &Incident) {
        let found = &incident.finding;
        match self.standing.get_mut(&(found.kind, found.subject.clone())) {
            // what it is about began, by what is recorded, later than it was found now
            Some(standing) => {
                let began = standing.began().max(found.began());
                (standing.began_at, standing.record) = (began.at, began.record);
            }
            None => {
                let clear = AlertChange::Clear { kind: found.kind, subject: found.subject.clone(), began: found.began() };
                self.changes.push_back(clear);
            }
        }
    }

    /// Takes up what is recorded and cannot be found again.
    pub(super) fn adopt(&mut self, recorded: &Finding) {
        self.standing.insert((recorded.kind, recorded.subject.clone()), recorded.clone());
    }

    pub(super) fn stands(&self, kind: AlertKind, subject: &AlertSubject) -> bool {
        self.standing.contains_key(&(kind, subject.clone()))
    }

    /// The roles of which a kind is so.
    pub(super) fn roles_of(&self, kind: AlertKind) -> Vec<RoleName> {
        let of = self.standing.keys().filter(|(of, _)| *of == kind);
        of.filter_map(|(_, subject)| if let AlertSubject::Role(role) = subject { Some(role.clone()) } else { None }).collect()
    }

    /// Something is so from now on; whether that is new.
    pub(super) fn begin(&mut self, look: &Look<'_>, found: Found) -> bool {
        let rule = look.rules().of(found.kind);
        let key = (found.kind, found.subject.clone());
        if !rule.enabled || self.standing.contains_key(&key) {
            return false;
        }
        let finding = Finding {
            kind: found.kind,
            severity: rule.severity,
            subject: found.subject,
            principal: found.principal,
            role: found.role,
            scope: found.scope,
            numbers: found.numbers.into_iter().map(|(name, number)| (name.to_owned(), number)).collect(),
            began_at: look.at,
            record: look.record,
            remedy: found.remedy,
        };
        self.changes.push_back(AlertChange::Raise(Box::new(finding.clone())));
        self.standing.insert(key, finding);
        true
    }

    /// It is not so any more.
    pub(super) fn end(&mut self, kind: AlertKind, subject: &AlertSubject) {
        if let Some(finding) = self.standing.remove(&(kind, subject.clone())) {
            let began = finding.began();
            self.changes.push_back(AlertChange::Clear { kind, subject: finding.subject, began });
        }
    }

    /// It is so, or not.
    pub(super) fn set(&mut self, look: &Look<'_>, kind: AlertKind, subject: &AlertSubject, found: Option<Found>) {
        match found {
            Some(found) => drop(self.begin(look, found)),
            None => self.end(kind, subject),
        }
    }

    /// Somebody remedied it, and that is recorded: if it is so all the same, it is found anew.
    pub(super) fn forget(&mut self, kind: AlertKind, subject: &AlertSubject) {
        self.standing.remove(&(kind, subject.clone()));
    }

    /// Ends what is of kinds that are not looked for any more.
    pub(super) fn switched_off(&mut self, look: &Look<'_>) {
        let off: BTreeSet<AlertKind> = AlertKind::ALL.into_iter().filter(|kind| !look.rules().of(*kind).enabled).collect();
        let over: Vec<_> = self.standing.keys().filter(|(kind, _)| off.contains(kind)).cloned().collect();
        for (kind, subject) in over {
            self.end(kind, &subject);
        }
    }
}

#[cfg(test)]
impl Findings {
    /// With something of everything.
    pub(super) fn filled() -> Self {
        use crate::domain::alert::Severity;
        let (at, who) = (Timestamp::from_millis(300), super::sample::alice());
        let finding = Finding {
            kind: AlertKind::StalePrincipal,
            severity: Severity::Low,
            subject: AlertSubject::Principal(who.clone()),
            principal: Some(who.clone()),
            role: Some(super::sample::dba()),
            scope: Some(super::sample::prod()),
            numbers: [("days".to_owned(), 301)].into(),
            began_at: at,
            record: 302,
            remedy: Some(Remedy::DisablePrincipal(who.clone())),
        };
        let (kind, subject, began) = (finding.kind, finding.subject.clone(), finding.began());
        let deadlines = [
            Deadline::Rate(AlertKind::RequestBurst, subject.clone()),
            Deadline::Unused(super::sample::elg()),
            Deadline::Stale(who),
            Deadline::Close(AlertKind::ClockTrouble, AlertSubject::Record(303)),
        ];
        Self {
            standing: [((kind, subject.clone()), finding.clone())].into(),
            changes: [AlertChange::Raise(Box::new(finding)), AlertChange::Clear { kind, subject, began }].into(),
            deadlines: deadlines.into_iter().map(|deadline| (at, deadline)).collect(),
        }
    }
}
