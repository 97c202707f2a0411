//! Lists: every page of one is read before anything is said of it. A page may hold nothing and still not be the last, so the first page
//! alone cannot say that there is nothing.

use serde_json::{Value, json};

use super::client::{Client, Failure};
use super::output::{Cell, Output};
use super::reply::{list, now, text};
use crate::domain::time::Timestamp;

/// Items that are asked for at once. For each the server may look at ten of which the caller may see none, and it answers within a bounded
/// time: half of the most that a page may hold leaves it room.
const PAGE: &str = "500";
/// Most items of a list that are read.
const MAX_ITEMS: usize = 10_000;
/// Most pages that are read, where most of them hold nothing.
const MAX_PAGES: usize = 200;

/// A list, and how it is shown.
#[derive(Debug)]
pub(super) struct Listing<'a> {
    /// Where it stands.
    pub(super) path: &'a str,
    /// Which of it.
    pub(super) query: Vec<(&'static str, String)>,
    /// The names of the columns.
    pub(super) header: &'a [&'a str],
    /// What is said where there is nothing.
    pub(super) empty: &'a str,
    /// How to see the rest of a list that is too long: a whole sentence.
    pub(super) rest: &'a str,
}

impl Listing<'_> {
    /// Prints the list, and says so where it is too long to be read to its end. What is answered is what a person was shown: nothing,
    /// where a program reads.
    pub(super) fn show(&self, client: &Client, out: &Output, row: impl Fn(&Value, Timestamp) -> Vec<Cell>) -> Result<Vec<Value>, Failure> {
        let Read { reply, items, cut } = read(client, self.path, &self.query)?;
        let count = items.len();
        let mut shown = Vec::new();
        if out.json {
            out.value(&whole(reply, items))?;
        } else {
            let now = now(&reply);
            if count > 0 || !cut {
                out.table(self.header, items.iter().map(|item| row(item, now)).collect(), self.empty)?;
            }
            shown = items;
        }
        if cut {
            let found = if count == 0 { "Nothing so far".to_owned() } else { format!("These are the first {count}") };
            out.remark(&format!("{found}; the list is too long to be read to its end. {}", self.rest))?;
        }
        Ok(shown)
    }
}

/// What was read of a list.
struct Read {
    /// The last page, for what stands beside its items.
    reply: Value,
    items: Vec<Value>,
    /// Whether there is more.
    cut: bool,
}

fn read(client: &Client, path: &str, filter: &[(&str, String)]) -> Result<Read, Failure> {
    let (mut items, mut pages) = (Vec::new(), 0);
    let mut cursor = None;
    loop {
        let mut query = filter.to_vec();
        query.push(("limit", PAGE.to_owned()));
        query.extend(cursor.take().map(|cursor| ("cursor", cursor)));
        let reply = client.get(path, &query)?;
        items.extend_from_slice(list(&reply, "/items"));
        pages += 1;
        let next = text(&reply, "/next");
        if next.is_empty() || items.len() >= MAX_ITEMS || pages >= MAX_PAGES {
            return Ok(Read { reply, items, cut: !next.is_empty() });
        }
        cursor = Some(next);
    }
}

/// All items as one page: as the server answers the last, and with its cursor where there is more.
fn whole(mut reply: Value, items: Vec<Value>) -> Value {
    match reply.as_object_mut() {
        Some(members) => {
            members.insert("items".to_owned(), Value::Array(items));
            reply
        }
        None => json!({ "items": items }),
    }
}
