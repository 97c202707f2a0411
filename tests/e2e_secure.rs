//! A server that is started as for real: `elevon init`, a configuration file, tokens, and no `--dev`.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test fails by panicking, in its helpers too"
)]

mod common;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use common::{ELEVON, Ran, elevon, eventually, run};

/// A folder that `elevon init` made, and a server on it. Killed when it is dropped.
struct Secure {
    home: TempDir,
    admin: String,
    server: Option<Child>,
}

impl Secure {
    fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let dir = home.path().join("company");
        let made = elevon(&["init", dir.to_str().unwrap(), "--output", "json"]);
        assert_eq!(made.code, 0, "{made:?}");
        let made: Value = serde_json::from_str(&made.stdout).unwrap();
        let secure = Self { home, admin: made["token"].as_str().unwrap().to_owned(), server: None };
        secure.change("127.0.0.1:8181", "127.0.0.1:0");
        secure
    }

    fn dir(&self) -> PathBuf {
        self.home.path().join("company")
    }

    fn config(&self) -> PathBuf {
        self.dir().join("elevon.toml")
    }

    fn change(&self, from: &str, to: &str) {
        let text = fs::read_to_string(self.config()).unwrap();
        assert!(text.contains(from), "{from}");
        fs::write(self.config(), text.replacen(from, to, 1)).unwrap();
    }

    fn add(&self, more: &str) {
        let text = fs::read_to_string(self.config()).unwrap();
        fs::write(self.config(), format!("{text}\n{more}")).unwrap();
    }

    /// A token for somebody, put into the configuration.
    fn add_token(&self, id: &str, principal: &str) -> String {
        let made = elevon(&["token", "--id", id, "--principal", principal]);
        assert_eq!(made.code, 0, "{made:?}");
        let (shown, entry) = made.stdout.split_once("[[tokens]]").unwrap();
        self.add(&format!("[[tokens]]{entry}"));
        shown.split_whitespace().find(|word| word.starts_with("elv_")).unwrap().to_owned()
    }

    fn start(&mut self) {
        let _ = fs::remove_file(self.home.path().join("port"));
        let log = fs::File::create(self.home.path().join("log")).unwrap();
        let child = Command::new(ELEVON)
            .arg("serve")
            .arg("--config")
            .arg(self.config())
            .arg("--port-file")
            .arg(self.home.path().join("port"))
            .args(["--log", "elevon=debug,info"])
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        self.server = Some(child);
        let began = Instant::now();
        while !self.home.path().join("port").exists() {
            let ended = self.server.as_mut().unwrap().try_wait().unwrap();
            assert!(ended.is_none() && began.elapsed() < Duration::from_secs(60), "{}", self.log());
            thread::sleep(Duration::from_millis(20));
        }
    }

    fn log(&self) -> String {
        fs::read_to_string(self.home.path().join("log")).unwrap_or_default()
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}", fs::read_to_string(self.home.path().join("port")).unwrap().trim())
    }

    fn hang_up(&self) {
        let id = self.server.as_ref().unwrap().id().to_string();
        assert!(Command::new("kill").args(["-HUP", &id]).status().unwrap().success());
    }

    fn cli_at(&self, url: &str, token: &str, arguments: &[&str]) -> Ran {
        let mut command = Command::new(ELEVON);
        command.args(arguments).env("ELEVON_URL", url).env_remove("ELEVON_TOKEN");
        if !token.is_empty() {
            command.env("ELEVON_TOKEN", token);
        }
        run(&mut command)
    }

    fn cli(&self, token: &str, arguments: &[&str]) -> Ran {
        self.cli_at(&self.url(), token, arguments)
    }

    /// Calls with a bearer token: the status, `WWW-Authenticate`, and the body.
    fn call(&self, token: Option<&str>, method: &str, path: &str, body: &Value) -> (u16, String, Value) {
        let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).proxy(None).build().into();
        let mut request = ureq::http::Request::builder().method(method).uri(format!("{}{path}", self.url()));
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let mut reply = if body.is_null() {
            agent.run(request.body(()).unwrap())
        } else {
            agent.run(request.header("content-type", "application/json").body(body.to_string()).unwrap())
        }
        .unwrap_or_else(|error| panic!("{method} {path}: {error}\n{}", self.log()));
        let challenge = reply.headers().get("www-authenticate").map_or("", |value| value.to_str().unwrap()).to_owned();
        let text = reply.body_mut().read_to_string().unwrap();
        (reply.status().as_u16(), challenge, serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }

    fn me(&self, token: &str) -> (u16, Value) {
        let (status, _, body) = self.call(Some(token), "GET", "/v1/me", &Value::Null);
        (status, body)
    }

    fn degraded(&self) -> bool {
        self.call(None, "GET", "/readyz", &Value::Null).2["degraded"] == json!(true)
    }
}

