//! Commands that need no server: policy folders and data folders on this machine.

use std::path::Path;

use serde_json::{Value, json};

use super::args::{LogFormat, Policy, Rebuild, Serve};
use super::client::Failure;
use super::output::{Look, Output, looking, plain};
use super::{Done, Outcome};
use crate::app::{self, LogConfig, ServeConfig};
use crate::config::Settings;
use crate::policy::{Bundle, BundleError, TestOutcome};
use crate::store;

/// Serves until the process is told to stop.
pub(super) fn serve(asked: &Serve) -> Outcome {
    let mut settings = match &asked.config {
        Some(file) => Settings::load(file).map_err(|bad| Failure::NotStarted(format!("{bad}\n\n`{}` is not in order", file.display())))?,
        None => flags(asked).settings().map_err(|bad| Failure::NotStarted(bad.to_string()))?,
    };
    if let Some(format) = asked.log_format {
        settings.log.format = match format {
            LogFormat::Text => app::LogFormat::Text,
            LogFormat::Json => app::LogFormat::Json,
        };
    }
    if let Some(filter) = &asked.log {
        settings.log.filter.clone_from(filter);
    }
    settings.port_file.clone_from(&asked.port_file);
    app::run(settings).map_err(|error| Failure::NotStarted(error.to_string()))?;
    Ok(Done::Yes)
}

fn flags(asked: &Serve) -> ServeConfig {
    ServeConfig {
        policies: asked.policies.clone().unwrap_or_default(),
        data: asked.data.clone().unwrap_or_default(),
        listen: asked.listen,
        dev: asked.dev,
        log: LogConfig::default(),
        #[cfg(feature = "test-clock")]
        test_clock: asked.test_clock,
        #[cfg(not(feature = "test-clock"))]
        test_clock: false,
        port_file: None,
    }
}

/// Validates, tests or prints the schema of a policy folder.
pub(super) fn policy(out: &Output, what: &Policy) -> Outcome {
    match what {
        Policy::Validate { dir } => validate(out, dir),
        Policy::Test { dir } => test(out, dir),
        Policy::Schema { dir } => schema(out, dir),
    }
}

pub(super) fn load(out: &Output, dir: &Path) -> Result<Result<Bundle, Done>, Failure> {
    Bundle::load(dir).map(Ok).or_else(|error| refused(out, dir, &error).map(Err))
}

fn refused(out: &Output, dir: &Path, error: &BundleError) -> Result<Done, Failure> {
    if out.json {
        out.value(&json!({"valid": false, "problems": error.problems(), "more": error.more()}))?;
    } else {
        for line in error.to_string().lines() {
            out.remark(line)?;
        }
        out.complaint(&format!("`{}` is not in order; a server would go on with the last good bundle", dir.display()))?;
    }
    Ok(Done::No)
}

fn validate(out: &Output, dir: &Path) -> Outcome {
    let bundle = match load(out, dir)? {
        Ok(bundle) => bundle,
        Err(done) => return Ok(done),
    };
    if out.json {
        let files = serde_json::to_value(bundle.files()).unwrap_or_default();
        out.value(&json!({
            "valid": true,
            "revision": bundle.revision(),
            "policies": bundle.policy_count(),
            "roles": bundle.definitions().roles.len(),
            "warnings": bundle.warnings(),
            "files": files,
        }))?;
        return Ok(Done::Yes);
    }
    for warning in bundle.warnings() {
        out.remark(&format!("warning: {warning}"))?;
    }
    out.cells(&[looking(Look::Good, "valid"), plain(format!("  {}", bundle.revision()))])?;
    out.fields(&[
        ("policies", plain(bundle.policy_count().to_string())),
        ("roles", plain(bundle.definitions().roles.len().to_string())),
        ("entities", plain(bundle.definitions().entities.len().to_string())),
        ("files", plain(bundle.files().len().to_string())),
    ])?;
    Ok(Done::Yes)
}

fn test(out: &Output, dir: &Path) -> Outcome {
    let bundle = match load(out, dir)? {
        Ok(bundle) => bundle,
        Err(done) => return Ok(done),
    };
    let outcomes = bundle.run_tests();
    let passed = outcomes.iter().filter(|outcome| outcome.result.is_ok()).count();
    if out.json {
        let shown: Vec<Value> = outcomes.iter().map(test_value).collect();
        out.value(&json!({"passed": passed, "failed": outcomes.len() - passed, "tests": shown}))?;
    } else {
        for outcome in &outcomes {
            let verdict = if outcome.result.is_ok() { looking(Look::Good, "ok    ") } else { looking(Look::Bad, "failed") };
            let guard = if outcome.guard { "  (guard)" } else { "" };
            out.cells(&[verdict, plain(format!("  {}", outcome.name)), looking(Look::Quiet, format!("  {}{guard}", place(outcome)))])?;
            if let Err(why) = &outcome.result {
                why.lines().try_for_each(|line| out.line(&format!("        {line}")))?;
            }
        }
        out.line(&format!("{passed} of {} tests passed", outcomes.len()))?;
    }
    Ok(if passed == outcomes.len() { Done::Yes } else { Done::No })
}

fn place(outcome: &TestOutcome) -> String {
    format!("{}:{}", outcome.file, outcome.line)
}

fn test_value(outcome: &TestOutcome) -> Value {
    json!({
        "name": outcome.name,
        "file": outcome.file,
        "line": outcome.line,
        "guard": outcome.guard,
        "passed": outcome.result.is_ok(),
        "why": outcome.result.as_ref().err(),
    })
}

fn schema(out: &Output, dir: &Path) -> Outcome {
    let bundle = match load(out, dir)? {
        Ok(bundle) => bundle,
        Err(done) => return Ok(done),
    };
    let text = bundle.schema_text();
    if out.json {
        out.value(&json!({"schema": text}))?
    } else {
        out.block(&text)?
    }
    Ok(Done::Yes)
}

/// Replays the journal from empty beside what is stored, and says whether the two are the same.
pub(super) fn rebuild(out: &Output, what: &Rebuild) -> Outcome {
    let report = store::rebuild(&what.data).map_err(|error| Failure::Local(error.to_string()))?;
    if out.json {
        let families: Vec<Value> =
            report.families.iter().map(|(name, rows, same)| json!({"family": name, "rows": rows, "same": same})).collect();
        let head = json!({"seq": report.head.seq, "hash": report.head.hash, "at": report.head.at, "revision": report.head.revision});
        out.value(&json!({"equal": report.equal, "records": report.records, "differences": report.differences, "head": head, "families": families}))?;
    } else {
        let row = |(name, rows, same): &(&'static str, u64, bool)| {
            let verdict = if *same { looking(Look::Good, "the same") } else { looking(Look::Bad, "differs") };
            vec![plain(*name), plain(rows.to_string()), verdict]
        };
        out.table(&["family", "rows", ""], report.families.iter().map(row).collect(), "Nothing is stored.")?;
        report.differences.iter().try_for_each(|difference| out.line(difference))?;
        let verdict = if report.equal {
            looking(Look::Good, "what is stored is exactly what the journal says")
        } else {
            looking(Look::Bad, "what is stored is not what the journal says")
        };
        out.cells(&[plain(format!("{} records, head {}: ", report.records, report.head.seq)), verdict])?;
    }
    Ok(if report.equal { Done::Yes } else { Done::No })
}
