//! Access tokens: a row for each way in which one could be believed that must not be.

use aws_lc_rs::hmac;
use serde_json::{Value, json};

use super::kit::{ISSUER, NOW, Signer, claims, encode, header, key_set, now, oidc, present, settings, time, token, with};
use crate::domain::{Duration, Timestamp};
use crate::identity::{Accepted, Algorithm, BadCredential, BadJwt, Identified, Issuer, IssuerSettings, KeySource, Oidc};

struct World {
    signer: Signer,
    accepted: Accepted,
}

impl World {
    fn new() -> Self {
        Self::of(settings())
    }

    fn of(settings: IssuerSettings) -> Self {
        let signer = Signer::p256();
        let key = with(signer.jwk(), &json!({"kid": "k1", "alg": "ES256", "use": "sig"}));
        Self { accepted: Accepted::Oidc(oidc(settings, &[key])), signer }
    }

    fn read_raw(&self, header: &[u8], claims: &[u8], at: Timestamp) -> Result<Identified, BadCredential> {
        present(&self.accepted, &token(&self.signer, "ES256", header, claims), at).map(Option::unwrap)
    }

    /// What becomes of a token that differs from a right one by these members.
    fn read(&self, in_header: &Value, in_claims: &Value) -> Result<Identified, BadCredential> {
        let header = with(header("ES256"), in_header).to_string();
        self.read_raw(header.as_bytes(), with(claims(), in_claims).to_string().as_bytes(), time(NOW))
    }
}

fn says(found: Result<Identified, BadCredential>, why: &str, row: &str) {
    let bad = found.expect_err(row);
    assert!(bad.for_log().contains(why), "{row}: {}", bad.for_log());
}

#[test]
fn a_right_token_shows_its_subject() {
    let world = World::new();
    let found = world.read(&json!({}), &json!({})).unwrap();
    assert_eq!(found.caller.principal.to_string(), "User::\"alice\"");
    assert_eq!(found.caller.credential.as_str(), "oidc");
    assert_eq!(found.until, Some(time("2030-01-31T09:06:00Z")), "`exp` and the leeway");
    assert_eq!((found.caller.amr.len(), found.caller.auth_time, found.caller.groups.len()), (0, None, 0));
    let more = json!({"auth_time": now() - 60, "amr": ["pwd", "otp", "pwd"], "groups": ["b", "a", "b"], "aud": ["other", "elevon"],
        "exp": now() + 1, "client_id": "web", "extra": {"deep": [1.5]}});
    let found = world.read(&json!({"typ": "application/AT+jwt", "x5t": "abc", "unknown": 1}), &more).unwrap();
    assert_eq!(found.caller.amr, ["otp", "pwd"]);
    assert_eq!(found.caller.groups, ["a", "b"]);
    assert_eq!(found.caller.auth_time, Some(time("2030-01-31T08:59:00Z")));
    let none = world.accepted;
    let Accepted::Oidc(oidc) = none else { panic!("the world takes access tokens") };
    assert_eq!(crate::identity::Authenticator::identify(&oidc, &Default::default(), time(NOW)), Ok(None));
}

