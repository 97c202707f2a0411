//! Why a command was refused: one closed list. The status code that a caller gets stands in one table at the edge.

use serde::{Deserialize, Serialize};

use super::alert::AlertKind;
use super::facts::Unavailable;
use super::grant::ActivationStatus;
use super::id::{ActivationId, GrantRequestId, IdempotencyKey, IncidentId, ReviewId, RoleName, Uid};
use super::settings::Requirement;
use super::text::Digest;
use super::time::{Duration, Timestamp};

/// Why a command was refused. The text says which rule, and what to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum Rejection {
    /// Cedar said no.
    #[error("no policy permits {principal} to `{action}` here{}; ask whoever maintains the policies", forbidden_by(.policies))]
    NotPermitted {
        /// Who asked.
        principal: Uid,
        /// The Elevon action.
        action: String,
        /// The policies that forbade it; none, where none permitted it.
        policies: Vec<String>,
    },
    /// A principal that nobody stored.
    #[error("{principal} is not a known principal; store it with `PUT /v1/entities` or in the bundle's `entities.json`")]
    UnknownPrincipal {
        /// Who.
        principal: Uid,
    },
    /// A type that cannot hold roles.
    #[error("{uid} is neither a principal nor a group by `roles.toml`; name one of `principal_types` or `group_types`")]
    NotAHolder {
        /// What was named.
        uid: Uid,
    },
    /// A disabled principal.
    #[error("{principal} is disabled; have an administrator enable it first")]
    PrincipalDisabled {
        /// Who.
        principal: Uid,
    },
    /// A role that the bundle does not define.
    #[error("there is no role `{role}`{}; `GET /v1/roles` lists them", did_you_mean(.nearest.as_deref()))]
    UnknownRole {
        /// As it was named.
        role: RoleName,
        /// The most similar one.
        nearest: Option<String>,
    },
    /// A scope that nobody stored.
    #[error("{scope} is not a known resource, so nothing can be scoped to it; store it first")]
    UnknownScope {
        /// As it was named.
        scope: Uid,
    },
    /// A scope of a type that the role does not take.
    #[error("role `{role}` cannot be scoped to a {}; it takes {}", .scope.kind(), .allowed.join(", "))]
    ScopeNotAllowed {
        /// The role.
        role: RoleName,
        /// As it was named.
        scope: Uid,
        /// Types that it takes.
        allowed: Vec<String>,
    },
    /// No scope where one is required.
    #[error("role `{role}` needs a scope; name one of type {}", .allowed.join(", "))]
    ScopeRequired {
        /// The role.
        role: RoleName,
        /// Types that it takes.
        allowed: Vec<String>,
    },
    /// No eligibility covers what was asked for.
    #[error("{principal} is not eligible for role `{role}`{}; ask an administrator for an eligibility", at_scope(.scope.as_ref()))]
    NotEligible {
        /// Who.
        principal: Uid,
        /// The role.
        role: RoleName,
        /// Where.
        scope: Option<Uid>,
    },
    /// The role asks for something that the request does not bring.
    #[error("role `{role}` requires {}", missing_list(.missing))]
    RequirementsMissing {
        /// The role.
        role: RoleName,
        /// Each thing that is missing, and how to bring it.
        missing: Vec<Missing>,
    },
    /// Longer than the role allows.
    #[error("{asked} is longer than the {max} that role `{role}` allows; ask for at most that")]
    DurationTooLong {
        /// The role.
        role: RoleName,
        /// As it was asked.
        asked: Duration,
        /// The most.
        max: Duration,
    },
    /// No time at all.
    #[error("a duration of zero begins and ends at once; ask for at least a second")]
    DurationZero,
    /// A window that does not hold together.
    #[error("the window ends at {end}, which is not after {after}; give a later end")]
    WindowEmpty {
        /// Its end.
        end: Timestamp,
        /// Its start, or now.
        after: Timestamp,
    },
    /// No end where the role wants one.
    #[error("role `{role}` is not {grant} without an end; give an `end` at most {max} after the start")]
    PermanentNotAllowed {
        /// The role.
        role: RoleName,
        /// `eligible` or `assigned`.
        grant: String,
        /// The most.
        max: Duration,
    },
    /// The same was granted already.
    #[error("{holder} has this already: `{id}`; end that first, or grant a window that does not overlap")]
    AlreadyGranted {
        /// Who.
        holder: Uid,
        /// The grant that stands.
        id: String,
    },
    /// Not enough approvers exist.
    #[error("stage {stage} of role `{role}` needs {needed} approvers and only {available} could vote; have an administrator add approvers")]
    QuorumUnreachable {
        /// The role.
        role: RoleName,
        /// The stage, from 1.
        stage: u32,
        /// The quorum.
        needed: u32,
        /// Who could vote, less requester and beneficiary.
        available: u32,
    },
    /// An activation stands in the way.
    #[error("`{id}` is active until {end}; extend it, or deactivate it first")]
    AlreadyActive {
        /// Which.
        id: ActivationId,
        /// Its end.
        end: Timestamp,
    },
    /// A start too far ahead.
    #[error("role `{role}` has to begin within {within} of its approval; ask for a start no later than that from now")]
    StartTooFar {
        /// The role.
        role: RoleName,
        /// The most.
        within: Duration,
    },
    /// The role has no time left on a day.
    #[error(
        "{principal} has {left} of role `{role}` left on {day} (UTC), and this would take {asked}; ask for less, or wait for the next day"
    )]
    BudgetExhausted {
        /// Who.
        principal: Uid,
        /// The role.
        role: RoleName,
        /// The day.
        day: String,
        /// What would be taken of that day.
        asked: Duration,
        /// What is left of it.
        left: Duration,
    },
    /// The role offers no break-glass.
    #[error("role `{role}` offers no emergency activation; ask for it without `emergency`")]
    NoEmergency {
        /// The role.
        role: RoleName,
    },
    /// Break-glass for somebody else.
    #[error("nobody requests an emergency activation for somebody else; {principal} has to ask for it")]
    EmergencyForOthers {
        /// For whom it was asked.
        principal: Uid,
    },
    /// Break-glass too often.
    #[error("{principal} began {max} emergency activations of role `{role}` today (UTC), which is the limit; ask without `emergency`")]
    EmergencyLimit {
        /// Who.
        principal: Uid,
        /// The role.
        role: RoleName,
        /// The most.
        max: u32,
    },
    /// More than what stands there.
    #[error("an approver may give less than was asked for, never more: {what}")]
    WiderThanAsked {
        /// What would be more.
        what: String,
    },
    /// It cannot be extended at all.
    #[error("`{id}` cannot be extended: {why}")]
    NotExtendable {
        /// Which activation.
        id: ActivationId,
        /// Why.
        why: String,
    },
    /// It cannot be extended yet.
    #[error("`{id}` can be extended from {earliest} on; ask again then")]
    TooEarlyToExtend {
        /// Which activation.
        id: ActivationId,
        /// From when on.
        earliest: Timestamp,
    },
    /// Another extension waits.
    #[error("`{pending}` already waits to extend `{id}`, for less time; cancel that first")]
    ExtensionWaits {
        /// Which activation.
        id: ActivationId,
        /// The request that waits.
        pending: ActivationId,
    },
    /// It has not ended, or ended too long ago, or is asked about the wrong way.
    #[error("`{id}` cannot be {what}: {why}")]
    NotProlongable {
        /// Which grant.
        id: String,
        /// `extended` or `renewed`.
        what: String,
        /// Why, and what to do instead.
        why: String,
    },
    /// Somebody asked for it already.
    #[error("`{pending}` already asks for that; wait for its answer, or cancel it first")]
    GrantRequestWaits {
        /// The request that waits.
        pending: GrantRequestId,
    },
    /// Too many requests wait already.
    #[error("{principal} has {pending} requests waiting, which is the limit; cancel one first")]
    TooManyPending {
        /// Who.
        principal: Uid,
        /// How many.
        pending: u32,
    },
    /// Nothing of that id.
    #[error("there is no {what} `{id}`")]
    NotFound {
        /// `activation`, `eligibility`, `assignment` or `entity`.
        what: String,
        /// The id as it was named.
        id: String,
    },
    /// It came to its end, or is not where the command needs it.
    #[error("`{id}` is {status}{}; nothing was changed", since(.at.as_ref()))]
    NotInState {
        /// Which.
        id: String,
        /// Where it stands.
        status: String,
        /// Since when, where that is known.
        at: Option<Timestamp>,
    },
    /// What was voted on is not what stands there now.
    #[error("the request changed since it was shown; read it again and vote on `{expected}`")]
    RequestChanged {
        /// The hash of the request as it stands.
        expected: Digest,
    },
    /// Requester, beneficiary or the same person as one of them.
    #[error("{voter} asked for this or benefits from it, so somebody else has to decide")]
    SeparationOfDuties {
        /// Who wanted to vote.
        voter: Uid,
    },
    /// Not in the stage's list.
    #[error("{voter} is not an approver of stage {stage}; `GET /v1/activations/{{id}}` lists who is")]
    NotAnApprover {
        /// Who wanted to vote.
        voter: Uid,
        /// The stage, from 1.
        stage: u32,
    },
    /// The same person again.
    #[error("{voter} has voted on this request already; one person counts once")]
    AlreadyVoted {
        /// Who wanted to vote.
        voter: Uid,
    },
    /// For oneself, or for a group one is in.
    #[error("nobody grants to themselves{}; somebody else has to do it", reaching(.actor, .holder))]
    SelfGrant {
        /// Who acts.
        actor: Uid,
        /// Who would get it.
        holder: Uid,
    },
    /// Somebody else's to end.
    #[error("only {holder} can deactivate `{id}`; revoke it instead")]
    NotTheHolder {
        /// Which activation.
        id: ActivationId,
        /// Whose it is.
        holder: Uid,
    },
    /// The bundle owns this name.
    #[error("{uid} is owned by the bundle; change it in `entities.json`")]
    OwnedByBundle {
        /// Which.
        uid: Uid,
    },
    /// Only case tells the two apart.
    #[error("{uid} differs from the existing {existing} only by case; use that one")]
    FoldExists {
        /// As it was named.
        uid: Uid,
        /// The one that exists.
        existing: Uid,
    },
    /// An entity that is above itself.
    #[error("{uid} would be its own ancestor through {through}; leave that parent out")]
    Cycle {
        /// Which.
        uid: Uid,
        /// The parent.
        through: Uid,
    },
    /// A role as a stored parent.
    #[error("{uid} cannot have {role} as a parent: roles are held only by activation or assignment")]
    RoleAsParent {
        /// Which.
        uid: Uid,
        /// The role as it was named.
        role: Uid,
    },
    /// A parent that nobody stored.
    #[error("{parent}, named as a parent of {uid}, is not stored; store it first")]
    UnknownParent {
        /// Which.
        uid: Uid,
        /// The parent.
        parent: Uid,
    },
    /// Not a type that entities may be stored of.
    #[error("{uid} cannot be stored: the schema has no entity type `{}` that entities are stored of", .uid.kind())]
    TypeNotStorable {
        /// Which.
        uid: Uid,
    },
    /// Not as the schema wants it.
    #[error("{uid} does not conform to the schema: {problem}")]
    EntityInvalid {
        /// Which.
        uid: Uid,
        /// What is wrong.
        problem: String,
    },
    /// The key came with another body.
    #[error("the idempotency key `{key}` was used for another request; use a new one")]
    IdempotencyKeyReused {
        /// The key.
        key: IdempotencyKey,
    },
    /// The facts could not be read.
    #[error("{0}; try again")]
    Unavailable(String),
    /// A review is not defined as it should be, or too much is asked of one at once.
    #[error("the review is not valid: {what}")]
    ReviewInvalid {
        /// What is wrong, and what to do.
        what: String,
    },
    /// Not one of those who decide on an item.
    #[error("{who} is not a reviewer of `{subject}` in stage {stage}; `GET /v1/reviews/{{id}}` says who is")]
    NotAReviewer {
        /// Who tried.
        who: Uid,
        /// On what.
        subject: String,
        /// The stage, counted from 1.
        stage: u32,
    },
    /// So much would be taken away that it has to be said once more.
    #[error("applying `{id}` removes {removals} of {items} items; if that is intended, ask again with `\"confirm\": {removals}`")]
    ConfirmationNeeded {
        /// Which review.
        id: ReviewId,
        /// How many items go.
        removals: u32,
        /// How many it has.
        items: u32,
    },
    /// An incident that no single change ends.
    #[error("no single change ends what `{id}` is about; instead, {instead}")]
    NoRemedy {
        /// Which incident.
        id: IncidentId,
        /// Of which kind.
        kind: AlertKind,
        /// What to do.
        instead: String,
    },
    /// The clock stands before what was already seen, or jumped ahead.
    #[error(
        "the clock cannot be trusted, so nothing is decided: it is behind a time already seen, or jumped ahead of the machine's running time; set it right, or confirm it with `elevon clock accept` on the machine"
    )]
    TimeUntrusted,
}

