//! What one destination is told, in the order of the journal, at least once. A worker has a position, a thread of its own, and nothing in common with
//! other destinations: one that hangs holds up nobody else, and the writer knows nothing of any.
//!
//! Lost: one queue for all destinations, which is as fast as the slowest; and a queue in memory, which is lost with the process.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::bell::Bell;
use super::destination::{Destination, Made, Ready};
use super::digest::{Digest, DigestSettings, Digests};
use super::hearing::{Heard, heard};
use super::later::{Due, Later};
use super::message::{Message, message};
use super::post::{Failure, MAX_RETRY_AFTER};
use super::storm::{Held, Storm};
use crate::domain::text::Digest as Hash;
use crate::domain::{Record, Timestamp, Uid, Unavailable};
use crate::engine::Engine;
use crate::engine::outbox::{DestinationCounts, DestinationState, Letter, LetterId, Matter, Outbox, Position};
use crate::engine::ports::{AuditFilter, Page};

/// Records that are read at once.
const RECORDS: usize = 64;
/// Events that are passed over before a worker looks whether it is to stop, and notes where it is.
const EVENTS: usize = 256;
/// How long a worker sleeps at most, where nothing wakes it.
const IDLE: Duration = Duration::from_secs(30);
/// The same, where a digest may become due.
const IDLE_WITH_DIGEST: Duration = Duration::from_secs(1);
/// How long it waits where what is stored cannot be read.
const UNREADABLE: Duration = Duration::from_secs(30);
/// How often a message is tried where its recipient alone is what fails: others wait behind it.
const OF_ONE_RECIPIENT: u32 = 3;
/// Letters that are looked at together.
const LETTERS: usize = 100;

/// How a destination fares, for those who ask.
#[derive(Debug, Clone)]
pub(super) struct Fares {
    pub(super) state: DestinationState,
    pub(super) position: Position,
    pub(super) next_attempt: Option<Timestamp>,
    pub(super) last_error: Option<(Timestamp, String)>,
    pub(super) last_delivered: Option<Timestamp>,
    pub(super) counts: DestinationCounts,
}

/// A worker's view of how it fares, shared with those who ask.
pub(super) type Shown = Arc<Mutex<Fares>>;

pub(super) fn locked(shown: &Mutex<Fares>) -> MutexGuard<'_, Fares> {
    shown.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Tells one destination.
pub(super) struct Worker {
    pub(super) engine: Arc<Engine>,
    pub(super) outbox: Arc<dyn Outbox>,
    pub(super) destination: Arc<Destination>,
    pub(super) digest: Option<DigestSettings>,
    /// What all destinations are told once a week.
    pub(super) digests: Arc<Digests>,
    pub(super) bell: Arc<Bell>,
    pub(super) shown: Shown,
    pub(super) position: Position,
    /// Records that were read and not yet told.
    pub(super) waiting: VecDeque<(Record, Hash)>,
    /// Letters that are tried again by themselves.
    pub(super) later: Later,
    /// Who made people hear how much.
    pub(super) storm: Storm,
    /// Who is told of the event that is next, once that is known.
    pub(super) planned: Option<Planned>,
    /// Whether the position has moved since it was noted.
    pub(super) moved: bool,
}

/// What is told of an event, and to whom.
pub(super) struct Planned {
    seq: u64,
    event: u32,
    message: Message,
    told: Vec<Option<Uid>>,
}

/// What comes after a turn.
enum Turn {
    Again,
    Idle,
    Pause(Duration),
}

impl Worker {
    /// Works until it is told to stop.
    pub(super) fn run(mut self) {
        let mut first = true;
        while !self.bell.stopped() {
            let turn = match self.turn(std::mem::take(&mut first)) {
                Ok(turn) => turn,
                Err(unavailable) => {
                    tracing::error!(destination = self.destination.name(), %unavailable, "notifications stand still");
                    let mut shown = locked(&self.shown);
                    shown.state = DestinationState::Stopped;
                    shown.last_error = Some((self.engine.moment().now, unavailable.to_string()));
                    drop(shown);
                    Turn::Pause(UNREADABLE)
                }
            };
            if !matches!(turn, Turn::Again) {
                self.destination.rest();
            }
            match turn {
                Turn::Again => {}
                Turn::Idle => self.bell.wait(if self.digest.is_some() { IDLE_WITH_DIGEST } else { IDLE }),
                Turn::Pause(long) => self.sit_out(long),
            }
        }
        self.destination.rest();
        if let Err(unavailable) = self.note() {
            tracing::warn!(destination = self.destination.name(), %unavailable, "where notifications stand was not noted; some will be sent twice");
        }
    }

