// The search of Activity: words, and filters such as `agent:hero` or `slow:250ms`.

import { FILTERS } from "../record/journal.js";

const NAMES = Object.keys(FILTERS).filter((name) => name !== "q" && name !== "outcome");
const TOKEN = /(\w+):("[^"]*"|\S+)/g;
/** Spans of time by their name in an address, in minutes. */
export const SPANS = { "15m": 15, "1h": 60, "24h": 24 * 60, "7d": 7 * 24 * 60 };

/** Request ids as the service makes them. */
const REQUEST_ID = /^[0-9a-f-]{24,}$/i;

/** A typed search → parameters of the address. Unknown filters are words, and a word that looks like a request id is one. */
export function parseSearch(text) {
  const params = {};
  const words = text.replace(TOKEN, (whole, name, value) => {
    if (!NAMES.includes(name.toLowerCase())) return whole;
    params[name.toLowerCase()] = value.replaceAll('"', "");
    return "";
  });
  const q = words.replace(/\s+/g, " ").trim();
  if (REQUEST_ID.test(q)) return { ...params, request: q };
  return q ? { ...params, q } : params;
}

/** Parameters of the address → the typed search. */
export function formatSearch(params) {
  const shown = NAMES.filter((name) => params[name] && !["since", "until"].includes(name));
  const tokens = shown.map((name) => `${name}:${/\s/.test(params[name]) ? `"${params[name]}"` : params[name]}`);
  return [...tokens, params.q].filter(Boolean).join(" ");
}

/** Parameters of the address → the service's filter. */
export function serviceFilter(params, now = Date.now()) {
  const filter = {};
  for (const [name, service] of Object.entries(FILTERS)) if (params[name]) filter[service] = params[name];
  if (SPANS[params.last]) filter.since = new Date(now - SPANS[params.last] * 60_000).toISOString();
  for (const side of ["since", "until"]) if (params[side]) filter[side] = time(params[side]);
  if (params.slow) filter.min_elapsed_us = microseconds(params.slow);
  return Object.fromEntries(Object.entries(filter).filter(([, value]) => value !== null && value !== undefined));
}

/** A local time such as `2026-11-29T14:05`, or any time that a browser reads, in UTC; null for others. */
function time(text) {
  const at = new Date(text);
  return Number.isNaN(at.getTime()) ? null : at.toISOString();
}

/** `250ms`, `1.5s` or `250` (milliseconds) in microseconds; null for others. */
function microseconds(text) {
  const found = /^([\d.]+)(us|µs|ms|s)?$/.exec(text);
  const value = Number(found?.[1]) * { us: 1, "µs": 1, ms: 1000, s: 1e6 }[found?.[2] ?? "ms"];
  return Number.isFinite(value) ? Math.round(value) : null;
}
