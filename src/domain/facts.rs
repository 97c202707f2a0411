//! What the domain asks of the rest: the facts as they stand, and permission.

use std::sync::Arc;

use super::alert::{AlertKind, AlertSubject, AlertTally, Incident, Severity};
use super::command::Actor;
use super::event::Remembered;
use super::grant::{Activation, Assignment, Cause, DayUse, Eligibility, EntityRow, GrantRef, GrantRequest, RoleRow};
use super::id::{
    ActivationId, AssignmentId, EligibilityId, GrantRequestId, IdempotencyKey, Incarnation, IncidentId, ReviewDefinitionId, ReviewId,
    RoleName, Uid,
};
use super::rejection::Rejection;
use super::review::{Review, ReviewDefinition, ReviewEntry, Subject};
use super::settings::{Definitions, JsonObject};
use super::standing::Memberships;
use super::text::{Text, TextDigest};
use super::time::{Day, Duration, Timestamp};

/// Facts could not be read. Whoever needs them denies or refuses; nothing is guessed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("stored facts cannot be read: {0}")]
pub struct Unavailable(pub String);

/// What is stored about names, as of one moment.
pub trait Rows {
    /// What is stored about a name; nothing, where nobody ever stored or granted anything.
    ///
    /// # Errors
    /// The store cannot be read.
    fn row(&self, uid: &Uid) -> Result<Option<Arc<EntityRow>>, Unavailable>;

    /// What is kept of a role: how often it left the bundle, and up to when its activations are void.
    ///
    /// # Errors
    /// The store cannot be read.
    fn role_row(&self, role: &RoleName) -> Result<RoleRow, Unavailable>;

    /// The journal sequence up to which every holding that is bound to time is void: that at which a clock was accepted that had jumped.
    ///
    /// # Errors
    /// The store cannot be read.
    fn time_void_before(&self) -> Result<u64, Unavailable>;

    /// How often a role has left the bundle.
    ///
    /// # Errors
    /// The store cannot be read.
    fn role_incarnation(&self, role: &RoleName) -> Result<Incarnation, Unavailable> {
        Ok(self.role_row(role)?.incarnation)
    }

    /// An erasable text; nothing, where it was erased.
    ///
    /// # Errors
    /// The store cannot be read.
    fn text(&self, digest: &TextDigest) -> Result<Option<Text>, Unavailable>;
}

/// What a check reads: one bundle and what is stored about names, all as of one moment.
pub trait Facts: Rows {
    /// What the live bundle defines.
    fn definitions(&self) -> &Definitions;

    /// The memberships of a principal, where they are kept and still those of these facts.
    ///
    /// # Errors
    /// The store cannot be read.
    fn kept_memberships(&self, principal: &Uid) -> Result<Option<Arc<Memberships>>, Unavailable> {
        let _ = principal;
        Ok(None)
    }

    /// Offers the memberships of a principal, as they follow from these facts, to be kept.
    ///
    /// # Errors
    /// The store cannot be read.
    fn keep_memberships(&self, principal: &Uid, memberships: &Arc<Memberships>) -> Result<(), Unavailable> {
        let _ = (principal, memberships);
        Ok(())
    }
}

/// Everything that is stored, as a command reads it. Lists are sorted by id and hold at most `limit` items.
pub trait Tables: Rows {
    /// An activation.
    ///
    /// # Errors
    /// The store cannot be read.
    fn activation(&self, id: &ActivationId) -> Result<Option<Arc<Activation>>, Unavailable>;

    /// An eligibility.
    ///
    /// # Errors
    /// The store cannot be read.
    fn eligibility(&self, id: &EligibilityId) -> Result<Option<Arc<Eligibility>>, Unavailable>;

    /// An assignment.
    ///
    /// # Errors
    /// The store cannot be read.
    fn assignment(&self, id: &AssignmentId) -> Result<Option<Arc<Assignment>>, Unavailable>;

    /// Open activations that rest on an eligibility.
    ///
    /// # Errors
    /// The store cannot be read.
    fn open_resting_on(&self, eligibility: &EligibilityId, limit: usize) -> Result<Vec<ActivationId>, Unavailable>;

    /// Open activations for a role.
    ///
    /// # Errors
    /// The store cannot be read.
    fn open_for_role(&self, role: &RoleName, limit: usize) -> Result<Vec<ActivationId>, Unavailable>;

