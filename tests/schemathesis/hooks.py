"""A check of ours: what fits the document is never refused for its form."""

import schemathesis

# The document describes some rules of these operations in words only: `kind` selects the fields of `/check`; `/plan`
# and drafts accept an older form; a policy is a path or a text; the bodies under `/v1` follow their vendors' APIs; the
# `kind` of a filter must exist; the name of an action is in composed form.
IN_WORDS = {"act", "journal", "check", "plan", "validate_policy", "backtest_policy"}
IN_WORDS |= {"chat_completions", "responses", "messages", "count_tokens", "embeddings", "text_completions"}
IN_WORDS |= {"moderations", "rerank", "transcriptions"}
# A stop names an agent or a principal; `since` is a time.
IN_WORDS |= {"set_stop", "usage"}


@schemathesis.check
def form_is_accepted(ctx, response, case):
    if case.operation.definition.raw.get("operationId") in IN_WORDS:
        return
    if case.meta is None or not case.meta.generation.mode.is_positive:
        return
    if "Idempotency-Key" in (case.headers or {}) and isinstance(case.body, dict) and case.body.get("stream"):
        return  # Each is right alone; the header's description says that they do not go together.
    if response.status_code == 422:
        code = response.json()["error"]["code"]
        if "found floating point" in response.text:
            return  # To JSON Schema 308.0 is whole; the service wants whole numbers written as such.
        if "more digits than a number can keep" in response.text:
            return  # JSON Schema knows no digits of numbers.
        assert code != "validation_error", f"refused although it fits: {response.text}"
