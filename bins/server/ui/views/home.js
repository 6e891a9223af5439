// Home: what needs a person, then the last hour at a glance.

import { get, post } from "../lib/api.js";
import { alert, empty, failure, fill, h } from "../lib/dom.js";
import { ago, milliseconds, moment, number, t, tn, word } from "../lib/i18n.js";
import { icon } from "../lib/icons.js";
import { to } from "../lib/router.js";
import { line } from "../lib/text.js";
import { bars, ranking } from "../parts/bars.js";
import { openKillSwitch } from "../parts/kill_switch.js";
import { row as readRow } from "../record/journal.js";
import { Requests, summaryText } from "../record/requests.js";

const EVERY = 15_000;
const MINUTES = 60;
/** Denials are unusual at this many times the usual number, and at least at this count. */
const [TIMES, LEAST] = [3, 10];
/** Entries of each kind that are listed one by one. */
const EACH = 3;

export function home(session) {
  const stop = new AbortController();
  const attention = h("section", { class: "attention", "aria-label": t("home.attention") });
  const hour = h("div", { class: "stack" }, h("p", { class: "muted loading" }, t("loading")));
  let [report, model, ready, problem] = [null, null, null, null];
  /** The slowest requests by their row. */
  let slowest = new Map();

  async function read() {
    const part = (promise) => promise.catch((error) => {
      if (error.name === "AbortError") throw error;
      return { error };
    });
    try {
      const [activity, status, readiness] = await Promise.all([
        // A denied attempt would be recorded each time.
        session.may("read") ? part(get("activity", { minutes: MINUTES }, stop.signal)) : null, part(get("llm/status", {}, stop.signal)), part(get("readyz", {}, stop.signal)),
      ]);
      [report, problem] = activity?.error ? [null, activity.error] : [activity, null];
      [model, ready] = [status.error ? null : status, readiness];
      draw();
      if (report && await nameSlowest(report.slowest)) draw();
    } catch {
      // The view was left.
    }
  }

  /** Reads the rows of the slowest requests; whether there are new ones. */
  async function nameSlowest(found) {
    const unknown = found.filter(({ event_id: id }) => !slowest.has(id));
    const rows = await Promise.all(unknown.map(({ event_id: id }) => readRow(id, stop.signal)));
    const named = rows.filter(Boolean).map((row) => [row.id, new Requests().add(row, row.id, 0)]);
    slowest = new Map([...slowest, ...named].filter(([id]) => found.some(({ event_id: other }) => other === id)));
    return named.length > 0;
  }

  function draw() {
    drawAttention();
    if (problem) fill(hour, failure(problem));
    else if (!session.may("read")) fill(hour, alert("warn", t("unavailable.scope", { key: session.me?.principal ?? "", scope: "read" })));
    else if (report) fill(hour, lastHour(report, slowest));
  }

  function drawAttention() {
    const items = attentionItems(session, report, model, ready);
    if (problem?.status === 0) items.unshift({ tone: "bad", icon: "bad", title: t("error.unreachable"), text: [t("home.unreachable_about")], href: to("health") });
    const links = () => [...attention.querySelectorAll(".item-main")];
    const focused = links().indexOf(document.activeElement);
    fill(attention, h("h2", {}, t("home.attention"), items.length > 0 ? h("span", { class: "badge" }, number(items.length)) : null),
      items.length > 0 ? h("ul", { class: "items" }, items.map((item) => itemLine(item))) : !session.whole ? h("p", { class: "alert warn" }, t("home.partly")) : empty(t("home.clear"), t("home.clear_about"), icon("check", "big good")));
    // What had the focus was replaced.
    if (focused !== -1) links()[Math.min(focused, items.length - 1)]?.focus({ preventScroll: true });
  }

  session.addEventListener("attention", drawAttention, { signal: stop.signal });
  const timer = setInterval(() => document.hidden || read(), EVERY);
  drawAttention();
  read();
  return {
    head: h("p", { class: "muted" }, t("home.about")),
    element: h("div", { class: "stack wide" }, attention, hour),
    move(by) {
      const links = [...attention.querySelectorAll(".item-main")];
      links[Math.min(Math.max(0, links.indexOf(document.activeElement) + by), links.length - 1)]?.focus();
    },
    destroy() {
      stop.abort();
      clearInterval(timer);
    },
  };
}

