//! What happens at one time of a day: people come and go, ask for roles, are approved, take longer, and are done; and what Elevon says of it all
//! is held against the books.

use serde_json::{Value, json};

use super::books::{Activation, Expected, Noted, State};
use super::calendar::{At, DAY, HOUR, MINUTE, read, show};
use super::company::{Kind, SCOPES, scope_json, scope_name, systems_below};
use super::wire::{Ask, Reply};
use super::year::{Plan, Year};

/// A request that is about to be made.
pub struct Wish {
    pub person: usize,
    pub role: usize,
    pub scope: Option<usize>,
    pub duration: i64,
    pub emergency: bool,
}

impl Year {
    /// One time of a day, with so many new activations.
    pub fn work(&mut self, activations: usize, last: bool) {
        self.come_and_go();
        self.books.tidy(self.now);
        let goal = self.figures.activations + activations;
        // some of what is asked for is there already, or refused
        for _ in 0..if last { 50 } else { 3 } {
            let missing = goal.saturating_sub(self.figures.activations);
            if missing == 0 {
                break;
            }
            let wishes = self.wishes(missing);
            self.request(wishes);
        }
        self.go_on();
        self.review();
        self.look();
    }

    /// What was begun goes on.
    pub fn go_on(&mut self) {
        let due: Vec<Plan> = self.plans.extract_if(..=self.now, |_, _| true).flat_map(|(_, plans)| plans).collect();
        self.extend(&due);
        let due: Vec<Plan> = due.into_iter().chain(self.plans.remove(&self.now).unwrap_or_default()).collect();
        self.answer(&due);
        self.finish(&due);
    }

    fn come_and_go(&mut self) {
        let now = self.now;
        let due = |of: &mut std::collections::BTreeMap<At, Vec<usize>>| -> Vec<usize> {
            of.extract_if(..=now, |_, _| true).flat_map(|(_, people)| people).collect()
        };
        let (joining, moving, leaving) = (due(&mut self.joiners), due(&mut self.movers), due(&mut self.leavers));
        let deleted = due(&mut self.deleted);
        self.join(&joining);
        // who is in what is looked at when a record is, which may be later: nothing of before is to be left
        let around = !(moving.is_empty() && leaving.is_empty() && deleted.is_empty());
        if around {
            self.detected();
        }
        let moving: Vec<usize> = moving.into_iter().filter(|person| self.books.enabled(*person)).collect();
        self.move_on(&moving);
        self.leave(&leaving);
        self.delete(&deleted);
        if around {
            self.detected();
        }
        self.provide(false);
        if self.rng.chance(60) {
            self.assign(2);
        }
        if self.rng.chance(25) {
            self.take_back();
        }
    }

    /// Security takes an eligibility back, now and then.
    fn take_back(&mut self) {
        let standing: Vec<usize> =
            self.books.of_person.iter().flatten().copied().filter(|grant| self.books.stands(*grant, self.now)).collect();
        if standing.is_empty() {
            return;
        }
        let grant = *self.rng.pick(&standing);
        self.take(grant);
    }

    pub fn take(&mut self, grant: usize) {
        let kind = if self.books.grants[grant].eligibility { "eligibilities" } else { "assignments" };
        let path = format!("/v1/{kind}/{}?reason=enough", self.books.grants[grant].id);
        let by = self.someone_of_security();
        let ask = self.ask(by, "DELETE", path, Value::Null);
        let reply = self.wire.one(ask);
        if self.expect(|| "a grant is taken back".to_owned(), &reply, 200, "") {
            self.books.remove(grant, self.now);
        }
    }

    // ---- asking for roles --------------------------------------------------------------------------------------------------------

