//! The one place that writes for people and programs: tables, fields and JSON on standard output, complaints on standard error.
//!
//! Whatever came from a server or a file is written with its control characters spelt out, so that no name or reason can move
//! the cursor, recolour the screen or hide itself.

use std::io::{self, IsTerminal as _, Write as _};

use anstyle::{AnsiColor, Style};
use comfy_table::{Attribute, Color, ContentArrangement, Table, presets};
use serde_json::Value;

/// How wide a terminal has to be for a table to be fitted into it.
const LEAST_WIDTH: u16 = 40;

/// How a word is to look where there is colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Look {
    /// As everything else.
    Plain,
    /// Permitted, active.
    Good,
    /// Refused, ended.
    Bad,
    /// Waits for somebody.
    Waiting,
    /// Less important than what stands beside it.
    Quiet,
}

/// A text and its look.
#[derive(Debug, Clone)]
pub(super) struct Cell {
    text: String,
    look: Look,
}

impl Cell {
    /// The text alone.
    pub(super) fn text(&self) -> &str {
        &self.text
    }
}

/// A text in its plain look.
pub(super) fn plain(text: impl Into<String>) -> Cell {
    Cell { text: text.into(), look: Look::Plain }
}

/// A text in some look.
pub(super) fn looking(look: Look, text: impl Into<String>) -> Cell {
    Cell { text: text.into(), look }
}

/// Where commands write.
#[derive(Debug)]
pub(super) struct Output {
    /// Whether programs read it.
    pub(super) json: bool,
    colour: bool,
}

impl Output {
    /// Output for people or for programs. Colour only on a terminal that wants it (`NO_COLOR`, `CLICOLOR_FORCE`).
    pub(super) fn new(json: bool) -> Self {
        let colour = anstream::AutoStream::choice(&io::stdout()) != anstream::ColorChoice::Never;
        Self { json, colour }
    }

    /// One line.
    pub(super) fn line(&self, text: &str) -> io::Result<()> {
        writeln!(anstream::stdout(), "{}", clean(text))
    }

    /// One line of several looks.
    pub(super) fn cells(&self, cells: &[Cell]) -> io::Result<()> {
        let mut out = anstream::stdout();
        for cell in cells {
            let style = style(cell.look);
            write!(out, "{style}{}{style:#}", clean(&cell.text))?;
        }
        writeln!(out)
    }

    /// Several lines as they stand, such as a schema.
    pub(super) fn block(&self, text: &str) -> io::Result<()> {
        let mut out = anstream::stdout();
        text.lines().try_for_each(|line| writeln!(out, "{}", clean(line)))
    }

    /// Bytes as they stand, for another program.
    pub(super) fn raw(&self, bytes: &[u8]) -> io::Result<()> {
        io::stdout().write_all(bytes)
    }

    /// A value for programs, one document.
    pub(super) fn value(&self, value: &Value) -> io::Result<()> {
        let text = serde_json::to_string_pretty(value).map_err(io::Error::other)?;
        writeln!(io::stdout(), "{text}")
    }

    /// A value for programs on a line of its own, one of many.
    pub(super) fn value_line(&self, value: &Value) -> io::Result<()> {
        let text = serde_json::to_string(value).map_err(io::Error::other)?;
        let mut out = io::stdout();
        writeln!(out, "{text}")?;
        out.flush()
    }

    /// Whether a person looks at it right now.
    pub(super) fn is_terminal(&self) -> bool {
        !self.json && io::stdout().is_terminal()
    }

    /// An empty screen, where there is one.
    pub(super) fn clear(&self) -> io::Result<()> {
        if self.is_terminal() { self.raw(b"\x1b[H\x1b[2J\x1b[3J") } else { Ok(()) }
    }

    /// Names and what they are, one a line.
    pub(super) fn fields(&self, rows: &[(&str, Cell)]) -> io::Result<()> {
        let width = rows.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
        rows.iter().try_for_each(|(name, cell)| {
            let quiet = looking(Look::Quiet, format!("{name:width$}  "));
            self.cells(&[plain("  "), quiet, cell.clone()])
        })
    }

