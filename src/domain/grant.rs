//! Eligibilities, assignments and activations as they are kept, and the compact copy of them that a check reads.

use serde::{Deserialize, Serialize};

use super::command::Actor;
use super::id::{ActivationId, AssignmentId, EligibilityId, Incarnation, RoleName, Uid};
use super::settings::EntityDef;
use super::text::{Digest, TextDigest};
use super::time::{Duration, Timestamp, Window};

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
    /// How it ended, where that is recorded.
    pub ended: Option<GrantEnd>,
}

/// A ticket as it is kept: both halves as digests of erasable texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct TicketDigest {
    /// Which system.
    pub system: TextDigest,
    /// The number there.
    pub number: TextDigest,
}

/// The eligibility that an activation rests on, and who held it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Basis {
    /// The eligibility.
    pub eligibility: EligibilityId,
    /// The beneficiary, or the group through which the beneficiary is eligible.
    pub holder: Uid,
}

/// One approver's word for a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vote {
    /// Who, and with what credential: the vote is asked of Cedar again at the deciding commit.
    pub voter: Actor,
    /// What counts as one person: the attribute `person`, or the principal itself.
    pub person: String,
    /// For which stage, from 0.
    pub stage: u32,
    /// When.
    pub at: Timestamp,
    /// The reason given.
    pub justification: Option<TextDigest>,
}

/// Why something was ended by another change rather than by a person.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// The eligibility that it rested on was removed.
    EligibilityRemoved(EligibilityId),
    /// The eligibility that it rested on ended.
    EligibilityEnded(EligibilityId),
    /// The principal was disabled.
    PrincipalDisabled(Uid),
    /// The principal was deleted.
    PrincipalDeleted(Uid),
    /// The group through which the principal was eligible was deleted, or the principal left it.
    GroupLeft(Uid),
    /// The scope was deleted.
    ScopeDeleted(Uid),
    /// The role left the bundle.
    RoleRemoved(RoleName),
}

/// Where an activation stands, as far as it is recorded. Ask [`Activation::status`] for where it stands at an instant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ActivationState {
    /// Waits for votes.
    Pending {
        /// The stage that is being asked, from 0.
        stage: u32,
        /// When that stage times out.
        timeout_at: Timestamp,
    },
    /// Holds for its window.
    Active {
        /// From the approval for as long as was approved.
        window: Window,
    },
    /// An approver said no.
    Denied {
        /// Who.
        by: Actor,
        /// When.
        at: Timestamp,
        /// The reason given.
        reason: Option<TextDigest>,
    },
    /// The requester or beneficiary took it back before it began.
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
        /// When the stage timed out.
        at: Timestamp,
    },
    /// It could not begin.
    Failed {
        /// When.
        at: Timestamp,
        /// Why.
        cause: Cause,
    },
    /// Its holder ended it.
    Deactivated {
        /// The window it had.
        window: Window,
        /// Who.
        by: Actor,
        /// When.
        at: Timestamp,
        /// The reason given.
        reason: Option<TextDigest>,
    },
    /// Somebody else, or another change, ended it.
    Revoked {
        /// The window it had.
        window: Window,
        /// Who.
        by: Actor,
        /// When.
        at: Timestamp,
        /// The reason given.
        reason: Option<TextDigest>,
        /// The change it followed from.
        cause: Option<Cause>,
    },
    /// Time ended it; recorded by a timer some time after.
    Expired {
        /// The window it had.
        window: Window,
    },
}

/// The word for where an activation stands at an instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ActivationStatus {
    /// Waits for votes.
    Pending,
    /// Holds, as far as its own window goes; whether it counts for a check is [`super::standing`]'s to say.
    Active,
    /// An approver said no.
    Denied,
    /// Taken back before it began.
    Cancelled,
    /// Nobody decided in time.
    TimedOut,
    /// Could not begin.
    Failed,
    /// Ended by its holder.
    Deactivated,
    /// Ended by somebody else or by another change.
    Revoked,
    /// Ended by time.
    Expired,
}

impl ActivationStatus {
    /// The word as it stands in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Active => "active",
            Self::Denied => "denied",
            Self::Cancelled => "cancelled",
            Self::TimedOut => "timed_out",
            Self::Failed => "failed",
            Self::Deactivated => "deactivated",
            Self::Revoked => "revoked",
            Self::Expired => "expired",
        }
    }
}

