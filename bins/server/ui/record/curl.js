// A recorded request as a curl command. What the service redacted stays redacted, and the key is a variable.

const PATHS = { act: "act", turn: "turn", tool: "tool", plan: "plan", chat: "llm/chat" };

/** The command for a request of this kind, or null where there is nothing to send again. */
export function curl(kind, row, base) {
  const data = row.kind === "gate.denied" ? row.data?.request ?? {} : row.data ?? {};
  const body = bodyOf(kind, row, data);
  if (!body || !PATHS[kind]) return null;
  const json = JSON.stringify(body, null, 2);
  const url = new URL(kind === "chat" && String(data.endpoint).startsWith("/v1/") ? data.endpoint.slice(1) : PATHS[kind], base);
  return [`curl -s ${quoted(url.href)}`, `  -H "X-API-Key: $KEY"`, "  -H 'Content-Type: application/json'", `  -d ${quoted(json)}`].join(" \\\n");
}

function bodyOf(kind, row, data) {
  const agent = row.agent_id ? { agent_id: row.agent_id } : {};
  switch (kind) {
    case "act": return { ...agent, action: data.action, ...(data.payload ? { payload: data.payload } : {}) };
    case "turn": return { ...agent, input: data.input };
    case "tool": return { ...agent, ...picked(data, ["tool", "server", "arguments", "session_id", "cwd"]) };
    case "plan": return { intent: data.intent, context: data.context ?? "", target_paths: data.target_paths ?? [] };
    case "chat": return { ...(data.parameters?.model ?? data.model ? { model: data.parameters?.model ?? data.model } : {}),
      messages: (data.messages ?? []).filter(({ role }) => ["system", "user", "assistant", "tool"].includes(role)).map(({ role, content }) => ({ role, content })) };
    default: return null;
  }
}

function picked(data, names) {
  return Object.fromEntries(names.filter((name) => data[name] !== undefined && data[name] !== null).map((name) => [name, data[name]]));
}

/** A text in single quotes, as a shell takes it. */
export function quoted(text) {
  return `'${String(text).replaceAll("'", `'\\''`)}'`;
}
