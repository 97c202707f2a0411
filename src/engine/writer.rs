//! The one writer: takes commands off the queue, decides as many as wait, commits them at once, publishes the view that shows them,
//! and answers last. Whoever is told that a command is done can read what it did, here and after a power cut.
//!
//! After a commit that failed nothing can be relied on, so the writer stops and says so: every later command is refused, checks go on
//! over what was published last. A sync that failed is not tried again.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use tokio::sync::{mpsc, oneshot};

use crate::domain::{Actor, Command, Envelope, Outcome, Rejection, Unavailable};
use crate::policy::Bundle;

use super::answer::{BundleFailure, SubmitError};
use super::bounds::{BATCH, CONFLICTS};
use super::group::{Answer, Decided, Group, Live, Proposal};
use super::observe::CommandResult;
use super::ports::{Batch, Committed, Head, Journal};
use super::refusals::Refusals;
use super::shared::Shared;
use super::view::View;

/// A command on its way.
pub(super) struct Job {
    pub(super) envelope: Envelope,
    pub(super) proposal: Option<Proposal>,
    pub(super) reply: oneshot::Sender<Answer>,
}

impl Job {
    /// A command and where its answer comes out.
    pub(super) fn new(envelope: Envelope, proposal: Option<Proposal>) -> (Self, oneshot::Receiver<Answer>) {
        let (reply, answer) = oneshot::channel();
        (Self { envelope, proposal, reply }, answer)
    }
}

/// What stands in the queue.
pub(super) enum Message {
    /// A command.
    Job(Box<Job>),
    /// Time went on: journal the refusals of minutes that are over.
    Tick,
    /// Finish what stands before this, and end.
    Stop,
}

/// The writer goes on with what waits, or has stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub(super) enum Flow {
    GoOn,
    Stop,
}

pub(super) struct Writer {
    journal: Box<dyn Journal>,
    shared: Arc<Shared>,
    live: Live,
    refusals: Refusals,
    waiting: VecDeque<Job>,
}

impl Writer {
    pub(super) fn new(journal: Box<dyn Journal>, shared: Arc<Shared>, live: Live) -> Self {
        Self { journal, shared, live, refusals: Refusals::default(), waiting: VecDeque::new() }
    }

    /// Runs until it is told to stop, or cannot go on.
    pub(super) fn run(mut self, mut queue: mpsc::Receiver<Message>) {
        // declared last, dropped first: whoever finds the queue gone finds the reason there already
        let _last_word = LastWord(Arc::clone(&self.shared));
        let mut stop = false;
        while !stop {
            let Some(message) = queue.blocking_recv() else { break };
            stop = self.take(message);
            while self.waiting.len() < BATCH || stop {
                let Ok(message) = queue.try_recv() else { break };
                stop |= self.take(message);
            }
            self.flush_refusals(stop);
            if self.work_off() == Flow::Stop {
                return;
            }
        }
    }

    /// Whether it was the last message.
    fn take(&mut self, message: Message) -> bool {
        match message {
            Message::Job(job) => self.waiting.push_back(*job),
            Message::Tick => {}
            Message::Stop => return true,
        }
        false
    }

    /// Does one command at once, before the writer runs on its own.
    pub(super) fn do_now(&mut self, job: Job) -> Flow {
        self.waiting.push_back(job);
        self.work_off()
    }

    fn work_off(&mut self) -> Flow {
        while !self.waiting.is_empty() {
            if self.group() == Flow::Stop {
                return Flow::Stop;
            }
        }
        Flow::GoOn
    }

