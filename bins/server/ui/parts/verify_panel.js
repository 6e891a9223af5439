// Whether the record is intact: the service recomputes the hash of every row on demand.

import { get, post } from "../lib/api.js";
import { alert, copyButton, failure, fill, h, panel } from "../lib/dom.js";
import { moment, number, t } from "../lib/i18n.js";
import { to } from "../lib/router.js";

/** The panel. */
export function verifyPanel(session, signal) {
  const head = h("p", { class: "muted" });
  const result = h("div", { "aria-live": "polite" });
  const button = h("button", { type: "button", disabled: !session.may("read"), on: { click: async () => {
    button.disabled = true;
    fill(result, h("p", { class: "muted" }, t("verify.running")));
    try {
      fill(result, verdict(await post("audit/verify", {})));
    } catch (error) {
      fill(result, failure(error));
    } finally {
      button.disabled = false;
    }
  } } }, t("verify.run"));
  get("journal/head", {}, signal).then(({ id }) => { head.textContent = t("verify.about", { rows: number(id) }); }).catch(() => {});
  return panel(t("verify.title"), head, h("div", { class: "row" }, button), result);
}

function verdict(answer) {
  if (!answer.intact) return alert("bad", h("b", {}, t("verify.broken")), " ", answer.fault ?? "", " ", answer.broken_row > 0 ? h("a", { href: to("requests", String(answer.broken_row)) }, `#${answer.broken_row}`) : null);
  const head = `${answer.head.id}:${answer.head.hash}`;
  return [
    alert("good", h("b", {}, t("verify.intact")), " ", t("verify.checked", { rows: number(answer.rows), when: moment(new Date()) }),
      answer.pruned ? ` ${t("verify.pruned", { row: number(answer.pruned.id) })}` : ""),
    h("p", { class: "muted" }, t("verify.keep")), h("div", { class: "row" }, h("code", { class: "hash" }, head), copyButton(t("copy"), t("copied"), head)),
  ];
}
