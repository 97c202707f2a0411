//! Connections: accepting them, bounding them, answering on them, and letting them go.

use std::future::{Future, poll_fn};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use axum::Router;
use axum::body::Body;
use axum::response::IntoResponse as _;
use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::{Body as _, Frame, Incoming, SizeHint};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::Value;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, oneshot, watch};
use tracing::Instrument as _;
use uuid::Uuid;

use super::Server;
use super::control::{self, Route};
use super::data::{self, Plane};
use super::limits::{
    ACCEPT_PAUSE, CONNECTION_LIFETIME, DRAIN_TIMEOUT, DRAINED_TIMEOUT, HEAD_TIMEOUT, MAX_CONNECTIONS, MAX_DRAINED_BYTES, MAX_HEADER_BYTES,
    MAX_HEADERS, MAX_REQUEST_ID_BYTES, REQUEST_TIMEOUT,
};
use super::problem::{self, PROBLEM_JSON, Problem, Told};
use super::reply::{REQUEST_ID, SEQ};

/// Serves until `shutdown` completes; then takes no more connections, and lets requests in flight finish within a bounded time.
///
/// # Errors
/// The listener cannot be used at all.
pub async fn serve(listener: TcpListener, server: Arc<Server>, shutdown: impl Future<Output = ()>) -> io::Result<()> {
    let permits = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let (stop, stopping) = watch::channel(false);
    let router = control::router(Arc::clone(&server));
    let mut shutdown = pin!(shutdown);
    loop {
        let permit = tokio::select! {
            () = &mut shutdown => break,
            permit = Arc::clone(&permits).acquire_owned() => permit.map_err(io::Error::other)?,
        };
        let accepted = tokio::select! {
            () = &mut shutdown => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => {
                tokio::spawn(connection(stream, Arc::clone(&server), router.clone(), stopping.clone(), permit));
            }
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    let _ = stop.send(true);
    let all = u32::try_from(MAX_CONNECTIONS).unwrap_or(u32::MAX);
    if tokio::time::timeout(DRAIN_TIMEOUT, permits.acquire_many(all)).await.is_err() {
        tracing::warn!("some requests did not finish in time and are cut off");
    }
    Ok(())
}

/// What an answer that goes on and on has to know of its connection.
#[derive(Debug, Clone)]
pub(super) struct Link {
    /// Turns true when the server is to stop.
    pub(super) stopping: watch::Receiver<bool>,
    /// When the connection has lived long enough.
    pub(super) until: Instant,
    cut: Arc<Notify>,
}

impl Link {
    /// Drops the connection, whatever still waits to be written on it.
    pub(super) fn hang_up(&self) {
        self.cut.notify_one();
    }
}

async fn connection(
    stream: TcpStream,
    server: Arc<Server>,
    router: Router,
    mut stopping: watch::Receiver<bool>,
    _permit: OwnedSemaphorePermit,
) {
    let _ = stream.set_nodelay(true);
    let _open = server.metrics.connection();
    let cut = Arc::new(Notify::new());
    let link = Link { stopping: stopping.clone(), until: Instant::now() + CONNECTION_LIFETIME, cut: Arc::clone(&cut) };
    let service = service_fn(move |mut request: Request<Incoming>| {
        let (server, router) = (Arc::clone(&server), router.clone());
        request.extensions_mut().insert(link.clone());
        async move { Ok::<_, std::convert::Infallible>(handle(server, router, request).await) }
    });
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT).max_headers(MAX_HEADERS).max_buf_size(MAX_HEADER_BYTES);
    let mut serving = pin!(builder.serve_connection(TokioIo::new(stream), service));
    let ended = tokio::select! {
        ended = serving.as_mut() => Some(ended),
        _ = stopping.wait_for(|stop| *stop) => None,
        () = tokio::time::sleep(CONNECTION_LIFETIME) => None,
        () = cut.notified() => return,
    };
    let ended = match ended {
        Some(ended) => ended,
        None => {
            serving.as_mut().graceful_shutdown();
            tokio::select! {
                ended = serving => ended,
                () = tokio::time::sleep(REQUEST_TIMEOUT) => return,
                () = cut.notified() => return,
            }
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended early");
    }
}

/// Answers a request, whatever happens: a panic becomes a 500, and too long a time a 503.
async fn handle(server: Arc<Server>, router: Router, request: Request<Incoming>) -> Response<Body> {
    let started = Instant::now();
    let method = request.method().clone();
    let id = request_id(&request);
    let plane = Plane::of(&method, request.uri().path());
    let evaluating = matches!(plane, Some(Plane::Evaluation));
    let span = tracing::info_span!("request", id = id.to_str().unwrap_or_default(), %method, route = tracing::field::Empty);
    let answering = unwinding(answer(&server, router, plane, request));
    let mut response = match tokio::time::timeout(REQUEST_TIMEOUT, answering.instrument(span.clone())).await {
        Ok(Ok(response)) => response,
        Ok(Err(Panicked)) => failed(problem::internal(), evaluating),
        Err(_) => failed(problem::timed_out(), evaluating),
    };
    let route = plane.map(Plane::path).or_else(|| response.extensions().get::<Route>().map(|route| route.0)).unwrap_or("none");
    finish(&server, &mut response, &id);
    span.record("route", route);
    note(&span, &server, &method, route, &response, started);
    response
}

fn failed(problem: Problem, evaluating: bool) -> Response<Body> {
    if evaluating { data::plain(problem) } else { problem.into_response() }
}

/// Answers, and then reads what is left of the body, within bounds: a client that is still writing would otherwise see its connection
/// reset, and never the answer.
async fn answer(server: &Arc<Server>, router: Router, plane: Option<Plane>, request: Request<Incoming>) -> Response<Body> {
    let (request, lent) = lend(request);
    let response = routed(server, router, plane, request).await;
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

async fn routed(server: &Arc<Server>, router: Router, plane: Option<Plane>, request: Request<Lent>) -> Response<Body> {
    if let Err(problem) = server.check_host(request.headers(), request.uri()) {
        return failed(problem, matches!(plane, Some(Plane::Evaluation)));
    }
    if let Some(plane) = plane {
        return data::answer(server, plane, request).await;
    }
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
fn request_id(request: &Request<Incoming>) -> HeaderValue {
    let given = request.headers().get(REQUEST_ID).filter(|id| id.len() <= MAX_REQUEST_ID_BYTES && !id.is_empty() && id.to_str().is_ok());
    given.cloned().or_else(|| HeaderValue::try_from(Uuid::now_v7().to_string()).ok()).unwrap_or_else(|| HeaderValue::from_static("none"))
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
    headers.entry(SEQ).or_insert_with(|| HeaderValue::from(seq));
    headers.insert(REQUEST_ID, id.clone());
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'"));
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
