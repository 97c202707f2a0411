//! Reviews: what is defined, and the oracle's account of each: when it opens, what is in it, who decides, when a stage is over, what goes and
//! what stays.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::books::{Books, Holder, State};
use super::calendar::{At, DAY, HOUR, MINUTE, Recurrence, show, show_date};
use super::company::{SECURITY, scope_json, within};
use super::wire::Reply;
use super::work::instant;
use super::year::Year;

/// For how many days without use a grant is one to take away, where nothing else is said.
const UNUSED_DAYS: i64 = 30;
/// So few removals are never a mass removal.
const FEW: usize = 5;
/// Longest wait for what the server does by itself.
const WAIT: Duration = Duration::from_secs(20);

#[derive(Debug, Clone)]
pub enum Deciders {
    Listed(Vec<Holder>),
    Themselves,
}

#[derive(Debug, Clone)]
pub struct Stage {
    pub by: Deciders,
    pub fallback: Vec<Holder>,
    pub days: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    NoChange,
    Remove,
    Approve,
    Recommended,
}

impl Rule {
    pub const ALL: [Self; 4] = [Self::NoChange, Self::Remove, Self::Approve, Self::Recommended];

    pub fn word(self) -> &'static str {
        match self {
            Self::NoChange => "no_change",
            Self::Remove => "remove",
            Self::Approve => "approve",
            Self::Recommended => "take_recommendation",
        }
    }
}

#[derive(Debug, Clone)]
pub struct Definition {
    pub name: String,
    pub roles: Vec<usize>,
    pub scopes: Vec<usize>,
    /// Eligibilities, assignments, or both.
    pub covers: &'static str,
    pub inactive: Option<i64>,
    pub stages: Vec<Stage>,
    pub rule: Rule,
    pub auto: bool,
    pub confirm_above: usize,
    pub recurrence: Recurrence,
    pub id: String,
    pub next: Option<At>,
    pub opened: usize,
}

#[derive(Debug, Clone)]
pub struct Item {
    pub grant: usize,
    /// Whether it is recommended to go.
    pub unused: bool,
    /// What was said last in each stage.
    pub said: Vec<Option<&'static str>>,
}

