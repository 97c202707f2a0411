//! What happened, and the proof of it.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::read::{activation, entity, instant, role};
use crate::audit::{BadNote, Noted};
use crate::domain::id::{ActivationId, RoleName, Uid};
use crate::domain::time::Timestamp;

pub(super) const EXAMPLES: &str = "Examples:
  elevon audit list --newest-first --limit 20
  elevon audit tip                                       # note it where nobody who runs the server can write
  elevon audit export --file journal.jsonl               # again and again: it goes on after the last line
  elevon audit verify --file journal.jsonl --expect 17:5e0c…";

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum Audit {
    /// List what happened: who, what, when and why
    #[command(after_help = r#"Examples:
  elevon audit list --principal 'User::"alice"' --from 2030-01-31T09:00:00Z
  elevon audit list --activation act_0198c0de-... --output json"#)]
    List(AuditList),
    /// Say where the journal ends, as SEQ:HASH and a time, to be noted elsewhere
    Tip,
    /// Walk the journal of a folder or of an exported file, and say how far it holds together: exit 1 if not to its end
    #[command(after_help = "Examples:
  elevon audit verify --data data
  elevon audit verify --file journal.jsonl --expect 17:5e0c…

A journal that was cut off at its end, or written anew from some record on, holds together as well as the true one. What was noted of it earlier, \
where nobody who could change it can write, tells the two apart: say it with --expect. The server must not be running on the folder, and nothing in \
the folder is changed.")]
    Verify(AuditVerify),
    /// Write the journal as JSON Lines: the canonical records, exactly the bytes that are hashed
    #[command(after_help = "Examples:
  elevon audit export --file journal.jsonl
  elevon audit export --from 1000 | gzip > journal-from-1000.jsonl.gz
  elevon audit export --data backup/data --file journal.jsonl

A file that is there is gone on with, after its last record; the journal has to hold that record, too. So the same command, run again and again, \
ships away what is new. Reasons and tickets are no part of records and are not exported: `elevon audit list` shows them until they are erased.")]
    Export(AuditExport),
}

#[derive(Debug, Args)]
pub(in crate::cli) struct AuditList {
    /// What this principal did, or what was done about it
    #[arg(long, value_parser = entity, value_name = "TYPE::\"ID\"")]
    pub(in crate::cli) principal: Option<Uid>,
    /// About this role
    #[arg(long, value_parser = role)]
    pub(in crate::cli) role: Option<RoleName>,
    /// About this activation
    #[arg(long, value_parser = activation, value_name = "ID")]
    pub(in crate::cli) activation: Option<ActivationId>,
    /// Of this kind, such as `activation_started`
    #[arg(long)]
    pub(in crate::cli) kind: Option<String>,
    /// Not before this (RFC 3339)
    #[arg(long, value_parser = instant, value_name = "TIME")]
    pub(in crate::cli) from: Option<Timestamp>,
    /// Before this (RFC 3339)
    #[arg(long, value_parser = instant, value_name = "TIME")]
    pub(in crate::cli) to: Option<Timestamp>,
    /// At most so many records
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(in crate::cli) limit: u32,
    /// Go on after a list that was cut, with the cursor it ended with
    #[arg(long)]
    pub(in crate::cli) cursor: Option<String>,
    /// The newest first; a cursor goes on with what is older
    #[arg(long)]
    pub(in crate::cli) newest_first: bool,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct AuditVerify {
    /// The data folder
    #[arg(long, value_name = "DIR", required_unless_present = "file", conflicts_with = "file")]
    pub(in crate::cli) data: Option<PathBuf>,
    /// A file that `elevon audit export` wrote; `-` for standard input
    #[arg(long, value_name = "FILE")]
    pub(in crate::cli) file: Option<PathBuf>,
    /// What was noted of it earlier, as `elevon audit tip` prints it
    #[arg(long, value_parser = noted, value_name = "SEQ:HASH")]
    pub(in crate::cli) expect: Option<Noted>,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct AuditExport {
    /// From this record on; from the first, or where the file ends, unless said
    #[arg(long, value_name = "SEQ", value_parser = clap::value_parser!(u64).range(1..))]
    pub(in crate::cli) from: Option<u64>,
    /// The file, which is gone on with if it is there; `-`, and nothing, mean standard output
    #[arg(long, value_name = "FILE")]
    pub(in crate::cli) file: Option<PathBuf>,
    /// Read a data folder that no server uses, and ask nobody
    #[arg(long, value_name = "DIR")]
    pub(in crate::cli) data: Option<PathBuf>,
}

fn noted(text: &str) -> Result<Noted, BadNote> {
    text.parse()
}
