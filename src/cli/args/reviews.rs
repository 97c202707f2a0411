//! What can be typed about access reviews.

use std::path::PathBuf;

use clap::{ArgGroup, Args, Subcommand, ValueEnum};

use super::read::{entity, role};
use crate::domain::id::{RoleName, Uid};

pub(super) const EXAMPLES: &str = r#"Examples:
  elevon review define --name "Who administers databases" --role db-admin --reviewer 'Group::"dba-leads"' --days 14 \
      --every monthly --first 2030-01-31 --at 09:00 --time-zone Europe/Berlin --no-answer take_recommendation
  elevon review list
  elevon review items rev_0198c0de-..._1
  elevon review decide rev_0198c0de-..._1 elg_0198c0de-... --deny --reason "works in another team by now"
  elevon review report rev_0198c0de-..._1 --format html --file review.html"#;

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum Reviews {
    /// Reviews that you may see, and those in which something waits for your decision
    List {
        /// Standing there only, such as `in_progress`
        #[arg(long)]
        status: Option<String>,
    },
    /// One review, and how far it is
    Show {
        /// Which
        id: String,
    },
    /// Its items: all, or those that wait for your decision
    Items {
        /// Which
        id: String,
    },
    /// Decide on items
    Decide(ReviewDecide),
    /// End the asking before its time
    Complete {
        /// Which
        id: String,
        /// Why
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
    },
    /// Carry out what was decided
    Apply {
        /// Which
        id: String,
        /// Do not ask once more where much is taken away
        #[arg(long)]
        yes: bool,
    },
    /// Keep what became of a review
    Report(ReviewReport),
    /// What is reviewed, by whom and how often
    Definitions,
    /// Say what is to be reviewed
    Define(ReviewPlan),
    /// Say it anew, from the next review on
    Change {
        /// Which definition
        id: String,
        /// As it is to be, whole
        #[command(flatten)]
        plan: ReviewPlan,
    },
    /// Open no more reviews of a definition
    End {
        /// Which definition
        id: String,
        /// Why
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
    },
    /// Open a review of a definition now
    Start {
        /// Which definition
        id: String,
    },
}

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("what").required(true).args(["approve", "deny", "dont_know"]))]
pub(in crate::cli) struct ReviewDecide {
    /// Which review
    pub(in crate::cli) id: String,
    /// Which items, as `elevon review items` lists them
    #[arg(required = true, value_name = "ITEM")]
    pub(in crate::cli) items: Vec<String>,
    /// They stay
    #[arg(long)]
    pub(in crate::cli) approve: bool,
    /// They go
    #[arg(long)]
    pub(in crate::cli) deny: bool,
    /// Somebody else has to know
    #[arg(long)]
    pub(in crate::cli) dont_know: bool,
    /// Why
    #[arg(long, value_name = "TEXT")]
    pub(in crate::cli) reason: String,
}

/// What a report is written as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum ReportFormat {
    /// For programs.
    Json,
    /// For spreadsheets.
    Csv,
    /// To be read and printed.
    Html,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct ReviewReport {
    /// Which review
    pub(in crate::cli) id: String,
    /// As what
    #[arg(long, value_enum, default_value_t = ReportFormat::Json, value_name = "FORMAT")]
    pub(in crate::cli) format: ReportFormat,
    /// Into this file; printed, if nothing is said
    #[arg(long, value_name = "FILE")]
    pub(in crate::cli) file: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Several stages, or a fallback for each, are written into a file: the body of `POST /v1/reviews/definitions`, as in docs/api.md."
)]
#[command(group = ArgGroup::new("said").required(true).args(["name", "from"]))]
pub(in crate::cli) struct ReviewPlan {
    /// What people call it
    #[arg(long, requires = "first", requires = "who", value_name = "TEXT")]
    pub(in crate::cli) name: Option<String>,
    /// All of it, as a JSON file
    #[arg(long, value_name = "FILE", conflicts_with_all = ["role", "scope", "first", "who"])]
    pub(in crate::cli) from: Option<PathBuf>,
    /// Grants of this role; of all, if nothing is said
    #[arg(long, value_parser = role)]
    pub(in crate::cli) role: Vec<RoleName>,
    /// Grants on this scope and below; all, if nothing is said
    #[arg(long, value_parser = entity, value_name = "TYPE::\"ID\"")]
    pub(in crate::cli) scope: Vec<Uid>,
    /// Which grants: `eligibilities`, `assignments` or `both`
    #[arg(long)]
    pub(in crate::cli) covers: Option<String>,
    /// Only what was not used for so many days
    #[arg(long, value_name = "DAYS")]
    pub(in crate::cli) inactive: Option<u32>,
    /// Who decides: a principal, or a group whose members do
    #[arg(long, value_parser = entity, value_name = "TYPE::\"ID\"", group = "who")]
    pub(in crate::cli) reviewer: Vec<Uid>,
    /// Holders decide themselves
    #[arg(long, group = "who", conflicts_with = "reviewer")]
    pub(in crate::cli) holders: bool,
    /// Who decides on what nobody of those could
    #[arg(long, value_parser = entity, value_name = "TYPE::\"ID\"")]
    pub(in crate::cli) fallback: Vec<Uid>,
    /// For how many days they are asked
    #[arg(long, default_value_t = 14)]
    pub(in crate::cli) days: u32,
    /// How often: `once`, `weekly`, `monthly`, `quarterly`, `half_yearly` or `yearly`
    #[arg(long, default_value = "once")]
    pub(in crate::cli) every: String,
    /// The first day, such as 2030-01-31
    #[arg(long, value_name = "DATE")]
    pub(in crate::cli) first: Option<String>,
    /// At which time of the day
    #[arg(long, value_name = "TIME")]
    pub(in crate::cli) at: Option<String>,
    /// By the clocks of which zone, such as Europe/Berlin; UTC, if nothing is said
    #[arg(long, value_name = "ZONE")]
    pub(in crate::cli) time_zone: Option<String>,
    /// What becomes of an item on which nobody decides: `no_change`, `remove`, `approve` or `take_recommendation`
    #[arg(long, value_name = "RULE")]
    pub(in crate::cli) no_answer: Option<String>,
    /// Carry it out as soon as it is complete
    #[arg(long)]
    pub(in crate::cli) auto_apply: bool,
}
