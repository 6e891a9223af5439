// What a request asked and what it got: a conversation, a command, an action or a plan, with findings marked.

import { chip, facts, h, table } from "../lib/dom.js";
import { number, signed, t, tn, word } from "../lib/i18n.js";
import { to } from "../lib/router.js";
import { LONG, line, short } from "../lib/text.js";
import { mainRow } from "../record/requests.js";
import { marked } from "./marks.js";

/** Longest text that is shown in one block. */
const BLOCK = 100_000;
/** Messages of a conversation that are shown; its rows have the others. */
const MESSAGES = 60;
/** Effects of commands that need no attention. */
const EFFECT = { read: "good", change: "plain" };

/** The panels of the request and its result. `rows` are the request's rows, oldest first. */
export function contentPanels(step, rows) {
  const main = mainRow(step, rows);
  const asked = main.kind === "gate.denied" ? { ...main.data, ...(main.data?.request ?? {}) } : main.data ?? {};
  const requested = requestParts(step, asked, main.data?.findings ?? []);
  // The calls of a model are listed with its turn.
  const results = (main.kind === "obs.turn" ? [main] : rows).flatMap((row) => resultParts(row));
  return [
    requested.length > 0 ? h("section", { class: "panel" }, h("h2", {}, t("request.requested")), requested) : null,
    results.length > 0 ? h("section", { class: "panel" }, h("h2", {}, t("request.result")), results) : null,
  ];
}

function requestParts(step, data, findings) {
  const of = (field) => findings.filter((finding) => finding.field === field);
  const parts = [];
  if (Array.isArray(data.messages) && data.messages.length > 0) {
    parts.push(h("ol", { class: "conversation" }, data.messages.map((message, n) => [message, of(`messages/${n}/content`)]).slice(-MESSAGES).map(([message, found]) => bubble(message.role, message.content, found))));
  }
  if (typeof data.input === "string") parts.push(block(data.input, of("input")));
  if (data.tool !== undefined && data.arguments !== undefined) parts.push(toolCall(data, findings));
  if (data.action && data.arguments === undefined) {
    parts.push(h("p", {}, h("code", { class: "command" }, line(data.action, 100))));
    if (data.payload && Object.keys(data.payload).length > 0) parts.push(code(JSON.stringify(data.payload, null, 2), t("agent.payload")));
  }
  if (typeof data.intent === "string" && step.kind === "plan") {
    parts.push(block(data.intent, of("intent")), data.context ? block(data.context, of("context")) : null,
      facts([[t("plans.targets"), (data.target_paths ?? []).length > 0 ? h("code", {}, data.target_paths.slice(0, 30).map((path) => line(path, 200)).join(", ")) : null]]));
  }
  if (data.peer) parts.push(facts([[t("request.peer"), h("code", {}, line(data.peer, 100))], [t("policy.times"), number(data.count ?? 1)]]));
  if (parts.length === 0 && data.reason && !data.code) parts.push(h("p", { class: "prose" }, h("bdi", {}, short(data.reason, LONG))));
  return parts.filter(Boolean);
}

function toolCall(data, findings) {
  const texts = Object.entries(data.arguments ?? {}).filter(([, value]) => typeof value === "string");
  const rest = Object.fromEntries(Object.entries(data.arguments ?? {}).filter(([, value]) => typeof value !== "string"));
  const commands = Array.isArray(data.command) ? data.command : [];
  const effects = commands.map((command) => [h("code", {}, line(command.pointer, 200)), " ", chip(EFFECT[command.effect] ?? "bad", line(command.effect, 40)), " "]);
  return h("div", { class: "stack tight" },
    facts([[t("request.tool"), h("code", {}, line([data.server, data.tool].filter(Boolean).join("/"), 160))], [t("request.cwd"), data.cwd ? h("code", {}, line(data.cwd, 300)) : null], [t("approvals.effect"), effects.length > 0 ? effects : null]]),
    texts.map(([name, value]) => h("div", {}, h("h3", {}, h("code", {}, line(name, 80))), block(value, findings.filter(({ field }) => field === `arguments/${name}`), "code"))),
    Object.keys(rest).length > 0 ? code(JSON.stringify(rest, null, 2), t("request.arguments")) : null);
}

