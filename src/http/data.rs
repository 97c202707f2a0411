//! The data plane: what is asked on every request of somebody else's. On hyper itself, before any router.
//!
//! `POST /access/v1/evaluation` follows the AuthZEN Authorization API 1.0: unknown members are ignored, a deny is an answer and not
//! an error, and errors are plain texts.

use axum::body::Body;
use http::header::{CONTENT_TYPE, HOST};
use http::request::Parts;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use serde_json::{Map, Value, json};

use crate::domain::facts::{Action, Object as Subject};
use crate::domain::{Rejection, RoleName, Uid};
use crate::policy::Ask;

use super::Server;
use super::asker::{Params, announced, collect, is_json};
use super::conn::Door;
use super::limits::MAX_BODY_BYTES;
use super::plain;
use super::problem::{self, Problem, Told};
use super::reply::{Answer, SEQ};
use super::strict::{Object, too_deep};

/// Evaluates one request.
pub(super) const EVALUATION: &str = "/access/v1/evaluation";
/// What an answer to it takes, nearly always.
const ANSWER_BYTES: usize = 256;
/// Says whether a principal holds a role.
const ELEVATED: &str = "/v1/elevated";
/// Says what is served.
const METADATA: &str = "/.well-known/authzen-configuration";

/// The endpoints of the data plane, and what is asked before each answers.
pub(super) const ENDPOINTS: &[(Method, &str, &str)] = &[
    (Method::POST, EVALUATION, "checkAccess on SubjectKind of the subject"),
    (Method::GET, ELEVATED, "oneself: free; others: checkAccess on SubjectKind of the principal"),
    (Method::GET, METADATA, "nothing"),
];

/// An endpoint of the data plane.
#[derive(Debug, Clone, Copy)]
pub(super) enum Plane {
    Evaluation,
    Elevated,
    Metadata,
}

impl Plane {
    /// The endpoint that a request is for, if it is for one of these.
    pub(super) fn of(method: &Method, path: &str) -> Option<Self> {
        match (method, path) {
            (&Method::POST, EVALUATION) => Some(Self::Evaluation),
            (&Method::GET | &Method::HEAD, ELEVATED) => Some(Self::Elevated),
            (&Method::GET | &Method::HEAD, METADATA) => Some(Self::Metadata),
            _ => None,
        }
    }

    /// Its path, for metrics and logs.
    pub(super) fn path(self) -> &'static str {
        match self {
            Self::Evaluation => EVALUATION,
            Self::Elevated => ELEVATED,
            Self::Metadata => METADATA,
        }
    }
}

/// Answers.
pub(super) async fn answer<B>(server: &Server, door: &Door, plane: Plane, id: &HeaderValue, request: Request<B>) -> Response<Body>
where
    B: hyper::body::Body<Data = bytes::Bytes, Error = hyper::Error>,
{
    use axum::response::IntoResponse as _;
    let (parts, body) = request.into_parts();
    match plane {
        Plane::Evaluation => evaluation(server, door, &parts, id, body).await.unwrap_or_else(plain),
        Plane::Elevated => elevated(server, door, &parts).await.into_response(),
        Plane::Metadata => metadata(server, door, &parts).into_response(),
    }
}

/// An error as AuthZEN wants it: a status and a text.
pub(super) fn plain(problem: Problem) -> Response<Body> {
    // The profile knows no 415: what is not JSON is a bad request.
    let status = if problem.status() == StatusCode::UNSUPPORTED_MEDIA_TYPE { StatusCode::BAD_REQUEST } else { problem.status() };
    let mut response = Response::new(Body::from(problem.detail().to_owned()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    for (name, value) in problem.headers() {
        headers.insert(name.clone(), value.clone());
    }
    if let Some(seq) = problem.seq() {
        headers.insert(SEQ, HeaderValue::from(seq));
    }
    response.extensions_mut().insert(Told(problem));
    response
}

async fn evaluation<B>(server: &Server, door: &Door, parts: &Parts, id: &HeaderValue, body: B) -> Result<Response<Body>, Problem>
where
    B: hyper::body::Body<Data = bytes::Bytes, Error = hyper::Error>,
{
    let mut caller = None;
    if !server.knows(door, &parts.headers) {
        caller = Some(server.authenticate(door, &parts.headers).await?);
    }
    if !is_json(&parts.headers) {
        return Err(problem::not_json());
    }
    if announced(&parts.headers).is_some_and(|bytes| bytes > MAX_BODY_BYTES as u64) {
        return Err(problem::too_large(MAX_BODY_BYTES));
    }
    let bytes = collect(body, MAX_BODY_BYTES, door.gate.limits.body_timeout).await?;
    let ask = plain::question(&bytes).map_or_else(|| question(&bytes), Ok)?;
    server.wait_for_seq(&parts.headers).await?;
    if !server.may_ask_now(door, &parts.headers, &ask.subject) {
        let caller = match caller {
            Some(caller) => caller,
            None => server.authenticate(door, &parts.headers).await?,
        };
        server.demand(&caller, Action::CheckAccess, Subject::Subject(ask.subject.clone()))?;
    }
    let checked = server.engine.check(&ask).map_err(|unavailable| {
        tracing::error!(id = id.to_str().unwrap_or_default(), error = %unavailable, "a check could not read its facts");
        problem::internal()
    })?;
    let mut text = Vec::with_capacity(ANSWER_BYTES);
    plain::verdict(&mut text, &checked);
    let mut response = Response::new(Body::from(text));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response.headers_mut().insert(SEQ, HeaderValue::from(checked.seq));
    Ok(response)
}

fn malformed(detail: impl Into<String>) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "malformed", "the request is malformed", detail)
}

