//! The journal of a folder that no server holds, record by record, for whoever wants to see for themselves that it holds together.

use std::ops::ControlFlow;
use std::path::Path;

use super::family::{JOURNAL, Order, Span};
use super::key::Seq;
use super::open::{OpenError, Purpose, open};
use super::value::Raw;

/// Hands over the records of a data folder from a number on, in order, each with the number that it is kept under, until somebody has enough:
/// then what they said. Nothing that is stored changes. The folder must not be in use.
///
/// # Errors
/// The folder cannot be opened or read, or its last record is not the one that it says it is.
pub fn read_journal<B>(dir: &Path, from: u64, mut take: impl FnMut(u64, &[u8]) -> ControlFlow<B>) -> Result<Option<B>, OpenError> {
    let store = open(dir, Purpose::Inspect)?;
    let unreadable = |unavailable: crate::domain::Unavailable| OpenError::Unreadable { dir: dir.to_owned(), why: unavailable.0 };
    let at = store.at();
    for row in JOURNAL.scan(&at, Span::all().starting(&Seq(from)), Order::Up).map_err(unreadable)? {
        let (Seq(seq), Raw(bytes)) = row.map_err(unreadable)?;
        if let ControlFlow::Break(said) = take(seq, &bytes) {
            return Ok(Some(said));
        }
    }
    Ok(None)
}
