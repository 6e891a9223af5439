// Rows grouped into requests: what was requested, how the gates decided, and what resulted.

import { line } from "../lib/text.js";

/** Requests kept by default; the journal has the older ones. */
export const KEPT = 500;
/** Longest text of a request in the list. */
const TEXT = 280;
/** Rows kept per request. */
const ROWS = 32;

const KIND = {
  "obs.turn": "turn", "obs.act": "act", "obs.plan": "plan", "plan.created": "plan",
  "tool.requested": "tool", "tool.finished": "tool",
  "plan.reviewed": "review", "llm.chat": "chat", "llm.begun": "chat", "policy.reload": "policy", "policy.rejected": "policy",
  "approval.requested": "approval", "approval.decided": "approval", "approval.used": "approval", "approval.expired": "approval",
  "stop.on": "stop", "stop.off": "stop",
  "webhook.delivered": "service", "webhook.failed": "service",
  "kill_switch.on": "switch", "kill_switch.off": "switch", "service.started": "service",
  "service.stopped": "service", "journal.pruned": "service", "auth.failed": "access",
  // What a model call holds of budgets belongs to the call.
  "budget.reserved": "chat", "budget.settled": "chat",
};

/** Kinds of requests, with the kinds of rows that can state one. A denied request is often a `gate.denied` alone. */
export const ROWS_OF = {
  turn: ["obs.turn", "gate.denied"], act: ["obs.act", "gate.denied"], tool: ["tool.*", "gate.denied"], chat: ["llm.*", "gate.denied"],
  plan: ["obs.plan", "plan.created", "gate.denied"], review: ["plan.reviewed", "gate.denied"], approval: ["approval.*"], policy: ["policy.*", "gate.denied"],
  switch: ["kill_switch.*", "gate.denied"], stop: ["stop.*", "gate.denied"], access: ["auth.failed", "gate.denied"], service: ["service.*", "journal.*", "webhook.*"],
};
export const KINDS = Object.keys(ROWS_OF);
/** Outcomes that a person should see. */
export const isException = (step) => ["observed", "asked", "denied", "failed"].includes(step.outcome);

const MAIN = { turn: "obs.turn", act: "obs.act", chat: "llm.chat", tool: "tool.requested", plan: "obs.plan" };

/** The row of a request that states what was asked and how the gates decided; `rows` are its rows, oldest first. */
export function mainRow(step, rows) {
  return rows.find((row) => row.kind === MAIN[step.kind]) ?? rows.find((row) => row.kind === "gate.denied") ?? rows[0];
}

/** A row with long texts and lists cut to what a list shows, so that thousands of rows stay small. */
export function compact(row, depth = 0) {
  if (typeof row === "string") return row.length > 2 * TEXT ? row.slice(0, 2 * TEXT) : row;
  if (row === null || typeof row !== "object") return row;
  if (depth > 5) return null;
  if (Array.isArray(row)) return row.slice(-40).map((each) => compact(each, depth + 1));
  return Object.fromEntries(Object.entries(row).slice(0, 40).map(([name, value]) => [name, compact(value, depth + 1)]));
}

/** The newest requests in order of arrival. Dispatches `step` for each change and `gone` for each removal. */
export class Requests extends EventTarget {
  #steps = new Map();
  #byRequest = new Map();
  #byCall = new Map();
  #next = 0;
  #kept;

  constructor(kept = KEPT) {
    super();
    this.#kept = kept;
  }

