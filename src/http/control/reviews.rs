//! `/v1/reviews`: who still needs what, asked again and again; what is reviewed, each review, and the decisions on its items.

use std::sync::Arc;

use axum::extract::Path;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::domain::calendar::{Date, Every, Schedule, TimeOfDay, Zone};
use crate::domain::decide::who::{Part, object, part_in};
use crate::domain::facts::{Action, Object, Records};
use crate::domain::id::{ReviewDefinitionId, ReviewId};
use crate::domain::review::{
    CONFIRM_ABOVE, Covers, Decided, MAX_DECIDED, NoAnswer, Review, ReviewDefinition, ReviewEntry, ReviewPlan, ReviewStage, ReviewStatus,
    Reviewers, Subject,
};
use crate::domain::{ActivationId, AssignmentId, Command, EligibilityId, Outcome, RoleName, Text, Timestamp, Uid, Unavailable};
use crate::engine::ports::{Listing, Page, ReviewFilter};
use crate::http::asker::{Asker, Done, Params, Sent, SentWithQuery};
use crate::http::ids::{self, take_text};
use crate::http::problem::{self, Problem};
use crate::http::reply::Answer;
use crate::http::strict::{Members, conflicting, malformed_member, missing};
use crate::http::views;

use super::activations::one_of;
use super::endings::ending;
use super::grants::{not_found, reason};
use super::paging::{listed, through};

// ---- what is sent ----------------------------------------------------------------------------------------------------------------

/// What a definition says, and whether it is only tried.
pub(super) fn definition(sent: &Sent) -> Result<(ReviewPlan, Schedule, bool), Problem> {
    let mut members = sent.members()?;
    let dry_run = members.dry_run()?;
    let recurrence = members.optional_object("recurrence")?;
    let recurrence =
        recurrence.ok_or_else(|| missing("recurrence", "`recurrence` is missing; it is an object with `every` and `first`"))?;
    let stages: Vec<Value> = members.required("stages")?;
    let plan = ReviewPlan {
        name: members.required("name")?,
        roles: members.optional::<Vec<RoleName>>("roles")?.unwrap_or_default(),
        scopes: members.entities("scopes")?,
        covers: word(&mut members, "covers", &Covers::ALL.map(Covers::as_str))?.unwrap_or(Covers::Both),
        inactive_days: number(&mut members, "inactive_days")?,
        stages: stages.into_iter().map(stage).collect::<Result<_, _>>()?,
        no_answer: word(&mut members, "no_answer", &NoAnswer::ALL.map(NoAnswer::as_str))?.unwrap_or(NoAnswer::NoChange),
        auto_apply: members.optional("auto_apply")?.unwrap_or(false),
        confirm_above: number(&mut members, "confirm_above")?.unwrap_or(CONFIRM_ABOVE),
        reminders: members.optional("reminders")?.unwrap_or(true),
    };
    members.finish(&[])?;
    Ok((plan, schedule(recurrence)?, dry_run))
}

fn schedule(mut members: Members) -> Result<Schedule, Problem> {
    let every = word::<Every>(&mut members, "every", &Every::ALL.map(Every::as_str))?;
    let schedule = Schedule {
        every: every.ok_or_else(|| missing("recurrence.every", "`recurrence.every` is missing; say how often it comes"))?,
        first: members.required::<Date>("first")?,
        at: members.optional::<TimeOfDay>("at")?.unwrap_or(TimeOfDay::MIDNIGHT),
        zone: members.optional::<String>("time_zone")?.map_or_else(Zone::utc, |name| Zone::new(&name)),
    };
    members.finish(&[])?;
    Ok(schedule)
}

fn stage(value: Value) -> Result<ReviewStage, Problem> {
    let mut members =
        Members::of_item(value).map_err(|_| malformed_member("stages", "a stage is an object with `reviewers` and `days`"))?;
    let (listed, oneself) = (members.entities("reviewers")?, members.optional::<bool>("self")?.unwrap_or(false));
    let reviewers = match (listed.is_empty(), oneself) {
        (false, true) => {
            return Err(conflicting(&["reviewers", "self"], "a stage is decided by those who are listed, or by holders themselves"));
        }
        (true, true) => Reviewers::Holder,
        (_, false) => Reviewers::Selected(listed),
    };
    let days =
        number(&mut members, "days")?.ok_or_else(|| missing("days", "`days` is missing; say for how long the stage takes decisions"))?;
    let stage = ReviewStage { reviewers, fallback: members.entities("fallback")?, days };
    members.finish(&[])?;
    Ok(stage)
}

