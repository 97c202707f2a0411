//! The layers of `ARCHITECTURE.md`, held: reads every source file and fails when a room reaches up, sideways, or for a crate that
//! belongs to another room. The table below is the rule; the text in `ARCHITECTURE.md` explains it.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::wildcard_enum_match_arm,
    reason = "a test fails by panicking, in its helpers too"
)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// A room, the modules of the crate's root that make it up, and the rooms that it may import.
struct Room {
    name: &'static str,
    modules: &'static [&'static str],
    may_import: &'static [&'static str],
}

const ROOMS: [Room; 10] = [
    Room { name: "domain", modules: &["domain"], may_import: &[] },
    Room { name: "policy", modules: &["policy"], may_import: &["domain"] },
    Room { name: "audit", modules: &["audit"], may_import: &["domain"] },
    Room { name: "identity", modules: &["identity"], may_import: &["domain"] },
    Room { name: "engine", modules: &["engine"], may_import: &["domain", "policy", "audit", "identity"] },
    Room { name: "store", modules: &["store"], may_import: &["domain", "policy", "audit", "identity", "engine"] },
    Room { name: "notify", modules: &["notify"], may_import: &["domain", "policy", "audit", "identity", "engine"] },
    Room { name: "http", modules: &["http"], may_import: &["domain", "policy", "audit", "identity", "engine"] },
    Room {
        name: "running",
        modules: &["config", "telemetry", "app"],
        may_import: &["domain", "policy", "audit", "identity", "engine", "store", "notify", "http"],
    },
    Room {
        name: "command line",
        modules: &["cli", "main"],
        may_import: &["domain", "policy", "audit", "identity", "engine", "store", "notify", "http", "running"],
    },
];

/// Crates that are named in some rooms only.
const CRATES: [(&str, &[&str]); 19] = [
    ("chrono_tz", &["domain"]),
    ("cedar_policy", &["policy"]),
    ("cedar_policy_core", &["policy"]),
    ("miette", &["policy"]),
    ("notify", &["policy"]),
    ("rocksdb", &["store"]),
    ("postcard", &["store"]),
    ("axum", &["http"]),
    ("hyper", &["http"]),
    ("httparse", &["http"]),
    ("mimalloc", &["command line"]),
    ("rustls", &["http", "notify", "running"]),
    ("tokio_rustls", &["http"]),
    ("ureq", &["notify", "running", "command line"]),
    ("x509_cert", &["identity"]),
    ("lettre", &["notify"]),
    ("aws_lc_rs", &["identity", "notify", "running"]),
    ("clap", &["command line"]),
    ("comfy_table", &["command line"]),
];

/// Rooms that are functions of their arguments: no clock, no randomness, no I/O, no threads, no async.
const PURE: [&str; 3] = ["domain", "audit", "identity"];
/// What a pure room does not name, wherever it stands.
const IMPURE_WORDS: [&str; 10] =
    ["tokio", "async", "await", "SystemTime", "Instant", "getrandom", "now_v7", "new_v4", "tracing", "thread_local"];
/// What a pure room does not take from the standard library.
const IMPURE_STD: [&str; 7] = ["fs", "net", "io", "process", "env", "thread", "os"];

/// Most lines of a source file, its tests not counted.
const MAX_LINES: usize = 700;

// What is read ---------------------------------------------------------------------------------------------------------------

/// Source text cut into words and signs; comments, strings and character literals are gone, `::` is one sign.
fn tokens(source: &str) -> Vec<String> {
    let text: Vec<char> = source.chars().collect();
    let mut found = Vec::new();
    let mut at = 0;
    while at < text.len() {
        let here = text[at];
        let next = text.get(at + 1).copied();
        if here == '/' && next == Some('/') {
            while at < text.len() && text[at] != '\n' {
                at += 1;
            }
        } else if here == '/' && next == Some('*') {
            at = after_block_comment(&text, at);
        } else if here == '"' {
            at = after_string(&text, at + 1);
        } else if here == '\'' {
            at = after_quote(&text, at);
        } else if here.is_alphabetic() || here == '_' {
            let start = at;
            while at < text.len() && (text[at].is_alphanumeric() || text[at] == '_') {
                at += 1;
            }
            let word: String = text[start..at].iter().collect();
            match raw_string_hashes(&text, at).filter(|_| ["r", "br", "cr"].contains(&word.as_str())) {
                Some(hashes) => at = after_raw_string(&text, at + hashes + 1, hashes),
                None if word == "r" && text.get(at) == Some(&'#') => at += 1, // r#type is the word `type`
                None => found.push(word),
            }
        } else if here == ':' && next == Some(':') {
            found.push("::".to_owned());
            at += 2;
        } else {
            if !here.is_whitespace() {
                found.push(here.to_string());
            }
            at += 1;
        }
    }
    found
}

