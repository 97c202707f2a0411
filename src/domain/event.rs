//! What happened. Events are the truth: [`super::apply`] over all of them gives everything else that is kept.

use serde::{Deserialize, Serialize};

use super::alert::AlertEvent;
use super::command::{Actor, BundleSource, Due, Everything};
use super::decide::Outcome;
use super::grant::{Activation, Assignment, Cause, Eligibility, GrantRef, GrantRequest, Vote};
use super::id::{
    ActivationId, AssignmentId, CommandId, EligibilityId, GrantRequestId, IdempotencyKey, ReviewDefinitionId, ReviewId, Revision, RoleName,
    Uid,
};
use super::rejection::Rejection;
use super::review::{Applied, Decided, Review, ReviewDefinition, ReviewItem, Subject, Taken, Upcoming};
use super::settings::EntityDef;
use super::text::{Digest, TextDigest};
use super::time::{Timestamp, Window};

/// Most events in one record; a larger cascade goes on in follow-up commands.
pub const MAX_EVENTS: usize = 1000;

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Event {
    /// A request was made. Its state is pending; where no approval is needed, `activation_started` follows in the same record.
    ActivationRequested {
        /// As it was asked for.
        activation: Box<Activation>,
    },
    /// An approver voted for a request.
    ApprovalGiven {
        /// Which request.
        id: ActivationId,
        /// The vote.
        vote: Vote,
    },
    /// Earlier votes no longer count: who cast them may no longer vote.
    VotesVoided {
        /// Which request.
        id: ActivationId,
        /// Whose votes.
        voters: Vec<Uid>,
    },
    /// A stage reached its quorum and the next one is asked.
    StageReached {
        /// Which request.
        id: ActivationId,
        /// The stage that is asked now, from 0.
        stage: u32,
        /// When that stage times out.
        timeout_at: Timestamp,
    },
    /// Too few approvers are left under a bundle that went live: unless that changes, the request times out. Of high severity.
    QuorumUnreachable {
        /// Which request.
        id: ActivationId,
        /// The stage, from 0.
        stage: u32,
        /// Its quorum.
        needed: u32,
        /// Who could vote.
        available: u32,
    },
    /// Approved, to begin later.
    ActivationScheduled {
        /// Which activation.
        id: ActivationId,
        /// When it is to begin.
        start: Timestamp,
        /// When it is too late to begin.
        begin_by: Timestamp,
    },
    /// The window began.
    ActivationStarted {
        /// Which activation.
        id: ActivationId,
        /// Its window.
        window: Window,
        /// Whether the role's settings of now gave it less time than was asked for.
        clamped: bool,
    },
    /// An extension was granted: the activation runs on.
    ActivationExtended {
        /// Which activation.
        id: ActivationId,
        /// The request to extend it.
        by: ActivationId,
        /// Until when it runs.
        end: Timestamp,
        /// Whether the role's settings of now gave it less time than was asked for.
        clamped: bool,
    },
    /// The role allows less time by now than the activation was given, or, where it is to begin later, than was asked for.
    ActivationClamped {
        /// Which activation.
        id: ActivationId,
        /// Until when it runs.
        end: Timestamp,
        /// Why.
        cause: Cause,
    },
    /// Somebody broke the glass. Of high severity; a review is owed.
    EmergencyUsed {
        /// Which activation.
        id: ActivationId,
        /// Until when it has to be reviewed.
        review_by: Timestamp,
    },
    /// Everything that was activated or asked for up to this record, of a principal or of a role, is void. What follows records each one's end.
    ActivationsVoided {
        /// Whose, or of what.
        of: Everything,
        /// The reason given.
        reason: Option<TextDigest>,
    },
    /// A clock that had jumped ahead is believed again; every holding that is bound to time is void.
    ClockAccepted {},
    /// An approver said no.
    ActivationDenied {
        /// Which request.
        id: ActivationId,
        /// The reason given.
        reason: Option<TextDigest>,
    },
    /// Taken back before it began.
    ActivationCancelled {
        /// Which request.
        id: ActivationId,
        /// The reason given.
        reason: Option<TextDigest>,
    },
    /// Nobody decided in time.
    ActivationTimedOut {
        /// Which request.
        id: ActivationId,
    },
    /// A pending request can no longer begin.
    ActivationFailed {
        /// Which request.
        id: ActivationId,
        /// Why.
        cause: Cause,
    },
    /// Its holder ended it.
    ActivationDeactivated {
        /// Which activation.
        id: ActivationId,
        /// The reason given.
        reason: Option<TextDigest>,
    },
    /// Somebody else, or another change, ended it.
    ActivationRevoked {
        /// Which activation.
        id: ActivationId,
        /// The reason given.
        reason: Option<TextDigest>,
        /// The change that it followed from, where no person ended this very activation.
        cause: Option<Cause>,
    },
    /// Its window ended.
    ActivationExpired {
        /// Which activation.
        id: ActivationId,
    },
    /// Somebody became eligible.
    EligibilityCreated {
        /// As it was granted.
        eligibility: Eligibility,
    },
    /// An eligibility was removed.
    EligibilityRemoved {
        /// Which.
        id: EligibilityId,
        /// The reason given.
        reason: Option<TextDigest>,
    },
    /// An eligibility's window ended.
    EligibilityExpired {
        /// Which.
        id: EligibilityId,
    },
    /// An eligibility runs longer.
    EligibilityExtended {
        /// Which.
        id: EligibilityId,
        /// Until when.
        end: Timestamp,
    },
    /// An assignment runs longer.
    AssignmentExtended {
        /// Which.
        id: AssignmentId,
        /// Until when.
        end: Timestamp,
    },
    /// Somebody asked to extend or renew a grant.
    GrantRequested {
        /// As it was asked for.
        request: GrantRequest,
    },
    /// A request to extend or renew was granted; what became of the grant stands in the same record.
    GrantRequestApproved {
        /// Which request.
        id: GrantRequestId,
        /// The grant that runs on, or the new one.
        grant: GrantRef,
        /// The reason given.
        reason: Option<TextDigest>,
    },
    /// A request to extend or renew was refused.
    GrantRequestDenied {
        /// Which request.
        id: GrantRequestId,
        /// The reason given.
        reason: Option<TextDigest>,
    },
    /// A request to extend or renew was taken back.
    GrantRequestCancelled {
        /// Which request.
        id: GrantRequestId,
        /// The reason given.
        reason: Option<TextDigest>,
    },
    /// Nobody decided on a request to extend or renew.
    GrantRequestTimedOut {
        /// Which request.
        id: GrantRequestId,
    },
    /// Somebody was assigned a role.
    AssignmentCreated {
        /// As it was granted.
        assignment: Assignment,
    },
    /// An assignment was removed.
    AssignmentRemoved {
        /// Which.
        id: AssignmentId,
        /// The reason given.
        reason: Option<TextDigest>,
    },
    /// An assignment's window ended.
    AssignmentExpired {
        /// Which.
        id: AssignmentId,
    },
    /// An entity was stored.
    EntityStored {
        /// As it is now.
        entity: EntityDef,
    },
    /// A stored entity was deleted; its incarnation rose.
    EntityDeleted {
        /// Which.
        uid: Uid,
        /// The reason given.
        reason: Option<TextDigest>,
    },
    /// An entity was disabled.
    EntityDisabled {
        /// Which.
        uid: Uid,
        /// The reason given.
        reason: Option<TextDigest>,
    },
    /// An entity was enabled again.
    EntityEnabled {
        /// Which.
        uid: Uid,
        /// The reason given.
        reason: Option<TextDigest>,
    },
    /// A bundle went live.
    BundleActivated {
        /// Its revision.
        revision: Revision,
        /// The one before; nothing for the first.
        previous: Option<Revision>,
        /// Where it came from.
        source: BundleSource,
        /// Roles that are no longer defined; their incarnations rose.
        roles_removed: Vec<RoleName>,
        /// Entities that the bundle no longer owns; their incarnations rose.
        entities_removed: Vec<Uid>,
        /// Stored entities that the bundle owns from now on; what the API stored is kept and hidden.
        entities_shadowed: Vec<Uid>,
    },
    /// A cascade was too large for this record; a timer goes on with it.
    CascadeContinues {
        /// What the cascade follows from.
        cause: Cause,
    },
    /// A cascade reached its end.
    CascadeCompleted {
        /// What the cascade followed from.
        cause: Cause,
    },
    /// Somebody said what is to be reviewed, anew or instead of what was said before.
    ReviewDefined {
        /// As it is now.
        definition: Box<ReviewDefinition>,
    },
    /// No more reviews are opened of a definition.
    ReviewsEnded {
        /// Which definition.
        id: ReviewDefinitionId,
        /// The reason given.
        reason: Option<TextDigest>,
    },
    /// A review was opened. Its items follow, in this record and in those that go on with it.
    ReviewOpened {
        /// As it was opened.
        review: Box<Review>,
        /// When its definition's next review begins.
        next: Option<Upcoming>,
    },
    /// Items were taken into a review.
    ReviewItemsTaken {
        /// Which review.
        id: ReviewId,
        /// As they stand, with the marks of use that their recommendations rest on.
        items: Vec<ReviewItem>,
        /// The last grant that was looked at.
        after: Option<Taken>,
        /// Whether more matched than a review takes.
        truncated: bool,
    },
    /// Reviewers of a stage are asked from now on.
    ReviewStageBegan {
        /// Which review.
        id: ReviewId,
        /// The stage, from 0.
        stage: u32,
        /// Until when.
        ends_at: Timestamp,
        /// When those are reminded who have not answered.
        remind_at: Option<Timestamp>,
    },
    /// Those are reminded who have not answered.
    ReviewReminded {
        /// Which review.
        id: ReviewId,
        /// The stage, from 0.
        stage: u32,
        /// How many items nobody answered in it.
        open: u32,
        /// Until when they can.
        ends_at: Timestamp,
        /// When they are reminded once more.
        remind_at: Option<Timestamp>,
    },
    /// Somebody decided on an item.
    ReviewItemDecided {
        /// Which review.
        id: ReviewId,
        /// Which item.
        subject: Subject,
        /// The stage, from 0.
        stage: u32,
        /// What.
        decided: Decided,
        /// The reason given.
        reason: TextDigest,
    },
    /// Nobody is asked any more.
    ReviewCompleted {
        /// Which review.
        id: ReviewId,
        /// How many items it has.
        items: u32,
        /// On how many of them nobody decided who knew.
        undecided: u32,
        /// How many of them are to be taken away.
        removals: u32,
        /// Whether these are so many that they have to be confirmed.
        confirm: bool,
        /// The reason given, where it was ended before its time.
        reason: Option<TextDigest>,
    },
    /// A review is carried out from now on.
    ReviewApplying {
        /// Which review.
        id: ReviewId,
        /// How many removals were confirmed, where they had to be.
        confirmed: Option<u32>,
    },
    /// Something was done about an item; what, stands in the same record.
    ReviewItemApplied {
        /// Which review.
        id: ReviewId,
        /// Which item.
        subject: Subject,
        /// What became of it.
        applied: Applied,
    },
    /// A review is carried out.
    ReviewApplied {
        /// Which review.
        id: ReviewId,
        /// How many items it had.
        items: u32,
        /// How many of them were taken away.
        removed: u32,
    },
    /// Something is said of an incident of an alert.
    Alert(AlertEvent),
    /// A command was refused, or a rule refused the same caller `count` times within a minute.
    CommandRefused {
        /// The rule, by its word.
        rule: String,
        /// How often.
        count: u64,
        /// What the first of them was told.
        detail: Option<String>,
    },
}