    /// What people who are at work want now: one thing each.
    fn wishes(&mut self, count: usize) -> Vec<Wish> {
        let hour = self.now.rem_euclid(DAY) / HOUR;
        let at_work = |shift: i64| (hour - shift).rem_euclid(24) < 9;
        let there: Vec<usize> = (0..self.books.people.len())
            .filter(|person| self.books.enabled(*person) && !self.silent.contains(person) && at_work(self.books.people[*person].shift))
            .collect();
        let mut wishes: Vec<Wish> = Vec::new();
        for _ in 0..count * 20 {
            if wishes.len() >= count || there.is_empty() {
                break;
            }
            let person = *self.rng.pick(&there);
            if !self.rng.chance(self.books.people[person].busy * 100) || wishes.iter().any(|wish| wish.person == person) {
                continue;
            }
            wishes.extend(self.wish(person));
        }
        // now and then somebody tries what is not theirs, or comes back after having left
        if self.rng.chance(30) {
            let person = super::company::SECURITY + self.rng.below(self.books.people.len() - super::company::SECURITY);
            let role = self.rng.below(self.books.roles.len());
            if wishes.iter().all(|wish| wish.person != person) && !self.silent.contains(&person) {
                let duration = self.books.roles[role].default;
                wishes.push(Wish { person, role, scope: Some(self.rng.below(SCOPES)), duration, emergency: false });
            }
        }
        wishes
    }

    fn wish(&mut self, person: usize) -> Option<Wish> {
        let mut grants = self.books.grants_of(person, true, self.now);
        grants.retain(|grant| !self.dormant.contains(grant));
        if grants.is_empty() {
            return None;
        }
        let grant = *self.rng.pick(&grants);
        let (role, on) = (self.books.grants[grant].role, self.books.grants[grant].scope);
        let settings = &self.books.roles[role];
        if settings.kind == Kind::Rescue && !self.rng.chance(150) {
            return None;
        }
        let emergency = settings.kind == Kind::Rescue && self.rng.chance(250);
        let (default, most) = (settings.default, settings.most);
        let habit = person * 7 + self.rng.below(2);
        let systems = systems_below(on);
        let below = systems.get(habit % systems.len()).copied();
        let scope = if self.rng.chance(600) && !(on.is_none() && settings_need_scope(self, role)) { on } else { below };
        let duration = if emergency { 30 * MINUTE } else { (default * self.rng.between(1, 4) / 2).min(most) };
        Some(Wish { person, role, scope, duration, emergency })
    }

    /// Asks, and holds what is answered against the books.
    pub fn request(&mut self, wishes: Vec<Wish>) {
        let now = self.now;
        let mut asks = Vec::new();
        let mut expected = Vec::new();
        for wish in &wishes {
            let settings = &self.books.roles[wish.role];
            let mut body =
                json!({"role": settings.name, "duration": format!("PT{}M", wish.duration / MINUTE), "justification": "work to do"});
            if let Some(scope) = wish.scope {
                body["scope"] = scope_json(scope);
            }
            if settings.kind == Kind::Operate {
                body["ticket"] = json!({"system": "changes", "number": format!("CHG-{}", now / MINUTE)});
            }
            if wish.emergency {
                body["emergency"] = json!(true);
            }
            expected.push(self.books.request(wish.person, wish.role, wish.scope, wish.duration, wish.emergency, now));
            asks.push(self.ask(wish.person, "POST", "/v1/activations", body));
        }
        for ((reply, wish), expected) in self.wire.all(&asks).into_iter().zip(wishes).zip(expected) {
            let what = format!("{} asks for {} on {:?}", self.books.people[wish.person].name, self.books.roles[wish.role].name, wish.scope);
            match expected {
                Expected::Refused(status, rule) => drop(self.expect(|| what, &reply, status, rule)),
                Expected::There(these) => {
                    let id = reply.body["id"].as_str().unwrap_or_default();
                    let known = these.iter().any(|act| self.books.acts[*act].id == id);
                    if self.expect(|| what.clone(), &reply, 200, "") && !known {
                        self.fault(format!("{what}: {id} is none that gives it already"));
                    }
                }
                Expected::New { waits } => {
                    if self.expect(|| what.clone(), &reply, 201, "") {
                        self.asked(&what, &wish, waits, &reply);
                    }
                }
            }
        }
    }

