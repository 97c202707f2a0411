//! Who was given what: how many hold a role, who was given it twice, who holds it without activating, and what nobody uses.
//!
//! Each grant is kept with whom it reaches, and what follows for a principal is worked out anew when something changed that reaches it, once for each
//! record. The graph of groups and scopes is the facts'; it is walked within bounds, and only around the name that changed.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::findings::{Deadline, Findings, Found};
use super::{Look, shown};
use crate::domain::alert::{AlertKind, AlertSubject, Limit, Remedy};
use crate::domain::decide::MAX_WALK;
use crate::domain::facts::{Records, Unavailable};
use crate::domain::grant::GrantRef;
use crate::domain::id::{EligibilityId, RoleName, Uid};
use crate::domain::settings::Requirement;
use crate::domain::standing::{Presence, ancestors, definition, path, presence};
use crate::domain::time::{Duration, Timestamp, Window};

/// Most grants of one role to one principal that are held against each other.
const MAX_COMPARED: usize = 64;
/// Most scopes with grants that are looked at when a container changed.
const MAX_SCOPES: usize = 1_000;
/// How long after somebody was found stale it is looked again whether they were checked meanwhile.
const LOOK_AGAIN: Duration = Duration::from_days(1);

/// A grant that is not over.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Kept {
    holder: Uid,
    role: RoleName,
    scope: Option<Uid>,
    window: Window,
}

/// What reaches a principal, itself or through its groups.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Reach {
    grants: BTreeSet<GrantRef>,
    /// The roles, and whether each is assigned without an end.
    roles: BTreeMap<RoleName, bool>,
    /// Whether it is enabled; else it counts for nothing.
    enabled: bool,
    /// Since when, or from when on, it can use anything of it.
    since: Timestamp,
    /// When the first of its grants begins.
    begins: Timestamp,
    /// When it last showed a sign of life, or something reached it first.
    sign: Timestamp,
    /// When that is too long ago.
    due: Option<Timestamp>,
}

impl Reach {
    /// Since when it has been silent: nobody can use what has not begun.
    fn silent_since(&self) -> Timestamp {
        self.sign.max(self.begins)
    }
}

/// How many have a role.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
struct Count {
    /// Who hold it or may activate it.
    holders: u64,
    /// Who have it assigned without an end.
    permanent: u64,
}

/// Everything that was given.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(super) struct Holdings {
    grants: BTreeMap<GrantRef, Kept>,
    by_holder: BTreeMap<Uid, BTreeSet<GrantRef>>,
    by_scope: BTreeMap<Uid, BTreeSet<GrantRef>>,
    reach: BTreeMap<Uid, Reach>,
    counts: BTreeMap<RoleName, Count>,
    /// Principals that the API stored.
    stored: BTreeSet<Uid>,
    /// How many principals there are, those of the bundle among them.
    principals: u64,
    /// Eligibilities by which nobody ever activated, and since when somebody could.
    unused: BTreeMap<EligibilityId, Timestamp>,
    /// Principals for whom something may have changed since the last record was settled.
    touched: BTreeSet<Uid>,
    /// Of those, principals that are there, or enabled, anew: what they did before is no sign of life.
    woken: BTreeSet<Uid>,
    /// Roles of which the numbers of holders may have.
    recount: BTreeSet<RoleName>,
}

// ---- what records say ------------------------------------------------------------------------------------------------------------

impl Holdings {
    #[expect(clippy::too_many_arguments, reason = "what eligibilities and assignments have in common")]
    pub(super) fn granted(
        &mut self,
        look: &Look<'_>,
        findings: &mut Findings,
        grant: GrantRef,
        holder: &Uid,
        role: &RoleName,
        scope: Option<&Uid>,
        window: Window,
    ) -> Result<(), Unavailable> {
        self.by_holder.entry(holder.clone()).or_default().insert(grant.clone());
        if let Some(scope) = scope {
            self.by_scope.entry(scope.clone()).or_default().insert(grant.clone());
        }
        let kept = Kept { holder: holder.clone(), role: role.clone(), scope: scope.cloned(), window };
        outside(look, findings, &grant, &kept);
        self.grants.insert(grant, kept);
        self.touch(look, holder)
    }

