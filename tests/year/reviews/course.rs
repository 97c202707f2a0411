//! What time makes of reviews: when one opens and with which items, when a stage is over, what is carried out, and how all of them end.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::books::Holder;
use crate::calendar::{At, DAY, HOUR, MINUTE, Recurrence, show, show_date};
use crate::company::{scope_json, within};
use crate::work::instant;
use crate::year::Year;

use super::{Deciders, Definition, Instance, Item, Standing};

/// For how many days without use a grant is one to take away, where nothing else is said.
const UNUSED_DAYS: i64 = 30;
/// So few removals are never a mass removal.
const FEW: usize = 5;
/// Longest wait for what the server does by itself.
const WAIT: Duration = Duration::from_secs(20);

impl Year {
    /// Whether no review opens within the next times of work, so that marks of use are kept by then.
    pub fn quiet_ahead(&self) -> bool {
        self.reviews.quiet
    }

    pub fn uid(&self, holder: Holder) -> Value {
        let (kind, id) = self.books.named(holder);
        json!({"type": kind, "id": id})
    }

    // ---- definitions -------------------------------------------------------------------------------------------------------------

    /// Says what is reviewed, and how often.
    pub fn define_reviews(&mut self) {
        for mut definition in crate::definitions::all(&self.books) {
            let stages: Vec<Value> = definition
                .stages
                .iter()
                .map(|stage| {
                    let fallback: Vec<Value> = stage.fallback.iter().map(|holder| self.uid(*holder)).collect();
                    match &stage.by {
                        Deciders::Themselves => json!({"self": true, "fallback": fallback, "days": stage.days}),
                        Deciders::Listed(list) => {
                            let list: Vec<Value> = list.iter().map(|holder| self.uid(*holder)).collect();
                            json!({"reviewers": list, "fallback": fallback, "days": stage.days})
                        }
                    }
                })
                .collect();
            let Recurrence { every, first, at, zone } = definition.recurrence;
            let roles: Vec<&String> = definition.roles.iter().map(|role| &self.books.roles[*role].name).collect();
            let scopes: Vec<Value> = definition.scopes.iter().map(|scope| scope_json(*scope)).collect();
            let body = json!({
                "name": definition.name, "roles": roles, "scopes": scopes, "covers": definition.covers, "stages": stages,
                "recurrence": {"every": every.word(), "first": show_date(first), "at": format!("{:02}:{:02}", at / 60, at % 60),
                               "time_zone": zone.name()},
                "no_answer": definition.rule.word(), "auto_apply": definition.auto, "inactive_days": definition.inactive,
                "confirm_above": definition.confirm_above, "reminders": self.rng.chance(500),
            });
            let by = self.someone_of_security();
            let ask = self.ask(by, "POST", "/v1/reviews/definitions", body);
            let reply = self.wire.one(ask);
            let what = format!("reviews `{}` are defined", definition.name);
            assert!(self.expect(|| what.clone(), &reply, 201, ""));
            definition.id = reply.body["id"].as_str().unwrap().to_owned();
            definition.next = definition.recurrence.from(self.now);
            self.same(|| format!("{what}: the next one"), &definition.next.map(show), &reply.body["next"].as_str().map(str::to_owned));
            self.reviews.definitions.push(definition);
        }
    }

    // ---- what time does to them --------------------------------------------------------------------------------------------------

    pub fn next_due(&self) -> Option<At> {
        let opening = self.reviews.definitions.iter().filter_map(|definition| definition.next);
        let standing = self.reviews.instances.iter().filter_map(|instance| match instance.standing {
            Standing::Asking { ends, .. } => Some(ends),
            Standing::Complete { apply } => Some(apply),
            Standing::Done => None,
        });
        opening.chain(standing).min()
    }

    /// Lets reviews open, go on and end until a time of work, each at its very instant.
    pub fn reviews_until(&mut self, stop: At, horizon: At) {
        while let Some(due) = self.next_due().filter(|due| *due <= stop) {
            if due > self.now {
                self.go_to(due);
            }
            for number in 0..self.reviews.instances.len() {
                match self.reviews.instances[number].standing {
                    Standing::Asking { stage, ends } if ends <= due => self.stage_over(number, stage),
                    Standing::Complete { apply } if apply <= due => self.carry_out(number),
                    Standing::Asking { .. } | Standing::Complete { .. } | Standing::Done => {}
                }
            }
            for number in 0..self.reviews.definitions.len() {
                if self.reviews.definitions[number].next.is_some_and(|next| next <= due) {
                    let next = self.reviews.definitions[number].recurrence.from(due + 1);
                    self.reviews.definitions[number].next = next;
                    self.opens(number);
                }
            }
        }
        self.reviews.quiet = self.reviews.definitions.iter().filter_map(|definition| definition.next).all(|next| next > horizon);
    }

