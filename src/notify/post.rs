//! One POST to one address. The connection goes to an address that was looked at ([`super::guard`]); no proxy is used, no redirect followed, and of
//! an answer only so much is read.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ureq::tls::TlsConfig;
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{DefaultConnector, NextTimeout};

use super::guard;
use super::settings::Url;
use crate::domain::Timestamp;

/// How much of an answer is read, in bytes.
const MAX_ANSWER_BYTES: u64 = 16 << 10;
/// How much of an answer's head is read, in bytes.
const MAX_HEAD_BYTES: usize = 16 << 10;
/// The longest that a receiver can ask for.
pub(super) const MAX_RETRY_AFTER: Duration = Duration::from_hours(1);

/// Longest reason that is kept, in characters: it comes from outside.
const MAX_WHY: usize = 300;

/// Why something was not delivered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Failure {
    /// Whether this very message will never be taken.
    pub(super) permanent: bool,
    /// Whether it is a matter of whom the message is for, and others can be told meanwhile.
    pub(super) of_the_recipient: bool,
    /// When the receiver wants to be asked again.
    pub(super) retry_after: Option<Duration>,
    /// Why, in a line.
    pub(super) why: String,
}

impl Failure {
    /// One after which it is tried again.
    pub(super) fn passing(why: impl AsRef<str>) -> Self {
        let why = super::guard::one_line(why.as_ref()).chars().take(MAX_WHY).collect();
        Self { permanent: false, of_the_recipient: false, retry_after: None, why }
    }

    /// One after which it is not.
    pub(super) fn permanent(why: impl AsRef<str>) -> Self {
        Self { permanent: true, ..Self::passing(why) }
    }

    /// One after which it is tried again, while others are told.
    pub(super) fn of_the_recipient(why: impl AsRef<str>) -> Self {
        Self { of_the_recipient: true, ..Self::passing(why) }
    }

    /// Two failures of one message: it may be taken later where one of them passes.
    pub(super) fn and(self, other: Self) -> Self {
        let why = if self.why == other.why { self.why } else { format!("{}; {}", self.why, other.why) };
        Self {
            permanent: self.permanent && other.permanent,
            of_the_recipient: (self.permanent || self.of_the_recipient) && (other.permanent || other.of_the_recipient),
            retry_after: self.retry_after.max(other.retry_after),
            ..Self::passing(why)
        }
    }
}

/// What came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) retry_after: Option<Duration>,
    pub(super) body: Vec<u8>,
}

impl Answer {
    /// That it was not taken.
    pub(super) fn refused(&self) -> Failure {
        Failure { retry_after: self.retry_after, ..Failure::passing(format!("it answered {}", self.status)) }
    }
}

/// Where to post.
pub(super) struct Poster {
    url: Url,
    allow_private: bool,
    timeout: Duration,
    tls: Option<TlsConfig>,
}

/// Addresses that were looked at.
#[derive(Debug)]
struct Fixed(Vec<SocketAddr>);

impl Resolver for Fixed {
    fn resolve(&self, _: &ureq::http::Uri, _: &ureq::config::Config, _: NextTimeout) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let mut all = self.empty();
        self.0.iter().for_each(|address| all.push(*address));
        Ok(all)
    }
}

impl Poster {
    /// `tls` has to be there for an address by TLS.
    pub(super) fn new(url: Url, allow_private: bool, timeout: Duration, tls: Option<TlsConfig>) -> Self {
        Self { url, allow_private, timeout, tls }
    }

    pub(super) fn post(&self, headers: &[(&str, &str)], body: &[u8], now: Timestamp) -> Result<Answer, Failure> {
        let began = Instant::now();
        let found = guard::addresses(&self.url.host, self.url.port, self.allow_private, self.timeout);
        let found = found.map_err(|barred| Failure::passing(barred.to_string()))?;
        let left = self.timeout.saturating_sub(began.elapsed()).max(Duration::from_millis(1));
        let mut config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .proxy(None)
            .max_redirects(0)
            .https_only(self.url.https)
            .max_response_header_size(MAX_HEAD_BYTES)
            .timeout_global(Some(left))
            .user_agent(concat!("elevon/", env!("CARGO_PKG_VERSION")));
        if let Some(tls) = &self.tls {
            config = config.tls_config(tls.clone());
        }
        let agent = ureq::Agent::with_parts(config.build(), DefaultConnector::default(), Fixed(found));
        let mut request = agent.post(&self.url.text);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut reply = request.send(body).map_err(|error| Failure::passing(error.to_string()))?;
        let header = |name: &str| reply.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let retry_after = header("retry-after").and_then(|text| retry_after(&text, now));
        // what is longer, or does not come, says nothing more: the status was read
        let body = reply.body_mut().with_config().limit(MAX_ANSWER_BYTES).read_to_vec().unwrap_or_default();
        Ok(Answer { status: reply.status().as_u16(), retry_after, body })
    }
}

/// `Retry-After`: seconds, or an instant (RFC 9110, section 10.2.3), within bounds.
fn retry_after(text: &str, now: Timestamp) -> Option<Duration> {
    let text = text.trim();
    let wait = if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        Duration::from_secs(text.parse().unwrap_or(u64::MAX))
    } else {
        let instant = chrono::DateTime::parse_from_rfc2822(text).ok()?;
        Duration::from_millis(u64::try_from(instant.timestamp_millis().saturating_sub(now.millis())).unwrap_or(0))
    };
    Some(wait.min(MAX_RETRY_AFTER))
}

/// Whom to trust by TLS: for what is posted, and for mail.
pub struct Trust {
    /// As it is used by calls over HTTP.
    pub http: TlsConfig,
    /// As it is used by mail.
    pub mail: Arc<rustls::ClientConfig>,
}

/// How to trust the authorities in a file, or those of this machine.
pub type Roots = Arc<dyn Fn(Option<&std::path::Path>) -> Result<Trust, String> + Send + Sync>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receiver_says_when_it_wants_to_be_asked_again() {
        let now = Timestamp::parse("2030-01-31T09:00:00Z").unwrap();
        let rows: &[(&str, Option<u64>)] = &[
            ("0", Some(0)),
            (" 120 ", Some(120)),
            ("999999999999999999999999", Some(3600)),
            ("Thu, 31 Jan 2030 09:01:00 GMT", Some(60)),
            ("Thu, 31 Jan 2030 08:00:00 GMT", Some(0)),
            ("Fri, 31 Jan 2031 08:00:00 GMT", Some(3600)),
            ("-1", None),
            ("soon", None),
            ("", None),
        ];
        for (text, seconds) in rows {
            assert_eq!(retry_after(text, now), seconds.map(Duration::from_secs), "{text}");
        }
    }

    #[test]
    fn a_reason_is_one_line_of_bounded_length() {
        let long = Failure::passing(format!("a\r\n{}", "x".repeat(240 << 10)));
        assert_eq!((long.why.chars().count(), long.why.starts_with("a\\u{d}\\u{a}x")), (MAX_WHY, true));
        let both = long.clone().and(Failure::permanent("y"));
        assert_eq!((both.why.chars().count(), both.permanent, both.of_the_recipient), (MAX_WHY, false, false));
        let one = Failure::of_the_recipient("full").and(Failure::permanent("gone"));
        assert_eq!((one.permanent, one.of_the_recipient, one.why.as_str()), (false, true, "full; gone"));
    }
}