    fn asked(&mut self, what: &str, wish: &Wish, waits: bool, reply: &Reply) {
        let now = self.now;
        let bases = self.books.bases(wish.person, wish.role, wish.scope, now);
        let eligibility = reply.body["eligibility"]["id"].as_str().unwrap_or_default();
        let Some(basis) = bases.into_iter().find(|grant| self.books.grants[*grant].id == eligibility) else {
            return self.fault(format!("{what}: it rests on {eligibility}, which is none that it could rest on"));
        };
        let settings = &self.books.roles[wish.role];
        let (timeout, extensions) = (settings.timeout, settings.extensions);
        let act = self.books.add(Activation {
            id: reply.body["id"].as_str().unwrap().to_owned(),
            person: wish.person,
            role: wish.role,
            scope: wish.scope,
            basis,
            asked: now,
            duration: wish.duration,
            emergency: wish.emergency,
            extends: None,
            extensions: 0,
            state: State::Pending { until: now + timeout },
            window: None,
            votes: Vec::new(),
            hash: reply.body["request_hash"].as_str().unwrap_or_default().to_owned(),
        });
        self.figures.activations += 1;
        self.books.noted.push(Noted::Asked { person: wish.person });
        if !waits {
            self.books.begin(act, now);
            self.plan(act, extensions);
        } else if self.rng.chance(800) {
            self.plans.entry(now).or_default().push(Plan::Answer(act));
        } else {
            // later, while those who asked are still at work, or never
            let home = now - now.rem_euclid(DAY) + (self.books.people[wish.person].shift + 9) * HOUR;
            let latest = (timeout - MINUTE).min(home - now) / MINUTE;
            if latest > 1 && self.rng.chance(750) {
                let later = now + self.rng.between(1, latest) * MINUTE;
                self.plans.entry(later).or_default().push(Plan::Answer(act));
            }
        }
        self.shown(what, act, reply);
        if wish.emergency {
            self.broke_the_glass(act, reply);
        }
    }

    /// Holds how an activation is shown against the books.
    pub fn shown(&mut self, what: &str, act: usize, reply: &Reply) {
        let (status, end) = match self.books.acts[act].state {
            State::Pending { .. } => ("pending", None),
            State::Active { .. } => ("active", self.books.effective_end(act).map(show)),
            State::Over(how) => (how, None),
        };
        let shown = reply.body["status"].as_str().unwrap_or_default().to_owned();
        self.same(|| format!("{what}: its status"), &status.to_owned(), &shown);
        // whoever may not read it is told its status only
        if status == "active" && !reply.body["role"].is_null() {
            let end_shown = reply.body["end"].as_str().map(str::to_owned);
            self.same(|| format!("{what}: its end"), &end, &end_shown);
        }
    }

    /// What becomes of an activation that has begun.
    fn plan(&mut self, act: usize, extensions: u32) {
        let (now, duration) = (self.now, self.books.acts[act].duration);
        let emergency = self.books.acts[act].emergency;
        let plan = match self.rng.below(100) {
            0..25 => Some((Plan::Deactivate(act), self.rng.between(1, duration / MINUTE - 1))),
            25..28 => Some((Plan::Revoke(act), self.rng.between(1, duration / MINUTE - 1))),
            28..45 if extensions > 0 && !emergency => {
                Some((Plan::Extend(act), self.rng.between(duration / MINUTE / 3, duration / MINUTE - 1)))
            }
            _ => None,
        };
        if let Some((plan, minutes)) = plan {
            self.plans.entry(now + minutes * MINUTE).or_default().push(plan);
        }
    }

    // ---- longer ------------------------------------------------------------------------------------------------------------------

    fn extend(&mut self, due: &[Plan]) {
        let now = self.now;
        let wanted: Vec<usize> = due.iter().filter_map(|plan| if let Plan::Extend(act) = plan { Some(*act) } else { None }).collect();
        let wanted: Vec<usize> = wanted.into_iter().filter(|act| self.books.counts(*act, now)).collect();
        let mut asks = Vec::new();
        for act in &wanted {
            let found = &self.books.acts[*act];
            let mut body = json!({"justification": "takes longer"});
            if self.books.roles[found.role].kind == Kind::Operate {
                body["ticket"] = json!({"system": "changes", "number": "CHG-1"});
            }
            asks.push(self.ask(found.person, "POST", format!("/v1/activations/{}/extend", found.id), body));
        }
        for (reply, act) in self.wire.all(&asks).into_iter().zip(wanted) {
            self.longer(act, &reply);
        }
    }