function resultParts(row) {
  const data = row.data ?? {};
  const parts = [];
  if (row.kind === "gate.denied" || (row.kind === "tool.requested" && data.decision !== "allow")) {
    parts.push(h("p", { class: `alert ${data.decision === "ask" || data.reason === "approval_required" ? "warn" : "bad"}` }, h("code", {}, line(data.code ?? "", 60)), " ", h("bdi", {}, short(data.message ?? "", 2000))));
  }
  if (row.kind === "obs.turn") parts.push(...turnParts(data));
  if (row.kind === "obs.act" && data.by !== "model") {
    const deltas = Object.entries(data.deltas ?? {}).map(([name, by]) => `${word("vital", name)} ${signed(Number(by) || 0)}`);
    parts.push(h("p", {}, deltas.length > 0 ? deltas.join(" · ") : t("request.recorded")));
  }
  if (row.kind === "llm.chat") {
    if (data.error) parts.push(h("p", { class: "alert bad" }, h("code", {}, line(data.error, 60)), " ", line(data.message ?? "", 1000)));
    else if (data.content) parts.push(h("ol", { class: "conversation" }, bubble("assistant", data.content, data.answer?.findings ?? [])));
    if (Array.isArray(data.tool_calls) && data.tool_calls.length > 0) parts.push(h("h3", {}, t("request.tool_calls")), code(JSON.stringify(data.tool_calls, null, 2), t("request.tool_calls")));
  }
  if (row.kind === "plan.created") parts.push(h("p", {}, t("request.made_plan"), " ", h("a", { href: to("plans", String(data.id)) }, h("code", {}, line(data.id, 64))), ` · +${data.stats?.added ?? 0} −${data.stats?.removed ?? 0}`,
    data.fallback ? ` · ${line(data.fallback.message ?? "", 600)}` : null));
  if (row.kind === "plan.reviewed") parts.push(h("p", {}, h("a", { href: to("plans", String(data.id)) }, h("code", {}, line(data.id, 64))), " ", word("decision", data.decision), data.note ? h("q", {}, line(data.note, 1000)) : null));
  if (row.kind.startsWith("approval.")) parts.push(approvalPart(row, data));
  if (row.kind === "tool.finished") {
    parts.push(h("p", {}, chip(data.is_error ? "bad" : "good", t(data.is_error ? "feed.tool_failed" : "feed.tool_done")), " ", data.size ? t("request.result_size", { n: number(data.size) }) : null,
      (data.labels ?? []).length > 0 ? ` · ${data.labels.map((label) => line(label, 60)).join(", ")}` : null), data.result ? code(data.result, t("request.result")) : null);
  }
  if (row.kind === "policy.rejected") parts.push(table(t("policy.fault"), [t("gates.field"), t("policy.fault")], (data.faults ?? []).slice(0, 100).map((fault) => [h("code", {}, line(fault.path, 200)), line(fault.message, 600)])));
  return parts;
}

function approvalPart(row, data) {
  const id = row.kind === "approval.requested" ? row.id : data.approval_id;
  return h("p", {}, chip(data.decision === "deny" ? "bad" : "warn", word("event", row.kind === "approval.decided" ? `approval.${data.decision}` : row.kind)), " ",
    h("a", { href: to("approvals", String(id)) }, t("request.approval", { id })), ` · ${line(row.principal, 64)}`, data.note ? h("q", {}, line(data.note, 1000)) : null);
}

function turnParts(data) {
  const { turn, telling, response } = data;
  const deltas = Object.entries(turn?.deltas ?? {}).map(([name, by]) => `${word("vital", name)} ${signed(Number(by) || 0)}`);
  const calls = Array.isArray(telling?.steps) ? telling.steps : [];
  return [
    h("ol", { class: "conversation" }, bubble(data.source === "llm" ? "assistant" : "service", response ?? "", [])),
    h("p", { class: "muted" }, [turn?.outcome ? word("roll", turn.outcome) : null, ...deltas].filter(Boolean).join(" · ")),
    telling?.withheld ? h("p", { class: "alert warn" }, t("agent.withheld"), " ", h("code", {}, line(telling.withheld.code ?? "", 40)), " ", line(telling.withheld.message ?? "", 600)) : null,
    telling?.fallback ? h("p", { class: "alert warn" }, t("agent.fallback"), " ", h("code", {}, line(telling.fallback.code ?? "", 40)), " ", line(telling.fallback.message ?? "", 600)) : null,
    calls.length > 0 ? [h("h3", {}, tn("request.calls", calls.length)), h("ol", { class: "plain calls" }, calls.map(call))] : null,
  ];
}

/** A call that a model made in a turn. */
export function call(step) {
  const done = step.decision === "allow";
  return h("li", {}, h("div", { class: "row" }, chip(done ? "good" : "bad", word("call", step.decision)), h("code", {}, line(step.tool, 80)),
    h("code", { class: "grow muted" }, line(JSON.stringify(step.arguments), 300)), step.event_id ? h("a", { href: to("requests", String(step.event_id)) }, `#${step.event_id}`) : null),
  done ? null : h("p", { class: "muted" }, step.code ? h("code", {}, line(step.code, 60)) : null, " ", line(step.result?.message ?? "", 400)));
}

function bubble(role, content, findings) {
  const text = typeof content === "string" ? content : JSON.stringify(content, null, 2) ?? "";
  return h("li", { class: `message ${role === "user" ? "user" : role === "assistant" ? "assistant" : "other"}` }, h("span", { class: "role" }, word("role", String(role))), block(text, findings));
}

function block(text, findings, className = "prose") {
  const cut = text.length > BLOCK ? h("p", { class: "muted" }, t("detail.cut", { size: number(text.length) })) : null;
  return [h("div", { class: `text ${className}`, dir: "auto", ...(className === "code" ? { tabindex: "0", role: "region", "aria-label": t("request.text") } : {}) }, findings.length > 0 && text.length <= BLOCK ? marked(text, findings) : short(text, BLOCK)), cut];
}

function code(text, label) {
  return h("pre", { tabindex: "0", role: "region", "aria-label": label, dir: "ltr" }, short(text, BLOCK));
}
