//! Decides a group of commands that share one commit. Command n sees what commands 1 to n-1 did, and is asked of the bundle that is
//! live by then. Nothing here is kept when the commit fails: a conflict runs all of it again. A command that is only tried is decided in
//! its place, on the same facts, and leaves no trace.

use std::sync::Arc;

use crate::domain::event::{MAX_EVENTS, RECORD_VERSION, Remembered};
use crate::domain::standing::Moment;
use crate::domain::text::Digest;
use crate::domain::{
    Actor, Caller, Changes, Command, Decision, Definitions, Envelope, Event, Outcome, Overlay, Record, Rejection, Revision, Tables, Text,
    TextDigest, Timestamp, Unavailable, apply, decide,
};
use crate::policy::Bundle;

use super::answer::{Preview, Reply, SubmitError};
use super::bounds::{BATCH_BYTES, DETAIL_BYTES, RECORD_BYTES};
use super::fresh::Fresh;
use super::ports::{Head, Sealed};
use super::refusals::{Noted, Refusals};

/// What a command's caller is told.
pub(super) type Answer = Result<Reply, SubmitError>;

/// The bundle that commands are decided under.
#[derive(Clone)]
pub(super) struct Live {
    /// Its policies.
    pub(super) bundle: Arc<Bundle>,
    /// What it defines; nothing, while the first bundle is only about to go live.
    pub(super) definitions: Arc<Definitions>,
    /// Since when.
    pub(super) since: Timestamp,
}

impl Live {
    pub(super) fn new(bundle: Arc<Bundle>, since: Timestamp) -> Self {
        let definitions = Arc::clone(bundle.definitions());
        Self { bundle, definitions, since }
    }
}

/// A bundle that is to go live, and what is stored of it.
#[derive(Clone)]
pub(super) struct Proposal {
    pub(super) bundle: Arc<Bundle>,
    pub(super) archive: Vec<u8>,
}

/// A group as it was decided: what to commit, and what to say once that is done.
pub(super) struct Decided {
    pub(super) records: Vec<Sealed>,
    /// The same as they were made.
    pub(super) fresh: Vec<Fresh>,
    pub(super) changes: Changes,
    pub(super) bundles: Vec<(Revision, Vec<u8>)>,
    pub(super) live: Live,
    pub(super) seq: u64,
    pub(super) noted: Vec<Noted>,
    /// One for each command that was taken, in order.
    pub(super) answers: Vec<Answer>,
}

/// Why a record was not made.
enum Unsealed {
    /// This command cannot be recorded; nothing happened.
    Refused(Rejection),
    /// What was decided so far cannot be relied on.
    Abort(Unavailable),
}

pub(super) struct Group<'a> {
    overlay: Overlay<'a>,
    live: Live,
    moment: Moment,
    refusals: &'a Refusals,
    seq: u64,
    prev: Digest,
    bytes: usize,
    records: Vec<Sealed>,
    fresh: Vec<Fresh>,
    bundles: Vec<(Revision, Vec<u8>)>,
    noted: Vec<Noted>,
    answers: Vec<Answer>,
}

impl<'a> Group<'a> {
    pub(super) fn new(tables: &'a dyn Tables, live: Live, moment: Moment, head: &Head, refusals: &'a Refusals) -> Self {
        Self {
            overlay: Overlay::new(tables, Arc::clone(&live.definitions)),
            live,
            moment,
            refusals,
            seq: head.seq,
            prev: head.hash,
            bytes: 0,
            records: Vec::new(),
            fresh: Vec::new(),
            bundles: Vec::new(),
            noted: Vec::new(),
            answers: Vec::new(),
        }
    }

