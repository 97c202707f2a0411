//! Refusals that are counted instead of journaled one by one: the first of a caller by a rule is journaled at once, the rest of the
//! minute becomes one record with their number. A crash within the minute loses that number, and nothing else.

use std::collections::HashMap;

use crate::domain::{Caller, Timestamp, Uid};

use super::bounds::{COALESCE, REFUSALS};

/// What one refusal means for the counting, once its group is committed.
#[derive(Debug)]
pub(super) enum Noted {
    /// It was journaled, and opens the minute.
    First { caller: Caller, rule: &'static str, at: Timestamp },
    /// It is counted.
    Again { principal: Uid, rule: &'static str },
}

impl Noted {
    fn is_of(&self, who: &Uid, what: &str) -> bool {
        match self {
            Self::First { caller, rule, .. } => caller.principal == *who && *rule == what,
            Self::Again { principal, rule } => principal == who && *rule == what,
        }
    }
}

/// Refusals of one caller by one rule, after the first.
struct Counted {
    caller: Caller,
    since: Timestamp,
    more: u64,
}

#[derive(Default)]
pub(super) struct Refusals {
    open: HashMap<(Uid, &'static str), Counted>,
}

impl Refusals {
    /// What a refusal means, given those that the group has noted so far. Nothing where too many are counted already: it is journaled,
    /// and so is the next one.
    pub(super) fn note(&self, noted: &[Noted], caller: &Caller, rule: &'static str, at: Timestamp) -> Option<Noted> {
        let principal = &caller.principal;
        if self.open.contains_key(&(principal.clone(), rule)) || noted.iter().any(|noted| noted.is_of(principal, rule)) {
            return Some(Noted::Again { principal: principal.clone(), rule });
        }
        (self.open.len() + noted.len() < REFUSALS).then(|| Noted::First { caller: caller.clone(), rule, at })
    }

    /// Takes over what a committed group noted.
    pub(super) fn absorb(&mut self, noted: Vec<Noted>) {
        for noted in noted {
            match noted {
                Noted::First { caller, rule, at } => {
                    self.open.insert((caller.principal.clone(), rule), Counted { caller, since: at, more: 0 });
                }
                Noted::Again { principal, rule } => {
                    if let Some(counted) = self.open.get_mut(&(principal, rule)) {
                        counted.more = counted.more.saturating_add(1);
                    }
                }
            }
        }
    }

    /// Closes every minute that is over, or all of them, and gives those with refusals to journal.
    pub(super) fn close(&mut self, now: Timestamp, all: bool) -> Vec<(Caller, &'static str, u64)> {
        let over = |counted: &Counted| all || counted.since.plus(COALESCE) <= now;
        let mut closed: Vec<_> = self
            .open
            .extract_if(|_, counted| over(counted))
            .filter(|(_, counted)| counted.more > 0)
            .map(|((_, rule), counted)| (counted.caller, rule, counted.more))
            .collect();
        closed.sort_by(|one, other| (&one.0.principal, one.1).cmp(&(&other.0.principal, other.1)));
        closed
    }

    pub(super) fn is_empty(&self) -> bool {
        self.open.is_empty()
    }
}
