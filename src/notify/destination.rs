//! One destination: what it is told, in which form, and how it gets there.
//!
//! Making something ready reads facts and does nothing else; sending it reads none. So a slow receiver holds no view of what is stored.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::digest::Digest;
use super::email::{self, Mail, Mailer};
use super::guard::one_line;
use super::hearing::Heard;
use super::links::{Links, Shown};
use super::message::Message;
use super::post::{Failure, Poster, Roots};
use super::set;
use super::settings::{DestinationSettings, Kind, SetSettings, Url};
use super::sign::{TokenKey, WebhookKey, secret_file};
use super::slack;
use super::template::Templates;
use crate::domain::notice::Notice;
use crate::domain::standing::{self, Moment};
use crate::domain::{Record, Records, Timestamp, Uid, Unavailable};

/// A destination with its secrets read.
pub(super) struct Destination {
    pub(super) settings: DestinationSettings,
    carrier: Carrier,
    shared: Shared,
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
    Email { mailer: Mailer, to: Vec<String>, attribute: String },
    Set { poster: Poster, settings: SetSettings, key: TokenKey, retired: Vec<TokenKey>, authorization: Option<String> },
}

/// Something that is ready to be sent.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Ready {
    /// JSON, and its id.
    Json { id: String, body: Value },
    /// An e-mail.
    Mail(Mail),
    /// Claims of tokens, in order.
    Tokens(Vec<Value>),
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
            let tls = url.https.then(|| roots(settings.ca.as_deref())).transpose()?;
            Ok::<_, String>(Poster::new(url, settings.allow_private, timeout, tls))
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
                let mailer = Mailer::new(mail.clone(), settings.ca.as_deref(), settings.allow_private, timeout).map_err(named)?;
                Carrier::Email { mailer, to: mail.to.clone(), attribute: mail.attribute.clone() }
            }
            Kind::Set(set) => {
                let key = TokenKey::read(&set.key, set.kid.as_deref()).map_err(named)?;
                let retired = set.retired.iter().map(|path| TokenKey::read(path, None)).collect::<Result<_, _>>().map_err(named)?;
                let authorization = set.authorization.as_deref().map(secret_file).transpose().map_err(named)?;
                let authorization = authorization.map(|token| format!("Bearer {token}"));
                if authorization.as_ref().is_some_and(|header| !header.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ')) {
                    return Err(named("the token of `authorization_file` is not one line of visible ASCII characters".to_owned()));
                }
                Carrier::Set { poster: poster(set.url.clone()).map_err(named)?, settings: set.clone(), key, retired, authorization }
            }
        };
        Ok(Self { settings, carrier, shared })
    }

    /// Its name.
    #[must_use]
    pub(super) fn name(&self) -> &str {
        &self.settings.name
    }

    /// The keys by which others verify its tokens.
    pub(super) fn public_keys(&self) -> Vec<Value> {
        match &self.carrier {
            Carrier::Set { key, retired, .. } => std::iter::once(key).chain(retired).map(TokenKey::public).collect(),
            Carrier::Webhook { .. } | Carrier::Slack { .. } | Carrier::Email { .. } => Vec::new(),
        }
    }

    /// Whether it gets what people wrote.
    pub(super) fn texts(&self) -> bool {
        self.settings.texts
    }

    /// Who is told of an event: persons in order of names, and then nobody in particular, where the destination as such hears of it.
    pub(super) fn told(&self, facts: &dyn Records, record: &Record, message: &Message, heard: &Heard) -> Vec<Option<Uid>> {
        let severe = self.settings.alerts.filter(|_| message.notice == Notice::Alert);
        let by_settings = severe.map(|least| message.severity >= Some(least));
        let hears = by_settings.unwrap_or_else(|| self.settings.events.contains(&message.notice));
        let hears = hears || heard.destinations.contains(&self.settings.name);
        match &self.carrier {
            Carrier::Webhook { .. } | Carrier::Slack { .. } => hears.then_some(None).into_iter().collect(),
            Carrier::Set { .. } => set::subject(facts, record, message).map(|_| None).into_iter().collect(),
            Carrier::Email { to, .. } => {
                let boxes = (hears && !to.is_empty()).then_some(None);
                heard.persons.iter().cloned().map(Some).chain(boxes).collect()
            }
        }
    }

    /// Whether it asks who hears of an event by roles' settings.
    pub(super) fn asks_who_hears(&self) -> bool {
        !matches!(self.carrier, Carrier::Set { .. })
    }

    /// Makes a message ready; nothing where it cannot reach whom it is for.
    pub(super) fn ready(
        &self,
        facts: &dyn Records,
        moment: Moment,
        record: &Record,
        message: &Message,
        person: Option<&Uid>,
    ) -> Result<Option<Ready>, Unavailable> {
        Ok(match &self.carrier {
            Carrier::Webhook { .. } => Some(Ready::Json { id: message.id.clone(), body: message.payload() }),
            Carrier::Slack { principal, .. } => {
                let (subject, text, shown) = self.written(message, principal.as_ref(), false);
                Some(Ready::Json { id: message.id.clone(), body: slack::body(&subject, &text, &shown) })
            }
            Carrier::Email { to, attribute, .. } => {
                let to = match person {
                    None => to.clone(),
                    Some(person) => {
                        let definition = standing::definition(facts, person)?;
                        definition.and_then(|definition| email::address_of(&definition, attribute)).into_iter().collect()
                    }
                };
                let (subject, text, shown) = self.written(message, person, true);
                let id = person.map_or_else(|| message.id.clone(), |person| format!("{}.{}", message.id, short(person)));
                (!to.is_empty()).then(|| Ready::Mail(Mail::new(format!("{id}.{}", self.settings.name), to, &subject, text, &shown)))
            }
            Carrier::Set { settings, .. } => {
                let claims = set::claims(facts, moment, settings, record, message)?;
                (!claims.is_empty()).then_some(Ready::Tokens(claims))
            }
        })
    }

    /// What is written, for whom; the links stand in the text, too, where it shows no buttons otherwise.
    fn written(&self, message: &Message, person: Option<&Uid>, lines: bool) -> (String, String, Shown) {
        let shown = Shown::of(message, person, self.shared.links.as_deref(), self.shared.public_url.as_deref());
        let wording = self.shared.templates.wording(message.notice);
        let mut values = message.values.clone();
        let link = if lines { shown.lines() } else { shown.open.clone().unwrap_or_default() };
        values.insert("link", link);
        (wording.subject.fill(&values), wording.text.fill(&values), shown)
    }

    /// Makes a digest ready; nothing where it is not told in such a form.
    pub(super) fn ready_digest(&self, digest: &Digest) -> Option<Ready> {
        let (subject, text) = digest.written();
        match &self.carrier {
            Carrier::Webhook { .. } => Some(Ready::Json { id: digest.id(), body: digest.payload() }),
            Carrier::Slack { .. } => Some(Ready::Json { id: digest.id(), body: slack::body(&subject, &text, &Shown::default()) }),
            Carrier::Email { to, .. } => (!to.is_empty()).then(|| {
                let id = format!("{}.{}", digest.id(), self.settings.name);
                Ready::Mail(Mail::new(id, to.clone(), &subject, text, &Shown::default()))
            }),
            Carrier::Set { .. } => None,
        }
    }

    /// Something that says nothing but that the way is open; nothing where nobody would get it.
    pub(super) fn ready_test(&self, now: Timestamp) -> Option<Ready> {
        let id = format!("test_{}", now.millis());
        let (subject, text) = ("Elevon: a test", format!("This is a test of the destination {}. Nothing happened.", self.settings.name));
        match &self.carrier {
            Carrier::Webhook { .. } => {
                let data = serde_json::json!({ "id": id, "destination": self.settings.name });
                let body =
                    serde_json::json!({ "version": super::message::PAYLOAD_VERSION, "type": "test", "timestamp": now, "data": data });
                Some(Ready::Json { id, body })
            }
            Carrier::Slack { .. } => Some(Ready::Json { id, body: slack::body(subject, &text, &Shown::default()) }),
            Carrier::Email { to, .. } => (!to.is_empty())
                .then(|| Ready::Mail(Mail::new(format!("{id}.{}", self.settings.name), to.clone(), subject, text, &Shown::default()))),
            Carrier::Set { settings, .. } => Some(Ready::Tokens(vec![set::verification(settings, now)])),
        }
    }

    /// Sends what is ready. It takes no longer than the destination's time-out, for each token or step of a mail.
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
            (Carrier::Email { mailer, .. }, Ready::Mail(mail)) => mailer.send(mail),
            (Carrier::Set { poster, key, authorization, .. }, Ready::Tokens(claims)) => {
                claims.iter().try_for_each(|claims| push(poster, key, authorization.as_deref(), claims, now))
            }
            (Carrier::Webhook { .. } | Carrier::Slack { .. } | Carrier::Email { .. } | Carrier::Set { .. }, _) => {
                Err(Failure::permanent("it was made for another kind of destination"))
            }
        }
    }
}

