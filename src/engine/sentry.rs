//! Runs the detectors of alerts beside everything else: a thread that looks at records as they are committed ([`super::fresh`], and the journal for
//! what came before or found no place there), lets time go on, and has recorded what was found.
//!
//! It is in nobody's way. Commands do not wait for it, and it takes its time after each look, so that of many commands one look sees all. What it
//! found is recorded by commands of Elevon itself, like what timers do; what it knows is saved now and then, with the place in the journal that it
//! follows from, so that after a crash it goes on from there and finds the same again, which changes nothing.
//!
//! Lost: detectors that the writer calls, which every command would wait for.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use crate::domain::alert::IncidentStatus;
use crate::domain::decide::MAX_NOTED;
use crate::domain::detect::{Detectors, Observed};
use crate::domain::standing::Moment;
use crate::domain::text::Digest;
use crate::domain::{Actor, Command, Definitions, Envelope, Event, Overlay, Record, Rejection, Revision, Timestamp, Unavailable};
use crate::policy::Bundle;

use super::answer::SubmitError;
use super::bounds::{
    DETECTION_SAVED_EVERY, DETECTION_SHARE, SENTRY_BREATH, SENTRY_PATIENCE, SENTRY_RECORDS, SENTRY_SAID_AGAIN, TIMER_SLEEP,
};
use super::clock::Reading;
use super::fresh::Fresh;
use super::ports::{AuditFilter, IncidentFilter, Page, Sealed};
use super::shared::{Detected, Shared};
use super::writer::{Job, Message};

/// Since when the clock is not believed.
struct Distrusted {
    /// The last record before.
    seq: u64,
    /// For how long the machine had been running, in milliseconds.
    since: i64,
    /// How far the clock led at most, in milliseconds.
    lead: i64,
}

pub(super) struct Sentry {
    shared: Arc<Shared>,
    queue: mpsc::Sender<Message>,
    detectors: Detectors,
    /// What the bundle defines by whose rules things are looked at.
    definitions: Arc<Definitions>,
    /// The hash of the last record, where that is known.
    tip: Option<Digest>,
    distrusted: Option<Distrusted>,
    /// Whether a record says that the clock is to be believed, and it is not yet: what became of it is told by that record.
    accepted: bool,
    /// Since when the first of what is to be recorded is refused.
    refused: Option<Instant>,
    /// Since when something is left out for that.
    left_out: Option<Instant>,
    /// Whether the log says that more is not kept in mind.
    full_told: bool,
    /// The record up to which it was saved, when, and how long that took.
    saved: (u64, Instant, Duration),
}

impl Sentry {
    /// A thread to be.
    pub(super) fn new(shared: Arc<Shared>, queue: mpsc::Sender<Message>) -> Self {
        let definitions = Arc::clone(shared.view.load().bundle.definitions());
        let saved = (0, Instant::now(), Duration::ZERO);
        Self {
            shared,
            queue,
            detectors: Detectors::default(),
            definitions,
            tip: None,
            distrusted: None,
            accepted: false,
            refused: None,
            left_out: None,
            full_told: false,
            saved,
        }
    }

    /// Runs until the engine stops. What cannot be read is tried again, from what was saved last.
    pub(super) fn run(mut self) {
        let mut known = false;
        while !self.over() {
            let done = if known { self.round() } else { self.begin() };
            match done {
                Ok(()) => known = true,
                Err(error) => {
                    known = false;
                    tracing::warn!(%error, "alerts could not be looked for; it is tried again");
                    self.shared.sentry_bell.wait(TIMER_SLEEP);
                    continue;
                }
            }
            if !self.over() {
                std::thread::sleep(SENTRY_BREATH);
                self.shared.sentry_bell.wait(self.rest());
            }
        }
        if known {
            self.save();
        }
    }

    fn over(&self) -> bool {
        self.shared.stopping() || self.shared.poisoned().is_some()
    }

