// A text with the places marked that the gates found something in.

import { h } from "../lib/dom.js";
import { word } from "../lib/i18n.js";
import { visible } from "../lib/text.js";

/**
 * Text and `mark` elements for one field's findings. The service counts characters (code points), from
 * 0, the end exclusive; a finding of nothing (0 to 0) is about the field as a whole. Where findings lie
 * over one another, each stretch carries all that cover it.
 */
export function marked(text, findings) {
  const characters = Array.from(text);
  const clamp = (at) => Math.min(Math.max(0, Number(at) || 0), characters.length);
  const spans = findings
    .map((finding) => ({ finding, start: clamp(finding.start), end: clamp(finding.end) }))
    .filter(({ start, end }) => end > start);
  const edges = [...new Set([0, characters.length, ...spans.flatMap(({ start, end }) => [start, end])])];
  edges.sort((a, b) => a - b);
  return edges.slice(0, -1).map((start, index) => {
    const end = edges[index + 1];
    const here = spans.filter((span) => span.start <= start && span.end >= end).map((span) => span.finding);
    const part = visible(characters.slice(start, end).join(""));
    if (here.length === 0) return part;
    const tone = here.some((finding) => finding.effect === "deny") ? "bad" : "warn";
    const says = here.map((finding) => `${finding.rule} (${word("effect", finding.effect)})`).join(", ");
    return h("mark", { class: tone, title: says }, part, h("span", { class: "unseen" }, ` [${says}] `));
  });
}
