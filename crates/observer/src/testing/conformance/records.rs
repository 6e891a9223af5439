//! Records in addition to the rows: agents, plans, settings, notes.

use life_agent_domain::governance::event::EventKind;

use super::build::{agent, entry, ids, json, side, snapshot, state, step, write};
use super::{Fixture, Outcome, open, same};
use crate::batch::{Proposal, SideWrite, Usage, WriteBatch};
use crate::filter::Filter;
use crate::notes::NoteChange;
use crate::usage::{MAX_COUNTED, UsageBy, UsageTotal};

pub(super) async fn agents_are_listed_in_order(fixture: impl Fixture) -> Outcome {
    let journal = open(&fixture)?;
    // By bytes: upper case before lower case, whatever the language.
    for name in ["b", "a", "B", "c"] {
        write(&journal, step(name, 1)?).await?;
    }
    // A denial does not create an agent.
    write(&journal, WriteBatch::of(entry(EventKind::Denied, Some("d"), "{}")?)).await?;
    let names = async |after: Option<&str>, limit| {
        let agents = journal.agents(after.map(str::to_owned), limit).await?;
        Ok::<_, super::Violation>(
            agents.into_iter().map(|agent| agent.agent_id).collect::<String>(),
        )
    };
    same(names(None, 3).await?.as_str(), "Bab", "the first agents")?;
    same(names(Some("b"), 3).await?.as_str(), "c", "the agents after `b`")?;
    same(names(None, usize::MAX).await?.as_str(), "Babc", "all agents")?;
    same(journal.agent("d").await?, None, "an agent without a step")?;
    let record = journal.agent("a").await?.map(|agent| (agent.state_version, agent.last_event));
    same(record, Some((1, 2)), "agent `a`")?;
    Ok(journal.close().await?)
}

pub(super) async fn the_history_of_an_agent_starts_at_its_snapshot(
    fixture: impl Fixture,
) -> Outcome {
    let journal = open(&fixture)?;
    for version in 1..=3 {
        write(&journal, step("a", version)?).await?;
        write(&journal, step("b", version)?).await?;
    }
    let history = journal.agent_history("a").await?;
    same(ids(&history.steps), vec![1, 3, 5], "steps without a snapshot")?;
    same(history.snapshot, None, "no snapshot")?;
    let with = WriteBatch { snapshot: Some(snapshot(4)), ..step("a", 4)? };
    write(&journal, with).await?;
    // A snapshot of a version that the agent has left is ignored, one of the present version is not.
    side(&journal, SideWrite::Snapshot(agent("a")?, snapshot(3))).await?;
    side(&journal, SideWrite::Snapshot(agent("b")?, snapshot(3))).await?;
    write(&journal, step("a", 5)?).await?;
    let history = journal.agent_history("a").await?;
    same(ids(&history.steps), vec![8], "steps after the snapshot")?;
    same(history.snapshot_row.map(|row| row.id), Some(7), "the row of the snapshot")?;
    let state_of = |stored: crate::StoredSnapshot| (stored.event_id, stored.state);
    same(history.snapshot.map(state_of), Some((7, state(4))), "the snapshot")?;
    let other = journal.snapshot("b").await?.map(|stored| stored.event_id);
    same(other, Some(6), "the snapshot of an idle agent")?;
    let unknown = journal.agent_history("c").await?;
    same(unknown.steps.len(), 0, "steps of an unknown agent")?;
    Ok(journal.close().await?)
}

pub(super) async fn recent_activity_is_the_latest(fixture: impl Fixture) -> Outcome {
    let journal = open(&fixture)?;
    for n in 1..=6 {
        for name in ["a", "b"] {
            write(&journal, step(name, 2 * n - 1)?).await?;
            write(&journal, WriteBatch::of(entry(EventKind::Denied, Some(name), "{}")?)).await?;
            let turn = entry(EventKind::Turn, Some(name), "{}")?;
            let batch = WriteBatch { step: step(name, 2 * n)?.step, ..WriteBatch::of(turn) };
            write(&journal, batch).await?;
        }
    }
    let recent = journal.recent_activity("a", 4, 2).await?;
    same(ids(&recent.events), vec![27, 31, 32, 33], "the latest events")?;
    same(ids(&recent.turns), vec![27, 33], "the latest turns")?;
    let all = journal.recent_activity("b", 1000, 1000).await?;
    same((all.events.len(), all.turns.len()), (18, 6), "all events and turns")?;
    let none = journal.recent_activity("c", 5, 5).await?;
    same(none.events.len(), 0, "events of an unknown agent")?;
    Ok(journal.close().await?)
}

