//! Gateways that ask with a request of their own and put the client's into headers.
//!
//! Traefik's ForwardAuth and Caddy's `forward_auth` take any 2xx for an allow and hand every other answer to the client. nginx's
//! `auth_request` knows 2xx, 401 and 403, and takes anything else for an error; so does the Lua of HAProxy, which asks by HEAD.

use axum::body::Body;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Response, StatusCode};

use super::answer::Answer;
use super::asked::{Asked, Hostile, needed};
use super::decide::decide;
use super::page;
use crate::http::Server;
use crate::http::conn::Door;

/// Which answers a gateway takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Manner {
    /// Any.
    Whole,
    /// 2xx, 401 and 403.
    Bare,
}

/// `X-Forwarded-Method`, `-Host` and `-Uri`.
pub(super) async fn forwarded(server: &Server, door: &Door, parts: &Parts) -> Response<Body> {
    let asked = read(&parts.headers, ["x-forwarded-method", "x-forwarded-host", "x-forwarded-uri"]);
    told(&decide(server, door, asked).await, &parts.headers, Manner::Whole)
}

/// `X-Original-Method`, `-Host` and `-URI`.
pub(super) async fn original(server: &Server, door: &Door, parts: &Parts) -> Response<Body> {
    let asked = read(&parts.headers, ["x-original-method", "x-original-host", "x-original-uri"]);
    told(&decide(server, door, asked).await, &parts.headers, Manner::Bare)
}

fn read<'a>(headers: &'a HeaderMap, [method, host, uri]: [&'static str; 3]) -> Result<Asked<'a>, Hostile> {
    Asked::of_head(headers, needed(headers, method)?, needed(headers, host)?, needed(headers, uri)?)
}

/// An answer over HTTP.
pub(super) fn told(answer: &Answer, client: &HeaderMap, manner: Manner) -> Response<Body> {
    match answer {
        Answer::Allowed(allowed) => {
            let mut response = Response::new(Body::empty());
            response.headers_mut().extend(allowed.identity_headers());
            if let Some(value) = allowed.keep.and_then(|seconds| HeaderValue::try_from(format!("max-age={seconds}")).ok()) {
                response.headers_mut().insert(CACHE_CONTROL, value);
            }
            response
        }
        Answer::Denied(denied) => {
            let status = match denied.status() {
                StatusCode::BAD_REQUEST if manner == Manner::Bare => StatusCode::FORBIDDEN,
                status => status,
            };
            let mut response = with_page(status, page::denied(denied, Some(client)));
            response.headers_mut().extend(denied.headers().iter().cloned());
            response
        }
        Answer::Fault => with_page(StatusCode::INTERNAL_SERVER_ERROR, page::fault()),
    }
}

fn with_page(status: StatusCode, page: page::Page) -> Response<Body> {
    let mut response = Response::new(Body::from(page.text));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(page.kind));
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Revision, Uid};
    use crate::http::gateway::answer::{Allowed, Denied, Of, Why};
    use crate::policy::{NoRoute, Reason};

    #[test]
    fn each_answer_is_told_as_the_gateway_takes_it() {
        let of = Of { seq: 1, revision: Revision::new("r").unwrap() };
        let allowed = Allowed { principal: Uid::new("User", "a").unwrap(), held: Vec::new(), keep: Some(7), of };
        let no_route = NoRoute::Host { host: "x".to_owned() };
        let rows = [
            (Answer::Allowed(Box::new(allowed)), 200, 200),
            (Denied::because(Why::Hostile(Hostile::Missing("x"))), 400, 403),
            (Denied::because(Why::NoRoute(no_route)), 403, 403),
            (Denied::because(Why::Credential(crate::http::problem::no_credential("Bearer"))), 401, 401),
            (Denied::because(Why::Policy(Reason::NoPermit)), 403, 403),
            // what went wrong inside is an error for each of them, and for none an allow
            (Answer::Fault, 500, 500),
        ];
        for (answer, whole, bare) in rows {
            let statuses = [Manner::Whole, Manner::Bare].map(|manner| told(&answer, &HeaderMap::new(), manner).status().as_u16());
            assert_eq!(statuses, [whole, bare], "{answer:?}");
            let response = told(&answer, &HeaderMap::new(), Manner::Bare);
            assert_eq!(response.headers().contains_key(CACHE_CONTROL), whole == 200, "only an allow may be kept");
        }
    }
}
