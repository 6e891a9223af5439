"""Chat completions with Groq's Python client."""

import json
import os

import groq
import shell

# Groq's client adds `/openai/v1` to its base URL.
base = os.environ["OPENAI_BASE_URL"].removesuffix("/v1")
client, talk = groq.Groq(api_key=os.environ["OPENAI_API_KEY"], base_url=base, max_retries=0), []
talk.append({"role": "user", "content": shell.TASK})
while True:
    reply = client.chat.completions.create(model="m", messages=talk, tools=[shell.FUNCTION])
    message = reply.choices[0].message
    talk.append(message.model_dump(exclude_none=True))
    for call in message.tool_calls or []:
        output = shell.run(json.loads(call.function.arguments)["command"])
        talk.append({"role": "tool", "tool_call_id": call.id, "content": output})
    if not message.tool_calls:
        print(message.content)
        break
