//! Reads the tables in memory.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use life_agent_domain::governance::event::{EventKind, Row};
use parking_lot::RwLockReadGuard;

use super::Tables;
use crate::committed::Head;
use crate::error::JournalError;
use crate::expiry::{Expired, ExpiryLimits};
use crate::filter::Filter;
use crate::idempotency::IdempotencyEntry;
use crate::jobs::{JobRecord, OpenJob};
use crate::notes::rank_notes;
use crate::page::{Page, PageRows, Span};
use crate::records::{
    AgentHistory, AgentRecord, Dangling, MAX_RECORDS, ProposalRecord, RECENT_STEPS, StoredSnapshot,
};
use crate::store::Read;
use crate::texts::{StoredText, TextId, TextVisitor, with_texts};
use crate::usage::{MAX_COUNTED, UsageBy, UsageTotal};
use crate::verify::{RawLink, RawRow, RawText};

/// A view: no commit completes while it is open.
pub(super) struct View<'m>(pub(super) RwLockReadGuard<'m, Tables>);

impl View<'_> {
    /// The steps of an agent, newest first.
    fn steps(&self, agent_id: &str) -> Result<Vec<&Row>, JournalError> {
        let mut next = self.0.agents.get(agent_id).map_or(0, |agent| agent.record.last_event);
        let mut steps = Vec::new();
        while let Some((row, before)) = self.0.rows.get(&next) {
            steps.push(row);
            next = before.filter(|before| *before < row.id).unwrap_or_default();
        }
        Ok(steps)
    }
}

