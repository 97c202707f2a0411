//! What a configuration says of destinations. Whoever reads the file makes these; nothing they name is looked at here.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use super::digest::DigestSettings;
use super::template::Templates;
use crate::domain::alert::Severity;
use crate::domain::notice::Notice;
use crate::domain::{Duration, Uid};

/// Most destinations.
pub const MAX_DESTINATIONS: usize = 32;
/// Most secrets of one webhook: the one that is used, and those that are on their way out.
pub const MAX_SECRETS: usize = 4;
/// Most addresses that an e-mail destination always writes to.
pub const MAX_MAILBOXES: usize = 20;

/// Who is told of what happened, and how.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NotifySettings {
    /// Where people's browsers reach this server, without a slash at the end; for links.
    pub public_url: Option<String>,
    /// How long a link to approve is good for.
    pub link_good_for: Duration,
    /// The destinations, by name.
    pub destinations: BTreeMap<String, DestinationSettings>,
    /// The weekly digest.
    pub digest: Option<DigestSettings>,
    /// What is written.
    pub templates: Templates,
}

/// One destination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DestinationSettings {
    /// Its name.
    pub name: String,
    /// What it is.
    pub kind: Kind,
    /// What it hears of, of every role and of what is of no role; besides, it hears of what a role's settings name it for.
    pub events: BTreeSet<Notice>,
    /// From which severity on it hears of alerts; where nothing is said, as `events` says.
    pub alerts: Option<Severity>,
    /// Whether it gets what people wrote: reasons and tickets.
    pub texts: bool,
    /// Whether it may be at an address that is not public, and without TLS on this machine.
    pub allow_private: bool,
    /// The authorities that its certificate is held against; those that this machine trusts, unless said.
    pub ca: Option<PathBuf>,
    /// How long one attempt may take.
    pub timeout: Duration,
    /// How often one message is tried at most.
    pub max_attempts: u32,
    /// For how long one message is tried at most.
    pub give_up_after: Duration,
    /// The first pause after a failure; each one after it is twice as long.
    pub first_pause: Duration,
    /// The longest pause.
    pub longest_pause: Duration,
    /// Most letters that are kept of what could not be delivered.
    pub dead_letters: usize,
}

/// What a destination is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// JSON with a signature, as Standard Webhooks say.
    Webhook {
        /// Where.
        url: Url,
        /// Files with the secrets that sign: each signs, so that a receiver may know any of them.
        secrets: Vec<PathBuf>,
    },
    /// A message in a channel, as Slack's incoming webhooks take it.
    Slack {
        /// A file with the address, which is a secret.
        url: PathBuf,
        /// Who reads the channel, where it is one person: links to approve are made for them.
        principal: Option<Uid>,
    },
    /// E-mail.
    Email(EmailSettings),
    /// Security Event Tokens.
    Set(SetSettings),
}

impl Kind {
    /// The word for it.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Webhook { .. } => "webhook",
            Self::Slack { .. } => "slack",
            Self::Email(_) => "email",
            Self::Set(_) => "set",
        }
    }
}

/// How e-mail is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EmailSettings {
    /// The mail server's name.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How the way there is secured.
    pub tls: MailTls,
    /// Who signs in there.
    pub username: Option<String>,
    /// The file with the password.
    pub password: Option<PathBuf>,
    /// The sender's address.
    pub from: String,
    /// Addresses that are always written to, of what the destination hears of.
    pub to: Vec<String>,
    /// The attribute of a principal that is its address.
    pub attribute: String,
}

/// How the way to a mail server is secured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MailTls {
    /// By STARTTLS, which has to be offered.
    Starttls,
    /// From the first byte on.
    Tls,
    /// Not at all: on this machine only.
    None,
}

/// How Security Event Tokens are made and pushed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetSettings {
    /// Where they are pushed.
    pub url: Url,
    /// `iss`.
    pub issuer: String,
    /// `aud`.
    pub audience: String,
    /// The key that signs: PKCS #8 in PEM, on P-256.
    pub key: PathBuf,
    /// By which name the receiver knows it; its thumbprint, unless said.
    pub kid: Option<String>,
    /// Keys that are still published, though they sign no more, each with the name that it had; its thumbprint, unless said.
    pub retired: Vec<(PathBuf, Option<String>)>,
    /// A file with the token that shows the receiver who pushes.
    pub authorization: Option<PathBuf>,
    /// How a subject is named.
    pub subject: SubjectFormat,
    /// The claim that lists the roles that somebody holds.
    pub claim: String,
}

/// How a principal is named in a Security Event Token (RFC 9493).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SubjectFormat {
    /// `{"format": "opaque", "id": "User::\"alice\""}`.
    Opaque,
    /// `{"format": "iss_sub", "iss": …, "sub": "alice"}`.
    IssSub {
        /// The issuer that knows the principal by its id.
        issuer: String,
        /// The type of principals that it knows: an id alone does not say which of two is meant.
        of: String,
    },
    /// `{"format": "email", "email": …}`, by an attribute of the principal.
    Email {
        /// Which one.
        attribute: String,
        /// The type of principals that are known by it.
        of: String,
    },
}