/// Takes a number without a fraction: `14.0` is one in JSON, too.
fn number(members: &mut Members, name: &'static str) -> Result<Option<u32>, Problem> {
    let Some(given) = members.optional::<f64>(name)? else { return Ok(None) };
    let whole = given.fract() == 0.0 && (0.0..=f64::from(u32::MAX)).contains(&given);
    // what has no fraction and lies in these bounds is written without a point
    let read = whole.then(|| format!("{given:.0}").parse().ok()).flatten();
    read.map(Some).ok_or_else(|| malformed_member(name, format_args!("write a whole number from 0 to {}", u32::MAX)))
}

/// Takes one of a few words.
fn word<T: DeserializeOwned>(members: &mut Members, name: &'static str, known: &[&str]) -> Result<Option<T>, Problem> {
    let Some(given) = members.optional::<String>(name)? else { return Ok(None) };
    let read = serde_json::from_value(Value::String(given));
    read.map(Some).map_err(|_| malformed_member(name, format_args!("write {}", one_of(known))))
}

/// An item as commands name it.
fn subject(value: Value) -> Result<Subject, Problem> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Named {
        kind: String,
        id: String,
    }
    let wrong = |why: String| malformed_member("items", why);
    let Named { kind, id } =
        serde_json::from_value(value).map_err(|_| wrong("write an item as `{\"kind\": \"eligibility\", \"id\": …}`".to_owned()))?;
    let bad = |bad: crate::domain::id::BadName| wrong(bad.to_string());
    match kind.as_str() {
        "eligibility" => EligibilityId::new(&id).map(Subject::Eligibility).map_err(bad),
        "assignment" => AssignmentId::new(&id).map(Subject::Assignment).map_err(bad),
        "activation" => ActivationId::new(&id).map(Subject::Activation).map_err(bad),
        _ => Err(wrong("`kind` is `eligibility`, `assignment` or `activation`".to_owned())),
    }
}

/// What is decided, on which items, why, and whether it is only tried.
pub(super) fn decision(sent: &Sent) -> Result<(Vec<Subject>, Decided, Text, bool), Problem> {
    let mut members = sent.members()?;
    let items: Vec<Value> = members.required("items")?;
    let decided = word::<Decided>(&mut members, "decision", &Decided::ALL.map(Decided::as_str))?;
    let (reason, dry_run) = (take_text(&mut members, "reason")?, members.dry_run()?);
    members.finish(&[])?;
    if items.is_empty() || items.len() > MAX_DECIDED {
        return Err(malformed_member("items", format_args!("it has {} items; send 1 to {MAX_DECIDED}", items.len())));
    }
    let decided = decided.ok_or_else(|| missing("decision", "`decision` is missing; say what becomes of these items"))?;
    let reason = reason.ok_or_else(|| missing("reason", "`reason` is missing or blank; whoever reads the review wants to know why"))?;
    Ok((items.into_iter().map(subject).collect::<Result<_, _>>()?, decided, reason, dry_run))
}

fn definition_id(text: &str) -> Result<ReviewDefinitionId, Problem> {
    ReviewDefinitionId::new(text).map_err(|bad| problem::bad_parameter("id", bad))
}

fn review_id(text: &str) -> Result<ReviewId, Problem> {
    ReviewId::new(text).map_err(|bad| problem::bad_parameter("id", bad))
}

// ---- definitions -----------------------------------------------------------------------------------------------------------------

impl Asker {
    /// Whether the caller may see every review.
    pub(super) fn may_see_reviews(&self) -> Result<bool, Unavailable> {
        Ok(self.may(Action::ManageReviews, Object::Sidecar)? || self.may_audit()?)
    }

    /// Refuses who may not see every review.
    pub(super) fn demand_reviews(&self) -> Result<(), Problem> {
        if self.may_audit()? { Ok(()) } else { self.demand(Action::ManageReviews, Object::Sidecar) }
    }
}