    /// How long nothing has to be looked at, unless a record comes.
    fn rest(&self) -> Duration {
        let moment = self.shared.moment();
        if !moment.trusted {
            return TIMER_SLEEP;
        }
        let now = moment.now;
        let until = |due: Timestamp| u64::try_from(due.millis().saturating_sub(now.millis()).max(1)).unwrap_or(1);
        self.detectors.next_due().map_or(TIMER_SLEEP, |due| TIMER_SLEEP.min(Duration::from_millis(until(due))))
    }

    // ---- what happened -----------------------------------------------------------------------------------------------------------

    /// Takes up what was saved, looks at what came since, and holds what is recorded against what is so.
    fn begin(&mut self) -> Result<(), Unavailable> {
        let head = self.shared.reader.head().seq;
        let kept = self.shared.reader.detection()?.filter(|kept| kept.seq() <= head);
        self.detectors = kept.unwrap_or_else(|| {
            let mut first = Detectors::default();
            first.learn();
            first
        });
        // what comes next has to belong to the last one that was looked at
        let before = self.detectors.seq().checked_sub(1);
        let last = before.map(|before| self.shared.reader.journal(&AuditFilter::default(), &Page::after_seq(before, 1))).transpose()?;
        self.tip = last.and_then(|found| found.items.first().map(|sealed| sealed.hash));
        self.saved.0 = self.detectors.seq();
        self.definitions = match self.detectors.revision().cloned() {
            Some(revision) => self.definitions_of(&revision)?,
            None => Arc::new(Definitions::none(Revision::new("none").map_err(|bad| Unavailable(bad.to_string()))?)),
        };
        self.catch_up()?;
        if self.over() {
            // what was not looked at yet is looked at after the next start, and in the same way
            return Ok(());
        }
        if self.detectors.is_learning() {
            // what time has ended since the last record is over, too
            let (shared, moment) = (Arc::clone(&self.shared), self.shared.moment());
            if moment.trusted {
                self.detectors.advance(&Overlay::new(&*shared.reader, Arc::clone(&self.definitions)), moment.now)?;
            }
            self.detectors.learned();
        }
        self.hold_against_recorded()?;
        self.save();
        self.round()
    }

    /// Holds what is recorded against what is so, and says all of that again.
    fn hold_against_recorded(&mut self) -> Result<(), Unavailable> {
        let shared = Arc::clone(&self.shared);
        let facts = Overlay::new(&*shared.reader, Arc::clone(&self.definitions));
        for status in [IncidentStatus::Open, IncidentStatus::Dismissed] {
            let filter = IncidentFilter { status: Some(status), ..IncidentFilter::default() };
            let mut page = Page::first(super::ports::MAX_PAGE);
            loop {
                let found = shared.reader.incidents(&filter, &page)?;
                found.items.iter().for_each(|incident| self.detectors.align(&facts, incident));
                match found.next {
                    Some(next) => page.after = Some(next),
                    None => break,
                }
            }
        }
        self.detectors.say_again();
        Ok(())
    }

    /// Looks at what came, lets time go on, and has recorded what was found.
    fn round(&mut self) -> Result<(), Unavailable> {
        let moment = self.shared.moment();
        // before the clock: a record that says it is to be believed tells what became of it
        self.catch_up()?;
        self.watch_clock(moment);
        self.watch_bounds();
        if self.left_out.is_some_and(|since| since.elapsed() >= SENTRY_SAID_AGAIN) {
            self.left_out = None;
            self.hold_against_recorded()?;
        }
        if moment.trusted {
            let shared = Arc::clone(&self.shared);
            self.detectors.advance(&Overlay::new(&*shared.reader, Arc::clone(&self.definitions)), moment.now)?;
        }
        self.submit()?;
        if self.detectors.changes().is_empty() {
            self.shared.detected.store(Arc::new(Detected { seq: self.detectors.seq(), now: self.detectors.now() }));
        }
        self.save_in_time();
        Ok(())
    }