impl Item {
    /// What stands: what was said in the latest stage in which somebody knew.
    fn standing(&self) -> Option<&'static str> {
        self.said.iter().rev().flatten().find(|said| **said != "dont_know").copied()
    }

    fn goes(&self, rule: Rule) -> bool {
        match (self.standing(), rule) {
            (Some(said), _) => said == "deny",
            (None, Rule::Remove) => true,
            (None, Rule::Recommended) => self.unused,
            (None, Rule::NoChange | Rule::Approve) => false,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    Asking {
        stage: usize,
        ends: At,
    },
    /// Complete, and to be carried out by somebody then.
    Complete {
        apply: At,
    },
    Done,
}

#[derive(Debug, Clone)]
pub struct Instance {
    pub of: usize,
    pub id: String,
    pub items: Vec<Item>,
    pub standing: Standing,
    /// When somebody ends it before its time.
    pub cut_short: Option<At>,
}

/// What somebody is going to say about items.
#[derive(Debug, Clone)]
pub struct Answer {
    pub instance: usize,
    pub stage: usize,
    pub by: usize,
    pub items: Vec<usize>,
    pub says: &'static str,
}

/// The review of an emergency.
#[derive(Debug, Clone)]
pub struct Emergency {
    pub act: usize,
    pub id: String,
    pub ends: At,
    pub says: Option<(At, &'static str)>,
    pub said: Option<&'static str>,
}

#[derive(Default)]
pub struct Reviews {
    pub definitions: Vec<Definition>,
    pub instances: Vec<Instance>,
    pub emergencies: Vec<Emergency>,
    pub answers: BTreeMap<At, Vec<Answer>>,
    /// Whether no review opens soon.
    pub quiet: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    Decides,
    Own,
    None,
}

/// Whether access is somebody's own: as its holder, through the group that holds it, or by another account.
fn own(books: &Books, who: usize, holder: Holder) -> bool {
    let human = books.people[who].human;
    match holder {
        Holder::Person(person) => books.people[person].human == human,
        Holder::Group(group) => (0..books.people.len())
            .any(|other| books.people[other].human == human && books.people[other].there && books.is_in(other, group)),
    }
}

fn listed(books: &Books, who: usize, list: &[Holder]) -> bool {
    list.iter().any(|entry| books.has(who, *entry))
}

/// What part somebody has in an item of a stage.
pub fn part(books: &Books, stage: &Stage, grant: usize, who: usize) -> Part {
    let holder = books.grants[grant].holder;
    let of_list = |list: &[Holder]| match (listed(books, who, list), own(books, who, holder)) {
        (false, _) => Part::None,
        (true, true) => Part::Own,
        (true, false) => Part::Decides,
    };
    let (first, somebody) = match &stage.by {
        Deciders::Themselves => match holder {
            Holder::Person(person) => (if person == who { Part::Decides } else { Part::None }, books.enabled(person)),
            Holder::Group(_) => (Part::None, false),
        },
        Deciders::Listed(list) => {
            let could = |person: &usize| books.enabled(*person) && listed(books, *person, list) && !own(books, *person, holder);
            (of_list(list), (0..books.people.len()).any(|person| could(&person)))
        }
    };
    if first == Part::None && !somebody { of_list(&stage.fallback) } else { first }
}

impl Year {
    /// Whether no review opens within the next times of work, so that marks of use are kept by then.
    pub fn quiet_ahead(&self) -> bool {
        self.reviews.quiet
    }

    fn uid(&self, holder: Holder) -> Value {
        let (kind, id) = self.books.named(holder);
        json!({"type": kind, "id": id})
    }

    // ---- definitions -------------------------------------------------------------------------------------------------------------

    /// Says what is reviewed, and how often.
    pub fn define_reviews(&mut self) {
        for mut definition in super::definitions::all(&self.books) {
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
    fn items_of(&self, definition: &Definition) -> Vec<Item> {
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
    fn opens(&mut self, of: usize) {
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
    fn taken(&mut self, what: &str, id: &str, items: &[Item]) {
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

    fn stage_over(&mut self, number: usize, stage: usize) {
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

    fn removals(&self, number: usize) -> usize {
        let instance = &self.reviews.instances[number];
        instance.items.iter().filter(|item| item.goes(self.reviews.definitions[instance.of].rule)).count()
    }

    /// Nobody is asked any more.
    fn complete(&mut self, number: usize) {
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
    fn carry_out(&mut self, number: usize) {
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
    fn applied(&mut self, number: usize) {
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

    // ---- what reviewers do -------------------------------------------------------------------------------------------------------

    /// Plans who says what about which items in a stage.
    fn plan_stage(&mut self, number: usize, stage: usize) {
        let instance = self.reviews.instances[number].clone();
        let asked = self.reviews.definitions[instance.of].stages[stage].clone();
        let Standing::Asking { ends, .. } = instance.standing else { return };
        let answering = *self.rng.pick(&[0, 400, 700, 900, 950, 980]);
        let minutes = (ends - self.now) / MINUTE;
        let mut times: Vec<At> = (0..4).map(|_| self.now + self.rng.between(10, minutes) * MINUTE).collect();
        times.sort_unstable();
        // somebody is late, and somebody tries what is not theirs
        times.push(ends + self.rng.between(60, 4000) * MINUTE);
        let mut pool: Vec<usize> = (0..self.books.people.len())
            .filter(|person| {
                let first = if let Deciders::Listed(list) = &asked.by { listed(&self.books, *person, list) } else { false };
                self.books.enabled(*person) && (first || listed(&self.books, *person, &asked.fallback))
            })
            .collect();
        for at in (1..pool.len()).rev() {
            let other = self.rng.below(at + 1);
            pool.swap(at, other);
        }
        let mut grouped: BTreeMap<(At, usize, &'static str), Vec<usize>> = BTreeMap::new();
        let mut seen: BTreeSet<usize> = BTreeSet::new();
        for (place, item) in instance.items.iter().enumerate() {
            let holder = if let Holder::Person(person) = self.books.grants[item.grant].holder { Some(person) } else { None };
            let candidates = pool.iter().copied().chain(holder.filter(|_| matches!(asked.by, Deciders::Themselves)));
            let decides = |person: &usize| self.books.enabled(*person) && part(&self.books, &asked, item.grant, *person) == Part::Decides;
            let deciding: Vec<usize> = candidates.filter(decides).take(2).collect();
            seen.extend(&deciding);
            let rounds = if deciding.is_empty() || !self.rng.chance(answering) { 0 } else { 1 + usize::from(self.rng.chance(120)) };
            for _ in 0..rounds {
                let says = match self.rng.below(100) {
                    0..70 => "approve",
                    70..83 => "deny",
                    _ => "dont_know",
                };
                let late = self.rng.chance(20);
                let time = times[self.rng.below(if late { 5 } else { 4 })];
                grouped.entry((time, *self.rng.pick(&deciding), says)).or_default().push(place);
            }
            if self.rng.chance(8) {
                let by = SECURITY + self.rng.below(self.books.people.len() - SECURITY);
                grouped.entry((times[0], by, "deny")).or_default().push(place);
            }
        }
        for ((time, by, says), items) in grouped {
            for some in items.chunks(100) {
                let answer = Answer { instance: number, stage, by, items: some.to_vec(), says };
                self.reviews.answers.entry(time).or_default().push(answer);
            }
        }
        if let Some(person) = seen.first().copied() {
            self.sees(number, &asked, person);
        }
    }

    /// What a reviewer is shown: those items on which they may decide.
    fn sees(&mut self, number: usize, asked: &Stage, person: usize) {
        if person < SECURITY {
            return;
        }
        let instance = self.reviews.instances[number].clone();
        let shown = self.pages(person, &format!("/v1/reviews/{}/items", instance.id));
        let shown: BTreeSet<String> = shown.iter().map(|item| item["subject"]["id"].as_str().unwrap_or_default().to_owned()).collect();
        let theirs = instance.items.iter().filter(|item| part(&self.books, asked, item.grant, person) == Part::Decides);
        let theirs: BTreeSet<String> = theirs.map(|item| self.books.grants[item.grant].id.clone()).collect();
        let name = self.books.people[person].name.clone();
        self.same(|| format!("{}: what {name} decides on", instance.id), &theirs, &shown);
    }

    /// Reviewers say what they have to say by now.
    pub fn review(&mut self) {
        let due: Vec<Answer> = self.reviews.answers.extract_if(..=self.now, |_, _| true).flat_map(|(_, answers)| answers).collect();
        for answer in due {
            self.say(&answer);
        }
        for number in 0..self.reviews.instances.len() {
            let instance = &self.reviews.instances[number];
            let (Some(at), Standing::Asking { .. }) = (instance.cut_short, instance.standing) else { continue };
            if at > self.now {
                continue;
            }
            let path = format!("/v1/reviews/{}/complete", instance.id);
            let by = self.someone_of_security();
            let ask = self.ask(by, "POST", path, json!({"reason": "enough"}));
            let reply = self.wire.one(ask);
            if self.expect(|| "a review is ended before its time".to_owned(), &reply, 200, "") {
                self.complete(number);
            }
        }
        if self.followed >= 2 && self.rng.chance(3) {
            self.start_one();
        }
        self.review_emergencies();
    }

    /// A review beside the schedule.
    fn start_one(&mut self) {
        let of = self.rng.below(self.reviews.definitions.len());
        if self.reviews.definitions[of].next.is_none() {
            return;
        }
        let path = format!("/v1/reviews/definitions/{}/start", self.reviews.definitions[of].id);
        let by = self.someone_of_security();
        let ask = self.ask(by, "POST", path, Value::Null);
        let reply = self.wire.one(ask);
        if self.expect(|| "a review is started".to_owned(), &reply, 201, "") {
            self.opens(of);
        }
    }

    fn decide(&mut self, by: usize, id: &str, subjects: &[Value], says: &str) -> Reply {
        let body = json!({"items": subjects, "decision": says, "reason": format!("{says} it is")});
        let ask = self.ask(by, "POST", format!("/v1/reviews/{id}/decide"), body);
        self.wire.one(ask)
    }

    fn subject(&self, item: &Item) -> Value {
        let grant = &self.books.grants[item.grant];
        json!({"kind": if grant.eligibility { "eligibility" } else { "assignment" }, "id": grant.id})
    }

    fn say(&mut self, answer: &Answer) {
        let instance = self.reviews.instances[answer.instance].clone();
        let what = format!("{} says {} in {}", self.books.people[answer.by].name, answer.says, instance.id);
        if !self.books.enabled(answer.by) {
            return;
        }
        let subjects = |year: &Self, items: &[usize]| items.iter().map(|item| year.subject(&instance.items[*item])).collect::<Vec<_>>();
        let stage = match instance.standing {
            Standing::Asking { stage, .. } if stage == answer.stage => stage,
            Standing::Asking { .. } => return,
            Standing::Complete { .. } | Standing::Done => {
                let subjects = subjects(self, &answer.items);
                let reply = self.decide(answer.by, &instance.id, &subjects, answer.says);
                self.expect(|| format!("{what}, too late"), &reply, 409, "not_in_state");
                return;
            }
        };
        let asked = self.reviews.definitions[instance.of].stages[stage].clone();
        let part_in = |year: &Self, item: &usize| part(&year.books, &asked, instance.items[*item].grant, answer.by);
        let parts: Vec<(usize, Part)> = answer.items.iter().map(|item| (*item, part_in(self, item))).collect();
        // a few of those that are not theirs: many would be an alert
        for (item, part) in parts.iter().filter(|(_, part)| *part != Part::Decides).take(2) {
            let rule = match part {
                Part::Decides => continue,
                Part::Own => "separation_of_duties",
                Part::None => "not_a_reviewer",
            };
            let subjects = subjects(self, &[*item]);
            let reply = self.decide(answer.by, &instance.id, &subjects, answer.says);
            self.expect(|| format!("{what} of {}", self_say(&subjects)), &reply, 403, rule);
        }
        let theirs: Vec<usize> = parts.iter().filter(|(_, part)| *part == Part::Decides).map(|(item, _)| *item).collect();
        if theirs.is_empty() {
            return;
        }
        let subjects = subjects(self, &theirs);
        let reply = self.decide(answer.by, &instance.id, &subjects, answer.says);
        if self.expect(|| what.clone(), &reply, 200, "") {
            self.figures.decisions += theirs.len();
            for item in theirs {
                self.reviews.instances[answer.instance].items[item].said[stage] = Some(answer.says);
            }
            self.tallied(answer.instance, &what, &reply.body);
        }
    }

    /// Holds the counts that a review shows against the oracle's.
    fn tallied(&mut self, number: usize, what: &str, shown: &Value) {
        let instance = &self.reviews.instances[number];
        let Standing::Asking { stage, .. } = instance.standing else { return };
        let count = |says: &str| instance.items.iter().filter(|item| item.standing() == Some(says)).count();
        let open = instance.items.iter().filter(|item| item.said[stage].is_none()).count();
        let oracle = json!([count("approve"), count("deny"), open, self.removals(number)]);
        let of = &shown["items"];
        let elevon = json!([of["approved"], of["denied"], of["open"], of["removals"]]);
        self.same(|| format!("{what}: items approved, denied, open, to be taken away"), &oracle, &elevon);
    }

    // ---- emergencies -------------------------------------------------------------------------------------------------------------

    /// Break-glass opens a review by itself.
    pub fn broke_the_glass(&mut self, act: usize, reply: &Reply) {
        let found = self.books.acts[act].clone();
        let Some((_, _, within)) = self.books.roles[found.role].emergency else { return };
        let what = format!("the review of emergency {}", found.id);
        let ends = self.now + within;
        self.same(|| format!("{what}: until when"), &Some(ends), &instant(&reply.body["review_by"]));
        let ask = self.ask(0, "GET", "/v1/reviews?status=in_progress&limit=50", Value::Null);
        let reply = self.wire.one(ask);
        let of = json!({"kind": "emergency", "id": found.id});
        let Some(shown) = reply.body["items"].as_array().into_iter().flatten().find(|review| review["of"] == of).cloned() else {
            return self.fault(format!("{what} is not open"));
        };
        self.same(|| format!("{what}: when it ends"), &Some(ends), &instant(&shown["ends_at"]));
        let id = shown["id"].as_str().unwrap().to_owned();
        self.figures.reviews += 1;
        self.figures.items += 1;
        let says = match self.rng.below(10) {
            0..3 => None,
            3..7 => Some("approve"),
            7..9 => Some("deny"),
            _ => Some("dont_know"),
        };
        let at = if self.rng.chance(300) { self.now } else { self.now + self.rng.between(1, within / HOUR - 1) * HOUR };
        self.reviews.emergencies.push(Emergency { act, id, ends, says: says.map(|says| (at, says)), said: None });
    }

    fn review_emergencies(&mut self) {
        let now = self.now;
        let mut open = Vec::new();
        for mut emergency in std::mem::take(&mut self.reviews.emergencies) {
            let what = format!("the review of emergency {}", self.books.acts[emergency.act].id);
            if emergency.ends <= now {
                self.emergency_over(&emergency, &what);
                continue;
            }
            if let Some((_, says)) = emergency.says.filter(|(at, _)| *at <= now) {
                emergency.says = None;
                let by = self.someone_of_security();
                let subject = json!({"kind": "activation", "id": self.books.acts[emergency.act].id});
                let reply = self.decide(by, &emergency.id, &[subject], says);
                if self.expect(|| what.clone(), &reply, 200, "") {
                    self.figures.decisions += 1;
                    emergency.said = Some(says);
                }
                if self.rng.chance(500) {
                    let ask = self.ask(by, "POST", format!("/v1/reviews/{}/complete", emergency.id), json!({}));
                    let reply = self.wire.one(ask);
                    self.expect(|| format!("{what} is ended"), &reply, 200, "");
                    self.emergency_over(&emergency, &what);
                    continue;
                }
            }
            open.push(emergency);
        }
        self.reviews.emergencies = open;
    }

    fn emergency_over(&mut self, emergency: &Emergency, what: &str) {
        let path = format!("/v1/reviews/{}", emergency.id);
        if self.until(&path, &format!("{what} is carried out"), |shown| shown["status"] == "applied").is_none() {
            return;
        }
        let runs = matches!(self.books.acts[emergency.act].state, State::Active { .. }) && self.books.counts(emergency.act, self.now);
        let result = match (emergency.said == Some("deny"), runs) {
            (false, _) => "kept",
            (true, true) => "removed",
            (true, false) => "gone",
        };
        let subject = format!("activation {}", self.books.acts[emergency.act].id);
        self.digest();
        self.alerts.end("emergency_used", &subject, self.now);
        if result == "removed" {
            self.books.end(emergency.act, self.now, "revoked");
            self.figures.removed += 1;
        }
        let shown = self.pages(0, &format!("{path}/items"));
        let shown = shown.first().and_then(|item| item["applied"]["result"].as_str()).unwrap_or_default().to_owned();
        self.same(|| format!("{what}: what becomes of it"), &result.to_owned(), &shown);
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

fn self_say(subjects: &[Value]) -> String {
    subjects.iter().map(Value::to_string).collect::<Vec<_>>().join(", ")
}
