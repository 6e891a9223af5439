// The language of the page, and how it writes numbers and times.

const KNOWN = ["en", "de"];

let words = {};
let lang = "en";

/** Takes the first of the browser's languages that there is a dictionary for. */
export async function load() {
  const wanted = (navigator.languages ?? [navigator.language]).map((tag) => tag.toLowerCase().split("-")[0]);
  lang = wanted.find((tag) => KNOWN.includes(tag)) ?? "en";
  words = (await import(`../lang/${lang}.js`)).default;
  document.documentElement.lang = lang;
}

const formats = new Map();

/** A formatter of `Intl`. Making one is slow, and a busy page needs thousands. */
function intl(type, options) {
  const key = type + JSON.stringify(options);
  if (!formats.has(key)) formats.set(key, new Intl[type](lang, options));
  return formats.get(key);
}

/** The words for a key, `{name}` replaced by the value of that name. */
export function t(key, values = {}) {
  return (words[key] ?? key).replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole);
}

/** The words for so many: `key.one` or `key.other`, with `{n}`. */
export function tn(key, n) {
  const form = intl("PluralRules").select(n) === "one" ? "one" : "other";
  return t(`${key}.${form}`, { n: number(n) });
}

/** Words for a value that the server may one day send and this page does not know. */
export function word(prefix, value) {
  return words[`${prefix}.${value}`] ?? String(value);
}

/** A word at the start of a line. */
export const capitalized = (text) => text.charAt(0).toLocaleUpperCase(lang) + text.slice(1);

export function number(value, digits = 0) {
  return intl("NumberFormat", { maximumFractionDigits: digits }).format(value);
}

/** A change, with its sign: a minus, which is as wide as the plus, and no hyphen. */
export function signed(value) {
  return intl("NumberFormat", { signDisplay: "exceptZero" }).format(value).replace("-", "−");
}

/** Seconds as a person reads them: 840 µs, 12 ms, 1.4 s. */
export function seconds(value) {
  if (value === null || value === undefined || Number.isNaN(value)) return "–";
  if (value === 0) return "0";
  if (value < 0.001) return `${number(value * 1e6)} µs`;
  if (value < 1) return `${number(value * 1e3, value < 0.01 ? 1 : 0)} ms`;
  return `${number(value, 1)} s`;
}

/** Milliseconds as a person reads them. */
export const milliseconds = (value) => seconds(value / 1000);

/** An amount of dollars, with as many digits as small amounts need. */
export function dollars(value) {
  if (value === null || value === undefined) return "–";
  const digits = value !== 0 && Math.abs(value) < 0.01 ? 6 : 2;
  return intl("NumberFormat", { style: "currency", currency: "USD", minimumFractionDigits: 2, maximumFractionDigits: digits }).format(value);
}

/** A day: today, yesterday, or its date. */
export function day(date) {
  const midnight = (of) => new Date(of.getFullYear(), of.getMonth(), of.getDate()).getTime();
  const ago = Math.round((midnight(new Date()) - midnight(date)) / 86_400_000);
  if (ago === 0 || ago === 1) return t(ago === 0 ? "today" : "yesterday");
  return intl("DateTimeFormat", { weekday: "long", day: "numeric", month: "long", year: ago > 300 ? "numeric" : undefined }).format(date);
}

/** How long ago a time was, or how far ahead it is: 5 minutes ago, in 2 hours. */
export function ago(date) {
  const elapsed = (date.getTime() - Date.now()) / 1000;
  const [unit, size] = [["day", 86_400], ["hour", 3600], ["minute", 60]].find(([, length]) => Math.abs(elapsed) >= length) ?? ["second", 1];
  return intl("RelativeTimeFormat", { numeric: "auto", style: "short" }).format(Math.trunc(elapsed / size), unit);
}

export function bytes(value) {
  const [unit, size] = [["GiB", 1024 ** 3], ["MiB", 1024 ** 2]].find(([, size]) => value >= size) ?? ["KiB", 1024];
  return `${number(value / size, 1)} ${unit}`;
}

export function clock(date) {
  return intl("DateTimeFormat", { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" })
    .format(date);
}

/** A time on an axis whose ticks are so many seconds apart. */
export function tick(date, step) {
  if (step < 60) return clock(date);
  const form = step < 86_400 ? { hour: "2-digit", minute: "2-digit", hourCycle: "h23" } : { day: "numeric", month: "numeric" };
  return intl("DateTimeFormat", form).format(date);
}

/** Day and time; of today the time alone. */
export function moment(date) {
  const sameDay = date.toDateString() === new Date().toDateString();
  if (sameDay) return clock(date);
  return intl("DateTimeFormat", { dateStyle: "short", timeStyle: "short" }).format(date);
}

/** Day and time to the millisecond, with the time zone. */
export function fullMoment(date) {
  return intl("DateTimeFormat", { year: "numeric", month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", second: "2-digit", fractionalSecondDigits: 3, hourCycle: "h23", timeZoneName: "short" }).format(date);
}
