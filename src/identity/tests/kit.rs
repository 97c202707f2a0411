//! Keys that sign, tokens that are right unless a row says otherwise, and certificates.

use std::sync::Arc;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{self, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rcgen::{CertificateParams, CustomExtension, DistinguishedName, DnType, KeyPair, SanType};
use serde_json::{Value, json};

use crate::domain::Timestamp;
use crate::identity::{
    Accepted, Algorithm, Authenticator as _, BadCredential, CertificateSettings, Certificates, Identified, Issuer, IssuerSettings, KeySet,
    Oidc, Presented,
};

pub(super) const NOW: &str = "2030-01-31T09:00:00Z";
pub(super) const ISSUER: &str = "https://id.example/realm";

pub(super) fn time(text: &str) -> Timestamp {
    Timestamp::parse(text).unwrap()
}

/// Now, in seconds since 1970.
pub(super) fn now() -> i64 {
    time(NOW).millis() / 1000
}

pub(super) fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// A private key of an issuer, made for the test.
pub(super) enum Signer {
    Rsa(Box<RsaKeyPair>),
    P256(EcdsaKeyPair),
    P384(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

impl Signer {
    pub(super) fn rsa() -> Self {
        Self::Rsa(Box::new(RsaKeyPair::generate(KeySize::Rsa2048).unwrap()))
    }

    pub(super) fn p256() -> Self {
        Self::P256(EcdsaKeyPair::generate(&signature::ECDSA_P256_SHA256_FIXED_SIGNING).unwrap())
    }

    pub(super) fn p384() -> Self {
        Self::P384(EcdsaKeyPair::generate(&signature::ECDSA_P384_SHA384_FIXED_SIGNING).unwrap())
    }

    pub(super) fn ed25519() -> Self {
        Self::Ed25519(Ed25519KeyPair::generate().unwrap())
    }

    /// Its public half, without `kid` and `alg`.
    pub(super) fn jwk(&self) -> Value {
        match self {
            // RSAPublicKey of a 2048-bit key: the modulus stands behind nine bytes, the exponent is 65537
            Self::Rsa(key) => json!({"kty": "RSA", "n": encode(&key.public_key().as_ref()[9..265]), "e": "AQAB"}),
            Self::P256(key) => point("P-256", key.public_key().as_ref()),
            Self::P384(key) => point("P-384", key.public_key().as_ref()),
            Self::Ed25519(key) => json!({"kty": "OKP", "crv": "Ed25519", "x": encode(key.public_key().as_ref())}),
        }
    }

    pub(super) fn sign(&self, algorithm: &str, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match self {
            Self::Rsa(key) => {
                let padding: &'static dyn signature::RsaEncoding = match algorithm {
                    "RS384" => &signature::RSA_PKCS1_SHA384,
                    "RS512" => &signature::RSA_PKCS1_SHA512,
                    "PS256" => &signature::RSA_PSS_SHA256,
                    "PS384" => &signature::RSA_PSS_SHA384,
                    "PS512" => &signature::RSA_PSS_SHA512,
                    _ => &signature::RSA_PKCS1_SHA256,
                };
                let mut made = vec![0; key.public_modulus_len()];
                key.sign(padding, &random, message, &mut made).unwrap();
                made
            }
            Self::P256(key) | Self::P384(key) => key.sign(&random, message).unwrap().as_ref().to_vec(),
            Self::Ed25519(key) => key.sign(message).as_ref().to_vec(),
        }
    }
}

fn point(curve: &str, bytes: &[u8]) -> Value {
    let half = (bytes.len() - 1) / 2;
    json!({"kty": "EC", "crv": curve, "x": encode(&bytes[1..=half]), "y": encode(&bytes[half + 1..])})
}

/// A JSON object with members set, or taken away where the value is null.
pub(super) fn with(mut object: Value, changes: &Value) -> Value {
    for (name, value) in changes.as_object().unwrap() {
        if value.is_null() {
            object.as_object_mut().unwrap().remove(name);
        } else {
            object[name] = value.clone();
        }
    }
    object
}

/// The claims of a token that is in order.
pub(super) fn claims() -> Value {
    json!({"iss": ISSUER, "aud": "elevon", "sub": "alice", "exp": now() + 300, "nbf": now() - 10, "iat": now() - 10})
}

pub(super) fn header(alg: &str) -> Value {
    json!({"alg": alg, "typ": "at+jwt", "kid": "k1"})
}

/// A token of these very bytes, signed.
pub(super) fn token(signer: &Signer, alg: &str, header: &[u8], claims: &[u8]) -> String {
    let signed = format!("{}.{}", encode(header), encode(claims));
    let signature = signer.sign(alg, signed.as_bytes());
    format!("{signed}.{}", encode(signature))
}

pub(super) fn settings() -> IssuerSettings {
    toml::from_str(&format!(
        "issuer = \"{ISSUER}\"\nkeys = {{ url = \"{ISSUER}/jwks\" }}\naudiences = [\"elevon\"]\nprincipal_type = \"User\"\n\
         groups_claim = \"groups\"\nmfa_acr = [\"urn:mfa\"]\n"
    ))
    .unwrap()
}

pub(super) fn key_set(keys: &[Value], allowed: &[Algorithm]) -> KeySet {
    KeySet::parse(json!({ "keys": keys }).to_string().as_bytes(), allowed).unwrap()
}

pub(super) fn oidc(settings: IssuerSettings, keys: &[Value]) -> Oidc {
    let set = if keys.is_empty() { KeySet::none() } else { key_set(keys, &settings.algorithms) };
    Oidc::new(vec![Issuer::new(settings, Arc::new(Arc::new(set))).unwrap()]).unwrap()
}

/// What an authenticator makes of a token.
pub(super) fn present(accepted: &Accepted, token: &str, at: Timestamp) -> Result<Option<Identified>, BadCredential> {
    let header = format!("Bearer {token}");
    let presented = Presented { authorization: &[header.as_bytes()], ..Presented::default() };
    match accepted {
        Accepted::Oidc(oidc) => oidc.identify(&presented, at),
        Accepted::Dev(_) | Accepted::Token(_) | Accepted::Mtls(_) | Accepted::Unix(_) => panic!("not a kind for access tokens"),
    }
}

/// What goes into a certificate.
#[derive(Default)]
pub(super) struct Names<'a> {
    pub(super) uris: &'a [&'a str],
    pub(super) dns: &'a [&'a str],
    pub(super) cns: &'a [&'a str],
}