fn after_block_comment(text: &[char], mut at: usize) -> usize {
    let mut depth = 0;
    while at < text.len() {
        match (text[at], text.get(at + 1)) {
            ('/', Some('*')) => {
                depth += 1;
                at += 2;
            }
            ('*', Some('/')) => {
                depth -= 1;
                at += 2;
                if depth == 0 {
                    return at;
                }
            }
            _ => at += 1,
        }
    }
    at
}

fn after_string(text: &[char], mut at: usize) -> usize {
    while at < text.len() && text[at] != '"' {
        at += if text[at] == '\\' { 2 } else { 1 };
    }
    at + 1
}

/// How many `#` stand between here and an opening quote.
fn raw_string_hashes(text: &[char], at: usize) -> Option<usize> {
    let hashes = text[at..].iter().take_while(|sign| **sign == '#').count();
    (text.get(at + hashes) == Some(&'"')).then_some(hashes)
}

fn after_raw_string(text: &[char], mut at: usize, hashes: usize) -> usize {
    while at < text.len() {
        if text[at] == '"' && text[at + 1..].iter().take_while(|sign| **sign == '#').count() >= hashes {
            return at + 1 + hashes;
        }
        at += 1;
    }
    at
}

/// Past a character literal, or past the quote of a lifetime.
fn after_quote(text: &[char], at: usize) -> usize {
    match (text.get(at + 1), text.get(at + 2)) {
        (Some('\\'), _) => {
            let mut end = at + 3;
            while end < text.len() && text[end] != '\'' {
                end += 1;
            }
            end + 1
        }
        (Some(_), Some('\'')) => at + 3,
        _ => at + 1,
    }
}

/// Every path in the source that begins at `crate`, `super`, `self` or one of `roots`, spelt out from the crate's root (or from that other root).
fn paths(tokens: &[String], module: &[String], roots: &[&str]) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    let mut inline: Vec<(String, usize)> = Vec::new();
    let mut depth = 0_usize;
    let mut at = 0;
    while at < tokens.len() {
        let word = tokens[at].as_str();
        match word {
            "{" => depth += 1,
            "}" => {
                depth = depth.saturating_sub(1);
                if inline.last().is_some_and(|(_, opened)| *opened == depth) {
                    inline.pop();
                }
            }
            "mod" if tokens.get(at + 2).is_some_and(|sign| sign == "{") => inline.push((tokens[at + 1].clone(), depth)),
            _ => {}
        }
        let begins = word == "crate" || word == "super" || word == "self" || roots.contains(&word);
        let continued = at > 0 && tokens[at - 1] == "::";
        if begins && !continued && tokens.get(at + 1).is_some_and(|sign| sign == "::") {
            let base: Vec<String> = module.iter().cloned().chain(inline.iter().map(|(name, _)| name.clone())).collect();
            tree(tokens, at, base, roots, &mut found);
        }
        at += 1;
    }
    found
}

