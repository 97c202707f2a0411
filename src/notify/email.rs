//! E-mail by SMTP: a text and the same as HTML. Addresses come from an attribute that the configuration names, and are parsed; a subject is one line;
//! so nothing that somebody wrote becomes a header.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use lettre::message::header::{ContentType, HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart, SinglePart};
use lettre::{Address, Message};
use rustls::ClientConfig;

use super::guard;
use super::links::Shown;
use super::post::Failure;
use super::settings::EmailSettings;
use super::sign::secret_file;
use super::smtp::{About, Letter, Refused, Session, Way};
use crate::domain::settings::EntityDef;

/// Longest subject, in characters.
const MAX_SUBJECT: usize = 200;
/// An e-mail that is ready.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mail {
    /// By which a receiver can tell that it got the same twice.
    pub(super) id: String,
    pub(super) to: String,
    pub(super) subject: String,
    pub(super) text: String,
    pub(super) html: String,
}

impl Mail {
    pub(super) fn new(id: String, to: String, subject: &str, text: String, shown: &Shown) -> Self {
        let subject = guard::one_line(subject).chars().take(MAX_SUBJECT).collect();
        let html = html(&text, shown);
        Self { id, to, subject, text, html }
    }
}

/// A text as HTML: every sign of it escaped, and buttons where it can be answered.
fn html(text: &str, shown: &Shown) -> String {
    let button = |label: &str, url: &Option<String>| {
        url.as_ref().map_or_else(String::new, |url| format!("<p><a href=\"{}\">{label}</a></p>\n", escaped(url)))
    };
    format!(
        "<!DOCTYPE html>\n<html><head><meta charset=\"utf-8\"></head><body>\n<div style=\"white-space: pre-wrap\">{}</div>\n{}{}{}</body></html>\n",
        escaped(text),
        button("Approve", &shown.approve),
        button("Deny", &shown.deny),
        button("Open", &shown.open),
    )
}

fn escaped(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut out, letter| {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            letter => out.push(letter),
        }
        out
    })
}

/// The address of a principal: the attribute, where it is one address and nothing else.
pub(super) fn address_of(definition: &EntityDef, attribute: &str) -> Option<String> {
    let attrs = definition.attrs.to_map();
    let text = attrs.get(attribute)?.as_str()?;
    text.parse::<Address>().ok().map(|address| address.to_string())
}

/// Whether a text is a mailbox: an address, with a name before it or without.
#[must_use]
pub fn is_mailbox(text: &str) -> bool {
    !text.chars().any(char::is_control) && text.parse::<Mailbox>().is_ok()
}

/// The way to a mail server.
pub(super) struct Mailer {
    settings: EmailSettings,
    from: Mailbox,
    credentials: Option<(String, String)>,
    tls: Option<Arc<ClientConfig>>,
    allow_private: bool,
    timeout: Duration,
    /// The connection over which the last mail went, for one that comes right after it.
    open: Mutex<Option<(Session, Instant)>>,
}

/// How long a connection is of use after a mail.
const REUSED_WITHIN: Duration = Duration::from_secs(5);

impl Mailer {
    /// `tls` has to be there for a server by TLS.
    pub(super) fn new(
        settings: EmailSettings,
        tls: Option<Arc<ClientConfig>>,
        allow_private: bool,
        timeout: Duration,
    ) -> Result<Self, String> {
        let from: Mailbox = settings.from.parse().map_err(|error| format!("`from`: {error}"))?;
        let password = settings.password.as_deref().map(secret_file).transpose()?;
        let credentials = settings.username.clone().zip(password);
        Ok(Self { settings, from, credentials, tls, allow_private, timeout, open: Mutex::default() })
    }

    /// Sends a mail. It takes no longer than the time-out, whatever the server does.
    pub(super) fn send(&self, mail: &Mail) -> Result<(), Failure> {
        let until = Instant::now() + self.timeout;
        let (message, to) = self.message(mail).map_err(Failure::permanent)?;
        let letter = Letter { from: self.from.email.as_ref(), to: to.as_ref(), message: &message };
        if let Some(mut session) = self.kept().filter(|(_, used)| used.elapsed() < REUSED_WITHIN).map(|(session, _)| session)
            && session.again(until)
        {
            match self.over(session, &letter) {
                // such a server may take so many mails over one connection and no more
                Err(Refused { about: About::Way, .. }) => {}
                sent => return sent.map_err(failure),
            }
        }
        let EmailSettings { host, port, .. } = &self.settings;
        let found = guard::addresses(host, *port, self.allow_private, self.timeout);
        let found = found.map_err(|barred| Failure::passing(barred.to_string()))?;
        let (count, mut last) = (found.len(), Failure::passing("it has no address"));
        for (place, address) in found.into_iter().enumerate() {
            // an address that does not answer leaves time for those after it
            let left = until.saturating_duration_since(Instant::now());
            let share = u32::try_from(count.saturating_sub(place)).unwrap_or(1).max(1);
            let way = Way { host, address, security: self.settings.tls, tls: self.tls.as_ref(), credentials: self.credentials.as_ref() };
            let sent =
                Session::open(&way, (left / share).max(Duration::from_millis(1)), until).and_then(|session| self.over(session, &letter));
            match sent {
                Err(refused) if refused.about == About::Way => last = failure(refused),
                sent => return sent.map_err(failure),
            }
        }
        Err(last)
    }

