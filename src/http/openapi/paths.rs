//! The operations: for each endpoint its parameters, its body, its answers and the rules by which it refuses.
//!
//! What is asked of the policies stands in the endpoint's own row, and goes into the description from there.

use http::Method;
use serde_json::{Value, json};

use crate::engine::ports::MAX_PAGE;
use crate::http::limits::DEFAULT_PAGE;

use super::schemas::{activation_status, answered, boolean, described, grant_request_status, page_of, reference, string};

/// How an answer's body reads.
#[derive(Debug, Clone)]
pub(super) enum Content {
    Json(Value),
    Text(&'static str),
}

/// One answer that is no refusal.
#[derive(Debug, Clone)]
pub(super) struct Answered {
    pub(super) status: u16,
    pub(super) says: &'static str,
    pub(super) content: Content,
    /// Whether it says where the new thing is.
    pub(super) located: bool,
}

/// One endpoint and method.
#[derive(Debug, Clone)]
pub(super) struct Operation {
    pub(super) method: Method,
    pub(super) path: &'static str,
    /// Its name, for programs that are generated.
    pub(super) id: &'static str,
    pub(super) tag: &'static str,
    pub(super) summary: &'static str,
    /// Whether it needs a credential.
    pub(super) credential: bool,
    pub(super) query: Vec<Value>,
    /// The schema of its body, and whether there has to be one.
    pub(super) body: Option<(&'static str, bool)>,
    /// Whether it submits a command.
    pub(super) command: bool,
    /// Whether its errors are plain texts, as AuthZEN wants them.
    pub(super) plain: bool,
    pub(super) answers: Vec<Answered>,
    pub(super) rules: Vec<&'static str>,
}

pub(super) fn operation(method: Method, path: &'static str, id: &'static str, tag: &'static str, summary: &'static str) -> Operation {
    Operation {
        method,
        path,
        id,
        tag,
        summary,
        credential: true,
        query: Vec::new(),
        body: None,
        command: false,
        plain: false,
        answers: Vec::new(),
        rules: Vec::new(),
    }
}

impl Operation {
    pub(super) fn open(mut self) -> Self {
        self.credential = false;
        self
    }

    pub(super) fn query(mut self, parameters: impl IntoIterator<Item = Value>) -> Self {
        self.query.extend(parameters);
        self
    }

    pub(super) fn body(mut self, schema: &'static str) -> Self {
        self.body = Some((schema, true));
        self
    }

    pub(super) fn body_or_none(mut self, schema: &'static str) -> Self {
        self.body = Some((schema, false));
        self
    }

    pub(super) fn command(mut self) -> Self {
        self.command = true;
        self
    }

    pub(super) fn answer(mut self, status: u16, says: &'static str, schema: Value) -> Self {
        self.answers.push(Answered { status, says, content: Content::Json(schema), located: false });
        self
    }

    pub(super) fn created(mut self, says: &'static str, schema: &str) -> Self {
        self.answers.push(Answered { status: 201, says, content: Content::Json(answered(schema)), located: true });
        self
    }

    pub(super) fn text(mut self, says: &'static str, kind: &'static str) -> Self {
        self.answers.push(Answered { status: 200, says, content: Content::Text(kind), located: false });
        self
    }

