//! The Kubernetes authorization webhook: a SubjectAccessReview in, the same with its status out, in the version that was asked.
//!
//! `allowed: false` alone is no opinion, and the cluster asks whoever is next; `denied: true` ends it. So only what a policy forbids is denied
//! for good, unless the bundle says that Elevon's word is the last. An error is an error: the API server then does what its configuration says.

use axum::body::Body;
use http::header::CONTENT_TYPE;
use http::request::Parts;
use http::{HeaderValue, Response, StatusCode};
use serde_json::{Map, Value, json};

use super::answer::{Answer, Why};
use super::decide::ask_core;
use super::who::Unknown;
use crate::http::Server;
use crate::http::asker::{announced, collect, is_json};
use crate::http::conn::Door;
use crate::http::limits::MAX_BODY_BYTES;
use crate::http::problem::{self, Problem};
use crate::http::strict::{Object, too_deep};
use crate::policy::{Ask, Cluster, Reason};

/// What a path has in front of the cluster's name.
const PREFIX: &str = "/gateway/kubernetes/";

/// The two versions there are; they differ in the name of the groups.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Version {
    V1,
    V1Beta1,
}

impl Version {
    fn as_str(self) -> &'static str {
        match self {
            Self::V1 => "authorization.k8s.io/v1",
            Self::V1Beta1 => "authorization.k8s.io/v1beta1",
        }
    }

    fn groups(self) -> &'static str {
        match self {
            Self::V1 => "groups",
            Self::V1Beta1 => "group",
        }
    }
}

/// A review as it was sent.
#[derive(Debug, PartialEq)]
struct Review {
    version: Version,
    spec: Map<String, Value>,
    user: String,
    verb: String,
    namespace: String,
    context: Map<String, Value>,
}

pub(super) async fn answer<B>(server: &Server, door: &Door, parts: &Parts, body: B) -> Result<Response<Body>, Problem>
where
    B: hyper::body::Body<Data = bytes::Bytes, Error = hyper::Error>,
{
    let path = parts.uri.path();
    if parts.method != http::Method::POST {
        return Err(problem::method_not_allowed(&parts.method, "POST"));
    }
    if !is_json(&parts.headers) {
        return Err(problem::not_json());
    }
    if announced(&parts.headers).is_some_and(|bytes| bytes > MAX_BODY_BYTES as u64) {
        return Err(problem::too_large(MAX_BODY_BYTES));
    }
    let bytes = collect(body, MAX_BODY_BYTES, door.gate.limits.body_timeout).await?;
    let review = read(&bytes)?;
    let view = server.engine.view();
    let name = path.strip_prefix(PREFIX).unwrap_or_default();
    let cluster = view.bundle.routes().cluster(name).ok_or_else(|| problem::no_such_endpoint(path))?;
    let ask = match question(&review, cluster) {
        Ok(ask) => ask,
        // what cannot be a name is nobody's, and nothing's
        Err(why) => return Ok(told(review, cluster, &Verdict::No(why))),
    };
    let subject = match server.vouched(door, &parts.headers, ask.subject.clone()).await {
        Ok(subject) => subject,
        Err(Unknown::Denied(Why::Credential(problem) | Why::MayNotVouch(problem))) => return Err(problem),
        Err(Unknown::Denied(_) | Unknown::Fault) => return Err(problem::internal()),
    };
    let verdict = match ask_core(server, Ask { subject, ..ask }, None) {
        Answer::Allowed(allowed) => Verdict::Yes(match allowed.held.as_slice() {
            [] => "permitted without a role".to_owned(),
            held => held.iter().map(|held| format!("{} ({})", held.role, held.id)).collect::<Vec<_>>().join(", "),
        }),
        Answer::Denied(denied) if matches!(denied.why, Why::Policy(Reason::Forbidden | Reason::PolicyError)) => {
            Verdict::Never(denied.reason().to_owned())
        }
        Answer::Denied(denied) => Verdict::No(denied.reason().to_owned()),
        Answer::Fault => return Err(problem::internal()),
    };
    Ok(told(review, cluster, &verdict))
}

