//! The reviews that breaking the glass opens.

use serde_json::{Value, json};

use crate::books::State;
use crate::calendar::HOUR;
use crate::wire::Reply;
use crate::work::instant;
use crate::year::Year;

use super::Emergency;

impl Year {
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

    pub fn review_emergencies(&mut self) {
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

    pub fn emergency_over(&mut self, emergency: &Emergency, what: &str) {
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
}
