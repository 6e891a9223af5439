// Keys and usage: what each key, agent and model used and cost, and what this key may do.

import { get } from "../lib/api.js";
import { chip, empty, facts, failure, fill, h, panel, segments, select, table } from "../lib/dom.js";
import { dollars, moment, number, t } from "../lib/i18n.js";
import { replace, to } from "../lib/router.js";
import { line } from "../lib/text.js";

const BY = ["principal", "agent", "model"];
const DAYS = [1, 7, 30, 90];

export function usage(session, argument, params) {
  const stop = new AbortController();
  let [by, days] = [BY.includes(params.by) ? params.by : "principal", DAYS.includes(Number(params.days)) ? Number(params.days) : 1];
  const place = h("div", {}, h("p", { class: "muted loading" }, t("loading")));
  const period = select(DAYS.map((n) => [String(n), t(`usage.days_${n}`)]), String(days), (value) => {
    days = Number(value);
    read();
  });
  period.setAttribute("aria-label", t("usage.period"));
  let asked = 0;

  async function read() {
    const mine = ++asked;
    replace(to("usage", "", { by: by === "principal" ? "" : by, days: days === 1 ? "" : days }));
    try {
      const since = days === 1 ? midnight() : new Date(Date.now() - days * 86_400_000).toISOString();
      const report = await get("usage", { by, since }, stop.signal);
      if (mine === asked) fill(place, reportTable(report, by));
    } catch (error) {
      if (error.name !== "AbortError") fill(place, failure(error));
    }
  }

  read();
  return {
    element: h("div", { class: "stack" },
      h("section", { class: "panel" }, h("div", { class: "panel-head" }, segments(t("usage.by"), BY.map((name) => [name, t(`usage.by_${name}`)]), by, (value) => {
        by = value;
        read();
      }), period), place),
      keyPanel(session), session.me.scopes.includes("operate") ? keysPanel(stop.signal) : null),
    destroy: () => stop.abort(),
  };
}

/** The start of the day in UTC, where budgets begin as well. */
function midnight() {
  return `${new Date().toISOString().slice(0, 10)}T00:00:00Z`;
}

function reportTable({ usage: entries, total }, by) {
  if (entries.length === 0) return empty(t("usage.none"), t("usage.none_about"));
  const most = Math.max(1, ...entries.map((entry) => entry.total_tokens));
  const link = (name) => {
    if (name === null || name === "") return h("span", { class: "muted" }, t("usage.no_name"));
    const href = by === "agent" ? to("agents", name) : by === "principal" ? to("activity", "", { caller: name, show: "chat" }) : to("activity", "", { q: name, show: "chat" });
    return h("a", { href }, h("bdi", {}, line(name, 100)));
  };
  const cells = (entry) => [number(entry.calls), number(entry.prompt_tokens), number(entry.completion_tokens), number(entry.total_tokens), dollars(entry.cost)];
  const rows = [...entries].sort((a, b) => b.total_tokens - a.total_tokens).map((entry) => [
    h("span", { class: "usage-name" }, link(entry.name), h("meter", { min: 0, max: most, value: entry.total_tokens, "aria-hidden": "true" })), ...cells(entry)]);
  rows.push([h("b", {}, t("usage.total")), ...cells(total).map((text) => h("b", {}, text))]);
  const unpriced = entries.some((entry) => entry.cost === null);
  return [
    table(t("usage.title"), [t(`usage.by_${by}`), t("usage.calls"), t("health.prompt"), t("health.completion"), t("usage.tokens"), t("usage.cost")], rows, [1, 2, 3, 4, 5]),
    unpriced ? h("p", { class: "muted" }, t("usage.unpriced")) : null,
  ];
}

/** Every key that the service accepts; for operators. */
function keysPanel(signal) {
  const place = h("div", {}, h("p", { class: "muted loading" }, t("loading")));
  get("keys", {}, signal).then(
    ({ keys }) => fill(place, keysTable(keys)),
    (error) => { if (error.name !== "AbortError") fill(place, failure(error)); });
  return panel(t("usage.keys"), place, h("p", { class: "muted" }, t("usage.keys_about")));
}

function keysTable(keys) {
  const rows = keys.map((key) => [
    h("a", { href: to("activity", "", { caller: key.principal }) }, h("bdi", {}, line(key.principal, 100))),
    key.person ? h("bdi", {}, line(key.person, 100)) : "–",
    t(`usage.source_${key.source}`),
    h("span", {}, key.scopes.map((scope) => [chip("plain", scope), " "])),
    key.agents ? h("code", {}, key.agents.join(", ")) : t("usage.all_agents"),
    key.expired ? chip("bad", t("usage.expired")) : key.expires ? moment(new Date(key.expires)) : t("usage.never"),
    key.last_used ? moment(new Date(key.last_used)) : t("usage.not_used"),
  ]);
  return table(t("usage.keys"), ["name", "person", "source", "scopes", "agents", "expires", "last_used"].map((name) => t(`usage.${name}`)), rows);
}

/** What the key of this page may do. */
function keyPanel({ me }) {
  const { limits } = me;
  const limit = (value, text) => (value > 0 ? t(text, { n: number(value) }) : t("usage.no_limit"));
  return panel(t("usage.your_key"), facts([
    [t("usage.name"), h("bdi", {}, line(me.principal, 100))],
    [t("usage.person"), me.person ? h("bdi", {}, line(me.person, 100)) : null],
    [t("usage.scopes"), h("span", {}, me.scopes.map((scope) => [chip("plain", scope), " "]))],
    [t("usage.agents"), me.agents ? h("code", {}, me.agents.join(", ")) : t("usage.all_agents")],
    [t("usage.expires"), me.expires ? moment(new Date(me.expires)) : t("usage.never")],
    [t("usage.rate_agent"), limit(limits.rate_limit_rps, "usage.per_second")],
    [t("usage.rate_key"), limit(limits.rate_limit_principal_rps, "usage.per_second")],
    [t("usage.new_agents"), limit(limits.new_agents_per_minute, "usage.per_minute")],
  ]), (me.budget ?? []).map((budget) => h("div", { class: "budget" }, h("h3", {}, h("code", {}, line(budget.id, 100))), h("div", { class: "meters" }, budgetMeters(budget)))));
}

function budgetMeters(budget) {
  const all = [["tokens_per_day", budget.tokens_today, number], ["tokens_per_minute", budget.tokens_this_minute, number], ["requests_per_day", budget.requests_today, number], ["cost_per_day", budget.cost_today, dollars]];
  return all.filter(([name]) => budget.limits[name] !== null && budget.limits[name] !== undefined).map(([name, used, format]) => h("div", { class: "meter" }, h("span", {}, t(`budget.${name}`)),
    h("meter", { min: 0, max: Math.max(budget.limits[name], used, 1e-9), high: budget.limits[name] * 0.8, value: used, "aria-label": t(`budget.${name}`) }), h("b", {}, `${format(used)} / ${format(budget.limits[name])}`)));
}
