// Approvals: requests that wait for a person, exactly as they would be carried out.

import { ApiError, get, post } from "../api.js";
import { chip, facts, field, fill, h, select } from "../dom.js";
import { moment, t, tn, word } from "../i18n.js";
import { line, short } from "../text.js";

const PAGE = 100;
const STATUSES = ["pending", "approved", "denied", "used", "expired"];
const TONE = { pending: "warn", approved: "good", denied: "bad", used: "plain", expired: "plain" };
const EFFECT = { read: "good", change: "plain" };
/** Longest text of a request that is shown; the command line shows longer ones. */
const LONGEST = 200_000;

export function approvals(session, argument) {
  const stop = new AbortController();
  let [listed, next, status, chosen] = [[], null, "pending", null];
  const list = h("ul", { class: "pick", role: "list" });
  const count = h("p", { class: "muted", role: "status" });
  const side = h("div", { class: "side" });
  const more = h("button", { type: "button", hidden: true, on: { click: () => read(true) } }, t("approvals.more"));
  const choose = select([["", t("any")], ...STATUSES.map((name) => [name, t(`approval.${name}`)])], status, (value) => {
    status = value;
    read(false);
  });

  async function read(onward) {
    try {
      const page = await get("approvals", { status, limit: PAGE, before: onward ? next : null }, stop.signal);
      listed = onward ? [...listed, ...page.approvals] : page.approvals;
      next = page.next;
      more.hidden = next === null;
      draw();
      if (!chosen && argument === "" && listed.length > 0) show(String(listed[0].approval_id));
    } catch (error) {
      if (error.name !== "AbortError") fill(count, h("span", { class: "alert bad" }, error.message || t("error.unreachable")));
    }
  }

  function draw() {
    count.textContent = listed.length === 0 ? t("approvals.none") : tn("approvals.count", listed.length);
    fill(list, listed.map((one) => h("li", {}, h("a", {
      href: `#/approvals/${one.approval_id}`, "aria-current": String(one.approval_id) === chosen ? "true" : null,
    }, h("bdi", {}, line(one.summary, 120)), h("small", {}, chip(TONE[one.status] ?? "plain", word("approval", one.status)),
      ` ${word("kind", one.kind)} · ${line(one.principal, 40)} · ${moment(new Date(one.created))}`)))));
  }

  async function show(id, anew = false) {
    // The one that is there already stays: somebody may be writing a note to it.
    const there = id && id === chosen && !anew;
    chosen = id;
    draw();
    if (there) return;
    if (!id) {
      fill(side, h("p", { class: "empty" }, t("approvals.choose")));
      return;
    }
    try {
      const view = await get(`approvals/${encodeURIComponent(id)}`, {}, stop.signal);
      if (chosen === id) fill(side, panel(view, () => decided(id)));
    } catch (error) {
      if (error.name !== "AbortError") fill(side, h("p", { class: "alert bad" }, error.message || t("error.unreachable")));
    }
  }

  async function decided(id) {
    await Promise.all([read(false), show(id, true)]);
    session.announce(t("approvals.recorded"));
    side.querySelector("h2")?.focus();
  }

  session.steps.addEventListener("step", ({ detail: { row } }) => {
    if (row?.kind?.startsWith("approval.")) later();
  }, { signal: stop.signal });
  let timer = 0;
  const later = () => { timer ||= setTimeout(() => { timer = 0; read(false); }, 500); };

  show(argument || null);
  read(false);
  return {
    head: h("p", { class: "muted" }, t("approvals.about")),
    element: h("div", { class: "split" }, h("section", { class: "panel narrow", "aria-label": t("approvals.list") },
      field(t("approvals.status"), choose), count, list, more), side),
    show: (id) => show(id || (listed[0] ? String(listed[0].approval_id) : null)),
    destroy() {
      stop.abort();
      clearTimeout(timer);
    },
  };
}

function panel(view, onDecided) {
  const { decided } = view;
  const effects = (view.command ?? []).map((command) => [h("code", {}, line(command.pointer, 200)), " ",
    chip(EFFECT[command.effect] ?? "bad", line(command.effect, 40)), " "]);
  const texts = Object.entries(view.request.arguments ?? {}).filter(([, value]) => typeof value === "string");
  return h("div", { class: "stack" },
    h("section", { class: "panel" },
      h("h2", { tabindex: "-1" }, h("bdi", {}, line(view.summary, 300))),
      h("p", {}, chip(TONE[view.status] ?? "plain", word("approval", view.status)), " ", line(view.message, 1000)),
      facts([
        [t("approvals.id"), String(view.approval_id)],
        [t("approvals.caller"), h("bdi", {}, line(view.principal, 64) + (view.person ? ` (${line(view.person, 64)})` : ""))],
        [t("approvals.agent"), view.agent_id ? h("bdi", {}, line(view.agent_id, 64)) : null],
        [t("approvals.created"), moment(new Date(view.created))], [t("approvals.expires"), moment(new Date(view.expires_at))],
        [t("approvals.rule"), h("code", {}, line([view.gate, view.rule].filter(Boolean).join("/"), 200))],
        [t("approvals.effect"), effects.length > 0 ? effects : null],
        [t("approvals.decision"), decided ? h("span", {}, t("plans.review_by", { what: word("decision", decided.decision), who: line(decided.principal, 64), when: moment(new Date(decided.at)) }),
          decided.note ? h("q", {}, line(decided.note, 1000)) : null) : null],
      ])),
    texts.length > 0 ? h("section", { class: "panel" }, texts.map(([name, value]) => [h("h3", {}, h("code", {}, line(name, 80))), code(value)])) : null,
    h("section", { class: "panel" }, h("h2", {}, t("approvals.request")), code(view.request_text),
      view.rest ? code(JSON.stringify(view.rest, null, 2)) : null),
    view.may_decide ? form(view, onDecided) : view.status === "pending" ? h("p", { class: "muted" }, t("approvals.not_yours")) : null);
}

const code = (text) => [h("pre", { tabindex: "0", dir: "ltr" }, short(text, LONGEST)),
  text.length > LONGEST ? h("p", { class: "alert warn" }, t("approvals.cut")) : null];

function form(view, onDecided) {
  const note = h("textarea", { rows: 2, maxlength: 4096 });
  const told = h("div", { role: "alert" });
  const deny = h("button", { type: "submit", class: "danger" }, t("approvals.deny"));
  const approve = h("button", { type: "submit", class: "primary" }, t("approvals.approve"));
  return h("section", { class: "panel" }, h("h2", {}, t("approvals.yours")), h("form", { on: { submit: async (event) => {
    event.preventDefault();
    const decision = event.submitter === deny ? "deny" : "approve";
    [approve.disabled, deny.disabled] = [true, true];
    try {
      await post(`approvals/${view.approval_id}/decision`, { decision, note: note.value });
      await onDecided();
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      fill(told, h("p", { class: "alert bad" }, error.message || t("error.unreachable")));
    } finally {
      [approve.disabled, deny.disabled] = [false, false];
    }
  } } }, field(t("plans.note"), note), h("div", { class: "row" }, approve, deny), told));
}