/// What became of a command about a definition.
async fn defined(asker: Asker, done: Done) -> Result<Answer, Problem> {
    let outcome = &done.reply.outcome;
    let (Outcome::ReviewsDefined(id) | Outcome::ReviewsChanged(id)) = outcome else { return Err(problem::unforeseen(outcome)) };
    let (id, created) = (id.clone(), matches!(outcome, Outcome::ReviewsDefined(_)));
    let location = format!("/v1/reviews/definitions/{id}");
    let (body, done) = asker
        .read(move |asker| {
            let found = asker.after(&done, |_, tables, _| tables.review_definition(&id))?;
            let found = found.ok_or_else(|| not_found("review definition", &id))?;
            Ok((asker.after(&done, |facts, _, _| views::review_definition(facts, &found))?, done))
        })
        .await?;
    Ok(if created { done.created(body, location) } else { done.answer(body) })
}

/// `POST /v1/reviews/definitions`.
pub(super) async fn define(asker: Asker, sent: Sent) -> Result<Answer, Problem> {
    let (plan, schedule, dry_run) = definition(&sent)?;
    let command = Command::DefineReview { id: ids::review_definition()?, change: false, plan: Box::new(plan), schedule };
    let done = asker.submit(&sent, command, dry_run).await?;
    defined(asker, done).await
}

/// `PUT /v1/reviews/definitions/{id}`: from its next review on.
pub(super) async fn change(asker: Asker, Path(id): Path<String>, sent: Sent) -> Result<Answer, Problem> {
    let (id, (plan, schedule, dry_run)) = (definition_id(&id)?, definition(&sent)?);
    let command = Command::DefineReview { id, change: true, plan: Box::new(plan), schedule };
    let done = asker.submit(&sent, command, dry_run).await?;
    defined(asker, done).await
}

/// `DELETE /v1/reviews/definitions/{id}`: no more reviews of it are opened.
pub(super) async fn end(
    asker: Asker,
    Path(id): Path<String>,
    params: Params,
    SentWithQuery(sent): SentWithQuery,
) -> Result<Answer, Problem> {
    let (id, (reason, dry_run)) = (definition_id(&id)?, reason(&sent, params)?);
    let done = asker.submit(&sent, Command::EndReviews { id, reason }, dry_run).await?;
    defined(asker, done).await
}

/// `GET /v1/reviews/definitions`.
pub(super) async fn definitions(asker: Asker, mut params: Params) -> Result<Answer, Problem> {
    let page = params.page()?;
    params.finish()?;
    let seq = asker.seq;
    let body = asker
        .read(move |asker| {
            asker.demand_reviews()?;
            let read = |page: &Page| asker.server.engine.reader().review_definitions(page);
            let show =
                |found: &Arc<ReviewDefinition>| Ok(Some(asker.server.engine.facts(|facts, _, _| views::review_definition(facts, found))?));
            Ok(listed(through(&page, read, show)?))
        })
        .await?;
    Ok(Answer::ok(seq, body))
}

/// `GET /v1/reviews/definitions/{id}`.
pub(super) async fn one_definition(asker: Asker, Path(id): Path<String>, params: Params) -> Result<Answer, Problem> {
    params.finish()?;
    let id = definition_id(&id)?;
    let seq = asker.seq;
    let body = asker
        .read(move |asker| {
            asker.demand_reviews()?;
            let found = asker.server.engine.reader().review_definition(&id)?.ok_or_else(|| not_found("review definition", &id))?;
            Ok(asker.server.engine.facts(|facts, _, _| views::review_definition(facts, &found))?)
        })
        .await?;
    Ok(Answer::ok(seq, body))
}

/// `POST /v1/reviews/definitions/{id}/start`: a review now.
pub(super) async fn start(asker: Asker, Path(id): Path<String>, sent: Sent) -> Result<Answer, Problem> {
    let id = definition_id(&id)?;
    let mut members = sent.members_or_none()?;
    let dry_run = members.dry_run()?;
    members.finish(&[])?;
    let done = asker.submit(&sent, Command::OpenReview { id }, dry_run).await?;
    reviewed(asker, done).await
}