    /// Open activations at a scope (at that very resource, not below it).
    ///
    /// # Errors
    /// The store cannot be read.
    fn open_at_scope(&self, scope: &Uid, limit: usize) -> Result<Vec<ActivationId>, Unavailable>;

    /// Open activations through a group's eligibilities.
    ///
    /// # Errors
    /// The store cannot be read.
    fn open_through(&self, holder: &Uid, limit: usize) -> Result<Vec<ActivationId>, Unavailable>;

    /// Open activations of anybody, for any role.
    ///
    /// # Errors
    /// The store cannot be read.
    fn open_at_all(&self, limit: usize) -> Result<Vec<ActivationId>, Unavailable>;

    /// Activations recorded as pending.
    ///
    /// # Errors
    /// The store cannot be read.
    fn pending_requests(&self, limit: usize) -> Result<Vec<ActivationId>, Unavailable>;

    /// Assignments with an end that are not recorded as ended.
    ///
    /// # Errors
    /// The store cannot be read.
    fn timed_assignments(&self, limit: usize) -> Result<Vec<AssignmentId>, Unavailable>;

    /// A request to extend or renew a grant.
    ///
    /// # Errors
    /// The store cannot be read.
    fn grant_request(&self, id: &GrantRequestId) -> Result<Option<Arc<GrantRequest>>, Unavailable>;

    /// Requests about a grant that are recorded as pending.
    ///
    /// # Errors
    /// The store cannot be read.
    fn pending_about(&self, grant: &GrantRef, limit: usize) -> Result<Vec<GrantRequestId>, Unavailable>;

    /// What a principal has had of a role on a day.
    ///
    /// # Errors
    /// The store cannot be read.
    fn day_use(&self, principal: &Uid, role: &RoleName, day: Day) -> Result<DayUse, Unavailable>;

    /// Stored entities that name `parent` as a parent (whether or not the edge still counts), after `after`.
    ///
    /// # Errors
    /// The store cannot be read.
    fn stored_children(&self, parent: &Uid, after: Option<&Uid>, limit: usize) -> Result<Vec<Uid>, Unavailable>;

    /// The stored entity of a case-insensitive type whose id has this fold.
    ///
    /// # Errors
    /// The store cannot be read.
    fn stored_by_fold(&self, kind: &str, fold: &str) -> Result<Option<Uid>, Unavailable>;

    /// Whether a cascade waits to go on.
    ///
    /// # Errors
    /// The store cannot be read.
    fn cascade_waits(&self, cause: &Cause) -> Result<bool, Unavailable>;

    /// Grants that are not recorded as ended, by role and then by id: of one role or of all, after `after`.
    ///
    /// # Errors
    /// The store cannot be read.
    fn standing_grants(
        &self,
        role: Option<&RoleName>,
        after: Option<&(RoleName, GrantRef)>,
        limit: usize,
    ) -> Result<Vec<(RoleName, GrantRef)>, Unavailable>;

    /// When an activation that rests on an eligibility last began.
    ///
    /// # Errors
    /// The store cannot be read.
    fn last_activation(&self, eligibility: &EligibilityId) -> Result<Option<Timestamp>, Unavailable>;

    /// When the role, held by a grant, last decided a check. It follows from no record, and may be forgotten: whatever is decided on it says so in
    /// its record.
    ///
    /// # Errors
    /// The store cannot be read.
    fn last_check(&self, grant: &GrantRef) -> Result<Option<Timestamp>, Unavailable>;

    /// A review definition.
    ///
    /// # Errors
    /// The store cannot be read.
    fn review_definition(&self, id: &ReviewDefinitionId) -> Result<Option<Arc<ReviewDefinition>>, Unavailable>;

    /// A review.
    ///
    /// # Errors
    /// The store cannot be read.
    fn review(&self, id: &ReviewId) -> Result<Option<Arc<Review>>, Unavailable>;

    /// An item of a review.
    ///
    /// # Errors
    /// The store cannot be read.
    fn review_entry(&self, id: &ReviewId, subject: &Subject) -> Result<Option<Arc<ReviewEntry>>, Unavailable>;

