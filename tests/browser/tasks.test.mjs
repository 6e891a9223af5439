// What operators come for, each in at most three steps from any page.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { OPS, demo } from "./demo.mjs";
import { assertClean, launch, open } from "./support.mjs";

let [browser, made, server] = [];
before(async () => {
  made = await demo();
  server = made.server;
  browser = await launch();
});
after(async () => {
  await browser?.close();
  await server?.end();
  made?.provider.end();
});

/** A page, with `step` to count what an operator does on it. */
async function operator(context = {}) {
  const page = await open(browser, server, { key: OPS, ...context });
  let steps = 0;
  return { page, step: async (act) => {
    assert.ok(++steps <= 3, "more than three steps");
    await act();
  } };
}

const nav = (page, view) => () => page.locator(`nav a[data-view="${view}"]`).click();
const search = (page, text) => async () => {
  await page.keyboard.press("/");
  await page.getByLabel("Search the record").fill(text);
  await page.keyboard.press("Enter");
};

test("what a request id did", async () => {
  const { page, step } = await operator();
  const id = made.denied.error.request_id;
  await step(search(page, id));
  await step(() => page.locator(".feed a.line", { hasText: "curl -s" }).click());
  await page.getByRole("link", { name: id }).waitFor();
  assertClean(page, server);
});

test("who approved this", async () => {
  await server.call(`/plans/${made.plan}/review`, { decision: "approve", note: "as agreed with finance" }, OPS);
  const { page, step } = await operator();
  await step(nav(page, "plans"));
  await step(() => page.getByLabel("Status").selectOption("approved"));
  await step(() => page.locator(".pick a", { hasText: "Lower the daily refund limit" }).click());
  await page.locator(".facts", { hasText: "approved by ops" }).getByText("as agreed with finance").waitFor();
});

test("why it was denied", async () => {
  const { page, step } = await operator();
  await step(nav(page, "activity"));
  await step(() => page.locator(".feed .stands.bad a.line", { hasText: "deploy.production" }).first().click());
  const rules = page.locator("tr", { hasText: "Policy rules" });
  await rules.waitFor();
  assert.match(await rules.innerText(), /denied\s+policy rule no-deploys/);
  await page.locator(".alert.bad", { hasText: "rule_deny" }).waitFor();
});

test("what an agent did between two times", async () => {
  const local = (minutes) => new Date(Date.now() + minutes * 60_000 - new Date().getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
  const { page, step } = await operator();
  await step(search(page, "agent:coder-refunds"));
  await page.locator(".feed a.line").first().waitFor();
  await step(() => page.getByLabel("Period").selectOption("custom"));
  await step(async () => {
    await page.getByLabel("From").fill(local(-120));
    await page.getByLabel("To").fill(local(5));
  });
  await page.locator(".feed a.line", { hasText: "npm test" }).waitFor();
  const who = await page.locator(".feed .who").allInnerTexts();
  assert.deepEqual([...new Set(who)], ["coder-refunds"]);
  await page.getByLabel("To").fill(local(-60));
  await page.getByText("No requests here").waitFor();
});

test("stop an agent", async () => {
  const { page, step } = await operator();
  await step(async () => {
    await Promise.all([page.keyboard.press("g"), page.keyboard.press("g")]);
    await page.getByLabel("Find or create an agent").fill("build-4");
    await page.keyboard.press("Enter");
  });
  await step(() => page.getByRole("button", { name: "Stop this agent" }).click());
  await step(async () => {
    await page.getByLabel("Reason").fill("it builds in circles");
    await page.keyboard.press("Enter");
  });
  await page.getByText("it builds in circles").waitFor();
  assert.equal((await server.call("/act", { agent_id: "build-4", action: "rest" }, OPS)).error.code, "stopped");
  await server.call("/stops", { agent: "build-4", on: false, reason: "over" }, OPS);
});

test("which rule denies most", async () => {
  const { page } = await operator();
  const first = page.locator(".panel", { has: page.getByRole("heading", { name: "Denied by", exact: true }) }).locator(".ranking li").first();
  await first.waitFor();
  assert.match(await first.innerText(), /rules\/no-deploys[\s\S]*4/);
});

test("what a policy would have changed", async () => {
  const { page, step } = await operator();
  await step(nav(page, "policy"));
  await step(() => page.getByRole("button", { name: "Edit", exact: true }).click());
  await step(async () => {
    const area = page.getByLabel("Policy (YAML)");
    await page.getByText(/^Valid/).waitFor();
    await area.fill((await area.inputValue()).replace(/(id: watch-refunds[\s\S]*?effect: )observe/, "$1deny"));
    await page.getByRole("button", { name: "Backtest" }).click();
  });
  await page.getByText("5 decisions would change.").waitFor();
  const affected = page.locator("tr", { hasText: "refund.order" });
  await affected.first().waitFor();
  assert.match(await affected.first().innerText(), /support-desk[\s\S]*refund\.order[\s\S]*denied by rules\/watch-refunds/);
});

test("what a key cost", async () => {
  const { page, step } = await operator();
  await step(nav(page, "usage"));
  const row = page.getByRole("row", { name: /^gpt 3 / });
  await row.waitFor();
  assert.match(await row.innerText(), /gpt\s+3\s+33\s+21\s+54\s+\$0\.000018/);
});

test("whether the record is intact", async () => {
  const { page, step } = await operator();
  await step(nav(page, "health"));
  await step(() => page.getByRole("button", { name: "Verify the record" }).click());
  await page.getByText("The record is intact.").waitFor();
});

test("what is waiting for me", async () => {
  const { page, step } = await operator();
  await page.locator(".items a", { hasText: "terraform apply" }).waitFor();
  await page.locator(".items a", { hasText: "Note the freeze in the release notes" }).waitFor();
  await step(() => page.locator(".items a", { hasText: "terraform apply" }).click());
  await page.getByRole("button", { name: "Approve once" }).click();
  await page.locator(".facts", { hasText: "approved by ops" }).waitFor();
  assertClean(page, server);
});
