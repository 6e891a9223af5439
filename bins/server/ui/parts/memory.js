// What an agent remembers: the lines of its state, and the notes it keeps, which can be searched.

import { get } from "../lib/api.js";
import { failure, field, fill, h } from "../lib/dom.js";
import { number, t } from "../lib/i18n.js";
import { short } from "../lib/text.js";

/** The panel: `element`, `refresh(state)`. */
export function memoryPanel(id, signal) {
  // A list that scrolls must be reachable with the keyboard.
  const lines = h("ol", { class: "memory", tabindex: "0", "aria-label": t("agent.memory") });
  const facts = h("ol", { class: "memory", tabindex: "0", "aria-label": t("agent.facts") });
  const search = h("input", { type: "search", maxlength: 256, autocomplete: "off", on: { input: () => later() } });
  let [timer, asked] = [0, 0];
  signal.addEventListener("abort", () => clearTimeout(timer));
  const later = () => {
    clearTimeout(timer);
    timer = setTimeout(drawFacts, 250);
  };

  async function drawFacts() {
    const mine = ++asked;
    const wanted = search.value.trim();
    try {
      const answer = await get("memory", { agent_id: id, q: wanted }, signal);
      // An answer to what was typed before is late.
      if (mine !== asked) return;
      // The service sorts by age where nothing is looked for: the newest first, like the lines above.
      const found = wanted ? answer.facts : answer.facts.toReversed();
      fill(facts, entries(found, (fact) => `v${fact.version} · ${t("agent.uses", { n: number(fact.uses) })}`, wanted ? "agent.facts_none_fit" : "agent.facts_none"));
    } catch (error) {
      if (error.name !== "AbortError") fill(facts, h("li", {}, failure(error)));
    }
  }
  return {
    element: h("section", { class: "panel" }, h("h2", {}, t("agent.memory")), lines,
      h("h3", {}, t("agent.facts")), field(t("agent.facts_find"), search), facts),
    refresh(state) {
      fill(lines, entries(state.memory.toReversed(), (entry) => `v${entry.version}`, "agent.memory_none"));
      drawFacts();
    },
  };
}

function entries(list, note, none) {
  if (list.length === 0) return h("li", { class: "muted" }, t(none));
  return list.map((entry) => h("li", {}, h("small", { class: "muted" }, note(entry)), h("bdi", {}, short(entry.text, 600))));
}
