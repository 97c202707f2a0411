//! Every reader of a body over the same bytes: what the fuzz target `bodies` drives, so that it needs no server to get at them.

use serde_json::{Map, Value};

use crate::domain::Uid;
use crate::domain::settings::JsonObject;
use crate::http::asker::Sent;
use crate::http::data;
use crate::http::problem::Problem;

use super::{activations, alerts, endings, grant_requests, grants, reviews};

/// How many kinds of body these bytes are in order as.
#[doc(hidden)]
#[must_use]
pub fn decoded(bytes: &[u8]) -> usize {
    let sent = Sent::of(bytes);
    let taken = [
        data::question(bytes).is_ok(),
        asked(&sent).is_ok(),
        grants::grant(&sent).is_ok(),
        grant_requests::body(&sent).is_ok(),
        endings::ending(&sent).is_ok(),
        stored(&sent).is_ok(),
        reviews::definition(&sent).is_ok(),
        reviews::decision(&sent).is_ok(),
        alerts::dismissal(&sent).is_ok(),
    ];
    taken.into_iter().filter(|taken| *taken).count()
}

fn asked(sent: &Sent) -> Result<(), Problem> {
    let caller = Uid::new("User", "caller").map_err(|bad| crate::http::problem::bad_parameter("id", bad))?;
    activations::request(&caller, sent.members()?).map(drop)
}

fn stored(sent: &Sent) -> Result<Option<JsonObject>, Problem> {
    let mut members = sent.members()?;
    members.entity("uid")?;
    members.entities("parents")?;
    let attrs: Map<String, Value> = members.optional("attrs")?.unwrap_or_default();
    Ok(JsonObject::new(&attrs).ok())
}
