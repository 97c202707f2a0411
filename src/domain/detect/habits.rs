//! What is usual for somebody: which roles and scopes they activate, and at which hours of the week, by UTC.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::findings::Found;
use super::{Look, shown};
use crate::domain::alert::{AlertKind, AlertSubject, Limit, Remedy};
use crate::domain::grant::Activation;
use crate::domain::id::{RoleName, Uid};
use crate::domain::time::{Duration, Timestamp};

/// Most principals whose habits are known. Of one more nothing is known until a name goes.
const MAX_KNOWN: usize = 1_000_000;
/// Most roles, and as many scopes, that are known of one. Whoever has that many has no habits.
const MAX_NAMES: usize = 256;
/// So many activations are told by hours; then all counts are halved, so that habits can change.
const HALVED_AT: u32 = 1_024;
const HOUR_MILLIS: i64 = 3_600_000;
const DAY_HOURS: u8 = 24;

/// What is known of somebody.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Profile {
    /// When they first activated.
    first: Timestamp,
    /// How often since.
    activations: u64,
    roles: BTreeSet<RoleName>,
    scopes: BTreeSet<Uid>,
    /// How often at each hour of the week; those at which never are left out.
    hours: BTreeMap<u8, u32>,
}

/// What is known of everybody.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(super) struct Habits {
    profiles: BTreeMap<Uid, Profile>,
}

/// The hour of the week, from Monday at midnight, UTC.
fn hour_of_week(at: Timestamp) -> u8 {
    // the first of January 1970 was a Thursday
    let hour = at.millis().div_euclid(HOUR_MILLIS).saturating_add(3 * 24).rem_euclid(7 * 24);
    u8::try_from(hour).unwrap_or(0)
}

/// Whether two hours of the week are much the same: so few hours apart on the clock, and both on workdays or both on a weekend.
fn alike(one: u8, other: u8, hours: u8) -> bool {
    let weekend = |hour: u8| hour / DAY_HOURS >= 5;
    let apart = (one % DAY_HOURS).abs_diff(other % DAY_HOURS);
    weekend(one) == weekend(other) && apart.min(DAY_HOURS - apart) <= hours
}

impl Habits {
    /// Looks at an activation that began, and then takes it as usual.
    pub(super) fn started(&mut self, look: &Look<'_>, activation: &Activation, first_granted: Option<Timestamp>) -> Vec<Found> {
        let known = self.profiles.get(&activation.principal);
        let mut found = Vec::new();
        found.extend(first(look, activation, known, first_granted));
        found.extend(known.and_then(|known| odd_hour(look, activation, known)));
        self.learn(look.at, &activation.principal, &activation.role, activation.scope.as_ref(), MAX_KNOWN);
        found
    }

    /// A name went: whoever has it next is somebody else.
    pub(super) fn forget(&mut self, principal: &Uid) {
        self.profiles.remove(principal);
    }

    /// Whether nobody new is looked at.
    pub(super) fn is_full(&self) -> bool {
        self.profiles.len() >= MAX_KNOWN
    }

    /// Takes an activation as usual, where its principal is known already or fewer than `most` are.
    fn learn(&mut self, at: Timestamp, principal: &Uid, role: &RoleName, scope: Option<&Uid>, most: usize) {
        if self.profiles.len() >= most && !self.profiles.contains_key(principal) {
            return;
        }
        let profile = self.profiles.entry(principal.clone()).or_insert_with(|| Profile {
            first: at,
            activations: 0,
            roles: BTreeSet::new(),
            scopes: BTreeSet::new(),
            hours: BTreeMap::new(),
        });
        profile.activations = profile.activations.saturating_add(1);
        if profile.roles.len() < MAX_NAMES {
            profile.roles.insert(role.clone());
        }
        if let Some(scope) = scope.filter(|_| profile.scopes.len() < MAX_NAMES) {
            profile.scopes.insert(scope.clone());
        }
        let count = profile.hours.entry(hour_of_week(at)).or_default();
        *count = count.saturating_add(1);
        if profile.hours.values().fold(0_u32, |sum, count| sum.saturating_add(*count)) >= HALVED_AT {
            profile.hours.values_mut().for_each(|count| *count /= 2);
            profile.hours.retain(|_, count| *count > 0);
        }
    }
}

