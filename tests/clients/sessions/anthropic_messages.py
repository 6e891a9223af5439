"""Messages, streamed, with Anthropic's Python client."""

import anthropic
import shell

client, talk = anthropic.Anthropic(max_retries=0), [{"role": "user", "content": shell.TASK}]
tool = {"name": "bash", "description": shell.DESCRIPTION, "input_schema": shell.SCHEMA}
while True:
    with client.messages.stream(model="m", max_tokens=500, messages=talk, tools=[tool]) as stream:
        message = stream.get_final_message()
    talk.append({"role": "assistant", "content": message.content})
    calls = [block for block in message.content if block.type == "tool_use"]
    if not calls:
        print(message.content[0].text)
        break
    results = [{"type": "tool_result", "tool_use_id": call.id, "content": shell.run(call.input["command"])} for call in calls]
    talk.append({"role": "user", "content": results})
