// One agent: its requests, sessions, state and use, and the button that stops it.

import { get } from "../lib/api.js";
import { Chart } from "../lib/chart.js";
import { facts, failure, fill, h, panel, table } from "../lib/dom.js";
import { ago, dollars, moment, number, t, tn, word } from "../lib/i18n.js";
import { to } from "../lib/router.js";
import { line } from "../lib/text.js";
import { memoryPanel } from "../parts/memory.js";
import { soon } from "../parts/master_detail.js";
import { stopButton } from "../parts/stop_button.js";
import { Timeline } from "../parts/timeline.js";
import { search } from "../record/journal.js";

const VITALS = ["energy", "focus", "knowledge", "stability"];
/** Steps that the chart shows, and rows that sessions are read from. */
const [STEPS, CALLS] = [200, 500];
const DAYS = 7;
/** Reads the state and the sessions again at most so often, in milliseconds. */
const READ_EVERY = 2000;

/** The page of an agent: `element`, `move(by)`, `destroy()`. */
export function agentPage(session, id) {
  const stop = new AbortController();
  const { signal } = stop;
  const state = h("div", { class: "stack" });
  const memory = memoryPanel(id, signal);
  const sessions = h("div", {});
  const timeline = new Timeline(session, { signal, label: t("agent.timeline", { name: id }), emptyText: () => h("p", { class: "muted loading" }, t("agent.unused")) });
  timeline.show({ agent_id: id });
  const chart = new Chart({
    caption: t("agent.vitals_over"), series: VITALS.map((name) => word("vital", name)), time: false, range: () => [0, 100], format: (value) => number(value),
  });
  let charted = false;

  async function read() {
    try {
      const [{ state: now }, past] = await Promise.all([get("state", { agent_id: id }, signal), search({ agent_id: id, kind: "obs.*" }, undefined, signal, STEPS)]);
      fill(state, now.version > 0 ? statePanel(now) : null);
      memory.element.hidden = now.version === 0;
      if (now.version === 0) return;
      memory.refresh(now);
      const points = backwards(now, past.rows.toReversed().filter((row) => row.data?.state_version));
      charted = true;
      chart.set([points.map((point) => point.version), ...VITALS.map((name) => points.map((point) => point[name]))], VITALS.map((name) => number(now.vitals[name])));
    } catch (error) {
      if (error.name !== "AbortError") fill(state, failure(error));
    }
  }

  function statePanel(now) {
    const actions = Object.entries(now.actions).sort(([, a], [, b]) => b - a).slice(0, 12);
    return panel(t("agent.state"),
      h("div", { class: "meters" }, VITALS.map((name) => h("div", { class: "meter" }, h("span", {}, word("vital", name)),
        h("meter", { min: 0, max: 100, low: 20, value: now.vitals[name], "aria-label": word("vital", name) }), h("b", {}, number(now.vitals[name]))))),
      chart.element,
      facts([[t("agent.version"), number(now.version)], [t("agent.turns"), number(now.turns)], [t("agent.seed"), String(now.seed)],
        [t("agent.actions"), actions.length > 0 ? actions.map(([name, times]) => `${line(name, 64)} ×${number(times)}`).join(", ") : null]]));
  }

  async function readSessions() {
    try {
      const { rows } = await search({ agent_id: id, kind: "tool.requested" }, undefined, signal, CALLS);
      fill(sessions, sessionsPanel(rows));
    } catch {
      // A list without sessions says less, and nothing wrong.
    }
  }

  const again = soon(() => {
    read();
    readSessions();
  }, signal, READ_EVERY);
  session.addEventListener("row", ({ detail: { row } }) => row?.agent_id === id && again(), { signal });
  read();
  readSessions();
  return {
    element: h("div", { class: "stack" },
      h("div", { class: "request-head" }, h("h2", {}, h("a", { href: to("agents"), class: "crumb" }, t("agents.title")), " / ", h("bdi", {}, line(id, 64))),
        h("div", { class: "row" }, stopButton(session, id, signal), h("a", { class: "button small", href: to("send", "", { agent: id }) }, t("agent.act")), h("a", { class: "button small", href: to("activity", "", { agent: id }) }, t("agent.in_activity")))),
      h("div", { class: "request-columns" },
        h("section", { class: "stack of-one-agent" }, h("h2", { class: "section-title" }, t("agent.requests")), timeline.element),
        h("aside", { class: "stack" }, usagePanel(id, signal), sessions, state, memory.element))),
    move: (by) => timeline.move(by),
    destroy() {
      stop.abort();
      if (charted) chart.destroy();
    },
  };
}

/** What the agent used today and in the last days. */
function usagePanel(id, signal) {
  const place = h("div", {});
  const since = (days) => new Date(Date.now() - days * 86_400_000).toISOString();
  Promise.all([1, DAYS].map((days) => get("usage", { by: "agent", since: since(days) }, signal))).then((reports) => {
    const [today, week] = reports.map(({ usage }) => usage.find(({ name }) => name === id));
    if (!week) return;
    const cells = (of) => [number(of?.calls ?? 0), number(of?.total_tokens ?? 0), dollars(of?.cost ?? (of ? null : 0))];
    fill(place, panel(t("agent.usage"), table(t("agent.usage"), [t("usage.period"), t("usage.calls"), t("usage.tokens"), t("usage.cost")], [[t("usage.day"), ...cells(today)], [t("usage.week"), ...cells(week)]], [1, 2, 3])));
  }).catch(() => {});
  return place;
}

function sessionsPanel(rows) {
  const found = new Map();
  for (const row of rows) {
    const name = row.data?.session_id;
    if (!name) continue;
    const known = found.get(name) ?? { last: row.ts, calls: 0, refused: 0 };
    known.first = row.ts;
    known.calls++;
    if (row.data.decision !== "allow") known.refused++;
    found.set(name, known);
  }
  if (found.size === 0) return null;
  return panel(t("agent.sessions"), h("ul", { class: "sessions" }, [...found].slice(0, 20).map(([name, of]) => h("li", {},
    h("a", { href: to("activity", "", { session: name }) }, h("code", {}, line(name, 40))),
    h("small", { class: "muted" }, [tn("agent.calls", of.calls), of.refused > 0 ? tn("agent.refused", of.refused) : null, `${moment(new Date(of.first))} – ${ago(new Date(of.last))}`].filter(Boolean).join(" · "))))));
}

/**
 * Vitals after each of the rows. A row states the effective change of its step, so that the vitals before it are
 * those after it without the change; the walk ends where a row is missing.
 */
export function backwards(state, rows) {
  const points = [{ version: state.version, ...state.vitals }];
  for (const row of rows.toReversed()) {
    const at = row.data.state_version;
    if (at > points[0].version) continue;
    if (at !== points[0].version) break;
    const deltas = row.data.turn?.deltas ?? row.data.deltas ?? {};
    const before = Object.fromEntries(VITALS.map((name) => [name, points[0][name] - (deltas[name] ?? 0)]));
    points.unshift({ version: at - 1, ...before });
  }
  return points;
}
