//! What a role asks of everything that is given under it: that it exists, and on what it may be given.

use std::sync::Arc;

use super::Case;
use crate::domain::command::Actor;
use crate::domain::id::{RoleName, Uid};
use crate::domain::rejection::{Missing, Rejection};
use crate::domain::settings::{Definitions, Requirement, RoleSettings, UnknownRule};
use crate::domain::standing::{Presence, presence};
use crate::domain::text::{Text, Ticket};
use crate::domain::time::{Duration, Timestamp};

/// Longest name, in characters, that is compared with the known ones to find what was meant.
const MAX_COMPARED: usize = 64;

/// The settings of a role.
pub(super) fn role<'a>(definitions: &'a Definitions, role: &RoleName) -> Result<&'a Arc<RoleSettings>, Rejection> {
    let nearest = || nearest(role.as_str(), definitions.roles.keys().map(RoleName::as_str)).map(str::to_owned);
    definitions.roles.get(role).ok_or_else(|| Rejection::UnknownRole { role: role.clone(), nearest: nearest() })
}

/// Refuses a scope that the role is not given on.
pub(super) fn scope(case: &Case<'_>, settings: &RoleSettings, scope: Option<&Uid>) -> Result<(), Rejection> {
    let allowed = || match &settings.scopes {
        Some(types) => types.iter().cloned().collect(),
        None => vec!["any".to_owned()],
    };
    let Some(scope) = scope else {
        let required = settings.scope_required;
        return if required { Err(Rejection::ScopeRequired { role: settings.name.clone(), allowed: allowed() }) } else { Ok(()) };
    };
    if settings.scopes.as_ref().is_some_and(|types| !types.contains(scope.kind())) {
        return Err(Rejection::ScopeNotAllowed { role: settings.name.clone(), scope: scope.clone(), allowed: allowed() });
    }
    match presence(case.facts, scope)? {
        Presence::Known | Presence::Disabled | Presence::Unknown(UnknownRule::Evaluate) => Ok(()),
        Presence::Unknown(UnknownRule::Deny) => Err(Rejection::UnknownScope { scope: scope.clone() }),
    }
}

/// Refuses no time at all, and more than the most.
pub(super) fn duration_in_order(settings: &RoleSettings, duration: Duration, max: Duration) -> Result<(), Rejection> {
    if duration == Duration::default() {
        return Err(Rejection::DurationZero);
    }
    if duration > max {
        return Err(Rejection::DurationTooLong { role: settings.name.clone(), asked: duration, max });
    }
    Ok(())
}

/// What a request brings along.
#[derive(Clone, Copy)]
pub(super) struct Brought<'a> {
    pub(super) justification: Option<&'a Text>,
    pub(super) ticket: Option<&'a Ticket>,
}

/// Refuses a request that lacks what the role asks for, and names everything that is missing at once, so that nobody has to ask again for
/// each. An emergency needs a reason, whatever the role asks for else.
pub(super) fn requirements(case: &Case<'_>, settings: &RoleSettings, why: Brought<'_>, emergency: bool) -> Result<(), Rejection> {
    let blank = |text: &Text| text.value.trim().is_empty();
    let hint = |requirement: Requirement| match requirement {
        Requirement::Justification => why.justification.is_none_or(blank).then(|| "say why in `justification`".to_owned()),
        Requirement::Ticket => match why.ticket.filter(|ticket| !blank(&ticket.number)) {
            None => Some("name the ticket in `ticket.number`".to_owned()),
            Some(ticket) => {
                let pattern = settings.ticket_pattern.as_ref().filter(|pattern| !pattern.matches(&ticket.number.value));
                pattern.map(|pattern| format!("the ticket number has to match `{}`", pattern.as_str()))
            }
        },
        Requirement::Mfa => mfa_hint(case.actor, settings.mfa_max_age, case.now()),
    };
    let only_why = [Requirement::Justification].into();
    let required = if emergency { &only_why } else { &settings.require };
    let missing: Vec<_> =
        required.iter().filter_map(|requirement| hint(*requirement).map(|hint| Missing { requirement: *requirement, hint })).collect();
    if missing.is_empty() { Ok(()) } else { Err(Rejection::RequirementsMissing { role: settings.name.clone(), missing }) }
}

fn mfa_hint(actor: &Actor, max_age: Option<Duration>, now: Timestamp) -> Option<String> {
    let caller = match actor {
        Actor::Caller(caller) if caller.has_mfa() => caller,
        Actor::Caller(_) | Actor::System => return Some("sign in with a second factor".to_owned()),
    };
    let max_age = max_age?;
    let fresh = caller.auth_time.is_some_and(|at| now <= at.plus(max_age));
    (!fresh).then(|| format!("sign in again: the second factor may be {max_age} old at most"))
}

/// The known name that differs least, where one differs by at most a third of its letters.
fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let letters: Vec<char> = name.chars().take(MAX_COMPARED + 1).collect();
    if letters.len() > MAX_COMPARED {
        return None;
    }
    let near = known.filter(|other| other.chars().count() <= MAX_COMPARED).map(|other| (distance(&letters, other), other));
    near.filter(|(distance, other)| *distance <= (other.chars().count() / 3).max(1)).min().map(|(_, other)| other)
}

/// How many letters have to be put in, taken out or replaced.
fn distance(one: &[char], other: &str) -> usize {
    let mut row: Vec<usize> = (0..=one.len()).collect();
    for (line, letter) in other.chars().enumerate() {
        let mut last = line + 1;
        let mut next = vec![last];
        for (mine, pair) in one.iter().zip(row.windows(2)) {
            let &[replaced, removed] = pair else { continue };
            last = (replaced + usize::from(*mine != letter)).min(removed + 1).min(last + 1);
            next.push(last);
        }
        row = next;
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn a_misspelt_role_is_told_what_was_meant() {
        let known = ["db-admin", "db-reader", "global-admin"];
        let rows = [
            ("db-admn", Some("db-admin")),
            ("DB-admin", Some("db-admin")),
            ("db-readers", Some("db-reader")),
            ("globaladmin", Some("global-admin")),
            ("cook", None),
            ("", None),
        ];
        for (name, meant) in rows {
            assert_eq!(nearest(name, known.into_iter()), meant, "{name}");
        }
        assert_eq!(nearest(&"x".repeat(400), known.into_iter()), None);
    }
}
