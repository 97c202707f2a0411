//! Opening a data folder: what it is, whether it is ours, and whether it is whole. Every refusal says what to do, and changes nothing.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use rocksdb::{DB, WriteBatch};

use super::family::{ALL, At, JOURNAL, META, Order, Span};
use super::key::{MetaKey, Seq};
use super::takeover::take_over;
use super::value::{HeadRow, Raw};
use super::{Store, options, put_meta};
use crate::audit;
use crate::domain::{Timestamp, Unavailable};
use crate::engine::ports::Head;

/// The version of the layout on disk: of families, keys and values together.
///
/// 1. The first one: the families of `family.rs`, keys as in `key.rs`, values of version 1, records of version 1.
/// 2. Activations with starts, ends, emergencies and extensions; requests to extend or renew grants; time used by day; marks up to which
///    holdings are void. Records are still of version 1: what is new in them may be missing.
/// 3. Access reviews; grants that stand by role; when an eligibility was last activated. Records are still of version 1.
/// 4. Incidents of alerts, and what detectors know; how far destinations of notifications have got, and what could not be delivered to them.
///    Records are still of version 1.
pub const FORMAT: u32 = 4;
/// The oldest format that is taken over.
const OLDEST: u32 = 1;

/// What `meta` holds under `magic`.
const MAGIC: &[u8] = b"elevon";
/// A file for whoever finds the folder. It is written first, and tells a creation that was cut short from a folder of somebody else's.
const MARKER: &str = "ELEVON";
const MARKER_TEXT: &str =
    "This folder is the data of Elevon, which has to be stopped before it is copied. Nothing in it is meant to be edited.\n";
/// What a file system may put into an empty volume.
const IGNORED: &str = "lost+found";

/// What kind of server a folder serves. What a caller may merely claim to be in one must never count in the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// A server started with `--dev`, which believes what callers say of themselves.
    Dev,
    /// Any other server.
    Normal,
}

impl Mode {
    /// The word for it, on disk and for people.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Dev => "dev",
            Self::Normal => "normal",
        }
    }
}

/// What a folder is opened for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// To serve in a mode; made where nothing is.
    Serve(Mode),
    /// To look at what is there, of either mode; never made.
    Inspect,
}

/// Why a data folder cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The file system says no.
    #[error("the data folder `{}` cannot be used: {error}", dir.display())]
    Io {
        /// The folder.
        dir: PathBuf,
        /// What the file system says.
        #[source]
        error: io::Error,
    },
    /// Not a folder.
    #[error("`{}` is not a folder; name one, or a path where nothing is yet", dir.display())]
    NotAFolder {
        /// As it was named.
        dir: PathBuf,
    },
    /// Files that are none of Elevon's.
    #[error("the folder `{}` holds files that are not Elevon's, such as `{example}`; name an empty folder, or the one that Elevon made", dir.display())]
    NotEmpty {
        /// The folder.
        dir: PathBuf,
        /// One of the files.
        example: String,
    },
    /// A database of another program.
    #[error("the folder `{}` holds a RocksDB database of another program; name an empty folder, or the one that Elevon made", dir.display())]
    Foreign {
        /// The folder.
        dir: PathBuf,
    },
    /// Nothing to look at.
    #[error("there is no data in `{}`; name the folder that `elevon serve --data` uses", dir.display())]
    Nothing {
        /// The folder.
        dir: PathBuf,
    },
    /// Of an Elevon that is newer than this one.
    #[error(
        "the data in `{}` has format {found}, and this Elevon ({}) knows formats up to {known}; run the Elevon that wrote it, or restore a backup from before the upgrade",
        dir.display(),
        env!("CARGO_PKG_VERSION")
    )]
    Newer {
        /// The folder.
        dir: PathBuf,
        /// Its format.
        found: u32,
        /// The newest that this Elevon knows.
        known: u32,
    },
    /// Of an Elevon that is older than this one.
    #[error(
        "the data in `{}` has format {found}, and this Elevon ({}) writes format {known}; start `elevon serve` on it once, which takes it over from its journal, and try again. Keep a backup from before: the Elevon that wrote it cannot read it afterwards",
        dir.display(),
        env!("CARGO_PKG_VERSION")
    )]
    Older {
        /// The folder.
        dir: PathBuf,
        /// Its format.
        found: u32,
        /// The one that this Elevon writes.
        known: u32,
    },
    /// Of the other mode.
    #[error("{}", wrong_mode(dir, *is))]
    WrongMode {
        /// The folder.
        dir: PathBuf,
        /// The mode that it was made in.
        is: Mode,
    },
    /// In use.
    #[error("the data folder `{}` is in use by another process; stop that one first, or name another folder ({detail})", dir.display())]
    Locked {
        /// The folder.
        dir: PathBuf,
        /// What RocksDB says.
        detail: String,
    },
    /// What the head says is not what the journal holds.
    #[error("the journal in `{}` is not whole: {why}; restore a backup, and keep this folder as it is to find out what happened", dir.display())]
    Torn {
        /// The folder.
        dir: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// Damaged, or the disk fails.
    #[error("the data in `{}` cannot be read: {why}; check the disk, or restore a backup", dir.display())]
    Unreadable {
        /// The folder.
        dir: PathBuf,
        /// What is wrong.
        why: String,
    },
}

