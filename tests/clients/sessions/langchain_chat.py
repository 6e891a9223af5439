"""An agent's loop with LangChain."""

import shell
from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI


@tool
def bash(command: str) -> str:
    """Runs a shell command."""
    return shell.run(command)


model, talk = ChatOpenAI(model="m", max_retries=0).bind_tools([bash]), [HumanMessage(shell.TASK)]
while True:
    message = None
    for chunk in model.stream(talk):
        message = chunk if message is None else message + chunk
    talk.append(message)
    for call in message.tool_calls:
        talk.append(ToolMessage(bash.invoke(call["args"]), tool_call_id=call["id"]))
    if not message.tool_calls:
        print(message.content)
        break
