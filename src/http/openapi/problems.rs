//! Every rule by which something is refused: its word, its status, what it means and what to do about it.
//!
//! The problem documents themselves are made where something goes wrong; a test reads the sources and holds this table against them, word,
//! status and title, and `docs/problems.md` is written from it.

use serde_json::{Value, json};

use super::super::problem::TYPE_PREFIX;
use super::schemas::{object, reference};

/// Which endpoints a rule can refuse at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum At {
    /// At every one.
    Everywhere,
    /// Where there is no endpoint, or not for that method.
    Nowhere,
    /// Where a credential is needed.
    Credential,
    /// Where a body is read.
    Body,
    /// Where the body's members are read strictly.
    Members,
    /// Where commands are counted: at every method that is not safe (RFC 9110, section 9.2.1), but for checks.
    Counted,
    /// At every command.
    Command,
    /// At the endpoints that name it.
    Own,
}

/// One rule.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rule {
    /// Its word: stable, for programs.
    pub(super) word: &'static str,
    pub(super) status: u16,
    pub(super) title: &'static str,
    /// What it means.
    pub(super) means: &'static str,
    /// What to do.
    pub(super) todo: &'static str,
    /// Members of its own.
    pub(super) members: &'static [&'static str],
    pub(super) at: At,
}

const fn rule(
    (word, status, at): (&'static str, u16, At),
    title: &'static str,
    means: &'static str,
    todo: &'static str,
    members: &'static [&'static str],
) -> Rule {
    Rule { word, status, title, means, todo, members, at }
}

const LATER: &str = "try again in a moment";

