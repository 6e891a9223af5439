// The key, the stream through restarts, and rows that mean harm.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { KEY, Server, assertClean, launch, open } from "./support.mjs";

let [browser, server] = [];
before(async () => {
  server = await Server.start();
  browser = await launch();
});
after(async () => {
  await browser?.close();
  await server?.end();
});

/** Sends this many acts. */
const many = (count, prefix) => Promise.all(Array.from({ length: 8 }, async (_, worker) => {
  for (let n = 0; n < count / 8; n++) await server.call("/act", { agent_id: `${prefix}-${worker}`, action: `step-${n}` });
}));

test("the key is asked for once, kept for the tab and forgotten on demand", async () => {
  const page = await open(browser, server, { key: null });
  await page.getByLabel("API key").fill(KEY);
  await page.keyboard.press("Enter");
  await page.locator('[data-state="live"]').waitFor();
  await page.reload();
  await page.locator('[data-state="live"]').waitFor();
  assertClean(page, server);
  await page.getByRole("button", { name: "Forget key" }).click();
  await page.getByLabel("API key").waitFor();
  assert.equal(await page.evaluate(() => sessionStorage.length + localStorage.length + document.cookie.length), 0);
});

test("a wrong key is said to be wrong", async () => {
  const page = await open(browser, server, { key: null });
  await page.getByLabel("API key").fill("wrong");
  await page.keyboard.press("Enter");
  await page.getByRole("alert").waitFor();
  assert.match(await page.getByRole("alert").innerText(), /not valid for this service/);
});

test("the link that a start without keys prints opens the dashboard, and leaves no key in the address", async () => {
  const keyless = await Server.start({});
  try {
    const link = /dashboard[^\n]*?(http\S+)/.exec(keyless.printed)[1];
    const page = await open(browser, keyless, { key: null });
    await page.goto("about:blank");
    await page.goto(link);
    await page.locator('[data-state="live"]').waitFor();
    assert.equal(page.url(), `${keyless.address}/ui#/home`);
    const key = link.split("#key=")[1];
    assert.ok(key.length >= 32);
    assert.deepEqual(page.asked.filter((url) => url.includes(key) && !url.includes("#")), []);
    await page.goto(`${keyless.address}/`);
    await page.locator('[data-state="live"]').waitFor();
  } finally {
    await keyless.end();
  }
});

test("after a restart the stream goes on by itself, says so, and has lost nothing", async () => {
  const page = await open(browser, server, { view: "activity" });
  await server.call("/turn", { agent_id: "before", input: "rest" });
  await page.locator(".feed li", { hasText: "before" }).waitFor();
  await server.restart(() => page.locator('[data-state="waiting"]').waitFor());
  await server.call("/turn", { agent_id: "after", input: "rest" });
  await page.locator(".feed li", { hasText: "after" }).waitFor();
  await page.getByText(/Live again after .*; no events were lost/).waitFor();
  // The stop and the start are rows too: every number is there, and each once.
  const { id } = await server.call("/journal/head");
  const ids = await page.locator("a.line").evaluateAll((lines) => lines.map((line) => Number(line.dataset.request)));
  assert.deepEqual(ids, Array.from({ length: id }, (_, n) => id - n));
});

test("while the service is gone, no page says that all is well, and each reads again when it is back", async () => {
  const home = await open(browser, server);
  await home.getByText("Nothing needs your attention").waitFor();
  const policy = await open(browser, server);
  await server.restart(async () => {
    await home.locator('[data-state="waiting"]').waitFor();
    // Views that are opened now have nothing to show.
    await home.goto(`${server.address}/ui#/activity`);
    await home.goto(`${server.address}/ui#/home`);
    await home.locator(".items", { hasText: "The service does not respond." }).waitFor();
    assert.equal(await home.getByText("Nothing needs your attention").count(), 0);
    await policy.goto(`${server.address}/ui#/policy`);
    await policy.locator(".unreachable").waitFor();
  });
  await home.getByText("Nothing needs your attention").waitFor();
  await home.locator(".counts").waitFor();
  await policy.locator(".hash").waitFor();
  assertClean(home, server, /ERR_CONNECTION_REFUSED|ERR_INCOMPLETE/);
});

