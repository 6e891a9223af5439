// Agents: all of them, and one closely.

import { get } from "../lib/api.js";
import { chip, empty, failure, field, fill, h, reconcile, table } from "../lib/dom.js";
import { ago, number, t, tn } from "../lib/i18n.js";
import { to } from "../lib/router.js";
import { line } from "../lib/text.js";
import { soon } from "../parts/master_detail.js";
import { askToStop } from "../parts/stop_button.js";
import { agentPage } from "./agent.js";

const PAGE = 500;
/** Agents that are listed at most; the field finds the others by their whole name. */
const MOST = 2000;
/** Tool calls that agents without a state are read from. */
const CALLS = 1000;
/** Draws live changes at most so often, in milliseconds. */
const DRAW_EVERY = 1000;
const NAME = /^[A-Za-z0-9._:-]{1,64}$/;

export function agents(session, argument, params) {
  const stop = new AbortController();
  const place = h("div", {});
  let shown = null;

  function show(id, given) {
    shown?.destroy?.();
    shown = id ? agentPage(session, id, given) : list(session, stop.signal);
    fill(place, shown.element);
  }

  show(argument, params);
  return {
    element: place,
    search: () => shown.search?.(),
    move: (by) => shown.move?.(by),
    show,
    destroy() {
      stop.abort();
      shown?.destroy?.();
    },
  };
}

function list(session, signal) {
  const known = new Map();
  let next = null;
  const count = h("p", { class: "muted", role: "status" });
  const may = session.may("operate");
  const lines = new Map();
  const heads = [t("detail.agent"), t("agents.last_seen"), t("agents.steps"), t("agent.turns"), ...(may ? [h("span", { class: "unseen" }, t("stop.stop"))] : [])];
  const list = h("div", { class: "agent-list" }, table(t("agents.list"), heads, [], [2, 3, 4]));
  const body = list.querySelector("tbody");
  const note = h("div", {});
  const filter = h("input", { type: "search", autocomplete: "off", spellcheck: "false", on: { input: () => draw() } });
  const form = h("form", { class: "row", on: { submit: (event) => {
    event.preventDefault();
    // Also an agent that does not exist yet.
    if (NAME.test(filter.value.trim())) location.hash = to("agents", filter.value.trim());
  } } }, field(t("agents.find"), filter));
  const more = h("button", { type: "button", class: "quiet", hidden: true, on: { click: () => read() } }, t("agents.more"));

  async function read() {
    try {
      const page = await get("state", { limit: PAGE, after: next }, signal);
      for (const agent of page.agents) known.set(agent.agent_id, agent);
      const first = next === null;
      next = page.next;
      more.hidden = next === null || known.size >= MOST;
      draw();
      if (first) await addCallers();
    } catch (error) {
      if (error.name !== "AbortError") fill(count, failure(error));
    }
  }

  /** Agents that only use tools have no state; the newest calls name them. */
  async function addCallers() {
    const { events } = await get("journal", { kind: "tool.requested", order: "desc", limit: CALLS }, signal);
    for (const row of events) if (row.agent_id && !known.has(row.agent_id)) known.set(row.agent_id, { agent_id: row.agent_id, turns: 0, state_version: 0, last_seen: row.ts });
    draw();
  }

  /** The line of an agent. It stays the same element, so that a click or the focus is not lost to a live update. */
  function lineOf(id) {
    const name = h("a", { class: "name", href: to("agents", id) }, h("bdi", {}, line(id, 64)));
    const [stopped, seen, steps, turns] = [h("span", {}), h("td", {}), h("td", { class: "num" }), h("td", { class: "num" })];
    const button = may ? h("button", { type: "button", class: "quiet small", on: { click: () => askToStop(session, id, !isStopped(id)) } }) : null;
    return {
      element: h("tr", {}, h("td", {}, name, " ", stopped), seen, steps, turns, may ? h("td", { class: "num" }, button) : null),
      update(agent) {
        const now = isStopped(id);
        fill(stopped, now ? chip("bad", t("stop.stopped")) : null);
        [seen.textContent, steps.textContent, turns.textContent] = [ago(new Date(agent.last_seen)), counted(agent.state_version), counted(agent.turns)];
        if (button) button.textContent = t(now ? "stop.release" : "stop.short");
      },
    };
  }

  // An agent that only uses tools has no state that counts its steps.
  const counted = (value) => (value > 0 ? number(value) : "–");
  const isStopped = (id) => session.stops.some(({ agent }) => agent === id);

  function draw() {
    const wanted = filter.value.trim().toLowerCase();
    const found = [...known.values()].filter((agent) => agent.agent_id.toLowerCase().includes(wanted)).slice(0, MOST);
    count.textContent = known.size === 0 ? "" : tn("agents.count", found.length);
    fill(note, known.size === 0 ? empty(t("agents.none"), t("agents.none_about"), h("a", { class: "button", href: to("send") }, t("send.title")))
      : found.length === 0 ? empty(t("agents.no_match"), t("agents.no_match_about")) : null);
    list.hidden = found.length === 0;
    for (const agent of found) {
      if (!lines.has(agent.agent_id)) lines.set(agent.agent_id, lineOf(agent.agent_id));
      lines.get(agent.agent_id).update(agent);
    }
    // The order holds still under the pointer and the focus.
    const place = new Map(list.matches(":hover, :focus-within") ? [...body.children].map((row, n) => [row, n]) : []);
    const order = (agent) => place.get(lines.get(agent.agent_id).element) ?? Infinity;
    found.sort((a, b) => order(a) - order(b) || (a.last_seen < b.last_seen ? 1 : -1));
    reconcile(body, found.map((agent) => lines.get(agent.agent_id).element));
  }

  const again = soon(draw, signal, DRAW_EVERY);
  session.addEventListener("row", ({ detail: { row } }) => {
    if (!row?.agent_id || !["obs.turn", "obs.act", "tool.requested"].includes(row.kind)) return;
    const before = known.get(row.agent_id);
    if (!before && known.size >= MOST) return;
    known.set(row.agent_id, { agent_id: row.agent_id, turns: (before?.turns ?? 0) + (row.kind === "obs.turn" ? 1 : 0), last_seen: row.ts, state_version: row.data?.state_version ?? before?.state_version ?? 0 });
    again();
  }, { signal });
  session.addEventListener("attention", again, { signal });
  read();
  return {
    element: h("div", { class: "stack" }, h("div", { class: "toolbar-row" }, form, count), h("section", { class: "panel" }, list, note), more),
    search: () => filter.focus(),
    move(by) {
      const links = [...body.querySelectorAll("a.name")];
      links[Math.min(Math.max(0, links.indexOf(document.activeElement) + by), links.length - 1)]?.focus();
    },
  };
}
