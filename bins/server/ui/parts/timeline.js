// A list of requests, newest first: searched, folded, older ones on demand, and live without jumping.

import { empty, failure, fill, h, reconcile } from "../lib/dom.js";
import { day, t, tn } from "../lib/i18n.js";
import { PAGE, passes, search } from "../record/journal.js";
import { Requests, compact, isException } from "../record/requests.js";
import { decidedBy, requestLine } from "./request_line.js";

/** Rows kept while the newest are shown, and after older ones were loaded. */
const [LIVE_ROWS, MOST_ROWS] = [1000, 6000];
/** Draws at most so often, in milliseconds. */
const DRAW_EVERY = 200;
/** Pages that one step loads until enough requests pass, and how many are enough. */
const [PAGES, ENOUGH] = [10, 40];
/** Lines that are drawn, and further ones when the end of the list is near. */
const [LINES, MORE_LINES] = [150, 300];
/** Scrolled further than this, new requests wait. */
const TOP = 140;

/** The list of the requests that pass what `show` is given. */
export class Timeline {
  #session;
  #signal;
  #onDrawn;
  #filter = {};
  #parts = [{}];
  #local = () => true;
  #rows = [];
  #model = new Requests(MOST_ROWS);
  #next = null;
  #loading = null;
  #unfolded = new Set();
  #most = LINES;
  /** Whether lines changed since they were drawn. */
  #stale = true;
  /** Whether there are lines beyond the drawn ones. */
  #undrawn = false;
  #lines = new Map();
  #timer = 0;
  #paused = false;
  /** While held, the newest row that is drawn. */
  #upTo = null;
  #list = h("ol", { class: "feed", role: "list" });
  #older = h("button", { type: "button", class: "older", hidden: true, on: { click: () => this.older() } }, t("feed.older"));
  #pill = h("button", { type: "button", class: "pill", hidden: true, on: { click: () => this.#release() } });
  #note = h("div", { class: "feed-note" });
  #full = false;
  /** New rows that were not kept while older ones are read. */
  #missed = 0;
  #emptyText;
  /** Watches for the end of the list. */
  #end;

