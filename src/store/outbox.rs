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
        let mut numbers = self.letters.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let label = || Label(destination.to_owned());
        let at = At::pinned(&self.db);
        let known = LETTERS.scan(&at, Span::beginning(&label()), Order::Up)?;
        let known: Vec<u64> = known.map(|row| row.map(|((_, Seq(number)), _)| number)).collect::<Result<_, _>>()?;
        let mut batch = WriteBatch::default();
        let too_many = known.len().saturating_add(1).saturating_sub(most.max(1));
        for number in known.iter().take(too_many) {
            LETTERS.delete(&self.db, &mut batch, &(label(), Seq(*number)))?;
        }
        // One that was taken away gives its number to no other: numbers rise, and they follow what letters are about, so that they do over a start
        // too, but for letters of one record between which one was taken away and the server started.
        let last = known.last().copied().max(numbers.get(destination).copied());
        let number = last.map_or(0, |last| last.saturating_add(1)).max(position.after.saturating_mul(1 << 16));
        LETTERS.put(&self.db, &mut batch, &(label(), Seq(number)), letter)?;
        POSITIONS.put(&self.db, &mut batch, &label(), position)?;
        self.write_beside(batch)?;
        numbers.insert(destination.to_owned(), number);
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
        let mut numbers = self.letters.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if LETTERS.get(&self.at(), &key(id))?.is_none() {
            return Ok(false);
        }
        let mut batch = WriteBatch::default();
        match letter {
            Some(letter) => LETTERS.put(&self.db, &mut batch, &key(id), letter)?,
            None => LETTERS.delete(&self.db, &mut batch, &key(id))?,
        }
        self.write_beside(batch)?;
        let highest = numbers.entry(id.destination.clone()).or_default();
        *highest = (*highest).max(id.number);
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Timestamp;
    use crate::engine::outbox::Matter;
    use crate::store::{Mode, Opened};

    #[test]
    fn a_letter_that_was_taken_away_gives_its_number_to_no_other() {
        let dir = tempfile::tempdir().unwrap();
        let Opened { store, .. } = Store::open(dir.path(), Mode::Normal).unwrap();
        let at = Timestamp::from_millis(1);
        let letter = |event| Letter {
            matter: Matter::Event { seq: 7, event, person: None },
            kind: "activation_started".to_owned(),
            at,
            given_up: at,
            attempts: 1,
            error: String::new(),
            again: false,
        };
        let numbers =
            || -> Vec<u64> { store.letters(None, &Page::first(10)).unwrap().items.into_iter().map(|(id, _)| id.number).collect() };
        let mut given: Vec<u64> = Vec::new();
        // of the same record, and each taken away before the next one comes
        for event in 0..3 {
            assert_eq!(store.give_up("ops", &Position::after(7, at), &letter(event), 10).unwrap(), 0);
            let [number] = numbers()[..] else { panic!("{:?}", numbers()) };
            assert!(given.iter().all(|before| *before < number), "{given:?} {number}");
            given.push(number);
            assert!(store.change_letter(&LetterId { destination: "ops".to_owned(), number }, None).unwrap());
        }
        store.give_up("other", &Position::after(7, at), &letter(0), 10).unwrap();
        assert_eq!(numbers(), given[..1], "each destination has numbers of its own");
    }
}
