//! A check in the form in which nearly all of them come, read without a tree of values and answered from prepared bytes.
//!
//! What is read here is exactly what [`data::question`](super::data::question) reads, and nothing is refused here: whatever is
//! not plain (escapes in a text, properties, a member that is not known, a mistake) is left to that, and so are the words for what is wrong.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::domain::{Timestamp, Uid};
use crate::engine::Checked;
use crate::policy::Ask;

/// Reads a question that has a subject, an action and a resource, each by name alone.
pub(super) fn question(bytes: &[u8]) -> Option<Ask> {
    let mut text = Text { rest: bytes };
    let (mut subject, mut action, mut resource) = (None, None, None);
    text.members(|text, name| {
        let taken = match name {
            "subject" => subject.replace(text.entity()?).is_some(),
            "resource" => resource.replace(text.entity()?).is_some(),
            "action" => action.replace(text.action()?).is_some(),
            _ => true,
        };
        (!taken).then_some(())
    })?;
    text.blanks();
    if !text.rest.is_empty() {
        return None;
    }
    let ((kind, id), (resource_kind, resource_id)) = (subject?, resource?);
    Some(Ask::new(Uid::new(kind, id).ok()?, action?, Uid::new(resource_kind, resource_id).ok()?))
}

/// JSON text, as far as it was not read yet. Signs are compared as bytes: a character of more than one is in order within a string alone.
struct Text<'a> {
    rest: &'a [u8],
}

impl<'a> Text<'a> {
    fn blanks(&mut self) {
        while let [b' ' | b'\t' | b'\n' | b'\r', rest @ ..] = self.rest {
            self.rest = rest;
        }
    }

    /// Takes a sign, if it is what comes next.
    fn has(&mut self, sign: u8) -> bool {
        self.blanks();
        match self.rest {
            [first, rest @ ..] if *first == sign => {
                self.rest = rest;
                true
            }
            _ => false,
        }
    }

    fn sign(&mut self, sign: u8) -> Option<()> {
        self.has(sign).then_some(())
    }

    /// A string without an escape in it.
    fn string(&mut self) -> Option<&'a str> {
        self.sign(b'"')?;
        let end = self.rest.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..=0x1f))?;
        let (text, after) = self.rest.split_at_checked(end)?;
        let [b'"', rest @ ..] = after else { return None };
        self.rest = rest;
        std::str::from_utf8(text).ok()
    }

    /// An object, member by member.
    fn members(&mut self, mut read: impl FnMut(&mut Self, &'a str) -> Option<()>) -> Option<()> {
        self.sign(b'{')?;
        loop {
            let name = self.string()?;
            self.sign(b':')?;
            read(self, name)?;
            if self.has(b'}') {
                return Some(());
            }
            self.sign(b',')?;
        }
    }

    fn entity(&mut self) -> Option<(&'a str, &'a str)> {
        let (mut kind, mut id) = (None, None);
        self.members(|text, name| {
            let taken = match name {
                "type" => kind.replace(text.string()?).is_some(),
                "id" => id.replace(text.string()?).is_some(),
                _ => true,
            };
            (!taken).then_some(())
        })?;
        Some((kind?, id?))
    }

    fn action(&mut self) -> Option<&'a str> {
        let mut action = None;
        self.members(|text, name| {
            let taken = name != "name" || action.replace(text.string()?).is_some();
            (!taken).then_some(())
        })?;
        action.filter(|name| !name.is_empty())
    }
}

/// Writes a verdict as AuthZEN wants it.
pub(super) fn verdict(out: &mut Vec<u8>, checked: &Checked) {
    let verdict = &checked.verdict;
    out.extend_from_slice(if verdict.allowed {
        b"{\"decision\":true,\"context\":{\"reason\":"
    } else {
        b"{\"decision\":false,\"context\":{\"reason\":"
    });
    text(out, verdict.reason.as_str());
    out.extend_from_slice(b",\"revision\":");
    text(out, verdict.revision.as_str());
    out.extend_from_slice(b",\"seq\":");
    number(out, checked.seq);
    if let Some(until) = verdict.valid_until {
        out.extend_from_slice(b",\"valid_until\":\"");
        instant(out, until);
        out.push(b'"');
    }
    out.extend_from_slice(b"}}");
}

