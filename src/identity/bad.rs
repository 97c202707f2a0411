//! Why a credential is not to be believed, in two texts: `Display` of [`BadCredential`] is what the caller is told, and
//! [`BadCredential::for_log`] is what the log says. Neither repeats a secret.
//!
//! A caller that has shown nothing yet is told no more than "not valid here". Whoever holds a token or certificate that verified is told
//! what is wrong with it, for that is about the caller's own.

use crate::domain::id::BadName;
use crate::domain::{CredentialKind, Timestamp};

use super::MAX_CREDENTIAL_BYTES;

/// A credential that is not to be believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadCredential {
    /// More than one, so that it is unclear who calls.
    #[error("{count} `Authorization` headers came; send one")]
    Repeated {
        /// How many.
        count: usize,
    },
    /// Two of different kinds, so that it is unclear who calls.
    #[error("two credentials came, {} and {}; send one of them", name(*.first), name(*.second))]
    Several {
        /// One.
        first: CredentialKind,
        /// The other.
        second: CredentialKind,
    },
    /// Longer than Elevon reads.
    #[error("the credential is {bytes} bytes long; at most {MAX_CREDENTIAL_BYTES} are read")]
    TooLong {
        /// Its length in bytes.
        bytes: usize,
    },
    /// Not UTF-8.
    #[error("the credential is not UTF-8 text; send it as UTF-8")]
    NotText,
    /// A scheme that this server does not take.
    #[error("this server does not take `{scheme}` credentials; it takes {taken}")]
    Scheme {
        /// As it came.
        scheme: String,
        /// What to send instead.
        taken: String,
    },
    /// A kind that this listener does not take. A header is never passed over in silence: whoever sent it meant to be somebody.
    #[error("{} is not taken here; send {taken}", name(*.kind))]
    NotTaken {
        /// Which kind it is.
        kind: CredentialKind,
        /// What to send instead.
        taken: String,
    },
    /// The credential's form is wrong.
    #[error("the credential is malformed: {why}; write it as `Dev User::\"alice\"; mfa=pwd,otp; auth_time=2030-01-31T09:00:00Z`")]
    Malformed {
        /// In what way.
        why: String,
    },
    /// `Bearer` with something that is no token.
    #[error("the bearer credential is malformed: {why}")]
    Bearer {
        /// In what way.
        why: &'static str,
    },
    /// The credential says that it was made later than now.
    #[error("`auth_time` {at} lies in the future; send the time of authentication")]
    FromTheFuture {
        /// When it says that it was made.
        at: Timestamp,
    },
    /// A static token.
    #[error("{}", .0.told())]
    Token(BadToken),
    /// An access token of an OpenID provider.
    #[error("{}", .0.told())]
    Jwt(BadJwt),
    /// A client certificate.
    #[error("the client certificate names nobody who may call here")]
    Certificate(BadCertificate),
    /// The process at the other end of a UNIX socket.
    #[error("this user may not call here")]
    Peer(BadPeer),
}

impl BadCredential {
    /// What the log says: all that is known, and no secret; so nothing that came in place of a credential, for it may be one that was
    /// sent in the wrong form.
    #[must_use]
    pub fn for_log(&self) -> String {
        match self {
            Self::Token(why) => why.to_string(),
            Self::Jwt(why) => why.to_string(),
            Self::Certificate(why) => why.to_string(),
            Self::Peer(why) => why.to_string(),
            Self::Malformed { .. } => "a `Dev` credential is malformed".to_owned(),
            Self::Repeated { .. }
            | Self::Several { .. }
            | Self::TooLong { .. }
            | Self::NotText
            | Self::Scheme { .. }
            | Self::NotTaken { .. }
            | Self::Bearer { .. }
            | Self::FromTheFuture { .. } => self.to_string(),
        }
    }

    /// The issuer whose keys lack the one that an access token names: fetching them anew may help, no more often than the limit on that
    /// allows, for nothing about the token is verified yet.
    #[must_use]
    pub fn unknown_key_of(&self) -> Option<&str> {
        if let Self::Jwt(BadJwt::UnknownKey { issuer, .. } | BadJwt::NoKeys { issuer }) = self { Some(issuer) } else { None }
    }
}

/// What a kind of credential is called.
pub(super) fn name(kind: CredentialKind) -> &'static str {
    match kind {
        CredentialKind::Dev => "`Authorization: Dev …`",
        CredentialKind::Token => "a static token (`Authorization: Bearer elv_…`)",
        CredentialKind::Oidc => "an access token (`Authorization: Bearer …`)",
        CredentialKind::Mtls => "a client certificate",
        CredentialKind::Unix => "a connection over the UNIX socket",
    }
}

/// What is wrong with a static token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadToken {
    /// Not of the form that Elevon's tokens have.
    #[error("a static token is not of the form `elv_` and 43 letters of base64url")]
    Form,
    /// No entry has its digest.
    #[error("a static token is of no entry")]
    Unknown,
    /// Its entry is not in force yet.
    #[error("static token `{id}` counts from {at} on")]
    NotYet {
        /// The entry.
        id: String,
        /// From when.
        at: Timestamp,
    },
    /// Its entry has ended.
    #[error("static token `{id}` ended at {at}")]
    Expired {
        /// The entry.
        id: String,
        /// When.
        at: Timestamp,
    },
    /// It was replaced, and the time in which both count is over.
    #[error("static token `{id}` was replaced; the old one ended at {at}")]
    Replaced {
        /// The entry.
        id: String,
        /// When.
        at: Timestamp,
    },
}

