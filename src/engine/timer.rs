//! Records what time has done. Nothing waits for it: checks compare windows with the clock, and what is recorded here they knew.
//!
//! A late timer therefore costs nothing but a late entry in the journal. It submits ordinary commands, which change nothing when what
//! they are about was recorded already, so that it may run twice and may be killed at any point.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot};

use crate::domain::command::Due;
use crate::domain::standing::Moment;
use crate::domain::{Actor, Command, Envelope, Outcome, Rejection, Timestamp, Unavailable};

use super::answer::SubmitError;
use super::bounds::{ASKED, CLOCK_WORD, DUE, MARK_EVERY, MAX_LEAD, STEPS, STUCK, STUCK_RETRY, TIMER_BREATH, TIMER_SLEEP};
use super::clock::Reading;
use super::group::Answer;
use super::ports::{Anchor, ClockAnswer, ClockAsked};
use super::shared::Shared;
use super::writer::{Job, Message};

/// What is due, and where the answers come out.
type Asked = (Due, Vec<oneshot::Receiver<Answer>>);

pub(super) struct Timer {
    shared: Arc<Shared>,
    queue: mpsc::Sender<Message>,
    settles: bool,
    saved: Option<(Timestamp, Anchor)>,
    saved_at: Instant,
    /// What could not be recorded, and since when: it is tried again later.
    stuck: HashMap<Due, Instant>,
    /// Whether the log says that the clock has jumped.
    jump_told: bool,
}

impl Timer {
    /// A timer thread to be; whether it settles what is due, or only looks after the mark and the refusals.
    pub(super) fn new(shared: Arc<Shared>, queue: mpsc::Sender<Message>, settles: bool) -> Self {
        Self { shared, queue, settles, saved: None, saved_at: Instant::now(), stuck: HashMap::new(), jump_told: false }
    }

    /// Runs until the engine stops.
    pub(super) fn run(mut self) {
        while !self.shared.stopping() && self.shared.poisoned().is_none() {
            self.watch_clock();
            self.look_at_desk();
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
            self.save_uses();
            if !sleep.is_zero() {
                // Looking for what is due next passes over all that is no longer due: once for many commands, and not for each.
                std::thread::sleep(sleep.min(TIMER_BREATH));
                self.shared.bell.wait(sleep);
            }
        }
        self.save_mark();
        self.save_uses();
    }

    fn save_uses(&self) {
        if let Err(error) = self.shared.uses.save(&*self.shared.reader) {
            tracing::warn!(%error, "which roles were of use could not be noted");
        }
    }

    /// Settles what is due. How long to sleep until something may be due again.
    fn settle(&mut self) -> Result<Duration, Unavailable> {
        // the mark rises with time even where nobody asks anything
        let moment = self.shared.moment();
        if !self.settles || !moment.trusted {
            return Ok(TIMER_SLEEP);
        }
        let reader = &self.shared.reader;
        self.stuck.retain(|_, since| since.elapsed() < STUCK_RETRY);
        // what could not be recorded stays at the head of the list, and what comes after it has its turn all the same
        let due = reader.due(moment.now, DUE + self.stuck.len())?;
        let due: Vec<_> = due.into_iter().filter(|due| !self.stuck.contains_key(due)).take(DUE).collect();
        if due.is_empty() {
            return Ok(if self.stuck.is_empty() { until(reader.next_due()?, moment) } else { TIMER_SLEEP });
        }
        let answers = self.ask_all(due)?;
        let mut moved = false;
        for (due, answers) in answers {
            let mut answers = answers.into_iter().map(|answer| answer.blocking_recv().ok());
            let first = answers.next().flatten();
            // Of the steps that were asked for beside the first, those past the last one found nothing to do.
            answers.for_each(drop);
            moved |= self.settled(due, first);
        }
        // where nothing could be recorded, trying again at once would not help
        Ok(if moved { Duration::ZERO } else { TIMER_SLEEP })
    }

    /// Asks for what is due to be recorded, in its order and as far as there is room: half of the queue is left to those who call.
    fn ask_all(&self, due: Vec<Due>) -> Result<Vec<Asked>, Unavailable> {
        let mut answers = Vec::with_capacity(due.len());
        let mut room = ASKED;
        for due in due {
            let asked = self.ask(&due, room)?;
            if asked.is_empty() {
                break;
            }
            room = room.saturating_sub(asked.len());
            answers.push((due, asked));
        }
        Ok(answers)
    }

    /// Asks for it once, or for as many steps of a review as go at a time, but not more often than there is room. Never, where the queue is full.
    fn ask(&self, due: &Due, room: usize) -> Result<Vec<oneshot::Receiver<Answer>>, Unavailable> {
        let times = if matches!(due, Due::ReviewStep(_)) { STEPS } else { 1 }.min(room);
        let mut asked = Vec::with_capacity(times);
        for _ in 0..times {
            let command = Command::Settle(due.clone());
            let envelope = Envelope { id: self.shared.command_id()?, actor: Actor::System, idempotency: None, dry_run: false, command };
            let (job, answer) = Job::new(envelope, None);
            if self.queue.try_send(Message::Job(Box::new(job))).is_err() {
                break;
            }
            asked.push(answer);
        }
        Ok(asked)
    }

