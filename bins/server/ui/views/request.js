// One request: what it asked, how each gate decided, what came of it, and its rows in the chain.

import { get } from "../lib/api.js";
import { alert, chip, copyButton, empty, facts, failure, fill, h, panel } from "../lib/dom.js";
import { dollars, fullMoment, number, t, tn, word } from "../lib/i18n.js";
import { to } from "../lib/router.js";
import { LONG, line, short } from "../lib/text.js";
import { contentPanels } from "../parts/conversation.js";
import { gatesPanel, microseconds, timingBar } from "../parts/gates_panel.js";
import { TONE, decidedBy } from "../parts/request_line.js";
import { curl } from "../record/curl.js";
import { chainAround, follows, row as readRow, rowsOfRequest } from "../record/journal.js";
import { Requests, mainRow } from "../record/requests.js";

/** Rows of a request whose neighbors are read. */
const MOST_ROWS = 12;
const FIRST = /^0{64}$/;
const JUDGED = ["act", "turn", "tool", "plan", "chat"];

export function request(session, argument) {
  let stop = new AbortController();
  let around = { older: null, newer: null };
  const body = h("div", { class: "request" });

  async function show(id) {
    stop.abort();
    stop = new AbortController();
    const { signal } = stop;
    if (!/^\d+$/.test(id)) {
      fill(body, empty(t("request.none"), t("request.none_about")));
      return;
    }
    fill(body, h("p", { class: "muted loading" }, t("loading")));
    try {
      const row = await readRow(Number(id), signal);
      if (!row) {
        fill(body, empty(t("request.none"), t("detail.pruned", { id })));
        return;
      }
      const rows = await rowsOfRequest(row, signal);
      const grouped = new Requests();
      for (const each of rows) grouped.add(each, each.id, 0);
      const step = grouped.all.find((found) => found.rows.some((part) => part.id === row.id));
      const own = rows.filter((each) => step.rows.some((part) => part.id === each.id));
      around = nearby(session, step);
      fill(body, page(session, step, own, around, signal));
    } catch (error) {
      if (error.name !== "AbortError") fill(body, failure(error));
    }
  }

  show(argument);
  return {
    element: body,
    show,
    step(by) {
      const next = by < 0 ? around.older : around.newer;
      if (next) location.hash = to("requests", String(next));
    },
    destroy: () => stop.abort(),
  };
}

/** The requests before and after: those of the list that the page was opened from, or else of the journal. */
function nearby(session, step) {
  const at = session.trail.indexOf(step.first);
  if (at !== -1) return { newer: session.trail[at - 1] ?? null, older: session.trail[at + 1] ?? null };
  return { older: step.first > 1 ? step.first - 1 : null, newer: step.last + 1 };
}

function page(session, step, rows, around, signal) {
  const main = mainRow(step, rows);
  const data = main.data ?? {};
  const command = curl(step.kind, main, new URL("./", document.baseURI).href);
  return [
    head(step, around, command),
    h("div", { class: "request-columns" },
      h("div", { class: "stack" }, contentPanels(step, rows), JUDGED.includes(step.kind) ? gatesPanel(step, data) : null, recordPanel(rows, signal)),
      h("aside", { class: "stack" }, panel(t("request.about"), aboutFacts(step, main, rows)), timingPanel(data.timing), tokensPanel(rows, signal))),
  ];
}

function head(step, { older, newer }, command) {
  const link = `${location.origin}${location.pathname}${to("requests", String(step.first))}`;
  const go = (id, text, key) => (id ? h("a", { class: "button small", href: to("requests", String(id)), title: `${text} (${key})` }, text) : h("span", { class: "button small disabled", "aria-disabled": "true" }, text));
  const rule = decidedBy(step);
  return h("div", { class: "request-head" },
    h("h2", {}, chip(TONE[step.outcome], t(`outcome.${step.outcome}`)), " ", h("span", {}, `${word("kind", step.kind)} #${step.first}`), rule ? [" ", h("code", { class: "rule" }, rule)] : null),
    h("div", { class: "row" }, copyButton(t("request.copy_link"), t("copied"), link), command ? copyButton(t("request.copy_curl"), t("copied"), command) : null,
      h("nav", { class: "row", "aria-label": t("request.nearby") }, go(older, t("request.older"), "["), go(newer, t("request.newer"), "]"))));
}