    /// Waits for so long before what is next is tried again. Letters of which somebody asks for that are tried meanwhile, and spend nothing of it.
    fn sit_out(&mut self, long: Duration) {
        let until = Instant::now() + long;
        loop {
            self.bell.pause(until.saturating_duration_since(Instant::now()));
            if self.bell.stopped() || !self.bell.take_again() {
                return;
            }
            if let Err(unavailable) = self.try_letters_again() {
                tracing::error!(destination = self.destination.name(), %unavailable, "letters cannot be tried again");
            }
        }
    }

    fn turn(&mut self, first: bool) -> Result<Turn, Unavailable> {
        if self.bell.take_again() || first || self.later.is_due(self.engine.moment().now) {
            self.try_letters_again()?;
        }
        for _ in 0..EVENTS {
            let due = self.digest_due();
            if !self.read_on()? {
                if let Some(until) = due {
                    return self.tell_digest(until);
                }
                self.note()?;
                self.show(DestinationState::Idle, None);
                return Ok(Turn::Idle);
            }
            let at = self.waiting.front().map(|(record, _)| record.at);
            if let Some(until) = due.filter(|until| at.is_none_or(|at| at >= *until)) {
                return self.tell_digest(until);
            }
            if let Some(turn) = self.tell_next()? {
                return Ok(turn);
            }
        }
        self.note()?;
        Ok(Turn::Again)
    }

    /// Reads what comes next in the journal. Whether there is something.
    fn read_on(&mut self) -> Result<bool, Unavailable> {
        while self.waiting.is_empty() && !self.bell.stopped() {
            let found = self.engine.reader().journal(&AuditFilter::default(), &Page::after_seq(self.position.after, RECORDS))?;
            if found.items.is_empty() {
                break;
            }
            for sealed in found.items {
                match parsed(sealed.seq, &sealed.bytes) {
                    Ok(record) => self.waiting.push_back((record, sealed.hash)),
                    // those before it are told first
                    Err(_) if !self.waiting.is_empty() => break,
                    Err(unreadable) => self.pass_over(sealed.seq, &unreadable),
                }
            }
        }
        Ok(!self.waiting.is_empty())
    }

    /// Goes on after a record that cannot be read: nobody can be told of it, and everybody of what came after it, the alert about it among that.
    fn pass_over(&mut self, seq: u64, unreadable: &Unavailable) {
        let why = format!("{unreadable}; nobody is told of it");
        tracing::error!(destination = self.destination.name(), seq, why, "THE JOURNAL DOES NOT HOLD TOGETHER: a record is passed over");
        locked(&self.shown).last_error = Some((self.engine.moment().now, why));
        self.position = Position { after: seq, events: 0, told: None, ..self.position.clone() };
        self.moved = true;
    }

