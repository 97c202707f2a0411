//! What the engine needs from outside: the truth, reads of what is committed, and the time.
//!
//! The engine owns these traits and the store implements them, so that nothing above them knows where the truth is kept.
//! Lost: the store as a type that the engine names, with a circle between the two and no second journal ever.

use std::collections::HashMap;
use std::sync::Arc;

use crate::domain::alert::{AlertKind, Incident, IncidentStatus, Severity};
use crate::domain::command::Due;
use crate::domain::grant::{ActivationStatus, EntityRow, GrantRef, RoleRow};
use crate::domain::review::{ReviewStatus, Subject};
use crate::domain::text::Digest;
use crate::domain::{
    Activation, ActivationId, Assignment, AssignmentId, Changes, Detectors, Eligibility, EligibilityId, GrantRequest, Review,
    ReviewDefinition, ReviewDefinitionId, ReviewEntry, ReviewId, Revision, RoleName, Tables, Timestamp, Uid, Unavailable,
};

/// Most rows that one call of a list looks at; a page with few items and a cursor says that there may be more.
pub const MAX_EXAMINED: usize = 10_000;
/// Most items in one page.
pub const MAX_PAGE: usize = 1000;

/// Where the journal ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// The sequence of the last record; 0 while there is none.
    pub seq: u64,
    /// SHA-256 over the canonical bytes of the last record; zeros while there is none.
    pub hash: Digest,
    /// When the last record was decided.
    pub at: Timestamp,
    /// The live bundle; nothing before the first one.
    pub revision: Option<Revision>,
}

impl Head {
    /// Before the first record.
    #[must_use]
    pub fn empty() -> Self {
        Self { seq: 0, hash: Digest([0; 32]), at: Timestamp::default(), revision: None }
    }
}

/// A record as it is stored: its canonical bytes, and what was read off them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed {
    /// Its place in the journal, from 1.
    pub seq: u64,
    /// When it was decided. One that cannot be read counts as decided with the one before it.
    pub at: Timestamp,
    /// SHA-256 over the bytes.
    pub hash: Digest,
    /// The canonical record.
    pub bytes: Vec<u8>,
}

/// What one commit writes: the records of a group of commands, and everything that they change. All of it or none.
#[derive(Debug, Clone, Default)]
#[must_use]
pub struct Batch {
    /// The records, in order, right after the expected head.
    pub records: Vec<Sealed>,
    /// The rows that they change, whole, and the texts that came with them.
    pub changes: Changes,
    /// Archives of bundles that went live, by revision.
    pub bundles: Vec<(Revision, Vec<u8>)>,
    /// The high-water mark of time.
    pub mark: Timestamp,
}

/// What became of a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub enum Committed {
    /// Durable, and applied here. The new head.
    Done(Head),
    /// The journal ends somewhere else; nothing was written. Where it ends.
    Conflict(Head),
    /// Nothing can be relied on from here: every later commit fails too. Why.
    Failed(String),
    /// No answer came; ask by command id before saying anything to the caller. Why.
    Unknown(String),
}

/// The one port to the truth. Durable (synced) and applied locally when it returns [`Committed::Done`].
pub trait Journal: Send {
    /// Where it ends.
    fn head(&self) -> Head;

    /// Everything that is stored as of the head, to decide on.
    fn tables(&self) -> &dyn Tables;

    /// Appends a batch, if the journal still ends at `expected`.
    fn commit(&mut self, expected: &Head, batch: Batch) -> Committed;
}

/// A name that stands above another one, and its row, where there is one.
pub type InnerRow = (Uid, Option<Arc<EntityRow>>);

/// Reads of what is committed, from any thread: for checks, lists and timers.
pub trait Reader: Tables + Send + Sync {
    /// Where the journal ends.
    fn head(&self) -> Head;

    /// The high-water mark of time that was saved last.
    fn mark(&self) -> Timestamp;

