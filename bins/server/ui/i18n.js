// The language of the page, and how it writes numbers and times.

const KNOWN = ["en", "de"];

let words = {};
let lang = "en";

/** Takes the first of the browser's languages that there is a dictionary for. */
export async function load() {
  const wanted = (navigator.languages ?? [navigator.language]).map((tag) => tag.toLowerCase().split("-")[0]);
  lang = wanted.find((tag) => KNOWN.includes(tag)) ?? "en";
  words = (await import(`./lang/${lang}.js`)).default;
  document.documentElement.lang = lang;
}

/** The words for a key, `{name}` replaced by the value of that name. */
export function t(key, values = {}) {
  return (words[key] ?? key).replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole);
}

/** The words for so many: `key.one` or `key.other`, with `{n}`. */
export function tn(key, n) {
  const form = new Intl.PluralRules(lang).select(n) === "one" ? "one" : "other";
  return t(`${key}.${form}`, { n: number(n) });
}

/** Words for a value that the server may one day send and this page does not know. */
export function word(prefix, value) {
  return words[`${prefix}.${value}`] ?? String(value);
}

export function number(value, digits = 0) {
  return new Intl.NumberFormat(lang, { maximumFractionDigits: digits }).format(value);
}

/** A change, with its sign: a minus, which is as wide as the plus, and no hyphen. */
export function signed(value) {
  return new Intl.NumberFormat(lang, { signDisplay: "exceptZero" }).format(value).replace("-", "−");
}

/** Seconds as a person reads them: 840 µs, 12 ms, 1.4 s. */
export function seconds(value) {
  if (value === null || value === undefined || Number.isNaN(value)) return "–";
  if (value === 0) return "0";
  if (value < 0.001) return `${number(value * 1e6)} µs`;
  if (value < 1) return `${number(value * 1e3, value < 0.01 ? 1 : 0)} ms`;
  return `${number(value, 1)} s`;
}

export function bytes(value) {
  if (value < 1024 * 1024) return `${number(value / 1024, 1)} KiB`;
  return `${number(value / 1024 / 1024, 1)} MiB`;
}

export function clock(date) {
  return new Intl.DateTimeFormat(lang, { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" })
    .format(date);
}

/** A time on an axis whose ticks are so many seconds apart. */
export function tick(date, step) {
  if (step < 60) return clock(date);
  const form = step < 86_400 ? { hour: "2-digit", minute: "2-digit", hourCycle: "h23" } : { day: "numeric", month: "numeric" };
  return new Intl.DateTimeFormat(lang, form).format(date);
}

/** Day and time; of today the time alone. */
export function moment(date) {
  const sameDay = date.toDateString() === new Date().toDateString();
  if (sameDay) return clock(date);
  return new Intl.DateTimeFormat(lang, { dateStyle: "short", timeStyle: "short" }).format(date);
}
