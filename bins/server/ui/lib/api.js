// The service, called with the key that this tab holds.

const SLOT = "life-agent.key";
/** Relative to this file, so that a proxy may put the service below a path. */
const BASE = new URL("../../", import.meta.url);

/** An error answer, or that there was none (`status` 0). */
export class ApiError extends Error {
  constructor(status, error) {
    super(error.message);
    this.status = status;
    this.code = error.code;
    this.details = error.details;
    this.requestId = error.request_id;
  }
}

let onLocked = () => {};

/** Calls back when the service does not know the key (any more). */
export function whenLocked(callback) {
  onLocked = callback;
}

export const key = {
  get: () => sessionStorage.getItem(SLOT),
  set: (value) => sessionStorage.setItem(SLOT, value),
  forget: () => sessionStorage.removeItem(SLOT),
  /** Takes a key out of the fragment, which no server ever sees, and out of the address bar. */
  fromFragment() {
    if (!location.hash.startsWith("#key=")) return;
    const raw = location.hash.slice("#key=".length);
    history.replaceState(null, "", `${location.pathname}#/home`);
    try {
      // A link must not change the caller: a tab that has a key keeps it.
      if (raw && !key.get()) key.set(decodeURIComponent(raw));
    } catch {
      // Not percent-encoded as it should be: the page asks for the key.
    }
  },
};

/** The answer to a call as it comes, for streams. */
export async function open(path, { headers = {}, ...options } = {}) {
  const sent = { "X-API-Key": key.get() ?? "", ...headers };
  let answer;
  try {
    answer = await fetch(new URL(path, BASE), { ...options, headers: sent, credentials: "omit" });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError(0, { code: "unreachable", message: "" });
  }
  if (answer.ok) return answer;
  if (answer.status === 401) onLocked();
  const body = await answer.json().catch(() => ({}));
  throw new ApiError(answer.status, body.error ?? { code: "internal", message: `HTTP ${answer.status}` });
}

/** JSON for a `GET`; the path has no slash in front. */
export async function get(path, params = {}, signal = undefined) {
  const query = new URLSearchParams(Object.entries(params).filter(([, value]) => value !== "" && value != null));
  const answer = await open(query.size ? `${path}?${query}` : path, { signal });
  return answer.json();
}

export async function post(path, body, more = {}) {
  const headers = { "Content-Type": "application/json", ...more };
  return (await open(path, { method: "POST", headers, body: JSON.stringify(body) })).json();
}

/** Takes something back. */
export async function remove(path) {
  return (await open(path, { method: "DELETE" })).json();
}

export async function text(path) {
  return (await open(path)).text();
}
