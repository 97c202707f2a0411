//! What a control endpoint is given: who asks, the query, and the body. Every handler begins with an [`Asker`].

use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{FromRequest, FromRequestParts, Request};
use http::header::CONTENT_TYPE;
use http::request::Parts;
use http::{HeaderMap, Method, StatusCode};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use serde_json::Value;

use crate::domain::facts::{Action, Object};
use crate::domain::id::IdempotencyKey;
use crate::domain::standing::Moment;
use crate::domain::text::Digest;
use crate::domain::{Actor, Caller, Command, Envelope, Facts, Rejection, Tables, Timestamp, Uid, Unavailable};
use crate::engine::ports::{MAX_PAGE, Page};
use crate::engine::{Reply, SubmitError};

use super::conn::Door;
use super::limits::{DEFAULT_PAGE, MAX_BODY_BYTES, MAX_BUNDLE_BYTES, MAX_QUERY_BYTES};
use super::problem::{self, Problem};
use super::reply::{Answer, IDEMPOTENCY_KEY};
use super::strict::Members;
use super::{Server, ids};

/// An authenticated caller of a server, as of a journal sequence.
#[derive(Clone)]
pub(super) struct Asker {
    pub(super) server: Arc<Server>,
    pub(super) caller: Caller,
    /// The connection that it came on.
    pub(super) door: Arc<Door>,
    /// Everything that is read for the answer is at least as new as this.
    pub(super) seq: u64,
}

impl FromRequestParts<Arc<Server>> for Asker {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, server: &Arc<Server>) -> Result<Self, Problem> {
        let Some(door) = parts.extensions.get::<Arc<Door>>().cloned() else { return Err(problem::internal()) };
        let caller = server.authenticate(&door, &parts.headers).await?;
        if !parts.method.is_safe() {
            server.spend(&door, &caller, 1)?;
        }
        server.wait_for_seq(&parts.headers).await?;
        Ok(Self { server: Arc::clone(server), caller, door, seq: server.engine.view().seq })
    }
}

impl Asker {
    /// Whether it is the caller itself.
    pub(super) fn is(&self, principal: &Uid) -> bool {
        self.caller.principal == *principal
    }

    /// Whether the policies permit it.
    pub(super) fn may(&self, action: Action, object: Object) -> Result<bool, Unavailable> {
        self.server.permits(&self.caller, action, object)
    }

    /// Refuses unless the policies permit it.
    pub(super) fn demand(&self, action: Action, object: Object) -> Result<(), Problem> {
        self.server.demand(&self.caller, action, object)
    }

    /// The caller as the one who acts.
    pub(super) fn actor(&self) -> Actor {
        Actor::Caller(self.caller.clone())
    }

    /// Submits a command of the caller's, or only asks what would become of it. That the caller itself is not known is a matter of rights;
    /// that somebody named in the command is not known is a matter of the command.
    pub(super) async fn submit(&self, sent: &Sent, command: Command, dry_run: bool) -> Result<Done, Problem> {
        self.submit_as(sent.idempotency.clone(), command, dry_run).await
    }

    /// The same, under a key of its own.
    pub(super) async fn submit_as(&self, key: Option<(IdempotencyKey, Digest)>, command: Command, dry_run: bool) -> Result<Done, Problem> {
        let id = ids::command()?;
        let submitted = self.server.engine.submit(Envelope { id, actor: self.actor(), idempotency: key, dry_run, command }).await;
        let done = submitted.map(|reply| Done { reply, dry_run });
        done.map_err(|error| {
            let unknown_caller = matches!(&error,
                SubmitError::Rejected { rejection: Rejection::UnknownPrincipal { principal }, .. } if self.is(principal));
            let problem = Problem::from(error);
            if unknown_caller { problem.as_status(StatusCode::FORBIDDEN) } else { problem }
        })
    }

    /// Reads what a command left behind: what is stored, or what would be, where it was only tried.
    pub(super) fn after<T>(
        &self,
        done: &Done,
        mut read: impl FnMut(&dyn Facts, &dyn Tables, Moment) -> Result<T, Unavailable>,
    ) -> Result<T, Unavailable> {
        let engine = &self.server.engine;
        match &done.reply.preview {
            Some(preview) => engine.previewed(preview, |records, _, moment| read(records, records, moment)),
            None => engine.facts(|facts, _, moment| read(facts, &**engine.reader(), moment)),
        }
    }

