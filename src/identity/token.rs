//! Static bearer tokens of Elevon's own: `elv_` and 32 random bytes in base64url. Only the SHA-256 of a token is kept.
//!
//! A token is found by comparing its digest with that of every entry, each in constant time and none left out, so that time tells neither
//! which entry it was nor how much of a guess was right. A salt or a slow hash would add nothing: 32 random bytes cannot be guessed.

use std::collections::BTreeSet;
use std::ops::Range;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;

use crate::domain::text::Digest;
use crate::domain::{Caller, CredentialKind, Timestamp, Uid};

use super::authorization::{self, Carried};
use super::bad::{self, BadCredential, BadSettings, BadToken};
use super::{Authenticator, Identified, MAX_GROUP_BYTES, MAX_GROUPS, Presented};

/// What every token begins with, so that scanners for secrets in source code know one when they see it.
pub(super) const TOKEN_PREFIX: &str = "elv_";
/// Letters of base64url behind it.
const TOKEN_LETTERS: usize = 43;
/// Most entries: each is compared with every token that comes.
const MAX_ENTRIES: usize = 1000;
/// Longest id of an entry, in bytes.
const MAX_ENTRY_ID_BYTES: usize = 128;

/// The text of a token that is made of these random bytes. It is shown once and not kept.
#[must_use]
pub fn token_text(random: [u8; 32]) -> String {
    format!("{TOKEN_PREFIX}{}", URL_SAFE_NO_PAD.encode(random))
}

/// The digest by which a token is kept: SHA-256 over all of its text, as `printf %s "$TOKEN" | sha256sum` gives it.
#[must_use]
pub fn token_sha256(text: &str) -> Digest {
    Digest::of_bytes(text.as_bytes())
}

/// Where in a text the texts of tokens stand: none belongs into a file, for who reads the file can be whom they show.
#[must_use]
pub fn token_texts(text: &str) -> Vec<Range<usize>> {
    let letter = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_".contains(byte);
    let found = text.match_indices(TOKEN_PREFIX).filter_map(|(start, _)| {
        let letters = text.as_bytes().get(start + TOKEN_PREFIX.len()..)?.iter().take_while(|byte| letter(byte)).count();
        (letters >= TOKEN_LETTERS).then_some(start..start + TOKEN_PREFIX.len() + letters)
    });
    found.collect()
}

/// One token as it is kept. A principal may have any number of them.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenEntry {
    /// By which people and logs know it. No secret.
    pub id: String,
    /// The digest of its text, as 64 hexadecimal digits.
    pub sha256: Digest,
    /// Whom it shows.
    #[serde(deserialize_with = "super::principal")]
    pub principal: Uid,
    /// Groups that it claims, none unless said.
    #[serde(default)]
    pub groups: Vec<String>,
    /// From when it counts; at once, unless said.
    pub not_before: Option<Timestamp>,
    /// Until when it counts; for ever, unless said.
    pub expires: Option<Timestamp>,
    /// The token that this one replaces, while both count.
    pub previous: Option<PreviousToken>,
}

/// A token that was replaced.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PreviousToken {
    /// The digest of its text, as 64 hexadecimal digits.
    pub sha256: Digest,
    /// Until when it still counts.
    pub until: Timestamp,
}

/// The tokens that a listener takes.
#[derive(Debug, Clone)]
pub struct Tokens {
    entries: Vec<TokenEntry>,
}

impl Tokens {
    /// Takes these entries.
    ///
    /// # Errors
    /// There are none or too many, two have one id or one digest, or one could never count.
    pub fn new(entries: Vec<TokenEntry>) -> Result<Self, BadSettings> {
        if entries.is_empty() || entries.len() > MAX_ENTRIES {
            let why = format!("{} tokens are named; name at least one and at most {MAX_ENTRIES}", entries.len());
            return Err(BadSettings::new("tokens", why));
        }
        let (mut ids, mut digests) = (BTreeSet::new(), BTreeSet::new());
        for entry in &entries {
            in_order(entry)?;
            let at = || format!("token `{}`", entry.id);
            if !ids.insert(entry.id.as_str()) {
                return Err(BadSettings::new(at(), "two tokens have this id; give each its own"));
            }
            for digest in std::iter::once(entry.sha256).chain(entry.previous.as_ref().map(|previous| previous.sha256)) {
                if !digests.insert(digest) {
                    return Err(BadSettings::new(at(), "its digest is there twice; make a token for each entry"));
                }
            }
        }
        Ok(Self { entries })
    }

