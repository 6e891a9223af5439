// The journal read backwards: its calls go forwards, so windows before its end are read, ever wider.

import { get } from "./api.js";

const PAGE = 1000;

/**
 * The last rows that `filter` lets through, oldest first: at least `wanted` if there are so many, but
 * never from further back than `reach` rows of the journal. `{rows, from, whole}`; `whole` says that
 * there is nothing before `from`.
 */
export async function lastRows(filter, wanted, reach, signal) {
  const { id: head } = await get("journal/head", {}, signal);
  const stop = Math.max(0, head - reach);
  let [rows, end] = [[], head];
  for (let width = PAGE; end > stop && rows.length < wanted; width *= 4) {
    const start = Math.max(stop, end - width);
    rows = [...(await between(start, end, filter, signal)), ...rows];
    end = start;
  }
  return { rows, from: end, whole: end === 0 };
}

async function between(start, end, filter, signal) {
  const rows = [];
  for (let after = start; after !== null && after < end;) {
    const page = await get("journal", { ...filter, after, limit: PAGE }, signal);
    rows.push(...page.events.filter((row) => row.id <= end));
    after = page.next;
  }
  return rows;
}

/** A row with those before and after it, as far as they are there. */
export async function neighbours(id) {
  const page = await get("journal", { after: Math.max(0, id - 2), limit: 3 });
  const at = (wanted) => page.events.find((row) => row.id === wanted) ?? null;
  return { before: at(id - 1), row: at(id), after: at(id + 1) };
}
