//! TLS: who is believed, who has to show a certificate, and certificates that change while the server runs.

use std::io::Read as _;
use std::net::TcpStream;
use std::sync::Arc;

use arc_swap::ArcSwap;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use elevon::domain::Uid;
use elevon::http::{Listen, tls_config};
use elevon::identity::{Accepted, CertificateSettings, Certificates, NameKind, SubjectEntry};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, StreamOwned};

use crate::help::{Client, Edge, PATIENCE, accepting, bounded, get, listen};
use crate::lane::settles;
use crate::two;

fn pem(kind: &str, der: &[u8]) -> String {
    format!("-----BEGIN {kind}-----\n{}\n-----END {kind}-----\n", STANDARD.encode(der))
}

/// Somebody who signs certificates.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    own: CertificateDer<'static>,
}

/// A certificate and its key.
struct Shown {
    certificate: CertificateDer<'static>,
    key: Vec<u8>,
}

impl Authority {
    fn new(name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let own = params.self_signed(&key).unwrap().der().clone();
        Self { issuer: Issuer::new(params, key), own }
    }

    /// A certificate for a common name, and for the host name `localhost`.
    fn signs(&self, name: &str) -> Shown {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        let certificate = params.signed_by(&key, &self.issuer).unwrap().der().clone();
        Shown { certificate, key: key.serialized_der().to_vec() }
    }

    fn pem(&self) -> String {
        pem("CERTIFICATE", &self.own)
    }
}

fn config(shown: &Shown, clients: Option<&Authority>, required: bool) -> ServerConfig {
    let (certificate, key) = (pem("CERTIFICATE", &shown.certificate), pem("PRIVATE KEY", &shown.key));
    let authorities = clients.map(Authority::pem);
    tls_config(certificate.as_bytes(), key.as_bytes(), authorities.as_deref().map(str::as_bytes), required).unwrap()
}

fn secured(config: ServerConfig) -> (Listen, Arc<ArcSwap<ServerConfig>>) {
    let tls = Arc::new(ArcSwap::from_pointee(config));
    let mut listen = listen();
    listen.tls = Some(Arc::clone(&tls));
    (listen, tls)
}

fn client_config(trusts: &Authority, shows: Option<&Shown>) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add(trusts.own.clone()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder =
        ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap().with_root_certificates(roots);
    match shows {
        None => builder.with_no_client_auth(),
        Some(shown) => {
            let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(shown.key.clone()));
            builder.with_client_auth_cert(vec![shown.certificate.clone()], key).unwrap()
        }
    }
}

type Secure = Client<StreamOwned<ClientConnection, TcpStream>>;

