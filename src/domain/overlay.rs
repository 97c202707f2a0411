//! What a batch of commands has changed so far, laid over what is stored: command n sees the events of commands 1 to n-1.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use super::alert::{AlertKind, AlertSubject, AlertTally, Incident, Severity};
use super::event::{Remembered, Timer};
use super::facts::{Facts, Rows, Tables, Unavailable};
use super::grant::{
    Activation, ActivationState, Assignment, Cause, DayUse, Eligibility, EntityRow, GrantRef, GrantRequest, GrantRequestState, RoleRow,
};
use super::id::{
    ActivationId, AssignmentId, EligibilityId, GrantRequestId, IdempotencyKey, IncidentId, ReviewDefinitionId, ReviewId, Revision,
    RoleName, Uid,
};
use super::review::{Review, ReviewDefinition, ReviewEntry, ReviewState, Subject};
use super::settings::Definitions;
use super::text::{Text, TextDigest};
use super::time::{Day, Timestamp};

/// Rows that records changed, each whole as it is now. No row is ever removed; what ended says so.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Changes {
    /// What is stored about names.
    pub rows: BTreeMap<Uid, Arc<EntityRow>>,
    /// What is kept of roles.
    pub roles: BTreeMap<RoleName, RoleRow>,
    /// Activations.
    pub activations: BTreeMap<ActivationId, Activation>,
    /// Eligibilities.
    pub eligibilities: BTreeMap<EligibilityId, Eligibility>,
    /// Assignments.
    pub assignments: BTreeMap<AssignmentId, Assignment>,
    /// Requests to extend or renew grants.
    pub grant_requests: BTreeMap<GrantRequestId, GrantRequest>,
    /// What principals have had of roles, by day.
    pub day_uses: BTreeMap<(Uid, RoleName, Day), DayUse>,
    /// When an activation last began, by the eligibility that it rests on.
    pub last_activations: BTreeMap<EligibilityId, Timestamp>,
    /// Review definitions.
    pub review_definitions: BTreeMap<ReviewDefinitionId, ReviewDefinition>,
    /// Reviews.
    pub reviews: BTreeMap<ReviewId, Review>,
    /// Their items, by review.
    pub review_entries: BTreeMap<ReviewId, BTreeMap<Subject, ReviewEntry>>,
    /// Incidents of alerts.
    pub incidents: BTreeMap<IncidentId, Incident>,
    /// The latest of a kind about something.
    pub latest_incidents: BTreeMap<(AlertKind, AlertSubject), IncidentId>,
    /// How many last.
    pub alert_tallies: BTreeMap<(AlertKind, Severity), AlertTally>,
    /// Up to where every holding that is bound to time is void.
    pub time_void_before: Option<u64>,
    /// Cascades that wait to go on (`Some`: since when), or no longer do (`None`).
    pub cascades: BTreeMap<Cause, Option<Timestamp>>,
    /// What repeated commands get.
    pub remembered: BTreeMap<(Uid, IdempotencyKey), (Timestamp, Remembered)>,
    /// The live bundle.
    pub revision: Option<Revision>,
    /// Texts that came with the commands, by digest.
    pub texts: BTreeMap<TextDigest, Text>,
}

impl Changes {
    /// Takes later changes over these.
    pub fn absorb(&mut self, later: Self) {
        self.rows.extend(later.rows);
        self.roles.extend(later.roles);
        self.activations.extend(later.activations);
        self.eligibilities.extend(later.eligibilities);
        self.assignments.extend(later.assignments);
        self.grant_requests.extend(later.grant_requests);
        self.day_uses.extend(later.day_uses);
        self.last_activations.extend(later.last_activations);
        self.review_definitions.extend(later.review_definitions);
        self.reviews.extend(later.reviews);
        for (id, entries) in later.review_entries {
            self.review_entries.entry(id).or_default().extend(entries);
        }
        self.incidents.extend(later.incidents);
        self.latest_incidents.extend(later.latest_incidents);
        self.alert_tallies.extend(later.alert_tallies);
        self.time_void_before = later.time_void_before.or(self.time_void_before);
        self.cascades.extend(later.cascades);
        self.remembered.extend(later.remembered);
        self.texts.extend(later.texts);
        self.revision = later.revision.or(self.revision.take());
    }

