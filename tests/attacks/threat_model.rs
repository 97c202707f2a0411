//! `docs/threat-model.md` against the sources: every test that it names is there, and every test here is named in it.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// What stands between backticks and looks like `path.rs::name`.
fn named(text: &str) -> Vec<(String, String)> {
    let parts = text.split('`').skip(1).step_by(2);
    parts.filter_map(|part| part.split_once(".rs::")).map(|(path, name)| (format!("{path}.rs"), name.to_owned())).collect()
}

/// The names of the tests in a source.
fn tests(source: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut marked = false;
    for line in source.lines().map(str::trim) {
        if line == "#[test]" || line.starts_with("#[tokio::test") {
            marked = true;
        } else if let Some(rest) = line.strip_prefix("async fn ").or_else(|| line.strip_prefix("fn ")).filter(|_| marked) {
            found.extend(rest.split('(').next().map(str::to_owned));
            marked = false;
        }
    }
    found
}

fn fault(root: &Path, path: &str, name: &str) -> Option<String> {
    match fs::read_to_string(root.join(path)) {
        Err(_) => Some(format!("`{path}` is no file")),
        Ok(source) if tests(&source).contains(name) => None,
        Ok(_) => Some(format!("`{path}` has no test `{name}`")),
    }
}

#[test]
fn every_test_that_the_threat_model_names_exists() {
    let text = fs::read_to_string(root().join("docs/threat-model.md")).unwrap();
    let named = named(&text);
    assert!(named.len() >= 40, "only {} tests are named", named.len());
    let faults: Vec<String> = named.iter().filter_map(|(path, name)| fault(&root(), path, name)).collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn every_attack_that_is_tested_here_is_in_the_threat_model() {
    let text = fs::read_to_string(root().join("docs/threat-model.md")).unwrap();
    let named: BTreeSet<(String, String)> = named(&text).into_iter().collect();
    for entry in fs::read_dir(root().join("tests/attacks")).unwrap() {
        let path = entry.unwrap().path();
        let file = path.file_name().unwrap().to_string_lossy().into_owned();
        if file == "threat_model.rs" {
            continue;
        }
        for name in tests(&fs::read_to_string(&path).unwrap()) {
            assert!(named.contains(&(format!("tests/attacks/{file}"), name.clone())), "tests/attacks/{file}::{name} is in no row");
        }
    }
}

/// The classes that the design is held against, by the words that stand in the table.
#[test]
fn every_class_has_a_row() {
    let text = fs::read_to_string(root().join("docs/threat-model.md")).unwrap();
    let classes = [
        "algorithm confusion",
        "CVE-2026-25537",
        "key-id injection",
        "CVE-2025-6037",
        "CVE-2025-1969",
        "second account",
        "Unicode variant",
        "approval replay",
        "CVE-2024-56323",
        "CVE-2025-64529",
        "CVE-2021-31920",
        "CVE-2021-32777",
        "CVE-2024-23324",
        "CVE-2025-46569",
        "CVE-2023-44487",
        "slowloris",
        "JSON bomb",
    ];
    let rows: Vec<&str> = text.lines().filter(|line| line.starts_with('|')).collect();
    for class in classes {
        assert!(rows.iter().any(|row| row.to_lowercase().contains(&class.to_lowercase())), "{class} has no row");
    }
}

#[test]
fn a_name_that_is_no_test_is_found() {
    assert!(fault(&root(), "tests/attacks/threat_model.rs", "named").unwrap().contains("no test"));
    assert!(fault(&root(), "tests/attacks/none.rs", "x").unwrap().contains("no file"));
    assert_eq!(fault(&root(), "tests/attacks/threat_model.rs", "a_name_that_is_no_test_is_found"), None);
}
