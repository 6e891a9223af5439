// The frame: the key, the views, the stream that feeds them, and what is told across views.

import { ApiError, get, key, whenLocked } from "./api.js";
import { field, fill, h } from "./dom.js";
import { follow } from "./events.js";
import { load, number, seconds, t } from "./i18n.js";
import { Steps } from "./steps.js";
import { line } from "./text.js";
import { agents } from "./views/agents.js";
import { approvals } from "./views/approvals.js";
import { gates } from "./views/gates.js";
import { health } from "./views/health.js";
import { live } from "./views/live.js";
import { plans } from "./views/plans.js";

const VIEWS = { live, agents, gates, plans, approvals, health };
/** Rows before the newest that the timeline begins with. */
const BACKLOG = 300;

const root = document.getElementById("app");
let session = null;

/** What the views share. */
class Session {
  steps = new Steps();
  /** The kill switch as last heard of. */
  killSwitch = null;
  #ended = new AbortController();
  #view = null;
  #main = h("main", { id: "main", tabindex: "-1" });
  #state = h("span", { class: "link-state", role: "status" });
  #banner = h("div", { class: "banner-slot", role: "status" });
  #nav = h("nav", { "aria-label": t("nav") });
  #announcer = h("p", { class: "unseen", role: "status" });

  async start() {
    const { journal } = await get("meta");
    if (this.#ended.signal.aborted) return;
    fill(root, this.#frame());
    this.steps.addEventListener("step", ({ detail: { row } }) => {
      if (row?.kind?.startsWith("kill_switch")) this.refreshSwitch();
    });
    this.route();
    this.refreshSwitch();
    const after = Math.max(0, journal.id - BACKLOG);
    const on = { row: (row, id, size) => this.steps.add(row, id, size), state: (state) => this.#tell(state) };
    follow(after, on, this.#ended.signal);
  }

  end() {
    this.#ended.abort();
    this.#view?.destroy?.();
  }

  /** Shows the view that the address names. */
  route() {
    const [name, ...rest] = location.hash.replace(/^#\/?/, "").split("/");
    const view = Object.hasOwn(VIEWS, name) ? name : "live";
    let argument = rest.join("/");
    try {
      argument = decodeURIComponent(argument);
    } catch {
      // Not ours: taken as it is.
    }
    for (const link of this.#nav.querySelectorAll("a")) {
      if (link.dataset.view === view) link.setAttribute("aria-current", "page");
      else link.removeAttribute("aria-current");
    }
    if (this.#view?.name === view && this.#view.show) {
      this.#view.show(argument);
      return;
    }
    const first = this.#view === null;
    this.#view?.destroy?.();
    this.#view = { name: view, ...VIEWS[view](this, argument) };
    const title = h("h1", { tabindex: "-1" }, t(`${view}.title`));
    fill(this.#main, h("header", { class: "view-head" }, title, this.#view.head), this.#view.element);
    document.title = `${t(`${view}.title`)} · life-agent`;
    // Whoever cannot see the page change hears where they are.
    if (!first) title.focus({ preventScroll: true });
    scrollTo(0, 0);
  }

  /** For those who hear the page. */
  announce(text) {
    this.#announcer.textContent = text;
  }

  async refreshSwitch() {
    try {
      this.killSwitch = await get("kill-switch");
    } catch {
      return;
    }
    const { on, reason, forced } = this.killSwitch;
    const why = forced ? t("switch.forced") : line(reason, 300);
    fill(this.#banner, on ? h("p", { class: "banner bad" }, h("b", {}, t("switch.is_on")), " ", h("bdi", {}, why)) : null);
    this.steps.dispatchEvent(new Event("switch"));
  }

  #frame() {
    const links = Object.keys(VIEWS).map((name) =>
      h("li", {}, h("a", { href: `#/${name}`, data: { view: name } }, t(`${name}.title`))));
    fill(this.#nav, h("ul", {}, links));
    const lock = h("button", { type: "button", class: "quiet", on: { click: () => locked() } }, t("lock"));
    const skip = h("a", { class: "skip", href: "#main", on: { click: (event) => {
      event.preventDefault();
      this.#main.focus();
    } } }, t("skip"));
    return [skip, h("header", { class: "top" }, h("a", { class: "brand", href: "#/live" },
      h("img", { src: new URL("icon.svg", import.meta.url).pathname, alt: "", width: "24", height: "24" }), "life-agent"),
    this.#nav, h("div", { class: "top-end" }, this.#state, lock)), this.#banner, this.#main, this.#announcer];
  }

  #tell(state) {
    const texts = {
      connecting: () => t("link.connecting"),
      live: () => t("link.live"),
      resumed: () => t(state.whole ? "link.resumed" : "link.resumed_gap", { after: seconds(state.after / 1000) }),
      waiting: () => t("link.waiting", { wait: number(state.wait / 1000, 1) }),
      refused: () => t("link.refused"),
    };
    const tone = { live: "good", resumed: state.whole ? "good" : "warn", refused: "bad" }[state.now] ?? "warn";
    fill(this.#state, h("span", { class: `dot ${tone}`, "aria-hidden": "true" }), h("span", {}, texts[state.now]()));
    this.#state.dataset.state = state.now;
    if (state.now === "resumed") this.refreshSwitch();
  }
}

/** Asks for the key. */
function locked(problem = null) {
  session?.end();
  session = null;
  key.forget();
  const input = h("input", { type: "password", name: "key", autocomplete: "off", spellcheck: "false", required: true });
  const form = h("form", { on: { submit: (event) => {
    event.preventDefault();
    key.set(input.value.trim());
    begin();
  } } }, field(t("key.label"), input, t("key.hint")), h("button", { type: "submit", class: "primary" }, t("key.open")));
  document.title = "life-agent";
  fill(root, h("main", { class: "gate" }, h("h1", {}, "life-agent"), h("p", {}, t("key.why")),
    problem ? h("p", { class: "alert bad", role: "alert" }, problem) : null, form));
  input.focus();
}

/** Says that the service is away, and tries again. */
function unreachable(problem) {
  const again = h("button", { type: "button", class: "primary", on: { click: begin } }, t("retry"));
  fill(root, h("main", { class: "gate" }, h("h1", {}, "life-agent"),
    h("p", { class: "alert bad", role: "alert" }, problem), again));
  again.focus();
}

async function begin() {
  if (!key.get()) return locked();
  session?.end();
  const mine = new Session();
  session = mine;
  try {
    await mine.start();
  } catch (error) {
    if (session !== mine) return undefined;
    if (!(error instanceof ApiError)) throw error;
    return unreachable(error.status === 0 ? t("error.unreachable") : error.message);
  }
  return undefined;
}

await load();
whenLocked(() => locked(t("key.wrong")));
key.fromFragment();
addEventListener("hashchange", () => {
  if (location.hash.startsWith("#key=")) {
    key.fromFragment();
    begin();
  } else {
    session?.route();
  }
});
begin();
