//! What an event is about: for whoever looks events up, shows them or searches them, and does not care which of many things happened.

use super::command::Everything;
use super::event::Event;
use super::grant::Cause;
use super::id::{ActivationId, AssignmentId, EligibilityId, GrantRequestId, IncidentId, ReviewDefinitionId, ReviewId, RoleName, Uid};
use super::review::Subject;

/// What an event is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Topic<'a> {
    /// A request for an activation, or the activation that it became.
    Activation(&'a ActivationId),
    /// An eligibility.
    Eligibility(&'a EligibilityId),
    /// An assignment.
    Assignment(&'a AssignmentId),
    /// A request to extend or renew a grant.
    GrantRequest(&'a GrantRequestId),
    /// Somebody or something with a name, or everything that it holds.
    Entity(&'a Uid),
    /// Everything that is activated of a role.
    Role(&'a RoleName),
    /// What is to be reviewed.
    ReviewDefinition(&'a ReviewDefinitionId),
    /// A review as a whole.
    Review(&'a ReviewId),
    /// What a review says of one thing.
    ReviewItem(&'a ReviewId, &'a Subject),
    /// An incident of an alert.
    Incident(&'a IncidentId),
    /// A change that much follows from.
    Cascade(&'a Cause),
    /// The bundle.
    Bundle,
    /// The clock.
    Clock,
    /// What somebody was refused.
    Refusal,
}

impl Event {
    /// What it is about.
    #[must_use]
    pub fn topic(&self) -> Topic<'_> {
        match self {
            Self::ActivationRequested { activation } => Topic::Activation(&activation.id),
            Self::ApprovalGiven { id, .. }
            | Self::VotesVoided { id, .. }
            | Self::StageReached { id, .. }
            | Self::QuorumUnreachable { id, .. }
            | Self::ActivationScheduled { id, .. }
            | Self::ActivationStarted { id, .. }
            | Self::ActivationExtended { id, .. }
            | Self::ActivationClamped { id, .. }
            | Self::EmergencyUsed { id, .. }
            | Self::ActivationDenied { id, .. }
            | Self::ActivationCancelled { id, .. }
            | Self::ActivationTimedOut { id }
            | Self::ActivationFailed { id, .. }
            | Self::ActivationDeactivated { id, .. }
            | Self::ActivationRevoked { id, .. }
            | Self::ActivationExpired { id } => Topic::Activation(id),
            Self::EligibilityCreated { eligibility } => Topic::Eligibility(&eligibility.id),
            Self::EligibilityRemoved { id, .. } | Self::EligibilityExpired { id } | Self::EligibilityExtended { id, .. } => {
                Topic::Eligibility(id)
            }
            Self::AssignmentCreated { assignment } => Topic::Assignment(&assignment.id),
            Self::AssignmentRemoved { id, .. } | Self::AssignmentExpired { id } | Self::AssignmentExtended { id, .. } => {
                Topic::Assignment(id)
            }
            Self::GrantRequested { request } => Topic::GrantRequest(&request.id),
            Self::GrantRequestApproved { id, .. }
            | Self::GrantRequestDenied { id, .. }
            | Self::GrantRequestCancelled { id, .. }
            | Self::GrantRequestTimedOut { id } => Topic::GrantRequest(id),
            Self::EntityStored { entity } => Topic::Entity(&entity.uid),
            Self::EntityDeleted { uid, .. }
            | Self::EntityDisabled { uid, .. }
            | Self::EntityEnabled { uid, .. }
            | Self::ActivationsVoided { of: Everything::Principal(uid), .. } => Topic::Entity(uid),
            Self::ActivationsVoided { of: Everything::Role(role), .. } => Topic::Role(role),
            Self::ReviewDefined { definition } => Topic::ReviewDefinition(&definition.id),
            Self::ReviewsEnded { id, .. } => Topic::ReviewDefinition(id),
            Self::ReviewOpened { review, .. } => Topic::Review(&review.id),
            Self::ReviewItemsTaken { id, .. }
            | Self::ReviewStageBegan { id, .. }
            | Self::ReviewReminded { id, .. }
            | Self::ReviewCompleted { id, .. }
            | Self::ReviewApplying { id, .. }
            | Self::ReviewApplied { id, .. } => Topic::Review(id),
            Self::ReviewItemDecided { id, subject, .. } | Self::ReviewItemApplied { id, subject, .. } => Topic::ReviewItem(id, subject),
            Self::Alert(event) => Topic::Incident(event.incident()),
            Self::CascadeContinues { cause } | Self::CascadeCompleted { cause } => Topic::Cascade(cause),
            Self::BundleActivated { .. } => Topic::Bundle,
            Self::ClockAccepted {} => Topic::Clock,
            Self::CommandRefused { .. } => Topic::Refusal,
        }
    }
}