    /// The entry that a token is of, and until when the token counts.
    fn find(&self, text: &str, now: Timestamp) -> Result<(&TokenEntry, Option<Timestamp>), BadToken> {
        if !is_token(text) {
            return Err(BadToken::Form);
        }
        let digest = token_sha256(text);
        let mut found = None;
        for entry in &self.entries {
            if same(&digest, &entry.sha256) {
                found = Some((entry, false));
            }
            // compared as often where there is none, so that every entry costs the same
            let previous = entry.previous.as_ref().map_or(&entry.sha256, |previous| &previous.sha256);
            if same(&digest, previous) && entry.previous.is_some() {
                found = Some((entry, true));
            }
        }
        let (entry, replaced) = found.ok_or(BadToken::Unknown)?;
        let id = || entry.id.clone();
        if let Some(at) = entry.not_before.filter(|at| !replaced && now < *at) {
            return Err(BadToken::NotYet { id: id(), at });
        }
        if let Some(at) = entry.expires.filter(|at| now >= *at) {
            return Err(BadToken::Expired { id: id(), at });
        }
        let old = entry.previous.as_ref().filter(|_| replaced).map(|previous| previous.until);
        if let Some(at) = old.filter(|at| now >= *at) {
            return Err(BadToken::Replaced { id: id(), at });
        }
        Ok((entry, [entry.expires, old].into_iter().flatten().min()))
    }
}

fn in_order(entry: &TokenEntry) -> Result<(), BadSettings> {
    let bad = |why: String| Err(BadSettings::new(format!("token `{}`", entry.id), why));
    if entry.id.is_empty() || entry.id.len() > MAX_ENTRY_ID_BYTES || entry.id.chars().any(char::is_control) {
        return bad(format!("an id has 1 to {MAX_ENTRY_ID_BYTES} bytes and no control character"));
    }
    if entry.id.starts_with(TOKEN_PREFIX) {
        return bad("an id is no secret and is shown in logs; this one looks like a token".to_owned());
    }
    if entry.groups.len() > MAX_GROUPS || entry.groups.iter().any(|group| group.is_empty() || group.len() > MAX_GROUP_BYTES) {
        return bad(format!("it claims at most {MAX_GROUPS} groups, each with a name of 1 to {MAX_GROUP_BYTES} bytes"));
    }
    let starts = entry.not_before.unwrap_or(Timestamp::from_millis(i64::MIN));
    if entry.expires.is_some_and(|expires| expires <= starts) {
        return bad("`expires` is not after `not_before`, so it would never count".to_owned());
    }
    Ok(())
}

fn same(one: &Digest, other: &Digest) -> bool {
    verify_slices_are_equal(&one.0, &other.0).is_ok()
}

/// `elv_` and exactly one spelling of 32 bytes.
fn is_token(text: &str) -> bool {
    text.strip_prefix(TOKEN_PREFIX).and_then(|body| URL_SAFE_NO_PAD.decode(body).ok()).is_some_and(|bytes| bytes.len() == 32)
}

impl Authenticator for Tokens {
    fn identify(&self, presented: &Presented<'_>, now: Timestamp) -> Result<Option<Identified>, BadCredential> {
        let taken = bad::name(CredentialKind::Token);
        let text = match authorization::carried(presented, taken)? {
            None => return Ok(None),
            Some(Carried::Token(text)) => text,
            Some(other @ (Carried::Dev | Carried::Jwt(_))) => {
                return Err(BadCredential::NotTaken { kind: other.kind(), taken: taken.to_owned() });
            }
        };
        let (entry, until) = self.find(text, now).map_err(BadCredential::Token)?;
        let caller = Caller {
            principal: entry.principal.clone(),
            credential: CredentialKind::Token,
            amr: Vec::new(),
            auth_time: None,
            groups: entry.groups.clone(),
        };
        Ok(Some(Identified { caller, until }))
    }

