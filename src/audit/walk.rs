//! A walk over a chain, or over a part of one: how far it holds, and whether a record that somebody noted elsewhere is in it.
//!
//! A chain that was cut off at its end holds as well as a whole one, and so does one that was written anew from some record on. What tells is the
//! number and the hash of a record, noted where whoever holds the chain cannot write.

use std::fmt;
use std::str::FromStr;

use super::chain::{Break, Tip, follow, follow_unknown};
use crate::domain::event::Record;
use crate::domain::text::Digest;

/// A record's number and hash, as they are noted elsewhere: `SEQ:HASH`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Noted {
    /// Its number; 0 stands before the first record.
    pub seq: u64,
    /// SHA-256 over its canonical bytes; zeros before the first.
    pub hash: Digest,
}

impl fmt::Display for Noted {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}:{}", self.seq, self.hash)
    }
}

impl From<&Tip> for Noted {
    fn from(tip: &Tip) -> Self {
        Self { seq: tip.seq, hash: tip.hash }
    }
}

/// A text that is no note of a record.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("write it as SEQ:HASH, the number of a record and its 64 hexadecimal digits, as `elevon audit tip` prints them")]
pub struct BadNote;

impl FromStr for Noted {
    type Err = BadNote;

    fn from_str(text: &str) -> Result<Self, BadNote> {
        let (seq, hash) = text.split_once(':').ok_or(BadNote)?;
        let digits = seq.bytes().all(|letter| letter.is_ascii_digit());
        let seq = seq.parse().ok().filter(|_| digits).ok_or(BadNote)?;
        Ok(Self { seq, hash: Digest::parse(hash).ok_or(BadNote)? })
    }
}

/// How a chain stands to a record that was noted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// The record of that number has that hash.
    Same,
    /// It has another: one of the two was changed, or they are of two journals.
    Another {
        /// The hash that it has.
        found: Digest,
    },
    /// The walk ended before it: the chain was cut off, breaks before it, or is an older copy.
    NotReached,
    /// The part that was walked begins after it.
    NotThere,
}

/// How far a walk got.
#[derive(Debug, Clone)]
pub struct Walk {
    /// What the first record has to follow; nothing where that is taken from the record itself.
    begins_after: Option<Tip>,
    before: Option<Tip>,
    first: Option<Tip>,
    tip: Option<Tip>,
    noted: Option<Noted>,
    /// The hash that stands at the noted number.
    met: Option<Digest>,
}

impl Walk {
    /// A walk from a chain's first record.
    #[must_use]
    pub fn from_first(noted: Option<Noted>) -> Self {
        Self { begins_after: Some(Tip::before_first()), before: None, first: None, tip: None, noted, met: None }
    }

    /// A walk from wherever the first record stands that is taken: what it follows is believed.
    #[must_use]
    pub fn from_anywhere(noted: Option<Noted>) -> Self {
        Self { begins_after: None, ..Self::from_first(noted) }
    }

    /// Takes the next record.
    ///
    /// # Errors
    /// It does not follow. The walk stands where it stood.
    pub fn take(&mut self, bytes: &[u8]) -> Result<Record, Break> {
        let (before, (tip, record)) = match self.tip.as_ref().or(self.begins_after.as_ref()) {
            Some(before) => (*before, follow(before, bytes)?),
            None => follow_unknown(bytes).map(|(before, tip, record)| (before, (tip, record)))?,
        };
        if self.tip.is_none() {
            (self.before, self.first) = (Some(before), Some(tip));
            self.meet(&before);
        }
        self.meet(&tip);
        self.tip = Some(tip);
        Ok(record)
    }

    fn meet(&mut self, tip: &Tip) {
        if self.noted.is_some_and(|noted| noted.seq == tip.seq) {
            self.met = Some(tip.hash);
        }
    }

    /// How many records hold together.
    #[must_use]
    pub fn records(&self) -> u64 {
        match (&self.before, &self.tip) {
            (Some(before), Some(tip)) => tip.seq.saturating_sub(before.seq),
            (Some(_) | None, None) | (None, Some(_)) => 0,
        }
    }

    /// The record that the first one follows, which was not taken itself.
    #[must_use]
    pub fn before(&self) -> Option<&Tip> {
        self.before.as_ref()
    }

    /// The first record.
    #[must_use]
    pub fn first(&self) -> Option<&Tip> {
        self.first.as_ref()
    }