    /// Items of a review, after `after`.
    ///
    /// # Errors
    /// The store cannot be read.
    fn review_entries(&self, id: &ReviewId, after: Option<&Subject>, limit: usize) -> Result<Vec<Arc<ReviewEntry>>, Unavailable>;

    /// An incident of an alert.
    ///
    /// # Errors
    /// The store cannot be read.
    fn incident(&self, id: &IncidentId) -> Result<Option<Arc<Incident>>, Unavailable>;

    /// The latest incident of a kind about something.
    ///
    /// # Errors
    /// The store cannot be read.
    fn latest_incident(&self, kind: AlertKind, subject: &AlertSubject) -> Result<Option<IncidentId>, Unavailable>;

    /// How many incidents of a kind and severity last.
    ///
    /// # Errors
    /// The store cannot be read.
    fn alert_tally(&self, kind: AlertKind, severity: Severity) -> Result<AlertTally, Unavailable>;

    /// What became of a caller's command with this key, and when.
    ///
    /// # Errors
    /// The store cannot be read.
    fn remembered(&self, caller: &Uid, key: &IdempotencyKey) -> Result<Option<(Timestamp, Remembered)>, Unavailable>;
}

/// What a command is decided on: the live bundle and everything that is stored.
pub trait Records: Facts + Tables {}

impl<T: Facts + Tables> Records for T {}

/// One of Elevon's own actions, as Cedar knows them in the namespace `Elevon`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Action {
    /// Ask for a role for oneself.
    ActivateRole,
    /// Ask for a role for somebody else.
    ActivateRoleFor,
    /// Take a role at once and without approval.
    ActivateInEmergency,
    /// Make somebody eligible, assign a role, extend or renew either, and take either back.
    AssignRole,
    /// Vote for a request.
    ApproveActivation,
    /// Vote against a request.
    DenyActivation,
    /// Take back somebody else's request.
    CancelActivation,
    /// End somebody else's activation.
    RevokeActivation,
    /// End every activation of a role at once.
    RevokeRole,
    /// End every activation of a principal at once.
    RevokePrincipal,
    /// Ask for more time for an activation.
    ExtendActivation,
    /// See somebody else's activation.
    ReadActivation,
    /// Ask for a decision about a subject of a kind.
    CheckAccess,
    /// Ask for the reasons of a decision.
    ExplainAccess,
    /// Say who somebody else is, as a gateway does that has looked at a credential itself.
    VouchIdentity,
    /// Store, delete, disable and read entities.
    ManageEntity,
    /// Put something into, or take it out of, a group or a container.
    ManageMembership,
    /// Reload and read policies.
    ManageBundle,
    /// Read the journal.
    ReadAudit,
    /// Read metrics.
    ReadMetrics,
    /// Watch the journal as it grows.
    SubscribeEvents,
    /// Decide in an access review whether a grant stays, or whether an emergency was one.
    ReviewAccess,
    /// Define access reviews, open, complete and carry them out, and read all of them.
    ManageReviews,
    /// Read incidents of alerts, put them aside, and remedy them.
    ManageAlerts,
    /// See how destinations of notifications fare, try them, and what could not be delivered.
    ManageNotifications,
}

impl Action {
    /// Every action, in the order of the generated schema.
    pub const ALL: [Self; 25] = [
        Self::ActivateRole,
        Self::ActivateRoleFor,
        Self::ActivateInEmergency,
        Self::AssignRole,
        Self::ApproveActivation,
        Self::DenyActivation,
        Self::CancelActivation,
        Self::RevokeActivation,
        Self::RevokeRole,
        Self::RevokePrincipal,
        Self::ExtendActivation,
        Self::ReadActivation,
        Self::CheckAccess,
        Self::ExplainAccess,
        Self::VouchIdentity,
        Self::ManageEntity,
        Self::ManageMembership,
        Self::ManageBundle,
        Self::ReadAudit,
        Self::ReadMetrics,
        Self::SubscribeEvents,
        Self::ReviewAccess,
        Self::ManageReviews,
        Self::ManageAlerts,
        Self::ManageNotifications,
    ];

