//! Alerts as they are kept: which kinds there are, what makes each of them one, and what became of each incident.
//!
//! A kind is a rule, an incident one time that it applied to something. Whoever reads an incident gets the numbers that made it one, and what can be
//! done about it; nobody has to believe a word like *unusual*.

mod rules;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use rules::{AlertKind, AlertRule, AlertRules, Limit, MAX_DAYS, MAX_TIMES, Severity, Threshold, Unit};

use super::command::Actor;
use super::id::{ActivationId, AssignmentId, EligibilityId, IncidentId, RoleName, Uid};
use super::text::{Digest, TextDigest};
use super::time::Timestamp;

/// What an incident is about.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AlertSubject {
    /// Somebody.
    Principal(Uid),
    /// A role.
    Role(RoleName),
    /// Somebody's having of a role.
    Holding {
        /// Who.
        principal: Uid,
        /// Which role.
        role: RoleName,
    },
    /// An eligibility.
    Eligibility(EligibilityId),
    /// An assignment.
    Assignment(AssignmentId),
    /// An activation.
    Activation(ActivationId),
    /// A record of the journal.
    Record(u64),
}

impl AlertSubject {
    /// The word for what it is.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Principal(_) => "principal",
            Self::Role(_) => "role",
            Self::Holding { .. } => "holding",
            Self::Eligibility(_) => "eligibility",
            Self::Assignment(_) => "assignment",
            Self::Activation(_) => "activation",
            Self::Record(_) => "record",
        }
    }
}

/// The one change that ends what an incident is about.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Remedy {
    /// Take the eligibility away.
    RemoveEligibility(EligibilityId),
    /// Take the assignment away.
    RemoveAssignment(AssignmentId),
    /// Revoke the activation.
    RevokeActivation(ActivationId),
    /// Revoke everything that the principal activated.
    RevokePrincipal(Uid),
    /// Disable the principal.
    DisablePrincipal(Uid),
}

impl Remedy {
    /// The word for it.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::RemoveEligibility(_) => "remove_eligibility",
            Self::RemoveAssignment(_) => "remove_assignment",
            Self::RevokeActivation(_) => "revoke_activation",
            Self::RevokePrincipal(_) => "revoke_principal",
            Self::DisablePrincipal(_) => "disable_principal",
        }
    }
}

/// Something that a detector found. It says the same however often it is found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// What kind of alert it is.
    pub kind: AlertKind,
    /// How much it matters.
    pub severity: Severity,
    /// What it is about.
    pub subject: AlertSubject,
    /// Whom it concerns, where it concerns somebody.
    pub principal: Option<Uid>,
    /// Which role, where it is about one.
    pub role: Option<RoleName>,
    /// On which scope, where it is about one.
    pub scope: Option<Uid>,
    /// The numbers that made it one, by name.
    pub numbers: BTreeMap<String, i64>,
    /// Since when.
    pub began_at: Timestamp,
    /// With which record of the journal; 0, where time alone made it so.
    pub record: u64,
    /// The one change that ends it, where there is one.
    pub remedy: Option<Remedy>,
}

impl Finding {
    /// Since when, and with which record: one and the same for an episode, and later for a later one. Two that begin at one instant are told
    /// apart by their records.
    #[must_use]
    pub fn began(&self) -> Began {
        Began { at: self.began_at, record: self.record }
    }

    /// The id of its incident: another one for another kind, subject or episode, and the same for the same.
    #[must_use]
    pub fn incident_id(&self) -> Option<IncidentId> {
        let subject = serde_json::to_string(&self.subject).ok()?;
        let (began, record) = (self.began_at.millis().to_string(), self.record.to_string());
        let fields = [self.kind.as_str(), &subject, &began, &record].map(str::as_bytes);
        let digest = Digest::of_fields(fields).to_string();
        IncidentId::new(&format!("inc_{}", digest.get(..32)?)).ok()
    }
}

