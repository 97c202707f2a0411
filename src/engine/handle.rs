//! The engine as everything above it sees it.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, watch};

use crate::domain::command::BundleSource;
use crate::domain::facts::{Question, Records, Refusal};
use crate::domain::settings::UnknownRule;
use crate::domain::standing::{self, Holding, Moment, Presence, Via};
use crate::domain::{Actor, Command, Envelope, Facts, Overlay, Rejection, RoleName, Uid, Unavailable};
use crate::policy::{Ask, Bundle, Reason, Verdict};

use super::answer::{BundleFailure, Checked, Elevated, Health, Preview, Reply, StartError, SubmitError};
use super::bounds::{MIN_SEQ_WAIT, STOP_WAIT};
use super::group::Proposal;
use super::observe::{CheckOutcome, CommandResult, NoObserver, Observer};
use super::ports::{Clock, ClockDesk, Journal, Reader};
use super::shared::{Detected, Shared, Unread};
use super::start::{self, Started};
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
    /// Whether this engine looks for what alerts are about. It does so only where it records what time has done, too.
    pub alerts: bool,
    /// Where somebody on the machine says that a clock is to be believed that jumped ahead.
    pub clock_desk: Option<Arc<dyn ClockDesk>>,
}

impl Default for EngineConfig {
    fn default() -> Self {
        Self { observer: Arc::new(NoObserver), timers: true, alerts: false, clock_desk: None }
    }
}