/** What waits for a person, the most urgent first: `{tone, icon, title, text, href, action}`. */
function attentionItems(session, report, model, ready) {
  const items = [];
  const { killSwitch } = session;
  if (killSwitch?.on) {
    items.push({ tone: "bad", icon: "stop", title: t("switch.is_on"), text: [line(killSwitch.reason, 200), killSwitch.by ? t("switch.turned_by", { who: line(killSwitch.by, 64), when: killSwitch.since ? moment(new Date(killSwitch.since)) : "" }) : null],
      onOpen: () => openKillSwitch(session) });
  }
  if (ready?.error?.status === 503) items.push({ tone: "bad", icon: "bad", title: t("home.not_ready"), text: [line(ready.error.message, 300)], href: to("health") });
  if (ready?.policy) items.push({ tone: "warn", icon: "warn", title: t("home.policy_rejected"), text: [t("home.policy_rejected_about")], href: to("policy") });
  for (const approval of session.approvals.slice(0, EACH)) {
    items.push({ tone: "warn", icon: "approvals", title: line(summaryText(approval.summary), 160), href: to("approvals", String(approval.approval_id)),
      text: [t("home.approval", { who: line(approval.principal, 64) }), t("home.expires", { when: ago(new Date(approval.expires_at)) })] });
  }
  if (session.approvals.length > EACH) items.push({ tone: "warn", icon: "approvals", title: tn("home.more_approvals", session.approvals.length - EACH), text: [], href: to("approvals") });
  for (const plan of session.plans.waiting.slice(0, EACH)) {
    items.push({ tone: "plain", icon: "plans", title: line(plan.intent, 160), href: to("plans", plan.id),
      text: [t("home.plan", { who: line(plan.author, 64) }), `${tn("plans.files", plan.stats.files)} +${number(plan.stats.added)} −${number(plan.stats.removed)}`, ago(new Date(plan.created))] });
  }
  const morePlans = session.plans.waiting.length - EACH;
  if (morePlans > 0) items.push({ tone: "plain", icon: "plans", title: session.plans.more ? t("home.many_plans", { n: number(morePlans) }) : tn("home.more_plans", morePlans), text: [], href: to("plans") });
  for (const stopped of session.stops) {
    const name = stopped.agent ?? stopped.principal;
    items.push({ tone: "warn", icon: "stop", title: t(stopped.agent ? "home.stopped_agent" : "home.stopped_caller", { name: line(name, 64) }),
      text: [line(stopped.reason, 200), t("switch.turned_by", { who: line(stopped.by ?? "?", 64), when: moment(new Date(stopped.since)) })],
      href: stopped.agent ? to("agents", stopped.agent) : to("activity", "", { caller: stopped.principal }), release: session.may("operate") ? stopped : null, session });
  }
  if (model?.breaker && model.breaker !== "closed") items.push({ tone: "bad", icon: "warn", title: t("home.model_paused"), text: [t(`breaker.${model.breaker}`), line(model.base_host ?? "", 100)], href: to("activity", "", { outcome: "failed", last: "1h" }) });
  else if ((report?.total.failed ?? 0) > 0) items.push({ tone: "warn", icon: "warn", title: tn("home.model_failed", report.total.failed), text: [t("home.last_hour")], href: to("activity", "", { outcome: "failed", last: "1h" }) });
  const unusual = unusualDenials(report);
  if (unusual) items.push(unusual);
  return items;
}

/** More denials than usual, with the first cause; approvals that wait are no denials here. */
export function unusualDenials(report) {
  if (!report?.usual) return null;
  const waits = report.denied_by.filter(({ reason }) => reason === "approval_required").reduce((sum, { count }) => sum + count, 0);
  const denied = report.total.denied - waits;
  if (denied < Math.max(LEAST, report.usual.denied * TIMES)) return null;
  const [cause] = report.denied_by.filter(({ reason }) => reason !== "approval_required");
  return { tone: "warn", icon: "warn", title: tn("home.unusual", denied), href: to("activity", "", { outcome: "denied", last: "1h" }),
    text: [t("home.unusual_about", { n: number(report.usual.denied, 1) }), cause ? t("home.unusual_cause", { cause: line(cause.decided_by ?? word("reason", cause.reason), 100) }) : null] };
}

