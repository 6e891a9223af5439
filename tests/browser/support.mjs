// A server of its own for each test file, and pages that are watched: what they log, ask for and send.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createServer } from "node:http";
import { cp, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

export const ROOT = fileURLToPath(new URL("../../", import.meta.url));
export const KEY = "test-key-of-the-browser-suite";
/** Another key: who made a plan may not approve it. */
export const REVIEWER = "test-key-of-the-reviewer";

/** The settings that know both. */
export const KEYS = { API_TOKENS: `author=${KEY},reviewer=${REVIEWER}` };

/** Rows of the demo; the acceptance run uses 100,000. */
const DEMO_ROWS = Number(process.env.LIFE_AGENT_DEMO_ROWS ?? 1500);

const modules = createRequire(join(ROOT, "target/browser/"));
const { chromium } = modules("playwright-core");
const axe = modules.resolve("axe-core/axe.min.js");

/** A running server. */
export class Server {
  static async start(settings = KEYS, prepare = async () => {}) {
    const server = new Server();
    server.base = await mkdtemp(join(tmpdir(), "life-agent-browser-"));
    server.folder = join(server.base, "work");
    await mkdir(join(server.folder, "plans"), { recursive: true });
    for (const folder of ["policy", "policies"]) await cp(join(ROOT, folder), join(server.folder, folder), { recursive: true });
    server.settings = settings;
    await prepare(server);
    await server.run(0);
    return server;
  }

  /** Starts the process. */
  run(port) {
    // The last line of the message: everything is said.
    return this.#spawn([], { RATE_LIMIT_RPS: "0", PORT: String(port), ...this.settings }, /every call.*\n/);
  }

  /** Starts `args` and waits until it has `said` so; `printed` is what it says. */
  async #spawn(args, settings, said) {
    const env = { PATH: process.env.PATH, ...settings };
    this.child = spawn(process.env.LIFE_AGENT_BIN, args, { cwd: this.folder, env, stdio: ["ignore", "pipe", "ignore"] });
    this.gone = new Promise((resolve) => this.child.once("exit", resolve));
    this.printed = "";
    await new Promise((resolve, reject) => {
      this.child.once("error", reject);
      this.child.once("exit", (code) => reject(new Error(`the server ended with ${code}: ${this.printed}`)));
      this.child.stdout.on("data", (chunk) => {
        this.printed += chunk;
        if (said.test(this.printed)) resolve();
      });
    });
    this.address = /http:\/\/[\d.:]+/.exec(this.printed)[0];
  }

  /** `life-agent demo` with this many rows; `keys` has its keys by name. */
  static async demo(rows = DEMO_ROWS) {
    const server = new Server();
    server.base = await mkdtemp(join(tmpdir(), "life-agent-browser-"));
    server.folder = server.base;
    await server.#spawn(["demo", "--rows", String(rows)], { TMPDIR: server.base }, /Ctrl-C ends.*\n/);
    const key = (name) => new RegExp(`${name} ([0-9a-f]{32})`).exec(server.printed)[1];
    server.keys = Object.fromEntries(["ops", "reviewer", "coder", "support", "ci"].map((name) => [name, key(name)]));
    return server;
  }

  async stop() {
    this.child.kill("SIGTERM");
    await this.gone;
  }

  /** Ends it and starts it again at the same address. */
  async restart(meanwhile = async () => {}) {
    const port = new URL(this.address).port;
    await this.stop();
    await meanwhile();
    await this.run(port);
  }

  async end() {
    await this.stop();
    await rm(this.base, { recursive: true });
  }

  file(path, content) {
    return writeFile(join(this.folder, path), content);
  }

  async call(path, body, key = KEY) {
    const options = body && { method: "POST", body: JSON.stringify(body) };
    const answer = await fetch(this.address + path, { headers: { "X-API-Key": key, "Content-Type": "application/json" }, ...options });
    return answer.json();
  }
}

/** A model provider that answers with what `script` holds, in its order; an answer may be a promise. */
export class Provider {
  static async start() {
    const provider = new Provider();
    provider.script = [];
    provider.server = createServer(async (request, response) => {
      for await (const _ of request);
      const message = await provider.script.shift();
      if (message === undefined) {
        response.writeHead(400, { "Content-Type": "application/json" }).end('{"error":{"message":"the script is at its end"}}');
        return;
      }
      const finish = message.tool_calls ? "tool_calls" : "stop";
      response.writeHead(200, { "Content-Type": "application/json" }).end(JSON.stringify({
        id: "chatcmpl-1", object: "chat.completion", created: 1795000000, model: "openai/gpt-oss-120b",
        choices: [{ index: 0, message: { role: "assistant", ...message }, finish_reason: finish }],
        usage: { prompt_tokens: 11, completion_tokens: 7, total_tokens: 18 },
      }));
    });
    await new Promise((resolve) => provider.server.listen(0, "127.0.0.1", resolve));
    return provider;
  }

