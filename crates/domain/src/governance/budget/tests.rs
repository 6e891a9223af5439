//! Budgets hold under any interleaving of calls, and free what a call did not use.

use globset::{Glob, GlobSetBuilder};
use proptest::prelude::*;

use super::*;

const NOON: u64 = 20_000 * DAY_MS + DAY_MS / 2;
const PRICE: Price = Price { input_micros: 150_000, output_micros: 600_000 };

fn globs(pattern: &str) -> Option<GlobSet> {
    let mut set = GlobSetBuilder::new();
    set.add(Glob::new(pattern).unwrap());
    Some(set.build().unwrap())
}

fn budget(id: &str, limits: Limits) -> Budget {
    Budget { id: id.to_owned(), principals: None, agents: None, models: None, limits }
}

fn call(principal: &str) -> Call<'_> {
    Call { principal, agent: None, model: "m" }
}

fn tokens(prompt: u64, completion: u64) -> Tokens {
    Tokens { prompt, completion }
}

#[test]
fn a_budget_applies_to_the_calls_that_match_it() {
    let only = Budget {
        principals: globs("gpt-*"),
        models: globs("big*"),
        ..budget("b", Limits::default())
    };
    let of = |principal, model| only.applies_to(&Call { principal, agent: None, model });
    assert!(of("gpt-1", "big-70b"));
    assert!(!of("ci", "big-70b") && !of("gpt-1", "small"));
    let agents = Budget { agents: globs("*"), ..budget("b", Limits::default()) };
    assert!(!agents.applies_to(&call("x")), "a call without an agent");
}

#[test]
fn a_call_reserves_its_most_and_settles_what_it_used() {
    let budgets = [budget("day", Limits { tokens_per_day: Some(1_000), ..Limits::default() })];
    let mut ledger = Ledger::default();
    let first = ledger.reserve(&budgets, &call("a"), tokens(100, 800), PRICE, NOON).unwrap();
    let refused = ledger.reserve(&budgets, &call("b"), tokens(100, 1), PRICE, NOON).unwrap_err();
    assert_eq!((refused.budget.as_str(), refused.limit), ("day", LimitKind::TokensPerDay));
    assert_eq!(refused.resets_at, 20_001 * DAY_MS);
    ledger.settle(&first, Some(tokens(100, 50)), NOON);
    assert_eq!(ledger.used("day", NOON).day_tokens, 150);
    let _ = ledger.reserve(&budgets, &call("b"), tokens(50, 800), PRICE, NOON).unwrap();
}

#[test]
fn what_the_provider_does_not_report_stays_charged() {
    let budgets = [budget("day", Limits { tokens_per_day: Some(100), ..Limits::default() })];
    let mut ledger = Ledger::default();
    let cut = ledger.reserve(&budgets, &call("a"), tokens(10, 90), PRICE, NOON).unwrap();
    ledger.settle(&cut, None, NOON);
    assert!(ledger.reserve(&budgets, &call("a"), tokens(1, 0), PRICE, NOON).is_err());
    // More than was reserved counts in full, too.
    let mut ledger = Ledger::default();
    let lied = ledger.reserve(&budgets, &call("a"), tokens(10, 10), PRICE, NOON).unwrap();
    ledger.settle(&lied, Some(tokens(10, 500)), NOON);
    assert_eq!(ledger.used("day", NOON).day_tokens, 510);
    // A call that never reached the provider costs nothing.
    let mut ledger = Ledger::default();
    let unsent = ledger.reserve(&budgets, &call("a"), tokens(10, 10), PRICE, NOON).unwrap();
    ledger.release(&unsent, NOON);
    let used = ledger.used("day", NOON);
    assert_eq!((used.day_tokens, used.day_requests, used.day_cost), (0, 0, 0));
}

