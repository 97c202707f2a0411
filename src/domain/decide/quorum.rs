//! Whether enough approvers exist at all: asked when a request is made, and again of those that wait when a bundle goes live.

use std::collections::HashSet;

use super::Case;
use super::approval::involved;
use super::people::{Members, person};
use crate::domain::facts::{Facts, Records, Unavailable};
use crate::domain::grant::Activation;
use crate::domain::id::Uid;
use crate::domain::rejection::Rejection;
use crate::domain::settings::{MAX_STAGES, RoleSettings, Stage};
use crate::domain::standing::{Presence, presence};

/// A stage that lacks approvers.
pub(super) struct Short {
    /// Which, from 0.
    pub(super) stage: u32,
    /// Its quorum.
    pub(super) needed: u32,
    /// Who could vote in it, less those whom the other stages need.
    pub(super) available: u32,
}

/// Refuses a request that nobody could ever approve.
pub(super) fn quorum_is_reachable(case: &Case<'_>, settings: &RoleSettings, activation: &Activation) -> Result<(), Rejection> {
    match short_of(case.facts, case.facts, settings, activation)? {
        Some(Short { stage, needed, available }) => {
            Err(Rejection::QuorumUnreachable { role: settings.name.clone(), stage: stage + 1, needed, available })
        }
        None => Ok(()),
    }
}

/// Whether a request that waits has enough approvers, as the facts stand.
///
/// # Errors
/// The store cannot be read.
pub fn can_be_approved(facts: &dyn Records, activation: &Activation) -> Result<bool, Unavailable> {
    let Some(settings) = facts.definitions().roles.get(&activation.role) else { return Ok(false) };
    Ok(short_of(facts, facts, settings, activation)?.is_none())
}

/// The stage that lacks approvers by the facts of `facts`, where one does. A person counts once in the whole request, so stages that share
/// their approvers need as many persons between them as their quorums together: whichever of them are looked at.
pub(super) fn short_of(
    tables: &dyn Records,
    facts: &dyn Facts,
    settings: &RoleSettings,
    activation: &Activation,
) -> Result<Option<Short>, Unavailable> {
    let all: usize = settings.stages.iter().fold(0, |sum, stage| sum.saturating_add(quorum(stage)));
    let mut scarce = Vec::new();
    for (number, stage) in (0_u32..).zip(settings.stages.iter().take(MAX_STAGES)) {
        // A stage with enough persons for all of them together is nobody's rival.
        if let Some(persons) = voters(tables, facts, stage, activation, all)?.filter(|persons| persons.len() < all) {
            scarce.push((number, stage, persons));
        }
    }
    let mut subsets: Vec<u32> = (1..1_u32 << scarce.len()).collect();
    subsets.sort_by_key(|subset| (subset.count_ones(), *subset));
    for subset in subsets {
        let chosen = || (0_u32..).zip(&scarce).filter(|(place, _)| subset & (1 << place) != 0).map(|(_, stage)| stage);
        let persons: HashSet<&String> = chosen().flat_map(|(_, _, persons)| persons).collect();
        let needed = chosen().fold(0_usize, |sum, (_, stage, _)| sum.saturating_add(quorum(stage)));
        if persons.len() < needed
            && let Some((number, stage, _)) = chosen().last()
        {
            let available = persons.len().saturating_sub(needed - quorum(stage));
            let available = u32::try_from(available).unwrap_or(u32::MAX);
            return Ok(Some(Short { stage: *number, needed: stage.quorum, available }));
        }
    }
    Ok(None)
}

/// The persons who could vote in a stage, less those who are involved: looked for until there are `enough`.
/// Nothing where so many names stand below its groups that the search was given up.
fn voters(
    tables: &dyn Records,
    facts: &dyn Facts,
    stage: &Stage,
    activation: &Activation,
    enough: usize,
) -> Result<Option<HashSet<String>>, Unavailable> {
    let involved = involved(tables, facts, activation)?;
    let mut persons = HashSet::new();
    let listed: Vec<Uid> = stage.approvers.iter().chain(stage.fallback.iter().flat_map(|fallback| &fallback.approvers)).cloned().collect();
    let mut members = Members::after(tables, facts, &listed);
    while let Some(member) = members.next()? {
        if presence(facts, &member)? != Presence::Known {
            continue;
        }
        let person = person(facts, &member)?;
        if !involved.contains(&person) {
            persons.insert(person);
        }
        if persons.len() >= enough {
            return Ok(Some(persons));
        }
    }
    Ok((!members.cut).then_some(persons))
}

/// How many persons a stage needs.
pub(super) fn quorum(stage: &Stage) -> usize {
    usize::try_from(stage.quorum).unwrap_or(usize::MAX)
}