fn wrong_mode(dir: &Path, is: Mode) -> String {
    let dir = dir.display();
    match is {
        Mode::Dev => format!(
            "the data in `{dir}` was made by a server started with `--dev`, where anybody could claim to be anybody; it serves with `--dev` only, so name another folder"
        ),
        Mode::Normal => {
            format!(
                "the data in `{dir}` is not a `--dev` server's, and must not be opened by one; leave `--dev` out, or name another folder"
            )
        }
    }
}

/// What stands in a folder.
enum Found {
    /// Nothing, or what a creation that was cut short left.
    Empty,
    /// A RocksDB database.
    Database,
}

/// How far a folder is from what this Elevon writes.
enum Standing {
    /// Its creation was not finished.
    Unfinished,
    /// It is of an earlier format.
    Older,
    /// It is of this format.
    Current,
}

/// Opens a folder for a purpose, with everything checked but the journal before its last record.
pub(super) fn open(dir: &Path, purpose: Purpose) -> Result<Store, OpenError> {
    let unreadable = |unavailable: Unavailable| OpenError::Unreadable { dir: dir.to_owned(), why: unavailable.0 };
    let standing = match (look(dir)?, purpose) {
        (Found::Database, _) => peek(dir, purpose)?,
        (Found::Empty, Purpose::Inspect) => return Err(OpenError::Nothing { dir: dir.to_owned() }),
        (Found::Empty, Purpose::Serve(_)) => {
            mark(dir).map_err(|error| OpenError::Io { dir: dir.to_owned(), error })?;
            Standing::Unfinished
        }
    };
    let mut settings = options::database();
    settings.create_if_missing(purpose != Purpose::Inspect);
    settings.create_missing_column_families(true);
    let db = DB::open_cf_descriptors(&settings, dir, options::families()).map_err(|error| refused(dir, &error))?;
    let torn = |why| OpenError::Torn { dir: dir.to_owned(), why };
    match (standing, purpose) {
        (Standing::Unfinished, Purpose::Serve(mode)) => initialise(&db, mode).map_err(unreadable)?,
        (Standing::Older, Purpose::Serve(_)) => take_over(&db).map_err(unreadable)?.map_err(torn)?,
        (Standing::Current, Purpose::Serve(_)) | (_, Purpose::Inspect) => {}
    }
    let store = Store::over(db).map_err(unreadable)?;
    whole(&store.at(), &store.head.load()).map_err(unreadable)?.map_err(torn)?;
    Ok(store)
}

fn refused(dir: &Path, error: &rocksdb::Error) -> OpenError {
    let text = error.to_string();
    if text.contains("lock file") || text.contains("lock hold by current process") {
        return OpenError::Locked { dir: dir.to_owned(), detail: text };
    }
    OpenError::Unreadable { dir: dir.to_owned(), why: text }
}

