//! What Elevon speaks over HTTP: wire formats and nothing else. What is asked for is decided in the engine.
//!
//! Checks are matched first, on hyper itself; everything else goes through axum's router over the same hyper. A listener serves both
//! planes or one of them; what keeps a plane from the other's load is that they are counted apart, and not where they listen.

pub mod limits;
pub mod metrics;
pub mod openapi;
pub mod problem;
pub mod strict;

mod access;
mod aside;
mod asker;
mod conn;
mod control;
mod data;
mod gateway;
mod ids;
mod lane;
mod listen;
mod plain;
mod pulse;
mod rate;
mod reply;
mod server;
mod shed;
mod smuggling;
mod socket;
mod tls;
mod views;

use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;

use tokio::sync::Semaphore;

use crate::domain::{Actor, Unavailable};
use crate::engine::outbox::{DestinationStatus, Letter, LetterId};
use crate::engine::ports::{Listing, Page};
use crate::engine::{Engine, Reply, SubmitError};
use crate::policy::BundleError;

#[doc(hidden)]
pub use control::decoded;
pub use control::endpoints;
pub use limits::EdgeLimits;
pub use listen::{Bind, Listen, Planes, serve};
pub use metrics::Metrics;
pub use tls::{BadTls, tls_config};

/// Why the policy folder could not be reloaded.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    /// The folder does not hold a bundle that can go live.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// The engine did not take it.
    #[error(transparent)]
    Submit(#[from] SubmitError),
}

/// What a reload comes to.
pub type Reloading<'a> = Pin<Box<dyn Future<Output = Result<Reply, ReloadError>> + Send + 'a>>;

/// The folder that policies come from, as whoever wires the server keeps it.
pub trait PolicyFolder: Send + Sync {
    /// Reads the folder and proposes what is in it. Whether the caller may was asked before.
    fn reload(&self, actor: Actor) -> Reloading<'_>;

    /// Where it is.
    fn path(&self) -> &Path;
}

/// Whether identifying a caller once more may help.
pub type Fetching<'a> = Pin<Box<dyn Future<Output = bool> + Send + 'a>>;

/// What whoever wires the server keeps in order beside the engine: its configuration, and the keys of issuers.
pub trait Upkeep: Send + Sync {
    /// Fetches an issuer's keys anew, because a credential names one that is not known; no more often and waiting no longer than the
    /// limits on that allow, for whoever sent the credential has shown nothing yet.
    fn fetch_keys<'a>(&'a self, issuer: &'a str) -> Fetching<'a>;

    /// Whether something of it is not as it should be: the last configuration was not taken, or an issuer's keys cannot be had.
    fn degraded(&self) -> bool;
}

/// Those who are told of what happened, as whoever wires the server keeps them.
pub trait Notifications: Send + Sync {
    /// How each destination fares.
    ///
    /// # Errors
    /// What is stored cannot be read.
    fn destinations(&self) -> Result<Vec<DestinationStatus>, Unavailable>;

    /// Tells a destination that nothing happened, and waits for what comes of it; it may take as long as an attempt may. Nothing where there is no
    /// such destination.
    fn test(&self, destination: &str) -> Option<Result<(), String>>;

    /// What could not be delivered, of one destination or of all.
    ///
    /// # Errors
    /// It cannot be read, or the cursor is not one of this list's.
    fn letters(&self, destination: Option<&str>, page: &Page) -> Result<Listing<(LetterId, Letter)>, Unavailable>;

    /// Has something tried again. Nothing where it is not there, or its destination is not.
    ///
    /// # Errors
    /// It cannot be read or written.
    fn retry(&self, id: &LetterId) -> Result<Option<Letter>, Unavailable>;

    /// Takes something away. Whether it was there.
    ///
    /// # Errors
    /// It cannot be written.
    fn discard(&self, id: &LetterId) -> Result<bool, Unavailable>;

    /// The keys by which Security Event Tokens are verified (RFC 7517).
    fn public_keys(&self) -> Vec<serde_json::Value>;
}

/// Everything that answering takes.
pub struct Server {
    /// Decides.
    pub engine: Arc<Engine>,
    /// Keeps in order what callers are held against.
    pub upkeep: Arc<dyn Upkeep>,
    /// Counts.
    pub metrics: Arc<Metrics>,
    /// Signs and reads the links by which approvers answer from a message.
    pub links: Arc<crate::identity::LinkKey>,
    /// The threads of connections that have settled on asking checks.
    pub checkers: tokio::runtime::Handle,
    /// Where policies come from.
    pub policies: Arc<dyn PolicyFolder>,
    /// Who is told of what happened.
    pub notifications: Arc<dyn Notifications>,
    /// Whether `/metrics` is open to callers without a credential: on loopback in development.
    pub open_metrics: bool,
    /// The clock that tests can move, in a server that was started with one.
    #[cfg(feature = "test-clock")]
    pub clock: Option<Arc<crate::engine::TestClock>>,
    /// Permits for reading and validating bundles on behalf of callers.
    pub bundle_jobs: Semaphore,
    /// Places for callers that watch the journal.
    pub subscribers: Arc<Semaphore>,
}
