//! A bundle goes live: which names leave with the one before, and what that ends.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::cascade::{After, Cascade, MAX_LOOK};
use super::quorum::{Short, short_of};
use super::{Case, Decision, Outcome};
use crate::domain::command::BundleSource;
use crate::domain::event::Event;
use crate::domain::facts::{Action, Facts as _, Object, Unavailable};
use crate::domain::grant::{ActivationStatus, Cause};
use crate::domain::id::{RoleName, Uid};
use crate::domain::rejection::Rejection;
use crate::domain::settings::{Definitions, EntityDef, RoleSettings};
use crate::domain::standing::{ancestors, cap, parents};

/// Most requests without enough approvers that one record names.
const MAX_UNREACHABLE: usize = 100;

/// Makes a bundle the live one. The facts are still those under the one before.
pub(super) fn activate(case: &Case<'_>, definitions: &Arc<Definitions>, source: BundleSource) -> Result<Decision, Rejection> {
    let permitted = case.ask(Action::ManageBundle, Object::Sidecar)?;
    let before = case.facts.definitions();
    if before.revision == definitions.revision {
        return Ok(Decision::nothing(Outcome::Unchanged));
    }
    let roles_removed: Vec<RoleName> = before.roles.keys().filter(|role| !definitions.roles.contains_key(*role)).cloned().collect();
    let entities_removed = only_in(before, definitions);
    let mut entities_shadowed = only_in(definitions, before);
    let mut unreadable = None;
    entities_shadowed.retain(|uid| match case.facts.row(uid) {
        Ok(row) => row.is_some_and(|row| row.stored.is_some()),
        Err(unavailable) => {
            unreadable = Some(unavailable);
            false
        }
    });
    if let Some(unavailable) = unreadable {
        return Err(unavailable.into());
    }
    let mut after = After::new(case.facts).with_bundle(definitions, &roles_removed)?;
    for uid in &entities_removed {
        after = after.with_row(uid, |row| row.incarnation = row.incarnation.next())?;
    }
    let mut cascade = Cascade::new(case.facts, &after, case.now());
    for role in &roles_removed {
        cascade.follow(Cause::RoleRemoved(role.clone()))?;
    }
    for uid in &entities_removed {
        cascade.follow(Cause::PrincipalDeleted(uid.clone()))?;
        cascade.follow(Cause::ScopeDeleted(uid.clone()))?;
    }
    for group in groups_left(case, definitions, &entities_removed, &entities_shadowed)? {
        cascade.follow(Cause::GroupLeft(group))?;
    }
    for role in caps_lowered(before, definitions) {
        cascade.follow(Cause::CapLowered(role))?;
    }
    let unreachable = unreachable(case, &after, &cascade)?;
    let activated = Event::BundleActivated {
        revision: definitions.revision.clone(),
        previous: (!before.types.is_empty()).then(|| before.revision.clone()),
        source,
        roles_removed,
        entities_removed,
        entities_shadowed,
    };
    let events = std::iter::once(activated).chain(cascade.into_events()).chain(unreachable).collect();
    Ok(Decision::permitted(permitted, events, Outcome::BundleActivated(definitions.revision.clone())))
}

/// Roles that allow an activation less time than they did.
fn caps_lowered(before: &Definitions, now: &Definitions) -> Vec<RoleName> {
    let lowered = |was: &RoleSettings, is: &RoleSettings| [false, true].iter().any(|kind| cap(is, *kind, 0) < cap(was, *kind, 0));
    let roles = before.roles.iter().filter(|(name, was)| now.roles.get(*name).is_some_and(|is| lowered(was, is)));
    roles.map(|(name, _)| name.clone()).collect()
}

/// Requests that wait for votes and have too few voters left under the bundle to come. They are not ended: an administrator may add approvers.
fn unreachable(case: &Case<'_>, after: &After<'_>, cascade: &Cascade<'_>) -> Result<Vec<Event>, Unavailable> {
    let mut found = Vec::new();
    for id in case.facts.pending_requests(MAX_LOOK)? {
        if found.len() >= MAX_UNREACHABLE {
            break;
        }
        let Some(activation) = case.facts.activation(&id)? else { continue };
        let pending = activation.status(case.now()) == ActivationStatus::Pending && !cascade.ends(&id);
        let Some(settings) = after.definitions().roles.get(&activation.role).filter(|_| pending) else { continue };
        if let Some(Short { stage, needed, available }) = short_of(case.facts, after, settings, &activation)? {
            found.push(Event::QuorumUnreachable { id, stage, needed, available });
        }
    }
    Ok(found)
}

/// Entities that the first defines and the second does not, sorted.
fn only_in(one: &Definitions, other: &Definitions) -> Vec<Uid> {
    let mut found: Vec<Uid> = one.entities.keys().filter(|uid| !other.entities.contains_key(*uid)).cloned().collect();
    found.sort();
    found
}

fn may_hold(definitions: &Definitions, uid: &Uid) -> bool {
    definitions.is_group(uid) || definitions.is_principal(uid)
}

/// Groups that somebody may have left, with everything above them: those that lose a member by the bundle's edges, and those that go.
fn groups_left(case: &Case<'_>, definitions: &Definitions, removed: &[Uid], shadowed: &[Uid]) -> Result<BTreeSet<Uid>, Unavailable> {
    let before = case.facts.definitions();
    let mut lost: BTreeSet<Uid> = removed.iter().cloned().collect();
    for uid in removed {
        lost.extend(parents(case.facts, uid)?);
    }
    let loses = |now: &EntityDef, parent: &Uid| !now.parents.iter().any(|edge| edge.parent == *parent);
    for (uid, was) in &before.entities {
        let Some(now) = definitions.entities.get(uid) else { continue };
        lost.extend(was.parents.iter().map(|edge| &edge.parent).filter(|parent| loses(now, parent)).cloned());
    }
    for uid in shadowed {
        let Some(now) = definitions.entities.get(uid) else { continue };
        lost.extend(parents(case.facts, uid)?.into_iter().filter(|parent| loses(now, parent)));
    }
    let mut groups = BTreeSet::new();
    for uid in lost {
        if may_hold(before, &uid) || may_hold(definitions, &uid) {
            groups.extend(ancestors(case.facts, &uid)?);
            groups.insert(uid);
        }
    }
    Ok(groups)
}
