//! Envoy's `ext_authz` over HTTP: the request itself, under a prefix. 200 allows, 5xx is an error, anything else is a deny that goes to the
//! client. On an allow `allowed_upstream_headers` lets the identity headers pass, over what the client sent.

use axum::body::Body;
use http::header::HOST;
use http::request::Parts;
use http::{HeaderName, HeaderValue, Response};

use super::asked::{Asked, Hostile, PRINCIPAL};
use super::decide::decide;
use super::forwarded::{Manner, told};
use crate::http::Server;
use crate::http::conn::Door;

/// What a path has in front of the one that the client asked for.
const PREFIX: &str = "/gateway/envoy";
/// What Envoy is to take away before the upstream sees the request.
const REMOVE: HeaderName = HeaderName::from_static("x-envoy-auth-headers-to-remove");

pub(super) async fn answer(server: &Server, door: &Door, parts: &Parts) -> Response<Body> {
    let answer = decide(server, door, read(parts)).await;
    let mut response = told(&answer, &parts.headers, Manner::Whole);
    if response.status() == http::StatusCode::OK {
        response.headers_mut().insert(REMOVE, HeaderValue::from(PRINCIPAL));
    }
    response
}

fn read(parts: &Parts) -> Result<Asked<'_>, Hostile> {
    let path = parts.uri.path_and_query().map(http::uri::PathAndQuery::as_str).unwrap_or_default();
    let path = path.strip_prefix(PREFIX).unwrap_or_default();
    // over HTTP/2 the host stands in the URI
    let in_uri = parts.uri.authority().map(|authority| authority.as_str().as_bytes());
    let host = in_uri.or_else(|| parts.headers.get(HOST).map(HeaderValue::as_bytes)).ok_or(Hostile::Missing("host"))?;
    Asked::of_head(&parts.headers, parts.method.as_str().as_bytes(), host, path.as_bytes())
}
