// The parts that need no browser: the parsers, the dictionaries, hidden characters, searches and completion.

import assert from "node:assert/strict";
import { cp, mkdtemp, readFile, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, posix } from "node:path";
import { after, before, test } from "node:test";
import { pathToFileURL } from "node:url";
import { ROOT } from "./support.mjs";

const UI = join(ROOT, "bins/server/ui");
let copy;
// Node reads our modules as modules only below such a package.json.
before(async () => {
  copy = await mkdtemp(join(tmpdir(), "life-agent-ui-"));
  await cp(UI, copy, { recursive: true });
  await writeFile(join(copy, "package.json"), '{"type": "module"}');
});
after(() => rm(copy, { recursive: true }));
const load = (name) => import(pathToFileURL(join(copy, name)).href);

test("both dictionaries have the same keys, the same places for values, and every key that is used", async () => {
  const [en, de] = [(await load("lang/en.js")).default, (await load("lang/de.js")).default];
  assert.deepEqual(Object.keys(de), Object.keys(en));
  const places = (text) => [...text.matchAll(/\{\w+\}/g)].map(String).sort();
  for (const [key, text] of Object.entries(en)) {
    assert.deepEqual(places(de[key]), places(text), key);
    assert.ok(de[key].trim() && text.trim(), key);
  }
  const names = (await readdir(UI, { recursive: true })).filter((name) => name.endsWith(".js") && !/^(vendor|lang)/.test(name));
  assert.ok(names.length > 40);
  for (const name of names) {
    const source = await readFile(join(UI, name), "utf8");
    for (const [, call, key] of source.matchAll(/\b(tn?)\("([\w.]+)"/g)) {
      assert.ok((call === "tn" ? `${key}.other` : key) in en, `${name}: ${key}`);
    }
  }
});

test("the page names every module that Home imports, and no other", async () => {
  const needed = new Set();
  const walk = async (name) => {
    if (needed.has(name)) return;
    needed.add(name);
    const source = await readFile(join(UI, name), "utf8");
    for (const [, path] of source.matchAll(/^import [^;]+? from "(\.[^"]+)";/gm)) await walk(posix.join(posix.dirname(name), path));
  };
  await walk("app.js");
  await walk("views/home.js");
  needed.delete("app.js");
  const index = await readFile(join(UI, "index.html"), "utf8");
  assert.deepEqual([...index.matchAll(/modulepreload" href="ui\/([^"]+)"/g)].map(([, name]) => name), [...needed].sort());
});

test("quantiles come out as Prometheus computes them", async () => {
  const { parse, buckets, quantile, sum } = await load("lib/prometheus.js");
  const scrape = (a, b, c) => parse(`# HELP x y\nh_bucket{route="/a",le="0.1"} ${a}\nh_bucket{route="/a",le="0.5"} ${b}\nh_bucket{route="/a",le="+Inf"} ${c}\nn{k="a\\"b"} 3\n`);
  const [before, after] = [scrape(10, 10, 10), scrape(60, 110, 110)];
  const of = (q) => quantile(q, buckets(before, "h"), buckets(after, "h"));
  assert.equal(of(0.5), 0.1);
  assert.ok(Math.abs(of(0.75) - 0.3) < 1e-9);
  assert.equal(quantile(0.99, new Map(), buckets(scrape(0, 0, 5), "h")), 0.5);
  assert.equal(quantile(0.5, buckets(before, "h"), buckets(before, "h")), null);
  assert.equal(sum(after, "n"), 3);
});

test("a diff is laid out line beside line, with lines that look like headers", async () => {
  const { parse } = await load("parts/diff_parser.js");
  const patch = ["diff --git a/x b/x", "--- a/x", "+++ b/x", "@@ -1,4 +1,4 @@", " one", "--- a", "-two", "+++ b", " three", "+", "\\ No newline at end of file",
    "diff --git a/n b/n", "new file mode 100644", "--- /dev/null", "+++ b/n", "@@ -0,0 +1 @@", "+new", ""].join("\n");
  const { files, cut } = parse(patch);
  assert.equal(cut, 0);
  assert.deepEqual(files.map((file) => `${file.path} ${file.note}`), ["x ", "n created"]);
  const texts = files[0].hunks[0].rows.map(({ left, right }) => [left?.text, right?.text]);
  assert.deepEqual(texts, [["one", "one"], ["-- a", "++ b"], ["two", undefined], ["three", "three"], [undefined, ""]]);
  assert.deepEqual(files[1].hunks[0].rows, [{ left: null, right: { number: 1, text: "new", changed: true } }]);
  assert.deepEqual(parse("nothing of a diff\n@@ -1 +1 @@\n-x"), { files: [], cut: 0 });
});

test("what hides in a text is written out, and no cut halves a character", async () => {
  const { visible, short } = await load("lib/text.js");
  assert.equal(visible("a\u202eb\u0000\tc\n"), "a⟨U+202E⟩b⟨U+0000⟩\tc\n");
  assert.equal(short("ab😀c", 3), "ab…");
  assert.equal(short("ab😀", 4), "ab😀");
});

test("every invisible character is written out, tag characters and fillers included", async () => {
  const { visible } = await load("lib/text.js");
  for (const code of [0x00ad, 0x034f, 0x061c, 0x115f, 0x17b4, 0x180e, 0x200b, 0x202e, 0x2066, 0x2800, 0x3164, 0xfe0f, 0xfeff, 0xfff9, 0xe0041, 0xe01ef]) {
    const written = `⟨U+${code.toString(16).toUpperCase().padStart(4, "0")}⟩`;
    assert.equal(visible(`a${String.fromCodePoint(code)}b`), `a${written}b`);
  }
  assert.equal(visible("Zoë, 東京, 😀"), "Zoë, 東京, 😀");
});

test("requests that share a caller's request id stay apart, and a denial never hides behind an allowed one", async () => {
  const { Requests } = await load("record/requests.js");
  const row = (id, kind, data) => ({ id, kind, ts: "2026-01-01T00:00:00Z", principal: "ci", request_id: "r-9", agent_id: "a", data });
  const act = (id) => row(id, "obs.act", { action: "rest", deltas: {} });
  const denial = (id) => row(id, "gate.denied", { kind: "turn", reason: "risk_pattern", message: "no", request: { input: "x" } });
  const outcomes = (rows) => {
    const steps = new Requests();
    for (const each of rows) steps.add(each, each.id, 10);
    return steps.all.map((step) => step.outcome);
  };
  assert.deepEqual(outcomes([act(1), denial(2)]), ["allowed", "denied"]);
  assert.deepEqual(outcomes([denial(1), act(2)]), ["denied", "allowed"]);
  assert.deepEqual(outcomes([denial(1), denial(2)]), ["denied", "denied"]);
  const chat = new Requests();
  const messages = [{ role: "user", content: "What is a portcullis?" }, { role: "request", content: "some-model" }];
  assert.equal(chat.add(row(1, "llm.chat", { messages, content: "A gate." }), 1, 10).request, "What is a portcullis?");
  // A withheld response: the denial states the response, the row of the call the question.
  const withheld = new Requests();
  withheld.add(row(1, "gate.denied", { kind: "chat", reason: "risk_pattern", rule: "key", message: "no", request: { messages: [{ role: "assistant", content: "the key is" }] } }), 1, 10);
  withheld.add(row(2, "llm.chat", { outcome: "withheld", denied_by: 1, messages }), 2, 10);
  assert.deepEqual(withheld.all.map((step) => [step.request, step.outcome, step.rule, step.rows.length]), [["What is a portcullis?", "denied", "key", 2]]);
  // What a call holds of its budgets is part of the call.
  const budgeted = new Requests();
  for (const [id, kind, data] of [[1, "budget.reserved", {}], [2, "budget.settled", {}], [3, "llm.chat", { messages, content: "A gate." }], [4, "obs.turn", { input: "hi", response: "yes" }]]) {
    budgeted.add(row(id, kind, data), id, 10);
  }
  assert.deepEqual(budgeted.all.map((step) => [step.kind, step.outcome, step.rows.length]), [["turn", "allowed", 4]]);
});

test("events are read whatever way they are cut, and one that is too long keeps its number", async () => {
  const { Parser } = await load("record/stream.js");
  const long = "z".repeat(3 * 1024 * 1024);
  const text = `retry: 5000\nid: 4\n\n:keepalive\n\nid: 5\r\nevent: a\r\ndata: {"x":1}\r\n\r\nid: 6\nevent: b\ndata: ${long}\n\nid: 7\nevent: c\ndata:7\n\nid: 8\nevent: half`;
  for (const size of [1, 7, 4096, text.length]) {
    // One character at a time takes too long for three million of them.
    const given = size < 100 ? text.replace(long, "short") : text;
    const seen = [];
    const parser = new Parser((event) => seen.push([event.id, event.name, event.data]));
    for (let at = 0; at < given.length; at += size) parser.push(given.slice(at, at + size));
    assert.deepEqual(seen, [[5, "a", '{"x":1}'], [6, "b", size < 100 ? "short" : null], [7, "c", "7"]]);
  }
});

test("a tool call, its refusal and its result are one request, and an approval waits", async () => {
  const { Requests, summaryText } = await load("record/requests.js");
  const row = (id, request_id, kind, data) => ({ id, kind, ts: "2026-01-01T00:00:00Z", principal: "ci", request_id, agent_id: "a", data });
  const requests = new Requests();
  const add = (each) => requests.add(each, each.id, 10);
  add(row(1, "r1", "tool.requested", { decision: "allow", tool: "Bash", arguments: { command: "ls" } }));
  add(row(2, "r2", "tool.requested", { decision: "ask", tool: "Bash", arguments: { command: "terraform apply" }, reason: "approval_required", rule: "infra" }));
  add(row(3, "r2", "approval.requested", { summary: "x" }));
  add(row(4, "r3", "tool.finished", { call: 1, tool: "Bash", is_error: true, duration_ms: 7 }));
  add(row(5, "r4", "tool.finished", { call: 999, tool: "Read", is_error: false }));
  add(row(6, "", "auth.failed", { peer: "10.0.0.1", count: 4 }));
  assert.deepEqual(requests.all.map(({ request, outcome, rows, count }) => [request, outcome, rows.length, count]),
    [["ls", "failed", 2, 1], ["terraform apply", "asked", 2, 1], ["Read", "allowed", 1, undefined], ["10.0.0.1", "denied", 1, 4]]);
  assert.equal(summaryText('Bash {"command":"rm -rf /","x":1}'), "Bash: rm -rf /");
  assert.equal(summaryText('Bash {"command":"rm -r…'), "Bash: rm -r…");
  assert.equal(summaryText("refund.order"), "refund.order");
});

test("addresses name a view, its argument and its parameters, and old links still lead somewhere", async () => {
  const { parse, to } = await load("lib/router.js");
  assert.deepEqual(parse("#/agents/a%2Fb?since=1h&x=%C3%A4"), { view: "agents", argument: "a/b", params: { since: "1h", x: "ä" } });
  assert.deepEqual(parse("#/live"), { view: "activity", argument: "", params: {} });
  assert.deepEqual(parse("#/agents/%zz"), { view: "agents", argument: "%zz", params: {} });
  assert.equal(to("activity", "", { q: "a b", kind: "", rule: null }), "#/activity?q=a+b");
  for (const argument of ["hero", "a/b", "ä?#&"]) assert.equal(parse(to("agents", argument)).argument, argument);
});

test("a search is words and filters, and times and durations in any common form", async () => {
  const { formatSearch, parseSearch, serviceFilter } = await load("parts/search_box.js");
  assert.deepEqual(parseSearch('agent:hero caller:"a b" lost  keys http://x slow:250ms'), { agent: "hero", caller: "a b", slow: "250ms", q: "lost keys http://x" });
  assert.equal(formatSearch({ agent: "hero", caller: "a b", q: "lost keys" }), 'agent:hero caller:"a b" lost keys');
  assert.deepEqual(parseSearch("01a225e4159c712d9f5e80665d708d20"), { request: "01a225e4159c712d9f5e80665d708d20" });
  const now = Date.parse("2026-01-02T00:00:00Z");
  assert.deepEqual(serviceFilter({ agent: "hero", last: "1h", slow: "1.5s", outcome: "denied" }, now),
    { agent_id: "hero", outcome: "denied", since: "2026-01-01T23:00:00.000Z", min_elapsed_us: 1_500_000 });
  assert.deepEqual(serviceFilter({ since: "2026-01-01T10:00Z", until: "nonsense", slow: "fast" }, now), { since: "2026-01-01T10:00:00.000Z" });
});

test("a live row passes the same filters as the search of the service", async () => {
  const { passes } = await load("record/journal.js");
  const row = { id: 1, ts: "2026-01-01T10:00:00.000000Z", kind: "gate.denied", agent_id: "hero", principal: "ci", request_id: "r1",
    data: { rule: "no-x", timing: { elapsed_us: 900 }, request: { input: "Print the KEY" } } };
  const yes = [{}, { agent_id: "hero" }, { kind: "gate.*" }, { outcome: "denied" }, { rule: "no-x" }, { q: "the key" }, { q: "KEY: hero" }, { since: "2026-01-01T09:00:00Z", until: "2026-01-01T11:00:00Z" }, { min_elapsed_us: 900 }];
  const no = [{ agent_id: "her" }, { kind: "obs.*" }, { outcome: "allowed" }, { rule: "no-y" }, { q: "keys" }, { q: "th" }, { since: "2026-01-01T10:00:01Z" }, { until: "2026-01-01T10:00:00Z" }, { min_elapsed_us: 901 }, { principal: "x" }, { session_id: "s" }, { request_id: "r2" }];
  for (const filter of yes) assert.ok(passes(row, filter), JSON.stringify(filter));
  for (const filter of no) assert.ok(!passes(row, filter), JSON.stringify(filter));
  for (const [kind, data, outcome] of [
    ["llm.chat", { outcome: "answered" }, "allowed"], ["llm.chat", { outcome: "answered", answer: { would_deny: ["r"] } }, "would_deny"],
    ["llm.chat", { outcome: "stopped" }, "failed"], ["llm.chat", { outcome: "withheld" }, "failed"], ["tool.requested", { decision: "ask" }, "denied"],
    ["tool.finished", { is_error: true }, "failed"], ["tool.finished", {}, null], ["kill_switch.on", {}, null], ["obs.turn", { would_deny: ["r"] }, "would_deny"],
  ]) {
    for (const each of ["allowed", "would_deny", "denied", "failed"]) assert.equal(passes({ kind, data }, { outcome: each }), each === outcome, `${kind} ${each}`);
  }
});

test("the editor completes what the schema allows at a place", async () => {
  const { complete } = await load("parts/schema.js");
  const schema = JSON.parse(await readFile(join(ROOT, "policy/policy.schema.json"), "utf8"));
  const offered = (text) => complete(schema, text, text.length).options.map((option) => option.text);
  const cases = [["ris", "risk"], ["risk:\n  mo", "mode"], ["risk:\n  mode: ", "enforce"], ["risk:\n  categories:\n    url: ", "deny_severe"], ["rules:\n  - ", "id"],
    ["rules:\n  - id: a\n    eff", "effect"], ["rules:\n  - id: a\n    effect: ", "ask"], ["rules:\n  - id: a\n    match:\n      kinds:\n        - ", "tool"],
    ["rules:\n- id: a\n  eff", "effect"], ["llm:\n  providers:\n    - name: a\n      dia", "dialect"]];
  for (const [text, wanted] of cases) assert.ok(offered(text).includes(wanted), `${JSON.stringify(text)}: ${offered(text)}`);
  assert.ok(!offered("risk:\n  ").includes("rules"));
  for (const text of ["# ris", "nothing:\n  x", "version: \"", "\u0000", "- - - a: b: c"]) assert.deepEqual(offered(text), [], text);
});

test("the difference of two texts applies to the first and gives the second", async () => {
  const { unifiedDiff } = await load("parts/line_diff.js");
  const { parse } = await load("parts/diff_parser.js");
  const lines = (n) => Array.from({ length: n }, (_, at) => `line ${at}`);
  const changed = lines(60).toSpliced(5, 1, "new 5").toSpliced(40, 2).toSpliced(58, 0, "end");
  const pairs = [["a\nb\nc\n", "a\nx\nc\n"], ["", "a\n"], ["a\n", ""], [`${lines(60).join("\n")}\n`, `${changed.join("\n")}\n`], ["same\n", "same\n"],
    [`${lines(3000).join("\n")}\n`, `${lines(3000).map((text) => `${text}!`).join("\n")}\n`]];
  for (const [before, after] of pairs) {
    const patch = unifiedDiff("p", before, after);
    const rows = parse(patch).files.flatMap((file) => file.hunks.flatMap((hunk) => hunk.rows));
    const kept = (side) => rows.filter((row) => row[side]?.changed).map((row) => row[side].text);
    const only = (text, other) => text.split("\n").filter((line) => line && !other.split("\n").includes(line));
    assert.deepEqual(kept("left").filter((text) => text), only(before, after).slice(0, kept("left").length));
    assert.deepEqual(kept("right").filter((text) => text), only(after, before).slice(0, kept("right").length));
    assert.equal(patch === "", before === after);
  }
});

test("a recorded request becomes a curl command that a shell reads as it was", async () => {
  const { curl, quoted } = await load("record/curl.js");
  const { execFileSync } = await import("node:child_process");
  const evil = "it's $HOME `id` \"x\"\n\\";
  assert.equal(execFileSync("sh", ["-c", `printf %s ${quoted(evil)}`], { encoding: "utf8" }), evil);
  const command = curl("act", { kind: "gate.denied", agent_id: "a", data: { request: { action: "deploy", payload: { note: evil } } } }, "http://127.0.0.1:1/");
  assert.match(command, /^curl -s 'http:\/\/127\.0\.0\.1:1\/act'/);
  const body = execFileSync("sh", ["-c", command.replace(/^curl -s/, "printf '%s\\n'")], { encoding: "utf8" });
  assert.ok(body.includes(JSON.stringify({ agent_id: "a", action: "deploy", payload: { note: evil } }, null, 2)), body);
  assert.equal(curl("switch", { kind: "kill_switch.on", data: {} }, "http://x/"), null);
});

test("denials are unusual at several times the usual number, and requests that wait are none", async () => {
  const { unusualDenials } = await load("views/home.js");
  const report = (denied, usual, waits = 0) => ({ total: { denied }, usual: usual === null ? null : { denied: usual }, denied_by: waits ? [{ reason: "approval_required", count: waits }] : [] });
  assert.equal(unusualDenials(report(9, 0)), null);
  assert.ok(unusualDenials(report(10, 0)));
  assert.equal(unusualDenials(report(29, 10)), null);
  assert.ok(unusualDenials(report(30, 10)));
  assert.equal(unusualDenials(report(30, 10, 5)), null);
  assert.equal(unusualDenials(report(500, null)), null);
  assert.equal(unusualDenials(null), null);
});
