//! The clocks that the engine can run on.

use super::ports::Clock;
use crate::domain::Timestamp;

/// The clock of the machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        chrono::Utc::now().into()
    }
}

/// A clock that stands still until it is moved.
#[cfg(any(test, feature = "test-clock"))]
pub struct TestClock;

#[cfg(any(test, feature = "test-clock"))]
impl TestClock {
    /// A clock that shows `now`.
    #[must_use]
    pub fn new(now: Timestamp) -> Self;
    /// Moves it to an instant, earlier or later. Timers that are due then run at once.
    pub fn set(&self, now: Timestamp);
    /// Moves it on. What it shows then.
    pub fn advance(&self, by: crate::domain::Duration) -> Timestamp;
}
