//! What the live bundle hides: entities that were stored and that the bundle defines, too. What the bundle says counts; what was stored is there
//! again when the bundle no longer claims the name.

use crate::domain::{Uid, Unavailable};

use super::Engine;

/// Stored entities that the live bundle hides.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Shadowed {
    /// How many there are.
    pub count: usize,
    /// The first of them, in order.
    pub entities: Vec<Uid>,
}

impl Engine {
    /// The stored entities that the live bundle hides at the moment: all are counted, and at most so many are named. It reads the row of every
    /// entity of the bundle.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn shadowed(&self, named: usize) -> Result<Shadowed, Unavailable> {
        let view = self.view();
        let mut hidden = Vec::new();
        for uid in view.bundle.definitions().entities.keys() {
            if self.reader().row(uid)?.is_some_and(|row| row.stored.is_some()) {
                hidden.push(uid.clone());
            }
        }
        hidden.sort();
        let count = hidden.len();
        hidden.truncate(named);
        Ok(Shadowed { count, entities: hidden })
    }
}
