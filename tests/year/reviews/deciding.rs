//! What reviewers do: who says what about which items, and what Elevon makes of that.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::books::Holder;
use crate::calendar::{At, MINUTE};
use crate::company::SECURITY;
use crate::wire::Reply;
use crate::year::Year;

use super::{Answer, Deciders, Item, Part, Stage, Standing, listed, part};

impl Year {
    /// Plans who says what about which items in a stage.
    pub fn plan_stage(&mut self, number: usize, stage: usize) {
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
    pub fn sees(&mut self, number: usize, asked: &Stage, person: usize) {
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
    pub fn start_one(&mut self) {
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

    pub fn decide(&mut self, by: usize, id: &str, subjects: &[Value], says: &str) -> Reply {
        let body = json!({"items": subjects, "decision": says, "reason": format!("{says} it is")});
        let ask = self.ask(by, "POST", format!("/v1/reviews/{id}/decide"), body);
        self.wire.one(ask)
    }

    pub fn subject(&self, item: &Item) -> Value {
        let grant = &self.books.grants[item.grant];
        json!({"kind": if grant.eligibility { "eligibility" } else { "assignment" }, "id": grant.id})
    }

    pub fn say(&mut self, answer: &Answer) {
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
    pub fn tallied(&mut self, number: usize, what: &str, shown: &Value) {
        let instance = &self.reviews.instances[number];
        let Standing::Asking { stage, .. } = instance.standing else { return };
        let count = |says: &str| instance.items.iter().filter(|item| item.standing() == Some(says)).count();
        let open = instance.items.iter().filter(|item| item.said[stage].is_none()).count();
        let oracle = json!([count("approve"), count("deny"), open, self.removals(number)]);
        let of = &shown["items"];
        let elevon = json!([of["approved"], of["denied"], of["open"], of["removals"]]);
        self.same(|| format!("{what}: items approved, denied, open, to be taken away"), &oracle, &elevon);
    }
}

fn self_say(subjects: &[Value]) -> String {
    subjects.iter().map(Value::to_string).collect::<Vec<_>>().join(", ")
}