/// The rules, by status and word.
pub(super) const RULES: &[Rule] = &[
    rule(
        ("ambiguous_request", 400, At::Everywhere),
        "the request can be read in two ways",
        "a header that may be there once is there twice, or the head gives the body's length twice",
        "send each once; look for a proxy in between that adds one",
        &[],
    ),
    rule(
        ("bad_parameter", 400, At::Everywhere),
        "a parameter is not as it should be",
        "a query, path or header parameter is missing, unknown, repeated or cannot be read",
        "correct the parameter that is named",
        &["parameter"],
    ),
    rule(
        ("conflicting_members", 400, At::Own),
        "members exclude each other",
        "the body has several members of which the command takes only one",
        "leave one of them out",
        &["members"],
    ),
    rule(
        ("malformed", 400, At::Body),
        "the request is malformed",
        "the body is not a JSON object, names a member twice, is nested too deeply, or is incomplete",
        "send one JSON object with each member once",
        &[],
    ),
    rule(
        ("malformed_member", 400, At::Members),
        "a member is not as it should be",
        "a member of the body is of the wrong type or cannot be read",
        "correct the member that is named",
        &["member"],
    ),
    rule(
        ("missing_member", 400, At::Members),
        "a member is missing",
        "the command needs a member that the body does not have",
        "add the member that is named",
        &["member"],
    ),
    rule(
        ("not_available_yet", 400, At::Own),
        "a member is not available yet",
        "the member belongs to something that Elevon does not do yet; it is refused, and never ignored",
        "leave the member out",
        &["member"],
    ),
    rule(
        ("unknown_member", 400, At::Members),
        "a member is unknown",
        "the body has a member that the command does not take",
        "leave it out, or spell it as the text says",
        &["member"],
    ),
    rule(
        ("bad_credential", 401, At::Credential),
        "the credential is not accepted",
        "the credential that came is malformed, expired, or not one that this listener accepts",
        "get a new one; `WWW-Authenticate` says which kinds are taken",
        &[],
    ),
    rule(
        ("no_credential", 401, At::Credential),
        "a credential is needed",
        "no credential came with the request",
        "send one; `WWW-Authenticate` says which kinds are taken",
        &[],
    ),
    rule(
        ("emergency_for_others", 403, At::Own),
        "an emergency is for oneself only",
        "break-glass was asked for somebody else",
        "let that person ask, or ask without `emergency`",
        &["principal"],
    ),
    rule(
        ("link_of_another", 403, At::Own),
        "the link is somebody else's",
        "the link was made for another approver",
        "vote on what waits for you: `GET /v1/approvals`",
        &[],
    ),
    rule(
        ("not_a_reviewer", 403, At::Own),
        "not a reviewer",
        "the caller is not a reviewer of that item in the current stage",
        "let a reviewer decide; the review says who they are",
        &["principal", "id", "stage"],
    ),
    rule(
        ("not_an_approver", 403, At::Own),
        "not an approver",
        "the caller is not an approver of the current stage",
        "let an approver vote; the activation lists them",
        &["voter", "stage"],
    ),
    rule(
        ("not_eligible", 403, At::Own),
        "not eligible for the role",
        "no eligibility in force covers the role on that scope",
        "ask an administrator for an eligibility",
        &["principal", "role", "scope"],
    ),
    rule(
        ("not_permitted", 403, At::Own),
        "the policies do not permit this",
        "the policies do not permit the caller to do this here",
        "ask whoever maintains the policies; `policies` names those that forbade it",
        &["principal", "action", "policies"],
    ),
    rule(
        ("not_the_holder", 403, At::Own),
        "not the holder",
        "only its holder can deactivate an activation",
        "revoke it instead, where the policies permit that",
        &["id", "principal"],
    ),
    rule(
        ("principal_disabled", 403, At::Command),
        "the principal is disabled",
        "the caller, or the principal that the command is about, is disabled",
        "have an administrator enable it first",
        &["principal"],
    ),
    rule(
        ("self_grant", 403, At::Own),
        "nobody grants to themselves",
        "the caller, or a group the caller is in, would benefit",
        "let another administrator do it",
        &["actor", "principal"],
    ),
    rule(
        ("separation_of_duties", 403, At::Own),
        "somebody else has to decide",
        "the voter asked for it, benefits from it, or is the same person as somebody who does",
        "let somebody else vote",
        &["voter"],
    ),
    rule(
        ("unknown_principal", 403, At::Command),
        "the principal is not known",
        "the caller is authenticated, but not stored as a principal",
        "have it stored: `PUT /v1/entities`, or the bundle's `entities.json`",
        &["principal"],
    ),
    rule(("no_such_endpoint", 404, At::Nowhere), "there is no such endpoint", "nothing is served at the path", "see `/openapi.json`", &[]),
    rule(
        ("not_found", 404, At::Own),
        "there is no such thing",
        "nothing of that kind has that id",
        "look at the id, or list them",
        &["what", "id"],
    ),
    rule(
        ("method_not_allowed", 405, At::Nowhere),
        "the method is not allowed here",
        "the path takes other methods",
        "use one that `Allow` lists",
        &[],
    ),
    rule(("too_slow", 408, At::Body), "the request came too slowly", "the body did not arrive in time", "send it at once", &[]),
    rule(
        ("already_active", 409, At::Own),
        "active already",
        "the role is active on that scope for a shorter time than was asked for",
        "extend the one that is named; `extend` is the path",
        &["id", "end", "extend"],
    ),
    rule(
        ("already_granted", 409, At::Own),
        "granted already",
        "a grant of the same role to the same holder on the same scope overlaps",
        "end that one first, or grant a window that does not overlap",
        &["principal", "id"],
    ),
    rule(
        ("already_voted", 409, At::Own),
        "voted already",
        "the voter, or the same person under another name, voted already",
        "let somebody else vote",
        &["voter"],
    ),
    rule(
        ("budget_exhausted", 409, At::Own),
        "the role's time of that day is used up",
        "the principal has less of the role's time left on that UTC day than was asked for",
        "ask for `left`, or for another day",
        &["principal", "role", "day", "asked", "left"],
    ),
    rule(
        ("confirmation_needed", 409, At::Own),
        "this much has to be confirmed",
        "applying the review removes more than the share that its plan allows unasked, or another number than was confirmed",
        "look at what would be removed, and ask again with `confirm` set to `removals`",
        &["id", "removals", "items"],
    ),
    rule(
        ("emergency_limit", 409, At::Own),
        "too many emergencies today",
        "the principal had as many emergencies of the role on this UTC day as it allows",
        "ask without `emergency`, or tomorrow",
        &["principal", "role", "max"],
    ),
    rule(
        ("extension_waits", 409, At::Own),
        "an extension waits already",
        "a request to extend that activation waits for approval",
        "wait for it, or cancel it",
        &["id", "pending"],
    ),
    rule(
        ("fold_exists", 409, At::Own),
        "the name exists in another case",
        "a name that differs only by case exists, and its type does not tell them apart",
        "use the one that exists",
        &["entity", "existing"],
    ),
    rule(
        ("grant_request_waits", 409, At::Own),
        "a request waits already",
        "a request about that grant waits to be decided",
        "wait for it, or cancel it",
        &["pending"],
    ),
    rule(
        ("idempotency_key_reused", 409, At::Command),
        "the idempotency key was used for another request",
        "the caller used the `Idempotency-Key` within 24 hours for another method, path or body",
        "use a new key",
        &["key"],
    ),
    rule(
        ("link_used", 409, At::Own),
        "the link was used",
        "the link was used to vote already; it is good for one vote",
        "look at the request: the vote may have counted",
        &[],
    ),
    rule(
        ("no_remedy", 409, At::Own),
        "there is no remedy by one change",
        "no single change ends what the incident is about",
        "do what `instead` says, or dismiss it",
        &["id", "kind", "instead"],
    ),
    rule(
        ("not_extendable", 409, At::Own),
        "it cannot be extended",
        "the activation is not active, is an emergency, or was extended as often as its role allows",
        "ask for a new activation once it has ended",
        &["id"],
    ),
    rule(
        ("not_in_state", 409, At::Own),
        "it is no longer in that state",
        "it was decided, cancelled or ended before the command came; nothing was changed",
        "read it again; `outcome` says what became of it",
        &["id", "outcome", "at"],
    ),
    rule(
        ("not_prolongable", 409, At::Own),
        "the grant cannot be prolonged like this",
        "the grant runs and was to be renewed, ended and was to be extended, or cannot be prolonged at all",
        "do what the text says",
        &["id"],
    ),
    rule(
        ("owned_by_bundle", 409, At::Own),
        "the bundle owns this name",
        "the bundle defines that entity, so that it cannot be written by API",
        "change the bundle's `entities.json`",
        &["entity"],
    ),
    rule(
        ("quorum_unreachable", 409, At::Own),
        "not enough approvers exist",
        "fewer approvers could vote than a stage needs",
        "have an administrator add approvers",
        &["role", "stage", "needed", "available"],
    ),
    rule(
        ("request_changed", 409, At::Own),
        "the request changed",
        "the vote carries the hash of a request that has changed since",
        "read the request again and vote on what it says now; `expected` is shown to those who may read it",
        &["expected"],
    ),
    rule(
        ("too_early_to_extend", 409, At::Own),
        "too early to extend",
        "the activation has not run as long as its role wants before an extension",
        "ask again at `earliest`",
        &["id", "earliest"],
    ),
    rule(
        ("too_many_pending", 409, At::Own),
        "too many requests wait",
        "that principal has as many requests waiting as it may",
        "have some of them decided, or cancel them",
        &["principal", "pending"],
    ),
    rule(
        ("link_expired", 410, At::Own),
        "the link's time is over",
        "links are good for a short time",
        "vote without it: `GET /v1/approvals`",
        &["expired_at"],
    ),
    rule(
        ("too_large", 413, At::Body),
        "the body is too large",
        "the body has more bytes than the endpoint reads",
        "send less; `max_bytes` is the most",
        &["max_bytes"],
    ),
    rule(
        ("not_json", 415, At::Body),
        "the content type is not JSON",
        "the body does not say that it is JSON in UTF-8",
        "send it as `Content-Type: application/json`",
        &[],
    ),
    rule(
        ("foreign_host", 421, At::Everywhere),
        "the host name is not a loopback name",
        "a server started with `--dev` was called by a name that is not this machine's own",
        "call it by `localhost` or `127.0.0.1`",
        &[],
    ),
    rule(
        ("bad_link", 422, At::Own),
        "the link opens nothing",
        "the link was not made by this server, was changed, or is not whole",
        "open it from the message, whole; or vote without it",
        &[],
    ),
    rule(
        ("bundle_invalid", 422, At::Own),
        "the policies are not in order",
        "the folder does not hold a bundle that can go live; the one before it still serves",
        "correct each of `problems`",
        &["problems"],
    ),
    rule(
        ("cycle", 422, At::Own),
        "the entity would stand above itself",
        "through that parent the entity would be above itself",
        "leave that parent out",
        &["entity", "through"],
    ),
    rule(
        ("duration_too_long", 422, At::Own),
        "longer than the role allows",
        "more time was asked for than the role's settings allow",
        "ask for at most `max`",
        &["role", "asked", "max"],
    ),
    rule(("duration_zero", 422, At::Own), "no time at all", "a duration of zero begins and ends at once", "ask for at least a second", &[]),
    rule(
        ("entity_invalid", 422, At::Own),
        "the entity is not as the schema wants it",
        "attributes or parents do not fit the bundle's schema",
        "correct what `problem` says",
        &["entity", "problem"],
    ),
    rule(
        ("no_emergency", 422, At::Own),
        "the role offers no emergency activation",
        "the role's settings have no `emergency`",
        "ask without `emergency`",
        &["role"],
    ),
    rule(
        ("not_a_holder", 422, At::Own),
        "this type cannot hold roles",
        "`roles.toml` names that type neither as a principal nor as a group",
        "name a principal or a group",
        &["entity"],
    ),
    rule(
        ("permanent_not_allowed", 422, At::Own),
        "an end is needed",
        "the role's settings allow no grant without an end",
        "give an `end` at most `max` after the start",
        &["role", "max"],
    ),
    rule(
        ("requirements_missing", 422, At::Own),
        "a requirement of the role is missing",
        "the request does not bring what the role requires",
        "bring each of `missing`; `hint` says how",
        &["role", "missing"],
    ),
    rule(
        ("review_invalid", 422, At::Own),
        "the review is not as it should be",
        "its stages, days, reviewers or dates do not go together, or too many items are decided on at once",
        "correct what the detail names",
        &["what"],
    ),
    rule(
        ("role_as_parent", 422, At::Own),
        "a role is nobody's parent",
        "a role is held by an activation or an assignment only",
        "leave that parent out, and activate or assign the role",
        &["entity", "parent"],
    ),
    rule(
        ("scope_not_allowed", 422, At::Own),
        "the role does not take this scope",
        "the role's settings do not take scopes of that type",
        "name a scope of one of `allowed`",
        &["role", "scope", "allowed"],
    ),
    rule(
        ("scope_required", 422, At::Own),
        "the role requires a scope",
        "the role is given on a scope only",
        "name a scope of one of `allowed`",
        &["role", "allowed"],
    ),
    rule(
        ("start_too_far", 422, At::Own),
        "the start is too far ahead",
        "the start lies further ahead than the role's `activate_within`",
        "ask for a start within `within`, or later",
        &["role", "within"],
    ),
    rule(
        ("type_not_storable", 422, At::Own),
        "entities of this type are not stored",
        "the bundle's schema has no such type, or one whose entities are not stored",
        "name a type of the schema",
        &["entity"],
    ),
    rule(
        ("unknown_parent", 422, At::Own),
        "a parent is not stored",
        "a parent that was named is not stored",
        "store it first",
        &["entity", "parent"],
    ),
    rule(
        ("unknown_principal", 422, At::Own),
        "the principal is not known",
        "the command names a principal that nobody stored",
        "store it first: `PUT /v1/entities`, or the bundle's `entities.json`",
        &["principal"],
    ),
    rule(
        ("unknown_role", 422, At::Own),
        "there is no such role",
        "the bundle does not define that role; names are case-sensitive",
        "see `GET /v1/roles`; `nearest` is the most similar one",
        &["role", "nearest"],
    ),
    rule(
        ("unknown_scope", 422, At::Own),
        "the scope is not known",
        "nobody stored the resource that was named as a scope",
        "store it first",
        &["scope"],
    ),
    rule(
        ("wider_than_asked", 422, At::Own),
        "more than was asked for",
        "an approver gives what was asked for, or less",
        "give less, or leave the member out",
        &["what"],
    ),
    rule(
        ("window_empty", 422, At::Own),
        "the window is empty",
        "the end is not after the start, or lies in the past",
        "give a later `end`",
        &["end", "after"],
    ),
    rule(
        ("rate_limited", 429, At::Counted),
        "too many commands",
        "this caller gave more commands than it may in that time; nothing was done",
        "try again after the seconds in `Retry-After`",
        &[],
    ),
    rule(("internal", 500, At::Everywhere), "an internal error", "Elevon failed internally", "look for the request's id in its log", &[]),
    rule(("busy", 503, At::Everywhere), "too much at once", "too much is answered or waits already", LATER, &[]),
    rule(
        ("journal_failed", 503, At::Command),
        "the journal takes no commands",
        "a write failed, and nothing more is written; nothing was changed",
        "start the server again, once its disk is in order",
        &[],
    ),
    rule(
        ("not_ready", 503, At::Own),
        "the server cannot do its work",
        "no bundle is live, the journal failed, or the clock is not trusted",
        "look at `journal` and `time_trusted`",
        &["ready", "journal", "time_trusted", "revision", "bundle_age_seconds", "degraded"],
    ),
    rule(
        ("outcome_unknown", 503, At::Command),
        "the outcome is not known",
        "it is not known whether the command was carried out",
        "read back, or repeat it with the same `Idempotency-Key`",
        &[],
    ),
    rule(
        ("seq_not_reached", 503, At::Credential),
        "the journal has not come that far",
        "the journal did not reach `Elevon-Min-Seq` in time",
        "try again, or leave the header out",
        &["wanted"],
    ),
    rule(
        ("time_untrusted", 503, At::Command),
        "the clock is not trusted",
        "the clock is behind a time already seen, or jumped ahead",
        "set it right, or confirm it with `elevon clock accept` on the machine",
        &[],
    ),
    rule(
        ("timed_out", 503, At::Everywhere),
        "the request took too long",
        "no answer in time; a command may still have been carried out",
        "read back, or repeat it with the same `Idempotency-Key`",
        &[],
    ),
    rule(
        ("unavailable", 503, At::Credential),
        "stored facts cannot be read",
        "stored facts cannot be read at the moment, and nothing is guessed",
        LATER,
        &[],
    ),
];