    fn longer(&mut self, act: usize, reply: &Reply) {
        let now = self.now;
        let found = self.books.acts[act].clone();
        let State::Active { start, end } = found.state else { return };
        let what = format!("{} asks for more of {}", self.books.people[found.person].name, found.id);
        let settings = &self.books.roles[found.role];
        let (default, quorum, timeout, most) = (settings.default, settings.quorum, settings.timeout, settings.extensions);
        let refused = if found.extensions >= most || self.books.effective_end(act) != Some(end) {
            Some("not_extendable")
        } else if now < start + (end - start) / 2 {
            Some("too_early_to_extend")
        } else if !self.books.within_budget(found.person, found.role, (end, end + default)) {
            Some("budget_exhausted")
        } else {
            None
        };
        if let Some(rule) = refused {
            self.expect(|| what, reply, 409, rule);
            return;
        }
        if !self.expect(|| what.clone(), reply, 201, "") {
            return;
        }
        let waits = quorum > 0;
        self.books.noted.push(Noted::Asked { person: found.person });
        let extension = self.books.add(Activation {
            id: reply.body["id"].as_str().unwrap().to_owned(),
            asked: now,
            duration: default,
            extends: Some(act),
            state: if waits { State::Pending { until: now + timeout } } else { State::Over("approved") },
            window: None,
            votes: Vec::new(),
            hash: reply.body["request_hash"].as_str().unwrap_or_default().to_owned(),
            ..found
        });
        if waits {
            self.plans.entry(now).or_default().push(Plan::Answer(extension));
        } else {
            self.grow(act, default);
        }
        self.shown(&what, extension, reply);
    }

    fn grow(&mut self, act: usize, by: i64) {
        let found = &mut self.books.acts[act];
        if let State::Active { start, end } = found.state {
            found.state = State::Active { start, end: end + by };
            found.window = Some((start, end + by));
            found.extensions += 1;
        }
    }

    // ---- votes -------------------------------------------------------------------------------------------------------------------

    /// Those who lead say yes or no to what waits, or whoever asked calls it off. Where two have to agree, one says so after the other.
    fn answer(&mut self, due: &[Plan]) {
        let now = self.now;
        let waiting: Vec<usize> = due.iter().filter_map(|plan| if let Plan::Answer(act) = plan { Some(*act) } else { None }).collect();
        let mut waiting: Vec<usize> = waiting.into_iter().filter(|act| self.books.waits(*act, now)).collect();
        while !waiting.is_empty() {
            let (mut asks, mut said) = (Vec::new(), Vec::new());
            for act in std::mem::take(&mut waiting) {
                let found = self.books.acts[act].clone();
                let who = &self.books.people;
                let mut voters = self.books.members(self.books.roles[found.role].approvers());
                let human = |person: usize| who[person].human;
                let voted = |person: &usize| found.votes.iter().any(|vote| human(*vote) == human(*person));
                voters.retain(|voter| self.books.enabled(*voter) && human(*voter) != human(found.person) && !voted(voter));
                let (how, by) = match self.rng.below(100) {
                    0..85 => ("approve", *self.rng.pick(&voters)),
                    85..93 => ("deny", *self.rng.pick(&voters)),
                    93..97 => ("cancel", found.person),
                    // nobody votes for oneself
                    _ => ("own", found.person),
                };
                let (verb, body) = match how {
                    "cancel" => ("cancel", json!({"reason": "not needed"})),
                    "deny" => ("deny", json!({"request_hash": found.hash, "justification": "no"})),
                    _ => ("approve", json!({"request_hash": found.hash, "justification": "yes"})),
                };
                asks.push(self.ask(by, "POST", format!("/v1/activations/{}/{verb}", found.id), body));
                said.push((act, how, by));
            }
            for (reply, (act, how, by)) in self.wire.all(&asks).into_iter().zip(said) {
                if self.voted(act, how, by, &reply) {
                    waiting.push(act);
                }
            }
        }
    }

