//! From a request's headers to the caller, the same for the data plane and the control plane.

use http::HeaderMap;
use http::header::{AUTHORIZATION, HOST};

use crate::domain::facts::{Action, Object, Question, Refusal};
use crate::domain::{Actor, Caller, CredentialKind, Rejection, Uid, Unavailable};
use crate::engine::Right;
use crate::identity::{Authenticator as _, BadCredential, Presented, Remembered, is_loopback_host, known_spelling};

use super::Server;
use super::conn::Door;
use super::problem::{self, Problem};
use super::reply::MIN_SEQ;

/// Most `Authorization` headers that are looked at.
const MAX_AUTHORIZATIONS: usize = 4;

/// What a connection keeps of who asks checks on it: all of it is what would be found anew, and may be thrown away at any moment.
#[derive(Default)]
pub(super) struct Kept {
    remembered: Remembered,
    /// Who that is by the spelling that is known, as of a journal sequence, as the question whether they may.
    asks: Option<(u64, Question)>,
    right: Option<Right>,
}

/// Which of what a connection and a request bring is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shown {
    /// All of it.
    All,
    /// What the connection shows: a certificate, or who is at the other end of a socket.
    Connection,
    /// The `Authorization` header.
    Header,
}

impl Door {
    /// How to show who one is here.
    pub(super) fn challenge(&self) -> &'static str {
        self.gate.accepts.load().challenge()
    }

    /// Whether the connection itself shows a caller, of a kind that is taken here.
    pub(super) fn shows_a_caller(&self) -> bool {
        let accepts = self.gate.accepts.load();
        (self.certificate.is_some() && accepts.takes(CredentialKind::Mtls)) || (self.peer.is_some() && accepts.takes(CredentialKind::Unix))
    }

    /// What a request with these headers brings to show who calls.
    fn presents<'a>(&'a self, authorization: &'a [&'a [u8]]) -> Presented<'a> {
        Presented { authorization, client_certificate: self.certificate.as_deref(), peer: self.peer }
    }

    /// Whether a request may name this server so, where it names it once and by a header.
    pub(super) fn may_be_named(&self, host: &[u8]) -> bool {
        !self.gate.accepts.load().loopback_only() || is_loopback_host(std::str::from_utf8(host).unwrap_or_default())
    }

    /// Refuses names of this machine that are not its own, where only loopback is served. Over HTTP/2 the name stands in the URI.
    pub(super) fn check_host(&self, headers: &HeaderMap, uri: &http::Uri) -> Result<(), Problem> {
        if !self.gate.accepts.load().loopback_only() {
            return Ok(());
        }
        let mut hosts = headers.get_all(HOST).iter();
        let in_uri = uri.authority().map(http::uri::Authority::as_str);
        let named = hosts.next().map(|host| host.to_str().unwrap_or_default());
        let all = [named, in_uri].into_iter().flatten().all(is_loopback_host);
        if all && (named.is_some() || in_uri.is_some()) && hosts.next().is_none() { Ok(()) } else { Err(problem::foreign_host()) }
    }
}

/// The one `Authorization` header, or none; nothing where there are several.
fn one_at_most(headers: &HeaderMap) -> Option<Option<&[u8]>> {
    let mut all = headers.get_all(AUTHORIZATION).iter();
    let first = all.next().map(http::HeaderValue::as_bytes);
    all.next().is_none().then_some(first)
}

impl Server {
    /// Who calls. A request without a credential is refused as well: whoever needs none does not ask. A credential of a key that its issuer
    /// may have begun to use just now is looked at once more when the keys were fetched.
    pub(super) async fn authenticate(&self, door: &Door, headers: &HeaderMap) -> Result<Caller, Problem> {
        self.authenticate_by(door, headers, Shown::All).await
    }

    /// The same, by a part of what was brought.
    pub(super) async fn authenticate_by(&self, door: &Door, headers: &HeaderMap, shown: Shown) -> Result<Caller, Problem> {
        let found = self.identify(door, headers, shown);
        if let Err(bad) = &found
            && let Some(issuer) = bad.unknown_key_of()
            && self.upkeep.fetch_keys(issuer).await
        {
            return self.known(door, self.identify(door, headers, shown));
        }
        self.known(door, found)
    }

    /// Who calls, by the keys that are at hand.
    pub(super) fn authenticate_at_once(&self, door: &Door, headers: &HeaderMap) -> Result<Caller, Problem> {
        self.known(door, self.identify(door, headers, Shown::All))
    }

    fn identify(&self, door: &Door, headers: &HeaderMap, shown: Shown) -> Result<Option<Caller>, BadCredential> {
        let authorization: Vec<&[u8]> =
            headers.get_all(AUTHORIZATION).iter().take(MAX_AUTHORIZATIONS).map(http::HeaderValue::as_bytes).collect();
        let presented = Presented {
            client_certificate: door.certificate.as_deref().filter(|_| shown != Shown::Header),
            peer: door.peer.filter(|_| shown != Shown::Header),
            ..door.presents(if shown == Shown::Connection { &[] } else { &authorization })
        };
        door.gate.accepts.load().authenticate(&presented, self.engine.moment().now)
    }

