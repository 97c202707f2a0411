//! Files: a folder read whole and within bounds, its revision, and the archive that the store keeps.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use serde::Serialize;

use super::alerts::FILE as ALERTS;
use super::problem::{BundleError, Problem, Problems};
use super::routes::FILE as ROUTES;
use crate::domain::text::Digest;
use crate::domain::{Revision, RoleName};

/// Most files of a bundle.
pub const MAX_FILES: usize = 1_000;
/// Largest file of a bundle, in bytes.
pub const MAX_FILE_BYTES: usize = 8 << 20;
/// Largest bundle, in bytes over all files.
pub const MAX_BUNDLE_BYTES: usize = 32 << 20;
/// How deep the folders of a bundle may be nested; it ends links that run in a circle, too.
pub const MAX_DEPTH: usize = 8;
/// How often a folder is read again that changes while it is read.
const MAX_READS: usize = 3;

/// The file with the author's schema.
pub(super) const SCHEMA: &str = "schema.cedarschema";
/// The file with roles and types.
pub(super) const ROLES: &str = "roles.toml";
/// The file with the bundle's entities.
pub(super) const ENTITIES: &str = "entities.json";

/// The folder with the conditions of roles.
const CONDITIONS: &str = "conditions";
/// Longest name of a file, in bytes, that file systems take.
const MAX_NAME_BYTES: usize = 255;

/// A file of a bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FileInfo {
    /// Its path in the bundle, with `/`.
    pub path: String,
    /// Its length in bytes.
    pub bytes: usize,
    /// SHA-256 over its bytes.
    pub sha256: Digest,
}

/// What a path in a bundle is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Schema,
    Roles,
    Alerts,
    Routes,
    Entities,
    Policies,
    /// The conditions of a role: policies of their own, never a part of the others.
    Conditions,
    Tests,
}

/// What a path is for; nothing, where a bundle has no use for it.
pub(super) fn kind_of(path: &str) -> Option<Kind> {
    match path {
        SCHEMA => Some(Kind::Schema),
        ROLES => Some(Kind::Roles),
        ENTITIES => Some(Kind::Entities),
        ROUTES => Some(Kind::Routes),
        ALERTS => Some(Kind::Alerts),
        // whatever lies there, and however the folder is spelled: it must not become a policy by accident
        _ if is_of_conditions(path) => condition_of(path).map(|_| Kind::Conditions),
        _ if path.ends_with(".cedar") => Some(Kind::Policies),
        _ if path.starts_with("tests/") && path.ends_with(".toml") => Some(Kind::Tests),
        _ => None,
    }
}

/// Whether a path is in the folder of conditions, or in one that somebody may have taken for it.
fn is_of_conditions(path: &str) -> bool {
    path.split_once('/').is_some_and(|(folder, _)| folder.eq_ignore_ascii_case(CONDITIONS))
}

/// The role whose conditions a path holds, where it is a path for conditions.
pub(super) fn condition_of(path: &str) -> Option<&str> {
    let name = path.strip_prefix(CONDITIONS)?.strip_prefix('/')?.strip_suffix(".cedar")?;
    (!name.is_empty() && !name.contains('/')).then_some(name)
}

/// The path of a role's conditions; nothing, where the role's name cannot be that of a file that a bundle reads.
pub(super) fn condition_path(role: &RoleName) -> Option<String> {
    let name = format!("{role}.cedar");
    let plain = !name.contains(['/', '\\']) && !is_passed_over(&name) && name.len() <= MAX_NAME_BYTES;
    plain.then(|| format!("{CONDITIONS}/{name}"))
}

/// Documents and hidden files are no part of the bundle, nor of its revision.
fn is_passed_over(name: &str) -> bool {
    name.starts_with('.') || name.starts_with("README") || name.ends_with(".md")
}

/// The texts of a bundle by path: known kinds only, UTF-8, within bounds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Files {
    pub(super) texts: BTreeMap<String, Arc<str>>,
}

impl Files {
    /// Takes files as they come.
    pub(super) fn new(files: BTreeMap<String, Vec<u8>>) -> Result<Self, BundleError> {
        let mut problems = Problems::default();
        let mut texts = BTreeMap::new();
        let mut total = 0_usize;
        for (path, bytes) in files {
            if path.split('/').any(is_passed_over) {
                continue;
            }
            total = total.saturating_add(bytes.len());
            if kind_of(&path).is_none() {
                problems.push(unknown_file(&path));
            } else if bytes.len() > MAX_FILE_BYTES {
                problems.push(too_large(&path, bytes.len()));
            } else {
                match String::from_utf8(bytes) {
                    Ok(text) => drop(texts.insert(path, Arc::from(text))),
                    Err(error) => {
                        let at = error.utf8_error().valid_up_to();
                        problems.push(Problem::in_file(&path, format!("the file is not UTF-8: byte {at} starts no character")));
                    }
                }
            }
        }
        if texts.len() > MAX_FILES {
            problems.push(Problem::general(format!("the bundle has {} files; at most {MAX_FILES} are taken", texts.len())));
        }
        if total > MAX_BUNDLE_BYTES {
            problems.push(Problem::general(format!("the bundle has {total} bytes; at most {MAX_BUNDLE_BYTES} are taken")));
        }
        problems.into_result()?;
        Ok(Self { texts })
    }