/// A JSON string.
fn text(out: &mut Vec<u8>, text: &str) {
    if text.bytes().all(|byte| matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\') {
        out.push(b'"');
        out.extend_from_slice(text.as_bytes());
        out.push(b'"');
    } else {
        out.extend_from_slice(serde_json::Value::from(text).to_string().as_bytes());
    }
}

/// A number in decimal.
pub(super) fn number(out: &mut Vec<u8>, number: u64) {
    let (mut digits, mut left, mut from) = ([0_u8; 20], number, 20);
    for digit in digits.iter_mut().rev() {
        *digit = decimal(left);
        left /= 10;
        from -= 1;
        if left == 0 {
            break;
        }
    }
    out.extend_from_slice(digits.get(from..).unwrap_or_default());
}

fn decimal(number: u64) -> u8 {
    b'0' + u8::try_from(number % 10).unwrap_or(0)
}

fn two(number: u64) -> [u8; 2] {
    [decimal(number / 10), decimal(number)]
}

fn four(number: u64) -> [u8; 4] {
    [decimal(number / 1000), decimal(number / 100), decimal(number / 10), decimal(number)]
}

const DAY: u64 = 86_400;

/// Year, month and day of a day since 1970, in the Gregorian calendar (H. Hinnant, `civil_from_days`).
fn civil(days: u64) -> (u64, u64, u64) {
    let shifted = days + 719_468;
    let (era, of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (year_of_era + era * 400 + u64::from(month <= 2), month, day)
}

/// An instant as [`Timestamp`] shows itself.
fn instant(out: &mut Vec<u8>, at: Timestamp) {
    let Some(millis) = u64::try_from(at.millis()).ok().filter(|millis| millis / 1000 / DAY < 2_900_000) else {
        out.extend_from_slice(at.to_string().as_bytes());
        return;
    };
    let (seconds, rest) = (millis / 1000, millis % 1000);
    let (year, month, day) = civil(seconds / DAY);
    let of_day = seconds % DAY;
    let [_, millis @ ..] = four(rest);
    out.extend_from_slice(&four(year));
    for (sign, part) in [(b'-', month), (b'-', day), (b'T', of_day / 3600), (b':', of_day / 60 % 60), (b':', of_day % 60)] {
        out.push(sign);
        out.extend_from_slice(&two(part));
    }
    out.push(b'.');
    out.extend_from_slice(&millis);
    out.push(b'Z');
}

/// The time as the header `Date` has it (RFC 9110), made once for each second.
#[derive(Debug, Default)]
pub(super) struct Date {
    second: u64,
    text: Vec<u8>,
}

impl Date {
    /// The text for now.
    pub(super) fn now(&mut self) -> &[u8] {
        self.at(SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()))
    }

    fn at(&mut self, second: u64) -> &[u8] {
        if self.text.is_empty() || self.second != second {
            const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
            const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
            let name = |names: &[&'static str], at: u64| usize::try_from(at).ok().and_then(|at| names.get(at).copied()).unwrap_or_default();
            let ((year, month, day), of_day) = (civil(second / DAY), second % DAY);
            let (weekday, month) = (name(&DAYS, second / DAY % 7), name(&MONTHS, month - 1));
            let (hour, minute, last) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
            self.text = format!("{weekday}, {day:02} {month} {year:04} {hour:02}:{minute:02}:{last:02} GMT").into_bytes();
            self.second = second;
        }
        &self.text
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::data;
    use super::*;

    const GOOD: &str = r#"{"subject":{"type":"User","id":"alice"},"action":{"name":"read"},"resource":{"type":"Db","id":"orders"}}"#;

    /// What is read here is what the other reader reads; whether it was read here.
    fn agrees(text: &str) -> bool {
        let plain = question(text.as_bytes());
        if let Some(ask) = &plain {
            let other = data::question(text.as_bytes());
            assert_eq!(other.as_ref().ok(), Some(ask), "{text}");
        }
        plain.is_some()
    }

    #[test]
    fn the_plain_form_is_read_here_and_nothing_else() {
        let with = |from: &str, to: &str| GOOD.replace(from, to);
        let rows = [
            (GOOD.to_owned(), true),
            (with(":", " :\n\t\r "), true),
            (with("alice", "ålice"), true),
            (with(r#""type":"User","id":"alice""#, r#""id":"alice","type":"User""#), true),
            (format!(" {GOOD} \n"), true),
            (String::new(), false),
            (format!("{GOOD}x"), false),
            (format!("\u{feff}{GOOD}"), false),
            (with("alice", r"al\u0069ce"), false),
            (with("alice", "al\tice"), false),
            (with("alice", ""), false),
            (with("read", ""), false),
            (with("User", "Us er"), false),
            (with(r#""alice""#, "7"), false),
            (with(r#""alice""#, r#""alice","id":"bob""#), false),
            (with(r#""alice""#, r#""alice","properties":{}"#), false),
            (with(r#"{"type":"User","id":"alice"}"#, r#"["User","alice"]"#), false),
            (with(r#""action":{"name":"read"},"#, r#""action":{"name":"read"},"action":{"name":"read"},"#), false),
            (with(r#""action":{"name":"read"},"#, ""), false),
            (with(r#""orders"}"#, r#""orders"},"context":{}"#), false),
            (with(r#""orders"}"#, r#""orders"},"#), false),
            (with(r#""orders"}"#, r#""orders",}"#), false),
        ];
        for (text, plain) in rows {
            assert_eq!(agrees(&text), plain, "{text}");
        }
        for cut in 0..GOOD.len() {
            assert!(!agrees(&GOOD[..cut]), "{cut}");
        }
    }

    proptest! {
        #[test]
        fn both_readers_read_the_same(
            kind in "User|Acme::User|[ -~]{0,5}|\\PC{0,3}",
            id in "[ -~]{0,12}|\\PC{0,8}|[a-z\\\\\"\u{0}-\u{20}]{0,6}",
            order in Just([0_usize, 1, 2]).prop_shuffle(),
            blank in "[ \t\r\n\u{b}\u{a0}]{0,2}",
            broken in proptest::option::of((0_usize..140, any::<u8>())),
        ) {
            let mut members = [
                format!("\"subject\"{blank}:{{\"type\":\"{kind}\",\"id\":\"{id}\"}}"),
                format!("\"action\":{{{blank}\"name\":\"{id}\"}}"),
                format!("\"resource\":{blank}{{\"id\":\"{id}\",\"type\":\"{kind}\"}}"),
            ];
            members.sort_by_key(|member| order[member.len() % 3]);
            let mut bytes = format!("{{{}{blank}}}{blank}", members.join(",")).into_bytes();
            if let Some((at, byte)) = broken {
                let at = at % bytes.len();
                bytes[at] = byte;
            }
            if let Some(ask) = question(&bytes) {
                prop_assert_eq!(data::question(&bytes).ok(), Some(ask));
            }
        }

        #[test]
        fn instants_and_dates_are_written_as_everywhere_else(millis in -10_000_000_000_i64..270_000_000_000_000) {
            let at = Timestamp::from_millis(millis);
            let mut out = Vec::new();
            instant(&mut out, at);
            prop_assert_eq!(String::from_utf8(out).unwrap(), at.to_string());
            if let Ok(second) = u64::try_from(millis / 1000) && second < 250_000_000_000 {
                let expected = chrono::DateTime::from_timestamp_millis(millis).unwrap().format("%a, %d %b %Y %H:%M:%S GMT").to_string();
                let mut date = Date::default();
                prop_assert_eq!(std::str::from_utf8(date.at(second)).unwrap(), expected);
            }
        }

        #[test]
        fn numbers_are_decimal(value in any::<u64>(), small in 0_u64..2000) {
            for value in [value, small] {
                let mut out = Vec::new();
                number(&mut out, value);
                prop_assert_eq!(String::from_utf8(out).unwrap(), value.to_string());
            }
        }
    }
}
