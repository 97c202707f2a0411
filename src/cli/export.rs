//! Ships the journal away: JSON Lines of canonical records, each with exactly the bytes that are hashed.
//!
//! Nothing is written that was not checked: every record is put into its canonical bytes, held against the hash that the server tells of it, and
//! has to follow the one before. A file is only ever appended to, and only after its last line was found in the journal; so a journal that was
//! cut off, or written anew, does not go on in a file that knows better.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::args::AuditExport;
use super::client::{Client, Failure};
use super::evidence::MAX_LINE;
use super::output::{Output, plain};
use super::reply::{at, list, text};
use super::{Done, Outcome};
use crate::audit::{self, Noted, Walk};
use crate::store;

/// Records that are asked for at once.
const PAGE: u64 = 500;
/// Checked lines are written once they are this much, in bytes.
const CHUNK: usize = 1 << 20;

/// Writes the journal of a server, or of a folder, from some record on.
pub(super) fn export(client: impl FnOnce() -> Result<Client, Failure>, out: &Output, asked: &AuditExport) -> Outcome {
    let mut shipment = Shipment::new(out, asked)?;
    let shipped = match &asked.data {
        Some(dir) => of_folder(dir, &mut shipment),
        None => client().and_then(|client| of_server(&client, &mut shipment)),
    };
    // what was checked before something broke is kept
    let written = shipment.write();
    if shipped.is_err() {
        shipment.leave_nothing_empty();
    }
    shipped?;
    written?;
    shipment.finish(asked)?;
    Ok(Done::Yes)
}

fn of_folder(dir: &Path, shipment: &mut Shipment<'_>) -> Result<(), Failure> {
    let refused = store::read_journal(dir, shipment.begins_with(), |_, bytes| match shipment.take(bytes) {
        Ok(()) => ControlFlow::Continue(()),
        Err(failure) => ControlFlow::Break(failure),
    });
    refused.map_err(|error| Failure::Local(error.to_string()))?.map_or(Ok(()), Err)
}

fn of_server(client: &Client, shipment: &mut Shipment<'_>) -> Result<(), Failure> {
    // the cursor of the journal is the number of the last record that one has
    let mut after = shipment.begins_with().saturating_sub(1);
    loop {
        let page = client.get("/v1/audit/events", &[("limit", PAGE.to_string()), ("cursor", after.to_string())])?;
        for item in list(&page, "/items") {
            let seq = text(item, "/seq");
            let Some(record) = at(item, "/record") else {
                return Err(Failure::Local(format!("the server cannot read record {seq} of its journal; `elevon audit verify` says why")));
            };
            let bytes = audit::canonical(record).map_err(Failure::Local)?;
            let (told, found) = (text(item, "/hash"), audit::hash(&bytes));
            if told != found.to_string() {
                let text = format!(
                    "the server says that record {seq} has the hash {told}, and what it sent has {found}; nothing of it was written"
                );
                return Err(Failure::Local(text));
            }
            shipment.take(&bytes)?;
        }
        let next = text(&page, "/next");
        if next.is_empty() {
            return Ok(());
        }
        after = next.parse().ok().filter(|next| *next > after).ok_or_else(|| {
            Failure::Local(format!(
                "the server says that its journal goes on after record {after} with the cursor `{next}`, and so it never ends"
            ))
        })?;
    }
}

/// Records on their way.
struct Shipment<'a> {
    out: &'a Output,
    /// Over what the file ends with and what is put after it.
    walk: Walk,
    from: u64,
    archive: Option<Archive>,
    /// Checked lines that are not written yet.
    ready: Vec<u8>,
    count: u64,
}

impl<'a> Shipment<'a> {
    fn new(out: &'a Output, asked: &AuditExport) -> Result<Self, Failure> {
        let archive = match &asked.file {
            Some(path) if path.as_os_str() != "-" => Some(Archive::open(path)?),
            Some(_) | None => None,
        };
        let mut walk = Walk::from_anywhere(None);
        let mut from = asked.from.unwrap_or(1);
        if let Some(Archive { path, last: Some(last), .. }) = &archive {
            let path = path.display();
            let record = walk
                .take(last)
                .map_err(|broken| Failure::Local(format!("`{path}` is not gone on with: its last line does not hold: {}", broken.why)))?;
            let next = record.seq.saturating_add(1);
            if asked.from.is_some_and(|from| from > next) {
                let text =
                    format!("`{path}` ends with record {}, and going on from {from} would leave a gap; leave --from out", record.seq);
                return Err(Failure::Usage(text));
            }
            from = next;
        }
        Ok(Self { out, walk, from, archive, ready: Vec::new(), count: 0 })
    }

    /// The first record that is wanted: the last one of the file, to see that the journal holds it, too.
    fn begins_with(&self) -> u64 {
        self.walk.tip().map_or(self.from, |last| last.seq)
    }

