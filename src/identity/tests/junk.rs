//! No bytes make any reader panic, and no bytes that nobody signed are believed.

use std::sync::LazyLock;

use proptest::prelude::*;
use serde_json::json;

use super::kit::{NOW, Names, SPIFFE, Signer, certificate, certificates, claims, encode, header, oidc, settings, time, token, with};
use crate::domain::Uid;
use crate::identity::{
    Accepted, Accepts, Algorithm, Authenticator as _, Certificates, KeySet, Presented, TokenEntry, Tokens, token_sha256, token_text,
};

static SIGNER: LazyLock<Signer> = LazyLock::new(Signer::ed25519);
static CERTIFICATE: LazyLock<Vec<u8>> =
    LazyLock::new(|| certificate(&Names { uris: &["spiffe://prod.example/ns/web/sa/api"], cns: &["a"], dns: &["b.example"] }, |_| ()));
static SPIFFE_KIND: LazyLock<Certificates> = LazyLock::new(|| certificates(SPIFFE));
static LISTENER: LazyLock<Accepts> = LazyLock::new(|| {
    let entry = TokenEntry {
        id: "ci".to_owned(),
        sha256: token_sha256(&token_text([7; 32])),
        principal: Uid::new("Service", "ci").unwrap(),
        groups: Vec::new(),
        not_before: None,
        expires: None,
        previous: None,
    };
    let key = with(SIGNER.jwk(), &json!({"kid": "k1"}));
    Accepts::new(vec![
        Accepted::Token(Tokens::new(vec![entry]).unwrap()),
        Accepted::Oidc(oidc(settings(), &[key])),
        Accepted::Mtls(certificates(SPIFFE)),
    ])
    .unwrap()
});

fn believed(header: &[u8]) -> bool {
    LISTENER.identify(&Presented { authorization: &[header], ..Presented::default() }, time(NOW)).is_ok()
}

proptest! {
    #[test]
    fn no_header_makes_a_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        prop_assert!(!believed(&bytes));
        prop_assert!(!believed(&[b"Bearer ".as_slice(), &bytes].concat()));
        prop_assert!(!believed(&[b"Bearer elv_".as_slice(), &bytes].concat()));
    }

    #[test]
    fn no_parts_make_a_reader_panic(parts in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..100), 0..5)) {
        let header = format!("Bearer {}", parts.iter().map(encode).collect::<Vec<_>>().join("."));
        prop_assert!(!believed(header.as_bytes()));
    }

    /// Claims of any JSON are signed by the right key: they are read or refused, and only a whole token is believed.
    #[test]
    fn no_signed_claims_make_a_reader_panic(name in "exp|nbf|iat|aud|sub|amr|acr|auth_time|groups|iss", value in json_value()) {
        let mut changed = claims();
        changed[name] = value;
        let text = token(&SIGNER, "EdDSA", header("EdDSA").to_string().as_bytes(), changed.to_string().as_bytes());
        let _ = believed(format!("Bearer {text}").as_bytes());
    }

    #[test]
    fn no_change_of_one_byte_is_believed(at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let text = token(&SIGNER, "EdDSA", header("EdDSA").to_string().as_bytes(), claims().to_string().as_bytes());
        let right = format!("Bearer {text}");
        prop_assert!(believed(right.as_bytes()));
        let mut changed = text.clone().into_bytes();
        let at = at.index(changed.len());
        changed[at] = byte;
        prop_assert_eq!(believed(&[b"Bearer ".as_slice(), &changed].concat()), changed == text.as_bytes());
    }

    #[test]
    fn no_certificate_makes_a_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..600), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let read = |der: &[u8]| SPIFFE_KIND.identify(&Presented { client_certificate: Some(der), ..Presented::default() }, time(NOW)).is_ok();
        prop_assert!(!read(&bytes));
        let mut changed = CERTIFICATE.clone();
        let at = at.index(changed.len());
        changed[at] = byte;
        let _ = read(&changed);
        changed.truncate(at);
        prop_assert!(!read(&changed));
    }

    #[test]
    fn no_set_of_keys_makes_a_reader_panic(member in "kty|crv|x|y|n|e|alg|use|kid|key_ops", value in json_value()) {
        let mut key = SIGNER.jwk();
        key[member] = value;
        let _ = KeySet::parse(json!({"keys": [key]}).to_string().as_bytes(), &[Algorithm::EdDsa, Algorithm::Rs256, Algorithm::Es256]);
    }
}

fn json_value() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<u64>().prop_map(Into::into),
        any::<f64>().prop_map(Into::into),
        "\\PC{0,40}".prop_map(Into::into),
        "(RSA|EC|OKP|P-256|Ed25519|RS256|[A-Za-z0-9_-]{43})".prop_map(Into::into),
    ];
    leaf.prop_recursive(3, 20, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Into::into),
            prop::collection::hash_map("[a-z]{1,3}", inner, 0..5).prop_map(|members| json!(members)),
        ]
    })
}
