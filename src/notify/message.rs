//! What is told of an event: made of the event and of the facts, by a pure function. Facts are read when the message is made, which may be some time
//! after the event; what can have changed by then (a window, a cause) is taken from the event, and what cannot (who asked, for whom) from the facts.

mod taking;

use serde_json::{Map, Value, json};

use super::guard::one_line;
use super::template::Values;
use crate::domain::alert::Severity;
use crate::domain::decide::voted_hash;
use crate::domain::grant::{Cause, GrantRef, GrantRequest, TicketDigest};
use crate::domain::notice::Notice;
use crate::domain::review::{Review, ReviewOf};
use crate::domain::text::Digest;
use crate::domain::{
    Activation, ActivationId, Actor, Assignment, Eligibility, Record, Records, RoleName, TextDigest, Timestamp, Uid, Unavailable, Window,
};

/// Letters of a hash that stand in an id.
const MARK: usize = 12;
/// The version of what webhooks are sent.
pub const PAYLOAD_VERSION: u32 = 1;

/// Whom an event is about, as far as somebody may have to hear of it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Parts {
    /// The role, where there is one.
    pub role: Option<RoleName>,
    /// Whom the role is for.
    pub holder: Option<Uid>,
    /// Who asked.
    pub requester: Option<Uid>,
    /// The stage that is asked, from 0; of an activation, or of a review.
    pub stage: Option<u32>,
    /// The review.
    pub review: Option<crate::domain::ReviewId>,
}

/// A vote that is waited for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asks {
    /// On which request.
    pub activation: ActivationId,
    /// What a vote has to carry.
    pub request_hash: String,
}

/// What is told of an event.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    /// Its id: the same each time that it is made.
    pub id: String,
    /// The record.
    pub seq: u64,
    /// The event's place there, from 0.
    pub event: u32,
    /// The event's kind, as the journal calls it.
    pub kind: String,
    /// The kind as those know it who hear of it.
    pub notice: Notice,
    /// How much it matters, where it is more than good to know.
    pub severity: Option<Severity>,
    /// When it happened.
    pub at: Timestamp,
    /// Who acted, where it was a principal.
    pub actor: Option<Uid>,
    /// Whom it is about.
    pub parts: Parts,
    /// Ids, names and times, for programs.
    pub data: Map<String, Value>,
    /// The same, for people. Nothing in it misleads or breaks a line.
    pub values: Values,
    /// A vote that is waited for.
    pub asks: Option<Asks>,
}

impl Message {
    /// What programs are sent.
    #[must_use]
    pub fn payload(&self) -> Value {
        json!({
            "version": PAYLOAD_VERSION,
            "type": self.kind,
            "timestamp": self.at,
            "data": {
                "id": self.id,
                "seq": self.seq,
                "notice": self.notice.as_str(),
                "severity": self.severity.map_or("info", Severity::as_str),
                "actor": self.actor,
                "event": self.data,
            },
        })
    }
}

/// A message in the making.
struct Making<'a> {
    facts: &'a dyn Records,
    /// Whether what people wrote goes in.
    texts: bool,
    parts: Parts,
    data: Map<String, Value>,
    values: Values,
    asks: Option<Asks>,
    severity: Option<Severity>,
    reason: Option<TextDigest>,
    ticket: Option<TicketDigest>,
}

/// A part of a record's hash, as it stands in ids: sequences come again in a journal that was restored, and in another Elevon's.
#[must_use]
pub fn mark(hash: &Digest) -> String {
    hash.to_string().chars().take(MARK).collect()
}

/// The message of one event of a record with such a hash; nothing where the record has none at that place.
///
/// # Errors
/// The store cannot be read.
pub fn message(facts: &dyn Records, (record, hash): (&Record, &Digest), place: u32, texts: bool) -> Result<Option<Message>, Unavailable> {
    let Some(event) = usize::try_from(place).ok().and_then(|place| record.events.get(place)) else { return Ok(None) };
    let mut making = Making {
        facts,
        texts,
        parts: Parts::default(),
        data: Map::new(),
        values: Values::new(),
        asks: None,
        severity: None,
        reason: None,
        ticket: None,
    };
    making.take(event)?;
    making.write_texts()?;
    let notice = Notice::of(event);
    let loud = matches!(notice, Notice::Emergency | Notice::QuorumUnreachable);
    let severity = if loud { Some(Severity::High) } else { making.severity };
    let kind = event.kind().to_owned();
    making.values.entry("event").or_insert_with(|| kind.replace('_', " "));
    making.say("at", record.at.to_string());
    making.say("seq", record.seq.to_string());
    making.say("actor", record.actor.to_string());
    let Making { parts, data, values, asks, .. } = making;
    let (id, actor) = (format!("msg_{}_{place}_{}", record.seq, mark(hash)), record.actor.principal().cloned());
    Ok(Some(Message { id, seq: record.seq, event: place, kind, notice, severity, at: record.at, actor, parts, data, values, asks }))
}

