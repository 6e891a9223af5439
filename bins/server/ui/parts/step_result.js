// The result of a request that was sent by hand: a response, a refusal, or a turn in the background.

import { get, remove } from "../lib/api.js";
import { chip, fill, h } from "../lib/dom.js";
import { signed, t, tn, word } from "../lib/i18n.js";
import { line, short } from "../lib/text.js";
import { call } from "./conversation.js";

/** How soon, and how seldom at last, the state of a queued turn is read, in milliseconds. */
const [SOONEST, LATEST] = [400, 5000];
const TONE = { done: "good", failed: "bad", cancelled: "plain", queued: "plain", running: "warn" };

/** A turn in the background: its state, a button to cancel it, and in the end its result. */
export function queuedTurn(queued, input, signal) {
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
    if (!ended) timer = setTimeout(ask, wait);
    wait = Math.min(wait * 1.5, LATEST);
  }

  async function ask() {
    try {
      show(await get(path, {}, signal));
    } catch (error) {
      if (error.name === "AbortError") return;
      // It is gone or not ours; other errors may pass.
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
      // It ended first.
      ask();
    }
  }
}

/** The response to a turn or an act. */
export function answered(answer) {
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
    answer.steps?.length > 0 ? [h("h2", { class: "minor" }, t("agent.by_model_done")), h("ol", { class: "plain calls" }, answer.steps.map(call))] : null,
  ];
}

/** A refusal, with its code. */
export function refused(error) {
  const said = error instanceof SyntaxError ? t("agent.bad_json") : error.message || t("error.unreachable");
  return h("p", { class: "alert bad" }, error.code ? [chip("bad", error.code), " "] : null, said);
}