#[test]
fn every_algorithm_verifies_what_its_key_signed_and_nothing_else() {
    let (rsa, p256, p384, ed) = (Signer::rsa(), Signer::p256(), Signer::p384(), Signer::ed25519());
    let rows = [
        (&rsa, "RS256", Algorithm::Rs256),
        (&rsa, "RS384", Algorithm::Rs384),
        (&rsa, "RS512", Algorithm::Rs512),
        (&rsa, "PS256", Algorithm::Ps256),
        (&rsa, "PS384", Algorithm::Ps384),
        (&rsa, "PS512", Algorithm::Ps512),
        (&p256, "ES256", Algorithm::Es256),
        (&p384, "ES384", Algorithm::Es384),
        (&ed, "EdDSA", Algorithm::EdDsa),
    ];
    for (signer, alg, algorithm) in rows {
        let settings = IssuerSettings { algorithms: vec![algorithm], ..settings() };
        for key in [json!({"kid": "k1", "alg": alg}), json!({"kid": "k1"})] {
            let accepted = Accepted::Oidc(oidc(settings.clone(), &[with(signer.jwk(), &key)]));
            let right = token(signer, alg, header(alg).to_string().as_bytes(), claims().to_string().as_bytes());
            assert!(present(&accepted, &right, time(NOW)).is_ok(), "{alg}");
            for (other, named, _) in rows.iter().filter(|row| row.1 != alg) {
                // signed by whatever key in another way, under a header that says so, and under one that does not
                for claimed in [*named, alg] {
                    let wrong = token(other, named, header(claimed).to_string().as_bytes(), claims().to_string().as_bytes());
                    assert!(present(&accepted, &wrong, time(NOW)).is_err(), "{alg}: {named} as {claimed}");
                }
            }
        }
    }
}

/// Algorithm confusion: a public key as the secret of an HMAC, `none`, and another algorithm of the same key.
#[test]
fn the_key_says_the_algorithm_and_never_the_header() {
    let rsa = Signer::rsa();
    let jwk = with(rsa.jwk(), &json!({"kid": "k1"}));
    let accepted = Accepted::Oidc(oidc(settings(), std::slice::from_ref(&jwk)));
    let signed = |alg: &str| format!("{}.{}", encode(header(alg).to_string()), encode(claims().to_string()));
    let modulus = jwk["n"].as_str().unwrap().as_bytes().to_vec();
    for secret in [jwk.to_string().into_bytes(), modulus, Vec::new()] {
        let message = signed("HS256");
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &secret), message.as_bytes());
        let forged = format!("{message}.{}", encode(tag.as_ref()));
        let bad = present(&accepted, &forged, time(NOW)).unwrap_err();
        assert_eq!(bad, BadCredential::Jwt(BadJwt::Algorithm { header: "HS256".to_owned(), key: "RS256" }));
        assert_eq!(bad.to_string(), "the access token is not valid here");
    }
    for alg in ["none", "None", "NONE", "nOnE", "", "RS256 ", "rs256", "PS256", "ES256", "HS512"] {
        let message = signed(alg);
        let with_a_good_signature = format!("{message}.{}", encode(rsa.sign("RS256", message.as_bytes())));
        let bad = present(&accepted, &with_a_good_signature, time(NOW)).unwrap_err();
        assert!(matches!(bad, BadCredential::Jwt(BadJwt::Algorithm { .. })), "{alg}: {}", bad.for_log());
        let without_one = present(&accepted, &format!("{message}."), time(NOW)).unwrap_err();
        assert!(without_one.for_log().contains("no signature"), "{alg}: {}", without_one.for_log());
    }
}

#[test]
fn a_header_that_leads_elsewhere_is_refused() {
    let world = World::new();
    let own = World::new();
    let rows = [
        (json!({"crit": ["exp"]}), "holds `crit`"),
        (json!({"crit": []}), "holds `crit`"),
        (json!({"jku": "https://evil.example/jwks"}), "holds `jku`"),
        (json!({"jwk": own.signer.jwk()}), "holds `jwk`"),
        (json!({"x5u": "https://evil.example/cert"}), "holds `x5u`"),
        (json!({"x5c": ["MIIB"]}), "holds `x5c`"),
        (json!({"b64": false}), "holds `b64`"),
        (json!({"zip": "DEF"}), "holds `zip`"),
        (json!({"enc": "A128GCM"}), "holds `enc`"),
        (json!({"cty": "JWT"}), "holds `cty`"),
        (json!({"alg": null}), "lacks `alg`"),
        (json!({"alg": 5}), "`alg` is not a string"),
        (json!({"alg": ["ES256"]}), "`alg` is not a string"),
        (json!({"kid": 1}), "`kid` is not a string"),
        (json!({"typ": true}), "`typ` is not a string"),
        (json!({"typ": null}), "`typ` is"),
        (json!({"typ": "JWT"}), "`typ` is"),
        (json!({"typ": "dpop+jwt"}), "`typ` is"),
        (json!({"typ": "at+jwt "}), "`typ` is"),
    ];
    for (change, why) in rows {
        says(world.read(&change, &json!({})), why, &change.to_string());
    }
    let jwt = World::of(IssuerSettings { types: vec!["JWT".to_owned()], ..settings() });
    assert!(jwt.read(&json!({"typ": "jwt"}), &json!({})).is_ok(), "a type that is configured");
    says(jwt.read(&json!({}), &json!({})), "`typ` is", "and no other");
}

