//! Who could approve: for each stage, until enough persons are found, with the names that were looked at for it. It is counted anew when one of those,
//! or something below or above one of them, changes.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::Look;
use super::findings::{Findings, Found};
use crate::domain::alert::{AlertKind, AlertSubject, Limit};
use crate::domain::decide::{MAX_WALK, person};
use crate::domain::facts::Unavailable;
use crate::domain::id::{RoleName, Uid};
use crate::domain::settings::Stage;
use crate::domain::standing::{Presence, ancestors, parents, presence};

/// The roles that are approved, and what they rest on.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(super) struct Circles {
    /// The names that were looked at for a role.
    seen: BTreeMap<RoleName, BTreeSet<Uid>>,
    /// The roles that a name was looked at for.
    roles: BTreeMap<Uid, BTreeSet<RoleName>>,
    /// Roles to be counted when the record is settled.
    touched: BTreeSet<RoleName>,
}

impl Circles {
    /// Something about a principal or a group changed.
    pub(super) fn changed(&mut self, look: &Look<'_>, uid: &Uid) -> Result<(), Unavailable> {
        let definitions = look.facts.definitions();
        if self.roles.is_empty() || !(definitions.is_principal(uid) || definitions.is_group(uid)) {
            return Ok(());
        }
        for name in std::iter::once(uid.clone()).chain(ancestors(look.facts, uid)?) {
            self.touched.extend(self.roles.get(&name).into_iter().flatten().cloned());
        }
        Ok(())
    }

    pub(super) fn rules_changed(&mut self, look: &Look<'_>, findings: &mut Findings) {
        let roles = &look.facts.definitions().roles;
        let gone: Vec<RoleName> = findings.roles_of(AlertKind::SmallCircle).into_iter().filter(|role| !roles.contains_key(role)).collect();
        for role in gone {
            findings.end(AlertKind::SmallCircle, &AlertSubject::Role(role));
        }
        self.seen.clear();
        self.roles.clear();
        self.touched = roles.keys().cloned().collect();
    }

    /// Counts anew what a record changed.
    pub(super) fn settle(&mut self, look: &Look<'_>, findings: &mut Findings) -> Result<(), Unavailable> {
        for role in std::mem::take(&mut self.touched) {
            let subject = AlertSubject::Role(role.clone());
            for name in self.seen.remove(&role).into_iter().flatten() {
                if let Some(roles) = self.roles.get_mut(&name) {
                    roles.remove(&role);
                    if roles.is_empty() {
                        self.roles.remove(&name);
                    }
                }
            }
            let stages = look.facts.definitions().roles.get(&role).map(|settings| settings.stages.clone()).unwrap_or_default();
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
            for name in &seen {
                self.roles.entry(name.clone()).or_default().insert(role.clone());
            }
            if !seen.is_empty() {
                self.seen.insert(role, seen);
            }
        }
        Ok(())
    }
}

/// How many persons can approve in a stage, where these are too few.
fn small(look: &Look<'_>, stage: &Stage, seen: &mut BTreeSet<Uid>) -> Result<Option<u64>, Unavailable> {
    let wanted = look.rules().of(AlertKind::SmallCircle).of(Limit::Persons).max(u64::from(stage.quorum));
    let listed = stage.approvers.iter().chain(stage.fallback.iter().flat_map(|fallback| &fallback.approvers));
    let mut waiting: Vec<Uid> = listed.cloned().collect();
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
