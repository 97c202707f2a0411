//! Who could approve: for each stage of a role, until enough persons are found, with the names that were looked at for it; and for each request that
//! nobody could approve any more, with the names that its stages list. It is counted anew when one of those, or something below or above one of
//! them, changes.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::Look;
use super::findings::{Findings, Found};
use crate::domain::alert::{AlertKind, AlertSubject, Limit};
use crate::domain::decide::{MAX_WALK, can_be_approved, person};
use crate::domain::facts::Unavailable;
use crate::domain::grant::{Activation, ActivationStatus};
use crate::domain::id::{ActivationId, RoleName, Uid};
use crate::domain::settings::Stage;
use crate::domain::standing::{Presence, ancestors, parents, presence};

/// The roles that are approved and the requests that wait in vain, and what they rest on.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(super) struct Circles {
    /// The names that were looked at for a role or a request.
    seen: BTreeMap<AlertSubject, BTreeSet<Uid>>,
    /// What a name was looked at for.
    of: BTreeMap<Uid, BTreeSet<AlertSubject>>,
    /// What is to be counted when the record is settled.
    touched: BTreeSet<AlertSubject>,
}

impl Circles {
    /// Something about a principal or a group changed.
    pub(super) fn changed(&mut self, look: &Look<'_>, uid: &Uid) -> Result<(), Unavailable> {
        let definitions = look.facts.definitions();
        if self.of.is_empty() || !(definitions.is_principal(uid) || definitions.is_group(uid)) {
            return Ok(());
        }
        for name in std::iter::once(uid.clone()).chain(ancestors(look.facts, uid)?) {
            self.touched.extend(self.of.get(&name).into_iter().flatten().cloned());
        }
        Ok(())
    }

    pub(super) fn rules_changed(&mut self, look: &Look<'_>, findings: &mut Findings) {
        let roles = &look.facts.definitions().roles;
        let gone: Vec<RoleName> = findings.roles_of(AlertKind::SmallCircle).into_iter().filter(|role| !roles.contains_key(role)).collect();
        for role in gone {
            findings.end(AlertKind::SmallCircle, &AlertSubject::Role(role));
        }
        self.of.clear();
        self.touched =
            std::mem::take(&mut self.seen).into_keys().filter(|subject| matches!(subject, AlertSubject::Activation(_))).collect();
        self.touched.extend(roles.keys().cloned().map(AlertSubject::Role));
    }

    /// It was said of a request that nobody can approve it any more.
    pub(super) fn waits_in_vain(&mut self, look: &Look<'_>, activation: &Activation) {
        let subject = AlertSubject::Activation(activation.id.clone());
        // by this very record: there is nothing to count before something changes
        self.touched.remove(&subject);
        let stages = look.facts.definitions().roles.get(&activation.role).map(|settings| settings.stages.as_slice()).unwrap_or_default();
        let involved = activation.requester.principal().into_iter().chain([&activation.principal]);
        let seen = stages.iter().flat_map(listed).chain(involved).cloned().collect();
        self.rest_on(subject, seen);
    }

    /// A request does not wait any more.
    pub(super) fn waits_no_more(&mut self, id: &ActivationId) {
        self.rest_on(AlertSubject::Activation(id.clone()), BTreeSet::new());
    }

    /// Counts anew what a record changed.
    pub(super) fn settle(&mut self, look: &Look<'_>, findings: &mut Findings) -> Result<(), Unavailable> {
        for subject in std::mem::take(&mut self.touched) {
            match &subject {
                AlertSubject::Role(role) => self.count(look, findings, role)?,
                AlertSubject::Activation(id) => self.look_again(look, findings, id)?,
                AlertSubject::Principal(_)
                | AlertSubject::Holding { .. }
                | AlertSubject::Eligibility(_)
                | AlertSubject::Assignment(_)
                | AlertSubject::Record(_) => {}
            }
        }
        Ok(())
    }

