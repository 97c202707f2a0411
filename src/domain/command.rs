//! What can be asked of Elevon, by whom.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::alert::AlertChange;
use super::calendar::Schedule;
use super::grant::{Cause, GrantRef};
use super::id::{
    ActivationId, AssignmentId, CommandId, EligibilityId, GrantRequestId, IdempotencyKey, IncidentId, ReviewDefinitionId, ReviewId,
    RoleName, Uid,
};
use super::review::{Decided, ReviewPlan, Subject};
use super::settings::{Definitions, EdgeSource, JsonObject};
use super::text::{Digest, Text, Ticket};
use super::time::{Duration, Timestamp};

/// By what means a caller showed who it is. Rows on disk hold a kind by its place in this list: a new one goes to the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CredentialKind {
    /// `Authorization: Dev …`, believed by a server started with `--dev` and by no other.
    Dev,
    /// A static bearer token of Elevon's own, of which only the digest is kept.
    Token,
    /// An access token (JWT) of an OpenID provider.
    Oidc,
    /// A client certificate that TLS verified.
    Mtls,
    /// The user and group at the other end of a UNIX socket.
    Unix,
}

impl CredentialKind {
    /// The word that policies see in `context.credential`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Dev => "dev",
            Self::Token => "token",
            Self::Oidc => "oidc",
            Self::Mtls => "mtls",
            Self::Unix => "unix",
        }
    }
}

/// An authenticated caller and what its credential says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Caller {
    /// Who it is.
    pub principal: Uid,
    /// How it was shown.
    pub credential: CredentialKind,
    /// Authentication methods (RFC 8176), sorted: `pwd`, `otp`, `mfa`, …
    pub amr: Vec<String>,
    /// When it authenticated, where the credential says.
    pub auth_time: Option<Timestamp>,
    /// Groups that the credential claims. They count for Elevon's own policies as `context.claims.groups` and are never membership.
    pub groups: Vec<String>,
}

/// What a method of authentication shows (RFC 8176).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Factor {
    Known,
    Had,
    Been,
}

impl Factor {
    /// The factor that a word of `amr` stands for; nothing for words about the circumstances (`user`, `geo`, `rba`, `wia`, `mca`) and for others.
    fn of(method: &str) -> Option<Self> {
        match method {
            "pwd" | "pin" | "kba" => Some(Self::Known),
            "otp" | "hwk" | "swk" | "pop" | "sc" | "sms" | "tel" => Some(Self::Had),
            "face" | "fpt" | "iris" | "retina" | "vbm" => Some(Self::Been),
            _ => None,
        }
    }
}

impl Caller {
    /// Whether the credential shows more than one factor: `mfa`, or two methods of different kind. A password and a PIN are both something that one
    /// knows; a word that is not known is no factor.
    #[must_use]
    pub fn has_mfa(&self) -> bool {
        let mut kinds = self.amr.iter().filter_map(|method| Factor::of(method));
        let first = kinds.next();
        self.amr.iter().any(|method| method == "mfa") || kinds.any(|kind| Some(kind) != first)
    }
}

/// Who acts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Actor {
    /// Elevon itself: a timer, or the policy folder it was told to watch.
    System,
    /// An authenticated caller.
    Caller(Caller),
}

impl Actor {
    /// The principal, unless it is Elevon itself.
    #[must_use]
    pub fn principal(&self) -> Option<&Uid> {
        match self {
            Self::System => None,
            Self::Caller(caller) => Some(&caller.principal),
        }
    }
}

impl fmt::Display for Actor {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::System => out.write_str("elevon"),
            Self::Caller(caller) => fmt::Display::fmt(&caller.principal, out),
        }
    }
}

/// Where a bundle came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BundleSource {
    /// The folder, as it was when the server started.
    Start,
    /// The folder, after the watcher saw it change.
    Watch,
    /// The folder, after SIGHUP.
    Signal,
    /// The folder, after `POST /v1/policies/reload`.
    Reload,
}

