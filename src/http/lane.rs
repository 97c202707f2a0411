//! The lane of plain checks: a connection over HTTP/1.1 on which nothing but checks are asked, as callers ask them all day, is answered from its
//! bytes and needs no hyper.
//!
//! Not a second server. What is taken here is one request line and headers that can be read in one way only, by the parser that
//! hyper uses, with a body that came whole and a caller who may ask; and what is answered here is a verdict. Everything else (another
//! path, a header that changes what a request means, a body in chunks, a mistake of any kind, a server that is full) is handed
//! to hyper from the first byte of that request on, and the connection stays there. So there is one place for each refusal, and it is not
//! this one. Lost: hyper for all, which costs as much as the check itself.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::io::ReadBuf;
use tokio::time::Sleep;

use crate::engine::Checked;

use super::access::Kept;
use super::conn::Door;
use super::limits::{MAX_BODY_BYTES, MAX_REQUEST_ID_BYTES};
use super::plain::{self, Date};
use super::socket::Moves;
use super::{Server, data, smuggling};

/// The one request line that is taken.
const LINE: &[u8] = b"POST /access/v1/evaluation HTTP/1.1\r\n";
/// Most bytes of requests that wait to be answered; one that is longer is hyper's.
const ROOM: usize = 8 * 1024;
/// Most headers of a request.
const HEADERS: usize = 32;
/// Longest wait for the rest of a request: a body often comes after its head.
const REST: Duration = Duration::from_millis(50);
/// Answers after which a connection has settled: whoever asks once and goes is not worth the move.
const SETTLED: u32 = 4;
/// Most bytes of answers that are kept ready for the next ones.
const KEPT_OUT: usize = 4 * 1024;

/// What every answer begins with.
const HEAD: &[u8] = b"HTTP/1.1 200 OK\r\n\
    content-type: application/json\r\n\
    cache-control: no-store\r\n\
    x-content-type-options: nosniff\r\n\
    content-security-policy: default-src 'none'; frame-ancestors 'none'\r\n\
    referrer-policy: no-referrer\r\n\
    elevon-seq: ";

/// How a connection leaves the lane.
pub(super) enum Leaves<S> {
    /// It is over.
    Over,
    /// Something else is asked, beginning with these bytes.
    ForHyper(S, Bytes),
    /// It goes on, and may do so where nobody but callers of checks is. Said once, between two requests.
    Settled,
}

/// A connection in the lane.
pub(super) struct Lane<S> {
    stream: Option<S>,
    server: Arc<Server>,
    door: Arc<Door>,
    kept: Kept,
    /// The `Host` that was in order last.
    named: Vec<u8>,
    date: Date,
    read: Box<[u8]>,
    filled: usize,
    out: Vec<u8>,
    written: usize,
    /// The body of one answer, before its length is known.
    body: Vec<u8>,
    waiting: Option<Pin<Box<Sleep>>>,
    unread: bool,
    leaving: bool,
    /// How often something was answered, until it has settled.
    answers: u32,
}

/// A request as far as it is there.
enum Asked<'a> {
    Whole(Plain<'a>),
    /// The rest is still to come.
    Part,
    /// Not for the lane.
    Other,
}

/// What is taken of a request.
struct Plain<'a> {
    length: usize,
    host: &'a [u8],
    authorization: Option<&'a [u8]>,
    id: Option<&'a [u8]>,
    body: &'a [u8],
}

impl<S: Moves> Lane<S> {
    /// Waits on the threads of whoever calls from now on.
    ///
    /// # Errors
    /// As of [`Moves::move_here`].
    pub(super) fn move_here(&mut self) -> io::Result<()> {
        self.stream.as_mut().map_or(Ok(()), Moves::move_here)
    }

    /// Takes a connection of which these bytes were read, where checks are served on it.
    pub(super) fn new(stream: S, before: &[u8], server: Arc<Server>, door: Arc<Door>) -> Result<Self, S> {
        if !door.gate.planes.check || before.len() > ROOM {
            return Err(stream);
        }
        let mut read = vec![0; ROOM].into_boxed_slice();
        if let Some(place) = read.get_mut(..before.len()) {
            place.copy_from_slice(before);
        }
        Ok(Self {
            stream: Some(stream),
            server,
            door,
            kept: Kept::default(),
            named: Vec::new(),
            date: Date::default(),
            read,
            filled: before.len(),
            out: Vec::new(),
            written: 0,
            body: Vec::new(),
            waiting: None,
            unread: false,
            leaving: false,
            answers: 0,
        })
    }

    /// Answers what has come, and then ends.
    pub(super) fn let_go(&mut self) {
        self.leaving = true;
    }

