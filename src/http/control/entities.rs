//! `/v1/entities`: principals, groups and memberships, resources and their parents, in Cedar's entity JSON.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use crate::domain::facts::{Action, Object};
use crate::domain::settings::{EdgeSource, JsonObject};
use crate::domain::{Command, EntityDef, Facts, Outcome, Rejection, Uid, Unavailable, standing};
use crate::engine::ports::{Listing, MAX_EXAMINED, Page};
use crate::http::asker::{Asker, Done, Params, Sent, SentWithQuery};
use crate::http::ids::take_text;
use crate::http::problem::{self, Problem};
use crate::http::reply::Answer;
use crate::http::strict::malformed_member;
use crate::http::views;

use super::grants::{created_or_ok, reason};
use super::paging::{listed, through};

/// What a cursor begins with while the bundle's entities are listed; the uid follows.
const IN_BUNDLE: &str = "b:";
/// What a cursor begins with while stored entities are listed; the store's cursor follows.
const IN_STORE: &str = "s:";

/// `GET /v1/entities`: one, where `type` and `id` are given; else a list, of one type where `type` is given.
pub(super) async fn get(asker: Asker, mut params: Params) -> Result<Answer, Problem> {
    let page = params.page()?;
    let kind = params.optional("type")?;
    let id = params.optional("id")?;
    params.finish()?;
    let seq = asker.seq;
    let body = match (kind, id) {
        (Some(kind), Some(id)) => {
            let uid = Uid::new(&kind, &id).map_err(|bad| problem::bad_parameter("id", bad))?;
            asker.read(move |asker| one(asker, &uid)).await?
        }
        (None, Some(_)) => return Err(problem::bad_parameter("type", "it is missing; `type` and `id` go together")),
        // What is no type at all has no entities, and is more likely a mistake than a question.
        (Some(kind), None) if Uid::new(&kind, "any").is_err() => {
            return Err(problem::bad_parameter("type", "it is not an entity type; write a name such as `User` or `Acme::User`"));
        }
        (kind, None) => asker.read(move |asker| list(asker, kind.as_deref(), &page)).await?,
    };
    Ok(Answer::ok(seq, body))
}

fn one(asker: &Asker, uid: &Uid) -> Result<Value, Problem> {
    if !asker.is(uid) && !asker.may_audit()? {
        asker.demand(Action::ManageEntity, Object::Entity(uid.clone()))?;
    }
    shown(asker, uid)?.ok_or_else(|| Rejection::NotFound { what: "entity".to_owned(), id: uid.to_string() }.into())
}

fn shown(asker: &Asker, uid: &Uid) -> Result<Option<Value>, Problem> {
    Ok(asker.server.engine.facts(|facts, _, _| seen(facts, uid))?)
}

fn seen(facts: &dyn Facts, uid: &Uid) -> Result<Option<Value>, Unavailable> {
    let Some(def) = standing::definition(facts, uid)? else { return Ok(None) };
    views::entity(facts, &def, facts.row(uid)?.as_deref()).map(Some)
}

/// The bundle's entities first, then those that are stored and that the bundle does not own.
fn list(asker: &Asker, kind: Option<&str>, page: &Page) -> Result<Value, Problem> {
    let audits = asker.may_audit()?;
    let show = |uid: &Uid| {
        let visible = audits || asker.is(uid) || asker.may(Action::ManageEntity, Object::Entity(uid.clone()))?;
        if visible { shown(asker, uid) } else { Ok(None) }
    };
    let bad_cursor = || problem::bad_parameter("cursor", "it is not a cursor of this list; begin again without one");
    let limit = page.bounded();
    let (mut items, after_stored) = match page.after.as_deref() {
        Some(cursor) if cursor.starts_with(IN_STORE) => (Vec::new(), cursor.strip_prefix(IN_STORE).map(str::to_owned)),
        in_bundle => {
            let after = in_bundle.map(|cursor| cursor.strip_prefix(IN_BUNDLE).ok_or_else(bad_cursor)).transpose()?;
            let after = after.map(|text| Uid::parse(text).map_err(|_| bad_cursor())).transpose()?;
            let found = of_bundle(asker, kind, after.as_ref(), limit, show)?;
            if found.next.is_some() {
                return Ok(listed(found));
            }
            (found.items, None)
        }
    };
    let rest = Page { after: after_stored.filter(|cursor| !cursor.is_empty()), limit: limit.saturating_sub(items.len()) };
    if rest.limit == 0 {
        return Ok(listed(Listing { items, next: Some(IN_STORE.to_owned()) }));
    }
    let view = asker.server.engine.view();
    let owned = &view.bundle.definitions().entities;
    let found = through(
        &rest,
        |page| asker.server.engine.reader().entities(kind, page),
        |(uid, row)| {
            if owned.contains_key(uid) || row.stored.is_none() { Ok(None) } else { show(uid) }
        },
    )?;
    items.extend(found.items);
    Ok(listed(Listing { items, next: found.next.map(|cursor| format!("{IN_STORE}{cursor}")) }))
}

