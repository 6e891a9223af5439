// The search of the site: a field in the bar, and results from the index that loads when the field is first used.
// Without this script, the pages have no field and work otherwise.
"use strict";

(() => {
  const base = new URL("..", document.currentScript.src).href;
  const MOST = 12;
  const AROUND = 70;

  const form = document.createElement("form");
  form.className = "search";
  form.setAttribute("role", "search");
  const label = document.createElement("label");
  label.textContent = "Search";
  const field = document.createElement("input");
  field.type = "search";
  field.id = label.htmlFor = "search";
  field.autocomplete = "off";
  field.spellcheck = false;
  field.setAttribute("aria-keyshortcuts", "/");
  const found = document.createElement("div");
  found.className = "found";
  found.hidden = true;
  const count = document.createElement("p");
  count.setAttribute("role", "status");
  const list = document.createElement("ol");
  found.append(count, list);
  form.append(label, field, found);
  document.querySelector(".bar").append(form);

  let loading;
  const load = () => loading ??= new Promise((resolve) => {
    const script = document.createElement("script");
    script.src = `${base}site/index.js`;
    script.addEventListener("load", () => resolve(globalThis.searchIndex.map(([title, section, url, text]) =>
      ({ title, section, url, text, low: [title, section, text].map((part) => part.toLowerCase()) }))));
    script.addEventListener("error", () => resolve([]));
    document.head.append(script);
  });

  /** How well an entry fits: every word must occur; titles count more than texts, starts of words more than middles. */
  const score = (entry, words) => {
    let sum = 0;
    for (const word of words) {
      const best = Math.max(...entry.low.map((part, at) => {
        const place = part.indexOf(word);
        if (place < 0) return 0;
        const starts = place === 0 || !/[\p{L}\p{N}]/u.test(part[place - 1]);
        return [9, 7, 2][at] + (starts ? 2 : 0);
      }));
      if (best === 0) return 0;
      sum += best;
    }
    return sum;
  };

  /** The words around the first one that was found. */
  const excerpt = (entry, words) => {
    const places = words.map((word) => entry.low[2].indexOf(word)).filter((place) => place >= 0);
    const from = Math.max(0, Math.min(...places, entry.text.length) - AROUND);
    const start = from === 0 || places.length === 0 ? 0 : entry.text.indexOf(" ", from) + 1;
    const part = entry.text.slice(start, start + 2 * AROUND);
    return (start > 0 ? "… " : "") + part + (start + 2 * AROUND < entry.text.length ? " …" : "");
  };

  const show = async () => {
    const query = field.value.trim().toLowerCase();
    const words = query.split(/\s+/).filter(Boolean);
    if (words.length === 0) return close();
    const entries = await load();
    // A later key may have changed the field while the index was loading.
    if (query !== field.value.trim().toLowerCase()) return;
    const fits = entries.map((entry) => ({ entry, fit: score(entry, words) })).filter(({ fit }) => fit > 0);
    fits.sort((one, other) => other.fit - one.fit);
    count.textContent = fits.length === 0 ? "No results" : `${fits.length} ${fits.length === 1 ? "result" : "results"}`;
    list.replaceChildren(...fits.slice(0, MOST).map(({ entry }) => {
      const [item, link, text] = ["li", "a", "span"].map((name) => document.createElement(name));
      link.href = base + entry.url;
      link.textContent = entry.section ? `${entry.title}: ${entry.section}` : entry.title;
      text.textContent = excerpt(entry, words);
      item.append(link, text);
      return item;
    }));
    found.hidden = false;
  };

  const close = () => { found.hidden = true; };
  const links = () => [...list.querySelectorAll("a")];

  field.addEventListener("focus", load);
  field.addEventListener("input", show);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (!found.hidden) links()[0]?.click();
  });
  form.addEventListener("keydown", (event) => {
    const at = links().indexOf(document.activeElement);
    if (event.key === "Escape") {
      close();
      field.focus();
    } else if (event.key === "ArrowDown" && !found.hidden) {
      event.preventDefault();
      links()[Math.min(at + 1, links().length - 1)]?.focus();
    } else if (event.key === "ArrowUp" && at >= 0) {
      event.preventDefault();
      (at === 0 ? field : links()[at - 1]).focus();
    }
  });
  form.addEventListener("focusout", (event) => { if (!form.contains(event.relatedTarget)) close(); });
  // A click on a link within the page ends the search too.
  list.addEventListener("click", close);
  document.addEventListener("keydown", (event) => {
    const isTyping = event.target.closest?.("input, textarea, select, [contenteditable]");
    if (event.key === "/" && !isTyping && !event.ctrlKey && !event.metaKey && !event.altKey) {
      event.preventDefault();
      field.focus();
    }
  });
})();
