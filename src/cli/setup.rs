//! Before the first start, and between two: a folder to begin with, tokens, and whether a configuration is in order.

use std::path::Path;

use serde_json::{Value, json};

use super::args::{Init, NewToken};
use super::client::Failure;
use super::output::{Look, Output, looking, plain};
use super::{Done, Outcome};
use crate::app;
use crate::config::{ListenerSettings, Settings};
use crate::identity::{token_sha256, token_text};
use crate::policy::Bundle;

/// Makes a folder ready to serve from.
pub(super) fn init(out: &Output, asked: &Init) -> Outcome {
    let made = app::init(&asked.dir).map_err(|error| Failure::NotStarted(error.to_string()))?;
    let config = made.config.display().to_string();
    if out.json {
        out.value(&json!({"config": config, "token": made.token, "administrator": made.administrator, "role": made.role}))?;
        return Ok(Done::Yes);
    }
    let text = [
        format!("`{}` holds a configuration, policies and data to begin with.", asked.dir.display()),
        String::new(),
        format!("{} may activate `{}`. Its token is shown only this once, and is stored nowhere:", made.administrator, made.role),
        String::new(),
        format!("    {}", made.token),
        String::new(),
        "Start the server, and in another terminal become administrator for a while:".to_owned(),
        String::new(),
        format!("    elevon serve --config {config}"),
        "    export ELEVON_TOKEN=<that token>".to_owned(),
        format!("    elevon activate {} --reason \"first start\"", made.role),
        "    elevon status".to_owned(),
    ];
    text.iter().try_for_each(|line| out.line(line))?;
    Ok(Done::Yes)
}

/// Makes a token and the entry for it.
pub(super) fn token(out: &Output, asked: &NewToken) -> Outcome {
    let mut random = [0; 32];
    getrandom::fill(&mut random).map_err(|error| Failure::Local(format!("the system gives no random bytes: {error}")))?;
    let token = token_text(random);
    let sha256 = token_sha256(&token).to_string();
    if out.json {
        out.value(&json!({"token": token, "id": asked.id, "sha256": sha256, "principal": asked.principal, "expires": asked.expires}))?;
        return Ok(Done::Yes);
    }
    // a JSON string is a TOML string
    let text = |text: &str| Value::from(text).to_string();
    let before = ["The token is shown only this once, and is stored nowhere:", "", &format!("    {token}"), ""];
    before.iter().try_for_each(|line| out.line(line))?;
    out.line("Add this entry to the configuration, then send the server SIGHUP:")?;
    out.line("")?;
    out.line("[[tokens]]")?;
    out.line(&format!("id = {}", text(&asked.id)))?;
    out.line(&format!("sha256 = \"{sha256}\""))?;
    out.line(&format!("principal = {}", text(&asked.principal.to_string())))?;
    if let Some(expires) = asked.expires {
        out.line(&format!("expires = {}", text(&expires.to_string())))?;
    }
    Ok(Done::Yes)
}

/// Reads a configuration and all that it names, as a start would, and says what would be served.
pub(super) fn check(out: &Output, file: &Path) -> Outcome {
    let refused = |text: &str| Failure::NotStarted(format!("{text}`{}` is not in order; a server would not start with it", file.display()));
    let settings = match Settings::load(file) {
        Ok(settings) => settings,
        Err(bad) => {
            if out.json {
                out.value(&json!({"valid": false, "problems": bad.problems()}))?;
            } else {
                bad.to_string().lines().try_for_each(|line| out.remark(line))?;
            }
            return Err(refused(""));
        }
    };
    app::check(&settings).map_err(|error| refused(&format!("{error}\n")))?;
    let bundle = Bundle::load(&settings.policies).map_err(|error| refused(&format!("{error}\n")))?;
    if out.json {
        let listeners: Vec<Value> = settings.listeners.iter().map(listener_value).collect();
        out.value(&json!({
            "valid": true,
            "policies": settings.policies,
            "revision": bundle.revision(),
            "data": settings.data,
            "listeners": listeners,
            "tokens": settings.credentials.tokens.len(),
            "issuers": settings.credentials.issuers.iter().map(|issuer| &issuer.settings.issuer).collect::<Vec<_>>(),
        }))?;
        return Ok(Done::Yes);
    }
    out.cells(&[looking(Look::Good, "in order"), plain(format!("  {}", file.display()))])?;
    out.fields(&[
        ("policies", plain(format!("{} ({})", settings.policies.display(), bundle.revision()))),
        ("data", plain(settings.data.display().to_string())),
    ])?;
    let rows = settings.listeners.iter().map(|listener| {
        let tls = if listener.tls.is_some() { "TLS" } else { "clear text" };
        [listener.name.clone(), listener.at.to_string(), tls.to_owned(), planes(listener).join(", "), accept(listener).join(", ")]
            .into_iter()
            .map(plain)
            .collect()
    });
    out.table(&["listener", "at", "", "planes", "accepts"], rows.collect(), "No listeners.")?;
    Ok(Done::Yes)
}

fn planes(listener: &ListenerSettings) -> Vec<&'static str> {
    [(listener.check, "check"), (listener.control, "control")].into_iter().filter(|(on, _)| *on).map(|(_, name)| name).collect()
}

fn accept(listener: &ListenerSettings) -> Vec<&'static str> {
    listener.accept.iter().map(|kind| kind.as_str()).collect()
}

fn listener_value(listener: &ListenerSettings) -> Value {
    json!({
        "name": listener.name,
        "at": listener.at.to_string(),
        "tls": listener.tls.is_some(),
        "planes": planes(listener),
        "accept": accept(listener),
    })
}
