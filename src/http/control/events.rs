//! `GET /v1/events`: the journal as it grows, as server-sent events (WHATWG HTML, *Server-sent events*).
//!
//! A subscriber has a position in the journal and nothing else. Whenever the engine says that the journal grew, what comes after the position
//! is read, filtered and written, a bounded number of records at a time; the journal itself is the queue. Lost: a channel into which every
//! commit is copied for every subscriber, which has to be bounded, and then loses what a slow one did not read.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::Body;
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONNECTION, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use hyper::body::Frame;
use tokio::sync::{OwnedSemaphorePermit, mpsc, watch};
use tokio::time::Instant;

use crate::domain::Rejection;
use crate::domain::standing::{self, Presence};
use crate::engine::ports::{AuditFilter, Page};
use crate::http::Server;
use crate::http::asker::{Asker, Params};
use crate::http::conn::Link;
use crate::http::limits::{EVENT_FLUSH_TIMEOUT, EVENT_WRITE_TIMEOUT, MAX_RECORDS_PER_TURN, PING_EVERY, RETRY_AFTER_MILLIS};
use crate::http::metrics::Subscriber;
use crate::http::problem::{self, Problem};
use crate::http::reply::SEQ;

use super::seen::seen;

/// The media type of an event stream.
const EVENT_STREAM: &str = "text/event-stream";
/// The header by which a client that comes back says what it saw last.
const LAST_EVENT_ID: &str = "last-event-id";

/// `GET /v1/events`.
pub(super) async fn events(asker: Asker, method: Method, headers: HeaderMap, mut params: Params) -> Result<Response, Problem> {
    let named = params.read("after", sequence)?;
    params.finish()?;
    // A client that comes back repeats the address that it came with first; where it got to since stands in the header.
    let after = last_seen(&headers)?.or(named).unwrap_or(asker.seq);
    if after > asker.seq {
        let why = format!("the journal ends at {}; begin there, or at what was seen last", asker.seq);
        return Err(problem::bad_parameter(if named == Some(after) { "after" } else { "Last-Event-ID" }, why));
    }
    is_let_in(&asker)?;
    if method == Method::HEAD {
        return Ok(stream(asker.seq, Body::empty()));
    }
    let place =
        Arc::clone(&asker.server.subscribers).try_acquire_owned().map_err(|_| problem::busy("too many callers watch the journal"))?;
    let (sender, receiver) = mpsc::channel(1);
    let (seq, link) = (asker.seq, asker.door.link.clone());
    let credential = headers.get_all(AUTHORIZATION).iter().map(|value| (AUTHORIZATION, value.clone())).collect();
    let counted = asker.server.metrics.subscriber();
    let feed = asker.server.engine.feed();
    let subscription = Subscription { asker, credential, sender, feed, link, after, told: after, _place: place, _counted: counted };
    tokio::spawn(subscription.run());
    Ok(stream(seq, Body::new(Events(receiver))))
}

fn stream(seq: u64, body: Body) -> Response {
    let mut response = body.into_response();
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(EVENT_STREAM));
    response.headers_mut().insert(SEQ, HeaderValue::from(seq));
    // Nothing else comes on this connection, so that it can be cut where its reader does not read.
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    response
}

fn sequence(text: &str) -> Result<u64, &'static str> {
    let digits = Some(text).filter(|text| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()));
    digits.and_then(|text| text.parse().ok()).ok_or("write a journal sequence, such as `42`, or `0` to begin at the beginning")
}

fn last_seen(headers: &HeaderMap) -> Result<Option<u64>, Problem> {
    let mut given = headers.get_all(LAST_EVENT_ID).iter();
    let Some(first) = given.next() else { return Ok(None) };
    if given.next().is_some() {
        return Err(problem::bad_parameter("Last-Event-ID", "it stands there twice"));
    }
    let text = first.to_str().unwrap_or_default();
    sequence(text).map(Some).map_err(|why| problem::bad_parameter("Last-Event-ID", why))
}

/// Refuses callers that are not known, or are disabled: there is nothing that is theirs to see.
fn is_let_in(asker: &Asker) -> Result<(), Problem> {
    let principal = asker.caller.principal.clone();
    match asker.server.engine.facts(|facts, _, _| standing::presence(facts, &asker.caller.principal))? {
        Presence::Known => Ok(()),
        Presence::Disabled => Err(Rejection::PrincipalDisabled { principal }.into()),
        Presence::Unknown(_) => Err(Problem::from(Rejection::UnknownPrincipal { principal }).as_status(StatusCode::FORBIDDEN)),
    }
}

/// The body of an answer: what a subscription writes, piece by piece, until it ends.
struct Events(mpsc::Receiver<Bytes>);

impl hyper::body::Body for Events {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        self.0.poll_recv(context).map(|piece| piece.map(|piece| Ok(Frame::data(piece))))
    }
}

/// Somebody who watches.
struct Subscription {
    asker: Asker,
    /// Its `Authorization`, which is asked about again and again.
    credential: HeaderMap,
    sender: mpsc::Sender<Bytes>,
    feed: watch::Receiver<u64>,
    link: Link,
    /// Everything up to here was looked at.
    after: u64,
    /// What the client knows to have been looked at.
    told: u64,
    _place: OwnedSemaphorePermit,
    _counted: Subscriber,
}

/// What a look at the journal gave.
struct Turn {
    text: String,
    /// The last record that stands in the text.
    told: Option<u64>,
    /// The last record that was looked at.
    after: u64,
    /// Whether the stream goes on.
    open: bool,
}

