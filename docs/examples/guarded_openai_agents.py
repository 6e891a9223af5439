"""A tool of the OpenAI Agents SDK that asks life-agent before it runs, and reports its result.

    pip install openai-agents
    LIFE_AGENT_URL=http://127.0.0.1:8000 LIFE_AGENT_KEY=change-me-please python guarded_openai_agents.py
"""

import asyncio
import json
import subprocess

from agents import Agent, function_tool
from agents.tool_context import ToolContext

from life_agent_guard import Refused, guarded


@function_tool
def shell(command: str) -> str:
    """Run a shell command in the project and return its output."""
    try:
        with guarded("Bash", {"command": command}) as call:
            done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, timeout=60)
            call.result(done.stdout + done.stderr, is_error=done.returncode != 0)
            return done.stdout + done.stderr
    except Refused as refusal:
        # The model reads the reason and the alternative.
        return str(refusal)


agent = Agent(name="coder", instructions="Work on the project.", tools=[shell])


async def call(command: str) -> str:
    """Calls the tool as the agent's runner does."""
    arguments = json.dumps({"command": command})
    context = ToolContext(context=None, tool_name=shell.name, tool_call_id="call-1", tool_arguments=arguments)
    return await shell.on_invoke_tool(context, arguments)


if __name__ == "__main__":
    for command in ["echo hello", "cat ~/.ssh/id_rsa", "git push --force origin main"]:
        print(f"{command!r}: {asyncio.run(call(command))}")
