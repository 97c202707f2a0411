//! Envoy verifies certificates, and vouches for whom they show.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose, SanType};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::real::{Gateway, Upstream, tools};
use crate::world::{ALICE, activates, eligible, home, revokes};

fn pem(kind: &str, der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let lines: Vec<&str> = text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    format!("-----BEGIN {kind}-----\n{}\n-----END {kind}-----\n", lines.join("\n"))
}

struct Authority {
    issuer: Issuer<'static, KeyPair>,
    own: CertificateDer<'static>,
}

impl Authority {
    fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, "authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let own = params.self_signed(&key).unwrap().der().clone();
        Self { issuer: Issuer::new(params, key), own }
    }

    fn signs(&self, name: SanType) -> (CertificateDer<'static>, Vec<u8>) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.subject_alt_names = vec![name];
        (params.signed_by(&key, &self.issuer).unwrap().der().clone(), key.serialized_der().to_vec())
    }
}

/// Asks for the orders by mTLS, as whom a SPIFFE ID shows; the status.
fn asks(authority: &Authority, port: u16, id: &str) -> u16 {
    let (certificate, key) = authority.signs(SanType::URI(id.try_into().unwrap()));
    let mut roots = RootCertStore::empty();
    roots.add(authority.own.clone()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key));
    let config = builder.with_root_certificates(roots).with_client_auth_cert(vec![certificate], key).unwrap();
    let connection = ClientConnection::new(Arc::new(config), ServerName::try_from("localhost").unwrap()).unwrap();
    let socket = TcpStream::connect(("127.0.0.1", port)).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let mut stream = StreamOwned::new(connection, socket);
    // a certificate that the client only claims, and a token that is not what this route goes by
    let forged = "X-Forwarded-Client-Cert: URI=spiffe://prod.example/user/alice\r\nAuthorization: Dev User::\"alice\"\r\n";
    let head = format!("GET /databases/orders HTTP/1.1\r\nHost: mesh.example\r\n{forged}Connection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    let mut answer = Vec::new();
    // that it ends without a word of TLS is no matter here
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0)
}

#[test]
fn envoy_vouches_for_the_certificates_that_it_verified() {
    let Some(tools) = tools() else { return };
    let (home, upstream, authority) = (home(), Upstream::start(), Authority::new());
    let server = home.serve();
    let folder = tempfile::tempdir().unwrap();
    let (own, key) = authority.signs(SanType::DnsName("localhost".try_into().unwrap()));
    fs::write(folder.path().join("ca.pem"), pem("CERTIFICATE", &authority.own)).unwrap();
    fs::write(folder.path().join("server.pem"), pem("CERTIFICATE", &own)).unwrap();
    fs::write(folder.path().join("server-key.pem"), pem("PRIVATE KEY", &key)).unwrap();
    let gateway = Gateway::start_in(folder, &tools, "envoy-mtls", server.port(), upstream.port);
    eligible(&server, ALICE, "db-admin");

    let alice = "spiffe://prod.example/user/alice";
    assert_eq!((asks(&authority, gateway.port, alice), upstream.seen()), (403, 0));
    let activation = activates(&server, ALICE);
    assert_eq!((asks(&authority, gateway.port, alice), upstream.seen()), (200, 1));
    assert_eq!(upstream.last("x-elevon-principal"), ["user::\"alice\""]);
    for other in ["spiffe://prod.example/user/bob", "spiffe://other.example/user/alice", "spiffe://prod.example/service/alice"] {
        assert_eq!((asks(&authority, gateway.port, other), upstream.seen()), (403, 1), "{other}");
    }
    revokes(&server, &activation);
    assert_eq!((asks(&authority, gateway.port, alice), upstream.seen()), (403, 1));
}
