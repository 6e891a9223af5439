// For everyone: both languages, the keyboard alone, screen readers, light and dark, phone and wide screen; and a
// strict policy of the page. Writes a picture of every view to target/browser/pictures, and with
// `LIFE_AGENT_DOCS_PICTURES=1` those of the guide to docs/pictures.

import assert from "node:assert/strict";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { ROOT, Server, assertClean, go, launch, open, axeFaults } from "./support.mjs";

const VIEWS = ["home", "activity", "approvals", "plans", "agents", "policy", "usage", "health", "send"];
let [browser, server, ops, pages] = [];
before(async () => {
  server = await Server.demo();
  ops = server.keys.ops;
  browser = await launch();
  const newest = async (filter) => (await server.call(`/journal?${filter}&order=desc&limit=1`, undefined, ops)).events[0].id;
  const denied = await newest("kind=tool.requested&agent_id=coder-refunds&outcome=denied");
  const chat = await newest("kind=llm.chat&outcome=allowed");
  const { approvals } = await server.call("/approvals?status=pending", undefined, ops);
  const { plans } = await server.call("/plans?status=created", undefined, ops);
  const own = await server.call("/plan", { intent: "Shorten the release notes", edits: [{ op: "search_replace", path: "plans/notes.md", search: "Line 7 of", replace: "Line 7 (short) of" }] }, ops);
  /** Every page, and an element that it has once it shows what it is for. */
  pages = {
    home: ["#/home", ".minutes rect.bar"], activity: ["#/activity", ".feed a.line"], exceptions: ["#/activity?outcome=exceptions", ".feed .stands"],
    request: [`#/requests/${denied}`, ".raw"], chat: [`#/requests/${chat}`, ".raw"], approval: [`#/approvals/${approvals[0].approval_id}`, ".decision-bar"], plan: [`#/plans/${plans[0].id}`, ".diff"], own: [`#/plans/${own.id}`, ".decision-why"],
    agents: ["#/agents", "a.name"], agent: ["#/agents/support-desk", ".plot canvas"], policy: ["#/policy", ".hash"], editor: ["#/policy/edit", ".editor-state:not(:empty)"], try: ["#/policy/try", "textarea"],
    usage: ["#/usage", "td"], health: ["#/health", ".legend b"], send: ["#/send", "textarea"], "send-plan": ["#/send/plan", "textarea"],
  };
});
after(async () => {
  await browser?.close();
  await server?.end();
});

for (const colorScheme of ["light", "dark"]) {
  for (const width of [1440, 390]) {
    test(`axe finds nothing on any page, ${colorScheme}, ${width} wide, and nothing runs off it`, async () => {
      const page = await open(browser, server, { key: ops, colorScheme, viewport: { width, height: 900 } });
      const pictures = join(ROOT, "target/browser/pictures");
      await mkdir(pictures, { recursive: true });
      for (const [name, [address, filled]] of Object.entries(pages)) {
        await page.goto(`${server.address}/ui${address}`);
        await page.locator(filled).first().waitFor();
        assert.deepEqual(await axeFaults(page), [], name);
        assert.equal(await page.evaluate(() => document.documentElement.scrollWidth - innerWidth), 0, `${name} is too wide`);
        await page.screenshot({ path: join(pictures, `${name}-${colorScheme}-${width}.png`) });
      }
      await page.getByRole("button", { name: "Kill switch" }).click();
      await page.getByRole("dialog").waitFor();
      assert.deepEqual(await axeFaults(page), [], "kill switch");
      await page.screenshot({ path: join(pictures, `switch-${colorScheme}-${width}.png`) });
      await page.keyboard.press("Escape");
      await page.keyboard.press("?");
      await page.getByRole("dialog").waitFor();
      assert.deepEqual(await axeFaults(page), [], "shortcuts");
      assertClean(page, server);
    });
  }
}

test("the pictures of the guide are small", async () => {
  const folder = join(ROOT, process.env.LIFE_AGENT_DOCS_PICTURES ? "docs/pictures" : "target/browser/pictures/guide");
  await mkdir(folder, { recursive: true });
  for (const colorScheme of ["light", "dark"]) {
    const page = await open(browser, server, { key: ops, colorScheme, viewport: { width: 1200, height: 780 } });
    for (const name of ["home", "request"]) {
      const [address, filled] = pages[name];
      await page.goto(`${server.address}/ui${address}`);
      await page.locator(filled).first().waitFor();
      const picture = await page.screenshot({ path: join(folder, `${name}-${colorScheme}.png`) });
      assert.ok(picture.length < 150_000, `${name}: ${picture.length} bytes`);
    }
  }
});

test("the page for the key has no faults either", async () => {
  const page = await open(browser, server, { key: null });
  await page.getByLabel("API key").waitFor();
  assert.deepEqual(await axeFaults(page), []);
});

test("German browsers get German, others English, and no key of a dictionary is shown", async () => {
  const titles = {
    "de-AT": "Start Aktivität Freigaben Pläne Agenten Policy Schlüssel und Nutzung Zustand Senden",
    "en-GB": "Home Activity Approvals Plans Agents Policy Keys and usage Health Send",
    "fr-FR": "Home Activity Approvals Plans Agents Policy Keys and usage Health Send",
  };
  for (const [locale, wanted] of Object.entries(titles)) {
    const page = await open(browser, server, { key: ops, locale });
    assert.equal((await page.locator("nav#views a > span:nth-child(2)").allInnerTexts()).join(" "), wanted);
    assert.equal(await page.evaluate(() => document.documentElement.lang), locale.startsWith("de") ? "de" : "en");
    const keys = await page.evaluate(async () => Object.keys((await import("/ui/lang/en.js")).default).filter((name) => name.includes(".")));
    assert.ok(keys.length > 300);
    for (const [name, [address, filled]] of Object.entries(pages)) {
      await page.goto(`${server.address}/ui${address}`);
      await page.locator(filled).first().waitFor();
      const text = await page.locator("body").innerText();
      assert.deepEqual(keys.filter((key) => text.includes(key)), [], `${locale} ${name}`);
    }
    assertClean(page, server);
  }
});

