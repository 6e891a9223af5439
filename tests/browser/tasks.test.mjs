// What operators come for, each in at most three steps from any page. The page counts the steps itself: links,
// buttons, choices and shortcuts that lead elsewhere. Typing belongs to the step that sends it.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { Server, assertClean, launch, open } from "./support.mjs";

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

/** A page of an operator; `steps()` is what was done on it, and fails if that is more than three steps. */
async function operator() {
  const page = await open(browser, server, { key: ops });
  await page.evaluate(countSteps);
  return { page, steps: async () => {
    const steps = await page.evaluate(() => window.steps);
    assert.ok(steps.length <= 3, steps.join(", "));
    return steps.length;
  } };
}

/** Runs in the page. */
function countSteps() {
  window.steps = [];
  let last = null;
  const count = (what, target) => {
    // Several fields of one form are one step.
    if (what !== "field" || last !== target) window.steps.push(what);
    last = target;
  };
  const watch = (name, on) => addEventListener(name, (event) => on(event.target.closest.bind(event.target), event), { capture: true });
  watch("click", (closest) => {
    const pressed = closest("a[href], button:not([type=submit]), summary");
    if (pressed) count(`click ${pressed.textContent.slice(0, 40)}`, pressed);
  });
  watch("submit", (closest) => count("submit", closest("form")));
  watch("change", (closest) => {
    if (closest("select")) count("choose", closest("select"));
    else if (closest(".range")) count("field", closest(".range"));
  });
  let before = "";
  watch("keydown", (closest, { key }) => {
    if (before === "g" && !closest("input, textarea")) count(`g ${key}`, null);
    before = before === "g" ? "" : key;
  });
}

const nav = (page, view) => page.locator(`nav a[data-view="${view}"]`).click();
const search = async (page, text) => {
  await page.keyboard.press("/");
  await page.getByLabel("Search the record").fill(text);
  await page.keyboard.press("Enter");
};

test("what a request id did", async () => {
  const { events } = await server.call("/journal?agent_id=coder-refunds&outcome=denied&order=desc&limit=1", undefined, ops);
  const id = events[0].request_id;
  const { page, steps } = await operator();
  await search(page, id);
  await page.locator(".feed a.line", { hasText: "curl -s" }).click();
  await page.getByRole("link", { name: id }).waitFor();
  assert.equal(await steps(), 2);
  assertClean(page, server);
});

test("who approved this", async () => {
  const { page, steps } = await operator();
  await nav(page, "plans");
  await page.getByLabel("Status").selectOption("approved");
  await page.locator(".pick a", { hasText: "Note the freeze in the release notes" }).click();
  await page.locator(".facts", { hasText: "approved by reviewer" }).getByText("read on Monday").waitFor();
  assert.equal(await steps(), 3);
});

test("why it was denied", async () => {
  const { page, steps } = await operator();
  await nav(page, "activity");
  await page.locator(".feed .stands.bad a.line", { hasText: "deploy.production" }).first().click();
  const rules = page.locator("tr", { hasText: "Policy rules" });
  await rules.waitFor();
  assert.match(await rules.innerText(), /denied\s+policy rule no-deploys/);
  await page.locator(".alert.bad", { hasText: "rule_deny" }).waitFor();
  assert.equal(await steps(), 2);
});

