//! Which role would do: a check that was denied, asked again as if the principal had activated what it is eligible for.
//!
//! It is the one evaluator over the same facts with one activation more, so that what is suggested would really be permitted: conditions,
//! windows and what was revoked are looked at as in every check. Whether an activation is approved is not foreseen.

use std::sync::Arc;

use super::ask::Ask;
use super::bundle::Bundle;
use crate::domain::facts::Facts;
use crate::domain::grant::{ActivationGrant, Basis, EligibilityGrant, EntityRow, RoleRow, Under};
use crate::domain::settings::{Definitions, RoleSettings};
use crate::domain::standing::{self, Memberships, Moment};
use crate::domain::{ActivationId, Duration, RoleName, Rows, Text, TextDigest, Uid, Unavailable, Window};

/// Most eligibilities that are tried for one check.
pub const MAX_TRIED: usize = 16;

/// A role that would turn a deny into an allow, where its principal is eligible for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// The role.
    pub role: RoleName,
    /// The narrowest scope that would do; nothing, where the role is not bound to one.
    pub scope: Option<Uid>,
    /// Whether somebody has to approve it.
    pub needs_approval: bool,
    /// The longest for which it can be had at once.
    pub max_duration: Duration,
}

/// Facts, with another row for one name.
struct Supposed<'a> {
    facts: &'a dyn Facts,
    uid: &'a Uid,
    row: Arc<EntityRow>,
}

impl Rows for Supposed<'_> {
    fn row(&self, uid: &Uid) -> Result<Option<Arc<EntityRow>>, Unavailable> {
        if uid == self.uid { Ok(Some(Arc::clone(&self.row))) } else { self.facts.row(uid) }
    }

    fn role_row(&self, role: &RoleName) -> Result<RoleRow, Unavailable> {
        self.facts.role_row(role)
    }

    fn time_void_before(&self) -> Result<u64, Unavailable> {
        self.facts.time_void_before()
    }

    fn text(&self, digest: &TextDigest) -> Result<Option<Text>, Unavailable> {
        self.facts.text(digest)
    }
}

impl Facts for Supposed<'_> {
    fn definitions(&self) -> &Definitions {
        self.facts.definitions()
    }

    fn kept_memberships(&self, principal: &Uid) -> Result<Option<Arc<Memberships>>, Unavailable> {
        self.facts.kept_memberships(principal)
    }
}

impl Bundle {
    /// The roles that would turn a denied check into an allowed one, of those that its subject may activate now. At most [`MAX_TRIED`]
    /// eligibilities are tried; sorted, each role once.
    ///
    /// # Errors
    /// The facts cannot be read.
    pub fn suggest(&self, facts: &dyn Facts, ask: &Ask, moment: Moment) -> Result<Vec<Offer>, Unavailable> {
        if !moment.trusted {
            return Ok(Vec::new());
        }
        let own = facts.row(&ask.subject)?.unwrap_or_default();
        let memberships = standing::memberships(facts, &ask.subject)?;
        let path = standing::path(facts, &ask.resource)?;
        let through = memberships.eligible.iter().map(|(group, row)| (group, row.as_ref()));
        let eligible = std::iter::once((&ask.subject, own.as_ref())).chain(through);
        let eligible = eligible.flat_map(|(holder, row)| row.grants.eligibilities.iter().map(move |grant| (holder, row, grant)));
        let mut offers: Vec<Offer> = Vec::new();
        for (holder, row, grant) in eligible.filter(|(_, _, grant)| is_open(grant.window, moment)).take(MAX_TRIED) {
            let Some(settings) = facts.definitions().roles.get(&grant.role) else { continue };
            let Some(scope) = narrowest(settings, grant, &path) else { continue };
            if offers.iter().any(|offer| offer.role == grant.role && offer.scope == scope) {
                continue;
            }
            let incarnation = |uid: &Uid| Ok::<_, Unavailable>(facts.row(uid)?.map(|row| row.incarnation).unwrap_or_default());
            let Ok(id) = ActivationId::new("act_supposed") else { continue };
            let supposed = ActivationGrant {
                id,
                role: grant.role.clone(),
                scope: scope.clone(),
                window: Window::lasting(moment.now, settings.default_duration),
                under: Under {
                    holder: own.incarnation,
                    role: facts.role_incarnation(&grant.role)?,
                    scope: scope.as_ref().map(incarnation).transpose()?,
                },
                basis: Basis { eligibility: grant.id.clone(), holder: holder.clone() },
                basis_incarnation: row.incarnation,
                approvals: settings.stages.iter().map(|stage| stage.quorum).sum(),
                extensions: 0,
                emergency: false,
                ticket: None,
                // nothing that was revoked at once reaches what is asked for afterwards
                seq: u64::MAX,
            };
            let mut with = EntityRow::clone(&own);
            with.grants.activations.push(supposed);
            let supposed = Supposed { facts, uid: &ask.subject, row: Arc::new(with) };
            if self.check(&supposed, ask, moment)?.allowed {
                let needs_approval = !settings.stages.is_empty();
                offers.push(Offer { role: grant.role.clone(), scope, needs_approval, max_duration: settings.max_duration });
            }
        }
        offers.sort_by(|one, other| (one.needs_approval, &one.role, &one.scope).cmp(&(other.needs_approval, &other.role, &other.scope)));
        Ok(offers)
    }
}

fn is_open(window: Window, moment: Moment) -> bool {
    window.start <= moment.now && window.end.is_none_or(|end| moment.now < end)
}

/// The narrowest scope on the way up from the resource at which a role can be asked for; `Some(None)`: without one. Nothing, where there
/// is none that the eligibility covers.
fn narrowest(settings: &RoleSettings, grant: &EligibilityGrant, path: &[Uid]) -> Option<Option<Uid>> {
    let within = match &grant.scope {
        None => path,
        Some(scope) => path.get(..=path.iter().position(|uid| uid == scope)?)?,
    };
    let takes = |uid: &&Uid| settings.scopes.as_ref().is_none_or(|kinds| kinds.iter().any(|kind| kind == uid.kind()));
    match within.iter().find(takes) {
        Some(scope) => Some(Some(scope.clone())),
        None => (grant.scope.is_none() && !settings.scope_required).then_some(None),
    }
}