    /// Whether a grant is among these.
    fn holds(&self, grant: &GrantRef) -> bool {
        match grant {
            GrantRef::Eligibility(id) => self.eligibilities.contains_key(id),
            GrantRef::Assignment(id) => self.assignments.contains_key(id),
        }
    }

    /// Of these, the grants that are not recorded as ended: of one role or of all, after `after`. In no order.
    fn standing_grants<'c>(
        &'c self,
        role: Option<&'c RoleName>,
        after: Option<&'c (RoleName, GrantRef)>,
    ) -> impl Iterator<Item = (RoleName, GrantRef)> + 'c {
        let eligible = self.eligibilities.values().filter(|found| found.ended.is_none());
        let eligible = eligible.map(|found| (&found.role, GrantRef::Eligibility(found.id.clone())));
        let assigned = self.assignments.values().filter(|found| found.ended.is_none());
        let assigned = assigned.map(|found| (&found.role, GrantRef::Assignment(found.id.clone())));
        let wanted = move |(of, _): &(&RoleName, GrantRef)| role.is_none_or(|role| role == *of);
        let all = eligible.chain(assigned).filter(wanted).map(|(role, grant)| (role.clone(), grant));
        all.filter(move |found| after.is_none_or(|after| found > after))
    }

    /// Of these, an item of a review.
    fn entry(&self, id: &ReviewId, subject: &Subject) -> Option<&ReviewEntry> {
        self.review_entries.get(id)?.get(subject)
    }

    /// Of these, the items of a review, after `after`, in order.
    fn entries_of(&self, id: &ReviewId, after: Option<&Subject>) -> impl Iterator<Item = &ReviewEntry> {
        let from = after.map_or(Bound::Unbounded, |after| Bound::Excluded(after.clone()));
        let of = self.review_entries.get(id).into_iter().flat_map(move |of| of.range((from.clone(), Bound::Unbounded)));
        of.map(|(_, entry)| entry)
    }

    /// Whether nothing changed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// The timer that belongs to an activation as it stands, where it has one.
#[must_use]
pub fn activation_timer(activation: &Activation) -> Option<Timer> {
    use super::command::Due;
    use ActivationState as State;
    let id = || activation.id.clone();
    match &activation.state {
        State::Pending { timeout_at, .. } => Some(Timer { at: *timeout_at, due: Due::StageTimeout(id()) }),
        State::Scheduled { start, .. } => Some(Timer { at: *start, due: Due::ActivationStart(id()) }),
        State::Active { window } => window.end.map(|at| Timer { at, due: Due::ActivationEnd(id()) }),
        State::Approved { .. }
        | State::Denied { .. }
        | State::Cancelled { .. }
        | State::TimedOut { .. }
        | State::Failed { .. }
        | State::Deactivated { .. }
        | State::Revoked { .. }
        | State::Expired { .. } => None,
    }
}

/// The timer that belongs to a request to extend or renew as it stands, where it has one.
#[must_use]
pub fn grant_request_timer(request: &GrantRequest) -> Option<Timer> {
    let pending = request.state == GrantRequestState::Pending;
    pending.then(|| Timer { at: request.expires_at, due: super::command::Due::GrantRequestTimeout(request.id.clone()) })
}

/// The timer that belongs to an eligibility as it stands, where it has one.
#[must_use]
pub fn eligibility_timer(eligibility: &Eligibility) -> Option<Timer> {
    let at = eligibility.window.end.filter(|_| eligibility.ended.is_none())?;
    Some(Timer { at, due: super::command::Due::EligibilityEnd(eligibility.id.clone()) })
}

/// The timer that belongs to an assignment as it stands, where it has one.
#[must_use]
pub fn assignment_timer(assignment: &Assignment) -> Option<Timer> {
    let at = assignment.window.end.filter(|_| assignment.ended.is_none())?;
    Some(Timer { at, due: super::command::Due::AssignmentEnd(assignment.id.clone()) })
}

/// The timer that belongs to a review definition as it stands, where it has one.
#[must_use]
pub fn review_definition_timer(definition: &ReviewDefinition) -> Option<Timer> {
    let next = definition.next.filter(|_| definition.ended.is_none())?;
    Some(Timer { at: next.at, due: super::command::Due::ReviewOpening(definition.id.clone()) })
}

