//! Runs the real binary for a test: starts it on a free port, speaks to it over HTTP or by its own command line, and ends it.
//! Only processes that were started here are ended, each by its own handle.

#![allow(dead_code, unreachable_pub, reason = "each test file uses a part of it")]

pub mod edges;

use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

/// The binary under test.
pub const ELEVON: &str = env!("CARGO_BIN_EXE_elevon");
/// Longest wait for a server to be ready.
const START_WAIT: Duration = Duration::from_secs(60);

/// Who and what stands in the sample bundle.
pub mod names {
    /// A database administrator.
    pub const ALICE: &str = "alice";
    /// Leads the database administrators, and approves.
    pub const BOB: &str = "bob";
    /// Of security: grants and audits.
    pub const CAROL: &str = "carol";
    /// Needs one approval.
    pub const ROLE: &str = "db-admin";
    pub const PROD: (&str, &str) = ("Environment", "prod");
    /// A database below prod.
    pub const PROD_DB: (&str, &str) = ("Database", "orders");
    /// One that is not.
    pub const OTHER_DB: (&str, &str) = ("Database", "orders-staging");
}

/// An entity as JSON.
pub fn uid(entity: (&str, &str)) -> Value {
    json!({"type": entity.0, "id": entity.1})
}

/// The policy folder of the repository.
pub fn sample() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("policies")
}

/// Copies a folder.
pub fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// A folder with a copy of the sample policies and room for data.
pub struct Home {
    folder: TempDir,
}

impl Home {
    pub fn new() -> Self {
        Self::of(tempfile::tempdir().unwrap())
    }

    /// A home below a folder that is known to be on a disk: the one for temporary files may be in memory.
    pub fn below(parent: &Path) -> Self {
        Self::of(tempfile::tempdir_in(parent).unwrap())
    }

