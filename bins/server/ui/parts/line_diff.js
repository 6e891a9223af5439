// The difference of two texts by lines, as a unified diff: Myers' algorithm, bounded.

/** Steps after which the rest counts as changed, so that the work stays bounded. */
const MOST_EDITS = 400;
const CONTEXT = 3;

/** A unified diff of two texts; empty if they are equal. */
export function unifiedDiff(path, before, after) {
  const [a, b] = [linesOf(before), linesOf(after)];
  const edits = compare(a, b);
  const hunks = hunksOf(edits);
  if (hunks.length === 0) return "";
  const out = [`diff --git a/${path} b/${path}`, `--- a/${path}`, `+++ b/${path}`];
  for (const hunk of hunks) {
    const olds = hunk.filter(({ sign }) => sign !== "+").length;
    const news = hunk.filter(({ sign }) => sign !== "-").length;
    out.push(`@@ -${hunk[0].old + 1},${olds} +${hunk[0].now + 1},${news} @@`, ...hunk.map(({ sign, text }) => sign + text));
  }
  return `${out.join("\n")}\n`;
}

const linesOf = (text) => (text === "" ? [] : text.replace(/\n$/, "").split("\n"));

/** `[{sign, text, old, now}]`, with the line numbers before each edit. */
function compare(a, b) {
  let start = 0;
  while (start < a.length && start < b.length && a[start] === b[start]) start++;
  let [endA, endB] = [a.length, b.length];
  while (endA > start && endB > start && a[endA - 1] === b[endB - 1]) [endA, endB] = [endA - 1, endB - 1];
  const middle = shortest(a.slice(start, endA), b.slice(start, endB));
  const signs = [...a.slice(0, start).map((text) => [" ", text]), ...middle, ...a.slice(endA).map((text) => [" ", text])];
  let [old, now] = [0, 0];
  return signs.map(([sign, text]) => {
    const edit = { sign, text, old, now };
    if (sign !== "+") old++;
    if (sign !== "-") now++;
    return edit;
  });
}

function shortest(a, b) {
  const most = Math.min(a.length + b.length, MOST_EDITS);
  let furthest = new Map([[1, 0]]);
  const trace = [];
  for (let d = 0; d <= most; d++) {
    trace.push(new Map(furthest));
    for (let k = -d; k <= d; k += 2) {
      const down = k === -d || (k !== d && (furthest.get(k - 1) ?? -1) < (furthest.get(k + 1) ?? -1));
      let x = down ? furthest.get(k + 1) ?? 0 : (furthest.get(k - 1) ?? 0) + 1;
      let y = x - k;
      while (x < a.length && y < b.length && a[x] === b[y]) [x, y] = [x + 1, y + 1];
      furthest.set(k, x);
      if (x >= a.length && y >= b.length) return backtrack(trace, a, b, d);
    }
    furthest = new Map(furthest);
  }
  return [...a.map((text) => ["-", text]), ...b.map((text) => ["+", text])];
}

function backtrack(trace, a, b, edits) {
  const out = [];
  let [x, y] = [a.length, b.length];
  for (let d = edits; d >= 0; d--) {
    const furthest = trace[d];
    const k = x - y;
    const down = k === -d || (k !== d && (furthest.get(k - 1) ?? -1) < (furthest.get(k + 1) ?? -1));
    const previous = down ? k + 1 : k - 1;
    const beforeX = furthest.get(previous) ?? 0;
    const beforeY = beforeX - previous;
    while (x > beforeX && y > beforeY && x > 0 && y > 0) {
      [x, y] = [x - 1, y - 1];
      out.push([" ", a[x]]);
    }
    if (d === 0) break;
    if (down) out.push(["+", b[--y]]);
    else out.push(["-", a[--x]]);
  }
  return out.reverse();
}

/** Changes with lines around them; close ones share a hunk. */
function hunksOf(edits) {
  const hunks = [];
  let end = -1;
  edits.forEach((edit, n) => {
    if (edit.sign === " ") return;
    const from = Math.max(0, n - CONTEXT);
    if (from > end) hunks.push([]);
    for (let at = Math.max(from, end); at < Math.min(edits.length, n + CONTEXT + 1); at++) hunks.at(-1).push(edits[at]);
    end = Math.min(edits.length, n + CONTEXT + 1);
  });
  return hunks;
}
