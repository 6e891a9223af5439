// The policy in force, and another one tried out: validated, or played against the record.

import { get, post } from "./api.js";
import { chip, facts, field, fill, h, table } from "./dom.js";
import { moment, number, t, tn, word } from "./i18n.js";
import { line, short } from "./text.js";

/** Rows of a backtest's table; the service reports a thousand. */
const MOST_ROWS = 200;

/** Two panels: `inForce` and `trial`. */
export function policyPanel() {
  const shown = h("div", {}, h("p", { class: "muted" }, t("loading")));
  const told = h("div", { role: "status" });
  const path = h("input", { autocomplete: "off", spellcheck: "false", placeholder: "policies/valid.yaml" });
  const reload = h("form", { class: "row", on: { submit: (event) => {
    event.preventDefault();
    run(told, async () => {
      const given = path.value.trim();
      const report = await post("policy/reload", given ? { path: given } : {});
      await read();
      return h("p", { class: "alert good" }, t("policy.reloaded", { rules: report.rule_count, hash: report.policy_hash.slice(0, 12) }));
    });
  } } }, field(t("policy.path"), path, t("policy.path_hint")), h("button", { type: "submit" }, t("policy.reload")));

  async function read() {
    try {
      fill(shown, inForce(await get("policy")));
    } catch (error) {
      fill(shown, problem(error));
    }
  }
  read();
  return {
    inForce: h("section", { class: "panel" }, h("h2", {}, t("policy.title")), shown, reload, told),
    trial: trial(),
  };
}

function inForce({ path, version, hash, loaded_at: loaded, policy }) {
  const risk = Object.entries(policy.risk?.categories ?? {})
    .map(([category, effect]) => h("span", { class: "pair" }, word("category", category), " ", chip({ deny: "bad", observe: "warn" }[effect] ?? "plain", word("effect", effect))));
  const rules = (policy.rules ?? []).map((rule) => [
    h("code", {}, line(rule.id, 64)), chip({ deny: "bad", observe: "warn" }[rule.effect] ?? "good", word("effect", rule.effect)), line(rule.description ?? "", 300)]);
  return [
    facts([
      [t("policy.file"), h("code", {}, line(path, 300))], [t("policy.version"), version], [t("policy.loaded"), moment(new Date(loaded))],
      [t("policy.hash"), h("code", { class: "hash" }, hash)],
      [t("policy.dirs"), h("code", {}, (policy.allowed_dirs ?? []).map((dir) => line(dir, 120)).join(", "))],
      [t("policy.max_diff"), number(policy.max_diff_lines ?? 0)],
      [t("policy.risk", { mode: word("mode", policy.risk?.mode ?? "enforce") }), risk],
    ]),
    rules.length > 0 ? table(t("policy.rules"), [t("gates.rule"), t("gates.effect"), t("policy.about")], rows(rules)) : null,
    h("details", {}, h("summary", {}, t("policy.whole")), h("pre", { tabindex: "0", role: "region", "aria-label": t("policy.whole") }, short(JSON.stringify(policy, null, 2), 65536))),
  ];
}

const rows = (all) => all.slice(0, MOST_ROWS);

function trial() {
  const text = h("textarea", { rows: 10, spellcheck: "false", class: "code", required: true, placeholder: 'version: "1"\nallowed_dirs:\n  - plans' });
  const result = h("div", { class: "answer", "aria-live": "polite" });
  const validate = h("button", { type: "submit", class: "primary" }, t("policy.validate"));
  const backtest = h("button", { type: "submit", value: "backtest" }, t("policy.backtest"));
  const form = h("form", { on: { submit: (event) => {
    event.preventDefault();
    if (event.submitter === backtest) run(result, async () => report(await post("policy/backtest", { policy: text.value })), backtest);
    else run(result, async () => {
      const answer = await post("policy/validate", { text: text.value });
      return h("p", { class: "alert good" }, t("policy.valid", { rules: answer.rule_count, hash: answer.policy_hash.slice(0, 12) }));
    }, validate);
  } } }, field(t("policy.text"), text), h("div", { class: "row" }, validate, backtest));
  return h("section", { class: "panel" }, h("h2", {}, t("policy.trial")), h("p", { class: "muted" }, t("policy.trial_about")), form, result);
}

async function run(place, work, button = null) {
  if (button) button.disabled = true;
  fill(place, h("p", { class: "muted" }, t("loading")));
  try {
    fill(place, await work());
  } catch (error) {
    fill(place, problem(error));
  } finally {
    if (button) button.disabled = false;
  }
}

/** An error, with its faults as a table where it has some. */
function problem(error) {
  const faults = (Array.isArray(error.details) ? error.details : []).map((fault) => [
    fault.line ? `${fault.line}:${fault.column}` : "–", h("code", {}, line(fault.path, 200)), line(fault.message, 600)]);
  return [
    h("p", { class: "alert bad" }, error.message || t("error.unreachable")),
    faults.length > 0 ? table(tn("feed.faults", faults.length), [t("policy.line"), t("gates.field"), t("policy.fault")], rows(faults), [0]) : null,
  ];
}

function report(answer) {
  const turned = [["now_denied", "bad"], ["now_allowed", "good"]].flatMap(([side, tone]) =>
    Object.entries(answer[side]).map(([rule, count]) => [chip(tone, t(`policy.${side}`)), h("code", {}, line(rule, 120)), number(count)]));
  const each = answer.divergences.map((found) => [
    `#${found.event_id}`, h("bdi", {}, line(found.agent_id ?? "–", 64)), line(found.recorded, 200), line(found.now, 200)]);
  const skipped = Object.values(answer.not_comparable).reduce((a, b) => a + b, 0);
  return [
    h("p", { class: `alert ${answer.divergence_count > 0 ? "warn" : "good"}` },
      tn("policy.turned", answer.divergence_count), " ", t("policy.compared", { decisions: number(answer.decisions), rows: number(answer.rows), skipped: number(skipped) })),
    turned.length > 0 ? table(t("policy.by_rule"), [t("policy.change"), t("gates.rule"), t("policy.times")], rows(turned), [2]) : null,
    each.length > 0 ? table(t("policy.each"), [t("feed.row"), t("feed.agent"), t("policy.recorded"), t("policy.now")], rows(each)) : null,
    each.length > MOST_ROWS ? h("p", { class: "muted" }, t("policy.more", { n: number(answer.divergence_count - MOST_ROWS) })) : null,
  ];
}
