// Send: a turn, an act, a chat or a plan by hand, as an agent would send it.

import { get, post } from "../lib/api.js";
import { alert, chip, field, fill, h, panel, segments } from "../lib/dom.js";
import { t, tn } from "../lib/i18n.js";
import { replace, to } from "../lib/router.js";
import { line, short } from "../lib/text.js";
import { answered, queuedTurn, refused } from "../parts/step_result.js";

const KINDS = ["turn", "act", "chat", "plan"];
/** Queued turns that are listed. */
const MOST_QUEUED = 20;
const NAME = "[A-Za-z0-9._:\\-]+";

export function send(session, argument, params) {
  const stop = new AbortController();
  let kind = KINDS.includes(argument) ? argument : "turn";
  const forms = {};
  const place = h("div", {});
  const result = h("div", { class: "answer", "aria-live": "polite" });
  const queue = h("ul", { class: "plain queue", "aria-label": t("queue.title") });
  const draw = () => {
    forms[kind] ??= form(kind);
    fill(place, forms[kind]);
  };

  /** A form of one kind; it keeps what was typed while the view is open. */
  function form(of) {
    const { fields, body, path } = FORMS[of](params);
    const later = of === "turn" ? h("button", { type: "submit", value: "later" }, t("agent.queue_turn")) : null;
    return h("form", { on: { submit: (event) => run(event, async () => {
      const given = body();
      if (event.submitter === later && later) {
        const queued = await post(path, given, { Prefer: "respond-async" });
        queue.prepend(queuedTurn(queued, given.input, stop.signal));
        while (queue.children.length > MOST_QUEUED) queue.lastChild.remove();
        return null;
      }
      return shown(of, await post(path, given));
    }), keydown: submitOnEnter } }, fields, h("div", { class: "row" }, h("button", { type: "submit", class: "primary" }, t(`send.${of}`)), later));
  }

  async function run(event, work) {
    event.preventDefault();
    const buttons = [...event.target.querySelectorAll("button")];
    buttons.forEach((button) => { button.disabled = true; });
    fill(result, h("p", { class: "muted" }, t("agent.under_way")));
    try {
      fill(result, await work());
    } catch (error) {
      fill(result, refused(error));
    } finally {
      buttons.forEach((button) => { button.disabled = false; });
    }
  }

  draw();
  const why = session.may("act") ? null : alert("warn", t("unavailable.scope", { key: session.me?.principal ?? "", scope: "act" }));
  return {
    head: h("p", { class: "muted" }, t("send.about")),
    element: h("div", { class: "stack narrow-view" }, why, panel(null, segments(t("send.kind"), KINDS.map((name) => [name, t(`kind.${name}`)]), kind, (name) => {
      kind = name;
      replace(to("send", name, params));
      fill(result);
      draw();
    }), place), result, queue),
    destroy: () => stop.abort(),
  };
}

const FORMS = {
  turn({ agent }) {
    const id = agentField(agent);
    const input = h("textarea", { rows: 3, maxlength: 8192, required: true });
    return { path: "turn", fields: [field(t("detail.agent"), id), field(t("agent.input"), input, t("agent.input_hint"))], body: () => ({ agent_id: id.value.trim(), input: input.value }) };
  },
  act({ agent }) {
    const id = agentField(agent);
    const action = h("input", { required: true, maxlength: 64, pattern: NAME, autocomplete: "off", spellcheck: "false" });
    const payload = h("textarea", { rows: 3, spellcheck: "false", class: "code", placeholder: "{}" });
    return { path: "act", fields: [field(t("detail.agent"), id), field(t("agent.action"), action), field(t("agent.payload"), payload)],
      body: () => ({ agent_id: id.value.trim(), action: action.value.trim(), ...(payload.value.trim() ? { payload: JSON.parse(payload.value) } : {}) }) };
  },
  chat() {
    const system = h("textarea", { rows: 2, maxlength: 65_536 });
    const message = h("textarea", { rows: 4, maxlength: 65_536, required: true });
    const model = h("input", { maxlength: 128, autocomplete: "off", spellcheck: "false" });
    get("llm/status").then((status) => { model.placeholder = status.configured ? status.model_default : t("health.no_model"); }).catch(() => {});
    return { path: "llm/chat", fields: [field(t("send.message"), message, t("agent.input_hint")), h("details", {}, h("summary", {}, t("gates.more")), field(t("send.system"), system), field(t("request.model"), model))],
      body: () => ({ messages: [...(system.value.trim() ? [{ role: "system", content: system.value }] : []), { role: "user", content: message.value }], ...(model.value.trim() ? { model: model.value.trim() } : {}) }) };
  },
  plan() {
    const intent = h("input", { required: true, maxlength: 1024, autocomplete: "off" });
    const context = h("textarea", { rows: 3, maxlength: 65_536 });
    const targets = h("input", { autocomplete: "off", spellcheck: "false", placeholder: "plans/notes.md" });
    const patch = h("textarea", { rows: 6, spellcheck: "false", class: "code", placeholder: "--- a/plans/notes.md\n+++ b/plans/notes.md\n@@ -1 +1 @@\n-old\n+new" });
    return { path: "plan", fields: [field(t("plans.intent"), intent), field(t("plans.context"), context), field(t("gates.targets"), targets, t("send.targets_hint")), field(t("send.patch"), patch, t("send.patch_hint"))],
      body: () => {
        const paths = targets.value.split(",").map((path) => path.trim()).filter(Boolean);
        const change = patch.value.trim() ? { patch: patch.value.endsWith("\n") ? patch.value : `${patch.value}\n` } : {};
        return { intent: intent.value.trim(), context: context.value, ...(paths.length > 0 || !change.patch ? { target_paths: paths } : {}), ...change };
      } };
  },
};

function agentField(agent) {
  return h("input", { required: true, maxlength: 64, pattern: NAME, autocomplete: "off", spellcheck: "false", value: agent ?? "hero" });
}

function shown(kind, answer) {
  const event = answer.event_id ? h("p", {}, h("a", { href: to("requests", String(answer.event_id)) }, t("send.open", { id: answer.event_id }))) : null;
  if (kind === "plan") return [h("p", {}, chip("good", t("send.plan_made")), " ", h("a", { href: to("plans", answer.id) }, answer.id)), event];
  if (kind === "chat") {
    const text = answer.content ?? answer.response ?? answer.message?.content ?? "";
    return [h("p", { class: "prose" }, h("bdi", {}, short(text, 65_536))), h("p", { class: "muted" }, [line(answer.model ?? "", 100), answer.usage ? tn("agent.tokens", answer.usage.total_tokens) : null].filter(Boolean).join(" · ")), event];
  }
  return [answered(answer), event];
}

function submitOnEnter(event) {
  if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
  event.preventDefault();
  event.currentTarget.requestSubmit();
}