test("the keyboard alone is enough: key, search, request, plan, policy, kill switch", async () => {
  const page = await open(browser, server, { key: null });
  // A person does not wait for the page between two keys.
  const sequence = (...keys) => Promise.all(keys.map((key) => page.keyboard.press(key)));
  const focused = (selector) => page.evaluate((wanted) => document.activeElement?.matches(wanted), selector);
  const tabTo = async (selector) => {
    for (let n = 0; n < 80; n++) {
      if (await focused(selector)) return;
      await page.keyboard.press("Tab");
    }
    assert.fail(`Tab does not lead to ${selector}`);
  };
  await page.getByLabel("API key").waitFor();
  await page.keyboard.type(ops);
  await page.keyboard.press("Enter");
  await page.locator(".items a").first().waitFor();
  // `j` goes into the list of what waits.
  await page.keyboard.press("j");
  assert.ok(await focused(".item-main"));
  await page.keyboard.press("/");
  await page.locator('input[type="search"]:focus').waitFor();
  await page.keyboard.type("agent:coder-refunds");
  await page.keyboard.press("Enter");
  await page.locator(".feed a.line").nth(2).waitFor();
  await page.keyboard.press("j");
  await page.keyboard.press("j");
  await page.keyboard.press("k");
  await page.keyboard.press("j");
  const chosen = await page.evaluate(() => document.activeElement.dataset.request);
  assert.ok(chosen, "a line has the focus");
  assert.notEqual(await page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle), "none", "and shows it");
  await page.keyboard.press("Enter");
  await page.locator(".request h2", { hasText: `#${chosen}` }).waitFor();
  await page.keyboard.press("[");
  await page.waitForFunction((was) => !location.hash.endsWith(`/${was}`), chosen);
  await sequence("g", "p");
  await page.locator(".pick a").first().waitFor();
  await page.keyboard.press("j");
  await page.keyboard.press("Enter");
  await page.locator(".decision-bar").waitFor();
  await sequence("g", "o");
  await page.locator(".hash").waitFor();
  await tabTo('.segments button:not([aria-pressed="true"])');
  await page.keyboard.press("Enter");
  await page.locator(".editor-text").waitFor();
  await page.getByText(/^Valid/).waitFor();
  await tabTo(".editor-text");
  await page.keyboard.press("Control+End");
  await page.keyboard.type("ri");
  await page.keyboard.press("Escape");
  // Escape closed the list; Tab leaves the editor.
  await tabTo("select");
  await page.goto(`${server.address}/ui#/health`);
  await page.locator(".tile").first().waitFor();
  await page.keyboard.press("!");
  await page.getByRole("dialog").waitFor();
  // Enter without a reason does nothing.
  await page.keyboard.press("Enter");
  assert.equal((await server.call("/kill-switch", undefined, ops)).on, false);
  await page.keyboard.press("Escape");
  await page.getByRole("dialog").waitFor({ state: "detached" });
  await page.keyboard.press("!");
  await page.keyboard.type("by keyboard");
  await page.keyboard.press("Enter");
  await page.locator(".banner").waitFor();
  assert.equal((await server.call("/kill-switch", undefined, ops)).on, true);
  await server.call("/kill-switch", { on: false }, ops);
  await page.locator(".banner").waitFor({ state: "detached" });
  assertClean(page, server);
});

test("every file comes from here, without a key, never stored, under a policy without unsafe-inline", async () => {
  const page = await open(browser, server, { key: ops });
  for (const view of VIEWS) await go(page, view);
  const files = new Set(page.asked.map((url) => new URL(url)).filter(({ pathname }) => pathname.startsWith("/ui")).map(({ pathname }) => pathname));
  assert.ok(files.size > 40, [...files].join());
  for (const path of [...files, "/ui/policy.schema.json"]) {
    const answer = await fetch(server.address + path);
    assert.equal(answer.status, 200, path);
    assert.equal(answer.headers.get("cache-control"), "no-store", path);
    assert.equal(answer.headers.get("x-content-type-options"), "nosniff", path);
  }
  const policy = (await fetch(`${server.address}/ui`)).headers.get("content-security-policy");
  for (const part of ["default-src 'none'", "script-src 'self'", "style-src 'self'", "connect-src 'self'", "require-trusted-types-for 'script'", "frame-ancestors 'none'"]) {
    assert.ok(policy.includes(part), part);
  }
  assert.doesNotMatch(policy, /unsafe|\*|https?:/);
  const injected = await page.evaluate(() => {
    try {
      document.body.innerHTML = "<b>x</b>";
      return "taken";
    } catch {
      return "refused";
    }
  });
  assert.equal(injected, "refused");
});

test("a key without a scope is told what it lacks, wherever that matters", async () => {
  const page = await open(browser, server, { key: server.keys.ci });
  await page.getByRole("button", { name: "Kill switch" }).click();
  await page.getByText("The key ci lacks the scope operate.").waitFor();
  await page.keyboard.press("Escape");
  await page.goto(`${server.address}/ui#/policy/edit`);
  await page.getByText("The key ci lacks the scope policy.").waitFor();
  await page.goto(`${server.address}/ui#/agents/build-1`);
  assert.equal(await page.getByRole("button", { name: "Stop this agent" }).isDisabled(), true);
});
