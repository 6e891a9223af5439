// Plans: changes that wait for a person, side by side with what is there.

import { ApiError, get, post, text as fetchText } from "../api.js";
import { parse } from "../diff.js";
import { chip, facts, field, fill, h, select, table } from "../dom.js";
import { moment, number, t, tn, word } from "../i18n.js";
import { line, short } from "../text.js";

const PAGE = 50;
const STATUSES = ["created", "approved", "rejected", "branched"];
const TONE = { created: "plain", approved: "good", rejected: "bad", branched: "good" };
/** Longest line of a diff that is shown. */
const WIDE = 1000;

export function plans(session, argument) {
  const stop = new AbortController();
  let [listed, next, status, chosen, failed] = [[], null, "", null, false];
  const list = h("ul", { class: "pick", role: "list" });
  const count = h("p", { class: "muted", role: "status" });
  const side = h("div", { class: "side" });
  const more = h("button", { type: "button", hidden: true, on: { click: () => read(true) } }, t("plans.more"));
  const choose = select([["", t("any")], ...STATUSES.map((name) => [name, t(`status.${name}`)])], "", (value) => {
    status = value;
    read(false);
  });

  async function read(onward) {
    try {
      const page = await get("plans", { status, limit: PAGE, before: onward ? next : null }, stop.signal);
      listed = onward ? [...listed, ...page.plans] : page.plans;
      next = page.next;
      more.hidden = next === null;
      draw();
      if (!chosen && argument === "" && listed.length > 0) show(listed[0].id);
    } catch (error) {
      if (error.name !== "AbortError") fill(count, h("span", { class: "alert bad" }, error.message || t("error.unreachable")));
    }
  }

  function draw() {
    count.textContent = listed.length === 0 ? t("plans.none") : tn("plans.count", listed.length);
    fill(list, listed.map((plan) => h("li", {}, h("a", {
      href: `#/plans/${encodeURIComponent(plan.id)}`, "aria-current": plan.id === chosen ? "true" : null,
    }, h("bdi", {}, line(plan.intent, 120)), h("small", {}, chip(TONE[plan.status] ?? "plain", word("status", plan.status)),
      ` ${stats(plan.stats)} · ${line(plan.author, 40)} · ${moment(new Date(plan.created))}`)))));
  }

  async function show(id, anew = false) {
    // The one that is there already stays: somebody may be writing a note to it.
    const there = id && id === chosen && !anew && !failed;
    chosen = id;
    draw();
    if (there) return;
    failed = false;
    if (!id) {
      fill(side, h("p", { class: "empty" }, t("plans.choose")));
      return;
    }
    try {
      const plan = await get(`plans/${encodeURIComponent(id)}`, {}, stop.signal);
      const patch = plan.has_patch ? await fetchText(`plans/${encodeURIComponent(id)}/patch`) : null;
      if (chosen === id) fill(side, planPanel(plan, patch, () => reviewed(id)));
    } catch (error) {
      failed = true;
      if (error.name !== "AbortError") fill(side, h("p", { class: "alert bad" }, error.message || t("error.unreachable")));
    }
  }

  async function reviewed(id) {
    await Promise.all([read(false), show(id, true)]);
    session.announce(t("plans.reviewed"));
    side.querySelector("h2")?.focus();
  }

  session.steps.addEventListener("step", ({ detail: { row } }) => {
    if (row?.kind === "plan.created" || row?.kind === "plan.reviewed") later();
  }, { signal: stop.signal });
  let timer = 0;
  const later = () => { timer ||= setTimeout(() => { timer = 0; read(false); }, 500); };

  show(argument || null);
  read(false);
  return {
    head: h("p", { class: "muted" }, t("plans.about")),
    element: h("div", { class: "split" }, h("section", { class: "panel narrow", "aria-label": t("plans.list") },
      field(t("plans.status"), choose), count, list, more), side),
    show: (id) => show(id || listed[0]?.id || null),
    destroy() {
      stop.abort();
      clearTimeout(timer);
    },
  };
}

const stats = ({ files, added, removed }) => `${tn("plans.files", files)} +${number(added)} −${number(removed)}`;