function itemLine({ tone, icon: name, title, text, href, onOpen, release, session }) {
  const main = h(href ? "a" : "button", { class: "item-main", href, type: href ? null : "button", on: onOpen ? { click: onOpen } : {} },
    h("span", { class: `item-mark ${tone}` }, icon(name)), h("span", { class: "item-text" }, h("b", {}, h("bdi", {}, title)), h("span", { class: "muted" }, text.filter(Boolean).join(" · "))));
  const button = release ? h("button", { type: "button", class: "small", on: { click: async () => {
    button.disabled = true;
    const target = release.agent ? { agent: release.agent } : { principal: release.principal };
    await post("stops", { ...target, on: false, reason: t("stop.released") }).catch((error) => session.announce(error.message));
    session.refresh();
  } } }, t("stop.release")) : null;
  return h("li", {}, main, button);
}

function lastHour(report, slowest) {
  const { total, usual } = report;
  const counts = ["allowed", "denied", "would_deny", "failed"].map((name) => h("a", { class: `count ${name}`, href: to("activity", "", { last: "1h", ...(name === "allowed" ? { outcome: "allowed" } : { outcome: name }) }) },
    h("span", { class: "count-name" }, t(`count.${name}`)), h("b", {}, number(total[name])),
    h("small", {}, usual ? t("home.usual", { n: number(usual[name], usual[name] < 10 ? 1 : 0) }) : " ")));
  const denials = report.denied_by.slice(0, 6).map(({ reason, decided_by: by, count }) => ({
    // The name of a gate alone says less than the reason.
    label: h("code", {}, line(by?.includes("/") ? by : word("reason", reason), 80)), count,
    href: to("activity", "", { last: "1h", outcome: "denied", ...(by?.includes("/") ? { rule: by.slice(by.indexOf("/") + 1) } : {}) }),
  }));
  const observed = report.would_deny_by.slice(0, 6).map(({ rule, count }) => ({ label: h("code", {}, line(rule, 80)), count, href: to("activity", "", { last: "1h", outcome: "would_deny", rule }) }));
  const slow = report.slowest.slice(0, 6).map(({ event_id: id, elapsed_us: us }) => {
    const step = slowest.get(id);
    const label = step ? h("bdi", {}, [step.agent || step.principal, step.tool || step.request].filter(Boolean).join(" · ")) : `#${id}`;
    return { label, count: us, text: milliseconds(us / 1000), href: to("requests", String(id)) };
  });
  const kinds = Object.entries(report.kinds).map(([kind, of]) => ({ label: word("kind", kind), count: of.allowed + of.denied + of.would_deny + of.failed, href: kind === "other" ? null : to("activity", "", { last: "1h", show: kind }) }))
    .filter(({ count }) => count > 0).sort((a, b) => b.count - a.count);
  return [
    h("section", { class: "panel hour" }, h("div", { class: "panel-head" }, h("h2", {}, t("home.last_hour")), report.complete ? null : h("span", { class: "muted" }, t("home.counting"))),
      h("div", { class: "counts" }, counts), bars(report.minutes, MINUTES, total)),
    h("div", { class: "quarters" },
      h("section", { class: "panel" }, h("h2", {}, t("home.denied_by")), ranking(denials, t("home.no_denials"))),
      h("section", { class: "panel" }, h("h2", {}, t("home.would_deny_by")), ranking(observed, t("home.no_observed"))),
      h("section", { class: "panel" }, h("h2", {}, t("home.kinds")), ranking(kinds, t("home.no_requests"))),
      h("section", { class: "panel" }, h("div", { class: "panel-head" }, h("h2", {}, t("home.slowest")), slowLink(report.slowest)), ranking(slow, t("home.no_requests")))),
  ];
}

/** Leads to the requests of the last hour that took as long as those that are listed. */
function slowLink(slowest) {
  const least = Math.floor(Math.min(...slowest.map(({ elapsed_us: us }) => us)) / 1000);
  return least >= 1 && least < Infinity ? h("a", { href: to("activity", "", { last: "1h", slow: `${least}ms` }) }, t("home.all_slow", { n: milliseconds(least) })) : null;
}
