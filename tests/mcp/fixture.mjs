// A server with the tools, resources and prompts that the conformance suite calls, to compare the suite's results with
// and without the gateway in front of it. Keeps no sessions.
//
//   node fixture.mjs      prints its address

import http from "node:http";

const STATELESS = "2026-07-28";
const VERSIONS = [STATELESS, "2025-11-25", "2025-06-18"];
const PREFIX = "io.modelcontextprotocol/";
const PIXEL =
  "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8DwHwAFBQIAX8jx0gAAAABJRU5ErkJggg==";
const SOUND = "UklGRiQAAABXQVZFZm10IBAAAAABAAEAQB8AAEAfAAABAAgAZGF0YQAAAAA=";

const text = (text) => ({ type: "text", text });
const image = { type: "image", data: PIXEL, mimeType: "image/png" };
const user = (content) => ({ role: "user", content });
const resource = (uri, mimeType, body) => ({ type: "resource", resource: { uri, mimeType, text: body } });
const pause = () => new Promise((resolve) => setTimeout(resolve, 20));

class RpcError extends Error {
  constructor(code, message, status = 200, data = undefined) {
    super(message);
    Object.assign(this, { code, status, data });
  }
}

const needs = (call, capability) => {
  if (call.modern && !call.capabilities[capability]) {
    const missing = { requiredCapabilities: { [capability]: {} } };
    throw new RpcError(-32021, `the client lacks ${capability}`, 400, missing);
  }
};
const askName = {
  method: "elicitation/create",
  params: {
    mode: "form",
    message: "What is your name?",
    requestedSchema: { type: "object", properties: { name: { type: "string" } }, required: ["name"] },
  },
};
const input = (inputRequests, requestState) => ({ resultType: "input_required", inputRequests, requestState });

// Each tool returns its content or its result; `note` sends a notification before it.
const TOOLS = {
  test_simple_text: () => [text("This is a simple text response for testing.")],
  test_image_content: () => [image],
  test_audio_content: () => [{ type: "audio", data: SOUND, mimeType: "audio/wav" }],
  test_embedded_resource: () => [
    resource("test://embedded-resource", "text/plain", "This is an embedded resource content."),
  ],
  test_multiple_content_types: () => [
    text("Multiple content types test:"),
    image,
    resource("test://mixed-content-resource", "application/json", '{"test":"data","value":123}'),
  ],
  test_error_handling: () => ({
    isError: true,
    content: [text("This tool intentionally returns an error for testing")],
  }),
  test_tool_with_progress: async (call) => {
    for (const progress of [0, 50, 100]) {
      const progressToken = call.meta.progressToken;
      if (progressToken !== undefined) call.note("notifications/progress", { progressToken, progress, total: 100 });
      await pause();
    }
    return [text("done")];
  },
  test_tool_with_logging: async (call) => {
    for (const data of ["Tool execution started", "Tool processing data", "Tool execution completed"]) {
      call.note("notifications/message", { level: "info", data });
      await pause();
    }
    return [text("done")];
  },
  test_logging_tool: () => [text("nothing to log")],
  test_missing_capability: (call) => {
    needs(call, "sampling");
    return [text("done")];
  },
  test_streaming_elicitation: (call) => {
    needs(call, "elicitation");
    return input({ name: askName });
  },
  test_input_required_result_elicitation: (call) => {
    needs(call, "elicitation");
    const answer = call.params.inputResponses?.user_name;
    return answer?.content?.name ? [text(`Hello, ${answer.content.name}!`)] : input({ user_name: askName });
  },
  test_headers: (call) => [text(String(call.arguments.region))],
};
const SCHEMAS = {
  test_headers: {
    type: "object",
    properties: { region: { type: "string", "x-mcp-header": "Region" } },
    required: ["region"],
  },
};

const RESOURCES = {
  "test://static-text": { mimeType: "text/plain", text: "This is the content of the static text resource." },
  "test://static-binary": { mimeType: "image/png", blob: PIXEL },
};
const PROMPTS = {
  test_simple_prompt: () => [user(text("This is a simple prompt for testing."))],
  test_prompt_with_arguments: ({ arg1, arg2 }) => [
    user(text(`Prompt with arguments: arg1='${arg1}', arg2='${arg2}'`)),
  ],
  test_prompt_with_embedded_resource: ({ resourceUri }) => [
    user(resource(resourceUri, "text/plain", "Embedded resource content for testing.")),
    user(text("Please process the embedded resource above.")),
  ],
  test_prompt_with_image: () => [user(image), user(text("Please analyze the image above."))],
};
const ARGUMENTS = {
  test_prompt_with_arguments: ["arg1", "arg2"],
  test_prompt_with_embedded_resource: ["resourceUri"],
};

const read = (uri) => {
  if (RESOURCES[uri]) return { contents: [{ uri, ...RESOURCES[uri] }] };
  const id = /^test:\/\/template\/([^/]+)\/data$/.exec(uri)?.[1];
  if (!id) return undefined;
  const body = JSON.stringify({ id, templateTest: true, data: `Data for ID: ${id}` });
  return { contents: [{ uri, mimeType: "application/json", text: body }] };
};

