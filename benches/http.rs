//! What a check costs over HTTP, beside a hyper server that does nothing: the same requests, the same core, in turns.
//!
//! *Bare hyper* reads the body and answers a constant: this program starts itself as that. *Elevon* is the real binary with a configuration as
//! `elevon init` makes it (a static token; over the UNIX socket the user at the other end), asked about somebody who holds an active role that
//! permits it; and once more with `--dev`. Each server has one core and the load the other. The load is a thread that writes what was prepared and
//! reads answers in turn, so that it costs less than what it measures; every answer is looked at. Rounds alternate between the servers, a
//! figure is the median of its rounds, and a ratio is of two figures of one run.
//!
//! Each figure stands in a line of JSON of its own. Run it with `make bench`; `BENCH_ROUNDS`, `BENCH_TENTHS` (of a second, each
//! round) and `BENCH_ONLY` (part of a scenario's name) make it shorter or longer, and `BENCH_ELEVON` names another binary to measure.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::panic,
    clippy::wildcard_enum_match_arm,
    reason = "a bench that cannot go on has nothing else to do"
)]

#[path = "../tests/common/mod.rs"]
mod common;
mod kit;
#[path = "kit/started.rs"]
mod started;
#[path = "kit/wire.rs"]
mod wire;

use std::collections::BTreeMap;
use std::fs;

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use bytes::Bytes;
use common::elevon;
use http_body_util::{BodyExt as _, Full};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use kit::{number, report};
use serde_json::{Value, json};
use started::{cli, measured, median, on_other_core, pinned, port, token};
use tempfile::TempDir;
use wire::{Load, Place, Took};

/// The question, about somebody who may.
const QUESTION: &str = r#"{"subject":{"type":"User","id":"alice"},"action":{"name":"operate"},"resource":{"type":"System","id":"web"}}"#;
/// What bare hyper answers: as long as what Elevon does.
const CONSTANT: &str = r#"{"decision":true,"context":{"reason":"permitted","revision":"b3:0123456789abcdef0123456789abcdef","seq":10,"valid_until":"2030-01-31T09:00:00.000Z"}}"#;

/// A figure of a round.
type Figure<'a> = &'a dyn Fn(&Took) -> f64;