/// When an episode began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Began {
    /// The instant.
    pub at: Timestamp,
    /// The record of the journal; 0, where time alone made it so.
    pub record: u64,
}

/// What a detector wants to have recorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum AlertChange {
    /// Something is to be looked at.
    Raise(Box<Finding>),
    /// It is over.
    Clear {
        /// What kind of alert it is.
        kind: AlertKind,
        /// What it is about.
        subject: AlertSubject,
        /// Since when it was so.
        began: Began,
    },
}

/// How somebody put an incident aside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dismissal {
    /// Who.
    pub by: Actor,
    /// When.
    pub at: Timestamp,
    /// The reason given.
    pub reason: TextDigest,
}

/// How an incident ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IncidentEnd {
    /// When.
    pub at: Timestamp,
    /// Who remedied it; nothing, where what it was about ended in another way.
    pub by: Option<Actor>,
}

/// One time that an alert applied to something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Incident {
    /// Its id.
    pub id: IncidentId,
    /// What was found.
    pub finding: Finding,
    /// When it was raised.
    pub raised_at: Timestamp,
    /// Who put it aside, as long as that stands.
    pub dismissed: Option<Dismissal>,
    /// How it ended, once it did.
    pub cleared: Option<IncidentEnd>,
}

/// The word for where an incident stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IncidentStatus {
    /// Waits for somebody.
    Open,
    /// Somebody looked at it and put it aside; it lasts.
    Dismissed,
    /// What it is about is over.
    Cleared,
}

impl IncidentStatus {
    /// Every status.
    pub const ALL: [Self; 3] = [Self::Open, Self::Dismissed, Self::Cleared];

    /// The word as it stands in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Dismissed => "dismissed",
            Self::Cleared => "cleared",
        }
    }
}

impl Incident {
    /// Where it stands.
    #[must_use]
    pub fn status(&self) -> IncidentStatus {
        match (&self.cleared, &self.dismissed) {
            (Some(_), _) => IncidentStatus::Cleared,
            (None, Some(_)) => IncidentStatus::Dismissed,
            (None, None) => IncidentStatus::Open,
        }
    }

    /// Whether what it is about lasts, as far as is recorded.
    #[must_use]
    pub fn lasts(&self) -> bool {
        self.cleared.is_none()
    }
}

/// What is said of incidents.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "snake_case", deny_unknown_fields)]
pub enum AlertEvent {
    /// Something is to be looked at.
    Raised {
        /// As it was found.
        incident: Box<Incident>,
    },
    /// What it was about is over.
    Cleared {
        /// Which incident.
        id: IncidentId,
        /// Whether somebody remedied it; how, stands in the same record.
        remedied: bool,
    },
    /// Somebody put it aside: it does not come up again as long as it lasts.
    Dismissed {
        /// Which incident.
        id: IncidentId,
        /// The reason given.
        reason: TextDigest,
    },
    /// Somebody wants to hear of it again.
    Rearmed {
        /// Which incident.
        id: IncidentId,
    },
}

impl AlertEvent {
    /// Which incident it is about.
    #[must_use]
    pub fn incident(&self) -> &IncidentId {
        match self {
            Self::Raised { incident } => &incident.id,
            Self::Cleared { id, .. } | Self::Dismissed { id, .. } | Self::Rearmed { id } => id,
        }
    }
}

/// How many incidents of a kind and severity last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct AlertTally {
    /// Those that wait for somebody.
    pub open: u64,
    /// Those that were put aside.
    pub dismissed: u64,
}

impl AlertTally {
    /// Counts an incident in or out, as it stands.
    pub fn count(&mut self, incident: &Incident, more: bool) {
        let change = |count: &mut u64| *count = if more { count.saturating_add(1) } else { count.saturating_sub(1) };
        match incident.status() {
            IncidentStatus::Open => change(&mut self.open),
            IncidentStatus::Dismissed => change(&mut self.dismissed),
            IncidentStatus::Cleared => {}
        }
    }
}
