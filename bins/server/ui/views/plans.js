// Plans: changes that wait for a review.

import { get, post, text as fetchText } from "../lib/api.js";
import { chip, copyButton, empty, facts, field, h, panel, select, table } from "../lib/dom.js";
import { ago, capitalized, moment, number, t, tn, word } from "../lib/i18n.js";
import { to } from "../lib/router.js";
import { line, short } from "../lib/text.js";
import { decisionBar, whyNot } from "../parts/decision_bar.js";
import { diffView } from "../parts/diff_view.js";
import { masterDetail, soon } from "../parts/master_detail.js";

const PAGE = 50;
const STATUSES = ["created", "approved", "rejected", "branched", ""];
const TONE = { created: "warn", approved: "good", rejected: "bad", branched: "good" };

export function plans(session, argument, params) {
  const stop = new AbortController();
  let status = params.status ?? (argument ? "" : "created");
  const controls = field(t("plans.status"), select(STATUSES.map((name) => [name, name ? capitalized(t(`status.${name}`)) : t("any")]), status, (value) => {
    status = value;
    view.read();
  }));
  const view = masterDetail({
    view: "plans", label: t("plans.list"), controls, signal: stop.signal, chooseText: t("plans.choose"),
    key: (plan) => plan.id,
    none: () => empty(t(status === "created" ? "plans.none_waiting" : "plans.none"), t("plans.none_about")),
    load: async (before, signal) => {
      const page = await get("plans", { status, limit: PAGE, before }, signal);
      return { items: page.plans, next: page.next };
    },
    item: (plan) => [h("bdi", { class: "pick-title" }, line(plan.intent, 140)), h("small", {}, chip(TONE[plan.status] ?? "plain", word("status", plan.status)),
      ` ${stats(plan.stats)} · ${line(plan.author, 40)} · ${ago(new Date(plan.created))}`)],
    detail: async (id, signal) => {
      const path = `plans/${encodeURIComponent(id)}`;
      const plan = await get(path, {}, signal);
      const patch = plan.has_patch ? await fetchText(`${path}/patch`) : null;
      return detail(session, plan, patch, async (decision, note) => {
        await post(`${path}/review`, { decision, note });
        session.announce(t("plans.reviewed"));
        await view.refresh(id);
      });
    },
  });
  const again = soon(() => view.read(), stop.signal);
  session.addEventListener("row", ({ detail: { row } }) => row?.kind?.startsWith("plan.") && again(), { signal: stop.signal });
  view.start(argument);
  return {
    head: h("p", { class: "muted" }, t("plans.about")),
    element: view.element,
    move: view.move,
    show: (id) => view.show(id || null),
    destroy: () => stop.abort(),
  };
}

const stats = ({ files, added, removed }) => `${tn("plans.files", files)} +${number(added)} −${number(removed)}`;

function detail(session, plan, patch, decide) {
  const stale = plan.stale ? h("p", { class: "alert warn" }, h("b", {}, t("plans.stale")), " ", t("plans.stale_about", { files: plan.stale_files.map((path) => line(path, 200)).join(", ") })) : null;
  const checks = plan.checks.map((check) => [
    h("code", {}, line(check.check, 80)), chip(check.result === "passed" ? "good" : "plain", word("check", check.result)), line(check.detail, 300)]);
  const { review } = plan;
  return h("div", { class: "stack" },
    panel(null, h("h2", { tabindex: "-1" }, h("bdi", {}, line(plan.intent, 300))),
      h("p", {}, chip(TONE[plan.status] ?? "plain", word("status", plan.status)), " ", plan.stale ? [chip("warn", t("plans.stale_chip")), " "] : null, h("span", { class: "muted" }, stats(plan.stats))),
      stale,
      plan.context ? h("p", { class: "prose", dir: "auto" }, short(plan.context, 8192)) : null,
      facts([
        [t("plans.review"), review ? h("span", {}, t("plans.review_by", { what: word("decision", review.decision), who: line(review.reviewer, 64), when: moment(new Date(review.at)) }), review.note ? h("q", {}, line(review.note, 1000)) : null) : null],
        [t("plans.author"), h("bdi", {}, line(plan.author, 64) + (plan.author_person ? ` (${line(plan.author_person, 64)})` : ""))],
        [t("plans.drafted_by"), plan.drafted_by ? h("code", {}, line(plan.drafted_by.model, 128)) : null],
        [t("plans.created"), `${moment(new Date(plan.created))} (${ago(new Date(plan.created))})`],
        [t("plans.targets"), plan.target_files.length > 0 ? h("code", {}, plan.target_files.slice(0, 20).map((path) => line(path, 200)).join(", ")) : null],
        [t("gates.applied"), plan.applied_policies.join(", ") || null],
        [t("plans.base"), plan.base_commit ? h("code", {}, plan.base_commit.slice(0, 12)) : null],
        [t("plans.id"), h("span", {}, h("code", {}, plan.id), " ", h("a", { href: to("requests", String(plan.event_id)) }, `#${plan.event_id}`))],
      ]),
      nextStep(plan),
      checks.length > 0 ? h("details", {}, h("summary", {}, t("plans.checks_n", { passed: number(plan.checks.filter(({ result }) => result === "passed").length), n: number(checks.length) })),
        table(t("plans.checks"), [t("plans.check"), t("plans.result"), t("plans.detail")], checks)) : null),
    h("section", { class: "panel flush" }, h("h2", {}, t("plans.diff")), patch === null ? h("p", { class: "empty" }, t("plans.no_patch")) : diffView(patch)),
    decisionBar(session, {
      choices: [{ value: "approve", text: t("plans.approve"), tone: "primary" }, { value: "reject", text: t("plans.reject"), tone: "danger" }],
      unavailable: unavailable(session, plan), decide,
    }));
}

/** What to do after an approval. */
function nextStep(plan) {
  if (plan.status !== "approved") return null;
  const command = `life-agent plan branch ${plan.id}`;
  return h("div", { class: "next-step" }, h("p", {}, t("plans.next_step")), h("div", { class: "row" }, h("code", { class: "command" }, command), copyButton(t("copy"), t("copied"), command)));
}

function unavailable(session, plan) {
  if (plan.status !== "created") return t("unavailable.closed", { status: word("status", plan.status) });
  const me = session.me ?? {};
  // The service decides; a policy may permit reviews of one's own plans.
  const own = plan.author === me.principal || (me.person && plan.author_person === me.person);
  return whyNot(session, { own: own && !session.selfReview });
}
