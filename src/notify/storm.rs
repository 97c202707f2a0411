//! How much the acts of one person on requests of their own may make other people hear: whoever asks and takes back in a loop would bury what
//! others have to read. Programs are told of everything all the same, and so is everybody of what matters more than to know.

use std::collections::BTreeMap;

use super::message::Message;
use crate::domain::{Timestamp, Uid};

/// Most events of one person in an hour that other people are told of.
const MAX_OF_ONE: u32 = 60;
/// Most persons who are counted; past that those of other hours are forgotten, and then all.
const MAX_COUNTED: usize = 10_000;
/// An hour, in milliseconds.
const HOUR: i64 = 3_600_000;

/// What was told of whose acts in which hour.
#[derive(Debug, Default)]
pub(super) struct Storm(BTreeMap<Uid, (i64, u32)>);

/// What comes of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Held {
    /// It is told.
    No,
    /// It is not, for the first time in this hour.
    First,
    /// It is not.
    Further,
}

impl Storm {
    /// Counts an event, and says whether people are told of it.
    pub(super) fn take(&mut self, message: &Message) -> Held {
        let by_whom = message.actor.as_ref().filter(|actor| message.parts.requester.as_ref() == Some(*actor));
        match by_whom.filter(|_| message.severity.is_none()) {
            Some(requester) => self.count(requester, message.at),
            None => Held::No,
        }
    }

    fn count(&mut self, requester: &Uid, at: Timestamp) -> Held {
        let hour = at.millis().div_euclid(HOUR);
        if self.0.len() >= MAX_COUNTED && !self.0.contains_key(requester) {
            self.0.retain(|_, (counted, _)| *counted == hour);
            if self.0.len() >= MAX_COUNTED {
                self.0.clear();
            }
        }
        let (counted, count) = self.0.entry(requester.clone()).or_default();
        if *counted != hour {
            (*counted, *count) = (hour, 0);
        }
        *count = count.saturating_add(1);
        match (*count).cmp(&MAX_OF_ONE.saturating_add(1)) {
            std::cmp::Ordering::Less => Held::No,
            std::cmp::Ordering::Equal => Held::First,
            std::cmp::Ordering::Greater => Held::Further,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_much_is_told_of_one_person_in_an_hour() {
        let (mut storm, alice, bob) = (Storm::default(), Uid::new("User", "alice").unwrap(), Uid::new("User", "bob").unwrap());
        let at = |minutes: i64| Timestamp::from_millis(1_896_080_400_000 + minutes * 60_000);
        for _ in 0..MAX_OF_ONE {
            assert_eq!(storm.count(&alice, at(0)), Held::No);
        }
        let rows = [(&alice, 1, Held::First), (&alice, 2, Held::Further), (&bob, 2, Held::No), (&alice, 61, Held::No)];
        for (who, minutes, held) in rows {
            assert_eq!(storm.count(who, at(minutes)), held, "{who} {minutes}");
        }
        for number in 0..(2 * MAX_COUNTED) {
            storm.count(&Uid::new("User", &number.to_string()).unwrap(), at(62));
        }
        assert!(storm.0.len() <= MAX_COUNTED);
    }
}
