//! Where a principal stands at an instant: which groups it is in, which roles it holds, and for each of its holdings why it
//! counts or does not. One function for checks, for Elevon's own authority and for explanations, so that they cannot differ.

use std::any::Any;
use std::collections::HashSet;
use std::fmt;
use std::sync::{Arc, OnceLock};

use serde::Serialize;

use super::facts::{Facts, Unavailable};
use super::grant::{ActivationGrant, Basis, EligibilityGrant, EntityRow, TicketDigest, Under};
use super::id::{ActivationId, AssignmentId, EligibilityId, Incarnation, RoleName, Uid};
use super::settings::{EdgeSource, EntityDef, RoleSettings, UnknownRule};
use super::time::{Duration, Timestamp, Window};

/// An instant, and whether the clock that gave it can be believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// The instant.
    pub now: Timestamp,
    /// False while the clock stands before a time already seen, or has jumped ahead: what is bound to time does not count then.
    pub trusted: bool,
}

impl Moment {
    /// An instant of a clock that is believed.
    #[must_use]
    pub fn trusted(now: Timestamp) -> Self {
        Self { now, trusted: true }
    }
}

/// What is known of a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// The bundle defines it or the API stored it.
    Known,
    /// Known and disabled.
    Disabled,
    /// Neither; and what its type says about that.
    Unknown(UnknownRule),
}

/// How a holding came about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "via", content = "id", rename_all = "snake_case")]
pub enum Via {
    /// An activation.
    Activation(ActivationId),
    /// An assignment.
    Assignment(AssignmentId),
}

/// Why a holding does not count for this question at this instant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "reason", rename_all = "snake_case")]
pub enum WhyNot {
    /// Its window begins later.
    NotYet {
        /// When.
        start: Timestamp,
    },
    /// Its window is over, or the role's settings clamp it to less than it was granted.
    Ended {
        /// Since when.
        end: Timestamp,
    },
    /// The eligibility that it rests on is over or was removed.
    EligibilityEnded {
        /// Which.
        eligibility: EligibilityId,
    },
    /// The principal is no longer in the group through which it was eligible.
    NotAMember {
        /// Which group.
        group: Uid,
    },
    /// The resource is neither its scope nor below it.
    OutOfScope {
        /// Its scope.
        scope: Uid,
    },
    /// The bundle no longer defines the role, or defines one that came back under the same name.
    RoleGone {
        /// Which.
        role: RoleName,
    },
    /// The holder was deleted since it was given.
    HolderGone {
        /// Which.
        holder: Uid,
    },
    /// The scope was deleted since it was given.
    ScopeGone {
        /// Which.
        scope: Uid,
    },
    /// Everything of its principal, of its role or bound to time was revoked at once since it was asked for.
    Revoked,
    /// The role's conditions do not hold for this very check.
    ConditionsNotMet {
        /// The role.
        role: RoleName,
        /// What is known of it: which policy forbade it or failed.
        because: String,
    },
    /// The clock cannot be believed, and it is bound to time.
    TimeUntrusted,
}

impl fmt::Display for WhyNot {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotYet { start } => write!(out, "it begins at {start}"),
            Self::Ended { end } => write!(out, "it ended at {end}"),
            Self::EligibilityEnded { eligibility } => write!(out, "the eligibility {eligibility} that it rests on ended"),
            Self::NotAMember { group } => write!(out, "it was activated through {group}, and the principal is not in it"),
            Self::OutOfScope { scope } => write!(out, "it holds on {scope} and below, and the resource is not there"),
            Self::RoleGone { role } => write!(out, "the bundle no longer defines the role `{role}` that was granted"),
            Self::HolderGone { holder } => write!(out, "{holder} was deleted since it was granted"),
            Self::ScopeGone { scope } => write!(out, "{scope} was deleted since it was granted"),
            Self::Revoked => out.write_str("it was revoked"),
            Self::ConditionsNotMet { role, because } => {
                write!(out, "the conditions of role `{role}` do not hold for this check: {because}")
            }
            Self::TimeUntrusted => out.write_str("the clock cannot be believed at the moment, and it is bound to time"),
        }
    }
}

