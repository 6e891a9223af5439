//! Budgets: what the model was asked for, and what the rows charge.

use std::collections::{BTreeMap, BTreeSet};

use super::{Broken, History, Promise, Row};
use crate::storm::model::{COMPLETION, PROMPT, REQUESTS, TOKENS};

impl History {
    pub(super) fn budgets(&self, broken: &mut Broken) {
        // A storm over midnight has the budgets of two days.
        let day = |time: jiff::Timestamp| time.as_second().div_euclid(24 * 60 * 60);
        let days = u64::try_from(day(self.ended) - day(self.began) + 1).unwrap_or(1);
        let calls = self.modeled.len() as u64;
        if calls > days * REQUESTS {
            let why = format!("the model got {calls} calls, and the budget has {REQUESTS}");
            broken.add(Promise::Budgets, why);
        }
        let tokens = calls * (PROMPT + COMPLETION);
        if tokens > days * TOKENS {
            let why = format!("the model used {tokens} tokens, and the budget has {TOKENS}");
            broken.add(Promise::Budgets, why);
        }
        self.reservations(broken);
        if self.counted_in_rows && days == 1 {
            self.charges(broken);
        }
    }

    /// Each call of the model has a reservation of its own.
    fn reservations(&self, broken: &mut Broken) {
        let mut left: BTreeMap<&str, i64> = BTreeMap::new();
        for row in self.rows.iter().filter(|row| row.kind == "budget.reserved") {
            *left.entry(&row.request_id).or_default() += 1;
        }
        for marker in self.modeled.iter().filter(|marker| marker.starts_with("chat-")) {
            let reservations = left.entry(marker).or_default();
            *reservations -= 1;
            if *reservations < 0 {
                let why = format!("the model got `{marker}` without a reservation");
                broken.add(Promise::Budgets, why);
            }
        }
    }

    /// No reservation is written that does not fit after those before it. Where a settlement was lost with the
    /// connection, the instance that made the call still knows its use, and others know the reservation.
    fn charges(&self, broken: &mut Broken) {
        let of = |row: &Row| -> u64 {
            let number = |name: &str| row.data[name].as_u64().unwrap_or_default();
            number("prompt_tokens") + number("completion_tokens")
        };
        let settled = self.rows.iter().filter(|row| row.kind == "budget.settled");
        let settled: BTreeSet<_> =
            settled.filter_map(|row| row.data["reserved"].as_u64()).collect();
        let mut open: BTreeMap<u64, u64> = BTreeMap::new();
        let (mut requests, mut tokens) = (0, 0);
        for row in &self.rows {
            match row.kind.as_str() {
                "budget.reserved" => {
                    let charged = of(row);
                    if requests + 1 > REQUESTS || tokens + charged > TOKENS {
                        let all = tokens + charged;
                        let why = format!(
                            "row {} charges call {} and {all} tokens in all",
                            row.id,
                            requests + 1
                        );
                        broken.add(Promise::Budgets, why);
                        return;
                    }
                    let was_made = self.modeled.contains(&row.request_id);
                    match settled.contains(&row.id) {
                        true => {
                            open.insert(row.id, charged);
                            (requests, tokens) = (requests + 1, tokens + charged);
                        }
                        false if was_made => {
                            (requests, tokens) = (requests + 1, tokens + PROMPT + COMPLETION);
                        }
                        false => {}
                    }
                }
                "budget.settled" => {
                    let reserved = row.data["reserved"].as_u64().unwrap_or_default();
                    let Some(charged) = open.remove(&reserved) else { continue };
                    tokens = tokens + of(row) - charged;
                    requests -= u64::from(row.data["released"] == true);
                }
                _ => {}
            }
        }
    }
}
