"""Chat completions, streamed, with OpenAI's Python client."""

import json

import openai
import shell

client, talk = openai.OpenAI(max_retries=0), [{"role": "user", "content": shell.TASK}]
while True:
    with client.chat.completions.stream(model="m", messages=talk, tools=[shell.FUNCTION]) as stream:
        message = stream.get_final_completion().choices[0].message
    talk.append(message.model_dump(exclude_none=True, exclude={"parsed"}))
    for call in talk[-1].get("tool_calls", []):
        call["function"].pop("parsed_arguments", None)
        output = shell.run(json.loads(call["function"]["arguments"])["command"])
        talk.append({"role": "tool", "tool_call_id": call["id"], "content": output})
    if not message.tool_calls:
        print(message.content)
        break