test("what an agent did between two times", async () => {
  const local = (minutes) => new Date(Date.now() + minutes * 60_000 - new Date().getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
  const { page, steps } = await operator();
  await search(page, "agent:coder-refunds");
  await page.locator(".feed a.line").first().waitFor();
  await page.getByLabel("Period").selectOption("custom");
  await page.getByLabel("From").fill(local(-120));
  await page.getByLabel("To").fill(local(5));
  await page.locator(".feed a.line", { hasText: "npm test" }).first().waitFor();
  assert.equal(await steps(), 3);
  const who = await page.locator(".feed .who").allInnerTexts();
  assert.deepEqual([...new Set(who)], ["coder-refunds"]);
  await page.getByLabel("To").fill(local(-90));
  await page.getByText("No requests here").waitFor();
});

test("stop an agent", async () => {
  const { page, steps } = await operator();
  await Promise.all([page.keyboard.press("g"), page.keyboard.press("g")]);
  await page.getByLabel("Find or create an agent").fill("build-4");
  await page.locator("tr", { hasText: "build-4" }).getByRole("button", { name: "Stop" }).click();
  await page.getByLabel("Reason").fill("it builds in circles");
  await page.keyboard.press("Enter");
  await page.locator("tr", { hasText: "build-4" }).getByText("stopped").waitFor();
  assert.equal(await steps(), 3);
  assert.equal((await server.call("/act", { agent_id: "build-4", action: "rest" }, ops)).error.code, "stopped");
  await server.call("/stops", { agent: "build-4", on: false, reason: "over" }, ops);
});

test("which rule denies most", async () => {
  const { page, steps } = await operator();
  const first = page.locator(".panel", { has: page.getByRole("heading", { name: "Denied by", exact: true }) }).locator(".ranking li").first();
  await first.waitFor();
  const { denied_by: [most] } = await server.call("/activity?minutes=60", undefined, ops);
  assert.match(await first.innerText(), new RegExp(`^rules/no-deploys[\\s\\S]*\\b${most.count}$`));
  assert.equal(await steps(), 0);
});

test("what a policy would have changed", async () => {
  const { page, steps } = await operator();
  await nav(page, "policy");
  await page.getByRole("button", { name: "Edit", exact: true }).click();
  const area = page.getByLabel("Policy (YAML)");
  await page.getByText(/^Valid/).waitFor();
  await area.fill((await area.inputValue()).replace(/(id: watch-refunds[\s\S]*?effect: )observe/, "$1deny"));
  await page.getByRole("button", { name: "Backtest" }).click();
  await page.getByText(/^\d+ decisions would change\./).waitFor();
  const affected = page.locator("tr", { hasText: "refund.order" }).first();
  await affected.waitFor();
  assert.match(await affected.innerText(), /support-desk[\s\S]*refund\.order[\s\S]*denied by rules\/watch-refunds/);
  assert.equal(await steps(), 3);
});

test("what a key cost", async () => {
  const { usage } = await server.call("/usage?by=principal", undefined, ops);
  const of = usage.find(({ name }) => name === "support");
  // The prices of the demo's policy, in dollars for a million tokens.
  const cost = (of.prompt_tokens * 0.15 + of.completion_tokens * 0.6) / 1e6;
  const { page, steps } = await operator();
  await nav(page, "usage");
  const row = page.getByRole("row", { name: /^support / }).first();
  await row.waitFor();
  const cells = (await row.locator("td").allInnerTexts()).map((text) => Number(text.replace(/[$,]/g, "")));
  assert.deepEqual(cells.slice(1, 5), [of.calls, of.prompt_tokens, of.completion_tokens, of.total_tokens]);
  // Amounts below a cent are shown to the millionth.
  assert.ok(cells[5] > 0 && Math.abs(cells[5] - cost) < (cost < 0.01 ? 1e-6 : 0.005), `${cells[5]} instead of ${cost}`);
  assert.equal(await steps(), 1);
});

test("whether the record is intact", async () => {
  const { page, steps } = await operator();
  await nav(page, "health");
  await page.getByRole("button", { name: "Verify the record" }).click();
  await page.getByText("The record is intact.").waitFor();
  assert.equal(await steps(), 2);
});

test("what is waiting for me", async () => {
  const { page, steps } = await operator();
  await page.locator(".items a", { hasText: "Lower the daily refund limit" }).waitFor();
  await page.locator(".items a", { hasText: "scraper" }).waitFor();
  await page.locator(".items a", { hasText: "terraform apply" }).click();
  await page.getByRole("button", { name: "Approve once" }).click();
  await page.locator(".facts", { hasText: "approved by ops" }).waitFor();
  assert.equal(await steps(), 2);
  assertClean(page, server);
});