/// Both kinds are about an activation that began, and end by revoking it.
fn about(kind: AlertKind, activation: &Activation, numbers: Vec<(&'static str, i64)>) -> Found {
    Found {
        principal: Some(activation.principal.clone()),
        role: Some(activation.role.clone()),
        scope: activation.scope.clone(),
        numbers,
        remedy: Some(Remedy::RevokeActivation(activation.id.clone())),
        ..Found::of(kind, AlertSubject::Activation(activation.id.clone()))
    }
}

/// Whether somebody does for the first time what they never did in all the time that they could.
fn first(look: &Look<'_>, activation: &Activation, known: Option<&Profile>, first_granted: Option<Timestamp>) -> Option<Found> {
    let kind = AlertKind::FirstActivation;
    let rule = look.rules().of(kind);
    if !rule.enabled || (rule.is(Limit::Privileged) && !look.is_privileged(&activation.role)) {
        return None;
    }
    let days = look.time(kind, Limit::Days);
    let long = |since: Timestamp| since.plus(days) <= look.at;
    let Some(known) = known else {
        // a new principal does everything for the first time; one who waited for long wakes up
        let since = first_granted.filter(|since| rule.is(Limit::Principal) && long(*since))?;
        let numbers = vec![("activations", 0), ("days_since_granted", in_days(look.at.since(since))), ("new_principal", 1)];
        return Some(about(kind, activation, numbers));
    };
    let settled = known.activations >= rule.of(Limit::Known) && long(known.first);
    let new_in = |names: usize, is_known: bool| !is_known && names < MAX_NAMES;
    let new_role = rule.is(Limit::Role) && new_in(known.roles.len(), known.roles.contains(&activation.role));
    let on_new = |scope: &Uid| new_in(known.scopes.len(), known.scopes.contains(scope));
    let new_scope = rule.is(Limit::Scope) && activation.scope.as_ref().is_some_and(on_new);
    (settled && (new_role || new_scope)).then(|| {
        let numbers = vec![
            ("activations", shown(known.activations)),
            ("days_known", in_days(look.at.since(known.first))),
            ("roles_known", shown(known.roles.len() as u64)),
            ("scopes_known", shown(known.scopes.len() as u64)),
            ("new_role", i64::from(new_role)),
            ("new_scope", i64::from(new_scope)),
        ];
        about(kind, activation, numbers)
    })
}

fn in_days(time: Duration) -> i64 {
    shown(time.secs() / 86_400)
}

/// Whether somebody hardly ever activates around this hour of the week.
fn odd_hour(look: &Look<'_>, activation: &Activation, known: &Profile) -> Option<Found> {
    let kind = AlertKind::UnusualHour;
    let rule = look.rules().of(kind);
    if !rule.enabled || (rule.is(Limit::Privileged) && !look.is_privileged(&activation.role)) {
        return None;
    }
    let (hour, hours) = (hour_of_week(look.at), u8::try_from(rule.of(Limit::Hours)).unwrap_or(u8::MAX));
    let sum = |counts: &mut dyn Iterator<Item = &u32>| counts.fold(0_u64, |sum, count| sum.saturating_add(u64::from(*count)));
    let all = sum(&mut known.hours.values());
    let near = sum(&mut known.hours.iter().filter(|(known, _)| alike(**known, hour, hours)).map(|(_, count)| count));
    let odd = all >= rule.of(Limit::Known) && near.saturating_mul(100) <= rule.of(Limit::Share).saturating_mul(all);
    odd.then(|| {
        let numbers = vec![
            ("activations", shown(all)),
            ("near_this_hour", shown(near)),
            ("share_percent", shown(near.saturating_mul(100) / all.max(1))),
            ("hour_of_week", i64::from(hour)),
            ("hours_either_side", i64::from(hours)),
            ("limit_percent", shown(rule.of(Limit::Share))),
        ];
        about(kind, activation, numbers)
    })
}

#[cfg(test)]
impl Habits {
    /// With something of everything.
    pub(super) fn filled() -> Self {
        let profile = Profile {
            first: Timestamp::from_millis(300),
            activations: 301,
            roles: [super::sample::dba()].into(),
            scopes: [super::sample::prod()].into(),
            hours: [(150, 302)].into(),
        };
        Self { profiles: [(super::sample::alice(), profile)].into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::detect::sample::{alice, dba, prod};

    #[test]
    fn nobody_new_is_looked_at_past_the_bound_until_a_name_goes() {
        let (mut habits, bob) = (Habits::default(), Uid::new("User", "bob").unwrap());
        let known = |habits: &Habits| habits.profiles.iter().map(|(who, of)| (who.id().to_owned(), of.activations)).collect::<Vec<_>>();
        for (who, forgets, wanted) in [
            (&alice(), false, vec![("alice".to_owned(), 1)]),
            (&bob, false, vec![("alice".to_owned(), 1)]),
            (&alice(), false, vec![("alice".to_owned(), 2)]),
            (&bob, true, vec![("bob".to_owned(), 1)]),
        ] {
            if forgets {
                habits.forget(&alice());
            }
            habits.learn(Timestamp::from_millis(1), who, &dba(), Some(&prod()), 1);
            assert_eq!(known(&habits), wanted);
        }
    }
}
