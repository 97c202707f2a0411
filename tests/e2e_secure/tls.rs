//! TLS: what the server shows, whom it believes, and exchanging both while it serves.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::common::{ELEVON, eventually, run};
use crate::help::Secure;

/// DER as PEM, in one line: nobody has to read it.
pub(crate) fn pem(kind: &str, der: &[u8]) -> String {
    use base64::Engine as _;
    format!("-----BEGIN {kind}-----\n{}\n-----END {kind}-----\n", base64::engine::general_purpose::STANDARD.encode(der))
}

/// An authority of a test's own.
pub(crate) struct Authority {
    pub(crate) pem: String,
    issuer: rcgen::Issuer<'static, rcgen::KeyPair>,
}

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let mut params = rcgen::CertificateParams::default();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        let key = rcgen::KeyPair::generate().unwrap();
        let pem = pem("CERTIFICATE", params.self_signed(&key).unwrap().der());
        Self { pem, issuer: rcgen::Issuer::new(params, key) }
    }

    /// A certificate for these names, and its key, both PEM.
    pub(crate) fn issue(&self, names: Vec<rcgen::SanType>) -> (String, String) {
        let mut params = rcgen::CertificateParams::default();
        params.subject_alt_names = names;
        let key = rcgen::KeyPair::generate().unwrap();
        (pem("CERTIFICATE", params.signed_by(&key, &self.issuer).unwrap().der()), pem("PRIVATE KEY", &key.serialize_der()))
    }

    pub(crate) fn issue_server(&self, to: &Path) {
        let (certificate, key) = self.issue(vec![rcgen::SanType::IpAddress([127, 0, 0, 1].into())]);
        fs::write(to.join("server.pem"), certificate).unwrap();
        fs::write(to.join("server.key"), key).unwrap();
    }
}

/// The status of `GET /v1/me` by TLS, with a client certificate where one is given; nothing, where TLS came to nothing.
pub(crate) fn me_by_tls(url: &str, authority: &Path, client: Option<&(String, String)>) -> Option<(u16, Value)> {
    get_by_tls(url, "/v1/me", authority, client)
}

fn get_by_tls(url: &str, path: &str, authority: &Path, client: Option<&(String, String)>) -> Option<(u16, Value)> {
    use ureq::tls::{Certificate, ClientCert, PrivateKey, RootCerts, TlsConfig};
    let roots = Certificate::from_pem(&fs::read(authority).unwrap()).unwrap();
    let client = client.map(|(certificate, key)| {
        let chain = [Certificate::from_pem(certificate.as_bytes()).unwrap()];
        ClientCert::new_with_certs(&chain, PrivateKey::from_pem(key.as_bytes()).unwrap())
    });
    let tls = TlsConfig::builder()
        .root_certs(RootCerts::new_with_certs(&[roots]))
        .client_cert(client)
        .unversioned_rustls_crypto_provider(std::sync::Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .build();
    let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).proxy(None).tls_config(tls).build().into();
    let mut reply = agent.get(format!("{url}{path}")).call().ok()?;
    let text = reply.body_mut().read_to_string().ok()?;
    Some((reply.status().as_u16(), serde_json::from_str(&text).unwrap()))
}

#[test]
fn certificates_show_callers_and_are_exchanged_without_a_restart() {
    let mut secure = Secure::new();
    let dir = secure.dir();
    let (old, new, clients, strangers) =
        (Authority::new("old"), Authority::new("new"), Authority::new("clients"), Authority::new("strangers"));
    old.issue_server(&dir);
    fs::write(dir.join("old.pem"), &old.pem).unwrap();
    fs::write(dir.join("new.pem"), &new.pem).unwrap();
    fs::write(dir.join("clients.pem"), &clients.pem).unwrap();
    let tls =
        "tls = { certificate = \"server.pem\", key = \"server.key\", client_ca = \"clients.pem\", client_certificate = \"optional\" }";
    secure.change("accept = [\"token\"]", &format!("accept = [\"token\", \"mtls\"]\n{tls}"));
    secure.add(
        "[mtls]\nnames = \"spiffe\"\ntrust_domain = \"prod.example\"\n\n[[mtls.paths]]\npath = \"/people/{name}\"\nprincipal = 'User::\"{name}\"'\n",
    );
    secure.start();
    let url = secure.url().replace("http://", "https://");
    let status = |ca: &str| {
        let mut command = Command::new(ELEVON);
        run(command.arg("status").env("ELEVON_URL", &url).env("ELEVON_TOKEN", &secure.admin).env("ELEVON_CA", dir.join(ca)))
    };
    assert_eq!(status("old.pem").code, 0, "{:?}", status("old.pem"));
    assert_eq!(status("new.pem").code, 2);
    let name = |uri: &str| rcgen::SanType::URI(uri.try_into().unwrap());
    let admin = clients.issue(vec![name("spiffe://prod.example/people/admin")]);
    let (code, body) = me_by_tls(&url, &dir.join("old.pem"), Some(&admin)).unwrap();
    assert_eq!((code, &body["principal"]), (200, &json!({"type": "User", "id": "admin"})));
    assert_eq!(me_by_tls(&url, &dir.join("old.pem"), None).unwrap().0, 401);
    let two = clients.issue(vec![name("spiffe://prod.example/people/admin"), name("spiffe://prod.example/people/alice")]);
    assert_eq!(me_by_tls(&url, &dir.join("old.pem"), Some(&two)).unwrap().0, 401, "two URI names");
    let stranger = strangers.issue(vec![name("spiffe://prod.example/people/admin")]);
    assert_eq!(me_by_tls(&url, &dir.join("old.pem"), Some(&stranger)), None, "an authority that is not believed");
    // a key that does not fit changes nothing
    let fitting = fs::read(dir.join("server.key")).unwrap();
    new.issue_server(&dir);
    let newer = fs::read(dir.join("server.key")).unwrap();
    fs::write(dir.join("server.key"), fitting).unwrap();
    secure.hang_up();
    eventually("that is shown", || secure.log().contains("was not taken"));
    assert_eq!(status("old.pem").code, 0);
    fs::write(dir.join("server.key"), newer).unwrap();
    secure.hang_up();
    eventually("the new certificate is shown", || status("new.pem").code == 0);
    assert_eq!(status("old.pem").code, 2);
}