    /// Waits until the server shows something of a review.
    pub fn until(&mut self, path: &str, what: &str, holds: impl Fn(&Value) -> bool) -> Option<Value> {
        let began = Instant::now();
        loop {
            let ask = self.ask(0, "GET", path, Value::Null);
            let reply = self.wire.one(ask);
            if holds(&reply.body) {
                return Some(reply.body);
            }
            if began.elapsed() > WAIT {
                self.fault(format!("{what}, says the oracle, and Elevon shows {}", reply.body));
                return None;
            }
            std::thread::sleep(Duration::from_micros(300));
        }
    }

    pub fn pages(&mut self, who: usize, path: &str) -> Vec<Value> {
        let (mut found, mut cursor) = (Vec::new(), String::new());
        loop {
            let ask = self.ask(who, "GET", format!("{path}?limit=1000{cursor}"), Value::Null);
            let reply = self.wire.one(ask);
            found.extend(reply.body["items"].as_array().into_iter().flatten().cloned());
            let Some(next) = reply.body["next"].as_str() else { return found };
            cursor = format!("&cursor={next}");
        }
    }

    /// What a review has to be about: grants in force, or yet to begin, of those roles, on those scopes, of those kinds.
    pub fn items_of(&self, definition: &Definition) -> Vec<Item> {
        let (books, now) = (&self.books, self.now);
        let after = now - definition.inactive.unwrap_or(UNUSED_DAYS) * DAY;
        let all = books.of_person.iter().chain(&books.of_group).flatten().copied();
        let mut items: Vec<Item> = all
            .filter(|grant| books.stands(*grant, now))
            .filter(|grant| {
                let found = &books.grants[*grant];
                let role = definition.roles.is_empty() || definition.roles.contains(&found.role);
                let on = |scope: usize| definition.scopes.iter().any(|above| within(scope, *above));
                let scope = definition.scopes.is_empty() || found.scope.is_some_and(on);
                let kind = match definition.covers {
                    "eligibilities" => found.eligibility,
                    "assignments" => !found.eligibility,
                    _ => true,
                };
                role && scope && kind
            })
            .map(|grant| {
                let found = &books.grants[grant];
                let latest = [found.last_activation, found.last_check, Some(found.given.max(found.start))].into_iter().flatten().max();
                let unused = latest.is_none_or(|latest| latest <= after);
                Item { grant, unused, said: vec![None; definition.stages.len()] }
            })
            .filter(|item| item.unused || definition.inactive.is_none())
            .collect();
        items.sort_by_key(|item| item.grant);
        items
    }

    /// A review of a definition opens now.
    pub fn opens(&mut self, of: usize) {
        self.reviews.definitions[of].opened += 1;
        let definition = self.reviews.definitions[of].clone();
        let what = format!("review {} of `{}`", definition.opened, definition.name);
        let items = self.items_of(&definition);
        let opened =
            |shown: &Value| shown["items"][0]["number"] == json!(definition.opened) && shown["items"][0]["status"] != "not_started";
        let path = format!("/v1/reviews?definition={}&limit=1", definition.id);
        let Some(shown) = self.until(&path, &format!("{what} opens at {}", show(self.now)), opened) else { return };
        let shown = shown["items"][0].clone();
        let id = shown["id"].as_str().unwrap().to_owned();
        self.figures.reviews += 1;
        self.figures.items += items.len();
        self.same(|| format!("{what}: when it opened"), &Some(self.now), &instant(&shown["opened_at"]));
        self.same(|| format!("{what}: how many items"), &json!(items.len()), &shown["items"]["total"]);
        let path = format!("/v1/reviews/definitions/{}", definition.id);
        let ask = self.ask(0, "GET", path, Value::Null);
        let reply = self.wire.one(ask);
        self.same(
            || format!("{what}: when the next one opens"),
            &definition.next.map(show),
            &reply.body["next"].as_str().map(str::to_owned),
        );
        self.taken(&what, &id, &items);
        let ends = self.now + definition.stages[0].days * DAY;
        let standing = if items.is_empty() { Standing::Done } else { Standing::Asking { stage: 0, ends } };
        let (status, shown_ends) = if items.is_empty() { ("applied", None) } else { ("in_progress", Some(ends)) };
        self.same(|| format!("{what}: its status"), &json!(status), &shown["status"]);
        self.same(|| format!("{what}: when its first stage ends"), &shown_ends, &instant(&shown["ends_at"]));
        let cut_short = self.rng.chance(60).then(|| self.now + self.rng.between(1, definition.stages[0].days * 20) * HOUR);
        self.reviews.instances.push(Instance { of, id, items, standing, cut_short });
        if standing != Standing::Done {
            self.plan_stage(self.reviews.instances.len() - 1, 0);
        }
    }

