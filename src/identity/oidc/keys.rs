//! An issuer's public keys (RFC 7517), each bound to the one algorithm that it is used with (RFC 8725, section 3.1).
//!
//! A key without `alg` gets the only algorithm of the configured ones that fits its type; where several fit, the key is not used, for then
//! it would be the token's header that chooses. Lost: trying each, which is how a public RSA key ends up as an HMAC secret. There is no
//! code for HMAC or `none` here.

use std::sync::Arc;

use aws_lc_rs::signature::{self, ParsedPublicKey, RsaParameters, RsaPublicKeyComponents};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::Value;

use super::json::Object;
use crate::identity::BadSettings;

/// Longest set of keys that is read, in bytes.
const MAX_SET_BYTES: usize = 256 * 1024;
/// Most keys in a set.
const MAX_KEYS: usize = 64;
/// Longest `kid`, in bytes.
pub(super) const MAX_KID_BYTES: usize = 256;
/// Least and most bits of an RSA modulus.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;

/// An algorithm by which an access token may be signed (RFC 7518, RFC 8037).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize)]
#[allow(missing_docs, reason = "the names are those of RFC 7518")]
pub enum Algorithm {
    #[serde(rename = "RS256")]
    Rs256,
    #[serde(rename = "RS384")]
    Rs384,
    #[serde(rename = "RS512")]
    Rs512,
    #[serde(rename = "PS256")]
    Ps256,
    #[serde(rename = "PS384")]
    Ps384,
    #[serde(rename = "PS512")]
    Ps512,
    #[serde(rename = "ES256")]
    Es256,
    #[serde(rename = "ES384")]
    Es384,
    #[serde(rename = "EdDSA")]
    EdDsa,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Family {
    Rsa,
    P256,
    P384,
    Ed25519,
}

impl Algorithm {
    const ALL: [Self; 9] =
        [Self::Rs256, Self::Rs384, Self::Rs512, Self::Ps256, Self::Ps384, Self::Ps512, Self::Es256, Self::Es384, Self::EdDsa];

    /// Its name in `alg`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Rs384 => "RS384",
            Self::Rs512 => "RS512",
            Self::Ps256 => "PS256",
            Self::Ps384 => "PS384",
            Self::Ps512 => "PS512",
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
            Self::EdDsa => "EdDSA",
        }
    }

    /// One for each type of key: what is taken unless something else is configured.
    pub(super) fn usual() -> Vec<Self> {
        vec![Self::Rs256, Self::Es256, Self::Es384, Self::EdDsa]
    }

    fn family(self) -> Family {
        match self {
            Self::Rs256 | Self::Rs384 | Self::Rs512 | Self::Ps256 | Self::Ps384 | Self::Ps512 => Family::Rsa,
            Self::Es256 => Family::P256,
            Self::Es384 => Family::P384,
            Self::EdDsa => Family::Ed25519,
        }
    }

    fn rsa(self) -> Option<&'static RsaParameters> {
        match self {
            Self::Rs256 => Some(&signature::RSA_PKCS1_2048_8192_SHA256),
            Self::Rs384 => Some(&signature::RSA_PKCS1_2048_8192_SHA384),
            Self::Rs512 => Some(&signature::RSA_PKCS1_2048_8192_SHA512),
            Self::Ps256 => Some(&signature::RSA_PSS_2048_8192_SHA256),
            Self::Ps384 => Some(&signature::RSA_PSS_2048_8192_SHA384),
            Self::Ps512 => Some(&signature::RSA_PSS_2048_8192_SHA512),
            Self::Es256 | Self::Es384 | Self::EdDsa => None,
        }
    }
}

/// A public key, and the one algorithm it verifies.
#[derive(Debug, Clone)]
pub(super) struct Key {
    kid: Option<String>,
    pub(super) algorithm: Algorithm,
    verifier: ParsedPublicKey,
}

impl Key {
    pub(super) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        self.verifier.verify_sig(message, signature).is_ok()
    }
}

/// A key of a set that is not used, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SkippedKey {
    /// Its `kid`, where it has one.
    pub kid: Option<String>,
    /// Why it is not used.
    pub why: String,
}

/// An issuer's public keys at one time.
#[derive(Debug, Clone, Default)]
pub struct KeySet {
    keys: Vec<Key>,
    skipped: Vec<SkippedKey>,
}

