// Policy: the active one with what its rules do, and an editor to change it through a plan.

import { get, post } from "../lib/api.js";
import { alert, chip, failure, field, fill, h, panel, segments, table } from "../lib/dom.js";
import { moment, number, t, word } from "../lib/i18n.js";
import { to } from "../lib/router.js";
import { line } from "../lib/text.js";
import { backtest } from "../parts/backtest.js";
import { diffView } from "../parts/diff_view.js";
import { editor } from "../parts/editor.js";
import { unifiedDiff } from "../parts/line_diff.js";
import { tryPanel } from "../parts/try_request.js";

const TABS = ["active", "edit", "try"];
const TONE = { deny: "bad", ask: "warn", observe: "warn", allow: "good", deny_severe: "bad", off: "plain" };
const DAY = 24 * 60;

export function policy(session, argument, params) {
  const stop = new AbortController();
  const body = h("div", { class: "stack" });
  const drawn = {};
  let tab = TABS.includes(argument) ? argument : "active";
  let rule = params.rule ?? null;

  const draw = () => {
    // A tab keeps what was typed while the view is open.
    drawn[tab] ??= { active: () => activePanel(session, rule, stop.signal), edit: () => editPanel(session, stop.signal), try: () => tryPanel() }[tab]();
    fill(body, drawn[tab]);
  };
  const tabs = h("div", {});
  const drawTabs = () => fill(tabs, segments(t("policy.views"), TABS.map((name) => [name, t(`policy.tab_${name}`)]), tab, (name) => { location.hash = to("policy", name); }));
  drawTabs();
  draw();
  return {
    head: tabs,
    element: body,
    show(next, given) {
      tab = TABS.includes(next) ? next : "active";
      if (given.rule && given.rule !== rule) {
        rule = given.rule;
        delete drawn.active;
      }
      drawTabs();
      draw();
    },
    destroy: () => stop.abort(),
  };
}

/** The active policy: its rules with what they decided in the last day. */
function activePanel(session, rule, signal) {
  const place = h("div", { class: "stack" }, h("p", { class: "muted loading" }, t("loading")));
  Promise.all([get("policy", {}, signal), session.may("read") ? get("activity", { minutes: DAY }, signal).catch(() => null) : null]).then(([active, activity]) => {
    fill(place, summaryPanel(session, active), rulesPanel(active.policy, activity, rule), categoriesPanel(active.policy, activity), causesPanel(activity));
    place.querySelector("tr.chosen")?.scrollIntoView({ block: "center" });
  }).catch((error) => {
    if (error.name !== "AbortError") fill(place, failure(error));
  });
  return place;
}

function summaryPanel(session, { path, version, hash, loaded_at: loaded, policy: document }) {
  const told = h("div", { role: "status" });
  const reload = h("button", { type: "button", class: "small", disabled: !session.may("policy"), title: session.may("policy") ? null : t("unavailable.scope", { key: session.me?.principal ?? "", scope: "policy" }), on: { click: async () => {
    try {
      const report = await post("policy/reload", {});
      fill(told, alert("good", t("policy.reloaded", { rules: report.rule_count, hash: report.policy_hash.slice(0, 12) })));
    } catch (error) {
      fill(told, failure(error));
    }
  } } }, t("policy.reload"));
  return panel(null, h("div", { class: "panel-head" }, h("h2", {}, t("policy.title_active")), reload),
    h("dl", { class: "facts columns" }, [
      [t("policy.file"), h("code", {}, line(path, 300))], [t("policy.loaded"), moment(new Date(loaded))], [t("policy.hash"), h("code", { class: "hash", title: hash }, hash)],
      [t("policy.version"), version], [t("policy.dirs"), h("code", {}, (document.allowed_dirs ?? []).map((dir) => line(dir, 120)).join(", "))], [t("policy.max_diff"), number(document.max_diff_lines ?? 0)],
    ].map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value)))), told);
}

function rulesPanel(document, activity, chosen) {
  const rules = document.rules ?? [];
  if (rules.length === 0) return panel(t("policy.rules"), h("p", { class: "muted" }, t("policy.no_rules")), h("div", {}, h("a", { class: "button small", href: to("policy", "edit") }, t("policy.add_rule"))));
  const denied = new Map((activity?.denied_by ?? []).map(({ decided_by: by, count }) => [by, count]));
  const observed = new Map((activity?.would_deny_by ?? []).map(({ rule, count }) => [rule, count]));
  const result = table(t("policy.rules"), [t("gates.rule"), t("gates.effect"), t("policy.last_day"), t("policy.about")], rules.map((rule) => {
    const count = activity ? denied.get(`rules/${rule.id}`) ?? observed.get(rule.id) ?? 0 : null;
    return [h("code", {}, line(rule.id, 64)), chip(TONE[rule.effect] ?? "plain", word("effect", rule.effect)),
      count > 0 ? h("a", { href: to("activity", "", { last: "24h", rule: rule.id }) }, number(count)) : count === null ? "–" : "0", line(rule.description ?? "", 300)];
  }), [2]);
  [...result.querySelectorAll("tbody tr")].forEach((row, n) => row.classList.toggle("chosen", rules[n].id === chosen));
  return panel(t("policy.rules"), result);
}