// ---- reviews ---------------------------------------------------------------------------------------------------------------------

/// What became of a command about a review.
async fn reviewed(asker: Asker, done: Done) -> Result<Answer, Problem> {
    let outcome = &done.reply.outcome;
    let (Outcome::ReviewOpened(id) | Outcome::ReviewChanged(id)) = outcome else { return Err(problem::unforeseen(outcome)) };
    let (id, created) = (id.clone(), matches!(outcome, Outcome::ReviewOpened(_)));
    let location = format!("/v1/reviews/{id}");
    let (body, done) = asker
        .read(move |asker| {
            let found = asker.after(&done, |_, tables, _| tables.review(&id))?.ok_or_else(|| not_found("review", &id))?;
            Ok((views::review(&found), done))
        })
        .await?;
    Ok(if created { done.created(body, location) } else { done.answer(body) })
}

/// Whose part in a review is asked.
struct Reader<'a> {
    asker: &'a Asker,
    all: bool,
}

impl<'a> Reader<'a> {
    fn new(asker: &'a Asker) -> Result<Self, Problem> {
        Ok(Self { asker, all: asker.may_see_reviews()? })
    }

    /// Whether the caller may decide on an item, as things stand.
    fn decides(&self, asked: Option<&ReviewStage>, entry: &ReviewEntry) -> Result<bool, Problem> {
        let Some(asked) = asked else { return Ok(false) };
        let caller = &self.asker.caller.principal;
        let part = |records: &dyn Records, _| part_in(records, asked, &entry.item, caller);
        let reviewer = self.asker.server.engine.records(part)? == Part::Reviewer;
        Ok(reviewer && self.asker.may(Action::ReviewAccess, object(&entry.item))?)
    }

    /// The one holder whose items the caller could decide on at most, where there is no more than one: where holders decide themselves, and the
    /// caller does not stand in for others.
    fn only_holder(&self, asked: Option<&ReviewStage>) -> Result<Option<Uid>, Problem> {
        let Some(asked) = asked.filter(|asked| asked.reviewers == Reviewers::Holder) else { return Ok(None) };
        let stands_in = self.asker.selves()?.iter().any(|uid| asked.fallback.contains(uid));
        Ok((!stands_in).then(|| self.asker.caller.principal.clone()))
    }

    /// The items of a review that the caller may see: all, or those that wait for the caller's decision.
    fn items(&self, review: &Review, page: &Page, holder: Option<&Uid>) -> Result<Listing<Value>, Problem> {
        let (engine, asked) = (&self.asker.server.engine, review.asked(engine_now(self.asker)));
        let asked = asked.map(|(_, asked)| asked);
        let own = if self.all { None } else { self.only_holder(asked)? };
        let read = |page: &Page| engine.reader().review_items(&review.id, holder.or(own.as_ref()), page);
        through(page, read, |entry| {
            if !self.all && !self.decides(asked, entry)? {
                return Ok(None);
            }
            Ok(Some(engine.facts(|facts, _, _| views::review_item(facts, review, entry))?))
        })
    }

    /// Whether the caller may see a review: everything, or something in it waits for the caller's decision.
    fn sees(&self, review: &Review) -> Result<bool, Problem> {
        if self.all {
            return Ok(true);
        }
        let Some((_, asked)) = review.asked(engine_now(self.asker)) else { return Ok(false) };
        if let Reviewers::Selected(list) = &asked.reviewers {
            let selves = self.asker.selves()?;
            if !selves.iter().any(|uid| list.contains(uid) || asked.fallback.contains(uid)) {
                return Ok(false);
            }
        }
        let found = self.items(review, &Page::first(1), None)?;
        // where nothing was found in what one answer looks at, there may be something further on
        Ok(!found.items.is_empty() || found.next.is_some())
    }
}

fn engine_now(asker: &Asker) -> Timestamp {
    asker.server.engine.moment().now
}

fn load(asker: &Asker, id: &ReviewId) -> Result<Arc<Review>, Problem> {
    asker.server.engine.reader().review(id)?.ok_or_else(|| not_found("review", id))
}

