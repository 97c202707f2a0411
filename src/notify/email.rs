//! E-mail by SMTP: a text and the same as HTML. Addresses come from an attribute that the configuration names, and are parsed; a subject is one line;
//! so nothing that somebody wrote becomes a header.

use std::path::Path;
use std::time::{Duration, SystemTime};

use lettre::address::Envelope;
use lettre::message::header::{ContentType, HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart, SinglePart};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, CertificateStore, Tls, TlsParameters};
use lettre::{Address, Message, SmtpTransport, Transport as _};

use super::guard;
use super::links::Shown;
use super::post::Failure;
use super::settings::{EmailSettings, MailTls};
use super::sign::secret_file;
use crate::domain::settings::EntityDef;

/// Longest subject, in characters.
const MAX_SUBJECT: usize = 200;
/// Codes that speak of the sender's credentials and not of the message.
const ABOUT_CREDENTIALS: std::ops::RangeInclusive<u16> = 530..=538;

/// An e-mail that is ready.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mail {
    /// By which a receiver can tell that it got the same twice.
    pub(super) id: String,
    pub(super) to: Vec<String>,
    pub(super) subject: String,
    pub(super) text: String,
    pub(super) html: String,
}

impl Mail {
    pub(super) fn new(id: String, to: Vec<String>, subject: &str, text: String, shown: &Shown) -> Self {
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
    credentials: Option<Credentials>,
    tls: Option<TlsParameters>,
    allow_private: bool,
    timeout: Duration,
}

impl Mailer {
    pub(super) fn new(settings: EmailSettings, ca: Option<&Path>, allow_private: bool, timeout: Duration) -> Result<Self, String> {
        let from: Mailbox = settings.from.parse().map_err(|error| format!("`from`: {error}"))?;
        let password = settings.password.as_deref().map(secret_file).transpose()?;
        let credentials = settings.username.clone().zip(password).map(|(name, password)| Credentials::new(name, password));
        let tls = match settings.tls {
            MailTls::None => None,
            MailTls::Starttls | MailTls::Tls => Some(parameters(&settings.host, ca)?),
        };
        Ok(Self { settings, from, credentials, tls, allow_private, timeout })
    }

    pub(super) fn send(&self, mail: &Mail) -> Result<(), Failure> {
        let (message, envelope) = self.message(mail).map_err(Failure::permanent)?;
        let EmailSettings { host, port, tls, .. } = &self.settings;
        let found = guard::addresses(host, *port, self.allow_private, self.timeout);
        let found = found.map_err(|barred| Failure::passing(barred.to_string()))?;
        let mut last = Failure::passing("it has no address");
        for address in found {
            let how = match (tls, &self.tls) {
                (MailTls::Starttls, Some(parameters)) => Tls::Required(parameters.clone()),
                (MailTls::Tls, Some(parameters)) => Tls::Wrapper(parameters.clone()),
                (MailTls::None, _) | (_, None) => Tls::None,
            };
            let mut transport =
                SmtpTransport::builder_dangerous(address.ip().to_string()).port(address.port()).tls(how).timeout(Some(self.timeout));
            if let Some(credentials) = &self.credentials {
                transport = transport.credentials(credentials.clone());
            }
            match transport.build().send_raw(&envelope, &message) {
                Ok(_) => return Ok(()),
                Err(error) => {
                    let code = error.status().map(|code| u16::from(code));
                    let why = guard::one_line(&error.to_string());
                    if error.is_permanent() && code.is_none_or(|code| !ABOUT_CREDENTIALS.contains(&code)) {
                        return Err(Failure::permanent(why));
                    }
                    last = Failure::passing(why);
                }
            }
        }
        Err(last)
    }

    fn message(&self, mail: &Mail) -> Result<(Vec<u8>, Envelope), String> {
        let to: Vec<Address> = mail
            .to
            .iter()
            .map(|to| to.parse().map_err(|error| format!("`{}`: {error}", guard::one_line(to))))
            .collect::<Result<_, String>>()?;
        let domain = self.from.email.domain().to_owned();
        let automatic = HeaderName::new_from_ascii_str("Auto-Submitted");
        let mut builder = Message::builder()
            .from(self.from.clone())
            .subject(mail.subject.clone())
            .date(SystemTime::now())
            .message_id(Some(format!("<{}@{domain}>", mail.id)))
            .raw_header(HeaderValue::new(automatic, "auto-generated".to_owned()));
        for to in &to {
            builder = builder.to(Mailbox::new(None, to.clone()));
        }
        let part = |kind: ContentType, body: &str| SinglePart::builder().header(kind).body(body.to_owned());
        let both = MultiPart::alternative()
            .singlepart(part(ContentType::TEXT_PLAIN, &mail.text))
            .singlepart(part(ContentType::TEXT_HTML, &mail.html));
        let message = builder.multipart(both).map_err(|error| error.to_string())?;
        let envelope = Envelope::new(Some(self.from.email.clone()), to).map_err(|error| error.to_string())?;
        Ok((message.formatted(), envelope))
    }
}

fn parameters(host: &str, ca: Option<&Path>) -> Result<TlsParameters, String> {
    let mut builder = TlsParameters::builder(host.to_owned());
    if let Some(path) = ca {
        let bad = |why: String| format!("the file of authorities `{}` cannot be used: {why}", path.display());
        let pem = secret_file(path).map_err(bad)?;
        builder = builder.certificate_store(CertificateStore::None);
        builder = builder.add_root_certificate(Certificate::from_pem(pem.as_bytes()).map_err(|error| bad(error.to_string()))?);
    }
    builder.build_rustls().map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
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
        let mail = Mail::new("m".to_owned(), vec!["a@example.com".to_owned()], "hello\r\nBcc: evil@example.com\u{202e}", text, &shown);
        assert_eq!(mail.subject, "hello\\u{d}\\u{a}Bcc: evil@example.com\\u{202e}");
        assert!(!mail.html.contains("<script>") && mail.html.contains("&lt;script&gt;alert(&#39;x&#39;)"), "{}", mail.html);
        assert!(mail.html.contains("href=\"https://e/?a=1&amp;b=&quot;&lt;x&gt;\""), "{}", mail.html);
        let (message, envelope) = mailer().message(&mail).unwrap();
        let message = String::from_utf8(message).unwrap();
        let head = message.split("\r\n\r\n").next().unwrap();
        assert!(!head.lines().any(|line| line.starts_with("Bcc:")), "{head}");
        assert_eq!(envelope.to().len(), 1);
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
