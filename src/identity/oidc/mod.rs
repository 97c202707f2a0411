//! Access tokens of OpenID providers: JWTs (RFC 7519, RFC 9068), read as RFC 8725 asks.
//!
//! In order: take the token apart; find its issuer among the configured ones; find its key in that issuer's set, by `kid`; see that the
//! header names the key's algorithm; verify the signature; only then believe a claim. Lost: a library that does all of it, for its claims
//! were once too lenient (CVE-2026-25537) and it brings HMAC along; what is taken from one is the mathematics.

mod claims;
mod json;
mod jws;
mod keys;

pub use keys::{Algorithm, KeySet, Keys, SkippedKey};

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::Value;

use super::authorization::{self, Carried};
use super::bad::{self, BadCredential, BadJwt, BadSettings};
use super::{Authenticator, Identified, Presented};
use crate::domain::{CredentialKind, Duration, Timestamp, Uid};
use jws::Jws;
use keys::Key;

/// Most issuers.
const MAX_ISSUERS: usize = 32;
/// Most entries in a list of settings.
const MAX_LISTED: usize = 64;
/// Longest text in the settings, in bytes.
const MAX_SETTING_BYTES: usize = 1024;
/// Most leeway for clocks that differ.
const MAX_LEEWAY: Duration = Duration::from_mins(5);
/// Longest `max_lifetime`.
const MAX_LIFETIME: Duration = Duration::from_days(7);

/// Where an issuer's keys are.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeySource {
    /// At an address, `https`, or `http` on this machine.
    Url(String),
    /// In a file.
    File(String),
}

/// Which access tokens of one issuer are taken, and whom they show.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IssuerSettings {
    /// `iss`, byte for byte.
    pub issuer: String,
    /// Where its keys are.
    pub keys: KeySource,
    /// One of these has to be in `aud`.
    pub audiences: Vec<String>,
    /// The algorithms that its keys may be for; RS256, ES256, ES384 and EdDSA unless said.
    #[serde(default = "Algorithm::usual")]
    pub algorithms: Vec<Algorithm>,
    /// What `typ` may be; `at+jwt` unless said.
    #[serde(default = "usual_types")]
    pub types: Vec<String>,
    /// How far its clock and this one may differ; 60 s unless said, at most 5 min.
    #[serde(default = "usual_leeway")]
    pub leeway: Duration,
    /// Whether `nbf` has to be there; it has, unless said.
    #[serde(default = "yes")]
    pub require_nbf: bool,
    /// Longest time from `iat` to `exp`; 24 h unless said, at most 7 days.
    #[serde(default = "usual_lifetime")]
    pub max_lifetime: Duration,
    /// The type of the principals that its tokens show.
    pub principal_type: String,
    /// The claim that is the principal's id; `sub` unless said. With `email`, `email_verified` has to be `true`.
    #[serde(default = "usual_claim")]
    pub principal_claim: String,
    /// What the claim has to begin with and the id does not.
    pub strip_prefix: Option<String>,
    /// The claim with the groups; none are read unless said.
    pub groups_claim: Option<String>,
    /// The values of `acr` that mean more than one factor.
    #[serde(default)]
    pub mfa_acr: Vec<String>,
}

fn usual_types() -> Vec<String> {
    vec!["at+jwt".to_owned()]
}

fn usual_leeway() -> Duration {
    Duration::from_secs(60)
}

fn usual_lifetime() -> Duration {
    Duration::from_hours(24)
}

fn usual_claim() -> String {
    "sub".to_owned()
}

fn yes() -> bool {
    true
}

/// One issuer whose tokens are taken, with its keys.
#[derive(Clone)]
pub struct Issuer {
    settings: IssuerSettings,
    keys: Arc<dyn Keys>,
}

impl fmt::Debug for Issuer {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Issuer").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl Issuer {
    /// Takes these settings and this place where its keys are at hand.
    ///
    /// # Errors
    /// A setting is out of its bounds.
    pub fn new(settings: IssuerSettings, keys: Arc<dyn Keys>) -> Result<Self, BadSettings> {
        in_order(&settings).map_err(|why| BadSettings::new(format!("issuer `{}`", settings.issuer), why))?;
        Ok(Self { settings, keys })
    }

    /// Its settings, as they were taken.
    #[must_use]
    pub fn settings(&self) -> &IssuerSettings {
        &self.settings
    }

    pub(in crate::identity) fn current_keys(&self) -> Arc<KeySet> {
        self.keys.current()
    }

    fn identify(&self, token: &Jws<'_>, now: Timestamp) -> Result<Identified, BadJwt> {
        let settings = &self.settings;
        if !token.header.is_of(&settings.types) {
            let why = format!("its `typ` is {:?} and none of {:?}", short(token.header.typ.as_deref().unwrap_or_default()), settings.types);
            return Err(BadJwt::Header { why });
        }
        let keys = self.keys.current();
        let key = self.key(&keys, token.header.kid.as_deref())?;
        // RFC 9864 calls EdDSA with Ed25519 by the curve's name
        let named = if token.header.alg == "Ed25519" { "EdDSA" } else { token.header.alg.as_str() };
        if named != key.algorithm.as_str() {
            return Err(BadJwt::Algorithm { header: short(&token.header.alg), key: key.algorithm.as_str() });
        }
        if !key.verifies(token.signed, &token.signature) {
            return Err(BadJwt::Signature { issuer: settings.issuer.clone() });
        }
        claims::caller(&token.payload, settings, now)
    }