    fn challenge(&self) -> &'static str {
        "Bearer realm=\"elevon\""
    }

    fn loopback_only(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: &str = "2030-01-31T09:00:00Z";

    fn time(text: &str) -> Timestamp {
        Timestamp::parse(text).unwrap()
    }

    fn text(seed: u8) -> String {
        token_text([seed; 32])
    }

    fn entry(id: &str, seed: u8) -> TokenEntry {
        TokenEntry {
            id: id.to_owned(),
            sha256: token_sha256(&text(seed)),
            principal: Uid::new("Service", id).unwrap(),
            groups: Vec::new(),
            not_before: None,
            expires: None,
            previous: None,
        }
    }

    fn tokens() -> Tokens {
        let rotated = PreviousToken { sha256: token_sha256(&text(5)), until: time("2030-02-01T00:00:00Z") };
        let stale = PreviousToken { sha256: token_sha256(&text(7)), until: time(NOW) };
        Tokens::new(vec![
            TokenEntry { groups: vec!["deployers".to_owned()], ..entry("plain", 1) },
            TokenEntry { expires: Some(time(NOW)), ..entry("ended", 2) },
            TokenEntry { expires: Some(time("2030-01-31T09:00:00.001Z")), ..entry("ending", 3) },
            TokenEntry { previous: Some(rotated), expires: Some(time("2031-01-01T00:00:00Z")), ..entry("rotated", 4) },
            TokenEntry { previous: Some(stale), not_before: Some(time(NOW)), ..entry("swapped", 6) },
            TokenEntry { not_before: Some(time("2030-01-31T09:00:00.001Z")), ..entry("early", 8) },
            TokenEntry { principal: Uid::new("Service", "plain").unwrap(), ..entry("second of plain", 9) },
        ])
        .unwrap()
    }

    fn read(header: &str) -> Result<Option<Identified>, BadCredential> {
        tokens().identify(&Presented { authorization: &[header.as_bytes()], ..Presented::default() }, time(NOW))
    }

    #[test]
    fn a_token_shows_its_principal_until_it_ends() {
        let rows = [
            (1, "plain", None),
            (3, "ending", Some("2030-01-31T09:00:00.001Z")),
            (4, "rotated", Some("2031-01-01T00:00:00Z")),
            (5, "rotated", Some("2030-02-01T00:00:00Z")),
            (6, "swapped", None),
            (9, "plain", None),
        ];
        for (seed, id, until) in rows {
            let found = read(&format!("Bearer {}", text(seed))).unwrap().unwrap();
            assert_eq!(found.caller.principal, Uid::new("Service", id).unwrap(), "{seed}");
            assert_eq!(found.until, until.map(time), "{seed}");
            assert_eq!(found.caller.credential, CredentialKind::Token);
            assert!(!found.caller.has_mfa(), "a static token shows one factor");
        }
        let spelled = read(&format!("bEARER   {}", text(1))).unwrap().unwrap();
        assert_eq!(spelled.caller.groups, ["deployers"]);
        assert_eq!(tokens().identify(&Presented::default(), time(NOW)), Ok(None));
    }

    #[test]
    fn what_is_no_token_in_force_is_refused() {
        let padded = format!("Bearer {}=", text(1));
        let good = text(1);
        // the last letter of 43 carries two bits that have to be nought: the same bytes, spelled another way
        let respelled = format!("Bearer {}", good.chars().take(good.len() - 1).chain(['F']).collect::<String>());
        let rows = [
            (format!("Bearer {}", text(2)), "ended at", "has expired"),
            (format!("Bearer {}", text(7)), "was replaced", "has expired"),
            (format!("Bearer {}", text(8)), "counts from", "not in force yet"),
            (format!("Bearer {}", text(99)), "of no entry", "not valid here"),
            ("Bearer elv_".to_owned(), "not of the form", "not valid here"),
            (format!("Bearer elv_{}", "A".repeat(42)), "not of the form", "not valid here"),
            (format!("Bearer elv_{}", "A".repeat(44)), "not of the form", "not valid here"),
            (format!("Bearer elv_{}", "A".repeat(8000)), "not of the form", "not valid here"),
            (padded, "not of the form", "not valid here"),
            (respelled, "not of the form", "not valid here"),
            (format!("Bearer {}", text(1).to_uppercase()), "is not taken here", "is not taken here"),
            (format!("Bearer {} ", text(1)), "a character that no token has", "no token has"),
            (format!("Bearer {}, Bearer {}", text(1), text(1)), "a character that no token has", "no token has"),
            ("Bearer".to_owned(), "no token follows", "no token follows"),
            ("Bearer ".to_owned(), "no token follows", "no token follows"),
            (format!("Bearer\t{}", text(1)), "does not take `such`", "does not take `such`"),
            (text(1), "does not take `such`", "does not take `such`"),
            (format!("Basic {}", text(1)), "does not take `Basic`", "does not take `Basic`"),
            (String::new(), "does not take `such`", "does not take `such`"),
        ];
        for (header, logged, told) in rows {
            let bad = read(&header).unwrap_err();
            assert!(bad.for_log().contains(logged), "{header}: {}", bad.for_log());
            assert!(bad.to_string().contains(told), "{header}: {bad}");
            let secret = text(1);
            assert!(!bad.for_log().contains(&secret[4..]) && !bad.to_string().contains(&secret[4..]), "a secret was repeated: {bad}");
        }
    }

    #[test]
    fn repeated_and_unreadable_headers_are_refused() {
        let header = format!("Bearer {}", text(1));
        let twice: &[&[u8]] = &[header.as_bytes(), header.as_bytes()];
        let read = |authorization: &[&[u8]]| tokens().identify(&Presented { authorization, ..Presented::default() }, time(NOW));
        assert_eq!(read(twice), Err(BadCredential::Repeated { count: 2 }));
        assert_eq!(read(&[b"Bearer elv_\xff\xfe"]), Err(BadCredential::NotText));
        assert!(matches!(read(&[&[b'a'; 16 * 1024 + 1]]), Err(BadCredential::TooLong { .. })));
    }

    #[test]
    fn entries_out_of_order_are_refused() {
        let previous = |seed| Some(PreviousToken { sha256: token_sha256(&text(seed)), until: time(NOW) });
        let rows = [
            (vec![], "at least one"),
            ((0..=MAX_ENTRIES).map(|_| entry("x", 1)).collect(), "at most 1000"),
            (vec![entry("a", 1), entry("a", 2)], "two tokens have this id"),
            (vec![entry("a", 1), entry("b", 1)], "digest is there twice"),
            (vec![entry("a", 1), TokenEntry { previous: previous(1), ..entry("b", 2) }], "digest is there twice"),
            (vec![TokenEntry { id: String::new(), ..entry("a", 1) }], "1 to 128 bytes"),
            (vec![TokenEntry { id: text(1), ..entry("a", 1) }], "looks like a token"),
            (vec![TokenEntry { groups: vec![String::new()], ..entry("a", 1) }], "groups"),
            (vec![TokenEntry { not_before: Some(time(NOW)), expires: Some(time(NOW)), ..entry("a", 1) }], "never count"),
        ];
        for (entries, why) in rows {
            let bad = Tokens::new(entries).unwrap_err().to_string();
            assert!(bad.contains(why), "{bad}");
        }
    }

    #[test]
    fn a_token_is_found_wherever_it_stands() {
        let (one, other) = (text(1), text(2));
        let rows = [
            ("sha256 = \"elv_\"".to_owned(), 0),
            (format!("# {one}\nid = \"{other}\""), 2),
            (one.clone(), 1),
            (format!("{one}{other}"), 2),
            (one.chars().take(46).collect(), 0),
            (format!("für {one}"), 1),
        ];
        for (written, count) in rows {
            let found = token_texts(&written);
            assert_eq!(found.len(), count, "{written}");
            assert!(found.iter().all(|span| written[span.clone()].starts_with(TOKEN_PREFIX)), "{written}");
        }
    }

    #[test]
    fn entries_are_read_from_the_configuration() {
        let written = format!("id = \"ci\"\nsha256 = \"{}\"\nprincipal = 'Service::\"ci\"'\n", token_sha256(&text(1)));
        let read: TokenEntry = toml::from_str(&written).unwrap();
        assert_eq!(read, entry("ci", 1));
        let bad = toml::from_str::<TokenEntry>(&format!("{written}expire = \"{NOW}\"\n")).unwrap_err().to_string();
        assert!(bad.contains("expire"), "{bad}");
    }
}