  constructor(session, { signal, label, onDrawn = () => {}, emptyText = () => empty(t("activity.empty"), t("activity.empty_about")) }) {
    [this.#session, this.#signal, this.#onDrawn, this.#emptyText] = [session, signal, onDrawn, emptyText];
    this.#list.setAttribute("aria-label", label);
    this.#list.addEventListener("keydown", (event) => this.#key(event));
    this.element = h("div", { class: "timeline" }, this.#pill, this.#list, this.#note, this.#older);
    session.addEventListener("row", ({ detail }) => this.#live(detail), { signal });
    addEventListener("scroll", () => this.#scrolled(), { signal, passive: true });
    this.#end = new IntersectionObserver((entries) => entries.at(-1).isIntersecting && !this.#older.hidden && this.older(), { rootMargin: "400px" });
    signal.addEventListener("abort", () => {
      this.#end.disconnect();
      clearTimeout(this.#timer);
    });
  }

  /**
   * Searches again. `filter` is the service's; a row also passes one of `parts`, which are filters, too. `local(step)`
   * chooses among the requests.
   */
  async show(filter, { parts = [{}], local = () => true } = {}) {
    [this.#filter, this.#parts, this.#local] = [filter, parts, local];
    [this.#rows, this.#next, this.#upTo] = [[], undefined, null];
    this.#model = new Requests(MOST_ROWS);
    this.#unfolded.clear();
    this.#lines.clear();
    [this.#most, this.#undrawn] = [LINES, false];
    [this.#loading, this.#full, this.#missed] = [null, false, 0];
    fill(this.#note, h("p", { class: "muted loading" }, t("loading")));
    this.#list.replaceChildren();
    await this.older();
  }

  /** Draws or loads older requests. */
  async older() {
    if (this.#undrawn) {
      this.#most += MORE_LINES;
      return this.#draw();
    }
    if (this.#loading || this.#next === null) return;
    const mine = Symbol("load");
    this.#loading = mine;
    try {
      const before = this.#shownSteps().length;
      for (let page = 0; page < PAGES && this.#next !== null; page++) {
        const found = await this.#page(this.#next ?? undefined);
        if (this.#loading !== mine) return;
        this.#next = found.next;
        // Live rows that arrived meanwhile are newer than the page.
        const known = new Set(this.#rows.map((row) => row.id));
        this.#rows = [...found.rows.filter((row) => !known.has(row.id)).map((row) => compact(row)), ...this.#rows].sort((a, b) => a.id - b.id);
        if (this.#rows.length >= MOST_ROWS) {
          this.#next = null;
          this.#full = true;
        }
        this.#rebuild();
        if (this.#shownSteps().length - before >= ENOUGH) break;
      }
      this.#draw();
    } catch (error) {
      if (error.name === "AbortError" || this.#loading !== mine) return;
      fill(this.#note, failure(error));
    } finally {
      if (this.#loading === mine) this.#loading = null;
    }
  }

  async #page(before) {
    // Each part is a search of its own; what lies below the first that has more comes with the next page.
    const parts = await Promise.all(this.#parts.map((part) => search({ ...this.#filter, ...part }, before, this.#signal, PAGE)));
    const open = parts.filter(({ next }) => next !== null && next !== undefined);
    const floor = Math.max(0, ...open.map(({ rows, next }) => rows.at(-1)?.id ?? next));
    const rows = parts.flatMap((part) => part.rows).filter((row) => row.id >= floor).sort((a, b) => b.id - a.id);
    return { rows, next: open.length > 0 ? floor : null };
  }

  /** Stops or continues live updates. */
  pause(paused) {
    this.#paused = paused;
    if (paused) this.#hold();
    else this.#release();
  }

  /** Moves the focus by lines. */
  move(by) {
    const links = [...this.#list.querySelectorAll("a.line")];
    const at = links.indexOf(document.activeElement);
    this.#focus(links[at === -1 ? 0 : Math.min(Math.max(0, at + by), links.length - 1)]);
  }

  #focus(link) {
    if (!link) return;
    for (const each of this.#list.querySelectorAll('a.line[tabindex="0"]')) each.tabIndex = -1;
    link.tabIndex = 0;
    link.focus({ preventScroll: true });
    link.scrollIntoView({ block: "nearest" });
  }

  #key(event) {
    const links = [...this.#list.querySelectorAll("a.line")];
    const to = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (to) this.move(to);
    else if (event.key === "Home") this.#focus(links[0]);
    else if (event.key === "End") this.#focus(links.at(-1));
    else return;
    event.preventDefault();
  }

  #live({ row, id, size }) {
    const shown = row === null || this.#parts.some((part) => passes(row, { ...this.#filter, ...part })) || this.#model.has(row);
    if (!shown || this.#rows.some((known) => known.id === id)) return undefined;
    // Rows may arrive before the event of a scroll does.
    if (scrollY > TOP) this.#hold();
    if (this.#rows.length >= MOST_ROWS && !this.#mayTrim()) {
      // What is read must not move: newer rows are read again when the list is released.
      this.#missed++;
      return this.#later();
    }
    this.#rows.push(row ? compact(row) : { id, size });
    if (this.#rows.length > LIVE_ROWS * 1.2 && this.#mayTrim()) {
      this.#rows = this.#rows.slice(-LIVE_ROWS);
      this.#next = this.#rows[0].id;
      this.#rebuild();
      this.#stale = true;
    } else {
      const step = this.#model.add(row, id, size);
      this.#stale ||= this.#upTo === null || step.first <= this.#upTo;
    }
    return this.#later();
  }

  /** Older requests that were loaded stay only while they can be seen. */
  #mayTrim() {
    return this.#upTo === null && scrollY < TOP;
  }

  #rebuild() {
    this.#model = new Requests(MOST_ROWS);
    for (const row of this.#rows) this.#model.add(row.kind ? row : null, row.id, row.size ?? 0);
  }

  #scrolled() {
    if (scrollY > TOP) this.#hold();
    else if (!this.#paused && this.#upTo !== null) this.#release();
  }

  #hold() {
    this.#upTo ??= this.#rows.at(-1)?.id ?? 0;
  }

  #release() {
    if (this.#paused) return;
    [this.#upTo, this.#most] = [null, LINES];
    if (scrollY > TOP) scrollTo({ top: 0 });
    if (this.#missed > 0) this.show(this.#filter, { parts: this.#parts, local: this.#local });
    else this.#draw();
  }

  #later() {
    this.#timer ||= setTimeout(() => {
      this.#timer = 0;
      // While the list is held, most rows change no line of it.
      if (this.#stale) this.#draw();
      else this.#drawPill(this.#shownSteps());
    }, DRAW_EVERY);
  }

  #shownSteps() {
    return this.#model.all.filter((step) => this.#local(step)).sort((a, b) => b.first - a.first);
  }

  /** Shows how many requests wait above the list, and returns the others. */
  #drawPill(all) {
    const steps = this.#upTo === null ? all : all.filter((step) => step.first <= this.#upTo);
    const waiting = all.length - steps.length + this.#missed;
    this.#pill.hidden = waiting === 0;
    if (waiting > 0) this.#pill.textContent = tn("feed.new", waiting);
    return steps;
  }

  #draw() {
    const all = this.#shownSteps();
    const steps = this.#drawPill(all);
    this.#stale = false;
    const drawn = new Map();
    const elements = [];
    let [lastDay, focused] = ["", this.#list.contains(document.activeElement) ? document.activeElement.dataset.request : null];
    const groups = fold(steps, this.#unfolded);
    this.#undrawn = groups.length > this.#most;
    for (const group of groups.slice(0, this.#most)) {
      const name = day(group[0].ts);
      if (name !== lastDay) elements.push(h("li", { class: "day" }, name));
      lastDay = name;
      const key = group.at(-1).first;
      const signature = group.map((step) => `${step.last}${step.outcome}${step.result.length}`).join();
      let line = this.#lines.get(key);
      if (line?.signature !== signature) {
        const unfold = () => {
          for (const step of group) this.#unfolded.add(step.first);
          this.#draw();
        };
        line = { signature, element: requestLine(group[0], group.length, unfold) };
      }
      drawn.set(key, line);
      elements.push(line.element);
    }
    this.#lines = drawn;
    reconcile(this.#list, elements);
    if (focused && document.activeElement === document.body) this.#list.querySelector(`[data-request="${focused}"]`)?.focus({ preventScroll: true });
    const first = this.#list.querySelector('a.line[tabindex="0"]') ?? this.#list.querySelector("a.line");
    if (first) first.tabIndex = 0;
    this.#older.hidden = !this.#undrawn && (this.#next === null || this.#next === undefined);
    fill(this.#note, this.#full && !this.#undrawn ? h("p", { class: "muted loading" }, t("feed.full")) : steps.length === 0 && this.#older.hidden ? this.#emptyText() : null);
    // Observed anew, it reports an end that is still in view.
    this.#end.disconnect();
    this.#end.observe(this.#older);
    this.#session.trail = steps.map((step) => step.first);
    this.#onDrawn(steps);
  }
}

/** Groups of equal neighbors, except those that were unfolded. Exceptions of one action and rule are equal whatever their payload. */
function fold(steps, unfolded) {
  const groups = [];
  let last = null;
  for (const step of steps) {
    const key = unfolded.has(step.first) ? null : [step.rows[0].kind, step.outcome, step.agent, step.principal, step.tool, (isException(step) && step.action) || step.request, decidedBy(step)].join("\n");
    if (key !== null && key === last) groups.at(-1).push(step);
    else groups.push([step]);
    last = key;
  }
  return groups;
}
