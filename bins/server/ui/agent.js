// One agent: vitals over its steps, what it has done and remembers, and a box to take the next step.

import { get, post } from "./api.js";
import { Chart } from "./chart.js";
import { chip, facts, field, fill, h } from "./dom.js";
import { lastRows } from "./history.js";
import { number, signed, t, word } from "./i18n.js";
import { line, short } from "./text.js";

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
      h("section", { class: "panel" }, title, trouble, meters, chart.element, about),
      h("section", { class: "panel" }, h("h2", {}, t("agent.act")), stepForm(id, () => later())), memory.element),
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

function stepForm(id, onDone) {
  const result = h("div", { class: "answer", "aria-live": "polite" });
  const input = h("textarea", { rows: 2, maxlength: 8192, required: true, on: { keydown: submitOnEnter } });
  const turn = h("form", { on: { submit: (event) => run(event, "turn", () => ({ agent_id: id, input: input.value })) } },
    field(t("agent.input"), input, t("agent.input_hint")), h("button", { type: "submit", class: "primary" }, t("agent.take_turn")));
  const action = h("input", { required: true, maxlength: 64, pattern: "[A-Za-z0-9._:\\-]+", autocomplete: "off", spellcheck: "false" });
  const payload = h("textarea", { rows: 2, spellcheck: "false", placeholder: "{}" });
  const act = h("form", { on: { submit: (event) => run(event, "act", () => {
    const given = payload.value.trim();
    return { agent_id: id, action: action.value.trim(), ...(given ? { payload: JSON.parse(given) } : {}) };
  }) } }, field(t("agent.action"), action), field(t("agent.payload"), payload), h("button", { type: "submit" }, t("agent.do_act")));
  return h("div", {}, turn, h("details", {}, h("summary", {}, t("agent.act_instead")), act), result);

  async function run(event, call, body) {
    event.preventDefault();
    const button = event.submitter ?? event.target.querySelector("button");
    button.disabled = true;
    try {
      const answer = await post(call, body());
      fill(result, answered(answer));
      if (call === "turn") input.value = "";
      onDone();
    } catch (error) {
      fill(result, refused(error));
    } finally {
      button.disabled = false;
    }
  }
}

function submitOnEnter(event) {
  if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
  event.preventDefault();
  event.target.form.requestSubmit();
}

function answered(answer) {
  const deltas = Object.entries(answer.turn?.deltas ?? answer.deltas ?? {}).map(([name, by]) => `${word("vital", name)} ${signed(by)}`);
  const source = answer.source === "llm" ? chip("plain", t("agent.by_model")) : null;
  const steps = (answer.steps ?? []).map((step) => h("li", {}, h("code", {}, line(step.tool, 80)), " ",
    chip(step.decision === "allow" ? "good" : "bad", line(step.decision, 40)), step.code ? ` ${line(step.code, 60)}` : ""));
  return [
    h("p", {}, source, " ", h("bdi", {}, short(answer.response ?? t("agent.acted"), 8192))),
    answer.withheld ? h("p", { class: "alert warn" }, t("agent.withheld")) : null,
    h("p", { class: "muted" }, [answer.turn ? word("roll", answer.turn.outcome) : null, ...deltas, `#${answer.event_id}`].filter(Boolean).join(" · ")),
    answer.would_deny?.length > 0 ? h("p", { class: "alert warn" }, t("agent.would_deny", { rules: answer.would_deny.join(", ") })) : null,
    steps.length > 0 ? h("ul", { class: "plain" }, steps) : null,
  ];
}

function refused(error) {
  const said = error instanceof SyntaxError ? t("agent.bad_json") : error.message || t("error.unreachable");
  return h("p", { class: "alert bad" }, error.code ? [chip("bad", error.code), " "] : null, said);
}

/** Whether the service has a memory to ask; its own description says so without a call that fails. */
let described = null;
const hasMemory = () => (described ??= get("openapi.json").then((document) => Boolean(document.paths?.["/memory"]), () => false));

/** What it remembers: the lines of its state and, where the service keeps facts, those too. */
function memoryPanel(id, signal) {
  const lines = h("ol", { class: "memory", reversed: true });
  const facts = h("ol", { class: "memory" });
  const search = h("input", { type: "search", maxlength: 200, autocomplete: "off", on: { input: () => later() } });
  const keeps = h("div", { class: "stack", hidden: true }, h("h3", {}, t("agent.facts")), field(t("agent.facts_find"), search), facts);
  let [timer, asked] = [0, 0];
  signal.addEventListener("abort", () => clearTimeout(timer));
  const later = () => {
    clearTimeout(timer);
    timer = setTimeout(drawFacts, 250);
  };

  async function drawFacts() {
    if (!(await hasMemory())) return;
    const mine = ++asked;
    try {
      const answer = await get("memory", { agent_id: id, q: search.value.trim() }, signal);
      // An answer to what was typed before is late.
      if (mine !== asked) return;
      keeps.hidden = false;
      fill(facts, entries(answer.facts ?? [], (fact) => `v${fact.version} · ${t("agent.uses", { n: number(fact.uses ?? 0) })}`));
    } catch (error) {
      if (error.name !== "AbortError") fill(facts, h("li", { class: "muted" }, error.message || t("error.unreachable")));
    }
  }
  return {
    element: h("section", { class: "panel" }, h("h2", {}, t("agent.memory")), lines, keeps),
    refresh(state) {
      fill(lines, entries(state.memory.toReversed(), (entry) => `v${entry.version}`));
      drawFacts();
    },
  };
}

function entries(list, note) {
  if (list.length === 0) return h("li", { class: "muted" }, t("agent.memory_none"));
  return list.map((entry) => h("li", {}, h("small", { class: "muted" }, note(entry)), h("bdi", {}, short(entry.text, 600))));
}