impl BadToken {
    fn told(&self) -> &'static str {
        match self {
            Self::Form | Self::Unknown => "the token is not valid here",
            Self::NotYet { .. } => "the token is not in force yet",
            Self::Expired { .. } | Self::Replaced { .. } => "the token has expired; ask for a new one",
        }
    }
}

/// What is wrong with an access token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadJwt {
    /// Not a signed JWT in compact form.
    #[error("an access token is malformed: {why}")]
    Form {
        /// In what way.
        why: String,
    },
    /// A header that Elevon does not follow.
    #[error("an access token's header is refused: {why}")]
    Header {
        /// Why.
        why: String,
    },
    /// It is of an issuer that this server was not told of.
    #[error("an access token is of the issuer {issuer:?}, which this server was not told of")]
    UnknownIssuer {
        /// As the token has it.
        issuer: String,
    },
    /// The issuer's keys do not hold the one that it names.
    #[error("an access token names the key {kid:?}, which `{issuer}` does not have")]
    UnknownKey {
        /// The issuer.
        issuer: String,
        /// The key as the token names it.
        kid: String,
    },
    /// No key of the issuer is known.
    #[error("no key of `{issuer}` is known yet")]
    NoKeys {
        /// The issuer.
        issuer: String,
    },
    /// It names no key, and the issuer has several.
    #[error("an access token names no key, and `{issuer}` has {count}")]
    WhichKey {
        /// The issuer.
        issuer: String,
        /// How many keys it has.
        count: usize,
    },
    /// Its header names another algorithm than its key is for.
    #[error("an access token's header says {header:?}; its key is for {key}")]
    Algorithm {
        /// As the token has it.
        header: String,
        /// What the key is for.
        key: &'static str,
    },
    /// The signature is not the key's.
    #[error("an access token's signature does not verify under `{issuer}`")]
    Signature {
        /// The issuer.
        issuer: String,
    },
    /// A claim is missing, of the wrong type, or not what it has to be.
    #[error("an access token's claim `{claim}` is refused: {why}")]
    Claim {
        /// Which.
        claim: String,
        /// Why.
        why: String,
    },
    /// It has ended.
    #[error("an access token ended at {at}")]
    Expired {
        /// When.
        at: Timestamp,
    },
    /// It is not in force yet.
    #[error("an access token counts from {at} on")]
    NotYet {
        /// From when.
        at: Timestamp,
    },
}

impl BadJwt {
    fn told(&self) -> String {
        match self {
            Self::Form { .. }
            | Self::Header { .. }
            | Self::UnknownIssuer { .. }
            | Self::UnknownKey { .. }
            | Self::NoKeys { .. }
            | Self::WhichKey { .. }
            | Self::Algorithm { .. }
            | Self::Signature { .. } => "the access token is not valid here".to_owned(),
            Self::Claim { claim, .. } => format!("the access token's claim `{claim}` is not as this server needs it"),
            Self::Expired { .. } => "the access token has expired; get a new one".to_owned(),
            Self::NotYet { .. } => "the access token is not in force yet".to_owned(),
        }
    }
}

/// What is wrong with a client certificate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadCertificate {
    /// It does not read as a certificate.
    #[error("a client certificate does not read: {why}")]
    Form {
        /// In what way.
        why: String,
    },
    /// It has ended, perhaps since the connection began.
    #[error("a client certificate ended at {at}")]
    Expired {
        /// When.
        at: Timestamp,
    },
    /// It is not in force yet.
    #[error("a client certificate counts from {at} on")]
    NotYet {
        /// From when.
        at: Timestamp,
    },
    /// It is an authority's and not a caller's.
    #[error("a client certificate may sign certificates or revocation lists, and so shows no caller")]
    Authority,
    /// It has no name of the kind that is looked at, or several.
    #[error("a client certificate has {count} {what}; exactly one is needed")]
    Names {
        /// Which kind of name.
        what: &'static str,
        /// How many.
        count: usize,
    },
    /// Its name is not a SPIFFE ID of the trust domain.
    #[error("a client certificate's URI {uri:?} is refused: {why}")]
    SpiffeId {
        /// The name.
        uri: String,
        /// Why.
        why: &'static str,
    },
    /// No entry is for its name, or more than one.
    #[error("a client certificate's name {name:?} is of {count} entries; exactly one is needed")]
    Entries {
        /// The name.
        name: String,
        /// How many.
        count: usize,
    },
    /// Its name makes an id that is refused.
    #[error("a client certificate names no principal: {0}")]
    Principal(BadName),
}

/// What is wrong with the process at the other end of a UNIX socket.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadPeer {
    /// No entry is for it.
    #[error("no entry is for user {uid} and group {gid}")]
    Unknown {
        /// Its user.
        uid: u32,
        /// Its group.
        gid: u32,
    },
}

/// Settings of a kind of credential that are not in order.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{at}: {why}")]
pub struct BadSettings {
    /// Which part of them.
    pub at: String,
    /// What is wrong, and what to do.
    pub why: String,
}

impl BadSettings {
    pub(super) fn new(at: impl Into<String>, why: impl Into<String>) -> Self {
        Self { at: at.into(), why: why.into() }
    }
}