function aboutFacts(step, main, rows) {
  const data = main.data ?? {};
  const model = rows.map((row) => row.data?.model ?? row.data?.telling?.request?.model ?? row.data?.parameters?.model).find(Boolean);
  return facts([
    [t("detail.when"), fullMoment(step.ts)],
    [t("detail.agent"), step.agent ? h("a", { href: to("agents", step.agent) }, h("bdi", {}, step.agent)) : null],
    [t("detail.principal"), h("a", { href: to("activity", "", { caller: step.principal }) }, h("bdi", {}, step.principal || "–"))],
    [t("request.by_model"), data.by === "model" ? t("yes") : null],
    [t("request.session"), step.session ? h("a", { href: to("activity", "", { session: step.session }) }, h("code", {}, step.session)) : null],
    [t("detail.request_id"), step.requestId ? h("a", { href: to("activity", "", { request: step.requestId }) }, h("code", {}, step.requestId)) : null],
    [t("request.model"), model ? h("code", {}, line(model, 128)) : null],
    [t("detail.would_deny"), step.wouldDeny.length > 0 ? h("code", {}, step.wouldDeny.join(", ")) : null],
    [t("detail.score"), step.findings > 0 || step.score > 0 ? `${number(step.score, 2)} (${tn("detail.findings", step.findings)})` : null],
    [t("gates.applied"), (data.applied_policies ?? []).length > 0 ? h("code", {}, data.applied_policies.map((rule) => line(rule, 80)).join(", ")) : null],
    [t("request.approval_used"), data.approval_id ? h("a", { href: to("approvals", String(data.approval_id)) }, `#${data.approval_id}`) : null],
    [t("request.stands_for"), step.count > 1 ? number(step.count) : null],
    [t("request.policy"), data.policy_hash ? h("code", {}, line(data.policy_hash, 12)) : null],
  ]);
}

function timingPanel(timing) {
  if (!timing?.elapsed_us) return null;
  return panel(t("request.duration"), h("p", { class: "figure" }, microseconds(timing.elapsed_us)), timingBar(timing));
}

/** Tokens, and what they cost at the prices of the active policy. */
function tokensPanel(rows, signal) {
  const usage = rows.map((row) => row.data?.usage ?? row.data?.telling?.usage).find(Boolean);
  if (!usage) return null;
  const cost = h("dd", {}, "–");
  const model = rows.map((row) => row.data?.model).find(Boolean);
  get("policy", {}, signal).then(({ policy }) => {
    const price = policy.prices?.[model];
    cost.textContent = price ? dollars((usage.prompt_tokens * price.input + usage.completion_tokens * price.output) / 1e6) : t("request.no_price");
  }).catch(() => {});
  return panel(t("request.tokens"), h("p", { class: "figure" }, number(usage.total_tokens)), h("dl", { class: "facts" },
    h("div", {}, h("dt", {}, t("health.prompt")), h("dd", {}, number(usage.prompt_tokens))), h("div", {}, h("dt", {}, t("health.completion")), h("dd", {}, number(usage.completion_tokens))),
    h("div", {}, h("dt", {}, t("usage.cost")), cost)));
}

function recordPanel(rows, signal) {
  const list = h("div", { class: "rows" }, h("p", { class: "muted" }, t("loading")));
  readChain(rows, signal).then((parts) => fill(list, parts)).catch((error) => {
    if (error.name !== "AbortError") fill(list, failure(error));
  });
  return panel(t("request.record"), h("p", { class: "muted" }, tn("request.rows", rows.length)), list);
}

async function readChain(rows, signal) {
  const ids = rows.slice(0, MOST_ROWS).map((each) => each.id);
  const stored = await chainAround(ids, signal);
  const parts = ids.map((id) => one(id, { before: stored.get(id - 1), row: stored.get(id), after: stored.get(id + 1) }));
  const more = rows.length - parts.length;
  return [parts, more > 0 ? h("p", { class: "muted" }, tn("detail.more_rows", more)) : null];
}

function one(id, { before, row, after }) {
  if (!row) return alert("warn", t("detail.pruned", { id }));
  const raw = JSON.stringify(row, null, 2);
  const note = raw.length > LONG ? h("p", { class: "muted" }, t("detail.cut", { size: number(raw.length) })) : null;
  return h("details", { class: "raw" },
    h("summary", {}, h("code", {}, `#${id} ${short(row.kind, 64)}`), " ", chained(before, row), " ", precedes(row, after)),
    h("p", { class: "chain" }, t("request.hash"), " ", h("code", {}, row.hash)),
    h("pre", { tabindex: "0", role: "region", "aria-label": t("detail.raw", { id }), dir: "ltr" }, short(raw, LONG)), note);
}

function chained(before, row) {
  if (!before) return chip("plain", FIRST.test(row.prev_hash) ? t("chain.first") : t("chain.before_pruned"));
  return follows(before, row) ? chip("good", t("chain.follows", { id: before.id })) : chip("bad", t("chain.broken", { id: before.id }));
}

function precedes(row, after) {
  if (!after) return chip("plain", t("chain.newest"));
  return follows(row, after) ? chip("good", t("chain.leads", { id: after.id })) : chip("bad", t("chain.broken", { id: after.id }));
}
