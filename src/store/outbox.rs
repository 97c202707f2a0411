//! Positions of destinations, and letters that could not be delivered. Written beside commits and not synced: see [`crate::engine::outbox`].

use rocksdb::WriteBatch;

use super::Store;
use super::family::{At, LETTERS, Order, POSITIONS, Span};
use super::key::{Label, Seq};
use super::list::gather;
use crate::domain::Unavailable;
use crate::engine::outbox::{Letter, LetterId, Outbox, Position};
use crate::engine::ports::{Listing, Page};

fn key(id: &LetterId) -> (Label, Seq) {
    (Label(id.destination.clone()), Seq(id.number))
}

impl Store {
    fn write_beside(&self, batch: WriteBatch) -> Result<(), Unavailable> {
        if let Some(why) = self.failed.get() {
            return Err(Unavailable(why.clone()));
        }
        self.db.write(batch).map_err(|error| Unavailable(format!("what is kept for notifications cannot be written: {error}")))
    }
}

impl Outbox for Store {
    fn position(&self, destination: &str) -> Result<Option<Position>, Unavailable> {
        POSITIONS.get(&self.at(), &Label(destination.to_owned()))
    }

    fn save_position(&self, destination: &str, position: &Position) -> Result<(), Unavailable> {
        let mut batch = WriteBatch::default();
        POSITIONS.put(&self.db, &mut batch, &Label(destination.to_owned()), position)?;
        self.write_beside(batch)
    }

    fn give_up(&self, destination: &str, position: &Position, letter: &Letter, most: usize) -> Result<usize, Unavailable> {
        let _turn = self.letters.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let label = || Label(destination.to_owned());
        let at = At::pinned(&self.db);
        let known = LETTERS.scan(&at, Span::beginning(&label()), Order::Up)?;
        let known: Vec<u64> = known.map(|row| row.map(|((_, Seq(number)), _)| number)).collect::<Result<_, _>>()?;
        let mut batch = WriteBatch::default();
        let too_many = known.len().saturating_add(1).saturating_sub(most.max(1));
        for number in known.iter().take(too_many) {
            LETTERS.delete(&self.db, &mut batch, &(label(), Seq(*number)))?;
        }
        // numbered by what it is about, so that a letter that was taken away gives its number to no other
        let number = known.last().map_or(0, |last| last.saturating_add(1)).max(position.after.saturating_mul(1 << 16));
        LETTERS.put(&self.db, &mut batch, &(label(), Seq(number)), letter)?;
        POSITIONS.put(&self.db, &mut batch, &label(), position)?;
        self.write_beside(batch)?;
        Ok(too_many)
    }

    fn letters(&self, destination: Option<&str>, page: &Page) -> Result<Listing<(LetterId, Letter)>, Unavailable> {
        let mut span = destination.map_or_else(Span::all, |name| Span::beginning(&Label(name.to_owned())));
        if let Some(after) = LetterId::of_cursor(page)? {
            span = span.after(&key(&after));
        }
        let at = At::pinned(&self.db);
        let id = |(Label(name), Seq(number)): &(Label, Seq)| LetterId { destination: name.clone(), number: *number };
        gather(LETTERS.scan(&at, span, Order::Up)?, page, |key| id(key).to_string(), |_| 0, |key, letter| Ok(Some((id(key), letter))))
    }

    fn letter(&self, id: &LetterId) -> Result<Option<Letter>, Unavailable> {
        LETTERS.get(&self.at(), &key(id))
    }

    fn change_letter(&self, id: &LetterId, letter: Option<&Letter>) -> Result<bool, Unavailable> {
        let _turn = self.letters.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if LETTERS.get(&self.at(), &key(id))?.is_none() {
            return Ok(false);
        }
        let mut batch = WriteBatch::default();
        match letter {
            Some(letter) => LETTERS.put(&self.db, &mut batch, &key(id), letter)?,
            None => LETTERS.delete(&self.db, &mut batch, &key(id))?,
        }
        self.write_beside(batch)?;
        Ok(true)
    }
}