    fn key<'a>(&self, keys: &'a KeySet, kid: Option<&str>) -> Result<&'a Key, BadJwt> {
        let issuer = || self.settings.issuer.clone();
        if keys.is_empty() {
            return Err(BadJwt::NoKeys { issuer: issuer() });
        }
        match kid {
            Some(kid) => keys.named(kid).ok_or_else(|| BadJwt::UnknownKey { issuer: issuer(), kid: kid.to_owned() }),
            None => keys.only().ok_or_else(|| BadJwt::WhichKey { issuer: issuer(), count: keys.len() }),
        }
    }
}

/// At most so much of what a token says goes to the log.
fn short(text: &str) -> String {
    text.chars().take(256).collect()
}

fn in_order(settings: &IssuerSettings) -> Result<(), String> {
    let plain = |text: &String| !text.is_empty() && text.len() <= MAX_SETTING_BYTES && !text.chars().any(char::is_control);
    let lists = [("audiences", &settings.audiences), ("types", &settings.types), ("mfa_acr", &settings.mfa_acr)];
    if let Some((name, _)) = lists.iter().find(|(_, list)| list.len() > MAX_LISTED || !list.iter().all(plain)) {
        return Err(format!("`{name}` has at most {MAX_LISTED} entries of 1 to {MAX_SETTING_BYTES} bytes"));
    }
    if settings.audiences.is_empty() || settings.types.is_empty() || settings.algorithms.is_empty() {
        return Err("`audiences`, `types` and `algorithms` need at least one entry each".to_owned());
    }
    let texts = [("issuer", Some(&settings.issuer)), ("principal_claim", Some(&settings.principal_claim))];
    let more = [("strip_prefix", settings.strip_prefix.as_ref()), ("groups_claim", settings.groups_claim.as_ref())];
    if let Some((name, _)) = texts.iter().chain(&more).find(|(_, text)| text.is_some_and(|text| !plain(text))) {
        return Err(format!("`{name}` has 1 to {MAX_SETTING_BYTES} bytes and no control character"));
    }
    Uid::new(&settings.principal_type, "x").map_err(|why| format!("`principal_type`: {why}"))?;
    if settings.leeway > MAX_LEEWAY {
        return Err(format!("`leeway` is {}; at most {MAX_LEEWAY}", settings.leeway));
    }
    if settings.max_lifetime > MAX_LIFETIME || settings.max_lifetime == Duration::default() {
        return Err(format!("`max_lifetime` is {}; more than nothing and at most {MAX_LIFETIME}", settings.max_lifetime));
    }
    key_source(&settings.keys)
}

fn key_source(source: &KeySource) -> Result<(), String> {
    match source {
        KeySource::File(path) if path.is_empty() => Err("`keys.file` is empty; name a file".to_owned()),
        KeySource::File(_) => Ok(()),
        KeySource::Url(url) => {
            let host = |rest: &str| rest.split(['/', '?', '#']).next().unwrap_or_default().to_owned();
            let secure = url.strip_prefix("https://").is_some_and(|rest| !host(rest).is_empty());
            let local = url.strip_prefix("http://").is_some_and(|rest| super::is_loopback_host(&host(rest)));
            if secure || local {
                Ok(())
            } else {
                Err(format!("`keys.url` is `{url}`; write `https://…`, or `http://` and a loopback name"))
            }
        }
    }
}

/// The issuers whose access tokens a listener takes.
#[derive(Debug, Clone)]
pub struct Oidc {
    issuers: Vec<Issuer>,
}

impl Oidc {
    /// Takes these issuers. Two issuers that show principals of one type can each name all of them.
    ///
    /// # Errors
    /// There are none or too many, or two are of one name.
    pub fn new(issuers: Vec<Issuer>) -> Result<Self, BadSettings> {
        if issuers.is_empty() || issuers.len() > MAX_ISSUERS {
            let why = format!("{} issuers are named; name at least one and at most {MAX_ISSUERS}", issuers.len());
            return Err(BadSettings::new("oidc", why));
        }
        let mut seen = BTreeSet::new();
        if let Some(twice) = issuers.iter().find(|issuer| !seen.insert(issuer.settings.issuer.as_str())) {
            return Err(BadSettings::new(format!("issuer `{}`", twice.settings.issuer), "it is there twice; keep one"));
        }
        Ok(Self { issuers })
    }

    pub(in crate::identity) fn issuers(&self) -> &[Issuer] {
        &self.issuers
    }

    fn read(&self, token: &str, now: Timestamp) -> Result<Identified, BadJwt> {
        let token = Jws::read(token)?;
        // not verified yet: it says whose keys to verify with, and nothing else
        let Some(Value::String(named)) = token.payload.get("iss") else {
            return Err(BadJwt::Form { why: "its `iss` is missing or not a string".to_owned() });
        };
        let issuer = self.issuers.iter().find(|issuer| issuer.settings.issuer == *named);
        issuer.ok_or_else(|| BadJwt::UnknownIssuer { issuer: short(named) })?.identify(&token, now)
    }
}

impl Authenticator for Oidc {
    fn identify(&self, presented: &Presented<'_>, now: Timestamp) -> Result<Option<Identified>, BadCredential> {
        let taken = bad::name(CredentialKind::Oidc);
        match authorization::carried(presented, taken)? {
            None => Ok(None),
            Some(Carried::Jwt(token)) => self.read(token, now).map(Some).map_err(BadCredential::Jwt),
            Some(other @ (Carried::Dev | Carried::Token(_))) => {
                Err(BadCredential::NotTaken { kind: other.kind(), taken: taken.to_owned() })
            }
        }
    }

    fn challenge(&self) -> &'static str {
        "Bearer realm=\"elevon\""
    }

    fn loopback_only(&self) -> bool {
        false
    }
}
