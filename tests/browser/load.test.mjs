// The first page and a busy service: what is loaded before Home is drawn, and what a page keeps while rows arrive.
// `LIFE_AGENT_SOAK_MINUTES` watches the busy page for so long; `LIFE_AGENT_SOAK_RATE` is the rows per second.

import assert from "node:assert/strict";
import { Agent, request } from "node:http";
import { after, before, test } from "node:test";
import { Server, assertClean, launch, open } from "./support.mjs";

const SECONDS = Number(process.env.LIFE_AGENT_SOAK_MINUTES ?? 0.25) * 60;
const RATE = Number(process.env.LIFE_AGENT_SOAK_RATE ?? 500);
/** Readings of the page's memory; the first third of them is the page filling up. */
const READINGS = 12;
let [browser, server, ops] = [];
before(async () => {
  server = await Server.demo();
  ops = server.keys.ops;
  browser = await launch();
});
after(async () => {
  await browser?.close();
  await server?.end();
});

test("Home needs few files, and no chart library, before it shows the last hour", async (t) => {
  const page = await open(browser, server, { key: ops });
  await page.addInitScript(() => {
    window.painted = [];
    new PerformanceObserver((list) => window.painted.push(...list.getEntries().map((entry) => entry.startTime))).observe({ type: "largest-contentful-paint", buffered: true });
    window.drawn = new Promise((resolve) => {
      new MutationObserver((_, observer) => {
        if (!document.querySelector(".minutes rect.bar")) return;
        observer.disconnect();
        resolve({ at: performance.now(), files: performance.getEntriesByType("resource").map(({ name, decodedBodySize }) => [new URL(name).pathname, decodedBodySize]) });
      }).observe(document, { subtree: true, childList: true });
    });
  });
  await page.reload();
  const { at, files } = await page.evaluate(() => window.drawn);
  const painted = await page.evaluate(() => [performance.getEntriesByName("first-contentful-paint")[0].startTime, window.painted.at(-1)]);
  const own = files.filter(([path]) => path.startsWith("/ui"));
  const size = own.reduce((sum, [, bytes]) => sum + bytes, 0);
  t.diagnostic(`first contentful paint ${Math.round(painted[0])} ms, largest ${Math.round(painted[1])} ms, last hour drawn ${Math.round(at)} ms, ${own.length} files, ${Math.round(size / 1024)} KiB`);
  assert.ok(own.length <= 30, `${own.length} files`);
  assert.ok(size < 300_000, `${size} bytes`);
  assert.ok(!own.some(([path]) => path.endsWith(".esm.js")), "charts are drawn by other views");
  assertClean(page, server);
});

for (const [view, path] of [["Home", "home"], ["Activity", "activity"], ["Agents", "agents"], ["an agent", "agents/busy-1"]]) {
  test(`the memory of ${view} stays bounded while rows arrive`, { timeout: (SECONDS + 120) * 1000 }, async (t) => {
    const page = await open(browser, server, { key: ops });
    await page.goto(`${server.address}/ui#/${path}`);
    const devtools = await page.context().newCDPSession(page);
    await devtools.send("Performance.enable");
    const read = async () => {
      await devtools.send("HeapProfiler.collectGarbage");
      const { metrics } = await devtools.send("Performance.getMetrics");
      const of = Object.fromEntries(metrics.map(({ name, value }) => [name, value]));
      return { heap: of.JSHeapUsedSize, nodes: of.Nodes, listeners: of.JSEventListeners, lines: await page.locator(".feed a.line").count(), busy: of.TaskDuration };
    };
    const traffic = send();
    const readings = [];
    try {
      for (let n = 0; n < READINGS; n++) {
        await Promise.race([new Promise((resolve) => { setTimeout(resolve, (SECONDS / READINGS) * 1000); }), traffic.failed]);
        readings.push(await read());
      }
    } finally {
      await traffic.stop();
    }
    const settled = readings.slice(READINGS / 3);
    // The least of several readings: lines that were just replaced count until they are collected, and a leak lifts the least, too.
    const [first, last] = [settled.slice(0, 4), settled.slice(-4)].map((some) => Object.fromEntries(Object.keys(some[0]).map((name) => [name, Math.min(...some.map((each) => each[name]))])));
    const busy = (readings.at(-1).busy - readings[0].busy) / (SECONDS * (READINGS - 1) / READINGS);
    const rows = traffic.sent();
    t.diagnostic(`${rows} rows in ${Math.round(SECONDS)} s; heap ${megabytes(readings[0].heap)} at first, ${megabytes(first.heap)} settled, ${megabytes(last.heap)} at last MB; nodes ${first.nodes} and ${last.nodes}; listeners ${first.listeners} and ${last.listeners}; main thread ${Math.round(busy * 100)} % busy`);
    t.diagnostic(`heap in MB: ${readings.map(({ heap }) => megabytes(heap)).join(" ")}; nodes: ${readings.map(({ nodes }) => nodes).join(" ")}`);
    assert.ok(rows > 100, `${rows} rows`);
    assert.ok(readings.every(({ lines }) => lines <= 150), `${readings.map(({ lines }) => lines)} lines`);
    assert.ok(last.heap <= first.heap * 1.25 + 4e6, "the heap grows");
    assert.ok(last.nodes <= first.nodes * 1.25 + 2000, "nodes pile up");
    assert.ok(last.listeners <= first.listeners * 1.25 + 200, "listeners pile up");
    await page.locator('[data-state="live"], [data-state="resumed"]').waitFor();
    assertClean(page, server);
  });
}

const megabytes = (bytes) => (bytes / 1e6).toFixed(1);

/** Sends acts of 20 agents at `RATE` until `stop`; `failed` rejects if the service refuses one. */
function send() {
  const agent = new Agent({ keepAlive: true, maxSockets: 16 });
  const started = Date.now();
  let [sent, open, fail] = [0, 0];
  const failed = new Promise((_, reject) => { fail = reject; });
  failed.catch(() => {});
  const act = () => {
    const n = sent++;
    open++;
    const body = JSON.stringify({ agent_id: `busy-${n % 20}`, action: n % 50 === 0 ? "deploy.production" : `step.${n % 7}`, payload: { n } });
    const call = request(`${server.address}/act`, { method: "POST", agent, headers: { "X-API-Key": server.keys.ci, "Content-Type": "application/json", "Content-Length": body.length } }, (answer) => {
      answer.resume().on("end", () => { open--; });
      if (![200, 403].includes(answer.statusCode)) fail(new Error(`status ${answer.statusCode}`));
    });
    call.on("error", fail).end(body);
  };
  const timer = setInterval(() => {
    const due = ((Date.now() - started) / 1000) * RATE;
    while (sent < due && open < 64) act();
  }, 20);
  return { sent: () => sent, failed, stop: async () => {
    clearInterval(timer);
    while (open > 0) await new Promise((resolve) => { setTimeout(resolve, 20); });
    agent.destroy();
  } };
}