  /** Settings of a server whose model this is. */
  get settings() {
    return { GROQ_API_KEY: "provider-key-of-the-suite", GROQ_BASE_URL: `http://127.0.0.1:${this.server.address().port}/v1` };
  }

  end() {
    this.server.closeAllConnections();
    this.server.close();
  }
}

/** What a provider says, and a tool that it calls. */
export const says = (content) => ({ content });
export const calls = (name, given) => ({ tool_calls: [{ id: "call_1", type: "function", function: { name, arguments: JSON.stringify(given) } }] });

export const launch = () => chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: ["--no-sandbox"] });

/** A page in a fresh context, opened with a key. `page.faults` is what no page may have. */
export async function open(browser, server, { view = "home", key = KEY, ...context } = {}) {
  const tab = await browser.newContext({ locale: "en-US", viewport: { width: 1280, height: 900 }, ...context });
  const page = await tab.newPage();
  await fromDisk(page);
  page.setDefaultTimeout(15_000);
  [page.key, page.faults, page.asked] = [key, [], []];
  page.on("console", (message) => ["error", "warning"].includes(message.type()) && page.faults.push(message.text()));
  page.on("pageerror", (error) => page.faults.push(String(error)));
  page.on("request", (request) => page.asked.push(request.url()));
  await page.goto(`${server.address}/ui${key ? `#key=${key}` : ""}`);
  if (key) {
    await page.locator('[data-state="live"]').waitFor();
    if (view !== "home") await go(page, view);
  }
  return page;
}

/** With `LIFE_AGENT_UI`, the files of the dashboard come from that folder: to work on it without a build. */
async function fromDisk(page) {
  const folder = process.env.LIFE_AGENT_UI;
  if (!folder) return;
  await page.route(/\/ui(\/.+)?$/, async (route) => {
    const path = new URL(route.request().url()).pathname.replace(/^\/ui\/?/, "");
    if (path === "") return route.fulfill({ response: await route.fetch(), path: join(folder, "index.html") });
    if (path === "policy.schema.json") return route.continue();
    return route.fulfill({ path: join(folder, path), contentType: { js: "text/javascript", css: "text/css", svg: "image/svg+xml" }[path.split(".").at(-1)] ?? "text/plain" });
  });
}

/** Another view, by its link; on a small screen the menu opens first. */
export async function go(page, view) {
  const link = page.locator(`nav a[data-view="${view}"]`);
  if (!await link.isVisible()) await page.locator("button.menu").click();
  await link.click();
  await page.locator(`nav a[data-view="${view}"][aria-current="page"]`).waitFor({ state: "attached" });
  // A view is loaded when it is first shown.
  await page.locator(`main[data-view="${view}"]`).waitFor({ state: "attached" });
}

/** Nothing was logged but what `expected` names, and nothing was asked of anyone else. */
export function assertClean(page, server, expected) {
  assert.deepEqual(page.faults.filter((fault) => !expected?.test(fault)), []);
  assert.deepEqual(page.asked.filter((url) => !url.startsWith(`${server.address}/`) && !url.startsWith("data:")), []);
  assert.deepEqual(page.asked.filter((url) => page.key && url.includes(page.key) && !url.includes("#key=")), [], "no key in an address that is asked for");
}

/** What axe finds. */
export async function axeFaults(page) {
  // Over the protocol, which the page's policy does not bind; nothing of it is let into the page otherwise.
  const source = await (await import("node:fs/promises")).readFile(axe, "utf8");
  const session = await page.context().newCDPSession(page);
  await session.send("Runtime.evaluate", { expression: source });
  const { result, exceptionDetails } = await session.send("Runtime.evaluate", {
    expression: "axe.run().then((found) => JSON.stringify(found.violations))", awaitPromise: true, returnByValue: true,
  });
  assert.equal(exceptionDetails, undefined);
  return JSON.parse(result.value)
    .map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.html.slice(0, 160)).join(" | ")}`);
}