    /// What is known of something rests on these names from now on, and on no others.
    fn rest_on(&mut self, subject: AlertSubject, names: BTreeSet<Uid>) {
        for name in self.seen.remove(&subject).into_iter().flatten() {
            if let Some(of) = self.of.get_mut(&name) {
                of.remove(&subject);
                if of.is_empty() {
                    self.of.remove(&name);
                }
            }
        }
        for name in &names {
            self.of.entry(name.clone()).or_default().insert(subject.clone());
        }
        if !names.is_empty() {
            self.seen.insert(subject, names);
        }
    }

    fn count(&mut self, look: &Look<'_>, findings: &mut Findings, role: &RoleName) -> Result<(), Unavailable> {
        let subject = AlertSubject::Role(role.clone());
        let stages = look.facts.definitions().roles.get(role).map(|settings| settings.stages.clone()).unwrap_or_default();
        let mut seen = BTreeSet::new();
        let mut found = None;
        for (number, stage) in (1_u32..).zip(&stages) {
            let short = small(look, stage, &mut seen)?;
            found = found.or(short.map(|persons| {
                let wanted = look.rules().of(AlertKind::SmallCircle).of(Limit::Persons);
                let numbers = vec![
                    ("stage", i64::from(number)),
                    ("persons", super::shown(persons)),
                    ("quorum", i64::from(stage.quorum)),
                    ("wanted", super::shown(wanted)),
                ];
                Found { numbers, ..Found::of(AlertKind::SmallCircle, subject.clone()) }
            }));
        }
        findings.set(look, AlertKind::SmallCircle, &subject, found);
        self.rest_on(subject, seen);
        Ok(())
    }

    /// A request that waits in vain may be one that can be approved again.
    fn look_again(&mut self, look: &Look<'_>, findings: &mut Findings, id: &ActivationId) -> Result<(), Unavailable> {
        let waiting = look.facts.activation(id)?.filter(|found| found.status(look.at) == ActivationStatus::Pending);
        match waiting {
            // by this bundle its stages may list others
            Some(found) if !can_be_approved(look.facts, &found)? => self.waits_in_vain(look, &found),
            Some(_) | None => {
                findings.end(AlertKind::SmallCircle, &AlertSubject::Activation(id.clone()));
                self.waits_no_more(id);
            }
        }
        Ok(())
    }
}

/// The names that a stage lists, those that step in later among them.
fn listed(stage: &Stage) -> impl Iterator<Item = &Uid> {
    stage.approvers.iter().chain(stage.fallback.iter().flat_map(|fallback| &fallback.approvers))
}

/// How many persons can approve in a stage, where these are too few.
fn small(look: &Look<'_>, stage: &Stage, seen: &mut BTreeSet<Uid>) -> Result<Option<u64>, Unavailable> {
    let wanted = look.rules().of(AlertKind::SmallCircle).of(Limit::Persons).max(u64::from(stage.quorum));
    let mut waiting: Vec<Uid> = listed(stage).cloned().collect();
    let mut walked: BTreeSet<Uid> = waiting.iter().cloned().collect();
    let mut persons = BTreeSet::new();
    while let Some(uid) = waiting.pop() {
        seen.insert(uid.clone());
        let definitions = look.facts.definitions();
        if !definitions.is_group(&uid) {
            if presence(look.facts, &uid)? == Presence::Known {
                persons.insert(person(look.facts, &uid)?);
            }
            if persons.len() as u64 >= wanted {
                return Ok(None);
            }
            continue;
        }
        let stored = look.facts.stored_children(&uid, None, MAX_WALK)?;
        for child in definitions.children.get(&uid).into_iter().flatten().chain(&stored) {
            if walked.len() >= MAX_WALK {
                // past the bound of the walk there are enough, for all that is known
                return Ok(None);
            }
            if parents(look.facts, child)?.contains(&uid) && walked.insert(child.clone()) {
                waiting.push(child.clone());
            }
        }
    }
    Ok(Some(persons.len() as u64))
}

#[cfg(test)]
impl Circles {
    /// With something of everything.
    pub(super) fn filled() -> Self {
        let (who, of) = (super::sample::alice(), AlertSubject::Role(super::sample::dba()));
        Self { seen: [(of.clone(), [who.clone()].into())].into(), of: [(who, [of.clone()].into())].into(), touched: [of].into() }
    }
}
