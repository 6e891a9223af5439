// Text of others, made safe to look at: bounded, and with nothing in it that moves other text about.

/** Longest text that is shown in one place unless its place says otherwise, in UTF-16 units. */
export const LONG = 64 * 1024;

// Controls but tab and line feed; the marks that turn the direction of what follows (Unicode UAX #9);
// invisible separators. In a journal they only serve to make a row look like something it is not.
const HIDDEN =
  /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/gu;

/** The text with every hidden character written out as ⟨U+202E⟩. */
export function visible(text) {
  return String(text).replace(HIDDEN, (hidden) => {
    return `⟨U+${hidden.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}⟩`;
  });
}

/** At most `max` units of a text, visible; what was left out is marked with an ellipsis. */
export function short(text, max) {
  const whole = String(text ?? "");
  if (whole.length <= max) return visible(whole);
  // Never half a surrogate pair.
  const end = /[\ud800-\udbff]/.test(whole[max - 1]) ? max - 1 : max;
  return `${visible(whole.slice(0, end))}…`;
}

/** The same in one line. */
export function line(text, max) {
  return short(String(text ?? "").slice(0, max * 2).replace(/\s+/gu, " ").trim(), max);
}
