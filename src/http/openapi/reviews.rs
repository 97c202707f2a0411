//! Access reviews: their operations, what is sent and answered, and examples of both.

use http::Method;
use serde_json::{Value, json};

use crate::domain::calendar::Every;
use crate::domain::review::{Applied, Covers, Decided, MAX_DECIDED, MAX_REVIEW_STAGES, MAX_STAGE_DAYS, NoAnswer, ReviewStatus};

use super::paths::{Operation, get, operation, page, parameter, post, principal, taking_back};
use super::put;
use super::schemas::{answered, boolean, count, described, list, nullable, object, page_of, reference, seq, string, whole, words};

const TAG: &str = "Access reviews";
const DEFINITION: &str = "rvd_0198f3a2-7c4e-7d1b-9a55-0c2f6f1e8b16";
const REVIEW: &str = "rev_0198f3a2-7c4e-7d1b-9a55-0c2f6f1e8b16_1";
const ELIGIBILITY: &str = "elg_0198f3a2-7c4e-7d1b-9a55-0c2f6f1e8b12";
const NINE: &str = "2030-01-31T09:00:00.000Z";
const LATER: &str = "2030-02-14T09:00:00.000Z";

/// An id as the path of one of these endpoints has it.
pub(super) fn id_below(path: &str) -> &'static str {
    if path.starts_with("/v1/reviews/definitions") { DEFINITION } else { REVIEW }
}

/// Every operation.
pub(super) fn operations() -> Vec<Operation> {
    let defining =
        ["not_permitted", "review_invalid", "unknown_role", "unknown_scope", "unknown_principal", "not_a_holder", "conflicting_members"];
    let definition = || answered("ReviewDefinition");
    let one = |path, id, summary, body| {
        let asked = post(path, id, TAG, summary).command().answer(200, "As it stands now.", answered("Review")).body_or_none(body);
        asked.refused(&["not_found", "not_permitted", "not_in_state"])
    };
    let read = |path, id, summary| get(path, id, TAG, summary).refused(&["not_found", "not_permitted"]);
    let ended = ["not_found", "not_in_state"];
    vec![
        post("/v1/reviews/definitions", "defineReviews", TAG, "Say what is reviewed, by whom, and how often")
            .body("ReviewPlan")
            .command()
            .created("The definition.", "ReviewDefinition")
            .refused(&defining),
        get("/v1/reviews/definitions", "listReviewDefinitions", TAG, "All definitions")
            .query(page())
            .answer(200, "A page.", page_of("ReviewDefinition"))
            .refused(&["not_permitted"]),
        read("/v1/reviews/definitions/{id}", "readReviewDefinition", "One of them").answer(200, "It.", definition()),
        operation(Method::PUT, "/v1/reviews/definitions/{id}", "changeReviews", TAG, "Say it anew, from the next review on")
            .body("ReviewPlan")
            .command()
            .answer(200, "The definition.", definition())
            .refused(&defining)
            .refused(&ended),
        operation(Method::DELETE, "/v1/reviews/definitions/{id}", "endReviews", TAG, "Open no more reviews of it")
            .query(taking_back())
            .body_or_none("Ending")
            .command()
            .answer(200, "The definition as it ended. A review that is open goes on.", definition())
            .refused(&ended)
            .refused(&["not_permitted"]),
        post("/v1/reviews/definitions/{id}/start", "startReview", TAG, "Open a review of it now")
            .body_or_none("Only")
            .command()
            .created("The review. Its items are taken right after.", "Review")
            .refused(&ended)
            .refused(&["not_permitted"]),
        get("/v1/reviews", "listReviews", TAG, "Reviews that the caller may see, newest first")
            .query(page())
            .query([parameter("definition", reference("Name"), "of this definition"), parameter("status", status(), "where it stands")])
            .answer(200, "A page.", page_of("Review")),
        read("/v1/reviews/{id}", "readReview", "One of them").answer(200, "It.", answered("Review")),
        read("/v1/reviews/{id}/items", "listReviewItems", "Its items: all, or those that wait for the caller's decision")
            .query(page().into_iter().chain(principal()))
            .answer(200, "A page.", page_of("ReviewItem")),
        post("/v1/reviews/{id}/decide", "decideReview", TAG, "Decide on items, all of them or none")
            .body("ReviewDecision")
            .command()
            .answer(200, "The review as it stands now.", answered("Review"))
            .refused(&["not_found", "not_permitted", "not_in_state", "not_a_reviewer", "separation_of_duties", "review_invalid"]),
        one("/v1/reviews/{id}/complete", "completeReview", "End the asking before its time", "Ending"),
        one("/v1/reviews/{id}/apply", "applyReview", "Carry out what was decided", "ReviewApply").refused(&["confirmation_needed"]),
        read("/v1/reviews/{id}/report", "reportReview", "The review and all its items").answer(
            200,
            "All of it.",
            reference("ReviewReport"),
        ),
        read("/v1/reviews/{id}/report.csv", "reportReviewAsTable", "The same as a table (RFC 4180)")
            .text("A line for each item; no cell begins as a formula does.", "text/csv"),
        read("/v1/reviews/{id}/report.html", "reportReviewAsPage", "The same as a page that prints well")
            .text("A page of its own, without scripts.", "text/html"),
    ]
}

