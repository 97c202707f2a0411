//! What somebody can be told of, and who hears of it by a role's settings. What is sent, and how, is no matter of the domain's.

use std::collections::{BTreeMap, BTreeSet};

use super::event::Event;
use super::id::Uid;

/// A kind of event as those who are told of it know it. A role's settings say who hears of which, and a destination's what it takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Notice {
    /// A request was made, or its next stage is asked.
    Requested,
    /// An approver said yes.
    Approved,
    /// An approver said no.
    Denied,
    /// A request was taken back.
    Cancelled,
    /// Nobody decided in time.
    TimedOut,
    /// A request can no longer begin.
    Failed,
    /// Approved, to begin later.
    Scheduled,
    /// A role is held from now on.
    Activated,
    /// An activation runs longer.
    Extended,
    /// An activation ends earlier than it was to.
    Shortened,
    /// An activation ended by time.
    Expired,
    /// Its holder ended an activation.
    Deactivated,
    /// Somebody else, or another change, ended an activation.
    Revoked,
    /// Somebody broke the glass.
    Emergency,
    /// Too few approvers are left.
    QuorumUnreachable,
    /// An eligibility came, went or runs longer.
    Eligibility,
    /// An assignment came, went or runs longer.
    Assignment,
    /// A request to extend or renew a grant, and what became of it.
    GrantRequest,
    /// A review was opened, is asked, or is over.
    Review,
    /// What is reviewed, and when, was changed.
    ReviewDefinition,
    /// An incident of an alert: raised, put aside, armed again, or over.
    Alert,
    /// An entity was stored, deleted, disabled or enabled.
    Entity,
    /// A bundle went live.
    Policies,
    /// A clock that had jumped ahead is believed again.
    Clock,
    /// A command was refused.
    Refused,
    /// What records need and nobody waits for: cascades, votes that became void, single items of a review.
    Upkeep,
}

impl Notice {
    /// Every kind.
    pub const ALL: [Self; 26] = [
        Self::Requested,
        Self::Approved,
        Self::Denied,
        Self::Cancelled,
        Self::TimedOut,
        Self::Failed,
        Self::Scheduled,
        Self::Activated,
        Self::Extended,
        Self::Shortened,
        Self::Expired,
        Self::Deactivated,
        Self::Revoked,
        Self::Emergency,
        Self::QuorumUnreachable,
        Self::Eligibility,
        Self::Assignment,
        Self::GrantRequest,
        Self::Review,
        Self::ReviewDefinition,
        Self::Alert,
        Self::Entity,
        Self::Policies,
        Self::Clock,
        Self::Refused,
        Self::Upkeep,
    ];