    /// The files of a folder, as they were at one moment: a folder that changes while it is read is read again.
    pub(super) fn read(dir: &Path) -> Result<Self, BundleError> {
        let mut before = read_bytes(dir)?;
        for _ in 1..MAX_READS {
            let now = read_bytes(dir)?;
            if before == now {
                return Self::new(now);
            }
            before = now;
        }
        Err(Problem::general(format!("{} keeps changing while it is read", dir.display())).help("try again once it is quiet").into())
    }

    /// SHA-256 over the sorted (path, length, bytes).
    pub(super) fn revision(&self) -> Result<Revision, BundleError> {
        revision_of(self.texts.iter().map(|(path, text)| (path.as_str(), text.as_bytes())))
    }

    /// What the store keeps: a JSON object from path to text, in canonical order.
    pub(super) fn to_archive(&self) -> Vec<u8> {
        let object: serde_json::Map<_, _> =
            self.texts.iter().map(|(path, text)| (path.clone(), serde_json::Value::from(text.as_ref()))).collect();
        serde_json::Value::Object(object).to_string().into_bytes()
    }

    /// Reads back what [`Files::to_archive`] wrote.
    pub(super) fn from_archive(bytes: &[u8]) -> Result<Self, BundleError> {
        let texts: BTreeMap<String, String> =
            serde_json::from_slice(bytes).map_err(|error| Problem::general(format!("the stored bundle cannot be read: {error}")))?;
        Self::new(texts.into_iter().map(|(path, text)| (path, text.into_bytes())).collect())
    }

    /// The files one by one.
    pub(super) fn infos(&self) -> Vec<FileInfo> {
        let info = |(path, text): (&String, &Arc<str>)| FileInfo {
            path: path.clone(),
            bytes: text.len(),
            sha256: Digest::of_bytes(text.as_bytes()),
        };
        self.texts.iter().map(info).collect()
    }

    /// The files of a kind, sorted by path.
    pub(super) fn of_kind(&self, kind: Kind) -> impl Iterator<Item = (&String, &Arc<str>)> {
        self.texts.iter().filter(move |(path, _)| kind_of(path) == Some(kind))
    }
}

fn unknown_file(path: &str) -> Problem {
    let help = if is_of_conditions(path) {
        "the conditions of a role stand in `conditions/<role>.cedar`, right in that folder; policies stand elsewhere"
    } else if path.ends_with(".toml") {
        "policy tests stand in `tests/`, roles in `roles.toml`, routes in `routes.toml` and alerts in `alerts.toml`"
    } else {
        "a bundle has `schema.cedarschema`, `roles.toml`, `routes.toml`, `alerts.toml`, `entities.json`, `*.cedar`, `conditions/*.cedar` and `tests/*.toml`; \
         documents end in `.md`"
    };
    Problem::in_file(path, "a bundle has no use for this file").help(help)
}

fn too_large(path: &str, bytes: usize) -> Problem {
    Problem::in_file(path, format!("the file has {bytes} bytes; at most {MAX_FILE_BYTES} are taken"))
}

fn revision_of<'a>(files: impl Iterator<Item = (&'a str, &'a [u8])>) -> Result<Revision, BundleError> {
    let digest = Digest::of_fields(files.flat_map(|(path, bytes)| [path.as_bytes(), bytes]));
    Revision::new(&digest.to_string()).map_err(|error| Problem::general(error.to_string()).into())
}

/// The revision that a folder would have as a bundle, whether or not it is a valid one. Two equal ones some time apart show that nobody is
/// in the middle of writing.
///
/// # Errors
/// The folder cannot be read, or is larger than a bundle may be.
pub fn digest_of(dir: &Path) -> Result<Revision, BundleError> {
    let files = read_bytes(dir)?;
    revision_of(files.iter().map(|(path, bytes)| (path.as_str(), bytes.as_slice())))
}

fn read_bytes(dir: &Path) -> Result<BTreeMap<String, Vec<u8>>, BundleError> {
    let mut reading = Reading { files: BTreeMap::new(), total: 0 };
    reading.folder(dir, "", 0)?;
    Ok(reading.files)
}

struct Reading {
    files: BTreeMap<String, Vec<u8>>,
    total: usize,
}

