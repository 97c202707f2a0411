//! What bad clients cost the good ones: the time of a well-behaved client's checks before and during an attack, and the server's memory.
//!
//! The real binary with its own bounds, on loopback. Two thousand clients from eight addresses open connections and send a byte of a head now
//! and then, and come back whenever they are cut off; beside them, others open HTTP/2 requests and give them up at once, connection after
//! connection. The good client asks over one connection that it had before, and opens a new one now and then.
//!
//! Attackers have machines of their own. Here they share this one's processors, so they are a process of its own: what they take from
//! the server by what they send is measured, and what they take by being here as little as can be: they are of the idle class, which gives its
//! processor up at once. (At the lowest ordinary priority they keep it to the end of a slice, a millisecond and more, and that is what would be measured.)
//! Run it with `make bench-edge`.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::panic,
    clippy::wildcard_enum_match_arm,
    reason = "a bench that cannot go on has nothing else to do"
)]

#[path = "../tests/common/mod.rs"]
mod common;

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use common::Home;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpSocket;

/// Slow connections at once.
const SLOW: usize = 2_000;
/// Addresses that they come from.
const SOURCES: usize = 8;
/// How often a slow client sends a byte.
const TRICKLE: Duration = Duration::from_millis(500);
/// How long one that was cut off waits before it comes back.
const AGAIN: Duration = Duration::from_secs(1);
/// Clients that open requests and give them up.
const FLOODS: usize = 4;
/// Requests that each gives up before it waits a little.
const FLOOD: usize = 200;
/// How long that is.
const FLOOD_PAUSE: Duration = Duration::from_millis(20);
/// How long the good client asks, before and during.
const PHASE: Duration = Duration::from_secs(10);
/// How often it asks.
const ASK_EVERY: Duration = Duration::from_millis(1);
/// How often it opens another connection.
const CONNECT_EVERY: u32 = 100;

/// An attack: its name, slow connections, clients that give requests up.
const ATTACKS: [(&str, usize, usize); 3] = [("slow", SLOW, 0), ("flood", 0, FLOODS), ("both", SLOW, FLOODS)];

/// What the attackers did.
#[derive(Default)]
struct Done {
    connections: AtomicU64,
    cut: AtomicU64,
    resets: AtomicU64,
}

fn main() {
    // `cargo test --benches` starts it as a test: that it builds is enough then.
    if std::env::args().any(|argument| argument == "--test") {
        return;
    }
    let arguments: Vec<String> = std::env::args().collect();
    if let [_, word, address, slow, floods] = &arguments[..]
        && word == "--attack"
    {
        return attack(address.parse().unwrap(), slow.parse().unwrap(), floods.parse().unwrap());
    }
    let home = Home::below(Path::new(env!("CARGO_TARGET_TMPDIR")));
    let server = home.serve();
    let (address, pid) = (SocketAddr::from((Ipv4Addr::LOCALHOST, server.port())), server.pid());
    let mut good = TcpStream::connect(address).unwrap();
    good.set_nodelay(true).unwrap();
    println!(
        "{:>10}  {:>7}  {:>7}  {:>10}  {:>10}  {:>10}  {:>13}  {:>10}",
        "", "checks", "failed", "p50 µs", "p99 µs", "max µs", "new p99 µs", "RSS MiB"
    );
    phase("warm-up", &mut good, address, pid);
    // One phase's p99 is the ninety slowest of nine thousand, and differs by half from the next one's: what is held against is all of them.
    let mut quiet = phase("before", &mut good, address, pid);
    let mut during = Vec::new();
    for (name, slow, floods) in ATTACKS {
        let mut attackers = begin(address, slow, floods);
        during.push((name, phase(name, &mut good, address, pid)));
        drop(attackers.stdin.take());
        print!("{}", std::io::read_to_string(attackers.stdout.take().unwrap()).unwrap());
        attackers.wait().unwrap();
        thread::sleep(Duration::from_secs(1));
        quiet.extend(phase("after", &mut good, address, pid));
    }
    quiet.sort_unstable();
    let without = at(&quiet, 99).max(1);
    let ratios: Vec<String> = during.iter().map(|(name, times)| format!("{name} {:.2}", at(times, 99) as f64 / without as f64)).collect();
    println!("p99 without an attack, over all four phases: {without} µs");
    println!("p99 during an attack / without one: {}", ratios.join(", "));
}