impl Drop for Secure {
    fn drop(&mut self) {
        if let Some(server) = &mut self.server {
            let _ = server.kill();
            let _ = server.wait();
        }
        if thread::panicking() {
            println!("what the server said:\n{}", self.log());
        }
    }
}

fn done(ran: &Ran) {
    assert_eq!(ran.code, 0, "{ran:?}");
}

#[test]
fn from_nothing_to_an_allowed_check() {
    let mut secure = Secure::new();
    let alice = secure.add_token("alice", "User::\"alice\"");
    secure.start();
    let admin = secure.admin.clone();
    // being eligible is not being active, and nobody grants before
    let grant = ["eligibility", "add", "User::\"alice\"", "operator", "--scope", "Environment::\"prod\"", "--for", "P30D"];
    assert_eq!(secure.cli(&admin, &grant).code, 1);
    done(&secure.cli(&admin, &["activate", "elevon-admin", "--reason", "first start"]));
    let put = |entity: Value| assert!(secure.call(Some(&admin), "PUT", "/v1/entities", &entity).0 < 300);
    put(json!({"uid": {"type": "User", "id": "alice"}}));
    put(json!({"uid": {"type": "System", "id": "web"}, "parents": [{"type": "Environment", "id": "prod"}]}));
    done(&secure.cli(&admin, &grant));
    let check = ["check", "User::\"alice\"", "operate", "System::\"web\""];
    assert_eq!(secure.cli(&admin, &check).code, 1);
    done(&secure.cli(&alice, &["activate", "operator", "--scope", "Environment::\"prod\"", "--reason", "restart"]));
    done(&secure.cli(&admin, &check));
    // nobody grants oneself anything, the first administrator neither
    let oneself = ["eligibility", "add", "User::\"admin\"", "operator", "--scope", "Environment::\"prod\"", "--for", "P30D"];
    assert_eq!(secure.cli(&admin, &oneself).code, 1);
    let status = secure.cli(&alice, &["status"]);
    assert!(status.code == 0 && status.stdout.contains("operator"), "{status:?}");
    assert!(!secure.log().contains(&alice) && !secure.log().contains(&admin), "a token is in the log");
}

#[test]
fn no_credential_and_a_bad_one_are_different_answers_and_neither_says_more_than_it_must() {
    let mut secure = Secure::new();
    secure.start();
    let (status, challenge, none) = secure.call(None, "GET", "/v1/me", &Value::Null);
    assert_eq!((status, challenge.as_str(), &none["rule"]), (401, "Bearer realm=\"elevon\"", &json!("no_credential")));
    let other = format!("elv_{}", "A".repeat(43));
    let rows = [other.as_str(), "elv_short", &secure.admin[..secure.admin.len() - 1]];
    for token in rows {
        let (status, challenge, bad) = secure.call(Some(token), "GET", "/v1/me", &Value::Null);
        assert_eq!((status, &bad["rule"]), (401, &json!("bad_credential")), "{token}");
        assert_eq!(challenge, "Bearer realm=\"elevon\", error=\"invalid_token\"");
        assert_eq!(bad["detail"], json!("the token is not valid here"), "{token}");
    }
    let jwt = secure.call(Some("e30.e30.e30"), "GET", "/v1/me", &Value::Null);
    assert_eq!((jwt.0, &jwt.2["rule"]), (401, &json!("bad_credential")));
    assert_eq!(secure.cli("Dev User::\"admin\"", &["status"]).code, 1);
    assert!(!secure.log().contains(&secure.admin));
}