    /// What the clock was held against when that was saved last.
    ///
    /// # Errors
    /// The store cannot be read.
    fn anchor(&self) -> Result<Option<Anchor>, Unavailable>;

    /// Saves a high-water mark, and what the clock is held against. A mark never falls: an earlier one than stands there changes nothing.
    ///
    /// # Errors
    /// They cannot be written.
    fn save_mark(&self, mark: Timestamp, anchor: &Anchor) -> Result<(), Unavailable>;

    /// Every name that some stored entity names as its parent, with its row, where there is one. Loaded once, at start.
    ///
    /// # Errors
    /// The store cannot be read.
    fn inner_rows(&self) -> Result<Vec<InnerRow>, Unavailable>;

    /// What is kept of each role, of those that anything is kept of.
    ///
    /// # Errors
    /// The store cannot be read.
    fn role_rows(&self) -> Result<HashMap<RoleName, RoleRow>, Unavailable>;

    /// The archive of a bundle that was live once.
    ///
    /// # Errors
    /// The store cannot be read.
    fn bundle(&self, revision: &Revision) -> Result<Option<Vec<u8>>, Unavailable>;

    /// Since when the live bundle has been live; nothing before the first one.
    ///
    /// # Errors
    /// The store cannot be read.
    fn live_since(&self) -> Result<Option<Timestamp>, Unavailable>;

    /// When the next timer is due.
    ///
    /// # Errors
    /// The store cannot be read.
    fn next_due(&self) -> Result<Option<Timestamp>, Unavailable>;

    /// Timers that are due at `now`, earliest first.
    ///
    /// # Errors
    /// The store cannot be read.
    fn due(&self, now: Timestamp, limit: usize) -> Result<Vec<Due>, Unavailable>;

    /// Activations, newest first.
    ///
    /// # Errors
    /// The store cannot be read, or the cursor is not one of this list's.
    fn activations(&self, filter: &ActivationFilter, page: &Page) -> Result<Listing<Arc<Activation>>, Unavailable>;

    /// Requests recorded as pending, oldest first.
    ///
    /// # Errors
    /// The store cannot be read, or the cursor is not one of this list's.
    fn pending(&self, page: &Page) -> Result<Listing<Arc<Activation>>, Unavailable>;

    /// Eligibilities, by id.
    ///
    /// # Errors
    /// The store cannot be read, or the cursor is not one of this list's.
    fn eligibilities(&self, filter: &GrantFilter, page: &Page) -> Result<Listing<Arc<Eligibility>>, Unavailable>;

    /// Assignments, by id.
    ///
    /// # Errors
    /// The store cannot be read, or the cursor is not one of this list's.
    fn assignments(&self, filter: &GrantFilter, page: &Page) -> Result<Listing<Arc<Assignment>>, Unavailable>;

    /// Requests to extend or renew grants, newest first.
    ///
    /// # Errors
    /// The store cannot be read, or the cursor is not one of this list's.
    fn grant_requests(&self, filter: &GrantRequestFilter, page: &Page) -> Result<Listing<Arc<GrantRequest>>, Unavailable>;

    /// Review definitions, by id.
    ///
    /// # Errors
    /// The store cannot be read, or the cursor is not one of this list's.
    fn review_definitions(&self, page: &Page) -> Result<Listing<Arc<ReviewDefinition>>, Unavailable>;

    /// Reviews, newest first.
    ///
    /// # Errors
    /// The store cannot be read, or the cursor is not one of this list's.
    fn reviews(&self, filter: &ReviewFilter, page: &Page) -> Result<Listing<Arc<Review>>, Unavailable>;

    /// Items of a review, by kind and id; of one holder where one is given.
    ///
    /// # Errors
    /// The store cannot be read, or the cursor is not one of this list's.
    fn review_items(&self, id: &ReviewId, holder: Option<&Uid>, page: &Page) -> Result<Listing<Arc<ReviewEntry>>, Unavailable>;

