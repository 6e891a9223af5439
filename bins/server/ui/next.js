// The next step of an agent: a turn taken now, a turn put into the queue, or an act.

import { get, post, remove } from "./api.js";
import { chip, field, fill, h } from "./dom.js";
import { signed, t, tn, word } from "./i18n.js";
import { line, short } from "./text.js";

/** Queued turns that are listed. */
const MOST_QUEUED = 20;
/** How soon, and how seldom at last, a queued turn is asked after, in milliseconds. */
const [SOONEST, LATEST] = [400, 5000];
const TONE = { done: "good", failed: "bad", cancelled: "plain", queued: "plain", running: "warn" };

/** The forms for an agent; `onDone` is called when a step has been taken. */
export function stepForm(id, onDone, signal) {
  const result = h("div", { class: "answer", "aria-live": "polite" });
  const queue = h("ul", { class: "plain queue", "aria-label": t("queue.title") });
  const input = h("textarea", { rows: 2, maxlength: 8192, required: true, on: { keydown: submitOnEnter } });
  const later = h("button", { type: "submit" }, t("agent.queue_turn"));
  const turn = h("form", { on: { submit: (event) => run(event, async () => {
    const body = { agent_id: id, input: input.value };
    if (event.submitter === later) {
      const queued = await post("turn", body, { Prefer: "respond-async" });
      queue.prepend(queuedTurn(queued, body.input, onDone, signal));
      while (queue.children.length > MOST_QUEUED) queue.lastChild.remove();
      input.value = "";
      return null;
    }
    const answer = await post("turn", body);
    input.value = "";
    return answered(answer);
  }) } }, field(t("agent.input"), input, t("agent.input_hint")),
  h("div", { class: "row" }, h("button", { type: "submit", class: "primary" }, t("agent.take_turn")), later));
  const action = h("input", { required: true, maxlength: 64, pattern: "[A-Za-z0-9._:\\-]+", autocomplete: "off", spellcheck: "false" });
  const payload = h("textarea", { rows: 2, spellcheck: "false", placeholder: "{}" });
  const act = h("form", { on: { submit: (event) => run(event, async () => {
    const given = payload.value.trim();
    return answered(await post("act", { agent_id: id, action: action.value.trim(), ...(given ? { payload: JSON.parse(given) } : {}) }));
  }) } }, field(t("agent.action"), action), field(t("agent.payload"), payload), h("button", { type: "submit" }, t("agent.do_act")));
  return h("div", { class: "stack" }, turn, h("details", {}, h("summary", {}, t("agent.act_instead")), act), result, queue);

  async function run(event, work) {
    event.preventDefault();
    const buttons = [...event.target.querySelectorAll("button")];
    buttons.forEach((button) => { button.disabled = true; });
    fill(result, h("p", { class: "muted" }, t("agent.under_way")));
    try {
      fill(result, await work());
      onDone();
    } catch (error) {
      fill(result, refused(error));
    } finally {
      buttons.forEach((button) => { button.disabled = false; });
    }
  }
}

function submitOnEnter(event) {
  if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
  event.preventDefault();
  event.target.form.requestSubmit();
}

/** A turn that is taken later: where it stands, a way to take it back, and in the end what came of it. */
function queuedTurn(queued, input, onDone, signal) {
  const state = h("span", { role: "status" });
  const came = h("div", { class: "answer" });
  const path = `turns/${encodeURIComponent(queued.id)}`;
  const back = h("button", { type: "button", class: "quiet", on: { click: () => takeBack() } }, t("queue.cancel"));
  let [wait, timer] = [SOONEST, 0];
  show(queued);
  signal.addEventListener("abort", () => clearTimeout(timer));
  return h("li", {}, h("div", { class: "row" }, state, h("bdi", { class: "grow" }, line(input, 200)), back), came);

  function show(turn) {
    const ended = turn.status !== "queued" && turn.status !== "running";
    fill(state, chip(TONE[turn.status] ?? "plain", word("queue", turn.status)));
    back.hidden = ended;
    if (turn.result) fill(came, answered(turn.result));
    if (turn.error) fill(came, refused(turn.error));
    clearTimeout(timer);
    if (ended) onDone();
    else timer = setTimeout(ask, wait);
    wait = Math.min(wait * 1.5, LATEST);
  }

  async function ask() {
    try {
      show(await get(path, {}, signal));
    } catch (error) {
      if (error.name === "AbortError") return;
      // It is gone or not ours; anything else may pass.
      if (error.status === 404) return void fill(came, refused(error));
      timer = setTimeout(ask, LATEST);
    }
  }

  async function takeBack() {
    clearTimeout(timer);
    wait = SOONEST;
    try {
      show(await remove(path));
    } catch {
      // It ended first: what came of it is told.
      ask();
    }
  }
}

function answered(answer) {
  const deltas = Object.entries(answer.turn?.deltas ?? answer.deltas ?? {}).map(([name, by]) => `${word("vital", name)} ${signed(by)}`);
  const source = answer.source === "llm" ? [chip("plain", t("agent.by_model")), " "] : null;
  const tokens = answer.usage?.total_tokens;
  const notes = [answer.turn ? word("roll", answer.turn.outcome) : null, ...deltas, tokens ? tn("agent.tokens", tokens) : null, `#${answer.event_id}`];
  return [
    h("p", { class: "prose" }, source, h("bdi", {}, short(answer.response ?? t("agent.acted"), 8192))),
    h("p", { class: "muted" }, notes.filter(Boolean).join(" · ")),
    answer.withheld ? h("p", { class: "alert warn" }, t("agent.withheld"), " ", h("code", {}, line(answer.withheld.code, 40)), " ", line(answer.withheld.message, 600)) : null,
    answer.fallback ? h("p", { class: "alert warn" }, t("agent.fallback"), " ", h("code", {}, line(answer.fallback.code, 40)), " ", line(answer.fallback.message, 600)) : null,
    answer.would_deny?.length > 0 ? h("p", { class: "alert warn" }, t("agent.would_deny", { rules: answer.would_deny.join(", ") })) : null,
    answer.steps?.length > 0 ? [h("h3", {}, t("agent.by_model_done")), h("ol", { class: "plain calls" }, answer.steps.map(call))] : null,
  ];
}

/** What the model called on the way, what the gates said of it, and what it was told. */
function call(step) {
  const done = step.decision === "allow";
  const told = step.result?.message ?? "";
  return h("li", {}, h("div", { class: "row" }, chip(done ? "good" : "bad", word("call", step.decision)), h("code", {}, line(step.tool, 80)),
    h("code", { class: "grow muted" }, line(JSON.stringify(step.arguments), 300)), step.event_id ? h("small", { class: "muted" }, `#${step.event_id}`) : null),
  done ? null : h("p", { class: "muted" }, step.code ? h("code", {}, line(step.code, 60)) : null, " ", line(told, 400)));
}

function refused(error) {
  const said = error instanceof SyntaxError ? t("agent.bad_json") : error.message || t("error.unreachable");
  return h("p", { class: "alert bad" }, error.code ? [chip("bad", error.code), " "] : null, said);
}