/// Key-id injection: a `kid` that is a path, a query or an address.
#[test]
fn a_kid_is_looked_up_byte_for_byte_and_nowhere_else() {
    let world = World::new();
    let long = "k".repeat(256);
    for kid in
        ["../../etc/passwd", "'; DROP TABLE keys; --", "K1", "k1 ", "k1\u{0}", "k1\n", "https://evil.example/k1", "k\u{131}", long.as_str()]
    {
        let bad = world.read(&json!({"kid": kid}), &json!({})).unwrap_err();
        assert_eq!(bad, BadCredential::Jwt(BadJwt::UnknownKey { issuer: ISSUER.to_owned(), kid: kid.to_owned() }));
        assert_eq!(bad.unknown_key_of(), Some(ISSUER), "whoever fetches keys may look again");
        assert_eq!(bad.to_string(), "the access token is not valid here");
        assert!(!bad.for_log().contains(['\n', '\u{0}']), "nothing raw goes to the log");
    }
    says(world.read(&json!({"kid": "k".repeat(257)}), &json!({})), "1 to 256 bytes", "a long kid");
    says(world.read(&json!({"kid": ""}), &json!({})), "1 to 256 bytes", "an empty kid");
    assert!(world.read(&json!({"kid": null}), &json!({})).is_ok(), "one key, and no doubt which");
    let keys = [with(world.signer.jwk(), &json!({"kid": "k1"})), with(Signer::p256().jwk(), &json!({"kid": "k2"}))];
    let two = World { accepted: Accepted::Oidc(oidc(settings(), &keys)), signer: world.signer };
    says(two.read(&json!({"kid": null}), &json!({})), "names no key", "two keys");
    says(two.read(&json!({"kid": "k2"}), &json!({})), "does not verify", "the other key");
    let none = World { accepted: Accepted::Oidc(oidc(settings(), &[])), signer: two.signer };
    let bad = none.read(&json!({}), &json!({})).unwrap_err();
    assert_eq!((bad.unknown_key_of(), bad.for_log().contains("no key of")), (Some(ISSUER), true));
}

#[test]
fn keys_rotate_and_the_old_ones_end() {
    let (old, new) = (Signer::p256(), Signer::ed25519());
    let (old_key, new_key) = (with(old.jwk(), &json!({"kid": "old"})), with(new.jwk(), &json!({"kid": "new"})));
    let signed = |signer: &Signer, alg: &str, kid: &str| {
        let header = with(header(alg), &json!({"kid": kid})).to_string();
        token(signer, alg, header.as_bytes(), claims().to_string().as_bytes())
    };
    let (by_old, by_new) = (signed(&old, "ES256", "old"), signed(&new, "EdDSA", "new"));
    let rows: [(&[Value], bool, bool); 3] = [
        (std::slice::from_ref(&old_key), true, false),
        (&[old_key.clone(), new_key.clone()], true, true),
        (std::slice::from_ref(&new_key), false, true),
    ];
    for (keys, old_counts, new_counts) in rows {
        let accepted = Accepted::Oidc(oidc(settings(), keys));
        assert_eq!(present(&accepted, &by_old, time(NOW)).is_ok(), old_counts);
        assert_eq!(present(&accepted, &by_new, time(NOW)).is_ok(), new_counts);
    }
    assert_eq!(key_set(&[old_key, new_key], &settings().algorithms).len(), 2);
}

