// Groups journal rows by request: what was requested, how the gates decided and what resulted.

import { line } from "./text.js";

/** Requests kept in the page; the journal has the older ones. */
export const KEPT = 500;
/** Longest text of a request in the list. */
const TEXT = 280;
/** Rows kept per request. */
const ROWS = 32;

const KIND = {
  "obs.turn": "turn", "obs.act": "act", "obs.plan": "plan", "plan.created": "plan",
  "plan.reviewed": "review", "llm.chat": "chat", "policy.reload": "policy", "policy.rejected": "policy",
  "approval.requested": "approval", "approval.decided": "approval", "approval.used": "approval", "approval.expired": "approval",
  "stop.on": "switch", "stop.off": "switch",
  "webhook.delivered": "service", "webhook.failed": "service",
  "kill_switch.on": "switch", "kill_switch.off": "switch", "service.started": "service",
  "service.stopped": "service", "journal.pruned": "service", "auth.failed": "service",
  // What a model call holds of budgets belongs to the call.
  "budget.reserved": "chat", "budget.settled": "chat",
};

/** Kinds of requests. */
export const KINDS = ["turn", "act", "plan", "review", "approval", "chat", "policy", "switch", "service"];
/** Outcomes of requests. */
export const OUTCOMES = ["allowed", "observed", "denied", "failed", "note"];

/** The newest requests in order of arrival. Dispatches `step` for each change and `gone` for each removal. */
export class Steps extends EventTarget {
  #steps = new Map();
  #byRequest = new Map();
  #next = 0;

  get all() {
    return [...this.#steps.values()];
  }

  get(key) {
    return this.#steps.get(key);
  }

  /** Adds a row and returns the request it belongs to. */
  add(given, id, size) {
    // The service never sends anything else, but the page must not break on it.
    const row = typeof given?.kind === "string" && typeof (given.data ?? {}) === "object" ? given : null;
    const request = row?.request_id ? `${row.principal}\n${row.request_id}` : null;
    let step = request ? this.#byRequest.get(request) : undefined;
    // A caller may reuse a request id; each use is a request of its own.
    if (step && startsNewRequest(step, row)) step = undefined;
    const before = row ? this.#modelCallsOf(step, request, row) : [];
    if (!step) {
      step = { key: ++this.#next, rows: [], agent: "", request: "", result: [], wouldDeny: [], findings: 0, score: 0 };
      this.#steps.set(step.key, step);
      if (request) this.#byRequest.set(request, step);
      step.requestKey = request;
    }
    before.forEach((part) => this.#absorb(part, step));
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
    if (this.#byRequest.get(step.requestKey) === step) this.#byRequest.delete(step.requestKey);
    this.dispatchEvent(new CustomEvent("gone", { detail: { step } }));
  }

  #bound() {
    while (this.#steps.size > KEPT) {
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
  if (row.data?.by === "model") return !kinds.includes("obs.turn");
  const ids = modelCallIds(row);
  if (step.rows.some(({ id }) => ids.includes(id))) return false;
  if (row.kind === "obs.turn" && row.data?.telling?.withheld && kinds.at(-1) === "gate.denied") return false;
  // Callers choose request ids. A denial joins an effect, or an effect a denial, only where the turn's own
  // record names it; otherwise a denied request could hide behind an allowed one with the same id.
  const acted = kinds.some((kind) => kind.startsWith("obs."));
  const denied = kinds.includes("gate.denied");
  if (row.kind.startsWith("obs.")) return acted || denied;
  if (row.kind === "gate.denied") return acted || (denied && !kinds.includes("llm.chat"));
  return step.rows.length >= ROWS;
}

function apply(step, row, id, size) {
  step.last = id;
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
  const denied = row.kind === "gate.denied";
  const kind = denied ? kindOfDenied(data.kind) : KIND[row.kind] ?? "note";
  // Model calls that led to a turn are part of the turn.
  if (!step.kind || step.kind === "chat") step.kind = kind;
  if (kind === "turn" && step.kind !== "turn") Object.assign(step, { kind, request: "", result: step.result.filter((part) => part.plan) });
  step.score = Math.max(step.score, Number(data.score) || 0);
  step.findings = Math.max(step.findings, data.findings?.length ?? 0);
  step.wouldDeny = [...new Set([...step.wouldDeny, ...texts(data.would_deny)])].slice(0, 8);
  step.request ||= line(requestOf(row.kind, denied ? data.request ?? {} : data), TEXT);
  if (denied) Object.assign(step, { reason: line(data.reason, 64), gate: line(data.gate, 64), rule: line(data.rule ?? "", 80) });
  step.result.push(...resultOf(row.kind, data));
  step.outcome = row.kind.startsWith("budget.") ? step.outcome ?? "allowed" : outcomeOf(step, row.kind, data);
}

function kindOfDenied(kind) {
  return KINDS.includes(kind) ? kind : "note";
}

function texts(list) {
  return Array.isArray(list) ? list.map((text) => line(text, 80)) : [];
}

function requestOf(kind, data) {
  if (kind === "policy.reload" || kind === "policy.rejected") return data.path ?? "";
  if (kind.startsWith("kill_switch") || kind.startsWith("stop.")) return data.reason ?? "";
  if (kind === "plan.reviewed") return data.note ?? "";
  if (kind === "approval.requested") return data.summary ?? "";
  if (kind === "approval.decided") return data.note ?? "";
  if (kind.startsWith("webhook.")) return [data.to, data.error].filter(Boolean).join(": ");
  return data.input ?? data.intent ?? question(data.messages) ?? data.action ?? "";
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
    case "obs.plan":
    case "budget.reserved":
    case "budget.settled": return [];
    case "plan.created": return [{ plan: line(data.id, 64), stats: data.stats }];
    case "approval.decided": return [{ event: `approval.${data.decision}` }];
    case "plan.reviewed": return [{ plan: line(data.id, 64), decision: data.decision }];
    case "llm.chat": return [said(data.error ? data.message ?? data.error : data.content ?? data.answer ?? "")];
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
  const refused = Array.isArray(telling?.steps) ? telling.steps.filter((step) => step?.decision === "deny").length : 0;
  if (refused > 0) parts.push({ refused });
  return parts;
}

function outcomeOf(step, kind, data) {
  if (kind === "gate.denied" && !step.rows.some((row) => row.kind.startsWith("obs."))) return "denied";
  // What a request for an approval belongs to was refused or allowed before it.
  if (kind.startsWith("approval.")) return step.outcome ?? "note";
  if (kind === "policy.rejected" || kind === "webhook.failed" || (kind === "llm.chat" && data.error)) return "failed";
  if (["policy", "switch", "service", "note"].includes(step.kind)) return "note";
  return step.wouldDeny.length > 0 ? "observed" : "allowed";
}