/// The `type` of a rule's problems.
pub(super) fn type_of(word: &str) -> String {
    format!("{TYPE_PREFIX}{word}")
}

/// What all problem documents have in common.
pub(super) fn schema() -> Value {
    let mut schema = object(
        &["type", "rule", "title", "status", "detail", "seq", "request_id"],
        &[
            ("type", json!({ "type": "string", "format": "uri", "description": "stable: `urn:elevon:problem:` and the rule's word" })),
            ("rule", json!({ "type": "string", "description": "the rule's word alone" })),
            ("title", json!({ "type": "string", "description": "the same for all problems of a rule" })),
            ("status", json!({ "type": "integer", "description": "the status code" })),
            ("detail", json!({ "type": "string", "description": "what is wrong with this request, and what to do" })),
            ("seq", json!({ "type": "integer", "minimum": 0, "description": "where the journal stood" })),
            ("request_id", json!({ "type": "string", "description": "as in `X-Request-ID`, and in the log" })),
        ],
    );
    super::put(&mut schema, "additionalProperties", json!(true));
    super::put(&mut schema, "description", json!("A problem document (RFC 9457). Members of its own depend on the rule."));
    schema
}

/// The problem documents of a few rules that share a status.
pub(super) fn schema_of(rules: &[&Rule]) -> Value {
    let words: Vec<&str> = rules.iter().map(|rule| rule.word).collect();
    let types: Vec<String> = words.iter().map(|word| type_of(word)).collect();
    let status = rules.first().map(|rule| rule.status);
    let narrowed = json!({
        "type": "object",
        "properties": { "type": { "enum": types }, "rule": { "enum": words }, "status": { "const": status } },
    });
    json!({ "allOf": [reference("Problem"), narrowed] })
}

/// An example of a rule's problem document.
pub(super) fn example(rule: &Rule) -> Value {
    json!({
        "type": type_of(rule.word),
        "rule": rule.word,
        "title": rule.title,
        "status": rule.status,
        "detail": format!("{}; {}", rule.means, rule.todo),
        "seq": 42,
        "request_id": "0198f3a2-7c4e-7d1b-9a55-0c2f6f1e8b11",
    })
}