    /// Reads on a thread that may wait for the disk.
    pub(super) async fn read<T: Send + 'static>(
        self,
        read: impl FnOnce(&Self) -> Result<T, Problem> + Send + 'static,
    ) -> Result<T, Problem> {
        let span = tracing::Span::current();
        let reading = tokio::task::spawn_blocking(move || span.in_scope(|| read(&self)));
        reading.await.unwrap_or_else(|error| {
            tracing::error!(%error, "a read broke off");
            Err(problem::internal())
        })
    }
}

/// What became of a command.
#[derive(Debug, Clone)]
pub(super) struct Done {
    pub(super) reply: Reply,
    /// Whether it was only tried: nothing changed.
    dry_run: bool,
}

impl Done {
    /// 200, with what the command came to.
    pub(super) fn answer(&self, mut body: Value) -> Answer {
        self.mark(&mut body);
        Answer::ok(self.reply.seq, body).repeated(self.reply.repeated)
    }

    /// 201, with what is new and where it is. What was only tried has no name yet, and nothing to vote on.
    pub(super) fn created(&self, mut body: Value, location: String) -> Answer {
        self.unname(&mut body);
        self.mark(&mut body);
        let answer = Answer::ok(self.reply.seq, body).repeated(self.reply.repeated);
        if self.dry_run { answer.status(StatusCode::CREATED) } else { answer.created(location) }
    }

    /// Takes away the name of something new that was only tried, and the hash to vote on, which is made of it.
    pub(super) fn unname(&self, body: &mut Value) {
        self.unname_at(body, "/id");
        self.unname_at(body, "/request_hash");
    }

    /// Takes away one name of something new that was only tried.
    pub(super) fn unname_at(&self, body: &mut Value, pointer: &str) {
        if let Some(member) = body.pointer_mut(pointer).filter(|_| self.dry_run) {
            *member = Value::Null;
        }
    }

    fn mark(&self, body: &mut Value) {
        if let Value::Object(members) = body
            && self.dry_run
        {
            members.insert("dry_run".to_owned(), true.into());
        }
    }
}

/// The query, to be taken out one by one.
#[derive(Debug, Default)]
pub(super) struct Params {
    left: Vec<(String, String)>,
    taken: Vec<&'static str>,
}

impl<S: Send + Sync> FromRequestParts<S> for Params {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        Self::of(&parts.uri)
    }
}

impl Params {
    /// The query of a URI.
    pub(super) fn of(uri: &http::Uri) -> Result<Self, Problem> {
        let query = uri.query().unwrap_or_default();
        if query.len() > MAX_QUERY_BYTES {
            return Err(problem::bad_parameter("query", format_args!("it is longer than {MAX_QUERY_BYTES} bytes")));
        }
        let bad = || problem::bad_parameter("query", "it is not `name=value` pairs, percent-encoded, in UTF-8");
        let pairs = query.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Ok((decoded(name).ok_or_else(bad)?, decoded(value).ok_or_else(bad)?))
        });
        Ok(Self { left: pairs.collect::<Result<_, Problem>>()?, taken: Vec::new() })
    }

    /// Takes a parameter that may be left out.
    pub(super) fn optional(&mut self, name: &'static str) -> Result<Option<String>, Problem> {
        self.taken.push(name);
        let Some(at) = self.left.iter().position(|(key, _)| key == name) else { return Ok(None) };
        let (_, value) = self.left.swap_remove(at);
        if self.left.iter().any(|(key, _)| key == name) {
            return Err(problem::bad_parameter(name, "it stands there twice"));
        }
        Ok(Some(value))
    }

    /// Takes a parameter that has to be there.
    pub(super) fn required(&mut self, name: &'static str) -> Result<String, Problem> {
        self.optional(name)?.ok_or_else(|| problem::bad_parameter(name, "it is missing"))
    }

    /// Takes a parameter and reads it.
    pub(super) fn read<T, E: std::fmt::Display>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(&str) -> Result<T, E>,
    ) -> Result<Option<T>, Problem> {
        self.optional(name)?.map(|text| read(&text).map_err(|error| problem::bad_parameter(name, error))).transpose()
    }

    /// Takes an entity given as a type and an id.
    pub(super) fn entity(&mut self, kind: &'static str, id: &'static str) -> Result<Option<Uid>, Problem> {
        match (self.optional(kind)?, self.optional(id)?) {
            (None, None) => Ok(None),
            (Some(kind), Some(text)) => Uid::new(&kind, &text).map(Some).map_err(|bad| problem::bad_parameter(id, bad)),
            (Some(_), None) => Err(problem::bad_parameter(id, format_args!("it is missing; `{kind}` and `{id}` go together"))),
            (None, Some(_)) => Err(problem::bad_parameter(kind, format_args!("it is missing; `{kind}` and `{id}` go together"))),
        }
    }

    /// Takes an instant.
    pub(super) fn instant(&mut self, name: &'static str) -> Result<Option<Timestamp>, Problem> {
        self.read(name, Timestamp::parse)
    }

    /// Takes a yes or no.
    pub(super) fn flag(&mut self, name: &'static str) -> Result<bool, Problem> {
        let read = self.read(name, |text| bool::from_str(text).map_err(|_| "write `true` or `false`"))?;
        Ok(read.unwrap_or(false))
    }

    /// Takes `cursor` and `limit`.
    pub(super) fn page(&mut self) -> Result<Page, Problem> {
        let after = self.optional("cursor")?;
        let bounded = |text: &str| match text.parse::<usize>() {
            Ok(limit) if (1..=MAX_PAGE).contains(&limit) => Ok(limit),
            _ => Err(format!("write a number from 1 to {MAX_PAGE}")),
        };
        Ok(Page { after, limit: self.read("limit", bounded)?.unwrap_or(DEFAULT_PAGE) })
    }

    /// Refuses what is left over.
    pub(super) fn finish(self) -> Result<(), Problem> {
        let Some((name, _)) = self.left.first() else { return Ok(()) };
        let known = if self.taken.is_empty() { "none".to_owned() } else { self.taken.join(", ") };
        let name: String = name.chars().take(64).collect();
        Err(problem::bad_parameter(&name, format_args!("it is not a parameter of this endpoint; it takes {known}")))
    }
}

