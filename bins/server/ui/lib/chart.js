// Charts: uPlot in the page's colors, with a legend in words and a size that follows its place.

import uPlot from "../vendor/uplot/uPlot.esm.js";
import { fill, h } from "./dom.js";
import { number, tick } from "./i18n.js";

const HEIGHT = 170;

/**
 * A chart below a caption. `series` are labels; colors go by their order. `time` reads x as seconds since
 * 1970; `span` is the least that x covers, up to its last; `format` writes y values; `range` fixes y.
 */
export class Chart {
  #options;
  #host = h("div", { class: "plot", role: "img" });
  #legend = h("ul", { class: "legend" });
  #plot = null;
  #data = [[]];
  #resized = new ResizeObserver(([entry]) => this.#fit(entry.contentRect.width));
  #dark = matchMedia("(prefers-color-scheme: dark)");
  #onTheme = () => this.#draw();

  constructor(options) {
    this.#options = { format: (value) => number(value, 2), time: true, ...options };
    const caption = h("figcaption", {}, options.caption);
    this.element = h("figure", { class: "chart" }, caption, this.#host, this.#legend);
    this.#host.setAttribute("aria-label", options.caption);
    this.#resized.observe(this.#host);
    this.#dark.addEventListener("change", this.#onTheme);
  }

  /** New values: x, then one list a series. `says` is the text of the legend for each series. */
  set(data, says = []) {
    this.#data = data;
    const { series, caption } = this.#options;
    fill(this.#legend, series.map((label, index) => h("li", {},
      h("span", { class: `swatch s${index % 8}`, "aria-hidden": "true" }), label, says[index] ? h("b", {}, says[index]) : null)));
    this.#host.setAttribute("aria-label", [caption, ...series.map((label, n) => `${label} ${says[n] ?? ""}`)].join("; "));
    if (this.#plot) this.#plot.setData(this.#data);
    else this.#draw();
  }

  destroy() {
    this.#resized.disconnect();
    this.#dark.removeEventListener("change", this.#onTheme);
    this.#plot?.destroy();
  }

  #fit(width) {
    if (width > 0 && this.#plot && this.#plot.width !== Math.floor(width)) {
      this.#plot.setSize({ width: Math.floor(width), height: HEIGHT });
    }
    if (width > 0 && !this.#plot) this.#draw();
  }

  #draw() {
    const width = Math.floor(this.#host.clientWidth);
    this.#plot?.destroy();
    this.#plot = null;
    if (width === 0) return;
    const css = getComputedStyle(document.documentElement);
    const color = (name) => css.getPropertyValue(`--${name}`).trim();
    const { format, time, range, series, span } = this.#options;
    const ink = { stroke: color("muted"), font: "12px system-ui, sans-serif" };
    const grid = { stroke: color("line"), width: 1 };
    const lines = series.map((label, index) => ({ label, stroke: color(`s${index % 8}`), width: 1.75, points: { size: 5 } }));
    const options = {
      width,
      height: HEIGHT,
      legend: { show: false },
      cursor: { show: false },
      // Room for half of the last time below the axis.
      padding: [10, time ? 32 : 12, 0, 0],
      scales: { x: { time, range: () => across(this.#data[0], time, span) }, y: { range: range ?? ((_, __, max) => [0, max > 0 ? max * 1.08 : 1]) } },
      axes: [
        { ...ink, grid: { show: false }, ticks: { show: false }, space: 80, size: 30,
          values: (_, splits, __, ___, step) => splits.map((at) => (time ? tick(new Date(at * 1000), step) : Number.isInteger(at) ? number(at) : "")) },
        { ...ink, grid, ticks: { show: false }, size: 62, values: (_, splits) => splits.map(format) },
      ],
      series: [{}, ...lines],
    };
    this.#plot = new uPlot(options, this.#data, this.#host);
  }
}

/** What x covers: at least `span`, up to now where there is nothing yet, and never nothing. */
function across(x, time, span = 0) {
  // Of one value, uPlot would make a range of its own.
  const last = x.at(-1) ?? (time ? Date.now() / 1000 : 1);
  const first = Math.min(x[0] ?? last, last - span);
  return first < last ? [first, last] : [first, last + 1];
}
