//! One destination: what it is told, in which form, and how it gets there.
//!
//! Making something ready reads facts and does nothing else; sending it reads none. So a slow receiver holds no view of what is stored.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::Value;

use super::addresses::Addresses;
use super::digest::Digest;
use super::email::{self, Mail, Mailer};
use super::hearing::{Heard, is_asked, stands};
use super::links::{Links, Shown};
use super::message::Message;
use super::post::{Failure, Poster, Roots};
use super::set;
use super::settings::{DestinationSettings, Kind, MailTls, SetSettings, Url};
use super::sign::{TokenKey, WebhookKey, secret_file};
use super::slack;
use super::template::Templates;
use crate::domain::notice::Notice;
use crate::domain::standing::{self, Moment, Presence};
use crate::domain::{Record, Records, Timestamp, Uid, Unavailable};
use crate::engine::ports::Reader;

/// A destination with its secrets read.
pub(super) struct Destination {
    pub(super) settings: DestinationSettings,
    carrier: Carrier,
    shared: Shared,
    taken: Taken,
}

/// What all destinations share.
#[derive(Clone)]
pub(super) struct Shared {
    /// What is written.
    pub(super) templates: Arc<Templates>,
    /// Where people's browsers reach this server.
    pub(super) public_url: Option<String>,
    /// Links to approve and to deny, where there are some.
    pub(super) links: Option<Arc<dyn Links>>,
}

enum Carrier {
    Webhook { poster: Poster, keys: Vec<WebhookKey> },
    Slack { poster: Poster, principal: Option<Uid> },
    Email { mailer: Box<Mailer>, to: Vec<String>, attribute: String },
    Set(Box<Pusher>),
}

/// Who pushes Security Event Tokens.
struct Pusher {
    poster: Poster,
    settings: SetSettings,
    key: TokenKey,
    retired: Vec<TokenKey>,
    authorization: Option<String>,
    addresses: Addresses,
}

/// Which were taken of several that belong to one message: they go once, while another of them is tried again.
#[derive(Default)]
struct Taken(Mutex<BTreeSet<String>>);

impl Taken {
    /// Sends each, whatever becomes of those before it, unless that would become of all. What was not taken is one failure.
    fn each<T>(
        &self,
        all: &[T],
        id: impl Fn(&T) -> String,
        would_be_of_all: impl Fn(&Failure) -> bool,
        send: impl Fn(&T) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        // held while it is looked at and not while something is sent: who tests the destination does not wait for what it is told
        let taken = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        taken().retain(|known| all.iter().any(|one| id(one) == *known));
        let mut failed: Option<Failure> = None;
        for one in all {
            if taken().contains(&id(one)) {
                continue;
            }
            match send(one) {
                Ok(()) => drop(taken().insert(id(one))),
                Err(failure) => {
                    let stop = would_be_of_all(&failure);
                    failed = Some(match failed {
                        Some(before) => before.and(failure),
                        None => failure,
                    });
                    if stop {
                        break;
                    }
                }
            }
        }
        failed.map_or(Ok(()), Err)
    }
}

/// Something that is ready to be sent.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Ready {
    /// JSON, and its id.
    Json { id: String, body: Value },
    /// E-mails, one for each mailbox.
    Mails(Vec<Mail>),
    /// Claims of tokens, in order.
    Tokens(Vec<Value>),
}

/// What came of making something ready.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Made {
    /// It can be sent.
    Ready(Ready),
    /// Nobody is to be told.
    Nobody,
    /// Somebody is, and it cannot be said; why.
    Lost(String),
}