    /// The last record that holds.
    #[must_use]
    pub fn tip(&self) -> Option<&Tip> {
        self.tip.as_ref()
    }

    /// The record that was noted, and how what was walked stands to it.
    #[must_use]
    pub fn standing(&self) -> Option<(Noted, Standing)> {
        let noted = self.noted?;
        let standing = match (self.met, &self.before) {
            (Some(found), _) if found == noted.hash => Standing::Same,
            (Some(found), _) => Standing::Another { found },
            (None, Some(before)) if noted.seq < before.seq => Standing::NotThere,
            (None, Some(_) | None) => Standing::NotReached,
        };
        Some((noted, standing))
    }
}

#[cfg(test)]
mod tests {
    use super::super::chain::tests::{changed, records};
    use super::super::hash;
    use super::*;

    fn noted(chain: &[Vec<u8>], seq: usize) -> Noted {
        Noted { seq: seq as u64, hash: seq.checked_sub(1).map_or(Digest([0; 32]), |at| hash(&chain[at])) }
    }

    #[test]
    fn a_note_is_a_number_and_a_hash() {
        let hash = "ab".repeat(32);
        let text = format!("17:{hash}");
        assert_eq!(text.parse::<Noted>().unwrap().to_string(), text);
        for bad in
            ["", "17", "17:", &hash, &format!(":{hash}"), &format!("+17:{hash}"), &format!("-1:{hash}"), "17:abc", &format!("{text} ")]
        {
            assert_eq!(bad.parse::<Noted>(), Err(BadNote), "{bad}");
        }
    }

    #[test]
    fn a_walk_tells_how_a_chain_stands_to_what_was_noted() {
        let chain = records(5);
        let other = Noted { seq: 3, hash: Digest([7; 32]) };
        // (the note, the first record that is walked, the last one, how it stands)
        let rows = [
            (noted(&chain, 5), 1, 5, Standing::Same),
            (noted(&chain, 3), 1, 5, Standing::Same),
            (noted(&chain, 0), 1, 5, Standing::Same),
            (noted(&chain, 5), 1, 4, Standing::NotReached),
            (other, 1, 5, Standing::Another { found: hash(&chain[2]) }),
            (other, 1, 2, Standing::NotReached),
            // what a part follows is named in its first record
            (noted(&chain, 2), 3, 5, Standing::Same),
            (other, 4, 5, Standing::Another { found: hash(&chain[2]) }),
            (noted(&chain, 1), 3, 5, Standing::NotThere),
        ];
        for (note, from, to, expected) in rows {
            let mut walk = Walk::from_anywhere(Some(note));
            chain[from - 1..to].iter().for_each(|bytes| drop(walk.take(bytes).unwrap()));
            assert_eq!(walk.standing(), Some((note, expected)), "{note} in {from} to {to}");
            assert_eq!(
                (walk.records(), walk.first().unwrap().seq, walk.tip().unwrap().seq),
                ((to + 1 - from) as u64, from as u64, to as u64)
            );
            assert_eq!(Noted::from(walk.before().unwrap()), noted(&chain, from - 1));
        }
        assert_eq!(Walk::from_first(Some(other)).standing(), Some((other, Standing::NotReached)));
        assert_eq!(Walk::from_first(None).standing(), None);
    }

    #[test]
    fn a_walk_from_the_first_record_begins_there_and_any_other_holds_what_it_can() {
        let chain = records(3);
        assert_eq!(Walk::from_first(None).take(&chain[1]).unwrap_err().seq, 1);
        let first = std::str::from_utf8(&chain[0]).unwrap();
        let rows = [
            ("a first record follows nothing", changed(&chain[0], &"0".repeat(64), &"1".repeat(64))),
            ("there is no record before it", first.replacen("\"seq\":1", "\"seq\":0", 1).into_bytes()),
            ("it is none", b"[]".to_vec()),
            ("written otherwise", first.replacen(':', ": ", 1).into_bytes()),
        ];
        for (what, bytes) in rows {
            assert!(Walk::from_anywhere(None).take(&bytes).is_err(), "{what}");
        }
        let mut walk = Walk::from_anywhere(None);
        walk.take(&chain[1]).unwrap();
        assert_eq!(walk.take(&chain[1]).unwrap_err().seq, 3);
        // it stands where it stood
        walk.take(&chain[2]).unwrap();
        assert_eq!(walk.records(), 2);
    }
}