/// What a repeated command gets: kept for [`super::decide::IDEMPOTENCY_HOURS`] hours.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remembered {
    /// The caller's key.
    pub key: IdempotencyKey,
    /// The digest of the body that came with it first.
    pub body: Digest,
    /// What became of it.
    pub result: Result<Outcome, Rejection>,
}

/// One command's record in the journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// The version of this form.
    pub v: u32,
    /// The record's place in the journal, from 1.
    pub seq: u64,
    /// SHA-256 over the canonical bytes of the record before; zeros for the first.
    pub prev: Digest,
    /// When it was decided.
    pub at: Timestamp,
    /// Who asked.
    pub actor: Actor,
    /// The bundle it was decided under.
    pub revision: Revision,
    /// The command's id.
    pub command_id: CommandId,
    /// The command's name.
    pub command: String,
    /// What happened, in order.
    pub events: Vec<Event>,
    /// What a repetition of the command gets.
    pub idempotency: Option<Remembered>,
}

/// The version of [`Record`] that this Elevon writes.
pub const RECORD_VERSION: u32 = 1;

impl Record {
    /// Its canonical bytes (RFC 8785): what is stored, hashed and exported.
    ///
    /// # Errors
    /// A number in it has no canonical form.
    pub fn to_canonical(&self) -> Result<Vec<u8>, String> {
        serde_json_canonicalizer::to_vec(self).map_err(|error| error.to_string())
    }
}

