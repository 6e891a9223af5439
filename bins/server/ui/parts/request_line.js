// One request as one line. Routine recedes; a denial, a failure or a request that waits stands out.

import { chip, h } from "../lib/dom.js";
import { clock, milliseconds, number, signed, t, tn, word } from "../lib/i18n.js";
import { icon } from "../lib/icons.js";
import { to } from "../lib/router.js";
import { isException } from "../record/requests.js";

export const TONE = { allowed: "good", observed: "warn", asked: "warn", denied: "bad", failed: "bad", note: "plain" };
const MARK = { allowed: "check", observed: "warn", asked: "clock", denied: "bad", failed: "bad", note: "check" };

/** The result of a request, in words. */
export function resultText(step) {
  return step.result.map((part) => {
    if (part.tooLong !== undefined) return t("feed.too_long", { size: number(part.tooLong / 1e6, 1) });
    if (part.faults !== undefined) return tn("feed.faults", part.faults);
    if (part.event) return word("event", part.event);
    if (part.finished) return [t(part.error ? "feed.tool_failed" : "feed.tool_done"), part.duration === null ? "" : milliseconds(part.duration)].filter(Boolean).join(", ");
    if (part.decision) return `${part.plan} ${word("decision", part.decision)}`;
    if (part.plan) return `${part.plan} +${part.stats?.added ?? 0} −${part.stats?.removed ?? 0}`;
    const deltas = Object.entries(part.deltas ?? {}).slice(0, 8).map(([name, by]) => `${word("vital", name)} ${signed(Number(by) || 0)}`);
    if (part.outcome) return [word("roll", part.outcome), ...deltas].join(", ");
    if (part.withheld) return t("feed.withheld");
    if (part.fallback) return t("feed.fallback");
    if (part.refused) return tn("feed.refused", part.refused);
    if (part.act && part.byModel) return [part.act, ...deltas].join(" ");
    if (part.act) return deltas.join(", ");
    return part.text ?? "";
  }).filter(Boolean).join(" · ");
}

/** The gate and rule behind a decision; empty for routine. */
export function decidedBy(step) {
  if (step.outcome === "denied" || step.outcome === "asked") return step.rule || (step.reason ? word("reason", step.reason) : step.gate) || "";
  return step.wouldDeny[0] ?? "";
}

/** The decision as a chip, and the rule behind it. */
export function decision(step) {
  const rule = decidedBy(step);
  return [chip(TONE[step.outcome], t(`outcome.${step.outcome}`)), rule ? h("code", { class: "rule" }, rule) : null];
}

/** The line: a link to the request's page. `folded` is the number of equal requests that it stands for. */
export function requestLine(step, folded, onUnfold) {
  const stands = isException(step);
  const result = resultText(step);
  const kind = step.tool && step.kind === "tool" ? step.tool : word("kind", step.kind);
  const link = h("a", { class: "line", href: to("requests", String(step.first)), tabindex: "-1", data: { request: step.first } },
    h("span", { class: `mark ${TONE[step.outcome]}` }, icon(MARK[step.outcome])),
    h("time", { datetime: step.ts.toISOString?.() ?? null }, clock(step.ts)),
    h("span", { class: "who" }, step.agent ? h("bdi", {}, step.agent) : h("bdi", { class: "caller" }, step.principal ?? "")),
    h("span", { class: "kind" }, kind),
    h("span", { class: "what", dir: "auto" }, h("bdi", {}, step.request || (stands ? "" : result))),
    h("span", { class: "verdict" }, stands ? decision(step) : h("span", { class: "unseen" }, t(`outcome.${step.outcome}`)),
      h("bdi", { class: "came" }, stands || step.request ? result : "")),
    h("span", { class: "took" }, step.elapsed && step.elapsed > 1000 ? milliseconds(step.elapsed / 1000) : ""));
  const total = folded > 1 ? folded : step.count > 1 ? step.count : 0;
  const times = folded > 1
    ? h("button", { type: "button", class: "times", title: t("feed.unfold"), "aria-label": t("feed.unfold_n", { n: number(folded) }), on: { click: onUnfold } }, `×${number(folded)}`)
    : total > 1 ? h("span", { class: "times", title: t("feed.stands_for", { n: number(total) }) }, `×${number(total)}`) : null;
  return h("li", { class: `${stands ? `stands ${TONE[step.outcome]}` : "routine"}${times ? " folded" : ""}` }, link, times);
}