/// CVE-2026-25537: an `exp` of the wrong type was read as no `exp`.
#[test]
fn a_claim_of_the_wrong_type_is_never_an_absent_one() {
    let lenient = World::of(IssuerSettings { require_nbf: false, ..settings() });
    let strict = World::new();
    let wrong = [
        json!("1900000000"),
        json!(1_896_080_400.5),
        json!(1.0),
        json!(1e9),
        json!(-1),
        json!(true),
        json!([]),
        json!({}),
        json!([now() + 300]),
        json!(u64::MAX),
        json!(253_402_300_800_u64),
        json!(1e300),
    ];
    for name in ["exp", "nbf", "iat", "auth_time"] {
        for value in &wrong {
            for world in [&strict, &lenient] {
                let mut changed = claims();
                changed[name] = value.clone();
                let found = world.read_raw(header("ES256").to_string().as_bytes(), changed.to_string().as_bytes(), time(NOW));
                says(found, "not a whole number", &format!("{name} {value}"));
            }
        }
        // null is a value of the wrong type, too
        let text = with(claims(), &json!({ name: null })).to_string().replacen('{', &format!("{{\"{name}\":null,"), 1);
        let found = lenient.read_raw(header("ES256").to_string().as_bytes(), text.as_bytes(), time(NOW));
        says(found, "not a whole number", name);
    }
    let rows = [
        (json!({"exp": null}), "`exp` is refused: it is missing"),
        (json!({"nbf": null}), "`nbf` is refused: it is missing"),
        (json!({"iat": null}), "`iat` is refused: it is missing"),
        (json!({"aud": null}), "`aud` is refused: it is missing"),
        (json!({"sub": null}), "`sub` is refused: it is missing"),
        (json!({"iss": null}), "`iss` is missing"),
        (json!({"iss": [ISSUER]}), "`iss` is missing or not a string"),
        (json!({"sub": 7}), "`sub` is refused: it is not a string"),
        (json!({"sub": ["alice"]}), "`sub` is refused: it is not a string"),
        (json!({"aud": 7}), "`aud` is refused: it is not a list"),
        (json!({"aud": ["elevon", 7]}), "`aud` is refused: it is not a list"),
        (json!({"aud": {"elevon": true}}), "`aud` is refused: it is not a list"),
        (json!({"amr": "mfa"}), "`amr` is refused: it is not a list"),
        (json!({"amr": ["mfa", 1]}), "`amr` is refused: it is not a list"),
        (json!({"acr": ["urn:mfa"]}), "`acr` is refused: it is not a string"),
        (json!({"acr": 2}), "`acr` is refused: it is not a string"),
        (json!({"groups": "admins"}), "`groups` is refused: it is not a list"),
        (json!({"groups": [["admins"]]}), "`groups` is refused: it is not a list"),
    ];
    for (change, why) in rows {
        says(strict.read(&json!({}), &change), why, &change.to_string());
    }
    assert!(lenient.read(&json!({}), &json!({"nbf": null})).is_ok(), "`nbf` need not be there where that is configured");
}

