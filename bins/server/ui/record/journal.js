// Searches the journal, newest rows first, and reads single rows.

import { get } from "../lib/api.js";

/** Rows of a page. */
export const PAGE = 200;
/** Rows around one that may hold the result of its tool call, which arrives in a request of its own. */
const AROUND = 60;
const HASH = /^[0-9a-f]{64}$/;

/** Names of filters that the page's address and the search box use, with the service's names. */
export const FILTERS = {
  agent: "agent_id", caller: "principal", request: "request_id", session: "session_id", kind: "kind", outcome: "outcome", rule: "rule",
  q: "q", since: "since", until: "until", slow: "min_elapsed_us",
};

/** Rows hold the texts that they share with other rows. */
const WITH_TEXTS = { expand: "texts" };

/** The rows that pass `filter`, newest first: `{rows, next}`, with `next` as `before` for older ones. */
export async function search(filter, before, signal, limit = PAGE) {
  const page = await get("journal", { ...filter, order: "desc", before, limit, ...WITH_TEXTS }, signal);
  return { rows: page.events, next: page.next };
}

/** Whether a row passes the filters, as far as the page can say; the service decides about texts. */
export function passes(row, filter) {
  const { agent_id: agent, principal, request_id: request, session_id: session, kind, outcome, rule, q, since, until, min_elapsed_us: slow } = filter;
  const data = row.data ?? {};
  return (!agent || row.agent_id === agent) && (!principal || row.principal === principal) && (!request || row.request_id === request)
    && (!session || data.session_id === session)
    && (!kind || row.kind === kind || (kind.endsWith("*") && row.kind.startsWith(kind.slice(0, -1))))
    && (!outcome || outcomeOf(row) === outcome)
    && (!rule || data.rule === rule || (data.would_deny ?? []).includes(rule) || (data.applied_policies ?? []).includes(rule))
    && (!since || Date.parse(row.ts) >= Date.parse(since)) && (!until || Date.parse(row.ts) < Date.parse(until))
    && (!slow || Number(data.timing?.elapsed_us) >= Number(slow))
    && (!q || hasWords([row.agent_id, row.principal, data], q));
}

/** Whether a text has all words of a search. */
function hasWords(texts, q) {
  const found = new Set(wordsOf(JSON.stringify(texts)));
  return wordsOf(q).every((word) => found.has(word));
}

const wordsOf = (text) => text.toLowerCase().split(/[^\p{L}\p{N}]+/u).filter(Boolean);

const REQUESTS = new Set(["obs.act", "obs.turn", "obs.plan", "tool.requested", "llm.chat"]);

/** The outcome of a row in the service's words, decided as the service does; null for rows that state none. */
function outcomeOf(row) {
  const data = row.data ?? {};
  if (row.kind === "gate.denied" || row.kind === "auth.failed" || (row.kind === "tool.requested" && data.decision !== "allow")) return "denied";
  if (row.kind === "policy.rejected" || (row.kind === "llm.chat" && data.outcome !== "answered")) return "failed";
  if (row.kind === "tool.finished") return data.is_error === true ? "failed" : null;
  if (!REQUESTS.has(row.kind)) return null;
  return [data, data.answer].some((notes) => notes?.would_deny?.length > 0) ? "would_deny" : "allowed";
}

/** One row; null if it is not in the journal. */
export async function row(id, signal) {
  try {
    return await get(`journal/${id}`, WITH_TEXTS, signal);
  } catch (error) {
    if (error.status === 404) return null;
    throw error;
  }
}

/** Rows by id as they are stored, with those before and after each: a Map. Ids are in ascending order. */
export async function chainAround(ids, signal) {
  const ranges = [];
  for (const id of ids) {
    const last = ranges.at(-1);
    if (last && id + 1 - last.first < PAGE) last.last = id + 1;
    else ranges.push({ first: Math.max(1, id - 1), last: id + 1 });
  }
  const pages = await Promise.all(ranges.map(({ first, last }) => get("journal", { after: first - 1, before: last + 1, limit: PAGE }, signal)));
  return new Map(pages.flatMap((page) => page.events).map((each) => [each.id, each]));
}

/** All rows of the request that a row belongs to, oldest first. A caller may reuse a request id. */
export async function rowsOfRequest(of, signal) {
  const same = (found) => found.principal === of.principal && found.request_id === of.request_id;
  const range = { after: Math.max(0, of.id - AROUND), before: of.id + AROUND + 1, limit: 2 * AROUND };
  const { events: close } = await get("journal", { ...range, ...WITH_TEXTS }, signal);
  const found = new Map(close.filter((each) => each.id === of.id || (of.request_id !== "" && same(each)) || each.data?.call === of.id).map((each) => [each.id, each]));
  if (of.request_id !== "") {
    const { rows } = await search({ request_id: of.request_id, principal: of.principal }, undefined, signal);
    for (const each of rows) found.set(each.id, each);
  }
  // The result of a tool call arrives in a request of its own.
  if (of.kind === "tool.finished") {
    const call = await row(Number(of.data?.call), signal);
    if (call) found.set(call.id, call);
  }
  return [...found.values()].sort((a, b) => a.id - b.id);
}

/** Whether a row follows the one before it: its `prev_hash` is that row's hash. */
export function follows(before, after) {
  return HASH.test(before?.hash ?? "") && before.hash === after?.prev_hash;
}
