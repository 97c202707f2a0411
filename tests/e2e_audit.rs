//! Proof of the journal: a folder and an exported file of it tell whatever was done to them, and an export goes on where it was.

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
use std::path::{Path, PathBuf};
use std::process::Command;

use common::names::{ALICE, CAROL, PROD, ROLE};
use common::{Home, Ran, Server, copy, elevon, run, uid};
use serde_json::{Value, json};

/// Some records, one of them with a reason.
fn grow(server: &Server, names: &[&str]) {
    for name in names {
        let body = json!({"uid": {"type": "User", "id": name}, "parents": [], "attrs": {}});
        assert_eq!(server.call(CAROL, "PUT", "/v1/entities", body).0, 201);
    }
}

/// Where the journal ends, as it is noted elsewhere.
fn tip(server: &Server) -> String {
    let ran = server.cli(CAROL, &["audit", "tip"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    ran.stdout.split_whitespace().next().unwrap().to_owned()
}

fn seq_of(noted: &str) -> usize {
    noted.split_once(':').unwrap().0.parse().unwrap()
}

fn export(server: &Server, file: &Path) -> Ran {
    server.cli(CAROL, &["audit", "export", "--file", file.to_str().unwrap()])
}

/// Verifies, and reads what it says for programs.
fn verified(arguments: &[&str]) -> (i32, Value) {
    let ran = elevon(&[&["audit", "verify", "--output", "json"], arguments].concat());
    (ran.code, serde_json::from_str(&ran.stdout).unwrap_or_else(|error| panic!("{error}: {ran:?}")))
}

fn lines(file: &Path) -> Vec<String> {
    fs::read_to_string(file).unwrap().lines().map(str::to_owned).collect()
}

fn write(file: &Path, lines: &[String]) {
    fs::write(file, lines.iter().map(|line| format!("{line}\n")).collect::<String>()).unwrap();
}

/// A server with some history, where somebody gave a reason; and an export of it.
fn exported() -> (Home, Server, PathBuf, String) {
    let home = Home::new();
    let server = home.serve();
    grow(&server, &["zoe", "yan"]);
    let grant = json!({"principal": uid(("User", ALICE)), "role": ROLE, "scope": uid(PROD), "justification": "on call in November"});
    server.post(CAROL, "/v1/eligibilities", grant, 201);
    grow(&server, &["xia", "wim"]);
    let file = home.path().join("journal.jsonl");
    let ran = export(&server, &file);
    assert_eq!(ran.code, 0, "{ran:?}");
    let noted = tip(&server);
    assert!(ran.stdout.contains(&noted), "{ran:?} {noted}");
    (home, server, file, noted)
}

#[test]
fn whatever_is_done_to_an_exported_file_shows() {
    let (home, server, file, noted) = exported();
    let whole = lines(&file);
    let count = seq_of(&noted);
    assert_eq!(whole.len(), count);
    // the texts are beside the records, and the digests in them
    assert!(!whole.concat().contains("on call in November"));
    let (code, said) = verified(&["--file", file.to_str().unwrap(), "--expect", &noted]);
    assert_eq!(
        (code, &said["holds"], &said["records"], &said["noted"]["standing"]),
        (0, &json!(true), &json!(count), &json!("same")),
        "{said}"
    );
    assert_eq!(format!("{}:{}", said["last"]["seq"], said["last"]["hash"].as_str().unwrap()), noted);

    type Harm = fn(&mut Vec<String>);
    // (what was done, how it shows with what was noted, the line at which it breaks, a piece of what is said)
    let rows: [(&str, Harm, &str, Option<usize>, &str); 9] = [
        ("a byte is changed", |lines| lines[1] = lines[1].replacen("zoe", "zoo", 1), "not_reached", Some(3), "it follows a record"),
        ("a line is gone", |lines| drop(lines.remove(2)), "not_reached", Some(3), "says that it is record 4"),
        ("two lines changed places", |lines| lines.swap(1, 2), "not_reached", Some(2), "says that it is record 3"),
        ("a line stands twice", |lines| lines.insert(2, lines[1].clone()), "not_reached", Some(3), "says that it is record 2"),
        ("it is written otherwise", |lines| lines[2] = lines[2].replacen(':', ": ", 1), "not_reached", Some(3), "canonical"),
        ("a line is no record", |lines| lines[2] = "{}".to_owned(), "not_reached", Some(3), "cannot be read"),
        ("the end is cut off", |lines| drop(lines.pop()), "not_reached", None, ""),
        (
            "the last record is another",
            |lines| {
                let last = lines.pop().unwrap();
                lines.push(last.replace("wim", "tim"));
            },
            "another",
            None,
            "",
        ),
        ("the beginning is not there", |lines| drop(lines.drain(..3)), "same", None, ""),
    ];
    for (what, harm, standing, line, why) in rows {
        let mut harmed = whole.clone();
        harm(&mut harmed);
        assert_ne!(harmed, whole, "{what}");
        let file = home.path().join("harmed.jsonl");
        write(&file, &harmed);
        let file = file.to_str().unwrap();
        let (code, said) = verified(&["--file", file]);
        assert_eq!((code, &said["broken"]["line"]), (i32::from(line.is_some()), &json!(line)), "{what}: {said}");
        assert!(line.is_none() || said["broken"]["why"].as_str().unwrap().contains(why), "{what}: {said}");
        let (code, said) = verified(&["--file", file, "--expect", &noted]);
        assert_eq!((code, &said["noted"]["standing"]), (i32::from(standing != "same"), &json!(standing)), "{what}: {said}");
    }
    // for people: what, where and why
    let file = home.path().join("harmed.jsonl");
    write(&file, &[&whole[..2], &whole[3..]].concat());
    let ran = elevon(&["audit", "verify", "--file", file.to_str().unwrap(), "--expect", &noted]);
    assert_eq!(ran.code, 1, "{ran:?}");
    for said in ["broken", "line 3, where record 3 belongs", "2 records that hold", &format!("record {count} was noted"), "cut off"] {
        assert!(ran.stdout.contains(said), "{said}: {}", ran.stdout);
    }
    // cut off in the middle of a line
    let text = fs::read_to_string(home.path().join("journal.jsonl")).unwrap();
    fs::write(&file, &text[..text.len() - 10]).unwrap();
    let (code, said) = verified(&["--file", file.to_str().unwrap()]);
    assert_eq!((code, &said["records"], &said["broken"]["line"]), (1, &json!(count - 1), &json!(count)), "{said}");
    fs::write(&file, "").unwrap();
    assert_eq!(verified(&["--file", file.to_str().unwrap()]).0, 1);
    assert_eq!(elevon(&["audit", "verify", "--file", "/nowhere/at/all"]).code, 1);
    drop(server);
}

#[test]
fn a_folder_is_held_against_what_was_noted_of_it() {
    let home = Home::new();
    let server = home.serve();
    grow(&server, &["zoe", "yan"]);
    let early = tip(&server);
    let data = home.data();
    let in_use = elevon(&["audit", "verify", "--data", data.to_str().unwrap()]);
    assert!(in_use.code == 1 && in_use.stderr.contains("in use"), "{in_use:?}");
    server.kill();
    let old = home.path().join("old");
    copy(&data, &old);

    let server = home.serve();
    grow(&server, &["xia"]);
    let late = tip(&server);
    server.kill();
    let (data, old) = (data.to_str().unwrap(), old.to_str().unwrap());
    let other = format!("{}:{}", seq_of(&early), "ab".repeat(32));
    // (the folder, what was noted, the exit code, how it stands)
    let rows = [
        (data, None, 0, Value::Null),
        (data, Some(&late), 0, json!("same")),
        (data, Some(&early), 0, json!("same")),
        (data, Some(&other), 1, json!("another")),
        // an older copy holds together, and what was noted tells that it is one
        (old, None, 0, Value::Null),
        (old, Some(&early), 0, json!("same")),
        (old, Some(&late), 1, json!("not_reached")),
    ];
    for (folder, noted, expected, standing) in rows {
        let expect: Vec<&str> = noted.iter().flat_map(|noted| ["--expect", noted.as_str()]).collect();
        let (code, said) = verified(&[&["--data", folder], expect.as_slice()].concat());
        assert_eq!((code, &said["noted"]["standing"], &said["holds"]), (expected, &standing, &json!(true)), "{folder} {noted:?}: {said}");
    }
    let ran = elevon(&["audit", "verify", "--data", data, "--expect", &late]);
    let count = seq_of(&late);
    for said in [format!("holds  {count} records"), "from".to_owned(), late.clone(), format!("record {count} is the one that was noted")] {
        assert!(ran.stdout.contains(&said), "{said}: {ran:?}");
    }
    // a folder is exported without a server, and its export is the same journal
    let file = home.path().join("journal.jsonl");
    let file = file.to_str().unwrap();
    let ran = elevon(&["audit", "export", "--data", data, "--file", file]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(verified(&["--file", file, "--expect", &late]).0, 0);
    let ran = elevon(&["audit", "export", "--data", data]);
    assert_eq!(ran.stdout, fs::read_to_string(file).unwrap());
    // a file that knows more than a folder does not go on with it
    let ran = elevon(&["audit", "export", "--data", old, "--file", file]);
    assert!(ran.code == 1 && ran.stderr.contains("cut off"), "{ran:?}");
    assert_eq!(verified(&["--file", file, "--expect", &late]).0, 0);
}

#[test]
fn an_export_goes_on_where_it_was() {
    let (home, server, file, noted) = exported();
    let before = fs::read_to_string(&file).unwrap();
    let ran = export(&server, &file);
    assert!(ran.code == 0 && ran.stdout.contains("nothing new"), "{ran:?}");
    assert_eq!(fs::read_to_string(&file).unwrap(), before);

    grow(&server, &["vic", "uma"]);
    let (code, said) = server.cli_json(CAROL, &["audit", "export", "--file", file.to_str().unwrap()]);
    let late = tip(&server);
    assert_eq!((code, &said["records"], &said["tip"]), (0, &json!(2), &json!(late)), "{said}");
    let after = fs::read_to_string(&file).unwrap();
    assert!(after.starts_with(&before) && after.lines().count() == seq_of(&late), "{after}");
    assert_eq!(verified(&["--file", file.to_str().unwrap(), "--expect", &noted]).0, 0);

    // what a kill cut short is written to its end
    fs::write(&file, &after[..after.len() - 30]).unwrap();
    assert_eq!(export(&server, &file).code, 0);
    assert_eq!(fs::read_to_string(&file).unwrap(), after);
    fs::write(&file, &after[..20]).unwrap();
    assert_eq!(export(&server, &file).code, 0);
    assert_eq!(fs::read_to_string(&file).unwrap(), after);

    // a part, and what a file does not take
    let part = home.path().join("part.jsonl");
    let ran = server.cli(CAROL, &["audit", "export", "--from", "3", "--file", part.to_str().unwrap()]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(lines(&part), lines(&file)[2..]);
    let (code, said) = verified(&["--file", part.to_str().unwrap(), "--expect", &late]);
    assert_eq!((code, &said["first"]["seq"], &said["follows"]["seq"]), (0, &json!(3), &json!(2)), "{said}");
    let ran = server.cli(CAROL, &["audit", "export"]);
    assert_eq!((ran.code, &ran.stdout), (0, &after), "{ran:?}");
    let last = lines(&file).pop().unwrap();
    for (what, text, arguments, code, why) in [
        ("a gap", after.clone(), &["--from", "1000"][..], 2, "a gap"),
        ("no export", "Dear diary\n".to_owned(), &[], 1, "does not hold"),
        ("no export, and no line", "Dear diary".to_owned(), &[], 1, "not the one"),
        ("another last record", after.replace(&last, &last.replace("uma", "ada")), &[], 1, "not the one"),
        (
            "more than there is",
            after.clone() + &last.replacen(&format!("\"seq\":{}", seq_of(&late)), "\"seq\":1000", 1) + "\n",
            &[],
            1,
            "cut off",
        ),
    ] {
        let other = home.path().join("other.jsonl");
        fs::write(&other, &text).unwrap();
        let ran = server.cli(CAROL, &[&["audit", "export", "--file", other.to_str().unwrap()], arguments].concat());
        assert!(ran.code == code && ran.stderr.contains(why), "{what}: {ran:?}");
        assert_eq!(fs::read_to_string(&other).unwrap(), text, "{what}");
    }
    assert_eq!(server.cli("bob", &["audit", "export"]).code, 1);
    assert_eq!(server.cli("bob", &["audit", "tip"]).code, 1);
}

#[test]
fn the_newest_comes_first_where_that_is_asked() {
    let (_home, server, file, noted) = exported();
    let (code, said) = server.cli_json(CAROL, &["audit", "list", "--newest-first", "--limit", "2"]);
    let seqs = |said: &Value| said["items"].as_array().unwrap().iter().map(|item| item["seq"].as_u64().unwrap()).collect::<Vec<_>>();
    let last = seq_of(&noted) as u64;
    assert_eq!((code, seqs(&said)), (0, vec![last, last - 1]), "{said}");
    let cursor = said["next"].as_str().unwrap();
    let (_, said) = server.cli_json(CAROL, &["audit", "list", "--newest-first", "--limit", "2", "--cursor", cursor]);
    assert_eq!(seqs(&said), [last - 2, last - 3], "{said}");
    assert_eq!(lines(&file).len() as u64, last);
}

/// The program in the documentation that needs no Elevon says the same as Elevon.
#[test]
fn a_file_is_verified_without_elevon() {
    if std::env::var_os("ELEVON_TEST_TOOLS").is_none() {
        return;
    }
    let (home, server, file, noted) = exported();
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/audit.md")).unwrap();
    let program = page.split_once("```python\n").unwrap().1.split_once("```").unwrap().0;
    let python = |file: &Path, noted: &str| run(Command::new("python3").args(["-c", program, file.to_str().unwrap(), noted]));
    let ran = python(&file, &noted);
    assert!(ran.code == 0 && ran.stdout.contains(&noted), "{ran:?}");
    let whole = lines(&file);
    let other = home.path().join("other.jsonl");
    type Harm = fn(&mut Vec<String>);
    let rows: [(Harm, &str); 5] = [
        (|lines| lines[1] = lines[1].replacen("zoe", "zoo", 1), "line 3"),
        (|lines| drop(lines.remove(2)), "line 3"),
        (|lines| lines.swap(1, 2), "line 2"),
        (|lines| lines[2] = lines[2].replacen(':', ": ", 1), "line 3"),
        (|lines| drop(lines.pop()), "was noted"),
    ];
    for (harm, said) in rows {
        let mut harmed = whole.clone();
        harm(&mut harmed);
        write(&other, &harmed);
        let ran = python(&other, &noted);
        assert!(ran.code == 1 && ran.stderr.contains(said), "{said}: {ran:?}");
    }
    drop(server);
}

/// The page lists the kinds of events and their members as the code has them.
#[test]
fn the_page_lists_every_kind_of_event_with_its_members() {
    let read = |path: &str| fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap();
    let (page, code) = (read("docs/audit.md"), read("src/domain/event.rs"));
    let body = code.split("pub enum Event {").nth(1).unwrap().split("\n}\n").next().unwrap();
    let mut kinds: Vec<(String, Vec<String>)> = Vec::new();
    for line in body.lines().filter(|line| !line.trim_start().starts_with(['/', '#'])) {
        let indent = line.len() - line.trim_start().len();
        let word: String = line.trim_start().chars().take_while(|letter| letter.is_alphanumeric() || *letter == '_').collect();
        match (indent, word.is_empty()) {
            (4, false) => {
                let parts = word.char_indices().map(|(at, letter)| {
                    let before = if at > 0 && letter.is_uppercase() { "_" } else { "" };
                    format!("{before}{}", letter.to_lowercase())
                });
                kinds.push((parts.collect(), Vec::new()));
            }
            (8, false) => kinds.last_mut().unwrap().1.push(word),
            _ => {}
        }
    }
    assert!(kinds.len() > 50, "{kinds:?}");
    let quoted = |cell: &str| cell.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>();
    let table = page.split("| kind | what happened | members |").nth(1).unwrap();
    let rows = table.lines().filter(|line| line.starts_with("| `")).map(|line| line.split('|').collect::<Vec<_>>());
    let mut told: Vec<(String, Vec<String>)> = rows.map(|cells| (quoted(cells[1]).concat(), quoted(cells[3]))).collect();
    // what is said of an incident has other members each time
    told.iter_mut().filter(|(kind, _)| kind == "alert").for_each(|(_, members)| members.clear());
    assert_eq!(told, kinds);
}