    pub(super) fn ended(&mut self, look: &Look<'_>, findings: &mut Findings, grant: &GrantRef) -> Result<(), Unavailable> {
        let Some(kept) = self.grants.remove(grant) else { return Ok(()) };
        take(&mut self.by_holder, &kept.holder, grant);
        if let Some(scope) = &kept.scope {
            take(&mut self.by_scope, scope, grant);
        }
        match grant {
            GrantRef::Eligibility(id) => {
                self.unused.remove(id);
                findings.end(AlertKind::NeverUsed, &AlertSubject::Eligibility(id.clone()));
            }
            GrantRef::Assignment(id) => findings.end(AlertKind::RoleHeldOutside, &AlertSubject::Assignment(id.clone())),
        }
        self.touch(look, &kept.holder)
    }

    pub(super) fn runs_until(
        &mut self,
        look: &Look<'_>,
        findings: &mut Findings,
        grant: &GrantRef,
        end: Timestamp,
    ) -> Result<(), Unavailable> {
        let Some(kept) = self.grants.get_mut(grant) else { return Ok(()) };
        kept.window.end = Some(end);
        outside(look, findings, grant, kept);
        let holder = kept.holder.clone();
        self.touch(look, &holder)
    }

    pub(super) fn stored(&mut self, look: &Look<'_>, uid: &Uid) -> Result<(), Unavailable> {
        let definitions = look.facts.definitions();
        if definitions.is_principal(uid) {
            if self.stored.insert(uid.clone()) && !definitions.entities.contains_key(uid) {
                self.woken.insert(uid.clone());
                self.principals = self.principals.saturating_add(1);
                self.recount_all();
            }
            self.touched.insert(uid.clone());
            return Ok(());
        }
        if definitions.is_group(uid) { self.touch(look, uid) } else { self.moved(look, uid, false) }
    }

    /// A stored name was deleted.
    pub(super) fn deleted(&mut self, look: &Look<'_>, findings: &mut Findings, uid: &Uid) -> Result<(), Unavailable> {
        let definitions = look.facts.definitions();
        if self.stored.remove(uid) && !definitions.entities.contains_key(uid) {
            self.principals = self.principals.saturating_sub(1);
            self.recount_all();
        }
        self.voided(look, findings, uid)
    }

    /// A name went, by whoever defined it: what was given to it, or on it, is void.
    pub(super) fn voided(&mut self, look: &Look<'_>, findings: &mut Findings, uid: &Uid) -> Result<(), Unavailable> {
        let definitions = look.facts.definitions();
        let of = self.by_holder.get(uid).into_iter().chain(self.by_scope.get(uid)).flatten().cloned().collect::<BTreeSet<_>>();
        for grant in of {
            self.ended(look, findings, &grant)?;
        }
        self.touch(look, uid)?;
        if definitions.is_principal(uid) || definitions.is_group(uid) { Ok(()) } else { self.moved(look, uid, true) }
    }

    pub(super) fn toggled(&mut self, uid: &Uid, enabled: bool) {
        self.touched.insert(uid.clone());
        if enabled {
            self.woken.insert(uid.clone());
        }
    }

    pub(super) fn role_gone(&mut self, look: &Look<'_>, findings: &mut Findings, role: &RoleName) -> Result<(), Unavailable> {
        let of: Vec<GrantRef> = self.grants.iter().filter(|(_, kept)| kept.role == *role).map(|(grant, _)| grant.clone()).collect();
        for grant in of {
            self.ended(look, findings, &grant)?;
        }
        Ok(())
    }

    pub(super) fn is_unused(&mut self, look: &Look<'_>, findings: &mut Findings, id: &EligibilityId, since: Timestamp) {
        self.unused.insert(id.clone(), since);
        findings.schedule(since.plus(look.time(AlertKind::NeverUsed, Limit::Days)), Deadline::Unused(id.clone()));
    }

