// The timeline: one row a step, newest first, drawn at most once a frame.

import { chip, h } from "./dom.js";
import { clock, signed, t, tn, number, word } from "./i18n.js";

const TONE = { allowed: "good", observed: "warn", denied: "bad", failed: "bad", note: "plain" };

/** What came of a step, in words. */
export function resultText(step) {
  return step.result.map((part) => {
    if (part.tooLong !== undefined) return t("feed.too_long", { size: number(part.tooLong / 1e6, 1) });
    if (part.faults !== undefined) return tn("feed.faults", part.faults);
    if (part.event) return word("event", part.event);
    if (part.decision) return `${part.plan} ${word("decision", part.decision)}`;
    if (part.plan) return `${part.plan} +${part.stats?.added ?? 0} −${part.stats?.removed ?? 0}`;
    const deltas = Object.entries(part.deltas ?? {}).slice(0, 8).map(([name, by]) => `${word("vital", name)} ${signed(Number(by) || 0)}`);
    if (part.outcome) return [word("roll", part.outcome), ...deltas].join(", ");
    if (part.withheld) return t("feed.withheld");
    if (part.refused) return tn("feed.refused", part.refused);
    if (part.act && part.byModel) return [part.act, ...deltas].join(" ");
    if (part.act) return deltas.join(", ") || t("feed.no_change");
    return part.text ?? "";
  }).filter(Boolean).join(" · ");
}

/** A step's decision as a chip, and the rule that made it. */
export function decision(step) {
  const rule = step.outcome === "denied" ? step.rule || step.gate : step.wouldDeny[0];
  return [chip(TONE[step.outcome], t(`outcome.${step.outcome}`)), rule ? " " : null, rule ? h("code", { class: "rule" }, rule) : null];
}

export class Feed {
  #steps;
  #passes;
  #onOpen;
  #rows = new Map();
  #waiting = new Set();
  #frame = 0;
  #paused = false;
  #onPaused;
  #list = h("ol", { class: "feed", role: "list", on: { keydown: (event) => this.#move(event) } });
  #stop = new AbortController();

  constructor(steps, { passes, onOpen, onPaused }) {
    [this.#steps, this.#passes, this.#onOpen, this.#onPaused] = [steps, passes, onOpen, onPaused];
    const signal = this.#stop.signal;
    steps.addEventListener("step", ({ detail }) => this.#later(detail.step), { signal });
    steps.addEventListener("gone", ({ detail }) => this.#drop(detail.step), { signal });
    this.element = this.#list;
    this.refilter();
  }

  /** Draws everything anew, as the filter is now. */
  refilter() {
    this.#list.replaceChildren();
    this.#rows.clear();
    this.#waiting = new Set(this.#steps.all);
    this.#draw();
  }

  pause(paused) {
    this.#paused = paused;
    if (!paused) this.#draw();
  }

  get shown() {
    return this.#rows.size;
  }

  destroy() {
    this.#stop.abort();
    cancelAnimationFrame(this.#frame);
  }

  #later(step) {
    this.#waiting.add(step);
    if (this.#paused) this.#onPaused(this.#waiting.size);
    else this.#frame ||= requestAnimationFrame(() => this.#draw());
  }

  #draw() {
    this.#frame = 0;
    const fresh = document.createDocumentFragment();
    for (const step of this.#waiting) {
      const old = this.#rows.get(step.key);
      if (!this.#passes(step)) {
        if (old) this.#remove(step.key, old);
        continue;
      }
      const row = this.#row(step);
      if (old) {
        const held = old.contains(document.activeElement);
        row.firstChild.tabIndex = old.firstChild.tabIndex;
        old.replaceWith(row);
        if (held) row.firstChild.focus({ preventScroll: true });
      } else {
        fresh.prepend(row);
      }
      this.#rows.set(step.key, row);
    }
    this.#waiting.clear();
    this.#list.prepend(fresh);
    // One row at a time can be reached by Tab; arrows lead on.
    if (!this.#list.querySelector('[tabindex="0"]') && this.#list.firstChild) this.#list.firstChild.firstChild.tabIndex = 0;
    this.#list.dispatchEvent(new Event("drawn"));
  }

  #drop(step) {
    this.#waiting.delete(step);
    const row = this.#rows.get(step.key);
    if (row) this.#remove(step.key, row);
  }

  #remove(key, row) {
    row.remove();
    this.#rows.delete(key);
  }

  #row(step) {
    const open = h("button", { type: "button", class: "step", tabindex: "-1", data: { step: step.key },
      on: { click: () => this.#onOpen(step) } },
    h("time", { datetime: step.ts.toISOString?.() }, clock(step.ts)),
    h("span", { class: "who" }, h("bdi", {}, step.agent || step.principal || "")),
    h("span", { class: "kind" }, word("kind", step.kind)),
    h("span", { class: "asked" }, h("bdi", {}, step.request)),
    h("span", { class: "decision" }, decision(step)),
    h("span", { class: "came" }, h("bdi", {}, resultText(step))),
    h("span", { class: "row-id" }, `#${step.first}`));
    return h("li", { class: step.outcome }, open);
  }

  #move(event) {
    const rows = [...this.#list.querySelectorAll("button.step")];
    const at = rows.indexOf(document.activeElement);
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: rows.length - 1 }[event.key];
    if (at === -1 || to === undefined || !rows[to]) return;
    event.preventDefault();
    rows[at].tabIndex = -1;
    rows[to].tabIndex = 0;
    rows[to].focus();
  }
}
