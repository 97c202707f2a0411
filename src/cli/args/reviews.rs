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
    /// List the reviews that you may see, and those that wait for your decision
    List {
        /// Only with this status, such as `in_progress`
        #[arg(long)]
        status: Option<String>,
    },
    /// Show a review and its progress
    Show {
        /// Review
        id: String,
    },
    /// List the items of a review: all, or those that wait for your decision
    Items {
        /// Review
        id: String,
    },
    /// Decide on items
    Decide(ReviewDecide),
    /// Complete a review before its end date
    Complete {
        /// Review
        id: String,
        /// Reason
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
    },
    /// Apply the decisions of a completed review
    Apply {
        /// Review
        id: String,
        /// Do not ask for confirmation when much is removed
        #[arg(long)]
        yes: bool,
    },
    /// Export a review's report
    Report(ReviewReport),
    /// List the definitions: what is reviewed, and how often
    Definitions,
    /// Define a review: what is reviewed, by whom and how often
    Define(ReviewPlan),
    /// Change a definition, from its next review on
    Change {
        /// Definition
        id: String,
        #[command(flatten)]
        plan: ReviewPlan,
    },
    /// End a definition: no more reviews are opened
    End {
        /// Definition
        id: String,
        /// Reason
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
    },
    /// Open a review now
    Start {
        /// Definition
        id: String,
    },
}

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("what").required(true).args(["approve", "deny", "dont_know"]))]
pub(in crate::cli) struct ReviewDecide {
    /// Review
    pub(in crate::cli) id: String,
    /// Items, as `elevon review items` lists them
    #[arg(required = true, value_name = "ITEM")]
    pub(in crate::cli) items: Vec<String>,
    /// Keep them
    #[arg(long)]
    pub(in crate::cli) approve: bool,
    /// Remove them
    #[arg(long)]
    pub(in crate::cli) deny: bool,
    /// Leave them to somebody else
    #[arg(long)]
    pub(in crate::cli) dont_know: bool,
    /// Reason
    #[arg(long, value_name = "TEXT")]
    pub(in crate::cli) reason: String,
}

/// What a report is written as: for programs, for spreadsheets, or to be read and printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum ReportFormat {
    Json,
    Csv,
    Html,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct ReviewReport {
    /// Review
    pub(in crate::cli) id: String,
    /// Output format
    #[arg(long, value_enum, default_value_t = ReportFormat::Json, value_name = "FORMAT")]
    pub(in crate::cli) format: ReportFormat,
    /// File to write; by default it is printed
    #[arg(long, value_name = "FILE")]
    pub(in crate::cli) file: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Several stages, or a fallback for each, need --from: the file is the body of `POST /v1/reviews/definitions`, as in docs/api.md."
)]
#[command(group = ArgGroup::new("said").required(true).args(["name", "from"]))]
pub(in crate::cli) struct ReviewPlan {
    /// Name
    #[arg(long, requires = "first", requires = "who", value_name = "TEXT")]
    pub(in crate::cli) name: Option<String>,
    /// The whole definition, as a JSON file
    #[arg(long, value_name = "FILE", conflicts_with_all = ["role", "scope", "first", "who"])]
    pub(in crate::cli) from: Option<PathBuf>,
    /// Review grants of this role; by default of all roles. May be repeated
    #[arg(long, value_parser = role)]
    pub(in crate::cli) role: Vec<RoleName>,
    /// Review grants on this scope and below; by default all. May be repeated
    #[arg(long, value_parser = entity, value_name = "TYPE::\"ID\"")]
    pub(in crate::cli) scope: Vec<Uid>,
    /// Review `eligibilities`, `assignments` or `both`
    #[arg(long)]
    pub(in crate::cli) covers: Option<String>,
    /// Review only grants that were not used for this many days
    #[arg(long, value_name = "DAYS")]
    pub(in crate::cli) inactive: Option<u32>,
    /// Reviewer: a principal, or a group whose members decide. May be repeated
    #[arg(long, value_parser = entity, value_name = "TYPE::\"ID\"", group = "who")]
    pub(in crate::cli) reviewer: Vec<Uid>,
    /// Let holders review their own grants
    #[arg(long, group = "who", conflicts_with = "reviewer")]
    pub(in crate::cli) holders: bool,
    /// Reviewer of items that none of the reviewers may decide on. May be repeated
    #[arg(long, value_parser = entity, value_name = "TYPE::\"ID\"")]
    pub(in crate::cli) fallback: Vec<Uid>,
    /// Days that the review is open
    #[arg(long, default_value_t = 14)]
    pub(in crate::cli) days: u32,
    /// Recurrence: `once`, `weekly`, `monthly`, `quarterly`, `half_yearly` or `yearly`
    #[arg(long, default_value = "once")]
    pub(in crate::cli) every: String,
    /// Day of the first review, such as 2030-01-31
    #[arg(long, value_name = "DATE")]
    pub(in crate::cli) first: Option<String>,
    /// Time of day at which reviews open, such as 09:00
    #[arg(long, value_name = "TIME")]
    pub(in crate::cli) at: Option<String>,
    /// Time zone, such as Europe/Berlin; by default UTC
    #[arg(long, value_name = "ZONE")]
    pub(in crate::cli) time_zone: Option<String>,
    /// What happens to items that nobody decides on: `no_change`, `remove`, `approve` or `take_recommendation`
    #[arg(long, value_name = "RULE")]
    pub(in crate::cli) no_answer: Option<String>,
    /// Apply the decisions as soon as the review is complete
    #[arg(long)]
    pub(in crate::cli) auto_apply: bool,
}