    /// Somebody activated by an eligibility.
    pub(super) fn used(&mut self, look: &Look<'_>, findings: &mut Findings, principal: &Uid, by: &EligibilityId) {
        if self.unused.remove(by).is_some() {
            findings.end(AlertKind::NeverUsed, &AlertSubject::Eligibility(by.clone()));
        }
        if let Some(reach) = self.reach.get_mut(principal) {
            reach.sign = reach.sign.max(look.at);
            if findings.stands(AlertKind::StalePrincipal, &AlertSubject::Principal(principal.clone())) {
                findings.end(AlertKind::StalePrincipal, &AlertSubject::Principal(principal.clone()));
                watch(look, findings, principal, reach);
            }
        }
    }

    /// Since when a principal can use anything that reaches it.
    pub(super) fn reached_since(&self, principal: &Uid) -> Option<Timestamp> {
        self.reach.get(principal).map(|reach| reach.since)
    }

    pub(super) fn rules_changed(&mut self, look: &Look<'_>, findings: &mut Findings) -> Result<(), Unavailable> {
        let definitions = look.facts.definitions();
        let of_bundle = definitions.entities.keys().filter(|uid| definitions.is_principal(uid) && !self.stored.contains(*uid)).count();
        self.principals = (self.stored.len() as u64).saturating_add(of_bundle as u64);
        for (grant, kept) in &self.grants {
            outside(look, findings, grant, kept);
        }
        self.recount.extend(self.counts.keys().cloned());
        self.touched.extend(self.reach.keys().cloned());
        let holders: Vec<Uid> = self.by_holder.keys().cloned().collect();
        for holder in holders {
            self.touch(look, &holder)?;
        }
        let unused: Vec<_> = self.unused.iter().map(|(id, since)| (id.clone(), *since)).collect();
        for (id, since) in unused {
            let due = since.plus(look.time(AlertKind::NeverUsed, Limit::Days));
            if due > look.at {
                findings.end(AlertKind::NeverUsed, &AlertSubject::Eligibility(id.clone()));
                findings.schedule(due, Deadline::Unused(id));
            } else {
                self.unused_due(look, findings, &id)?;
            }
        }
        let days_of = look.time(AlertKind::StalePrincipal, Limit::Days);
        for (uid, reach) in self.reach.iter_mut().filter(|(_, reach)| reach.enabled) {
            if reach.silent_since().plus(days_of) > look.at {
                findings.end(AlertKind::StalePrincipal, &AlertSubject::Principal(uid.clone()));
            }
            watch(look, findings, uid, reach);
        }
        weak(look, findings);
        Ok(())
    }

    /// What is given to a name, or to what is below it, may reach others than before.
    fn touch(&mut self, look: &Look<'_>, uid: &Uid) -> Result<(), Unavailable> {
        if !look.facts.definitions().is_group(uid) {
            self.touched.insert(uid.clone());
            return Ok(());
        }
        below(look.facts, uid, &mut |member| {
            self.touched.insert(member.clone());
        })
    }

    /// A resource may stand below others than before, or is `gone`: that may make a scope wider than another one, or no longer so.
    fn moved(&mut self, look: &Look<'_>, uid: &Uid, gone: bool) -> Result<(), Unavailable> {
        let has_below = look.facts.definitions().children.contains_key(uid) || !look.facts.stored_children(uid, None, 1)?.is_empty();
        let mut scopes: Vec<Uid> = self.by_scope.contains_key(uid).then(|| uid.clone()).into_iter().collect();
        if has_below {
            for scope in self.by_scope.keys().take(MAX_SCOPES) {
                let path = path(look.facts, scope)?;
                let below = if gone { ended_below(look.facts, &path, uid)? } else { path.contains(uid) };
                if below {
                    scopes.push(scope.clone());
                }
            }
        }
        let of: Vec<GrantRef> = scopes.iter().filter_map(|scope| self.by_scope.get(scope)).flatten().cloned().collect();
        for holder in of.iter().filter_map(|grant| self.grants.get(grant)).map(|kept| kept.holder.clone()).collect::<BTreeSet<_>>() {
            self.touch(look, &holder)?;
        }
        Ok(())
    }

    fn recount_all(&mut self) {
        self.recount.extend(self.counts.keys().cloned());
    }
}