    /// What a word about a request comes to. Whether another one is needed.
    pub fn voted(&mut self, act: usize, how: &'static str, by: usize, reply: &Reply) -> bool {
        let now = self.now;
        let what = format!("{how} of {} by {}", self.books.acts[act].id, self.books.people[by].name);
        if how == "own" {
            let lead = self.books.is_in(by, self.books.roles[self.books.acts[act].role].approvers());
            let rule = if lead { "separation_of_duties" } else { "not_an_approver" };
            let rule = if reply.rule() == "separation_of_duties" { "separation_of_duties" } else { rule };
            self.expect(|| what, reply, 403, rule);
            return true;
        }
        if !self.expect(|| what.clone(), reply, 200, "") {
            return false;
        }
        match how {
            "cancel" => self.books.end(act, now, "cancelled"),
            "deny" => {
                self.books.end(act, now, "denied");
                let person = self.books.acts[act].person;
                self.books.noted.push(Noted::Denied { person });
            }
            _ => {
                self.books.acts[act].votes.push(by);
                let quorum = self.books.roles[self.books.acts[act].role].quorum;
                if self.books.acts[act].votes.len() < quorum {
                    self.shown(&what, act, reply);
                    return true;
                }
                self.granted(act);
            }
        }
        self.shown(&what, act, reply);
        false
    }

    /// A request has all the votes that it needs.
    fn granted(&mut self, act: usize) {
        let found = self.books.acts[act].clone();
        match found.extends {
            None if self.books.in_force(found.basis, self.now) => {
                self.books.begin(act, self.now);
                let extensions = self.books.roles[found.role].extensions;
                self.plan(act, extensions);
            }
            Some(parent) if self.books.counts(parent, self.now) => {
                self.grow(parent, found.duration);
                self.books.acts[act].state = State::Over("approved");
            }
            None | Some(_) => self.books.acts[act].state = State::Over("failed"),
        }
    }

    // ---- the end -----------------------------------------------------------------------------------------------------------------

    fn finish(&mut self, due: &[Plan]) {
        let now = self.now;
        let (mut asks, mut of) = (Vec::new(), Vec::new());
        for plan in due {
            let (act, verb) = match plan {
                Plan::Deactivate(act) => (*act, "deactivate"),
                Plan::Revoke(act) => (*act, "revoke"),
                Plan::Extend(_) | Plan::Answer(_) => continue,
            };
            let person = self.books.acts[act].person;
            if !self.books.enabled(person) {
                continue;
            }
            let by = if verb == "revoke" { self.someone_of_security() } else { person };
            asks.push(self.ask(by, "POST", format!("/v1/activations/{}/{verb}", self.books.acts[act].id), json!({"reason": "done"})));
            of.push((act, verb));
        }
        for (reply, (act, verb)) in self.wire.all(&asks).into_iter().zip(of) {
            let what = format!("{verb} of {}", self.books.acts[act].id);
            if self.books.counts(act, now) {
                if self.expect(|| what, &reply, 200, "") {
                    self.books.end(act, now, if verb == "revoke" { "revoked" } else { "deactivated" });
                }
            } else {
                self.expect(|| what, &reply, 409, "not_in_state");
            }
        }
    }

    // ---- looking -----------------------------------------------------------------------------------------------------------------

    /// Who is elevated, as Elevon says, held against the books; and checks, which leave marks of use where the next review is far enough away.
    fn look(&mut self) {
        let mut of = Vec::new();
        for _ in 0..6 {
            let person = self.rng.below(self.books.people.len());
            let act = self.books.history[person].len().checked_sub(1 + self.rng.below(3)).map(|at| self.books.history[person][at]);
            let (role, scope) = match act {
                Some(act) => (self.books.acts[act].role, self.books.acts[act].scope),
                None => (self.rng.below(self.books.roles.len()), None),
            };
            let role = if self.rng.chance(100) { self.rng.below(self.books.roles.len()) } else { role };
            let on = match self.rng.below(10) {
                0..2 => None,
                2..4 => Some(self.rng.below(SCOPES)),
                _ => systems_below(scope).first().copied(),
            };
            of.push((person, role, on));
        }
        let asks: Vec<Ask> = of.iter().map(|(person, role, on)| self.about(*person, *role, *on)).collect();
        for (reply, (person, role, on)) in self.wire.all(&asks).into_iter().zip(of) {
            self.elevated(person, role, on, &reply);
        }
        if self.quiet_ahead() && self.rng.chance(300) {
            self.check();
        }
    }

