// One agent: vitals over its steps, what it has done and remembers, and a box to take the next step.

import { get } from "./api.js";
import { Chart } from "./chart.js";
import { facts, fill, h } from "./dom.js";
import { lastRows } from "./history.js";
import { number, t, word } from "./i18n.js";
import { memoryPanel } from "./memory.js";
import { stepForm } from "./next.js";
import { stopButton } from "./stop.js";
import { line } from "./text.js";

const VITALS = ["energy", "focus", "knowledge", "stability"];
/** Steps that the chart goes back. */
const STEPS = 200;
/** Rows of the journal that are looked through for them at most. */
const REACH = 100_000;

/** The panel of an agent: `element`, `took(row)` for what it does meanwhile, `destroy()`. */
export function agentPanel(id) {
  const stop = new AbortController();
  const meters = h("div", { class: "meters" });
  const about = h("div", {});
  const trouble = h("div", { role: "alert" });
  const chart = new Chart({
    caption: t("agent.vitals_over"), series: VITALS.map((name) => word("vital", name)), time: false,
    range: () => [0, 100], format: (value) => number(value),
  });
  const memory = memoryPanel(id, stop.signal);
  let [rows, state] = [[], null];

  async function read() {
    try {
      const [answer, past] = await Promise.all([
        get("state", { agent_id: id }, stop.signal),
        rows.length > 0 ? { rows } : lastRows({ agent_id: id, kind: "obs.*" }, STEPS, REACH, stop.signal),
      ]);
      state = answer.state;
      const known = new Map([...past.rows, ...rows].map((row) => [row.id, row]));
      rows = [...known.values()].filter((row) => row.data?.state_version).slice(-STEPS);
      fill(trouble);
      draw();
      memory.refresh(state);
    } catch (error) {
      if (error.name !== "AbortError") fill(trouble, h("p", { class: "alert bad" }, error.message || t("error.unreachable")));
    }
  }

  function draw() {
    const { vitals } = state;
    fill(meters, VITALS.map((name) => h("div", { class: "meter" }, h("span", {}, word("vital", name)),
      h("meter", { min: 0, max: 100, low: 20, value: vitals[name], "aria-label": word("vital", name) }), h("b", {}, number(vitals[name])))));
    const actions = Object.entries(state.actions).sort(([, a], [, b]) => b - a).slice(0, 12);
    fill(about, facts([
      [t("agent.version"), number(state.version)], [t("agent.turns"), number(state.turns)], [t("agent.seed"), String(state.seed)],
      [t("agent.actions"), actions.length > 0 ? actions.map(([name, times]) => `${line(name, 64)} ×${number(times)}`).join(", ") : "–"],
    ]));
    const points = backwards(state, rows);
    chart.set([points.map((point) => point.version), ...VITALS.map((name) => points.map((point) => point[name]))],
      VITALS.map((name) => number(vitals[name])));
  }

  let timer = 0;
  read();
  const title = h("h2", {}, h("bdi", {}, line(id, 64)));
  return {
    element: h("div", { class: "stack" },
      h("section", { class: "panel" }, h("div", { class: "row" }, title, stopButton(id, stop.signal)), trouble, meters, chart.element, about),
      h("section", { class: "panel" }, h("h2", {}, t("agent.act")), stepForm(id, () => later(), stop.signal)), memory.element),
    took(row) {
      if (rows.every((known) => known.id !== row.id)) rows = [...rows, row].slice(-STEPS);
      later();
    },
    destroy() {
      stop.abort();
      clearTimeout(timer);
      chart.destroy();
    },
  };

  function later() {
    timer ||= setTimeout(() => {
      timer = 0;
      read();
    }, 300);
  }
}

/**
 * Vitals after each of the rows. A row tells what its step changed in effect, so that what was before
 * is what is now without it; the walk ends where a row is missing.
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