impl Reading {
    fn folder(&mut self, dir: &Path, prefix: &str, depth: usize) -> Result<(), BundleError> {
        let failed = |error: std::io::Error| Problem::general(format!("cannot read {}: {error}", dir.display()));
        if depth > MAX_DEPTH {
            return Err(Problem::in_file(prefix, format!("folders are nested deeper than {MAX_DEPTH}")).into());
        }
        for entry in fs::read_dir(dir).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name();
            let Some(name) = name.to_str() else {
                return Err(Problem::general(format!("the name of {} is not UTF-8", entry.path().display())).into());
            };
            if is_passed_over(name) {
                continue;
            }
            let path = format!("{prefix}{name}");
            // follows links: Kubernetes mounts every file of a volume as one
            let meta = match fs::metadata(entry.path()) {
                Ok(meta) => meta,
                Err(error) => return Err(Problem::in_file(&path, format!("cannot be read: {error}")).into()),
            };
            if meta.is_dir() {
                self.folder(&entry.path(), &format!("{path}/"), depth + 1)?;
            } else if meta.is_file() {
                self.file(&entry.path(), path, meta.len())?;
            } else {
                return Err(Problem::in_file(&path, "is neither a file nor a folder").into());
            }
        }
        Ok(())
    }

    fn file(&mut self, at: &Path, path: String, announced: u64) -> Result<(), BundleError> {
        let announced = usize::try_from(announced).unwrap_or(usize::MAX);
        if announced > MAX_FILE_BYTES {
            return Err(too_large(&path, announced).into());
        }
        if self.files.len() >= MAX_FILES {
            return Err(Problem::general(format!("the folder has more than {MAX_FILES} files")).into());
        }
        let bytes = fs::read(at).map_err(|error| Problem::in_file(&path, format!("cannot be read: {error}")))?;
        self.total = self.total.saturating_add(bytes.len());
        if self.total > MAX_BUNDLE_BYTES {
            return Err(Problem::general(format!("the folder has more than {MAX_BUNDLE_BYTES} bytes")).into());
        }
        self.files.insert(path, bytes);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(rows: &[(&str, &str)]) -> BTreeMap<String, Vec<u8>> {
        rows.iter().map(|(path, text)| ((*path).to_owned(), text.as_bytes().to_vec())).collect()
    }

    #[test]
    fn the_revision_depends_on_paths_and_bytes_and_nothing_else() {
        let revision = |rows: &[(&str, &str)]| Files::new(files(rows)).unwrap().revision().unwrap();
        let one = revision(&[("a.cedar", "x"), ("b.cedar", "y")]);
        assert_eq!(one, revision(&[("b.cedar", "y"), ("a.cedar", "x"), ("README.md", "z"), (".git/config", "q")]));
        assert_ne!(one, revision(&[("a.cedar", "xy"), ("b.cedar", "")]));
        assert_ne!(one, revision(&[("a.cedar", "x"), ("c.cedar", "y")]));
        assert_eq!(one.as_str().len(), 64);
    }

    #[test]
    fn an_archive_reads_back_as_it_was_written() {
        let before = Files::new(files(&[("roles.toml", "ä\"\n"), ("sub/p.cedar", "permit")])).unwrap();
        let archive = before.to_archive();
        assert_eq!(Files::from_archive(&archive).unwrap(), before);
        assert_eq!(archive, Files::from_archive(&archive).unwrap().to_archive());
        assert!(Files::from_archive(b"nonsense").is_err());
    }

    #[test]
    fn files_that_a_bundle_has_no_use_for_are_refused() {
        let conditions = ["conditions/a/b.cedar", "conditions/a.txt", "Conditions/a.cedar", "CONDITIONS/b/c.cedar"];
        let others = ["policies.json", "roles.toml.bak", "more/roles.toml", "check.toml", "tests/x.json"];
        for path in others.into_iter().chain(conditions) {
            let error = Files::new(files(&[(path, "")])).unwrap_err();
            assert_eq!(error.problems()[0].file.as_deref(), Some(path));
        }
        let error = Files::new(BTreeMap::from([("a.cedar".to_owned(), vec![b'a', 0xff])])).unwrap_err();
        assert!(error.to_string().contains("byte 1 starts no character"), "{error}");
    }

    #[test]
    fn a_folder_is_read_with_its_links_and_within_its_bounds() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("..2024/tests")).unwrap();
        fs::write(dir.path().join("..2024/a.cedar"), "x").unwrap();
        fs::write(dir.path().join("..2024/tests/t.toml"), "y").unwrap();
        std::os::unix::fs::symlink("..2024", dir.path().join("..data")).unwrap();
        std::os::unix::fs::symlink("..data/a.cedar", dir.path().join("a.cedar")).unwrap();
        std::os::unix::fs::symlink("..data/tests", dir.path().join("tests")).unwrap();
        let read = Files::read(dir.path()).unwrap();
        assert_eq!(read.texts.keys().collect::<Vec<_>>(), ["a.cedar", "tests/t.toml"]);
        assert_eq!(read.revision().unwrap(), digest_of(dir.path()).unwrap());

        std::os::unix::fs::symlink(".", dir.path().join("circle")).unwrap();
        assert!(Files::read(dir.path()).unwrap_err().to_string().contains("deeper"));
        assert!(digest_of(&dir.path().join("absent")).unwrap_err().to_string().contains("cannot read"));
    }
}