test("markup, turned text and huge rows in the journal are shown as what they are", async () => {
  const evil = '<img src=x onerror="window.harmed=1"><script>window.harmed=1</script>\u202egnp.exe';
  const row = (id, data, agent_id = evil) => ({ id, ts: "2026-11-23T00:00:00Z", kind: "obs.turn", agent_id, principal: evil,
    request_id: `r${id}`, data, prev_hash: "0".repeat(64), hash: "1".repeat(64) });
  const rows = [row(900001, { input: evil, response: evil, turn: { outcome: evil, deltas: { [evil]: evil } }, would_deny: [evil] }),
    row(900002, { input: "x".repeat(4_000_000) }), row(900003, { input: "y".repeat(600_000) }, "long"),
    { id: 900004, kind: 7, data: null }, row(900005, { input: "still alive" }, "last")];
  const body = ["retry: 5000\nid: 900000\n\nevent: ready\ndata: {\"after\":900000}\n\n",
    ...rows.map((each) => `id: ${each.id}\nevent: obs.turn\ndata: ${JSON.stringify(each)}\n\n`), "id: 900006\nevent: x\ndata: {broken\n\n"].join("");
  const page = await open(browser, server, { key: null });
  await page.goto(`${server.address}/ui#/activity`);
  await page.getByLabel("API key").waitFor();
  let streams = 0;
  await page.route("**/events?*", async (route) => {
    if (streams++ > 0) return new Promise(() => {});
    // No search finds these rows, so they must arrive after the first one.
    await page.locator(".feed li", { hasText: "started" }).first().waitFor();
    return route.fulfill({ contentType: "text/event-stream", body });
  });
  await page.getByLabel("API key").fill(KEY);
  await page.keyboard.press("Enter");
  await page.locator(".feed li", { hasText: "still alive" }).waitFor();
  const feed = await page.locator(".feed").innerText();
  assert.match(feed, /<img src=x onerror/);
  assert.match(feed, /⟨U\+202E⟩/);
  assert.match(feed, /an event of 4 MB, too long to show here/);
  assert.ok(feed.length < 20_000, `${feed.length} characters on the page`);
  // The same row on its own page.
  await page.route("**/journal?*", (route) => route.fulfill({ json: { events: [rows[0]], next: null } }));
  await page.route("**/journal/900001?*", (route) => route.fulfill({ json: rows[0] }));
  await page.goto(`${server.address}/ui#/requests/900001`);
  await page.locator(".message", { hasText: "<img src=x" }).first().waitFor();
  assert.equal(await page.evaluate(() => window.harmed), undefined);
  assert.equal(await page.locator("#app img:not(.brand img), #app script").count(), 0);
  assertClean(page, server);
});

test("the page keeps a bounded number of requests, however many come, and does not jump while they are read", async () => {
  const page = await open(browser, server, { view: "activity" });
  await page.locator(".feed a.line").first().waitFor();
  await many(1600, "many");
  const { id } = await server.call("/journal/head");
  await page.locator(`a.line[data-request="${id}"]`).waitFor();
  const kept = await page.locator(".feed a.line").count();
  assert.equal(kept, 150, "the newest lines are drawn, and further ones on the way down");
  await page.locator(".feed a.line").nth(60).scrollIntoViewIfNeeded();
  await page.evaluate(() => scrollTo(0, 1500));
  const top = () => page.evaluate(() => [...document.querySelectorAll("a.line")].find((line) => line.getBoundingClientRect().top > 0).dataset.request);
  await page.waitForFunction(() => scrollY > 1000);
  const before = await top();
  await many(80, "later");
  await page.getByRole("button", { name: "80 new requests" }).waitFor();
  assert.equal(await top(), before);
  await page.getByRole("button", { name: "80 new requests" }).click();
  const { id: last } = await server.call("/journal/head");
  await page.locator(`a.line[data-request="${last}"]`).waitFor();
  assert.equal(await page.evaluate(() => scrollY), 0);
  assertClean(page, server);
});

test("a kind is found far back in the record, and its list stays whole while other rows arrive", async () => {
  const page = await open(browser, server);
  page.asked = [];
  await page.goto(`${server.address}/ui#/activity?show=turn`);
  const turns = page.locator(".feed a.line", { hasText: "rest" });
  await turns.nth(1).waitFor();
  const searches = page.asked.filter((url) => url.includes("/journal?"));
  assert.equal(searches.length, 2, "turns, and denied requests");
  const before = await turns.count();
  await many(1300, "others");
  await server.call("/turn", { agent_id: "newest", input: "rest at last" });
  await page.locator(".feed a.line", { hasText: "rest at last" }).waitFor();
  assert.equal(await turns.count(), before + 1);
  assertClean(page, server);
});

test("older requests load on demand, back to the first", async () => {
  const page = await open(browser, server, { view: "activity" });
  await page.locator(".feed a.line").first().waitFor();
  for (let n = 0; n < 40 && await page.locator('a.line[data-request="1"]').count() === 0; n++) {
    await page.evaluate(() => scrollTo(0, document.documentElement.scrollHeight));
    await page.waitForTimeout(150);
  }
  await page.locator('a.line[data-request="1"]').waitFor();
  const ids = await page.locator("a.line").evaluateAll((lines) => lines.map((line) => Number(line.dataset.request)));
  assert.equal(new Set(ids).size, ids.length);
  assert.deepEqual(ids, ids.toSorted((a, b) => b - a));
  assertClean(page, server);
});
