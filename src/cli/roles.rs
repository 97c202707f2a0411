//! Roles: what each takes, and who approves it.

use serde_json::Value;

use super::args::Roles;
use super::client::{Client, encode};
use super::describe::flag;
use super::output::{Cell, Output, plain};
use super::reply::{at, entity, list, text};
use super::{Done, Outcome};

const ROLES: &str = "/v1/roles";

/// Lists the roles, or shows one.
pub(super) fn roles(client: &Client, out: &Output, asked: &Roles) -> Outcome {
    let path = asked.role.as_ref().map_or_else(|| ROLES.to_owned(), |role| format!("{ROLES}/{}", encode(role.as_str())));
    let reply = client.get(&path, &[])?;
    if out.json {
        out.value(&reply)?;
    } else if asked.role.is_some() {
        show(out, &reply)?;
    } else {
        let row = |role: &Value| -> Vec<Cell> {
            [text(role, "/role"), scopes(role), text(role, "/max_duration"), needs(role), approval(role), text(role, "/description")]
                .map(plain)
                .into()
        };
        let header = ["role", "scope", "at most", "requires", "approval", "description"];
        out.table(&header, list(&reply, "/items").iter().map(row).collect(), "The policies define no roles.")?;
    }
    Ok(Done::Yes)
}

fn words(role: &Value, pointer: &str) -> String {
    list(role, pointer).iter().map(|one| text(one, "")).collect::<Vec<_>>().join(", ")
}

/// `Environment, Database`, and whether a scope may be left out.
fn scopes(role: &Value) -> String {
    let of = words(role, "/scopes");
    let of = if of.is_empty() { "any".to_owned() } else { of };
    if flag(role, "/scope_required") { of } else { format!("{of} (optional)") }
}

fn needs(role: &Value) -> String {
    words(role, "/require")
}

/// `1 of Group::"dba-leads", then 2 of User::"a" or User::"b"`.
fn approval(role: &Value) -> String {
    let stage = |stage: &Value| {
        let approvers: Vec<String> = list(stage, "/approvers").iter().map(|one| entity(one, "")).collect();
        format!("{} of {}", text(stage, "/quorum"), approvers.join(" or "))
    };
    let stages: Vec<String> = list(role, "/approval/stages").iter().map(stage).collect();
    if stages.is_empty() { "none".to_owned() } else { stages.join(", then ") }
}

fn show(out: &Output, role: &Value) -> Outcome {
    out.line(&text(role, "/role"))?;
    let mut rows: Vec<(&str, String)> = vec![
        ("description", text(role, "/description")),
        ("scope", scopes(role)),
        ("duration", format!("{} by default, {} at most", text(role, "/default_duration"), text(role, "/max_duration"))),
        ("requires", needs(role)),
        ("ticket", text(role, "/ticket_pattern")),
        ("approval", approval(role)),
        ("extensions", format!("{} at most", text(role, "/max_extensions"))),
    ];
    if let Some(emergency) = at(role, "/emergency") {
        let (most, times) = (text(emergency, "/max_duration"), text(emergency, "/max_per_day"));
        rows.push(("emergency", format!("{most} at most, {times} a day, reviewed within {}", text(emergency, "/review_within"))));
    }
    let daily = text(role, "/max_active_per_day");
    rows.push(("a day", if daily.is_empty() { daily } else { format!("{daily} at most") }));
    rows.push(("conditions", if flag(role, "/conditions") { "asked at every check".to_owned() } else { String::new() }));
    let shown: Vec<(&str, Cell)> =
        rows.into_iter().filter(|(_, value)| !value.is_empty()).map(|(name, value)| (name, plain(value))).collect();
    out.fields(&shown)?;
    Ok(Done::Yes)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_role_says_what_it_takes() {
        let dba = json!({ "type": "Group", "id": "dba" });
        let anna = json!({ "type": "User", "id": "anna" });
        let role = json!({
            "scopes": ["Environment", "Database"], "scope_required": true, "require": ["justification", "mfa"],
            "approval": { "stages": [{ "quorum": 1, "approvers": [dba.clone()] }, { "quorum": 2, "approvers": [dba, anna] }] },
        });
        assert_eq!((scopes(&role).as_str(), needs(&role).as_str()), ("Environment, Database", "justification, mfa"));
        assert_eq!(approval(&role), "1 of Group::\"dba\", then 2 of Group::\"dba\" or User::\"anna\"");
        let open = json!({ "scopes": null, "approval": { "stages": [] } });
        assert_eq!((scopes(&open).as_str(), approval(&open).as_str()), ("any (optional)", "none"));
    }
}