    fn catch_up(&mut self) -> Result<(), Unavailable> {
        let shared = Arc::clone(&self.shared);
        for Fresh { record, hash, .. } in shared.fresh.take() {
            // what found no place there comes before
            self.read_on(record.seq.saturating_sub(1))?;
            if record.seq == self.detectors.seq().saturating_add(1) && !self.over() {
                self.look_at(&record, hash)?;
            }
        }
        self.read_on(self.shared.reader.head().seq)
    }

    /// Reads the journal up to a record.
    fn read_on(&mut self, last: u64) -> Result<(), Unavailable> {
        while self.detectors.seq() < last && !self.over() {
            let page = Page::after_seq(self.detectors.seq(), SENTRY_RECORDS);
            let found = self.shared.reader.journal(&AuditFilter::default(), &page)?;
            if found.items.is_empty() {
                break;
            }
            for sealed in &found.items {
                self.read(sealed)?;
            }
            self.save_in_time();
        }
        Ok(())
    }

    fn read(&mut self, sealed: &Sealed) -> Result<(), Unavailable> {
        let Ok(record) = serde_json::from_slice::<Record>(&sealed.bytes) else {
            tracing::error!(seq = sealed.seq, "THE JOURNAL DOES NOT HOLD TOGETHER: this record cannot be read");
            let shared = Arc::clone(&self.shared);
            let facts = Overlay::new(&*shared.reader, Arc::clone(&self.definitions));
            self.detectors.pass_over(sealed.seq);
            self.detectors.observe(&facts, sealed.at.max(self.detectors.now()), &Observed::JournalBroken { seq: sealed.seq });
            return Ok(());
        };
        self.look_at(&record, sealed.hash)
    }

    fn look_at(&mut self, record: &Record, hash: Digest) -> Result<(), Unavailable> {
        let shared = Arc::clone(&self.shared);
        let belongs = self.tip.is_none_or(|tip| tip == record.prev);
        self.tip = Some(hash);
        self.detectors.advance(&Overlay::new(&*shared.reader, Arc::clone(&self.definitions)), record.at)?;
        for event in &record.events {
            if let Event::BundleActivated { revision, .. } = event {
                self.definitions = self.definitions_of(revision)?;
            }
            if matches!(event, Event::ClockAccepted {}) {
                // the record itself says what became of it
                self.accepted |= self.distrusted.take().is_some();
            }
        }
        let facts = Overlay::new(&*shared.reader, Arc::clone(&self.definitions));
        self.detectors.feed(&facts, record)?;
        if !belongs {
            tracing::error!(seq = record.seq, "THE JOURNAL DOES NOT HOLD TOGETHER: this record does not belong to the one before it");
            self.detectors.observe(&facts, record.at, &Observed::JournalBroken { seq: record.seq });
        }
        Ok(())
    }

    /// What a bundle defines that is live, or was.
    fn definitions_of(&self, revision: &Revision) -> Result<Arc<Definitions>, Unavailable> {
        let view = self.shared.view.load();
        if view.bundle.revision() == revision {
            return Ok(Arc::clone(view.bundle.definitions()));
        }
        let archive = self.shared.reader.bundle(revision)?;
        let read = archive.map(|archive| Bundle::from_archive(&archive));
        Ok(match read {
            Some(Ok(bundle)) => Arc::clone(bundle.definitions()),
            // one that this version does not take was live once: what came then is looked at by the rules of now
            Some(Err(_)) | None => Arc::clone(view.bundle.definitions()),
        })
    }