impl Destination {
    /// Reads what its settings name.
    ///
    /// # Errors
    /// Something of it cannot be used; which, and why.
    pub(super) fn open(settings: DestinationSettings, shared: Shared, roots: &Roots) -> Result<Self, String> {
        let named = |why: String| format!("notify destination `{}`: {why}", settings.name);
        let timeout = Duration::from_secs(settings.timeout.secs());
        let poster = |url: Url| {
            let trust = url.https.then(|| roots(settings.ca.as_deref())).transpose()?;
            Ok::<_, String>(Poster::new(url, settings.allow_private, timeout, trust.map(|trust| trust.http)))
        };
        let carrier = match &settings.kind {
            Kind::Webhook { url, secrets } => {
                let keys = secrets.iter().map(|path| WebhookKey::read(path)).collect::<Result<_, _>>().map_err(named)?;
                Carrier::Webhook { poster: poster(url.clone()).map_err(named)?, keys }
            }
            Kind::Slack { url, principal } => {
                let bad = |why: String| named(format!("the address in `{}`: {why}", url.display()));
                let text = secret_file(url).map_err(named)?;
                let url = Url::parse(&text, settings.allow_private).map_err(bad)?;
                Carrier::Slack { poster: poster(url).map_err(named)?, principal: principal.clone() }
            }
            Kind::Email(mail) => {
                let trust = (mail.tls != MailTls::None).then(|| roots(settings.ca.as_deref())).transpose().map_err(named)?;
                let mailer = Mailer::new(mail.clone(), trust.map(|trust| trust.mail), settings.allow_private, timeout);
                Carrier::Email { mailer: Box::new(mailer.map_err(named)?), to: mail.to.clone(), attribute: mail.attribute.clone() }
            }
            Kind::Set(set) => {
                let key = TokenKey::read(&set.key, set.kid.as_deref()).map_err(named)?;
                let retired = set.retired.iter().map(|(path, kid)| TokenKey::read(path, kid.as_deref()));
                let retired = retired.collect::<Result<_, _>>().map_err(named)?;
                let authorization = set.authorization.as_deref().map(secret_file).transpose().map_err(named)?;
                let authorization = authorization.map(|token| format!("Bearer {token}"));
                if authorization.as_ref().is_some_and(|header| !header.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ')) {
                    return Err(named("the token of `authorization_file` is not one line of visible ASCII characters".to_owned()));
                }
                Carrier::Set(Box::new(Pusher {
                    poster: poster(set.url.clone()).map_err(named)?,
                    settings: set.clone(),
                    key,
                    retired,
                    authorization,
                    addresses: Addresses::default(),
                }))
            }
        };
        Ok(Self { settings, carrier, shared, taken: Taken::default() })
    }

    /// Its name.
    #[must_use]
    pub(super) fn name(&self) -> &str {
        &self.settings.name
    }

    /// The keys by which others verify its tokens.
    pub(super) fn public_keys(&self) -> Vec<Value> {
        match &self.carrier {
            Carrier::Set(pusher) => std::iter::once(&pusher.key).chain(&pusher.retired).map(TokenKey::public).collect(),
            Carrier::Webhook { .. } | Carrier::Slack { .. } | Carrier::Email { .. } => Vec::new(),
        }
    }

    /// Whether it gets what people wrote.
    pub(super) fn texts(&self) -> bool {
        self.settings.texts
    }

    /// Who is told of an event: persons in order of names, and then nobody in particular, where the destination as such hears of it.
    ///
    /// # Errors
    /// The store cannot be read.
    pub(super) fn told(
        &self,
        facts: &dyn Records,
        record: &Record,
        message: &Message,
        heard: &Heard,
    ) -> Result<Vec<Option<Uid>>, Unavailable> {
        let severe = self.settings.alerts.filter(|_| message.notice == Notice::Alert);
        let by_settings = severe.map(|least| message.severity >= Some(least));
        let hears = by_settings.unwrap_or_else(|| self.settings.events.contains(&message.notice));
        let hears = hears || heard.destinations.contains(&self.settings.name);
        Ok(match &self.carrier {
            Carrier::Webhook { .. } | Carrier::Slack { .. } => hears.then_some(None).into_iter().collect(),
            Carrier::Set(pusher) => set::told(facts, &pusher.settings, record, message)?,
            Carrier::Email { to, .. } => {
                let boxes = (hears && !to.is_empty()).then_some(None);
                heard.persons.iter().cloned().map(Some).chain(boxes).collect()
            }
        })
    }

    /// Whether it is people who read it.
    pub(super) fn is_read_by_people(&self) -> bool {
        matches!(self.carrier, Carrier::Slack { .. } | Carrier::Email { .. })
    }

    /// Whether it asks who hears of an event by roles' settings.
    pub(super) fn asks_who_hears(&self) -> bool {
        !matches!(self.carrier, Carrier::Set(_))
    }