    /// Holds the items that were taken against those that should have been.
    pub fn taken(&mut self, what: &str, id: &str, items: &[Item]) {
        let shown = self.pages(0, &format!("/v1/reviews/{id}/items"));
        let mut left: BTreeMap<String, Value> =
            shown.into_iter().map(|item| (item["subject"]["id"].as_str().unwrap_or_default().to_owned(), item)).collect();
        for item in items {
            let grant = self.books.grants[item.grant].clone();
            let about = format!("{what}: {}", self.books.say(item.grant));
            let Some(shown) = left.remove(&grant.id) else {
                self.fault(format!("{about} should be among its items and is not"));
                continue;
            };
            let hour = |at: Option<At>| at.map(|at| at.div_euclid(HOUR));
            let oracle = (
                self.uid(grant.holder),
                grant.last_activation,
                hour(grant.last_check),
                if item.unused { "deny" } else { "approve" }.to_owned(),
            );
            let elevon = (
                shown["principal"].clone(),
                instant(&shown["last_activation"]),
                hour(instant(&shown["last_check"])),
                shown["recommendation"].as_str().unwrap_or_default().to_owned(),
            );
            self.same(|| format!("{about}: holder, last activation, hour of the last check, recommendation"), &oracle, &elevon);
        }
        for (id, shown) in left {
            self.fault(format!("{what}: {id} should not be among its items: {shown}"));
        }
    }

    pub fn stage_over(&mut self, number: usize, stage: usize) {
        let instance = self.reviews.instances[number].clone();
        let definition = self.reviews.definitions[instance.of].clone();
        let what = format!("{} of `{}`", instance.id, definition.name);
        if stage + 1 == definition.stages.len() {
            return self.complete(number);
        }
        let ends = self.now + definition.stages[stage + 1].days * DAY;
        let path = format!("/v1/reviews/{}", instance.id);
        let told = format!("stage {} of {what} begins", stage + 2);
        let Some(shown) = self.until(&path, &told, |shown| shown["stage"] == json!(stage + 2)) else { return };
        self.same(|| format!("{told}: when it ends"), &Some(ends), &instant(&shown["ends_at"]));
        self.reviews.instances[number].standing = Standing::Asking { stage: stage + 1, ends };
        self.tallied(number, &what, &shown);
        self.plan_stage(number, stage + 1);
    }

    pub fn removals(&self, number: usize) -> usize {
        let instance = &self.reviews.instances[number];
        instance.items.iter().filter(|item| item.goes(self.reviews.definitions[instance.of].rule)).count()
    }

    /// Nobody is asked any more.
    pub fn complete(&mut self, number: usize) {
        let instance = self.reviews.instances[number].clone();
        let definition = self.reviews.definitions[instance.of].clone();
        let what = format!("{} of `{}`", instance.id, definition.name);
        let (removals, items) = (self.removals(number), instance.items.len());
        let mass = removals > FEW && removals * 100 > items * definition.confirm_above;
        if definition.auto && !mass {
            return self.applied(number);
        }
        let told = format!("{what} is complete");
        let path = format!("/v1/reviews/{}", instance.id);
        let Some(shown) = self.until(&path, &told, |shown| shown["status"] == "completed") else { return };
        self.same(|| format!("{told}: since when"), &Some(self.now), &instant(&shown["completed_at"]));
        let confirm = if mass { json!(removals) } else { Value::Null };
        self.same(|| format!("{told}: what has to be confirmed"), &confirm, &shown["confirm"]);
        // at half a minute, when nothing else happens to reviews
        let apply = self.now + self.rng.between(0, 4 * 24 * 60) * MINUTE + 30;
        self.reviews.instances[number].standing = Standing::Complete { apply };
    }