/// A request to hold a role for a while, and what became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Activation {
    /// Its id.
    pub id: ActivationId,
    /// Who gets the role: the beneficiary.
    pub principal: Uid,
    /// Who asked.
    pub requester: Actor,
    /// The role.
    pub role: RoleName,
    /// Where it holds: there and below; `None`: everywhere.
    pub scope: Option<Uid>,
    /// When it was asked for.
    pub requested_at: Timestamp,
    /// How long it is to last, from the moment it becomes active.
    pub duration: Duration,
    /// The reason given.
    pub justification: Option<TextDigest>,
    /// The ticket given.
    pub ticket: Option<TicketDigest>,
    /// What it rests on.
    pub basis: Basis,
    /// Incarnations it was asked for under.
    pub under: Under,
    /// The incarnation of the eligibility's holder.
    pub basis_incarnation: Incarnation,
    /// Every vote that stands, in the order cast.
    pub votes: Vec<Vote>,
    /// Where it stands.
    pub state: ActivationState,
}

impl Activation {
    /// Where it stands at an instant, whatever timers have or have not done.
    #[must_use]
    pub fn status(&self, now: Timestamp) -> ActivationStatus {
        match &self.state {
            ActivationState::Pending { timeout_at, .. } if *timeout_at <= now => ActivationStatus::TimedOut,
            ActivationState::Pending { .. } => ActivationStatus::Pending,
            ActivationState::Active { window } if window.ended(now) => ActivationStatus::Expired,
            ActivationState::Active { .. } => ActivationStatus::Active,
            ActivationState::Denied { .. } => ActivationStatus::Denied,
            ActivationState::Cancelled { .. } => ActivationStatus::Cancelled,
            ActivationState::TimedOut { .. } => ActivationStatus::TimedOut,
            ActivationState::Failed { .. } => ActivationStatus::Failed,
            ActivationState::Deactivated { .. } => ActivationStatus::Deactivated,
            ActivationState::Revoked { .. } => ActivationStatus::Revoked,
            ActivationState::Expired { .. } => ActivationStatus::Expired,
        }
    }

    /// Since when it is where it is at an instant.
    #[must_use]
    pub fn since(&self, now: Timestamp) -> Option<Timestamp> {
        match &self.state {
            ActivationState::Pending { timeout_at, .. } if *timeout_at <= now => Some(*timeout_at),
            ActivationState::Pending { .. } => Some(self.requested_at),
            ActivationState::Active { window } if window.ended(now) => window.end,
            ActivationState::Active { window } => Some(window.start),
            ActivationState::Denied { at, .. }
            | ActivationState::Cancelled { at, .. }
            | ActivationState::TimedOut { at }
            | ActivationState::Failed { at, .. }
            | ActivationState::Deactivated { at, .. }
            | ActivationState::Revoked { at, .. } => Some(*at),
            ActivationState::Expired { window } => window.end,
        }
    }

    /// Whether a command can still change it: it is recorded as pending or active.
    #[must_use]
    pub fn is_open(&self) -> bool {
        matches!(self.state, ActivationState::Pending { .. } | ActivationState::Active { .. })
    }

    /// What an approver of a stage votes on: everything that the decision is about, and the settings it is decided under.
    #[must_use]
    pub fn request_hash(&self, stage: u32, settings: &Digest) -> Digest {
        let scope = self.scope.as_ref().map(ToString::to_string).unwrap_or_default();
        let justification = self.justification.map(|text| text.0.to_string()).unwrap_or_default();
        let ticket = self.ticket.map(|ticket| format!("{}{}", ticket.system.0, ticket.number.0)).unwrap_or_default();
        let principal = self.principal.to_string();
        let requester = self.requester.to_string();
        let seconds = self.duration.secs().to_string();
        let stage = stage.to_string();
        let settings = settings.to_string();
        Digest::of_fields(
            [
                "elevon-request-1",
                self.id.as_str(),
                &principal,
                &requester,
                self.role.as_str(),
                &scope,
                &seconds,
                &justification,
                &ticket,
                self.basis.eligibility.as_str(),
                &stage,
                &settings,
            ]
            .map(str::as_bytes),
        )
    }
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
    /// Its ticket.
    pub ticket: Option<TicketDigest>,
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
    /// Requests that wait for votes, by id.
    pub pending: Vec<ActivationId>,
}

impl Grants {
    /// Whether nothing was given.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.eligibilities.is_empty() && self.assignments.is_empty() && self.activations.is_empty() && self.pending.is_empty()
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
    /// The definition that the API stored.
    pub stored: Option<EntityDef>,
    /// What it was given.
    pub grants: Grants,
}
