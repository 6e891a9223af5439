// A diff on the page: unified or split, with files that collapse.

import { chip, fill, h, segments } from "../lib/dom.js";
import { number, t } from "../lib/i18n.js";
import { line, short } from "../lib/text.js";
import { parse } from "./diff_parser.js";

/** Longest line of a diff that is shown. */
const WIDE = 1000;
/** Files with more rows begin collapsed. */
const LONG_FILE = 300;
/** The chosen layout, for as long as the page is open. */
let layout = "unified";

/** The diff of a patch, with its controls. */
export function diffView(patch) {
  const { files, cut } = parse(patch);
  const slot = h("div", { class: "files" });
  const draw = () => fill(slot, files.map((file) => fileView(file)));
  const toggle = (open) => slot.querySelectorAll("details").forEach((each) => { each.open = open; });
  draw();
  return h("div", { class: "diff-view" },
    h("div", { class: "row diff-controls" },
      segments(t("diff.layout"), [["unified", t("diff.unified")], ["split", t("diff.split")]], layout, (value) => {
        layout = value;
        draw();
      }),
      h("button", { type: "button", class: "quiet small", on: { click: () => toggle(true) } }, t("diff.expand")),
      h("button", { type: "button", class: "quiet small", on: { click: () => toggle(false) } }, t("diff.collapse"))),
    slot, cut > 0 ? h("p", { class: "alert warn" }, t("diff.cut", { n: number(cut) })) : null);
}

function fileView(file) {
  const rows = file.hunks.flatMap((hunk) => hunk.rows);
  const added = rows.filter(({ right }) => right?.changed).length;
  const removed = rows.filter(({ left }) => left?.changed).length;
  // A new or deleted file has one side only.
  const split = layout === "split" && added > 0 && removed > 0;
  const place = h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": line(file.path, 300) });
  const details = h("details", { class: "file", open: rows.length <= LONG_FILE, on: { toggle: () => details.open && !place.firstChild && place.append(split ? sides(file) : unified(file)) } },
    h("summary", {}, h("code", {}, line(file.path, 300)), file.note ? chip("plain", t(`diff.${file.note}`)) : null,
      h("span", { class: "grow" }), h("span", { class: "added" }, `+${number(added)}`), h("span", { class: "removed" }, `−${number(removed)}`)), place);
  if (details.open) place.append(split ? sides(file) : unified(file));
  return details;
}

/** Removed lines of a change come before the added ones. */
function unified(file) {
  const body = file.hunks.map((hunk) => {
    const rows = [];
    let [gone, come] = [[], []];
    const flush = () => {
      rows.push(...gone.map((side) => oneRow(side, null, "gone", "−")), ...come.map((side) => oneRow(null, side, "come", "+")));
      [gone, come] = [[], []];
    };
    for (const { left, right } of hunk.rows) {
      if (left && !left.changed) {
        flush();
        rows.push(oneRow(left, right, "same", " "));
      } else {
        if (left) gone.push(left);
        if (right) come.push(right);
      }
    }
    flush();
    return h("tbody", {}, hunkRow(hunk, 3), rows);
  });
  return h("table", { class: "diff", dir: "ltr" }, h("colgroup", {}, h("col", { class: "no" }), h("col", { class: "no" }), h("col", {})), body);
}

function oneRow(left, right, tone, sign) {
  const text = (right ?? left).text;
  return h("tr", { class: tone }, h("td", { class: "no" }, left ? String(left.number) : ""), h("td", { class: "no" }, right ? String(right.number) : ""),
    h("td", {}, h("span", { class: "sign" }, sign), short(text, WIDE)));
}

function sides(file) {
  const columns = h("colgroup", {}, ["no", "text", "no", "text"].map((name) => h("col", { class: name })));
  const body = file.hunks.map((hunk) => h("tbody", {}, hunkRow(hunk, 4), hunk.rows.map(({ left, right }) => h("tr", {}, half(left, "gone", "−"), half(right, "come", "+")))));
  return h("table", { class: "diff halves-diff", dir: "ltr" }, columns, body);
}

const hunkRow = (hunk, span) => h("tr", { class: "hunk" }, h("td", { colspan: String(span) }, h("code", {}, line(hunk.head, 200))));

function half(side, tone, sign) {
  if (!side) return [h("td", { class: "no none" }), h("td", { class: "none" })];
  const kind = side.changed ? tone : "same";
  // The sign says what the color says.
  return [h("td", { class: `no ${kind}` }, String(side.number)), h("td", { class: kind }, h("span", { class: "sign" }, side.changed ? sign : " "), short(side.text, WIDE))];
}