/// What people wrote, in which nothing is an address that a reader's program makes a link of: of links in a message each is Elevon's.
fn no_address(text: &str) -> String {
    text.replace("://", "\\u{3a}//")
}

fn requester(actor: &Actor) -> Option<Uid> {
    actor.principal().cloned()
}

impl Making<'_> {
    fn put(&mut self, name: &str, value: impl serde::Serialize) {
        self.data.insert(name.to_owned(), json!(value));
    }

    fn say(&mut self, name: &'static str, text: impl AsRef<str>) {
        self.values.insert(name, one_line(text.as_ref()));
    }

    /// Adds to what stands for `{detail}`.
    fn detail(&mut self, text: impl AsRef<str>) {
        let known = self.values.entry("detail").or_default();
        if !known.is_empty() {
            known.push_str("; ");
        }
        known.push_str(&one_line(text.as_ref()));
    }

    fn window(&mut self, window: Window) {
        self.put("start", window.start);
        self.put("end", window.end);
        self.say("start", window.start.to_string());
        self.say("end", window.end.map_or_else(|| "for ever".to_owned(), |end| end.to_string()));
    }

    fn end(&mut self, end: Timestamp) {
        self.put("end", end);
        self.say("end", end.to_string());
    }

    fn cause(&mut self, cause: &Cause) {
        self.put("cause", cause);
        let word = json!(cause);
        let word = word.as_str().or_else(|| word.as_object().and_then(|members| members.keys().next()).map(String::as_str));
        self.detail(format!("because: {}", word.unwrap_or_default().replace('_', " ")));
    }

    fn scope(&mut self, scope: Option<&Uid>) {
        self.say("scope", scope.map_or_else(|| "everywhere".to_owned(), ToString::to_string));
    }

    fn role(&mut self, role: &RoleName, holder: &Uid) {
        self.parts.role = Some(role.clone());
        self.parts.holder = Some(holder.clone());
        self.say("role", role.as_str());
        self.say("principal", holder.to_string());
    }

    fn activation(&mut self, id: &ActivationId) -> Result<Option<Activation>, Unavailable> {
        let found = self.facts.activation(id)?;
        match &found {
            Some(found) => self.about(found),
            None => self.id("activation", id.as_str()),
        }
        Ok(found.as_deref().cloned())
    }

    fn id(&mut self, what: &str, id: &str) {
        self.put(what, json!({ "id": id }));
        self.say("id", id);
    }

    fn about(&mut self, found: &Activation) {
        self.role(&found.role, &found.principal);
        self.parts.requester = requester(&found.requester);
        let shown = json!({
            "id": found.id,
            "principal": found.principal,
            "requester": self.parts.requester,
            "role": found.role,
            "scope": found.scope,
            "requested_at": found.requested_at,
            "duration": found.duration,
            "emergency": found.emergency,
            "extends": found.extends,
        });
        self.put("activation", shown);
        self.say("id", found.id.as_str());
        self.say("requester", found.requester.to_string());
        self.scope(found.scope.as_ref());
        if let Some(window) = found.window() {
            self.say("start", window.start.to_string());
            self.say("end", window.end.map_or_else(|| "for ever".to_owned(), |end| end.to_string()));
        }
        self.reason = found.justification;
        self.ticket = found.ticket;
    }

    /// A request whose stage is asked. What a vote on it has to carry is told where it still waits.
    fn asked(&mut self, found: &Activation, stage: u32, now_waits: Option<&Activation>) {
        if found.emergency {
            return self.detail("an emergency, which nobody is asked about");
        }
        self.parts.stage = Some(stage);
        self.put("stage", stage.saturating_add(1));
        self.detail(format!("for {}", found.duration));
        if let Some(hash) = now_waits.and_then(|stored| voted_hash(self.facts.definitions(), stored)) {
            self.asks = Some(Asks { activation: found.id.clone(), request_hash: hash.to_string() });
        }
    }

    fn eligibility(&mut self, found: &Eligibility) {
        self.role(&found.role, &found.holder);
        self.put("eligibility", json!({ "id": found.id, "holder": found.holder, "role": found.role, "scope": found.scope }));
        self.say("id", found.id.as_str());
        self.scope(found.scope.as_ref());
        self.window(found.window);
        self.reason = found.justification;
    }

    fn assignment(&mut self, found: &Assignment) {
        self.role(&found.role, &found.holder);
        self.put("assignment", json!({ "id": found.id, "holder": found.holder, "role": found.role, "scope": found.scope }));
        self.say("id", found.id.as_str());
        self.scope(found.scope.as_ref());
        self.window(found.window);
        self.reason = found.justification;
    }

    fn grant(&mut self, grant: &GrantRef) -> Result<(), Unavailable> {
        match grant {
            GrantRef::Eligibility(id) => match self.facts.eligibility(id)? {
                Some(found) => self.eligibility(&found),
                None => self.id("eligibility", id.as_str()),
            },
            GrantRef::Assignment(id) => match self.facts.assignment(id)? {
                Some(found) => self.assignment(&found),
                None => self.id("assignment", id.as_str()),
            },
        }
        Ok(())
    }

    fn grant_request(&mut self, id: &crate::domain::GrantRequestId) -> Result<(), Unavailable> {
        match self.facts.grant_request(id)? {
            Some(found) => self.prolong(&found),
            None => self.id("grant_request", id.as_str()),
        }
        Ok(())
    }

    fn prolong(&mut self, found: &GrantRequest) {
        self.role(&found.role, &found.holder);
        self.parts.requester = requester(&found.requester);
        let (kind, grant) = match &found.grant {
            GrantRef::Eligibility(id) => ("eligibility", id.as_str()),
            GrantRef::Assignment(id) => ("assignment", id.as_str()),
        };
        let shown = json!({
            "id": found.id, "holder": found.holder, "role": found.role, "scope": found.scope, "requester": self.parts.requester,
            "end": found.end, "grant": { "kind": kind, "id": grant },
        });
        self.put("grant_request", shown);
        self.say("id", found.id.as_str());
        self.say("requester", found.requester.to_string());
        self.scope(found.scope.as_ref());
        self.say("end", found.end.to_string());
        self.reason = found.justification;
    }

    fn review(&mut self, id: &crate::domain::ReviewId) -> Result<(), Unavailable> {
        self.parts.review = Some(id.clone());
        match self.facts.review(id)? {
            Some(found) => self.about_review(&found),
            None => self.id("review", id.as_str()),
        }
        Ok(())
    }

    fn about_review(&mut self, found: &Review) {
        self.parts.review = Some(found.id.clone());
        let (definition, emergency) = match &found.of {
            ReviewOf::Definition(id) => (Some(id.as_str()), None),
            ReviewOf::Emergency(id) => (None, Some(id.as_str())),
        };
        let name = found.plan.name.as_str();
        let shown = json!({ "id": found.id, "definition": definition, "emergency": emergency, "number": found.number, "name": name });
        self.put("review", shown);
        self.say("id", found.id.as_str());
        self.detail(format!("{name}, number {}", found.number));
    }

    /// A reason takes the place of the one that the request was made with.
    fn because(&mut self, reason: Option<TextDigest>) {
        self.reason = reason;
        self.ticket = None;
    }

    fn write_texts(&mut self) -> Result<(), Unavailable> {
        if !self.texts {
            return Ok(());
        }
        if let Some(text) = self.reason.map(|digest| self.facts.text(&digest)).transpose()?.flatten() {
            self.put("reason", &text.value);
            self.say("reason", no_address(&text.value));
        }
        let Some(ticket) = self.ticket else { return Ok(()) };
        if let (Some(system), Some(number)) = (self.facts.text(&ticket.system)?, self.facts.text(&ticket.number)?) {
            self.put("ticket", json!({ "system": system.value, "number": number.value }));
            self.say("ticket", no_address(&format!("{} {}", system.value, number.value)));
        }
        Ok(())
    }
}
