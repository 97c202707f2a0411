//! Credentials: headers as they come, sets of keys, certificates, and the inside of tokens that are signed well.
//!
//! The first byte says which. A token's header and claims are signed here with a key that the issuer is known by, so that the fuzzer gets past
//! the signature; what is then taken is checked against a reading of the claims by other means.

#![no_main]

use std::sync::{Arc, LazyLock};

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use elevon::domain::Timestamp;
use elevon::identity::{
    Accepted, Accepts, Algorithm, Authenticator as _, CertificateSettings, Certificates, Dev, Issuer, IssuerSettings, KeySet, Oidc,
    Presented, TokenEntry, Tokens, is_loopback_host,
};
use libfuzzer_sys::fuzz_target;
use serde_json::{Value, json};

const ISSUER: &str = "https://id.example/realm";
/// 2030-01-31T09:00:00Z, in seconds.
const NOW: i64 = 1_896_080_400;
const LEEWAY: f64 = 60.0;

static KEY: LazyLock<Ed25519KeyPair> = LazyLock::new(|| Ed25519KeyPair::from_seed_unchecked(&[7; 32]).expect("a seed is 32 bytes"));

fn oidc() -> Oidc {
    let settings: IssuerSettings = toml::from_str(&format!(
        "issuer = \"{ISSUER}\"\nkeys = {{ url = \"{ISSUER}/jwks\" }}\naudiences = [\"elevon\"]\nprincipal_type = \"User\"\n\
         groups_claim = \"groups\"\nmfa_acr = [\"urn:mfa\"]\n"
    ))
    .expect("the settings are in order");
    let jwk = json!({"kty": "OKP", "crv": "Ed25519", "kid": "k1", "x": URL_SAFE_NO_PAD.encode(KEY.public_key().as_ref())});
    let keys = KeySet::parse(json!({ "keys": [jwk] }).to_string().as_bytes(), &settings.algorithms).expect("the key is in order");
    Oidc::new(vec![Issuer::new(settings, Arc::new(Arc::new(keys))).expect("in order")]).expect("in order")
}

static OIDC: LazyLock<Accepts> = LazyLock::new(|| {
    let entry: TokenEntry = toml::from_str(&format!(
        "id = \"t\"\nsha256 = \"{}\"\nprincipal = 'User::\"t\"'",
        "0".repeat(64)
    ))
    .expect("in order");
    let tokens = Tokens::new(vec![entry]).expect("in order");
    Accepts::new(vec![Accepted::Oidc(oidc()), Accepted::Token(tokens), Accepted::Dev(Dev)]).expect("in order")
});

static MTLS: LazyLock<Vec<Accepts>> = LazyLock::new(|| {
    let spiffe = "names = \"spiffe\"\ntrust_domain = \"prod.example\"\n[[paths]]\npath = \"/ns/{ns}/sa/{sa}\"\n\
                  principal = 'Workload::\"{ns}/{sa}\"'\n";
    let dns = "names = \"dns\"\n[[subjects]]\nname = \"a.example\"\nprincipal = 'Service::\"a\"'\n";
    let cn = "names = \"cn\"\n[[subjects]]\nname = \"a\"\nprincipal = 'Service::\"a\"'\n";
    let accepts = |text: &str| {
        let settings: CertificateSettings = toml::from_str(text).expect("in order");
        Accepts::new(vec![Accepted::Mtls(Certificates::new(settings).expect("in order"))]).expect("in order")
    };
    vec![accepts(spiffe), accepts(dns), accepts(cn)]
});

fn now() -> Timestamp {
    Timestamp::from_millis(NOW * 1000)
}

fuzz_target!(|data: &[u8]| {
    let Some((kind, rest)) = data.split_first() else { return };
    match kind % 5 {
        0 => header(rest),
        1 => signed(br#"{"alg":"EdDSA","typ":"at+jwt","kid":"k1"}"#, rest),
        2 => {
            let (header, claims) = rest.split_at(rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len()));
            signed(header, claims.get(1..).unwrap_or_default());
        }
        3 => {
            if let Ok(set) = KeySet::parse(rest, &[Algorithm::Rs256, Algorithm::Es256, Algorithm::EdDsa]) {
                assert!(!set.is_empty());
                assert!(serde_json::from_slice::<Value>(rest).is_ok_and(|set| set["keys"].is_array()));
            }
        }
        _ => MTLS.iter().for_each(|accepts| {
            let presented = Presented { client_certificate: Some(rest), ..Presented::default() };
            let found = accepts.identify(&presented, now());
            assert!(!matches!(found, Ok(None)), "a certificate that came is a caller or is refused");
        }),
    }
});

/// Headers as they come, a line each.
fn header(bytes: &[u8]) {
    let lines: Vec<&[u8]> = bytes.split(|byte| *byte == b'\n').take(4).collect();
    let presented = Presented { authorization: &lines, ..Presented::default() };
    let found = OIDC.identify(&presented, now());
    assert!(lines.len() < 2 || found.is_err(), "two credentials are a bad one");
    assert!(lines.len() != 1 || !matches!(found, Ok(None)), "a header that came is a caller or is refused");
    if let Ok(text) = std::str::from_utf8(bytes) {
        let _ = is_loopback_host(text);
    }
}

/// A token of these bytes with a good signature.
fn signed(header: &[u8], claims: &[u8]) {
    let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
    let token = format!("Bearer {signed}.{}", URL_SAFE_NO_PAD.encode(KEY.sign(signed.as_bytes()).as_ref()));
    let presented = Presented { authorization: &[token.as_bytes()], ..Presented::default() };
    let Ok(found) = OIDC.identify(&presented, now()) else { return };
    let caller = found.expect("a token that came is a caller or is refused").caller;
    let head: Value = serde_json::from_slice(header).expect("a header that is taken is JSON");
    let body: Value = serde_json::from_slice(claims).expect("claims that are taken are JSON");
    assert!(head["alg"] == "EdDSA" || head["alg"] == "Ed25519", "the algorithm is that of the key");
    assert!(head.get("crit").is_none() && head.get("b64").is_none());
    assert_eq!(body["iss"], ISSUER);
    let audience = body["aud"] == "elevon" || body["aud"].as_array().is_some_and(|all| all.iter().any(|one| one == "elevon"));
    assert!(audience);
    let seconds = |name: &str| body[name].as_f64().unwrap_or_else(|| panic!("`{name}` is a number"));
    #[allow(clippy::cast_precision_loss, reason = "seconds of this century are exact")]
    let now = NOW as f64;
    assert!(seconds("exp") + LEEWAY > now, "not expired");
    assert!(seconds("nbf") <= now + LEEWAY && seconds("iat") <= now + LEEWAY, "not from the future");
    assert_eq!(body["sub"], caller.principal.id(), "verbatim");
    assert_eq!(caller.principal.kind(), "User");
}
