//! Records what time has done. Nothing waits for it: checks compare windows with the clock, and what is recorded here they knew.
//!
//! A late timer therefore costs nothing but a late entry in the journal. It submits ordinary commands, which change nothing when what
//! they are about was recorded already, so that it may run twice and may be killed at any point.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use crate::domain::standing::Moment;
use crate::domain::{Actor, Command, Envelope, Timestamp, Unavailable};

use super::bounds::{DUE, MARK_EVERY, TIMER_SLEEP};
use super::shared::Shared;
use super::writer::{Job, Message};

pub(super) struct Timer {
    shared: Arc<Shared>,
    queue: mpsc::Sender<Message>,
    settles: bool,
    saved: Timestamp,
    saved_at: Instant,
}

impl Timer {
    /// A timer thread to be; whether it settles what is due, or only looks after the mark and the refusals.
    pub(super) fn new(shared: Arc<Shared>, queue: mpsc::Sender<Message>, settles: bool) -> Self {
        let saved = shared.reader.mark();
        Self { shared, queue, settles, saved, saved_at: Instant::now() }
    }

    /// Runs until the engine stops.
    pub(super) fn run(mut self) {
        while !self.shared.stopping() && self.shared.poisoned().is_none() {
            let sleep = self.settle().unwrap_or_else(|error| {
                tracing::warn!(%error, "what is due could not be read");
                TIMER_SLEEP
            });
            if self.shared.refusals_wait.load(Ordering::Relaxed) {
                // a full queue needs no tick: the writer is awake
                let _ = self.queue.try_send(Message::Tick);
            }
            if self.saved_at.elapsed() >= MARK_EVERY {
                self.save_mark();
            }
            if !sleep.is_zero() {
                self.shared.bell.wait(sleep);
            }
        }
        self.save_mark();
    }

    /// Settles what is due. How long to sleep until something may be due again.
    fn settle(&self) -> Result<Duration, Unavailable> {
        // the mark rises with time even where nobody asks anything
        let moment = self.shared.moment();
        if !self.settles || !moment.trusted {
            return Ok(TIMER_SLEEP);
        }
        let reader = &self.shared.reader;
        let due = reader.due(moment.now, DUE)?;
        if due.is_empty() {
            return Ok(until(reader.next_due()?, moment));
        }
        let before = self.shared.view.load().seq;
        let mut answers = Vec::with_capacity(due.len());
        for due in due {
            let envelope = Envelope {
                id: self.shared.command_id()?,
                actor: Actor::System,
                idempotency: None,
                dry_run: false,
                command: Command::Settle(due),
            };
            let (job, answer) = Job::new(envelope, None);
            if self.queue.try_send(Message::Job(Box::new(job))).is_err() {
                break;
            }
            answers.push(answer);
        }
        for answer in answers {
            if let Ok(Err(error)) = answer.blocking_recv() {
                tracing::warn!(%error, "what is due could not be recorded");
            }
        }
        // where nothing could be recorded, trying again at once would not help
        Ok(if self.shared.view.load().seq > before { Duration::ZERO } else { TIMER_SLEEP })
    }

    fn save_mark(&mut self) {
        let mark = self.shared.mark.get();
        self.saved_at = Instant::now();
        if mark <= self.saved {
            return;
        }
        match self.shared.reader.save_mark(mark) {
            Ok(()) => self.saved = mark,
            Err(error) => tracing::warn!(%error, "the latest time seen could not be saved"),
        }
    }
}

/// How long to sleep until an instant, at most [`TIMER_SLEEP`].
fn until(next: Option<Timestamp>, moment: Moment) -> Duration {
    let Some(next) = next else { return TIMER_SLEEP };
    let millis = next.millis().saturating_sub(moment.now.millis()).max(1);
    TIMER_SLEEP.min(Duration::from_millis(u64::try_from(millis).unwrap_or(1)))
}