    /// A table, or a sentence where it would be empty.
    pub(super) fn table(&self, header: &[&str], rows: Vec<Vec<Cell>>, empty: &str) -> io::Result<()> {
        if rows.is_empty() {
            return self.cells(&[looking(Look::Quiet, empty)]);
        }
        let mut table = Table::new();
        table.load_style(presets::NOTHING);
        // A terminal that does not know how wide it is would get a column of letters.
        if io::stdout().is_terminal() && table.width().is_some_and(|width| width >= LEAST_WIDTH) {
            table.set_content_arrangement(ContentArrangement::Dynamic);
        }
        if self.colour {
            table.enforce_styling();
        }
        table.set_header(header.iter().map(|name| self.shown(&looking(Look::Quiet, *name))));
        for row in rows {
            table.add_row(row.iter().map(|cell| self.shown(cell)));
        }
        let mut out = io::stdout();
        table.lines().try_for_each(|line| writeln!(out, "{}", line.trim_end()))
    }

    fn shown(&self, cell: &Cell) -> comfy_table::Cell {
        let shown = comfy_table::Cell::new_owned(clean(&cell.text));
        match cell.look {
            _ if !self.colour => shown,
            Look::Plain => shown,
            Look::Good => shown.fg(Color::Green),
            Look::Bad => shown.fg(Color::Red),
            Look::Waiting => shown.fg(Color::Yellow),
            Look::Quiet => shown.add_attribute(Attribute::Dim),
        }
    }

    /// A remark beside the result, for people only.
    pub(super) fn remark(&self, text: &str) -> io::Result<()> {
        writeln!(anstream::stderr(), "{}", clean(text))
    }

    /// What went wrong, on standard error; each line of it on its own.
    pub(super) fn complaint(&self, text: &str) -> io::Result<()> {
        let red = style(Look::Bad);
        let mut out = anstream::stderr();
        let mut lines = text.lines();
        writeln!(out, "{red}error:{red:#} {}", clean(lines.next().unwrap_or_default()))?;
        lines.try_for_each(|line| writeln!(out, "{}", clean(line)))
    }

    /// What went wrong, for programs, on standard error.
    pub(super) fn complaint_value(&self, value: &Value) -> io::Result<()> {
        let text = serde_json::to_string(value).map_err(io::Error::other)?;
        writeln!(io::stderr(), "{text}")
    }
}

fn style(look: Look) -> Style {
    match look {
        Look::Plain => Style::new(),
        Look::Good => AnsiColor::Green.on_default(),
        Look::Bad => AnsiColor::Red.on_default(),
        Look::Waiting => AnsiColor::Yellow.on_default(),
        Look::Quiet => Style::new().dimmed(),
    }
}

/// Whether a character could change what the rest of the screen looks like: controls, and marks that turn the reading direction or have no width.
fn meddles(letter: char) -> bool {
    let marks =
        ['\u{200b}'..='\u{200f}', '\u{2028}'..='\u{202e}', '\u{2060}'..='\u{206f}', '\u{feff}'..='\u{feff}', '\u{e0000}'..='\u{e007f}'];
    letter.is_control() || marks.iter().any(|marks| marks.contains(&letter))
}

/// A text with every character that meddles spelt out.
pub(super) fn clean(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    for letter in text.chars() {
        if meddles(letter) {
            clean.extend(letter.escape_default());
        } else {
            clean.push(letter);
        }
    }
    clean
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_was_sent_moves_the_terminal() {
        let rows = [
            ("plain text, Zoë, 日本", "plain text, Zoë, 日本"),
            ("\u{1b}[2Jgone", "\\u{1b}[2Jgone"),
            ("two\nlines\ttab\r", "two\\nlines\\ttab\\r"),
            ("\u{9b}31m", "\\u{9b}31m"),
            ("a\u{202e}b\u{2066}c\u{200b}d", "a\\u{202e}b\\u{2066}c\\u{200b}d"),
        ];
        for (text, expected) in rows {
            assert_eq!(clean(text), expected);
        }
    }
}
