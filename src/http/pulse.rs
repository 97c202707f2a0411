//! What a connection is doing, and when it is to be let go for doing too little, or too much.
//!
//! hyper tells whether a head takes too long, and not how that differs from a connection that merely waits; over HTTP/2 it tells neither,
//! nor whether a client reads what it asked for. So the stream of bytes is watched as it passes, for both versions alike: a few
//! atomics for each read and write.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use axum::body::Body;
use bytes::Bytes;
use hyper::body::{Body as _, Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::Notify;

use super::limits::EdgeLimits;
use super::smuggling::Lines;

/// A head has not begun.
const NOT_BEGUN: u64 = u64::MAX;
/// How much finer a connection is looked at than its shortest bound.
const LOOKS: u32 = 4;
/// Shortest time between two looks.
const SHORTEST_LOOK: Duration = Duration::from_millis(5);

/// Why a connection is let go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Slow {
    /// A head did not come to its end.
    Head,
    /// Nothing is asked.
    Idle,
    /// An answer is not read.
    Unread,
}

impl Slow {
    /// Its name, for metrics.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Head => "slow_head",
            Self::Idle => "idle",
            Self::Unread => "unread",
        }
    }
}

/// What a connection is doing.
#[derive(Debug)]
pub(super) struct Pulse {
    began: Instant,
    /// Whether a byte while nothing is asked begins a head. Over HTTP/2 it may be anything.
    heads: bool,
    /// Requests that came and whose answers are not gone yet.
    open: AtomicUsize,
    /// Answers of which the client has not taken the last piece.
    unread: AtomicUsize,
    /// Milliseconds since it began.
    head_at: AtomicU64,
    idle_at: AtomicU64,
    written_at: AtomicU64,
    /// Requests that were answered, and those whose client did not wait for that.
    answered: AtomicUsize,
    given_up: AtomicUsize,
    ambiguous: AtomicBool,
    cut: Arc<Notify>,
}

impl Pulse {
    pub(super) fn new(heads: bool, cut: Arc<Notify>) -> Arc<Self> {
        Arc::new(Self {
            began: Instant::now(),
            heads,
            open: AtomicUsize::new(0),
            unread: AtomicUsize::new(0),
            head_at: AtomicU64::new(NOT_BEGUN),
            idle_at: AtomicU64::new(0),
            written_at: AtomicU64::new(0),
            answered: AtomicUsize::new(0),
            given_up: AtomicUsize::new(0),
            ambiguous: AtomicBool::new(false),
            cut,
        })
    }

    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn is_quiet(&self) -> bool {
        self.open.load(Relaxed) == 0
    }

    fn read(&self) {
        if self.heads && self.is_quiet() {
            let _ = self.head_at.compare_exchange(NOT_BEGUN, self.now(), Relaxed, Relaxed);
        }
    }

    fn gone(&self) {
        self.idle_at.store(self.now(), Relaxed);
        self.open.fetch_sub(1, Relaxed);
    }

    /// Whether a head was seen that can be read in two ways.
    pub(super) fn is_ambiguous(&self) -> bool {
        self.ambiguous.load(Relaxed)
    }

    /// A request came whole.
    pub(super) fn request(self: &Arc<Self>, given_up: usize) -> Running {
        self.open.fetch_add(1, Relaxed);
        self.head_at.store(NOT_BEGUN, Relaxed);
        Running { pulse: Arc::clone(self), most_given_up: given_up, answered: false }
    }

    /// Requests were answered at once, and their answers are gone.
    pub(super) fn answered(&self) {
        self.idle_at.store(self.now(), Relaxed);
    }

    /// An answer waits for the client to read it.
    pub(super) fn unread(&self) {
        self.unread_again();
        self.unread.fetch_add(1, Relaxed);
    }

    /// The client read a part of it.
    pub(super) fn unread_again(&self) {
        self.written_at.store(self.now(), Relaxed);
    }

    /// The client read all of it.
    pub(super) fn was_read(&self) {
        self.unread.fetch_sub(1, Relaxed);
    }

    /// A client did not wait for an answer. Requests that are opened and given up cost it nothing (CVE-2023-44487), so that more of them than
    /// it may give up, and more than it waited for, end the connection.
    fn given_up(&self, most: usize) {
        let given_up = self.given_up.fetch_add(1, Relaxed) + 1;
        if given_up > most && given_up > self.answered.load(Relaxed) {
            self.cut.notify_one();
        }
    }

