//! The engine as everything above it sees it.

use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use tokio::sync::{mpsc, oneshot, watch};

use crate::domain::facts::{Question, Refusal};
use crate::domain::standing::{self, Moment, Presence, WhyNot};
use crate::domain::{Actor, Authority, Command, Envelope, Facts, Rejection, RoleName, Uid, Unavailable};
use crate::domain::command::BundleSource;
use crate::policy::{Ask, Bundle, Reason, Verdict};

use super::answer::{BundleFailure, Checked, Elevated, Health, Reply, StartError, SubmitError};
use super::observe::{NoObserver, Observer};
use super::ports::{Clock, Journal, Reader};
use super::shared::Shared;
use super::view::View;
use super::writer::{Job, Message};

/// What an engine is made of.
pub struct Parts {
    /// The truth.
    pub journal: Box<dyn Journal>,
    /// Reads of what is committed.
    pub reader: Arc<dyn Reader>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// The bundle that the folder holds, where it holds a valid one.
    pub proposed: Option<Bundle>,
    /// The rest.
    pub config: EngineConfig,
}

/// How an engine runs.
pub struct EngineConfig {
    /// Who is told what it does.
    pub observer: Arc<dyn Observer>,
    /// Whether this engine records what time has done. Checks do not depend on it; of several engines on one journal, one does.
    pub timers: bool,
}

impl Default for EngineConfig {
    fn default() -> Self {
        Self { observer: Arc::new(NoObserver), timers: true }
    }
}

/// A running engine. Shared as `Arc<Engine>`; stops when it is dropped.
pub struct Engine {
    shared: Arc<Shared>,
    queue: mpsc::Sender<Message>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Engine {
    /// Recovers what was live, activates the proposed bundle if it is another one, and starts the writer and the timers.
    ///
    /// # Errors
    /// There is no bundle to start with, the live one cannot be loaded, or what is stored cannot be read.
    pub fn start(parts: Parts) -> Result<Arc<Self>, StartError>;

    /// The newest view.
    #[must_use]
    pub fn view(&self) -> Arc<View>;

    /// What the clock says, held against the latest instant that was ever seen.
    #[must_use]
    pub fn moment(&self) -> Moment;

    /// Decides on a request.
    ///
    /// # Errors
    /// The facts could not be read. Whoever asked denies.
    pub fn check(&self, ask: &Ask) -> Result<Checked, Unavailable>;

    /// Whether a principal holds a role now, on a resource or everywhere.
    ///
    /// # Errors
    /// The facts could not be read.
    pub fn elevated(&self, principal: &Uid, role: &RoleName, resource: Option<&Uid>) -> Result<Elevated, Unavailable>;

    /// Reads facts, all of one bundle and one moment. `read` runs again when it met a row that is newer than the view it was given.
    ///
    /// # Errors
    /// Those of `read`, or no view came in time that is as new as what is stored.
    pub fn facts<T>(&self, read: impl FnMut(&dyn Facts, &View, Moment) -> Result<T, Unavailable>) -> Result<T, Unavailable>;

    /// Whether the policies permit something of Elevon's own, as things stand. `question.now` is set to the moment of asking.
    ///
    /// # Errors
    /// They do not, or the facts could not be read.
    pub fn permits(&self, question: &Question) -> Result<(), Refusal>;

    /// Submits a command and waits until it is durable and visible, or refused.
    ///
    /// # Errors
    /// It was refused, the queue is full, or the writer has stopped.
    pub async fn submit(&self, envelope: Envelope) -> Result<Reply, SubmitError>;

    /// Proposes a validated bundle as the live one. One that is live already changes nothing.
    ///
    /// # Errors
    /// As of [`Engine::submit`].
    pub async fn propose(&self, bundle: Arc<Bundle>, source: BundleSource, actor: Actor) -> Result<Reply, SubmitError>;

    /// Waits until a journal sequence is visible here, at most [`super::bounds::MIN_SEQ_WAIT`]. Whether it is.
    pub async fn reached(&self, seq: u64) -> bool;

    /// The journal sequence that is visible here, as it rises.
    #[must_use]
    pub fn feed(&self) -> watch::Receiver<u64>;

    /// Reads of what is committed.
    #[must_use]
    pub fn reader(&self) -> &Arc<dyn Reader>;

    /// The last bundle that was proposed and is not live.
    #[must_use]
    pub fn bundle_error(&self) -> Option<BundleFailure>;

    /// Notes that the folder holds a bundle that cannot go live, or that it no longer does.
    pub fn set_bundle_error(&self, message: Option<String>);

    /// How the engine is.
    #[must_use]
    pub fn health(&self) -> Health;

    /// Who is told what the engine does.
    #[must_use]
    pub fn observe(&self) -> &Arc<dyn Observer>;

    /// Takes no more commands, finishes those that wait, and stops the threads.
    pub fn stop(&self);
}
