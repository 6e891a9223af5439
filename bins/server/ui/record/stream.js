// The record as it grows: server-sent events over `fetch`, since an EventSource cannot send a key.

import { open } from "../lib/api.js";

/** Longest line that is kept, in UTF-16 units; of a longer one only the length is shown. */
const MAX_LINE = 1024 * 1024;
/** The service sends a comment every 15 s; a connection that is silent for three of them is dead. */
const SILENCE = 45_000;
const FIRST_WAIT = 500;
const LONGEST_WAIT = 10_000;

/** Takes chunks of text, calls back with `{id, name, data, size}`; `data` is null where it was too long. */
export class Parser {
  #onEvent;
  #rest = "";
  /** Units of the line under way that were thrown away. */
  #dropped = 0;
  #id = null;
  #name = "";
  #data = null;
  #size = 0;

  constructor(onEvent) {
    this.#onEvent = onEvent;
  }

  push(chunk) {
    let from = 0;
    for (let end = chunk.indexOf("\n"); end !== -1; end = chunk.indexOf("\n", from)) {
      this.#keep(chunk.slice(from, end));
      this.#line();
      from = end + 1;
    }
    this.#keep(chunk.slice(from));
  }

  #keep(part) {
    const room = MAX_LINE - this.#rest.length;
    this.#rest += part.length > room ? part.slice(0, room) : part;
    this.#dropped += Math.max(0, part.length - room);
  }

  #line() {
    const line = this.#rest.endsWith("\r") ? this.#rest.slice(0, -1) : this.#rest;
    const dropped = this.#dropped;
    this.#rest = "";
    this.#dropped = 0;
    if (line === "") {
      if (this.#size > 0) this.#onEvent({ id: this.#id, name: this.#name, data: this.#data, size: this.#size });
      [this.#name, this.#data, this.#size] = ["", null, 0];
      return;
    }
    const colon = line.indexOf(":");
    const field = colon === -1 ? line : line.slice(0, colon);
    const value = colon === -1 ? "" : line.slice(colon + (line[colon + 1] === " " ? 2 : 1));
    if (field === "id" && /^\d+$/.test(value)) this.#id = Number(value);
    if (field === "event") this.#name = value;
    if (field === "data") {
      this.#size += value.length + dropped;
      this.#data = dropped > 0 ? null : value;
    }
  }
}

/**
 * Follows the journal after a row, for ever: goes on where it was cut off, however often.
 * `on.row(row, id, size)` gets every row (`row` is null where it is too long to keep);
 * `on.state({now, lost?, wait?})` gets `connecting`, `live`, `resumed`, `waiting` or `refused`.
 */
export async function follow(after, on, signal) {
  let last = after;
  let failures = 0;
  let cutAt = null;
  on.state({ now: "connecting" });
  while (!signal.aborted) {
    const attempt = new AbortController();
    const stop = () => attempt.abort();
    signal.addEventListener("abort", stop, { once: true });
    try {
      await stream(last, attempt, (event) => {
        if (event.name === "ready") {
          const whole = startsAt(event, last);
          on.state(cutAt === null ? { now: "live" } : { now: "resumed", whole, after: Date.now() - cutAt });
          [failures, cutAt] = [0, null];
        } else if (event.id > last) {
          last = event.id;
          on.row(event.data === null ? null : parsed(event.data), event.id, event.size);
        }
      });
    } catch (error) {
      // The key is wrong now; asking again would only be counted.
      if (error.status === 401) return on.state({ now: "refused" });
    } finally {
      signal.removeEventListener("abort", stop);
    }
    if (signal.aborted) return undefined;
    cutAt ??= Date.now();
    const wait = Math.min(FIRST_WAIT * 2 ** failures++, LONGEST_WAIT);
    on.state({ now: "waiting", wait });
    await pause(wait, signal);
  }
  return undefined;
}

/** Whether the service goes on exactly where we were. */
function startsAt(event, last) {
  return parsed(event.data ?? "{}")?.after === last;
}

async function stream(last, attempt, onEvent) {
  let timer = setTimeout(() => attempt.abort(), SILENCE);
  try {
    const headers = { Accept: "text/event-stream", "Last-Event-ID": String(last) };
    const answer = await open("events?expand=texts", { headers, signal: attempt.signal, cache: "no-store" });
    const parser = new Parser(onEvent);
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    for (let part = await reader.read(); !part.done; part = await reader.read()) {
      clearTimeout(timer);
      timer = setTimeout(() => attempt.abort(), SILENCE);
      parser.push(part.value);
    }
  } finally {
    clearTimeout(timer);
  }
}

function parsed(data) {
  try {
    return JSON.parse(data);
  } catch {
    return null;
  }
}

/** Waits, but not when the network has just come back. */
function pause(milliseconds, signal) {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      removeEventListener("online", done);
      signal.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, milliseconds);
    addEventListener("online", done);
    signal.addEventListener("abort", done);
  });
}
