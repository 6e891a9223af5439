// Activity: every request, newest first; search and filters live in the address.

import { field, h, segments, select } from "../lib/dom.js";
import { t, tn } from "../lib/i18n.js";
import { icon } from "../lib/icons.js";
import { replace, to } from "../lib/router.js";
import { SPANS, formatSearch, parseSearch, serviceFilter } from "../parts/search_box.js";
import { Timeline } from "../parts/timeline.js";
import { KINDS, ROWS_OF, isException } from "../record/requests.js";

/** How often new requests are announced to screen readers, at most. */
const ANNOUNCE_EVERY = 15_000;
const EXCEPTIONS = ["denied", "would_deny", "failed"];
const OUTCOMES = ["", "exceptions", ...EXCEPTIONS, "allowed"];

export function activity(session, argument, params) {
  const stop = new AbortController();
  let [wanted, news] = [params, 0];
  const count = h("span", { class: "muted", role: "status" });
  const timeline = new Timeline(session, { signal: stop.signal, label: t("activity.list"), onDrawn: (steps) => {
    count.textContent = steps.length > 0 ? tn("activity.shown", steps.length) : "";
  } });

  const box = h("input", { type: "search", autocomplete: "off", spellcheck: "false", placeholder: t("activity.search_hint"), value: formatSearch(params), "aria-label": t("activity.search"),
    on: { search: () => box.value === "" && submit(), keydown: (event) => event.key === "Escape" && box.blur() } });
  const kind = select([["", t("activity.any_kind")], ...KINDS.map((name) => [name, t(`kind.${name}`)])], params.show ?? "", () => submit());
  kind.setAttribute("aria-label", t("activity.kind"));
  const spans = [["", t("activity.any_time")], ...Object.keys(SPANS).map((name) => [name, t(`span.${name}`)]), ["custom", t("span.custom")]];
  const span = select(spans, params.since || params.until ? "custom" : params.last ?? "", (value) => {
    range.hidden = value !== "custom";
    if (value === "custom") since.focus();
    else submit();
  });
  span.setAttribute("aria-label", t("activity.period"));
  const [since, until] = ["since", "until"].map((name) => h("input", { type: "datetime-local", value: local(params[name]), on: { change: () => submit() } }));
  const range = h("div", { class: "range", hidden: span.value !== "custom" }, field(t("activity.since"), since), field(t("activity.until"), until));
  let outcome = params.outcome ?? "";
  const outcomes = () => segments(t("activity.outcome"), OUTCOMES.map((name) => [name, t(`filter.${name || "all"}`)]), outcome, (value) => {
    outcome = value;
    submit();
  });
  const outcomeSlot = h("div", {}, outcomes());
  const pause = h("button", { type: "button", class: "quiet", "aria-pressed": "false", on: { click: () => {
    const paused = pause.getAttribute("aria-pressed") !== "true";
    pause.setAttribute("aria-pressed", String(paused));
    pause.textContent = t(paused ? "live.resume" : "live.pause");
    timeline.pause(paused);
  } } }, t("live.pause"));

  const form = h("form", { class: "searchbar", role: "search", on: { submit: (event) => {
    event.preventDefault();
    submit();
    box.blur();
  } } }, h("div", { class: "searchfield" }, icon("search"), box, h("kbd", { "aria-hidden": "true" }, "/")), kind, span, range);
  const toolbar = h("div", { class: "toolbar" }, form, h("div", { class: "toolbar-row" }, outcomeSlot, count, h("span", { class: "grow" }), pause));

  function submit() {
    const next = { ...parseSearch(box.value), outcome, show: kind.value };
    if (span.value === "custom") Object.assign(next, { since: since.value || next.since, until: until.value || next.until });
    else if (span.value) next.last = span.value;
    wanted = next;
    replace(to("activity", "", next));
    apply();
  }

  function apply() {
    const { outcome: chosen, show, ...rest } = wanted;
    const exceptions = chosen === "exceptions";
    const kinds = show && !rest.kind ? ROWS_OF[show] ?? [] : [];
    timeline.show(serviceFilter(exceptions ? rest : { ...rest, outcome: chosen }), {
      parts: exceptions ? EXCEPTIONS.map((name) => ({ outcome: name })) : kinds.length > 0 ? kinds.map((name) => ({ kind: name })) : [{}],
      local: (step) => (!show || step.kind === show) && (!exceptions || isException(step)),
    });
  }

  session.addEventListener("row", () => { news++; }, { signal: stop.signal });
  const timer = setInterval(() => {
    if (news > 0 && pause.getAttribute("aria-pressed") === "false") session.announce(tn("live.news", news));
    news = 0;
  }, ANNOUNCE_EVERY);
  apply();
  return {
    element: h("div", { class: "activity" }, toolbar, timeline.element),
    search: () => box.select(),
    move: (by) => timeline.move(by),
    show(_, changed) {
      wanted = changed;
      outcome = changed.outcome ?? "";
      outcomeSlot.replaceChildren(outcomes());
      box.value = formatSearch(changed);
      kind.value = changed.show ?? "";
      span.value = changed.since || changed.until ? "custom" : changed.last ?? "";
      range.hidden = span.value !== "custom";
      [since.value, until.value] = [local(changed.since), local(changed.until)];
      apply();
    },
    destroy() {
      stop.abort();
      clearInterval(timer);
    },
  };
}

/** A time as a `datetime-local` field takes it; empty for none. */
function local(text) {
  const at = new Date(text ?? "");
  if (Number.isNaN(at.getTime())) return "";
  return new Date(at.getTime() - at.getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
}
