//! The journal as evidence: where it ends, and whether a folder or a file of it holds together.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read as _};
use std::ops::ControlFlow;
use std::path::Path;

use serde_json::{Value, json};

use super::args::AuditVerify;
use super::client::{Client, Failure};
use super::output::{Look, Output, looking, plain};
use super::reply::text;
use super::{Done, Outcome};
use crate::audit::{Break, Noted, Standing, Tip, Walk};
use crate::store;

/// Longest line of an exported journal, in bytes: far more than a record can have.
pub(super) const MAX_LINE: u64 = 4 << 20;

/// Says where the journal of a server ends.
pub(super) fn tip(client: &Client, out: &Output) -> Outcome {
    let tip = client.get("/v1/audit/tip", &[])?;
    if out.json {
        out.value(&tip)?;
    } else {
        let noted = format!("{}:{}", text(&tip, "/seq"), text(&tip, "/hash"));
        out.cells(&[plain(noted), looking(Look::Quiet, format!("  {}", text(&tip, "/at")))])?;
    }
    Ok(Done::Yes)
}

/// Where what was walked does not hold.
struct Broken {
    /// The record that should stand there.
    seq: u64,
    /// The line of the file.
    line: Option<u64>,
    why: String,
}

impl Broken {
    fn at(line: Option<u64>, broken: &Break) -> Self {
        Self { seq: broken.seq, line, why: broken.why.to_string() }
    }

    fn place(&self) -> String {
        match self.line {
            Some(line) => format!("line {line}, where record {} belongs", self.seq),
            None => format!("record {}", self.seq),
        }
    }
}

/// Walks a folder's journal or a file of it.
pub(super) fn verify(out: &Output, asked: &AuditVerify) -> Outcome {
    let (walk, broken) = match (&asked.data, &asked.file) {
        (Some(dir), None) => of_folder(dir, asked.expect)?,
        (None, Some(file)) => of_file(file, asked.expect)?,
        (Some(_), Some(_)) | (None, None) => {
            return Err(Failure::Usage("name a data folder with --data, or an exported file with --file".to_owned()));
        }
    };
    if out.json {
        out.value(&value(&walk, broken.as_ref()))?;
    } else {
        show(out, &walk, broken.as_ref())?;
    }
    let met = walk.standing().is_none_or(|(_, standing)| standing == Standing::Same);
    Ok(if broken.is_none() && met && walk.records() > 0 { Done::Yes } else { Done::No })
}

fn of_folder(dir: &Path, noted: Option<Noted>) -> Result<(Walk, Option<Broken>), Failure> {
    let mut walk = Walk::from_first(noted);
    let broken = store::read_journal(dir, 0, |kept_as, bytes| {
        let seq = walk.tip().map_or(0, |tip| tip.seq).saturating_add(1);
        if kept_as != seq {
            let why = format!("it is not there; the next one is kept as record {kept_as}");
            return ControlFlow::Break(Broken { seq, line: None, why });
        }
        match walk.take(bytes) {
            Ok(_) => ControlFlow::Continue(()),
            Err(broken) => ControlFlow::Break(Broken::at(None, &broken)),
        }
    });
    let broken = broken.map_err(|error| Failure::Local(error.to_string()))?;
    Ok((walk, broken))
}

fn of_file(file: &Path, noted: Option<Noted>) -> Result<(Walk, Option<Broken>), Failure> {
    let unreadable = |error: io::Error| Failure::Local(format!("`{}` cannot be read: {error}", file.display()));
    let mut lines: Box<dyn BufRead> = if file.as_os_str() == "-" {
        Box::new(io::stdin().lock())
    } else {
        Box::new(BufReader::new(File::open(file).map_err(unreadable)?))
    };
    let mut walk = Walk::from_anywhere(noted);
    for number in 1_u64.. {
        let mut line = Vec::new();
        if lines.by_ref().take(MAX_LINE).read_until(b'\n', &mut line).map_err(unreadable)? == 0 {
            break;
        }
        let seq = walk.tip().map_or(0, |tip| tip.seq).saturating_add(1);
        let broken = match line.pop_if(|last| *last == b'\n') {
            Some(_) => walk.take(&line).err().map(|broken| Broken::at(Some(number), &broken)),
            None => Some(Broken { seq, line: Some(number), why: "it was not written to its end, or is longer than any record".to_owned() }),
        };
        if broken.is_some() {
            return Ok((walk, broken));
        }
    }
    Ok((walk, None))
}

fn show(out: &Output, walk: &Walk, broken: Option<&Broken>) -> io::Result<()> {
    let records = match walk.records() {
        0 => "no record".to_owned(),
        1 => "1 record".to_owned(),
        many => format!("{many} records"),
    };
    match broken {
        Some(broken) => out.cells(&[looking(Look::Bad, "broken"), plain(format!("  at {}: {}", broken.place(), broken.why))])?,
        None if walk.records() == 0 => out.cells(&[looking(Look::Bad, "empty"), plain("  there is no record in it")])?,
        None => out.cells(&[looking(Look::Good, "holds"), plain(format!("  {records}"))])?,
    }
    let mut fields = Vec::new();
    let of = |tip: &Tip| plain(format!("record {}, {}", tip.seq, tip.at));
    if broken.is_some() {
        fields.push(("before it", plain(format!("{records} that hold{}", if walk.records() == 1 { "s" } else { "" }))));
    }
    if let (Some(first), Some(tip)) = (walk.first(), walk.tip()) {
        fields.extend([("from", of(first)), ("to", of(tip))]);
        fields.extend(walk.before().filter(|before| before.seq > 0).map(|before| ("follows", plain(Noted::from(before).to_string()))));
        fields.push(("tip", plain(Noted::from(tip).to_string())));
    }
    if let Some((noted, standing)) = walk.standing() {
        fields.push(("noted", looking(if standing == Standing::Same { Look::Good } else { Look::Bad }, said(noted, standing, walk))));
    }
    out.fields(&fields)
}

/// How what was walked stands to a note, in words.
fn said(noted: Noted, standing: Standing, walk: &Walk) -> String {
    let seq = noted.seq;
    match standing {
        Standing::Same => format!("record {seq} is the one that was noted"),
        Standing::Another { found } => {
            format!("record {seq} has the hash {found}, and not the one that was noted: one of the two is another journal")
        }
        Standing::NotReached => match walk.tip() {
            Some(tip) => {
                format!("record {seq} was noted, and nothing is known after record {}: it was cut off, or is an older copy", tip.seq)
            }
            None => format!("record {seq} was noted, and there is none"),
        },
        Standing::NotThere => format!("record {seq} stands before the first record here, and cannot be held against it"),
    }
}

fn value(walk: &Walk, broken: Option<&Broken>) -> Value {
    let shown = |tip: &Tip| json!({"seq": tip.seq, "hash": tip.hash, "at": tip.at});
    let noted = walk.standing().map(|(noted, standing)| {
        let (word, found) = match standing {
            Standing::Same => ("same", Some(noted.hash)),
            Standing::Another { found } => ("another", Some(found)),
            Standing::NotReached => ("not_reached", None),
            Standing::NotThere => ("not_there", None),
        };
        json!({"seq": noted.seq, "hash": noted.hash, "standing": word, "found": found})
    });
    json!({
        "holds": broken.is_none(),
        "records": walk.records(),
        "first": walk.first().map(shown),
        "last": walk.tip().map(shown),
        "follows": walk.before().map(|before| json!({"seq": before.seq, "hash": before.hash})),
        "broken": broken.map(|broken| json!({"seq": broken.seq, "line": broken.line, "why": broken.why})),
        "noted": noted,
    })
}
