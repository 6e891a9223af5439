// One step in full: its raw rows, and each row's place in the chain.

import { chip, facts, fill, h } from "./dom.js";
import { decision, resultText } from "./feed.js";
import { neighbours } from "./history.js";
import { moment, number, t, tn, word } from "./i18n.js";
import { LONG, short } from "./text.js";

/** Rows of a step that are read again when it is opened. */
const MOST_ROWS = 12;
const FIRST = /^0{64}$/;

/** Opens the dialog; it closes with Escape, its button, or a click beside it. */
export function openDetail(step) {
  const rows = h("div", { class: "rows", "aria-live": "polite" }, h("p", { class: "muted" }, t("loading")));
  const close = h("button", { type: "button", class: "quiet", on: { click: () => dialog.close() } }, t("close"));
  const dialog = h("dialog", { class: "drawer", "aria-labelledby": "detail-title", on: {
    close: () => dialog.remove(),
    click: (event) => event.target === dialog && dialog.close(),
  } }, h("div", { class: "drawer-body" },
    h("header", {}, h("h2", { id: "detail-title" }, `${word("kind", step.kind)} #${step.first}`), close),
    facts([
      [t("detail.when"), moment(step.ts)],
      [t("detail.agent"), step.agent ? h("bdi", {}, step.agent) : null],
      [t("detail.principal"), h("bdi", {}, step.principal ?? "–")],
      [t("detail.request_id"), step.requestId ? h("code", {}, step.requestId) : null],
      [t("detail.gates"), h("span", {}, decision(step))],
      [t("detail.score"), step.findings > 0 || step.score > 0 ? `${number(step.score, 2)} (${tn("detail.findings", step.findings)})` : null],
      [t("detail.would_deny"), step.wouldDeny.length > 0 ? step.wouldDeny.join(", ") : null],
      [t("detail.asked"), step.request ? h("bdi", {}, step.request) : null],
      [t("detail.came"), resultText(step) ? h("bdi", {}, resultText(step)) : null],
    ]), rows));
  document.body.append(dialog);
  dialog.showModal();
  show(step, rows);
}

async function show(step, rows) {
  const parts = [];
  for (const { id } of step.rows.slice(0, MOST_ROWS)) {
    try {
      parts.push(one(id, await neighbours(id)));
    } catch (error) {
      parts.push(h("p", { class: "alert bad" }, error.message || t("error.unreachable")));
    }
  }
  const more = step.rows.length - parts.length;
  fill(rows, parts, more > 0 ? h("p", { class: "muted" }, tn("detail.more_rows", more)) : null);
}

function one(id, { before, row, after }) {
  if (!row) return h("p", { class: "alert warn" }, t("detail.pruned", { id }));
  const raw = JSON.stringify(row, null, 2);
  const note = raw.length > LONG ? h("p", { class: "muted" }, t("detail.cut", { size: number(raw.length) })) : null;
  return h("section", { class: "raw" },
    h("h3", {}, h("code", {}, `#${id} ${short(row.kind, 64)}`)),
    h("p", { class: "chain" }, chained(before, row), " ", h("code", { title: row.hash }, short(row.hash, 12)), " ", follows(row, after)),
    h("pre", { tabindex: "0", role: "region", "aria-label": t("detail.raw", { id }), dir: "ltr" }, short(raw, LONG)), note);
}

function chained(before, row) {
  if (!before) return chip("plain", FIRST.test(row.prev_hash) ? t("chain.first") : t("chain.before_pruned"));
  const whole = before.hash === row.prev_hash;
  return chip(whole ? "good" : "bad", t(whole ? "chain.follows" : "chain.broken", { id: before.id }));
}

function follows(row, after) {
  if (!after) return chip("plain", t("chain.newest"));
  const whole = after.prev_hash === row.hash;
  return chip(whole ? "good" : "bad", t(whole ? "chain.leads" : "chain.broken", { id: after.id }));
}
