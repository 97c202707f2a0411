//! Signatures: HMAC-SHA256 for webhooks, ES256 for Security Event Tokens. Secrets come from files, and no message shows one.

use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use aws_lc_rs::{digest, hmac};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};

/// Longest file with a secret, in bytes.
const MAX_SECRET_BYTES: u64 = 16 << 10;
/// What a webhook's secret begins with.
const SECRET_PREFIX: &str = "whsec_";
/// How long a webhook's key may be, in bytes, as Standard Webhooks say.
const KEY_BYTES: std::ops::RangeInclusive<usize> = 24..=64;

/// A file with a secret in one line.
///
/// # Errors
/// It cannot be read, or there is something else in it.
pub(super) fn secret_file(path: &Path) -> Result<String, String> {
    let bad = |why: String| format!("`{}`: {why}", path.display());
    let mut text = String::new();
    let file = std::fs::File::open(path).map_err(|error| bad(error.to_string()))?;
    let mode = file.metadata().map_err(|error| bad(error.to_string()))?.permissions().mode();
    if mode & 0o077 != 0 {
        // some platforms hand secrets over so, which is why it is no error
        let (path, mode) = (path.display(), format!("{:o}", mode & 0o777));
        tracing::warn!(%path, mode, "a secret may be read by others on this machine; `chmod 600` takes that away");
    }
    let read = file.take(MAX_SECRET_BYTES + 1).read_to_string(&mut text).map_err(|error| bad(error.to_string()))?;
    if read as u64 > MAX_SECRET_BYTES {
        return Err(bad(format!("it is longer than {MAX_SECRET_BYTES} bytes")));
    }
    Ok(text.trim().to_owned())
}

/// The key of a webhook.
pub(super) struct WebhookKey(hmac::Key);

impl WebhookKey {
    pub(super) fn read(path: &Path) -> Result<Self, String> {
        let bad = |why: &str| format!("`{}`: {why}", path.display());
        let text = secret_file(path)?;
        let encoded = text.strip_prefix(SECRET_PREFIX).ok_or_else(|| bad("a webhook's secret is `whsec_` and its key in base64"))?;
        let key = STANDARD.decode(encoded).map_err(|_| bad("what follows `whsec_` is not base64"))?;
        if !KEY_BYTES.contains(&key.len()) {
            return Err(bad("a webhook's key has 24 to 64 bytes"));
        }
        Ok(Self(hmac::Key::new(hmac::HMAC_SHA256, &key)))
    }

    #[cfg(test)]
    pub(super) fn of(key: &[u8]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, key))
    }

    /// `v1,` and the signature over id, time and body.
    pub(super) fn sign(&self, id: &str, seconds: i64, body: &[u8]) -> String {
        let mut context = hmac::Context::with_key(&self.0);
        context.update(format!("{id}.{seconds}.").as_bytes());
        context.update(body);
        format!("v1,{}", STANDARD.encode(context.sign()))
    }
}

/// A key that signs tokens.
pub(super) struct TokenKey {
    pair: EcdsaKeyPair,
    kid: String,
}

impl TokenKey {
    pub(super) fn read(path: &Path, kid: Option<&str>) -> Result<Self, String> {
        let bad = |why: &str| format!("`{}`: {why}", path.display());
        let text = secret_file(path)?;
        let body = text
            .strip_prefix("-----BEGIN PRIVATE KEY-----")
            .and_then(|rest| rest.trim_end().strip_suffix("-----END PRIVATE KEY-----"))
            .ok_or_else(|| {
                bad("it holds no private key as PKCS #8 in PEM; `openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256` makes one")
            })?;
        let der = STANDARD.decode(body.split_whitespace().collect::<String>()).map_err(|_| bad("its PEM is broken"))?;
        Self::of(&der, kid).map_err(|why| bad(&why))
    }

    pub(super) fn of(der: &[u8], kid: Option<&str>) -> Result<Self, String> {
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der);
        let pair = pair.map_err(|_| "it is no key on P-256, which ES256 signs with".to_owned())?;
        let mut key = Self { pair, kid: String::new() };
        key.kid = kid.map_or_else(|| key.thumbprint(), str::to_owned);
        Ok(key)
    }

    fn coordinates(&self) -> (String, String) {
        // an uncompressed point: 4, x, y
        let point = self.pair.public_key().as_ref();
        let half = |from: usize| URL_SAFE_NO_PAD.encode(point.get(from..from + 32).unwrap_or_default());
        (half(1), half(33))
    }

    /// The thumbprint of the key (RFC 7638).
    fn thumbprint(&self) -> String {
        let (x, y) = self.coordinates();
        let members = format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#);
        URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, members.as_bytes()))
    }

    /// The key as others verify by it (RFC 7517).
    pub(super) fn public(&self) -> Value {
        let (x, y) = self.coordinates();
        json!({ "kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": self.kid, "x": x, "y": y })
    }

    /// A token of these claims, in compact form.
    pub(super) fn token(&self, claims: &Value) -> Result<String, String> {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let header = json!({ "typ": "secevent+jwt", "alg": "ES256", "kid": self.kid });
        let signed = format!("{}.{}", part(&header), part(claims));
        let signature = self.pair.sign(&SystemRandom::new(), signed.as_bytes()).map_err(|_| "the token could not be signed".to_owned())?;
        Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};

    use super::*;

    #[test]
    fn a_webhook_is_signed_as_the_specification_shows() {
        // the example of Standard Webhooks: `whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw`
        let key = WebhookKey::of(&STANDARD.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap());
        let signed = key.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, br#"{"test": 2432232314}"#);
        assert_eq!(signed, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn a_token_is_verified_by_what_is_published() {
        let der = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new()).unwrap();
        let key = TokenKey::of(der.as_ref(), None).unwrap();
        let token = key.token(&json!({ "iss": "x" })).unwrap();
        let (signed, signature) = token.rsplit_once('.').unwrap();
        let public = key.public();
        let coordinate = |name: &str| URL_SAFE_NO_PAD.decode(public[name].as_str().unwrap()).unwrap();
        let point = [vec![4], coordinate("x"), coordinate("y")].concat();
        let verified = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, &point);
        verified.verify(signed.as_bytes(), &URL_SAFE_NO_PAD.decode(signature).unwrap()).unwrap();
        assert_eq!(public["kid"].as_str().unwrap().len(), 43);
        assert!(TokenKey::of(b"no key", None).is_err());
    }

    #[test]
    fn a_secret_that_is_none_is_not_shown() {
        let folder = tempfile::tempdir().unwrap();
        let rows = ["", "whsec_", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_c2hvcnQ=", "whsec_%%%%"];
        for text in rows {
            let path = folder.path().join("secret");
            std::fs::write(&path, text).unwrap();
            let error = WebhookKey::read(&path).err().unwrap();
            assert!(error.contains("secret") && (text.is_empty() || text == "whsec_" || !error.contains(text)), "{error}");
        }
        std::fs::write(folder.path().join("secret"), "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n").unwrap();
        assert!(WebhookKey::read(&folder.path().join("secret")).is_ok());
        assert!(WebhookKey::read(&folder.path().join("none")).is_err());
    }
}