/** What denied most in the last day: rules, patterns and limits alike. */
function causesPanel(activity) {
  if (!activity || activity.denied_by.length === 0) return null;
  return panel(t("policy.causes"), table(t("policy.causes"), [t("gates.rule"), t("policy.reason"), t("policy.times")], activity.denied_by.slice(0, 15).map(({ reason, decided_by: by, count }) => [
    by ? h("code", {}, line(by, 120)) : "–", word("reason", reason),
    h("a", { href: to("activity", "", { last: "24h", outcome: "denied", ...(by?.includes("/") ? { rule: by.slice(by.indexOf("/") + 1) } : {}) }) }, number(count))]), [2]));
}

function categoriesPanel(document) {
  const categories = Object.entries(document.risk?.categories ?? {});
  return panel(t("policy.risk", { mode: word("mode", document.risk?.mode ?? "enforce") }), h("div", { class: "pairs" }, categories.map(([category, effect]) =>
    h("span", { class: "pair" }, word("category", category), " ", chip(TONE[effect] ?? "plain", word("effect", effect))))));
}

/** The editor with validation, difference, backtest and the way into a plan. */
function editPanel(session, signal) {
  let active = null;
  const may = session.may("policy");
  const area = editor({ label: t("policy.text"), signal, onPause: () => changed() });
  const difference = h("div", {});
  const test = backtest(() => area.text, signal);
  const save = saveForm(session, () => ({ text: area.text, path: active?.path ?? "policy/policy.yaml" }));
  const reset = h("button", { type: "button", class: "quiet small", on: { click: () => {
    area.setText(active?.text ?? "");
    changed();
  } } }, t("policy.reset"));
  let validation = 0;

  async function changed() {
    const mine = ++validation;
    drawDifference();
    if (!may) return;
    try {
      const { rule_count: rules } = await post("policy/validate", { text: area.text });
      if (mine === validation) area.setFaults([], t("policy.is_valid", { rules: number(rules) }));
    } catch (error) {
      if (mine !== validation) return;
      const faults = Array.isArray(error.details) ? error.details : [{ path: "", message: error.message || t("error.unreachable") }];
      area.setFaults(faults, null);
    }
  }

  function drawDifference() {
    const patch = active ? unifiedDiff(active.path, active.text, area.text) : "";
    fill(difference, patch ? diffView(patch) : h("p", { class: "muted" }, t("policy.no_changes")));
  }

  Promise.all([get("policy/text", {}, signal), fetch(new URL("../policy.schema.json", import.meta.url), { signal }).then((answer) => answer.json())]).then(([text, schema]) => {
    active = text;
    area.setSchema(schema);
    area.setText(text.text);
    save.setPath(text.path);
    changed();
  }).catch((error) => {
    if (error.name !== "AbortError") fill(difference, failure(error));
  });
  return h("div", { class: "stack" },
    may ? null : alert("warn", t("unavailable.scope", { key: session.me?.principal ?? "", scope: "policy" })),
    h("div", { class: "edit-columns" },
      h("section", { class: "panel" }, h("div", { class: "panel-head" }, h("h2", {}, t("policy.edit")), reset), h("p", { class: "muted" }, t("policy.edit_about")), area.element),
      h("div", { class: "stack" },
        panel(t("policy.difference"), difference),
        may ? panel(t("policy.backtest_title"), h("p", { class: "muted" }, t("policy.backtest_about")), test.element) : null,
        save.element)));
}

/** Saves the text as a plan for another person to review. */
function saveForm(session, current) {
  const intent = h("input", { required: true, maxlength: 1024, value: t("policy.intent"), autocomplete: "off" });
  const path = h("input", { required: true, maxlength: 1024, autocomplete: "off", spellcheck: "false" });
  const result = h("div", { role: "status" });
  const button = h("button", { type: "submit", class: "primary" }, t("policy.save"));
  const may = session.may("act");
  button.disabled = !may;
  const form = h("form", { on: { submit: async (event) => {
    event.preventDefault();
    button.disabled = true;
    try {
      fill(result, saved(await plan(intent.value.trim(), path.value.trim(), current())));
    } catch (error) {
      fill(result, failure(error));
    } finally {
      button.disabled = false;
    }
  } } }, field(t("plans.intent"), intent), field(t("policy.file"), path, t("policy.file_hint")), button, result);
  return { element: panel(t("policy.save_title"), h("p", { class: "muted" }, may ? t("policy.save_about") : t("unavailable.scope", { key: session.me?.principal ?? "", scope: "act" })), form), setPath: (given) => { path.value = given; } };
}

/** A plan that replaces the file, or creates it where it does not exist. */
async function plan(intent, path, { text }) {
  const body = (op) => ({ intent, context: "", target_paths: [path], edits: [{ op, path, content: text.endsWith("\n") ? text : `${text}\n` }] });
  try {
    return await post("plan", body("replace"));
  } catch (error) {
    if (error.status !== 422 && error.status !== 404) throw error;
    return post("plan", body("create"));
  }
}

function saved({ id }) {
  return alert("good", t("policy.saved"), " ", h("a", { href: to("plans", id) }, id));
}
