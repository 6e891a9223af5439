// Agents: who there is, and one of them closely.

import { agentPanel } from "../agent.js";
import { get } from "../api.js";
import { field, fill, h } from "../dom.js";
import { moment, t, tn } from "../i18n.js";
import { line } from "../text.js";

const PAGE = 200;
/** Agents that are listed at most; the field above finds the others by their whole name. */
const MOST = 2000;

export function agents(session, argument) {
  let [known, next, chosen, panel] = [new Map(), null, null, null];
  const stop = new AbortController();
  const list = h("ul", { class: "pick", role: "list" });
  const count = h("p", { class: "muted", role: "status" });
  const side = h("div", { class: "side" });
  const filter = h("input", { type: "search", autocomplete: "off", spellcheck: "false", on: {
    input: () => draw(),
    keydown: (event) => {
      // Also one that nobody has used yet.
      if (event.key === "Enter" && /^[A-Za-z0-9._:-]{1,64}$/.test(filter.value.trim())) location.hash = `#/agents/${filter.value.trim()}`;
    },
  } });
  const more = h("button", { type: "button", hidden: true, on: { click: () => read() } }, t("agents.more"));

  async function read() {
    try {
      const page = await get("state", { limit: PAGE, after: next });
      for (const agent of page.agents) known.set(agent.agent_id, agent);
      next = page.next;
      more.hidden = next === null || known.size >= MOST;
      draw();
      if (!chosen && argument === "" && page.agents.length > 0) show(newest());
    } catch (error) {
      fill(count, h("span", { class: "alert bad" }, error.message || t("error.unreachable")));
    }
  }

  const newest = () => [...known.values()].sort((a, b) => (a.last_seen < b.last_seen ? 1 : -1))[0].agent_id;

  function draw() {
    const wanted = filter.value.trim().toLowerCase();
    const shown = [...known.values()].filter((agent) => agent.agent_id.toLowerCase().includes(wanted));
    shown.sort((a, b) => (a.last_seen < b.last_seen ? 1 : -1));
    fill(list, shown.slice(0, MOST).map((agent) => h("li", {}, h("a", {
      href: `#/agents/${encodeURIComponent(agent.agent_id)}`,
      "aria-current": agent.agent_id === chosen ? "true" : null,
    }, h("bdi", {}, line(agent.agent_id, 64)), h("small", {}, `${tn("agents.turns", agent.turns)} · ${moment(new Date(agent.last_seen))}`)))));
    count.textContent = known.size === 0 ? t("agents.none") : tn("agents.count", shown.length);
  }

  function show(id) {
    if (id === chosen) return;
    chosen = id;
    panel?.destroy();
    panel = id ? agentPanel(id) : null;
    fill(side, panel?.element ?? h("p", { class: "empty" }, t("agents.choose")));
    draw();
  }

  session.steps.addEventListener("step", ({ detail: { row } }) => {
    if (!row?.agent_id || (row.kind !== "obs.turn" && row.kind !== "obs.act")) return;
    const before = known.get(row.agent_id);
    if (!before && known.size >= MOST) return;
    const turns = (before?.turns ?? 0) + (row.kind === "obs.turn" ? 1 : 0);
    // The backlog of the stream is older than what the list says.
    if (before && before.last_seen >= row.ts) return;
    known.set(row.agent_id, { agent_id: row.agent_id, turns, last_seen: row.ts, state_version: row.data.state_version });
    later();
    if (row.agent_id === chosen) panel?.took(row);
  }, { signal: stop.signal });

  let timer = 0;
  const later = () => { timer ||= setTimeout(() => { timer = 0; draw(); }, 500); };

  show(argument || null);
  read();
  return {
    head: h("p", { class: "muted" }, t("agents.about")),
    element: h("div", { class: "split" }, h("section", { class: "panel narrow", "aria-label": t("agents.list") },
      field(t("agents.find"), filter), count, list, more), side),
    show: (id) => show(id || (known.size > 0 ? newest() : null)),
    destroy() {
      stop.abort();
      clearTimeout(timer);
      panel?.destroy();
    },
  };
}
