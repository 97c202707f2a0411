//! Two files in the data folder by which somebody on the machine says that a clock is to be believed that jumped ahead, and hears what became
//! of it. Whoever can write there is the one who runs Elevon: there is no such call over the network.
//!
//! Each is written whole and then named, so that neither side reads half of one. The word goes after its answer stands: a server that is
//! killed in between takes the word again, finds the clock believed, and ends nothing.

use std::fs;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::family::hex;
use super::open::is_ours;
use crate::domain::{Timestamp, Unavailable};
use crate::engine::ports::{ClockAnswer, ClockAsked, ClockDesk};

const WORD: &str = "clock-accept";
const ANSWER: &str = "clock-accepted";
/// Neither file is ever this long.
const MOST_BYTES: u64 = 4096;

/// Why a word about the clock cannot be left, or its answer not be read.
#[derive(Debug, thiserror::Error)]
pub enum DeskError {
    /// Not a data folder.
    #[error("there is no data in `{}`; name the folder that `elevon serve --data` uses", dir.display())]
    NoData {
        /// The folder.
        dir: PathBuf,
    },
    /// The file system says no.
    #[error("`{}` cannot be used: {error}; this takes the same user on the same machine as the server's", path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// What the file system says.
        #[source]
        error: io::Error,
    },
    /// Neither side writes such a thing.
    #[error("`{}` holds nothing that Elevon writes: {why}; remove it and try again", path.display())]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// No randomness.
    #[error("there is no randomness: {0}")]
    Random(getrandom::Error),
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WordFile {
    id: String,
    wall: Timestamp,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct AnswerFile {
    id: String,
    answer: Answered,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum Answered {
    Accepted { now: Timestamp, seq: u64 },
    Believed { now: Timestamp },
    Refused { why: String },
}

impl From<ClockAnswer> for Answered {
    fn from(answer: ClockAnswer) -> Self {
        match answer {
            ClockAnswer::Accepted { now, seq } => Self::Accepted { now, seq },
            ClockAnswer::Believed { now } => Self::Believed { now },
            ClockAnswer::Refused(why) => Self::Refused { why },
        }
    }
}

impl From<Answered> for ClockAnswer {
    fn from(answer: Answered) -> Self {
        match answer {
            Answered::Accepted { now, seq } => Self::Accepted { now, seq },
            Answered::Believed { now } => Self::Believed { now },
            Answered::Refused { why } => Self::Refused(why),
        }
    }
}

fn io_at(path: &Path) -> impl FnOnce(io::Error) -> DeskError {
    move |error| DeskError::Io { path: path.to_owned(), error }
}

fn write_whole(path: &Path, value: &impl Serialize) -> Result<(), DeskError> {
    let unfinished = path.with_extension("new");
    let write = || -> io::Result<()> {
        let mut file = fs::File::create(&unfinished)?;
        file.write_all(&serde_json::to_vec(value)?)?;
        file.sync_all()?;
        fs::rename(&unfinished, path)?;
        path.parent().map_or(Ok(()), |dir| fs::File::open(dir)?.sync_all())
    };
    write().map_err(io_at(path))
}

fn read_whole<T: serde::de::DeserializeOwned>(path: &Path) -> Result<Option<T>, DeskError> {
    let file = match fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(io_at(path)(error)),
    };
    let mut bytes = Vec::new();
    file.take(MOST_BYTES).read_to_end(&mut bytes).map_err(io_at(path))?;
    serde_json::from_slice(&bytes).map(Some).map_err(|error| DeskError::Unreadable { path: path.to_owned(), why: error.to_string() })
}

fn remove(path: &Path) -> Result<(), DeskError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(io_at(path)(error)),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// A word that was left in a data folder.
#[derive(Debug)]
pub struct ClockWord {
    dir: PathBuf,
    id: String,
}

impl ClockWord {
    /// Says that the clock, which shows `wall`, is to be believed. A word that waits there is replaced.
    ///
    /// # Errors
    /// It is no data folder, or cannot be written to.
    pub fn leave(dir: &Path, wall: Timestamp) -> Result<Self, DeskError> {
        if !is_ours(dir) {
            return Err(DeskError::NoData { dir: dir.to_owned() });
        }
        let mut random = [0_u8; 8];
        getrandom::fill(&mut random).map_err(DeskError::Random)?;
        let id = hex(&random);
        remove(&dir.join(ANSWER))?;
        write_whole(&dir.join(WORD), &WordFile { id: id.clone(), wall })?;
        Ok(Self { dir: dir.to_owned(), id })
    }

    /// What a server made of it, once one has.
    ///
    /// # Errors
    /// The answer cannot be read.
    pub fn answer(&self) -> Result<Option<ClockAnswer>, DeskError> {
        let found: Option<AnswerFile> = read_whole(&self.dir.join(ANSWER))?;
        Ok(found.filter(|found| found.id == self.id).map(|found| found.answer.into()))
    }
}

/// The server's side of a data folder's two files.
#[derive(Debug)]
pub struct FolderDesk {
    dir: PathBuf,
}

impl FolderDesk {
    /// The desk in a data folder.
    #[must_use]
    pub fn new(dir: &Path) -> Self {
        Self { dir: dir.to_owned() }
    }

    fn put(&self, id: &str, answer: Answered) -> Result<(), DeskError> {
        write_whole(&self.dir.join(ANSWER), &AnswerFile { id: id.to_owned(), answer })?;
        remove(&self.dir.join(WORD))
    }
}

impl ClockDesk for FolderDesk {
    fn asked(&self) -> Result<Option<ClockAsked>, Unavailable> {
        match read_whole::<WordFile>(&self.dir.join(WORD)) {
            Ok(word) => Ok(word.map(|WordFile { id, wall }| ClockAsked { id, wall })),
            Err(error @ DeskError::Unreadable { .. }) => {
                tracing::warn!(%error, "a word about the clock was taken away");
                self.put("", Answered::Refused { why: error.to_string() }).map_err(|error| Unavailable(error.to_string()))?;
                Ok(None)
            }
            Err(error @ (DeskError::NoData { .. } | DeskError::Io { .. } | DeskError::Random(_))) => Err(Unavailable(error.to_string())),
        }
    }

    fn answer(&self, asked: &ClockAsked, answer: &ClockAnswer) -> Result<(), Unavailable> {
        self.put(&asked.id, answer.clone().into()).map_err(|error| Unavailable(error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Mode, Store};

    #[test]
    fn a_word_is_left_taken_and_answered() {
        let dir = tempfile::tempdir().unwrap();
        let at = Timestamp::from_millis;
        assert!(matches!(ClockWord::leave(dir.path(), at(1)), Err(DeskError::NoData { .. })));
        assert!(matches!(ClockWord::leave(&dir.path().join("nowhere"), at(1)), Err(DeskError::NoData { .. })));
        drop(Store::open(dir.path(), Mode::Normal).unwrap());
        let desk = FolderDesk::new(dir.path());
        assert_eq!(desk.asked(), Ok(None));
        for answer in [
            ClockAnswer::Accepted { now: at(5), seq: 7 },
            ClockAnswer::Believed { now: at(6) },
            ClockAnswer::Refused("it is not".to_owned()),
        ] {
            let earlier = ClockWord::leave(dir.path(), at(2)).unwrap();
            let word = ClockWord::leave(dir.path(), at(3)).unwrap();
            assert_eq!(word.answer().unwrap(), None);
            let asked = desk.asked().unwrap().unwrap();
            assert_eq!(asked.wall, at(3));
            desk.answer(&asked, &answer).unwrap();
            assert_eq!((word.answer().unwrap(), earlier.answer().unwrap()), (Some(answer), None));
            assert_eq!(desk.asked(), Ok(None));
        }
        drop(Store::open(dir.path(), Mode::Normal).unwrap());
    }

    #[test]
    fn what_is_no_word_is_taken_away() {
        let dir = tempfile::tempdir().unwrap();
        drop(Store::open(dir.path(), Mode::Normal).unwrap());
        for text in ["", "yes", "{\"id\":\"a\"}", &"x".repeat(100_000)] {
            fs::write(dir.path().join(WORD), text).unwrap();
            assert_eq!(FolderDesk::new(dir.path()).asked(), Ok(None));
            assert!(!dir.path().join(WORD).exists());
        }
    }
}
