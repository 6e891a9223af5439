"""Responses, streamed, with OpenAI's Python client."""

import json

import openai
import shell

client, talk = openai.OpenAI(max_retries=0), [{"role": "user", "content": shell.TASK}]
tool = {"type": "function", "name": "bash", "description": shell.DESCRIPTION, "parameters": shell.SCHEMA, "strict": False}
while True:
    with client.responses.stream(model="m", input=talk, tools=[tool]) as stream:
        response = stream.get_final_response()
    calls = [item for item in response.output if item.type == "function_call"]
    if not calls:
        print(response.output_text)
        break
    for call in calls:
        talk.append({"type": "function_call", "call_id": call.call_id, "name": call.name, "arguments": call.arguments})
        output = shell.run(json.loads(call.arguments)["command"])
        talk.append({"type": "function_call_output", "call_id": call.call_id, "output": output})
