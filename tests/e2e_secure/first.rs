//! `elevon init` in folders that are not as they should be.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::process::Command;

use crate::common::{ELEVON, elevon, run};

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

#[test]
fn a_folder_that_others_write_to_is_refused_and_left_alone() {
    let home = tempfile::tempdir().unwrap();
    for others in [0o777, 0o775, 0o757, 0o1777] {
        let dir = home.path().join(format!("{others:o}"));
        fs::create_dir(&dir).unwrap();
        fs::set_permissions(&dir, fs::Permissions::from_mode(others)).unwrap();
        let made = elevon(&["init", dir.to_str().unwrap()]);
        assert!(made.code == 2 && made.stderr.contains("chmod go-w"), "{others:o}: {made:?}");
        assert!(fs::read_dir(&dir).unwrap().next().is_none() && !made.stdout.contains("elv_"), "{others:o}");
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o755)).unwrap();
        assert_eq!(elevon(&["init", dir.to_str().unwrap()]).code, 0, "{others:o}");
    }
}

#[test]
fn whatever_the_umask_nobody_else_writes_to_what_was_made() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("made");
    let made = run(Command::new("sh").args(["-c", "umask 000; exec \"$0\" init \"$1\"", ELEVON]).arg(&dir));
    assert_eq!(made.code, 0, "{made:?}");
    let rows = [("", 0o700), ("policies", 0o755), ("policies/tests", 0o755), ("data", 0o700), ("elevon.toml", 0o600)];
    for (name, expected) in rows {
        assert_eq!(mode(&dir.join(name)), expected, "{name}");
    }
    for file in fs::read_dir(dir.join("policies")).unwrap() {
        let file = file.unwrap();
        assert_eq!(mode(&file.path()) & 0o022, 0, "{file:?}");
    }
}

#[test]
fn what_is_in_the_way_is_not_followed_or_replaced() {
    let home = tempfile::tempdir().unwrap();
    let at = |name: &str| home.path().join(name);
    fs::write(at("file"), "mine").unwrap();
    symlink(at("nowhere"), at("dangling")).unwrap();
    symlink(at("file"), at("to-file")).unwrap();
    fs::create_dir(at("full")).unwrap();
    symlink("/nowhere", at("full").join("elevon.toml")).unwrap();
    symlink(at("full"), at("to-full")).unwrap();
    for name in ["file", "dangling", "to-file", "full", "to-full", "file/below"] {
        let made = elevon(&["init", at(name).to_str().unwrap()]);
        assert!(made.code == 2 && !made.stderr.is_empty() && !made.stdout.contains("elv_"), "{name}: {made:?}");
    }
    assert_eq!(fs::read_to_string(at("file")).unwrap(), "mine");
    assert!(!at("nowhere").exists());
    assert_eq!(fs::read_dir(at("full")).unwrap().count(), 1);
}