/// The timer that belongs to a review as it stands, where it has one.
#[must_use]
pub fn review_timer(review: &Review) -> Option<Timer> {
    let at = match review.state {
        ReviewState::NotStarted { .. } => Some(review.opened_at),
        ReviewState::InProgress { ends_at, remind_at, .. } => Some(remind_at.map_or(ends_at, |remind_at| remind_at.min(ends_at))),
        ReviewState::Applying { at, .. } => Some(at),
        ReviewState::Completed { .. } | ReviewState::Applied { .. } => None,
    };
    Some(Timer { at: at?, due: super::command::Due::ReviewStep(review.id.clone()) })
}

/// Whether it is recorded as waiting for votes.
#[must_use]
pub fn is_pending(activation: &Activation) -> bool {
    matches!(activation.state, ActivationState::Pending { .. })
}

/// Whether it has an end and is not recorded as ended.
#[must_use]
pub fn is_timed(assignment: &Assignment) -> bool {
    assignment.window.end.is_some() && assignment.ended.is_none()
}

fn is_about(request: &GrantRequest, grant: &GrantRef) -> bool {
    request.grant == *grant && request.state == GrantRequestState::Pending
}

/// Changes over a base. It is itself a set of facts.
pub struct Overlay<'a> {
    base: &'a dyn Tables,
    definitions: Arc<Definitions>,
    /// What has changed so far.
    pub changes: Changes,
}

impl<'a> Overlay<'a> {
    /// Nothing changed yet.
    #[must_use]
    pub fn new(base: &'a dyn Tables, definitions: Arc<Definitions>) -> Self {
        Self { base, definitions, changes: Changes::default() }
    }

    /// A base as it stands after changes that were made before.
    #[must_use]
    pub fn resumed(base: &'a dyn Tables, definitions: Arc<Definitions>, changes: Changes) -> Self {
        Self { base, definitions, changes }
    }

    /// From now on another bundle is the live one.
    pub fn switch(&mut self, definitions: Arc<Definitions>) {
        self.definitions = definitions;
    }

    /// What stands now about a name, to be changed.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn row_mut(&mut self, uid: &Uid) -> Result<&mut EntityRow, Unavailable> {
        if !self.changes.rows.contains_key(uid) {
            let row = self.base.row(uid)?.unwrap_or_default();
            self.changes.rows.insert(uid.clone(), row);
        }
        Ok(Arc::make_mut(self.changes.rows.entry(uid.clone()).or_default()))
    }

    /// The base's open activations, less those that changes closed, and those that changes opened.
    fn open(
        &self,
        limit: usize,
        from_base: impl Fn(usize) -> Result<Vec<ActivationId>, Unavailable>,
        of_interest: impl Fn(&Activation) -> bool,
    ) -> Result<Vec<ActivationId>, Unavailable> {
        let mut ids = from_base(limit.saturating_add(self.changes.activations.len()))?;
        ids.retain(|id| !self.changes.activations.contains_key(id));
        let changed = self.changes.activations.values().filter(|activation| activation.is_open() && of_interest(activation));
        ids.extend(changed.map(|activation| activation.id.clone()));
        ids.sort();
        ids.truncate(limit);
        Ok(ids)
    }
}

impl Facts for Overlay<'_> {
    fn definitions(&self) -> &Definitions {
        &self.definitions
    }
}

impl Rows for Overlay<'_> {
    fn row(&self, uid: &Uid) -> Result<Option<Arc<EntityRow>>, Unavailable> {
        match self.changes.rows.get(uid) {
            Some(row) => Ok(Some(Arc::clone(row))),
            None => self.base.row(uid),
        }
    }

    fn role_row(&self, role: &RoleName) -> Result<RoleRow, Unavailable> {
        match self.changes.roles.get(role) {
            Some(row) => Ok(*row),
            None => self.base.role_row(role),
        }
    }

    fn time_void_before(&self) -> Result<u64, Unavailable> {
        self.changes.time_void_before.map_or_else(|| self.base.time_void_before(), Ok)
    }

    fn text(&self, digest: &TextDigest) -> Result<Option<Text>, Unavailable> {
        match self.changes.texts.get(digest) {
            Some(text) => Ok(Some(text.clone())),
            None => self.base.text(digest),
        }
    }
}

