//! A write that failed and was reported as done (CVE-2025-64529). `src/engine/tests` and `src/store/tests/writing.rs` hold it at the port; here the real
//! binary runs into a limit of its system.

use std::process::Command;

use serde_json::json;

use crate::common::names::CAROL;
use crate::common::{ELEVON, Home};
use crate::help::user;

/// A write that failed and was reported as done (CVE-2025-64529): the system takes no more bytes in the middle of it all. Every command that was
/// acknowledged is there after a restart, what was refused was not said to be done, and the server takes no more commands and says so.
#[cfg(target_os = "linux")]
#[test]
fn a_command_that_could_not_be_written_is_never_said_to_be_done() {
    let home = Home::new();
    // no file grows past the limit: a write past it fails, as it does on a full disk
    let mut limited = Command::new("bash");
    limited.args(["-c", "trap '' XFSZ; ulimit -f 6000; exec \"$0\" \"$@\"", ELEVON]);
    let server = home.serve_by(limited);
    let filling = "x".repeat(200 * 1024);
    let put = |number: usize| {
        let body = json!({ "uid": user(&format!("filler-{number}")), "attrs": { "name": filling } });
        server.call(CAROL, "PUT", "/v1/entities", body)
    };
    let mut done = 0;
    let mut refused = None;
    for number in 0..200 {
        let (status, reply) = put(number);
        match status {
            201 => done += 1,
            _ => {
                refused = Some((status, reply));
                break;
            }
        }
    }
    let (status, reply) = refused.expect("the limit is met");
    assert!(done > 0 && (500..=503).contains(&status), "{done} were done, then {status} {reply}");
    // nothing is tried again on a journal of which nobody knows where it ends
    let (status, reply) = put(1_000);
    assert_eq!(status, 503, "{reply}");
    assert_eq!(server.try_call(None, "GET", "/readyz", None).unwrap().0, 503);
    server.kill();

    let server = home.serve();
    for number in 0..done {
        let found = server.get(CAROL, &format!("/v1/entities?type=User&id=filler-{number}"));
        assert_eq!(found["uid"]["id"], json!(format!("filler-{number}")));
    }
    let (status, _) = server.call(CAROL, "GET", "/v1/entities?type=User&id=filler-1000", serde_json::Value::Null);
    assert_eq!(status, 404);
    server.post(CAROL, "/v1/entities/disable", json!({ "type": "User", "id": "filler-0", "reason": "x" }), 200);
}