#[test]
fn tokens_rotate_without_a_restart_and_a_bad_file_changes_nothing() {
    let mut secure = Secure::new();
    secure.start();
    let old = secure.admin.clone();
    let new = secure.add_token("second", "User::\"admin\"");
    assert_eq!(secure.me(&new).0, 401);
    secure.hang_up();
    eventually("the new token counts", || secure.me(&new).0 == 200);
    assert_eq!(secure.me(&old).0, 200);
    let whole = fs::read_to_string(secure.config()).unwrap();
    secure.change("principal", "pricipal");
    secure.hang_up();
    eventually("a file that is wrong is shown", || secure.degraded());
    assert!(secure.log().contains("elevon.toml:"), "{}", secure.log());
    assert_eq!((secure.me(&old).0, secure.me(&new).0), (200, 200));
    // without the first entry
    let (head, rest) = whole.split_once("[[tokens]]").unwrap();
    let (_, second) = rest.split_once("[[tokens]]").unwrap();
    fs::write(secure.config(), format!("{head}[[tokens]]{second}")).unwrap();
    secure.hang_up();
    eventually("the old token does not count", || secure.me(&old).0 == 401);
    assert_eq!(secure.me(&new).0, 200);
    assert!(!secure.degraded());
}

#[test]
fn a_unix_socket_knows_its_caller_by_its_user() {
    let mut secure = Secure::new();
    let socket = secure.dir().join("elevon.sock");
    let uid = fs::metadata(secure.home.path()).map(|meta| std::os::unix::fs::MetadataExt::uid(&meta)).unwrap();
    secure.add(&format!(
        "[[listeners]]\nname = \"socket\"\nunix = \"elevon.sock\"\nmode = \"0600\"\naccept = [\"unix\"]\n\n[[unix]]\nuid = {uid}\nprincipal = 'User::\"admin\"'\n"
    ));
    secure.start();
    let url = format!("unix:{}", socket.display());
    let status = secure.cli_at(&url, "", &["status"]);
    assert!(status.code == 0 && status.stdout.contains("User::\"admin\""), "{status:?}");
    assert_eq!(fs::metadata(&socket).unwrap().permissions().mode() & 0o777, 0o600);
    secure.change(&format!("uid = {uid}"), &format!("uid = {}", uid + 1));
    secure.hang_up();
    eventually("the user is somebody else's", || secure.cli_at(&url, "", &["status"]).code == 1);
    // what was left behind is taken away, and what is served is not
    let ran = elevon(&["serve", "--config", secure.config().to_str().unwrap()]);
    assert!(ran.code == 2 && ran.stderr.contains("elevon.sock"), "{ran:?}");
}

#[test]
fn a_token_can_come_from_a_file() {
    let mut secure = Secure::new();
    secure.start();
    let file = secure.home.path().join("token");
    fs::write(&file, format!("{}\n", secure.admin)).unwrap();
    let status = |token: &str| {
        run(Command::new(ELEVON).arg("status").env("ELEVON_URL", secure.url()).env("ELEVON_TOKEN", token).env("ELEVON_TOKEN_FILE", &file))
    };
    assert_eq!(status("").code, 0);
    assert_eq!(status(&secure.admin).code, 2);
    fs::write(&file, "\n").unwrap();
    assert_eq!(status("").code, 2);
}

#[test]
fn init_wants_an_empty_folder_and_keeps_the_digest_only() {
    let secure = Secure::new();
    let again = elevon(&["init", secure.dir().to_str().unwrap()]);
    assert!(again.code == 2 && again.stderr.contains("is not empty"), "{again:?}");
    assert_eq!(fs::metadata(secure.config()).unwrap().permissions().mode() & 0o777, 0o600);
    let text = fs::read_to_string(secure.config()).unwrap();
    assert!(!text.contains(&secure.admin) && text.contains("sha256"));
    let tested = elevon(&["policy", "test", secure.dir().join("policies").to_str().unwrap()]);
    assert_eq!(tested.code, 0, "{tested:?}");
    let checked = elevon(&["config", "check", secure.config().to_str().unwrap()]);
    assert!(checked.code == 0 && checked.stdout.contains("token"), "{checked:?}");
}