/// An activation or an assignment, and whether it counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holding {
    /// How it came about.
    pub via: Via,
    /// The principal itself, or the group that was assigned the role.
    pub holder: Uid,
    /// The role.
    pub role: RoleName,
    /// Where: there and below; `None`: everywhere.
    pub scope: Option<Uid>,
    /// From when.
    pub start: Timestamp,
    /// Until when in effect: the least of its own end, its eligibility's end and what the role's settings allow.
    pub end: Option<Timestamp>,
    /// How many persons approved it.
    pub approvals: u32,
    /// Whether it is break-glass.
    pub emergency: bool,
    /// Its ticket.
    pub ticket: Option<TicketDigest>,
    /// Whether it counts, or why not.
    pub counts: Result<(), WhyNot>,
}

/// Where a principal stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// Whether it is known.
    pub presence: Presence,
    /// Every group it is in, directly or through others, nearest first; and what those were given.
    pub memberships: Arc<Memberships>,
    /// Every holding of it and of its groups.
    pub holdings: Vec<Holding>,
    /// The next instant at which time alone could change any of this.
    pub next_change: Option<Timestamp>,
}

impl Standing {
    /// The holdings that count.
    pub fn in_force(&self) -> impl Iterator<Item = &Holding> {
        self.holdings.iter().filter(|holding| holding.counts.is_ok())
    }

    /// The roles that are held, each once, sorted.
    #[must_use]
    pub fn roles(&self) -> Vec<RoleName> {
        let mut roles: Vec<_> = self.in_force().map(|holding| holding.role.clone()).collect();
        roles.sort();
        roles.dedup();
        roles
    }

    /// The holding that a tag shows for a role: the latest end, then the lowest id.
    #[must_use]
    pub fn shown_for(&self, role: &RoleName) -> Option<&Holding> {
        shown(&self.holdings, role)
    }
}

/// Of the holdings that count for a role, the one that a tag shows: the latest end, then the lowest id.
#[must_use]
pub fn shown<'a>(holdings: &'a [Holding], role: &RoleName) -> Option<&'a Holding> {
    fn id(holding: &Holding) -> &str {
        match &holding.via {
            Via::Activation(id) => id.as_str(),
            Via::Assignment(id) => id.as_str(),
        }
    }
    let end = |holding: &Holding| holding.end.map_or(i64::MAX, Timestamp::millis);
    let counting = holdings.iter().filter(|holding| holding.counts.is_ok() && holding.role == *role);
    counting.min_by(|one, other| end(other).cmp(&end(one)).then_with(|| id(one).cmp(id(other))))
}

/// The definition of a name that is in force: the bundle's over the stored one.
///
/// # Errors
/// The store cannot be read.
pub fn definition(facts: &dyn Facts, uid: &Uid) -> Result<Option<Arc<EntityDef>>, Unavailable> {
    if let Some(def) = facts.definitions().entities.get(uid) {
        return Ok(Some(Arc::clone(def)));
    }
    Ok(facts.row(uid)?.and_then(|row| row.stored.clone()))
}

/// What is known of a name.
///
/// # Errors
/// The store cannot be read.
pub fn presence(facts: &dyn Facts, uid: &Uid) -> Result<Presence, Unavailable> {
    let row = facts.row(uid)?;
    let known = facts.definitions().entities.contains_key(uid) || row.as_ref().is_some_and(|row| row.stored.is_some());
    Ok(if !known {
        Presence::Unknown(facts.definitions().type_settings(uid.kind()).unknown)
    } else if row.is_some_and(|row| row.disabled) {
        Presence::Disabled
    } else {
        Presence::Known
    })
}

/// The direct parents of a name that count: edges of the bundle, and stored edges whose parent is the one they were written to.
///
/// # Errors
/// The store cannot be read.
pub fn parents(facts: &dyn Facts, uid: &Uid) -> Result<Vec<Uid>, Unavailable> {
    let Some(def) = definition(facts, uid)? else { return Ok(Vec::new()) };
    let mut found = Vec::with_capacity(def.parents.len());
    for edge in &def.parents {
        let counts = match edge.source {
            EdgeSource::Bundle => true,
            EdgeSource::Api | EdgeSource::Scim => {
                let incarnation = facts.row(&edge.parent)?.map(|row| row.incarnation).unwrap_or_default();
                incarnation == edge.incarnation && definition(facts, &edge.parent)?.is_some()
            }
        };
        // two sources may have written the same edge
        if counts && !found.contains(&edge.parent) {
            found.push(edge.parent.clone());
        }
    }
    Ok(found)
}