/// Pushes a token (RFC 8935): 202 says that it was taken, 400 that it never will be.
fn push(poster: &Poster, key: &TokenKey, authorization: Option<&str>, claims: &Value, now: Timestamp) -> Result<(), Failure> {
    let mut claims = claims.clone();
    if let Some(members) = claims.as_object_mut() {
        members.insert("iat".to_owned(), now.millis().div_euclid(1000).into());
    }
    let token = key.token(&claims).map_err(Failure::passing)?;
    let mut headers = vec![("content-type", "application/secevent+jwt"), ("accept", "application/json")];
    headers.extend(authorization.map(|header| ("authorization", header)));
    let answer = poster.post(&headers, token.as_bytes(), now)?;
    match answer.status {
        202 => Ok(()),
        400 => match serde_json::from_slice::<Value>(&answer.body).ok().as_ref().and_then(|body| body.get("err")?.as_str()) {
            Some(err) => Err(Failure::permanent(format!("it answered 400, `{}`", one_line(err).chars().take(100).collect::<String>()))),
            None => Err(answer.refused()),
        },
        _ => Err(answer.refused()),
    }
}

/// A name as a part of an id: the start of its digest.
fn short(uid: &Uid) -> String {
    let digest = crate::domain::text::Digest::of_bytes(uid.to_string().as_bytes()).to_string();
    digest.chars().take(16).collect()
}
