//! One connection: TLS, which version of HTTP, and its end.

use std::convert::Infallible;
use std::future::{Future, poll_fn};
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
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
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
use super::pulse::{Pulse, Running, Slow, Watched};
use super::server::handle;
use super::shed::Newcomer;
use super::tls::H2;

/// What an HTTP/2 connection begins with where it is not agreed on in TLS.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A connection as it was accepted.
pub(super) enum Arrived {
    Tcp(TcpStream),
    /// With who is at the other end, where the kernel tells.
    Unix(UnixStream, Option<UnixPeer>),
}

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
struct Host {
    gate: Arc<Gate>,
    server: Arc<Server>,
    router: Router,
    stopping: watch::Receiver<bool>,
    newcomer: Arc<Newcomer>,
}

/// Serves a connection to its end.
pub(super) async fn connection(
    arrived: Arrived,
    gate: Arc<Gate>,
    server: Arc<Server>,
    router: Router,
    stopping: watch::Receiver<bool>,
    taken: Taken,
) {
    let _open = server.metrics.connection();
    let metrics = Arc::clone(&server.metrics);
    let host = Host { gate, server, router, stopping, newcomer: Arc::clone(&taken.newcomer) };
    let served = async {
        match arrived {
            Arrived::Tcp(stream) => host.secured(stream, None).await,
            Arrived::Unix(stream, peer) => host.secured(stream, peer).await,
        }
    };
    if first(served, taken.newcomer.is_sent_away()).await.is_err() {
        metrics.cut("made_room");
    }
}

impl Host {
    async fn secured<S: AsyncRead + AsyncWrite + Send + Unpin + 'static>(self, stream: S, peer: Option<UnixPeer>) {
        let mut stopping = self.stopping.clone();
        let limits = self.gate.limits.clone();
        let Some(tls) = &self.gate.tls else {
            let mut stream = stream;
            let begun = tokio::select! {
                begun = begin(&mut stream, &limits) => begun,
                _ = stopping.wait_for(|stop| *stop) => return,
            };
            match begun {
                Ok((version, before)) => self.serve(Ready { stream, before, version, certificate: None, peer }).await,
                Err(why) => self.server.metrics.cut(why),
            }
            return;
        };
        let handshake = TlsAcceptor::from(tls.load_full()).accept(stream);
        let shaken = tokio::select! {
            shaken = tokio::time::timeout(limits.handshake_timeout, handshake) => shaken,
            _ = stopping.wait_for(|stop| *stop) => return,
        };
        let stream = match shaken {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => {
                tracing::debug!(%error, listener = self.gate.name, "a TLS handshake failed");
                return self.server.metrics.refused("handshake");
            }
            Err(_) => return self.server.metrics.refused("slow_handshake"),
        };
        let (_, session) = stream.get_ref();
        let version = if session.alpn_protocol() == Some(H2) { Version::Two } else { Version::One };
        let certificate = session.peer_certificates().and_then(|chain| chain.first()).map(|certificate| Arc::from(certificate.as_ref()));
        self.serve(Ready { stream, before: Bytes::new(), version, certificate, peer }).await;
    }

    async fn serve<S: AsyncRead + AsyncWrite + Send + Unpin + 'static>(self, ready: Ready<S>) {
        let Self { gate, server, router, mut stopping, newcomer } = self;
        let limits = &gate.limits;
        let cut = Arc::new(Notify::new());
        let pulse = Pulse::new(ready.version == Version::One, Arc::clone(&cut));
        let link = Link { stopping: stopping.clone(), until: Instant::now() + limits.lifetime, cut: Arc::clone(&cut) };
        let door = Arc::new(Door {
            gate: Arc::clone(&gate),
            certificate: ready.certificate,
            peer: ready.peer,
            link,
            pulse: Arc::clone(&pulse),
            newcomer,
            ids: RequestIds::new(),
            kept: Mutex::default(),
        });
        let metrics = Arc::clone(&server.metrics);
        let Ready { stream, before, version, .. } = ready;
        let mut serving: Pin<Box<dyn Serving>> = match version {
            Version::One => Box::pin(One::new(stream, before, server, router, door)),
            Version::Two => {
                let io = TokioIo::new(Watched::new(stream, before, pulse.clone()));
                Box::pin(two(limits).serve_connection(io, answers(server, router, door)))
            }
        };
        let aside = async {
            tokio::select! {
                _ = stopping.wait_for(|stop| *stop) => Ok(limits.request_timeout),
                () = tokio::time::sleep(limits.lifetime) => Ok(limits.request_timeout),
                slow = pulse.watch(limits) => {
                    metrics.cut(slow.as_str());
                    match slow {
                        Slow::Idle => Ok(PARTING_TIMEOUT),
                        Slow::Head | Slow::Unread => Err(()),
                    }
                }
                () = cut.notified() => {
                    metrics.cut("hung_up");
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
                    () = cut.notified() => return,
                }
            }
        };
        if let Err(error) = ended {
            tracing::debug!(%error, "a connection ended early");
        }
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
struct One<S> {
    at: At<S>,
    /// For hyper, once it is asked.
    given: Option<(Arc<Server>, Router, Arc<Door>)>,
    leaving: bool,
}

enum At<S> {
    Lane(Box<Lane<S>>),
    Hyper(Pin<Box<dyn Serving>>),
    Over,
}

impl<S: AsyncRead + AsyncWrite + Send + Unpin + 'static> One<S> {
    fn new(stream: S, before: Bytes, server: Arc<Server>, router: Router, door: Arc<Door>) -> Self {
        let lane = Lane::new(stream, &before, Arc::clone(&server), Arc::clone(&door));
        let mut one = Self { at: At::Over, given: Some((server, router, door)), leaving: false };
        match lane {
            Ok(lane) => one.at = At::Lane(Box::new(lane)),
            Err(stream) => one.give(stream, before),
        }
        one
    }

    /// Hands the connection to hyper.
    fn give(&mut self, stream: S, before: Bytes) {
        self.at = match self.given.take() {
            Some((server, router, door)) => {
                let io = TokioIo::new(Watched::new(stream, before, Arc::clone(&door.pulse)));
                let mut serving: Pin<Box<dyn Serving>> =
                    Box::pin(one(&door.gate.limits).serve_connection(io, answers(server, router, Arc::clone(&door))));
                if self.leaving {
                    serving.as_mut().let_go();
                }
                At::Hyper(serving)
            }
            None => At::Over,
        };
    }
}

impl<S: AsyncRead + AsyncWrite + Send + Unpin + 'static> Future for One<S> {
    type Output = hyper::Result<()>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<hyper::Result<()>> {
        loop {
            let left = match &mut self.at {
                At::Lane(lane) => ready!(lane.poll(context)),
                At::Hyper(serving) => return serving.as_mut().poll(context),
                At::Over => return Poll::Ready(Ok(())),
            };
            match left {
                Leaves::Over => self.at = At::Over,
                Leaves::ForHyper(stream, before) => self.give(stream, before),
            }
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Send + Unpin + 'static> Serving for One<S> {
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
