//! What is wrong with a bundle, shown the way a compiler shows it: file, line, column, the line itself, a caret, and what to do.

use std::fmt::{self, Write as _};
use std::ops::Range;

use miette::Diagnostic;
use serde::Serialize;

/// Most problems that are reported at once; the rest is counted.
pub const MAX_PROBLEMS: usize = 100;

/// Longest source line that is shown, in characters; of a longer one, the part around the column.
const SHOWN_CHARACTERS: usize = 160;

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// The file, by its path in the bundle; nothing, where it is the folder itself.
    pub file: Option<String>,
    /// The line, from 1.
    pub line: Option<u32>,
    /// The column, from 1, in characters.
    pub column: Option<u32>,
    /// The line itself, or the part of it around the column.
    pub source_line: Option<String>,
    /// The characters to underline: how many stand before, and how many there are.
    #[serde(skip)]
    pub underline: Option<(usize, usize)>,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
}

impl Problem {
    /// A problem of the bundle as a whole.
    #[must_use]
    pub fn general(message: impl Into<String>) -> Self {
        Self { file: None, line: None, column: None, source_line: None, underline: None, message: message.into(), help: None }
    }

    /// A problem of a file as a whole.
    #[must_use]
    pub fn in_file(file: &str, message: impl Into<String>) -> Self {
        Self { file: Some(file.to_owned()), ..Self::general(message) }
    }

    /// A problem at a range of bytes of a file's text.
    #[must_use]
    pub fn at(file: &str, text: &str, span: Range<usize>, message: impl Into<String>) -> Self {
        let (start, end) = (floor_boundary(text, span.start), floor_boundary(text, span.end));
        let (before, rest) = text.split_at(start);
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        let line_end = rest.find('\n').map_or(text.len(), |at| start + at);
        let line = text.get(line_start..line_end).unwrap_or_default().trim_end_matches('\r');
        let column = text.get(line_start..start).unwrap_or_default().chars().count();
        let marked = text.get(start..end.min(line_end)).unwrap_or_default().chars().count().max(1);
        let skipped = column.saturating_sub(SHOWN_CHARACTERS / 2).min(line.chars().count().saturating_sub(SHOWN_CHARACTERS));
        let shown: String = line.chars().skip(skipped).take(SHOWN_CHARACTERS).collect();
        Self {
            file: Some(file.to_owned()),
            line: Some(number(before.matches('\n').count())),
            column: Some(number(column)),
            source_line: Some(shown.replace('\t', " ")),
            underline: Some((column - skipped, marked)),
            message: message.into(),
            help: None,
        }
    }

    /// The same, with what to do about it.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

fn number(from_zero: usize) -> u32 {
    u32::try_from(from_zero).unwrap_or(u32::MAX).saturating_add(1)
}

fn floor_boundary(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

impl fmt::Display for Problem {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "error: {}", self.message)?;
        if let Some(file) = &self.file {
            write!(out, "\n  --> {file}")?;
            if let (Some(line), Some(column)) = (self.line, self.column) {
                write!(out, ":{line}:{column}")?;
            }
        }
        if let (Some(line), Some(source), Some((before, marked))) = (self.line, &self.source_line, self.underline) {
            let gutter = " ".repeat(line.to_string().len());
            let marked = marked.min(source.chars().count().saturating_sub(before)).max(1);
            write!(out, "\n{gutter} |\n{line} | {source}\n{gutter} | {}{}", " ".repeat(before), "^".repeat(marked))?;
        }
        if let Some(help) = &self.help {
            write!(out, "\n  = help: {help}")?;
        }
        Ok(())
    }
}

/// Why a folder is not a bundle: everything that was found wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BundleError {
    problems: Vec<Problem>,
    more: usize,
}

impl BundleError {
    /// What is wrong, in the order of the files.
    #[must_use]
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// How many problems there are beyond those listed.
    #[must_use]
    pub fn more(&self) -> usize {
        self.more
    }

    /// One line that says what is wrong, for a log or a status.
    #[must_use]
    pub fn summary(&self) -> String {
        let Some(first) = self.problems.first() else { return "the bundle is not valid".to_owned() };
        let mut text = String::new();
        if let Some(file) = &first.file {
            text.push_str(file);
            if let (Some(line), Some(column)) = (first.line, first.column) {
                // writing to a String cannot fail
                let _ = write!(text, ":{line}:{column}");
            }
            text.push_str(": ");
        }
        text.push_str(first.message.lines().next().unwrap_or_default());
        match self.problems.len() + self.more - 1 {
            0 => {}
            1 => text.push_str(" (and 1 more problem)"),
            more => {
                let _ = write!(text, " (and {more} more problems)");
            }
        }
        text
    }
}