    /// The id in `Elevon::Action::"…"`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ActivateRole => "activateRole",
            Self::ActivateRoleFor => "activateRoleFor",
            Self::ActivateInEmergency => "activateInEmergency",
            Self::AssignRole => "assignRole",
            Self::ApproveActivation => "approveActivation",
            Self::DenyActivation => "denyActivation",
            Self::CancelActivation => "cancelActivation",
            Self::RevokeActivation => "revokeActivation",
            Self::RevokeRole => "revokeRole",
            Self::RevokePrincipal => "revokePrincipal",
            Self::ExtendActivation => "extendActivation",
            Self::ReadActivation => "readActivation",
            Self::CheckAccess => "checkAccess",
            Self::ExplainAccess => "explainAccess",
            Self::VouchIdentity => "vouchIdentity",
            Self::ManageEntity => "manageEntity",
            Self::ManageMembership => "manageMembership",
            Self::ManageBundle => "manageBundle",
            Self::ReadAudit => "readAudit",
            Self::ReadMetrics => "readMetrics",
            Self::SubscribeEvents => "subscribeEvents",
            Self::ReviewAccess => "reviewAccess",
            Self::ManageReviews => "manageReviews",
            Self::ManageAlerts => "manageAlerts",
            Self::ManageNotifications => "manageNotifications",
        }
    }
}

/// What an Elevon action is asked about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Object {
    /// `Elevon::RoleGrant`: a role that is about to be asked for, granted or reviewed. Its parents are the role and the scope.
    RoleGrant {
        /// The role.
        role: RoleName,
        /// Where.
        scope: Option<Uid>,
        /// Who gets it: a principal or a group.
        beneficiary: Uid,
        /// For how long; nothing for a grant without an end.
        duration: Option<Duration>,
    },
    /// `Elevon::RoleActivation`: a request or an activation. Its parents are the role and the scope.
    RoleActivation {
        /// Its id.
        id: ActivationId,
        /// The role.
        role: RoleName,
        /// Where.
        scope: Option<Uid>,
        /// Who gets it.
        beneficiary: Uid,
        /// Who asked.
        requester: Option<Uid>,
    },
    /// A role as such, wherever it is held.
    Role(RoleName),
    /// An entity of the author's.
    Entity(Uid),
    /// `Elevon::SubjectKind::"<type>"`: subjects of an entity type.
    SubjectKind(String),
    /// The same for one subject, who is then `context.beneficiary`: so that a policy can let everybody ask about themselves.
    Subject(Uid),
    /// `Elevon::Sidecar::"self"`.
    Sidecar,
}

/// A question to the authority: may this actor do this to that, as things stand?
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// Who wants to act.
    pub actor: Actor,
    /// What they want to do.
    pub action: Action,
    /// To what.
    pub object: Object,
    /// When.
    pub now: Timestamp,
}

/// Why the authority said no.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// No policy permits it, or one forbids it. The ids of the policies that forbade it.
    Denied(Vec<String>),
    /// The facts could not be read.
    Unavailable(Unavailable),
}

/// Decides over Elevon's own actions. The policy room implements it with Cedar, over the same facts that the command is decided on.
pub trait Authority {
    /// Whether the policies permit it. [`Actor::System`] is never asked about.
    ///
    /// # Errors
    /// They do not, or the facts could not be read.
    fn permits(&self, facts: &dyn Facts, question: &Question) -> Result<(), Refusal>;

    /// Whether an entity is as the schema wants it.
    ///
    /// # Errors
    /// It is not; the text says what is wrong and where.
    fn conforms(&self, uid: &Uid, parents: &[Uid], attrs: &JsonObject) -> Result<(), String>;
}

/// Proof that the authority permitted a question. Nothing else makes one.
#[derive(Debug)]
#[must_use]
pub struct Permitted {
    _asked: (),
}

impl Permitted {
    /// Asks the authority. Elevon itself (timers, the watched folder) is permitted without asking.
    ///
    /// # Errors
    /// [`Rejection::NotPermitted`], or the facts could not be read.
    pub fn ask(authority: &dyn Authority, facts: &dyn Facts, question: &Question) -> Result<Self, Rejection> {
        let Some(principal) = question.actor.principal() else {
            return Ok(Self { _asked: () });
        };
        match authority.permits(facts, question) {
            Ok(()) => Ok(Self { _asked: () }),
            Err(Refusal::Denied(policies)) => {
                Err(Rejection::NotPermitted { principal: principal.clone(), action: question.action.as_str().to_owned(), policies })
            }
            Err(Refusal::Unavailable(unavailable)) => Err(unavailable.into()),
        }
    }
}