    fn about(&self, person: usize, role: usize, on: Option<usize>) -> Ask {
        let name = &self.books.people[person].name;
        let mut path = format!("/v1/elevated?principal_type=User&principal_id={name}&role={}", self.books.roles[role].name);
        if let Some(on) = on {
            let (kind, id) = scope_name(on);
            path.push_str(&format!("&resource_type={kind}&resource_id={id}"));
        }
        self.ask(0, "GET", path, Value::Null)
    }

    fn elevated(&mut self, person: usize, role: usize, on: Option<usize>, reply: &Reply) {
        self.figures.elevated += 1;
        let what = format!("whether {} is {} on {on:?}", self.books.people[person].name, self.books.roles[role].name);
        if !self.expect(|| what.clone(), reply, 200, "") {
            return;
        }
        let held = self.books.holdings(person, role, on, self.now);
        let elevated = held.iter().any(|(_, _, scope)| on.is_some() || scope.is_none());
        let shown = reply.body["elevated"] == json!(true);
        self.same(|| what.clone(), &elevated, &shown);
        let held: Vec<(String, Option<String>)> = held.into_iter().map(|(id, end, _)| (id, end.map(show))).collect();
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let shown = reply.body["holdings"].as_array().into_iter().flatten();
        let mut shown: Vec<_> = shown.map(|holding| (text(&holding["id"]).unwrap_or_default(), text(&holding["end"]))).collect();
        shown.sort();
        self.same(|| format!("{what}: by what"), &held, &shown);
    }

    /// Asks for access as systems do.
    fn check(&mut self) {
        let mut of = Vec::new();
        for _ in 0..40 {
            let person = self.rng.below(self.books.people.len());
            if self.silent.contains(&person) {
                continue;
            }
            let open = self.books.open[person].clone();
            let assigned = self.books.grants_of(person, false, self.now);
            let on = match (open.last(), assigned.last()) {
                (Some(act), _) => Some((self.books.acts[*act].role, self.books.acts[*act].scope)),
                (None, Some(grant)) => Some((self.books.grants[*grant].role, self.books.grants[*grant].scope)),
                (None, None) => None,
            };
            let Some((role, scope)) = on else { continue };
            let systems = systems_below(scope);
            of.push((person, role, *self.rng.pick(&systems)));
        }
        let asks: Vec<Ask> = of
            .iter()
            .map(|(person, role, on)| {
                let (kind, id) = scope_name(*on);
                let name = &self.books.people[*person].name;
                let body = json!({"subject": {"type": "User", "id": name}, "action": {"name": self.books.roles[*role].name},
                                  "resource": {"type": kind, "id": id}});
                self.ask(0, "POST", "/access/v1/evaluation", body)
            })
            .collect();
        self.followed = 0;
        for (reply, (person, role, on)) in self.wire.all(&asks).into_iter().zip(of) {
            self.figures.evaluations += 1;
            let allowed = !self.books.holdings(person, role, Some(on), self.now).is_empty();
            let shown = reply.body["decision"] == json!(true);
            let what = format!("whether {} may {} on {on}", self.books.people[person].name, self.books.roles[role].name);
            self.same(|| what, &allowed, &shown);
            if allowed {
                self.books.checked(person, role, on, self.now);
            }
        }
    }
}

fn settings_need_scope(year: &Year, role: usize) -> bool {
    year.books.roles[role].scope_required
}

/// Reads an instant, where there is one.
pub fn instant(value: &Value) -> Option<At> {
    value.as_str().map(read)
}