    /// Tells what is next, or passes over it. What comes after, where something was sent or tried.
    fn tell_next(&mut self) -> Result<Option<Turn>, Unavailable> {
        let Some((record, hash)) = self.waiting.front() else { return Ok(None) };
        if usize::try_from(self.position.events).is_ok_and(|told| told >= record.events.len()) {
            let seq = record.seq;
            self.position = Position { after: seq, events: 0, told: None, ..self.position.clone() };
            self.waiting.pop_front();
            self.moved = true;
            return Ok(None);
        }
        let (seq, event) = (record.seq, self.position.events);
        let planned = match self.planned.take().filter(|planned| (planned.seq, planned.event) == (seq, event)) {
            Some(planned) => planned,
            None => {
                let mut planned = self.plan((record, hash), event)?;
                if self.destination.is_read_by_people() && !planned.told.is_empty() {
                    hold_back(&mut self.storm, &mut planned, self.destination.name(), &self.shown);
                }
                planned
            }
        };
        let next = planned.told.iter().find(|told| match (told, &self.position.told) {
            (Some(person), Some(last)) => person > last,
            (Some(_) | None, _) => true,
        });
        let Some(person) = next.cloned() else {
            self.pass(None);
            return Ok(None);
        };
        let made = self.engine.records(|facts, moment| {
            self.destination.ready((facts, moment, &**self.engine.reader()), record, &planned.message, person.as_ref())
        })?;
        let matter = Matter::Event { seq, event, person: person.clone() };
        let (kind, at) = (planned.message.kind.clone(), planned.message.at);
        self.planned = Some(planned);
        match made {
            Made::Ready(ready) => self.send(&ready, matter, &kind, at).map(Some),
            Made::Nobody => {
                self.pass(person);
                Ok(None)
            }
            Made::Lost(why) => {
                let now = self.engine.moment().now;
                self.give_up(matter, &kind, at, now, why)?;
                Ok(Some(Turn::Again))
            }
        }
    }

    /// Who is told what of an event.
    fn plan(&self, (record, hash): (&Record, &Hash), event: u32) -> Result<Planned, Unavailable> {
        let destination = &self.destination;
        let planned = self.engine.records(|facts, _| {
            let Some(message) = message(facts, (record, hash), event, destination.texts())? else { return Ok(None) };
            let heard = if destination.asks_who_hears() { heard(facts, record, &message)? } else { Heard::default() };
            let told = destination.told(facts, record, &message, &heard)?;
            Ok(Some((message, told, heard.cut)))
        })?;
        let (message, told, cut) = planned.ok_or_else(|| Unavailable(format!("record {} has no event {event}", record.seq)))?;
        if cut {
            tracing::warn!(
                destination = destination.name(),
                seq = record.seq,
                kind = message.kind,
                "too many were to be told; some are not"
            );
        }
        Ok(Planned { seq: record.seq, event, message, told })
    }

    /// Goes on after one who was told, or after an event.
    fn pass(&mut self, person: Option<Uid>) {
        if person.is_none() {
            self.position.events = self.position.events.saturating_add(1);
            self.planned = None;
        }
        self.position.told = person;
        self.position.attempts = 0;
        self.position.failing_since = None;
        self.moved = true;
    }

    /// The position after what was about to be sent.
    fn pass_matter(&mut self, matter: &Matter) {
        match matter {
            Matter::Event { person, .. } => self.pass(person.clone()),
            Matter::Digest { until } => {
                self.position.digest = *until;
                self.position.attempts = 0;
                self.position.failing_since = None;
                self.moved = true;
            }
        }
    }

    fn send(&mut self, ready: &Ready, matter: Matter, kind: &str, at: Timestamp) -> Result<Turn, Unavailable> {
        let now = self.engine.moment().now;
        self.show(DestinationState::Sending, None);
        let sent = self.destination.send(ready, now);
        let now = self.engine.moment().now;
        let Err(failure) = sent else {
            self.pass_matter(&matter);
            self.note()?;
            let mut shown = locked(&self.shown);
            shown.last_delivered = Some(now);
            shown.counts.delivered = shown.counts.delivered.saturating_add(1);
            return Ok(Turn::Again);
        };
        self.position.attempts = self.position.attempts.saturating_add(1);
        let since = *self.position.failing_since.get_or_insert(now);
        self.failed(now, &failure);
        let settings = &self.destination.settings;
        let most = if failure.of_the_recipient { settings.max_attempts.min(OF_ONE_RECIPIENT) } else { settings.max_attempts };
        let over = self.position.attempts >= most || now.since(since) >= settings.give_up_after;
        if failure.permanent || over {
            if failure.of_the_recipient && !failure.permanent && self.later.put(&matter, 0, now) {
                tracing::info!(destination = self.destination.name(), "a mailbox takes nothing for now; the letter is tried again later");
            }
            self.give_up(matter, kind, at, now, failure.why)?;
            return Ok(Turn::Again);
        }
        let pause = self.pause(&failure);
        self.moved = true;
        self.note()?;
        let millis = i64::try_from(pause.as_millis()).unwrap_or(i64::MAX);
        self.show(DestinationState::Failing, Some(Timestamp::from_millis(now.millis().saturating_add(millis))));
        Ok(Turn::Pause(pause))
    }