/// A part of a query with its percent-encoding undone. Nothing is repaired: a sequence that is broken, or is not UTF-8, is refused.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut letters = text.bytes();
    while let Some(letter) = letters.next() {
        bytes.push(match letter {
            b'+' => b' ',
            b'%' => {
                let digits = [letters.next()?, letters.next()?];
                let digits = std::str::from_utf8(&digits).ok().filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()))?;
                u8::from_str_radix(digits, 16).ok()?
            }
            plain => plain,
        });
    }
    String::from_utf8(bytes).ok()
}

/// A command's body as it was sent, and what makes the command safe to repeat.
#[derive(Debug)]
pub(super) struct Sent {
    bytes: bytes::Bytes,
    idempotency: Option<(IdempotencyKey, Digest)>,
}

impl Sent {
    /// A body of these bytes, with nothing that makes it safe to repeat.
    pub(super) fn of(bytes: &[u8]) -> Self {
        Self { bytes: bytes::Bytes::copy_from_slice(bytes), idempotency: None }
    }

    /// What makes the command safe to repeat, where the caller gave something.
    pub(super) fn idempotency(&self) -> Option<&(IdempotencyKey, Digest)> {
        self.idempotency.as_ref()
    }

    /// The body as it came.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The members of the body, which has to be there.
    pub(super) fn members(&self) -> Result<Members, Problem> {
        Members::read(&self.bytes)
    }

    /// The members of the body, or none.
    pub(super) fn members_or_none(&self) -> Result<Members, Problem> {
        Members::read_or_empty(&self.bytes)
    }
}

impl<S: Send + Sync> FromRequest<S> for Sent {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        without_query(&request)?;
        receive(request, MAX_BODY_BYTES).await
    }
}

/// A query beside a body is a mistake, and one that matters: `?dry_run=true` would be ignored, and the command carried out.
fn without_query(request: &Request) -> Result<(), Problem> {
    Params::of(request.uri())?.finish()
}

/// A body beside a query, which whoever takes it reads, too.
#[derive(Debug)]
pub(super) struct SentWithQuery(pub(super) Sent);

impl<S: Send + Sync> FromRequest<S> for SentWithQuery {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        receive(request, MAX_BODY_BYTES).await.map(Self)
    }
}

/// A body that may hold a whole bundle.
#[derive(Debug)]
pub(super) struct SentBundle(pub(super) Sent);

impl<S: Send + Sync> FromRequest<S> for SentBundle {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        without_query(&request)?;
        receive(request, MAX_BUNDLE_BYTES).await.map(Self)
    }
}