/// Reads the body of an evaluation.
///
/// # Errors
/// It is not a JSON object, or something in it that is needed is missing or of the wrong kind.
pub(super) fn question(bytes: &[u8]) -> Result<Ask, Problem> {
    if too_deep(bytes) {
        return Err(malformed("the JSON nests too deep"));
    }
    let Object(mut body) = serde_json::from_slice(bytes).map_err(|error| malformed(format!("the body is not a JSON object: {error}")))?;
    let (subject, subject_properties) = entity(&mut body, "subject")?;
    let (resource, resource_properties) = entity(&mut body, "resource")?;
    let mut action = object(&mut body, "action")?.ok_or_else(|| malformed("`action` is missing; it is an object with a `name`"))?;
    let name = text(&mut action, "action", "name")?;
    // Policies see no properties of an action; they are read so that a wrong one is not taken for a right one.
    object_in(&mut action, "action", "properties")?;
    let context = object(&mut body, "context")?.unwrap_or_default();
    Ok(Ask { subject, subject_properties, action: name, resource, resource_properties, context })
}

fn object(body: &mut Map<String, Value>, name: &str) -> Result<Option<Map<String, Value>>, Problem> {
    match body.remove(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Object(members)) => Ok(Some(members)),
        Some(Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_)) => {
            Err(malformed(format!("`{name}` is to be an object")))
        }
    }
}

fn object_in(members: &mut Map<String, Value>, parent: &str, name: &str) -> Result<Map<String, Value>, Problem> {
    let found = object(members, name).map_err(|problem| problem.saying(format!("`{parent}.{name}` is to be an object")))?;
    Ok(found.unwrap_or_default())
}

fn text(members: &mut Map<String, Value>, parent: &str, name: &str) -> Result<String, Problem> {
    match members.remove(name) {
        Some(Value::String(text)) if !text.is_empty() => Ok(text),
        None | Some(Value::Null) => Err(malformed(format!("`{parent}.{name}` is missing"))),
        Some(Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) | Value::Object(_)) => {
            Err(malformed(format!("`{parent}.{name}` is to be a text that is not empty")))
        }
    }
}

fn entity(body: &mut Map<String, Value>, name: &str) -> Result<(Uid, Map<String, Value>), Problem> {
    let found = object(body, name)?;
    let mut members = found.ok_or_else(|| malformed(format!("`{name}` is missing; it is an object with `type` and `id`")))?;
    let (kind, id) = (text(&mut members, name, "type")?, text(&mut members, name, "id")?);
    let uid = Uid::new(&kind, &id).map_err(|bad| malformed(format!("`{name}`: {bad}")))?;
    Ok((uid, object_in(&mut members, name, "properties")?))
}

