//! The README's walk-through, run as it stands: every `sh` block between its two marks, in one shell, against a started server. What each block
//! prints is compared with the `text` block that follows it; `…` stands for anything, and a line of `…` alone for any number of lines.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::wildcard_enum_match_arm,
    reason = "a test fails by panicking, in its helpers too"
)]

mod common;

use std::fs;
use std::path::Path;
use std::process::Command;

use common::{ELEVON, Home, run};

/// What a block runs, and what it is to print.
#[derive(Debug, Default, PartialEq)]
struct Step {
    script: String,
    shows: String,
}

fn steps(readme: &str) -> Vec<Step> {
    let part = readme.split("<!-- walk-through").nth(1).unwrap().split("<!-- end of the walk-through").next().unwrap();
    let mut steps: Vec<Step> = Vec::new();
    let mut inside: Option<&str> = None;
    for line in part.lines() {
        match (line, inside) {
            ("```", Some(_)) => inside = None,
            ("```sh", None) => {
                steps.push(Step::default());
                inside = Some("sh");
            }
            ("```text", None) => inside = Some("text"),
            (line, Some("sh")) => steps.last_mut().unwrap().script += &format!("{line}\n"),
            (line, Some(_)) => steps.last_mut().unwrap().shows += &format!("{line}\n"),
            (_, None) => {}
        }
    }
    steps
}

/// Whether a line is as it should be; `…` stands for anything.
fn line_fits(pattern: &str, line: &str) -> bool {
    let mut rest = line;
    let mut parts = pattern.split('…').peekable();
    let mut first = true;
    while let Some(part) = parts.next() {
        let last = parts.peek().is_none();
        let at = match (first, last) {
            (true, true) => return rest == part,
            (true, false) => rest.starts_with(part).then_some(0),
            (false, true) => return rest.ends_with(part),
            (false, false) => rest.find(part),
        };
        let Some(at) = at else { return false };
        rest = &rest[at + part.len()..];
        first = false;
    }
    true
}

/// Whether lines are as they should be; a line of `…` alone stands for any number of them.
fn fits(pattern: &[&str], lines: &[&str]) -> bool {
    match (pattern, lines) {
        ([], []) => true,
        (["…", rest @ ..], lines) => (0..=lines.len()).any(|skipped| fits(rest, &lines[skipped..])),
        ([first, rest @ ..], [line, lines @ ..]) => line_fits(first, line) && fits(rest, lines),
        _ => false,
    }
}

#[test]
fn the_walk_through_does_what_it_says() {
    let readme = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap();
    let steps = steps(&readme);
    assert!(steps.len() >= 7, "only {} blocks were found", steps.len());

    let home = Home::new();
    let server = home.serve();
    // Waiting moves the server's clock; what needs real time, such as a file being noticed, gets a little of it.
    let mut script = format!(
        "sleep() {{ curl -sf -o /dev/null -X POST {0}/dev/clock -H 'Content-Type: application/json' -d '{{\"advance\": \"PT'$1'S\"}}'; command sleep $(($1 < 10 ? 6 : 0)); }}\n",
        server.url()
    );
    for (number, step) in steps.iter().enumerate() {
        script += &format!("echo '@@ {number}'\n{}", step.script.replace("http://127.0.0.1:8181", &server.url()));
    }
    let bin = Path::new(ELEVON).parent().unwrap().display().to_string();
    let script = script.replace("$PWD/target/release", &bin);
    let path = home.path().join("walk-through.sh");
    fs::write(&path, script).unwrap();
    let ran =
        run(Command::new("bash").arg("-c").arg("exec bash \"$0\" 2>&1").arg(&path).current_dir(home.path()).env_remove("ELEVON_TOKEN"));

    let mut shown: Vec<Vec<&str>> = vec![Vec::new(); steps.len()];
    let mut at = 0;
    for line in ran.stdout.lines() {
        match line.strip_prefix("@@ ") {
            Some(number) => at = number.parse().unwrap(),
            None => shown[at].push(line.trim_end()),
        }
    }
    for (step, lines) in steps.iter().zip(&shown) {
        let pattern: Vec<&str> = step.shows.lines().collect();
        assert!(fits(&pattern, lines), "the README shows\n{}\nand this came\n{}\nof\n{}", step.shows, lines.join("\n"), step.script);
    }
}

#[test]
fn what_is_shown_is_really_compared() {
    let rows: &[(&[&str], &[&str], bool)] = &[
        (&["a"], &["a"], true),
        (&["a"], &["b"], false),
        (&["a"], &[], false),
        (&[], &["a"], false),
        (&["a…c"], &["abbc"], true),
        (&["a…c"], &["abb"], false),
        (&["…"], &["x", "y"], true),
        (&["…", "y"], &["x", "y"], true),
        (&["…", "z"], &["x", "y"], false),
        (&["a…b…c"], &["a-b-c"], true),
        (&["a…b…c"], &["a-c"], false),
    ];
    for (pattern, lines, expected) in rows {
        assert_eq!(fits(pattern, lines), *expected, "{pattern:?} {lines:?}");
    }
    let read =
        steps("x <!-- walk-through -->\n```sh\none\n```\ntext\n```text\ntwo\n```\n<!-- end of the walk-through -->\n```sh\nthree\n```\n");
    assert_eq!(read, [Step { script: "one\n".to_owned(), shows: "two\n".to_owned() }]);
}
