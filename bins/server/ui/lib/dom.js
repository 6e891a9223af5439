// Elements without markup: text becomes text nodes, and there is no other way in.

import { t } from "./i18n.js";

const SVG = "http://www.w3.org/2000/svg";
const PROPERTIES = ["value", "checked", "open", "disabled"];

/**
 * An element. `props`: `class`, `on` (event → listener), `data`, `value`, `checked`, `open`, `disabled`; every
 * other one is an attribute, left out when it is null or false. Children are nodes, texts, or lists.
 */
export function h(tag, props = {}, ...children) {
  return build(document.createElement(tag), props, children);
}

/** An element of a drawing. */
export function svg(tag, props = {}, ...children) {
  return build(document.createElementNS(SVG, tag), props, children);
}

function build(element, props, children) {
  for (const [name, value] of Object.entries(props)) {
    if (name === "on") {
      for (const [event, listener] of Object.entries(value)) element.addEventListener(event, listener);
    } else if (name === "data") {
      Object.assign(element.dataset, value);
    } else if (PROPERTIES.includes(name)) {
      element[name] = value;
    } else if (value !== null && value !== undefined && value !== false) {
      element.setAttribute(name, value === true ? "" : value);
    }
  }
  element.append(...nodes(children));
  return element;
}

/** Replaces the children of an element. */
export function fill(element, ...children) {
  element.replaceChildren(...nodes(children));
  return element;
}

/** Puts the elements into a list and moves only those that are not in their place. */
export function reconcile(list, elements) {
  const wanted = new Set(elements);
  for (const child of [...list.children]) if (!wanted.has(child)) child.remove();
  let at = list.firstChild;
  for (const element of elements) {
    if (element === at) at = at.nextSibling;
    else list.insertBefore(element, at);
  }
}

function nodes(children) {
  return children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false);
}

let ids = 0;

/** An id that the page does not have yet. */
export const freshId = (prefix) => `${prefix}-${++ids}`;

/** A label above its control. */
export function field(label, control, hint) {
  control.id ||= freshId("field");
  const described = hint ? h("small", { id: `${control.id}-hint`, class: "muted" }, hint) : null;
  if (described) control.setAttribute("aria-describedby", described.id);
  return h("div", { class: "field" }, h("label", { for: control.id }, label), control, described);
}

/** A choice out of `[value, text]` pairs. */
export function select(options, chosen, onChange) {
  const list = options.map(([value, text]) => h("option", { value, selected: value === chosen }, text));
  return h("select", { on: { change: (event) => onChange?.(event.target.value) } }, list);
}

/** Exclusive choices as a row of buttons. */
export function segments(label, options, chosen, onChange) {
  const buttons = options.map(([value, text]) => h("button", { type: "button", "aria-pressed": String(value === chosen), on: {
    click: ({ currentTarget }) => {
      buttons.forEach((button) => button.setAttribute("aria-pressed", String(button === currentTarget)));
      onChange(value);
    },
  } }, text));
  return h("div", { class: "segments", role: "group", "aria-label": label }, buttons);
}

/** A short fact with a color: `good`, `warn`, `bad` or `plain`. The text states the fact, too. */
export function chip(tone, text) {
  return h("span", { class: `chip ${tone}` }, text);
}

/** A message: `good`, `warn` or `bad`. */
export function alert(tone, ...text) {
  return h("p", { class: `alert ${tone}` }, text);
}

/** Why a call failed. Where the service did not respond, the page reads again when it does. */
export function failure(error) {
  return h("p", { class: `alert bad${error.status === 0 ? " unreachable" : ""}` }, error.message || t("error.unreachable"));
}

/** What a list shows while it is empty: a title and a sentence on what would fill it. */
export function empty(title, text, ...actions) {
  return h("div", { class: "empty" }, h("p", { class: "empty-title" }, title), text ? h("p", {}, text) : null, actions);
}

/** A table from heads and rows of cells; `numeric` names the columns that align right. */
export function table(caption, heads, rows, numeric = []) {
  const side = (column) => (numeric.includes(column) ? "num" : null);
  const head = heads.map((text, column) => h("th", { scope: "col", class: side(column) }, text));
  const body = rows.map((cells) => h("tr", {}, cells.map((cell, column) => h("td", { class: side(column) }, cell))));
  return h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": caption },
    h("table", { class: heads.length > 3 ? "wide" : null }, h("caption", { class: "unseen" }, caption), h("thead", {}, h("tr", {}, head)), h("tbody", {}, body)));
}

/** Name and value pairs. */
export function facts(pairs) {
  return h("dl", { class: "facts" }, pairs.filter(([, value]) => value !== null && value !== undefined && value !== "")
    .map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))));
}

/** A modal dialog with a heading; it leaves the page when it closes. */
export function openDialog(title, children, className = "") {
  const id = freshId("dialog");
  const dialog = h("dialog", { class: className || null, "aria-labelledby": id, on: { close: () => dialog.remove() } }, h("h2", { id }, title), children);
  document.body.append(dialog);
  dialog.showModal();
  return dialog;
}

/** A section with a heading. */
export function panel(title, ...children) {
  return h("section", { class: "panel" }, title ? h("h2", {}, title) : null, children);
}

/** A button that copies a text and says so. */
export function copyButton(label, done, text) {
  const button = h("button", { type: "button", class: "small", on: { click: async () => {
    try {
      await navigator.clipboard.writeText(typeof text === "function" ? text() : text);
      button.textContent = done;
      setTimeout(() => { button.textContent = label; }, 2000);
    } catch {
      // Without the clipboard the text is shown to be copied by hand.
      const area = h("textarea", { rows: 8, readonly: true, class: "code", "aria-label": label, value: typeof text === "function" ? text() : text });
      openDialog(label, [area]);
      area.select();
    }
  } } }, label);
  return button;
}
