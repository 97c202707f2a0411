//! What can be typed about the journal.

use std::path::PathBuf;

use clap::{ArgGroup, Args, Subcommand};

use super::read::{activation, entity, instant, role};
use crate::audit::{BadNote, Noted};
use crate::domain::id::{ActivationId, RoleName, Uid};
use crate::domain::time::Timestamp;

pub(super) const EXAMPLES: &str = r#"Examples:
  elevon audit list --newest-first --limit 20
  elevon audit tip
  elevon audit export --file journal.jsonl
  elevon audit verify --file journal.jsonl --expect '17:<hash>'

docs/audit.md describes the journal, what it proves, and how to verify it without Elevon."#;

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum Audit {
    /// List what happened: who, what, when and why
    #[command(after_help = r#"Examples:
  elevon audit list --principal 'User::"alice"' --from 2030-01-31T09:00:00Z
  elevon audit list --activation act_0198c0de-... --output json"#)]
    List(AuditList),
    /// Show the number, hash and time of the newest record, as SEQ:HASH and a time
    #[command(
        after_help = "Note it where nobody who runs the server can write. `elevon audit verify --expect` holds a journal against it later."
    )]
    Tip,
    /// Verify the hash chain of a data folder or of an exported file: exit code 0 if it holds, 1 if not
    #[command(after_help = "Examples:
  elevon audit verify --data data
  elevon audit verify --file journal.jsonl --expect '17:<hash>'

A journal whose end was cut off, or that was rewritten from some record on, is a valid chain. Only a record that was noted elsewhere before tells \
the difference: pass it with --expect. No server may be running on the data folder. Nothing in the folder is changed.")]
    Verify(AuditVerify),
    /// Export the journal as JSON Lines: one canonical record per line, byte for byte what is hashed
    #[command(after_help = "Examples:
  elevon audit export --file journal.jsonl
  elevon audit export --from 1000 > journal-from-1000.jsonl
  elevon audit export --data backup/data --file journal.jsonl

If the file exists, new records are appended to it, once its last record was found in the journal; so the same command can run again and again. \
Reasons and tickets are stored beside the records and are not exported.")]
    Export(AuditExport),
}

#[derive(Debug, Args)]
pub(in crate::cli) struct AuditList {
    /// Only what this principal did, or what was done about it
    #[arg(long, value_parser = entity, value_name = "TYPE::\"ID\"")]
    pub(in crate::cli) principal: Option<Uid>,
    /// Only records about this role
    #[arg(long, value_parser = role)]
    pub(in crate::cli) role: Option<RoleName>,
    /// Only records about this activation
    #[arg(long, value_parser = activation, value_name = "ID")]
    pub(in crate::cli) activation: Option<ActivationId>,
    /// Only records with an event of this kind, such as `activation_started`
    #[arg(long)]
    pub(in crate::cli) kind: Option<String>,
    /// Not before this time (RFC 3339)
    #[arg(long, value_parser = instant, value_name = "TIME")]
    pub(in crate::cli) from: Option<Timestamp>,
    /// Before this time (RFC 3339)
    #[arg(long, value_parser = instant, value_name = "TIME")]
    pub(in crate::cli) to: Option<Timestamp>,
    /// Number of records to show, at most
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(in crate::cli) limit: u32,
    /// Continue after a list that was cut, with the cursor that it ended with
    #[arg(long)]
    pub(in crate::cli) cursor: Option<String>,
    /// Newest records first; a cursor then continues with older ones
    #[arg(long)]
    pub(in crate::cli) newest_first: bool,
}

#[derive(Debug, Args)]
#[command(group(ArgGroup::new("journal").required(true)))]
pub(in crate::cli) struct AuditVerify {
    /// Data folder
    #[arg(long, value_name = "DIR", group = "journal")]
    pub(in crate::cli) data: Option<PathBuf>,
    /// File written by `elevon audit export`, or `-` for standard input
    #[arg(long, value_name = "FILE", group = "journal")]
    pub(in crate::cli) file: Option<PathBuf>,
    /// Record that was noted before, as printed by `elevon audit tip`
    #[arg(long, value_parser = noted, value_name = "SEQ:HASH")]
    pub(in crate::cli) expect: Option<Noted>,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct AuditExport {
    /// First record to export; by default the first one, or the one after the last in the file
    #[arg(long, value_name = "SEQ", value_parser = clap::value_parser!(u64).range(1..))]
    pub(in crate::cli) from: Option<u64>,
    /// File to write or to append to; by default, and with `-`, standard output
    #[arg(long, value_name = "FILE")]
    pub(in crate::cli) file: Option<PathBuf>,
    /// Read this data folder instead of asking a server
    #[arg(long, value_name = "DIR")]
    pub(in crate::cli) data: Option<PathBuf>,
}

fn noted(text: &str) -> Result<Noted, BadNote> {
    text.parse()
}