/// Reads one use tree or path; answers where it ends.
fn tree(tokens: &[String], mut at: usize, mut base: Vec<String>, roots: &[&str], found: &mut Vec<Vec<String>>) -> usize {
    let mut first = true;
    loop {
        match tokens.get(at).map(String::as_str) {
            Some("crate") => base = vec![],
            Some("super") => {
                base.pop();
            }
            Some("self") => {}
            Some("{") => {
                at += 1;
                while tokens.get(at).is_some_and(|sign| sign != "}") {
                    at = tree(tokens, at, base.clone(), roots, found);
                    while tokens.get(at).is_some_and(|sign| sign != "," && sign != "}") {
                        at += 1; // `as name`
                    }
                    if tokens.get(at).is_some_and(|sign| sign == ",") {
                        at += 1;
                    }
                }
                return at + 1;
            }
            Some(word) if first && roots.contains(&word) => base = vec![word.to_owned()],
            Some(word) => base.push(word.to_owned()),
            None => break,
        }
        first = false;
        if tokens.get(at + 1).is_some_and(|sign| sign == "::") {
            at += 2;
        } else {
            break;
        }
    }
    found.push(base);
    at + 1
}

// What is held ---------------------------------------------------------------------------------------------------------------

fn room_of(module: &str) -> Option<&'static Room> {
    ROOMS.iter().find(|room| room.modules.contains(&module))
}

/// The module path of a file below `src/`: `domain/id.rs` is `domain::id`, `http/mod.rs` is `http`.
fn module_of(file: &str) -> Vec<String> {
    let mut parts: Vec<String> = file.trim_end_matches(".rs").split('/').map(str::to_owned).collect();
    if parts.last().is_some_and(|last| last == "mod") {
        parts.pop();
    }
    parts
}

/// Whether a file holds tests and nothing else: it is the module `tests` of a room, or stands in its folder. Layers and crates hold for it;
/// it may read an environment variable, and may be as long as a table of cases is.
fn is_tests(file: &str) -> bool {
    file.split('/').any(|part| part == "tests" || part == "tests.rs")
}

/// What is wrong with one file: its path below `src/` and its text.
fn faults(file: &str, source: &str) -> Vec<String> {
    let mut faults: Vec<String> = ["TO".to_owned() + "DO", "FIX".to_owned() + "ME"]
        .iter()
        .filter(|word| source.contains(*word))
        .map(|word| format!("{file} says {word}: do it, or write an issue"))
        .collect();
    let lines = source.lines().take_while(|line| *line != "#[cfg(test)]").count();
    if lines > MAX_LINES && !is_tests(file) {
        faults.push(format!("{file} has {lines} lines without its tests; {MAX_LINES} is the most: it is two rooms"));
    }
    if file == "lib.rs" {
        return faults; // it names every room and does nothing else
    }
    let module = module_of(file);
    let Some(room) = module.first().and_then(|first| room_of(first)) else {
        faults.push(format!("{file} is in no room; give it a row in tests/house.rs and in ARCHITECTURE.md"));
        return faults;
    };
    let pure = PURE.contains(&room.name) && !is_tests(file);
    let tokens = tokens(source);
    let words: BTreeSet<&str> = tokens.iter().map(String::as_str).collect();
    for path in paths(&tokens, &module, &["elevon", "std"]) {
        let path: Vec<&str> = path.iter().map(String::as_str).collect();
        match path.as_slice() {
            ["std", taken, ..] if pure && IMPURE_STD.contains(taken) => {
                faults.push(format!("{file} takes `std::{taken}`, and {} is pure", room.name));
            }
            ["std", ..] => {}
            ["elevon", other, ..] | [other, ..] => faults.extend(import_fault(file, room, other)),
            [] => faults.push(format!("{file} takes the crate's root whole; name the room")),
        }
    }
    for (name, rooms) in CRATES {
        let named = tokens.windows(2).any(|pair| pair[0] == name && (pair[1] == "::" || pair[1] == ";"));
        let own = name == "notify"; // also the name of a room to come: only paths that begin with it count
        let named = named && (!own || begins_a_path(&tokens, name));
        if named && !rooms.contains(&room.name) {
            faults.push(format!("{file} names `{name}`, which belongs to {} alone", rooms.join(" and ")));
        }
    }
    if pure {
        let named = IMPURE_WORDS.iter().filter(|word| words.contains(**word));
        faults.extend(named.map(|word| format!("{file} names `{word}`, and {} is pure", room.name)));
        let reads_clock =
            tokens.windows(3).any(|three| ["Utc", "Local"].contains(&three[0].as_str()) && three[1] == "::" && three[2] == "now");
        if reads_clock {
            faults.push(format!("{file} reads the clock, and {} is pure", room.name));
        }
    }
    faults.sort();
    faults.dedup();
    faults
}

