//! Issuers that fail: slow, gone, or with sets of keys that are not in order. What was good before is kept, and who sends a key that nobody
//! knows neither waits long nor makes the server ask its issuer again and again.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::common::eventually;
use crate::help::Secure;
use crate::tls::Authority;

/// How often a key that nobody knows makes the server ask at most.
const UNKNOWN_EVERY: Duration = Duration::from_secs(30);

/// A key of an issuer.
struct Key {
    kid: &'static str,
    pair: EcdsaKeyPair,
}

impl Key {
    fn new(kid: &'static str) -> Self {
        Self { kid, pair: EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap() }
    }

    fn jwk(&self) -> Value {
        let point = self.pair.public_key().as_ref();
        let half = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        json!({"kty": "EC", "crv": "P-256", "alg": "ES256", "kid": self.kid, "x": half(&point[1..33]), "y": half(&point[33..])})
    }

    /// A token for the first administrator that is in order but for what is said.
    fn token(&self, issuer: &str) -> String {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let claims = json!({"iss": issuer, "aud": "elevon", "sub": "admin", "iat": now - 5, "nbf": now - 5, "exp": now + 600});
        let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", part(json!({"alg": "ES256", "typ": "at+jwt", "kid": self.kid})), part(claims));
        let signature = self.pair.sign(&SystemRandom::new(), signed.as_bytes()).unwrap();
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

fn set(keys: &[&Key]) -> String {
    json!({ "keys": keys.iter().map(|key| key.jwk()).collect::<Vec<_>>() }).to_string()
}

/// What is answered at a path.
#[derive(Clone)]
enum Says {
    /// A status line with headers, and a body.
    Whole(&'static str, String),
    /// Nothing, until it says something else.
    Nothing,
    /// A head, and then a byte at a time without an end.
    Trickles,
}

impl Says {
    fn good(keys: &[&Key]) -> Self {
        Self::Whole("200 OK", set(keys))
    }
}

#[derive(Default)]
struct Said {
    paths: BTreeMap<String, Says>,
    asked: BTreeMap<String, usize>,
}

/// A server of sets of keys, one at each path. It ends with the test's process.
struct Sets {
    port: u16,
    said: Arc<Mutex<Said>>,
}

impl Sets {
    fn start(tls: Option<Arc<rustls::ServerConfig>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let sets = Self { port: listener.local_addr().unwrap().port(), said: Arc::default() };
        let said = Arc::clone(&sets.said);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (said, tls) = (Arc::clone(&said), tls.clone());
                let stream = stream.unwrap();
                thread::spawn(move || match tls {
                    None => answer(stream, &said),
                    Some(config) => answer(rustls::StreamOwned::new(rustls::ServerConnection::new(config).unwrap(), stream), &said),
                });
            }
        });
        sets
    }

    fn say(&self, path: &str, says: Says) {
        self.said.lock().unwrap().paths.insert(path.to_owned(), says);
    }

    fn asked(&self, path: &str) -> usize {
        self.said.lock().unwrap().asked.get(path).copied().unwrap_or(0)
    }

    /// An entry for an issuer of this name.
    fn entry(&self, name: &str, scheme: &str, more: &str) -> String {
        format!(
            "[[oidc]]\nissuer = \"{}\"\nkeys = {{ url = \"{scheme}://127.0.0.1:{}/{name}\" }}\naudiences = [\"elevon\"]\n\
             principal_type = \"User\"\n{more}\n",
            issuer(name),
            self.port
        )
    }
}

fn issuer(name: &str) -> String {
    format!("https://id.example/{name}")
}

