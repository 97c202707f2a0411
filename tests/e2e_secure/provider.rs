//! Tokens of a real provider (`oidc-provider-mock`).

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::common::eventually;
use crate::help::Secure;

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