#[test]
fn each_limit_names_itself_and_ends_with_its_period() {
    let limits = [
        (Limits { tokens_per_minute: Some(50), ..Limits::default() }, LimitKind::TokensPerMinute),
        (Limits { requests_per_day: Some(1), ..Limits::default() }, LimitKind::RequestsPerDay),
        // 60 prompt tokens at 0.15 dollars a million are 9 microdollars.
        (
            Limits { cost_per_day: Some(10 * PICO_PER_MICRO), ..Limits::default() },
            LimitKind::CostPerDay,
        ),
    ];
    for (limits, expected) in limits {
        let budgets = [budget("b", limits)];
        let mut ledger = Ledger::default();
        let used = tokens(if expected == LimitKind::TokensPerMinute { 40 } else { 60 }, 0);
        let _ = ledger.reserve(&budgets, &call("a"), used, PRICE, NOON).unwrap();
        let refused = ledger.reserve(&budgets, &call("a"), used, PRICE, NOON).unwrap_err();
        assert_eq!(refused.limit, expected);
        let _ = ledger.reserve(&budgets, &call("a"), used, PRICE, refused.resets_at).unwrap();
    }
}

#[test]
fn a_clock_that_goes_back_does_not_reopen_a_day() {
    let budgets = [budget("b", Limits { requests_per_day: Some(1), ..Limits::default() })];
    let mut ledger = Ledger::default();
    let _ = ledger.reserve(&budgets, &call("a"), tokens(1, 1), PRICE, NOON).unwrap();
    assert!(ledger.reserve(&budgets, &call("a"), tokens(1, 1), PRICE, NOON - DAY_MS).is_err());
}

#[test]
fn a_call_that_does_not_fit_one_budget_is_charged_to_none() {
    let budgets = [
        budget("wide", Limits { tokens_per_day: Some(1_000), ..Limits::default() }),
        budget("narrow", Limits { tokens_per_day: Some(10), ..Limits::default() }),
    ];
    let mut ledger = Ledger::default();
    assert!(ledger.reserve(&budgets, &call("a"), tokens(10, 10), PRICE, NOON).is_err());
    assert_eq!(ledger.used("wide", NOON).day_tokens, 0);
}

proptest! {
    /// Calls that reserve, settle below their reservation, break off or never start, in any order: the
    /// charged total never exceeds the limit and equals the sum of what each call is charged.
    #[test]
    fn no_interleaving_exceeds_a_budget(
        calls in prop::collection::vec((0..400_u64, 0..400_u64, 0..4_u8, 0..=100_u64), 1..64),
        settle_first in any::<bool>(),
    ) {
        let budgets = [budget("b", Limits { tokens_per_day: Some(2_000), ..Limits::default() })];
        let mut ledger = Ledger::default();
        let mut open = Vec::new();
        let mut charged = 0;
        for (prompt, completion, end, percent) in calls {
            let most = tokens(prompt, completion);
            if let Ok(reservation) = ledger.reserve(&budgets, &call("a"), most, PRICE, NOON) {
                charged += most.total();
                open.push((reservation, most, end, percent));
            }
            prop_assert!(ledger.used("b", NOON).day_tokens <= 2_000);
            if settle_first && let Some((reservation, most, end, percent)) = open.pop() {
                charged -= most.total();
                charged += finish(&mut ledger, &reservation, most, end, percent);
            }
            prop_assert_eq!(ledger.used("b", NOON).day_tokens, charged);
        }
        for (reservation, most, end, percent) in open {
            charged -= most.total();
            charged += finish(&mut ledger, &reservation, most, end, percent);
        }
        prop_assert_eq!(ledger.used("b", NOON).day_tokens, charged);
    }
}

/// Ends a call in one of its ways and returns what it stays charged with.
fn finish(
    ledger: &mut Ledger,
    reservation: &Reservation,
    most: Tokens,
    end: u8,
    percent: u64,
) -> u64 {
    match end {
        0 => {
            ledger.settle(reservation, None, NOON);
            most.total()
        }
        1 => {
            ledger.release(reservation, NOON);
            0
        }
        _ => {
            let real = tokens(most.prompt, most.completion * percent / 100);
            ledger.settle(reservation, Some(real), NOON);
            real.total()
        }
    }
}
