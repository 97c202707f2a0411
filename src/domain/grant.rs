//! Eligibilities and assignments as they are kept, requests to prolong them, and the compact copy of all grants that a check reads.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::command::Actor;
use super::id::{ActivationId, AssignmentId, EligibilityId, GrantRequestId, Incarnation, RoleName, Uid};
use super::settings::EntityDef;
use super::text::TextDigest;
use super::time::{Timestamp, Window};

pub use super::activation::{Activation, ActivationState, ActivationStatus, Asked, Basis, Cause, Narrowed, TicketDigest, Vote};

/// The incarnations that a grant was given under. It counts only while all of them are still those of today.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Under {
    /// Of the principal or group that holds it.
    pub holder: Incarnation,
    /// Of the role.
    pub role: Incarnation,
    /// Of the scope; nothing where the grant has none.
    pub scope: Option<Incarnation>,
}

/// How a grant ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum GrantEnd {
    /// Time ended it; recorded by a timer some time after.
    Expired {
        /// When its window ended.
        at: Timestamp,
    },
    /// Somebody removed it.
    Removed {
        /// Who.
        by: Actor,
        /// When.
        at: Timestamp,
        /// The reason given.
        reason: Option<TextDigest>,
    },
}

/// May activate: a principal or a group, for a role, on a scope or everywhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Eligibility {
    /// Its id.
    pub id: EligibilityId,
    /// The principal or group that holds it.
    pub holder: Uid,
    /// The role.
    pub role: RoleName,
    /// Where the role may be activated: there and below; `None`: everywhere.
    pub scope: Option<Uid>,
    /// When.
    pub window: Window,
    /// Incarnations it was given under.
    pub under: Under,
    /// Who gave it.
    pub granted_by: Actor,
    /// When it was given.
    pub granted_at: Timestamp,
    /// The reason given.
    pub justification: Option<TextDigest>,
    /// The one that it renews.
    #[serde(default)]
    pub renews: Option<EligibilityId>,
    /// How it ended, where that is recorded.
    pub ended: Option<GrantEnd>,
}

/// Holds without activating: what activation is there to avoid.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Assignment {
    /// Its id.
    pub id: AssignmentId,
    /// The principal or group that holds it.
    pub holder: Uid,
    /// The role.
    pub role: RoleName,
    /// Where the role holds: there and below; `None`: everywhere.
    pub scope: Option<Uid>,
    /// When.
    pub window: Window,
    /// Incarnations it was given under.
    pub under: Under,
    /// Who gave it.
    pub granted_by: Actor,
    /// When it was given.
    pub granted_at: Timestamp,
    /// The reason given.
    pub justification: Option<TextDigest>,
    /// The one that it renews.
    #[serde(default)]
    pub renews: Option<AssignmentId>,
    /// The journal sequence of the record that gave it.
    #[serde(default)]
    pub seq: u64,
    /// How it ended, where that is recorded.
    pub ended: Option<GrantEnd>,
}

/// An eligibility or an assignment.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GrantRef {
    /// An eligibility.
    Eligibility(EligibilityId),
    /// An assignment.
    Assignment(AssignmentId),
}

/// Where a request to prolong a grant stands, as far as it is recorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum GrantRequestState {
    /// Waits for an administrator.
    Pending,
    /// Granted.
    Approved {
        /// By whom.
        by: Actor,
        /// When.
        at: Timestamp,
        /// The reason given.
        reason: Option<TextDigest>,
        /// The grant that runs on, or the new one.
        grant: GrantRef,
    },
    /// An administrator said no.
    Denied {
        /// Who.
        by: Actor,
        /// When.
        at: Timestamp,
        /// The reason given.
        reason: Option<TextDigest>,
    },
    /// Taken back.
    Cancelled {
        /// Who.
        by: Actor,
        /// When.
        at: Timestamp,
        /// The reason given.
        reason: Option<TextDigest>,
    },
    /// Nobody decided in time; recorded by a timer some time after.
    TimedOut {
        /// When.
        at: Timestamp,
    },
}

/// A request to extend a grant before its end, or to renew it after: an administrator decides.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GrantRequest {
    /// Its id.
    pub id: GrantRequestId,
    /// The grant.
    pub grant: GrantRef,
    /// Who holds the grant.
    pub holder: Uid,
    /// The grant's role.
    pub role: RoleName,
    /// The grant's scope.
    pub scope: Option<Uid>,
    /// Who asked.
    pub requester: Actor,
    /// When it was asked for.
    pub requested_at: Timestamp,
    /// Until when the grant is to run.
    pub end: Timestamp,
    /// When it is too late to decide.
    pub expires_at: Timestamp,
    /// The reason given.
    pub justification: Option<TextDigest>,
    /// Where it stands.
    pub state: GrantRequestState,
}

