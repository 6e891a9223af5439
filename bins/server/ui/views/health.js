// Health: the service against its thresholds, drawn from `/metrics`, and whether the record is intact.

import { get, text } from "../lib/api.js";
import { Chart } from "../lib/chart.js";
import { chip, fill, h } from "../lib/dom.js";
import { bytes, number, seconds, t } from "../lib/i18n.js";
import { buckets, parse, quantile, sum } from "../lib/prometheus.js";
import { verifyPanel } from "../parts/verify_panel.js";

const EVERY = 5000;
/** Scrapes that the charts go back: ten minutes. */
const KEPT = 120;
/** Seconds that the charts show at least, however short they have been drawn. */
const SPAN = 120;
/** Not the requests of this page, and not streams, which last as long as they last. */
const ours = ({ route = "" }) => route !== "/metrics" && route !== "/events" && !route.startsWith("/ui");

/** From these values on, a figure is watched, and is bad. */
const THRESHOLDS = {
  p99: [0.25, 1], commit99: [0.05, 0.25], failedShare: [0.0001, 0.01], journalErrors: [1, 1], modelErrors: [0.001, 0.2], memory: [1024 ** 3, 2 * 1024 ** 3],
};

/** `good`, `warn` or `bad` for a value. */
export function toneOf(name, value) {
  if (value === null || value === undefined || Number.isNaN(value)) return "plain";
  const [warn, bad] = THRESHOLDS[name];
  return value >= bad ? "bad" : value >= warn ? "warn" : "good";
}

export function health(session) {
  const stop = new AbortController();
  const tiles = h("dl", { class: "tiles" });
  const told = h("p", { class: "muted", role: "status" }, t("health.first"));
  const perSecond = (value) => number(value, 2);
  const charts = {
    rate: new Chart({ caption: t("health.rate"), series: [t("health.all"), t("health.failed")], format: perSecond, span: SPAN }),
    latency: new Chart({ caption: t("health.latency"), series: ["p50", "p95", "p99"], format: seconds, span: SPAN }),
    commit: new Chart({ caption: t("health.commit"), series: ["p50", "p99"], format: seconds, span: SPAN }),
    tokens: new Chart({ caption: t("health.tokens"), series: [t("health.prompt"), t("health.completion"), t("health.model_errors")], format: perSecond, span: SPAN }),
  };
  const points = [];
  let [before, busy] = [null, false];

  async function scrape() {
    // A hidden page asks for nothing.
    if (busy || document.hidden) return;
    busy = true;
    try {
      const now = { at: Date.now() / 1000, samples: parse(await text("metrics")) };
      const model = await get("llm/status", {}, stop.signal);
      if (before) {
        points.push(point(before, now));
        if (points.length > KEPT) points.shift();
        draw();
      }
      before = now;
      fill(tiles, tilesOf(now.samples, points.at(-1), model));
      told.textContent = points.length === 0 ? t("health.first") : t("health.about");
    } catch (error) {
      if (error.name !== "AbortError") told.textContent = error.message || t("error.unreachable");
      // What was counted before a restart says nothing about after.
      before = null;
    } finally {
      busy = false;
    }
  }

  function draw() {
    const x = points.map((one) => one.at);
    const of = (...names) => [x, ...names.map((name) => points.map((one) => one[name]))];
    const last = points.at(-1);
    charts.rate.set(of("rate", "failed"), [perSecond(last.rate), perSecond(last.failed)]);
    charts.latency.set(of("p50", "p95", "p99"), [last.p50, last.p95, last.p99].map(seconds));
    charts.commit.set(of("commit50", "commit99"), [last.commit50, last.commit99].map(seconds));
    charts.tokens.set(of("prompt", "completion", "modelErrors"), [last.prompt, last.completion, last.modelErrors].map(perSecond));
  }

  const timer = setInterval(scrape, EVERY);
  const soon = setTimeout(scrape, 1200);
  document.addEventListener("visibilitychange", scrape, { signal: stop.signal });
  scrape();
  return {
    head: told,
    element: h("div", { class: "stack" }, h("section", { "aria-label": t("health.title") }, tiles),
      h("div", { class: "pair-grid" }, Object.values(charts).map((chart) => h("section", { class: "panel" }, chart.element))),
      verifyPanel(session, stop.signal)),
    destroy() {
      stop.abort();
      clearInterval(timer);
      clearTimeout(soon);
      Object.values(charts).forEach((chart) => chart.destroy());
    },
  };
}