/// Something that is asked of Elevon. Ids are made by whoever submits it.
#[derive(Debug, Clone)]
pub enum Command {
    /// Asks for a role for a while.
    RequestActivation {
        /// The id it gets.
        id: ActivationId,
        /// Who is to get the role.
        principal: Uid,
        /// The role.
        role: RoleName,
        /// Where.
        scope: Option<Uid>,
        /// For how long.
        term: Term,
        /// Why.
        justification: Option<Text>,
        /// For which ticket.
        ticket: Option<Ticket>,
        /// Whether it is break-glass: at once, and without approval.
        emergency: bool,
    },
    /// Asks to let an active activation run longer.
    Extend {
        /// The id that the request gets.
        id: ActivationId,
        /// Which activation.
        of: ActivationId,
        /// How much longer; the role's default, where nothing is said.
        duration: Option<Duration>,
        /// Why.
        justification: Option<Text>,
        /// For which ticket.
        ticket: Option<Ticket>,
    },
    /// Votes for a pending request.
    Approve {
        /// Which request.
        id: ActivationId,
        /// The hash of the request as it was shown.
        request_hash: Digest,
        /// Give it on this scope only, at or below the one that was asked for.
        scope: Option<Uid>,
        /// Give it for this long only.
        duration: Option<Duration>,
        /// Why.
        justification: Option<Text>,
    },
    /// Votes against a pending request, which ends it.
    Deny {
        /// Which request.
        id: ActivationId,
        /// The hash of the request as it was shown.
        request_hash: Digest,
        /// Why.
        justification: Option<Text>,
    },
    /// Takes a request back before it begins: its requester or its beneficiary.
    Cancel {
        /// Which request.
        id: ActivationId,
        /// Why.
        reason: Option<Text>,
    },
    /// Ends an active activation: its holder.
    Deactivate {
        /// Which activation.
        id: ActivationId,
        /// Why.
        reason: Option<Text>,
    },
    /// Ends an active activation: somebody else.
    Revoke {
        /// Which activation.
        id: ActivationId,
        /// Why.
        reason: Option<Text>,
    },
    /// Ends, at once, every activation and every request of a principal or of a role.
    RevokeAll {
        /// Whose, or of what.
        of: Everything,
        /// Why.
        reason: Option<Text>,
    },
    /// Asks an administrator to extend a grant that runs, or to renew one that ended.
    RequestGrant {
        /// The id that the request gets.
        id: GrantRequestId,
        /// Which grant.
        grant: GrantRef,
        /// Whether it is to be renewed: it has ended.
        renew: bool,
        /// Until when it is to run.
        end: Timestamp,
        /// Why.
        justification: Option<Text>,
    },
    /// Grants a request to extend or renew.
    ApproveGrant {
        /// Which request.
        id: GrantRequestId,
        /// The id of the grant that is made, where one is renewed.
        new: NewGrant,
        /// Until when instead, where it is to be less than was asked for.
        end: Option<Timestamp>,
        /// Why.
        reason: Option<Text>,
    },
    /// Refuses a request to extend or renew.
    DenyGrant {
        /// Which request.
        id: GrantRequestId,
        /// Why.
        reason: Option<Text>,
    },
    /// Takes a request to extend or renew back: its requester or the grant's holder.
    CancelGrant {
        /// Which request.
        id: GrantRequestId,
        /// Why.
        reason: Option<Text>,
    },
    /// Says that a clock that jumped ahead is to be believed, which ends every holding that is bound to time. Only somebody on the machine
    /// says so.
    AcceptClock,
    /// Makes a principal or a group eligible.
    CreateEligibility {
        /// The id it gets.
        id: EligibilityId,
        /// What is granted.
        grant: GrantRequest,
    },
    /// Ends an eligibility.
    RemoveEligibility {
        /// Which.
        id: EligibilityId,
        /// Why.
        reason: Option<Text>,
    },
    /// Gives a role without activation.
    CreateAssignment {
        /// The id it gets.
        id: AssignmentId,
        /// What is granted.
        grant: GrantRequest,
    },
    /// Ends an assignment.
    RemoveAssignment {
        /// Which.
        id: AssignmentId,
        /// Why.
        reason: Option<Text>,
    },
    /// Stores an entity, whole: what it was before is replaced.
    PutEntity {
        /// The entity.
        uid: Uid,
        /// Its parents, as `source` knows them.
        parents: Vec<Uid>,
        /// Its attributes.
        attrs: JsonObject,
        /// Who says so: edges that others wrote stay.
        source: EdgeSource,
    },
    /// Deletes a stored entity.
    DeleteEntity {
        /// Which.
        uid: Uid,
        /// Why.
        reason: Option<Text>,
    },
    /// Disables or enables an entity, whoever owns it.
    SetDisabled {
        /// Which.
        uid: Uid,
        /// Whether it is to be disabled.
        disabled: bool,
        /// Why.
        reason: Option<Text>,
    },
    /// Makes a bundle the live one. It was validated before it came here.
    ActivateBundle {
        /// What it defines.
        definitions: Arc<Definitions>,
        /// Where it came from.
        source: BundleSource,
    },
    /// Says what is to be reviewed, how and when: anew, or instead of what was said before.
    DefineReview {
        /// The id it gets, or has.
        id: ReviewDefinitionId,
        /// Whether it is there already.
        change: bool,
        /// What is reviewed, and how.
        plan: Box<ReviewPlan>,
        /// When.
        schedule: Schedule,
    },
    /// Opens no more reviews of a definition. One that is open goes on.
    EndReviews {
        /// Which definition.
        id: ReviewDefinitionId,
        /// Why.
        reason: Option<Text>,
    },
    /// Opens a review of a definition now, whatever its schedule says.
    OpenReview {
        /// Which definition.
        id: ReviewDefinitionId,
    },
    /// Decides on items of a review.
    DecideReview {
        /// Which review.
        id: ReviewId,
        /// Which items.
        subjects: Vec<Subject>,
        /// What.
        decided: Decided,
        /// Why.
        reason: Text,
    },
    /// Ends the asking of a review before its time.
    CompleteReview {
        /// Which review.
        id: ReviewId,
        /// Why.
        reason: Option<Text>,
    },
    /// Carries a review out.
    ApplyReview {
        /// Which review.
        id: ReviewId,
        /// How many removals are meant, where there are so many that they have to be confirmed.
        confirm: Option<u32>,
    },
    /// Records what detectors found, and what of it is over. Only Elevon itself asks for it.
    NoteAlerts {
        /// In order; what is recorded already changes nothing.
        changes: Vec<AlertChange>,
    },
    /// Puts an incident aside, for as long as what it is about lasts.
    DismissAlert {
        /// Which.
        id: IncidentId,
        /// Why.
        reason: Text,
    },
    /// Wants to hear again of an incident that was put aside.
    RearmAlert {
        /// Which.
        id: IncidentId,
    },
    /// Makes the change that ends what an incident is about, with the right that this change needs.
    RemedyAlert {
        /// Which.
        id: IncidentId,
        /// Why.
        reason: Option<Text>,
    },
    /// Records what time has done already.
    Settle(Due),
    /// Records how often a caller ran into one rule within a minute, beyond the refusal that was recorded at once.
    CoalesceRefusals {
        /// The rule, by its word.
        rule: String,
        /// How many more.
        count: u64,
    },
}

