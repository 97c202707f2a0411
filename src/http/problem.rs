//! What goes wrong on the wire: problem documents (RFC 9457), and the one table from a refusal to a status code.

use axum::response::{IntoResponse, Response};
use http::header::{ALLOW, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderName, HeaderValue, StatusCode};
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::domain::{Rejection, Unavailable};
use crate::engine::SubmitError;
use crate::identity::{BadCredential, BadLink};

/// What every problem's `type` begins with; the rule's word follows.
pub const TYPE_PREFIX: &str = "urn:elevon:problem:";

/// The media type of problem documents.
pub const PROBLEM_JSON: &str = "application/problem+json";

/// A refusal as it is told to the caller.
#[derive(Debug, Clone, PartialEq)]
pub struct Problem(Box<Parts>);

#[derive(Debug, Clone, PartialEq)]
struct Parts {
    status: StatusCode,
    rule: String,
    title: &'static str,
    detail: String,
    members: Map<String, Value>,
    headers: Vec<(HeaderName, HeaderValue)>,
    seq: Option<u64>,
    /// A member for those who may read what it is about, and for nobody else.
    withheld: Option<(&'static str, Value)>,
}

impl Problem {
    /// A problem with a rule's word, a title that is the same for all problems of that rule, and what is to be said about this one.
    #[must_use]
    pub fn new(status: StatusCode, rule: &str, title: &'static str, detail: impl Into<String>) -> Self {
        Self(Box::new(Parts {
            status,
            rule: rule.to_owned(),
            title,
            detail: detail.into(),
            members: Map::new(),
            headers: Vec::new(),
            seq: None,
            withheld: None,
        }))
    }

    /// With a member of its own.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Serialize) -> Self {
        if let Ok(value) = serde_json::to_value(value) {
            self.0.members.insert(name.to_owned(), value);
        }
        self
    }

    /// With a header.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.0.headers.push((name, value));
        }
        self
    }

    /// With where the journal stood when it was decided.
    #[must_use]
    pub fn at(mut self, seq: u64) -> Self {
        self.0.seq = Some(seq);
        self
    }

    /// Whether it withholds something from those who may not read what it is about.
    #[must_use]
    pub fn withholds(&self) -> bool {
        self.0.withheld.is_some()
    }

    /// With what it withheld.
    #[must_use]
    pub fn revealed(mut self) -> Self {
        if let Some((name, value)) = self.0.withheld.take() {
            self.0.members.insert(name.to_owned(), value);
        }
        self
    }

    /// With another status.
    #[must_use]
    pub fn as_status(mut self, status: StatusCode) -> Self {
        self.0.status = status;
        self
    }

    /// With another text.
    #[must_use]
    pub fn saying(mut self, detail: impl Into<String>) -> Self {
        self.0.detail = detail.into();
        self
    }

    /// The rule's word.
    #[must_use]
    pub fn rule(&self) -> &str {
        &self.0.rule
    }

    /// The status code.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.0.status
    }

    /// What is said about this one.
    #[must_use]
    pub fn detail(&self) -> &str {
        &self.0.detail
    }

    /// A member of its own.
    #[must_use]
    pub fn member(&self, name: &str) -> Option<&Value> {
        self.0.members.get(name)
    }

    /// Where the journal stood, where that was noted.
    #[must_use]
    pub fn seq(&self) -> Option<u64> {
        self.0.seq
    }

    /// Headers of its own.
    #[must_use]
    pub fn headers(&self) -> &[(HeaderName, HeaderValue)] {
        &self.0.headers
    }

    /// The document.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let mut document = self.0.members.clone();
        document.insert("type".into(), format!("{TYPE_PREFIX}{}", self.0.rule).into());
        document.insert("rule".into(), self.0.rule.clone().into());
        document.insert("title".into(), self.0.title.into());
        document.insert("status".into(), self.0.status.as_u16().into());
        document.insert("detail".into(), self.0.detail.clone().into());
        if let Some(seq) = self.0.seq {
            document.insert("seq".into(), seq.into());
        }
        Value::Object(document)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = (self.0.status, self.to_json().to_string()).into_response();
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
        for (name, value) in &self.0.headers {
            response.headers_mut().insert(name.clone(), value.clone());
        }
        response.extensions_mut().insert(Told(self));
        response
    }
}