    fn known(&self, door: &Door, found: Result<Option<Caller>, BadCredential>) -> Result<Caller, Problem> {
        let challenge = door.gate.accepts.load().challenge();
        let mut caller = match found {
            Ok(Some(caller)) => caller,
            Ok(None) => return Err(problem::no_credential(challenge)),
            Err(bad) => {
                tracing::debug!(listener = door.gate.name, why = bad.for_log(), "a credential was refused");
                return Err(problem::bad_credential(&bad, challenge));
            }
        };
        caller.principal = self.known_spelling(caller.principal)?;
        Ok(caller)
    }

    /// A principal in the spelling that is known, where its type does not tell upper from lower case.
    pub(super) fn known_spelling(&self, named: Uid) -> Result<Uid, Unavailable> {
        known_spelling(self.engine.view().bundle.definitions(), &**self.engine.reader(), named)
    }

    /// Whether whoever sends this credential may ask checks about a subject. Why not, and what could be tried still, is a matter for
    /// [`Server::authenticate`] and [`Server::demand`].
    pub(super) fn may_ask(&self, door: &Door, kept: &mut Kept, authorization: Option<&[u8]>, subject: &Uid) -> bool {
        let Kept { remembered, asks, right } = kept;
        let presented = door.presents(authorization.as_slice());
        let now = self.engine.moment().now;
        let Ok(Some((found, known))) = remembered.identify(&door.gate.accepts.load(), &presented, now) else { return false };
        let view = self.engine.view();
        let asks = match asks {
            Some((seq, asks)) if known && *seq == view.seq => asks,
            _ => {
                let mut caller = found.caller.clone();
                let reader = self.engine.reader();
                let Ok(principal) = known_spelling(view.bundle.definitions(), &**reader, caller.principal) else { return false };
                caller.principal = principal;
                let object = Object::Subject(subject.clone());
                let question = Question { actor: Actor::Caller(caller), action: Action::CheckAccess, object, now };
                &mut asks.insert((view.seq, question)).1
            }
        };
        (asks.object, asks.now) = (Object::Subject(subject.clone()), now);
        self.engine.permits_kept(asks, right).is_ok()
    }

    /// The same where others may ask on the connection at the same moment: nothing is waited for.
    pub(super) fn may_ask_now(&self, door: &Door, headers: &HeaderMap, subject: &Uid) -> bool {
        let Some(authorization) = one_at_most(headers) else { return false };
        door.kept.try_lock().is_ok_and(|mut kept| self.may_ask(door, &mut kept, authorization, subject))
    }

    /// Whether this credential was believed on this connection a moment ago.
    pub(super) fn knows(&self, door: &Door, headers: &HeaderMap) -> bool {
        let Some(authorization) = one_at_most(headers) else { return false };
        let now = self.engine.moment().now;
        let presented = door.presents(authorization.as_slice());
        door.kept.try_lock().is_ok_and(|kept| kept.remembered.knows(&door.gate.accepts.load(), &presented, now))
    }

    /// Counts so many commands of a caller, and refuses them where there are too many. What is refused here never reaches the engine, and
    /// is remembered under no idempotency key.
    pub(super) fn spend(&self, door: &Door, caller: &Caller, commands: u32) -> Result<(), Problem> {
        door.gate.spend(&caller.principal, commands).map_err(|wait| {
            self.metrics.rate_limited();
            problem::rate_limited(wait)
        })
    }

    /// Waits for the journal sequence that a request wants to see, a bounded time.
    pub(super) async fn wait_for_seq(&self, headers: &HeaderMap) -> Result<(), Problem> {
        let mut wanted = headers.get_all(MIN_SEQ).iter();
        let Some(first) = wanted.next() else { return Ok(()) };
        let number = first.to_str().ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit())).and_then(|text| text.parse().ok());
        let Some(seq) = number.filter(|_| wanted.next().is_none()) else {
            return Err(problem::bad_parameter("Elevon-Min-Seq", "write one journal sequence, such as `42`"));
        };
        if self.engine.reached(seq).await { Ok(()) } else { Err(problem::seq_not_reached(seq, self.engine.view().seq)) }
    }

    /// Whether a caller may.
    pub(super) fn permits(&self, caller: &Caller, action: Action, object: Object) -> Result<bool, Unavailable> {
        match self.ask(caller, action, object) {
            Ok(()) => Ok(true),
            Err(Refusal::Denied(_)) => Ok(false),
            Err(Refusal::Unavailable(unavailable)) => Err(unavailable),
        }
    }

    /// Refuses unless a caller may.
    pub(super) fn demand(&self, caller: &Caller, action: Action, object: Object) -> Result<(), Problem> {
        match self.ask(caller, action, object) {
            Ok(()) => Ok(()),
            Err(Refusal::Denied(policies)) => {
                let principal = caller.principal.clone();
                Err(Rejection::NotPermitted { principal, action: action.as_str().to_owned(), policies }.into())
            }
            Err(Refusal::Unavailable(unavailable)) => Err(unavailable.into()),
        }
    }

    fn ask(&self, caller: &Caller, action: Action, object: Object) -> Result<(), Refusal> {
        let now = self.engine.moment().now;
        self.engine.permits(&Question { actor: Actor::Caller(caller.clone()), action, object, now })
    }
}
