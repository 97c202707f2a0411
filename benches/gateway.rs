//! What Elevon costs behind Envoy: Envoy that asks it over gRPC, beside Envoy that asks a server that always allows.
//!
//! Both run with the configuration of `examples/gateways/envoy-grpc` at other ports, one worker each, in front of one small upstream. Elevon is
//! asked about somebody whose token it verifies and whose activated role permits the request; the other server answers every `Check` with the
//! same few bytes. Envoy and whom it asks share a core, so that what the asking costs counts, and the load and the upstream have the other.
//! Rounds alternate; a figure is the median of its rounds, and a ratio is of two figures of one run.
//!
//! Each figure stands in a line of JSON of its own. Run it with `make bench-gateway`, which fetches Envoy; `BENCH_ROUNDS` and `BENCH_TENTHS`
//! (of a second, each round) make it shorter or longer.

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

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use kit::{number, report};
use serde_json::{Value, json};
use started::{START_WAIT, cli, measured, median, on_other_core, pinned, port, token};
use tempfile::TempDir;
use wire::{Load, Place, Took};

/// What a client asks for.
const HEAD: &str = "GET /databases/orders HTTP/1.1\r\nHost: db.example";
/// What the upstream says.
const UPSTREAM: &str = "upstream";
/// `CheckResponse { status { code: 0 }, ok_response {} }`, framed.
const ALLOWED: &[u8] = b"\0\0\0\0\x04\x0a\x00\x1a\x00";
/// Who always allows, in the rows.
const ALWAYS: &str = "always allows";

/// A figure of a round.
type Figure<'a> = &'a dyn Fn(&Took) -> f64;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    // `cargo test --benches` starts it as a test: that it builds is enough then.
    if arguments.iter().any(|argument| argument == "--test") {
        return;
    }
    if let [_, word, folder] = &arguments[..]
        && word == "--allow"
    {
        return always(Path::new(folder));
    }
    if pinned(0) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (upstream, envoy) = (upstream(), tools().join("bin/envoy"));
    let (always, elevon) = (always_allows(&folder), elevon(&folder));
    let authorization = elevon.authorization.clone();
    let behind = [(ALWAYS, always), ("elevon", elevon)]
        .map(|(name, asked)| (name, Envoy::start(&envoy, &folder, name, asked.address.port(), upstream), asked));
    // that each is asked, and says what it is there to say
    assert_eq!(behind.each_ref().map(|(_, envoy, _)| envoy.without_a_token()), [200, 401]);

    let (rounds, tenths) = (number("BENCH_ROUNDS", 7), number("BENCH_TENTHS", 15));
    let round = Duration::from_millis(100 * u64::try_from(tenths).unwrap());
    for (scenario, connections) in [("16 connections", 16), ("1 connection", 1)] {
        let mut taken: [Vec<Took>; 2] = Default::default();
        for number in 0..=rounds {
            for ((_, envoy, _), taken) in behind.iter().zip(&mut taken) {
                let place = Place::Tcp(envoy.address);
                let took = Load { place, head: HEAD, authorization: &authorization, body: "", expected: UPSTREAM };
                let took = took.paced(connections, 1, round, true);
                // the first round warms up
                if number > 0 {
                    taken.push(took);
                }
            }
        }
        let figures: [(&str, Figure<'_>); 3] =
            [("per_second", &Took::per_second), ("p50_us", &|took| took.quantile(500)), ("p99_us", &|took| took.quantile(990))];
        for ((name, ..), own) in behind.iter().zip(&taken) {
            let mut row = json!({"bench": "gateway", "scenario": scenario, "server": name, "connections": connections, "rounds": rounds});
            for (figure, of) in figures {
                let [own, always] = [own, &taken[0]].map(|taken| median(taken.iter().map(of).collect()));
                row[figure] = json!((own * 10.0).round() / 10.0);
                row[format!("{figure}_ratio")] = json!((own / always * 1000.0).round() / 1000.0);
            }
            report(&row);
        }
    }
}

/// The folder with Envoy, which is fetched where it is not there.
fn tools() -> PathBuf {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/tools-gateways");
    let made = Command::new(script).stderr(Stdio::inherit()).output().unwrap();
    assert!(made.status.success(), "Envoy could not be fetched");
    PathBuf::from(String::from_utf8_lossy(&made.stdout).trim())
}

/// The examples of gateways.
fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/gateways")
}

/// What stands behind both: it answers every head that ends, on connections that stay; its port.
fn upstream() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{UPSTREAM}", UPSTREAM.len());
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, answer) = (stream.unwrap(), answer.clone());
            stream.set_nodelay(true).unwrap();
            thread::spawn(move || {
                let (mut read, mut filled) = (vec![0; 16 * 1024], 0);
                while let Ok(count @ 1..) = stream.read(&mut read[filled..]) {
                    filled += count;
                    // one request at a time comes on a connection of Envoy's
                    if read[..filled].ends_with(b"\r\n\r\n") {
                        filled = 0;
                        if stream.write_all(answer.as_bytes()).is_err() {
                            return;
                        }
                    }
                }
            });
        }
    });
    port
}

/// A program that is asked, ended when it is dropped.
struct Asked {
    child: Child,
    address: SocketAddr,
    authorization: String,
}

