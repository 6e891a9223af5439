// The button that stops an agent, for keys that may.

import { get, post } from "./api.js";
import { chip, fill, h } from "./dom.js";
import { t } from "./i18n.js";
import { line } from "./text.js";

/** Shows whether an agent is stopped, and offers the change where the key allows it. */
export function stopButton(agent, signal) {
  const place = h("div", { class: "row", role: "status" });
  read();
  return place;

  async function read() {
    try {
      const [{ scopes }, { stops }] = await Promise.all([get("whoami", {}, signal), get("stops", {}, signal)]);
      draw(stops.find((stop) => stop.agent === agent), scopes.includes("operate"));
    } catch (error) {
      if (error.name !== "AbortError") fill(place, h("span", { class: "alert bad" }, error.message || t("error.unreachable")));
    }
  }

  function draw(stop, may) {
    const label = t(stop ? "stop.release" : "stop.stop");
    const button = may ? h("button", { type: "button", class: stop ? null : "danger", on: { click: () => change(!stop, button) } }, label) : null;
    fill(place, stop ? [chip("bad", t("stop.stopped")), h("bdi", {}, line(stop.reason, 300))] : null, button);
  }

  async function change(on, button) {
    button.disabled = true;
    try {
      await post("stops", { agent, on, reason: on ? t("stop.reason") : "" });
    } catch (error) {
      return fill(place, h("span", { class: "alert bad" }, error.message || t("error.unreachable")));
    }
    return read();
  }
}