    /// Incidents of alerts, newest first.
    ///
    /// # Errors
    /// The store cannot be read, or the cursor is not one of this list's.
    fn incidents(&self, filter: &IncidentFilter, page: &Page) -> Result<Listing<Arc<Incident>>, Unavailable>;

    /// What was saved last of what detectors know; nothing, where it was saved by an Elevon whose detectors knew other things.
    ///
    /// # Errors
    /// The store cannot be read.
    fn detection(&self) -> Result<Option<Detectors>, Unavailable>;

    /// Saves what detectors know. It is no truth: it follows from the journal, and what is lost of it is found there again.
    ///
    /// # Errors
    /// It cannot be written.
    fn save_detection(&self, state: &Detectors) -> Result<(), Unavailable>;

    /// Notes when roles, held by grants, last decided checks. It is no truth: what is lost of it is missing from a recommendation.
    ///
    /// # Errors
    /// They cannot be written.
    fn save_checks(&self, checks: &[(GrantRef, Timestamp)]) -> Result<(), Unavailable>;

    /// Names that something is stored about, in order; of one type where one is given.
    ///
    /// # Errors
    /// The store cannot be read, or the cursor is not one of this list's.
    fn entities(&self, kind: Option<&str>, page: &Page) -> Result<Listing<(Uid, Arc<EntityRow>)>, Unavailable>;

    /// Records of the journal, oldest first unless the filter says otherwise. A page begins with one seek to its cursor, so that whoever follows the
    /// journal asks for what came after a sequence ([`Page::after_seq`]) whenever there is more. Where something stands that is no record, its bytes
    /// are handed over as they are, whatever is looked for, so that whoever reads says so and goes on behind it.
    ///
    /// # Errors
    /// The store cannot be read, or the cursor is not one of this list's.
    fn journal(&self, filter: &AuditFilter, page: &Page) -> Result<Listing<Sealed>, Unavailable>;

    /// Reads ahead what checks will read, so that the first question about each name need not wait for the disk; returns when there is no more,
    /// no more room, or `stop` says so. Nothing depends on it.
    fn warm(&self, stop: &dyn Fn() -> bool) {
        let _ = stop;
    }

    /// How many activations are recorded as active.
    fn active_count(&self) -> u64;
}

/// Which part of a list is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// The cursor that the page before gave: opaque to callers.
    pub after: Option<String>,
    /// How many items at most: from 1 to [`MAX_PAGE`].
    pub limit: usize,
}

impl Page {
    /// The first page.
    #[must_use]
    pub fn first(limit: usize) -> Self {
        Self { after: None, limit }
    }

    /// The page of the journal that follows a sequence.
    #[must_use]
    pub fn after_seq(seq: u64, limit: usize) -> Self {
        Self { after: Some(seq.to_string()), limit }
    }

    /// The limit, brought into its bounds.
    #[must_use]
    pub fn bounded(&self) -> usize {
        self.limit.clamp(1, MAX_PAGE)
    }

    /// The cursor of [`Reader::journal`]: the last sequence.
    ///
    /// # Errors
    /// It is not one. Callers ask this first, to tell a bad cursor from a store that cannot be read.
    pub fn after_record(&self) -> Result<Option<u64>, BadCursor> {
        self.read(|cursor| cursor.parse().ok())
    }

    /// The cursor of [`Reader::entities`]: the last name.
    ///
    /// # Errors
    /// It is not one.
    pub fn after_uid(&self) -> Result<Option<Uid>, BadCursor> {
        self.read(|cursor| Uid::parse(cursor).ok())
    }

    /// The cursor of [`Reader::eligibilities`] and [`Reader::assignments`]: the last id.
    ///
    /// # Errors
    /// It is not one.
    pub fn after_id<T: TryFrom<String>>(&self) -> Result<Option<T>, BadCursor> {
        self.read(|cursor| T::try_from(cursor.to_owned()).ok())
    }