impl From<Problem> for BundleError {
    fn from(problem: Problem) -> Self {
        Self { problems: vec![problem], more: 0 }
    }
}

impl fmt::Display for BundleError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (nth, problem) in self.problems.iter().enumerate() {
            if nth > 0 {
                out.write_str("\n\n")?;
            }
            fmt::Display::fmt(problem, out)?;
        }
        if self.more > 0 {
            write!(out, "\n\nand {} more", self.more)?;
        }
        Ok(())
    }
}

impl std::error::Error for BundleError {}

/// Collects problems, so that one run shows all of them.
#[derive(Debug, Default)]
pub(crate) struct Problems {
    problems: Vec<Problem>,
    more: usize,
}

impl Problems {
    /// Takes one.
    pub(crate) fn push(&mut self, problem: Problem) {
        if self.problems.contains(&problem) {
            return;
        }
        if self.problems.len() < MAX_PROBLEMS {
            self.problems.push(problem);
        } else {
            self.more += 1;
        }
    }

    /// Takes those of another collection.
    pub(super) fn absorb(&mut self, other: Self) {
        other.problems.into_iter().for_each(|problem| self.push(problem));
        self.more += other.more;
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.problems.len() + self.more
    }

    /// Whether there is none.
    pub(super) fn is_empty(&self) -> bool {
        self.problems.is_empty()
    }

    /// Nothing, or everything that was found.
    pub(crate) fn into_result(mut self) -> Result<(), BundleError> {
        self.problems.sort_by(|one, other| (&one.file, one.line, one.column).cmp(&(&other.file, other.line, other.column)));
        if self.problems.is_empty() { Ok(()) } else { Err(BundleError { problems: self.problems, more: self.more }) }
    }

    /// Takes what Cedar says of a file's text. Cedar gives byte offsets and no file name.
    pub(super) fn push_cedar(&mut self, file: &str, text: &str, diagnostic: &dyn Diagnostic) {
        let mut message = diagnostic.to_string();
        let label = diagnostic.labels().into_iter().flatten().next();
        if let Some(said) = label.as_ref().and_then(|label| label.label()).filter(|said| !message.contains(said)) {
            message.push_str(": ");
            message.push_str(said);
        }
        let mut problem = match &label {
            Some(label) => Problem::at(file, text, label.offset()..label.offset() + label.len(), message),
            None => Problem::in_file(file, message),
        };
        problem.help = diagnostic.help().map(|help| help.to_string());
        self.push(problem);
        for related in diagnostic.related().into_iter().flatten() {
            self.push_cedar(file, text, related);
        }
    }
}

/// The most similar of the known words, where one is similar enough to have been meant.
pub(crate) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let most = word.chars().count() / 3 + 1;
    let close = known.into_iter().map(|candidate| (distance(&word.to_lowercase(), &candidate.to_lowercase()), candidate));
    close.filter(|(distance, _)| *distance <= most).min().map(|(_, candidate)| candidate)
}

/// How many letters have to be put in, taken out or replaced to get from one to the other (Levenshtein).
fn distance(one: &str, other: &str) -> usize {
    let mut row: Vec<usize> = (0..=other.chars().count()).collect();
    for (i, letter) in one.chars().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        if let Some(first) = row.first_mut() {
            *first = left;
        }
        for (cell, against) in row.iter_mut().skip(1).zip(other.chars()) {
            let replaced = diagonal + usize::from(letter != against);
            diagonal = *cell;
            left = replaced.min(left + 1).min(diagonal + 1);
            *cell = left;
        }
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_shows_its_line() {
        let text = "permit(principal);\nförbid(x);\n";
        let at = text.find('x').unwrap();
        let problem = Problem::at("a.cedar", text, at..at + 1, "no such thing").help("write it out");
        let shown = "error: no such thing\n  --> a.cedar:2:8\n  |\n2 | förbid(x);\n  |        ^\n  = help: write it out";
        assert_eq!(problem.to_string(), shown);
    }

    #[test]
    fn a_place_past_the_end_and_a_long_line_are_shown_too() {
        assert_eq!(Problem::at("a", "one", 99..100, "m").column, Some(4));
        let long = format!("{}!{}", "a".repeat(500), "b".repeat(500));
        let problem = Problem::at("a", &long, 500..501, "m");
        assert_eq!(problem.column, Some(501));
        let (before, _) = problem.underline.unwrap();
        assert_eq!(problem.source_line.unwrap().chars().nth(before), Some('!'));
    }

    #[test]
    fn the_nearest_word_is_one_that_could_have_been_meant() {
        let known = ["max_duration", "default_duration", "require"];
        assert_eq!(nearest("max_duraton", known), Some("max_duration"));
        assert_eq!(nearest("requires", known), Some("require"));
        assert_eq!(nearest("colour", known), None);
    }
}
