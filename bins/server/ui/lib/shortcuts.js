// Keyboard shortcuts, and the dialog that lists them.

import { h, openDialog } from "./dom.js";
import { t } from "./i18n.js";

/** A second key within this time completes a sequence such as `g h`. */
const SEQUENCE = 1200;
const GO = { h: "home", a: "activity", r: "approvals", p: "plans", g: "agents", o: "policy", u: "usage", e: "health", s: "send" };
const LISTED = [
  ["/", "keys.search"], ["j", "keys.next"], ["k", "keys.previous"], ["Enter", "keys.open"], ["[", "keys.older"], ["]", "keys.newer"],
  ["g h", "keys.home"], ["g a", "keys.activity"], ["g r", "keys.approvals"], ["g p", "keys.plans"], ["g g", "keys.agents"], ["g o", "keys.policy"],
  ["!", "keys.switch"], ["?", "keys.help"],
];

/** Listens until `signal`. `on` has `go(view)`, `search()`, `move(by)`, `step(by)` and `killSwitch()`. */
export function listen(on, signal) {
  let pending = -SEQUENCE;
  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented || isTyping(event.target)) return;
    if (document.querySelector("dialog[open]")) return;
    const key = event.key;
    // When the keys were pressed: the page may be too busy to hear of them at that time.
    const after = event.timeStamp - pending < SEQUENCE;
    pending = key === "g" && !after ? event.timeStamp : -SEQUENCE;
    const action = after && GO[key] ? () => on.go(GO[key]) : {
      "/": on.search, j: () => on.move(1), k: () => on.move(-1), "[": () => on.step(-1), "]": () => on.step(1), "!": on.killSwitch, "?": showHelp,
    }[key];
    if (!action) return;
    event.preventDefault();
    action();
  }, { signal });
}

function isTyping(target) {
  return target instanceof HTMLElement && (target.isContentEditable || ["INPUT", "TEXTAREA", "SELECT"].includes(target.tagName));
}

/** Opens the list of shortcuts. */
export function showHelp() {
  const close = h("button", { type: "button", on: { click: () => dialog.close() } }, t("close"));
  const rows = LISTED.map(([keys, text]) => h("div", {}, h("dt", {}, keys.split(" ").map((key, n) => [n > 0 ? " " : null, h("kbd", {}, key)])), h("dd", {}, t(text))));
  const dialog = openDialog(t("keys.title"), [h("dl", { class: "keys" }, rows), h("div", { class: "row end" }, close)]);
  close.focus();
}
