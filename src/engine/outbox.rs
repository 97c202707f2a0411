//! What is kept for those who are told of what happened: how far each destination has got in the journal, and what could not be delivered.
//!
//! It is no truth: nothing that Elevon decides rests on it, no record holds it, and a rebuild leaves it alone. It is written beside commits and
//! without waiting for the disk. A position that a power cut takes back means that something is sent twice, which a receiver has to bear anyway.

use serde::{Deserialize, Serialize};

use super::ports::{BadCursor, Listing, Page};
use crate::domain::{Timestamp, Uid, Unavailable};

/// How far a destination has got.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// Everything up to this record was delivered, or is in the list of what was not.
    pub after: u64,
    /// So many events of the record after it, too.
    pub events: u32,
    /// Of the event that is next, whoever comes up to this one in order of names was told.
    pub told: Option<Uid>,
    /// How often what is next was tried in vain.
    pub attempts: u32,
    /// When that was first.
    pub failing_since: Option<Timestamp>,
    /// Up to when a digest was made.
    pub digest: Timestamp,
}

impl Position {
    /// Right after a record.
    #[must_use]
    pub fn after(seq: u64, digest: Timestamp) -> Self {
        Self { after: seq, events: 0, told: None, attempts: 0, failing_since: None, digest }
    }
}

/// What a message was about. It is made anew from the journal when it is tried again, so that no text lies about twice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Matter {
    /// An event, and who was to be told, where it was a person.
    Event {
        /// Its record.
        seq: u64,
        /// Its place there, from 0.
        event: u32,
        /// Who was to be told.
        person: Option<Uid>,
    },
    /// A digest.
    Digest {
        /// Up to when.
        until: Timestamp,
    },
}

/// The name of a letter that could not be delivered: its destination, and a number there.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct LetterId {
    /// The destination's name.
    pub destination: String,
    /// Its number.
    pub number: u64,
}

impl std::fmt::Display for LetterId {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{}.{}", self.destination, self.number)
    }
}

impl LetterId {
    /// Reads `NAME.NUMBER`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (destination, number) = text.rsplit_once('.')?;
        let digits = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
        let number = digits.then(|| number.parse().ok()).flatten()?;
        (!destination.is_empty()).then(|| Self { destination: destination.to_owned(), number })
    }

    /// The cursor of [`Outbox::letters`]: the last letter.
    ///
    /// # Errors
    /// It is not one.
    pub fn of_cursor(page: &Page) -> Result<Option<Self>, BadCursor> {
        let Some(cursor) = &page.after else { return Ok(None) };
        Self::parse(cursor).map(Some).ok_or_else(|| BadCursor { cursor: cursor.clone() })
    }
}

/// Something that could not be delivered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Letter {
    /// What it was about.
    pub matter: Matter,
    /// The kind of event, as the journal calls it; `digest` for a digest.
    pub kind: String,
    /// When what it is about happened.
    pub at: Timestamp,
    /// When it was given up.
    pub given_up: Timestamp,
    /// How often it was tried.
    pub attempts: u32,
    /// What came of the last attempt.
    pub error: String,
    /// Whether somebody asked for it to be tried again, and it was not yet.
    pub again: bool,
}

/// Where positions and letters are kept.
pub trait Outbox: Send + Sync {
    /// How far a destination has got; nothing for one that is new.
    ///
    /// # Errors
    /// It cannot be read.
    fn position(&self, destination: &str) -> Result<Option<Position>, Unavailable>;

    /// Notes how far a destination has got.
    ///
    /// # Errors
    /// It cannot be written.
    fn save_position(&self, destination: &str, position: &Position) -> Result<(), Unavailable>;

    /// Puts away what could not be delivered and goes on after it, both or neither. Of more than `most` letters the oldest go; how many.
    ///
    /// # Errors
    /// It cannot be written.
    fn give_up(&self, destination: &str, position: &Position, letter: &Letter, most: usize) -> Result<usize, Unavailable>;

    /// Letters, by destination and number; of one destination where one is given.
    ///
    /// # Errors
    /// They cannot be read, or the cursor is not one of this list's.
    fn letters(&self, destination: Option<&str>, page: &Page) -> Result<Listing<(LetterId, Letter)>, Unavailable>;

    /// A letter.
    ///
    /// # Errors
    /// It cannot be read.
    fn letter(&self, id: &LetterId) -> Result<Option<Letter>, Unavailable>;

    /// Writes over a letter, or takes it away; one that is not there any more stays away. Whether it was there.
    ///
    /// # Errors
    /// It cannot be written.
    fn change_letter(&self, id: &LetterId, letter: Option<&Letter>) -> Result<bool, Unavailable>;
}

/// How a destination fares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DestinationStatus {
    /// Its name.
    pub name: String,
    /// `webhook`, `slack`, `email` or `set`.
    pub kind: &'static str,
    /// Where it stands.
    pub state: DestinationState,
    /// Everything up to this record was delivered, or given up.
    pub after: u64,
    /// How many records come after it.
    pub lag: u64,
    /// How often what is next was tried in vain, and since when.
    pub attempts: u32,
    /// When that was first.
    pub failing_since: Option<Timestamp>,
    /// When it is tried again.
    pub next_attempt: Option<Timestamp>,
    /// What came of the last attempt that failed since the server was started, and when.
    pub last_error: Option<(Timestamp, String)>,
    /// When something was last delivered since the server was started.
    pub last_delivered: Option<Timestamp>,
    /// How many letters wait there.
    pub dead_letters: u64,
    /// What was counted since the server was started.
    pub counts: DestinationCounts,
}

/// What is counted of a destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DestinationCounts {
    /// Messages that were taken.
    pub delivered: u64,
    /// Attempts in vain.
    pub failed: u64,
    /// Messages that were given up.
    pub given_up: u64,
    /// Letters that went because there were too many.
    pub dropped: u64,
    /// Messages that were not made, because one requester's requests had made too many.
    pub held_back: u64,
}

/// Where a destination stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DestinationState {
    /// Everything there is was delivered.
    Idle,
    /// It is being told.
    Sending,
    /// The last attempt failed; it is tried again.
    Failing,
    /// It does not work: what is stored cannot be read or written.
    Stopped,
}

impl DestinationState {
    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Sending => "sending",
            Self::Failing => "failing",
            Self::Stopped => "stopped",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_letter_is_known_by_its_destination_and_number() {
        let rows = [
            ("ops.7", Some(("ops", 7))),
            ("a-b_c.0", Some(("a-b_c", 0))),
            ("ops", None),
            ("ops.", None),
            (".7", None),
            ("ops.+7", None),
            ("ops.7.", None),
            ("ops.99999999999999999999", None),
        ];
        for (text, expected) in rows {
            let read = LetterId::parse(text);
            assert_eq!(read.as_ref().map(|id| (id.destination.as_str(), id.number)), expected, "{text}");
            assert!(read.is_none_or(|id| id.to_string() == text), "{text}");
        }
    }
}
