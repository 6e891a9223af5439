// Small line drawings. They decorate a text that says the same.

import { svg } from "./dom.js";

const PATHS = {
  home: "M3 11.5 12 4l9 7.5M5.5 9.5V20h13V9.5",
  activity: "M3 12h4l3-8 4 16 3-8h4",
  approvals: "M12 3l7 3v5c0 5-3 8-7 10-4-2-7-5-7-10V6zM9 11.5l2.2 2.2L15.5 9.5",
  plans: "M6 3h8l4 4v14H6zM14 3v4h4M9 12h6M9 16h6",
  agents: "M5 8h14v11H5zM12 4v4M9 13v1M15 13v1M2 12v3M22 12v3",
  policy: "M4 5h16M4 12h10M4 19h16M18 10v4",
  usage: "M4 20V10M10 20V4M16 20v-7M22 20H2",
  health: "M12 20s-8-5-8-11a4.5 4.5 0 0 1 8-2.8A4.5 4.5 0 0 1 20 9c0 6-8 11-8 11z",
  send: "M4 12 20 4l-5 16-3.5-6.5z",
  stop: "M8 3h8l5 5v8l-5 5H8l-5-5V8zM9 12h6",
  menu: "M4 7h16M4 12h16M4 17h16",
  warn: "M12 4 2.5 20h19zM12 10v4M12 17v.5",
  check: "M5 12.5l4.5 4.5L19 7.5",
  clock: "M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18zM12 7v5l3 2",
  bad: "M6 6l12 12M18 6 6 18",
  search: "M11 4a7 7 0 1 0 0 14 7 7 0 0 0 0-14zM16 16l5 5",
};

/** A drawing in the color of the text around it. */
export function icon(name, className = "") {
  return svg("svg", { class: `icon ${className}`.trim(), viewBox: "0 0 24 24", "aria-hidden": "true", focusable: "false" }, svg("path", { d: PATHS[name] ?? "" }));
}
