"""The tool of the sessions: runs a command of the stand-in in the current folder."""

import subprocess

DESCRIPTION = "Runs a shell command."
SCHEMA = {"type": "object", "properties": {"command": {"type": "string"}}, "required": ["command"]}
FUNCTION = {"type": "function", "function": {"name": "bash", "description": DESCRIPTION, "parameters": SCHEMA}}
TASK = "Look around and write a note."


def run(command: str) -> str:
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=30)
    return done.stdout + done.stderr or "(no output)"
