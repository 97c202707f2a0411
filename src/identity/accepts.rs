//! What a listener accepts, and how the kinds combine.
//!
//! | what came | what becomes of it |
//! | --- | --- |
//! | nothing of a kind that is taken | no credential |
//! | one credential of a kind that is taken | that kind decides, and no other is asked |
//! | an `Authorization` header of a kind that is not taken | refused, never passed over |
//! | a header, and a client certificate where certificates are taken | refused, even if both show the same caller |
//! | two `Authorization` headers | refused |
//! | a certificate or a UNIX peer where that kind is not taken | it is a matter of the connection, and shows nobody |
//!
//! So a proxy that shows itself by certificate and hands on its user's header is refused and acts neither as itself nor as the user. A
//! listener that wants both (a certificate to connect, a token to act) asks for certificates in TLS and does not take `mtls` as a caller.
//! Lost: an order of precedence, which every gateway, operator and attacker reads differently.

use std::sync::Arc;

use crate::domain::{CredentialKind, Timestamp};

use super::authorization;
use super::bad::{self, BadCredential, BadSettings};
use super::{Authenticator, Certificates, Dev, Identified, Issuer, KeySet, Oidc, Peers, Presented, Tokens};

/// One kind of credential, with what it is checked against.
#[derive(Debug, Clone)]
pub enum Accepted {
    /// `Authorization: Dev …`.
    Dev(Dev),
    /// Static tokens.
    Token(Tokens),
    /// Access tokens of OpenID providers.
    Oidc(Oidc),
    /// Client certificates.
    Mtls(Certificates),
    /// Users and groups at the other end of a UNIX socket.
    Unix(Peers),
}

impl Accepted {
    /// Which kind it is.
    #[must_use]
    pub fn kind(&self) -> CredentialKind {
        match self {
            Self::Dev(_) => CredentialKind::Dev,
            Self::Token(_) => CredentialKind::Token,
            Self::Oidc(_) => CredentialKind::Oidc,
            Self::Mtls(_) => CredentialKind::Mtls,
            Self::Unix(_) => CredentialKind::Unix,
        }
    }

    fn reader(&self) -> &dyn Authenticator {
        match self {
            Self::Dev(kind) => kind,
            Self::Token(kind) => kind,
            Self::Oidc(kind) => kind,
            Self::Mtls(kind) => kind,
            Self::Unix(kind) => kind,
        }
    }
}

/// What a listener accepts: at least one kind, each once.
#[derive(Debug, Clone)]
pub struct Accepts {
    kinds: Vec<Accepted>,
    taken: String,
}

impl Accepts {
    /// Takes these kinds.
    ///
    /// # Errors
    /// There are none, one is there twice, or `unix` stands beside another: whoever connects to a UNIX socket has a user, so that every
    /// header there would be a second credential.
    pub fn new(kinds: Vec<Accepted>) -> Result<Self, BadSettings> {
        let bad = |why: String| Err(BadSettings::new("what the listener accepts", why));
        if kinds.is_empty() {
            return bad("nothing is named, so that nobody could call; name at least one kind of credential".to_owned());
        }
        let named: Vec<CredentialKind> = kinds.iter().map(Accepted::kind).collect();
        if let Some(twice) = named.iter().find(|kind| named.iter().filter(|other| other == kind).count() > 1) {
            return bad(format!("`{}` is named twice; name it once", twice.as_str()));
        }
        if named.contains(&CredentialKind::Unix) && named.len() > 1 {
            return bad(
                "`unix` stands alone: every connection to a UNIX socket has a user; make a listener of its own for the others".to_owned()
            );
        }
        let taken = named.iter().map(|kind| bad::name(*kind)).collect::<Vec<_>>().join(", or ");
        Ok(Self { kinds, taken })
    }

    /// Whether a kind is taken. The wiring asks TLS for certificates, and the kernel for the peer, where it is.
    #[must_use]
    pub fn takes(&self, kind: CredentialKind) -> bool {
        self.of(kind).is_some()
    }

    /// The key sets that signatures are held against now, in an order that stays.
    pub(super) fn keys(&self) -> Vec<Arc<KeySet>> {
        self.issuers().map(Issuer::current_keys).collect()
    }

    /// Whether they are still these.
    pub(super) fn keys_are(&self, keys: &[Arc<KeySet>]) -> bool {
        let mut left = keys.iter();
        let same = self.issuers().all(|issuer| left.next().is_some_and(|set| Arc::ptr_eq(set, &issuer.current_keys())));
        same && left.next().is_none()
    }

    fn issuers(&self) -> impl Iterator<Item = &Issuer> {
        self.kinds.iter().flat_map(|accepted| match accepted {
            Accepted::Oidc(oidc) => oidc.issuers(),
            Accepted::Dev(_) | Accepted::Token(_) | Accepted::Mtls(_) | Accepted::Unix(_) => &[],
        })
    }

    fn of(&self, kind: CredentialKind) -> Option<&Accepted> {
        self.kinds.iter().find(|accepted| accepted.kind() == kind)
    }

    /// The kinds that came, of those that can come.
    fn came(&self, presented: &Presented<'_>) -> Result<Vec<CredentialKind>, BadCredential> {
        let header = authorization::carried(presented, &self.taken)?.map(authorization::Carried::kind);
        if let Some(kind) = header.filter(|kind| !self.takes(*kind)) {
            return Err(BadCredential::NotTaken { kind, taken: self.taken.clone() });
        }
        let certificate = presented.client_certificate.map(|_| CredentialKind::Mtls);
        let peer = presented.peer.map(|_| CredentialKind::Unix);
        Ok([header, certificate, peer].into_iter().flatten().filter(|kind| self.takes(*kind)).collect())
    }
}

impl Authenticator for Accepts {
    fn identify(&self, presented: &Presented<'_>, now: Timestamp) -> Result<Option<Identified>, BadCredential> {
        match self.came(presented)?.as_slice() {
            [] => Ok(None),
            [kind] => self.of(*kind).map_or(Ok(None), |accepted| accepted.reader().identify(presented, now)),
            [first, second, ..] => Err(BadCredential::Several { first: *first, second: *second }),
        }
    }

    fn challenge(&self) -> &'static str {
        let bearer = self.takes(CredentialKind::Token) || self.takes(CredentialKind::Oidc);
        match (self.takes(CredentialKind::Dev), bearer) {
            (true, false) => "Dev realm=\"elevon\"",
            (true, true) => "Dev realm=\"elevon\", Bearer realm=\"elevon\"",
            (false, true) => "Bearer realm=\"elevon\"",
            (false, false) => self.kinds.first().map_or("Bearer realm=\"elevon\"", |accepted| accepted.reader().challenge()),
        }
    }

    fn loopback_only(&self) -> bool {
        self.kinds.iter().any(|accepted| accepted.reader().loopback_only())
    }
}