fn status() -> Value {
    words(&ReviewStatus::ALL.map(ReviewStatus::as_str))
}

fn whole_number(least: u32, most: u32) -> Value {
    json!({ "type": "integer", "minimum": least, "maximum": most })
}

fn subject() -> Value {
    whole(&[("kind", words(&["eligibility", "assignment", "activation"])), ("id", reference("Name"))])
}

/// What is sent.
pub(super) fn commands() -> Vec<(&'static str, Value)> {
    let uid = || reference("Entity");
    let days = || whole_number(1, MAX_STAGE_DAYS);
    let word = |known: &[&str]| {
        let with_null: Vec<Value> = known.iter().map(|word| json!(word)).chain([Value::Null]).collect();
        json!({ "type": ["string", "null"], "enum": with_null })
    };
    let dry_run = || described(nullable(boolean()), "only say what would become of it; nothing changes and nothing is journaled");
    let mut stage = object(
        &["days"],
        &[
            (
                "reviewers",
                described(nullable(list(uid())), "principals, and groups whose enabled members decide; nobody on their own access"),
            ),
            ("self", described(nullable(boolean()), "holders decide themselves")),
            ("fallback", described(nullable(list(uid())), "who decides on what nobody of those could")),
            ("days", described(days(), "how long it takes")),
        ],
    );
    let exclusive = json!([
        { "required": ["reviewers"], "properties": { "reviewers": { "type": "array", "minItems": 1 }, "self": { "enum": [false, null] } } },
        { "required": ["self"], "properties": { "self": { "const": true }, "reviewers": { "anyOf": [{ "type": "null" }, { "maxItems": 0 }] } } },
    ]);
    put(&mut stage, "oneOf", exclusive);
    let recurrence = object(
        &["every", "first"],
        &[
            ("every", words(&Every::ALL.map(Every::as_str))),
            (
                "first",
                described(
                    json!({ "type": "string", "format": "date", "pattern": "^[1-9][0-9]{3}-" }),
                    "the first day; at most a year back. A later month without such a day has it on its last",
                ),
            ),
            (
                "at",
                described(
                    json!({ "type": ["string", "null"], "pattern": "^(?:[01][0-9]|2[0-3]):[0-5][0-9]$" }),
                    "the time of day; midnight, where left out",
                ),
            ),
            ("time_zone", described(nullable(string()), "by the clocks of which zone (IANA); UTC, where left out")),
        ],
    );
    let stages = json!({ "type": "array", "minItems": 1, "maxItems": MAX_REVIEW_STAGES, "items": stage });
    vec![
        (
            "ReviewPlan",
            object(
                &["name", "stages", "recurrence"],
                &[
                    ("name", reference("Name")),
                    ("roles", described(nullable(list(reference("Name"))), "grants of these roles; of all, where left out")),
                    (
                        "scopes",
                        described(
                            nullable(list(uid())),
                            "grants on these scopes and below; all, and those that hold everywhere, where left out",
                        ),
                    ),
                    ("covers", described(word(&Covers::ALL.map(Covers::as_str)), "which grants; `both`, where left out")),
                    ("inactive_days", described(nullable(whole_number(1, u32::MAX)), "only what was not used for so many days")),
                    (
                        "stages",
                        described(
                            stages,
                            "asked in order, each about every item; what a later one decides stands. Together no longer than until the next review",
                        ),
                    ),
                    ("recurrence", recurrence),
                    (
                        "no_answer",
                        described(
                            word(&NoAnswer::ALL.map(NoAnswer::as_str)),
                            "what becomes of an item on which nobody decided who knew; `no_change`, where left out",
                        ),
                    ),
                    ("auto_apply", described(nullable(boolean()), "carry it out as soon as it is complete")),
                    (
                        "confirm_above",
                        described(
                            nullable(whole_number(1, 100)),
                            "the share of removals, in percent, above which they have to be confirmed; 20, where left out",
                        ),
                    ),
                    ("reminders", described(nullable(boolean()), "remind those who have not answered; true, where left out")),
                    ("dry_run", dry_run()),
                ],
            ),
        ),
        (
            "ReviewDecision",
            object(
                &["items", "decision", "reason"],
                &[
                    ("items", json!({ "type": "array", "minItems": 1, "maxItems": MAX_DECIDED, "items": subject() })),
                    ("decision", words(&Decided::ALL.map(Decided::as_str))),
                    ("reason", json!({ "allOf": [reference("Text"), { "pattern": r"\S" }] })),
                    ("dry_run", dry_run()),
                ],
            ),
        ),
        (
            "ReviewApply",
            object(
                &[],
                &[
                    (
                        "confirm",
                        described(
                            nullable(whole_number(0, u32::MAX)),
                            "how many removals are meant, where they have to be confirmed: `items.removals`",
                        ),
                    ),
                    ("dry_run", dry_run()),
                ],
            ),
        ),
        ("Only", object(&[], &[("dry_run", dry_run())])),
    ]
}