/// The problem that an answer tells, kept beside it: the server adds `seq` and the request's id, logs the rule, and counts it.
#[derive(Debug, Clone)]
pub struct Told(pub Problem);

// ---------------------------------------------------------------------------------------------------------------------------------
// Problems of the edge itself.

/// No credential where one is needed.
#[must_use]
pub fn no_credential(challenge: &str) -> Problem {
    let detail = if challenge.starts_with("Dev") {
        "no credential came with the request; this server was started with `--dev` and takes `Authorization: Dev User::\"you\"`"
    } else {
        "no credential came with the request; `WWW-Authenticate` says which kind is taken here"
    };
    Problem::new(StatusCode::UNAUTHORIZED, "no_credential", "a credential is needed", detail).header(WWW_AUTHENTICATE, challenge)
}

/// A credential that is not to be believed.
#[must_use]
pub fn bad_credential(bad: &BadCredential, challenge: &str) -> Problem {
    // RFC 6750, section 3.1: whoever sent a token learns that it was the token, and from this header no more than that
    let challenge = if challenge.starts_with("Bearer ") { format!("{challenge}, error=\"invalid_token\"") } else { challenge.to_owned() };
    Problem::new(StatusCode::UNAUTHORIZED, "bad_credential", "the credential is not accepted", bad.to_string())
        .header(WWW_AUTHENTICATE, &challenge)
}

/// A `Host` that is not this machine's own.
#[must_use]
pub fn foreign_host() -> Problem {
    let detail = "a server started with `--dev` answers to loopback names only; call it by `localhost` or `127.0.0.1`";
    Problem::new(StatusCode::MISDIRECTED_REQUEST, "foreign_host", "the host name is not a loopback name", detail)
}

/// No such path.
#[must_use]
pub fn no_such_endpoint(path: &str) -> Problem {
    let detail = format!("there is nothing at `{}`; `/openapi.json` lists what there is", path.chars().take(200).collect::<String>());
    Problem::new(StatusCode::NOT_FOUND, "no_such_endpoint", "there is no such endpoint", detail)
}

/// A path that takes other methods.
#[must_use]
pub fn method_not_allowed(method: &http::Method, allowed: &str) -> Problem {
    let detail = format!("`{method}` is not a method of this endpoint; it takes {allowed}");
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "the method is not allowed here", detail).header(ALLOW, allowed)
}

/// A query, header or path that does not read as it should.
#[must_use]
pub fn bad_parameter(name: &str, why: impl std::fmt::Display) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "bad_parameter", "a parameter is not as it should be", format!("`{name}`: {why}"))
        .with("parameter", name)
}

/// A body past its bound.
#[must_use]
pub fn too_large(most: usize) -> Problem {
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", "the body is too large", format!("the body may have at most {most} bytes"))
        .with("max_bytes", most)
}

/// A body that is not JSON by its content type.
#[must_use]
pub fn not_json() -> Problem {
    let detail = "send the body as `Content-Type: application/json`";
    Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "not_json", "the content type is not JSON", detail)
}

/// A body that took too long to come.
#[must_use]
pub fn too_slow() -> Problem {
    let detail = "the body did not come within the time there is for it; send it at once";
    Problem::new(StatusCode::REQUEST_TIMEOUT, "too_slow", "the request came too slowly", detail)
}

/// A body that broke off.
#[must_use]
pub fn broken_off() -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "malformed", "the request is malformed", "the body broke off before its end; send it again")
}

/// `Elevon-Min-Seq` not reached in time.
#[must_use]
pub fn seq_not_reached(wanted: u64, seq: u64) -> Problem {
    let detail = format!("the journal stands at {seq} and did not reach {wanted} in time; try again, or leave `Elevon-Min-Seq` out");
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "seq_not_reached", "the journal has not come that far", detail)
        .with("wanted", wanted)
        .header(RETRY_AFTER, "1")
        .at(seq)
}

/// Something inside failed; the log says what, the caller does not learn it.
#[must_use]
pub fn internal() -> Problem {
    let detail = "Elevon failed inside; its log has the details under this request's id";
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "an internal error", detail)
}

/// A command that came to something that no command of its kind comes to.
#[must_use]
pub fn unforeseen(outcome: &crate::domain::Outcome) -> Problem {
    tracing::error!(?outcome, "a command came to something that it cannot come to");
    internal()
}

