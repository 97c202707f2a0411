//! Carries out what was decided. It cannot refuse: replaying the journal meets no business errors.

use super::event::Record;
use super::facts::Unavailable;
use super::overlay::Overlay;

/// Applies a record to what stands. An event about something that is not there changes nothing.
///
/// # Errors
/// The store below cannot be read.
pub fn apply(state: &mut Overlay<'_>, record: &Record) -> Result<(), Unavailable> {
    let _ = (state, record);
    Ok(())
}