async fn receive(request: Request, most: usize) -> Result<Sent, Problem> {
    let (parts, body) = request.into_parts();
    let key = idempotency_key(&parts.headers)?;
    if announced(&parts.headers).is_some_and(|bytes| bytes > most as u64) {
        return Err(problem::too_large(most));
    }
    let json = is_json(&parts.headers);
    if !json && parts.headers.contains_key(CONTENT_TYPE) {
        return Err(problem::not_json());
    }
    let within = parts.extensions.get::<Arc<Door>>().map(|door| door.gate.limits.body_timeout).unwrap_or_default();
    let bytes = collect(body, most, within).await?;
    if !json && !bytes.is_empty() {
        return Err(problem::not_json());
    }
    let path = parts.uri.path_and_query().map_or(parts.uri.path(), http::uri::PathAndQuery::as_str);
    let digest = |method: &Method| Digest::of_fields([method.as_str().as_bytes(), path.as_bytes(), &bytes]);
    let idempotency = key.map(|key| (key, digest(&parts.method)));
    Ok(Sent { bytes, idempotency })
}

/// The length that a request announces.
pub(super) fn announced(headers: &HeaderMap) -> Option<u64> {
    headers.get(http::header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Whether a request says that its body is JSON in UTF-8.
pub(super) fn is_json(headers: &HeaderMap) -> bool {
    let mut types = headers.get_all(CONTENT_TYPE).iter();
    let (Some(first), None) = (types.next().and_then(|first| first.to_str().ok()), types.next()) else { return false };
    let mut parts = first.split(';').map(str::trim);
    let json = parts.next().is_some_and(|essence| essence.eq_ignore_ascii_case("application/json"));
    json && parts.all(|parameter| match parameter.split_once('=') {
        Some((name, value)) if name.trim().eq_ignore_ascii_case("charset") => value.trim().trim_matches('"').eq_ignore_ascii_case("utf-8"),
        _ => true,
    })
}

/// A whole body, if it keeps within its bounds of size and time.
pub(super) async fn collect<B>(body: B, most: usize, within: Duration) -> Result<bytes::Bytes, Problem>
where
    B: hyper::body::Body<Data = bytes::Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let collecting = Limited::new(body, most).collect();
    match tokio::time::timeout(within, collecting).await {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.downcast_ref::<LengthLimitError>().is_some() => Err(problem::too_large(most)),
        Ok(Err(_)) => Err(problem::broken_off()),
        Err(_) => Err(problem::too_slow()),
    }
}

fn idempotency_key(headers: &HeaderMap) -> Result<Option<IdempotencyKey>, Problem> {
    let mut keys = headers.get_all(IDEMPOTENCY_KEY).iter();
    let Some(first) = keys.next() else { return Ok(None) };
    let bad = |why: String| problem::bad_parameter("Idempotency-Key", why);
    if keys.next().is_some() {
        return Err(bad("it stands there twice".to_owned()));
    }
    let text = std::str::from_utf8(first.as_bytes()).map_err(|_| bad("it is not UTF-8".to_owned()))?;
    IdempotencyKey::new(text).map(Some).map_err(|error| bad(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_json_in_utf8_is_json() {
        let rows: [(&[&str], bool); 8] = [
            (&["application/json"], true),
            (&["Application/JSON; charset=UTF-8"], true),
            (&["application/json;charset=\"utf-8\""], true),
            (&["application/json; charset=utf-16"], false),
            (&["text/plain"], false),
            (&["application/jsonp"], false),
            (&[], false),
            (&["application/json", "text/plain"], false),
        ];
        for (types, json) in rows {
            let mut headers = HeaderMap::new();
            for one in types {
                headers.append(CONTENT_TYPE, one.parse().unwrap());
            }
            assert_eq!(is_json(&headers), json, "{types:?}");
        }
    }

    #[test]
    fn queries_are_read_strictly() {
        let read = |query: &str| {
            let uri: http::Uri = format!("/v1/activations?{query}").parse().unwrap();
            let mut params = Params::of(&uri)?;
            let who = params.entity("principal_type", "principal_id")?;
            let page = params.page()?;
            params.finish()?;
            Ok::<_, Problem>((who, page))
        };
        let (who, page) = read("principal_type=User&principal_id=a%20b&limit=7&cursor=x").unwrap();
        assert_eq!(who.unwrap().to_string(), "User::\"a b\"");
        assert_eq!(page, Page { after: Some("x".into()), limit: 7 });
        for bad in [
            "limit=0",
            "limit=1001",
            "limit=x",
            "limit=1&limit=2",
            "principal_type=User",
            "principal_id=a",
            "other=1",
            "cursor=%ff",
            "cursor=%4",
            "cursor=%+1",
        ] {
            assert_eq!(read(bad).unwrap_err().rule(), "bad_parameter", "{bad}");
        }
    }
}
