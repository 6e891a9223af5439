// The start: the key, the session, and the view that the address names.

import { ApiError, key, whenLocked } from "./lib/api.js";
import { alert, failure, field, fill, h } from "./lib/dom.js";
import { load, t } from "./lib/i18n.js";
import { parse, replace, to } from "./lib/router.js";
import { listen } from "./lib/shortcuts.js";
import { frame } from "./frame.js";
import { openKillSwitch } from "./parts/kill_switch.js";
import { Session } from "./session.js";

/** The views by their name in addresses. Each is loaded when it is first shown, or soon after the first one. */
const VIEWS = {
  home: () => import("./views/home.js").then(({ home }) => home),
  activity: () => import("./views/activity.js").then(({ activity }) => activity),
  requests: () => import("./views/request.js").then(({ request }) => request),
  approvals: () => import("./views/approvals.js").then(({ approvals }) => approvals),
  plans: () => import("./views/plans.js").then(({ plans }) => plans),
  agents: () => import("./views/agents.js").then(({ agents }) => agents),
  policy: () => import("./views/policy.js").then(({ policy }) => policy),
  usage: () => import("./views/usage.js").then(({ usage }) => usage),
  health: () => import("./views/health.js").then(({ health }) => health),
  send: () => import("./views/send.js").then(({ send }) => send),
};
/** The other views are loaded this many milliseconds after the first: they open immediately, and without a network. */
const LOAD_ALL = 3000;
/** The entry of the navigation that a view without one belongs to. */
const PARENT = { requests: "activity" };

const root = document.getElementById("app");
let current = null;

/** A session on the page: its frame and the view that is shown. */
class Page {
  session = new Session();
  #frame = null;
  #view = null;
  #routed = 0;

  async start() {
    await this.session.start();
    if (this.session.signal.aborted) return;
    this.#frame = frame(this.session, () => locked());
    this.session.announce = (text) => this.#frame.announce(text);
    fill(root, this.#frame.elements);
    this.session.addEventListener("state", () => this.#recover(), { signal: this.session.signal });
    listen({
      go: (view) => { location.hash = to(view); },
      search: () => this.#search(),
      move: (by) => this.#view?.move?.(by),
      step: (by) => this.#view?.step?.(by),
      killSwitch: () => openKillSwitch(this.session),
    }, this.session.signal);
    await this.route();
    setTimeout(() => Object.values(VIEWS).forEach((load) => load().catch(() => {})), LOAD_ALL);
  }

  end() {
    this.session.end();
    this.#view?.destroy?.();
  }

  /** Shows the view that the address names. */
  async route() {
    if (!this.#frame) return;
    const { view: name, argument, params } = parse(location.hash);
    const view = Object.hasOwn(VIEWS, name) ? name : "home";
    if (view !== name) replace(to(view));
    this.#frame.current(PARENT[view] ?? view);
    const mine = ++this.#routed;
    if (this.#view?.name === view && this.#view.show) {
      this.#view.show(argument, params);
      return;
    }
    const show = await VIEWS[view]().catch(() => null);
    // Another address may have been chosen meanwhile.
    if (mine !== this.#routed || this.session.signal.aborted) return;
    const first = this.#view === null;
    this.#view?.destroy?.();
    this.#view = { name: view, ...(show ? show(this.session, argument, params) : { element: failure(new ApiError(0, { message: "" })) }) };
    const title = h("h1", { tabindex: "-1" }, t(`${view}.title`));
    this.#frame.main.dataset.view = view;
    fill(this.#frame.main, h("header", { class: "view-head" }, title, this.#view.head), this.#view.element);
    document.title = `${t(`${view}.title`)} · life-agent`;
    // A screen reader announces the new view.
    if (!first) title.focus({ preventScroll: true });
    scrollTo(0, 0);
  }

  /** Reads a view again that the service did not respond to. A view with a text that is being written stays. */
  #recover() {
    if (this.session.state.now !== "resumed" || !this.#frame.main.querySelector(".unreachable") || this.#frame.main.querySelector("textarea")) return;
    this.#view?.destroy?.();
    this.#view = null;
    this.route();
  }

  /** Puts the cursor into the view's search, or into that of Activity. */
  #search() {
    if (this.#view?.search) return this.#view.search();
    history.pushState(null, "", `${location.pathname}${to("activity")}`);
    return this.route().then(() => this.#view?.search?.());
  }
}

/** Asks for the key. */
function locked(problem = null) {
  current?.end();
  current = null;
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

/** Reports that the service does not respond, and offers another attempt. */
function unreachable(problem) {
  const again = h("button", { type: "button", class: "primary", on: { click: begin } }, t("retry"));
  fill(root, h("main", { class: "gate" }, h("h1", {}, "life-agent"), h("div", { role: "alert" }, alert("bad", problem)), again));
  again.focus();
}

async function begin() {
  if (!key.get()) return locked();
  current?.end();
  const mine = new Page();
  current = mine;
  try {
    await mine.start();
  } catch (error) {
    if (current !== mine) return undefined;
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
    current?.route();
  }
});
begin();
