// The frame around the views: navigation with counts, the connection, who is signed in, and the kill switch.

import { fill, h } from "./lib/dom.js";
import { number, seconds, t } from "./lib/i18n.js";
import { icon } from "./lib/icons.js";
import { to } from "./lib/router.js";
import { showHelp } from "./lib/shortcuts.js";
import { line } from "./lib/text.js";
import { openKillSwitch, switchBanner } from "./parts/kill_switch.js";
import { MOST_WAITING } from "./session.js";

const GROUPS = [["home", "activity"], ["approvals", "plans"], ["agents", "policy", "usage", "health"], ["send"]];

/** The frame of a session: `elements`, `main`, `current(view)` and `announce(text)`. */
export function frame(session, onLock) {
  const signal = session.signal;
  const main = h("main", { id: "main", tabindex: "-1" });
  const announcer = h("p", { class: "unseen", role: "status" });
  const banner = h("div", { class: "banner-slot", role: "status" });
  const link = h("span", { class: "link-state", role: "status" });
  const badges = { approvals: h("span", { class: "badge", hidden: true }), plans: h("span", { class: "badge", hidden: true }) };
  const nav = h("nav", { id: "views", "aria-label": t("nav") }, GROUPS.map((names) => h("ul", {}, names.map((name) =>
    h("li", {}, h("a", { href: to(name), data: { view: name } }, icon(name), h("span", {}, t(`${name}.title`)), badges[name]))))));
  const menu = h("button", { type: "button", class: "quiet menu", "aria-expanded": "false", "aria-controls": "views", on: { click: () => toggle(!side.classList.contains("open")) } },
    icon("menu"), h("span", { class: "unseen" }, t("menu")));
  const stop = h("button", { type: "button", class: "switch-button", on: { click: () => openKillSwitch(session) } }, icon("stop"), h("span", {}));
  const me = h("div", { class: "me" }, h("bdi", { class: "me-name" }, line(session.me?.principal ?? "", 64)),
    h("small", {}, (session.me?.scopes ?? []).join(" · ")));
  const side = h("header", { class: "side" },
    h("div", { class: "side-top" }, h("a", { class: "brand", href: to("home") }, h("img", { src: new URL("icon.svg", import.meta.url).pathname, alt: "", width: "22", height: "22" }), "life-agent"), link, menu),
    h("div", { class: "side-body" }, nav, h("div", { class: "side-end" }, me,
      h("div", { class: "row" }, h("button", { type: "button", class: "quiet small", on: { click: showHelp } }, t("keys.short")),
        h("button", { type: "button", class: "quiet small", on: { click: onLock } }, t("lock"))))),
    stop);
  const skip = h("a", { class: "skip", href: "#main", on: { click: (event) => {
    event.preventDefault();
    main.focus();
  } } }, t("skip"));

  function toggle(open) {
    side.classList.toggle("open", open);
    menu.setAttribute("aria-expanded", String(open));
  }

  function drawState() {
    const { state } = session;
    const texts = {
      connecting: () => t("link.connecting"),
      live: () => t("link.live"),
      resumed: () => t(state.whole ? "link.resumed" : "link.resumed_gap", { after: seconds(state.after / 1000) }),
      waiting: () => t("link.waiting", { wait: number(state.wait / 1000, 1) }),
      refused: () => t("link.refused"),
    };
    const tone = { live: "good", resumed: state.whole ? "good" : "warn", refused: "bad" }[state.now] ?? "warn";
    fill(link, h("span", { class: `dot ${tone}`, "aria-hidden": "true" }), h("span", {}, texts[state.now]()));
    link.dataset.state = state.now;
  }

  function drawAttention() {
    const counts = { approvals: [session.approvals.length, session.approvals.length >= MOST_WAITING], plans: [session.plans.waiting.length, session.plans.more] };
    for (const [name, [count, more]] of Object.entries(counts)) {
      badges[name].hidden = count === 0;
      fill(badges[name], `${number(count)}${more ? "+" : ""}`, h("span", { class: "unseen" }, ` ${t("waiting")}`));
    }
    const on = session.killSwitch?.on ?? false;
    stop.classList.toggle("on", on);
    stop.lastChild.textContent = t(on ? "switch.button_on" : "switch.button");
    fill(banner, on ? switchBanner(session) : null);
  }

  session.addEventListener("state", drawState, { signal });
  session.addEventListener("attention", drawAttention, { signal });
  drawState();
  drawAttention();
  return {
    elements: [skip, side, h("div", { class: "page" }, banner, main), announcer],
    main,
    current(view) {
      toggle(false);
      for (const each of nav.querySelectorAll("a")) {
        if (each.dataset.view === view) each.setAttribute("aria-current", "page");
        else each.removeAttribute("aria-current");
      }
    },
    announce(text) {
      announcer.textContent = text;
    },
  };
}

