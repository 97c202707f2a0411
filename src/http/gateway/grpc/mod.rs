//! gRPC, as much as there is of it here: calls with one message in and one out (reflection alone has many), over the HTTP/2 that is served anyway. A message has five
//! bytes in front (whether it is compressed, and its length), and how the call went stands in trailers.
//!
//! Served are Envoy's `Authorization/Check`, gRPC's own `Health/Check`, and reflection where a listener is told so. Lost: a framework with a
//! router, a codec and a server of its own beside the one that has the limits.

mod check;
mod descriptors;
mod proto;
mod reflection;

use axum::body::Body;
use bytes::{BufMut as _, Bytes, BytesMut};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, Version};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use prost::Message;

use super::Hook;
use crate::http::Server;
use crate::http::asker::collect;
use crate::http::conn::Door;

/// Envoy's question.
pub(super) const CHECK: &str = "/envoy.service.auth.v3.Authorization/Check";
/// What all of that service begins with.
pub(super) const AUTHORIZATION: &str = "/envoy.service.auth.v3.Authorization/";
/// Whether a service is ready.
pub(super) const HEALTH: &str = "/grpc.health.v1.Health/Check";
/// What all of that service begins with.
pub(super) const HEALTHS: &str = "/grpc.health.v1.Health/";
/// What is served, in either version.
pub(super) const REFLECTION: [&str; 2] = [reflection::V1, reflection::V1_ALPHA];

const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
const GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
const GRPC: &str = "application/grpc";

/// Largest message that is taken: a head with all its headers, and the body where Envoy sends that along.
const MAX_MESSAGE_BYTES: usize = 4 << 20;
/// What stands in front of a message.
const FRAME_BYTES: usize = 5;

/// How a call went, where it did not go well (google.rpc.Code).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Code {
    InvalidArgument = 3,
    DeadlineExceeded = 4,
    NotFound = 5,
    PermissionDenied = 7,
    ResourceExhausted = 8,
    Unimplemented = 12,
    Internal = 13,
    Unavailable = 14,
    Unauthenticated = 16,
}

/// A call that failed.
#[derive(Debug, PartialEq, Eq)]
struct Failed(Code, String);

/// Answers a call.
pub(super) async fn answer<B>(server: &Server, door: &Door, hook: Hook, version: Version, headers: &HeaderMap, body: B) -> Response<Body>
where
    B: hyper::body::Body<Data = Bytes, Error = hyper::Error>,
{
    if let Some(refused) = no_call(version, headers) {
        return refused;
    }
    match call(server, door, hook, headers, body).await {
        Ok(message) => with_trailers(&message),
        Err(Failed(code, why)) => failed(code, &why),
    }
}

/// Answers a stream of questions about what is served, which keeps its body for as long as it lasts.
pub(super) fn reflect(door: &Door, request: Request<Option<Incoming>>) -> Response<Body> {
    if let Some(refused) = no_call(request.version(), request.headers()) {
        return refused;
    }
    match request.into_body().filter(|_| door.gate.grpc_reflection) {
        Some(questions) => reflection::answer(door, questions),
        None => failed(Code::Unimplemented, "`grpc_reflection` is off at this listener"),
    }
}

/// What is told to whoever does not speak gRPC.
fn no_call(version: Version, headers: &HeaderMap) -> Option<Response<Body>> {
    let is_grpc = headers
        .get(CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok())
        .is_some_and(|kind| kind.strip_prefix(GRPC).is_some_and(|rest| rest.is_empty() || rest.starts_with('+') || rest.starts_with(';')));
    if version == Version::HTTP_2 && is_grpc {
        return None;
    }
    let mut response = Response::new(Body::from("this is a gRPC method: HTTP/2 and `application/grpc`"));
    *response.status_mut() = StatusCode::UNSUPPORTED_MEDIA_TYPE;
    Some(response)
}

