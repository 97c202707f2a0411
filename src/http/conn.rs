//! One connection: TLS, which version of HTTP, and its end.

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};
use std::time::Instant;

use axum::Router;
use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::{HttpService, service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::runtime::Handle;
use tokio::sync::{Notify, watch};
use tokio_rustls::TlsAcceptor;

use crate::identity::UnixPeer;

use super::Server;
use super::access::Kept;
use super::aside::first;
use super::ids::RequestIds;
use super::lane::{Lane, Leaves};
use super::limits::{EdgeLimits, PARTING_TIMEOUT};
use super::listen::{Gate, Taken};
use super::metrics::OpenConnection;
use super::pulse::{Pulse, Running, Slow, Watched};
use super::server::handle;
use super::shed::Newcomer;
use super::socket::{Moves, Socket};
use super::tls::H2;

/// What an HTTP/2 connection begins with where it is not agreed on in TLS.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// What a request has to know of the connection that it came on.
pub(super) struct Door {
    /// The listener.
    pub(super) gate: Arc<Gate>,
    /// The certificate that TLS verified.
    pub(super) certificate: Option<Arc<[u8]>>,
    /// The process at the other end of a UNIX socket.
    pub(super) peer: Option<UnixPeer>,
    /// The connection's end.
    pub(super) link: Link,
    pub(super) pulse: Arc<Pulse>,
    pub(super) newcomer: Arc<Newcomer>,
    pub(super) ids: RequestIds,
    /// Of whoever asks checks on it, where hyper reads them.
    pub(super) kept: Mutex<Kept>,
    /// Its place, until nobody has to know of it any more.
    _taken: Taken,
    _open: OpenConnection,
}

impl Door {
    /// A request came whole on this connection.
    pub(super) fn request(&self) -> Running {
        self.newcomer.asked();
        self.pulse.request(self.gate.limits.h2_given_up)
    }
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

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Version {
    One,
    Two,
}

/// A connection of which everything is known that is to be known before the first request.
struct Ready<S> {
    stream: S,
    before: Bytes,
    version: Version,
    certificate: Option<Arc<[u8]>>,
    peer: Option<UnixPeer>,
}

/// What all connections are given.
#[derive(Clone)]
struct Given {
    server: Arc<Server>,
    router: Router,
    stopping: watch::Receiver<bool>,
    /// The threads of connections that have not settled: those that are new or slow, HTTP/2, and all that is not a plain check.
    threads: Handle,
}

/// A connection that has come and asked nothing yet.
struct Host {
    gate: Arc<Gate>,
    given: Given,
    taken: Taken,
    open: OpenConnection,
}

/// Serves a connection: to its end, or until it has settled and goes on with the others that have.
pub(super) async fn connection(
    socket: Socket,
    peer: Option<UnixPeer>,
    gate: Arc<Gate>,
    server: Arc<Server>,
    router: Router,
    stopping: watch::Receiver<bool>,
    taken: Taken,
) {
    let (metrics, newcomer) = (Arc::clone(&server.metrics), Arc::clone(&taken.newcomer));
    let open = server.metrics.connection();
    let host = Host { gate, given: Given { server, router, stopping, threads: Handle::current() }, taken, open };
    if first(host.secured(socket, peer), newcomer.is_sent_away()).await.is_err() {
        metrics.cut("made_room");
    }
}

impl Host {
    async fn secured(self, mut socket: Socket, peer: Option<UnixPeer>) {
        let (mut stopping, metrics) = (self.given.stopping.clone(), Arc::clone(&self.given.server.metrics));
        let limits = self.gate.limits.clone();
        let Some(tls) = &self.gate.tls else {
            let begun = tokio::select! {
                begun = begin(&mut socket, &limits) => begun,
                _ = stopping.wait_for(|stop| *stop) => return,
            };
            match begun {
                Ok((version, before)) => self.serve(Ready { stream: socket, before, version, certificate: None, peer }).await,
                Err(why) => metrics.cut(why),
            }
            return;
        };
        let handshake = TlsAcceptor::from(tls.load_full()).accept(socket);
        let shaken = tokio::select! {
            shaken = tokio::time::timeout(limits.handshake_timeout, handshake) => shaken,
            _ = stopping.wait_for(|stop| *stop) => return,
        };
        let stream = match shaken {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => {
                tracing::debug!(%error, listener = self.gate.name, "a TLS handshake failed");
                return metrics.refused("handshake");
            }
            Err(_) => return metrics.refused("slow_handshake"),
        };
        let (_, session) = stream.get_ref();
        let version = if session.alpn_protocol() == Some(H2) { Version::Two } else { Version::One };
        let certificate = session.peer_certificates().and_then(|chain| chain.first()).map(|certificate| Arc::from(certificate.as_ref()));
        self.serve(Ready { stream, before: Bytes::new(), version, certificate, peer }).await;
    }

    async fn serve<S: Moves>(self, ready: Ready<S>) {
        let Self { gate, given, taken, open } = self;
        let cut = Arc::new(Notify::new());
        let pulse = Pulse::new(ready.version == Version::One, Arc::clone(&cut));
        let link = Link { stopping: given.stopping.clone(), until: Instant::now() + gate.limits.lifetime, cut };
        let door = Arc::new(Door {
            gate,
            certificate: ready.certificate,
            peer: ready.peer,
            link,
            pulse,
            newcomer: Arc::clone(&taken.newcomer),
            ids: RequestIds::new(),
            kept: Mutex::default(),
            _taken: taken,
            _open: open,
        });
        let Ready { stream, before, version, .. } = ready;
        let serving: Pin<Box<dyn Serving>> = match version {
            Version::One => Box::pin(One::new(stream, before, given.clone(), Arc::clone(&door))),
            Version::Two => {
                let io = TokioIo::new(Watched::new(stream, before, Arc::clone(&door.pulse)));
                Box::pin(
                    two(&door.gate.limits).serve_connection(io, answers(given.server.clone(), given.router.clone(), Arc::clone(&door))),
                )
            }
        };
        attend(serving, &door, given).await;
    }
}

/// Serves, and looks at how that goes.
async fn attend(mut serving: Pin<Box<dyn Serving>>, door: &Door, given: Given) {
    let (limits, link) = (&door.gate.limits, &door.link);
    let Given { server, mut stopping, .. } = given;
    let aside = async {
        tokio::select! {
            _ = stopping.wait_for(|stop| *stop) => Ok(limits.request_timeout),
            () = tokio::time::sleep_until(link.until.into()) => Ok(limits.request_timeout),
            slow = door.pulse.watch(limits) => {
                server.metrics.cut(slow.as_str());
                match slow {
                    Slow::Idle => Ok(PARTING_TIMEOUT),
                    Slow::Head | Slow::Unread => Err(()),
                }
            }
            () = link.cut.notified() => {
                server.metrics.cut("hung_up");
                Err(())
            }
        }
    };
    let ended = match first(end_of(serving.as_mut()), aside).await {
        Ok(ended) => ended,
        Err(Err(())) => return,
        Err(Ok(grace)) => {
            serving.as_mut().let_go();
            tokio::select! {
                ended = end_of(serving.as_mut()) => ended,
                () = tokio::time::sleep(grace) => return,
                () = link.cut.notified() => return,
            }
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended early");
    }
}

/// What a connection without TLS begins with: which version of HTTP it is, and what was read to see that.
async fn begin(stream: &mut (impl AsyncRead + Unpin), limits: &EdgeLimits) -> Result<(Version, Bytes), &'static str> {
    let mut read = BytesMut::with_capacity(PREFACE.len());
    // The first byte may take as long as the next request of a connection may.
    let first = tokio::time::timeout(limits.idle_timeout, stream.read_buf(&mut read)).await.map_err(|_| "idle")?;
    if first.unwrap_or(0) == 0 {
        return Err("left");
    }
    let rest = async {
        loop {
            if !PREFACE.starts_with(&read) {
                return Ok(if read.starts_with(PREFACE) { Version::Two } else { Version::One });
            }
            if read.len() == PREFACE.len() {
                return Ok(Version::Two);
            }
            if stream.read_buf(&mut read).await.unwrap_or(0) == 0 {
                return Err("left");
            }
        }
    };
    let version = tokio::time::timeout(limits.head_timeout, rest).await.map_err(|_| "slow_head")??;
    Ok((version, read.freeze()))
}

fn one(limits: &EdgeLimits) -> http1::Builder {
    let mut builder = http1::Builder::new();
    // hyper's clock runs while a connection is idle, too. The shorter bound of a head that has begun is the pulse's.
    builder.timer(TokioTimer::new()).header_read_timeout(limits.idle_timeout + limits.head_timeout);
    builder.max_headers(limits.headers).max_header_size(limits.header_bytes).max_buf_size(limits.header_bytes);
    builder
}

fn two(limits: &EdgeLimits) -> http2::Builder<TokioExecutor> {
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits.h2_streams)
        .max_pending_accept_reset_streams(limits.h2_pending_resets)
        .max_local_error_reset_streams(limits.h2_error_resets)
        .max_header_list_size(u32::try_from(limits.header_bytes).unwrap_or(u32::MAX))
        .initial_stream_window_size(limits.h2_stream_window)
        .initial_connection_window_size(limits.h2_connection_window)
        .max_send_buf_size(limits.h2_stream_window as usize)
        .keep_alive_interval(limits.h2_ping_every)
        .keep_alive_timeout(limits.h2_ping_timeout);
    builder
}

/// What hyper asks for answers.
fn answers(
    server: Arc<Server>,
    router: Router,
    door: Arc<Door>,
) -> impl HttpService<Incoming, ResBody = Body, Error = Infallible, Future: Send + 'static> + Send + 'static {
    service_fn(move |request: Request<Incoming>| {
        let (server, router, door) = (Arc::clone(&server), router.clone(), Arc::clone(&door));
        async move { Ok::<Response<Body>, Infallible>(handle(server, router, door, request).await) }
    })
}

/// A connection over HTTP/1.1: in the lane of plain checks, until something else is asked on it.
///
/// Those in the lane that have settled wait on threads of their own, so that no burst of what others do (heads that come byte by byte,
/// streams that are opened and given up, a full control plane) stands before a check. One that leaves the lane goes back.
struct One<S> {
    at: At<S>,
    /// For hyper, once it is asked.
    given: Option<(Given, Arc<Door>)>,
    leaving: bool,
    /// Whether it waits on the threads of those that have settled.
    settled: bool,
}

enum At<S> {
    Lane(Box<Lane<S>>),
    Hyper(Pin<Box<dyn Serving>>),
    Over,
}

impl<S: Moves> One<S> {
    fn new(stream: S, before: Bytes, given: Given, door: Arc<Door>) -> Self {
        let lane = Lane::new(stream, &before, Arc::clone(&given.server), Arc::clone(&door));
        let mut one = Self { at: At::Over, given: Some((given, door)), leaving: false, settled: false };
        match lane {
            Ok(lane) => one.at = At::Lane(Box::new(lane)),
            Err(stream) => one.give(stream, before),
        }
        one
    }

    /// Hands the connection to hyper.
    fn give(&mut self, stream: S, before: Bytes) {
        let Some((given, door)) = self.given.take() else { return };
        if self.settled && !self.leaving {
            let threads = given.threads.clone();
            drop(threads.spawn(moved(stream, Moves::move_here, given, door, move |stream, given, door| Self {
                at: At::Hyper(by_hyper(stream, before, given, door)),
                given: None,
                leaving: false,
                settled: false,
            })));
            return;
        }
        let mut serving = by_hyper(stream, before, &given, &door);
        if self.leaving {
            serving.as_mut().let_go();
        }
        self.at = At::Hyper(serving);
    }

    /// Goes on where nobody is but those that have settled.
    fn settle(&mut self, lane: Box<Lane<S>>) {
        let Some((given, door)) = self.given.take() else { return };
        let checkers = given.server.checkers.clone();
        drop(checkers.spawn(moved(
            lane,
            |lane| lane.move_here(),
            given,
            door,
            |lane, given, door| Self { at: At::Lane(lane), given: Some((given.clone(), Arc::clone(door))), leaving: false, settled: true },
        )));
    }
}

/// Goes on with a connection on the threads where this runs.
async fn moved<T, S: Moves>(
    mut what: T,
    move_here: impl FnOnce(&mut T) -> io::Result<()>,
    given: Given,
    door: Arc<Door>,
    made: impl FnOnce(T, &Given, &Arc<Door>) -> One<S>,
) {
    match move_here(&mut what) {
        Ok(()) => {
            let one = made(what, &given, &door);
            attend(Box::pin(one), &door, given).await;
        }
        Err(error) => {
            tracing::warn!(%error, listener = door.gate.name, "a connection could not change threads and is lost");
            given.server.metrics.cut("lost");
        }
    }
}

fn by_hyper<S: Moves>(stream: S, before: Bytes, given: &Given, door: &Arc<Door>) -> Pin<Box<dyn Serving>> {
    let io = TokioIo::new(Watched::new(stream, before, Arc::clone(&door.pulse)));
    let answers = answers(Arc::clone(&given.server), given.router.clone(), Arc::clone(door));
    Box::pin(one(&door.gate.limits).serve_connection(io, answers))
}

impl<S: Moves> Future for One<S> {
    type Output = hyper::Result<()>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<hyper::Result<()>> {
        loop {
            let left = match &mut self.at {
                At::Lane(lane) => ready!(lane.poll(context)),
                At::Hyper(serving) => return serving.as_mut().poll(context),
                At::Over => return Poll::Ready(Ok(())),
            };
            let at = std::mem::replace(&mut self.at, At::Over);
            match (left, at) {
                (Leaves::ForHyper(stream, before), _) => self.give(stream, before),
                (Leaves::Settled, At::Lane(lane)) => self.settle(lane),
                (Leaves::Over | Leaves::Settled, _) => {}
            }
        }
    }
}

impl<S: Moves> Serving for One<S> {
    fn let_go(mut self: Pin<&mut Self>) {
        self.leaving = true;
        match &mut self.at {
            At::Lane(lane) => lane.let_go(),
            At::Hyper(serving) => serving.as_mut().let_go(),
            At::Over => {}
        }
    }
}

/// A connection of either version.
trait Serving: Future<Output = hyper::Result<()>> + Send {
    /// Takes no more requests, and ends when those that it has are answered.
    fn let_go(self: Pin<&mut Self>);
}

impl<I, S> Serving for http1::Connection<I, S>
where
    I: hyper::rt::Read + hyper::rt::Write + Send + Unpin + 'static,
    S: HttpService<Incoming, ResBody = Body> + Send,
    S::Future: Send,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    fn let_go(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

impl<I, S> Serving for http2::Connection<I, S, TokioExecutor>
where
    I: hyper::rt::Read + hyper::rt::Write + Send + Unpin + 'static,
    S: HttpService<Incoming, ResBody = Body> + Send,
    S::Future: Send + 'static,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    fn let_go(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

async fn end_of(mut serving: Pin<&mut dyn Serving>) -> hyper::Result<()> {
    poll_fn(|context| serving.as_mut().poll(context)).await
}
