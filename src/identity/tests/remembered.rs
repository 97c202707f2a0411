//! What is remembered of a credential is what would be found anew.

use std::sync::{Arc, Mutex};

use serde_json::json;

use super::kit::{NOW, Signer, claims, header, settings, time, token, with};
use crate::domain::{Duration, Uid};
use crate::identity::{
    Accepted, Accepts, Algorithm, Dev, Issuer, KeySet, Keys, Oidc, Presented, Remembered, TokenEntry, Tokens, token_sha256, token_text,
};

/// Keys that the test changes.
#[derive(Default)]
struct Ring(Mutex<Arc<KeySet>>);

impl Keys for Ring {
    fn current(&self) -> Arc<KeySet> {
        Arc::clone(&self.0.lock().unwrap())
    }
}

impl Ring {
    fn holds(&self, signer: &Signer) {
        let keys = json!({"keys": [with(signer.jwk(), &json!({"kid": "k1"}))]}).to_string();
        *self.0.lock().unwrap() = Arc::new(KeySet::parse(keys.as_bytes(), &[Algorithm::EdDsa]).unwrap());
    }
}

fn entry(seed: u8, name: &str) -> TokenEntry {
    TokenEntry {
        id: name.to_owned(),
        sha256: token_sha256(&token_text([seed; 32])),
        principal: Uid::new("Service", name).unwrap(),
        groups: Vec::new(),
        not_before: None,
        expires: (seed == 2).then(|| time(NOW).plus(Duration::from_secs(10))),
        previous: None,
    }
}

/// Asks, and says who it is and whether that was remembered; nothing, where it is refused.
fn ask(remembered: &mut Remembered, accepts: &Arc<Accepts>, headers: &[&str], after: u64) -> Option<(String, bool)> {
    let bytes: Vec<&[u8]> = headers.iter().map(|header| header.as_bytes()).collect();
    let presented = Presented { authorization: &bytes, ..Presented::default() };
    let found = remembered.identify(accepts, &presented, time(NOW).plus(Duration::from_secs(after))).ok()??;
    Some((found.0.caller.principal.id().to_owned(), found.1))
}

fn known(name: &str, remembered: bool) -> Option<(String, bool)> {
    Some((name.to_owned(), remembered))
}

#[test]
fn a_token_is_remembered_for_the_same_bytes_and_settings_and_until_it_ends() {
    let tokens = || Accepted::Token(Tokens::new(vec![entry(1, "first"), entry(2, "ending")]).unwrap());
    let accepts = Arc::new(Accepts::new(vec![tokens(), Accepted::Dev(Dev)]).unwrap());
    let [first, ending, wrong] = [1, 2, 3].map(|seed| format!("Bearer {}", token_text([seed; 32])));
    let remembered = &mut Remembered::default();
    assert_eq!(ask(remembered, &accepts, &[&first], 0), known("first", false));
    assert_eq!(ask(remembered, &accepts, &[&first], 0), known("first", true));
    assert_eq!(ask(remembered, &accepts, &[&first, &first], 0), None, "two of them are a bad credential");
    assert_eq!(ask(remembered, &accepts, &[&first], 0), known("first", false), "what is refused takes along what was remembered");
    assert_eq!(ask(remembered, &accepts, &[], 0), None, "a credential is not remembered for a request without one");
    for _ in 0..2 {
        assert_eq!(ask(remembered, &accepts, &[&wrong], 0), None);
    }
    assert_eq!(ask(remembered, &accepts, &[&ending], 0), known("ending", false));
    assert_eq!(ask(remembered, &accepts, &[&ending], 9), known("ending", true));
    assert_eq!(ask(remembered, &accepts, &[&ending], 10), None);
    assert_eq!(ask(remembered, &accepts, &["Dev User::\"first\""], 0), known("first", false));
    assert_eq!(ask(remembered, &accepts, &["Dev User::\"other\""], 0), known("other", false));
    let same_again = Arc::new(Accepts::new(vec![tokens(), Accepted::Dev(Dev)]).unwrap());
    assert_eq!(ask(remembered, &accepts, &[&first], 0), known("first", false));
    assert_eq!(ask(remembered, &same_again, &[&first], 0), known("first", false), "another configuration counts from the next request");
    let without = Arc::new(Accepts::new(vec![Accepted::Token(Tokens::new(vec![entry(2, "ending")]).unwrap())]).unwrap());
    assert_eq!(ask(remembered, &without, &[&first], 0), None);
}

#[test]
fn an_access_token_is_forgotten_with_the_keys_that_verified_it_and_when_it_ends() {
    let (signer, other, ring) = (Signer::ed25519(), Signer::ed25519(), Arc::new(Ring::default()));
    ring.holds(&signer);
    let issuer = Issuer::new(settings(), Arc::clone(&ring) as Arc<dyn Keys>).unwrap();
    let accepts = Arc::new(Accepts::new(vec![Accepted::Oidc(Oidc::new(vec![issuer]).unwrap())]).unwrap());
    let signed = token(&signer, "EdDSA", header("EdDSA").to_string().as_bytes(), claims().to_string().as_bytes());
    let bearer = format!("Bearer {signed}");
    let remembered = &mut Remembered::default();
    assert_eq!(ask(remembered, &accepts, &[&bearer], 0), known("alice", false));
    assert_eq!(ask(remembered, &accepts, &[&bearer], 0), known("alice", true));
    ring.holds(&signer);
    assert_eq!(ask(remembered, &accepts, &[&bearer], 0), known("alice", false), "a set that was fetched anew is another one");
    ring.holds(&other);
    assert_eq!(ask(remembered, &accepts, &[&bearer], 0), None);
    ring.holds(&signer);
    assert_eq!(ask(remembered, &accepts, &[&bearer], 0), known("alice", false));
    // `exp` and a minute of leeway
    assert_eq!(ask(remembered, &accepts, &[&bearer], 359), known("alice", true));
    assert_eq!(ask(remembered, &accepts, &[&bearer], 360), None);
}