/// What was changed, or else what lies below.
fn laid<T: Clone>(changed: Option<&T>, below: impl FnOnce() -> Result<Option<Arc<T>>, Unavailable>) -> Result<Option<Arc<T>>, Unavailable> {
    changed.map_or_else(below, |value| Ok(Some(Arc::new(value.clone()))))
}

impl Tables for Overlay<'_> {
    fn activation(&self, id: &ActivationId) -> Result<Option<Arc<Activation>>, Unavailable> {
        laid(self.changes.activations.get(id), || self.base.activation(id))
    }

    fn eligibility(&self, id: &EligibilityId) -> Result<Option<Arc<Eligibility>>, Unavailable> {
        laid(self.changes.eligibilities.get(id), || self.base.eligibility(id))
    }

    fn assignment(&self, id: &AssignmentId) -> Result<Option<Arc<Assignment>>, Unavailable> {
        laid(self.changes.assignments.get(id), || self.base.assignment(id))
    }

    fn open_resting_on(&self, eligibility: &EligibilityId, limit: usize) -> Result<Vec<ActivationId>, Unavailable> {
        self.open(limit, |limit| self.base.open_resting_on(eligibility, limit), |a| a.basis.eligibility == *eligibility)
    }

    fn open_for_role(&self, role: &RoleName, limit: usize) -> Result<Vec<ActivationId>, Unavailable> {
        self.open(limit, |limit| self.base.open_for_role(role, limit), |a| a.role == *role)
    }

    fn open_at_scope(&self, scope: &Uid, limit: usize) -> Result<Vec<ActivationId>, Unavailable> {
        self.open(limit, |limit| self.base.open_at_scope(scope, limit), |a| a.scope.as_ref() == Some(scope))
    }

    fn open_through(&self, holder: &Uid, limit: usize) -> Result<Vec<ActivationId>, Unavailable> {
        self.open(limit, |limit| self.base.open_through(holder, limit), |a| a.basis.holder == *holder)
    }

    fn open_at_all(&self, limit: usize) -> Result<Vec<ActivationId>, Unavailable> {
        self.open(limit, |limit| self.base.open_at_all(limit), |_| true)
    }

    fn pending_requests(&self, limit: usize) -> Result<Vec<ActivationId>, Unavailable> {
        self.open(limit, |limit| self.base.pending_requests(limit), is_pending)
    }

    fn timed_assignments(&self, limit: usize) -> Result<Vec<AssignmentId>, Unavailable> {
        let mut ids = self.base.timed_assignments(limit.saturating_add(self.changes.assignments.len()))?;
        ids.retain(|id| !self.changes.assignments.contains_key(id));
        ids.extend(self.changes.assignments.values().filter(|assignment| is_timed(assignment)).map(|assignment| assignment.id.clone()));
        ids.sort();
        ids.truncate(limit);
        Ok(ids)
    }

    fn grant_request(&self, id: &GrantRequestId) -> Result<Option<Arc<GrantRequest>>, Unavailable> {
        laid(self.changes.grant_requests.get(id), || self.base.grant_request(id))
    }

    fn pending_about(&self, grant: &GrantRef, limit: usize) -> Result<Vec<GrantRequestId>, Unavailable> {
        let mut ids = self.base.pending_about(grant, limit.saturating_add(self.changes.grant_requests.len()))?;
        ids.retain(|id| !self.changes.grant_requests.contains_key(id));
        let changed = self.changes.grant_requests.values().filter(|request| is_about(request, grant));
        ids.extend(changed.map(|request| request.id.clone()));
        ids.sort();
        ids.truncate(limit);
        Ok(ids)
    }

    fn day_use(&self, principal: &Uid, role: &RoleName, day: Day) -> Result<DayUse, Unavailable> {
        match self.changes.day_uses.get(&(principal.clone(), role.clone(), day)) {
            Some(used) => Ok(*used),
            None => self.base.day_use(principal, role, day),
        }
    }

    fn stored_children(&self, parent: &Uid, after: Option<&Uid>, limit: usize) -> Result<Vec<Uid>, Unavailable> {
        let mut children = self.base.stored_children(parent, after, limit.saturating_add(self.changes.rows.len()))?;
        children.retain(|child| !self.changes.rows.contains_key(child));
        let changed = self.changes.rows.values().filter_map(|row| row.stored.as_ref());
        children.extend(
            changed
                .filter(|def| def.parents.iter().any(|edge| edge.parent == *parent))
                .map(|def| def.uid.clone())
                .filter(|uid| after.is_none_or(|after| after < uid)),
        );
        children.sort();
        children.truncate(limit);
        Ok(children)
    }

    fn stored_by_fold(&self, kind: &str, fold: &str) -> Result<Option<Uid>, Unavailable> {
        let changed = self.changes.rows.values().filter_map(|row| row.stored.as_ref());
        let found = changed.map(|def| &def.uid).find(|uid| uid.kind() == kind && uid.fold() == fold);
        if let Some(uid) = found {
            return Ok(Some(uid.clone()));
        }
        let found = self.base.stored_by_fold(kind, fold)?;
        Ok(found.filter(|uid| !self.changes.rows.contains_key(uid)))
    }

    fn cascade_waits(&self, cause: &Cause) -> Result<bool, Unavailable> {
        match self.changes.cascades.get(cause) {
            Some(waits) => Ok(waits.is_some()),
            None => self.base.cascade_waits(cause),
        }
    }

    fn standing_grants(
        &self,
        role: Option<&RoleName>,
        after: Option<&(RoleName, GrantRef)>,
        limit: usize,
    ) -> Result<Vec<(RoleName, GrantRef)>, Unavailable> {
        let changed = self.changes.eligibilities.len().saturating_add(self.changes.assignments.len());
        let mut found = self.base.standing_grants(role, after, limit.saturating_add(changed))?;
        found.retain(|(_, grant)| !self.changes.holds(grant));
        found.extend(self.changes.standing_grants(role, after));
        found.sort();
        found.truncate(limit);
        Ok(found)
    }

    fn last_activation(&self, eligibility: &EligibilityId) -> Result<Option<Timestamp>, Unavailable> {
        match self.changes.last_activations.get(eligibility) {
            Some(at) => Ok(Some(*at)),
            None => self.base.last_activation(eligibility),
        }
    }

    fn last_check(&self, grant: &GrantRef) -> Result<Option<Timestamp>, Unavailable> {
        self.base.last_check(grant)
    }

    fn review_definition(&self, id: &ReviewDefinitionId) -> Result<Option<Arc<ReviewDefinition>>, Unavailable> {
        laid(self.changes.review_definitions.get(id), || self.base.review_definition(id))
    }

    fn review(&self, id: &ReviewId) -> Result<Option<Arc<Review>>, Unavailable> {
        laid(self.changes.reviews.get(id), || self.base.review(id))
    }

    fn review_entry(&self, id: &ReviewId, subject: &Subject) -> Result<Option<Arc<ReviewEntry>>, Unavailable> {
        laid(self.changes.entry(id, subject), || self.base.review_entry(id, subject))
    }

    fn review_entries(&self, id: &ReviewId, after: Option<&Subject>, limit: usize) -> Result<Vec<Arc<ReviewEntry>>, Unavailable> {
        let changed: Vec<_> = self.changes.entries_of(id, after).collect();
        let mut found = self.base.review_entries(id, after, limit.saturating_add(changed.len()))?;
        found.retain(|entry| self.changes.entry(id, &entry.item.subject).is_none());
        found.extend(changed.into_iter().map(|entry| Arc::new(entry.clone())));
        found.sort_by(|one, other| one.item.subject.cmp(&other.item.subject));
        found.truncate(limit);
        Ok(found)
    }

    fn incident(&self, id: &IncidentId) -> Result<Option<Arc<Incident>>, Unavailable> {
        laid(self.changes.incidents.get(id), || self.base.incident(id))
    }

    fn latest_incident(&self, kind: AlertKind, subject: &AlertSubject) -> Result<Option<IncidentId>, Unavailable> {
        match self.changes.latest_incidents.get(&(kind, subject.clone())) {
            Some(id) => Ok(Some(id.clone())),
            None => self.base.latest_incident(kind, subject),
        }
    }

    fn alert_tally(&self, kind: AlertKind, severity: Severity) -> Result<AlertTally, Unavailable> {
        self.changes.alert_tallies.get(&(kind, severity)).map_or_else(|| self.base.alert_tally(kind, severity), |tally| Ok(*tally))
    }

    fn remembered(&self, caller: &Uid, key: &IdempotencyKey) -> Result<Option<(Timestamp, Remembered)>, Unavailable> {
        match self.changes.remembered.get(&(caller.clone(), key.clone())) {
            Some(remembered) => Ok(Some(remembered.clone())),
            None => self.base.remembered(caller, key),
        }
    }
}

