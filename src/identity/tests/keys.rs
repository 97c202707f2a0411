//! Sets of keys: what of them is used, and what makes the whole of no use.

use serde_json::{Value, json};

use super::kit::{Signer, encode, key_set, with};
use crate::identity::{Algorithm, KeySet};

const USUAL: [Algorithm; 4] = [Algorithm::Rs256, Algorithm::Es256, Algorithm::Es384, Algorithm::EdDsa];

#[test]
fn keys_of_no_use_are_skipped_and_say_why() {
    let (rsa, p256, ed) = (Signer::rsa().jwk(), Signer::p256().jwk(), Signer::ed25519().jwk());
    let weak = encode([0xff; 128]);
    let rows = [
        (json!({"kty": "oct", "k": "c2VjcmV0", "alg": "HS256"}), "private or symmetric"),
        (json!({"kty": "oct", "alg": "HS256"}), "its type is none of"),
        (with(rsa.clone(), &json!({"alg": "HS256"})), "unknown or does not fit"),
        (with(rsa.clone(), &json!({"alg": "none"})), "unknown or does not fit"),
        (with(rsa.clone(), &json!({"alg": "ES256"})), "unknown or does not fit"),
        (with(rsa.clone(), &json!({"alg": 5})), "`alg` is not a string"),
        (with(rsa.clone(), &json!({"alg": "RS512"})), "not among `algorithms`"),
        (with(rsa.clone(), &json!({"use": "enc"})), "not for signatures"),
        (with(rsa.clone(), &json!({"key_ops": ["encrypt"]})), "lack `verify`"),
        (with(rsa.clone(), &json!({"key_ops": "verify"})), "lack `verify`"),
        (with(rsa.clone(), &json!({"d": "AQAB"})), "private or symmetric"),
        (with(rsa.clone(), &json!({"e": "Aw"})), "exponent"),
        (with(rsa.clone(), &json!({"e": "AQAA"})), "exponent"),
        (with(rsa.clone(), &json!({"e": "AQAAAAE"})), "exponent"),
        (with(rsa.clone(), &json!({"n": weak})), "1024"),
        (with(rsa.clone(), &json!({"n": "AA"})), "0 bits"),
        (with(rsa.clone(), &json!({"n": "+/=="})), "not base64url"),
        (with(rsa.clone(), &json!({"n": null})), "`n` is missing"),
        (with(p256.clone(), &json!({"crv": "P-384"})), "32 bytes long and not 48"),
        (with(p256.clone(), &json!({"crv": "secp256k1"})), "its type is none of"),
        (with(p256.clone(), &json!({"x": p256["y"], "y": p256["x"]})), "no public key"),
        (with(p256.clone(), &json!({"x": "AA"})), "1 bytes long"),
        (with(ed.clone(), &json!({"x": "AA"})), "1 bytes long"),
        (with(ed.clone(), &json!({"crv": "X25519"})), "its type is none of"),
        (with(ed, &json!({"kid": ""})), "1 to 256 bytes"),
        (with(p256.clone(), &json!({"kid": 5})), "`kid` is not a string"),
        (json!("key"), "its type is none of"),
        (json!(null), "its type is none of"),
    ];
    let good = with(p256, &json!({"kid": "good"}));
    for (jwk, why) in rows {
        let set = key_set(&[jwk.clone(), good.clone()], &USUAL);
        let [skipped] = set.skipped() else { panic!("{jwk}: {:?}", set.skipped()) };
        assert!(skipped.why.contains(why), "{jwk}: {}", skipped.why);
        assert_eq!((set.len(), set.is_empty()), (1, false));
    }
}

#[test]
fn a_key_without_an_algorithm_gets_the_only_one_that_fits() {
    let rsa = with(Signer::rsa().jwk(), &json!({"kid": "r"}));
    let text = json!({ "keys": [rsa] }).to_string();
    assert_eq!(KeySet::parse(text.as_bytes(), &[Algorithm::Ps512, Algorithm::Es256]).unwrap().len(), 1);
    for (allowed, why) in [
        (vec![Algorithm::Rs256, Algorithm::Ps256], "names no `alg`, and both RS256 and PS256"),
        (vec![Algorithm::Es256], "no configured algorithm"),
    ] {
        let bad = KeySet::parse(text.as_bytes(), &allowed).unwrap_err().to_string();
        assert!(bad.contains(why), "{bad}");
    }
}

#[test]
fn a_set_that_is_not_in_order_is_refused_whole() {
    let key = |kid: &str| with(Signer::p256().jwk(), &json!({ "kid": kid }));
    let many: Vec<Value> = (0..65).map(|at| json!({"kid": at.to_string()})).collect();
    let twice = format!("{{\"keys\":[{0}],\"keys\":[{0}]}}", key("a"));
    let rows = [
        (String::new(), "not JSON"),
        ("[]".to_owned(), "not a JSON object"),
        ("{}".to_owned(), "no list `keys`"),
        (json!({"keys": {}}).to_string(), "no list `keys`"),
        (json!({"keys": []}).to_string(), "it is empty"),
        (json!({"keys": [{"kty": "oct"}]}).to_string(), "no key in it is of use: its type"),
        (json!({"keys": [key("a"), key("b"), key("a")]}).to_string(), "two keys have the kid \"a\""),
        (json!({ "keys": many }).to_string(), "at most 64"),
        (format!("{}{}", json!({"keys": [key("a")]}), " ".repeat(256 * 1024)), "bytes long"),
        (twice, "twice"),
        (format!("{}x", json!({"keys": [key("a")]})), "trailing"),
    ];
    for (text, why) in rows {
        let bad = KeySet::parse(text.as_bytes(), &USUAL).unwrap_err().to_string();
        assert!(bad.contains(why), "{text}: {bad}");
    }
}
