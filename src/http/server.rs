//! Answering one request: bounded, whatever it is, and whatever happens.

use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use axum::Router;
use axum::body::Body;
use axum::response::IntoResponse as _;
use bytes::Bytes;
use http::header::{
    ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, TRANSFER_ENCODING, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::{Body as _, Frame, Incoming, SizeHint};
use serde_json::Value;
use tokio::sync::oneshot;
use tracing::Instrument as _;

use super::conn::Door;
use super::control::{self, Route};
use super::data::{self, Plane};
use super::gateway::{self, Hook};
use super::limits::{DRAINED_TIMEOUT, MAX_DRAINED_BYTES, MAX_REQUEST_ID_BYTES};
use super::problem::{self, PROBLEM_JSON, Problem, Told};
use super::reply::{REQUEST_ID, SEQ};
use super::shed::Kind;
use super::{Server, smuggling};

/// Headers that every answer gets, and those that come with its body.
const COMMON_HEADERS: usize = 8;

/// Answers a request, whatever happens: a panic becomes a 500, and too long a time a 503.
pub(super) async fn handle(server: Arc<Server>, router: Router, door: Arc<Door>, mut request: Request<Incoming>) -> Response<Body> {
    let started = Instant::now();
    let running = door.request();
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let id = request_id(&request, &door);
    let kind = Kind::of(request.uri().path());
    let plane = Plane::of(&method, request.uri().path()).filter(|_| door.gate.planes.serve(kind));
    let evaluating = matches!(plane, Some(Plane::Evaluation));
    // Where a body was sent in chunks, what comes after it is never taken for a request.
    let last = request.version() <= http::Version::HTTP_11 && request.headers().contains_key(TRANSFER_ENCODING);
    let ambiguous = door.pulse.is_ambiguous();
    let span = Spans::of(evaluating, &method, &id);
    if plane.is_none() {
        request.extensions_mut().insert(Arc::clone(&door));
    }
    let answering = unwinding(answer(&server, router, &door, plane, &id, request));
    let mut response = match tokio::time::timeout(door.gate.limits.request_timeout, answering.instrument(span.around())).await {
        Ok(Ok(response)) => response,
        Ok(Err(Panicked)) => failed(problem::internal(), evaluating),
        Err(_) => failed(problem::timed_out(), evaluating),
    };
    let hook = Hook::of(&path).map(Hook::path);
    let route = plane.map(Plane::path).or(hook).or_else(|| response.extensions().get::<Route>().map(|route| route.0)).unwrap_or("none");
    finish(&server, &mut response, &id);
    if last || ambiguous {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    let span = span.at_the_end(&response, &method, &id);
    span.record("route", route);
    note(&span, &server, &method, route, &response, started);
    response.map(|body| running.answered(body, method != Method::HEAD))
}

/// The span of a request, which names its id in every line of the log. That of a check is made only where the log asks for every request, and for
/// one that failed: it would take longer than the check.
struct Spans(tracing::Span);

impl Spans {
    fn of(evaluating: bool, method: &Method, id: &HeaderValue) -> Self {
        let wanted = !evaluating || tracing::enabled!(tracing::Level::DEBUG);
        Self(if wanted { Self::made(method, id) } else { tracing::Span::none() })
    }

    fn made(method: &Method, id: &HeaderValue) -> tracing::Span {
        tracing::info_span!("request", id = id.to_str().unwrap_or_default(), %method, route = tracing::field::Empty)
    }

    fn around(&self) -> tracing::Span {
        self.0.clone()
    }

    fn at_the_end(self, response: &Response<Body>, method: &Method, id: &HeaderValue) -> tracing::Span {
        if self.0.is_none() && response.status().is_server_error() { Self::made(method, id) } else { self.0 }
    }
}

fn failed(problem: Problem, evaluating: bool) -> Response<Body> {
    if evaluating { data::plain(problem) } else { problem.into_response() }
}

/// Answers, and then reads what is left of the body, within bounds: a client that is still writing would otherwise see its connection
/// reset, and never the answer.
async fn answer(
    server: &Arc<Server>,
    router: Router,
    door: &Arc<Door>,
    plane: Option<Plane>,
    id: &HeaderValue,
    request: Request<Incoming>,
) -> Response<Body> {
    let (request, lent) = lend(request);
    let response = placed(server, router, door, plane, id, request).await;
    if let Ok(rest) = lent.await
        && !rest.is_end_stream()
    {
        let drained = Limited::new(rest, MAX_DRAINED_BYTES).collect();
        let _ = tokio::time::timeout(DRAINED_TIMEOUT, drained).await;
    }
    response
}

/// A body that goes back to its owner when whoever reads it is done with it.
struct Lent {
    body: Option<Incoming>,
    owner: Option<oneshot::Sender<Incoming>>,
}

fn lend(request: Request<Incoming>) -> (Request<Lent>, oneshot::Receiver<Incoming>) {
    let (owner, lent) = oneshot::channel();
    (request.map(|body| Lent { body: Some(body), owner: Some(owner) }), lent)
}

impl Lent {
    /// The body, for whoever goes on reading after its answer has begun. It does not go back.
    fn kept(mut self) -> Option<Incoming> {
        self.owner = None;
        self.body.take()
    }
}

impl hyper::body::Body for Lent {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        match &mut self.body {
            Some(body) => Pin::new(body).poll_frame(context),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(hyper::body::Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map(hyper::body::Body::size_hint).unwrap_or_default()
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let (Some(body), Some(owner)) = (self.body.take(), self.owner.take()) {
            // an owner that is gone wants it no more
            let _ = owner.send(body);
        }
    }
}

/// Answers where there is a place for the request. The place is free again as soon as there is an answer, however slowly it is read.
async fn placed(
    server: &Arc<Server>,
    router: Router,
    door: &Arc<Door>,
    plane: Option<Plane>,
    id: &HeaderValue,
    request: Request<Lent>,
) -> Response<Body> {
    let evaluating = matches!(plane, Some(Plane::Evaluation));
    let kind = Kind::of(request.uri().path());
    if !door.gate.planes.serve(kind) {
        return problem::no_such_endpoint(request.uri().path()).into_response();
    }
    let hook = Hook::of(request.uri().path());
    let refused = |problem: Problem| match hook {
        Some(hook) => hook.refused(problem).into_response(),
        None => failed(problem, evaluating),
    };
    if let Err(problem) = smuggling::check(request.headers(), door.pulse.is_ambiguous()) {
        return refused(problem);
    }
    if !hook.is_some_and(Hook::brings_the_clients_host)
        && let Err(problem) = door.check_host(request.headers(), request.uri())
    {
        return refused(problem);
    }
    if let Err(problem) = smuggling::check_names(request.version(), request.headers(), request.uri()) {
        return failed(problem, evaluating);
    }
    let Some(_place) = door.gate.places.take(kind) else {
        server.metrics.shed(kind.as_str());
        return refused(problem::busy("too many requests are answered at once"));
    };
    let _counted = server.metrics.in_flight(kind);
    if hook == Some(Hook::GrpcReflection) {
        return gateway::reflect(door, request.map(Lent::kept));
    }
    if let Some(hook) = hook {
        return gateway::answer(server, door, hook, request).await;
    }
    match plane {
        Some(plane) => data::answer(server, door, plane, id, request).await,
        None => routed(router, request).await,
    }
}

async fn routed(router: Router, request: Request<Lent>) -> Response<Body> {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let response = match tower::ServiceExt::oneshot(router, request).await {
        Ok(response) => response,
        Err(never) => match never {},
    };
    if response.extensions().get::<Told>().is_some() {
        return response;
    }
    // What the router refuses by itself has no body; it gets one.
    match response.status() {
        StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED => match control::allowed(&path) {
            Some(allowed) => problem::method_not_allowed(&method, &allowed).into_response(),
            None => problem::no_such_endpoint(&path).into_response(),
        },
        StatusCode::BAD_REQUEST => problem::bad_parameter("path", "it is not UTF-8 text").into_response(),
        _ => response,
    }
}

struct Panicked;

/// Polls a future and catches what it panics with: the process and the connection live on.
async fn unwinding<T>(future: impl Future<Output = T>) -> Result<T, Panicked> {
    let mut future = Box::pin(future);
    poll_fn(move |context| match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(context))) {
        Ok(Poll::Pending) => Poll::Pending,
        Ok(Poll::Ready(value)) => Poll::Ready(Ok(value)),
        Err(_) => {
            tracing::error!("a request's handler panicked");
            Poll::Ready(Err(Panicked))
        }
    })
    .await
}

/// The request's id: the caller's own where it sent one that can be echoed, else a new one.
fn request_id(request: &Request<Incoming>, door: &Door) -> HeaderValue {
    let given = request.headers().get(REQUEST_ID).filter(|id| id.len() <= MAX_REQUEST_ID_BYTES && !id.is_empty() && id.to_str().is_ok());
    given.cloned().or_else(|| HeaderValue::from_bytes(&door.ids.next()).ok()).unwrap_or_else(|| HeaderValue::from_static("none"))
}

/// What every answer carries.
fn finish(server: &Server, response: &mut Response<Body>, id: &HeaderValue) {
    let told = response.extensions().get::<Told>().cloned();
    let seq = told.as_ref().and_then(|Told(problem)| problem.seq()).unwrap_or_else(|| server.engine.view().seq);
    let is_problem = response.headers().get(CONTENT_TYPE).is_some_and(|kind| kind == PROBLEM_JSON);
    if let (Some(Told(problem)), true) = (told, is_problem) {
        let mut document = problem.at(seq).to_json();
        if let Value::Object(members) = &mut document {
            members.insert("request_id".to_owned(), id.to_str().unwrap_or_default().into());
        }
        *response.body_mut() = Body::from(document.to_string());
        response.headers_mut().remove(http::header::CONTENT_LENGTH);
    }
    let headers = response.headers_mut();
    headers.reserve(COMMON_HEADERS);
    headers.entry(SEQ).or_insert_with(|| HeaderValue::from(seq));
    headers.insert(REQUEST_ID, id.clone());
    // a gateway's hook may say that its answer can be kept; nothing else may
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    // a page says itself what may run on it
    headers.entry(CONTENT_SECURITY_POLICY).or_insert(HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
}

fn note(span: &tracing::Span, server: &Server, method: &Method, route: &'static str, response: &Response<Body>, started: Instant) {
    let _in = span.enter();
    let status = response.status();
    let rule = response.extensions().get::<Told>().map_or("", |Told(problem)| problem.rule()).to_owned();
    let micros = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX);
    server.metrics.request(method, route, status);
    if status.is_server_error() {
        tracing::warn!(status = status.as_u16(), rule, micros, "answered");
    } else {
        tracing::debug!(status = status.as_u16(), rule, micros, "answered");
    }
    debug_assert!(status != StatusCode::METHOD_NOT_ALLOWED || response.headers().contains_key(ALLOW));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_is_an_answer_and_not_the_end() {
        let answered = unwinding(async { 7 }).await;
        assert!(matches!(answered, Ok(7)));
        let at_once = unwinding(async { panic!("on purpose") as u8 }).await;
        assert!(matches!(at_once, Err(Panicked)));
        let later = unwinding(async {
            tokio::task::yield_now().await;
            panic!("on purpose") as u8
        });
        assert!(matches!(later.await, Err(Panicked)));
    }
}