/// Everything in memory: for policy tests, for dry runs, and as the plain picture that the store is held against.
#[derive(Debug, Clone, PartialEq)]
pub struct MemoryRows {
    /// The live bundle.
    pub definitions: Arc<Definitions>,
    /// All rows.
    pub all: Changes,
    /// When roles, held by grants, last decided checks: what follows from no record.
    pub last_checks: BTreeMap<GrantRef, Timestamp>,
}

impl MemoryRows {
    /// Nothing stored.
    #[must_use]
    pub fn new(definitions: Arc<Definitions>) -> Self {
        Self { definitions, all: Changes::default(), last_checks: BTreeMap::new() }
    }

    fn open(&self, limit: usize, of_interest: impl Fn(&Activation) -> bool) -> Vec<ActivationId> {
        let open = self.all.activations.values().filter(|activation| activation.is_open() && of_interest(activation));
        open.map(|activation| activation.id.clone()).take(limit).collect()
    }

    fn stored(&self) -> impl Iterator<Item = &super::settings::EntityDef> {
        self.all.rows.values().filter_map(|row| row.stored.as_deref())
    }
}

impl Facts for MemoryRows {
    fn definitions(&self) -> &Definitions {
        &self.definitions
    }
}

impl Rows for MemoryRows {
    fn row(&self, uid: &Uid) -> Result<Option<Arc<EntityRow>>, Unavailable> {
        Ok(self.all.rows.get(uid).cloned())
    }

