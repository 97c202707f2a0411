//! What a check is asked and what it answers.

use std::fmt;
use std::sync::Arc;

use serde::Serialize;
use serde_json::{Map, Value};

use crate::domain::standing::{Holding, Memberships, Presence};
use crate::domain::{Revision, Timestamp, Uid};

/// A question: may this subject do this to that?
#[derive(Debug, Clone, PartialEq)]
pub struct Ask {
    /// Who would act.
    pub subject: Uid,
    /// What the caller says of the subject. It fills only attributes that the schema marks `@from_request`; what is stored wins.
    pub subject_properties: Map<String, Value>,
    /// The action, by its id (`write`) or whole (`Action::"write"`).
    pub action: String,
    /// What would be acted on.
    pub resource: Uid,
    /// What the caller says of the resource, under the same rule.
    pub resource_properties: Map<String, Value>,
    /// The context. What the action's schema does not declare is dropped.
    pub context: Map<String, Value>,
}

impl Ask {
    /// A question without properties and context.
    #[must_use]
    pub fn new(subject: Uid, action: &str, resource: Uid) -> Self {
        Self {
            subject,
            subject_properties: Map::new(),
            action: action.to_owned(),
            resource,
            resource_properties: Map::new(),
            context: Map::new(),
        }
    }
}

/// Why a verdict is what it is: one closed set of words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reason {
    /// A policy permits it and none forbids it.
    Permitted,
    /// No policy permits it.
    NoPermit,
    /// A policy forbids it.
    Forbidden,
    /// A policy that could have forbidden it failed to evaluate.
    PolicyError,
    /// Nobody stored the principal.
    UnknownPrincipal,
    /// The principal is disabled.
    PrincipalDisabled,
    /// Nobody stored the resource, and its type can have parents.
    UnknownResource,
    /// The schema has no such action.
    UnknownAction,
    /// The schema does not apply the action to a principal and a resource of these types.
    NotApplicable,
    /// The action's schema requires context that was not sent.
    ContextMissing,
    /// Context or properties are not of the type that the schema declares.
    ContextInvalid,
    /// No policy permits it while the clock cannot be believed, and a holding bound to time did not count for that reason alone.
    TimeUntrusted,
    /// The node cannot show that what it knows is fresh enough.
    Stale,
}

impl Reason {
    /// Every reason.
    pub const ALL: [Self; 13] = [
        Self::Permitted,
        Self::NoPermit,
        Self::Forbidden,
        Self::PolicyError,
        Self::UnknownPrincipal,
        Self::PrincipalDisabled,
        Self::UnknownResource,
        Self::UnknownAction,
        Self::NotApplicable,
        Self::ContextMissing,
        Self::ContextInvalid,
        Self::TimeUntrusted,
        Self::Stale,
    ];

    /// The word as it stands in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Permitted => "permitted",
            Self::NoPermit => "no_permit",
            Self::Forbidden => "forbidden",
            Self::PolicyError => "policy_error",
            Self::UnknownPrincipal => "unknown_principal",
            Self::PrincipalDisabled => "principal_disabled",
            Self::UnknownResource => "unknown_resource",
            Self::UnknownAction => "unknown_action",
            Self::NotApplicable => "not_applicable",
            Self::ContextMissing => "context_missing",
            Self::ContextInvalid => "context_invalid",
            Self::TimeUntrusted => "time_untrusted",
            Self::Stale => "stale",
        }
    }

    /// The reason that a word names.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.as_str() == word)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}

impl Serialize for Reason {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// What a policy is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// It permits.
    Permit,
    /// It forbids.
    Forbid,
}

/// Something that failed while policies were evaluated.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PolicyError {
    /// The policy by its id; or the entity or context that could not be handed to the policies.
    pub policy: String,
    /// What the failing policy is for. What fails for all policies counts as one that forbids.
    pub effect: Effect,
    /// What went wrong.
    pub message: String,
}

/// An answer, and everything that it rests on.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    /// Whether it may.
    pub allowed: bool,
    /// Why.
    pub reason: Reason,
    /// The policies that decided, by id, sorted.
    pub policies: Vec<String>,
    /// What failed on the way.
    pub errors: Vec<PolicyError>,
    /// What is known of the principal.
    pub presence: Presence,
    /// What is known of the resource.
    pub resource_presence: Presence,
    /// Every group of the principal, nearest first, and what those were given.
    pub memberships: Arc<Memberships>,
    /// Every holding of the principal and its groups, with whether it counted or why not.
    pub holdings: Vec<Holding>,
    /// The next instant at which time alone could change the answer; nothing, where it never does.
    pub valid_until: Option<Timestamp>,
    /// Context that was sent and not handed to the policies, by name, sorted.
    pub context_dropped: Vec<String>,
    /// What is wrong with the question, where something is, for whoever asked.
    pub detail: Option<String>,
    /// The bundle that answered.
    pub revision: Revision,
}
