//! The span of a model call, by the conventions for generative models
//! (<https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-spans/>).

use life_agent_domain::governance::event::{CallOutcome, TokenUsage};
use life_agent_domain::governance::redaction::Redact;

use super::{Span, SpanKind};
use crate::context::RequestContext;

/// Longest reason for the end of a response; reasons are short labels.
const MAX_REASON: usize = 32;

/// Begins a call of a model. Callers name models, so the name is redacted.
pub(crate) fn begin_call(
    context: &RequestContext,
    operation: &'static str,
    provider: &str,
    model: &str,
    redactor: &dyn Redact,
) -> Span {
    let mut span = context.span(SpanKind::Client, || operation);
    if span.trace().is_none() {
        return span;
    }
    let model = redactor.redact(model);
    span.rename(|| format!("{operation} {model}"));
    span.set("gen_ai.operation.name", operation);
    span.set_text("gen_ai.provider.name", provider);
    span.set_text("gen_ai.request.model", &model);
    span
}

/// Notes the end of a call. The outcome is redacted.
pub(crate) fn end_call(span: &mut Span, outcome: &CallOutcome<'_>) {
    match outcome {
        CallOutcome::Answered { model, finish_reason, usage, .. } => {
            if !model.is_empty() {
                span.set_text("gen_ai.response.model", model);
            }
            note_reason(span, finish_reason.as_deref());
            note_usage(span, *usage);
        }
        CallOutcome::Failed { error, .. } => span.fail(error.clone().into_owned()),
        CallOutcome::Stopped { usage } => {
            note_usage(span, *usage);
            span.fail("stopped");
        }
        CallOutcome::Withheld { .. } => span.set("life_agent.decision", "deny"),
    }
}

/// Notes the reason for the end of a response, if it is a label.
pub(crate) fn note_reason(span: &mut Span, reason: Option<&str>) {
    let is_label = |reason: &&str| {
        reason.len() <= MAX_REASON
            && reason.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    };
    if let Some(reason) = reason.filter(is_label) {
        span.set("gen_ai.response.finish_reasons", vec![reason.to_owned()]);
    }
}

/// Notes the tokens that a provider reports.
pub(crate) fn note_usage(span: &mut Span, usage: Option<TokenUsage>) {
    if let Some(usage) = usage {
        span.set("gen_ai.usage.input_tokens", usage.prompt_tokens);
        span.set("gen_ai.usage.output_tokens", usage.completion_tokens);
    }
}