async fn elevated(server: &Server, door: &Door, parts: &Parts) -> Result<Answer, Problem> {
    let caller = server.authenticate(door, &parts.headers).await?;
    server.wait_for_seq(&parts.headers).await?;
    let mut params = Params::of(&parts.uri)?;
    let missing = || problem::bad_parameter("principal_type", "it is missing; name the principal by `principal_type` and `principal_id`");
    let principal = params.entity("principal_type", "principal_id")?.ok_or_else(missing)?;
    let role = params.required("role")?;
    let role = RoleName::new(&role).map_err(|bad| problem::bad_parameter("role", bad))?;
    let resource = params.entity("resource_type", "resource_id")?;
    params.finish()?;
    if caller.principal != principal {
        server.demand(&caller, Action::CheckAccess, Subject::Subject(principal.clone()))?;
    }
    if !server.engine.view().bundle.definitions().roles.contains_key(&role) {
        return Err(Rejection::UnknownRole { role, nearest: None }.into());
    }
    let found = server.engine.elevated(&principal, &role, resource.as_ref())?;
    let holdings: Vec<Value> = found.holdings.iter().map(held).collect();
    let body = json!({
        "elevated": found.elevated,
        "needs_context": found.needs_context,
        "until": found.until,
        "holdings": holdings,
        "revision": found.revision,
    });
    Ok(Answer::ok(found.seq, body))
}

fn held(holding: &crate::domain::standing::Holding) -> Value {
    use crate::domain::standing::Via;
    let (via, id) = match &holding.via {
        Via::Activation(id) => ("activation", id.as_str()),
        Via::Assignment(id) => ("assignment", id.as_str()),
    };
    json!({ "id": id, "via": via, "scope": holding.scope, "end": holding.end })
}

/// Advertises what is served, and nothing else. The host was checked before; it is the one the caller reached this server by.
fn metadata(server: &Server, door: &Door, parts: &Parts) -> Answer {
    let named = parts.headers.get(HOST).and_then(|host| host.to_str().ok());
    let host = named.or_else(|| parts.uri.authority().map(http::uri::Authority::as_str)).unwrap_or("localhost");
    let scheme = if door.gate.tls.is_some() { "https" } else { "http" };
    let base = format!("{scheme}://{host}");
    let body = json!({
        "policy_decision_point": base,
        "access_evaluation_endpoint": format!("{base}{EVALUATION}"),
    });
    Answer::bare(server.engine.view().seq, body)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"{"subject":{"type":"User","id":"alice"},"action":{"name":"read"},"resource":{"type":"Db","id":"orders"}}"#;

    #[test]
    fn unknown_members_are_ignored_and_known_ones_are_not() {
        let ask = question(GOOD.as_bytes()).unwrap();
        assert_eq!((ask.subject.to_string().as_str(), ask.action.as_str()), ("User::\"alice\"", "read"));
        let more = r#"{"subject":{"type":"User","id":"alice","properties":{"a":1},"x":[]},"action":{"name":"read","properties":{}},
            "resource":{"type":"Db","id":"orders","properties":null},"context":{"now":"x"},"options":{},"futurefield":{"a":[1]}}"#;
        let ask = question(more.as_bytes()).unwrap();
        assert_eq!((ask.subject_properties.len(), ask.context.len(), ask.resource_properties.len()), (1, 1, 0));
    }

    #[test]
    fn what_is_missing_or_of_the_wrong_kind_is_a_bad_request() {
        let with = |from: &str, to: &str| GOOD.replace(from, to);
        let rows = [
            "".to_owned(),
            "[]".to_owned(),
            format!("[{GOOD}]"),
            r#"["User","read","Db"]"#.to_owned(),
            "\"text\"".to_owned(),
            "{".to_owned(),
            with(r#""subject":{"type":"User","id":"alice"},"#, ""),
            with(r#"{"type":"User","id":"alice"}"#, r#"["User","alice"]"#),
            with(r#"{"type":"User","id":"alice"}"#, r#""alice""#),
            with(r#""type":"User","#, ""),
            with(r#""id":"alice""#, r#""id":7"#),
            with(r#""id":"alice""#, r#""id":"""#),
            with(r#""id":"alice""#, r#""id":"alice","id":"bob""#),
            with(r#""id":"alice""#, r#""id":"alice","properties":[]"#),
            with(r#""action":{"name":"read"},"#, ""),
            with(r#"{"name":"read"}"#, r#""read""#),
            with(r#"{"name":"read"}"#, "{}"),
            with(r#"{"name":"read"}"#, r#"{"name":1}"#),
            with(r#"{"name":"read"}"#, r#"{"name":"read","properties":"x"}"#),
            with(r#","resource":{"type":"Db","id":"orders"}"#, ""),
            with(r#"{"type":"Db","#, r#"{"type":"D b","#),
            with(r#""orders"}"#, r#""orders"},"context":"x""#),
            with(r#""orders"}"#, r#""orders"},"context":{"a":1,"a":2}"#),
        ];
        for body in rows {
            assert_eq!(question(body.as_bytes()).map_err(|problem| problem.status()).unwrap_err(), StatusCode::BAD_REQUEST, "{body}");
        }
    }
}