/// A request that took longer than it may.
#[must_use]
pub fn timed_out() -> Problem {
    let detail = "no answer in time; a command may still have been carried out: read back, or repeat it with the same `Idempotency-Key`";
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "timed_out", "the request took too long", detail).header(RETRY_AFTER, "1")
}

/// The server cannot do its work: with the members of the answer that it would have given.
#[must_use]
pub fn not_ready(journal: bool, health: Value) -> Problem {
    let detail = if journal {
        "the clock is not trusted, so commands are refused; set it right, or confirm it with `elevon clock accept`"
    } else {
        "the journal failed and takes no more commands until the server is started again"
    };
    let mut problem = Problem::new(StatusCode::SERVICE_UNAVAILABLE, "not_ready", "the server cannot do its work", detail);
    if let Value::Object(members) = health {
        problem.0.members = members;
    }
    problem
}

/// All hands are busy.
#[must_use]
pub fn busy(what: &str) -> Problem {
    let detail = format!("{what}; try again in a moment");
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "busy", "too much at once", detail).header(RETRY_AFTER, "1")
}

/// A caller that gives more commands than it may.
#[must_use]
pub fn rate_limited(wait: std::time::Duration) -> Problem {
    let seconds = wait.as_secs().saturating_add(u64::from(wait.subsec_nanos() > 0)).max(1).to_string();
    let detail = format!("too many commands from this caller; nothing was done, come back in {seconds} s");
    Problem::new(StatusCode::TOO_MANY_REQUESTS, "rate_limited", "too many commands", detail).header(RETRY_AFTER, &seconds)
}

/// A request whose parts can be read in two ways.
#[must_use]
pub fn ambiguous(why: impl Into<String>) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "ambiguous_request", "the request can be read in two ways", why)
}

/// A link that opens nothing.
#[must_use]
pub fn bad_link(bad: &BadLink) -> Problem {
    let instead = "vote with `elevon approvals` and `elevon approve`, or `elevon deny`";
    match bad {
        BadLink::NotOurs => Problem::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "bad_link",
            "the link opens nothing",
            format!("{bad}; open it whole, or {instead}"),
        ),
        BadLink::Expired { at } => {
            let detail = format!("{bad}; {instead}");
            Problem::new(StatusCode::GONE, "link_expired", "the link's time is over", detail).with("expired_at", at)
        }
    }
}

/// A link that was made for somebody else.
#[must_use]
pub fn link_of_another() -> Problem {
    let detail = "the link was made for another approver, and opens nothing for you; what waits for your own vote is in `elevon approvals`";
    Problem::new(StatusCode::FORBIDDEN, "link_of_another", "the link is somebody else's", detail)
}

/// A link by which a vote was given already.
#[must_use]
pub fn link_used() -> Problem {
    let detail = "a vote was given by this link, and a link is good for one; nothing changed now";
    Problem::new(StatusCode::CONFLICT, "link_used", "the link was used", detail)
}

/// A bundle that is refused, with each thing that is wrong with it.
#[must_use]
pub fn bundle_invalid(problems: &Value, text: String) -> Problem {
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "bundle_invalid", "the policies are not in order", text).with("problems", problems)
}

impl From<Unavailable> for Problem {
    fn from(unavailable: Unavailable) -> Self {
        tracing::error!(error = %unavailable, "stored facts cannot be read");
        let detail = "stored facts cannot be read at the moment, and nothing is guessed; try again";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", "stored facts cannot be read", detail).header(RETRY_AFTER, "1")
    }
}

impl From<SubmitError> for Problem {
    fn from(error: SubmitError) -> Self {
        match error {
            SubmitError::Rejected { rejection, seq } => Self::from(rejection).at(seq),
            SubmitError::Busy => busy("too many commands wait to be decided"),
            SubmitError::Poisoned(why) => {
                tracing::error!(why, "the journal takes no more commands");
                let detail = "the journal failed and takes no more commands until the server is started again; nothing was changed";
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "journal_failed", "the journal takes no commands", detail)
            }
            SubmitError::Unknown(why) => {
                tracing::error!(why, "a commit's answer was lost");
                let detail = "it is not known whether the command was carried out; read back, or repeat it with the same `Idempotency-Key`";
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "outcome_unknown", "the outcome is not known", detail)
            }
        }
    }
}