    /// The cursor of [`Reader::activations`], [`Reader::pending`] and [`Reader::grant_requests`]: when the last one was asked for, and its id.
    ///
    /// # Errors
    /// It is not one.
    pub fn after_request<T: TryFrom<String>>(&self) -> Result<Option<(Timestamp, T)>, BadCursor> {
        self.read(|cursor| {
            let (millis, id) = cursor.split_once('.')?;
            Some((Timestamp::from_millis(millis.parse().ok()?), T::try_from(id.to_owned()).ok()?))
        })
    }

    /// The cursor of [`Reader::review_items`]: the last item.
    ///
    /// # Errors
    /// It is not one.
    pub fn after_subject(&self) -> Result<Option<Subject>, BadCursor> {
        self.read(|cursor| {
            let (kind, id) = cursor.split_once('.')?;
            match kind {
                "eligibility" => EligibilityId::new(id).ok().map(Subject::Eligibility),
                "assignment" => AssignmentId::new(id).ok().map(Subject::Assignment),
                "activation" => ActivationId::new(id).ok().map(Subject::Activation),
                _ => None,
            }
        })
    }

    fn read<T>(&self, parse: impl FnOnce(&str) -> Option<T>) -> Result<Option<T>, BadCursor> {
        let Some(cursor) = &self.after else { return Ok(None) };
        parse(cursor).map(Some).ok_or_else(|| BadCursor { cursor: cursor.clone() })
    }
}

/// The cursor after an item of a review.
#[must_use]
pub fn subject_cursor(subject: &Subject) -> String {
    format!("{}.{}", subject.kind(), subject.id())
}

/// A cursor that no page of this list gave.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{cursor}` is not a cursor of this list; send the one that the page before gave, or none to begin again")]
pub struct BadCursor {
    /// As it was sent.
    pub cursor: String,
}

impl From<BadCursor> for Unavailable {
    fn from(bad: BadCursor) -> Self {
        Self(bad.to_string())
    }
}

/// Part of a list. At most [`MAX_EXAMINED`] rows were looked at for it, so `next` may be set even with few items, or none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing<T> {
    /// What was found.
    pub items: Vec<T>,
    /// The cursor for what follows; nothing at the end.
    pub next: Option<String>,
}

/// Which activations are wanted: those that match all that is given.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ActivationFilter {
    /// Of this beneficiary.
    pub principal: Option<Uid>,
    /// For this role.
    pub role: Option<RoleName>,
    /// Standing there at `now`.
    pub status: Option<ActivationStatus>,
    /// Asked for at this instant or later.
    pub from: Option<Timestamp>,
    /// Asked for before this instant.
    pub to: Option<Timestamp>,
    /// The instant at which the status is told.
    pub now: Timestamp,
}

/// Which eligibilities or assignments are wanted: those that match all that is given.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct GrantFilter {
    /// Of this holder.
    pub holder: Option<Uid>,
    /// For this role.
    pub role: Option<RoleName>,
    /// Whether those recorded as ended are wanted too.
    pub include_ended: bool,
}

/// Which requests to extend or renew grants are wanted: those that match all that is given.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct GrantRequestFilter {
    /// About a grant of this holder.
    pub holder: Option<Uid>,
    /// About a grant of this role.
    pub role: Option<RoleName>,
    /// Standing there at `now`: `pending`, `approved`, `denied`, `cancelled` or `timed_out`.
    pub status: Option<String>,
    /// The instant at which the status is told.
    pub now: Timestamp,
}

/// Which reviews are wanted: those that match all that is given.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ReviewFilter {
    /// Of this definition.
    pub definition: Option<ReviewDefinitionId>,
    /// Standing there.
    pub status: Option<ReviewStatus>,
}

/// Which incidents are wanted: those that match all that is given.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct IncidentFilter {
    /// Of this kind of alert.
    pub kind: Option<AlertKind>,
    /// That matter so much.
    pub severity: Option<Severity>,
    /// Standing there.
    pub status: Option<IncidentStatus>,
    /// That concern this principal.
    pub principal: Option<Uid>,
    /// About this role.
    pub role: Option<RoleName>,
    /// Raised at this instant or later.
    pub from: Option<Timestamp>,
    /// Raised before this instant.
    pub to: Option<Timestamp>,
}

