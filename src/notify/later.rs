//! What a mailbox did not take for now: it is full, or its server has strangers come back later (greylisting). Each is a dead letter that is tried again
//! by itself after a while, so that it holds up nobody and is not lost either. Kept in memory: after a start the letters are still there, and are
//! tried again when somebody asks.

use crate::domain::{Duration, Timestamp};
use crate::engine::outbox::Matter;

/// After how long each time. After the last of them a letter waits for somebody.
pub(super) const AFTER: [Duration; 5] =
    [Duration::from_mins(5), Duration::from_mins(15), Duration::from_hours(1), Duration::from_hours(4), Duration::from_hours(12)];
/// Most that are tried again by themselves; one more waits for somebody.
const MOST: usize = 1000;

/// What is tried again, and when.
#[derive(Debug, Default)]
pub(super) struct Later(Vec<Due>);

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Due {
    at: Timestamp,
    /// How often it was put off before.
    times: usize,
    pub(super) matter: Matter,
}

impl Later {
    /// Has something tried again that was put off so often before. Whether it is.
    pub(super) fn put(&mut self, matter: &Matter, times: usize, now: Timestamp) -> bool {
        let Some(after) = AFTER.get(times).filter(|_| self.0.len() < MOST) else { return false };
        self.0.push(Due { at: now.plus(*after), times, matter: matter.clone() });
        true
    }

    /// The same, of what was due and is refused once more.
    pub(super) fn put_off(&mut self, due: &Due, now: Timestamp) -> bool {
        self.put(&due.matter, due.times.saturating_add(1), now)
    }

    /// Whether something is due.
    pub(super) fn is_due(&self, now: Timestamp) -> bool {
        self.0.iter().any(|due| due.at <= now)
    }

    /// Takes what is due.
    pub(super) fn take(&mut self, now: Timestamp) -> Vec<Due> {
        self.0.extract_if(.., |due| due.at <= now).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_refused_for_now_is_tried_five_times_and_then_waits() {
        let matter = |seq| Matter::Event { seq, event: 0, person: None };
        let (mut later, mut now) = (Later::default(), Timestamp::from_millis(0));
        assert!(later.put(&matter(1), 0, now));
        for after in AFTER {
            assert!(!later.is_due(now) && later.take(now).is_empty());
            now = now.plus(after);
            assert!(later.is_due(now));
            let due = later.take(now);
            assert_eq!(due.iter().map(|due| &due.matter).collect::<Vec<_>>(), [&matter(1)]);
            assert_eq!(later.put_off(&due[0], now), after != AFTER[4], "{after}");
        }
        assert!(!later.is_due(Timestamp::LAST));
        assert_eq!((0..MOST as u64 + 5).filter(|seq| later.put(&matter(*seq), 0, now)).count(), MOST);
    }
}
