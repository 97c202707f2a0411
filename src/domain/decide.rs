//! Looks at the facts, asks for permission, and either refuses a command or says what happens.

use serde::{Deserialize, Serialize};

use super::command::Envelope;
use super::event::Event;
use super::facts::{Authority, Records};
use super::id::{ActivationId, AssignmentId, EligibilityId, Revision, Uid};
use super::rejection::Rejection;
use super::standing::Moment;

/// How long the result of a command with an idempotency key is kept, in hours.
pub const IDEMPOTENCY_HOURS: u64 = 24;

/// What a command came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// A request was made, and granted at once where no approval is needed.
    ActivationCreated(ActivationId),
    /// What was asked for is there already.
    ActivationExists(ActivationId),
    /// An activation changed.
    ActivationChanged(ActivationId),
    /// An eligibility was created.
    EligibilityCreated(EligibilityId),
    /// An eligibility was removed.
    EligibilityRemoved(EligibilityId),
    /// An assignment was created.
    AssignmentCreated(AssignmentId),
    /// An assignment was removed.
    AssignmentRemoved(AssignmentId),
    /// An entity was stored for the first time.
    EntityCreated(Uid),
    /// A stored entity was replaced, disabled or enabled.
    EntityChanged(Uid),
    /// A stored entity was deleted.
    EntityDeleted(Uid),
    /// A bundle went live.
    BundleActivated(Revision),
    /// Nothing had to change; nothing is journaled.
    Unchanged,
}

/// A decision: what happens, and what the caller is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// What happens, in order. Nothing for [`Outcome::Unchanged`] and [`Outcome::ActivationExists`].
    pub events: Vec<Event>,
    /// What the caller is told.
    pub outcome: Outcome,
}

/// Decides a command at a moment.
///
/// # Errors
/// It is refused; nothing happens.
pub fn decide(facts: &dyn Records, authority: &dyn Authority, envelope: &Envelope, moment: Moment) -> Result<Decision, Rejection> {
    let _ = (facts, authority, envelope, moment);
    Err(Rejection::TimeUntrusted)
}
