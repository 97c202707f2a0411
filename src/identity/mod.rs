//! Who calls: credential bytes, keys and the time in, a [`Caller`] out. Pure: no I/O, no clock.
//!
//! "No credential" and "a bad credential" are different answers. A request without one may still be for something that needs none;
//! a request with a bad one is refused whatever it asks for, for somebody meant to be somebody and is not.
//!
//! Each kind of credential is an [`Authenticator`]; a listener [`Accepts`] a list of kinds. What a request brings decides its kind before
//! anything is verified, so that a bad credential of one kind is never tried as another.

mod accepts;
mod authorization;
mod bad;
mod certificate;
mod dev;
mod host;
mod link;
mod oidc;
mod peer;
mod remembered;
mod spelling;
mod spiffe;
mod token;

#[cfg(test)]
mod tests;

pub use accepts::{Accepted, Accepts};
pub use bad::{BadCertificate, BadCredential, BadJwt, BadPeer, BadSettings, BadToken};
pub use certificate::{CertificateSettings, Certificates, NameKind, SubjectEntry};
pub use dev::Dev;
pub use host::is_loopback_host;
pub use link::{BadLink, LINK_ID_BYTES, LINK_KEY_BYTES, Link, LinkKey, MAX_LINK_BYTES};
pub use oidc::{Algorithm, Issuer, IssuerSettings, KeySet, KeySource, Keys, Oidc, SkippedKey};
pub use peer::{PeerEntry, Peers};
pub use remembered::Remembered;
pub use spelling::known_spelling;
pub use spiffe::PathEntry;
pub use token::{PreviousToken, TokenEntry, Tokens, token_sha256, token_text, token_texts};

use serde::Deserialize as _;

use crate::domain::{Caller, Timestamp, Uid};

/// Longest credential that is looked at, in bytes.
pub const MAX_CREDENTIAL_BYTES: usize = 16 * 1024;
/// Longest client certificate that is looked at, in bytes.
pub const MAX_CERTIFICATE_BYTES: usize = 64 * 1024;
/// Most authentication methods in one credential.
pub const MAX_METHODS: usize = 16;
/// Most groups that one credential claims.
pub const MAX_GROUPS: usize = 200;
/// Longest name of a claimed group, in bytes.
pub const MAX_GROUP_BYTES: usize = 256;

/// What a connection and a request bring to show who calls.
#[derive(Debug, Clone, Copy, Default)]
pub struct Presented<'a> {
    /// The `Authorization` headers, as they came. More than one is a bad credential.
    pub authorization: &'a [&'a [u8]],
    /// The client's own certificate (DER), verified by TLS against the authorities that the listener trusts for clients, and by nothing less.
    pub client_certificate: Option<&'a [u8]>,
    /// Who is at the other end, where the connection came over a UNIX socket.
    pub peer: Option<UnixPeer>,
}

/// A principal as settings write it: `User::"alice"`.
fn principal<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Uid, D::Error> {
    let text = String::deserialize(deserializer)?;
    Uid::parse(&text).map_err(serde::de::Error::custom)
}

/// The process at the other end of a UNIX socket, as the kernel tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct UnixPeer {
    /// Its effective user.
    pub uid: u32,
    /// Its effective group; not the groups that it is in besides.
    pub gid: u32,
}

/// A caller, and until when its credential shows that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identified {
    /// Who calls.
    pub caller: Caller,
    /// When the credential stops to count, where it ends. What outlives a request, such as a stream of events, is closed then.
    pub until: Option<Timestamp>,
}

/// Reads credentials of the kinds that a server was told to believe.
pub trait Authenticator: Send + Sync {
    /// Who calls, and until when that is shown: nothing where no credential came.
    ///
    /// # Errors
    /// A credential came and it is not to be believed.
    fn identify(&self, presented: &Presented<'_>, now: Timestamp) -> Result<Option<Identified>, BadCredential>;

    /// Who calls: nothing where no credential came.
    ///
    /// # Errors
    /// A credential came and it is not to be believed.
    fn authenticate(&self, presented: &Presented<'_>, now: Timestamp) -> Result<Option<Caller>, BadCredential> {
        Ok(self.identify(presented, now)?.map(|found| found.caller))
    }

    /// What to answer in `WWW-Authenticate` to a caller without a credential, or with a bad one.
    fn challenge(&self) -> &'static str;

    /// Whether requests have to name a loopback host, so that no web page reaches this server through a name of its own (DNS rebinding).
    fn loopback_only(&self) -> bool;
}