/// A running engine. Shared as `Arc<Engine>`; stops when it is dropped.
pub struct Engine {
    pub(super) shared: Arc<Shared>,
    queue: mpsc::Sender<Message>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Engine {
    /// Recovers what was live, activates the proposed bundle if it is another one, and starts the writer and the timers.
    ///
    /// # Errors
    /// There is no bundle to start with, the live one cannot be loaded, or what is stored cannot be read.
    pub fn start(parts: Parts) -> Result<Arc<Self>, StartError> {
        let Started { shared, queue, threads } = start::start(parts)?;
        Ok(Arc::new(Self { shared, queue, threads: Mutex::new(threads) }))
    }

    /// The newest view.
    #[must_use]
    pub fn view(&self) -> Arc<View> {
        self.shared.view.load_full()
    }

    /// What the clock says, held against the latest instant that was ever seen.
    #[must_use]
    pub fn moment(&self) -> Moment {
        self.shared.moment()
    }

    /// Decides on a request.
    ///
    /// # Errors
    /// The facts could not be read. Whoever asked denies.
    pub fn check(&self, ask: &Ask) -> Result<Checked, Unavailable> {
        let began = Instant::now();
        let read = self.shared.read(|facts, view, moment| {
            let verdict = view.bundle.check(facts, ask, moment)?;
            self.shared.uses.note(&view.bundle, &verdict, moment.now);
            Ok(Checked { verdict, seq: view.seq })
        });
        let checked = match read {
            Ok(checked) => Ok(checked),
            Err(Unread::Stale) => Ok(self.stale()),
            Err(Unread::Unavailable(unavailable)) => Err(unavailable),
        };
        let outcome = match &checked {
            Ok(Checked { verdict: Verdict { allowed: true, .. }, .. }) => CheckOutcome::Allow,
            Ok(Checked { verdict, .. }) => CheckOutcome::Deny(verdict.reason),
            Err(_) => CheckOutcome::Error,
        };
        self.shared.observer.check(outcome, began.elapsed());
        checked
    }

    /// Whether a principal holds a role now, on a resource or everywhere.
    ///
    /// # Errors
    /// The facts could not be read.
    pub fn elevated(&self, principal: &Uid, role: &RoleName, resource: Option<&Uid>) -> Result<Elevated, Unavailable> {
        self.facts(|facts, view, moment| {
            let holdings = holdings_of(facts, principal, role, resource, moment)?;
            let needs_context = view.bundle.has_conditions(role);
            let counting = || holdings.iter().filter(|holding| holding.counts.is_ok() && !needs_context);
            let elevated = counting().next().is_some();
            // the union of windows that all hold now ends where the last of them does
            let until =
                if counting().any(|holding| holding.end.is_none()) { None } else { counting().filter_map(|holding| holding.end).max() };
            Ok(Elevated { elevated, needs_context, until, holdings, revision: view.bundle.revision().clone(), seq: view.seq, moment })
        })
    }

    /// Reads facts, all of one bundle and one moment. `read` runs again when it met a row that is newer than the view it was given.
    ///
    /// # Errors
    /// Those of `read`, or no view came in time that is as new as what is stored.
    pub fn facts<T>(&self, mut read: impl FnMut(&dyn Facts, &View, Moment) -> Result<T, Unavailable>) -> Result<T, Unavailable> {
        Ok(self.shared.read(|facts, view, moment| read(facts, view, moment))?)
    }

    /// Reads what would stand after a command that was only tried: over what is committed, with what it would have changed.
    ///
    /// # Errors
    /// Those of `read`.
    pub fn previewed<T>(
        &self,
        preview: &Preview,
        read: impl FnOnce(&dyn Records, &View, Moment) -> Result<T, Unavailable>,
    ) -> Result<T, Unavailable> {
        let view = self.view();
        let definitions = Arc::clone(view.bundle.definitions());
        let after = Overlay::resumed(&*self.shared.reader, definitions, preview.changes.clone());
        read(&after, &view, self.shared.moment())
    }

    /// Reads everything that is stored, under the live bundle: as of now, and not of one moment.
    ///
    /// # Errors
    /// Those of `read`.
    pub fn records<T>(&self, read: impl FnOnce(&dyn Records, Moment) -> Result<T, Unavailable>) -> Result<T, Unavailable> {
        let definitions = Arc::clone(self.view().bundle.definitions());
        read(&Overlay::new(&*self.shared.reader, definitions), self.shared.moment())
    }

    /// Whether the policies permit something of Elevon's own, as things stand. `question.now` is set to the moment of asking; while the
    /// clock cannot be believed, holdings that are bound to time do not count and the others do.
    ///
    /// # Errors
    /// They do not, or the facts could not be read.
    pub fn permits(&self, question: &Question) -> Result<(), Refusal> {
        let verdict = self
            .facts(|facts, view, moment| {
                let verdict = view.bundle.ask(facts, &Question { now: moment.now, ..question.clone() }, moment)?;
                self.shared.uses.note(&view.bundle, &verdict, moment.now);
                Ok(verdict)
            })
            .map_err(Refusal::Unavailable)?;
        if verdict.allowed { Ok(()) } else { Err(Refusal::Denied(verdict.policies)) }
    }

    /// Submits a command and waits until it is durable and visible, or refused.
    ///
    /// # Errors
    /// It was refused, the queue is full, or the writer has stopped.
    pub async fn submit(&self, envelope: Envelope) -> Result<Reply, SubmitError> {
        if matches!(envelope.command, Command::ActivateBundle { .. }) {
            let why = "a bundle goes live through `Engine::propose`, which brings its files".to_owned();
            return Err(self.rejected(Rejection::Unavailable(why)));
        }
        self.queued(envelope, None).await
    }

    /// Proposes a validated bundle as the live one. One that is live already changes nothing.
    ///
    /// # Errors
    /// As of [`Engine::submit`].
    pub async fn propose(&self, bundle: Arc<Bundle>, source: BundleSource, actor: Actor) -> Result<Reply, SubmitError> {
        let command = Command::ActivateBundle { definitions: Arc::clone(bundle.definitions()), source };
        let id = self.shared.command_id().map_err(|error| self.rejected(error.into()))?;
        let envelope = Envelope { id, actor, idempotency: None, dry_run: false, command };
        let archive = bundle.to_archive();
        self.queued(envelope, Some(Proposal { bundle, archive })).await
    }

    /// Waits until a journal sequence is visible here, at most [`super::bounds::MIN_SEQ_WAIT`]. Whether it is.
    pub async fn reached(&self, seq: u64) -> bool {
        let mut feed = self.shared.feed.subscribe();
        let reached = feed.wait_for(|visible| *visible >= seq);
        matches!(tokio::time::timeout(MIN_SEQ_WAIT, reached).await, Ok(Ok(_)))
    }

    /// The journal sequence that is visible here, as it rises.
    #[must_use]
    pub fn feed(&self) -> watch::Receiver<u64> {
        self.shared.feed.subscribe()
    }

    /// How far the detectors of alerts have come.
    #[must_use]
    pub fn detected(&self) -> Detected {
        **self.shared.detected.load()
    }

    /// Reads of what is committed.
    #[must_use]
    pub fn reader(&self) -> &Arc<dyn Reader> {
        &self.shared.reader
    }

    /// The last bundle that was proposed and is not live.
    #[must_use]
    pub fn bundle_error(&self) -> Option<BundleFailure> {
        self.shared.bundle_error.load().as_deref().cloned()
    }

    /// Notes that the folder holds a bundle that cannot go live, or that it no longer does.
    pub fn set_bundle_error(&self, message: Option<String>) {
        if message.is_some() {
            self.shared.observer.swap(false);
        }
        let at = self.shared.clock.now();
        self.shared.bundle_error.store(message.map(|message| Arc::new(BundleFailure { message, at })));
    }

    /// How the engine is.
    #[must_use]
    pub fn health(&self) -> Health {
        let view = self.shared.view.load();
        let moment = self.shared.moment();
        let last_error = self.bundle_error();
        Health {
            writer_ok: self.shared.poisoned().is_none() && !self.shared.stopping(),
            time_trusted: moment.trusted,
            head: self.shared.reader.head(),
            revision: view.bundle.revision().clone(),
            bundle_age: moment.now.since(view.activated_at),
            degraded: last_error.is_some(),
            last_error,
        }
    }

    /// Who is told what the engine does.
    #[must_use]
    pub fn observe(&self) -> &Arc<dyn Observer> {
        &self.shared.observer
    }

    /// Takes no more commands, finishes those that wait, and stops the threads.
    pub fn stop(&self) {
        self.shared.stop();
        let threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        if threads.is_empty() {
            return;
        }
        let until = Instant::now() + STOP_WAIT;
        while let Err(mpsc::error::TrySendError::Full(_)) = self.queue.try_send(Message::Stop) {
            if Instant::now() >= until {
                tracing::error!("the writer did not take the word to stop in time");
                return;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        for thread in threads {
            // one that met a fault has said so already
            let _ = thread.join();
        }
    }

    async fn queued(&self, envelope: Envelope, proposal: Option<Proposal>) -> Result<Reply, SubmitError> {
        if self.shared.poisoned().is_some() || self.shared.stopping() {
            return Err(self.stopped());
        }
        let name = envelope.command.name();
        let (job, answer) = Job::new(envelope, proposal);
        match self.queue.try_send(Message::Job(Box::new(job))) {
            Ok(()) => answer.await.unwrap_or_else(|_| Err(self.stopped())),
            Err(mpsc::error::TrySendError::Full(_)) => {
                self.shared.observer.command(name, CommandResult::Busy);
                Err(SubmitError::Busy)
            }
            Err(mpsc::error::TrySendError::Closed(_)) => Err(self.stopped()),
        }
    }

    fn stopped(&self) -> SubmitError {
        SubmitError::Poisoned(self.shared.poisoned().unwrap_or("the server is stopping").to_owned())
    }

    fn rejected(&self, rejection: Rejection) -> SubmitError {
        SubmitError::Rejected { rejection, seq: self.shared.view.load().seq }
    }

    /// The answer to a check for which no view came in time that is as new as what is stored.
    fn stale(&self) -> Checked {
        let view = self.shared.view.load();
        let verdict = Verdict {
            allowed: false,
            reason: Reason::Stale,
            policies: Vec::new(),
            errors: Vec::new(),
            presence: Presence::Unknown(UnknownRule::Deny),
            resource_presence: Presence::Unknown(UnknownRule::Deny),
            memberships: Arc::default(),
            holdings: Vec::new(),
            valid_until: Some(self.moment().now),
            context_dropped: Vec::new(),
            detail: None,
            revision: view.bundle.revision().clone(),
        };
        Checked { verdict, seq: view.seq }
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.stop();
    }
}

/// The holdings of a role that count: on a resource, or where none is named, everywhere and each on its own scope.
fn holdings_of(
    facts: &dyn Facts,
    principal: &Uid,
    role: &RoleName,
    resource: Option<&Uid>,
    moment: Moment,
) -> Result<Vec<Holding>, Unavailable> {
    let path = match resource {
        Some(resource) if denied_as_unknown(facts, resource)? => return Ok(Vec::new()),
        Some(resource) => Some(standing::path(facts, resource)?),
        None => None,
    };
    let here = standing::standing(facts, principal, path.as_deref(), moment)?;
    let mut holdings: Vec<_> = here.holdings.into_iter().filter(|holding| holding.role == *role).collect();
    if resource.is_none() {
        // what is out of scope here only for want of a resource is asked again on its own scope, so that nothing is listed that ended
        let scopes: Vec<_> = holdings.iter().filter_map(|holding| holding.scope.clone()).collect();
        let there = standing::standing(facts, principal, Some(&scopes), moment)?;
        let holds_there = |via: &Via| there.in_force().any(|holding| holding.via == *via);
        holdings.retain(|holding| holding.counts.is_ok() || holds_there(&holding.via));
    } else {
        holdings.retain(|holding| holding.counts.is_ok());
    }
    Ok(holdings)
}

/// Whether every check on a resource is denied because nobody stored it.
fn denied_as_unknown(facts: &dyn Facts, resource: &Uid) -> Result<bool, Unavailable> {
    let may_have_parents = facts.definitions().type_settings(resource.kind()).can_have_parents;
    Ok(may_have_parents && standing::presence(facts, resource)? == Presence::Unknown(UnknownRule::Deny))
}