pub(super) async fn plans_and_settings_keep_their_last_value(fixture: impl Fixture) -> Outcome {
    let journal = open(&fixture)?;
    for (id, status) in
        [("1", "created"), ("2", "created"), ("3", "created"), ("2", "rejected"), ("4", "created")]
    {
        let proposal = Proposal {
            id: id.to_owned(),
            status: status.to_owned(),
            intent: "i".to_owned(),
            artifact: "a".to_owned(),
            data: json("{}")?,
        };
        let setting = SideWrite::Setting { key: "last".to_owned(), value: id.to_owned() };
        let batch = WriteBatch::of(entry(EventKind::PlanCreated, None, "{}")?);
        let side_writes = vec![SideWrite::Proposal(proposal), setting];
        write(&journal, WriteBatch { side_writes, ..batch }).await?;
    }
    journal.close().await?;
    let journal = open(&fixture)?;
    let list = async |status: Option<&str>, before, limit| {
        let found = journal.proposals(status.map(str::to_owned), before, limit).await?;
        let ids = found.into_iter().map(|record| record.proposal.id).collect::<String>();
        Ok::<_, super::Violation>(ids)
    };
    same(list(None, None, 3).await?.as_str(), "432", "the latest plans")?;
    same(list(None, Some(2), 3).await?.as_str(), "1", "the plans before row 2")?;
    same(list(Some("created"), None, usize::MAX).await?.as_str(), "431", "plans of a status")?;
    same(list(Some("x"), Some(u64::MAX), 1).await?.as_str(), "", "plans of an unknown status")?;
    let plan = journal.proposal("2").await?;
    let plan = plan.map(|record| (record.event_id, record.proposal.status));
    same(plan, Some((2, "rejected".to_owned())), "a changed plan")?;
    same(journal.setting("last").await?.as_deref(), Some("4"), "a setting")?;
    same(journal.setting("other").await?, None, "an unknown setting")?;
    Ok(journal.close().await?)
}

pub(super) async fn usage_is_added_up(fixture: impl Fixture) -> Outcome {
    let journal = open(&fixture)?;
    let used = |model: &str, prompt_tokens, completion_tokens| {
        let model = model.to_owned();
        let total_tokens = prompt_tokens + completion_tokens;
        SideWrite::Usage(Usage { model, prompt_tokens, completion_tokens, total_tokens })
    };
    for (agent, model, prompt) in [(Some("a"), "m", 1), (Some("a"), "n", 2), (None, "m", 4)] {
        let batch = WriteBatch::of(entry(EventKind::Chat, agent, "{}")?);
        // A call may use several models: one row, several uses.
        let side_writes = vec![used(model, prompt, 10), used("o", 1_000, u64::MAX / 2)];
        write(&journal, WriteBatch { side_writes, ..batch }).await?;
    }
    journal.close().await?;
    let journal = open(&fixture)?;
    let names = async |by, since: &str, principal: Option<&str>| {
        let totals = journal.usage(by, since, principal).await?;
        let text = |total: UsageTotal| {
            let name = total.name.unwrap_or_else(|| "-".to_owned());
            format!(
                "{name}/{}:{}x{}+{}",
                total.model, total.calls, total.prompt_tokens, total.completion_tokens
            )
        };
        Ok::<_, super::Violation>(totals.into_iter().map(text).collect::<Vec<_>>().join(" "))
    };
    let by_agent = names(UsageBy::Agent, "", None).await?;
    let capped = MAX_COUNTED;
    let expected =
        format!("-/m:1x4+10 -/o:1x1000+{capped} a/m:1x1+10 a/n:1x2+10 a/o:2x2000+{}", 2 * capped);
    same(by_agent, expected, "usage by agent and model")?;
    let by_model = names(UsageBy::Model, "", None).await?;
    let expected = format!("m/m:2x5+20 n/n:1x2+10 o/o:3x3000+{}", 3 * capped);
    same(by_model.clone(), expected, "usage by model")?;
    let principal = journal.page(0, 1, Filter::default()).await?.rows[0].principal.clone();
    same(names(UsageBy::Model, "", Some(&principal)).await?, by_model, "usage of a caller")?;
    same(names(UsageBy::Model, "", Some("stranger")).await?, String::new(), "of another")?;
    same(names(UsageBy::Model, "9999", None).await?, String::new(), "usage of the future")?;
    Ok(journal.close().await?)
}

pub(super) async fn notes_are_found_by_the_beginning_of_a_word(fixture: impl Fixture) -> Outcome {
    let journal = open(&fixture)?;
    let notes = async |name: &str, added: &[(u64, &str)], removed: &[u64]| {
        let added = added.iter().map(|(version, text)| (*version, (*text).to_owned())).collect();
        let change = NoteChange { added, removed: removed.to_vec() };
        side(&journal, SideWrite::Notes(agent(name)?, change)).await
    };
    notes("a", &[(1, "the gate"), (2, "the old gate opens at dawn"), (3, "a road")], &[]).await?;
    notes("b", &[(1, "another gate")], &[]).await?;
    let found = async |name, query| journal.search_notes(name, query, 10).await;
    same(found("a", "OLD gat").await?, vec![2, 1], "notes by two words")?;
    // The order of equally good matches is free.
    let mut words = found("a", "\"gate OR -road*").await?;
    words.sort_unstable();
    same(words, vec![1, 2, 3], "operators are words")?;
    same(found("a", "dragon").await?, vec![], "an unknown word")?;
    same(found("a", "?!").await?, vec![], "no word")?;
    same(found("b", "gate").await?, vec![1], "notes of another agent")?;
    notes("a", &[], &[2]).await?;
    same(found("a", "old").await?, vec![], "a removed note")?;
    Ok(journal.close().await?)
}
