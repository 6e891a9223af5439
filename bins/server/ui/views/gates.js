// Gates: what was refused and why, what would be, and the policy that says so.

import { post } from "../api.js";
import { Chart } from "../chart.js";
import { chip, facts, field, fill, h, select, table } from "../dom.js";
import { lastRows } from "../history.js";
import { moment, number, t, tn, word } from "../i18n.js";
import { marked } from "../marks.js";
import { policyPanel } from "../policy.js";
import { line } from "../text.js";

/** Spans of time that the charts may show, in minutes. */
const SPANS = [15, 60, 24 * 60, 7 * 24 * 60];
const BINS = 48;
/** Rows of each sort, and how far back for them the journal is read. */
const [ROWS, REACH] = [3000, 50_000];
/** Reasons that are told apart; the rest count as one. */
const MOST_REASONS = 7;

export function gates(session) {
  const stop = new AbortController();
  const policy = policyPanel();
  const history = denials(session, stop.signal);
  return {
    element: h("div", { class: "stack" }, history.element, h("div", { class: "halves" }, tryPanel(), policy.inForce), policy.trial),
    destroy() {
      stop.abort();
      history.destroy();
    },
  };
}

/** Two charts: what was refused by reason, and what observing rules would have refused. */
function denials(session, signal) {
  let [minutes, timer] = [60, 0];
  const events = [];
  let covers = null;
  const charts = ["denied", "would"].map((which) => ({
    which, chart: new Chart({ caption: t(`gates.${which}`), series: [], stacked: true, format: (value) => (Number.isInteger(value) ? number(value) : "") }),
  }));
  const said = h("p", { class: "muted", role: "status" }, t("loading"));
  const ids = new Set();

  const take = (row) => {
    if (!row?.data || ids.has(row.id)) return;
    const at = Date.parse(row.ts) / 1000;
    ids.add(row.id);
    if (row.kind === "gate.denied") events.push({ at, which: "denied", reason: word("reason", row.data.reason) });
    for (const rule of row.data.would_deny ?? []) events.push({ at, which: "would", reason: line(rule, 64) });
    // Bounded however long the page stays open.
    if (events.length > 4 * ROWS) events.splice(0, ROWS);
  };

  function draw() {
    const now = Date.now() / 1000;
    const from = now - minutes * 60;
    const width = (minutes * 60) / BINS;
    for (const { which, chart } of charts) {
      const inside = events.filter((event) => event.which === which && event.at >= from && event.at <= now + 5);
      const totals = new Map();
      for (const { reason } of inside) totals.set(reason, (totals.get(reason) ?? 0) + 1);
      const ranked = [...totals].sort(([, a], [, b]) => b - a);
      const names = ranked.slice(0, MOST_REASONS).map(([reason]) => reason);
      const others = ranked.length > MOST_REASONS ? [t("gates.others")] : [];
      const counts = [...names, ...others].map(() => new Array(BINS).fill(0));
      for (const { at, reason } of inside) {
        const series = names.includes(reason) ? names.indexOf(reason) : names.length;
        counts[series][Math.min(BINS - 1, Math.floor((at - from) / width))]++;
      }
      chart.setSeries([...names, ...others]);
      chart.set([Array.from({ length: BINS }, (_, bin) => from + (bin + 0.5) * width), ...counts],
        counts.map((list) => number(list.reduce((a, b) => a + b, 0))));
      chart.element.classList.toggle("nothing", inside.length === 0);
    }
    if (covers) said.textContent = covers.whole || covers.at <= from ? "" : t("gates.covers", { from: moment(new Date(covers.at * 1000)) });
  }

  async function read() {
    try {
      const both = await Promise.all([
        lastRows({ kind: "gate.denied" }, ROWS, REACH, signal), lastRows({ kind: "obs.*" }, ROWS, REACH, signal),
      ]);
      both.forEach((part) => part.rows.forEach(take));
      const starts = both.filter((part) => !part.whole && part.rows.length > 0).map((part) => Date.parse(part.rows[0].ts) / 1000);
      covers = { whole: both.every((part) => part.whole), at: Math.max(...starts) };
      draw();
    } catch (error) {
      if (error.name !== "AbortError") fill(said, h("span", { class: "alert bad" }, error.message || t("error.unreachable")));
    }
  }

  session.steps.addEventListener("step", ({ detail: { row } }) => {
    take(row);
    timer ||= setTimeout(() => {
      timer = 0;
      draw();
    }, 1000);
  }, { signal });
  const ticking = setInterval(draw, 15_000);
  read();
  const span = select(SPANS.map((value) => [String(value), t(`span.${value}`)]), "60", (value) => {
    minutes = Number(value);
    draw();
  });
  return {
    element: h("section", { class: "panel" }, h("div", { class: "panel-head" }, h("h2", {}, t("gates.over_time")), field(t("gates.span"), span)),
      h("div", { class: "halves" }, charts.map(({ chart }) => chart.element)), said),
    destroy() {
      clearTimeout(timer);
      clearInterval(ticking);
      charts.forEach(({ chart }) => chart.destroy());
    },
  };
}