    fn of(folder: TempDir) -> Self {
        copy(&sample(), &folder.path().join("policies"));
        Self { folder }
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    pub fn policies(&self) -> PathBuf {
        self.folder.path().join("policies")
    }

    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Lets carol manage the bundle without activating anything.
    pub fn let_carol_manage_the_bundle(&self) {
        let permit = "@id(\"e2e-manage\")\npermit(principal == User::\"carol\", action == Elevon::Action::\"manageBundle\", resource);\n";
        fs::write(self.policies().join("e2e.cedar"), permit).unwrap();
    }

    /// Starts a server on this home's folders, and waits until it is ready.
    pub fn serve(&self) -> Server {
        let mut server = self.spawn();
        server.wait_until_ready();
        server
    }

    /// The same, with the clock moved on first: to where a server before it left it, for what was seen by then is not before it.
    pub fn serve_ahead(&self, by: &str) -> Server {
        let mut server = self.spawn();
        let began = Instant::now();
        let body = json!({ "advance": by });
        while server.port == 0 || !server.try_call(None, "POST", "/dev/clock", Some(&body)).is_ok_and(|(status, _)| status == 200) {
            server.port = fs::read_to_string(&server.port_file).ok().and_then(|text| text.trim().parse().ok()).unwrap_or(0);
            assert!(began.elapsed() < START_WAIT, "the server does not answer:\n{}", server.log());
            thread::sleep(Duration::from_millis(20));
        }
        server.wait_until_ready();
        server
    }

    /// The same, with more in the environment.
    pub fn serve_with(&self, env: &[(&str, &str)]) -> Server {
        let mut binary = Command::new(ELEVON);
        binary.envs(env.iter().copied());
        self.serve_by(binary)
    }

    /// The same, by a command that runs the binary with the arguments it is given.
    pub fn serve_by(&self, binary: Command) -> Server {
        let mut server = self.spawn_by(binary);
        server.wait_until_ready();
        server
    }

    /// The same, by the machine's own clock, which no test moves.
    pub fn serve_in_real_time(&self) -> Server {
        let mut server = self.spawn_with(Command::new(ELEVON), &["serve", "--dev"]);
        server.wait_until_ready();
        server
    }

    /// Starts a server and does not wait.
    fn spawn(&self) -> Server {
        self.spawn_by(Command::new(ELEVON))
    }

    fn spawn_by(&self, binary: Command) -> Server {
        self.spawn_with(binary, &["serve", "--dev", "--test-clock"])
    }

    fn spawn_with(&self, mut binary: Command, how: &[&str]) -> Server {
        let port_file = self.folder.path().join("port");
        let _ = fs::remove_file(&port_file);
        let log = fs::File::create(self.folder.path().join("log")).unwrap();
        let child = binary
            .args(how)
            .args(["--listen", "127.0.0.1:0", "--port-file"])
            .arg(&port_file)
            .arg("--policies")
            .arg(self.policies())
            .arg("--data")
            .arg(self.data())
            .env_remove("ELEVON_URL")
            .env_remove("ELEVON_TOKEN")
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        Server { child, port: 0, port_file, log: self.folder.path().join("log"), agent: agent() }
    }
}

fn agent() -> ureq::Agent {
    ureq::Agent::config_builder().http_status_as_error(false).proxy(None).timeout_global(Some(Duration::from_secs(30))).build().into()
}

/// A running server. Killed when it is dropped.
pub struct Server {
    child: Child,
    port: u16,
    port_file: PathBuf,
    log: PathBuf,
    agent: ureq::Agent,
}

impl Server {
    fn wait_until_ready(&mut self) {
        let began = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                panic!("the server ended with {status}:\n{}", self.log());
            }
            if self.port == 0 {
                self.port = fs::read_to_string(&self.port_file).ok().and_then(|text| text.trim().parse().ok()).unwrap_or(0);
            }
            if self.port != 0 && self.try_call(None, "GET", "/readyz", None).is_ok_and(|(status, _)| status == 200) {
                return;
            }
            assert!(began.elapsed() < START_WAIT, "the server is not ready:\n{}", self.log());
            thread::sleep(Duration::from_millis(20));
        }
    }

    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// The number of its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Ends it as a power cut would: SIGKILL, nothing is flushed or said goodbye to.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    pub fn try_call(&self, who: Option<&str>, method: &str, path: &str, body: Option<&Value>) -> Result<(u16, Value), ureq::Error> {
        let mut request = ureq::http::Request::builder().method(method).uri(format!("{}{path}", self.url()));
        if let Some(who) = who {
            request = request.header("authorization", format!("Dev User::\"{who}\""));
        }
        let reply = match body {
            Some(body) => self.agent.run(request.header("content-type", "application/json").body(body.to_string()).unwrap()),
            None => self.agent.run(request.body(()).unwrap()),
        };
        let mut reply = reply?;
        let status = reply.status().as_u16();
        let text = reply.body_mut().read_to_string()?;
        Ok((status, serde_json::from_str(&text).unwrap_or(Value::String(text))))
    }

    /// Calls the server as somebody.
    pub fn call(&self, who: &str, method: &str, path: &str, body: Value) -> (u16, Value) {
        let body = (!body.is_null()).then_some(&body);
        self.try_call(Some(who), method, path, body).unwrap_or_else(|error| panic!("{method} {path}: {error}\n{}", self.log()))
    }

    pub fn get(&self, who: &str, path: &str) -> Value {
        let (status, body) = self.call(who, "GET", path, Value::Null);
        assert_eq!(status, 200, "GET {path}: {body}");
        body
    }

    /// Posts, and expects a status.
    pub fn post(&self, who: &str, path: &str, body: Value, expected: u16) -> Value {
        let (status, reply) = self.call(who, "POST", path, body);
        assert_eq!(status, expected, "POST {path}: {reply}");
        reply
    }

    /// The body of a check, as AuthZEN writes it.
    pub fn question(principal: &str, action: &str, resource: (&str, &str)) -> Value {
        json!({
            "subject": {"type": "User", "id": principal},
            "action": {"name": action},
            "resource": {"type": resource.0, "id": resource.1},
        })
    }

    /// Whether something is allowed, and why. carol asks, who may ask about anybody.
    pub fn check(&self, principal: &str, action: &str, resource: (&str, &str)) -> (bool, String) {
        let reply = self.post(names::CAROL, "/access/v1/evaluation", Self::question(principal, action, resource), 200);
        let reason = reply.pointer("/context/reason").and_then(Value::as_str).unwrap_or_default().to_owned();
        (reply["decision"] == json!(true), reason)
    }

    /// Moves the server's clock on.
    pub fn advance(&self, by: &str) {
        let (status, reply) = self.call("alice", "POST", "/dev/clock", json!({"advance": by}));
        assert_eq!(status, 200, "{reply}");
    }

    /// Sets the server's clock ahead while no time passes.
    pub fn jump(&self, by: &str) {
        let (status, reply) = self.call("alice", "POST", "/dev/clock", json!({"jump": by}));
        assert_eq!(status, 200, "{reply}");
    }

    /// Runs the command line against this server as somebody.
    pub fn cli(&self, who: &str, arguments: &[&str]) -> Ran {
        run(Command::new(ELEVON).args(arguments).env("ELEVON_URL", self.url()).env("ELEVON_TOKEN", format!("Dev User::\"{who}\"")))
    }

    /// The same with JSON output, read.
    pub fn cli_json(&self, who: &str, arguments: &[&str]) -> (i32, Value) {
        let mut all = arguments.to_vec();
        all.extend(["--output", "json"]);
        let ran = self.cli(who, &all);
        (ran.code, serde_json::from_str(&ran.stdout).unwrap_or_else(|error| panic!("{error}: {ran:?}")))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            println!("what the server said:\n{}", self.log());
        }
    }
}

/// What a command came to.
#[derive(Debug)]
pub struct Ran {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

/// Runs a command to its end, at most a minute.
pub fn run(command: &mut Command) -> Ran {
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let (mut out, mut err) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
    let reader = thread::spawn(move || {
        let mut text = String::new();
        err.read_to_string(&mut text).unwrap();
        text
    });
    let waiting = thread::spawn(move || {
        let mut text = String::new();
        out.read_to_string(&mut text).unwrap();
        text
    });
    let began = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if began.elapsed() > Duration::from_secs(60) {
            child.kill().unwrap();
            child.wait().unwrap();
            panic!("{command:?} did not end within a minute");
        }
        thread::sleep(Duration::from_millis(5));
    };
    Ran { code: status.code().unwrap_or(-1), stdout: waiting.join().unwrap(), stderr: reader.join().unwrap() }
}

/// Runs `elevon` without a server.
pub fn elevon(arguments: &[&str]) -> Ran {
    run(Command::new(ELEVON).args(arguments).env_remove("ELEVON_URL").env_remove("ELEVON_TOKEN"))
}

/// Waits until something holds.
pub fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < Duration::from_secs(20), "not within 20 seconds: {what}");
        thread::sleep(Duration::from_millis(50));
    }
}
