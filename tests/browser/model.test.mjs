// Turns that a model tells, and turns that are taken later.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { KEYS, Provider, Server, assertClean, calls, go, launch, open, says, seriousFaults } from "./support.mjs";

let [browser, provider, server] = [];
before(async () => {
  provider = await Provider.start();
  server = await Server.start({ ...KEYS, ...provider.settings });
  browser = await launch();
});
after(async () => {
  await browser?.close();
  await server?.end();
  provider?.end();
});

test("a turn that the model tells is one step, with all that it did on the way", async () => {
  const page = await open(browser, server, { view: "agents" });
  provider.script = [
    calls("plan", { intent: "note the inn", target_paths: ["plans/inn.md"], edits: [{ op: "create", path: "plans/inn.md", content: "warm\n" }] }),
    calls("plan", { intent: "another", target_paths: ["plans/b.md"], edits: [{ op: "create", path: "plans/b.md", content: "b\n" }] }),
    calls("plan", { intent: "the keys to it all", target_paths: ["/etc/passwd"] }),
    calls("act", { action: "rest" }),
    calls("remember", { text: "the inn is warm" }),
    says("You sleep well."),
  ];
  await page.getByLabel("Find or create an agent").fill("teller");
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { name: "teller" }).waitFor();
  await page.getByLabel("Input for the agent").fill("explore the town");
  await page.getByRole("button", { name: "Send turn" }).click();
  const answer = page.locator(".answer", { hasText: "You sleep well." }).first();
  await answer.waitFor();
  assert.match(await answer.innerText(), /narrated by the model[\s\S]*108 tokens/);
  const made = await answer.locator(".calls li").allInnerTexts();
  assert.equal(made.length, 5);
  assert.match(made[2], /denied[\s\S]*plan[\s\S]*the keys to it all[\s\S]*path_forbidden/);
  assert.match(made[3], /allowed[\s\S]*act[\s\S]*"rest"[\s\S]*#\d+/);
  await page.locator(".memory").nth(1).getByText("the inn is warm").waitFor();
  assert.deepEqual(await seriousFaults(page), []);
  await go(page, "live");
  const row = page.locator(".feed li", { hasText: "teller" });
  await row.getByText("the inn is warm").or(row.getByText("You sleep well.")).first().waitFor();
  assert.match(await row.innerText(), /Turn[\s\S]*explore the town[\s\S]*allowed[\s\S]*1 tool call of the model denied/);
  assert.equal(await page.locator(".feed li").count(), 2, "the turn, and the start of the service");
  await row.locator("button").click();
  await page.locator("dialog .raw").nth(7).waitFor();
  const kinds = (await page.locator("dialog .raw h3").allInnerTexts()).map((head) => head.split(" ")[1]);
  assert.deepEqual(kinds, ["obs.plan", "plan.created", "obs.plan", "plan.created", "gate.denied", "obs.turn", "obs.act", "obs.act"]);
  assertClean(page, server);
});

test("a text of the model that is withheld is said to be, and the turn still counts", async () => {
  const page = await open(browser, server, { view: "agents" });
  provider.script = [says("First run rm -rf / --no-preserve-root and all is well.")];
  await page.goto(`${server.address}/ui#/agents/silenced`);
  await page.getByLabel("Input for the agent").fill("explore");
  await page.getByRole("button", { name: "Send turn" }).click();
  await page.locator(".answer .alert.warn", { hasText: "prompt_risky" }).waitFor();
  assert.match(await page.locator(".answer").first().innerText(), /Processed turn 1/);
  await go(page, "live");
  const row = page.locator(".feed li", { hasText: "silenced" });
  await row.getByText("the model's response was withheld").waitFor();
  assert.equal(await row.count(), 1);
  assert.equal(await page.locator(".feed li.denied").count(), 0);
  assertClean(page, server);
});

test("a background turn shows its result and can be canceled while it is queued", async () => {
  let release;
  provider.script = [new Promise((resolve) => { release = () => resolve(says("At last.")); })];
  const page = await open(browser, server, { view: "agents" });
  await page.goto(`${server.address}/ui#/agents/patient`);
  for (const input of ["explore first", "explore second"]) {
    await page.getByLabel("Input for the agent").fill(input);
    await page.getByRole("button", { name: "Send in the background" }).click();
    await page.locator(".queue li", { hasText: input }).waitFor();
  }
  const first = page.locator(".queue > li", { hasText: "explore first" });
  const second = page.locator(".queue > li", { hasText: "explore second" });
  await first.getByText("in progress").waitFor();
  await second.getByText("queued").waitFor();
  await second.getByRole("button", { name: "Cancel" }).click();
  await second.getByText("canceled").waitFor();
  release();
  await first.getByText("At last.").waitFor();
  assert.equal(await page.getByRole("button", { name: "Cancel" }).count(), 0);
  const { state } = await server.call("/state?agent_id=patient");
  assert.equal(state.turns, 1);
  assertClean(page, server);
});

test("a request id that comes again is a step each time", async () => {
  const page = await open(browser, server);
  provider.script = [says("One."), says("Two.")];
  for (const input of ["rest", "rest again"]) {
    await fetch(`${server.address}/turn`, {
      method: "POST", body: JSON.stringify({ agent_id: "twice", input }),
      headers: { "X-API-Key": KEYS.API_TOKENS.split(/[=,]/)[1], "Content-Type": "application/json", "X-Request-Id": "the-same" },
    });
  }
  await page.locator(".feed li", { hasText: "Two." }).waitFor();
  await page.locator(".feed li", { hasText: "One." }).waitFor();
  assert.equal(await page.locator(".feed li", { hasText: "twice" }).count(), 2);
  assertClean(page, server);
});
