//! Lists, a page at a time, of what a caller may see.

use serde_json::{Value, json};

use crate::domain::Unavailable;
use crate::engine::ports::{Listing, Page};
use crate::http::limits::MAX_PAGES_READ;
use crate::http::problem::{self, Problem};

/// A page of what a caller may see: reads the store's pages, a bounded number of them, until the page is full.
pub(super) fn through<T, U>(
    page: &Page,
    read: impl Fn(&Page) -> Result<Listing<T>, Unavailable>,
    show: impl Fn(&T) -> Result<Option<U>, Problem>,
) -> Result<Listing<U>, Problem> {
    let mut items = Vec::new();
    let mut next = page.after.clone();
    for _ in 0..MAX_PAGES_READ {
        let part = Page { after: next.take(), limit: page.bounded().saturating_sub(items.len()) };
        let found = read(&part).map_err(|error| cursor_or(&part, error))?;
        for item in &found.items {
            items.extend(show(item)?);
        }
        next = found.next;
        if next.is_none() || items.len() >= page.bounded() {
            break;
        }
    }
    Ok(Listing { items, next })
}

/// A list that cannot be read with a cursor that came from outside, and can without one, has a bad cursor.
pub(super) fn cursor_or(page: &Page, error: Unavailable) -> Problem {
    if page.after.is_some() && error.0.contains("cursor") {
        problem::bad_parameter("cursor", "it is not a cursor of this list; begin again without one")
    } else {
        error.into()
    }
}

/// A list on the wire.
pub(super) fn listed(found: Listing<Value>) -> Value {
    json!({ "items": found.items, "next": found.next })
}