fn begins_a_path(tokens: &[String], name: &str) -> bool {
    tokens
        .iter()
        .enumerate()
        .any(|(at, word)| word == name && tokens.get(at + 1).is_some_and(|sign| sign == "::") && (at == 0 || tokens[at - 1] != "::"))
}

fn import_fault(file: &str, room: &Room, other: &str) -> Option<String> {
    match room_of(other) {
        None => Some(format!("{file} takes `{other}` from the crate's root, which is no room")),
        Some(named) if named.name == room.name || room.may_import.contains(&named.name) => None,
        Some(named) => Some(format!("{file} is in {} and imports {}, which is not below it", room.name, named.name)),
    }
}

fn rust_files(folder: &Path, into: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            rust_files(&path, into);
        } else if path.extension().is_some_and(|end| end == "rs") {
            into.push(path);
        }
    }
}

// Tests ----------------------------------------------------------------------------------------------------------------------

#[test]
fn every_source_file_keeps_to_the_house() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    rust_files(&src, &mut files);
    assert!(files.len() > 10, "only {} source files were found", files.len());
    let faults: Vec<String> = files
        .iter()
        .flat_map(|path| {
            let name = path.strip_prefix(&src).unwrap().to_string_lossy().replace('\\', "/");
            faults(&name, &fs::read_to_string(path).unwrap())
        })
        .collect();
    assert!(faults.is_empty(), "the house is broken:\n{}", faults.join("\n"));
}

#[test]
fn what_is_exempt_as_tests_is_never_shipped() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    rust_files(&src, &mut files);
    for path in files.iter().filter(|path| path.ends_with("tests.rs") || path.ends_with("tests/mod.rs")) {
        let folder = if path.ends_with("tests.rs") { path.parent() } else { path.parent().and_then(Path::parent) }.unwrap();
        let own = folder.join("mod.rs");
        let above = if own.exists() { own } else { folder.with_extension("rs") };
        let declared = fs::read_to_string(&above).unwrap().contains("#[cfg(test)]\nmod tests;");
        assert!(declared, "{} is not declared by `#[cfg(test)] mod tests;` in {}", path.display(), above.display());
    }
}

#[test]
fn every_module_in_the_table_is_there() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for module in ROOMS.iter().flat_map(|room| room.modules) {
        assert!(src.join(module).is_dir() || src.join(format!("{module}.rs")).is_file(), "there is no `{module}`");
    }
}

#[test]
fn every_room_in_the_table_may_only_import_what_stands_above_it_in_the_table() {
    for (place, room) in ROOMS.iter().enumerate() {
        for below in room.may_import {
            assert!(ROOMS[..place].iter().any(|other| other.name == *below), "{} may import {below}, which is not below it", room.name);
        }
    }
}

