// Prometheus' text format, as far as `/metrics` uses it, and what can be read off two scrapes.

const LINE = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)/;
const LABEL = /(\w+)="((?:[^"\\]|\\.)*)"/g;

/** Text → `[{name, labels, value}]`. Lines that are none are left out. */
export function parse(text) {
  return text.split("\n").flatMap((line) => {
    if (line === "" || line[0] === "#") return [];
    const found = LINE.exec(line);
    if (!found) return [];
    const labels = Object.fromEntries([...(found[2] ?? "").matchAll(LABEL)].map(([, name, value]) => [name, value]));
    return [{ name: found[1], labels, value: number(found[3]) }];
  });
}

function number(text) {
  return text === "+Inf" ? Infinity : Number(text);
}

/** The sum of a metric's series that `where` lets through. */
export function sum(samples, name, where = () => true) {
  return samples.filter((sample) => sample.name === name && where(sample.labels))
    .reduce((total, sample) => total + sample.value, 0);
}

/** A histogram's cumulative counts by upper bound, its series added up. */
export function buckets(samples, name, where = () => true) {
  const counts = new Map();
  for (const sample of samples) {
    if (sample.name !== `${name}_bucket` || !where(sample.labels)) continue;
    const bound = number(sample.labels.le);
    counts.set(bound, (counts.get(bound) ?? 0) + sample.value);
  }
  return counts;
}

/**
 * A quantile of what was observed between two scrapes, like Prometheus' `histogram_quantile`: linear
 * within its bucket, the last bound for what lies beyond it. Null where nothing was observed.
 */
export function quantile(q, before, after) {
  const bounds = [...after.keys()].sort((a, b) => a - b);
  const grown = bounds.map((bound) => Math.max(0, after.get(bound) - (before.get(bound) ?? 0)));
  const total = grown.at(-1) ?? 0;
  if (total === 0) return null;
  const rank = q * total;
  const index = grown.findIndex((count) => count >= rank);
  if (bounds[index] === Infinity) return bounds.at(-2) ?? null;
  const [low, below] = index === 0 ? [0, 0] : [bounds[index - 1], grown[index - 1]];
  const inside = grown[index] - below;
  return low + (bounds[index] - low) * (inside === 0 ? 1 : (rank - below) / inside);
}