    fn role_row(&self, role: &RoleName) -> Result<RoleRow, Unavailable> {
        Ok(self.all.roles.get(role).copied().unwrap_or_default())
    }

    fn time_void_before(&self) -> Result<u64, Unavailable> {
        Ok(self.all.time_void_before.unwrap_or_default())
    }

    fn text(&self, digest: &TextDigest) -> Result<Option<Text>, Unavailable> {
        Ok(self.all.texts.get(digest).cloned())
    }
}

impl Tables for MemoryRows {
    fn activation(&self, id: &ActivationId) -> Result<Option<Arc<Activation>>, Unavailable> {
        Ok(self.all.activations.get(id).map(|activation| Arc::new(activation.clone())))
    }

    fn eligibility(&self, id: &EligibilityId) -> Result<Option<Arc<Eligibility>>, Unavailable> {
        Ok(self.all.eligibilities.get(id).map(|eligibility| Arc::new(eligibility.clone())))
    }

    fn assignment(&self, id: &AssignmentId) -> Result<Option<Arc<Assignment>>, Unavailable> {
        Ok(self.all.assignments.get(id).map(|assignment| Arc::new(assignment.clone())))
    }

    fn open_resting_on(&self, eligibility: &EligibilityId, limit: usize) -> Result<Vec<ActivationId>, Unavailable> {
        Ok(self.open(limit, |activation| activation.basis.eligibility == *eligibility))
    }

    fn open_for_role(&self, role: &RoleName, limit: usize) -> Result<Vec<ActivationId>, Unavailable> {
        Ok(self.open(limit, |activation| activation.role == *role))
    }

    fn open_at_scope(&self, scope: &Uid, limit: usize) -> Result<Vec<ActivationId>, Unavailable> {
        Ok(self.open(limit, |activation| activation.scope.as_ref() == Some(scope)))
    }

    fn open_through(&self, holder: &Uid, limit: usize) -> Result<Vec<ActivationId>, Unavailable> {
        Ok(self.open(limit, |activation| activation.basis.holder == *holder))
    }

    fn open_at_all(&self, limit: usize) -> Result<Vec<ActivationId>, Unavailable> {
        Ok(self.open(limit, |_| true))
    }

    fn pending_requests(&self, limit: usize) -> Result<Vec<ActivationId>, Unavailable> {
        Ok(self.open(limit, is_pending))
    }

    fn timed_assignments(&self, limit: usize) -> Result<Vec<AssignmentId>, Unavailable> {
        let timed = self.all.assignments.values().filter(|assignment| is_timed(assignment));
        Ok(timed.map(|assignment| assignment.id.clone()).take(limit).collect())
    }

