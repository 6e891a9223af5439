// A text tried against the gates: what they would decide, with the findings marked. Nothing is recorded.

import { post } from "../lib/api.js";
import { chip, failure, field, fill, h, panel, select, table } from "../lib/dom.js";
import { number, t, word } from "../lib/i18n.js";
import { line } from "../lib/text.js";
import { marked } from "./marks.js";

const KINDS = ["turn", "act", "chat", "plan", "tool"];

/** The panel. */
export function tryPanel() {
  let kind = "turn";
  const text = h("textarea", { rows: 4, required: true, maxlength: 8192, on: { keydown: (event) => {
    if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
    event.preventDefault();
    event.target.form.requestSubmit();
  } } });
  const agent = h("input", { maxlength: 64, value: "dashboard-check", autocomplete: "off", spellcheck: "false" });
  const tool = h("input", { maxlength: 128, value: "Bash", autocomplete: "off", spellcheck: "false" });
  const toolField = h("div", { hidden: true }, field(t("gates.tool"), tool));
  const result = h("div", { class: "stack tight", "aria-live": "polite" });
  const form = h("form", { on: { submit: async (event) => {
    event.preventDefault();
    try {
      const answer = await post("check", body(kind, agent.value.trim(), text.value, tool.value.trim()));
      fill(result, verdict(answer, text.value));
    } catch (error) {
      fill(result, failure(error));
    }
  } } }, field(t("gates.kind"), select(KINDS.map((name) => [name, t(`kind.${name}`)]), kind, (value) => {
    kind = value;
    toolField.hidden = kind !== "tool";
  })), toolField, field(t("gates.text"), text, t("gates.try_hint")), h("details", {}, h("summary", {}, t("gates.more")), field(t("detail.agent"), agent)), h("button", { type: "submit" }, t("gates.check")));
  return panel(t("gates.try"), h("p", { class: "muted" }, t("gates.try_about")), form, result);
}

function body(kind, agent, text, tool) {
  switch (kind) {
    case "act": return { kind, agent_id: agent, action: "check", payload: { text } };
    case "chat": return { kind, messages: [{ role: "user", content: text }] };
    case "plan": return { kind, intent: text.split("\n")[0].slice(0, 1024) || text, context: text, target_paths: [] };
    case "tool": return { kind, agent_id: agent, tool, arguments: { command: text } };
    default: return { kind, agent_id: agent, input: text };
  }
}

function verdict(answer, text) {
  const denied = answer.decision !== "allow";
  const own = answer.findings.filter(({ field: name }) => ["input", "messages/0/content", "context", "payload/text", "arguments/command"].includes(name));
  const seen = new Set();
  const rows = answer.findings.filter((finding) => {
    const key = `${finding.gate}${finding.rule}${finding.effect}`;
    return !seen.has(key) && seen.add(key);
  }).map((finding) => [h("code", {}, line(finding.rule, 80)), word("category", finding.category), chip(finding.effect === "deny" ? "bad" : "warn", word("effect", finding.effect))]);
  return [
    h("p", {}, chip(denied ? (answer.decision === "ask" ? "warn" : "bad") : "good", t(denied ? (answer.decision === "ask" ? "outcome.asked" : "outcome.denied") : "outcome.allowed")), " ",
      denied ? h("code", {}, line([answer.gate, answer.rule].filter(Boolean).join("/") || answer.code, 120)) : null, " ", h("span", { class: "muted" }, `${t("detail.score")} ${number(answer.score, 2)}`)),
    h("div", { class: "marked", tabindex: "0", role: "region", "aria-label": t("request.text") }, marked(text, own)),
    rows.length > 0 ? table(t("gates.findings"), [t("gates.rule"), t("gates.category"), t("gates.effect")], rows) : h("p", { class: "muted" }, t("gates.nothing_found")),
  ];
}