impl Read for View<'_> {
    fn head(&self) -> Result<Head, JournalError> {
        Ok(self.0.tip.head.clone())
    }

    fn first_id(&self) -> Result<u64, JournalError> {
        Ok(self.0.rows.first_key_value().map_or(0, |(id, _)| *id))
    }

    fn row(&self, id: u64) -> Result<Option<Row>, JournalError> {
        Ok(self.0.rows.get(&id).map(|(row, _)| row.clone()))
    }

    fn rows(&self, span: Span, limit: usize, filter: &Filter) -> Result<Page, JournalError> {
        let (first, head) = (self.first_id()?, self.0.tip.head.id);
        let Some((low, high)) = span.within(first, head) else {
            return Ok(Page::empty(if span.newest_first { first } else { head }));
        };
        let mut page = PageRows::new(limit);
        let mut add = |(_, (row, _)): (&u64, &(Row, Option<u64>))| {
            let expanded = with_texts(&|id| self.text(id), row);
            !filter.matches(expanded.as_ref().unwrap_or(row)) || page.push(row.clone())
        };
        let mut rows = self.0.rows.range(low..=high);
        let end = if span.newest_first {
            let _ = rows.rev().all(&mut add);
            low
        } else {
            let _ = rows.all(&mut add);
            high
        };
        Ok(page.finish_span(&span, end, (low, high)))
    }

    fn scan(
        &self,
        last: Option<u64>,
        visit: &mut dyn FnMut(&RawRow<'_>) -> ControlFlow<()>,
    ) -> Result<(), JournalError> {
        let after = last.map_or(0, |last| self.0.tip.head.id.saturating_sub(last));
        for (row, prev_step) in self.0.rows.range(after + 1..).map(|(_, row)| row) {
            let raw = RawRow {
                id: i64::try_from(row.id).unwrap_or(i64::MAX),
                ts: RawText::Text(row.ts.as_bytes()),
                kind: RawText::Text(row.kind.as_bytes()),
                agent_id: match &row.agent_id {
                    Some(agent) => RawText::Text(agent.as_bytes()),
                    None => RawText::Null,
                },
                principal: RawText::Text(row.principal.as_bytes()),
                request_id: RawText::Text(row.request_id.as_bytes()),
                data: RawText::Text(row.data.get().as_bytes()),
                prev_hash: RawText::Text(row.prev_hash.as_bytes()),
                hash: RawText::Text(row.hash.as_bytes()),
                prev_step: prev_step.map_or(RawLink::None, RawLink::Row),
            };
            if visit(&raw).is_break() {
                break;
            }
        }
        Ok(())
    }

    fn count(&self) -> Result<u64, JournalError> {
        Ok(self.0.rows.len() as u64)
    }

    fn pruned(&self) -> Result<Option<Head>, JournalError> {
        Ok(self.0.pruned())
    }

    fn agent(&self, agent_id: &str) -> Result<Option<AgentRecord>, JournalError> {
        Ok(self.0.agents.get(agent_id).map(|agent| agent.record.clone()))
    }

    fn agents(&self, after: Option<&str>, limit: usize) -> Result<Vec<AgentRecord>, JournalError> {
        let agents = self.0.agents.values().map(|agent| &agent.record);
        let rest = agents.filter(|agent| after.is_none_or(|after| agent.agent_id.as_str() > after));
        Ok(rest.take(limit.min(MAX_RECORDS)).cloned().collect())
    }

    fn last_step(&self) -> Result<u64, JournalError> {
        Ok(self.0.agents.values().map(|agent| agent.record.last_event).max().unwrap_or_default())
    }

    fn snapshot(&self, agent_id: &str) -> Result<Option<StoredSnapshot>, JournalError> {
        let stored = self.0.snapshots.get(agent_id);
        let parse = |stored: &super::StoredState| {
            let hash = stored.state_hash.clone();
            StoredSnapshot::parse(agent_id, stored.event_id, &stored.state, hash)
        };
        stored.map(parse).transpose()
    }

    fn agent_history(&self, agent_id: &str) -> Result<AgentHistory, JournalError> {
        let snapshot = self.snapshot(agent_id)?;
        let from = snapshot.as_ref().map_or(0, |snapshot| snapshot.event_id);
        let snapshot_row = self.row(from)?;
        let mut steps = self.steps(agent_id)?;
        steps.retain(|row| row.id > from);
        let steps = steps.into_iter().rev().cloned().collect();
        let pruned = self.0.pruned().map_or(0, |pruned| pruned.id);
        Ok(AgentHistory { snapshot, snapshot_row, steps, pruned })
    }

    fn recent_turns(&self, agent_id: &str, limit: usize) -> Result<Vec<Row>, JournalError> {
        let steps = self.steps(agent_id)?.into_iter().take(RECENT_STEPS);
        let turns = steps.filter(|row| row.kind == EventKind::Turn.as_str());
        let mut turns: Vec<Row> = turns.take(limit).cloned().collect();
        turns.reverse();
        Ok(turns)
    }

    fn recent_events(&self, agent_id: &str, limit: usize) -> Result<Vec<Row>, JournalError> {
        let steps = self.steps(agent_id)?.into_iter().take(RECENT_STEPS).take(limit);
        let denied = self.0.rows.values().map(|(row, _)| row).filter(|row| {
            row.kind == EventKind::Denied.as_str() && row.agent_id.as_deref() == Some(agent_id)
        });
        let mut rows: Vec<Row> = steps.chain(denied).cloned().collect();
        rows.sort_unstable_by_key(|row| row.id);
        rows.drain(..rows.len().saturating_sub(limit));
        Ok(rows)
    }

    fn search_notes(
        &self,
        agent_id: &str,
        query: &str,
        limit: usize,
    ) -> Result<Vec<u64>, JournalError> {
        let own = self.0.notes.iter().filter(|((owner, _), _)| owner == agent_id);
        let own = own.map(|((_, version), text)| (*version, text.as_str()));
        Ok(rank_notes(query, own, limit))
    }

    fn usage(
        &self,
        by: UsageBy,
        since: &str,
        principal: Option<&str>,
    ) -> Result<Vec<UsageTotal>, JournalError> {
        let mut totals: BTreeMap<(Option<String>, String), UsageTotal> = BTreeMap::new();
        for (row, usage) in &self.0.usage {
            if row.ts.as_str() < since || principal.is_some_and(|name| name != row.principal) {
                continue;
            }
            let name = match by {
                UsageBy::Principal => Some(row.principal.clone()),
                UsageBy::Agent => row.agent_id.clone(),
                UsageBy::Model => Some(usage.model.clone()),
            };
            let model = usage.model.clone();
            let total = totals.entry((name.clone(), model.clone())).or_insert(UsageTotal {
                name,
                model,
                calls: 0,
                prompt_tokens: 0,
                completion_tokens: 0,
                total_tokens: 0,
            });
            total.calls += 1;
            total.prompt_tokens += usage.prompt_tokens.min(MAX_COUNTED);
            total.completion_tokens += usage.completion_tokens.min(MAX_COUNTED);
            total.total_tokens += usage.total_tokens.min(MAX_COUNTED);
        }
        Ok(totals.into_values().take(MAX_RECORDS).collect())
    }

    fn proposals(
        &self,
        status: Option<&str>,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Vec<ProposalRecord>, JournalError> {
        let wanted = |plan: &&ProposalRecord| {
            status.is_none_or(|status| plan.proposal.status == status)
                && before.is_none_or(|before| plan.event_id < before)
        };
        let mut plans: Vec<_> = self.0.proposals.values().filter(wanted).cloned().collect();
        plans.sort_unstable_by_key(|plan| std::cmp::Reverse(plan.event_id));
        plans.truncate(limit.min(MAX_RECORDS));
        Ok(plans)
    }

    fn proposal(&self, id: &str) -> Result<Option<ProposalRecord>, JournalError> {
        Ok(self.0.proposals.get(id).cloned())
    }

    fn setting(&self, key: &str) -> Result<Option<String>, JournalError> {
        Ok(self.0.settings.get(key).cloned())
    }

    fn job(&self, id: &str) -> Result<Option<JobRecord>, JournalError> {
        let job = self.0.jobs.values().find(|job| job.record.id == id);
        Ok(job.map(|job| job.record.clone()))
    }

    fn open_jobs(&self) -> Result<Vec<OpenJob>, JournalError> {
        let open = self.0.jobs.values().filter(|job| !job.record.status.has_ended());
        let open = open.map(|job| OpenJob {
            id: job.record.id.clone(),
            status: job.record.status,
            agent_id: job.record.agent_id.clone(),
            lease: job.lease.clone(),
        });
        Ok(open.collect())
    }

    fn idempotency(&self, id: &str) -> Result<Option<IdempotencyEntry>, JournalError> {
        let call = self.0.calls.values().find(|call| call.entry.record.id == id);
        Ok(call.map(|call| call.entry.clone()))
    }

    fn expired(&self, limits: &ExpiryLimits) -> Result<Vec<Expired>, JournalError> {
        let last = self.0.jobs.last_key_value().map_or(0, |(seq, _)| *seq);
        let jobs = self.0.jobs.iter().filter(|(seq, job)| {
            let old = job.record.finished.as_ref().is_some_and(|at| *at < limits.jobs_before);
            job.record.finished.is_some() && (old || **seq <= last.saturating_sub(limits.max_jobs))
        });
        let jobs: Vec<u64> = jobs.map(|(seq, _)| *seq).collect();
        let last = self.0.calls.last_key_value().map_or(0, |(seq, _)| *seq);
        let (mut bytes, mut records) = (0, Vec::new());
        for (seq, call) in self.0.calls.iter().rev() {
            bytes += call.entry.response.as_ref().map_or(0, |response| response.body.len() as u64);
            let beyond = *seq <= last.saturating_sub(limits.max_records);
            if call.ts < limits.records_before || beyond || bytes > limits.max_bytes {
                records.push(*seq);
            }
        }
        records.reverse();
        Ok(Expired::chunks(&jobs, &records))
    }

    fn last_row(&self, kind: &str, about: Option<&str>) -> Result<Option<Row>, JournalError> {
        let is_about = |row: &Row| {
            let data = serde_json::from_str::<serde_json::Value>(row.data.get());
            about.is_none_or(|id| data.is_ok_and(|data| data["id"] == id))
        };
        let rows = self.0.rows.values().rev().map(|(row, _)| row);
        Ok(rows.filter(|row| row.kind == kind).find(|row| is_about(row)).cloned())
    }

    fn dangling(&self) -> Result<Vec<Dangling>, JournalError> {
        let pruned = self.0.pruned().map_or(0, |pruned| pruned.id);
        let lacks = |row: &u64| *row > pruned && !self.0.rows.contains_key(row);
        let jobs = self.0.jobs.values().filter_map(|job| {
            let row = job.record.event_id.filter(lacks)?;
            Some(Dangling { record: "job", id: job.record.id.clone(), row, differs: false })
        });
        let calls = self.0.calls.values().filter_map(|call| {
            let row = call.entry.event_id.filter(lacks)?;
            Some(Dangling {
                record: "idempotency record",
                id: call.entry.record.id.clone(),
                row,
                differs: false,
            })
        });
        Ok(jobs.chain(calls).take(MAX_RECORDS).collect())
    }

    fn text(&self, id: &TextId) -> Result<Option<StoredText>, JournalError> {
        Ok(self.0.texts.get(id).cloned())
    }

    fn texts(&self, visit: &mut TextVisitor<'_>) -> Result<(), JournalError> {
        for (id, text) in &self.0.texts {
            if visit(id.as_bytes(), text.kind, text.body.as_bytes()).is_break() {
                break;
            }
        }
        Ok(())
    }

    fn first_uncovered_step(&self, upto: u64) -> Result<Option<u64>, JournalError> {
        let open = self.0.agents.values().filter_map(|agent| agent.first_open);
        Ok(open.filter(|id| *id <= upto).min())
    }

    fn uncovered_agents(&self, upto: u64, limit: usize) -> Result<Vec<String>, JournalError> {
        let open = self.0.agents.values();
        let open = open.filter(|agent| agent.first_open.is_some_and(|id| id <= upto));
        Ok(open.take(limit).map(|agent| agent.record.agent_id.clone()).collect())
    }
}
