"""The tool of the sessions: runs a command of the stand-in in the current folder."""

import json
import subprocess

DESCRIPTION = "Runs a shell command."
SCHEMA = {"type": "object", "properties": {"command": {"type": "string"}}, "required": ["command"]}
FUNCTION = {"type": "function", "function": {"name": "bash", "description": DESCRIPTION, "parameters": SCHEMA}}
TASK = "Look around and write a note."


def run(command: str) -> str:
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=30)
    return done.stdout + done.stderr or "(no output)"


def chat(ask):
    """A session of chat completions. `ask` sends the conversation and returns the message of the response."""
    talk = [{"role": "user", "content": TASK}]
    while True:
        message = ask(talk)
        talk.append(message.model_dump(exclude_none=True))
        for call in message.tool_calls or []:
            output = run(json.loads(call.function.arguments)["command"])
            talk.append({"role": "tool", "tool_call_id": call.id, "content": output})
        if not message.tool_calls:
            return message.content
