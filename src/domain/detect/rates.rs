//! How often something happened within a time: the instants that still count, and no more of them than the rule counts to.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use super::findings::{Deadline, Findings, Found};
use super::{Look, shown};
use crate::domain::alert::{AlertKind, AlertSubject, Limit, Remedy};
use crate::domain::time::Timestamp;

/// Most things of which it is counted how often they happen. What comes beside them is not counted until one of them was quiet for long enough.
const MAX_COUNTED: usize = 1_000_000;

/// What happened of one thing.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
struct Counted {
    /// When, and how often at that instant.
    times: VecDeque<(Timestamp, u64)>,
    /// How often altogether.
    sum: u64,
    /// When the oldest of them counts no more.
    due: Option<Timestamp>,
}

impl Counted {
    /// Leaves out what lies too far back, and of the rest what the rule does not need.
    fn prune(&mut self, look: &Look<'_>, kind: AlertKind) {
        let (within, most) = (look.time(kind, Limit::Within), look.rules().of(kind).of(Limit::Times));
        while let Some((at, times)) = self.times.front().copied() {
            let needless = self.sum.saturating_sub(times) >= most;
            if at.plus(within) > look.at && !needless {
                break;
            }
            self.times.pop_front();
            self.sum = self.sum.saturating_sub(times);
        }
    }
}

/// Everything that is counted.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(super) struct Rates {
    counted: BTreeMap<(AlertKind, AlertSubject), Counted>,
}

impl Rates {
    /// It happened, so many times.
    pub(super) fn add(&mut self, look: &Look<'_>, findings: &mut Findings, kind: AlertKind, subject: AlertSubject, times: u64) {
        if !look.rules().of(kind).enabled {
            return;
        }
        let key = (kind, subject);
        if self.is_full() && !self.counted.contains_key(&key) {
            return;
        }
        let counted = self.counted.entry(key.clone()).or_default();
        match counted.times.back_mut() {
            Some((at, number)) if *at == look.at => *number = number.saturating_add(times),
            Some(_) | None => counted.times.push_back((look.at, times)),
        }
        counted.sum = counted.sum.saturating_add(times);
        self.judge(look, findings, key);
    }

    /// Whether nothing new is counted.
    pub(super) fn is_full(&self) -> bool {
        self.counted.len() >= MAX_COUNTED
    }

    /// The oldest of them may count no more.
    pub(super) fn due(&mut self, look: &Look<'_>, findings: &mut Findings, kind: AlertKind, subject: &AlertSubject) {
        let key = (kind, subject.clone());
        if self.counted.get(&key).is_some_and(|counted| counted.due == Some(look.at)) {
            self.judge(look, findings, key);
        }
    }

    fn judge(&mut self, look: &Look<'_>, findings: &mut Findings, key: (AlertKind, AlertSubject)) {
        let (kind, subject) = &key;
        let Some(counted) = self.counted.get_mut(&key) else { return };
        counted.prune(look, *kind);
        let limit = look.rules().of(*kind).of(Limit::Times);
        let found = (counted.sum >= limit).then(|| found(look, *kind, subject, counted.sum, limit));
        findings.set(look, *kind, subject, found);
        let due = counted.times.front().map(|(at, _)| at.plus(look.time(*kind, Limit::Within)));
        if due != counted.due {
            let deadline = || Deadline::Rate(*kind, subject.clone());
            if let Some(before) = counted.due {
                findings.unschedule(before, deadline());
            }
            if let Some(due) = due {
                findings.schedule(due, deadline());
            }
            counted.due = due;
        }
        if counted.times.is_empty() {
            self.counted.remove(&key);
        }
    }

    /// Somebody remedied it: what was counted does not count again.
    pub(super) fn forget(&mut self, kind: AlertKind, subject: &AlertSubject) {
        self.counted.remove(&(kind, subject.clone()));
    }

    pub(super) fn rules_changed(&mut self, look: &Look<'_>, findings: &mut Findings) {
        let keys: Vec<_> = self.counted.keys().cloned().collect();
        for key in keys {
            if look.rules().of(key.0).enabled {
                self.judge(look, findings, key);
            } else {
                self.counted.remove(&key);
            }
        }
    }
}

fn found(look: &Look<'_>, kind: AlertKind, subject: &AlertSubject, sum: u64, limit: u64) -> Found {
    let what = match kind {
        AlertKind::RequestBurst => "requests",
        AlertKind::DenialBurst => "denials",
        AlertKind::ActivatedOften
        | AlertKind::ActivationBurst
        | AlertKind::RoleHeldOutside
        | AlertKind::TooManyHolders
        | AlertKind::TooManyPermanent
        | AlertKind::NeverUsed
        | AlertKind::StalePrincipal
        | AlertKind::WeakSettings
        | AlertKind::DuplicateHoldings
        | AlertKind::EmergencyUsed
        | AlertKind::SmallCircle
        | AlertKind::FirstActivation
        | AlertKind::UnusualHour
        | AlertKind::ClockTrouble
        | AlertKind::JournalTrouble => "activations",
    };
    let within = look.time(kind, Limit::Within).secs();
    let remedy = match (kind, subject) {
        (AlertKind::RequestBurst | AlertKind::DenialBurst, AlertSubject::Principal(uid)) => Some(Remedy::DisablePrincipal(uid.clone())),
        (AlertKind::ActivationBurst, AlertSubject::Principal(uid)) => Some(Remedy::RevokePrincipal(uid.clone())),
        (_, _) => None,
    };
    let numbers = vec![(what, shown(sum)), ("within_seconds", shown(within)), ("limit", shown(limit))];
    Found { numbers, remedy, ..Found::of(kind, subject.clone()) }
}

#[cfg(test)]
impl Rates {
    /// With something of everything.
    pub(super) fn filled() -> Self {
        let at = Timestamp::from_millis(300);
        let counted = Counted { times: [(at, 301)].into(), sum: 301, due: Some(at) };
        Self { counted: [((AlertKind::RequestBurst, AlertSubject::Principal(super::sample::alice())), counted)].into() }
    }
}
