// The kill switch: behind a disclosure, then behind a question.

import { post } from "./api.js";
import { chip, facts, field, fill, h } from "./dom.js";
import { moment, t } from "./i18n.js";
import { line } from "./text.js";

/** The panel; it follows what the session hears of the switch. */
export function switchPanel(session, signal) {
  const shown = h("div", {});
  const reason = h("input", { maxlength: 1024, required: true, autocomplete: "off" });
  const button = h("button", { type: "submit", class: "danger" });
  const told = h("div", { role: "alert" });
  const form = h("form", { on: { submit: (event) => {
    event.preventDefault();
    ask();
  } } }, field(t("switch.reason"), reason, t("switch.reason_hint")), button, told);
  const details = h("details", { class: "guarded" }, h("summary", {}, t("switch.use")), form);

  function draw() {
    const now = session.killSwitch;
    if (!now) return;
    fill(shown, h("p", {}, chip(now.on ? "bad" : "good", t(now.on ? "switch.on" : "switch.off"))), now.on ? facts([
      [t("switch.why"), now.reason ? h("bdi", {}, line(now.reason, 1024)) : null], [t("switch.since"), now.since ? moment(new Date(now.since)) : null],
    ]) : null, now.forced ? h("p", { class: "alert warn" }, t("switch.forced")) : null);
    button.textContent = t(now.on ? "switch.turn_off" : "switch.turn_on");
    details.hidden = now.forced;
  }

  function ask() {
    const on = !session.killSwitch?.on;
    const yes = h("button", { type: "button", class: "danger", on: { click: () => {
      dialog.close();
      turn(on);
    } } }, t(on ? "switch.turn_on" : "switch.turn_off"));
    const no = h("button", { type: "button", on: { click: () => dialog.close() } }, t("cancel"));
    const dialog = h("dialog", { "aria-labelledby": "switch-question", on: { close: () => dialog.remove() } },
      h("h2", { id: "switch-question" }, t(on ? "switch.sure_on" : "switch.sure_off")), h("p", {}, t(on ? "switch.effect_on" : "switch.effect_off")),
      // Enter does no harm: the way back has the focus.
      h("div", { class: "row" }, no, yes));
    document.body.append(dialog);
    dialog.showModal();
    no.focus();
  }

  async function turn(on) {
    try {
      await post("kill-switch", { on, reason: reason.value.trim() });
      reason.value = "";
      details.open = false;
      fill(told);
      await session.refreshSwitch();
    } catch (error) {
      fill(told, h("p", { class: "alert bad" }, error.message || t("error.unreachable")));
    }
  }

  session.steps.addEventListener("switch", draw, { signal });
  draw();
  return h("section", { class: "panel guarded-panel" }, h("h2", {}, t("switch.title")), h("p", { class: "muted" }, t("switch.about")), shown, details);
}