    fn grant_request(&self, id: &GrantRequestId) -> Result<Option<Arc<GrantRequest>>, Unavailable> {
        Ok(self.all.grant_requests.get(id).map(|request| Arc::new(request.clone())))
    }

    fn pending_about(&self, grant: &GrantRef, limit: usize) -> Result<Vec<GrantRequestId>, Unavailable> {
        let pending = self.all.grant_requests.values().filter(|request| is_about(request, grant));
        Ok(pending.map(|request| request.id.clone()).take(limit).collect())
    }

    fn day_use(&self, principal: &Uid, role: &RoleName, day: Day) -> Result<DayUse, Unavailable> {
        Ok(self.all.day_uses.get(&(principal.clone(), role.clone(), day)).copied().unwrap_or_default())
    }

    fn stored_children(&self, parent: &Uid, after: Option<&Uid>, limit: usize) -> Result<Vec<Uid>, Unavailable> {
        let children = self.stored().filter(|def| def.parents.iter().any(|edge| edge.parent == *parent));
        Ok(children.map(|def| def.uid.clone()).filter(|uid| after.is_none_or(|after| after < uid)).take(limit).collect())
    }

    fn stored_by_fold(&self, kind: &str, fold: &str) -> Result<Option<Uid>, Unavailable> {
        Ok(self.stored().map(|def| &def.uid).find(|uid| uid.kind() == kind && uid.fold() == fold).cloned())
    }

    fn cascade_waits(&self, cause: &Cause) -> Result<bool, Unavailable> {
        Ok(self.all.cascades.get(cause).is_some_and(Option::is_some))
    }

    fn standing_grants(
        &self,
        role: Option<&RoleName>,
        after: Option<&(RoleName, GrantRef)>,
        limit: usize,
    ) -> Result<Vec<(RoleName, GrantRef)>, Unavailable> {
        let mut found: Vec<_> = self.all.standing_grants(role, after).collect();
        found.sort();
        found.truncate(limit);
        Ok(found)
    }

    fn last_activation(&self, eligibility: &EligibilityId) -> Result<Option<Timestamp>, Unavailable> {
        Ok(self.all.last_activations.get(eligibility).copied())
    }

    fn last_check(&self, grant: &GrantRef) -> Result<Option<Timestamp>, Unavailable> {
        Ok(self.last_checks.get(grant).copied())
    }

    fn review_definition(&self, id: &ReviewDefinitionId) -> Result<Option<Arc<ReviewDefinition>>, Unavailable> {
        Ok(self.all.review_definitions.get(id).map(|definition| Arc::new(definition.clone())))
    }

    fn review(&self, id: &ReviewId) -> Result<Option<Arc<Review>>, Unavailable> {
        Ok(self.all.reviews.get(id).map(|review| Arc::new(review.clone())))
    }

    fn review_entry(&self, id: &ReviewId, subject: &Subject) -> Result<Option<Arc<ReviewEntry>>, Unavailable> {
        Ok(self.all.entry(id, subject).map(|entry| Arc::new(entry.clone())))
    }

    fn review_entries(&self, id: &ReviewId, after: Option<&Subject>, limit: usize) -> Result<Vec<Arc<ReviewEntry>>, Unavailable> {
        Ok(self.all.entries_of(id, after).take(limit).map(|entry| Arc::new(entry.clone())).collect())
    }

    fn incident(&self, id: &IncidentId) -> Result<Option<Arc<Incident>>, Unavailable> {
        Ok(self.all.incidents.get(id).map(|incident| Arc::new(incident.clone())))
    }

    fn latest_incident(&self, kind: AlertKind, subject: &AlertSubject) -> Result<Option<IncidentId>, Unavailable> {
        Ok(self.all.latest_incidents.get(&(kind, subject.clone())).cloned())
    }

    fn alert_tally(&self, kind: AlertKind, severity: Severity) -> Result<AlertTally, Unavailable> {
        Ok(self.all.alert_tallies.get(&(kind, severity)).copied().unwrap_or_default())
    }

    fn remembered(&self, caller: &Uid, key: &IdempotencyKey) -> Result<Option<(Timestamp, Remembered)>, Unavailable> {
        Ok(self.all.remembered.get(&(caller.clone(), key.clone())).cloned())
    }
}
