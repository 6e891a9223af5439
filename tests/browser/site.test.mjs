// The built site, served below a folder as GitHub Pages does: each page is clean, fits and is accessible.

import assert from "node:assert/strict";
import { mkdir, readdir, readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { extname, join } from "node:path";
import { after, before, test } from "node:test";
import { pathToFileURL } from "node:url";
import { ROOT, launch, axeFaults } from "./support.mjs";

// `cargo xtask site` builds it.
const DOCS = join(ROOT, "target/site");
const TYPES = { ".html": "text/html", ".css": "text/css", ".svg": "image/svg+xml", ".yaml": "text/yaml", ".json": "application/json", ".js": "text/javascript" };
let [browser, server, site, pages] = [];

before(async () => {
  server = createServer(async (request, response) => {
    const path = new URL(request.url, "http://x").pathname;
    const name = path.startsWith("/life-agent/") ? path.slice("/life-agent/".length) || "index.html" : "..";
    const content = name.includes("..") ? null : await readFile(join(DOCS, name)).catch(() => null);
    response.writeHead(content ? 200 : 404, { "Content-Type": TYPES[extname(name)] ?? "text/plain" });
    response.end(content);
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  site = `http://127.0.0.1:${server.address().port}/life-agent/`;
  const guides = (await readdir(join(DOCS, "guides"))).map((name) => `guides/${name}`);
  pages = ["", ...guides];
  browser = await launch();
});
after(async () => {
  await browser?.close();
  server?.close();
});

async function watched(context) {
  const tab = await browser.newContext(context);
  const page = await tab.newPage();
  page.faults = [];
  page.on("console", (message) => page.faults.push(message.text()));
  page.on("pageerror", (error) => page.faults.push(String(error)));
  page.on("request", (request) => request.url().startsWith(site) || page.faults.push(`asks for ${request.url()}`));
  page.on("response", (response) => response.ok() || page.faults.push(`${response.status()} ${response.url()}`));
  return page;
}

for (const colorScheme of ["light", "dark"]) {
  for (const width of [1280, 400]) {
    test(`every page is clean, ${colorScheme}, ${width} wide, and nothing runs off it`, async () => {
      const page = await watched({ colorScheme, viewport: { width, height: 850 } });
      const pictures = join(ROOT, "target/browser/pictures");
      await mkdir(pictures, { recursive: true });
      assert.ok(pages.length > 12, pages.join());
      for (const path of pages) {
        await page.goto(site + path);
        assert.equal(await page.locator("h1").count(), 1, path);
        assert.equal(await page.evaluate(() => document.styleSheets.length), 1, path);
        assert.equal(await page.evaluate(() => document.documentElement.scrollWidth - innerWidth), 0, `${path} is too wide`);
        assert.deepEqual(await axeFaults(page), [], path);
        if (!path.startsWith("guides/")) {
          const name = path.replace(".html", "") || "index";
          await page.screenshot({ path: join(pictures, `site-${name}-${colorScheme}-${width}.png`) });
        }
      }
      assert.deepEqual(page.faults, []);
      await page.context().close();
    });
  }
}

test("from the first page a click leads to every guide and every call, and from there back", async () => {
  const page = await watched({ viewport: { width: 1280, height: 900 } });
  await page.goto(site);
  const linked = await page.locator(".guides a").evaluateAll((links) => links.map((link) => link.getAttribute("href")));
  assert.deepEqual(linked.toSorted(), pages.filter((path) => path.startsWith("guides/")).toSorted());
  for (const path of linked) {
    await page.locator(`.guides a[href="${path}"]`).click();
    await page.waitForURL(site + path);
    assert.equal(await page.locator(".pages [aria-current=page]").count(), 1, path);
    await page.locator(".bar .name").click();
    await page.waitForURL(`${site}index.html`);
  }
  await page.locator("nav a", { hasText: "Calls" }).click();
  await page.waitForURL(`${site}index.html#calls`);
  await page.locator('.calls a[href="#turn"]').click();
  const call = page.locator("section#turn");
  assert.ok((await call.boundingBox()).y < 900, "it is in sight");
  for (const said of ["Idempotency-Key (header)", "Prefer (header)", "202: TurnLater"]) {
    await call.getByText(said, { exact: true }).first().waitFor();
  }
  assert.deepEqual(page.faults, []);
});

test("the guides are next to each guide in the order of the first page, and lead on", async () => {
  const page = await watched({ viewport: { width: 1440, height: 900 } });
  await page.goto(site);
  const titles = await page.locator(".guides a").allTextContents();
  await page.goto(`${site}guides/gates.html`);
  assert.deepEqual(await page.locator(".pages a").allTextContents(), titles);
  const headings = await page.locator("main h2, main h3").evaluateAll((all) => all.map((heading) => `#${heading.id}`));
  const contents = await page.locator(".contents a").evaluateAll((all) => all.map((link) => link.getAttribute("href")));
  assert.deepEqual(contents, headings);
  const [pages, main, aside] = await Promise.all([".pages", "main", ".contents"].map((part) => page.locator(part).boundingBox()));
  assert.ok(pages.x < main.x && main.x < aside.x, "three columns");
  await page.locator(".around a[rel=next]").click();
  const next = titles[titles.indexOf("Gates") + 1];
  assert.equal(await page.locator(".pages [aria-current=page]").textContent(), next);
  assert.deepEqual(page.faults, []);
});

for (const colorScheme of ["light", "dark"]) {
  for (const width of [1280, 400]) {
    test(`the search finds sections and calls by keyboard alone, ${colorScheme}, ${width} wide`, async () => {
      const page = await watched({ colorScheme, viewport: { width, height: 850 } });
      await page.goto(`${site}guides/gates.html`);
      await page.keyboard.press("/");
      await page.keyboard.type("retention");
      await page.getByRole("status").getByText(/result/).waitFor();
      assert.deepEqual(await axeFaults(page), []);
      assert.equal(await page.evaluate(() => document.documentElement.scrollWidth - innerWidth), 0);
      await page.screenshot({ path: join(ROOT, `target/browser/pictures/site-search-${colorScheme}-${width}.png`) });
      await page.keyboard.press("Escape");
      assert.equal(await page.locator(".found").isVisible(), false);
      await page.keyboard.press("ControlOrMeta+A");
      await page.keyboard.type("POST /act");
      await page.locator(".found a", { hasText: "POST /act" }).first().waitFor();
      await page.keyboard.press("ArrowDown");
      await page.keyboard.press("Enter");
      await page.waitForURL(`${site}index.html#act`);
      await page.getByRole("searchbox").fill("zzz-not-there");
      await page.getByRole("status").getByText("No results").waitFor();
      assert.deepEqual(page.faults, []);
      await page.context().close();
    });
  }
}

test("the pages also open from a folder, with their style", async () => {
  const page = await (await browser.newContext()).newPage();
  const faults = [];
  page.on("console", (message) => faults.push(message.text()));
  await page.goto(pathToFileURL(join(DOCS, "guides/gates.html")).href);
  assert.equal(await page.evaluate(() => getComputedStyle(document.querySelector("main")).maxWidth), "1024px");
  assert.deepEqual(faults, []);
});