    fn failed(&self, now: Timestamp, failure: &Failure) {
        let name = self.destination.name();
        tracing::warn!(destination = name, attempts = self.position.attempts, why = failure.why, "a notification was not taken");
        let mut shown = locked(&self.shown);
        shown.last_error = Some((now, failure.why.clone()));
        shown.counts.failed = shown.counts.failed.saturating_add(1);
    }

    /// Puts what could not be delivered away, and goes on.
    fn give_up(&mut self, matter: Matter, kind: &str, at: Timestamp, now: Timestamp, error: String) -> Result<(), Unavailable> {
        let attempts = self.position.attempts;
        self.pass_matter(&matter);
        let letter = Letter { matter, kind: kind.to_owned(), at, given_up: now, attempts, error, again: false };
        let name = self.destination.name();
        let dropped = self.outbox.give_up(name, &self.position, &letter, self.destination.settings.dead_letters)?;
        self.moved = false;
        tracing::error!(
            destination = name,
            kind,
            attempts,
            error = letter.error,
            "a notification was given up; `elevon notifications dead` lists it"
        );
        if dropped > 0 {
            tracing::error!(destination = name, dropped, "too many notifications were given up; the oldest of them are forgotten");
        }
        let mut shown = locked(&self.shown);
        shown.position = self.position.clone();
        shown.counts.given_up = shown.counts.given_up.saturating_add(1);
        shown.counts.dropped = shown.counts.dropped.saturating_add(dropped as u64);
        Ok(())
    }

    /// How long to wait after a failure: twice as long each time, within bounds, somewhere in its second half so that those who failed together
    /// do not come back together; and never sooner than the receiver asks for.
    fn pause(&self, failure: &Failure) -> Duration {
        let settings = &self.destination.settings;
        let secs = |duration: crate::domain::Duration| Duration::from_secs(duration.secs());
        let doublings = self.position.attempts.saturating_sub(1).min(20);
        let whole = secs(settings.first_pause).saturating_mul(1 << doublings).min(secs(settings.longest_pause));
        let mut bytes = [0_u8; 4];
        // without randomness they come back together, which is bad luck and no fault
        let _ = getrandom::fill(&mut bytes);
        let share = f64::from(u32::from_be_bytes(bytes)) / f64::from(u32::MAX);
        let pause = whole.mul_f64(0.5 + share / 2.0);
        pause.max(failure.retry_after.unwrap_or_default().min(MAX_RETRY_AFTER))
    }

    /// Notes where it is, where that is not noted yet.
    fn note(&mut self) -> Result<(), Unavailable> {
        if std::mem::take(&mut self.moved) {
            self.outbox.save_position(self.destination.name(), &self.position)?;
        }
        locked(&self.shown).position = self.position.clone();
        Ok(())
    }

    fn show(&self, state: DestinationState, next_attempt: Option<Timestamp>) {
        let mut shown = locked(&self.shown);
        shown.state = state;
        shown.next_attempt = next_attempt;
        shown.position = self.position.clone();
    }

    // ---- digests -----------------------------------------------------------------------------------------------------------------

    /// The time of a digest that was not made yet.
    fn digest_due(&self) -> Option<Timestamp> {
        let moment = self.engine.moment();
        let last = self.digest.as_ref().filter(|_| moment.trusted)?.last(moment.now)?;
        (last > self.position.digest).then_some(last)
    }

    fn tell_digest(&mut self, until: Timestamp) -> Result<Turn, Unavailable> {
        let digest = self.digest_of(until)?;
        let matter = Matter::Digest { until };
        match self.destination.ready_digest(&digest) {
            Some(ready) => self.send(&ready, matter, "digest", until),
            None => {
                self.pass_matter(&matter);
                Ok(Turn::Again)
            }
        }
    }