/// A requirement that a request does not meet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Missing {
    /// Which.
    pub requirement: Requirement,
    /// What to bring.
    pub hint: String,
}

impl Rejection {
    /// The rule's word: stable, for programs.
    #[must_use]
    pub fn rule(&self) -> &'static str {
        match self {
            Self::NotPermitted { .. } => "not_permitted",
            Self::UnknownPrincipal { .. } => "unknown_principal",
            Self::NotAHolder { .. } => "not_a_holder",
            Self::PrincipalDisabled { .. } => "principal_disabled",
            Self::UnknownRole { .. } => "unknown_role",
            Self::UnknownScope { .. } => "unknown_scope",
            Self::ScopeNotAllowed { .. } => "scope_not_allowed",
            Self::ScopeRequired { .. } => "scope_required",
            Self::NotEligible { .. } => "not_eligible",
            Self::RequirementsMissing { .. } => "requirements_missing",
            Self::DurationTooLong { .. } => "duration_too_long",
            Self::DurationZero => "duration_zero",
            Self::WindowEmpty { .. } => "window_empty",
            Self::PermanentNotAllowed { .. } => "permanent_not_allowed",
            Self::AlreadyGranted { .. } => "already_granted",
            Self::QuorumUnreachable { .. } => "quorum_unreachable",
            Self::AlreadyActive { .. } => "already_active",
            Self::TooManyPending { .. } => "too_many_pending",
            Self::StartTooFar { .. } => "start_too_far",
            Self::BudgetExhausted { .. } => "budget_exhausted",
            Self::NoEmergency { .. } => "no_emergency",
            Self::EmergencyForOthers { .. } => "emergency_for_others",
            Self::EmergencyLimit { .. } => "emergency_limit",
            Self::WiderThanAsked { .. } => "wider_than_asked",
            Self::NotExtendable { .. } => "not_extendable",
            Self::TooEarlyToExtend { .. } => "too_early_to_extend",
            Self::ExtensionWaits { .. } => "extension_waits",
            Self::NotProlongable { .. } => "not_prolongable",
            Self::GrantRequestWaits { .. } => "grant_request_waits",
            Self::NotFound { .. } => "not_found",
            Self::NotInState { .. } => "not_in_state",
            Self::RequestChanged { .. } => "request_changed",
            Self::SeparationOfDuties { .. } => "separation_of_duties",
            Self::NotAnApprover { .. } => "not_an_approver",
            Self::AlreadyVoted { .. } => "already_voted",
            Self::SelfGrant { .. } => "self_grant",
            Self::NotTheHolder { .. } => "not_the_holder",
            Self::OwnedByBundle { .. } => "owned_by_bundle",
            Self::FoldExists { .. } => "fold_exists",
            Self::Cycle { .. } => "cycle",
            Self::RoleAsParent { .. } => "role_as_parent",
            Self::UnknownParent { .. } => "unknown_parent",
            Self::TypeNotStorable { .. } => "type_not_storable",
            Self::EntityInvalid { .. } => "entity_invalid",
            Self::IdempotencyKeyReused { .. } => "idempotency_key_reused",
            Self::ReviewInvalid { .. } => "review_invalid",
            Self::NotAReviewer { .. } => "not_a_reviewer",
            Self::ConfirmationNeeded { .. } => "confirmation_needed",
            Self::NoRemedy { .. } => "no_remedy",
            Self::Unavailable(_) => "unavailable",
            Self::TimeUntrusted => "time_untrusted",
        }
    }

    /// Where an activation stands that is not where the command needs it.
    #[must_use]
    pub fn activation_is(id: &ActivationId, status: ActivationStatus, at: Option<Timestamp>) -> Self {
        Self::NotInState { id: id.to_string(), status: status.as_str().to_owned(), at }
    }

    /// Whether it says something about the moment and not about the command: never remembered, never journaled.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable(_) | Self::TimeUntrusted)
    }
}

impl From<Unavailable> for Rejection {
    fn from(unavailable: Unavailable) -> Self {
        Self::Unavailable(unavailable.to_string())
    }
}

fn forbidden_by(policies: &[String]) -> String {
    if policies.is_empty() { String::new() } else { format!(" (forbidden by {})", policies.join(", ")) }
}

/// The group through which it would come back to whoever acts; nothing, where they name themselves.
fn reaching(actor: &Uid, holder: &Uid) -> String {
    if actor == holder { String::new() } else { format!(" (it would reach {actor} through {holder})") }
}

fn did_you_mean(nearest: Option<&str>) -> String {
    nearest.map(|nearest| format!(" (did you mean `{nearest}`?)")).unwrap_or_default()
}

fn at_scope(scope: Option<&Uid>) -> String {
    scope.map(|scope| format!(" on {scope}")).unwrap_or_else(|| " everywhere".to_owned())
}

fn since(at: Option<&Timestamp>) -> String {
    at.map(|at| format!(" since {at}")).unwrap_or_default()
}

fn missing_list(missing: &[Missing]) -> String {
    missing.iter().map(|missing| format!("{} ({})", missing.requirement, missing.hint)).collect::<Vec<_>>().join(" and ")
}
