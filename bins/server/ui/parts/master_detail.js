// A list on the left and what was chosen on the right. On a phone, one replaces the other.

import { empty, failure, fill, h } from "../lib/dom.js";
import { t } from "../lib/i18n.js";
import { to } from "../lib/router.js";

/** From this width on, list and detail fit next to each other. */
const WIDE = 960;

/**
 * The view. `view` is its name in addresses; `load(before, signal)` returns `{items, next}`; `item(entry)` draws an
 * entry's lines and `key(entry)` names it; `detail(id, signal)` draws the right side.
 */
export function masterDetail({ view, label, load, item, key, detail, controls, none, chooseText, signal }) {
  let [listed, next, chosen, reading, drawing] = [[], null, null, 0, 0];
  const list = h("ul", { class: "pick", role: "list" });
  const status = h("div", { role: "status" });
  const side = h("div", { class: "detail" });
  const more = h("button", { type: "button", class: "quiet", hidden: true, on: { click: () => read(true) } }, t("feed.older"));
  const back = h("a", { class: "back", href: to(view) }, t("back"));
  const element = h("div", { class: "split" }, h("section", { class: "master", "aria-label": label }, controls, status, list, more), h("div", { class: "detail-side" }, back, side));

  async function read(onward = false) {
    const mine = ++reading;
    try {
      const page = await load(onward ? next : null, signal);
      if (mine !== reading) return;
      listed = onward ? [...listed, ...page.items] : page.items;
      next = page.next;
      more.hidden = next === null || next === undefined;
      draw();
    } catch (error) {
      if (error.name !== "AbortError") fill(status, failure(error));
    }
  }

  function draw() {
    fill(status, listed.length === 0 ? none() : null);
    const focused = list.contains(document.activeElement) ? document.activeElement.dataset.key : null;
    fill(list, listed.map((entry) => h("li", {}, h("a", { href: to(view, key(entry)), data: { key: key(entry) }, "aria-current": key(entry) === chosen ? "true" : null }, item(entry)))));
    if (focused) list.querySelector(`[data-key="${CSS.escape(focused)}"]`)?.focus({ preventScroll: true });
  }

  async function show(id, again = false) {
    // What is shown stays: a person may be writing a note to it.
    if (id && id === chosen && !again && !side.dataset.failed) return;
    chosen = id;
    const mine = ++drawing;
    element.classList.toggle("chosen", Boolean(id));
    draw();
    delete side.dataset.failed;
    if (!id) {
      fill(side, empty(chooseText));
      return;
    }
    try {
      const drawn = await detail(id, signal);
      if (mine === drawing) fill(side, drawn);
    } catch (error) {
      if (error.name === "AbortError" || mine !== drawing) return;
      side.dataset.failed = "true";
      fill(side, failure(error));
    }
  }

  function move(by) {
    const links = [...list.querySelectorAll("a")];
    const at = links.findIndex((link) => link === document.activeElement || (document.activeElement === document.body && link.dataset.key === chosen));
    links[at === -1 ? 0 : Math.min(Math.max(0, at + by), links.length - 1)]?.focus();
  }

  /** Shows what the address names; on a wide screen, the first entry opens by itself. */
  async function start(argument) {
    const shown = show(argument || null);
    await read();
    await shown;
    if (argument === "" && chosen === null && innerWidth > WIDE && listed.length > 0) show(key(listed[0]));
  }

  return { element, read, show, move, start, refresh: async (id) => {
    await Promise.all([read(), show(id, true)]);
    side.querySelector("h2")?.focus();
  } };
}

/** Calls `work` at most once in this many milliseconds. */
export function soon(work, signal, every = 500) {
  let timer = 0;
  signal.addEventListener("abort", () => clearTimeout(timer));
  return () => {
    timer ||= setTimeout(() => {
      timer = 0;
      work();
    }, every);
  };
}