/// Authorities for clients, and what the server shows, from the next connection after SIGHUP on; a new certificate that is broken changes
/// nothing, and the server says so.
#[test]
fn authorities_of_clients_are_exchanged_and_a_broken_certificate_is_not_taken() {
    let mut secure = Secure::new();
    let dir = secure.dir();
    let (server, first, second) = (Authority::new("server"), Authority::new("first"), Authority::new("second"));
    server.issue_server(&dir);
    fs::write(dir.join("server-ca.pem"), &server.pem).unwrap();
    fs::write(dir.join("clients.pem"), &first.pem).unwrap();
    let tls =
        "tls = { certificate = \"server.pem\", key = \"server.key\", client_ca = \"clients.pem\", client_certificate = \"required\" }";
    secure.change("accept = [\"token\"]", &format!("accept = [\"mtls\"]\n{tls}"));
    let text = fs::read_to_string(secure.config()).unwrap();
    fs::write(secure.config(), text.split("# The first administrator's token").next().unwrap()).unwrap();
    secure.add("[mtls]\nnames = \"cn\"\n\n[[mtls.subjects]]\nname = \"rcgen self signed cert\"\nprincipal = 'User::\"admin\"'\n");
    secure.start();
    let url = secure.url().replace("http://", "https://");
    let [by_first, by_second] = [&first, &second].map(|authority| authority.issue(Vec::new()));
    let me = |client: &(String, String)| me_by_tls(&url, &dir.join("server-ca.pem"), Some(client)).map(|(status, _)| status);
    assert_eq!((me(&by_first), me(&by_second)), (Some(200), None));
    assert_eq!(me_by_tls(&url, &dir.join("server-ca.pem"), None), None, "without a certificate nobody gets in");
    fs::write(dir.join("clients.pem"), &second.pem).unwrap();
    assert_eq!(me(&by_first), Some(200), "nothing is read before it is asked for");
    secure.hang_up();
    eventually("the new authority is believed", || me(&by_second) == Some(200));
    assert_eq!(me(&by_first), None, "the old one is not");
    let degraded = || {
        let shown = get_by_tls(&url, "/readyz", &dir.join("server-ca.pem"), Some(&by_second)).unwrap();
        shown.1["degraded"] == json!(true)
    };
    let whole = fs::read_to_string(dir.join("server.pem")).unwrap();
    let broken = whole.replacen("MII", "AAA", 1);
    for (file, text) in [
        ("server.pem", broken.as_str()),
        ("server.pem", "no certificate"),
        ("server.pem", ""),
        ("server.key", "no key"),
        ("clients.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
    ] {
        let before = fs::read(dir.join(file)).unwrap();
        fs::write(dir.join(file), text).unwrap();
        secure.hang_up();
        eventually("that is shown", degraded);
        assert_eq!((me(&by_first), me(&by_second)), (None, Some(200)), "{file} {text:?}");
        fs::write(dir.join(file), before).unwrap();
        secure.hang_up();
        eventually("all is well", || !degraded());
        assert_eq!(me(&by_second), Some(200));
    }
    fs::remove_file(dir.join("server.key")).unwrap();
    secure.hang_up();
    eventually("a file that is gone is shown", degraded);
    assert_eq!(me(&by_second), Some(200));
}