#[test]
fn time_is_compared_with_the_leeway_and_no_more() {
    let world = World::new();
    let at = |millis: i64| Timestamp::from_millis(now() * 1000 + millis);
    let read = |change: Value, at: Timestamp| {
        world.read_raw(header("ES256").to_string().as_bytes(), with(claims(), &change).to_string().as_bytes(), at)
    };
    let minute = 60_000;
    let rows = [
        (json!({"exp": now()}), minute - 1, None),
        (json!({"exp": now()}), minute, Some("ended at")),
        (json!({"exp": now() - 60, "iat": now() - 100, "nbf": now() - 100}), -1, None),
        (json!({"exp": now() - 61, "iat": now() - 100, "nbf": now() - 100}), 0, Some("ended at")),
        (json!({"nbf": now() + 60}), 0, None),
        (json!({"nbf": now() + 60}), -1, Some("counts from")),
        (json!({"nbf": now() + 61}), 0, Some("counts from")),
        (json!({"iat": now() + 60, "nbf": now()}), 0, None),
        (json!({"iat": now() + 61, "nbf": now()}), 0, Some("counts from")),
        (json!({"auth_time": now() + 60}), 0, None),
        (json!({"auth_time": now() + 61}), 0, Some("lies in the future")),
        (json!({"exp": now(), "iat": now()}), 0, Some("not after `iat`")),
        (json!({"nbf": now() + 30, "exp": now() + 30}), 0, Some("not after `iat` and `nbf`")),
        (json!({"iat": now(), "exp": now() + 86_400}), 0, None),
        (json!({"iat": now(), "exp": now() + 86_401}), 0, Some("lasts longer")),
        (json!({"iat": 0}), 0, Some("lasts longer")),
    ];
    for (change, millis, why) in rows {
        let found = read(change.clone(), at(millis));
        match why {
            None => assert!(found.is_ok(), "{change}: {found:?}"),
            Some(why) => says(found, why, &change.to_string()),
        }
    }
    let exact = World::of(IssuerSettings { leeway: Duration::default(), ..settings() });
    says(exact.read(&json!({}), &json!({"nbf": now() + 1})), "counts from", "no leeway");
    says(exact.read(&json!({}), &json!({"exp": now(), "iat": now() - 5, "nbf": now() - 5})), "ended at", "no leeway");
}

#[test]
fn issuer_audience_and_subject_are_exact() {
    let world = World::new();
    let rows = [
        (json!({"iss": "https://id.example/realm/"}), "was not told of"),
        (json!({"iss": "https://ID.example/realm"}), "was not told of"),
        (json!({"iss": "http://id.example/realm"}), "was not told of"),
        (json!({"iss": ""}), "was not told of"),
        (json!({"aud": "Elevon"}), "for others"),
        (json!({"aud": "elevon "}), "for others"),
        (json!({"aud": "elevon,other"}), "for others"),
        (json!({"aud": []}), "for others"),
        (json!({"aud": ["a", "b"]}), "for others"),
        (json!({"sub": ""}), "empty"),
        (json!({"sub": "ali\u{0}ce"}), "control character"),
        (json!({"sub": "alice\n"}), "control character"),
        (json!({"sub": "Zoe\u{308}"}), "normalisation form C"),
        (json!({"sub": "\u{202e}ecila"}), "look like another name"),
        (json!({"sub": "alice "}), "white space"),
        (json!({"sub": "a".repeat(513)}), "at most 512"),
    ];
    for (change, why) in rows {
        says(world.read(&json!({}), &change), why, &change.to_string());
    }
    for sub in ["Alice", "a lice", "auth0|alice", "Zoë", "'; --", "User::\"root\""] {
        let found = world.read(&json!({}), &json!({"sub": sub})).unwrap();
        assert_eq!((found.caller.principal.kind(), found.caller.principal.id()), ("User", sub), "verbatim");
    }
}

