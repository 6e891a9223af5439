"""An agent of the OpenAI Agents SDK."""

import shell
from agents import Agent, Runner, function_tool, set_tracing_disabled

set_tracing_disabled(True)


@function_tool
def bash(command: str) -> str:
    """Runs a shell command."""
    return shell.run(command)


print(Runner.run_sync(Agent(name="a", model="m", tools=[bash]), shell.TASK).final_output)