/// Looks at the names in a folder. Where nothing is, one is made when it is marked.
fn look(dir: &Path) -> Result<Found, OpenError> {
    let io = |error| OpenError::Io { dir: dir.to_owned(), error };
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::Empty),
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => return Err(OpenError::NotAFolder { dir: dir.to_owned() }),
        Err(error) => return Err(io(error)),
    };
    let mut names = Vec::new();
    for entry in entries {
        names.push(entry.map_err(io)?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    let has = |name: &str| names.iter().any(|found| found == name);
    if has("CURRENT") {
        return Ok(Found::Database);
    }
    match names.iter().find(|name| *name != IGNORED) {
        Some(example) if !has(MARKER) => Err(OpenError::NotEmpty { dir: dir.to_owned(), example: example.clone() }),
        _ => Ok(Found::Empty),
    }
}

/// Whether a folder holds what looks like data of Elevon's, without opening it: it may be in use.
pub(super) fn is_ours(dir: &Path) -> bool {
    dir.join(MARKER).is_file() && dir.join("CURRENT").is_file()
}

/// Makes the folder, for its owner only, and says in it whose it is.
fn mark(dir: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(dir)?;
    let mut file = fs::File::create(dir.join(MARKER))?;
    file.write_all(MARKER_TEXT.as_bytes())?;
    file.sync_all()?;
    fs::File::open(dir)?.sync_all()
}

/// Reads what a database says of itself, before anything of it is opened for writing.
fn peek(dir: &Path, purpose: Purpose) -> Result<Standing, OpenError> {
    let settings = options::database();
    let families = DB::list_cf(&settings, dir).map_err(|error| refused(dir, &error))?;
    let unfinished = match purpose {
        Purpose::Serve(_) => dir.join(MARKER).exists(),
        Purpose::Inspect => false,
    };
    let foreign = || if unfinished { Ok(Standing::Unfinished) } else { Err(OpenError::Foreign { dir: dir.to_owned() }) };
    if !families.iter().any(|name| name == META.name) {
        return foreign();
    }
    let db = DB::open_cf_for_read_only(&settings, dir, [META.name], false).map_err(|error| refused(dir, &error))?;
    let at = At::latest(&db);
    let item = |key| {
        let found = META.get(&at, &key).map_err(|unavailable| OpenError::Unreadable { dir: dir.to_owned(), why: unavailable.0 });
        found.map(|found| found.map(|Raw(bytes)| bytes))
    };
    match item(MetaKey::Magic)? {
        Some(magic) if magic == MAGIC => {}
        Some(_) => return Err(OpenError::Foreign { dir: dir.to_owned() }),
        None => return foreign(),
    }
    let damaged = |what: &str| OpenError::Unreadable { dir: dir.to_owned(), why: format!("its {what} is not one that Elevon writes") };
    let format = item(MetaKey::Format)?.and_then(|bytes| bytes.try_into().ok()).map(u32::from_be_bytes);
    let standing = match (format, purpose) {
        (Some(found), _) if found > FORMAT => return Err(OpenError::Newer { dir: dir.to_owned(), found, known: FORMAT }),
        (Some(FORMAT), _) => Standing::Current,
        (Some(found), Purpose::Inspect) if found >= OLDEST => return Err(OpenError::Older { dir: dir.to_owned(), found, known: FORMAT }),
        (Some(found), Purpose::Serve(_)) if found >= OLDEST => Standing::Older,
        (Some(_) | None, _) => return Err(damaged("format version")),
    };
    if families.iter().any(|name| name != rocksdb::DEFAULT_COLUMN_FAMILY_NAME && !ALL.iter().any(|(known, _)| known == name)) {
        return Err(damaged("set of families"));
    }
    let mode = item(MetaKey::Mode)?;
    let is = [Mode::Dev, Mode::Normal].into_iter().find(|known| mode.as_deref() == Some(known.as_str().as_bytes()));
    match (is, purpose) {
        (None, _) => Err(damaged("mode")),
        (Some(is), Purpose::Serve(asked)) if is != asked => Err(OpenError::WrongMode { dir: dir.to_owned(), is }),
        (Some(_), _) => Ok(standing),
    }
}

/// Writes what makes a database Elevon's, in one batch: it is there whole or not at all.
fn initialise(db: &DB, mode: Mode) -> Result<(), Unavailable> {
    let mut batch = WriteBatch::default();
    for (key, bytes) in [
        (MetaKey::Magic, MAGIC.to_vec()),
        (MetaKey::Format, FORMAT.to_be_bytes().to_vec()),
        (MetaKey::Mode, mode.as_str().as_bytes().to_vec()),
    ] {
        META.put(db, &mut batch, &key, &Raw(bytes))?;
    }
    put_meta(db, &mut batch, MetaKey::Head, &HeadRow::from(&Head::empty()))?;
    put_meta(db, &mut batch, MetaKey::Mark, &Timestamp::default())?;
    put_meta(db, &mut batch, MetaKey::Active, &0_u64)?;
    put_meta(db, &mut batch, MetaKey::LiveSince, &Timestamp::default())?;
    put_meta(db, &mut batch, MetaKey::TimeVoid, &0_u64)?;
    db.write_opt(batch, &options::synced()).map_err(|error| Unavailable(error.to_string()))
}

/// Whether the head is the last record's. Both are written in one batch, so nothing but damage or a foreign hand parts them.
pub(super) fn whole(at: &At<'_>, head: &Head) -> Result<Result<(), String>, Unavailable> {
    #[derive(serde::Deserialize)]
    struct Stamp {
        at: Timestamp,
    }
    let last = JOURNAL.scan(at, Span::all(), Order::Down)?.next().transpose()?;
    Ok(match last {
        None if head.seq == 0 => Ok(()),
        None => Err(format!("its head is record {}, and it holds none", head.seq)),
        Some((Seq(seq), _)) if seq != head.seq => Err(format!("its head is record {}, and its last one is {seq}", head.seq)),
        Some((_, Raw(bytes))) if audit::hash(&bytes) != head.hash => Err(format!("record {} is not the one that was written", head.seq)),
        Some((_, Raw(bytes))) => match serde_json::from_slice::<Stamp>(&bytes) {
            Ok(stamp) if stamp.at == head.at => Ok(()),
            Ok(stamp) => Err(format!("its head is of {}, and its last record of {}", head.at, stamp.at)),
            Err(error) => Err(format!("record {} cannot be read: {error}", head.seq)),
        },
    })
}
