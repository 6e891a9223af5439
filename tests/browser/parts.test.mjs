// The parts that need no browser: the parsers, the dictionaries, what hides in text.

import assert from "node:assert/strict";
import { readFile, readdir } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { ROOT } from "./support.mjs";

const UI = join(ROOT, "bins/server/ui");
// Node takes our modules for what they are only by this name.
const load = async (name) => import(`data:text/javascript;base64,${Buffer.from(await readFile(join(UI, name))).toString("base64")}`);

test("both dictionaries have the same keys, the same places for values, and every key that is used", async () => {
  const [en, de] = [(await load("lang/en.js")).default, (await load("lang/de.js")).default];
  assert.deepEqual(Object.keys(de), Object.keys(en));
  const places = (text) => [...text.matchAll(/\{\w+\}/g)].map(String).sort();
  for (const [key, text] of Object.entries(en)) {
    assert.deepEqual(places(de[key]), places(text), key);
    assert.ok(de[key].trim() && text.trim(), key);
  }
  const names = (await readdir(UI, { recursive: true })).filter((name) => /^(views\/)?\w+\.js$/.test(name));
  assert.ok(names.length > 15);
  for (const name of names) {
    const source = await readFile(join(UI, name), "utf8");
    for (const [, call, key] of source.matchAll(/\b(tn?)\("([\w.]+)"/g)) {
      assert.ok((call === "tn" ? `${key}.other` : key) in en, `${name}: ${key}`);
    }
  }
});

test("quantiles come out as Prometheus computes them", async () => {
  const { parse, buckets, quantile, sum } = await load("prometheus.js");
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
  const { parse } = await load("diff.js");
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
  const { visible, short } = await load("text.js");
  assert.equal(visible("a\u202eb\u0000\tc\n"), "a⟨U+202E⟩b⟨U+0000⟩\tc\n");
  assert.equal(short("ab😀c", 3), "ab…");
  assert.equal(short("ab😀", 4), "ab😀");
});

test("every invisible character is written out, tag characters and fillers included", async () => {
  const { visible } = await load("text.js");
  for (const code of [0x00ad, 0x034f, 0x061c, 0x115f, 0x17b4, 0x180e, 0x200b, 0x202e, 0x2066, 0x2800, 0x3164, 0xfe0f, 0xfeff, 0xfff9, 0xe0041, 0xe01ef]) {
    const written = `⟨U+${code.toString(16).toUpperCase().padStart(4, "0")}⟩`;
    assert.equal(visible(`a${String.fromCodePoint(code)}b`), `a${written}b`);
  }
  assert.equal(visible("Zoë, 東京, 😀"), "Zoë, 東京, 😀");
});

test("requests that share a caller's request id stay apart, and a denial never hides behind an allowed one", async () => {
  const texts = `data:text/javascript;base64,${Buffer.from(await readFile(join(UI, "text.js"))).toString("base64")}`;
  const source = (await readFile(join(UI, "steps.js"), "utf8")).replace("./text.js", texts);
  const { Steps } = await import(`data:text/javascript;base64,${Buffer.from(source).toString("base64")}`);
  const row = (id, kind, data) => ({ id, kind, ts: "2026-01-01T00:00:00Z", principal: "ci", request_id: "r-9", agent_id: "a", data });
  const act = (id) => row(id, "obs.act", { action: "rest", deltas: {} });
  const denial = (id) => row(id, "gate.denied", { kind: "turn", reason: "risk_pattern", message: "no", request: { input: "x" } });
  const outcomes = (rows) => {
    const steps = new Steps();
    for (const each of rows) steps.add(each, each.id, 10);
    return steps.all.map((step) => step.outcome);
  };
  assert.deepEqual(outcomes([act(1), denial(2)]), ["allowed", "denied"]);
  assert.deepEqual(outcomes([denial(1), act(2)]), ["denied", "allowed"]);
  assert.deepEqual(outcomes([denial(1), denial(2)]), ["denied", "denied"]);
  const chat = new Steps();
  const messages = [{ role: "user", content: "What is a portcullis?" }, { role: "request", content: "some-model" }];
  assert.equal(chat.add(row(1, "llm.chat", { messages, content: "A gate." }), 1, 10).request, "What is a portcullis?");
  // What a call holds of its budgets is part of the call.
  const budgeted = new Steps();
  for (const [id, kind, data] of [[1, "budget.reserved", {}], [2, "budget.settled", {}], [3, "llm.chat", { messages, content: "A gate." }], [4, "obs.turn", { input: "hi", response: "yes" }]]) {
    budgeted.add(row(id, kind, data), id, 10);
  }
  assert.deepEqual(budgeted.all.map((step) => [step.kind, step.outcome, step.rows.length]), [["turn", "allowed", 4]]);
});

test("events are read whatever way they are cut, and one that is too long keeps its number", async () => {
  const source = (await readFile(join(UI, "events.js"), "utf8")).replace('import { open } from "./api.js";', "const open = null;");
  const { Parser } = await import(`data:text/javascript;base64,${Buffer.from(source).toString("base64")}`);
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
