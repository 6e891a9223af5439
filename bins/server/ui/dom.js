// Elements without markup: text becomes text nodes, and there is no other way in.

/**
 * An element. `props`: `class`, `on` (event → listener), `data`, `value`, `checked`, `open`; every
 * other one is an attribute, left out when it is null or false. Children are nodes, texts, or lists.
 */
export function h(tag, props = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (name === "on") {
      for (const [event, listener] of Object.entries(value)) element.addEventListener(event, listener);
    } else if (name === "data") {
      Object.assign(element.dataset, value);
    } else if (["value", "checked", "open", "disabled"].includes(name)) {
      element[name] = value;
    } else if (value !== null && value !== undefined && value !== false) {
      element.setAttribute(name, value === true ? "" : value);
    }
  }
  element.append(...nodes(children));
  return element;
}

/** Puts children in the place of those that an element has. */
export function fill(element, ...children) {
  element.replaceChildren(...nodes(children));
  return element;
}

function nodes(children) {
  return children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false);
}

let ids = 0;

/** A label above its control. */
export function field(label, control, hint) {
  control.id ||= `field-${++ids}`;
  const described = hint ? h("small", { id: `${control.id}-hint`, class: "muted" }, hint) : null;
  if (described) control.setAttribute("aria-describedby", described.id);
  return h("div", { class: "field" }, h("label", { for: control.id }, label), control, described);
}

/** A choice out of `[value, text]` pairs. */
export function select(options, chosen, onChange) {
  const list = options.map(([value, text]) => h("option", { value, selected: value === chosen }, text));
  return h("select", { on: { change: (event) => onChange?.(event.target.value) } }, list);
}

/** A short fact with a colour: `good`, `warn`, `bad` or `plain`. The text says it too. */
export function chip(tone, text) {
  return h("span", { class: `chip ${tone}` }, text);
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
  return h("dl", { class: "facts" }, pairs.filter(([, value]) => value !== null && value !== undefined)
    .map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))));
}