impl Event {
    /// The word for it, as in its `kind`.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::ActivationRequested { .. } => "activation_requested",
            Self::ApprovalGiven { .. } => "approval_given",
            Self::VotesVoided { .. } => "votes_voided",
            Self::StageReached { .. } => "stage_reached",
            Self::QuorumUnreachable { .. } => "quorum_unreachable",
            Self::ActivationScheduled { .. } => "activation_scheduled",
            Self::ActivationExtended { .. } => "activation_extended",
            Self::ActivationClamped { .. } => "activation_clamped",
            Self::EmergencyUsed { .. } => "emergency_used",
            Self::ActivationsVoided { .. } => "activations_voided",
            Self::ClockAccepted {} => "clock_accepted",
            Self::EligibilityExtended { .. } => "eligibility_extended",
            Self::AssignmentExtended { .. } => "assignment_extended",
            Self::GrantRequested { .. } => "grant_requested",
            Self::GrantRequestApproved { .. } => "grant_request_approved",
            Self::GrantRequestDenied { .. } => "grant_request_denied",
            Self::GrantRequestCancelled { .. } => "grant_request_cancelled",
            Self::GrantRequestTimedOut { .. } => "grant_request_timed_out",
            Self::ActivationStarted { .. } => "activation_started",
            Self::ActivationDenied { .. } => "activation_denied",
            Self::ActivationCancelled { .. } => "activation_cancelled",
            Self::ActivationTimedOut { .. } => "activation_timed_out",
            Self::ActivationFailed { .. } => "activation_failed",
            Self::ActivationDeactivated { .. } => "activation_deactivated",
            Self::ActivationRevoked { .. } => "activation_revoked",
            Self::ActivationExpired { .. } => "activation_expired",
            Self::EligibilityCreated { .. } => "eligibility_created",
            Self::EligibilityRemoved { .. } => "eligibility_removed",
            Self::EligibilityExpired { .. } => "eligibility_expired",
            Self::AssignmentCreated { .. } => "assignment_created",
            Self::AssignmentRemoved { .. } => "assignment_removed",
            Self::AssignmentExpired { .. } => "assignment_expired",
            Self::EntityStored { .. } => "entity_stored",
            Self::EntityDeleted { .. } => "entity_deleted",
            Self::EntityDisabled { .. } => "entity_disabled",
            Self::EntityEnabled { .. } => "entity_enabled",
            Self::BundleActivated { .. } => "bundle_activated",
            Self::CascadeContinues { .. } => "cascade_continues",
            Self::CascadeCompleted { .. } => "cascade_completed",
            Self::ReviewDefined { .. } => "review_defined",
            Self::ReviewsEnded { .. } => "reviews_ended",
            Self::ReviewOpened { .. } => "review_opened",
            Self::ReviewItemsTaken { .. } => "review_items_taken",
            Self::ReviewStageBegan { .. } => "review_stage_began",
            Self::ReviewReminded { .. } => "review_reminded",
            Self::ReviewItemDecided { .. } => "review_item_decided",
            Self::ReviewCompleted { .. } => "review_completed",
            Self::ReviewApplying { .. } => "review_applying",
            Self::ReviewItemApplied { .. } => "review_item_applied",
            Self::ReviewApplied { .. } => "review_applied",
            Self::Alert(_) => "alert",
            Self::CommandRefused { .. } => "command_refused",
        }
    }
}

/// A timer that the store keeps beside the row it belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Timer {
    /// When it is due.
    pub at: Timestamp,
    /// What it records.
    pub due: Due,
}
