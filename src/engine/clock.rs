//! The clocks that the engine can run on, and the high-water mark that it holds them against.

use std::sync::atomic::{AtomicI64, Ordering};

use crate::domain::Timestamp;
use crate::domain::standing::Moment;

use super::ports::Clock;

/// The clock of the machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        chrono::Utc::now().into()
    }
}

/// The latest instant that was ever seen. It never falls, and it is saved, so that setting the clock back revives nothing.
#[derive(Debug)]
pub(super) struct Mark(AtomicI64);

impl Mark {
    pub(super) fn new(mark: Timestamp) -> Self {
        Self(AtomicI64::new(mark.millis()))
    }

    pub(super) fn get(&self) -> Timestamp {
        Timestamp::from_millis(self.0.load(Ordering::Acquire))
    }

    /// Reads the clock and holds it against the mark, without any tolerance.
    ///
    /// The mark is read *before* the clock: of two readings in two threads, the later one may raise the mark before the earlier
    /// one looks at it, and would make an honest clock look as if it had gone back.
    pub(super) fn read(&self, clock: &dyn Clock) -> Moment {
        let mark = self.0.load(Ordering::Acquire);
        let now = clock.now();
        // most checks of one millisecond find it raised already, and leave the cache line alone
        if now.millis() > mark {
            self.0.fetch_max(now.millis(), Ordering::AcqRel);
        }
        Moment { now, trusted: now.millis() >= mark }
    }
}

/// A clock that stands still until it is moved.
#[cfg(any(test, feature = "test-clock"))]
pub struct TestClock {
    now: AtomicI64,
    hooks: std::sync::Mutex<Vec<Box<dyn Fn() + Send + Sync>>>,
}

#[cfg(any(test, feature = "test-clock"))]
impl TestClock {
    /// A clock that shows `now`.
    #[must_use]
    pub fn new(now: Timestamp) -> Self {
        Self { now: AtomicI64::new(now.millis()), hooks: std::sync::Mutex::default() }
    }

    /// Moves it to an instant, earlier or later. Timers that are due then run at once.
    pub fn set(&self, now: Timestamp) {
        self.now.store(now.millis(), Ordering::SeqCst);
        self.moved();
    }

    /// Moves it on. What it shows then.
    pub fn advance(&self, by: crate::domain::Duration) -> Timestamp {
        let before = self.now.fetch_add(by.millis(), Ordering::SeqCst);
        self.moved();
        Timestamp::from_millis(before).plus(by)
    }

    fn moved(&self) {
        let hooks = self.hooks.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        hooks.iter().for_each(|hook| hook());
    }
}

#[cfg(any(test, feature = "test-clock"))]
impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.now.load(Ordering::SeqCst))
    }

    fn on_move(&self, hook: Box<dyn Fn() + Send + Sync>) {
        self.hooks.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(hook);
    }
}