impl Command {
    /// The word for it in the journal, in metrics and in logs.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::RequestActivation { .. } => "request_activation",
            Self::Extend { .. } => "extend",
            Self::RevokeAll { .. } => "revoke_all",
            Self::RequestGrant { .. } => "request_grant",
            Self::ApproveGrant { .. } => "approve_grant",
            Self::DenyGrant { .. } => "deny_grant",
            Self::CancelGrant { .. } => "cancel_grant",
            Self::AcceptClock => "accept_clock",
            Self::Approve { .. } => "approve",
            Self::Deny { .. } => "deny",
            Self::Cancel { .. } => "cancel",
            Self::Deactivate { .. } => "deactivate",
            Self::Revoke { .. } => "revoke",
            Self::CreateEligibility { .. } => "create_eligibility",
            Self::RemoveEligibility { .. } => "remove_eligibility",
            Self::CreateAssignment { .. } => "create_assignment",
            Self::RemoveAssignment { .. } => "remove_assignment",
            Self::PutEntity { .. } => "put_entity",
            Self::DeleteEntity { .. } => "delete_entity",
            Self::SetDisabled { .. } => "set_disabled",
            Self::ActivateBundle { .. } => "activate_bundle",
            Self::DefineReview { .. } => "define_review",
            Self::EndReviews { .. } => "end_reviews",
            Self::OpenReview { .. } => "open_review",
            Self::DecideReview { .. } => "decide_review",
            Self::CompleteReview { .. } => "complete_review",
            Self::ApplyReview { .. } => "apply_review",
            Self::NoteAlerts { .. } => "note_alerts",
            Self::DismissAlert { .. } => "dismiss_alert",
            Self::RearmAlert { .. } => "rearm_alert",
            Self::RemedyAlert { .. } => "remedy_alert",
            Self::Settle(_) => "settle",
            Self::CoalesceRefusals { .. } => "coalesce_refusals",
        }
    }

    /// The free texts that it carries.
    #[must_use]
    pub fn texts(&self) -> Vec<&Text> {
        match self {
            Self::RequestActivation { justification, ticket, .. } | Self::Extend { justification, ticket, .. } => {
                let ticket = ticket.iter().flat_map(|ticket| [&ticket.system, &ticket.number]);
                justification.iter().chain(ticket).collect()
            }
            Self::Approve { justification: text, .. }
            | Self::Deny { justification: text, .. }
            | Self::Cancel { reason: text, .. }
            | Self::Deactivate { reason: text, .. }
            | Self::Revoke { reason: text, .. }
            | Self::RevokeAll { reason: text, .. }
            | Self::RequestGrant { justification: text, .. }
            | Self::ApproveGrant { reason: text, .. }
            | Self::DenyGrant { reason: text, .. }
            | Self::CancelGrant { reason: text, .. }
            | Self::RemoveEligibility { reason: text, .. }
            | Self::RemoveAssignment { reason: text, .. }
            | Self::DeleteEntity { reason: text, .. }
            | Self::SetDisabled { reason: text, .. }
            | Self::EndReviews { reason: text, .. }
            | Self::RemedyAlert { reason: text, .. }
            | Self::CompleteReview { reason: text, .. } => text.iter().collect(),
            Self::DecideReview { reason, .. } | Self::DismissAlert { reason, .. } => vec![reason],
            Self::CreateEligibility { grant, .. } | Self::CreateAssignment { grant, .. } => grant.justification.iter().collect(),
            Self::AcceptClock
            | Self::PutEntity { .. }
            | Self::ActivateBundle { .. }
            | Self::DefineReview { .. }
            | Self::OpenReview { .. }
            | Self::ApplyReview { .. }
            | Self::NoteAlerts { .. }
            | Self::RearmAlert { .. }
            | Self::Settle(_)
            | Self::CoalesceRefusals { .. } => Vec::new(),
        }
    }
}