    /// Decides commands in order, until the group is large enough.
    ///
    /// # Errors
    /// A record could not be applied, so that what was decided on it cannot be relied on. Nothing may be committed.
    pub(super) fn decide<'j>(
        mut self,
        commands: impl Iterator<Item = (&'j Envelope, Option<&'j Proposal>)>,
    ) -> Result<Decided, Unavailable> {
        for (envelope, proposal) in commands {
            let answer = self.one(envelope, proposal)?;
            self.answers.push(answer);
            if self.bytes >= BATCH_BYTES {
                break;
            }
        }
        Ok(Decided {
            records: self.records,
            fresh: self.fresh,
            changes: self.overlay.changes,
            bundles: self.bundles,
            live: self.live,
            seq: self.seq,
            noted: self.noted,
            answers: self.answers,
        })
    }

    fn one(&mut self, envelope: &Envelope, proposal: Option<&Proposal>) -> Result<Answer, Unavailable> {
        if !self.moment.trusted && !matches!(envelope.command, Command::AcceptClock) {
            return Ok(self.rejected(Rejection::TimeUntrusted));
        }
        if envelope.dry_run {
            return self.rehearse(envelope);
        }
        match decide::remembered(&self.overlay, envelope, self.moment.now) {
            Ok(None) => {}
            Ok(Some(Ok(outcome))) => return Ok(Ok(Reply { outcome, seq: self.seq, repeated: true, preview: None })),
            Ok(Some(Err(rejection))) => return Ok(self.rejected(rejection)),
            // what the key stood for before is not overwritten
            Err(rejection) => return self.refuse(envelope, rejection, false),
        }
        match decide(&self.overlay, &*self.live.bundle, envelope, self.moment) {
            Ok(decision) => self.accept(envelope, decision, proposal),
            Err(rejection) => self.refuse(envelope, rejection, true),
        }
    }

    fn rejected(&self, rejection: Rejection) -> Answer {
        Err(SubmitError::Rejected { rejection, seq: self.seq })
    }

    fn accept(&mut self, envelope: &Envelope, decision: Decision, proposal: Option<&Proposal>) -> Result<Answer, Unavailable> {
        let Decision { events, outcome } = decision;
        if !events.is_empty() || envelope.idempotency.is_some() {
            match self.seal(envelope, events, Ok(outcome.clone())) {
                Ok(()) => {}
                Err(Unsealed::Refused(rejection)) => return Ok(self.rejected(rejection)),
                Err(Unsealed::Abort(unavailable)) => return Err(unavailable),
            }
        }
        if let (Outcome::BundleActivated(revision), Some(proposal)) = (&outcome, proposal) {
            self.live = Live::new(Arc::clone(&proposal.bundle), self.moment.now);
            self.overlay.switch(Arc::clone(&self.live.definitions));
            self.bundles.push((revision.clone(), proposal.archive.clone()));
        }
        Ok(Ok(Reply { outcome, seq: self.seq, repeated: false, preview: None }))
    }

    /// Decides a command and says what it would come to: what applying it would change is laid aside for whoever asked, and the next command
    /// sees nothing of it.
    fn rehearse(&self, envelope: &Envelope) -> Result<Answer, Unavailable> {
        let decided = decide(&self.overlay, &*self.live.bundle, envelope, self.moment);
        let drafted = decided.and_then(|Decision { events, outcome }| Ok((self.draft(envelope, events, None)?, outcome)));
        let ((record, bytes), outcome) = match drafted {
            Ok(drafted) => drafted,
            Err(rejection) => return Ok(self.rejected(rejection)),
        };
        let mut after = Overlay::new(&self.overlay, Arc::clone(&self.live.definitions));
        apply(&mut after, &record)?;
        after.changes.texts.extend(named_texts(envelope, &bytes));
        let preview = Some(Arc::new(Preview { changes: after.changes }));
        Ok(Ok(Reply { outcome, seq: self.seq, repeated: false, preview }))
    }

    /// Journals a refusal of an authenticated caller, or counts it. What says something about the moment only, and what Elevon asked
    /// of itself, leaves no trace.
    fn refuse(&mut self, envelope: &Envelope, rejection: Rejection, remember: bool) -> Result<Answer, Unavailable> {
        let Actor::Caller(caller) = &envelope.actor else { return Ok(self.rejected(rejection)) };
        if rejection.is_transient() {
            return Ok(self.rejected(rejection));
        }
        let noted = self.note(caller, &rejection);
        let mut events = Vec::new();
        if !matches!(noted, Some(Noted::Again { .. })) {
            let detail = Some(shortened(rejection.to_string()));
            events.push(Event::CommandRefused { rule: rejection.rule().to_owned(), count: 1, detail });
        }
        let kept = Envelope { idempotency: envelope.idempotency.clone().filter(|_| remember), ..envelope.clone() };
        if !events.is_empty() || kept.idempotency.is_some() {
            match self.seal(&kept, events, Err(rejection.clone())) {
                Ok(()) => {}
                Err(Unsealed::Refused(instead)) => return Ok(self.rejected(instead)),
                Err(Unsealed::Abort(unavailable)) => return Err(unavailable),
            }
        }
        self.noted.extend(noted);
        Ok(self.rejected(rejection))
    }

    fn note(&self, caller: &Caller, rejection: &Rejection) -> Option<Noted> {
        self.refusals.note(&self.noted, caller, rejection.rule(), self.moment.now)
    }

    /// Makes a command's record, chained to the one before.
    fn draft(&self, envelope: &Envelope, events: Vec<Event>, idempotency: Option<Remembered>) -> Result<(Record, Vec<u8>), Rejection> {
        let refused = Rejection::Unavailable;
        if events.len() > MAX_EVENTS {
            return Err(refused(format!("this would be {} events in one record, and {MAX_EVENTS} is the most", events.len())));
        }
        let record = Record {
            v: RECORD_VERSION,
            seq: self.seq.saturating_add(1),
            prev: self.prev,
            at: self.moment.now,
            actor: envelope.actor.clone(),
            revision: self.live.definitions.revision.clone(),
            command_id: envelope.id.clone(),
            command: envelope.command.name().to_owned(),
            events,
            idempotency,
        };
        let bytes = record.to_canonical().map_err(|why| refused(format!("its record cannot be written: {why}")))?;
        if bytes.len() > RECORD_BYTES {
            return Err(refused(format!("its record would be {} bytes long, and {RECORD_BYTES} is the most", bytes.len())));
        }
        Ok((record, bytes))
    }

    /// Makes a command's record and applies it to what the next command sees.
    fn seal(&mut self, envelope: &Envelope, events: Vec<Event>, result: Result<Outcome, Rejection>) -> Result<(), Unsealed> {
        let idempotency = envelope.idempotency.clone().map(|(key, body)| Remembered { key, body, result });
        let (record, bytes) = self.draft(envelope, events, idempotency).map_err(Unsealed::Refused)?;
        apply(&mut self.overlay, &record).map_err(Unsealed::Abort)?;
        self.overlay.changes.texts.extend(named_texts(envelope, &bytes));
        self.seq = record.seq;
        self.prev = Digest::of_bytes(&bytes);
        self.bytes = self.bytes.saturating_add(bytes.len());
        let fresh = Fresh { hash: self.prev, bytes: bytes.len(), record };
        self.records.push(Sealed { seq: fresh.record.seq, at: fresh.record.at, hash: self.prev, bytes });
        self.fresh.push(fresh);
        Ok(())
    }
}

/// The texts of a command that its record names by digest, and no others.
fn named_texts(envelope: &Envelope, record: &[u8]) -> Vec<(TextDigest, Text)> {
    let texts = envelope.command.texts().into_iter().map(|text| (text.digest(), text.clone()));
    let is_named = |(digest, _): &(TextDigest, Text)| {
        let name = digest.0.to_string();
        record.windows(name.len()).any(|part| part == name.as_bytes())
    };
    texts.filter(is_named).collect()
}

/// The first [`DETAIL_BYTES`] of a text.
fn shortened(mut text: String) -> String {
    if text.len() > DETAIL_BYTES {
        text.truncate(text.floor_char_boundary(DETAIL_BYTES));
        text.push('…');
    }
    text
}