    /// Makes a message ready.
    pub(super) fn ready(
        &self,
        (facts, moment, journal): (&dyn Records, Moment, &dyn Reader),
        record: &Record,
        message: &Message,
        person: Option<&Uid>,
    ) -> Result<Made, Unavailable> {
        Ok(match &self.carrier {
            Carrier::Webhook { .. } => Made::Ready(Ready::Json { id: message.id.clone(), body: message.payload() }),
            Carrier::Slack { .. } | Carrier::Email { .. } if !stands(facts, record, message)? => Made::Nobody,
            Carrier::Slack { principal, .. } => {
                let (subject, text, shown) = self.written(facts, message, principal.as_ref(), false)?;
                Made::Ready(Ready::Json { id: message.id.clone(), body: slack::body(&subject, &text, &shown) })
            }
            Carrier::Email { to, attribute, .. } => {
                let to = match person {
                    None => to.clone(),
                    // who may have been disabled since it was planned
                    Some(person) if standing::presence(facts, person)? != Presence::Known => Vec::new(),
                    Some(person) => {
                        let definition = standing::definition(facts, person)?;
                        definition.and_then(|definition| email::address_of(&definition, attribute)).into_iter().collect()
                    }
                };
                let (subject, text, shown) = self.written(facts, message, person, true)?;
                let id = person.map_or_else(|| message.id.clone(), |person| format!("{}.{}", message.id, short(&person.to_string())));
                self.mails(&id, &to, &subject, &text, &shown).map_or(Made::Nobody, Made::Ready)
            }
            Carrier::Set(pusher) => {
                let sources = set::Sources { facts, moment, journal, addresses: &pusher.addresses };
                match set::claims(&sources, &pusher.settings, record, message, person)? {
                    Ok(claims) if claims.is_empty() => Made::Nobody,
                    Ok(claims) => Made::Ready(Ready::Tokens(claims)),
                    Err(why) => Made::Lost(why),
                }
            }
        })
    }

    /// One mail for each mailbox, each with an id of its own, so that one which is refused keeps nothing from the others; nothing for none.
    fn mails(&self, id: &str, to: &[String], subject: &str, text: &str, shown: &Shown) -> Option<Ready> {
        let mail =
            |to: &String| Mail::new(format!("{id}.{}.{}", short(to), self.settings.name), to.clone(), subject, text.to_owned(), shown);
        (!to.is_empty()).then(|| Ready::Mails(to.iter().map(mail).collect()))
    }

    /// What is written, for whom; the links stand in the text, too, where it shows no buttons otherwise.
    fn written(
        &self,
        facts: &dyn Records,
        message: &Message,
        person: Option<&Uid>,
        lines: bool,
    ) -> Result<(String, String, Shown), Unavailable> {
        let asked = match person {
            Some(person) if self.shared.links.is_some() => is_asked(facts, message, person)?,
            Some(_) | None => false,
        };
        let shown = Shown::of(message, person.filter(|_| asked), self.shared.links.as_deref(), self.shared.public_url.as_deref());
        let wording = self.shared.templates.wording(message.notice);
        let mut values = message.values.clone();
        let link = if lines { shown.lines() } else { shown.open.clone().unwrap_or_default() };
        values.insert("link", link);
        Ok((wording.subject.fill(&values), wording.text.fill(&values), shown))
    }

    /// Nothing more is sent for now: what is kept open for it is closed.
    pub(super) fn rest(&self) {
        if let Carrier::Email { mailer, .. } = &self.carrier {
            mailer.rest();
        }
    }

    /// Makes a digest ready; nothing where it is not told in such a form.
    pub(super) fn ready_digest(&self, digest: &Digest) -> Option<Ready> {
        let (subject, text) = digest.written();
        match &self.carrier {
            Carrier::Webhook { .. } => Some(Ready::Json { id: digest.id(), body: digest.payload() }),
            Carrier::Slack { .. } => Some(Ready::Json { id: digest.id(), body: slack::body(&subject, &text, &Shown::default()) }),
            Carrier::Email { to, .. } => self.mails(&digest.id(), to, &subject, &text, &Shown::default()),
            Carrier::Set(_) => None,
        }
    }

    /// Something that says nothing but that the way is open; nothing where nobody would get it.
    pub(super) fn ready_test(&self, now: Timestamp) -> Option<Ready> {
        let id = format!("test_{}_{}", now.millis(), unlike_any());
        let (subject, text) = ("Elevon: a test", format!("This is a test of the destination {}. Nothing happened.", self.settings.name));
        match &self.carrier {
            Carrier::Webhook { .. } => {
                let data = serde_json::json!({ "id": id, "destination": self.settings.name });
                let body =
                    serde_json::json!({ "version": super::message::PAYLOAD_VERSION, "type": "test", "timestamp": now, "data": data });
                Some(Ready::Json { id, body })
            }
            Carrier::Slack { .. } => Some(Ready::Json { id, body: slack::body(subject, &text, &Shown::default()) }),
            Carrier::Email { to, .. } => self.mails(&id, to, subject, &text, &Shown::default()),
            Carrier::Set(pusher) => Some(Ready::Tokens(vec![set::verification(&pusher.settings, &id)])),
        }
    }

