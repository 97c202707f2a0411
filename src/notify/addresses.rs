//! The addresses by which receivers of security events know principals: the one that stands there now, or else the last one that is known.
//! A principal that is deleted has no address any more just when its sessions have to end. What was named before in this process is remembered,
//! within a bound; what was not is looked for in the journal, backwards, as an address that was stored stands there.
//!
//! Lost: the address as it stands when the token is made, which is none when it matters most.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use super::email::address_of;
use crate::domain::event::Event;
use crate::domain::standing;
use crate::domain::{Facts, Record, Uid, Unavailable};
use crate::engine::ports::{AuditFilter, MAX_EXAMINED, MAX_PAGE, Page, Reader};

/// Most principals whose addresses are remembered; past that all are forgotten, and found anew.
const MAX_REMEMBERED: usize = 10_000;
/// Most records that are looked at for one address.
const LOOK_BACK: usize = 20 * MAX_EXAMINED;

#[derive(Default)]
struct Known {
    of: BTreeMap<Uid, String>,
    at: BTreeMap<String, Uid>,
}

/// What is remembered of addresses, for one destination.
#[derive(Default)]
pub(super) struct Addresses(Mutex<Known>);

impl Addresses {
    /// The address of a principal as it stands now, or stood last before a record; nothing where none is known.
    ///
    /// # Errors
    /// The store cannot be read.
    pub(super) fn find(
        &self,
        facts: &dyn Facts,
        journal: &dyn Reader,
        seq: u64,
        uid: &Uid,
        attribute: &str,
    ) -> Result<Option<String>, Unavailable> {
        let stands = standing::definition(facts, uid)?.and_then(|definition| address_of(&definition, attribute));
        let found = match stands.or_else(|| self.remembered(uid)) {
            Some(address) => Some(address),
            None => stored_before(journal, seq, uid, attribute)?,
        };
        if let Some(address) = &found {
            self.remember(uid, address);
        }
        Ok(found)
    }

    fn remembered(&self, uid: &Uid) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).of.get(uid).cloned()
    }

    fn remember(&self, uid: &Uid, address: &str) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.of.get(uid).is_some_and(|last| last == address) {
            return;
        }
        if known.of.len() >= MAX_REMEMBERED || known.at.len() >= MAX_REMEMBERED {
            *known = Known::default();
        }
        known.of.insert(uid.clone(), address.to_owned());
        if let Some(other) = known.at.insert(address.to_owned(), uid.clone()).filter(|other| other != uid) {
            tracing::warn!(one = %other, other = %uid, "two principals have one address: a receiver of security events cannot tell them apart");
        }
    }
}

/// The last address that was stored of a principal, up to a record.
fn stored_before(journal: &dyn Reader, seq: u64, uid: &Uid, attribute: &str) -> Result<Option<String>, Unavailable> {
    let filter = AuditFilter { principal: Some(uid.clone()), kind: Some("entity_stored".to_owned()), ..AuditFilter::default() };
    let least = seq.saturating_sub(LOOK_BACK as u64);
    let mut end = seq;
    while end > least {
        let begin = end.saturating_sub(MAX_EXAMINED as u64).max(least);
        let (mut page, mut last) = (Page::after_seq(begin, MAX_PAGE), None);
        loop {
            let found = journal.journal(&filter, &page)?;
            for sealed in found.items.iter().filter(|sealed| sealed.seq <= end) {
                // one that cannot be read is said elsewhere, and holds no address
                let Ok(record) = serde_json::from_slice::<Record>(&sealed.bytes) else { continue };
                for event in &record.events {
                    if let Event::EntityStored { entity } = event
                        && entity.uid == *uid
                    {
                        last = address_of(entity, attribute).or(last);
                    }
                }
            }
            let goes_on = |next: &String| next.parse::<u64>().is_ok_and(|next| next < end);
            match found.next.filter(goes_on) {
                Some(next) => page.after = Some(next),
                None => break,
            }
        }
        if last.is_some() {
            return Ok(last);
        }
        end = begin;
    }
    Ok(None)
}