/// Everything above a name, each once, nearest first.
///
/// # Errors
/// The store cannot be read.
pub fn ancestors(facts: &dyn Facts, uid: &Uid) -> Result<Vec<Uid>, Unavailable> {
    let mut found = parents(facts, uid)?;
    let mut seen: HashSet<Uid> = found.iter().cloned().collect();
    let mut next = 0;
    while let Some(above) = found.get(next).cloned() {
        next += 1;
        for parent in parents(facts, &above)? {
            if seen.insert(parent.clone()) {
                found.push(parent);
            }
        }
    }
    Ok(found)
}

/// What a principal's groups are, and what they were given. It follows from the principal's own row, from those of its groups and from the
/// bundle, so that whoever knows when these change may keep it.
#[derive(Debug, Default)]
pub struct Memberships {
    /// Every group, nearest first.
    pub groups: Vec<Uid>,
    /// Those of them with assignments, with their rows.
    pub assigned: Vec<(Uid, Arc<EntityRow>)>,
    /// Those of them with eligibilities, with their rows.
    pub eligible: Vec<(Uid, Arc<EntityRow>)>,
    /// Room for what an evaluator makes of the groups, for as long as this is kept.
    pub prepared: OnceLock<Arc<dyn Any + Send + Sync>>,
}

impl PartialEq for Memberships {
    fn eq(&self, other: &Self) -> bool {
        self.groups == other.groups && self.assigned == other.assigned && self.eligible == other.eligible
    }
}

impl Eq for Memberships {}

/// The memberships of a principal, kept or made now.
///
/// # Errors
/// The store cannot be read.
pub fn memberships(facts: &dyn Facts, principal: &Uid) -> Result<Arc<Memberships>, Unavailable> {
    if let Some(kept) = facts.kept_memberships(principal)? {
        return Ok(kept);
    }
    let groups = ancestors(facts, principal)?;
    let (mut assigned, mut eligible) = (Vec::new(), Vec::new());
    for group in &groups {
        let Some(row) = facts.row(group)? else { continue };
        if !row.grants.assignments.is_empty() {
            assigned.push((group.clone(), Arc::clone(&row)));
        }
        if !row.grants.eligibilities.is_empty() {
            eligible.push((group.clone(), row));
        }
    }
    let made = Arc::new(Memberships { groups, assigned, eligible, prepared: OnceLock::new() });
    facts.keep_memberships(principal, &made)?;
    Ok(made)
}

/// A resource and everything above it: where a holding may be scoped to count for it.
///
/// # Errors
/// The store cannot be read.
pub fn path(facts: &dyn Facts, resource: &Uid) -> Result<Vec<Uid>, Unavailable> {
    Ok(path_through(resource, &*memberships(facts, resource)?))
}

/// The same, where what stands above it is known.
#[must_use]
pub fn path_through(resource: &Uid, above: &Memberships) -> Vec<Uid> {
    let mut path = Vec::with_capacity(above.groups.len().saturating_add(1));
    path.push(resource.clone());
    path.extend(above.groups.iter().cloned());
    path
}

/// Whether the names that a grant was given under are still those of today.
///
/// # Errors
/// The store cannot be read.
pub fn still_stands(
    facts: &dyn Facts,
    holder: &Uid,
    role: &RoleName,
    scope: Option<&Uid>,
    under: &Under,
) -> Result<Result<(), WhyNot>, Unavailable> {
    let incarnation = |uid: &Uid| Ok(facts.row(uid)?.map(|row| row.incarnation).unwrap_or_default());
    stands_under(facts, incarnation, holder, role, scope, under)
}

fn stands_under(
    facts: &dyn Facts,
    incarnation: impl Fn(&Uid) -> Result<Incarnation, Unavailable>,
    holder: &Uid,
    role: &RoleName,
    scope: Option<&Uid>,
    under: &Under,
) -> Result<Result<(), WhyNot>, Unavailable> {
    if incarnation(holder)? != under.holder {
        return Ok(Err(WhyNot::HolderGone { holder: holder.clone() }));
    }
    if !facts.definitions().roles.contains_key(role) || facts.role_incarnation(role)? != under.role {
        return Ok(Err(WhyNot::RoleGone { role: role.clone() }));
    }
    match (scope, under.scope) {
        (Some(scope), Some(under)) if incarnation(scope)? != under => Ok(Err(WhyNot::ScopeGone { scope: scope.clone() })),
        _ => Ok(Ok(())),
    }
}

