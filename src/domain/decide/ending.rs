//! Ending what was asked for: cancel, deactivate, revoke, and revoke everything at once.

use super::activation::object;
use super::cascade::{After, Cascade};
use super::extend::left_behind;
use super::{Case, Decision, Outcome, not_found, terms};
use crate::domain::command::Everything;
use crate::domain::event::Event;
use crate::domain::facts::{Action, Object};
use crate::domain::grant::{Activation, ActivationStatus, Cause};
use crate::domain::id::{ActivationId, RoleName, Uid};
use crate::domain::rejection::Rejection;
use crate::domain::standing::{Presence, presence};
use crate::domain::text::{Text, TextDigest};

/// Takes a request back before it begins.
pub(super) fn cancel(case: &Case<'_>, id: &ActivationId, reason: Option<&Text>) -> Result<Decision, Rejection> {
    let activation = case.facts.activation(id)?.ok_or_else(|| not_found("activation", id))?;
    let own = |actor: &Uid| *actor == activation.principal || activation.requester.principal() == Some(actor);
    let own = case.actor.principal().is_some_and(own);
    let permitted = if own { None } else { Some(case.ask(Action::CancelActivation, object(&activation))?) };
    in_one_of(case, &activation, &[ActivationStatus::Pending, ActivationStatus::Scheduled])?;
    let events = vec![Event::ActivationCancelled { id: id.clone(), reason: reason.map(Text::digest) }];
    let outcome = Outcome::ActivationChanged(id.clone());
    Ok(match permitted {
        Some(permitted) => Decision::permitted(permitted, events, outcome),
        None => Decision::unasked(events, outcome),
    })
}

/// Ends one's own activation.
pub(super) fn deactivate(case: &Case<'_>, id: &ActivationId, reason: Option<&Text>) -> Result<Decision, Rejection> {
    let activation = case.facts.activation(id)?.ok_or_else(|| not_found("activation", id))?;
    if case.actor.principal() != Some(&activation.principal) {
        return Err(Rejection::NotTheHolder { id: id.clone(), holder: activation.principal.clone() });
    }
    in_state(case, &activation, ActivationStatus::Active)?;
    let mut events = vec![Event::ActivationDeactivated { id: id.clone(), reason: reason.map(Text::digest) }];
    events.extend(left_behind(case, &activation)?);
    Ok(Decision::unasked(events, Outcome::ActivationChanged(id.clone())))
}

/// Ends somebody's activation, or one that is approved for later.
pub(super) fn revoke(case: &Case<'_>, id: &ActivationId, reason: Option<&Text>) -> Result<Decision, Rejection> {
    let activation = case.facts.activation(id)?.ok_or_else(|| not_found("activation", id))?;
    let permitted = case.ask(Action::RevokeActivation, object(&activation))?;
    in_one_of(case, &activation, &[ActivationStatus::Active, ActivationStatus::Scheduled])?;
    let mut events = vec![Event::ActivationRevoked { id: id.clone(), reason: reason.map(Text::digest), cause: None }];
    events.extend(left_behind(case, &activation)?);
    Ok(Decision::permitted(permitted, events, Outcome::ActivationChanged(id.clone())))
}

/// Ends everything that a principal has open, or that is open of a role. What the next check reads is the mark that this record sets, so that
/// it does not wait for the cascade, however long that is.
pub(super) fn revoke_all(case: &Case<'_>, of: &Everything, reason: Option<&Text>) -> Result<Decision, Rejection> {
    let reason = reason.map(Text::digest);
    match of {
        Everything::Principal(uid) => all_of_principal(case, of, uid, reason),
        Everything::Role(role) => all_of_role(case, of, role, reason),
    }
}

fn all_of_principal(case: &Case<'_>, of: &Everything, uid: &Uid, reason: Option<TextDigest>) -> Result<Decision, Rejection> {
    // Asked first: who may not end it learns nothing of what there is.
    let permitted = case.ask(Action::RevokePrincipal, Object::Entity(uid.clone()))?;
    if !case.facts.definitions().is_principal(uid) {
        return Err(Rejection::NotAHolder { uid: uid.clone() });
    }
    if matches!(presence(case.facts, uid)?, Presence::Unknown(_)) {
        return Err(not_found("entity", uid));
    }
    let row = case.facts.row(uid)?;
    if row.is_none_or(|row| row.grants.activations.is_empty() && row.grants.waiting.is_empty()) {
        return Ok(Decision::nothing(Outcome::Unchanged));
    }
    let after = After::new(case.facts).with_row(uid, |row| row.void_before = u64::MAX)?;
    let events = voided(case, &after, of, reason, Cause::PrincipalRevoked(uid.clone()))?;
    Ok(Decision::permitted(permitted, events, Outcome::AllRevoked(of.clone())))
}

fn all_of_role(case: &Case<'_>, of: &Everything, role: &RoleName, reason: Option<TextDigest>) -> Result<Decision, Rejection> {
    terms::role(case.facts.definitions(), role)?;
    let permitted = case.ask(Action::RevokeRole, Object::Role(role.clone()))?;
    if case.facts.open_for_role(role, 1)?.is_empty() {
        return Ok(Decision::nothing(Outcome::Unchanged));
    }
    let after = After::new(case.facts).with_role(role, |row| row.void_before = u64::MAX)?;
    let events = voided(case, &after, of, reason, Cause::RoleRevoked(role.clone()))?;
    Ok(Decision::permitted(permitted, events, Outcome::AllRevoked(of.clone())))
}

fn voided(case: &Case<'_>, after: &After<'_>, of: &Everything, reason: Option<TextDigest>, cause: Cause) -> Result<Vec<Event>, Rejection> {
    let mut cascade = Cascade::new(case.facts, after, case.now()).because(reason);
    cascade.follow(cause)?;
    Ok(std::iter::once(Event::ActivationsVoided { of: of.clone(), reason }).chain(cascade.into_events()).collect())
}

/// Refuses an activation that is not where the command needs it, and says where it is instead.
pub(super) fn in_state(case: &Case<'_>, activation: &Activation, wanted: ActivationStatus) -> Result<(), Rejection> {
    in_one_of(case, activation, &[wanted])
}

fn in_one_of(case: &Case<'_>, activation: &Activation, wanted: &[ActivationStatus]) -> Result<(), Rejection> {
    let status = activation.status(case.now());
    if wanted.contains(&status) { Ok(()) } else { Err(Rejection::activation_is(&activation.id, status, activation.since(case.now()))) }
}