impl IncidentFilter {
    /// Whether an incident is wanted.
    #[must_use]
    pub fn means(&self, incident: &Incident) -> bool {
        let found = &incident.finding;
        self.kind.is_none_or(|kind| found.kind == kind)
            && self.severity.is_none_or(|severity| found.severity == severity)
            && self.status.is_none_or(|status| incident.status() == status)
            && self.principal.as_ref().is_none_or(|principal| found.principal.as_ref() == Some(principal))
            && self.role.as_ref().is_none_or(|role| found.role.as_ref() == Some(role))
            && self.from.is_none_or(|from| incident.raised_at >= from)
            && self.to.is_none_or(|to| incident.raised_at < to)
    }
}

/// Which records of the journal are wanted: those that match all that is given.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AuditFilter {
    /// Whose actor is this, or whose events name it.
    pub principal: Option<Uid>,
    /// Whose events name this role.
    pub role: Option<RoleName>,
    /// Whose events name this activation.
    pub activation: Option<ActivationId>,
    /// With an event of this kind.
    pub kind: Option<String>,
    /// Decided at this instant or later.
    pub from: Option<Timestamp>,
    /// Decided before this instant.
    pub to: Option<Timestamp>,
    /// Whether the newest come first; a cursor then means what is older.
    pub newest_first: bool,
}

/// Where a clock stood that was believed, beside the machine's running time: a clock that is far ahead of what follows from it has jumped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Anchor {
    /// Which start of the machine the running time counts from; empty where that cannot be told, and then it serves one process.
    pub machine_start: String,
    /// For how long the machine had been running, in milliseconds.
    pub running: i64,
    /// What the clock was to show.
    pub wall: Timestamp,
}

/// Where somebody on the machine says that a clock is to be believed that jumped ahead.
pub trait ClockDesk: Send + Sync {
    /// What was said and is not answered yet.
    ///
    /// # Errors
    /// It cannot be read. What is no such word is answered as that, and is none.
    fn asked(&self) -> Result<Option<ClockAsked>, Unavailable>;

    /// Answers it, and takes it away.
    ///
    /// # Errors
    /// The answer cannot be written.
    fn answer(&self, asked: &ClockAsked, answer: &ClockAnswer) -> Result<(), Unavailable>;
}

/// Somebody's word that a clock is to be believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClockAsked {
    /// By which the answer is told from that to another word.
    pub id: String,
    /// What the clock showed then.
    pub wall: Timestamp,
}

/// What became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClockAnswer {
    /// It is believed, and every holding is over that was bound to time.
    Accepted {
        /// What the clock shows.
        now: Timestamp,
        /// The sequence of the record.
        seq: u64,
    },
    /// It was believed already; nothing was ended.
    Believed {
        /// What the clock shows.
        now: Timestamp,
    },
    /// It is not, and why.
    Refused(String),
}

/// Tells the time. The engine holds what it says against the high-water mark, and against the machine's running time.
pub trait Clock: Send + Sync {
    /// What the clock shows.
    fn now(&self) -> Timestamp;

    /// For how long the machine has been running, in milliseconds. Nobody can set it, and it never goes back. It may lack sleep that
    /// [`Clock::count_sleep`] has not looked for.
    fn running(&self) -> i64;

    /// Looks for how long the machine slept, where its running time does not show that by itself.
    fn count_sleep(&self) {}

    /// Which start of the machine the running time counts from, by a name that no other start has; nothing where that cannot be told.
    fn machine_start(&self) -> Option<String>;

    /// Asks to be called when the clock was set, where it is one that can be; timers would sleep past it otherwise.
    fn on_move(&self, hook: Box<dyn Fn() + Send + Sync>) {
        drop(hook);
    }
}
