//! A folder that `elevon init` made, a server on it that is started as for real, and calls to it.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::common::{ELEVON, Ran, elevon, run};

/// A folder that `elevon init` made, and a server on it. Killed when it is dropped.
pub(crate) struct Secure {
    pub(crate) home: TempDir,
    pub(crate) admin: String,
    pub(crate) server: Option<Child>,
}

impl Secure {
    pub(crate) fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let dir = home.path().join("company");
        let made = elevon(&["init", dir.to_str().unwrap(), "--output", "json"]);
        assert_eq!(made.code, 0, "{made:?}");
        let made: Value = serde_json::from_str(&made.stdout).unwrap();
        let secure = Self { home, admin: made["token"].as_str().unwrap().to_owned(), server: None };
        secure.change("127.0.0.1:8181", "127.0.0.1:0");
        secure
    }

    pub(crate) fn dir(&self) -> PathBuf {
        self.home.path().join("company")
    }

    pub(crate) fn config(&self) -> PathBuf {
        self.dir().join("elevon.toml")
    }

    pub(crate) fn change(&self, from: &str, to: &str) {
        let text = fs::read_to_string(self.config()).unwrap();
        assert!(text.contains(from), "{from}");
        fs::write(self.config(), text.replacen(from, to, 1)).unwrap();
    }

    pub(crate) fn add(&self, more: &str) {
        let text = fs::read_to_string(self.config()).unwrap();
        fs::write(self.config(), format!("{text}\n{more}")).unwrap();
    }

    /// A token for somebody, put into the configuration.
    pub(crate) fn add_token(&self, id: &str, principal: &str) -> String {
        let made = elevon(&["token", "--id", id, "--principal", principal]);
        assert_eq!(made.code, 0, "{made:?}");
        let (shown, entry) = made.stdout.split_once("[[tokens]]").unwrap();
        self.add(&format!("[[tokens]]{entry}"));
        shown.split_whitespace().find(|word| word.starts_with("elv_")).unwrap().to_owned()
    }

    /// Starts it, and does not wait until it serves.
    pub(crate) fn launch(&mut self) {
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
    }

    pub(crate) fn start(&mut self) {
        self.launch();
        let began = Instant::now();
        while !self.home.path().join("port").exists() {
            let ended = self.server.as_mut().unwrap().try_wait().unwrap();
            assert!(ended.is_none() && began.elapsed() < Duration::from_secs(60), "{}", self.log());
            thread::sleep(Duration::from_millis(20));
        }
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.home.path().join("log")).unwrap_or_default()
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", fs::read_to_string(self.home.path().join("port")).unwrap().trim())
    }

    pub(crate) fn hang_up(&self) {
        let id = self.server.as_ref().unwrap().id().to_string();
        assert!(Command::new("kill").args(["-HUP", &id]).status().unwrap().success());
    }

    pub(crate) fn cli_at(&self, url: &str, token: &str, arguments: &[&str]) -> Ran {
        let mut command = Command::new(ELEVON);
        command.args(arguments).env("ELEVON_URL", url).env_remove("ELEVON_TOKEN");
        if !token.is_empty() {
            command.env("ELEVON_TOKEN", token);
        }
        run(&mut command)
    }

    pub(crate) fn cli(&self, token: &str, arguments: &[&str]) -> Ran {
        self.cli_at(&self.url(), token, arguments)
    }

    /// Calls with a bearer token: the status, `WWW-Authenticate`, and the body.
    pub(crate) fn call(&self, token: Option<&str>, method: &str, path: &str, body: &Value) -> (u16, String, Value) {
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

    pub(crate) fn me(&self, token: &str) -> (u16, Value) {
        let (status, _, body) = self.call(Some(token), "GET", "/v1/me", &Value::Null);
        (status, body)
    }

    pub(crate) fn degraded(&self) -> bool {
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

pub(crate) fn done(ran: &Ran) {
    assert_eq!(ran.code, 0, "{ran:?}");
}
