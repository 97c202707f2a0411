//! Who calls: credential bytes and the time in, a [`Caller`] out. Pure: no I/O, no clock.
//!
//! "No credential" and "a bad credential" are different answers. A request without one may still be for something that needs none;
//! a request with a bad one is refused whatever it asks for, for somebody meant to be somebody and is not.

mod dev;
mod host;
mod spelling;

pub use dev::Dev;
pub use host::is_loopback_host;
pub use spelling::known_spelling;

use crate::domain::{Caller, Timestamp};

/// Longest credential that is looked at, in bytes.
pub const MAX_CREDENTIAL_BYTES: usize = 8 * 1024;
/// Most authentication methods in one credential.
pub const MAX_METHODS: usize = 16;

/// What a connection and a request bring to show who calls. Later kinds of credential add a field each.
#[derive(Debug, Clone, Copy, Default)]
pub struct Presented<'a> {
    /// The `Authorization` headers, as they came. More than one is a bad credential.
    pub authorization: &'a [&'a [u8]],
}

/// Reads credentials of the kinds that a server was told to believe.
pub trait Authenticator: Send + Sync {
    /// Who calls: nothing where no credential came.
    ///
    /// # Errors
    /// A credential came and it is not to be believed.
    fn authenticate(&self, presented: &Presented<'_>, now: Timestamp) -> Result<Option<Caller>, BadCredential>;

    /// What to answer in `WWW-Authenticate` to a caller without a credential, or with a bad one.
    fn challenge(&self) -> &'static str;

    /// Whether requests have to name a loopback host, so that no web page reaches this server through a name of its own (DNS rebinding).
    fn loopback_only(&self) -> bool;
}

/// A credential that is not to be believed. The text never repeats the credential's secret half.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadCredential {
    /// More than one, so that it is unclear who calls.
    #[error("{count} `Authorization` headers came; send one")]
    Repeated {
        /// How many.
        count: usize,
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
        taken: &'static str,
    },
    /// The credential's form is wrong.
    #[error("the credential is malformed: {why}; write it as `Dev User::\"alice\"; mfa=pwd,otp; auth_time=2030-01-31T09:00:00Z`")]
    Malformed {
        /// In what way.
        why: String,
    },
    /// The credential says that it was made later than now.
    #[error("`auth_time` {at} lies in the future; send the time of authentication")]
    FromTheFuture {
        /// When it says that it was made.
        at: Timestamp,
    },
}