fn within(scope: Option<&Uid>, path: Option<&[Uid]>) -> Result<(), WhyNot> {
    match scope {
        None => Ok(()),
        Some(scope) if path.is_some_and(|path| path.contains(scope)) => Ok(()),
        Some(scope) => Err(WhyNot::OutOfScope { scope: scope.clone() }),
    }
}

fn in_window(window: Window, moment: Moment) -> Result<(), WhyNot> {
    if window.start > moment.now {
        return Err(WhyNot::NotYet { start: window.start });
    }
    match window.end {
        Some(end) if end <= moment.now => Err(WhyNot::Ended { end }),
        Some(_) if !moment.trusted => Err(WhyNot::TimeUntrusted),
        _ => Ok(()),
    }
}

/// The longest that an activation may last under the settings of now: each extension is worth as much as one activation.
#[must_use]
pub fn cap(settings: &RoleSettings, emergency: bool, extensions: u32) -> Duration {
    let one = match &settings.emergency {
        Some(limits) if emergency => limits.max_duration,
        _ => settings.max_duration,
    };
    Duration::from_secs(one.secs().saturating_mul(u64::from(extensions).saturating_add(1)))
}

/// Whether an activation was revoked together with everything else of its principal, of its role, or bound to time, after it was asked for.
///
/// # Errors
/// The store cannot be read.
pub fn is_void(facts: &dyn Facts, principal: &Uid, role: &RoleName, seq: u64) -> Result<bool, Unavailable> {
    Ok(reaches(facts.time_void_before()?, seq)
        || reaches(facts.role_row(role)?.void_before, seq)
        || facts.row(principal)?.is_some_and(|row| reaches(row.void_before, seq)))
}

/// Whether what was revoked up to `before` includes what was asked for at `seq`; 0: nothing was ever revoked.
fn reaches(before: u64, seq: u64) -> bool {
    before != 0 && seq <= before
}

fn earlier(one: Option<Timestamp>, other: Option<Timestamp>) -> Option<Timestamp> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

/// Where the eligibility stands that an activation rests on.
enum BasisRow {
    /// In the principal's own row.
    Own,
    /// In that of a group which the principal is in.
    Group(Option<Arc<EntityRow>>),
}

fn basis_row(facts: &dyn Facts, principal: &Uid, groups: &[Uid], basis: &Basis) -> Result<Result<BasisRow, WhyNot>, Unavailable> {
    if basis.holder == *principal {
        Ok(Ok(BasisRow::Own))
    } else if groups.contains(&basis.holder) {
        Ok(Ok(BasisRow::Group(facts.row(&basis.holder)?)))
    } else {
        Ok(Err(WhyNot::NotAMember { group: basis.holder.clone() }))
    }
}

/// The eligibility that an activation rests on, where it is still there to rest on.
fn eligibility_in<'a>(row: &'a EntityRow, basis: &Basis) -> Result<&'a EligibilityGrant, WhyNot> {
    let eligibilities = &row.grants.eligibilities;
    // they are kept by id
    let place = eligibilities.binary_search_by(|grant| grant.id.cmp(&basis.eligibility));
    place.ok().and_then(|place| eligibilities.get(place)).ok_or_else(|| ended(basis))
}

fn ended(basis: &Basis) -> WhyNot {
    WhyNot::EligibilityEnded { eligibility: basis.eligibility.clone() }
}

struct Asked<'a> {
    facts: &'a dyn Facts,
    principal: &'a Uid,
    groups: &'a [Uid],
    /// The principal's own row.
    own: Option<&'a EntityRow>,
    path: Option<&'a [Uid]>,
    moment: Moment,
}