    /// Closes the connection that was kept for a mail that comes right after another.
    pub(super) fn rest(&self) {
        if let Some((session, _)) = self.kept() {
            session.close();
        }
    }

    fn kept(&self) -> Option<(Session, Instant)> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Sends a mail over a connection, which is kept for the next one where it still is of use.
    fn over(&self, mut session: Session, letter: &Letter<'_>) -> Result<(), Refused> {
        let sent = session.send(letter);
        if sent.as_ref().is_err_and(|refused| refused.about == About::Way) {
            session.close();
        } else {
            *self.open.lock().unwrap_or_else(PoisonError::into_inner) = Some((session, Instant::now()));
        }
        sent
    }

    fn message(&self, mail: &Mail) -> Result<(Vec<u8>, Address), String> {
        let to: Address = mail.to.parse().map_err(|error| format!("`{}`: {error}", guard::one_line(&mail.to)))?;
        let domain = self.from.email.domain().to_owned();
        let automatic = HeaderName::new_from_ascii_str("Auto-Submitted");
        let part = |kind: ContentType, body: &str| SinglePart::builder().header(kind).body(body.to_owned());
        let both = MultiPart::alternative()
            .singlepart(part(ContentType::TEXT_PLAIN, &mail.text))
            .singlepart(part(ContentType::TEXT_HTML, &mail.html));
        let message = Message::builder()
            .from(self.from.clone())
            .to(Mailbox::new(None, to.clone()))
            .subject(mail.subject.clone())
            .date(SystemTime::now())
            .message_id(Some(format!("<{}@{domain}>", mail.id)))
            .raw_header(HeaderValue::new(automatic, "auto-generated".to_owned()))
            .multipart(both)
            .map_err(|error| error.to_string())?;
        Ok((message.formatted(), to))
    }
}

/// What a refusal means for what is told next.
fn failure(refused: Refused) -> Failure {
    match refused {
        Refused { about: About::Way, why, .. } => Failure::passing(why),
        Refused { about: About::Recipient, for_ever: false, why } => Failure::of_the_recipient(why),
        Refused { about: About::Recipient | About::Mail, why, .. } => Failure::permanent(why),
    }
}

#[cfg(test)]
mod tests {
    use super::super::settings::MailTls;
    use super::*;
    use crate::domain::Uid;
    use crate::domain::settings::JsonObject;

    fn mailer() -> Mailer {
        let settings = EmailSettings {
            host: "localhost".to_owned(),
            port: 25,
            tls: MailTls::None,
            username: None,
            password: None,
            from: "Elevon <elevon@example.com>".to_owned(),
            to: Vec::new(),
            attribute: "email".to_owned(),
        };
        Mailer::new(settings, None, true, Duration::from_secs(1)).unwrap()
    }

    #[test]
    fn nothing_that_somebody_wrote_becomes_a_header_or_markup() {
        let shown = Shown { open: Some("https://e/?a=1&b=\"<x>".to_owned()), ..Shown::default() };
        let text = "reason: <script>alert('x')</script>\n\r\n.\r\nMAIL FROM:<x>".to_owned();
        let mail = Mail::new("m".to_owned(), "a@example.com".to_owned(), "hello\r\nBcc: evil@example.com\u{202e}", text, &shown);
        assert_eq!(mail.subject, "hello\\u{d}\\u{a}Bcc: evil@example.com\\u{202e}");
        assert!(!mail.html.contains("<script>") && mail.html.contains("&lt;script&gt;alert(&#39;x&#39;)"), "{}", mail.html);
        assert!(mail.html.contains("href=\"https://e/?a=1&amp;b=&quot;&lt;x&gt;\""), "{}", mail.html);
        let (message, to) = mailer().message(&mail).unwrap();
        let message = String::from_utf8(message).unwrap();
        let head = message.split("\r\n\r\n").next().unwrap();
        assert!(!head.lines().any(|line| line.starts_with("Bcc:")), "{head}");
        assert_eq!(to.to_string(), "a@example.com");
        assert!(head.contains("Message-ID: <m@example.com>") && head.contains("Auto-Submitted: auto-generated"), "{head}");
    }

    #[test]
    fn an_address_is_an_address_and_nothing_else() {
        let rows: &[(serde_json::Value, Option<&str>)] = &[
            (serde_json::json!({ "email": "a@example.com" }), Some("a@example.com")),
            (serde_json::json!({ "email": "a@example.com\r\nBcc: b@example.com" }), None),
            (serde_json::json!({ "email": "a@example.com, b@example.com" }), None),
            (serde_json::json!({ "email": "<a@example.com> b" }), None),
            (serde_json::json!({ "email": 7 }), None),
            (serde_json::json!({ "mail": "a@example.com" }), None),
        ];
        for (attrs, expected) in rows {
            let attrs = JsonObject::new(attrs.as_object().unwrap()).unwrap();
            let definition = EntityDef { uid: Uid::new("User", "a").unwrap(), parents: Vec::new(), attrs };
            assert_eq!(address_of(&definition, "email").as_deref(), *expected, "{definition:?}");
        }
        assert!(is_mailbox("Elevon <elevon@example.com>") && is_mailbox("elevon@example.com"));
        assert!(!is_mailbox("elevon") && !is_mailbox("a@example.com\nBcc: b@example.com"));
    }
}