    fn digest_of(&self, until: Timestamp) -> Result<Arc<Digest>, Unavailable> {
        self.digests.of(until, || Digest::read(&**self.engine.reader(), until, self.engine.moment().now))
    }

    // ---- letters -----------------------------------------------------------------------------------------------------------------

    /// Tries each letter once of which somebody asked for that, or which is due by itself.
    fn try_letters_again(&mut self) -> Result<(), Unavailable> {
        let due = self.later.take(self.engine.moment().now);
        let is_due = |letter: &Letter| due.iter().find(|due| due.matter == letter.matter);
        let mut page = Page::first(LETTERS);
        loop {
            let found = self.outbox.letters(Some(self.destination.name()), &page)?;
            for (id, letter) in found.items {
                let due = is_due(&letter);
                if self.bell.stopped() {
                    return Ok(());
                }
                if letter.again || due.is_some() {
                    self.try_letter(&id, letter, due)?;
                }
            }
            match found.next {
                Some(next) => page.after = Some(next),
                None => return Ok(()),
            }
        }
    }

    fn try_letter(&mut self, id: &LetterId, letter: Letter, due: Option<&Due>) -> Result<(), Unavailable> {
        let now = self.engine.moment().now;
        let sent = match self.ready_again(&letter.matter)? {
            Made::Ready(ready) => self.destination.send(&ready, now),
            Made::Lost(why) => Err(Failure::permanent(why)),
            Made::Nobody => {
                tracing::info!(destination = self.destination.name(), %id, "nobody is to be told of this any more; the letter is taken away");
                return self.outbox.change_letter(id, None).map(drop);
            }
        };
        match sent {
            Ok(()) => {
                self.outbox.change_letter(id, None)?;
                let mut shown = locked(&self.shown);
                shown.last_delivered = Some(now);
                shown.counts.delivered = shown.counts.delivered.saturating_add(1);
            }
            Err(failure) => {
                let letter = Letter { again: false, attempts: letter.attempts.saturating_add(1), error: failure.why.clone(), ..letter };
                self.outbox.change_letter(id, Some(&letter))?;
                if let Some(due) = due.filter(|_| !failure.permanent) {
                    self.later.put_off(due, now);
                }
                self.failed(now, &failure);
            }
        }
        Ok(())
    }

    fn ready_again(&self, matter: &Matter) -> Result<Made, Unavailable> {
        let (seq, event, person) = match matter {
            Matter::Digest { until } => {
                return Ok(self.destination.ready_digest(&*self.digest_of(*until)?).map_or(Made::Nobody, Made::Ready));
            }
            Matter::Event { seq, event, person } => (*seq, *event, person),
        };
        let found = self.engine.reader().journal(&AuditFilter::default(), &Page::after_seq(seq.saturating_sub(1), 1))?;
        let Some(sealed) = found.items.first().filter(|sealed| sealed.seq == seq) else { return Ok(Made::Nobody) };
        let Ok(record) = parsed(seq, &sealed.bytes) else { return Ok(Made::Nobody) };
        self.engine.records(|facts, moment| {
            let Some(message) = message(facts, (&record, &sealed.hash), event, self.destination.texts())? else { return Ok(Made::Nobody) };
            self.destination.ready((facts, moment, &**self.engine.reader()), &record, &message, person.as_ref())
        })
    }
}

/// Tells nobody, where one requester has made people hear too much.
fn hold_back(storm: &mut Storm, planned: &mut Planned, destination: &str, shown: &Shown) {
    let held = storm.take(&planned.message);
    if held == Held::No {
        return;
    }
    let count = std::mem::take(&mut planned.told).len();
    let mut shown = locked(shown);
    shown.counts.held_back = shown.counts.held_back.saturating_add(count as u64);
    drop(shown);
    if held == Held::First
        && let Some(requester) = &planned.message.actor
    {
        tracing::warn!(destination, %requester, "too much is told of what one person asks for; the rest of this hour is held back");
    }
}

fn parsed(seq: u64, bytes: &[u8]) -> Result<Record, Unavailable> {
    serde_json::from_slice(bytes).map_err(|error| Unavailable(format!("record {seq} cannot be read: {error}")))
}
