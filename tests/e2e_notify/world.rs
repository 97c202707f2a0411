//! A server that is started as for real, with destinations in its configuration.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::common::Ran;
use crate::help::{Secure, done};
use crate::receiver::Receiver;

pub(crate) struct World {
    secure: Secure,
}

impl World {
    pub(crate) fn new() -> Self {
        Self { secure: Secure::new() }
    }

    pub(crate) fn config(&self) -> PathBuf {
        self.secure.config()
    }

    pub(crate) fn dir(&self) -> PathBuf {
        self.secure.dir()
    }

    /// Puts a secret of a webhook into a file, beside the configuration.
    pub(crate) fn secret(&self, file: &str) -> String {
        use base64::Engine as _;
        let secret = format!("whsec_{}", base64::engine::general_purpose::STANDARD.encode(format!("{file:=<32}")));
        self.write(file, &format!("{secret}\n"));
        secret
    }

    pub(crate) fn write(&self, file: &str, text: &str) {
        fs::write(self.secure.dir().join(file), text).unwrap();
    }

    pub(crate) fn add(&self, more: &str) {
        self.secure.add(more);
    }

    pub(crate) fn change(&self, from: &str, to: &str) {
        self.secure.change(from, to);
    }

    pub(crate) fn webhook(&self, name: &str, receiver: &Receiver, secrets: &[&str], more: &str) {
        let url = receiver.url();
        self.add(&format!(
            "[notify.destinations.{name}]\nkind = \"webhook\"\nurl = \"{url}\"\nsecret_files = {secrets:?}\nallow_private = true\n{more}"
        ));
    }

    /// Changes a file of the policy folder.
    pub(crate) fn change_policy(&self, file: &str, change: impl FnOnce(String) -> String) {
        let path = self.secure.dir().join("policies").join(file);
        let text = fs::read_to_string(&path).unwrap();
        fs::write(path, change(text)).unwrap();
    }

    pub(crate) fn url(&self) -> String {
        self.secure.url()
    }

    pub(crate) fn add_token(&self, who: &str) -> String {
        self.secure.add_token(who, &format!("User::\"{who}\""))
    }

    pub(crate) fn start(&mut self) {
        self.secure.start();
    }

    /// Ends it as a power cut would.
    pub(crate) fn kill(&mut self) {
        let mut server = self.secure.server.take().unwrap();
        server.kill().unwrap();
        server.wait().unwrap();
    }

    pub(crate) fn hang_up(&self) {
        self.secure.hang_up();
    }

    pub(crate) fn log(&self) -> String {
        self.secure.log()
    }

    /// The first administrator becomes one.
    pub(crate) fn administer(&self) {
        self.done(&["activate", "elevon-admin", "--reason", "to try notifications"]);
    }

    pub(crate) fn cli(&self, arguments: &[&str]) -> Ran {
        self.secure.cli(&self.secure.admin, arguments)
    }

    pub(crate) fn cli_as(&self, token: &str, arguments: &[&str]) -> Ran {
        self.secure.cli(token, arguments)
    }

    pub(crate) fn done(&self, arguments: &[&str]) {
        done(&self.cli(arguments));
    }

    pub(crate) fn call(&self, method: &str, path: &str) -> (u16, Value) {
        let body = if method == "POST" { json!({}) } else { Value::Null };
        let (status, _, body) = self.secure.call(Some(&self.secure.admin), method, path, &body);
        (status, body)
    }

    pub(crate) fn send(&self, method: &str, path: &str, body: &Value) -> Value {
        let (status, _, reply) = self.secure.call(Some(&self.secure.admin), method, path, body);
        assert!(status < 300, "{method} {path}: {status} {reply}");
        reply
    }

    pub(crate) fn get(&self, path: &str) -> Value {
        let (status, body) = self.call("GET", path);
        assert_eq!(status, 200, "{path}: {body}");
        body
    }

    pub(crate) fn metrics(&self) -> String {
        self.get("/metrics").as_str().unwrap().to_owned()
    }

    /// How a destination fares.
    pub(crate) fn destination(&self, name: &str) -> Value {
        let all = self.get("/v1/notifications/destinations");
        all["items"].as_array().unwrap().iter().find(|one| one["name"] == name).cloned().unwrap()
    }

    /// Stores a system, which is one record with one event.
    pub(crate) fn store(&self, name: &str) {
        self.send("PUT", "/v1/entities", &json!({ "uid": { "type": "System", "id": name } }));
    }

    /// Stores a user with an address.
    pub(crate) fn user(&self, name: &str, attrs: &Value) {
        self.send("PUT", "/v1/entities", &json!({ "uid": { "type": "User", "id": name }, "attrs": attrs }));
    }
}

/// Bytes in PEM.
pub(crate) fn pem(label: &str, der: &[u8]) -> String {
    use base64::Engine as _;
    let text = base64::engine::general_purpose::STANDARD.encode(der);
    let lines: Vec<&str> = text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}

/// The Python that has what `tests/notify/requirements.txt` names; none where the tests run without the tools that `make test` installs.
pub(crate) fn python() -> Option<PathBuf> {
    std::env::var_os("ELEVON_TEST_TOOLS")?;
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let made = Command::new(root.join("scripts/tools-test")).arg("tests/notify/requirements.txt").current_dir(root).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    Some(PathBuf::from(String::from_utf8_lossy(&made.stdout).trim()).join("bin/python"))
}

/// A script in Python.
pub(crate) fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/notify").join(name)
}

/// Runs a script to its end with these lines as its input: the lines that it prints.
pub(crate) fn run_python(python: &Path, name: &str, arguments: &[&str], lines: &[String]) -> Vec<String> {
    let mut child = Command::new(python)
        .arg(script(name))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    let writing = std::thread::spawn(move || drop(std::io::Write::write_all(&mut input, text.as_bytes())));
    let ran = child.wait_with_output().unwrap();
    writing.join().unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    String::from_utf8_lossy(&ran.stdout).lines().map(str::to_owned).collect()
}
