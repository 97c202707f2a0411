//! Storing, deleting and disabling entities: who is who, and who is in what.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::cascade::{After, Cascade, left};
use super::people::{person, reaches_actor};
use super::{Case, Decision, Outcome, not_found};
use crate::domain::event::Event;
use crate::domain::facts::{Action, Object, Unavailable};
use crate::domain::grant::Cause;
use crate::domain::id::Uid;
use crate::domain::rejection::Rejection;
use crate::domain::settings::{EdgeSource, EntityDef, JsonObject, ParentEdge};
use crate::domain::standing::{Presence, ancestors, parents, presence, still_stands};
use crate::domain::text::Text;

/// Stores an entity, whole.
pub(super) fn put(case: &Case<'_>, uid: &Uid, wanted: &[Uid], attrs: &JsonObject, source: EdgeSource) -> Result<Decision, Rejection> {
    storable(case, uid)?;
    let permitted = case.ask(Action::ManageEntity, Object::Entity(uid.clone()))?;
    let wanted: BTreeSet<Uid> = wanted.iter().cloned().collect();
    let wanted: Vec<Uid> = wanted.into_iter().collect();
    parents_in_order(case, uid, &wanted)?;
    fold_is_free(case, uid)?;
    case.authority.conforms(uid, &wanted, attrs).map_err(|problem| Rejection::EntityInvalid { uid: uid.clone(), problem })?;
    let edge = |parent: &Uid| {
        let incarnation = case.incarnation(parent)?;
        Ok::<_, Unavailable>(ParentEdge { parent: parent.clone(), incarnation, source })
    };
    let mut edges = wanted.iter().map(edge).collect::<Result<Vec<_>, _>>()?;
    let before = case.facts.row(uid)?.and_then(|row| row.stored.clone());
    // Each source knows its own edges only, and takes back no others.
    let others = before.iter().flat_map(|before| &before.parents).filter(|edge| edge.source != source);
    edges.extend(others.cloned());
    edges.sort_by(|one, other| (&one.parent, one.source).cmp(&(&other.parent, other.source)));
    let entity = EntityDef { uid: uid.clone(), parents: edges, attrs: attrs.clone() };
    if before.as_deref() == Some(&entity) {
        return Ok(Decision::nothing(Outcome::Unchanged));
    }
    let after = After::new(case.facts).with_row(uid, |row| row.stored = Some(Arc::new(entity.clone())))?;
    let (had, wanted) = (parents(case.facts, uid)?, parents(&after, uid)?);
    for parent in wanted.iter().filter(|parent| !had.contains(parent)).chain(had.iter().filter(|parent| !wanted.contains(parent))) {
        let _permitted = case.ask(Action::ManageMembership, Object::Entity(parent.clone()))?;
    }
    for group in left(&after, case.facts, uid)? {
        // Joined before the cascade of leaving it is through, it would give back what the cascade is about to end.
        if case.facts.cascade_waits(&Cause::GroupLeft(group.clone()))? {
            return Err(Rejection::NotInState { id: group.to_string(), status: "still being left".to_owned(), at: None });
        }
    }
    not_for_oneself(case, &after, uid, wanted.iter().filter(|parent| !had.contains(parent)))?;
    let mut cascade = Cascade::new(case.facts, &after, case.now());
    for group in left(case.facts, &after, uid)? {
        cascade.follow(Cause::GroupLeft(group))?;
    }
    let outcome = if before.is_none() { Outcome::EntityCreated(uid.clone()) } else { Outcome::EntityChanged(uid.clone()) };
    let events = std::iter::once(Event::EntityStored { entity }).chain(cascade.into_events()).collect();
    Ok(Decision::permitted(permitted, events, outcome))
}

fn storable(case: &Case<'_>, uid: &Uid) -> Result<(), Rejection> {
    let definitions = case.facts.definitions();
    if uid.kind() == definitions.role_type || !definitions.types.contains_key(uid.kind()) {
        return Err(Rejection::TypeNotStorable { uid: uid.clone() });
    }
    if definitions.entities.contains_key(uid) {
        return Err(Rejection::OwnedByBundle { uid: uid.clone() });
    }
    Ok(())
}

/// A role is never a parent: that is what every holding becomes at a check, and there is no other way to hold one.
fn parents_in_order(case: &Case<'_>, uid: &Uid, wanted: &[Uid]) -> Result<(), Rejection> {
    if let Some(role) = wanted.iter().find(|parent| parent.kind() == case.facts.definitions().role_type) {
        return Err(Rejection::RoleAsParent { uid: uid.clone(), role: role.clone() });
    }
    for parent in wanted {
        if parent == uid {
            return Err(Rejection::Cycle { uid: uid.clone(), through: parent.clone() });
        }
        if matches!(presence(case.facts, parent)?, Presence::Unknown(_)) {
            return Err(Rejection::UnknownParent { uid: uid.clone(), parent: parent.clone() });
        }
        if ancestors(case.facts, parent)?.contains(uid) {
            return Err(Rejection::Cycle { uid: uid.clone(), through: parent.clone() });
        }
    }
    Ok(())
}

