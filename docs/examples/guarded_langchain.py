"""A LangChain tool that asks life-agent before it runs, and reports its result.

    pip install langchain-core
    LIFE_AGENT_URL=http://127.0.0.1:8000 LIFE_AGENT_KEY=change-me-please python guarded_langchain.py
"""

import subprocess

from langchain_core.tools import ToolException, tool

from life_agent_guard import Refused, guarded


@tool
def shell(command: str) -> str:
    """Run a shell command in the project and return its output."""
    try:
        with guarded("Bash", {"command": command}) as call:
            done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, timeout=60)
            call.result(done.stdout + done.stderr, is_error=done.returncode != 0)
            return done.stdout + done.stderr
    except Refused as refusal:
        # The model reads the reason and the alternative.
        raise ToolException(str(refusal)) from refusal


shell.handle_tool_error = True

if __name__ == "__main__":
    for command in ["echo hello", "cat ~/.ssh/id_rsa", "git push --force origin main"]:
        print(f"{command!r}: {shell.invoke({'command': command})}")