    fn take(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        if let Some(Archive { path, last, .. }) = &mut self.archive
            && let Some(last) = last.take()
        {
            return if last == bytes { Ok(()) } else { Err(Failure::Local(another(path, self.from.saturating_sub(1)))) };
        }
        let record = self.walk.take(bytes).map_err(|broken| Failure::Local(broken.to_string()))?;
        if self.count == 0 && record.seq != self.from {
            return Err(Failure::Local(format!("the journal has no record {}; the next one is {}", self.from, record.seq)));
        }
        let mut rest = bytes;
        if let Some(Archive { path, cut_short, .. }) = &mut self.archive {
            rest = bytes.strip_prefix(cut_short.as_slice()).ok_or_else(|| Failure::Local(another(path, record.seq)))?;
            cut_short.clear();
        }
        self.ready.extend_from_slice(rest);
        self.ready.push(b'\n');
        self.count = self.count.saturating_add(1);
        if self.ready.len() >= CHUNK { self.write() } else { Ok(()) }
    }

    fn write(&mut self) -> Result<(), Failure> {
        match &mut self.archive {
            Some(Archive { file, path, .. }) => {
                let unwritten = |error: io::Error| Failure::Local(format!("`{}` cannot be written: {error}", path.display()));
                file.write_all(&self.ready).map_err(unwritten)?;
            }
            None => self.out.raw(&self.ready)?,
        }
        self.ready.clear();
        Ok(())
    }

    /// Takes a file away again that was made for nothing.
    fn leave_nothing_empty(&self) {
        if let Some(Archive { path, made: true, .. }) = &self.archive
            && self.count == 0
        {
            // where it cannot be, an empty file is in nobody's way
            let _ = std::fs::remove_file(path);
        }
    }

    /// Says what was written, once it lies on the disk.
    fn finish(self, asked: &AuditExport) -> Result<(), Failure> {
        let said = match self.count {
            0 => "nothing new".to_owned(),
            1 => format!("1 record, {}", self.from),
            many => format!("{many} records, {} to {}", self.from, self.from.saturating_add(many).saturating_sub(1)),
        };
        let tip = self.walk.tip().map(|tip| Noted::from(tip).to_string());
        let Some(Archive { file, path, last, cut_short, made: _ }) = self.archive else {
            if !self.out.json {
                self.out.remark(&format!("{said}{}", tip.map(|tip| format!(", up to {tip}")).unwrap_or_default()))?;
            }
            return Ok(());
        };
        let shown = path.display();
        if last.is_some() || !cut_short.is_empty() {
            let has = if last.is_some() { self.from.saturating_sub(1) } else { self.from };
            let text = format!(
                "`{shown}` ends with record {has}, and the journal{} ends before it: it was cut off, or is an older copy; nothing was written",
                asked.data.as_ref().map(|dir| format!(" in `{}`", dir.display())).unwrap_or_default()
            );
            return Err(Failure::Local(text));
        }
        file.sync_all().map_err(|error| Failure::Local(format!("`{shown}` cannot be written: {error}")))?;
        if self.out.json {
            self.out.value(&json!({"file": path, "records": self.count, "tip": tip}))?;
        } else {
            self.out.cells(&[plain(said)])?;
            let tip = tip.map(|tip| ("tip", plain(tip)));
            self.out.fields(&[("file", plain(shown.to_string()))].into_iter().chain(tip).collect::<Vec<_>>())?;
        }
        Ok(())
    }
}

fn another(path: &Path, seq: u64) -> String {
    format!(
        "record {seq} of `{}` is not the one that the journal has: one of the two was changed, or they are of two journals; nothing was written",
        path.display()
    )
}

/// A file of exported records, held against other exports while it is written.
struct Archive {
    file: File,
    path: PathBuf,
    /// Whether it was not there before.
    made: bool,
    /// Its last whole line, until it was found in the journal.
    last: Option<Vec<u8>>,
    /// What stands after that: the beginning of a line that was not written to its end.
    cut_short: Vec<u8>,
}

impl Archive {
    fn open(path: &Path) -> Result<Self, Failure> {
        let shown = path.display();
        let unusable = |error: io::Error| Failure::Local(format!("`{shown}` cannot be used: {error}"));
        let mut how = OpenOptions::new();
        how.read(true).append(true).create(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut how, 0o600);
        let made = !path.exists();
        let mut file = how.open(path).map_err(unusable)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(Failure::Local(format!("`{shown}` is being written by another export; let that one end")));
            }
            Err(TryLockError::Error(error)) => return Err(unusable(error)),
        }
        // room for the last line and for what was cut short after it
        let most = MAX_LINE.saturating_mul(2);
        let length = file.seek(SeekFrom::End(0)).map_err(unusable)?;
        let skipped = length.saturating_sub(most);
        file.seek(SeekFrom::Start(skipped)).map_err(unusable)?;
        let mut end = Vec::new();
        (&file).take(most).read_to_end(&mut end).map_err(unusable)?;
        let foreign = || Failure::Local(format!("`{shown}` is not gone on with: it ends with no record; name another file"));
        let lines = end.iter().rposition(|byte| *byte == b'\n').map(|at| at.saturating_add(1));
        let cut_short = end.split_off(lines.unwrap_or(0));
        let whole = end.strip_suffix(b"\n").map(|lines| lines.rsplit(|byte| *byte == b'\n').next().unwrap_or_default());
        let last = whole.map(<[u8]>::to_vec);
        if cut_short.len() as u64 > MAX_LINE || (skipped > 0 && last.as_ref().is_none_or(|last| last.len() as u64 > MAX_LINE)) {
            return Err(foreign());
        }
        Ok(Self { file, path: path.to_owned(), made, last, cut_short })
    }
}