    pub(super) fn refused(mut self, rules: &[&'static str]) -> Self {
        self.rules.extend(rules);
        self
    }
}

pub(super) fn get(path: &'static str, id: &'static str, tag: &'static str, summary: &'static str) -> Operation {
    operation(Method::GET, path, id, tag, summary)
}

pub(super) fn post(path: &'static str, id: &'static str, tag: &'static str, summary: &'static str) -> Operation {
    operation(Method::POST, path, id, tag, summary)
}

pub(super) fn parameter(name: &str, schema: Value, says: &str) -> Value {
    json!({ "name": name, "in": "query", "required": false, "description": says, "schema": schema })
}

fn required(name: &str, schema: Value, says: &str) -> Value {
    json!({ "name": name, "in": "query", "required": true, "description": says, "schema": schema })
}

pub(super) fn page() -> [Value; 2] {
    let limit = json!({ "type": "integer", "minimum": 1, "maximum": MAX_PAGE, "default": DEFAULT_PAGE });
    [parameter("limit", limit, "items in a page, at most"), parameter("cursor", string(), "`next` of the page before")]
}

pub(super) fn principal() -> [Value; 2] {
    [
        parameter("principal_type", reference("EntityType"), "goes with `principal_id`"),
        parameter("principal_id", reference("Name"), "goes with `principal_type`"),
    ]
}

fn role() -> Value {
    parameter("role", reference("Name"), "of this role only")
}

pub(super) fn from_to() -> [Value; 2] {
    [parameter("from", reference("Time"), "not before"), parameter("to", reference("Time"), "before")]
}

pub(super) fn taking_back() -> [Value; 2] {
    [
        parameter("reason", reference("Text"), "why, for clients that send no body with `DELETE`"),
        parameter("dry_run", boolean(), "only say what would become of it"),
    ]
}

/// What a vote or an ending is refused for, whatever it is about.
const ABOUT_ACTIVATION: [&str; 3] = ["not_found", "not_permitted", "not_in_state"];
/// What a request for a role is refused for.
const ASKING: [&str; 23] = [
    "conflicting_members",
    "not_permitted",
    "not_eligible",
    "emergency_for_others",
    "quorum_unreachable",
    "already_active",
    "too_many_pending",
    "budget_exhausted",
    "emergency_limit",
    "unknown_principal",
    "not_a_holder",
    "unknown_role",
    "unknown_scope",
    "scope_not_allowed",
    "scope_required",
    "requirements_missing",
    "duration_too_long",
    "duration_zero",
    "window_empty",
    "start_too_far",
    "no_emergency",
    "not_in_state",
    "not_found",
];
/// What a grant is refused for.
const GRANTING: [&str; 15] = [
    "not_permitted",
    "self_grant",
    "already_granted",
    "unknown_principal",
    "not_a_holder",
    "unknown_role",
    "unknown_scope",
    "scope_not_allowed",
    "scope_required",
    "permanent_not_allowed",
    "window_empty",
    "duration_too_long",
    "duration_zero",
    "requirements_missing",
    "not_found",
];
/// What a request to prolong a grant is refused for.
const PROLONGING: [&str; 13] = [
    "conflicting_members",
    "not_found",
    "not_permitted",
    "not_prolongable",
    "grant_request_waits",
    "unknown_role",
    "window_empty",
    "duration_too_long",
    "duration_zero",
    "permanent_not_allowed",
    "unknown_principal",
    "unknown_scope",
    "not_a_holder",
];
/// What a change of an entity is refused for.
const WRITING: [&str; 12] = [
    "not_found",
    "not_permitted",
    "self_grant",
    "owned_by_bundle",
    "fold_exists",
    "cycle",
    "role_as_parent",
    "unknown_parent",
    "type_not_storable",
    "entity_invalid",
    "not_a_holder",
    "not_in_state",
];

/// Every operation.
pub(super) fn operations() -> Vec<Operation> {
    let mut all = data();
    all.extend(activations());
    all.extend(grants("/v1/eligibilities"));
    all.extend(grants("/v1/assignments"));
    all.extend(grant_requests());
    all.extend(super::reviews::operations());
    all.extend(super::alerts::operations());
    all.extend(super::notifications::operations());
    all.extend(entities());
    all.extend(running());
    all
}

fn data() -> Vec<Operation> {
    let mut evaluation =
        post("/access/v1/evaluation", "evaluate", "Checks", "May this subject do this to that? (AuthZEN Authorization API 1.0)")
            .body("Evaluation")
            .answer(200, "The decision. A deny is an answer, and no error.", reference("Decision"))
            .refused(&["not_permitted"]);
    evaluation.plain = true;
    let mut metadata = get("/.well-known/authzen-configuration", "metadata", "Checks", "What is served of AuthZEN").open().answer(
        200,
        "What is served.",
        reference("Metadata"),
    );
    metadata.credential = false;
    vec![
        evaluation,
        get("/v1/elevated", "elevated", "Checks", "Does a principal hold a role now?")
            .query([
                required("principal_type", reference("EntityType"), "whom"),
                required("principal_id", reference("Name"), "whom"),
                required("role", reference("Name"), "which role"),
                parameter(
                    "resource_type",
                    reference("EntityType"),
                    "goes with `resource_id`; without them, only what is held everywhere counts",
                ),
                parameter("resource_id", reference("Name"), "goes with `resource_type`"),
            ])
            .answer(200, "Whether, until when, and by which holdings.", reference("Elevated"))
            .refused(&["not_permitted", "unknown_role"]),
        metadata,
        post("/v1/explain", "explain", "Checks", "A check with its reasons")
            .body("Evaluation")
            .answer(200, "The decision, what counted, and why the rest did not.", reference("Explanation"))
            .refused(&["not_permitted"]),
    ]
}

fn activations() -> Vec<Operation> {
    let activation = || answered("ActivationOrBrief");
    let one = |path, id, summary, body: &'static str, body_needed: bool| {
        let asked = post(path, id, "Activations", summary).command().answer(200, "What became of it.", activation());
        let asked = if body_needed { asked.body(body) } else { asked.body_or_none(body) };
        asked.refused(&ABOUT_ACTIVATION)
    };
    let voting = ["separation_of_duties", "not_an_approver", "already_voted", "request_changed", "quorum_unreachable", "budget_exhausted"];
    let less = ["wider_than_asked", "duration_zero", "unknown_scope", "scope_not_allowed", "unknown_role", "window_empty", "not_eligible"];
    let filters = || page().into_iter().chain(principal()).chain([role()]);
    vec![
        post("/v1/activations", "requestActivation", "Activations", "Ask for a role")
            .body("ActivationRequest")
            .command()
            .created("A new request, or an activation where nobody has to approve.", "ActivationOrBrief")
            .answer(200, "What was asked for is there already.", activation())
            .refused(&ASKING),
        post("/v1/activations/bulk", "requestActivations", "Activations", "Ask for several roles, each for itself")
            .body("ActivationBulk")
            .command()
            .answer(200, "What became of each, in order, with the status that it would have had alone.", reference("ActivationOutcomes")),
        get("/v1/activations", "listActivations", "Activations", "Requests and activations, newest first")
            .query(filters())
            .query([parameter("status", activation_status(), "where it stands")])
            .query(from_to())
            .answer(200, "A page of those that the caller may read.", page_of("Activation")),
        get("/v1/activations/{id}", "readActivation", "Activations", "One request or activation")
            .answer(200, "It.", answered("Activation"))
            .refused(&["not_found", "not_permitted"]),
        post("/v1/activations/{id}/extend", "extendActivation", "Activations", "Ask for more time for an active one")
            .body_or_none("Extension")
            .command()
            .created("The request to extend, which is an activation with `extends`.", "ActivationOrBrief")
            .answer(200, "One waits already for at least as long.", activation())
            .refused(&ABOUT_ACTIVATION)
            .refused(&["not_extendable", "too_early_to_extend", "extension_waits", "budget_exhausted", "quorum_unreachable"])
            .refused(&["duration_zero", "duration_too_long", "requirements_missing", "unknown_role", "window_empty", "not_eligible"]),
        one("/v1/activations/{id}/approve", "approveActivation", "Vote for it, or for less", "Approve", true)
            .refused(&voting)
            .refused(&less),
        one("/v1/activations/{id}/deny", "denyActivation", "Vote against it, which ends it", "Deny", true).refused(&voting),
        one("/v1/activations/{id}/cancel", "cancelActivation", "Take a request back, or a scheduled one before it begins", "Ending", false),
        one("/v1/activations/{id}/deactivate", "deactivateActivation", "End one's own", "Ending", false).refused(&["not_the_holder"]),
        one("/v1/activations/{id}/revoke", "revokeActivation", "End somebody else's", "Ending", false),
        post("/v1/activations/revoke", "revokeEverything", "Activations", "End everything that a principal, or a role, has open")
            .body("RevokeEverything")
            .command()
            .answer(200, "What is active counts no more in the very next check; what waits fails.", reference("Revoked"))
            .refused(&["conflicting_members", "not_permitted", "not_a_holder", "unknown_principal", "unknown_role", "not_found"]),
        get(
            "/approve",
            "approvalPage",
            "Activations",
            "The page that a link in a message leads to: it shows the request and takes the vote",
        )
        .open()
        .text("The page. The link stands behind the `#` of its address and is not sent with this request.", "text/html"),
        post("/v1/approval-links/open", "openApprovalLink", "Activations", "The request that a link was made for")
            .body("OpenLink")
            .answer(200, "The request as it stands, and whether it still reads as it did in the message.", reference("OpenedLink"))
            .refused(&["bad_link", "link_expired", "link_of_another", "link_used", "not_found", "not_permitted"]),
        post("/v1/approval-links/use", "useApprovalLink", "Activations", "Vote by a link; once")
            .body("UseLink")
            .command()
            .answer(200, "What became of the request.", activation())
            .refused(&ABOUT_ACTIVATION)
            .refused(&voting)
            .refused(&less)
            .refused(&["bad_link", "link_expired", "link_of_another", "link_used"]),
        get("/v1/approvals", "listApprovals", "Activations", "What waits for the caller's vote, oldest first").query(page()).answer(
            200,
            "A page.",
            reference("Approvals"),
        ),
        get("/v1/me", "me", "Activations", "What the caller may activate, holds and waits for").answer(200, "All of it.", reference("Me")),
        get("/v1/roles", "listRoles", "Roles", "The role settings in force").answer(200, "All roles.", reference("Roles")),
        get("/v1/roles/{role}", "readRole", "Roles", "The settings of one role")
            .answer(200, "Its settings.", answered("Role"))
            .refused(&["not_found"]),
    ]
}

/// The two kinds of grant are asked for and shown alike.
fn grants(base: &'static str) -> Vec<Operation> {
    let eligibility = base == "/v1/eligibilities";
    let named = |one: &'static str, other: &'static str| if eligibility { one } else { other };
    let tag = named("Eligibilities", "Assignments");
    let granted = || answered("Granted");
    let one = named("/v1/eligibilities/{id}", "/v1/assignments/{id}");
    let prolong = |path, id, summary| {
        post(path, id, tag, summary)
            .body("Prolong")
            .command()
            .created("A request that an administrator decides.", "GrantRequest")
            .refused(&PROLONGING)
    };
    vec![
        post(
            base,
            named("createEligibility", "createAssignment"),
            tag,
            named("Let somebody activate a role", "Give a role that needs no activation"),
        )
        .body("Grant")
        .command()
        .created("The grant.", "Granted")
        .refused(&GRANTING),
        get(base, named("listEligibilities", "listAssignments"), tag, "Those that the caller may see")
            .query(page().into_iter().chain(principal()).chain([role()]))
            .query([parameter("include_ended", boolean(), "those that ended, too")])
            .answer(200, "A page.", page_of("Granted")),
        get(one, named("readEligibility", "readAssignment"), tag, "One of them")
            .answer(200, "It.", granted())
            .refused(&["not_found", "not_permitted"]),
        operation(Method::DELETE, one, named("removeEligibility", "removeAssignment"), tag, "End it")
            .query(taking_back())
            .body_or_none("Ending")
            .command()
            .answer(200, "The grant as it ended.", granted())
            .refused(&["not_found", "not_permitted", "self_grant", "not_in_state"]),
        prolong(
            named("/v1/eligibilities/{id}/extend", "/v1/assignments/{id}/extend"),
            named("extendEligibility", "extendAssignment"),
            "Ask that one that runs runs longer",
        ),
        prolong(
            named("/v1/eligibilities/{id}/renew", "/v1/assignments/{id}/renew"),
            named("renewEligibility", "renewAssignment"),
            "Ask for one again that ended at most 30 days ago",
        ),
    ]
}

fn grant_requests() -> Vec<Operation> {
    let tag = "Grant requests";
    let decide = |path, id, summary, body| {
        let answered =
            post(path, id, tag, summary).body_or_none(body).command().answer(200, "What became of it.", answered("GrantRequest"));
        answered.refused(&["not_found", "not_permitted", "not_in_state"])
    };
    vec![
        get("/v1/grant-requests", "listGrantRequests", tag, "Requests to extend or renew a grant, newest first")
            .query(page().into_iter().chain(principal()).chain([role(), parameter("status", grant_request_status(), "where it stands")]))
            .answer(200, "A page of those that the caller may see.", page_of("GrantRequest")),
        get("/v1/grant-requests/{id}", "readGrantRequest", tag, "One of them")
            .answer(200, "It.", answered("GrantRequest"))
            .refused(&["not_found", "not_permitted"]),
        decide("/v1/grant-requests/{id}/approve", "approveGrantRequest", "Grant it, or an earlier end", "GrantApproval")
            .refused(&["self_grant", "not_prolongable", "wider_than_asked", "already_granted"])
            .refused(&["unknown_role", "window_empty", "duration_too_long", "permanent_not_allowed", "unknown_principal", "unknown_scope"]),
        decide("/v1/grant-requests/{id}/deny", "denyGrantRequest", "Refuse it", "Ending").refused(&["self_grant"]),
        decide("/v1/grant-requests/{id}/cancel", "cancelGrantRequest", "Take it back", "Ending"),
    ]
}

fn entities() -> Vec<Operation> {
    let tag = "Entities";
    let kind = || parameter("type", reference("EntityType"), "of this type only");
    let changed = || answered("EntityChanged");
    let shown = json!({ "anyOf": [answered("EntityShown"), page_of("EntityShown")] });
    let switch = |path, id, summary| {
        post(path, id, tag, summary).body("EntitySwitch").command().answer(200, "The entity.", changed()).refused(&WRITING)
    };
    vec![
        get("/v1/entities", "readEntities", tag, "One entity, where `type` and `id` are given; else a list, the bundle's first")
            .query([kind(), parameter("id", reference("Name"), "this one; goes with `type`")])
            .query(page())
            .answer(200, "The entity, or a page.", shown)
            .refused(&["not_found", "not_permitted"]),
        operation(Method::PUT, "/v1/entities", "putEntity", tag, "Store an entity")
            .body("EntityDefinition")
            .command()
            .answer(201, "It is new.", changed())
            .answer(200, "It was there.", changed())
            .refused(&WRITING)
            .refused(&["not_available_yet"]),
        operation(Method::DELETE, "/v1/entities", "deleteEntity", tag, "Delete a stored entity; a name that comes back revives nothing")
            .query([required("type", reference("EntityType"), "its type"), required("id", reference("Name"), "its id")])
            .query(taking_back())
            .body_or_none("Ending")
            .command()
            .answer(200, "It is gone.", changed())
            .refused(&WRITING),
        switch("/v1/entities/disable", "disableEntity", "Stop a principal at once, whoever owns it"),
        switch("/v1/entities/enable", "enableEntity", "Let a disabled principal act again"),
    ]
}

fn running() -> Vec<Operation> {
    let audit = [
        parameter("activation", reference("Name"), "about this activation"),
        parameter("kind", string(), "with an event of this kind"),
        parameter(
            "order",
            json!({ "type": "string", "enum": ["asc", "desc"], "default": "asc" }),
            "`asc`: oldest first; `desc`: newest first. The cursor goes on in the same order",
        ),
    ];
    let mut all = vec![
        get("/v1/policies", "policies", "Policies", "The live bundle")
            .answer(200, "What is live, and what is wrong with what is not.", reference("PolicyStatus"))
            .refused(&["not_permitted"]),
        post("/v1/policies/reload", "reloadPolicies", "Policies", "Take the folder's bundle")
            .body_or_none("Nothing")
            .command()
            .answer(200, "It is live.", reference("Reloaded"))
            .refused(&["not_permitted", "bundle_invalid", "not_available_yet"]),
        post("/v1/policies/validate", "validatePolicies", "Policies", "Try a bundle; nothing is kept")
            .body("BundleFiles")
            .answer(200, "Whether it could go live, and what is wrong with it.", reference("Tried"))
            .refused(&["not_permitted"]),
        get("/v1/audit/events", "auditEvents", "Audit", "The journal, oldest first unless `order` says otherwise")
            .query(page().into_iter().chain(principal()).chain([role()]).chain(audit).chain(from_to()))
            .answer(200, "A page of records.", page_of("AuditItem"))
            .refused(&["not_permitted"]),
        get("/v1/audit/tip", "auditTip", "Audit", "The newest record's number, hash and time, to be noted elsewhere")
            .answer(200, "Where the journal ends.", reference("AuditTip"))
            .refused(&["not_permitted"]),
        get("/v1/events", "watchEvents", "Audit", "The journal as it grows, as server-sent events")
            .query([parameter(
                "after",
                json!({ "type": "integer", "minimum": 0 }),
                "begin after this sequence; `Last-Event-ID` counts where both are there",
            )])
            .text(
                "Events `record`, each with its sequence as `id`; it goes on until the client or the server closes it.",
                "text/event-stream",
            )
            .refused(&["unknown_principal", "principal_disabled"]),
        get("/healthz", "health", "Health", "Does the process answer?").open().answer(200, "It does.", reference("Health")),
        get("/readyz", "readiness", "Health", "Can it do its work?")
            .open()
            .answer(200, "A bundle is live, the journal writes, time is trusted.", reference("Readiness"))
            .refused(&["not_ready"]),
        get("/metrics", "metrics", "Health", "Metrics (OpenMetrics)")
            .open()
            .text("Metrics, never labelled by principal.", "application/openmetrics-text")
            .refused(&["no_credential", "bad_credential", "not_permitted", "unavailable"]),
        get("/openapi.json", "openapi", "Health", "This document").open().answer(
            200,
            "An OpenAPI 3.1 document.",
            described(json!({ "type": "object" }), "OpenAPI 3.1"),
        ),
    ];
    #[cfg(feature = "test-clock")]
    {
        let clock = post("/dev/clock", "moveClock", "Health", "Move the clock of a server that tests started so; else 404")
            .open()
            .body("Clock")
            .answer(200, "The time by now.", reference("ClockShown"))
            .refused(&["no_such_endpoint"]);
        all.push(clock);
    }
    all.shrink_to_fit();
    all
}
