//! Looking on: the caller's status as it changes, and events as they come.

use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use serde_json::Value;

use super::Outcome;
use super::args::Events;
use super::audit::lines;
use super::client::{Client, Failure};
use super::feed::{Feed, News};
use super::output::Output;
use super::people::standing;
use super::reply::{at, instant, list, now};

/// How often a terminal is drawn anew without anything having happened: the time that is left changes.
const REDRAW: Duration = Duration::from_secs(60);
/// Longest wait for a change where no end is near.
const IDLE: Duration = Duration::from_secs(24 * 3600);
/// How long after an end it is looked again: past the rounding of both clocks.
const PAST: Duration = Duration::from_millis(50);

/// Why it is looked again.
enum Tick {
    Changed,
    Lost(String),
    Over(Failure),
}

/// Shows the caller's status, and again whenever it changed.
pub(super) fn status(client: &Client, out: &Output) -> Outcome {
    let mut shown = client.get("/v1/me", &[])?;
    let feed = Feed::open(client.clone(), sequence(&shown))?;
    let (sender, ticks) = sync_channel(1);
    thread::spawn(move || listen(feed, &sender));
    draw(out, &shown)?;
    loop {
        match wait(&ticks, out, &shown) {
            Some(Tick::Changed) | None => {}
            Some(Tick::Lost(text)) => {
                out.remark(&text)?;
                continue;
            }
            Some(Tick::Over(failure)) => return Err(failure),
        }
        let me = match client.get("/v1/me", &[]) {
            Ok(me) => me,
            // The feed says so when the server is back.
            Err(Failure::Unreachable { .. }) => continue,
            Err(failure) => return Err(failure),
        };
        if out.is_terminal() || lasting(&me) != lasting(&shown) {
            draw(out, &me)?;
        }
        shown = me;
    }
}

fn wait(ticks: &Receiver<Tick>, out: &Output, shown: &Value) -> Option<Tick> {
    let most = if out.is_terminal() { REDRAW } else { IDLE };
    match ticks.recv_timeout(next_change(shown).map_or(most, |next| next.min(most))) {
        Ok(tick) => Some(tick),
        Err(RecvTimeoutError::Timeout) => None,
        Err(RecvTimeoutError::Disconnected) => Some(Tick::Over(Failure::Local("the connection to the server has ended".to_owned()))),
    }
}

/// Passes on that something happened. Where one word of it waits already, another adds nothing.
fn listen(mut feed: Feed, ticks: &SyncSender<Tick>) {
    loop {
        let sent = match feed.next() {
            Ok(News::Message(_) | News::Back) => {
                let _ = ticks.try_send(Tick::Changed);
                continue;
            }
            Ok(News::Lost { why, pause }) => ticks.send(Tick::Lost(lost(&why, pause))),
            Err(failure) => {
                let _ = ticks.send(Tick::Over(failure));
                return;
            }
        };
        if sent.is_err() {
            return;
        }
    }
}

fn lost(why: &str, pause: Duration) -> String {
    format!("The connection was lost ({why}); trying again in {} ms.", pause.as_millis())
}

fn draw(out: &Output, me: &Value) -> Result<(), Failure> {
    if out.json {
        out.value_line(me)?;
        return Ok(());
    }
    out.clear()?;
    standing(out, me)?;
    out.line("")?;
    Ok(())
}

fn sequence(reply: &Value) -> u64 {
    at(reply, "/seq").and_then(Value::as_u64).unwrap_or(0)
}

/// A status without what changes all the time.
fn lasting(me: &Value) -> Value {
    let mut me = me.clone();
    if let Some(members) = me.as_object_mut() {
        members.remove("now");
        members.remove("seq");
    }
    me
}

/// How long it is until time alone changes something.
fn next_change(me: &Value) -> Option<Duration> {
    let now = now(me);
    let moments = [("/active", "/end"), ("/pending", "/approval/expires_at"), ("/scheduled", "/start"), ("/eligible", "/end")];
    let ahead = moments.iter().flat_map(|(what, moment)| list(me, what).iter().filter_map(|one| instant(one, moment)));
    let next = ahead.filter(|moment| *moment > now).min()?;
    let millis = u64::try_from(next.millis().saturating_sub(now.millis())).unwrap_or(0);
    Some(Duration::from_millis(millis).saturating_add(PAST))
}

/// Prints events as they come: a line for each, or a JSON document for each record.
pub(super) fn events(client: &Client, out: &Output, asked: &Events) -> Outcome {
    let after = match asked.after {
        Some(after) => after,
        // From here on, so that nothing is missed between a lost connection and the next.
        None => sequence(&client.get("/v1/me", &[])?),
    };
    let mut feed = Feed::open(client.clone(), after)?;
    loop {
        match feed.next()? {
            News::Message(message) if out.json => out.value_line(&message.data)?,
            News::Message(message) => lines(out, &message.data)?,
            News::Lost { why, pause } => out.remark(&lost(&why, pause))?,
            News::Back => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_next_end_is_waited_for() {
        let at = "2030-01-31T09:00:00Z";
        let rows = [
            (json!({"now": at, "active": [{"end": "2030-01-31T09:05:00Z"}, {"end": "2030-01-31T09:01:00Z"}]}), Some(60_050)),
            (json!({"now": at, "active": [{"end": "2030-01-31T08:00:00Z"}], "pending": []}), None),
            (json!({"now": at, "pending": [{"approval": {"expires_at": "2030-01-31T09:00:10Z"}}]}), Some(10_050)),
            (json!({"now": at, "scheduled": [{"start": "2030-01-31T09:00:07Z"}], "eligible": [{"end": null}]}), Some(7_050)),
            (json!({"now": at}), None),
        ];
        for (me, expected) in rows {
            assert_eq!(next_change(&me), expected.map(Duration::from_millis), "{me}");
        }
    }

    #[test]
    fn time_alone_is_no_change() {
        let me = |now: &str, seq: u64, active: Value| json!({"now": now, "seq": seq, "active": active});
        assert_eq!(lasting(&me("a", 1, json!([]))), lasting(&me("b", 2, json!([]))));
        assert_ne!(lasting(&me("a", 1, json!([]))), lasting(&me("a", 1, json!([{}]))));
    }
}
