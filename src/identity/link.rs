//! Links by which an approver answers from a message: signed, short-lived, and of no use to anybody else.
//!
//! A link is no credential. It says which request was shown to whom, and how that request read then; whoever opens it has to be that
//! approver by a credential of their own. What it adds to a vote is that nobody can make one up: neither for another request, nor for one that
//! has changed since, nor for another approver.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use serde::{Deserialize, Serialize};

use crate::domain::text::Digest;
use crate::domain::{ActivationId, Timestamp, Uid};

/// Bytes of the key that links are signed with.
pub const LINK_KEY_BYTES: usize = 32;
/// Bytes that tell a link from every other.
pub const LINK_ID_BYTES: usize = 16;
/// Longest link that is looked at, in bytes.
pub const MAX_LINK_BYTES: usize = 4 * 1024;

/// What is signed begins with this, so that nothing else that may ever be signed with the key is a link.
const PURPOSE: &[u8] = b"elevon approval link 1\n";

/// What a link says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Link {
    /// What tells it from every other, in base64url.
    pub id: String,
    /// Whom it was made for.
    pub approver: Uid,
    /// The request.
    pub activation: ActivationId,
    /// How the request read.
    pub request_hash: Digest,
    /// From then on it opens nothing.
    pub expires_at: Timestamp,
}

/// Why a link opens nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadLink {
    /// It was not made here, or it was changed, or cut short.
    #[error("this is not a link that was made here; perhaps a part of it is missing")]
    NotOurs,
    /// Its time is over.
    #[error("the link was good until {at}")]
    Expired {
        /// When that was.
        at: Timestamp,
    },
}

/// The key that links are signed with (HMAC with SHA-256, RFC 2104).
pub struct LinkKey(hmac::Key);

impl std::fmt::Debug for LinkKey {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("LinkKey(..)")
    }
}

impl LinkKey {
    /// A key of these bytes, which nobody else may know.
    #[must_use]
    pub fn new(secret: &[u8; LINK_KEY_BYTES]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, secret))
    }

    /// An id of these bytes, which have to be random.
    #[must_use]
    pub fn id(random: &[u8; LINK_ID_BYTES]) -> String {
        BASE64.encode(random)
    }

    /// The text of a link: what it says, a point, and the signature.
    ///
    /// # Errors
    /// It cannot be written as JSON.
    pub fn sign(&self, link: &Link) -> Result<String, serde_json::Error> {
        let said = BASE64.encode(serde_json::to_vec(link)?);
        let signature = BASE64.encode(self.signature(&said));
        Ok(format!("{said}.{signature}"))
    }

    /// What a link says. Nothing of it is looked at before the signature holds.
    ///
    /// # Errors
    /// It was not made with this key, or its time is over.
    pub fn read(&self, text: &str, now: Timestamp) -> Result<Link, BadLink> {
        let (said, signature) = text.split_once('.').filter(|_| text.len() <= MAX_LINK_BYTES).ok_or(BadLink::NotOurs)?;
        let signature = BASE64.decode(signature).map_err(|_| BadLink::NotOurs)?;
        hmac::verify(&self.0, &signed(said), &signature).map_err(|_| BadLink::NotOurs)?;
        let said = BASE64.decode(said).map_err(|_| BadLink::NotOurs)?;
        let link: Link = serde_json::from_slice(&said).map_err(|_| BadLink::NotOurs)?;
        if link.expires_at <= now { Err(BadLink::Expired { at: link.expires_at }) } else { Ok(link) }
    }

    fn signature(&self, said: &str) -> hmac::Tag {
        hmac::sign(&self.0, &signed(said))
    }
}

fn signed(said: &str) -> Vec<u8> {
    [PURPOSE, said.as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link() -> Link {
        Link {
            id: LinkKey::id(&[7; LINK_ID_BYTES]),
            approver: Uid::parse("User::\"bob\"").unwrap(),
            activation: ActivationId::new("act_1").unwrap(),
            request_hash: Digest::of_bytes(b"as it was shown"),
            expires_at: Timestamp::parse("2030-01-01T01:00:00Z").unwrap(),
        }
    }

    fn at(text: &str) -> Timestamp {
        Timestamp::parse(text).unwrap()
    }

    #[test]
    fn a_link_says_what_it_was_made_of_until_its_time_is_over() {
        let key = LinkKey::new(&[1; LINK_KEY_BYTES]);
        let text = key.sign(&link()).unwrap();
        assert!(text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte)), "{text}");
        assert_eq!(key.read(&text, at("2030-01-01T00:59:59.999Z")), Ok(link()));
        for late in ["2030-01-01T01:00:00Z", "2031-01-01T00:00:00Z"] {
            assert_eq!(key.read(&text, at(late)), Err(BadLink::Expired { at: link().expires_at }), "{late}");
        }
    }

    #[test]
    fn nothing_but_what_was_signed_here_is_a_link() {
        let key = LinkKey::new(&[1; LINK_KEY_BYTES]);
        let now = at("2030-01-01T00:00:00Z");
        let text = key.sign(&link()).unwrap();
        let (said, signature) = text.split_once('.').unwrap();
        let other = Link { approver: Uid::parse("User::\"mallory\"").unwrap(), ..link() };
        let others = BASE64.encode(serde_json::to_vec(&other).unwrap());
        let elsewhere = LinkKey::new(&[2; LINK_KEY_BYTES]).sign(&link()).unwrap();
        // the same key, for what is no link
        let purposeless = hmac::sign(&key.0, said.as_bytes());
        let rows = [
            String::new(),
            ".".to_owned(),
            said.to_owned(),
            format!("{said}."),
            format!(".{signature}"),
            format!("{others}.{signature}"),
            format!("{said}.{}", &signature[..signature.len() - 2]),
            format!("{said}.{signature}="),
            format!("{text}."),
            format!(" {text}"),
            format!("{said}.{}", BASE64.encode(purposeless)),
            elsewhere,
            "A".repeat(MAX_LINK_BYTES + 1),
        ];
        for row in rows {
            assert_eq!(key.read(&row, now), Err(BadLink::NotOurs), "{row}");
        }
        // every single letter counts
        for place in 0..text.len() {
            let mut bytes = text.clone().into_bytes();
            bytes[place] = if bytes[place] == b'A' { b'B' } else { b'A' };
            assert_eq!(key.read(std::str::from_utf8(&bytes).unwrap(), now), Err(BadLink::NotOurs), "letter {place}");
        }
    }

    #[test]
    fn a_key_is_not_shown() {
        assert_eq!(format!("{:?}", LinkKey::new(&[9; LINK_KEY_BYTES])), "LinkKey(..)");
    }
}
