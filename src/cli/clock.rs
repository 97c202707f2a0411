//! Believing the machine's clock again after it jumped ahead: only somebody who can write to the data folder says so.

use std::path::Path;
use std::thread;
use std::time::{Duration as Span, Instant};

use serde_json::json;

use super::client::Failure;
use super::output::{Look, Output, looking, plain};
use super::{Done, Outcome};
use crate::domain::Duration;
use crate::engine::SystemClock;
use crate::engine::ports::{Clock as _, ClockAnswer};
use crate::store::ClockWord;

/// How often it is looked whether a server has answered.
const LOOK: Span = Span::from_millis(100);
/// For how long nothing is said of waiting: a running server answers sooner.
const SILENT: Span = Span::from_secs(2);

/// Leaves the word in the data folder, and waits for what a running server makes of it.
pub(super) fn accept(out: &Output, data: &Path, wait: Duration) -> Outcome {
    let local = |error: &dyn std::fmt::Display| Failure::Local(error.to_string());
    let shown = SystemClock::new().now();
    let word = ClockWord::leave(data, shown).map_err(|error| local(&error))?;
    let began = Instant::now();
    let until = began + Span::from_secs(wait.secs());
    let mut told_to_wait = false;
    loop {
        if let Some(answer) = word.answer().map_err(|error| local(&error))? {
            return told(out, &answer);
        }
        if Instant::now() >= until {
            break;
        }
        if !told_to_wait && began.elapsed() >= SILENT {
            out.remark(&format!("The confirmation is in the data folder; waiting up to {wait} for a running server to take it."))?;
            told_to_wait = true;
        }
        thread::sleep(LOOK);
    }
    if out.json {
        out.value(&json!({"answer": "waiting", "clock": shown}))?;
    } else {
        out.cells(&[
            looking(Look::Quiet, "waiting"),
            plain(format!("  no server took it within {wait}; one that starts within the hour takes it")),
        ])?;
    }
    Ok(Done::No)
}

fn told(out: &Output, answer: &ClockAnswer) -> Outcome {
    let (word, value, look, text) = match answer {
        ClockAnswer::Accepted { now, seq } => (
            "accepted",
            json!({"now": now, "seq": seq}),
            Look::Good,
            format!("the clock shows {now} and is believed; every activation and every assignment with an end is over (record {seq})"),
        ),
        ClockAnswer::Believed { now } => {
            ("believed", json!({"now": now}), Look::Good, format!("the clock shows {now} and was believed already; nothing was ended"))
        }
        ClockAnswer::Refused(why) => return Err(Failure::Local(why.clone())),
    };
    if out.json {
        let mut value = value;
        if let Some(members) = value.as_object_mut() {
            members.insert("answer".to_owned(), word.into());
        }
        out.value(&value)?;
    } else {
        out.cells(&[looking(look, word), plain(format!("  {text}"))])?;
    }
    Ok(Done::Yes)
}
