// The button that stops an agent, for keys that may, and the stop while it lasts.

import { post } from "../lib/api.js";
import { chip, failure, field, fill, h, openDialog } from "../lib/dom.js";
import { moment, t } from "../lib/i18n.js";
import { line } from "../lib/text.js";

/** Shows whether an agent is stopped, and offers the change. */
export function stopButton(session, agent, signal) {
  const place = h("div", { class: "row", role: "status" });
  const draw = () => {
    const stop = session.stops.find((each) => each.agent === agent);
    const why = session.may("operate") ? null : t("unavailable.scope", { key: session.me?.principal ?? "", scope: "operate" });
    fill(place, stop ? [chip("bad", t("stop.stopped")), h("small", { class: "muted" }, h("bdi", {}, line(stop.reason, 200)), " · ", t("switch.turned_by", { who: line(stop.by ?? "?", 64), when: moment(new Date(stop.since)) }))] : null,
      h("button", { type: "button", class: stop ? "small" : "small danger", disabled: why !== null, title: why, on: { click: () => askToStop(session, agent, !stop) } }, t(stop ? "stop.release" : "stop.stop")));
  };
  session.addEventListener("attention", draw, { signal });
  draw();
  return place;
}

/** Asks for the reason, and stops or releases the agent. */
export function askToStop(session, agent, on) {
  const reason = h("input", { maxlength: 1024, required: on, autocomplete: "off" });
  const problem = h("div", { role: "alert" });
  const cancel = h("button", { type: "button", on: { click: () => dialog.close() } }, t("cancel"));
  const confirm = h("button", { type: "submit", class: on ? "danger solid" : "primary" }, t(on ? "stop.stop" : "stop.release"));
  const form = h("form", { on: { submit: async (event) => {
    event.preventDefault();
    confirm.disabled = true;
    try {
      await post("stops", { agent, on, reason: reason.value.trim() || t("stop.released") });
      await session.refresh();
      dialog.close();
    } catch (error) {
      fill(problem, failure(error));
      confirm.disabled = false;
    }
  } } }, field(t("switch.reason"), reason), problem, h("div", { class: "row end" }, cancel, confirm));
  const dialog = openDialog(t(on ? "stop.sure" : "stop.sure_off", { name: line(agent, 64) }), [h("p", {}, t(on ? "stop.effect" : "stop.effect_off")), form]);
  reason.focus();
}
