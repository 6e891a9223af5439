//! Pages in both directions, and searches.

use life_agent_domain::governance::event::{EventKind, Outcome as RowOutcome, Row};

use super::build::{agent, entry, fill, ids};
use super::{Fixture, Outcome, Violation, ensure, open, same};
use crate::batch::WriteBatch;
use crate::filter::{Criteria, Filter};
use crate::journal::Journal;
use crate::page::Span;

/// The selected rows of a span, page by page.
async fn spanned(
    journal: &Journal,
    span: Span,
    filter: &Filter,
    limit: usize,
) -> Result<Vec<Row>, Violation> {
    let (mut rows, mut span) = (Vec::new(), span);
    loop {
        let page = journal.rows(span, limit, filter.clone()).await?;
        rows.extend(page.rows);
        let Some(next) = page.next else { return Ok(rows) };
        if span.newest_first {
            ensure(next < span.before, "a page leads to itself")?;
            span.before = next;
        } else {
            ensure(next > span.after, "a page leads to itself")?;
            span.after = next;
        }
    }
}

/// The selected rows of the whole journal in both directions, which must be the same.
async fn found(journal: &Journal, filter: &Filter, limit: usize) -> Result<Vec<u64>, Violation> {
    let oldest = ids(&spanned(journal, Span::after(0), filter, limit).await?);
    let mut newest = ids(&spanned(journal, Span::before(u64::MAX), filter, limit).await?);
    newest.reverse();
    same(&newest, &oldest, "rows newest first, reversed")?;
    Ok(oldest)
}

pub(super) async fn pages_run_both_ways_within_their_bounds(fixture: impl Fixture) -> Outcome {
    let journal = open(&fixture)?;
    let none = journal.rows(Span::before(u64::MAX), 10, Filter::default()).await?;
    same((none.rows.len(), none.next), (0, None), "a page of an empty journal")?;
    let kinds = [EventKind::Act, EventKind::Turn, EventKind::Denied];
    let agents = [Some("a"), Some("b"), None, Some("a")];
    for n in 0..60_usize {
        drop(journal.append(WriteBatch::of(entry(kinds[n % 3], agents[n % 4], "{}")?))?);
    }
    journal.barrier().await?;
    for (kind, name) in
        [(None, None), (Some("obs.*"), None), (None, Some("a")), (Some("obs.turn"), Some("a"))]
    {
        let filter = Filter::new(kind, name.map(agent).transpose()?).unwrap_or_default();
        let matches = |id: &u64| {
            let n = usize::try_from(*id - 1).unwrap_or_default();
            kind.is_none_or(|kind| kinds[n % 3].as_str().starts_with(kind.trim_end_matches('*')))
                && (name.is_none() || agents[n % 4] == name)
        };
        for (after, before) in
            [(0, u64::MAX), (0, 61), (7, 50), (20, 22), (20, 21), (30, 5), (60, 99), (99, u64::MAX)]
        {
            let expected: Vec<u64> =
                (1..=60).filter(|id| *id > after && *id < before).filter(matches).collect();
            for limit in [1, 4, 100] {
                for newest_first in [false, true] {
                    let span = Span { after, before, newest_first };
                    let mut rows = ids(&spanned(&journal, span, &filter, limit).await?);
                    if newest_first {
                        rows.reverse();
                    }
                    same(
                        rows,
                        expected.clone(),
                        &format!("{span:?} by {limit}, {kind:?}, {name:?}"),
                    )?;
                }
            }
        }
    }
    Ok(journal.close().await?)
}