#[test]
fn the_claim_that_names_the_principal_is_configured() {
    let prefixed = World::of(IssuerSettings { strip_prefix: Some("auth0|".to_owned()), ..settings() });
    assert_eq!(prefixed.read(&json!({}), &json!({"sub": "auth0|alice"})).unwrap().caller.principal.id(), "alice");
    says(prefixed.read(&json!({}), &json!({"sub": "alice"})), "lacks the configured prefix", "without");
    says(prefixed.read(&json!({}), &json!({"sub": "auth0|"})), "empty", "nothing but the prefix");
    let email = World::of(IssuerSettings { principal_claim: "email".to_owned(), ..settings() });
    let good = json!({"email": "a@b.example", "email_verified": true});
    assert_eq!(email.read(&json!({}), &good).unwrap().caller.principal.id(), "a@b.example");
    for verified in [json!(null), json!(false), json!("true"), json!(1)] {
        let change = json!({"email": "a@b.example", "email_verified": verified});
        says(email.read(&json!({}), &change), "`email_verified` is refused", &change.to_string());
    }
    says(email.read(&json!({}), &json!({})), "`email` is refused: it is missing", "`sub` is no stand-in");
}

#[test]
fn one_method_is_not_two_factors() {
    let world = World::new();
    let rows = [
        (json!({}), &[] as &[&str], false),
        (json!({"amr": []}), &[], false),
        (json!({"amr": ["pwd"]}), &["pwd"], false),
        (json!({"amr": ["pwd", "pwd"]}), &["pwd"], false),
        (json!({"amr": ["otp"], "acr": "urn:other"}), &["otp"], false),
        (json!({"amr": ["mfa"]}), &["mfa"], true),
        (json!({"amr": ["pwd", "otp"]}), &["otp", "pwd"], true),
        (json!({"amr": ["pin", "hwk"]}), &["hwk", "pin"], true),
        (json!({"amr": ["pin", "pwd"]}), &["pin", "pwd"], false),
        (json!({"amr": ["otp", "sms", "swk"]}), &["otp", "sms", "swk"], false),
        (json!({"amr": ["geo", "pwd", "rba", "user", "wia"]}), &["geo", "pwd", "rba", "user", "wia"], false),
        (json!({"amr": ["MFA", "pwd", "unheard-of"]}), &["MFA", "pwd", "unheard-of"], false),
        (json!({"acr": "urn:mfa"}), &["mfa"], true),
        (json!({"amr": ["pwd"], "acr": "urn:mfa"}), &["mfa", "pwd"], true),
        (json!({"acr": "urn:mfa:no"}), &[], false),
    ];
    for (change, amr, mfa) in rows {
        let caller = world.read(&json!({}), &change).unwrap().caller;
        assert_eq!(
            (caller.amr.as_slice(), caller.has_mfa()),
            (&*amr.iter().map(|method| (*method).to_owned()).collect::<Vec<_>>(), mfa),
            "{change}"
        );
    }
    let rows = [
        (json!({"amr": [""]}), "1 to 128"),
        (json!({"amr": ["two words"]}), "1 to 128"),
        (json!({"amr": ["m".repeat(129)]}), "1 to 128"),
        (json!({"amr": (0..17).map(|at| at.to_string()).collect::<Vec<_>>()}), "more than 16"),
        (json!({"groups": (0..201).map(|at| at.to_string()).collect::<Vec<_>>()}), "more than 200"),
        (json!({"groups": [""]}), "1 to 256"),
        (json!({"groups": ["g".repeat(257)]}), "1 to 256"),
        (json!({"groups": ["a\tb"]}), "control character"),
    ];
    for (change, why) in rows {
        says(world.read(&json!({}), &change), why, &change.to_string());
    }
    let without = World::of(IssuerSettings { groups_claim: None, ..settings() });
    assert!(
        without.read(&json!({}), &json!({"groups": 7})).unwrap().caller.groups.is_empty(),
        "a claim that is not configured is not read"
    );
}

