"""An agent of Pydantic AI."""

import shell
from pydantic_ai import Agent
from pydantic_ai.models.openai import OpenAIChatModel

agent = Agent(OpenAIChatModel("m"))


@agent.tool_plain
def bash(command: str) -> str:
    """Runs a shell command."""
    return shell.run(command)


print(agent.run_sync(shell.TASK).output)
