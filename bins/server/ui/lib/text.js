// Untrusted text, made safe to display: bounded, with every invisible character written out.

/** Longest text that is shown in one place unless its place says otherwise, in UTF-16 units. */
export const LONG = 64 * 1024;

// Characters that change or hide text without being seen: controls except tab and line feed, everything
// with the Unicode property Default_Ignorable_Code_Point (direction marks, joiners, tag characters, variation
// selectors, fillers), line separators, interlinear annotation marks and the blank braille pattern.
const HIDDEN =
  /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u2028\u2029\u2800\ufff9-\ufffb\p{Default_Ignorable_Code_Point}]/gu;

/** The text with every hidden character written out as ⟨U+202E⟩. */
export function visible(text) {
  return String(text).replace(HIDDEN, (hidden) => {
    return `⟨U+${hidden.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}⟩`;
  });
}

/** At most `max` units of a text, visible; an ellipsis marks a cut. */
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