#[test]
fn a_member_that_is_there_twice_is_refused() {
    let world = World::new();
    let (head, body) = (header("ES256").to_string(), claims().to_string());
    let doubled = |text: &str, member: &str| text.replacen('{', &format!("{{{member},"), 1);
    let rows = [
        (doubled(&head, "\"alg\":\"none\""), body.clone()),
        (doubled(&head, "\"kid\":\"k2\""), body.clone()),
        (head.clone(), doubled(&body, "\"sub\":\"root\"")),
        (head.clone(), doubled(&body, "\"s\\u0075b\":\"root\"")),
        (head.clone(), doubled(&body, "\"exp\":1")),
        (head.clone(), doubled(&body, "\"x\":{\"a\":1,\"a\":2}")),
    ];
    for (head, body) in rows {
        says(world.read_raw(head.as_bytes(), body.as_bytes(), time(NOW)), "twice", &format!("{head} {body}"));
    }
}

#[test]
fn what_is_no_token_is_refused() {
    let world = World::new();
    let (head, body) = (header("ES256").to_string(), claims().to_string());
    let good = token(&world.signer, "ES256", head.as_bytes(), body.as_bytes());
    assert!(present(&world.accepted, &good, time(NOW)).is_ok());
    let parts: Vec<&str> = good.split('.').collect();
    let [h, p, s] = parts.as_slice() else { panic!("three parts") };
    let der = [0x30_u8, 0x06, 0x02, 0x01, 0x01, 0x02, 0x01, 0x01];
    let rows = [
        ("a".to_owned(), "three parts"),
        (format!("{h}.{p}"), "three parts"),
        (format!("{good}.{s}"), "more than three parts"),
        (format!("{h}.{p}.{s}.x.y"), "more than three parts"),
        (format!("..{s}"), "header"),
        (format!("{h}..{s}"), "payload"),
        (format!("{h}.{p}."), "no signature"),
        ("..".to_owned(), "no signature"),
        (format!("{h}=.{p}.{s}"), "no token has"),
        (format!("{h}.{p}.{s}=="), "not base64url"),
        (format!("{h}.{p}.{s}AAA"), "not base64url"),
        (format!("{h}.{p}.+/+/"), "not base64url"),
        (format!("{h}.{p}.{}", encode([0_u8; 64])), "does not verify"),
        (format!("{h}.{p}.{}", encode([0xff_u8; 64])), "does not verify"),
        (format!("{h}.{p}.{}", encode(der)), "does not verify"),
        (format!("{h}.{p}.{}", encode([1_u8])), "does not verify"),
        (format!("{}.{p}.{s}", encode(format!("{head} "))), "does not verify"),
        (format!("{h}.{}.{s}", encode(body.replace("alice", "admin"))), "does not verify"),
        (format!("{}.{p}.{s}", encode("[]")), "not a JSON object"),
        (format!("{}.{p}.{s}", encode(b"\xff\xfe")), "not JSON"),
        (format!("{h}.{}.{s}", encode(b"\xff")), "not JSON"),
        (format!("{h}.{}.{s}", encode("null")), "not a JSON object"),
        (format!("{h}.{}.{s}", encode(format!("{body}{body}"))), "trailing"),
        (format!("{h}.{}.{s}", encode("[".repeat(5000))), "recursion"),
        (format!(" {good} "), "no token has"),
        (format!("{good}\u{0}"), "no token has"),
        (format!("{good};x"), "no token has"),
        ("A".repeat(16 * 1024), "at most 16384"),
    ];
    for (text, why) in rows {
        let bad = present(&world.accepted, &text, time(NOW)).unwrap_err();
        assert!(bad.for_log().contains(why), "{text}: {}", bad.for_log());
        assert!(!bad.for_log().contains(*s), "a signature was repeated");
    }
}

