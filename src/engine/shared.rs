//! What checks, the writer and the timers share.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::{ArcSwap, ArcSwapOption};
use tokio::sync::watch;

use crate::domain::id::CommandId;
use crate::domain::standing::Moment;
use crate::domain::{Timestamp, Unavailable};

use super::answer::BundleFailure;
use super::bounds::STALE_WAIT;
use super::clock::Judge;
use super::fresh::FreshRecords;
use super::handle::EngineConfig;
use super::observe::Observer;
use super::ports::{Clock, ClockDesk, Reader};
use super::uses::Uses;
use super::view::{Pinned, View};

pub(super) struct Shared {
    pub(super) view: ArcSwap<View>,
    pub(super) reader: Arc<dyn Reader>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) judge: Judge,
    pub(super) clock_desk: Option<Arc<dyn ClockDesk>>,
    pub(super) observer: Arc<dyn Observer>,
    pub(super) bundle_error: ArcSwapOption<BundleFailure>,
    pub(super) feed: watch::Sender<u64>,
    pub(super) bell: Bell,
    /// Wakes the detectors of alerts.
    pub(super) sentry_bell: Bell,
    /// What they have not taken yet.
    pub(super) fresh: FreshRecords,
    /// How far they have come.
    pub(super) detected: ArcSwap<Detected>,
    /// Which roles were of use.
    pub(super) uses: Uses,
    /// Whether the writer counts refusals that it has yet to journal.
    pub(super) refusals_wait: AtomicBool,
    stopping: AtomicBool,
    poison: OnceLock<String>,
}

/// Why a read came to nothing.
pub(super) enum Unread {
    /// The facts could not be read.
    Unavailable(Unavailable),
    /// No view came in time that is as new as what is stored.
    Stale,
}

impl From<Unread> for Unavailable {
    fn from(unread: Unread) -> Self {
        match unread {
            Unread::Unavailable(unavailable) => unavailable,
            Unread::Stale => Self("a commit was not published in time".to_owned()),
        }
    }
}

impl Shared {
    pub(super) fn new(view: View, reader: Arc<dyn Reader>, clock: Arc<dyn Clock>, judge: Judge, config: EngineConfig) -> Self {
        let EngineConfig { observer, clock_desk, timers: _, alerts } = config;
        Self {
            feed: watch::Sender::new(view.seq),
            view: ArcSwap::from_pointee(view),
            reader,
            clock,
            judge,
            clock_desk,
            observer,
            bundle_error: ArcSwapOption::empty(),
            bell: Bell::default(),
            sentry_bell: Bell::default(),
            fresh: FreshRecords::new(alerts),
            detected: ArcSwap::default(),
            uses: Uses::default(),
            refusals_wait: AtomicBool::new(false),
            stopping: AtomicBool::new(false),
            poison: OnceLock::new(),
        }
    }

    pub(super) fn moment(&self) -> Moment {
        self.judge.read(&*self.clock)
    }

    /// Makes a view the newest one, and says so.
    pub(super) fn publish(&self, view: View) {
        let seq = view.seq;
        self.view.store(Arc::new(view));
        self.feed.send_replace(seq);
        self.ring();
    }

    /// Reads over one view, and over again while the store turns out to be newer than it.
    ///
    /// The clock is read after the view is taken: what a view holds was decided before now, and has begun if it was to begin at once.
    pub(super) fn read<T>(&self, mut read: impl FnMut(&Pinned<'_>, &View, Moment) -> Result<T, Unavailable>) -> Result<T, Unread> {
        let mut until = None;
        loop {
            let view = self.view.load();
            let pinned = view.pin(&*self.reader);
            let result = read(&pinned, &view, self.moment());
            if !pinned.is_stale() {
                return result.map_err(Unread::Unavailable);
            }
            // after a commit that failed no newer view comes
            let waited = Instant::now() >= *until.get_or_insert_with(|| Instant::now() + STALE_WAIT);
            if waited || self.poisoned().is_some() {
                return Err(Unread::Stale);
            }
            std::thread::yield_now();
        }
    }

    /// Takes no more commands from here on, and says why. The first reason stays.
    pub(super) fn poison(&self, why: &str) {
        if self.poison.set(why.to_owned()).is_ok() {
            tracing::error!(why, "the writer has stopped; commands are no longer taken");
        }
        self.ring();
    }

    /// Takes no more commands from here on, because the server is stopping.
    pub(super) fn close(&self) {
        let _ = self.poison.set("the server is stopping".to_owned());
    }

    pub(super) fn poisoned(&self) -> Option<&str> {
        self.poison.get().map(String::as_str)
    }

    pub(super) fn stop(&self) {
        self.stopping.store(true, Ordering::SeqCst);
        self.ring();
    }

    /// Wakes everybody who waits for something to happen.
    pub(super) fn ring(&self) {
        self.bell.ring();
        self.sentry_bell.ring();
    }

    pub(super) fn stopping(&self) -> bool {
        self.stopping.load(Ordering::SeqCst)
    }

    /// A new command id: a UUID (RFC 9562, version 7) of the clock's time.
    pub(super) fn command_id(&self) -> Result<CommandId, Unavailable> {
        let mut random = [0_u8; 10];
        getrandom::fill(&mut random).map_err(|error| Unavailable(format!("there is no randomness: {error}")))?;
        let millis = u64::try_from(self.clock.now().millis()).unwrap_or(0);
        let id = uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid();
        CommandId::new(&id.to_string()).map_err(|error| Unavailable(error.to_string()))
    }
}

/// How far the detectors of alerts have come, and all that they found is recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Detected {
    /// The last record that they looked at.
    pub seq: u64,
    /// The instant up to which they let time go on.
    pub now: Timestamp,
}

/// Wakes a thread.
#[derive(Default)]
pub(super) struct Bell {
    rung: Mutex<bool>,
    heard: Condvar,
}

impl Bell {
    pub(super) fn ring(&self) {
        *self.rung.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.heard.notify_all();
    }

    /// Sleeps until it rings, at most so long. One that rang before is heard at once.
    pub(super) fn wait(&self, at_most: Duration) {
        let rung = self.rung.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.heard.wait_timeout_while(rung, at_most, |rung| !*rung);
        let (mut rung, _) = waited.unwrap_or_else(PoisonError::into_inner);
        *rung = false;
    }
}