pub(super) fn certificate(names: &Names<'_>, change: impl FnOnce(&mut CertificateParams)) -> Vec<u8> {
    let mut params = CertificateParams::default();
    params.not_before = rcgen::date_time_ymd(2030, 1, 1);
    params.not_after = rcgen::date_time_ymd(2030, 2, 1);
    let uris = names.uris.iter().map(|uri| SanType::URI((*uri).try_into().unwrap()));
    params.subject_alt_names = uris.chain(names.dns.iter().map(|name| SanType::DnsName((*name).try_into().unwrap()))).collect();
    params.distinguished_name = DistinguishedName::new();
    // a second common name takes the same identifier by another way, for the builder keeps one of each kind
    let kinds = [DnType::CommonName, DnType::CustomDnType(vec![2, 5, 4, 3])];
    for (kind, cn) in kinds.into_iter().zip(names.cns) {
        params.distinguished_name.push(kind, *cn);
    }
    change(&mut params);
    params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec()
}

/// An extension with alternative names of its own: one DNS name, `b`.
pub(super) fn second_alternative_names() -> CustomExtension {
    CustomExtension::from_oid_content(&[2, 5, 29, 17], vec![0x30, 0x03, 0x82, 0x01, b'b'])
}

pub(super) fn certificates(settings: &str) -> Certificates {
    Certificates::new(toml::from_str::<CertificateSettings>(settings).unwrap()).unwrap()
}

pub(super) const SPIFFE: &str = "names = \"spiffe\"\ntrust_domain = \"prod.example\"\n\
    [[paths]]\npath = \"/ns/{ns}/sa/{sa}\"\nprincipal = 'Workload::\"{ns}/{sa}\"'\ngroups = [\"mesh\"]\n\
    [[paths]]\npath = \"/ns/system/{kind}/{name}\"\nprincipal = 'System::\"{kind}/{name}\"'\n";