fn fold_is_free(case: &Case<'_>, uid: &Uid) -> Result<(), Rejection> {
    let definitions = case.facts.definitions();
    if !definitions.type_settings(uid.kind()).case_insensitive {
        return Ok(());
    }
    let fold = uid.fold();
    let of_bundle = definitions.entities.keys().find(|other| other.kind() == uid.kind() && other.fold() == fold).cloned();
    let existing = match of_bundle {
        Some(existing) => Some(existing),
        None => case.facts.stored_by_fold(uid.kind(), &fold)?,
    };
    match existing.filter(|existing| existing != uid) {
        Some(existing) => Err(Rejection::FoldExists { uid: uid.clone(), existing }),
        None => Ok(()),
    }
}

/// Refuses to put oneself (or another account of oneself, or a group one is in) where something is held.
fn not_for_oneself<'u>(case: &Case<'_>, after: &After<'_>, uid: &Uid, mut added: impl Iterator<Item = &'u Uid>) -> Result<(), Rejection> {
    let Some(actor) = case.actor.principal() else { return Ok(()) };
    // The entity's own person counts as it was and as it will be: neither hides the other.
    let mine = person(case.facts, actor)?;
    if !reaches_actor(case, actor, uid)? && person(after, uid)? != mine {
        return Ok(());
    }
    added.try_for_each(|parent| {
        let above = ancestors(case.facts, parent)?;
        for group in std::iter::once(parent).chain(&above) {
            if holds_anything(case, group)? {
                return Err(Rejection::SelfGrant { actor: actor.clone(), holder: parent.clone() });
            }
        }
        Ok(())
    })
}

/// Whether something was given to a group that is not over and still stands.
fn holds_anything(case: &Case<'_>, group: &Uid) -> Result<bool, Unavailable> {
    let Some(row) = case.facts.row(group)? else { return Ok(false) };
    let eligible = row.grants.eligibilities.iter().map(|grant| (&grant.role, grant.scope.as_ref(), grant.window, &grant.under));
    let assigned = row.grants.assignments.iter().map(|grant| (&grant.role, grant.scope.as_ref(), grant.window, &grant.under));
    for (role, scope, window, under) in eligible.chain(assigned) {
        if !window.ended(case.now()) && still_stands(case.facts, group, role, scope, under)?.is_ok() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Deletes a stored entity: its grants end, and what others were given on it or through it is void.
pub(super) fn delete(case: &Case<'_>, uid: &Uid, reason: Option<&Text>) -> Result<Decision, Rejection> {
    let permitted = case.ask(Action::ManageEntity, Object::Entity(uid.clone()))?;
    if case.facts.definitions().entities.contains_key(uid) {
        return Err(Rejection::OwnedByBundle { uid: uid.clone() });
    }
    if case.facts.row(uid)?.is_none_or(|row| row.stored.is_none()) {
        return Err(not_found("entity", uid));
    }
    for parent in parents(case.facts, uid)? {
        let _permitted = case.ask(Action::ManageMembership, Object::Entity(parent))?;
    }
    let after = After::new(case.facts).with_row(uid, |row| {
        row.stored = None;
        row.incarnation = row.incarnation.next();
    })?;
    let mut cascade = Cascade::new(case.facts, &after, case.now());
    cascade.follow(Cause::PrincipalDeleted(uid.clone()))?;
    cascade.follow(Cause::ScopeDeleted(uid.clone()))?;
    cascade.follow(Cause::GroupLeft(uid.clone()))?;
    for group in left(case.facts, &after, uid)? {
        cascade.follow(Cause::GroupLeft(group))?;
    }
    let deleted = Event::EntityDeleted { uid: uid.clone(), reason: reason.map(Text::digest) };
    let events = std::iter::once(deleted).chain(cascade.into_events()).collect();
    Ok(Decision::permitted(permitted, events, Outcome::EntityDeleted(uid.clone())))
}

/// Disables a principal, which ends what it has open; or enables it, which revives nothing.
pub(super) fn set_disabled(case: &Case<'_>, uid: &Uid, disabled: bool, reason: Option<&Text>) -> Result<Decision, Rejection> {
    let permitted = case.ask(Action::ManageEntity, Object::Entity(uid.clone()))?;
    if !case.facts.definitions().is_principal(uid) {
        return Err(Rejection::NotAHolder { uid: uid.clone() });
    }
    let is_disabled = match presence(case.facts, uid)? {
        Presence::Unknown(_) => return Err(not_found("entity", uid)),
        Presence::Disabled => true,
        Presence::Known => false,
    };
    if is_disabled == disabled {
        return Ok(Decision::nothing(Outcome::Unchanged));
    }
    let reason = reason.map(Text::digest);
    let outcome = Outcome::EntityChanged(uid.clone());
    let cause = Cause::PrincipalDisabled(uid.clone());
    if !disabled {
        // Enabled before its cascade is through, it would get back what the cascade is about to end.
        if case.facts.cascade_waits(&cause)? {
            return Err(Rejection::NotInState { id: uid.to_string(), status: "still being disabled".to_owned(), at: None });
        }
        return Ok(Decision::permitted(permitted, vec![Event::EntityEnabled { uid: uid.clone(), reason }], outcome));
    }
    let after = After::new(case.facts).with_row(uid, |row| row.disabled = true)?;
    let mut cascade = Cascade::new(case.facts, &after, case.now());
    cascade.follow(cause)?;
    let disabled = Event::EntityDisabled { uid: uid.clone(), reason };
    Ok(Decision::permitted(permitted, std::iter::once(disabled).chain(cascade.into_events()).collect(), outcome))
}