impl Asked<'_> {
    /// How often a name was deleted. Most grants are the principal's own, whose row is at hand.
    fn incarnation(&self, uid: &Uid) -> Result<Incarnation, Unavailable> {
        if uid == self.principal {
            return Ok(self.own.map(|row| row.incarnation).unwrap_or_default());
        }
        Ok(self.facts.row(uid)?.map(|row| row.incarnation).unwrap_or_default())
    }

    fn judge_activation(&self, own: &EntityRow, grant: &ActivationGrant) -> Result<Holding, Unavailable> {
        let mut window = grant.window;
        if let Some(settings) = self.facts.definitions().roles.get(&grant.role) {
            window.end = earlier(window.end, Some(window.start.plus(cap(settings, grant.emergency, grant.extensions))));
        }
        let through_group;
        let rests_on = match basis_row(self.facts, self.principal, self.groups, &grant.basis)? {
            Ok(BasisRow::Own) => eligibility_in(own, &grant.basis),
            Ok(BasisRow::Group(row)) => {
                through_group = row;
                through_group.as_deref().ok_or_else(|| ended(&grant.basis)).and_then(|row| eligibility_in(row, &grant.basis))
            }
            Err(why) => Err(why),
        };
        if let Ok(eligibility) = &rests_on {
            window.end = earlier(window.end, eligibility.window.end);
        }
        let counts = match rests_on {
            _ if self.is_void(own, &grant.role, grant.seq)? => Err(WhyNot::Revoked),
            Err(why) => Err(why),
            Ok(eligibility) => self.judge(self.principal, &grant.role, grant.scope.as_ref(), &grant.under, window)?.and_then_ok(|| {
                let same = grant.basis.holder == *self.principal
                    && (&eligibility.role, &eligibility.scope, &eligibility.under) == (&grant.role, &grant.scope, &grant.under);
                // an eligibility under the same names as what rests on it was judged with that
                let under = if same {
                    Ok(())
                } else {
                    self.still_stands(&grant.basis.holder, &eligibility.role, eligibility.scope.as_ref(), &eligibility.under)?
                };
                Ok(match under {
                    Ok(()) if eligibility.window.start > self.moment.now => Err(ended(&grant.basis)),
                    other => other,
                })
            })?,
        };
        Ok(Holding {
            via: Via::Activation(grant.id.clone()),
            holder: self.principal.clone(),
            role: grant.role.clone(),
            scope: grant.scope.clone(),
            start: window.start,
            end: window.end,
            approvals: grant.approvals,
            emergency: grant.emergency,
            ticket: grant.ticket,
            counts,
        })
    }

    fn judge(
        &self,
        holder: &Uid,
        role: &RoleName,
        scope: Option<&Uid>,
        under: &Under,
        window: Window,
    ) -> Result<Result<(), WhyNot>, Unavailable> {
        if let Err(why) = in_window(window, self.moment) {
            return Ok(Err(why));
        }
        if let Err(why) = self.still_stands(holder, role, scope, under)? {
            return Ok(Err(why));
        }
        Ok(within(scope, self.path))
    }

    fn still_stands(&self, holder: &Uid, role: &RoleName, scope: Option<&Uid>, under: &Under) -> Result<Result<(), WhyNot>, Unavailable> {
        stands_under(self.facts, |uid| self.incarnation(uid), holder, role, scope, under)
    }

    fn is_void(&self, own: &EntityRow, role: &RoleName, seq: u64) -> Result<bool, Unavailable> {
        Ok(reaches(self.facts.time_void_before()?, seq)
            || reaches(self.facts.role_row(role)?.void_before, seq)
            || reaches(own.void_before, seq))
    }

    fn judge_assignments(&self, holder: &Uid, row: &EntityRow, into: &mut Vec<Holding>) -> Result<(), Unavailable> {
        for grant in &row.grants.assignments {
            let void = grant.window.end.is_some() && reaches(self.facts.time_void_before()?, grant.seq);
            let judged = || self.judge(holder, &grant.role, grant.scope.as_ref(), &grant.under, grant.window);
            let counts = if void { Err(WhyNot::Revoked) } else { judged()? };
            into.push(Holding {
                via: Via::Assignment(grant.id.clone()),
                holder: holder.clone(),
                role: grant.role.clone(),
                scope: grant.scope.clone(),
                start: grant.window.start,
                end: grant.window.end,
                approvals: 0,
                emergency: false,
                ticket: None,
                counts,
            });
        }
        Ok(())
    }
}