/// Whether something on a path stood below a name that is gone: it names it still, and that does not count.
fn ended_below(facts: &dyn Records, path: &[Uid], gone: &Uid) -> Result<bool, Unavailable> {
    for uid in path {
        if definition(facts, uid)?.is_some_and(|def| def.parents.iter().any(|edge| edge.parent == *gone)) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn take(index: &mut BTreeMap<Uid, BTreeSet<GrantRef>>, key: &Uid, grant: &GrantRef) {
    if let Some(grants) = index.get_mut(key) {
        grants.remove(grant);
        if grants.is_empty() {
            index.remove(key);
        }
    }
}

/// Names below a group that are no groups, whether or not each edge still counts, within [`MAX_WALK`].
fn below(facts: &dyn Records, group: &Uid, visit: &mut dyn FnMut(&Uid)) -> Result<(), Unavailable> {
    let definitions = facts.definitions();
    let mut seen = BTreeSet::from([group.clone()]);
    let mut waiting = vec![group.clone()];
    while let Some(uid) = waiting.pop() {
        let stored = facts.stored_children(&uid, None, MAX_WALK)?;
        for child in definitions.children.get(&uid).into_iter().flatten().chain(&stored) {
            if seen.len() >= MAX_WALK {
                return Ok(());
            }
            if !seen.insert(child.clone()) {
                continue;
            }
            if definitions.is_group(child) { waiting.push(child.clone()) } else { visit(child) }
        }
    }
    Ok(())
}

// ---- what follows for principals and roles -----------------------------------------------------------------------------------------

impl Holdings {
    /// Works out what a record changed.
    pub(super) fn settle(&mut self, look: &Look<'_>, findings: &mut Findings) -> Result<(), Unavailable> {
        for uid in std::mem::take(&mut self.touched) {
            self.reached(look, findings, &uid)?;
        }
        self.woken.clear();
        for role in std::mem::take(&mut self.recount) {
            self.too_many(look, findings, &role);
        }
        Ok(())
    }

    fn reached(&mut self, look: &Look<'_>, findings: &mut Findings, uid: &Uid) -> Result<(), Unavailable> {
        let known = if look.facts.definitions().is_principal(uid) { presence(look.facts, uid)? } else { Presence::Disabled };
        let mut grants = BTreeSet::new();
        if look.facts.definitions().is_principal(uid) && !matches!(known, Presence::Unknown(_)) {
            grants.extend(self.by_holder.get(uid).into_iter().flatten().cloned());
            for group in ancestors(look.facts, uid)? {
                grants.extend(self.by_holder.get(&group).into_iter().flatten().cloned());
            }
        }
        let mut roles: BTreeMap<RoleName, bool> = BTreeMap::new();
        for (grant, kept) in grants.iter().filter_map(|grant| self.grants.get(grant).map(|kept| (grant, kept))) {
            let permanent = matches!(grant, GrantRef::Assignment(_)) && kept.window.end.is_none();
            *roles.entry(kept.role.clone()).or_default() |= permanent;
        }
        let before = self.reach.remove(uid);
        let enabled = known == Presence::Known;
        self.count(before.as_ref().filter(|before| before.enabled).map(|before| &before.roles), false);
        self.count(Some(&roles).filter(|_| enabled), true);
        let named: BTreeSet<&RoleName> = before.iter().flat_map(|before| before.roles.keys()).chain(roles.keys()).collect();
        for role in named {
            let subject = AlertSubject::Holding { principal: uid.clone(), role: role.clone() };
            let found = self.duplicate(look, uid, role, &grants)?;
            findings.set(look, AlertKind::DuplicateHoldings, &subject, found);
        }
        if grants.is_empty() || !enabled {
            findings.end(AlertKind::StalePrincipal, &AlertSubject::Principal(uid.clone()));
        }
        if grants.is_empty() {
            return Ok(());
        }
        let begins = grants.iter().filter_map(|grant| self.grants.get(grant)).map(|kept| kept.window.start).min().unwrap_or(look.at);
        let since = before.as_ref().map(|before| before.since).filter(|since| *since <= look.at).unwrap_or(look.at.max(begins));
        let was_enabled = before.as_ref().is_some_and(|before| before.enabled);
        let (sign, due, began) = before.map_or((look.at, None, begins), |before| (before.sign, before.due, before.begins));
        let mut reach = Reach { grants, roles, enabled, since, begins, sign, due };
        if enabled && (!was_enabled || self.woken.contains(uid)) {
            reach.sign = look.at;
            watch(look, findings, uid, &mut reach);
        } else if enabled && begins != began {
            // something can be used from earlier on than before, or nothing yet
            if reach.silent_since().plus(look.time(AlertKind::StalePrincipal, Limit::Days)) > look.at {
                findings.end(AlertKind::StalePrincipal, &AlertSubject::Principal(uid.clone()));
            }
            watch(look, findings, uid, &mut reach);
        }
        self.reach.insert(uid.clone(), reach);
        Ok(())
    }

    fn count(&mut self, roles: Option<&BTreeMap<RoleName, bool>>, more: bool) {
        for (role, permanent) in roles.into_iter().flatten() {
            let count = self.counts.entry(role.clone()).or_default();
            let change = |number: &mut u64| *number = if more { number.saturating_add(1) } else { number.saturating_sub(1) };
            change(&mut count.holders);
            if *permanent {
                change(&mut count.permanent);
            }
            if *count == Count::default() {
                self.counts.remove(role);
            }
            self.recount.insert(role.clone());
        }
    }

    fn too_many(&self, look: &Look<'_>, findings: &mut Findings, role: &RoleName) {
        let Count { holders, permanent } = self.counts.get(role).copied().unwrap_or_default();
        for (kind, number) in [(AlertKind::TooManyHolders, holders), (AlertKind::TooManyPermanent, permanent)] {
            let rule = look.rules().of(kind);
            let (most, share, few) = (rule.of(Limit::Count), rule.of(Limit::Share), rule.of(Limit::Few));
            let large_share = number > few && number.saturating_mul(100) > share.saturating_mul(self.principals);
            let found = (look.is_privileged(role) && (number > most || large_share)).then(|| {
                let numbers = vec![
                    ("holders", shown(number)),
                    ("principals", shown(self.principals)),
                    ("share_percent", shown(number.saturating_mul(100) / self.principals.max(1))),
                    ("limit", shown(most)),
                    ("limit_percent", shown(share)),
                ];
                Found { numbers, ..Found::of(kind, AlertSubject::Role(role.clone())) }
            });
            findings.set(look, kind, &AlertSubject::Role(role.clone()), found);
        }
    }

    /// A grant of a role that another one makes needless, for one principal.
    fn duplicate(&self, look: &Look<'_>, uid: &Uid, role: &RoleName, grants: &BTreeSet<GrantRef>) -> Result<Option<Found>, Unavailable> {
        let of: Vec<(&GrantRef, &Kept)> =
            grants.iter().filter_map(|grant| self.grants.get_key_value(grant)).filter(|(_, kept)| kept.role == *role).collect();
        if of.len() < 2 {
            return Ok(None);
        }
        let mut needless: Option<(&GrantRef, &Kept)> = None;
        for (place, (grant, kept)) in of.iter().take(MAX_COMPARED).enumerate() {
            let above = kept.scope.as_ref().map(|scope| path(look.facts, scope)).transpose()?;
            for (_, (other, wider)) in of.iter().take(MAX_COMPARED).enumerate().filter(|(other, _)| *other != place) {
                if covers(other, wider, grant, kept, above.as_deref()) {
                    // one that is the principal's own can be taken away from it alone
                    if needless.is_none_or(|(_, found)| found.holder != *uid && kept.holder == *uid) {
                        needless = Some((grant, kept));
                    }
                    break;
                }
            }
        }
        Ok(needless.map(|(grant, kept)| {
            let own = kept.holder == *uid;
            let remedy = match grant {
                GrantRef::Eligibility(id) => Remedy::RemoveEligibility(id.clone()),
                GrantRef::Assignment(id) => Remedy::RemoveAssignment(id.clone()),
            };
            let subject = AlertSubject::Holding { principal: uid.clone(), role: role.clone() };
            Found {
                scope: kept.scope.clone(),
                numbers: vec![("grants", shown(of.len() as u64)), ("own", i64::from(own))],
                remedy: own.then_some(remedy),
                ..Found::of(AlertKind::DuplicateHoldings, subject)
            }
        }))
    }
}

/// Whether one grant gives all that another one does, at least for a while. What may be activated is less than what is held.
fn covers(wider: &GrantRef, by: &Kept, grant: &GrantRef, kept: &Kept, above: Option<&[Uid]>) -> bool {
    let as_much = matches!((wider, grant), (GrantRef::Assignment(_), _) | (GrantRef::Eligibility(_), GrantRef::Eligibility(_)));
    let as_wide = match (&by.scope, above) {
        (None, _) => true,
        (Some(scope), Some(above)) => above.contains(scope),
        (Some(_), None) => false,
    };
    as_much && as_wide && by.window.overlaps(&kept.window)
}

/// A privileged role that is assigned, and so held without being activated.
fn outside(look: &Look<'_>, findings: &mut Findings, grant: &GrantRef, kept: &Kept) {
    let GrantRef::Assignment(id) = grant else { return };
    let lasts = kept.window.end.map(|end| end.since_in_full(kept.window.start).secs());
    let most = look.rules().of(AlertKind::RoleHeldOutside).of(Limit::LongerThan);
    let subject = AlertSubject::Assignment(id.clone());
    let found = (look.is_privileged(&kept.role) && lasts.is_none_or(|lasts| lasts > most)).then(|| {
        let mut numbers = vec![("permanent", i64::from(lasts.is_none()))];
        numbers.extend(lasts.map(|lasts| ("lasts_seconds", shown(lasts))));
        Found {
            principal: Some(kept.holder.clone()),
            role: Some(kept.role.clone()),
            scope: kept.scope.clone(),
            numbers,
            remedy: Some(Remedy::RemoveAssignment(id.clone())),
            ..Found::of(AlertKind::RoleHeldOutside, subject.clone())
        }
    });
    findings.set(look, AlertKind::RoleHeldOutside, &subject, found);
}

/// What the settings of privileged roles lack.
fn weak(look: &Look<'_>, findings: &mut Findings) {
    let kind = AlertKind::WeakSettings;
    let rule = look.rules().of(kind);
    let roles = &look.facts.definitions().roles;
    for (name, settings) in roles {
        let lacks = |limit: Limit, has: bool| rule.is(limit) && !has;
        let mfa = lacks(Limit::Mfa, settings.require.contains(&Requirement::Mfa));
        let approval = lacks(Limit::Approval, !settings.stages.is_empty());
        let justification = lacks(Limit::Justification, settings.require.contains(&Requirement::Justification));
        let found = (settings.privileged && (mfa || approval || justification)).then(|| {
            let numbers = vec![
                ("lacks_mfa", i64::from(mfa)),
                ("lacks_approval", i64::from(approval)),
                ("lacks_justification", i64::from(justification)),
            ];
            Found { numbers, ..Found::of(kind, AlertSubject::Role(name.clone())) }
        });
        findings.set(look, kind, &AlertSubject::Role(name.clone()), found);
    }
    for role in findings.roles_of(kind) {
        if !roles.contains_key(&role) {
            findings.end(kind, &AlertSubject::Role(role));
        }
    }
}

// ---- what time makes true ----------------------------------------------------------------------------------------------------------

impl Holdings {
    pub(super) fn unused_due(&mut self, look: &Look<'_>, findings: &mut Findings, id: &EligibilityId) -> Result<(), Unavailable> {
        let Some(since) = self.unused.get(id).copied() else { return Ok(()) };
        let days = look.time(AlertKind::NeverUsed, Limit::Days);
        if since.plus(days) > look.at {
            return Ok(());
        }
        // one that time ended is over, whether or not that is recorded
        let kept = self.grants.get(&GrantRef::Eligibility(id.clone())).filter(|kept| !kept.window.ended(look.at));
        let Some(kept) = kept else { return Ok(()) };
        let numbers = vec![("days", shown(look.at.since(since).secs() / 86_400)), ("limit_days", shown(days.secs() / 86_400))];
        let found = Found {
            principal: Some(kept.holder.clone()),
            role: Some(kept.role.clone()),
            scope: kept.scope.clone(),
            numbers,
            remedy: Some(Remedy::RemoveEligibility(id.clone())),
            ..Found::of(AlertKind::NeverUsed, AlertSubject::Eligibility(id.clone()))
        };
        findings.begin(look, found);
        Ok(())
    }

    pub(super) fn stale_due(&mut self, look: &Look<'_>, findings: &mut Findings, uid: &Uid) -> Result<(), Unavailable> {
        let Some(reach) = self.reach.get_mut(uid).filter(|reach| reach.enabled && reach.due == Some(look.at)) else { return Ok(()) };
        reach.due = None;
        let kind = AlertKind::StalePrincipal;
        let days = look.time(kind, Limit::Days);
        if reach.silent_since().plus(days) <= look.at {
            for grant in &reach.grants {
                // that an eligibility of a group was of use may be said of any of its members, and whoever it was activated by it
                let shared = self.grants.get(grant).is_some_and(|kept| kept.holder != *uid);
                if !(shared && matches!(grant, GrantRef::Eligibility(_))) {
                    reach.sign = reach.sign.max(look.facts.last_check(grant)?.unwrap_or_default());
                }
            }
        }
        let subject = AlertSubject::Principal(uid.clone());
        if reach.silent_since().plus(days) > look.at {
            findings.end(kind, &subject);
            watch(look, findings, uid, reach);
            return Ok(());
        }
        // checks are in no record: whether there was one is looked up
        let again = look.now.plus(LOOK_AGAIN);
        reach.due = Some(again);
        findings.schedule(again, Deadline::Stale(uid.clone()));
        let in_use = |grant: &&GrantRef| self.grants.get(*grant).is_some_and(|kept| kept.window.holds(look.at));
        let in_use = reach.grants.iter().filter(in_use).count();
        if in_use == 0 {
            return Ok(());
        }
        let numbers = vec![
            ("days", shown(look.at.since(reach.silent_since()).secs() / 86_400)),
            ("grants", shown(in_use as u64)),
            ("limit_days", shown(days.secs() / 86_400)),
        ];
        findings.begin(look, Found { numbers, remedy: Some(Remedy::DisablePrincipal(uid.clone())), ..Found::of(kind, subject) });
        Ok(())
    }
}

/// Sees to it that somebody is looked at when the last sign of life is too long ago. One who is watched already is looked at earlier, and then again.
fn watch(look: &Look<'_>, findings: &mut Findings, uid: &Uid, reach: &mut Reach) {
    let due = reach.silent_since().plus(look.time(AlertKind::StalePrincipal, Limit::Days)).max(look.at);
    if let Some(before) = reach.due.replace(due) {
        findings.unschedule(before, Deadline::Stale(uid.clone()));
    }
    findings.schedule(due, Deadline::Stale(uid.clone()));
}

#[cfg(test)]
impl Holdings {
    /// With something of everything.
    pub(super) fn filled() -> Self {
        use super::sample::{alice, dba, elg, prod};
        let (at, grant) = (Timestamp::from_millis(300), GrantRef::Eligibility(elg()));
        let window = Window { start: at, end: Some(Timestamp::from_millis(301)) };
        let grants: BTreeSet<GrantRef> = [grant.clone()].into();
        let reach = Reach {
            grants: grants.clone(),
            roles: [(dba(), true)].into(),
            enabled: true,
            since: Timestamp::from_millis(302),
            begins: Timestamp::from_millis(303),
            sign: Timestamp::from_millis(304),
            due: Some(Timestamp::from_millis(305)),
        };
        Self {
            grants: [(grant, Kept { holder: alice(), role: dba(), scope: Some(prod()), window })].into(),
            by_holder: [(alice(), grants.clone())].into(),
            by_scope: [(prod(), grants)].into(),
            reach: [(alice(), reach)].into(),
            counts: [(dba(), Count { holders: 306, permanent: 307 })].into(),
            stored: [alice()].into(),
            principals: 308,
            unused: [(elg(), Timestamp::from_millis(309))].into(),
            touched: [alice()].into(),
            woken: [alice()].into(),
            recount: [dba()].into(),
        }
    }
}
