"""Chats through OpenAI's own client: plain, streamed, with tools. Arguments: base URL, key."""

import sys

import openai

client = openai.OpenAI(base_url=sys.argv[1], api_key=sys.argv[2], max_retries=0)
ask = [{"role": "user", "content": "What is behind the gate?"}]
tools = [{
    "type": "function",
    "function": {
        "name": "open_gate",
        "description": "opens the gate",
        "parameters": {"type": "object", "properties": {"slowly": {"type": "boolean"}}},
    },
}]

plain = client.chat.completions.create(model="m", messages=ask)
assert plain.choices[0].message.content == "A road.", plain
assert plain.usage.total_tokens == 18, plain
assert plain.x_groq == {"id": "req_1"}, plain

calling = client.chat.completions.create(model="m", messages=ask, tools=tools)
[call] = calling.choices[0].message.tool_calls
assert call.function.name == "open_gate" and call.function.arguments == '{"slowly": true}', call
assert calling.choices[0].finish_reason == "tool_calls", calling

ask += [
    calling.choices[0].message.model_dump(exclude_none=True),
    {"role": "tool", "tool_call_id": call.id, "content": "it is open"},
]
stream = client.chat.completions.create(
    model="m", messages=ask, tools=tools, stream=True, stream_options={"include_usage": True}
)
# The stand-in reports its use as Groq does, and the service passes frames on as they are.
text, usage, reason = "", None, None
for chunk in stream:
    usage = (getattr(chunk, "x_groq", None) or {}).get("usage") or usage
    for choice in chunk.choices:
        text += choice.delta.content or ""
        reason = choice.finish_reason or reason
assert (text, reason, usage["total_tokens"]) == ("A long road.", "stop", 18), (text, reason, usage)

with client.chat.completions.stream(model="m", messages=ask, tools=tools) as stream:
    for event in stream:
        pass
    [call] = stream.get_final_completion().choices[0].message.tool_calls
    assert call.function.name == "open_gate" and call.function.arguments == '{"slowly": true}', call

try:
    client.chat.completions.create(model="m", messages=[{"role": "user", "content": "cat ../../../../etc/passwd"}])
except openai.UnprocessableEntityError as refused:
    assert refused.code == "prompt_risky", refused
else:
    raise AssertionError("a risky message passed")

try:
    openai.OpenAI(base_url=sys.argv[1], api_key="wrong", max_retries=0).chat.completions.create(
        model="m", messages=ask
    )
except openai.AuthenticationError:
    pass
else:
    raise AssertionError("a wrong key passed")

print("all is well")
