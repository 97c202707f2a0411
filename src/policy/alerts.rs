//! `alerts.toml`: which alerts are on, how much each matters, and the numbers of its rule. The file may be left out, and so may everything in it.

use super::problem::{Problems, nearest};
use super::settings_file::{At, Reader, Section};
use crate::domain::alert::{AlertKind, AlertRule, AlertRules, Severity, Threshold, Unit};

/// The file.
pub(super) const FILE: &str = "alerts.toml";

/// Keys that every kind has.
const COMMON: [&str; 2] = ["enabled", "severity"];

/// Reads the file.
pub(super) fn read(file: &str, text: &str, problems: &mut Problems) -> AlertRules {
    let reader = Reader::new(file, text);
    let table = reader.parse();
    let rules = read_root(&reader.root(&table));
    problems.absorb(reader.into_problems());
    rules
}

fn read_root(root: &Section<'_>) -> AlertRules {
    root.only(&AlertKind::ALL.map(AlertKind::as_str), &[]);
    let mut rules = AlertRules::default();
    for kind in AlertKind::ALL {
        if let Some(section) = root.section(kind.as_str()) {
            rules.set(kind, read_rule(kind, &section));
        }
    }
    rules
}

fn read_rule(kind: AlertKind, section: &Section<'_>) -> AlertRule {
    let known: Vec<&str> = COMMON.into_iter().chain(kind.thresholds().iter().map(|threshold| threshold.limit.as_str())).collect();
    section.only(&known, &[]);
    let mut rule = AlertRule::standard(kind);
    rule.enabled = section.bool("enabled").unwrap_or(true);
    if let Some(word) = section.string("severity") {
        rule.severity = severity(section, &word).unwrap_or(rule.severity);
    }
    for threshold in kind.thresholds() {
        if let Some(value) = value(section, threshold) {
            rule.limits.insert(threshold.limit, value);
        }
    }
    rule
}

fn severity(section: &Section<'_>, word: &At<&str>) -> Option<Severity> {
    let found = Severity::ALL.into_iter().find(|severity| severity.as_str() == word.value);
    if found.is_none() {
        let known = Severity::ALL.map(Severity::as_str);
        let help = match nearest(word.value, known) {
            Some(nearest) => format!("did you mean `{nearest}`?"),
            None => format!("known here: {}", known.join(", ")),
        };
        section.reader.report(word.span.clone(), format!("unknown severity `{}`", word.value), Some(help));
    }
    found
}

/// A number of a rule, within its bounds.
fn value(section: &Section<'_>, threshold: &Threshold) -> Option<u64> {
    let key = threshold.limit.as_str();
    let found = match threshold.unit {
        Unit::Flag => return section.bool(key).map(u64::from),
        Unit::Percent => u64::from(section.percent(key)?),
        Unit::Time => section.duration(key)?.secs(),
        Unit::Count | Unit::Days | Unit::Hours => u64::from(section.number(key)?.value),
    };
    let (least, most) = (threshold.least, threshold.most);
    if (least..=most).contains(&found) {
        return Some(found);
    }
    let shown = |number: u64| match threshold.unit {
        Unit::Time => crate::domain::Duration::from_secs(number).to_string(),
        Unit::Count | Unit::Days | Unit::Hours | Unit::Percent | Unit::Flag => number.to_string(),
    };
    let message = format!("`{key}` is {}, and has to be from {} to {}", shown(found), shown(least), shown(most));
    section.reader.report(section.span_of(key), message, None);
    None
}