/// `Result<Result<(), WhyNot>, _>` steps, one after the other, as long as each counts.
trait AndThenOk {
    fn and_then_ok(self, next: impl FnOnce() -> Result<Result<(), WhyNot>, Unavailable>) -> Result<Result<(), WhyNot>, Unavailable>;
}

impl AndThenOk for Result<(), WhyNot> {
    fn and_then_ok(self, next: impl FnOnce() -> Result<Result<(), WhyNot>, Unavailable>) -> Result<Result<(), WhyNot>, Unavailable> {
        match self {
            Ok(()) => next(),
            Err(why) => Ok(Err(why)),
        }
    }
}

/// Where a principal stands at a moment, for a resource with everything above it (`path`), or for no resource at all.
/// An unknown or disabled principal holds nothing.
///
/// # Errors
/// The store cannot be read.
pub fn standing(facts: &dyn Facts, principal: &Uid, path: Option<&[Uid]>, moment: Moment) -> Result<Standing, Unavailable> {
    let presence = presence(facts, principal)?;
    if presence != Presence::Known {
        return Ok(Standing { presence, memberships: Arc::default(), holdings: Vec::new(), next_change: None });
    }
    let memberships = memberships(facts, principal)?;
    let own = facts.row(principal)?;
    let asked = Asked { facts, principal, groups: &memberships.groups, own: own.as_deref(), path, moment };
    let mut holdings = Vec::new();
    if let Some(own) = &own {
        for grant in &own.grants.activations {
            holdings.push(asked.judge_activation(own, grant)?);
        }
        asked.judge_assignments(principal, own, &mut holdings)?;
    }
    for (group, row) in &memberships.assigned {
        asked.judge_assignments(group, row, &mut holdings)?;
    }
    // What is approved for later is no holding yet, and is one once its start has come.
    let starts = own.iter().flat_map(|own| own.grants.starts.iter().map(|(_, start)| *start));
    let instants = holdings.iter().flat_map(|holding| [Some(holding.start), holding.end]).flatten().chain(starts);
    let next_change = instants.filter(|instant| *instant > moment.now).min();
    Ok(Standing { presence, memberships, holdings, next_change })
}

/// An eligibility of a principal, its own or one of its groups', that is in force at an instant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EligibleThrough {
    /// The eligibility.
    pub grant: EligibilityGrant,
    /// Who holds it.
    pub holder: Uid,
}

/// Every eligibility of a known, enabled principal that is in force: its own first, then those of its groups, nearest first.
///
/// # Errors
/// The store cannot be read.
pub fn eligibilities(facts: &dyn Facts, principal: &Uid, now: Timestamp) -> Result<Vec<EligibleThrough>, Unavailable> {
    let mut found = Vec::new();
    if presence(facts, principal)? != Presence::Known {
        return Ok(found);
    }
    let memberships = memberships(facts, principal)?;
    let own = facts.row(principal)?.map(|row| (principal.clone(), row));
    for (holder, row) in own.iter().chain(&memberships.eligible) {
        for grant in &row.grants.eligibilities {
            let stands = still_stands(facts, holder, &grant.role, grant.scope.as_ref(), &grant.under)?;
            if grant.window.holds(now) && stands.is_ok() {
                found.push(EligibleThrough { grant: grant.clone(), holder: holder.clone() });
            }
        }
    }
    Ok(found)
}

/// The eligibility under which a role may be activated at a scope: of those that cover it, the one that lasts longest, then the nearest.
///
/// # Errors
/// The store cannot be read.
pub fn eligible_for(
    facts: &dyn Facts,
    principal: &Uid,
    role: &RoleName,
    scope: Option<&Uid>,
    now: Timestamp,
) -> Result<Option<EligibleThrough>, Unavailable> {
    let path = scope.map(|scope| path(facts, scope)).transpose()?;
    let mut best: Option<EligibleThrough> = None;
    for candidate in eligibilities(facts, principal, now)? {
        if candidate.grant.role != *role || within(candidate.grant.scope.as_ref(), path.as_deref()).is_err() {
            continue;
        }
        let lasts = |through: &EligibleThrough| through.grant.window.end.map_or(i64::MAX, Timestamp::millis);
        if best.as_ref().is_none_or(|best| lasts(best) < lasts(&candidate)) {
            best = Some(candidate);
        }
    }
    Ok(best)
}
