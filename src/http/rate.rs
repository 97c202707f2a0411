//! How many commands a caller may give: a bucket for each, filled at a steady rate. The time is an argument.
//!
//! A bucket that is full again says nothing and is forgotten, so that what is remembered is bounded by who was busy lately. Where even
//! those are too many, the others share one bucket: the bound holds, and nobody gets more than with a bucket of their own.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::domain::Uid;

/// Parts of a command that are counted.
const PARTS: u64 = 1_000_000_000;

/// The buckets of a listener.
#[derive(Debug)]
pub(super) struct Rates {
    per_second: u64,
    burst: u64,
    most: usize,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    buckets: HashMap<Uid, Bucket>,
    shared: Option<Bucket>,
    /// When the buckets were last looked through.
    swept: Duration,
}

/// What is missing in a bucket, in parts of a command, as of a moment.
#[derive(Debug, Clone, Copy, Default)]
struct Bucket {
    missing: u64,
    at: Duration,
}

impl Rates {
    /// Buckets that hold `burst` commands and get `per_second` of them back, for at most so many callers. None of them can be nothing.
    pub(super) fn new(per_second: u32, burst: u32, most: usize) -> Self {
        let kept = Mutex::new(Kept::default());
        Self { per_second: u64::from(per_second.max(1)), burst: u64::from(burst.max(1)) * PARTS, most: most.max(1), kept }
    }

    /// Takes `cost` commands out of a caller's bucket. More than a bucket holds counts as a whole bucket.
    ///
    /// # Errors
    /// There is not enough in it; so long the caller has to wait.
    pub(super) fn take(&self, caller: &Uid, cost: u32, now: Duration) -> Result<(), Duration> {
        let cost = u64::from(cost).saturating_mul(PARTS).min(self.burst);
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if !kept.buckets.contains_key(caller) && kept.buckets.len() >= self.most && kept.swept < now {
            kept.swept = now + Duration::from_secs(1);
            kept.buckets.retain(|_, bucket| self.missing(*bucket, now) > 0);
        }
        let bucket = if kept.buckets.contains_key(caller) || kept.buckets.len() < self.most {
            kept.buckets.entry(caller.clone()).or_default()
        } else {
            kept.shared.get_or_insert_default()
        };
        let missing = self.missing(*bucket, now);
        *bucket = Bucket { missing, at: now.max(bucket.at) };
        let after = missing.saturating_add(cost);
        if after > self.burst {
            return Err(Duration::from_nanos((after - self.burst).div_ceil(self.per_second)));
        }
        bucket.missing = after;
        Ok(())
    }

    fn missing(&self, bucket: Bucket, now: Duration) -> u64 {
        let since = u64::try_from(now.saturating_sub(bucket.at).as_nanos()).unwrap_or(u64::MAX);
        bucket.missing.saturating_sub(since.saturating_mul(self.per_second))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(number: usize) -> Uid {
        Uid::new("User", &format!("u{number}")).unwrap()
    }

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_burst_is_let_through_and_then_the_rate() {
        let rates = Rates::new(2, 3, 10);
        let mut now = 5 * SECOND;
        assert_eq!([0, 1, 2].map(|_| rates.take(&user(1), 1, now)), [Ok(()); 3]);
        assert_eq!(rates.take(&user(1), 1, now), Err(SECOND / 2));
        assert_eq!(rates.take(&user(2), 1, now), Ok(()), "another caller has a bucket of its own");
        now += SECOND / 2;
        assert_eq!(rates.take(&user(1), 1, now), Ok(()));
        assert_eq!(rates.take(&user(1), 1, now), Err(SECOND / 2), "what was refused took nothing");
        now += 100 * SECOND;
        assert_eq!(rates.take(&user(1), 3, now), Ok(()), "never more than the burst is kept");
        assert_eq!(rates.take(&user(1), 1, now), Err(SECOND / 2));
    }

    #[test]
    fn a_command_that_is_larger_than_a_bucket_takes_it_whole() {
        let rates = Rates::new(1, 4, 10);
        assert_eq!(rates.take(&user(1), 100, SECOND), Ok(()));
        assert_eq!(rates.take(&user(1), 100, SECOND), Err(4 * SECOND));
        assert_eq!(rates.take(&user(1), 100, 5 * SECOND), Ok(()));
    }

    #[test]
    fn time_that_goes_backwards_gives_nothing_back() {
        let rates = Rates::new(1, 1, 10);
        assert_eq!(rates.take(&user(1), 1, 9 * SECOND), Ok(()));
        assert!(rates.take(&user(1), 1, SECOND).is_err());
        assert_eq!(rates.take(&user(1), 1, 9 * SECOND), Err(SECOND));
    }

    #[test]
    fn however_many_callers_come_so_many_are_remembered() {
        let rates = Rates::new(1, 2, 100);
        for number in 0..10_000 {
            let _ = rates.take(&user(number), 1, SECOND);
        }
        assert_eq!(rates.kept.lock().unwrap().buckets.len(), 100);
        assert!(rates.take(&user(20_000), 1, SECOND).is_err(), "those beyond share one bucket");
        assert_eq!(rates.take(&user(20_000), 1, 60 * SECOND), Ok(()), "full buckets were forgotten, and there is room");
    }
}
