"""A check of ours: what fits the document is never refused for its form."""

import schemathesis

# What these take depends on their other fields in ways that the document tells in words only: `kind` says which
# fields `/check` has; `/plan` and drafts have an older form; a policy comes as a path or as a text; what a
# completion's further fields mean is OpenAI's affair; a filter's `kind` must be one that there is.
IN_WORDS = {"journal", "check", "plan", "validate_policy", "backtest_policy", "chat_completions"}


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
        assert code != "validation_error", f"refused although it fits: {response.text}"