impl KeySet {
    /// No keys: none was fetched yet.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// Reads a set as an issuer publishes it. Keys that this server has no use for are skipped, as RFC 7517 asks.
    ///
    /// # Errors
    /// It is not a set of keys, is too large, no key in it is of use, or two are of one `kid`. Whoever has a last good set keeps that.
    pub fn parse(bytes: &[u8], allowed: &[Algorithm]) -> Result<Self, BadSettings> {
        let bad = |why: String| BadSettings::new("the set of keys", why);
        if bytes.len() > MAX_SET_BYTES {
            return Err(bad(format!("it is {} bytes long; at most {MAX_SET_BYTES} are read", bytes.len())));
        }
        let set = Object::read(bytes).map_err(bad)?;
        let Some(Value::Array(listed)) = set.get("keys") else {
            return Err(bad("it has no list `keys`".to_owned()));
        };
        if listed.len() > MAX_KEYS {
            return Err(bad(format!("it has {} keys; at most {MAX_KEYS} are read", listed.len())));
        }
        let mut found = Self::default();
        for jwk in listed {
            match key(jwk, allowed) {
                Ok(key) if key.kid.is_some() && found.keys.iter().any(|known| known.kid == key.kid) => {
                    return Err(bad(format!("two keys have the kid {:?}", key.kid.unwrap_or_default())));
                }
                Ok(key) => found.keys.push(key),
                Err(why) => found.skipped.push(SkippedKey { kid: kid(jwk).ok().flatten(), why }),
            }
        }
        if found.keys.is_empty() {
            let why: Vec<&str> = found.skipped.iter().map(|skipped| skipped.why.as_str()).take(4).collect();
            return Err(bad(format!("no key in it is of use: {}", if why.is_empty() { "it is empty".to_owned() } else { why.join("; ") })));
        }
        Ok(found)
    }

    /// The keys that are not used, for the log.
    #[must_use]
    pub fn skipped(&self) -> &[SkippedKey] {
        &self.skipped
    }

    /// How many keys are used.
    #[must_use]
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether no key is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// The key of this `kid`, byte for byte. It is looked up in this list and nowhere else: it is no path, no query and no address.
    pub(super) fn named(&self, kid: &str) -> Option<&Key> {
        self.keys.iter().find(|key| key.kid.as_deref() == Some(kid))
    }

    /// The only key, where there is only one.
    pub(super) fn only(&self) -> Option<&Key> {
        if let [key] = self.keys.as_slice() { Some(key) } else { None }
    }
}

/// Where an issuer's keys are at hand. Whoever fetches them puts a new set in place; what reads them never waits.
pub trait Keys: Send + Sync {
    /// The last good set; [`KeySet::none`] before the first.
    fn current(&self) -> Arc<KeySet>;
}

impl Keys for Arc<KeySet> {
    fn current(&self) -> Arc<KeySet> {
        Arc::clone(self)
    }
}

fn text<'a>(jwk: &'a Value, name: &str) -> Result<Option<&'a str>, String> {
    match jwk.get(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(format!("its `{name}` is not a string")),
    }
}

fn kid(jwk: &Value) -> Result<Option<String>, String> {
    match text(jwk, "kid")? {
        Some(kid) if kid.is_empty() || kid.len() > MAX_KID_BYTES => Err(format!("its `kid` has not 1 to {MAX_KID_BYTES} bytes")),
        other => Ok(other.map(str::to_owned)),
    }
}

fn bytes(jwk: &Value, name: &str) -> Result<Vec<u8>, String> {
    let text = text(jwk, name)?.ok_or_else(|| format!("its `{name}` is missing"))?;
    URL_SAFE_NO_PAD.decode(text).map_err(|_| format!("its `{name}` is not base64url without padding"))
}

fn coordinate(jwk: &Value, name: &str, length: usize) -> Result<Vec<u8>, String> {
    let found = bytes(jwk, name)?;
    if found.len() == length { Ok(found) } else { Err(format!("its `{name}` is {} bytes long and not {length}", found.len())) }
}

