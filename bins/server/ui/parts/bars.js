// Counts per minute as stacked bars. Each bar leads to its minute in Activity; unknown minutes stay empty and say so.

import { h, svg } from "../lib/dom.js";
import { clock, number, t } from "../lib/i18n.js";
import { to } from "../lib/router.js";

const [WIDTH, HEIGHT] = [720, 120];
/** From the bottom up: routine below, exceptions on top. */
const SERIES = ["allowed", "would_deny", "failed", "denied"];

/** The drawing and its legend for `minutes` of `[{at, allowed, …}]`, out of `length` minutes up to the last. */
export function bars(minutes, length, total) {
  const sums = minutes.map((minute) => SERIES.reduce((sum, name) => sum + minute[name], 0));
  const top = niceTop(Math.max(1, ...sums));
  const slot = WIDTH / length;
  const missing = length - minutes.length;
  const columns = minutes.map((minute, n) => {
    let y = HEIGHT;
    const x = (missing + n) * slot;
    const parts = SERIES.filter((name) => minute[name] > 0).map((name) => {
      // A single denial among thousands must still be seen.
      const height = Math.max(2, (minute[name] / top) * HEIGHT);
      y -= height;
      return svg("rect", { class: `bar ${name}`, x: x + slot * 0.1, y: Math.max(0, y), width: Math.max(1, slot * 0.8), height });
    });
    const since = new Date(minute.at);
    const until = new Date(since.getTime() + 60_000);
    const says = `${clock(since)} · ${SERIES.filter((name) => minute[name] > 0).map((name) => `${t(`count.${name}`)} ${number(minute[name])}`).join(" · ") || t("home.none")}`;
    return svg("a", { href: to("activity", "", { since: since.toISOString(), until: until.toISOString() }), tabindex: "-1", "aria-label": says }, svg("title", {}, says),
      svg("rect", { class: "slot", x, y: 0, width: slot, height: HEIGHT }), parts);
  });
  const unknown = missing > 0 ? svg("rect", { class: "unknown", x: 0, y: 0, width: missing * slot, height: HEIGHT }, svg("title", {}, t("home.unknown"))) : null;
  const labels = SERIES.map((name) => `${t(`count.${name}`)} ${number(total[name])}`).join(", ");
  const first = minutes[0] ? new Date(new Date(minutes.at(-1).at).getTime() - (length - 1) * 60_000) : new Date();
  return h("figure", { class: "minutes" },
    h("div", { class: "minutes-plot" },
      svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "group", "aria-label": labels }, unknown, columns),
      h("span", { class: "minutes-top", "aria-hidden": "true" }, number(top))),
    h("figcaption", {}, h("span", {}, shortTime(first), missing > 2 ? ` · ${t("home.unknown")}` : null), h("span", {}, t("home.now"))));
}

const shortTime = (date) => clock(date).slice(0, 5);

function niceTop(value) {
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 1.5, 2, 3, 4, 5, 6, 8, 10].map((n) => n * power).find((n) => n >= value) ?? value;
}

/** A ranked list with a bar behind each entry. */
export function ranking(entries, none) {
  if (entries.length === 0) return h("p", { class: "muted quiet-empty" }, none);
  const most = Math.max(...entries.map(({ count }) => count));
  return h("ol", { class: "ranking" }, entries.map(({ label, count, href, text }) => h("li", {},
    share(count / most),
    h(href ? "a" : "span", { href, class: "ranking-name" }, label), h("b", {}, text ?? number(count)))));
}

/** The bar behind an entry. */
function share(part) {
  const bar = h("span", { class: "ranking-bar", "aria-hidden": "true" });
  bar.style.width = `${Math.max(1, part * 100)}%`;
  return bar;
}
