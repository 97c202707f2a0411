//! The journal, read from end to end and held together by hashes that are reckoned here.

use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::wire::Ask;
use super::year::Year;

/// Records of a page, and pages that are asked for at a time.
const PAGE: u64 = 500;
const PAGES: u64 = 16;

impl Year {
    /// Reads the whole journal: each record has the hash of the one before, and its own hash is that of its canonical text. How many there
    /// are, and about how long they are together. Of so many records the hash of one is reckoned.
    pub fn journal(&mut self, every: u64) -> (u64, usize) {
        let (mut next, mut bytes, mut before) = (0, 0, None::<String>);
        loop {
            let path = |page: u64| format!("/v1/audit/events?limit={PAGE}&cursor={}", next + page * PAGE);
            let asks: Vec<Ask> = (0..PAGES).map(|page| self.ask(0, "GET", path(page), Value::Null)).collect();
            for reply in self.wire.all(&asks) {
                let items = reply.body["items"].as_array().cloned().unwrap_or_default();
                if items.is_empty() {
                    return (next, bytes);
                }
                for item in items {
                    next += 1;
                    let record = &item["record"];
                    let hash = item["hash"].as_str().unwrap_or_default().to_owned();
                    if next % every == 0 {
                        let text = serde_json_canonicalizer::to_vec(record).unwrap();
                        bytes += text.len() * usize::try_from(every).unwrap();
                        let reckoned: String = Sha256::digest(&text).iter().map(|byte| format!("{byte:02x}")).collect();
                        self.same(|| format!("the hash of record {next}"), &reckoned, &hash);
                    }
                    self.same(|| format!("the place of record {next}"), &Some(next), &item["seq"].as_u64());
                    let prev = record["prev"].as_str().unwrap_or_default().to_owned();
                    self.same(|| format!("what record {next} says of the one before"), before.as_ref().unwrap_or(&prev), &prev);
                    before = Some(hash);
                }
            }
        }
    }
}
