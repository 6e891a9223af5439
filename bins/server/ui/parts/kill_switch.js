// The kill switch: a dialog that every page offers, and the banner while it is on.

import { post } from "../lib/api.js";
import { alert, facts, failure, field, fill, h, openDialog } from "../lib/dom.js";
import { moment, t } from "../lib/i18n.js";
import { line } from "../lib/text.js";

/** Opens the dialog: one step to see the switch, a second to turn it. */
export function openKillSwitch(session) {
  const now = session.killSwitch ?? { on: false, forced: false };
  const target = !now.on;
  const reason = h("input", { maxlength: 1024, required: true, autocomplete: "off" });
  const problem = h("div", { role: "alert" });
  const cancel = h("button", { type: "button", on: { click: () => dialog.close() } }, t("cancel"));
  const turn = h("button", { type: "submit", class: "danger solid" }, t(target ? "switch.turn_on" : "switch.turn_off"));
  const why = whyNot(session, now);
  const form = h("form", { on: { submit: async (event) => {
    event.preventDefault();
    turn.disabled = true;
    try {
      await post("kill-switch", { on: target, reason: reason.value.trim() });
      await session.refresh();
      dialog.close();
    } catch (error) {
      fill(problem, failure(error));
      turn.disabled = false;
    }
  } } }, field(t("switch.reason"), reason, t("switch.reason_hint")), problem, h("div", { class: "row end" }, cancel, turn));
  const dialog = openDialog(t(target ? "switch.sure_on" : "switch.sure_off"), [
    h("p", {}, t(target ? "switch.effect_on" : "switch.effect_off")), state(now),
    why ? [alert("warn", why), h("div", { class: "row end" }, cancel)] : form,
  ]);
  // An accidental Enter changes nothing: the reason is required.
  (why ? cancel : reason).focus();
}

/** Why this key cannot turn the switch; null if it can. */
function whyNot(session, now) {
  if (now.forced) return t("switch.forced");
  return session.may("operate") ? null : t("unavailable.scope", { key: session.me?.principal ?? "", scope: "operate" });
}

function state(now) {
  if (!now.since) return null;
  return facts([
    [t("switch.state"), t(now.on ? "switch.on" : "switch.off")],
    [t("switch.by"), now.by ? h("bdi", {}, line(now.by, 64)) : null],
    [t("switch.since"), moment(new Date(now.since))],
    [t("switch.why"), now.reason ? h("bdi", {}, line(now.reason, 1024)) : null],
  ]);
}

/** What every page shows while the switch is on. */
export function switchBanner(session) {
  const { reason, by, since, forced } = session.killSwitch;
  const who = by ? t("switch.turned_by", { who: line(by, 64), when: since ? moment(new Date(since)) : "" }) : null;
  return h("div", { class: "banner bad" }, h("p", {}, h("b", {}, t("switch.is_on")), " ", forced ? t("switch.forced") : h("bdi", {}, line(reason, 300)), who ? h("span", { class: "banner-who" }, who) : null),
    h("button", { type: "button", class: "small", on: { click: () => openKillSwitch(session) } }, t("switch.turn_off_ask")));
}
