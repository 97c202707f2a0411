//! Eligibilities and assignments: given by somebody else, within what the role allows, and taken back.

use super::cascade::{After, Cascade};
use super::people::reaches_actor;
use super::{Case, Decision, Outcome, not_found, terms};
use crate::domain::command::GrantRequest;
use crate::domain::event::Event;
use crate::domain::facts::{Action, Object, Permitted, Unavailable};
use crate::domain::grant::{Assignment, Cause, Eligibility, EntityRow, GrantEnd, Under};
use crate::domain::id::{AssignmentId, EligibilityId, RoleName, Uid};
use crate::domain::rejection::Rejection;
use crate::domain::settings::{GrantLimits, RoleSettings};
use crate::domain::standing::still_stands;
use crate::domain::text::Text;
use crate::domain::time::{Timestamp, Window};

/// The two kinds of grants, as far as their rules differ.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    Eligibility,
    Assignment,
}

impl Kind {
    fn limits(self, settings: &RoleSettings) -> GrantLimits {
        match self {
            Self::Eligibility => settings.eligibility,
            Self::Assignment => settings.assignment,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Eligibility => "eligible",
            Self::Assignment => "assigned",
        }
    }

    /// What a holder was given of this kind and nobody took back, with the incarnations it was given under.
    fn of(self, row: &EntityRow) -> Vec<(String, &RoleName, Option<&Uid>, Window, Under)> {
        match self {
            Self::Eligibility => {
                let grants = row.grants.eligibilities.iter();
                grants.map(|grant| (grant.id.to_string(), &grant.role, grant.scope.as_ref(), grant.window, grant.under)).collect()
            }
            Self::Assignment => {
                let grants = row.grants.assignments.iter();
                grants.map(|grant| (grant.id.to_string(), &grant.role, grant.scope.as_ref(), grant.window, grant.under)).collect()
            }
        }
    }
}

/// A grant that may be given.
struct Granted {
    permitted: Permitted,
    window: Window,
    under: Under,
}

/// Makes a principal or a group eligible.
pub(super) fn create_eligibility(case: &Case<'_>, id: &EligibilityId, grant: &GrantRequest) -> Result<Decision, Rejection> {
    let Granted { permitted, window, under } = grantable(case, Kind::Eligibility, grant)?;
    let eligibility = Eligibility {
        id: id.clone(),
        holder: grant.holder.clone(),
        role: grant.role.clone(),
        scope: grant.scope.clone(),
        window,
        under,
        granted_by: case.actor.clone(),
        granted_at: case.now(),
        justification: grant.justification.as_ref().map(Text::digest),
        renews: None,
        ended: None,
    };
    let outcome = Outcome::EligibilityCreated(id.clone());
    Ok(Decision::permitted(permitted, vec![Event::EligibilityCreated { eligibility }], outcome))
}

/// Gives a role without activation.
pub(super) fn create_assignment(case: &Case<'_>, id: &AssignmentId, grant: &GrantRequest) -> Result<Decision, Rejection> {
    let Granted { permitted, window, under } = grantable(case, Kind::Assignment, grant)?;
    let assignment = Assignment {
        id: id.clone(),
        holder: grant.holder.clone(),
        role: grant.role.clone(),
        scope: grant.scope.clone(),
        window,
        under,
        granted_by: case.actor.clone(),
        granted_at: case.now(),
        justification: grant.justification.as_ref().map(Text::digest),
        renews: None,
        seq: 0,
        ended: None,
    };
    let outcome = Outcome::AssignmentCreated(id.clone());
    Ok(Decision::permitted(permitted, vec![Event::AssignmentCreated { assignment }], outcome))
}

fn grantable(case: &Case<'_>, kind: Kind, grant: &GrantRequest) -> Result<Granted, Rejection> {
    let settings = terms::role(case.facts.definitions(), &grant.role)?;
    terms::scope(case, settings, grant.scope.as_ref())?;
    let definitions = case.facts.definitions();
    if !definitions.is_principal(&grant.holder) && !definitions.is_group(&grant.holder) {
        return Err(Rejection::NotAHolder { uid: grant.holder.clone() });
    }
    case.known(&grant.holder)?;
    if let Some(actor) = case.actor.principal()
        && reaches_actor(case, actor, &grant.holder)?
    {
        return Err(Rejection::SelfGrant { actor: actor.clone(), holder: grant.holder.clone() });
    }
    // A start that is past gives nothing for the time that is gone.
    let start = grant.start.unwrap_or(case.now()).max(case.now());
    let window = Window { start, end: grant.end };
    let permitted = case.ask(Action::AssignRole, object(&grant.role, grant.scope.as_ref(), &grant.holder, window))?;
    window_in_order(kind, settings, window)?;
    granted_once(case, kind, &grant.holder, &grant.role, grant.scope.as_ref(), window, None)?;
    let under = case.under(&grant.holder, &grant.role, grant.scope.as_ref())?;
    Ok(Granted { permitted, window, under })
}