/// What is answered.
pub(super) fn answers() -> Vec<(&'static str, Value)> {
    let (uid, time) = (|| reference("Entity"), || reference("Time"));
    let stage = object(
        &["reviewers", "self", "fallback", "days"],
        &[
            ("reviewers", list(uid())),
            ("self", boolean()),
            ("permitted", described(boolean(), "whoever the policies permit: of emergencies, and nowhere else")),
            ("fallback", list(uid())),
            ("days", count()),
        ],
    );
    let plan = [
        ("name", reference("Name")),
        ("roles", list(reference("Name"))),
        ("scopes", list(uid())),
        ("covers", words(&Covers::ALL.map(Covers::as_str))),
        ("inactive_days", nullable(count())),
        ("stages", list(stage)),
        ("no_answer", words(&NoAnswer::ALL.map(NoAnswer::as_str))),
        ("auto_apply", boolean()),
        ("confirm_above", count()),
        ("reminders", boolean()),
    ];
    let recurrence = whole(&[
        ("every", words(&Every::ALL.map(Every::as_str))),
        ("first", json!({ "type": "string", "format": "date" })),
        ("at", string()),
        ("time_zone", string()),
    ]);
    let definition = [
        ("id", nullable(string())),
        ("recurrence", recurrence),
        ("defined_by", nullable(uid())),
        ("defined_at", time()),
        ("opened", described(count(), "how many reviews of it were opened")),
        ("next", described(nullable(time()), "when the next one begins; null after the last")),
        ("ended", nullable(whole(&[("by", nullable(uid())), ("at", time()), ("reason", nullable(string()))]))),
    ];
    let counts = whole(&[
        ("total", count()),
        ("approved", count()),
        ("denied", count()),
        ("undecided", described(count(), "nobody decided who knew")),
        ("open", described(count(), "nobody answered in the stage that is asked now")),
        ("removals", described(count(), "what would be taken away as things stand")),
        ("applied", count()),
        ("removed", count()),
    ]);
    let review = [
        ("id", nullable(string())),
        ("of", whole(&[("kind", words(&["definition", "emergency"])), ("id", string())])),
        ("number", count()),
        ("status", status()),
        ("stage", described(nullable(count()), "the stage that is asked now, from 1")),
        ("opened_at", time()),
        ("ends_at", described(nullable(time()), "until when that stage takes decisions")),
        ("completed_at", nullable(time())),
        ("applied_at", nullable(time())),
        ("truncated", described(boolean(), "whether more grants matched than a review takes")),
        ("confirm", described(nullable(count()), "of a complete one: the removals that have to be confirmed")),
        ("items", counts),
    ];
    let decision = whole(&[
        ("stage", count()),
        ("by", nullable(uid())),
        ("at", time()),
        ("decision", words(&Decided::ALL.map(Decided::as_str))),
        ("reason", nullable(string())),
    ]);
    let item = whole(&[
        ("subject", subject()),
        ("principal", uid()),
        ("role", reference("Name")),
        ("scope", nullable(uid())),
        ("start", time()),
        ("end", nullable(time())),
        ("granted_at", time()),
        ("last_activation", described(nullable(time()), "when an activation that rests on it last began")),
        ("last_check", described(nullable(time()), "when the role, held by it, last decided a check, to the hour")),
        ("recommendation", nullable(words(&["approve", "deny"]))),
        ("decisions", list(decision)),
        ("decision", described(nullable(words(&["approve", "deny"])), "the one that stands")),
        ("outcome", described(words(&["keep", "remove"]), "what becomes of it as things stand")),
        (
            "applied",
            nullable(whole(&[("at", time()), ("result", words(&[Applied::Kept, Applied::Removed, Applied::Gone].map(Applied::as_str)))])),
        ),
    ]);
    let tail = [("seq", seq()), ("dry_run", json!({ "const": true }))];
    let names = |members: &[(&'static str, Value)]| members.iter().map(|(name, _)| *name).collect::<Vec<_>>();
    let (definition, review) = ([&plan[..], &definition[..]].concat(), [&plan[..], &review[..]].concat());
    vec![
        ("ReviewDefinition", object(&names(&definition), &[&definition[..], &tail[..]].concat())),
        ("Review", object(&names(&review), &[&review[..], &tail[..]].concat())),
        ("ReviewItem", item),
        (
            "ReviewReport",
            whole(&[("review", reference("Review")), ("items", list(reference("ReviewItem"))), ("now", time()), ("seq", seq())]),
        ),
    ]
}

// ---- examples --------------------------------------------------------------------------------------------------------------------

fn user(id: &str) -> Value {
    json!({ "type": "User", "id": id })
}

fn prod() -> Value {
    json!({ "type": "Environment", "id": "prod" })
}

/// What is sent to an operation.
pub(super) fn request(operation: &str) -> Option<Value> {
    Some(match operation {
        "defineReviews" | "changeReviews" => json!({
            "name": "Who may administer databases", "roles": ["db-admin"], "scopes": [prod()], "covers": "both",
            "stages": [{ "reviewers": [{ "type": "Group", "id": "dba-leads" }], "fallback": [{ "type": "Group", "id": "security" }], "days": 14 }],
            "recurrence": { "every": "monthly", "first": "2030-01-31", "at": "09:00", "time_zone": "Europe/Berlin" },
            "no_answer": "take_recommendation", "auto_apply": true,
        }),
        "endReviews" | "completeReview" => json!({ "reason": "done" }),
        "startReview" => json!({}),
        "decideReview" => json!({
            "items": [{ "kind": "eligibility", "id": ELIGIBILITY }], "decision": "deny", "reason": "works in another team by now",
        }),
        "applyReview" => json!({ "confirm": 12 }),
        _ => return None,
    })
}

/// What an operation answers.
pub(super) fn answer(operation: &str, status: u16) -> Option<Value> {
    let with_seq = |mut shown: Value| {
        put(&mut shown, "seq", 42.into());
        shown
    };
    let page = |item: Value| json!({ "items": [item], "next": null, "seq": 42 });
    Some(match (operation, status) {
        ("defineReviews", 201) | ("changeReviews" | "readReviewDefinition", 200) => with_seq(definition()),
        ("endReviews", 200) => {
            let mut ended = definition();
            put(&mut ended, "ended", json!({ "by": user("carol"), "at": NINE, "reason": "done" }));
            put(&mut ended, "next", Value::Null);
            with_seq(ended)
        }
        ("listReviewDefinitions", 200) => page(definition()),
        ("startReview", 201) | ("readReview" | "decideReview" | "completeReview" | "applyReview", 200) => with_seq(review()),
        ("listReviews", 200) => page(review()),
        ("listReviewItems", 200) => page(item()),
        ("reportReview", 200) => json!({ "review": review(), "items": [item()], "now": NINE, "seq": 42 }),
        _ => return None,
    })
}

fn plan() -> Value {
    json!({
        "name": "Who may administer databases", "roles": ["db-admin"], "scopes": [prod()], "covers": "both", "inactive_days": null,
        "stages": [{ "reviewers": [{ "type": "Group", "id": "dba-leads" }], "self": false,
                     "fallback": [{ "type": "Group", "id": "security" }], "days": 14 }],
        "no_answer": "take_recommendation", "auto_apply": true, "confirm_above": 20, "reminders": true,
    })
}

fn definition() -> Value {
    let mut shown = plan();
    let more = [
        ("id", json!(DEFINITION)),
        ("recurrence", json!({ "every": "monthly", "first": "2030-01-31", "at": "09:00", "time_zone": "Europe/Berlin" })),
        ("defined_by", user("carol")),
        ("defined_at", json!("2030-01-15T09:00:00.000Z")),
        ("opened", json!(0)),
        ("next", json!("2030-01-31T08:00:00.000Z")),
        ("ended", Value::Null),
    ];
    more.into_iter().for_each(|(name, value)| put(&mut shown, name, value));
    shown
}

fn review() -> Value {
    let mut shown = plan();
    let counts =
        json!({ "total": 40, "approved": 20, "denied": 3, "undecided": 17, "open": 17, "removals": 5, "applied": 0, "removed": 0 });
    let more = [
        ("id", json!(REVIEW)),
        ("of", json!({ "kind": "definition", "id": DEFINITION })),
        ("number", json!(1)),
        ("status", json!("in_progress")),
        ("stage", json!(1)),
        ("opened_at", json!(NINE)),
        ("ends_at", json!(LATER)),
        ("completed_at", Value::Null),
        ("applied_at", Value::Null),
        ("truncated", json!(false)),
        ("confirm", Value::Null),
        ("items", counts),
    ];
    more.into_iter().for_each(|(name, value)| put(&mut shown, name, value));
    shown
}

fn item() -> Value {
    let decision = json!({ "stage": 1, "by": user("bob"), "at": NINE, "decision": "deny", "reason": "works in another team by now" });
    json!({
        "subject": { "kind": "eligibility", "id": ELIGIBILITY }, "principal": user("alice"), "role": "db-admin", "scope": prod(),
        "start": "2029-10-01T09:00:00.000Z", "end": null, "granted_at": "2029-10-01T09:00:00.000Z",
        "last_activation": "2029-11-03T10:12:00.000Z", "last_check": null, "recommendation": "deny", "decisions": [decision],
        "decision": "deny", "outcome": "remove", "applied": null,
    })
}
