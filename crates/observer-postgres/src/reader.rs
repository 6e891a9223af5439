//! The reads of a view.

use std::ops::ControlFlow;

use life_agent_domain::governance::event::Row;
use life_agent_observer::store::RawRow;
use life_agent_observer::{
    AgentHistory, AgentRecord, Dangling, Expired, ExpiryLimits, Filter, Head, IdempotencyEntry,
    JobRecord, JournalError, OpenJob, Page, PlanFile, ProposalRecord, Read, Readers, Span,
    StoredSnapshot, StoredText, TextId, TextVisitor, UsageBy, UsageTotal,
};

use crate::session::Session;
use crate::view::{Pool, View};
use crate::{agent_history, expiry, jobs, page, records, scan, search, texts};

impl Readers for Pool {
    fn limit(&self) -> usize {
        self.size()
    }

    fn view(&self) -> Result<Box<dyn Read + '_>, JournalError> {
        Ok(Box::new(View::begin(self)?))
    }
}

impl Read for View<'_> {
    fn head(&self) -> Result<Head, JournalError> {
        records::head(self)
    }

    fn first_id(&self) -> Result<u64, JournalError> {
        records::count_of(self, "SELECT coalesce(min(id), 0) FROM events")
    }

    fn row(&self, id: u64) -> Result<Option<Row>, JournalError> {
        page::row(self, id)
    }

    fn last_row(&self, kind: &str, about: Option<&str>) -> Result<Option<Row>, JournalError> {
        page::last_row(self, kind, about)
    }

    fn rows(&self, span: Span, limit: usize, filter: &Filter) -> Result<Page, JournalError> {
        let is_simple = !span.newest_first && span.before == u64::MAX && filter.is_plain();
        match is_simple {
            true => page::page(self, span.after, limit, filter),
            false => search::rows(self, span, limit, filter),
        }
    }

    fn scan(
        &self,
        last: Option<u64>,
        visit: &mut dyn FnMut(&RawRow<'_>) -> ControlFlow<()>,
    ) -> Result<(), JournalError> {
        scan::scan(self, last, visit)
    }

    fn count(&self) -> Result<u64, JournalError> {
        records::count_of(self, "SELECT count(*) FROM events")
    }

    fn pruned(&self) -> Result<Option<Head>, JournalError> {
        self.run(async |session: &Session| scan::pruned(session).await)
    }

    fn agent(&self, agent_id: &str) -> Result<Option<AgentRecord>, JournalError> {
        records::agent(self, agent_id)
    }

    fn agents(&self, after: Option<&str>, limit: usize) -> Result<Vec<AgentRecord>, JournalError> {
        records::agents(self, after, limit)
    }

    fn last_step(&self) -> Result<u64, JournalError> {
        records::count_of(self, "SELECT coalesce(max(last_event), 0) FROM agents")
    }

    fn snapshot(&self, agent_id: &str) -> Result<Option<StoredSnapshot>, JournalError> {
        records::snapshot(self, agent_id)
    }

    fn agent_history(&self, agent_id: &str) -> Result<AgentHistory, JournalError> {
        agent_history::history(self, agent_id)
    }

    fn recent_turns(&self, agent_id: &str, limit: usize) -> Result<Vec<Row>, JournalError> {
        agent_history::recent_turns(self, agent_id, limit)
    }

    fn recent_events(&self, agent_id: &str, limit: usize) -> Result<Vec<Row>, JournalError> {
        agent_history::recent_events(self, agent_id, limit)
    }

    fn search_notes(
        &self,
        agent_id: &str,
        query: &str,
        limit: usize,
    ) -> Result<Vec<u64>, JournalError> {
        records::search_notes(self, agent_id, query, limit)
    }

    fn proposals(
        &self,
        status: Option<&str>,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Vec<ProposalRecord>, JournalError> {
        records::proposals(self, status, before, limit)
    }

    fn proposal(&self, id: &str) -> Result<Option<ProposalRecord>, JournalError> {
        records::proposal(self, id)
    }

    fn usage(
        &self,
        by: UsageBy,
        since: &str,
        principal: Option<&str>,
    ) -> Result<Vec<UsageTotal>, JournalError> {
        records::usage(self, by, since, principal)
    }

    fn setting(&self, key: &str) -> Result<Option<String>, JournalError> {
        records::setting(self, key)
    }

    fn job(&self, id: &str) -> Result<Option<JobRecord>, JournalError> {
        jobs::find(self, id)
    }

    fn open_jobs(&self) -> Result<Vec<OpenJob>, JournalError> {
        jobs::open(self)
    }

    fn idempotency(&self, id: &str) -> Result<Option<IdempotencyEntry>, JournalError> {
        records::idempotency(self, id)
    }

    fn expired(&self, limits: &ExpiryLimits) -> Result<Vec<Expired>, JournalError> {
        expiry::find(self, limits)
    }

    fn dangling(&self) -> Result<Vec<Dangling>, JournalError> {
        records::dangling(self)
    }

    fn plan_files(&self, plan: &str) -> Result<Vec<PlanFile>, JournalError> {
        records::plan_files(self, plan)
    }

    fn text(&self, id: &TextId) -> Result<Option<StoredText>, JournalError> {
        texts::find(self, id)
    }

    fn texts(&self, visit: &mut TextVisitor<'_>) -> Result<(), JournalError> {
        texts::visit(self, visit)
    }

    fn first_uncovered_step(&self, upto: u64) -> Result<Option<u64>, JournalError> {
        records::first_uncovered_step(self, upto)
    }

    fn uncovered_agents(&self, upto: u64, limit: usize) -> Result<Vec<String>, JournalError> {
        records::uncovered_agents(self, upto, limit)
    }
}