const METHODS = {
  "server/discover": () => ({ supportedVersions: VERSIONS, capabilities: CAPABILITIES }),
  "tools/list": () => ({
    tools: Object.keys(TOOLS).map((name) => ({
      name,
      description: `The fixture ${name}.`,
      inputSchema: SCHEMAS[name] ?? { type: "object" },
    })),
  }),
  "tools/call": async (call) => {
    const tool = TOOLS[call.params.name];
    if (!tool) throw new RpcError(-32602, `unknown tool ${call.params.name}`);
    const result = await tool(call);
    return Array.isArray(result) ? { content: result } : result;
  },
  "resources/list": () => ({
    resources: Object.entries(RESOURCES).map(([uri, { mimeType }]) => ({
      uri, name: uri, description: `The fixture ${uri}.`, mimeType,
    })),
  }),
  "resources/templates/list": () => ({
    resourceTemplates: [{ uriTemplate: "test://template/{id}/data", name: "template", description: "A template." }],
  }),
  "resources/read": (call) => {
    const found = read(call.params.uri);
    if (!found) throw new RpcError(call.modern ? -32602 : -32002, "Resource not found", 200, { uri: call.params.uri });
    return found;
  },
  "prompts/list": () => ({
    prompts: Object.keys(PROMPTS).map((name) => ({
      name,
      description: `The fixture ${name}.`,
      arguments: (ARGUMENTS[name] ?? []).map((name) => ({ name, required: true })),
    })),
  }),
  "prompts/get": (call) => {
    const prompt = PROMPTS[call.params.name];
    if (!prompt) throw new RpcError(-32602, "unknown prompt");
    return { messages: prompt(call.params.arguments ?? {}) };
  },
  "completion/complete": () => ({ completion: { values: ["one", "two"], total: 2, hasMore: false } }),
};
const OLDER = {
  initialize: (call) => ({
    protocolVersion: VERSIONS.slice(1).includes(call.params.protocolVersion) ? call.params.protocolVersion : VERSIONS[1],
    capabilities: { ...CAPABILITIES, logging: {} },
    serverInfo: { name: "fixture", version: "1" },
  }),
  ping: () => ({}),
  "logging/setLevel": () => ({}),
  "resources/subscribe": () => ({}),
  "resources/unsubscribe": () => ({}),
};
const CAPABILITIES = { tools: {}, resources: { subscribe: false }, prompts: {}, completions: {} };
const CACHED = ["server/discover", "tools/list", "resources/list", "resources/templates/list", "resources/read", "prompts/list"];

const decoded = (value) => {
  const encoded = /^=\?base64\?(.*)\?=$/.exec(value)?.[1];
  if (encoded === undefined) return value;
  const bytes = Buffer.from(encoded, "base64");
  return bytes.toString("base64") === encoded ? bytes.toString("utf8") : undefined;
};

// The checks of the newer era: metadata, version, headers.
const check = (message, headers) => {
  const meta = message.params?._meta ?? {};
  const [stated, header] = [meta[`${PREFIX}protocolVersion`], headers["mcp-protocol-version"]];
  if (stated === undefined && (header === undefined || VERSIONS.slice(1).includes(header))) return false;
  if (message.method === "initialize" && stated === undefined && header !== STATELESS) return false;
  if (stated === undefined) throw new RpcError(-32602, "no version", 400);
  if (stated !== header) throw new RpcError(-32020, "the version differs", 400);
  if (stated !== STATELESS) {
    throw new RpcError(-32022, "unsupported version", 400, { supported: VERSIONS, requested: stated });
  }
  if (typeof meta[`${PREFIX}clientCapabilities`] !== "object") throw new RpcError(-32602, "no capabilities", 400);
  if (headers["mcp-method"] !== message.method) throw new RpcError(-32020, "the method differs", 400);
  const named = { "tools/call": "name", "prompts/get": "name", "resources/read": "uri" }[message.method];
  if (named && decoded(headers["mcp-name"] ?? "") !== message.params[named]) {
    throw new RpcError(-32020, "the name differs", 400);
  }
  const region = message.params.arguments?.region;
  if (message.params.name === "test_headers" && decoded(headers["mcp-param-region"] ?? "") !== (region ?? "")) {
    throw new RpcError(-32020, "the parameter differs", 400);
  }
  return true;
};

const respond = async (message, headers, response) => {
  let streaming = false;
  const note = (method, params) => {
    if (!streaming) response.writeHead(200, { "content-type": "text/event-stream" });
    streaming = true;
    response.write(`event: message\ndata: ${JSON.stringify({ jsonrpc: "2.0", method, params })}\n\n`);
  };
  const end = (status, reply) => {
    const body = JSON.stringify({ jsonrpc: "2.0", id: message.id, ...reply });
    if (streaming) return response.end(`event: message\ndata: ${body}\n\n`);
    response.writeHead(status, { "content-type": "application/json" });
    response.end(body);
  };
  try {
    const modern = check(message, headers);
    const method = METHODS[message.method] ?? (modern ? undefined : OLDER[message.method]);
    if (!method) throw new RpcError(-32601, "unknown method", modern ? 404 : 200);
    const params = message.params ?? {};
    const meta = params._meta ?? {};
    const capabilities = meta[`${PREFIX}clientCapabilities`] ?? {};
    const result = await method({ modern, params, meta, capabilities, arguments: params.arguments ?? {}, note });
    if (modern) {
      result.resultType ??= "complete";
      result._meta = { ...result._meta, [`${PREFIX}serverInfo`]: { name: "fixture", version: "1" } };
      if (CACHED.includes(message.method)) Object.assign(result, { ttlMs: 0, cacheScope: "private" });
    }
    end(200, { result });
  } catch (error) {
    const { code = -32603, message: said, status = 200, data } = error;
    end(status, { error: { code, message: said, data } });
  }
};

const server = http.createServer(async (request, response) => {
  if (request.method !== "POST") return response.writeHead(405).end();
  const pieces = [];
  for await (const piece of request) pieces.push(piece);
  const message = JSON.parse(Buffer.concat(pieces).toString("utf8"));
  if (message.id === undefined || message.method === undefined) return response.writeHead(202).end();
  await respond(message, request.headers, response);
});
server.listen(0, "127.0.0.1", () => console.log(`http://127.0.0.1:${server.address().port}`));