    /// Somebody of security carries a review out.
    pub fn carry_out(&mut self, number: usize) {
        let instance = self.reviews.instances[number].clone();
        let definition = self.reviews.definitions[instance.of].clone();
        let what = format!("carrying out {} of `{}`", instance.id, definition.name);
        let (removals, items) = (self.removals(number), instance.items.len());
        let mass = removals > FEW && removals * 100 > items * definition.confirm_above;
        let path = format!("/v1/reviews/{}/apply", instance.id);
        let by = self.someone_of_security();
        if mass {
            for body in [json!({}), json!({"confirm": removals + 1})] {
                let ask = self.ask(by, "POST", path.clone(), body);
                let reply = self.wire.one(ask);
                self.expect(|| format!("{what} unconfirmed"), &reply, 409, "confirmation_needed");
            }
            self.figures.confirmed += 1;
        }
        let ask = self.ask(by, "POST", path, if mass { json!({"confirm": removals}) } else { json!({}) });
        let reply = self.wire.one(ask);
        self.expect(|| what, &reply, 200, "");
        self.applied(number);
    }

    /// A review is carried out now: who keeps and who loses what.
    pub fn applied(&mut self, number: usize) {
        self.reviews.instances[number].standing = Standing::Done;
        let instance = self.reviews.instances[number].clone();
        let definition = self.reviews.definitions[instance.of].clone();
        let what = format!("{} of `{}`", instance.id, definition.name);
        let path = format!("/v1/reviews/{}", instance.id);
        let told = format!("{what} is carried out");
        let Some(shown) = self.until(&path, &told, |shown| shown["status"] == "applied") else { return };
        self.same(|| format!("{told}: when"), &Some(self.now), &instant(&shown["applied_at"]));
        let shown = self.pages(0, &format!("{path}/items"));
        let shown: BTreeMap<&str, &Value> = shown.iter().map(|item| (item["subject"]["id"].as_str().unwrap_or_default(), item)).collect();
        for item in &instance.items {
            let goes = item.goes(definition.rule);
            let result = match (goes, self.books.stands(item.grant, self.now)) {
                (false, _) => "kept",
                (true, true) => "removed",
                (true, false) => "gone",
            };
            let about = self.books.say(item.grant);
            let elevon = shown.get(self.books.grants[item.grant].id.as_str()).copied().cloned().unwrap_or_default();
            let words = (result.to_owned(), item.standing().map(str::to_owned));
            let shown_words = (
                elevon["applied"]["result"].as_str().unwrap_or_default().to_owned(),
                elevon["decision"].as_str().filter(|said| *said != "dont_know").map(str::to_owned),
            );
            let rule = definition.rule.word();
            self.same(|| format!("{what} (without an answer {rule}): what becomes of {about}, and by what decision"), &words, &shown_words);
            match result {
                "removed" => {
                    self.books.remove(item.grant, self.now);
                    self.figures.removed += 1;
                }
                "gone" => self.figures.gone += 1,
                _ => {}
            }
        }
    }

    // ---- the end -----------------------------------------------------------------------------------------------------------------

    /// Ends the definitions, lets what is open come to its end, and counts what there was.
    pub fn end_reviews(&mut self) {
        for number in 0..self.reviews.definitions.len() {
            let path = format!("/v1/reviews/definitions/{}?reason=over", self.reviews.definitions[number].id);
            let ask = self.ask(0, "DELETE", path, Value::Null);
            let reply = self.wire.one(ask);
            self.expect(|| "reviews are ended".to_owned(), &reply, 200, "");
            self.reviews.definitions[number].next = None;
        }
        while let Some(due) = self.next_due() {
            self.reviews_until(due, due);
            self.review();
        }
        if let Some(last) = self.reviews.emergencies.iter().map(|emergency| emergency.ends).max() {
            self.go_to(last.max(self.now));
            self.review();
        }
        for number in 0..self.reviews.definitions.len() {
            let definition = self.reviews.definitions[number].clone();
            let ask = self.ask(0, "GET", format!("/v1/reviews?definition={}&limit=1000", definition.id), Value::Null);
            let reply = self.wire.one(ask);
            let shown: BTreeSet<String> = reply.body["items"]
                .as_array()
                .into_iter()
                .flatten()
                .map(|review| review["id"].as_str().unwrap_or_default().to_owned())
                .collect();
            let oracle =
                self.reviews.instances.iter().filter(|instance| instance.of == number).map(|instance| instance.id.clone()).collect();
            self.same(|| format!("the reviews of `{}`", definition.name), &oracle, &shown);
        }
    }
}