  get all() {
    return [...this.#steps.values()];
  }

  /** Whether a row belongs to a request that is here. */
  has(row) {
    return this.#byCall.has(row.data?.call) || Boolean(row.request_id && this.#byRequest.has(`${row.principal}\n${row.request_id}`));
  }

  /** Adds a row and returns the request it belongs to. */
  add(given, id, size) {
    // The service never sends anything else, but the page must not break on it.
    const row = typeof given?.kind === "string" && typeof (given.data ?? {}) === "object" ? given : null;
    const request = row?.request_id ? `${row.principal}\n${row.request_id}` : null;
    let step = row?.kind === "tool.finished" ? this.#byCall.get(row.data?.call) : undefined;
    step ??= request ? this.#byRequest.get(request) : undefined;
    // A caller may reuse a request id; each use is a request of its own.
    if (step && row.kind !== "tool.finished" && startsNewRequest(step, row)) step = undefined;
    const before = row ? this.#modelCallsOf(step, request, row) : [];
    if (!step) {
      step = { key: ++this.#next, rows: [], agent: "", request: "", result: [], wouldDeny: [], findings: 0, score: 0 };
      this.#steps.set(step.key, step);
      if (request) this.#byRequest.set(request, step);
      step.requestKey = request;
    }
    before.forEach((part) => this.#absorb(part, step));
    if (row?.kind === "tool.requested") this.#byCall.set(id, step);
    apply(step, row, id, size);
    this.dispatchEvent(new CustomEvent("step", { detail: { step, row } }));
    this.#bound();
    return step;
  }

  /** Earlier entries that this row's turn names as its model calls. */
  #modelCallsOf(step, request, row) {
    const ids = modelCallIds(row);
    if (ids.length === 0) return [];
    return this.all.filter((other) => other !== step && other.requestKey === request && other.rows.some(({ id }) => ids.includes(id)));
  }

  #absorb(part, step) {
    step.rows = [...part.rows, ...step.rows].sort((a, b) => a.id - b.id).slice(0, ROWS);
    step.result = [...part.result, ...step.result];
    [step.ts, step.first] = [part.ts, Math.min(part.first, step.first ?? part.first)];
    this.#remove(part);
  }

  #remove(step) {
    this.#steps.delete(step.key);
    for (const { id, kind } of step.rows) if (kind === "tool.requested") this.#byCall.delete(id);
    if (this.#byRequest.get(step.requestKey) === step) this.#byRequest.delete(step.requestKey);
    this.dispatchEvent(new CustomEvent("gone", { detail: { step } }));
  }

  #bound() {
    while (this.#steps.size > this.#kept) {
      this.#remove(this.#steps.values().next().value);
    }
  }
}

/** Event ids of what the model did in the turn that this row records. */
function modelCallIds(row) {
  const steps = row.kind === "obs.turn" ? row.data?.telling?.steps : null;
  return Array.isArray(steps) ? steps.map((step) => step?.event_id).filter(Number.isInteger) : [];
}

function startsNewRequest(step, row) {
  const kinds = step.rows.map((known) => known.kind);
  // A model's acts in a turn follow the turn's row; its plans and denials precede it.
  if (row.kind === "obs.act" && row.data?.by === "model") return !kinds.includes("obs.turn");
  const ids = modelCallIds(row);
  if (step.rows.some(({ id }) => ids.includes(id))) return false;
  if (row.kind === "obs.turn" && row.data?.telling?.withheld && kinds.at(-1) === "gate.denied") return false;
  // Callers choose request ids. A denial joins an effect, or an effect a denial, only where the turn's own
  // record names it; otherwise a denied request could hide behind an allowed one with the same id.
  const acted = kinds.some((kind) => kind.startsWith("obs."));
  const denied = kinds.includes("gate.denied");
  if (row.kind === "tool.requested") return acted || denied || kinds.includes("tool.requested");
  if (row.kind.startsWith("obs.")) return acted || denied;
  if (row.kind === "gate.denied") return acted || (denied && !kinds.includes("llm.chat"));
  return step.rows.length >= ROWS;
}