async fn call<B>(server: &Server, door: &Door, hook: Hook, headers: &HeaderMap, body: B) -> Result<Vec<u8>, Failed>
where
    B: hyper::body::Body<Data = Bytes, Error = hyper::Error>,
{
    let collected = collect(body, MAX_MESSAGE_BYTES + FRAME_BYTES, door.gate.limits.body_timeout).await;
    let bytes = collected.map_err(|problem| Failed(Code::ResourceExhausted, problem.detail().to_owned()))?;
    match hook {
        Hook::EnvoyGrpc => {
            let request = read::<proto::CheckRequest>(&bytes)?;
            Ok(check::answer(server, door, headers, request).await.encode_to_vec())
        }
        Hook::GrpcHealth => {
            let request = read::<proto::HealthCheckRequest>(&bytes)?;
            let known = ["", "envoy.service.auth.v3.Authorization"].contains(&request.service.as_str());
            if !known {
                return Err(Failed(Code::NotFound, "there is no such service".to_owned()));
            }
            let status = if server.engine.health().ready() { proto::SERVING } else { proto::NOT_SERVING };
            Ok(proto::HealthCheckResponse { status }.encode_to_vec())
        }
        Hook::GrpcReflection | Hook::GrpcOther | Hook::Envoy | Hook::Forwarded | Hook::Original | Hook::Kubernetes => {
            Err(Failed(Code::Unimplemented, "there is no such method".to_owned()))
        }
    }
}

/// The one message of a call.
fn read<M: Message + Default>(bytes: &Bytes) -> Result<M, Failed> {
    let bad = |why: &str| Failed(Code::InvalidArgument, why.to_owned());
    let (head, message) = bytes.split_at_checked(FRAME_BYTES).ok_or_else(|| bad("there is no message"))?;
    let [compressed, length @ ..] = head else { return Err(bad("there is no message")) };
    if *compressed != 0 {
        return Err(Failed(Code::Unimplemented, "compressed messages are not taken".to_owned()));
    }
    let announced = length.iter().fold(0_usize, |length, byte| length << 8 | usize::from(*byte));
    if announced != message.len() {
        return Err(bad("the message is not as long as it says, or there is more than one"));
    }
    M::decode(message).map_err(|error| bad(&format!("the message cannot be read: {error}")))
}

/// A message, with what stands in front of it.
fn framed(message: &[u8]) -> Bytes {
    let mut framed = BytesMut::with_capacity(FRAME_BYTES + message.len());
    framed.put_u8(0);
    framed.put_u32(u32::try_from(message.len()).unwrap_or(u32::MAX));
    framed.put_slice(message);
    framed.freeze()
}

/// How a call went.
fn outcome(failed: Option<&Failed>) -> HeaderMap {
    let Some(Failed(code, why)) = failed else { return HeaderMap::from_iter([(GRPC_STATUS, HeaderValue::from_static("0"))]) };
    let encoded: String =
        why.bytes().map(|byte| if (b' '..=b'~').contains(&byte) && byte != b'%' { char::from(byte) } else { '?' }).collect();
    let why = HeaderValue::try_from(encoded).ok().map(|why| (GRPC_MESSAGE, why));
    [(GRPC_STATUS, HeaderValue::from(*code as u16))].into_iter().chain(why).collect()
}

fn with_trailers(message: &[u8]) -> Response<Body> {
    let trailers = std::future::ready(Some(Ok::<_, std::convert::Infallible>(outcome(None))));
    of_grpc(Body::new(Full::new(framed(message)).with_trailers(trailers)))
}

/// A call that failed has no message: how it went stands in the head.
fn failed(code: Code, why: &str) -> Response<Body> {
    let mut response = of_grpc(Body::empty());
    response.headers_mut().extend(outcome(Some(&Failed(code, why.to_owned()))));
    response
}

fn of_grpc(body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(GRPC));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_has_one_whole_message() {
        let framed = |bytes: &[u8]| read::<proto::HealthCheckRequest>(&Bytes::copy_from_slice(bytes));
        assert_eq!(framed(b"\0\0\0\0\0").unwrap().service, "");
        assert_eq!(framed(b"\0\0\0\0\x03\x0a\x01a").unwrap().service, "a");
        let bad: [(&[u8], Code); 8] = [
            (b"", Code::InvalidArgument),
            (b"\0\0\0\0", Code::InvalidArgument),
            (b"\0\0\0\0\x01", Code::InvalidArgument),
            (b"\0\0\0\0\0\0\0\0\0\0", Code::InvalidArgument),
            (b"\0\xff\xff\xff\xff\x0a", Code::InvalidArgument),
            (b"\x01\0\0\0\0", Code::Unimplemented),
            (b"\0\0\0\0\x03\x0a\x05a", Code::InvalidArgument),
            (b"\0\0\0\0\x03\x0a\x01\xff", Code::InvalidArgument),
        ];
        for (bytes, code) in bad {
            assert_eq!(framed(bytes).unwrap_err().0, code, "{bytes:?}");
        }
    }
}
