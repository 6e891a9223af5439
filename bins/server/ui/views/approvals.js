// Approvals: requests that wait for a person, exactly as they would be carried out.

import { get, post } from "../lib/api.js";
import { chip, empty, facts, field, h, panel, select } from "../lib/dom.js";
import { ago, capitalized, moment, number, t, word } from "../lib/i18n.js";
import { to } from "../lib/router.js";
import { line, short } from "../lib/text.js";
import { decisionBar, whyNot } from "../parts/decision_bar.js";
import { masterDetail, soon } from "../parts/master_detail.js";
import { summaryText } from "../record/requests.js";

const PAGE = 100;
const STATUSES = ["pending", "approved", "denied", "used", "expired", ""];
const TONE = { pending: "warn", approved: "good", denied: "bad", used: "plain", expired: "plain" };
const EFFECT = { read: "good", change: "plain" };
/** Longest text of a request that is shown; the command line shows longer ones. */
const LONGEST = 200_000;

export function approvals(session, argument, params) {
  const stop = new AbortController();
  let status = params.status ?? "pending";
  const controls = field(t("approvals.status"), select(STATUSES.map((name) => [name, name ? capitalized(t(`approval.${name}`)) : t("any")]), status, (value) => {
    status = value;
    view.read();
  }));
  const view = masterDetail({
    view: "approvals", label: t("approvals.list"), controls, signal: stop.signal, chooseText: t("approvals.choose"),
    key: (one) => String(one.approval_id),
    none: () => empty(t(status === "pending" ? "approvals.none_pending" : "approvals.none"), t("approvals.none_about")),
    load: async (before, signal) => {
      const page = await get("approvals", { status, limit: PAGE, before }, signal);
      return { items: page.approvals, next: page.next };
    },
    item: (one) => [h("bdi", { class: "pick-title" }, line(summaryText(one.summary), 140)), h("small", {}, chip(TONE[one.status] ?? "plain", word("approval", one.status)),
      ` ${word("kind", one.kind)} · ${line(one.principal, 40)} · ${one.status === "pending" ? t("home.expires", { when: ago(new Date(one.expires_at)) }) : ago(new Date(one.created))}`)],
    detail: async (id, signal) => {
      const found = await get(`approvals/${encodeURIComponent(id)}`, {}, signal);
      return detail(session, found, async (decision, note) => {
        await post(`approvals/${found.approval_id}/decision`, { decision, note });
        session.announce(t("approvals.recorded"));
        await view.refresh(id);
      });
    },
  });
  const again = soon(() => view.read(), stop.signal);
  session.addEventListener("row", ({ detail: { row } }) => row?.kind?.startsWith("approval.") && again(), { signal: stop.signal });
  view.start(argument);
  return {
    head: h("p", { class: "muted" }, t("approvals.about")),
    element: view.element,
    move: view.move,
    show: (id) => view.show(id || null),
    destroy: () => stop.abort(),
  };
}

function detail(session, found, decide) {
  const { decided } = found;
  const effects = (found.command ?? []).map((command) => [h("code", {}, line(command.pointer, 200)), " ", chip(EFFECT[command.effect] ?? "bad", line(command.effect, 40)), " "]);
  const texts = Object.entries(found.request.arguments ?? {}).filter(([, value]) => typeof value === "string");
  return h("div", { class: "stack" },
    panel(null, h("h2", { tabindex: "-1" }, h("bdi", {}, line(summaryText(found.summary), 300))),
      h("p", {}, chip(TONE[found.status] ?? "plain", word("approval", found.status)), " ", line(found.message, 1000)),
      facts([
        [t("approvals.decision"), decided ? h("span", {}, t("plans.review_by", { what: word("decision", decided.decision), who: line(decided.principal, 64), when: moment(new Date(decided.at)) }), decided.note ? h("q", {}, line(decided.note, 1000)) : null) : null],
        [t("approvals.caller"), h("bdi", {}, line(found.principal, 64) + (found.person ? ` (${line(found.person, 64)})` : ""))],
        [t("approvals.agent"), found.agent_id ? h("a", { href: to("agents", found.agent_id) }, h("bdi", {}, line(found.agent_id, 64))) : null],
        [t("approvals.created"), moment(new Date(found.created))],
        [t("approvals.expires"), `${moment(new Date(found.expires_at))}${found.status === "pending" ? ` (${ago(new Date(found.expires_at))})` : ""}`],
        [t("approvals.rule"), h("code", {}, line([found.gate, found.rule].filter(Boolean).join("/"), 200))],
        [t("approvals.effect"), effects.length > 0 ? effects : null],
        [t("approvals.event"), h("a", { href: to("requests", String(found.approval_id)) }, `#${found.approval_id}`)],
      ])),
    texts.length > 0 ? panel(null, texts.map(([name, value]) => [h("h3", {}, h("code", {}, line(name, 80))), code(value, name)])) : null,
    panel(t("approvals.request"), code(found.request_text, t("approvals.request")), found.rest ? code(JSON.stringify(found.rest, null, 2), t("approvals.request")) : null),
    decisionBar(session, {
      choices: [{ value: "approve", text: t("approvals.approve"), tone: "primary" }, { value: "deny", text: t("approvals.deny"), tone: "danger" }],
      unavailable: unavailable(session, found), decide,
    }));
}

function unavailable(session, found) {
  if (found.may_decide) return null;
  if (found.status !== "pending") return t("unavailable.closed", { status: word("approval", found.status) });
  return whyNot(session, { own: true });
}

function code(text, label) {
  return [h("pre", { tabindex: "0", role: "region", "aria-label": label, dir: "ltr" }, short(text, LONGEST)),
    text.length > LONGEST ? h("p", { class: "alert warn" }, t("approvals.cut"), " ", number(text.length)) : null];
}