fn connect(edge: &Edge, config: ClientConfig) -> Secure {
    let session = ClientConnection::new(Arc::new(config), ServerName::try_from("localhost").unwrap()).unwrap();
    let stream = TcpStream::connect(edge.address()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    Client::over(StreamOwned::new(session, stream))
}

/// Whether a client that connects so is served.
fn is_served(edge: &Edge, config: ClientConfig) -> bool {
    let mut client = connect(edge, config);
    client.send("GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n") && client.answer().is_some_and(|answer| answer.status == 200)
}

#[test]
fn each_side_turns_away_what_it_does_not_trust() {
    let (ours, theirs) = (Authority::new("ours"), Authority::new("theirs"));
    let server = ours.signs("server");
    let (alice, mallory) = (ours.signs("alice"), theirs.signs("alice"));
    let rows = [
        // what is asked of clients, what the client trusts and shows, whether it is served
        (false, false, &ours, None, true),
        (false, false, &theirs, None, false),
        (true, true, &ours, Some(&alice), true),
        (true, true, &ours, None, false),
        (true, true, &ours, Some(&mallory), false),
        (true, false, &ours, None, true),
        (true, false, &ours, Some(&alice), true),
        (true, false, &ours, Some(&mallory), false),
    ];
    for (place, (asked, required, trusts, shows, served)) in rows.into_iter().enumerate() {
        let (listen, _) = secured(config(&server, asked.then_some(&ours), required));
        let edge = Edge::start(listen);
        assert_eq!(is_served(&edge, client_config(trusts, shows)), served, "row {place}");
        if !served {
            edge.counts("elevon_http_connections_refused_total{why=\"handshake\"}", 1);
        }
    }
}

#[test]
fn what_is_secured_settles_as_well() {
    let ours = Authority::new("ours");
    let (listen, _) = secured(config(&ours.signs("server"), None, false));
    let edge = Edge::start(listen);
    settles(&edge, &mut connect(&edge, client_config(&ours, None)), &get("/healthz", "Service::\"gateway\""));
}

#[test]
fn the_certificate_that_was_verified_says_who_calls() {
    let ours = Authority::new("ours");
    let (mut listen, _) = secured(config(&ours.signs("server"), Some(&ours), false));
    let principal = Uid::parse("User::\"alice\"").unwrap();
    let subjects = vec![SubjectEntry { name: "alice".to_owned(), principal, groups: Vec::new() }];
    let settings = CertificateSettings { names: NameKind::Cn, trust_domain: None, paths: Vec::new(), subjects };
    listen.accepts = accepting(Accepted::Mtls(Certificates::new(settings).unwrap()));
    let edge = Edge::start(listen);
    let me = "GET /v1/me HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let answer = connect(&edge, client_config(&ours, Some(&ours.signs("alice")))).ask(me);
    assert_eq!((answer.status, answer.json()["principal"]["id"].as_str()), (200, Some("alice")), "{answer:?}");
    for (shows, rule) in [(Some(ours.signs("bob")), "bad_credential"), (None, "no_credential")] {
        let answer = connect(&edge, client_config(&ours, shows.as_ref())).ask(me);
        assert_eq!((answer.status, answer.rule().as_str()), (401, rule));
    }
    let metadata = "GET /.well-known/authzen-configuration HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let told = connect(&edge, client_config(&ours, None)).ask(metadata).json();
    assert_eq!(told["policy_decision_point"], "https://localhost");
}

#[test]
fn a_new_certificate_counts_from_the_next_connection() {
    let (old, new) = (Authority::new("old"), Authority::new("new"));
    let (listen, tls) = secured(config(&old.signs("server"), None, false));
    let edge = Edge::start(listen);
    let mut before = connect(&edge, client_config(&old, None));
    before.checks();
    tls.store(Arc::new(config(&new.signs("server"), None, false)));
    assert!(is_served(&edge, client_config(&new, None)));
    assert!(!is_served(&edge, client_config(&old, None)));
    before.checks();
}

#[test]
fn http2_is_agreed_on_in_the_handshake() {
    let ours = Authority::new("ours");
    let (listen, _) = secured(config(&ours.signs("server"), None, false));
    let edge = Edge::start(listen);
    let mut client = client_config(&ours, None);
    client.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    edge.runtime.block_on(async {
        let stream = tokio::net::TcpStream::connect(edge.address()).await.unwrap();
        let connector = tokio_rustls::TlsConnector::from(Arc::new(client));
        let stream = connector.connect(ServerName::try_from("localhost").unwrap(), stream).await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(b"h2".as_slice()));
        let (sender, _) = two::over(stream).await;
        assert!(two::checks(&sender).await.unwrap());
    });
    // Who does not name it gets HTTP/1.1.
    connect(&edge, client_config(&ours, None)).checks();
}

#[test]
fn a_handshake_that_does_not_come_to_its_end_is_cut_off() {
    let ours = Authority::new("ours");
    let (mut listen, _) = secured(config(&ours.signs("server"), None, false));
    listen.limits = bounded(|limits| limits.handshake_timeout = std::time::Duration::from_millis(200)).limits;
    let edge = Edge::start(listen);
    let mut silent = edge.connect();
    silent.send([0x16, 0x03, 0x01]);
    silent.ends();
    edge.counts("elevon_http_connections_refused_total{why=\"slow_handshake\"}", 1);
    // Somebody who does not speak TLS at all.
    let mut plain = edge.connect();
    plain.send("GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let mut text = Vec::new();
    let _ = plain.stream.read_to_end(&mut text);
    assert!(!text.starts_with(b"HTTP"), "it was answered");
    assert!(is_served(&edge, client_config(&ours, None)));
}
