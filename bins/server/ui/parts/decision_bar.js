// The bar at the end of an approval or a plan: who decides, what they may do, and why they may not.

import { ApiError } from "../lib/api.js";
import { failure, fill, h } from "../lib/dom.js";
import { t } from "../lib/i18n.js";
import { line } from "../lib/text.js";

/**
 * The bar. `choices` are `{value, text, tone}`, `decide(value, note)` sends the decision, and `unavailable` is a
 * sentence on why this key cannot decide, or null.
 */
export function decisionBar(session, { choices, unavailable, decide }) {
  const who = h("p", { class: "decision-who" }, t("decision.signed_in"), " ", h("b", {}, h("bdi", {}, line(session.me?.principal ?? "", 64))), session.me?.person ? ` (${line(session.me.person, 64)})` : "");
  if (unavailable) return h("div", { class: "decision-bar" }, who, h("p", { class: "decision-why" }, unavailable));
  const note = h("input", { maxlength: 4096, autocomplete: "off", placeholder: t("plans.note"), "aria-label": t("plans.note") });
  const problem = h("div", { role: "alert" });
  const buttons = choices.map(({ value, text, tone }) => h("button", { type: "submit", value, class: tone }, text));
  return h("form", { class: "decision-bar", on: { submit: async (event) => {
    event.preventDefault();
    // Enter in the note decides nothing: a button does.
    if (!event.submitter || document.activeElement === note) return;
    buttons.forEach((button) => { button.disabled = true; });
    try {
      await decide(event.submitter.value, note.value.trim());
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      fill(problem, failure(error));
      buttons.forEach((button) => { button.disabled = false; });
    }
  } } }, who, note, h("div", { class: "row" }, buttons), problem);
}

/** Why a key cannot decide: it lacks the scope, or the request is its own. Null if neither. */
export function whyNot(session, { own }) {
  if (!session.may("approve")) return t("unavailable.scope", { key: session.me?.principal ?? "", scope: "approve" });
  return own ? t("unavailable.own", { key: session.me?.principal ?? "" }) : null;
}