/// A subscription does not go on.
struct Ended;

impl Subscription {
    async fn run(mut self) {
        let (mut stopping, link) = (self.link.stopping.clone(), self.link.clone());
        let until = Instant::from_std(link.until);
        tokio::select! {
            Ended = self.watch() => {}
            _ = stopping.wait_for(|stop| *stop) => {}
            () = tokio::time::sleep_until(until) => {}
        }
        // The answer ends here. Whoever does not read the rest of it is not waited for.
        drop(self);
        tokio::time::sleep(EVENT_FLUSH_TIMEOUT).await;
        link.hang_up();
    }

    /// Writes for as long as there is somebody to write to.
    async fn watch(&mut self) -> Ended {
        match self.written().await {
            Err(ended) => ended,
        }
    }

    async fn written(&mut self) -> Result<std::convert::Infallible, Ended> {
        self.write(format!("retry: {RETRY_AFTER_MILLIS}\n\n")).await?;
        loop {
            let visible = *self.feed.borrow_and_update();
            if self.after < visible {
                self.turn(visible).await?;
                tokio::task::yield_now().await;
                continue;
            }
            tokio::select! {
                grown = self.feed.changed() => grown.map_err(|_| Ended)?,
                () = self.sender.closed() => return Err(Ended),
                () = tokio::time::sleep(PING_EVERY) => self.ping().await?,
            }
        }
    }

    /// Looks at some of the records up to `visible` and writes what the caller may see of them.
    async fn turn(&mut self, visible: u64) -> Result<(), Ended> {
        let (asker, credential, after) = (self.asker.clone(), self.credential.clone(), self.after);
        let turn = asker.read(move |asker| look(asker, &credential, after, visible)).await.map_err(|_| Ended)?;
        self.after = turn.after;
        if let Some(told) = turn.told {
            self.write(turn.text).await?;
            self.told = told;
        }
        if turn.open { Ok(()) } else { Err(Ended) }
    }

    /// A comment that keeps the connection open; with it, how far the journal was looked at, so that a client that comes back does not have
    /// all of that looked at again.
    async fn ping(&mut self) -> Result<(), Ended> {
        let moved = if self.told < self.after { format!("id: {}\n", self.after) } else { String::new() };
        self.told = self.after;
        self.write(format!(": ping\n{moved}\n")).await
    }

    async fn write(&self, text: String) -> Result<(), Ended> {
        match tokio::time::timeout(EVENT_WRITE_TIMEOUT, self.sender.send(Bytes::from(text))).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(Ended),
            Err(_) => {
                tracing::debug!("a subscriber does not read what is written, and is let go");
                Err(Ended)
            }
        }
    }
}

/// The next records after a position, as events, each asked about on its own: who calls, whether that is still known, and what it may see.
fn look(asker: &Asker, credential: &HeaderMap, after: u64, visible: u64) -> Result<Turn, Problem> {
    let page = Page { after: Some(after.to_string()), limit: MAX_RECORDS_PER_TURN };
    let found = asker.server.engine.reader().journal(&AuditFilter::default(), &page)?;
    let mut turn = Turn { text: String::new(), told: None, after, open: true };
    for sealed in found.items.iter().filter(|sealed| sealed.seq <= visible) {
        let Some(asker) = still_let_in(&asker.server, credential, asker) else {
            turn.open = false;
            return Ok(turn);
        };
        let record = match serde_json::from_slice(&sealed.bytes) {
            Ok(record) => record,
            Err(error) => {
                tracing::error!(seq = sealed.seq, %error, "a journal record cannot be read; whoever watches goes on behind it");
                turn.text.push_str(&format!(": record {0} cannot be read\nid: {0}\n\n", sealed.seq));
                (turn.told, turn.after) = (Some(sealed.seq), sealed.seq);
                continue;
            }
        };
        if let Some(record) = seen(&asker, &record)? {
            turn.text.push_str(&format!("id: {}\nevent: record\ndata: {record}\n\n", sealed.seq));
            turn.told = Some(sealed.seq);
        }
        turn.after = sealed.seq;
    }
    // A journal that says it has grown and has nothing to show is not asked for ever.
    turn.open = turn.after > after;
    Ok(turn)
}

/// The caller as its credential says it now; nothing, where the credential is no longer good or the caller no longer known and enabled.
fn still_let_in(server: &Arc<Server>, credential: &HeaderMap, before: &Asker) -> Option<Asker> {
    let caller = server.authenticate_at_once(&before.door, credential).ok().filter(|caller| caller.principal == before.caller.principal)?;
    let asker = Asker { caller, ..before.clone() };
    is_let_in(&asker).ok().map(|()| asker)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_is_a_number_and_nothing_else() {
        assert_eq!(sequence("0"), Ok(0));
        assert_eq!(sequence("42"), Ok(42));
        for bad in ["", "-1", "+1", " 1", "x", "18446744073709551616"] {
            assert!(sequence(bad).is_err(), "{bad}");
        }
        let mut headers = HeaderMap::new();
        assert!(matches!(last_seen(&headers), Ok(None)));
        headers.append(LAST_EVENT_ID, HeaderValue::from_static("7"));
        assert!(matches!(last_seen(&headers), Ok(Some(7))));
        headers.append(LAST_EVENT_ID, HeaderValue::from_static("8"));
        assert!(last_seen(&headers).is_err());
    }
}