/** What happened between two scrapes. */
function point(before, now) {
  const span = Math.max(0.001, now.at - before.at);
  const grown = (name, where) => Math.max(0, sum(now.samples, name, where) - sum(before.samples, name, where)) / span;
  const quantiles = (name, where) => {
    const [from, to] = [buckets(before.samples, name, where), buckets(now.samples, name, where)];
    return (q) => quantile(q, from, to);
  };
  const answered = quantiles("http_request_seconds", ours);
  const committed = quantiles("journal_commit_seconds");
  const tokens = (type) => grown("llm_tokens_total", (labels) => labels.type === type);
  return {
    at: now.at,
    rate: grown("http_requests_total", ours),
    failed: grown("http_requests_total", (labels) => ours(labels) && labels.status?.startsWith("5")),
    p50: answered(0.5), p95: answered(0.95), p99: answered(0.99),
    commit50: committed(0.5), commit99: committed(0.99),
    prompt: tokens("prompt"), completion: tokens("completion"),
    modelErrors: grown("gen_ai_client_operation_duration_seconds_count", (labels) => Boolean(labels.error_type)),
  };
}

function tilesOf(samples, last, model) {
  const total = (name) => sum(samples, name);
  const started = total("process_start_time_seconds");
  const breaker = model.breaker && model.breaker !== "closed" ? model.breaker : null;
  const errors = total("journal_errors_total");
  const memory = total("process_resident_memory_bytes");
  const failedShare = last && last.rate > 0 ? last.failed / last.rate : last ? 0 : null;
  const tiles = [
    ["health.tile_rate", last ? number(last.rate, 1) : "–", "plain", null],
    ["health.tile_p99", seconds(last?.p99), toneOf("p99", last?.p99), t("health.limit", { limit: seconds(THRESHOLDS.p99[0]) })],
    ["health.tile_failed", last ? `${number(failedShare * 100, 2)} %` : "–", toneOf("failedShare", failedShare), t("health.expected")],
    ["health.tile_commit", seconds(last?.commit99), toneOf("commit99", last?.commit99), t("health.limit", { limit: seconds(THRESHOLDS.commit99[0]) })],
    ["health.tile_errors", number(errors), toneOf("journalErrors", errors), t("health.expected")],
    ["health.tile_memory", bytes(memory), toneOf("memory", memory), t("health.limit", { limit: bytes(THRESHOLDS.memory[0]) })],
    ["health.tile_model", model.configured ? model.model_default : t("health.no_model"), breaker ? "bad" : model.configured ? toneOf("modelErrors", last?.modelErrors) : "plain", breaker ? t(`breaker.${breaker}`) : null],
    ["health.tile_tokens", number(total("llm_tokens_total")), "plain", t("health.since_start")],
    ["health.tile_streams", number(total("sse_subscribers")), "plain", null],
    ["health.tile_up", started > 0 ? uptime(Date.now() / 1000 - started) : "–", "plain", null],
  ];
  return tiles.map(([name, value, tone, note]) => h("div", { class: `tile ${tone}` }, h("dt", {}, t(name)), h("dd", {}, h("b", {}, value),
    ["warn", "bad"].includes(tone) ? chip(tone, t(`health.${tone}`)) : null, note ? h("small", {}, note) : null)));
}

function uptime(total) {
  const [days, hours, minutes] = [Math.floor(total / 86400), Math.floor(total / 3600) % 24, Math.floor(total / 60) % 60];
  if (days > 0) return t("health.days", { days, hours });
  return hours > 0 ? t("health.hours", { hours, minutes }) : t("health.minutes", { minutes });
}