/// How the servers are asked.
struct Scenario {
    name: &'static str,
    connections: usize,
    /// Requests that a connection sends before it reads.
    depth: usize,
    over: Over,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Over {
    Tcp,
    Unix,
    /// HTTP/2, so many requests at once on each connection.
    Two,
}

const SCENARIOS: [Scenario; 7] = [
    Scenario { name: "tcp, 16 connections", connections: 16, depth: 1, over: Over::Tcp },
    Scenario { name: "tcp, 1 connection", connections: 1, depth: 1, over: Over::Tcp },
    Scenario { name: "tcp, 1 connection, 8 pipelined", connections: 1, depth: 8, over: Over::Tcp },
    Scenario { name: "unix, 16 connections", connections: 16, depth: 1, over: Over::Unix },
    Scenario { name: "unix, 1 connection", connections: 1, depth: 1, over: Over::Unix },
    Scenario { name: "http/2, 1 connection, 16 streams", connections: 1, depth: 16, over: Over::Two },
    Scenario { name: "http/2, 1 connection, 1 stream", connections: 1, depth: 1, over: Over::Two },
];

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    // `cargo test --benches` starts it as a test: that it builds is enough then.
    if arguments.iter().any(|argument| argument == "--test") {
        return;
    }
    if let [_, word, folder] = &arguments[..]
        && word == "--bare"
    {
        return bare(Path::new(folder));
    }
    if pinned(0) {
        return;
    }
    let home = Home::new();
    let servers = [home.bare(), home.secure(), home.dev()];
    let (rounds, tenths) = (number("BENCH_ROUNDS", 7), number("BENCH_TENTHS", 10));
    let round = Duration::from_millis(100 * u64::try_from(tenths).unwrap());
    let only = std::env::var("BENCH_ONLY").unwrap_or_default();
    for scenario in SCENARIOS.iter().filter(|scenario| scenario.name.contains(&only)) {
        let asked: Vec<&Running> = servers.iter().filter(|server| server.serves(scenario.over)).collect();
        let mut taken: BTreeMap<&str, Vec<Took>> = BTreeMap::new();
        for number in 0..=rounds {
            for server in &asked {
                let took = server.asked(scenario, round);
                // the first round warms up
                if number > 0 {
                    taken.entry(server.name).or_default().push(took);
                }
            }
        }
        let of = |name: &str, figure: &dyn Fn(&Took) -> f64| median(taken[name].iter().map(figure).collect());
        let figures: [(&str, Figure<'_>); 3] =
            [("per_second", &Took::per_second), ("p50_us", &|took| took.quantile(500)), ("p99_us", &|took| took.quantile(990))];
        for server in &asked {
            let mut row = json!({
                "bench": "http",
                "scenario": scenario.name,
                "server": server.name,
                "connections": scenario.connections,
                "depth": scenario.depth,
                "rounds": rounds,
                "resident_mib": server.resident_kib() / 1024,
            });
            for (name, figure) in figures {
                let (own, bare) = (of(server.name, figure), of("bare hyper", figure));
                row[name] = json!((own * 10.0).round() / 10.0);
                row[format!("{name}_ratio")] = json!((own / bare * 1000.0).round() / 1000.0);
            }
            report(&row);
        }
    }
}

/// A server, and how it is asked. Ended when it is dropped.
struct Running {
    name: &'static str,
    child: Child,
    address: SocketAddr,
    socket: Option<PathBuf>,
    authorization: String,
    expected: &'static str,
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Running {
    fn serves(&self, over: Over) -> bool {
        over != Over::Unix || self.socket.is_some()
    }

    fn asked(&self, scenario: &Scenario, round: Duration) -> Took {
        let place = match (scenario.over, &self.socket) {
            (Over::Unix, Some(socket)) => Place::Unix(socket.clone()),
            _ => Place::Tcp(self.address),
        };
        // the user at the other end of a socket is the credential
        let authorization = if scenario.over == Over::Unix { "" } else { &self.authorization };
        let load = Load { place, head: "", authorization, body: QUESTION, expected: self.expected };
        match scenario.over {
            Over::Tcp | Over::Unix => load.one(scenario.connections, scenario.depth, round),
            Over::Two => load.two(scenario.depth, round),
        }
    }

    fn resident_kib(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        line.and_then(|line| line.trim().strip_suffix(" kB")?.trim().parse().ok()).unwrap_or_default()
    }
}

/// The folders of all servers.
struct Home {
    folder: TempDir,
}

impl Home {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn bare(&self) -> Running {
        let folder = self.path("bare");
        fs::create_dir(&folder).unwrap();
        let child = on_other_core(&std::env::current_exe().unwrap()).arg("--bare").arg(&folder).spawn().unwrap();
        let address = port(&folder.join("port"), &folder.join("log"));
        Running {
            name: "bare hyper",
            child,
            address,
            socket: Some(folder.join("socket")),
            authorization: "Bearer x".to_owned(),
            expected: CONSTANT,
        }
    }

    /// As it is served for real: a configuration file, a token, a UNIX socket.
    fn secure(&self) -> Running {
        let folder = self.path("company");
        let made = elevon(&["init", folder.to_str().unwrap(), "--output", "json"]);
        assert!(made.code == 0, "{made:?}");
        let made: Value = serde_json::from_str(&made.stdout).unwrap();
        let config = folder.join("elevon.toml");
        let mut text = fs::read_to_string(&config).unwrap().replacen("127.0.0.1:8181", "127.0.0.1:0", 1);
        let (alice, entry) = token("alice", "User::\"alice\"");
        text.push_str(&entry);
        let (gateway, entry) = token("gateway", "Service::\"gateway\"");
        text.push_str(&entry);
        let uid = fs::metadata("/proc/self").map_or(0, |own| std::os::unix::fs::MetadataExt::uid(&own));
        text.push_str(&format!(
            "\n[[unix]]\nuid = {uid}\nprincipal = 'Service::\"gateway\"'\n\n\
             [[listeners]]\nname = \"socket\"\nunix = \"socket\"\naccept = [\"unix\"]\n"
        ));
        fs::write(&config, text).unwrap();
        let mut command = on_other_core(&measured());
        command.arg("serve").arg("--config").arg(&config);
        let server = self.started("elevon", command, format!("Bearer {gateway}"), Some(folder.join("socket")));
        let admin = made["token"].as_str().unwrap();
        let url = format!("http://{}", server.address);
        cli(&url, admin, &["activate", "elevon-admin", "--reason", "first start"]);
        put(&url, admin, &json!({"uid": {"type": "User", "id": "alice"}}));
        put(&url, admin, &json!({"uid": {"type": "System", "id": "web"}, "parents": [{"type": "Environment", "id": "prod"}]}));
        let prod = ["--scope", "Environment::\"prod\""];
        cli(&url, admin, &[&["eligibility", "add", "User::\"alice\"", "operator", "--for", "P30D"][..], &prod].concat());
        cli(&url, &alice, &[&["activate", "operator", "--reason", "bench"][..], &prod].concat());
        server
    }

    /// The same bundle, and every caller believed.
    fn dev(&self) -> Running {
        let policies = self.path("policies");
        common::copy(&self.path("company").join("policies"), &policies);
        // nobody is eligible for anything in a new folder, and so somebody has to be able to begin
        let begin = "@id(\"begin\")\npermit(\n  principal == User::\"setup\",\n  action in\n    [Elevon::Action::\"assignRole\", \
                     Elevon::Action::\"manageEntity\", Elevon::Action::\"manageMembership\"],\n  resource\n);\n";
        fs::write(policies.join("begin.cedar"), begin).unwrap();
        let entities = fs::read_to_string(policies.join("entities.json")).unwrap();
        let setup = "[\n  { \"uid\": { \"type\": \"User\", \"id\": \"setup\" } },";
        fs::write(policies.join("entities.json"), entities.replacen('[', setup, 1)).unwrap();
        let mut command = on_other_core(&measured());
        command.args(["serve", "--dev", "--listen", "127.0.0.1:0", "--policies"]).arg(&policies).arg("--data").arg(self.path("data"));
        let server = self.started("elevon --dev", command, "Dev Service::\"gateway\"".to_owned(), None);
        let url = format!("http://{}", server.address);
        let (admin, alice) = ("Dev User::\"setup\"", "Dev User::\"alice\"");
        put(&url, admin, &json!({"uid": {"type": "User", "id": "alice"}}));
        put(&url, admin, &json!({"uid": {"type": "System", "id": "web"}, "parents": [{"type": "Environment", "id": "prod"}]}));
        let prod = ["--scope", "Environment::\"prod\""];
        cli(&url, admin, &[&["eligibility", "add", "User::\"alice\"", "operator", "--for", "P30D"][..], &prod].concat());
        cli(&url, alice, &[&["activate", "operator", "--reason", "bench"][..], &prod].concat());
        server
    }

    fn started(&self, name: &'static str, mut command: Command, authorization: String, socket: Option<PathBuf>) -> Running {
        let port_file = self.path(&format!("{name}.port"));
        let said = self.path(&format!("{name}.log"));
        let log = fs::File::create(&said).unwrap();
        command.arg("--port-file").arg(&port_file).env_remove("ELEVON_URL").env_remove("ELEVON_TOKEN");
        let child = command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap();
        let address = port(&port_file, &said);
        Running { name, child, address, socket, authorization, expected: "{\"decision\":true," }
    }
}

fn put(url: &str, token: &str, entity: &Value) {
    let authorization = if token.starts_with("elv_") { format!("Bearer {token}") } else { token.to_owned() };
    let agent: ureq::Agent = ureq::Agent::config_builder().proxy(None).build().into();
    let request = ureq::http::Request::put(format!("{url}/v1/entities")).header("authorization", authorization);
    let request = request.header("content-type", "application/json").body(entity.to_string()).unwrap();
    agent.run(request).unwrap_or_else(|error| panic!("{entity}: {error}"));
}

/// A server on hyper that reads what is sent and answers a constant: over TCP with either version, and over a UNIX socket.
fn bare(folder: &Path) {
    async fn answer(request: http::Request<hyper::body::Incoming>) -> Result<http::Response<Full<Bytes>>, hyper::Error> {
        request.into_body().collect().await?;
        let mut response = http::Response::new(Full::new(Bytes::from_static(CONSTANT.as_bytes())));
        response.headers_mut().insert(http::header::CONTENT_TYPE, http::HeaderValue::from_static("application/json"));
        Ok(response)
    }
    async fn serve(io: impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin, two: bool) {
        let io = TokioIo::new(io);
        let _ = if two {
            hyper::server::conn::http2::Builder::new(Local).serve_connection(io, service_fn(answer)).await
        } else {
            hyper::server::conn::http1::Builder::new().serve_connection(io, service_fn(answer)).await
        };
    }
    /// Runs on this thread: nothing that hyper is given has to be sent to another.
    #[derive(Clone)]
    struct Local;
    impl<F: Future + 'static> hyper::rt::Executor<F> for Local {
        fn execute(&self, future: F) {
            drop(tokio::task::spawn_local(async move { drop(future.await) }));
        }
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let tcp = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let unix = UnixListener::bind(folder.join("socket")).unwrap();
    tcp.set_nonblocking(true).unwrap();
    unix.set_nonblocking(true).unwrap();
    let port = tcp.local_addr().unwrap().port();
    let local = tokio::task::LocalSet::new();
    local.block_on(&runtime, async move {
        let tcp = tokio::net::TcpListener::from_std(tcp).unwrap();
        let unix = tokio::net::UnixListener::from_std(unix).unwrap();
        fs::write(folder.join("port.new"), port.to_string()).unwrap();
        fs::rename(folder.join("port.new"), folder.join("port")).unwrap();
        loop {
            tokio::select! {
                arrived = tcp.accept() => {
                    let (stream, _) = arrived.unwrap();
                    stream.set_nodelay(true).unwrap();
                    let mut first = [0];
                    tokio::task::spawn_local(async move {
                        // HTTP/2 begins with a P that is not of a POST; one look tells
                        let two = stream.peek(&mut first).await.is_ok() && {
                            let mut begin = [0; 3];
                            stream.peek(&mut begin).await.is_ok() && &begin == b"PRI"
                        };
                        serve(stream, two).await;
                    });
                }
                arrived = unix.accept() => {
                    let (stream, _) = arrived.unwrap();
                    tokio::task::spawn_local(serve(stream, false));
                }
            }
        }
    });
}
