"""Chat completions with LiteLLM."""

import json
import os

import litellm
import shell

talk = [{"role": "user", "content": shell.TASK}]
base = {"api_base": os.environ["OPENAI_BASE_URL"], "api_key": os.environ["OPENAI_API_KEY"]}
while True:
    reply = litellm.completion(model="openai/m", messages=talk, tools=[shell.FUNCTION], num_retries=0, **base)
    message = reply.choices[0].message
    talk.append(message.model_dump(exclude_none=True))
    for call in message.tool_calls or []:
        output = shell.run(json.loads(call.function.arguments)["command"])
        talk.append({"role": "tool", "tool_call_id": call.id, "content": output})
    if not message.tool_calls:
        print(message.content)
        break