impl GrantRequest {
    /// Where it stands at an instant, as a word, and since when.
    #[must_use]
    pub fn status(&self, now: Timestamp) -> (&'static str, Timestamp) {
        match &self.state {
            GrantRequestState::Pending if self.expires_at <= now => ("timed_out", self.expires_at),
            GrantRequestState::Pending => ("pending", self.requested_at),
            GrantRequestState::Approved { at, .. } => ("approved", *at),
            GrantRequestState::Denied { at, .. } => ("denied", *at),
            GrantRequestState::Cancelled { at, .. } => ("cancelled", *at),
            GrantRequestState::TimedOut { at } => ("timed_out", *at),
        }
    }
}

/// What a principal has had of a role on one UTC day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct DayUse {
    /// Milliseconds of active time: used, and reserved for what still runs or is scheduled.
    pub millis: u64,
    /// How many emergencies began.
    pub emergencies: u32,
}

/// What is kept of a role.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct RoleRow {
    /// How often it left the bundle.
    pub incarnation: Incarnation,
    /// Activations asked for up to this journal sequence are revoked, whether or not a cascade has recorded it.
    pub void_before: u64,
}

/// What a check has to know of an eligibility.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EligibilityGrant {
    /// Its id.
    pub id: EligibilityId,
    /// The role.
    pub role: RoleName,
    /// Where.
    pub scope: Option<Uid>,
    /// When.
    pub window: Window,
    /// Incarnations it was given under.
    pub under: Under,
}

/// What a check has to know of an assignment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AssignmentGrant {
    /// Its id.
    pub id: AssignmentId,
    /// The role.
    pub role: RoleName,
    /// Where.
    pub scope: Option<Uid>,
    /// When.
    pub window: Window,
    /// Incarnations it was given under.
    pub under: Under,
    /// The journal sequence of the record that gave it.
    pub seq: u64,
}

/// What a check has to know of an activation that is recorded as active.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActivationGrant {
    /// Its id.
    pub id: ActivationId,
    /// The role.
    pub role: RoleName,
    /// Where.
    pub scope: Option<Uid>,
    /// When.
    pub window: Window,
    /// Incarnations it was asked for under.
    pub under: Under,
    /// What it rests on.
    pub basis: Basis,
    /// The incarnation of the eligibility's holder.
    pub basis_incarnation: Incarnation,
    /// How many persons approved it.
    pub approvals: u32,
    /// How often it was extended: each extension may last as long as the role allows for one activation.
    pub extensions: u32,
    /// Whether it is break-glass, and so as short as the role's settings for emergencies say.
    pub emergency: bool,
    /// Its ticket.
    pub ticket: Option<TicketDigest>,
    /// The journal sequence of the record that it was asked for in.
    pub seq: u64,
}

/// What a principal or a group was given. One value, read by every check.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Grants {
    /// Eligibilities not recorded as ended, by id.
    pub eligibilities: Vec<EligibilityGrant>,
    /// Assignments not recorded as ended, by id.
    pub assignments: Vec<AssignmentGrant>,
    /// Activations recorded as active, by id.
    pub activations: Vec<ActivationGrant>,
    /// Requests that wait for votes or for their start, by id.
    pub waiting: Vec<ActivationId>,
    /// When those of them begin that are approved for later, by id.
    pub starts: Vec<(ActivationId, Timestamp)>,
}

impl Grants {
    /// Whether nothing was given.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.eligibilities.is_empty() && self.assignments.is_empty() && self.activations.is_empty() && self.waiting.is_empty()
    }
}

/// Everything that is stored about one name: what the API defined under it, how often it was deleted, whether it is disabled, and what it was given.
/// What the bundle defines stands over `stored` and is not copied here.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct EntityRow {
    /// The journal sequence of the last record that changed this row. A check whose view is older than this takes a newer view.
    pub changed: u64,
    /// How often the name was deleted.
    pub incarnation: Incarnation,
    /// Whether it is disabled: denied by every check, whatever it holds.
    pub disabled: bool,
    /// Its activations asked for up to this journal sequence are revoked, whether or not a cascade has recorded it.
    pub void_before: u64,
    /// The definition that the API stored.
    pub stored: Option<Arc<EntityDef>>,
    /// What it was given.
    pub grants: Grants,
}
