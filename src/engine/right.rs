//! A caller's right to ask, kept: whoever asks a thousand questions over one connection is asked once whether it may.
//!
//! What is kept is one permission and all that it rests on: the caller as its credential says, the bundle and what the view has in memory,
//! each row that was read beside, and until when time alone changes nothing. It counts as long as all of that is the same, which is looked at
//! every time; a denial is never kept. Whoever holds it (a connection does) may throw it away at any moment.

use crate::domain::facts::{Action, Object, Question, Refusal, Rows as _};
use crate::domain::{Actor, Caller, Timestamp, Uid, Unavailable};

use super::Engine;
use super::view::{Ground, View, changed};

/// A permission for one of Elevon's own actions, and what it rests on.
#[derive(Debug)]
pub struct Right {
    caller: Caller,
    action: Action,
    about: About,
    ground: Ground,
    /// As of which sequence the rows are those that were read.
    seq: u64,
    /// Rows that were read beside what the view has in memory, and when each changed last; nothing, where that is not all that was read.
    rows: Option<Vec<(Uid, u64)>>,
    /// When time alone may change it.
    until: Option<Timestamp>,
}

/// What it is about, as far as that makes a difference.
#[derive(Debug, PartialEq)]
enum About {
    /// Subjects of a type, whoever they are.
    Kind(String),
    /// This very object.
    Object(Object),
}

impl About {
    fn is(&self, object: &Object) -> bool {
        match (self, object) {
            (Self::Kind(kind), Object::Subject(uid)) => kind == uid.kind(),
            (Self::Object(same), object) => same == object,
            (Self::Kind(_), _) => false,
        }
    }
}

impl Engine {
    /// Whether the policies permit something of Elevon's own, as [`Engine::permits`] says; asked anew only where what is kept does not say so.
    ///
    /// # Errors
    /// They do not, or the facts could not be read.
    pub fn permits_kept(&self, question: &Question, kept: &mut Option<Right>) -> Result<(), Refusal> {
        let Actor::Caller(caller) = &question.actor else { return self.permits(question) };
        if let Some(right) = kept
            && right.caller == *caller
            && right.action == question.action
            && right.about.is(&question.object)
            && self.still_counts(right)?
        {
            return Ok(());
        }
        *kept = None;
        let read = self.shared.read(|facts, view, moment| {
            let verdict = view.bundle.ask(facts, &Question { now: moment.now, ..question.clone() }, moment)?;
            if !verdict.allowed {
                return Ok(Err(Refusal::Denied(verdict.policies)));
            }
            let about = if let Object::Subject(uid) = &question.object
                && !view.bundle.looks_at_beneficiary(question.action)
            {
                About::Kind(uid.kind().to_owned())
            } else {
                About::Object(question.object.clone())
            };
            let right = Right {
                caller: caller.clone(),
                action: question.action,
                about,
                ground: view.ground().clone(),
                seq: view.seq,
                rows: facts.read_rows(),
                until: verdict.valid_until,
            };
            Ok(Ok(moment.trusted.then_some(right)))
        });
        *kept = read.map_err(|unread| Refusal::Unavailable(unread.into()))??;
        Ok(())
    }

    /// Whether everything is as it was that a right rests on.
    fn still_counts(&self, right: &mut Right) -> Result<bool, Refusal> {
        let view = self.shared.view.load();
        let moment = self.shared.moment();
        let in_time = moment.trusted && right.until.is_none_or(|until| moment.now < until);
        if !in_time || right.ground != *view.ground() {
            return Ok(false);
        }
        if right.seq == view.seq {
            return Ok(true);
        }
        let same = self.same_rows(right, &view).map_err(Refusal::Unavailable)?;
        if same {
            right.seq = view.seq;
        }
        Ok(same)
    }

    fn same_rows(&self, right: &Right, view: &View) -> Result<bool, Unavailable> {
        let Some(rows) = &right.rows else { return Ok(false) };
        let pinned = view.pin(&**self.reader());
        for (uid, at) in rows {
            match pinned.row(uid) {
                Ok(row) if changed(row.as_ref()) == *at => {}
                // a row that is newer than the view is another one, and whoever asks anew waits for the newer view
                Ok(_) => return Ok(false),
                Err(_) if pinned.is_stale() => return Ok(false),
                Err(unavailable) => return Err(unavailable),
            }
        }
        Ok(true)
    }
}