/// Starts attackers, and waits until all of their connections are there. They stop when their standard input is closed.
fn begin(address: SocketAddr, slow: usize, floods: usize) -> Child {
    let mut command = Command::new("chrt");
    command.args(["--idle", "0"]).arg(std::env::current_exe().unwrap()).arg("--attack").arg(address.to_string());
    let mut child = command.args([slow.to_string(), floods.to_string()]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut there = [0];
    child.stdout.as_mut().unwrap().read_exact(&mut there).unwrap();
    child
}

/// Asks for a while; how long each check over the standing connection took, in microseconds, from the shortest on.
fn phase(name: &str, good: &mut TcpStream, address: SocketAddr, pid: u32) -> Vec<u128> {
    let (began, mut number, mut failed) = (Instant::now(), 0, 0);
    let (mut times, mut new) = (Vec::new(), Vec::new());
    while began.elapsed() < PHASE {
        number += 1;
        let asked = Instant::now();
        if check(good) {
            times.push(asked.elapsed());
        } else {
            failed += 1;
            *good = TcpStream::connect(address).unwrap();
        }
        if number % CONNECT_EVERY == 0 {
            let asked = Instant::now();
            match TcpStream::connect(address).is_ok_and(|mut stream| check(&mut stream)) {
                true => new.push(asked.elapsed()),
                false => failed += 1,
            }
        }
        thread::sleep(ASK_EVERY);
    }
    let (times, new) = (sorted(times), sorted(new));
    println!(
        "{name:>10}  {:>7}  {failed:>7}  {:>10}  {:>10}  {:>10}  {:>13}  {:>10}",
        times.len(),
        at(&times, 50),
        at(&times, 99),
        at(&times, 100),
        at(&new, 99),
        resident(pid)
    );
    times
}

fn check(stream: &mut TcpStream) -> bool {
    let body = r#"{"subject":{"type":"User","id":"alice"},"action":{"name":"write"},"resource":{"type":"Database","id":"orders"}}"#;
    let request = format!(
        "POST /access/v1/evaluation HTTP/1.1\r\nHost: localhost\r\nAuthorization: Dev Service::\"gateway\"\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    if stream.write_all(request.as_bytes()).is_err() {
        return false;
    }
    let (mut text, mut part) = (Vec::new(), [0; 4096]);
    // An answer is an object in an object, and ends with them.
    while !text.ends_with(b"}}") {
        match stream.read(&mut part) {
            Ok(count @ 1..) => text.extend_from_slice(&part[..count]),
            _ => return false,
        }
    }
    text.starts_with(b"HTTP/1.1 200")
}

fn sorted(mut times: Vec<Duration>) -> Vec<u128> {
    times.sort_unstable();
    times.iter().map(Duration::as_micros).collect()
}

fn at(sorted: &[u128], percent: usize) -> u128 {
    sorted.get((sorted.len() * percent / 100).min(sorted.len().saturating_sub(1))).copied().unwrap_or_default()
}

/// The server's resident memory, in MiB.
fn resident(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let kib = status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok());
    kib.unwrap_or_default() / 1024
}

fn attack(address: SocketAddr, slow_ones: usize, floods: usize) {
    let (stop, done) = (Arc::new(AtomicBool::new(false)), Arc::new(Done::default()));
    let attackers = thread::spawn({
        let (stop, done) = (Arc::clone(&stop), Arc::clone(&done));
        move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let mut all = tokio::task::JoinSet::new();
                for number in 0..slow_ones {
                    all.spawn(slow(number, address, Arc::clone(&stop), Arc::clone(&done)));
                }
                for _ in 0..floods {
                    all.spawn(flood(address, Arc::clone(&stop), Arc::clone(&done)));
                }
                all.join_all().await;
            });
        }
    });
    while done.connections.load(Relaxed) < slow_ones as u64 {
        thread::sleep(Duration::from_millis(10));
    }
    println!();
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
    stop.store(true, Relaxed);
    attackers.join().unwrap();
    println!(
        "            slow connections opened {}, of them ended by the server {}; requests given up {}",
        done.connections.load(Relaxed),
        done.cut.load(Relaxed),
        done.resets.load(Relaxed)
    );
}

async fn slow(number: usize, address: SocketAddr, stop: Arc<AtomicBool>, done: Arc<Done>) {
    let source = Ipv4Addr::new(127, 0, 1, u8::try_from(number % SOURCES).unwrap() + 1);
    while !stop.load(Relaxed) {
        let socket = TcpSocket::new_v4().unwrap();
        let opened = match socket.bind(SocketAddr::from((source, 0))) {
            Ok(()) => socket.connect(address).await,
            Err(error) => Err(error),
        };
        if let Ok(mut stream) = opened {
            done.connections.fetch_add(1, Relaxed);
            let mut sent = stream.write_all(b"POST /v1/activations HTTP/1.1\r\nHost: localhost\r\nX: ").await.is_ok();
            let mut answer = [0; 512];
            while sent && !stop.load(Relaxed) {
                tokio::select! {
                    read = stream.read(&mut answer) => sent = read.is_ok_and(|count| count > 0),
                    () = tokio::time::sleep(TRICKLE) => sent = stream.write_all(b"y").await.is_ok(),
                }
            }
            if !sent {
                done.cut.fetch_add(1, Relaxed);
            }
        }
        tokio::time::sleep(AGAIN).await;
    }
}

async fn flood(address: SocketAddr, stop: Arc<AtomicBool>, done: Arc<Done>) {
    while !stop.load(Relaxed) {
        tokio::time::sleep(FLOOD_PAUSE).await;
        let Ok(stream) = tokio::net::TcpStream::connect(address).await else { continue };
        let Ok((sender, connection)) = h2::client::handshake(stream).await else { continue };
        let ended = tokio::spawn(connection);
        for _ in 0..FLOOD {
            let Ok(mut ready) = sender.clone().ready().await else { break };
            let request = http::Request::builder().method("POST").uri("http://localhost/access/v1/evaluation");
            let request = request.header("authorization", "Dev Service::\"gateway\"").body(()).unwrap();
            let Ok((_, mut body)) = ready.send_request(request, false) else { break };
            body.send_reset(h2::Reason::CANCEL);
            done.resets.fetch_add(1, Relaxed);
        }
        drop(sender);
        let _ = tokio::time::timeout(Duration::from_secs(1), ended).await;
    }
}
