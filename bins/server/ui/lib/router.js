// Addresses: the part after `#` names a view, what it shows, and its parameters: `#/agents/hero?since=1h`.

/** The old names of views, which links in chats still use. */
const RENAMED = { live: "activity", gates: "policy", request: "requests" };

/** `{view, argument, params}` of an address. */
export function parse(hash) {
  const [path, query = ""] = hash.replace(/^#\/?/, "").split(/\?(.*)/s);
  const [name, ...rest] = path.split("/");
  return { view: Object.hasOwn(RENAMED, name) ? RENAMED[name] : name, argument: decoded(rest.join("/")), params: Object.fromEntries(new URLSearchParams(query)) };
}

/** The address of a view. Parameters without a value are left out. */
export function to(view, argument = "", params = {}) {
  const given = Object.entries(params).filter(([, value]) => value !== "" && value !== null && value !== undefined);
  const query = given.length > 0 ? `?${new URLSearchParams(given)}` : "";
  return `#/${view}${argument === "" ? "" : `/${encodeURIComponent(argument)}`}${query}`;
}

/** Changes the address without a new entry in the history, and without an event. */
export function replace(address) {
  history.replaceState(null, "", `${location.pathname}${address}`);
}

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
