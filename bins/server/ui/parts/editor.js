// A text area for a policy: line numbers, faults at their lines, and completion from the schema.

import { fill, freshId, h } from "../lib/dom.js";
import { t, tn } from "../lib/i18n.js";
import { line } from "../lib/text.js";
import { complete } from "./schema.js";

/** Options that are offered at a time. */
const MOST_OPTIONS = 12;
/** Pause after the last key before the text is validated, in milliseconds. */
const PAUSE = 500;

/**
 * The editor: `element`, `text`, `setText(text)`, `setFaults(faults)`, `focus()`. `onPause(text)` is called when typing
 * pauses; `schema` may arrive later through `setSchema`.
 */
export function editor({ label, onPause, signal }) {
  let [schema, faults, options, active, timer] = [null, [], [], -1, 0];
  const listId = freshId("options");
  const area = h("textarea", { class: "code editor-text", spellcheck: "false", autocapitalize: "off", autocomplete: "off", wrap: "off", rows: 24, "aria-label": label,
    "aria-autocomplete": "list", "aria-controls": listId, "aria-haspopup": "listbox" });
  const gutter = h("div", { class: "gutter", "aria-hidden": "true" });
  const list = h("ul", { id: listId, class: "options", role: "listbox", "aria-label": t("editor.options"), hidden: true });
  const problems = h("ul", { class: "problems" });
  const summary = h("p", { class: "editor-state", role: "status" });

  area.addEventListener("input", () => {
    draw();
    suggest(false);
    clearTimeout(timer);
    timer = setTimeout(() => onPause(area.value), PAUSE);
  });
  area.addEventListener("scroll", () => { gutter.scrollTop = area.scrollTop; });
  area.addEventListener("blur", () => close());
  area.addEventListener("click", () => close());
  area.addEventListener("keydown", (event) => key(event));
  signal.addEventListener("abort", () => clearTimeout(timer));

  function key(event) {
    if (event.key === " " && event.ctrlKey) {
      event.preventDefault();
      suggest(true);
    } else if (!list.hidden && ["ArrowDown", "ArrowUp"].includes(event.key)) {
      event.preventDefault();
      choose((active + (event.key === "ArrowDown" ? 1 : options.length - 1)) % options.length);
    } else if (!list.hidden && (event.key === "Enter" || event.key === "Tab") && active >= 0) {
      event.preventDefault();
      insert(options[active]);
    } else if (!list.hidden && event.key === "Escape") {
      event.preventDefault();
      event.stopPropagation();
      close();
    } else if (event.key === "Enter" && list.hidden) {
      // The next line begins where this one does.
      const before = area.value.slice(0, area.selectionStart);
      const current = before.slice(before.lastIndexOf("\n") + 1);
      const indent = /^\s*/.exec(current)[0] + (/^\s*- /.test(current) ? "  " : "") + (/:\s*$/.test(current) ? "  " : "");
      event.preventDefault();
      area.setRangeText(`\n${indent}`, area.selectionStart, area.selectionEnd, "end");
      area.dispatchEvent(new Event("input"));
    }
  }

  function suggest(asked) {
    if (!schema || area.selectionStart !== area.selectionEnd) return close();
    const found = complete(schema, area.value, area.selectionStart);
    options = asked || found.prefix !== "" ? found.options.slice(0, MOST_OPTIONS).map((option) => ({ ...option, prefix: found.prefix })) : [];
    if (options.length === 0) return close();
    fill(list, options.map((option, n) => h("li", { id: `${listId}-${n}`, role: "option", "aria-selected": "false", on: { mousedown: (event) => {
      event.preventDefault();
      insert(option);
    } } }, h("b", {}, option.text), option.about ? h("small", {}, line(option.about, 120)) : null)));
    place();
    list.hidden = false;
    choose(0);
    return undefined;
  }

  /** Puts the list below the line with the cursor. */
  function place() {
    const before = area.value.slice(0, area.selectionStart).split("\n");
    const style = getComputedStyle(area);
    const height = parseFloat(style.lineHeight);
    const top = parseFloat(style.paddingTop) + before.length * height - area.scrollTop + 4;
    const left = gutter.offsetWidth + parseFloat(style.paddingLeft) + Math.min(before.at(-1).length, 40) * parseFloat(style.fontSize) * 0.6 - area.scrollLeft;
    list.style.top = `${Math.min(top, area.offsetHeight)}px`;
    list.style.left = `${Math.max(0, Math.min(left, Math.max(0, area.offsetWidth - 220)))}px`;
  }

  function choose(index) {
    active = index;
    [...list.children].forEach((item, n) => item.setAttribute("aria-selected", String(n === index)));
    area.setAttribute("aria-activedescendant", `${listId}-${index}`);
    list.children[index]?.scrollIntoView({ block: "nearest" });
  }

  function insert(option) {
    const from = area.selectionStart - option.prefix.length;
    area.setRangeText(option.insert, from, area.selectionStart, "end");
    close();
    area.dispatchEvent(new Event("input"));
  }

  function close() {
    list.hidden = true;
    active = -1;
    area.removeAttribute("aria-activedescendant");
  }

  function draw() {
    const count = area.value.split("\n").length;
    const bad = new Set(faults.map((fault) => fault.line));
    fill(gutter, Array.from({ length: count }, (_, n) => h("div", { class: bad.has(n + 1) ? "bad" : null }, String(n + 1))));
    gutter.scrollTop = area.scrollTop;
  }

  function goTo(fault) {
    const lines = area.value.split("\n");
    const start = lines.slice(0, Math.max(0, (fault.line ?? 1) - 1)).reduce((sum, text) => sum + text.length + 1, 0);
    area.focus();
    area.setSelectionRange(start, start + (lines[(fault.line ?? 1) - 1]?.length ?? 0));
    area.scrollTop = Math.max(0, ((fault.line ?? 1) - 6) * parseFloat(getComputedStyle(area).lineHeight));
  }

  return {
    element: h("div", { class: "editor" }, h("div", { class: "editor-frame" }, gutter, area, list), summary, problems),
    get text() {
      return area.value;
    },
    setText(text) {
      area.value = text;
      area.setSelectionRange(0, 0);
      area.scrollTop = 0;
      draw();
    },
    setSchema(found) {
      schema = found;
    },
    /** Shows the faults; `state` is a sentence without faults, or null while it is not known. */
    setFaults(found, state) {
      faults = found;
      draw();
      fill(summary, faults.length > 0 ? h("span", { class: "bad-text" }, tn("feed.faults", faults.length)) : state);
      fill(problems, faults.slice(0, 100).map((fault) => h("li", {}, h("button", { type: "button", class: "problem", on: { click: () => goTo(fault) } },
        h("span", { class: "muted" }, fault.line ? `${fault.line}:${fault.column ?? 1}` : "–"), h("code", {}, line(fault.path, 200)), h("span", {}, line(fault.message, 600))))));
    },
    focus: () => area.focus(),
  };
}