    fn slow(&self, limits: &EdgeLimits) -> Option<Slow> {
        let now = self.now();
        let longer = |since: u64, than: Duration| u128::from(now.saturating_sub(since)) > than.as_millis();
        let head = self.head_at.load(Relaxed);
        if self.unread.load(Relaxed) > 0 && longer(self.written_at.load(Relaxed), limits.write_timeout) {
            return Some(Slow::Unread);
        }
        if !self.is_quiet() {
            return None; // a request has bounds of its own
        }
        if head != NOT_BEGUN && longer(head, limits.head_timeout) {
            return Some(Slow::Head);
        }
        longer(self.idle_at.load(Relaxed), limits.idle_timeout).then_some(Slow::Idle)
    }

    /// Looks on until the connection is to be let go.
    pub(super) async fn watch(&self, limits: &EdgeLimits) -> Slow {
        let shortest = limits.head_timeout.min(limits.idle_timeout).min(limits.write_timeout);
        let mut looks = tokio::time::interval((shortest / LOOKS).max(SHORTEST_LOOK));
        looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            looks.tick().await;
            if let Some(slow) = self.slow(limits) {
                return slow;
            }
        }
    }
}

/// A request that is being answered.
pub(super) struct Running {
    pulse: Arc<Pulse>,
    most_given_up: usize,
    answered: bool,
}

impl Running {
    /// It is answered; what is left is to write the answer, where it has a body that is sent.
    pub(super) fn answered(mut self, body: Body, is_sent: bool) -> Body {
        self.answered = true;
        self.pulse.open.fetch_add(1, Relaxed);
        let whole = !is_sent || body.is_end_stream();
        let mut written = Written { body, pulse: Arc::clone(&self.pulse), most_given_up: self.most_given_up, unread: false, whole };
        // Where what came before it is not read, it is not even asked for its first piece.
        written.mark(true);
        Body::new(written)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.answered {
            self.pulse.given_up(self.most_given_up);
        }
        self.pulse.gone();
    }
}

/// The body of an answer. It is asked for the next piece when the client has taken the last one; where there is none yet, nobody waits for the
/// client.
struct Written {
    body: Body,
    pulse: Arc<Pulse>,
    most_given_up: usize,
    unread: bool,
    /// Whether all of it was taken.
    whole: bool,
}

impl Written {
    fn mark(&mut self, unread: bool) {
        match (self.unread, unread) {
            (false, true) => {
                self.pulse.written_at.store(self.pulse.now(), Relaxed);
                self.pulse.unread.fetch_add(1, Relaxed);
            }
            (true, false) => drop(self.pulse.unread.fetch_sub(1, Relaxed)),
            (true, true) | (false, false) => {}
        }
        self.unread = unread;
    }
}

impl hyper::body::Body for Written {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(context);
        let unread = matches!(frame, Poll::Ready(Some(Ok(_))));
        self.mark(unread);
        // after trailers nobody asks whether there is more
        let last = match &frame {
            Poll::Ready(Some(Ok(frame))) => frame.is_trailers(),
            Poll::Ready(None) => true,
            Poll::Ready(Some(Err(_))) | Poll::Pending => false,
        };
        self.whole |= last || self.body.is_end_stream();
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Written {
    fn drop(&mut self) {
        self.mark(false);
        if self.whole {
            self.pulse.answered.fetch_add(1, Relaxed);
        } else {
            self.pulse.given_up(self.most_given_up);
        }
        self.pulse.gone();
    }
}

/// A stream of bytes that is watched as it passes; what was read of it before is read again first.
pub(super) struct Watched<S> {
    stream: S,
    before: Bytes,
    pulse: Arc<Pulse>,
    lines: Option<Lines>,
}

impl<S> Watched<S> {
    pub(super) fn new(stream: S, before: Bytes, pulse: Arc<Pulse>) -> Self {
        let lines = pulse.heads.then(Lines::default);
        Self { stream, before, pulse, lines }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let held = buffer.filled().len();
        if this.before.is_empty() {
            ready!(Pin::new(&mut this.stream).poll_read(context, buffer))?;
        } else {
            let part = this.before.split_to(this.before.len().min(buffer.remaining()));
            buffer.put_slice(&part);
        }
        let read = buffer.filled().get(held..).unwrap_or_default();
        if !read.is_empty() {
            this.pulse.read();
            if this.lines.as_mut().is_some_and(|lines| lines.take(read)) {
                this.pulse.ambiguous.store(true, Relaxed);
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> Watched<S> {
    fn wrote(&self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if matches!(written, Poll::Ready(Ok(1..))) {
            self.pulse.written_at.store(self.pulse.now(), Relaxed);
        }
        written
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.wrote(written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, context: &mut Context<'_>, parts: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, parts);
        self.wrote(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
