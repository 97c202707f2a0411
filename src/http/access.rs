//! From a request's headers to the caller, the same for the data plane and the control plane.

use http::HeaderMap;
use http::header::{AUTHORIZATION, HOST};

use crate::domain::facts::{Action, Object, Question, Refusal};
use crate::domain::{Actor, Caller, Rejection, Unavailable};
use crate::identity::{BadCredential, Presented, is_loopback_host, known_spelling};

use super::Server;
use super::problem::{self, Problem};
use super::reply::MIN_SEQ;

/// Most `Authorization` headers that are looked at.
const MAX_AUTHORIZATIONS: usize = 4;

impl Server {
    /// Refuses names of this machine that are not its own, where only loopback is served.
    pub(super) fn check_host(&self, headers: &HeaderMap, uri: &http::Uri) -> Result<(), Problem> {
        if !self.authenticator.loopback_only() {
            return Ok(());
        }
        let mut hosts = headers.get_all(HOST).iter();
        let (first, second) = (hosts.next(), hosts.next());
        let named = first.filter(|_| second.is_none()).and_then(|host| host.to_str().ok());
        let in_uri = uri.authority().is_none_or(|authority| is_loopback_host(authority.as_str()));
        if named.is_some_and(is_loopback_host) && in_uri { Ok(()) } else { Err(problem::foreign_host()) }
    }

    /// Who calls. A request without a credential is refused as well: whoever needs none does not ask. A credential of a key that its issuer
    /// may have begun to use just now is looked at once more when the keys were fetched.
    pub(super) async fn authenticate(&self, headers: &HeaderMap) -> Result<Caller, Problem> {
        match self.identify(headers) {
            Err(bad) => match bad.unknown_key_of() {
                Some(issuer) if self.upkeep.fetch_keys(issuer).await => self.authenticate_at_once(headers),
                Some(_) | None => Err(problem::bad_credential(&bad, self.authenticator.challenge())),
            },
            found @ Ok(_) => self.known(found),
        }
    }

    /// Who calls, by the keys that are at hand.
    pub(super) fn authenticate_at_once(&self, headers: &HeaderMap) -> Result<Caller, Problem> {
        self.known(self.identify(headers))
    }

    fn identify(&self, headers: &HeaderMap) -> Result<Option<Caller>, BadCredential> {
        let authorization: Vec<&[u8]> =
            headers.get_all(AUTHORIZATION).iter().take(MAX_AUTHORIZATIONS).map(http::HeaderValue::as_bytes).collect();
        let now = self.engine.moment().now;
        self.authenticator.authenticate(&Presented { authorization: &authorization, ..Presented::default() }, now)
    }

    fn known(&self, found: Result<Option<Caller>, BadCredential>) -> Result<Caller, Problem> {
        let challenge = self.authenticator.challenge();
        let mut caller = match found {
            Ok(Some(caller)) => caller,
            Ok(None) => return Err(problem::no_credential(challenge)),
            Err(bad) => return Err(problem::bad_credential(&bad, challenge)),
        };
        let view = self.engine.view();
        let reader = self.engine.reader();
        caller.principal = known_spelling(view.bundle.definitions(), &**reader, caller.principal)?;
        Ok(caller)
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
