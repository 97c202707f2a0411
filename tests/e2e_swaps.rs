//! Policies change under load: no check fails, none mixes two bundles, and bundles that are not in order change nothing.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::wildcard_enum_match_arm,
    reason = "a test fails by panicking, in its helpers too"
)]

mod common;

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use common::names::{CAROL, PROD_DB};
use common::{Home, Server};
use serde_json::{Value, json};

/// Whom the policies that change are about: somebody in whom no policy test of the sample is interested.
const FRANK: &str = "frank";

/// How many swaps; more where the long tests run.
fn swaps() -> usize {
    if std::env::var_os("ELEVON_LONG").is_some() { 2_000 } else { 200 }
}

/// Writes a bundle's two changing files: one lets frank read by a policy named after the number, the other forbids him to write, likewise.
fn write_bundle(policies: &Path, number: usize) {
    let permit = format!("@id(\"may-{number}\")\npermit(principal == User::\"{FRANK}\", action == Action::\"read\", resource);\n");
    let forbid = format!("@id(\"may-not-{number}\")\nforbid(principal == User::\"{FRANK}\", action == Action::\"write\", resource);\n");
    fs::write(policies.join("swap-1.cedar"), permit).unwrap();
    fs::write(policies.join("swap-2.cedar"), forbid).unwrap();
}

/// The number in a policy's name.
fn number_of(policy: &str) -> Option<usize> {
    policy.rsplit('-').next().and_then(|number| number.parse().ok())
}

fn reload(server: &Server) -> (u16, Value) {
    server.call(CAROL, "POST", "/v1/policies/reload", Value::Null)
}

/// What checks saw: for each revision, the numbers in the policies that decided.
type Seen = Mutex<HashMap<String, BTreeMap<usize, usize>>>;

fn check_until(server: &Server, stop: &AtomicBool, seen: &Seen, checks: &AtomicUsize) {
    while !stop.load(Ordering::Relaxed) {
        for action in ["read", "write"] {
            let question = Server::question(FRANK, action, PROD_DB);
            let (status, explained) = server.call(CAROL, "POST", "/v1/explain", question.clone());
            assert_eq!(status, 200, "{explained}");
            assert_eq!(explained["decision"], json!(action == "read"), "{explained}");
            assert_eq!(explained["errors"], json!([]), "{explained}");
            let revision = explained["revision"].as_str().unwrap().to_owned();
            let policies = explained["policies"].as_array().unwrap();
            let numbers: Vec<usize> = policies.iter().filter_map(|policy| number_of(policy.as_str().unwrap())).collect();
            assert_eq!(numbers.len(), 1, "{explained}");
            *seen.lock().unwrap().entry(revision).or_default().entry(numbers[0]).or_default() += 1;
            let (status, verdict) = server.call(CAROL, "POST", "/access/v1/evaluation", question);
            assert_eq!((status, &verdict["decision"]), (200, &json!(action == "read")), "{verdict}");
            checks.fetch_add(1, Ordering::Relaxed);
        }
    }
}

#[test]
fn swaps_under_load_fail_no_check_and_mix_no_bundles() {
    let home = Home::new();
    home.let_carol_manage_the_bundle();
    write_bundle(&home.policies(), 0);
    let server = home.serve();
    let first = server.get(CAROL, "/v1/policies")["revision"].as_str().unwrap().to_owned();
    let (stop, seen, checks) = (AtomicBool::new(false), Seen::default(), AtomicUsize::new(0));
    let mut live: HashMap<String, usize> = HashMap::from([(first, 0)]);
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..3).map(|_| scope.spawn(|| check_until(&server, &stop, &seen, &checks))).collect();
        let swapping = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            for number in 1..=swaps() {
                swap(&home.policies(), &server, number, &mut live);
            }
        }));
        std::thread::sleep(Duration::from_millis(100));
        stop.store(true, Ordering::Relaxed);
        for worker in workers {
            worker.join().unwrap();
        }
        swapping.unwrap();
    });
    let seen = seen.into_inner().unwrap();
    for (revision, numbers) in &seen {
        assert_eq!(numbers.len(), 1, "checks of revision {revision} were decided by several bundles: {numbers:?}");
        let number = numbers.keys().next().unwrap();
        if let Some(expected) = live.get(revision) {
            assert_eq!(number, expected, "revision {revision}");
        }
    }
    println!("{} checks over {} of {} revisions", checks.load(Ordering::Relaxed), seen.len(), live.len());
    assert!(seen.len() > swaps() / 10, "only {} revisions were met", seen.len());

    let events = server.get(CAROL, "/v1/audit/events?kind=bundle_activated&limit=1000");
    assert!(events["items"].as_array().unwrap().len() >= swaps().min(1000), "each swap is in the journal");
}

/// One swap; every fourth is preceded by a bundle that is not in order, which must change nothing.
fn swap(policies: &Path, server: &Server, number: usize, live: &mut HashMap<String, usize>) {
    if number.is_multiple_of(4) {
        let before = server.get(CAROL, "/v1/policies")["revision"].clone();
        let broken = ["permit(principal, action, resource", "permit(principal in Role::\"no-such-role\", action, resource);"];
        fs::write(policies.join("broken.cedar"), broken[number / 4 % 2]).unwrap();
        let (status, refused) = reload(server);
        assert_eq!(status, 422, "{refused}");
        assert!(refused.to_string().contains("broken.cedar"), "{refused}");
        let after = server.get(CAROL, "/v1/policies");
        assert_eq!(after["revision"], before, "{after}");
        assert!(after["last_error"].to_string().contains("broken.cedar"), "{after}");
        fs::remove_file(policies.join("broken.cedar")).unwrap();
    }
    write_bundle(policies, number);
    let (status, reloaded) = reload(server);
    assert_eq!(status, 200, "{reloaded}");
    let now = server.get(CAROL, "/v1/policies");
    assert_eq!(now["last_error"], Value::Null, "{now}");
    live.insert(now["revision"].as_str().unwrap().to_owned(), number);
}