function planPanel(plan, patch, onReviewed) {
  const stale = plan.stale ? h("p", { class: "alert warn" }, h("b", {}, t("plans.stale")), " ",
    t("plans.stale_about", { files: plan.stale_files.map((path) => line(path, 200)).join(", ") })) : null;
  const checks = plan.checks.map((check) => [
    h("code", {}, line(check.check, 80)), chip(check.result === "passed" ? "good" : "plain", word("check", check.result)), line(check.detail, 300)]);
  const { review } = plan;
  return h("div", { class: "stack" },
    h("section", { class: "panel" },
      h("h2", { tabindex: "-1" }, h("bdi", {}, line(plan.intent, 300))),
      h("p", {}, chip(TONE[plan.status] ?? "plain", word("status", plan.status)), " ", plan.stale ? chip("warn", t("plans.stale_chip")) : null, " ", stats(plan.stats)),
      stale,
      plan.context ? h("p", { class: "prose", dir: "auto" }, short(plan.context, 8192)) : null,
      facts([
        [t("plans.id"), h("code", {}, plan.id)], [t("plans.author"), h("bdi", {}, line(plan.author, 64))], [t("plans.created"), moment(new Date(plan.created))],
        [t("plans.artifact"), h("code", {}, line(plan.artifact, 300))], [t("plans.base"), plan.base_commit ? h("code", {}, plan.base_commit.slice(0, 12)) : null],
        [t("plans.targets"), h("code", {}, plan.target_files.slice(0, 20).map((path) => line(path, 200)).join(", ") || "–")],
        [t("gates.applied"), plan.applied_policies.join(", ") || null],
        [t("plans.review"), review ? h("span", {}, t("plans.review_by", { what: word("decision", review.decision), who: line(review.reviewer, 64), when: moment(new Date(review.at)) }),
          review.note ? h("q", {}, line(review.note, 1000)) : null) : null],
      ]),
      checks.length > 0 ? table(t("plans.checks"), [t("plans.check"), t("plans.result"), t("plans.detail")], checks) : null),
    h("section", { class: "panel flush" }, h("h2", {}, t("plans.diff")), patch === null ? h("p", { class: "empty" }, t("plans.no_patch")) : diff(patch)),
    plan.status === "created" ? reviewForm(plan, onReviewed) : null);
}

function reviewForm(plan, onReviewed) {
  const note = h("textarea", { rows: 2, maxlength: 4096 });
  const told = h("div", { role: "alert" });
  const reject = h("button", { type: "submit", class: "danger" }, t("plans.reject"));
  const approve = h("button", { type: "submit", class: "primary" }, t("plans.approve"));
  return h("section", { class: "panel" }, h("h2", {}, t("plans.your_review")), h("form", { on: { submit: async (event) => {
    event.preventDefault();
    const decision = event.submitter === reject ? "reject" : "approve";
    [approve.disabled, reject.disabled] = [true, true];
    try {
      await post(`plans/${encodeURIComponent(plan.id)}/review`, { decision, note: note.value });
      await onReviewed();
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      fill(told, h("p", { class: "alert bad" }, error.message || t("error.unreachable")));
    } finally {
      [approve.disabled, reject.disabled] = [false, false];
    }
  } } }, field(t("plans.note"), note), h("div", { class: "row" }, approve, reject), told));
}

function diff(patch) {
  const { files, cut } = parse(patch);
  return [
    files.map((file) => h("details", { class: "file", open: true }, h("summary", {}, h("code", {}, line(file.path, 300)), " ",
      file.note ? chip("plain", t(`diff.${file.note}`)) : null), sides(file))),
    cut > 0 ? h("p", { class: "alert warn" }, t("diff.cut", { n: number(cut) })) : null,
  ];
}

function sides(file) {
  const columns = h("colgroup", {}, ["no", "text", "no", "text"].map((name) => h("col", { class: name })));
  const number = () => h("td", { class: "no" }, h("span", { class: "unseen" }, t("diff.line")));
  const head = h("thead", {}, h("tr", {}, number(), h("th", { scope: "col" }, t("diff.before")), number(), h("th", { scope: "col" }, t("diff.after"))));
  const body = file.hunks.map((hunk) => h("tbody", {}, h("tr", { class: "hunk" }, h("td", { colspan: "4" }, h("code", {}, line(hunk.head, 200)))),
    hunk.rows.map(({ left, right }) => h("tr", {}, half(left, "gone", "−"), half(right, "come", "+")))));
  return h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": line(file.path, 300) }, h("table", { class: "diff", dir: "ltr" }, columns, head, body));
}

function half(side, tone, sign) {
  if (!side) return [h("td", { class: "no none" }), h("td", { class: "none" })];
  const kind = side.changed ? tone : "same";
  // The sign says it to those who see no colour.
  return [h("td", { class: `no ${kind}` }, String(side.number)), h("td", { class: kind },
    h("span", { class: "sign" }, side.changed ? sign : " "), short(side.text, WIDE))];
}