/// Refuses what the holder would have twice at a time; `but` is the grant that gets another end.
pub(super) fn granted_once(
    case: &Case<'_>,
    kind: Kind,
    holder: &Uid,
    role: &RoleName,
    scope: Option<&Uid>,
    window: Window,
    but: Option<&str>,
) -> Result<(), Rejection> {
    let Some(row) = case.facts.row(holder)? else { return Ok(()) };
    for (id, of, at, other, under) in kind.of(&row) {
        let same = of == role && at == scope && other.overlaps(&window) && but != Some(id.as_str());
        if same && still_stands(case.facts, holder, of, at, &under)?.is_ok() {
            return Err(Rejection::AlreadyGranted { holder: holder.clone(), id });
        }
    }
    Ok(())
}

pub(super) fn window_in_order(kind: Kind, settings: &RoleSettings, window: Window) -> Result<(), Rejection> {
    let limits = kind.limits(settings);
    let Some(end) = window.end else {
        if limits.allow_permanent {
            return Ok(());
        }
        let (role, grant) = (settings.name.clone(), kind.word().to_owned());
        return Err(Rejection::PermanentNotAllowed { role, grant, max: limits.max_duration });
    };
    if end <= window.start {
        return Err(Rejection::WindowEmpty { end, after: window.start });
    }
    if end > window.start.plus(limits.max_duration) {
        let (role, asked) = (settings.name.clone(), end.since(window.start));
        return Err(Rejection::DurationTooLong { role, asked, max: limits.max_duration });
    }
    Ok(())
}

pub(super) fn object(role: &RoleName, scope: Option<&Uid>, holder: &Uid, window: Window) -> Object {
    Object::RoleGrant {
        role: role.clone(),
        scope: scope.cloned(),
        beneficiary: holder.clone(),
        duration: window.end.map(|end| end.since(window.start)),
    }
}

/// Ends an eligibility, and what rests on it.
pub(super) fn remove_eligibility(case: &Case<'_>, id: &EligibilityId, reason: Option<&Text>) -> Result<Decision, Rejection> {
    let found = case.facts.eligibility(id)?.ok_or_else(|| not_found("eligibility", id))?;
    let permitted = case.ask(Action::AssignRole, object(&found.role, found.scope.as_ref(), &found.holder, found.window))?;
    not_ended(id, found.window, found.ended.as_ref(), case.now())?;
    let mut events = vec![Event::EligibilityRemoved { id: id.clone(), reason: reason.map(Text::digest) }];
    events.extend(resting_on(case, Cause::EligibilityRemoved(id.clone()))?);
    Ok(Decision::permitted(permitted, events, Outcome::EligibilityRemoved(id.clone())))
}

/// Ends an assignment.
pub(super) fn remove_assignment(case: &Case<'_>, id: &AssignmentId, reason: Option<&Text>) -> Result<Decision, Rejection> {
    let found = case.facts.assignment(id)?.ok_or_else(|| not_found("assignment", id))?;
    let permitted = case.ask(Action::AssignRole, object(&found.role, found.scope.as_ref(), &found.holder, found.window))?;
    not_ended(id, found.window, found.ended.as_ref(), case.now())?;
    let events = vec![Event::AssignmentRemoved { id: id.clone(), reason: reason.map(Text::digest) }];
    Ok(Decision::permitted(permitted, events, Outcome::AssignmentRemoved(id.clone())))
}

/// What a change to one grant ends; nothing else is different after it.
pub(super) fn resting_on(case: &Case<'_>, cause: Cause) -> Result<Vec<Event>, Unavailable> {
    let after = After::new(case.facts);
    let mut cascade = Cascade::new(case.facts, &after, case.now());
    cascade.follow(cause)?;
    Ok(cascade.into_events())
}

fn not_ended(id: &dyn std::fmt::Display, window: Window, ended: Option<&GrantEnd>, now: Timestamp) -> Result<(), Rejection> {
    let (status, at) = match ended {
        Some(GrantEnd::Expired { at }) => ("expired", Some(*at)),
        Some(GrantEnd::Removed { at, .. }) => ("removed", Some(*at)),
        None if window.ended(now) => ("expired", window.end),
        None => return Ok(()),
    };
    Err(Rejection::NotInState { id: id.to_string(), status: status.to_owned(), at })
}