impl Drop for Asked {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn always_allows(home: &TempDir) -> Asked {
    let folder = home.path().join("always");
    fs::create_dir(&folder).unwrap();
    let child = on_other_core(&std::env::current_exe().unwrap()).arg("--allow").arg(&folder).spawn().unwrap();
    let address = port(&folder.join("port"), &folder.join("log"));
    Asked { child, address, authorization: String::new() }
}

/// As it is served for real: a configuration file, tokens, the examples' policies, and alice with an approved activation.
fn elevon(home: &TempDir) -> Asked {
    let folder = home.path().join("company");
    common::copy(&examples().join("policies"), &folder.join("policies"));
    let mut text = "policies = \"policies\"\ndata = \"data\"\n\n[[listeners]]\nname = \"local\"\naddress = \"127.0.0.1:0\"\n\
                    accept = [\"token\"]\n"
        .to_owned();
    let [alice, bob, carol] = ["alice", "bob", "carol"].map(|who| {
        let (token, entry) = token(who, &format!("User::\"{who}\""));
        text.push_str(&entry);
        token
    });
    let config = folder.join("elevon.toml");
    fs::write(&config, text).unwrap();
    let (port_file, said) = (folder.join("port"), folder.join("log"));
    let log = fs::File::create(&said).unwrap();
    let mut command = on_other_core(&measured());
    command.arg("serve").arg("--config").arg(&config).arg("--port-file").arg(&port_file);
    command.env_remove("ELEVON_URL").env_remove("ELEVON_TOKEN");
    let child = command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap();
    let address = port(&port_file, &said);
    let url = format!("http://{address}");
    let prod = ["--scope", "Environment::\"prod\"", "--reason", "bench"];
    cli(&url, &carol, &[&["eligibility", "add", "User::\"alice\"", "db-admin"][..], &prod].concat());
    let activation = cli(&url, &alice, &[&["activate", "db-admin", "--output", "json"][..], &prod].concat());
    let activation: Value = serde_json::from_str(&activation).unwrap();
    cli(&url, &bob, &["approve", activation["id"].as_str().unwrap(), "--reason", "bench"]);
    Asked { child, address, authorization: format!("Bearer {alice}") }
}

/// Envoy, with whom it asks and the upstream in its configuration. Ended when it is dropped.
struct Envoy {
    child: Child,
    address: SocketAddr,
}

impl Drop for Envoy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Envoy {
    fn start(program: &Path, home: &TempDir, name: &str, asked: u16, upstream: u16) -> Self {
        let own = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
        let text = fs::read_to_string(examples().join("envoy-grpc/envoy.yaml")).unwrap();
        // by way of names, for a port may have the digits of another in it
        let ports = [("8181", "<asked>", asked), ("8080", "<own>", own.port()), ("9000", "<upstream>", upstream)];
        let text = ports.iter().fold(text, |text, (there, name, _)| text.replace(there, name));
        let text = ports.iter().fold(text, |text, (_, name, port)| text.replace(name, &port.to_string()));
        let config = home.path().join(format!("{}.yaml", name.replace(' ', "-")));
        fs::write(&config, text).unwrap();
        let said = home.path().join(format!("{name}.envoy"));
        let log = fs::File::create(&said).unwrap();
        let mut command = on_other_core(program);
        command.args(["--use-dynamic-base-id", "--concurrency", "1", "--log-level", "warn", "-c"]).arg(&config);
        let child = command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap();
        let mut envoy = Self { child, address: own };
        let began = Instant::now();
        while TcpStream::connect(own).is_err() {
            let log = || fs::read_to_string(&said).unwrap_or_default();
            assert!(envoy.child.try_wait().unwrap().is_none(), "Envoy ended:\n{}", log());
            assert!(began.elapsed() < START_WAIT, "Envoy is not there:\n{}", log());
            thread::sleep(Duration::from_millis(20));
        }
        envoy
    }

    /// The status of a request that shows no token.
    fn without_a_token(&self) -> u16 {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(START_WAIT)).unwrap();
        stream.write_all(format!("{HEAD}\r\nConnection: close\r\n\r\n").as_bytes()).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        String::from_utf8_lossy(&answer).split(' ').nth(1).unwrap().parse().unwrap()
    }
}

/// A server of `ext_authz` over gRPC that allows everything, and looks at nothing.
fn always(folder: &Path) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async move {
        let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        fs::write(folder.join("port.new"), port.to_string()).unwrap();
        fs::rename(folder.join("port.new"), folder.join("port")).unwrap();
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            stream.set_nodelay(true).unwrap();
            tokio::spawn(async move {
                let Ok(mut connection) = h2::server::handshake(stream).await else { return };
                while let Some(Ok((request, answer))) = connection.accept().await {
                    tokio::spawn(allow(request.into_body(), answer));
                }
            });
        }
    });
}

async fn allow(mut question: h2::RecvStream, mut answer: h2::server::SendResponse<Bytes>) -> Option<()> {
    while let Some(part) = question.data().await {
        question.flow_control().release_capacity(part.ok()?.len()).ok()?;
    }
    let head = http::Response::builder().header("content-type", "application/grpc").body(()).ok()?;
    let mut body = answer.send_response(head, false).ok()?;
    body.send_data(Bytes::from_static(ALLOWED), false).ok()?;
    let trailers = http::HeaderMap::from_iter([(http::HeaderName::from_static("grpc-status"), http::HeaderValue::from_static("0"))]);
    body.send_trailers(trailers).ok()
}