fn answer(mut stream: impl Read + Write, said: &Mutex<Said>) {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read(&mut byte) {
            Ok(1) => head.push(byte[0]),
            _ => return,
        }
    }
    let path = String::from_utf8(head).unwrap().split(' ').nth(1).unwrap().trim_start_matches('/').to_owned();
    *said.lock().unwrap().asked.entry(path.clone()).or_default() += 1;
    loop {
        let says = said.lock().unwrap().paths.get(&path).cloned();
        match says {
            None => return,
            Some(Says::Whole(head, body)) => {
                let _ = write!(stream, "HTTP/1.1 {head}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len());
                let _ = stream.flush();
                return;
            }
            Some(Says::Nothing) => thread::sleep(Duration::from_millis(20)),
            Some(Says::Trickles) => {
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{");
                while stream.write_all(b" ").and_then(|()| stream.flush()).is_ok() {
                    thread::sleep(Duration::from_millis(50));
                }
                return;
            }
        }
    }
}

/// A server that takes tokens of these issuers.
fn secure(entries: &[String]) -> Secure {
    let secure = Secure::new();
    secure.change("accept = [\"token\"]", "accept = [\"token\", \"oidc\"]");
    entries.iter().for_each(|entry| secure.add(entry));
    secure
}

#[test]
fn an_outage_keeps_the_last_good_keys_and_unknown_ones_ask_once_in_a_while() {
    let (known, unknown) = (Key::new("known"), Key::new("unknown"));
    let sets = Sets::start(None);
    sets.say("realm", Says::good(&[&known]));
    let mut secure = secure(&[sets.entry("realm", "http", "")]);
    secure.start();
    let realm = issuer("realm");
    assert_eq!(secure.me(&known.token(&realm)).0, 200);
    assert!(!secure.degraded());
    let (before, began) = (sets.asked("realm"), Instant::now());
    // It takes what is asked and says nothing. Each of these is answered while it still does: nobody waits for it without an end.
    sets.say("realm", Says::Nothing);
    for _ in 0..8 {
        let (status, body) = secure.me(&unknown.token(&realm));
        assert_eq!((status, &body["rule"]), (401, &json!("bad_credential")));
        assert_eq!(secure.me(&known.token(&realm)).0, 200, "what was good is good");
    }
    eventually("it is shown", || secure.degraded());
    assert_eq!(secure.call(None, "GET", "/readyz", &Value::Null).0, 200, "it still serves");
    // Keys of other names do not count anew.
    for kid in ["one", "two", "three", "../known", "known/"] {
        assert_eq!(secure.me(&Key::new(kid).token(&realm)).0, 401, "{kid}");
    }
    let most = 1 + usize::try_from(began.elapsed().as_secs() / UNKNOWN_EVERY.as_secs()).unwrap();
    let asked = sets.asked("realm") - before;
    assert!((1..=most).contains(&asked), "asked {asked} times, at most {most} were to be");
    // How often keys are fetched may change in the outage; what is known stays known.
    secure.change(&format!("issuer = \"{realm}\""), &format!("issuer = \"{realm}\"\nrefresh = \"PT1H\""));
    secure.hang_up();
    eventually("the configuration is read", || secure.log().contains("the configuration was read again"));
    assert_eq!(secure.me(&known.token(&realm)).0, 200, "the last good keys outlive a reload");
    // The outage is over, with a new key beside the old one.
    sets.say("realm", Says::good(&[&known, &unknown]));
    let began = Instant::now();
    while secure.me(&unknown.token(&realm)).0 != 200 {
        assert!(began.elapsed() < Duration::from_secs(90), "the new key is not taken");
        thread::sleep(Duration::from_millis(250));
    }
    assert_eq!(secure.me(&known.token(&realm)).0, 200);
    eventually("all is well", || !secure.degraded());
}

#[test]
fn sets_of_keys_that_are_not_in_order_are_refused_and_the_last_good_one_is_kept() {
    let (known, other) = (Key::new("known"), Key::new("other"));
    let sets = Sets::start(None);
    let good = set(&[&other]);
    let rows = [
        ("oversized", Says::Whole("200 OK", format!("{good}{}", " ".repeat(300_000)))),
        ("redirected", Says::Whole("302 Found\r\nLocation: /elsewhere", good.clone())),
        ("for-good", Says::Whole("308 Permanent Redirect\r\nLocation: /elsewhere", String::new())),
        ("garbage", Says::Whole("200 OK", "\u{0}<html>".to_owned())),
        ("empty", Says::Whole("200 OK", json!({"keys": []}).to_string())),
        ("no-list", Says::Whole("200 OK", json!({"keys": other.jwk()}).to_string())),
        ("twice", Says::Whole("200 OK", json!({"keys": [other.jwk(), other.jwk()]}).to_string())),
        ("two-lists", Says::Whole("200 OK", format!("{{\"keys\":[],{}", &good[1..]))),
        ("useless", Says::Whole("200 OK", json!({"keys": [{"kty": "oct", "k": "AAAA", "kid": "other"}]}).to_string())),
        ("unwell", Says::Whole("500 Internal Server Error", good.clone())),
        ("partial", Says::Whole("206 Partial Content", good.clone())),
        ("trickling", Says::Trickles),
    ];
    for name in rows.iter().map(|(name, _)| *name).chain(["well"]) {
        sets.say(name, Says::good(&[&known]));
    }
    sets.say("elsewhere", Says::good(&[&other]));
    let names: BTreeSet<&str> = rows.iter().map(|(name, _)| *name).chain(["well"]).collect();
    let mut secure = secure(&names.iter().map(|name| sets.entry(name, "http", "")).collect::<Vec<_>>());
    secure.start();
    names.iter().for_each(|name| assert_eq!(secure.me(&known.token(&issuer(name))).0, 200, "{name}"));
    assert!(!secure.degraded());
    for (name, says) in rows {
        sets.say(name, says);
        let asked = sets.asked(name);
        assert_eq!(secure.me(&other.token(&issuer(name))).0, 401, "{name}");
        assert!(sets.asked(name) > asked, "{name} was not asked");
        eventually("it is in the log", || secure.log().lines().any(|line| line.contains(&issuer(name)) && line.contains("are kept")));
        assert_eq!(secure.me(&known.token(&issuer(name))).0, 200, "{name}: the last good one is kept");
        assert_eq!(secure.me(&other.token(&issuer(name))).0, 401, "{name}");
        assert!(secure.degraded(), "{name}");
    }
    assert_eq!(sets.asked("elsewhere"), 0, "a redirect was followed");
    // All of them are of other issuers: this one's new key counts at once.
    sets.say("well", Says::good(&[&other]));
    assert_eq!(secure.me(&other.token(&issuer("well"))).0, 200);
    assert_eq!(secure.me(&known.token(&issuer("well"))).0, 401, "a key that its issuer took back");
    assert_eq!(secure.me(&other.token(&issuer("nobody"))).0, 401, "an issuer that is not named");
}

#[test]
fn keys_come_over_tls_from_whom_the_configured_authority_vouches_for() {
    let (ours, others, key) = (Authority::new("ours"), Authority::new("others"), Key::new("known"));
    let (certificate, private) = ours.issue(vec![rcgen::SanType::IpAddress([127, 0, 0, 1].into())]);
    let sets = Sets::start(Some(Arc::new(elevon::http::tls_config(certificate.as_bytes(), private.as_bytes(), None, false).unwrap())));
    sets.say("ours", Says::good(&[&key]));
    sets.say("others", Says::good(&[&key]));
    sets.say("machine", Says::good(&[&key]));
    let mut secure = secure(&[
        sets.entry("ours", "https", "ca = \"ours.pem\""),
        sets.entry("others", "https", "ca = \"others.pem\""),
        sets.entry("machine", "https", ""),
    ]);
    fs::write(secure.dir().join("ours.pem"), &ours.pem).unwrap();
    fs::write(secure.dir().join("others.pem"), &others.pem).unwrap();
    secure.start();
    assert_eq!(secure.me(&key.token(&issuer("ours"))).0, 200);
    for name in ["others", "machine"] {
        assert_eq!(secure.me(&key.token(&issuer(name))).0, 401, "{name}");
        assert_eq!(sets.asked(name), 0, "{name} was asked by somebody who does not believe it");
    }
    assert!(secure.degraded());
    // The file of authorities is read for every fetch.
    fs::write(secure.dir().join("others.pem"), &ours.pem).unwrap();
    let began = Instant::now();
    while secure.me(&key.token(&issuer("others"))).0 != 200 {
        assert!(began.elapsed() < Duration::from_secs(90), "the new authority is not believed");
        thread::sleep(Duration::from_millis(250));
    }
}

/// Only so much is said to a peer that hangs up at once, as one does that is being started anew.
#[test]
fn an_issuer_that_hangs_up_is_one_that_cannot_be_reached() {
    let key = Key::new("known");
    let sets = Sets::start(None);
    let mut secure = secure(&[sets.entry("realm", "http", "")]);
    secure.start();
    assert!(secure.degraded(), "there were no keys at the start");
    assert_eq!(secure.me(&key.token(&issuer("realm"))).0, 401);
    assert_eq!(secure.me(&secure.admin).0, 200, "others are served");
    drop(TcpStream::connect(("127.0.0.1", sets.port)).unwrap());
    sets.say("realm", Says::good(&[&key]));
    let began = Instant::now();
    while secure.me(&key.token(&issuer("realm"))).0 != 200 {
        assert!(began.elapsed() < Duration::from_secs(90), "its keys are not taken");
        thread::sleep(Duration::from_millis(250));
    }
    eventually("all is well", || !secure.degraded());
}