    /// Answers until the connection leaves.
    pub(super) fn poll(&mut self, context: &mut Context<'_>) -> Poll<Leaves<S>> {
        loop {
            if ready!(self.poll_written(context)).is_err() {
                return Poll::Ready(Leaves::Over);
            }
            let other = self.answer();
            if !self.out.is_empty() {
                self.waiting = None;
                continue;
            }
            if other || (self.leaving && self.filled > 0) {
                return Poll::Ready(self.for_hyper());
            }
            if self.leaving {
                let Some(stream) = &mut self.stream else { return Poll::Ready(Leaves::Over) };
                let _ = ready!(Pin::new(stream).poll_shutdown(context));
                return Poll::Ready(Leaves::Over);
            }
            if self.filled == 0 && self.answers == SETTLED {
                self.answers += 1;
                return Poll::Ready(Leaves::Settled);
            }
            match self.poll_read(context) {
                Poll::Ready(Ok(1..)) => {}
                Poll::Ready(Ok(0)) if self.filled > 0 => return Poll::Ready(self.for_hyper()),
                Poll::Ready(Ok(0) | Err(_)) => return Poll::Ready(Leaves::Over),
                Poll::Pending if self.filled == 0 => return Poll::Pending,
                Poll::Pending => {
                    let rest = self.waiting.get_or_insert_with(|| Box::pin(tokio::time::sleep(REST)));
                    ready!(rest.as_mut().poll(context));
                    return Poll::Ready(self.for_hyper());
                }
            }
        }
    }

    fn for_hyper(&mut self) -> Leaves<S> {
        let before = Bytes::copy_from_slice(self.read.get(..self.filled).unwrap_or_default());
        self.stream.take().map_or(Leaves::Over, |stream| Leaves::ForHyper(stream, before))
    }

    fn poll_read(&mut self, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let (Some(stream), Some(room)) = (&mut self.stream, self.read.get_mut(self.filled..)) else { return Poll::Ready(Ok(0)) };
        let mut buffer = ReadBuf::new(room);
        ready!(Pin::new(stream).poll_read(context, &mut buffer))?;
        let read = buffer.filled().len();
        self.filled += read;
        Poll::Ready(Ok(read))
    }

    /// Writes what was answered. A client that does not read it is watched.
    fn poll_written(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(stream) = &mut self.stream else { return Poll::Ready(Ok(())) };
        if self.out.is_empty() {
            return Poll::Ready(Ok(()));
        }
        loop {
            let left = self.out.get(self.written..).unwrap_or_default();
            let progress = if left.is_empty() {
                Pin::new(&mut *stream).poll_flush(context).map_ok(|()| 0)
            } else {
                Pin::new(&mut *stream).poll_write(context, left)
            };
            match progress {
                Poll::Ready(Ok(0)) if left.is_empty() => break,
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Poll::Ready(Ok(written)) => {
                    self.written += written;
                    if self.unread {
                        self.door.pulse.unread_again();
                    }
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => {
                    if !self.unread {
                        self.unread = true;
                        self.door.pulse.unread();
                    }
                    return Poll::Pending;
                }
            }
        }
        if self.unread {
            self.unread = false;
            self.door.pulse.was_read();
        }
        self.out.clear();
        self.out.shrink_to(KEPT_OUT);
        self.written = 0;
        // from then on it is counted no further
        if self.answers < SETTLED {
            self.answers += 1;
        }
        self.door.pulse.answered();
        Poll::Ready(Ok(()))
    }

    /// Answers every whole request that is there; whether one comes next that is not for the lane.
    fn answer(&mut self) -> bool {
        let mut from = 0;
        let other = loop {
            let read = self.read.get(from..self.filled).unwrap_or_default();
            let asked = match Asked::of(read, self.door.gate.limits.headers) {
                Asked::Whole(asked) => asked,
                // a request that finds no room comes to an end elsewhere
                Asked::Part => break from == 0 && self.filled == ROOM,
                Asked::Other => break true,
            };
            let (began, length) = (self.out.len(), asked.length);
            let answering = Answering {
                server: &self.server,
                door: &self.door,
                kept: &mut self.kept,
                named: &mut self.named,
                date: &mut self.date,
                body: &mut self.body,
                out: &mut self.out,
            };
            // what panics here panics there as well, and becomes an answer
            if catch_unwind(AssertUnwindSafe(move || answering.answer(&asked))).unwrap_or(None).is_none() {
                self.out.truncate(began);
                self.kept = Kept::default();
                break true;
            }
            from += length;
        };
        if from > 0 {
            self.read.copy_within(from..self.filled, 0);
            self.filled -= from;
        }
        other
    }
}

impl<'a> Asked<'a> {
    /// The first request of what was read.
    fn of(read: &'a [u8], most: usize) -> Self {
        let Some(rest) = read.strip_prefix(LINE) else {
            return if LINE.starts_with(read) { Self::Part } else { Self::Other };
        };
        let mut headers = [httparse::EMPTY_HEADER; HEADERS];
        let (head, headers) = match httparse::parse_headers(rest, &mut headers) {
            Ok(httparse::Status::Complete(parsed)) => parsed,
            Ok(httparse::Status::Partial) => return Self::Part,
            Err(_) => return Self::Other,
        };
        let Some(taken) = Taken::of(headers).filter(|_| headers.len() <= most) else { return Self::Other };
        let (Some(host), Some(bytes)) = (taken.host, taken.bytes) else { return Self::Other };
        let length = LINE.len() + head + bytes;
        match rest.get(head..head + bytes) {
            Some(body) => Self::Whole(Plain { length, host, authorization: taken.authorization, id: taken.id, body }),
            None if length > ROOM => Self::Other,
            None => Self::Part,
        }
    }
}

/// Headers that mean something here.
#[derive(Default)]
struct Taken<'a> {
    host: Option<&'a [u8]>,
    bytes: Option<usize>,
    json: bool,
    authorization: Option<&'a [u8]>,
    id: Option<&'a [u8]>,
}

