//! Programs that a bench starts: which core each runs on, and waiting for it.

#![allow(
    dead_code,
    unreachable_pub,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "of the benches"
)]

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::common::{ELEVON, elevon, run};

/// Longest wait for a server.
pub const START_WAIT: Duration = Duration::from_secs(20);

/// The middle one.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Starts this program again on one core, where there are two and it can be told so; whether it ran.
pub fn pinned(core: usize) -> bool {
    const ALREADY: &str = "ELEVON_BENCH_PINNED";
    if std::env::var_os(ALREADY).is_some() || std::thread::available_parallelism().map_or(1, usize::from) < 2 {
        return false;
    }
    let mut again = on_core(core, &std::env::current_exe().unwrap());
    match again.args(std::env::args_os().skip(1)).env(ALREADY, "1").status() {
        Ok(status) => {
            assert!(status.success(), "{status}");
            true
        }
        Err(error) => {
            eprintln!("`taskset` cannot be run ({error}): nothing is pinned to a core, and the figures say less");
            false
        }
    }
}

/// A program on a core.
pub fn on_core(core: usize, program: &Path) -> Command {
    let mut command = Command::new("taskset");
    command.args(["-c", &core.to_string()]).arg(program);
    command
}

/// The binary that is measured.
pub fn measured() -> PathBuf {
    std::env::var_os("BENCH_ELEVON").map_or_else(|| ELEVON.into(), PathBuf::from)
}

/// A program on the core that is not the load's.
pub fn on_other_core(program: &Path) -> Command {
    if std::env::var_os("ELEVON_BENCH_PINNED").is_some() { on_core(1, program) } else { Command::new(program) }
}

/// The port that a server wrote into a file, once it is there.
pub fn port(file: &Path, log: &Path) -> SocketAddr {
    let began = Instant::now();
    loop {
        if let Some(port) = fs::read_to_string(file).ok().and_then(|text| text.trim().parse().ok()) {
            return SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        }
        let said = || fs::read_to_string(log).unwrap_or_default();
        assert!(began.elapsed() < START_WAIT, "no server wrote its port to `{}`:\n{}", file.display(), said());
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A token, and its entry in a configuration file.
pub fn token(id: &str, principal: &str) -> (String, String) {
    let made = elevon(&["token", "--id", id, "--principal", principal]);
    assert!(made.code == 0, "{made:?}");
    let (shown, entry) = made.stdout.split_once("[[tokens]]").unwrap();
    let token = shown.split_whitespace().find(|word| word.starts_with("elv_")).unwrap();
    (token.to_owned(), format!("\n[[tokens]]{entry}"))
}

/// Runs the command line; what it printed.
pub fn cli(url: &str, token: &str, arguments: &[&str]) -> String {
    let ran = run(Command::new(ELEVON).args(arguments).env("ELEVON_URL", url).env("ELEVON_TOKEN", token));
    assert!(ran.code == 0, "{arguments:?}: {ran:?}");
    ran.stdout
}