    /// Puts the refusals of minutes that are over in front of what waits.
    fn flush_refusals(&mut self, all: bool) {
        let moment = self.shared.moment();
        if self.refusals.is_empty() || !moment.trusted {
            return;
        }
        for (caller, rule, count) in self.refusals.close(moment.now, all) {
            let command = Command::CoalesceRefusals { rule: rule.to_owned(), count };
            match self.shared.command_id() {
                Ok(id) => {
                    let envelope = Envelope { id, actor: Actor::Caller(caller), idempotency: None, dry_run: false, command };
                    self.waiting.push_front(Job::new(envelope, None).0);
                }
                Err(error) => tracing::warn!(%error, rule, count, "refusals could not be journaled"),
            }
        }
        self.shared.refusals_wait.store(!self.refusals.is_empty(), Ordering::Relaxed);
    }

    /// Decides and commits one group of what waits.
    fn group(&mut self) -> Flow {
        for _ in 0..CONFLICTS {
            let head = self.journal.head();
            let group = Group::new(self.journal.tables(), self.live.clone(), self.shared.moment(), &head, &self.refusals);
            let commands = self.waiting.iter().take(BATCH).map(|job| (&job.envelope, job.proposal.as_ref()));
            let decided = match group.decide(commands) {
                Ok(decided) => decided,
                Err(unavailable) => return self.abort(&unavailable, head.seq),
            };
            match self.commit(&head, decided) {
                Step::Answered => return Flow::GoOn,
                Step::Again => {}
                Step::Lost(lost) => return self.give_up(&lost),
            }
        }
        self.give_up(&Lost::NotDone(format!("the journal changed under {CONFLICTS} attempts to write to it")))
    }

    fn commit(&mut self, head: &Head, decided: Decided) -> Step {
        let Decided { records, fresh, changes, bundles, live, seq, noted, answers } = decided;
        if !records.is_empty() {
            let view = self.shared.view.load();
            let next = match view.after(seq, &changes, &live.bundle, live.since, &*self.shared.reader) {
                Ok(next) => next,
                Err(error) => {
                    let error = Rejection::from(error);
                    let refused = answers.iter().map(|_| Err(SubmitError::Rejected { rejection: error.clone(), seq: head.seq })).collect();
                    self.answer(refused);
                    return Step::Answered;
                }
            };
            let number = records.len();
            let batch = Batch { records, changes, bundles, mark: self.shared.judge.mark() };
            let began = Instant::now();
            match self.journal.commit(head, batch) {
                Committed::Done(_) => {}
                Committed::Conflict(_) => {
                    return match self.catch_up() {
                        Ok(()) => Step::Again,
                        Err(why) => Step::Lost(Lost::NotDone(why)),
                    };
                }
                Committed::Failed(why) => return Step::Lost(Lost::NotDone(why)),
                Committed::Unknown(why) => return Step::Lost(Lost::Unknown(why, answers.len())),
            }
            let took = began.elapsed();
            self.shared.fresh.put(fresh);
            self.shared.publish(next);
            self.shared.observer.commit(took, number);
        }
        self.live = live;
        self.refusals.absorb(noted);
        self.shared.refusals_wait.store(!self.refusals.is_empty(), Ordering::Relaxed);
        self.answer(answers);
        Step::Answered
    }

    /// Takes over what somebody else appended to the journal.
    fn catch_up(&mut self) -> Result<(), String> {
        let head = self.journal.head();
        let reader = Arc::clone(&self.shared.reader);
        if let Some(revision) = head.revision.filter(|revision| revision != self.live.bundle.revision()) {
            let archive = reader.bundle(&revision).map_err(|error| error.to_string())?;
            let archive = archive.ok_or_else(|| format!("the live bundle {revision} is not stored"))?;
            let bundle = Bundle::from_archive(&archive).map_err(|error| error.to_string())?;
            let since = reader.live_since().map_err(|error| error.to_string())?.unwrap_or(head.at);
            self.live = Live::new(Arc::new(bundle), since);
        }
        let view = View::load(&*reader, Arc::clone(&self.live.bundle), self.live.since).map_err(|error| error.to_string())?;
        self.shared.publish(view);
        Ok(())
    }