    /// While the clock is not believed nothing is recorded. Afterwards it is, that it was not. `before` is what the clock said before the
    /// journal was read.
    fn watch_clock(&mut self, before: Moment) {
        let reading = Reading::of(&*self.shared.clock);
        let (lead, running) = (self.shared.judge.lead(reading), self.shared.clock.running());
        if before.trusted {
            self.accepted = false;
            let Some(distrusted) = self.distrusted.take() else { return };
            let seconds = |millis: i64| u64::try_from(millis.max(0)).unwrap_or(0) / 1000;
            let shared = Arc::clone(&self.shared);
            let seen = Observed::ClockDistrusted {
                seq: distrusted.seq,
                seconds: seconds(running.saturating_sub(distrusted.since)),
                lead: seconds(distrusted.lead),
            };
            self.detectors.observe(&Overlay::new(&*shared.reader, Arc::clone(&self.definitions)), reading.wall, &seen);
        } else if !self.accepted && !self.shared.moment().trusted {
            let seq = self.detectors.seq();
            let distrusted = self.distrusted.get_or_insert(Distrusted { seq, since: running, lead });
            distrusted.lead = distrusted.lead.max(lead);
        }
    }

    /// Says once that as much is known as is kept in mind, and says it again when there was room meanwhile.
    fn watch_bounds(&mut self) {
        let full = self.detectors.is_full();
        if full && !self.full_told {
            tracing::warn!("so much is known of principals for alerts that nobody new is looked at; see docs/alerts.md");
        }
        self.full_told = full;
    }

    // ---- what is said of it ------------------------------------------------------------------------------------------------------

    /// Has recorded what was found. What cannot be recorded now is tried again later.
    fn submit(&mut self) -> Result<(), Unavailable> {
        let mut most = MAX_NOTED;
        while !self.detectors.changes().is_empty() && !self.over() {
            let changes: Vec<_> = self.detectors.changes().iter().take(most).cloned().collect();
            let number = changes.len();
            let command = Command::NoteAlerts { changes };
            let envelope = Envelope { id: self.shared.command_id()?, actor: Actor::System, idempotency: None, dry_run: false, command };
            let (job, answer) = Job::new(envelope, None);
            if self.queue.try_send(Message::Job(Box::new(job))).is_err() {
                return Ok(());
            }
            match answer.blocking_recv() {
                Ok(Ok(_)) => {
                    self.detectors.recorded(number);
                    most = MAX_NOTED;
                    self.refused = None;
                }
                Ok(Err(SubmitError::Rejected { rejection: Rejection::TimeUntrusted, .. })) => return Ok(()),
                Ok(Err(SubmitError::Rejected { rejection, .. })) if number == 1 => {
                    if self.refused.is_none() {
                        tracing::warn!(%rejection, "an alert could not be recorded");
                    }
                    let since = *self.refused.get_or_insert_with(Instant::now);
                    if rejection.is_transient() && since.elapsed() < SENTRY_PATIENCE {
                        return Ok(());
                    }
                    tracing::error!(%rejection, "an alert cannot be recorded; others go first, and it is tried again later");
                    self.detectors.recorded(1);
                    self.refused = None;
                    self.left_out.get_or_insert_with(Instant::now);
                }
                Ok(Err(SubmitError::Rejected { .. })) => most = 1,
                Ok(Err(SubmitError::Busy | SubmitError::Poisoned(_) | SubmitError::Unknown(_))) | Err(_) => return Ok(()),
            }
        }
        Ok(())
    }

    /// Saves what is known, where something came and that is not saved too often.
    fn save_in_time(&mut self) {
        let (seq, at, took) = self.saved;
        if self.detectors.seq() != seq && at.elapsed() >= DETECTION_SAVED_EVERY.max(took.saturating_mul(DETECTION_SHARE)) {
            self.save();
        }
    }

    fn save(&mut self) {
        let began = Instant::now();
        if let Err(error) = self.shared.reader.save_detection(&self.detectors) {
            tracing::warn!(%error, "what is known for alerts could not be saved");
        }
        self.saved = (self.detectors.seq(), Instant::now(), began.elapsed());
    }
}
