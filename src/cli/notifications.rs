//! Who is told of what happened, how that goes, and what could not be delivered.

use serde_json::{Value, json};

use super::args::{DeadLetters, Notifications};
use super::client::{Client, encode};
use super::output::{Cell, Output, plain};
use super::pages::Listing;
use super::reply::{entity, list, text};
use super::{Done, Outcome};

const LETTERS: &str = "/v1/notifications/dead-letters";

/// Everything about notifications.
pub(super) fn notifications(client: &Client, out: &Output, what: Option<&Notifications>) -> Outcome {
    match what {
        None | Some(Notifications::List) => listed(client, out),
        Some(Notifications::Dead(asked)) => dead(client, out, asked),
        Some(Notifications::Retry { id }) => {
            let reply = client.post(&format!("{LETTERS}/{}/retry", encode(id)), &json!({}))?;
            done(out, &reply, &format!("{id} will be retried; `elevon notifications dead` lists it until it is delivered."))
        }
        Some(Notifications::Discard { id }) => {
            let reply = client.delete(&format!("{LETTERS}/{}", encode(id)), &[])?;
            done(out, &reply, &format!("{id} is discarded."))
        }
        Some(Notifications::Test { destination }) => test(client, out, destination),
    }
}

fn done(out: &Output, reply: &Value, says: &str) -> Outcome {
    if out.json {
        out.value(reply)?;
    } else {
        out.line(says)?;
    }
    Ok(Done::Yes)
}

fn listed(client: &Client, out: &Output) -> Outcome {
    let reply = client.get("/v1/notifications/destinations", &[])?;
    if out.json {
        out.value(&reply)?;
        return Ok(Done::Yes);
    }
    let row = |one: &Value| -> Vec<Cell> {
        ["/name", "/kind", "/state", "/lag", "/delivered", "/dead_letters", "/last_error/message"]
            .map(|place| plain(text(one, place)))
            .into()
    };
    let items = list(&reply, "/items");
    let header = ["name", "kind", "state", "lag", "delivered", "dead", "last error"];
    out.table(&header, items.iter().map(row).collect(), "No destinations: the configuration has no `[notify.destinations.NAME]`.")?;
    if items.iter().any(|one| text(one, "/dead_letters") != "0") {
        out.remark("List the dead letters with `elevon notifications dead`.")?;
    }
    Ok(Done::Yes)
}

fn dead(client: &Client, out: &Output, asked: &DeadLetters) -> Outcome {
    let row = |one: &Value, _| -> Vec<Cell> {
        let mut cells: Vec<Cell> = ["/id", "/kind", "/record", "/at", "/attempts", "/error"].map(|place| plain(text(one, place))).into();
        cells.insert(3, plain(entity(one, "/person")));
        cells
    };
    let letters = Listing {
        path: LETTERS,
        query: asked.destination.iter().map(|name| ("destination", name.clone())).collect(),
        header: &["id", "kind", "record", "person", "at", "attempts", "error"],
        empty: "No dead letters.",
        rest: "Narrow it with --destination.",
    };
    if !letters.show(client, out, row)?.is_empty() {
        out.remark("Retry one with `elevon notifications retry ID`, or discard it with `elevon notifications discard ID`.")?;
    }
    Ok(Done::Yes)
}

/// Exit code 1 where it did not arrive.
fn test(client: &Client, out: &Output, destination: &str) -> Outcome {
    let reply = client.post(&format!("/v1/notifications/destinations/{}/test", encode(destination)), &json!({}))?;
    let delivered = reply.get("delivered").and_then(Value::as_bool).unwrap_or(false);
    if out.json {
        out.value(&reply)?;
    } else if delivered {
        out.line(&format!("{destination} accepted the test message."))?;
    } else {
        out.line(&format!("{destination} did not accept the test message: {}", text(&reply, "/error")))?;
    }
    Ok(if delivered { Done::Yes } else { Done::No })
}