impl<'a> Taken<'a> {
    /// Nothing, where one stands there twice, or one that changes what a request means.
    fn of(headers: &[httparse::Header<'a>]) -> Option<Self> {
        let mut taken = Self::default();
        for header in headers {
            let (name, value) = (header.name, header.value);
            if !value.iter().all(|byte| matches!(byte, b' '..=b'~' | b'\t')) {
                return None;
            }
            let is = |other: &str| name.eq_ignore_ascii_case(other);
            // by length first: most headers mean nothing here
            let repeated = match name.len() {
                2 if is("te") => true,
                4 if is("host") => taken.host.replace(value).is_some(),
                6 if is("expect") => true,
                7 if is("upgrade") || is("trailer") => true,
                10 if is("connection") => !value.eq_ignore_ascii_case(b"keep-alive"),
                12 if is("content-type") => std::mem::replace(&mut taken.json, true) || !value.eq_ignore_ascii_case(b"application/json"),
                12 if is("x-request-id") => value.is_empty() || value.len() > MAX_REQUEST_ID_BYTES || taken.id.replace(value).is_some(),
                13 if is("authorization") => taken.authorization.replace(value).is_some(),
                14 if is("content-length") => taken.bytes.replace(length(value)?).is_some(),
                14 if is("elevon-min-seq") => true,
                17 if is("transfer-encoding") => true,
                _ => false,
            };
            if repeated {
                return None;
            }
        }
        taken.json.then_some(taken)
    }
}

/// A length in digits alone, within the bound of a body.
fn length(value: &[u8]) -> Option<usize> {
    let digits = (1..=6).contains(&value.len()) && value.iter().all(u8::is_ascii_digit);
    let length = value.iter().fold(0, |length, digit| length * 10 + usize::from(digit.wrapping_sub(b'0')));
    (digits && length <= MAX_BODY_BYTES).then_some(length)
}

/// All that one answer takes.
struct Answering<'a> {
    server: &'a Server,
    door: &'a Door,
    kept: &'a mut Kept,
    named: &'a mut Vec<u8>,
    date: &'a mut Date,
    body: &'a mut Vec<u8>,
    out: &'a mut Vec<u8>,
}

impl Answering<'_> {
    /// Writes the answer, or nothing where there is anything but a verdict to answer.
    fn answer(mut self, asked: &Plain<'_>) -> Option<()> {
        let logged = tracing::enabled!(tracing::Level::DEBUG).then(Instant::now);
        let made = asked.id.is_none().then(|| self.door.ids.next());
        let id = asked.id.or(made.as_ref().map(<[u8; 36]>::as_slice)).unwrap_or_default();
        let _span = logged.map(|_| {
            let id = std::str::from_utf8(id).unwrap_or_default();
            tracing::debug_span!("request", id, method = "POST", route = data::EVALUATION).entered()
        });
        let checked = self.check(asked)?;
        self.write(&checked, id);
        self.server.metrics.checked();
        if let Some(began) = logged {
            let micros = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
            tracing::debug!(status = 200, rule = "", micros, "answered");
        }
        Some(())
    }

    fn check(&mut self, asked: &Plain<'_>) -> Option<Checked> {
        let (server, door) = (self.server, self.door);
        if self.named != asked.host {
            smuggling::is_host(asked.host).then_some(())?;
            asked.host.clone_into(self.named);
        }
        door.may_be_named(asked.host).then_some(())?;
        let _place = door.gate.places.check()?;
        door.newcomer.asked();
        let ask = plain::question(asked.body).or_else(|| data::question(asked.body).ok())?;
        server.may_ask(door, self.kept, asked.authorization, &ask.subject).then_some(())?;
        server.engine.check(&ask).ok()
    }

    fn write(&mut self, checked: &Checked, id: &[u8]) {
        let Self { date, body, out, .. } = self;
        body.clear();
        plain::verdict(body, checked);
        out.extend_from_slice(HEAD);
        plain::number(out, checked.seq);
        out.extend_from_slice(b"\r\nx-request-id: ");
        out.extend_from_slice(id);
        out.extend_from_slice(b"\r\ncontent-length: ");
        plain::number(out, u64::try_from(body.len()).unwrap_or(0));
        out.extend_from_slice(b"\r\ndate: ");
        out.extend_from_slice(date.now());
        out.extend_from_slice(b"\r\n\r\n");
        out.extend_from_slice(body);
    }
}
