// A policy played against the newest recorded requests: which decisions would change, and for which texts.

import { get, post } from "../lib/api.js";
import { alert, chip, failure, fill, h, select, table } from "../lib/dom.js";
import { number, t, tn } from "../lib/i18n.js";
import { to } from "../lib/router.js";
import { line } from "../lib/text.js";
import { row as readRow } from "../record/journal.js";
import { Requests } from "../record/requests.js";

/** Choices of how many rows are read, the newest. */
const DEPTHS = [1000, 10_000, 100_000];
/** Changed decisions whose texts are read. */
const MOST_TEXTS = 40;

/** The panel's controls and result: `element`. `text()` is the policy. */
export function backtest(text, signal) {
  let depth = DEPTHS[1];
  const result = h("div", { class: "stack tight backtest", "aria-live": "polite" });
  const choice = select(DEPTHS.map((rows) => [String(rows), t("policy.newest_rows", { n: number(rows) })]), String(depth), (value) => { depth = Number(value); });
  choice.setAttribute("aria-label", t("policy.depth"));
  const run = h("button", { type: "button", on: { click: async () => {
    run.disabled = true;
    fill(result, h("p", { class: "muted" }, t("loading")));
    try {
      const { id: head } = await get("journal/head", {}, signal);
      const answer = await post("policy/backtest", { policy: text(), after: Math.max(0, head - depth), limit: depth });
      fill(result, report(answer));
      await texts(answer, result, signal);
    } catch (error) {
      if (error.name !== "AbortError") fill(result, failure(error));
    } finally {
      run.disabled = false;
    }
  } } }, t("policy.backtest"));
  return { element: h("div", { class: "stack tight" }, h("div", { class: "row" }, run, choice), result) };
}

function report(answer) {
  const turned = [["now_denied", "bad"], ["now_allowed", "good"]].flatMap(([side, tone]) =>
    Object.entries(answer[side]).map(([rule, count]) => [chip(tone, t(`policy.${side}`)), h("code", {}, line(rule, 120)), number(count)]));
  const skipped = Object.values(answer.not_comparable).reduce((a, b) => a + b, 0);
  return [
    alert(answer.divergence_count > 0 ? "warn" : "good", tn("policy.turned", answer.divergence_count), " ",
      t("policy.compared", { decisions: number(answer.decisions), rows: number(answer.rows), skipped: number(skipped) })),
    turned.length > 0 ? table(t("policy.by_rule"), [t("policy.change"), t("gates.rule"), t("policy.times")], turned, [2]) : null,
  ];
}

/** Reads the requests whose decision would change, the newest first, and lists them with their texts. */
async function texts(answer, result, signal) {
  const changed = answer.divergences.filter(({ what }) => what === "decision").toReversed().slice(0, MOST_TEXTS);
  if (changed.length === 0) return;
  const rows = await Promise.all(changed.map(({ event_id: id }) => readRow(id, signal)));
  const lines = changed.map((found, n) => {
    const requests = new Requests();
    const step = rows[n] ? requests.add(rows[n], rows[n].id, 0) : null;
    return [h("a", { href: to("requests", String(found.event_id)) }, `#${found.event_id}`), h("bdi", {}, line(found.agent_id ?? step?.principal ?? "–", 64)),
      h("bdi", { class: "affected" }, step?.request ?? ""), change(found)];
  });
  result.append(table(t("policy.each"), [t("feed.row"), t("detail.agent"), t("feed.asked"), t("policy.change")], lines));
  const more = answer.divergence_count - lines.length;
  if (more > 0) result.append(h("p", { class: "muted" }, t("policy.more", { n: number(more) })));
}

function change({ recorded, now }) {
  return [h("span", { class: "muted" }, line(recorded, 120)), " → ", h("b", {}, line(now, 120))];
}