#[test]
fn what_could_not_be_served_does_not_start() {
    let secure = Secure::new();
    let whole = fs::read_to_string(secure.config()).unwrap();
    let rows = [
        (whole.replace("accept = [\"token\"]", "accept = []"), "accepts nothing"),
        (whole.replace("127.0.0.1:0", "0.0.0.0:0"), "clear text"),
        (whole.replace("127.0.0.1:0\"", "0.0.0.0:0\"\ntls = { certificate = \"none.pem\", key = \"none.key\" }"), "none.pem"),
        (format!("{whole}\n[[oidc]]\nissuer = \"x\"\n"), "no listener accepts `oidc`"),
    ];
    for (text, says) in rows {
        fs::write(secure.config(), text).unwrap();
        for command in [["config", "check"].as_slice(), ["serve", "--config"].as_slice()] {
            let mut arguments = command.to_vec();
            let file = secure.config();
            arguments.push(file.to_str().unwrap());
            let ran = elevon(&arguments);
            assert!(ran.code == 2 && ran.stderr.contains(says), "{command:?} {says}: {ran:?}");
        }
    }
    // neither folder is taken for the other kind
    let dev = elevon(&[
        "serve",
        "--dev",
        "--policies",
        secure.dir().join("policies").to_str().unwrap(),
        "--listen",
        "127.0.0.1:0",
        "--data",
        secure.dir().join("data").to_str().unwrap(),
    ]);
    assert_eq!(dev.code, 2, "{dev:?}");
    let both = elevon(&["serve", "--dev", "--config", secure.config().to_str().unwrap()]);
    assert_eq!(both.code, 2, "{both:?}");
}

// TLS --------------------------------------------------------------------------------------------------------------------------------

/// DER as PEM, in one line: nobody has to read it.
fn pem(kind: &str, der: &[u8]) -> String {
    use base64::Engine as _;
    format!("-----BEGIN {kind}-----\n{}\n-----END {kind}-----\n", base64::engine::general_purpose::STANDARD.encode(der))
}

/// An authority of a test's own.
struct Authority {
    pem: String,
    issuer: rcgen::Issuer<'static, rcgen::KeyPair>,
}

impl Authority {
    fn new(name: &str) -> Self {
        let mut params = rcgen::CertificateParams::default();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        let key = rcgen::KeyPair::generate().unwrap();
        let pem = pem("CERTIFICATE", params.self_signed(&key).unwrap().der());
        Self { pem, issuer: rcgen::Issuer::new(params, key) }
    }

    /// A certificate for these names, and its key, both PEM.
    fn issue(&self, names: Vec<rcgen::SanType>) -> (String, String) {
        let mut params = rcgen::CertificateParams::default();
        params.subject_alt_names = names;
        let key = rcgen::KeyPair::generate().unwrap();
        (pem("CERTIFICATE", params.signed_by(&key, &self.issuer).unwrap().der()), pem("PRIVATE KEY", &key.serialize_der()))
    }

    fn issue_server(&self, to: &Path) {
        let (certificate, key) = self.issue(vec![rcgen::SanType::IpAddress([127, 0, 0, 1].into())]);
        fs::write(to.join("server.pem"), certificate).unwrap();
        fs::write(to.join("server.key"), key).unwrap();
    }
}