function apply(step, row, id, size) {
  step.last = Math.max(step.last ?? 0, id);
  step.first ??= id;
  if (step.rows.length < ROWS) step.rows.push({ id, kind: row?.kind ?? "?" });
  if (!row) {
    const result = size > 1e6 ? [{ tooLong: size }] : [{ text: "?" }];
    Object.assign(step, { ts: new Date(), kind: "note", outcome: "note", result });
    return;
  }
  const data = row.data ?? {};
  step.ts ??= new Date(row.ts);
  step.agent ||= line(row.agent_id ?? "", 64);
  step.principal ??= line(row.principal, 64);
  step.requestId ??= line(row.request_id, 128);
  if (row.kind === "tool.finished") return finish(step, data);
  const denied = row.kind === "gate.denied" || (row.kind === "tool.requested" && data.decision !== "allow");
  const kind = row.kind === "gate.denied" ? kindOfDenied(data.kind) : KIND[row.kind] ?? "note";
  // What led to a turn is part of the turn, which states its own request and verdict.
  if (kind === "turn" && step.kind && step.kind !== "turn") Object.assign(step, { request: "", reason: "", gate: "", rule: "", wouldDeny: [], result: step.result.filter((part) => part.plan) });
  if (!step.kind || step.kind === "chat" || kind === "turn") step.kind = kind;
  step.score = Math.max(step.score, Number(data.score) || 0);
  step.findings = Math.max(step.findings, data.findings?.length ?? 0);
  step.wouldDeny = [...new Set([...step.wouldDeny, ...texts(data.would_deny)])].slice(0, 8);
  // The denial of a response states the response; the row of the call states the request.
  if (row.kind === "llm.chat" && data.outcome === "withheld") step.request = "";
  step.request ||= line(requestOf(row.kind, row.kind === "gate.denied" ? data.request ?? {} : data), TEXT);
  step.count = Math.max(step.count ?? 1, Number(data.count) || 1);
  step.elapsed ??= Number(data.timing?.elapsed_us) || null;
  step.session ||= line(data.session_id ?? "", 128);
  if (data.tool) step.tool = line(data.tool, 80);
  step.action ||= line(data.action ?? data.request?.action ?? "", 64);
  if (denied) Object.assign(step, { reason: line(data.reason, 64), gate: line(data.gate, 64), rule: line(data.rule ?? "", 80) });
  step.result.push(...resultOf(row.kind, data));
  step.outcome = row.kind.startsWith("budget.") || row.kind === "llm.begun" ? step.outcome ?? "allowed" : outcomeOf(step, row.kind, data);
  return undefined;
}

/** The result of a tool call, which arrives in a request of its own. */
function finish(step, data) {
  step.kind ??= "tool";
  step.outcome = data.is_error ? "failed" : step.outcome ?? "allowed";
  step.request ||= line(data.tool, TEXT);
  if (data.tool) step.tool = line(data.tool, 80);
  step.result.push({ finished: true, error: data.is_error === true, duration: data.duration_ms ?? null });
}

function kindOfDenied(kind) {
  return KINDS.includes(kind) ? kind : "access";
}

function texts(list) {
  return Array.isArray(list) ? list.map((text) => line(text, 80)) : [];
}

function requestOf(kind, data) {
  if (data.tool && data.arguments !== undefined) return toolText(data);
  if (kind === "policy.reload" || kind === "policy.rejected") return data.path ?? "";
  if (kind.startsWith("kill_switch") || kind.startsWith("stop.")) return data.reason ?? "";
  if (kind === "plan.reviewed") return data.note ?? "";
  if (kind === "approval.requested") return data.summary ?? "";
  if (kind === "approval.decided") return data.note ?? "";
  if (kind.startsWith("webhook.")) return [data.to, data.error].filter(Boolean).join(": ");
  if (kind === "auth.failed") return data.peer ?? "";
  if (data.action) return withPayload(data.action, data.payload);
  return data.input ?? data.intent ?? question(data.messages) ?? data.model ?? "";
}

/** An act's action and its payload, where it has one. */
function withPayload(action, payload) {
  const given = payload && typeof payload === "object" && Object.keys(payload).length > 0;
  return given ? `${action} ${JSON.stringify(payload)}` : action;
}

