//! Settings of a server: as flags (`--dev`) or as a file (`elevon.toml`), and what of them does not go together.
//!
//! A file is read whole and every problem in it is shown with its place; what it refers to (certificates, sets of keys, the bundle) is read
//! by the wiring. The reader with places is that of the policy room, which lies below: roles and configuration are one kind of text to those
//! who write them, and a second reader would say the same things in other words.

mod credentials;
mod dev;
mod file;
mod keys;
mod limits;
mod notify;

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use crate::domain::{CredentialKind, Duration};
use crate::http::EdgeLimits;
use crate::identity::{CertificateSettings, IssuerSettings, PeerEntry, TokenEntry};
use crate::notify::NotifySettings;
use crate::policy::{BundleError, Problem};
use crate::telemetry::LogConfig;

pub use dev::{BadConfig, ServeConfig};
pub use keys::all as all_keys;

/// Largest configuration file, in bytes.
pub const MAX_CONFIG_BYTES: u64 = 4 << 20;
/// Most listeners.
pub const MAX_LISTENERS: usize = 16;

/// How a server runs.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The file that they were read from; none, where flags said it all.
    pub file: Option<PathBuf>,
    /// The policy folder.
    pub policies: PathBuf,
    /// The data folder; it is made if it is not there.
    pub data: PathBuf,
    /// What is logged, and how.
    pub log: LogConfig,
    /// Whether to believe whoever a caller says it is.
    pub dev: bool,
    /// Where to listen.
    pub listeners: Vec<ListenerSettings>,
    /// Whom to believe.
    pub credentials: Credentials,
    /// The bounds of each listener.
    pub limits: EdgeLimits,
    /// Whether `/metrics` is open to callers without a credential.
    pub open_metrics: bool,
    /// Who is told of what happened.
    pub notify: NotifySettings,
    /// Whether tests may move the clock.
    pub test_clock: bool,
    /// Where to write the port of the first TCP listener once the server listens.
    pub port_file: Option<PathBuf>,
}

/// A listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenerSettings {
    /// By which logs know it.
    pub name: String,
    /// Where it listens.
    pub at: Place,
    /// Whether it answers checks.
    pub check: bool,
    /// Whether it answers everything else.
    pub control: bool,
    /// The credentials it takes.
    pub accept: Vec<CredentialKind>,
    /// Its certificate; clear text, where there is none.
    pub tls: Option<TlsSettings>,
    /// Whether it says what it serves over gRPC.
    pub grpc_reflection: bool,
}

/// Where a listener listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A TCP address; port 0 takes a free one.
    Tcp(SocketAddr),
    /// A UNIX socket.
    Unix {
        /// Its path.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
}

impl fmt::Display for Place {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => fmt::Display::fmt(address, out),
            Self::Unix { path, .. } => write!(out, "unix:{}", path.display()),
        }
    }
}

/// The files of TLS, in PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsSettings {
    /// The server's certificate, and those between it and the authority.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
    /// The authorities whose client certificates are believed.
    pub client_ca: Option<PathBuf>,
    /// Whether clients are asked for a certificate.
    pub client_certificate: ClientCertificate,
}

/// Whether clients are asked for a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientCertificate {
    /// They are not.
    None,
    /// They may send one.
    Optional,
    /// They have to.
    Required,
}

/// Whom to believe. What of it a listener takes stands there.
#[derive(Debug, Clone, Default)]
pub struct Credentials {
    /// Static tokens.
    pub tokens: Vec<TokenEntry>,
    /// OpenID providers.
    pub issuers: Vec<IssuerConfig>,
    /// Client certificates.
    pub mtls: Option<CertificateSettings>,
    /// Users and groups of this machine.
    pub peers: Vec<PeerEntry>,
}

/// An OpenID provider, and how its keys are fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssuerConfig {
    /// Which of its tokens are taken. A file of keys is an absolute path or relative to the working folder.
    pub settings: IssuerSettings,
    /// How often its keys are fetched.
    pub refresh: Duration,
    /// The authorities that its TLS certificate is held against, in PEM; those that the web trusts, unless said.
    pub ca: Option<PathBuf>,
}

/// Why a file is no configuration: everything that was found wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadFile(BundleError);

impl BadFile {
    /// What is wrong, in the order of the file.
    #[must_use]
    pub fn problems(&self) -> &[Problem] {
        self.0.problems()
    }

    /// One line that says what is wrong, for a log.
    #[must_use]
    pub fn summary(&self) -> String {
        self.0.summary()
    }
}

impl fmt::Display for BadFile {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, out)
    }
}

impl std::error::Error for BadFile {}

impl Settings {
    /// Reads a file.
    ///
    /// # Errors
    /// It cannot be read, or something in it is wrong; all of it is told.
    pub fn load(path: &Path) -> Result<Self, BadFile> {
        let name = path.display().to_string();
        let text = file::text(path).map_err(|why| BadFile(Problem::in_file(&name, why).into()))?;
        file::read(path, &text).map_err(BadFile)
    }
}