    /// Notes what became of one that was due. Whether others may have their turn for it.
    fn settled(&mut self, due: Due, answer: Option<Answer>) -> bool {
        match answer {
            Some(Ok(reply)) if reply.outcome == Outcome::Settled => return true,
            // somebody else was first, and it is no longer due; or it is, and never becomes anything
            Some(Ok(_)) => {}
            Some(Err(error @ SubmitError::Rejected { .. })) => {
                tracing::warn!(%error, ?due, "what is due could not be recorded");
                if matches!(error, SubmitError::Rejected { rejection: Rejection::TimeUntrusted, .. }) {
                    return false;
                }
            }
            Some(Err(error @ (SubmitError::Busy | SubmitError::Poisoned(_) | SubmitError::Unknown(_)))) => {
                tracing::warn!(%error, ?due, "what is due could not be recorded");
                return false;
            }
            None => return false,
        }
        let room = self.stuck.len() < STUCK;
        if room {
            self.stuck.insert(due, Instant::now());
        }
        room
    }

    /// Says once of each jump that the clock made, and once that it is over.
    fn watch_clock(&mut self) {
        let reading = Reading::exact(&*self.shared.clock);
        let lead = self.shared.judge.lead(reading);
        let leads = self.shared.judge.leads(reading);
        if leads && !self.jump_told {
            let expected = Timestamp::from_millis(reading.wall.millis().saturating_sub(lead));
            tracing::error!(
                now = %reading.wall, %expected, lead_seconds = lead / 1000,
                "THE CLOCK JUMPED AHEAD and is not believed: by the time that the machine has been running it should show {expected}, and it shows {}. \
                 What is bound to time does not count and commands are refused until it is set right, or until \
                 `elevon clock accept --data DIR`, on this machine, says that it is right; that ends every holding that is bound to time",
                reading.wall
            );
        } else if !leads && self.jump_told {
            tracing::warn!(now = %reading.wall, "the clock is believed again");
        }
        self.jump_told = leads;
    }

    /// Takes somebody's word that the clock is to be believed, where there is one.
    fn look_at_desk(&self) {
        let Some(desk) = &self.shared.clock_desk else { return };
        let answered = desk.asked().and_then(|asked| match asked {
            Some(asked) => desk.answer(&asked, &self.accept(&asked)?),
            None => Ok(()),
        });
        if let Err(error) = answered {
            tracing::warn!(%error, "a word about the clock could not be taken");
        }
    }

    /// The record comes first: whoever sees the clock believed sees that what was bound to time is over.
    fn accept(&self, asked: &ClockAsked) -> Result<ClockAnswer, Unavailable> {
        let judge = &self.shared.judge;
        let reading = Reading::exact(&*self.shared.clock);
        let now = reading.wall;
        if !judge.leads(reading) {
            return Ok(if now < judge.mark() {
                ClockAnswer::Refused(format!("the clock shows {now}, which is before {}, a time already seen; set it right", judge.mark()))
            } else {
                ClockAnswer::Believed { now }
            });
        }
        if now.millis() < asked.wall.millis().saturating_sub(MAX_LEAD) || now > asked.wall.plus(CLOCK_WORD) {
            return Ok(ClockAnswer::Refused(format!(
                "the clock showed {} when it was accepted and shows {now} now; look at it, and accept it again",
                asked.wall
            )));
        }
        let envelope = Envelope {
            id: self.shared.command_id()?,
            actor: Actor::System,
            idempotency: None,
            dry_run: false,
            command: Command::AcceptClock,
        };
        let (job, answer) = Job::new(envelope, None);
        if self.queue.try_send(Message::Job(Box::new(job))).is_err() {
            return Err(Unavailable("too many commands wait".to_owned()));
        }
        match answer.blocking_recv() {
            Ok(Ok(reply)) => {
                judge.accept(reading);
                self.shared.reader.save_mark(judge.mark(), &judge.anchor())?;
                tracing::warn!(%now, seq = reply.seq, "the clock was accepted by somebody on this machine; what was bound to time is over");
                Ok(ClockAnswer::Accepted { now, seq: reply.seq })
            }
            Ok(Err(error)) => Ok(ClockAnswer::Refused(error.to_string())),
            Err(_) => Err(Unavailable("the writer has stopped".to_owned())),
        }
    }

    fn save_mark(&mut self) {
        let judge = &self.shared.judge;
        judge.follow(Reading::exact(&*self.shared.clock));
        let (mark, anchor) = (judge.mark(), judge.anchor());
        self.saved_at = Instant::now();
        if self.saved.as_ref().is_some_and(|(saved, at)| mark <= *saved && anchor == *at) {
            return;
        }
        match self.shared.reader.save_mark(mark, &anchor) {
            Ok(()) => self.saved = Some((mark, anchor)),
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
