// A unified diff, as `git diff` prints it, laid out side by side.

/** Lines that are laid out; what is longer is read as a file. */
export const MOST_LINES = 6000;

/**
 * Text → `{files: [{path, note, hunks: [{head, rows: [{left, right}]}]}], cut}`. A side is
 * `{number, text, changed}` or null where the other side has a line more.
 */
export function parse(patch) {
  const lines = patch.split("\n");
  const files = [];
  let [file, hunk, old, now] = [null, null, 0, 0];
  const inHunk = () => hunk && (hunk.old > 0 || hunk.now > 0);
  for (const line of lines.slice(0, MOST_LINES)) {
    if (!inHunk()) {
      const head = /^@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@/.exec(line);
      if (line.startsWith("diff --git ")) {
        file = { path: pathOf(line), note: "", hunks: [] };
        files.push(file);
        hunk = null;
      } else if (head && file) {
        hunk = { head: line, rows: [], gone: [], come: [], old: Number(head[2] ?? 1), now: Number(head[4] ?? 1) };
        [old, now] = [Number(head[1]), Number(head[3])];
        file.hunks.push(hunk);
      } else if (file) {
        header(file, line);
      }
      continue;
    }
    const text = line.slice(1);
    if (line[0] === "-") {
      hunk.gone.push({ number: old++, text, changed: true });
      hunk.old--;
    } else if (line[0] === "+") {
      hunk.come.push({ number: now++, text, changed: true });
      hunk.now--;
    } else if (line[0] !== "\\") {
      pair(hunk);
      hunk.rows.push({ left: { number: old++, text }, right: { number: now++, text } });
      hunk.old--;
      hunk.now--;
    }
    if (!inHunk()) pair(hunk);
  }
  if (hunk) pair(hunk);
  return { files, cut: Math.max(0, lines.length - MOST_LINES) };
}

/** Pairs removed lines with added lines. */
function pair(hunk) {
  const rows = Math.max(hunk.gone.length, hunk.come.length);
  for (let n = 0; n < rows; n++) hunk.rows.push({ left: hunk.gone[n] ?? null, right: hunk.come[n] ?? null });
  [hunk.gone, hunk.come] = [[], []];
}

function pathOf(line) {
  const halves = / b\/(.*)$/.exec(line) ?? / "b\/(.*)"$/.exec(line);
  return halves?.[1] ?? line.slice("diff --git ".length);
}

function header(file, line) {
  if (line.startsWith("new file")) file.note = "created";
  if (line.startsWith("deleted file")) file.note = "deleted";
  if (line.startsWith("rename to ")) file.note = "renamed";
  if (line.startsWith("+++ b/")) file.path = line.slice("+++ b/".length);
}
