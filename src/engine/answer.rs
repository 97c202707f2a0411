//! What the engine answers, and how it fails.

use std::sync::Arc;

use crate::domain::standing::{Holding, Moment};
use crate::domain::{Changes, Duration, Outcome, Rejection, Revision, Timestamp, Unavailable};
use crate::policy::{BundleError, Verdict};

use super::ports::Head;

/// A check's answer.
#[derive(Debug, Clone)]
pub struct Checked {
    /// What the bundle said.
    pub verdict: Verdict,
    /// The journal sequence as of which it was said.
    pub seq: u64,
}

/// Whether a principal holds a role at this moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Elevated {
    /// Whether it does: on the resource that was named, or everywhere where none was. Never for a role with conditions.
    pub elevated: bool,
    /// Whether the role has conditions: then only a check, which brings a context, can say whether it counts.
    pub needs_context: bool,
    /// Until when, as things stand; nothing where it does not hold it, or holds it without an end.
    pub until: Option<Timestamp>,
    /// The holdings of the role that count; where no resource was named, those that count on their scope only, too.
    pub holdings: Vec<Holding>,
    /// The bundle it was read under.
    pub revision: Revision,
    /// The journal sequence as of which it was read.
    pub seq: u64,
    /// The moment that was asked about.
    pub moment: Moment,
}

/// What would stand after a command that was only tried. [`super::Engine::previewed`] reads it.
#[derive(Debug, PartialEq)]
pub struct Preview {
    /// What applying it would change.
    pub(super) changes: Changes,
}

/// What became of a command.
#[derive(Debug, Clone, PartialEq)]
pub struct Reply {
    /// What it came to.
    pub outcome: Outcome,
    /// The sequence of its record, or of the last record it was decided on where it has none.
    pub seq: u64,
    /// Whether it was asked before with the same idempotency key, so that this is what was answered then.
    pub repeated: bool,
    /// What would stand, where it was only tried: `outcome` is then what it would come to, and nothing changed.
    pub preview: Option<Arc<Preview>>,
}

/// Why a command has no reply.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SubmitError {
    /// It was refused; nothing changed.
    #[error("{rejection}")]
    Rejected {
        /// Why.
        rejection: Rejection,
        /// The journal sequence as of which it was refused.
        seq: u64,
    },
    /// Too many commands wait already; nothing changed.
    #[error("too many commands wait already; try again in a moment")]
    Busy,
    /// The writer takes no commands any more; this one was not done, or was not seen to be durable.
    #[error("commands are no longer taken ({0}); restart the server once that is mended")]
    Poisoned(String),
    /// Nobody knows whether it was done.
    #[error("it is not known whether this was done ({0}); read before you try again")]
    Unknown(String),
}

/// The last bundle that was proposed and is not live, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BundleFailure {
    /// Why.
    pub message: String,
    /// When.
    pub at: Timestamp,
}

/// How the engine is.
#[derive(Debug, Clone, PartialEq)]
pub struct Health {
    /// Whether commands are taken.
    pub writer_ok: bool,
    /// Whether the clock is believed.
    pub time_trusted: bool,
    /// Where the journal ends.
    pub head: Head,
    /// The live bundle.
    pub revision: Revision,
    /// For how long it has been live.
    pub bundle_age: Duration,
    /// The last bundle that was proposed and is not live.
    pub last_error: Option<BundleFailure>,
    /// Whether something is wrong that does not keep it from answering: the folder holds a bundle that cannot go live.
    pub degraded: bool,
}

impl Health {
    /// Whether it can do its work: a bundle is live, the journal writes, time is trusted.
    #[must_use]
    pub fn ready(&self) -> bool {
        self.writer_ok && self.time_trusted
    }
}

/// Why the engine did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Neither the journal nor the folder has a bundle.
    #[error("there is no bundle: none was ever live here, and none was proposed; give `--policies` a folder with a valid bundle")]
    NoBundle,
    /// The journal names a bundle whose files are not stored.
    #[error("the live bundle {revision} is not in the data folder; restore the folder from a backup")]
    BundleMissing {
        /// Which.
        revision: Revision,
    },
    /// The live bundle was valid for the Elevon that took it and is not for this one.
    #[error(
        "the live bundle {revision} cannot be loaded by this version of elevon; start the version that took it, \
         mend the bundle there, and then upgrade\n{error}"
    )]
    BundleUnreadable {
        /// Which.
        revision: Revision,
        /// Why.
        error: BundleError,
    },
    /// The first bundle was refused.
    #[error("the first bundle was refused: {0}")]
    Refused(Rejection),
    /// The first bundle could not be committed.
    #[error("the first bundle could not be committed: {0}; check the disk under the data folder")]
    NotCommitted(String),
    /// What is stored cannot be read.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
    /// A thread could not be started.
    #[error("a thread could not be started: {0}")]
    Thread(#[from] std::io::Error),
}