#[test]
fn two_issuers_never_share_keys() {
    let (one, other) = (Signer::p256(), Signer::p256());
    let second = IssuerSettings { issuer: "https://second.example".to_owned(), principal_type: "Partner".to_owned(), ..settings() };
    let issuer = |settings: IssuerSettings, signer: &Signer| {
        let set = key_set(&[with(signer.jwk(), &json!({"kid": "k1"}))], &settings.algorithms);
        Issuer::new(settings, std::sync::Arc::new(std::sync::Arc::new(set))).unwrap()
    };
    let both = Oidc::new(vec![issuer(settings(), &one), issuer(second, &other)]).unwrap();
    let accepted = Accepted::Oidc(both);
    let made = |signer: &Signer, iss: &str| {
        token(signer, "ES256", header("ES256").to_string().as_bytes(), with(claims(), &json!({"iss": iss})).to_string().as_bytes())
    };
    let kind = |token: &str| present(&accepted, token, time(NOW)).map(|found| found.unwrap().caller.principal.kind().to_owned());
    assert_eq!(kind(&made(&one, ISSUER)).unwrap(), "User");
    assert_eq!(kind(&made(&other, "https://second.example")).unwrap(), "Partner");
    assert!(kind(&made(&other, ISSUER)).is_err() && kind(&made(&one, "https://second.example")).is_err());
    let twice = Oidc::new(vec![issuer(settings(), &one), issuer(settings(), &other)]).unwrap_err();
    assert!(twice.to_string().contains("there twice"), "{twice}");
    assert!(Oidc::new(Vec::new()).unwrap_err().to_string().contains("at least one"));
}

#[test]
fn settings_out_of_order_are_refused() {
    let usual = settings;
    let url = |url: &str| IssuerSettings { keys: KeySource::Url(url.to_owned()), ..usual() };
    let rows = [
        (IssuerSettings { audiences: Vec::new(), ..usual() }, "at least one entry"),
        (IssuerSettings { types: Vec::new(), ..usual() }, "at least one entry"),
        (IssuerSettings { algorithms: Vec::new(), ..usual() }, "at least one entry"),
        (IssuerSettings { audiences: vec![String::new()], ..usual() }, "`audiences`"),
        (IssuerSettings { issuer: String::new(), ..usual() }, "`issuer`"),
        (IssuerSettings { strip_prefix: Some(String::new()), ..usual() }, "`strip_prefix`"),
        (IssuerSettings { principal_type: "Us er".to_owned(), ..usual() }, "`principal_type`"),
        (IssuerSettings { leeway: Duration::from_secs(301), ..usual() }, "`leeway`"),
        (IssuerSettings { max_lifetime: Duration::from_days(8), ..usual() }, "`max_lifetime`"),
        (IssuerSettings { max_lifetime: Duration::default(), ..usual() }, "`max_lifetime`"),
        (IssuerSettings { keys: KeySource::File(String::new()), ..usual() }, "`keys.file`"),
        (url("http://id.example/jwks"), "`keys.url`"),
        (url("http://localhost.evil.example/jwks"), "`keys.url`"),
        (url("http://localhost@evil.example/jwks"), "`keys.url`"),
        (url("file:///etc/passwd"), "`keys.url`"),
        (url("https:///jwks"), "`keys.url`"),
    ];
    for (settings, why) in rows {
        let bad = Issuer::new(settings, std::sync::Arc::new(std::sync::Arc::new(crate::identity::KeySet::none()))).unwrap_err().to_string();
        assert!(bad.contains(why), "{why}: {bad}");
    }
    for good in ["http://127.0.0.1:8080/jwks", "http://localhost/jwks", "https://id.example:8443/jwks?x=1"] {
        assert!(Issuer::new(url(good), std::sync::Arc::new(std::sync::Arc::new(crate::identity::KeySet::none()))).is_ok(), "{good}");
    }
    for (line, why) in [("audience = []", "audience"), ("algorithms = [\"HS256\"]", "HS256"), ("algorithms = [\"none\"]", "none")] {
        let text = format!("issuer = \"x\"\nkeys = {{ file = \"k\" }}\naudiences = [\"a\"]\nprincipal_type = \"User\"\n{line}\n");
        let bad = toml::from_str::<IssuerSettings>(&text).unwrap_err().to_string();
        assert!(bad.contains(why), "{bad}");
    }
}