// ---------------------------------------------------------------------------------------------------------------------------------
// Refusals of the domain.

/// The status and title of each refusal. One row a rule, no catch-all: a new rule has to be thought about here.
#[must_use]
pub fn status_of(rejection: &Rejection) -> (StatusCode, &'static str) {
    use Rejection as R;
    match rejection {
        R::NotPermitted { .. } => (StatusCode::FORBIDDEN, "the policies do not permit this"),
        R::PrincipalDisabled { .. } => (StatusCode::FORBIDDEN, "the principal is disabled"),
        R::NotEligible { .. } => (StatusCode::FORBIDDEN, "not eligible for the role"),
        R::SeparationOfDuties { .. } => (StatusCode::FORBIDDEN, "somebody else has to decide"),
        R::NotAnApprover { .. } => (StatusCode::FORBIDDEN, "not an approver"),
        R::SelfGrant { .. } => (StatusCode::FORBIDDEN, "nobody grants to themselves"),
        R::NotTheHolder { .. } => (StatusCode::FORBIDDEN, "not the holder"),
        R::NotFound { .. } => (StatusCode::NOT_FOUND, "there is no such thing"),
        R::AlreadyGranted { .. } => (StatusCode::CONFLICT, "granted already"),
        R::QuorumUnreachable { .. } => (StatusCode::CONFLICT, "not enough approvers exist"),
        R::AlreadyActive { .. } => (StatusCode::CONFLICT, "active already"),
        R::TooManyPending { .. } => (StatusCode::CONFLICT, "too many requests wait"),
        R::NotInState { .. } => (StatusCode::CONFLICT, "it is no longer in that state"),
        R::RequestChanged { .. } => (StatusCode::CONFLICT, "the request changed"),
        R::AlreadyVoted { .. } => (StatusCode::CONFLICT, "voted already"),
        R::OwnedByBundle { .. } => (StatusCode::CONFLICT, "the bundle owns this name"),
        R::FoldExists { .. } => (StatusCode::CONFLICT, "the name exists in another case"),
        R::IdempotencyKeyReused { .. } => (StatusCode::CONFLICT, "the idempotency key was used for another request"),
        R::BudgetExhausted { .. } => (StatusCode::CONFLICT, "the role's time of that day is used up"),
        R::EmergencyLimit { .. } => (StatusCode::CONFLICT, "too many emergencies today"),
        R::NotExtendable { .. } => (StatusCode::CONFLICT, "it cannot be extended"),
        R::TooEarlyToExtend { .. } => (StatusCode::CONFLICT, "too early to extend"),
        R::ExtensionWaits { .. } => (StatusCode::CONFLICT, "an extension waits already"),
        R::NotProlongable { .. } => (StatusCode::CONFLICT, "the grant cannot be prolonged like this"),
        R::GrantRequestWaits { .. } => (StatusCode::CONFLICT, "a request waits already"),
        R::EmergencyForOthers { .. } => (StatusCode::FORBIDDEN, "an emergency is for oneself only"),
        R::NoEmergency { .. } => (StatusCode::UNPROCESSABLE_ENTITY, "the role offers no emergency activation"),
        R::StartTooFar { .. } => (StatusCode::UNPROCESSABLE_ENTITY, "the start is too far ahead"),
        R::WiderThanAsked { .. } => (StatusCode::UNPROCESSABLE_ENTITY, "more than was asked for"),
        R::UnknownPrincipal { .. } => (StatusCode::UNPROCESSABLE_ENTITY, "the principal is not known"),
        R::NotAHolder { .. } => (StatusCode::UNPROCESSABLE_ENTITY, "this type cannot hold roles"),
        R::UnknownRole { .. } => (StatusCode::UNPROCESSABLE_ENTITY, "there is no such role"),
        R::UnknownScope { .. } => (StatusCode::UNPROCESSABLE_ENTITY, "the scope is not known"),
        R::ScopeNotAllowed { .. } => (StatusCode::UNPROCESSABLE_ENTITY, "the role does not take this scope"),
        R::ScopeRequired { .. } => (StatusCode::UNPROCESSABLE_ENTITY, "the role requires a scope"),
        R::RequirementsMissing { .. } => (StatusCode::UNPROCESSABLE_ENTITY, "a requirement of the role is missing"),
        R::DurationTooLong { .. } => (StatusCode::UNPROCESSABLE_ENTITY, "longer than the role allows"),
        R::DurationZero => (StatusCode::UNPROCESSABLE_ENTITY, "no time at all"),
        R::WindowEmpty { .. } => (StatusCode::UNPROCESSABLE_ENTITY, "the window is empty"),
        R::PermanentNotAllowed { .. } => (StatusCode::UNPROCESSABLE_ENTITY, "an end is needed"),
        R::Cycle { .. } => (StatusCode::UNPROCESSABLE_ENTITY, "the entity would stand above itself"),
        R::RoleAsParent { .. } => (StatusCode::UNPROCESSABLE_ENTITY, "a role is nobody's parent"),
        R::UnknownParent { .. } => (StatusCode::UNPROCESSABLE_ENTITY, "a parent is not stored"),
        R::TypeNotStorable { .. } => (StatusCode::UNPROCESSABLE_ENTITY, "entities of this type are not stored"),
        R::EntityInvalid { .. } => (StatusCode::UNPROCESSABLE_ENTITY, "the entity is not as the schema wants it"),
        R::ReviewInvalid { .. } => (StatusCode::UNPROCESSABLE_ENTITY, "the review is not as it should be"),
        R::NotAReviewer { .. } => (StatusCode::FORBIDDEN, "not a reviewer"),
        R::ConfirmationNeeded { .. } => (StatusCode::CONFLICT, "this much has to be confirmed"),
        R::NoRemedy { .. } => (StatusCode::CONFLICT, "there is no remedy by one change"),
        R::Unavailable(_) => (StatusCode::SERVICE_UNAVAILABLE, "stored facts cannot be read"),
        R::TimeUntrusted => (StatusCode::SERVICE_UNAVAILABLE, "the clock is not trusted"),
    }
}