/** A text against the gates, without any effect. */
function tryPanel() {
  const text = h("textarea", { rows: 4, required: true, maxlength: 8192, on: { keydown: (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit();
  } } });
  const extra = h("input", { autocomplete: "off", spellcheck: "false" });
  const extraField = field("", extra);
  let kind = "turn";
  const choose = (value) => {
    kind = value;
    extraField.hidden = value !== "act" && value !== "plan";
    extraField.firstChild.textContent = t(value === "act" ? "agent.action" : "gates.targets");
    extra.value = value === "act" ? "explore" : "";
    extra.required = value === "act" || value === "plan";
  };
  const kinds = select(["turn", "act", "plan", "chat"].map((name) => [name, t(`kind.${name}`)]), kind, choose);
  const result = h("div", { class: "answer", "aria-live": "polite" });
  const form = h("form", { on: { submit: (event) => {
    event.preventDefault();
    run();
  } } }, field(t("gates.kind"), kinds), field(t("gates.text"), text), extraField,
  h("button", { type: "submit", class: "primary" }, t("gates.check")));
  choose(kind);
  return h("section", { class: "panel" }, h("h2", {}, t("gates.try")), h("p", { class: "muted" }, t("gates.try_about")), form, result);

  async function run() {
    const bodies = {
      turn: { agent_id: "dashboard", input: text.value },
      act: { agent_id: "dashboard", action: extra.value.trim(), payload: { text: text.value } },
      plan: { intent: text.value, target_paths: extra.value.split(",").map((path) => path.trim()).filter(Boolean) },
      chat: { messages: [{ role: "user", content: text.value }] },
    };
    const asked = text.value;
    try {
      fill(result, verdict(await post("check", { kind, ...bodies[kind] }), asked));
    } catch (error) {
      const fields = Array.isArray(error.details) ? error.details.map((fault) => `${fault.path}: ${fault.message}`).join("; ") : "";
      fill(result, h("p", { class: "alert bad" }, error.message || t("error.unreachable"), fields ? ` (${fields})` : ""));
    }
  }
}

/** Fields of a call that hold the text that was typed. */
const TYPED = /^(input|payload(\/text)?|payload\.text|intent|messages[/.]0[/.]content)$/;

function verdict(answer, text) {
  const denied = answer.decision === "deny";
  const observed = !denied && answer.would_deny.length > 0;
  const tone = denied ? "bad" : observed ? "warn" : "good";
  const here = answer.findings.filter((finding) => TYPED.test(finding.field));
  const rows = answer.findings.map((finding) => [
    word("category", finding.category), h("code", {}, line(finding.rule, 80)), chip(finding.effect === "deny" ? "bad" : "warn", word("effect", finding.effect)),
    h("code", {}, line(finding.field, 80)), finding.end > finding.start ? `${finding.start}–${finding.end}` : t("gates.whole"),
  ]);
  return [
    h("p", {}, chip(tone, t(denied ? "outcome.denied" : observed ? "outcome.observed" : "outcome.allowed")), " ", answer.message ? line(answer.message, 600) : null),
    h("blockquote", { class: "marked", dir: "auto" }, marked(text, here)),
    facts([
      [t("detail.score"), number(answer.score, 2)], [t("gates.gate"), answer.gate], [t("gates.rule"), answer.rule],
      [t("gates.applied"), answer.applied_policies.join(", ") || null], [t("detail.would_deny"), answer.would_deny.join(", ") || null],
    ]),
    rows.length > 0 ? table(tn("detail.findings", rows.length), ["category", "rule", "effect", "field", "place"].map((name) => t(`gates.${name}`)), rows) : h("p", { class: "muted" }, t("gates.nothing_found")),
  ];
}
