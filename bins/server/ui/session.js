// What the views share while a key is in use: who is signed in, the stream of rows, and what waits for a person.

import { get } from "./lib/api.js";
import { follow } from "./record/stream.js";

/** How often counts are read that no row announces, such as approvals that expire. */
const REFRESH = 60_000;
/** Rows that change what waits for a person. */
const ATTENTION = /^(approval\.|plan\.|stop\.|kill_switch\.|policy\.)/;
/** Plans that are counted; more are shown as this number and a plus. */
export const MOST_WAITING = 50;

/**
 * Dispatches `row` for each new row (`detail: {row, id, size}`), `state` for the connection, and `attention` when
 * the kill switch, a stop, or the number of waiting approvals or plans has changed.
 */
export class Session extends EventTarget {
  /** The answer of `/whoami`. */
  me = null;
  killSwitch = null;
  stops = [];
  approvals = [];
  /** Whether the active policy lets authors review their own plans. */
  selfReview = false;
  plans = { waiting: [], more: false };
  /** Whether all that may wait could be read. */
  whole = true;
  /** The last state of the connection. */
  state = { now: "connecting" };
  /** Rows of the list that a request was opened from, newest first, so that the next one can be opened. */
  trail = [];
  #ended = new AbortController();
  #timer = 0;
  #later = 0;

  /** Aborted when the key is forgotten. */
  get signal() {
    return this.#ended.signal;
  }

  async start() {
    // Alone: a wrong key is sent once.
    this.me = await get("whoami");
    const [{ journal }] = await Promise.all([get("meta"), this.refresh()]);
    if (this.signal.aborted) return;
    const on = {
      row: (row, id, size) => this.#row(row, id, size),
      state: (state) => {
        this.state = state;
        if (state.now === "resumed") this.refresh();
        this.dispatchEvent(new Event("state"));
      },
    };
    follow(journal.id, on, this.signal);
    this.#timer = setInterval(() => document.hidden || this.refresh(), REFRESH);
  }

  end() {
    this.#ended.abort();
    clearInterval(this.#timer);
    clearTimeout(this.#later);
  }

  /** Whether the key has a scope. */
  may(scope) {
    return this.me?.scopes.includes(scope) ?? false;
  }

  /** Reads the kill switch, the stops and what waits. A part that this key may not read stays empty. */
  async refresh() {
    const part = async (path, params, take) => {
      try {
        take(await get(path, params, this.signal));
      } catch (error) {
        // The stream reports a lost connection; a refused part stays as it was.
        if (error.status > 0) whole = false;
      }
    };
    let whole = true;
    await Promise.all([
      part("kill-switch", {}, (found) => { this.killSwitch = found; }),
      part("stops", {}, ({ stops }) => { this.stops = stops; }),
      part("policy", {}, ({ policy }) => { this.selfReview = policy.plans?.self_review ?? false; }),
      part("approvals", { status: "pending", limit: MOST_WAITING }, ({ approvals }) => { this.approvals = approvals; }),
      part("plans", { status: "created", limit: MOST_WAITING }, ({ plans, next }) => { this.plans = { waiting: plans, more: next !== null }; }),
    ]);
    this.whole = whole;
    if (!this.signal.aborted) this.dispatchEvent(new Event("attention"));
  }

  #row(row, id, size) {
    this.dispatchEvent(new CustomEvent("row", { detail: { row, id, size } }));
    if (!ATTENTION.test(row?.kind ?? "") || this.#later) return;
    this.#later = setTimeout(() => {
      this.#later = 0;
      this.refresh();
    }, 150);
  }
}