/// The status of `GET /v1/me` by TLS, with a client certificate where one is given; nothing, where TLS came to nothing.
fn me_by_tls(url: &str, authority: &Path, client: Option<&(String, String)>) -> Option<(u16, Value)> {
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
    let mut reply = agent.get(format!("{url}/v1/me")).call().ok()?;
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

// A real provider --------------------------------------------------------------------------------------------------------------------

/// The Python that has `oidc-provider-mock`; none where the tests run without the tools that `make test` installs.
fn provider() -> Option<PathBuf> {
    std::env::var_os("ELEVON_TEST_TOOLS")?;
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let made = Command::new(root.join("scripts/tools-test")).arg("tests/oidc/requirements.txt").current_dir(root).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    Some(PathBuf::from(String::from_utf8_lossy(&made.stdout).trim()).join("bin/python"))
}

/// A free port, of those that the kernel gives to no connection: whoever asks whether the provider is there must not take its port.
fn free_port() -> u16 {
    let begin = 20_000 + u16::try_from(std::process::id() % 8_000).unwrap();
    (begin..begin + 1_000).find(|port| std::net::TcpListener::bind(("127.0.0.1", *port)).is_ok()).unwrap()
}

/// A running provider. Each start has a key of its own.
struct Provider {
    child: Child,
    url: String,
}

impl Provider {
    fn start(python: &Path, port: u16) -> Self {
        let child = Command::new(python)
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/oidc/provider.py"))
            .args(["--host", "127.0.0.1", "--port", &port.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let provider = Self { child, url: format!("http://127.0.0.1:{port}") };
        let agent: ureq::Agent = ureq::Agent::config_builder().proxy(None).timeout_global(Some(Duration::from_secs(5))).build().into();
        eventually("the provider answers", || agent.get(format!("{}/jwks", provider.url)).call().is_ok());
        provider
    }

    fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Signs somebody in and gives the token that the provider signed.
    fn token(&self, sub: &str) -> String {
        let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).max_redirects(0).proxy(None).build().into();
        let ask = format!("{}/oauth2/authorize?client_id=elevon&redirect_uri=http://localhost/&response_type=code&scope=openid", self.url);
        let reply = agent.post(&ask).send_form([("sub", sub)]).unwrap();
        let location = reply.headers().get("location").unwrap().to_str().unwrap().to_owned();
        let code = location.split("code=").nth(1).unwrap().split('&').next().unwrap();
        let form = [
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", "http://localhost/"),
            ("client_id", "elevon"),
            ("client_secret", "any"),
        ];
        let mut reply = agent.post(format!("{}/oauth2/token", self.url)).send_form(form).unwrap();
        let body: Value = reply.body_mut().read_json().unwrap();
        body["id_token"].as_str().unwrap_or_else(|| panic!("{body}")).to_owned()
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn tokens_of_a_real_provider_through_rotation_and_outage() {
    let Some(python) = provider() else {
        println!("left out: `make test` installs the provider");
        return;
    };
    let port = free_port();
    let mut secure = Secure::new();
    secure.change("accept = [\"token\"]", "accept = [\"token\", \"oidc\"]");
    secure.add(&format!(
        "[[oidc]]\nissuer = \"http://127.0.0.1:{port}\"\nkeys = {{ url = \"http://127.0.0.1:{port}/jwks\" }}\naudiences = [\"elevon\"]\n\
         algorithms = [\"RS256\"]\ntypes = [\"JWT\"]\nrequire_nbf = false\nprincipal_type = \"User\"\n"
    ));
    // the provider is not there yet: the server starts, says that it is degraded, and refuses what it cannot verify
    secure.start();
    assert!(secure.degraded());
    assert_eq!(secure.me(&secure.admin).0, 200);
    let provider = Provider::start(&python, port);
    let first = provider.token("admin");
    eventually("the provider's token counts", || secure.me(&first).0 == 200);
    assert_eq!(secure.me(&first).1["principal"], json!({"type": "User", "id": "admin"}));
    assert!(!secure.degraded());
    // an outage: what is known goes on, and what is not is refused
    provider.kill();
    assert_eq!(secure.me(&first).0, 200);
    // rotation: the provider comes back with another key
    let provider = Provider::start(&python, port);
    let second = provider.token("admin");
    let began = Instant::now();
    while secure.me(&second).0 != 200 {
        assert!(began.elapsed() < Duration::from_secs(60), "the new key is not taken");
        thread::sleep(Duration::from_millis(250));
    }
    assert_eq!(secure.me(&first).0, 401, "the old key is gone from the provider's set");
    provider.kill();
    assert_eq!(secure.me(&second).0, 200);
    // somewhere else, so while the provider's own port is taken
    let taken = std::net::TcpListener::bind(("127.0.0.1", port)).unwrap();
    let stranger = Provider::start(&python, free_port());
    assert_eq!(secure.me(&stranger.token("admin")).0, 401, "another issuer");
    drop(taken);
    assert!(!secure.log().contains(&first) && !secure.log().contains(&second), "a token is in the log");
}