fn of_bundle(
    asker: &Asker,
    kind: Option<&str>,
    after: Option<&Uid>,
    limit: usize,
    show: impl Fn(&Uid) -> Result<Option<Value>, Problem>,
) -> Result<Listing<Value>, Problem> {
    let view = asker.server.engine.view();
    let defs = view.bundle.definitions().entities.values().filter(|def: &&Arc<EntityDef>| kind.is_none_or(|kind| def.uid.kind() == kind));
    let mut uids: Vec<&Uid> = defs.map(|def| &def.uid).filter(|uid| after.is_none_or(|after| after < *uid)).collect();
    uids.sort();
    let mut items = Vec::new();
    let mut last: Option<&Uid> = None;
    for (examined, uid) in uids.into_iter().enumerate() {
        if let Some(last) = last.filter(|_| items.len() >= limit || examined >= MAX_EXAMINED) {
            return Ok(Listing { items, next: Some(format!("{IN_BUNDLE}{last}")) });
        }
        items.extend(show(uid)?);
        last = Some(uid);
    }
    Ok(Listing { items, next: None })
}

/// `PUT /v1/entities`.
pub(super) async fn put(asker: Asker, params: Params, sent: Sent) -> Result<Answer, Problem> {
    params.finish()?;
    let mut members = sent.members()?;
    let uid = members.entity("uid")?;
    let parents = members.entities("parents")?;
    let attrs: Map<String, Value> = members.optional("attrs")?.unwrap_or_default();
    let source = source(members.optional("source")?)?;
    let dry_run = members.dry_run()?;
    members.finish(&["tags"])?;
    let attrs = JsonObject::new(&attrs).map_err(|why| malformed_member("attrs", why))?;
    let done = asker.submit(&sent, Command::PutEntity { uid: uid.clone(), parents, attrs, source }, dry_run).await?;
    changed(asker, uid, done).await
}

/// Who says so. Nobody writes in the name of the bundle.
fn source(named: Option<String>) -> Result<EdgeSource, Problem> {
    match named.as_deref() {
        None | Some("api") => Ok(EdgeSource::Api),
        Some("scim") => Ok(EdgeSource::Scim),
        Some(_) => Err(malformed_member("source", "write `api` or `scim`")),
    }
}

/// `DELETE /v1/entities?type&id`.
pub(super) async fn delete(asker: Asker, mut params: Params, SentWithQuery(sent): SentWithQuery) -> Result<Answer, Problem> {
    let uid =
        params.entity("type", "id")?.ok_or_else(|| problem::bad_parameter("type", "it is missing; name the entity by `type` and `id`"))?;
    let (reason, dry_run) = reason(&sent, params)?;
    let done = asker.submit(&sent, Command::DeleteEntity { uid: uid.clone(), reason }, dry_run).await?;
    changed(asker, uid, done).await
}

async fn set_disabled(asker: Asker, params: Params, sent: Sent, disabled: bool) -> Result<Answer, Problem> {
    params.finish()?;
    let mut members = sent.members()?;
    let (kind, id): (String, String) = (members.required("type")?, members.required("id")?);
    let (reason, dry_run) = (take_text(&mut members, "reason")?, members.dry_run()?);
    members.finish(&[])?;
    let uid = Uid::new(&kind, &id).map_err(|bad| malformed_member("id", bad))?;
    let done = asker.submit(&sent, Command::SetDisabled { uid: uid.clone(), disabled, reason }, dry_run).await?;
    changed(asker, uid, done).await
}

/// `POST /v1/entities/disable`.
pub(super) async fn disable(asker: Asker, params: Params, sent: Sent) -> Result<Answer, Problem> {
    set_disabled(asker, params, sent, true).await
}

/// `POST /v1/entities/enable`.
pub(super) async fn enable(asker: Asker, params: Params, sent: Sent) -> Result<Answer, Problem> {
    set_disabled(asker, params, sent, false).await
}

/// The entity as a command left it, or that it is gone. Where nothing had to change, it is already as the caller was permitted to have it.
async fn changed(asker: Asker, uid: Uid, done: Done) -> Result<Answer, Problem> {
    let outcome = &done.reply.outcome;
    if let Outcome::EntityDeleted(uid) = outcome {
        return Ok(done.answer(json!({ "uid": uid, "deleted": true })));
    }
    let created = matches!(outcome, Outcome::EntityCreated(_));
    if !created && !matches!(outcome, Outcome::EntityChanged(_) | Outcome::Unchanged) {
        return Err(problem::unforeseen(outcome));
    }
    let (body, done) = asker
        .read(move |asker| {
            let found = asker.after(&done, |facts, _, _| seen(facts, &uid))?;
            Ok((found.unwrap_or_else(|| json!({ "uid": uid })), done))
        })
        .await?;
    Ok(done.answer(body).status(created_or_ok(created)))
}