/// `GET /v1/reviews`.
pub(super) async fn list(asker: Asker, mut params: Params) -> Result<Answer, Problem> {
    let page = params.page()?;
    let status = |text: &str| {
        let known = ReviewStatus::ALL.into_iter().find(|status| status.as_str() == text);
        known.ok_or_else(|| format!("write {}", one_of(&ReviewStatus::ALL.map(ReviewStatus::as_str))))
    };
    let filter = ReviewFilter { definition: params.read("definition", ReviewDefinitionId::new)?, status: params.read("status", status)? };
    params.finish()?;
    let seq = asker.seq;
    let body = asker
        .read(move |asker| {
            let reader = Reader::new(asker)?;
            let read = |page: &Page| asker.server.engine.reader().reviews(&filter, page);
            let found = through(&page, read, |review| Ok(reader.sees(review)?.then(|| views::review(review))))?;
            Ok(listed(found))
        })
        .await?;
    Ok(Answer::ok(seq, body))
}

/// `GET /v1/reviews/{id}`.
pub(super) async fn one(asker: Asker, Path(id): Path<String>, params: Params) -> Result<Answer, Problem> {
    params.finish()?;
    let id = review_id(&id)?;
    let seq = asker.seq;
    let body = asker
        .read(move |asker| {
            let review = load(asker, &id)?;
            if !Reader::new(asker)?.sees(&review)? {
                asker.demand_reviews()?;
            }
            Ok(views::review(&review))
        })
        .await?;
    Ok(Answer::ok(seq, body))
}

/// `GET /v1/reviews/{id}/items`.
pub(super) async fn items(asker: Asker, Path(id): Path<String>, mut params: Params) -> Result<Answer, Problem> {
    let (page, holder) = (params.page()?, params.entity("principal_type", "principal_id")?);
    params.finish()?;
    let id = review_id(&id)?;
    let seq = asker.seq;
    let body = asker
        .read(move |asker| {
            let review = load(asker, &id)?;
            let reader = Reader::new(asker)?;
            if !reader.sees(&review)? {
                asker.demand_reviews()?;
            }
            Ok(listed(reader.items(&review, &page, holder.as_ref())?))
        })
        .await?;
    Ok(Answer::ok(seq, body))
}

/// `POST /v1/reviews/{id}/decide`.
pub(super) async fn decide(asker: Asker, Path(id): Path<String>, sent: Sent) -> Result<Answer, Problem> {
    let (id, (subjects, decided, reason, dry_run)) = (review_id(&id)?, decision(&sent)?);
    let done = asker.submit(&sent, Command::DecideReview { id, subjects, decided, reason }, dry_run).await?;
    reviewed(asker, done).await
}

/// `POST /v1/reviews/{id}/complete`.
pub(super) async fn complete(asker: Asker, Path(id): Path<String>, sent: Sent) -> Result<Answer, Problem> {
    let (id, (reason, dry_run)) = (review_id(&id)?, ending(&sent)?);
    let done = asker.submit(&sent, Command::CompleteReview { id, reason }, dry_run).await?;
    reviewed(asker, done).await
}

/// `POST /v1/reviews/{id}/apply`.
pub(super) async fn apply(asker: Asker, Path(id): Path<String>, sent: Sent) -> Result<Answer, Problem> {
    let id = review_id(&id)?;
    let mut members = sent.members_or_none()?;
    let (confirm, dry_run) = (number(&mut members, "confirm")?, members.dry_run()?);
    members.finish(&[])?;
    let done = asker.submit(&sent, Command::ApplyReview { id, confirm }, dry_run).await?;
    reviewed(asker, done).await
}

/// A review and all its items, for a report.
pub(super) fn whole(asker: &Asker, id: &str) -> Result<(Arc<Review>, Vec<Value>), Problem> {
    let id = review_id(id)?;
    let review = load(asker, &id)?;
    asker.demand_reviews()?;
    let engine = &asker.server.engine;
    let (mut items, mut page) = (Vec::new(), Page::first(crate::engine::ports::MAX_PAGE));
    loop {
        let found = engine.reader().review_items(&id, None, &page)?;
        for entry in &found.items {
            items.push(engine.facts(|facts, _, _| views::review_item(facts, &review, entry))?);
        }
        match found.next {
            Some(next) => page.after = Some(next),
            None => return Ok((review, items)),
        }
    }
}