/// For how long a role is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Term {
    /// From when; at once, where nothing is said or the instant is past.
    pub start: Option<Timestamp>,
    /// Until when. Not together with `duration`.
    pub end: Option<Timestamp>,
    /// How long; the role's default, where neither is said.
    pub duration: Option<Duration>,
}

/// What [`Command::RevokeAll`] ends.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Everything {
    /// Of this principal.
    Principal(Uid),
    /// Of this role.
    Role(RoleName),
}

/// An id for each kind of grant that a renewal can make.
#[derive(Debug, Clone)]
pub struct NewGrant {
    /// For an eligibility.
    pub eligibility: EligibilityId,
    /// For an assignment.
    pub assignment: AssignmentId,
}

/// What an administrator grants.
#[derive(Debug, Clone)]
pub struct GrantRequest {
    /// The principal or group.
    pub holder: Uid,
    /// The role.
    pub role: RoleName,
    /// Where.
    pub scope: Option<Uid>,
    /// From when; from now, where nothing is said.
    pub start: Option<Timestamp>,
    /// Until when; for ever, where nothing is said and the role allows it.
    pub end: Option<Timestamp>,
    /// Why.
    pub justification: Option<Text>,
}

/// Something that time does and a timer records afterwards. Idempotent: what is not due, or was recorded already, changes nothing.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Due {
    /// An activation's window ended.
    ActivationEnd(ActivationId),
    /// A stage of a pending request timed out.
    StageTimeout(ActivationId),
    /// An eligibility's window ended.
    EligibilityEnd(EligibilityId),
    /// An assignment's window ended.
    AssignmentEnd(AssignmentId),
    /// A cascade was too large for one record and goes on.
    Cascade(Cause),
    /// An approved activation is to begin.
    ActivationStart(ActivationId),
    /// Nobody decided on a request to extend or renew.
    GrantRequestTimeout(GrantRequestId),
    /// A definition's next review is to be opened.
    ReviewOpening(ReviewDefinitionId),
    /// A review goes on: its items are taken, reviewers are reminded, a stage is over, or it is carried out. Each time that it is settled takes
    /// it one step further.
    ReviewStep(ReviewId),
}

/// A command as it is submitted.
#[derive(Debug, Clone)]
pub struct Envelope {
    /// Its id.
    pub id: CommandId,
    /// Who asks.
    pub actor: Actor,
    /// The key by which the caller may repeat it, and the digest of its body.
    pub idempotency: Option<(IdempotencyKey, Digest)>,
    /// Whether it is only to be said what would become of it. Nothing changes and nothing is journaled.
    pub dry_run: bool,
    /// What is asked.
    pub command: Command,
}