impl SubjectFormat {
    /// Whether principals of a type are named so.
    #[must_use]
    pub fn means(&self, kind: &str) -> bool {
        match self {
            Self::Opaque => true,
            Self::IssSub { of, .. } | Self::Email { of, .. } => of == kind,
        }
    }
}

/// An address that something is sent to, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Url {
    /// The whole.
    pub text: String,
    /// Whether it is by TLS.
    pub https: bool,
    /// The host: a name, or an address without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
}

/// Longest address, in bytes.
const MAX_URL_BYTES: usize = 2048;

impl Url {
    /// Reads an address: `https://`, or `http://` too where it is said to be of this machine. No user, no password, no fragment.
    ///
    /// # Errors
    /// It is none; why.
    pub fn parse(text: &str, allow_private: bool) -> Result<Self, String> {
        let plain = text.len() <= MAX_URL_BYTES && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\' && byte != b'#');
        let (https, rest) = match (text.strip_prefix("https://"), text.strip_prefix("http://")) {
            (Some(rest), _) => (true, rest),
            (None, Some(rest)) => (false, rest),
            (None, None) => return Err("an address begins with `https://`".to_owned()),
        };
        let authority = rest.split(['/', '?']).next().unwrap_or_default();
        if !plain || authority.contains('@') {
            return Err("an address has visible ASCII characters only, no user, no password and no fragment".to_owned());
        }
        let (host, port) = match authority.strip_prefix('[') {
            Some(rest) => {
                let (host, after) = rest.split_once(']').ok_or("its host is not closed by `]`")?;
                host.parse::<std::net::Ipv6Addr>().map_err(|_| "between brackets stands an IPv6 address")?;
                (host, after.strip_prefix(':').or_else(|| after.is_empty().then_some("")))
            }
            None => match authority.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (authority, Some("")),
            },
        };
        let port = match port {
            Some("") => Some(if https { 443 } else { 80 }),
            Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => digits.parse().ok().filter(|port| *port != 0),
            Some(_) | None => None,
        };
        let port: u16 = port.ok_or("its port is no number from 1 to 65535")?;
        let named = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b':');
        if host.is_empty() || !host.bytes().all(named) {
            return Err("it has no host".to_owned());
        }
        let url = Self { text: text.to_owned(), https, host: host.to_owned(), port };
        let stays_here = allow_private && url.is_of_this_machine();
        if !https && !stays_here {
            return Err(
                "`http://` goes over the wire for everybody to read; it is taken on this machine only, with `allow_private = true`"
                    .to_owned(),
            );
        }
        Ok(url)
    }

    /// Whether its host is this machine by its very name.
    #[must_use]
    pub fn is_of_this_machine(&self) -> bool {
        is_of_this_machine(&self.host)
    }
}

/// Whether a host is this machine by its very name.
#[must_use]
pub fn is_of_this_machine(host: &str) -> bool {
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_https_and_hide_nothing() {
        /// An address, whether it may be private, and its host and port.
        type Row = (&'static str, bool, Option<(&'static str, u16)>);
        let rows: &[Row] = &[
            ("https://hooks.example/in?x=1", false, Some(("hooks.example", 443))),
            ("https://hooks.example:8443", false, Some(("hooks.example", 8443))),
            ("https://[2001:db8::1]:9/x", false, Some(("2001:db8::1", 9))),
            ("http://127.0.0.1:9/x", true, Some(("127.0.0.1", 9))),
            ("http://localhost/x", true, Some(("localhost", 80))),
            ("http://[::1]:9/x", true, Some(("::1", 9))),
            ("http://127.0.0.1:9/x", false, None),
            ("http://hooks.example/", true, None),
            ("http://localhost.evil.example/", true, None),
            ("ftp://hooks.example/", true, None),
            ("hooks.example", true, None),
            ("https://", false, None),
            ("https:///x", false, None),
            ("https://user:secret@hooks.example/", false, None),
            ("https://hooks.example\\@evil.example/", false, None),
            ("https://hooks.example/#x", false, None),
            ("https://hooks.example:0/", false, None),
            ("https://hooks.example:x/", false, None),
            ("https://[::1/", false, None),
            ("https://[hooks.example]/", false, None),
            ("https://hooks.example/ x", false, None),
            ("https://hooks.exämple/", false, None),
        ];
        for (text, allow_private, expected) in rows {
            let read = Url::parse(text, *allow_private).ok();
            assert_eq!(read.as_ref().map(|url| (url.host.as_str(), url.port)), *expected, "{text}");
        }
    }
}