/// What a cluster is told.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Yes(String),
    /// Not by Elevon.
    No(String),
    /// By nobody.
    Never(String),
}

fn told(review: Review, cluster: &Cluster, verdict: &Verdict) -> Response<Body> {
    let status = match verdict {
        Verdict::Yes(why) => json!({ "allowed": true, "reason": format!("elevon: {why}") }),
        Verdict::No(why) if !cluster.authoritative => json!({ "allowed": false, "reason": format!("elevon: {why}") }),
        Verdict::No(why) | Verdict::Never(why) => json!({ "allowed": false, "denied": true, "reason": format!("elevon: {why}") }),
    };
    let body = json!({ "apiVersion": review.version.as_str(), "kind": "SubjectAccessReview", "spec": review.spec, "status": status });
    let mut response = Response::new(Body::from(body.to_string()));
    *response.status_mut() = StatusCode::OK;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

fn question(review: &Review, cluster: &Cluster) -> Result<Ask, String> {
    let subject = cluster.principal(&review.user).map_err(|bad| bad.to_string())?;
    let resource = cluster.resource(&review.namespace).map_err(|bad| bad.to_string())?;
    Ok(Ask { context: review.context.clone(), ..Ask::new(subject, &cluster.action(&review.verb), resource) })
}

fn malformed(detail: impl Into<String>) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "malformed", "the request is malformed", detail)
}

/// Reads a review. Members that are not known are left as they are: the API server sends more with each release.
fn read(bytes: &[u8]) -> Result<Review, Problem> {
    if too_deep(bytes) {
        return Err(malformed("the JSON nests too deep"));
    }
    let Object(mut body) = serde_json::from_slice(bytes).map_err(|error| malformed(format!("the body is not a JSON object: {error}")))?;
    let version = match body.get("apiVersion").and_then(Value::as_str) {
        Some("authorization.k8s.io/v1") => Version::V1,
        Some("authorization.k8s.io/v1beta1") => Version::V1Beta1,
        _ => return Err(malformed("`apiVersion` is to be `authorization.k8s.io/v1` or `authorization.k8s.io/v1beta1`")),
    };
    if body.get("kind").and_then(Value::as_str) != Some("SubjectAccessReview") {
        return Err(malformed("`kind` is to be `SubjectAccessReview`"));
    }
    let Some(Value::Object(spec)) = body.remove("spec") else { return Err(malformed("`spec` is to be an object")) };
    let user = text(&spec, "user")?;
    let groups = match spec.get(version.groups()) {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::Array(groups)) if groups.iter().all(Value::is_string) => groups.clone(),
        Some(_) => return Err(malformed(format!("`spec.{}` is to be a list of texts", version.groups()))),
    };
    let none = Map::new();
    let (about, resource) = match (spec.get("resourceAttributes"), spec.get("nonResourceAttributes")) {
        (Some(Value::Object(about)), None | Some(Value::Null)) => (about, true),
        (None | Some(Value::Null), Some(Value::Object(about))) => (about, false),
        _ => return Err(malformed("`spec` is to have one of `resourceAttributes` and `nonResourceAttributes`, an object")),
    };
    let verb = text(about, "verb")?;
    let of = |name: &str| text(if resource { about } else { &none }, name);
    let (namespace, path) = (of("namespace")?, if resource { String::new() } else { text(about, "path")? });
    if user.is_empty() || verb.is_empty() {
        return Err(malformed("`user` and `verb` are to be texts that are not empty"));
    }
    let mut context = Map::new();
    let asked = json!({
        "group": of("group")?,
        "version": of("version")?,
        "resource": of("resource")?,
        "subresource": of("subresource")?,
        "name": of("name")?,
        "path": path,
        "groups": groups,
    });
    context.insert("kubernetes".to_owned(), asked);
    Ok(Review { version, user, verb, namespace, context, spec })
}

/// A text; empty, where it is not there.
fn text(members: &Map<String, Value>, name: &str) -> Result<String, Problem> {
    match members.get(name) {
        None | Some(Value::Null) => Ok(String::new()),
        Some(Value::String(text)) => Ok(text.clone()),
        Some(Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_)) => Err(malformed(format!("`{name}` is to be a text"))),
    }
}
