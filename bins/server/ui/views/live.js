// Live: what happens, as it happens.

import { field, h, select } from "../dom.js";
import { openDetail } from "../detail.js";
import { Feed } from "../feed.js";
import { t, tn } from "../i18n.js";
import { KINDS, OUTCOMES } from "../steps.js";

/** How often those who hear the page are told what is new, at most. */
const TELL_EVERY = 15_000;
/** Agents that the filter suggests. */
const MOST_AGENTS = 200;

export function live(session) {
  const wanted = { agent: "", kind: "", outcome: "" };
  const seen = new Set();
  const stop = new AbortController();
  let [paused, news] = [false, 0];

  const passes = (step) => (wanted.agent === "" || step.agent.toLowerCase().includes(wanted.agent))
    && (wanted.kind === "" || step.kind === wanted.kind) && (wanted.outcome === "" || step.outcome === wanted.outcome);
  const feed = new Feed(session.steps, { passes, onOpen: openDetail, onPaused: (count) => label(count) });

  const pause = h("button", { type: "button", "aria-pressed": "false", on: { click: () => {
    paused = !paused;
    pause.setAttribute("aria-pressed", String(paused));
    feed.pause(paused);
    label(0);
  } } }, t("live.pause"));
  const label = (count) => {
    pause.textContent = !paused ? t("live.pause") : count > 0 ? tn("live.resume_new", count) : t("live.resume");
  };

  const suggestions = h("datalist", { id: "agents-seen" });
  const suggest = (step) => {
    if (!step.agent || seen.has(step.agent) || seen.size >= MOST_AGENTS) return;
    seen.add(step.agent);
    suggestions.append(h("option", { value: step.agent }));
  };
  session.steps.all.forEach(suggest);
  session.steps.addEventListener("step", ({ detail }) => {
    suggest(detail.step);
    news++;
  }, { signal: stop.signal });

  const agent = h("input", { type: "search", list: "agents-seen", autocomplete: "off", spellcheck: "false",
    on: { input: () => set("agent", agent.value.trim().toLowerCase()) } });
  const set = (name, value) => {
    wanted[name] = value;
    feed.refilter();
  };
  const any = ["", t("any")];
  const toolbar = h("div", { class: "toolbar", role: "group", "aria-label": t("live.filter") },
    field(t("live.agent"), agent), suggestions,
    field(t("live.kind"), select([any, ...KINDS.map((kind) => [kind, t(`kind.${kind}`)])], "", (value) => set("kind", value))),
    field(t("live.outcome"), select([any, ...OUTCOMES.map((name) => [name, t(`outcome.${name}`)])], "", (value) => set("outcome", value))),
    pause);

  const empty = h("p", { class: "empty" }, t("live.empty"));
  const none = () => {
    empty.hidden = feed.shown > 0;
    empty.textContent = session.steps.all.length > 0 ? t("live.none_pass") : t("live.empty");
  };
  feed.element.addEventListener("drawn", none);
  none();
  const heads = h("div", { class: "feed-head", "aria-hidden": "true" },
    ["time", "agent", "kind", "asked", "gates", "came", "row"].map((name) => h("span", {}, t(`feed.${name}`))));
  feed.element.setAttribute("aria-label", t("live.feed"));

  // What was there already is no news.
  const timer = setInterval(() => {
    if (news > 0 && !paused) session.announce(tn("live.news", news));
    news = 0;
  }, TELL_EVERY);

  return {
    element: h("div", { class: "live" }, toolbar, h("div", { class: "panel flush" }, heads, feed.element, empty)),
    destroy() {
      stop.abort();
      clearInterval(timer);
      feed.destroy();
    },
  };
}