/// Kind, agent and data of row `n + 1`.
fn content(n: u64) -> (EventKind, Option<&'static str>, String) {
    let (kind, data) = match n % 4 {
        0 => (
            EventKind::Act,
            format!(r#""would_deny":[{}]"#, if n.is_multiple_of(8) { "" } else { r#""r1""# }),
        ),
        1 => (EventKind::Denied, format!(r#""rule":"r{}""#, n % 3)),
        2 => (EventKind::ToolRequested, format!(r#""decision":"allow","session_id":"s{}""#, n % 3)),
        _ => (EventKind::Chat, r#""outcome":"failed""#.to_owned()),
    };
    let agent = [Some("a"), None, Some("b")][usize::try_from(n % 3).unwrap_or_default()];
    let text = format!(r#""input":"Common WORD{} über""#, n % 5);
    (
        kind,
        agent,
        format!(r#"{{{data},{text},"timing":{{"gates_us":1,"elapsed_us":{}}}}}"#, n * 100),
    )
}

async fn filled(journal: &Journal, rows: u64) -> Outcome {
    for n in 0..rows {
        let (kind, agent, data) = content(n);
        let mut entry = entry(kind, agent, &data)?;
        entry.principal = format!("p{}", n % 2);
        entry.request_id = format!("request-{}", n / 3);
        let handle = journal.append(WriteBatch::of(entry))?;
        // Commits of their own have times of their own.
        if n % 40 == 0 {
            handle.await?;
        }
    }
    Ok(journal.barrier().await?)
}

pub(super) async fn searches_select_what_their_criteria_select(fixture: impl Fixture) -> Outcome {
    let journal = open(&fixture)?;
    let rows = 240;
    filled(&journal, rows).await?;
    let all = spanned(&journal, Span::after(0), &Filter::default(), 1000).await?;
    let time = |id: usize| all.get(id).map(|row| row.ts.clone());
    let text = |text: &str| Some(text.to_owned());
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
    let none = Criteria::default;
    type Selects = fn(u64) -> bool;
    let searches: [(Criteria, Selects); 14] = [
        (Criteria { principal: text("p1"), ..none() }, |n| n % 2 == 1),
        (Criteria { request_id: text("request-7"), ..none() }, |n| n / 3 == 7),
        (Criteria { session_id: text("s1"), ..none() }, |n| n % 4 == 2 && n % 3 == 1),
        (Criteria { outcome: Some(RowOutcome::Allowed), ..none() }, |n| n % 8 == 0 || n % 4 == 2),
        (Criteria { outcome: Some(RowOutcome::WouldDeny), ..none() }, |n| n % 8 == 4),
        (Criteria { outcome: Some(RowOutcome::Denied), ..none() }, |n| n % 4 == 1),
        (Criteria { outcome: Some(RowOutcome::Failed), ..none() }, |n| n % 4 == 3),
        (Criteria { rule: text("r1"), ..none() }, |n| n % 8 == 4 || n % 4 == 1 && n % 3 == 1),
        (Criteria { words: words(&["word3"]), ..none() }, |n| n % 5 == 3),
        (Criteria { words: words(&["über", "common", "word0"]), ..none() }, |n| n % 5 == 0),
        (Criteria { words: words(&["word0", "word1"]), ..none() }, |_| false),
        (Criteria { words: words(&["wor"]), ..none() }, |_| false),
        (Criteria { min_elapsed_us: Some(20_000), ..none() }, |n| n >= 200),
        (
            Criteria {
                principal: text("p1"),
                rule: text("r2"),
                words: words(&["common"]),
                min_elapsed_us: Some(5_000),
                ..none()
            },
            |n| n % 4 == 1 && n % 3 == 2 && n % 2 == 1 && n >= 50,
        ),
    ];
    for (criteria, selects) in searches {
        let filter = Filter::default().with(criteria.clone());
        let expected: Vec<u64> = (0..rows).filter(|n| selects(*n)).map(|n| n + 1).collect();
        for limit in [7, 1000] {
            let subject = format!("{criteria:?} by {limit}");
            same(found(&journal, &filter, limit).await?, expected.clone(), &subject)?;
        }
        let filter =
            Filter::new(Some("gate.*"), Some(agent("b")?)).unwrap_or_default().with(criteria);
        let expected: Vec<u64> =
            expected.into_iter().filter(|id| (id - 1) % 4 == 1 && (id - 1) % 3 == 2).collect();
        same(found(&journal, &filter, 7).await?, expected, "the same of a kind and an agent")?;
    }
    for (since, until) in [(50, None), (0, Some(130)), (90, Some(130)), (130, Some(90))] {
        let criteria = Criteria { since: time(since), until: until.and_then(time), ..none() };
        let selects = |row: &&Row| {
            criteria.since.as_ref().is_none_or(|since| row.ts >= *since)
                && criteria.until.as_ref().is_none_or(|until| row.ts < *until)
        };
        let expected: Vec<u64> = all.iter().filter(selects).map(|row| row.id).collect();
        let filter = Filter::default().with(criteria.clone());
        same(found(&journal, &filter, 11).await?, expected, &format!("{criteria:?}"))?;
    }
    Ok(journal.close().await?)
}

pub(super) async fn a_restricted_reader_learns_nothing_of_other_rows(
    fixture: impl Fixture,
) -> Outcome {
    let journal = open(&fixture)?;
    filled(&journal, 240).await?;
    fill(&journal, 5).await?;
    let own = Filter::default().readable_by(|agent, principal| match agent {
        Some(agent) => agent == "a",
        None => principal == "p0",
    });
    let expected: Vec<u64> = (0..240).filter(|n| n % 3 == 0 || n % 6 == 4).map(|n| n + 1).collect();
    same(found(&journal, &own, 9).await?, expected, "own rows")?;
    // Words of other rows only, and of no row: the pages are the same.
    for (foreign, absent) in [("word1", "word9")] {
        let others = Filter::default().readable_by(|agent, _| agent == Some("nobody"));
        for span in [
            Span::after(0),
            Span::before(u64::MAX),
            Span { after: 9, before: 99, newest_first: true },
        ] {
            let page = async |word: &str| {
                let criteria = Criteria { words: vec![word.to_owned()], ..Criteria::default() };
                let page = journal.rows(span, 2, others.clone().with(criteria)).await?;
                Ok::<_, Violation>((ids(&page.rows), page.next, page.scanned_to))
            };
            same(page(foreign).await?, page(absent).await?, &format!("pages of {span:?}"))?;
        }
    }
    Ok(journal.close().await?)
}