/// The members that a refusal brings along, for programs.
fn members_of(rejection: &Rejection) -> Value {
    use Rejection as R;
    match rejection {
        R::NotPermitted { principal, action, policies } => json!({ "principal": principal, "action": action, "policies": policies }),
        R::UnknownPrincipal { principal } | R::PrincipalDisabled { principal } => json!({ "principal": principal }),
        R::NotAHolder { uid } | R::OwnedByBundle { uid } | R::TypeNotStorable { uid } => json!({ "entity": uid }),
        R::UnknownRole { role, nearest } => json!({ "role": role, "nearest": nearest }),
        R::UnknownScope { scope } => json!({ "scope": scope }),
        R::ScopeNotAllowed { role, scope, allowed } => json!({ "role": role, "scope": scope, "allowed": allowed }),
        R::ScopeRequired { role, allowed } => json!({ "role": role, "allowed": allowed }),
        R::NotEligible { principal, role, scope } => json!({ "principal": principal, "role": role, "scope": scope }),
        R::RequirementsMissing { role, missing } => json!({ "role": role, "missing": missing }),
        R::DurationTooLong { role, asked, max } => json!({ "role": role, "asked": asked, "max": max }),
        R::WindowEmpty { end, after } => json!({ "end": end, "after": after }),
        R::PermanentNotAllowed { role, max, .. } => json!({ "role": role, "max": max }),
        R::AlreadyGranted { holder, id } => json!({ "principal": holder, "id": id }),
        R::QuorumUnreachable { role, stage, needed, available } => {
            json!({ "role": role, "stage": stage, "needed": needed, "available": available })
        }
        // The way to extend it is told with it.
        R::AlreadyActive { id, end } => json!({ "id": id, "end": end, "extend": format!("/v1/activations/{id}/extend") }),
        R::BudgetExhausted { principal, role, day, asked, left } => {
            json!({ "principal": principal, "role": role, "day": day, "asked": asked, "left": left })
        }
        R::EmergencyLimit { principal, role, max } => json!({ "principal": principal, "role": role, "max": max }),
        R::NotExtendable { id, .. } => json!({ "id": id }),
        R::TooEarlyToExtend { id, earliest } => json!({ "id": id, "earliest": earliest }),
        R::ExtensionWaits { id, pending } => json!({ "id": id, "pending": pending }),
        R::NotProlongable { id, .. } => json!({ "id": id }),
        R::GrantRequestWaits { pending } => json!({ "pending": pending }),
        R::EmergencyForOthers { principal } => json!({ "principal": principal }),
        R::NoEmergency { role } => json!({ "role": role }),
        R::StartTooFar { role, within } => json!({ "role": role, "within": within }),
        R::WiderThanAsked { what } => json!({ "what": what }),
        R::TooManyPending { principal, pending } => json!({ "principal": principal, "pending": pending }),
        R::NotFound { what, id } => json!({ "what": what, "id": id }),
        // `outcome` is what the loser of a race is told: where the winner left it.
        R::NotInState { id, status, at } => json!({ "id": id, "outcome": status, "at": at }),
        // The expected hash is added for those who may read the request, and for nobody else.
        R::RequestChanged { .. } | R::DurationZero | R::Unavailable(_) | R::TimeUntrusted => json!({}),
        R::SeparationOfDuties { voter } | R::AlreadyVoted { voter } => json!({ "voter": voter }),
        R::NotAnApprover { voter, stage } => json!({ "voter": voter, "stage": stage }),
        R::SelfGrant { actor, holder } => json!({ "actor": actor, "principal": holder }),
        R::NotTheHolder { id, holder } => json!({ "id": id, "principal": holder }),
        R::FoldExists { uid, existing } => json!({ "entity": uid, "existing": existing }),
        R::Cycle { uid, through } => json!({ "entity": uid, "through": through }),
        R::RoleAsParent { uid, role } => json!({ "entity": uid, "parent": role }),
        R::UnknownParent { uid, parent } => json!({ "entity": uid, "parent": parent }),
        R::EntityInvalid { uid, problem } => json!({ "entity": uid, "problem": problem }),
        R::IdempotencyKeyReused { key } => json!({ "key": key }),
        R::ReviewInvalid { what } => json!({ "what": what }),
        R::NotAReviewer { who, subject, stage } => json!({ "principal": who, "id": subject, "stage": stage }),
        R::ConfirmationNeeded { id, removals, items } => json!({ "id": id, "removals": removals, "items": items }),
        R::NoRemedy { id, kind, instead } => json!({ "id": id, "kind": kind, "instead": instead }),
    }
}

