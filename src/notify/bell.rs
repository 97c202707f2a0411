//! What wakes a worker: that the journal grew, that somebody asked for something to be tried again, or that it is to stop.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

#[derive(Debug, Default)]
struct Rung {
    grew: bool,
    again: bool,
    stop: bool,
}

/// A bell that one worker listens to.
#[derive(Debug, Default)]
pub(super) struct Bell {
    rung: Mutex<Rung>,
    heard: Condvar,
}

impl Bell {
    fn locked(&self) -> MutexGuard<'_, Rung> {
        self.rung.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ring(&self, how: impl FnOnce(&mut Rung)) {
        how(&mut self.locked());
        self.heard.notify_all();
    }

    /// The journal grew.
    pub(super) fn grew(&self) {
        self.ring(|rung| rung.grew = true);
    }

    /// Something is to be tried again.
    pub(super) fn again(&self) {
        self.ring(|rung| rung.again = true);
    }

    /// The worker is to stop.
    pub(super) fn stop(&self) {
        self.ring(|rung| rung.stop = true);
    }

    /// Whether it is to stop.
    pub(super) fn stopped(&self) -> bool {
        self.locked().stop
    }

    /// Whether something is to be tried again, which is then taken as done.
    pub(super) fn take_again(&self) -> bool {
        std::mem::take(&mut self.locked().again)
    }

    /// Waits until there may be more to do, at most so long.
    pub(super) fn wait(&self, longest: Duration) {
        self.wait_for(longest, |rung| rung.grew || rung.again || rung.stop);
        self.locked().grew = false;
    }

    /// Waits for so long, whatever the journal does.
    pub(super) fn pause(&self, long: Duration) {
        self.wait_for(long, |rung| rung.again || rung.stop);
    }

    fn wait_for(&self, longest: Duration, holds: impl Fn(&Rung) -> bool) {
        let until = Instant::now() + longest;
        let mut rung = self.locked();
        while !holds(&rung) {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            rung = self.heard.wait_timeout(rung, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}