    /// Tells the first of those that wait what became of them.
    fn answer(&mut self, answers: Vec<Answer>) {
        for answer in answers {
            let Some(job) = self.waiting.pop_front() else { return };
            self.shared.observer.command(job.envelope.command.name(), result_of(&answer));
            if job.proposal.is_some() {
                self.note_proposal(&answer);
            }
            // a caller that went away hears nothing; what it asked for is done all the same
            let _ = job.reply.send(answer);
        }
    }

    fn note_proposal(&self, answer: &Answer) {
        let failure = answer.as_ref().err().map(|error| BundleFailure { message: error.to_string(), at: self.shared.clock.now() });
        self.shared.observer.swap(failure.is_none());
        self.shared.bundle_error.store(failure.map(Arc::new));
    }

    /// Nothing of the group can be relied on, and nothing was written.
    fn abort(&mut self, unavailable: &Unavailable, seq: u64) -> Flow {
        let group = self.waiting.len().min(BATCH);
        let rejection = Rejection::from(unavailable.clone());
        self.answer((0..group).map(|_| Err(SubmitError::Rejected { rejection: rejection.clone(), seq })).collect());
        Flow::GoOn
    }

    /// Answers everybody who waits with why nothing can be relied on any more.
    fn give_up(&mut self, lost: &Lost) -> Flow {
        let (Lost::NotDone(why) | Lost::Unknown(why, _)) = lost;
        self.shared.poison(why);
        let answer = |place| match lost {
            Lost::Unknown(why, group) if place < *group => Err(SubmitError::Unknown(why.clone())),
            Lost::Unknown(why, _) | Lost::NotDone(why) => Err(SubmitError::Poisoned(why.clone())),
        };
        self.answer((0..self.waiting.len()).map(answer).collect());
        Flow::Stop
    }
}

/// What became of an attempt to commit.
enum Step {
    Answered,
    Again,
    Lost(Lost),
}

/// Why the writer cannot go on.
enum Lost {
    /// It is not known to be done, and what follows is not done.
    NotDone(String),
    /// No answer came for the group that was committed: why, and how many commands it has.
    Unknown(String, usize),
}

fn result_of(answer: &Answer) -> CommandResult {
    match answer {
        Ok(reply) if reply.repeated => CommandResult::Repeated,
        Ok(reply) if reply.preview.is_some() => CommandResult::Unchanged,
        Ok(reply) => match reply.outcome {
            Outcome::Unchanged | Outcome::ActivationExists(_) => CommandResult::Unchanged,
            Outcome::ActivationCreated(_)
            | Outcome::ActivationChanged(_)
            | Outcome::AllRevoked(_)
            | Outcome::GrantRequestCreated(_)
            | Outcome::GrantRequestChanged(_)
            | Outcome::ClockAccepted
            | Outcome::EligibilityCreated(_)
            | Outcome::EligibilityRemoved(_)
            | Outcome::AssignmentCreated(_)
            | Outcome::AssignmentRemoved(_)
            | Outcome::EntityCreated(_)
            | Outcome::EntityChanged(_)
            | Outcome::EntityDeleted(_)
            | Outcome::BundleActivated(_)
            | Outcome::ReviewsDefined(_)
            | Outcome::ReviewsChanged(_)
            | Outcome::ReviewOpened(_)
            | Outcome::ReviewChanged(_)
            | Outcome::AlertChanged(_)
            | Outcome::Settled => CommandResult::Done,
        },
        Err(SubmitError::Rejected { rejection, .. }) => CommandResult::Refused(rejection.rule()),
        Err(SubmitError::Busy) => CommandResult::Busy,
        Err(SubmitError::Poisoned(_) | SubmitError::Unknown(_)) => CommandResult::Failed,
    }
}

/// Sees to it that the writer does not end in silence: if it is not because it was told to, later commands hear why.
struct LastWord(Arc<Shared>);

impl Drop for LastWord {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.poison("the writer met a fault of its own; see the log");
        } else {
            self.0.close();
        }
    }
}