    /// The word for it, in files and in messages.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Requested => "requested",
            Self::Approved => "approved",
            Self::Denied => "denied",
            Self::Cancelled => "cancelled",
            Self::TimedOut => "timed_out",
            Self::Failed => "failed",
            Self::Scheduled => "scheduled",
            Self::Activated => "activated",
            Self::Extended => "extended",
            Self::Shortened => "shortened",
            Self::Expired => "expired",
            Self::Deactivated => "deactivated",
            Self::Revoked => "revoked",
            Self::Emergency => "emergency",
            Self::QuorumUnreachable => "quorum_unreachable",
            Self::Eligibility => "eligibility",
            Self::Assignment => "assignment",
            Self::GrantRequest => "grant_request",
            Self::Review => "review",
            Self::ReviewDefinition => "review_definition",
            Self::Alert => "alert",
            Self::Entity => "entity",
            Self::Policies => "policies",
            Self::Clock => "clock",
            Self::Refused => "refused",
            Self::Upkeep => "upkeep",
        }
    }

    /// Whether it is about a role, so that the role's settings can say who hears of it.
    #[must_use]
    pub fn is_of_a_role(self) -> bool {
        match self {
            Self::Requested
            | Self::Approved
            | Self::Denied
            | Self::Cancelled
            | Self::TimedOut
            | Self::Failed
            | Self::Scheduled
            | Self::Activated
            | Self::Extended
            | Self::Shortened
            | Self::Expired
            | Self::Deactivated
            | Self::Revoked
            | Self::Emergency
            | Self::QuorumUnreachable
            | Self::Eligibility
            | Self::Assignment
            | Self::GrantRequest => true,
            Self::Review
            | Self::ReviewDefinition
            | Self::Alert
            | Self::Entity
            | Self::Policies
            | Self::Clock
            | Self::Refused
            | Self::Upkeep => false,
        }
    }

    /// The kind that an event is of.
    #[must_use]
    pub fn of(event: &Event) -> Self {
        match event {
            Event::ActivationRequested { .. } | Event::StageReached { .. } => Self::Requested,
            Event::ApprovalGiven { .. } => Self::Approved,
            Event::ActivationDenied { .. } => Self::Denied,
            Event::ActivationCancelled { .. } => Self::Cancelled,
            Event::ActivationTimedOut { .. } => Self::TimedOut,
            Event::ActivationFailed { .. } => Self::Failed,
            Event::ActivationScheduled { .. } => Self::Scheduled,
            Event::ActivationStarted { .. } => Self::Activated,
            Event::ActivationExtended { .. } => Self::Extended,
            Event::ActivationClamped { .. } => Self::Shortened,
            Event::ActivationExpired { .. } => Self::Expired,
            Event::ActivationDeactivated { .. } => Self::Deactivated,
            Event::ActivationRevoked { .. } | Event::ActivationsVoided { .. } => Self::Revoked,
            Event::EmergencyUsed { .. } => Self::Emergency,
            Event::QuorumUnreachable { .. } => Self::QuorumUnreachable,
            Event::EligibilityCreated { .. }
            | Event::EligibilityRemoved { .. }
            | Event::EligibilityExpired { .. }
            | Event::EligibilityExtended { .. } => Self::Eligibility,
            Event::AssignmentCreated { .. }
            | Event::AssignmentRemoved { .. }
            | Event::AssignmentExpired { .. }
            | Event::AssignmentExtended { .. } => Self::Assignment,
            Event::GrantRequested { .. }
            | Event::GrantRequestApproved { .. }
            | Event::GrantRequestDenied { .. }
            | Event::GrantRequestCancelled { .. }
            | Event::GrantRequestTimedOut { .. } => Self::GrantRequest,
            Event::ReviewOpened { .. }
            | Event::ReviewStageBegan { .. }
            | Event::ReviewReminded { open: 1.., .. }
            | Event::ReviewCompleted { .. }
            | Event::ReviewApplied { .. } => Self::Review,
            Event::ReviewDefined { .. } | Event::ReviewsEnded { .. } => Self::ReviewDefinition,
            Event::EntityStored { .. } | Event::EntityDeleted { .. } | Event::EntityDisabled { .. } | Event::EntityEnabled { .. } => {
                Self::Entity
            }
            Event::Alert(_) => Self::Alert,
            Event::BundleActivated { .. } => Self::Policies,
            Event::ClockAccepted {} => Self::Clock,
            Event::CommandRefused { .. } => Self::Refused,
            // that nobody has to be reminded is nothing to be told
            Event::ReviewReminded { open: 0, .. }
            | Event::VotesVoided { .. }
            | Event::ReviewItemsTaken { .. }
            | Event::ReviewItemDecided { .. }
            | Event::ReviewApplying { .. }
            | Event::ReviewItemApplied { .. }
            | Event::CascadeContinues { .. }
            | Event::CascadeCompleted { .. } => Self::Upkeep,
        }
    }
}

/// Who hears of something, as a role's settings name them.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Hearer {
    /// Those who are asked: the approvers of the stage that a request waits for.
    Approvers,
    /// Who asked.
    Requester,
    /// Whom the role is for: the beneficiary, or the holder of the grant.
    Holder,
    /// A principal, or every member of a group.
    Entity(Uid),
    /// A destination of the configuration, by its name.
    Destination(String),
}

/// Who hears of what, by a role's settings.
pub type Hearers = BTreeMap<Notice, BTreeSet<Hearer>>;