/// Bad source text, and a word of the fault that has to be found. An empty word: nothing may be found.
#[test]
fn a_broken_house_is_found() {
    let rows: &[(&str, &str, &str)] = &[
        // up and sideways
        ("domain/x.rs", "use crate::policy::Bundle;", "imports policy"),
        ("domain/x.rs", "use crate::{domain::id::Uid, engine::Engine};", "imports engine"),
        ("domain/a/b.rs", "use super::super::super::store::Store;", "imports store"),
        ("domain/x.rs", "use super::super::{id, store::{Store, rebuild}};", "imports store"),
        ("domain/x.rs", "fn f() -> crate::http::Server { loop {} }", "imports http"),
        ("domain/x.rs", "macro_rules! m { () => { $crate::engine::Engine } }", "imports engine"),
        ("policy/x.rs", "pub(crate) use crate::audit::verify;", "imports audit"),
        ("identity/mod.rs", "use crate::policy;", "imports policy"),
        ("engine/mod.rs", "mod tests { use super::super::store::Store; }", "imports store"),
        ("engine/mod.rs", "mod tests { mod deep { use super::super::super::store::Store; } }", "imports store"),
        ("store/mod.rs", "use crate::http;", "imports http"),
        ("http/routes.rs", "use crate::store::Store;", "imports store"),
        ("http/routes.rs", "use crate::{engine, store as kept};", "imports store"),
        ("http/routes.rs", "use crate::app::App;", "imports running"),
        ("app.rs", "use crate::cli::args;", "imports command line"),
        ("engine/x.rs", "use super::super::*;", "imports *"),
        ("engine/x.rs", "use crate::Everything;", "no room"),
        ("kitchen/mod.rs", "", "in no room"),
        // crates that belong to a room
        ("engine/x.rs", "use cedar_policy::Entity;", "cedar_policy"),
        ("domain/x.rs", "fn f(e: cedar_policy_core::ast::Expr) {}", "cedar_policy_core"),
        ("engine/x.rs", "use {rocksdb::DB, std::fmt};", "rocksdb"),
        ("app.rs", "use axum::Router;", "axum"),
        ("engine/x.rs", "use notify::Watcher;", "notify"),
        // pure rooms
        ("domain/x.rs", "use std::fs;", "std::fs"),
        ("domain/x.rs", "use std::{fmt, net::TcpStream};", "std::net"),
        ("domain/x.rs", "use std::time::SystemTime;", "SystemTime"),
        ("domain/x.rs", "use std::time::{Duration, Instant};", "Instant"),
        ("domain/x.rs", "async fn f() {}", "async"),
        ("domain/x.rs", "fn f() { chrono::Utc::now(); }", "reads the clock"),
        ("audit/x.rs", "use tokio::sync::mpsc;", "tokio"),
        // tests are held to the layers, and may do what a pure room may not
        ("domain/decide/tests/x.rs", "use crate::engine::Engine;", "imports engine"),
        ("domain/decide/tests/x.rs", "use std::env;", ""),
        // other
        ("domain/x.rs", concat!("// TO", "DO: later"), "says"),
        // what is in order
        ("domain/x.rs", "use super::id::Uid; use crate::domain::time::Timestamp; use std::fmt;", ""),
        ("domain/x.rs", "// use crate::store::Store;\n/* use crate::http; /* nested */ use crate::engine; */", ""),
        ("domain/x.rs", "const A: &str = \"use crate::store::Store; \\\" cedar_policy::x\";", ""),
        ("domain/x.rs", "const A: &str = r#\"use crate::store::Store; \"rocksdb::x\" tokio\"#;", ""),
        ("domain/x.rs", "fn f<'a>(c: &'a char) -> bool { *c == '\"' || *c == '\\'' } // \" use crate::store::x;", ""),
        ("domain/x.rs", "pub(crate) fn f() {} pub(in crate::domain) struct A;", ""),
        ("engine/mod.rs", "mod tests { use super::*; use super::super::domain::id::Uid; } use self::x::Y;", ""),
        ("policy/watch.rs", "use notify::Watcher; use std::fs; use tokio::sync::mpsc;", ""),
        ("http/mod.rs", "use http::StatusCode; use axum::Router; use crate::{engine::{Engine, ports::Clock}, domain};", ""),
        ("cli/mod.rs", "use crate::app; use crate::store::rebuild; use clap::Parser;", ""),
        ("main.rs", "fn main() { elevon::cli::run() }", ""),
    ];
    for (file, source, expected) in rows {
        let found = faults(file, source).join("\n");
        if expected.is_empty() {
            assert!(found.is_empty(), "{file}: {source}\nis in order, and yet: {found}");
        } else if *expected == "imports *" {
            assert!(found.contains("no room") || found.contains("whole"), "{file}: {source}\nfound only: {found}");
        } else {
            assert!(found.contains(expected), "{file}: {source}\nfound only: {found}");
        }
    }
}

#[test]
fn a_file_that_is_two_rooms_is_found() {
    let long = "fn f() {}\n".repeat(MAX_LINES + 1);
    assert!(faults("domain/x.rs", &long).join("\n").contains("it is two rooms"));
    let tested = "fn f() {}\n".repeat(MAX_LINES) + "#[cfg(test)]\n" + &long;
    assert_eq!(faults("domain/x.rs", &tested), Vec::<String>::new());
}
