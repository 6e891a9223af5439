// Turns that a model narrates, turns in the background, and chats.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { KEYS, Provider, Server, assertClean, calls, go, launch, open, says, axeFaults } from "./support.mjs";

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

test("a turn that the model narrates is one request, with all that it did on the way", async () => {
  const page = await open(browser, server, { view: "send" });
  provider.script = [
    calls("plan", { intent: "note the inn", target_paths: ["plans/inn.md"], edits: [{ op: "create", path: "plans/inn.md", content: "warm\n" }] }),
    calls("plan", { intent: "another", target_paths: ["plans/b.md"], edits: [{ op: "create", path: "plans/b.md", content: "b\n" }] }),
    calls("plan", { intent: "the keys to it all", target_paths: ["/etc/passwd"] }),
    calls("act", { action: "rest" }),
    calls("remember", { text: "the inn is warm" }),
    says("You sleep well."),
  ];
  await page.getByLabel("Agent", { exact: true }).fill("teller");
  await page.getByLabel("Input for the agent").fill("explore the town");
  await page.getByRole("button", { name: "Send turn" }).click();
  const answer = page.locator(".answer", { hasText: "You sleep well." }).first();
  await answer.waitFor();
  assert.match(await answer.innerText(), /narrated by the model[\s\S]*108 tokens/);
  const made = await answer.locator(".calls li").allInnerTexts();
  assert.equal(made.length, 5);
  assert.match(made[2], /denied[\s\S]*plan[\s\S]*the keys to it all[\s\S]*path_forbidden/);
  assert.match(made[3], /allowed[\s\S]*act[\s\S]*"rest"[\s\S]*#\d+/);
  assert.deepEqual(await axeFaults(page), []);
  await page.goto(`${server.address}/ui#/agents/teller`);
  await page.locator(".memory").nth(1).getByText("the inn is warm").waitFor();
  await go(page, "activity");
  const row = page.locator(".feed > li:not(.day)", { hasText: "teller" });
  await row.waitFor();
  assert.match(await row.innerText(), /Turn[\s\S]*explore the town[\s\S]*1 tool call of the model denied/);
  assert.equal(await page.locator(".feed > li:not(.day)").count(), 2, "the turn, and the start of the service");
  await row.locator("a.line").click();
  await page.locator(".raw").nth(7).waitFor();
  const kinds = (await page.locator(".raw summary code").allInnerTexts()).map((head) => head.split(" ")[1]);
  assert.deepEqual(kinds, ["obs.plan", "plan.created", "obs.plan", "plan.created", "gate.denied", "obs.turn", "obs.act", "obs.act"]);
  assert.match(await page.locator(".request").innerText(), /explore the town[\s\S]*You sleep well\.[\s\S]*5 tool calls of the model[\s\S]*Tokens\s+108/);
  assertClean(page, server);
});

test("a response of the model that is withheld says so, and the turn still counts", async () => {
  const page = await open(browser, server, { view: "send" });
  provider.script = [says("First run rm -rf / --no-preserve-root and all is well.")];
  await page.getByLabel("Agent", { exact: true }).fill("silenced");
  await page.getByLabel("Input for the agent").fill("explore");
  await page.getByRole("button", { name: "Send turn" }).click();
  await page.locator(".answer .alert.warn", { hasText: "prompt_risky" }).waitFor();
  assert.match(await page.locator(".answer").first().innerText(), /Processed turn 1/);
  await go(page, "activity");
  const row = page.locator(".feed > li:not(.day)", { hasText: "silenced" });
  await row.getByText("the model's response was withheld").waitFor();
  assert.equal(await row.count(), 1);
  assertClean(page, server);
});

test("a background turn shows its result and can be canceled while it is queued", async () => {
  let release;
  provider.script = [new Promise((resolve) => { release = () => resolve(says("At last.")); })];
  const page = await open(browser, server, { view: "send" });
  await page.getByLabel("Agent", { exact: true }).fill("patient");
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

test("a request id that comes again is a request each time, and a chat shows its conversation", async () => {
  const page = await open(browser, server, { view: "activity" });
  provider.script = [says("One."), says("Two."), says("A gate that drops.")];
  const key = KEYS.API_TOKENS.split(/[=,]/)[1];
  for (const input of ["rest", "rest again"]) {
    await fetch(`${server.address}/turn`, {
      method: "POST", body: JSON.stringify({ agent_id: "twice", input }),
      headers: { "X-API-Key": key, "Content-Type": "application/json", "X-Request-Id": "the-same" },
    });
  }
  const rows = page.locator(".feed > li:not(.day)", { hasText: "twice" });
  await rows.filter({ hasText: "rest again" }).waitFor();
  assert.equal(await rows.count(), 2);
  await server.call("/llm/chat", { messages: [{ role: "user", content: "What is a portcullis?" }] });
  await page.locator(".feed > li:not(.day)", { hasText: "What is a portcullis?" }).locator("a.line").click();
  await page.locator(".message.assistant", { hasText: "A gate that drops." }).waitFor();
  assert.match(await page.locator(".message.user").innerText(), /What is a portcullis\?/);
  assert.match(await page.locator(".request").innerText(), /Tokens\s+18/);
  assertClean(page, server);
});
