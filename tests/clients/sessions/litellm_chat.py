"""Chat completions with LiteLLM."""

import os

import litellm
import shell

base = {"api_base": os.environ["OPENAI_BASE_URL"], "api_key": os.environ["OPENAI_API_KEY"]}


def ask(talk):
    reply = litellm.completion(model="openai/m", messages=talk, tools=[shell.FUNCTION], num_retries=0, **base)
    return reply.choices[0].message


print(shell.chat(ask))