/// Reads one key.
fn key(jwk: &Value, allowed: &[Algorithm]) -> Result<Key, String> {
    let kid = kid(jwk)?;
    if text(jwk, "use")?.is_some_and(|used| used != "sig") {
        return Err("it is not for signatures".to_owned());
    }
    match jwk.get("key_ops") {
        None => {}
        Some(Value::Array(ops)) if ops.iter().any(|op| op == "verify") => {}
        Some(_) => return Err("its `key_ops` lack `verify`".to_owned()),
    }
    if ["d", "p", "q", "k"].iter().any(|private| jwk.get(private).is_some()) {
        return Err("it holds a private or symmetric key, which an issuer never publishes".to_owned());
    }
    let curve = text(jwk, "crv")?;
    let family = match (text(jwk, "kty")?, curve) {
        (Some("RSA"), None) => Family::Rsa,
        (Some("EC"), Some("P-256")) => Family::P256,
        (Some("EC"), Some("P-384")) => Family::P384,
        (Some("OKP"), Some("Ed25519")) => Family::Ed25519,
        _ => return Err("its type is none of RSA, EC (P-256, P-384) and OKP (Ed25519)".to_owned()),
    };
    let algorithm = algorithm(text(jwk, "alg")?, family, allowed)?;
    let refused = |_| "its numbers are no public key".to_owned();
    let verifier = match family {
        Family::Rsa => rsa(jwk, algorithm)?,
        Family::P256 => ParsedPublicKey::new(&signature::ECDSA_P256_SHA256_FIXED, point(jwk, 32)?).map_err(refused)?,
        Family::P384 => ParsedPublicKey::new(&signature::ECDSA_P384_SHA384_FIXED, point(jwk, 48)?).map_err(refused)?,
        Family::Ed25519 => ParsedPublicKey::new(&signature::ED25519, coordinate(jwk, "x", 32)?).map_err(refused)?,
    };
    Ok(Key { kid, algorithm, verifier })
}

/// The one algorithm of a key: what it says itself, or the only configured one that fits its type.
fn algorithm(named: Option<&str>, family: Family, allowed: &[Algorithm]) -> Result<Algorithm, String> {
    if let Some(named) = named {
        // RFC 9864 calls EdDSA with this curve by the curve's name
        let named = if named == "Ed25519" { "EdDSA" } else { named };
        let known = Algorithm::ALL.into_iter().find(|algorithm| algorithm.as_str() == named && algorithm.family() == family);
        let known = known.ok_or_else(|| format!("its `alg` {named:?} is unknown or does not fit its type"))?;
        return if allowed.contains(&known) { Ok(known) } else { Err(format!("its `alg` {named} is not among `algorithms`")) };
    }
    let mut fitting = allowed.iter().copied().filter(|algorithm| algorithm.family() == family);
    match (fitting.next(), fitting.next()) {
        (Some(only), None) => Ok(only),
        (None, _) => Err("no configured algorithm fits its type".to_owned()),
        (Some(one), Some(other)) => {
            let (one, other) = (one.as_str(), other.as_str());
            Err(format!("it names no `alg`, and both {one} and {other} of `algorithms` fit its type; leave one of them"))
        }
    }
}

fn rsa(jwk: &Value, algorithm: Algorithm) -> Result<ParsedPublicKey, String> {
    let (n, e) = (bytes(jwk, "n")?, bytes(jwk, "e")?);
    let bits = (n.len() * 8).saturating_sub(n.first().map_or(0, |first| first.leading_zeros() as usize));
    if !RSA_BITS.contains(&bits) {
        return Err(format!("its modulus has {bits} bits; {} to {} are taken", RSA_BITS.start(), RSA_BITS.end()));
    }
    let exponent = (e.len() <= 4).then(|| e.iter().fold(0_u64, |sum, byte| sum * 256 + u64::from(*byte)));
    if !exponent.is_some_and(|exponent| exponent >= 65_537 && exponent % 2 == 1) {
        return Err("its exponent is not an odd number from 65537 to 2^32".to_owned());
    }
    let parameters = algorithm.rsa().ok_or_else(|| format!("{} is not for RSA keys", algorithm.as_str()))?;
    RsaPublicKeyComponents { n, e }.to_parsed_public_key(parameters).map_err(|_| "its numbers are no public key".to_owned())
}

/// An uncompressed point (SEC 1, section 2.3.3). Whether it lies on the curve is for the library to say.
fn point(jwk: &Value, length: usize) -> Result<Vec<u8>, String> {
    let (x, y) = (coordinate(jwk, "x", length)?, coordinate(jwk, "y", length)?);
    Ok(std::iter::once(4).chain(x).chain(y).collect())
}