    /// Sends what is ready. It takes no longer than the destination's time-out, for each token and each mail.
    pub(super) fn send(&self, ready: &Ready, now: Timestamp) -> Result<(), Failure> {
        match (&self.carrier, ready) {
            (Carrier::Webhook { poster, keys }, Ready::Json { id, body }) => {
                let (body, seconds) = (body.to_string(), now.millis().div_euclid(1000));
                let signatures: Vec<String> = keys.iter().map(|key| key.sign(id, seconds, body.as_bytes())).collect();
                let headers = [
                    ("content-type", "application/json"),
                    ("webhook-id", id),
                    ("webhook-timestamp", &seconds.to_string()),
                    ("webhook-signature", &signatures.join(" ")),
                ];
                let answer = poster.post(&headers, body.as_bytes(), now)?;
                if (200..300).contains(&answer.status) { Ok(()) } else { Err(answer.refused()) }
            }
            (Carrier::Slack { poster, .. }, Ready::Json { body, .. }) => {
                let answer = poster.post(&[("content-type", "application/json")], body.to_string().as_bytes(), now)?;
                if (200..300).contains(&answer.status) { Ok(()) } else { Err(answer.refused()) }
            }
            (Carrier::Email { mailer, .. }, Ready::Mails(mails)) => {
                let of_all = |failure: &Failure| !failure.permanent && !failure.of_the_recipient;
                self.taken.each(mails, |mail| mail.id.clone(), of_all, |mail| mailer.send(mail))
            }
            (Carrier::Set(pusher), Ready::Tokens(claims)) => {
                let jti = |claims: &Value| claims.get("jti").and_then(Value::as_str).unwrap_or_default().to_owned();
                self.taken.each(claims, jti, |_| false, |claims| pusher.push(claims, now))
            }
            (Carrier::Webhook { .. } | Carrier::Slack { .. } | Carrier::Email { .. } | Carrier::Set(_), _) => {
                Err(Failure::permanent("it was made for another kind of destination"))
            }
        }
    }
}

/// The code of RFC 8935 (section 2.4) that speaks of a token itself. The others, keys, issuers, audiences and credentials, speak of who sends it
/// or of how both are configured: somebody mends that, and the token is taken then.
const ABOUT_THE_TOKEN: &str = "invalid_request";

impl Pusher {
    /// Pushes a token: 202 says that it was taken, 400 with a code for it that it never will be.
    fn push(&self, claims: &Value, now: Timestamp) -> Result<(), Failure> {
        let mut claims = claims.clone();
        if let Some(members) = claims.as_object_mut() {
            members.insert("iat".to_owned(), now.millis().div_euclid(1000).into());
        }
        let token = self.key.token(&claims).map_err(Failure::passing)?;
        let mut headers = vec![("content-type", "application/secevent+jwt"), ("accept", "application/json")];
        headers.extend(self.authorization.as_deref().map(|header| ("authorization", header)));
        let answer = self.poster.post(&headers, token.as_bytes(), now)?;
        match answer.status {
            202 => Ok(()),
            400 => match serde_json::from_slice::<Value>(&answer.body).ok().as_ref().and_then(|body| body.get("err")?.as_str()) {
                Some(err) => {
                    let why = format!("it answered 400, `{}`", err.chars().take(100).collect::<String>());
                    let permanent = err == ABOUT_THE_TOKEN;
                    Err(Failure { permanent, retry_after: answer.retry_after, ..Failure::passing(why) })
                }
                None => Err(answer.refused()),
            },
            _ => Err(answer.refused()),
        }
    }
}

/// A part of an id that no other has.
fn unlike_any() -> String {
    let mut bytes = [0_u8; 6];
    // without randomness the time has to do
    let _ = getrandom::fill(&mut bytes);
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A name as a part of an id: the start of its digest.
pub(super) fn short(name: &str) -> String {
    let digest = crate::domain::text::Digest::of_bytes(name.as_bytes()).to_string();
    digest.chars().take(16).collect()
}
