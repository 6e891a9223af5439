// The verdict of each gate about a request, as far as its row states it.

import { chip, h, table } from "../lib/dom.js";
import { number, t, word } from "../lib/i18n.js";
import { to } from "../lib/router.js";
import { line } from "../lib/text.js";

/** The gates in the order in which they judge. */
const ORDER = ["kill_switch", "rate", "tools", "command", "risk", "paths", "rules", "opa"];

/** A table of verdicts. `step` is the request, `data` the row that decided. */
export function gatesPanel(step, data) {
  const findings = Array.isArray(data.findings) ? data.findings : [];
  const denying = step.outcome === "denied" || step.outcome === "asked" ? step.gate : null;
  const known = ORDER.filter((gate) => gate === "opa" ? findings.some((finding) => finding.gate === gate) || denying === gate : true);
  const gates = denying && !known.includes(denying) ? [...known, denying] : known;
  const at = denying ? gates.indexOf(denying) : -1;
  const rows = gates.map((gate, index) => {
    const found = findings.filter((finding) => finding.gate === gate);
    return [h("span", { class: "gate-name" }, word("gate", gate)), verdict(gate, index, at, found, step), detail(gate, gate === denying ? step : null, found)];
  });
  return h("section", { class: "panel" }, h("h2", {}, t("request.gates")), table(t("request.gates"), [t("gates.gate"), t("request.verdict"), t("request.why")], rows));
}

function verdict(gate, index, at, found, step) {
  if (index === at) return chip(step.outcome === "asked" ? "warn" : "bad", t(step.outcome === "asked" ? "verdict.asked" : "verdict.denied"));
  if (at !== -1 && index > at && found.length === 0) return h("span", { class: "muted" }, t("verdict.not_reached"));
  if (found.some(({ effect }) => effect === "observe" || effect === "deny")) return chip("warn", t("verdict.observed"));
  return h("span", { class: "passed" }, t("verdict.passed"));
}

function detail(gate, denied, found) {
  const rule = denied?.rule ? h("a", { href: to("policy", "", { rule: denied.rule }) }, h("code", {}, denied.rule)) : null;
  const reason = denied?.reason ? word("reason", denied.reason) : null;
  const others = [...new Map(found.map((finding) => [`${finding.rule} ${finding.effect}`, finding])).values()].filter((finding) => finding.rule !== denied?.rule).slice(0, 8)
    .map((finding) => h("span", { class: "pair" }, h("code", {}, line(finding.rule, 80)), " ", h("small", { class: "muted" }, `${word("category", finding.category)} · ${word("effect", finding.effect)}`)));
  const all = [reason ? [reason, rule ? " " : ""] : null, rule, others.length > 0 && rule ? " " : null, others];
  return all.flat().some(Boolean) ? all : h("span", { class: "muted" }, "–");
}

/** Where the time of a request went, as one bar; null without times. */
export function timingBar(timing) {
  const total = Number(timing?.elapsed_us);
  if (!total) return null;
  const gates = Math.min(Number(timing.gates_us) || 0, total);
  const model = Math.min(Number(timing.model_us) || 0, total - gates);
  const parts = [["gates", gates], ["model", model], ["rest", total - gates - model]].filter(([, value]) => value > 0);
  return h("div", { class: "timing" },
    h("div", { class: "timing-bar", "aria-hidden": "true" }, parts.map(([name, value]) => grown(h("span", { class: `t-${name}` }), value / total))),
    h("ul", { class: "legend" }, parts.map(([name, value]) => h("li", {}, h("span", { class: `swatch t-${name}`, "aria-hidden": "true" }), t(`timing.${name}`), h("b", {}, microseconds(value))))));
}

/** The part of the bar that belongs to a value. */
function grown(element, share) {
  element.style.flexGrow = String(Math.max(0.01, share));
  return element;
}

/** Microseconds as a person reads them. */
export function microseconds(value) {
  if (value < 1000) return `${number(value)} µs`;
  return value < 1e6 ? `${number(value / 1000, value < 10_000 ? 1 : 0)} ms` : `${number(value / 1e6, 1)} s`;
}