impl From<Rejection> for Problem {
    fn from(rejection: Rejection) -> Self {
        let (status, title) = status_of(&rejection);
        let detail = if let Rejection::RequestChanged { .. } = &rejection {
            "the request changed since it was shown; read it again and vote on what it says now".to_owned()
        } else if let Rejection::Unavailable(why) = &rejection {
            tracing::error!(why, "stored facts cannot be read");
            "stored facts cannot be read at the moment, and nothing is guessed; try again".to_owned()
        } else {
            rejection.to_string()
        };
        let mut problem = Self::new(status, rejection.rule(), title, detail);
        if let Value::Object(members) = members_of(&rejection) {
            problem.0.members = members.into_iter().filter(|(_, value)| !value.is_null()).collect();
        }
        if let Rejection::RequestChanged { expected } = &rejection {
            problem.0.withheld = Some(("expected", json!(expected)));
        }
        if status == StatusCode::SERVICE_UNAVAILABLE { problem.header(RETRY_AFTER, "1") } else { problem }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::text::Digest;
    use crate::domain::{ActivationId, Uid};

    #[test]
    fn a_refusal_reads_as_a_problem_document() {
        let id = ActivationId::new("act_1").unwrap();
        let problem = Problem::from(Rejection::NotInState { id: id.to_string(), status: "denied".into(), at: None }).at(7);
        let document = problem.to_json();
        assert_eq!(document["type"], "urn:elevon:problem:not_in_state");
        assert_eq!(document["status"], 409);
        assert_eq!(document["outcome"], "denied");
        assert_eq!(document["seq"], 7);
        assert!(document.get("at").is_none());
    }

    #[test]
    fn what_the_caller_may_not_read_is_not_told() {
        let expected = Digest::of_bytes(b"secret");
        let problem = Problem::from(Rejection::RequestChanged { expected });
        assert!(!problem.to_json().to_string().contains(&expected.to_string()));
        let problem = Problem::from(Rejection::Unavailable("/var/lib/elevon: disk on fire".into()));
        assert!(!problem.to_json().to_string().contains("disk"));
        let problem = Problem::from(Rejection::UnknownPrincipal { principal: Uid::parse("User::\"a\"").unwrap() });
        assert_eq!(problem.to_json()["principal"], json!({ "type": "User", "id": "a" }));
    }
}