/** The summary of an approval, with the command of a tool call instead of its JSON. */
export function summaryText(summary) {
  const found = /^(\S+) (\{.*)$/s.exec(summary ?? "");
  if (!found) return summary ?? "";
  try {
    return `${found[1]}: ${toolText({ arguments: JSON.parse(found[2]) })}`;
  } catch {
    // The service cuts long summaries.
    const [, start] = /^\{"(?:command|file_path|path|url)":"((?:[^"\\]|\\.)*)/s.exec(found[2]) ?? [];
    return start ? `${found[1]}: ${start.replace(/\\(["\\/])/g, "$1")}` : summary;
  }
}

/** What a tool call would do: its command, path or address, or else its arguments. */
function toolText(data) {
  const given = data.arguments ?? {};
  const texts = Object.values(given).filter((value) => typeof value === "string");
  const main = given.command ?? given.file_path ?? given.path ?? given.url ?? (texts.length === 1 ? texts[0] : JSON.stringify(given));
  return typeof main === "string" ? main : JSON.stringify(main);
}

/** The last message of a person. A request's other texts (model name, metadata) follow the messages. */
function question(messages) {
  if (!Array.isArray(messages)) return undefined;
  const asked = messages.findLast((message) => message?.role === "user") ?? messages.at(-1);
  return asked?.content;
}

/** The result in parts that the view formats. */
function resultOf(kind, data) {
  const said = (text) => ({ text: line(text, TEXT) });
  switch (kind) {
    case "obs.turn": return turned(data, said);
    case "obs.act": return [{ act: line(data.action, 64), byModel: data.by === "model", deltas: data.deltas ?? {} }];
    case "auth.failed": return [{ event: kind, count: Number(data.count) || 1 }];
    case "obs.plan":
    case "budget.reserved":
    case "budget.settled":
    case "llm.begun": return [];
    case "tool.requested": return data.decision === "allow" ? [] : [said(data.message)];
    case "plan.created": return [{ plan: line(data.id, 64), stats: data.stats }];
    case "approval.decided": return [{ event: `approval.${data.decision}` }];
    case "plan.reviewed": return [{ plan: line(data.id, 64), decision: data.decision }];
    case "llm.chat": return data.outcome === "withheld" ? [{ withheld: true }] : [said(data.error ? data.message ?? data.error : data.content ?? data.answer ?? "")];
    case "gate.denied": return [said(data.message)];
    case "policy.rejected": return [{ faults: data.faults?.length ?? 0 }];
    default: return [{ event: kind }];
  }
}

/** A turn's result: the roll, the narrated response, and denied model calls. */
function turned({ turn, response, source, telling }, said) {
  const parts = [{ outcome: turn?.outcome, deltas: turn?.deltas ?? {}, ...said(response) }];
  if (source === "llm") parts.push(said(response));
  if (telling?.withheld) parts.push({ withheld: true });
  if (telling?.fallback) parts.push({ fallback: true });
  const refused = Array.isArray(telling?.steps) ? telling.steps.filter((step) => step?.decision === "deny").length : 0;
  if (refused > 0) parts.push({ refused });
  return parts;
}

function outcomeOf(step, kind, data) {
  if (kind === "gate.denied" && !step.rows.some((row) => row.kind.startsWith("obs."))) return data.reason === "approval_required" ? "asked" : "denied";
  if (kind === "tool.requested" && data.decision !== "allow") return data.decision === "ask" ? "asked" : "denied";
  if (kind === "auth.failed") return "denied";
  // What a request for an approval belongs to was refused or allowed before it.
  if (kind.startsWith("approval.")) return step.outcome ?? "note";
  if (kind === "policy.rejected" || kind === "webhook.failed" || (kind === "llm.chat" && data.error)) return "failed";
  if (data.outcome === "withheld") return "denied";
  if (["policy", "switch", "stop", "service", "note"].includes(step.kind)) return "note";
  return step.wouldDeny.length > 0 ? "observed" : "allowed";
}
