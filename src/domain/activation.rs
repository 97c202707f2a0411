//! A request to hold a role for a while, and everything that can become of it.

use serde::{Deserialize, Serialize};

use super::command::Actor;
use super::grant::Under;
use super::id::{ActivationId, EligibilityId, Incarnation, RoleName, Uid};
use super::text::{Digest, TextDigest};
use super::time::{Duration, Timestamp, Window};

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
    /// How long the stage had waited by then: a fallback approver's vote counts only after the fallback's delay.
    #[serde(default)]
    pub waited: Duration,
    /// What the voter gave less than was asked for.
    #[serde(default)]
    pub narrowed: Narrowed,
    /// The reason given.
    pub justification: Option<TextDigest>,
}

/// What an approver grants less than what stood there: never more.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Narrowed {
    /// A scope at or below the one that stood there, with its incarnation.
    pub scope: Option<(Uid, Incarnation)>,
    /// A shorter time.
    pub duration: Option<Duration>,
}

/// What was asked for first, where an approver gave less.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// Where.
    pub scope: Option<Uid>,
    /// For how long.
    pub duration: Duration,
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
    /// A bundle allows the role less time than it did.
    CapLowered(RoleName),
    /// Everything that the principal had activated was revoked at once.
    PrincipalRevoked(Uid),
    /// Everything that was activated of the role was revoked at once.
    RoleRevoked(RoleName),
    /// An administrator said that the clock, which had jumped ahead, is to be believed.
    ClockAccepted,
    /// The policies no longer permit the requester to ask for it.
    NotPermitted(Uid),
    /// Its fixed end had passed before it could begin.
    WindowPast(Timestamp),
    /// It was not begun in time after its approval.
    StartMissed(Timestamp),
    /// The role's time of that day had been used up.
    BudgetExhausted(RoleName),
    /// The activation that it was to extend was over.
    ParentEnded(ActivationId),
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
        /// Since when that stage is asked.
        #[serde(default)]
        since: Timestamp,
    },
    /// Approved, and waits for its start, at which it is asked again whether it may begin.
    Scheduled {
        /// When it is to begin.
        start: Timestamp,
        /// When it was approved.
        approved_at: Timestamp,
        /// When it is too late to begin.
        begin_by: Timestamp,
    },
    /// An extension that was granted: the activation that it extends runs on until then.
    Approved {
        /// When it was granted.
        at: Timestamp,
        /// Until when the extended activation runs.
        end: Timestamp,
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
    /// Approved, and begins later.
    Scheduled,
    /// An extension that was granted.
    Approved,
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
    /// Every status.
    pub const ALL: [Self; 11] = [
        Self::Pending,
        Self::Scheduled,
        Self::Approved,
        Self::Active,
        Self::Denied,
        Self::Cancelled,
        Self::TimedOut,
        Self::Failed,
        Self::Deactivated,
        Self::Revoked,
        Self::Expired,
    ];

    /// The word as it stands in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Scheduled => "scheduled",
            Self::Approved => "approved",
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
    /// Where it holds: there and below; `None`: everywhere. As narrow as its approvers made it.
    pub scope: Option<Uid>,
    /// When it was asked for.
    pub requested_at: Timestamp,
    /// How long it is to last at most, from the moment it becomes active. As short as its approvers made it.
    pub duration: Duration,
    /// Not before this instant, where a later start was asked for.
    #[serde(default)]
    pub start: Option<Timestamp>,
    /// Not after this instant, where a fixed end was asked for.
    #[serde(default)]
    pub end: Option<Timestamp>,
    /// Whether it is break-glass.
    #[serde(default)]
    pub emergency: bool,
    /// The activation that it is to extend, where it is an extension.
    #[serde(default)]
    pub extends: Option<ActivationId>,
    /// What was asked for first, where an approver gave less.
    #[serde(default)]
    pub asked: Option<Asked>,
    /// How often it was extended.
    #[serde(default)]
    pub extensions: u32,
    /// The latest request to extend it.
    #[serde(default)]
    pub extension: Option<ActivationId>,
    /// Until when it has to be reviewed, where that is owed.
    #[serde(default)]
    pub review_by: Option<Timestamp>,
    /// The journal sequence of the record that it was asked for in.
    #[serde(default)]
    pub seq: u64,
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
            ActivationState::Scheduled { .. } => ActivationStatus::Scheduled,
            ActivationState::Approved { .. } => ActivationStatus::Approved,
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
            ActivationState::Scheduled { approved_at, .. } => Some(*approved_at),
            ActivationState::Active { window } if window.ended(now) => window.end,
            ActivationState::Active { window } => Some(window.start),
            ActivationState::Approved { at, .. }
            | ActivationState::Denied { at, .. }
            | ActivationState::Cancelled { at, .. }
            | ActivationState::TimedOut { at }
            | ActivationState::Failed { at, .. }
            | ActivationState::Deactivated { at, .. }
            | ActivationState::Revoked { at, .. } => Some(*at),
            ActivationState::Expired { window } => window.end,
        }
    }

    /// Whether a command can still change it: it is recorded as pending, scheduled or active.
    #[must_use]
    pub fn is_open(&self) -> bool {
        matches!(self.state, ActivationState::Pending { .. } | ActivationState::Scheduled { .. } | ActivationState::Active { .. })
    }

    /// The time that it was given, as far as it began or is to begin: nothing while it waits for votes, and for an extension, whose
    /// time is that of the activation that it extends.
    #[must_use]
    pub fn window(&self) -> Option<Window> {
        match &self.state {
            ActivationState::Active { window }
            | ActivationState::Deactivated { window, .. }
            | ActivationState::Revoked { window, .. }
            | ActivationState::Expired { window } => Some(*window),
            ActivationState::Scheduled { start, .. } => Some(self.window_from(*start)),
            ActivationState::Pending { .. }
            | ActivationState::Approved { .. }
            | ActivationState::Denied { .. }
            | ActivationState::Cancelled { .. }
            | ActivationState::TimedOut { .. }
            | ActivationState::Failed { .. } => None,
        }
    }

    /// The window that it would have if it began at `start`: as long as was asked for, and never past its fixed end.
    #[must_use]
    pub fn window_from(&self, start: Timestamp) -> Window {
        let end = start.plus(self.duration);
        Window { start, end: Some(self.end.map_or(end, |fixed| end.min(fixed))) }
    }

    /// The time that counts against the role's budget: what was given, less what was given back by an early end.
    #[must_use]
    pub fn used(&self) -> Option<Window> {
        let window = self.window()?;
        let until = |at: Timestamp| Window { start: window.start, end: window.end.map(|end| end.min(at)) };
        match &self.state {
            ActivationState::Deactivated { at, .. } | ActivationState::Revoked { at, .. } => Some(until(*at)),
            ActivationState::Scheduled { .. } | ActivationState::Active { .. } | ActivationState::Expired { .. } => Some(window),
            ActivationState::Pending { .. }
            | ActivationState::Approved { .. }
            | ActivationState::Denied { .. }
            | ActivationState::Cancelled { .. }
            | ActivationState::TimedOut { .. }
            | ActivationState::Failed { .. } => None,
        }
    }

    /// What an approver of a stage votes on: everything that the decision is about, and the settings it is decided under.
    #[must_use]
    pub fn request_hash(&self, stage: u32, settings: &Digest) -> Digest {
        let or_none = |text: Option<String>| text.unwrap_or_default();
        let fields = [
            "elevon-request-2".to_owned(),
            self.id.to_string(),
            self.principal.to_string(),
            self.requester.to_string(),
            self.role.to_string(),
            or_none(self.scope.as_ref().map(ToString::to_string)),
            self.duration.secs().to_string(),
            or_none(self.start.map(|at| at.millis().to_string())),
            or_none(self.end.map(|at| at.millis().to_string())),
            or_none(self.extends.as_ref().map(ToString::to_string)),
            or_none(self.justification.map(|text| text.0.to_string())),
            or_none(self.ticket.map(|ticket| format!("{}{}", ticket.system.0, ticket.number.0))),
            self.basis.eligibility.to_string(),
            stage.to_string(),
            settings.to_string(),
        ];
        Digest::of_fields(fields.iter().map(String::as_bytes))
    }
}
